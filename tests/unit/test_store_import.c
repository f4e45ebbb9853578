#include "tests/unit/store_fixture.h"

static struct str attr(struct fixture *f, const char *key, const char *name, char *out, size_t max)
{
	struct contact_row c;
	int64_t id = store_attr_id(f->s, str_from(name), true, &f->e);
	OK(f, store_contact_get(f->s, str_from(key), &c, &f->e));
	struct str v = attrs_get(c.attrs, (uint32_t)id);
	snprintf(out, max, "%.*s", STR_ARG(v));
	return str_from(out);
}

static void row(
	struct fixture *f, struct import *im, const char *address, const char *value, struct import_row *out)
{
	struct buf b = BUF_INIT(4096);
	if (value != NULL)
		attrs_put(&b, (uint32_t)store_attr_id(f->s, STR("v"), true, &f->e), str_from(value));
	*out = fixture_row(address, buf_get(&b));
	OK(f, store_import_rows(f->s, im, out, 1, &f->e));
	buf_release(&b);
	out->attrs = STR("");
}

static int64_t members(struct fixture *f, struct store *s, const char *name)
{
	struct list_row l;
	return store_list_get(s, str_from(name), &l, &f->e) == 0 ? l.members : -1;
}

static void import__before_commit__nobody_sees_it(void **state)
{
	struct fixture *f = *state;
	struct store *other = fixture_open(f, STORE_WRITE);
	struct import *im = fixture_import(f, "news", false);
	struct import_row r;
	struct contact_row c;
	struct selection sel;
	struct audience everybody = {.nlists = 0};
	row(f, im, "a@x.example", "1", &r);
	assert_int_equal(r.result, IMPORT_ADDED);
	row(f, im, "b@x.example", "2", &r);
	assert_int_equal(members(f, other, "news"), -1);
	FAILS(f, ERR_NOINPUT, store_contact_get(other, STR("a@x.example"), &c, &f->e));
	OK(f, store_audience_count(other, &everybody, &sel, &f->e));
	assert_int_equal(sel.audience, 0);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_null(im);
	assert_int_equal(members(f, other, "news"), 2);
	OK(f, store_contact_get(other, STR("a@x.example"), &c, &f->e));
	assert_int_equal(c.added, NOW);
	OK(f, store_audience_count(other, &everybody, &sel, &f->e));
	assert_int_equal(sel.audience, 2);
	store_close(&other);
	fixture_check(f);
}

static void import__aborted__leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	char v[32];
	struct import_row r;
	struct import *im = fixture_import(f, "old", false);
	row(f, im, "a@x.example", "kept", &r);
	OK(f, store_import_commit(f->s, &im, &f->e));
	im = fixture_import(f, "news", false);
	row(f, im, "a@x.example", "new", &r);
	assert_int_equal(r.result, IMPORT_UPDATED);
	for (int i = 0; i < 3000; i++) {
		char address[40];
		snprintf(address, sizeof address, "n%d@x.example", i);
		row(f, im, address, "new", &r);
	}
	r = fixture_row("gone@x.example", STR(""));
	r.status = IMPORT_COMPLAINED;
	OK(f, store_import_rows(f->s, im, &r, 1, &f->e));
	OK(f, store_import_abort(f->s, &im, &f->e));
	assert_null(im);
	OK(f, store_import_abort(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), -1);
	assert_string_equal(attr(f, "a@x.example", "v", v, sizeof v).p, "kept");
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM address"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM member"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM suppression"), 0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM import_change"), 0);
	fixture_check(f);
}

