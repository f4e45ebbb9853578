#include "engine/ledger_private.h"

#include "src/base/log.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const ms_t STALLED = 5 * SECOND; /* without any answer: others take over its share */
static const ms_t GRACE = 5 * SECOND;   /* to make the first connection before its share is given away */
static const ms_t OUT = HOUR;           /* after a refused login or sender it is tried again */

/* ---- How the routes are ---- */

static bool has_window(const struct route *r, ms_t now)
{
	return atomic_load(&r->window_until) <= now;
}

/* Can mail be given to it, as far as is known? */
static bool usable(const struct route *r, ms_t now)
{
	bool answers = atomic_load(&r->connections) > 0 || atomic_load(&r->failures) == 0;
	return answers && !route_lost(r) && has_window(r, now) &&
	       atomic_load(&r->closed_until) <= clock_mono();
}

void ledger_look_at_routes(struct ledger *l, ms_t now)
{
	for (size_t i = 0; i < l->o.nroutes; i++)
		l->usable[i] = usable(&l->o.routes[i], now);
}

/* ---- A campaign's routes ---- */

static struct via *find(const struct watch *w, size_t route)
{
	for (size_t i = 0; i < w->plan.n; i++)
		if (w->plan.route[i] == route)
			return &w->via[i];
	return NULL;
}

/* What was wrong with it when the delivery began, nothing mends before the next begins. */
static void leave_out_broken(struct ledger *l, struct watch *w, size_t i)
{
	struct route *r = &l->o.routes[w->plan.route[i]];
	if (!r->broken)
		return;
	w->via[i].out = true;
	w->via[i].out_until = INT64_MAX;
	pthread_mutex_lock(&r->lock);
	snprintf(w->via[i].text, sizeof w->via[i].text, "%.230s", r->trouble);
	pthread_mutex_unlock(&r->lock);
	if (w->run != NULL)
		atomic_store(&w->run->out[w->plan.route[i]], true);
}

static bool covered(const struct ledger *l, struct watch *w, struct err *e)
{
	bool out[ROUTES_MAX];
	const char *why = "";
	size_t broken = 0;
	for (size_t i = 0; i < w->plan.n; i++) {
		out[i] = l->o.routes[w->plan.route[i]].broken;
		if (out[i] && broken++ == 0)
			why = w->via[i].text;
	}
	if (broken == 0 || route_plan_covers(&w->plan, out))
		return true;
	err_set(e, ERR_CONFIG, "route", "%s", why);
	w->plan.n = 0;
	return false;
}

int watch_plan(struct ledger *l, struct watch *w, struct str names, struct err *e)
{
	struct via *had = w->via;
	struct route_plan before = w->plan;
	if (names.n == 0 && l->o.nroutes > 0)
		names = str_from(l->o.routes[0].cfg->name);
	w->via = NULL;
	if (route_plan_named(&w->plan, l->o.config, names, e) == 0) {
		w->via = calloc(w->plan.n, sizeof *w->via);
		if (w->via == NULL)
			err_set(e, ERR_INTERNAL, "route", "out of memory");
	}
	/* How it goes out was fixed with its audience. */
	if (w->via != NULL && w->plan.by_destination && !w->spread) {
		err_set(e, ERR_CONFIG, "route",
			"its routes deliver by destination now, and when it began they did not");
		free(w->via);
		w->via = NULL;
	}
	if (w->via == NULL)
		w->plan.n = 0;
	for (size_t i = 0; i < w->plan.n; i++) {
		for (size_t k = 0; k < before.n; k++)
			if (before.route[k] == w->plan.route[i])
				w->via[i] = had[k];
		leave_out_broken(l, w, i);
	}
	free(had);
	return w->via != NULL && covered(l, w, e) ? 0 : -1;
}

bool watch_uses(const struct watch *w, size_t route, const bool *up)
{
	bool regular = false;
	const struct via *mine = NULL;
	for (size_t i = 0; i < w->plan.n; i++) {
		size_t r = w->plan.route[i];
		if (r == route)
			mine = &w->via[i];
		else if (!w->via[i].out && w->plan.config->routes[r].weight != 0)
			regular = regular || up[r];
	}
	if (mine == NULL || mine->out)
		return false;
	/* One in reserve has mail only while no other can take it. */
	return w->plan.config->routes[route].weight != 0 || !regular;
}

/* ---- Shares ---- */

/* Is its share kept for it? Not while it is down, nor while it takes claims and answers nothing. */
static bool counts(const struct ledger *l, const struct watch *w, size_t i)
{
	const struct route *r = &l->o.routes[w->plan.route[i]];
	const struct via *v = &w->via[i];
	ms_t now = clock_mono(), heard = atomic_load(&r->good_at);
	if (!watch_uses(w, w->plan.route[i], l->usable) || !l->usable[w->plan.route[i]])
		return false;
	if (heard < v->claimed_at)
		heard = v->claimed_at;
	return atomic_load(&r->connections) > 0 ? v->in_flight == 0 || now - heard < STALLED
						: now - w->running_since < GRACE;
}

int watch_share(struct ledger *l, struct watch *w, size_t route, int max)
{
	if (!w->plan.weighted || w->plan.n == 1 || w->plan.by_destination)
		return max;
	double weights = 0, dealt = 0;
	bool changed = false;
	for (size_t i = 0; i < w->plan.n; i++) {
		bool now = counts(l, w, i);
		changed = changed || now != w->via[i].counts;
		w->via[i].counts = now;
	}
	for (size_t i = 0; i < w->plan.n; i++) {
		struct via *v = &w->via[i];
		double weight = w->plan.config->routes[w->plan.route[i]].weight;
		/* Who comes back does not catch up on what it missed. */
		if (changed)
			v->dealt = 0;
		v->weight = weight > 0 ? weight : 1;
		if (v->counts) {
			weights += v->weight;
			dealt += v->dealt;
		}
	}
	const struct via *v = find(w, route);
	assert(v != NULL); /* it is of the plan */
	if (!v->counts)
		return max;
	double lead = 8 * (double)w->plan.n + fmin(dealt / 50, 2000);
	double most = floor(v->weight / weights * (dealt + lead)) + 1 - v->dealt;
	return most < 0 ? 0 : most < max ? (int)most : max;
}

