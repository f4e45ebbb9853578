#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/textset.h"

static struct textset *make(const char *const *texts, int n)
{
	struct textset *t = textset_new();
	assert_non_null(t);
	for (int i = 0; i < n; i++)
		assert_int_equal(textset_add(t, str_from(texts[i])), i);
	assert_int_equal(textset_build(t), 0);
	return t;
}

static void find__overlapping_texts__are_all_found(void **state)
{
	(void)state;
	static const char *const texts[] = {"he", "she", "his", "hers", "e", "rs x"};
	struct textset *t = make(texts, 6);
	struct textset_hits h;
	textset_find(t, STR("uSHErs x"), &h);
	assert_true(textset_hit(&h, 0) && textset_hit(&h, 1) && textset_hit(&h, 3) && textset_hit(&h, 4) &&
		    textset_hit(&h, 5));
	assert_false(textset_hit(&h, 2));
	textset_find(t, STR("hi"), &h);
	for (int i = 0; i < 6; i++)
		assert_false(textset_hit(&h, i));
	textset_free(&t);
	assert_null(t);
}

static void add__the_same_text_in_another_case__is_the_same(void **state)
{
	(void)state;
	struct textset *t = textset_new();
	assert_int_equal(textset_add(t, STR("User Unknown")), 0);
	assert_int_equal(textset_add(t, STR("user unknown")), 0);
	assert_int_equal(textset_count(t), 1);
	assert_int_equal(textset_add(t, STR("")), -1);
	textset_free(&t);
}

static void add__more_bytes_than_the_limit__is_refused(void **state)
{
	(void)state;
	struct textset *t = textset_new();
	char *big = malloc(TEXTSET_BYTES + 1);
	memset(big, 'a', TEXTSET_BYTES + 1);
	assert_int_equal(textset_add(t, str_n(big, TEXTSET_BYTES + 1)), -1);
	assert_int_equal(textset_add(t, str_n(big, TEXTSET_BYTES - 10)), 0);
	big[0] = 'b';
	assert_int_equal(textset_add(t, str_n(big, 20)), -1);
	free(big);
	textset_free(&t);
}

/* Against plain searching, with an alphabet small enough for every kind of overlap. */
static void find__random_texts__agree_with_plain_searching(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		char texts[20][6], hay[60];
		struct textset *t = textset_new();
		int id[20];
		for (int i = 0; i < 20; i++) {
			int n = 1 + rand() % 5;
			for (int k = 0; k < n; k++)
				texts[i][k] = (char)('a' + rand() % 3);
			texts[i][n] = '\0';
			id[i] = textset_add(t, str_from(texts[i]));
		}
		assert_int_equal(textset_build(t), 0);
		int n = rand() % 59;
		for (int k = 0; k < n; k++)
			hay[k] = (char)('a' + rand() % 4);
		hay[n] = '\0';
		struct textset_hits h;
		textset_find(t, str_from(hay), &h);
		for (int i = 0; i < 20; i++)
			assert_int_equal(textset_hit(&h, id[i]), strstr(hay, texts[i]) != NULL);
		textset_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find__overlapping_texts__are_all_found),
		cmocka_unit_test(add__the_same_text_in_another_case__is_the_same),
		cmocka_unit_test(add__more_bytes_than_the_limit__is_refused),
		cmocka_unit_test(find__random_texts__agree_with_plain_searching),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
