#include "engine/ledger_private.h"

#include "engine/delivery_log.h"
#include "engine/quota.h"
#include "src/base/fault.h"

#include <stdlib.h>

enum {
	CLAIM_SLICE = 1000, /* claims of one transaction for one campaign */
	CHUNK = 64 << 10,   /* of the arena of so many */
};

static const ms_t RATE_AHEAD_US = 250 * 1000; /* claims are made so long before the rate lets them go */

/* What never left was no use of anybody's hour or day. */
static int uncount(struct ledger *l, const struct outcome_batch *b, struct err *e)
{
	for (size_t i = 0; i < b->n; i++)
		if (outcome_unsent(&b->rows[i]) && b->from[i] != NULL && b->from[i]->crowd != NULL &&
			crowd_used(l, b->from[i]->crowd, -1, b->rows[i].at, e) != 0)
			return -1;
	return 0;
}

static int record(struct ledger *l, struct outcome_batch *done, struct err *e)
{
	for (struct outcome_batch *b = done; b != NULL; b = b->next)
		if (store_ledger_record(l->store, b->rows, b->n, e) != 0 || uncount(l, b, e) != 0)
			return -1;
	return 0;
}

/* It is over: written to the log, if there is one. */
static void let_go(struct ledger *l, struct outcome_batch *b)
{
	if (l->o.log == NULL) {
		outcome_batch_free(b);
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct outcome_row *r = &b->rows[i];
		struct watch *w = ledger_find(l, DELIVERY_CAMPAIGN(r->delivery));
		bool same = i > 0 && DELIVERY_CAMPAIGN(r[-1].delivery) == DELIVERY_CAMPAIGN(r->delivery);
		if (same || (w != NULL && w->run != NULL))
			r->campaign = same ? r[-1].campaign : arena_str(&b->arena, str_from(w->run->name));
	}
	delivery_log_give(l->o.log, b);
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
			if (b->from[i] != NULL && r->kind == OUTCOME_FINAL && r->state == DELIVERY_SENT)
				l->paces[b->from[i]->route].accepted++;
			watch_brake_count(w, r);
			ledger_holds_count(l, r);
			if (b->from[i] != NULL)
				watch_undealt(w, b->from[i]->route);
			if (r->kind != OUTCOME_FINAL && r->due != 0 &&
				(w->next_due == 0 || r->due < w->next_due))
				w->next_due = r->due;
			if (!w->spread)
				w->look = true;
			else if (r->kind == OUTCOME_RETURN)
				watch_stir(w);
		}
		if (b->worker == NULL) {
			let_go(l, b);
			continue;
		}
		for (size_t i = 0, n; i < b->n; i += n) {
			for (n = 1; i + n < b->n && b->from[i + n] == b->from[i];)
				n++;
			hatch_ack(b->from[i], (int)n);
		}
		worker_recorded(b->worker);
		let_go(l, b);
	}
}

int64_t ledger_route_room(struct ledger *l, size_t route, ms_t now)
{
	struct route *r = &l->o.routes[route];
	const struct rate_spec *s = &r->cfg->rate;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	int64_t room = limiter_room(&r->rate, us, us + RATE_AHEAD_US), shaped = INT64_MAX;
	if (r->cfg->kind == ROUTE_RELAY)
		shaped = route_room(r, us, us + RATE_AHEAD_US);
	if (shaped < room)
		room = shaped;
	if (room != INT64_MAX)
		room -= atomic_load(&r->in_hand);
	if (s->per_hour == 0 && s->per_day == 0)
		return room;
	/* Until the time that was found nothing comes free. */
	if (atomic_load(&r->window_until) > now)
		return 0;
	struct quota q;
	struct err e = {0};
	if (quota_read(&q, l->store, r->cfg, now, &e) != 0)
		return 0;
	atomic_store(&r->window_until, q.until);
	return q.room < room ? q.room : room;
}

struct claim_batch *ledger_batch(
	struct handovers *h, struct watch *w, struct hatch *hatch, size_t chunk, struct err *e)
{
	if (h->n == h->cap) {
		size_t more = h->cap == 0 ? 32 : h->cap * 2;
		struct handover *v = realloc(h->v, more * sizeof *v);
		if (v == NULL) {
			err_set(e, ERR_INTERNAL, "ledger", "out of memory");
			return NULL;
		}
		h->v = v;
		h->cap = more;
	}
	struct claim_batch *b = calloc(1, sizeof *b);
	if (b == NULL) {
		err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		return NULL;
	}
	h->v[h->n++] = (struct handover){b, hatch};
	arena_init(&b->arena, chunk, 256 << 20);
	b->claims.arena = &b->arena;
	b->run = w->run;
	atomic_fetch_add(&w->run->refs, 1);
	atomic_init(&b->left, 1); /* ours, until it is handed over */
	return b;
}

