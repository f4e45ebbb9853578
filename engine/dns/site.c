#include "engine/dns/lookup.h"

#include <stdlib.h>

struct site_memory { /* a site and what it points to */
	struct site site;
	struct arena arena;
};

struct site *site_new(struct arena **a)
{
	struct site_memory *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	atomic_init(&m->site.refs, 1);
	arena_init(&m->arena, 512, 4 << 20); /* there are many: most have one host with an address or two */
	*a = &m->arena;
	return &m->site;
}

struct site *site_ref(struct site *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void site_unref(struct site **sp)
{
	struct site *s = *sp;
	*sp = NULL;
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	struct site_memory *m = (struct site_memory *)s;
	arena_release(&m->arena);
	free(m);
}

static bool same_policy(const struct tls_policy *a, const struct tls_policy *b)
{
	if (a->need != b->need || a->ntlsa != b->ntlsa || (a->base == NULL) != (b->base == NULL) ||
		(a->base != NULL && strcmp(a->base, b->base) != 0))
		return false;
	for (size_t i = 0; i < a->ntlsa; i++) {
		const struct tlsa *x = &a->tlsa[i], *y = &b->tlsa[i];
		if (x->usage != y->usage || x->selector != y->selector || x->matching != y->matching ||
			!str_eq(str_n((const char *)x->data, x->n), str_n((const char *)y->data, y->n)))
			return false;
	}
	return true;
}

bool site_same(const struct site *a, const struct site *b)
{
	if (strcmp(a->name, b->name) != 0 || strcmp(a->provider, b->provider) != 0 || a->nhosts != b->nhosts)
		return false;
	for (size_t i = 0; i < a->nhosts; i++) {
		const struct site_host *x = &a->hosts[i], *y = &b->hosts[i];
		if (strcmp(x->name, y->name) != 0 || x->preference != y->preference ||
			x->naddrs != y->naddrs ||
			memcmp(x->addrs, y->addrs, x->naddrs * sizeof x->addrs[0]) != 0 ||
			!same_policy(&x->policy, &y->policy))
			return false;
	}
	return true;
}

/* xorshift64*: a lot, not a secret. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

void site_order(const struct site *s, uint64_t random, unsigned char order[SITE_HOSTS])
{
	uint64_t state = random | 1;
	for (size_t i = 0; i < s->nhosts; i++)
		order[i] = (unsigned char)i;
	for (size_t from = 0, to; from < s->nhosts; from = to) {
		for (to = from + 1; to < s->nhosts && s->hosts[to].preference == s->hosts[from].preference;
			to++)
			;
		for (size_t left = to - from; left > 1; left--) {
			size_t i = from + left - 1, k = from + (size_t)((draw(&state) >> 32) % left);
			unsigned char swap = order[i];
			order[i] = order[k];
			order[k] = swap;
		}
	}
}

size_t site_addresses(const struct site_host *h, uint64_t random, struct sockaddr_storage *out, size_t max)
{
	const struct sockaddr_storage *family[2][SITE_ADDRESSES];
	size_t count[2] = {0}, n = 0;
	uint64_t state = random | 1;
	for (size_t i = 0; i < h->naddrs; i++) {
		int f = h->addrs[i].ss_family == AF_INET6 ? 0 : 1;
		family[f][count[f]++] = &h->addrs[i];
	}
	size_t turn[2] = {count[0] != 0 ? (size_t)((draw(&state) >> 32) % count[0]) : 0,
		count[1] != 0 ? (size_t)((draw(&state) >> 32) % count[1]) : 0};
	for (size_t i = 0; n < max && (i < count[0] || i < count[1]); i++)
		for (int f = 0; f < 2 && n < max; f++)
			if (i < count[f])
				out[n++] = *family[f][(turn[f] + i) % count[f]];
	return n;
}
