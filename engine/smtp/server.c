#include "engine/smtp/server.h"

#include "engine/smtp/server_path.h"
#include "src/base/buf.h"

#include <assert.h>
#include <stdlib.h>

#define OUT_FULL (16 << 10) /* output that rests this high stops the input */
#define OUT_MAX  (64 << 10)
#define HELO_MAX 255

enum mode { MODE_COMMAND, MODE_AUTH_PLAIN, MODE_AUTH_USER, MODE_AUTH_PASSWORD, MODE_DATA, MODE_BDAT, MODE_TLS, MODE_CLOSING };

/* Where we are in the text of DATA. A line of one dot ends it; another dot at the start of a line is taken off. */
enum text_state { TEXT_START, TEXT_DOT, TEXT_DOT_CR, TEXT_LINE, TEXT_CR };

/* Which answer is awaited after SMTP_LATER. */
enum waiting { WAIT_NONE, WAIT_HELO, WAIT_AUTH, WAIT_MAIL, WAIT_RCPT, WAIT_BEGIN, WAIT_BDAT, WAIT_MESSAGE };

struct smtp_server {
	const struct smtp_server_options *o;
	const struct smtp_server_ops *ops;
	void *ctx;
	struct smtp_server_limits limits;
	struct buf line, out;
	enum mode mode;
	enum waiting waiting;
	bool refused;     /* the greeting was no 220 */
	bool greeted, extended, tls, authenticated;
	bool overlong;    /* the line is too long; the rest of it is passed over */
	bool cr;          /* the last byte of the line was CR */
	bool mail;        /* a transaction is open */
	bool failed_bdat; /* what follows until RSET is swallowed */
	unsigned rcpts;
	unsigned long messages, commands, errors;
	char helo[HELO_MAX + 1];
	char user[512];
	size_t user_len;
	/* the message */
	enum text_state text;
	uint64_t size, left; /* taken so far; left of a BDAT chunk */
	unsigned text_line;
	bool last, begun, unwanted, bare, long_line;
	int next_rcpt;    /* LMTP: whose answer is next */
};

/* ---- replies ---- */

static void put_safe(struct buf *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_putc(b, p[i] >= ' ' && p[i] < 0x7f ? p[i] : '?');
}

static void reply(struct smtp_server *s, int code, const char *enhanced, const char *text)
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

static void refuse(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
	if (++s->errors >= s->limits.errors && code != 421)
		reply(s, 421, "4.7.0", "Too many errors, closing");
	else
		reply(s, code, enhanced, text);
}

static void answer(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == SMTP_DROP) {
		buf_clear(&s->out);
		s->mode = MODE_CLOSING;
	} else if (a.code >= 400) {
		refuse(s, a.code, a.enhanced, a.text);
	} else {
		reply(s, a.code, a.enhanced, a.text);
	}
}

static void reset(struct smtp_server *s)
{
	s->mail = s->failed_bdat = s->begun = false;
	s->rcpts = 0;
	if (s->ops->on_reset != NULL)
		s->ops->on_reset(s->ctx);
}

/* ---- the end of a message ---- */

static void message_over(struct smtp_server *s)
{
	s->messages++;
	if (s->mode != MODE_CLOSING)
		s->mode = MODE_COMMAND;
	reset(s);
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

static void message_ask(struct smtp_server *s)
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
		answer(s, a);
	}
	message_over(s);
}

static void message_end(struct smtp_server *s)
{
	s->next_rcpt = 0;
	if (s->mode != MODE_CLOSING)
		s->mode = MODE_COMMAND;
	message_ask(s);
}

static void message_begin(struct smtp_server *s)
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

/* One byte that is not in the middle of a line's text; *from is where the bytes not yet handed on begin. True: the end. */
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

static size_t text_input(struct smtp_server *s, const char *p, size_t n)
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

static void bdat_done(struct smtp_server *s)
{
	s->mode = MODE_COMMAND;
	if (s->failed_bdat)
		refuse(s, 503, "5.5.1", "BDAT without a transaction");
	else if (s->last)
		message_end(s);
	else
		reply(s, 250, "2.0.0", "Ok");
}

