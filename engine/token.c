#include "engine/token.h"

#include "src/base/buf.h"
#include "src/base/file.h"
#include "src/base/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { KEY_MAX = 16, KEY_LEN = 32, MAC_LEN = 12, PAYLOAD_MAX = 28 };

static const char *const purpose_names[TOKEN_NPURPOSES] = {"return-path", "message-id", "unsubscribe"};

struct token_keys {
	size_t n;
	unsigned char number[KEY_MAX];
	unsigned char derived[KEY_MAX][TOKEN_NPURPOSES][SHA256_LEN];
	unsigned char forget[SHA256_LEN];
};

struct token_signer {
	const struct token_keys *keys;
	EVP_MAC *hmac;
	EVP_MAC_CTX *ctx[KEY_MAX]
			[TOKEN_NPURPOSES]; /* made when first used, then re-initialised with the same key */
};

static bool hex_decode(struct str hex, unsigned char *out, size_t n)
{
	if (hex.n != 2 * n)
		return false;
	for (size_t i = 0; i < hex.n; i++) {
		char c = hex.p[i];
		int v = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;
		if (v < 0)
			return false;
		out[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 : out[i / 2] | v);
	}
	return true;
}

static void derive(struct token_keys *k, const unsigned char secret[KEY_LEN], unsigned char number)
{
	struct str key = str_n((const char *)secret, KEY_LEN);
	for (int p = 0; p < TOKEN_NPURPOSES; p++)
		hmac_sha256(key, str_from(purpose_names[p]), k->derived[k->n][p]);
	if (k->n == 0)
		hmac_sha256(key, STR("forget"), k->forget);
	k->number[k->n++] = number;
}

static int read_line(struct token_keys *k, struct str line, const char *file, long number, struct err *e)
{
	long long id = 0;
	size_t colon = str_find(line, ':');
	struct str hex = line;
	if (colon < line.n) {
		if (!str_int(str_n(line.p, colon), 0, 255, &id))
			goto bad;
		hex = str_n(line.p + colon + 1, line.n - colon - 1);
	}
	unsigned char secret[KEY_LEN];
	if (!hex_decode(hex, secret, KEY_LEN))
		goto bad;
	for (size_t i = 0; i < k->n; i++)
		if (k->number[i] == id)
			goto bad;
	if (k->n == KEY_MAX)
		goto bad;
	derive(k, secret, (unsigned char)id);
	explicit_bzero(secret, sizeof secret);
	return 0;
bad:
	err_set(e, ERR_CONFIG, "secret file",
		"a line must be NUMBER:HEX with 64 hex digits, each number once, at most %d lines", KEY_MAX);
	return err_at(e, file, number);
}

int token_keys_load(const char *secret_file, struct token_keys **out, struct err *e)
{
	struct buf text = BUF_INIT(64 * 1024);
	struct token_keys *k = NULL;
	struct stat st;
	int rc = -1;
	if (stat(secret_file, &st) == 0 && (st.st_mode & 077) != 0) {
		err_set(e, ERR_CONFIG, "secret file", "%s can be read by other users", secret_file);
		err_remedy(e, "chmod 600 %s", secret_file);
		goto done;
	}
	if (file_read(secret_file, &text, e) != 0)
		goto done;
	k = calloc(1, sizeof *k);
	if (k == NULL) {
		err_set(e, ERR_INTERNAL, "secret file", "out of memory");
		goto done;
	}
	long number = 0;
	for (struct str rest = buf_get(&text); rest.n > 0;) {
		size_t end = str_find(rest, '\n');
		struct str line = str_trim(str_n(rest.p, end));
		rest = end < rest.n ? str_n(rest.p + end + 1, rest.n - end - 1) : str_n(NULL, 0);
		number++;
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (read_line(k, line, secret_file, number, e) != 0)
			goto done;
	}
	if (k->n == 0) {
		err_set(e, ERR_CONFIG, "secret file", "%s holds no key", secret_file);
		goto done;
	}
	*out = k;
	k = NULL;
	rc = 0;
done:
	if (text.p != NULL)
		explicit_bzero(text.p, text.len);
	buf_release(&text);
	token_keys_free(&k);
	return rc;
}

void token_keys_free(struct token_keys **k)
{
	if (*k != NULL)
		explicit_bzero(*k, sizeof **k);
	free(*k);
	*k = NULL;
}

struct str token_forget_key(const struct token_keys *k)
{
	return str_n((const char *)k->forget, sizeof k->forget);
}

