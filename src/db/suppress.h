/* Suppressions: who is not mailed, why, and for how long. */
#ifndef DB_SUPPRESS_H
#define DB_SUPPRESS_H

#include "src/db/store.h"

/* After how many failures an address is not mailed any more; 0: never for that. A hard or soft one counts
 * once for each campaign. Soft ones must be spread over soft_days, and are forgotten after a delivery that
 * stayed delivered. */
struct suppress_rule {
	int hard, soft, soft_days, complaint;
};
extern const struct suppress_rule suppress_rule_default; /* 1, 3, 7, 1 */

enum suppress_reason {
	SUPPRESS_HARD_BOUNCE,
	SUPPRESS_SOFT_BOUNCES,
	SUPPRESS_COMPLAINT,
	SUPPRESS_UNSUBSCRIBE,
	SUPPRESS_MANUAL,
	SUPPRESS_IMPORT,
	SUPPRESS_FORGOTTEN,
	SUPPRESS_NREASONS,
};
extern const char
	*const suppress_reason_names[SUPPRESS_NREASONS]; /* "hard-bounce", … as in docs/INTERFACE.md */

struct suppression {
	struct str key; /* address key, or "@domain" (that domain, not those below it) */
	int64_t list;   /* scope: 0 = all */
	struct str list_name;
	enum suppress_reason reason;
	int64_t campaign; /* 0: none */
	struct str campaign_name;
	struct str evidence; /* what the server said, who asked … */
	ms_t created;
	bool dated; /* a file brought `created` along: the history has its own time */
	/* 0: firm. Held ones count as suppressed until then; see "Held suppressions". */
	ms_t held_until;
};

/* An existing one of the same scope stays if it is stronger (complaint and unsubscribe over bounces over
 * manual and import). *added tells. */
int store_suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e);
/* The same for a few hundred in one transaction; all or none. */
int store_suppress_many(
	struct store *s, const struct suppression *sups, size_t n, size_t *added, struct err *e);
/* What keeps `key` (an address's, or "@domain") from being mailed, its domain's included; list 0: whatever
 * the scope. */
int store_suppressions_of(struct store *s, struct str key, int64_t list,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e);

struct suppression_query {
	struct str key;      /* n == 0: any */
	int64_t list;        /* -1: any scope */
	int reason;          /* -1: any */
	int64_t campaign;    /* 0: any */
	struct str provider; /* n == 0: any */
	ms_t since, until;   /* 0: open */
	bool spare_personal; /* leave out unsubscribe, complaint, forgotten */
	bool held;           /* only held ones, also those that ran out */
	/* Oldest first; else in no order. Some 260,000 of them cost a walk through all, so for millions it is
	 * slower. */
	bool by_date;
};
/* In slices. */
int store_suppressions(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e);
/* Removes what the query selects; `note` goes to the history. forgotten ones are never removed. In slices. */
int store_unsuppress(struct store *s, const struct suppression_query *q, struct str note, bool dry_run,
	int64_t *n, struct err *e);

/* ---- Held suppressions ---- */

/* A receiver that calls an unusual share unknown may be wrong: what its word suppresses is
 * held, that is, it runs out a day later. It becomes firm if the address is refused for good once more after
 * that, or if a person confirms it (any firm suppression of the same scope). One that ran out suppresses
 * nobody, but is remembered for 30 days. */
struct holding {
	struct str name;   /* a provider, or "@domain" */
	ms_t since, until; /* what is suppressed in between on its word is held */
};
/* From now on, and for what was suppressed since `since`; *held: so many. In slices; not within a
 * transaction. */
int store_hold(struct store *s, struct str name, ms_t since, ms_t until, int64_t *held, struct err *e);
int store_hold_goes_on(struct store *s, struct str name, ms_t until, struct err *e);
int store_hold_over(struct store *s, struct str name, struct err *e);
int store_holdings(
	struct store *s, ms_t now, int (*row)(void *ctx, const struct holding *h), void *ctx, struct err *e);
int64_t store_held(struct store *s, ms_t now, struct err *e); /* suppressions held now; -1 */

#endif