static size_t bdat_input(struct smtp_server *s, const char *p, size_t n)
{
	size_t take = n < s->left ? n : (size_t)s->left;
	if (!s->failed_bdat)
		message_piece(s, p, take);
	s->left -= take;
	if (s->left == 0)
		bdat_done(s);
	return take;
}

static void bdat_begun(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == SMTP_DROP || a.code == 421)
		answer(s, a);
	else if (a.code >= 400)
		s->failed_bdat = true;
	else
		message_begin(s);
	if (s->mode == MODE_CLOSING)
		return;
	s->mode = MODE_BDAT;
	if (s->left == 0)
		bdat_done(s);
}

static void cmd_bdat(struct smtp_server *s, struct str arg)
{
	size_t blank = str_find(arg, ' ');
	long long size;
	struct str last = blank < arg.n ? str_trim(str_n(arg.p + blank, arg.n - blank)) : str_n(NULL, 0);
	if (!str_int(str_n(arg.p, blank), 0, 1LL << 40, &size) || (last.n != 0 && !str_is_nocase(last, "LAST"))) {
		/* How much follows is not known: nothing can be read any more. */
		reply(s, 421, "4.5.4", "BDAT without a size, closing");
		return;
	}
	s->left = (uint64_t)size;
	s->last = last.n != 0;
	if (s->rcpts == 0)
		s->failed_bdat = true;
	struct smtp_answer a = {250, NULL, NULL};
	if (!s->begun && !s->failed_bdat) {
		if (s->ops->on_begin != NULL)
			a = s->ops->on_begin(s->ctx);
		if (a.code == SMTP_LATER) {
			s->waiting = WAIT_BDAT;
			return;
		}
		bdat_begun(s, a);
		return;
	}
	s->mode = MODE_BDAT;
	if (s->left == 0)
		bdat_done(s);
}

/* ---- commands ---- */

static void helo_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code != 250) {
		answer(s, a);
		return;
	}
	const struct smtp_server_options *o = s->o;
	s->greeted = true;
	reset(s);
	if (!s->extended) {
		reply(s, 250, NULL, o->name);
		return;
	}
	struct buf b = BUF_INIT(1024);
	buf_printf(&b, "%s\n8BITMIME\nENHANCEDSTATUSCODES", o->name);
	if (!o->no_pipelining)
		buf_puts(&b, "\nPIPELINING");
	if (s->limits.size != 0)
		buf_printf(&b, "\nSIZE %llu", (unsigned long long)s->limits.size);
	if (o->chunking)
		buf_puts(&b, "\nCHUNKING");
	if (o->smtputf8)
		buf_puts(&b, "\nSMTPUTF8");
	if (o->dsn)
		buf_puts(&b, "\nDSN");
	if (o->starttls && !s->tls)
		buf_puts(&b, "\nSTARTTLS");
	if (o->auth && (s->tls || o->auth_plaintext))
		buf_puts(&b, "\nAUTH PLAIN LOGIN");
	if (b.failed)
		reply(s, 421, "4.3.0", "Out of memory");
	else
		reply(s, 250, NULL, buf_cstr(&b));
	buf_release(&b);
}

static void cmd_helo(struct smtp_server *s, struct str arg, bool extended)
{
	if (arg.n == 0 || arg.n > HELO_MAX || str_find(arg, ' ') < arg.n) {
		refuse(s, 501, "5.5.4", "Say your host name");
		return;
	}
	memcpy(s->helo, arg.p, arg.n);
	s->helo[arg.n] = '\0';
	s->extended = extended;
	struct smtp_answer a = {250, NULL, NULL};
	if (s->ops->on_helo != NULL)
		a = s->ops->on_helo(s->ctx, str_from(s->helo));
	if (a.code == SMTP_LATER)
		s->waiting = WAIT_HELO;
	else
		helo_answered(s, a);
}

static void auth_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == 235)
		s->authenticated = true;
	answer(s, a);
}

static void auth_decide(struct smtp_server *s, struct str user, struct str password)
{
	struct smtp_answer a = {535, "5.7.8", "Authentication failed"};
	s->mode = MODE_COMMAND;
	if (s->ops->on_auth != NULL)
		a = s->ops->on_auth(s->ctx, user, password);
	if (a.code == SMTP_LATER)
		s->waiting = WAIT_AUTH;
	else
		auth_answered(s, a);
}

