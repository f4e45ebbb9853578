/* Questions to DNS by libunbound, which caches and validates, on a thread that it makes itself. One thread of
 * ours asks and takes the answers. */
#ifndef ENGINE_DNS_RESOLVER_H
#define ENGINE_DNS_RESOLVER_H

#include "engine/dns/lookup.h"

struct resolver;

enum resolver_trust {
	TRUST_FILE, /* the configured keys */
	TRUST_ROOT, /* the root's keys: the system's copy, or our own */
	TRUST_NONE, /* nothing is validated, and nothing is secure */
};

/* ERR_CONFIG: an address or the trust anchor cannot be used. */
int resolver_new(
	struct resolver **r, const struct sites_options *o, enum resolver_trust trust, struct err *e);
void resolver_free(struct resolver **r);
/* Readable when resolver_process() has something to do; it calls dns_answered(). */
int resolver_fd(struct resolver *r);
void resolver_process(struct resolver *r);
int resolver_ask(struct resolver *r, struct dns_query *q, const char *name, enum dns_type type);
void resolver_cancel(struct resolver *r, struct dns_query *q);

#endif
