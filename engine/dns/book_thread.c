/* The book's thread: runs lookups, and finds out whether the resolver passes DNSSEC on. */
#include "engine/dns/book.h"

#include "src/base/log.h"

#include <stdlib.h>

enum {
	RUNNING_MAX = 256, /* lookups at a time: some eight questions each */
	SLOW_MAX = 2048,   /* more of them whose answer is long in coming: they hold up nobody else */
};

static const ms_t TICK = 250;
static const ms_t IDLE = 60 * SECOND;
static const ms_t SLOW = 100;
static const ms_t PROBE_LIMIT = 5 * SECOND; /* no answer is an answer too */
static const ms_t PROBE_AGAIN = 30 * SECOND;

/* ---- For lookups ---- */

static int on_ask(void *ctx, struct dns_query *q, const char *name, enum dns_type type)
{
	return resolver_ask(((struct sites *)ctx)->resolver, q, name, type);
}

static void on_cancel(void *ctx, struct dns_query *q)
{
	resolver_cancel(((struct sites *)ctx)->resolver, q);
}

static int on_fetch(
	void *ctx, struct policy_fetch *f, const char *host, const struct sockaddr_storage *addrs, size_t n)
{
	return fetcher_start(((struct sites *)ctx)->fetcher, f, host, addrs, n);
}

static void on_fetch_cancel(void *ctx, struct policy_fetch *f)
{
	fetcher_cancel(((struct sites *)ctx)->fetcher, f);
}

static bool on_policy(void *ctx, const char *domain, struct sts_policy *out)
{
	return policies_find(&((struct sites *)ctx)->policies, domain, out);
}

static void on_done(void *ctx, struct lookup *l)
{
	struct sites *b = ctx;
	struct running *r = l->owner;
	r->next_done = b->done;
	b->done = r;
}

/* ---- Does the resolver pass DNSSEC on? ---- */

static const char *whose(const struct sites *b)
{
	return b->o.nresolvers != 0 ? b->o.resolvers[0] : "/etc/resolv.conf";
}

static struct sites *book_of(struct dns_query *q)
{
	return (struct sites *)((char *)q - offsetof(struct sites, probe_query));
}

/* Where no trust anchor is configured, mail must not stop because the network's resolver strips signatures,
 * as many do: then nothing is validated, and nobody gets DANE. So the root's keys are asked for first; where
 * they cannot be had, a second resolver that validates nothing finds out whether DNS works at all. It is
 * freed by book_run(): the answer comes out of its own ub_process(), which goes on with it. */
static void probe_over(struct sites *b, bool known)
{
	b->probe = known ? PROBE_DONE : PROBE_NEEDED;
	b->probe_at = clock_mono() + PROBE_AGAIN;
}

static void on_plain_answer(struct dns_query *q, const struct dns_answer *a)
{
	struct sites *b = book_of(q);
	if (a->kind == DNS_FAILED) {
		log_warn("dns: the resolver (%s) does not answer", whose(b));
		probe_over(b, false);
		return;
	}
	log_warn("dns: the resolver (%s) does not pass DNSSEC on: nothing is validated, and DANE is off "
		 "(name one that "
		 "does, or resolver = root, in the route)",
		whose(b));
	struct resolver *old = b->resolver;
	b->resolver = b->plain;
	b->plain = old;
	probe_over(b, true);
}

static void on_root_keys(struct dns_query *q, const struct dns_answer *a)
{
	struct sites *b = book_of(q);
	struct err e = {0};
	if (a->secure) {
		probe_over(b, true);
		return;
	}
	log_debug("dns: the root's keys: %s", a->why != NULL ? a->why : "not signed");
	q->answered = on_plain_answer;
	if (resolver_new(&b->plain, &b->o, TRUST_NONE, &e) != 0) {
		log_err(LOG_LEVEL_WARN, &e);
		probe_over(b, false);
		return;
	}
	b->probe_at = clock_mono() + PROBE_LIMIT;
	q->open = resolver_ask(b->plain, q, ".", DNS_NS) == 0;
	if (!q->open)
		probe_over(b, false);
}

static void probe(struct sites *b, ms_t now)
{
	static const struct dns_answer none = {.kind = DNS_FAILED, .why = "no answer in time"};
	struct dns_query *q = &b->probe_query;
	if (b->probe == PROBE_ASKED && now >= b->probe_at && q->open) {
		resolver_cancel(b->plain != NULL ? b->plain : b->resolver, q);
		q->open = false;
		q->answered(q, &none);
	}
	if (b->probe != PROBE_NEEDED || now < b->probe_at || b->nrunning > 0)
		return;
	b->probe = PROBE_ASKED;
	b->probe_at = now + PROBE_LIMIT;
	*q = (struct dns_query){.answered = on_root_keys};
	q->open = resolver_ask(b->resolver, q, ".", DNS_DNSKEY) == 0;
	if (!q->open)
		probe_over(b, false);
}

