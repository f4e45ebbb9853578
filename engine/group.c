#include "engine/worker_private.h"

#include "src/base/hash.h"

#include <stdlib.h>

static const ms_t MEMORY = HOUR;    /* what was learnt of a group outlives its last lane by that */
static const ms_t NOTHING = MINUTE; /* where nothing was learnt */

static struct group **slot_of(
	struct worker *w, size_t route, const struct route_source *source, const char *name)
{
	struct group **at = &w->groups[(hash64(str_from(name)) + route) % GROUP_SLOTS];
	while (*at != NULL &&
		((*at)->route != route || (*at)->source != source || strcmp((*at)->name, name) != 0))
		at = &(*at)->chain;
	return at;
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	group_touch(t->data);
}

struct group *group_of(struct worker *w, const struct dest *d, size_t route)
{
	struct group **slot = slot_of(w, route, d->source, d->group_name), *g = *slot;
	size_t n = strlen(d->group_name);
	if (g == NULL && (g = calloc(1, sizeof *g + n + 1)) != NULL) {
		memcpy(g->name, d->group_name, n);
		g->w = w;
		g->route = route;
		g->source = d->source;
		g->shared = d->shared;
		g->queue_end = &g->queue;
		shaper_init(&g->shaper, &d->limits, mono_us());
		ev_timer_init(&g->timer, on_timer, 0., 0.);
		g->timer.data = g;
		*slot = g;
	}
	if (g != NULL)
		g->lanes++;
	return g;
}

static void group_free(struct group **at)
{
	struct group *g = *at;
	*at = g->chain;
	ev_timer_stop(g->w->loop, &g->timer);
	free(g);
}

void group_leave(struct group *g)
{
	g->lanes--;
	g->left_at = clock_mono();
}

void group_touch(struct group *g)
{
	if (g->touched)
		return;
	g->touched = true;
	g->next_touched = g->w->touched;
	g->w->touched = g;
}

void group_queue(struct lane *l)
{
	struct dest *d = l->dest;
	if (d->queued || d->starved)
		return;
	d->queued = true;
	d->next_queued = NULL;
	*d->group->queue_end = l;
	d->group->queue_end = &d->next_queued;
	group_touch(d->group);
}

static struct lane *dequeue(struct group *g)
{
	struct lane *l = g->queue;
	g->queue = l->dest->next_queued;
	if (g->queue == NULL)
		g->queue_end = &g->queue;
	l->dest->queued = false;
	return l;
}

static void take_out(struct lane **first, struct lane ***end, struct lane *l)
{
	for (struct lane **at = first; *at != NULL; at = &(*at)->dest->next_queued)
		if (*at == l) {
			*at = l->dest->next_queued;
			break;
		}
	for (*end = first; **end != NULL;)
		*end = &(**end)->dest->next_queued;
}

void group_unqueue(struct lane *l)
{
	struct dest *d = l->dest;
	if (d->queued)
		take_out(&d->group->queue, &d->group->queue_end, l);
	if (d->starved)
		take_out(&l->w->starved, &l->w->starved_end, l);
	d->queued = d->starved = false;
}

void group_starve(struct lane *l)
{
	struct dest *d = l->dest;
	d->starved = true;
	d->next_queued = NULL;
	*l->w->starved_end = l;
	l->w->starved_end = &d->next_queued;
}

static bool worker_has_room(const struct worker *w, size_t route)
{
	const struct usage *u = &w->usage[route];
	return w->descriptors < w->most_descriptors && u->trying < 4 * u->share &&
	       u->working - u->slow < u->share;
}

/* Another site of the group could use the place of a connection that has nothing to do. */
static void make_room(struct group *g)
{
	for (struct lane *l = g->open; l != NULL; l = l->dest->next_open) {
		if (atomic_load(&l->hatch.work) > 0 || l->count > 0)
			continue;
		for (struct link *k = l->links; k != NULL; k = k->next) {
			if (!k->ready || k->under_way > 0)
				continue;
			link_quit(k);
			return;
		}
	}
}

static void wait_for(struct group *g, int64_t us)
{
	double seconds = us > 500 ? (double)us / 1e6 : 0.0005;
	if (ev_is_active(&g->timer) && ev_timer_remaining(g->w->loop, &g->timer) <= seconds)
		return;
	ev_timer_stop(g->w->loop, &g->timer);
	ev_timer_set(&g->timer, seconds, 0.);
	ev_timer_start(g->w->loop, &g->timer);
}

static void connect_some(struct group *g)
{
	while (g->queue != NULL) {
		struct lane *l = g->queue;
		ms_t now = clock_mono();
		if (!direct_needs(l)) {
			dequeue(g);
			direct_pumped(l);
			continue;
		}
		if (now < l->dest->closed_until) {
			dequeue(g);
			lane_wait(l, (double)(l->dest->closed_until - now) / 1e3);
			continue;
		}
		int64_t wait = shaper_may_connect(&g->shaper, mono_us());
		if (wait != 0) {
			if (g->shared)
				make_room(g);
			wait_for(g, wait == SHAPER_LATER ? SECOND * 1000 : wait);
			return;
		}
		dequeue(g);
		if (!worker_has_room(g->w, g->route)) {
			group_starve(l);
			continue;
		}
		call_open(l);
		if (direct_needs(l))
			group_queue(l);
	}
}

/* Those that lacked room, as far as there is some again. */
static void feed(struct worker *w)
{
	while (w->starved != NULL && worker_has_room(w, w->starved->hatch.route)) {
		struct lane *l = w->starved;
		w->starved = l->dest->next_queued;
		if (w->starved == NULL)
			w->starved_end = &w->starved;
		l->dest->starved = false;
		group_queue(l);
		connect_some(l->dest->group);
	}
}

void group_feed(struct worker *w)
{
	struct lane *l = w->starved;
	w->starved = NULL;
	w->starved_end = &w->starved;
	for (struct lane *next; l != NULL; l = next) {
		next = l->dest->next_queued;
		l->dest->starved = false;
		group_queue(l);
	}
}

void group_turn(struct worker *w)
{
	feed(w);
	/* What is touched meanwhile is looked at in the next turn, which comes at once. */
	struct group *g = w->touched;
	w->touched = NULL;
	for (struct group *next; g != NULL; g = next) {
		next = g->next_touched;
		g->touched = false;
		if (g->held) {
			g->held = false;
			for (struct lane *l = g->open, *after; l != NULL; l = after) {
				after = l->dest->next_open;
				if (l->count > 0)
					lane_pump(l);
			}
		}
		connect_some(g);
	}
	if (w->touched != NULL)
		ev_async_send(w->loop, &w->wake);
}

void group_every_second(struct worker *w, ms_t now)
{
	for (size_t i = 0; i < GROUP_SLOTS; i++)
		for (struct group **at = &w->groups[i], *g; (g = *at) != NULL;) {
			ms_t kept = g->shaper.state == SHAPER_OK ? NOTHING : MEMORY;
			if (g->lanes == 0 && !g->touched && now - g->left_at > kept)
				group_free(at);
			else
				at = &g->chain;
		}
}

void groups_free(struct worker *w)
{
	for (size_t i = 0; i < GROUP_SLOTS; i++)
		while (w->groups[i] != NULL)
			group_free(&w->groups[i]);
}
