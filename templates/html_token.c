#include "templates/html_token.h"

#include "src/base/utf8.h"
#include "templates/html_entity.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The first byte of a character that hides Liquid (opaque.h), or of another that no attribute's name has. */
static bool is_hidden(char c)
{
	return (unsigned char)c >= 0xF3;
}

static const char *find(struct str s, size_t from, const char *what)
{
	return from <= s.n ? memmem(s.p + from, s.n - from, what, strlen(what)) : NULL;
}

static bool one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_is_nocase(name, *names))
			return true;
	return false;
}

bool html_is_void(struct str name)
{
	static const char *const voids[] = {"area", "base", "br", "col", "embed", "hr", "img", "input",
		"link", "meta", "param", "source", "track", "wbr", NULL};
	return one_of(name, voids);
}

size_t html_stay_open(
	struct str next, size_t n, struct str (*open)(const void *ctx, size_t i), const void *ctx)
{
	/* An `open` ends where one of `next` comes, unless that stands `within` another element inside it. */
	static const struct {
		const char *open[4], *next[45], *within[6];
	} rules[] = {
		{{"p"},
			{"address", "article", "aside", "blockquote", "center", "dd", "details", "dialog",
				"dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
				"form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "li",
				"main", "menu", "nav", "ol", "p", "pre", "search", "section", "summary",
				"table", "ul"},
			{"table", "button", "object", "template"}},
		{{"li"}, {"li"}, {"ul", "ol", "menu", "table", "template"}},
		{{"dt", "dd"}, {"dt", "dd"}, {"dl", "table", "template"}},
		{{"td", "th"}, {"td", "th", "tr", "tbody", "thead", "tfoot"}, {"table", "template"}},
		{{"tr"}, {"tr", "tbody", "thead", "tfoot"}, {"table", "template"}},
		{{"tbody", "thead", "tfoot"}, {"tbody", "thead", "tfoot"}, {"table", "template"}},
		{{"head"}, {"body"}, {NULL}},
	};
	size_t keep = n;
	for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
		if (!one_of(next, rules[r].next))
			continue;
		for (size_t i = n; i > 0 && !one_of(open(ctx, i - 1), rules[r].within); i--)
			if (one_of(open(ctx, i - 1), rules[r].open) && i <= keep)
				keep = i - 1;
	}
	return keep;
}

static bool is_raw(struct str name)
{
	static const char *const raws[] = {
		"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes"};
	for (size_t i = 0; i < sizeof raws / sizeof raws[0]; i++)
		if (str_is_nocase(name, raws[i]))
			return true;
	return false;
}

/* Behind the ">" that ends a tag; quoted values may hold one. */
static size_t tag_end(struct str s, size_t i)
{
	bool value = false;
	while (i < s.n) {
		char c = s.p[i];
		if (c == '>')
			return i + 1;
		if ((c == '"' || c == '\'') && value) {
			const char *q = memchr(s.p + i + 1, c, s.n - i - 1);
			if (q == NULL)
				return s.n;
			i = (size_t)(q - s.p);
		}
		if (!is_space(c))
			value = c == '=';
		i++;
	}
	return s.n;
}

static bool tag(struct html_lexer *x, struct html_token *t, size_t at)
{
	size_t name = at + (x->s.p[at + 1] == '/' ? 2 : 1), i = name;
	while (i < x->s.n && !is_space(x->s.p[i]) && x->s.p[i] != '/' && x->s.p[i] != '>')
		i++;
	t->kind = name == at + 1 ? HTML_OPEN : HTML_CLOSE;
	t->name = str_n(x->s.p + name, i - name);
	t->from = at;
	t->to = tag_end(x->s, i);
	size_t end = t->to > i && x->s.p[t->to - 1] == '>' ? t->to - 1 : t->to;
	t->attrs = str_n(x->s.p + i, end - i);
	x->at = t->to;
	if (t->kind == HTML_OPEN && is_raw(t->name))
		x->raw = t->name;
	return true;
}

