#include "tests/unit/store_fixture.h"

/* Ten people: n = 1..10; see fixture_people. Some get more. */
static void people(struct fixture *f)
{
	static const struct {
		const char *address, *city, *age, *born;
	} rows[] = {
		{"p1@docomo.ne.jp", "Kyoto", "30", "1990-01-01"},
		{"p2@x.example", "Osaka", " 7 ", "2000-06-15T12:00:00Z"},
		{"p3@y.example", "Kyōto", "abc", "2h"},
		{"p4@gmail.com", "", "1e1", ""},
		{"p5@docomo.ne.jp", "100%", "0x10", "not a date"},
		{"p6@x.example", "kyoto", "-5", "1990-01-02"},
	};
	fixture_people(f, "news", 1, 10);
	int64_t city = store_attr_id(f->s, STR("city"), true, &f->e),
		age = store_attr_id(f->s, STR("age"), true, &f->e);
	int64_t born = store_attr_id(f->s, STR("born"), true, &f->e);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b = BUF_INIT(500);
		int64_t id;
		attrs_put(&b, (uint32_t)city, str_from(rows[i].city));
		attrs_put(&b, (uint32_t)age, str_from(rows[i].age));
		attrs_put(&b, (uint32_t)born, str_from(rows[i].born));
		OK(f, store_contact_put(f->s, str_from(rows[i].address), str_from(rows[i].address),
			      buf_get(&b), NOW, &id, &f->e));
		buf_release(&b);
	}
}

static int add_number(void *ctx, const struct contact_row *c)
{
	buf_printf(ctx, "%.*s ", (int)str_find(c->address, '@') - 1, c->address.p + 1);
	return 0;
}

static void selects_from(struct fixture *f, struct audience *a, const char *want)
{
	struct buf b = BUF_INIT(100000);
	struct selection sel;
	assert_int_equal(store_audience_walk(f->s, a, false, add_number, &b, &f->e), 0);
	assert_string_equal(buf_cstr(&b), want);
	OK(f, store_audience_count(f->s, a, &sel, &f->e));
	int64_t n = 0;
	for (const char *p = buf_cstr(&b); *p != '\0'; p++)
		n += *p == ' ';
	assert_int_equal(sel.audience, n);
	assert_int_equal(sel.selected, sel.audience + sel.suppressed + sel.unsubscribed + sel.excluded);
	buf_release(&b);
}

static void selects(struct fixture *f, const struct filter *where, const char *want)
{
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1, .where = where};
	selects_from(f, &a, want);
}

static struct filter on(struct fixture *f, const char *name, enum filter_op op, struct filter_value v)
{
	return (struct filter){.op = op,
		.field = FIELD_ATTR,
		.value = v,
		.attr = (uint32_t)store_attr_id(f->s, str_from(name), false, &f->e)};
}

#define TEXT(t)   ((struct filter_value){.kind = VALUE_TEXT, .text = STR(t)})
#define NUMBER(n) ((struct filter_value){.kind = VALUE_NUMBER, .number = (n)})

static void where__text__byte_by_byte(void **state)
{
	struct fixture *f = *state;
	people(f);
	struct filter w = on(f, "city", FILTER_EQ, TEXT("Kyoto"));
	selects(f, &w, "1 ");
	w = on(f, "city", FILTER_NE, TEXT("Kyoto"));
	selects(f, &w, "2 3 4 5 6 7 8 9 10 ");
	w = on(f, "city", FILTER_EQ, TEXT(""));
	selects(f, &w, "4 7 8 9 10 ");
	w = on(f, "city", FILTER_EMPTY, TEXT(""));
	selects(f, &w, "4 7 8 9 10 ");
	w = on(f, "city", FILTER_LIKE, TEXT("ky_to"));
	selects(f, &w, "1 3 6 ");
	w = on(f, "city", FILTER_LIKE, TEXT("KY\xc5\x8cTO")); /* a capital ō */
	selects(f, &w, "3 ");
	w = on(f, "city", FILTER_LIKE, TEXT("K%T%_O"));
	selects(f, &w, "");
	w = on(f, "city", FILTER_LIKE, TEXT("%k%t%o%"));
	selects(f, &w, "1 3 6 ");
	w = on(f, "city", FILTER_LIKE, TEXT("k%o%o"));
	selects(f, &w, "1 6 ");
	w = on(f, "city", FILTER_LIKE, TEXT(""));
	selects(f, &w, "4 7 8 9 10 ");
	w = on(f, "city", FILTER_LIKE, TEXT("%\xc5\x8d%"));
	selects(f, &w, "3 ");
	w = on(f, "city", FILTER_GT, TEXT("Kyoto"));
	selects(f, &w, "2 3 6 ");
	w = on(f, "nobody has this", FILTER_EQ, TEXT(""));
	selects(f, &w, "1 2 3 4 5 6 7 8 9 10 ");
}

