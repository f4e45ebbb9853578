/* Header fields: found, unfolded, decoded. */
#include "engine/bounce/mail.h"

#include <gmime/gmime.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Length of the line at s.p[at], its end included. */
static size_t line_length(struct str s, size_t at)
{
	size_t n = str_find(str_n(s.p + at, s.n - at), '\n');
	return at + n < s.n ? n + 1 : n;
}

static bool line_empty(struct str s, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s.p[at + i] != '\r' && s.p[at + i] != '\n')
			return false;
	return true;
}

size_t header_length(struct str s)
{
	size_t at = 0;
	while (at < s.n) {
		size_t n = line_length(s, at);
		at += n;
		if (line_empty(s, at - n, n))
			break;
	}
	return at;
}

bool field_next(struct str block, size_t *at, struct field *f)
{
	while (*at < block.n) {
		size_t from = *at, n = line_length(block, from), end = from + n;
		if (line_empty(block, from, n))
			return false;
		while (end < block.n && is_blank(block.p[end])) {
			size_t more = line_length(block, end);
			if (line_empty(block, end, more))
				break;
			end += more;
		}
		*at = end;
		struct str line = str_n(block.p + from, end - from);
		size_t colon = str_find(str_n(line.p, n), ':');
		if (colon == n || colon == 0 || is_blank(line.p[0]))
			continue;
		f->name = str_trim(str_n(line.p, colon));
		if (str_find(f->name, ' ') < f->name.n)
			continue;
		f->value = str_trim(str_n(line.p + colon + 1, line.n - colon - 1));
		return true;
	}
	return false;
}

struct str field_unfold(struct arena *a, struct str v)
{
	if (str_find(v, '\n') == v.n && str_find(v, '\r') == v.n)
		return v;
	char *out = arena_bytes(a, v.n + 1);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < v.n; i++) {
		char c = v.p[i] == '\n' || v.p[i] == '\r' || v.p[i] == '\t' ? ' ' : v.p[i];
		if (c != ' ' || (n > 0 && out[n - 1] != ' '))
			out[n++] = c;
	}
	return str_n(out, n);
}

struct str field_find(struct arena *a, struct str block, const char *name)
{
	size_t at = 0;
	struct field f;
	while (field_next(block, &at, &f))
		if (str_is_nocase(f.name, name))
			return field_unfold(a, f.value);
	return str_n(NULL, 0);
}

struct str field_decode(struct arena *a, struct str v)
{
	v = field_unfold(a, v);
	bool plain = find_nocase(v, "=?") == v.n;
	for (size_t i = 0; plain && i < v.n; i++)
		plain = (unsigned char)v.p[i] < 0x80 && v.p[i] != 0x1b;
	if (plain || v.n > 2000)
		return v;
	char *z = arena_bytes(a, v.n + 1);
	if (z == NULL)
		return v;
	memcpy(z, v.p, v.n);
	z[v.n] = '\0';
	char *text = g_mime_utils_header_decode_text(NULL, z);
	struct str out = text != NULL ? arena_str(a, str_from(text)) : v;
	g_free(text);
	return out.p != NULL ? out : v;
}

struct str field_parameter(struct str v, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i + n < v.n; i++) {
		if (v.p[i] != ';')
			continue;
		size_t k = i + 1;
		while (k < v.n && (is_blank(v.p[k]) || v.p[k] == '\r' || v.p[k] == '\n'))
			k++;
		if (k + n >= v.n || strncasecmp(v.p + k, name, n) != 0)
			continue;
		k += n;
		while (k < v.n && is_blank(v.p[k]))
			k++;
		if (k == v.n || v.p[k] != '=')
			continue;
		struct str rest = str_trim(str_n(v.p + k + 1, v.n - k - 1));
		if (rest.n != 0 && rest.p[0] == '"')
			return str_n(rest.p + 1, str_find(str_n(rest.p + 1, rest.n - 1), '"'));
		size_t end = 0;
		while (end < rest.n && rest.p[end] != ';' && !is_blank(rest.p[end]) && rest.p[end] != '\r' &&
			rest.p[end] != '\n')
			end++;
		return str_n(rest.p, end);
	}
	return str_n(NULL, 0);
}

struct str lower_copy(struct arena *a, struct str s)
{
	char *out = arena_bytes(a, s.n + 1);
	if (out == NULL)
		return str_n(NULL, 0);
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i];
	return str_n(out, s.n);
}

size_t find_nocase(struct str s, const char *needle)
{
	size_t n = strlen(needle);
	char first = needle[0], upper = first >= 'a' && first <= 'z' ? (char)(first - ('a' - 'A')) : first;
	for (size_t i = 0; i + n <= s.n; i++)
		if ((s.p[i] == first || s.p[i] == upper) && strncasecmp(s.p + i, needle, n) == 0)
			return i;
	return s.n;
}