static size_t behind(struct str s, size_t from, const char *what)
{
	const char *p = find(s, from, what);
	return p != NULL ? (size_t)(p - s.p) + strlen(what) : s.n;
}

/* Where the end tag of the raw element begins. */
static size_t raw_end(const struct html_lexer *x)
{
	for (size_t i = x->at; i + 2 + x->raw.n <= x->s.n; i++) {
		if (x->s.p[i] != '<' || x->s.p[i + 1] != '/')
			continue;
		size_t to = i + 2 + x->raw.n;
		if (strncasecmp(x->s.p + i + 2, x->raw.p, x->raw.n) == 0 &&
			(to == x->s.n || is_space(x->s.p[to]) || x->s.p[to] == '>' || x->s.p[to] == '/'))
			return i;
	}
	return x->s.n;
}

static bool text(struct html_lexer *x, struct html_token *t, size_t to, bool raw)
{
	*t = (struct html_token){.kind = HTML_TEXT, .from = x->at, .to = to, .raw = raw};
	x->at = to;
	return true;
}

/* Does markup begin at i? */
static bool is_markup(struct str s, size_t i)
{
	return s.p[i] == '<' && i + 1 < s.n &&
	       (is_alpha(s.p[i + 1]) || s.p[i + 1] == '!' || s.p[i + 1] == '?' ||
		       (s.p[i + 1] == '/' && i + 2 < s.n && is_alpha(s.p[i + 2])));
}

bool html_next(struct html_lexer *x, struct html_token *t)
{
	const struct str s = x->s;
	*t = (struct html_token){0};
	if (x->at >= s.n)
		return false;
	if (x->raw.n != 0) {
		size_t end = raw_end(x);
		x->raw.n = 0;
		if (end > x->at)
			return text(x, t, end, true);
	}
	size_t i = x->at;
	while (i < s.n && !is_markup(s, i))
		i++;
	if (i > x->at)
		return text(x, t, i, false);
	if (s.p[i + 1] != '!' && s.p[i + 1] != '?')
		return tag(x, t, i);
	t->kind = HTML_OTHER;
	t->from = i;
	t->to = str_starts(str_n(s.p + i, s.n - i), STR("<!--")) ? behind(s, i + 4, "-->")
								 : behind(s, i + 2, ">");
	x->at = t->to;
	return true;
}

/* --- attributes --- */

bool html_attr_next(struct str source, const struct html_token *t, size_t *at, struct html_attr *out)
{
	const struct str a = t->attrs;
	const size_t base = (size_t)(a.p - source.p);
	size_t i = *at;
	while (i < a.n && (is_space(a.p[i]) || a.p[i] == '/'))
		i++;
	if (i >= a.n)
		return false;
	*out = (struct html_attr){.from = base + i, .name = str_n(a.p + i, 0), .value = str_n(a.p + i, 0)};
	if (is_hidden(a.p[i])) {
		*at = i + 4 < a.n ? i + 4 : a.n;
		out->to = base + *at;
		return true;
	}
	size_t from = i++;
	while (i < a.n && !is_space(a.p[i]) && a.p[i] != '=' && a.p[i] != '/' && !is_hidden(a.p[i]))
		i++;
	out->name = str_n(a.p + from, i - from);
	size_t eq = i;
	while (eq < a.n && is_space(a.p[eq]))
		eq++;
	if (eq < a.n && a.p[eq] == '=') {
		i = eq + 1;
		while (i < a.n && is_space(a.p[i]))
			i++;
		out->has_value = true;
		if (i < a.n && (a.p[i] == '"' || a.p[i] == '\'')) {
			out->quote = a.p[i++];
			size_t n = str_find(str_n(a.p + i, a.n - i), out->quote);
			out->value = str_n(a.p + i, n);
			i += n + (i + n < a.n);
		} else {
			size_t v = i;
			while (i < a.n && !is_space(a.p[i]))
				i++;
			out->value = str_n(a.p + v, i - v);
		}
	}
	out->to = base + i;
	*at = i;
	return true;
}

