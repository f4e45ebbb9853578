#include "engine/smtp/server_private.h"

#include <assert.h>
#include <stdlib.h>

#define OUT_FULL (16 << 10) /* output that rests this high stops the input */
#define OUT_MAX  (64 << 10)
#define AUTH_MAX 12288 /* bytes of a line of AUTH (RFC 4954 4) */

/* ---- replies ---- */

static void put_safe(struct buf *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_putc(b, p[i] >= ' ' && p[i] < 0x7f ? p[i] : '?');
}

void server_reply(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
	if (s->mode == MODE_CLOSING)
		return;
	for (const char *p = text != NULL ? text : "";;) {
		size_t n = strcspn(p, "\n");
		buf_printf(&s->out, "%03d%c", code, p[n] == '\n' ? '-' : ' ');
		if (enhanced != NULL)
			buf_printf(&s->out, "%s ", enhanced);
		put_safe(&s->out, p, n < 900 ? n : 900);
		buf_puts(&s->out, "\r\n");
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	if (code == 421 || s->out.failed)
		s->mode = MODE_CLOSING;
}

void server_refuse(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
	if (++s->errors >= s->limits.errors && code != 421)
		server_reply(s, 421, "4.7.0", "Too many errors, closing");
	else
		server_reply(s, code, enhanced, text);
}

void server_say(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == SMTP_DROP) {
		s->mode = MODE_CLOSING;
	} else if (a.code >= 400) {
		server_refuse(s, a.code, a.enhanced, a.text);
	} else {
		server_reply(s, a.code, a.enhanced, a.text);
	}
}

void server_reset(struct smtp_server *s)
{
	s->mail = s->failed_bdat = s->begun = false;
	s->rcpts = 0;
	if (s->ops->on_reset != NULL)
		s->ops->on_reset(s->ctx);
}

/* ---- lines ---- */

static void line_complete(struct smtp_server *s)
{
	struct str line = buf_get(&s->line);
	bool nul = line.n != 0 && memchr(line.p, '\0', line.n) != NULL;
	if (s->overlong || s->line.failed || nul) {
		s->mode = MODE_COMMAND;
		server_refuse(s, 500, "5.5.2", nul ? "NUL in a command" : "Line too long");
	} else if (s->mode == MODE_COMMAND) {
		server_command_line(s, line);
	} else {
		server_auth_line(s, line);
	}
	buf_clear(&s->line);
	s->overlong = s->cr = false;
}

/* Takes bytes up to the end of one line. */
static size_t line_input(struct smtp_server *s, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t len = lf != NULL ? (size_t)(lf - p) : n;
	size_t max = s->mode == MODE_COMMAND ? s->limits.line : AUTH_MAX;
	bool cr = len != 0 ? p[len - 1] == '\r' : s->cr;
	if (s->line.len + len > max)
		s->overlong = true;
	else
		buf_add(&s->line, p, len);
	s->cr = cr;
	if (lf == NULL)
		return n;
	if (!s->overlong && !s->line.failed && cr)
		s->line.p[--s->line.len] = '\0';
	if (!cr || (s->line.len != 0 && memchr(s->line.p, '\r', s->line.len) != NULL))
		/* Two programs that disagree on what a line is can be played against each other: end it here.
		 */
		server_reply(s, 421, "4.5.2", "Bare CR or LF, closing");
	else
		line_complete(s);
	return len + 1;
}

static bool may_read(const struct smtp_server *s)
{
	return s->waiting == WAIT_NONE && s->out.len < OUT_FULL;
}

size_t smtp_server_input(struct smtp_server *s, const char *p, size_t n)
{
	size_t at = 0;
	while (at < n && may_read(s)) {
		if (s->mode == MODE_CLOSING || s->mode == MODE_TLS)
			return n;
		if (s->mode == MODE_DATA)
			at += server_text_input(s, p + at, n - at);
		else if (s->mode == MODE_BDAT)
			at += server_bdat_input(s, p + at, n - at);
		else
			at += line_input(s, p + at, n - at);
	}
	return at;
}

