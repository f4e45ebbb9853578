#include "engine/shape/shaper_private.h"

#include <math.h>

/* How the rate that a receiver bears is found.
 *
 * Receivers count in different ways: by the second, by the minute, by a bucket that fills slowly. What all
 * have in common: over the time from one complaint to the end of the pause behind it they took as much as
 * they are willing to take. So after the pause it goes on with that rate, at most 1 - DEPTH of the one at
 * which it complained; from there along a cubic curve, fast at first, flat around the ceiling, then steeper
 * again, as RFC 9438 does for TCP: most of the time is spent close below what the receiver bears, and one
 * that bears more than before is followed within a minute or two.
 *
 * A try beyond costs some refused messages, so there is at most one in TRY_MESSAGES messages. */
static const double DEPTH = 0.08;   /* below the rate of the complaint */
static const double CAUTION = 0.97; /* the new ceiling, of the rate at which it complained */
static const double GROWTH = 0.35;  /* beyond the ceiling, after as long as the way to it took */
static const double TRY_MESSAGES = 200;
static const double TRY_SECONDS = 18;
static const double LATE_SECONDS = 60;
static const unsigned FEW = 50; /* messages between two complaints */
static const double GUESS = 5;  /* a second, where next to nothing was taken before the first complaint */
static const double SEEK_MESSAGES = 20, SEEK_SECONDS = 2;
static const double SLOWEST = 1.0 / 60; /* a message a minute */
static const double IN_USE = 0.7;       /* a rate that is not used says nothing about the receiver */
static const int64_t SPAN = 5 * US;

void shaper_rate_served(struct shaper *s, int64_t now, unsigned n)
{
	if (s->served[0].n == 0) {
		s->served[0].since = now;
	} else if (now - s->served[0].since > SPAN) {
		s->served[1] = s->served[0];
		s->served[0].since = now;
		s->served[0].n = 0;
	}
	s->served[0].n += n;
	if (s->cycle.n == 0)
		s->cycle.since = now;
	s->cycle.n += n;
}

double shaper_rate_measured(const struct shaper *s, int64_t now, unsigned more)
{
	int64_t since = s->served[0].since;
	unsigned n = s->served[0].n;
	if (n > 0 && s->served[1].n > 0 && since - s->served[1].since < 3 * SPAN) {
		since = s->served[1].since;
		n += s->served[1].n;
	}
	if (n == 0)
		return more;
	double span = (double)(now - since) / (double)US;
	return (n + more) / fmax(span, 1);
}

bool shaper_rate_in_use(const struct shaper *s, int64_t now)
{
	return s->rate > 0 && shaper_rate_measured(s, now, 0) >= IN_USE * s->rate;
}

void shaper_rate_set(struct shaper *s, double rate)
{
	double most = s->limits.rate.per_second;
	if (rate > 0 && rate < SLOWEST)
		rate = SLOWEST;
	s->rate = rate;
	limiter_set(&s->pace, rate > 0 && (most <= 0 || rate < most) ? rate : most);
}

static double curve(const struct shaper *s)
{
	double u = s->progress, d = u - 1;
	return u < 1 ? s->ceiling * (1 + s->depth * d * d * d) : s->ceiling * (1 + GROWTH * d * d * d);
}

/* Up by that factor for each few messages. */
static void seek(struct shaper *s)
{
	shaper_rate_set(s, s->rate * exp2(log2(s->search) / fmax(SEEK_MESSAGES, SEEK_SECONDS * s->rate)));
}

void shaper_rate_grow(struct shaper *s, int64_t now)
{
	double passed = (double)(now - s->grown_at) / (double)US;
	s->grown_at = now;
	if (s->ceiling <= 0 || !shaper_rate_in_use(s, now))
		return;
	if (s->search > 0) {
		seek(s);
	} else {
		/* A long silence is no progress. */
		double way = fmax(s->way, TRY_MESSAGES / s->rate), most = 4 / s->rate;
		s->progress += fmin(passed, most) / way;
		shaper_rate_set(s, curve(s));
	}
	if (s->limits.rate.per_second > 0 && s->progress > 1 && s->rate > 1.5 * s->limits.rate.per_second)
		shaper_rate_set(s, 0);
}

void shaper_rate_begin(struct shaper *s, int64_t now, double rate)
{
	s->ceiling = rate;
	s->depth = DEPTH;
	s->progress = 0;
	s->search = 0;
	s->way = TRY_SECONDS;
	s->grown_at = now;
	shaper_rate_set(s, rate * (1 - DEPTH));
}

void shaper_rate_resume(struct shaper *s, int64_t now)
{
	double cycle = (s->cycle.n + 1) / fmax((double)(now - s->cycle.since) / (double)US, 1),
	       bears = fmax(shaper_rate_measured(s, now, 1), s->cycle.n > 0 ? cycle : 0), was = s->rate;
	double ceiling = was > 0 ? was * CAUTION : bears, rate = fmin(bears, ceiling * (1 - DEPTH));
	if (s->cycle.n < FEW) {
		/* So few say little: halve the rate at most, and look for the right one. */
		rate = was > 0 ? fmin(fmax(rate, was / 2), was * (1 - DEPTH)) : fmax(rate, GUESS);
		s->search = s->search == 0 ? 2 : 1 + (s->search - 1) / 2;
	}
	if (s->cycle.n >= FEW || s->search < 1.2)
		s->search = 0;
	/* The ceiling was never real. */
	if (rate < ceiling / 2 || rate > ceiling)
		ceiling = rate / (1 - DEPTH);
	/* Who says it late (a receiver that counts by the minute) is asked more slowly. */
	s->way = fmin(fmax(TRY_SECONDS, 10 * (double)(now - s->since) / (double)US), LATE_SECONDS);
	s->ceiling = ceiling;
	s->depth = 1 - rate / ceiling;
	s->progress = 0;
	s->grown_at = now;
	s->served[0].n = s->served[1].n = 0;
	s->cycle.since = now;
	s->cycle.n = 1;
	shaper_rate_set(s, rate);
}
