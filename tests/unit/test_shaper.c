#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/shape/shaper.h"

/* What a shaper answers to what happens, on a clock that the test moves. */

#define US INT64_C(1000000)

static struct rules *rules;
static struct shaper s;
static int64_t now;

static int load(void **state)
{
	(void)state;
	struct err e = {0};
	rules = rules_load(NULL, &e);
	return rules != NULL ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	rules_free(&rules);
	return 0;
}

static const struct limits plain = {
	.connections = 20,
	.start = 2,
	.messages_per_connection = 100,
	.idle = 10 * SECOND,
	.suspend = 5 * MINUTE,
	.suspend_most = 2 * HOUR,
	.down_most = 15 * MINUTE,
	.recover = 2 * MINUTE,
};

static void begin(const struct limits *l)
{
	now = 1000 * US;
	shaper_init(&s, l, now);
}

static bool connect_one(void)
{
	if (shaper_may_connect(&s, now) != 0)
		return false;
	shaper_connecting(&s, now);
	shaper_established(&s, now);
	return true;
}

static int connect_all(void)
{
	int n = 0;
	while (connect_one())
		n++;
	return n;
}

static bool start_one(int64_t *started)
{
	*started = now;
	if (shaper_may_send(&s, now) != 0)
		return false;
	shaper_start(&s, now);
	return true;
}

static void answer(int64_t started, const char *provider, const char *stage, int code, const char *enhanced,
	const char *text)
{
	struct verdict v;
	if (code == 250) {
		shaper_answer(&s, now, started, SHAPER_ACCEPTED, NULL, STR("ok"));
		return;
	}
	rules_decide(
		rules, str_from(provider), str_from(stage), code, str_from(enhanced), str_from(text), &v);
	shaper_answer(&s, now, started, SHAPER_ANSWERED, &v, str_from(text));
}

/* n messages one after the other, 10 ms each. */
static void accepted(int n)
{
	for (int i = 0; i < n; i++) {
		int64_t at;
		if (!start_one(&at))
			fail_msg("message %d of %d may not start: %s", i, n, shaper_state_names[s.state]);
		now += 10000;
		answer(at, "", "end", 250, "", "");
	}
}

static void refused_now(
	const char *provider, const char *stage, int code, const char *enhanced, const char *text)
{
	int64_t at;
	assert_true(start_one(&at));
	now += 10000;
	answer(at, provider, stage, code, enhanced, text);
}

/* ---- Connections ---- */

static void connections__begin_small_and_grow_by_one_a_round(void **state)
{
	(void)state;
	begin(&plain);
	shaper_connecting(&s, now); /* the first alone tries the door */
	assert_int_equal(shaper_may_connect(&s, now), SHAPER_LATER);
	shaper_established(&s, now);
	assert_true(connect_one());
	for (int want = 3, sent = 0; want <= 20; want++) {
		while (!connect_one()) {
			accepted(1);
			sent++;
			assert_true(sent < 1000);
		}
		assert_int_equal(s.established, want);
	}
	accepted(100);
	assert_false(connect_one());
	assert_int_equal(s.bind, SHAPER_BY_CONNECTIONS);
}

static void connections__idle_ones_are_no_reason_for_more(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	connect_one();
	accepted(500); /* without asking for another */
	assert_true(shaper_connections(&s, now) == 2);
}

static void connections__one_refused_while_others_stand__shows_how_many(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	accepted(1);
	connect_one();
	accepted(20);
	while (shaper_may_connect(&s, now) != 0)
		accepted(1);
	struct verdict v;
	rules_decide(rules, STR(""), STR("greeting"), 421, STR("4.7.0"), STR("too many connections"), &v);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_GREETING, &v, STR("421 too many connections"));
	assert_int_equal(s.state, SHAPER_OK);
	assert_int_equal(shaper_connections(&s, now), 2);
	/* Mail goes on over the two; for a while no third is tried, then one, then for longer none. */
	int64_t first = now;
	while (shaper_may_connect(&s, now) != 0)
		accepted(1);
	assert_true(now - first >= 10 * US);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_GREETING, &v, STR("421 too many connections"));
	int64_t second = now;
	while (shaper_may_connect(&s, now) != 0)
		accepted(1);
	assert_true(now - second >= 2 * (now - now + 10 * US));
	/* Now there is room: it is taken. */
	assert_true(connect_one());
	accepted(30);
	assert_true(shaper_connections(&s, now) >= 3);
}