struct token_signer *token_signer_new(const struct token_keys *k)
{
	struct token_signer *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->keys = k;
	s->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (s->hmac == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void token_signer_free(struct token_signer **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < KEY_MAX; i++)
		for (size_t p = 0; p < TOKEN_NPURPOSES; p++)
			EVP_MAC_CTX_free((*s)->ctx[i][p]);
	EVP_MAC_free((*s)->hmac);
	free(*s);
	*s = NULL;
}

static bool mac(struct token_signer *s, size_t key, enum token_purpose p, const unsigned char *data, size_t n,
	unsigned char out[SHA256_LEN])
{
	EVP_MAC_CTX *c = s->ctx[key][p];
	bool ok;
	if (c == NULL) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
			OSSL_PARAM_construct_end()};
		c = s->ctx[key][p] = EVP_MAC_CTX_new(s->hmac);
		ok = c != NULL && EVP_MAC_init(c, s->keys->derived[key][p], SHA256_LEN, params) == 1;
	} else {
		ok = EVP_MAC_init(c, NULL, 0, NULL) == 1;
	}
	size_t len = 0;
	return ok && EVP_MAC_update(c, data, n) == 1 && EVP_MAC_final(c, out, &len, SHA256_LEN) == 1 &&
	       len == SHA256_LEN;
}

static size_t put_number(unsigned char *p, uint64_t v)
{
	size_t n = 0;
	while (v >= 0x80) {
		p[n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (unsigned char)v;
	return n;
}

static bool get_number(const unsigned char **p, const unsigned char *end, int64_t *out)
{
	uint64_t v = 0;
	for (unsigned shift = 0; *p < end && shift < 63; shift += 7) {
		unsigned char c = *(*p)++;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*out = (int64_t)v;
			return true;
		}
	}
	return false;
}

static size_t seal(
	struct token_signer *s, enum token_purpose p, unsigned char *data, size_t n, char out[TOKEN_MAX])
{
	unsigned char tag[SHA256_LEN];
	size_t key = s->keys->n - 1;
	data[0] = s->keys->number[key];
	if (!mac(s, key, p, data, n, tag))
		abort(); /* HMAC-SHA-256 over a few bytes cannot fail but by lack of memory for its first
			    context */
	memcpy(data + n, tag, MAC_LEN);
	size_t len = base32_encode(data, n + MAC_LEN, out, TOKEN_MAX - 1);
	out[len] = '\0';
	return len;
}

/* Returns the payload's length behind the key number, 0 where the token is not ours. */
static size_t unseal(struct token_signer *s, enum token_purpose p, struct str token,
	unsigned char data[PAYLOAD_MAX + MAC_LEN])
{
	size_t n = base32_decode(token, data, PAYLOAD_MAX + MAC_LEN);
	if (n == (size_t)-1 || n < 2 + MAC_LEN)
		return 0;
	for (size_t key = 0; key < s->keys->n; key++) {
		unsigned char tag[SHA256_LEN];
		if (s->keys->number[key] != data[0])
			continue;
		if (!mac(s, key, p, data, n - MAC_LEN, tag) ||
			!mem_eq_const(tag, data + n - MAC_LEN, MAC_LEN))
			return 0;
		/* One token, one spelling: the unused bits of the last character must be those we write. */
		char again[TOKEN_MAX];
		size_t len = base32_encode(data, n, again, sizeof again);
		return len == token.n && strncasecmp(again, token.p, len) == 0 ? n - MAC_LEN : 0;
	}
	return 0;
}

size_t token_delivery(struct token_signer *s, enum token_purpose p, int64_t delivery, char out[TOKEN_MAX])
{
	unsigned char data[PAYLOAD_MAX + MAC_LEN];
	for (int i = 0; i < 8; i++)
		data[1 + i] = (unsigned char)((uint64_t)delivery >> (8 * (7 - i)));
	return seal(s, p, data, 9, out);
}

bool token_read_delivery(struct token_signer *s, enum token_purpose p, struct str token, int64_t *delivery)
{
	unsigned char data[PAYLOAD_MAX + MAC_LEN];
	if (unseal(s, p, token, data) != 9)
		return false;
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | data[1 + i];
	*delivery = (int64_t)v;
	return true;
}

size_t token_unsubscribe(
	struct token_signer *s, int64_t contact, int64_t list, int64_t campaign, char out[TOKEN_MAX])
{
	unsigned char data[PAYLOAD_MAX + MAC_LEN];
	size_t n = 1;
	n += put_number(data + n, (uint64_t)contact);
	n += put_number(data + n, (uint64_t)list);
	n += put_number(data + n, (uint64_t)campaign);
	return seal(s, TOKEN_UNSUBSCRIBE, data, n, out);
}

bool token_read_unsubscribe(
	struct token_signer *s, struct str token, int64_t *contact, int64_t *list, int64_t *campaign)
{
	unsigned char data[PAYLOAD_MAX + MAC_LEN];
	size_t n = unseal(s, TOKEN_UNSUBSCRIBE, token, data);
	if (n == 0)
		return false;
	const unsigned char *p = data + 1, *end = data + n;
	return get_number(&p, end, contact) && get_number(&p, end, list) && get_number(&p, end, campaign) &&
	       p == end;
}
