/* The self-check: what is kept twice must agree. Each question is put to a slice at a time. */
#include "src/db/sqlite_check.h"

#include <stdio.h>

int check_say(struct check *c, enum self_severity severity, struct str where, const char *remedy,
	const char *fmt, ...)
{
	struct buf b = BUF_INIT(2000);
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	c->found += severity >= SELF_SKIP;
	c->count->severity[severity]++;
	const struct self_finding f = {c->id, severity, where, buf_cstr(&b), remedy};
	int rc = c->o->row != NULL ? c->o->row(c->o->ctx, &f) : 0;
	buf_release(&b);
	return rc != 0 ? -1 : 0;
}

int check_step(struct check *c, const char *doing, int64_t done, int64_t of)
{
	if (c->o->step == NULL || c->o->step(c->o->ctx, doing, done, of) == 0)
		return 0;
	return err_set(c->e, ERR_AGAIN, "interrupted", "the rest was not checked");
}

/* ---- A campaign ---- */

struct totals {
	int64_t slot[TALLY_CHECKED];
	int64_t rows, below; /* below: waiting below the cursor with neither intent nor time */
	int64_t should, does,
		stand; /* of a spread one: can be claimed by domain, is kept for it, stands there in all */
	/* What is wrong by itself, whatever is summed up. */
	int64_t state, due, attempts, strays, nobody;
};

struct checked {
	int64_t id, rows, cursor, audience;
	bool cancelled, canary, spread;
	ms_t ripe_until;
	char name[512];
	int64_t sum[TALLY_CHECKED]; /* as kept */
	struct totals t;            /* as the rows say */
};

static int read_campaign(struct check *c, struct checked *k)
{
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT rows, cursor, state = 7, audience_n, canary > 0, spread, ripe_until, name, pruned < "
		"2 FROM campaign "
		"WHERE id = ?",
		"i", k->id);
	int rc = db_step(c->s, st, c->e);
	if (rc <= 0)
		return rc;
	k->rows = col_int(st, 0);
	k->cursor = col_int(st, 1);
	k->cancelled = col_int(st, 2) != 0;
	k->audience = col_int(st, 3);
	k->canary = col_int(st, 4) != 0;
	k->spread = col_int(st, 5) != 0;
	k->ripe_until = col_int(st, 6);
	snprintf(k->name, sizeof k->name, "%.*s", STR_ARG(col_str(st, 7)));
	rc = col_int(st, 8) != 0;
	db_done(st);
	return rc;
}

static int rows_window(struct check *c, struct checked *k, int64_t from, int64_t to)
{
	int rc;
	struct totals *t = &k->t;
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT d.id, d.state, d.attempts, d.due IS NOT NULL, i.delivery IS NOT NULL, d.doubted, "
		"d.due IS " PARKED ", p.id IS NOT NULL AND (d.domain = 0 OR o.id IS NOT NULL) AND (d.list = "
		"0 OR l.id IS NOT NULL) FROM "
		"delivery d LEFT JOIN intent i ON i.delivery = d.id LEFT JOIN contact p ON p.id = d.contact "
		"LEFT JOIN domain o "
		"ON o.id = d.domain LEFT JOIN list l ON l.id = d.list WHERE d.id > ? AND d.id <= ?",
		"ii", DELIVERY_ID(k->id, from), DELIVERY_ID(k->id, to));
	while ((rc = db_step(c->s, st, c->e)) == 1) {
		int64_t written = col_int(st, 1), attempts = col_int(st, 2);
		enum delivery_state state = state_from_row(written);
		bool due = col_int(st, 3) != 0, intent = col_int(st, 4) != 0;
		bool waits = state == DELIVERY_QUEUED || state == DELIVERY_DEFERRED;
		int slot = intent                  ? (int)DELIVERY_SENDING
			   : k->cancelled && waits ? (int)DELIVERY_CANCELLED
			   : k->cancelled          ? (int)state
						   : tally_of(state, attempts, due);
		t->rows++;
		t->slot[slot]++;
		t->slot[TALLY_PARKED] += slot == TALLY_FRESH && col_int(st, 6) != 0;
		t->slot[TALLY_ATTEMPTS] += attempts;
		t->slot[TALLY_DOUBTED] += col_int(st, 5) != 0;
		t->below += waits && !intent && !due && !k->cancelled &&
			    (attempts > 0 || DELIVERY_NUMBER(col_int(st, 0)) <= k->cursor) && !k->canary;
		t->state += written < 0 || written >= DELIVERY_CANCELLED || written == DELIVERY_SENT;
		t->due += due && !waits && state != DELIVERY_DOUBT;
		t->nobody += col_int(st, 7) == 0;
	}
	return rc;
}

