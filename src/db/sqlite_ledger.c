#include "src/db/sqlite_returned.h"

#include "src/base/fault.h"
#include "src/db/live.h"
#include "src/db/usage.h"

#include <assert.h>
#include <stdlib.h>

static int check_epoch(struct store *s, int64_t epoch, struct err *e)
{
	int64_t ours;
	int rc = db_int(
		s, e, &ours, "SELECT 1 FROM lease WHERE id = 1 AND held = 1 AND epoch = ?", "i", epoch);
	if (rc == 0)
		return err_set(e, ERR_AGAIN, "delivery", "another process has taken over");
	return rc < 0 ? -1 : 0;
}

int store_ledger_begin(struct store *s, int64_t epoch, ms_t now, struct err *e)
{
	assert(!s->in_ledger && s->depth == 0);
	if (db_begin(s, e) < 0)
		return -1;
	if (check_epoch(s, epoch, e) < 0)
		return db_end(s, -1, e);
	s->in_ledger = true;
	s->cancelled_asked = 0;
	s->epoch = epoch;
	s->now = now;
	return 0;
}

int store_ledger_commit(struct store *s, struct err *e)
{
	assert(s->in_ledger && s->depth == 1);
	s->in_ledger = false;
	return db_end(s, 0, e);
}

void store_ledger_rollback(struct store *s)
{
	s->in_ledger = false;
	if (s->depth > 0)
		db_rollback(s);
}

int ledger_read(struct store *s, int64_t delivery, struct ledger_row *r, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT i.epoch, i.at, i.route, d.contact, d.domain, d.state, d.attempts, d.first, "
		"d.doubted, "
		"d.skip "
		"FROM intent i "
		"JOIN delivery d ON d.id = i.delivery WHERE i.delivery = ?",
		"i", delivery);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	*r = (struct ledger_row){
		.delivery = delivery,
		.epoch = col_int(st, 0),
		.at = col_int(st, 1),
		.route = col_int(st, 2),
		.contact = col_int(st, 3),
		.domain = col_int(st, 4),
		.state = state_from_row(col_int(st, 5)),
		.attempts = col_int(st, 6),
		.first = col_int(st, 7),
		.doubted = col_int(st, 8),
		.nameless = col_int(st, 9) != 0,
	};
	db_done(st);
	const struct domain_info *d = domain_info(s, r->domain, e);
	if (d == NULL || tally_provider(s, d, DELIVERY_CAMPAIGN(delivery), &r->provider, e) < 0)
		return -1;
	return 1;
}

/* Is the campaign cancelled? Asked once for each transaction of the ledger, as nobody else can change it
 * meanwhile. */
int ledger_cancelled(struct store *s, int64_t campaign, struct err *e)
{
	int64_t n;
	if (s->in_ledger && s->cancelled_asked == campaign)
		return s->cancelled;
	int rc = db_int(s, e, &n, "SELECT 1 FROM campaign WHERE id = ? AND state = 7", "i", campaign);
	if (s->in_ledger && rc >= 0) {
		s->cancelled_asked = campaign;
		s->cancelled = rc;
	}
	return rc;
}

/* Where a row that now has this state is counted. */
static int slot_after(const struct ledger_row *r, enum delivery_state state, ms_t due, bool cancelled)
{
	if (cancelled && (state == DELIVERY_QUEUED || state == DELIVERY_DEFERRED))
		return DELIVERY_CANCELLED;
	return tally_of(state, r->attempts, due != 0);
}

int ledger_settle(struct store *s, const struct ledger_row *r, enum delivery_state state, ms_t due,
	bool cancelled, struct err *e)
{
	static_assert(CAMPAIGN_CANCELLED == 7, "the number in ledger_cancelled");
	int64_t id = r->delivery;
	if (cancelled)
		due = 0;
	int rc = due == 0 ? db_run(s, e,
				    "UPDATE delivery SET state = ?, attempts = ?, first = ?, doubted = ? "
				    "WHERE id = ?",
				    "iiiii", (int64_t)state_to_row(state), r->attempts, r->first, r->doubted,
				    id)
			  : db_run(s, e,
				    "UPDATE delivery SET state = ?, attempts = ?, first = ?, doubted = ?, "
				    "due = ? WHERE id = ?",
				    "iiiiii", (int64_t)state_to_row(state), r->attempts, r->first, r->doubted,
				    due, id);
	if (rc == 0 && due != 0)
		rc = waiting_put(s, id, r->domain, due, e);
	if (rc == 0 && state == DELIVERY_DOUBT && due == 0)
		rc = db_run(s, e, "INSERT OR IGNORE INTO doubt(delivery) VALUES(?)", "i", id);
	if (rc == 0 && r->nameless)
		rc = db_run(s, e, "UPDATE delivery SET skip = NULL WHERE id = ?", "i", id);
	if (rc == 0)
		rc = db_run(s, e, "DELETE FROM intent WHERE delivery = ?", "i", id);
	if (rc == 0)
		rc = tally_move(s, DELIVERY_CAMPAIGN(id), r->provider, DELIVERY_SENDING,
			slot_after(r, state, due, cancelled), e);
	return rc;
}

