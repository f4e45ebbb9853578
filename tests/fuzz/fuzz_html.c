/* The tools that work on HTML and Markdown around hidden Liquid. */
#include "templates/html_doc.h"
#include "templates/html_inline.h"
#include "templates/html_text.h"
#include "templates/html_token.h"
#include "templates/html_url.h"
#include "templates/markdown.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *ctx, enum html_url what, struct str url, struct run *out, struct err *e)
{
	struct run other = RUN_INIT(out->a);
	(void)ctx;
	(void)e;
	html_url_is_file(url, &other);
	html_url_add(url, STR("a=b&c=d"), &other);
	return what == HTML_URL_LINK && url.n == 1 ? -1 : 0;
}

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "fuzz_html: %s\n", what);
	abort();
}

/* Tokens follow each other without a gap. */
static void check_tokens(struct str s)
{
	struct html_lexer x = {.s = s};
	struct html_token t;
	size_t at = 0;
	while (html_next(&x, &t)) {
		must(t.from == at && t.to > t.from && t.to <= s.n, "a gap between tokens");
		at = t.to;
	}
	must(at == s.n, "tokens do not cover the source");
}

static bool has_style(struct str s)
{
	for (size_t i = 0; i + 5 <= s.n; i++)
		if (strncasecmp(s.p + i, "style", 5) == 0)
			return true;
	return false;
}

static void html_tools(struct str hidden, struct opaque *o)
{
	struct run text = RUN_INIT(o->a), inlined = RUN_INIT(o->a), mapped = RUN_INIT(o->a);
	struct opaque_map map;
	check_tokens(hidden);
	must(html_body_begin(hidden) <= hidden.n && html_body_end(hidden) <= hidden.n, "a place outside");
	must(html_to_text(hidden, o, &text), "text");
	must(html_inline_css(hidden, o, &inlined), "CSS");
	if (!has_style(hidden))
		must(str_eq(run_get(&inlined), hidden), "CSS changed a source without any");
	if (html_map_urls(hidden, keep, NULL, &mapped, NULL) == 0)
		must(str_eq(run_get(&mapped), hidden), "the source is not kept");
	must(opaque_show(o, run_get(&text), &map) && opaque_show(o, run_get(&inlined), &map), "show");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct err e = {0};
	if (size > 20000)
		return 0;
	arena_init(&a, 16 << 10, 512 << 20);
	struct opaque o = {.a = &a};
	struct opaque_file file = {.path = "fuzz", .text = str_n(size != 0 ? (const char *)data : "", size)};
	struct run hidden = RUN_INIT(&a), html = RUN_INIT(&a);
	struct opaque_map map;
	if (opaque_hide(&o, file.text, &file, 1, &hidden, &e) == 0) {
		must(opaque_show(&o, run_get(&hidden), &map) && str_eq(map.source, file.text),
			"Liquid did not come back");
		html_tools(run_get(&hidden), &o);
		must(markdown_to_html(run_get(&hidden), &o, &html, &e) == 0, "Markdown");
		html_tools(run_get(&html), &o);
		struct err at = {.line = 1 + (long)(size % 7), .column = 1 + (long)(size % 11)};
		opaque_locate(&map, &at);
	} else {
		must(e.code != 0, "no reason");
	}
	arena_release(&a);
	return 0;
}
