/* Decoders of what the program only writes, for tests to compare with what went in. */
#ifndef TESTS_DECODE_H
#define TESTS_DECODE_H

#include "templates/run.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* Quoted-printable with LF for line ends; `word`: the Q encoding of a header, where _ is a blank. */
static inline void decode_qp(struct run *out, struct str s, bool word)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '=' && i + 1 < s.n && s.p[i + 1] == '\r') {
			i += 2;
		} else if (s.p[i] == '=' && i + 2 < s.n) {
			run_putc(out, (char)strtol((char[]){s.p[i + 1], s.p[i + 2], '\0'}, NULL, 16));
			i += 2;
		} else if (s.p[i] != '\r') {
			run_putc(out, word && s.p[i] == '_' ? ' ' : s.p[i]);
		}
	}
}

/* How many bytes were decoded; 0: that is none, or has no room. */
static inline size_t decode_base64(struct str s, unsigned char *out, size_t max)
{
	if (s.n % 4 != 0 || s.n / 4 * 3 > max)
		return 0;
	int n = EVP_DecodeBlock(out, (const unsigned char *)s.p, (int)s.n);
	for (size_t i = s.n; n > 0 && i > 0 && s.p[i - 1] == '='; i--)
		n--;
	return n > 0 ? (size_t)n : 0;
}

#endif
