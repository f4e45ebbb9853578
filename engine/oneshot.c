#include "engine/oneshot.h"

#include "engine/route_book.h"
#include "src/base/hash.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const ms_t CONNECT = 30 * SECOND;
static const ms_t LOOK_UP = MINUTE;

struct oneshot {
	struct ev_loop *loop;
	struct smtp_message *messages;
	struct oneshot_result *results;
	size_t n, next, end; /* next: to be sent; end: behind the last of this connection */
};

static void note(struct oneshot_result *out, const struct smtp_result *r)
{
	out->accepted = r->accepted;
	out->stage = r->stage;
	if (r->reply == NULL) {
		snprintf(out->text, sizeof out->text, "%s", r->why != NULL ? r->why : "no answer");
		return;
	}
	out->code = r->reply->code;
	memcpy(out->enhanced, r->reply->enhanced, sizeof out->enhanced);
	snprintf(out->text, sizeof out->text, "%.*s", STR_ARG(r->reply->text));
}

static void on_ready(void *ctx, struct smtp_conn *c)
{
	struct oneshot *o = ctx;
	if (o->next < o->end)
		smtp_conn_send(c, &o->messages[o->next++]);
	else
		smtp_conn_quit(c);
}

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct oneshot *o = ctx;
	(void)c;
	note(&o->results[m - o->messages], r);
}

static void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct oneshot *o = ctx;
	(void)c, (void)clean;
	for (; o->next < o->end; o->next++)
		note(&o->results[o->next], r);
	ev_break(o->loop, EVBREAK_ALL);
}

static int prepare(struct oneshot *o, const struct letter *letters, struct err *e)
{
	o->loop = ev_loop_new(EVFLAG_AUTO);
	o->messages = calloc(o->n + 1, sizeof *o->messages);
	if (o->loop == NULL || o->messages == NULL)
		return err_set(e, ERR_INTERNAL, "test", "out of memory");
	for (size_t i = 0; i < o->n; i++) {
		const struct letter *l = &letters[i];
		o->results[i] = (struct oneshot_result){0};
		o->messages[i] = (struct smtp_message){.from = l->from,
			.rcpt = l->rcpt,
			.header = l->mail.header,
			.body = l->mail.body,
			.tail = l->mail.tail,
			.envid = l->envid,
			.utf8 = l->mail.utf8};
	}
	return 0;
}

/* The messages from `next` up to `end`, over one connection. */
static int call(struct oneshot *o, const struct smtp_endpoint *ep, const struct smtp_options *so, size_t end,
	struct err *e)
{
	static const struct smtp_conn_ops ops = {.ready = on_ready, .result = on_result, .closed = on_closed};
	o->end = end;
	if (smtp_conn_open(o->loop, ep, so, &ops, o, e) == NULL)
		return -1;
	ev_run(o->loop, 0);
	ev_run(o->loop, EVRUN_NOWAIT); /* the connection frees itself on the next turn */
	return 0;
}

/* From one of the route's own addresses that can reach the host; NULL: as the system chooses. */
static const struct route_source *source_for(const struct route *r, const struct smtp_endpoint *ep)
{
	for (size_t i = 0; i < r->nsources; i++)
		for (size_t k = 0; k < ep->naddrs; k++)
			if (r->sources[i].addr.ss_family == ep->addrs[k].ss_family)
				return &r->sources[i];
	return NULL;
}

static int call_from(
	struct oneshot *o, struct smtp_endpoint *ep, const struct route *r, size_t end, struct err *e)
{
	const struct route_source *s = source_for(r, ep);
	struct smtp_options so = s != NULL ? s->smtp : r->smtp;
	ep->source = s != NULL ? &s->addr : NULL;
	/* Each result belongs to one dialogue that a person can follow with -v. */
	so.pipeline = false;
	return call(o, ep, &so, end, e);
}