/* authorization NUL user NUL password */
static void auth_plain(struct smtp_server *s, struct str encoded)
{
	char plain[1024];
	size_t n = smtp_base64(encoded, plain, sizeof plain);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1) {
		refuse(s, 501, "5.5.2", "Not base64");
		return;
	}
	struct str all = str_n(plain, n);
	size_t a = str_find(all, '\0');
	size_t b = a < n ? a + 1 + str_find(str_n(plain + a + 1, n - a - 1), '\0') : n;
	if (b >= n) {
		refuse(s, 501, "5.5.2", "Not a PLAIN response");
		return;
	}
	auth_decide(s, str_n(plain + a + 1, b - a - 1), str_n(plain + b + 1, n - b - 1));
}

static void auth_user(struct smtp_server *s, struct str encoded)
{
	size_t n = smtp_base64(encoded, s->user, sizeof s->user);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1) {
		refuse(s, 501, "5.5.2", "Not base64");
		return;
	}
	s->user_len = n;
	s->mode = MODE_AUTH_PASSWORD;
	reply(s, 334, NULL, "UGFzc3dvcmQ6");
}

static void auth_password(struct smtp_server *s, struct str encoded)
{
	char password[512];
	size_t n = smtp_base64(encoded, password, sizeof password);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1)
		refuse(s, 501, "5.5.2", "Not base64");
	else
		auth_decide(s, str_n(s->user, s->user_len), str_n(password, n));
}

static void auth_line(struct smtp_server *s, struct str line)
{
	enum mode m = s->mode;
	s->mode = MODE_COMMAND;
	if (str_eq(line, STR("*")))
		refuse(s, 501, "5.7.0", "Authentication cancelled");
	else if (m == MODE_AUTH_PLAIN)
		auth_plain(s, line);
	else if (m == MODE_AUTH_USER)
		auth_user(s, line);
	else
		auth_password(s, line);
}

