/* One MX host: its addresses, and whether it can be held to TLSA records. */
#include "engine/dns/lookup.h"

#include <stdio.h>
#include <stdlib.h>

enum { TLSA_MAX = 24 }; /* more of a host are not looked at */

static struct host_lookup *host_of(const struct dns_query *q)
{
	struct lookup *l = q->lookup;
	for (size_t i = 0; i < l->nhosts; i++) {
		struct host_lookup *h = &l->hosts[i];
		if (q == &h->address[0] || q == &h->address[1] || q == &h->tlsa)
			return h;
	}
	abort();
}

static void explain(struct host_lookup *h, const struct dns_answer *a, const char *what)
{
	struct lookup *l = h->lookup;
	l->trouble_bogus = a->kind == DNS_BOGUS;
	snprintf(l->trouble, sizeof l->trouble, "%.100s: %s %s: %.60s", h->name, what,
		a->kind == DNS_BOGUS ? "do not pass DNSSEC" : "cannot be looked up",
		a->why != NULL ? a->why : "no answer");
}

/* ---- TLSA (RFC 7672 2.2) ---- */

static bool usable(const struct tlsa *t)
{
	static const size_t length[] = {0, 32, 64};
	return (t->usage == 2 || t->usage == 3) && t->selector <= 1 && t->matching <= 2 && t->n != 0 &&
	       (length[t->matching] == 0 || t->n == length[t->matching]);
}

static void keep_records(struct host_lookup *h, const struct dns_answer *a)
{
	struct arena *arena = &h->lookup->arena;
	size_t n = a->n < TLSA_MAX ? a->n : TLSA_MAX;
	h->records = arena_alloc(arena, n * sizeof *h->records);
	for (size_t i = 0; h->records != NULL && i < n; i++) {
		struct tlsa *t = &h->records[h->nrecords];
		if (!dns_tlsa(a->data[i], t) || !usable(t))
			continue;
		struct str copy = arena_str(arena, str_n((const char *)t->data, t->n));
		t->data = (const unsigned char *)copy.p;
		h->nrecords += copy.p != NULL;
	}
}

static void ask_tlsa(struct host_lookup *h);

static void on_tlsa(struct dns_query *q, const struct dns_answer *a)
{
	struct host_lookup *h = host_of(q);
	lookup_ttl(h->lookup, a);
	if (a->kind == DNS_FAILED || a->kind == DNS_BOGUS) {
		/* Nobody knows whether it may be trusted: not now (RFC 7672 2.1.2). */
		explain(h, a, "its TLSA records");
		h->state = HOST_FAILED;
	} else if (a->kind == DNS_DATA && a->secure) {
		h->dane = true;
		keep_records(h, a);
		h->state = HOST_READY;
	} else if (h->base_is_canon) {
		h->base_is_canon = false;
		ask_tlsa(h);
	} else {
		h->state = HOST_READY;
	}
}

static void ask_tlsa(struct host_lookup *h)
{
	char name[DNS_NAME + 16];
	snprintf(name, sizeof name, "_%d._tcp.%s", h->lookup->o->port, h->base_is_canon ? h->canon : h->name);
	if (strlen(name) < DNS_NAME)
		lookup_ask(h->lookup, &h->tlsa, name, DNS_TLSA, on_tlsa);
	else
		h->state = HOST_READY;
}

/* ---- Addresses ---- */

static void addresses_known(struct host_lookup *h)
{
	struct lookup *l = h->lookup;
	if (h->naddrs[0] + h->naddrs[1] == 0) {
		h->state = h->failed ? HOST_FAILED : h->refused ? HOST_PRIVATE : HOST_NONE;
		return;
	}
	if (l->o->plain || !l->mx_secure || h->insecure) {
		h->state = HOST_READY;
		return;
	}
	h->base_is_canon = h->canon[0] != '\0';
	ask_tlsa(h);
}

static void on_address(struct dns_query *q, const struct dns_answer *a)
{
	struct host_lookup *h = host_of(q);
	struct lookup *l = h->lookup;
	int family = q == &h->address[0] ? 0 : 1;
	lookup_ttl(l, a);
	h->insecure = h->insecure || (a->kind <= DNS_NXDOMAIN && !a->secure);
	if (a->kind == DNS_DATA && a->canon != NULL && dns_name(str_from(a->canon), h->canon) &&
		strcmp(h->canon, h->name) == 0)
		h->canon[0] = '\0';
	for (size_t i = 0; a->kind == DNS_DATA && i < a->n && h->naddrs[family] < SITE_ADDRESSES / 2; i++) {
		struct sockaddr_storage *to = &h->addrs[family][h->naddrs[family]];
		if (!dns_address(family == 0 ? DNS_AAAA : DNS_A, a->data[i], l->o->port, to))
			continue;
		if (l->o->private_addresses || dns_address_public(to))
			h->naddrs[family]++;
		else
			h->refused = true;
	}
	if (a->kind == DNS_FAILED || a->kind == DNS_BOGUS) {
		explain(h, a, "its addresses");
		h->failed = true;
	}
	if (!h->address[0].open && !h->address[1].open)
		addresses_known(h);
}

void host_start(struct host_lookup *h)
{
	struct lookup *l = h->lookup;
	/* Both are open before one can be answered. */
	h->address[1].open = true;
	lookup_ask(l, &h->address[0], h->name, DNS_AAAA, on_address);
	lookup_ask(l, &h->address[1], h->name, DNS_A, on_address);
}
