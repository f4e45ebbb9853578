#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/smtp/server.h"
#include "src/base/buf.h"

struct world {
	struct smtp_server *s;
	struct buf out, from, rcpts, data,
		seen; /* seen: the messages that were complete, each ends with "|" */
	int resets, answers;
	struct smtp_answer rcpt, message, begin, mail, helo;
	bool stop_data;
};

static struct smtp_answer w_mail(void *ctx, const struct smtp_mail *m)
{
	struct world *w = ctx;
	buf_clear(&w->from);
	buf_str(&w->from, m->from);
	return w->mail;
}

static struct smtp_answer w_rcpt(void *ctx, struct str rcpt)
{
	struct world *w = ctx;
	if (str_starts(rcpt, STR("no")))
		return (struct smtp_answer){550, "5.1.1", "no such user"};
	buf_str(&w->rcpts, rcpt);
	buf_putc(&w->rcpts, ' ');
	return w->rcpt;
}

static struct smtp_answer w_begin(void *ctx)
{
	return ((struct world *)ctx)->begin;
}

static bool w_data(void *ctx, struct str piece)
{
	struct world *w = ctx;
	buf_str(&w->data, piece);
	return !w->stop_data;
}

static struct smtp_answer w_message(void *ctx, int rcpt)
{
	struct world *w = ctx;
	if (rcpt <= 0) {
		buf_str(&w->seen, buf_get(&w->data));
		buf_putc(&w->seen, '|');
	}
	w->answers++;
	return rcpt == 1 ? (struct smtp_answer){452, "4.2.2", "second is full"} : w->message;
}

static struct smtp_answer w_helo(void *ctx, struct str name)
{
	(void)name;
	return ((struct world *)ctx)->helo;
}

static struct smtp_answer w_auth(void *ctx, struct str user, struct str password)
{
	(void)ctx;
	if (str_is(user, "late"))
		return (struct smtp_answer){SMTP_LATER, NULL, NULL};
	if (str_is(user, "ann") && str_is(password, "pass word"))
		return (struct smtp_answer){235, "2.7.0", "Hello"};
	return (struct smtp_answer){535, "5.7.8", "No"};
}

static void w_reset(void *ctx)
{
	struct world *w = ctx;
	w->resets++;
	buf_clear(&w->rcpts);
	buf_clear(&w->data);
}

static const struct smtp_server_ops ops = {.on_helo = w_helo,
	.on_auth = w_auth,
	.on_mail = w_mail,
	.on_rcpt = w_rcpt,
	.on_begin = w_begin,
	.on_data = w_data,
	.on_message = w_message,
	.on_reset = w_reset};

static void open_world(struct world *w, const struct smtp_server_options *o)
{
	*w = (struct world){.rcpt = {250, "2.1.5", "Ok"},
		.message = {250, "2.0.0", "taken"},
		.begin = {354, NULL, NULL},
		.mail = {250, "2.1.0", "Ok"},
		.helo = {250, NULL, NULL}};
	struct buf *all[] = {&w->out, &w->from, &w->rcpts, &w->data, &w->seen};
	for (size_t i = 0; i < 5; i++)
		buf_init(all[i], 1 << 20);
	w->s = smtp_server_new(o, &ops, w);
	assert_non_null(w->s);
	smtp_server_start(w->s, (struct smtp_answer){220, NULL, NULL});
}

static void close_world(struct world *w)
{
	smtp_server_free(&w->s);
	struct buf *all[] = {&w->out, &w->from, &w->rcpts, &w->data, &w->seen};
	for (size_t i = 0; i < 5; i++)
		buf_release(all[i]);
}

/* Everything said so far since the last call. */
static const char *output(struct world *w)
{
	struct str o = smtp_server_output(w->s);
	buf_clear(&w->out);
	buf_str(&w->out, o);
	smtp_server_written(w->s, o.n);
	return buf_cstr(&w->out);
}

static const char *say(struct world *w, const char *text)
{
	assert_int_equal(smtp_server_input(w->s, text, strlen(text)), strlen(text));
	return output(w);
}

