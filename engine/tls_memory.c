#include "engine/tls_memory.h"

#include "src/base/hash.h"

#include <stdlib.h>

void tls_memory_init(struct tls_memory *m)
{
	memset(m, 0, sizeof *m);
	pthread_mutex_init(&m->lock, NULL);
}

void tls_memory_release(struct tls_memory *m)
{
	for (size_t i = 0; i < TLS_MEMORY; i++) {
		SSL_SESSION_free(m->sessions[i].session);
		free(m->sessions[i].key);
	}
	pthread_mutex_destroy(&m->lock);
}

/* ---- Sessions ---- */

static struct tls_session *session_of(struct tls_memory *m, const char *key)
{
	return &m->sessions[hash64(str_from(key)) % TLS_MEMORY];
}

void tls_memory_keep(struct tls_memory *m, const char *key, SSL_SESSION *session)
{
	struct tls_session fresh = {strdup(key), SSL_SESSION_dup(session)};
	if (fresh.key != NULL && fresh.session != NULL) {
		pthread_mutex_lock(&m->lock);
		struct tls_session *s = session_of(m, key), old = *s;
		*s = fresh;
		fresh = old;
		pthread_mutex_unlock(&m->lock);
	}
	SSL_SESSION_free(fresh.session);
	free(fresh.key);
}

void tls_memory_offer(struct tls_memory *m, const char *key, SSL *ssl)
{
	SSL_SESSION *copy = NULL;
	pthread_mutex_lock(&m->lock);
	struct tls_session *s = session_of(m, key);
	if (s->session != NULL && strcmp(s->key, key) == 0)
		copy = SSL_SESSION_dup(s->session);
	pthread_mutex_unlock(&m->lock);
	if (copy != NULL)
		SSL_set_session(ssl, copy); /* takes its own reference */
	SSL_SESSION_free(copy);
}

/* ---- Marks ---- */

bool tls_memory_mark(struct tls_memory *m, const char *key, ms_t now, ms_t span)
{
	uint64_t hash = hash64(str_from(key));
	struct tls_mark *mark = &m->marks[hash % TLS_MEMORY];
	pthread_mutex_lock(&m->lock);
	bool fresh = mark->hash != hash || now >= mark->until;
	if (fresh)
		*mark = (struct tls_mark){hash, now + span};
	pthread_mutex_unlock(&m->lock);
	return fresh;
}

bool tls_memory_marked(struct tls_memory *m, const char *key, ms_t now)
{
	uint64_t hash = hash64(str_from(key));
	const struct tls_mark *mark = &m->marks[hash % TLS_MEMORY];
	pthread_mutex_lock(&m->lock);
	bool marked = mark->hash == hash && now < mark->until;
	pthread_mutex_unlock(&m->lock);
	return marked;
}