int ledger_doubt(struct store *s, struct ledger_row *r, ms_t *due, struct err *e)
{
	int64_t campaign = DELIVERY_CAMPAIGN(r->delivery);
	/* Sent a second time already: it stays in doubt. */
	if (r->doubted > 0)
		*due = 0;
	else if (delta_add(s, DELTA_TALLY, campaign, r->provider, TALLY_DOUBTED, 0, 0, 1, STR(""), e) < 0)
		return -1;
	r->doubted++;
	return 0;
}

/* ---- After a crash ---- */

static int recover_one(struct store *s, int64_t delivery, int rule, ms_t now, struct err *e)
{
	struct ledger_row r;
	int rc = ledger_read(s, delivery, &r, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return db_run(s, e, "DELETE FROM intent WHERE delivery = ?", "i", delivery);
	int cancelled = ledger_cancelled(s, DELIVERY_CAMPAIGN(delivery), e);
	ms_t due = rule == 1 ? now : 0;
	if (cancelled < 0 || ledger_doubt(s, &r, &due, e) < 0)
		return -1;
	struct outcome_row o = {.delivery = delivery,
		.kind = OUTCOME_DOUBT,
		.state = DELIVERY_DOUBT,
		.at = r.at,
		.reply = STR("the sending process ended before a reply was recorded")};
	if (ledger_attempt(s, &r, &o, r.route, e) < 0)
		return -1;
	if (ledger_settle(s, &r, DELIVERY_DOUBT, due, cancelled == 1, e) < 0)
		return -1;
	return returned_early(s, delivery, e);
}

static int recover(struct store *s, int64_t epoch, int rule, ms_t now, int64_t *n, struct err *e)
{
	int64_t id, after = 0;
	if (check_epoch(s, epoch, e) < 0)
		return -1;
	for (;;) {
		int rc = db_int(s, e, &id,
			"SELECT delivery FROM intent WHERE delivery > ? AND epoch <> ? ORDER BY delivery "
			"LIMIT 1",
			"ii", after, epoch);
		if (rc <= 0)
			return rc;
		if (recover_one(s, id, rule, now, e) < 0)
			return -1;
		after = id;
		++*n;
	}
}

int store_ledger_recover(struct store *s, int64_t epoch, int rule, ms_t now, int64_t *n, struct err *e)
{
	*n = 0;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = recover(s, epoch, rule, now, n, e);
	fault_point("recovery-before");
	rc = db_end(s, rc, e);
	fault_point("recovery-after");
	return rc;
}

/* ---- What the deliverer asks and says of a campaign ---- */

int64_t store_ledger_usage(struct store *s, struct str route, ms_t since, struct err *e)
{
	int64_t n;
	/* The minute in which the window begins counts whole. */
	int rc = db_int(s, e, &n,
		"SELECT sum(u.n) FROM name r JOIN usage u ON u.route = r.id WHERE r.text = ? AND u.minute >= "
		"?",
		"si", route, since / MINUTE);
	return rc < 0 ? -1 : n;
}

int store_usage_add(struct store *s, struct str name, int64_t n, ms_t now, struct err *e)
{
	int64_t id;
	if (name_id(s, name, &id, e) < 0)
		return -1;
	return delta_add(s, DELTA_USAGE, id, now / MINUTE, 0, 0, 0, n, STR(""), e);
}

struct counted { /* in a minute, or on a day */
	int64_t when, n;
};

static void read_counted(sqlite3_stmt *st, struct arena *a, void *one)
{
	(void)a;
	*(struct counted *)one = (struct counted){col_int(st, 0), col_int(st, 1)};
}

int store_usage_minutes(struct store *s, struct str route, ms_t since,
	int (*row)(void *ctx, ms_t minute, int64_t n), void *ctx, struct err *e)
{
	struct rows all;
	if (deltas_flush(s, e) < 0)
		return -1;
	int rc = rows_read(s, &all, sizeof(struct counted),
		db_query(s, e,
			"SELECT u.minute, u.n FROM name r JOIN usage u ON u.route = r.id WHERE r.text = ? "
			"AND "
			"u.minute >= ? ORDER BY u.minute",
			"si", route, since / MINUTE),
		read_counted, e);
	for (const struct counted *c; (c = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, c->when * MINUTE, c->n);
	return rc;
}

int store_source_add(
	struct store *s, struct str source, struct str provider, int64_t day, int64_t n, struct err *e)
{
	return db_run(s, e,
		"INSERT INTO source_use(source, provider, day, n) VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE "
		"SET n "
		"= n + excluded.n",
		"ssii", source, provider, day, n);
}

int store_source_days(struct store *s, struct str source, struct str provider,
	int (*row)(void *ctx, int64_t day, int64_t n), void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct counted),
		db_query(s, e, "SELECT day, n FROM source_use WHERE source = ? AND provider = ? ORDER BY day",
			"ss", source, provider),
		read_counted, e);
	for (const struct counted *c; (c = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, c->when, c->n);
	return rc;
}

/* 0: none waits, -1: failed. */
static ms_t next_due_of(struct store *s, int64_t campaign, struct err *e)
{
	int64_t at;
	int rc = db_int(s, e, &at,
		"SELECT min(due) FROM delivery WHERE id >> 32 = ? AND due IS NOT NULL AND due < " PARKED, "i",
		campaign);
	return rc < 0 ? -1 : at;
}

ms_t store_ledger_next_due(struct store *s, int64_t campaign, struct err *e)
{
	int64_t id = 0;
	ms_t first = 0;
	if (campaign != 0)
		return next_due_of(s, campaign, e);
	for (;;) {
		int rc = db_int(s, e, &id,
			"SELECT id FROM campaign WHERE id > ? AND state IN (?, ?) ORDER BY id LIMIT 1", "iii",
			id, (int64_t)CAMPAIGN_RUNNING, (int64_t)CAMPAIGN_WAITING);
		if (rc <= 0)
			return rc < 0 ? -1 : first;
		ms_t at = next_due_of(s, id, e);
		if (at < 0)
			return -1;
		if (at != 0 && (first == 0 || at < first))
			first = at;
	}
}

int store_ledger_set_state(struct store *s, int64_t campaign, enum campaign_state state, struct str why,
	struct str why_text, ms_t now, struct err *e)
{
	assert(state != CAMPAIGN_INTERRUPTED);
	/* A pause or a cancellation that came in between is not undone by a deliverer that has not seen it.
	 */
	return db_run(s, e,
		"UPDATE campaign SET state = ?1, why = ?2, why_text = ?3, "
		"started = CASE WHEN ?1 = ?6 AND started = 0 AND rows > 0 THEN ?4 ELSE started END, "
		"finished = CASE WHEN ?1 IN (?7, ?8) THEN ?4 ELSE 0 END, paused_at = CASE WHEN ?1 = ?9 THEN "
		"?4 ELSE 0 END "
		"WHERE id = ?5 AND state NOT IN (?8, ?9)",
		"issiiiiii", (int64_t)state, why, why_text, now, campaign, (int64_t)CAMPAIGN_RUNNING,
		(int64_t)CAMPAIGN_FINISHED, (int64_t)CAMPAIGN_CANCELLED, (int64_t)CAMPAIGN_PAUSED);
}

int store_ledger_trim(struct store *s, struct err *e)
{
	enum { DIALOGUES = 100000, SLICE = 2000 };
	if (holds_trim(s, s->now, e) < 0)
		return -1;
	return db_run(s, e,
		"DELETE FROM dialogue WHERE id <= (SELECT max(id) FROM dialogue) - ? AND id <= (SELECT "
		"min(id) FROM "
		"dialogue) + ?",
		"ii", (int64_t)DIALOGUES, (int64_t)SLICE);
}

int store_ledger_set_live(struct store *s, int64_t campaign, const struct live *l, struct err *e)
{
	return db_run(s, e,
		"INSERT OR REPLACE INTO live(campaign, rate, bound, next_attempt, eta, connections, at) "
		"VALUES(?, ?, ?, ?, ?, ?, ?)",
		"idziiii", campaign, l->rate, l->limit, l->next_attempt, l->eta, (int64_t)l->connections,
		l->at);
}

int store_ledger_set_groups(struct store *s, const struct live_group *v, size_t n, ms_t now, struct err *e)
{
	/* Rows are written over: nothing of the second before stays, and the table does not grow. */
	for (size_t i = 0; i < n; i++)
		if (db_run(s, e,
			    "INSERT OR REPLACE INTO live_group(n, at, kind, name, route, source, state, "
			    "bound, rate, "
			    "connections, "
			    "waiting) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			    "iiisssssdii", (int64_t)i, now, (int64_t)v[i].kind, v[i].name, v[i].route,
			    v[i].source, v[i].state, v[i].limit, v[i].rate, (int64_t)v[i].connections,
			    v[i].waiting) < 0)
			return -1;
	return db_run(s, e, "DELETE FROM live_group WHERE n >= ?", "i", (int64_t)n);
}