static void connections__an_extra_one_refused_for_any_reason__is_no_matter_of_rate(void **state)
{
	(void)state;
	begin(&plain);
	while (s.established < 2)
		if (!connect_one())
			accepted(1);
	accepted(20);
	while (shaper_may_connect(&s, now) != 0)
		accepted(1);
	struct verdict v;
	rules_decide(rules, STR(""), STR("greeting"), 421, STR("4.3.2"), STR("service not available"), &v);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_GREETING, &v, STR("421 service not available"));
	assert_int_equal(s.state, SHAPER_OK);
	assert_int_equal(shaper_connections(&s, now), 2);
	accepted(20);
}

static void connections__too_many_said_to_a_message__one_fewer_and_no_pause(void **state)
{
	(void)state;
	begin(&plain);
	while (s.established < 5)
		if (!connect_one())
			accepted(1);
	refused_now("", "mail", 421, "", "too many concurrent connections from your host");
	assert_int_equal(shaper_connections(&s, now), 4);
	assert_int_equal(shaper_may_send(&s, now), 0);
}

static void connections__too_many_said_to_the_only_one__is_a_pause(void **state)
{
	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		begin(&plain);
		assert_true(connect_one());
		accepted(5);
		int told = 0;
		for (int64_t end = now + 60 * US; now < end; now += 10000) {
			int64_t at;
			if (s.established == 0)
				connect_one();
			if (s.established == 0 || !start_one(&at))
				continue;
			told++;
			answer(at, "", "mail", closes ? 421 : 451, "",
				"too many concurrent connections from your host");
			if (closes)
				shaper_closed(&s, now, 1, true);
		}
		assert_in_range(told, 1, 3);
	}
}

static void connections__none_comes_about__down_with_growing_pauses(void **state)
{
	(void)state;
	begin(&plain);
	int64_t wait = 0;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(shaper_may_connect(&s, now), 0);
		shaper_connecting(&s, now);
		assert_int_equal(shaper_may_connect(&s, now), SHAPER_LATER);
		shaper_connect_failed(&s, now, SHAPER_REFUSED, NULL, STR("connection refused"));
		assert_int_equal(s.state, SHAPER_DOWN);
		int64_t next = shaper_may_connect(&s, now);
		assert_true(next >= wait && next <= 15 * 60 * US);
		wait = next;
		now += next;
	}
	assert_int_equal(wait, 15 * 60 * US);
	/* Up again: one message, then as at the beginning. */
	assert_true(connect_one());
	assert_false(connect_one());
	accepted(1);
	assert_int_equal(s.state, SHAPER_OK);
	assert_true(connect_one());
}

static void connections__greets_and_hangs_up__is_down_too(void **state)
{
	(void)state;
	begin(&plain);
	int64_t wait = 0;
	for (int i = 0; i < 5; i++) {
		assert_true(connect_one());
		shaper_closed(&s, now, 0, true);
		int64_t next = shaper_may_connect(&s, now);
		assert_true(next > wait);
		now += wait = next;
	}
}

static void connections__all_lost_at_once__is_one_failure(void **state)
{
	(void)state;
	struct limits l = plain;
	l.relay = true;
	l.start = 20;
	begin(&l);
	connect_all();
	accepted(100);
	while (s.established > 0)
		shaper_closed(&s, now, s.established % 2 == 0 ? 0 : 5, true);
	assert_true(shaper_may_connect(&s, now) <= US);
	now += US;
	assert_true(connect_one());
	accepted(1);
	connect_all();
	assert_int_equal(s.established, 20); /* as if nothing had been */
}

static void connections__reset_at_a_carrier__is_congestion(void **state)
{
	(void)state;
	struct limits l = plain;
	l.reset_is_congestion = true;
	begin(&l);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_RESET, NULL, STR("connection reset"));
	assert_int_equal(s.state, SHAPER_SUSPENDED);
	assert_true(shaper_may_connect(&s, now) >= 5 * 60 * US);
	now += shaper_may_connect(&s, now);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_RESET, NULL, STR("connection reset"));
	assert_true(shaper_may_connect(&s, now) >= 10 * 60 * US);
	/* While others stand, fewer: nothing is suspended. */
	begin(&l);
	while (s.established < 8)
		if (!connect_one())
			accepted(1);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_RESET, NULL, STR("connection reset"));
	assert_int_equal(s.state, SHAPER_OK);
	assert_true(shaper_connections(&s, now) <= 8);
}

static void connections__rate(void **state)
{
	(void)state;
	struct limits l = plain;
	l.connection_rate = 2;
	l.start = 20;
	begin(&l);
	for (int i = 0, opened = 0; i < 100; i++, now += US / 10) {
		opened += connect_all();
		if (s.established > 0)
			accepted(1);
		assert_true(opened <= 2 + i / 4);
	}
}

