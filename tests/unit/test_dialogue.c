/* What is kept of what was said: for each message its own part, without secrets and without the message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/smtp/client.h"

#include <stdio.h>

struct talk {
	struct smtp_client *c;
	struct smtp_message *queue[2];
	int given, results;
	struct buf said[3]; /* of two results and the end */
};

static void on_ready(void *ctx)
{
	struct talk *t = ctx;
	if (t->given < 2 && t->queue[t->given] != NULL)
		smtp_client_send(t->c, t->queue[t->given++], 0);
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct talk *t = ctx;
	(void)m, (void)r;
	smtp_client_dialogue(t->c, &t->said[t->results++]);
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	struct talk *t = ctx;
	(void)clean, (void)r;
	smtp_client_dialogue(t->c, &t->said[2]);
}

static const struct smtp_client_ops ops = {on_ready, on_result, NULL, on_closed};

static void hear(struct talk *t, const char *text, ms_t now)
{
	smtp_client_input(t->c, text, strlen(text), now);
	struct iovec v[8];
	int n;
	while ((n = smtp_client_output(t->c, v, 8)) > 0) {
		size_t all = 0;
		for (int i = 0; i < n; i++)
			all += v[i].iov_len;
		smtp_client_written(t->c, all, now);
	}
}

static void begin(struct talk *t, const struct smtp_options *o)
{
	for (int i = 0; i < 3; i++)
		buf_init(&t->said[i], 1 << 16);
	t->c = smtp_client_new(o, &ops, t);
	smtp_client_trust_clear(t->c);
	smtp_client_note(t->c, STR("connected to mx.example"), 1000);
	smtp_client_start(t->c, 1010);
}

static void end(struct talk *t)
{
	smtp_client_free(&t->c);
	for (int i = 0; i < 3; i++)
		buf_release(&t->said[i]);
}

static struct smtp_message message(const char *rcpt)
{
	return (struct smtp_message){.from = STR("us@us.example"),
		.rcpt = str_from(rcpt),
		.header = STR("Subject: private\r\n\r\n"),
		.body = STR("secret body\r\n")};
}

static void each_message_has_its_own_part(void **state)
{
	(void)state;
	struct smtp_message ann = message("ann@them.example"), bob = message("bob@them.example");
	struct talk t = {.queue = {&ann, &bob}};
	const struct smtp_options o = {
		.helo = "us.example", .user = "me", .password = "hunter2", .pipeline = true};
	begin(&t, &o);
	hear(&t, "220 mx.example\r\n", 1250);
	hear(&t, "250-mx.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n", 1300);
	hear(&t, "235 2.7.0 welcome\r\n", 1400);
	hear(&t, "250 ok\r\n250 ok\r\n354 go\r\n", 1500);
	hear(&t, "550 5.7.1 no ann\r\n", 2700);
	hear(&t, "250 ok\r\n550 5.1.1 no bob\r\n503 what\r\n", 2800);
	assert_int_equal(t.results, 2);
	assert_string_equal(buf_cstr(&t.said[0]), "0.000 * connected to mx.example\n"
						  "0.250 < 220 mx.example\n"
						  "0.250 > EHLO us.example\n"
						  "0.300 < 250 mx.example PIPELINING AUTH PLAIN\n"
						  "0.300 > AUTH ***\n"
						  "0.400 < 235 2.7.0 welcome\n"
						  "0.400 > MAIL FROM:<us@us.example>\n"
						  "0.400 > RCPT TO:<ann@them.example>\n"
						  "0.400 > DATA\n"
						  "0.500 < 250 ok\n"
						  "0.500 < 250 ok\n"
						  "0.500 < 354 go\n"
						  "0.500 > (a message of 33 bytes)\n"
						  "0.500 > .\n"
						  "1.700 < 550 5.7.1 no ann\n");
	const char *second = strstr(buf_cstr(&t.said[1]), "235 2.7.0 welcome\n");
	assert_non_null(second);
	assert_string_equal(strchr(second, '\n') + 1, "0.500 > MAIL FROM:<us@us.example>\n"
						      "0.500 > RCPT TO:<bob@them.example>\n"
						      "0.500 > DATA\n"
						      "1.800 < 250 ok\n"
						      "1.800 < 550 5.1.1 no bob\n");
	smtp_client_eof(t.c, "closed by the server", 3000);
	assert_non_null(strstr(buf_cstr(&t.said[2]), "2.000 * closed by the server\n"));
	assert_null(strstr(buf_cstr(&t.said[2]), "RCPT"));
	end(&t);
}

