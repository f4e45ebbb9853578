#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/hold.h"

#include <stdio.h>

static ms_t now, since;

/* `n` answers, a second apart, every `every`-th unknown (0: none); how many until something changed, 0:
 * nothing did. */
static int feed(struct holds *h, const char *group, int n, int every, enum hold_change want)
{
	for (int i = 1; i <= n; i++) {
		now += SECOND;
		enum hold_change c =
			holds_count(h, str_from(group), every != 0 && i % every == 0, now, &since);
		if (c == want)
			return i;
		assert_true(c == HOLD_NOTHING || c == HOLD_GOES_ON);
	}
	return 0;
}

static struct holds *start(void)
{
	now = 1000000 * SECOND;
	struct holds *h = holds_new();
	assert_non_null(h);
	return h;
}

static void a_tenth_of_two_hundred(void **state)
{
	(void)state;
	struct holds *h = start();
	ms_t began = now + SECOND;
	assert_int_equal(feed(h, "docomo", 1000, 5, HOLD_BEGINS), 200);
	assert_int_equal(since, began); /* all of it is of the burst */
	holds_free(&h);
	/* A small list, all unknown, is no burst of the receiver's. */
	h = start();
	assert_int_equal(feed(h, "@small.example", 199, 1, HOLD_BEGINS), 0);
	holds_free(&h);
}

static void a_dirty_list_is_not_unusual(void **state)
{
	(void)state;
	struct holds *h = start();
	assert_int_equal(feed(h, "google", 100000, 12, HOLD_BEGINS), 0); /* 8 % all the time */
	holds_free(&h);
}

static void five_times_the_usual(void **state)
{
	(void)state;
	struct holds *h = start();
	assert_int_equal(feed(h, "google", 20000, 100, HOLD_BEGINS), 0); /* 1 % */
	ms_t before = now;
	int n = feed(h, "google", 2000, 2, HOLD_BEGINS);
	/* 5 % of the last 2,000 */
	assert_in_range(n, 120, 220);
	assert_in_range(since, before - 100 * SECOND, before + 100 * SECOND);
	holds_free(&h);
	/* Who never calls anybody unknown may do it twenty times before that means anything. */
	h = start();
	assert_int_equal(feed(h, "google", 5000, 0, HOLD_BEGINS), 0);
	assert_int_equal(feed(h, "google", 19, 1, HOLD_BEGINS), 0);
	assert_int_equal(feed(h, "google", 1, 1, HOLD_BEGINS), 1);
	holds_free(&h);
}

static void a_burst_ends(void **state)
{
	(void)state;
	struct holds *h = start();
	assert_int_equal(feed(h, "docomo", 1000, 5, HOLD_BEGINS), 200);
	assert_int_equal(feed(h, "docomo", 5000, 10, HOLD_ENDS), 0);
	int n = feed(h, "docomo", 5000, 30, HOLD_ENDS);
	assert_true(n > 0);
	assert_int_equal(feed(h, "docomo", 5000, 30, HOLD_BEGINS), 0);
	holds_free(&h);
	/* Or when nobody was called unknown for a day. */
	h = start();
	assert_int_equal(feed(h, "docomo", 1000, 5, HOLD_BEGINS), 200);
	now += DAY + SECOND;
	assert_int_equal(feed(h, "docomo", 1, 0, HOLD_ENDS), 1);
	holds_free(&h);
}

static void groups_do_not_mix(void **state)
{
	(void)state;
	struct holds *h = start();
	char name[40];
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "@d%d.example", i % 10000);
		assert_int_equal(holds_count(h, str_from(name), true, ++now, &since), HOLD_NOTHING);
		assert_int_equal(holds_count(h, STR("google"), false, now, &since), HOLD_NOTHING);
	}
	assert_int_equal(feed(h, "google", 300, 1, HOLD_BEGINS), 20);
	holds_free(&h);
}

struct kept {
	char group[10][40], text[10][1000];
	int n;
};

static int keep(void *ctx, struct str group, struct str text)
{
	struct kept *k = ctx;
	snprintf(k->group[k->n], sizeof k->group[0], "%.*s", STR_ARG(group));
	snprintf(k->text[k->n++], sizeof k->text[0], "%.*s", STR_ARG(text));
	return 0;
}

static void a_restart_knows(void **state)
{
	(void)state;
	struct holds *h = start(), *g = holds_new();
	struct kept k = {.n = 0};
	feed(h, "google", 20000, 100, HOLD_BEGINS);
	feed(h, "docomo", 1000, 5, HOLD_BEGINS);
	feed(h, "@small.example", 10, 5, HOLD_BEGINS);
	assert_int_equal(holds_save(h, keep, &k), 0);
	assert_int_equal(k.n, 2); /* small groups are not worth it */
	for (int i = 0; i < k.n; i++)
		assert_true(holds_load(g, str_from(k.group[i]), str_from(k.text[i])));
	assert_in_range(feed(g, "google", 2000, 2, HOLD_BEGINS), 120, 220);
	assert_int_equal(holds_count(g, STR("docomo"), true, now, &since), HOLD_GOES_ON);
	k.n = 0;
	assert_int_equal(holds_save(h, keep, &k), 0);
	assert_int_equal(k.n, 0);
	static const char *const bad[] = {"", "2", "1 0 0 0 0", "3 0 0 0 0", "2 2 0 0 0", "2 0 10 11 0",
		"2 0 -1 0 0", "2 0 0 0 0 101 0 0", "2 0 0 0 0 10 11 0", "2 0 0 0 0 10 1", "2 0 0 0 0 x"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(holds_load(g, STR("x"), str_from(bad[i])));
	holds_free(&h);
	holds_free(&g);
}

/* A process that ended before the burst was seen: the next one knows when it began. */
static void a_burst_over_two_processes(void **state)
{
	(void)state;
	struct holds *h = start(), *g = holds_new();
	struct kept k = {.n = 0};
	ms_t began = now + SECOND;
	assert_int_equal(feed(h, "docomo", 150, 5, HOLD_BEGINS), 0);
	assert_int_equal(holds_save(h, keep, &k), 0);
	assert_int_equal(k.n, 1);
	assert_true(holds_load(g, str_from(k.group[0]), str_from(k.text[0])));
	now += HOUR;
	/* The 200th is a good one. */
	assert_int_equal(feed(g, "docomo", 48, 5, HOLD_BEGINS), 0);
	now += SECOND;
	assert_int_equal(holds_count(g, STR("docomo"), true, now, &since), HOLD_NOTHING);
	assert_int_equal(holds_count(g, STR("docomo"), false, now, &since), HOLD_BEGINS);
	assert_int_equal(since, began);
	holds_free(&h);
	holds_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenth_of_two_hundred),
		cmocka_unit_test(a_dirty_list_is_not_unusual),
		cmocka_unit_test(five_times_the_usual),
		cmocka_unit_test(a_burst_ends),
		cmocka_unit_test(groups_do_not_mix),
		cmocka_unit_test(a_restart_knows),
		cmocka_unit_test(a_burst_over_two_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
