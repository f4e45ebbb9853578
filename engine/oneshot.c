#include "engine/oneshot.h"

#include "engine/route.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

struct oneshot {
	struct ev_loop *loop;
	struct smtp_message *messages;
	struct oneshot_result *results;
	size_t n, next;
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
	if (o->next < o->n)
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
	for (; o->next < o->n; o->next++)
		note(&o->results[o->next], r);
	ev_break(o->loop, EVBREAK_ALL);
}

int oneshot_send(const struct config_route *cfg, const struct letter *letters, size_t n,
	struct oneshot_result *results, struct err *e)
{
	static const struct smtp_conn_ops ops = {.ready = on_ready, .result = on_result, .closed = on_closed};
	struct route route;
	struct oneshot o = {.n = n, .results = results};
	int rc = -1;
	if (route_init(&route, cfg, e) != 0 || route_resolve(&route, e) != 0 ||
		(route.access != NULL && access_wait(route.access, e) != 0))
		goto done;
	o.loop = ev_loop_new(EVFLAG_AUTO);
	o.messages = calloc(n + 1, sizeof *o.messages);
	if (o.loop == NULL || o.messages == NULL) {
		err_set(e, ERR_INTERNAL, "test", "out of memory");
		goto done;
	}
	for (size_t i = 0; i < n; i++) {
		const struct letter *l = &letters[i];
		results[i] = (struct oneshot_result){0};
		o.messages[i] = (struct smtp_message){.from = l->from,
			.rcpt = l->rcpt,
			.header = l->mail.header,
			.body = l->mail.body,
			.tail = l->mail.tail,
			.envid = l->envid,
			.utf8 = l->mail.utf8};
	}
	struct route_addrs *a = atomic_load(&route.addrs);
	struct smtp_endpoint ep = {.host = cfg->host,
		.addrs = a->v,
		.naddrs = a->n,
		.connect_timeout = 30 * SECOND,
		.tls = route.tls};
	route.smtp.pipeline =
		false; /* each result belongs to one dialogue that a person can follow with -v */
	if (smtp_conn_open(o.loop, &ep, &route.smtp, &ops, &o, e) == NULL)
		goto done;
	ev_run(o.loop, 0);
	ev_run(o.loop, EVRUN_NOWAIT); /* the connection frees itself on the next turn */
	rc = 0;
done:
	if (o.loop != NULL)
		ev_loop_destroy(o.loop);
	free(o.messages);
	route_release(&route);
	return rc;
}
