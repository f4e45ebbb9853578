#include "tests/unit/store_fixture.h"

#include "engine/source.h"

static int64_t volumes[] = {50, 100, 200};
static struct config_source sources[3];
static struct config_route route = {.name = "out", .kind = ROUTE_DIRECT};
static struct config config;
static struct source_book *book;

static void configure(struct fixture *f, size_t n)
{
	config = (struct config){.routes = &route, .nroutes = 1, .sources = sources, .nsources = n};
	OK(f, source_book_new(&book, &config, f->s, &f->e));
}

static struct config_source *cold(size_t i, const char *address)
{
	sources[i] = (struct config_source){.address = address, .route = "out", .weight = 1};
	sources[i].warm_up.volume = volumes;
	sources[i].warm_up.n = 3;
	return &sources[i];
}

static struct config_source *warm(size_t i, const char *address)
{
	sources[i] = (struct config_source){.address = address, .route = "out", .weight = 1};
	return &sources[i];
}

static int teardown(void **state)
{
	source_book_free(&book);
	return fixture_teardown(state);
}

static int pick(struct fixture *f, const char *provider)
{
	ms_t until = 0;
	int s = source_pick(book, 0, str_from(provider), SOURCE_V4 | SOURCE_V6, NOW, &until, &f->e);
	if (s == SOURCE_WAIT)
		assert_int_equal(until, (NOW / DAY + 1) * DAY);
	return s;
}