static const struct smtp_server_options plain = {.name = "mx.example"};

static void greeted(struct world *w, const struct smtp_server_options *o)
{
	open_world(w, o);
	say(w, "EHLO c.example\r\n");
}

static void session__plain__delivers_one_message(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, &plain);
	assert_string_equal(output(&w), "220 mx.example ESMTP\r\n");
	assert_string_equal(say(&w, "EHLO c.example\r\n"),
		"250-mx.example\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n");
	assert_string_equal(say(&w, "MAIL FROM:<a@b.example>\r\n"), "250 2.1.0 Ok\r\n");
	assert_string_equal(say(&w, "RCPT TO:<c@d.example>\r\n"), "250 2.1.5 Ok\r\n");
	assert_string_equal(say(&w, "DATA\r\n"), "354 End with CRLF.CRLF\r\n");
	assert_string_equal(say(&w, "Subject: x\r\n\r\nhello\r\n.\r\n"), "250 2.0.0 taken\r\n");
	assert_string_equal(w.from.p, "a@b.example");
	assert_string_equal(w.seen.p, "Subject: x\r\n\r\nhello\r\n|");
	assert_string_equal(say(&w, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
	assert_true(smtp_server_closing(w.s));
	close_world(&w);
}

static const char dialogue[] =
	"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<no@d.example>\r\nDATA\r\n"
	"..one\r\n.\r\rtwo\r\n...\r\n.\r\nMAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n.\r\nNOOP\r\n"
	"MAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\nend\r\n..\r\n.\r\nVRFY x\r\nQUIT\r\n";

/* The same bytes in one piece, by one, and cut in two anywhere give the same talk. */
static void input__cut_anywhere__says_the_same(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, &plain);
	char *whole = strdup(say(&w, dialogue));
	char *seen = strdup(buf_cstr(&w.seen));
	assert_non_null(strstr(whole, "550 5.6.11 Bare"));
	assert_non_null(strstr(whole, "252 2.5.0"));
	close_world(&w);
	for (size_t cut = 0; cut < sizeof dialogue; cut++) {
		struct buf all = BUF_INIT(1 << 20);
		open_world(&w, &plain);
		for (size_t at = 0; at < sizeof dialogue - 1;) {
			size_t n = cut == 0 ? 1 : at == 0 ? cut : sizeof dialogue - 1 - at;
			if (n > sizeof dialogue - 1 - at)
				n = sizeof dialogue - 1 - at;
			assert_int_equal(smtp_server_input(w.s, dialogue + at, n), n);
			buf_puts(&all, output(&w));
			at += n;
		}
		assert_string_equal(buf_cstr(&all), whole);
		assert_string_equal(buf_cstr(&w.seen), seen);
		buf_release(&all);
		close_world(&w);
	}
	free(whole);
	free(seen);
}

static void data__dots__are_taken_off_and_only_crlf_dot_crlf_ends(void **state)
{
	(void)state;
	static const struct {
		const char *sent, *got;
		int code;
	} t[] = {
		{".\r\n", "|", 250},
		{"..\r\n.\r\n", ".\r\n|", 250},
		{".x\r\n.\r\n", "x\r\n|", 250},
		{"a\r\n..b\r\n.c\r\n.\r\n", "a\r\n.b\r\nc\r\n|", 250},
		{"a\n.\nb\r\n.\r\n", "", 550},
		{"a\n.\r\nb\r\n.\r\n", "", 550},
		{"a\r\n.\nb\r\n.\r\n", "", 550},
		{"a\r.\r\nb\r\n.\r\n", "", 550},
		{"a\r\n.\rb\r\n.\r\n", "", 550},
		{"a\r\r\n.\r\n", "", 550},
		{"\n.\r\n\r\n.\r\n", "", 550},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct world w;
		char code[8];
		greeted(&w, &plain);
		say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
		const char *out = say(&w, t[i].sent);
		snprintf(code, sizeof code, "%d ", t[i].code);
		assert_memory_equal(out, code, 4);
		assert_string_equal(buf_cstr(&w.seen), t[i].got);
		assert_memory_equal(say(&w, "NOOP\r\n"), "250", 3);
		close_world(&w);
	}
}

