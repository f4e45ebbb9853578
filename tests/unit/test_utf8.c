#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/utf8.h"

static void decode__malformed__moves_by_one(void **state)
{
	(void)state;
	/* Unicode 15, table 3-8: a truncated sequence, a surrogate, an overlong form, beyond the last plane.
	 */
	static const char *const bad[] = {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88", "\x80", "\xe3\x81", "\xff", "\xc3"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct str s = str_from(bad[i]);
		size_t at = 0;
		assert_int_equal(utf8_next(s, &at), 0xfffd);
		assert_int_equal(at, 1);
		assert_false(utf8_valid(s));
		assert_int_equal(utf8_check(s), 0);
	}
}

static void decode__every_scalar__comes_back(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		if (c == 0xd800)
			c = 0xe000;
		char b[4];
		struct str s = {b, utf8_put(b, c)};
		size_t at = 0;
		if (!utf8_valid(s) || utf8_next(s, &at) != c || at != s.n)
			fail_msg("U+%04X", (unsigned)c);
	}
	char b[4];
	assert_int_equal(utf8_put(b, 0xd800), 3);
	assert_memory_equal(b, "\xef\xbf\xbd", 3);
}

static void check__finds_the_first_bad_byte(void **state)
{
	(void)state;
	assert_int_equal(utf8_check(STR("a long ascii run before 日本\xff語")), 30);
	assert_true(utf8_valid(STR("日本語 and a long ascii run behind it")));
	assert_int_equal(utf8_check(STR("日本\xe8\xaa")), 6);
	assert_true(utf8_ascii(STR("plain text of some length")));
	assert_false(utf8_ascii(STR("plain text of some leng\xc3\xa9")));
	assert_true(utf8_ascii((struct str){NULL, 0}));
}

static void width__terminal_columns(void **state)
{
	(void)state;
	assert_int_equal(utf8_width(STR("abc")), 3);
	assert_int_equal(utf8_width(STR("日本語")), 6);
	assert_int_equal(utf8_width(STR("カタカナ")), 8);
	assert_int_equal(utf8_width(STR("ｶﾀｶﾅ")), 4); /* half-width */
	assert_int_equal(utf8_width(STR("ＡＢ")), 4); /* full-width */
	assert_int_equal(utf8_width(STR("が")), 2);
	assert_int_equal(utf8_width(STR("か\xe3\x82\x99")), 2); /* combining voiced mark */
	assert_int_equal(utf8_width(STR("e\xcc\x81")), 1);
	assert_int_equal(utf8_width(STR("한국어")), 6);
	assert_int_equal(utf8_width(STR("😀")), 2);
	assert_int_equal(utf8_width(STR("é")), 1);
	assert_int_equal(utf8_width(STR("㈱髙①")), 5);
	assert_int_equal(utf8_width_char(0x20000), 2);
	assert_int_equal(utf8_width_char(0x200d), 0);
	assert_int_equal(utf8_width_char(0x378), 1);
	assert_int_equal(utf8_width_char(0x1b), 0);
}

static void cut__never_splits_a_wide_character(void **state)
{
	(void)state;
	assert_true(str_is(utf8_cut(STR("日本語"), 5), "日本"));
	assert_true(str_is(utf8_cut(STR("日本語"), 6), "日本語"));
	assert_true(str_is(utf8_cut(STR("日本語"), 1), ""));
	/* A mark stays with its letter. */
	assert_true(str_is(utf8_cut(STR("e\xcc\x81x"), 1), "e\xcc\x81"));
}

static void cut_bytes__never_splits_a_character(void **state)
{
	(void)state;
	assert_true(str_is(utf8_cut_bytes(STR("日本語"), 9), "日本語"));
	assert_true(str_is(utf8_cut_bytes(STR("日本語"), 8), "日本"));
	assert_true(str_is(utf8_cut_bytes(STR("日本語"), 7), "日本"));
	assert_true(str_is(utf8_cut_bytes(STR("日本語"), 6), "日本"));
	assert_true(str_is(utf8_cut_bytes(STR("日本語"), 2), ""));
	assert_true(str_is(utf8_cut_bytes(STR("abc"), 2), "ab"));
	assert_int_equal(utf8_cut_bytes(str_n(NULL, 0), 2).n, 0);
}

static void safe__control_sequences__are_shown(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1024);
	utf8_safe(&b, STR("\x1b[31mred\n\t\x7f\xc2\x9b"
			  "2J\xff 日本\xe2\x80\xae"
			  "exe\xef\xbf\xbd"));
	assert_string_equal(
		buf_cstr(&b), "\\x1b[31mred\\x0a\\x09\\x7f\\u{9b}2J\\xff 日本\\u{202e}exe\xef\xbf\xbd");
	buf_clear(&b);
	utf8_safe(&b, str_n("a\0b", 3));
	assert_string_equal(buf_cstr(&b), "a\\x00b");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode__malformed__moves_by_one),
		cmocka_unit_test(decode__every_scalar__comes_back),
		cmocka_unit_test(check__finds_the_first_bad_byte),
		cmocka_unit_test(width__terminal_columns),
		cmocka_unit_test(cut__never_splits_a_wide_character),
		cmocka_unit_test(cut_bytes__never_splits_a_character),
		cmocka_unit_test(safe__control_sequences__are_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
