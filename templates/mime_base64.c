#include "templates/mime_base64.h"

#include "src/base/utf8.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_word(const void *p, size_t n, char *out)
{
	const unsigned char *s = p;
	char *o = out;
	for (; n >= 3; n -= 3, s += 3) {
		uint32_t v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = digits[v >> 6 & 63];
		*o++ = digits[v & 63];
	}
	if (n != 0) {
		uint32_t v = (uint32_t)s[0] << 16 | (n == 2 ? (uint32_t)s[1] << 8 : 0);
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = n == 2 ? digits[v >> 6 & 63] : '=';
		*o++ = '=';
	}
	return (size_t)(o - out);
}

size_t base64_size(size_t n)
{
	size_t chars = (n + 2) / 3 * 4;
	return chars + (chars + 75) / 76 * 2;
}

static void write_line(struct base64 *b, const void *p, size_t n)
{
	if (!run_reserve(b->out, 78))
		return;
	size_t m = base64_word(p, n, b->out->p + b->out->n);
	memcpy(b->out->p + b->out->n + m, "\r\n", 2);
	b->out->n += m + 2;
}

void base64_add(struct base64 *b, const void *data, size_t n)
{
	const unsigned char *p = data;
	while (n != 0 && !b->out->failed) {
		if (b->have == 0 && n >= sizeof b->line) {
			write_line(b, p, sizeof b->line);
			p += sizeof b->line;
			n -= sizeof b->line;
			continue;
		}
		size_t take = sizeof b->line - b->have;
		if (take > n)
			take = n;
		memcpy(b->line + b->have, p, take);
		b->have += (unsigned)take;
		p += take;
		n -= take;
		if (b->have == sizeof b->line) {
			write_line(b, b->line, sizeof b->line);
			b->have = 0;
		}
	}
}

void base64_text(struct base64 *b, struct str s)
{
	size_t i = 0;
	while (i < s.n && !b->out->failed) {
		size_t from = i, good = i;
		unsigned char c = 0;
		while (i < s.n) {
			c = (unsigned char)s.p[i];
			good = i;
			if ((c < ' ' && c != '\t') || c == 0x7f)
				break;
			if (c < 0x80)
				i++;
			else if (utf8_next(s, &i) == 0xFFFD && i == good + 1)
				break;
			good = i;
		}
		base64_add(b, s.p + from, good - from);
		if (good == s.n)
			return;
		i = good + 1;
		if (c == '\n' || c == '\r') {
			base64_add(b, "\r\n", 2);
			if (c == '\r' && i < s.n && s.p[i] == '\n')
				i++;
		} else if (c >= 0x80) {
			base64_add(b, "\xEF\xBF\xBD", 3);
		}
	}
}

void base64_end(struct base64 *b)
{
	if (b->have != 0)
		write_line(b, b->line, b->have);
	b->have = 0;
}
