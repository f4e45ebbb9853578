/* smtp_conn: getting a connection, and addresses that are tried beside each other. */
#include "tests/unit/smtp_conn_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>

static void connect__refused__says_where_and_why(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	close(server.listener);
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	assert_non_null(strstr(client.why, "127.0.0.1 port "));
	assert_non_null(strstr(client.why, "Connection refused"));
	ev_loop_destroy(client.loop);
}

static void connect__second_address__is_tried(void **state)
{
	(void)state;
	int dead;
	close(listen_somewhere(1, &dead));
	prepare(SMTP_TLS_NONE, plain_script);
	client.addrs[1] = client.addrs[0];
	set_address(&client.addrs[0], dead);
	client.ep.naddrs = 2;
	run(1, DELIVERED);
	finish();
}

static void connect__no_address__closes_on_the_next_turn(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	client.ep.naddrs = 0;
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

/* A full queue leaves further connections without an answer. */
struct silent {
	int listener, fill[4];
	struct sockaddr_storage address;
};

static void silent_start(struct silent *s)
{
	int port;
	s->listener = listen_somewhere(0, &port);
	set_address(&s->address, port);
	for (int i = 0; i < 4; i++) {
		s->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(s->fill[i], (struct sockaddr *)&s->address, sizeof(struct sockaddr_in));
	}
}

static void silent_stop(struct silent *s)
{
	for (int i = 0; i < 4; i++)
		close(s->fill[i]);
	close(s->listener);
}

/* Its address first, then that of the server. */
static void silent_before_the_server(struct silent *s)
{
	silent_start(s);
	prepare(SMTP_TLS_NONE, plain_script);
	client.addrs[1] = client.addrs[0];
	client.addrs[0] = s->address;
	client.ep.naddrs = 2;
}

static void connect__silence__times_out_and_goes_to_the_next(void **state)
{
	(void)state;
	struct silent s;
	silent_before_the_server(&s);
	client.ep.connect_timeout = 100;
	ms_t before = clock_mono();
	run(1, DELIVERED);
	assert_true(clock_mono() - before >= 100);
	finish();
	silent_stop(&s);
}

/* An address that leads nowhere costs a second, whatever the time that a single one has. */
static void connect__silence__the_next_is_tried_beside_it(void **state)
{
	(void)state;
	struct silent s;
	silent_before_the_server(&s);
	client.ep.connect_timeout = 30 * SECOND;
	ms_t before = clock_mono();
	run(1, DELIVERED);
	assert_true(clock_mono() - before < 25 * SECOND);
	finish();
	silent_stop(&s);
}

static void *wake_up_and_serve(void *arg)
{
	struct silent *s = arg;
	int fd;
	usleep(1500 * 1000);
	for (int i = 0; i < 4; i++)
		close(s->fill[i]);
	fcntl(s->listener, F_SETFL, O_NONBLOCK);
	while ((fd = accept(s->listener, NULL, NULL)) >= 0)
		close(fd);
	fcntl(s->listener, F_SETFL, 0);
	return serve(&server);
}

/* The first one, slow but alive, is still there when the second fails. */
static void connect__slow_one__answers_after_the_other_failed(void **state)
{
	(void)state;
	struct silent s;
	int dead;
	silent_start(&s);
	prepare(SMTP_TLS_NONE, plain_script);
	close(listen_somewhere(1, &dead));
	client.addrs[0] = s.address;
	set_address(&client.addrs[1], dead);
	client.ep.naddrs = 2;
	client.ep.connect_timeout = 30 * SECOND;
	close(server.listener);
	server.listener = s.listener;
	client.to_give = 1;
	pthread_create(&server.thread, NULL, wake_up_and_serve, &s);
	connect_client();
	run_loop();
	assert_string_equal(client.log, DELIVERED);
	finish();
}

static void connect__no_descriptor_left__is_an_error_at_once(void **state)
{
	(void)state;
	struct rlimit before, none;
	struct err e;
	prepare(SMTP_TLS_NONE, plain_script);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	struct smtp_conn *c = smtp_conn_open(client.loop, &client.ep, &client.o, &ops, &client, &e);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_null(c);
	assert_int_equal(e.code, ERR_IO);
	run_loop();
	assert_string_equal(client.log, "");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect__refused__says_where_and_why),
		cmocka_unit_test(connect__second_address__is_tried),
		cmocka_unit_test(connect__no_address__closes_on_the_next_turn),
		cmocka_unit_test(connect__silence__times_out_and_goes_to_the_next),
		cmocka_unit_test(connect__silence__the_next_is_tried_beside_it),
		cmocka_unit_test(connect__slow_one__answers_after_the_other_failed),
		cmocka_unit_test(connect__no_descriptor_left__is_an_error_at_once),
	};
	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
