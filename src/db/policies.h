/* MTA-STS policies of receiving domains (RFC 8461), kept for the resolver's sake. */
#ifndef DB_POLICIES_H
#define DB_POLICIES_H

#include "src/db/store.h"
#include "src/base/arena.h"

struct policy_row {
	struct str domain, id;
	int mode;              /* enum sts_mode */
	ms_t fetched, expires; /* wall clock */
	struct str mx;
};

/* 1: found, in the arena; 0: not known; -1. */
int store_policy_get(
	struct store *s, struct str domain, struct arena *a, struct policy_row *out, struct err *e);
/* In place of what was known of these domains; those that ended before `now` are forgotten. */
int store_policies_put(struct store *s, const struct policy_row *rows, size_t n, ms_t now, struct err *e);

#endif
