/* smtp_conn: messages, their results, and how a connection ends. */
#include "tests/unit/smtp_conn_fixture.h"

static void plain__one_message__is_delivered_and_quit(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	run(1, DELIVERED);
	finish();
}

static void plain__end_and_next_envelope__leave_in_one_write(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "together",
		"S 250 ok", OKS, "message", "S 250 ok", QUIT, NULL};
	prepare(SMTP_TLS_NONE, script);
	run(2, "0:end:250:accepted 1:end:250:accepted closed:quit:clean");
	finish();
}

static void slow_server__byte_by_byte__is_understood(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	server.slow = true;
	run(1, DELIVERED);
	finish();
	prepare(SMTP_TLS_IMPLICIT, implicit_script);
	use_tls(ca_file, true, good_context());
	server.slow = true;
	run(1, DELIVERED);
	finish();
}

static void login__on_this_host__goes_in_clear(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250-AUTH PLAIN", "S 250 PIPELINING",
		"C AUTH PLAIN AHUAcA==", "S 235 ok", ONE_MESSAGE, NULL};
	prepare(SMTP_TLS_NONE, script);
	client.o.user = "u";
	client.o.password = "p";
	run(1, DELIVERED);
	finish();
}

static void server_that_closes(const char *const *script, const char *want)
{
	prepare(SMTP_TLS_NONE, script);
	run(2, want);
	finish();
}

static void server_that_closes__decides_doubt(void **state)
{
	(void)state;
	static const char *const at_once[] = {NULL};
	static const char *const after_mail[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, "S 250 ok", NULL};
	static const char *const after_end[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", NULL};
	static const char *const reset_after_end[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", ENVELOPE, "reset", NULL};
	static const char *const at_421[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message",
		"S 421 4.3.2 enough", "reset", "pause", NULL};
	server_that_closes(at_once, "closed:greeting");
	server_that_closes(after_mail, "0:rcpt:0 1:mail:0:untried closed:rcpt");
	server_that_closes(after_end, "0:end:0:doubt 1:mail:0:untried closed:end");
	server_that_closes(reset_after_end, "0:end:0:doubt 1:mail:0:untried closed:end");
	server_that_closes(at_421, "0:end:421 1:mail:0:untried closed:end");
}

static void fill_large(struct smtp_message *m, char *text, size_t n, unsigned long *sum)
{
	*sum = 0;
	for (size_t i = 0; i < n; i++) {
		text[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i / 80 % 26);
		if (i % 80 < 78)
			*sum = *sum * 31 + (unsigned char)text[i];
	}
	m->header = str_n(text, 160);
	m->body = str_n(text + 160, n - 160);
}

static void large_message__to_a_server_that_reads_late__arrives_whole(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, "S 250 ok",
		"S 250 ok", "S 354 go on", "pause", "message", "S 250 ok", QUIT, NULL};
	static const char *const tls_script[] = {
		TO_TLS, OFFER, ENVELOPE, OKS, "pause", "message", "S 250 ok", QUIT, NULL};
	const size_t n = 80 * 100000;
	char *text = malloc(n);
	for (int tls = 0; tls < 2; tls++) {
		unsigned long sum;
		prepare(tls ? SMTP_TLS_STARTTLS : SMTP_TLS_NONE, tls ? tls_script : script);
		if (tls)
			use_tls(ca_file, true, good_context());
		fill_large(&client.messages[0], text, n, &sum);
		run(1, DELIVERED);
		finish();
		assert_int_equal(server.body_bytes, n);
		assert_true(server.body_sum == sum);
	}
	free(text);
}

static void large_message__reset_in_the_middle__is_no_doubt(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "some", "reset", NULL};
	const size_t n = 80 * 200000;
	unsigned long sum;
	char *text = malloc(n);
	prepare(SMTP_TLS_NONE, script);
	fill_large(&client.messages[0], text, n, &sum);
	run(1, "0:data:0 closed:end");
	finish();
	free(text);
}

static void abort__results_and_closed_come_later(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	connect_client();
	client.in_call = true;
	smtp_conn_abort(client.c);
	smtp_conn_abort(client.c);
	client.in_call = false;
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

static void abort__inside_a_callback__is_fine(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", "wait", NULL};
	prepare(SMTP_TLS_NONE, script);
	client.abort_at_ready = true;
	run(1, "closed:idle");
	finish();
}

static void give_from_a_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	if (!smtp_conn_ready(client.c))
		return;
	ev_timer_stop(loop, w);
	client.in_call = true;
	smtp_conn_send(client.c, &client.messages[0]);
	if (smtp_conn_ready(client.c))
		smtp_conn_send(client.c, &client.messages[1]);
	smtp_conn_quit(client.c);
	client.in_call = false;
}

static void run_with_timer(const char *want)
{
	ev_timer timer;
	client.quit_when_done = false;
	start_server();
	connect_client();
	ev_timer_init(&timer, give_from_a_timer, 0.01, 0.01);
	ev_timer_start(client.loop, &timer);
	run_loop();
	assert_string_equal(client.log, want);
	finish();
}

static void send__outside_callbacks__goes_out(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250-SIZE 1000", "S 250 PIPELINING",
		"C MAIL FROM:<from@us.example> SIZE=29", "C RCPT TO:<to@them.example>", "C DATA", OKS,
		"message", "S 250 ok", QUIT, NULL};
	static char large[2000] = "x";
	prepare(SMTP_TLS_NONE, script);
	client.messages[1].body = str_n(large, sizeof large);
	run_with_timer("0:end:250:accepted 1:mail:552 closed:quit:clean");
}

static void own_refusal__outside_callbacks__comes_on_the_next_turn(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250-SIZE 10", "S 250 PIPELINING", QUIT, NULL};
	prepare(SMTP_TLS_NONE, script);
	run_with_timer("0:mail:552 1:mail:552 closed:quit:clean");
}

static void reply_timeout__closes(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", "wait", NULL};
	static struct smtp_timeouts t;
	t = smtp_timeouts_default;
	t.end = 150;
	prepare(SMTP_TLS_NONE, script);
	client.o.timeouts = &t;
	ms_t before = clock_mono();
	run(1, "0:end:0:doubt closed:end");
	assert_true(clock_mono() - before >= 150);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain__one_message__is_delivered_and_quit),
		cmocka_unit_test(plain__end_and_next_envelope__leave_in_one_write),
		cmocka_unit_test(slow_server__byte_by_byte__is_understood),
		cmocka_unit_test(login__on_this_host__goes_in_clear),
		cmocka_unit_test(server_that_closes__decides_doubt),
		cmocka_unit_test(large_message__to_a_server_that_reads_late__arrives_whole),
		cmocka_unit_test(large_message__reset_in_the_middle__is_no_doubt),
		cmocka_unit_test(abort__results_and_closed_come_later),
		cmocka_unit_test(abort__inside_a_callback__is_fine),
		cmocka_unit_test(send__outside_callbacks__goes_out),
		cmocka_unit_test(own_refusal__outside_callbacks__comes_on_the_next_turn),
		cmocka_unit_test(reply_timeout__closes),
	};
	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
