/* Any answers to the questions that a lookup asks, in any order, with any rdata, and any policy: it always
 * ends, with a site whose every host can be used or with a reason, and nothing stays open. The input: a
 * domain and a NUL, then what happens, byte by byte. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/dns/lookup.h"
#include "src/base/log.h"

enum { OPEN = 256, RECORDS = 8 };

struct input {
	const uint8_t *p;
	size_t n;
};

struct world {
	struct input in;
	struct {
		struct dns_query *q;
		enum dns_type type;
	} open[OPEN];
	size_t nopen;
	struct policy_fetch *fetch;
	int done;
};

static void must(int good)
{
	if (!good)
		abort();
}

static unsigned take(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static struct str take_bytes(struct input *in, size_t n)
{
	struct str s = str_n((const char *)in->p, n < in->n ? n : in->n);
	in->p += s.n;
	in->n -= s.n;
	return s;
}

static int on_ask(void *ctx, struct dns_query *q, const char *name, enum dns_type type)
{
	struct world *w = ctx;
	must(strlen(name) < DNS_NAME);
	if (w->nopen == OPEN)
		return -1;
	w->open[w->nopen].q = q;
	w->open[w->nopen++].type = type;
	return 0;
}

static void on_cancel(void *ctx, struct dns_query *q)
{
	struct world *w = ctx;
	for (size_t i = 0; i < w->nopen; i++)
		if (w->open[i].q == q) {
			w->open[i] = w->open[--w->nopen];
			return;
		}
	abort();
}

static int on_fetch(
	void *ctx, struct policy_fetch *f, const char *host, const struct sockaddr_storage *addrs, size_t n)
{
	struct world *w = ctx;
	must(n > 0 && w->fetch == NULL && host[0] != '\0');
	for (size_t i = 0; i < n; i++)
		must(dns_address_public(&addrs[i]));
	w->fetch = f;
	return 0;
}

static void on_fetch_cancel(void *ctx, struct policy_fetch *f)
{
	struct world *w = ctx;
	must(w->fetch == f);
	w->fetch = NULL;
}

static bool on_policy(void *ctx, const char *domain, struct sts_policy *out)
{
	(void)ctx;
	(void)domain;
	memset(out, 0, sizeof *out);
	return false;
}

static void on_done(void *ctx, struct lookup *l)
{
	must(l->done);
	((struct world *)ctx)->done++;
}

/* Some well-formed rdata, so that lookups come further than to the first record. */
static struct str ready_made(enum dns_type type, unsigned which)
{
	static const struct str mx[] = {{"\0\12\3mx1\7example", 15}, {"\0\24\3mx2\7example", 15},
		{"\0\0\0", 3}},
				a[] = {{"\5\0\0\1", 4}, {"\177\0\0\1", 4}},
				aaaa[] = {{"\52\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16}},
				tlsa[] = {{"\3\1\1aaaaaaaabbbbbbbbccccccccdddddddd", 35}, {"\1\1\1aa", 5}},
				txt[] = {{"\20v=STSv1; id=1234", 17}};
	switch (type) {
	case DNS_MX:
		return mx[which % 3];
	case DNS_A:
		return a[which % 2];
	case DNS_AAAA:
		return aaaa[0];
	case DNS_TLSA:
		return tlsa[which % 2];
	default:
		return txt[0];
	}
}

static void answer(struct world *w, ms_t now)
{
	struct input *in = &w->in;
	size_t i = take(in) % w->nopen;
	struct dns_query *q = w->open[i].q;
	enum dns_type type = w->open[i].type;
	unsigned how = take(in), n = take(in) % RECORDS;
	struct str data[RECORDS];
	char canon[40];
	struct dns_answer a = {
		.kind = (enum dns_kind)(how % 5), .secure = how & 8, .ttl = take(in) * SECOND, .data = data};
	w->open[i] = w->open[--w->nopen];
	while (a.n < n) {
		unsigned size = take(in);
		data[a.n++] = size >= 128 ? ready_made(type, size) : take_bytes(in, size);
	}
	if (how & 16) {
		struct str s = take_bytes(in, 20);
		memcpy(canon, s.p, s.n);
		canon[s.n] = '\0';
		a.canon = canon;
	}
	dns_answered(q, &a, now);
}

static void check_site(const struct lookup *l)
{
	const struct site *s = l->site;
	unsigned char order[SITE_HOSTS];
	struct sockaddr_storage out[SITE_ADDRESSES];
	must(s->nhosts > 0 && s->nhosts <= SITE_HOSTS && s->name[0] != '\0');
	site_order(s, 12345, order);
	for (size_t i = 0; i < s->nhosts; i++) {
		const struct site_host *h = &s->hosts[i];
		must(h->naddrs > 0 && h->naddrs <= SITE_ADDRESSES && order[i] < s->nhosts);
		must(site_addresses(h, 12345, out, SITE_ADDRESSES) == h->naddrs);
		must((h->policy.need == TLS_DANE) == (h->policy.ntlsa > 0));
		for (size_t k = 0; k < h->naddrs; k++)
			must(dns_address_public(&h->addrs[k]));
	}
}

static void play(struct world *w, struct lookup *l)
{
	ms_t now = 1000;
	lookup_start(l, now, 1700000000000, false);
	while (!l->done && w->in.n != 0) {
		unsigned what = take(&w->in);
		now += what % 16 == 0 ? 4 * SECOND : 0;
		if (w->fetch != NULL && what % 4 == 1) {
			struct policy_fetch *f = w->fetch;
			size_t n = take(&w->in);
			w->fetch = NULL;
			policy_fetched(f, n == 0 ? str_n(NULL, 0) : take_bytes(&w->in, n), "no", now);
		} else if (w->nopen > 0) {
			answer(w, now);
		} else {
			lookup_tick(l, now);
		}
	}
	lookup_tick(l, now + 60 * SECOND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	static const struct sites_options o = {.port = 25};
	static const struct dns_ops ops = {
		on_ask, on_cancel, on_fetch, on_fetch_cancel, on_policy, on_done, &w};
	size_t domain = strnlen((const char *)data, size);
	log_set_level(LOG_LEVEL_ERROR);
	if (domain == size)
		return 0;
	w = (struct world){.in = {data + domain + 1, size - domain - 1}};
	struct lookup *l = lookup_new(&o, &ops, str_n((const char *)data, domain));
	play(&w, l);
	must(l->done && w.done == 1 && w.nopen == 0 && w.fetch == NULL);
	if (l->state == SITE_KNOWN)
		check_site(l);
	else
		must(l->site == NULL && l->failure.reason != NULL && l->failure.text[0] != '\0');
	lookup_free(&l);
	return 0;
}
