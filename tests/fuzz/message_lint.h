/* What every composed message must hold, whatever went into it: aborts with the reason if it does not. */
#ifndef TESTS_FUZZ_MESSAGE_LINT_H
#define TESTS_FUZZ_MESSAGE_LINT_H

#include "templates/message.h"

#include <stdio.h>
#include <stdlib.h>

static void lint_fail(const char *why, struct str s, size_t at)
{
	size_t from = at > 200 ? at - 200 : 0, to = at + 200 < s.n ? at + 200 : s.n;
	fprintf(stderr, "message lint: %s at %zu of %zu:\n", why, at, s.n);
	fwrite(s.p + from, 1, to - from, stderr);
	fprintf(stderr, "\n");
	abort();
}

/* The wire's rules for lines. */
static void lint_lines(struct str s, bool utf8)
{
	size_t col = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n'))
			lint_fail("bare CR", s, i);
		if (c == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			lint_fail("bare LF", s, i);
		if (c == 0 || (c >= 0x80 && !utf8))
			lint_fail("NUL or a byte over 127", s, i);
		if ((c < ' ' && c != '\r' && c != '\n' && c != '\t' && c != 0x1b) || c == 0x7f)
			lint_fail("a control character", s, i);
		if (c == '\n') {
			col = 0;
			continue;
		}
		if (col == 0 && c == '.')
			lint_fail("a line begins with a dot", s, i);
		if (++col > 999)
			lint_fail("line over 998", s, i);
	}
	if (s.n < 2 || s.p[s.n - 1] != '\n')
		lint_fail("the last line does not end", s, s.n);
}

static struct str lint_line(struct str *rest)
{
	const char *end = memmem(rest->p, rest->n, "\r\n", 2);
	size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
	struct str line = str_n(rest->p, n);
	size_t used = end != NULL ? n + 2 : n;
	*rest = str_n(rest->p + used, rest->n - used);
	return line;
}

static void lint_word(struct str all, struct str line)
{
	for (size_t i = 0; i + 8 < line.n; i++) {
		bool begins = memcmp(line.p + i, "=?utf-8?", 8) == 0 ||
			      (i + 14 < line.n && memcmp(line.p + i, "=?iso-2022-jp?", 14) == 0);
		if (!begins)
			continue;
		size_t end = i;
		while (end < line.n && line.p[end] != ' ')
			end++;
		if (end - i > 75 || line.p[end - 1] != '=' || line.p[end - 2] != '?')
			lint_fail("a bad encoded-word", all, (size_t)(line.p - all.p));
		if (line.n > 76)
			lint_fail("an encoded-word in a line over 76", all, (size_t)(line.p - all.p));
	}
}

static void lint_header(struct str s)
{
	static const char *const once[] = {
		"Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"};
	int seen[sizeof once / sizeof once[0]] = {0};
	struct str rest = s;
	while (rest.n != 0) {
		struct str line = lint_line(&rest);
		if (line.n == 0) {
			if (rest.n != 0)
				lint_fail("the header ends early", s, (size_t)(rest.p - s.p));
			break;
		}
		lint_word(s, line);
		if (line.p[0] == ' ') {
			if (str_trim(line).n == 0)
				lint_fail("a folded line of blanks", s, (size_t)(line.p - s.p));
			continue;
		}
		size_t colon = str_find(line, ':');
		if (colon == 0 || colon == line.n)
			lint_fail("not a header", s, (size_t)(line.p - s.p));
		for (size_t i = 0; i < colon; i++)
			if (line.p[i] <= ' ' || line.p[i] > '~')
				lint_fail("a bad header name", s, (size_t)(line.p - s.p));
		if (str_is_nocase(str_n(line.p, colon), "bcc"))
			lint_fail("Bcc", s, (size_t)(line.p - s.p));
		for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
			seen[i] += str_is_nocase(str_n(line.p, colon), once[i]);
	}
	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
		if (seen[i] != 1)
			lint_fail(once[i], s, 0);
}

/* Quoted-printable and base64 within their parts; each multipart closed once. */
static void lint_body(struct str head, struct str body)
{
	enum { OTHER, QP, BASE64 } coding = OTHER;
	bool in_header = false, multi = memmem(head.p, head.n, "\r\nContent-Type: multipart/", 26) != NULL;
	if (memmem(head.p, head.n, "\r\nContent-Transfer-Encoding: quoted-printable", 45) != NULL && !multi)
		coding = QP;
	if (memmem(head.p, head.n, "\r\nContent-Transfer-Encoding: base64", 35) != NULL && !multi)
		coding = BASE64;
	long open = 0;
	for (struct str rest = body; rest.n != 0;) {
		struct str line = lint_line(&rest);
		size_t at = (size_t)(line.p - body.p);
		if (str_starts(line, STR("--=_")) && multi) {
			bool closing = str_ends(line, STR("--"));
			open += closing ? -1 : 0;
			in_header = !closing;
			coding = OTHER;
			continue;
		}
		if (in_header) {
			if (str_is(line, "Content-Transfer-Encoding: quoted-printable"))
				coding = QP;
			if (str_is(line, "Content-Transfer-Encoding: base64"))
				coding = BASE64;
			open += memmem(line.p, line.n, "boundary=", 9) != NULL;
			in_header = line.n != 0;
			continue;
		}
		if (coding != OTHER && line.n > 76)
			lint_fail("an encoded line over 76", body, at);
		if (coding == QP && line.n != 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
			lint_fail("a blank before a line end", body, at);
		for (size_t i = 0; coding == QP && i < line.n; i++)
			if (line.p[i] == '=' && i + 1 < line.n &&
				(i + 2 >= line.n || strchr("0123456789ABCDEF", line.p[i + 1]) == NULL ||
					strchr("0123456789ABCDEF", line.p[i + 2]) == NULL))
				lint_fail("a bad escape", body, at + i);
		if (coding == BASE64 && line.n % 4 != 0)
			lint_fail("a bad line of base64", body, at);
	}
	if (multi && open != -1)
		lint_fail("multiparts are not closed once each", body, 0);
}

static void lint_wire(const struct composed *c)
{
	lint_lines(c->header, c->utf8);
	if (c->body.n != 0)
		lint_lines(c->body, false);
	lint_header(c->header);
	lint_body(c->header, c->body);
}

#endif
