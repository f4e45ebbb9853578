#include "src/base/hash.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- SipHash-2-4 (Aumasson, Bernstein 2012) ---- */

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct sip {
	uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *v)
{
	v->a += v->b;
	v->c += v->d;
	v->b = ROTL(v->b, 13) ^ v->a;
	v->d = ROTL(v->d, 16) ^ v->c;
	v->a = ROTL(v->a, 32);
	v->c += v->b;
	v->a += v->d;
	v->b = ROTL(v->b, 17) ^ v->c;
	v->d = ROTL(v->d, 21) ^ v->a;
	v->c = ROTL(v->c, 32);
}

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t v = 0;
	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

uint64_t hash64_keyed(const unsigned char key[16], struct str s)
{
	uint64_t k0 = load64(key), k1 = load64(key + 8);
	struct sip v = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573};
	const unsigned char *p = (const unsigned char *)s.p;
	size_t left = s.n;
	for (; left >= 8; left -= 8, p += 8) {
		uint64_t m = load64(p);
		v.d ^= m;
		sip_round(&v);
		sip_round(&v);
		v.a ^= m;
	}
	uint64_t last = (uint64_t)(s.n & 0xff) << 56;
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v.d ^= last;
	sip_round(&v);
	sip_round(&v);
	v.a ^= last;
	v.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&v);
	return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t hash64(struct str s)
{
	/* Stored hashes depend on this key: it never changes. */
	static const unsigned char key[16] = "postrider.hash64";
	return hash64_keyed(key, s);
}

/* ---- SHA-256 and HMAC ---- */

/* OpenSSL's one-shot calls look the algorithm up in its providers each time, which costs more than hashing a
 * short token. So it is fetched once, and each thread keeps one context. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static pthread_key_t ctx_key;
static EVP_MD *sha256_md;
static _Thread_local EVP_MD_CTX *thread_ctx;

static void ctx_free(void *p)
{
	EVP_MD_CTX_free(p);
	thread_ctx = NULL;
}

static void fetch(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256_md == NULL || pthread_key_create(&ctx_key, ctx_free) != 0)
		abort();
}

static EVP_MD_CTX *ctx_get(void)
{
	if (thread_ctx == NULL) {
		pthread_once(&fetch_once, fetch);
		thread_ctx = EVP_MD_CTX_new();
		if (thread_ctx == NULL || pthread_setspecific(ctx_key, thread_ctx) != 0)
			abort();
	}
	return thread_ctx;
}

static void digest2(struct str a, struct str b, unsigned char out[SHA256_LEN])
{
	EVP_MD_CTX *c = ctx_get();
	if (!EVP_DigestInit_ex2(c, sha256_md, NULL) || (a.n != 0 && !EVP_DigestUpdate(c, a.p, a.n)) ||
		(b.n != 0 && !EVP_DigestUpdate(c, b.p, b.n)) || !EVP_DigestFinal_ex(c, out, NULL))
		abort();
}

void sha256(struct str s, unsigned char out[SHA256_LEN])
{
	digest2(s, (struct str){"", 0}, out);
}

void hmac_sha256(struct str key, struct str s, unsigned char out[SHA256_LEN])
{
	enum { BLOCK = 64 };
	unsigned char k[BLOCK] = {0}, pad[BLOCK], inner[SHA256_LEN];
	if (key.n > BLOCK)
		sha256(key, k);
	else if (key.n != 0)
		memcpy(k, key.p, key.n);
	for (int i = 0; i < BLOCK; i++)
		pad[i] = k[i] ^ 0x36;
	digest2(str_n((char *)pad, BLOCK), s, inner);
	for (int i = 0; i < BLOCK; i++)
		pad[i] = k[i] ^ 0x5c;
	digest2(str_n((char *)pad, BLOCK), str_n((char *)inner, SHA256_LEN), out);
	OPENSSL_cleanse(k, sizeof k);
	OPENSSL_cleanse(pad, sizeof pad);
}

bool mem_eq_const(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *p, size_t n)
{
	unsigned char *q = p;
	while (n > 0) {
		ssize_t got = getrandom(q, n, 0);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			abort();
		}
		q += got;
		n -= (size_t)got;
	}
}

/* ---- Text forms ---- */

size_t base32_encode(const void *p, size_t n, char *out, size_t max)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	const unsigned char *q = p;
	if (n > (SIZE_MAX - 4) / 8 || (n * 8 + 4) / 5 > max)
		return (size_t)-1;
	size_t len = 0;
	unsigned acc = 0, bits = 0;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | q[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			out[len++] = digits[acc >> (bits - 5) & 31];
	}
	if (bits > 0)
		out[len++] = digits[acc << (5 - bits) & 31];
	return len;
}

static int base32_value(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return -1;
}

size_t base32_decode(struct str s, void *out, size_t max)
{
	/* 1, 3 and 6 digits are no whole number of bytes. */
	if (s.n / 8 > max || (0x4a >> (s.n % 8) & 1) != 0 || s.n / 8 * 5 + s.n % 8 * 5 / 8 > max)
		return (size_t)-1;
	unsigned char *q = out;
	size_t len = 0;
	unsigned acc = 0, bits = 0;
	for (size_t i = 0; i < s.n; i++) {
		int v = base32_value(s.p[i]);
		if (v < 0)
			return (size_t)-1;
		acc = (acc << 5 | (unsigned)v) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			q[len++] = (unsigned char)(acc >> bits);
		}
	}
	/* One text for each value: a token that differs in its unused bits is another token. */
	if ((acc & ((1u << bits) - 1)) != 0)
		return (size_t)-1;
	return len;
}

void hex_encode(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *q = p;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[q[i] >> 4];
		out[2 * i + 1] = digits[q[i] & 15];
	}
	out[2 * n] = '\0';
}
