#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct zone *zone(const char *name)
{
	struct err e;
	const struct zone *z = clock_zone(name, &e);
	if (z == NULL)
		fail_msg("%s: %s", e.what, e.why);
	return z;
}

static int local(const char *name, int y, int mo, int d, int h, int mi, ms_t *t)
{
	struct civil c = {.year = y, .month = mo, .day = d, .hour = h, .minute = mi};
	return clock_local(zone(name), &c, t);
}

static const char *iso(const char *name, ms_t t)
{
	static char out[CLOCK_TEXT];
	return clock_iso(zone(name), t, out);
}

static void text__forms(void **state)
{
	(void)state;
	char out[CLOCK_TEXT];
	ms_t t = 1796083200000; /* 2026-12-01T00:00Z */
	assert_string_equal(clock_iso(zone("Asia/Tokyo"), t, out), "2026-12-01T09:00:00+09:00");
	assert_string_equal(clock_iso(zone("Asia/Tokyo"), t + 250, out), "2026-12-01T09:00:00.250+09:00");
	assert_string_equal(clock_utc(t, out), "2026-12-01T00:00:00.000Z");
	assert_string_equal(clock_utc(-1, out), "1969-12-31T23:59:59.999Z");
	assert_string_equal(clock_rfc5322(zone("Asia/Tokyo"), t, out), "Tue, 1 Dec 2026 09:00:00 +0900");
	assert_string_equal(
		clock_rfc5322(zone("America/St_Johns"), t, out), "Mon, 30 Nov 2026 20:30:00 -0330");
	assert_string_equal(clock_rfc5322(NULL, t, out), "Tue, 1 Dec 2026 00:00:00 +0000");
	assert_string_equal(clock_utc(INT64_MAX, out), "9999-12-30T23:59:59.999Z");
	assert_string_equal(clock_utc(INT64_MIN, out), "0000-01-02T00:00:00.000Z");
}

/* Every zone that a campaign may name, against the C library, hour by hour around changes and years ahead. */
static void civil__agrees_with_the_c_library(void **state)
{
	(void)state;
	static const char *const names[] = {"Asia/Tokyo", "Europe/Berlin", "America/New_York",
		"Australia/Lord_Howe", "Europe/Dublin", "Africa/Casablanca", "America/Santiago",
		"Asia/Kathmandu", "Pacific/Apia", "Antarctica/Troll", "America/Sao_Paulo", "Etc/GMT+12",
		"Asia/Gaza"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct zone *z = zone(names[i]);
		setenv("TZ", names[i], 1);
		tzset();
		for (time_t t = -2208988800 / 2; t < 4102444800; t += 39 * 3600 + 1741) {
			struct tm tm;
			struct civil c;
			localtime_r(&t, &tm);
			clock_civil(z, (ms_t)t * 1000, &c);
			if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
				c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec ||
				c.weekday != tm.tm_wday || c.yearday != tm.tm_yday ||
				c.offset != tm.tm_gmtoff || strcmp(c.abbrev, tm.tm_zone) != 0)
				fail_msg("%s at %lld", names[i], (long long)t);
			/* And back. */
			ms_t back;
			int n = clock_local(z, &c, &back);
			if (!(n == 1 && back == (ms_t)t * 1000) && n != 2)
				fail_msg("%s back at %lld: %d", names[i], (long long)t, n);
		}
	}
	unsetenv("TZ");
	tzset();
}

static void local__gap__does_not_exist(void **state)
{
	(void)state;
	ms_t t;
	assert_int_equal(local("Europe/Berlin", 2026, 3, 29, 2, 30, &t), 0);
	assert_string_equal(iso("Europe/Berlin", t), "2026-03-29T03:30:00+02:00");
	assert_int_equal(local("America/New_York", 2026, 3, 8, 2, 0, &t), 0);
	assert_int_equal(local("America/New_York", 2026, 3, 8, 3, 0, &t), 1);
	/* Half an hour only; and a year far past the table. */
	assert_int_equal(local("Australia/Lord_Howe", 2026, 10, 4, 2, 15, &t), 0);
	assert_int_equal(local("Australia/Lord_Howe", 2026, 10, 4, 2, 30, &t), 1);
	assert_int_equal(local("Europe/Berlin", 2300, 3, 25, 2, 30, &t), 0);
	/* A whole day that Samoa left out. */
	assert_int_equal(local("Pacific/Apia", 2011, 12, 30, 12, 0, &t), 0);
}

static void local__overlap__gives_the_first(void **state)
{
	(void)state;
	ms_t t;
	assert_int_equal(local("Europe/Berlin", 2026, 10, 25, 2, 30, &t), 2);
	assert_string_equal(iso("Europe/Berlin", t), "2026-10-25T02:30:00+02:00");
	assert_int_equal(local("Europe/Berlin", 2026, 10, 25, 3, 0, &t), 1);
	assert_int_equal(local("Europe/Berlin", 2026, 10, 25, 1, 59, &t), 1);
	assert_int_equal(local("Australia/Lord_Howe", 2026, 4, 5, 1, 45, &t), 2);
	assert_string_equal(iso("Australia/Lord_Howe", t), "2026-04-05T01:45:00+11:00");
	/* Ireland's winter time is the "saving" one: the rule is written backwards. */
	assert_int_equal(local("Europe/Dublin", 2060, 10, 31, 1, 30, &t), 2);
	assert_string_equal(iso("Europe/Dublin", t), "2060-10-31T01:30:00+01:00");
}

