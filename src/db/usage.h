/* What routes, receivers that share limits, and source addresses have carried. */
#ifndef DB_USAGE_H
#define DB_USAGE_H

#include "src/db/store.h"

/* Deliveries sent over `route` since a time, to the minute, rounded so that a window is never passed. */
int64_t store_ledger_usage(struct store *s, struct str route, ms_t since, struct err *e);
/* Within begin/commit: n (< 0: fewer) under a name of the caller's, which no route has: receivers that share
 * limits. Read as those of a route. */
int store_usage_add(struct store *s, struct str name, int64_t n, ms_t now, struct err *e);
/* The same minute by minute, oldest first: `minute` is its beginning. */
int store_usage_minutes(struct store *s, struct str route, ms_t since,
	int (*row)(void *ctx, ms_t minute, int64_t n), void *ctx, struct err *e);
/* What a source address carried to a provider ("": unknown ones), by day: a number that the caller gives.
 * add: within begin/commit. days: oldest first. */
int store_source_add(
	struct store *s, struct str source, struct str provider, int64_t day, int64_t n, struct err *e);
int store_source_days(struct store *s, struct str source, struct str provider,
	int (*row)(void *ctx, int64_t day, int64_t n), void *ctx, struct err *e);

#endif