static void import__killed_before_the_commit__is_swept_by_the_next(void **state)
{
	struct fixture *f = *state;
	struct import_row r;
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "a@x.example", "1", &r);
	/* As if its process were another one, that is no more. */
	fixture_sql(f, "UPDATE import SET pid = 1, pid_start = 1");
	struct store *other = fixture_open(f, STORE_WRITE);
	OK(f, store_import_recover(other, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 0);
	/* And if it was alive after all, it learns that it is over. */
	struct import_row late = fixture_row("b@x.example", STR(""));
	FAILS(f, ERR_AGAIN, store_import_rows(f->s, im, &late, 1, &f->e));
	FAILS(f, ERR_INTERNAL, store_import_commit(f->s, &im, &f->e));
	OK(f, store_import_abort(f->s, &im, &f->e));
	store_close(&other);
	fixture_people(f, "news", 1, 3);
	assert_int_equal(members(f, f->s, "news"), 3);
	fixture_check(f);
}

static void import__whose_process_lives__is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct import_row r;
	struct import *im = fixture_import(f, "news", false), *second;
	struct import_options o = {.list = STR("other"), .file = STR("f"), .now = NOW};
	row(f, im, "a@x.example", "1", &r);
	/* The clock was set, or somebody took their time over a question. */
	fixture_sql(f, "UPDATE import SET heartbeat = heartbeat - 7200000");
	struct store *other = fixture_open(f, STORE_WRITE);
	FAILS(f, ERR_AGAIN, store_import_begin(other, &o, &second, NULL, &f->e));
	OK(f, store_import_recover(other, &f->e));
	store_close(&other);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 1);
	fixture_check(f);
}

static void import__whom_others_touch_meanwhile__is_counted_rightly(void **state)
{
	struct fixture *f = *state;
	struct import_row r;
	fixture_people(f, "old", 1, 3); /* p1@docomo.ne.jp, p2@x.example, p3@y.example */
	fixture_people(f, "news", 4, 1);
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "p1@docomo.ne.jp", "1", &r);
	row(f, im, "p2@x.example", "2", &r);
	row(f, im, "p3@y.example", "3", &r);
	row(f, im, "new@x.example", "4", &r);
	row(f, im, "other@x.example", "5", &r);
	/* While it runs: one joins by hand, one leaves, and two are forgotten, of whom one is new. */
	struct store *other = fixture_open(f, STORE_WRITE);
	OK(f, store_subscribe(other, fixture_contact(f, "p1@docomo.ne.jp"), fixture_list(f, "news"), STR(""),
		      0, false, NOW, &f->e));
	OK(f, store_contact_remove(other, fixture_contact(f, "p2@x.example"), 0, &f->e));
	OK(f, store_forget(other, STR("p3@y.example"), NOW, &f->e));
	OK(f, store_forget(other, STR("new@x.example"), NOW, &f->e));
	store_close(&other);
	struct import_row late = fixture_row("new@x.example", STR(""));
	OK(f, store_import_rows(f->s, im, &late, 1, &f->e));
	assert_int_equal(late.result, IMPORT_FORGOTTEN);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 3); /* p4, p1, other */
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact WHERE address = 'new@x.example'"), 0);
	assert_int_equal(fixture_contact(f, "new@x.example"), 0);
	fixture_check(f);
}

static int add_name(void *ctx, uint32_t id, struct str name)
{
	(void)id;
	buf_printf(ctx, "%.*s ", STR_ARG(name));
	return 0;
}

static void import__its_new_names__are_seen_with_it_alone(void **state)
{
	struct fixture *f = *state;
	struct buf names = BUF_INIT(1000);
	struct store *other = fixture_open(f, STORE_WRITE);
	int64_t known = store_attr_id(other, STR("city"), true, &f->e);
	struct import *im = fixture_import(f, "news", false);
	assert_int_equal(store_import_attr(f->s, im, STR("city"), &f->e), known);
	int64_t typo = store_import_attr(f->s, im, STR("ctiy"), &f->e);
	int64_t taken = store_import_attr(f->s, im, STR("age"), &f->e);
	assert_true(typo > known && taken > typo);
	assert_int_equal(store_import_attr(f->s, im, STR("ctiy"), &f->e), typo);
	assert_int_equal(store_attr_id(other, STR("ctiy"), false, &f->e), 0);
	assert_null(store_attr_name(other, (uint32_t)typo).p);
	/* Somebody else writes one of them down. */
	assert_int_equal(store_attr_id(other, STR("age"), true, &f->e), taken);
	OK(f, store_import_abort(f->s, &im, &f->e));
	OK(f, store_attrs(other, add_name, &names, &f->e));
	assert_string_equal(buf_cstr(&names), "city age ");
	assert_int_equal(store_attr_id(f->s, STR("ctiy"), false, &f->e), 0);
	im = fixture_import(f, "news", false);
	assert_int_equal(store_import_attr(f->s, im, STR("ctiy"), &f->e), typo);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(store_attr_id(other, STR("ctiy"), false, &f->e), typo);
	assert_true(str_is(store_attr_name(other, (uint32_t)typo), "ctiy"));
	store_close(&other);
	buf_release(&names);
}

