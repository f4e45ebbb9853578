#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/file.h"
#include "src/base/log.h"
#include "src/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/test_log.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char cmd[64];
	clock_fake(0);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

static char *content(const char *path)
{
	static struct buf b = BUF_INIT(1 << 20);
	buf_clear(&b);
	assert_int_equal(file_read(path, &b, NULL), 0);
	return b.p;
}

static void text__one_line_with_time_and_level(void **state)
{
	(void)state;
	struct err e;
	clock_fake(1764547200250);
	log_set_level(LOG_LEVEL_INFO);
	assert_int_equal(log_open("text", false, 0, &e), 0);
	log_warn("reply \"%s\"", "550 no\r\n\x1b[2J");
	log_debug("not shown %d", 1);
	struct err at = {.what = "cannot read", .why = "bad", .file = "x.conf", .line = 7};
	log_err(LOG_LEVEL_ERROR, &at);
	assert_string_equal(content("text"),
		"2025-12-01T00:00:00.250Z warn  reply \"550 no\\x0d\\x0a\\x1b[2J\"\n"
		"2025-12-01T00:00:00.250Z error cannot read: bad (x.conf:7)\n");
	log_open(NULL, false, 0, &e);
}

static void json__quotes_and_controls__stay_one_document(void **state)
{
	(void)state;
	struct err e;
	clock_fake(1764547200250);
	assert_int_equal(log_open("json", true, 0, &e), 0);
	log_info("a \"b\" \\ \n\xff");
	assert_string_equal(content("json"), "{\"time\":\"2025-12-01T00:00:00.250Z\",\"level\":\"info\","
					     "\"text\":\"a \\\"b\\\" \\\\ \\\\x0a\\\\xff\"}\n");
	log_open(NULL, false, 0, &e);
}

static void size_passed__rotates_once(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(log_open("rot", false, 60, &e), 0);
	log_info("the first line, long enough to pass the size");
	assert_true(file_exists("rot.1"));
	log_info("second");
	assert_non_null(strstr(content("rot.1"), "the first line"));
	assert_non_null(strstr(content("rot"), "second"));
	log_open(NULL, false, 0, &e);
}

static void reopen__after_outside_rotation__writes_anew(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(log_open("out", false, 0, &e), 0);
	log_info("one");
	assert_int_equal(rename("out", "out.old"), 0);
	log_reopen();
	log_info("two");
	assert_non_null(strstr(content("out"), "two"));
	assert_null(strstr(content("out"), "one"));
	log_open(NULL, false, 0, &e);
	assert_int_equal(log_open("no/such/folder", false, 0, &e), -1);
	assert_int_equal(e.code, ERR_CREATE);
	log_open(NULL, false, 0, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text__one_line_with_time_and_level),
		cmocka_unit_test(json__quotes_and_controls__stay_one_document),
		cmocka_unit_test(size_passed__rotates_once),
		cmocka_unit_test(reopen__after_outside_rotation__writes_anew),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
