#include "engine/worker_private.h"

#include "engine/consequence.h"
#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A second loss would leave a message in doubt for good: what was in doubt with others goes out alone. */
static const ms_t CAREFUL = 10 * MINUTE;
static const ms_t BLINK = 50; /* a pause too short to tell anybody about */

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
		/* Over a relay a receiver's wish concerns only this message; what the relay says of itself
		 * closes the route. */
		if (v->scope == SCOPE_ROUTE || v->scope == SCOPE_ACCOUNT) {
			route_trouble(r, "%s says: %s", r->cfg->host, words);
			route_close(r, clock_mono(), v->delay > 0 ? v->delay : MINUTE);
		}
		break;
	default:
		break;
	}
}

/* What brakes, log and `trace` want to know of it beside the server's word. */
static void describe_attempt(struct link *k, const struct job *j, bool accepted, struct outcome_row *row)
{
	struct worker *w = k->lane->w;
	const struct smtp_conn_facts *f = smtp_conn_facts(k->conn);
	row->tls = str_from(f->tls);
	row->connect_ms = (int)f->connect_ms;
	row->tls_ms = (int)f->tls_ms;
	row->send_ms = (int)(clock_mono() - j->given);
	if (accepted)
		return;
	buf_clear(&w->dialogue);
	smtp_client_dialogue(smtp_conn_client(k->conn), &w->dialogue);
	row->dialogue = buf_get(&w->dialogue);
}

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	struct job *j = m->user;
	(void)c;
	k->under_way--;
	k->doubts += r->doubt;
	if (!r->tried) {
		struct item it = {j->batch, j->claim, clock_mono()};
		atomic_fetch_add(&l->route->in_hand, 1);
		if (!lane_push(l, it, true))
			lane_give_back(l, &it, clock_now());
		job_done(l, j);
		return;
	}
	struct run *run = j->batch->run;
	struct attempt_facts f = {
		j->claim, r, atomic_load_explicit(&run->paused_ms, memory_order_relaxed), clock_now()};
	struct outcome_row row;
	struct verdict v;
	consequence_decide(l->w->o.config, l->w->o.rules, &f, &row, &v);
	describe_attempt(k, j, r->accepted, &row);
	row.site = str_from(l->route->cfg->host);
	atomic_fetch_add_explicit(&run->answered, 1, memory_order_relaxed);
	if (r->accepted)
		atomic_fetch_add_explicit(&run->accepted, 1, memory_order_relaxed);
	if (r->reply != NULL) {
		k->answered++;
		atomic_store_explicit(&l->route->good_at, clock_mono(), memory_order_relaxed);
	} else if (!r->doubt) {
		route_trouble(l->route, "%s at %s", r->why != NULL ? r->why : "no answer",
			smtp_stage_names[r->stage]);
	}
	link_verdict(l, &v, run->id, row.reply);
	lane_outcome(l, &row, j->batch);
	job_done(l, j);
}

static void on_ready(void *ctx, struct smtp_conn *c)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	if (!k->established) {
		k->established = true;
		l->established++;
		atomic_fetch_add(&l->route->connections, 1);
		atomic_store(&l->route->failures, 0);
		atomic_store(&l->route->login_failures, 0);
		bool first = atomic_exchange(&l->route->ever_connected, clock_now()) == 0;
		if (first)
			ledger_wake(l->w->ledger);
	}
	(void)c;
	k->ready = !k->leaving;
	k->idle_since = clock_mono();
	/* Next message at once: it then goes out with what the connection is about to write. */
	if (l->count > 0)
		lane_pump(l);
}

static void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	(void)c;
	if (k->established) {
		l->established--;
		atomic_fetch_sub(&l->route->connections, 1);
	}
	if (r->out_of_step && !atomic_exchange(&l->route->out_of_step, true))
		log_warn("route %s: %s: its replies do not match our commands; from now on one message at a "
			 "time",
			l->route->cfg->name, r->why);
	if (k->doubts > 1)
		atomic_store(&l->route->careful_until, clock_mono() + CAREFUL);
	/* Also who greets us and then hangs up before anything was answered: else we would call again at
	 * once, for ever. */
	if (!l->w->cut && !k->leaving && (!k->established || (!clean && k->answered == 0)))
		relay_failed(l, r);
	*k->back = k->next;
	if (k->next != NULL)
		k->next->back = k->back;
	l->nlinks--;
	free(k);
	if (l->established == 0 && clock_mono() + BLINK < route_usable_at(l->route))
		lane_give_back_all(l, clock_now());
	lane_pump(l);
}

int link_open(struct lane *l)
{
	static const struct smtp_conn_ops ops = {.ready = on_ready, .result = on_result, .closed = on_closed};
	struct route_addrs *a = atomic_load(&l->route->addrs);
	struct link *k = calloc(1, sizeof *k);
	struct err e = {0};
	ms_t timeout = l->route->cfg->timeout;
	if (k == NULL)
		return -1;
	k->lane = l;
	k->ep = (struct smtp_endpoint){
		.host = l->route->cfg->host,
		.addrs = a->v,
		.naddrs = a->n,
		.connect_timeout = timeout > 0 && timeout < 30 * SECOND ? timeout : 30 * SECOND,
		.tls = l->route->tls,
	};
	k->idle_since = clock_mono();
	k->conn = smtp_conn_open(l->w->loop, &k->ep,
		atomic_load(&l->route->out_of_step) ? &l->route->lockstep : &l->route->smtp, &ops, k, &e);
	if (k->conn == NULL) {
		log_err(LOG_LEVEL_WARN, &e);
		route_trouble(l->route, "%s", e.why);
		route_rest(l->route, clock_mono(), SECOND);
		free(k);
		return -1;
	}
	k->next = l->links;
	k->back = &l->links;
	if (k->next != NULL)
		k->next->back = &k->next;
	l->links = k;
	l->nlinks++;
	return 0;
}
