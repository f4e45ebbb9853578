#include "engine/shape/shaper_private.h"

#include <math.h>

/* How many connections a receiver bears: one more for each round of answers without trouble, as long as there
 * is work for it. Above MANY each further quarter must show that it gains something, else the receiver (or
 * our own machine) is busy already and more connections would only sit in its way. */
static const double MANY = 16, QUARTER = 1.25, GAIN = 1.05;
static const int64_t LOOK = 1 * US;
static const int64_t MORE_FIRST = 15 * US, MORE_MOST = 30 * 60 * US;

void shaper_window_start(struct shaper *s, double window)
{
	double most = s->limits.connections;
	s->window = window < 1 ? 1 : window > most ? most : window;
	s->gain.window = 0;
}

int shaper_window_now(const struct shaper *s, int64_t now)
{
	double w = s->window;
	if (s->top > 0 && w >= s->top)
		w = now < s->more_at ? s->top : s->top + 1;
	return w < s->limits.connections ? (int)w : s->limits.connections;
}

static void stop_at(struct shaper *s, int64_t now, double top)
{
	/* Of several that were tried at once each is refused: that is one answer. */
	bool same = s->top > 0 && now < s->more_at;
	s->top = s->window = fmax(top, 1);
	s->gain.window = 0;
	if (same)
		return;
	s->more_wait = s->more_wait == 0 ? MORE_FIRST : s->more_wait * 2;
	if (s->more_wait > MORE_MOST)
		s->more_wait = MORE_MOST;
	s->more_at = now + s->more_wait;
}

void shaper_window_full(struct shaper *s, int64_t now)
{
	s->full_at = now;
	stop_at(s, now, s->established);
}

void shaper_window_forget(struct shaper *s)
{
	if (s->top <= 0)
		return;
	s->top = 0;
	shaper_window_start(s, fmax(s->window, s->limits.start));
}

void shaper_window_shrink(struct shaper *s, double share)
{
	double stood = fmin(s->window, fmax(s->established, 1));
	shaper_window_start(s, floor(stood * share));
}

/* True: it may grow on. */
static bool gains(struct shaper *s, int64_t now)
{
	if (s->window < MANY || s->limits.relay)
		return true;
	if (s->gain.window == 0) { /* from here on it is measured */
		s->gain.window = s->window;
		s->gain.rate = 0;
		s->gain.since = now;
		s->gain.n = 0;
	}
	s->gain.n++;
	if (now - s->gain.since < LOOK)
		return s->window < s->gain.window * QUARTER;
	double rate = s->gain.n * (double)US / (double)(now - s->gain.since);
	if (s->window >= s->gain.window * QUARTER) {
		if (s->gain.rate > 0 && rate < s->gain.rate * GAIN) {
			stop_at(s, now, s->gain.window);
			return false;
		}
		s->gain.window = s->window;
		s->gain.rate = rate;
	} else if (s->gain.rate == 0) {
		s->gain.rate = rate;
	}
	s->gain.since = now;
	s->gain.n = 0;
	return true;
}

void shaper_window_answered(struct shaper *s, int64_t now)
{
	if (s->top > 0 && s->established > s->top) {
		/* One more is taken again. */
		s->window = s->established;
		s->top = 0;
		s->more_wait = 0;
	}
	if (!s->wanted || s->state == SHAPER_RECOVERING || s->window >= s->limits.connections)
		return;
	if ((s->top > 0 && s->window >= s->top) || !gains(s, now))
		return;
	double before = floor(s->window);
	s->window += 1 / s->window;
	if (floor(s->window) > before)
		s->wanted = false; /* until that one stands as well, and is not enough */
}
