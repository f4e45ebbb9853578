#include "engine/dkim/key.h"

#include "src/base/file.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILE_MAX = 64 << 10, ED25519_LEN = 32 };

const char *const dkim_type_names[] = {"rsa", "ed25519"};

struct dkim_key {
	enum dkim_type type;
	int bits;
	EVP_PKEY *evp;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "DKIM key", "out of memory");
}

static int bad_file(const char *path, struct err *e, const char *why)
{
	err_set(e, ERR_CONFIG, "DKIM key", "%s", why);
	err_remedy(e, "`postrider dkim keygen DOMAIN` makes a new one");
	return err_at(e, path, 0);
}

/* Takes `evp` over, also when it fails. */
static int key_new(EVP_PKEY *evp, const char *path, struct dkim_key **out, struct err *e)
{
	struct dkim_key *k = calloc(1, sizeof *k);
	char why[100];
	if (k == NULL) {
		EVP_PKEY_free(evp);
		return no_memory(e);
	}
	*k = (struct dkim_key){.evp = evp, .bits = EVP_PKEY_get_bits(evp)};
	*out = k;
	if (EVP_PKEY_is_a(evp, "ED25519")) {
		k->type = DKIM_ED25519;
		return 0;
	}
	k->type = DKIM_RSA;
	if (!EVP_PKEY_is_a(evp, "RSA"))
		snprintf(why, sizeof why, "it is neither an RSA nor an Ed25519 key");
	else if (k->bits < DKIM_RSA_MIN)
		snprintf(why, sizeof why,
			"it has %d bits: receivers refuse signatures by RSA keys below %d (RFC 8301)",
			k->bits, DKIM_RSA_MIN);
	else if (k->bits > DKIM_RSA_MAX)
		snprintf(
			why, sizeof why, "it has %d bits: few receivers verify RSA keys above 4096", k->bits);
	else
		return 0;
	dkim_key_free(out);
	return bad_file(path, e, why);
}

void dkim_key_free(struct dkim_key **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->evp);
	free(*k);
	*k = NULL;
}

/* ---- Reading ---- */

static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

int dkim_key_parse(struct str pem, const char *path, struct dkim_key **out, struct err *e)
{
	bool asked = false;
	*out = NULL;
	BIO *bio = pem.n > 0 && pem.n <= FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	EVP_PKEY *evp = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked) : NULL;
	BIO_free(bio);
	if (evp != NULL)
		return key_new(evp, path, out, e);
	if (asked)
		return bad_file(path, e, "it is protected by a passphrase, and nobody is there to type it");
	return bad_file(path, e, "it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
}

int dkim_key_read(const char *path, struct dkim_key **out, struct err *e)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct stat st;
	*out = NULL;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) {
		err_set(e, ERR_CONFIG, "DKIM key", "%s can be read or changed by others (mode %04o)", path,
			(unsigned)st.st_mode & 07777);
		return err_remedy(e, "chmod 600 %s", path);
	}
	int rc = file_read(path, &text, e);
	if (rc == 0)
		rc = dkim_key_parse(buf_get(&text), path, out, e);
	else if (e != NULL)
		e->code = ERR_CONFIG;
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_release(&text);
	return rc;
}

/* ---- Making ---- */

int dkim_key_generate(enum dkim_type type, int bits, struct dkim_key **out, struct err *e)
{
	*out = NULL;
	if (type == DKIM_RSA && (bits < DKIM_RSA_GOOD || bits > 4096))
		return err_set(e, ERR_USAGE, "DKIM key", "RSA keys have from %d to 4096 bits", DKIM_RSA_GOOD);
	EVP_PKEY *evp =
		type == DKIM_RSA ? EVP_RSA_gen((unsigned)bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (evp == NULL)
		return err_set(e, ERR_INTERNAL, "DKIM key", "OpenSSL could not make one");
	return key_new(evp, NULL, out, e);
}

int dkim_key_pem(const struct dkim_key *k, struct buf *out, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	bool ok = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, k->evp, NULL, NULL, 0, NULL, NULL) == 1;
	long n = ok ? BIO_get_mem_data(bio, &text) : 0;
	if (n > 0)
		buf_add(out, text, (size_t)n);
	BIO_free(bio);
	return n > 0 && !out->failed ? 0 : no_memory(e);
}

/* ---- What it is ---- */

enum dkim_type dkim_key_type(const struct dkim_key *k)
{
	return k->type;
}

int dkim_key_bits(const struct dkim_key *k)
{
	return k->bits;
}

EVP_PKEY *dkim_key_evp(const struct dkim_key *k)
{
	return k->evp;
}

static void add_base64(struct buf *out, const unsigned char *p, size_t n)
{
	if (buf_reserve(out, (n + 2) / 3 * 4 + 1))
		out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->p + out->len, p, (int)n);
}

int dkim_key_public(const struct dkim_key *k, struct buf *out, struct err *e)
{
	unsigned char raw[ED25519_LEN], *der = NULL;
	size_t n = sizeof raw;
	if (k->type == DKIM_ED25519) {
		if (EVP_PKEY_get_raw_public_key(k->evp, raw, &n) != 1)
			return no_memory(e);
		add_base64(out, raw, n);
	} else {
		int len = i2d_PUBKEY(k->evp, &der);
		if (len <= 0)
			return no_memory(e);
		add_base64(out, der, (size_t)len);
		OPENSSL_free(der);
	}
	return out->failed ? no_memory(e) : 0;
}

/* Most records hold SubjectPublicKeyInfo, as RFC 6376's example does; its text (3.6.1) asks for RSAPublicKey.
 */
static EVP_PKEY *public_rsa(struct str p)
{
	const unsigned char *at = (const unsigned char *)p.p;
	EVP_PKEY *evp = d2i_PUBKEY(NULL, &at, (long)p.n);
	if (evp == NULL) {
		at = (const unsigned char *)p.p;
		evp = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)p.n);
	}
	if (evp != NULL && EVP_PKEY_is_a(evp, "RSA") && at == (const unsigned char *)p.p + p.n)
		return evp;
	EVP_PKEY_free(evp);
	return NULL;
}

enum dkim_match dkim_key_compare(const struct dkim_key *k, struct str p, int *bits)
{
	*bits = 0;
	if (p.n > FILE_MAX)
		return DKIM_NOT_A_KEY;
	EVP_PKEY *evp = NULL;
	if (k->type == DKIM_RSA)
		evp = public_rsa(p);
	else if (p.n == ED25519_LEN)
		evp = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)p.p, p.n);
	if (evp == NULL)
		return DKIM_NOT_A_KEY;
	*bits = EVP_PKEY_get_bits(evp);
	bool same = EVP_PKEY_eq(evp, k->evp) == 1;
	EVP_PKEY_free(evp);
	return same ? DKIM_MATCH : DKIM_OTHER_KEY;
}
