/* Lookups over a scripted resolver: MX, addresses, DANE, MTA-STS, and what becomes of failures. */
#include "engine/dns/lookup.h"

#include "src/base/buf.h"
#include "src/base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- The scripted world: zone lines "name TYPE rdata", flags before the name ---- */

enum { RECORDS = 64, OPEN = 256 };

struct record { /* "+": signed, "!": bogus, "?": SERVFAIL, "~": never answered */
	char flag;
	char name[DNS_NAME];
	enum dns_type type;
	unsigned char data[300];
	size_t n;
};

struct asked {
	struct dns_query *q;
	char name[DNS_NAME];
	enum dns_type type;
};

struct world {
	struct record records[RECORDS];
	size_t n;
	struct asked open[OPEN];
	size_t nopen, total;
	bool signed_zone; /* denials are proven too */
	const char *canon;
	ms_t now, wall, ttl;
	struct policy_fetch *fetch;
	int fetches;
	const char *policy_text; /* NULL: cannot be fetched */
	bool policy_hangs;
	struct sts_policy kept;
	bool has_kept;
	int done;
	struct sites_options o;
	struct dns_ops ops;
};

static size_t put_name(unsigned char *out, const char *name)
{
	size_t n = 0;
	while (*name != '\0') {
		size_t label = strcspn(name, ".");
		out[n++] = (unsigned char)label;
		memcpy(out + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	out[n++] = 0;
	return n;
}

static size_t put_hex(unsigned char *out, const char *hex)
{
	size_t n = 0;
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (unsigned char)byte;
	return n;
}

static void zone(struct world *w, const char *line)
{
	struct record *r = &w->records[w->n++];
	char type[8], rest[280] = "", host[256];
	unsigned a, b, c;
	assert_true(w->n <= RECORDS);
	r->flag = strchr("+!?~", line[0]) != NULL ? *line++ : ' ';
	assert_true(sscanf(line, "%253s %7s %279[^\n]", r->name, type, rest) >= 2);
	if (strcmp(type, "MX") == 0) {
		r->type = DNS_MX;
		if (sscanf(rest, "%u %255s", &a, host) == 2) {
			r->data[0] = (unsigned char)(a >> 8);
			r->data[1] = (unsigned char)a;
			r->n = 2 + put_name(r->data + 2, strcmp(host, ".") == 0 ? "" : host);
		}
	} else if (strcmp(type, "A") == 0 || strcmp(type, "AAAA") == 0) {
		bool six = type[1] == 'A';
		r->type = six ? DNS_AAAA : DNS_A;
		if (inet_pton(six ? AF_INET6 : AF_INET, rest, r->data) == 1)
			r->n = six ? 16 : 4;
	} else if (strcmp(type, "TXT") == 0) {
		r->type = DNS_TXT;
		r->data[0] = (unsigned char)strlen(rest);
		memcpy(r->data + 1, rest, strlen(rest));
		r->n = strlen(rest) + 1;
	} else {
		assert_string_equal(type, "TLSA");
		r->type = DNS_TLSA;
		if (sscanf(rest, "%u %u %u %255s", &a, &b, &c, host) == 4) {
			r->data[0] = (unsigned char)a;
			r->data[1] = (unsigned char)b;
			r->data[2] = (unsigned char)c;
			r->n = 3 + put_hex(r->data + 3, host);
		}
	}
}

static int on_ask(void *ctx, struct dns_query *q, const char *name, enum dns_type type)
{
	struct world *w = ctx;
	assert_true(w->nopen < OPEN);
	struct asked *a = &w->open[w->nopen++];
	a->q = q;
	a->type = type;
	snprintf(a->name, sizeof a->name, "%s", name);
	w->total++;
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
	fail_msg("cancelled what was not open");
}

static int on_fetch(
	void *ctx, struct policy_fetch *f, const char *host, const struct sockaddr_storage *addrs, size_t n)
{
	struct world *w = ctx;
	(void)addrs;
	assert_true(n > 0);
	assert_true(strncmp(host, "mta-sts.", 8) == 0);
	w->fetch = f;
	w->fetches++;
	return 0;
}

static void on_fetch_cancel(void *ctx, struct policy_fetch *f)
{
	struct world *w = ctx;
	assert_ptr_equal(w->fetch, f);
	w->fetch = NULL;
}

static bool on_policy(void *ctx, const char *domain, struct sts_policy *out)
{
	struct world *w = ctx;
	(void)domain;
	if (w->has_kept)
		*out = w->kept;
	return w->has_kept;
}

static void on_done(void *ctx, struct lookup *l)
{
	struct world *w = ctx;
	assert_true(l->done);
	w->done++;
}

static bool name_exists(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->records[i].name, name) == 0)
			return true;
	return false;
}

