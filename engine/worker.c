#include "engine/pipeline.h"

#include "engine/consequence.h"
#include "src/base/log.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LETTER_CHUNK = 32 << 10, /* first chunk of a message's arena: an ordinary newsletter fits */
	LETTER_MAX = 128 << 20,
};

static const ms_t IDLE = 10 * SECOND;  /* an unused connection is closed after that */
static const ms_t STALE = 2 * SECOND;  /* a claim that found no connection for so long goes back */
static const ms_t BLINK = 50;          /* a pause too short to tell anybody about */

struct job { /* a message given to a connection */
	struct job *next;
	struct claim_batch *batch;
	const struct claim *claim;
	struct arena arena;
	struct letter letter;
	struct smtp_message message;
};

struct item {
	struct claim_batch *batch;
	const struct claim *claim;
	ms_t since;
};

struct link { /* a connection */
	struct link *next, **back;
	struct lane *lane;
	struct smtp_conn *conn;
	struct smtp_endpoint ep;
	bool established, ready, leaving;
	unsigned long sent, answered;
	ms_t idle_since;
};

struct lane { /* a route as one worker serves it */
	struct worker *w;
	struct route *route;
	size_t index;
	int share;                   /* of the route's connections */
	struct link *links;
	int nlinks, established;
	struct item *items;          /* a ring */
	size_t head, count, cap;
	int outstanding;             /* claims handed over without a synced outcome */
	struct outcome_batch *done;  /* not yet given to the ledger */
	ev_timer timer;
	_Atomic size_t acked;
};

struct worker {
	pthread_t thread;
	struct worker_options o;
	struct ledger *ledger;
	struct ev_loop *loop;
	ev_async wake;
	ev_prepare flush;
	ev_timer tick;
	struct token_signer *signer;
	struct dkim_signer *dkim;
	struct lane *lanes;
	struct job *free_jobs;
	pthread_mutex_t lock;
	struct claim_batch **given;  /* under lock, a chain for each route */
	_Atomic bool draining;
	_Atomic ms_t cut_at;         /* monotonic: connections are cut then */
	bool cut;
};

/* ---- Claims and outcomes ---- */

void run_unref(struct run *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	personal_free(&r->personal);
	free(r->name);
	free(r);
}

void claim_batch_done(struct claim_batch *b)
{
	if (atomic_fetch_sub(&b->left, 1) != 1)
		return;
	run_unref(b->run);
	arena_release(&b->arena);
	free(b->claims.v);
	free(b);
}

struct outcome_batch *outcome_batch_new(struct worker *w, size_t route)
{
	struct outcome_batch *b = malloc(sizeof *b);
	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->worker = w;
	b->route = route;
	b->n = 0;
	arena_init(&b->arena, 16 << 10, 16 << 20);
	return b;
}

void outcome_batch_free(struct outcome_batch *b)
{
	arena_release(&b->arena);
	free(b);
}

static void lane_flush(struct lane *l)
{
	if (l->done == NULL || l->done->n == 0)
		return;
	ledger_outcomes(l->w->ledger, l->done);
	l->done = NULL;
}

/* Records one outcome and lets go of its claim. */
static void lane_outcome(struct lane *l, const struct outcome_row *row, struct claim_batch *b)
{
	if (l->done == NULL && (l->done = outcome_batch_new(l->w, l->index)) == NULL) {
		/* Without memory to say so the delivery stays `sending`, and reads as `doubt` after the restart. */
		log_error("out of memory: the outcome of delivery %lld is lost", (long long)row->delivery);
		claim_batch_done(b);
		return;
	}
	struct outcome_row *r = &l->done->rows[l->done->n++];
	struct arena *a = &l->done->arena;
	*r = *row;
	r->reply = arena_str(a, str_n(row->reply.p, row->reply.n < 500 ? row->reply.n : 500));
	r->reason = arena_str(a, row->reason);
	r->site = arena_str(a, row->site);
	r->route = str_from(l->route->cfg->name);
	r->relay_id = arena_str(a, row->relay_id);
	claim_batch_done(b);
	if (l->done->n == OUTCOME_BATCH)
		lane_flush(l);
}

