/* What the parts of the sandbox share. One thread runs all of it; only `counts` is read from outside. */
#ifndef SERVE_SANDBOX_PRIVATE_H
#define SERVE_SANDBOX_PRIVATE_H

#include "src/base/buf.h"
#include "src/serve/certificate.h"
#include "src/serve/sandbox.h"
#include "src/serve/sandbox_fate.h"
#include "src/serve/socket.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define SANDBOX_MESSAGE_MAX (50 << 20)
#define SANDBOX_HEADER_MAX  (32 << 10) /* kept of a message that is discarded, to find its Message-ID */

struct sandbox_conn;

struct sandbox {
	struct ev_loop *loop;
	pthread_t thread;
	ev_io accept;
	ev_async stop;
	ev_prepare flush;
	int fd, port;
	struct socket_options socket;
	struct fates *fates;
	unsigned long max_connections;
	struct str user, password; /* in `auth` */
	char *auth;
	char *keep; /* NULL: discard */
	FILE *log;
	struct sandbox_return *back; /* NULL: nothing is sent back */
	uint64_t run;                /* in queue ids and file names, so that two runs do not meet */
	unsigned long next_file;
	struct sandbox_conn *conns;
	struct {
		atomic_ulong accepted, refused, deferred, dropped, messages, connections, open, returned;
		atomic_ullong bytes;
	} counts;
};

/* sandbox_conn.c */
void sandbox_conn_open(struct sandbox *s, int fd);
void sandbox_conn_close(struct sandbox_conn *c);

/* sandbox_return.c */
/* where: "127.0.0.1:PORT". NULL: ERR_USAGE, ERR_INTERNAL. */
struct sandbox_return *sandbox_return_new(struct sandbox *s, const char *where, struct err *e);
void sandbox_return(
	struct sandbox_return *b, enum fate fate, struct str from, struct str rcpt, struct str message);
bool sandbox_return_end(struct sandbox_return *b); /* in the loop, until it is true */
void sandbox_return_free(struct sandbox_return *b);

/* sandbox_keep.c */
struct sandbox_receipt {
	unsigned long connection;
	struct str from, rcpt, message; /* message: as much as was kept */
	uint64_t size;
	int code; /* 0: closed without a reply */
	bool taken;
	const char *enhanced, *text;
};
int sandbox_keep_prepare(const char *dir, struct err *e); /* makes the Maildir */
/* rcpts: each followed by a NUL. -1: could not be written (logged). */
int sandbox_keep(struct sandbox *s, struct str from, struct str rcpts, struct str message);
void sandbox_log(struct sandbox *s, const struct sandbox_receipt *r);

#endif
