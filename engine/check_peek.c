/* Only for messages that we composed: their layout is known, and they hold no hostile structure. */
#include "engine/check_private.h"

struct encoded {
	struct str s;
	char cte; /* 'q', 'b' or '7' */
};

static struct str find(struct str s, const char *what)
{
	const char *p = s.n != 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;
	return p != NULL ? str_n(p, (size_t)(s.p + s.n - p)) : str_n(NULL, 0);
}

static char cte_of(struct str header)
{
	if (find(header, "Transfer-Encoding: quoted-printable").n != 0)
		return 'q';
	return find(header, "Transfer-Encoding: base64").n != 0 ? 'b' : '7';
}

static bool part(const struct composed *m, const char *type, struct encoded *out)
{
	char field[64];
	size_t n = strlen("Content-Type: ");
	memcpy(field, "Content-Type: ", n);
	memcpy(field + n, type, strlen(type) + 1);
	bool whole = find(m->header, field).n != 0;
	struct str at = whole ? m->body : find(m->body, field), end = whole ? at : find(at, "\r\n\r\n");
	if (end.n == 0)
		return false;
	if (whole) {
		*out = (struct encoded){m->body, cte_of(m->header)};
		return true;
	}
	struct str text = str_n(end.p + 4, end.n - 4), stop = find(text, "\r\n--");
	*out = (struct encoded){str_n(text.p, stop.n != 0 ? (size_t)(stop.p - text.p) : text.n),
		cte_of(str_n(at.p, (size_t)(end.p - at.p)))};
	return true;
}

static size_t decode_qp(struct str s, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n && n < room; i++) {
		if (s.p[i] != '=') {
			out[n++] = s.p[i];
		} else if (i + 2 < s.n && str_hex_digit(s.p[i + 1]) >= 0 && str_hex_digit(s.p[i + 2]) >= 0) {
			out[n++] = (char)(str_hex_digit(s.p[i + 1]) << 4 | str_hex_digit(s.p[i + 2]));
			i += 2;
		} else {
			i += 2;
		}
	}
	return n;
}

static size_t decode_base64(struct str s, char *out, size_t room)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;
	for (size_t i = 0; i < s.n && n < room; i++) {
		int v = str_base64_digit(s.p[i]);
		if (v < 0)
			continue;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8)
			out[n++] = (char)(bits >> (have -= 8));
	}
	return n;
}

struct str peek_text(const struct composed *m, char *room)
{
	struct encoded e;
	if (!part(m, "text/plain", &e))
		return str_n(NULL, 0);
	size_t n = e.s.n < PEEK_MAX ? e.s.n : PEEK_MAX;
	if (e.cte == '7')
		return str_n(e.s.p, n);
	n = e.cte == 'q' ? decode_qp(str_n(e.s.p, n), room, PEEK_MAX)
			 : decode_base64(str_n(e.s.p, n), room, PEEK_MAX);
	return str_n(room, n);
}

size_t peek_html_size(const struct composed *m)
{
	struct encoded e;
	size_t n = 0;
	if (!part(m, "text/html", &e))
		return 0;
	if (e.cte == '7')
		return e.s.n;
	if (e.cte == 'b')
		return e.s.n / 78 * 57;
	n = e.s.n;
	for (const char *p = e.s.p, *end = p + e.s.n;
		p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL; p++)
		n -= p + 1 < end && p[1] == '\r' ? 3 : 2;
	return n;
}
