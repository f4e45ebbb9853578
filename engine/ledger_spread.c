#include "engine/ledger_private.h"

#include "engine/consequence.h"

#include <stdlib.h>

enum {
	TURN = 1000,     /* claims of one transaction, in all */
	FAIL_TURN = 300, /* and of what cannot be delivered */
	FAIL_SLICE = 64, /* failed deliveries of one errand before the next has its turn */
	CHUNK = 4096,    /* of the arena of a few claims */
};

static const ms_t FAIL_LATEST = 2 * SECOND;

void ledger_hungry(struct ledger *l, struct hatch *h)
{
	pthread_mutex_lock(&l->lock);
	if (!h->hungry) {
		h->hungry = true;
		h->next_hungry = l->hungry;
		l->hungry = h;
		l->posted = true;
		pthread_cond_signal(&l->cond);
	}
	pthread_mutex_unlock(&l->lock);
}

static bool any_hungry(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	bool hungry = l->hungry != NULL;
	pthread_mutex_unlock(&l->lock);
	return hungry;
}

bool spread_wanted(struct ledger *l, ms_t now)
{
	if (!ring_empty(&l->window.failed) || l->window.stale || window_answered(&l->window, clock_mono()))
		return true;
	for (size_t i = 0; i < l->nwatches; i++)
		if (window_wants(l, l->watches[i], now))
			return true;
	return any_hungry(l);
}

static bool claimable(const struct errand *r)
{
	return watch_delivering(r->watch) && r->watch->run != NULL;
}

/* Fewer came than were asked for: nothing is left in the store, or it was looked through only in part. */
static void after_claim(struct ledger *l, struct errand *r, int asked, int got)
{
	bool choice = r->watch->plan.n > 1 || (r->slot == 0 && source_count(l->sources, r->route) > 1);
	if (got > 0)
		r->watch->fresh -= r->watch->fresh > got ? got : r->watch->fresh;
	if (got == asked) {
		if (!r->many)
			errand_waiting(r, r->waiting > got ? r->waiting - got : 1);
		/* The next of it may be another route's. */
		if (choice && !r->failed)
			errand_again(l, r);
		return;
	}
	watch_stir(r->watch);
	errand_free(l, r);
}

/* ---- What cannot be delivered ---- */

static struct outcome_batch *room_in(struct outcome_batch **b)
{
	if (*b == NULL || (*b)->n == OUTCOME_BATCH) {
		struct outcome_batch *new = outcome_batch_new(NULL);
		if (new != NULL)
			new->next = *b;
		*b = new;
	}
	return *b;
}

static void fail_claim(
	struct ledger *l, const struct errand *r, const struct claim *c, ms_t now, struct outcome_batch *b)
{
	const struct unreached *u = r->crowd != NULL ? &r->crowd->down : r->why;
	struct run *run = r->watch->run;
	struct unsited_facts f = {
		.claim = c,
		.stage = u->stage,
		.code = u->code,
		.enhanced = str_from(u->enhanced),
		.text = str_from(u->text),
		.reason = r->reason,
		.paused = atomic_load(&run->paused_ms),
		.now = now,
	};
	struct outcome_row *row = &b->rows[b->n];
	struct verdict v;
	consequence_unsited(l->o.config, l->o.rules, &f, row, &v);
	row->reply = arena_str(&b->arena, row->reply);
	row->reason = arena_str(&b->arena, row->reason);
	row->provider = arena_str(&b->arena, row->provider);
	row->domain = arena_str(&b->arena, row->domain);
	row->address = arena_str(&b->arena, row->address);
	row->site = arena_str(&b->arena, str_from(u->host));
	row->dialogue = arena_str(&b->arena, str_from(u->said));
	row->route = str_from(l->o.routes[r->route].cfg->name);
	b->from[b->n++] = NULL;
	atomic_fetch_add(&run->answered, 1);
}

