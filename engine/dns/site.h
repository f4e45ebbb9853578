/* From a recipient's domain to the hosts that take its mail, and the TLS policy of each connection.
 *
 * A book of sites belongs to one direct route: it asks the route's resolver (libunbound, with DNSSEC) and,
 * for MTA-STS, the domain's policy host (libcurl), both on a thread of its own. Nobody who asks the book
 * waits: what is not known yet is PENDING, and `answered` is called when it is.
 *
 * Rules: RFC 5321 5.1 (MX, without any the domain's own addresses), RFC 7505 (null MX), RFC 7672 (DANE), RFC
 * 8461 (MTA-STS), RFC 5321 4.1.3 (address literals). Answers are kept as long as DNS says, but at least a
 * minute and at most an hour; a site that is asked for is looked up anew shortly before its time is over. */
#ifndef ENGINE_DNS_SITE_H
#define ENGINE_DNS_SITE_H

#include "engine/tls.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/str.h"
#include "src/db/store.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#define SITE_HOSTS     12 /* of one site */
#define SITE_ADDRESSES 16 /* of one host */

struct site_host {
	const char *name; /* A-labels, lower case, no dot at the end; of an address literal the address */
	unsigned preference;
	/* IPv6 and IPv4 by turns, IPv6 first; the port is the route's. */
	const struct sockaddr_storage *addrs;
	size_t naddrs;            /* > 0: hosts that cannot be used (now) are left out */
	struct tls_policy policy; /* for smtp_endpoint.policy; lives as long as the site */
};

/* Immutable but for its count; freed with the last reference. */
struct site {
	_Atomic int refs;
	/* Sorted MX names joined by "," (a very large set is shortened by a hash), then "+dane", "+sts" or
	 * "+sts-testing" where connections must not be shared with those that have another policy. Two
	 * domains with the same name can share connections. */
	const char *name;
	uint64_t hash;                 /* hash64 of name */
	const char *provider;          /* "": unknown */
	const struct site_host *hosts; /* by preference */
	size_t nhosts;                 /* > 0 */
	ms_t expires;                  /* monotonic */
};

struct site *site_ref(struct site *s);
void site_unref(struct site **s);
/* The order in which one connection attempt tries the hosts (indexes): by preference, equals by the lot that
 * `random` draws. */
void site_order(const struct site *s, uint64_t random, unsigned char order[SITE_HOSTS]);
/* Addresses of a host for one attempt: by turns, IPv6 first, each family turned by `random`, so that
 * connections spread. Returns how many, at most `max`. */
size_t site_addresses(const struct site_host *h, uint64_t random, struct sockaddr_storage *out, size_t max);

enum site_state {
	SITE_KNOWN,
	SITE_PENDING,
	SITE_TEMPORARY, /* no answer, a bogus one, a policy nobody fulfils: may be mended; asked anew after a
			   minute */
	SITE_PERMANENT, /* no such domain, no mail taken there */
};

struct site_failure {
	int code;         /* as a server would say it: 450, 550, 556 … */
	char enhanced[8]; /* "5.1.10" */
	const char
		*reason; /* docs/REASONS.md: domain-unknown, domain-no-host, domain-refuses-mail, mail-loop,
			  * private-address; dns-failed, dnssec-bogus, routing, tls-policy. Static. */
	char text[240];  /* for people */
};

struct sites;
struct store;
struct store_config;

struct sites_options {
	const char **resolvers; /* "192.0.2.1@53", "2001:db8::1"; "root": asks the name servers of the root
				 * and so on by itself. n 0: those of /etc/resolv.conf. */
	size_t nresolvers;
	const char *trust_anchor; /* file; NULL: the root's keys, and without DNSSEC (and so without DANE)
				   * where the system's resolver does not pass it on */
	const char *ca_file;      /* who vouches for the hosts of MTA-STS policies; NULL: the system's */
	bool private_addresses;   /* hosts on loopback, private and other special addresses are allowed */
	int port;                 /* of the hosts; also in the names of TLSA records */
	bool plain;               /* the route uses no TLS: nobody's policy is asked for */
	enum tls_need least;      /* of every connection */
	const char *const *own;   /* our names (EHLO): an MX set where we stand best is a loop */
	size_t nown;
	size_t max; /* domains remembered; 0: 20000 */
	/* Keeps MTA-STS policies across restarts; NULL: in memory only. The book opens it to read. */
	const struct store_config *store;
	/* The provider of a domain with these MX names (sorted by preference); NULL or "": unknown. From the
	 * book's thread; the answer is copied. NULL: none is known. */
	const char *(*provider_of)(void *ctx, struct str domain, const char *const *mx, size_t n);
	/* From the book's thread: so many domains that were asked for have their answer now. */
	void (*answered)(void *ctx, size_t n);
	void *ctx;
};

/* Options are lent only for the call, but for `ctx`. ERR_CONFIG: resolver, trust anchor or ca-file cannot be
 * used. */
int sites_new(struct sites **b, const struct sites_options *o, struct err *e);
void sites_free(struct sites **b); /* references to sites stay good */
/* Thread-safe, never waits. KNOWN: *out is a reference. TEMPORARY, PERMANENT: *f says why. The domain is as
 * in struct address, or a literal in brackets; `now` is monotonic. */
enum site_state sites_lookup(
	struct sites *b, struct str domain, ms_t now, struct site **out, struct site_failure *f);
/* Writes the MTA-STS policies that were learnt since the last call; cheap when there are none. For the thread
 * that owns the writing connection. */
int sites_save(struct sites *b, struct store *s, struct err *e);

#endif
