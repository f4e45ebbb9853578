#include "engine/worker_private.h"

#include "src/base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	LETTER_CHUNK = 32 << 10, /* first chunk of a message's arena: an ordinary newsletter fits */
	LETTER_MAX = 128 << 20,
	BYTES_MAX = 32 << 20, /* of messages under way in a lane */
	ALL_BYTES_MAX = 256 << 20,
};

static const ms_t SHORTAGE = 5 * SECOND;
static const ms_t STALE = 2 * SECOND;

/* Records one outcome and lets go of its claim. */
void lane_outcome(struct lane *l, const struct outcome_row *row, struct claim_batch *b)
{
	struct worker *w = l->w;
	if (w->done == NULL && (w->done = outcome_batch_new(w)) == NULL) {
		/* The delivery keeps its intent and reads as `doubt`; nobody can go on from here. */
		ledger_lost(w->ledger);
		claim_batch_done(b);
		return;
	}
	struct outcome_row *r = &w->done->rows[w->done->n];
	struct arena *a = &w->done->arena;
	w->done->from[w->done->n++] = &l->hatch;
	*r = *row;
	r->reply = arena_str(a, str_n(row->reply.p, row->reply.n < 500 ? row->reply.n : 500));
	r->reason = arena_str(a, row->reason);
	r->site = arena_str(a, row->site);
	r->route = str_from(l->route->cfg->name);
	r->relay_id = arena_str(a, row->relay_id);
	r->dialogue = arena_str(a, row->dialogue);
	r->provider = arena_str(a, row->provider);
	r->domain = arena_str(a, row->domain);
	if (w->o.config->log.deliveries != NULL) {
		r->address = arena_str(a, row->address);
		r->source = arena_str(a, row->source);
		r->peer = arena_str(a, row->peer);
		r->tls = arena_str(a, row->tls);
	} else {
		r->address = r->source = r->peer = r->tls = str_n(NULL, 0);
	}
	claim_batch_done(b);
	if (w->done->n == OUTCOME_BATCH)
		worker_flush(w);
}

void lane_give_back(struct lane *l, const struct item *i, ms_t due)
{
	struct outcome_row row = {
		.delivery = i->claim->delivery, .kind = OUTCOME_RETURN, .at = clock_now(), .due = due};
	atomic_fetch_sub(&l->route->in_hand, 1);
	lane_outcome(l, &row, i->batch);
}

void lane_hold(struct lane *l, int outstanding, int asked)
{
	l->w->usage[l->hatch.route].held += outstanding + asked - l->outstanding - l->asked;
	l->outstanding = outstanding;
	l->asked = asked;
}

void lane_list(struct lane *l)
{
	if (l->back != NULL)
		return;
	l->next = l->w->lanes;
	l->back = &l->w->lanes;
	if (l->next != NULL)
		l->next->back = &l->next;
	*l->back = l;
}

void lane_unlist(struct lane *l)
{
	if (l->back == NULL)
		return;
	*l->back = l->next;
	if (l->next != NULL)
		l->next->back = l->back;
	l->back = NULL;
}

