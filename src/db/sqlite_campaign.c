#include "src/db/sqlite.h"

#include "src/base/fault.h"
#include "src/db/campaign.h"

#include <stdio.h>
#include <stdlib.h>

const char *const campaign_state_names[CAMPAIGN_NSTATES] = {
#define X(id, name) [CAMPAIGN_##id] = name,
	CAMPAIGN_STATES(X)
#undef X
};

#define CAMPAIGN_COLUMNS                                                                                     \
	"SELECT id, name, state, why, why_text, subject, sender, message_path, content_hash, audience, "     \
	"route, rate, canary_open,"                                                                          \
	" created, start_at, until, started, finished, paused_ms, paused_at, selected, suppressed, "         \
	"unsubscribed, excluded,"                                                                            \
	" duplicate, audience_n, complaints, unsubscribes, spread, armed FROM campaign "

static void read_campaign(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct campaign_row *)one = (struct campaign_row){
		.id = col_int(st, 0),
		.name = arena_str(a, col_str(st, 1)),
		.state = (enum campaign_state)col_int(st, 2),
		.why = arena_str(a, col_str(st, 3)),
		.why_text = arena_str(a, col_str(st, 4)),
		.subject = arena_str(a, col_str(st, 5)),
		.from = arena_str(a, col_str(st, 6)),
		.message_path = arena_str(a, col_str(st, 7)),
		.content_hash = arena_str(a, col_str(st, 8)),
		.audience = arena_str(a, col_str(st, 9)),
		.route = arena_str(a, col_str(st, 10)),
		.rate = sqlite3_column_double(st, 11),
		.canary_open = col_int(st, 12) != 0,
		.created = col_int(st, 13),
		.start_at = col_int(st, 14),
		.until = col_int(st, 15),
		.started = col_int(st, 16),
		.finished = col_int(st, 17),
		.paused_ms = col_int(st, 18),
		.paused_at = col_int(st, 19),
		.selection = {col_int(st, 20), col_int(st, 21), col_int(st, 22), col_int(st, 23),
			col_int(st, 24), col_int(st, 25)},
		.complaints = col_int(st, 26),
		.unsubscribed = col_int(st, 27),
		.spread = col_int(st, 28) != 0,
		.armed = col_int(st, 29),
	};
}

