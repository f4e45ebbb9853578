#include "engine/worker_private.h"

#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	REFUSALS = 3,    /* temporary refusals in a row, before what waits is recorded as tried */
	SAID_MAX = 3000, /* bytes kept of what was said with hosts that could not be used */
};

static const ms_t CONNECT = 20 * SECOND; /* to each address */
static const ms_t CALL = 2 * MINUTE;     /* after that no other host is tried */
static const ms_t BAD_HOST = 5 * MINUTE; /* who did not answer is asked after the others so long */
static const ms_t UNREACHED_MOST = 15 * MINUTE;
static const ms_t UNREACHED = MINUTE; /* the least pause after an attempt at all hosts */

static uint64_t lot(struct worker *w)
{
	w->lot ^= w->lot << 13;
	w->lot ^= w->lot >> 7;
	return w->lot ^= w->lot << 17;
}

static const struct site_host *host_of(const struct call *c)
{
	return &c->site->hosts[c->order[c->nth]];
}

static void trying_ends(struct call *c)
{
	struct worker *w = c->link->lane->w;
	if (!c->trying)
		return;
	c->trying = false;
	*(c->older != NULL ? &c->older->newer : &w->oldest) = c->newer;
	*(c->newer != NULL ? &c->newer->older : &w->newest) = c->older;
	c->link->lane->dest->trying--;
	w->usage[c->link->lane->hatch.route].trying--;
}

static void trying_begins(struct call *c)
{
	struct worker *w = c->link->lane->w;
	c->trying = true;
	c->since = clock_mono();
	c->older = w->newest;
	*(w->newest != NULL ? &w->newest->newer : &w->oldest) = c;
	w->newest = c;
	c->link->lane->dest->trying++;
	w->usage[c->link->lane->hatch.route].trying++;
}

/* Equals by lot, and who did not answer of late comes last. */
static void draw_order(struct lane *l, struct call *c)
{
	unsigned char by_lot[SITE_HOSTS];
	ms_t now = clock_mono();
	size_t n = 0;
	site_order(c->site, c->lot, by_lot);
	for (int bad = 0; bad < 2; bad++)
		for (size_t i = 0; i < c->site->nhosts; i++)
			if ((now < l->dest->bad[by_lot[i]]) == (bad == 1))
				c->order[n++] = by_lot[i];
}

static int dial(struct link *k)
{
	struct lane *l = k->lane;
	struct call *c = k->call;
	const struct site_host *h = host_of(c);
	ms_t most = l->route->cfg->timeout;
	size_t n = site_addresses(h, c->lot, c->addrs, sizeof c->addrs / sizeof c->addrs[0]);
	c->options = k->source != NULL ? k->source->smtp : l->route->smtp;
	if (l->dest->limits.tls_required && c->options.tls == SMTP_TLS_OPPORTUNISTIC)
		c->options.tls = SMTP_TLS_STARTTLS;
	if (l->dest->out_of_step) {
		c->options.pipeline = false;
		c->options.chunking = 0;
	}
	k->ep = (struct smtp_endpoint){
		.host = h->name,
		.addrs = c->addrs,
		.naddrs = n,
		.source = k->source != NULL ? &k->source->addr : NULL,
		.connect_timeout = CONNECT,
		.tls = l->route->tls,
		.policy = &h->policy,
	};
	if (most > 0 && k->ep.connect_timeout > most)
		k->ep.connect_timeout = most;
	return link_dial(k, &c->options);
}

