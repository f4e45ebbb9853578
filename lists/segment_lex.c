#include "lists/segment_lex.h"

#include "src/base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Errors: the column, and the expression with a caret below it ---- */

#define SHOW_BEFORE 50 /* columns of the expression shown before the fault */
#define SHOW_AFTER  25

static void point_at(struct lexer *l, size_t offset)
{
	struct buf before = BUF_INIT(SEGMENT_TEXT_MAX * 6), after = BUF_INIT(SEGMENT_TEXT_MAX * 6);
	utf8_safe(&before, str_n(l->text.p, offset));
	utf8_safe(&after, str_n(l->text.p + offset, l->text.n - offset));
	struct str head = buf_get(&before), tail = utf8_cut(buf_get(&after), SHOW_AFTER);
	while (utf8_width(head) > SHOW_BEFORE) {
		size_t skip = 0;
		utf8_next(head, &skip);
		head = str_n(head.p + skip, head.n - skip);
	}
	err_remedy(l->err, "%.*s%.*s\n%*s^", STR_ARG(head), STR_ARG(tail), (int)utf8_width(head), "");
	buf_release(&before);
	buf_release(&after);
}

int lex_fail_at(struct lexer *l, size_t offset, const char *why, struct str detail, const char *hint)
{
	size_t column = 1;
	for (size_t at = 0; at < offset; column++)
		utf8_next(l->text, &at);
	struct buf shown = BUF_INIT(400);
	utf8_safe(&shown, str_n(detail.p, detail.n < 60 ? detail.n : 60));
	err_set(l->err, ERR_USAGE, "--where", "column %zu: %s%s%.*s%s%s%s", column, why,
		detail.n > 0 ? " \"" : "", (int)shown.len, buf_cstr(&shown), detail.n > 0 ? "\"" : "",
		hint[0] != '\0' ? "; " : "", hint);
	buf_release(&shown);
	if (l->err != NULL)
		point_at(l, offset);
	return -1;
}

int lex_fail(struct lexer *l, const char *why)
{
	return lex_fail_at(l, l->start, why, STR(""), "");
}

int lex_no_memory(struct lexer *l)
{
	return err_set(l->err, ERR_INTERNAL, "--where", "out of memory");
}

/* ---- Tokens ---- */

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80 ||
	       (!first && c >= '0' && c <= '9');
}

static enum token keyword(struct str s)
{
	static const struct {
		const char *word;
		enum token token;
	} words[] = {
		{"and", T_AND},
		{"or", T_OR},
		{"not", T_NOT},
		{"in", T_IN},
		{"like", T_LIKE},
		{"is", T_IS},
		{"empty", T_EMPTY},
	};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_is_nocase(s, words[i].word))
			return words[i].token;
	return T_NAME;
}

/* "…" or '…'; the quote itself is written twice. */
static int scan_text(struct lexer *l, char quote)
{
	char *out = arena_bytes(l->arena, l->text.n - l->at);
	size_t n = 0, i = l->at + 1;
	if (out == NULL)
		return lex_no_memory(l);
	for (; i < l->text.n; i++) {
		if (l->text.p[i] == quote) {
			if (i + 1 >= l->text.n || l->text.p[i + 1] != quote)
				break;
			i++;
		}
		out[n++] = l->text.p[i];
	}
	if (i >= l->text.n)
		return lex_fail_at(l, l->at, "this quote is not closed", STR(""), "");
	l->at = i + 1;
	l->value = str_n(out, n);
	l->token = T_TEXT;
	return 0;
}

static int scan_number(struct lexer *l)
{
	size_t i = l->at + (l->text.p[l->at] == '-' || l->text.p[l->at] == '+');
	size_t digits = i;
	while (i < l->text.n && ((l->text.p[i] >= '0' && l->text.p[i] <= '9') || l->text.p[i] == '.'))
		i++;
	char z[64];
	if (i - l->at >= sizeof z)
		return lex_fail_at(l, l->at, "this number is too long", STR(""), "");
	snprintf(z, sizeof z, "%.*s", (int)(i - l->at), l->text.p + l->at);
	char *end;
	l->number = strtod(z, &end);
	if (i == digits || *end != '\0' || !isfinite(l->number))
		return lex_fail_at(l, l->at, "this is not a number", STR(""), "");
	if (i < l->text.n && is_name_char(l->text.p[i], true))
		return lex_fail_at(
			l, l->at, "a number ends here in letters", STR(""), "text is written in quotes");
	l->at = i;
	l->token = T_NUMBER;
	return 0;
}

static int scan_bracket(struct lexer *l)
{
	size_t end = l->at + str_find(str_n(l->text.p + l->at, l->text.n - l->at), ']');
	if (end == l->text.n)
		return lex_fail_at(l, l->at, "this [ has no ]", STR(""), "");
	l->value = str_trim(str_n(l->text.p + l->at + 1, end - l->at - 1));
	if (l->value.n == 0)
		return lex_fail_at(l, l->at, "there is no name in these brackets", STR(""), "");
	l->at = end + 1;
	l->token = T_ANY;
	return 0;
}

static int scan_operator(struct lexer *l)
{
	static const struct {
		const char *text;
		enum token token;
	} ops[] = {
		{"!=", T_NE},
		{"<>", T_NE},
		{"<=", T_LE},
		{">=", T_GE},
		{"==", T_EQ},
		{"=", T_EQ},
		{"<", T_LT},
		{">", T_GT},
		{"(", T_OPEN},
		{")", T_CLOSE},
		{",", T_COMMA},
	};
	struct str rest = str_n(l->text.p + l->at, l->text.n - l->at);
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		if (str_starts(rest, str_from(ops[i].text))) {
			l->at += strlen(ops[i].text);
			l->token = ops[i].token;
			return 0;
		}
	}
	return lex_fail_at(l, l->at, "this character means nothing here:", str_n(rest.p, 1), "");
}

int lex_next(struct lexer *l)
{
	while (l->at < l->text.n && strchr(" \t\r\n", l->text.p[l->at]) != NULL && l->text.p[l->at] != '\0')
		l->at++;
	l->start = l->at;
	if (l->at == l->text.n) {
		l->token = T_END;
		return 0;
	}
	char c = l->text.p[l->at];
	if (c == '"' || c == '\'')
		return scan_text(l, c);
	if (c == '[')
		return scan_bracket(l);
	if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.')
		return scan_number(l);
	if (!is_name_char(c, true) && c != '$')
		return scan_operator(l);
	size_t i = l->at + 1;
	while (i < l->text.n && is_name_char(l->text.p[i], false))
		i++;
	l->value = str_n(l->text.p + l->at, i - l->at);
	l->token = c == '$' ? T_FIELD : keyword(l->value);
	l->at = i;
	return 0;
}
