#include "tests/unit/liquid_fixture.h"

/* ---- slots ---- */

struct machine {
	struct liquid_names *names;
	struct liquid *l;
	struct arena a;
	struct err e;
	struct liquid_result r;
};

static struct str lookup(void *ctx, struct str name)
{
	return str_is(name, "Plan") ? str_from(ctx) : (struct str){0};
}

/* Renders with the attribute NAME being "<NAME>", but those named e… empty, n… missing, and d… a number. */
static const char *render(
	struct machine *m, const char *source, const struct liquid_options *o, const struct liquid_sink *sink)
{
	struct liquid_options own = *o;
	own.read = liquid_read_part;
	*m = (struct machine){.names = liquid_names_new()};
	arena_init(&m->a, 4096, 64 << 20);
	m->l = liquid_compile(str_from(source), &own, m->names, &m->e);
	if (m->l == NULL)
		return NULL;
	size_t n = liquid_names_count(m->names);
	struct str *slots = calloc(n + 1, sizeof *slots);
	for (size_t i = 0; i < n; i++) {
		struct str name = liquid_name(m->names, i);
		char c = name.p[0];
		slots[i] = c == 'e'   ? STR("")
			   : c == 'n' ? (struct str){0}
			   : c == 'd' ? STR("150")
				      : arena_printf(&m->a, "<%.*s>", STR_ARG(name));
	}
	struct liquid_vars v = {
		.slots = slots, .lookup = lookup, .ctx = (char[]){"gold"}, .now = INT64_C(1773500400000)};
	int rc = liquid_render(m->l, &v, sink, &m->a, &m->r, &m->e);
	free(slots);
	return rc != 0        ? NULL
	       : m->r.aborted ? arena_printf(&m->a, "ABORTED %.*s", STR_ARG(m->r.reason)).p
			      : m->r.text.p;
}

static void release(struct machine *m)
{
	liquid_free(&m->l);
	liquid_names_free(&m->names);
	arena_release(&m->a);
}

static void check(const char *source, const struct liquid_options *o, const char *wanted)
{
	struct machine m;
	const char *text = render(&m, source, o, NULL);
	if (text == NULL)
		print_error("%s: %ld:%ld %s\n", source, m.e.line, m.e.column, m.e.why);
	assert_non_null(text);
	assert_string_equal(text, wanted);
	release(&m);
}

static void html__values_are_escaped_once(void **state)
{
	(void)state;
	struct liquid_options o = {.escape = LIQUID_HTML};
	check("<b>{{ x }}</b>{{ x | raw }}{{ x | escape }}{{ x | upcase }}", &o,
		"<b>&lt;x&gt;</b><x>&lt;x&gt;&lt;X&gt;");
	check("{{ x | escape | escape }}{{ x | escape_once }}{{ x | h | append: x }}", &o,
		"&lt;x&gt;&lt;x&gt;&lt;x&gt;&lt;x&gt;");
	check("{% capture c %}<i>{{ x }}</i>{% endcapture %}{{ c }}{{ c | append: '&' }}{{ '&' | append: c | "
	      "prepend: '<' }}",
		&o, "<i>&lt;x&gt;</i><i>&lt;x&gt;</i>&amp;&lt;&amp;<i>&lt;x&gt;</i>");
	check("{{ 'a & b' }}{{ 'a,<' | split: ',' }}{{ x | newline_to_br }}{{ x | default: '&' }}{{ n | "
	      "default: '&' }}",
		&o, "a &amp; ba&lt;&lt;x&gt;&lt;x&gt;&amp;");
	check("{% for i in (1..2) %}{% ifchanged %}{{ x }}{% endifchanged %}{% endfor %}{% cycle x %}{% echo "
	      "x %}",
		&o, "&lt;x&gt;&lt;x&gt;&lt;x&gt;");
	check("{% liquid\n echo x\n%}{% render 'card', a: x %}{% render 'card' with x %}", &o,
		"&lt;x&gt;<&lt;card&gt;|&lt;x&gt;|><&lt;x&gt;|&lt;a&gt;|>");
}

static void text_and_header__escape_nothing_but_lines(void **state)
{
	(void)state;
	struct liquid_options text = {.escape = LIQUID_TEXT}, header = {.escape = LIQUID_HEADER};
	check("{{ x }}{{ 'a\nb' }}", &text, "<x>a\nb");
	check("{{ x }}{{ 'a\r\nBcc: b' }}{{ 'a\nb' | raw }}{% capture c %}{{ 'p\nq' }}{% endcapture %}{{ c "
	      "}}",
		&header, "<x>a  Bcc: ba bp q");
	check("{{ '%00%0A' | url_decode }}", &header, "  ");
	/* What filters write for HTML is nothing to be read. */
	static const char filtered[] =
		"{{ x | escape }}{{ x | h | upcase }}{{ 'a&b' | escape_once }}{{ 'a\nb' | "
		"newline_to_br }}{{ 7 | escape }}{{ nothing | escape }}";
	check(filtered, &text, "<x><X>a&ba\nb7");
	check(filtered, &header, "<x><X>a&ba b7");
	check("{{ x | escape }}", &(struct liquid_options){.escape = LIQUID_PLAIN}, "&lt;x&gt;");
}

