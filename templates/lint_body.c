/* Transfer encodings (RFC 2045 6) and charsets. */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENCODED_LINE_MAX = 76 };

enum lint_cte lint_cte(struct str v)
{
	static const char *const names[] = {"7bit", "8bit", "binary", "quoted-printable", "base64"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_is_nocase(v, names[i]))
			return (enum lint_cte)i;
	return CTE_OTHER;
}

/* ---- Lines ---- */

struct lines {
	struct str s;
	size_t at;
};

/* The next line without its end; *soft: false for the last one, if no line end follows. */
static bool next_line(struct lines *x, struct str *line, bool *ended)
{
	if (x->at >= x->s.n)
		return false;
	size_t n = str_find(str_n(x->s.p + x->at, x->s.n - x->at), '\n');
	*ended = x->at + n < x->s.n;
	*line = str_n(x->s.p + x->at, *ended && n > 0 && x->s.p[x->at + n - 1] == '\r' ? n - 1 : n);
	x->at += n + *ended;
	return true;
}

static struct str plain(struct linter *l, struct str s, enum lint_cte cte, struct str place)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x80)
			continue;
		if (cte == CTE_7BIT)
			lint_add(l, L_CTE_7BIT, place, s.p + i,
				"the part is called 7bit and holds other bytes");
		else
			lint_add(l, L_CTE_8BIT, place, s.p + i, "the part is sent as %s",
				cte == CTE_8BIT ? "8bit" : "binary");
		break;
	}
	return s;
}

/* ---- Quoted-printable ---- */

/* What stands at the = of line.p[i]; returns how much of the line it takes. */
static size_t qp_escape(struct linter *l, struct str line, size_t i, struct str place, struct run *out)
{
	if (i + 2 < line.n && str_hex_digit(line.p[i + 1]) >= 0 && str_hex_digit(line.p[i + 2]) >= 0) {
		if (islower((unsigned char)line.p[i + 1]) || islower((unsigned char)line.p[i + 2]))
			lint_add(l, L_QP_CASE, place, line.p + i, "an escape is written in lower case: %.3s",
				line.p + i);
		run_putc(out, (char)(str_hex_digit(line.p[i + 1]) << 4 | str_hex_digit(line.p[i + 2])));
		return 3;
	}
	struct str shown = str_n(line.p + i, line.n - i < 3 ? line.n - i : 3);
	lint_add(l, L_QP_ESCAPE, place, line.p + i, "this is no escape: \"%s\"", lint_show(l, shown));
	run_putc(out, '=');
	return 1;
}