static void where__numbers_and_dates__what_does_not_read_fails_all_but_unequal(void **state)
{
	struct fixture *f = *state;
	people(f);
	struct filter w = on(f, "age", FILTER_GE, NUMBER(7));
	selects(f, &w, "1 2 4 ");
	w = on(f, "age", FILTER_LT, NUMBER(7));
	selects(f, &w, "6 ");
	w = on(f, "age", FILTER_EQ, NUMBER(10));
	selects(f, &w, "4 ");
	w = on(f, "age", FILTER_NE, NUMBER(10));
	selects(f, &w, "1 2 3 5 6 7 8 9 10 ");
	const struct zone *tokyo = clock_zone("Asia/Tokyo", &f->e);
	ms_t day;
	OK(f, clock_parse("1990-01-01", tokyo, 0, &day, &f->e));
	struct filter_value date = {.kind = VALUE_DATE, .date = day, .zone = tokyo};
	w = on(f, "born", FILTER_EQ, date);
	selects(f, &w, "1 ");
	w = on(f, "born", FILTER_GT, date);
	selects(f, &w, "2 6 ");
	w = on(f, "born", FILTER_NE, date);
	selects(f, &w, "2 3 4 5 6 7 8 9 10 ");
	/* Not (something that does not read) is true: nothing is lost between a condition and its opposite.
	 */
	struct filter inner = on(f, "age", FILTER_GE, NUMBER(7)), not = {.op = FILTER_NOT, .a = &inner};
	selects(f, &not, "3 5 6 7 8 9 10 ");
}

static void where__in_and_or_fields(void **state)
{
	struct fixture *f = *state;
	people(f);
	struct filter_value values[] = {TEXT("Kyoto"), TEXT("100%"), NUMBER(7)};
	struct filter in = on(f, "city", FILTER_IN, (struct filter_value){0});
	in.values = values;
	in.nvalues = 2;
	selects(f, &in, "1 5 ");
	struct filter age = on(f, "age", FILTER_IN, (struct filter_value){0});
	age.values = values;
	age.nvalues = 3;
	selects(f, &age, "2 ");
	struct filter either = {.op = FILTER_OR, .a = &in, .b = &age};
	selects(f, &either, "1 2 5 ");
	struct filter domain = {.op = FILTER_EQ, .field = FIELD_DOMAIN, .value = TEXT("Docomo.ne.jp")};
	selects(f, &domain, "1 5 9 ");
	struct filter both = {.op = FILTER_AND, .a = &either, .b = &domain};
	selects(f, &both, "1 5 ");
	struct filter email = {.op = FILTER_EQ, .field = FIELD_EMAIL, .value = TEXT("P4@gmail.com")};
	selects(f, &email, "4 ");
	struct filter source = {.op = FILTER_EQ, .field = FIELD_SOURCE, .value = TEXT("fair")};
	selects(f, &source, "1 2 3 4 5 6 7 8 9 10 ");
	struct audience everybody = {.where = &source};
	selects_from(f, &everybody, "1 2 3 4 5 6 7 8 9 10 ");
	struct filter added = {
		.op = FILTER_LT, .field = FIELD_ADDED, .value = {.kind = VALUE_DATE, .date = NOW}};
	selects(f, &added, "");
	added.op = FILTER_LE;
	selects(f, &added, "1 2 3 4 5 6 7 8 9 10 ");
}

