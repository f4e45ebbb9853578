/* What the files of a shaper share: shaper.c (questions, pauses, recovery), shaper_window.c (connections),
 * shaper_rate.c (messages a second), shaper_text.c (words for people). */
#ifndef ENGINE_SHAPE_SHAPER_PRIVATE_H
#define ENGINE_SHAPE_SHAPER_PRIVATE_H

#include "engine/shape/shaper.h"

#define US_PER_MS INT64_C(1000)
#define US        INT64_C(1000000)

/* ---- shaper_window.c ---- */
void shaper_window_start(struct shaper *s, double window);
void shaper_window_answered(struct shaper *s, int64_t now);
/* One more connection was not taken while `established` stood. */
void shaper_window_full(struct shaper *s, int64_t now);
/* None stands any more: how many were taken beside others says nothing now. */
void shaper_window_forget(struct shaper *s);
void shaper_window_shrink(struct shaper *s, double share);
int shaper_window_now(const struct shaper *s, int64_t now);

/* ---- shaper_rate.c ---- */
void shaper_rate_served(struct shaper *s, int64_t now, unsigned n);
/* Messages a second that were answered well of late, `more` of them on top. */
double shaper_rate_measured(const struct shaper *s, int64_t now, unsigned more);
/* Is there one that the receiver bears, and is it what mail waits for? */
bool shaper_rate_in_use(const struct shaper *s, int64_t now);
void shaper_rate_set(struct shaper *s, double rate);  /* 0: as limits.rate says */
void shaper_rate_grow(struct shaper *s, int64_t now); /* after a good answer */
/* Anew, and back to that rate; 0: none is known. */
void shaper_rate_begin(struct shaper *s, int64_t now, double rate);
void shaper_rate_resume(
	struct shaper *s, int64_t now); /* after a brief pause, with what it took over that time */

#endif
