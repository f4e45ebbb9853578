#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/shape/shaper.h"
#include "src/db/delivery.h"

/* A shaper against models of receivers that refuse what is above N messages a second, on a clock of its own:
 * without being told anything it must find N, follow it, and be refused hardly ever. */

#define US    INT64_C(1000000)
#define TICK  (US / 1000)
#define LINKS 50

enum how { BY_SECOND, BY_MINUTE, BY_BUCKET };

struct receiver {
	enum how how;
	double n;      /* a second */
	double bucket; /* seconds' worth that it holds */
	int most;      /* connections; the next are refused at the greeting */
	bool closes;   /* 421: the connection is over */
	int late;      /* us: our own timers are, on the average */
	/* state */
	double tokens;
	int64_t filled, window;
	unsigned count;
};

struct phase {
	double n;
	int64_t seconds;
};

struct result {
	double share, refused; /* of N, of attempts: from the third minute on */
	double refused_in_all;
	int connections; /* the most at once */
};

static bool takes(struct receiver *r, int64_t now)
{
	if (r->how == BY_BUCKET) {
		double most = r->n * r->bucket < 1 ? 1 : r->n * r->bucket;
		r->tokens += (double)(now - r->filled) / (double)US * r->n;
		r->filled = now;
		if (r->tokens > most)
			r->tokens = most;
		if (r->tokens < 1)
			return false;
		r->tokens--;
		return true;
	}
	int64_t length = r->how == BY_SECOND ? US : 60 * US, window = now / length;
	if (window != r->window) {
		r->window = window;
		r->count = 0;
	}
	if (r->count >= r->n * (double)(length / US))
		return false;
	r->count++;
	return true;
}

struct link {
	enum { CLOSED, OPENING, READY, ASKED, DECIDED } state;
	int64_t at, arrives, answered; /* began; at the receiver; here again */
	bool taken;
};

struct world {
	struct shaper s;
	struct receiver r;
	struct link links[LINKS];
	int64_t now, rtt, awake;
	int open; /* at the receiver */
	unsigned long accepted, refused, late_accepted, late_refused;
	int most;
};

static const struct verdict slow = {
	.class = CLASS_BLOCK, .scope = SCOPE_SITE, .action = ACTION_SLOW, .reason = {"rate-limited", 12}};

static void link_answered(struct world *w, struct link *k, bool late)
{
	shaper_answer(&w->s, w->now, k->at, k->taken ? SHAPER_ACCEPTED : SHAPER_ANSWERED,
		k->taken ? NULL : &slow, STR("too fast"));
	*(k->taken ? &w->accepted : &w->refused) += 1;
	if (late)
		*(k->taken ? &w->late_accepted : &w->late_refused) += 1;
	k->state = READY;
	if (!k->taken && w->r.closes) {
		k->state = CLOSED;
		w->open--;
		shaper_closed(&w->s, w->now, 1, false);
	}
}

static void link_opened(struct world *w, struct link *k)
{
	if (w->open >= w->r.most) {
		k->state = CLOSED;
		shaper_connect_failed(&w->s, w->now, SHAPER_GREETING, NULL, STR("421 too many"));
		return;
	}
	w->open++;
	shaper_established(&w->s, w->now);
	k->state = READY;
	if (w->s.established > w->most)
		w->most = w->s.established;
}

static void tick(struct world *w, bool late)
{
	for (struct link *k = w->links; k < w->links + LINKS; k++) {
		if (k->state == OPENING && w->now >= k->answered)
			link_opened(w, k);
		if (k->state == ASKED && w->now >= k->arrives) {
			k->taken = takes(&w->r, w->now);
			k->state = DECIDED;
		}
		if (k->state == DECIDED && w->now >= k->answered)
			link_answered(w, k, late);
	}
	bool held = w->now < w->awake;
	for (struct link *k = w->links; k < w->links + LINKS && !held; k++) {
		if (k->state != READY)
			continue;
		int64_t wait = shaper_may_send(&w->s, w->now);
		held = wait != 0;
		if (held && wait != SHAPER_LATER && w->r.late > 0)
			w->awake = w->now + wait + rand() % (2 * w->r.late);
		if (held)
			break;
		shaper_start(&w->s, w->now);
		*k = (struct link){.state = ASKED, .at = w->now, .answered = w->now + w->rtt};
		k->arrives = w->now + w->rtt * 4 / 10 + rand() % (w->rtt / 5);
	}
	for (struct link *k = w->links; k < w->links + LINKS && !held; k++) {
		if (k->state != CLOSED)
			continue;
		if (shaper_may_connect(&w->s, w->now) != 0)
			break;
		shaper_connecting(&w->s, w->now);
		*k = (struct link){.state = OPENING, .answered = w->now + 3 * w->rtt};
	}
}