static void data__bytes__arrive_unchanged(void **state)
{
	(void)state;
	struct world w;
	char body[4000];
	size_t n = 0;
	srand(3);
	greeted(&w, &plain);
	for (int round = 0; round < 50; round++) {
		say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
		struct buf wire = BUF_INIT(1 << 20);
		for (n = 0; n < sizeof body - 200;) {
			int len = rand() % 90;
			size_t line = n;
			for (int k = 0; k < len; k++)
				body[n++] = (char)("..x\t\xe3\x00"[rand() % 6]);
			if (n > line && body[line] == '.')
				buf_putc(&wire, '.');
			body[n++] = '\r';
			body[n++] = '\n';
			buf_add(&wire, body + line, n - line);
		}
		buf_puts(&wire, ".\r\n");
		for (size_t at = 0; at < wire.len;) {
			size_t piece = 1 + (size_t)rand() % 300;
			if (piece > wire.len - at)
				piece = wire.len - at;
			assert_int_equal(smtp_server_input(w.s, wire.p + at, piece), piece);
			at += piece;
		}
		assert_string_equal(output(&w), "250 2.0.0 taken\r\n");
		assert_int_equal(w.seen.len, n + 1);
		assert_memory_equal(w.seen.p, body, n);
		buf_clear(&w.seen);
		buf_release(&wire);
	}
	close_world(&w);
}

static void commands__out_of_order__are_refused(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, &plain);
	output(&w);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "503", 3);
	say(&w, "EHLO x\r\n");
	assert_memory_equal(say(&w, "RCPT TO:<a@b>\r\n"), "503", 3);
	assert_memory_equal(say(&w, "DATA\r\n"), "503", 3);
	say(&w, "MAIL FROM:<a@b>\r\n");
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "503", 3);
	assert_memory_equal(say(&w, "DATA\r\n"), "554 5.5.1", 9);
	assert_memory_equal(say(&w, "RCPT TO:<\xc3\xa4@b.example>\r\n"), "553", 3);
	say(&w, "RCPT TO:<no@b>\r\n");
	assert_memory_equal(say(&w, "DATA\r\n"), "554 5.5.1", 9);
	assert_memory_equal(say(&w, "RSET\r\n"), "250", 3);
	assert_memory_equal(say(&w, "DATA\r\n"), "503", 3);
	assert_memory_equal(say(&w, "STARTTLS\r\n"), "502", 3);
	assert_memory_equal(say(&w, "DATA now\r\n"), "501", 3);
	assert_memory_equal(say(&w, "EHLO\r\n"), "501", 3);
	assert_memory_equal(say(&w, "EHLO two words\r\n"), "501", 3);
	assert_memory_equal(say(&w, "AUTH PLAIN\r\n"), "502", 3);
	assert_memory_equal(say(&w, "BDAT 3 LAST\r\n"), "500", 3);
	assert_memory_equal(say(&w, "LHLO x\r\n"), "500", 3);
	assert_memory_equal(say(&w, "EXPN x\r\n"), "500", 3);
	assert_memory_equal(say(&w, "\r\n"), "500", 3);
	assert_memory_equal(say(&w, "HELO x\r\n"), "250 mx.example\r\n", 16);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b> SIZE=3\r\n"), "555", 3);
	close_world(&w);
}