static int create(struct store *s, const struct campaign_new *c, const struct content_part *parts, size_t n,
	int64_t *id, struct err *e)
{
	int64_t taken, state = c->start_at > c->now ? CAMPAIGN_SCHEDULED : CAMPAIGN_PREPARING;
	int rc = db_int(s, e, &taken, "SELECT 1 FROM campaign WHERE name = ?", "s", c->name);
	if (rc == 1)
		return err_set(e, ERR_DATA, "campaign", "the name \"%.*s\" is taken", STR_ARG(c->name));
	if (rc < 0 ||
		db_run(s, e,
			"INSERT INTO campaign(id, name, state, subject, sender, message_path, content_hash, "
			"audience, route, rate, canary, "
			"canary_open, created, start_at, until, spread, ripe_until) VALUES((SELECT "
			"max(coalesce((SELECT max(id) FROM campaign), 0) + 1, coalesce((SELECT value FROM "
			"meta WHERE name = 'campaign_from'), 0))), ?, ?, ?, ?, ?, ?, "
			"?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"sissssssdiiiiiii", c->name, state, c->subject, c->from, c->message_path,
			c->content_hash, c->audience, c->route, c->rate, c->canary, (int64_t)(c->canary > 0),
			c->now, c->start_at != 0 ? c->start_at : c->now, c->until, (int64_t)c->spread,
			c->now) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(s->db);
	for (size_t i = 0; i < n; i++)
		if (db_run(s, e, "INSERT INTO content(campaign, n, name, data) VALUES(?, ?, ?, ?)", "iisb",
			    *id, (int64_t)i, parts[i].name, parts[i].data) < 0)
			return -1;
	return history_note(s, c->now, "campaign create", c->name, e, "%.*s", STR_ARG(c->message_path));
}

int store_campaign_create(struct store *s, const struct campaign_new *c, const struct content_part *parts,
	size_t n, int64_t *id, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = create(s, c, parts, n, id, e);
	fault_point("launch-before");
	rc = db_end(s, rc, e);
	fault_point("launch-after");
	return rc;
}

int store_campaign_get(struct store *s, struct str name, struct campaign_row *out, struct err *e)
{
	int rc = row_lend(s, LENT_CAMPAIGN, db_query(s, e, CAMPAIGN_COLUMNS "WHERE name = ?", "s", name),
		read_campaign, out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "campaign", "there is no campaign \"%.*s\"", STR_ARG(name));
	return rc < 0 ? -1 : 0;
}

int store_campaign_by_id(struct store *s, int64_t id, struct campaign_row *out, struct err *e)
{
	int rc = row_lend(s, LENT_CAMPAIGN, db_query(s, e, CAMPAIGN_COLUMNS "WHERE id = ?", "i", id),
		read_campaign, out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "campaign", "there is no such campaign");
	return rc < 0 ? -1 : 0;
}

/* Campaigns are few beside everything else: a listing is read whole before it is shown. */
static int walk(struct store *s, sqlite3_stmt *st, int (*row)(void *ctx, const struct campaign_row *c),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct campaign_row), st, read_campaign, e);
	for (const struct campaign_row *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

int store_campaigns(struct store *s, bool unfinished_only,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e)
{
	return walk(s,
		db_query(s, e, CAMPAIGN_COLUMNS "WHERE ? = 0 OR state NOT IN (?, ?) ORDER BY id", "iii",
			(int64_t)unfinished_only, (int64_t)CAMPAIGN_FINISHED, (int64_t)CAMPAIGN_CANCELLED),
		row, ctx, e);
}

int store_campaigns_with_content(struct store *s, struct str content_hash, ms_t since,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e)
{
	return walk(s,
		db_query(s, e, CAMPAIGN_COLUMNS "WHERE content_hash = ? AND created >= ? ORDER BY id DESC",
			"si", content_hash, since),
		row, ctx, e);
}

int store_content(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct content_part *p),
	void *ctx, struct err *e)
{
	struct buf name = BUF_INIT(1u << 20), data = BUF_INIT(1u << 30);
	int64_t after = -1;
	int rc = 0;
	while (rc == 0) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT n, name, data FROM content WHERE campaign = ? AND n > ? ORDER BY n LIMIT 1",
			"ii", campaign, after);
		rc = db_step(s, st, e);
		if (rc <= 0)
			break;
		after = col_int(st, 0);
		buf_clear(&name);
		buf_clear(&data);
		buf_str(&name, col_str(st, 1));
		buf_str(&data, col_str(st, 2));
		db_done(st);
		rc = name.failed || data.failed ? db_nomem(e) : 0;
		if (rc == 0)
			rc = row(ctx, &(struct content_part){buf_get(&name), buf_get(&data)});
	}
	buf_release(&name);
	buf_release(&data);
	return rc;
}

/* ---- What people ask ---- */

static int refuse(const struct campaign_row *c, const char *what, struct err *e)
{
	return err_set(e, ERR_DATA, what, "campaign \"%.*s\" is %s", STR_ARG(c->name),
		campaign_state_names[c->state]);
}

static int pause_campaign(
	struct store *s, int64_t id, struct str why, struct str why_text, ms_t now, struct err *e)
{
	struct campaign_row c;
	if (store_campaign_by_id(s, id, &c, e) < 0)
		return -1;
	if (c.state == CAMPAIGN_FINISHED || c.state == CAMPAIGN_CANCELLED || c.state == CAMPAIGN_PAUSED)
		return refuse(&c, "pause", e);
	if (db_run(s, e, "UPDATE campaign SET state = ?, why = ?, why_text = ?, paused_at = ? WHERE id = ?",
		    "issii", (int64_t)CAMPAIGN_PAUSED, why, why_text, now, id) < 0)
		return -1;
	return history_note(s, now, "pause", c.name, e, "%.*s", STR_ARG(why));
}

int store_campaign_pause(
	struct store *s, int64_t id, struct str why, struct str why_text, ms_t now, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, pause_campaign(s, id, why, why_text, now, e), e);
}

