#include "tests/unit/store_fixture.h"

static void campaign__sent_to_all__counts_add_up(void **state)
{
	struct fixture *f = *state;
	struct arena a;
	struct claims c = {.arena = &a};
	struct campaign_counts n;
	arena_init(&a, 4096, 1 << 24);
	fixture_people(f, "news", 1, 50);
	fixture_lease(f);
	int64_t id = fixture_campaign(f, "june", 0);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, id, &au, 7);
	OK(f, store_campaign_counts(f->s, id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_QUEUED], 50);
	assert_int_equal(n.fresh, 50);
	assert_int_equal(fixture_claim(f, id, CLAIM_FRESH, 30, NOW, &c), 30);
	assert_int_equal(DELIVERY_NUMBER(c.v[29].delivery), 30);
	assert_string_equal(c.v[0].address.p, "p1@docomo.ne.jp");
	assert_string_equal(c.v[0].provider.p, "docomo");
	assert_string_equal(c.v[0].list_name.p, "news");
	OK(f, store_campaign_counts(f->s, id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_SENDING], 30);
	assert_int_equal(n.state[DELIVERY_QUEUED], 20);
	assert_int_equal(store_ledger_usage(f->s, STR("main"), NOW - HOUR, &f->e), 30);
	for (size_t i = 0; i < c.n; i++) {
		struct outcome_row o = fixture_sent(c.v[i].delivery, NOW + 10);
		fixture_record(f, &o, 1, NOW + 10);
	}
	OK(f, store_campaign_counts(f->s, id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_SENT], 30);
	assert_int_equal(n.attempts, 30);
	fixture_check(f);
	free(c.v);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(campaign__sent_to_all__counts_add_up, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
