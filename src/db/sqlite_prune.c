/* Retention: erases what is older than it may become, a slice at a time. */
#include "src/db/sqlite.h"

#include "src/db/prune.h"

enum { SLICE = 1000, WORDS_ERASED = 1, DELIVERIES_ERASED = 2 };

struct pruning {
	struct prune *p;
	int64_t after; /* a returned message, a failure or a delivery */
	int64_t campaign, end;
};

/* ---- Returned messages: their numbers ascend with time ---- */

/* What was nobody's goes whole. */
static int forget_nobodys(struct store *s, int64_t after, int64_t upto, struct err *e)
{
	if (db_run(s, e,
		    "DELETE FROM failure WHERE id IN (SELECT id FROM returned WHERE contact = 0 AND delivery "
		    "= 0 AND id > ? AND id <= ?)",
		    "ii", after, upto) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM returned WHERE contact = 0 AND delivery = 0 AND id > ? AND id <= ?",
		"ii", after, upto);
}

static int messages_step(struct store *s, void *ctx, struct err *e)
{
	struct pruning *r = ctx;
	int64_t v[2], from = r->after;
	ms_t began = clock_mono();
	bool more = true;
	for (int n = 0; more && n < SLICE / 4 && !db_slice_over(began); n++) {
		int rc = db_ints(s, e, v, 2,
			"SELECT v.id, r.at FROM evidence v JOIN returned r ON r.id = v.id WHERE v.id > ? "
			"ORDER BY v.id LIMIT 1",
			"i", r->after);
		more = rc == 1 && v[1] < r->p->evidence_before;
		if (rc < 0 || (more && (db_run(s, e, "DELETE FROM evidence WHERE id = ?", "i", v[0]) < 0 ||
					       db_run(s, e,
						       "UPDATE returned SET diagnostic = '', address = '' "
						       "WHERE id = ?",
						       "i", v[0]) < 0)))
			return -1;
		if (more) {
			r->after = v[0];
			r->p->messages++;
		}
	}
	return forget_nobodys(s, from, r->after, e) < 0 ? -1 : more;
}

/* ---- A campaign's words, then its deliveries ---- */

static int words_step(struct store *s, void *ctx, struct err *e)
{
	struct pruning *r = ctx;
	int64_t to = r->after + SLICE < r->end ? r->after + SLICE : r->end;
	if (r->after >= r->end) {
		if (db_run(s, e, "UPDATE reason_tally SET example = '' WHERE campaign = ?", "i",
			    r->campaign) < 0)
			return -1;
		return db_run(s, e, "UPDATE campaign SET pruned = ? WHERE id = ?", "ii",
			(int64_t)WORDS_ERASED, r->campaign);
	}
	if (db_run(s, e, "UPDATE attempt SET reply = '' WHERE delivery > ? AND delivery <= ? AND reply <> ''",
		    "ii", r->after, to) < 0)
		return -1;
	r->p->replies += sqlite3_changes64(s->db);
	if (db_run(s, e, "DELETE FROM dialogue WHERE delivery > ? AND delivery <= ?", "ii", r->after, to) < 0)
		return -1;
	r->after = to;
	return 1;
}

