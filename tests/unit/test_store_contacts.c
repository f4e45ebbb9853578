#include "src/db/history.h"
#include "src/db/report.h"
#include "tests/unit/store_fixture.h"

static int64_t put(struct fixture *f, const char *address, const char *key)
{
	int64_t id;
	OK(f, store_contact_put(f->s, str_from(address), str_from(key), STR(""), NOW, &id, &f->e));
	return id;
}

static int unmailable(struct fixture *f, const char *list)
{
	struct audience a = {.lists = {fixture_list(f, list)}, .nlists = 1};
	struct selection sel;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	return (int)(sel.suppressed + sel.unsubscribed);
}

static void put__twice__lays_over(void **state)
{
	struct fixture *f = *state;
	struct contact_row c;
	struct buf b = BUF_INIT(100), o = BUF_INIT(100);
	int64_t id, again;
	attrs_put(&b, 1, STR("one"));
	attrs_put(&b, 2, STR("two"));
	attrs_put(&o, 1, STR(""));
	attrs_put(&o, 3, STR("three"));
	OK(f, store_contact_put(
		      f->s, STR("Taro@X.example"), STR("taro@x.example"), buf_get(&b), NOW, &id, &f->e));
	OK(f, store_contact_put(f->s, STR("TARO@X.example"), STR("taro@x.example"), buf_get(&o), NOW + 5,
		      &again, &f->e));
	assert_int_equal(id, again);
	OK(f, store_contact_get(f->s, STR("taro@x.example"), &c, &f->e));
	assert_string_equal(c.address.p, "Taro@X.example");
	assert_string_equal(c.key.p, "taro@x.example");
	assert_int_equal(attrs_get(c.attrs, 1).n, 0);
	assert_true(str_is(attrs_get(c.attrs, 2), "two"));
	assert_true(str_is(attrs_get(c.attrs, 3), "three"));
	assert_int_equal(c.added, NOW);
	assert_int_equal(c.changed, NOW + 5);
	FAILS(f, ERR_NOINPUT, store_contact_get(f->s, STR("hanako@x.example"), &c, &f->e));
	FAILS(f, ERR_INTERNAL,
		store_contact_put(f->s, STR("a@b"), STR("a@b"), STR("\x01\x7f"), NOW, &id, &f->e));
	buf_release(&b);
	buf_release(&o);
	fixture_check(f);
}

static void subscribe__lifts_only_an_unsubscription_and_only_when_asked(void **state)
{
	struct fixture *f = *state;
	int64_t id = put(f, "a@x.example", "a@x.example"), list = fixture_empty_list(f, "news");
	struct suppression sup = {
		.key = STR("a@x.example"), .list = list, .reason = SUPPRESS_UNSUBSCRIBE, .created = NOW};
	OK(f, store_suppress(f->s, &sup, NULL, &f->e));
	OK(f, store_subscribe(f->s, id, list, STR("web"), NOW, false, NOW, &f->e));
	assert_int_equal(unmailable(f, "news"), 1);
	OK(f, store_subscribe(f->s, id, list, STR("web"), NOW, true, NOW, &f->e));
	assert_int_equal(unmailable(f, "news"), 0);
	sup.list = 0;
	sup.reason = SUPPRESS_COMPLAINT;
	OK(f, store_suppress(f->s, &sup, NULL, &f->e));
	OK(f, store_subscribe(f->s, id, list, STR("web"), NOW, true, NOW, &f->e));
	assert_int_equal(unmailable(f, "news"), 1);
	struct list_row l;
	OK(f, store_list_get(f->s, STR("news"), &l, &f->e));
	assert_int_equal(l.members, 1);
	fixture_check(f);
}

static void remove__last_list__keeps_the_row_for_the_ledger(void **state)
{
	struct fixture *f = *state;
	struct contact_row c;
	struct selection sel;
	struct audience everybody = {.nlists = 0};
	fixture_people(f, "news", 1, 2);
	fixture_people(f, "shop", 1, 1);
	int64_t id = fixture_contact(f, "p1@docomo.ne.jp");
	OK(f, store_contact_remove(f->s, id, fixture_list(f, "news"), &f->e));
	OK(f, store_contact_by_id(f->s, id, &c, &f->e));
	assert_false(c.removed);
	OK(f, store_contact_remove(f->s, id, 0, &f->e));
	OK(f, store_contact_by_id(f->s, id, &c, &f->e));
	assert_true(c.removed);
	assert_int_equal(c.attrs.n, 0);
	OK(f, store_audience_count(f->s, &everybody, &sel, &f->e));
	assert_int_equal(sel.selected, 1);
	fixture_check(f);
}

