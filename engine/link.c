#include "engine/worker_private.h"

#include "engine/consequence.h"
#include "src/base/fault.h"
#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>

static const ms_t FAR = 20; /* a connection that took so long to be made goes a long way */

void link_verdict(struct lane *l, const struct verdict *v, int64_t campaign, struct str text)
{
	struct route *r = l->route;
	char words[500];
	snprintf(words, sizeof words, "%.*s%s%.*s", (int)(text.n < 250 ? text.n : 250),
		text.p != NULL ? text.p : "", v->remedy.n != 0 ? "; " : "",
		(int)(v->remedy.n < 240 ? v->remedy.n : 240), v->remedy.p != NULL ? v->remedy.p : "");
	switch (v->action) {
	case ACTION_PAUSE:
		ledger_pause(l->w->ledger, l->hatch.route, v->scope == SCOPE_MESSAGE ? campaign : 0, v->pause,
			words);
		break;
	case ACTION_SLOW:
	case ACTION_SUSPEND:
		/* The shaper was told; over a relay what is said of a receiver concerns only this message. */
		if (l->dest == NULL && (v->scope == SCOPE_ROUTE || v->scope == SCOPE_ACCOUNT))
			route_trouble(r, "%s says: %s", r->cfg->host, words);
		break;
	default:
		break;
	}
}

static bool has(struct str text, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i + n <= text.n; i++)
		if (strncasecmp(text.p + i, word, n) == 0)
			return true;
	return false;
}

enum shaper_fault link_fault(const struct smtp_result *r, struct str text)
{
	if (r->reply != NULL)
		return SHAPER_GREETING;
	if (r->stage == SMTP_TLS)
		return SHAPER_TLS;
	if (has(text, "timeout") || has(text, "timed out"))
		return SHAPER_TIMEOUT;
	return r->stage != SMTP_CONNECT || has(text, "reset") ? SHAPER_RESET : SHAPER_REFUSED;
}

/* What brakes, log and `trace` want to know of it beside the server's word. */
static void describe_attempt(struct link *k, const struct job *j, bool accepted, struct outcome_row *row)
{
	struct worker *w = k->lane->w;
	const struct smtp_conn_facts *f = smtp_conn_facts(k->conn);
	row->tls = str_from(f->tls);
	if (k->source != NULL)
		row->source = str_from(k->source->cfg->address);
	row->peer = str_from(f->address);
	row->connect_ms = (int)f->connect_ms;
	row->tls_ms = (int)f->tls_ms;
	row->send_ms = (int)(clock_mono() - j->given);
	if (accepted)
		return;
	buf_clear(&w->dialogue);
	smtp_client_dialogue(smtp_conn_client(k->conn), &w->dialogue);
	row->dialogue = buf_get(&w->dialogue);
}

static void tell_shaper(
	struct lane *l, const struct job *j, enum shaper_answer a, const struct verdict *v, struct str text)
{
	if (l->dest == NULL) {
		route_answer(l->route, j->given_us, a, v, text);
		return;
	}
	shaper_answer(&l->dest->group->shaper, mono_us(), j->given_us, a, v, text);
	l->dest->group->accepted += a == SHAPER_ACCEPTED;
	group_touch(l->dest->group);
}

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	struct job *j = m->user;
	(void)c;
	k->under_way--;
	link_filed(k);
	k->doubts += r->doubt;
	if (!r->tried || r->reply == NULL)
		tell_shaper(l, j, r->tried ? SHAPER_LOST : SHAPER_UNTRIED, NULL, str_from(r->why));
	if (!r->tried) {
		struct item it = {j->batch, j->claim, clock_mono()};
		atomic_fetch_add(&l->route->in_hand, 1);
		if (!lane_push(l, it, true))
			lane_give_back(l, &it, clock_now());
		job_done(l, j);
		return;
	}
	struct run *run = j->batch->run;
	struct attempt_facts f = {j->claim, r, atomic_load_explicit(&run->paused_ms, memory_order_relaxed),
		clock_now(), l->dest != NULL};
	struct outcome_row row;
	struct verdict v;
	consequence_decide(l->w->o.config, l->w->o.rules, &f, &row, &v);
	describe_attempt(k, j, r->accepted, &row);
	row.site = str_from(k->ep.host);
	atomic_fetch_add_explicit(&run->answered, 1, memory_order_relaxed);
	if (r->accepted)
		atomic_fetch_add_explicit(&run->accepted, 1, memory_order_relaxed);
	if (r->reply != NULL) {
		k->answered++;
		if (l->dest != NULL)
			l->dest->failures = 0;
		route_good(l->route, clock_mono());
	} else if (!r->doubt) {
		route_trouble(l->route, "%s at %s", r->why != NULL ? r->why : "no answer",
			smtp_stage_names[r->stage]);
	}
	if (r->reply != NULL)
		tell_shaper(l, j, r->accepted ? SHAPER_ACCEPTED : SHAPER_ANSWERED, r->accepted ? NULL : &v,
			row.reply);
	link_verdict(l, &v, run->id, row.reply);
	lane_outcome(l, &row, j->batch);
	fault_point("reply-after");
	job_done(l, j);
}