static void give_back(struct lane *l, const struct item *i, ms_t due)
{
	struct outcome_row row = {.delivery = i->claim->delivery, .kind = OUTCOME_RETURN, .at = clock_now(), .due = due};
	atomic_fetch_sub(&l->route->in_hand, 1);
	lane_outcome(l, &row, i->batch);
}

static bool item_push(struct lane *l, struct item it, bool front)
{
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? 256 : l->cap * 2;
		struct item *v = malloc(cap * sizeof *v);
		if (v == NULL)
			return false;
		for (size_t i = 0; i < l->count; i++)
			v[i] = l->items[(l->head + i) % l->cap];
		free(l->items);
		l->items = v;
		l->cap = cap;
		l->head = 0;
	}
	if (front) {
		l->head = (l->head + l->cap - 1) % l->cap;
		l->items[l->head] = it;
	} else {
		l->items[(l->head + l->count) % l->cap] = it;
	}
	l->count++;
	return true;
}

static struct item item_pop(struct lane *l)
{
	struct item it = l->items[l->head];
	l->head = (l->head + 1) % l->cap;
	l->count--;
	return it;
}

static void give_back_all(struct lane *l, ms_t due)
{
	while (l->count > 0) {
		struct item it = item_pop(l);
		give_back(l, &it, due);
	}
}

static struct job *job_new(struct worker *w)
{
	struct job *j = w->free_jobs;
	if (j != NULL) {
		w->free_jobs = j->next;
		return j;
	}
	j = calloc(1, sizeof *j);
	if (j != NULL)
		arena_init(&j->arena, LETTER_CHUNK, LETTER_MAX);
	return j;
}

static void job_free(struct worker *w, struct job *j)
{
	arena_reset(&j->arena);
	j->next = w->free_jobs;
	w->free_jobs = j;
}

/* ---- Sending ---- */

static int64_t mono_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void skip(struct lane *l, const struct item *it, struct str reason, struct str text)
{
	struct outcome_row row = {
		.delivery = it->claim->delivery,
		.kind = OUTCOME_FINAL,
		.state = DELIVERY_SKIPPED,
		.at = clock_now(),
		.reason = reason,
		.reply = text,
	};
	atomic_fetch_add(&it->batch->run->answered, 1);
	lane_outcome(l, &row, it->batch);
}

/* A template that fails for one recipient skips that one; one that fails for many is the campaign's fault. */
static void template_failed(struct lane *l, const struct item *it, const struct err *e)
{
	struct run *run = it->batch->run;
	char text[600];
	snprintf(text, sizeof text, "%s: %s", e->what, e->why);
	unsigned long failed = atomic_fetch_add(&run->failed, 1) + 1;
	if (failed >= 10 && failed * 5 > atomic_load(&run->answered))
		ledger_pause(l->w->ledger, l->index, run->id, STR("template"), text);
	skip(l, it, STR("template"), str_from(text));
}

static void link_send(struct link *k, const struct item *it)
{
	struct lane *l = k->lane;
	struct worker *w = l->w;
	struct job *j = job_new(w);
	struct err e = {0};
	atomic_fetch_sub(&l->route->in_hand, 1);
	if (j == NULL) {
		err_set(&e, ERR_INTERNAL, "message", "out of memory");
		template_failed(l, it, &e);
		return;
	}
	if (personal_compose(it->batch->run->personal, w->signer, it->claim, false, &j->arena, &j->letter, &e) != 0 ||
		letter_sign(&j->letter, w->dkim, it->claim->first_attempt, l->route->cfg, &j->arena, &e) != 0) {
		template_failed(l, it, &e);
		job_free(w, j);
		return;
	}
	if (j->letter.mail.skip.n != 0) {
		skip(l, it, STR("aborted"), j->letter.mail.skip);
		job_free(w, j);
		return;
	}
	j->batch = it->batch;
	j->claim = it->claim;
	j->message = (struct smtp_message){
		.from = j->letter.from,
		.rcpt = j->letter.rcpt,
		.header = j->letter.mail.header,
		.body = j->letter.mail.body,
		.utf8 = j->letter.mail.utf8,
		.user = j,
	};
	k->sent++;
	smtp_conn_send(k->conn, &j->message);
	int most = l->route->cfg->messages_per_connection;
	if (most > 0 && k->sent >= (unsigned long)most) {
		k->leaving = true;
		smtp_conn_quit(k->conn);
	}
	k->ready = !k->leaving && smtp_conn_ready(k->conn);
}

