/* What the files of a connection share: the socket and its events (conn.c), and TLS (conn_tls.c). */
#ifndef ENGINE_SMTP_CONN_PRIVATE_H
#define ENGINE_SMTP_CONN_PRIVATE_H

#include "engine/smtp/conn.h"
#include "engine/smtp/wire.h"

#include <ev.h>
#include <openssl/ssl.h>

enum conn_state { CONN_CONNECTING, CONN_IMPLICIT_TLS, CONN_STARTTLS, CONN_UP, CONN_CLOSED };

struct smtp_conn {
	struct ev_loop *loop;
	const struct smtp_endpoint *ep;
	struct smtp_options o; /* as given, but for what the peer's TLS policy makes of `tls` */
	const struct smtp_conn_ops *ops;
	void *ctx;
	struct smtp_client *client;
	enum conn_state state;
	bool aborted, busy;
	size_t addr, next; /* the address in use; the one to be tried next */
	ms_t beside_at;    /* another address is tried beside that one then; 0: there is none */
	struct {           /* an earlier one that has not answered yet */
		int fd;    /* -1: none */
		size_t addr;
		ms_t began, deadline;
		ev_io writable;
	} rival;
	ms_t deadline; /* of connecting and implicit TLS; afterwards the client's counts */
	ms_t timer_at;
	struct wire wire;
	SSL *ssl;
	ev_io readable, writable;
	ev_timer timer;
	ev_prepare kick; /* never started, only fed: "look again once this callback has returned" */
	char why[300];
	struct smtp_conn_facts facts;
	ms_t began; /* with that address, or with its TLS */
};

/* ---- conn.c ---- */
extern const struct smtp_client_ops conn_client_ops;
void conn_fail(struct smtp_conn *c, enum smtp_stage stage, const char *why);
void conn_watch(struct smtp_conn *c, bool write); /* for writing too? */
void conn_arm(struct smtp_conn *c);               /* the timer */
void conn_disconnect(struct smtp_conn *c);
/* ---- conn_connect.c ---- */
/* 0: under way; else why the last address failed at once, which is reported on the next turn. */
int conn_connect(struct smtp_conn *c);
void conn_again(struct smtp_conn *c); /* anew to the same address */
void conn_connect_event(struct smtp_conn *c, const ev_io *which);
void conn_connect_due(struct smtp_conn *c, ms_t now);
ms_t conn_connect_deadline(const struct smtp_conn *c);
void conn_drop_rival(struct smtp_conn *c);
/* ---- conn_tls.c ---- */
void conn_tls_mode(struct smtp_options *o, const struct smtp_endpoint *ep);
void conn_handshake(struct smtp_conn *c);
/* The connection came to nothing, for that reason. True: it was at STARTTLS, that nobody demands, and the
 * same address is called again without it. */
bool conn_in_clear(struct smtp_conn *c, const char *why);

#endif
