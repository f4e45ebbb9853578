/* One SMTP connection on a libev loop: socket, TLS and the protocol core in client.h.
 *
 * Callbacks never run inside the call that caused them, but for what smtp_conn_send() finds out at once,
 * which is reported on the next loop turn. closed() comes last; after it the connection is gone (it frees
 * itself once the loop turn is over) and the owner forgets the pointer. */
#ifndef ENGINE_SMTP_CONN_H
#define ENGINE_SMTP_CONN_H

#include "engine/smtp/client.h"
#include "src/base/err.h"

#include <sys/socket.h>

struct ev_loop;
struct smtp_conn;
struct tls_client; /* engine/tls.h: context and session cache of one route; shared by threads */
struct tls_policy;

struct smtp_endpoint {
	const char *host;                     /* for SNI, certificate check and messages */
	const struct sockaddr_storage *addrs; /* tried in order */
	size_t naddrs;
	const struct sockaddr_storage *source; /* our own, its port 0; NULL: as the system chooses */
	ms_t connect_timeout;                  /* for each address */
	struct tls_client *tls;                /* NULL with SMTP_TLS_NONE */
	/* What is demanded of this host; NULL: the standard of `tls`. Under SMTP_TLS_OPPORTUNISTIC a policy
	 * from TLS_ENCRYPT on makes TLS a must. Under a milder one, and without a login, a connection that
	 * fails, is lost or falls silent between STARTTLS and the first answer under TLS is followed by
	 * another in the clear. */
	const struct tls_policy *policy;
};

struct smtp_conn_ops {
	void (*ready)(void *ctx, struct smtp_conn *c);
	void (*result)(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r);
	void (*closed)(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r);
};

/* Endpoint and options are lent for the connection's life. NULL: out of memory or descriptors (ERR_INTERNAL,
 * ERR_IO); what concerns the server comes with closed(). */
struct smtp_conn *smtp_conn_open(struct ev_loop *loop, const struct smtp_endpoint *ep,
	const struct smtp_options *o, const struct smtp_conn_ops *ops, void *ctx, struct err *e);
bool smtp_conn_ready(const struct smtp_conn *c);
void smtp_conn_send(struct smtp_conn *c, struct smtp_message *m);
void smtp_conn_quit(struct smtp_conn *c);  /* after what is under way */
void smtp_conn_abort(struct smtp_conn *c); /* closes now; results and closed() still come */
struct smtp_client *smtp_conn_client(struct smtp_conn *c);
struct smtp_conn_facts {         /* for logs */
	char address[80];        /* "192.0.2.1 port 25": the last one tried */
	const char *tls;         /* "TLSv1.3"; NULL: in clear */
	ms_t connect_ms, tls_ms; /* what connecting to that address took, and the handshake */
};
const struct smtp_conn_facts *smtp_conn_facts(const struct smtp_conn *c);
bool smtp_conn_established(const struct smtp_conn *c); /* greeted, and past EHLO, TLS and AUTH */

#endif