static int delete_range(struct store *s, int64_t from, int64_t to, struct err *e)
{
	if (db_run(s, e,
		    "DELETE FROM evidence WHERE id IN (SELECT r.id FROM delivery d JOIN returned r ON "
		    "r.contact = d.contact "
		    "AND r.delivery = d.id WHERE d.id > ? AND d.id <= ?)",
		    "ii", from, to) < 0 ||
		db_run(s, e,
			"DELETE FROM returned WHERE id IN (SELECT r.id FROM delivery d JOIN returned r ON "
			"r.contact = "
			"d.contact AND r.delivery = d.id WHERE d.id > ? AND d.id <= ?)",
			"ii", from, to) < 0 ||
		db_run(s, e, "DELETE FROM attempt WHERE delivery > ? AND delivery <= ?", "ii", from, to) <
			0 ||
		db_run(s, e, "DELETE FROM dialogue WHERE delivery > ? AND delivery <= ?", "ii", from, to) <
			0 ||
		db_run(s, e, "DELETE FROM doubt WHERE delivery > ? AND delivery <= ?", "ii", from, to) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM delivery WHERE id > ? AND id <= ?", "ii", from, to);
}

static int deliveries_step(struct store *s, void *ctx, struct err *e)
{
	struct pruning *r = ctx;
	int64_t to = r->after + SLICE < r->end ? r->after + SLICE : r->end;
	if (r->after >= r->end) {
		r->p->campaigns++;
		if (db_run(s, e, "DELETE FROM canary WHERE campaign = ?", "i", r->campaign) < 0)
			return -1;
		return db_run(s, e, "UPDATE campaign SET pruned = ?, rows = 0 WHERE id = ?", "ii",
			(int64_t)DELIVERIES_ERASED, r->campaign);
	}
	if (delete_range(s, r->after, to, e) < 0)
		return -1;
	r->p->deliveries += sqlite3_changes64(s->db);
	r->after = to;
	return 1;
}

/* What came back about a person whose delivery nobody knows: no rule counts it, it only tells of them. */
static int forget_known(struct store *s, int64_t after, int64_t upto, ms_t before, struct err *e)
{
	static const char *const steps[] = {
		"DELETE FROM evidence WHERE id IN (SELECT id FROM returned WHERE id > ? AND id <= ? AND at < "
		"? AND contact <> 0 AND delivery = 0)",
		"DELETE FROM failure WHERE id IN (SELECT id FROM returned WHERE id > ? AND id <= ? AND at < "
		"? "
		"AND contact <> 0 AND delivery = 0)",
		"DELETE FROM returned WHERE id > ? AND id <= ? AND at < ? AND contact <> 0 AND delivery = 0",
	};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (db_run(s, e, steps[i], "iii", after, upto, before) < 0)
			return -1;
	return 0;
}

/* Failures stand by time, not by campaign: those without a delivery are left behind by the above. They are
 * nearly in the order of their times, so that nothing is old behind a slice that is not. */
static int failures_step(struct store *s, void *ctx, struct err *e)
{
	struct pruning *r = ctx;
	int64_t v[2]; /* the slice's end, and its oldest */
	if (db_ints(s, e, v, 2,
		    "SELECT max(id), min(at) FROM (SELECT id, at FROM failure WHERE id > ? ORDER BY id LIMIT "
		    "?)",
		    "ii", r->after, (int64_t)SLICE) < 0)
		return -1;
	if (v[0] == 0 || v[1] >= r->p->deliveries_before)
		return 0;
	if (forget_known(s, r->after, v[0], r->p->deliveries_before, e) < 0 ||
		db_run(s, e,
			"DELETE FROM failure WHERE id > ? AND id <= ? AND at < ? AND delivery <> 0 AND NOT "
			"EXISTS (SELECT 1 FROM "
			"delivery d WHERE d.id = failure.delivery)",
			"iii", r->after, v[0], r->p->deliveries_before) < 0)
		return -1;
	r->after = v[0];
	return 1;
}

/* What would never be claimed of a cancelled campaign. */
static int waiting_step(struct store *s, void *ctx, struct err *e)
{
	const struct pruning *r = ctx;
	if (db_run(s, e,
		    "DELETE FROM waiting WHERE (campaign, lot, domain, due, n) IN (SELECT campaign, lot, "
		    "domain, due, n FROM "
		    "waiting WHERE campaign = ? LIMIT ?)",
		    "ii", r->campaign, (int64_t)SLICE) < 0)
		return -1;
	return sqlite3_changes64(s->db) != 0;
}

static int for_campaigns(
	struct store *s, struct prune *p, ms_t before, int64_t stage, db_slice *step, struct err *e)
{
	struct pruning r = {.p = p};
	for (;;) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT id, audience_n FROM campaign WHERE id > ? AND finished <> 0 AND finished < ? "
			"AND pruned < ? "
			"ORDER BY id LIMIT 1",
			"iii", r.campaign, before, stage);
		int rc = db_step(s, st, e);
		if (rc <= 0)
			return rc;
		r.campaign = col_int(st, 0);
		r.after = DELIVERY_ID(r.campaign, 0);
		r.end = DELIVERY_ID(r.campaign, col_int(st, 1));
		db_done(st);
		if (db_slices(s, step, &r, e) < 0)
			return -1;
	}
}

static int prune_waiting(struct store *s, struct err *e)
{
	struct pruning r = {.campaign = 0};
	for (;;) {
		int rc = db_int(s, e, &r.campaign,
			"SELECT id FROM campaign WHERE id > ? AND spread = 1 AND state = 7 AND pruned < 2 "
			"ORDER BY id LIMIT 1",
			"i", r.campaign);
		if (rc <= 0)
			return rc;
		if (db_slices(s, waiting_step, &r, e) < 0)
			return -1;
	}
}

int store_prune(struct store *s, struct prune *p, struct err *e)
{
	struct pruning r = {.p = p};
	p->messages = p->replies = p->deliveries = p->campaigns = 0;
	if (prune_waiting(s, e) < 0)
		return -1;
	if (p->evidence_before != 0 &&
		(db_slices(s, messages_step, &r, e) < 0 ||
			for_campaigns(s, p, p->evidence_before, WORDS_ERASED, words_step, e) < 0))
		return -1;
	if (p->deliveries_before == 0)
		return 0;
	r.after = 0;
	if (for_campaigns(s, p, p->deliveries_before, DELIVERIES_ERASED, deliveries_step, e) < 0)
		return -1;
	return db_slices(s, failures_step, &r, e);
}