static void where__text_that_looks_like_sql__is_text(void **state)
{
	struct fixture *f = *state;
	people(f);
	static const char *const attacks[] = {"' OR 1=1 --", "\" OR \"\"=\"", "x'); DROP TABLE contact; --",
		"?1", "\\'", ":a", "%'", "' UNION SELECT 1 --", "city", "\xff\xfe"};
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		struct filter_value v = {.kind = VALUE_TEXT, .text = str_from(attacks[i])};
		struct filter w = on(f, "city", FILTER_EQ, v);
		selects(f, &w, "");
		w = on(f, "city", FILTER_LIKE, v);
		selects(f, &w, "");
		w = (struct filter){.op = FILTER_IN, .field = FIELD_EMAIL, .values = &v, .nvalues = 1};
		selects(f, &w, "");
		w = (struct filter){.op = FILTER_EQ, .field = FIELD_SOURCE, .value = v};
		selects(f, &w, "");
	}
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 10);
}

static void where__too_deep__is_refused(void **state)
{
	struct fixture *f = *state;
	struct selection sel;
	struct filter *v = calloc(100000, sizeof *v);
	people(f);
	for (int i = 0; i < 99999; i++)
		v[i] = (struct filter){.op = FILTER_NOT, .a = &v[i + 1]};
	v[99999] = on(f, "city", FILTER_EMPTY, TEXT(""));
	struct audience a = {.where = v};
	FAILS(f, ERR_DATA, store_audience_count(f->s, &a, &sel, &f->e));
	a.where = &v[99999 - 24];
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.audience, 5);
	/* a and b and c … is one level. */
	struct filter leaf = on(f, "city", FILTER_EMPTY, TEXT(""));
	for (int i = 0; i < 800; i++)
		v[i] = (struct filter){.op = FILTER_AND, .a = &v[i + 1], .b = &leaf};
	v[400] = (struct filter){.op = FILTER_OR, .a = &leaf, .b = &leaf};
	a.where = v;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.audience, 5);
	free(v);
}

static void lists__who_is_on_several__is_counted_once_and_mailed_by_the_first_that_may(void **state)
{
	struct fixture *f = *state;
	struct selection sel;
	fixture_people(f, "news", 1, 10);
	fixture_people(f, "shop", 6, 10);
	fixture_people(f, "vip", 3, 5);
	int64_t news = fixture_list(f, "news"), shop = fixture_list(f, "shop"), vip = fixture_list(f, "vip");
	struct audience a = {.lists = {news, shop}, .nlists = 2};
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.selected, 15);
	assert_int_equal(sel.duplicate, 5);
	a.exclude[0] = vip;
	a.nexclude = 1;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.excluded, 5);
	selects_from(f, &a, "1 2 8 9 10 11 12 13 14 15 ");
	/* Unsubscribed from the first, still on the second. */
	struct suppression s = {
		.key = STR("p8@gmail.com"), .list = news, .reason = SUPPRESS_UNSUBSCRIBE, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	selects_from(f, &a, "1 2 8 9 10 11 12 13 14 15 ");
	s.list = shop;
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	selects_from(f, &a, "1 2 9 10 11 12 13 14 15 ");
	struct buf b = BUF_INIT(1000);
	assert_int_equal(store_audience_walk(f->s, &a, true, add_number, &b, &f->e), 0);
	assert_string_equal(buf_cstr(&b), "1 2 8 9 10 11 12 13 14 15 ");
	buf_release(&b);
}

static int add_id(void *ctx, const struct contact_row *c)
{
	buf_printf(ctx, "%lld ", (long long)c->id);
	return 0;
}

static void sample__exact_and_the_same_each_time(void **state)
{
	struct fixture *f = *state;
	struct selection sel;
	fixture_people(f, "news", 1, 3000);
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1, .sample_n = 100, .seed = 7};
	struct buf one = BUF_INIT(100000), two = BUF_INIT(100000);
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.audience, 100);
	assert_int_equal(sel.selected, 100);
	store_audience_walk(f->s, &a, false, add_id, &one, &f->e);
	store_audience_walk(f->s, &a, false, add_id, &two, &f->e);
	assert_string_equal(one.p, two.p);
	a.seed = 8;
	buf_clear(&two);
	store_audience_walk(f->s, &a, false, add_id, &two, &f->e);
	assert_string_not_equal(one.p, two.p);
	a.sample_n = 5000;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_int_equal(sel.audience, 3000);
	a.sample_n = 0;
	a.sample_share = 0.5;
	OK(f, store_audience_count(f->s, &a, &sel, &f->e));
	assert_in_range(sel.audience, 1350, 1650);
	/* As fixed for a campaign: the same people. */
	a.sample_share = 0;
	a.sample_n = 100;
	a.seed = 7;
	fixture_lease(f);
	int64_t id = fixture_campaign(f, "june", 0);
	fixture_prepare(f, id, &a, 300);
	assert_int_equal(fixture_sql(f, "SELECT rows FROM campaign"), 100);
	buf_clear(&two);
	for (int n = 1; n <= 100; n++) {
		char sql[100];
		snprintf(sql, sizeof sql, "SELECT contact FROM delivery WHERE id = %lld",
			(long long)DELIVERY_ID(id, n));
		buf_printf(&two, "%lld ", (long long)fixture_sql(f, sql));
	}
	assert_string_equal(one.p, two.p);
	buf_release(&one);
	buf_release(&two);
}