static void mail_and_rcpt__arguments(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {
		.name = "x", .smtputf8 = true, .dsn = true, .limits = {.size = 1000}};
	static const struct {
		const char *line;
		const char *code, *from;
	} t[] = {
		{"MAIL FROM:<a@b.example>\r\n", "250", "a@b.example"},
		{"mail from: <a@b.example>\r\n", "250", "a@b.example"},
		{"MAIL FROM:<>\r\n", "250", ""},
		{"MAIL FROM:<@x,@y:a@b.example>\r\n", "250", "a@b.example"},
		{"MAIL FROM:<\"a b> \\\"c\"@d.example> SIZE=999 BODY=8BITMIME\r\n", "250",
			"\"a b> \\\"c\"@d.example"},
		{"MAIL FROM:<a@b.example> SIZE=1001\r\n", "552", NULL},
		{"MAIL FROM:<a@b.example> SIZE=x\r\n", "501", NULL},
		{"MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\n", "501", NULL},
		{"MAIL FROM:<a@b.example> COLOUR=red\r\n", "555", NULL},
		{"MAIL FROM:<a@b.example>SIZE=1\r\n", "501", NULL},
		{"MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", "501", NULL},
		{"MAIL FROM:<a@b.example> RET=HDRS ENVID=abc\r\n", "250", "a@b.example"},
		{"MAIL FROM:<\xc3\xa4@b.example>\r\n", "553", NULL},
		{"MAIL FROM:<\xc3\xa4@b.example> SMTPUTF8\r\n", "250", "\xc3\xa4@b.example"},
		{"MAIL FROM:a@b.example\r\n", "501", NULL},
		{"MAIL FROM:<a@b.example\r\n", "501", NULL},
		{"MAIL FROM:<a b@c>\r\n", "501", NULL},
		{"MAIL FROM:<a<b@c>\r\n", "501", NULL},
		{"MAIL FROM:<a@>\r\n", "501", NULL},
		{"MAIL FROM:<@b>\r\n", "501", NULL},
		{"MAIL FROM:<a\x01@b>\r\n", "501", NULL},
		{"MAIL TO:<a@b>\r\n", "501", NULL},
		{"MAIL\r\n", "501", NULL},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct world w;
		greeted(&w, &o);
		assert_memory_equal(say(&w, t[i].line), t[i].code, 3);
		if (t[i].from != NULL)
			assert_string_equal(buf_cstr(&w.from), t[i].from);
		close_world(&w);
	}
	struct world w;
	greeted(&w, &o);
	say(&w, "MAIL FROM:<a@b>\r\n");
	assert_memory_equal(say(&w, "RCPT TO:<>\r\n"), "501", 3);
	assert_memory_equal(say(&w, "RCPT TO:<postmaster>\r\n"), "250", 3);
	assert_memory_equal(say(&w, "RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;a@b\r\n"), "250", 3);
	assert_memory_equal(say(&w, "RCPT TO:<a@b> X=1\r\n"), "555", 3);
	close_world(&w);
}

static void limits__each__is_kept(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x",
		.limits = {
			.size = 10, .line = 64, .text_line = 8, .recipients = 2, .messages = 2, .errors = 3}};
	struct world w;
	greeted(&w, &o);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nRCPT TO:<2@b>\r\n");
	assert_memory_equal(say(&w, "RCPT TO:<3@b>\r\n"), "452 4.5.3", 9);
	say(&w, "DATA\r\n");
	assert_memory_equal(say(&w, "1234567\r\n89\r\n.\r\n"), "552 5.3.4", 9);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nDATA\r\n");
	assert_memory_equal(say(&w, "12345678\r\n.\r\n"), "250", 3);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "421", 3);
	assert_true(smtp_server_closing(w.s));
	close_world(&w);

	greeted(&w, &o);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nDATA\r\n");
	assert_memory_equal(say(&w, "123456789\r\n.\r\n"), "552", 3);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\n");
	assert_memory_equal(
		say(&w, "NOOP 4567890123456789012345678901234567890123456789012345678901234567890\r\n"),
		"500 5.5.2", 9);
	assert_memory_equal(say(&w, "WHAT\r\n"), "421", 3);
	assert_int_equal(smtp_server_input(w.s, "NOOP\r\n", 6), 6);
	assert_string_equal(output(&w), "");
	close_world(&w);
}

static void text_line__too_long__refuses_the_message(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .limits = {.text_line = 8}};
	struct world w;
	greeted(&w, &o);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nDATA\r\n");
	assert_memory_equal(say(&w, "12345678\r\n.\r\n"), "250", 3);
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nDATA\r\n");
	assert_memory_equal(say(&w, "123456789\r\n.\r\n"), "500 5.6.0", 9);
	close_world(&w);
}