static void slots__serve_names_contact_and_nothing_else(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	struct machine m;
	static const char *const wanted[] = {"first", "city", "plan", "given", "list", "x y", "c"};
	assert_non_null(render(&m,
		"{{ first }}{{ contact.city }}{% assign own = plan %}{{ own }}{% for i in list %}{{ i }}{{ "
		"forloop.index }}{% endfor %}"
		"{{ contact['x y'] }}{% if c %}{% assign maybe = 1 %}{% else %}{% assign maybe = 2 %}{% "
		"endif %}{{ maybe }}"
		"{% render 'names', wanted: given %}{{ now | date: '%Y' }}{{ first }}",
		&o, NULL));
	assert_string_equal(m.r.text.p, "<first><city><plan><list>1<x y>1<given><given>2026<first>");
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		bool found = false;
		for (size_t k = 0; k < liquid_names_count(m.names); k++)
			found |= str_is(liquid_name(m.names, k), wanted[i]);
		assert_true(found);
	}
	assert_int_equal(liquid_names_count(m.names), 7);
	release(&m);
}

static void assigned_in_one_branch__still_comes_from_outside(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	check("{% if nothing %}{% assign city = 'K' %}{% endif %}{{ city }}", &o, "<city>");
	check("{% if city %}{% assign city = 'K' %}{% endif %}{{ city }}", &o, "K");
	check("{% for city in (1..2) %}{{ city }}{% endfor %}{{ city }}", &o, "12<city>");
	check("{% assign contact = 'own' %}{{ contact }}{{ contact.city }}", &o, "own");
}

static void attributes__are_text_that_compares_as_numbers(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	check("{% if empty1 %}T{% else %}F{% endif %}{% if nothing %}T{% else %}F{% endif %}{{ empty1 | "
	      "default: 'd' }}",
		&o, "FFd");
	check("{% if d > 100 %}1{% endif %}{% if d == 150 %}2{% endif %}{% if d < 200.5 and 151 > d %}3{% "
	      "endif %}{% if d == '150' %}4{% endif %}",
		&o, "1234");
	check("{% if x > 100 %}T{% else %}F{% endif %}{% case d %}{% when 150 %}W{% endcase %}{{ d | plus: 1 "
	      "}}",
		&o, "FW151");
	check("{% assign key = 'Plan' %}{{ contact[key] }}{% assign key = 'x' %}{{ contact[key] }}{{ x }}",
		&o, "gold<x><x>");
}

static void render__sees_attributes_but_no_assignments(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	check("{% assign given = 'mine' %}{% render 'names' %}|{% render 'names', given: 'yours' %}", &o,
		"<given><wanted>|yours<wanted>");
}

static void mistakes_with_filters__are_found_before_rendering(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% if false %}{{ x | nofilter }}{% endif %}", NULL, NULL, "1:22 Unknown filter 'nofilter'"},
		{"{{ x | captialize }}", NULL, NULL,
			"1:8 Unknown filter 'captialize'; did you mean 'capitalize'?"},
		{"{% if a %}{% elseif b %}{% endif %}", NULL, NULL,
			"1:11 Unknown tag 'elseif'; did you mean 'elsif'?"},
		{"{% abort %}", NULL, NULL, "1:1 Unknown tag 'abort'; did you mean 'abort_message'?"},
		{"{% if false %}{{ x | plus }}{% endif %}", NULL, NULL,
			"1:22 plus: wrong number of arguments (given 1, expected 2)"},
		{"{{ x | date }}", NULL, NULL,
			"1:8 date: wrong number of arguments (given 1, expected 2..3)"},
	};
	LIQUID_CHECK(cases, .plain = false);
}

static void include__is_not_in_the_profile(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	struct machine m;
	assert_null(render(&m, "{% include 'card' %}", &o, NULL));
	assert_string_equal(m.e.why, "Unknown tag 'include'");
	release(&m);
	assert_null(render(&m, "a\n {% render 'bad' %}", &o, NULL));
	assert_string_equal(m.e.file, "bad");
	assert_int_equal(m.e.line, 2);
	assert_int_equal(m.e.column, 4);
	release(&m);
}

