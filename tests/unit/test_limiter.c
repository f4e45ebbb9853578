#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/limiter.h"

#include <math.h>
#include <stdlib.h>

/* The most starts that fall into any second, when a caller tries every `every` us. */
static int64_t busiest_second(double rate, int64_t every, int64_t span, int64_t *total)
{
	struct limiter l = {0};
	limiter_set(&l, rate);
	size_t cap = (size_t)(rate * (double)span / 1e6) + 1000, n = 0;
	int64_t *at = malloc(cap * sizeof *at);
	assert_non_null(at);
	for (int64_t now = 1000000; now < 1000000 + span; now += every)
		while (n < cap && limiter_take(&l, now) == 0)
			at[n++] = now;
	int64_t worst = 0;
	for (size_t i = 0, j = 0; i < n; i++) {
		while (at[i] - at[j] >= 1000000)
			j++;
		if ((int64_t)(i - j + 1) > worst)
			worst = (int64_t)(i - j + 1);
	}
	*total = (int64_t)n;
	free(at);
	return worst;
}

static void rate__tried_often__no_second_above_rate_plus_one(void **state)
{
	(void)state;
	const double rates[] = {0.5, 1, 3, 14, 100, 251, 1000, 5000, 20000};
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		int64_t total, worst = busiest_second(rates[i], 97, 10000000, &total);
		assert_true((double)worst <= rates[i] + 1);
		assert_true((double)total >= rates[i] * 10 * 0.95 - 1);
	}
}

static void rate__coarse_timer__is_still_reached(void **state)
{
	(void)state;
	int64_t total, worst = busiest_second(5000, 2000, 10000000, &total);
	assert_true(worst <= 5001);
	assert_true(total >= 47000);
}

static void rate__each_start_a_little_late__is_reached(void **state)
{
	(void)state;
	const double rates[] = {10, 80, 200, 240};
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct limiter l = {0};
		int64_t now = 1000000, n = 0;
		limiter_set(&l, rates[i]);
		while (now < 11000000) {
			int64_t wait = limiter_take(&l, now);
			now += wait > 0 ? wait + 1000 + rand() % 2000 : 0;
			n += wait == 0;
		}
		assert_true((double)n >= rates[i] * 10 * 0.99);
	}
}

/* One start comes late, as timers do or after a rest, those behind it the moment they are free: what the
 * first may be caught up by is never more than one start of that second. */
static void rate__one_late_and_then_none__no_second_above_rate_plus_one(void **state)
{
	(void)state;
	srand(11);
	for (int round = 0; round < 3000; round++) {
		double rate = round % 3 == 0   ? 1 + rand() % 250
			      : round % 3 == 1 ? 251 + rand() % 3000
					       : 0.1 + rand() % 2500 / 10.;
		struct limiter l = {0};
		int64_t first = 0, n = 1;
		limiter_set(&l, rate);
		assert_int_equal(limiter_take(&l, 1000000), 0);
		first = 1000000 + limiter_wait(&l, 1000000) + (round % 7 == 0 ? 1000000 : rand() % 15000);
		assert_int_equal(limiter_take(&l, first), 0);
		for (int64_t now = first, wait; (now += wait = limiter_take(&l, now)) < first + 1000000;)
			n += wait == 0;
		assert_true((double)n <= ceil(rate) + 1);
	}
}

static void idle__does_not_save_up_starts(void **state)
{
	(void)state;
	struct limiter l = {0};
	limiter_set(&l, 10);
	assert_int_equal(limiter_take(&l, 1000000), 0);
	assert_int_equal(limiter_take(&l, 60000000), 0);
	assert_int_equal(limiter_take(&l, 60000000), 90000); /* but for what a late timer may catch up */
	assert_int_equal(limiter_room(&l, 60000000, 60250000), 2);
	limiter_hold(&l, 90000000);
	assert_int_equal(limiter_take(&l, 60000000), 30000000);
	limiter_set(&l, 0);
	assert_int_equal(limiter_take(&l, 60000000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate__tried_often__no_second_above_rate_plus_one),
		cmocka_unit_test(rate__coarse_timer__is_still_reached),
		cmocka_unit_test(rate__each_start_a_little_late__is_reached),
		cmocka_unit_test(rate__one_late_and_then_none__no_second_above_rate_plus_one),
		cmocka_unit_test(idle__does_not_save_up_starts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
