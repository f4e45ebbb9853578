#include "lists/address_name.h"

#include "src/base/utf8.h"

#include <iconv.h>
#include <stdio.h>
#include <string.h>

/* Both write at most s.n bytes. */
static size_t decode_q(struct str s, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '=' && i + 2 < s.n && str_hex_digit(s.p[i + 1]) >= 0 &&
			str_hex_digit(s.p[i + 2]) >= 0) {
			out[n++] = (char)(str_hex_digit(s.p[i + 1]) * 16 + str_hex_digit(s.p[i + 2]));
			i += 2;
		} else {
			out[n++] = s.p[i] == '_' ? ' ' : s.p[i];
		}
	}
	return n;
}

static size_t decode_b(struct str s, char *out)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		int v = str_base64_digit(s.p[i]);
		if (v < 0)
			continue;
		bits = (bits << 6 | (unsigned)v) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	return n;
}

/* Appends `s`, which is in `charset`, as UTF-8. False: unknown charset or damaged bytes. */
static bool append_converted(struct buf *out, struct str s, struct str charset)
{
	char name[48];
	size_t lang = str_find(charset, '*'); /* RFC 2231 5: charset*language */
	if (lang == 0 || lang >= sizeof name)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)lang, charset.p);
	iconv_t cd = iconv_open("UTF-8", strcasecmp(name, "shift_jis") == 0 ? "CP932" : name);
	if (cd == (iconv_t)-1)
		return false;
	size_t mark = out->len, left = s.n, room = s.n * 4 + 16;
	char *in = (char *)s.p;
	bool ok = buf_reserve(out, room);
	if (ok) {
		char *to = out->p + out->len;
		size_t space = room;
		ok = iconv(cd, &in, &left, &to, &space) != (size_t)-1 &&
		     iconv(cd, NULL, NULL, &to, &space) != (size_t)-1;
		out->len += room - space;
		out->p[out->len] = '\0';
	}
	iconv_close(cd);
	if (!ok || !utf8_valid(str_n(out->p + mark, out->len - mark)))
		out->len = mark;
	return ok && out->len >= mark;
}

/* One `=?charset?X?text?=` at s.p. Returns its length, 0 if there is none that can be read. */
static size_t encoded_word(struct str s, struct buf *out)
{
	if (!str_starts(s, STR("=?")))
		return 0;
	struct str charset = str_n(s.p + 2, str_find(str_n(s.p + 2, s.n - 2), '?'));
	size_t at = 2 + charset.n;
	if (at + 3 >= s.n || s.p[at + 2] != '?')
		return 0;
	char kind = (char)(s.p[at + 1] | 0x20);
	struct str text = str_n(s.p + at + 3, s.n - at - 3);
	const char *end = memmem(text.p, text.n, "?=", 2);
	if (end == NULL || (kind != 'q' && kind != 'b'))
		return 0;
	text.n = (size_t)(end - text.p);
	char raw[1024];
	if (text.n > sizeof raw)
		return 0;
	size_t n = kind == 'q' ? decode_q(text, raw) : decode_b(text, raw);
	return append_converted(out, str_n(raw, n), charset) ? at + 3 + text.n + 2 : 0;
}

/* Quotes and backslashes off; white space between two encoded words goes (RFC 2047 6.2). */
static void decode(struct str raw, struct buf *out)
{
	bool quoted = false;
	size_t gap = (size_t)-1; /* where blanks began that follow an encoded word */
	for (size_t i = 0; i < raw.n;) {
		size_t mark = out->len;
		size_t used = encoded_word(str_n(raw.p + i, raw.n - i), out);
		if (used > 0) {
			if (gap != (size_t)-1 && gap < mark) {
				memmove(out->p + gap, out->p + mark, out->len - mark);
				out->len -= mark - gap;
			}
			gap = out->len;
			i += used;
			continue;
		}
		char c = raw.p[i++];
		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (c == '\\' && quoted && i < raw.n)
			c = raw.p[i++];
		if (c != ' ' && c != '\t')
			gap = (size_t)-1;
		buf_putc(out, c);
	}
}

struct str address_name_decode(struct str raw, struct arena *a)
{
	struct buf b = BUF_INIT(64 << 10);
	decode(raw, &b);
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7f)
			b.p[i] = ' ';
	struct str s = {"", 0};
	if (!b.failed && b.len > 0 && utf8_valid(buf_get(&b)))
		s = arena_str(a, str_trim(buf_get(&b)));
	buf_release(&b);
	return s.p != NULL ? s : (struct str){"", 0};
}
