#include "engine/dns/lookup.h"

#include "src/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MX_MAX = 64 }; /* more of a set are not looked at */

static const ms_t DEADLINE = 30 * SECOND;
static const ms_t PATIENCE = 5 * SECOND; /* for the other hosts, when one can be used */

/* ---- Asking ---- */

static void fail_at_once(struct dns_query *q, void (*answered)(struct dns_query *, const struct dns_answer *))
{
	const struct dns_answer a = {.kind = DNS_FAILED, .why = "it cannot be asked"};
	answered(q, &a);
}

void lookup_ask(struct lookup *l, struct dns_query *q, const char *name, enum dns_type type,
	void (*answered)(struct dns_query *q, const struct dns_answer *a))
{
	q->lookup = l;
	q->answered = answered;
	q->open = true;
	if (l->ops->ask(l->ops->ctx, q, name, type) == 0)
		return;
	q->open = false;
	fail_at_once(q, answered);
}

void dns_answered(struct dns_query *q, const struct dns_answer *a, ms_t now)
{
	struct lookup *l = q->lookup;
	q->open = false;
	if (l == NULL) {
		q->answered(q, a);
		return;
	}
	l->now = now;
	if (l->done)
		return;
	q->answered(q, a);
	lookup_step(l);
}

void lookup_ttl(struct lookup *l, const struct dns_answer *a)
{
	if (a->kind <= DNS_NXDOMAIN && a->ttl < l->ttl)
		l->ttl = a->ttl;
}

static void cancel(struct lookup *l, struct dns_query *q)
{
	if (q->open)
		l->ops->cancel(l->ops->ctx, q);
	q->open = false;
}

static void cancel_all(struct lookup *l)
{
	cancel(l, &l->mx);
	cancel(l, &l->sts_record);
	for (int i = 0; i < 2; i++)
		cancel(l, &l->sts_address[i]);
	if (l->fetch.open)
		l->ops->fetch_cancel(l->ops->ctx, &l->fetch);
	l->fetch.open = false;
	for (size_t i = 0; i < l->nhosts; i++) {
		cancel(l, &l->hosts[i].address[0]);
		cancel(l, &l->hosts[i].address[1]);
		cancel(l, &l->hosts[i].tlsa);
	}
}

/* ---- The end ---- */

static void finish(struct lookup *l)
{
	cancel_all(l);
	l->done = true;
	l->ops->done(l->ops->ctx, l);
}

void lookup_fail(struct lookup *l, enum site_state state, int code, const char *enhanced, const char *reason,
	const char *fmt, ...)
{
	va_list ap;
	l->state = state;
	l->failure = (struct site_failure){.code = code, .reason = reason};
	snprintf(l->failure.enhanced, sizeof l->failure.enhanced, "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(l->failure.text, sizeof l->failure.text, fmt, ap);
	va_end(ap);
	finish(l);
}

void lookup_step(struct lookup *l)
{
	bool late = l->now >= l->deadline, ready = false, asked = false;
	if (l->done)
		return;
	if (!l->mx_known) {
		if (late)
			lookup_fail(l, SITE_TEMPORARY, 450, "4.4.3", "dns-failed",
				"%s: the name servers do not answer (MX)", l->domain);
		return;
	}
	for (size_t i = 0; i < l->nhosts; i++) {
		ready = ready || l->hosts[i].state == HOST_READY;
		asked = asked || l->hosts[i].state == HOST_ASKED;
	}
	bool enough = ready && l->now >= l->patience;
	if (asked && !late && !enough)
		return;
	/* A policy that is there is waited for; name servers that say nothing of one are not. */
	if (!l->sts_known && !late && !(enough && l->sts_record.open))
		return;
	lookup_conclude(l);
	if (!l->done)
		finish(l);
}

void lookup_tick(struct lookup *l, ms_t now)
{
	l->now = now;
	lookup_step(l);
}

/* ---- MX ---- */

static int by_preference(const void *a, const void *b)
{
	const struct host_lookup *x = a, *y = b;
	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_own(const struct lookup *l, const char *name)
{
	for (size_t i = 0; i < l->o->nown; i++)
		if (strcasecmp(l->o->own[i], name) == 0)
			return true;
	return false;
}

/* RFC 5321 5.1: ourselves, and who stands behind us, take no mail from us. */
static void drop_ourselves(struct lookup *l)
{
	for (size_t i = 0; i < l->nhosts; i++) {
		if (!is_own(l, l->hosts[i].name))
			continue;
		unsigned worst = l->hosts[i].preference;
		while (i > 0 && l->hosts[i - 1].preference == worst)
			i--;
		l->nhosts = i;
	}
}

static void keep_names(struct lookup *l)
{
	l->names = arena_alloc(&l->arena, l->nhosts * sizeof *l->names);
	for (size_t i = 0; l->names != NULL && i < l->nhosts; i++)
		l->names[l->nnames++] = l->hosts[i].name;
	if (l->names != NULL)
		qsort(l->names, l->nnames, sizeof *l->names, by_name);
}

static void ask_hosts(struct lookup *l)
{
	qsort(l->hosts, l->nhosts, sizeof *l->hosts, by_preference);
	size_t n = 0;
	for (size_t i = 0; i < l->nhosts; i++)
		if (n == 0 || strcmp(l->hosts[i].name, l->hosts[n - 1].name) != 0)
			l->hosts[n++] = l->hosts[i];
	l->nhosts = n;
	keep_names(l);
	drop_ourselves(l);
	if (l->nhosts == 0) {
		lookup_fail(l, SITE_PERMANENT, 550, "5.4.6", "mail-loop",
			"%s: its best mail host is this one; a relay route can take its mail", l->domain);
		return;
	}
	if (l->nhosts > SITE_HOSTS)
		l->nhosts = SITE_HOSTS;
	l->patience = l->now + PATIENCE;
	/* Not sooner: of many domains that cannot be looked up it would only be one more question. */
	l->sts_known = l->o->plain;
	if (!l->sts_known)
		policy_start(l);
	for (size_t i = 0; i < l->nhosts; i++) {
		l->hosts[i].lookup = l;
		host_start(&l->hosts[i]);
	}
}

static bool make_hosts(struct lookup *l, size_t n)
{
	l->hosts = arena_zalloc(&l->arena, n * sizeof *l->hosts);
	if (l->hosts == NULL)
		lookup_fail(l, SITE_TEMPORARY, 451, "4.3.0", "dns-failed", "%s: out of memory", l->domain);
	return l->hosts != NULL;
}

static void read_mx(struct lookup *l, const struct dns_answer *a)
{
	size_t n = a->n < MX_MAX ? a->n : MX_MAX;
	bool null = false;
	if (!make_hosts(l, n))
		return;
	for (size_t i = 0; i < n; i++) {
		struct host_lookup *h = &l->hosts[l->nhosts];
		char name[DNS_NAME];
		if (!dns_mx(a->data[i], &h->preference, name))
			continue;
		null = null || name[0] == '\0';
		if (name[0] == '\0')
			continue;
		memcpy(h->name, name, sizeof name);
		l->nhosts++;
	}
	if (l->nhosts > 0)
		ask_hosts(l);
	else if (null)
		lookup_fail(l, SITE_PERMANENT, 556, "5.1.10", "domain-refuses-mail",
			"%s takes no mail: it says so in DNS (null MX)", l->domain);
	else
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.4", "routing",
			"%s: no MX record of it names a possible host", l->domain);
}

static void on_mx(struct dns_query *q, const struct dns_answer *a)
{
	struct lookup *l = q->lookup;
	l->mx_known = true;
	l->mx_secure = a->secure;
	lookup_ttl(l, a);
	switch (a->kind) {
	case DNS_DATA:
		read_mx(l, a);
		break;
	case DNS_NODATA:
		/* RFC 5321 5.1: the domain itself is the host. */
		if (make_hosts(l, 1)) {
			l->nhosts = 1;
			memcpy(l->hosts[0].name, l->domain, sizeof l->hosts[0].name);
			ask_hosts(l);
		}
		break;
	case DNS_NXDOMAIN:
		lookup_fail(l, SITE_PERMANENT, 550, "5.1.2", "domain-unknown", "%s: there is no such domain",
			l->domain);
		break;
	case DNS_FAILED:
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.3", "dns-failed", "%s: DNS fails (MX): %.120s",
			l->domain, a->why != NULL ? a->why : "the name servers do not answer");
		break;
	case DNS_BOGUS:
		lookup_fail(l, SITE_TEMPORARY, 450, "4.4.3", "dnssec-bogus",
			"%s: its MX records do not pass DNSSEC: %.120s", l->domain,
			a->why != NULL ? a->why : "bogus");
		break;
	}
}