/* Claims for one campaign: what is due first, but half the room stays for those never tried. */
static int claim(struct ledger *l, struct watch *w, struct str route, int max, ms_t now,
	struct claim_batch *b, struct err *e)
{
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

bool watch_eligible(const struct ledger *l, const struct watch *w, size_t route, ms_t now)
{
	return !w->spread && watch_delivering(w) && w->run != NULL && watch_uses(w, route, l->usable) &&
	       (w->look || (w->next_due != 0 && w->next_due <= now));
}

int watch_room(const struct watch *w, int max)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	int64_t room = limiter_room(&w->run->rate, us, us + RATE_AHEAD_US);
	if (room != INT64_MAX)
		room -= w->in_flight + w->drawn;
	if (room < max)
		max = room < 0 ? 0 : (int)room;
	return max > CLAIM_SLICE ? CLAIM_SLICE : max;
}

/* Fills the wish of one hatch from its route's campaigns by turns. */
static int claim_for(
	struct ledger *l, struct hatch *hatch, int want, ms_t now, struct handovers *h, struct err *e)
{
	/* Campaigns that go out by destination have one turn together. */
	size_t route = hatch->route, spread = relay_waiting(l, route) > 0, sharing = spread;
	for (size_t i = 0; i < l->nwatches; i++)
		sharing += watch_eligible(l, l->watches[i], route, now);
	for (size_t i = 0; i < l->nwatches && want > 0 && sharing > spread; i++) {
		struct watch *w = l->watches[(i + l->turn) % l->nwatches];
		if (!watch_eligible(l, w, route, now))
			continue;
		int max = watch_share(l, w, route, (want + (int)sharing - 1) / (int)sharing);
		sharing--;
		max = watch_room(w, max);
		if (max == 0)
			continue;
		struct claim_batch *b = ledger_batch(h, w, hatch, CHUNK, e);
		if (b == NULL)
			return -1;
		int got = claim(l, w, str_from(l->o.routes[route].cfg->name), max, now, b, e);
		if (got < 0)
			return -1;
		w->drawn += got;
		watch_dealt(w, route, got);
		want -= got;
	}
	int got = want > 0 && spread > 0 ? spread_draw(l, hatch, want, now, h, e) : 0;
	return got < 0 ? -1 : want - got;
}

static int claim_all(struct ledger *l, ms_t now, struct handovers *h, struct err *e)
{
	l->turn++;
	for (size_t i = 0; i < l->nwatches; i++)
		l->watches[i]->drawn = 0;
	for (size_t route = 0; route < l->o.nroutes; route++) {
		int64_t room = -1;
		if (l->o.routes[route].cfg->kind == ROUTE_DIRECT)
			continue;
		for (size_t k = 0; k < l->o.nworkers; k++) {
			struct hatch *hatch =
				worker_hatch(l->o.workers[(k + l->turn) % l->o.nworkers], route);
			int want = atomic_load(&hatch->want);
			if (want <= 0)
				continue;
			if (room < 0)
				room = ledger_route_room(l, route, now);
			int most = room < want ? (room < 0 ? 0 : (int)room) : want;
			if (most <= 0)
				break;
			if (!atomic_compare_exchange_strong(&hatch->want, &want, HATCH_ANSWERING))
				continue;
			int left = claim_for(l, hatch, most, now, h, e);
			if (left < 0 || left == most)
				atomic_store(&hatch->want, want);
			if (left < 0)
				return -1;
			if (room != INT64_MAX)
				room -= most - left;
		}
	}
	return spread_claim(l, now, h, e);
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

static int commit(
	struct ledger *l, const struct outcome_batch *done, const struct handovers *h, struct err *e)
{
	bool claimed = false;
	for (size_t i = 0; i < h->n; i++)
		claimed = claimed || h->v[i].batch->claims.n != 0;
	if (claimed)
		fault_point("intent-before");
	if (done != NULL)
		fault_point("outcome-before");
	if (store_ledger_commit(l->store, e) != 0)
		return -1;
	if (claimed)
		fault_point("intent-after");
	if (done != NULL)
		fault_point("outcome-after");
	return 0;
}

int ledger_transact(struct ledger *l, struct outcome_batch **done, bool claims, ms_t now, struct err *e)
{
	struct handovers h = {0};
	int rc = store_ledger_begin(l->store, l->o.epoch, now, e);
	if (rc == 0) {
		if (claims)
			rc = window_fill(l, now, e);
		if (rc == 0 && claims)
			rc = spread_fail(l, done, now, e);
		if (rc == 0)
			rc = record(l, *done, e);
		if (rc == 0 && claims)
			rc = claim_all(l, now, &h, e);
		if (rc == 0)
			rc = commit(l, *done, &h, e);
		else
			store_ledger_rollback(l->store);
	}
	l->starved = claims;
	for (size_t i = 0; i < h.n; i++)
		l->starved = l->starved && h.v[i].batch->claims.n == 0;
	hand_over(l, h.v, h.n, rc == 0);
	free(h.v);
	if (rc == 0) {
		after_record(l, *done);
		*done = NULL;
	}
	return rc;
}
