/* What a TLS client remembers of hosts: the last session of each, and where TLS did not work. Shared by
 * threads; of fixed size: a collision only costs a full handshake, or one that fails again. */
#ifndef ENGINE_TLS_MEMORY_H
#define ENGINE_TLS_MEMORY_H

#include "src/base/clock.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define TLS_MEMORY 1024

struct tls_session {
	char *key;
	SSL_SESSION *session;
};

struct tls_mark {
	uint64_t hash;
	ms_t until; /* monotonic */
};

struct tls_memory {
	pthread_mutex_t lock;
	struct tls_session sessions[TLS_MEMORY];
	struct tls_mark marks[TLS_MEMORY];
};

void tls_memory_init(struct tls_memory *m);
void tls_memory_release(struct tls_memory *m);
/* The SSL goes on using and changing its session, maybe beside another thread that resumes it: what is kept,
 * and what is offered, is always a copy. */
void tls_memory_keep(struct tls_memory *m, const char *key, SSL_SESSION *session);
void tls_memory_offer(struct tls_memory *m, const char *key, SSL *ssl);
/* Marks it for `span`; false: it was marked already, and is until the time that was set then. */
bool tls_memory_mark(struct tls_memory *m, const char *key, ms_t now, ms_t span);
bool tls_memory_marked(struct tls_memory *m, const char *key, ms_t now);

#endif