static void cmd_auth(struct smtp_server *s, struct str arg)
{
	size_t blank = str_find(arg, ' ');
	struct str method = str_n(arg.p, blank);
	struct str first = blank < arg.n ? str_trim(str_n(arg.p + blank, arg.n - blank)) : str_n(NULL, 0);
	if (!s->o->auth || !s->extended) {
		refuse(s, 502, "5.5.1", "AUTH is not offered");
	} else if (!s->tls && !s->o->auth_plaintext) {
		refuse(s, 538, "5.7.11", "Encryption required: STARTTLS first");
	} else if (s->authenticated || s->mail) {
		refuse(s, 503, "5.5.1", "Not now");
	} else if (str_is_nocase(method, "PLAIN")) {
		s->mode = MODE_AUTH_PLAIN;
		if (first.n != 0)
			auth_plain(s, first);
		else
			reply(s, 334, NULL, "");
	} else if (str_is_nocase(method, "LOGIN")) {
		s->mode = MODE_AUTH_USER;
		if (first.n != 0)
			auth_user(s, first);
		else
			reply(s, 334, NULL, "VXNlcm5hbWU6");
	} else {
		refuse(s, 504, "5.5.4", "Unknown authentication method");
	}
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* "FROM:" or "TO:", then the path. */
static bool take_path(struct str arg, const char *word, struct str *path, struct str *rest)
{
	size_t n = strlen(word);
	if (arg.n < n || strncasecmp(arg.p, word, n) != 0)
		return false;
	*rest = str_n(arg.p + n, arg.n - n);
	while (rest->n != 0 && rest->p[0] == ' ')
		*rest = str_n(rest->p + 1, rest->n - 1);
	return smtp_path_take(rest, path);
}

enum param { PARAM_OK, PARAM_UNKNOWN, PARAM_BAD };

static enum param mail_param(const struct smtp_server *s, struct str word, struct str value, struct smtp_mail *m)
{
	long long size;
	if (str_is_nocase(word, "SIZE")) {
		if (!str_int(value, 0, INT64_MAX, &size))
			return PARAM_BAD;
		m->size = (uint64_t)size;
		return PARAM_OK;
	}
	if (str_is_nocase(word, "BODY")) {
		m->eightbit = str_is_nocase(value, "8BITMIME");
		return m->eightbit || str_is_nocase(value, "7BIT") ? PARAM_OK : PARAM_BAD;
	}
	if (s->o->smtputf8 && str_is_nocase(word, "SMTPUTF8")) {
		m->utf8 = true;
		return value.n == 0 ? PARAM_OK : PARAM_BAD;
	}
	if (s->o->dsn && str_is_nocase(word, "ENVID")) {
		m->envid = value;
		return value.n != 0 && value.n <= 100 ? PARAM_OK : PARAM_BAD;
	}
	if (s->o->dsn && str_is_nocase(word, "RET"))
		return str_is_nocase(value, "FULL") || str_is_nocase(value, "HDRS") ? PARAM_OK : PARAM_BAD;
	if (s->o->auth && str_is_nocase(word, "AUTH"))
		return PARAM_OK;
	return PARAM_UNKNOWN;
}

static void mail_answered(struct smtp_server *s, struct smtp_answer a)
{
	s->mail = a.code == 250;
	answer(s, a);
}

/* What stands against MAIL before its arguments are looked at. */
static bool mail_allowed(struct smtp_server *s)
{
	if (!s->greeted)
		refuse(s, 503, "5.5.1", s->o->lmtp ? "LHLO first" : "EHLO first");
	else if (s->o->auth_required && !s->authenticated)
		refuse(s, 530, "5.7.0", "Authentication required");
	else if (s->mail)
		refuse(s, 503, "5.5.1", "A transaction is open");
	else if (s->limits.messages != 0 && s->messages >= s->limits.messages)
		reply(s, 421, "4.7.0", "Max message per connection reached, closing");
	else
		return true;
	return false;
}

static void cmd_mail(struct smtp_server *s, struct str arg)
{
	struct smtp_mail m = {0};
	struct str rest, word, value;
	if (!mail_allowed(s))
		return;
	if (!take_path(arg, "FROM:", &m.from, &rest)) {
		refuse(s, 501, "5.1.7", "Bad sender address syntax");
		return;
	}
	while (smtp_param_take(&rest, &word, &value)) {
		enum param p = s->extended ? mail_param(s, word, value, &m) : PARAM_UNKNOWN;
		if (p != PARAM_OK) {
			refuse(s, p == PARAM_BAD ? 501 : 555, "5.5.4", "Parameter not understood");
			return;
		}
	}
	if (rest.n != 0)
		refuse(s, 501, "5.5.4", "Syntax error in parameters");
	else if (!m.utf8 && !is_ascii(m.from))
		refuse(s, 553, "5.6.7", "Non-ASCII address without SMTPUTF8");
	else if (s->limits.size != 0 && m.size > s->limits.size)
		refuse(s, 552, "5.3.4", "Message size exceeds the limit");
	else {
		struct smtp_answer a = {250, "2.1.0", "Ok"};
		if (s->ops->on_mail != NULL)
			a = s->ops->on_mail(s->ctx, &m);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_MAIL;
		else
			mail_answered(s, a);
	}
}

static bool rcpt_params(const struct smtp_server *s, struct str *rest)
{
	struct str word, value;
	while (smtp_param_take(rest, &word, &value)) {
		bool known = str_is_nocase(word, "NOTIFY") || str_is_nocase(word, "ORCPT");
		if (!s->o->dsn || !known || value.n == 0)
			return false;
	}
	return rest->n == 0;
}

static void rcpt_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code >= 250 && a.code < 260)
		s->rcpts++;
	answer(s, a);
}

static void cmd_rcpt(struct smtp_server *s, struct str arg)
{
	struct str path, rest;
	if (!s->mail || s->begun) {
		refuse(s, 503, "5.5.1", "MAIL first");
	} else if (!take_path(arg, "TO:", &path, &rest) || path.n == 0) {
		refuse(s, 501, "5.1.3", "Bad recipient address syntax");
	} else if (!rcpt_params(s, &rest)) {
		refuse(s, 555, "5.5.4", "Parameter not understood");
	} else if (!s->o->smtputf8 && !is_ascii(path)) {
		refuse(s, 553, "5.6.7", "Non-ASCII address without SMTPUTF8");
	} else if (s->rcpts >= s->limits.recipients) {
		refuse(s, 452, "4.5.3", "Too many recipients");
	} else {
		struct smtp_answer a = {250, "2.1.5", "Ok"};
		if (s->ops->on_rcpt != NULL)
			a = s->ops->on_rcpt(s->ctx, path);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_RCPT;
		else
			rcpt_answered(s, a);
	}
}

