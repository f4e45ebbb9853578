/* DKIM's private keys: RSA of at least 1024 bits (below 2048 with a warning) and Ed25519 (RFC 6376, 8301,
 * 8463).
 *
 * A key is immutable once made and shared by threads. */
#ifndef ENGINE_DKIM_KEY_H
#define ENGINE_DKIM_KEY_H

#include "src/base/buf.h"
#include "src/base/err.h"

#include <openssl/types.h>

enum dkim_type { DKIM_RSA, DKIM_ED25519 };
extern const char *const dkim_type_names[];                              /* "rsa", "ed25519": as in k= */
enum { DKIM_RSA_MIN = 1024, DKIM_RSA_GOOD = 2048, DKIM_RSA_MAX = 8192 }; /* bits; RFC 8301 3.2 */

struct dkim_key;

/* PEM (PKCS#1 or PKCS#8), without a passphrase, in a file that nobody else may read. ERR_CONFIG says what to
 * do. */
int dkim_key_read(const char *path, struct dkim_key **out, struct err *e);
/* The same from text; `path` is for errors only. */
int dkim_key_parse(struct str pem, const char *path, struct dkim_key **out, struct err *e);
/* bits: of RSA only. ERR_USAGE where they are too few or too many. */
int dkim_key_generate(enum dkim_type type, int bits, struct dkim_key **out, struct err *e);
void dkim_key_free(struct dkim_key **k);

enum dkim_type dkim_key_type(const struct dkim_key *k);
int dkim_key_bits(const struct dkim_key *k);
EVP_PKEY *dkim_key_evp(const struct dkim_key *k); /* lent */
/* PKCS#8 PEM. The caller wipes it. */
int dkim_key_pem(const struct dkim_key *k, struct buf *out, struct err *e);
/* p= of the DNS record: base64 of SubjectPublicKeyInfo, for Ed25519 of the 32 bytes (RFC 8463 4.2). */
int dkim_key_public(const struct dkim_key *k, struct buf *out, struct err *e);

enum dkim_match { DKIM_MATCH, DKIM_OTHER_KEY, DKIM_NOT_A_KEY };
/* Is `p`, bytes that a record's p= stands for, the public part of this key? *bits: of the public key, 0
 * unknown. */
enum dkim_match dkim_key_compare(const struct dkim_key *k, struct str p, int *bits);

#endif
