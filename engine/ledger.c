#include "engine/pipeline.h"

#include "engine/schedule.h"
#include "lists/segment.h"
#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	PREPARE_SLICE = 5000, /* contacts looked at between two commits while an audience is fixed */
	CLAIM_SLICE = 1000,   /* claims of one transaction for one campaign */
	DRAIN_WAIT = 5,       /* seconds for the last turn that claims */
	ANSWERING = -1,       /* in a cell of `want`: claimed for it, not yet taken over by the worker */
};

static const ms_t TICK = 200;                  /* the longest sleep while a campaign runs */
static const ms_t RATE_AHEAD_US = 250 * 1000;  /* claims are made so long before the rate lets them go */
static const ms_t MISSED = HOUR;               /* a start that lies further back waits for a person */

struct watch { /* a campaign as the ledger sees it */
	struct run *run;      /* NULL while it is not (yet) running */
	int64_t id;
	enum campaign_state state;
	size_t route;
	ms_t start_at, until;
	double rate;
	int64_t canary;
	bool doubt_final;
	char *audience;
	int64_t in_flight;    /* claimed by us, without a recorded outcome */
	ms_t next_due;        /* 0: none waits */
	bool look;            /* something may be claimable */
	bool seen;            /* by the last reload */
	int64_t fresh;
	unsigned long counted[8]; /* accepted, each second: the rate shown */
};

struct pause_request {
	struct pause_request *next;
	size_t route;
	int64_t campaign;
	char why[24], text[400];
};

struct ledger {
	struct ledger_options o;
	pthread_t thread;
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool posted, draining, stopping; /* under lock */
	unsigned long turns;             /* under lock: finished ones */
	pthread_cond_t turned;
	struct outcome_batch *done, **done_end;
	struct pause_request *pauses;
	_Atomic int *want;    /* [worker][route] */
	_Atomic bool failed;
	struct err err;       /* written before failed is set */
	/* the thread's own: */
	struct watch **watches;
	size_t nwatches, cap;
	int64_t version;      /* of the store, as last read */
	ms_t renewed;
	unsigned turn;        /* which campaign is asked first */
	unsigned second;
	bool starved;         /* the last claims were wanted, and the limits let none through */
};

/* ---- What the other threads call ---- */

