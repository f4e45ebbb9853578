/* Signatures of SNS messages, and the certificates that they are checked by. */
#include "engine/bounce/provider.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define CERTIFICATE_MAX (64 << 10)
#define KEPT            8 /* certificates: Amazon changes them once in years, one for each region */
#define FETCH_SECONDS   10L

/* ---- where it may come from ---- */

static bool is_label(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
			return false;
	return s.n > 0 && s.n < 40;
}

bool sns_certificate_url(struct str url)
{
	static const struct str begin = {"https://sns.", 12}, com = {"amazonaws.com", 13},
				cn = {"amazonaws.com.cn", 16};
	if (!str_starts(url, begin) || !str_ends(url, STR(".pem")) || url.n > 300)
		return false;
	struct str rest = str_n(url.p + begin.n, url.n - begin.n);
	size_t dot = str_find(rest, '.');
	if (dot == rest.n || !is_label(str_n(rest.p, dot)))
		return false;
	rest = str_n(rest.p + dot + 1, rest.n - dot - 1);
	size_t slash = str_find(rest, '/');
	struct str host = str_n(rest.p, slash);
	if (slash == rest.n || (!str_eq(host, com) && !str_eq(host, cn)))
		return false;
	for (size_t i = slash; i < rest.n; i++)
		if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f || strchr("?#@\\%", rest.p[i]) != NULL)
			return false;
	return true;
}

/* ---- the signature ---- */

/* The fields that are signed, in this order; those that a type does not have are left out. */
static void signed_text(const json_t *doc, struct buf *b)
{
	static const char *const notification[] = {
		"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"};
	static const char *const other[] = {
		"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"};
	const char *type = json_string_value(json_object_get(doc, "Type"));
	bool plain = type != NULL && strcmp(type, "Notification") == 0;
	const char *const *names = plain ? notification : other;
	size_t n = plain ? sizeof notification / sizeof notification[0] : sizeof other / sizeof other[0];
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_object_get(doc, names[i]);
		if (!json_is_string(value))
			continue;
		buf_puts(b, names[i]);
		buf_putc(b, '\n');
		buf_add(b, json_string_value(value), json_string_length(value));
		buf_putc(b, '\n');
	}
}

static EVP_PKEY *key_of(struct str pem)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *cert = in != NULL ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = cert != NULL ? X509_get_pubkey(cert) : NULL;
	X509_free(cert);
	BIO_free(in);
	return key;
}

static bool verifies(EVP_PKEY *key, const EVP_MD *hash, struct str text, const unsigned char *sig, size_t n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c != NULL && EVP_DigestVerifyInit(c, NULL, hash, NULL, key) == 1 &&
		  EVP_DigestVerify(c, sig, n, (const unsigned char *)text.p, text.n) == 1;
	EVP_MD_CTX_free(c);
	return ok;
}

int sns_verify(const struct json_t *doc, struct str pem, struct err *e)
{
	static const char what[] = "SNS message";
	const json_t *coded = json_object_get(doc, "Signature"),
		     *version = json_object_get(doc, "SignatureVersion");
	if (!json_is_string(coded) || !json_is_string(version) || json_string_length(coded) > 2000)
		return err_set(e, ERR_DATA, what, "it has no signature");
	const char *v = json_string_value(version);
	if (strcmp(v, "1") != 0 && strcmp(v, "2") != 0)
		return err_set(e, ERR_DATA, what, "signature version %.10s is not known here", v);
	unsigned char sig[1504];
	int n = EVP_DecodeBlock(
		sig, (const unsigned char *)json_string_value(coded), (int)json_string_length(coded));
	for (size_t k = json_string_length(coded); n > 0 && k > 0 && json_string_value(coded)[k - 1] == '=';
		k--)
		n--;
	if (n <= 0)
		return err_set(e, ERR_DATA, what, "its signature is not base64");
	EVP_PKEY *key = key_of(pem);
	if (key == NULL)
		return err_set(e, ERR_DATA, what, "its certificate cannot be read");
	struct buf text = BUF_INIT(1 << 20);
	signed_text(doc, &text);
	bool ok = !text.failed &&
		  verifies(key, v[0] == '1' ? EVP_sha1() : EVP_sha256(), buf_get(&text), sig, (size_t)n);
	buf_release(&text);
	EVP_PKEY_free(key);
	return ok ? 0 : err_set(e, ERR_DATA, what, "its signature is false");
}

/* ---- certificates ---- */

struct certificates {
	struct {
		char *url;
		struct buf pem;
	} kept[KEPT];
	int n;
};

struct certificates *certificates_new(void)
{
	return calloc(1, sizeof(struct certificates));
}

void certificates_free(struct certificates **c)
{
	if (*c == NULL)
		return;
	for (int i = 0; i < (*c)->n; i++) {
		free((*c)->kept[i].url);
		buf_release(&(*c)->kept[i].pem);
	}
	free(*c);
	*c = NULL;
}

static size_t take(char *p, size_t size, size_t n, void *to)
{
	struct buf *b = to;
	buf_add(b, p, size * n);
	return b->failed ? 0 : size * n;
}

static int fetch(const char *url, struct buf *pem, struct err *e)
{
	CURL *c = curl_easy_init();
	if (c == NULL)
		return err_set(e, ERR_INTERNAL, "certificate of SNS", "out of memory");
	char why[CURL_ERROR_SIZE] = "";
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, FETCH_SECONDS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, pem);
	CURLcode rc = curl_easy_perform(c);
	curl_easy_cleanup(c);
	if (rc == CURLE_OK)
		return 0;
	err_set(e, ERR_AGAIN, "certificate of SNS", "%s", why[0] != '\0' ? why : curl_easy_strerror(rc));
	return err_remedy(e, "It is fetched from %s: give the event again when that can be reached.", url);
}

int certificates_get(void *certificates, const char *url, struct buf *pem, struct err *e)
{
	struct certificates *c = certificates;
	for (int i = 0; i < c->n; i++)
		if (strcmp(c->kept[i].url, url) == 0) {
			buf_str(pem, buf_get(&c->kept[i].pem));
			return 0;
		}
	struct buf got = BUF_INIT(CERTIFICATE_MAX);
	if (fetch(url, &got, e) != 0) {
		buf_release(&got);
		return -1;
	}
	buf_str(pem, buf_get(&got));
	char *copy = c->n < KEPT ? strdup(url) : NULL;
	if (copy == NULL) {
		buf_release(&got);
		return 0;
	}
	c->kept[c->n].url = copy;
	c->kept[c->n++].pem = got;
	return 0;
}
