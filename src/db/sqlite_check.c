/* The self-check: what is kept twice must agree. Each question is put to a slice at a time. */
#include "src/db/sqlite.h"

#include <stdlib.h>

enum { WINDOW = 20000 };

struct check {
	struct store *s;
	int (*row)(void *ctx, const char *what);
	void *ctx;
	int64_t problems;
	struct err *e;
};

static int problem(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int problem(struct check *c, const char *fmt, ...)
{
	struct buf b = BUF_INIT(1000);
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	c->problems++;
	int rc = c->row != NULL ? c->row(c->ctx, buf_cstr(&b)) : 0;
	buf_release(&b);
	return rc;
}

/* ---- A campaign ---- */

struct totals {
	int64_t slot[TALLY_CHECKED];
	int64_t rows, below; /* waiting below the cursor with neither intent nor time */
};

static int campaign_window(struct check *c, int64_t campaign, int64_t from, int64_t to, bool cancelled,
	int64_t cursor, bool canary, struct totals *t)
{
	int rc;
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT d.id, d.state, d.attempts, d.due IS NOT NULL, i.delivery IS NOT NULL, d.doubted, "
		"d.due IS " PARKED " FROM "
		"delivery d "
		"LEFT JOIN intent i ON i.delivery = d.id WHERE d.id > ? AND d.id <= ?",
		"ii", DELIVERY_ID(campaign, from), DELIVERY_ID(campaign, to));
	if (st == NULL)
		return -1;
	while ((rc = db_step(c->s, st, c->e)) == 1) {
		enum delivery_state state = state_from_row(col_int(st, 1));
		int64_t attempts = col_int(st, 2);
		bool due = col_int(st, 3) != 0, intent = col_int(st, 4) != 0;
		bool waits = state == DELIVERY_QUEUED || state == DELIVERY_DEFERRED;
		int slot = intent               ? (int)DELIVERY_SENDING
			   : cancelled && waits ? (int)DELIVERY_CANCELLED
			   : cancelled          ? (int)state
						: tally_of(state, attempts, due);
		t->rows++;
		t->slot[slot]++;
		t->slot[TALLY_PARKED] += slot == TALLY_FRESH && col_int(st, 6) != 0;
		t->slot[TALLY_ATTEMPTS] += attempts;
		t->slot[TALLY_DOUBTED] += col_int(st, 5) != 0;
		if (waits && !intent && !due && !cancelled &&
			(attempts > 0 || DELIVERY_NUMBER(col_int(st, 0)) <= cursor) && !canary)
			t->below++;
	}
	return rc;
}

/* A spread campaign: what should wait by domain, and does. */
static int waiting_window(struct check *c, int64_t campaign, int64_t from, int64_t to, ms_t ripe_until,
	int64_t *should, int64_t *does)
{
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT count(*), count(w.n) FROM delivery d LEFT JOIN intent i ON i.delivery = d.id LEFT "
		"JOIN "
		"waiting w ON w.campaign = ?1 AND w.lot IN (0, 1) AND w.domain = d.domain AND w.due = "
		"coalesce(d.due, 0) AND w.n = (d.id & 4294967295) WHERE d.id > ?2 AND d.id <= ?3 AND "
		"i.delivery IS "
		"NULL AND (d.due <= ?4 OR (d.due IS NULL AND d.state = " ROW_QUEUED " AND d.attempts = 0))",
		"iiii", campaign, DELIVERY_ID(campaign, from), DELIVERY_ID(campaign, to), ripe_until);
	int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
	if (rc != 1)
		return -1;
	*should += col_int(st, 0);
	*does += col_int(st, 1);
	db_done(st);
	return 0;
}

static int count_waiting(struct check *c, int64_t campaign, int64_t *n)
{
	int64_t lot = -1, domain = 0, due = 0, number = 0;
	int rc;
	do {
		int64_t seen = 0;
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT lot, domain, due, n FROM waiting WHERE campaign = ? AND (lot, domain, due, "
			"n) > (?, ?, "
			"?, ?) ORDER BY lot, domain, due, n LIMIT ?",
			"iiiiii", campaign, lot, domain, due, number, (int64_t)WINDOW);
		if (st == NULL)
			return -1;
		for (; (rc = db_step(c->s, st, c->e)) == 1; seen++) {
			lot = col_int(st, 0);
			domain = col_int(st, 1);
			due = col_int(st, 2);
			number = col_int(st, 3);
		}
		*n += seen;
		rc = rc < 0 ? -1 : seen == WINDOW;
	} while (rc == 1);
	return rc;
}

