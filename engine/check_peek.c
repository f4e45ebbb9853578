/* Only for messages that we composed: their layout is known, and they hold no hostile structure. */
#include "engine/check_private.h"

#include <gmime/gmime.h>

struct encoded {
	struct str s;
	GMimeContentEncoding cte;
};

static struct str find(struct str s, const char *what)
{
	const char *p = s.n != 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;
	return p != NULL ? str_n(p, (size_t)(s.p + s.n - p)) : str_n(NULL, 0);
}

static GMimeContentEncoding cte_of(struct str header)
{
	if (find(header, "Transfer-Encoding: quoted-printable").n != 0)
		return GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
	return find(header, "Transfer-Encoding: base64").n != 0 ? GMIME_CONTENT_ENCODING_BASE64
								: GMIME_CONTENT_ENCODING_7BIT;
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

struct str peek_text(const struct composed *m, char *room)
{
	struct encoded e;
	if (!part(m, "text/plain", &e))
		return str_n(NULL, 0);
	GMimeEncoding state;
	g_mime_encoding_init_decode(&state, e.cte);
	return str_n(room, g_mime_encoding_step(&state, e.s.p, e.s.n < PEEK_MAX ? e.s.n : PEEK_MAX, room));
}

size_t peek_html_size(const struct composed *m)
{
	struct encoded e;
	size_t n = 0;
	if (!part(m, "text/html", &e))
		return 0;
	if (e.cte == GMIME_CONTENT_ENCODING_7BIT)
		return e.s.n;
	if (e.cte == GMIME_CONTENT_ENCODING_BASE64)
		return e.s.n / 78 * 57;
	n = e.s.n;
	for (const char *p = e.s.p, *end = p + e.s.n;
		p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL; p++)
		n -= p + 1 < end && p[1] == '\r' ? 3 : 2;
	return n;
}
