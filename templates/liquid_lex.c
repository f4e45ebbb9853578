/* Two scanners: the document into text, values and tags; the inside of a tag into tokens. */
#include "templates/liquid_parser.h"

#include "src/base/utf8.h"

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* ---- inside a tag ---- */

static int token_set(struct lexer *x, enum token_kind kind, size_t from, size_t n)
{
	x->tok = (struct token){.kind = kind, .s = str_n(x->src.p + from, n), .off = from};
	x->at = from + n;
	return 0;
}

static int lex_string(struct parser *p, struct lexer *x, size_t at)
{
	const char *close = memchr(x->src.p + at + 1, x->src.p[at], x->src.n - at - 1);
	if (close == NULL)
		return lq_error(
			p, x->src.p + at, "Unexpected character %c: the string does not end", x->src.p[at]);
	size_t n = (size_t)(close - (x->src.p + at + 1));
	token_set(x, T_STRING, at + 1, n);
	x->tok.off = at;
	x->at = at + n + 2;
	return 0;
}

static size_t number_end(struct str s, size_t i)
{
	i += s.p[i] == '-';
	while (i < s.n && is_digit(s.p[i]))
		i++;
	if (i + 1 < s.n && s.p[i] == '.' && is_digit(s.p[i + 1]))
		for (i++; i < s.n && is_digit(s.p[i]);)
			i++;
	return i;
}

static size_t identifier_end(struct str s, size_t i)
{
	while (i < s.n && (is_word(s.p[i]) || s.p[i] == '-'))
		i++;
	return i < s.n && s.p[i] == '?' ? i + 1 : i;
}

static int lex_bad(struct parser *p, struct lexer *x, size_t i)
{
	size_t end = i;
	utf8_next(x->src, &end);
	return lq_error(p, x->src.p + i, "Unexpected character %.*s", (int)(end - i), x->src.p + i);
}

static int lex_operator(struct parser *p, struct lexer *x, size_t i)
{
	char c = x->src.p[i], d = i + 1 < x->src.n ? x->src.p[i + 1] : '\0';
	if (d == '=' || (c == '<' && d == '>'))
		return token_set(x, T_COMPARE, i, 2);
	if (c == '<' || c == '>')
		return token_set(x, T_COMPARE, i, 1);
	return lex_bad(p, x, i);
}

int lq_lex_next(struct parser *p, struct lexer *x)
{
	struct str s = x->src;
	bool after_dot = x->tok.kind == T_PUNCT && x->tok.s.p[0] == '.';
	x->prev_end = x->at;
	size_t i = x->at;
	while (i < s.n && is_space(s.p[i]))
		i++;
	if (i == s.n)
		return token_set(x, T_END, i, 0);
	char c = s.p[i];
	if (c == '"' || c == '\'')
		return lex_string(p, x, i);
	if (is_digit(c) || (c == '-' && i + 1 < s.n && is_digit(s.p[i + 1])))
		return token_set(x, T_NUMBER, i, number_end(s, i) - i);
	if (is_word(c)) {
		size_t n = identifier_end(s, i) - i;
		bool contains = !after_dot && str_is(str_n(s.p + i, n), "contains");
		return token_set(x, contains ? T_COMPARE : T_ID, i, n);
	}
	if (c == '=' || c == '!' || c == '<' || c == '>')
		return lex_operator(p, x, i);
	if (c == '.' && i + 1 < s.n && s.p[i + 1] == '.')
		return token_set(x, T_DOTDOT, i, 2);
	if (memchr("|.:,[]()?-", c, 10) != NULL)
		return token_set(x, T_PUNCT, i, 1);
	return lex_bad(p, x, i);
}

int lq_lex_start(struct parser *p, struct lexer *x, struct str src)
{
	*x = (struct lexer){.src = src};
	return lq_lex_next(p, x);
}

bool lq_lex_peek_colon(const struct lexer *x)
{
	size_t i = x->at;
	while (i < x->src.n && is_space(x->src.p[i]))
		i++;
	return i < x->src.n && x->src.p[i] == ':';
}

