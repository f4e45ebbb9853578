#include "engine/dns/book.h"

#include "lists/address.h"
#include "src/base/hash.h"
#include "src/base/log.h"

#include <signal.h>
#include <stdlib.h>

static const ms_t SHORTEST = MINUTE, LONGEST = 60 * MINUTE; /* an answer is kept */
static const ms_t FETCH_PAUSE = 5 * MINUTE; /* after a policy that could not be fetched (RFC 8461 3.3) */

/* ---- Entries: under the lock ---- */

static uint64_t bucket_hash(const struct sites *b, struct str domain)
{
	return hash64_keyed(b->hash_key, domain);
}

static struct entry *find(struct sites *b, struct str domain, uint64_t hash)
{
	for (struct entry *e = b->buckets[hash & b->mask]; e != NULL; e = e->chain)
		if (e->hash == hash && str_is(domain, e->domain))
			return e;
	return NULL;
}

static void lru_remove(struct sites *b, struct entry *e)
{
	*(e->older != NULL ? &e->older->newer : &b->oldest) = e->newer;
	*(e->newer != NULL ? &e->newer->older : &b->newest) = e->older;
}

static void lru_add(struct sites *b, struct entry *e)
{
	e->newer = NULL;
	e->older = b->newest;
	*(b->newest != NULL ? &b->newest->newer : &b->oldest) = e;
	b->newest = e;
}

static void entry_free(struct entry *e)
{
	site_unref(&e->site);
	free(e->failure);
	free(e);
}

static void forget(struct sites *b, struct entry *e)
{
	struct entry **at = &b->buckets[e->hash & b->mask];
	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	lru_remove(b, e);
	b->count--;
	entry_free(e);
}

/* The one not asked for longest makes room; those that are being looked up are not many. */
static bool make_room(struct sites *b)
{
	struct entry *e = b->oldest;
	while (b->count >= b->o.max && e != NULL) {
		struct entry *newer = e->newer;
		if (!e->asked)
			forget(b, e);
		e = newer;
	}
	return b->count < b->o.max;
}

static struct entry *add(struct sites *b, struct str domain, uint64_t hash)
{
	struct entry *e = make_room(b) ? calloc(1, sizeof *e + domain.n + 1) : NULL;
	if (e == NULL)
		return NULL;
	memcpy(e->domain, domain.p, domain.n);
	e->hash = hash;
	e->state = SITE_PENDING;
	e->chain = b->buckets[hash & b->mask];
	b->buckets[hash & b->mask] = e;
	b->count++;
	lru_add(b, e);
	return e;
}

/* Into the line of those to be looked up; true: the thread must be told. */
static bool ask(struct sites *b, struct entry *e)
{
	if (e->asked)
		return false;
	e->asked = true;
	e->next = NULL;
	*b->line_end = e;
	b->line_end = &e->next;
	return true;
}

static enum site_state answer(
	struct sites *b, struct entry *e, ms_t now, struct site **out, struct site_failure *f, bool *tell)
{
	lru_remove(b, e);
	lru_add(b, e);
	if (e->state == SITE_PENDING || now >= e->expires) {
		*tell = ask(b, e);
		return SITE_PENDING;
	}
	if (e->state != SITE_KNOWN) {
		*f = *e->failure;
		return e->state;
	}
	if (now >= e->refresh_at)
		*tell = ask(b, e);
	*out = site_ref(e->site);
	return SITE_KNOWN;
}

enum site_state sites_lookup(
	struct sites *b, struct str domain, ms_t now, struct site **out, struct site_failure *f)
{
	bool tell = false;
	enum site_state state = SITE_PENDING;
	if (domain.n == 0 || domain.n > ADDRESS_DOMAIN_MAX || memchr(domain.p, '\0', domain.n) != NULL) {
		*f = (struct site_failure){550, "5.1.3", "address-syntax", "not a name that DNS could know"};
		return SITE_PERMANENT;
	}
	uint64_t hash = bucket_hash(b, domain);
	pthread_mutex_lock(&b->lock);
	struct entry *e = find(b, domain, hash);
	if (e == NULL)
		e = add(b, domain, hash);
	if (e != NULL)
		state = answer(b, e, now, out, f, &tell);
	pthread_mutex_unlock(&b->lock);
	if (tell)
		fetcher_wake(b->fetcher);
	return state;
}

/* ---- What a lookup found ---- */

static struct site_failure *copy_failure(const struct site_failure *f)
{
	struct site_failure *copy = malloc(sizeof *copy);
	if (copy != NULL)
		*copy = *f;
	return copy;
}

static ms_t time_to_keep(const struct lookup *l)
{
	if (l->ttl < SHORTEST || l->state == SITE_TEMPORARY)
		return SHORTEST;
	return l->ttl < LONGEST ? l->ttl : LONGEST;
}

/* Domains of one provider get the same site, not one each: as long as half its time is left. */
static void share(struct sites *b, struct lookup *l, ms_t now)
{
	ms_t ttl = time_to_keep(l);
	struct site **last = &b->shared[l->site->hash % SHARED_MAX];
	l->site->expires = now + ttl;
	if (*last != NULL && (*last)->expires >= now + ttl / 2 && (*last)->expires <= now + ttl &&
		site_same(*last, l->site)) {
		site_unref(&l->site);
		l->site = site_ref(*last);
		return;
	}
	site_unref(last);
	*last = site_ref(l->site);
}

