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
static const double SLOWEST = 1.0 / 60; /* a message a minute */
static const double IN_USE = 0.7;       /* a rate that is not used says nothing about the receiver */
static const int64_t SPAN = 5 * US;

void rate_served(struct shaper *s, int64_t now)
{
	if (s->served[0].n == 0) {
		s->served[0].since = now;
	} else if (now - s->served[0].since > SPAN) {
		s->served[1] = s->served[0];
		s->served[0].since = now;
		s->served[0].n = 0;
	}
	s->served[0].n++;
}

double rate_measured(const struct shaper *s, int64_t now, unsigned more)
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

void rate_set(struct shaper *s, double rate)
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

void rate_grow(struct shaper *s, int64_t now)
{
	double passed = (double)(now - s->grown_at) / (double)US;
	s->grown_at = now;
	if (s->rate <= 0 || s->ceiling <= 0)
		return;
	if (rate_measured(s, now, 0) < IN_USE * s->rate)
		return;
	/* A long silence is no progress. */
	double way = fmax(TRY_SECONDS, TRY_MESSAGES / s->rate), most = 4 / s->rate;
	s->progress += fmin(passed, most) / way;
	rate_set(s, curve(s));
	if (s->limits.rate.per_second > 0 && s->progress > 1 && s->rate > 1.5 * s->limits.rate.per_second)
		rate_set(s, 0);
}

void rate_begin(struct shaper *s, int64_t now, double rate)
{
	s->ceiling = rate;
	s->depth = DEPTH;
	s->progress = 0;
	s->grown_at = now;
	rate_set(s, rate * (1 - DEPTH));
}

void rate_resume(struct shaper *s, int64_t now)
{
	double bears = rate_measured(s, now, 1), was = s->rate;
	double ceiling = was > 0 ? was * CAUTION : bears, rate = fmin(bears, ceiling * (1 - DEPTH));
	/* Far below: the ceiling was never real. */
	if (rate < ceiling / 2)
		ceiling = rate / (1 - DEPTH);
	s->ceiling = ceiling;
	s->depth = 1 - rate / ceiling;
	s->progress = 0;
	s->grown_at = now;
	s->served[0].n = s->served[1].n = 0;
	rate_set(s, rate);
}