static int by_relay(struct oneshot *o, struct route *r, struct err *e)
{
	if (route_resolve(r, e) != 0 || (r->access != NULL && access_wait(r->access, e) != 0))
		return -1;
	struct route_addrs *a = atomic_load(&r->addrs);
	struct smtp_endpoint ep = {.host = r->cfg->host,
		.addrs = a->v,
		.naddrs = a->n,
		.connect_timeout = CONNECT,
		.tls = r->tls};
	for (size_t i = 0; i < o->n; i++)
		snprintf(o->results[i].host, sizeof o->results[i].host, "%s", r->cfg->host);
	return call_from(o, &ep, r, o->n, e);
}

/* ---- Straight to the recipient's hosts ---- */

static struct site *look_up(struct sites *book, struct str domain, struct oneshot_result *out)
{
	struct site *site = NULL;
	struct site_failure f;
	enum site_state state = SITE_PENDING;
	ms_t end = clock_mono() + LOOK_UP;
	while ((state = sites_lookup(book, domain, clock_mono(), &site, &f)) == SITE_PENDING &&
		clock_mono() < end)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	if (state == SITE_KNOWN)
		return site;
	out->stage = SMTP_DNS;
	if (state == SITE_PENDING) {
		snprintf(out->text, sizeof out->text, "the name servers do not answer");
		return NULL;
	}
	out->code = f.code;
	snprintf(out->enhanced, sizeof out->enhanced, "%s", f.enhanced);
	snprintf(out->text, sizeof out->text, "%s", f.text);
	return NULL;
}

/* The i-th message: the hosts in order, until one answers for itself. */
static int to_hosts(struct oneshot *o, size_t i, struct route *r, const struct site *s, struct err *e)
{
	unsigned char order[SITE_HOSTS];
	struct sockaddr_storage addrs[SITE_ADDRESSES];
	uint64_t lot;
	random_bytes(&lot, sizeof lot);
	site_order(s, lot, order);
	for (size_t h = 0; h < s->nhosts; h++) {
		const struct site_host *host = &s->hosts[order[h]];
		struct smtp_endpoint ep = {.host = host->name,
			.addrs = addrs,
			.naddrs = site_addresses(host, lot, addrs, SITE_ADDRESSES),
			.connect_timeout = CONNECT,
			.tls = r->tls,
			.policy = &host->policy};
		o->next = i;
		o->results[i] = (struct oneshot_result){0};
		snprintf(o->results[i].host, sizeof o->results[i].host, "%s", host->name);
		if (call_from(o, &ep, r, i + 1, e) != 0)
			return -1;
		if (o->results[i].accepted || o->results[i].stage >= SMTP_MAIL)
			break;
	}
	return 0;
}

static int by_mx(struct oneshot *o, const struct config *c, struct route *r, struct err *e)
{
	struct sites *book = NULL;
	struct sites_options so = {0};
	int rc = route_book(&book, c, r, &so, e);
	for (size_t i = 0; rc == 0 && i < o->n; i++) {
		struct site *s = look_up(book, str_after_last(o->messages[i].rcpt, '@'), &o->results[i]);
		if (s != NULL)
			rc = to_hosts(o, i, r, s, e);
		site_unref(&s);
	}
	sites_free(&book);
	return rc;
}

int oneshot_send(const struct config *c, const struct config_route *cfg, const struct letter *letters,
	size_t n, struct oneshot_result *results, struct err *e)
{
	struct route route;
	struct oneshot o = {.n = n, .results = results};
	int rc = route_init(&route, cfg, e);
	if (rc == 0)
		rc = route_sources(&route, c, e);
	if (rc == 0)
		rc = prepare(&o, letters, e);
	if (rc == 0)
		rc = cfg->kind == ROUTE_DIRECT ? by_mx(&o, c, &route, e) : by_relay(&o, &route, e);
	if (o.loop != NULL)
		ev_loop_destroy(o.loop);
	free(o.messages);
	route_release(&route);
	return rc;
}