static int count_twice(void *ctx, const struct contact_row *c)
{
	int64_t *n = ctx, number = strtoll(c->address.p + 1, NULL, 10);
	*n += number > 200;
	return 0;
}

static void sample__who_is_left_out_is_counted_once(void **state)
{
	struct fixture *f = *state;
	struct selection all, some;
	int64_t twice = 0;
	fixture_people(f, "news", 1, 300);
	fixture_people(f, "more", 201, 200);
	fixture_people(f, "not", 395, 10);
	for (int i = 198; i <= 205; i++) {
		char key[32];
		static const char *const domains[] = {"gmail.com", "docomo.ne.jp", "x.example", "y.example"};
		snprintf(key, sizeof key, "p%d@%s", i, domains[i % 4]);
		struct suppression sup = {.key = str_from(key),
			.reason = i < 200 ? SUPPRESS_UNSUBSCRIBE : SUPPRESS_MANUAL,
			.created = NOW};
		OK(f, store_suppress(f->s, &sup, NULL, &f->e));
	}
	struct audience a = {.lists = {fixture_list(f, "news"), fixture_list(f, "more")},
		.nlists = 2,
		.exclude = {fixture_list(f, "not")},
		.nexclude = 1,
		.seed = 3};
	OK(f, store_audience_count(f->s, &a, &all, &f->e));
	assert_int_equal(all.suppressed, 6);
	assert_int_equal(all.unsubscribed, 2);
	assert_int_equal(all.excluded, 6);
	assert_int_equal(all.duplicate, 100);
	a.sample_n = 50;
	OK(f, store_audience_walk(f->s, &a, false, count_twice, &twice, &f->e));
	OK(f, store_audience_count(f->s, &a, &some, &f->e));
	assert_int_equal(some.audience, 50);
	assert_int_equal(some.selected, 50 + 6 + 2 + 6);
	assert_int_equal(some.suppressed, 6);
	assert_int_equal(some.unsubscribed, 2);
	assert_int_equal(some.excluded, 6);
	assert_in_range(some.duplicate, 5, twice + 5);
	/* What a campaign records of itself is the same, whatever its slices. */
	fixture_lease(f);
	int64_t id = fixture_campaign(f, "june", 0);
	struct campaign_row c;
	fixture_prepare(f, id, &a, 37);
	OK(f, store_campaign_by_id(f->s, id, &c, &f->e));
	assert_memory_equal(&c.selection, &some, sizeof some);
}

static void prepare__of_two_samples_by_turns__ends_for_both(void **state)
{
	struct fixture *f = *state;
	bool done[2] = {false, false};
	fixture_people(f, "news", 1, 100);
	fixture_lease(f);
	int64_t id[2] = {fixture_campaign(f, "june", 0), fixture_campaign(f, "july", 0)};
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1, .sample_n = 10};
	for (int turn = 0; turn < 100 && !(done[0] && done[1]); turn++) {
		int i = turn % 2;
		OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
		OK(f, store_ledger_prepare(f->s, id[i], &a, 40, NOW, &done[i], &f->e));
		OK(f, store_ledger_commit(f->s, &f->e));
	}
	assert_true(done[0] && done[1]);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM delivery"), 20);
}

