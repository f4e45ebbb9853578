#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/db/attrs.h"

#include <stdlib.h>

static struct str pack(struct buf *b, size_t n, const uint32_t *ids, const char *const *values)
{
	buf_clear(b);
	for (size_t i = 0; i < n; i++)
		attrs_put(b, ids[i], str_from(values[i]));
	return buf_get(b);
}

static void get__present_absent_and_large_ids(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(4096);
	struct str p = pack(&b, 3, (uint32_t[]){1, 300, 4000000000u}, (const char *[]){"a", "", "zzz"});
	assert_true(str_is(attrs_get(p, 1), "a"));
	assert_int_equal(attrs_get(p, 300).n, 0);
	assert_true(str_is(attrs_get(p, 4000000000u), "zzz"));
	assert_int_equal(attrs_get(p, 2).n, 0);
	assert_true(attrs_valid(p));
	buf_release(&b);
}

static void merge__absent_keeps_empty_clears(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(4096), o = BUF_INIT(4096), out = BUF_INIT(4096);
	struct str base = pack(&b, 3, (uint32_t[]){1, 2, 3}, (const char *[]){"one", "two", "three"});
	struct str over = pack(&o, 3, (uint32_t[]){2, 3, 5}, (const char *[]){"", "three", "five"});
	assert_true(attrs_merge(&out, base, over));
	assert_true(str_is(attrs_get(buf_get(&out), 1), "one"));
	assert_int_equal(attrs_get(buf_get(&out), 2).n, 0);
	assert_true(str_is(attrs_get(buf_get(&out), 5), "five"));
	buf_clear(&out);
	over = pack(&o, 2, (uint32_t[]){1, 9}, (const char *[]){"one", ""});
	assert_false(attrs_merge(&out, base, over));
	assert_true(str_eq(buf_get(&out), base));
	buf_release(&b);
	buf_release(&o);
	buf_release(&out);
}

static void damaged__ends_early_and_is_not_valid(void **state)
{
	(void)state;
	assert_true(attrs_valid(STR("")));
	assert_false(attrs_valid(STR("\x01\x05"
				     "ab"))); /* longer than it is */
	assert_false(attrs_valid(STR("\x02\x01"
				     "a"
				     "\x01\x01"
				     "b"))); /* descends */
	assert_false(attrs_valid(STR("\x00\x01"
				     "a")));                        /* no id is 0 */
	assert_false(attrs_valid(STR("\xff\xff\xff\xff\xff\x01"))); /* a number without end */
	assert_false(attrs_valid(STR("\xff\xff\xff\xff\x7f\x00"))); /* over 32 bits */
	assert_true(str_is(attrs_get(STR("\x01\x01"
					 "a"
					 "\x02\x7f"),
				   1),
		"a"));
}

static void random_bytes__never_read_outside(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)(rand() % 24), m = (size_t)(rand() % 24);
		/* From the heap and of the exact size, so that the address sanitizer sees one byte too many.
		 */
		char *p = malloc(n + (n == 0)), *q = malloc(m + (m == 0));
		for (size_t i = 0; i < n; i++)
			p[i] = (char)(rand() % 3 ? rand() % 8 : rand());
		for (size_t i = 0; i < m; i++)
			q[i] = (char)(rand() % 3 ? rand() % 8 : rand());
		struct buf out = BUF_INIT(4096);
		attrs_merge(&out, str_n(p, n), str_n(q, m));
		assert_true(attrs_valid(buf_get(&out)));
		for (uint32_t id = 0; id < 9; id++) {
			struct str over = attrs_get(str_n(q, m), id), base = attrs_get(str_n(p, n), id);
			bool in_over = false;
			for (struct attr_iter i = attrs_begin(str_n(q, m)); attrs_next(&i);)
				in_over |= i.id == id;
			assert_true(str_eq(attrs_get(buf_get(&out), id), in_over ? over : base));
		}
		buf_release(&out);
		free(p);
		free(q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get__present_absent_and_large_ids),
		cmocka_unit_test(merge__absent_keeps_empty_clears),
		cmocka_unit_test(damaged__ends_early_and_is_not_valid),
		cmocka_unit_test(random_bytes__never_read_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
