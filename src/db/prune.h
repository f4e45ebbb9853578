/* Retention: what is old is erased. */
#ifndef DB_PRUNE_H
#define DB_PRUNE_H

#include "src/db/store.h"

struct prune {
	ms_t evidence_before, deliveries_before; /* 0: leave that */
	/* filled: */
	int64_t messages, replies, deliveries, campaigns;
};
/* Erases returned messages and the words of servers that are older, then deliveries of campaigns that ended
 * before, and by its own time what came back about a person without a delivery; the sums of a campaign stay,
 * and suppressions. In slices; goes on where an interrupted one ended. */
int store_prune(struct store *s, struct prune *p, struct err *e);

#endif
