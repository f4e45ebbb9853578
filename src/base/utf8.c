#include "src/base/utf8.h"

#include <assert.h>

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), 0 where it is malformed. */
static size_t sequence(const unsigned char *p, size_t n)
{
	unsigned char c = p[0], low = 0x80, high = 0xbf;
	size_t len;
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		len = 2;
	else if (c >= 0xe0 && c <= 0xef)
		len = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

uint32_t utf8_next(struct str s, size_t *at)
{
	assert(*at < s.n);
	const unsigned char *p = (const unsigned char *)s.p + *at;
	switch (sequence(p, s.n - *at)) {
	case 1:
		*at += 1;
		return p[0];
	case 2:
		*at += 2;
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	case 3:
		*at += 3;
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	case 4:
		*at += 4;
		return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	default:
		*at += 1;
		return 0xfffd;
	}
}

size_t utf8_put(char out[4], uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Length of the ASCII run at the front, by words. */
static size_t ascii_run(const char *p, size_t n)
{
	size_t i = 0;
	uint64_t w;
	for (; n - i >= sizeof w; i += sizeof w) {
		memcpy(&w, p + i, sizeof w);
		if ((w & 0x8080808080808080) != 0)
			break;
	}
	while (i < n && (unsigned char)p[i] < 0x80)
		i++;
	return i;
}

size_t utf8_check(struct str s)
{
	size_t i = 0;
	while (i < s.n) {
		if ((unsigned char)s.p[i] < 0x80) {
			i += ascii_run(s.p + i, s.n - i);
			continue;
		}
		size_t len = sequence((const unsigned char *)s.p + i, s.n - i);
		if (len == 0)
			return i;
		i += len;
	}
	return s.n;
}

bool utf8_valid(struct str s)
{
	return utf8_check(s) == s.n;
}

bool utf8_ascii(struct str s)
{
	return s.n == 0 || ascii_run(s.p, s.n) == s.n;
}

size_t utf8_width(struct str s)
{
	size_t w = 0;
	for (size_t at = 0; at < s.n;)
		w += (size_t)utf8_width_char(utf8_next(s, &at));
	return w;
}

struct str utf8_cut(struct str s, size_t columns)
{
	size_t used = 0, at = 0;
	while (at < s.n) {
		size_t next = at;
		size_t w = (size_t)utf8_width_char(utf8_next(s, &next));
		if (w > columns - used)
			break;
		used += w;
		at = next;
	}
	return (struct str){s.p, at};
}

struct str utf8_cut_bytes(struct str s, size_t bytes)
{
	if (s.n <= bytes)
		return s;
	while (bytes > 0 && ((unsigned char)s.p[bytes] & 0xc0) == 0x80)
		bytes--;
	return str_n(s.p, bytes);
}

/* What would move the cursor, reorder the line, or be invisible. */
static bool unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void utf8_safe(struct buf *out, struct str s)
{
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		uint32_t c = utf8_next(s, &at);
		bool malformed = c == 0xfffd && at - from == 1;
		if (malformed || c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned char)s.p[from]);
		else if (unsafe(c))
			buf_printf(out, "\\u{%x}", (unsigned)c);
		else
			buf_add(out, s.p + from, at - from);
	}
}