static int fail_errand(struct ledger *l, struct errand *r, struct claims *claims, struct outcome_batch **rows,
	ms_t now, struct err *e)
{
	struct str route = str_from(l->o.routes[r->route].cfg->name);
	claims->n = 0;
	arena_reset(claims->arena);
	int n = store_ledger_claim_domain(
		l->store, r->watch->id, r->domain, route, FAIL_SLICE, now, claims, e);
	if (n < 0)
		return -1;
	for (size_t i = 0; i < claims->n; i++) {
		struct outcome_batch *b = room_in(rows);
		if (b == NULL)
			return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
		fail_claim(l, r, &claims->v[i], now, b);
	}
	r->watch->in_flight += n;
	after_claim(l, r, FAIL_SLICE, n);
	return n;
}

/* What can be delivered goes first, as long as those that cannot do not fill the window. */
static bool fail_now(struct ledger *l)
{
	struct window *w = &l->window;
	ms_t mono = clock_mono();
	if (mono < w->fail_at && w->nfailed < WINDOW / 2 && any_hungry(l))
		return false;
	w->fail_at = mono + FAIL_LATEST;
	return true;
}

int spread_fail(struct ledger *l, struct outcome_batch **done, ms_t now, struct err *e)
{
	struct arena a;
	struct claims claims = {.arena = &a};
	struct outcome_batch *rows = NULL;
	int budget = FAIL_TURN, rc = 0;
	if (ring_empty(&l->window.failed) || !fail_now(l))
		return 0;
	arena_init(&a, 64 << 10, 64 << 20);
	while (budget > 0 && rc >= 0 && !ring_empty(&l->window.failed)) {
		struct errand *r = (struct errand *)l->window.failed.next;
		if (!claimable(r)) {
			errand_free(l, r);
			continue;
		}
		ring_remove(&r->in);
		ring_append(&l->window.failed, &r->in);
		rc = fail_errand(l, r, &claims, &rows, now, e);
		budget -= rc > 0 ? rc : 1;
	}
	while (*done != NULL)
		done = &(*done)->next;
	*done = rows;
	free(claims.v);
	arena_release(&a);
	return rc < 0 ? -1 : 0;
}

/* ---- What a hatch draws ---- */

/* From one errand, at most `max`. Returns how many, 0 none (now), -1. */
static int draw(struct ledger *l, struct errand *r, struct hatch *hatch, int max, ms_t now,
	struct handovers *h, struct err *e)
{
	struct watch *w = r->watch;
	int source = hatch->crowd != NULL ? hatch->crowd->source : SOURCE_NONE;
	struct str provider = str_from(r->provider);
	max = watch_room(w, max);
	if (hatch->crowd != NULL)
		max = crowd_allow(l, hatch->crowd, max, now, e);
	if (source >= 0 && max > 0) {
		int may = source_allow(l->sources, hatch->route, source, provider, max, now, e);
		/* Its volume for the day is used up: another takes it, or it waits. */
		if (may == 0 && !source_has_room(l->sources, hatch->route, source, provider, now))
			errand_again(l, r);
		max = may;
	}
	if (max <= 0)
		return max;
	struct claim_batch *b = ledger_batch(h, w, hatch, CHUNK, e);
	if (b == NULL)
		return -1;
	int n = store_ledger_claim_domain(l->store, w->id, r->domain,
		str_from(l->o.routes[hatch->route].cfg->name), max, now, &b->claims, e);
	if (n < 0)
		return -1;
	w->drawn += n;
	watch_dealt(w, hatch->route, n);
	if (hatch->crowd != NULL && crowd_used(l, hatch->crowd, n, now, e) != 0)
		return -1;
	if (source >= 0 && source_used(l->sources, hatch->route, source, provider, n, now, e) != 0)
		return -1;
	after_claim(l, r, max, n);
	return n;
}

