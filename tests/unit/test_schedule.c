#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/schedule.h"

static ms_t at(const struct zone *z, const char *text)
{
	struct err e = {0};
	ms_t t = 0;
	assert_int_equal(clock_parse(text, z, 0, &t, &e), 0);
	return t;
}

static void retry__follows_the_delays__the_last_repeats(void **state)
{
	(void)state;
	ms_t delays[] = {5 * MINUTE, 15 * MINUTE, HOUR};
	struct config c = {.retry_delays = delays, .nretry = 3, .retry_expire = 3 * DAY};
	const ms_t expect[] = {5 * MINUTE, 15 * MINUTE, HOUR, HOUR, HOUR};
	for (int i = 0; i < 5; i++) {
		ms_t due = schedule_retry(&c, i + 1, 0, 0, 1000, 0, (uint64_t)i);
		assert_true(due >= 1000 + expect[i]);
		assert_true(due <= 1000 + expect[i] + expect[i] / 10);
	}
	ms_t least = schedule_retry(&c, 1, 0, 0, 1000, 2 * HOUR, 1);
	assert_true(least >= 1000 + 2 * HOUR);
}

static void retry__past_the_age__is_over__pauses_apart(void **state)
{
	(void)state;
	ms_t delays[] = {HOUR};
	struct config c = {.retry_delays = delays, .nretry = 1, .retry_expire = DAY};
	assert_int_equal(schedule_retry(&c, 30, 0, 0, DAY, 0, 1), 0);
	assert_true(schedule_retry(&c, 30, 0, 2 * HOUR, DAY, 0, 1) > DAY);
}

static void retry__many_deferred_together__come_back_spread(void **state)
{
	(void)state;
	ms_t delays[] = {HOUR};
	struct config c = {.retry_delays = delays, .nretry = 1, .retry_expire = DAY};
	int buckets[6] = {0};
	for (uint64_t i = 0; i < 6000; i++)
		buckets[(schedule_retry(&c, 1, 0, 0, 0, 0, i) - HOUR) / MINUTE]++;
	for (int i = 0; i < 6; i++)
		assert_true(buckets[i] > 600);
}

static void quiet__over_midnight__ends_in_the_morning(void **state)
{
	(void)state;
	struct err e = {0};
	struct config c = {.quiet_from = 21 * 60, .quiet_to = 8 * 60};
	c.zone = clock_zone("Asia/Tokyo", &e);
	assert_non_null(c.zone);
	assert_int_equal(schedule_quiet(&c, at(c.zone, "2026-06-01T20:59:59")), 0);
	assert_true(schedule_quiet(&c, at(c.zone, "2026-06-01T21:00")) == at(c.zone, "2026-06-02T08:00"));
	assert_true(schedule_quiet(&c, at(c.zone, "2026-06-02T07:59:59")) == at(c.zone, "2026-06-02T08:00"));
	assert_int_equal(schedule_quiet(&c, at(c.zone, "2026-06-02T08:00")), 0);
	c.quiet_to = c.quiet_from;
	assert_int_equal(schedule_quiet(&c, at(c.zone, "2026-06-01T21:00")), 0);
}

static void quiet__night_of_a_clock_change__ends_by_the_local_clock(void **state)
{
	(void)state;
	struct err e = {0};
	struct config c = {.quiet_from = 21 * 60, .quiet_to = 8 * 60};
	c.zone = clock_zone("Europe/Berlin", &e);
	assert_non_null(c.zone);
	assert_true(schedule_quiet(&c, at(c.zone, "2026-03-28T23:00")) == at(c.zone, "2026-03-29T08:00"));
	assert_true(schedule_quiet(&c, at(c.zone, "2026-10-24T23:00")) == at(c.zone, "2026-10-25T08:00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retry__follows_the_delays__the_last_repeats),
		cmocka_unit_test(retry__past_the_age__is_over__pauses_apart),
		cmocka_unit_test(retry__many_deferred_together__come_back_spread),
		cmocka_unit_test(quiet__over_midnight__ends_in_the_morning),
		cmocka_unit_test(quiet__night_of_a_clock_change__ends_by_the_local_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
