/* What flow scripts (tests/flow) cannot say: rules of the calls themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/smtp/client.h"

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
	*m = (struct smtp_message){.from = STR("a@x"), .rcpt = STR("b@y"), .header = STR("Subject: x\r\n\r\n"),
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
	note(f, "%d:%s:%d%s%s%s ", (int)(m - f->messages), smtp_stage_names[r->stage], r->reply != NULL ? r->reply->code : 0,
		r->accepted ? ":accepted" : "", r->tried ? "" : ":untried", r->doubt ? ":doubt" : "");
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
	assert_string_equal(written(&f), "Subject: x\r\n\r\nhello\r\n.\r\nMAIL FROM:<a@x> SIZE=21\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	f.to_give = 3;
	say(&f, "250 1\r\n250 2\r\n250 3\r\n354 4\r\n");
	assert_string_equal(f.log, "ready ready 0:end:250:accepted ready ");
	assert_string_equal(written(&f), "Subject: x\r\n\r\nhello\r\n.\r\nMAIL FROM:<a@x> SIZE=21\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	assert_int_equal(smtp_client_in_flight(f.c), 2);
	smtp_client_eof(f.c, "reset", 6);
	assert_string_equal(f.log, "ready ready 0:end:250:accepted ready 1:end:0:doubt 2:mail:0:untried closed:end ");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelope_of_the_next__goes_behind_the_end),
		cmocka_unit_test(quit__waits_for_what_is_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
