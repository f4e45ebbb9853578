#include "engine/smtp/dialogue.h"

#include <stdlib.h>

enum { SESSION_MAX = 3000, MESSAGE_MAX = 3000, LINE_MAX_KEPT = 500 };

bool smtp_dialogue_init(struct smtp_dialogue *d, int messages)
{
	*d = (struct smtp_dialogue){.nparts = 1 + messages};
	d->part = calloc((size_t)d->nparts, sizeof *d->part);
	if (d->part == NULL)
		return false;
	for (int i = 0; i < d->nparts; i++)
		buf_init(&d->part[i], i == DIALOGUE_SESSION ? SESSION_MAX : MESSAGE_MAX);
	return true;
}

void smtp_dialogue_release(struct smtp_dialogue *d)
{
	for (int i = 0; d->part != NULL && i < d->nparts; i++)
		buf_release(&d->part[i]);
	free(d->part);
	d->part = NULL;
}

void smtp_dialogue_begin(struct smtp_dialogue *d, int part)
{
	buf_clear(&d->part[part]);
}

/* "12.345 > ": seconds from the start. Written for every message, so without printf. */
static void put_stamp(struct buf *b, ms_t span, char mark)
{
	char s[24];
	size_t i = sizeof s;
	uint64_t n = span > 0 ? (uint64_t)span : 0;
	s[--i] = ' ';
	s[--i] = mark;
	s[--i] = ' ';
	for (int digits = 0; n != 0 || digits < 4; digits++, n /= 10) {
		if (digits == 3)
			s[--i] = '.';
		s[--i] = (char)('0' + n % 10);
	}
	buf_add(b, s + i, sizeof s - i);
}

static struct buf *begin_line(struct smtp_dialogue *d, int part, char mark, ms_t now)
{
	struct buf *b = &d->part[part];
	if (d->start == 0)
		d->start = now;
	put_stamp(b, now - d->start, mark);
	return b;
}

static void end_line(struct buf *b, struct str text)
{
	while (text.n != 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	while (text.n != 0 && (text.p[0] == '\n' || text.p[0] == '\r'))
		text = str_n(text.p + 1, text.n - 1);
	bool whole = text.n <= LINE_MAX_KEPT;
	buf_add(b, text.p, whole ? text.n : LINE_MAX_KEPT);
	buf_str(b, whole ? STR("\n") : STR(" …\n"));
}

void smtp_dialogue_command(struct smtp_dialogue *d, int part, struct str line, ms_t now)
{
	end_line(begin_line(d, part, '>', now), line);
}

void smtp_dialogue_reply(struct smtp_dialogue *d, int part, const struct smtp_reply *r, ms_t now)
{
	struct buf *b = begin_line(d, part, '<', now);
	const char code[] = {(char)('0' + r->code / 100), (char)('0' + r->code / 10 % 10),
		(char)('0' + r->code % 10), ' '};
	buf_add(b, code, sizeof code);
	if (r->enhanced[0] != '\0') {
		buf_puts(b, r->enhanced);
		buf_putc(b, ' ');
	}
	end_line(b, r->text);
}

void smtp_dialogue_note(struct smtp_dialogue *d, int part, struct str text, ms_t now)
{
	end_line(begin_line(d, part, '*', now), text);
}

void smtp_dialogue_message(struct smtp_dialogue *d, int part, size_t bytes, ms_t now)
{
	struct buf *b = begin_line(d, part, '>', now);
	char s[24];
	size_t i = sizeof s;
	do
		s[--i] = (char)('0' + bytes % 10);
	while ((bytes /= 10) != 0);
	buf_str(b, STR("(a message of "));
	buf_add(b, s + i, sizeof s - i);
	buf_str(b, STR(" bytes)\n"));
}

static void put_part(struct buf *out, const struct buf *b)
{
	struct str s = buf_get(b);
	if (b->failed) { /* the last line may have been cut short */
		while (s.n != 0 && s.p[s.n - 1] != '\n')
			s.n--;
	}
	buf_str(out, s);
	if (b->failed)
		buf_puts(out, "…\n");
}

void smtp_dialogue_get(const struct smtp_dialogue *d, int part, struct buf *out)
{
	put_part(out, &d->part[DIALOGUE_SESSION]);
	if (part != DIALOGUE_SESSION)
		put_part(out, &d->part[part]);
}
