#include "engine/quota.h"

#include "engine/schedule.h"
#include "src/db/usage.h"

#include <math.h>
#include <stdlib.h>

enum { HOUR_MINUTES = 61, DAY_MINUTES = 1441 }; /* the one in which a window begins counts whole */

static const ms_t FAR = 400 * DAY;

/* What went out in each of the last minutes, up to `minute`. */
struct window {
	const struct config_route *route;
	int64_t minute;                           /* of the newest cell, since 1970 */
	int64_t hour, day, hour_begun, day_begun; /* used: as time goes on, and as read */
	double credit;                            /* of the even rate, not yet used */
	bool filled;
	int64_t cell[DAY_MINUTES];
};

static int64_t *cell(struct window *w, int64_t minute)
{
	return &w->cell[minute % DAY_MINUTES];
}

static int one_minute(void *ctx, ms_t at, int64_t n)
{
	struct window *w = ctx;
	int64_t minute = at / MINUTE;
	if (minute > w->minute) /* the clock was set back since */
		minute = w->minute;
	*cell(w, minute) += n;
	w->day += n;
	if (w->minute - minute < HOUR_MINUTES)
		w->hour += n;
	return 0;
}

static int window_read(
	struct window *w, struct store *s, const struct config_route *r, ms_t now, struct err *e)
{
	*w = (struct window){.route = r, .minute = now / MINUTE};
	if (r->rate.per_hour == 0 && r->rate.per_day == 0)
		return 0;
	if (store_usage_minutes(s, str_from(r->name), now - DAY, one_minute, w, e) < 0)
		return -1;
	w->hour_begun = w->hour;
	w->day_begun = w->day;
	return 0;
}

static void window_next(struct window *w)
{
	w->minute++;
	w->hour -= *cell(w, w->minute - HOUR_MINUTES);
	w->day -= *cell(w, w->minute); /* the oldest, whose place the new one takes */
	*cell(w, w->minute) = 0;
}

