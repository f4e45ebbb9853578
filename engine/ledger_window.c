#include "engine/ledger_private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	WALK = 512,      /* domains looked at between two commits */
	COUNT_CAP = 256, /* the store counts so far what waits for one */
	ROOM = 16,       /* for fewer the walk is not worth its while */
	FLOOR = 64,      /* errands that every campaign may have, however many there are */
};

static const ms_t ASK_AGAIN = 20; /* between two looks at what the books have answered … */
static const ms_t ASK_ALL = 250;  /* … and at whatever waits for an answer */

/* ---- Rings ---- */

void ring_init(struct ring *r)
{
	r->next = r->prev = r;
}

void ring_remove(struct ring *r)
{
	r->next->prev = r->prev;
	r->prev->next = r->next;
	ring_init(r);
}

void ring_append(struct ring *to, struct ring *r)
{
	r->prev = to->prev;
	r->next = to;
	to->prev->next = r;
	to->prev = r;
}

void window_init(struct window *w)
{
	ring_init(&w->looking);
	ring_init(&w->failed);
}

/* ---- Errands ---- */

static struct errand **errand_slot(struct window *w, const struct watch *watch, int64_t domain, int slot)
{
	uint64_t h = ((uint64_t)domain * 0x9e3779b97f4a7c15ULL) ^ (uint64_t)watch->id * 0xff51afd7ed558ccdULL;
	struct errand **at = &w->errands[(h >> 32) % WINDOW];
	while (*at != NULL && ((*at)->watch != watch || (*at)->domain != domain || (*at)->slot != slot))
		at = &(*at)->chain;
	return at;
}

void crowd_waits(struct crowd *c, int more)
{
	c->waiting += more;
	if (c->hatch == NULL)
		return; /* a relay's: ledger_publish_work() tells of it */
	int old = atomic_exchange(&c->hatch->work, c->waiting);
	if (old == 0 && c->waiting > 0) {
		hatch_tell(c->hatch);
		worker_wake(c->hatch->worker);
	}
}

void errand_waiting(struct errand *r, int n)
{
	int old = r->waiting;
	r->waiting = n;
	if (r->crowd != NULL && !r->failed)
		crowd_waits(r->crowd, n - old);
}

static void leave_crowd(struct errand *r)
{
	struct crowd *c = r->crowd;
	ring_remove(&r->in);
	if (c == NULL)
		return;
	r->crowd = NULL;
	c->n--;
	if (!r->failed)
		crowd_waits(c, -r->waiting);
}

void errand_fail(struct window *w, struct errand *r)
{
	r->failed = true;
	ring_append(&w->failed, &r->in);
	w->nfailed++;
}

void watch_stir(struct watch *w)
{
	w->shut_until = 0; /* until the next look */
	if (w->look)
		w->again = true;
	w->look = true;
}

void errand_free(struct ledger *l, struct errand *r)
{
	struct window *w = &l->window;
	if (r->crowd == NULL && !r->failed)
		w->nlooking--;
	w->nfailed -= r->failed;
	leave_crowd(r);
	*errand_slot(w, r->watch, r->domain, r->slot) = r->chain;
	r->watch->errands--;
	w->n--;
	free(r->why);
	free(r);
}

static void forget_of(struct ledger *l, struct ring *list, const struct watch *w)
{
	for (struct ring *r = list->next, *next; r != list; r = next) {
		next = r->next;
		if (((struct errand *)r)->watch == w)
			errand_free(l, (struct errand *)r);
	}
}

void window_forget(struct ledger *l, struct watch *w)
{
	if (w->errands == 0)
		return;
	forget_of(l, &l->window.looking, w);
	forget_of(l, &l->window.failed, w);
	for (size_t i = 0; i < WINDOW; i++)
		for (struct crowd *c = l->window.crowds[i]; c != NULL; c = c->chain)
			forget_of(l, &c->errands, w);
	for (size_t i = 0; i < l->o.nroutes; i++)
		if (l->window.relays[i] != NULL)
			forget_of(l, &l->window.relays[i]->errands, w);
}