static void lines__bare_lf_cr_and_nul__are_not_commands(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		size_t n;
		const char *code;
	} t[] = {
		{"NOOP\n", 5, "421"},
		{"NO\rOP\r\n", 7, "421"},
		{"NOOP\r\r\n", 7, "421"},
		{"NO\0OP\r\n", 7, "500"},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct world w;
		greeted(&w, &plain);
		assert_int_equal(smtp_server_input(w.s, t[i].line, t[i].n), t[i].n);
		assert_memory_equal(output(&w), t[i].code, 3);
		close_world(&w);
	}
}

static void bdat__chunks__make_a_message(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .chunking = true, .limits = {.size = 100}};
	struct world w;
	greeted(&w, &o);
	assert_string_equal(
		say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 4\r\n.\r\nxBDAT 3 LAST\r\ny\r\nNOOP\r\n"),
		"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok\r\n250 2.0.0 taken\r\n250 2.0.0 Ok\r\n");
	assert_string_equal(w.seen.p, ".\r\nxy\r\n|");
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\n"), "250", 3);
	assert_string_equal(w.seen.p, ".\r\nxy\r\n||");
	close_world(&w);

	/* Without recipients the chunk is still swallowed. */
	greeted(&w, &o);
	assert_string_equal(say(&w, "MAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
		"250 2.1.0 Ok\r\n503 No transaction\r\n250 2.0.0 Ok\r\n");
	close_world(&w);

	greeted(&w, &o);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT -1\r\n") + 28, "421", 3);
	assert_true(smtp_server_closing(w.s));
	close_world(&w);

	greeted(&w, &o);
	w.begin = (struct smtp_answer){451, "4.3.0", "not now"};
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	assert_string_equal(say(&w, "BDAT 2\r\nab"), "451 Not now\r\n");
	assert_string_equal(say(&w, "BDAT 2 LAST\r\nab"), "451 Not now\r\n");
	assert_memory_equal(say(&w, "RSET\r\n"), "250", 3);
	w.begin = (struct smtp_answer){354, NULL, NULL};
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	assert_memory_equal(
		say(&w, "BDAT 101 "
			"LAST\r\n1234567890123456789012345678901234567890123456789012345678901234567890"
			"1234567890123456789012345678901"),
		"552", 3);
	close_world(&w);
}

static void auth__plain_and_login(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {
		.name = "x", .auth = true, .auth_required = true, .auth_plaintext = true};
	struct world w;
	greeted(&w, &o);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "530 5.7.0", 9);
	assert_memory_equal(say(&w, "AUTH GSSAPI\r\n"), "504", 3);
	assert_memory_equal(say(&w, "AUTH PLAIN AGFubgB4\r\n"), "535", 3);
	assert_memory_equal(say(&w, "AUTH PLAIN !!!\r\n"), "501", 3);
	assert_memory_equal(say(&w, "AUTH PLAIN YW5u\r\n"), "501", 3);
	assert_string_equal(say(&w, "AUTH LOGIN\r\n"), "334 VXNlcm5hbWU6\r\n");
	assert_memory_equal(say(&w, "*\r\n"), "501", 3);
	assert_string_equal(say(&w, "AUTH LOGIN\r\n"), "334 VXNlcm5hbWU6\r\n");
	assert_memory_equal(say(&w, "!!!\r\n"), "501", 3);
	assert_string_equal(say(&w, "AUTH LOGIN YW5u\r\n"), "334 UGFzc3dvcmQ6\r\n");
	assert_memory_equal(say(&w, "!!!\r\n"), "501", 3);
	assert_string_equal(say(&w, "AUTH LOGIN YW5u\r\n"), "334 UGFzc3dvcmQ6\r\n");
	assert_memory_equal(say(&w, "cGFzcyB3b3Jk\r\n"), "235", 3);
	assert_true(smtp_server_state(w.s).authenticated);
	assert_memory_equal(say(&w, "AUTH LOGIN\r\n"), "503", 3);
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "250", 3);
	close_world(&w);
	greeted(&w, &o);
	assert_string_equal(say(&w, "AUTH PLAIN\r\n"), "334 \r\n");
	assert_memory_equal(say(&w, "AGFubgBwYXNzIHdvcmQ=\r\n"), "235", 3);
	close_world(&w);
}

