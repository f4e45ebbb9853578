#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/brake.h"

static const struct brake_limits usual = {.bounces = 0.05, .blocks = 0.10, .complaints = 0.003, .after = 200};

static struct brake_finding found;

/* `of` answers of which every `every`-th is bad; returns after how many the brake acted, 0: never. */
static int feed(struct brake *b, struct str provider, int of, int every, enum brake_event bad)
{
	for (int i = 1; i <= of; i++) {
		brake_count(b, provider, STR("x.example"),
			every != 0 && i % every == 0 ? bad : BRAKE_ACCEPTED, 1);
		if (brake_check(b, &found))
			return i;
	}
	return 0;
}

static void a_good_campaign_goes_on(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 50000, 25, BRAKE_BOUNCED), 0);
	assert_int_equal(feed(b, STR(""), 50000, 12, BRAKE_BLOCKED), 0);
	brake_free(&b);
}

static void a_bad_list_is_found_at_the_minimum(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	/* Everything bounces, and still nothing is said before there are 200 answers. */
	assert_int_equal(feed(b, STR(""), 1000, 1, BRAKE_BOUNCED), 200);
	assert_int_equal(found.kind, BRAKE_BOUNCES);
	assert_int_equal(found.bad, 200);
	assert_string_equal(brake_reason(found.kind), "brake-bounces");
	brake_free(&b);
	b = brake_new(&usual);
	assert_int_equal(feed(b, STR(""), 1000, 9, BRAKE_BLOCKED), 200);
	assert_int_equal(found.kind, BRAKE_BLOCKS);
	brake_free(&b);
}

/* One million went well; 5 % of it is never reached by what follows. */
static void a_late_burst_is_found(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 1000000, 0, BRAKE_BOUNCED), 0);
	int n = feed(b, STR("google"), 2000, 2, BRAKE_BOUNCED);
	assert_in_range(n, 150, 220);
	assert_int_equal(found.kind, BRAKE_BOUNCES);
	assert_in_range(found.of, 1900, 2000);
	brake_free(&b);
}

/* A twentieth of the mail, and every tenth of it bounces: in all that is 0.5 %. */
static void one_provider_is_found_among_many(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	int n = 0;
	for (int i = 1; i <= 20000 && n == 0; i++) {
		bool there = i % 20 == 0;
		brake_count(b, there ? STR("yahoo") : STR("google"), STR("x.example"),
			there && i % 200 == 0 ? BRAKE_BOUNCED : BRAKE_ACCEPTED, 1);
		n = brake_check(b, &found) ? i : 0;
	}
	assert_int_equal(n, 4000);
	assert_int_equal(found.kind, BRAKE_BOUNCES);
	assert_true(str_is(found.provider, "yahoo"));
	assert_false(found.refuses_all);
	struct buf text = BUF_INIT(1000);
	brake_explain(&found, &text);
	assert_string_equal(
		buf_cstr(&text), "20 of the last 200 answered to yahoo bounced (10.0 %; the limit is 5 %)");
	buf_release(&text);
	brake_free(&b);
}

static void a_provider_that_takes_nothing_stops_alone(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	int n = 0;
	for (int i = 1; i <= 1000 && n == 0; i++) {
		brake_count(b, i % 2 != 0 ? STR("docomo") : STR("google"), STR("x.example"),
			i % 2 != 0 ? BRAKE_BLOCKED : BRAKE_ACCEPTED, 1);
		n = brake_check(b, &found) ? i : 0;
	}
	assert_int_equal(n, 99); /* the fiftieth to docomo */
	assert_true(found.refuses_all);
	assert_true(str_is(found.provider, "docomo"));
	/* It is said once, and does not count against the campaign, nor does what was on its way. */
	brake_count(b, STR("docomo"), STR("x.example"), BRAKE_BLOCKED, 30);
	assert_int_equal(feed(b, STR("google"), 1000, 0, BRAKE_BLOCKED), 0);
	/* When it has taken something again, anew. */
	brake_count(b, STR("docomo"), STR("x.example"), BRAKE_ACCEPTED, 1);
	assert_int_equal(feed(b, STR("docomo"), 1000, 1, BRAKE_BLOCKED), 50);
	assert_true(found.refuses_all);
	brake_free(&b);
}

