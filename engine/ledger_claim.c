#include "engine/ledger_private.h"

#include "engine/schedule.h"

#include <stdlib.h>

enum { CLAIM_SLICE = 1000 }; /* claims of one transaction for one campaign */

static const ms_t RATE_AHEAD_US = 250 * 1000; /* claims are made so long before the rate lets them go */

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
			struct watch *w = ledger_find(l, DELIVERY_CAMPAIGN(r->delivery));
			if (w == NULL)
				continue;
			w->in_flight--;
			watch_brake_count(w, r);
			ledger_holds_count(l, r);
			if (r->kind != OUTCOME_FINAL && r->due != 0 &&
				(w->next_due == 0 || r->due < w->next_due))
				w->next_due = r->due;
			w->look = true;
		}
		for (size_t i = 0, n; i < b->n; i += n) {
			for (n = 1; i + n < b->n && b->from[i + n] == b->from[i];)
				n++;
			hatch_ack(b->from[i], (int)n);
		}
		worker_wake(b->worker);
		outcome_batch_free(b);
	}
}

struct handover { /* claims made in this transaction, given out after its commit */
	struct claim_batch *batch;
	struct hatch *hatch;
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
	const struct {
		int64_t most;
		ms_t span;
	} windows[] = {{s->per_hour, HOUR}, {s->per_day, DAY}};
	for (size_t i = 0; i < 2; i++) {
		if (windows[i].most == 0)
			continue;
		struct err e = {0};
		int64_t used =
			store_ledger_usage(l->store, str_from(r->cfg->name), now - windows[i].span, &e);
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
		int n = store_ledger_claim(l->store, w->id, CLAIM_DUE, route,
			w->fresh > 0 ? (max + 1) / 2 : max, now, &b->claims, e);
		if (n < 0)
			return -1;
		got += n;
		w->next_due = store_ledger_next_due(l->store, w->id, e);
		if (w->next_due < 0)
			return -1;
	}
	if (got < max) {
		int n = store_ledger_claim(
			l->store, w->id, CLAIM_FRESH, route, max - got, now, &b->claims, e);
		if (n < 0)
			return -1;
		got += n;
		w->fresh -= n;
		if (n == 0 && (w->next_due == 0 || w->next_due > now))
			w->look = false;
	}
	return got;
}

bool watch_eligible(const struct watch *w, size_t route, ms_t now)
{
	return watch_delivering(w) && w->run != NULL && w->route == route &&
	       (w->look || (w->next_due != 0 && w->next_due <= now));
}

/* Fills the wish of one hatch from its route's campaigns by turns. */
static int claim_for(struct ledger *l, struct hatch *hatch, int want, ms_t now, struct handover **out,
	size_t *n, size_t *cap, struct err *e)
{
	size_t route = hatch->route, sharing = 0;
	for (size_t i = 0; i < l->nwatches; i++)
		sharing += watch_eligible(l->watches[i], route, now);
	for (size_t i = 0; i < l->nwatches && want > 0 && sharing > 0; i++) {
		struct watch *w = l->watches[(i + l->turn) % l->nwatches];
		if (!watch_eligible(w, route, now))
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
		(*out)[(*n)++] = (struct handover){b, hatch};
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
			struct hatch *hatch =
				worker_hatch(l->o.workers[(k + l->turn) % l->o.nworkers], route);
			int want = atomic_load(&hatch->want);
			if (want <= 0)
				continue;
			if (room < 0)
				room = route_room(l, route, now);
			int most = room < want ? (room < 0 ? 0 : (int)room) : want;
			if (most <= 0)
				break;
			if (!atomic_compare_exchange_strong(&hatch->want, &want, HATCH_ANSWERING))
				continue;
			int left = claim_for(l, hatch, most, now, out, n, cap, e);
			if (left < 0 || left == most)
				atomic_store(&hatch->want, want);
			if (left < 0)
				return -1;
			if (room != INT64_MAX)
				room -= most - left;
		}
	}
	return 0;
}

/* Everything for one hatch is handed over at once: the worker then asks for more. */
static void hand_over(struct ledger *l, struct handover *h, size_t n, bool committed)
{
	for (size_t i = 0; i < n;) {
		struct hatch *hatch = h[i].hatch;
		struct claim_batch *first = NULL, **last = &first;
		for (; i < n && h[i].hatch == hatch; i++) {
			struct claim_batch *b = h[i].batch;
			size_t count = committed ? b->claims.n : 0;
			if (count == 0) {
				claim_batch_done(b);
				continue;
			}
			struct watch *w = ledger_find(l, b->run->id);
			if (w != NULL)
				w->in_flight += (int64_t)count;
			atomic_store(&b->left, (int)count);
			atomic_fetch_add(&l->o.routes[hatch->route].in_hand, (int64_t)count);
			*last = b;
			last = &b->next;
		}
		if (first == NULL) {
			ledger_answered(hatch);
			continue;
		}
		hatch_give(hatch, first);
		worker_wake(hatch->worker);
	}
}

int ledger_transact(struct ledger *l, struct outcome_batch **done, bool claims, ms_t now, struct err *e)
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