void errand_again(struct ledger *l, struct errand *r)
{
	struct window *w = &l->window;
	w->nfailed -= r->failed;
	leave_crowd(r);
	r->asked = false;
	r->failed = false;
	r->reason = NULL;
	ring_append(&w->looking, &r->in);
	w->nlooking++;
	w->stale = true;
}

struct walk {
	struct ledger *l;
	struct watch *watch;
	int64_t last;
	int room;
	ms_t now;
};

/* A domain to which much goes has an errand for each source of the route, so that all of them work on it. */
static int slots_of(const struct walk *k, const struct waiting_domain *d)
{
	const struct route_plan *p = &k->watch->plan;
	size_t n = p->n == 1 ? source_count(k->l->sources, p->route[0]) : 0;
	return n > 1 && d->fresh + d->due >= COUNT_CAP ? (int)n : 0;
}

/* Is it so that no source may carry more to that provider today? */
static bool warming(struct walk *k, const struct waiting_domain *d, int slot)
{
	const struct route_plan *p = &k->watch->plan;
	ms_t until = 0;
	struct err e;
	if (p->n != 1 || source_count(k->l->sources, p->route[0]) == 0)
		return false;
	if (slot > 0 && source_has_room(k->l->sources, p->route[0], slot - 1, d->provider, k->now))
		return false;
	if (slot == 0 && source_pick(k->l->sources, p->route[0], d->provider, SOURCE_V4 | SOURCE_V6, k->now,
				 &until, &e) != SOURCE_WAIT)
		return false;
	watch_warms(k->l, k->watch, k->now);
	return true;
}

static int take_errand(struct walk *k, const struct waiting_domain *d, int number)
{
	struct window *w = &k->l->window;
	struct errand **slot = errand_slot(w, k->watch, d->domain, number), *r = *slot;
	if (r != NULL) {
		r->many = d->fresh + d->due >= COUNT_CAP;
		errand_waiting(r, d->fresh + d->due);
		return 0;
	}
	if (d->fresh + d->due == 0)
		return 0;
	if (k->room == 0)
		return 1;
	if (warming(k, d, number))
		return 0;
	r = calloc(1, sizeof *r + d->name.n + 1);
	if (r == NULL)
		return 1;
	k->room--;
	r->slot = number;
	r->source = SOURCE_NONE;
	r->watch = k->watch;
	r->domain = d->domain;
	r->waiting = d->fresh + d->due;
	r->many = r->waiting >= COUNT_CAP;
	memcpy(r->name, d->name.p, d->name.n);
	snprintf(r->provider, sizeof r->provider, "%.*s", STR_ARG(d->provider));
	ring_init(&r->in);
	*slot = r;
	k->watch->errands++;
	w->n++;
	ring_append(&w->looking, &r->in);
	w->nlooking++;
	w->stale = true;
	return 0;
}

static int take_domain(void *ctx, const struct waiting_domain *d)
{
	struct walk *k = ctx;
	int slots = slots_of(k, d);
	if (k->room < slots || k->room == 0)
		return 1;
	k->last = d->domain;
	if (slots == 0)
		return take_errand(k, d, 0);
	for (int i = 1; i <= slots; i++)
		if (take_errand(k, d, i) != 0)
			return 1;
	return 0;
}

/* How many errands the campaign may still bring. */
static int window_room(const struct ledger *l, const struct watch *w)
{
	size_t sharing = 0;
	for (size_t i = 0; i < l->nwatches; i++)
		sharing += l->watches[i]->spread && watch_delivering(l->watches[i]);
	size_t most = sharing > 0 ? WINDOW / sharing : WINDOW;
	if (most < FLOOR)
		most = FLOOR;
	if (w->errands >= most || l->window.n >= WINDOW)
		return 0;
	size_t room = most - w->errands, all = WINDOW - l->window.n;
	return (int)(room < all ? room : all);
}

static bool claims(const struct watch *w)
{
	return w->spread && watch_delivering(w) && w->run != NULL;
}

bool window_wants(const struct ledger *l, const struct watch *w, ms_t now)
{
	return claims(w) &&
	       ((w->next_due != 0 && w->next_due <= now) || (w->look && window_room(l, w) >= ROOM));
}

