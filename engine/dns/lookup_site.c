/* From what a lookup has learnt to the site, or to the reason why there is none. */
#include "engine/dns/lookup.h"

#include "src/base/buf.h"
#include "src/base/hash.h"
#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_SHOWN = 200 };

/* ---- Policy ---- */

static bool demands(const struct lookup *l, enum sts_mode mode)
{
	return l->policy != NULL && l->policy->mode == mode;
}

/* DANE goes before MTA-STS (RFC 8461 2). */
static enum tls_need need_of(const struct lookup *l, const struct host_lookup *h)
{
	enum tls_need need = TLS_MAY;
	if (h->nrecords != 0)
		return TLS_DANE;
	if (demands(l, STS_ENFORCE))
		need = TLS_VERIFY;
	else if (h->dane)
		need = TLS_ENCRYPT;
	else if (demands(l, STS_TESTING))
		need = TLS_TESTING;
	return need > l->o->least ? need : l->o->least;
}

/* RFC 8461 4.1; a host that DANE vouches for needs no other word. */
static bool allowed(const struct lookup *l, const struct host_lookup *h)
{
	return !demands(l, STS_ENFORCE) || h->nrecords != 0 || sts_allows(l->policy, h->name);
}

/* ---- The name ---- */

static const struct host_lookup *find_host(const struct lookup *l, const char *name)
{
	for (size_t i = 0; i < l->nhosts; i++)
		if (strcmp(l->hosts[i].name, name) == 0)
			return &l->hosts[i];
	return NULL;
}

static const char *site_name(struct lookup *l, struct site *s, struct arena *a)
{
	struct buf b = BUF_INIT(64 * 1024);
	bool dane = false;
	const char *first = "";
	for (size_t i = 0; i < l->nnames; i++) {
		const struct host_lookup *h = find_host(l, l->names[i]);
		if (h == NULL || !allowed(l, h))
			continue;
		dane = dane || h->dane;
		first = b.len == 0 ? l->names[i] : first;
		buf_printf(&b, "%s%s", b.len == 0 ? "" : ",", l->names[i]);
	}
	/* Of names that found no memory nothing is made: half of them would be another site's. */
	if (!b.failed && b.len > NAME_MAX_SHOWN) {
		uint64_t hash = hash64(buf_get(&b));
		buf_clear(&b);
		buf_printf(&b, "%s,~%016llx", first, (unsigned long long)hash);
	}
	if (dane)
		buf_puts(&b, "+dane");
	if (demands(l, STS_ENFORCE))
		buf_puts(&b, "+sts");
	else if (demands(l, STS_TESTING))
		buf_puts(&b, "+sts-testing");
	const char *name = NULL;
	if (!b.failed) {
		s->hash = hash64(buf_get(&b));
		name = arena_strdup(a, buf_cstr(&b));
	}
	buf_release(&b);
	return name;
}

/* ---- The site ---- */

static bool copy_policy(
	struct tls_policy *to, const struct lookup *l, const struct host_lookup *h, struct arena *a)
{
	struct tlsa *records = arena_alloc(a, (h->nrecords + 1) * sizeof *records);
	*to = (struct tls_policy){.need = need_of(l, h), .tlsa = records, .ntlsa = h->nrecords};
	for (size_t i = 0; records != NULL && i < h->nrecords; i++) {
		records[i] = h->records[i];
		records[i].data = (const unsigned char *)arena_str(
			a, str_n((const char *)h->records[i].data, h->records[i].n))
					  .p;
	}
	if (h->nrecords != 0 && h->base_is_canon)
		to->base = arena_strdup(a, h->canon);
	return !a->failed;
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sockaddr_storage));
}

static bool copy_host(struct site_host *to, const struct lookup *l, struct host_lookup *h, struct arena *a)
{
	size_t n = h->naddrs[0] + h->naddrs[1];
	struct sockaddr_storage *addrs = arena_alloc(a, n * sizeof *addrs);
	/* Resolvers give them in turns. */
	for (int family = 0; family < 2; family++)
		qsort(h->addrs[family], h->naddrs[family], sizeof h->addrs[family][0], by_address);
	to->name = arena_strdup(a, h->name);
	to->preference = h->preference;
	to->addrs = addrs;
	for (size_t i = 0; addrs != NULL && to->naddrs < n; i++)
		for (int family = 0; family < 2; family++)
			if (i < h->naddrs[family])
				addrs[to->naddrs++] = h->addrs[family][i];
	return copy_policy(&to->policy, l, h, a);
}

