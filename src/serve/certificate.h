/* Certificates of what we serve: made anew, as their own authority, or from files. */
#ifndef SERVE_CERTIFICATE_H
#define SERVE_CERTIFICATE_H

#include "src/base/err.h"

#include <openssl/ssl.h>

/* A server's context with a certificate for `host` ("localhost": its addresses too), made at each start. The
 * certificate as PEM goes into ca_out, if that is not NULL. Mail servers that call us encrypt to it; none of
 * them can verify it. NULL: ERR_INTERNAL, or ca_out cannot be written. */
SSL_CTX *certificate_own(const char *host, const char *ca_out, struct err *e);
/* A chain and its key from PEM files. NULL: ERR_CONFIG. */
SSL_CTX *certificate_load(const char *certificate, const char *key, struct err *e);

#endif
