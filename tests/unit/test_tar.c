#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/tar.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *f;

static int setup(void **state)
{
	(void)state;
	f = tmpfile();
	return f == NULL;
}

static int teardown(void **state)
{
	(void)state;
	return fclose(f);
}

static void put(const char *name, const char *text)
{
	struct err e = {0};
	struct tar_member m = {.size = strlen(text), .mode = 0600, .mtime = 1780000000};
	snprintf(m.name, sizeof m.name, "%s", name);
	assert_int_equal(tar_head(f, &m, &e), 0);
	assert_int_equal(fwrite(text, 1, m.size, f), m.size);
	assert_int_equal(tar_fill(f, m.size, &e), 0);
}

static void members__come_back(void **state)
{
	(void)state;
	struct err e = {0};
	struct tar_member m;
	char text[10], name[200] = "";
	/* 100 characters fit as they are, more need a slash to be cut at. */
	memset(name, 'a', 120);
	strcat(name, "/b.conf");
	put("postrider.db", "abc");
	put(name, "");
	assert_int_equal(tar_end(f, &e), 0);
	rewind(f);
	assert_int_equal(tar_next(f, &m, &e), 1);
	assert_string_equal(m.name, "postrider.db");
	assert_int_equal(m.size, 3);
	assert_int_equal(m.mode, 0600);
	assert_int_equal(m.mtime, 1780000000);
	assert_int_equal(fread(text, 1, 3, f), 3);
	assert_int_equal(tar_skip_fill(f, m.size, &e), 0);
	assert_int_equal(tar_next(f, &m, &e), 1);
	assert_string_equal(m.name, name);
	assert_int_equal(tar_next(f, &m, &e), 0);
}

static void names__that_lead_elsewhere__are_not_written(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "/etc/passwd", "..", "../x", "a/../b", "./a", "a//b", "a/", "."};
	struct err e = {0};
	struct tar_member m = {.size = 0};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(m.name, sizeof m.name, "%s", bad[i]);
		assert_int_equal(tar_head(f, &m, &e), -1);
		assert_int_equal(e.code, ERR_DATA);
	}
	memset(m.name, 'a', 101);
	m.name[101] = '\0';
	assert_int_equal(tar_head(f, &m, &e), -1);
	assert_int_equal(ftell(f), 0);
}

static void size__beyond_8_gib__comes_back(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {
		0, 1, ((uint64_t)1 << 33) - 1, (uint64_t)1 << 33, ((uint64_t)1 << 45) + 4711};
	struct err e = {0};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct tar_member m = {.name = "x", .size = sizes[i]}, got;
		rewind(f);
		assert_int_equal(tar_head(f, &m, &e), 0);
		rewind(f);
		assert_int_equal(tar_next(f, &got, &e), 1);
		assert_true(got.size == sizes[i]);
	}
}

static void header__any_changed_bit__is_found(void **state)
{
	(void)state;
	struct err e = {0};
	struct tar_member m = {.name = "folder/file", .size = 1000, .mode = 0600, .mtime = 1780000000}, got;
	unsigned char head[512];
	assert_int_equal(tar_head(f, &m, &e), 0);
	rewind(f);
	assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
	for (size_t bit = 0; bit < 8 * sizeof head; bit++) {
		head[bit / 8] ^= (unsigned char)(1u << bit % 8);
		rewind(f);
		fwrite(head, 1, sizeof head, f);
		rewind(f);
		/* The last byte of the sum is a blank that nobody reads. */
		if (bit / 8 != 155)
			assert_int_equal(tar_next(f, &got, &e), -1);
		head[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	/* Cut off anywhere. */
	for (int n = 0; n < 512; n += 37) {
		rewind(f);
		fwrite(head, 1, sizeof head, f);
		fflush(f);
		assert_int_equal(ftruncate(fileno(f), n), 0);
		rewind(f);
		assert_int_equal(tar_next(f, &got, &e), -1);
		assert_int_equal(e.code, ERR_DATA);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(members__come_back),
		TEST(names__that_lead_elsewhere__are_not_written),
		TEST(size__beyond_8_gib__comes_back),
		TEST(header__any_changed_bit__is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
