#include "engine/hold.h"

#include "src/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BUCKETS = 20,
	BUCKET = HOLD_WINDOW / BUCKETS,
	SETS = 512, /* of WAYS groups each: 4,096 in all */
	WAYS = 8,
	USUAL_LEAST = 1000,  /* answers, before a usual share is known */
	USUAL_MOST = 100000, /* then the past counts half */
	UNUSUAL_LEAST = 20,  /* unknown ones, whatever the share */
	KEPT_LEAST = 20,     /* answers, for a group to be kept: a burst may be cut by the end of a process */
	FORMAT = 2,
};

static const double SHARE = 0.10, TIMES = 5;
static const ms_t REACH = 7 * DAY; /* what was said before is not of the same burst */

struct bucket {
	int of, unknown;
	ms_t began; /* the earliest answer: they come from several workers, not quite in order */
};

struct group {
	char *name; /* NULL: free */
	struct bucket v[BUCKETS];
	int at;
	int64_t of, unknown;             /* in the window */
	int64_t usual_of, usual_unknown; /* before it; bursts apart */
	bool burst, dirty;
	ms_t last_unknown;
	uint64_t asked; /* the newest number of an answer: the lowest is forgotten first */
};

struct holds {
	struct group sets[SETS][WAYS];
	uint64_t asked;
};

struct holds *holds_new(void)
{
	return calloc(1, sizeof(struct holds));
}

void holds_free(struct holds **h)
{
	for (int i = 0; *h != NULL && i < SETS * WAYS; i++)
		free((*h)->sets[i / WAYS][i % WAYS].name);
	free(*h);
	*h = NULL;
}

/* The group's place; another's is taken if there is none. NULL: out of memory. */
static struct group *place(struct holds *h, struct str name)
{
	struct group *set = h->sets[hash64(name) % SETS], *oldest = NULL;
	for (int i = 0; i < WAYS; i++) {
		if (set[i].name != NULL && str_is(name, set[i].name))
			return &set[i];
		/* One in a burst goes last. */
		if (oldest == NULL || set[i].name == NULL ||
			(oldest->name != NULL && oldest->burst && !set[i].burst) ||
			(oldest->name != NULL && oldest->burst == set[i].burst &&
				set[i].asked < oldest->asked))
			oldest = &set[i];
	}
	char *copy = strndup(name.p, name.n);
	if (copy == NULL)
		return NULL;
	free(oldest->name);
	*oldest = (struct group){.name = copy};
	return oldest;
}

static void clear_window(struct group *g)
{
	memset(g->v, 0, sizeof g->v);
	g->at = 0;
	g->of = g->unknown = 0;
}

static void into_usual(struct group *g, int of, int unknown)
{
	g->usual_of += of;
	g->usual_unknown += unknown;
	if (g->usual_of > USUAL_MOST) {
		g->usual_of /= 2;
		g->usual_unknown /= 2;
	}
}

static void count(struct group *g, bool unknown, ms_t now)
{
	struct bucket *b = &g->v[g->at];
	if (b->of == BUCKET) {
		g->at = (g->at + 1) % BUCKETS;
		b = &g->v[g->at];
		g->of -= b->of;
		g->unknown -= b->unknown;
		if (!g->burst)
			into_usual(g, b->of, b->unknown);
		*b = (struct bucket){0};
	}
	if (b->of == 0 || now < b->began)
		b->began = now;
	b->of++;
	b->unknown += unknown;
	g->of++;
	g->unknown += unknown;
	g->dirty = true;
	if (unknown)
		g->last_unknown = now;
}

static double usual(const struct group *g)
{
	return g->usual_of < USUAL_LEAST ? 0 : (double)g->usual_unknown / (double)g->usual_of;
}

/* The share above which it is a burst. */
static double limit(const struct group *g)
{
	double often = usual(g) * TIMES;
	return g->usual_of >= USUAL_LEAST && often < SHARE ? often : SHARE;
}