static void abort_message__stops_with_its_reason(void **state)
{
	(void)state;
	struct liquid_options o = {0};
	check("a{% if d > 100 %}{% abort_message('too rich') %}{% endif %}b", &o, "ABORTED too rich");
	check("{% abort_message %}", &o, "ABORTED abort_message");
	check("{% for i in (1..2) %}{% capture c %}{% abort_message x %}{% endcapture %}{% endfor %}", &o,
		"ABORTED <x>");
	check("{% if d < 100 %}{% abort_message('x') %}{% endif %}b", &o, "b");
}

static void money_number_dates__follow_the_locale(void **state)
{
	(void)state;
	static const struct liquid_case english[] = {
		{"{{ 1234.5 | money: 'EUR' }} {{ '-1234567.891' | money: 'USD' }} {{ 1234.5 | money: 'JPY' "
		 "}} {{ 5 | money: 'CHF' }} {{ 'n/a' | money: 'EUR' }}",
			NULL, "\u20ac1,234.50 -$1,234,567.89 \u00a51,235 CHF\u00a05.00 n/a", NULL},
		{"{{ 1234.5 | money: 'EUR', 'de' }} {{ 1234.5 | money: 'EUR', 'fr-FR' }} {{ "
		 "98765432109876543210 | money: 'JPY', 'ja' }}",
			NULL,
			"1.234,50\u00a0\u20ac 1\u202f234,50\u00a0\u20ac \u00a598,765,432,109,876,543,210",
			NULL},
		{"{{ 1234567.125 | number }} {{ 1234567.125 | number: 2 }} {{ 1234567.125 | number: 0, 'de' "
		 "}} {{ -0.005 | number: 2 }} {{ 12 | number: 3 }}",
			NULL, "1,234,567.125 1,234,567.13 1.234.567 -0.01 12.000", NULL},
		{"{{ '2026-03-04' | date: '%A %d %B %Y', 'de' }} {{ '2026-03-04' | date: '%b %-d', 'fr' }} "
		 "{{ '2026-03-04' | date: '%B%-d\u65e5(%a)', 'ja' }} {{ '2026-03-04' | date: '%A', 'es_ES' "
		 "}}",
			NULL, "Mittwoch 04 M\u00e4rz 2026 mars 4 3\u67084\u65e5(\u6c34) mi\u00e9rcoles",
			NULL},
		{"{{ '2026\u5e743\u67084\u65e5' | date: '%F' }}", NULL, "2026-03-04", NULL},
		{"{{ 1 | money: 'XXX' }}", NULL, NULL, "1:8 money: unknown currency 'XXX'"},
		{"{{ 1 | money: 'EUR', 'tlh' }}", NULL, NULL, "1:8 money: unknown locale 'tlh'"},
		{"{{ 'a b&c' | url_param_escape }} {{ 'abc' | md5 }} {{ '' | sha256 }}", NULL,
			"a%20b%26c 900150983cd24fb0d6963f7d28e17f72 "
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			NULL},
		{"{{ 1.5 | divided_by: 0 }}", NULL, NULL, "1:10 divided by 0"},
	};
	LIQUID_CHECK(english, .plain = false);
	static const struct liquid_case german[] = {
		{"{{ 1234.5 | money }} {{ '2026-03-04' | date: '%B' }} {{ 0.5 | number }}", NULL,
			"1.234,50\u00a0\u20ac M\u00e4rz 0,5", NULL},
	};
	LIQUID_CHECK(german, .locale = "de");
	static const struct liquid_case plain[] = {
		{"{{ 1 | money }}", NULL, NULL, "1:8 Unknown filter 'money'"},
		{"{{ 1 | raw }}", NULL, NULL, "1:8 Unknown filter 'raw'"},
		{"{% abort_message %}", NULL, NULL, "1:1 Unknown tag 'abort_message'"},
		{"{{ '2026-03-04' | date: '%B', 'de' }}", NULL, NULL, "1:19 wrong number of arguments"},
	};
	LIQUID_CHECK(plain, .plain = true);
}

static void limits__make_hostile_templates_harmless(void **state)
{
	(void)state;
	static const struct liquid_case cases[] = {
		{"{% for i in (1..1000000000) %}{% for j in (1..1000000000) %}{% endfor %}{% endfor %}", NULL,
			NULL, "1:31 Memory limits exceeded: too many steps"},
		{"{{ (1..1000000000) | join }}", NULL, NULL,
			"1:22 Memory limits exceeded: too many elements"},
		{"{% assign x = 'aaaaaaaaaaaaaaaa' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% "
		 "endfor %}",
			NULL, NULL, "1:76 "},
		{"{% assign x = 'aaaaaaaaaaaaaaaa' | split: '' %}{% for i in (1..60) %}{% assign x = x | "
		 "concat: x %}{% endfor %}",
			NULL, NULL, "1:88 "},
		{"{% capture x %}{% for i in (1..400000) %}aaaaaaaaaaaaaaaaaaaa{% endfor %}{% endcapture %}",
			NULL, NULL, "1:42 Memory limits exceeded: too much output"},
		{"{% assign x = 9 %}{% for i in (1..60) %}{% assign x = x | times: x %}{% endfor %}", NULL,
			NULL, "1:59 number is too large"},
		{"{{ 9 | round: 999999999999 }}", NULL, "9", NULL},
		{"{{ 'x' | date: '%1000000000d' }}{{ 0 | date: '%99d' | size }}", NULL, "x99", NULL},
	};
	LIQUID_CHECK(cases, .plain = false);
	struct machine m;
	struct liquid_options o = {.max_steps = 50};
	assert_null(render(&m, "{% for i in (1..100) %}{{ i }}{% endfor %}", &o, NULL));
	release(&m);
}