static struct link *ready_link(struct lane *l)
{
	for (struct link *k = l->links; k != NULL; k = k->next)
		if (k->ready)
			return k;
	return NULL;
}

static void lane_wait(struct lane *l, double seconds)
{
	if (seconds < 0.0005)
		seconds = 0.0005;
	ev_timer_stop(l->w->loop, &l->timer);
	ev_timer_set(&l->timer, seconds, 0.);
	ev_timer_start(l->w->loop, &l->timer);
}

/* True if the message may go now; else the lane's timer is set. */
static bool lane_may_start(struct lane *l, struct run *run)
{
	int64_t now = mono_us();
	ms_t closed = atomic_load_explicit(&l->route->closed_until, memory_order_relaxed);
	if (closed * 1000 > now) {
		lane_wait(l, (double)(closed * 1000 - now) / 1e6);
		return false;
	}
	int64_t wait = 0;
	if (limiter_room(&run->rate, now, now) == 0)
		wait = 1000;
	else
		wait = limiter_take(&l->route->rate, now);
	if (wait > 0) {
		atomic_store_explicit(&l->route->bind, BIND_RATE, memory_order_relaxed);
		lane_wait(l, (double)wait / 1e6);
		return false;
	}
	limiter_take(&run->rate, now);
	return true;
}

static int link_open(struct lane *l);

/* As many connections as there is work for; before the first was ever established, one alone tries the door: a wrong
 * password must not be tried twenty times. */
static void lane_connect(struct lane *l)
{
	struct route *r = l->route;
	if (atomic_load(&l->w->draining) || atomic_load(&r->addrs) == NULL)
		return;
	int64_t work = atomic_load(&r->work) / (int64_t)l->w->o.nworkers + (int64_t)l->count;
	if (work == 0 && atomic_load(&r->work) > 0 && l->w->o.index == 0)
		work = 1;
	bool open = atomic_load(&r->connections) > 0 || (atomic_load(&r->ever_connected) != 0 && atomic_load(&r->failures) == 0);
	int most = open ? l->share : l->w->o.index == 0 ? 1 : 0;
	if (most > l->share)
		most = l->share;
	ms_t closed = atomic_load(&r->closed_until), rest = atomic_load(&r->connect_after), at = closed > rest ? closed : rest;
	if (clock_mono() < at) {
		lane_wait(l, (double)(at - clock_mono()) / 1e3);
		return;
	}
	int idle = 0;
	for (struct link *k = l->links; k != NULL; k = k->next)
		idle += k->ready || !k->established;
	while (l->nlinks < most && idle < work) {
		if (link_open(l) != 0)
			break;
		idle++;
	}
}

static void lane_ask(struct lane *l)
{
	struct route *r = l->route;
	int ahead = r->cfg->ahead > 0 ? r->cfg->ahead : l->w->o.config->ahead;
	int room = ahead * l->established - l->outstanding;
	if (atomic_load(&l->w->draining) || clock_mono() < route_usable_at(r))
		room = 0;
	ledger_want(l->w->ledger, l->w->o.index, l->index, room > 0 ? room : 0);
}

static void lane_pump(struct lane *l)
{
	bool draining = atomic_load(&l->w->draining);
	while (l->count > 0) {
		struct item *it = &l->items[l->head];
		if (draining || atomic_load_explicit(&it->batch->run->halted, memory_order_relaxed)) {
			struct item gone = item_pop(l);
			give_back(l, &gone, clock_now());
			continue;
		}
		struct link *k = ready_link(l);
		if (k == NULL) {
			if (l->nlinks >= l->share)
				atomic_store_explicit(&l->route->bind, BIND_CONNECTIONS, memory_order_relaxed);
			break;
		}
		if (!lane_may_start(l, it->batch->run))
			break;
		struct item next = item_pop(l);
		link_send(k, &next);
	}
	lane_connect(l);
	lane_ask(l);
}

