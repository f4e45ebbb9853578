#include "tests/unit/arena_fixture.h"

#include "lists/address.h"
#include "lists/provider.h"

#include <stdio.h>

static struct err err;

static int parse_n(const char *p, size_t n, struct address *out)
{
	arena_reset(&arena);
	err = (struct err){0};
	return address_parse(str_n(p, n), &arena, out, &err);
}

static void reads(const char *text, const char *wire, const char *key)
{
	struct address a;
	if (parse_n(text, strlen(text), &a) != 0)
		fail_msg("%s refused: %s", text, err.why);
	assert_string_equal(arena_str(&arena, a.wire).p, wire);
	assert_string_equal(arena_str(&arena, a.key).p, key);
	assert_true(str_ends(a.key, a.domain));
	assert_true(address_is(str_from(text)));
}

static void refuses_n(const char *p, size_t n, const char *why)
{
	struct address a;
	if (parse_n(p, n, &a) == 0)
		fail_msg("%s was read as %.*s", p, STR_ARG(a.wire));
	assert_int_equal(err.code, ERR_DATA);
	if (strcmp(err.why, why) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", p, err.why, why);
	assert_false(address_is(str_n(p, n)));
}

static void refuses(const char *text, const char *why)
{
	refuses_n(text, strlen(text), why);
}

static void plain__keeps_the_local_spelling_and_lowers_the_domain(void **state)
{
	(void)state;
	reads("ann@example.com", "ann@example.com", "ann@example.com");
	reads("  Ann.Lee+News@Example.COM\t\r\n", "Ann.Lee+News@example.com", "ann.lee+news@example.com");
	reads("o'neil/x=y@a-b.example", "o'neil/x=y@a-b.example", "o'neil/x=y@a-b.example");
	reads("a@localhost", "a@localhost", "a@localhost");
	reads("a@r3---sn.example.com", "a@r3---sn.example.com", "a@r3---sn.example.com");
	reads("a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]");
	reads("Ann <a@[IPv6:2001:DB8::1]>", "a@[ipv6:2001:db8::1]", "a@[ipv6:2001:db8::1]");
}

static void blanks_of_any_kind_around__are_dropped(void **state)
{
	(void)state;
	reads("\xc2\xa0"
	      "a@example.com"
	      "\xe3\x80\x80",
		"a@example.com", "a@example.com");
	reads("\xef\xbb\xbf"
	      "a@example.com"
	      "\xe2\x80\x8b",
		"a@example.com", "a@example.com");
}

static void full_width__becomes_ascii(void **state)
{
	(void)state;
	reads("Ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ", "Taro@example.jp", "taro@example.jp");
	reads("taro＠example.jp", "taro@example.jp", "taro@example.jp");
	reads("taro@example。jp", "taro@example.jp", "taro@example.jp");
}

static void idn__becomes_lower_case_a_labels(void **state)
{
	(void)state;
	reads("a@Bücher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example");
	reads("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example");
	reads("a@straße.example", "a@xn--strae-oqa.example", "a@xn--strae-oqa.example");
	reads("a@日本語.jp", "a@xn--wgv71a119e.jp", "a@xn--wgv71a119e.jp");
	reads("a@bu\xcc\x88"
	      "cher.example",
		"a@xn--bcher-kva.example", "a@xn--bcher-kva.example");
	refuses("a@xn--999999999.example", "not a valid international domain name");
	refuses("a@b\xc3\xbc"
		"cher_x.example",
		"underscore in the domain");
	refuses("a@日本語", "domain without a dot");
}

static void utf8_local__is_kept_and_folded_in_the_key(void **state)
{
	(void)state;
	struct address a;
	reads("ÅSA@example.com", "ÅSA@example.com", "åsa@example.com");
	reads("A\xcc\x8aSA@example.com", "A\xcc\x8aSA@example.com", "åsa@example.com");
	reads("山田@example.jp", "山田@example.jp", "山田@example.jp");
	assert_int_equal(parse_n("山田@example.jp", strlen("山田@example.jp"), &a), 0);
	assert_true(a.utf8);
	assert_int_equal(parse_n("yamada@日本語.jp", strlen("yamada@日本語.jp"), &a), 0);
	assert_false(a.utf8);
	refuses("山\xe3\x80\x80田@example.jp", "space inside");
	refuses("a\xe2\x80\xae"
		"b@example.jp",
		"invisible character inside");
}

static void carriers_odd_dots__are_read_and_quoted_on_the_wire(void **state)
{
	(void)state;
	reads("a..b@docomo.ne.jp", "\"a..b\"@docomo.ne.jp", "a..b@docomo.ne.jp");
	reads("A.b.@ezweb.ne.jp", "\"A.b.\"@ezweb.ne.jp", "a.b.@ezweb.ne.jp");
	reads(".ab@t.vodafone.ne.jp", "\".ab\"@t.vodafone.ne.jp", ".ab@t.vodafone.ne.jp");
	reads("\"a..b\"@docomo.ne.jp", "\"a..b\"@docomo.ne.jp", "a..b@docomo.ne.jp");
	reads("a.@i.softbank.jp", "\"a.\"@i.softbank.jp", "a.@i.softbank.jp");
	reads("a.@biz.ezweb.ne.jp", "\"a.\"@biz.ezweb.ne.jp", "a.@biz.ezweb.ne.jp");
	reads("a--b_-@docomo.ne.jp", "a--b_-@docomo.ne.jp", "a--b_-@docomo.ne.jp");
	reads("Taro <a..b.@au.com>", "\"a..b.\"@au.com", "a..b.@au.com");
	refuses("a..b@gmail.com", "two dots in a row before the @");
	refuses("a.@xdocomo.ne.jp", "dot before the @");
	refuses(".a@example.com", "starts with a dot");
}

static void quoted_local__loses_needless_quotes(void **state)
{
	(void)state;
	reads("\"ann\"@example.com", "ann@example.com", "ann@example.com");
	reads("\"a b\"@example.com", "\"a b\"@example.com", "a b@example.com");
	reads("\"a\\\"b\\\\c\"@example.com", "\"a\\\"b\\\\c\"@example.com", "a\"b\\c@example.com");
	reads("\"a@b\"@Example.com", "\"a@b\"@example.com", "a@b@example.com");
	reads("\"a..b\"@example.com", "\"a..b\"@example.com", "a..b@example.com");
	reads("\"\\a\"@example.com", "a@example.com", "a@example.com");
	refuses("\"ab@example.com", "a quote that is not closed");
	refuses("\"ab\"x@example.com", "no @ behind the quotes");
	refuses("\"\"@example.com", "nothing before the @");
	refuses("\"a\tb\"@example.com", "control character inside");
}

static void names(const char *text, const char *name, const char *wire)
{
	struct address a;
	if (parse_n(text, strlen(text), &a) != 0)
		fail_msg("%s refused: %s", text, err.why);
	assert_string_equal(arena_str(&arena, a.name).p, name);
	assert_string_equal(arena_str(&arena, a.wire).p, wire);
}

static void display_name__is_decoded(void **state)
{
	(void)state;
	names("Ann Lee <ann@example.com>", "Ann Lee", "ann@example.com");
	names("<ann@example.com>", "", "ann@example.com");
	names("\"Lee, Ann \\\"A\\\"\" < ann@example.com >", "Lee, Ann \"A\"", "ann@example.com");
	names("\"a <b> c\" <ann@example.com>", "a <b> c", "ann@example.com");
	names("=?UTF-8?B?5bGx55Sw?= <y@example.jp>", "山田", "y@example.jp");
	names("=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?= =?utf-8?q?_Tar=C5=8D?= <y@example.jp>", "山田 Tarō",
		"y@example.jp");
	names("=?Shift_JIS?B?h0A=?= x <y@example.jp>", "① x", "y@example.jp");
	names("=?iso-8859-1?q?J=F6rg?= Bar <y@example.de>", "Jörg Bar", "y@example.de");
	names("=?x-nobody?q?abc?= <y@example.de>", "=?x-nobody?q?abc?=", "y@example.de");
	names("=?utf-8?q?a=0D=0ABcc:_x?= <y@example.de>", "a  Bcc: x", "y@example.de");
	names("=?utf-8?q?=FF?= <y@example.de>", "=?utf-8?q?=FF?=", "y@example.de");
	names("山田太郎＜y@example.jp＞", "山田太郎", "y@example.jp");
	refuses("Ann <ann@example.com> (home)", "text behind the >");
	refuses("Ann <ann@example.com", "a < without its >");
	refuses("Ann\r\nBcc: <ann@example.com>", "line break inside");
	refuses("Ann\x01 <ann@example.com>", "control character inside");
	refuses("<<ann@example.com>", "an angle bracket too many");
	refuses("ann@example.com>", "a > without its <");
}

static void faults__are_told_in_words(void **state)
{
	(void)state;
	refuses("", "empty");
	refuses(" \xe3\x80\x80 ", "empty");
	refuses("ann", "no @");
	refuses("@example.com", "nothing before the @");
	refuses("ann@", "no domain");
	refuses("a@b@example.com", "two @");
	refuses("a@example.com, b@example.com", "more than one address");
	refuses("a@example.com;b@example.com", "more than one address");
	refuses("a b@example.com", "space inside");
	refuses("a@exa mple.com", "space inside");
	refuses("a@example.com\r\nRCPT TO:<b@example.com>", "line break inside");
	refuses("a\nb@example.com", "line break inside");
	refuses_n("a\0b@example.com", 15, "NUL byte inside");
	refuses_n("a@exam\0ple.com", 14, "NUL byte inside");
	refuses("a\x01@example.com", "control character inside");
	refuses("a\x7f@example.com", "control character inside");
	refuses("a\xc2\x80@example.com", "control character inside");
	refuses("a\xff@example.com", "not readable: bytes that are no text in this encoding");
	refuses("a,b@example.com", "comma or semicolon before the @");
	refuses("mailto:a@example.com", "colon before the @");
	refuses("a(b)@example.com", "a character that must be quoted before the @");
	refuses("a\"b\"@example.com", "a quote in the middle");
	refuses("a@example", "domain without a dot");
	refuses("a@.example.com", "domain starts with a dot");
	refuses("a@example.com.", "domain ends with a dot");
	refuses("a@example..com", "two dots in a row in the domain");
	refuses("a@-example.com", "domain label starts or ends with a hyphen");
	refuses("a@exam_ple.com", "underscore in the domain");
	refuses("a@exam!ple.com", "a character that no domain can have");
	refuses("a@[192.0.2]", "not an IP address in the brackets");
	refuses("a@[192.0.2.1", "not an IP address in the brackets");
	refuses("a@[", "not an IP address in the brackets");
	refuses("a@[]", "not an IP address in the brackets");
	refuses("a@[IPv6:", "not an IP address in the brackets");
	refuses("a@[2001:db8::1]", "not an IP address in the brackets");
	refuses("a@192.0.2.1", "an IP address instead of a domain");
	parse_n("ann", 3, &(struct address){0});
	assert_string_equal(err.what, "\"ann\" is not a mail address");
}

static void lengths__are_limited(void **state)
{
	(void)state;
	char text[600], label[64];
	memset(label, 'a', 63);
	label[63] = '\0';
	snprintf(text, sizeof text, "%sb@example.com", label);
	reads(text, text, text);
	snprintf(text, sizeof text, "%sbc@example.com", label);
	refuses(text, "over 64 bytes before the @");
	snprintf(text, sizeof text, "x@%s.com", label);
	reads(text, text, text);
	snprintf(text, sizeof text, "x@%sb.com", label);
	refuses(text, "domain label over 63 characters");
	snprintf(text, sizeof text, "xx@%s.%s.%s.%.55s.com", label, label, label, label);
	assert_int_equal(strlen(text), 254);
	reads(text, text, text);
	snprintf(text, sizeof text, "xxx@%s.%s.%s.%.55s.com", label, label, label, label);
	refuses(text, "over 254 bytes");
	snprintf(text, sizeof text, "x@%s.%s.%s.%s.com", label, label, label, label);
	refuses(text, "domain over 255 characters");
}

static void wire__reads_back_as_itself(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"\"a b\"@example.com",
		"a..b@docomo.ne.jp",
		"ÅSA@bücher.example",
		"Ann@Example.com",
		"\"x@y\"@example.com",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct address a, b;
		assert_int_equal(parse_n(texts[i], strlen(texts[i]), &a), 0);
		assert_int_equal(address_parse(a.wire, &arena, &b, &err), 0);
		assert_true(str_eq(a.wire, b.wire) && str_eq(a.key, b.key));
	}
}