void ledger_wake(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	l->posted = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void ledger_want(struct ledger *l, size_t worker, size_t route, int n)
{
	_Atomic int *w = &l->want[worker * l->o.nroutes + route];
	int old = atomic_load(w);
	/* While an answer is on its way the worker does not yet know what it has. */
	while (old != ANSWERING)
		if (atomic_compare_exchange_weak(w, &old, n)) {
			if (old == 0 && n > 0)
				ledger_wake(l);
			return;
		}
}

void ledger_answered(struct ledger *l, size_t worker, size_t route)
{
	int answering = ANSWERING;
	atomic_compare_exchange_strong(&l->want[worker * l->o.nroutes + route], &answering, 0);
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

bool ledger_failed(struct ledger *l, struct err *e)
{
	if (!atomic_load(&l->failed))
		return false;
	if (e != NULL)
		*e = l->err;
	return true;
}

/* ---- Campaigns ---- */

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

static struct watch *find_watch(struct ledger *l, int64_t id)
{
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->id == id)
			return l->watches[i];
	return NULL;
}

static size_t find_route(const struct ledger *l, struct str name)
{
	for (size_t i = 0; i < l->o.nroutes; i++)
		if (name.n == 0 || str_is(name, l->o.routes[i].cfg->name))
			return i;
	return l->o.nroutes;
}

static void watch_free(struct watch *w)
{
	if (w->run != NULL) {
		atomic_store(&w->run->halted, true);
		run_unref(w->run);
	}
	free(w->audience);
	free(w);
}

/* Compiles what the campaign froze when it was launched. */
static int watch_load(struct ledger *l, struct watch *w, const struct campaign_row *c, struct err *e)
{
	struct run *r = calloc(1, sizeof *r);
	if (r == NULL)
		return err_set(e, ERR_INTERNAL, "campaign", "out of memory");
	atomic_init(&r->refs, 1);
	r->id = c->id;
	r->name = strndup(c->name.p, c->name.n);
	r->route = w->route;
	limiter_set(&r->rate, c->rate);
	atomic_store(&r->paused_ms, c->paused_ms);
	if (r->name == NULL || personal_load(&r->personal, c, l->o.config, l->store, e) != 0) {
		free(r->name);
		free(r);
		return -1;
	}
	w->run = r;
	return 0;
}

static int pause_campaign(struct ledger *l, struct watch *w, const char *why, const char *text, struct err *e)
{
	if (w->run != NULL)
		atomic_store(&w->run->halted, true);
	w->state = CAMPAIGN_PAUSED;
	log_warn("campaign %lld paused (%s): %s", (long long)w->id, why, text);
	return store_campaign_pause(l->store, w->id, str_from(why), str_from(text), clock_now(), e);
}

static int take_campaign(void *ctx, const struct campaign_row *c)
{
	struct ledger *l = ctx;
	struct watch *w = find_watch(l, c->id);
	if (w == NULL) {
		if (l->nwatches == l->cap) {
			size_t cap = l->cap == 0 ? 16 : l->cap * 2;
			struct watch **v = realloc(l->watches, cap * sizeof(struct watch *));
			if (v == NULL)
				return 1;
			l->watches = v;
			l->cap = cap;
		}
		w = calloc(1, sizeof *w);
		if (w == NULL || (w->audience = strndup(c->audience.p, c->audience.n)) == NULL) {
			free(w);
			return 1;
		}
		w->id = c->id;
		l->watches[l->nwatches++] = w;
	}
	w->seen = true;
	w->look = true;
	w->state = c->state;
	w->route = find_route(l, c->route);
	w->start_at = c->start_at;
	w->until = c->until;
	w->canary = c->canary;
	w->doubt_final = c->doubt_final;
	w->rate = c->rate;
	if (w->run != NULL) {
		limiter_set(&w->run->rate, c->rate);
		atomic_store(&w->run->paused_ms, c->paused_ms);
		atomic_store(&w->run->halted, c->state != CAMPAIGN_RUNNING && c->state != CAMPAIGN_WAITING);
	}
	return 0;
}

static bool delivering(const struct watch *w)
{
	return w->state == CAMPAIGN_RUNNING || w->state == CAMPAIGN_WAITING;
}

/* What is running may have been changed by other processes: launched, paused, resumed, cancelled. */
static int reload(struct ledger *l, struct err *e)
{
	for (size_t i = 0; i < l->nwatches; i++)
		l->watches[i]->seen = false;
	int rc = store_campaigns(l->store, true, take_campaign, l, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	for (size_t i = 0; i < l->nwatches;) {
		struct watch *w = l->watches[i];
		if (w->seen) {
			i++;
			continue;
		}
		if (w->run != NULL)
			atomic_store(&w->run->halted, true);
		if (w->in_flight > 0) { /* its last outcomes still come */
			w->state = CAMPAIGN_CANCELLED;
			i++;
			continue;
		}
		watch_free(w);
		l->watches[i] = l->watches[--l->nwatches];
	}
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		if (!delivering(w))
			continue;
		if (w->route == l->o.nroutes) {
			if (pause_campaign(l, w, "route", "its route is not in the configuration", e) != 0)
				return -1;
			continue;
		}
		struct campaign_row c;
		struct campaign_counts n;
		struct err why = {0};
		if (store_campaign_counts(l->store, w->id, true, &n, e) != 0 || (w->next_due = store_ledger_next_due(l->store, w->id, e)) < 0)
			return -1;
		w->fresh = n.fresh;
		if (w->run == NULL && (store_campaign_by_id(l->store, w->id, &c, &why) != 0 || watch_load(l, w, &c, &why) != 0)) {
			char text[600];
			snprintf(text, sizeof text, "%s: %s", why.what, why.why);
			if (pause_campaign(l, w, "template", text, e) != 0)
				return -1;
		}
	}
	return 0;
}

/* A name in the audience that is gone (a list deleted meanwhile) must not widen it. */
static int prepare(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct arena a;
	struct audience_spec spec;
	struct audience audience;
	struct err why = {0};
	bool done = false;
	int rc = -1;
	arena_init(&a, 4096, 16 << 20);
	if (audience_from_text(str_from(w->audience), &a, &spec, &why) != 0 ||
		audience_resolve(&spec, l->store, l->o.config->zone, (uint64_t)w->id, &a, &audience, &why) != 0) {
		char text[600];
		snprintf(text, sizeof text, "its audience cannot be made: %s: %s", why.what, why.why);
		rc = pause_campaign(l, w, "template", text, e);
		goto out;
	}
	if (store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		goto out;
	if (store_ledger_prepare(l->store, w->id, &audience, PREPARE_SLICE, now, &done, e) != 0) {
		store_ledger_rollback(l->store);
		goto out;
	}
	rc = store_ledger_commit(l->store, e);
	if (rc == 0 && done)
		rc = reload(l, e);
out:
	arena_release(&a);
	return rc;
}

/* ---- One transaction ---- */

static int record(struct ledger *l, struct outcome_batch *done, struct err *e)
{
	for (struct outcome_batch *b = done; b != NULL; b = b->next)
		if (store_ledger_record(l->store, b->rows, b->n, e) != 0)
			return -1;
	return 0;
}

static void after_record(struct ledger *l, struct outcome_batch *done)
{
	for (struct outcome_batch *b = done, *next; b != NULL; b = next) {
		next = b->next;
		for (size_t i = 0; i < b->n; i++) {
			const struct outcome_row *r = &b->rows[i];
			struct watch *w = find_watch(l, DELIVERY_CAMPAIGN(r->delivery));
			if (w == NULL)
				continue;
			w->in_flight--;
			if (r->kind != OUTCOME_FINAL && r->due != 0 && (w->next_due == 0 || r->due < w->next_due))
				w->next_due = r->due;
			w->look = true;
		}
		worker_ack(b->worker, b->route, b->n);
		worker_wake(b->worker);
		outcome_batch_free(b);
	}
}

struct handover { /* claims made in this transaction, given out after its commit */
	struct claim_batch *batch;
	size_t worker, route;
};

/* How many more the route's even rate and its windows let out now. */
static int64_t route_room(struct ledger *l, size_t route, ms_t now)
{
	struct route *r = &l->o.routes[route];
	const struct rate_spec *s = &r->cfg->rate;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	int64_t room = limiter_room(&r->rate, us, us + RATE_AHEAD_US);
	if (room != INT64_MAX)
		room -= atomic_load(&r->in_hand);
	ms_t until = 0;
	const struct { int64_t most; ms_t span; } windows[] = {{s->per_hour, HOUR}, {s->per_day, DAY}};
	for (size_t i = 0; i < 2; i++) {
		if (windows[i].most == 0)
			continue;
		struct err e = {0};
		int64_t used = store_ledger_usage(l->store, str_from(r->cfg->name), now - windows[i].span, &e);
		int64_t left = used < 0 ? 0 : windows[i].most - used;
		if (left <= 0)
			until = now + MINUTE - now % MINUTE;
		if (left < room)
			room = left;
	}
	atomic_store(&r->window_until, room <= 0 ? until : 0);
	return room;
}

static struct claim_batch *batch_new(struct watch *w)
{
	struct claim_batch *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	arena_init(&b->arena, 64 << 10, 256 << 20);
	b->claims.arena = &b->arena;
	b->run = w->run;
	atomic_fetch_add(&w->run->refs, 1);
	atomic_init(&b->left, 1); /* ours, until it is handed over */
	return b;
}

/* Claims for one campaign: what is due first, but half the room stays for those never tried. */
static int claim(struct ledger *l, struct watch *w, int max, ms_t now, struct claim_batch *b, struct err *e)
{
	struct str route = str_from(l->o.routes[w->route].cfg->name);
	int got = 0;
	if (w->next_due != 0 && w->next_due <= now) {
		int n = store_ledger_claim(l->store, w->id, CLAIM_DUE, route, w->fresh > 0 ? (max + 1) / 2 : max, now, &b->claims, e);
		if (n < 0)
			return -1;
		got += n;
		w->next_due = store_ledger_next_due(l->store, w->id, e);
		if (w->next_due < 0)
			return -1;
	}
	if (got < max) {
		int n = store_ledger_claim(l->store, w->id, CLAIM_FRESH, route, max - got, now, &b->claims, e);
		if (n < 0)
			return -1;
		got += n;
		w->fresh -= n;
		if (n == 0 && (w->next_due == 0 || w->next_due > now))
			w->look = false;
	}
	return got;
}

static bool eligible(const struct watch *w, size_t route, ms_t now)
{
	return delivering(w) && w->run != NULL && w->route == route && (w->look || (w->next_due != 0 && w->next_due <= now));
}

/* Fills one worker's wish from the route's campaigns by turns. */
static int claim_for(struct ledger *l, size_t worker, size_t route, int want, ms_t now, struct handover **out, size_t *n,
	size_t *cap, struct err *e)
{
	size_t sharing = 0;
	for (size_t i = 0; i < l->nwatches; i++)
		sharing += eligible(l->watches[i], route, now);
	for (size_t i = 0; i < l->nwatches && want > 0 && sharing > 0; i++) {
		struct watch *w = l->watches[(i + l->turn) % l->nwatches];
		if (!eligible(w, route, now))
			continue;
		int max = (want + (int)sharing - 1) / (int)sharing;
		sharing--;
		struct timespec t;
		clock_gettime(CLOCK_MONOTONIC, &t);
		int64_t us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
		int64_t room = limiter_room(&w->run->rate, us, us + RATE_AHEAD_US);
		if (room != INT64_MAX)
			room -= w->in_flight;
		if (room < max)
			max = room < 0 ? 0 : (int)room;
		if (max > CLAIM_SLICE)
			max = CLAIM_SLICE;
		if (max == 0)
			continue;
		if (*n == *cap) {
			size_t more = *cap == 0 ? 32 : *cap * 2;
			struct handover *v = realloc(*out, more * sizeof *v);
			if (v == NULL)
				return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
			*out = v;
			*cap = more;
		}
		struct claim_batch *b = batch_new(w);
		if (b == NULL)
			return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		(*out)[(*n)++] = (struct handover){b, worker, route};
		int got = claim(l, w, max, now, b, e);
		if (got < 0)
			return -1;
		want -= got;
	}
	return want;
}

static int claim_all(struct ledger *l, ms_t now, struct handover **out, size_t *n, size_t *cap, struct err *e)
{
	l->turn++;
	for (size_t route = 0; route < l->o.nroutes; route++) {
		int64_t room = -1;
		for (size_t k = 0; k < l->o.nworkers; k++) {
			size_t worker = (k + l->turn) % l->o.nworkers;
			_Atomic int *cell = &l->want[worker * l->o.nroutes + route];
			int want = atomic_load(cell);
			if (want <= 0)
				continue;
			if (room < 0)
				room = route_room(l, route, now);
			int most = room < want ? (room < 0 ? 0 : (int)room) : want;
			if (most <= 0)
				break;
			if (!atomic_compare_exchange_strong(cell, &want, ANSWERING))
				continue;
			int left = claim_for(l, worker, route, most, now, out, n, cap, e);
			if (left < 0 || left == most)
				atomic_store(cell, want);
			if (left < 0)
				return -1;
			if (room != INT64_MAX)
				room -= most - left;
		}
	}
	return 0;
}

/* Everything for one worker and route is handed over at once: it then asks for more. */
static void hand_over(struct ledger *l, struct handover *h, size_t n, bool committed)
{
	for (size_t i = 0; i < n;) {
		size_t worker = h[i].worker, route = h[i].route;
		struct claim_batch *first = NULL, **last = &first;
		for (; i < n && h[i].worker == worker && h[i].route == route; i++) {
			struct claim_batch *b = h[i].batch;
			size_t count = committed ? b->claims.n : 0;
			if (count == 0) {
				claim_batch_done(b);
				continue;
			}
			struct watch *w = find_watch(l, b->run->id);
			if (w != NULL)
				w->in_flight += (int64_t)count;
			atomic_store(&b->left, (int)count);
			atomic_fetch_add(&l->o.routes[route].in_hand, (int64_t)count);
			*last = b;
			last = &b->next;
		}
		if (first == NULL) {
			ledger_answered(l, worker, route);
			continue;
		}
		worker_give(l->o.workers[worker], route, first);
		worker_wake(l->o.workers[worker]);
	}
}

static int transact(struct ledger *l, struct outcome_batch **done, bool claims, ms_t now, struct err *e)
{
	struct handover *h = NULL;
	size_t n = 0, cap = 0;
	int rc = store_ledger_begin(l->store, l->o.epoch, now, e);
	if (rc == 0) {
		rc = record(l, *done, e);
		if (rc == 0 && claims)
			rc = claim_all(l, now, &h, &n, &cap, e);
		if (rc == 0)
			rc = store_ledger_commit(l->store, e);
		else
			store_ledger_rollback(l->store);
	}
	l->starved = claims;
	for (size_t i = 0; i < n; i++)
		l->starved = l->starved && h[i].batch->claims.n == 0;
	hand_over(l, h, n, rc == 0);
	free(h);
	if (rc == 0) {
		after_record(l, *done);
		*done = NULL;
	}
	return rc;
}

/* ---- Every so often ---- */

static int set_state(struct ledger *l, struct watch *w, enum campaign_state state, const char *why, const char *text, ms_t now,
	struct err *e)
{
	if (store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		return -1;
	if (store_ledger_set_state(l->store, w->id, state, str_from(why), str_from(text), now, e) != 0) {
		store_ledger_rollback(l->store);
		return -1;
	}
	if (store_ledger_commit(l->store, e) != 0)
		return -1;
	w->state = state;
	if (w->run != NULL)
		atomic_store(&w->run->halted, !delivering(w));
	if (l->o.woken != NULL)
		l->o.woken(l->o.ctx);
	return 0;
}

/* Nothing can be claimed now and nothing is under way: is it over, or does it wait? */
static int settle(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct campaign_counts c;
	if (store_campaign_counts(l->store, w->id, true, &c, e) != 0)
		return -1;
	w->fresh = c.fresh;
	if (c.state[DELIVERY_SENDING] > 0)
		return 0;
	if (w->canary > 0 && c.fresh > 0)
		return set_state(l, w, CAMPAIGN_PAUSED, "canary", "the first ones have been sent to; look at the report, then resume", now, e);
	if (c.fresh > 0) {
		w->look = true;
		return 0;
	}
	int64_t waiting = c.state[DELIVERY_QUEUED] + c.state[DELIVERY_DEFERRED] + c.resend_due;
	if (waiting > 0) {
		w->next_due = store_ledger_next_due(l->store, w->id, e);
		if (w->next_due < 0)
			return -1;
		return w->state == CAMPAIGN_WAITING ? 0 : set_state(l, w, CAMPAIGN_WAITING, "", "", now, e);
	}
	if (c.state[DELIVERY_DOUBT] > 0 && l->o.config->doubt == DOUBT_HOLD && !w->doubt_final)
		return set_state(l, w, CAMPAIGN_PAUSED, "doubt", "some may or may not have arrived: resume with --doubt=resend or --doubt=skip", now, e);
	return set_state(l, w, CAMPAIGN_FINISHED, "", "", now, e);
}

static int start_scheduled(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	if (w->start_at > now)
		return 0;
	if (now - w->start_at > MISSED)
		return set_state(l, w, CAMPAIGN_PAUSED, "missed", "its start was missed by more than an hour: resume it, or cancel it", now, e);
	return set_state(l, w, CAMPAIGN_PREPARING, "", "", now, e);
}

/* One after the other: the store keeps the place in one walk. */
static const struct watch *first_preparing(const struct ledger *l)
{
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->state == CAMPAIGN_PREPARING)
			return l->watches[i];
	return NULL;
}

static int turn_campaign(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	if (w->until != 0 && now >= w->until && (delivering(w) || w->state == CAMPAIGN_SCHEDULED || w->state == CAMPAIGN_PREPARING)) {
		log_warn("campaign %lld: its --until has passed, the rest is cancelled", (long long)w->id);
		return store_campaign_cancel(l->store, w->id, now, e);
	}
	if (w->state == CAMPAIGN_SCHEDULED)
		return start_scheduled(l, w, now, e);
	if (w->state == CAMPAIGN_PREPARING)
		return first_preparing(l) == w ? prepare(l, w, now, e) : 0;
	if (!delivering(w) || w->run == NULL)
		return 0;
	if (w->state == CAMPAIGN_WAITING && w->next_due != 0 && w->next_due <= now && set_state(l, w, CAMPAIGN_RUNNING, "", "", now, e) != 0)
		return -1;
	bool due = w->next_due != 0 && w->next_due <= now;
	bool quiet = w->in_flight == 0 && !due && (w->fresh <= 0 || !w->look);
	/* A waiting one is over when its last retry has been answered. */
	if (quiet && (w->state == CAMPAIGN_RUNNING || w->next_due == 0))
		return settle(l, w, now, e);
	return 0;
}

static int pause_asked(struct ledger *l, struct pause_request *p, struct err *e)
{
	int rc = 0;
	for (struct pause_request *next; p != NULL; p = next) {
		next = p->next;
		for (size_t i = 0; rc == 0 && i < l->nwatches; i++) {
			struct watch *w = l->watches[i];
			if (delivering(w) && w->route == p->route && (p->campaign == 0 || p->campaign == w->id))
				rc = pause_campaign(l, w, p->why, p->text, e);
		}
		free(p);
	}
	if (l->o.woken != NULL)
		l->o.woken(l->o.ctx);
	return rc;
}

static void publish_work(struct ledger *l, ms_t now)
{
	bool quiet = schedule_quiet(l->o.config, now) != 0;
	for (size_t r = 0; r < l->o.nroutes; r++) {
		int64_t work = 0;
		for (size_t i = 0; i < l->nwatches && !quiet; i++)
			if (eligible(l->watches[i], r, now))
				work += l->watches[i]->fresh > 0 ? l->watches[i]->fresh : 1;
		int64_t old = atomic_exchange(&l->o.routes[r].work, work);
		if (old == 0 && work > 0)
			for (size_t k = 0; k < l->o.nworkers; k++)
				worker_wake(l->o.workers[k]);
	}
}

static int publish_live(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct live live = {.at = now, .next_attempt = w->next_due};
	struct route *r = &l->o.routes[w->route];
	unsigned long total = atomic_load(&w->run->accepted);
	unsigned span = l->second < 7 ? l->second : 7;
	live.rate = span == 0 ? 0 : (double)(total - w->counted[(l->second - span) % 8]) / span;
	w->counted[l->second % 8] = total;
	live.connections = atomic_load(&r->connections);
	ms_t quiet = schedule_quiet(l->o.config, now);
	char when[CLOCK_TEXT];
	if (quiet != 0)
		snprintf(live.limit, sizeof live.limit, "quiet hours until %s", clock_iso(l->o.config->zone, quiet, when));
	else if (w->state == CAMPAIGN_RUNNING)
		route_limit_text(r, l->o.config->zone, now, live.limit, sizeof live.limit);
	if (live.limit[0] == '\0' && w->rate > 0 && w->state == CAMPAIGN_RUNNING)
		snprintf(live.limit, sizeof live.limit, "--rate %g/s", w->rate);
	if (live.rate > 0 && w->fresh > 0)
		live.eta = now + (ms_t)((double)w->fresh / live.rate * 1000);
	return store_ledger_set_live(l->store, w->id, &live, e);
}

static int every_second(struct ledger *l, ms_t now, struct err *e)
{
	if (store_lease_renew(l->store, l->o.epoch, now, e) != 0 || store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		return -1;
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		if (w->run == NULL || w->route == l->o.nroutes)
			continue;
		if (publish_live(l, w, now, e) != 0) {
			store_ledger_rollback(l->store);
			return -1;
		}
	}
	l->second++;
	for (size_t r = 0; r < l->o.nroutes; r++)
		atomic_store(&l->o.routes[r].bind, BIND_NONE);
	return store_ledger_commit(l->store, e);
}

/* ---- The thread ---- */

static bool anything_wanted(struct ledger *l, ms_t now)
{
	if (schedule_quiet(l->o.config, now) != 0)
		return false;
	for (size_t r = 0; r < l->o.nroutes; r++) {
		bool can = false;
		for (size_t i = 0; i < l->nwatches && !can; i++)
			can = eligible(l->watches[i], r, now);
		for (size_t k = 0; can && k < l->o.nworkers; k++)
			if (atomic_load(&l->want[k * l->o.nroutes + r]) > 0)
				return true;
	}
	return false;
}

static int ledger_turn(struct ledger *l, struct outcome_batch **done, struct pause_request *pauses, bool draining, struct err *e)
{
	ms_t now = clock_now();
	if (pauses != NULL && pause_asked(l, pauses, e) != 0)
		return -1;
	int64_t version = store_data_version(l->store);
	if (version != l->version || l->renewed == 0) {
		l->version = version;
		if (reload(l, e) != 0)
			return -1;
	}
	bool claims = !draining && anything_wanted(l, now);
	if ((*done != NULL || claims) && transact(l, done, claims, now, e) != 0)
		return -1;
	if (!draining) {
		for (size_t i = 0; i < l->nwatches; i++)
			if (turn_campaign(l, l->watches[i], now, e) != 0)
				return -1;
		publish_work(l, now);
	}
	if (clock_mono() - l->renewed >= SECOND) {
		l->renewed = clock_mono();
		if (every_second(l, now, e) != 0)
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
		ms_t longest = first_preparing(l) != NULL ? 0 : !anything_wanted(l, clock_now()) ? TICK : l->starved ? 20 : 0;
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
		/* What could not be recorded stays as intents. */
		for (struct outcome_batch *b = done, *next; b != NULL; b = next) {
			next = b->next;
			outcome_batch_free(b);
		}
		pthread_mutex_lock(&l->lock);
		l->turns++;
		pthread_cond_broadcast(&l->turned);
		pthread_mutex_unlock(&l->lock);
		if (stopping && idle)
			return NULL;
	}
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
	l->want = calloc(o->nworkers * o->nroutes + 1, sizeof *l->want);
	if (l->want == NULL) {
		err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		goto bad;
	}
	if (store_open(&l->store, STORE_WRITE, o->store, e) != 0)
		goto bad;
	if (pthread_create(&l->thread, NULL, ledger_main, l) != 0) {
		err_sys(e, ERR_INTERNAL, "ledger", "thread");
		goto bad;
	}
	*out = l;
	return 0;
bad:
	store_close(&l->store);
	free((void *)l->want);
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
	for (size_t i = 0; i < l->nwatches; i++)
		watch_free(l->watches[i]);
	free(l->watches);
	store_close(&l->store);
	pthread_cond_destroy(&l->cond);
	pthread_cond_destroy(&l->turned);
	pthread_mutex_destroy(&l->lock);
	free((void *)l->want);
	free(l);
	*lp = NULL;
	return rc;
}