static struct result run(struct receiver r, int connections, ms_t rtt, const struct phase *phases, size_t n,
	struct result *each)
{
	struct limits l = {.connections = connections,
		.start = connections < 2 ? connections : 2,
		.suspend = 5 * MINUTE,
		.suspend_most = 2 * HOUR,
		.down_most = 15 * MINUTE,
		.recover = MINUTE};
	struct world *w = calloc(1, sizeof *w);
	struct result all = {.share = 1};
	assert_non_null(w);
	srand(1);
	w->rtt = rtt * 1000;
	w->r = r;
	shaper_init(&w->s, &l, 0);
	for (size_t p = 0; p < n; p++) {
		int64_t begin = w->now, settled = begin + 120 * US, end = begin + phases[p].seconds * US;
		w->r.n = phases[p].n;
		w->late_accepted = w->late_refused = 0;
		if (p == 0)
			w->r.tokens = w->r.n * w->r.bucket;
		for (; w->now < end; w->now += TICK)
			tick(w, w->now >= settled);
		unsigned long tried = w->late_accepted + w->late_refused;
		each[p].share = (double)w->late_accepted / ((double)(end - settled) / (double)US * w->r.n);
		each[p].refused = tried > 0 ? (double)w->late_refused / (double)tried : 0;
	}
	all.refused_in_all = (double)w->refused / (double)(w->accepted + w->refused);
	all.connections = w->most;
	free(w);
	return all;
}

static const struct phase changing[] = {{50, 240}, {20, 240}, {80, 240}, {10, 240}, {40, 240}};

static void check(struct receiver r, int connections, ms_t rtt, double least)
{
	struct result each[5], all;
	if (r.most == 0)
		r.most = LINKS;
	all = run(r, connections, rtt, changing, 5, each);
	for (size_t i = 0; i < 5; i++) {
		if (each[i].share < least || each[i].share > 1.03 || each[i].refused > 0.02)
			fail_msg("%g/s, %d connections, %d ms: %.1f %% of it are accepted, %.2f %% of the "
				 "attempts "
				 "refused",
				changing[i].n, connections, (int)rtt, each[i].share * 100,
				each[i].refused * 100);
	}
	if (all.refused_in_all > 0.02)
		fail_msg("%d connections, %d ms: in all %.2f %% of the attempts are refused", connections,
			(int)rtt, all.refused_in_all * 100);
}

static void counts_by_the_second(void **state)
{
	(void)state;
	check((struct receiver){.how = BY_SECOND}, 10, 20, 0.85);
	check((struct receiver){.how = BY_SECOND}, 50, 100, 0.85);
	check((struct receiver){.how = BY_SECOND}, 50, 500, 0.85);
	check((struct receiver){.how = BY_SECOND}, 9, 100, 0.85);
}

static void counts_by_a_bucket(void **state)
{
	(void)state;
	check((struct receiver){.how = BY_BUCKET, .bucket = 0.3}, 10, 20, 0.85);
	check((struct receiver){.how = BY_BUCKET, .bucket = 1}, 50, 100, 0.85);
	check((struct receiver){.how = BY_BUCKET, .bucket = 10}, 50, 100, 0.85);
	check((struct receiver){.how = BY_BUCKET, .bucket = 60}, 20, 20, 0.85);
}

static void closes_when_it_refuses(void **state)
{
	(void)state;
	check((struct receiver){.how = BY_SECOND, .closes = true}, 20, 100, 0.85);
	check((struct receiver){.how = BY_BUCKET, .bucket = 1, .closes = true}, 50, 20, 0.85);
}

/* At 80/s 4 ms are a third of the time from one message to the next. */
static void on_a_busy_machine__whose_timers_are_late(void **state)
{
	(void)state;
	check((struct receiver){.how = BY_SECOND, .late = 4000}, 50, 100, 0.9);
	check((struct receiver){.how = BY_SECOND, .late = 4000, .closes = true}, 50, 20, 0.9);
}

/* It says only once a minute that it was too much: still no storm of refusals, and most of what it takes. */
static void counts_by_the_minute(void **state)
{
	(void)state;
	const struct phase steady[] = {{30, 600}, {10, 600}};
	struct result each[2], all;
	struct receiver r = {.how = BY_MINUTE, .most = LINKS};
	all = run(r, 20, 100, steady, 2, each);
	assert_true(all.refused_in_all <= 0.02);
	assert_true(each[0].share >= 0.75 && each[1].share >= 0.75);
}

/* One connection that is slower than the receiver: nothing to find out. */
static void slower_than_the_receiver__is_never_refused(void **state)
{
	(void)state;
	const struct phase steady[] = {{50, 180}};
	struct result each[1], all;
	struct receiver r = {.how = BY_SECOND, .most = LINKS};
	all = run(r, 1, 100, steady, 1, each);
	assert_true(all.refused_in_all == 0);
	assert_true(each[0].share > 0.195); /* 10/s over one connection */
}

static void takes_2_or_50_connections__both_at_their_best(void **state)
{
	(void)state;
	const struct phase free_run[] = {{100000, 240}};
	struct result each[1], all;
	struct receiver r = {.how = BY_SECOND, .most = 2};
	all = run(r, 50, 100, free_run, 1, each);
	assert_int_equal(all.connections, 2);
	assert_true(each[0].share * 100000 > 0.95 * 20);
	r.most = LINKS;
	all = run(r, 50, 100, free_run, 1, each);
	assert_int_equal(all.connections, 50);
	assert_true(each[0].share * 100000 > 0.95 * 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_by_the_second),
		cmocka_unit_test(counts_by_a_bucket),
		cmocka_unit_test(closes_when_it_refuses),
		cmocka_unit_test(on_a_busy_machine__whose_timers_are_late),
		cmocka_unit_test(counts_by_the_minute),
		cmocka_unit_test(slower_than_the_receiver__is_never_refused),
		cmocka_unit_test(takes_2_or_50_connections__both_at_their_best),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