static void data_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code != 354) {
		answer(s, a);
		reset(s);
		return;
	}
	message_begin(s);
	s->mode = MODE_DATA;
	reply(s, 354, NULL, a.text != NULL ? a.text : "End with CRLF.CRLF");
}

static void cmd_data(struct smtp_server *s, struct str arg)
{
	if (arg.n != 0) {
		refuse(s, 501, "5.5.4", "DATA has no arguments");
	} else if (!s->mail || s->begun || s->failed_bdat) {
		refuse(s, 503, "5.5.1", "MAIL first");
	} else if (s->rcpts == 0) {
		refuse(s, 554, "5.5.1", "No valid recipients");
	} else {
		struct smtp_answer a = {354, NULL, NULL};
		if (s->ops->on_begin != NULL)
			a = s->ops->on_begin(s->ctx);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_BEGIN;
		else
			data_answered(s, a);
	}
}

static void cmd_starttls(struct smtp_server *s, struct str arg)
{
	if (!s->o->starttls)
		refuse(s, 502, "5.5.1", "STARTTLS is not offered");
	else if (arg.n != 0)
		refuse(s, 501, "5.5.4", "STARTTLS has no arguments");
	else if (s->tls || s->mail || !s->greeted)
		refuse(s, 503, "5.5.1", "Not now");
	else {
		reply(s, 220, "2.0.0", "Ready to start TLS");
		s->mode = MODE_TLS;
	}
}

static void cmd_hello(struct smtp_server *s, struct str arg)
{
	(void)arg;
	refuse(s, 500, "5.5.1", s->o->lmtp ? "This is LMTP: say LHLO" : "This is SMTP: say EHLO");
}

static void cmd_ehlo(struct smtp_server *s, struct str arg)
{
	if (s->o->lmtp)
		cmd_hello(s, arg);
	else
		cmd_helo(s, arg, true);
}

static void cmd_helo_plain(struct smtp_server *s, struct str arg)
{
	if (s->o->lmtp)
		cmd_hello(s, arg);
	else
		cmd_helo(s, arg, false);
}

static void cmd_lhlo(struct smtp_server *s, struct str arg)
{
	if (!s->o->lmtp)
		cmd_hello(s, arg);
	else
		cmd_helo(s, arg, true);
}

static void cmd_rset(struct smtp_server *s, struct str arg)
{
	(void)arg;
	reset(s);
	reply(s, 250, "2.0.0", "Ok");
}

static void cmd_noop(struct smtp_server *s, struct str arg)
{
	(void)arg;
	reply(s, 250, "2.0.0", "Ok");
}

static void cmd_vrfy(struct smtp_server *s, struct str arg)
{
	(void)arg;
	reply(s, 252, "2.5.0", "Cannot verify; send some mail and see");
}

static void cmd_quit(struct smtp_server *s, struct str arg)
{
	(void)arg;
	reply(s, 221, "2.0.0", "Bye");
	s->mode = MODE_CLOSING;
}

static const struct command {
	const char *word;
	void (*run)(struct smtp_server *s, struct str arg);
} commands[] = {
	{"EHLO", cmd_ehlo}, {"HELO", cmd_helo_plain}, {"LHLO", cmd_lhlo}, {"MAIL", cmd_mail}, {"RCPT", cmd_rcpt},
	{"DATA", cmd_data}, {"BDAT", cmd_bdat}, {"RSET", cmd_rset}, {"NOOP", cmd_noop}, {"VRFY", cmd_vrfy},
	{"AUTH", cmd_auth}, {"STARTTLS", cmd_starttls}, {"QUIT", cmd_quit},
};

static const struct command *find_command(const struct smtp_server *s, struct str word)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (str_is_nocase(word, commands[i].word))
			return commands[i].run == cmd_bdat && !s->o->chunking ? NULL : &commands[i];
	return NULL;
}