void smtp_server_answer(struct smtp_server *s, struct smtp_answer a)
{
	enum waiting w = s->waiting;
	assert(w != WAIT_NONE && a.code != SMTP_LATER);
	s->waiting = WAIT_NONE;
	switch (w) {
	case WAIT_HELO:
		server_helo_answered(s, a);
		break;
	case WAIT_AUTH:
		server_auth_answered(s, a);
		break;
	case WAIT_MAIL:
		server_mail_answered(s, a);
		break;
	case WAIT_RCPT:
		server_rcpt_answered(s, a);
		break;
	case WAIT_BEGIN:
		server_data_answered(s, a);
		break;
	case WAIT_BDAT:
		server_bdat_begun(s, a);
		break;
	case WAIT_MESSAGE:
		s->next_rcpt++;
		server_say(s, a);
		server_message_ask(s);
		break;
	case WAIT_NONE:
		break;
	}
}

/* ---- life ---- */

struct smtp_server *smtp_server_new(
	const struct smtp_server_options *o, const struct smtp_server_ops *ops, void *ctx)
{
	struct smtp_server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->o = o;
	s->ops = ops;
	s->ctx = ctx;
	s->limits = o->limits;
	if (s->limits.line == 0)
		s->limits.line = 2048;
	if (s->limits.recipients == 0)
		s->limits.recipients = 100;
	if (s->limits.errors == 0)
		s->limits.errors = 20;
	buf_init(&s->line, s->limits.line > AUTH_MAX ? s->limits.line : AUTH_MAX);
	buf_init(&s->out, OUT_MAX);
	return s;
}

void smtp_server_free(struct smtp_server **s)
{
	if (*s == NULL)
		return;
	buf_release(&(*s)->line);
	buf_release(&(*s)->out);
	free(*s);
	*s = NULL;
}

void smtp_server_start(struct smtp_server *s, struct smtp_answer a)
{
	struct buf b = BUF_INIT(1024);
	buf_printf(&b, "%s %s", s->o->name, a.text != NULL ? a.text : s->o->lmtp ? "LMTP" : "ESMTP");
	s->refused = a.code != 220;
	if (a.code == SMTP_DROP)
		s->mode = MODE_CLOSING;
	else
		server_reply(s, a.code, a.enhanced, buf_cstr(&b));
	buf_release(&b);
}

struct str smtp_server_output(const struct smtp_server *s)
{
	return buf_get(&s->out);
}

void smtp_server_written(struct smtp_server *s, size_t n)
{
	buf_drop(&s->out, n);
}

bool smtp_server_wants_tls(const struct smtp_server *s)
{
	return s->mode == MODE_TLS;
}

void smtp_server_tls_done(struct smtp_server *s)
{
	assert(s->mode == MODE_TLS || (s->commands == 0 && s->out.len == 0));
	s->mode = MODE_COMMAND;
	s->tls = true;
	s->greeted = s->extended = s->authenticated = false;
	s->helo[0] = '\0';
	server_reset(s);
}

bool smtp_server_closing(const struct smtp_server *s)
{
	return s->mode == MODE_CLOSING;
}

void smtp_server_close(struct smtp_server *s, const char *enhanced, const char *text)
{
	s->waiting = WAIT_NONE;
	server_reply(s, 421, enhanced, text);
}

struct smtp_server_state smtp_server_state(const struct smtp_server *s)
{
	return (struct smtp_server_state){.greeted = s->greeted,
		.tls = s->tls,
		.authenticated = s->authenticated,
		.in_data = s->mode == MODE_DATA || s->mode == MODE_BDAT,
		.helo = str_from(s->helo),
		.messages = s->messages,
		.commands = s->commands,
		.errors = s->errors,
		.recipients = s->rcpts};
}
