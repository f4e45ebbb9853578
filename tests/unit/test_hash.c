#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/hash.h"

static void hex_is(const unsigned char *p, size_t n, const char *want)
{
	char got[2 * 64 + 1];
	hex_encode(p, n, got);
	assert_string_equal(got, want);
}

/* The reference vectors of the SipHash paper: key 00..0f, input 00..(n-1). */
static void siphash__reference_vectors__agree(void **state)
{
	(void)state;
	unsigned char key[16], in[64];
	for (unsigned i = 0; i < 64; i++)
		in[i] = (unsigned char)i;
	memcpy(key, in, 16);
	assert_true(hash64_keyed(key, str_n((char *)in, 0)) == 0x726fdb47dd0e0e31);
	assert_true(hash64_keyed(key, str_n((char *)in, 1)) == 0x74f839c593dc67fd);
	assert_true(hash64_keyed(key, str_n((char *)in, 8)) == 0x93f5f5799a932462);
	assert_true(hash64_keyed(key, str_n((char *)in, 15)) == 0xa129ca6149be45e5);
}

static void hash64__is_stable_and_tells_apart(void **state)
{
	(void)state;
	assert_true(hash64(STR("taro@books.example")) == hash64(STR("taro@books.example")));
	assert_true(hash64(STR("taro@books.example")) != hash64(STR("taro@books.exampl")));
	assert_true(hash64(STR("")) == hash64((struct str){NULL, 0}));
}

/* FIPS 180-2. */
static void sha256__known_inputs__agree(void **state)
{
	(void)state;
	unsigned char d[SHA256_LEN];
	sha256(STR(""), d);
	hex_is(d, sizeof d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256(STR("abc"), d);
	hex_is(d, sizeof d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), d);
	hex_is(d, sizeof d, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231, cases 1, 2, 6 (a key longer than the block). */
static void hmac__rfc4231__agrees(void **state)
{
	(void)state;
	unsigned char d[SHA256_LEN], key[131];
	memset(key, 0x0b, 20);
	hmac_sha256(str_n((char *)key, 20), STR("Hi There"), d);
	hex_is(d, sizeof d, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), d);
	hex_is(d, sizeof d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	hmac_sha256(str_n((char *)key, sizeof key),
		STR("Test Using Larger Than Block-Size Key - Hash Key First"), d);
	hex_is(d, sizeof d, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 4648, 10, lower case and without padding. */
static void base32__rfc4648__both_ways(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"", ""}, {"f", "my"}, {"fo", "mzxq"}, {"foo", "mzxw6"},
		{"foob", "mzxw6yq"}, {"fooba", "mzxw6ytb"}, {"foobar", "mzxw6ytboi"}};
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		char text[32], back[32];
		size_t n = base32_encode(pairs[i][0], strlen(pairs[i][0]), text, sizeof text);
		assert_true(str_is(str_n(text, n), pairs[i][1]));
		n = base32_decode(str_n(text, n), back, sizeof back);
		assert_true(str_is(str_n(back, n), pairs[i][0]));
	}
	char out[8];
	assert_int_equal(base32_decode(STR("MZXW6"), out, sizeof out), 3);
}

static void base32__bad_input__is_refused(void **state)
{
	(void)state;
	char out[8];
	static const char *const bad[] = {"m", "mzx", "mzxw6y", "mz1q", "mz q", "mzxw6===", "mz", "mzxr"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_true(base32_decode(str_from(bad[i]), out, sizeof out) == (size_t)-1);
	assert_true(base32_decode(STR("mzxw6ytboi"), out, 5) == (size_t)-1);
	assert_int_equal(base32_decode(STR("mzxw6ytboi"), out, 6), 6);
	assert_true(base32_encode("foobar", 6, out, 8) == (size_t)-1);
}

static void random__differs(void **state)
{
	(void)state;
	unsigned char a[32], b[32];
	random_bytes(a, sizeof a);
	random_bytes(b, sizeof b);
	assert_false(mem_eq_const(a, b, sizeof a));
	assert_true(mem_eq_const(a, a, sizeof a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash__reference_vectors__agree),
		cmocka_unit_test(hash64__is_stable_and_tells_apart),
		cmocka_unit_test(sha256__known_inputs__agree),
		cmocka_unit_test(hmac__rfc4231__agrees),
		cmocka_unit_test(base32__rfc4648__both_ways),
		cmocka_unit_test(base32__bad_input__is_refused),
		cmocka_unit_test(random__differs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