/* ---- What connections report ---- */

static void apply_verdict(struct lane *l, const struct verdict *v, int64_t campaign, struct str text)
{
	struct route *r = l->route;
	char words[400];
	snprintf(words, sizeof words, "%.*s%s%.*s", (int)(text.n < 250 ? text.n : 250), text.p != NULL ? text.p : "",
		v->remedy.n != 0 ? "; " : "", (int)(v->remedy.n < 140 ? v->remedy.n : 140), v->remedy.p != NULL ? v->remedy.p : "");
	switch (v->action) {
	case ACTION_PAUSE:
		ledger_pause(l->w->ledger, l->index, v->scope == SCOPE_MESSAGE ? campaign : 0, v->pause, words);
		break;
	case ACTION_SLOW:
	case ACTION_SUSPEND:
		/* Over a relay a receiver's wish concerns only this message; what the relay says of itself closes the route. */
		if (v->scope == SCOPE_ROUTE || v->scope == SCOPE_ACCOUNT) {
			route_trouble(r, "%s says: %s", r->cfg->host, words);
			route_close(r, clock_mono(), v->delay > 0 ? v->delay : MINUTE);
		}
		break;
	default:
		break;
	}
}

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct link *k = ctx;
	struct lane *l = k->lane;
	struct job *j = m->user;
	(void)c;
	if (!r->tried) {
		struct item it = {j->batch, j->claim, clock_mono()};
		atomic_fetch_add(&l->route->in_hand, 1);
		if (!item_push(l, it, true))
			give_back(l, &it, clock_now());
		job_free(l->w, j);
		return;
	}
	struct run *run = j->batch->run;
	struct attempt_facts f = {j->claim, r, atomic_load_explicit(&run->paused_ms, memory_order_relaxed), clock_now()};
	struct outcome_row row;
	struct verdict v;
	consequence_decide(l->w->o.config, l->w->o.rules, &f, &row, &v);
	row.site = str_from(l->route->cfg->host);
	atomic_fetch_add_explicit(&run->answered, 1, memory_order_relaxed);
	if (r->accepted)
		atomic_fetch_add_explicit(&run->accepted, 1, memory_order_relaxed);
	if (r->reply != NULL)
		k->answered++;
	else if (!r->doubt)
		route_trouble(l->route, "%s at %s", r->why != NULL ? r->why : "no answer", smtp_stage_names[r->stage]);
	apply_verdict(l, &v, run->id, row.reply);
	lane_outcome(l, &row, j->batch);
	job_free(l->w, j);
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

static void connection_failed(struct lane *l, const struct smtp_result *r)
{
	struct route *route = l->route;
	struct verdict v;
	int code = r->reply != NULL ? r->reply->code : 0;
	struct str text = r->reply != NULL ? r->reply->text : str_from(r->why);
	rules_decide(l->w->o.rules, str_n(NULL, 0), str_from(smtp_stage_names[r->stage]), code,
		str_from(r->reply != NULL ? r->reply->enhanced : ""), text, &v);
	int failures = atomic_fetch_add(&route->failures, 1) + 1;
	route_trouble(route, "%s: %s%s%.*s", route->cfg->host, smtp_stage_names[r->stage], code != 0 ? " refused: " : ": ",
		(int)(text.n < 220 ? text.n : 220), text.p != NULL ? text.p : "");
	route_rest(route, clock_mono(), v.delay > route_backoff(failures) ? v.delay : route_backoff(failures));
	/* A login is tried twice, no more: receivers lock accounts. */
	if (v.action == ACTION_PAUSE && (r->stage != SMTP_AUTH || atomic_fetch_add(&route->login_failures, 1) >= 1))
		apply_verdict(l, &v, 0, text);
	log_warn("route %s: %s", route->cfg->name, route->trouble);
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
		log_warn("route %s: %s: its replies do not match our commands; from now on one message at a time", l->route->cfg->name, r->why);
	/* Also who greets us and then hangs up before anything was answered: else we would call again at once, for ever. */
	if (!l->w->cut && !k->leaving && (!k->established || (!clean && k->answered == 0)))
		connection_failed(l, r);
	*k->back = k->next;
	if (k->next != NULL)
		k->next->back = k->back;
	l->nlinks--;
	free(k);
	if (l->established == 0 && clock_mono() + BLINK < route_usable_at(l->route))
		give_back_all(l, clock_now());
	lane_pump(l);
}