static void connections__closes_after_so_many__is_learned(void **state)
{
	(void)state;
	begin(&plain);
	assert_int_equal(shaper_messages(&s, now), 100);
	for (int i = 0; i < 10; i++) {
		connect_one();
		shaper_closed(&s, now, 20, true); /* all at once: it was restarted */
	}
	assert_int_equal(shaper_messages(&s, now), 100);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(shaper_messages(&s, now), 100);
		now += 2 * US;
		connect_one();
		shaper_closed(&s, now, 20, true);
	}
	assert_int_equal(shaper_messages(&s, now), 20);
	assert_int_equal(s.state, SHAPER_OK);
	now += 3601 * US;
	assert_int_equal(shaper_messages(&s, now), 100);
	connect_one();
	shaper_closed(&s, now, 20, true); /* still so */
	assert_int_equal(shaper_messages(&s, now), 20);
}

/* ---- Messages ---- */

static void rate__of_the_limits__is_even(void **state)
{
	(void)state;
	struct limits l = plain;
	l.rate.per_second = 5;
	begin(&l);
	connect_one();
	assert_true(shaper_may_send(&s, now) > 0); /* the step of a process that ended a moment ago */
	int sent = 0;
	for (int i = 0; i < 1000; i++, now += 10000) {
		int64_t at;
		if (start_one(&at)) {
			sent++;
			answer(at, "", "end", 250, "", "");
		}
	}
	assert_in_range(sent, 48, 50);
	assert_int_equal(s.bind, SHAPER_BY_RATE);
	assert_in_range(shaper_room(&s, now, now + 2 * US), 9, 11);
}

static void replies__about_one_address__slow_nobody(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	for (int i = 0; i < 500; i++) {
		refused_now("", "rcpt", 450, "4.2.0", "greylisted, try again in 300 seconds");
		refused_now("", "rcpt", 452, "4.2.2", "mailbox full");
		refused_now("", "rcpt", 550, "5.1.1", "no such user");
		refused_now("google", "rcpt", 450, "4.2.1", "The user is receiving mail too quickly");
		refused_now("", "end", 554, "5.7.1", "message looks like spam");
	}
	assert_int_equal(s.state, SHAPER_OK);
	assert_int_equal(shaper_may_send(&s, now), 0);
	assert_true(s.rate == 0);
}

static void replies__few_faults_of_the_site__slow_nobody__many_do(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	for (int i = 0; i < 500; i++) {
		accepted(9);
		refused_now("", "rcpt", 451, "4.3.0", "temporary lookup failure");
	}
	assert_true(s.rate == 0);
	for (int i = 0; i < 20 && s.state == SHAPER_OK; i++)
		refused_now("", "rcpt", 451, "4.3.0", "temporary lookup failure");
	assert_int_equal(s.state, SHAPER_SUSPENDED);
}

static void throttled__rests_and_one_message_probes(void **state)
{
	(void)state;
	begin(&plain);
	while (s.established < 4)
		if (!connect_one())
			accepted(1);
	accepted(200);
	int64_t at[4];
	for (int i = 0; i < 4; i++)
		assert_true(start_one(&at[i]));
	now += 10000;
	answer(at[0], "", "mail", 451, "4.7.1", "rate limit exceeded, slow down");
	assert_int_equal(s.state, SHAPER_SUSPENDED);
	int64_t wait = shaper_may_send(&s, now);
	assert_int_equal(wait, US);
	/* What was under way makes it no worse. */
	for (int i = 1; i < 4; i++)
		answer(at[i], "", "mail", 451, "4.7.1", "rate limit exceeded, slow down");
	assert_int_equal(shaper_may_send(&s, now), wait);
	assert_int_equal(shaper_room(&s, now, now + US / 2), 0);
	now += wait;
	assert_int_equal(shaper_room(&s, now, now + US), 1);
	assert_true(start_one(&at[0]));
	assert_int_equal(s.state, SHAPER_PROBING);
	assert_int_equal(shaper_may_send(&s, now), SHAPER_LATER);
	now += 10000;
	answer(at[0], "", "mail", 451, "4.7.1", "rate limit exceeded, slow down");
	assert_int_equal(shaper_may_send(&s, now), 2 * US); /* growing */
	now += 2 * US;
	assert_true(start_one(&at[0]));
	now += 10000;
	answer(at[0], "", "end", 250, "", "");
	assert_int_equal(s.state, SHAPER_SLOWED);
	assert_true(s.rate > 0);
}