/* ---- sinks ---- */

struct seen {
	struct buf text;
	size_t literals, values;
	const struct liquid *l;
};

static void see_literal(void *ctx, size_t i, struct str text)
{
	struct seen *s = ctx;
	(void)i;
	s->literals++;
	buf_putc(&s->text, '[');
	buf_str(&s->text, text);
	buf_putc(&s->text, ']');
}

static void see_value(void *ctx, struct str text)
{
	struct seen *s = ctx;
	assert_true(text.n != 0);
	s->values++;
	buf_str(&s->text, text);
}

static void sink__gets_literals_by_number_and_values_escaped(void **state)
{
	(void)state;
	struct seen s = {.text = BUF_INIT(1 << 16)};
	struct liquid_sink sink = {see_literal, see_value, &s};
	struct liquid_options o = {.escape = LIQUID_HTML};
	struct machine m;
	render(&m,
		"a{{ x }}b{{ empty1 }}{% capture c %}c{{ x | raw }}{% endcapture %}{{ c }}{% render 'card', "
		"a: 1 %}d",
		&o, &sink);
	assert_int_equal(m.e.code, 0);
	assert_string_equal(buf_cstr(&s.text), "[a]&lt;x&gt;[b]c<x>[<]&lt;card&gt;[|]1[|][>][d]");
	assert_int_equal(liquid_nliterals(m.l), 8);
	assert_true(str_is(liquid_literal(m.l, 0), "a"));
	assert_false(liquid_is_literal(m.l));
	release(&m);
	assert_non_null(render(&m, "only text{% comment %}x{% endcomment %}", &o, NULL));
	assert_true(liquid_is_literal(m.l));
	release(&m);
	buf_release(&s.text);
}

static void html__every_place_of_a_value_is_escaped(void **state)
{
	(void)state;
	static const struct {
		char c;
		const char *becomes;
	} marks[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"},
		{'\x01', "\x01"}, {'\xA6', "\xA6"}, {'#', "#"}, {'=', "="}, {'?', "?"}};
	struct err e = {0};
	struct liquid_names *names = liquid_names_new();
	struct liquid *l =
		liquid_compile(STR("{{ x }}"), &(struct liquid_options){.escape = LIQUID_HTML}, names, &e);
	struct arena a;
	assert_non_null(l);
	arena_init(&a, 4096, 1 << 20);
	/* One mark, and two at any distance. */
	for (size_t n = 1; n <= 20; n++)
		for (size_t at = 0; at < n * n; at++)
			for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
				char text[24], wanted[24 + 2 * 6] = "";
				memset(text, 'v', n);
				text[at / n] = text[at % n] = marks[k].c;
				for (size_t i = 0; i < n; i++)
					strcat(wanted, text[i] == 'v' ? "v" : marks[k].becomes);
				struct str slot = str_n(text, n);
				struct liquid_vars v = {.slots = &slot};
				struct liquid_result r;
				assert_int_equal(liquid_render(l, &v, NULL, &a, &r, &e), 0);
				assert_string_equal(r.text.p, wanted);
				arena_reset(&a);
			}
	arena_release(&a);
	liquid_free(&l);
	liquid_names_free(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html__values_are_escaped_once),
		cmocka_unit_test(text_and_header__escape_nothing_but_lines),
		cmocka_unit_test(slots__serve_names_contact_and_nothing_else),
		cmocka_unit_test(assigned_in_one_branch__still_comes_from_outside),
		cmocka_unit_test(attributes__are_text_that_compares_as_numbers),
		cmocka_unit_test(render__sees_attributes_but_no_assignments),
		cmocka_unit_test(mistakes_with_filters__are_found_before_rendering),
		cmocka_unit_test(include__is_not_in_the_profile),
		cmocka_unit_test(abort_message__stops_with_its_reason),
		cmocka_unit_test(money_number_dates__follow_the_locale),
		cmocka_unit_test(limits__make_hostile_templates_harmless),
		cmocka_unit_test(sink__gets_literals_by_number_and_values_escaped),
		cmocka_unit_test(html__every_place_of_a_value_is_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