static void note_answer(struct entry *e, struct lookup *l, ms_t now)
{
	/* What was known holds on over a failure of DNS, until its time is over. */
	if (l->state == SITE_TEMPORARY && e->state == SITE_KNOWN && now < e->expires) {
		e->refresh_at = now + SHORTEST;
		return;
	}
	struct site_failure *failure = l->state != SITE_KNOWN ? copy_failure(&l->failure) : NULL;
	site_unref(&e->site);
	free(e->failure);
	e->failure = failure;
	e->site = l->site;
	l->site = NULL;
	e->state = l->state == SITE_KNOWN || failure != NULL ? l->state : SITE_PENDING;
	e->expires = e->site != NULL ? e->site->expires : now + time_to_keep(l);
	e->refresh_at = e->expires - (e->expires - now) / 5;
}

void book_answered(struct sites *b, struct running *r, ms_t now)
{
	struct lookup *l = r->lookup;
	if (l->learnt)
		policies_learn(&b->policies, l->domain, l->policy);
	if (l->state == SITE_KNOWN)
		log_debug("dns: %s: %s", l->domain, l->site->name);
	else
		log_debug("dns: %s", l->failure.text);
	if (l->site != NULL)
		share(b, l, now);
	pthread_mutex_lock(&b->lock);
	if (l->fetch_failed)
		r->entry->no_fetch_until = now + FETCH_PAUSE;
	note_answer(r->entry, l, now);
	r->entry->asked = false;
	pthread_mutex_unlock(&b->lock);
}

void book_unanswered(struct sites *b, struct entry *e)
{
	pthread_mutex_lock(&b->lock);
	e->asked = false;
	pthread_mutex_unlock(&b->lock);
}

/* ---- Making it ---- */

static void *book_main(void *arg)
{
	book_run(arg);
	return NULL;
}

static int copy_options(struct sites *b, const struct sites_options *o)
{
	struct arena *a = &b->arena;
	const char **resolvers = arena_alloc(a, (o->nresolvers + 1) * sizeof *resolvers);
	const char **own = arena_alloc(a, (o->nown + 1) * sizeof *own);
	b->o = *o;
	b->o.max = o->max != 0 ? o->max : 20000;
	b->o.trust_anchor = o->trust_anchor != NULL ? arena_strdup(a, o->trust_anchor) : NULL;
	for (size_t i = 0; resolvers != NULL && i < o->nresolvers; i++)
		resolvers[i] = arena_strdup(a, o->resolvers[i]);
	for (size_t i = 0; own != NULL && i < o->nown; i++)
		own[i] = arena_strdup(a, o->own[i]);
	b->o.resolvers = resolvers;
	b->o.own = own;
	b->o.ca_file = NULL;
	b->o.store = NULL;
	return a->failed ? -1 : 0;
}

static int set_up(struct sites *b, const struct sites_options *o, struct err *e)
{
	pthread_mutex_init(&b->lock, NULL);
	arena_init(&b->arena, 1024, 1 << 20);
	random_bytes(b->hash_key, sizeof b->hash_key);
	b->line_end = &b->line;
	if (copy_options(b, o) != 0)
		return err_set(e, ERR_INTERNAL, "DNS", "out of memory");
	size_t buckets = 1024;
	while (buckets < b->o.max)
		buckets *= 2;
	b->mask = buckets - 1;
	b->buckets = calloc(buckets, sizeof *b->buckets);
	if (b->buckets == NULL)
		return err_set(e, ERR_INTERNAL, "DNS", "out of memory");
	if (policies_open(&b->policies, o->store, e) != 0 || fetcher_new(&b->fetcher, o->ca_file, e) != 0)
		return -1;
	b->probe = o->trust_anchor != NULL ? PROBE_DONE : PROBE_NEEDED;
	return resolver_new(&b->resolver, &b->o, o->trust_anchor != NULL ? TRUST_FILE : TRUST_ROOT, e);
}

static void release(struct sites *b)
{
	for (struct entry *e = b->oldest, *newer; e != NULL; e = newer) {
		newer = e->newer;
		entry_free(e);
	}
	for (size_t i = 0; i < SHARED_MAX; i++)
		site_unref(&b->shared[i]);
	resolver_free(&b->resolver);
	fetcher_free(&b->fetcher);
	policies_close(&b->policies);
	arena_release(&b->arena);
	pthread_mutex_destroy(&b->lock);
	free(b->buckets);
	free(b);
}

int sites_new(struct sites **out, const struct sites_options *o, struct err *e)
{
	struct sites *b = calloc(1, sizeof *b);
	sigset_t all, before;
	*out = NULL;
	if (b == NULL)
		return err_set(e, ERR_INTERNAL, "DNS", "out of memory");
	if (set_up(b, o, e) != 0) {
		release(b);
		return -1;
	}
	/* Signals are the main loop's; libunbound's thread inherits this. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&b->thread, NULL, book_main, b);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		release(b);
		return err_set(e, ERR_INTERNAL, "DNS", "no thread: %s", strerror(rc));
	}
	*out = b;
	return 0;
}

void sites_free(struct sites **bp)
{
	struct sites *b = *bp;
	*bp = NULL;
	if (b == NULL)
		return;
	atomic_store(&b->stop, true);
	fetcher_wake(b->fetcher);
	pthread_join(b->thread, NULL);
	release(b);
}

int sites_save(struct sites *b, struct store *s, struct err *e)
{
	return policies_save(&b->policies, s, e);
}
