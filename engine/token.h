/* Signed tokens: nobody can bounce, complain about or unsubscribe somebody else (DESIGN, promise 5).
 *
 * A token is base32 (lower case, so it survives case folding) of a key number, a payload and the first 12
 * bytes of an HMAC-SHA-256 under a key derived from the installation's secret for that purpose and key
 * number. The secret file holds a line for each key, `number:hex` (a line without a number is key 0); the
 * last line signs, all verify, so a key is rotated by adding a line.
 *
 *   return path   b-TOKEN@domain      names a delivery; local part of 36 octets
 *   Message-ID    TOKEN@domain        names a delivery
 *   unsubscribe   TOKEN, u-TOKEN@…    names a contact, the list and the campaign; needs no ledger
 *
 * A signer belongs to one thread; the keys are shared. */
#ifndef ENGINE_TOKEN_H
#define ENGINE_TOKEN_H

#include "src/base/err.h"
#include "src/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum token_purpose { TOKEN_RETURN_PATH, TOKEN_MESSAGE_ID, TOKEN_UNSUBSCRIBE, TOKEN_NPURPOSES };
#define TOKEN_MAX 72 /* longest token with its NUL */

struct token_keys;
struct token_signer;

int token_keys_load(const char *secret_file, struct token_keys **out, struct err *e);
void token_keys_free(struct token_keys **k);
/* Key for addresses of people who asked to be forgotten (store_config.forget_key): 32 bytes. Always from the
 * first line of the secret file, which therefore must never be removed. */
struct str token_forget_key(const struct token_keys *k);

struct token_signer *token_signer_new(const struct token_keys *k); /* NULL: out of memory */
void token_signer_free(struct token_signer **s);

size_t token_delivery(struct token_signer *s, enum token_purpose p, int64_t delivery, char out[TOKEN_MAX]);
size_t token_unsubscribe(
	struct token_signer *s, int64_t contact, int64_t list, int64_t campaign, char out[TOKEN_MAX]);
/* True only for a token that one of our keys made for this purpose; compared in constant time. */
bool token_read_delivery(struct token_signer *s, enum token_purpose p, struct str token, int64_t *delivery);
bool token_read_unsubscribe(
	struct token_signer *s, struct str token, int64_t *contact, int64_t *list, int64_t *campaign);

#endif