void watch_dealt(struct watch *w, size_t route, int n)
{
	struct via *v = find(w, route);
	if (v == NULL || n == 0)
		return;
	v->dealt += n;
	v->in_flight += n;
	v->claimed_at = clock_mono();
}

void watch_undealt(struct watch *w, size_t route)
{
	struct via *v = find(w, route);
	if (v != NULL && v->in_flight > 0)
		v->in_flight--;
}

/* ---- By destination ---- */

size_t watch_pick(const struct ledger *l, const struct watch *w, struct str provider)
{
	struct route_pick picks[ROUTES_MAX];
	bool *up = l->picking;
	for (size_t i = 0; i < w->plan.n; i++)
		up[w->plan.route[i]] = l->usable[w->plan.route[i]] && !w->via[i].out;
	size_t n = route_choice(&w->plan, provider, up, picks);
	/* Where none can take it, it waits for one that could. */
	if (n == 0) {
		for (size_t i = 0; i < w->plan.n; i++)
			up[w->plan.route[i]] = !w->via[i].out;
		n = route_choice(&w->plan, provider, up, picks);
	}
	if (n == 0)
		n = route_choice(&w->plan, provider, NULL, picks);
	size_t best = n > 0 ? picks[0].route : w->plan.route[0];
	double least = INFINITY;
	for (size_t i = 0; i < n; i++) {
		const struct via *v = find(w, picks[i].route);
		assert(v != NULL); /* it is of the plan */
		double load = (w->plan.weighted ? v->dealt : (double)v->in_flight) / picks[i].weight;
		if (load < least) {
			least = load;
			best = picks[i].route;
		}
	}
	return best;
}

bool watch_serves(const struct watch *w, size_t route, struct str provider)
{
	struct route_pick picks[ROUTES_MAX];
	size_t n = route_choice(&w->plan, provider, NULL, picks);
	for (size_t i = 0; i < n; i++)
		if (picks[i].route == route)
			return true;
	return w->plan.config->routes[route].weight == 0;
}

/* ---- Routes that a campaign does without ---- */

static void set_out(struct watch *w, struct via *v, bool out)
{
	v->out = out;
	if (w->run != NULL)
		atomic_store(&w->run->out[w->plan.route[v - w->via]], out);
}

bool watch_leave_out(struct watch *w, size_t route, ms_t now, const char *why, const char *text)
{
	struct via *v = find(w, route);
	bool out[ROUTES_MAX];
	for (size_t i = 0; i < w->plan.n; i++)
		out[i] = w->via[i].out || &w->via[i] == v;
	if (v == NULL || !route_plan_covers(&w->plan, out))
		return false;
	if (!v->out)
		log_warn("campaign %s goes on without route %s (%s): %s", w->name,
			w->plan.config->routes[route].name, why, text);
	snprintf(v->text, sizeof v->text, "%s", text);
	v->out_until = now + OUT;
	set_out(w, v, true);
	return true;
}

void watch_let_in(struct watch *w, ms_t now)
{
	for (size_t i = 0; i < w->plan.n; i++)
		if (w->via[i].out && w->via[i].out_until != INT64_MAX &&
			(now == 0 || w->via[i].out_until <= now))
			set_out(w, &w->via[i], false);
}

/* ---- What people see ---- */

ms_t watch_blocked_until(const struct ledger *l, const struct watch *w, ms_t now)
{
	ms_t first = 0;
	for (size_t i = 0; i < w->plan.n; i++) {
		const struct route *r = &l->o.routes[w->plan.route[i]];
		ms_t window = atomic_load(&r->window_until),
		     closed = atomic_load(&r->closed_until) - clock_mono();
		ms_t until = window > now ? window : 0;
		/* A short rest at the server's wish is nothing to go home for. */
		if (closed > 2 * MINUTE && now + closed > until)
			until = now + closed;
		if (w->via[i].out)
			continue;
		if (until == 0)
			return 0;
		if (first == 0 || until < first)
			first = until;
	}
	return first;
}

void watch_limit_text(struct ledger *l, const struct watch *w, ms_t now, char *out, size_t n)
{
	out[0] = '\0';
	for (size_t i = 0; i < w->plan.n && out[0] == '\0'; i++) {
		struct route *r = &l->o.routes[w->plan.route[i]];
		if (w->via[i].out)
			snprintf(out, n, "route %s is left out: %.120s", r->cfg->name, w->via[i].text);
		else if (watch_uses(w, w->plan.route[i], l->usable))
			route_limit_text(r, l->o.config->zone, now, out, n);
	}
	char when[CLOCK_TEXT];
	if (out[0] == '\0' && w->warm_until > now && w->errands == 0 && !w->look)
		snprintf(out, n, "the volume of sources that are warming up is used until %s",
			clock_text(l->o.config->zone, w->warm_until, when));
}

int watch_connections(const struct ledger *l, const struct watch *w)
{
	int n = 0;
	for (size_t i = 0; i < w->plan.n; i++)
		n += atomic_load(&l->o.routes[w->plan.route[i]].connections);
	return n;
}
