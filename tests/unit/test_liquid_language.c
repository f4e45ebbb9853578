#include "tests/unit/liquid_fixture.h"

static void values__are_written_as_the_reference_writes_them(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{{ 'a' }}{{ \"b\" }}{{ 12 }}{{ -3 }}{{ 1.50 }}{{ true }}{{ nil }}|", NULL, "ab12-31.5true|",
			NULL},
		{"{{ }}{{}}x", NULL, "x", NULL},
		{"{{ x }}", "{\"x\":[1,[2,null],\"c\"]}", "12c", NULL},
		{"{{ x | append: '' }}", "{\"x\":[1,[\"q\",null],2.0]}", "[1, [\"q\", nil], 2.0]", NULL},
		{"{{ x }}", "{\"x\":{\"k\":null,\"l\":[\"a\\n\"]}}", "{\"k\"=>nil, \"l\"=>[\"a\\n\"]}", NULL},
		{"{{ (2..4) }}{{ (2..4) | join: ',' }}", NULL, "2..42,3,4", NULL},
		{"{{ x.y.z }}{{ x[0].q }}|", "{\"x\":{\"y\":{\"z\":7}}}", "7|", NULL},
		{"{{ x['a b'] }}{{ x[k] }}{{ ['x'].m }}", "{\"x\":{\"a b\":1,\"m\":2},\"k\":\"m\"}", "122",
			NULL},
		{"{{ x[-1] }}{{ x[1] }}{{ x[9] }}{{ x.size }}{{ x.first }}{{ x.last }}", "{\"x\":[4,5,6]}",
			"65346", NULL},
		{"{{ x.size }}{{ y.size }}{{ z.size }}",
			"{\"x\":\"h\\u00e9\",\"y\":{\"size\":\"own\"},\"z\":{\"a\":1}}", "2own1", NULL},
		{"{{ 99999999999999999999 | plus: 1 }}", NULL, "100000000000000000000", NULL},
		{"{{ 1e3 }}", NULL, NULL, "1:5 Unexpected e3"},
		{"{{ nil.x }}{{ true.x }}{{ x-y }}{{ z? }}", "{\"nil\":{\"x\":1},\"x-y\":2,\"z?\":3}", "123",
			NULL},
		{"{{ '{{' }}{{ \"%\" }}", NULL, "{{%", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void conditions__follow_truthiness_and_order_of_the_reference(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% if x %}T{% else %}F{% endif %}", "{\"x\":\"\"}", "T", NULL},
		{"{% if x %}T{% else %}F{% endif %}", "{\"x\":0}", "T", NULL},
		{"{% if x %}T{% else %}F{% endif %}", "{\"x\":false}", "F", NULL},
		{"{% if x == empty %}T{% else %}F{% endif %}", "{\"x\":{}}", "T", NULL},
		{"{% if x == empty %}T{% else %}F{% endif %}", "{\"x\":null}", "F", NULL},
		{"{% if x == blank %}T{% else %}F{% endif %}", "{\"x\":\" \\t\"}", "T", NULL},
		{"{% if blank == x %}T{% else %}F{% endif %}", "{}", "T", NULL},
		{"{% if true or false and false %}T{% else %}F{% endif %}", NULL, "T", NULL},
		{"{% if false and false or true %}T{% else %}F{% endif %}", NULL, "F", NULL},
		{"{% if 1 == 1.0 and 1 != '1' and 2 <> 3 %}T{% endif %}", NULL, "T", NULL},
		{"{% if 'b' > 'a' and 3 >= 3 and -1 < 0.5 %}T{% endif %}", NULL, "T", NULL},
		{"{% if nil < 1 or 1 > nil %}T{% else %}F{% endif %}", NULL, "F", NULL},
		{"{% if x contains 'b' and y contains 2 and z contains 'k' %}T{% endif %}",
			"{\"x\":\"abc\",\"y\":[1,2],\"z\":{\"k\":0}}", "T", NULL},
		{"{% if (1..5) contains 3 %}T{% endif %}{% if x contains nil %}T{% else %}F{% endif %}",
			"{\"x\":[null]}", "TF", NULL},
		{"{% if x == y %}T{% endif %}", "{\"x\":[1,{\"a\":2}],\"y\":[1,{\"a\":2}]}", "T", NULL},
		{"a\n{% if 'x' < 1 %}{% endif %}", NULL, NULL, "2:1 comparison of String with 1 failed"},
		{"{% if x %}1{% elsif y %}2{% else %}3{% endif %}", "{\"y\":1}", "2", NULL},
		{"{% unless x %}1{% elsif true %}2{% endunless %}", "{\"x\":1}", "2", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void case__runs_every_match_and_else_only_without_one(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% case 2 %} junk {{ 1 }}{% when 1 %}a{% when 2, 3 %}b{% when 2 or 9 %}c{% else %}d{% "
		 "endcase %}",
			NULL, "bc", NULL},
		{"{% case x %}{% when 'v' %}a{% else %}d{% endcase %}", "{\"x\":\"w\"}", "d", NULL},
		{"{% case x %}{% else %}d{% when 'w' %}a{% else %}e{% endcase %}", "{\"x\":\"w\"}", "da",
			NULL},
		{"{% case x %}{% when empty %}e{% when nil %}n{% endcase %}", "{\"x\":[]}", "e", NULL},
		{"{% for i in (1..3) %}{% case i %}{% when 2 %}{% break %}{% else %}{{ i }}{% endcase %}{% "
		 "endfor %}",
			NULL, "1", NULL},
		{"{% case 1 %}{% when 1 2 %}x{% endcase %}", NULL, "x", NULL},
		{"{% case 1 %}{% elsif 1 %}{% endcase %}", NULL, NULL, "1:13 Unknown tag 'elsif'"},
		{"{% case 1 %}{% when %}{% endcase %}", NULL, NULL, "1:21 Expected an expression"},
	};
	LIQUID_CHECK(cases, .plain = true);
	static const struct liquid_case strict[] = {
		{"{% case 1 %}{% when 1 2 %}x{% endcase %}", NULL, NULL, "1:23 Unexpected 2"},
	};
	LIQUID_CHECK(strict, .plain = true, .strict = true);
}

static void for__bounds_helpers_and_interrupts(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% for i in (1..5) reversed limit: 2 offset: 1 %}{{ i }}{% endfor %}", NULL, "32", NULL},
		{"{% for i in x limit: 2 %}{{ i }}{% endfor %}|{% for i in x offset: continue %}{{ i }}{% "
		 "endfor %}",
			"{\"x\":[1,2,3,4]}", "12|34", NULL},
		{"{% for i in x %}{{ i }}{% else %}none{% endfor %}", "{\"x\":[]}", "none", NULL},
		{"{% for i in x %}[{{ i }}]{% endfor %}", "{\"x\":\"text\"}", "[text]", NULL},
		{"{% for p in x %}{{ p[0] }}={{ p[1] }};{% endfor %}", "{\"x\":{\"b\":1,\"a\":2}}",
			"b=1;a=2;", NULL},
		{"{% for i in (7..8) %}{{ forloop.index }}{{ forloop.index0 }}{{ forloop.rindex }}{{ "
		 "forloop.rindex0 }}"
		 "{{ forloop.first }}{{ forloop.last }}{{ forloop.length }}{{ forloop.name }};{% endfor %}",
			NULL, "1021truefalse2i-(7..8);2110falsetrue2i-(7..8);", NULL},
		{"{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.index "
		 "}} {% endfor %}{% endfor %}",
			NULL, "11 12 21 22 ", NULL},
		{"{% for i in (1..9) %}{% if i == 2 %}{% continue %}{% elsif i == 4 %}{% break %}{% endif "
		 "%}{{ i }}{% endfor %}.",
			NULL, "13.", NULL},
		{"{% for i in (1..2) %}{% assign i = 'x' %}{{ i }}{% endfor %}{{ i }}", NULL, "12x", NULL},
		{"a{% break %}b", NULL, "a", NULL},
		{"{% for i in (1..3) limit: 'x' %}{% endfor %}", NULL, NULL, "1:1 invalid integer"},
		{"{% for i on x %}{% endfor %}", NULL, NULL, "1:1 For loops require an 'in' clause"},
		{"{% for i in x limit: 1 reversed %}{% endfor %}", NULL, NULL, "1:24 Unexpected reversed"},
		{"{% for i in x sort: 1 %}{% endfor %}", NULL, NULL, "1:15 Invalid attribute in for loop"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void tablerow__writes_rows_and_cells(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% tablerow i in (1..3) cols: 2 %}{{ i }}{% endtablerow %}", NULL,
			"<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n<tr "
			"class=\"row2\"><td class=\"col1\">3</td></tr>\n",
			NULL},
		{"{% tablerow i in x limit: 1, offset: 1 %}{{ i }}{{ tablerowloop.col_last }}{% endtablerow "
		 "%}",
			"{\"x\":[1,2,3]}", "<tr class=\"row1\">\n<td class=\"col1\">2true</td></tr>\n", NULL},
		{"{% tablerow i in nil %}{{ i }}{% endtablerow %}", NULL, "", NULL},
		{"{% tablerow i in (1..2) rows: 1 %}{% endtablerow %}", NULL, NULL,
			"1:25 Invalid attribute in tablerow loop"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void variables__scopes_counters_cycles(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% assign x = 1 | plus: 2 %}{{ x }}{% assign x = nil %}{{ x }}|", NULL, "3|", NULL},
		{"{% capture x %}a{{ 1 }}{% endcapture %}{{ x }}{{ x.size }}", NULL, "a12", NULL},
		{"{% increment c %}{% increment c %}{{ c }}{% decrement c %}{% decrement d %}", NULL,
			"0121-1", NULL},
		{"{% assign c = 9 %}{% increment c %}{{ c }}", NULL, "09", NULL},
		{"{% increment c %}{{ c }}", "{\"c\":5}", "56", NULL},
		{"{% cycle 'a', 'b' %}{% cycle \"a\", \"b\" %}{% cycle 'g': 1, 2 %}{% cycle 'g': 7, 8 %}{% "
		 "cycle x, 'b' %}{% cycle x, 'b' %}",
			"{\"x\":\"v\"}", "ab18vv", NULL},
		{"{% for i in (1..4) %}{% ifchanged %}{{ i | divided_by: 2 }}{% endifchanged %}{% endfor %}",
			NULL, "012", NULL},
		{"{% assign = 1 %}", NULL, NULL, "1:1 Syntax Error in 'assign'"},
		{"{% capture %}{% endcapture %}", NULL, NULL, "1:1 Syntax Error in 'capture'"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void partials__are_isolated_or_share_the_scope(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% render 'card', a: 1 %}{% render 'card' with 2 %}{% render 'card' for x %}",
			"{\"x\":[3,4]}", "<|1|><2||><3||1><4||2>", NULL},
		{"{% assign outer = 5 %}{% render 'sets' %}{{ inner }}{% render 'sets' %}", NULL, "00", NULL},
		{"{% assign outer = 5 %}{% include 'sets' %}{{ inner }}{% include 'sets' %}", NULL, "50151",
			NULL},
		{"{% include p %}{% include 'dir/leaf' with 7 %}{% render 'dir/leaf' with 8 as leaf %}",
			"{\"p\":\"card\",\"card\":2}", "<2||>(7)(8)", NULL},
		{"{% for i in (1..3) %}{{ i }}{% include 'stop' %}{% endfor %}{% for i in (1..3) %}{{ i }}{% "
		 "render 'stop' %}{% endfor %}",
			NULL, "1123", NULL},
		{"{% include 'card' for x, a: 9 %}{{ a }}", "{\"x\":[1,2]}", "<1|9|><2|9|>", NULL},
		{"{% render 'deep' %}", NULL, NULL, "1:1 Nesting too deep"},
		{"{% include 'self' %}", NULL, NULL, "1:1 Nesting too deep"},
		{"x{% render 'nowhere' %}", NULL, NULL, "1:2 No such template 'nowhere'"},
		{"{% render 'bad' %}", NULL, NULL, "1:1 | is not a valid expression"},
		{"{% if false %}{% render 'nowhere' %}{% endif %}ok", NULL, "ok", NULL},
		{"{% render card %}", NULL, NULL, "1:1 Syntax error in tag 'render'"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

/* Each way of calling a partial is compiled for what it is given. */
static void partials__with_very_long_names__are_told_apart(void **state)
{
	(void)state;
	enum { LONG = 1 << 20 };
	struct buf source = BUF_INIT(4 * LONG);
	for (int i = 0; i < 2; i++) {
		buf_puts(&source, "{% render 'names', ");
		for (int k = 0; k < LONG; k++)
			buf_putc(&source, 'x');
		buf_puts(&source, i == 0 ? ": 1 %}" : ": 1, wanted: 2 %}");
	}
	const struct liquid_case long_names = {buf_cstr(&source), NULL, "2", NULL};
	liquid_check(&long_names, 1, &(struct liquid_options){.plain = true});
	buf_release(&source);
}

static void blank_bodies__write_nothing(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"[{% if true %}  {% assign x = 1 %}\n{% endif %}]", NULL, "[]", NULL},
		{"[{% for i in (1..3) %} {% if i %} {% endif %} {% endfor %}]", NULL, "[]", NULL},
		{"[{% if true %} {{ nil }} {% endif %}]", NULL, "[  ]", NULL},
		{"[{% if true %} {% capture x %} y {% endcapture %} {% endif %}]{{ x }}", NULL, "[] y ",
			NULL},
		{"[{% case 1 %} {% when 1 %} {% comment %}c{% endcomment %} {% endcase %}]", NULL, "[]",
			NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void white_space_control__trims_the_neighbours(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"a \n{{- 1 -}}\n b {%- if true -%} c {%- endif %} d", NULL, "a1bc d", NULL},
		{" {%- raw %} {{ x }} {% endraw -%} y", NULL, " {{ x }} y", NULL},
		{"a {%- # note -%} b{%- comment -%} c {%- endcomment -%} d", NULL, "abd", NULL},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void raw_comment_doc_liquid__are_read_to_their_end(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% raw %}{{ {% if %} %}{% endraw %}", NULL, "{{ {% if %} %}", NULL},
		{"{% comment %}{% if %}{% comment %}{% endcomment %}{% raw %}{% endcomment %}{% endraw %}{% "
		 "endcomment %}x",
			NULL, "x", NULL},
		{"{% doc %}{{ {% if %}{% enddoc %}x", NULL, "x", NULL},
		{"{% liquid\n  assign x = 2\n  # note\n  for i in (1..x)\n    echo i\n  endfor\n  comment\n  "
		 "junk (\n  endcomment\n%}",
			NULL, "12", NULL},
		{"{% raw %}", NULL, NULL, "1:10 'raw' tag was never closed"},
		{"{% comment %}{% endcomment", NULL, NULL, "1:14 'comment' tag was never closed"},
		{"{% liquid\n  if x\n%}", NULL, NULL, "2:3 'if' tag was never closed"},
		{"{% # one\n two %}", NULL, NULL, "1:1 Syntax error in tag '#'"},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void errors__name_line_and_column_in_characters(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"one\ntwo äö {{ x | nofilter }}", NULL, NULL, "2:15 Unknown filter 'nofilter'"},
		{"{{ x | plus }}", NULL, NULL, "1:8 wrong number of arguments (given 1, expected 2)"},
		{"{{ x | upcase: 1 }}", NULL, NULL, "1:8 wrong number of arguments (given 2, expected 1)"},
		{"\n\n  {{ 1 | divided_by: 0 }}", NULL, NULL, "3:10 divided by 0"},
		{"{% if false %}{{ x | nofilter }}{{ x | plus }}{% endif %}", NULL, "", NULL},
		{"{% nosuch %}", NULL, NULL, "1:1 Unknown tag 'nosuch'"},
		{"{% if x %}", NULL, NULL, "1:1 'if' tag was never closed"},
		{"{% if x %}{% endfor %}", NULL, NULL,
			"1:11 'endfor' is not a valid delimiter for if tags. use endif"},
		{"{% endif %}", NULL, NULL, "1:1 Unknown tag 'endif'"},
		{"{% else %}", NULL, NULL, "1:1 Unexpected outer 'else' tag"},
		{"{{ x ", NULL, NULL, "1:1 Variable '{{' was not properly terminated"},
		{"{{ x }", NULL, NULL, "1:1 Variable '{{' was not properly terminated"},
		{"a {% if", NULL, NULL, "1:3 Tag '{%' was not properly terminated"},
		{"{{ 'x }}", NULL, NULL, "1:4 Unexpected character '"},
		{"{{ x y }}", NULL, NULL, "1:6 Unexpected y"},
		{"{{ x | }}", NULL, NULL, "1:8 Expected a filter"},
		{"{{ x[1 }}", NULL, NULL, "1:8 Expected ]"},
		{"{{ (1..) }}", NULL, NULL, "1:8 ) is not a valid expression"},
		{"{% if a = b %}{% endif %}", NULL, NULL, "1:9 Unexpected character ="},
		{"{{ \u6c0f }}", NULL, NULL, "1:4 Unexpected character "},
	};
	LIQUID_CHECK(cases, .plain = true);
}

static void error__shows_file_and_source_line(void **state)
{
	(void)state;
	struct arena a;
	struct err e = {0};
	arena_init(&a, 4096, 1 << 20);
	struct liquid_options o = {.path = "june.html", .first_line = 5};
	assert_null(liquid_text("ok\n\tHello {{ x | nope }}\n", NULL, &o, &a, &e));
	assert_int_equal(e.code, ERR_DATA);
	assert_string_equal(e.file, "june.html");
	assert_int_equal(e.line, 6);
	assert_int_equal(e.column, 15);
	assert_string_equal(e.remedy, "6 | Hello {{ x | nope }}");
	arena_release(&a);
}

static void inline_errors__become_text_and_rendering_goes_on(void **state)
{
	(void)state;
	struct liquid_names *names = liquid_names_new();
	struct liquid_options o = {.plain = true, .read = liquid_read_part};
	struct liquid_result r;
	struct arena a;
	struct err e;
	arena_init(&a, 4096, 1 << 20);
	struct liquid *l = liquid_compile(STR("a{{ 1 | modulo: 0 }}b\n{% assign x = 1 | divided_by: 0 %}{% "
					      "if 'x' < 1 %}y{% else %}z{% endif %}c"
					      "{% render 'bad' %}d"),
		&o, names, &e);
	struct liquid_vars v = {.inline_errors = true};
	assert_non_null(l);
	assert_int_equal(liquid_render(l, &v, NULL, &a, &r, &e), 0);
	assert_string_equal(r.text.p, "aLiquid error (line 1): divided by 0b\nLiquid error (line 2): "
				      "comparison of String with 1 failedc"
				      "Liquid syntax error (line 2): | is not a valid expressiond");
	liquid_free(&l);
	liquid_names_free(&names);
	arena_release(&a);
}

static void nesting__beyond_the_limit_is_an_error(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1 << 20);
	struct arena a;
	struct err e;
	struct liquid_options o = {.plain = true};
	arena_init(&a, 4096, 1 << 20);
	for (int i = 0; i < 101; i++)
		buf_puts(&b, "{% if true %}");
	assert_null(liquid_text(buf_cstr(&b), NULL, &o, &a, &e));
	assert_string_equal(e.why, "Nesting too deep");
	buf_clear(&b);
	buf_puts(&b, "{{ ");
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "a[");
	assert_null(liquid_text(buf_cstr(&b), NULL, &o, &a, &e));
	buf_clear(&b);
	buf_puts(&b, "{{ ");
	for (int i = 0; i < 20000; i++)
		buf_puts(&b, "(");
	buf_puts(&b, "}}");
	assert_null(liquid_text(buf_cstr(&b), NULL, &o, &a, &e));
	buf_release(&b);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values__are_written_as_the_reference_writes_them),
		cmocka_unit_test(conditions__follow_truthiness_and_order_of_the_reference),
		cmocka_unit_test(case__runs_every_match_and_else_only_without_one),
		cmocka_unit_test(for__bounds_helpers_and_interrupts),
		cmocka_unit_test(tablerow__writes_rows_and_cells),
		cmocka_unit_test(variables__scopes_counters_cycles),
		cmocka_unit_test(partials__are_isolated_or_share_the_scope),
		cmocka_unit_test(partials__with_very_long_names__are_told_apart),
		cmocka_unit_test(blank_bodies__write_nothing),
		cmocka_unit_test(white_space_control__trims_the_neighbours),
		cmocka_unit_test(raw_comment_doc_liquid__are_read_to_their_end),
		cmocka_unit_test(errors__name_line_and_column_in_characters),
		cmocka_unit_test(error__shows_file_and_source_line),
		cmocka_unit_test(inline_errors__become_text_and_rendering_goes_on),
		cmocka_unit_test(nesting__beyond_the_limit_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
