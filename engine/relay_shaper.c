#include "engine/route.h"

/* What nothing depends on passes without the lock: a message that begins or is accepted while the relay takes
 * all that comes. */

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct shaper *take(struct route *r)
{
	pthread_mutex_lock(&r->lock);
	shaper_accepted(&r->shaper, now_us(), atomic_exchange(&r->accepted, 0));
	return &r->shaper;
}

static void leave(struct route *r)
{
	atomic_store(&r->easy, shaper_easy(&r->shaper));
	atomic_store(&r->failures, shaper_failures(&r->shaper));
	atomic_store(&r->closed_until, shaper_paused_until(&r->shaper) / 1000);
	atomic_store(&r->messages, shaper_messages(&r->shaper, now_us()));
	pthread_mutex_unlock(&r->lock);
}

static bool easy(struct route *r)
{
	return atomic_load_explicit(&r->easy, memory_order_relaxed);
}

int64_t route_may_send(struct route *r, int64_t now)
{
	if (easy(r))
		return 0;
	int64_t wait = shaper_may_send(take(r), now);
	leave(r);
	return wait;
}

int64_t route_begin(struct route *r, int64_t now)
{
	if (easy(r))
		return 0;
	struct shaper *s = take(r);
	int64_t wait = shaper_may_send(s, now);
	if (wait == 0)
		shaper_start(s, now);
	leave(r);
	return wait;
}

void route_answer(
	struct route *r, int64_t begun, enum shaper_answer a, const struct verdict *v, struct str text)
{
	if (easy(r) && (a == SHAPER_ACCEPTED || a == SHAPER_UNTRIED)) {
		atomic_fetch_add_explicit(&r->accepted, a == SHAPER_ACCEPTED, memory_order_relaxed);
		return;
	}
	shaper_answer(take(r), now_us(), begun, a, v, text);
	leave(r);
}

int64_t route_connect(struct route *r, int64_t now)
{
	struct shaper *s = take(r);
	int64_t wait = shaper_may_connect(s, now);
	if (wait == 0)
		shaper_connecting(s, now);
	leave(r);
	return wait;
}

void route_connected(struct route *r)
{
	shaper_established(take(r), now_us());
	leave(r);
}

void route_not_connected(struct route *r, enum shaper_fault how, const struct verdict *v, struct str text)
{
	shaper_connect_failed(take(r), now_us(), how, v, text);
	leave(r);
}

void route_disconnected(struct route *r, unsigned messages, bool early)
{
	shaper_closed(take(r), now_us(), messages, early);
	leave(r);
}

int64_t route_room(struct route *r, int64_t now, int64_t until)
{
	if (easy(r))
		return INT64_MAX;
	int64_t room = shaper_room(take(r), now, until);
	leave(r);
	return room;
}

int route_connections(struct route *r)
{
	int n = shaper_connections(take(r), now_us());
	leave(r);
	return n;
}

unsigned route_messages(struct route *r)
{
	return atomic_load_explicit(&r->messages, memory_order_relaxed);
}
