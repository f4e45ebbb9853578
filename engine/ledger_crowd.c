#include "engine/ledger_private.h"

#include "engine/quota.h"
#include "src/base/hash.h"
#include "src/db/usage.h"

#include <stdio.h>
#include <stdlib.h>

static const ms_t SHORT_REST = MINUTE; /* is nothing to go home for */

static size_t mx_names(const struct site *s, const char *out[SITE_HOSTS])
{
	for (size_t i = 0; i < s->nhosts; i++)
		out[i] = s->hosts[i].name;
	return s->nhosts;
}

void crowd_free(struct crowd *c)
{
	free(c->counted_as);
	site_unref(&c->site);
	free(c->down.said);
	free(c);
}

/* Under which its messages of the hour and the day are counted; a space is in no route's name. */
static char *count_name(struct ledger *l, const struct hatch_options *o)
{
	struct buf b = BUF_INIT(4096);
	buf_printf(&b, "%s %s %s", l->o.routes[o->route].cfg->name,
		o->source != NULL ? o->source->cfg->address : "", o->group);
	char *name = b.failed ? NULL : strdup(buf_cstr(&b));
	buf_release(&b);
	return name;
}

static struct crowd *crowd_new(
	struct ledger *l, const struct hatch_options *o, const char *key, uint64_t hash)
{
	size_t n = strlen(key);
	struct crowd *c = calloc(1, sizeof *c + n + 1);
	if (c == NULL)
		return NULL;
	memcpy(c->key, key, n + 1);
	c->hash = hash;
	ring_init(&c->errands);
	/* All sites that share limits belong to one worker, which then needs no lock to keep to them. */
	uint64_t owner = hash64(str_from(o->group)) + o->route;
	c->rate = o->limits->rate;
	bool counted = c->rate.per_hour > 0 || c->rate.per_day > 0;
	if ((counted && (c->counted_as = count_name(l, o)) == NULL) ||
		(c->hatch = hatch_open(l->o.workers[owner % l->o.nworkers], o)) == NULL) {
		crowd_free(c);
		return NULL;
	}
	for (size_t i = 0; counted && i < WINDOW; i++)
		for (const struct crowd *other = l->window.crowds[i]; other != NULL; other = other->chain)
			if (other->full_until != 0 && strcmp(other->counted_as, c->counted_as) == 0) {
				c->full_until = other->full_until;
				atomic_store(&c->hatch->full_until, atomic_load(&other->hatch->full_until));
			}
	c->hatch->crowd = c;
	c->site = site_ref(o->site);
	struct crowd **slot = &l->window.crowds[hash % WINDOW];
	c->chain = *slot;
	*slot = c;
	return c;
}

struct crowd *crowd_of(struct ledger *l, size_t route, int source, struct str domain, struct site *s)
{
	const char *mx[SITE_HOSTS];
	struct limits_found found;
	char key[600];
	limits_find(l->o.limits, domain, s->provider, mx, mx_names(s, mx), &found);
	const char *group = found.group != NULL ? found.group : s->name;
	/* A site's name is bounded and stands first: were a group's cut short, two would share their limits,
	 * nothing worse. */
	snprintf(key, sizeof key, "%zu %d %s %s", route, source, s->name,
		found.group != NULL ? found.group : "");
	uint64_t hash = hash64(str_from(key));
	for (struct crowd *c = l->window.crowds[hash % WINDOW]; c != NULL; c = c->chain)
		if (c->hash == hash && strcmp(c->key, key) == 0) {
			if (s->expires > c->site->expires) {
				site_unref(&c->site);
				c->site = site_ref(s);
				hatch_site(c->hatch, s);
			}
			return c;
		}
	struct hatch_options o = {.route = route,
		.source = source >= 0 ? &l->o.routes[route].sources[source] : NULL,
		.group = group,
		.shared = found.group != NULL,
		.limits = &found.limits,
		.site = s};
	struct crowd *c = crowd_new(l, &o, key, hash);
	if (c != NULL)
		c->source = source;
	return c;
}

void crowd_join(struct ledger *l, struct errand *r, struct crowd *c)
{
	r->crowd = c;
	c->n++;
	if (clock_mono() < c->down.until) {
		errand_fail(&l->window, r);
		return;
	}
	ring_append(&c->errands, &r->in);
	crowd_waits(c, r->waiting);
	if (atomic_load(&c->hatch->want) > 0)
		ledger_hungry(l, c->hatch);
}

void window_unreached(struct ledger *l, struct crowd *c, const struct unreached *u)
{
	free(c->down.said);
	c->down = *u;
	while (!ring_empty(&c->errands)) {
		struct errand *r = (struct errand *)c->errands.next;
		ring_remove(&r->in);
		errand_fail(&l->window, r);
	}
	crowd_waits(c, -c->waiting);
}

static bool shares(const struct crowd *a, const struct crowd *b)
{
	return a->counted_as != NULL && b->counted_as != NULL && strcmp(a->counted_as, b->counted_as) == 0;
}

