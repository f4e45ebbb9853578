#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "templates/html_doc.h"
#include "templates/html_inline.h"
#include "templates/html_text.h"
#include "templates/html_token.h"
#include "templates/html_url.h"
#include "templates/markdown.h"

static struct arena arena;
static struct opaque opaque;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 64 << 20);
	opaque = (struct opaque){.a = &arena};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static struct str hide(const char *source)
{
	static struct opaque_file file = {.path = "test"};
	struct run r = RUN_INIT(&arena);
	struct err e = {0};
	file.text = str_from(source);
	if (opaque_hide(&opaque, file.text, &file, 1, &r, &e) != 0)
		fail_msg("%s: %s", source, e.why);
	return run_get(&r);
}

static struct str show(struct str hidden)
{
	struct opaque_map map;
	assert_true(opaque_show(&opaque, hidden, &map));
	return map.source;
}

static void assert_same(struct str got, const char *want)
{
	if (!str_is(got, want))
		fail_msg("got\n%.*s\nwanted\n%s", STR_ARG(got), want);
}

/* --- hiding Liquid --- */

static void opaque__any_liquid__comes_back_as_it_was(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"",
		"plain",
		"{{ a }}",
		"a{{- a -}}b",
		"{% if x %}y{% endif %}",
		"{ { } } {",
		"{% raw %}{{ {% x {% endraw %}z",
		"{% comment %}{% comment %}a{% endcomment %}{% endcomment %}b",
		"{{ 'a' | replace: \"<\", '>' }}",
		"\xF3\xB0\x80\x80 \xF4\x8F\xBF\xBD {{ x }}",
		"{% liquid\n assign a = 1\n echo a\n%}",
	};
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		struct str hidden = hide(sources[i]);
		assert_null(memmem(hidden.p, hidden.n, "{{", 2));
		assert_null(memmem(hidden.p, hidden.n, "{%", 2));
		assert_same(show(hidden), sources[i]);
	}
}