/* By turns from the domains and campaigns of the crowd. */
static int draw_from_crowd(struct ledger *l, struct crowd *c, struct hatch *hatch, int want, ms_t now,
	struct handovers *h, struct err *e)
{
	int got = 0;
	size_t sharing = 0;
	for (struct ring *r = c->errands.next; r != &c->errands && sharing < (size_t)want; r = r->next)
		sharing++;
	for (; sharing > 0 && got < want; sharing--) {
		struct errand *r = (struct errand *)c->errands.next;
		if (!claimable(r)) {
			errand_free(l, r);
			continue;
		}
		ring_remove(&r->in);
		ring_append(&c->errands, &r->in);
		int share = (want - got + (int)sharing - 1) / (int)sharing,
		    n = draw(l, r, hatch, share, now, h, e);
		if (n < 0)
			return -1;
		got += n;
	}
	return got;
}

int spread_draw(struct ledger *l, struct hatch *hatch, int want, ms_t now, struct handovers *h, struct err *e)
{
	struct crowd *c = l->window.relays[hatch->route];
	return relay_waiting(l, hatch->route) > 0 ? draw_from_crowd(l, c, hatch, want, now, h, e) : 0;
}

static struct hatch *take_hungry(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	struct hatch *first = l->hungry;
	l->hungry = NULL;
	pthread_mutex_unlock(&l->lock);
	return first;
}

static void put_back(struct ledger *l, struct hatch *first)
{
	if (first == NULL)
		return;
	struct hatch *last = first;
	while (last->next_hungry != NULL)
		last = last->next_hungry;
	pthread_mutex_lock(&l->lock);
	last->next_hungry = l->hungry;
	l->hungry = first;
	pthread_mutex_unlock(&l->lock);
}

static void not_hungry(struct ledger *l, struct hatch *h)
{
	pthread_mutex_lock(&l->lock);
	h->hungry = false;
	pthread_mutex_unlock(&l->lock);
}

/* Returns how many were claimed; -1. *stay: it still wants some, and some may come. */
static int serve(struct ledger *l, struct hatch *hatch, int most, ms_t now, struct handovers *h, bool *stay,
	struct err *e)
{
	struct crowd *c = hatch->crowd;
	int want = atomic_load(&hatch->want);
	*stay = false;
	if (want <= 0 || ring_empty(&c->errands))
		return 0; /* join() or the worker's next word brings it back */
	*stay = true;
	if (most <= 0 || !atomic_compare_exchange_strong(&hatch->want, &want, HATCH_ANSWERING))
		return 0;
	int got = draw_from_crowd(l, c, hatch, want < most ? want : most, now, h, e);
	if (got <= 0)
		atomic_store(&hatch->want, want);
	else
		*stay = false;
	return got;
}

int spread_claim(struct ledger *l, ms_t now, struct handovers *h, struct err *e)
{
	struct hatch *first = take_hungry(l), *kept = NULL;
	int budget = TURN, rc = 0;
	size_t asked = l->o.nroutes; /* the route whose room is known */
	int64_t room = 0;
	while (first != NULL && budget > 0 && rc >= 0) {
		struct hatch *hatch = first;
		first = hatch->next_hungry;
		if (hatch->route != asked) {
			asked = hatch->route;
			room = ledger_route_room(l, asked, now);
		}
		bool stay;
		/* It may become hungry anew as soon as this is said, and is then in the list only once. */
		not_hungry(l, hatch);
		rc = serve(l, hatch, room < budget ? (int)room : budget, now, h, &stay, e);
		budget -= rc > 0 ? rc : 0;
		if (room != INT64_MAX && rc > 0)
			room -= rc;
		if (!stay)
			continue;
		pthread_mutex_lock(&l->lock);
		if (!hatch->hungry) {
			hatch->hungry = true;
			hatch->next_hungry = kept;
			kept = hatch;
		}
		pthread_mutex_unlock(&l->lock);
	}
	/* Those that had no turn stand before those that got nothing. */
	put_back(l, kept);
	put_back(l, first);
	return rc < 0 ? -1 : 0;
}