static void import__killed_after_the_commit__is_finished_by_the_next(void **state)
{
	struct fixture *f = *state;
	char v[32];
	struct import_row r;
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "a@x.example", "old", &r);
	row(f, im, "leaves@x.example", "old", &r);
	OK(f, store_import_commit(f->s, &im, &f->e));
	im = fixture_import(f, "news", true);
	row(f, im, "a@x.example", "new", &r);
	/* The state in which a kill between the small commit and the rest leaves the tables. */
	int64_t id = fixture_contact(f, "leaves@x.example");
	char sql[200];
	snprintf(
		sql, sizeof sql, "INSERT INTO import_change(contact, leaves) VALUES(%lld, 1)", (long long)id);
	fixture_sql(f, sql);
	fixture_sql(f, "UPDATE import SET state = 1, pid = 1, pid_start = 1 WHERE state = 0");
	fixture_sql(f, "DELETE FROM pending_import");
	OK(f, store_import_recover(f->s, &f->e));
	assert_string_equal(attr(f, "a@x.example", "v", v, sizeof v).p, "new");
	assert_int_equal(members(f, f->s, "news"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM import WHERE state < 2"), 0);
	FAILS(f, ERR_AGAIN, store_import_rows(f->s, im, &r, 1, &f->e));
	OK(f, store_import_abort(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 1);
	fixture_check(f);
}

static void import__while_another_runs__is_again(void **state)
{
	struct fixture *f = *state;
	struct import *im = fixture_import(f, "news", false), *second;
	struct store *other = fixture_open(f, STORE_WRITE);
	struct import_options o = {.list = STR("x"), .file = STR("y"), .now = NOW};
	FAILS(f, ERR_AGAIN, store_import_begin(other, &o, &second, NULL, &f->e));
	OK(f, store_import_abort(f->s, &im, &f->e));
	OK(f, store_import_begin(other, &o, &second, NULL, &f->e));
	OK(f, store_import_commit(other, &second, &f->e));
	store_close(&other);
}

static void update__absent_keeps_empty_clears_and_waits_for_the_commit(void **state)
{
	struct fixture *f = *state;
	char v[32];
	struct import_row r;
	fixture_people(f, "news", 1, 1); /* p1@docomo.ne.jp, n = 1 */
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "p1@docomo.ne.jp", "x", &r);
	assert_int_equal(r.result, IMPORT_UPDATED);
	assert_string_equal(attr(f, "p1@docomo.ne.jp", "v", v, sizeof v).p, "");
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_string_equal(attr(f, "p1@docomo.ne.jp", "v", v, sizeof v).p, "x");
	assert_string_equal(attr(f, "p1@docomo.ne.jp", "n", v, sizeof v).p, "1");
	im = fixture_import(f, "news", false);
	row(f, im, "p1@docomo.ne.jp", "x", &r);
	assert_int_equal(r.result, IMPORT_UNCHANGED);
	OK(f, store_import_commit(f->s, &im, &f->e));
	im = fixture_import(f, "news", false);
	row(f, im, "p1@docomo.ne.jp", "", &r);
	assert_int_equal(r.result, IMPORT_UPDATED);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_string_equal(attr(f, "p1@docomo.ne.jp", "v", v, sizeof v).p, "");
	assert_int_equal(members(f, f->s, "news"), 1);
	fixture_check(f);
}

static void duplicates__in_one_file__as_asked(void **state)
{
	struct fixture *f = *state;
	char v[32], list[8];
	static const char *const wants[] = {"second", "first"};
	for (int mode = 0; mode < 3; mode++) {
		for (int known = 0; known < 2; known++) {
			struct import *im;
			struct import_row r;
			char address[40];
			snprintf(address, sizeof address, "d%d%d@x.example", mode, known);
			snprintf(list, sizeof list, "l%d%d", mode, known);
			if (known) {
				im = fixture_import(f, list, false);
				row(f, im, address, "zero", &r);
				OK(f, store_import_commit(f->s, &im, &f->e));
			}
			struct import_options o = {.list = str_from(list),
				.file = STR("f.csv"),
				.on_duplicate = (enum on_duplicate)mode,
				.now = NOW};
			OK(f, store_import_begin(f->s, &o, &im, NULL, &f->e));
			row(f, im, address, "first", &r);
			assert_int_equal(r.result, known ? IMPORT_UPDATED : IMPORT_ADDED);
			struct buf b = BUF_INIT(100);
			attrs_put(&b, (uint32_t)store_attr_id(f->s, STR("v"), true, &f->e), STR("second"));
			r = fixture_row(address, buf_get(&b));
			r.line = 7;
			int rc = store_import_rows(f->s, im, &r, 1, &f->e);
			buf_release(&b);
			if (mode == DUPLICATE_FAIL) {
				assert_int_equal(rc, -1);
				assert_int_equal(f->e.code, ERR_DATA);
				assert_int_equal(f->e.line, 7);
				OK(f, store_import_abort(f->s, &im, &f->e));
				continue;
			}
			assert_int_equal(rc, 0);
			assert_int_equal(r.result, IMPORT_DUPLICATE);
			OK(f, store_import_commit(f->s, &im, &f->e));
			assert_string_equal(attr(f, address, "v", v, sizeof v).p, wants[mode]);
			assert_int_equal(members(f, f->s, list), 1);
		}
	}
	fixture_check(f);
}

static void sync__who_is_not_in_the_file__leaves_the_list(void **state)
{
	struct fixture *f = *state;
	int64_t leaving, of;
	struct import_row r;
	fixture_people(f, "news", 1, 10);
	fixture_people(f, "other", 1, 2);
	struct import *im = fixture_import(f, "news", true);
	row(f, im, "p3@y.example", NULL, &r);
	row(f, im, "new@x.example", NULL, &r);
	OK(f, store_import_leavers(f->s, im, &leaving, &of, &f->e));
	assert_int_equal(leaving, 9);
	assert_int_equal(of, 10);
	assert_int_equal(members(f, f->s, "news"), 10);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 2);
	struct contact_row c;
	OK(f, store_contact_get(f->s, STR("p5@docomo.ne.jp"), &c, &f->e));
	assert_true(c.removed);
	OK(f, store_contact_get(f->s, STR("p1@docomo.ne.jp"), &c, &f->e));
	assert_false(c.removed);
	fixture_people(f, "news", 5, 1);
	OK(f, store_contact_get(f->s, STR("p5@docomo.ne.jp"), &c, &f->e));
	assert_false(c.removed);
	fixture_check(f);
}

