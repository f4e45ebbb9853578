#include "engine/worker_private.h"

#include "src/base/hash.h"
#include "src/base/log.h"

#include <stdlib.h>

static const ms_t IDLE = 10 * SECOND; /* an unused connection is closed after that */
enum { AHEAD = 2 };                   /* batches of outcomes that are not full */

static const ms_t UNHEARD = 30 * SECOND;

void run_unref(struct run *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	personal_free(&r->personal);
	free((void *)r->out);
	free(r->name);
	free(r);
}

void claim_batch_done(struct claim_batch *b)
{
	if (atomic_fetch_sub(&b->left, 1) != 1)
		return;
	run_unref(b->run);
	arena_release(&b->arena);
	free(b->claims.v);
	free(b);
}

struct outcome_batch *outcome_batch_new(struct worker *w)
{
	struct outcome_batch *b = malloc(sizeof *b);
	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->worker = w;
	b->n = 0;
	arena_init(&b->arena, 16 << 10, 16 << 20);
	return b;
}

void outcome_batch_free(struct outcome_batch *b)
{
	arena_release(&b->arena);
	free(b);
}

/* ---- The thread ---- */

void worker_flush(struct worker *w)
{
	if (w->done == NULL || w->done->n == 0)
		return;
	atomic_fetch_add(&w->with_ledger, 1);
	ledger_outcomes(w->ledger, w->done);
	w->done = NULL;
}

void worker_recorded(struct worker *w)
{
	atomic_fetch_sub(&w->with_ledger, 1);
	worker_wake(w);
}

static void take_claims(struct lane *l, struct claim_batch *b)
{
	ms_t now = clock_mono();
	for (struct claim_batch *next; b != NULL; b = next) {
		next = b->next;
		size_t n = b->claims.n; /* the batch may be gone after its last claim */
		lane_hold(l, l->outstanding + (int)n, 0);
		for (size_t c = 0; c < n; c++) {
			struct item it = {b, &b->claims.v[c], now};
			if (!lane_push(l, it, false))
				lane_give_back(l, &it, clock_now());
		}
	}
}

static struct lane *lane_of(struct hatch *h)
{
	return (struct lane *)((char *)h - offsetof(struct lane, hatch));
}

/* Looks through the hatches that have something new. */
static void take_told(struct worker *w)
{
	for (;;) {
		pthread_mutex_lock(&w->lock);
		struct hatch *h = w->told;
		struct claim_batch *b = NULL;
		struct site *site = NULL;
		bool closed = false;
		if (h != NULL) {
			w->told = h->next_told;
			h->told = false;
			b = h->given;
			h->given = NULL;
			site = h->site;
			h->site = NULL;
			closed = h->closed;
		}
		pthread_mutex_unlock(&w->lock);
		if (h == NULL)
			return;
		struct lane *l = lane_of(h);
		if (l->dest != NULL && !direct_told(l, site, closed))
			continue;
		lane_hold(l, l->outstanding - atomic_exchange(&h->acked, 0), l->asked);
		if (b != NULL) {
			ledger_answered(h);
			take_claims(l, b);
			if (l->dest != NULL)
				direct_unserved(l);
		}
		lane_pump(l);
	}
}

static void maybe_finish(struct worker *w)
{
	if (!atomic_load(&w->draining))
		return;
	take_told(w);
	bool busy = false;
	for (struct lane *l = w->lanes, *next; l != NULL; l = next) {
		next = l->next;
		lane_pump(l); /* gives back what it has */
		for (struct link *k = l->links; k != NULL; k = k->next) {
			if (k->leaving)
				continue;
			link_quit(k);
		}
		busy = busy || l->nlinks > 0 || l->count > 0;
	}
	if (!busy) {
		ev_break(w->loop, EVBREAK_ALL);
		return;
	}
	if (clock_mono() < atomic_load(&w->cut_at))
		return;
	w->cut = true;
	for (struct lane *l = w->lanes; l != NULL; l = l->next)
		for (struct link *k = l->links; k != NULL; k = k->next)
			smtp_conn_abort(k->conn);
}

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
	(void)loop, (void)revents;
	take_told(a->data);
	maybe_finish(a->data);
}

