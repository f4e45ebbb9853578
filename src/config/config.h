/* postrider.conf (docs/INTERFACE.md), read once and immutable afterwards.
 *
 * INI by inih's stream reader; every value remembers its file and line, so that a wrong one is told exactly.
 * Unknown and repeated keys, over-long lines and unset ${VAR}s are errors (ERR_CONFIG). Relative paths are
 * resolved from the folder of the file they stand in. Secrets are read when they are needed (config_secret),
 * not when the file is. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"

struct config_at { /* where a value stood; file NULL: a default */
	const char *file;
	long line;
};

struct secret { /* one of password-file, password-env, password-command */
	enum { SECRET_NONE, SECRET_FILE, SECRET_ENV, SECRET_COMMAND } from;
	const char *value;
	struct config_at at;
};

enum doubt_rule { DOUBT_FINAL = 0, DOUBT_RESEND = 1, DOUBT_HOLD = 2 }; /* skip, resend, hold */

struct rate_spec {                 /* "14/s, 50000/d"; 0: no limit of that kind */
	double per_second;         /* of /s and /m, the smaller: evenly spaced */
	int64_t per_hour, per_day; /* rolling windows */
};

enum route_kind { ROUTE_RELAY, ROUTE_DIRECT };
enum route_tls {
	ROUTE_TLS_DEFAULT,
	ROUTE_TLS_NONE,
	ROUTE_TLS_OPPORTUNISTIC,
	ROUTE_TLS_STARTTLS,
	ROUTE_TLS_IMPLICIT
};
enum route_chunking { ROUTE_CHUNKING_DEFAULT, ROUTE_CHUNKING_NO, ROUTE_CHUNKING_YES };
/* With XOAUTH2 and OAUTHBEARER the password is an access token. */
enum route_auth {
	ROUTE_AUTH_ANY,
	ROUTE_AUTH_PLAIN,
	ROUTE_AUTH_LOGIN,
	ROUTE_AUTH_XOAUTH2,
	ROUTE_AUTH_OAUTHBEARER
};
enum route_envelope {         /* who writes the envelope sender that the recipient's server sees */
	ROUTE_ENVELOPE_OURS,  /* we: each delivery's own return path */
	ROUTE_ENVELOPE_FIXED, /* we must say config_route.envelope_from, whatever the message */
	ROUTE_ENVELOPE_RELAY, /* the relay puts its own in the place of ours: it gets the returned mail */
};

struct config_route {
	const char *name;
	enum route_kind kind;
	const char *preset;
	const char *host;
	int port;           /* after config_load never 0: implicit 465; opportunistic and none 25; else 587 */
	enum route_tls tls; /* after config_load never DEFAULT: implicit on 465, opportunistic on loopback and
			     * for direct routes, else starttls */
	enum route_auth auth;
	const char *ca_file, *user, *helo;
	struct secret password;
	int connections, messages_per_connection;
	ms_t timeout; /* no reply is waited for longer; 0: the protocol's own times */
	struct rate_spec rate;
	const char **for_names; /* sender domains (a dot is in them) and recipient providers (none is) */
	size_t nfor;
	double weight; /* < 0: none was given; 0: only while no other can take the mail */
	bool private_addresses;
	const char **resolvers; /* "192.0.2.1@53", or "root" alone; none: the system's */
	size_t nresolvers;
	const char *trust_anchor;     /* file; NULL: the root's keys */
	bool require_tls;             /* RFC 8689 */
	enum route_chunking chunking; /* after config_load never DEFAULT: YES for relays */
	/* Messages that a connection may hold, and over a long way; after config_load never 0. */
	int ahead, ahead_far;
	int64_t size;         /* the largest message it takes, in bytes; 0: not known */
	const char *rewrites; /* "Date:Message-ID": fields that this relay writes anew, so that DKIM leaves
				 them out; NULL: none */
	enum route_envelope envelope;
	bool envelope_said;        /* by the file, rather than by the preset */
	const char *envelope_from; /* FIXED: the address */
	bool mailbox;              /* meant for one person's mail, not for bulk */
	struct config_at at;
};

struct config_source {       /* [source 192.0.2.1]: an address of this host from which a route connects */
	const char *address; /* IPv4 or IPv6, as written */
	const char *route;   /* after config_load never NULL */
	const char *helo;    /* NULL: the route's */
	double weight;       /* > 0 */
	struct {
		const char *from; /* as written; NULL: not */
		ms_t start;       /* the day it begins, local midnight; 0: the first day it sends */
		int64_t *volume;  /* of each day, for each provider, from the first; NULL: it is warm */
		size_t n;         /* after the last day there is no limit */
		bool wait; /* mail above the day's volume waits for the next, rather than taking another
			      source */
	} warm_up;
	struct config_at at;
};

struct config_dkim {                     /* [dkim NAME] */
	const char *name, *domain, *key; /* key: the path of the private key's file */
	const char *selector;            /* NAME where it is not given */
	struct config_at at;
};