bool lq_is_punct(const struct lexer *x, char c)
{
	return x->tok.kind == T_PUNCT && x->tok.s.p[0] == c;
}

int lq_expect_end(struct parser *p, struct lexer *x)
{
	if (x->tok.kind == T_END)
		return 0;
	return lq_error(p, x->src.p + x->tok.off, "Unexpected %.*s", STR_ARG(x->tok.s));
}

/* ---- the document ---- */

static void take_name(struct piece *out, struct str inside)
{
	size_t i = 0;
	while (i < inside.n && is_space(inside.p[i]))
		i++;
	size_t from = i;
	if (i < inside.n && inside.p[i] == '#')
		i++;
	else
		while (i < inside.n && is_word(inside.p[i]))
			i++;
	out->name = str_n(inside.p + from, i - from);
	while (i < inside.n && is_space(inside.p[i]))
		i++;
	out->markup = str_n(inside.p + i, inside.n - i);
}

static int read_line_tag(struct parser *p, struct reader *r, struct piece *out)
{
	while (r->at < r->src.n) {
		struct str rest = str_n(r->src.p + r->at, r->src.n - r->at);
		struct str line = str_n(rest.p, str_find(rest, '\n'));
		r->at += line.n < rest.n ? line.n + 1 : line.n;
		if (str_trim(line).n == 0)
			continue;
		struct str t = str_trim(line);
		*out = (struct piece){.kind = P_TAG, .at = t.p};
		take_name(out, t);
		if (out->name.n == 0)
			return lq_error(p, t.p, "Unknown tag '%.*s'", STR_ARG(t));
		return 0;
	}
	*out = (struct piece){.kind = P_EOF, .at = r->src.p + r->src.n};
	return 0;
}

static struct str trim_text(struct str s, bool left, bool right)
{
	while (left && s.n > 0 && (is_space(s.p[0]) || s.p[0] == '\0')) {
		s.p++;
		s.n--;
	}
	while (right && s.n > 0 && (is_space(s.p[s.n - 1]) || s.p[s.n - 1] == '\0'))
		s.n--;
	return s;
}

/* Offset of the next "{{" or "{%", or the end. */
static size_t next_mark(struct str s, size_t i)
{
	while (i < s.n) {
		const char *q = memchr(s.p + i, '{', s.n - i);
		if (q == NULL)
			break;
		i = (size_t)(q - s.p);
		if (i + 1 < s.n && (s.p[i + 1] == '{' || s.p[i + 1] == '%'))
			return i;
		i++;
	}
	return s.n;
}

static int read_text(struct reader *r, size_t end, struct piece *out)
{
	bool right = end + 2 < r->src.n && r->src.p[end + 2] == '-';
	*out = (struct piece){.kind = P_TEXT, .at = r->src.p + r->at};
	out->text = trim_text(str_n(r->src.p + r->at, end - r->at), r->trim, right);
	r->trim = false;
	r->at = end;
	return 0;
}

/* Offset behind the piece's closing mark; 0: not closed. A value ends at its first '}', which must be
 * doubled. */
static size_t piece_end(struct str s, size_t i)
{
	bool tag = s.p[i + 1] == '%';
	for (size_t k = i + 2; k + 1 < s.n; k++) {
		if (tag && s.p[k] == '%' && s.p[k + 1] == '}')
			return k + 2;
		if (!tag && s.p[k] == '}')
			return s.p[k + 1] == '}' ? k + 2 : 0;
	}
	return 0;
}

