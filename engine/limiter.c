#include "engine/limiter.h"

#include <math.h>
#include <stdbool.h>

enum { SLACK_US = 4000, MOST_SLACK_US = 10000 };

void limiter_set(struct limiter *l, double per_second)
{
	if (!(per_second > 0)) {
		atomic_store(&l->step, 0);
		return;
	}
	/* Less than a start: no second passes rate + 1, and the flow stays what it is. */
	double step = 1e6 / per_second, slack = fmin(MOST_SLACK_US, step * 0.8);
	if (step < SLACK_US) {
		slack = SLACK_US;
		/* What may be caught up at once is missing from the even flow, so that no second passes rate
		 * + 1. */
		step = 1e6 / fmax(per_second - slack / step, per_second / 2);
	}
	atomic_store(&l->slack, (int64_t)slack);
	atomic_store(&l->step, (int64_t)ceil(step));
}

double limiter_rate(const struct limiter *l)
{
	int64_t step = atomic_load(&l->step);
	return step == 0 ? 0 : 1e6 / (double)step;
}

int64_t limiter_take(struct limiter *l, int64_t now_us)
{
	int64_t step = atomic_load_explicit(&l->step, memory_order_relaxed);
	if (step == 0)
		return 0;
	int64_t slack = atomic_load_explicit(&l->slack, memory_order_relaxed);
	int64_t next = atomic_load(&l->next);
	for (;;) {
		int64_t base = next < now_us - slack ? now_us - slack : next;
		if (base > now_us)
			return base - now_us;
		if (atomic_compare_exchange_weak(&l->next, &next, base + step))
			return 0;
	}
}

int64_t limiter_wait(const struct limiter *l, int64_t now_us)
{
	int64_t next = atomic_load_explicit(&l->next, memory_order_relaxed);
	bool none = atomic_load_explicit(&l->step, memory_order_relaxed) == 0;
	return none || next <= now_us ? 0 : next - now_us;
}

int64_t limiter_room(const struct limiter *l, int64_t now_us, int64_t until_us)
{
	int64_t step = atomic_load(&l->step);
	if (step == 0)
		return INT64_MAX;
	int64_t next = atomic_load(&l->next), base = next < now_us ? now_us : next;
	return base > until_us ? 0 : 1 + (until_us - base) / step;
}

void limiter_hold(struct limiter *l, int64_t until_us)
{
	int64_t next = atomic_load(&l->next);
	while (next < until_us && !atomic_compare_exchange_weak(&l->next, &next, until_us))
		;
}
