/* TLS for SMTP clients (OpenSSL 3): one context for each route, shared by the worker threads, with a session
 * cache so that a later connection resumes. SNI always. What a connection demands of the server is its
 * policy. */
#ifndef ENGINE_TLS_H
#define ENGINE_TLS_H

#include "src/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct tls_client;
struct ssl_st;

/* From "any encryption is better than none" up. From TLS_ENCRYPT on mail never goes in the clear. */
enum tls_need {
	TLS_MAY, /* RFC 7435: whoever answers, and in the clear where TLS is not offered or does not work */
	TLS_TESTING, /* as TLS_MAY, and a certificate that would not do is logged (MTA-STS testing) */
	TLS_ENCRYPT, /* whoever answers (TLSA records of which none can be used, RFC 7672 2.2) */
	TLS_VERIFY,  /* a trusted certificate for the host's name (relays, MTA-STS enforce) */
	TLS_DANE,    /* a certificate that a TLSA record names (RFC 7672) */
};

struct tlsa { /* RFC 6698 2.1 */
	unsigned char usage, selector, matching;
	const unsigned char *data;
	size_t n;
};

struct tls_policy {
	enum tls_need need;
	const struct tlsa *tlsa; /* with TLS_DANE */
	size_t ntlsa;
	const char *base; /* with TLS_DANE: the TLSA base domain where it is not the host's name; else NULL */
};

/* ca_file NULL: the system's. `standard`: what is demanded where a connection has no policy of its own;
 * TLS_VERIFY for relays. */
struct tls_client *tls_client_new(const char *ca_file, enum tls_need standard, struct err *e);
void tls_client_free(struct tls_client **t);
/* A new SSL for that host, with the last session of it under the same demands. policy NULL: the standard; it
 * need not live on. */
struct ssl_st *tls_client_ssl(
	struct tls_client *t, const char *host, const struct tls_policy *policy, struct err *e);
/* A host whose TLS failed twice within an hour: under TLS_MAY it is not tried again for an hour. Once may be
 * an accident of the network, and is no reason for an hour in the clear. An accident breaks all connections
 * of its moment: what fails within a minute of the first failure counts as that one. By clock_mono(). */
bool tls_client_broken(struct tls_client *t, const char *host);
void tls_client_note_broken(struct tls_client *t, const char *host);
/* The handshake is done: "TLSv1.3, TLS_AES_256_GCM_SHA384, certificate verified by DANE". Logs what a policy
 * in testing would have refused. */
void tls_established(struct ssl_st *ssl, char *out, unsigned long n);
/* As SSL_set_fd(), but a closed peer raises no SIGPIPE; -1: out of memory. */
int tls_set_fd(struct ssl_st *ssl, int fd);
/* Why a handshake failed, in words a person can act on: expired, other name, not trusted, plain text on a TLS
 * port … */
void tls_explain(struct ssl_st *ssl, int ret, char *out, unsigned long n);

#endif
