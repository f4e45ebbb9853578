#include "engine/smtp/wire.h"

#include "engine/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_MAX 16384

void wire_init(struct wire *w, int fd)
{
	*w = (struct wire){.fd = fd};
}

void wire_release(struct wire *w)
{
	if (w->gather != NULL)
		explicit_bzero(w->gather, RECORD_MAX);
	free(w->gather);
	w->gather = NULL;
}

bool wire_secure(struct wire *w, struct ssl_st *ssl)
{
	w->gather = malloc(RECORD_MAX);
	if (w->gather == NULL || tls_set_fd(ssl, w->fd) < 0)
		return false;
	w->ssl = ssl;
	return true;
}

static int again(struct wire *w, bool wants_write)
{
	w->wants_write = wants_write;
	return WIRE_AGAIN;
}

static int failed(struct wire *w, int err)
{
	snprintf(w->why, sizeof w->why, "%s", strerror(err));
	return WIRE_ERROR;
}

static int ended(struct wire *w)
{
	snprintf(w->why, sizeof w->why, "closed by the server");
	return WIRE_END;
}

static int tls_result(struct wire *w, int ret)
{
	int saved = errno;
	switch (SSL_get_error(w->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return again(w, false);
	case SSL_ERROR_WANT_WRITE:
		return again(w, true);
	case SSL_ERROR_ZERO_RETURN:
		return ended(w);
	case SSL_ERROR_SYSCALL:
		return saved != 0 ? failed(w, saved) : ended(w);
	default:
		tls_explain(w->ssl, ret, w->why, sizeof w->why);
		return WIRE_ERROR;
	}
}

int wire_handshake(struct wire *w)
{
	ERR_clear_error();
	errno = 0;
	int ret = SSL_connect(w->ssl);
	if (ret == 1)
		return 1;
	int r = tls_result(w, ret);
	if (r == WIRE_END) {
		snprintf(w->why, sizeof w->why, "closed by the server while TLS was set up");
		return WIRE_ERROR;
	}
	return r;
}

static ssize_t tls_read(struct wire *w, void *p, size_t n)
{
	ERR_clear_error();
	errno = 0;
	int ret = SSL_read(w->ssl, p, (int)n);
	return ret > 0 ? ret : tls_result(w, ret);
}

ssize_t wire_read(struct wire *w, void *p, size_t n)
{
	if (w->ssl != NULL)
		return tls_read(w, p, n);
	ssize_t r;
	do
		r = recv(w->fd, p, n, 0);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		return r;
	if (r == 0)
		return ended(w);
	return errno == EAGAIN || errno == EWOULDBLOCK ? again(w, false) : failed(w, errno);
}

bool wire_more(const struct wire *w)
{
	return w->ssl != NULL && SSL_has_pending(w->ssl) == 1;
}

/* Fills one record from all pieces, so that commands and short bodies do not each cost one. What fills a
 * record by itself is written from where it lies. */
static ssize_t tls_write(struct wire *w, const struct iovec *v, int n)
{
	bool direct = w->gathered == 0 && v[0].iov_len >= RECORD_MAX;
	if (w->gathered == 0 && !direct) {
		for (int i = 0; i < n && w->gathered < RECORD_MAX; i++) {
			size_t room = RECORD_MAX - w->gathered;
			size_t k = v[i].iov_len < room ? v[i].iov_len : room;
			memcpy(w->gather + w->gathered, v[i].iov_base, k);
			w->gathered += k;
		}
	}
	ERR_clear_error();
	errno = 0;
	int ret = direct ? SSL_write(w->ssl, v[0].iov_base, RECORD_MAX)
			 : SSL_write(w->ssl, w->gather, (int)w->gathered);
	w->begun = ret <= 0;
	if (ret <= 0)
		return tls_result(w, ret);
	w->gathered = 0;
	return ret;
}

ssize_t wire_write(struct wire *w, const struct iovec *v, int n)
{
	if (w->ssl != NULL)
		return tls_write(w, v, n);
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
	ssize_t r;
	do
		r = sendmsg(w->fd, &m, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		return r;
	return errno == EAGAIN || errno == EWOULDBLOCK ? again(w, true) : failed(w, errno);
}

void wire_goodbye(struct wire *w)
{
	if (w->ssl == NULL || w->begun || !SSL_is_init_finished(w->ssl))
		return;
	ERR_clear_error();
	SSL_shutdown(w->ssl);
	ERR_clear_error();
}
