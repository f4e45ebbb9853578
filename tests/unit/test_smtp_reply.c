#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/smtp/reply.h"

static enum smtp_parse feed(struct smtp_reply_parser *p, const char *z)
{
	struct str s = str_from(z);
	return smtp_reply_feed(p, &s);
}

static void expect(const char *in, int code, const char *enhanced, const char *text)
{
	/* Whole, and byte by byte: the result is the same. */
	for (int step = 0; step < 2; step++) {
		struct smtp_reply_parser p;
		smtp_reply_init(&p);
		struct str rest = str_from(in);
		enum smtp_parse r = SMTP_PARSE_MORE;
		while (rest.n != 0 && r == SMTP_PARSE_MORE) {
			struct str part = str_n(rest.p, step == 0 ? rest.n : 1);
			size_t given = part.n;
			r = smtp_reply_feed(&p, &part);
			rest = str_n(rest.p + (given - part.n), rest.n - (given - part.n));
		}
		assert_int_equal(r, SMTP_PARSE_DONE);
		assert_int_equal(rest.n, 0);
		assert_int_equal(p.reply.code, code);
		assert_string_equal(p.reply.enhanced, enhanced);
		assert_int_equal(p.reply.text.n, strlen(text));
		assert_true(str_is(p.reply.text, text));
		smtp_reply_release(&p);
	}
}

static void one_line__is_split_into_code_enhanced_and_text(void **state)
{
	(void)state;
	expect("250 2.1.5 Ok, queued as 1A2B\r\n", 250, "2.1.5", "Ok, queued as 1A2B");
	expect("550 5.100.123 x\r\n", 550, "5.100.123", "x");
	expect("220 mail.example ESMTP\r\n", 220, "", "mail.example ESMTP");
}

static void odd_forms__are_read(void **state)
{
	(void)state;
	expect("250\r\n", 250, "", "");
	expect("250\n", 250, "", "");
	expect("250 ok\n", 250, "", "ok");
	expect("250-\r\n250 \r\n", 250, "", "");
	expect("250\tok\r\n", 250, "", "ok");
	expect("250ok\r\n", 250, "", "ok");
	expect("451 4.7.1\r\n", 451, "4.7.1", "");
}

static void what_only_looks_like_an_enhanced_code__stays_text(void **state)
{
	(void)state;
	expect("550 5.1 x\r\n", 550, "", "5.1 x");
	expect("550 5.1.1234 x\r\n", 550, "", "5.1.1234 x");
	expect("550 5.1.1: x\r\n", 550, "", "5.1.1: x");
	expect("550 #5.1.0 Address rejected.\r\n", 550, "5.1.0", "#5.1.0 Address rejected.");
	expect("550 #5.1\r\n", 550, "", "#5.1");
	expect("550 sorry, no mailbox here (#5.1.1 - chkuser)\r\n", 550, "5.1.1",
		"sorry, no mailbox here (#5.1.1 - chkuser)");
	expect("553 sorry (#4.7.1)\r\n", 553, "", "sorry (#4.7.1)");
	expect("553 sorry (#5.7.1x)\r\n", 553, "", "sorry (#5.7.1x)");
	expect("250 ok (#2.0.0)\r\n", 250, "", "ok (#2.0.0)");
	expect("550 #\r\n", 550, "", "#");
	expect("550 3.1.1 x\r\n", 550, "", "3.1.1 x");
	expect("550 x 5.1.1\r\n", 550, "", "x 5.1.1");
}

static void several_lines__are_joined_without_codes(void **state)
{
	(void)state;
	expect("550-5.1.1 The account\r\n550-5.1.1 does not\r\n550 5.1.1 exist\r\n", 550, "5.1.1",
		"The account does not exist");
	expect("550-5.7.1 first\r\n550 second\r\n", 550, "5.7.1", "first second");
}

static void a_changing_code__the_last_counts(void **state)
{
	(void)state;
	expect("250-2.1.0 hm\r\n451-4.3.0 no\r\n550 5.7.1 never\r\n", 550, "5.7.1", "hm no never");
	expect("250-2.1.0 hm\r\n550 never\r\n", 550, "", "hm never");
}

static void two_replies_in_one_read__are_taken_one_by_one(void **state)
{
	(void)state;
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	struct str s = str_from("250 one\r\n451 two\r\n354 th");
	assert_int_equal(smtp_reply_feed(&p, &s), SMTP_PARSE_DONE);
	assert_true(str_is(p.reply.text, "one"));
	assert_int_equal(smtp_reply_feed(&p, &s), SMTP_PARSE_DONE);
	assert_int_equal(p.reply.code, 451);
	assert_int_equal(smtp_reply_feed(&p, &s), SMTP_PARSE_MORE);
	assert_int_equal(feed(&p, "ree\r\n"), SMTP_PARSE_DONE);
	assert_true(str_is(p.reply.text, "three"));
	smtp_reply_release(&p);
}