/* ---- Begin ---- */

static void start_literal(struct lookup *l)
{
	struct sockaddr_storage address;
	size_t n = strlen(l->domain);
	if (!dns_literal(str_n(l->domain, n), l->o->port, &address)) {
		lookup_fail(l, SITE_PERMANENT, 550, "5.1.3", "address-syntax", "%.100s is no address literal",
			l->domain);
		return;
	}
	if (!make_hosts(l, 1))
		return;
	struct host_lookup *h = &l->hosts[0];
	int family = address.ss_family == AF_INET6 ? 0 : 1;
	l->nhosts = 1;
	l->mx_known = l->sts_known = true;
	h->lookup = l;
	snprintf(h->name, sizeof h->name, "%.*s", (int)(n - 2 - (family == 0 ? 5 : 0)),
		l->domain + (family == 0 ? 6 : 1));
	keep_names(l);
	h->insecure = true;
	h->state = HOST_READY;
	h->addrs[family][0] = address;
	h->naddrs[family] = 1;
	if (!l->o->private_addresses && !dns_address_public(&address))
		h->state = HOST_PRIVATE;
	lookup_step(l);
}

struct lookup *lookup_new(const struct sites_options *o, const struct dns_ops *ops, struct str domain)
{
	struct lookup *l = calloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->o = o;
	l->ops = ops;
	arena_init(&l->arena, 4096, 4 << 20);
	snprintf(l->domain, sizeof l->domain, "%.*s", STR_ARG(domain));
	return l;
}

void lookup_start(struct lookup *l, ms_t now, ms_t wall, bool no_fetch)
{
	char name[DNS_NAME];
	l->now = now;
	l->wall = wall;
	l->deadline = now + DEADLINE;
	l->ttl = 24 * 60 * MINUTE;
	l->no_fetch = no_fetch;
	if (l->domain[0] == '[') {
		start_literal(l);
		return;
	}
	if (!dns_name(str_from(l->domain), name)) {
		lookup_fail(l, SITE_PERMANENT, 550, "5.1.2", "domain-unknown",
			"%.100s: not a name that DNS could know", l->domain);
		return;
	}
	memcpy(l->domain, name, sizeof name);
	lookup_ask(l, &l->mx, l->domain, DNS_MX, on_mx);
	lookup_step(l);
}

void lookup_free(struct lookup **lp)
{
	struct lookup *l = *lp;
	*lp = NULL;
	if (l == NULL)
		return;
	cancel_all(l);
	site_unref(&l->site);
	arena_release(&l->arena);
	free(l);
}
