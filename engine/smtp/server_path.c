#include "engine/smtp/server_path.h"

#include <stdint.h>

static bool is_path_byte(unsigned char c)
{
	return c > ' ' && c != 0x7f && c != '<' && c != '>';
}

/* Length of a quoted string from s.p[0] == '"', or 0. */
static size_t quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		bool escaped = s.p[i] == '\\' && ++i < s.n;
		unsigned char c = i < s.n ? (unsigned char)s.p[i] : 0;
		if (c < ' ' || c == 0x7f)
			return 0;
		if (c == '"' && !escaped)
			return i + 1;
	}
	return 0;
}

/* "@a,@b:" before an address (RFC 5321 appendix C): accepted, ignored. */
static struct str without_route(struct str path)
{
	if (path.n == 0 || path.p[0] != '@')
		return path;
	size_t colon = str_find(path, ':');
	return colon < path.n ? str_n(path.p + colon + 1, path.n - colon - 1) : path;
}

bool smtp_path_take(struct str *s, struct str *path)
{
	size_t i = 1;
	if (s->n < 2 || s->p[0] != '<')
		return false;
	bool start = true; /* of a local part: only there may it be quoted */
	while (i < s->n && s->p[i] != '>') {
		size_t n = 1;
		if (start && s->p[i] == '"')
			n = quoted_length(str_n(s->p + i, s->n - i));
		else if (!is_path_byte((unsigned char)s->p[i]))
			n = 0;
		if (n == 0)
			return false;
		start = s->p[i] == ':' && s->p[1] == '@';
		i += n;
	}
	if (i == s->n || i > 255)
		return false;
	*path = without_route(str_n(s->p + 1, i - 1));
	*s = str_n(s->p + i + 1, s->n - i - 1);
	return i == 1 || (path->n != 0 && path->p[0] != '@' && path->p[path->n - 1] != '@');
}

bool smtp_param_take(struct str *s, struct str *keyword, struct str *value)
{
	struct str rest = *s;
	while (rest.n != 0 && rest.p[0] == ' ')
		rest = str_n(rest.p + 1, rest.n - 1);
	if (rest.n == 0) {
		*s = rest;
		return false;
	}
	if (rest.n == s->n) /* no blank before it */
		return false;
	struct str word = str_n(rest.p, str_find(rest, ' '));
	size_t eq = str_find(word, '=');
	*keyword = str_n(word.p, eq);
	*value = eq < word.n ? str_n(word.p + eq + 1, word.n - eq - 1) : str_n(NULL, 0);
	if (keyword->n == 0)
		return false;
	*s = str_n(rest.p + word.n, rest.n - word.n);
	return true;
}

size_t smtp_base64(struct str s, char *out, size_t max)
{
	if (str_eq(s, STR("=")))
		return 0;
	if (s.n % 4 != 0)
		return (size_t)-1;
	size_t n = 0;
	for (size_t i = 0; i < s.n; i += 4) {
		int pad = i + 4 == s.n ? (s.p[i + 3] == '=') + (s.p[i + 3] == '=' && s.p[i + 2] == '=') : 0;
		uint32_t v = 0;
		for (size_t k = 0; k < 4; k++) {
			int d = (int)k < 4 - pad ? str_base64_digit(s.p[i + k]) : 0;
			if (d < 0)
				return (size_t)-1;
			v = v << 6 | (uint32_t)d;
		}
		if ((pad == 1 && (v & 0xff) != 0) || (pad == 2 && (v & 0xffff) != 0))
			return (size_t)-1;
		for (int k = 0; k < 3 - pad; k++) {
			if (n == max)
				return (size_t)-1;
			out[n++] = (char)(v >> (16 - 8 * k) & 0xff);
		}
	}
	return n;
}
