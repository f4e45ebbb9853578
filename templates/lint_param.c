/* Content-Type and Content-Disposition (RFC 2045 5.1, 2183, 2231). */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>
#include <stdlib.h>

static bool token_char(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static size_t token_end(struct str s, size_t i)
{
	while (i < s.n && token_char(s.p[i]))
		i++;
	return i;
}

/* Over blanks and comments. */
static size_t skip(struct str s, size_t i)
{
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '(')) {
		if (s.p[i] == '(')
			while (i < s.n && s.p[i] != ')')
				i++;
		i += i < s.n;
	}
	return i;
}

static struct str lower(struct linter *l, struct str s)
{
	char *p = arena_bytes(l->a, s.n + 1);
	if (p == NULL)
		return str_n("", 0);
	for (size_t i = 0; i < s.n; i++)
		p[i] = (char)tolower((unsigned char)s.p[i]);
	return str_n(p, s.n);
}

/* "main/sub", or a single word for a disposition. */
static size_t read_type(struct linter *l, struct str s, bool disposition, struct lint_type *out)
{
	size_t from = skip(s, 0), at = token_end(s, from);
	if (!disposition) {
		size_t main = at;
		if (at < s.n && s.p[at] == '/')
			at = token_end(s, at + 1);
		out->bad = main == from || at <= main + 1;
	} else {
		out->bad = at == from;
	}
	out->type = lower(l, str_n(s.p + from, at - from));
	return skip(s, at);
}

/* A quoted string from its quote on. Returns the place behind it; 0: it does not end. */
static size_t read_quoted(struct linter *l, struct str s, size_t i, struct str *out)
{
	char *p = arena_bytes(l->a, s.n - i + 1);
	size_t n = 0;
	for (i++; i < s.n && p != NULL; i++) {
		if (s.p[i] == '"') {
			*out = str_n(p, n);
			return i + 1;
		}
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		p[n++] = s.p[i];
	}
	return 0;
}

/* One "; name=value". Returns the place behind it; 0: it is none. */
static size_t read_param(struct linter *l, struct str s, size_t i, struct lint_param *p)
{
	size_t from = skip(s, i), at = token_end(s, from);
	if (at == from)
		return 0;
	p->name = lower(l, str_n(s.p + from, at - from));
	at = skip(s, at);
	if (at >= s.n || s.p[at] != '=')
		return 0;
	at = skip(s, at + 1);
	p->quoted = at < s.n && s.p[at] == '"';
	if (p->quoted)
		return read_quoted(l, s, at, &p->value);
	from = at;
	/* Raw bytes are complained about elsewhere; here they belong to the value. */
	while (at < s.n && (token_char(s.p[at]) || (unsigned char)s.p[at] >= 0x80))
		at++;
	p->value = str_n(s.p + from, at - from);
	return at == from ? 0 : at;
}

/* charset'language'%41%42 */
static bool extended_ok(struct linter *l, struct str v, bool first)
{
	struct run out = RUN_INIT(l->a);
	bool known = true;
	struct str charset = {0};
	if (first) {
		size_t a = str_find(v, '\''),
		       b = a < v.n ? a + 1 + str_find(str_n(v.p + a + 1, v.n - a - 1), '\'') : v.n;
		if (b >= v.n)
			return false;
		charset = str_n(v.p, a);
		v = str_n(v.p + b + 1, v.n - b - 1);
	}
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '%' && (i + 2 >= v.n || !isxdigit((unsigned char)v.p[i + 1]) ||
					     !isxdigit((unsigned char)v.p[i + 2])))
			return false;
		unsigned c = (unsigned char)v.p[i];
		if (c == '%') {
			char z[3] = {v.p[i + 1], v.p[i + 2], 0};
			c = (unsigned)strtoul(z, NULL, 16);
			i += 2;
		} else if (!token_char((char)c) || c == '*' || c == '\'') {
			return false;
		}
		run_putc(&out, (char)c);
	}
	/* A character may be split between continuations: only what is whole is looked at. */
	return charset.n == 0 || utf8_ascii(run_get(&out)) ||
	       (lint_charset(l, run_get(&out), charset, &known), known);
}