static void opaque__unclosed_tag__is_an_error_with_its_place(void **state)
{
	(void)state;
	struct opaque_file file = {.path = "a.md", .text = STR("x\n\xC3\xA9 {{ y")};
	struct run r = RUN_INIT(&arena);
	struct err e = {0};
	assert_int_equal(opaque_hide(&opaque, file.text, &file, 7, &r, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
	assert_int_equal(e.line, 8);
	assert_int_equal(e.column, 3);
	assert_string_equal(e.file, "a.md");
}

static void opaque__error_in_the_made_source__is_told_in_the_file(void **state)
{
	(void)state;
	struct opaque_file file = {.path = "a.md", .text = STR("# Hi\n\nDear {{ name | nope }}\n")};
	struct run hidden = RUN_INIT(&arena), html = RUN_INIT(&arena);
	struct opaque_map map;
	assert_int_equal(opaque_hide(&opaque, file.text, &file, 1, &hidden, NULL), 0);
	assert_int_equal(markdown_to_html(run_get(&hidden), &opaque, &html, NULL), 0);
	assert_true(opaque_show(&opaque, run_get(&html), &map));
	/* "<h1>Hi</h1>\n<p>Dear {{ name | nope }}</p>": the filter is in line 2, column 19. */
	struct err e = {.line = 2, .column = 19};
	opaque_locate(&map, &e);
	assert_int_equal(e.line, 3);
	assert_int_equal(e.column, 16);
	assert_string_equal(e.file, "a.md");
	assert_string_equal(e.remedy, "Dear {{ name | nope }}");
}

/* --- Markdown --- */

static void assert_markdown(const char *md, const char *want)
{
	struct run html = RUN_INIT(&arena);
	assert_int_equal(markdown_to_html(hide(md), &opaque, &html, NULL), 0);
	assert_same(show(run_get(&html)), want);
}

static void markdown__liquid__is_neither_escaped_nor_moved(void **state)
{
	(void)state;
	assert_markdown("Dear {{ name | default: \"friend\" }} & co",
		"<p>Dear {{ name | default: \"friend\" }} &amp; co</p>\n");
	assert_markdown(
		"[x]({{ i.url }}) <{{ a }}>", "<p><a href=\"{{ i.url }}\">x</a> &lt;{{ a }}&gt;</p>\n");
	assert_markdown("[x](https://a.example/{{ id }}?a=1&b={{ b }})",
		"<p><a href=\"https://a.example/{{ id }}?a=1&amp;b={{ b }}\">x</a></p>\n");
	assert_markdown("{% if a < 3 %}*few*{% else %}many{% endif %} books",
		"<p>{% if a < 3 %}<em>few</em>{% else %}many{% endif %} books</p>\n");
	assert_markdown("`{{ a }}`", "<p><code>{{ a }}</code></p>\n");
}

static void markdown__blocks_of_tags__stand_outside_paragraphs(void **state)
{
	(void)state;
	assert_markdown("{% if a %}one{% endif %}", "{% if a %}<p>one</p>{% endif %}\n");
	assert_markdown("{% if a %}\n\none\n\n{% else %}\n\ntwo\n\n{% endif %}\n",
		"{% if a %}<p>one</p>\n{% else %}<p>two</p>{% endif %}\n");
	assert_markdown("{% assign a = 1 %}\n\none", "{% assign a = 1 %}<p>one</p>\n");
	assert_markdown(
		"one\n{% if a %}\ntwo\n{% endif %}\nthree", "<p>one\n{% if a %}two{% endif %}\nthree</p>\n");
	assert_markdown("{% render 'footer' %}", "{% render 'footer' %}\n");
	assert_markdown("{% if a %}\n{% endif %}", "{% if a %}{% endif %}\n");
}

static void markdown__loops__make_items_and_rows(void **state)
{
	(void)state;
	assert_markdown("{% for b in books %}\n- {{ b }}\n{% endfor %}\n",
		"<ul>\n{% for b in books %}<li>{{ b }}</li>{% endfor %}\n</ul>\n");
	assert_markdown("|a|b|\n|---|---|\n{% for r in rows %}\n|{{ r.a }}|{{ r.b }}|\n{% endfor %}\n",
		"<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n{% for r in rows "
		"%}<tr>\n"
		"<td>{{ r.a }}</td>\n<td>{{ r.b }}</td>\n</tr>{% endfor %}\n</tbody>\n</table>\n");
	assert_markdown("{% for b in books %}- {{ b }}\n{% endfor %}\n",
		"<ul>\n{% for b in books %}<li>{{ b }}</li>{% endfor %}\n</ul>\n");
	assert_markdown("{% for b in books %}1. {{ b }}\n{% endfor %}\n",
		"<ol>\n{% for b in books %}<li>{{ b }}</li>{% endfor %}\n</ol>\n");
	assert_markdown("|a|b|\n|---|---|\n{% for r in rows %}|{{ r.a }}|{{ r.b }}|\n{% endfor %}",
		"<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n{% for r in rows "
		"%}<tr>\n"
		"<td>{{ r.a }}</td>\n<td>{{ r.b }}</td>\n</tr>{% endfor %}\n</tbody>\n</table>\n");
	assert_markdown("- a\n  {% if b %}- b{% endif %}\n",
		"<ul>\n<li>a{% if b %}<ul>\n<li>b</li>\n</ul>{% endif %}\n</li>\n</ul>\n");
	/* What holds more than items is repeated as a whole, and {% else %} may stand behind one. */
	assert_markdown("{% for b in books %}\n- {{ b }}\n\ntext\n{% endfor %}\n",
		"{% for b in books %}<ul>\n<li>{{ b }}</li>\n</ul>\n<p>text</p>{% endfor %}\n");
	assert_markdown("{% for b in books %}## {{ b }}\ntext\n{% endfor %}\nend\n",
		"{% for b in books %}<h2>{{ b }}</h2>\n<p>text</p>{% endfor %}\n<p>end</p>\n");
	assert_markdown("{% if a %}- one{% else %}\n\ntwo\n{% endif %}\n",
		"{% if a %}<ul>\n<li>one</li>\n</ul>{% else %}\n<p>two</p>{% endif %}\n");
	assert_markdown("{% for b in books %}\n- {{ b }}\n{% endfor %}\n- end\n",
		"<ul>\n{% for b in books %}<li>{{ b }}</li>{% endfor %}\n<li>end</li>\n</ul>\n");
	assert_markdown("{% if a %}## One{% endif %}", "{% if a %}<h2>One</h2>{% endif %}\n");
	assert_markdown("{% if a %}- one\n{% else %}- two\n{% endif %}",
		"<ul>\n{% if a %}<li>one</li>\n{% else %}<li>two</li>{% endif %}\n</ul>\n");
	assert_markdown(
		"{% if a %}24. December, {% endif %}- x", "<p>{% if a %}24. December, {% endif %}- x</p>\n");
	assert_markdown("{% if a %}-5 degrees{% endif %}", "{% if a %}<p>-5 degrees</p>{% endif %}\n");
	assert_markdown("{% if a %}\n- one\n- two\n{% endif %}\n",
		"{% if a %}<ul>\n<li>one</li>\n<li>two</li>\n</ul>{% endif %}\n");
}

static void markdown__code_and_html__keep_tags_in_place(void **state)
{
	(void)state;
	assert_markdown("```\n{% if a %}\nx\n{% endif %}\n```\n",
		"<pre><code>{% if a %}\nx\n{% endif %}\n</code></pre>\n");
	assert_markdown("<table>\n{% for r in rows %}\n<tr></tr>\n{% endfor %}\n</table>\n",
		"<table>\n{% for r in rows %}\n<tr></tr>\n{% endfor %}\n</table>\n");
}

/* --- plain text --- */

static void assert_plain(const char *html, const char *want)
{
	struct run text = RUN_INIT(&arena);
	assert_true(html_to_text(hide(html), &opaque, &text));
	assert_same(show(run_get(&text)), want);
}

static void text__structure__is_readable(void **state)
{
	(void)state;
	assert_plain("<h1>News</h1><p>One  two\n three</p><p>Four<br>five</p>",
		"News\n====\n\nOne two three\n\nFour\nfive\n");
	assert_plain("<ul><li>a<li>b<ul><li>c</li></ul></ul><ol><li>x</li><li>y</ol>z",
		"- a\n- b\n  - c\n\n1. x\n2. y\n\nz\n");
	assert_plain("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>",
		"A  B\n-  -\n1  2\n");
	assert_plain("<table><tr><th>Day<th>High "
		     "tide</tr><tr><td>Monday<td>05:12</tr><tr><td>\xE7\x81\xAB<td> <b>6</b>\n7</table>x",
		"Day     High tide\n------  ---------\nMonday  05:12\n\xE7\x81\xAB      6 7\n\nx\n");
	assert_plain("<table><tr><th>A</th><th>B</th></tr><tr><td>{{ a }}</td><td>2</td></tr></table>",
		"A | B\n{{ a }} | 2\n");
	assert_plain(
		"<table><tr><th></th><th>B</th></tr><tr><td>a</td><td></td></tr></table>", "   B\n-  -\na\n");
	assert_plain("<table><tr><td><p>one</p></td><td>two</td></tr></table>", "one\n\ntwo\n");
	assert_plain("<blockquote><p>said</p><p>more</p></blockquote>end", "> said\n>\n> more\n\nend\n");
	assert_plain("<p>She "
		     "wrote:</p><blockquote><p>yes</p></blockquote><ul><li>a</ul><blockquote>no</blockquote>",
		"She wrote:\n\n> yes\n\n- a\n\n> no\n");
	assert_plain("<ol start=\"5\"><li>e<li>f</ol><ol start=0><li>a</ol><ol start=x><li>b</ol>",
		"5. e\n6. f\n\n0. a\n\n1. b\n");
	assert_plain("a<blockquote>b</blockquote>c", "a\n\n> b\n\nc\n");
	assert_plain("<p>a</p><blockquote><p>b</p><blockquote><p>c</p></blockquote></blockquote><p>d</p>",
		"a\n\n> b\n>\n> > c\n\nd\n");
	assert_plain("<ol><li>one<br>two<li><p>three</p><p>four</p></ol>",
		"1. one\n   two\n2. three\n\n   four\n");
	assert_plain("a<hr>b", "a\n\n----------------------------------------\n\nb\n");
	assert_plain("<pre>a\n  b</pre>", "a\n  b\n");
	assert_plain(
		"<p>x&amp;y&nbsp;&euro;&#8364;&lt;&nosuch;</p>", "x&y \xE2\x82\xAC\xE2\x82\xAC<&nosuch;\n");
	/* By numbers: Windows' own, what is no character, and hex in both cases. */
	assert_plain("<p>&#128;&#x9c;|&#0;&#xD800;&#x110000;&#99999999999;|&#xe9;&#XE9;|&#;&#x;</p>",
		"\xE2\x82\xAC\xC5\x93|\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD|"
		"\xC3\xA9\xC3\xA9|&#;&#x;\n");
	/* The old ones need no semicolon, the longest is taken; in an attribute only where nothing goes on.
	 */
	assert_plain(
		"<p>1&nbsp2 &copy 2026&amp&LT;&LT&gt&reg. &notin &notin; &notit &eacutet&eacute &apos &euro "
		"&divideontimes; &nbsp{{ x }}&amp</p>",
		"1 2 \xC2\xA9 2026&<<>\xC2\xAE. \xC2\xACin \xE2\x88\x89 \xC2\xACit \xC3\xA9t\xC3\xA9 &apos "
		"&euro "
		"&divideontimes; {{ x }}&\n");
	assert_plain("<img alt='&copy2026 &copy=1 &copy {{ x }} &copy{{ x }} &copy'>",
		"[&copy2026 &copy=1 \xC2\xA9 {{ x }} &copy{{ x }} \xC2\xA9]\n");
	assert_plain("<a href='https://a.example/?a=1&copy=2&lt=3&amp;b&reg'>a</a>",
		"a [1]\n\n[1] https://a.example/?a=1&copy=2&lt=3&b\xC2\xAE\n");
	assert_plain("<p>a<img alt = \"b &quot;c&quot;\" src = x>d</p>", "a[b \"c\"]d\n");
}

static void text__what_is_not_displayed__is_left_out(void **state)
{
	(void)state;
	assert_plain("<head><title>t</title><style>p{}</style></head><body>a<script>x</script>"
		     "<div style='display:none'>p<div>q</div></div>b<!-- c --></body>",
		"ab\n");
	assert_plain("<head>{% assign a = 1 %}<title>{{ t }}</title></head>{{ a }}",
		"{% assign a = 1 %}{{ a }}\n");
	/* What has no end tag ends where HTML ends it. */
	assert_plain("<p style='display:none'>p <b>q<div>a</div>", "a\n");
	assert_plain("<td><p hidden>p <b>q</td>a", "a\n");
	assert_plain(
		"<p hidden>p</p>a<p hidden>p<p>b<p hidden>p<p hidden>q<ul><li>c</ul>", "a\n\nb\n\n- c\n");
	assert_plain("<ul><li hidden>p<ul><li>q<li>r</ul>s<li>a<li hidden>p</ul>b", "- a\n\nb\n");
	assert_plain("<table><tr hidden><td>p<table><tr><td>q<tr><td>r</table>s<tr><td>a<td "
		     "hidden>p<td>b</table>c",
		"a\nb\n\nc\n");
	assert_plain("<table><tr><td><div hidden>p<p>q</td></tr><tr hidden><td>r</table>a", "a\n");
	assert_plain("<dl><dt hidden>p<dd>a<dd hidden>q</dl>b", "a\n\nb\n");
	assert_plain("<div hidden>p</p><p>q<div>r</div><ul><li>s</ul><span>t</div>a", "a\n");
	assert_plain("<span hidden>p<span>q</span></b>r</span>a", "a\n");
	assert_plain("{% if x %}<p hidden>{{ y }}{% endif %}<h1>a</h1>", "{% if x %}{% endif %}a\n=\n");
	assert_plain("<head><meta name=a><title>t</title><body>a", "a\n");
	assert_plain("<img src=a alt='A picture'> <img src=b alt=''> <img src=c>x", "[A picture] x\n");
}

static void text__links__are_notes(void **state)
{
	(void)state;
	assert_plain(
		"<a href='https://a.example/?x=1&amp;y=2'>one</a> and <a href=https://b.example>two</a>, "
		"<a href='https://a.example/?x=1&amp;y=2'>three</a>",
		"one [1] and two [2], three [1]\n\n[1] https://a.example/?x=1&y=2\n[2] https://b.example\n");
	assert_plain("<a href='https://a.example'>https://a.example</a> <a "
		     "href='mailto:a@b.example'>a@b.example</a> <a href='#top'>up</a>",
		"https://a.example a@b.example up\n");
	assert_plain("{% for b in books %}<a href='{{ b.url }}'>{{ b.title }}</a>{% endfor %}",
		"{% for b in books %}{{ b.title }} <{{ b.url }}>{% endfor %}\n");
}

static void text__long_lines__are_wrapped(void **state)
{
	(void)state;
	assert_plain(
		"<p>aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn oooo pppp qqqq</p>",
		"aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn oooo\npppp qqqq\n");
}

static void text__liquid__keeps_its_blocks_and_blank_lines(void **state)
{
	(void)state;
	assert_plain("<p>a</p>{% if x %}<p>b</p>{% else %}<p>c</p>{% endif %}<p>d</p>",
		"a\n\n{% if x %}b\n\n{% else %}c\n\n{% endif %}d\n");
	assert_plain("<ul>{% for i in l %}<li>{{ i }}</li>{% endfor %}</ul><p>z</p>",
		"{% for i in l %}- {{ i }}\n{% endfor %}\nz\n");
	assert_plain("<ul>{% for i in l %}<li>{% case i %}{% when 1 %}one{% else %}two {% endcase %}</li>{% "
		     "endfor %}</ul>",
		"{% for i in l %}- {% case i %}{% when 1 %}one{% else %}two{% endcase %}\n{% endfor %}");
	assert_plain("{{ x | raw }} {{- y | markdown | raw -}}",
		"{{ x | raw  | strip_html }} {{- y | markdown | raw  | strip_html -}}\n");
}

/* --- CSS --- */

static void assert_inlined(const char *html, const char *want)
{
	struct run r = RUN_INIT(&arena);
	assert_true(html_inline_css(hide(html), &opaque, &r));
	assert_same(show(run_get(&r)), want);
}

static void css__selectors__apply_by_specificity_and_order(void **state)
{
	(void)state;
	assert_inlined("<style>p{color:red}</style><p>x</p>", "<style></style><p style=\"color:red\">x</p>");
	assert_inlined("<style>#a{color:1} .b{color:2} p{color:3;margin:0}</style><p id=a class='b c'>x",
		"<style></style><p style=\"margin:0;color:1\" id=a class='b c'>x");
	assert_inlined("<style>td p{a:1} td > p{b:2} div p{c:3} p.x{d:4}</style><td><p>x</p><b><p "
		       "class=x>y</p></b></td>",
		"<style></style><td><p style=\"a:1;b:2\">x</p><b><p style=\"a:1;d:4\" "
		"class=x>y</p></b></td>");
	assert_inlined("<style>p{color:red!important;margin:0}</style><p style='color:blue;margin:1px'>",
		"<style></style><p style=\"margin:1px;color:red\">");
	assert_inlined(
		"<style>p{background:red;background:linear-gradient(a,b);font-family:\"A B\",c}</style><p>",
		"<style></style><p style=\"background:red;background:linear-gradient(a,b);font-family:'A "
		"B',c\">");
	assert_inlined(
		"<style>h1,h2 , .x{a:1}/* c */</style><h2>", "<style>/* c */</style><h2 style=\"a:1\">");
}

static void css__what_cannot_be_inlined__stays_and_wins(void **state)
{
	(void)state;
	assert_inlined("<style>a{color:red}a:hover{color:blue}</style><a>",
		"<style>a:hover{color:blue !important}</style><a style=\"color:red\">");
	assert_inlined("<style>p{width:50%}@media (max-width:600px){p{width:100%;a:b "
		       "!important}}@font-face{font-family:x}</style><p>",
		"<style>@media (max-width:600px){p{width:100% !important;a:b "
		"!important}}@font-face{font-family:x}</style>"
		"<p style=\"width:50%\">");
	assert_inlined(
		"<style data-inline=false>p{a:1}</style><p>", "<style data-inline=false>p{a:1}</style><p>");
	assert_inlined("<style media=print>p{a:1}</style><p>", "<style media=print>p{a:1}</style><p>");
	assert_inlined("<style>p + p{a:1}</style><p>", "<style>p + p{a:1 !important}</style><p>");
}

/* A reset of everything is what each other rule, and a style attribute, is written to overrule. */
static void css__of_everything__stays_and_does_not_win(void **state)
{
	(void)state;
	assert_inlined("<style>*{padding:0}.c{padding:9px}</style><p class=c>",
		"<style>*{padding:0}</style><p style=\"padding:9px\" class=c>");
	assert_inlined("<style>* , *::before{margin:0}</style><p style='margin:9px'>",
		"<style>* , *::before{margin:0}</style><p style='margin:9px'>");
	assert_inlined("<style>@media print{*{a:1}}.c *{b:1}</style><p>",
		"<style>@media print{*{a:1 !important}}.c *{b:1 !important}</style><p>");
}

static void css__liquid__is_kept_and_makes_rules_stay(void **state)
{
	(void)state;
	assert_inlined("<style>p{color:{{ c }}}</style><p>", "<style></style><p style=\"color:{{ c }}\">");
	assert_inlined("<style>{% if x %}p{a:1}{% endif %}</style><p>",
		"<style>{% if x %}p{a:1}{% endif %}</style><p>");
	assert_inlined("<style>p{a:1}.b{c:2}</style><p class='{% if x %}b{% endif %}'>",
		"<style>p{a:1}.b{c:2}</style><p style=\"a:1\" class='{% if x %}b{% endif %}'>");
	assert_inlined("<style>p{a:1}</style><p {% if x %}style='b:2'{% endif %}>",
		"<style>p{a:1}</style><p {% if x %}style='b:2'{% endif %}>");
	assert_inlined("<style>p{a:1}</style>{% render 'x' %}<p>",
		"<style>p{a:1}</style>{% render 'x' %}<p style=\"a:1\">");
	assert_inlined(
		"<table>{% for x in xs %}<tr><td>{{ x }}</td></tr>{% endfor %}</table><style>td{a:1}</style>",
		"<table>{% for x in xs %}<tr><td style=\"a:1\">{{ x }}</td></tr>{% endfor "
		"%}</table><style></style>");
}

/* --- addresses --- */

static int to_upper_host(void *ctx, enum html_url what, struct str url, struct run *out, struct err *e)
{
	(void)ctx;
	(void)e;
	if (what == HTML_URL_LINK)
		html_url_add(url, STR("utm_source=news&utm_campaign=june"), out);
	else
		run_puts(out, "cid:1");
	return 0;
}

static void assert_urls(const char *html, const char *want)
{
	struct run r = RUN_INIT(&arena);
	assert_int_equal(html_map_urls(hide(html), to_upper_host, NULL, &r, NULL), 0);
	assert_same(show(run_get(&r)), want);
}

static void urls__parameters__are_added_once_before_the_fragment(void **state)
{
	(void)state;
	assert_urls("<a class=x href=https://a.example/#top>",
		"<a class=x href=\"https://a.example/?utm_source=news&amp;utm_campaign=june#top\">");
	assert_urls("<A HREF='https://a.example/?a=1&amp;utm_source=x'>",
		"<A HREF='https://a.example/?a=1&amp;utm_source=x&amp;utm_campaign=june'>");
	assert_urls("<a href=\"https://a.example/{{ id }}?b={{ b }}\">",
		"<a href=\"https://a.example/{{ id }}?b={{ b "
		"}}&amp;utm_source=news&amp;utm_campaign=june\">");
	assert_urls("<a href='mailto:a@b.example'><a href='{{ unsubscribe_url }}'><a href='#x'><a "
		    "data-rewrite=off href=https://a.example>",
		"<a href='mailto:a@b.example'><a href='{{ unsubscribe_url }}'><a href='#x'><a "
		"data-rewrite=off href=https://a.example>");
	assert_urls("<img src=a.png><td background='b.png'><script src=x></script>",
		"<img src=\"cid:1\"><td background='cid:1'><script src=x></script>");
}

static void urls__files__are_relative_paths_only(void **state)
{
	(void)state;
	static const char *const no[] = {"", "/a.png", "//h/a.png", "https://a.example/a.png", "cid:x",
		"data:image/png;base64,", "#a", "?a"};
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
		struct run r = RUN_INIT(&arena);
		assert_false(html_url_is_file(str_from(no[i]), &r));
	}
	struct run r = RUN_INIT(&arena);
	assert_true(html_url_is_file(STR("./img/a%20b.png"), &r));
	assert_same(run_get(&r), "img/a b.png");
	assert_false(html_url_is_file(hide("{{ x }}.png"), &r));
}

static void tokens__odd_markup__covers_the_source_without_gaps(void **state)
{
	(void)state;
	static const char *const odd[] = {
		"<",
		"<a",
		"<a href",
		"<a href='",
		"</",
		"<!--",
		"<!",
		"<style>",
		"<style>a</sty",
		"<script></script",
		"a<b<c>d",
		"<a b='>'>c",
		"<a/b=c>",
		"<a =x>",
		"<p \xF3\xB0\x80\x80>",
		"<title><b></title>",
		"<!--[if mso]><p><![endif]-->x",
		"</>",
		"<?php ?>",
		"<a ' \">",
	};
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		struct html_lexer x = {.s = str_from(odd[i])};
		struct html_token t;
		size_t at = 0;
		while (html_next(&x, &t)) {
			assert_int_equal(t.from, at);
			assert_true(t.to > t.from);
			at = t.to;
		}
		assert_int_equal(at, strlen(odd[i]));
	}
}