struct config_provider {  /* [provider NAME]; 0: not given */
	const char *name; /* lower case: a provider, "default", or with a dot the name of a domain or of MX
			     hosts */
	int connections, messages_per_connection;
	struct rate_spec rate;
	double connection_rate; /* a second */
	ms_t idle, suspend, suspend_most, recover;
	enum { PROVIDER_TLS_OPPORTUNISTIC = 1, PROVIDER_TLS_REQUIRED } tls;
	enum { PROVIDER_RESET_FAILURE = 1, PROVIDER_RESET_CONGESTION } reset;
	enum { PROVIDER_SHARED = 1, PROVIDER_EACH_SITE } each_site;
	struct config_at at;
};

struct config_mailbox { /* [mailbox NAME]: returned mail is fetched from it */
	const char *name;
	const char *url; /* imaps://, imap://, pop3s:// or pop3://, the host, and for IMAP the folder */
	const char *user;
	struct secret password; /* with XOAUTH2: an access token */
	enum { MAILBOX_AUTH_ANY, MAILBOX_AUTH_XOAUTH2 } auth;
	const char *ca_file;
	enum { MAILBOX_KEEP, MAILBOX_MOVE, MAILBOX_DELETE } after; /* of mail that was matched */
	const char *folder;                                        /* for MAILBOX_MOVE */
	ms_t every;                                                /* serve looks so often */
	struct config_at at;
};

struct sockaddr_storage;

enum { LISTEN_MOST = 8 };
struct config_listen {                          /* where returned mail comes in */
	const char *text;                       /* as written */
	const char *path;                       /* of a socket on this machine; NULL: address */
	const struct sockaddr_storage *address; /* NULL: path */
	bool lmtp;
};

struct config {
	const char *path;   /* of the file; NULL: none was found, defaults */
	const char **files; /* that it was read from: the same, then what is included */
	size_t nfiles;
	const char *database, *timezone, *secret_file;
	const char *machine; /* what the database knows this machine by; NULL: its machine id */
	const struct zone *zone;
	enum doubt_rule doubt;
	int ahead;
	int quiet_from, quiet_to; /* minutes of the day; equal: no quiet hours */
	const char *law;
	struct {
		const char *name, *postal_address, *contact;
	} sender;
	const char **domains; /* [domain X] */
	size_t ndomains;
	struct config_dkim *dkim;
	size_t ndkim;
	struct config_provider *providers; /* in the order of the file */
	size_t nproviders;
	struct config_route *routes;
	size_t nroutes;
	struct config_source *sources;
	size_t nsources;
	struct config_mailbox *mailboxes; /* in the order of the file */
	size_t nmailboxes;
	ms_t *retry_delays; /* the last repeats */
	size_t nretry;
	ms_t retry_expire;
	struct {
		const char *domain, *address;
		struct config_listen listen[LISTEN_MOST];
		int nlisten;
		const char *feedback, *postmaster;
		const char *certificate, *certificate_key; /* files; NULL: one is made at each start */
		struct config_at at;
	} return_path; /* address may hold {token} */
	struct {
		const char *user, *group;
	} daemon;
	struct {
		const char *url, *mailto;
		bool one_click;
		bool scope_all;
	} unsubscribe; /* url holds {token} */
	struct {
		int hard, soft, soft_days, complaint;
	} suppress;
	struct {
		double bounces, blocks, complaints;
		int after;
	} brake; /* shares: 0.05 is 5 % */
	struct {
		const char *file;
		const char *deliveries; /* a line for each attempt; NULL: none */
		bool json;
		int64_t size;
	} log;
	struct {
		ms_t evidence, deliveries;
	} retention;
	const char *rules_file; /* the user's own reply rules; NULL: only the shipped ones */
	int workers;            /* threads that send; 0: one for each core */
};

/* path NULL: $POSTRIDER_CONFIG, ./postrider.conf, /etc/postrider/postrider.conf, the first that is there.
 * Sections that belong to later capabilities (mailbox, webhook, daemon …) are read and
 * checked for their keys. */
int config_load(const char *path, struct config **out, struct err *e);
/* The same from memory: for files that ship inside the program. `name` is for errors and kept as lent. */
int config_parse(struct str text, const char *name, struct config **out, struct err *e);
void config_free(struct config **c);
/* The secret's text, one line, without its newline. Files that others may read are refused (ERR_CONFIG). A
 * command is run by /bin/sh and has 30 s. */
int config_secret(const struct secret *s, struct buf *out, struct err *e);
/* The same for a command, with another limit. */
int config_secret_command(const struct secret *s, ms_t limit, struct buf *out, struct err *e);
/* "14/s, 50000/d": numbers per s, m, h or d, each unit once. ERR_CONFIG. */
int rate_parse(const char *text, struct rate_spec *out, struct err *e);
/* Is it a host name or an IP address? ERR_CONFIG says what is wrong with it, and what is probably meant. */
int config_host_check(const char *host, struct err *e);
bool config_host_loopback(const char *host);
/* DNS labels of letters, digits, - and _, as in pr1 or june.2026; at most 100 characters. */
bool config_selector_ok(const char *selector);
const struct config_route *config_route_find(const struct config *c, const char *name); /* NULL: none */

#endif
