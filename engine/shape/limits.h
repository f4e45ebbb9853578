/* How much one receiver is sent at most: the shipped shaping file (engine/shaping.conf) and the user's
 * [provider NAME] sections, looked up for a domain and its MX hosts.
 *
 * NAME is a provider ("google"), "default", or a name with a dot: a recipient's domain, or a name that all MX
 * hosts of a domain lie at or below. What is set counts in this order, the later over the earlier: default,
 * provider, MX hosts (the longest name last), domain; at each step the user's section over the shipped one.
 *
 * The answer also says who shares the limits: all domains of a provider, all of a section with a dot, or each
 * site for itself. The book is read-only once loaded and shared by threads. */
#ifndef ENGINE_SHAPE_LIMITS_H
#define ENGINE_SHAPE_LIMITS_H

#include "src/base/str.h"
#include "src/config/config.h"

struct limits {
	int connections;             /* at once, at most */
	int start;                   /* connections to begin with; adapted from there */
	int messages_per_connection; /* 0: any number */
	double connection_rate;      /* new ones in a second; 0: any number */
	struct rate_spec rate; /* messages. /h and /d are counted by the ledger, which outlives a restart */
	ms_t idle;             /* an unused connection is closed after that */
	bool tls_required;     /* never in plain text, whatever DANE and MTA-STS say */
	bool reset_is_congestion;   /* a reset or timeout at connect means "slower", not "host is down" */
	bool relay;                 /* a relay of ours: what it says of a receiver pauses nothing for long */
	ms_t suspend, suspend_most; /* the first pause of a group in trouble, and the longest */
	ms_t down_most; /* the longest pause between connections to a group that does not answer */
	ms_t recover;   /* after a pause: one more connection for each such span without trouble */
};

struct limits_found {
	struct limits limits;
	/* Who shares these limits: the provider's or the section's name. NULL: each site has them for itself.
	 * Lives as long as the book. */
	const char *group;
};

struct limits_book;

/* ERR_CONFIG with file and line: a section for a provider that nobody knows. */
int limits_known(const struct config *c, struct err *e);
int limits_load(struct limits_book **out, const struct config *c, struct err *e);
void limits_free(struct limits_book **b);
/* mx: names of the domain's MX hosts (lower case, no last dot), or its own name where it has none; n == 0:
 * not known. provider: as limits_provider() said, of those hosts; "" unknown. About 1 us. */
void limits_find(const struct limits_book *b, struct str domain, const char *provider, const char *const *mx,
	size_t n, struct limits_found *out);
/* The provider of the hosts, else of the domain where the hosts say nothing; "": unknown. Static. As
 * sites_options.provider_of; ctx is not looked at. */
const char *limits_provider(void *ctx, struct str domain, const char *const *mx, size_t n);
/* Those of a relay, from its route's own keys: starts with all connections and is adapted downwards only. */
void limits_of_relay(const struct config_route *r, struct limits *out);

#endif