static void status__becomes_a_suppression_with_the_commit(void **state)
{
	struct fixture *f = *state;
	struct selection sel;
	struct suppression manual = {.key = STR("b@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &manual, NULL, &f->e));
	struct import *im = fixture_import(f, "news", false);
	static const enum import_status statuses[] = {
		IMPORT_SUBSCRIBED, IMPORT_BOUNCED, IMPORT_UNSUBSCRIBED, IMPORT_COMPLAINED};
	static const char *const names[] = {"a@x.example", "b@x.example", "c@x.example", "d@x.example"};
	for (int i = 0; i < 4; i++) {
		struct import_row r = fixture_row(names[i], STR(""));
		r.status = statuses[i];
		OK(f, store_import_rows(f->s, im, &r, 1, &f->e));
		assert_int_equal(r.suppressed, i != 0);
	}
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM import_suppression"), 1);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT reason FROM suppression WHERE key = 'b@x.example'"),
		SUPPRESS_HARD_BOUNCE);
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.selected, 4);
	assert_int_equal(sel.audience, 1);
	assert_int_equal(sel.unsubscribed, 1);
	assert_int_equal(sel.suppressed, 2);
}

static void strangers__added_meanwhile__are_one_person(void **state)
{
	struct fixture *f = *state;
	char v[32];
	int64_t id;
	struct import_row r;
	struct store *other = fixture_open(f, STORE_WRITE);
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "a@x.example", "file", &r);
	/* The address is not in the index yet, so the other one cannot know. */
	OK(f, store_contact_put(other, STR("A@x.example"), STR("a@x.example"), STR(""), NOW, &id, &f->e));
	row(f, im, "b@x.example", "file", &r);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 2);
	assert_int_equal(members(f, f->s, "news"), 2);
	assert_string_equal(attr(f, "a@x.example", "v", v, sizeof v).p, "file");
	assert_int_equal(fixture_contact(f, "a@x.example"), id);
	store_close(&other);
	fixture_check(f);
}

