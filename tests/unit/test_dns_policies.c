/* MTA-STS policies over restarts: what was learnt is found at once, and again once it was saved. */
#include "engine/dns/policies.h"
#include "tests/unit/store_fixture.h"

static void learn(struct policies *p, const char *domain, const char *id, ms_t max_age)
{
	struct sts_policy policy = {.mode = STS_ENFORCE, .fetched = clock_now(), .max_age = max_age};
	snprintf(policy.id, sizeof policy.id, "%s", id);
	snprintf(policy.mx, sizeof policy.mx, "mx.%s\n*.%s\n", domain, domain);
	policies_learn(p, domain, &policy);
}

static void found(struct policies *p, const char *domain, const char *id)
{
	struct sts_policy policy;
	char host[80];
	assert_true(policies_find(p, domain, &policy));
	assert_string_equal(policy.id, id);
	assert_int_equal(policy.mode, STS_ENFORCE);
	assert_true(policy.max_age > 0 && policy.fetched > 0);
	snprintf(host, sizeof host, "mx.%s", domain);
	assert_true(sts_allows(&policy, host));
}

static void policies__learnt_and_saved__are_found(void **state)
{
	struct fixture *f = *state;
	struct policies p = {0};
	struct sts_policy out;
	const struct store_config c = {.path = f->path};
	OK(f, policies_open(&p, &c, &f->e));
	assert_false(policies_find(&p, "a.example", &out));
	learn(&p, "a.example", "1", MINUTE);
	learn(&p, "b.example", "1", MINUTE);
	learn(&p, "a.example", "2", MINUTE);
	found(&p, "a.example", "2");
	OK(f, policies_save(&p, f->s, &f->e));
	found(&p, "a.example", "2");
	found(&p, "b.example", "1");
	assert_false(policies_find(&p, "example", &out));
	policies_close(&p);
	p = (struct policies){0};
	OK(f, policies_open(&p, &c, &f->e));
	found(&p, "a.example", "2");
	policies_close(&p);
}

/* Many at once are written a part at a time, and what ended is forgotten then. */
static void policies__many__are_all_saved(void **state)
{
	struct fixture *f = *state;
	struct policies p = {0};
	struct sts_policy out;
	char domain[40];
	const struct store_config c = {.path = f->path};
	OK(f, policies_open(&p, &c, &f->e));
	learn(&p, "old.example", "1", 0);
	OK(f, policies_save(&p, f->s, &f->e));
	usleep(2000);
	for (int i = 0; i < 250; i++) {
		snprintf(domain, sizeof domain, "d%d.example", i);
		learn(&p, domain, "1", MINUTE);
	}
	for (int i = 0; i < 3; i++)
		OK(f, policies_save(&p, f->s, &f->e));
	assert_int_equal(atomic_load(&p.nfresh), 0);
	for (int i = 0; i < 250; i++) {
		snprintf(domain, sizeof domain, "d%d.example", i);
		found(&p, domain, "1");
	}
	assert_false(policies_find(&p, "old.example", &out));
	policies_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			policies__learnt_and_saved__are_found, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			policies__many__are_all_saved, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
