#include "engine/ledger_private.h"

#include "engine/route_book.h"
#include "engine/schedule.h"
#include "src/base/log.h"
#include "src/db/lease.h"

#include <stdio.h>
#include <stdlib.h>

enum { DRAIN_WAIT = 5 }; /* seconds for the last turn that claims */

static const ms_t BUSY = 50 * SECOND; /* below the age at which a lease without heartbeat is taken over */
static const ms_t TICK = 200;         /* the longest sleep while a campaign runs */

/* ---- What the other threads call ---- */

void ledger_wake(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	l->posted = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

bool ledger_want(struct ledger *l, struct hatch *h, int n)
{
	int old = atomic_load(&h->want);
	/* While an answer is on its way the worker does not yet know what it has. */
	while (old != HATCH_ANSWERING)
		if (atomic_compare_exchange_weak(&h->want, &old, n)) {
			if (old == 0 && n > 0 && h->crowd != NULL)
				ledger_hungry(l, h);
			else if (old == 0 && n > 0)
				ledger_wake(l);
			return true;
		}
	return false;
}

void ledger_answered(struct hatch *h)
{
	int answering = HATCH_ANSWERING;
	atomic_compare_exchange_strong(&h->want, &answering, 0);
}

void ledger_outcomes(struct ledger *l, struct outcome_batch *b)
{
	b->next = NULL;
	pthread_mutex_lock(&l->lock);
	*l->done_end = b;
	l->done_end = &b->next;
	l->posted = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void ledger_pause(struct ledger *l, size_t route, int64_t campaign, struct str why, const char *text)
{
	struct pause_request *p = calloc(1, sizeof *p);
	if (p == NULL)
		return;
	p->route = route;
	p->campaign = campaign;
	snprintf(p->why, sizeof p->why, "%.*s", STR_ARG(why));
	snprintf(p->text, sizeof p->text, "%s", text);
	pthread_mutex_lock(&l->lock);
	p->next = l->pauses;
	l->pauses = p;
	l->posted = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void ledger_unreached(struct ledger *l, struct hatch *h, const struct unreached *u)
{
	struct unreached_request *r = calloc(1, sizeof *r);
	if (r == NULL) {
		free(u->said);
		return;
	}
	r->hatch = h;
	r->u = *u;
	pthread_mutex_lock(&l->lock);
	r->next = l->unreached;
	l->unreached = r;
	l->posted = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void ledger_lost(struct ledger *l)
{
	atomic_store(&l->lost, true);
	ledger_wake(l);
}

bool ledger_failed(struct ledger *l, struct err *e)
{
	if (!atomic_load(&l->failed))
		return false;
	if (e != NULL)
		*e = l->err;
	return true;
}

static void fail(struct ledger *l, const struct err *e)
{
	if (atomic_load(&l->failed))
		return;
	l->err = *e;
	atomic_store(&l->failed, true);
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->run != NULL)
			atomic_store(&l->watches[i]->run->halted, true);
	if (l->o.woken != NULL)
		l->o.woken(l->o.ctx);
}

/* ---- The thread ---- */

static bool anything_wanted(struct ledger *l, ms_t now)
{
	if (schedule_quiet(l->o.config, now) != 0)
		return false;
	if (spread_wanted(l, now))
		return true;
	for (size_t r = 0; r < l->o.nroutes; r++) {
		bool can = false, full = atomic_load(&l->o.routes[r].window_until) > now;
		if (l->o.routes[r].cfg->kind == ROUTE_DIRECT)
			continue;
		can = !full && relay_waiting(l, r) > 0;
		for (size_t i = 0; i < l->nwatches && !can && !full; i++)
			can = watch_eligible(l, l->watches[i], r, now);
		for (size_t k = 0; can && k < l->o.nworkers; k++)
			if (atomic_load(&worker_hatch(l->o.workers[k], r)->want) > 0)
				return true;
	}
	return false;
}

static void take_unreached(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	struct unreached_request *r = l->unreached;
	l->unreached = NULL;
	pthread_mutex_unlock(&l->lock);
	for (struct unreached_request *next; r != NULL; r = next) {
		next = r->next;
		window_unreached(l, r->hatch->crowd, &r->u);
		free(r);
	}
}

static int ledger_turn(struct ledger *l, struct outcome_batch **done, struct pause_request *pauses,
	bool draining, struct err *e)
{
	ms_t now = clock_now();
	ledger_look_at_routes(l, now);
	if (pauses != NULL && ledger_pause_asked(l, pauses, e) != 0)
		return -1;
	int64_t version = store_data_version(l->store);
	if (version != l->version || l->renewed == 0) {
		l->version = version;
		if (ledger_reload(l, e) != 0)
			return -1;
	}
	take_unreached(l);
	bool claims = !draining && anything_wanted(l, now);
	if ((*done != NULL || claims) && ledger_transact(l, done, claims, now, e) != 0)
		return -1;
	if (ledger_holds_tell(l, now, e) != 0 || ledger_brakes(l, now, e) != 0)
		return -1;
	if (!draining) {
		for (size_t i = 0; i < l->nwatches; i++)
			if (watch_turn(l, l->watches[i], now, e) != 0)
				return -1;
		ledger_publish_work(l, now);
	}
	if (clock_mono() - l->renewed >= SECOND) {
		l->renewed = clock_mono();
		if (ledger_every_second(l, now, e) != 0)
			return -1;
	}
	return 0;
}

static void wait_for_work(struct ledger *l, ms_t longest)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += longest * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!l->posted && !l->stopping && longest > 0)
		if (pthread_cond_timedwait(&l->cond, &l->lock, &until) != 0)
			break;
	l->posted = false;
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;
	struct err e = {0};
	for (;;) {
		/* Where claims wait for the rate, look again soon; else until something is posted. */
		ms_t longest = ledger_preparing(l) != NULL        ? 0
			       : !anything_wanted(l, clock_now()) ? TICK
			       : l->starved                       ? 20
								  : 0;
		pthread_mutex_lock(&l->lock);
		wait_for_work(l, longest);
		struct outcome_batch *done = l->done;
		struct pause_request *pauses = l->pauses;
		bool draining = l->draining, stopping = l->stopping;
		l->done = NULL;
		l->done_end = &l->done;
		l->pauses = NULL;
		pthread_mutex_unlock(&l->lock);
		bool idle = done == NULL;
		if (!atomic_load(&l->failed) && ledger_turn(l, &done, pauses, draining, &e) != 0)
			fail(l, &e);
		if (atomic_load(&l->lost) && !atomic_load(&l->failed)) {
			err_set(&e, ERR_INTERNAL, "delivery",
				"out of memory: an outcome could not be recorded");
			fail(l, &e);
		}
		/* What could not be recorded stays as intents. */
		for (struct outcome_batch *b = done, *next; b != NULL; b = next) {
			next = b->next;
			outcome_batch_free(b);
		}
		pthread_mutex_lock(&l->lock);
		l->turns++;
		pthread_cond_broadcast(&l->turned);
		pthread_mutex_unlock(&l->lock);
		if (!stopping || !idle)
			continue;
		if (!atomic_load(&l->failed) && ledger_keep_brakes(l, clock_now(), &e) != 0)
			fail(l, &e);
		return NULL;
	}
}

static void on_answered(void *ctx, size_t n)
{
	struct ledger *l = ctx;
	atomic_fetch_add(&l->window.answered, n);
	ledger_wake(l);
}

static int open_books(struct ledger *l, struct err *e)
{
	l->books = calloc(l->o.nroutes + 1, sizeof(struct sites *));
	if (l->books == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	for (size_t i = 0; i < l->o.nroutes; i++) {
		const struct route *r = &l->o.routes[i];
		if (r->cfg->kind != ROUTE_DIRECT)
			continue;
		struct sites_options so = {
			.max = 2 * WINDOW, .store = l->o.store, .answered = on_answered, .ctx = l};
		if (route_book(&l->books[i], l->o.config, r, &so, e) != 0)
			return -1;
	}
	return 0;
}

int ledger_start(struct ledger **out, const struct ledger_options *o, struct err *e)
{
	struct ledger *l = calloc(1, sizeof *l);
	if (l == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	l->o = *o;
	l->done_end = &l->done;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &attr);
	pthread_cond_init(&l->turned, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
	l->window.relays = calloc(o->nroutes + 1, sizeof(struct crowd *));
	l->usable = calloc(o->nroutes + 1, sizeof *l->usable);
	l->picking = calloc(o->nroutes + 1, sizeof *l->picking);
	if (l->usable == NULL || l->picking == NULL || l->window.relays == NULL) {
		err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		goto bad;
	}
	/* Somebody else may hold the database for long (a person in a shell, a copy): as long as the lease is
	 * good, wait. */
	struct store_config sc = *o->store;
	sc.busy = BUSY;
	window_init(&l->window);
	l->paces = calloc(o->nroutes + 1, sizeof *l->paces);
	if (l->paces == NULL) {
		err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		goto bad;
	}
	if (store_open(&l->store, STORE_WRITE, &sc, e) != 0 ||
		source_book_new(&l->sources, o->config, l->store, e) != 0 || ledger_holds_load(l, e) != 0 ||
		open_books(l, e) != 0)
		goto bad;
	if (pthread_create(&l->thread, NULL, ledger_main, l) != 0) {
		err_sys(e, ERR_INTERNAL, "ledger", "thread");
		goto bad;
	}
	*out = l;
	return 0;
bad:
	free(l->paces);
	ledger_holds_free(l);
	window_release(l);
	store_close(&l->store);
	free(l->usable);
	free(l->picking);
	source_book_free(&l->sources);
	free(l);
	return -1;
}

void ledger_drain(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	l->draining = true;
	l->posted = true;
	pthread_cond_signal(&l->cond);
	/* The turn that is under way may still claim; the one after it does not. */
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += DRAIN_WAIT;
	for (unsigned long turn = l->turns; l->turns < turn + 2;) {
		l->posted = true;
		pthread_cond_signal(&l->cond);
		if (pthread_cond_timedwait(&l->turned, &l->lock, &until) != 0)
			break;
	}
	pthread_mutex_unlock(&l->lock);
}

int ledger_stop(struct ledger **lp, struct err *e)
{
	struct ledger *l = *lp;
	if (l == NULL)
		return 0;
	pthread_mutex_lock(&l->lock);
	l->draining = l->stopping = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	int rc = 0;
	if (atomic_load(&l->failed)) {
		if (e != NULL)
			*e = l->err;
		rc = -1;
	} else {
		rc = store_lease_release(l->store, l->o.epoch, e);
	}
	window_release(l);
	for (size_t i = 0; i < l->nwatches; i++)
		watch_free(l->watches[i]);
	free(l->watches);
	free(l->paces);
	ledger_holds_free(l);
	for (struct unreached_request *r = l->unreached, *next; r != NULL; r = next) {
		next = r->next;
		free(r->u.said);
		free(r);
	}
	store_close(&l->store);
	pthread_cond_destroy(&l->cond);
	pthread_cond_destroy(&l->turned);
	pthread_mutex_destroy(&l->lock);
	free(l->usable);
	free(l->picking);
	source_book_free(&l->sources);
	free(l);
	*lp = NULL;
	return rc;
}
