/* What the parts of the listener share: its sockets and thread (listener.c), a connection and what it may say
 * (listener_conn.c), reading and acting (listener_intake.c). */
#ifndef SERVE_LISTENER_PRIVATE_H
#define SERVE_LISTENER_PRIVATE_H

#include "src/base/buf.h"
#include "src/serve/listener.h"
#include "src/serve/socket.h"

#include <pthread.h>
#include <sys/socket.h>

enum {
	LISTENER_RCPTS = 10,   /* of a message: each is a copy of its own */
	LISTENER_MOST = 1000,  /* connections */
	LISTENER_EACH = 200,   /* of them from one address */
	LISTENER_HOURLY = 30,  /* messages to one address */
	LISTENER_RECENT = 4096 /* addresses remembered for that */
};
#define LISTENER_SIZE ((uint64_t)64 << 20) /* a message; of most only the beginning is kept */
#define LISTENER_KEEP ((size_t)1 << 20)    /* as much as is read of a returned message */
#define LISTENER_POST ((size_t)10 << 20)   /* a letter to postmaster */
#define LISTENER_HELD ((size_t)96 << 20)   /* of all messages under way */

enum post { POST_INTAKE, POST_FEEDBACK, POST_MASTER };

struct recipient {
	char address[320];
	enum post post;
	bool kept; /* a letter that is in the Maildir */
};

struct parcel { /* a message on its way to the intake and back */
	struct parcel *next;
	struct listener_conn *conn; /* NULL: it hung up meanwhile. The loop's */
	struct recipient to[LISTENER_RCPTS];
	int nto;
	char from[320];
	char *text; /* freed by whoever ends it */
	size_t n;
	ms_t at;
	int code; /* of the answer */
	const char *enhanced, *words;
};

struct door { /* a socket that listens */
	struct listener *l;
	const struct config_listen *at;
	int fd;
	ev_io io;
	struct socket_options socket;
};

struct recent {
	uint64_t hash;
	int64_t hour;
	unsigned n;
};

struct listener {
	struct listener_options o;
	struct door doors[LISTEN_MOST];
	int ndoors;
	char host[256];
	struct ev_loop *loop;
	pthread_t thread, reading;
	bool running, reader_running;
	ev_async wake;
	ev_timer sweep;
	bool deaf; /* no descriptor is left: nobody is let in until the next sweep */
	SSL_CTX *tls;
	struct token_signer *signer; /* the loop's */
	struct listener_conn *oldest, *newest;
	int nconns;
	size_t held; /* bytes of messages under way, also of those whose sender has hung up */
	int parcels; /* under way */
	struct recent *recent;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct parcel *inbox, **inbox_end, *done; /* under lock */
	bool reading_over;                        /* under lock */
	_Atomic bool stopping, reload;
	ms_t stop_at;
};

/* ---- listener_conn.c ---- */
void conn_open(struct door *d, int fd, const struct sockaddr_storage *from);
void conn_sweep(struct listener *l, ms_t now); /* closes those whose time is over */
void conn_close_idle(struct listener *l);      /* all that are not waiting for the intake */
void conn_close_all(struct listener *l);
void conn_answer(struct listener *l, struct parcel *p); /* frees it */

/* ---- listener_intake.c ---- */
void *intake_main(void *listener);
int intake_prepare(const struct config *c, struct err *e); /* makes the postmaster's Maildir */
void intake_give(struct listener *l, struct parcel *p);

#endif
