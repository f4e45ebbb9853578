#include "engine/dns/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>
#include <unistd.h>

enum { DATA_MAX = 128, NS_CLASS_IN = 1, RCODE_NXDOMAIN = 3 };

struct resolver {
	struct ub_ctx *ctx;
};

struct question { /* token of a dns_query */
	struct dns_query *q;
	struct resolver *r;
	int id;
};

/* ---- Answers ---- */

static enum dns_kind kind_of(const struct ub_result *r)
{
	if (r->bogus)
		return DNS_BOGUS;
	if (r->havedata)
		return DNS_DATA;
	if (r->nxdomain || r->rcode == RCODE_NXDOMAIN)
		return DNS_NXDOMAIN;
	return r->rcode == 0 ? DNS_NODATA : DNS_FAILED;
}

static const char *rcode_words(int rcode)
{
	switch (rcode) {
	case 1:
		return "the name server does not understand the question (FORMERR)";
	case 2:
		return "the name servers do not answer or fail (SERVFAIL)";
	case 5:
		return "the name server refuses to answer (REFUSED)";
	default:
		return "the name servers fail";
	}
}

static void on_answer(void *ctx, int error, struct ub_result *r)
{
	struct question *question = ctx;
	struct dns_query *q = question->q;
	struct str data[DATA_MAX];
	struct dns_answer a = {.kind = DNS_FAILED, .why = "the resolver fails"};
	free(question);
	q->token = NULL;
	if (error == 0 && r != NULL) {
		a = (struct dns_answer){.kind = kind_of(r),
			.secure = r->secure != 0,
			.canon = r->canonname,
			.ttl = (r->ttl > 0 ? r->ttl : 0) * SECOND,
			.data = data,
			.why = r->bogus ? r->why_bogus : rcode_words(r->rcode)};
		for (size_t i = 0; a.kind == DNS_DATA && a.n < DATA_MAX && r->data[i] != NULL; i++)
			data[a.n++] = str_n(r->data[i], (size_t)r->len[i]);
	}
	dns_answered(q, &a, clock_mono());
	ub_resolve_free(r);
}

int resolver_ask(struct resolver *r, struct dns_query *q, const char *name, enum dns_type type)
{
	struct question *question = malloc(sizeof *question);
	if (question == NULL)
		return -1;
	*question = (struct question){.q = q, .r = r};
	q->token = question;
	if (ub_resolve_async(r->ctx, name, type, NS_CLASS_IN, question, on_answer, &question->id) == 0)
		return 0;
	free(question);
	q->token = NULL;
	return -1;
}

void resolver_cancel(struct resolver *r, struct dns_query *q)
{
	struct question *question = q->token;
	q->token = NULL;
	if (question == NULL)
		return;
	ub_cancel(r->ctx, question->id);
	free(question);
}

int resolver_fd(struct resolver *r)
{
	return ub_fd(r->ctx);
}

void resolver_process(struct resolver *r)
{
	ub_process(r->ctx);
}

/* ---- Setting up ---- */

static int bad(struct err *e, const char *what, const char *value, int rc)
{
	return err_set(e, ERR_CONFIG, what, "%.200s: %s", value, ub_strerror(rc));
}

static int set_options(struct ub_ctx *ctx, struct err *e)
{
	static const char *const options[][2] = {
		{"do-not-query-localhost:", "no"}, /* the resolver may well be on this computer */
		{"use-syslog:", "no"},
		/* What was found of a domain is in the book; here only what domains have in common. */
		{"rrset-cache-size:", "4m"},
		{"msg-cache-size:", "2m"},
		{"num-queries-per-thread:", "4096"},
		{"outgoing-range:", "4096"}, /* lookups that may be under way, each with two questions */
		/* A resolver that knows most names at once may need long for one: it is not asked again so
		 * soon, nor so often, as a name server would be. */
		{"infra-cache-min-rtt:", "400"},
		{"outbound-msg-retry:", "3"},
		/* A resolver that was restarted is found again soon. */
		{"infra-keep-probing:", "yes"},
	};
	ub_ctx_debugout(ctx, NULL);
	ub_ctx_debuglevel(ctx, 0);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		int rc = ub_ctx_set_option(ctx, options[i][0], options[i][1]);
		if (rc != 0)
			return bad(e, "resolver", options[i][0], rc);
	}
	return 0;
}

static int set_resolvers(struct ub_ctx *ctx, const struct sites_options *o, struct err *e)
{
	if (o->nresolvers == 0)
		ub_ctx_resolvconf(ctx, NULL); /* without one: as by "root" */
	for (size_t i = 0; i < o->nresolvers; i++) {
		if (strcmp(o->resolvers[i], "root") == 0)
			continue;
		int rc = ub_ctx_set_fwd(ctx, o->resolvers[i]);
		if (rc != 0)
			return bad(e, "resolver", o->resolvers[i], rc);
	}
	return 0;
}

static int set_trust(
	struct ub_ctx *ctx, const struct sites_options *o, enum resolver_trust trust, struct err *e)
{
	/* https://data.iana.org/root-anchors/: KSK-2017 and KSK-2024. */
	static const char *const root[] = {
		". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"};
	static const char systems[] = "/usr/share/dns/root.key"; /* Debian's dns-root-data */
	const char *file = trust == TRUST_FILE          ? o->trust_anchor
			   : access(systems, R_OK) == 0 ? systems
							: NULL;
	int rc = 0;
	if (trust == TRUST_NONE)
		return 0;
	if (file != NULL) {
		if (access(file, R_OK) != 0)
			return err_sys(e, ERR_CONFIG, "trust-anchor", file);
		rc = ub_ctx_add_ta_file(ctx, file);
	}
	for (size_t i = 0; file == NULL && rc == 0 && i < sizeof root / sizeof root[0]; i++)
		rc = ub_ctx_add_ta(ctx, root[i]);
	return rc == 0 ? 0 : bad(e, "trust-anchor", file != NULL ? file : "the root's", rc);
}

int resolver_new(
	struct resolver **out, const struct sites_options *o, enum resolver_trust trust, struct err *e)
{
	struct resolver *r = calloc(1, sizeof *r);
	if (r != NULL)
		r->ctx = ub_ctx_create();
	if (r == NULL || r->ctx == NULL) {
		free(r);
		return err_set(e, ERR_INTERNAL, "DNS", "out of memory");
	}
	if (set_options(r->ctx, e) != 0 || set_resolvers(r->ctx, o, e) != 0 ||
		set_trust(r->ctx, o, trust, e) != 0) {
		resolver_free(&r);
		return -1;
	}
	ub_ctx_async(r->ctx, 1);
	/* libunbound says by itself that there is nothing below test (RFC 6761); the name server that was
	 * named may know better. It ends the setting up, so it stands last. */
	if (o->nresolvers != 0)
		ub_ctx_zone_remove(r->ctx, "test.");
	*out = r;
	return 0;
}

void resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;
	*rp = NULL;
	if (r == NULL)
		return;
	ub_ctx_delete(r->ctx);
	free(r);
}
