/* The lookup of one domain: what to ask next, and what the answers make of it. Does no I/O, reads no clock
 * and knows no thread: questions and fetches go out through a table of functions, answers come in. book.c
 * runs it over libunbound and libcurl, tests over a script. */
#ifndef ENGINE_DNS_LOOKUP_H
#define ENGINE_DNS_LOOKUP_H

#include "engine/dns/record.h"
#include "engine/dns/site.h"
#include "engine/dns/sts.h"
#include "src/base/arena.h"

enum dns_kind {
	DNS_DATA,
	DNS_NODATA,
	DNS_NXDOMAIN,
	DNS_FAILED, /* no answer, or the name servers say they fail */
	DNS_BOGUS,  /* does not pass DNSSEC */
};

struct dns_answer { /* everything is lent for the call */
	enum dns_kind kind;
	bool secure;       /* proven by DNSSEC: the data, or that there is none */
	const char *canon; /* the name at the end of CNAMEs; NULL: the name itself */
	ms_t ttl;
	const struct str *data; /* rdata */
	size_t n;
	const char *why; /* with FAILED and BOGUS; may be NULL */
};

struct dns_query {
	struct lookup *lookup; /* NULL: asked for another purpose */
	void (*answered)(struct dns_query *q, const struct dns_answer *a);
	bool open;
	void *token; /* whoever asks keeps here what cancelling needs */
};

struct policy_fetch {
	struct lookup *lookup;
	bool open;
	void *token;
};

struct dns_ops {
	/* One call of dns_answered() follows, never from within; -1: it cannot be asked. */
	int (*ask)(void *ctx, struct dns_query *q, const char *name, enum dns_type type);
	void (*cancel)(void *ctx, struct dns_query *q);
	/* GET https://HOST/.well-known/mta-sts.txt from one of these addresses; policy_fetched() follows. */
	int (*fetch)(void *ctx, struct policy_fetch *f, const char *host,
		const struct sockaddr_storage *addrs, size_t n);
	void (*fetch_cancel)(void *ctx, struct policy_fetch *f);
	/* The policy known for the domain, whatever its age. False: none. */
	bool (*policy)(void *ctx, const char *domain, struct sts_policy *out);
	void (*done)(void *ctx, struct lookup *l); /* not to be freed in there */
	void *ctx;
};

struct host_lookup {
	struct lookup *lookup;
	char name[DNS_NAME], canon[DNS_NAME]; /* canon "": no alias */
	unsigned preference;
	enum { HOST_ASKED, HOST_READY, HOST_FAILED, HOST_NONE, HOST_PRIVATE } state;
	struct dns_query address[2], tlsa; /* IPv6, IPv4 */
	bool insecure;                     /* an address without proof: no DANE */
	bool base_is_canon;
	struct sockaddr_storage addrs[2][SITE_ADDRESSES / 2];
	size_t naddrs[2];
	bool failed, refused; /* an address lookup failed; an address was left out because it is private */
	bool dane;            /* there are TLSA records */
	struct tlsa *records; /* of those that can be used */
	size_t nrecords;
};

struct lookup {
	void *owner; /* whoever runs it may keep here what it likes */
	const struct sites_options *o;
	const struct dns_ops *ops;
	struct arena arena;
	char domain[DNS_NAME + 2];
	ms_t now, deadline,
		patience; /* monotonic: of the last event; the end; enough is enough if one host is there */
	ms_t wall;        /* when it began */
	struct dns_query mx, sts_record, sts_address[2];
	struct policy_fetch fetch;
	bool mx_known, mx_secure, sts_known, no_fetch; /* no_fetch: it failed a moment ago */
	struct host_lookup *hosts;
	size_t nhosts;
	const char **names; /* of the whole MX set, sorted as the site's name has them */
	size_t nnames;
	struct sockaddr_storage policy_addrs[2 * 4];
	size_t npolicy_addrs;
	char sts_id[STS_ID];
	struct sts_policy *policy; /* that counts; NULL: none */
	char trouble[240];         /* of a host that is left out */
	bool trouble_bogus;

	/* When it is done: */
	bool done, learnt, fetch_failed; /* learnt: the policy is new and is to be kept */
	enum site_state state;
	struct site *site; /* a reference, if KNOWN */
	struct site_failure failure;
	ms_t ttl;
};

/* NULL: out of memory. no_fetch: a policy could not be fetched a moment ago. */
struct lookup *lookup_new(const struct sites_options *o, const struct dns_ops *ops, struct str domain);
void lookup_start(struct lookup *l, ms_t now, ms_t wall, bool no_fetch); /* may be done at once */
void lookup_free(struct lookup **l);                                     /* cancels what is open */
void dns_answered(struct dns_query *q, const struct dns_answer *a, ms_t now);
/* `body` as it came, only if the status was 200 and the type text/plain; else p NULL and why. */
void policy_fetched(struct policy_fetch *f, struct str body, const char *why, ms_t now);
void lookup_tick(struct lookup *l, ms_t now); /* looks at its deadlines */

/* ---- site.c ---- */
struct site *site_new(struct arena **a); /* with one reference; what it points to lives in its arena */
/* Nobody who connects could tell them apart. */
bool site_same(const struct site *a, const struct site *b);
/* ---- lookup_host.c ---- */
void host_start(struct host_lookup *h);
/* ---- lookup_policy.c ---- */
void policy_start(struct lookup *l);
/* ---- lookup_site.c: all that can be known is known ---- */
void lookup_conclude(struct lookup *l);
/* ---- lookup.c ---- */
void lookup_step(struct lookup *l); /* something was settled: is all? */
void lookup_ask(struct lookup *l, struct dns_query *q, const char *name, enum dns_type type,
	void (*answered)(struct dns_query *q, const struct dns_answer *a));
void lookup_ttl(struct lookup *l, const struct dns_answer *a);
void lookup_fail(struct lookup *l, enum site_state state, int code, const char *enhanced, const char *reason,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#endif