static int link_open(struct lane *l)
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
	k->conn = smtp_conn_open(l->w->loop, &k->ep, atomic_load(&l->route->out_of_step) ? &l->route->lockstep : &l->route->smtp, &ops, k, &e);
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

/* ---- The thread ---- */

static void take_given(struct worker *w)
{
	for (size_t i = 0; i < w->o.nroutes; i++) {
		struct lane *l = &w->lanes[i];
		pthread_mutex_lock(&w->lock);
		struct claim_batch *b = w->given[i];
		w->given[i] = NULL;
		pthread_mutex_unlock(&w->lock);
		l->outstanding -= (int)atomic_exchange(&l->acked, 0);
		ms_t now = clock_mono();
		if (b != NULL)
			ledger_answered(w->ledger, w->o.index, i);
		for (struct claim_batch *next; b != NULL; b = next) {
			next = b->next;
			size_t n = b->claims.n; /* the batch may be gone after its last claim */
			l->outstanding += (int)n;
			for (size_t c = 0; c < n; c++) {
				struct item it = {b, &b->claims.v[c], now};
				if (!item_push(l, it, false))
					give_back(l, &it, clock_now());
			}
		}
		lane_pump(l);
	}
}

static void maybe_finish(struct worker *w)
{
	if (!atomic_load(&w->draining))
		return;
	bool busy = false;
	for (size_t i = 0; i < w->o.nroutes; i++) {
		struct lane *l = &w->lanes[i];
		for (struct link *k = l->links; k != NULL; k = k->next) {
			if (k->leaving)
				continue;
			k->leaving = true;
			k->ready = false;
			smtp_conn_quit(k->conn);
		}
		busy = busy || l->nlinks > 0 || l->count > 0;
	}
	if (!busy) {
		ev_break(w->loop, EVBREAK_ALL);
		return;
	}
	if (clock_mono() < atomic_load(&w->cut_at))
		return;
	w->cut = true;
	for (size_t i = 0; i < w->o.nroutes; i++)
		for (struct link *k = w->lanes[i].links; k != NULL; k = k->next)
			smtp_conn_abort(k->conn);
}

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
	(void)loop, (void)revents;
	take_given(a->data);
	maybe_finish(a->data);
}

static void on_flush(struct ev_loop *loop, ev_prepare *p, int revents)
{
	struct worker *w = p->data;
	(void)loop, (void)revents;
	for (size_t i = 0; i < w->o.nroutes; i++)
		lane_flush(&w->lanes[i]);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	lane_pump(t->data);
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;
	ms_t now = clock_mono();
	(void)loop, (void)revents;
	for (size_t i = 0; i < w->o.nroutes; i++) {
		struct lane *l = &w->lanes[i];
		/* The oldest stand at the front. What waited long is looked at again by the store before it goes out. */
		while (l->count > 0 && now - l->items[l->head].since > STALE) {
			struct item it = item_pop(l);
			give_back(l, &it, clock_now());
		}
		bool work = atomic_load(&l->route->work) > 0 || l->count > 0;
		for (struct link *k = l->links; k != NULL; k = k->next) {
			if (work || !k->ready || now - k->idle_since < IDLE)
				continue;
			k->leaving = true;
			k->ready = false;
			smtp_conn_quit(k->conn);
		}
		lane_pump(l);
	}
	maybe_finish(w);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	ev_run(w->loop, 0);
	for (size_t i = 0; i < w->o.nroutes; i++)
		lane_flush(&w->lanes[i]);
	return NULL;
}

