#include "engine/smtp/server_private.h"

/* ---- the end of a message ---- */

static void message_over(struct smtp_server *s)
{
	s->messages++;
	if (s->mode != MODE_CLOSING)
		s->mode = MODE_COMMAND;
	server_reset(s);
}

/* What the core itself has against the message, if anything. */
static struct smtp_answer own_verdict(const struct smtp_server *s)
{
	if (s->limits.size != 0 && s->size > s->limits.size)
		return (struct smtp_answer){552, "5.3.4", "Message too big"};
	if (s->bare)
		return (struct smtp_answer){550, "5.6.11", "Bare CR or LF in the message"};
	if (s->long_line)
		return (struct smtp_answer){500, "5.6.0", "Line too long"};
	if (s->unwanted)
		return (struct smtp_answer){452, "4.3.1", "Cannot take this message now"};
	return (struct smtp_answer){250, NULL, NULL};
}

void server_message_ask(struct smtp_server *s)
{
	struct smtp_answer own = own_verdict(s);
	int count = s->o->lmtp ? (int)s->rcpts : 1;
	while (s->next_rcpt < count && s->mode != MODE_CLOSING) {
		struct smtp_answer a = own;
		if (own.code == 250 && s->ops->on_message != NULL)
			a = s->ops->on_message(s->ctx, s->o->lmtp ? s->next_rcpt : -1);
		else if (own.code == 250)
			a = (struct smtp_answer){250, "2.0.0", "Ok"};
		if (a.code == SMTP_LATER) {
			s->waiting = WAIT_MESSAGE;
			return;
		}
		s->next_rcpt++;
		server_say(s, a);
	}
	message_over(s);
}

static void message_end(struct smtp_server *s)
{
	s->next_rcpt = 0;
	if (s->mode != MODE_CLOSING)
		s->mode = MODE_COMMAND;
	server_message_ask(s);
}

void server_message_begin(struct smtp_server *s)
{
	s->begun = true;
	s->text = TEXT_START;
	s->size = 0;
	s->text_line = 0;
	s->unwanted = s->bare = s->long_line = false;
}

static void message_piece(struct smtp_server *s, const char *p, size_t n)
{
	if (n == 0)
		return;
	s->size += n;
	if (s->unwanted || (s->limits.size != 0 && s->size > s->limits.size))
		return;
	if (s->ops->on_data != NULL && !s->ops->on_data(s->ctx, str_n(p, n)))
		s->unwanted = true;
}

/* ---- the text of DATA ---- */

/* From p[i] in the middle of a line: to its CR or LF, or to the end. */
static size_t text_run(struct smtp_server *s, const char *p, size_t i, size_t n)
{
	const char *lf = memchr(p + i, '\n', n - i);
	size_t end = lf != NULL ? (size_t)(lf - p) : n;
	const char *cr = memchr(p + i, '\r', end - i);
	if (cr != NULL)
		end = (size_t)(cr - p);
	s->text_line += (unsigned)(end - i);
	if (s->limits.text_line != 0 && s->text_line > s->limits.text_line)
		s->long_line = true;
	return end;
}

/* One byte that is not in the middle of a line's text; *from is where the bytes not yet handed on begin.
 * True: the end. */
static bool text_step(struct smtp_server *s, const char *p, size_t i, size_t *from)
{
	char c = p[i];
	switch (s->text) {
	case TEXT_START:
		s->text_line = 0;
		if (c == '.') {
			message_piece(s, p + *from, i - *from);
			*from = i + 1;
			s->text = TEXT_DOT;
			return false;
		}
		break;
	case TEXT_DOT:
		if (c == '\r') {
			*from = i + 1;
			s->text = TEXT_DOT_CR;
			return false;
		}
		break;
	case TEXT_DOT_CR:
		if (c == '\n') {
			*from = i + 1;
			return true;
		}
		message_piece(s, "\r", 1);
		s->bare = true;
		break;
	case TEXT_CR:
		if (c == '\n') {
			s->text = TEXT_START;
			return false;
		}
		s->bare = true;
		break;
	case TEXT_LINE:
		break;
	}
	if (c == '\n')
		s->bare = true;
	else if (c != '\r')
		s->text_line++;
	s->text = c == '\r' ? TEXT_CR : TEXT_LINE;
	return false;
}

size_t server_text_input(struct smtp_server *s, const char *p, size_t n)
{
	size_t from = 0, i = 0;
	while (i < n) {
		if (s->text == TEXT_LINE) {
			i = text_run(s, p, i, n);
			if (i == n)
				break;
		}
		if (text_step(s, p, i++, &from)) {
			message_end(s);
			return i;
		}
	}
	/* A dot or CR that may belong to the end is held back: from then points behind it. */
	message_piece(s, p + from, n - from);
	return n;
}

/* ---- BDAT ---- */

static void bdat_fail(struct smtp_server *s, int code)
{
	if (!s->failed_bdat)
		s->bdat_code = code;
	s->failed_bdat = true;
}

static void bdat_done(struct smtp_server *s)
{
	s->mode = MODE_COMMAND;
	if (s->failed_bdat)
		server_refuse(s, s->bdat_code, NULL, s->bdat_code == 503 ? "No transaction" : "Not now");
	else if (s->last)
		message_end(s);
	else
		server_reply(s, 250, "2.0.0", "Ok");
}

size_t server_bdat_input(struct smtp_server *s, const char *p, size_t n)
{
	size_t take = n < s->left ? n : (size_t)s->left;
	if (!s->failed_bdat)
		message_piece(s, p, take);
	s->left -= take;
	if (s->left == 0)
		bdat_done(s);
	return take;
}

void server_bdat_begun(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == SMTP_DROP || a.code == 421)
		server_say(s, a);
	else if (a.code >= 400)
		bdat_fail(s, a.code);
	else
		server_message_begin(s);
	if (s->mode == MODE_CLOSING)
		return;
	s->mode = MODE_BDAT;
	if (s->left == 0)
		bdat_done(s);
}

void server_bdat(struct smtp_server *s, struct str arg)
{
	size_t blank = str_find(arg, ' ');
	long long size;
	struct str last = blank < arg.n ? str_trim(str_n(arg.p + blank, arg.n - blank)) : str_n(NULL, 0);
	if (!str_int(str_n(arg.p, blank), 0, 1LL << 40, &size) ||
		(last.n != 0 && !str_is_nocase(last, "LAST"))) {
		/* How much follows is not known: nothing can be read any more. */
		server_reply(s, 421, "4.5.4", "BDAT without a size, closing");
		return;
	}
	s->left = (uint64_t)size;
	s->last = last.n != 0;
	if (s->rcpts == 0)
		bdat_fail(s, 503);
	struct smtp_answer a = {250, NULL, NULL};
	if (!s->begun && !s->failed_bdat) {
		if (s->ops->on_begin != NULL)
			a = s->ops->on_begin(s->ctx);
		if (a.code == SMTP_LATER) {
			s->waiting = WAIT_BDAT;
			return;
		}
		server_bdat_begun(s, a);
		return;
	}
	s->mode = MODE_BDAT;
	if (s->left == 0)
		bdat_done(s);
}