static void file_name(struct linter *l, const struct lint_header *h, const struct lint_param *p)
{
	struct str v = p->value;
	bool raw = false, odd = false;
	for (size_t i = 0; i < v.n; i++) {
		raw = raw || (unsigned char)v.p[i] >= 0x80;
		odd = odd || (unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f || v.p[i] == '/' || v.p[i] == '\\';
	}
	if (raw)
		lint_add(l, L_FILENAME_8BIT, h->name, h->name.p,
			"the file name holds bytes that are not ASCII: \"%s\"", lint_show(l, v));
	if (v.n > 4 && v.p[0] == '=' && v.p[1] == '?' && str_ends(v, STR("?=")))
		lint_add(l, L_FILENAME_WORD, h->name, h->name.p,
			"the file name is encoded as header text is: %s", lint_show(l, v));
	else if (odd && str_find(p->name, '*') == p->name.n)
		lint_add(l, L_FILENAME_CHAR, h->name, h->name.p, "a file name with odd characters: \"%s\"",
			lint_show(l, v));
}

static void one_param(struct linter *l, const struct lint_header *h, const struct lint_param *p)
{
	size_t star = str_find(p->name, '*');
	struct str base = str_n(p->name.p, star);
	bool extended = p->name.n > 1 && p->name.p[p->name.n - 1] == '*';
	if (str_is(base, "filename") || str_is(base, "name")) {
		file_name(l, h, p);
	} else {
		for (size_t i = 0; i < p->value.n; i++)
			if ((unsigned char)p->value.p[i] >= 0x80) {
				lint_add(l, L_HEADER_8BIT, h->name, h->name.p,
					"a parameter holds bytes that are not ASCII: \"%s\"",
					lint_show(l, p->value));
				break;
			}
	}
	bool first = star + 1 == p->name.n ||
		     (star + 2 < p->name.n && p->name.p[star + 1] == '0' && p->name.p[star + 2] == '*');
	if (extended && (p->quoted || !extended_ok(l, p->value, first)))
		lint_add(l, L_PARAMETER, h->name, h->name.p, "%s is not written as RFC 2231 has it: %s",
			lint_show(l, p->name), lint_show(l, p->value));
}

void lint_type(struct linter *l, const struct lint_header *h, struct lint_type *out)
{
	bool disposition = str_is_nocase(h->name, "content-disposition");
	struct str s = lint_unfold(l, h->value);
	*out = (struct lint_type){0};
	size_t at = read_type(l, s, disposition, out);
	if (out->bad)
		lint_add(l, L_TYPE_FORM, h->name, h->name.p, "this is no type: \"%s\"", lint_show(l, s));
	while (at < s.n && out->n < LINT_PARAMS) {
		struct lint_param p = {0};
		if (s.p[at] == ';')
			at = skip(s, at + 1);
		else {
			lint_add(l, L_PARAMETER, h->name, h->name.p, "a ; is missing before \"%s\"",
				lint_show(l, str_n(s.p + at, s.n - at)));
			return;
		}
		if (at >= s.n)
			return;
		size_t end = read_param(l, s, at, &p);
		if (end == 0) {
			lint_add(l, L_PARAMETER, h->name, h->name.p, "this is no parameter: \"%s\"",
				lint_show(l, str_n(s.p + at, s.n - at)));
			return;
		}
		if (lint_param(out, arena_str(l->a, p.name).p) != NULL)
			lint_add(l, L_PARAMETER, h->name, h->name.p, "%s is given twice",
				lint_show(l, p.name));
		out->params[out->n++] = p;
		one_param(l, h, &p);
		at = skip(s, end);
	}
}

const struct lint_param *lint_param(const struct lint_type *t, const char *name)
{
	for (size_t i = 0; name != NULL && i < t->n; i++)
		if (str_is(t->params[i].name, name))
			return &t->params[i];
	return NULL;
}