/* Every attempt that was counted is there, with its number, and no other. */
static int attempts_window(struct check *c, struct checked *k, int64_t from, int64_t to)
{
	int64_t all, v[2];
	if (db_ints(c->s, c->e, v, 2,
		    "SELECT count(*) FILTER (WHERE d.attempts <> coalesce(a.n, 0) OR d.attempts <> "
		    "coalesce(a.last, 0)), "
		    "total(a.n) FROM delivery d LEFT JOIN (SELECT delivery, count(*) n, max(n) last FROM "
		    "attempt "
		    "WHERE delivery > ?1 "
		    "AND delivery <= ?2 GROUP BY delivery) a ON a.delivery = d.id WHERE d.id > ?1 AND d.id "
		    "<= ?2",
		    "ii", DELIVERY_ID(k->id, from), DELIVERY_ID(k->id, to)) != 1)
		return -1;
	k->t.attempts += v[0];
	if (db_int(c->s, c->e, &all, "SELECT count(*) FROM attempt WHERE delivery > ? AND delivery <= ?",
		    "ii", DELIVERY_ID(k->id, from), DELIVERY_ID(k->id, to)) < 0)
		return -1;
	k->t.strays += all - v[1];
	return 0;
}

/* A spread campaign: what should wait by domain, and does. */
static int waiting_window(struct check *c, struct checked *k, int64_t from, int64_t to)
{
	int64_t v[2];
	if (db_ints(c->s, c->e, v, 2,
		    "SELECT count(*), count(w.n) FROM delivery d LEFT JOIN intent i ON i.delivery = d.id "
		    "LEFT "
		    "JOIN "
		    "waiting w ON w.campaign = ?1 AND w.lot IN (0, 1) AND w.domain = d.domain AND w.due = "
		    "coalesce(d.due, 0) AND w.n = (d.id & 4294967295) WHERE d.id > ?2 AND d.id <= ?3 AND "
		    "i.delivery IS "
		    "NULL AND (d.due <= ?4 OR (d.due IS NULL AND d.state = " ROW_QUEUED
		    " AND d.attempts = 0))",
		    "iiii", k->id, DELIVERY_ID(k->id, from), DELIVERY_ID(k->id, to), k->ripe_until) != 1)
		return -1;
	k->t.should += v[0];
	k->t.does += v[1];
	return 0;
}

static int count_waiting(struct check *c, struct checked *k)
{
	int64_t lot = -1, domain = 0, due = 0, number = 0;
	int rc;
	do {
		int64_t seen = 0;
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT lot, domain, due, n FROM waiting WHERE campaign = ? AND (lot, domain, due, "
			"n) > (?, ?, "
			"?, ?) ORDER BY lot, domain, due, n LIMIT ?",
			"iiiiii", k->id, lot, domain, due, number, (int64_t)CHECK_WINDOW);
		if (st == NULL)
			return -1;
		for (; (rc = db_step(c->s, st, c->e)) == 1; seen++) {
			lot = col_int(st, 0);
			domain = col_int(st, 1);
			due = col_int(st, 2);
			number = col_int(st, 3);
		}
		k->t.stand += seen;
		rc = rc < 0 ? -1 : seen == CHECK_WINDOW;
	} while (rc == 1);
	return rc;
}

