/* A database in a folder of its own, and short words for what the tests of the store do again and again. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/arena.h"
#include "src/db/attrs.h"
#include "src/db/check.h"
#include "src/db/import.h"
#include "src/db/lease.h"
#include "src/db/ledger.h"
#include "src/db/lists.h"
#include "src/db/sqlite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW ((ms_t)1780000000000)

struct fixture {
	char dir[64], path[96];
	struct store *s;
	struct err e;
	int64_t epoch;
};

#define OK(f, call)                                                                                          \
	do {                                                                                                 \
		(f)->e = (struct err){0};                                                                    \
		if ((call) < 0)                                                                              \
			fail_msg("%s: %s: %s", #call, (f)->e.what, (f)->e.why);                              \
	} while (0)
#define FAILS(f, code_, call)                                                                                \
	do {                                                                                                 \
		assert_int_equal((call), -1);                                                                \
		assert_int_equal((f)->e.code, (code_));                                                      \
	} while (0)

static inline const char *fixture_provider(struct str domain)
{
	return str_is(domain, "gmail.com") ? "google" : str_is(domain, "docomo.ne.jp") ? "docomo" : "";
}

static inline struct store *fixture_open(struct fixture *f, enum store_mode mode)
{
	struct store *s = NULL;
	struct store_config c = {.path = f->path,
		.busy = 2000,
		.actor = "tester",
		.forget_key = STR("key"),
		.provider_of = fixture_provider};
	OK(f, store_open(&s, mode, &c, &f->e));
	return s;
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/postrider-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/test.db", f->dir);
	f->s = fixture_open(f, STORE_CREATE);
	*state = f;
	return 0;
}

/* Tables that grow with people, deliveries or what came back, and as the driver's statements call them. */
static inline bool fixture_grows(struct str table)
{
	static const char *const names[] = {"contact", "c", "address", "member", "m", "suppression",
		"delivery", "d", "attempt", "failure", "returned", "evidence", "dialogue", "trouble",
		"waiting", "canary"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_is(table, names[i]))
			return true;
	return false;
}

/* No statement that a test has used walks through such a table: each finds its place in a tree. The plans do
 * not depend on the rows, as no statistics are gathered.
 */
static inline void fixture_plans(struct fixture *f)
{
	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(f->s->db, st)) != NULL;) {
		struct buf sql = BUF_INIT(1 << 20);
		sqlite3_stmt *plan;
		buf_printf(&sql, "EXPLAIN QUERY PLAN %s", sqlite3_sql(st));
		if (sqlite3_prepare_v2(f->s->db, buf_cstr(&sql), -1, &plan, NULL) != SQLITE_OK)
			fail_msg("%s: %s", sqlite3_sql(st), sqlite3_errmsg(f->s->db));
		char subquery[32] = ""; /* its name is no table's */
		while (sqlite3_step(plan) == SQLITE_ROW) {
			struct str line = str_from((const char *)sqlite3_column_text(plan, 3));
			sscanf(line.p, "CO-ROUTINE %31s", subquery);
			sscanf(line.p, "MATERIALIZE %31s", subquery);
			if (!str_starts(line, STR("SCAN ")))
				continue;
			struct str what = str_n(line.p + 5, line.n - 5);
			what.n = str_find(what, ' ');
			/* Is there any? */
			if (str_ends(str_from(sqlite3_sql(st)), STR("LIMIT 1")) &&
				str_starts(str_from(sqlite3_sql(st)), STR("SELECT 1 FROM ")) &&
				strstr(sqlite3_sql(st), "WHERE") == NULL)
				continue;
			if (fixture_grows(what) && !str_is(what, subquery))
				fail_msg("%.*s: %s", STR_ARG(line), sqlite3_sql(st));
		}
		sqlite3_finalize(plan);
		buf_release(&sql);
	}
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	if (f->s != NULL)
		fixture_plans(f);
	store_close(&f->s);
	DIR *dir = opendir(f->dir);
	for (struct dirent *file; (file = readdir(dir)) != NULL;)
		unlinkat(dirfd(dir), file->d_name, 0);
	closedir(dir);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* Looks at or breaks the file from behind, as no operation of the store does. */
static inline int64_t fixture_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t v = 0;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 2000);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return v;
}

/* Names "a@x.example", one for each row, with attribute `name`. */
static inline struct import_row fixture_row(const char *address, struct str attrs)
{
	struct str a = str_from(address);
	size_t at = str_find(a, '@');
	return (struct import_row){
		.address = a, .key = a, .domain = str_n(a.p + at + 1, a.n - at - 1), .attrs = attrs};
}

static inline struct import *fixture_import(struct fixture *f, const char *list, bool sync)
{
	struct import *im;
	struct import_options o = {.list = str_from(list),
		.file = STR("file.csv"),
		.source = STR("fair"),
		.sync = sync,
		.now = NOW};
	OK(f, store_import_begin(f->s, &o, &im, NULL, &f->e));
	return im;
}

