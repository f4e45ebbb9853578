#include "src/db/check.h"
#include "src/db/copies.h"
#include "src/db/history.h"
#include "src/db/report.h"
#include "src/db/sqlite_schema.h"
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int try_open(struct fixture *f, enum store_mode mode, const char *path)
{
	struct store *s = NULL;
	struct store_config c = {.path = path, .busy = 100, .actor = "tester"};
	int rc = store_open(&s, mode, &c, &f->e);
	store_close(&s);
	return rc;
}

static void create__existing_file__is_refused_and_kept(void **state)
{
	struct fixture *f = *state;
	FAILS(f, ERR_CREATE, try_open(f, STORE_CREATE, f->path));
	assert_int_equal(try_open(f, STORE_WRITE, f->path), 0);
}

static void files__are_for_the_owner_alone(void **state)
{
	struct fixture *f = *state;
	char name[128];
	struct stat st;
	OK(f, store_meta_set(f->s, "a", STR("b"), &f->e));
	static const char *const ends[] = {"", "-wal", "-shm"};
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void open__nothing_there__names_init(void **state)
{
	struct fixture *f = *state;
	char path[200];
	snprintf(path, sizeof path, "%s/no-such/file.db", f->dir);
	FAILS(f, ERR_NOINPUT, try_open(f, STORE_WRITE, path));
	assert_non_null(strstr(f->e.remedy, "init"));
}

/* Not even to be read: so it is not the writing that fails. */
static void open__somebody_else_s__says_so(void **state)
{
	struct fixture *f = *state;
	char dir[128];
	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(f->path, '/') - f->path), f->path);
	assert_int_equal(chmod(dir, 0755) | chmod(f->path, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	int rc = try_open(f, STORE_READ, f->path);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(dir, 0700) | chmod(f->path, 0600), 0);
	assert_int_equal(rc, -1);
	assert_non_null(strstr(f->e.why, "cannot be opened (Permission denied)"));
}

static void open__foreign_files__are_refused(void **state)
{
	struct fixture *f = *state;
	char name[128];
	snprintf(name, sizeof name, "%s.copy", f->path);
	FILE *out = fopen(name, "w");
	for (int i = 0; i < 5000; i++)
		fputs("not a database at all. ", out);
	fclose(out);
	FAILS(f, ERR_DATA, try_open(f, STORE_WRITE, name));
	assert_int_equal(truncate(name, 0), 0);
	FAILS(f, ERR_DATA, try_open(f, STORE_WRITE, name));
	sqlite3 *db;
	sqlite3_open(name, &db);
	sqlite3_exec(db, "CREATE TABLE contact(id); PRAGMA user_version = 1", NULL, NULL, NULL);
	sqlite3_close(db);
	FAILS(f, ERR_DATA, try_open(f, STORE_READ, name));
}

static void open__newer_schema__is_refused(void **state)
{
	struct fixture *f = *state;
	fixture_sql(f, "PRAGMA user_version = 99");
	FAILS(f, ERR_DATA, try_open(f, STORE_WRITE, f->path));
	assert_non_null(strstr(f->e.why, "newer"));
}

/* A campaign half sent, as the version before left it. */
static const char *const half_sent = "INSERT INTO campaign(id, name, state, subject, sender, message_path, "
				     "content_hash, audience, route, rate, canary,"
				     " canary_open, created, start_at, until, started, audience_n, rows, "
				     "cursor) VALUES(1, 'june', 2, '', '', '', '', '{}',"
				     " '', 0, 0, 0, 1, 1, 0, 1, 2, 2, 1);"
				     "INSERT INTO domain VALUES(1, 'x.example', 0);"
				     "INSERT INTO contact(id, address, domain, added, changed) VALUES(1, "
				     "'a@x.example', 1, 1, 1), (2, 'b@x.example', 1, 1, 1);"
				     "INSERT INTO address VALUES(1, 1), (2, 2);"
				     "INSERT INTO delivery VALUES(4294967297, 1, 1, 0, 1, 1, NULL, 1, 0, "
				     "NULL), (4294967298, 2, 1, 0, 0, 0, NULL, 1, 0, NULL);"
				     "INSERT INTO tally VALUES(1, 0, 3, 1), (1, 0, 10, 1), (1, 0, 12, 1);"
				     "PRAGMA application_id = 1349743730; PRAGMA user_version = 1";