static int check_waiting(struct check *c, int64_t campaign, int64_t rows, ms_t ripe_until)
{
	int64_t should = 0, does = 0, stand = 0, version = store_data_version(c->s);
	for (int64_t from = 0; from < rows; from += WINDOW)
		if (waiting_window(c, campaign, from, from + WINDOW < rows ? from + WINDOW : rows, ripe_until,
			    &should, &does) < 0)
			return -1;
	if (count_waiting(c, campaign, &stand) < 0)
		return -1;
	if ((should == does && does == stand) || version != store_data_version(c->s))
		return 0;
	return problem(c,
		"campaign %lld: %lld of %lld deliveries can be claimed by domain, %lld are kept for it",
		(long long)campaign, (long long)does, (long long)should, (long long)stand);
}

static int compare(struct check *c, int64_t campaign, const struct totals *t)
{
	static const char *const extra[] = {"fresh", "to be resent", "attempts", "ever in doubt", "parked"};
	for (int slot = 0; slot < TALLY_CHECKED; slot++) {
		int64_t n;
		if (db_int(c->s, c->e, &n, "SELECT sum(n) FROM tally WHERE campaign = ? AND slot = ?", "ii",
			    campaign, (int64_t)slot) < 0)
			return -1;
		if (n == t->slot[slot])
			continue;
		int rc = problem(c, "campaign %lld: %lld deliveries count as %s, the rows say %lld",
			(long long)campaign, (long long)n,
			slot < DELIVERY_NSTATES ? delivery_state_names[slot] : extra[slot - DELIVERY_NSTATES],
			(long long)t->slot[slot]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int check_campaign(struct check *c, int64_t campaign)
{
	struct totals t = {.rows = 0};
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT rows, cursor, state = 7, audience_n, state, canary > 0, spread, ripe_until FROM "
		"campaign "
		"WHERE id = ? AND pruned < 2",
		"i", campaign);
	int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
	if (rc <= 0)
		return rc;
	int64_t rows = col_int(st, 0), cursor = col_int(st, 1), audience = col_int(st, 3), version;
	bool cancelled = col_int(st, 2) != 0, canary = col_int(st, 5) != 0;
	bool spread = col_int(st, 6) != 0;
	ms_t ripe_until = col_int(st, 7);
	db_done(st);
	version = store_data_version(c->s);
	rc = 0;
	for (int64_t from = 0; from < rows && rc >= 0; from += WINDOW)
		rc = campaign_window(c, campaign, from, from + WINDOW < rows ? from + WINDOW : rows,
			cancelled, cursor, canary, &t);
	if (rc < 0)
		return -1;
	/* Written meanwhile: what was read of it belongs to no one moment. */
	if (version != store_data_version(c->s))
		return 0;
	if (t.rows != rows || audience != rows)
		rc = problem(c, "campaign %lld: an audience of %lld has %lld deliveries", (long long)campaign,
			(long long)audience, (long long)t.rows);
	if (rc == 0 && t.below != 0)
		rc = problem(c, "campaign %lld: %lld deliveries wait for nothing", (long long)campaign,
			(long long)t.below);
	if (rc == 0 && spread && !cancelled)
		rc = check_waiting(c, campaign, rows, ripe_until);
	return rc != 0 ? rc : compare(c, campaign, &t);
}

static int check_campaigns(struct check *c)
{
	int64_t id = 0;
	for (;;) {
		int rc = db_int(
			c->s, c->e, &id, "SELECT id FROM campaign WHERE id > ? ORDER BY id LIMIT 1", "i", id);
		if (rc <= 0)
			return rc;
		rc = check_campaign(c, id);
		if (rc != 0)
			return rc;
	}
}

/* ---- Nobody was mailed after they were suppressed ---- */

enum { CLOCKS = 60 * 1000 }; /* ms that the clocks of two processes, and a wait for the lock, may make */

struct suppressed {
	int64_t hash, list, contact;
	ms_t created;
};

/* Deliveries of that person whose only attempt was claimed later than that. A suppression that came with an
 * import was seen later than its date says, so those (born <> 0) are not looked at. */
static int mailed_after(struct check *c, const struct suppressed *sup)
{
	int64_t campaign = 0, n, late;
	for (;;) {
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT id, rows FROM campaign WHERE id > ? AND rows > 0 ORDER BY id LIMIT 1", "i",
			campaign);
		int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
		if (rc <= 0)
			return rc;
		campaign = col_int(st, 0);
		int64_t rows = col_int(st, 1);
		db_done(st);
		if (delivery_bisect(c->s, campaign, rows, sup->contact, &n, c->e) < 0)
			return -1;
		rc = db_int(c->s, c->e, &late,
			"SELECT 1 FROM delivery WHERE id = ? AND contact = ? AND attempts = 1 AND first > ? "
			"AND (?4 = 0 OR list = ?4)",
			"iiii", DELIVERY_ID(campaign, n), sup->contact, sup->created + CLOCKS, sup->list);
		if (rc == 1)
			rc = problem(c,
				"campaign %lld: delivery %lld was tried after its address had been "
				"suppressed",
				(long long)campaign, (long long)DELIVERY_ID(campaign, n));
		if (rc != 0)
			return rc;
	}
}

/* The contact of the first suppression behind *hash, or 0 with none. */
static int next_suppressed(struct check *c, struct suppressed *sup)
{
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT s.hash, s.list, s.created, coalesce(k.id, 0) FROM suppression s LEFT JOIN address a "
		"ON a.hash = s.hash "
		"LEFT JOIN contact k ON k.id = a.contact AND coalesce(k.key, k.address) = s.key "
		"WHERE (s.hash, s.list) > (?, ?) AND s.born = 0 AND s.held_until = 0 ORDER BY s.hash, s.list "
		"LIMIT 1",
		"ii", sup->hash, sup->list);
	int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
	if (rc == 1) {
		*sup = (struct suppressed){col_int(st, 0), col_int(st, 1), col_int(st, 3), col_int(st, 2)};
		db_done(st);
	}
	return rc;
}

