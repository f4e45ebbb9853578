#include "engine/dkim/canon.h"

#include <stdint.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- Body ---- */

/* Without the empty lines at the end, where a line of blanks is empty too, and without the last line's own
 * end. */
static size_t content_end(struct str b)
{
	size_t end = b.n;
	for (;;) {
		size_t i = end;
		while (i > 0 && blank(b.p[i - 1]))
			i--;
		if (i == 0)
			return 0;
		if (i >= 2 && b.p[i - 1] == '\n' && b.p[i - 2] == '\r')
			end = i - 2;
		else
			return i;
	}
}

typedef unsigned char block __attribute__((vector_size(16)));

/* From `i` on, skips what is canonical as it stands, a block at a time: no tab, no blank before a blank or
 * CR. */
static size_t skip_canonical(const char *p, size_t i, size_t end)
{
	for (; i + sizeof(block) + 1 <= end; i += sizeof(block)) {
		block here, next;
		memcpy(&here, p + i, sizeof here);
		memcpy(&next, p + i + 1, sizeof next);
		block odd = (block)(here == '\t') |
			    ((block)(here == ' ') &
				    ((block)(next == ' ') | (block)(next == '\t') | (block)(next == '\r')));
		uint64_t any[2];
		memcpy(any, &odd, sizeof any);
		if ((any[0] | any[1]) != 0)
			break;
	}
	return i;
}

/* p[0..end) and a line end; the last byte is no blank. */
static void canon(const char *p, size_t end, void (*put)(void *ctx, const char *p, size_t n), void *ctx)
{
	size_t from = 0;
	for (size_t i = 0; i < end;) {
		if (!blank(p[i])) {
			i = skip_canonical(p, i + 1, end);
			continue;
		}
		size_t run = i;
		while (i < end && blank(p[i]))
			i++;
		bool line_end = i + 1 < end && p[i] == '\r' && p[i + 1] == '\n';
		if (!line_end && i - run == 1 && p[run] == ' ')
			continue;
		put(ctx, p + from, run - from);
		if (!line_end)
			put(ctx, " ", 1);
		from = i;
	}
	put(ctx, p + from, end - from);
	put(ctx, "\r\n", 2);
}

void dkim_canon_body(struct str body, void (*put)(void *ctx, const char *p, size_t n), void *ctx)
{
	size_t end = content_end(body);
	if (end != 0)
		canon(body.p, end, put, ctx);
}

void dkim_canon_lines(struct str lines, void (*put)(void *ctx, const char *p, size_t n), void *ctx)
{
	if (lines.n < 2)
		return;
	size_t end = lines.n - 2;
	while (end > 0 && blank(lines.p[end - 1]))
		end--;
	canon(lines.p, end, put, ctx);
}

/* ---- Header ---- */

bool dkim_field_next(struct str *header, struct dkim_field *out)
{
	struct str h = *header;
	size_t end = 0;
	if (h.n == 0 || h.p[0] == '\n' || (h.n >= 2 && h.p[0] == '\r' && h.p[1] == '\n'))
		return false;
	do {
		size_t nl = str_find(str_n(h.p + end, h.n - end), '\n');
		end += nl + (end + nl < h.n);
	} while (end < h.n && blank(h.p[end]));
	struct str field = str_n(h.p, end);
	*header = str_n(h.p + end, h.n - end);
	if (field.p[field.n - 1] == '\n')
		field.n--;
	if (field.n > 0 && field.p[field.n - 1] == '\r')
		field.n--;
	size_t colon = str_find(field, ':');
	if (colon == field.n || str_find(field, '\n') < colon) {
		*out = (struct dkim_field){str_n(field.p, 0), field};
		return true;
	}
	size_t n = colon;
	while (n > 0 && blank(field.p[n - 1]))
		n--;
	*out = (struct dkim_field){str_n(field.p, n), str_n(field.p + colon + 1, field.n - colon - 1)};
	return true;
}

static bool foldable(char c)
{
	return blank(c) || c == '\r' || c == '\n';
}

void dkim_canon_field(struct buf *out, const struct dkim_field *f)
{
	struct str v = f->value;
	for (size_t i = 0; i < f->name.n; i++) {
		char c = f->name.p[i];
		buf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
	}
	buf_putc(out, ':');
	while (v.n > 0 && foldable(v.p[0]))
		v = str_n(v.p + 1, v.n - 1);
	while (v.n > 0 && foldable(v.p[v.n - 1]))
		v.n--;
	for (size_t i = 0; i < v.n;) {
		size_t word = i;
		while (i < v.n && !foldable(v.p[i]))
			i++;
		buf_add(out, v.p + word, i - word);
		if (i < v.n)
			buf_putc(out, ' ');
		while (i < v.n && foldable(v.p[i]))
			i++;
	}
}