static void local__no_such_date__is_refused(void **state)
{
	(void)state;
	ms_t t;
	assert_int_equal(local("Asia/Tokyo", 2026, 2, 29, 0, 0, &t), -1);
	assert_int_equal(local("Asia/Tokyo", 2028, 2, 29, 0, 0, &t), 1);
	assert_int_equal(local("Asia/Tokyo", 2100, 2, 29, 0, 0, &t), -1);
	assert_int_equal(local("Asia/Tokyo", 2026, 13, 1, 0, 0, &t), -1);
	assert_int_equal(local("Asia/Tokyo", 2026, 1, 0, 0, 0, &t), -1);
	assert_int_equal(local("Asia/Tokyo", 2026, 1, 1, 24, 0, &t), -1);
}

static void zone__bad_names__are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"Asia/Tokio", "../../etc/passwd", "/etc/localtime", "Asia/../../x",
		"Asia", "tzdata.zi", "zone.tab", "a\nb"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		assert_null(clock_zone(bad[i], &e));
		assert_int_equal(e.code, ERR_CONFIG);
	}
	assert_ptr_equal(zone("Asia/Tokyo"), zone("Asia/Tokyo"));
	assert_string_equal(clock_zone_name(zone("Asia/Tokyo")), "Asia/Tokyo");
	assert_non_null(clock_zone(NULL, NULL));
}

/* "JST-9" is what many write who have no zone files at hand. */
static void zone__from_the_environment(void **state)
{
	(void)state;
	static const struct {
		const char *tz, *winter, *summer;
	} all[] = {
		{"JST-9", "2026-01-01T09:00:00+09:00", "2026-07-01T09:00:00+09:00"},
		{":JST-9", "2026-01-01T09:00:00+09:00", "2026-07-01T09:00:00+09:00"},
		{"<+0530>-5:30", "2026-01-01T05:30:00+05:30", "2026-07-01T05:30:00+05:30"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T01:00:00+01:00", "2026-07-01T02:00:00+02:00"},
		{"/usr/share/zoneinfo/Europe/Berlin", "2026-01-01T01:00:00+01:00",
			"2026-07-01T02:00:00+02:00"},
		{":Asia/Tokyo", "2026-01-01T09:00:00+09:00", "2026-07-01T09:00:00+09:00"},
	};
	const char *was = getenv("TZ");
	char kept[200], out[CLOCK_TEXT];
	snprintf(kept, sizeof kept, "%s", was != NULL ? was : "");
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct err e = {0};
		setenv("TZ", all[i].tz, 1);
		const struct zone *z = clock_zone(NULL, &e);
		if (z == NULL)
			fail_msg("%s: %s: %s", all[i].tz, e.what, e.why);
		assert_string_equal(clock_iso(z, 1767225600000, out), all[i].winter);
		assert_string_equal(clock_iso(z, 1782864000000, out), all[i].summer);
	}
	setenv("TZ", "Asia/Tokyoo", 1);
	assert_null(clock_zone(NULL, NULL));
	if (was != NULL)
		setenv("TZ", kept, 1);
	else
		unsetenv("TZ");
}

static ms_t parse(const char *text)
{
	struct err e;
	ms_t t;
	if (clock_parse(text, zone("Asia/Tokyo"), 1000, &t, &e) != 0)
		fail_msg("%s: %s: %s", text, e.what, e.why);
	return t;
}

static void parse__what_people_write(void **state)
{
	(void)state;
	const ms_t t = 1796083200000;
	assert_true(parse("2026-12-01T09:00+09:00") == t);
	assert_true(parse("2026-12-01T00:00:00Z") == t);
	assert_true(parse("2026-12-01 09:00") == t);
	assert_true(parse(" 2026-12-01T09:00:00 ") == t);
	assert_true(parse("2026-12-01") == t - 9 * HOUR);
	assert_true(parse("2026-11-30T19:00:00.5-0500") == t + 500);
	assert_true(parse("2026-12-01T05:30+0530") == t);
	assert_true(parse("2026-12-01T09:00+09") == t);
	assert_true(parse("15m") == 1000 + 15 * MINUTE);
	assert_true(parse("1h30m") == 1000 + 90 * MINUTE);
	assert_true(parse("0") == 1000);
}