void call_open(struct lane *l)
{
	struct dest *d = l->dest;
	struct worker *w = l->w;
	struct link *k = link_new(l);
	struct call *c = calloc(1, sizeof *c);
	if (k == NULL || c == NULL) {
		free(k);
		free(c);
		d->closed_until = clock_mono() + SECOND;
		return;
	}
	c->link = k;
	c->site = site_ref(d->site);
	c->lot = lot(w);
	buf_init(&c->said, SAID_MAX);
	draw_order(l, c);
	k->call = c;
	k->source = d->source;
	w->descriptors++;
	if (dial(k) != 0) {
		d->closed_until = clock_mono() + SECOND;
		w->descriptors--;
		site_unref(&c->site);
		free(c);
		free(k);
		return;
	}
	trying_begins(c);
	link_add(k);
	if (l->nlinks == 1) {
		struct lane **first = &d->group->open;
		d->next_open = *first;
		d->back_open = first;
		if (d->next_open != NULL)
			d->next_open->dest->back_open = &d->next_open;
		*first = l;
	}
	shaper_connecting(&d->group->shaper, mono_us());
}

void call_established(struct link *k)
{
	struct lane *l = k->lane;
	struct dest *d = l->dest;
	struct call *c = k->call;
	trying_ends(c);
	l->w->usage[l->hatch.route].working++;
	l->w->usage[l->hatch.route].holds += k->holds;
	shaper_established(&d->group->shaper, mono_us());
	d->closed_until = 0;
	if (c->site == d->site)
		d->bad[c->order[c->nth]] = 0;
	group_touch(d->group);
}

void call_over(struct link *k)
{
	struct lane *l = k->lane;
	struct usage *u = &l->w->usage[l->hatch.route];
	trying_ends(k->call);
	if (k->established) {
		u->working--;
		u->holds -= k->holds;
		u->slow -= k->call->slow;
	}
	l->w->descriptors--;
	if (l->nlinks == 0) {
		*l->dest->back_open = l->dest->next_open;
		if (l->dest->next_open != NULL)
			l->dest->next_open->dest->back_open = l->dest->back_open;
	}
	site_unref(&k->call->site);
	buf_release(&k->call->said);
	free(k->call);
	group_touch(l->dest->group);
	if (l->w->starved != NULL)
		ev_async_send(l->w->loop, &l->w->wake);
}

/* ---- What becomes of calls ---- */

/* One of many sites that share limits cannot be reached: that says nothing of the others. */
static enum shaper_fault fault_for_group(const struct group *g, enum shaper_fault f)
{
	bool own = f == SHAPER_TLS || f == SHAPER_REFUSED ||
		   (f == SHAPER_TIMEOUT && !g->shaper.limits.reset_is_congestion);
	return g->shared && own ? SHAPER_ABANDONED : f;
}

static ms_t pause_after(const struct dest *d, ms_t least)
{
	ms_t most = d->limits.down_most > 0 ? d->limits.down_most : UNREACHED_MOST;
	int n = d->failures < 8 ? d->failures : 8;
	ms_t pause = UNREACHED << (n > 0 ? n - 1 : 0);
	return least > pause ? least : pause < most ? pause : most;
}

static void report_unreached(struct lane *l, struct unreached *u, struct str text, const char *host)
{
	snprintf(u->text, sizeof u->text, "%.*s", STR_ARG(text));
	snprintf(u->host, sizeof u->host, "%s", host);
	lane_give_back_all(l, clock_now());
	ledger_unreached(l->w->ledger, &l->hatch, u);
}

static struct str words_of(const struct link *k, const struct smtp_result *r)
{
	if (k->call->cut)
		return STR("timeout: no answer, while many others waited for their turn");
	return r->reply != NULL ? r->reply->text : str_from(r->why);
}

static void unreached(struct link *k, const struct smtp_result *r)
{
	struct unreached u = {.stage = r->stage, .until = k->lane->dest->closed_until};
	const struct buf *said = &k->call->said;
	u.said = said->len != 0 ? strndup(said->p, said->len) : NULL;
	if (r->reply != NULL) {
		u.code = r->reply->code;
		snprintf(u.enhanced, sizeof u.enhanced, "%s", r->reply->enhanced);
	}
	report_unreached(k->lane, &u, words_of(k, r), host_of(k->call)->name);
}