/* False: this one is never answered. */
static bool answer_one(struct world *w, const struct asked *asked)
{
	struct str data[RECORDS];
	struct dns_answer a = {.kind = name_exists(w, asked->name) ? DNS_NODATA : DNS_NXDOMAIN,
		.secure = w->signed_zone,
		.data = data,
		.ttl = w->ttl};
	for (size_t i = 0; i < w->n; i++) {
		const struct record *r = &w->records[i];
		if (r->type != asked->type || strcmp(r->name, asked->name) != 0)
			continue;
		if (r->flag == '~')
			return false;
		a.secure = r->flag == '+';
		a.kind = r->flag == '!' ? DNS_BOGUS : r->flag == '?' ? DNS_FAILED : DNS_DATA;
		if ((asked->type == DNS_A || asked->type == DNS_AAAA) && w->canon != NULL)
			a.canon = w->canon;
		data[a.n++] = str_n((const char *)r->data, r->n);
	}
	dns_answered(asked->q, &a, w->now);
	return true;
}

/* Answers whatever was asked, in the order of asking, until nothing more happens. */
static void play(struct world *w)
{
	bool moved = true;
	while (moved) {
		moved = false;
		for (size_t i = 0; i < w->nopen && !moved; i++) {
			struct asked a = w->open[i];
			size_t before = w->nopen;
			memmove(&w->open[i], &w->open[i + 1], (w->nopen - i - 1) * sizeof a);
			w->nopen--;
			moved = answer_one(w, &a);
			if (!moved) {
				assert_int_equal(w->nopen + 1, before);
				memmove(&w->open[i + 1], &w->open[i], (w->nopen - i) * sizeof a);
				w->open[i] = a;
				w->nopen++;
			}
		}
		if (!moved && w->fetch != NULL && !w->policy_hangs) {
			struct policy_fetch *f = w->fetch;
			w->fetch = NULL;
			moved = true;
			policy_fetched(f, str_from(w->policy_text), "HTTP status 404", w->now);
		}
	}
}

static struct lookup *begin(struct world *w, const char *domain)
{
	struct lookup *l = lookup_new(&w->o, &w->ops, str_from(domain));
	w->done = 0;
	lookup_start(l, w->now, w->wall, false);
	play(w);
	return l;
}

static void setup(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->now = 1000;
	w->wall = 1700000000000;
	w->ttl = 300 * SECOND;
	w->o.port = 25;
	w->ops = (struct dns_ops){on_ask, on_cancel, on_fetch, on_fetch_cancel, on_policy, on_done, w};
}

static void expect_failure(
	struct world *w, const char *domain, enum site_state state, const char *enhanced, const char *reason)
{
	struct lookup *l = begin(w, domain);
	assert_true(l->done);
	assert_int_equal(w->done, 1);
	assert_int_equal(l->state, state);
	assert_string_equal(l->failure.reason, reason);
	assert_string_equal(l->failure.enhanced, enhanced);
	assert_true(l->failure.text[0] != '\0');
	assert_int_equal(w->nopen, 0);
	lookup_free(&l);
}