/* Sixteen at a time, and never none. */
enum { MANY = 200, AT_A_TIME = 16 };
struct many {
	struct smtp_client *c;
	struct smtp_message m[MANY];
	char rcpt[MANY][20];
	int given, results;
};

static void many_ready(void *ctx)
{
	struct many *t = ctx;
	if (t->given < MANY)
		smtp_client_send(t->c, &t->m[t->given++], 0);
}

static void many_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct many *t = ctx;
	struct buf said = BUF_INIT(1 << 16);
	char own[40], refusal[20];
	int n = t->results++;
	assert_ptr_equal(m, &t->m[n]);
	assert_int_equal(r->reply->code, n == 0 ? 250 : 554);
	smtp_client_dialogue(t->c, &said);
	snprintf(own, sizeof own, "> RCPT TO:<%s>\n", t->rcpt[n]);
	snprintf(refusal, sizeof refusal, " no %d\n", n);
	const char *at = strstr(buf_cstr(&said), "> RCPT");
	assert_non_null(at);
	assert_memory_equal(at, own, strlen(own));
	assert_null(strstr(at + 1, "> RCPT"));
	assert_true(n == 0 || str_ends(buf_get(&said), str_from(refusal)));
	buf_release(&said);
}

static void many_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	(void)ctx, (void)clean, (void)r;
}

static void many_under_way__each_has_its_own_part(void **state)
{
	(void)state;
	static const struct smtp_client_ops many_ops = {many_ready, many_result, NULL, many_closed};
	static struct many t;
	const struct smtp_options o = {.helo = "us.example", .pipeline = true, .chunking = AT_A_TIME};
	t = (struct many){.c = smtp_client_new(&o, &many_ops, &t)};
	for (int i = 0; i < MANY; i++) {
		snprintf(t.rcpt[i], sizeof t.rcpt[i], "p%d@them.example", i);
		t.m[i] = message(t.rcpt[i]);
	}
	struct talk wire = {.c = t.c};
	smtp_client_start(t.c, 1010);
	hear(&wire, "220 mx.example\r\n", 1250);
	hear(&wire, "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 1300);
	hear(&wire, "250 ok\r\n250 ok\r\n250 taken\r\n", 1400);
	assert_int_equal(t.given, 1 + AT_A_TIME);
	for (int i = 1; i < MANY; i++) {
		char replies[100];
		snprintf(replies, sizeof replies, "%s250 ok\r\n250 ok\r\n554 5.7.1 no %d\r\n",
			i > 1 ? "250 reset\r\n" : "", i);
		hear(&wire, replies, 1500);
	}
	assert_int_equal(t.results, MANY);
	smtp_client_free(&t.c);
}

static void a_talkative_server_is_cut(void **state)
{
	(void)state;
	struct smtp_message ann = message("ann@them.example");
	struct talk t = {.queue = {&ann}};
	const struct smtp_options o = {.helo = "us.example"};
	begin(&t, &o);
	hear(&t, "220 mx.example\r\n", 1250);
	char line[600] = "250-";
	memset(line + 4, 'x', 500);
	strcpy(line + 504, "\r\n");
	for (int i = 0; i < 100; i++)
		hear(&t, line, 1300);
	hear(&t, "250 ok\r\n", 1300);
	hear(&t, "550 5.1.8 not you\r\n", 1300);
	assert_int_equal(t.results, 1);
	assert_true(t.said[0].len < 6200);
	assert_non_null(strstr(buf_cstr(&t.said[0]), "x …\n"));
	assert_non_null(strstr(buf_cstr(&t.said[0]), "< 550 5.1.8 not you\n"));
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_its_own_part),
		cmocka_unit_test(many_under_way__each_has_its_own_part),
		cmocka_unit_test(a_talkative_server_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