static void set_full(struct crowd *c, ms_t until)
{
	c->full_until = until;
	atomic_store(&c->hatch->full_until, until != 0 ? until - clock_now() + clock_mono() : 0);
}

/* For all that share the limit: those that ask for nothing are to know it too. */
static void set_all(struct ledger *l, const struct crowd *like, ms_t mono, ms_t until)
{
	for (size_t i = 0; i < WINDOW; i++)
		for (struct crowd *c = l->window.crowds[i]; c != NULL; c = c->chain) {
			if (!shares(c, like))
				continue;
			c->looked_at = mono;
			set_full(c, until);
			if (until == 0 && atomic_load(&c->hatch->want) > 0)
				ledger_hungry(l, c->hatch);
		}
}

/* Claims that were given back made room, or time did. Once for all that share it. */
static int look_again(struct ledger *l, struct crowd *c, ms_t mono, ms_t now, struct err *e)
{
	struct quota q;
	if (quota_read_named(&q, l->store, c->counted_as, &c->rate, now, e) != 0)
		return -1;
	set_all(l, c, mono, q.until);
	return 0;
}

int crowd_allow(struct ledger *l, struct crowd *c, int max, ms_t now, struct err *e)
{
	struct quota q;
	if (c->counted_as == NULL || max <= 0)
		return max;
	if (now < c->full_until)
		return 0;
	if (quota_read_named(&q, l->store, c->counted_as, &c->rate, now, e) != 0)
		return -1;
	if (q.until != 0)
		set_all(l, c, clock_mono(), q.until);
	return q.room < max ? (int)q.room : max;
}

int crowd_used(struct ledger *l, struct crowd *c, int n, ms_t now, struct err *e)
{
	return c->counted_as == NULL || n == 0
		       ? 0
		       : store_usage_add(l->store, str_from(c->counted_as), n, now, e);
}

/* Campaigns of which nothing can go out for a while, because all sites they still have mail for are closed.
 */
static void look_for_shut(struct ledger *l, ms_t mono)
{
	for (size_t i = 0; i < l->nwatches; i++)
		l->watches[i]->shut_until = 0;
	for (size_t i = 0; i < WINDOW; i++)
		for (struct crowd *c = l->window.crowds[i]; c != NULL; c = c->chain) {
			ms_t until = atomic_load(&c->hatch->shut_until);
			if (atomic_load(&c->hatch->full_until) > until)
				until = atomic_load(&c->hatch->full_until);
			for (struct ring *r = c->errands.next; until > mono && r != &c->errands;
				r = r->next) {
				struct watch *w = ((struct errand *)r)->watch;
				w->shut++;
				if (w->shut_until == 0 || until < w->shut_until)
					w->shut_until = until;
			}
		}
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		bool all = w->shut == w->errands && !w->look && w->shut_until > mono + SHORT_REST;
		w->shut_until = all ? clock_now() + w->shut_until - mono : 0;
		w->shut = 0;
	}
}

static bool crowd_over(struct ledger *l, struct crowd *c)
{
	/* In this order: what is on its way to the worker makes it busy before it has answered. */
	if (c->n > 0 || atomic_load(&c->hatch->want) != 0 || !atomic_load(&c->hatch->quiet))
		return false;
	pthread_mutex_lock(&l->lock);
	bool hungry = c->hatch->hungry;
	for (const struct unreached_request *u = l->unreached; u != NULL && !hungry; u = u->next)
		hungry = u->hatch == c->hatch;
	pthread_mutex_unlock(&l->lock);
	return !hungry && c->down.until < clock_mono();
}

int window_every_second(struct ledger *l, struct err *e)
{
	struct window *w = &l->window;
	ms_t mono = clock_mono(), now = clock_now();
	for (size_t i = 0; i < WINDOW; i++)
		for (struct crowd **at = &w->crowds[i], *c; (c = *at) != NULL;) {
			if (crowd_over(l, c)) {
				*at = c->chain;
				hatch_close(c->hatch);
				crowd_free(c);
				continue;
			}
			if (c->full_until != 0 && c->looked_at != mono && look_again(l, c, mono, now, e) != 0)
				return -1;
			while (c->site->expires < mono && !ring_empty(&c->errands))
				errand_again(l, (struct errand *)c->errands.next);
			at = &c->chain;
		}
	look_for_shut(l, mono);
	/* What failed and is still there when the time of the failure is over tries its luck anew. */
	for (struct ring *r = w->failed.next, *next; r != &w->failed; r = next) {
		next = r->next;
		struct errand *f = (struct errand *)r;
		if (f->crowd != NULL && f->crowd->down.until < mono)
			errand_again(l, f);
	}
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->warm_until != 0 && l->watches[i]->warm_until <= clock_now()) {
			l->watches[i]->warm_until = 0;
			watch_stir(l->watches[i]);
		}
	/* What waits for a relay that is down may go another way. */
	for (size_t i = 0; i < l->o.nroutes; i++)
		while (!l->usable[i] && relay_waiting(l, i) > 0)
			errand_again(l, (struct errand *)w->relays[i]->errands.next);
	return 0;
}