static int read_window(struct check *c, struct checked *k, int64_t from, int64_t to)
{
	if (rows_window(c, k, from, to) < 0 || attempts_window(c, k, from, to) < 0)
		return -1;
	if (k->spread && !k->cancelled && waiting_window(c, k, from, to) < 0)
		return -1;
	return check_step(c, "adding up deliveries", to, k->rows);
}

static int read_sums(struct check *c, struct checked *k)
{
	int rc;
	sqlite3_stmt *st = db_query(
		c->s, c->e, "SELECT slot, sum(n) FROM tally WHERE campaign = ? GROUP BY slot", "i", k->id);
	while ((rc = db_step(c->s, st, c->e)) == 1)
		if (col_int(st, 0) >= 0 && col_int(st, 0) < TALLY_CHECKED)
			k->sum[col_int(st, 0)] = col_int(st, 1);
	return rc;
}

/* Windows, sums and all in one snapshot, if that does not take too long: somebody may deliver. Else each
 * window has its own. *one tells. 0: its deliveries are erased. */
static int read_windows(struct check *c, struct checked *k, bool *one)
{
	enum { SNAPSHOT = 700 }; /* ms */
	ms_t began = clock_mono();
	int rc = read_campaign(c, k);
	*one = true;
	for (int64_t from = 0; rc == 1 && from < k->rows; from += CHECK_WINDOW) {
		int64_t to = from + CHECK_WINDOW < k->rows ? from + CHECK_WINDOW : k->rows;
		if (read_window(c, k, from, to) < 0)
			return -1;
		*one = *one && (to == k->rows || clock_mono() - began < SNAPSHOT);
		if (!*one && to < k->rows &&
			(db_script(c->s, "COMMIT", c->e) < 0 || db_script(c->s, "BEGIN", c->e) < 0))
			return -1;
	}
	if (rc == 1 && k->spread && !k->cancelled && count_waiting(c, k) < 0)
		return -1;
	return rc == 1 && read_sums(c, k) < 0 ? -1 : rc;
}

/* 1, *torn: what was read belongs to no one moment, as others wrote meanwhile. */
static int read_all(struct check *c, struct checked *k, bool *torn)
{
	bool one;
	int64_t version = store_data_version(c->s);
	if (db_script(c->s, "BEGIN", c->e) < 0)
		return -1;
	int rc = read_windows(c, k, &one);
	if (!sqlite3_get_autocommit(c->s->db) && db_script(c->s, "COMMIT", rc >= 0 ? c->e : NULL) < 0)
		rc = -1;
	*torn = !one && version != store_data_version(c->s);
	return rc;
}

static int compare(struct check *c, const struct checked *k)
{
	static const char *const extra[] = {"fresh", "to be resent", "attempts", "ever in doubt", "parked"};
	struct str where = str_from(k->name);
	for (int slot = 0; slot < TALLY_CHECKED; slot++) {
		int64_t n = k->sum[slot];
		if (n != k->t.slot[slot] &&
			check_say(c, SELF_FAIL, where, REPORT_IT,
				"%lld deliveries count as %s, the rows say %lld", (long long)n,
				slot < DELIVERY_NSTATES ? delivery_state_names[slot]
							: extra[slot - DELIVERY_NSTATES],
				(long long)k->t.slot[slot]) < 0)
			return -1;
	}
	if ((k->t.rows != k->rows || k->audience != k->rows) &&
		check_say(c, SELF_FAIL, where, REPORT_IT, "an audience of %lld has %lld deliveries",
			(long long)k->audience, (long long)k->t.rows) < 0)
		return -1;
	if (k->t.below != 0 && check_say(c, SELF_FAIL, where, REPORT_IT,
				       "%lld deliveries wait for nothing, and would never be sent",
				       (long long)k->t.below) < 0)
		return -1;
	if ((k->t.should != k->t.does || k->t.does != k->t.stand) &&
		check_say(c, SELF_FAIL, where, REPORT_IT,
			"%lld of %lld deliveries can be claimed by domain, %lld are kept for it",
			(long long)k->t.does, (long long)k->t.should, (long long)k->t.stand) < 0)
		return -1;
	return 0;
}