static void parse__nonsense__says_why(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "tomorrow", "2026-13-01", "2026-02-30", "2026-12-01T25:00",
		"12m3", "m", "-5m", "3m1h", "5m5m", "99999999999h", "2026-12-01T09:00+9",
		"2026-12-01T09:00 JST", "2026-12-01T09", "9:00", "2026-12-01T09:00+09:00x",
		"2026-12-01T09:00+16:00", "2026-12-01T09:00:00."};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		ms_t t;
		if (clock_parse(bad[i], zone("Asia/Tokyo"), 0, &t, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.code, ERR_USAGE);
		assert_true(e.why[0] != '\0' || bad[i][0] == '\0');
	}
}

static void parse__clock_change__asks_for_the_offset(void **state)
{
	(void)state;
	struct err e = {0};
	ms_t t;
	assert_int_equal(clock_parse("2026-03-29 02:30", zone("Europe/Berlin"), 0, &t, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.why, "does not exist in Europe/Berlin"));
	assert_int_equal(clock_parse("2026-10-25 02:30", zone("Europe/Berlin"), 0, &t, &e), -1);
	assert_non_null(strstr(e.why, "twice"));
	assert_non_null(strstr(e.remedy, "2026-10-25T02:30:00+02:00"));
	assert_int_equal(clock_parse("2026-10-25T02:30+01:00", zone("Europe/Berlin"), 0, &t, &e), 0);
}

/* In Cairo the clock is put forward at midnight, in Havana it is put back to midnight. */
static void parse__date_alone__is_where_that_day_begins(void **state)
{
	(void)state;
	ms_t t;
	char out[CLOCK_TEXT];
	assert_int_equal(clock_parse("2024-04-26", zone("Africa/Cairo"), 0, &t, NULL), 0);
	assert_string_equal(clock_iso(zone("Africa/Cairo"), t, out), "2024-04-26T01:00:00+03:00");
	assert_int_equal(clock_parse("2026-11-01", zone("America/Havana"), 0, &t, NULL), 0);
	assert_string_equal(clock_iso(zone("America/Havana"), t, out), "2026-11-01T00:00:00-04:00");
	assert_int_equal(clock_parse("2024-04-26 00:00", zone("Africa/Cairo"), 0, &t, NULL), -1);
}

static void read__clock_change__takes_a_time(void **state)
{
	(void)state;
	ms_t t;
	char out[CLOCK_TEXT];
	const struct zone *berlin = zone("Europe/Berlin");
	assert_true(clock_read("2026-10-25 02:30", berlin, &t));
	assert_string_equal(clock_iso(berlin, t, out), "2026-10-25T02:30:00+02:00");
	assert_true(clock_read("2026-03-29 02:30", berlin, &t));
	assert_string_equal(clock_iso(berlin, t, out), "2026-03-29T03:30:00+02:00");
	assert_true(clock_read("2026-03-29T02:30:00.25+01:00", berlin, &t));
	assert_string_equal(clock_iso(berlin, t, out), "2026-03-29T03:30:00.250+02:00");
	assert_false(clock_read("2026-02-30", berlin, &t));
	assert_false(clock_read("2h", berlin, &t));
}

static void span__text(void **state)
{
	(void)state;
	char out[CLOCK_TEXT];
	ms_t t;
	assert_string_equal(clock_span_text(42 * SECOND, out), "42s");
	assert_string_equal(clock_span_text(63 * MINUTE, out), "1h 03m");
	assert_string_equal(clock_span_text(76 * HOUR, out), "3d 4h");
	assert_string_equal(clock_span_text(-90 * SECOND, out), "-1m 30s");
	assert_string_equal(clock_span_text(INT64_MIN, out), "-106751991167d 7h");
	assert_int_equal(clock_span("3d", &t, NULL), 0);
	assert_true(t == 3 * DAY);
	assert_int_equal(clock_span("3 d", &t, NULL), -1);
	assert_int_equal(clock_span("100y", &t, NULL), 0);
	assert_int_equal(clock_span("101y", &t, NULL), -1);
	assert_int_equal(clock_span("999999999y", &t, NULL), -1);
	assert_int_equal(clock_span("100y99999d", &t, NULL), -1);
}

static void fake__holds_and_moves(void **state)
{
	(void)state;
	clock_fake(5000);
	assert_true(clock_now() == 5000);
	ms_t m = clock_mono();
	clock_fake_add(250);
	assert_true(clock_now() == 5250);
	assert_true(clock_mono() == m + 250);
	clock_fake(0);
	assert_true(clock_now() > 1600000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text__forms),
		cmocka_unit_test(civil__agrees_with_the_c_library),
		cmocka_unit_test(local__gap__does_not_exist),
		cmocka_unit_test(local__overlap__gives_the_first),
		cmocka_unit_test(local__no_such_date__is_refused),
		cmocka_unit_test(zone__bad_names__are_refused),
		cmocka_unit_test(zone__from_the_environment),
		cmocka_unit_test(parse__what_people_write),
		cmocka_unit_test(parse__nonsense__says_why),
		cmocka_unit_test(parse__clock_change__asks_for_the_offset),
		cmocka_unit_test(parse__date_alone__is_where_that_day_begins),
		cmocka_unit_test(read__clock_change__takes_a_time),
		cmocka_unit_test(span__text),
		cmocka_unit_test(fake__holds_and_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
