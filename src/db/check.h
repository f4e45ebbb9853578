/* The self-check. */
#ifndef DB_CHECK_H
#define DB_CHECK_H

#include "src/db/store.h"

/* Is the file sound, in every page, index and constraint? 1; 0: *what says what was found; -1. A read
 * snapshot for as long as it takes: not while somebody delivers. `step` as above, without numbers. */
int store_integrity(struct store *s, int (*step)(void *ctx, const char *doing, int64_t done, int64_t of),
	void *ctx, struct buf *what, struct err *e);

enum self_severity { SELF_PASS, SELF_INFO, SELF_SKIP, SELF_WARN, SELF_FAIL, SELF_NSEVERITIES };
struct self_finding {
	const char *id; /* "ledger", "intents" … as in the manual */
	enum self_severity severity;
	struct str where; /* a campaign, a list; n == 0: the database */
	const char *text, *remedy;
};
struct self_check {
	int (*row)(void *ctx, const struct self_finding *f);
	/* Now and then; anything but 0 ends it with ERR_AGAIN. May be NULL. */
	int (*step)(void *ctx, const char *doing, int64_t done, int64_t of);
	void *ctx;
	bool glance; /* only what takes no time, however large it is: schema, home, lease */
};
struct self_count {
	int64_t severity[SELF_NSEVERITIES];
};
/* Does what is kept more than once agree, does all that points somewhere point to something, is the file
 * sound, was nobody mailed after they had been suppressed? Reads only. In slices; what needs one long look is
 * skipped, and said to be, while somebody delivers; of an older schema (store_config.older) all is. */
int store_check(struct store *s, const struct self_check *o, struct self_count *count, struct err *e);

#endif
