/* What people see of the delivery while it runs: written to the store every second. */
#include "engine/ledger_private.h"

#include "engine/quota.h"
#include "engine/schedule.h"
#include "src/db/live.h"

#include <stdio.h>
#include <stdlib.h>

struct gathered { /* of all workers: the heaviest, as each of them ordered its own */
	struct group_view v[GROUP_VIEWS];
	size_t n;
};

static double weight(const struct group_view *v)
{
	return (strcmp(v->state, "ok") != 0 && v->waiting > 0 ? 1e9 : 0) + (double)v->waiting + v->rate;
}

static int by_weight(const void *a, const void *b)
{
	double x = weight(a), y = weight(b);
	return (x < y) - (x > y);
}

static void gather(const struct ledger *l, struct gathered *g)
{
	struct group_view all[2 * GROUP_VIEWS];
	g->n = 0;
	for (size_t i = 0; i < l->o.nworkers; i++) {
		memcpy(all, g->v, g->n * sizeof *all);
		size_t n = g->n + worker_views(l->o.workers[i], all + g->n);
		qsort(all, n, sizeof *all, by_weight);
		g->n = n < GROUP_VIEWS ? n : GROUP_VIEWS;
		memcpy(g->v, all, g->n * sizeof *all);
	}
}

/* ---- A campaign ---- */

static bool carries(const struct watch *w, size_t route)
{
	for (size_t i = 0; i < w->plan.n; i++)
		if (w->plan.route[i] == route)
			return true;
	return false;
}

/* What keeps most of its mail back, of the groups of its route. */
static void spread_limit_text(
	const struct ledger *l, const struct watch *w, const struct gathered *g, char *out, size_t n)
{
	const struct group_view *most = NULL;
	for (size_t i = 0; i < g->n; i++)
		if (carries(w, g->v[i].route) && g->v[i].limit[0] != '\0' &&
			(most == NULL || g->v[i].waiting > most->waiting))
			most = &g->v[i];
	if (most != NULL)
		snprintf(out, n, "%s", most->limit);
	else if (l->window.nlooking > 0)
		snprintf(out, n, "DNS: %zu domains are being looked up", l->window.nlooking);
}

/* When the windows of its routes will have let out all that was never tried: looked at once a minute. */
static int quota_ends(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct forecast f;
	const struct forecast_ask ask = {.messages = w->fresh, .rate = w->rate, .start = now};
	bool windows = false;
	for (size_t i = 0; i < w->plan.n; i++) {
		const struct rate_spec *r = &l->o.config->routes[w->plan.route[i]].rate;
		windows = windows || r->per_hour > 0 || r->per_day > 0;
	}
	if (!windows || w->fresh <= 0) {
		w->quota_end = 0;
		return 0;
	}
	if (now - w->quota_seen < MINUTE)
		return 0;
	if (forecast(&f, &w->plan, l->store, &ask, e) != 0)
		return -1;
	w->quota_seen = now;
	w->quota_end = f.nfull > 0 && f.end != INT64_MAX ? f.end : 0;
	return 0;
}

static int publish_campaign(
	struct ledger *l, struct watch *w, const struct gathered *g, ms_t now, struct err *e)
{
	struct live live = {.at = now, .next_attempt = w->next_due};
	ms_t blocked = watch_closed_until(l, w, now);
	if (blocked != 0)
		live.next_attempt = blocked;
	unsigned long total = atomic_load(&w->run->accepted);
	unsigned span = l->second < 7 ? l->second : 7;
	live.rate = span == 0 ? 0 : (double)(total - w->counted[(l->second - span) % 8]) / span;
	w->counted[l->second % 8] = total;
	live.connections = watch_connections(l, w);
	ms_t quiet = schedule_quiet(l->o.config, now);
	char when[CLOCK_TEXT];
	if (quiet != 0)
		snprintf(live.limit, sizeof live.limit, "quiet hours until %s",
			clock_text(l->o.config->zone, quiet, when));
	else if (w->state == CAMPAIGN_RUNNING || blocked != 0)
		watch_limit_text(l, w, now, live.limit, sizeof live.limit);
	if (live.limit[0] == '\0' && w->rate > 0 && w->state == CAMPAIGN_RUNNING)
		snprintf(live.limit, sizeof live.limit, "--rate %g/s", w->rate);
	if (live.limit[0] == '\0' && w->spread && w->state == CAMPAIGN_RUNNING)
		spread_limit_text(l, w, g, live.limit, sizeof live.limit);
	if (live.rate > 0 && w->fresh > 0)
		live.eta = now + (ms_t)((double)w->fresh / live.rate * 1000);
	if (quota_ends(l, w, now, e) != 0)
		return -1;
	if (w->quota_end > live.eta)
		live.eta = w->quota_end;
	return store_ledger_set_live(l->store, w->id, &live, e);
}

/* ---- Routes, providers, sites ---- */

static const char *route_state(struct route *r)
{
	pthread_mutex_lock(&r->lock);
	bool down = r->shaper.state == SHAPER_DOWN;
	pthread_mutex_unlock(&r->lock);
	bool closed = atomic_load(&r->closed_until) > clock_mono();
	if (down || route_lost(r) ||
		(!closed && atomic_load(&r->failures) > 0 && atomic_load(&r->connections) == 0))
		return "down";
	return closed ? "suspended" : "ok";
}

static struct live_group view_of(const struct ledger *l, const struct group_view *v)
{
	bool site = !v->shared || strchr(v->name, '.') != NULL;
	return (struct live_group){
		.kind = site ? LIVE_SITE : LIVE_PROVIDER,
		.name = str_from(v->name),
		.route = str_from(l->o.routes[v->route].cfg->name),
		.source = str_from(v->source),
		.state = str_from(v->state),
		.rate = v->rate,
		.connections = v->connections,
		.waiting = v->waiting,
		.limit = str_from(v->limit),
	};
}

static int publish_groups(struct ledger *l, const struct gathered *g, ms_t now, struct err *e)
{
	struct live_group v[GROUP_VIEWS + 64];
	char limits[64][160];
	size_t n = 0;
	for (size_t i = 0; i < l->o.nroutes && i < 64; i++) {
		struct route *r = &l->o.routes[i];
		struct pace *p = &l->paces[i];
		p->rate =
			p->rate == 0 ? (double)p->accepted : p->rate + 0.3 * ((double)p->accepted - p->rate);
		p->accepted = 0;
		if (p->rate < 0.01)
			p->rate = 0;
		int64_t work = atomic_load(&r->work);
		if (p->rate == 0 && work == 0 && atomic_load(&r->connections) == 0)
			continue;
		route_limit_text(r, l->o.config->zone, now, limits[i], sizeof limits[i]);
		v[n++] = (struct live_group){
			.kind = LIVE_ROUTE,
			.name = str_from(r->cfg->name),
			.route = str_from(r->cfg->name),
			.state = str_from(route_state(r)),
			.rate = p->rate,
			.connections = atomic_load(&r->connections),
			.waiting = work,
			.limit = str_from(limits[i]),
		};
	}
	for (size_t i = 0; i < g->n; i++)
		v[n++] = view_of(l, &g->v[i]);
	return store_ledger_set_groups(l->store, v, n, now, e);
}

int ledger_publish_live(struct ledger *l, ms_t now, struct err *e)
{
	struct gathered g;
	gather(l, &g);
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		if (w->run != NULL && publish_campaign(l, w, &g, now, e) != 0)
			return -1;
	}
	return publish_groups(l, &g, now, e);
}
