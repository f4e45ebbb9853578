#include "engine/tls.h"

#include "engine/tls_memory.h"
#include "src/base/buf.h"
#include "src/base/hash.h"
#include "src/base/log.h"

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

static const ms_t BROKEN = HOUR; /* a host whose TLS fails is not asked for it again */
/* One accident lasts as long as a connection waits for TLS (smtp_timeouts_default.tls): what was under way
 * when a host fell silent has failed by then. */
static const ms_t ACCIDENT = MINUTE;
static const ms_t NOTE_AGAIN = DAY; /* what a policy in testing would have refused */

struct tls_client {
	SSL_CTX *ctx;
	enum tls_need standard;
	struct tls_memory memory;
};

struct peer { /* ex_data of an SSL: whom it is for, and what is demanded of it */
	struct tls_client *client;
	enum tls_need need;
	const char *key; /* of its sessions: behind the host */
	char host[];
};

static int peer_index = -1;
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

static void free_peer(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	free(p);
}

static void set_up_once(void)
{
	peer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_peer);
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

/* SSL_CTX_sess_set_new_cb */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index);
	tls_memory_keep(&p->client->memory, p->key, session);
	return 0; /* no reference taken */
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

struct tls_client *tls_client_new(const char *ca_file, enum tls_need standard, struct err *e)
{
	pthread_once(&once, set_up_once);
	struct tls_client *t = calloc(1, sizeof *t);
	SSL_CTX *ctx = t != NULL ? SSL_CTX_new(TLS_client_method()) : NULL;
	if (ctx == NULL || peer_index < 0 || socket_method == NULL || SSL_CTX_dane_enable(ctx) != 1) {
		SSL_CTX_free(ctx);
		free(t);
		err_set(e, ERR_INTERNAL, "TLS", "out of memory");
		return NULL;
	}
	t->ctx = ctx;
	t->standard = standard;
	tls_memory_init(&t->memory);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(
		ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	/* Connections that wait hold no buffers; a record is read with one call, not its head by itself. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (load_trust(ctx, ca_file, e) < 0)
		tls_client_free(&t);
	return t;
}

void tls_client_free(struct tls_client **tp)
{
	struct tls_client *t = *tp;
	*tp = NULL;
	if (t == NULL)
		return;
	tls_memory_release(&t->memory);
	SSL_CTX_free(t->ctx);
	free(t);
}

/* SNI carries names only (RFC 6066 3); an address is looked for among the certificate's addresses. */
static bool set_name(SSL *ssl, const char *host)
{
	unsigned char address[16];
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	if (inet_pton(AF_INET, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip(p, address, 4) == 1;
	if (inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip(p, address, 16) == 1;
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* Where anybody may answer, old TLS is still better than none (RFC 7435), and old receivers are many. */
static void take_what_comes(SSL *ssl)
{
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	SSL_set_security_level(ssl, 0);
	SSL_set_min_proto_version(ssl, TLS1_VERSION);
	SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
}

/* RFC 7672 3: names are looked at only for DANE-TA. Returns how many records OpenSSL can use. */
static int set_dane(SSL *ssl, const char *host, const struct tls_policy *p)
{
	const char *base = p->base != NULL ? p->base : host;
	int used = 0;
	if (SSL_dane_enable(ssl, base) != 1 || SSL_set_tlsext_host_name(ssl, base) != 1 ||
		(p->base != NULL && SSL_add1_host(ssl, host) != 1))
		return -1;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < p->ntlsa; i++) {
		const struct tlsa *t = &p->tlsa[i];
		int rc = SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching, t->data, t->n);
		if (rc < 0)
			return -1;
		used += rc;
	}
	return used;
}

static bool apply(SSL *ssl, const char *host, const struct tls_policy *p)
{
	int used = p->need == TLS_DANE ? set_dane(ssl, host, p) : set_name(ssl, host) ? 0 : -1;
	if (used < 0)
		return false;
	if (p->need < TLS_VERIFY || (p->need == TLS_DANE && used == 0))
		take_what_comes(ssl);
	else
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return true;
}

/* A resumed session is not verified again: it is kept for this host under these demands only. */
static bool tag(SSL *ssl, struct tls_client *t, const char *host, const struct tls_policy *policy)
{
	struct buf key = BUF_INIT(256 * 1024);
	buf_printf(&key, "%d %s %s", (int)policy->need, host, policy->base != NULL ? policy->base : "");
	for (size_t i = 0; i < policy->ntlsa; i++) {
		const struct tlsa *r = &policy->tlsa[i];
		buf_printf(&key, " %d %d %d %016llx", r->usage, r->selector, r->matching,
			(unsigned long long)hash64(str_n((const char *)r->data, r->n)));
	}
	size_t n = strlen(host) + 1;
	struct peer *p = key.failed ? NULL : malloc(sizeof *p + n + key.len + 1);
	if (p != NULL) {
		p->client = t;
		p->need = policy->need;
		p->key = p->host + n;
		memcpy(p->host, host, n);
		memcpy(p->host + n, buf_cstr(&key), key.len + 1);
	}
	buf_release(&key);
	if (p == NULL || SSL_set_ex_data(ssl, peer_index, p) != 1) {
		free(p);
		return false;
	}
	tls_memory_offer(&t->memory, p->key, ssl);
	return true;
}

struct ssl_st *tls_client_ssl(
	struct tls_client *t, const char *host, const struct tls_policy *policy, struct err *e)
{
	const struct tls_policy standard = {.need = t->standard};
	const struct tls_policy *p = policy != NULL ? policy : &standard;
	SSL *ssl = SSL_new(t->ctx);
	if (ssl == NULL || !apply(ssl, host, p) || !tag(ssl, t, host, p)) {
		SSL_free(ssl);
		ERR_clear_error();
		err_set(e, ERR_INTERNAL, "TLS", "out of memory, or no host name: %s", host);
		return NULL;
	}
	return ssl;
}

bool tls_client_broken(struct tls_client *t, const char *host)
{
	return tls_memory_marked(&t->memory, host, clock_mono());
}

void tls_client_note_broken(struct tls_client *t, const char *host)
{
	char accident[300], failed[300];
	ms_t now = clock_mono();
	snprintf(accident, sizeof accident, "accident %.255s", host);
	snprintf(failed, sizeof failed, "failed %.255s", host);
	if (tls_memory_mark(&t->memory, accident, now, ACCIDENT) &&
		!tls_memory_mark(&t->memory, failed, now, BROKEN))
		tls_memory_mark(&t->memory, host, now, BROKEN);
}

/* ---- Words ---- */

static void explain_certificate(SSL *ssl, long result, char *out, unsigned long n)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index);
	const char *host = p->host;
	switch (result) {
	case X509_V_ERR_DANE_NO_MATCH:
		snprintf(out, n, "no TLSA record of %s fits its certificate (DANE)", host);
		break;
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

void tls_established(struct ssl_st *ssl, char *out, unsigned long n)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index);
	long result = SSL_get_verify_result(ssl);
	const char *verified = SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ? ""
			       : p->need == TLS_DANE                       ? ", certificate verified by DANE"
									   : ", certificate verified";
	char key[300];
	snprintf(out, n, "%s, %s%s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl), verified,
		SSL_session_reused(ssl) ? ", resumed" : "");
	if (p->need != TLS_TESTING || result == X509_V_OK)
		return;
	snprintf(key, sizeof key, "testing %.255s", p->host);
	if (!tls_memory_mark(&p->client->memory, key, clock_mono(), NOTE_AGAIN))
		return;
	char why[300];
	explain_certificate(ssl, result, why, sizeof why);
	log_info("tls: %s (MTA-STS in testing: the mail goes out all the same)", why);
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