static void forgotten__is_refused(void **state)
{
	struct fixture *f = *state;
	struct import_row r;
	fixture_people(f, "news", 4, 1);
	OK(f, store_forget(f->s, STR("p4@gmail.com"), NOW, &f->e));
	struct import *im = fixture_import(f, "news", false);
	row(f, im, "p4@gmail.com", "x", &r);
	assert_int_equal(r.result, IMPORT_FORGOTTEN);
	row(f, im, "p5@gmail.com", "x", &r);
	assert_int_equal(r.result, IMPORT_ADDED);
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 1);
	fixture_check(f);
}

static int one_membership(void *ctx, const struct membership *m)
{
	snprintf(ctx, 100, "%.*s|%.*s|%lld|%lld", STR_ARG(m->list_name), STR_ARG(m->source),
		(long long)(m->joined - NOW), (long long)m->consent_at);
	return 0;
}

static void source_and_consent__of_the_row_or_the_import(void **state)
{
	struct fixture *f = *state;
	char text[100];
	struct import *im = fixture_import(f, "news", false);
	struct import_row r[2] = {fixture_row("a@x.example", STR("")), fixture_row("b@x.example", STR(""))};
	r[1].source = STR("shop");
	r[1].consent_at = 77;
	OK(f, store_import_rows(f->s, im, r, 2, &f->e));
	OK(f, store_import_commit(f->s, &im, &f->e));
	assert_int_equal(members(f, f->s, "news"), 2);
	OK(f, store_memberships(f->s, fixture_contact(f, "a@x.example"), one_membership, text, &f->e));
	assert_string_equal(text, "news|fair|0|0");
	OK(f, store_memberships(f->s, fixture_contact(f, "b@x.example"), one_membership, text, &f->e));
	assert_string_equal(text, "news|shop|0|77");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(import__before_commit__nobody_sees_it),
		T(import__aborted__leaves_no_trace),
		T(import__killed_before_the_commit__is_swept_by_the_next),
		T(import__whose_process_lives__is_left_alone),
		T(import__whom_others_touch_meanwhile__is_counted_rightly),
		T(import__its_new_names__are_seen_with_it_alone),
		T(import__killed_after_the_commit__is_finished_by_the_next),
		T(import__while_another_runs__is_again),
		T(update__absent_keeps_empty_clears_and_waits_for_the_commit),
		T(duplicates__in_one_file__as_asked),
		T(sync__who_is_not_in_the_file__leaves_the_list),
		T(status__becomes_a_suppression_with_the_commit),
		T(strangers__added_meanwhile__are_one_person),
		T(forgotten__is_refused),
		T(source_and_consent__of_the_row_or_the_import),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