static int find_text(void *ctx, const struct history_row *h)
{
	*(int *)ctx += memmem(h->object.p, h->object.n, "p4@", 3) != NULL ||
		       memmem(h->note.p, h->note.n, "p4@", 3) != NULL;
	return 0;
}

static void forget__leaves_a_nameless_delivery_and_no_address_anywhere(void **state)
{
	struct fixture *f = *state;
	struct arena a;
	struct claims c = {.arena = &a};
	struct delivery_row d;
	struct contact_row who;
	int64_t id;
	int found = 0;
	arena_init(&a, 4096, 1 << 20);
	fixture_people(f, "news", 1, 5);
	fixture_lease(f);
	int64_t campaign = fixture_campaign(f, "june", 0);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, campaign, &au, 100);
	assert_int_equal(fixture_claim(f, campaign, CLAIM_FRESH, 4, NOW, &c), 4);
	struct outcome_row o = {.delivery = c.v[3].delivery,
		.kind = OUTCOME_FINAL,
		.state = DELIVERY_BOUNCED,
		.at = NOW,
		.code = 550,
		.enhanced = "5.1.1",
		.reply = STR("550 5.1.1 <P4@gmail.com>: no such user"),
		.class = CLASS_HARD,
		.reason = STR("user-unknown"),
		.suppress = true};
	fixture_record(f, &o, 1, NOW);
	assert_int_equal(unmailable(f, "news"), 1);
	OK(f, store_forget(f->s, STR("p4@gmail.com"), NOW, &f->e));
	assert_int_equal(store_is_forgotten(f->s, STR("p4@gmail.com"), &f->e), 1);
	assert_int_equal(store_is_forgotten(f->s, STR("p3@gmail.com"), &f->e), 0);
	FAILS(f, ERR_NOINPUT, store_contact_get(f->s, STR("p4@gmail.com"), &who, &f->e));
	FAILS(f, ERR_DATA,
		store_contact_put(f->s, STR("p4@gmail.com"), STR("p4@gmail.com"), STR(""), NOW, &id, &f->e));
	OK(f, store_delivery_get(f->s, o.delivery, true, &d, &f->e));
	assert_int_equal(d.address.n, 0);
	assert_int_equal(d.state, DELIVERY_BOUNCED);
	assert_int_equal(d.reply.n, 0);
	OK(f, store_history(f->s, 0, find_text, &found, &f->e));
	assert_int_equal(found, 0);
	/* Nor in any byte of the file, once the log is in it. */
	OK(f, store_checkpoint(f->s, &f->e));
	struct list_row l;
	OK(f, store_list_get(f->s, STR("news"), &l, &f->e));
	assert_int_equal(l.members, 4);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM reason_tally WHERE example <> ''"), 0);
	fixture_check(f);
	free(c.v);
	arena_release(&a);
}

static void forget__while_it_is_on_its_way__keeps_no_word_of_the_answer(void **state)
{
	struct fixture *f = *state;
	struct arena a;
	struct claims c = {.arena = &a};
	struct delivery_row d;
	arena_init(&a, 4096, 1 << 20);
	fixture_people(f, "news", 1, 4);
	fixture_lease(f);
	int64_t campaign = fixture_campaign(f, "june", 0);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, campaign, &au, 100);
	assert_int_equal(fixture_claim(f, campaign, CLAIM_FRESH, 4, NOW, &c), 4);
	OK(f, store_forget(f->s, STR("p4@gmail.com"), NOW, &f->e));
	for (size_t i = 2; i < 4; i++) {
		struct outcome_row o = {.delivery = c.v[i].delivery,
			.kind = OUTCOME_FINAL,
			.state = DELIVERY_BLOCKED,
			.at = NOW,
			.code = 550,
			.reply = STR("550 <p4@gmail.com> or <p3@y.example>: no"),
			.dialogue = STR("RCPT TO:<p4@gmail.com> or <p3@y.example>"),
			.class = CLASS_BLOCK,
			.reason = STR("policy")};
		fixture_record(f, &o, 1, NOW);
	}
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM dialogue"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM attempt WHERE reply <> ''"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM reason_tally WHERE example <> ''"), 1);
	OK(f, store_delivery_get(f->s, c.v[3].delivery, true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_BLOCKED);
	assert_string_equal(d.reason.p, "policy");
	fixture_check(f);
	free(c.v);
	arena_release(&a);
}

