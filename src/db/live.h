/* What the holder of the lease shows of itself: written every second, read by whoever watches. */
#ifndef DB_LIVE_H
#define DB_LIVE_H

#include "src/db/store.h"

struct live {              /* of a campaign */
	double rate;       /* accepted a second, over the last seconds */
	char limit[160];   /* what binds: "route main: 14/s", "connections", "" */
	ms_t next_attempt; /* 0: none waits */
	ms_t eta;          /* 0: unknown */
	int connections;
	ms_t at;
};
int store_ledger_set_live(struct store *s, int64_t campaign, const struct live *l, struct err *e);
int store_live(struct store *s, int64_t campaign, struct live *out, struct err *e);

enum live_kind { LIVE_ROUTE, LIVE_PROVIDER, LIVE_SITE };
struct live_group { /* a route, or receivers that share limits over one: the busiest and the troubled ones */
	enum live_kind kind;
	struct str name, route, source; /* source: our address; n == 0: as the system chooses */
	struct str state;               /* "ok", "slowed", "suspended", "probing", "recovering", "down" */
	struct str limit;               /* what binds; n == 0: nothing */
	double rate;                    /* accepted a second */
	int connections;
	int64_t waiting; /* deliveries that could go now, about */
};
/* Replaces those of the second before. */
int store_ledger_set_groups(struct store *s, const struct live_group *v, size_t n, ms_t now, struct err *e);
/* As of `since` or later: routes, providers, sites; the most troubled and busiest first. */
int store_live_groups(struct store *s, ms_t since, int (*row)(void *ctx, const struct live_group *g),
	void *ctx, struct err *e);

#endif