static void qp_line(struct linter *l, struct str line, bool ended, struct str place, struct run *out)
{
	bool soft = false;
	if (line.n > ENCODED_LINE_MAX)
		lint_add(l, L_QP_LINE, place, line.p, "a line has %zu characters, over the limit of 76",
			line.n);
	if (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		lint_add(l, L_QP_BLANK, place, line.p, "a line ends in a blank");
	struct str t = line;
	while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t'))
		t.n--;
	if (t.n > 0 && t.p[t.n - 1] == '=') {
		soft = true;
		line = str_n(t.p, t.n - 1);
	}
	for (size_t i = 0; i < line.n;) {
		if (line.p[i] == '=') {
			i += qp_escape(l, line, i, place, out);
			continue;
		}
		if ((unsigned char)line.p[i] >= 0x80)
			lint_add(l, L_QP_RAW, place, line.p + i, "there is a byte over 127");
		run_putc(out, line.p[i++]);
	}
	if (!soft && ended)
		run_puts(out, "\r\n");
}

/* ---- Base64 ---- */

struct base64_reader {
	unsigned bits, have;
	size_t digits, pads;
};

static void base64_line(
	struct linter *l, struct base64_reader *b, struct str line, struct str place, struct run *out)
{
	if (line.n > ENCODED_LINE_MAX)
		lint_add(l, L_B64_LINE, place, line.p, "a line has %zu characters, over the limit of 76",
			line.n);
	for (size_t i = 0; i < line.n; i++) {
		int v = str_base64_digit(line.p[i]);
		if (line.p[i] == '=' && b->digits % 4 + b->pads >= 2 && b->digits % 4 != 0 && b->pads < 2) {
			b->pads++;
			continue;
		}
		if (v < 0 || b->pads != 0) {
			lint_add(l, L_B64_CHARACTER, place, line.p + i, "\"%s\" has no place in base64 here",
				lint_show(l, str_n(line.p + i, 1)));
			continue;
		}
		b->bits = b->bits << 6 | (unsigned)v;
		b->have += 6;
		b->digits++;
		if (b->have >= 8)
			run_putc(out, (char)(b->bits >> (b->have -= 8)));
	}
}

static void base64_end_check(
	struct linter *l, const struct base64_reader *b, struct str body, struct str place)
{
	size_t last = b->digits % 4;
	if (last == 1 || (last != 0 && b->pads != 4 - last))
		lint_add(l, L_B64_LENGTH, place, body.p,
			"its end is not whole: %zu characters and %zu =", b->digits, b->pads);
}

static bool needs_base64(struct str s)
{
	return !utf8_ascii(s) ||
	       (s.n != 0 && (memchr(s.p, 0x1b, s.n) != NULL || memchr(s.p, '\0', s.n) != NULL));
}

struct str lint_decode(struct linter *l, struct str body, enum lint_cte cte, struct str place, bool text)
{
	struct run out = RUN_INIT(l->a);
	struct base64_reader b = {0};
	struct lines x = {.s = body};
	struct str line;
	bool ended;
	if (cte < CTE_QP || cte == CTE_OTHER)
		return plain(l, body, cte, place);
	if (!run_reserve(&out, body.n))
		return str_n("", 0);
	while (next_line(&x, &line, &ended)) {
		if (cte == CTE_QP)
			qp_line(l, line, ended, place, &out);
		else
			base64_line(l, &b, line, place, &out);
	}
	if (cte == CTE_BASE64)
		base64_end_check(l, &b, body, place);
	if (cte == CTE_BASE64 && text && out.n != 0 && !needs_base64(run_get(&out)))
		lint_add(l, L_B64_NEEDLESS, place, body.p, "plain ASCII text is sent as base64");
	return run_get(&out);
}

/* ---- Charsets ---- */

static bool iconv_knows(struct str name, char out[32])
{
	static const char *const names[] = {"iso-8859-", "windows-125", "iso-2022-jp", "iso-2022-kr",
		"shift_jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "koi8-r", "koi8-u",
		"tis-620"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n = strlen(names[i]);
		struct str rest = name.n >= n ? str_n(name.p + n, name.n - n) : name;
		bool digits = i < 2 && name.n > n && rest.n <= 2;
		for (size_t k = 0; k < rest.n; k++)
			digits = digits && isdigit((unsigned char)rest.p[k]);
		if (name.n < n || strncasecmp(name.p, names[i], n) != 0 || !(i < 2 ? digits : rest.n == 0))
			continue;
		snprintf(out, 32, "%.*s", STR_ARG(name));
		return true;
	}
	return false;
}

/* Does ISO-2022 text end in ASCII, as each line and each encoded-word must? */
static bool ends_in_ascii(struct str s)
{
	const char *esc = s.n != 0 ? memrchr(s.p, 0x1b, s.n) : NULL;
	return esc == NULL || (s.p + s.n - esc >= 3 && esc[1] == '(' && (esc[2] == 'B' || esc[2] == 'J'));
}

struct str lint_charset(struct linter *l, struct str bytes, struct str charset, bool *known)
{
	char name[32];
	const struct str none = {NULL, 0};
	*known = true;
	if (str_is_nocase(charset, "utf-8") || str_is_nocase(charset, "utf8"))
		return utf8_valid(bytes) ? str_n(bytes.n != 0 ? bytes.p : "", bytes.n) : none;
	if (str_is_nocase(charset, "us-ascii") || str_is_nocase(charset, "ascii"))
		return utf8_ascii(bytes) ? str_n(bytes.n != 0 ? bytes.p : "", bytes.n) : none;
	*known = iconv_knows(charset, name);
	if (!*known || (strncasecmp(name, "iso-2022", 8) == 0 && !ends_in_ascii(bytes)))
		return none;
	iconv_t cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1) {
		*known = false;
		return none;
	}
	size_t room = bytes.n <= SIZE_MAX / 8 ? bytes.n * 4 + 8 : 0, left = bytes.n, n = room;
	char *to = arena_bytes(l->a, room), *begin = to, *in = (char *)(uintptr_t)bytes.p;
	bool ok = to != NULL && (left == 0 || iconv(cd, &in, &left, &to, &room) != (size_t)-1);
	iconv_close(cd);
	return ok && left == 0 ? str_n(begin, n - room) : none;
}