void call_shut(struct lane *l, ms_t until)
{
	struct unreached u = {.stage = SMTP_CONNECT, .until = until};
	char text[200];
	snprintf(text, sizeof text, "left alone for long now, after: %s", l->dest->group->shaper.words);
	report_unreached(l, &u, str_from(text), l->dest->site->hosts[0].name);
}

/* All hosts were tried, or there is no time for more. */
static void call_failed(struct link *k, const struct smtp_result *r)
{
	struct lane *l = k->lane;
	struct dest *d = l->dest;
	struct group *g = d->group;
	struct str text = words_of(k, r);
	struct verdict v;
	char who[80];
	if (l->w->cut || (k->leaving && !k->call->cut)) {
		shaper_connect_failed(&g->shaper, mono_us(), SHAPER_ABANDONED, NULL, text);
		return;
	}
	snprintf(who, sizeof who, "direct/%s", d->site->provider);
	if (d->site->provider[0] == '\0')
		who[strlen("direct")] = '\0';
	int code = r->reply != NULL ? r->reply->code : 0;
	rules_decide(l->w->o.rules, str_from(who), str_from(smtp_stage_names[r->stage]), code,
		str_from(r->reply != NULL ? r->reply->enhanced : ""), text, &v);
	enum shaper_fault f = link_fault(r, text);
	shaper_connect_failed(&g->shaper, mono_us(), fault_for_group(g, f), &v, text);
	d->failures++;
	atomic_store(&l->route->bad_at, clock_mono());
	log_info("%s: %s: %.*s", host_of(k->call)->name, smtp_stage_names[r->stage],
		(int)(text.n < 220 ? text.n : 220), text.p != NULL ? text.p : "");
	if (v.action == ACTION_PAUSE)
		link_verdict(l, &v, 0, text);
	if (l->established > 0)
		return;
	/* A server that asks for patience is asked again; only then is it an attempt of those who wait. */
	bool patience = code >= 400 && code < 500 && d->failures < REFUSALS;
	d->closed_until = clock_mono() + pause_after(d, 0) / (patience ? 2 : 1);
	if (!patience)
		unreached(k, r);
}

static bool next_host(struct link *k)
{
	struct call *c = k->call;
	struct dest *d = k->lane->dest;
	ms_t now = clock_mono();
	if (c->site == d->site)
		d->bad[c->order[c->nth]] = now + BAD_HOST;
	if (c->cut || k->leaving || k->lane->w->cut || now - c->since > CALL)
		return false;
	if (c->nth + 1 == c->site->nhosts)
		return false;
	c->nth++;
	return dial(k) == 0;
}

/* What was said with a host that could not be used, for those who wait for this site. */
static void keep_words(struct link *k)
{
	buf_str(&k->call->said, str_from(host_of(k->call)->name));
	buf_str(&k->call->said, STR(":\n"));
	smtp_client_dialogue(smtp_conn_client(k->conn), &k->call->said);
}

bool call_closed(struct link *k, bool clean, const struct smtp_result *r)
{
	struct lane *l = k->lane;
	struct dest *d = l->dest;
	if (!k->established || k->answered == 0)
		keep_words(k);
	if ((r->out_of_step || k->doubts > 1) && !d->out_of_step) {
		d->out_of_step = true;
		log_info("%s: its replies do not match our commands; from now on one message at a time",
			host_of(k->call)->name);
	}
	if (!k->established) {
		if (next_host(k))
			return true;
		call_failed(k, r);
		return false;
	}
	bool asked = k->leaving || (clean && r->reply == NULL);
	/* One of many sites that share limits hangs up: that says nothing of the others. */
	bool early = !asked && !l->w->cut && (k->answered > 0 || !d->group->shared);
	shaper_closed(&d->group->shaper, mono_us(), (unsigned)k->answered, early);
	/* Who greets us and hangs up before anything was answered is not called again at once. */
	if (!l->w->cut && !asked && k->answered == 0) {
		d->failures++;
		d->closed_until = clock_mono() + pause_after(d, 0) / 2;
		if (d->failures >= REFUSALS && l->established == 0)
			unreached(k, r);
	}
	return false;
}
