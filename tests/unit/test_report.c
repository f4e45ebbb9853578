#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/utf8.h"
#include "src/cli/campaign_view.h"
#include "src/db/campaign.h"
#include "src/db/live.h"
#include "src/db/report.h"
#include "src/db/suppress.h"

#include <stdio.h>

static struct buf out;

static struct report campaign(const char *name)
{
	struct report r = {.state = campaign_state_names[CAMPAIGN_FINISHED]};
	r.campaign.state = CAMPAIGN_FINISHED;
	r.campaign.name = str_from(name);
	r.campaign.subject = STR("<script>alert(1)</script> & \"news\"");
	r.campaign.from = STR("Kyoto Books <news@books.example>");
	r.campaign.started = 1796083200000;
	r.campaign.finished = 1796083279000;
	return r;
}

static const char *html(const struct report *r, size_t n)
{
	buf_release(&out);
	buf_init(&out, 16 << 20);
	report_html(&out, r, n, clock_zone("Asia/Tokyo", NULL), 1796083300000);
	assert_false(out.failed);
	return buf_cstr(&out);
}

static const char *text(const struct report *r, size_t columns)
{
	buf_release(&out);
	buf_init(&out, 16 << 20);
	view_text(&out, r, clock_zone("Asia/Tokyo", NULL), 1796083300000, columns);
	assert_false(out.failed);
	return buf_cstr(&out);
}

