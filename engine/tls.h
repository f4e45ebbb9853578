/* TLS for SMTP clients (OpenSSL 3): one context for each route, shared by the worker threads, with a session
 * cache so that a later connection resumes. SNI always; certificate and name are verified unless `verify` is
 * false. */
#ifndef ENGINE_TLS_H
#define ENGINE_TLS_H

#include "src/base/err.h"

#include <stdbool.h>

struct tls_client;
struct ssl_st;

/* ca_file NULL: the system's. */
struct tls_client *tls_client_new(const char *ca_file, bool verify, struct err *e);
void tls_client_free(struct tls_client **t);
/* A new SSL for that host, with the last session of it. */
struct ssl_st *tls_client_ssl(struct tls_client *t, const char *host, struct err *e);
/* As SSL_set_fd(), but a closed peer raises no SIGPIPE; -1: out of memory. */
int tls_set_fd(struct ssl_st *ssl, int fd);
/* Why a handshake failed, in words a person can act on: expired, other name, not trusted, plain text on a TLS
 * port … */
void tls_explain(struct ssl_st *ssl, int ret, char *out, unsigned long n);

#endif
