/* The self-check of the file, of who holds it, of what points somewhere, and of what was left behind. */
#include "src/db/sqlite_check.h"

#include "src/db/copies.h"
#include "src/db/sqlite_schema.h"

#include <stdio.h>

/* ---- The file ---- */

int check_file(struct check *c)
{
	struct buf what = BUF_INIT(2000);
	if (c->delivered)
		return check_say(c, SELF_SKIP, STR(""), "run it when nobody sends, or on a restored backup",
			"the file is not read page by page while pid %lld on %s (%s) sends: that takes one "
			"long look",
			(long long)c->holder.pid, c->holder.host, c->holder.what);
	int rc = store_integrity(c->s, c->o->step, c->o->ctx, &what, c->e);
	if (rc == 0)
		rc = check_say(c, SELF_FAIL, STR(""),
			"restore a backup; a file that was copied while somebody wrote to it looks like "
			"this: use postrider backup",
			"the file is damaged: %.1000s", buf_cstr(&what));
	buf_release(&what);
	return rc < 0 ? -1 : 0;
}

/* ---- The schema: as a new database has it ---- */

static int count_objects(sqlite3 *db, const char *sql, struct str type, struct str name, struct str text)
{
	sqlite3_stmt *st;
	int found = -1;
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	db_bind(st, "sss", type, name, text);
	if (sqlite3_step(st) == SQLITE_ROW)
		found = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return found;
}

/* Which tables and indexes of `from` are not in `in`, or otherwise. */
static int compare_schemas(struct check *c, sqlite3 *from, sqlite3 *in, const char *fmt)
{
	sqlite3_stmt *st;
	int rc = 0;
	if (sqlite3_prepare_v2(from,
		    "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
		    -1, &st, NULL) != SQLITE_OK)
		return db_error(c->s, "schema", c->e);
	while (rc == 0 && sqlite3_step(st) == SQLITE_ROW) {
		int there = count_objects(in,
			"SELECT count(*) FROM sqlite_schema WHERE type = ? AND name = ? AND coalesce(sql, "
			"'') = ?",
			col_str(st, 0), col_str(st, 1), col_str(st, 2));
		if (there < 0)
			rc = err_set(c->e, ERR_IO, "schema", "%s", sqlite3_errmsg(in));
		else if (there == 0)
			rc = check_say(c, SELF_FAIL, col_str(st, 1),
				"restore a backup; never change the database from outside", "%s", fmt);
	}
	sqlite3_finalize(st);
	return rc;
}

int check_schema(struct check *c)
{
	sqlite3 *fresh = NULL;
	int rc = sqlite3_open(":memory:", &fresh) == SQLITE_OK ? 0 : db_nomem(c->e);
	for (int v = 0; v < SCHEMA_VERSION && rc == 0; v++)
		if (sqlite3_exec(fresh, schema_steps[v], NULL, NULL, NULL) != SQLITE_OK)
			rc = err_set(c->e, ERR_INTERNAL, "schema", "%s", sqlite3_errmsg(fresh));
	if (rc == 0)
		rc = compare_schemas(c, fresh, c->s->db, "it is not in the database, or is made otherwise");
	if (rc == 0)
		rc = compare_schemas(c, c->s->db, fresh,
			"it is in the database and does not belong there, or is made otherwise");
	sqlite3_close(fresh);
	return rc;
}

/* ---- Whose it is ---- */

int check_home(struct check *c)
{
	ms_t as_of, at;
	char span[CLOCK_TEXT];
	int home = store_is_home(c->s, c->e), adopted = store_adopted(c->s, &as_of, &at, c->e);
	if (home < 0 || adopted < 0)
		return -1;
	if (home == 0 &&
		check_say(c, SELF_WARN, STR(""),
			"`postrider adopt` makes it at home here; the original must not send any more",
			"it is a copy: another machine or place is its home, and it is only read here") < 0)
		return -1;
	return adopted == 1 ? check_say(c, SELF_INFO, STR(""),
				      "bring in who unsubscribed meanwhile, if that is not done",
				      "it was a copy once, and does not know what happened elsewhere in the "
				      "%s before it was adopted",
				      clock_span_text(at - as_of, span))
			    : 0;
}