static size_t count(const char *in, const char *what)
{
	size_t n = 0;
	for (const char *p = in; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static void html__text_from_outside__is_escaped(void **state)
{
	(void)state;
	struct report r = campaign("六月 <b>");
	struct report_reason reason = {.class = CLASS_HARD,
		.reason = STR("user-unknown"),
		.example = STR("<img src=x>\x1b[31m"),
		.deliveries = 1};
	r.reasons = &reason;
	r.nreasons = 1;
	const char *page = html(&r, 1);
	assert_non_null(strstr(page, "<title>六月 &lt;b&gt; – Postrider report</title>"));
	assert_non_null(strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;news&quot;"));
	assert_non_null(strstr(page, "&lt;img src=x&gt;\\x1b[31m"));
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<img"));
}

static void html__nobody_and_nothing__has_no_wrong_numbers(void **state)
{
	(void)state;
	struct report r = campaign("empty");
	const char *page = html(&r, 1);
	assert_null(strstr(page, "nan"));
	assert_null(strstr(page, "inf"));
	assert_non_null(strstr(
		page, "Started 2026-12-01 09:00:00 +09:00, ended 2026-12-01 09:01:19 +09:00, after 1m 19s"));
	assert_non_null(strstr(html(NULL, 0), "No campaign"));
}

static void html__nobody_delivers_it__says_what_to_do(void **state)
{
	(void)state;
	struct report r = campaign("june");
	r.campaign.state = CAMPAIGN_RUNNING;
	r.campaign.finished = 0;
	r.state = campaign_state_names[CAMPAIGN_INTERRUPTED];
	assert_non_null(strstr(html(&r, 1), "`postrider resume june` goes on"));
	assert_non_null(strstr(text(&r, 80), "`postrider resume june` goes on"));
	r.state = campaign_state_names[CAMPAIGN_RUNNING];
	assert_null(strstr(html(&r, 1), "resume"));
}

static void text__why_and_remedy__are_lines_of_the_screen(void **state)
{
	(void)state;
	struct report r = campaign("june");
	r.campaign.state = CAMPAIGN_PAUSED;
	r.state = campaign_state_names[CAMPAIGN_PAUSED];
	r.campaign.finished = 0;
	r.campaign.why = STR("brake-complaints");
	r.campaign.why_text =
		STR("10 of the last 270 accepted brought a complaint (3.70 %; the limit is 0.3 %)");
	assert_non_null(strstr(text(&r, 80),
		"  Because  10 of the last 270 accepted brought a complaint (3.70 %; the limit is\n"
		"           0.3 %)\n"));
	for (size_t columns = 60; columns <= 120; columns++) {
		const char *lines = text(&r, columns);
		/* A command is copied in one piece. */
		assert_non_null(strstr(lines, "`postrider resume june --past-brake`"));
		for (const char *line = lines, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
			assert_true(utf8_width(str_n(line, (size_t)(end - line))) <= columns);
	}
}

static void text__never_begun__has_no_audience(void **state)
{
	(void)state;
	struct report r = campaign("june");
	r.campaign.started = r.campaign.finished = 0;
	r.campaign.start_at = 1796090000000;
	r.campaign.state = CAMPAIGN_PAUSED;
	r.state = campaign_state_names[CAMPAIGN_PAUSED];
	assert_non_null(strstr(text(&r, 80), "Starts   2026-12-01"));
	assert_non_null(strstr(text(&r, 80), "Who gets it is chosen when it starts."));
	assert_null(strstr(text(&r, 80), "audience"));
	r.campaign.state = CAMPAIGN_CANCELLED;
	r.campaign.finished = 1796083279000;
	assert_non_null(strstr(text(&r, 80), "nobody was chosen"));
	assert_null(strstr(text(&r, 80), "Starts"));
}

static void reasons__a_thousand__the_first_are_shown_and_the_rest_counted(void **state)
{
	(void)state;
	static struct report_reason all[1000];
	struct report r = campaign("june");
	static char long_example[5000];
	memset(long_example, 'x', sizeof long_example - 1);
	for (size_t i = 0; i < 1000; i++)
		all[i] = (struct report_reason){.class = CLASS_SOFT,
			.reason = STR("busy"),
			.example = str_from(long_example),
			.deliveries = 2};
	r.reasons = all;
	r.nreasons = 1000;
	const char *page = html(&r, 1);
	assert_int_equal(count(page, "<td>busy</td>"), 100);
	assert_non_null(strstr(page, "… and 1,800 for 900 other reasons"));
	assert_true(strlen(page) < 100000);
	const char *lines = text(&r, 80);
	assert_int_equal(count(lines, "\n  busy "), 40);
	assert_non_null(strstr(lines, "… and 1,920 for 960 other reasons"));
}

static void skipped__each_reason__is_said_in_plain_words(void **state)
{
	(void)state;
	struct report r = campaign("june");
	struct report_reason all[] = {{.reason = STR("unsubscribed"), .deliveries = 12345},
		{.reason = STR("aborted"), .example = STR("<b> nothing new for them"), .deliveries = 7}};
	assert_null(strstr(text(&r, 80), "because"));
	r.skips = all;
	r.nskips = 2;
	assert_non_null(strstr(text(&r, 80),
		"\n"
		"  skipped          recipients  because\n"
		"  unsubscribed         12,345  unsubscribed since they were chosen\n"
		"  aborted                   7  the message left them out: <b> nothing new for t…\n"));
	const char *page = html(&r, 1);
	assert_non_null(strstr(page, "<td>unsubscribed</td><td class=\"n\">12,345</td><td "
				     "class=\"mean\">unsubscribed since they were chosen</td>"));
	assert_non_null(strstr(page, "the message left them out: &lt;b&gt; nothing new for them</td>"));
	json_t *j = view_json(&r, true, 1796083300000);
	json_t *aborted = json_array_get(json_object_get(j, "skipped"), 1);
	assert_string_equal(json_string_value(json_object_get(aborted, "reason")), "aborted");
	assert_int_equal(json_integer_value(json_object_get(aborted, "deliveries")), 7);
	assert_string_equal(
		json_string_value(json_object_get(aborted, "example")), "<b> nothing new for them");
	json_decref(j);
}

static void refusals__providers_by_reasons(void **state)
{
	(void)state;
	struct report r = campaign("june");
	struct report_refusal all[] = {{CLASS_HARD, STR("user-unknown"), STR("google"), 30},
		{CLASS_SOFT, STR("mailbox-full"), STR("google"), 10},
		{CLASS_BLOCK, STR("policy<b>"), STR(""), 5}};
	struct report_back back = {.provider = STR("google"), .bounced = 7, .complaints = 2};
	struct report_provider provider = {.name = STR("google"), .total = 400};
	r.refusals = all;
	r.nrefusals = 3;
	r.backs = &back;
	r.providers = &provider;
	r.nbacks = r.nproviders = 1;
	const char *page = html(&r, 1);
	assert_non_null(strstr(page, "user-unknown 30, mailbox-full 10"));
	assert_non_null(
		strstr(page, "<td class=\"n\">40</td><td class=\"n\">10.0 %</td><td class=\"n\">7</td><td "
			     "class=\"n\">2</td>"));
	assert_non_null(strstr(page, "policy&lt;b&gt; 5"));
}

static void text__narrow_terminal__tables_fit(void **state)
{
	(void)state;
	struct report r = campaign("june");
	struct report_reason reason = {.class = CLASS_HARD,
		.reason = STR("user-unknown"),
		.example = STR("利用者が見つかりません。宛先をご確認ください。利用者が見つかりません。"),
		.deliveries = 1};
	struct report_provider provider = {.name = STR("a provider with a long 名前"), .total = 1234567};
	r.reasons = &reason;
	r.providers = &provider;
	r.nreasons = r.nproviders = 1;
	for (const char *p = text(&r, 80); *p != '\0';) {
		size_t n = strcspn(p, "\n");
		assert_true(utf8_width(str_n(p, n)) <= 80);
		p += n + (p[n] == '\n');
	}
	assert_non_null(strstr(buf_cstr(&out), "  a provider with…    1,234,567"));
}

static void progress__long_name__leaves_room_for_the_numbers(void **state)
{
	(void)state;
	struct report r = campaign("六月のおたより-京都本店の読者のみなさまへ");
	struct campaign_counts n = {.state = {[DELIVERY_SENT] = 1500, [DELIVERY_QUEUED] = 1500}};
	struct live live = {.rate = 109, .eta = 1796083360123};
	r.campaign.state = CAMPAIGN_RUNNING;
	r.campaign.selection.audience = 3000;
	buf_release(&out);
	buf_init(&out, 1 << 20);
	view_progress(&out, &r.campaign, &n, &live, clock_zone("Asia/Tokyo", NULL), 1796083300000);
	assert_string_equal(buf_cstr(&out),
		"六月のおたより-京都本店…: 1,500 of 3,000 (50.0 %), 109/s, done about 09:02+09:00");
}

static int teardown(void **state)
{
	(void)state;
	buf_release(&out);
	return 0;
}

static void brakes__shares_beside_their_limits(void **state)
{
	(void)state;
	struct report r = campaign("june");
	const struct brake_limits limits = {0.05, 0.10, 0.003, 200};
	struct report_brake brakes[] = {
		{STR(""), {2000, 34, 0, 9966, 3, limits}},
		{STR("<i>"), {200, 14, 0, 186, 0, limits}},
	};
	struct provider_pause pause = {
		STR("docomo"), STR("brake-blocks"), STR("docomo refuses & refuses"), 0};
	r.brakes = brakes;
	r.nbrakes = 2;
	r.pauses = &pause;
	r.npauses = 1;
	const char *page = html(&r, 1);
	assert_non_null(strstr(page, "<h2>Brakes"));
	assert_non_null(strstr(page, "<title>34 of 2000; the limit is 5 %</title><rect width=\"34.0\""));
	assert_non_null(strstr(page, "<title>14 of 200; the limit is 5 %</title><rect width=\"140.0\""));
	assert_non_null(strstr(page, "<title>3 of 9966; the limit is 0.3 %</title>"));
	assert_non_null(strstr(page, "docomo refuses &amp; refuses"));
	assert_null(strstr(page, "<i>"));
	const char *plain = text(&r, 80);
	assert_non_null(
		strstr(plain, "  all                     2,000        1.7 %        0.0 %       0.03 %\n"));
	assert_non_null(
		strstr(plain, "  limit                from 200          5 %         10 %        0.3 %\n"));
}

static void audience__as_it_was_typed(void **state)
{
	(void)state;
	static const struct {
		const char *kept, *shown;
	} cases[] = {
		{"{}", "everybody"},
		{"{\"lists\":[\"readers\",\"本の友\"],\"exclude\":[\"staff\"],\"where\":\"city = 'Kyoto'\","
		 "\"not_of\":[\"june:sent\"],\"sample\":\"5%\"}",
			"--list readers --list 本の友 --exclude staff --where 'city = '\\''Kyoto'\\''' "
			"--not-of "
			"june:sent --sample 5%"},
		{"{\"where\":\"a = \\u001b[2J\"}", "--where 'a = \\x1b[2J'"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf b = BUF_INIT(4096);
		view_audience(&b, str_from(cases[i].kept));
		assert_string_equal(buf_cstr(&b), cases[i].shown);
		buf_release(&b);
	}
}

static void live__the_limit_without_the_name_again(void **state)
{
	(void)state;
	struct report r = campaign("june");
	struct live_group groups[] = {
		{LIVE_PROVIDER, STR("google"), STR("out"), STR("192.0.2.1"), STR("slowed"),
			STR("provider google: 12/s, which is what it takes"), 11.6, 3, 12345},
		{LIVE_SITE, STR("mx.\x1b[2Jexample"), STR("out"), STR(""), STR("down"),
			STR("mx: \x1b[31mdown"), 0, 0, 7},
		{LIVE_PROVIDER, STR("google"), STR("out"), STR("192.0.2.2"), STR("ok"), STR(""), 30, 3, 5},
	};
	struct holding holding = {STR("docomo"), 1796083200000, 1796169600000};
	r.groups = groups;
	r.ngroups = 3;
	r.holdings = &holding;
	r.nholdings = 1;
	r.held_suppressions = 134;
	const char *plain = text(&r, 120);
	assert_non_null(strstr(plain, "  provider google                 slowed          12/s     3    "
				      "12,345  192.0.2.1: 12/s, which is what it takes\n"));
	assert_null(strchr(plain, '\x1b'));
	assert_non_null(strstr(plain, "suppressions list --held` shows 134"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html__text_from_outside__is_escaped),
		cmocka_unit_test(html__nobody_and_nothing__has_no_wrong_numbers),
		cmocka_unit_test(html__nobody_delivers_it__says_what_to_do),
		cmocka_unit_test(text__why_and_remedy__are_lines_of_the_screen),
		cmocka_unit_test(text__never_begun__has_no_audience),
		cmocka_unit_test(reasons__a_thousand__the_first_are_shown_and_the_rest_counted),
		cmocka_unit_test(skipped__each_reason__is_said_in_plain_words),
		cmocka_unit_test(refusals__providers_by_reasons),
		cmocka_unit_test(text__narrow_terminal__tables_fit),
		cmocka_unit_test(progress__long_name__leaves_room_for_the_numbers),
		cmocka_unit_test(brakes__shares_beside_their_limits),
		cmocka_unit_test(audience__as_it_was_typed),
		cmocka_unit_test(live__the_limit_without_the_name_again),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