static void doc__places__are_found(void **state)
{
	(void)state;
	assert_int_equal(html_body_begin(STR("<html><body class=a>x</body></html>")), 20);
	assert_int_equal(html_body_begin(STR("x")), 0);
	assert_int_equal(html_body_end(STR("<body>x</body>")), 7);
	assert_int_equal(html_body_end(STR("<html>x</html>")), 7);
	assert_int_equal(html_body_end(STR("x")), 1);
	assert_true(html_is_document(STR("<!DOCTYPE html>x")));
	assert_false(html_is_document(STR("<p>x</p>")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(opaque__any_liquid__comes_back_as_it_was),
		TEST(opaque__unclosed_tag__is_an_error_with_its_place),
		TEST(opaque__error_in_the_made_source__is_told_in_the_file),
		TEST(markdown__liquid__is_neither_escaped_nor_moved),
		TEST(markdown__blocks_of_tags__stand_outside_paragraphs),
		TEST(markdown__loops__make_items_and_rows),
		TEST(markdown__code_and_html__keep_tags_in_place),
		TEST(text__structure__is_readable),
		TEST(text__what_is_not_displayed__is_left_out),
		TEST(text__links__are_notes),
		TEST(text__long_lines__are_wrapped),
		TEST(text__liquid__keeps_its_blocks_and_blank_lines),
		TEST(css__selectors__apply_by_specificity_and_order),
		TEST(css__what_cannot_be_inlined__stays_and_wins),
		TEST(css__of_everything__stays_and_does_not_win),
		TEST(css__liquid__is_kept_and_makes_rules_stay),
		TEST(urls__parameters__are_added_once_before_the_fragment),
		TEST(urls__files__are_relative_paths_only),
		TEST(tokens__odd_markup__covers_the_source_without_gaps),
		TEST(doc__places__are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