static void auth__without_tls__is_refused(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .auth = true, .starttls = true};
	struct world w;
	open_world(&w, &o);
	output(&w);
	assert_null(strstr(say(&w, "EHLO c\r\n"), "AUTH"));
	assert_memory_equal(say(&w, "AUTH PLAIN AGFubgBwYXNzIHdvcmQ=\r\n"), "538", 3);
	close_world(&w);
}

static void starttls__what_came_ahead__is_thrown_away(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .auth = true, .starttls = true};
	struct world w;
	greeted(&w, &o);
	assert_memory_equal(say(&w, "STARTTLS now\r\n"), "501", 3);
	assert_string_equal(
		say(&w, "STARTTLS\r\nMAIL FROM:<evil@x>\r\n"), "220 2.0.0 Ready to start TLS\r\n");
	assert_true(smtp_server_wants_tls(w.s));
	smtp_server_tls_done(w.s);
	assert_false(smtp_server_wants_tls(w.s));
	assert_string_equal(output(&w), "");
	assert_memory_equal(say(&w, "MAIL FROM:<a@b>\r\n"), "503", 3);
	const char *ehlo = say(&w, "EHLO c\r\n");
	assert_null(strstr(ehlo, "STARTTLS"));
	assert_non_null(strstr(ehlo, "AUTH PLAIN LOGIN"));
	assert_memory_equal(say(&w, "STARTTLS\r\n"), "503", 3);
	close_world(&w);
}

static void lmtp__answers_for_each_recipient(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .lmtp = true};
	struct world w;
	open_world(&w, &o);
	assert_string_equal(output(&w), "220 x LMTP\r\n");
	assert_memory_equal(say(&w, "EHLO c\r\n"), "500", 3);
	assert_memory_equal(say(&w, "LHLO c\r\n"), "250", 3);
	say(&w, "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<no@b>\r\nRCPT TO:<c@b>\r\nDATA\r\n");
	assert_string_equal(say(&w, "x\r\n.\r\n"), "250 2.0.0 taken\r\n452 4.2.2 second is full\r\n");
	close_world(&w);
}

static void answer__later__holds_the_input(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .lmtp = true};
	struct world w;
	greeted(&w, &plain);
	w.rcpt = (struct smtp_answer){SMTP_LATER, NULL, NULL};
	static const char text[] = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
	size_t n = smtp_server_input(w.s, text, sizeof text - 1);
	assert_int_equal(n, sizeof text - 1 - 6);
	assert_string_equal(output(&w), "250 2.1.0 Ok\r\n");
	assert_int_equal(smtp_server_input(w.s, text + n, 6), 0);
	smtp_server_answer(w.s, (struct smtp_answer){250, "2.1.5", "now"});
	assert_string_equal(output(&w), "250 2.1.5 now\r\n");
	assert_string_equal(say(&w, text + n), "354 End with CRLF.CRLF\r\n");
	w.message = (struct smtp_answer){SMTP_LATER, NULL, NULL};
	static const char end[] = ".\r\nMAIL FROM:<e@f>\r\n";
	n = smtp_server_input(w.s, end, sizeof end - 1);
	assert_int_equal(n, 3);
	smtp_server_answer(w.s, (struct smtp_answer){250, "2.0.0", "stored"});
	assert_string_equal(output(&w), "250 2.0.0 stored\r\n");
	assert_string_equal(say(&w, end + n), "250 2.1.0 Ok\r\n");
	close_world(&w);

	open_world(&w, &o);
	say(&w, "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\nDATA\r\n");
	w.message = (struct smtp_answer){SMTP_LATER, NULL, NULL};
	assert_string_equal(say(&w, "x\r\n.\r\n"), "");
	smtp_server_answer(w.s, (struct smtp_answer){250, "2.0.0", "first"});
	assert_string_equal(output(&w), "250 2.0.0 first\r\n452 4.2.2 second is full\r\n");
	close_world(&w);
}