/* Imports `n` people p1@…, p2@… (numbers from `first`) into the list, with the attribute n = their number. */
static inline void fixture_people(struct fixture *f, const char *list, int first, int n)
{
	struct import *im = fixture_import(f, list, false);
	int64_t attr = store_attr_id(f->s, STR("n"), true, &f->e);
	static const char *const domains[] = {"gmail.com", "docomo.ne.jp", "x.example", "y.example"};
	for (int i = first; i < first + n; i++) {
		char address[64], number[16];
		struct buf attrs = BUF_INIT(4096);
		snprintf(address, sizeof address, "p%d@%s", i, domains[i % 4]);
		snprintf(number, sizeof number, "%d", i);
		attrs_put(&attrs, (uint32_t)attr, str_from(number));
		struct import_row r = fixture_row(address, buf_get(&attrs));
		OK(f, store_import_rows(f->s, im, &r, 1, &f->e));
		buf_release(&attrs);
	}
	OK(f, store_import_commit(f->s, &im, &f->e));
}

static inline int64_t fixture_list(struct fixture *f, const char *name)
{
	struct list_row l;
	OK(f, store_list_get(f->s, str_from(name), &l, &f->e));
	return l.id;
}

/* Made as the program makes one: by an import. */
static inline int64_t fixture_empty_list(struct fixture *f, const char *name)
{
	struct import *im = fixture_import(f, name, false);
	OK(f, store_import_commit(f->s, &im, &f->e));
	return fixture_list(f, name);
}

static inline int64_t fixture_contact(struct fixture *f, const char *key)
{
	struct contact_row c;
	return store_contact_get(f->s, str_from(key), &c, &f->e) == 0 ? c.id : 0;
}

static inline void fixture_lease(struct fixture *f)
{
	struct holder h, other;
	holder_self(&h, "send");
	OK(f, store_lease_take(f->s, &h, clock_now(), &f->epoch, &other, &f->e));
}

static inline int64_t fixture_campaign(struct fixture *f, const char *name, int64_t canary)
{
	int64_t id;
	struct campaign_new c = {.name = str_from(name),
		.subject = STR("Hello"),
		.from = STR("a@b.example"),
		.message_path = STR("m.md"),
		.content_hash = STR("c0ffee"),
		.audience = STR("{}"),
		.route = STR(""),
		.canary = canary,
		.now = NOW};
	struct content_part part = {STR("message"), STR("Hello\0you")};
	OK(f, store_campaign_create(f->s, &c, &part, 1, &id, &f->e));
	return id;
}

static inline void fixture_prepare(struct fixture *f, int64_t campaign, const struct audience *a, int budget)
{
	for (bool done = false; !done;) {
		OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
		OK(f, store_ledger_prepare(f->s, campaign, a, budget, NOW, &done, &f->e));
		OK(f, store_ledger_commit(f->s, &f->e));
	}
}

static inline int fixture_claim(
	struct fixture *f, int64_t campaign, enum claim_kind kind, int max, ms_t now, struct claims *out)
{
	arena_reset(out->arena);
	out->n = 0;
	OK(f, store_ledger_begin(f->s, f->epoch, now, &f->e));
	int n = store_ledger_claim(f->s, campaign, kind, STR("main"), max, now, out, &f->e);
	OK(f, n);
	OK(f, store_ledger_commit(f->s, &f->e));
	assert_int_equal(n, (int)out->n);
	return n;
}

static inline void fixture_record(struct fixture *f, const struct outcome_row *o, size_t n, ms_t now)
{
	OK(f, store_ledger_begin(f->s, f->epoch, now, &f->e));
	OK(f, store_ledger_record(f->s, o, n, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
}

static inline struct outcome_row fixture_sent(int64_t delivery, ms_t at)
{
	return (struct outcome_row){.delivery = delivery,
		.kind = OUTCOME_FINAL,
		.state = DELIVERY_SENT,
		.at = at,
		.code = 250,
		.enhanced = "2.0.0",
		.reply = STR("250 2.0.0 Ok: queued as 4F2"),
		.site = STR("mx.example"),
		.route = STR("main"),
		.relay_id = STR("4F2")};
}

static inline int fixture_print_finding(void *ctx, const struct self_finding *f)
{
	(void)ctx;
	if (f->severity >= SELF_WARN)
		fprintf(stderr, "check: %s: %.*s: %s\n", f->id, STR_ARG(f->where), f->text);
	return 0;
}

static inline void fixture_check(struct fixture *f)
{
	const struct self_check o = {.row = fixture_print_finding};
	struct self_count n;
	OK(f, store_check(f->s, &o, &n, &f->e));
	assert_int_equal(n.severity[SELF_FAIL] + n.severity[SELF_WARN], 0);
}

#endif