int check_lease(struct check *c)
{
	int64_t held;
	if (c->delivered)
		return check_say(c, SELF_PASS, STR(""), NULL,
			"pid %lld on %s (%s) delivers, heard of %lld s ago", (long long)c->holder.pid,
			c->holder.host, c->holder.what,
			(long long)((clock_now() - c->holder.heartbeat) / SECOND));
	if (db_int(c->s, c->e, &held, "SELECT held FROM lease WHERE id = 1", "") < 0)
		return -1;
	return held == 0 ? check_say(c, SELF_PASS, STR(""), NULL, "nobody delivers now")
			 : check_say(c, SELF_INFO, STR(""), "the next `send`, `resume` or `serve` takes over",
				   "pid %lld on %s (%s) delivered and ended without saying so",
				   (long long)c->holder.pid, c->holder.host, c->holder.what);
}

int check_intents(struct check *c)
{
	int64_t v[4];
	if (db_ints(c->s, c->e, v, 4,
		    "SELECT count(*), count(*) - count(d.id), count(*) FILTER (WHERE i.epoch > l.epoch), "
		    "count(*) FILTER (WHERE "
		    "i.epoch < l.epoch) FROM intent i LEFT JOIN delivery d ON d.id = i.delivery LEFT JOIN "
		    "lease "
		    "l ON l.id = 1",
		    "") != 1)
		return -1;
	long long all = v[0], nobodys = v[1], later = v[2], earlier = v[3];
	if (nobodys != 0 && check_say(c, SELF_FAIL, STR(""), REPORT_IT,
				    "%lld messages are on the wire for no delivery", nobodys) < 0)
		return -1;
	if (later != 0 && check_say(c, SELF_FAIL, STR(""), REPORT_IT,
				  "%lld messages are in the hands of a sender that never was", later) < 0)
		return -1;
	if (c->delivered && earlier != 0)
		return check_say(c, SELF_WARN, STR(""), "run it again in a minute; if it stays so, report it",
			"%lld messages are still in the hands of a sender that is gone", earlier);
	return !c->delivered && all != 0 ? check_say(c, SELF_INFO, STR(""),
						   "the next `resume` or `serve` deals with them as `doubt` "
						   "in the configuration says",
						   "%lld messages were on the wire when the sender ended: "
						   "they read as in doubt",
						   all)
					 : 0;
}

/* ---- What points somewhere ---- */

/* Walked by id in windows; ?1 is below, ?2 the last of the window. */
struct relation {
	const char *name, *last, *wrong;
};

#define NO_CONTACT(x)  " NOT EXISTS (SELECT 1 FROM contact k WHERE k.id = " x ") "
#define NO_DELIVERY(x) " NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = " x ") "

static const struct relation relations[] = {
	{"returned", "SELECT max(id) FROM returned",
		"SELECT count(*) FROM returned t WHERE t.id > ? AND t.id <= ? AND ((t.contact <> 0 "
		"AND" NO_CONTACT("t.contact") ") OR (t.delivery <> 0 AND" NO_DELIVERY("t.delivery") "))"},
	{"evidence", "SELECT max(id) FROM evidence",
		"SELECT count(*) FROM evidence t WHERE t.id > ? AND t.id <= ? AND NOT EXISTS (SELECT 1 FROM "
		"returned r WHERE r.id "
		"= t.id)"},
	{"failure", "SELECT max(id) FROM failure",
		"SELECT count(*) FROM failure t WHERE t.id > ? AND t.id <= ? AND t.delivery <> 0 "
		"AND" NO_DELIVERY("t.delivery")},
	{"dialogue", "SELECT max(id) FROM dialogue",
		"SELECT count(*) FROM dialogue t WHERE t.id > ? AND t.id <= ? AND" NO_DELIVERY("t.delivery")},
	{"trouble", "SELECT max(contact) FROM trouble",
		"SELECT count(*) FROM trouble t WHERE t.contact > ? AND t.contact <= ? AND" NO_CONTACT(
			"t.contact")},
	{"domain", "SELECT max(id) FROM domain",
		"SELECT count(*) FROM domain t WHERE t.id > ? AND t.id <= ? AND t.provider <> 0 AND NOT "
		"EXISTS (SELECT 1 FROM name "
		"n WHERE n.id = t.provider)"},
};

