/* What comes back, and what it does to deliveries and people: shared by sqlite_returned*.c, sqlite_trouble.c
 * and sqlite_outcome.c. */
#ifndef DB_SQLITE_RETURNED_H
#define DB_SQLITE_RETURNED_H

#include "src/db/returned.h"
#include "src/db/sqlite_ledger.h"

/* ---- sqlite_trouble.c: what counts against a person. Within a transaction. ---- */

struct trouble_new {
	int64_t contact, campaign;
	ms_t at;
	struct str reason, evidence;
};
/* *added: an address was suppressed that was not before. */
int trouble_hard(struct store *s, const struct trouble_new *n, bool *added, struct err *e);
int trouble_soft(struct store *s, const struct trouble_new *n, int *count, bool *added, struct err *e);
int trouble_complaint(struct store *s, const struct trouble_new *n, bool *added, struct err *e);
/* It was no soft failure, as it turned out. */
int trouble_soft_undo(struct store *s, int64_t contact, int64_t campaign, struct err *e);
/* Did a delivery of a campaign in (above, below) that began later than `since` reach that person, and stay?
 * 1, 0, -1 */
int trouble_stayed(struct store *s, int64_t contact, int64_t above, int64_t below, ms_t since, struct err *e);

/* ---- sqlite_returned.c ---- */

/* What a delivery becomes that failed after all. */
enum delivery_state returned_state(enum reply_class class);
/* What came back before the outcome of that delivery was recorded takes effect now. */
int returned_early(struct store *s, int64_t delivery, struct err *e);
/* Does anything wait for that? 1, 0, -1 */
int returned_any_early(struct store *s, struct err *e);

/* ---- sqlite_returned_read.c ---- */

/* 1 found, 0 not, -1 */
int returned_row_read(struct store *s, int64_t id, struct arena *a, struct returned_row *r, struct err *e);

/* ---- sqlite_outcome.c ---- */

struct str reply_cut(struct str s); /* to as many bytes as are kept, and whole characters */
/* A delivery counts under one reason only: no more under that of its last attempt, if that had one. */
int reason_leave(struct store *s, int64_t delivery, int64_t attempts, int64_t provider, struct err *e);

#endif