static int on_finding(void *ctx, const struct self_finding *found)
{
	struct buf *b = ctx;
	buf_printf(b, "%d %s: %s\n", (int)found->severity, found->id, found->text);
	return 0;
}

/* To the self-check an older schema is nothing wrong, and nothing that it reads. */
static void older_is_a_notice(struct fixture *f, const char *path)
{
	static const enum self_severity want[] = {SELF_SKIP, SELF_INFO};
	const struct store_config c = {.path = path, .actor = "tester", .older = true};
	for (int glance = 0; glance < 2; glance++) {
		struct store *s;
		struct buf b = BUF_INIT(4096);
		const struct self_check o = {.row = on_finding, .ctx = &b, .glance = glance != 0};
		struct self_count n;
		char begins[80];
		OK(f, store_open(&s, STORE_READ, &c, &f->e));
		OK(f, store_check(s, &o, &n, &f->e));
		snprintf(begins, sizeof begins, "%d schema: an older version wrote it", (int)want[glance]);
		assert_true(str_starts(buf_get(&b), str_from(begins)));
		assert_int_equal(str_find(buf_get(&b), '\n'), b.len - 1);
		assert_int_equal(n.severity[want[glance]], 1);
		FAILS(f, ERR_CREATE, store_meta_set(s, "a", STR("b"), &f->e));
		store_close(&s);
		buf_release(&b);
	}
}