bool lane_push(struct lane *l, struct item it, bool front)
{
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? (l->dest != NULL ? 8 : 256) : l->cap * 2;
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

struct item lane_pop(struct lane *l)
{
	struct item it = l->items[l->head];
	l->head = (l->head + 1) % l->cap;
	l->count--;
	return it;
}

void lane_give_back_all(struct lane *l, ms_t due)
{
	while (l->count > 0) {
		struct item it = lane_pop(l);
		lane_give_back(l, &it, due);
	}
}

void lane_give_back_stale(struct lane *l, ms_t now)
{
	while (l->count > 0 && now - l->items[l->head].since > STALE) {
		struct item it = lane_pop(l);
		lane_give_back(l, &it, clock_now());
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
	j->letter = (struct letter){0};
	j->next = w->free_jobs;
	w->free_jobs = j;
}

/* ---- Sending ---- */

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
		ledger_pause(l->w->ledger, l->hatch.route, run->id, STR("template"), text);
	skip(l, it, STR("template"), str_from(text));
}

/* The letter for a claim, signed. -1: `e` says why there is none. */
static int compose(struct lane *l, const struct item *it, struct job *j, struct err *e)
{
	struct worker *w = l->w;
	if (personal_compose(
		    it->batch->run->personal, w->signer, it->claim, false, &j->arena, &j->letter, e) != 0)
		return -1;
	if (j->letter.mail.skip.n != 0)
		return 0;
	return letter_sign(&j->letter, w->dkim, it->claim->first_attempt, l->route->cfg, &j->arena, e);
}

static size_t letter_size(const struct letter *l)
{
	return l->mail.header.n + l->mail.body.n; /* the tail is not its own */
}

static void link_send(struct link *k, const struct item *it)
{
	struct lane *l = k->lane;
	struct worker *w = l->w;
	struct job *j = job_new(w);
	struct err e = {0};
	int rc = j != NULL ? compose(l, it, j, &e) : err_set(&e, ERR_INTERNAL, "message", "out of memory");
	if (rc != 0 && e.code == ERR_INTERNAL) {
		/* Want of memory is no fault of the recipient's. */
		lane_give_back(l, it, clock_now() + SHORTAGE);
	} else {
		atomic_fetch_sub(&l->route->in_hand, 1);
		if (rc != 0)
			template_failed(l, it, &e);
		else if (j->letter.mail.skip.n != 0)
			skip(l, it, STR("aborted"), j->letter.mail.skip);
	}
	if (rc != 0 || j->letter.mail.skip.n != 0) {
		if (j != NULL)
			job_free(w, j);
		if (l->dest == NULL)
			route_answer(l->route, l->begun, SHAPER_UNTRIED, NULL, str_n(NULL, 0));
		return;
	}
	j->batch = it->batch;
	j->claim = it->claim;
	j->message = (struct smtp_message){
		.from = j->letter.from,
		.rcpt = j->letter.rcpt,
		.header = j->letter.mail.header,
		.body = j->letter.mail.body,
		.tail = j->letter.mail.tail,
		.envid = j->letter.envid,
		.utf8 = j->letter.mail.utf8,
		.user = j,
	};
	j->given = clock_mono();
	l->bytes += letter_size(&j->letter);
	w->bytes += letter_size(&j->letter);
	k->sent++;
	k->under_way++;
	unsigned long most;
	if (l->dest != NULL) {
		j->given_us = mono_us();
		shaper_start(&l->dest->group->shaper, j->given_us);
		most = shaper_messages(&l->dest->group->shaper, j->given_us);
	} else {
		j->given_us = l->begun;
		most = route_messages(l->route);
	}
	smtp_conn_send(k->conn, &j->message);
	if (most > 0 && k->sent >= most) {
		link_quit(k);
		return;
	}
	k->ready = !k->leaving && smtp_conn_ready(k->conn);
	link_filed(k);
}

void job_done(struct lane *l, struct job *j)
{
	l->bytes -= letter_size(&j->letter);
	l->w->bytes -= letter_size(&j->letter);
	job_free(l->w, j);
}

/* The one with the least under way: a server works at the messages of one connection one after the other. */
struct link *lane_idle(struct lane *l)
{
	const struct route *r = l->route;
	for (int under_way = 0; under_way < SMTP_IN_FLIGHT_MAX && l->nready > 0; under_way++) {
		for (struct link *k = l->ready[under_way]; k != NULL; k = k->next_ready)
			if (smtp_conn_ready(k->conn)) /* what a reply said can have changed it */
				return k;
		if (under_way == 0 &&
			atomic_load_explicit(&r->careful_until, memory_order_relaxed) > clock_mono())
			break;
	}
	return NULL;
}

void lane_wait(struct lane *l, double seconds)
{
	if (seconds < 0.0005)
		seconds = 0.0005;
	/* The rate and the rest of the next connection wait by the same timer: the nearer one wins. */
	if (ev_is_active(&l->timer) && ev_timer_remaining(l->w->loop, &l->timer) <= seconds)
		return;
	ev_timer_stop(l->w->loop, &l->timer);
	ev_timer_set(&l->timer, seconds, 0.);
	ev_timer_start(l->w->loop, &l->timer);
}

/* True if the message may go now; else the lane's timer is set. */
static bool lane_may_start(struct lane *l, struct run *run)
{
	int64_t now = mono_us();
	int64_t shaped = l->dest != NULL ? shaper_may_send(&l->dest->group->shaper, now)
					 : route_may_send(l->route, now);
	if (shaped == SHAPER_LATER && l->dest != NULL)
		l->dest->group->held = true;
	else if (shaped > 0 && shaped != SHAPER_LATER)
		lane_wait(l, (double)shaped / 1e6);
	if (shaped > 0)
		return false;
	if (limiter_room(&run->rate, now, now) == 0) {
		lane_wait(l, 0.001);
		return false;
	}
	int64_t wait = limiter_take(&l->route->rate, now);
	if (wait > 0) {
		route_bound_by(l->route, BIND_RATE);
		lane_wait(l, (double)wait / 1e6);
		return false;
	}
	/* Last of all, as another worker may have taken the one message that probes. */
	if (l->dest == NULL && route_begin(l->route, now) != 0)
		return false;
	l->begun = now;
	limiter_take(&run->rate, now);
	return true;
}

static void lane_ask(struct lane *l)
{
	struct route *r = l->route;
	int room = l->holds - l->outstanding;
	if (l->dest != NULL)
		room = direct_room(l);
	if (atomic_load(&l->w->draining) || (l->dest == NULL && clock_mono() < atomic_load(&r->closed_until)))
		room = 0;
	room = room > 0 ? room : 0;
	if (ledger_want(l->w->ledger, &l->hatch, room))
		lane_hold(l, l->outstanding, room);
}

void lane_pump(struct lane *l)
{
	bool draining = atomic_load(&l->w->draining) || (l->dest != NULL && l->dest->group == NULL);
	while (l->count > 0) {
		struct item *it = &l->items[l->head];
		const struct run *run = it->batch->run;
		if (draining || atomic_load_explicit(&run->halted, memory_order_relaxed) ||
			atomic_load_explicit(&run->out[l->hatch.route], memory_order_relaxed)) {
			struct item gone = lane_pop(l);
			lane_give_back(l, &gone, clock_now());
			continue;
		}
		/* With large attachments fewer messages are under way at a time, whatever the connections
		 * could take. */
		if (l->bytes > BYTES_MAX || l->w->bytes > ALL_BYTES_MAX)
			break;
		struct link *k = lane_idle(l);
		if (k == NULL) {
			if (l->dest == NULL && l->nlinks >= l->share)
				route_bound_by(l->route, BIND_CONNECTIONS);
			break;
		}
		if (!lane_may_start(l, it->batch->run))
			break;
		struct item next = lane_pop(l);
		link_send(k, &next);
	}
	if (l->dest == NULL)
		relay_connect(l);
	lane_ask(l);
	if (l->dest != NULL && l->dest->group != NULL)
		direct_pumped(l);
}
