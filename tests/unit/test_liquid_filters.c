#include "templates/liquid_time.h"
#include "tests/unit/liquid_fixture.h"

static void strings__cut_replace_and_split_by_characters(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ 'stra\u00dfe \u03a3' | upcase }} {{ '\u00c9T\u00c9' | downcase }} {{ '\u00e9LAN' | "
		 "capitalize }}",
			NULL, "STRASSE \u03a3 \u00e9t\u00e9 \u00c9lan", NULL},
		{"{{ '\u65e5\u672c\u8a9e' | slice: 1 }}{{ '\u65e5\u672c\u8a9e' | slice: -2, 9 }}{{ 'abc' | "
		 "slice: 5 }}|",
			NULL, "\u672c\u672c\u8a9e|", NULL},
		{"{{ '\u65e5\u672c\u8a9e' | truncate: 2, '\u2026' }} {{ 'abcdef' | truncate: 5 }} {{ 'ab' | "
		 "truncate: 1, 'xyz' }}",
			NULL, "\u65e5\u2026 ab... xyz", NULL},
		{"{{ ' a  b c d' | truncatewords: 2 }}|{{ 'a b' | truncatewords: 2 }}|{{ 'a b ' | "
		 "truncatewords: 2 }}|{{ 'a b' | truncatewords: 0 }}",
			NULL, "a b...|a b|a b...|a...", NULL},
		{"{{ 'a,b,,c,,' | split: ',' | size }}{{ ' a b ' | split: ' ' | join: '|' }}{{ "
		 "'\u65e5\u672c' | split: '' | join: '-' }}{{ '' | split: ',' | size }}",
			NULL, "4a|b\u65e5-\u672c0", NULL},
		{"{{ 'aXbX' | replace: 'X', '--' }} {{ 'aXbX' | replace_first: 'X' }} {{ 'aXbX' | "
		 "replace_last: 'X', '!' }} {{ 'ab' | replace: '', '.' }}",
			NULL, "a--b-- abX aXb! .a.b.", NULL},
		{"{{ 'aXbX' | remove: 'X' }}{{ 'aXbX' | remove_first: 'X' }}{{ 'aXbX' | remove_last: 'X' }}",
			NULL, "ababXaXb", NULL},
		{"[{{ '\t a \n' | strip }}][{{ ' a ' | lstrip }}][{{ ' a ' | rstrip }}][{{ ' a  b\n' | "
		 "squish }}][{{ x | strip_newlines }}]",
			"{\"x\":\"a\\r\\nb\\nc\\r\"}", "[a][a ][ a][a b][abc\r]", NULL},
		{"{{ 1 | append: 2 | prepend: nil }}", NULL, "12", NULL},
		{"{{ x | size }}{{ '\u65e5\u672c' | size }}{{ 1.5 | size }}{{ (1..7) | size }}",
			"{\"x\":{\"a\":1}}", "1207", NULL},
		{"{{ 'a' | slice: 'x' }}", NULL, NULL, "1:10 invalid integer"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void encodings__are_strict(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ x | escape }} {{ x | h }} {{ '&lt; & &#39; &x' | escape_once }}",
			"{\"x\":\"<a b='c'>&\\\"\"}",
			"&lt;a b=&#39;c&#39;&gt;&amp;&quot; &lt;a b=&#39;c&#39;&gt;&amp;&quot; &lt; &amp; "
			"&#39; &amp;x",
			NULL},
		{"{{ 'a b/\u00e9~*' | url_encode }} {{ 'a+b%2F%C3%A9%zz' | url_decode }}", NULL,
			"a+b%2F%C3%A9~%2A a b/\u00e9%zz", NULL},
		{"{{ '%ff' | url_decode }}", NULL, NULL, "1:12 invalid byte sequence in UTF-8"},
		{"{{ 'a?>' | base64_encode }}{{ 'a?>' | base64_url_safe_encode }}{{ 'YT8+' | base64_decode "
		 "}}{{ 'YT8-' | base64_url_safe_decode }}",
			NULL, "YT8+YT8-a?>a?>", NULL},
		{"{{ 'YT8' | base64_url_safe_decode }}", NULL, "a?", NULL},
		{"{{ 'YT8' | base64_decode }}", NULL, NULL, "1:12 invalid base64 provided to base64_decode"},
		{"{{ 'YQ=' | base64_decode }}", NULL, NULL, "1:12 invalid base64"},
		{"{{ x | strip_html }}",
			"{\"x\":\"a<script>b<i></script><!-- c > -->d<style>e</style><b\\nx='1'>f</b> 1 < "
			"2\"}",
			"adf 1 < 2", NULL},
		{"{{ x | newline_to_br }}", "{\"x\":\"a\\nb\\r\\nc\"}", "a<br />\nb<br />\nc", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void numbers__are_decimals_and_unlimited_integers(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ 0.1 | plus: 0.2 }} {{ '1.1' | times: 3 }} {{ 10 | minus: '3.5' }} {{ 'x' | plus: 1 }} "
		 "{{ nil | plus: '4y' }}",
			NULL, "0.3 3.3 6.5 1 4", NULL},
		{"{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ 7 | divided_by: -2.0 }} {{ 1 | "
		 "divided_by: 3.0 }} {{ 20 | divided_by: 7.0 }}",
			NULL, "3 -4 -3.5 0.3333333333333333 2.857142857142857", NULL},
		{"{{ -7 | modulo: 3 }} {{ 7 | modulo: -3 }} {{ 5.5 | modulo: 2 }} {{ -0.5 | modulo: 0.2 }}",
			NULL, "2 -2 1.5 0.1", NULL},
		{"{{ 9223372036854775807 | plus: 1 }} {{ -9223372036854775808 | minus: 1 }} {{ 4294967296 | "
		 "times: 4294967296 }}",
			NULL, "9223372036854775808 -9223372036854775809 18446744073709551616", NULL},
		{"{{ 100000000000000000000000 | divided_by: 1000000000001 }} {{ -100000000000000000000000 | "
		 "modulo: 1000000000001 }}",
			NULL, "99999999999 100000000000", NULL},
		{"{{ 123456789012345678901234567890 | divided_by: 987654321098765432109 }} {{ "
		 "123456789012345678901234567890 | modulo: 987654321098765432109 }}",
			NULL, "124999998 850308642085140432108", NULL},
		{"{{ 2.5 | round }} {{ -2.5 | round }} {{ 1.005 | round: 2 }} {{ 1234 | round: -2 }} {{ "
		 "2.345 | round: 1 }} {{ 5 | round: 2 }}",
			NULL, "3 -3 1.01 1200 2.3 5", NULL},
		{"{{ 1.2 | ceil }} {{ -1.2 | ceil }} {{ 1.8 | floor }} {{ -1.2 | floor }} {{ '3.01' | ceil "
		 "}} {{ 1.0 | ceil }}",
			NULL, "2 -1 1 -2 4 1", NULL},
		{"{{ -3.5 | abs }} {{ '-7' | abs }} {{ 3 | at_least: 5 }} {{ 3.5 | at_most: 2 }} {{ 3 | "
		 "at_most: '9.5' }}",
			NULL, "3.5 7 5 2 3", NULL},
		{"{{ 1.0 }} {{ 100.0 | times: 1.0 }} {{ 10000000000000000.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ "
		 "123456789.125 }}",
			NULL, "1.0 100.0 1.0e+16 0.0001 1.0e-05 123456789.125", NULL},
		{"{{ 1 | divided_by: 0 }}", NULL, NULL, "1:8 divided by 0"},
		{"{{ 1.5 | divided_by: 0 }} {{ 0.0 | divided_by: 0.0 }}", NULL, "Infinity NaN", NULL},
		{"{{ 1.5 | divided_by: 0 | ceil }}", NULL, NULL, "1:26 Computation results in 'Infinity'"},
		{"{{ 1 | modulo: 0.0 }}", NULL, NULL, "1:8 divided by 0"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void lists__are_sorted_filtered_and_joined(void **state)
{
	(void)state;
	static const char people[] =
		"{\"p\":[{\"n\":\"b\",\"a\":3,\"o\":{\"k\":1}},{\"n\":\"a\"},{\"n\":\"C\",\"a\":1,\"o\":{"
		"\"k\":2}}],\"m\":[3,null,1],\"w\":[\"b\",\"A\",\"c\"]}";
	static const struct liquid_case cases[] = {
		{"{{ m | sort | join: ',' }} {{ w | sort | join }} {{ w | sort_natural | join }} {{ p | "
		 "sort: 'a' | map: 'n' | join }}",
			people, "1,3, A b c A b c C b a", NULL},
		{"{{ p | where: 'a' | map: 'n' | join }} {{ p | where: 'a', 3 | size }} {{ p | reject: 'a' | "
		 "map: 'n' }} {{ p | has: 'n', 'C' }} {{ p | find: 'a', 1 | size }} {{ p | find_index: 'n', "
		 "'a' }}",
			people, "b C 1 a true 3 1", NULL},
		{"{{ p | map: 'o.k' | compact | join: '+' }} {{ p | sum: 'a' }} {{ '1,2.5,x' | split: ',' | "
		 "sum }}",
			people, "1+2 4 3.5", NULL},
		{"{{ m | compact | reverse | join: '/' }} {{ m | concat: w | size }} {{ w | first }}{{ w | "
		 "last }}",
			people, "1/3 6 bc", NULL},
		{"{{ x | uniq | join: ' ' }}", "{\"x\":[1,1.0,\"1\",1,[2],[2]]}", "1 1.0 1 2", NULL},
		{"{{ 'abc' | join: '-' }}{{ nil | join }}{{ '\u65e5b' | first }}{{ 'ab' | last }}{{ '' | "
		 "first }}{{ 5 | first }}|{{ 5 | sort }}",
			NULL, "abc\u65e5b|5", NULL},
		{"{{ x | sort }}", "{\"x\":[1,\"a\"]}", NULL, "1:8 cannot sort values of incompatible types"},
		{"{{ x | map: 'a' }}", "{\"x\":[1]}", NULL, "1:8 cannot select the property 'a'"},
		{"{{ x | concat: 1 }}", "{\"x\":[1]}", NULL, "1:8 concat filter requires an array argument"},
		{"{{ (1..3) | reverse }}{{ (1..1000000000) | size }}{{ (5..1000000000) | first }}", NULL,
			"32110000000005", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void values__compare_and_show_as_in_ruby(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% if 1 < 'a' %}{% endif %}", NULL, NULL, "1:1 comparison of Integer with String failed"},
		{"{% if 'a' < 1 %}{% endif %}", NULL, NULL, "1:1 comparison of String with 1 failed"},
		{"{% if x < 1 %}y{% endif %}|", NULL, "|", NULL},
		{"{% if a == b %}y{% else %}n{% endif %}{% if a == c %}y{% else %}n{% endif %}",
			"{\"a\": [1, 2], \"b\": [1, 2], \"c\": [1, 3]}", "yn", NULL},
		{"{% assign r = (1..3) %}{% assign s = (1..3) %}{% assign t = (1..4) %}{% if r == s %}y{% "
		 "endif %}"
		 "{% if r == t %}n{% endif %}{{ r | first }}{{ r | last }}{{ r.first }}{{ r.last }}{{ r.size "
		 "}}",
			NULL, "y13133", NULL},
		{"{{ a | slice: 1, 2 | join: ',' }}|{{ a | slice: -2, 9 | join: ',' }}|{{ a | slice: 9 }}|",
			"{\"a\": [1, 2, 3]}", "2,3|2,3||", NULL},
		{"{{ h }}",
			"{\"h\": {\"k\": "
			"\"\\t\\r\\n\\u001b\\u0001\\u0007\\b\\u000b\\f\\u007f#{x}#$#a\\\"\\\\\"}}",
			"{\"k\"=>\"\\t\\r\\n\\e\\u0001\\a\\b\\v\\f\\x7F\\#{x}\\#$#a\\\"\\\\\"}", NULL},
		{"{{ n.size }} {{ s.size }} {{ f.size }}|", "{\"n\": 5, \"s\": \"abc\", \"f\": 1.5}", "8 3 |",
			NULL},
		{"{% for i in (1..1) %}{{ forloop }}{% endfor %}", NULL, "Liquid::ForloopDrop", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void default__takes_allow_false(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ nil | default: 1 }}{{ '' | default: 2 }}{{ false | default: 3 }}{{ 0 | default: 4 }}{{ "
		 "x | default: 5 }}{{ ' ' | default: 6 }}",
			"{\"x\":[]}", "12305 ", NULL},
		{"{{ false | default: 'x', allow_false: true }}{{ nil | default: 'x', allow_false: true }}{{ "
		 "nil | default }}",
			NULL, "falsex", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void dates__are_read_leniently_and_written_by_strftime(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ '2026-03-04 05:06:07' | date: '%Y %-m %_d %e %H %-I %l %M %S %p %P %j %y %C %u %w %%' "
		 "}}",
			NULL, "2026 3  4  4 05 5  5 06 07 AM am 063 26 20 3 3 %", NULL},
		{"{{ '2026-03-04' | date: '%a %A %b %B %^a %^B %#p %10A %-y %05d %F %D %R %T %c' }}", NULL,
			"Wed Wednesday Mar March WED MARCH am  Wednesday 26 00004 2026-03-04 03/04/26 00:00 "
			"00:00:00 Wed Mar  4 00:00:00 2026",
			NULL},
		{"{{ '2026-03-04T05:06:07.089+09:00' | date: '%L %N %3N %z %:z %::z %s %Z' }}", NULL,
			"089 089000000 089 +0900 +09:00 +09:00:00 1772568367 ", NULL},
		{"{{ '2021-01-03' | date: '%G-W%V-%u %U %W %g' }} {{ '2020-12-31' | date: '%G-W%V' }}", NULL,
			"2020-W53-7 01 00 20 2020-W53", NULL},
		{"{{ 'March 4, 2026' | date: '%F' }} {{ '4 Mar 2026 5pm' | date: '%F %R' }} {{ 'Wed, 04 Mar "
		 "2026 10:00:00 +0100' | date: '%F %R %z' }}",
			NULL, "2026-03-04 2026-03-04 17:00 2026-03-04 10:00 +0100", NULL},
		{"{{ '2026/3/4' | date: '%F' }} {{ '4.3.2026' | date: '%F' }} {{ '4/3/2026' | date: '%F' }} "
		 "{{ '20260304T050607' | date: '%F %T' }} {{ 'R8.3.4' | date: '%F' }}",
			NULL, "2026-03-04 2026-03-04 2026-03-04 2026-03-04 05:06:07 2026-03-04", NULL},
		{"{{ 0 | date: '%F %T' }} {{ '1772568367' | date: '%F' }} {{ '-5' | date: '%F' }} {{ 'now' | "
		 "date: '%F %R' }} {{ 'Today' | date: '%Y' }}",
			NULL, "1970-01-01 00:00:00 2026-03-03 -5 2026-03-14 15:00 2026", NULL},
		{"{{ 'no date' | date: '%F' }} {{ '2026-13-01' | date: '%F' }} {{ nil | date: '%F' }}{{ "
		 "'2026-03-04' | date: '' }} {{ 1.5 | date: '%F' }} {{ '2026-02-30' | date: '%F' }}",
			NULL, "no date 2026-13-01 2026-03-04 1.5 2026-03-02", NULL},
		{"{{ '2026-03-04 15:06:07' | date: '%r|%v|%k|%n|%t|%P|%10Y|%_5m|%^p|%010A' }}", NULL,
			"03:06:07 PM| 4-MAR-2026|15|\n|\t|pm|0000002026|    3|PM|0Wednesday", NULL},
		{"{{ '2026-03-04T05:06:07+09:00' | date: '%:::z' }} {{ '2026-03-04T05:06:07-09:30' | date: "
		 "'%:::z %-k' }}",
			NULL, "+09 -09:30 5", NULL},
		{"{{ '2026-063' | date: '%F' }} {{ '4 Mar 99' | date: '%F' }} {{ '4 Mar 26' | date: '%F' }}",
			NULL, "2026-03-04 1999-03-04 2026-03-04", NULL},
		{"{{ '10:30' | date: '%F %R' }} {{ 'March' | date: '%F' }}", NULL,
			"2026-03-14 10:30 2026-03-01", NULL},
		{"{{ '2026-03-04' | date }}", NULL, NULL, "1:19 wrong number of arguments"},
		{"{{ '2026-03-04' | date: '%' }}", NULL, NULL, "1:19 invalid format: %"},
		{"{{ '99999999999999999999' | date: '%Y' }}", NULL, "11476", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void date__shows_the_configured_zone(void **state)
{
	(void)state;
	struct err e;
	const struct zone *tokyo = clock_zone("Asia/Tokyo", &e);
	assert_non_null(tokyo);
	static const struct liquid_case cases[] = {
		{"{{ 0 | date: '%F %R %z %Z' }} {{ '2026-03-04 05:00' | date: '%s %z' }} {{ 'now' | date: "
		 "'%F %R' }} {{ '2026-03-04T05:00Z' | date: '%R %Z' }}",
			NULL, "1970-01-01 09:00 +0900 JST 1772568000 +0900 2026-03-15 00:00 05:00 UTC", NULL},
	};
	LIQUID_CHECK(cases, .plain = true, .zone = tokyo);
	/* The clock is put forward at midnight: it is that day for all that. */
	const struct zone *cairo = clock_zone("Africa/Cairo", &e);
	assert_non_null(cairo);
	static const struct liquid_case day[] = {
		{"{{ '2024-04-26' | date: '%F %R %z' }} {{ '2024-04-26 00:30' | date: '%R' }}", NULL,
			"2024-04-26 01:00 +0300 01:30", NULL},
	};
	LIQUID_CHECK(day, .plain = true, .zone = cairo);
}

/* A blank in front sends the text the long way. */
static void date__the_short_way_reads_as_the_long_way(void **state)
{
	(void)state;
	static const char *const forms[] = {"20ax-0x-xx", "2026-0x-xx bx:bx:bx", "2026-0x-ax bx:bx:bx +bxbx",
		"2026-0x-ax bx:bx:bx -0xbx", "2026-ax-10", "xxxx-12-ax bx:bx:60",
		"xxxx-xx-xx ax:xx:xx +axxx"};
	struct err e;
	const struct zone *tokyo = clock_zone("Asia/Tokyo", &e);
	unsigned seed = 1, read = 0;
	for (size_t i = 0; i < 20000; i++) {
		char text[40] = " ";
		struct moment a = {0}, b = {0};
		const char *form = forms[i % (sizeof forms / sizeof *forms)];
		for (size_t k = 0; k <= strlen(form); k++) {
			seed = seed * 1103515245 + 12345;
			unsigned n = seed >> 16, most = form[k] == 'a' ? 3 : form[k] == 'b' ? 6 : 10;
			text[k + 1] = strchr("abx", form[k]) != NULL && form[k] != '\0'
					      ? (char)('0' + n % most)
					      : form[k];
		}
		const struct zone *z = i % 2 == 0 ? tokyo : NULL;
		bool short_way = lq_time_parse(str_from(text + 1), z, 0, true, &a);
		if (short_way != lq_time_parse(str_from(text), z, 0, true, &b) || a.seconds != b.seconds ||
			a.c.day != b.c.day || a.c.hour != b.c.hour || a.c.offset != b.c.offset ||
			a.utc != b.utc || a.fixed != b.fixed)
			fail_msg("%s", text + 1);
		read += short_way;
	}
	assert_in_range(read, 5000, 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings__cut_replace_and_split_by_characters),
		cmocka_unit_test(encodings__are_strict),
		cmocka_unit_test(numbers__are_decimals_and_unlimited_integers),
		cmocka_unit_test(lists__are_sorted_filtered_and_joined),
		cmocka_unit_test(values__compare_and_show_as_in_ruby),
		cmocka_unit_test(default__takes_allow_false),
		cmocka_unit_test(dates__are_read_leniently_and_written_by_strftime),
		cmocka_unit_test(date__shows_the_configured_zone),
		cmocka_unit_test(date__the_short_way_reads_as_the_long_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
