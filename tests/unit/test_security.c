/* docs/SECURITY.md names a test for each defence: each of them exists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/file.h"

#include <stdio.h>

static bool file_has(const char *path, const char *words)
{
	struct buf text = BUF_INIT(1 << 20);
	bool has = file_read(path, &text, NULL) == 0 && strstr(buf_cstr(&text), words) != NULL;
	buf_release(&text);
	return has;
}

/* "unit/test_x:name", "e2e/x:name", "flow/name" or "fuzz/name"; 0: it is none of these. */
static int exists(const char *ref)
{
	char file[100], name[120], path[160], words[160];
	if (sscanf(ref, "unit/%99[a-z0-9_]:%119[a-z0-9_]", file, name) == 2) {
		static const char *const folders[] = {"unit", "flow"};
		for (size_t i = 0; i < 2; i++) {
			snprintf(path, sizeof path, "tests/%s/%s.c", folders[i], file);
			snprintf(words, sizeof words, "static void %s(", name);
			if (file_has(path, words))
				return 1;
		}
		return -1;
	}
	if (sscanf(ref, "e2e/%99[a-z0-9_]:%119[a-z0-9_]", file, name) == 2) {
		snprintf(path, sizeof path, "tests/e2e/test_%s.py", file);
		snprintf(words, sizeof words, "def test_%s(", name);
		return file_has(path, words) ? 1 : -1;
	}
	if (sscanf(ref, "flow/%99[a-z0-9-]", file) == 1)
		snprintf(path, sizeof path, "tests/flow/%s.flow", file);
	else if (sscanf(ref, "fuzz/%99[a-z0-9_]", file) == 1)
		snprintf(path, sizeof path, "tests/fuzz/fuzz_%s.c", file);
	else
		return 0;
	return file_exists(path) ? 1 : -1;
}

static void security__every_test_named__exists(void **state)
{
	(void)state;
	struct buf text = BUF_INIT(1 << 20);
	int found = 0;
	assert_int_equal(file_read("docs/SECURITY.md", &text, NULL), 0);
	for (char *p = text.p; (p = strchr(p, '`')) != NULL;) {
		char *end = strchr(++p, '`');
		assert_non_null(end);
		*end = '\0';
		int there = exists(p);
		if (there < 0)
			fail_msg("docs/SECURITY.md names %s, which does not exist", p);
		found += there;
		p = end + 1;
	}
	assert_true(found > 60);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(security__every_test_named__exists)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