static struct lookup *known(struct world *w, const char *domain)
{
	struct lookup *l = begin(w, domain);
	if (!l->done || l->state != SITE_KNOWN)
		fail_msg("%s: %s", domain, l->failure.text);
	assert_int_equal(w->done, 1);
	assert_int_equal(w->nopen, 0);
	return l;
}

static const char *address(const struct site_host *h, size_t i)
{
	static char text[INET6_ADDRSTRLEN];
	const struct sockaddr_storage *a = &h->addrs[i];
	const void *at = a->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
						  : (const void *)&((const struct sockaddr_in *)a)->sin_addr;
	return inet_ntop(a->ss_family, at, text, sizeof text);
}

/* ---- MX and addresses ---- */

static void test_mx_order(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example MX 20 mx2.x.example");
	zone(&w, "x.example MX 10 MX1.x.example");
	zone(&w, "x.example MX 10 mx1.x.example");
	zone(&w, "mx1.x.example A 5.0.0.1");
	zone(&w, "mx1.x.example AAAA 2a00::1");
	zone(&w, "mx1.x.example A 5.0.0.2");
	zone(&w, "mx2.x.example A 5.0.0.3");
	struct lookup *l = known(&w, "X.example");
	const struct site *s = l->site;
	assert_string_equal(s->name, "mx1.x.example,mx2.x.example");
	assert_int_equal(s->nhosts, 2);
	assert_string_equal(s->hosts[0].name, "mx1.x.example");
	assert_int_equal(s->hosts[0].naddrs, 3);
	assert_string_equal(address(&s->hosts[0], 0), "2a00::1");
	assert_string_equal(address(&s->hosts[0], 1), "5.0.0.1");
	assert_string_equal(address(&s->hosts[0], 2), "5.0.0.2");
	assert_int_equal(ntohs(((const struct sockaddr_in *)&s->hosts[0].addrs[1])->sin_port), 25);
	assert_int_equal(s->hosts[0].policy.need, TLS_MAY);
	assert_int_equal(l->ttl, 300 * SECOND);
	lookup_free(&l);
}

static void test_no_mx(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example AAAA 2a00::1");
	struct lookup *l = known(&w, "x.example");
	assert_string_equal(l->site->name, "x.example");
	assert_int_equal(l->site->hosts[0].naddrs, 1);
	lookup_free(&l);
}

static void test_who_takes_no_mail(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "null.example MX 0 .");
	zone(&w, "null.example A 5.0.0.1");
	zone(&w, "bare.example TXT hello");
	zone(&w, "gone.example MX 10 mx.gone.example");
	zone(&w, "odd.example MX nonsense");
	zone(&w, "odd.example A 5.0.0.1");
	zone(&w, "?fail.example MX");
	zone(&w, "!bogus.example MX");
	zone(&w, "?dead.example A");
	zone(&w, "dead.example MX 10 dead.example");
	expect_failure(&w, "null.example", SITE_PERMANENT, "5.1.10", "domain-refuses-mail");
	expect_failure(&w, "nowhere.example", SITE_PERMANENT, "5.1.2", "domain-unknown");
	expect_failure(&w, "bare.example", SITE_PERMANENT, "5.4.4", "domain-no-host");
	expect_failure(&w, "gone.example", SITE_TEMPORARY, "4.4.4", "routing");
	expect_failure(&w, "odd.example", SITE_TEMPORARY, "4.4.4", "routing");
	expect_failure(&w, "fail.example", SITE_TEMPORARY, "4.4.3", "dns-failed");
	expect_failure(&w, "bogus.example", SITE_TEMPORARY, "4.4.3", "dnssec-bogus");
	expect_failure(&w, "dead.example", SITE_TEMPORARY, "4.4.3", "dns-failed");
	expect_failure(&w, "bad name.example", SITE_PERMANENT, "5.1.2", "domain-unknown");
}