static void use(struct fixture *f, int source, const char *provider, int n, ms_t now)
{
	OK(f, store_ledger_begin(f->s, f->epoch, now, &f->e));
	OK(f, source_used(book, 0, source, str_from(provider), n, now, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
}

static void volume__by_the_calendar(void **state)
{
	(void)state;
	const struct config_source *s = cold(0, "192.0.2.1");
	assert_int_equal(source_volume(s, 20000, NULL, 0, 19999), 0);
	assert_int_equal(source_volume(s, 20000, NULL, 0, 20000), 50);
	assert_int_equal(source_volume(s, 20000, NULL, 0, 20002), 200);
	assert_true(source_volume(s, 20000, NULL, 0, 20003) == INT64_MAX);
	assert_true(source_volume(warm(1, "192.0.2.2"), 0, NULL, 0, 20000) == INT64_MAX);
}

static void volume__by_what_was_used(void **state)
{
	(void)state;
	const struct config_source *s = cold(0, "192.0.2.1");
	const struct source_day days[] = {{100, 50}, {101, 30}, {105, 50}, {106, 400}, {107, 9}};
	assert_int_equal(source_volume(s, 0, days, 0, 100), 50);
	assert_int_equal(source_volume(s, 0, days, 1, 100), 50); /* today does not count */
	assert_int_equal(source_volume(s, 0, days, 1, 101), 100);
	/* 30 of 100 were too few: the step is repeated, and days without mail do not count. */
	assert_int_equal(source_volume(s, 0, days, 2, 105), 100);
	assert_int_equal(source_volume(s, 0, days, 3, 106), 200);
	assert_true(source_volume(s, 0, days, 5, 108) == INT64_MAX);
}

static void days__end_at_local_midnight(void **state)
{
	(void)state;
	const struct zone *tokyo = clock_zone("Asia/Tokyo", NULL),
			  *berlin = clock_zone("Europe/Berlin", NULL);
	ms_t t, end;
	assert_int_equal(clock_parse("2026-12-01T23:59", tokyo, 0, &t, NULL), 0);
	assert_int_equal(clock_parse("2026-12-02", tokyo, 0, &end, NULL), 0);
	assert_int_equal(source_day_ends(tokyo, t), end);
	assert_int_equal(source_day_of(tokyo, end), source_day_of(tokyo, t) + 1);
	/* The day on which the clocks go back has 25 hours. */
	assert_int_equal(clock_parse("2026-10-25T00:30", berlin, 0, &t, NULL), 0);
	assert_int_equal(clock_parse("2026-10-26", berlin, 0, &end, NULL), 0);
	assert_int_equal(source_day_ends(berlin, t), end);
	assert_int_equal(source_day_of(berlin, end - 1), source_day_of(berlin, t));
}

static void pick__without_sources(void **state)
{
	struct fixture *f = *state;
	configure(f, 0);
	assert_int_equal(source_count(book, 0), 0);
	assert_int_equal(pick(f, "google"), SOURCE_NONE);
}

static void pick__of_a_family_that_the_site_has(void **state)
{
	struct fixture *f = *state;
	ms_t until;
	warm(0, "2001:db8::1");
	warm(1, "192.0.2.1");
	configure(f, 2);
	for (int i = 0; i < 4; i++)
		assert_int_equal(source_pick(book, 0, STR("x"), SOURCE_V4, NOW, &until, &f->e), 1);
	assert_int_equal(source_pick(book, 0, STR("x"), SOURCE_V6, NOW, &until, &f->e), 0);
	assert_true(source_fits(book, 0, 0, SOURCE_V6) && !source_fits(book, 0, 0, SOURCE_V4));
}

static void volume__used_up__another_takes_it_or_it_waits(void **state)
{
	struct fixture *f = *state;
	fixture_lease(f);
	cold(0, "192.0.2.1");
	configure(f, 1);
	assert_int_equal(pick(f, "google"), 0);
	assert_int_equal(source_allow(book, 0, 0, STR("google"), 1000, NOW, &f->e), 50);
	use(f, 0, "google", 50, NOW);
	assert_int_equal(pick(f, "google"), SOURCE_WAIT);
	assert_false(source_has_room(book, 0, 0, STR("google"), NOW));
	/* Each provider has a volume of its own. */
	assert_int_equal(pick(f, "yahoo"), 0);
	source_book_free(&book);
	/* After a restart it is the same. */
	warm(1, "192.0.2.2");
	configure(f, 2);
	assert_false(source_has_room(book, 0, 0, STR("google"), NOW));
	assert_int_equal(pick(f, "google"), 1);
	/* And the next day gives the next volume. */
	assert_int_equal(source_allow(book, 0, 0, STR("google"), 1000, NOW + DAY, &f->e), 100);
}

static void overflow__wait__keeps_the_shares(void **state)
{
	struct fixture *f = *state;
	int got[2] = {0};
	fixture_lease(f);
	cold(0, "192.0.2.1")->warm_up.wait = true;
	warm(1, "192.0.2.2")->weight = 3;
	configure(f, 2);
	for (int i = 0; i < 1000; i++) {
		int s = pick(f, "google");
		if (s < 0)
			break;
		int n = source_allow(book, 0, s, STR("google"), 5, NOW, &f->e);
		use(f, s, "google", n, NOW);
		got[s] += n;
	}
	assert_int_equal(got[0], 50);
	assert_true(got[1] >= 130 && got[1] <= 200);
	assert_int_equal(pick(f, "google"), SOURCE_WAIT);
}

static void shares__follow_the_weights(void **state)
{
	struct fixture *f = *state;
	int got[2] = {0};
	fixture_lease(f);
	warm(0, "192.0.2.1");
	warm(1, "192.0.2.2")->weight = 3;
	configure(f, 2);
	/* Both would take as much as they can get. */
	for (int i = 0; i < 4000; i++) {
		int s = i % 2, n = source_allow(book, 0, s, STR("google"), 20, NOW, &f->e);
		use(f, s, "google", n, NOW);
		got[s] += n;
	}
	assert_true(got[0] > 1000);
	assert_true(got[1] > 2.8 * got[0] && got[1] < 3.2 * got[0]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(volume__by_the_calendar),
		T(volume__by_what_was_used),
		T(days__end_at_local_midnight),
		T(pick__without_sources),
		T(pick__of_a_family_that_the_site_has),
		T(volume__used_up__another_takes_it_or_it_waits),
		T(overflow__wait__keeps_the_shares),
		T(shares__follow_the_weights),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