/* It came first in the list, and nobody else was tried yet. */
static void a_provider_that_comes_first_stops_alone(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("docomo"), 60, 1, BRAKE_BLOCKED), 50);
	assert_true(found.refuses_all);
	assert_true(str_is(found.provider, "docomo"));
	brake_count(b, STR("docomo"), STR("x.example"), BRAKE_BLOCKED, 10);
	assert_false(brake_check(b, &found));
	assert_int_equal(feed(b, STR(""), 300, 0, BRAKE_BLOCKED), 0);
	brake_free(&b);
	/* But when the others take nothing either, the campaign stops. */
	b = brake_new(&usual);
	assert_int_equal(feed(b, STR("docomo"), 60, 1, BRAKE_BLOCKED), 50);
	assert_int_equal(feed(b, STR(""), 300, 1, BRAKE_BLOCKED), 50);
	assert_int_equal(found.provider.n, 0);
	brake_free(&b);
}

static void when_nobody_takes_anything_the_campaign_stops(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR(""), 1000, 1, BRAKE_BLOCKED), 50);
	assert_int_equal(found.kind, BRAKE_BLOCKS);
	assert_true(found.refuses_all);
	assert_int_equal(found.provider.n, 0);
	brake_free(&b);
}

/* The last of a campaign go to one domain, which refuses them: that is no refusal by everybody. */
static void one_domain_at_the_end_is_not_everybody(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR(""), 1500, 0, BRAKE_BLOCKED), 0);
	assert_int_equal(feed(b, STR(""), 150, 1, BRAKE_BLOCKED), 0);
	brake_count(b, STR(""), STR("y.example"), BRAKE_ACCEPTED, 1);
	static const char *const domains[] = {"a.example", "b.example"};
	int n = 0;
	for (int i = 0; i < 100 && n == 0; i++) {
		brake_count(b, STR(""), str_from(domains[i % 2]), BRAKE_BLOCKED, 1);
		n = brake_check(b, &found) ? i + 1 : 0;
	}
	assert_in_range(n, 10, 50);
	brake_free(&b);
}

/* A fifth of the mail is docomo's, which takes nothing: the share in all is passed before it has refused
 * fifty. */
static void a_share_that_is_one_providers_doing(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	int n = 0;
	for (int i = 1; i <= 1000 && n == 0; i++) {
		bool there = i % 5 == 0;
		brake_count(b, there ? STR("docomo") : STR("google"), STR("x.example"),
			there ? BRAKE_BLOCKED : BRAKE_ACCEPTED, 1);
		n = brake_check(b, &found) ? i : 0;
	}
	assert_int_equal(n, 200);
	assert_true(found.refuses_all);
	assert_true(str_is(found.provider, "docomo"));
	assert_int_equal(feed(b, STR("google"), 3000, 15, BRAKE_BLOCKED), 0);
	brake_free(&b);
	/* Where others block as well, it is the campaign's. */
	b = brake_new(&usual);
	n = 0;
	for (int i = 1; i <= 1000 && n == 0; i++) {
		brake_count(b, i % 20 == 0 ? STR("docomo") : STR("google"), STR("x.example"),
			i % 20 == 0 || i % 8 == 0 ? BRAKE_BLOCKED : BRAKE_ACCEPTED, 1);
		n = brake_check(b, &found) ? i : 0;
	}
	assert_int_equal(n, 200);
	assert_false(found.refuses_all);
	brake_free(&b);
}

/* The same, but it is a provider's: its mail alone waits, whoever was refused last. */
static void one_provider_at_the_end_is_set_apart(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 1500, 0, BRAKE_BLOCKED), 0);
	assert_int_equal(feed(b, STR("docomo"), 150, 1, BRAKE_BLOCKED), 50);
	assert_true(str_is(found.provider, "docomo"));
	brake_count(b, STR("docomo"), STR("docomo.ne.jp"), BRAKE_BLOCKED, 100);
	assert_false(brake_check(b, &found));
	brake_free(&b);
}