static void test_null_mx_among_others(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example MX 0 .");
	zone(&w, "x.example MX 10 mx.x.example");
	zone(&w, "mx.x.example A 5.0.0.1");
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(l->site->nhosts, 1);
	lookup_free(&l);
}

static void test_loop(void **state)
{
	(void)state;
	static struct world w;
	static const char *const own[] = {"Mail.our.example"};
	setup(&w);
	w.o.own = own;
	w.o.nown = 1;
	zone(&w, "a.example MX 10 mail.our.example");
	zone(&w, "a.example MX 20 backup.example");
	zone(&w, "b.example MX 10 primary.example");
	zone(&w, "b.example MX 20 mail.our.example");
	zone(&w, "b.example MX 20 backup.example");
	zone(&w, "primary.example A 5.0.0.1");
	zone(&w, "backup.example A 5.0.0.2");
	expect_failure(&w, "a.example", SITE_PERMANENT, "5.4.6", "mail-loop");
	struct lookup *l = known(&w, "b.example");
	assert_int_equal(l->site->nhosts, 1);
	assert_string_equal(l->site->hosts[0].name, "primary.example");
	lookup_free(&l);
}

static void test_private_addresses(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example MX 10 mx.x.example");
	zone(&w, "mx.x.example A 127.0.0.1");
	zone(&w, "mx.x.example A 10.1.2.3");
	zone(&w, "y.example MX 10 mx.y.example");
	zone(&w, "mx.y.example A 127.0.0.1");
	zone(&w, "mx.y.example A 5.0.0.1");
	expect_failure(&w, "x.example", SITE_PERMANENT, "5.4.4", "private-address");
	struct lookup *l = known(&w, "y.example");
	assert_int_equal(l->site->hosts[0].naddrs, 1);
	lookup_free(&l);
	w.o.private_addresses = true;
	l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].naddrs, 2);
	lookup_free(&l);
}

static void test_literals(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	struct lookup *l = known(&w, "[5.0.0.1]");
	assert_string_equal(l->site->name, "5.0.0.1");
	assert_string_equal(address(&l->site->hosts[0], 0), "5.0.0.1");
	lookup_free(&l);
	l = known(&w, "[IPv6:2a00::1]");
	assert_string_equal(l->site->hosts[0].name, "2a00::1");
	lookup_free(&l);
	expect_failure(&w, "[127.0.0.1]", SITE_PERMANENT, "5.4.4", "private-address");
	expect_failure(&w, "[5.0.0]", SITE_PERMANENT, "5.1.3", "address-syntax");
	expect_failure(&w, "[5.0.0.1", SITE_PERMANENT, "5.1.3", "address-syntax");
	expect_failure(&w, "[", SITE_PERMANENT, "5.1.3", "address-syntax");
}

/* A host that cannot be looked up is left out, and one that takes for ever is not waited for. */
static void test_slow_and_broken_hosts(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example MX 10 broken.example");
	zone(&w, "x.example MX 20 slow.example");
	zone(&w, "x.example MX 30 good.example");
	zone(&w, "?broken.example A");
	zone(&w, "~slow.example A");
	zone(&w, "good.example A 5.0.0.1");
	struct lookup *l = begin(&w, "x.example");
	assert_false(l->done);
	lookup_tick(l, w.now + 4 * SECOND);
	assert_false(l->done);
	lookup_tick(l, w.now + 5 * SECOND);
	assert_true(l->done);
	assert_int_equal(l->state, SITE_KNOWN);
	assert_int_equal(l->site->nhosts, 1);
	/* The name is the whole set's: it must not change with the weather. */
	assert_string_equal(l->site->name, "broken.example,good.example,slow.example");
	assert_int_equal(w.nopen, 0);
	lookup_free(&l);
}

