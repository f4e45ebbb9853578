#include "engine/worker_private.h"

#include "src/base/log.h"

#include <stdlib.h>

enum { FIRST = 2 }; /* messages that a connection is given at first */

static const ms_t SLOW = 3 * SECOND;           /* who lets us wait longer takes nobody's place */
static const ms_t PATIENCE_SHORT = 5 * SECOND; /* for an answer, while others have no room to try */
static const ms_t SHUT_LONG = HOUR;
static const double SYNCED = 0.002; /* seconds until the disk may have more outcomes */

/* ---- Lanes that come and go ---- */

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	lane_pump(t->data);
}

struct hatch *hatch_open(struct worker *w, const struct hatch_options *o)
{
	struct lane *l = calloc(1, sizeof *l);
	struct dest *d = calloc(1, sizeof *d);
	char *name = strdup(o->group);
	if (l == NULL || d == NULL || name == NULL) {
		free(l);
		free(d);
		free(name);
		return NULL;
	}
	d->group_name = name;
	d->shared = o->shared;
	d->source = o->source;
	d->limits = *o->limits;
	l->hatch = (struct hatch){.worker = w, .route = o->route, .site = site_ref(o->site)};
	l->w = w;
	l->route = &w->o.routes[o->route];
	l->dest = d;
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->timer.data = l;
	return &l->hatch;
}

void direct_free(struct lane *l)
{
	struct dest *d = l->dest;
	lane_hold(l, 0, 0);
	if (d->group != NULL) {
		group_unqueue(l);
		group_leave(d->group);
	}
	ev_timer_stop(l->w->loop, &l->timer);
	lane_unlist(l);
	site_unref(&l->hatch.site);
	site_unref(&d->site);
	free(d->group_name);
	free(d);
	free(l->items);
	free(l);
}

bool direct_told(struct lane *l, struct site *site, bool closed)
{
	struct dest *d = l->dest;
	if (site != NULL) {
		site_unref(&d->site);
		d->site = site;
		memset(d->bad, 0, sizeof d->bad);
	}
	if (closed) {
		direct_free(l);
		return false;
	}
	if (d->group == NULL && (d->group = group_of(l->w, d, l->hatch.route)) == NULL) {
		/* What it was given goes back. */
		log_error("out of memory: mail for %s waits", d->site->name);
		return true;
	}
	atomic_store(&l->hatch.quiet, false);
	lane_list(l);
	return true;
}

/* Is its group's hourly or daily limit used up? */
static bool full(const struct lane *l, ms_t now)
{
	return atomic_load_explicit(&l->hatch.full_until, memory_order_relaxed) > now;
}

/* Something is to be sent, or on its way here. In this order: what was claimed is on its way before it no
 * longer waits. */
static bool has_work(const struct lane *l, ms_t now)
{
	return l->count > 0 || (atomic_load(&l->hatch.work) > 0 && !full(l, now)) ||
	       atomic_load(&l->hatch.want) == HATCH_ANSWERING;
}

/* Others have no room: its place is theirs. */
static void close_idle(struct lane *l)
{
	for (struct link *k = l->links; k != NULL; k = k->next) {
		if (!k->ready || k->leaving || k->under_way > 0)
			continue;
		k->leaving = true;
		k->ready = false;
		smtp_conn_quit(k->conn);
	}
}

void direct_pumped(struct lane *l)
{
	struct dest *d = l->dest;
	if (direct_needs(l)) {
		ms_t now = clock_mono();
		if (now < d->closed_until)
			lane_wait(l, (double)(d->closed_until - now) / 1e3);
		else
			group_queue(l);
		return;
	}
	if (l->w->starved != NULL && l->nlinks > 0 && !has_work(l, clock_mono()))
		close_idle(l);
	if (l->nlinks > 0 || l->count > 0 || l->outstanding > 0 || d->queued || d->starved ||
		atomic_load(&l->hatch.work) > 0)
		return;
	ev_timer_stop(l->w->loop, &l->timer);
	lane_unlist(l);
	atomic_store(&l->hatch.quiet, true);
}

bool direct_needs(const struct lane *l)
{
	const struct dest *d = l->dest;
	int work = atomic_load(&l->hatch.work) + (int)l->count;
	if (work <= 0 || atomic_load(&l->w->draining) || full(l, clock_mono()))
		return false;
	if (l->established == 0)
		return d->trying == 0;
	/* As long as there is one for two messages, another connection is not worth its making. */
	return work > 2 * l->nlinks && d->trying < l->established && l->nready == 0;
}

/* How much its connections may hold: all of `ahead` only those that answer, so that nothing is claimed just
 * to stand behind a slow server. */