static int check_suppressed(struct check *c)
{
	struct suppressed sup = {INT64_MIN, INT64_MAX, 0, 0};
	int rc;
	while ((rc = next_suppressed(c, &sup)) == 1)
		if (sup.contact != 0 && (rc = mailed_after(c, &sup)) != 0)
			break;
	return rc;
}

/* ---- Contacts and their index ---- */

static int contact_window(struct check *c, int64_t from, int64_t *missing)
{
	int rc;
	int64_t n;
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT id, coalesce(key, address) FROM contact WHERE id > ? AND id <= ? AND address <> '' "
		"AND" VISIBLE("born"),
		"ii", from, from + WINDOW);
	if (st == NULL)
		return -1;
	while ((rc = db_step(c->s, st, c->e)) == 1) {
		int found = db_int(c->s, c->e, &n, "SELECT 1 FROM address WHERE hash = ? AND contact = ?",
			"ii", (int64_t)hash64(col_str(st, 1)), col_int(st, 0));
		if (found < 0) {
			db_done(st);
			return -1;
		}
		*missing += found == 0;
	}
	return rc;
}

static int check_contacts(struct check *c)
{
	int64_t last, missing = 0;
	if (db_int(c->s, c->e, &last, "SELECT max(id) FROM contact", "") < 0)
		return -1;
	for (int64_t from = 0; from < last; from += WINDOW)
		if (contact_window(c, from, &missing) < 0)
			return -1;
	return missing != 0 ? problem(c, "%lld people cannot be found by their address", (long long)missing)
			    : 0;
}

static int check_list(struct check *c, int64_t list, int64_t says)
{
	int64_t after = 0, n = 0;
	int64_t version = store_data_version(c->s);
	for (;;) {
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT count(*), max(contact) FROM (SELECT contact FROM member WHERE list = ? AND "
			"contact > ? AND" VISIBLE("born") "ORDER BY contact LIMIT 20000)",
			"ii", list, after);
		int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
		if (rc < 0)
			return -1;
		int64_t more = col_int(st, 0);
		after = col_int(st, 1);
		db_done(st);
		n += more;
		if (more == 0)
			break;
	}
	if (n != says && version == store_data_version(c->s))
		return problem(c, "list %lld: it counts %lld members and has %lld", (long long)list,
			(long long)says, (long long)n);
	return 0;
}

static int check_lists(struct check *c)
{
	int64_t id = 0;
	for (;;) {
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT id, members FROM list WHERE id > ? AND gone = 0 ORDER BY id LIMIT 1", "i",
			id);
		int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
		if (rc <= 0)
			return rc;
		id = col_int(st, 0);
		int64_t members = col_int(st, 1);
		db_done(st);
		rc = check_list(c, id, members);
		if (rc != 0)
			return rc;
	}
}

/* One long look at the whole file: not while somebody delivers. */
static int check_file(struct check *c)
{
	struct holder h;
	int alive = store_lease_get(c->s, clock_now(), &h, c->e);
	if (alive != 0)
		return alive < 0 ? -1 : 0;
	sqlite3_stmt *st = db_query(c->s, c->e, "PRAGMA quick_check(1)", "");
	int rc = st != NULL ? db_step(c->s, st, c->e) : -1;
	if (rc <= 0)
		return rc;
	bool fine = str_is(col_str(st, 0), "ok");
	struct buf what = BUF_INIT(500);
	buf_str(&what, col_str(st, 0));
	db_done(st);
	rc = fine ? 0 : problem(c, "the file: %s", buf_cstr(&what));
	buf_release(&what);
	return rc;
}

int store_check(
	struct store *s, int (*row)(void *ctx, const char *what), void *ctx, int64_t *problems, struct err *e)
{
	struct check c = {s, row, ctx, 0, e};
	int (*const checks[])(struct check *) = {
		check_file, check_campaigns, check_suppressed, check_contacts, check_lists};
	int rc = 0;
	for (size_t i = 0; i < sizeof checks / sizeof *checks && rc == 0; i++)
		rc = checks[i](&c);
	*problems = c.problems;
	return rc;
}
