/* What the prose says of an address: the server's reply beside or below it, else the paragraph. */
#include "engine/bounce/prose_private.h"

#include "src/base/buf.h"

static bool is_session(struct str s)
{
	s = trim_begin(s);
	return str_starts(s, STR(">>>")) || str_starts(s, STR("<<<"));
}

/* The end of what is said of the frame at f[i]: where another address is treated. */
static int region_end(const struct reading *q, const struct frame *f, int n, int i, int least)
{
	for (int k = i + 1; k < n; k++)
		if (f[k].points >= least && !same_address(f[k].address, f[i].address) &&
			f[k].line > f[i].line)
			return f[k].line;
	return q->prose.n;
}

/* Line `i` from `from`: where a reply stands in it, else -1. */
static long reply_in_line(const struct prose *p, int i, size_t from)
{
	int code;
	struct str s = p->line[i].s;
	if (from > s.n)
		return -1;
	struct str rest = str_n(s.p + from, s.n - from);
	size_t at = reply_find(rest, false, &code);
	if (at == rest.n) {
		/* "5.4.1 Recipient address rejected": the code is left out. */
		struct str t = trim_begin(rest);
		while (t.n != 0 && (is_rule(t.p[0]) || is_blank(t.p[0])))
			t = str_n(t.p + 1, t.n - 1);
		struct str enhanced = enhanced_find(str_n(t.p, t.n < 8 ? t.n : 8));
		return enhanced.n != 0 && enhanced.p == t.p && t.n > enhanced.n + 4 ? (long)(t.p - s.p) : -1;
	}
	return (long)(from + at);
}

/* A reply with the lines that continue it. */
static struct str reply_text(struct reading *q, int i, size_t from, int end)
{
	const struct prose *p = &q->prose;
	struct buf b = BUF_INIT(4000);
	struct str line = str_n(p->line[i].s.p + from, p->line[i].s.n - from);
	reader_add(&b, line);
	int first = 0;
	reply_find(line, true, &first);
	bool open = line.n > 3 && line.p[3] == '-';
	for (int k = i + 1; k < end && k < i + 14; k++) {
		struct str s = trim_begin(p->line[k].s);
		if (s.n == 0 || is_session(s) || is_rule(s.p[0]) || str_starts(s, STR("Giving up")))
			break;
		int code = 0;
		if (reply_find(s, true, &code) == 0 && s.n > 4) {
			if (code != first || !open)
				break;
			open = s.p[3] == '-';
			s = str_n(s.p + 4, s.n - 4);
		}
		buf_putc(&b, ' ');
		reader_add(&b, s);
	}
	struct str out = arena_str(q->a, buf_get(&b));
	buf_release(&b);
	return out;
}

/* The first paragraph with words in it, from behind the address on. */
static struct str paragraph(struct reading *q, int i, size_t from, int end)
{
	const struct prose *p = &q->prose;
	struct buf b = BUF_INIT(4000);
	bool words = false;
	for (int k = i; k < end && k < i + 16; k++) {
		const struct str *whole = &p->line[k].s;
		struct str s = trim_begin(k == i ? str_n(whole->p + from, whole->n - from) : *whole);
		if (s.n == 0 || is_rule(s.p[0])) {
			if (words)
				break;
			if (s.n < 4 || (unsigned char)s.p[s.n - 1] == (unsigned char)s.p[0])
				continue;
		}
		if (b.len != 0)
			buf_putc(&b, ' ');
		reader_add(&b, s);
		for (size_t c = 0; c < s.n; c++)
			words = words || ((s.p[c] | 0x20) >= 'a' && (s.p[c] | 0x20) <= 'z') ||
				(unsigned char)s.p[c] >= 0x80;
	}
	struct str out = words ? arena_str(q->a, buf_get(&b)) : str_n(NULL, 0);
	buf_release(&b);
	return out;
}

/* All lines of the region, for the command and the host that are named around the reply. */
static struct str region_text(struct reading *q, int i, int end)
{
	const struct prose *p = &q->prose;
	int last = end < i + 30 ? end : i + 30;
	if (last > p->n)
		last = p->n;
	if (last <= i || p->line[i].part != p->line[last - 1].part)
		return str_n(p->line[i].s.p, p->line[i].s.n);
	const char *from = p->line[i].s.p;
	return str_n(from, (size_t)(p->line[last - 1].s.p + p->line[last - 1].s.n - from));
}

/* In a transcript the command stands on the line before the reply. */
static struct str command_before(struct reading *q, int i)
{
	const struct prose *p = &q->prose;
	for (int k = i - 1; k >= 0 && k >= i - 6; k--) {
		struct str s = trim_begin(p->line[k].s);
		if (!str_starts(s, STR(">>>")))
			continue;
		struct diagnosis d;
		diagnose(q, region_text(q, k, i + 6), &d);
		return d.command;
	}
	return str_n(NULL, 0);
}

static bool is_only(const struct frame *f, int n, int i, int least)
{
	for (int k = 0; k < n; k++)
		if (f[k].points >= least && !same_address(f[k].address, f[i].address))
			return false;
	return true;
}

void frame_explain(struct reading *q, const struct frame *f, int n, int i, int least, struct diagnosis *d)
{
	const struct prose *p = &q->prose;
	int end = region_end(q, f, n, i, least), line = f[i].line;
	struct str text = str_n(NULL, 0);
	*d = (struct diagnosis){0};
	for (int k = line; k < end && k < line + 40 && text.n == 0; k++) {
		long at = reply_in_line(p, k, 0);
		if (at < 0)
			continue;
		text = reply_text(q, k, (size_t)at, end);
		diagnose(q, text, d);
		if (d->command.n == 0)
			d->command = command_before(q, k);
	}
	/* One recipient: the reply may stand above, too. */
	for (int k = line - 1; text.n == 0 && k >= 0 && is_only(f, n, i, least); k--) {
		long at = reply_in_line(p, k, 0);
		if (at < 0)
			continue;
		text = reply_text(q, k, (size_t)at, line);
		diagnose(q, text, d);
	}
	struct diagnosis around;
	if (text.n == 0) {
		text = paragraph(q, line, f[i].to, end);
		if (text.n == 0 && !f[i].leading)
			text = paragraph(q, line, 0, end);
		if (text.n == 0 && line > 0) {
			int up = line - 1;
			while (up > 0 && (p->line[up].s.n == 0 || p->line[up - 1].s.n != 0))
				up--;
			text = paragraph(q, up, 0, line);
		}
		diagnose(q, text, d);
	}
	diagnose(q, region_text(q, line, end), &around);
	if (str_is(around.command, "data")) /* what made it answer there may stand below */
		diagnose(q, region_text(q, line, end + 3), &around);
	if (d->command.n == 0)
		d->command = around.command;
	if (d->host.n == 0)
		d->host = around.host;
	if (d->enhanced.n == 0)
		d->enhanced = around.enhanced;
}
