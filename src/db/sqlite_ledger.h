/* The ledger's own insides: shared by sqlite_ledger.c (transactions, recovery), sqlite_claim.c and
 * sqlite_outcome.c. */
#ifndef DB_SQLITE_LEDGER_H
#define DB_SQLITE_LEDGER_H

#include "src/db/ledger.h"
#include "src/db/sqlite.h"

struct ledger_row { /* a delivery whose intent stands */
	int64_t delivery, epoch, route, contact, domain, provider;
	ms_t at, first;            /* of the claim; of the first attempt, valid if attempts > 0 */
	enum delivery_state state; /* before the claim */
	int64_t attempts, doubted;
	bool nameless; /* whose it is was forgotten since the claim (sqlite_forget.c) */
};

/* 1 found, 0 no intent stands, -1. */
int ledger_read(struct store *s, int64_t delivery, struct ledger_row *r, struct err *e);
int ledger_cancelled(struct store *s, int64_t campaign, struct err *e); /* 1, 0, -1 */
/* Records one more attempt of the row: counts it, and writes what the server said. */
int ledger_attempt(
	struct store *s, struct ledger_row *r, const struct outcome_row *o, int64_t route, struct err *e);
/* One more doubt; *due becomes 0 where it was sent a second time already. */
int ledger_doubt(struct store *s, struct ledger_row *r, ms_t *due, struct err *e);
/* Writes the row in its new state, removes the intent, moves the tallies. */
int ledger_settle(struct store *s, const struct ledger_row *r, enum delivery_state state, ms_t due,
	bool cancelled, struct err *e);

#endif