static void bad(const char *in)
{
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	assert_int_equal(feed(&p, in), SMTP_PARSE_BAD);
	smtp_reply_release(&p);
}

static void what_is_no_reply__is_bad(void **state)
{
	(void)state;
	bad("\r\n");
	bad("hello\r\n");
	bad("25\r\n");
	bad("2500 x\r\n");
	bad("150 preliminary\r\n");
	bad("650 x\r\n");
	bad("2\xff"
	    "0 x\r\n");
	bad("250-x\r\nHTTP/1.1\r\n");
	bad(" 250 x\r\n");
}

static void a_line_over_8_kb__is_bad_and_is_not_kept(void **state)
{
	(void)state;
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	enum smtp_parse r = feed(&p, "250 ");
	size_t fed = 0;
	while (r == SMTP_PARSE_MORE && fed++ < 20000)
		r = feed(&p, "x");
	assert_int_equal(r, SMTP_PARSE_BAD);
	assert_true(fed > 8000 && fed <= 8192);
	assert_true(p.line.cap <= 8193);
	smtp_reply_release(&p);

	char *whole = malloc(9002);
	memset(whole, 'x', 9000);
	memcpy(whole, "250 ", 4);
	memcpy(whole + 9000, "\n", 2);
	bad(whole);
	free(whole);
}

static void endless_lines__end(void **state)
{
	(void)state;
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	int n = 0;
	while (n < 1000 && feed(&p, "250-x\r\n") == SMTP_PARSE_MORE)
		n++;
	assert_int_equal(n, 128);
	smtp_reply_release(&p);

	smtp_reply_init(&p);
	char line[4002];
	snprintf(line, sizeof line, "250-%03995d\r\n", 0);
	for (n = 0; n < 1000 && feed(&p, line) == SMTP_PARSE_MORE;)
		n++;
	assert_int_equal(n, 16);
	smtp_reply_release(&p);
}

static void long_text__is_cut_at_1000_bytes(void **state)
{
	(void)state;
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	for (int i = 0; i < 30; i++)
		assert_int_equal(
			feed(&p, "250-0123456789012345678901234567890123456789\r\n"), SMTP_PARSE_MORE);
	assert_int_equal(feed(&p, "250 end\r\n"), SMTP_PARSE_DONE);
	assert_int_equal(p.reply.text.n, 1000);
	smtp_reply_release(&p);
}

static void control_characters_and_nul__come_through(void **state)
{
	(void)state;
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	struct str s = STR("250 a\0b\x1b[31m\r\n");
	assert_int_equal(smtp_reply_feed(&p, &s), SMTP_PARSE_DONE);
	assert_true(str_eq(p.reply.text, STR("a\0b\x1b[31m")));
	smtp_reply_release(&p);
}

static void collect(void *ctx, struct str line)
{
	char *out = ctx;
	size_t n = strlen(out);
	snprintf(out + n, 200 - n, "[%.*s]", STR_ARG(line));
}

static void ehlo_lines__are_given_but_for_the_first(void **state)
{
	(void)state;
	char got[200] = "";
	struct smtp_reply_parser p;
	smtp_reply_init(&p);
	p.line_cb = collect;
	p.ctx = got;
	assert_int_equal(feed(&p, "250-mx.example\r\n250-SIZE 1000\r\n250 DSN\r\n"), SMTP_PARSE_DONE);
	assert_string_equal(got, "[SIZE 1000][DSN]");
	smtp_reply_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line__is_split_into_code_enhanced_and_text),
		cmocka_unit_test(odd_forms__are_read),
		cmocka_unit_test(what_only_looks_like_an_enhanced_code__stays_text),
		cmocka_unit_test(several_lines__are_joined_without_codes),
		cmocka_unit_test(a_changing_code__the_last_counts),
		cmocka_unit_test(two_replies_in_one_read__are_taken_one_by_one),
		cmocka_unit_test(what_is_no_reply__is_bad),
		cmocka_unit_test(a_line_over_8_kb__is_bad_and_is_not_kept),
		cmocka_unit_test(endless_lines__end),
		cmocka_unit_test(long_text__is_cut_at_1000_bytes),
		cmocka_unit_test(control_characters_and_nul__come_through),
		cmocka_unit_test(ehlo_lines__are_given_but_for_the_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
