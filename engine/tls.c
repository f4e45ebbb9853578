#include "engine/tls.h"

#include "src/base/hash.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The last session of a host, by the hash of its name; a collision only costs a full handshake. */
#define SESSIONS 256

struct session {
	char *host;
	SSL_SESSION *session;
};

struct tls_client {
	SSL_CTX *ctx;
	bool verify;
	pthread_mutex_t lock;
	struct session sessions[SESSIONS];
};

static int host_index = -1, owner_index = -1; /* ex_data of an SSL: its host (owned), its tls_client */
static BIO_METHOD *socket_method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- A socket BIO that writes with MSG_NOSIGNAL ---- */

static int fd_of(BIO *b)
{
	return (int)(intptr_t)BIO_get_data(b);
}

static int socket_write(BIO *b, const char *p, int n)
{
	BIO_clear_retry_flags(b);
	ssize_t r = send(fd_of(b), p, (size_t)n, MSG_NOSIGNAL);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(b);
	return (int)r;
}

static int socket_read(BIO *b, char *p, int n)
{
	BIO_clear_retry_flags(b);
	ssize_t r = recv(fd_of(b), p, (size_t)n, 0);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(b);
	if (r == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	return (int)r;
}

static long socket_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)num, (void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static int socket_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

static void free_host(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	free(p);
}

static void set_up_once(void)
{
	host_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_host);
	owner_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postrider socket");
	if (m == NULL)
		return;
	BIO_meth_set_write(m, socket_write);
	BIO_meth_set_read(m, socket_read);
	BIO_meth_set_ctrl(m, socket_ctrl);
	BIO_meth_set_create(m, socket_create);
	socket_method = m;
}

int tls_set_fd(SSL *ssl, int fd)
{
	BIO *b = socket_method != NULL ? BIO_new(socket_method) : NULL;
	if (b == NULL)
		return -1;
	BIO_set_data(b, (void *)(intptr_t)fd);
	SSL_set_bio(ssl, b, b);
	return 0;
}

/* ---- Sessions ---- */

static struct session *session_of(struct tls_client *t, const char *host)
{
	return &t->sessions[hash64(str_from(host)) % SESSIONS];
}

/* SSL_CTX_sess_set_new_cb. The SSL goes on using and changing its session, maybe beside another thread that
 * resumes it: what is kept, and what is offered, is always a copy. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *t = SSL_get_ex_data(ssl, owner_index);
	const char *host = SSL_get_ex_data(ssl, host_index);
	struct session fresh = {strdup(host), SSL_SESSION_dup(session)};
	if (fresh.host != NULL && fresh.session != NULL) {
		pthread_mutex_lock(&t->lock);
		struct session *s = session_of(t, host), old = *s;
		*s = fresh;
		fresh = old;
		pthread_mutex_unlock(&t->lock);
	}
	SSL_SESSION_free(fresh.session);
	free(fresh.host);
	return 0; /* no reference taken */
}

static void offer_session(struct tls_client *t, SSL *ssl, const char *host)
{
	SSL_SESSION *copy = NULL;
	pthread_mutex_lock(&t->lock);
	struct session *s = session_of(t, host);
	if (s->session != NULL && strcmp(s->host, host) == 0)
		copy = SSL_SESSION_dup(s->session);
	pthread_mutex_unlock(&t->lock);
	if (copy != NULL)
		SSL_set_session(ssl, copy); /* takes its own reference */
	SSL_SESSION_free(copy);
}

/* ---- Contexts and connections ---- */

static const char *last_error(char out[160])
{
	unsigned long code = ERR_peek_last_error();
	const char *why = code != 0 ? ERR_reason_error_string(code) : NULL;
	snprintf(out, 160, "%s", why != NULL ? why : "unknown error");
	return out;
}

static int load_trust(SSL_CTX *ctx, const char *ca_file, struct err *e)
{
	char why[160];
	int ok = ca_file != NULL ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
				 : SSL_CTX_set_default_verify_paths(ctx);
	if (ok == 1)
		return 0;
	err_set(e, ERR_CONFIG, "certificates of authorities (ca-file)", "%s: %s",
		ca_file != NULL ? ca_file : "the system's", last_error(why));
	ERR_clear_error();
	return -1;
}

struct tls_client *tls_client_new(const char *ca_file, bool verify, struct err *e)
{
	pthread_once(&once, set_up_once);
	struct tls_client *t = calloc(1, sizeof *t);
	SSL_CTX *ctx = t != NULL ? SSL_CTX_new(TLS_client_method()) : NULL;
	if (ctx == NULL || host_index < 0 || owner_index < 0 || socket_method == NULL) {
		SSL_CTX_free(ctx);
		free(t);
		err_set(e, ERR_INTERNAL, "TLS", "out of memory");
		return NULL;
	}
	t->ctx = ctx;
	t->verify = verify;
	pthread_mutex_init(&t->lock, NULL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(
		ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (verify && load_trust(ctx, ca_file, e) < 0)
		tls_client_free(&t);
	return t;
}

void tls_client_free(struct tls_client **tp)
{
	struct tls_client *t = *tp;
	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < SESSIONS; i++) {
		SSL_SESSION_free(t->sessions[i].session);
		free(t->sessions[i].host);
	}
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* SNI carries names only (RFC 6066 3); an address is looked for among the certificate's addresses. */
static int set_name(SSL *ssl, const char *host)
{
	unsigned char address[16];
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	if (inet_pton(AF_INET, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip(p, address, 4);
	if (inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip(p, address, 16);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct ssl_st *tls_client_ssl(struct tls_client *t, const char *host, struct err *e)
{
	SSL *ssl = SSL_new(t->ctx);
	char *name = strdup(host);
	if (ssl == NULL || name == NULL || SSL_set_ex_data(ssl, host_index, name) != 1) {
		free(name);
		name = NULL;
	}
	if (name == NULL || SSL_set_ex_data(ssl, owner_index, t) != 1 || set_name(ssl, host) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		err_set(e, ERR_INTERNAL, "TLS", "out of memory, or no host name: %s", host);
		return NULL;
	}
	offer_session(t, ssl, host);
	return ssl;
}

/* ---- Words ---- */

static void explain_certificate(SSL *ssl, long result, char *out, unsigned long n)
{
	const char *host = SSL_get_ex_data(ssl, host_index);
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		snprintf(out, n, "the certificate of %s has expired", host);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(out, n, "the certificate of %s is not valid yet (is this machine's clock right?)",
			host);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		snprintf(out, n, "the certificate is for another name than %s", host);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		snprintf(out, n,
			"the certificate of %s is not signed by a trusted authority (%s; ca-file names "
			"others)",
			host, X509_verify_cert_error_string(result));
		break;
	default:
		snprintf(out, n, "the certificate of %s does not verify: %s", host,
			X509_verify_cert_error_string(result));
		break;
	}
}

void tls_explain(struct ssl_st *ssl, int ret, char *out, unsigned long n)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	long result = SSL_get_verify_result(ssl);
	char text[160];
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		explain_certificate(ssl, result, out, n);
	else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
		snprintf(out, n, "the server speaks plain text here, not TLS (is it a port for STARTTLS?)");
	else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
		snprintf(out, n, "the server knows no TLS version that is still safe (1.2 or newer)");
	else if (reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
		snprintf(out, n, "the server found no common cipher or protocol");
	else if (code != 0)
		snprintf(out, n, "%s", last_error(text));
	else
		snprintf(out, n, "failed (%d)", SSL_get_error(ssl, ret));
	ERR_clear_error();
}
