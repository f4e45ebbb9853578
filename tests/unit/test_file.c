#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_file.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char cmd[64];
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

static unsigned mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void content_is(const char *path, const char *want)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err e;
	assert_int_equal(file_read(path, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static size_t entries(void)
{
	size_t n = 0;
	DIR *d = opendir(".");
	for (struct dirent *x; (x = readdir(d)) != NULL;)
		n++;
	closedir(d);
	return n;
}

static void create__existing__is_refused_and_kept(void **state)
{
	(void)state;
	struct err e;
	umask(077);
	assert_int_equal(file_create("one", STR("first"), 0644, &e), 0);
	assert_int_equal(mode_of("one"), 0644);
	assert_int_equal(file_create("one", STR("second"), 0600, &e), -1);
	assert_int_equal(e.code, ERR_CREATE);
	content_is("one", "first");
	assert_int_equal(file_create("secret", STR(""), 0600, &e), 0);
	assert_int_equal(mode_of("secret"), 0600);
}

static void write__replaces_at_once_and_leaves_nothing_else(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(file_write("two", STR("old"), 0600, &e), 0);
	size_t before = entries();
	FILE *reader = fopen("two", "r"); /* who has it open sees the old content to its end */
	assert_int_equal(file_write("two", STR("new and longer"), 0640, &e), 0);
	char b[16] = "";
	assert_int_equal(fread(b, 1, sizeof b - 1, reader), 3);
	fclose(reader);
	assert_string_equal(b, "old");
	content_is("two", "new and longer");
	assert_int_equal(mode_of("two"), 0640);
	assert_int_equal(entries(), before);
}

static void write__link__keeps_the_link(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_int_equal(file_write("sub/real", STR("x"), 0600, &e), 0);
	assert_int_equal(symlink("sub/real", "link"), 0);
	assert_int_equal(file_write("link", STR("y"), 0600, &e), 0);
	struct stat st;
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	content_is("sub/real", "y");
}

static void write__device__is_written_not_replaced(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(file_write("/dev/null", STR("y"), 0600, &e), 0);
	struct stat st;
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void write__no_folder__says_so(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(file_write("missing/file", STR("y"), 0600, &e), -1);
	assert_int_equal(e.code, ERR_CREATE);
	assert_non_null(strstr(e.why, "missing/file"));
}

static void read__errors(void **state)
{
	(void)state;
	struct err e;
	struct buf b = BUF_INIT(4);
	assert_int_equal(file_read("nowhere", &b, &e), -1);
	assert_int_equal(e.code, ERR_NOINPUT);
	assert_int_equal(file_read(".", &b, &e), -1);
	assert_int_equal(e.code, ERR_NOINPUT);
	assert_int_equal(file_create("five", STR("12345"), 0600, &e), 0);
	assert_int_equal(file_read("five", &b, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
	buf_clear(&b);
	assert_int_equal(file_create("four", STR("1234"), 0600, &e), 0);
	assert_int_equal(file_read("four", &b, &e), 0);
	buf_release(&b);
}

static void beside__resolves_from_the_folder_of_a_file(void **state)
{
	(void)state;
	static const char *const t[][3] = {{"/etc/p/p.conf", "db", "/etc/p/db"}, {"p.conf", "db", "db"},
		{"a/p.conf", "../db", "a/../db"}, {"a/p.conf", "/db", "/db"}, {"/p.conf", "db", "/db"}};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		char *p = path_beside(t[i][0], t[i][1]);
		assert_string_equal(p, t[i][2]);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__existing__is_refused_and_kept),
		cmocka_unit_test(write__replaces_at_once_and_leaves_nothing_else),
		cmocka_unit_test(write__link__keeps_the_link),
		cmocka_unit_test(write__device__is_written_not_replaced),
		cmocka_unit_test(write__no_folder__says_so),
		cmocka_unit_test(read__errors),
		cmocka_unit_test(beside__resolves_from_the_folder_of_a_file),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
