/* Suppressions that are held while their receiver seems to be wrong, on a fake clock. */
#include "tests/unit/store_fixture.h"

struct ledger { /* campaigns to people at gmail.com, docomo.ne.jp, x.example and y.example by turns */
	struct fixture *f;
	struct arena arena;
	struct claims c;
	int64_t id;
	ms_t now;
};

static void launch(struct ledger *l, const char *name)
{
	l->id = fixture_campaign(l->f, name, 0);
	struct audience au = {.lists = {fixture_list(l->f, "news")}, .nlists = 1};
	for (bool done = false; !done;) {
		OK(l->f, store_ledger_begin(l->f->s, l->f->epoch, l->now, &l->f->e));
		OK(l->f, store_ledger_prepare(l->f->s, l->id, &au, 100, l->now, &done, &l->f->e));
		OK(l->f, store_ledger_commit(l->f->s, &l->f->e));
	}
}

static void ledger_start(struct ledger *l, struct fixture *f, int n)
{
	*l = (struct ledger){.f = f, .now = NOW};
	arena_init(&l->arena, 4096, 1 << 24);
	l->c.arena = &l->arena;
	clock_fake(NOW);
	fixture_people(f, "news", 1, n);
	fixture_lease(f);
	launch(l, "june");
}

static void ledger_end(struct ledger *l)
{
	fixture_check(l->f);
	clock_fake(0);
	free(l->c.v);
	arena_release(&l->arena);
}

static void wait_for(struct ledger *l, ms_t span)
{
	l->now += span;
	clock_fake(l->now);
}

/* Everybody of that provider is refused for good, the others take their mail; how many were tried. */
static int deliver(struct ledger *l, const char *unknown, int max)
{
	int n = fixture_claim(l->f, l->id, CLAIM_FRESH, max, l->now, &l->c);
	for (size_t i = 0; i < l->c.n; i++) {
		struct outcome_row o = fixture_sent(l->c.v[i].delivery, l->now);
		if (str_is(l->c.v[i].provider, unknown)) {
			o.state = DELIVERY_BOUNCED;
			o.code = 550;
			o.class = CLASS_HARD;
			o.reason = STR("user-unknown");
			o.reply = STR("550 5.1.1 unknown");
			o.suppress = true;
		}
		fixture_record(l->f, &o, 1, l->now);
	}
	return n;
}

struct look {
	ms_t held_until, created;
	enum suppress_reason reason;
	int n;
};

static int look_at(void *ctx, const struct suppression *s)
{
	struct look *k = ctx;
	*k = (struct look){s->held_until, s->created, s->reason, k->n + 1};
	return 0;
}

static struct look look(struct ledger *l, const char *key, bool held)
{
	struct look k = {.n = 0};
	const struct suppression_query q = {.key = str_from(key), .list = -1, .reason = -1, .held = held};
	OK(l->f, store_suppressions(l->f->s, &q, look_at, &k, &l->f->e));
	return k;
}

static int one_holding(void *ctx, const struct holding *h)
{
	buf_printf(ctx, "%.*s ", STR_ARG(h->name));
	return 0;
}

static void those_of_the_burst_are_held(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	int64_t held;
	ledger_start(&l, f, 40);
	assert_int_equal(deliver(&l, "docomo", 8), 8); /* long before: docomo's p1 and p5 */
	wait_for(&l, HOUR);
	assert_int_equal(deliver(&l, "docomo", 8), 8); /* p9, p13: of the burst, not yet known as such */
	assert_int_equal(look(&l, "p9@docomo.ne.jp", false).held_until, 0);
	wait_for(&l, MINUTE);
	OK(f, store_hold(f->s, STR("docomo"), l.now - 5 * MINUTE, l.now + DAY, &held, &f->e));
	assert_int_equal(held, 2);
	OK(f, store_holdings(f->s, l.now, one_holding, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "docomo ");
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).held_until, 0);
	assert_int_equal(look(&l, "p9@docomo.ne.jp", false).held_until, l.now - MINUTE + DAY);
	assert_int_equal(deliver(&l, "docomo", 8), 8);
	assert_int_equal(look(&l, "p17@docomo.ne.jp", false).held_until, l.now + DAY);
	assert_int_equal(store_held(f->s, l.now, &f->e), 4);
	/* Other receivers are believed. */
	assert_int_equal(deliver(&l, "google", 8), 8);
	assert_int_equal(look(&l, "p28@gmail.com", false).n, 1);
	assert_int_equal(look(&l, "p28@gmail.com", false).held_until, 0);
	OK(f, store_hold_over(f->s, STR("docomo"), &f->e));
	assert_int_equal(deliver(&l, "docomo", 8), 8);
	assert_int_equal(look(&l, "p33@docomo.ne.jp", false).held_until, 0);
	buf_release(&b);
	ledger_end(&l);
}

