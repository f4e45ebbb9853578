#include "templates/mime_param.h"

#include "src/base/utf8.h"

#include <stdio.h>

enum { LINE = 76 };

bool param_simple(struct str v)
{
	if (v.n == 0 || v.n > 60)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];
		/* A backslash is legal when escaped, but many readers leave the escape in. */
		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\' ||
			(c == '=' && i + 1 < v.n && v.p[i + 1] == '?'))
			return false;
	}
	return true;
}

static bool is_token(struct str v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || strchr("()<>@,;:\\\"/[]?=", v.p[i]) != NULL)
			return false;
	return true;
}

/* RFC 2231 7 attribute-char. */
static bool is_attribute(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("!#$&+-.^_`{|}~", c) != NULL);
}

static size_t percent(struct str s, char *out)
{
	static const char hexdigit[] = "0123456789ABCDEF";
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (is_attribute(c)) {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hexdigit[c >> 4];
			out[n++] = hexdigit[c & 15];
		}
	}
	return n;
}

/* The text of one section: whole characters, at most `room` long. */
static size_t section(struct str *rest, size_t room, char *out)
{
	size_t n = 0, i = 0;
	while (i < rest->n) {
		size_t next = i;
		utf8_next(*rest, &next);
		char c[12];
		size_t m = percent(str_n(rest->p + i, next - i), c);
		if (n + m > room)
			break;
		memcpy(out + n, c, m);
		n += m;
		i = next;
	}
	*rest = str_n(rest->p + i, rest->n - i);
	return n;
}

static void extended(struct header *h, const char *name, struct str v)
{
	char text[LINE + 1], token[2 * LINE];
	struct str rest = v;
	size_t room = LINE - 12 - strlen(name) - sizeof "*999*=utf-8'';";
	size_t n = section(&rest, room, text);
	if (rest.n == 0) {
		int m = snprintf(token, sizeof token, "%s*=utf-8''%.*s", name, (int)n, text);
		header_token(h, str_n(token, (size_t)m), false);
		return;
	}
	for (unsigned i = 0;; i++) {
		int m = snprintf(token, sizeof token, "%s*%u*=%s%.*s%s", name, i, i == 0 ? "utf-8''" : "",
			(int)n, text, rest.n != 0 ? ";" : "");
		header_token(h, str_n(token, (size_t)m), false);
		if (rest.n == 0)
			return;
		n = section(&rest, room, text);
	}
}

void param_write(struct header *h, const char *name, struct str v)
{
	header_token(h, STR(";"), true);
	if (!param_simple(v)) {
		extended(h, name, v);
		return;
	}
	char token[LINE * 2];
	const char *q = is_token(v) ? "" : "\"";
	int m = snprintf(token, sizeof token, "%s=%s%.*s%s", name, q, STR_ARG(v), q);
	header_token(h, str_n(token, (size_t)m), false);
}

struct str param_fallback(struct arena *a, struct str name)
{
	enum { MOST = 60 };
	char *out = arena_bytes(a, MOST + 12);
	if (out == NULL)
		return STR("file");
	size_t dot = name.n, n = 0;
	for (size_t i = name.n; i-- > 0 && name.n - i <= 8;)
		if (name.p[i] == '.') {
			dot = i;
			break;
		}
	for (size_t i = 0; i < name.n;) {
		if (i < dot && n >= MOST - 8) {
			i = dot;
			continue;
		}
		size_t from = i;
		uint32_t c = utf8_next(name, &i);
		bool fine = c > ' ' && c < 0x7f && strchr("\"\\/:;=?%'*<>|", (int)c) == NULL;
		if (fine || n == 0 || out[n - 1] != '_')
			out[n++] = fine ? name.p[from] : '_';
		if (n >= MOST)
			break;
	}
	return str_n(out, n);
}