static const char *provider_of(struct lookup *l, struct arena *a)
{
	const char *mx[SITE_HOSTS];
	for (size_t i = 0; i < l->nhosts; i++)
		mx[i] = l->hosts[i].name;
	const char *name = l->o->provider_of != NULL
				   ? l->o->provider_of(l->o->ctx, str_from(l->domain), mx, l->nhosts)
				   : NULL;
	return name != NULL && name[0] != '\0' ? arena_strdup(a, name) : "";
}

static bool build(struct lookup *l, size_t n)
{
	struct arena *a;
	struct site *s = site_new(&a);
	struct site_host *hosts = s != NULL ? arena_zalloc(a, n * sizeof *hosts) : NULL;
	if (s == NULL)
		return false;
	s->hosts = hosts;
	s->name = site_name(l, s, a);
	s->provider = provider_of(l, a);
	for (size_t i = 0; hosts != NULL && !a->failed && i < l->nhosts; i++) {
		struct host_lookup *h = &l->hosts[i];
		if (h->state == HOST_READY && allowed(l, h) && copy_host(&hosts[s->nhosts], l, h, a))
			s->nhosts++;
	}
	if (a->failed || s->name == NULL || s->nhosts != n) {
		site_unref(&s);
		return false;
	}
	l->site = s;
	l->state = SITE_KNOWN;
	return true;
}

/* ---- Or why not ---- */

static void conclude_without(struct lookup *l, const size_t count[5], size_t barred)
{
	if (barred > 0 && barred == count[HOST_READY])
		lookup_fail(l, SITE_TEMPORARY, 450, "4.7.5", "tls-policy",
			"%s: its MTA-STS policy allows none of the hosts that its MX records name (%.100s)",
			l->domain, l->hosts[0].name);
	else if (count[HOST_FAILED] > 0)
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.3", l->trouble_bogus ? "dnssec-bogus" : "dns-failed",
			"%.60s: no mail host can be used now: %s", l->domain, l->trouble);
	else if (count[HOST_ASKED] > 0)
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.3", "dns-failed",
			"%s: the name servers do not answer (addresses of its mail hosts)", l->domain);
	else if (count[HOST_PRIVATE] > 0)
		lookup_fail(l, SITE_PERMANENT, 550, "5.4.4", "private-address",
			"%s: its mail host %.100s has a private address or one of this computer "
			"(private-addresses = "
			"allow, if that is meant)",
			l->domain, l->hosts[0].name);
	else if (l->nhosts == 1 && strcmp(l->hosts[0].name, l->domain) == 0)
		lookup_fail(l, SITE_PERMANENT, 550, "5.4.4", "domain-no-host",
			"%s: the domain has neither a mail host nor an address", l->domain);
	else
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.4", "routing",
			"%s: none of its mail hosts has an address (%.100s)", l->domain, l->hosts[0].name);
}

void lookup_conclude(struct lookup *l)
{
	size_t count[5] = {0}, barred = 0;
	/* What found no memory may have been the policy, a TLSA record or the names: without them less would
	 * be demanded of the hosts, or the site be taken for another. */
	if (l->arena.failed) {
		lookup_fail(l, SITE_TEMPORARY, 451, "4.3.0", "dns-failed", "%s: out of memory", l->domain);
		return;
	}
	/* The limit of patience passed before the policy was settled: what is kept counts. */
	if (!l->sts_known && l->policy != NULL && l->wall >= l->policy->fetched + l->policy->max_age)
		l->policy = NULL;
	for (size_t i = 0; i < l->nhosts; i++) {
		const struct host_lookup *h = &l->hosts[i];
		count[h->state]++;
		if (h->state != HOST_READY || allowed(l, h))
			continue;
		barred++;
		log_debug("dns: %s: the MTA-STS policy does not allow its mail host %s", l->domain, h->name);
	}
	if (count[HOST_READY] == barred)
		conclude_without(l, count, barred);
	else if (!build(l, count[HOST_READY] - barred))
		lookup_fail(l, SITE_TEMPORARY, 451, "4.3.0", "dns-failed", "%s: out of memory", l->domain);
}
