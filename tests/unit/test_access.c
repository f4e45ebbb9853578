#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/access.h"
#include "src/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/test_access.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static int teardown(void **state)
{
	(void)state;
	unlink("n");
	return rmdir(dir);
}

static struct secret command(const char *text)
{
	return (struct secret){.from = SECRET_COMMAND, .value = text, .at = {"p.conf", 7}};
}

static const char *reads(const char *cmd, ms_t lifetime)
{
	static char got[600];
	struct secret s = command(cmd);
	struct buf b = BUF_INIT(20000);
	struct err e = {0};
	ms_t life;
	int rc = access_read(&s, &b, &life, &e);
	snprintf(got, sizeof got, "%s", rc == 0 ? buf_cstr(&b) : e.why);
	if (rc == 0)
		assert_int_equal(life, lifetime);
	else
		assert_int_equal(e.line, 7);
	buf_release(&b);
	return got;
}

static void read__a_line_or_json(void **state)
{
	(void)state;
	assert_string_equal(reads("echo ya29.abc", 0), "ya29.abc");
	assert_string_equal(reads("printf ' ya29.abc\\r\\n'", 0), "ya29.abc");
	assert_string_equal(
		reads("printf '{\\n \"access_token\": \"t-1\",\\n \"expires_in\": 3599}\\n'", 3599 * SECOND),
		"t-1");
	assert_string_equal(reads("echo '{\"access_token\":\"t\",\"expires_in\":\"60\"}'", MINUTE), "t");
	assert_string_equal(reads("echo '{\"access_token\":\"t\"}'", 0), "t");
	assert_string_equal(
		reads("echo '{\"access_token\":\"t\",\"expires_in\":9223372036854775807}'", 366 * 24 * HOUR),
		"t");
}

static void read__what_is_no_token(void **state)
{
	(void)state;
	assert_string_equal(reads("true", 0), "it is empty");
	assert_string_equal(reads("false", 0), "the command failed");
	assert_non_null(strstr(reads("printf 'a\\nb\\n'", 0), "more than one line"));
	assert_non_null(strstr(reads("echo 'a b'", 0), "blanks"));
	assert_non_null(
		strstr(reads("echo '{\"error\":\"invalid_grant\"}'", 0), "access_token: invalid_grant"));
	assert_non_null(strstr(reads("echo '{'", 0), "no access_token"));
	assert_non_null(strstr(reads("echo '{\"access_token\":\"a\\u0001b\"}'", 0), "control"));
	assert_non_null(strstr(reads("head -c 9000 /dev/zero | tr '\\0' x", 0), "too long"));
}

static const char *token(struct access *a)
{
	static char text[100];
	size_t n = access_token(a, text, sizeof text - 1);
	text[n] = '\0';
	return text;
}

/* Prints another token each time. */
#define COUNTING "echo x >> n; printf 'token-%d\\n' $(wc -l < n)"

static void token__is_kept_until_it_is_refused(void **state)
{
	(void)state;
	struct secret s = command(COUNTING);
	struct err e = {0};
	struct access *a;
	unlink("n");
	assert_int_equal(access_new(&a, &s, &e), 0);
	assert_string_equal(token(a), "");
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "token-1");
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "token-1");
	access_accepted(a);
	/* Several connections carried it. */
	assert_true(access_refused(a));
	assert_true(access_refused(a));
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "token-2");
	/* A new one that is refused, too, means the account. */
	assert_false(access_refused(a));
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "token-3");
	access_accepted(a);
	assert_true(access_refused(a));
	access_free(&a);
	assert_null(a);
}

static void token__grows_old(void **state)
{
	(void)state;
	struct secret s =
		command("echo x >> n; printf '{\"access_token\":\"t%d\",\"expires_in\":90}' $(wc -l < n)");
	struct err e = {0};
	struct access *a;
	char why[200];
	int failures;
	unlink("n");
	clock_fake(1780000000000);
	assert_int_equal(access_new(&a, &s, &e), 0);
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "t1");
	assert_int_equal(access_state(a, why, sizeof why, &failures), ACCESS_READY);
	clock_fake_add(40 * SECOND);
	/* A minute before its end the next one is got, while this one still does. */
	assert_int_equal(access_state(a, why, sizeof why, &failures), ACCESS_READY);
	for (int i = 0; i < 50000 && strcmp(token(a), "t1") == 0; i++)
		usleep(2000); /* the command's own time must not pass with the clock */
	clock_fake_add(51 * SECOND);
	assert_int_equal(access_wait(a, &e), 0);
	assert_true(token(a)[0] == 't' && atoi(token(a) + 1) > 1);
	access_free(&a);
	clock_fake(0);
}

static void token__that_cannot_be_had__is_told(void **state)
{
	(void)state;
	struct secret s = command("exit 3");
	struct err e = {0};
	struct access *a;
	char why[200];
	int failures;
	assert_int_equal(access_new(&a, &s, &e), 0);
	assert_int_equal(access_wait(a, &e), -1);
	assert_non_null(strstr(e.why, "the command failed"));
	assert_int_equal(access_state(a, why, sizeof why, &failures), ACCESS_FAILED);
	assert_int_equal(failures, 1);
	assert_non_null(strstr(why, "the command failed"));
	assert_string_equal(token(a), "");
	access_free(&a);
}

/* The monotonic clock begins with the machine. */
static void token__is_got_right_after_the_machine_started(void **state)
{
	(void)state;
	struct secret s = command("echo early");
	struct err e = {0};
	struct access *a;
	clock_fake(SECOND);
	assert_int_equal(access_new(&a, &s, &e), 0);
	assert_int_equal(access_wait(a, &e), 0);
	assert_string_equal(token(a), "early");
	access_free(&a);
	clock_fake(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read__a_line_or_json),
		cmocka_unit_test(read__what_is_no_token),
		cmocka_unit_test(token__is_kept_until_it_is_refused),
		cmocka_unit_test(token__grows_old),
		cmocka_unit_test(token__that_cannot_be_had__is_told),
		cmocka_unit_test(token__is_got_right_after_the_machine_started),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