static void on_ready(void *ctx, struct smtp_conn *c)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	bool fresh = !k->established;
	if (fresh) {
		k->established = true;
		k->holds = smtp_conn_facts(c)->connect_ms >= FAR ? l->route->cfg->ahead_far
								 : l->route->cfg->ahead;
		l->holds += k->holds;
		l->established++;
		atomic_fetch_add(&l->route->connections, 1);
		atomic_store(&l->route->login_failures, 0);
		bool first = atomic_exchange(&l->route->ever_connected, clock_now()) == 0;
		if (l->route->access != NULL)
			access_accepted(l->route->access);
		if (first)
			ledger_wake(l->w->ledger);
		if (l->dest != NULL)
			call_established(k);
		else
			route_connected(l->route);
	}
	(void)c;
	k->ready = !k->leaving;
	link_filed(k);
	k->idle_since = clock_mono();
	/* Next message at once: it then goes out with what the connection is about to write. A new connection
	 * has room for more claims, and the first one lets the others try. */
	if (l->count > 0 || l->dest != NULL || fresh)
		lane_pump(l);
}

static void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	(void)c;
	k->ready = false;
	link_filed(k);
	if (k->established) {
		l->established--;
		l->holds -= k->holds;
		atomic_fetch_sub(&l->route->connections, 1);
	}
	if (l->dest == NULL)
		relay_closed(k, clean, r);
	else if (call_closed(k, clean, r))
		return;
	*k->back = k->next;
	if (k->next != NULL)
		k->next->back = k->back;
	l->nlinks--;
	if (l->dest != NULL)
		call_over(k);
	else if (k->source != NULL)
		atomic_fetch_sub(&k->source->connections, 1);
	free(k);
	if (l->dest != NULL)
		direct_unserved(l);
	else if (l->established == 0 && clock_mono() < atomic_load(&l->route->closed_until))
		lane_give_back_all(l, clock_now());
	lane_pump(l);
}

struct link *link_new(struct lane *l)
{
	struct link *k = calloc(1, sizeof *k);
	if (k != NULL) {
		k->lane = l;
		k->idle_since = clock_mono();
	}
	return k;
}

int link_dial(struct link *k, const struct smtp_options *o)
{
	static const struct smtp_conn_ops ops = {.ready = on_ready, .result = on_result, .closed = on_closed};
	struct err e = {0};
	k->conn = smtp_conn_open(k->lane->w->loop, &k->ep, o, &ops, k, &e);
	if (k->conn != NULL)
		return 0;
	log_err(LOG_LEVEL_WARN, &e);
	route_trouble(k->lane->route, "%s", e.why);
	return -1;
}

void link_filed(struct link *k)
{
	struct lane *l = k->lane;
	if (k->back_ready != NULL) {
		*k->back_ready = k->next_ready;
		if (k->next_ready != NULL)
			k->next_ready->back_ready = k->back_ready;
		k->back_ready = NULL;
		l->nready--;
	}
	if (!k->ready || k->under_way >= SMTP_IN_FLIGHT_MAX)
		return;
	struct link **first = &l->ready[k->under_way];
	k->next_ready = *first;
	k->back_ready = first;
	if (k->next_ready != NULL)
		k->next_ready->back_ready = &k->next_ready;
	*first = k;
	l->nready++;
}

void link_quit(struct link *k)
{
	k->leaving = true;
	k->ready = false;
	link_filed(k);
	smtp_conn_quit(k->conn);
}

void link_add(struct link *k)
{
	struct lane *l = k->lane;
	k->next = l->links;
	k->back = &l->links;
	if (k->next != NULL)
		k->next->back = &k->next;
	l->links = k;
	l->nlinks++;
}

int link_open(struct lane *l)
{
	struct route_addrs *a = atomic_load(&l->route->addrs);
	struct link *k = link_new(l);
	ms_t timeout = l->route->cfg->timeout;
	if (k == NULL)
		return -1;
	bool lockstep = atomic_load(&l->route->out_of_step);
	const struct smtp_options *o = lockstep ? &l->route->lockstep : &l->route->smtp;
	k->source = route_source_next(l->route);
	if (k->source != NULL)
		o = lockstep ? &k->source->lockstep : &k->source->smtp;
	k->ep = (struct smtp_endpoint){
		.host = l->route->cfg->host,
		.addrs = a->v,
		.naddrs = a->n,
		.source = k->source != NULL ? &k->source->addr : NULL,
		.connect_timeout = timeout > 0 && timeout < 30 * SECOND ? timeout : 30 * SECOND,
		.tls = l->route->tls,
	};
	if (link_dial(k, o) != 0) {
		free(k);
		return -1;
	}
	link_add(k);
	if (k->source != NULL)
		atomic_fetch_add(&k->source->connections, 1);
	return 0;
}