static void answer__later__to_any_command(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {
		.name = "x", .auth = true, .auth_plaintext = true, .chunking = true};
	static const struct smtp_answer later = {SMTP_LATER, NULL, NULL};
	static const struct {
		const char *line;
		struct smtp_answer no, yes; /* no: then the command is said once more */
		const char *refused, *said;
	} t[] = {
		{"EHLO c\r\n", {550, "5.7.1", "go"}, {250, NULL, NULL}, "550 5.7.1 go", "250-x\r\n"},
		{"AUTH PLAIN AGxhdGUAeA==\r\n", {535, "5.7.8", "no"}, {235, "2.7.0", "in"}, "535 5.7.8 no",
			"235 2.7.0 in"},
		{"MAIL FROM:<a@b>\r\n", {451, "4.3.0", "no"}, {250, "2.1.0", "ok"}, "451 4.3.0 no",
			"250 2.1.0 ok"},
		{"RCPT TO:<c@d>\r\n", {550, "5.1.1", "no"}, {250, "2.1.5", "ok"}, "550 5.1.1 no",
			"250 2.1.5 ok"},
		{"DATA\r\n", {451, "4.3.0", "no"}, {354, NULL, NULL}, "451 4.3.0 no", "354 "},
	};
	struct world w;
	open_world(&w, &o);
	output(&w);
	w.helo = w.mail = w.rcpt = w.begin = later;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		assert_string_equal(say(&w, t[i].line), "");
		assert_int_equal(smtp_server_input(w.s, "NOOP\r\n", 6), 0);
		smtp_server_answer(w.s, t[i].no);
		assert_memory_equal(output(&w), t[i].refused, strlen(t[i].refused));
		if (i == 4) { /* the transaction is over with it */
			w.mail = w.rcpt = (struct smtp_answer){250, NULL, NULL};
			say(&w, "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
		}
		assert_string_equal(say(&w, t[i].line), "");
		smtp_server_answer(w.s, t[i].yes);
		assert_memory_equal(output(&w), t[i].said, strlen(t[i].said));
	}
	assert_memory_equal(say(&w, "x\r\n.\r\n"), "250 2.0.0 taken", 15);
	assert_string_equal(buf_cstr(&w.seen), "x\r\n|");
	assert_true(smtp_server_state(w.s).authenticated);
	close_world(&w);
}

static void answer__later__to_a_chunk(void **state)
{
	(void)state;
	static const struct smtp_server_options o = {.name = "x", .chunking = true};
	static const struct {
		struct smtp_answer begin;
		const char *said, *seen;
	} t[] = {
		{{354, NULL, NULL}, "250", "hi\r\n|"},
		{{451, "4.3.0", "no room"}, "451", ""},
		{{421, "4.3.2", "going"}, "421", ""},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct world w;
		greeted(&w, &o);
		w.begin = (struct smtp_answer){SMTP_LATER, NULL, NULL};
		say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
		assert_string_equal(say(&w, "BDAT 4 LAST\r\n"), "");
		assert_int_equal(smtp_server_input(w.s, "hi\r\n", 4), 0);
		smtp_server_answer(w.s, t[i].begin);
		smtp_server_input(w.s, "hi\r\n", 4);
		assert_memory_equal(output(&w), t[i].said, 3);
		assert_string_equal(buf_cstr(&w.seen), t[i].seen);
		close_world(&w);
	}
}