/* One slice of those that shall not wait any longer. Returns 1 while there are more. */
static int hurry_slice(struct store *s, int64_t id, ms_t at, struct err *e)
{
	int64_t spread;
	if (db_int(s, e, &spread, "SELECT spread FROM campaign WHERE id = ?", "i", id) < 0)
		return -1;
	if (spread != 0)
		return waiting_hurry(s, id, at, e);
	if (db_run(s, e,
		    "UPDATE delivery SET due = ?2 WHERE id IN (SELECT id FROM delivery WHERE id >> 32 = ?1 "
		    "AND due IS NOT NULL AND "
		    "due > ?2 AND due < " PARKED " ORDER BY due DESC LIMIT 1000)",
		    "ii", id, at) < 0)
		return -1;
	return sqlite3_changes64(s->db) != 0;
}

static int resend_one(struct store *s, int64_t delivery, ms_t at, struct err *e)
{
	int64_t campaign = DELIVERY_CAMPAIGN(delivery);
	sqlite3_stmt *st = db_query(s, e, "SELECT domain, doubted FROM delivery WHERE id = ?", "i", delivery);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	int64_t domain = col_int(st, 0), doubted = col_int(st, 1), provider;
	db_done(st);
	if (doubted > 1)
		return 0;
	const struct domain_info *d = domain_info(s, domain, e);
	if (d == NULL || tally_provider(s, d, campaign, &provider, e) < 0 ||
		db_run(s, e, "UPDATE delivery SET due = ?, skip = NULL WHERE id = ?", "ii", at, delivery) <
			0 ||
		db_run(s, e, "DELETE FROM doubt WHERE delivery = ?", "i", delivery) < 0 ||
		waiting_put(s, delivery, domain, at, e) < 0)
		return -1;
	return tally_move(s, campaign, provider, DELIVERY_DOUBT, TALLY_RESEND, e);
}

/* Those in doubt that were not sent a second time yet, a slice of them. */
static int resend_slice(struct store *s, int64_t *after, int64_t end, ms_t at, struct err *e)
{
	int64_t id;
	for (int n = 0; n < 500; n++) {
		int rc = db_int(s, e, &id,
			"SELECT delivery FROM doubt WHERE delivery > ? AND delivery <= ? ORDER BY delivery "
			"LIMIT 1",
			"ii", *after, end);
		if (rc <= 0)
			return rc;
		if (resend_one(s, id, at, e) < 0)
			return -1;
		*after = id;
	}
	return 1;
}

static bool is_over(const struct campaign_row *c, const struct resume_options *o)
{
	return c->state == CAMPAIGN_FINISHED && o->doubt != 1;
}

/* One that was cancelled is left as it is, at each step. */
static int not_cancelled(struct store *s, int64_t id, struct campaign_row *c, struct err *e)
{
	if (store_campaign_by_id(s, id, c, e) < 0)
		return -1;
	return c->state == CAMPAIGN_CANCELLED ? refuse(c, "resume", e) : 0;
}

struct settling {
	int64_t id, after; /* after: a delivery … */
	ms_t due;          /* … that is due then */
	const struct resume_options *o;
	int (*step)(struct store *s, struct settling *w, struct err *e);
};

struct doubtful {
	int64_t id, domain;
	ms_t due;
};

/* What was to be sent again is left as it is. */
static int drop_one(struct store *s, int64_t campaign, const struct doubtful *d, struct err *e)
{
	int64_t provider;
	const struct domain_info *domain = domain_info(s, d->domain, e);
	if (domain == NULL || tally_provider(s, domain, campaign, &provider, e) < 0 ||
		db_run(s, e, "UPDATE delivery SET due = NULL WHERE id = ?", "i", d->id) < 0 ||
		db_run(s, e, "INSERT OR IGNORE INTO doubt(delivery) VALUES(?)", "i", d->id) < 0 ||
		waiting_drop(s, d->id, d->domain, d->due, e) < 0)
		return -1;
	return tally_move(s, campaign, provider, TALLY_RESEND, DELIVERY_DOUBT, e);
}

enum { LOOK = 2000 };

/* From a query for what waits; returns how many it gave. */
static int take_doubtful(
	struct store *s, sqlite3_stmt *st, struct settling *w, struct doubtful *v, int *n, struct err *e)
{
	int looked = 0, rc;
	for (; (rc = db_step(s, st, e)) == 1; looked++) {
		w->after = col_int(st, 0);
		w->due = col_int(st, 2);
		if (state_from_row(col_int(st, 3)) == DELIVERY_DOUBT)
			v[(*n)++] = (struct doubtful){w->after, col_int(st, 1), w->due};
	}
	return rc < 0 ? -1 : looked;
}

