#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/arena.h"
#include "src/base/buf.h"

static void append__past_the_ceiling__keeps_content_and_remembers(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(8);
	buf_puts(&b, "12345");
	buf_puts(&b, "6789");
	assert_true(b.failed);
	assert_string_equal(b.p, "12345");
	buf_puts(&b, "x");
	assert_int_equal(b.len, 5);
	buf_clear(&b);
	buf_puts(&b, "12345678");
	assert_false(b.failed);
	assert_string_equal(b.p, "12345678");
	buf_release(&b);
}

static void printf__fits_exactly_or_fails(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(64);
	buf_printf(&b, "%d-%s", 42, "x");
	assert_string_equal(buf_cstr(&b), "42-x");
	buf_drop(&b, 3);
	assert_string_equal(buf_cstr(&b), "x");
	buf_release(&b);
}

static void arena__reset_reuses_the_first_chunk(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1024, 1 << 20);
	char *p = arena_strdup(&a, "hello");
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_alloc(&a, 100));
	arena_reset(&a);
	assert_ptr_equal(arena_strdup(&a, "again"), p);
	assert_null(arena_alloc(&a, 2 << 20));
	assert_true(a.failed);
	arena_release(&a);
}

static void arena__grows_the_newest_in_place(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1024, 1 << 20);
	char *p = arena_bytes(&a, 10);
	assert_ptr_equal(arena_grow(&a, p, 10, 20), p);
	arena_bytes(&a, 1);
	assert_ptr_not_equal(arena_grow(&a, p, 20, 30), p);
	arena_release(&a);
}

static void arena__joins_pieces(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 256, 1024);
	struct str s = ARENA_JOIN(&a, STR("<"), str_n(NULL, 0), STR("a@b"), STR(">"));
	assert_true(str_is(s, "<a@b>"));
	assert_int_equal(s.p[s.n], '\0');
	assert_int_equal(ARENA_JOIN(&a, str_n(NULL, 0)).n, 0);
	char big[2000];
	memset(big, 'x', sizeof big);
	assert_int_equal(ARENA_JOIN(&a, STR("a"), str_n(big, sizeof big)).n, 0);
	assert_true(a.failed);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append__past_the_ceiling__keeps_content_and_remembers),
		cmocka_unit_test(printf__fits_exactly_or_fails),
		cmocka_unit_test(arena__reset_reuses_the_first_chunk),
		cmocka_unit_test(arena__grows_the_newest_in_place),
		cmocka_unit_test(arena__joins_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