static void complaints_are_of_what_was_accepted(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("yahoo"), 300, 0, BRAKE_BOUNCED), 0);
	brake_count(b, STR("yahoo"), STR("x.example"), BRAKE_COMPLAINT, 1); /* 0.33 %, but of one person */
	assert_false(brake_check(b, &found));
	brake_count(b, STR("yahoo"), STR("x.example"), BRAKE_COMPLAINT, 1);
	assert_true(brake_check(b, &found));
	assert_int_equal(found.kind, BRAKE_COMPLAINTS);
	assert_int_equal(found.of, 300);
	brake_free(&b);
	/* 0.2 % over a long campaign is no reason. */
	b = brake_new(&usual);
	for (int i = 1; i <= 100000; i++) {
		brake_count(b, STR("yahoo"), STR("x.example"), BRAKE_ACCEPTED, 1);
		if (i % 500 == 0)
			brake_count(b, STR("yahoo"), STR("x.example"), BRAKE_COMPLAINT, 1);
		assert_false(brake_check(b, &found));
	}
	brake_free(&b);
}

/* Through a relay that accepts everything, bounces come as returned messages. */
static void returned_messages_count(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 1000, 0, BRAKE_BOUNCED), 0);
	brake_count(b, STR("google"), STR("x.example"), BRAKE_RETURNED, 50);
	assert_false(brake_check(b, &found));
	brake_count(b, STR("google"), STR("x.example"), BRAKE_RETURNED, 1);
	assert_true(brake_check(b, &found));
	assert_int_equal(found.kind, BRAKE_BOUNCES);
	assert_int_equal(found.of, 1000);
	brake_free(&b);
}

static void armed_anew_it_counts_from_there(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 500, 2, BRAKE_BOUNCED), 200);
	brake_arm(b, 1000);
	assert_false(brake_check(b, &found));
	assert_int_equal(feed(b, STR("google"), 500, 2, BRAKE_BOUNCED), 200);
	brake_free(&b);
}

static void save_all(struct brake *from, struct brake *to)
{
	struct buf text = BUF_INIT(64 << 10);
	struct str name;
	for (size_t i = 0; i < brake_providers(from); i++)
		if (brake_save(from, i, &name, &text))
			assert_true(brake_load(to, name, buf_get(&text)));
	buf_release(&text);
}

/* Others record what comes back; the totals are read now and then. */
static void totals_are_counted_once(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual), *c = brake_new(&usual);
	assert_int_equal(feed(b, STR("yahoo"), 1000, 0, BRAKE_BOUNCED), 0);
	brake_returned(b, STR("yahoo"), 30, 10, 2);
	brake_returned_done(b);
	brake_returned(b, STR("yahoo"), 30, 10, 2);
	assert_false(brake_check(b, &found));
	save_all(b, c); /* a restart counts nothing twice */
	brake_returned(c, STR("yahoo"), 30, 10, 2);
	assert_false(brake_check(c, &found));
	brake_returned(c, STR("yahoo"), 30, 10, 4);
	assert_true(brake_check(c, &found));
	assert_int_equal(found.kind, BRAKE_COMPLAINTS);
	assert_int_equal(found.bad, 4);
	/* What came before it was armed anew is over, also what came while nothing was sent; what comes now
	 * counts. */
	brake_arm(c, 5000);
	brake_returned(c, STR("yahoo"), 90, 10, 9);
	brake_returned_done(c);
	assert_int_equal(feed(c, STR("yahoo"), 1000, 0, BRAKE_BOUNCED), 0);
	brake_returned(c, STR("yahoo"), 90, 10, 13);
	assert_true(brake_check(c, &found));
	assert_int_equal(found.bad, 4);
	/* The same for a process that was not there when it was armed. */
	struct brake *d = brake_new(&usual);
	brake_arm(d, 5000);
	save_all(b, d);
	brake_returned(d, STR("yahoo"), 90, 10, 9);
	brake_returned(d, STR("google"), 0, 0, 5);
	brake_returned_done(d);
	assert_int_equal(feed(d, STR("yahoo"), 1000, 0, BRAKE_BOUNCED), 0);
	brake_returned(d, STR("docomo"), 60, 0, 0); /* not seen before, so all of it is new */
	assert_true(brake_check(d, &found));
	brake_free(&b);
	brake_free(&c);
	brake_free(&d);
}

static void off_is_off(void **state)
{
	(void)state;
	const struct brake_limits off = {.after = 200};
	struct brake *b = brake_new(&off);
	assert_int_equal(feed(b, STR("google"), 1000, 1, BRAKE_BOUNCED), 0);
	assert_int_equal(feed(b, STR("google"), 1000, 1, BRAKE_BLOCKED), 0);
	brake_free(&b);
	const struct brake_limits all = {.bounces = 1, .blocks = 1, .complaints = 1, .after = 200};
	b = brake_new(&all);
	assert_int_equal(feed(b, STR("google"), 1000, 1, BRAKE_BLOCKED), 0);
	brake_free(&b);
}

