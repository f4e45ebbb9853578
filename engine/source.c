#include "engine/source.h"

#include "src/db/usage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAYS_MAX = 512 };

static const ms_t STALLED = 3 * SECOND; /* who takes nothing for so long holds up no other source */

struct carried { /* by one source to one provider */
	struct carried *next;
	char provider[32];
	int64_t today;  /* the day that `n` and `volume` are of */
	int64_t volume; /* INT64_MAX: any */
	int64_t n;
	double dealt;
	ms_t last; /* monotonic */
};

struct place { /* a source of a route */
	const struct config_source *cfg;
	unsigned family;
	int64_t first_day; /* 0: none was said */
	struct carried *carried;
};

struct source_book {
	const struct config *config;
	struct store *store;
	struct place **routes; /* of each route, its sources */
	size_t *counts;
};

/* ---- Days ---- */

static ms_t offset(const struct zone *z, ms_t t)
{
	struct civil c;
	clock_civil(z, t, &c);
	return c.offset * SECOND;
}

int64_t source_day_of(const struct zone *z, ms_t t)
{
	return (t + offset(z, t)) / DAY;
}

ms_t source_day_ends(const struct zone *z, ms_t t)
{
	ms_t local = (source_day_of(z, t) + 1) * DAY, at = local - offset(z, t);
	/* The clock may be changed before that. */
	at = local - offset(z, at);
	return at > t ? at : t + MINUTE;
}

int64_t source_volume(const struct config_source *s, int64_t first_day, const struct source_day *days,
	size_t n, int64_t today)
{
	size_t step = 0;
	if (s->warm_up.n == 0)
		return INT64_MAX;
	if (first_day != 0) {
		if (today < first_day)
			return 0;
		step = (size_t)(today - first_day);
	} else {
		for (size_t i = 0; i < n && step < s->warm_up.n; i++)
			step += days[i].day < today && 2 * days[i].n >= s->warm_up.volume[step];
	}
	return step < s->warm_up.n ? s->warm_up.volume[step] : INT64_MAX;
}

/* ---- The book ---- */

int source_book_new(struct source_book **out, const struct config *c, struct store *s, struct err *e)
{
	struct source_book *b = calloc(1, sizeof *b);
	if (b == NULL)
		return err_set(e, ERR_INTERNAL, "source", "out of memory");
	*out = b;
	b->config = c;
	b->store = s;
	b->routes = calloc(c->nroutes + 1, sizeof(struct place *));
	b->counts = calloc(c->nroutes + 1, sizeof *b->counts);
	for (size_t r = 0; b->routes != NULL && b->counts != NULL && r < c->nroutes; r++) {
		if ((b->routes[r] = calloc(c->nsources + 1, sizeof(struct place))) == NULL)
			break;
		for (size_t i = 0; i < c->nsources; i++) {
			const struct config_source *cs = &c->sources[i];
			if (strcmp(cs->route, c->routes[r].name) != 0)
				continue;
			struct place *p = &b->routes[r][b->counts[r]++];
			p->cfg = cs;
			p->family = strchr(cs->address, ':') != NULL ? SOURCE_V6 : SOURCE_V4;
			p->first_day = cs->warm_up.start != 0 ? source_day_of(c->zone, cs->warm_up.start) : 0;
		}
	}
	if (b->counts != NULL && b->routes != NULL && (c->nroutes == 0 || b->routes[c->nroutes - 1] != NULL))
		return 0;
	source_book_free(out);
	return err_set(e, ERR_INTERNAL, "source", "out of memory");
}

void source_book_free(struct source_book **bp)
{
	struct source_book *b = *bp;
	if (b == NULL)
		return;
	for (size_t r = 0; b->routes != NULL && r < b->config->nroutes && b->routes[r] != NULL; r++) {
		for (size_t i = 0; i < b->counts[r]; i++)
			for (struct carried *k = b->routes[r][i].carried, *next; k != NULL; k = next) {
				next = k->next;
				free(k);
			}
		free(b->routes[r]);
	}
	free((void *)b->routes);
	free(b->counts);
	free(b);
	*bp = NULL;
}

size_t source_count(const struct source_book *b, size_t route)
{
	return b->counts[route];
}

/* ---- What was carried ---- */

struct days {
	struct source_day v[DAYS_MAX];
	size_t n;
};

static int one_day(void *ctx, int64_t day, int64_t n)
{
	struct days *d = ctx;
	if (d->n == DAYS_MAX) {
		memmove(d->v, d->v + 1, (DAYS_MAX - 1) * sizeof d->v[0]);
		d->n--;
	}
	d->v[d->n++] = (struct source_day){day, n};
	return 0;
}

static int begin_day(
	struct source_book *b, const struct place *p, struct carried *k, int64_t today, struct err *e)
{
	struct days d = {.n = 0};
	k->volume = INT64_MAX;
	k->n = 0;
	k->today = today;
	if (p->cfg->warm_up.n == 0)
		return 0;
	if (store_source_days(b->store, str_from(p->cfg->address), str_from(k->provider), one_day, &d, e) < 0)
		return -1;
	k->volume = source_volume(p->cfg, p->first_day, d.v, d.n, today);
	for (size_t i = 0; i < d.n; i++)
		if (d.v[i].day == today)
			k->n = d.v[i].n;
	return 0;
}

