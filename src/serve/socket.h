/* A connection that we serve: a socket, TLS in memory where it is asked for, and the SMTP core between them.
 * The sandbox and the return-path listener stand on it; policy is theirs.
 *
 * All of it belongs to one libev loop. What a client can make grow is bounded by `in_max` and `out_max`. */
#ifndef SERVE_SOCKET_H
#define SERVE_SOCKET_H

#include "engine/smtp/server.h"
#include "src/base/clock.h"

#include <ev.h>
#include <openssl/ssl.h>

struct socket;

struct socket_options { /* lent for the connection's life */
	struct smtp_server_options smtp;
	SSL_CTX *tls;      /* for STARTTLS, and for tls_implicit */
	bool tls_implicit; /* from the first byte */
	ms_t delay;        /* every byte we say goes out this much later */
	ms_t idle;         /* closed with 421 after so long without a byte */
	size_t in_max, out_max;
};

struct socket_ops {
	struct smtp_answer (*greet)(void *ctx); /* the first thing to say */
	/* It is over: the descriptor is closed, the core is gone, and the socket is freed after this.
	 * dropped: by socket_drop(), or for want of memory. */
	void (*closed)(void *ctx, bool dropped);
};

/* Takes fd over. NULL: out of memory; fd is closed, `closed` is not called. Nothing is said, and no callback
 * comes, before socket_start(). */
struct socket *socket_open(struct ev_loop *loop, int fd, const struct socket_options *o,
	const struct smtp_server_ops *smtp_ops, const struct socket_ops *ops, void *ctx);
void socket_start(struct socket *s); /* may close it */
struct smtp_server *socket_smtp(const struct socket *s);
/* After smtp_server_answer() or smtp_server_close(): goes on. May close it. */
void socket_pump(struct socket *s);
void socket_drop(struct socket *s); /* from a callback of the core: closes without a word */
void socket_close(struct socket *s);

#endif
