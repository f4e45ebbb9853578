#include "engine/hosts.h"

#include "src/base/fault.h"
#include "src/base/log.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const ms_t AGAIN = 2 * SECOND, OLD = 5 * MINUTE;

struct hosts {
	pthread_mutex_t lock;
	/* Under lock: */
	struct route *routes; /* NULL: nobody waits any more, and the thread frees all this */
	bool done;

	void (*found)(void *ctx);
	void *ctx;
	size_t n;
	struct {
		size_t route;
		char host[256];
		int port;
	} v[];
};

static bool due(const struct route *r)
{
	ms_t age = clock_mono() - atomic_load(&r->resolved_at);
	return r->cfg->kind == ROUTE_RELAY && age > (atomic_load(&r->addrs) == NULL ? AGAIN : OLD);
}

static void release(struct hosts *h)
{
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Under the lock. */
static void give(struct hosts *h, size_t i, int rc, struct addrinfo *list)
{
	struct err e = {0};
	struct route *r = &h->routes[h->v[i].route];
	if (route_found(r, rc, list, &e) == 0)
		return;
	if (e.code == ERR_UNREACH)
		route_tell_trouble(r);
	else
		log_err(LOG_LEVEL_WARN, &e);
}

static void *look_up(void *arg)
{
	struct hosts *h = arg;
	bool left = false;
	for (size_t i = 0; i < h->n && !left; i++) {
		struct addrinfo *list = NULL;
		int rc = route_look_up(h->v[i].host, h->v[i].port, &list);
		pthread_mutex_lock(&h->lock);
		left = h->routes == NULL;
		if (!left)
			give(h, i, rc, list);
		else if (rc == 0)
			freeaddrinfo(list);
		pthread_mutex_unlock(&h->lock);
	}
	fault_point("resolved");
	pthread_mutex_lock(&h->lock);
	left = h->routes == NULL;
	if (!left)
		h->found(h->ctx);
	h->done = true;
	pthread_mutex_unlock(&h->lock);
	if (left)
		release(h);
	return NULL;
}

/* One that finds no memory is made the next time. */
static struct hosts *begin(struct route *routes, size_t n, void (*found)(void *ctx), void *ctx)
{
	struct hosts *h = calloc(1, sizeof *h + n * sizeof h->v[0]);
	if (h == NULL)
		return NULL;
	*h = (struct hosts){.routes = routes, .found = found, .ctx = ctx};
	pthread_mutex_init(&h->lock, NULL);
	for (size_t i = 0; i < n; i++) {
		if (!due(&routes[i]))
			continue;
		h->v[h->n].route = i;
		h->v[h->n].port = route_port(routes[i].cfg);
		snprintf(h->v[h->n++].host, sizeof h->v[0].host, "%s", routes[i].cfg->host);
	}
	return h;
}

/* Signals are for the main loop. */
static bool start(struct hosts *h)
{
	pthread_t t;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bool ok = pthread_create(&t, NULL, look_up, h) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ok)
		pthread_detach(t);
	return ok;
}

void hosts_keep(struct hosts **h, struct route *routes, size_t n, void (*found)(void *ctx), void *ctx)
{
	if (*h != NULL) {
		pthread_mutex_lock(&(*h)->lock);
		bool done = (*h)->done;
		pthread_mutex_unlock(&(*h)->lock);
		if (!done)
			return;
		hosts_leave(h);
	}
	size_t wanted = 0;
	for (size_t i = 0; i < n; i++)
		wanted += due(&routes[i]);
	if (wanted > 0 && (*h = begin(routes, n, found, ctx)) != NULL && !start(*h)) {
		release(*h);
		*h = NULL;
	}
}

void hosts_leave(struct hosts **h)
{
	if (*h == NULL)
		return;
	pthread_mutex_lock(&(*h)->lock);
	bool done = (*h)->done;
	(*h)->routes = NULL;
	pthread_mutex_unlock(&(*h)->lock);
	if (done)
		release(*h);
	*h = NULL;
}
