#include "src/db/usage.h"
#include "tests/unit/store_fixture.h"

#include "engine/quota.h"

#include <math.h>

static const ms_t START = NOW / MINUTE * MINUTE + MINUTE / 2; /* amid a minute */

static struct config_route routes[3];
static struct config config;
static struct route_plan plan;
static struct forecast fc;

static struct config_route *route(size_t i, const char *name, const char *rate)
{
	routes[i] = (struct config_route){.name = name, .host = "relay.example", .weight = -1};
	assert_int_equal(rate_parse(rate, &routes[i].rate, NULL), 0);
	return &routes[i];
}

static void planned(size_t n, const char *names)
{
	config = (struct config){.routes = routes, .nroutes = n};
	assert_int_equal(route_plan_named(&plan, &config, str_from(names), NULL), 0);
}

static void used(struct fixture *f, const char *name, ms_t at, int n)
{
	char sql[300];
	snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO name(text) VALUES('%s')", name);
	fixture_sql(f, sql);
	snprintf(sql, sizeof sql,
		"INSERT INTO usage(route, minute, n) SELECT id, %lld, %d FROM name WHERE text = '%s'",
		(long long)(at / MINUTE), n, name);
	fixture_sql(f, sql);
}

static void ahead(struct fixture *f, int64_t messages, double rate)
{
	const struct forecast_ask ask = {.messages = messages, .rate = rate, .start = START};
	OK(f, forecast(&fc, &plan, f->s, &ask, &f->e));
}

#define MINUTES(t) (((t)-START / MINUTE * MINUTE) / MINUTE)

static void quota__without_windows__has_room(void **state)
{
	struct fixture *f = *state;
	struct quota q;
	OK(f, quota_read(&q, f->s, route(0, "main", "14/s"), START, &f->e));
	assert_true(q.room == INT64_MAX && q.until == 0 && q.limit == 0);
}

static void quota__what_is_used_counts_until_it_is_a_day_old(void **state)
{
	struct fixture *f = *state;
	struct quota q;
	struct config_route *r = route(0, "main", "100/h, 1000/d");
	used(f, "main", START - DAY - 2 * MINUTE, 5000);
	used(f, "main", START - DAY, 400); /* the minute in which the day begins counts whole */
	used(f, "main", START - 2 * HOUR, 550);
	used(f, "other", START, 5000);
	OK(f, quota_read(&q, f->s, r, START, &f->e));
	assert_int_equal(q.room, 50);
	assert_int_equal(q.used, 950);
	assert_int_equal(q.span, DAY);
	used(f, "main", START - 30 * MINUTE, 50);
	OK(f, quota_read(&q, f->s, r, START, &f->e));
	assert_int_equal(q.room, 0);
	assert_int_equal(MINUTES(q.until), 1);
	/* The ledger counts alike at that moment, and not a minute before. */
	assert_int_equal(store_ledger_usage(f->s, STR("main"), q.until - DAY, &f->e), 600);
	assert_int_equal(store_ledger_usage(f->s, STR("main"), q.until - MINUTE - DAY, &f->e), 1000);
}

static void quota__an_hour_is_full(void **state)
{
	struct fixture *f = *state;
	struct quota q;
	struct config_route *r = route(0, "main", "100/h, 1000/d");
	used(f, "main", START - 20 * MINUTE, 100);
	OK(f, quota_read(&q, f->s, r, START, &f->e));
	assert_int_equal(q.room, 0);
	assert_int_equal(q.span, HOUR);
	assert_int_equal(MINUTES(q.until), 41);
	assert_true(store_ledger_usage(f->s, STR("main"), q.until - HOUR, &f->e) == 0);
	assert_true(store_ledger_usage(f->s, STR("main"), q.until - MINUTE - HOUR, &f->e) == 100);
}

static void forecast__a_rate_alone(void **state)
{
	struct fixture *f = *state;
	route(0, "main", "10/s");
	planned(1, "main");
	ahead(f, 36000, 0);
	assert_true(fc.rate == 10 && fc.nfull == 0 && fc.start == START);
	assert_true(llabs(fc.end - START - HOUR) <= MINUTE);
	ahead(f, 36000, 5);
	assert_true(fc.rate == 5 && llabs(fc.end - START - 2 * HOUR) <= MINUTE);
	ahead(f, 50, 0);
	assert_int_equal(fc.end - START, 5000);
}

