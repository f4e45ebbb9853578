#include "engine/smtp/server_path.h"
#include "engine/smtp/server_private.h"

void server_helo_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code != 250) {
		server_say(s, a);
		return;
	}
	const struct smtp_server_options *o = s->o;
	s->greeted = true;
	server_reset(s);
	if (!s->extended) {
		server_reply(s, 250, NULL, o->name);
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
		server_reply(s, 421, "4.3.0", "Out of memory");
	else
		server_reply(s, 250, NULL, buf_cstr(&b));
	buf_release(&b);
}

static void cmd_helo(struct smtp_server *s, struct str arg, bool extended)
{
	if (arg.n == 0 || arg.n > HELO_MAX || str_find(arg, ' ') < arg.n) {
		server_refuse(s, 501, "5.5.4", "Say your host name");
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
		server_helo_answered(s, a);
}

void server_auth_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code == 235)
		s->authenticated = true;
	server_say(s, a);
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
		server_auth_answered(s, a);
}

/* authorization NUL user NUL password */
static void auth_plain(struct smtp_server *s, struct str encoded)
{
	char plain[1024];
	size_t n = smtp_base64(encoded, plain, sizeof plain);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1) {
		server_refuse(s, 501, "5.5.2", "Not base64");
		return;
	}
	struct str all = str_n(plain, n);
	size_t a = str_find(all, '\0');
	size_t b = a < n ? a + 1 + str_find(str_n(plain + a + 1, n - a - 1), '\0') : n;
	if (b >= n) {
		server_refuse(s, 501, "5.5.2", "Not a PLAIN response");
		return;
	}
	auth_decide(s, str_n(plain + a + 1, b - a - 1), str_n(plain + b + 1, n - b - 1));
}

static void auth_user(struct smtp_server *s, struct str encoded)
{
	size_t n = smtp_base64(encoded, s->user, sizeof s->user);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1) {
		server_refuse(s, 501, "5.5.2", "Not base64");
		return;
	}
	s->user_len = n;
	s->mode = MODE_AUTH_PASSWORD;
	server_reply(s, 334, NULL, "UGFzc3dvcmQ6");
}

static void auth_password(struct smtp_server *s, struct str encoded)
{
	char password[512];
	size_t n = smtp_base64(encoded, password, sizeof password);
	s->mode = MODE_COMMAND;
	if (n == (size_t)-1)
		server_refuse(s, 501, "5.5.2", "Not base64");
	else
		auth_decide(s, str_n(s->user, s->user_len), str_n(password, n));
}

void server_auth_line(struct smtp_server *s, struct str line)
{
	enum mode m = s->mode;
	s->mode = MODE_COMMAND;
	if (str_eq(line, STR("*")))
		server_refuse(s, 501, "5.7.0", "Authentication cancelled");
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
		server_refuse(s, 502, "5.5.1", "AUTH is not offered");
	} else if (!s->tls && !s->o->auth_plaintext) {
		server_refuse(s, 538, "5.7.11", "Encryption required: STARTTLS first");
	} else if (s->authenticated || s->mail) {
		server_refuse(s, 503, "5.5.1", "Not now");
	} else if (str_is_nocase(method, "PLAIN")) {
		s->mode = MODE_AUTH_PLAIN;
		if (first.n != 0)
			auth_plain(s, first);
		else
			server_reply(s, 334, NULL, "");
	} else if (str_is_nocase(method, "LOGIN")) {
		s->mode = MODE_AUTH_USER;
		if (first.n != 0)
			auth_user(s, first);
		else
			server_reply(s, 334, NULL, "VXNlcm5hbWU6");
	} else {
		server_refuse(s, 504, "5.5.4", "Unknown authentication method");
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

static enum param mail_param(
	const struct smtp_server *s, struct str word, struct str value, struct smtp_mail *m)
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

void server_mail_answered(struct smtp_server *s, struct smtp_answer a)
{
	s->mail = a.code == 250;
	server_say(s, a);
}

/* What stands against MAIL before its arguments are looked at. */
static bool mail_allowed(struct smtp_server *s)
{
	if (!s->greeted)
		server_refuse(s, 503, "5.5.1", s->o->lmtp ? "LHLO first" : "EHLO first");
	else if (s->o->auth_required && !s->authenticated)
		server_refuse(s, 530, "5.7.0", "Authentication required");
	else if (s->mail)
		server_refuse(s, 503, "5.5.1", "A transaction is open");
	else if (s->limits.messages != 0 && s->messages >= s->limits.messages)
		server_reply(s, 421, "4.7.0", "Max message per connection reached, closing");
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
		server_refuse(s, 501, "5.1.7", "Bad sender address syntax");
		return;
	}
	while (smtp_param_take(&rest, &word, &value)) {
		enum param p = s->extended ? mail_param(s, word, value, &m) : PARAM_UNKNOWN;
		if (p != PARAM_OK) {
			server_refuse(s, p == PARAM_BAD ? 501 : 555, "5.5.4", "Parameter not understood");
			return;
		}
	}
	if (rest.n != 0)
		server_refuse(s, 501, "5.5.4", "Syntax error in parameters");
	else if (!m.utf8 && !is_ascii(m.from))
		server_refuse(s, 553, "5.6.7", "Non-ASCII address without SMTPUTF8");
	else if (s->limits.size != 0 && m.size > s->limits.size)
		server_refuse(s, 552, "5.3.4", "Message size exceeds the limit");
	else {
		struct smtp_answer a = {250, "2.1.0", "Ok"};
		if (s->ops->on_mail != NULL)
			a = s->ops->on_mail(s->ctx, &m);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_MAIL;
		else
			server_mail_answered(s, a);
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

void server_rcpt_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code >= 250 && a.code < 260)
		s->rcpts++;
	server_say(s, a);
}

