/* One even rate shared by all threads: a virtual scheduling clock (GCRA) in one atomic word.
 *
 * Over any second no more than rate + 1 starts are allowed (of a rate with a fraction: rounded up): starts
 * are spaced by 1/rate. Who comes late to one (timers do, by a ms or two, more on a busy machine) may be as
 * much earlier at the next, up to 10 ms: else 80/s would be 70. Above 250/s up to 4 ms may be caught up by
 * several at once, and the spacing grows by as much. */
#ifndef ENGINE_LIMITER_H
#define ENGINE_LIMITER_H

#include "src/base/clock.h"

#include <stdatomic.h>

struct limiter {
	_Atomic int64_t next; /* us: when the next start would be even */
	_Atomic int64_t step; /* us between starts; 0: no limit */
	_Atomic int64_t slack;
};

void limiter_set(struct limiter *l, double per_second); /* 0: none. Also while in use */
double limiter_rate(const struct limiter *l);
/* Takes a start now if one is free: 0. Otherwise nothing is taken, and the wait in us is returned. */
int64_t limiter_take(struct limiter *l, int64_t now_us);
/* The same without taking: 0, or the wait. */
int64_t limiter_wait(const struct limiter *l, int64_t now_us);
/* How many starts come free until `until_us`. */
int64_t limiter_room(const struct limiter *l, int64_t now_us, int64_t until_us);
/* No start before `until_us`: what a restart after a crash, or a receiver's wish, asks for. */
void limiter_hold(struct limiter *l, int64_t until_us);

#endif