static void test_deadline(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "~x.example MX");
	zone(&w, "y.example MX 10 slow.example");
	zone(&w, "~slow.example A");
	struct lookup *l = begin(&w, "x.example"), *m = begin(&w, "y.example");
	lookup_tick(l, w.now + 29 * SECOND);
	assert_false(l->done);
	lookup_tick(l, w.now + 30 * SECOND);
	lookup_tick(m, w.now + 30 * SECOND);
	assert_int_equal(l->state, SITE_TEMPORARY);
	assert_string_equal(l->failure.reason, "dns-failed");
	assert_int_equal(m->state, SITE_TEMPORARY);
	assert_int_equal(w.nopen, 0);
	lookup_free(&l);
	lookup_free(&m);
}

static void test_many_hosts(void **state)
{
	(void)state;
	static struct world w;
	char line[400];
	setup(&w);
	for (int i = 0; i < 30; i++) {
		snprintf(line, sizeof line, "x.example MX %d a-rather-long-name-of-host-%02d.example", i,
			29 - i);
		zone(&w, line);
		snprintf(line, sizeof line, "a-rather-long-name-of-host-%02d.example A 5.0.0.%d", i, i + 1);
		zone(&w, line);
	}
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(l->site->nhosts, SITE_HOSTS);
	assert_true(strlen(l->site->name) < 100);
	assert_string_equal(l->site->hosts[0].name, "a-rather-long-name-of-host-29.example");
	lookup_free(&l);
}

static void test_order_and_turns(void **state)
{
	(void)state;
	static struct world w;
	unsigned char order[SITE_HOSTS];
	int first[4] = {0};
	struct sockaddr_storage out[4];
	setup(&w);
	for (int i = 0; i < 3; i++) {
		static const char *const lines[] = {"x.example MX 10 a.example", "x.example MX 10 b.example",
			"x.example MX 20 c.example"};
		zone(&w, lines[i]);
	}
	zone(&w, "a.example A 5.0.0.1");
	zone(&w, "a.example A 5.0.0.2");
	zone(&w, "a.example AAAA 2a00::1");
	zone(&w, "b.example A 5.0.0.3");
	zone(&w, "c.example A 5.0.0.4");
	struct lookup *l = known(&w, "x.example");
	for (uint64_t i = 0; i < 200; i++) {
		site_order(l->site, i * 0x9e3779b97f4a7c15u, order);
		first[order[0]]++;
		assert_int_equal(order[2], 2);
		assert_int_equal(order[0] + order[1], 1);
	}
	assert_true(first[0] > 60 && first[1] > 60);
	bool turned = false;
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(site_addresses(&l->site->hosts[0], i * 0x9e3779b97f4a7c15u, out, 4), 3);
		assert_int_equal(out[0].ss_family, AF_INET6);
		assert_int_equal(out[1].ss_family, AF_INET);
		turned = turned || ((struct sockaddr_in *)&out[1])->sin_addr.s_addr == htonl(0x05000002);
	}
	assert_true(turned);
	assert_int_equal(site_addresses(&l->site->hosts[0], 1, out, 2), 2);
	lookup_free(&l);
}

/* ---- DANE ---- */

#define DIGEST "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_dane(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	w.signed_zone = true;
	zone(&w, "+x.example MX 10 good.example");
	zone(&w, "+x.example MX 20 odd.example");
	zone(&w, "+x.example MX 30 none.example");
	zone(&w, "+x.example MX 40 bogus.example");
	zone(&w, "+x.example MX 50 fails.example");
	zone(&w, "+good.example A 5.0.0.1");
	zone(&w, "+odd.example A 5.0.0.2");
	zone(&w, "+none.example A 5.0.0.3");
	zone(&w, "+bogus.example A 5.0.0.4");
	zone(&w, "+fails.example A 5.0.0.5");
	zone(&w, "+_25._tcp.good.example TLSA 3 1 1 " DIGEST);
	zone(&w, "+_25._tcp.good.example TLSA 1 1 1 " DIGEST);
	zone(&w, "+_25._tcp.odd.example TLSA 1 1 1 " DIGEST);
	zone(&w, "+_25._tcp.odd.example TLSA 3 1 1 e3b0");
	zone(&w, "!_25._tcp.bogus.example TLSA 3 1 1 " DIGEST);
	zone(&w, "?_25._tcp.fails.example TLSA");
	struct lookup *l = known(&w, "x.example");
	const struct site *s = l->site;
	assert_int_equal(s->nhosts, 3);
	assert_int_equal(s->hosts[0].policy.need, TLS_DANE);
	assert_int_equal(s->hosts[0].policy.ntlsa, 1);
	assert_int_equal(s->hosts[0].policy.tlsa[0].n, 32);
	assert_int_equal(s->hosts[1].policy.need, TLS_ENCRYPT);
	assert_int_equal(s->hosts[2].policy.need, TLS_MAY);
	assert_non_null(strstr(s->name, "+dane"));
	lookup_free(&l);
}