void watch_warms(struct ledger *l, struct watch *w, ms_t now)
{
	ms_t until = source_day_ends(l->o.config->zone, now);
	if (w->warm_until <= now || until < w->warm_until)
		w->warm_until = until;
}

static int walk(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct walk k = {.l = l, .watch = w, .last = w->walked, .room = window_room(l, w), .now = now};
	int n = store_ledger_waiting(l->store, w->id, w->walked, WALK, COUNT_CAP, take_domain, &k, e);
	if (n < 0)
		return -1;
	w->walked = k.last;
	/* Where the room ended the walk, it goes on when there is some. */
	if (n < WALK && k.room > 0) {
		w->walked = 0;
		w->look = w->again;
		w->again = false;
	}
	return 0;
}

/* ---- Where it goes ---- */

static int errand_failed(struct window *w, struct errand *r, const struct site_failure *f, struct err *e)
{
	struct unreached *why = calloc(1, sizeof *why);
	if (why == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	*why = (struct unreached){.stage = SMTP_DNS, .code = f->code};
	snprintf(why->enhanced, sizeof why->enhanced, "%s", f->enhanced);
	snprintf(why->text, sizeof why->text, "%s", f->text);
	free(r->why);
	r->why = why;
	r->reason = f->reason;
	errand_fail(w, r);
	return 0;
}

int relay_waiting(const struct ledger *l, size_t route)
{
	const struct crowd *c = l->window.relays[route];
	return c != NULL && !ring_empty(&c->errands) ? c->waiting : 0;
}

static int join_relay(struct ledger *l, struct errand *r, struct err *e)
{
	struct crowd **c = &l->window.relays[r->route];
	if (*c == NULL && (*c = calloc(1, sizeof **c + 1)) == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	if ((*c)->errands.next == NULL)
		ring_init(&(*c)->errands);
	r->crowd = *c;
	(*c)->n++;
	ring_append(&(*c)->errands, &r->in);
	crowd_waits(*c, r->waiting);
	return 0;
}

/* Its MX hosts show another provider than its name did: another route may be the one for it. */
static int provider_known(struct ledger *l, struct errand *r, struct site *s, struct err *e)
{
	if (s->provider[0] == '\0' || strcmp(s->provider, r->provider) == 0)
		return 0;
	snprintf(r->provider, sizeof r->provider, "%s", s->provider);
	return store_ledger_set_provider(l->store, r->domain, str_from(s->provider), e);
}

static unsigned families(const struct site *s)
{
	unsigned has = 0;
	for (size_t i = 0; i < s->nhosts; i++)
		for (size_t k = 0; k < s->hosts[i].naddrs; k++)
			has |= s->hosts[i].addrs[k].ss_family == AF_INET6 ? SOURCE_V6 : SOURCE_V4;
	return has;
}

/* Its source. 1: none may carry it today. */
static int choose_source(struct ledger *l, struct errand *r, const struct site *s, ms_t now, struct err *e)
{
	ms_t until;
	struct str provider = str_from(r->provider);
	unsigned has = families(s);
	if (r->slot > 0 && source_fits(l->sources, r->route, r->slot - 1, has)) {
		r->source = r->slot - 1;
		return source_has_room(l->sources, r->route, r->source, provider, now) ? 0 : 1;
	}
	r->source = source_pick(l->sources, r->route, provider, has, now, &until, e);
	return r->source == SOURCE_WAIT ? 1 : 0;
}

/* Chooses the errand's route; of a direct one it asks the book. 1: no answer yet. */
static int look_up(struct ledger *l, struct errand *r, ms_t mono, struct err *e)
{
	struct window *w = &l->window;
	struct str domain = str_from(r->name);
	struct site *site = NULL;
	struct site_failure f;
	if (!r->asked || !route_plan_has(&r->watch->plan, r->route))
		r->route = watch_pick(l, r->watch, str_from(r->provider));
	size_t route = r->route;
	if (l->books[route] == NULL) {
		ring_remove(&r->in);
		w->nlooking--;
		return join_relay(l, r, e);
	}
	enum site_state state = sites_lookup(l->books[route], domain, mono, &site, &f);
	r->asked = state == SITE_PENDING;
	if (state == SITE_PENDING)
		return 1;
	ring_remove(&r->in);
	w->nlooking--;
	if (state != SITE_KNOWN) {
		return errand_failed(w, r, &f, e);
	}
	if (provider_known(l, r, site, e) != 0) {
		site_unref(&site);
		return -1;
	}
	if (!watch_serves(r->watch, route, str_from(r->provider))) {
		site_unref(&site);
		ring_append(&w->looking, &r->in);
		w->nlooking++;
		w->stale = true;
		return 0;
	}
	if (choose_source(l, r, site, clock_now(), e) != 0) {
		site_unref(&site);
		watch_warms(l, r->watch, clock_now());
		ring_append(&w->looking, &r->in);
		w->nlooking++;
		errand_free(l, r);
		return 0;
	}
	struct crowd *c = crowd_of(l, route, r->source, domain, site);
	site_unref(&site);
	if (c == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	crowd_join(l, r, c);
	return 0;
}

/* Those that the books were not asked for: whatever comes to the list comes to its end. */
static int look_up_new(struct ledger *l, ms_t mono, struct err *e)
{
	struct window *w = &l->window;
	struct ring *first = &w->looking;
	w->stale = false;
	while (first->prev != &w->looking && !((struct errand *)first->prev)->asked)
		first = first->prev;
	for (struct ring *next, *end = w->looking.prev; first != &w->looking; first = next) {
		next = first != end ? first->next : &w->looking;
		if (look_up(l, (struct errand *)first, mono, e) < 0)
			return -1;
	}
	return 0;
}

/* Answers come about in the order of the questions, so they are found at the front. One may be for several
 * errands, or for none that is left; so all are looked at now and then. */
static int look_up_asked(struct ledger *l, size_t answers, ms_t mono, struct err *e)
{
	struct window *w = &l->window;
	struct ring *r = w->looking.next;
	for (struct ring *next; answers > 0 && r != &w->looking; r = next) {
		next = r->next;
		int rc = look_up(l, (struct errand *)r, mono, e);
		if (rc < 0)
			return -1;
		answers -= rc == 0;
	}
	w->some = r != &w->looking;
	return 0;
}

bool window_answered(const struct window *w, ms_t mono)
{
	return atomic_load(&w->answered) > 0 || (w->some && mono >= w->all_at);
}

static int look_up_all(struct ledger *l, struct err *e)
{
	struct window *w = &l->window;
	ms_t mono = clock_mono();
	if (w->stale && look_up_new(l, mono, e) != 0)
		return -1;
	if (mono < w->asked_at + ASK_AGAIN || !window_answered(w, mono))
		return 0;
	size_t answers = atomic_exchange(&w->answered, 0);
	if (mono >= w->all_at) {
		w->all_at = mono + ASK_ALL;
		answers = SIZE_MAX;
	}
	w->asked_at = mono;
	return look_up_asked(l, answers, mono, e);
}

int window_fill(struct ledger *l, ms_t now, struct err *e)
{
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[(i + l->turn) % l->nwatches];
		if (!claims(w))
			continue;
		if (w->next_due != 0 && w->next_due <= now) {
			if (store_ledger_ripen(l->store, w->id, now, &w->next_due, e) != 0)
				return -1;
			watch_stir(w);
		}
		if (w->look && window_room(l, w) >= ROOM && walk(l, w, now, e) != 0)
			return -1;
	}
	return look_up_all(l, e);
}

void window_release(struct ledger *l)
{
	struct window *w = &l->window;
	for (size_t i = 0; i < WINDOW; i++) {
		for (struct errand *r = w->errands[i], *next; r != NULL; r = next) {
			next = r->chain;
			free(r->why);
			free(r);
		}
		for (struct crowd *c = w->crowds[i], *next; c != NULL; c = next) {
			next = c->chain;
			hatch_close(c->hatch);
			crowd_free(c);
		}
	}
	for (size_t i = 0; i < l->o.nroutes && w->relays != NULL; i++)
		free(w->relays[i]);
	free((void *)w->relays);
	for (size_t i = 0; i < l->o.nroutes && l->books != NULL; i++)
		sites_free(&l->books[i]);
	free((void *)l->books);
}