static void throttled__given_back_probe_is_no_answer(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	accepted(10);
	refused_now("", "mail", 421, "", "too many messages, slow down");
	now += 2 * US;
	int64_t at;
	assert_true(start_one(&at));
	shaper_answer(&s, now, at, SHAPER_UNTRIED, NULL, STR(""));
	assert_true(start_one(&at));
	/* Lost on the way is an answer: later again. */
	shaper_answer(&s, now, at, SHAPER_LOST, NULL, STR("timed out"));
	assert_int_equal(s.state, SHAPER_SUSPENDED);
}

/* Google's published way out of 4.7.28: stop for at least ten minutes, begin with one connection, add one at
 * a time; here with a receiver that is still angry at the first try. */
static void gmail_4_7_28__published_recovery(void **state)
{
	(void)state;
	const char *text = "Our system has detected an unusual rate of unsolicited mail originating from "
			   "your IP address. "
			   "To protect our users from spam, mail sent from your IP address has been "
			   "temporarily rate limited.";
	struct limits l = plain;
	l.connections = 5;
	l.suspend = 10 * MINUTE;
	begin(&l);
	while (s.established < 5)
		if (!connect_one())
			accepted(1);
	accepted(1000);
	refused_now("google", "end", 421, "4.7.28", text);
	assert_int_equal(s.state, SHAPER_SUSPENDED);
	assert_int_equal(shaper_connections(&s, now), 0);
	assert_true(shaper_may_send(&s, now) >= 600 * US && shaper_may_connect(&s, now) >= 600 * US);
	char line[300];
	shaper_limit_text(&s, "provider google", NULL, now, 1800000000000, line, sizeof line);
	assert_non_null(strstr(line, "provider google: suspended until 2027-01-15 08:10:00"));
	assert_non_null(strstr(line, "unusual rate"));
	for (int i = 0; i < 5; i++)
		shaper_closed(&s, now, 200, false);
	now += 600 * US;
	/* One connection, one message. */
	assert_int_equal(shaper_connections(&s, now), 1);
	assert_int_equal(connect_all(), 1);
	refused_now("google", "end", 421, "4.7.28", text);
	shaper_closed(&s, now, 0, false);
	assert_true(shaper_may_connect(&s, now) >= 1200 * US);
	now += 1200 * US;
	assert_int_equal(connect_all(), 1);
	accepted(1);
	assert_int_equal(s.state, SHAPER_RECOVERING);
	/* One connection more for each two minutes without trouble; the rate follows. */
	double rate = 0;
	for (int want = 1; want <= 4; want++) {
		int64_t end = now + 119 * US;
		while (now < end) {
			int64_t at;
			connect_all();
			assert_int_equal(s.established, want);
			if (start_one(&at))
				answer(at, "google", "end", 250, "", "");
			now += US / 20;
		}
		assert_true(s.rate > rate);
		rate = s.rate;
		now += US;
	}
	now += US;
	connect_all();
	assert_int_equal(s.established, 5);
	assert_int_equal(s.state, SHAPER_OK);
}

static void suspension__grows_while_it_does_not_help__up_to_the_most(void **state)
{
	(void)state;
	begin(&plain);
	connect_one();
	accepted(50);
	int64_t last = 0;
	for (int i = 0; i < 12; i++) {
		refused_now("microsoft", "mail", 451, "4.7.650", "rate limited");
		int64_t wait = shaper_may_send(&s, now);
		assert_true(wait >= 3600 * US && wait >= last && wait <= 7200 * US);
		last = wait;
		now += wait;
	}
	assert_int_equal(last, 7200 * US);
	/* Taken, and again too much on the way back: not shorter than before. */
	accepted(1);
	assert_int_equal(s.state, SHAPER_RECOVERING);
	now += US;
	refused_now("microsoft", "mail", 421, "4.7.0", "too many messages, slow down");
	assert_true(shaper_may_send(&s, now) >= 7200 * US);
}

static void suspension__asked_for_by_a_later_answer__is_one(void **state)
{
	(void)state;
	begin(&plain);
	while (s.established < 4)
		if (!connect_one())
			accepted(1);
	accepted(100);
	int64_t at[3];
	for (int i = 0; i < 3; i++)
		assert_true(start_one(&at[i]));
	now += 10000;
	answer(at[0], "", "mail", 421, "", "too many messages, slow down");
	assert_true(shaper_may_send(&s, now) <= US);
	answer(at[1], "google", "end", 421, "4.7.28", "unusual rate of mail");
	assert_true(shaper_may_send(&s, now) >= 600 * US);
	assert_int_equal(shaper_connections(&s, now), 0);
	now += 600 * US;
	accepted(1);
	assert_int_equal(s.state, SHAPER_RECOVERING);
}