/* A host that changed its key is another site: the connections that are open were checked by the old one. */
static void test_dane_another_key(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	w.signed_zone = true;
	zone(&w, "+x.example MX 10 mx.example");
	zone(&w, "+mx.example A 5.0.0.1");
	zone(&w, "+_25._tcp.mx.example TLSA 3 1 1 " DIGEST);
	struct lookup *old = known(&w, "x.example"), *l = known(&w, "x.example");
	assert_true(site_same(old->site, l->site));
	lookup_free(&l);
	for (size_t i = 0; i < 4; i++) { /* usage, selector, matching, a byte of the digest */
		w.records[2].data[i] ^= i == 0 ? 1 : i == 2 ? 3 : 1;
		w.records[2].n = w.records[2].data[2] == 2 ? 3 + 64 : 3 + 32;
		l = known(&w, "x.example");
		assert_int_equal(l->site->hosts[0].policy.ntlsa, 1);
		assert_false(site_same(old->site, l->site));
		lookup_free(&l);
		w.records[2].data[i] ^= i == 0 ? 1 : i == 2 ? 3 : 1;
		w.records[2].n = 3 + 32;
	}
	lookup_free(&old);
}

static void test_dane_all_bogus(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "+x.example MX 10 bogus.example");
	zone(&w, "+bogus.example A 5.0.0.4");
	zone(&w, "bogus.example TXT there");
	zone(&w, "!_25._tcp.bogus.example TLSA");
	w.signed_zone = true;
	expect_failure(&w, "x.example", SITE_TEMPORARY, "4.4.3", "dnssec-bogus");
}

/* Without proof of the MX records or of the addresses TLSA records say nothing; they are not even asked for.
 */
static void test_dane_needs_proof(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	zone(&w, "x.example MX 10 mx.example");
	zone(&w, "+y.example MX 10 plain.example");
	zone(&w, "+mx.example A 5.0.0.1");
	zone(&w, "plain.example A 5.0.0.2");
	zone(&w, "+_25._tcp.mx.example TLSA 3 1 1 " DIGEST);
	zone(&w, "+_25._tcp.plain.example TLSA 3 1 1 " DIGEST);
	struct lookup *l = known(&w, "x.example"), *m = known(&w, "y.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_MAY);
	assert_string_equal(l->site->name, "mx.example");
	assert_int_equal(m->site->hosts[0].policy.need, TLS_MAY);
	lookup_free(&l);
	lookup_free(&m);
}

/* RFC 7672 2.2.2: at the end of the aliases first, then at the name itself. */
static void test_dane_behind_alias(void **state)
{
	(void)state;
	static struct world w;
	setup(&w);
	w.signed_zone = true;
	zone(&w, "+x.example MX 10 mx.example");
	zone(&w, "+mx.example A 5.0.0.1");
	zone(&w, "+_25._tcp.real.example TLSA 3 1 1 " DIGEST);
	w.canon = "real.example.";
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_DANE);
	assert_string_equal(l->site->hosts[0].policy.base, "real.example");
	lookup_free(&l);
	w.n--;
	zone(&w, "+_25._tcp.mx.example TLSA 2 0 1 " DIGEST);
	l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_DANE);
	assert_null(l->site->hosts[0].policy.base);
	lookup_free(&l);
}

