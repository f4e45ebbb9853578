/* A route while mail goes over it: where it leads, its limits, and how it is doing. Shared by all worker
 * threads; everything that changes is atomic or behind its mutex. */
#ifndef ENGINE_ROUTE_H
#define ENGINE_ROUTE_H

#include "engine/access.h"
#include "engine/limiter.h"
#include "engine/shape/shaper.h"
#include "engine/smtp/conn.h"
#include "engine/tls.h"
#include "src/config/config.h"

#include <pthread.h>
#include <stdatomic.h>

enum route_bind { /* what kept more from going out, newest last */
	BIND_NONE,
	BIND_RATE,
	BIND_CONNECTIONS,
};

struct addrinfo;

struct route_addrs {
	struct route_addrs *older; /* kept: connections may still look at them */
	size_t n;
	struct sockaddr_storage v[16];
};

struct route_source { /* an address of ours from which the route connects */
	const struct config_source *cfg;
	struct sockaddr_storage addr; /* port 0 */
	char *helo;
	struct smtp_options smtp, lockstep; /* as the route's, with that name */
	_Atomic int connections;            /* of a relay */
};

struct route {
	const struct config_route *cfg;
	struct smtp_options smtp,
		lockstep; /* the second for a server that was out of step: one message at a time */
	_Atomic bool out_of_step;
	/* Monotonic: until then one message at a time on each connection, as one was lost with several in
	 * doubt. */
	_Atomic ms_t careful_until;
	struct smtp_timeouts timeouts; /* what `smtp` points to */
	struct tls_client *tls;
	char *password, *helo;
	bool broken;                  /* its password cannot be read, or the like: `trouble` says why */
	struct route_source *sources; /* none: the system chooses */
	size_t nsources;
	struct access *access;               /* where it logs in by token */
	_Atomic int no_token;                /* times in a row that there was none, as last told */
	_Atomic(struct route_addrs *) addrs; /* NULL: not resolved (yet) */
	_Atomic ms_t resolved_at;

	struct limiter rate;         /* [route] rate, /s and /m */
	_Atomic ms_t ever_connected; /* wall clock of the last that was established; 0: never */
	_Atomic ms_t good_at,
		bad_at; /* monotonic: of the last answer to a message, of the last failed connection */
	_Atomic int connections; /* established now */
	_Atomic int64_t
		work; /* deliveries that could be claimed now, as the ledger knows; bounds new connections */
	_Atomic int64_t in_hand;      /* claimed and not yet given to a connection */
	_Atomic int login_failures;   /* in a row */
	_Atomic int bind;             /* enum route_bind */
	_Atomic int64_t window_until; /* wall clock: the /h or /d window has room again; 0: it has */

	pthread_mutex_t lock;
	/* Under lock: */
	struct shaper shaper; /* of a relay; a direct route has one for each group of receivers */
	char trouble[320];    /* why it is down, for people */
	struct {
		uint64_t hash;
		ms_t at; /* monotonic */
	} told[4];       /* what the log last said of that */
	/* What the shaper says, for those who look without the lock: */
	_Atomic bool easy;         /* shaper_easy(): then messages pass without it */
	_Atomic ms_t closed_until; /* monotonic: it is left alone until then */
	_Atomic int failures;      /* connections that failed in a row, and nothing was answered since */
	_Atomic unsigned messages; /* over one connection */
	_Atomic unsigned accepted; /* meanwhile, not yet told to the shaper */
};

/* What every message could write is written only where it changes: all workers read its cache line with each.
 */
static inline void route_bound_by(struct route *r, enum route_bind b)
{
	if (atomic_load_explicit(&r->bind, memory_order_relaxed) != (int)b)
		atomic_store_explicit(&r->bind, (int)b, memory_order_relaxed);
}
static inline void route_good(struct route *r, ms_t now)
{
	if (atomic_load_explicit(&r->good_at, memory_order_relaxed) != now)
		atomic_store_explicit(&r->good_at, now, memory_order_relaxed);
}

/* Its host was looked up, and is not known. */
static inline bool route_lost(const struct route *r)
{
	return r->cfg->kind == ROUTE_RELAY && atomic_load(&r->addrs) == NULL &&
	       atomic_load(&r->resolved_at) != 0;
}
/* It is looked up for the first time. */
static inline bool route_sought(const struct route *r)
{
	return r->cfg->kind == ROUTE_RELAY && atomic_load(&r->addrs) == NULL &&
	       atomic_load(&r->resolved_at) == 0;
}

int route_init(struct route *r, const struct config_route *cfg, struct err *e);
/* Its [source] sections. ERR_CONFIG: an address that is not this host's. */
int route_sources(struct route *r, const struct config *c, struct err *e);
/* The source for one more connection of a relay: by weight. NULL: there are none. */
struct route_source *route_source_next(struct route *r);
void route_release(struct route *r);
/* Looks the host up; blocks. Keeps the old addresses when it fails: ERR_UNREACH. */
int route_resolve(struct route *r, struct err *e);
/* The same in two steps, of which only the first blocks: getaddrinfo() and what it says, and what the route
 * makes of it. The list is freed. */
int route_port(const struct config_route *c);
int route_look_up(const char *host, int port, struct addrinfo **list);
int route_found(struct route *r, int rc, struct addrinfo *list, struct err *e);
void route_trouble(struct route *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Into the log; the same again only after a minute: a server that dies ends all its connections at once. */
void route_tell_trouble(struct route *r);
/* What binds, for status: "route main: 14/s", "" … */
void route_limit_text(struct route *r, const struct zone *z, ms_t now, char *out, size_t n);

/* ---- The shaper of a relay, which all workers share (relay_shaper.c). Times are monotonic, in us ---- */

/* 0: yes; else us to wait, or SHAPER_LATER: not before something happens. */
int64_t route_may_send(struct route *r, int64_t now);
/* The same, and a message begins where it says 0. */
int64_t route_begin(struct route *r, int64_t now);
void route_answer(
	struct route *r, int64_t begun, enum shaper_answer a, const struct verdict *v, struct str text);
/* The same for a connection; answered by one of the next two. */
int64_t route_connect(struct route *r, int64_t now);
void route_connected(struct route *r);
void route_not_connected(struct route *r, enum shaper_fault how, const struct verdict *v, struct str text);
/* An established one is gone; as shaper_closed(). */
void route_disconnected(struct route *r, unsigned messages, bool early);
/* Messages that could begin until then; 0 while it is left alone. */
int64_t route_room(struct route *r, int64_t now, int64_t until);
unsigned route_messages(struct route *r); /* over one connection; 0: any number */
/* Connections that may stand now. */
int route_connections(struct route *r);

#endif