static int first_reason(void *ctx, const struct suppression *s)
{
	*(int *)ctx = (int)s->reason;
	return 1;
}

static int reason_of(struct fixture *f, const char *key)
{
	int reason = -1;
	assert_true(store_suppressions_of(f->s, str_from(key), 0, first_reason, &reason, &f->e) >= 0);
	return reason;
}

static int count_them(void *ctx, const struct suppression *s)
{
	(void)s;
	++*(int *)ctx;
	return 0;
}

static void suppressions_of__an_address__are_its_domains_too(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *key;
		int n;
	} cases[] = {
		{"a@x.example", 2},
		{"b@x.example", 1},
		{"\"b@y\"@x.example", 1},
		{"@x.example", 1},
		{"b@y.x.example", 0},
	};
	struct suppression one = {.key = STR("a@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW},
			   all = {.key = STR("@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &one, NULL, &f->e));
	OK(f, store_suppress(f->s, &all, NULL, &f->e));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int n = 0;
		OK(f, store_suppressions_of(f->s, str_from(cases[i].key), 0, count_them, &n, &f->e));
		assert_int_equal(n, cases[i].n);
	}
}

static void suppress__the_stronger_one_stays(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum suppress_reason had, comes, stays;
	} cases[] = {
		{SUPPRESS_MANUAL, SUPPRESS_HARD_BOUNCE, SUPPRESS_HARD_BOUNCE},
		{SUPPRESS_HARD_BOUNCE, SUPPRESS_MANUAL, SUPPRESS_HARD_BOUNCE},
		{SUPPRESS_HARD_BOUNCE, SUPPRESS_COMPLAINT, SUPPRESS_COMPLAINT},
		{SUPPRESS_COMPLAINT, SUPPRESS_HARD_BOUNCE, SUPPRESS_COMPLAINT},
		{SUPPRESS_UNSUBSCRIBE, SUPPRESS_IMPORT, SUPPRESS_UNSUBSCRIBE},
		{SUPPRESS_COMPLAINT, SUPPRESS_UNSUBSCRIBE, SUPPRESS_COMPLAINT},
		{SUPPRESS_SOFT_BOUNCES, SUPPRESS_UNSUBSCRIBE, SUPPRESS_UNSUBSCRIBE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char key[40];
		bool added;
		snprintf(key, sizeof key, "s%zu@x.example", i);
		struct suppression s = {.key = str_from(key), .reason = cases[i].had, .created = NOW};
		OK(f, store_suppress(f->s, &s, &added, &f->e));
		assert_true(added);
		s.reason = cases[i].comes;
		OK(f, store_suppress(f->s, &s, &added, &f->e));
		assert_int_equal(added, cases[i].comes == cases[i].stays);
		assert_int_equal(reason_of(f, key), cases[i].stays);
	}
}

static void suppress__held__becomes_firm_at_the_second(void **state)
{
	struct fixture *f = *state;
	bool added;
	struct suppression s = {.key = STR("h@x.example"),
		.reason = SUPPRESS_HARD_BOUNCE,
		.created = NOW,
		.held_until = NOW + DAY};
	OK(f, store_suppress(f->s, &s, &added, &f->e));
	s.held_until = 0;
	OK(f, store_suppress(f->s, &s, &added, &f->e));
	assert_true(added);
	assert_int_equal(fixture_sql(f, "SELECT held_until FROM suppression"), 0);
	s.held_until = NOW + DAY;
	OK(f, store_suppress(f->s, &s, &added, &f->e));
	assert_false(added);
}

static void suppress__scope_and_domain(void **state)
{
	struct fixture *f = *state;
	fixture_people(f, "news", 1, 8); /* two at each domain */
	fixture_people(f, "shop", 1, 8);
	struct suppression s = {.key = STR("@gmail.com"),
		.list = fixture_list(f, "news"),
		.reason = SUPPRESS_MANUAL,
		.created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	assert_int_equal(unmailable(f, "news"), 2);
	assert_int_equal(unmailable(f, "shop"), 0);
	s.key = STR("@example");
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	assert_int_equal(unmailable(f, "news"), 2); /* that domain, not those below it */
	s = (struct suppression){.key = STR("p2@x.example"), .reason = SUPPRESS_COMPLAINT, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	assert_int_equal(unmailable(f, "news"), 3);
	assert_int_equal(unmailable(f, "shop"), 1);
	struct suppression none = {.reason = SUPPRESS_MANUAL};
	FAILS(f, ERR_DATA, store_suppress(f->s, &none, NULL, &f->e));
}

static int count_row(void *ctx, const struct suppression *s)
{
	(void)s;
	++*(int *)ctx;
	return 0;
}

static int selected(struct fixture *f, struct suppression_query q)
{
	int n = 0;
	OK(f, store_suppressions(f->s, &q, count_row, &n, &f->e));
	return n;
}

static void unsuppress__in_bulk__spares_what_people_said(void **state)
{
	struct fixture *f = *state;
	int64_t n;
	const struct suppression_query all = {.list = -1, .reason = -1};
	for (int i = 0; i < 1300; i++) {
		char key[40];
		snprintf(key, sizeof key, i % 4 == 1 ? "\"s@%d\"@%s" : "s%d@%s", i,
			i % 2 ? "gmail.com" : "x.example");
		struct suppression s = {.key = str_from(key),
			.reason = i % 10 == 0 ? SUPPRESS_COMPLAINT : SUPPRESS_HARD_BOUNCE,
			.campaign = i % 3,
			.created = NOW + i};
		OK(f, store_suppress(f->s, &s, NULL, &f->e));
	}
	assert_int_equal(selected(f, all), 1300);
	struct suppression_query q = all;
	q.provider = STR("google");
	assert_int_equal(selected(f, q), 650); /* though nobody on a list is there */
	fixture_people(f, "news", 1, 4);
	assert_int_equal(selected(f, q), 650);
	q = all;
	q.key = STR("s7@gmail.com");
	assert_int_equal(selected(f, q), 1);
	q = all;
	q.since = NOW + 100;
	q.until = NOW + 200;
	assert_int_equal(selected(f, q), 100);
	q = all;
	q.campaign = 2;
	assert_int_equal(selected(f, q), 433);
	q = all;
	q.spare_personal = true;
	OK(f, store_unsuppress(f->s, &q, STR("why not"), true, &n, &f->e));
	assert_int_equal(n, 1170);
	assert_int_equal(selected(f, all), 1300);
	OK(f, store_unsuppress(f->s, &q, STR("why not"), false, &n, &f->e));
	assert_int_equal(n, 1170);
	assert_int_equal(selected(f, all), 130);
}

struct ordered {
	ms_t last;
	int64_t n;
};

static int look_at_date(void *ctx, const struct suppression *s)
{
	struct ordered *o = ctx;
	assert_true(s->created >= o->last);
	o->last = s->created;
	o->n++;
	return 0;
}

static void suppressions__by_date__oldest_first_however_many(void **state)
{
	struct fixture *f = *state;
	struct ordered o = {0};
	struct suppression_query q = {.list = -1, .reason = -1, .by_date = true};
	OK(f, store_suppressions(f->s, &q, look_at_date, &o, &f->e));
	assert_int_equal(o.n, 0);
	/* More than are kept in memory at a time; some of one date, and two of one hash. */
	fixture_sql(f,
		"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 265000) INSERT "
		"INTO "
		"suppression(hash, list, key, reason, created) SELECT n * 30000000000000, 0, 's' || "
		"n, 4, 1 + n * 7919 % 132499 FROM i");
	fixture_sql(f, "INSERT INTO suppression(hash, list, key, reason, created) SELECT hash, list, "
		       "'other', 4, created "
		       "FROM suppression LIMIT 1");
	OK(f, store_suppressions(f->s, &q, look_at_date, &o, &f->e));
	assert_int_equal(o.n, 265001);
	o = (struct ordered){0};
	q.since = 100;
	q.until = 102;
	OK(f, store_suppressions(f->s, &q, look_at_date, &o, &f->e));
	assert_int_equal(o.n, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(put__twice__lays_over),
		T(subscribe__lifts_only_an_unsubscription_and_only_when_asked),
		T(remove__last_list__keeps_the_row_for_the_ledger),
		T(forget__leaves_a_nameless_delivery_and_no_address_anywhere),
		T(forget__while_it_is_on_its_way__keeps_no_word_of_the_answer),
		T(suppressions_of__an_address__are_its_domains_too),
		T(suppress__the_stronger_one_stays),
		T(suppress__held__becomes_firm_at_the_second),
		T(suppress__scope_and_domain),
		T(unsuppress__in_bulk__spares_what_people_said),
		T(suppressions__by_date__oldest_first_however_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