bool html_attr_find(struct str source, const struct html_token *t, const char *name, struct html_attr *out)
{
	for (size_t at = 0; html_attr_next(source, t, &at, out);)
		if (str_is_nocase(out->name, name))
			return true;
	return false;
}

/* --- references --- */

/* What browsers make of the numbers that Windows-1252 uses (WHATWG 13.2.5.80). */
static uint32_t number_character(uint32_t c)
{
	static const uint16_t cp1252[32] = {
		0x20AC,
		0x81,
		0x201A,
		0x0192,
		0x201E,
		0x2026,
		0x2020,
		0x2021,
		0x02C6,
		0x2030,
		0x0160,
		0x2039,
		0x0152,
		0x8D,
		0x017D,
		0x8F,
		0x90,
		0x2018,
		0x2019,
		0x201C,
		0x201D,
		0x2022,
		0x2013,
		0x2014,
		0x02DC,
		0x2122,
		0x0161,
		0x203A,
		0x0153,
		0x9D,
		0x017E,
		0x0178,
	};
	if (c >= 0x80 && c <= 0x9f)
		return cp1252[c - 0x80];
	/* The private planes hide Liquid and cannot come from a reference. */
	if (c == 0 || c >= 0xF0000 || (c >= 0xD800 && c <= 0xDFFF))
		return 0xFFFD;
	return c;
}

static size_t numeric(struct str s, size_t i, uint32_t *c)
{
	size_t at = i + 2;
	bool hex = at < s.n && (s.p[at] | 0x20) == 'x';
	uint32_t v = 0;
	at += hex;
	size_t digits = at;
	for (; at < s.n; at++) {
		char d = s.p[at], low = (char)(d | 0x20);
		if (d >= '0' && d <= '9')
			v = v * (hex ? 16 : 10) + (uint32_t)(d - '0');
		else if (hex && low >= 'a' && low <= 'f')
			v = v * 16 + (uint32_t)(low - 'a' + 10);
		else
			break;
		if (v > 0x10FFFF)
			v = 0x110000;
	}
	if (at == digits)
		return 0;
	*c = number_character(v);
	return at - i + (at < s.n && s.p[at] == ';');
}

static bool is_alnum(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9');
}

/* A value that is hidden there may begin with anything. */
static bool goes_on(struct str s, size_t at)
{
	return at < s.n && (s.p[at] == '=' || is_alnum(s.p[at]) || is_hidden(s.p[at]));
}

size_t html_reference(struct str s, size_t i, enum html_place where, uint32_t *c)
{
	enum { LONGEST = 31 };
	if (s.p[i] != '&' || i + 2 >= s.n)
		return 0;
	if (s.p[i + 1] == '#')
		return numeric(s, i, c);
	size_t at = i + 1;
	while (at < s.n && at - i <= LONGEST && is_alnum(s.p[at]))
		at++;
	struct str name = str_n(s.p + i + 1, at - i - 1);
	/* One that is ended and unknown may be any of HTML's other two thousand. */
	if (at < s.n && s.p[at] == ';')
		return (*c = html_entity(name)) != 0 ? at + 1 - i : 0;
	size_t n = html_entity_begins(name, c);
	return n == 0 || (where == HTML_IN_ATTR && goes_on(s, i + 1 + n)) ? 0 : n + 1;
}

void html_decode(struct run *out, struct str s, enum html_place where)
{
	for (size_t i = 0; i < s.n;) {
		uint32_t c;
		size_t n = s.p[i] == '&' ? html_reference(s, i, where, &c) : 0;
		if (n == 0) {
			run_putc(out, s.p[i++]);
			continue;
		}
		char u[4];
		size_t bytes = utf8_put(u, c);
		run_add(out, u, bytes);
		i += n;
	}
}

void html_escape(struct run *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '&':
			run_puts(out, "&amp;");
			break;
		case '<':
			run_puts(out, "&lt;");
			break;
		case '>':
			run_puts(out, "&gt;");
			break;
		case '"':
			run_puts(out, "&quot;");
			break;
		default:
			run_putc(out, s.p[i]);
		}
	}
}