/* ---- MTA-STS ---- */

#define ENFORCE "version: STSv1\r\nmode: enforce\r\nmx: *.good.example\r\nmax_age: 604800\r\n"

static void sts_zone(struct world *w)
{
	setup(w);
	zone(w, "x.example MX 10 mx.good.example");
	zone(w, "x.example MX 20 mx.other.example");
	zone(w, "mx.good.example A 5.0.0.1");
	zone(w, "mx.other.example A 5.0.0.2");
	zone(w, "_mta-sts.x.example TXT v=STSv1; id=1a;");
	zone(w, "mta-sts.x.example A 5.0.0.3");
}

static void test_sts_enforce(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.policy_text = ENFORCE;
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(w.fetches, 1);
	assert_true(l->learnt);
	assert_string_equal(l->policy->id, "1a");
	assert_int_equal(l->site->nhosts, 1);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	assert_string_equal(l->site->name, "mx.good.example+sts");
	w.kept = *l->policy;
	w.has_kept = true;
	lookup_free(&l);
	/* Kept, same id: not fetched again; not even when the record is gone or DNS is down. */
	l = known(&w, "x.example");
	assert_int_equal(w.fetches, 1);
	assert_false(l->learnt);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	lookup_free(&l);
	w.records[4].flag = '?';
	l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	lookup_free(&l);
	/* Another id, and it cannot be fetched: the old one counts till its end. */
	w.records[4].flag = ' ';
	w.records[4].data[14] = '2';
	w.policy_text = NULL;
	l = known(&w, "x.example");
	assert_int_equal(w.fetches, 2);
	assert_true(l->fetch_failed);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	lookup_free(&l);
	/* It is fetched, and is none: the same. */
	w.policy_text = "version: STSv1\nmode: none of these\nmax_age: 86400\n";
	l = known(&w, "x.example");
	assert_true(l->fetch_failed);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	lookup_free(&l);
	w.policy_text = NULL;
	w.wall += 604800 * SECOND;
	l = known(&w, "x.example");
	assert_int_equal(l->site->nhosts, 2);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_MAY);
	lookup_free(&l);
}

static void test_sts_fits_nobody(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.policy_text = "version: STSv1\nmode: enforce\nmx: mx.third.example\nmax_age: 86400\n";
	expect_failure(&w, "x.example", SITE_TEMPORARY, "4.7.5", "tls-policy");
}

static void test_sts_testing_and_none(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.policy_text = "version: STSv1\nmode: testing\nmx: mx.third.example\nmax_age: 86400\n";
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(l->site->nhosts, 2);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_TESTING);
	assert_string_equal(l->site->name, "mx.good.example,mx.other.example+sts-testing");
	lookup_free(&l);
	w.policy_text = "version: STSv1\nmode: none\nmax_age: 86400\n";
	l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_MAY);
	lookup_free(&l);
}

static void test_sts_cannot_be_had(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.policy_text = NULL;
	struct lookup *l = known(&w, "x.example");
	assert_true(l->fetch_failed);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_MAY);
	lookup_free(&l);
	/* Nobody waits for ever for it. */
	w.policy_hangs = true;
	l = begin(&w, "x.example");
	assert_false(l->done);
	lookup_tick(l, w.now + 30 * SECOND);
	assert_true(l->done);
	assert_int_equal(l->state, SITE_KNOWN);
	assert_null(w.fetch);
	lookup_free(&l);
	/* Nor long for name servers that do not say whether there is one. */
	w.records[4].flag = '~';
	l = begin(&w, "x.example");
	lookup_tick(l, w.now + 4 * SECOND);
	assert_false(l->done);
	lookup_tick(l, w.now + 5 * SECOND);
	assert_true(l->done);
	assert_int_equal(l->state, SITE_KNOWN);
	lookup_free(&l);
	w.records[4].flag = ' ';
	/* A policy host in the private network is not asked. */
	w.records[5].data[0] = 127;
	w.policy_hangs = false;
	int fetches = w.fetches;
	l = known(&w, "x.example");
	assert_int_equal(w.fetches, fetches);
	lookup_free(&l);
}