static void a_restart_changes_nothing(void **state)
{
	(void)state;
	struct brake *b = brake_new(&usual), *c = brake_new(&usual);
	assert_int_equal(feed(b, STR("google"), 12345, 50, BRAKE_BOUNCED), 0);
	save_all(b, c);
	int n = feed(b, STR("google"), 2000, 2, BRAKE_BOUNCED);
	struct brake_finding first = found;
	assert_int_equal(feed(c, STR("google"), 2000, 2, BRAKE_BOUNCED), n);
	assert_int_equal(found.bad, first.bad);
	assert_int_equal(found.of, first.of);
	/* Saved once, not again before something is counted. */
	struct buf text = BUF_INIT(64 << 10);
	struct str name;
	struct brake *d = brake_new(&usual);
	brake_count(d, STR("google"), STR("x.example"), BRAKE_ACCEPTED, 1);
	assert_true(brake_save(d, 1, &name, &text));
	assert_true(str_is(name, "google"));
	assert_false(brake_save(d, 1, &name, &text));
	/* Under another `after` the counts stay. */
	const struct brake_limits other = {.bounces = 0.05, .after = 5000};
	struct brake *e = brake_new(&other);
	save_all(c, e);
	assert_int_equal(feed(e, STR("google"), 6000, 2, BRAKE_BOUNCED) != 0, true);
	buf_release(&text);
	brake_free(&b);
	brake_free(&c);
	brake_free(&d);
	brake_free(&e);
}

static void a_report_reads_what_was_kept(void **state)
{
	(void)state;
	const struct brake_limits other = {
		.bounces = 0.05, .blocks = 0.1, .complaints = 0.003, .after = 1000};
	struct brake *b = brake_new(&other);
	struct buf text = BUF_INIT(64 << 10);
	struct brake_view v;
	struct str name;
	assert_int_equal(feed(b, STR("google"), 3000, 50, BRAKE_BOUNCED), 0);
	brake_count(b, STR("google"), STR("x.example"), BRAKE_COMPLAINT, 3);
	assert_true(brake_save(b, 1, &name, &text));
	assert_true(brake_read(buf_get(&text), &v));
	assert_int_equal(v.answered, 3000);
	assert_int_equal(v.bounced, 60);
	assert_int_equal(v.blocked, 0);
	assert_int_equal(v.accepted, 2940);
	assert_int_equal(v.complaints, 3);
	assert_true(v.limits.bounces == 0.05 && v.limits.complaints == 0.003 && v.limits.after == 1000);
	assert_false(brake_read(str_n(text.p, text.len - 5), &v));
	buf_release(&text);
	brake_free(&b);
}

static void what_is_not_readable_is_ignored(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"", "x", "2 0 0", "1 0", "1 0 0 0 0 0 0 2000 25 0 0 0", "1 0 0 0 0 0 0 2000 0 -1 0 0"};
	struct brake *b = brake_new(&usual);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(brake_load(b, STR("google"), str_from(texts[i])));
	assert_int_equal(feed(b, STR("google"), 300, 1, BRAKE_BOUNCED), 200);
	brake_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_campaign_goes_on),
		cmocka_unit_test(a_bad_list_is_found_at_the_minimum),
		cmocka_unit_test(a_late_burst_is_found),
		cmocka_unit_test(one_provider_is_found_among_many),
		cmocka_unit_test(a_provider_that_takes_nothing_stops_alone),
		cmocka_unit_test(a_provider_that_comes_first_stops_alone),
		cmocka_unit_test(when_nobody_takes_anything_the_campaign_stops),
		cmocka_unit_test(one_domain_at_the_end_is_not_everybody),
		cmocka_unit_test(a_share_that_is_one_providers_doing),
		cmocka_unit_test(one_provider_at_the_end_is_set_apart),
		cmocka_unit_test(complaints_are_of_what_was_accepted),
		cmocka_unit_test(returned_messages_count),
		cmocka_unit_test(armed_anew_it_counts_from_there),
		cmocka_unit_test(totals_are_counted_once),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(a_restart_changes_nothing),
		cmocka_unit_test(a_report_reads_what_was_kept),
		cmocka_unit_test(what_is_not_readable_is_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