static void suspension__at_the_greeting(void **state)
{
	(void)state;
	begin(&plain);
	struct verdict v;
	rules_decide(
		rules, STR("direct"), STR("greeting"), 554, STR("5.7.1"), STR("blocked, see spamhaus"), &v);
	assert_int_equal(v.action, ACTION_SUSPEND);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_GREETING, &v, STR("554 blocked, see spamhaus"));
	assert_int_equal(s.state, SHAPER_SUSPENDED);
	assert_true(shaper_may_connect(&s, now) >= 3600 * US);
}

static void relay__what_it_passes_on_suspends_nothing__what_it_says_of_us_does(void **state)
{
	(void)state;
	struct limits l = plain;
	l.relay = true;
	l.start = 20;
	begin(&l);
	assert_int_equal(connect_all(), 20);
	accepted(100);
	refused_now("google", "end", 421, "4.7.28", "unusual rate of mail");
	assert_true(shaper_may_send(&s, now) <= US);
	now += US;
	accepted(1);
	now += 2 * US;
	refused_now("relay/ses", "end", 454, "4.7.0", "Throttling failure: Maximum sending rate exceeded");
	assert_true(shaper_may_send(&s, now) <= US);
	now += US;
	accepted(1);
	now += 2 * US;
	refused_now("relay", "mail", 451, "4.1.8", "sender address rejected: domain not found");
	assert_true(shaper_may_send(&s, now) >= 900 * US);
}

static void status__says_what_binds(void **state)
{
	(void)state;
	char line[200];
	struct limits l = plain;
	l.connections = 2;
	begin(&l);
	shaper_limit_text(&s, "provider google", NULL, now, 0, line, sizeof line);
	assert_string_equal(line, "");
	connect_one();
	accepted(1);
	connect_all();
	shaper_limit_text(&s, "provider google", NULL, now, 0, line, sizeof line);
	assert_string_equal(line, "provider google: 2 connections");
	l.rate.per_second = 20;
	begin(&l);
	connect_one();
	shaper_may_send(&s, now);
	shaper_limit_text(&s, "site mx.example", NULL, now, 0, line, sizeof line);
	assert_string_equal(line, "site mx.example: 20/s");
	begin(&plain);
	shaper_connecting(&s, now);
	shaper_connect_failed(&s, now, SHAPER_REFUSED, NULL, STR("connection refused"));
	shaper_limit_text(&s, "site mx.example", NULL, now, 0, line, sizeof line);
	assert_string_equal(
		line, "site mx.example: down until 1970-01-01 00:00:01 +00:00: connection refused");
}

/* Twenty thousand of them are in memory at once. */
static void memory__is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct shaper) <= 640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections__begin_small_and_grow_by_one_a_round),
		cmocka_unit_test(connections__idle_ones_are_no_reason_for_more),
		cmocka_unit_test(connections__one_refused_while_others_stand__shows_how_many),
		cmocka_unit_test(connections__an_extra_one_refused_for_any_reason__is_no_matter_of_rate),
		cmocka_unit_test(connections__too_many_said_to_a_message__one_fewer_and_no_pause),
		cmocka_unit_test(connections__too_many_said_to_the_only_one__is_a_pause),
		cmocka_unit_test(connections__none_comes_about__down_with_growing_pauses),
		cmocka_unit_test(connections__greets_and_hangs_up__is_down_too),
		cmocka_unit_test(connections__all_lost_at_once__is_one_failure),
		cmocka_unit_test(connections__reset_at_a_carrier__is_congestion),
		cmocka_unit_test(connections__rate),
		cmocka_unit_test(connections__closes_after_so_many__is_learned),
		cmocka_unit_test(rate__of_the_limits__is_even),
		cmocka_unit_test(replies__about_one_address__slow_nobody),
		cmocka_unit_test(replies__few_faults_of_the_site__slow_nobody__many_do),
		cmocka_unit_test(throttled__rests_and_one_message_probes),
		cmocka_unit_test(throttled__given_back_probe_is_no_answer),
		cmocka_unit_test(gmail_4_7_28__published_recovery),
		cmocka_unit_test(suspension__grows_while_it_does_not_help__up_to_the_most),
		cmocka_unit_test(suspension__asked_for_by_a_later_answer__is_one),
		cmocka_unit_test(suspension__at_the_greeting),
		cmocka_unit_test(relay__what_it_passes_on_suspends_nothing__what_it_says_of_us_does),
		cmocka_unit_test(status__says_what_binds),
		cmocka_unit_test(memory__is_small),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