static int may_hold(const struct lane *l)
{
	int n = 0;
	for (const struct link *k = l->links; k != NULL; k = k->next)
		if (k->established)
			n += k->holds > FIRST && (k->answered == 0 || k->call->slow) ? FIRST : k->holds;
	return n;
}

/* How many messages its connections will yet take. */
static int64_t will_take(const struct lane *l, unsigned long most)
{
	int64_t n = 0;
	for (const struct link *k = l->links; k != NULL; k = k->next)
		if (k->established && !k->leaving && (most == 0 || k->sent < most))
			n += most == 0 ? INT32_MAX : (int64_t)(most - k->sent);
	return n;
}

int direct_room(struct lane *l)
{
	if (l->dest->group == NULL)
		return 0;
	struct shaper *s = &l->dest->group->shaper;
	const struct usage *u = &l->w->usage[l->hatch.route];
	int64_t now = mono_us(), start = shaper_room(s, now, now + SECOND * 250),
		take = will_take(l, shaper_messages(s, now)), room = may_hold(l) - l->outstanding;
	if (take < start)
		start = take;
	if (start - (int64_t)l->count < room)
		room = start - (int64_t)l->count;
	/* What connections that have ended had, and is not yet on the disk, counts for those in their places:
	 * no more is ever in doubt than the open ones may hold. */
	int64_t left = u->holds - (u->held - l->asked);
	if (room > 0 && left < room) {
		room = left;
		lane_wait(l, SYNCED);
	}
	return room > 0 ? (int)room : 0;
}

void direct_unserved(struct lane *l)
{
	if (l->established == 0)
		lane_give_back_all(l, clock_now());
}

/* ---- Room for others ---- */

static void cut_calls(struct worker *w, ms_t now)
{
	int waiting = 0;
	for (struct lane *l = w->starved; l != NULL; l = l->dest->next_queued)
		waiting++;
	for (struct call *c = w->oldest; c != NULL && waiting > 0; c = c->newer, waiting--) {
		if (now - c->since < PATIENCE_SHORT)
			break;
		c->cut = true;
		smtp_conn_abort(c->link->conn);
	}
}

static void look_at_link(struct lane *l, struct link *k, ms_t now)
{
	struct usage *u = &l->w->usage[l->hatch.route];
	bool slow = k->established && !k->ready && now - k->idle_since > SLOW;
	u->slow += slow - k->call->slow;
	k->call->slow = slow;
	if (!k->ready || k->leaving)
		return;
	bool work = has_work(l, now) || k->under_way > 0;
	ms_t idle = l->w->starved != NULL ? 0 : l->dest->limits.idle;
	bool many = l->established > shaper_connections(&l->dest->group->shaper, mono_us());
	if ((work && !many) || (!many && now - k->idle_since < idle))
		return;
	link_quit(k);
}

/* How long nothing can go to the site; and where that has been so for long, what waits grows older by an
 * attempt. */
static void look_at_site(struct lane *l, ms_t now)
{
	struct dest *d = l->dest;
	const struct shaper *s = &d->group->shaper;
	bool resting = s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN,
	     waits = atomic_load(&l->hatch.work) > 0;
	ms_t until = resting && s->until / 1000 > d->closed_until ? s->until / 1000 : d->closed_until;
	ms_t shut = full(l, now) ? atomic_load(&l->hatch.full_until) : 0;
	if (shut < until)
		shut = until;
	atomic_store(&l->hatch.shut_until, shut > now ? shut : 0);
	if (until <= now || !waits)
		d->shut_since = 0;
	else if (d->shut_since == 0)
		d->shut_since = now;
	if (d->shut_since == 0 || now - d->shut_since < SHUT_LONG)
		return;
	d->shut_since = now;
	call_shut(l, now + SECOND);
}

void direct_tick(struct worker *w, ms_t now)
{
	/* Of very many lanes even a look is work: each second will do, unless somebody waits for room. */
	bool second = now - w->swept >= SECOND;
	for (struct lane *l = second || w->starved != NULL ? w->lanes : NULL, *next; l != NULL; l = next) {
		next = l->next;
		if (l->dest == NULL)
			continue;
		lane_give_back_stale(l, now);
		for (struct link *k = l->links; k != NULL; k = k->next)
			look_at_link(l, k, now);
		look_at_site(l, now);
		lane_pump(l); /* it may leave the list */
	}
	if (w->starved != NULL) {
		cut_calls(w, now);
		group_feed(w);
	}
	if (second) {
		w->swept = now;
		group_views_write(w);
		group_every_second(w, now);
	}
}
