#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/tls.h"
#include "engine/tls_memory.h"

static const char host[] = "mx.example";

static int at_noon(void **state)
{
	struct err e;
	clock_fake(DAY / 2);
	*state = tls_client_new(NULL, TLS_MAY, &e);
	return *state != NULL ? 0 : -1;
}

static int back(void **state)
{
	struct tls_client *t = *state;
	tls_client_free(&t);
	clock_fake(0);
	return 0;
}

static void broken__many_at_once__is_one_accident(void **state)
{
	for (int i = 0; i < 100; i++) {
		tls_client_note_broken(*state, host);
		clock_fake_add(MINUTE / 100 - 1);
	}
	assert_false(tls_client_broken(*state, host));
}

static void broken__twice_within_the_hour__for_an_hour(void **state)
{
	tls_client_note_broken(*state, host);
	clock_fake_add(MINUTE);
	tls_client_note_broken(*state, "other.example");
	assert_false(tls_client_broken(*state, host));
	tls_client_note_broken(*state, host);
	assert_true(tls_client_broken(*state, host));
	assert_false(tls_client_broken(*state, "other.example"));
	clock_fake_add(HOUR - 1);
	assert_true(tls_client_broken(*state, host));
	clock_fake_add(1);
	assert_false(tls_client_broken(*state, host));
	/* And from the beginning. */
	tls_client_note_broken(*state, host);
	assert_false(tls_client_broken(*state, host));
}

static void broken__once_an_hour__is_an_accident_each_time(void **state)
{
	for (int i = 0; i < 5; i++) {
		tls_client_note_broken(*state, host);
		assert_false(tls_client_broken(*state, host));
		clock_fake_add(HOUR);
	}
}

static void mark__again_and_again__ends_when_the_first_does(void **state)
{
	(void)state;
	struct tls_memory m;
	int fresh = 0;
	tls_memory_init(&m);
	for (ms_t now = 0; now < 3 * DAY; now += HOUR)
		fresh += tls_memory_mark(&m, host, now, DAY);
	assert_int_equal(fresh, 3);
	tls_memory_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(broken__many_at_once__is_one_accident, at_noon, back),
		cmocka_unit_test_setup_teardown(broken__twice_within_the_hour__for_an_hour, at_noon, back),
		cmocka_unit_test_setup_teardown(
			broken__once_an_hour__is_an_accident_each_time, at_noon, back),
		cmocka_unit_test(mark__again_and_again__ends_when_the_first_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
