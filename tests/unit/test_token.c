#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/token.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/postrider-token-XXXXXX";

static void write_secret(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct token_keys *keys;
static struct token_signer *signer;

static void use(const char *secret)
{
	struct err e = {0};
	write_secret(secret, 0600);
	token_signer_free(&signer);
	token_keys_free(&keys);
	assert_int_equal(token_keys_load(path, &keys, &e), 0);
	signer = token_signer_new(keys);
	assert_non_null(signer);
}

static void delivery__round_trip__also_upper_cased(void **state)
{
	(void)state;
	use(KEY_A "\n");
	const int64_t ids[] = {1, (int64_t)1 << 32 | 1, (int64_t)77 << 32 | 0xffffffff, INT64_MAX};
	for (size_t i = 0; i < 4; i++) {
		char t[TOKEN_MAX];
		int64_t got = 0;
		size_t n = token_delivery(signer, TOKEN_RETURN_PATH, ids[i], t);
		assert_true(n + 2 <= 40);
		assert_true(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(t, n), &got));
		assert_int_equal(got, ids[i]);
		for (size_t j = 0; j < n; j++)
			t[j] = (char)toupper(t[j]);
		assert_true(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(t, n), &got));
	}
}

static void delivery__any_changed_character__is_refused(void **state)
{
	(void)state;
	use(KEY_A "\n");
	char t[TOKEN_MAX];
	int64_t got;
	size_t n = token_delivery(signer, TOKEN_MESSAGE_ID, 4242, t);
	for (size_t i = 0; i < n; i++) {
		char keep = t[i];
		t[i] = keep == 'a' ? 'b' : 'a';
		assert_false(token_read_delivery(signer, TOKEN_MESSAGE_ID, str_n(t, n), &got));
		t[i] = keep;
	}
	for (size_t i = 0; i < n; i++)
		assert_false(token_read_delivery(signer, TOKEN_MESSAGE_ID, str_n(t, i), &got));
	assert_false(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(t, n), &got));
	assert_false(token_read_delivery(signer, TOKEN_MESSAGE_ID, STR("not base32 at all 01"), &got));
	/* The last character's spare bits must not make a second spelling. */
	for (const char *c = "abcdefghijklmnopqrstuvwxyz234567"; *c != '\0'; c++) {
		char keep = t[n - 1];
		if (*c == keep)
			continue;
		t[n - 1] = *c;
		assert_false(token_read_delivery(signer, TOKEN_MESSAGE_ID, str_n(t, n), &got));
		t[n - 1] = keep;
	}
}

static void unsubscribe__round_trip__fits_a_local_part(void **state)
{
	(void)state;
	use(KEY_A "\n");
	char t[TOKEN_MAX];
	int64_t contact, list, campaign;
	size_t n = token_unsubscribe(signer, 12345678, 300, 4000, t);
	assert_true(n + 2 <= 64);
	assert_true(token_read_unsubscribe(signer, str_n(t, n), &contact, &list, &campaign));
	assert_int_equal(contact, 12345678);
	assert_int_equal(list, 300);
	assert_int_equal(campaign, 4000);
	n = token_unsubscribe(signer, INT64_MAX >> 1, 0xffffffff, 0xffffffff, t);
	assert_true(token_read_unsubscribe(signer, str_n(t, n), &contact, &list, &campaign));
	assert_true(contact == INT64_MAX >> 1);
}

static void rotation__old_tokens_stay_good_until_their_key_goes(void **state)
{
	(void)state;
	use("0:" KEY_A "\n");
	char old[TOKEN_MAX], fresh[TOKEN_MAX];
	int64_t got;
	size_t n = token_delivery(signer, TOKEN_RETURN_PATH, 9, old);
	use("0:" KEY_A "\n1:" KEY_B "\n");
	token_delivery(signer, TOKEN_RETURN_PATH, 9, fresh);
	assert_string_not_equal(old, fresh);
	assert_true(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(old, n), &got));
	assert_true(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(fresh, n), &got));
	use("1:" KEY_B "\n");
	assert_false(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(old, n), &got));
	use("0:" KEY_B "\n");
	assert_false(token_read_delivery(signer, TOKEN_RETURN_PATH, str_n(old, n), &got));
}

static void secret__wrong_or_readable_by_others__is_a_configuration_error(void **state)
{
	(void)state;
	const char *const bad[] = {
		"", "abc\n", "0:" KEY_A "\n0:" KEY_B "\n", "300:" KEY_A "\n", KEY_A "00\n"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct token_keys *k = NULL;
		struct err e = {0};
		write_secret(bad[i], 0600);
		assert_int_equal(token_keys_load(path, &k, &e), -1);
		assert_int_equal(e.code, ERR_CONFIG);
		assert_null(k);
	}
	struct token_keys *k = NULL;
	struct err e = {0};
	write_secret(KEY_A "\n", 0644);
	assert_int_equal(token_keys_load(path, &k, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
}

static int setup(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	close(fd);
	return fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	token_signer_free(&signer);
	token_keys_free(&keys);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delivery__round_trip__also_upper_cased),
		cmocka_unit_test(delivery__any_changed_character__is_refused),
		cmocka_unit_test(unsubscribe__round_trip__fits_a_local_part),
		cmocka_unit_test(rotation__old_tokens_stay_good_until_their_key_goes),
		cmocka_unit_test(secret__wrong_or_readable_by_others__is_a_configuration_error),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
