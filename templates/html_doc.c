#include "templates/html_doc.h"

#include "templates/html_token.h"

static bool is(const struct html_token *t, enum html_kind kind, const char *name)
{
	return t->kind == kind && str_is_nocase(t->name, name);
}

bool html_is_document(struct str html)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (is(&t, HTML_OPEN, "html") || is(&t, HTML_OPEN, "body"))
			return true;
		if (t.kind == HTML_OTHER && t.to - t.from >= 9 &&
			strncasecmp(html.p + t.from, "<!doctype", 9) == 0)
			return true;
	}
	return false;
}

size_t html_body_begin(struct str html)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	size_t head = 0;
	while (html_next(&x, &t)) {
		if (is(&t, HTML_OPEN, "body"))
			return t.to;
		if (is(&t, HTML_CLOSE, "head") || (is(&t, HTML_OPEN, "html") && head == 0))
			head = t.to;
	}
	return head;
}

size_t html_body_end(struct str html)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	size_t body = html.n, end = html.n;
	while (html_next(&x, &t)) {
		if (is(&t, HTML_CLOSE, "body"))
			body = t.from;
		if (is(&t, HTML_CLOSE, "html"))
			end = t.from;
	}
	return body < html.n ? body : end;
}

void html_preheader(struct run *out, struct str text)
{
	run_puts(out, "<div style=\"display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;"
		      "opacity:0;overflow:hidden;mso-hide:all\">");
	run_str(out, text);
	/* Pairs of a grapheme joiner and a blank, which clients do not collapse. */
	for (int i = 0; i < 40; i++)
		run_puts(out, i % 10 == 9 ? "&#847;&zwnj;&nbsp;\n" : "&#847;&zwnj;&nbsp;");
	run_puts(out, "</div>\n");
}

static bool declares_charset(struct str html, const struct html_token *t)
{
	struct html_attr a;
	if (!is(t, HTML_OPEN, "meta"))
		return false;
	return html_attr_find(html, t, "charset", &a) ||
	       (html_attr_find(html, t, "http-equiv", &a) &&
		       str_is_nocase(str_trim(a.value), "content-type"));
}

void html_drop_charset(struct run *out, struct str html)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (!declares_charset(html, &t))
			run_add(out, html.p + t.from, t.to - t.from);
		else if (t.to < html.n && html.p[t.to] == '\n')
			x.at++;
	}
}
