/* Configurations in a folder of their own: p.conf is written, and read or refused. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/file.h"
#include "src/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/test_config.XXXXXX";
static char top[512]; /* where the tests were started */

static int setup(void **state)
{
	(void)state;
	unsetenv("POSTRIDER_CONFIG");
	return getcwd(top, sizeof top) != NULL && mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char cmd[64];
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write(path, str_from(text), 0600, NULL), 0);
}

static struct config *load(const char *text)
{
	struct err e = {0};
	struct config *c;
	put("p.conf", text);
	if (config_load("p.conf", &c, &e) != 0)
		fail_msg("%s\n%s:%ld: %s: %s", text, e.file, e.line, e.what, e.why);
	return c;
}

static void refuses(const char *text, long line, const char *why)
{
	struct err e = {0};
	struct config *c;
	put("p.conf", text);
	if (config_load("p.conf", &c, &e) == 0)
		fail_msg("accepted: %s", text);
	assert_null(c);
	if (e.code != ERR_CONFIG || e.line != line || strstr(e.why, why) == NULL ||
		strcmp(e.file, "p.conf") != 0)
		fail_msg("%s\ngives %d %s:%ld: %s", text, e.code, e.file, e.line, e.why);
}

struct refusal {
	const char *text;
	long line;
	const char *why;
};

static void refuses_each(const struct refusal *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		refuses(t[i].text, t[i].line, t[i].why);
}

#endif