static void open__older_schema__is_brought_up_and_goes_on(void **state)
{
	struct fixture *f = *state;
	char name[128], *why = NULL;
	sqlite3 *db;
	struct campaign_counts n;
	struct arena a;
	struct claims c = {.arena = &a};
	snprintf(name, sizeof name, "%s.copy", f->path);
	sqlite3_open(name, &db);
	if (sqlite3_exec(db, schema_steps[0], NULL, NULL, &why) != SQLITE_OK ||
		sqlite3_exec(db, half_sent, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
	FAILS(f, ERR_DATA, try_open(f, STORE_READ, name));
	older_is_a_notice(f, name);
	store_close(&f->s);
	strcat(f->path, ".copy");
	f->s = fixture_open(f, STORE_WRITE);
	fixture_lease(f);
	arena_init(&a, 1024, 1 << 20);
	assert_int_equal(fixture_claim(f, 1, CLAIM_FRESH, 10, NOW, &c), 1);
	struct returned_new r = {.fingerprint = STR("x"),
		.effect = RETURNED_FAILED,
		.delivery = DELIVERY_ID(1, 1),
		.at = NOW,
		.class = CLASS_BLOCK};
	struct returned_done done;
	OK(f, store_returned(f->s, &r, &done, &f->e));
	assert_true(done.lowered);
	OK(f, store_campaign_counts(f->s, 1, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_BLOCKED], 1);
	assert_int_equal(n.state[DELIVERY_SENDING], 1);
	arena_release(&a);
	free(c.v);
	f->path[strlen(f->path) - strlen(".copy")] = '\0';
}

static void read__writing__is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s = fixture_open(f, STORE_READ);
	FAILS(f, ERR_CREATE, store_meta_set(s, "a", STR("b"), &f->e));
	/* And the connection is as good as before. */
	struct buf b = BUF_INIT(100);
	FAILS(f, ERR_NOINPUT, store_meta_get(s, "a", &b, &f->e));
	OK(f, store_meta_set(f->s, "a", STR("x\0y"), &f->e));
	OK(f, store_meta_get(s, "a", &b, &f->e));
	assert_true(str_eq(buf_get(&b), STR("x\0y")));
	buf_release(&b);
	store_close(&s);
}

static void write__lock_held_by_another__is_again(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	struct store_config c = {.path = f->path, .busy = 50, .actor = "tester"};
	struct store *s;
	OK(f, store_open(&s, STORE_WRITE, &c, &f->e));
	FAILS(f, ERR_AGAIN, store_meta_set(s, "a", STR("b"), &f->e));
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(db);
	OK(f, store_meta_set(s, "a", STR("b"), &f->e));
	store_close(&s);
}

static void data_version__changes_with_others(void **state)
{
	struct fixture *f = *state;
	int64_t v = store_data_version(f->s);
	assert_int_equal(store_data_version(f->s), v);
	fixture_sql(f, "INSERT INTO meta VALUES('x', 'y')");
	assert_int_not_equal(store_data_version(f->s), v);
}

static void backup__is_a_whole_database(void **state)
{
	struct fixture *f = *state;
	char name[128];
	struct stat st;
	fixture_people(f, "news", 1, 20);
	snprintf(name, sizeof name, "%s.copy", f->path);
	OK(f, store_backup(f->s, name, NULL, NULL, &f->e));
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	FAILS(f, ERR_CREATE, store_backup(f->s, name, NULL, NULL, &f->e));
	struct store *s;
	struct store_config c = {.path = name, .actor = "tester"};
	OK(f, store_open(&s, STORE_WRITE, &c, &f->e));
	struct list_row l;
	OK(f, store_list_get(s, STR("news"), &l, &f->e));
	assert_int_equal(l.members, 20);
	store_close(&s);
}

static void attr_ids__are_stable_and_named(void **state)
{
	struct fixture *f = *state;
	int64_t a = store_attr_id(f->s, STR("氏名"), true, &f->e);
	assert_true(a > 0);
	assert_int_equal(store_attr_id(f->s, STR("city"), false, &f->e), 0);
	int64_t b = store_attr_id(f->s, STR("city"), true, &f->e);
	assert_int_not_equal(a, b);
	assert_int_equal(store_attr_id(f->s, STR("氏名"), false, &f->e), a);
	assert_true(str_is(store_attr_name(f->s, (uint32_t)a), "氏名"));
	assert_int_equal(store_attr_name(f->s, 4000000000u).n, 0);
}

static int last_note(void *ctx, const struct history_row *h)
{
	snprintf(ctx, 200, "%.*s|%.*s|%.*s|%.*s", STR_ARG(h->actor), STR_ARG(h->what), STR_ARG(h->object),
		STR_ARG(h->note));
	return 0;
}

static void history__says_who_did_what(void **state)
{
	struct fixture *f = *state;
	char text[200] = "";
	fixture_empty_list(f, "news");
	OK(f, store_history(f->s, NOW, last_note, text, &f->e));
	assert_string_equal(text, "tester|import|news|file.csv: 0 joined");
	for (int i = 0; i < 450; i++)
		OK(f, store_history_add(f->s, NOW + 1, "note", STR("x"), STR(""), &f->e));
	OK(f, store_history_add(f->s, NOW + 2, "last", STR("x"), STR("y"), &f->e));
	OK(f, store_history(f->s, 0, last_note, text, &f->e));
	assert_string_equal(text, "tester|last|x|y");
	text[0] = '\0';
	OK(f, store_history(f->s, NOW + 3, last_note, text, &f->e));
	assert_string_equal(text, "");
}

static void list__names_are_unique_and_deletion_forgets_members_not_suppressions(void **state)
{
	struct fixture *f = *state;
	int64_t id;
	bool added;
	struct list_row l;
	fixture_people(f, "news", 1, 1200);
	id = fixture_list(f, "news");
	struct suppression sup = {
		.key = STR("p4@gmail.com"), .list = id, .reason = SUPPRESS_UNSUBSCRIBE, .created = NOW};
	OK(f, store_suppress(f->s, &sup, &added, &f->e));
	OK(f, store_list_set(f->s, id, &STR("The News"), NULL, &f->e));
	FAILS(f, ERR_DATA, store_list_rename(f->s, fixture_empty_list(f, "other"), STR("news"), &f->e));
	OK(f, store_list_delete(f->s, id, &f->e));
	FAILS(f, ERR_NOINPUT, store_list_get(f->s, STR("news"), &l, &f->e));
	struct contact_row c;
	OK(f, store_contact_get(f->s, STR("p4@gmail.com"), &c, &f->e));
	assert_true(c.removed);
	assert_int_equal(fixture_empty_list(f, "news"), id);
	OK(f, store_list_get(f->s, STR("news"), &l, &f->e));
	assert_int_equal(l.members, 0);
	assert_int_equal(l.title.n, 0);
	fixture_people(f, "news", 1, 8);
	struct audience a = {.lists = {id}, .nlists = 1};
	struct selection sel;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.unsubscribed, 1);
	assert_int_equal(sel.audience, 7);
	fixture_check(f);
}

