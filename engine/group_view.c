/* What status shows of a direct route's groups: each worker writes down the busiest and the troubled ones,
 * once a second. */
#include "engine/worker_private.h"

#include <stdio.h>

static const double LATEST = 0.3; /* weight of the last second in the rate shown */

/* The troubled first, then by what waits, then by speed. */
static double weight(const struct group *g)
{
	bool troubled = g->shaper.state != SHAPER_OK;
	return (troubled && g->waiting > 0 ? 1e9 : 0) + (double)g->waiting + g->rate;
}

/* Keeps the heaviest, heaviest first. */
static void offer(struct group **top, size_t *n, struct group *g)
{
	size_t at = *n;
	if (*n == GROUP_VIEWS && weight(g) <= weight(top[*n - 1]))
		return;
	if (*n < GROUP_VIEWS)
		(*n)++;
	else
		at--;
	for (; at > 0 && weight(top[at - 1]) < weight(g); at--)
		top[at] = top[at - 1];
	top[at] = g;
}

static void full_text(const struct group *g, const char *who, const struct zone *z, struct group_view *v)
{
	const struct rate_spec *r = &g->shaper.limits.rate;
	char day[40] = "", hour[40] = "", when[CLOCK_TEXT];
	if (r->per_day > 0)
		snprintf(day, sizeof day, "%lld a day", (long long)r->per_day);
	if (r->per_hour > 0)
		snprintf(hour, sizeof hour, "%lld an hour", (long long)r->per_hour);
	snprintf(v->limit, sizeof v->limit, "%s: %s%s%s, used up until %s", who, hour,
		hour[0] != '\0' && day[0] != '\0' ? ", " : "", day,
		clock_text(z, clock_now() + g->full_until - clock_mono(), when));
}

static void describe(struct worker *w, const struct group *g, struct group_view *v)
{
	char who[140];
	v->route = g->route;
	v->shared = g->shared;
	snprintf(v->name, sizeof v->name, "%s", g->name);
	snprintf(v->state, sizeof v->state, "%s", shaper_state_names[g->shaper.state]);
	snprintf(v->source, sizeof v->source, "%s", g->source != NULL ? g->source->cfg->address : "");
	v->rate = g->rate;
	v->connections = g->shaper.established;
	v->waiting = g->waiting;
	snprintf(who, sizeof who, "%s %.120s",
		g->shared && strchr(g->name, '.') == NULL ? "provider" : "site", g->name);
	if (g->full_until > clock_mono())
		full_text(g, who, w->o.config->zone, v);
	else
		shaper_limit_text(&g->shaper, who, w->o.config->zone, mono_us(), clock_now(), v->limit,
			sizeof v->limit);
	/* Where nothing waits, nothing binds, whatever the last "no" was for. */
	if (g->waiting == 0 && g->shaper.state == SHAPER_OK)
		v->limit[0] = '\0';
}

void group_views_write(struct worker *w)
{
	struct group *top[GROUP_VIEWS];
	struct group_view v[GROUP_VIEWS];
	size_t n = 0;
	for (struct lane *l = w->lanes; l != NULL; l = l->next)
		if (l->dest != NULL && l->dest->group != NULL) {
			l->dest->group->waiting += atomic_load(&l->hatch.work) + (int)l->count;
			l->dest->group->full_until = atomic_load(&l->hatch.full_until);
		}
	for (size_t i = 0; i < GROUP_SLOTS; i++)
		for (struct group *g = w->groups[i]; g != NULL; g = g->chain) {
			g->rate = g->rate == 0 ? (double)g->accepted
					       : g->rate + LATEST * ((double)g->accepted - g->rate);
			g->accepted = 0;
			if (g->rate < 0.01)
				g->rate = 0;
			if (g->waiting > 0 || g->rate > 0 || g->shaper.established > 0)
				offer(top, &n, g);
		}
	for (size_t i = 0; i < n; i++)
		describe(w, top[i], &v[i]);
	for (size_t i = 0; i < GROUP_SLOTS; i++)
		for (struct group *g = w->groups[i]; g != NULL; g = g->chain)
			g->waiting = 0;
	pthread_mutex_lock(&w->lock);
	/* describe() filled all n of them. */
	/* cppcheck-suppress uninitvar */
	memcpy(w->views, v, n * sizeof *v);
	w->nviews = n;
	pthread_mutex_unlock(&w->lock);
}

size_t worker_views(struct worker *w, struct group_view out[GROUP_VIEWS])
{
	pthread_mutex_lock(&w->lock);
	size_t n = w->nviews;
	memcpy(out, w->views, n * sizeof *out);
	pthread_mutex_unlock(&w->lock);
	return n;
}