static void window_use(struct window *w, int64_t n)
{
	*cell(w, w->minute) += n;
	w->hour += n;
	w->day += n;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t window_room(const struct window *w)
{
	const struct rate_spec *r = &w->route->rate;
	int64_t room = INT64_MAX;
	if (r->per_hour > 0)
		room = least(room, r->per_hour - w->hour);
	if (r->per_day > 0)
		room = least(room, r->per_day - w->day);
	return room > 0 ? room : 0;
}

/* ---- Now ---- */

static void describe(const struct window *w, struct quota *q)
{
	const struct rate_spec *r = &w->route->rate;
	int64_t hour = r->per_hour > 0 ? r->per_hour - w->hour : INT64_MAX,
		day = r->per_day > 0 ? r->per_day - w->day : INT64_MAX;
	q->room = window_room(w);
	if (q->room == INT64_MAX)
		return;
	q->span = day <= hour ? DAY : HOUR;
	q->limit = day <= hour ? r->per_day : r->per_hour;
	q->used = day <= hour ? w->day : w->hour;
}

int quota_read(struct quota *q, struct store *s, const struct config_route *r, ms_t now, struct err *e)
{
	struct window w;
	*q = (struct quota){.room = INT64_MAX};
	if (window_read(&w, s, r, now, e) != 0)
		return -1;
	describe(&w, q);
	for (int i = 0; q->room == 0 && i <= DAY_MINUTES && q->until == 0; i++) {
		window_next(&w);
		if (window_room(&w) > 0)
			q->until = w.minute * MINUTE;
	}
	return 0;
}

int quota_read_named(struct quota *q, struct store *s, const char *name, const struct rate_spec *rate,
	ms_t now, struct err *e)
{
	const struct config_route like = {.name = name, .rate = *rate};
	return quota_read(q, s, &like, now, e);
}

/* ---- Ahead ---- */

struct play {
	struct forecast *f;
	const struct route_plan *plan;
	const struct forecast_ask *ask;
	struct window *windows; /* of the plan's routes, in its order */
	bool *usable;           /* of the configuration's */
	int64_t left;
	bool unlimited; /* some went where nothing limits the pace */
	double credit;  /* of the campaign's own rate */
	ms_t now;
};

static struct window *window_of(struct play *p, size_t route)
{
	for (size_t i = 0;; i++)
		if (p->plan->route[i] == route)
			return &p->windows[i];
}

/* What the route can take in this minute. */
static double minute_room(struct play *p, const struct window *w)
{
	double room = (double)window_room(w), rate = w->route->rate.per_second;
	if (rate > 0)
		room = fmin(room, w->credit);
	return p->ask->rate > 0 ? fmin(room, p->credit) : room;
}

static void note_full(struct play *p, struct window *w)
{
	struct forecast *f = p->f;
	if (w->filled || window_room(w) > 0)
		return;
	w->filled = true;
	struct quota *q = &f->full[f->nfull].quota;
	f->full[f->nfull++].route = w->route;
	describe(w, q);
	q->used = q->span == DAY ? w->day_begun : w->hour_begun;
	q->room = q->limit > q->used ? q->limit - q->used : 0;
}

static int64_t give(struct play *p, struct window *w, double most)
{
	int64_t n = least(p->left, most >= 9e15 ? INT64_MAX : (int64_t)most);
	if (n <= 0)
		return 0;
	p->unlimited = p->unlimited || minute_room(p, w) >= 9e15;
	if (p->f->start == 0)
		p->f->start = p->now;
	window_use(w, n);
	w->credit -= (double)n;
	p->credit -= (double)n;
	p->left -= n;
	/* It would have taken more than that. */
	if (p->left > 0)
		note_full(p, w);
	return n;
}

/* One minute's mail, as the ledger deals it. */
static void minute(struct play *p)
{
	struct route_pick picks[ROUTES_MAX];
	for (size_t i = 0; i < p->plan->n; i++)
		p->usable[p->plan->route[i]] = window_room(&p->windows[i]) > 0;
	size_t n = route_choice(p->plan, str_n(NULL, 0), p->usable, picks);
	double shares = 0, all = INFINITY;
	for (size_t i = 0; i < n; i++)
		shares += picks[i].weight;
	/* Where shares are kept, the slowest sets the pace of all. */
	for (size_t i = 0; i < n && p->plan->weighted; i++)
		all = fmin(all, minute_room(p, window_of(p, picks[i].route)) * shares / picks[i].weight);
	all = fmin(all, (double)p->left);
	for (size_t i = 0; i < n && p->left > 0; i++) {
		struct window *w = window_of(p, picks[i].route);
		double room = minute_room(p, w);
		if (p->plan->weighted)
			room = fmin(room, ceil(all * picks[i].weight / shares));
		give(p, w, room);
	}
}

/* The rates' credit of the coming minute. */
static void credit(struct play *p)
{
	for (size_t i = 0; i < p->plan->n; i++) {
		struct window *w = &p->windows[i];
		w->credit = fmin(w->credit, 1) + w->route->rate.per_second * 60;
	}
	p->credit = fmin(p->credit, 1) + p->ask->rate * 60;
}

static void play(struct play *p)
{
	const ms_t begin = p->ask->start;
	while (p->now - begin < FAR) {
		ms_t quiet = schedule_quiet(p->plan->config, p->now);
		int64_t had = p->left;
		credit(p);
		if (quiet == 0)
			minute(p);
		if (p->left == 0) {
			double rate = p->f->rate;
			ms_t took = rate > 0 ? (ms_t)((double)had / rate * 1000) : 0;
			p->f->end = p->now + (took < MINUTE ? took : MINUTE);
			return;
		}
		p->now = (p->now / MINUTE + 1) * MINUTE;
		for (size_t i = 0; i < p->plan->n; i++)
			while (p->windows[i].minute < p->now / MINUTE)
				window_next(&p->windows[i]);
	}
	p->f->end = INT64_MAX;
}

/* The pace while no window is full. */
static double pace(const struct play *p)
{
	struct route_pick picks[ROUTES_MAX];
	size_t n = route_choice(p->plan, str_n(NULL, 0), NULL, picks);
	double sum = 0, shares = 0, slowest = INFINITY;
	for (size_t i = 0; i < n; i++)
		shares += picks[i].weight;
	for (size_t i = 0; i < n; i++) {
		double rate = p->plan->config->routes[picks[i].route].rate.per_second;
		sum += rate > 0 ? rate : INFINITY;
		if (rate > 0)
			slowest = fmin(slowest, rate * shares / picks[i].weight);
	}
	double all = p->plan->weighted ? slowest : sum;
	if (p->ask->rate > 0)
		all = fmin(all, p->ask->rate);
	return isinf(all) ? 0 : all;
}

int forecast(struct forecast *f, const struct route_plan *plan, struct store *s,
	const struct forecast_ask *ask, struct err *e)
{
	struct play p = {.f = f, .plan = plan, .ask = ask, .left = ask->messages, .now = ask->start};
	int rc = -1;
	*f = (struct forecast){0};
	p.windows = calloc(plan->n, sizeof *p.windows);
	p.usable = calloc(plan->config->nroutes, sizeof *p.usable);
	if (p.windows == NULL || p.usable == NULL) {
		err_set(e, ERR_INTERNAL, "forecast", "out of memory");
		goto done;
	}
	for (size_t i = 0; i < plan->n; i++)
		if (window_read(&p.windows[i], s, &plan->config->routes[plan->route[i]], ask->start, e) != 0)
			goto done;
	for (size_t i = 0; i < plan->n; i++)
		note_full(&p, &p.windows[i]);
	f->rate = pace(&p);
	play(&p);
	if ((f->nfull == 0 && f->rate == 0) || p.unlimited)
		f->end = 0;
	rc = 0;
done:
	free(p.windows);
	free(p.usable);
	return rc;
}
