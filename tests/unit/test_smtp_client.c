/* What flow scripts (tests/flow) cannot say: rules of the calls themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/smtp/client.h"
#include "src/base/log.h"

struct fixture {
	struct smtp_client *c;
	struct smtp_message messages[8];
	int given, to_give;
	char log[4000];
	char out[20000];
	size_t calls;
};

static void note(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct fixture *f, const char *fmt, ...)
{
	size_t n = strlen(f->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(f->log + n, sizeof f->log - n, fmt, ap);
	va_end(ap);
}

static void give(struct fixture *f, ms_t now)
{
	struct smtp_message *m = &f->messages[f->given++];
	*m = (struct smtp_message){.from = STR("a@x"),
		.rcpt = STR("b@y"),
		.header = STR("Subject: x\r\n\r\n"),
		.body = STR("hello\r\n")};
	smtp_client_send(f->c, m, now);
}

static void on_ready(void *ctx)
{
	struct fixture *f = ctx;
	note(f, "ready ");
	if (f->given < f->to_give)
		give(f, 5);
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct fixture *f = ctx;
	note(f, "%d:%s:%d%s%s%s ", (int)(m - f->messages), smtp_stage_names[r->stage],
		r->reply != NULL ? r->reply->code : 0, r->accepted ? ":accepted" : "",
		r->tried ? "" : ":untried", r->doubt ? ":doubt" : "");
}

static void on_starttls(void *ctx)
{
	note(ctx, "starttls ");
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	note(ctx, "closed:%s%s ", smtp_stage_names[r->stage], clean ? ":clean" : "");
}

static const struct smtp_client_ops ops = {on_ready, on_result, on_starttls, on_closed};
static const struct smtp_options pipelining = {.helo = "me.example", .pipeline = true};

static const char *written(struct fixture *f)
{
	f->out[0] = '\0';
	struct iovec v[3];
	int n;
	f->calls = 0;
	while ((n = smtp_client_output(f->c, v, 3)) > 0) {
		size_t total = 0;
		for (int i = 0; i < n; i++) {
			strncat(f->out, v[i].iov_base, v[i].iov_len);
			total += v[i].iov_len;
		}
		smtp_client_written(f->c, total, 5);
		f->calls++;
	}
	return f->out;
}

static void say(struct fixture *f, const char *z)
{
	smtp_client_input(f->c, z, strlen(z), 5);
}

static void setup(struct fixture *f, const struct smtp_options *o)
{
	*f = (struct fixture){.c = smtp_client_new(o, &ops, f)};
	smtp_client_start(f->c, 1);
	say(f, "220 hi\r\n");
	assert_string_equal(written(f), "EHLO me.example\r\n");
}

static void envelope_of_the_next__goes_behind_the_end(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	f.to_give = 2;
	say(&f, "250-x\r\n250-SIZE 1000\r\n250 PIPELINING\r\n");
	assert_string_equal(written(&f), "MAIL FROM:<a@x> SIZE=21\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	assert_string_equal(f.log, "ready ready ");
	say(&f, "250 1\r\n250 2\r\n354 3\r\n");
	assert_string_equal(written(&f),
		"Subject: x\r\n\r\nhello\r\n.\r\nMAIL FROM:<a@x> SIZE=21\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	f.to_give = 3;
	say(&f, "250 1\r\n250 2\r\n250 3\r\n354 4\r\n");
	assert_string_equal(f.log, "ready ready 0:end:250:accepted ready ");
	assert_string_equal(written(&f),
		"Subject: x\r\n\r\nhello\r\n.\r\nMAIL FROM:<a@x> SIZE=21\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	assert_int_equal(smtp_client_in_flight(f.c), 2);
	smtp_client_eof(f.c, "reset", 6);
	assert_string_equal(
		f.log, "ready ready 0:end:250:accepted ready 1:end:0:doubt 2:mail:0:untried closed:end ");
	smtp_client_free(&f.c);
}

static void quit__waits_for_what_is_under_way(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	f.to_give = 1;
	say(&f, "250 x\r\n");
	assert_string_equal(written(&f), "MAIL FROM:<a@x>\r\n");
	smtp_client_quit(f.c, 5);
	assert_string_equal(written(&f), "");
	say(&f, "250 x\r\n");
	assert_string_equal(written(&f), "RCPT TO:<b@y>\r\n");
	say(&f, "550 5.1.1 no\r\n");
	assert_string_equal(written(&f), "QUIT\r\n");
	say(&f, "221 bye\r\n");
	assert_string_equal(f.log, "ready 0:rcpt:550 closed:quit:clean ");
	smtp_client_free(&f.c);
}

static void message__is_written_from_where_it_lies(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	f.to_give = 1;
	say(&f, "250 PIPELINING\r\n");
	written(&f);
	say(&f, "250 1\r\n");
	written(&f);
	say(&f, "250 2\r\n");
	written(&f);
	say(&f, "354 3\r\n");
	struct iovec v[8];
	assert_int_equal(smtp_client_output(f.c, v, 8), 3);
	assert_ptr_equal(v[0].iov_base, f.messages[0].header.p);
	assert_ptr_equal(v[1].iov_base, f.messages[0].body.p);
	assert_int_equal(smtp_client_output(f.c, v, 1), 1);
	smtp_client_free(&f.c);
}

static void no_end_of_line_at_the_end__is_added(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	say(&f, "250 x\r\n");
	struct smtp_message m = {
		.from = STR("a@x"), .rcpt = STR("b@y"), .header = STR("A: b\r\n\r\n"), .body = STR("last")};
	smtp_client_send(f.c, &m, 5);
	written(&f);
	say(&f, "250 x\r\n");
	written(&f);
	say(&f, "250 x\r\n");
	written(&f);
	say(&f, "354 x\r\n");
	assert_string_equal(written(&f), "A: b\r\n\r\nlast\r\n.\r\n");
	smtp_client_free(&f.c);
}

static void free__with_messages_lent__calls_nobody(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	f.to_give = 2;
	say(&f, "250-x\r\n250 PIPELINING\r\n");
	f.log[0] = '\0';
	smtp_client_free(&f.c);
	assert_null(f.c);
	assert_string_equal(f.log, "");
	smtp_client_free(&f.c);
}

static void events_after_closed__do_nothing(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	smtp_client_eof(f.c, "reset", 6);
	assert_string_equal(f.log, "closed:ehlo ");
	say(&f, "250 x\r\n");
	smtp_client_eof(f.c, "reset", 7);
	smtp_client_timeout(f.c, 1 << 30);
	smtp_client_quit(f.c, 8);
	smtp_client_tls_done(f.c, 8);
	assert_false(smtp_client_ready(f.c));
	assert_false(smtp_client_established(f.c));
	assert_int_equal(smtp_client_deadline(f.c), 0);
	assert_string_equal(f.log, "closed:ehlo ");
	assert_string_equal(written(&f), "");
	smtp_client_free(&f.c);
}

static void counts__are_of_what_was_answered(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f, &pipelining);
	f.to_give = 2;
	say(&f, "250-x\r\n250-LIMITS RCPTMAX=7 FOO= MAILMAX=0 =\r\n250-SIZE\r\n250-auth plain XOAUTH2\r\n250 "
		"PIPELINING\r\n");
	const struct smtp_caps *caps = smtp_client_caps(f.c);
	assert_int_equal(caps->rcpt_max, 7);
	assert_int_equal(caps->mail_max, 0);
	assert_int_equal(caps->size, 0);
	assert_true(caps->auth_plain && caps->auth_xoauth2 && !caps->auth_login);
	assert_int_equal(smtp_client_in_flight(f.c), 2);
	written(&f);
	say(&f, "250 1\r\n550 2\r\n503 3\r\n");
	assert_int_equal(smtp_client_in_flight(f.c), 1);
	assert_int_equal(smtp_client_sent(f.c), 1);
	written(&f);
	say(&f, "250 rset\r\n250 1\r\n250 2\r\n354 3\r\n");
	written(&f);
	say(&f, "250 taken\r\n");
	assert_int_equal(smtp_client_in_flight(f.c), 0);
	assert_int_equal(smtp_client_sent(f.c), 2);
	smtp_client_free(&f.c);
}

static void credentials__are_not_in_the_log(void **state)
{
	(void)state;
	static const struct smtp_options login = {
		.helo = "me.example", .tls = SMTP_TLS_IMPLICIT, .user = "user", .password = "secret"};
	char path[] = "/tmp/postrider-test-log-XXXXXX", text[4000];
	close(mkstemp(path));
	assert_int_equal(log_open(path, false, 0, NULL), 0);
	log_set_level(LOG_LEVEL_DEBUG);
	struct fixture f;
	setup(&f, &login);
	say(&f, "250 AUTH PLAIN LOGIN\r\n");
	say(&f, "250-x\r\n250 AUTH PLAIN LOGIN\r\n");
	smtp_client_free(&f.c);
	setup(&f, &login);
	say(&f, "250-x\r\n250 AUTH LOGIN\r\n");
	written(&f);
	say(&f, "334 a\r\n");
	assert_string_equal(written(&f), "dXNlcg==\r\n");
	say(&f, "334 b\r\n");
	assert_string_equal(written(&f), "c2VjcmV0\r\n");
	say(&f, "235 c\r\n");
	smtp_client_free(&f.c);
	log_set_level(LOG_LEVEL_WARN);
	log_open(NULL, false, 0, NULL);
	FILE *log = fopen(path, "r");
	text[fread(text, 1, sizeof text - 1, log)] = '\0';
	fclose(log);
	unlink(path);
	assert_non_null(strstr(text, "> EHLO me.example"));
	assert_non_null(strstr(text, "> AUTH ***"));
	assert_null(strstr(text, "c2VjcmV0"));
	assert_null(strstr(text, "dXNlcg"));
	assert_null(strstr(text, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelope_of_the_next__goes_behind_the_end),
		cmocka_unit_test(quit__waits_for_what_is_under_way),
		cmocka_unit_test(message__is_written_from_where_it_lies),
		cmocka_unit_test(no_end_of_line_at_the_end__is_added),
		cmocka_unit_test(free__with_messages_lent__calls_nobody),
		cmocka_unit_test(events_after_closed__do_nothing),
		cmocka_unit_test(counts__are_of_what_was_answered),
		cmocka_unit_test(credentials__are_not_in_the_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