static int check_relation(struct check *c, const struct relation *r)
{
	int64_t last, wrong = 0, n;
	if (db_int(c->s, c->e, &last, r->last, "") < 0)
		return -1;
	for (int64_t from = 0; from < last; from += CHECK_WINDOW) {
		if (db_int(c->s, c->e, &n, r->wrong, "ii", from, from + CHECK_WINDOW) < 0 ||
			check_step(c, "looking where things point", from, last) < 0)
			return -1;
		wrong += n;
	}
	return wrong != 0 ? check_say(c, SELF_FAIL, str_from(r->name), REPORT_IT,
				    "%lld rows point to what is not there", (long long)wrong)
			  : 0;
}

/* Tables that begin with a delivery or campaign: the next campaign that they name behind ?. */
static const struct relation by_campaign[] = {
	{"delivery", NULL, "SELECT min(id) >> 32 FROM delivery WHERE id > (? << 32 | 4294967295)"},
	{"attempt", NULL, "SELECT min(delivery) >> 32 FROM attempt WHERE delivery > (? << 32 | 4294967295)"},
	{"doubt", NULL, "SELECT min(delivery) >> 32 FROM doubt WHERE delivery > (? << 32 | 4294967295)"},
	{"early", NULL, "SELECT min(delivery) >> 32 FROM early WHERE delivery > (? << 32 | 4294967295)"},
	{"content", NULL, "SELECT min(campaign) FROM content WHERE campaign > ?"},
	{"live", NULL, "SELECT min(campaign) FROM live WHERE campaign > ?"},
	{"canary", NULL, "SELECT min(campaign) FROM canary WHERE campaign > ?"},
	{"tally", NULL, "SELECT min(campaign) FROM tally WHERE campaign > ?"},
	{"reason_tally", NULL, "SELECT min(campaign) FROM reason_tally WHERE campaign > ?"},
	{"timeline", NULL, "SELECT min(campaign) FROM timeline WHERE campaign > ?"},
	{"waiting", NULL, "SELECT min(campaign) FROM waiting WHERE campaign > ?"},
	{"meter", NULL, "SELECT min(campaign) FROM meter WHERE campaign > ?"},
	{"provider_pause", NULL, "SELECT min(campaign) FROM provider_pause WHERE campaign > ?"},
};

static int check_owner(struct check *c, const struct relation *r)
{
	int64_t campaign = 0, next, n;
	for (;;) {
		if (db_int(c->s, c->e, &next, r->wrong, "i", campaign) < 0)
			return -1;
		if (next <= campaign)
			return 0;
		campaign = next;
		int there = db_int(c->s, c->e, &n, "SELECT 1 FROM campaign WHERE id = ?", "i", campaign);
		if (there < 0 || (there == 0 && check_say(c, SELF_FAIL, str_from(r->name), REPORT_IT,
							"it speaks of campaign %lld, which is not there",
							(long long)campaign) < 0))
			return -1;
	}
}

static int check_addresses(struct check *c)
{
	int64_t hash = INT64_MIN, contact = INT64_MIN, wrong = 0, seen;
	do {
		int rc;
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT a.hash, a.contact, k.id IS NULL FROM address a LEFT JOIN contact k ON k.id = "
			"a.contact WHERE (a.hash, "
			"a.contact) > (?, ?) ORDER BY a.hash, a.contact LIMIT ?",
			"iii", hash, contact, (int64_t)CHECK_WINDOW);
		if (st == NULL)
			return -1;
		for (seen = 0; (rc = db_step(c->s, st, c->e)) == 1; seen++) {
			hash = col_int(st, 0);
			contact = col_int(st, 1);
			wrong += col_int(st, 2);
		}
		if (rc < 0 || check_step(c, "looking where addresses point", 0, 0) < 0)
			return -1;
	} while (seen == CHECK_WINDOW);
	return wrong != 0 ? check_say(c, SELF_FAIL, STR("address"), REPORT_IT,
				    "%lld rows point to what is not there", (long long)wrong)
			  : 0;
}