/* With too little memory at whatever place: what it would have been with enough, or another day; never with
 * less demanded of the host, or under a name that others could have. */
static void test_memory(void **state)
{
	(void)state;
	static struct world w;
	size_t need[2] = {0};
	for (int policy = 0; policy < 2; policy++) {
		setup(&w);
		w.signed_zone = policy == 0;
		zone(&w, "+x.example MX 10 mx.good.example");
		zone(&w, "+mx.good.example A 5.0.0.1");
		if (policy == 0)
			zone(&w, "+_25._tcp.mx.good.example TLSA 3 1 1 " DIGEST);
		zone(&w, "_mta-sts.x.example TXT v=STSv1; id=1a;");
		zone(&w, "mta-sts.x.example A 5.0.0.3");
		w.policy_text = ENFORCE;
		for (size_t max = 0; need[policy] == 0; max += max < 4096 ? 16 : 512) {
			struct lookup *l = lookup_new(&w.o, &w.ops, STR("x.example"));
			l->arena.max = max;
			w.done = 0;
			lookup_start(l, w.now, w.wall, false);
			play(&w);
			assert_int_equal(w.done, 1);
			if (l->state == SITE_KNOWN) {
				assert_string_equal(l->site->name,
					policy == 0 ? "mx.good.example+dane+sts" : "mx.good.example+sts");
				assert_int_equal(
					l->site->hosts[0].policy.need, policy == 0 ? TLS_DANE : TLS_VERIFY);
				need[policy] = max;
			} else {
				assert_int_equal(l->state, SITE_TEMPORARY);
			}
			lookup_free(&l);
		}
		assert_true(need[policy] > 0);
	}
}

static void test_dane_goes_before_sts(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.signed_zone = true;
	for (int i = 0; i < 4; i++)
		w.records[i].flag = '+';
	zone(&w, "+_25._tcp.mx.other.example TLSA 3 1 1 " DIGEST);
	w.policy_text = ENFORCE;
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(l->site->nhosts, 2);
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	assert_int_equal(l->site->hosts[1].policy.need, TLS_DANE);
	lookup_free(&l);
}

static void test_plain_and_least(void **state)
{
	(void)state;
	static struct world w;
	sts_zone(&w);
	w.o.plain = true;
	struct lookup *l = known(&w, "x.example");
	assert_int_equal(w.fetches, 0);
	assert_int_equal(w.total, 1 + 4);
	lookup_free(&l);
	w.o.plain = false;
	w.o.least = TLS_VERIFY;
	w.n = 4;
	l = known(&w, "x.example");
	assert_int_equal(l->site->hosts[0].policy.need, TLS_VERIFY);
	lookup_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx_order),
		cmocka_unit_test(test_no_mx),
		cmocka_unit_test(test_who_takes_no_mail),
		cmocka_unit_test(test_null_mx_among_others),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_private_addresses),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_slow_and_broken_hosts),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_order_and_turns),
		cmocka_unit_test(test_dane),
		cmocka_unit_test(test_dane_another_key),
		cmocka_unit_test(test_dane_all_bogus),
		cmocka_unit_test(test_dane_needs_proof),
		cmocka_unit_test(test_dane_behind_alias),
		cmocka_unit_test(test_sts_enforce),
		cmocka_unit_test(test_sts_fits_nobody),
		cmocka_unit_test(test_sts_testing_and_none),
		cmocka_unit_test(test_sts_cannot_be_had),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_dane_goes_before_sts),
		cmocka_unit_test(test_plain_and_least),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