static void cmd_rcpt(struct smtp_server *s, struct str arg)
{
	struct str path, rest;
	if (!s->mail || s->begun) {
		server_refuse(s, 503, "5.5.1", "MAIL first");
	} else if (!take_path(arg, "TO:", &path, &rest) || path.n == 0) {
		server_refuse(s, 501, "5.1.3", "Bad recipient address syntax");
	} else if (!rcpt_params(s, &rest)) {
		server_refuse(s, 555, "5.5.4", "Parameter not understood");
	} else if (!s->o->smtputf8 && !is_ascii(path)) {
		server_refuse(s, 553, "5.6.7", "Non-ASCII address without SMTPUTF8");
	} else if (s->rcpts >= s->limits.recipients) {
		server_refuse(s, 452, "4.5.3", "Too many recipients");
	} else {
		struct smtp_answer a = {250, "2.1.5", "Ok"};
		if (s->ops->on_rcpt != NULL)
			a = s->ops->on_rcpt(s->ctx, path);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_RCPT;
		else
			server_rcpt_answered(s, a);
	}
}

void server_data_answered(struct smtp_server *s, struct smtp_answer a)
{
	if (a.code != 354) {
		server_say(s, a);
		server_reset(s);
		return;
	}
	server_message_begin(s);
	s->mode = MODE_DATA;
	server_reply(s, 354, NULL, a.text != NULL ? a.text : "End with CRLF.CRLF");
}

static void cmd_data(struct smtp_server *s, struct str arg)
{
	if (arg.n != 0) {
		server_refuse(s, 501, "5.5.4", "DATA has no arguments");
	} else if (!s->mail || s->begun || s->failed_bdat) {
		server_refuse(s, 503, "5.5.1", "MAIL first");
	} else if (s->rcpts == 0) {
		server_refuse(s, 554, "5.5.1", "No valid recipients");
	} else {
		struct smtp_answer a = {354, NULL, NULL};
		if (s->ops->on_begin != NULL)
			a = s->ops->on_begin(s->ctx);
		if (a.code == SMTP_LATER)
			s->waiting = WAIT_BEGIN;
		else
			server_data_answered(s, a);
	}
}

static void cmd_starttls(struct smtp_server *s, struct str arg)
{
	if (!s->o->starttls)
		server_refuse(s, 502, "5.5.1", "STARTTLS is not offered");
	else if (arg.n != 0)
		server_refuse(s, 501, "5.5.4", "STARTTLS has no arguments");
	else if (s->tls || s->mail || !s->greeted)
		server_refuse(s, 503, "5.5.1", "Not now");
	else {
		server_reply(s, 220, "2.0.0", "Ready to start TLS");
		s->mode = MODE_TLS;
	}
}

static void cmd_hello(struct smtp_server *s, struct str arg)
{
	(void)arg;
	server_refuse(s, 500, "5.5.1", s->o->lmtp ? "This is LMTP: say LHLO" : "This is SMTP: say EHLO");
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
	server_reset(s);
	server_reply(s, 250, "2.0.0", "Ok");
}

static void cmd_noop(struct smtp_server *s, struct str arg)
{
	(void)arg;
	server_reply(s, 250, "2.0.0", "Ok");
}

static void cmd_vrfy(struct smtp_server *s, struct str arg)
{
	(void)arg;
	server_reply(s, 252, "2.5.0", "Cannot verify; send some mail and see");
}

static void cmd_quit(struct smtp_server *s, struct str arg)
{
	(void)arg;
	server_reply(s, 221, "2.0.0", "Bye");
	s->mode = MODE_CLOSING;
}

static const struct command {
	const char *word;
	void (*run)(struct smtp_server *s, struct str arg);
} commands[] = {
	{"EHLO", cmd_ehlo},
	{"HELO", cmd_helo_plain},
	{"LHLO", cmd_lhlo},
	{"MAIL", cmd_mail},
	{"RCPT", cmd_rcpt},
	{"DATA", cmd_data},
	{"BDAT", server_bdat},
	{"RSET", cmd_rset},
	{"NOOP", cmd_noop},
	{"VRFY", cmd_vrfy},
	{"AUTH", cmd_auth},
	{"STARTTLS", cmd_starttls},
	{"QUIT", cmd_quit},
};

static const struct command *find_command(const struct smtp_server *s, struct str word)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (str_is_nocase(word, commands[i].word))
			return commands[i].run == server_bdat && !s->o->chunking ? NULL : &commands[i];
	return NULL;
}

void server_command_line(struct smtp_server *s, struct str line)
{
	struct str word = str_n(line.p, str_find(line, ' '));
	struct str arg = str_trim(str_n(line.p + word.n, line.n - word.n));
	const struct command *c = find_command(s, word);
	s->commands++;
	if (s->limits.commands != 0 && s->commands > s->limits.commands)
		server_reply(s, 421, "4.7.0", "Too many commands, closing");
	else if (c == NULL)
		server_refuse(s, 500, "5.5.2", "Command not understood");
	else if (s->refused && c->run != cmd_quit)
		server_refuse(s, 503, "5.5.1", "No service");
	else
		c->run(s, arg);
}