static void command_line(struct smtp_server *s, struct str line)
{
	struct str word = str_n(line.p, str_find(line, ' '));
	struct str arg = str_trim(str_n(line.p + word.n, line.n - word.n));
	const struct command *c = find_command(s, word);
	s->commands++;
	if (s->limits.commands != 0 && s->commands > s->limits.commands)
		reply(s, 421, "4.7.0", "Too many commands, closing");
	else if (c == NULL)
		refuse(s, 500, "5.5.2", "Command not understood");
	else if (s->refused && c->run != cmd_quit)
		refuse(s, 503, "5.5.1", "No service");
	else
		c->run(s, arg);
}

/* ---- lines ---- */

static void line_complete(struct smtp_server *s)
{
	struct str line = buf_get(&s->line);
	bool nul = line.n != 0 && memchr(line.p, '\0', line.n) != NULL;
	if (s->overlong || s->line.failed || nul) {
		s->mode = MODE_COMMAND;
		refuse(s, 500, "5.5.2", nul ? "NUL in a command" : "Line too long");
	} else if (s->mode == MODE_COMMAND) {
		command_line(s, line);
	} else {
		auth_line(s, line);
	}
	buf_clear(&s->line);
	s->overlong = s->cr = false;
}

/* Takes bytes up to the end of one line. */
static size_t line_input(struct smtp_server *s, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t len = lf != NULL ? (size_t)(lf - p) : n;
	size_t max = s->mode == MODE_COMMAND ? s->limits.line : 12288;
	bool cr = len != 0 ? p[len - 1] == '\r' : s->cr;
	if (s->line.len + len > max)
		s->overlong = true;
	else
		buf_add(&s->line, p, len);
	s->cr = cr;
	if (lf == NULL)
		return n;
	if (!s->overlong && cr)
		s->line.p[--s->line.len] = '\0';
	if (!cr || (s->line.len != 0 && memchr(s->line.p, '\r', s->line.len) != NULL))
		/* Two programs that disagree on what a line is can be played against each other: end it here. */
		reply(s, 421, "4.5.2", "Bare CR or LF, closing");
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
			at += text_input(s, p + at, n - at);
		else if (s->mode == MODE_BDAT)
			at += bdat_input(s, p + at, n - at);
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
		helo_answered(s, a);
		break;
	case WAIT_AUTH:
		auth_answered(s, a);
		break;
	case WAIT_MAIL:
		mail_answered(s, a);
		break;
	case WAIT_RCPT:
		rcpt_answered(s, a);
		break;
	case WAIT_BEGIN:
		data_answered(s, a);
		break;
	case WAIT_BDAT:
		bdat_begun(s, a);
		break;
	case WAIT_MESSAGE:
		s->next_rcpt++;
		answer(s, a);
		message_ask(s);
		break;
	case WAIT_NONE:
		break;
	}
}

/* ---- life ---- */

struct smtp_server *smtp_server_new(const struct smtp_server_options *o, const struct smtp_server_ops *ops, void *ctx)
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
	buf_init(&s->line, s->limits.line > 12288 ? s->limits.line : 12288);
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
		reply(s, a.code, a.enhanced, buf_cstr(&b));
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
	assert(s->mode == MODE_TLS);
	s->mode = MODE_COMMAND;
	s->tls = true;
	s->greeted = s->extended = s->authenticated = false;
	s->helo[0] = '\0';
	reset(s);
}

bool smtp_server_closing(const struct smtp_server *s)
{
	return s->mode == MODE_CLOSING;
}

void smtp_server_close(struct smtp_server *s, const char *enhanced, const char *text)
{
	s->waiting = WAIT_NONE;
	reply(s, 421, enhanced, text);
}

struct smtp_server_state smtp_server_state(const struct smtp_server *s)
{
	return (struct smtp_server_state){.greeted = s->greeted, .tls = s->tls, .authenticated = s->authenticated,
		.in_data = s->mode == MODE_DATA || s->mode == MODE_BDAT, .helo = str_from(s->helo), .messages = s->messages,
		.commands = s->commands, .errors = s->errors, .recipients = s->rcpts};
}