static void answer__drop_and_421__close(void **state)
{
	(void)state;
	struct world w;
	greeted(&w, &plain);
	w.rcpt = (struct smtp_answer){SMTP_DROP, NULL, NULL};
	assert_string_equal(say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\n"), "250 2.1.0 Ok\r\n");
	assert_true(smtp_server_closing(w.s));
	close_world(&w);
	greeted(&w, &plain);
	w.mail = (struct smtp_answer){421, "4.3.2", "restarting"};
	assert_string_equal(say(&w, "MAIL FROM:<a@b>\r\nNOOP\r\n"), "421 4.3.2 restarting\r\n");
	assert_true(smtp_server_closing(w.s));
	close_world(&w);
	greeted(&w, &plain);
	smtp_server_close(w.s, "4.4.2", "timeout");
	assert_string_equal(output(&w), "421 4.4.2 timeout\r\n");
	assert_true(smtp_server_closing(w.s));
	close_world(&w);
}

static void greeting__refusal__leaves_only_quit(void **state)
{
	(void)state;
	struct world w;
	greeted(&w, &plain);
	struct smtp_server *s = smtp_server_new(&plain, &ops, &w);
	smtp_server_start(s, (struct smtp_answer){554, "5.7.1", "no service"});
	smtp_server_input(s, "EHLO x\r\nQUIT\r\n", 14);
	struct str o = smtp_server_output(s);
	assert_true(str_eq(
		o, STR("554 5.7.1 mx.example no service\r\n503 5.5.1 No service\r\n221 2.0.0 Bye\r\n")));
	smtp_server_free(&s);
	close_world(&w);
}

static void data__not_wanted__is_swallowed(void **state)
{
	(void)state;
	struct world w;
	greeted(&w, &plain);
	w.stop_data = true;
	say(&w, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	assert_memory_equal(say(&w, "x\r\ny\r\n.\r\n"), "452 4.3.1", 9);
	assert_int_equal(w.answers, 0);
	close_world(&w);
}

static void output__not_read__stops_the_input(void **state)
{
	(void)state;
	struct world w;
	greeted(&w, &plain);
	size_t taken = 0;
	for (int i = 0; i < 10000; i++)
		taken += smtp_server_input(w.s, "NOOP\r\n", 6);
	assert_true(taken < 60000);
	assert_true(smtp_server_output(w.s).n < 20000);
	output(&w);
	assert_int_equal(smtp_server_input(w.s, "NOOP\r\n", 6), 6);
	close_world(&w);
}

static void reply__text_from_outside__cannot_add_a_line(void **state)
{
	(void)state;
	struct world w;
	greeted(&w, &plain);
	w.rcpt = (struct smtp_answer){550, "5.1.1", "a\r250 b\x1b[1m\xff\nlast"};
	say(&w, "MAIL FROM:<a@b>\r\n");
	assert_string_equal(say(&w, "RCPT TO:<c@d>\r\n"), "550-5.1.1 a?250 b?[1m?\r\n550 5.1.1 last\r\n");
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session__plain__delivers_one_message),
		cmocka_unit_test(input__cut_anywhere__says_the_same),
		cmocka_unit_test(data__dots__are_taken_off_and_only_crlf_dot_crlf_ends),
		cmocka_unit_test(data__bytes__arrive_unchanged),
		cmocka_unit_test(commands__out_of_order__are_refused),
		cmocka_unit_test(mail_and_rcpt__arguments),
		cmocka_unit_test(limits__each__is_kept),
		cmocka_unit_test(text_line__too_long__refuses_the_message),
		cmocka_unit_test(lines__bare_lf_cr_and_nul__are_not_commands),
		cmocka_unit_test(bdat__chunks__make_a_message),
		cmocka_unit_test(auth__plain_and_login),
		cmocka_unit_test(auth__without_tls__is_refused),
		cmocka_unit_test(starttls__what_came_ahead__is_thrown_away),
		cmocka_unit_test(lmtp__answers_for_each_recipient),
		cmocka_unit_test(answer__later__holds_the_input),
		cmocka_unit_test(answer__later__to_any_command),
		cmocka_unit_test(answer__later__to_a_chunk),
		cmocka_unit_test(answer__drop_and_421__close),
		cmocka_unit_test(greeting__refusal__leaves_only_quit),
		cmocka_unit_test(data__not_wanted__is_swallowed),
		cmocka_unit_test(output__not_read__stops_the_input),
		cmocka_unit_test(reply__text_from_outside__cannot_add_a_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