static int check_member_lists(struct check *c)
{
	int64_t list = 0, next, n;
	for (;;) {
		if (db_int(c->s, c->e, &next, "SELECT min(list) FROM member WHERE list > ?", "i", list) < 0)
			return -1;
		if (next <= list)
			return 0;
		list = next;
		int there = db_int(c->s, c->e, &n, "SELECT 1 FROM list WHERE id = ?", "i", list);
		if (there < 0 || (there == 0 && check_say(c, SELF_FAIL, STR("member"), REPORT_IT,
							"it speaks of list %lld, which is not there",
							(long long)list) < 0))
			return -1;
	}
}

int check_relations(struct check *c)
{
	for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
		if (check_relation(c, &relations[i]) < 0)
			return -1;
	for (size_t i = 0; i < sizeof by_campaign / sizeof *by_campaign; i++)
		if (check_owner(c, &by_campaign[i]) < 0)
			return -1;
	return check_addresses(c) < 0 || check_member_lists(c) < 0 ? -1 : 0;
}

/* ---- What was left behind ---- */

static int check_imports(struct check *c)
{
	struct holder h = {.pid = 0};
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT state, " HOLDER_COLUMNS " FROM import WHERE state < 2 ORDER BY id LIMIT 1", "");
	int rc = db_step(c->s, st, c->e);
	if (rc <= 0)
		return rc;
	int64_t state = col_int(st, 0);
	holder_read(st, 1, &h);
	db_done(st);
	if (holder_there(&h, clock_now()))
		return check_say(c, SELF_INFO, STR(""), NULL, "an import runs (pid %lld on %s)",
			       (long long)h.pid, h.host) < 0
			       ? -1
			       : 1;
	return check_say(c, SELF_WARN, STR(""), "the next import, `send` or `serve` does that",
		       state == 0 ? "an import was interrupted; what it brought is seen by nobody, and waits "
				    "to be removed"
				  : "an import was interrupted behind its end; changes to people who were "
				    "known before wait to be made") < 0
		       ? -1
		       : 1;
}

int check_leftovers(struct check *c)
{
	static const struct relation left[] = {
		{"import_change", NULL, "SELECT count(*) FROM import_change"},
		{"import_suppression", NULL, "SELECT count(*) FROM import_suppression"},
		{"pending_import", NULL, "SELECT count(*) FROM pending_import"},
		{"early", NULL,
			"SELECT count(*) FROM early e WHERE NOT EXISTS (SELECT 1 FROM intent i WHERE "
			"i.delivery = e.delivery) AND EXISTS "
			"(SELECT 1 FROM delivery d WHERE d.id = e.delivery AND d.state NOT IN (0, 2) AND "
			"d.due IS NULL AND d.state <> 8)"},
		{"doubt", NULL,
			"SELECT count(*) FROM doubt x LEFT JOIN delivery d ON d.id = x.delivery WHERE d.id "
			"IS NULL OR d.state <> 8 OR "
			"d.due IS NOT NULL"},
	};
	/* Of an import that runs or is to be finished nothing is left. */
	int imports = check_imports(c);
	if (imports < 0)
		return -1;
	for (size_t i = imports == 1 ? 3 : 0; i < sizeof left / sizeof *left; i++) {
		int64_t n;
		if (db_int(c->s, c->e, &n, left[i].wrong, "") < 0 ||
			(n != 0 && check_say(c, SELF_FAIL, str_from(left[i].name), REPORT_IT,
					   "%lld rows belong to nothing", (long long)n) < 0))
			return -1;
	}
	return 0;
}