/* The burst began with the first of the newest buckets that are worse than half its limit. */
static ms_t burst_began(const struct group *g, ms_t now)
{
	ms_t since = g->v[g->at].began;
	for (int i = 0; i < BUCKETS; i++) {
		const struct bucket *b = &g->v[(g->at + BUCKETS - i) % BUCKETS];
		if (b->of == 0 || (b->of == BUCKET && (double)b->unknown < limit(g) / 2 * (double)b->of))
			break;
		if (b->began < since)
			since = b->began;
	}
	return since > now - REACH ? since : now - REACH;
}

static enum hold_change in_burst(struct group *g, bool unknown, ms_t now)
{
	/* What comes later is judged anew, and may be of another burst. */
	bool quiet = now - g->last_unknown > DAY;
	count(g, unknown, now);
	if (quiet || (g->of >= HOLD_AFTER && (double)g->unknown < limit(g) / 2 * (double)g->of)) {
		g->burst = false;
		return HOLD_ENDS;
	}
	return unknown ? HOLD_GOES_ON : HOLD_NOTHING;
}

enum hold_change holds_count(struct holds *h, struct str name, bool unknown, ms_t now, ms_t *since)
{
	struct group *g = place(h, name);
	if (g == NULL)
		return HOLD_NOTHING;
	g->asked = ++h->asked;
	if (g->burst)
		return in_burst(g, unknown, now);
	count(g, unknown, now);
	/* Not only at an unknown one: the answer that makes them enough to judge may be the last for long. */
	if (g->of < HOLD_AFTER || g->unknown < UNUSUAL_LEAST ||
		(double)g->unknown <= limit(g) * (double)g->of)
		return HOLD_NOTHING;
	*since = burst_began(g, now);
	g->burst = true;
	clear_window(g);
	return HOLD_BEGINS;
}

/* ---- Keeping ---- */

/* The window's buckets with something in them, oldest first: answers, unknown, began. */
static void put_window(struct buf *text, const struct group *g)
{
	for (int i = 1; i <= BUCKETS; i++) {
		const struct bucket *b = &g->v[(g->at + i) % BUCKETS];
		if (b->of != 0)
			buf_printf(text, " %d %d %" PRId64, b->of, b->unknown, b->began);
	}
}

int holds_save(struct holds *h, int (*save)(void *ctx, struct str group, struct str text), void *ctx)
{
	struct buf text = BUF_INIT(4096);
	int rc = 0;
	for (int i = 0; i < SETS * WAYS && rc == 0; i++) {
		struct group *g = &h->sets[i / WAYS][i % WAYS];
		if (g->name == NULL || !g->dirty || (!g->burst && g->of + g->usual_of < KEPT_LEAST))
			continue;
		g->dirty = false;
		buf_clear(&text);
		buf_printf(&text, "%d %d %" PRId64 " %" PRId64 " %" PRId64, FORMAT, g->burst, g->usual_of,
			g->usual_unknown, g->last_unknown);
		put_window(&text, g);
		rc = save(ctx, str_from(g->name), buf_get(&text));
	}
	buf_release(&text);
	return rc;
}

static bool get_window(struct str *s, struct group *g)
{
	int64_t of, unknown, began;
	for (int i = 0; str_trim(*s).n != 0; i++) {
		if (i == BUCKETS || !str_next_int(s, 0, BUCKET, &of) || !str_next_int(s, 0, of, &unknown) ||
			!str_next_int(s, 0, INT64_MAX, &began))
			return false;
		g->at = i;
		g->v[i] = (struct bucket){(int)of, (int)unknown, began};
		g->of += of;
		g->unknown += unknown;
	}
	return true;
}

bool holds_load(struct holds *h, struct str name, struct str text)
{
	int64_t format, burst;
	struct group got = {0};
	if (name.n == 0 || !str_next_int(&text, 0, FORMAT, &format) || format != FORMAT ||
		!str_next_int(&text, 0, 1, &burst) || !str_next_int(&text, 0, USUAL_MOST, &got.usual_of) ||
		!str_next_int(&text, 0, got.usual_of, &got.usual_unknown) ||
		!str_next_int(&text, 0, INT64_MAX, &got.last_unknown) || !get_window(&text, &got))
		return false;
	struct group *g = place(h, name);
	if (g == NULL)
		return false;
	got.name = g->name;
	got.burst = burst != 0;
	*g = got;
	return true;
}