static void forecast__nothing_is_limited__the_end_is_not_known(void **state)
{
	struct fixture *f = *state;
	routes[0] = (struct config_route){.name = "main", .host = "a.example", .weight = -1};
	planned(1, "main");
	ahead(f, 1000000, 0);
	assert_true(fc.rate == 0 && fc.end == 0 && fc.nfull == 0);
}

static void forecast__a_quota_that_fits(void **state)
{
	struct fixture *f = *state;
	route(0, "main", "1000/d");
	planned(1, "main");
	used(f, "main", START - HOUR, 300);
	ahead(f, 700, 0);
	assert_int_equal(fc.nfull, 0);
	assert_true(fc.end == 0);
	ahead(f, 701, 0);
	assert_int_equal(fc.nfull, 1);
	assert_ptr_equal(fc.full[0].route, &routes[0]);
	assert_int_equal(fc.full[0].quota.used, 300);
	assert_int_equal(fc.full[0].quota.limit, 1000);
	assert_int_equal(fc.full[0].quota.span, DAY);
	assert_int_equal(MINUTES(fc.end), 23 * 60 + 1);
}

static void forecast__days_by_days(void **state)
{
	struct fixture *f = *state;
	route(0, "main", "50000/d");
	planned(1, "main");
	ahead(f, 170000, 0);
	assert_int_equal(fc.nfull, 1);
	assert_int_equal(MINUTES(fc.end), 3 * 1441);
	route(0, "main", "1/d");
	ahead(f, 1000, 0);
	assert_true(fc.end == INT64_MAX);
}

static void forecast__quiet_hours(void **state)
{
	struct fixture *f = *state;
	struct civil at;
	route(0, "main", "10/s");
	planned(1, "main");
	clock_civil(NULL, START, &at);
	config.quiet_from = (at.hour * 60 + at.minute) % 1440;
	config.quiet_to = (config.quiet_from + 120) % 1440;
	ahead(f, 600, 0);
	assert_int_equal(MINUTES(fc.start), 120);
	assert_true(llabs(fc.end - START - 121 * MINUTE) <= MINUTE);
}

static void forecast__several_routes_take_what_they_can(void **state)
{
	struct fixture *f = *state;
	route(0, "a", "10/s");
	route(1, "b", "30/s, 1000/d");
	planned(2, "a,b");
	ahead(f, 1000 + 36000, 0);
	assert_int_equal((int)fc.rate, 40);
	assert_int_equal(fc.nfull, 1);
	assert_string_equal(fc.full[0].route->name, "b");
	assert_true(llabs(fc.end - START - HOUR) <= 2 * MINUTE);
}

static void forecast__shares__the_slowest_sets_the_pace(void **state)
{
	struct fixture *f = *state;
	route(0, "a", "10/s")->weight = 1;
	route(1, "b", "100/s")->weight = 3;
	planned(2, "a,b");
	ahead(f, 4 * 36000, 0);
	assert_int_equal((int)fc.rate, 40);
	assert_true(llabs(fc.end - START - HOUR) <= 2 * MINUTE);
	/* One without room is left out meanwhile. */
	route(1, "b", "100/s, 300/d")->weight = 3;
	ahead(f, 400 + 36000, 0);
	assert_true(llabs(fc.end - START - HOUR) <= 2 * MINUTE);
}

static void forecast__a_reserve_takes_over(void **state)
{
	struct fixture *f = *state;
	route(0, "a", "100/d");
	route(1, "b", "1/s")->weight = 0;
	planned(2, "a,b");
	ahead(f, 100 + 600, 0);
	assert_true(fc.end != 0 && llabs(fc.end - START - 10 * MINUTE) <= 2 * MINUTE);
	/* One that nothing limits is as fast as its server. */
	routes[1].rate = (struct rate_spec){0};
	ahead(f, 100 + 600, 0);
	assert_true(fc.end == 0 && fc.nfull == 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(quota__without_windows__has_room),
		T(quota__what_is_used_counts_until_it_is_a_day_old),
		T(quota__an_hour_is_full),
		T(forecast__a_rate_alone),
		T(forecast__nothing_is_limited__the_end_is_not_known),
		T(forecast__a_quota_that_fits),
		T(forecast__days_by_days),
		T(forecast__quiet_hours),
		T(forecast__several_routes_take_what_they_can),
		T(forecast__shares__the_slowest_sets_the_pace),
		T(forecast__a_reserve_takes_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