/* ---- Lookups ---- */

static struct entry *next_in_line(struct sites *b, bool *no_fetch, ms_t now)
{
	pthread_mutex_lock(&b->lock);
	struct entry *e = b->line;
	if (e != NULL) {
		b->line = e->next;
		if (b->line == NULL)
			b->line_end = &b->line;
		*no_fetch = now < e->no_fetch_until;
	}
	pthread_mutex_unlock(&b->lock);
	return e;
}

static void run_add(struct sites *b, struct running *r)
{
	r->older = b->youngest;
	*(b->youngest != NULL ? &b->youngest->younger : &b->running) = r;
	b->youngest = r;
	if (b->brisk == NULL)
		b->brisk = r;
	b->nrunning++;
}

static void run_remove(struct sites *b, struct running *r)
{
	*(r->older != NULL ? &r->older->younger : &b->running) = r->younger;
	*(r->younger != NULL ? &r->younger->older : &b->youngest) = r->older;
	if (b->brisk == r)
		b->brisk = r->younger;
	b->nrunning--;
	b->nslow -= r->slow;
}

static void start_some(struct sites *b, ms_t now)
{
	bool no_fetch = false;
	while (b->probe != PROBE_ASKED && b->nrunning - b->nslow < RUNNING_MAX && b->nslow < SLOW_MAX) {
		struct entry *e = next_in_line(b, &no_fetch, now);
		if (e == NULL)
			return;
		struct running *r = calloc(1, sizeof *r);
		struct lookup *l = r != NULL ? lookup_new(&b->o, &b->ops, str_from(e->domain)) : NULL;
		if (l == NULL) {
			free(r);
			book_unanswered(b, e);
			return;
		}
		*r = (struct running){.entry = e, .lookup = l, .since = now};
		run_add(b, r);
		l->owner = r;
		lookup_start(l, now, clock_now(), no_fetch);
	}
}

static void reap(struct sites *b, ms_t now)
{
	for (struct running *r = b->done, *next; r != NULL; r = next) {
		next = r->next_done;
		book_answered(b, r, now);
		lookup_free(&r->lookup);
		run_remove(b, r);
		b->answered++;
		free(r);
	}
	b->done = NULL;
}

/* Deadlines; they are not so exact that every answer had to look at them. */
static void look_at_clock(struct sites *b, ms_t now)
{
	for (; b->brisk != NULL && now - b->brisk->since >= SLOW; b->brisk = b->brisk->younger) {
		b->brisk->slow = true;
		b->nslow++;
	}
	if (now < b->look_at)
		return;
	b->look_at = now + TICK;
	for (struct running *r = b->running; r != NULL; r = r->younger)
		lookup_tick(r->lookup, now);
}

static bool line_waits(struct sites *b)
{
	pthread_mutex_lock(&b->lock);
	bool waits = b->line != NULL;
	pthread_mutex_unlock(&b->lock);
	return waits;
}

/* How long nothing needs to be looked at, if nothing is answered. */
static ms_t longest(struct sites *b)
{
	bool waits = line_waits(b);
	if (!waits && b->nrunning == 0 && b->probe != PROBE_ASKED)
		return IDLE;
	if (!waits || b->brisk == NULL)
		return TICK;
	ms_t left = b->brisk->since + SLOW - clock_mono();
	return left < 1 ? 1 : left < TICK ? left : TICK;
}

void book_run(struct sites *b)
{
	b->ops = (struct dns_ops){on_ask, on_cancel, on_fetch, on_fetch_cancel, on_policy, on_done, b};
	while (!atomic_load(&b->stop)) {
		fetcher_wait(b->fetcher, resolver_fd(b->resolver),
			b->plain != NULL ? resolver_fd(b->plain) : -1, longest(b));
		resolver_process(b->resolver);
		if (b->plain != NULL)
			resolver_process(b->plain);
		fetcher_process(b->fetcher);
		ms_t now = clock_mono();
		if (b->probe != PROBE_DONE && (b->nrunning > 0 || line_waits(b)))
			probe(b, now);
		if (b->probe != PROBE_ASKED)
			resolver_free(&b->plain);
		look_at_clock(b, now);
		reap(b, now);
		start_some(b, now);
		reap(b, now); /* literals need no question */
		if (b->answered > 0 && b->o.answered != NULL)
			b->o.answered(b->o.ctx, b->answered);
		b->answered = 0;
	}
	for (struct running *r = b->running, *next; r != NULL; r = next) {
		next = r->younger;
		lookup_free(&r->lookup);
		free(r);
	}
	if (b->probe_query.open)
		resolver_cancel(b->plain != NULL ? b->plain : b->resolver, &b->probe_query);
	resolver_free(&b->plain);
}