static int import_meanwhile(void *ctx, sqlite3 *db, const char *name, int pages)
{
	(void)name, (void)pages;
	struct fixture other = *(struct fixture *)ctx;
	sqlite3_wal_hook(db, NULL, NULL);
	other.s = fixture_open(&other, STORE_WRITE);
	fixture_people(&other, "news", 2001, 600);
	store_close(&other.s);
	return SQLITE_OK;
}

static void list__imported_anew_while_it_is_deleted__keeps_who_came(void **state)
{
	struct fixture *f = *state;
	fixture_people(f, "news", 1, 1200);
	int64_t id = fixture_list(f, "news");
	sqlite3_wal_hook(f->s->db, import_meanwhile, f);
	OK(f, store_list_delete(f->s, id, &f->e));
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	struct selection sel;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.audience, 600);
	fixture_check(f);
}

/* No write past this size succeeds: as on a full disk. */
static void disk_full__is_an_error_and_nothing_is_half_done(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct rlimit was, small;
	char name[128];
	fixture_people(f, "news", 1, 100);
	snprintf(name, sizeof name, "%s-wal", f->path);
	assert_int_equal(stat(name, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	small = (struct rlimit){(rlim_t)st.st_size + 8192, was.rlim_max};
	int rc = 0, done = 0;
	struct buf big = BUF_INIT(1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_puts(&big, "0123456789");
	setrlimit(RLIMIT_FSIZE, &small);
	for (; done < 2000 && rc == 0; done += rc == 0) {
		char key[20];
		snprintf(key, sizeof key, "k%d", done);
		rc = store_meta_set(f->s, key, buf_get(&big), &f->e);
	}
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(rc, -1);
	assert_int_equal(f->e.code, ERR_IO);
	assert_non_null(strstr(f->e.why, f->path));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM meta"), done);
	OK(f, store_meta_set(f->s, "after", STR("well"), &f->e));
	fixture_check(f);
	buf_release(&big);
}

static void large_database__fills_no_more_than_a_small_cache(void **state)
{
	struct fixture *f = *state;
	int used, highest;
	fixture_sql(f,
		"INSERT INTO meta(name, value) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i "
		"< 8000) SELECT 'k' || i, zeroblob(1000) FROM n");
	assert_int_equal(
		sqlite3_exec(f->s->db, "SELECT sum(length(value)) FROM meta", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_db_status(f->s->db, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0), SQLITE_OK);
	assert_in_range(used, 512 << 10, 1200 << 10); /* of 8 MB */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(create__existing_file__is_refused_and_kept),
		T(files__are_for_the_owner_alone),
		T(open__nothing_there__names_init),
		T(open__somebody_else_s__says_so),
		T(open__foreign_files__are_refused),
		T(open__newer_schema__is_refused),
		T(open__older_schema__is_brought_up_and_goes_on),
		T(read__writing__is_refused),
		T(write__lock_held_by_another__is_again),
		T(data_version__changes_with_others),
		T(backup__is_a_whole_database),
		T(disk_full__is_an_error_and_nothing_is_half_done),
		T(large_database__fills_no_more_than_a_small_cache),
		T(attr_ids__are_stable_and_named),
		T(history__says_who_did_what),
		T(list__names_are_unique_and_deletion_forgets_members_not_suppressions),
		T(list__imported_anew_while_it_is_deleted__keeps_who_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