static int by_themselves(struct check *c, const struct checked *k)
{
	const struct {
		int64_t n;
		const char *text;
	} wrong[] = {{k->t.state, "deliveries are in no state that there is"},
		{k->t.due, "deliveries are over and yet due again"},
		{k->t.attempts, "deliveries have other attempts than they count"},
		{k->t.strays, "attempts belong to no delivery"},
		{k->t.nobody, "deliveries name a person, domain or list that is not there"}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (wrong[i].n != 0 && check_say(c, SELF_FAIL, str_from(k->name), REPORT_IT, "%lld %s",
					       (long long)wrong[i].n, wrong[i].text) < 0)
			return -1;
	return 0;
}

static int check_campaign(struct check *c, int64_t id)
{
	enum { TRIES = 3 };
	for (int try = 1;; try++) {
		struct checked k = {.id = id};
		bool torn;
		int rc = read_all(c, &k, &torn);
		if (rc <= 0)
			return rc;
		if (torn && try < TRIES)
			continue;
		if (by_themselves(c, &k) < 0)
			return -1;
		return !torn ? compare(c, &k)
			     : check_say(c, SELF_SKIP, str_from(k.name),
				       "run it again when the campaign pauses, or on a restored backup",
				       "it is written to, and too large to be added up at one moment");
	}
}

int check_campaigns(struct check *c)
{
	int64_t id = 0;
	for (;;) {
		int rc = db_int(
			c->s, c->e, &id, "SELECT id FROM campaign WHERE id > ? ORDER BY id LIMIT 1", "i", id);
		if (rc <= 0)
			return rc;
		rc = check_campaign(c, id);
		if (rc < 0)
			return rc;
	}
}

/* ---- All of it ---- */

/* A schema that the first command that writes replaces: nothing is wrong with it, and hardly anything of it
 * can be read. 1: it is an older one; -1. */
static int check_older(struct check *c)
{
	int64_t version;
	if (db_int(c->s, c->e, &version, "PRAGMA user_version", "") < 0)
		return -1;
	if (version == SCHEMA_VERSION)
		return 0;
	c->id = "schema";
	int rc = check_say(c, c->o->glance ? SELF_INFO : SELF_SKIP, STR(""),
		"`backup`, `status` and others that only read wait for that",
		"an older version wrote it; the first command that writes brings it up to date");
	return rc < 0 ? -1 : 1;
}

int store_check(struct store *s, const struct self_check *o, struct self_count *count, struct err *e)
{
	static const struct {
		const char *id, *fine;
		int (*run)(struct check *c);
		bool quick;
	} checks[] = {
		{"file", "the file is sound, page by page", check_file, false},
		{"schema", "tables and indexes are as they should be", check_schema, true},
		{"home", "it is at home on this machine", check_home, true},
		{"lease", NULL, check_lease, true},
		{"intents", "nothing is on the wire but what the sender has in hand", check_intents, false},
		{"ledger", "every delivery is in one state, and the sums add up", check_campaigns, false},
		{"relations", "what points to something points to something", check_relations, false},
		{"suppressed", "nobody was mailed after they had been suppressed", check_suppressed, false},
		{"contacts", "every person is found by their address", check_contacts, false},
		{"lists", "lists count their members rightly", check_lists, false},
		{"leftovers", "no import was left half done", check_leftovers, false},
	};
	struct check c = {.s = s, .o = o, .count = count, .e = e};
	*count = (struct self_count){.severity = {0}};
	int older = check_older(&c);
	if (older != 0)
		return older < 0 ? -1 : 0;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		if (o->glance && !checks[i].quick)
			continue;
		int alive = store_lease_get(s, clock_now(), &c.holder, e);
		if (alive < 0)
			return -1;
		c.delivered = alive == 1;
		c.id = checks[i].id;
		c.found = 0;
		if (checks[i].run(&c) < 0 ||
			(c.found == 0 && checks[i].fine != NULL &&
				check_say(&c, SELF_PASS, STR(""), NULL, "%s", checks[i].fine) < 0))
			return -1;
	}
	return 0;
}
