/* The MTA-STS policies that are known: those in the store, read by a connection of its own, and those learnt
 * since, which wait for the thread that owns the writing connection. */
#ifndef ENGINE_DNS_POLICIES_H
#define ENGINE_DNS_POLICIES_H

#include "engine/dns/sts.h"
#include "src/base/arena.h"
#include "src/base/err.h"
#include "src/db/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct fresh_policy;

struct policies {
	struct store *store; /* NULL: none is kept across restarts */
	pthread_mutex_t lock;
	struct fresh_policy *fresh;
	_Atomic size_t nfresh;
};

int policies_open(struct policies *p, const struct store_config *c, struct err *e);
void policies_close(struct policies *p);
/* From one thread. Whatever its age; false: none. */
bool policies_find(struct policies *p, const char *domain, struct sts_policy *out);
void policies_learn(struct policies *p, const char *domain, const struct sts_policy *policy);
/* From the thread that owns `s`. */
int policies_save(struct policies *p, struct store *s, struct err *e);

#endif
