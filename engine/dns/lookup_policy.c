/* The domain's MTA-STS policy (RFC 8461): kept, or fetched anew when its record says that it changed. */
#include "engine/dns/lookup.h"

#include "src/base/log.h"

#include <stdio.h>

enum { TEXT_MAX = 512, TEXTS_MAX = 16 };

static const ms_t REFRESH =
	24 * 60 * MINUTE; /* the same policy is fetched again so often, while half its time is over */

static bool fresh(const struct lookup *l, const struct sts_policy *p)
{
	return p != NULL && l->wall < p->fetched + p->max_age;
}

static bool good_for_now(const struct lookup *l, const struct sts_policy *p)
{
	return fresh(l, p) && strcmp(p->id, l->sts_id) == 0 &&
	       (l->wall < p->fetched + REFRESH || l->wall < p->fetched + p->max_age / 2);
}

/* Nothing new is to be had: what is kept counts as long as it is not too old (5.1). */
static void settle(struct lookup *l)
{
	if (!fresh(l, l->policy))
		l->policy = NULL;
	l->sts_known = true;
}

static void fetch_fails(struct lookup *l, const char *why)
{
	log_debug("dns: the MTA-STS policy of %s cannot be had: %s", l->domain, why);
	l->fetch_failed = true;
	settle(l);
}

void policy_fetched(struct policy_fetch *f, struct str body, const char *why, ms_t now)
{
	struct lookup *l = f->lookup;
	f->open = false;
	l->now = now;
	if (l->done)
		return;
	struct sts_policy *p = arena_zalloc(&l->arena, sizeof *p);
	if (body.p == NULL || p == NULL) {
		fetch_fails(l, body.p == NULL ? why : "out of memory");
	} else if (!sts_policy_parse(body, p)) {
		fetch_fails(l, "it is malformed");
	} else {
		memcpy(p->id, l->sts_id, sizeof p->id);
		p->fetched = l->wall;
		l->policy = p;
		l->learnt = true;
		l->sts_known = true;
	}
	lookup_step(l);
}

static void on_address(struct dns_query *q, const struct dns_answer *a)
{
	struct lookup *l = q->lookup;
	enum dns_type type = q == &l->sts_address[0] ? DNS_AAAA : DNS_A;
	size_t most = sizeof l->policy_addrs / sizeof l->policy_addrs[0];
	if (type == DNS_AAAA)
		most /= 2;
	for (size_t i = 0; a->kind == DNS_DATA && i < a->n && l->npolicy_addrs < most; i++) {
		struct sockaddr_storage *to = &l->policy_addrs[l->npolicy_addrs];
		if (dns_address(type, a->data[i], 443, to) &&
			(l->o->private_addresses || dns_address_public(to)))
			l->npolicy_addrs++;
	}
	if (l->sts_address[0].open || l->sts_address[1].open)
		return;
	if (l->npolicy_addrs == 0) {
		fetch_fails(l, "its host has no address");
		return;
	}
	char host[DNS_NAME + 8];
	snprintf(host, sizeof host, "mta-sts.%.253s", l->domain);
	l->fetch.lookup = l;
	l->fetch.open = true;
	if (l->ops->fetch(l->ops->ctx, &l->fetch, host, l->policy_addrs, l->npolicy_addrs) != 0) {
		l->fetch.open = false;
		fetch_fails(l, "it cannot be asked for");
	}
}

static void on_record(struct dns_query *q, const struct dns_answer *a)
{
	struct lookup *l = q->lookup;
	struct str texts[TEXTS_MAX];
	size_t n = 0;
	for (size_t i = 0; a->kind == DNS_DATA && i < a->n && n < TEXTS_MAX; i++) {
		char *p = arena_bytes(&l->arena, TEXT_MAX);
		texts[n].p = p;
		n += p != NULL && dns_txt(a->data[i], p, TEXT_MAX, &texts[n].n);
	}
	if (!sts_record(texts, n, l->sts_id) || l->no_fetch || good_for_now(l, l->policy)) {
		settle(l);
		return;
	}
	char host[DNS_NAME + 8];
	snprintf(host, sizeof host, "mta-sts.%.253s", l->domain);
	l->sts_address[1].open = true;
	lookup_ask(l, &l->sts_address[0], host, DNS_AAAA, on_address);
	lookup_ask(l, &l->sts_address[1], host, DNS_A, on_address);
}

void policy_start(struct lookup *l)
{
	char name[DNS_NAME + 9];
	snprintf(name, sizeof name, "_mta-sts.%.253s", l->domain);
	struct sts_policy kept;
	if (l->ops->policy(l->ops->ctx, l->domain, &kept) &&
		(l->policy = arena_alloc(&l->arena, sizeof kept)) != NULL)
		*l->policy = kept;
	if (strlen(name) < DNS_NAME)
		lookup_ask(l, &l->sts_record, name, DNS_TXT, on_record);
	else
		settle(l);
}
