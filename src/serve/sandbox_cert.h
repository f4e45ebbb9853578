/* A certificate for localhost, 127.0.0.1 and ::1 that is its own authority, made anew each time. */
#ifndef SERVE_SANDBOX_CERT_H
#define SERVE_SANDBOX_CERT_H

#include "src/base/err.h"

#include <openssl/ssl.h>

/* A server's context with it. The certificate as PEM goes into ca_out, if that is not NULL. */
SSL_CTX *sandbox_tls_new(const char *ca_out, struct err *e);

#endif