static void a_domain_without_provider_is_held_alone(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t held;
	ledger_start(&l, f, 8);
	assert_int_equal(deliver(&l, "", 8), 8); /* x.example and y.example */
	OK(f, store_hold(f->s, STR("@x.example"), NOW, NOW + DAY, &held, &f->e));
	assert_int_equal(held, 2);
	assert_int_equal(look(&l, "p2@x.example", true).n, 1);
	assert_int_equal(look(&l, "p3@y.example", true).n, 0);
	ledger_end(&l);
}

static void a_hold_runs_out__and_the_second_refusal_is_firm(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t held;
	ledger_start(&l, f, 4);
	OK(f, store_hold(f->s, STR("docomo"), NOW, NOW + 10 * DAY, &held, &f->e));
	deliver(&l, "docomo", 4);
	/* While it is held nobody mails it, and another word of the same burst changes nothing. */
	wait_for(&l, HOUR);
	launch(&l, "july");
	assert_int_equal(deliver(&l, "docomo", 4), 3);
	struct suppression again = {.key = STR("p1@docomo.ne.jp"),
		.reason = SUPPRESS_HARD_BOUNCE,
		.created = l.now,
		.held_until = l.now + DAY};
	bool added;
	OK(f, store_suppress(f->s, &again, &added, &f->e));
	assert_false(added);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).held_until, NOW + DAY);
	/* A day later it is mailed again. */
	wait_for(&l, DAY);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).n, 0);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", true).n, 1);
	assert_int_equal(store_held(f->s, l.now, &f->e), 0);
	launch(&l, "august");
	assert_int_equal(deliver(&l, "docomo", 4), 4); /* refused once more, in the same unusual time */
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).held_until, 0);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).n, 1);
	wait_for(&l, 100 * DAY);
	launch(&l, "september");
	assert_int_equal(deliver(&l, "docomo", 4), 3);
	ledger_end(&l);
}

static void by_hand(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t held, n;
	bool added;
	ledger_start(&l, f, 8);
	OK(f, store_hold(f->s, STR("docomo"), NOW, NOW + DAY, &held, &f->e));
	deliver(&l, "docomo", 8);
	/* Confirmed: the reason stays the refusal. */
	struct suppression mine = {
		.key = STR("p1@docomo.ne.jp"), .reason = SUPPRESS_MANUAL, .created = NOW + 1};
	OK(f, store_suppress(f->s, &mine, &added, &f->e));
	assert_true(added);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).held_until, 0);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).reason, SUPPRESS_HARD_BOUNCE);
	/* Released: all of that receiver that are held, and only those. */
	const struct suppression_query q = {
		.list = -1, .reason = -1, .provider = STR("docomo"), .held = true};
	OK(f, store_unsuppress(f->s, &q, STR("their directory was down"), false, &n, &f->e));
	assert_int_equal(n, 1);
	assert_int_equal(look(&l, "p5@docomo.ne.jp", true).n, 0);
	assert_int_equal(look(&l, "p1@docomo.ne.jp", false).n, 1);
	/* What is firm does not begin to run out. */
	struct suppression firm = {.key = STR("p2@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW},
			   later = {.key = STR("p2@x.example"),
				   .reason = SUPPRESS_HARD_BOUNCE,
				   .created = NOW + 1,
				   .held_until = NOW + DAY};
	OK(f, store_suppress(f->s, &firm, &added, &f->e));
	OK(f, store_suppress(f->s, &later, &added, &f->e));
	assert_false(added);
	assert_int_equal(look(&l, "p2@x.example", false).held_until, 0);
	ledger_end(&l);
}

static void what_ran_out_is_forgotten_after_a_month(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t held;
	ledger_start(&l, f, 4);
	OK(f, store_hold(f->s, STR("docomo"), NOW, NOW + DAY, &held, &f->e));
	deliver(&l, "docomo", 4);
	for (int i = 0; i < 2; i++) {
		wait_for(&l, 20 * DAY);
		OK(f, store_ledger_begin(f->s, f->epoch, l.now, &f->e));
		OK(f, store_ledger_trim(f->s, &f->e));
		OK(f, store_ledger_commit(f->s, &f->e));
		assert_int_equal(look(&l, "p1@docomo.ne.jp", true).n, i == 0);
	}
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM holding"), 0);
	ledger_end(&l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(those_of_the_burst_are_held),
		T(a_domain_without_provider_is_held_alone),
		T(a_hold_runs_out__and_the_second_refusal_is_firm),
		T(by_hand),
		T(what_ran_out_is_forgotten_after_a_month),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