/* A slice of all that waits for a time, in the order of the index over times: they may be many, and few of
 * them in doubt. Many may have one time. */
static int drop_slice(struct store *s, struct settling *w, struct err *e)
{
	struct doubtful v[LOOK];
	int n = 0, rest = 0;
	int same = take_doubtful(s,
		db_query(s, e,
			"SELECT id, domain, due, state FROM delivery WHERE id >> 32 = ? AND due = ? AND id > "
			"? ORDER BY id LIMIT ?",
			"iiii", w->id, w->due, w->after, (int64_t)LOOK),
		w, v, &n, e);
	if (same >= 0 && same < LOOK)
		rest = take_doubtful(s,
			db_query(s, e,
				"SELECT id, domain, due, state FROM delivery WHERE id >> 32 = ? AND due IS "
				"NOT NULL AND due > ? ORDER BY due, id LIMIT ?",
				"iii", w->id, w->due, (int64_t)LOOK - same),
			w, v, &n, e);
	if (same < 0 || rest < 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (drop_one(s, w->id, &v[i], e) < 0)
			return -1;
	return same + rest == LOOK;
}

static int doubt_slice(struct store *s, struct settling *w, struct err *e)
{
	return w->o->doubt == 1 ? resend_slice(s, &w->after, DELIVERY_ID(w->id, 0xffffffff), w->o->at, e)
				: drop_slice(s, w, e);
}

static int due_slice(struct store *s, struct settling *w, struct err *e)
{
	return hurry_slice(s, w->id, w->o->at, e);
}

static int parked_slice(struct store *s, struct settling *w, struct err *e)
{
	return unpark_slice(s, w->id, w->o->at, e);
}

static int settle_slice(struct store *s, void *ctx, struct err *e)
{
	struct settling *w = ctx;
	struct campaign_row c;
	return not_cancelled(s, w->id, &c, e) < 0 ? -1 : w->step(s, w, e);
}

static int settle(struct store *s, struct settling *w,
	int (*step)(struct store *s, struct settling *w, struct err *e), struct err *e)
{
	w->step = step;
	return db_slices(s, settle_slice, w, e);
}

static int resume_campaign(struct store *s, int64_t id, const struct resume_options *o, struct err *e)
{
	struct campaign_row c;
	if (not_cancelled(s, id, &c, e) < 0)
		return -1;
	if (is_over(&c, o)) /* since a moment ago */
		return 0;
	if (lift_pauses(s, id, o->past_brake, e) < 0)
		return -1;
	if (o->past_brake && db_run(s, e, "UPDATE campaign SET armed = ? WHERE id = ?", "ii", o->at, id) < 0)
		return -1;
	if (o->rate >= 0 && db_run(s, e, "UPDATE campaign SET rate = ? WHERE id = ?", "di", o->rate, id) < 0)
		return -1;
	if (str_is(c.why, "canary") && c.state == CAMPAIGN_PAUSED &&
		(waiting_canary_over(s, id, e) < 0 ||
			db_run(s, e, "UPDATE campaign SET canary_open = 0 WHERE id = ?", "i", id) < 0 ||
			db_run(s, e, "DELETE FROM canary WHERE campaign = ? AND taken = 0", "i", id) < 0))
		return -1;
	/* Where its audience is not fixed yet it goes on with that, or waits for its hour. */
	if ((c.state == CAMPAIGN_PAUSED || c.state == CAMPAIGN_FINISHED) &&
		db_run(s, e,
			"UPDATE campaign SET state = CASE WHEN started <> 0 THEN ?1 WHEN start_at > ?2 THEN "
			"?3 ELSE ?4 END, why = '', "
			"why_text = '', finished = 0, paused_ms = paused_ms + CASE WHEN paused_at <> 0 AND "
			"?2 > paused_at THEN ?2 - "
			"paused_at ELSE 0 END, paused_at = 0 WHERE id = ?5",
			"iiiii", (int64_t)CAMPAIGN_RUNNING, o->at, (int64_t)CAMPAIGN_SCHEDULED,
			(int64_t)CAMPAIGN_PREPARING, id) < 0)
		return -1;
	/* Paused for those in doubt, it has nothing else left. */
	if (c.state == CAMPAIGN_PAUSED && str_is(c.why, "doubt") && o->doubt == 0 &&
		db_run(s, e, "UPDATE campaign SET state = ?, finished = ? WHERE id = ?", "iii",
			(int64_t)CAMPAIGN_FINISHED, o->at, id) < 0)
		return -1;
	if (c.state == CAMPAIGN_WAITING && (o->now || o->doubt == 1) &&
		db_run(s, e, "UPDATE campaign SET state = ? WHERE id = ?", "ii", (int64_t)CAMPAIGN_RUNNING,
			id) < 0)
		return -1;
	return history_note(s, o->at, "resume", c.name, e, "%s%s%s", o->past_brake ? "past-brake " : "",
		o->now ? "now " : "",
		o->doubt == 1   ? "doubt=resend"
		: o->doubt == 0 ? "doubt=skip"
				: "");
}

int store_campaign_resume(struct store *s, int64_t id, const struct resume_options *o, struct err *e)
{
	struct settling w = {.id = id, .after = DELIVERY_ID(id, 0), .o = o};
	struct campaign_row c;
	if (not_cancelled(s, id, &c, e) < 0)
		return -1;
	if (is_over(&c, o))
		return refuse(&c, "resume", e);
	/* First: whoever delivers ends a campaign that runs and has nothing left. */
	if (o->doubt >= 0 && settle(s, &w, doubt_slice, e) < 0)
		return -1;
	if (db_begin(s, e) < 0 || db_end(s, resume_campaign(s, id, o, e), e) < 0)
		return -1;
	if (o->now && settle(s, &w, due_slice, e) < 0)
		return -1;
	/* Last: a claim parks again what is of a provider that is still paused. */
	return settle(s, &w, parked_slice, e);
}

/* The tallies move, the rows stay: they read as cancelled by the campaign's state (sqlite_report.c). What is
 * in doubt may have arrived and stays in doubt. */
static int cancel_campaign(struct store *s, int64_t id, ms_t now, struct err *e)
{
	struct campaign_row c;
	if (store_campaign_by_id(s, id, &c, e) < 0)
		return -1;
	if (c.state == CAMPAIGN_FINISHED || c.state == CAMPAIGN_CANCELLED)
		return refuse(&c, "cancel", e);
	if (db_run(s, e,
		    "INSERT INTO tally(campaign, provider, slot, n) SELECT campaign, provider, CASE slot "
		    "WHEN ?2 THEN ?3 ELSE ?4 END, "
		    "sum(n) FROM tally WHERE campaign = ?1 AND slot IN (?2, ?5, ?6, ?7) GROUP BY 1, 2, 3 "
		    "ON CONFLICT DO UPDATE SET n = n + excluded.n",
		    "iiiiiii", id, (int64_t)TALLY_RESEND, (int64_t)DELIVERY_DOUBT,
		    (int64_t)DELIVERY_CANCELLED, (int64_t)DELIVERY_QUEUED, (int64_t)DELIVERY_DEFERRED,
		    (int64_t)TALLY_FRESH) < 0 ||
		db_run(s, e, "UPDATE tally SET n = 0 WHERE campaign = ? AND slot IN (?, ?, ?, ?, ?)",
			"iiiiii", id, (int64_t)TALLY_RESEND, (int64_t)DELIVERY_QUEUED,
			(int64_t)DELIVERY_DEFERRED, (int64_t)TALLY_FRESH, (int64_t)TALLY_PARKED) < 0 ||
		db_run(s, e,
			"UPDATE campaign SET state = ?, why = '', why_text = '', finished = ? WHERE id = ?",
			"iii", (int64_t)CAMPAIGN_CANCELLED, now, id) < 0)
		return -1;
	return history_note(s, now, "cancel", c.name, e, "%s", "");
}

int store_campaign_cancel(struct store *s, int64_t id, ms_t now, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, cancel_campaign(s, id, now, e), e);
}

int store_campaign_set_rate(struct store *s, int64_t id, double rate, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, db_run(s, e, "UPDATE campaign SET rate = ? WHERE id = ?", "di", rate, id), e);
}