int lq_read_piece(struct parser *p, struct reader *r, struct piece *out)
{
	if (r->lines)
		return read_line_tag(p, r, out);
	if (r->at >= r->src.n) {
		*out = (struct piece){.kind = P_EOF, .at = r->src.p + r->src.n};
		return 0;
	}
	size_t mark = next_mark(r->src, r->at);
	if (mark > r->at)
		return read_text(r, mark, out);
	const char *at = r->src.p + mark;
	size_t end = piece_end(r->src, mark);
	if (end == 0)
		return lq_error(p, at, "%s was not properly terminated with %s",
			at[1] == '%' ? "Tag '{%'" : "Variable '{{'", at[1] == '%' ? "%}" : "}}");
	struct str inside = str_n(at + 2, end - mark - 4);
	*out = (struct piece){.kind = at[1] == '%' ? P_TAG : P_VALUE, .at = at};
	if (inside.n > 0 && inside.p[0] == '-') {
		inside.p++;
		inside.n--;
	}
	r->trim = false;
	if (at[1] == '%' || inside.n > 0)
		r->trim = r->src.p[end - 3] == '-';
	if (inside.n > 0 && inside.p[inside.n - 1] == '-')
		inside.n--;
	r->at = end;
	out->markup = inside;
	if (out->kind == P_TAG) {
		take_name(out, inside);
		if (out->name.n == 0)
			return lq_error(p, at, "Tag '%.*s' was not properly terminated with %%}",
				(int)(end - mark < 80 ? end - mark : 80), at);
	}
	return 0;
}

/* At "{%": the tag's name, and the offset behind that. */
static size_t tag_name_at(struct str s, size_t i, struct str *name)
{
	size_t k = i + 2;
	if (k < s.n && s.p[k] == '-')
		k++;
	while (k < s.n && is_space(s.p[k]))
		k++;
	size_t from = k;
	while (k < s.n && is_word(s.p[k]))
		k++;
	*name = str_n(s.p + from, k - from);
	return k;
}

/* The offset behind the tag's end, looked for from `k`; 0: it has none. */
static size_t tag_end_from(struct str s, size_t k, bool *trim)
{
	for (; k + 1 < s.n; k++)
		if (s.p[k] == '%' && s.p[k + 1] == '}') {
			*trim = s.p[k - 1] == '-';
			return k + 2;
		}
	return 0;
}

static bool is_end_of(struct str found, const char *name)
{
	return found.n == strlen(name) + 3 && str_starts(found, STR("end")) &&
	       str_ends(found, str_from(name));
}

int lq_read_raw(struct parser *p, struct reader *r, const char *name, struct str *body)
{
	const char *at = r->src.p + r->at;
	for (size_t i = r->at; !r->lines && i + 1 < r->src.n; i++) {
		struct str found;
		if (r->src.p[i] != '{' || r->src.p[i + 1] != '%')
			continue;
		size_t k = tag_name_at(r->src, i, &found);
		if (!is_end_of(found, name))
			continue;
		*body = str_n(r->src.p + r->at, i - r->at);
		r->at = tag_end_from(r->src, k, &r->trim);
		if (r->at != 0)
			return 0;
		break;
	}
	return lq_error(p, at, "'%s' tag was never closed", name);
}

/* Comments nest, and a raw block in one hides its content. Everything else in them is only skipped. */
int lq_skip_comment(struct parser *p, struct reader *r)
{
	const char *at = r->src.p + r->at;
	size_t depth = 1;
	struct piece x;
	while (r->lines) {
		if (read_line_tag(NULL, r, &x) != 0)
			continue;
		if (x.kind == P_EOF)
			break;
		if (str_is(x.name, "comment"))
			depth++;
		else if (str_is(x.name, "endcomment") && --depth == 0)
			return 0;
	}
	for (size_t i = r->at; !r->lines && i + 1 < r->src.n; i++) {
		struct str name, body;
		bool trim;
		if (r->src.p[i] != '{' || r->src.p[i + 1] != '%')
			continue;
		size_t end = tag_end_from(r->src, tag_name_at(r->src, i, &name), &trim);
		if (end == 0)
			break;
		r->at = end;
		r->trim = trim;
		if (str_is(name, "comment"))
			depth++;
		else if (str_is(name, "endcomment") && --depth == 0)
			return 0;
		else if (str_is(name, "raw") && lq_read_raw(p, r, "raw", &body) != 0)
			return -1;
		i = r->at - 1;
	}
	return lq_error(p, at, "'comment' tag was never closed");
}
