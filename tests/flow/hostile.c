#include "tests/flow/hostile.h"

#include <stdio.h>
#include <stdlib.h>

const char *const hostile_stages[NSTAGES] = {"greeting", "EHLO", "STARTTLS", "EHLO under TLS", "AUTH", "MAIL",
	"RCPT", "DATA", "the end", "RSET", "QUIT"};
int hostile_played, hostile_hits;

/* ---- What it does in place of a reply ---- */

#define AT(s)       (1u << (s))
#define ENVELOPE    (AT(S_MAIL) | AT(S_RCPT))
#define SETUP       (AT(S_GREETING) | HELLO | AT(S_AUTH))
#define NOT(stages) (ANY_STAGE & ~(stages))
#define BYTES(s)    s, sizeof s - 1
#define REFUSAL(code)                                                                                        \
	{code " refuses", code " 5.0.0 no\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},                               \
		{code " refuses, hangs up", code " no\r\n", 0, HANGS_UP, PLAIN_FAULT, ANY_STAGE},            \
	{                                                                                                    \
		code " from now on", code " no\r\n", 0, 0, EVERYTHING, ANY_STAGE                             \
	}

const struct fault hostile_faults[] = {
	/* Too little. */
	{"silence", NULL, 0, UNREAD, PLAIN_FAULT, ANY_STAGE},
	{"no reply, but to what follows", NULL, 0, SHIFTS, MISSING, NOT(AT(S_QUIT))},
	{"hangs up", NULL, 0, HANGS_UP, PLAIN_FAULT, ANY_STAGE},
	{"hangs up within a reply", "25", 0, HANGS_UP, PLAIN_FAULT, ANY_STAGE},
	{"hangs up within a line end", "250 ok\r", 0, HANGS_UP, PLAIN_FAULT, ANY_STAGE},
	{"hangs up within several lines", "250-ok\r\n", 0, HANGS_UP, PLAIN_FAULT, ANY_STAGE},
	{"one line of several", "250-ok\r\n", 0, UNREAD, PLAIN_FAULT, ANY_STAGE},
	{"a line without end", "250 ok", 0, UNREAD, PLAIN_FAULT, ANY_STAGE},
	{"a bare CR", "250 ok\r", 0, UNREAD, PLAIN_FAULT, ANY_STAGE},
	{"a byte a minute", NULL, 0, 0, DRIP, ANY_STAGE},
	{"takes no more bytes", NULL, 0, UNREAD, BLOCKED, ANY_STAGE},
	{"no handshake", NULL, 0, 0, NO_HANDSHAKE, AT(S_STARTTLS)},
	/* What is no reply. */
	{"words", BYTES("hello there\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"an empty line", BYTES("\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"NULs", BYTES("\0\0\0\0\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"a NUL in the code", BYTES("25\0 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"noise", BYTES("\x16\x03\x01\xff\xfe\x80\x0e\x1b[2J\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"two digits", BYTES("25 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"four digits", BYTES("2500 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"a blank in front", BYTES(" 250 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"code 000", BYTES("000 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"code 150", BYTES("150 wait\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"code 999", BYTES("999 what\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"words within several lines", BYTES("250-ok\r\nhello\r\n250 ok\r\n"), FATAL, PLAIN_FAULT, ANY_STAGE},
	{"200 lines", NULL, 0, FATAL, LINES, ANY_STAGE},
	{"a line of 9 KB", NULL, 0, FATAL, LONG_LINE, ANY_STAGE},
	{"9 KB without a line end", NULL, 0, FATAL, ENDLESS_LINE, ANY_STAGE},
	{"a reply of 80 KB", NULL, 0, FATAL, HUGE_REPLY, ANY_STAGE},
	/* What is one, though odd. */
	{"no text", "250\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	{"line feeds only", "250-a\n250 ok\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	{"a NUL in the text", BYTES("250 o\0k\r\n"), 0, PLAIN_FAULT, ANY_STAGE},
	{"escapes in the text",
		"250 \x1b]0;x\a\x9b"
		"2J\x7f\r\n",
		0, 0, PLAIN_FAULT, ANY_STAGE},
	{"250, then 550 in one reply", "250-ok\r\n550 no\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	{"550, then 250 in one reply", "550-no\r\n250 ok\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	{"250 with 5.1.1", "250 5.1.1 ok\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	{"550 with 2.0.0", "550 2.0.0 no\r\n", 0, 0, PLAIN_FAULT, ANY_STAGE},
	/* Too much, or at the wrong time. */
	{"twice", NULL, 0, SHIFTS, TWICE, NOT(AT(S_QUIT))},
	{"twice, apart", NULL, 0, SHIFTS, TWICE_APART, NOT(AT(S_QUIT))},
	{"250 behind it", "250 ok\r\n", 0, SHIFTS, THEN, NOT(AT(S_QUIT))},
	{"250 behind it, apart", "250 ok\r\n", 0, SHIFTS, THEN_APART, NOT(AT(S_QUIT))},
	{"550 behind it", "550 5.1.1 no\r\n", 0, SHIFTS, THEN, NOT(AT(S_QUIT))},
	{"550 behind it, apart", "550 5.1.1 no\r\n", 0, SHIFTS, THEN_APART, NOT(AT(S_QUIT))},
	{"354 behind it", "354 go on\r\n", 0, SHIFTS, THEN, NOT(AT(S_QUIT))},
	{"421 behind it", "421 bye\r\n", 0, SHIFTS | HANGS_UP, THEN, NOT(AT(S_QUIT))},
	{"421 behind it, apart", "421 bye\r\n", 0, SHIFTS | HANGS_UP, THEN_APART, NOT(AT(S_QUIT))},
	{"words behind it", "hello\r\n", 0, FATAL, THEN, NOT(AT(S_QUIT))},
	{"half a reply behind it", "25", 0, UNREAD, THEN, NOT(AT(S_QUIT))},
	{"too early", NULL, 0, 0, EARLY, AT(S_GREETING) | HELLO | ENVELOPE | AT(S_DATA) | AT(S_END)},
	{"354 to what is no DATA", BYTES("354 go on\r\n"), FATAL, PLAIN_FAULT,
		NOT(AT(S_DATA) | AT(S_STARTTLS))},
	{"334 to what is no AUTH", BYTES("334 \r\n"), FATAL, PLAIN_FAULT,
		NOT(AT(S_DATA) | AT(S_AUTH) | AT(S_STARTTLS))},
	{"334 for ever", "334 \r\n", 0, 0, EVERYTHING, AT(S_AUTH)},
	{"250 to DATA", BYTES("250 ok\r\n"), FATAL, PLAIN_FAULT, AT(S_DATA)},
	{"250 to everything", "250 ok\r\n", 0, 0, EVERYTHING, ANY_STAGE},
	{"220 to everything", "220 go\r\n", 0, 0, EVERYTHING, ANY_STAGE},
	{"354 to everything", "354 go on\r\n", 0, 0, EVERYTHING, NOT(AT(S_STARTTLS))},
	/* Refusals of every class. */
	REFUSAL("421"),
	REFUSAL("450"),
	REFUSAL("452"),
	REFUSAL("454"),
	REFUSAL("500"),
	REFUSAL("502"),
	REFUSAL("503"),
	REFUSAL("504"),
	REFUSAL("521"),
	REFUSAL("530"),
	REFUSAL("535"),
	REFUSAL("550"),
	REFUSAL("552"),
	REFUSAL("554"),
	REFUSAL("571"),
	REFUSAL("599"),
	/* Offers, before TLS and under it. */
	{"offers nothing", "250 them.example\r\n", 0, 0, OFFERS, HELLO},
	{"offers no STARTTLS but AUTH",
		"250-them.example\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER\r\n", 0, 0,
		OFFERS, HELLO},
	{"offers no AUTH", "250-them.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n", 0, 0, OFFERS, HELLO},
	{"AUTH without mechanisms", "250-them.example\r\n250-STARTTLS\r\n250 AUTH\r\n", 0, 0, OFFERS, HELLO},
	{"AUTH it does not know", "250-them.example\r\n250-STARTTLS\r\n250 AUTH CRAM-MD5 NTLM\r\n", 0, 0,
		OFFERS, HELLO},
	{"SIZE 10",
		"250-them.example\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER\r\n250 SIZE "
		"10\r\n",
		0, 0, OFFERS, HELLO},
	{"MAILMAX=1",
		"250-them.example\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER\r\n250 LIMITS "
		"MAILMAX=1\r\n",
		0, 0, OFFERS, HELLO},
	{"a keyword that is odd",
		"250-\r\n250- \r\n250-=\r\n250-SIZE SIZE=-1\r\n250-LIMITS MAILMAX=\r\n250 AUTH=\r\n", 0, 0,
		OFFERS, HELLO},
};
const size_t hostile_nfaults = sizeof hostile_faults / sizeof hostile_faults[0];

/* ---- How it says it ---- */

static int line_code(const char *p, size_t n)
{
	return n >= 3 && p[0] >= '0' && p[0] <= '9' ? atoi((char[]){p[0], p[1], p[2], '\0'}) : 0;
}

static void say_to(struct world *w, struct buf *b, const char *p, size_t n)
{
	buf_add(b, p, n);
	buf_add(&w->said, p, n);
	for (const char *line = p; line < p + n;) {
		const char *end = memchr(line, '\n', (size_t)(p + n - line));
		end = end != NULL ? end : p + n;
		w->said_code[line_code(line, (size_t)(end - line)) % 1000] = true;
		line = end + 1;
	}
}

static void say(struct world *w, const char *text)
{
	say_to(w, &w->packet, text, strlen(text));
}

/* The code of the first whole reply in it; 0: none. */
static int reply_code(const char *p, size_t n)
{
	for (const char *line = p, *end; (end = memchr(line, '\n', (size_t)(p + n - line))) != NULL;
		line = end + 1)
		if (!(end - line > 3 && line[3] == '-'))
			return line_code(line, (size_t)(end - line));
	return 0;
}

static const char *next_reply(const struct world *w, enum stage stage)
{
	static const char *const next[NSTAGES] = {[S_GREETING] = "250 hello\r\n", [S_RCPT] = "354 go on\r\n"};
	if (stage == S_RCPT && w->o.chunking != 0)
		return "250 taken\r\n";
	return next[stage] != NULL ? next[stage] : "250 ok\r\n";
}

static void fill(struct world *w, size_t lines, size_t length, bool end)
{
	char text[16384];
	memset(text, 'x', sizeof text);
	memcpy(text, "250-", 4);
	memcpy(text + length - 2, "\r\n", 2);
	for (size_t i = 0; i < lines; i++)
		say_to(w, &w->packet, text, end ? length : length - 2);
	if (end)
		say(w, "250 ok\r\n");
}

static void misbehave(struct world *w, enum stage stage, const char *normal)
{
	const struct fault *f = w->fault;
	size_t n = f->n != 0 ? f->n : f->says != NULL ? strlen(f->says) : 0;
	w->hit = true;
	/* RFC 3207: nothing may stand behind STARTTLS's reply. */
	bool injected = stage == S_STARTTLS && (f->special == TWICE || f->special == THEN);
	w->must_close = f->flags & FATAL || injected;
	switch (f->special) {
	case TWICE:
	case TWICE_APART:
		say(w, normal);
		say_to(w, f->special == TWICE ? &w->packet : &w->later, normal, strlen(normal));
		break;
	case THEN:
	case THEN_APART:
		say(w, normal);
		say_to(w, f->special == THEN ? &w->packet : &w->later, f->says, n);
		break;
	case EARLY:
		say(w, normal);
		say(w, next_reply(w, stage));
		w->skip_replies = 1;
		break;
	case DRIP:
		w->drip = MINUTE;
		say(w, normal);
		break;
	case LINES:
		fill(w, 200, 12, true);
		break;
	case LONG_LINE:
		fill(w, 1, 9000, true);
		break;
	case ENDLESS_LINE:
		fill(w, 1, 9000, false);
		break;
	case HUGE_REPLY:
		fill(w, 20, 4000, true);
		break;
	case BLOCKED:
		w->deaf_wire = true;
		say(w, normal);
		break;
	case NO_HANDSHAKE:
		say(w, normal);
		break;
	case EVERYTHING:
		w->everything = true;
		say_to(w, &w->packet, f->says, n);
		break;
	default:
		if (f->says != NULL)
			say_to(w, &w->packet, f->says, n);
		break;
	}
	w->deaf = f->flags & (UNREAD | HANGS_UP);
	w->hung_up = f->flags & HANGS_UP;
}

/* Says the right reply or another one, and returns the code that it then has given; 0: none. */
static int answer(struct world *w, enum stage stage, const char *normal)
{
	size_t from = w->packet.len;
	bool due = w->reached[stage]++ == w->nth && stage == w->stage;
	if (w->skip_replies > 0) {
		w->skip_replies--;
		return atoi(normal);
	}
	if (w->everything)
		say(w, w->fault->says);
	else if (due)
		misbehave(w, stage, normal);
	else
		say(w, normal);
	int code = w->packet.len > from ? reply_code(w->packet.p + from, w->packet.len - from) : 0;
	if (code == 421)
		w->deaf = true; /* RFC 5321 3.8 */
	return code;
}

/* ---- What it hears ---- */

static void hear_ehlo(struct world *w)
{
	enum stage stage = w->in_tls && w->o.tls != SMTP_TLS_IMPLICIT ? S_EHLO_TLS : S_EHLO;
	char text[300];
	snprintf(text, sizeof text,
		"250-them.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n%s250-AUTH PLAIN LOGIN XOAUTH2 "
		"OAUTHBEARER\r\n250 DSN\r\n",
		w->in_tls ? "" : "250-STARTTLS\r\n");
	answer(w, stage, text);
	w->own_words = w->hit && w->fault->special == OFFERS;
}

static void hear_mail(struct world *w, int id)
{
	w->sender = id;
	w->rcpt_ok = false;
	int code = answer(w, S_MAIL, w->transaction ? "503 5.5.1 nested\r\n" : "250 2.1.0 ok\r\n");
	w->transaction = w->transaction || code / 100 == 2;
}

static void hear_rcpt(struct world *w)
{
	int code = answer(w, S_RCPT, w->transaction ? "250 2.1.5 ok\r\n" : "503 5.5.1 MAIL first\r\n");
	w->rcpt_ok = w->transaction && code / 100 == 2;
}

static void hear_data(struct world *w)
{
	int code = answer(w, S_DATA, w->rcpt_ok ? "354 go on\r\n" : "554 5.5.1 no recipient\r\n");
	w->in_body = code / 100 == 3;
}

static void hear_end(struct world *w)
{
	int code = answer(w, S_END, w->rcpt_ok ? "250 2.0.0 taken\r\n" : "554 5.5.1 no recipient\r\n");
	w->took[w->sender] = w->rcpt_ok && code / 100 == 2;
	w->in_body = w->rcpt_ok = false;
	if (code / 100 == 2)
		w->transaction = false;
}

static void hear_auth(struct world *w, struct str line)
{
	bool more = str_is(line, "AUTH LOGIN\r\n") || str_is(line, "dXNlcg==\r\n");
	answer(w, S_AUTH, more ? "334 Pz8=\r\n" : "235 2.7.0 welcome\r\n");
}

static void hear_command(struct world *w, struct str line)
{
	if (str_starts(line, STR("EHLO")) || str_starts(line, STR("HELO")))
		hear_ehlo(w);
	else if (str_starts(line, STR("STARTTLS")))
		w->tls_ready = answer(w, S_STARTTLS, "220 go on\r\n") == 220;
	else if (str_starts(line, STR("MAIL FROM:<s")))
		hear_mail(w, line.p[12] - '0');
	else if (str_starts(line, STR("RCPT")))
		hear_rcpt(w);
	else if (str_starts(line, STR("DATA")))
		hear_data(w);
	else if (str_starts(line, STR("BDAT")))
		w->chunk_left = strtoul(line.p + 5, NULL, 10);
	else if (str_starts(line, STR("RSET")))
		answer(w, S_RSET, "250 reset\r\n"), w->transaction = false;
	else if (str_starts(line, STR("QUIT")))
		answer(w, S_QUIT, "221 bye\r\n"), w->hung_up = true;
	else
		hear_auth(w, line); /* the only lines that are no commands */
}

/* Reads one line or chunk of what the client wrote, and answers it. */
static bool hear_one(struct world *w)
{
	struct str rest = str_n(w->stream.p + w->server_read, w->stream.len - w->server_read);
	if (w->deaf || rest.n == 0)
		return false;
	if (w->chunk_left != 0) {
		if (rest.n < w->chunk_left)
			return false;
		w->server_read += w->chunk_left;
		w->chunk_left = 0;
		hear_end(w);
		return true;
	}
	size_t n = str_find(rest, '\n');
	if (n == rest.n)
		return false;
	struct str line = str_n(rest.p, n + 1);
	w->server_read += n + 1;
	if (!w->in_body)
		hear_command(w, line);
	else if (str_is(line, ".\r\n"))
		hear_end(w);
	return true;
}

bool hostile_server_turn(struct world *w)
{
	bool any = false;
	while (hear_one(w))
		any = true;
	return any;
}

void hostile_server_opens(struct world *w)
{
	answer(w, S_GREETING, "220 them.example ESMTP\r\n");
}

/* ---- Modes ---- */

void hostile_mode(struct world *w, int flow, int security)
{
	static const char *const flows[NFLOWS] = {"one at a time", "pipelined", "2 chunks", "8 chunks"};
	static const int chunking[NFLOWS] = {0, 0, 2, 8};
	static const struct {
		const char *name;
		enum smtp_tls tls;
		bool login;
		enum smtp_auth auth;
	} securities[NSECURITIES] = {
		{"clear", SMTP_TLS_NONE, false, SMTP_AUTH_ANY},
		{"opportunistic", SMTP_TLS_OPPORTUNISTIC, false, SMTP_AUTH_ANY},
		{"starttls, PLAIN", SMTP_TLS_STARTTLS, true, SMTP_AUTH_PLAIN},
		{"starttls", SMTP_TLS_STARTTLS, false, SMTP_AUTH_ANY},
		{"starttls, LOGIN", SMTP_TLS_STARTTLS, true, SMTP_AUTH_LOGIN},
		{"starttls, XOAUTH2", SMTP_TLS_STARTTLS, true, SMTP_AUTH_XOAUTH2},
		{"starttls, OAUTHBEARER", SMTP_TLS_STARTTLS, true, SMTP_AUTH_OAUTHBEARER},
		{"opportunistic, login", SMTP_TLS_OPPORTUNISTIC, true, SMTP_AUTH_ANY},
		{"implicit, login", SMTP_TLS_IMPLICIT, true, SMTP_AUTH_ANY},
	};
	w->o = (struct smtp_options){.helo = "us.example",
		.pipeline = flow > 0,
		.chunking = chunking[flow],
		.tls = securities[security].tls,
		.auth = securities[security].auth,
		.user = securities[security].login ? "user" : NULL,
		.password = "secret"};
	snprintf(w->mode, sizeof w->mode, "%s, %s, %s", flows[flow], securities[security].name,
		w->bytewise ? "byte by byte" : "whole packets");
}

ms_t hostile_patience(const struct world *w)
{
	const struct smtp_timeouts *t = &smtp_timeouts_default;
	const ms_t stage[NSTAGES] = {t->greeting, t->ehlo, t->tls, t->ehlo, t->auth, t->mail, t->rcpt,
		t->data, t->end, t->mail, t->quit};
	/* Where replies are shifted, or come in a packet with others that are waited for longer. */
	bool longest = w->fault->flags & SHIFTS || w->fault->special == BLOCKED ||
		       w->fault->special == THEN || (w->fault->special == DRIP && w->o.pipeline);
	return (longest ? t->end : stage[w->stage]) + (w->fault->special == DRIP ? MINUTE : 0) + t->quit;
}