static void domain_alone__is_canonical(void **state)
{
	(void)state;
	struct str d;
	arena_reset(&arena);
	assert_int_equal(address_domain(STR(" Bücher.Example "), &arena, &d, &err), 0);
	assert_true(str_is(d, "xn--bcher-kva.example"));
	assert_int_equal(address_domain(STR("a b.example"), &arena, &d, &err), -1);
	assert_string_equal(err.why, "space inside");
	assert_int_equal(address_domain(STR("x\0y.example"), &arena, &d, &err), -1);
	assert_int_equal(address_domain(STR(""), &arena, &d, &err), -1);
	assert_string_equal(err.why, "no domain");
}

static void provider__knows_consumer_domains(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"gmail.com", "google"},
		{"googlemail.com", "google"},
		{"hotmail.co.jp", "microsoft"},
		{"live.se", "microsoft"},
		{"yahoo.com", "yahoo"},
		{"aol.com", "yahoo"},
		{"yahoo.co.jp", "yahoo-jp"},
		{"icloud.com", "apple"},
		{"docomo.ne.jp", "docomo"},
		{"au.com", "au"},
		{"ezweb.ne.jp", "au"},
		{"ac.ezweb.ne.jp", "au"},
		{"i.softbank.jp", "softbank"},
		{"d.vodafone.ne.jp", "softbank"},
		{"disney.ne.jp", "softbank"},
		{"yeah.net", "163"},
		{"163.com", "163"},
		{"example.com", ""},
		{"gmail.com.example", ""},
		{"x.gmail.com", ""},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(provider_of_domain(str_from(rows[i][0])), rows[i][1]);
}