static void worker_release(struct worker *w)
{
	for (size_t i = 0; w->lanes != NULL && i < w->o.nroutes; i++) {
		free(w->lanes[i].items);
		if (w->lanes[i].done != NULL)
			outcome_batch_free(w->lanes[i].done);
	}
	for (struct job *j = w->free_jobs, *next; j != NULL; j = next) {
		next = j->next;
		arena_release(&j->arena);
		free(j);
	}
	if (w->loop != NULL)
		ev_loop_destroy(w->loop);
	token_signer_free(&w->signer);
	dkim_signer_free(&w->dkim);
	pthread_mutex_destroy(&w->lock);
	free(w->lanes);
	free(w->given);
	free(w);
}

int worker_start(struct worker **out, const struct worker_options *o, struct err *e)
{
	struct worker *w = calloc(1, sizeof *w);
	if (w == NULL)
		return err_set(e, ERR_INTERNAL, "worker", "out of memory");
	w->o = *o;
	pthread_mutex_init(&w->lock, NULL);
	w->loop = ev_loop_new(EVFLAG_AUTO);
	w->signer = token_signer_new(o->keys);
	w->dkim = dkim_signer_new(o->dkim);
	w->lanes = calloc(o->nroutes, sizeof *w->lanes);
	w->given = calloc(o->nroutes, sizeof *w->given);
	if (w->loop == NULL || w->signer == NULL || w->dkim == NULL || w->lanes == NULL || w->given == NULL) {
		worker_release(w);
		return err_set(e, ERR_INTERNAL, "worker", "out of memory or file descriptors");
	}
	for (size_t i = 0; i < o->nroutes; i++) {
		struct lane *l = &w->lanes[i];
		int total = o->routes[i].cfg->connections;
		*l = (struct lane){.w = w, .route = &o->routes[i], .index = i};
		l->share = total / (int)o->nworkers + ((int)o->index < total % (int)o->nworkers);
		ev_timer_init(&l->timer, on_timer, 0., 0.);
		l->timer.data = l;
	}
	ev_async_init(&w->wake, on_wake);
	ev_prepare_init(&w->flush, on_flush);
	ev_timer_init(&w->tick, on_tick, 0.2, 0.2);
	w->wake.data = w->flush.data = w->tick.data = w;
	ev_async_start(w->loop, &w->wake);
	ev_prepare_start(w->loop, &w->flush);
	ev_timer_start(w->loop, &w->tick);
	*out = w;
	return 0;
}

int worker_attach(struct worker *w, struct ledger *l, struct err *e)
{
	w->ledger = l;
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
		w->ledger = NULL;
		return err_sys(e, ERR_INTERNAL, "worker", "thread");
	}
	return 0;
}

void worker_give(struct worker *w, size_t route, struct claim_batch *b)
{
	pthread_mutex_lock(&w->lock);
	w->given[route] = b; /* the ledger waits for ledger_answered() before it gives again */
	pthread_mutex_unlock(&w->lock);
}

void worker_ack(struct worker *w, size_t route, size_t n)
{
	atomic_fetch_add(&w->lanes[route].acked, n);
}

void worker_wake(struct worker *w)
{
	ev_async_send(w->loop, &w->wake);
}

void worker_drain(struct worker *w, ms_t grace)
{
	atomic_store(&w->cut_at, clock_mono() + grace);
	atomic_store(&w->draining, true);
	worker_wake(w);
}

void worker_join(struct worker *w)
{
	if (w == NULL || w->ledger == NULL)
		return;
	if (!atomic_load(&w->draining))
		worker_drain(w, 0);
	pthread_join(w->thread, NULL);
	w->ledger = NULL;
}

void worker_stop(struct worker **wp)
{
	struct worker *w = *wp;
	if (w == NULL)
		return;
	worker_join(w);
	worker_release(w);
	*wp = NULL;
}