static void on_flush(struct ev_loop *loop, ev_prepare *p, int revents)
{
	(void)loop, (void)revents;
	struct worker *w = p->data;
	maybe_finish(w); /* the last connection may have closed */
	group_turn(w);
	/* While the ledger is busy with others, a batch may as well fill up. */
	if (atomic_load(&w->with_ledger) < AHEAD)
		worker_flush(w);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	lane_pump(t->data);
}

/* A server that was there before greets sooner; this connection leads to one that has died. */
static bool unheard(const struct lane *l, const struct link *k, ms_t now)
{
	return !k->established && !k->leaving && l->route->cfg->timeout == 0 &&
	       atomic_load(&l->route->ever_connected) != 0 && now - k->idle_since > UNHEARD;
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;
	ms_t now = clock_mono();
	(void)loop, (void)revents;
	for (size_t i = 0; i < w->o.nroutes; i++) {
		struct lane *l = w->by_route[i];
		if (l == NULL)
			continue;
		lane_give_back_stale(l, now);
		bool work = atomic_load(&l->route->work) > 0 || l->count > 0;
		int over = atomic_load(&l->route->connections) - route_connections(l->route);
		for (struct link *k = l->links; k != NULL; k = k->next) {
			if (unheard(l, k, now)) {
				smtp_conn_abort(k->conn);
				continue;
			}
			bool unused = !work && now - k->idle_since >= IDLE;
			if (!k->ready || k->under_way > 0 || (over <= 0 && !unused))
				continue;
			over--;
			link_quit(k);
		}
		lane_pump(l);
	}
	direct_tick(w, now);
	maybe_finish(w);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	ev_run(w->loop, 0);
	worker_flush(w);
	return NULL;
}

static void relay_free(struct lane *l)
{
	free(l->items);
	free(l);
}

static void worker_release(struct worker *w)
{
	/* The ledger has closed the hatches of all sites. */
	for (struct hatch *h = w->told, *next; h != NULL; h = next) {
		next = h->next_told;
		if (lane_of(h)->dest != NULL)
			direct_free(lane_of(h));
	}
	for (struct lane *l = w->lanes, *next; l != NULL; l = next) {
		next = l->next;
		relay_free(l);
	}
	groups_free(w);
	if (w->done != NULL)
		outcome_batch_free(w->done);
	for (struct job *j = w->free_jobs, *next; j != NULL; j = next) {
		next = j->next;
		arena_release(&j->arena);
		free(j);
	}
	if (w->loop != NULL)
		ev_loop_destroy(w->loop);
	token_signer_free(&w->signer);
	dkim_signer_free(&w->dkim);
	pthread_mutex_destroy(&w->lock);
	buf_release(&w->dialogue);
	free(w->by_route);
	free(w->usage);
	free(w);
}

/* This worker's part of what all have together. */
static int share_of(const struct worker *w, int total)
{
	int n = (int)w->o.nworkers;
	return total / n + ((int)w->o.index < total % n);
}

static struct lane *relay_lane(struct worker *w, size_t route)
{
	struct lane *l = calloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->hatch = (struct hatch){.worker = w, .route = route};
	l->w = w;
	l->route = &w->o.routes[route];
	l->share = share_of(w, l->route->cfg->connections);
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->timer.data = l;
	lane_list(l);
	return l;
}