static void provider__knows_mx_hosts(void **state)
{
	(void)state;
	const char *google[] = {"aspmx.l.google.com", "alt1.aspmx.l.google.com", "aspmx2.googlemail.com"},
		   *mixed[] = {"aspmx.l.google.com", "mx.example.com"},
		   *two[] = {"mx1.mail.icloud.com", "mx.mail.ru"};
	assert_string_equal(provider_of_mx(google, 3), "google");
	assert_string_equal(provider_of_mx(mixed, 2), "");
	assert_string_equal(provider_of_mx(two, 2), "");
	assert_string_equal(provider_of_mx(NULL, 0), "");
	static const char *const rows[][2] = {
		{"hotmail-com.olc.protection.outlook.com", "microsoft"},
		{"books-example.mail.protection.outlook.com", "m365"},
		{"books-example.o-v1.mx.microsoft", "m365"},
		{"mta5.am0.yahoodns.net", "yahoo"},
		{"mx1.mail.yahoo.co.jp", "yahoo-jp"},
		{"mfsmax.docomo.ne.jp", "docomo"},
		{"msmx.au.com", "au"},
		{"notgoogle.com", ""},
		{"google.com.example", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(provider_of_mx(&rows[i][0], 1), rows[i][1]);
}

static void provider_name__lists_each_once(void **state)
{
	(void)state;
	bool google = false;
	for (size_t i = 0; provider_name(i) != NULL; i++) {
		google = google || strcmp(provider_name(i), "google") == 0;
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(provider_name(k), provider_name(i));
	}
	assert_true(google);
}

static void no_memory__is_an_error_not_a_crash(void **state)
{
	(void)state;
	struct arena small;
	struct address a;
	arena_init(&small, 16, 16);
	assert_int_equal(address_parse(STR("somebody.with.a.name@example.com"), &small, &a, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	arena_release(&small);
	arena_init(&small, 16, 40);
	assert_int_equal(address_parse(STR("Name <somebody@b\xc3\xbc"
					   "cher.example.com>"),
				 &small, &a, &err),
		-1);
	assert_int_equal(err.code, ERR_INTERNAL);
	arena_release(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain__keeps_the_local_spelling_and_lowers_the_domain),
		cmocka_unit_test(blanks_of_any_kind_around__are_dropped),
		cmocka_unit_test(full_width__becomes_ascii),
		cmocka_unit_test(idn__becomes_lower_case_a_labels),
		cmocka_unit_test(utf8_local__is_kept_and_folded_in_the_key),
		cmocka_unit_test(carriers_odd_dots__are_read_and_quoted_on_the_wire),
		cmocka_unit_test(quoted_local__loses_needless_quotes),
		cmocka_unit_test(display_name__is_decoded),
		cmocka_unit_test(faults__are_told_in_words),
		cmocka_unit_test(lengths__are_limited),
		cmocka_unit_test(wire__reads_back_as_itself),
		cmocka_unit_test(domain_alone__is_canonical),
		cmocka_unit_test(provider__knows_consumer_domains),
		cmocka_unit_test(provider__knows_mx_hosts),
		cmocka_unit_test(provider_name__lists_each_once),
		cmocka_unit_test(no_memory__is_an_error_not_a_crash),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
