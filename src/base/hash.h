/* Hashes and binary-to-text. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "src/base/buf.h"

#include <stdint.h>

/* SipHash-2-4, 64 bit. Fixed key: for tables on disk, where a flood of collisions only costs time; callers
 * compare the full key. */
uint64_t hash64(struct str s);
/* For tables in memory that outsiders fill. */
uint64_t hash64_keyed(const unsigned char key[16], struct str s);

#define SHA256_LEN 32
void sha256(struct str s, unsigned char out[SHA256_LEN]);
void hmac_sha256(struct str key, struct str s, unsigned char out[SHA256_LEN]);
bool mem_eq_const(const void *a, const void *b, size_t n); /* constant time */
void random_bytes(void *p, size_t n);                      /* from the system; cannot fail (aborts) */

/* RFC 4648 base32, lower case, no padding ("a-z2-7"); decoding accepts both cases. Returns chars/bytes
 * written, or (size_t)-1 where the input is not base32 (a bad digit, a length that is no whole number of
 * bytes, unused bits that are not zero) or does not fit. No NUL is written. */
size_t base32_encode(const void *p, size_t n, char *out, size_t max);
size_t base32_decode(struct str s, void *out, size_t max);
void hex_encode(const void *p, size_t n, char *out); /* 2n characters and a NUL */

#endif