int worker_start(struct worker **out, const struct worker_options *o, struct err *e)
{
	struct worker *w = calloc(1, sizeof *w);
	if (w == NULL)
		return err_set(e, ERR_INTERNAL, "worker", "out of memory");
	w->o = *o;
	buf_init(&w->dialogue, 16 << 10);
	pthread_mutex_init(&w->lock, NULL);
	w->loop = ev_loop_new(EVFLAG_AUTO);
	w->signer = token_signer_new(o->keys);
	w->dkim = dkim_signer_new(o->dkim);
	w->by_route = calloc(o->nroutes + 1, sizeof(struct lane *));
	w->usage = calloc(o->nroutes + 1, sizeof *w->usage);
	w->starved_end = &w->starved;
	w->most_descriptors = share_of(w, o->descriptors);
	random_bytes(&w->lot, sizeof w->lot);
	w->lot |= 1;
	bool ok = w->loop != NULL && w->signer != NULL && w->dkim != NULL && w->by_route != NULL &&
		  w->usage != NULL;
	for (size_t i = 0; ok && i < o->nroutes; i++)
		if (o->routes[i].cfg->kind == ROUTE_DIRECT)
			w->usage[i].share = share_of(w, o->routes[i].cfg->connections);
		else
			ok = (w->by_route[i] = relay_lane(w, i)) != NULL;
	if (!ok) {
		worker_release(w);
		return err_set(e, ERR_INTERNAL, "worker", "out of memory or file descriptors");
	}
	ev_async_init(&w->wake, on_wake);
	ev_prepare_init(&w->flush, on_flush);
	ev_timer_init(&w->tick, on_tick, 0.2, 0.2);
	w->wake.data = w->flush.data = w->tick.data = w;
	ev_async_start(w->loop, &w->wake);
	ev_prepare_start(w->loop, &w->flush);
	ev_timer_start(w->loop, &w->tick);
	*out = w;
	return 0;
}

int worker_attach(struct worker *w, struct ledger *l, struct err *e)
{
	w->ledger = l;
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
		w->ledger = NULL;
		return err_sys(e, ERR_INTERNAL, "worker", "thread");
	}
	return 0;
}

struct hatch *worker_hatch(struct worker *w, size_t route)
{
	return &w->by_route[route]->hatch;
}

static void tell(struct hatch *h)
{
	if (h->told)
		return;
	h->told = true;
	h->next_told = h->worker->told;
	h->worker->told = h;
}

void hatch_give(struct hatch *h, struct claim_batch *b)
{
	pthread_mutex_lock(&h->worker->lock);
	h->given = b; /* the ledger waits for ledger_answered() before it gives again */
	tell(h);
	pthread_mutex_unlock(&h->worker->lock);
}

void hatch_close(struct hatch *h)
{
	struct worker *w = h->worker;
	pthread_mutex_lock(&w->lock);
	h->closed = true;
	tell(h);
	pthread_mutex_unlock(&w->lock); /* from here on it may be gone */
	worker_wake(w);
}

void hatch_site(struct hatch *h, struct site *s)
{
	pthread_mutex_lock(&h->worker->lock);
	site_unref(&h->site);
	h->site = site_ref(s);
	tell(h);
	pthread_mutex_unlock(&h->worker->lock);
}

void hatch_tell(struct hatch *h)
{
	pthread_mutex_lock(&h->worker->lock);
	tell(h);
	pthread_mutex_unlock(&h->worker->lock);
}

void hatch_ack(struct hatch *h, int n)
{
	atomic_fetch_add(&h->acked, n);
	hatch_tell(h);
}

void worker_wake(struct worker *w)
{
	ev_async_send(w->loop, &w->wake);
}

void worker_drain(struct worker *w, ms_t grace)
{
	atomic_store(&w->cut_at, clock_mono() + grace);
	atomic_store(&w->draining, true);
	worker_wake(w);
}

void worker_join(struct worker *w)
{
	if (w == NULL || w->ledger == NULL)
		return;
	if (!atomic_load(&w->draining))
		worker_drain(w, 0);
	pthread_join(w->thread, NULL);
	w->ledger = NULL;
}

void worker_stop(struct worker **wp)
{
	struct worker *w = *wp;
	if (w == NULL)
		return;
	worker_join(w);
	worker_release(w);
	*wp = NULL;
}
