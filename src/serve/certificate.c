#include "src/serve/certificate.h"

#include "src/base/clock.h"
#include "src/base/file.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static int add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	int ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static X509 *make_certificate(EVP_PKEY *key, const char *host)
{
	char names[300];
	X509 *x = X509_new();
	if (x == NULL)
		return NULL;
	bool local = strcmp(host, "localhost") == 0;
	snprintf(names, sizeof names, "DNS:%.250s%s", host, local ? ",IP:127.0.0.1,IP:::1" : "");
	X509_NAME *name = X509_get_subject_name(x);
	bool ok = X509_set_version(x, 2) == 1 &&
		  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (uint64_t)clock_now()) == 1 &&
		  X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
		  X509_gmtime_adj(X509_getm_notAfter(x), 3650L * 86400) != NULL &&
		  X509_set_pubkey(x, key) == 1 &&
		  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			  (const unsigned char *)(strlen(host) < 64 ? host : "mail"), -1, -1, 0) == 1 &&
		  X509_set_issuer_name(x, name) == 1 &&
		  add_extension(x, NID_basic_constraints, "critical,CA:TRUE") &&
		  add_extension(x, NID_subject_key_identifier, "hash") &&
		  add_extension(x, NID_subject_alt_name, names) && X509_sign(x, key, EVP_sha256()) > 0;
	if (!ok) {
		X509_free(x);
		return NULL;
	}
	return x;
}

static int write_pem(X509 *x, const char *path, struct err *e)
{
	char *p = NULL;
	BIO *b = BIO_new(BIO_s_mem());
	int rc = -1;
	if (b == NULL || PEM_write_bio_X509(b, x) != 1) {
		err_set(e, ERR_INTERNAL, "certificate", "cannot write the certificate");
	} else {
		long n = BIO_get_mem_data(b, &p);
		rc = file_write(path, str_n(p, (size_t)n), 0644, e);
	}
	BIO_free(b);
	return rc;
}

SSL_CTX *certificate_own(const char *host, const char *ca_out, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key != NULL ? make_certificate(key, host) : NULL;
	bool ok = ctx != NULL && x != NULL && SSL_CTX_use_certificate(ctx, x) == 1 &&
		  SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
	if (!ok)
		err_set(e, ERR_INTERNAL, "certificate", "cannot make a certificate");
	if (ok && ca_out != NULL)
		ok = write_pem(x, ca_out, e) == 0;
	X509_free(x);
	EVP_PKEY_free(key);
	if (!ok) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	return ctx;
}

SSL_CTX *certificate_load(const char *certificate, const char *key, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL) {
		err_set(e, ERR_INTERNAL, "certificate", "out of memory");
		return NULL;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		err_set(e, ERR_CONFIG, certificate, "holds no certificate in PEM form that can be read");
	else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		err_set(e, ERR_CONFIG, key, "holds no private key in PEM form that fits the certificate");
	else if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1) {
		SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}