static void prepare__of_two_campaigns_by_turns__ends_for_both(void **state)
{
	struct fixture *f = *state;
	bool done[2] = {false, false};
	fixture_people(f, "news", 1, 10);
	fixture_lease(f);
	int64_t list = fixture_list(f, "news");
	int64_t id[2] = {fixture_campaign(f, "june", 0), fixture_campaign(f, "july", 0)};
	struct audience a = {.lists = {list}, .nlists = 1};
	for (int turn = 0; turn < 40 && !(done[0] && done[1]); turn++) {
		int i = turn % 2;
		OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
		OK(f, store_ledger_prepare(f->s, id[i], &a, 4, NOW, &done[i], &f->e));
		OK(f, store_ledger_commit(f->s, &f->e));
	}
	assert_true(done[0] && done[1]);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM delivery"), 20);
	assert_int_equal(fixture_sql(f, "SELECT sum(selected) FROM campaign"), 20);
}

/* A connection that something still uses would stay open, and its log beside the database. */
static void prepare__left_in_the_middle__closes_the_database(void **state)
{
	struct fixture *f = *state;
	bool done;
	fixture_people(f, "news", 1, 100);
	fixture_lease(f);
	int64_t id = fixture_campaign(f, "june", 0);
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_prepare(f->s, id, &a, 4, NOW, &done, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
	char log[400];
	snprintf(log, sizeof log, "%s-wal", f->path);
	assert_int_equal(access(log, F_OK), 0);
	store_close(&f->s);
	assert_int_equal(access(log, F_OK), -1);
}

static void of_and_not_of__and_last_sent__by_state(void **state)
{
	struct fixture *f = *state;
	struct arena ar;
	struct claims c = {.arena = &ar};
	arena_init(&ar, 4096, 1 << 20);
	fixture_people(f, "news", 1, 10);
	fixture_lease(f);
	int64_t list = fixture_list(f, "news"), id = fixture_campaign(f, "june", 0);
	struct audience a = {.lists = {list}, .nlists = 1};
	fixture_prepare(f, id, &a, 4);
	assert_int_equal(fixture_claim(f, id, CLAIM_FRESH, 6, NOW, &c), 6);
	struct outcome_row o[2] = {
		fixture_sent(c.v[1].delivery, NOW + 5), fixture_sent(c.v[2].delivery, NOW + 9)};
	fixture_record(f, o, 2, NOW + 10);
	fixture_people(f, "news", 11, 2);
	struct audience of = {.lists = {list}, .nlists = 1, .of = {{id, 0}}, .nof = 1};
	selects_from(f, &of, "1 2 3 4 5 6 7 8 9 10 ");
	of.of[0].states = 1u << DELIVERY_SENT;
	selects_from(f, &of, "2 3 ");
	of.of[0].states = 1u << DELIVERY_SENDING;
	selects_from(f, &of, "1 4 5 6 ");
	struct audience not_of = {.lists = {list},
		.nlists = 1,
		.not_of = {{id, 1u << DELIVERY_SENT | 1u << DELIVERY_QUEUED}},
		.nnot_of = 1};
	selects_from(f, &not_of, "1 4 5 6 11 12 ");
	struct filter w = {
		.op = FILTER_GE, .field = FIELD_LAST_SENT, .value = {.kind = VALUE_DATE, .date = NOW + 9}};
	selects(f, &w, "3 ");
	w.op = FILTER_EMPTY;
	selects(f, &w, "1 4 5 6 7 8 9 10 11 12 ");
	OK(f, store_campaign_cancel(f->s, id, NOW, &f->e));
	of.of[0].states = 1u << DELIVERY_CANCELLED;
	selects_from(f, &of, "7 8 9 10 ");
	free(c.v);
	arena_release(&ar);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(where__text__byte_by_byte),
		T(where__numbers_and_dates__what_does_not_read_fails_all_but_unequal),
		T(where__in_and_or_fields),
		T(where__text_that_looks_like_sql__is_text),
		T(where__too_deep__is_refused),
		T(lists__who_is_on_several__is_counted_once_and_mailed_by_the_first_that_may),
		T(sample__exact_and_the_same_each_time),
		T(sample__who_is_left_out_is_counted_once),
		T(prepare__of_two_samples_by_turns__ends_for_both),
		T(prepare__left_in_the_middle__closes_the_database),
		T(prepare__of_two_campaigns_by_turns__ends_for_both),
		T(of_and_not_of__and_last_sent__by_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