static struct carried *carried(
	struct source_book *b, struct place *p, struct str provider, ms_t now, struct err *e)
{
	struct carried *k = p->carried;
	int64_t today = source_day_of(b->config->zone, now);
	while (k != NULL && !str_is(provider, k->provider))
		k = k->next;
	if (k == NULL) {
		if ((k = calloc(1, sizeof *k)) == NULL) {
			err_set(e, ERR_INTERNAL, "source", "out of memory");
			return NULL;
		}
		snprintf(k->provider, sizeof k->provider, "%.*s", STR_ARG(provider));
		k->next = p->carried;
		p->carried = k;
	}
	if (k->today != today && begin_day(b, p, k, today, e) != 0) {
		k->today = 0;
		return NULL;
	}
	return k;
}

static int64_t room(const struct carried *k)
{
	return k->volume == INT64_MAX ? INT64_MAX : k->volume > k->n ? k->volume - k->n : 0;
}

/* ---- Choosing ---- */

int source_pick(struct source_book *b, size_t route, struct str provider, unsigned families, ms_t now,
	ms_t *until, struct err *e)
{
	int best = SOURCE_NONE, full = SOURCE_NONE;
	double least = INFINITY, least_full = INFINITY;
	struct carried *chosen = NULL;
	for (size_t i = 0; i < b->counts[route]; i++) {
		struct place *p = &b->routes[route][i];
		if ((p->family & families) == 0)
			continue;
		struct carried *k = carried(b, p, provider, now, e);
		if (k == NULL)
			return SOURCE_WAIT;
		double load = k->dealt / p->cfg->weight;
		if (room(k) > 0 && load < least) {
			least = load;
			best = (int)i;
			chosen = k;
		} else if (room(k) == 0 && load < least_full && (full < 0 || p->cfg->warm_up.wait)) {
			least_full = p->cfg->warm_up.wait ? load : INFINITY;
			full = (int)i;
		}
	}
	/* Where mail is to wait for the one that is full, it does as soon as that one would be next. */
	if (best >= 0 && !(full >= 0 && least_full < least)) {
		/* One to whom nothing can go now shall not be the next for ever. */
		chosen->dealt++;
		return best;
	}
	if (best < 0 && full < 0)
		return SOURCE_NONE;
	*until = source_day_ends(b->config->zone, now);
	return SOURCE_WAIT;
}

bool source_fits(const struct source_book *b, size_t route, int source, unsigned families)
{
	return (size_t)source < b->counts[route] && (b->routes[route][source].family & families) != 0;
}

bool source_has_room(struct source_book *b, size_t route, int source, struct str provider, ms_t now)
{
	const struct carried *k = carried(b, &b->routes[route][source], provider, now, NULL);
	return k != NULL && room(k) > 0;
}

/* Does its share hold up the others'? */
static bool counts(const struct place *p, const struct carried *k, ms_t mono)
{
	if (room(k) == 0)
		return p->cfg->warm_up.wait;
	return k->last != 0 && mono - k->last < STALLED;
}

int source_allow(struct source_book *b, size_t route, int source, struct str provider, int most, ms_t now,
	struct err *e)
{
	struct carried *mine = carried(b, &b->routes[route][source], provider, now, e);
	double weight = b->routes[route][source].cfg->weight, weights = 0, dealt = 0;
	ms_t mono = clock_mono();
	if (mine == NULL)
		return -1;
	for (size_t i = 0; i < b->counts[route]; i++) {
		struct place *p = &b->routes[route][i];
		const struct carried *k = (int)i == source ? NULL : carried(b, p, provider, now, e);
		if (k == NULL || !counts(p, k, mono))
			continue;
		weights += p->cfg->weight;
		dealt += k->dealt;
	}
	/* From now on its share is kept; what the others carried before it does not catch up on. */
	if (mine->last == 0 || mono - mine->last >= STALLED) {
		mine->last = mono;
		mine->dealt = weights > 0 ? weight * dealt / weights : 0;
	}
	int64_t may = room(mine);
	if (weights > 0) {
		double all = dealt + mine->dealt, lead = 8 + fmin(all / 50, 1000);
		double kept = floor(weight / (weights + weight) * (all + lead)) + 1 - mine->dealt;
		if (kept < (double)may)
			may = kept > 0 ? (int64_t)kept : 0;
	}
	return may < most ? (int)may : most;
}

int source_used(
	struct source_book *b, size_t route, int source, struct str provider, int n, ms_t now, struct err *e)
{
	struct place *p = &b->routes[route][source];
	struct carried *k = carried(b, p, provider, now, e);
	if (k == NULL)
		return -1;
	if (n <= 0)
		return 0;
	k->n += n;
	k->dealt += n;
	k->last = clock_mono();
	if (p->cfg->warm_up.n == 0)
		return 0;
	return store_source_add(b->store, str_from(p->cfg->address), provider, k->today, n, e);
}
