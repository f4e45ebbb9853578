#include "engine/ledger_private.h"

#include "engine/schedule.h"
#include "lists/segment.h"
#include "src/base/fault.h"
#include "src/base/log.h"
#include "src/db/lease.h"
#include "src/db/report.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { PREPARE_SLICE = 16000 }; /* contacts looked at between two commits while an audience is fixed */

static const ms_t MISSED = HOUR; /* a start that lies further back waits for a person */

/* ---- Campaigns ---- */

struct watch *ledger_find(struct ledger *l, int64_t id)
{
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->id == id)
			return l->watches[i];
	return NULL;
}

void watch_free(struct watch *w)
{
	if (w->run != NULL) {
		atomic_store(&w->run->halted, true);
		run_unref(w->run);
	}
	watch_brake_free(w);
	free(w->via);
	free(w->name);
	free(w->audience);
	free(w);
}

/* Compiles what the campaign froze when it was launched. */
static int watch_load(struct ledger *l, struct watch *w, const struct campaign_row *c, struct err *e)
{
	struct run *r = calloc(1, sizeof *r);
	if (r == NULL)
		return err_set(e, ERR_INTERNAL, "campaign", "out of memory");
	atomic_init(&r->refs, 1);
	r->id = c->id;
	r->name = strndup(c->name.p, c->name.n);
	r->out = calloc(l->o.nroutes + 1, sizeof *r->out);
	limiter_set(&r->rate, c->rate);
	atomic_store(&r->paused_ms, c->paused_ms);
	if (r->name == NULL || r->out == NULL ||
		personal_load(&r->personal, c, true, l->o.config, l->store, e) != 0) {
		if (r->name == NULL || r->out == NULL)
			err_set(e, ERR_INTERNAL, "campaign", "out of memory");
		free((void *)r->out);
		free(r->name);
		free(r);
		return -1;
	}
	for (size_t i = 0; i < w->plan.n; i++)
		atomic_store(&r->out[w->plan.route[i]], w->via[i].out);
	w->run = r;
	w->running_since = clock_mono();
	return 0;
}

/* Our own commits are not seen as a change of the store: what we do to a campaign is said to its watch as
 * well. */
static void halt(struct watch *w, enum campaign_state state)
{
	if (w->run != NULL)
		atomic_store(&w->run->halted, true);
	w->state = state;
}

/* Another process may have paused or ended it in this moment; the next reload shows which. */
static int unless_halted(int rc, struct err *e)
{
	if (rc == 0 || e->code != ERR_DATA)
		return rc;
	*e = (struct err){0};
	return 0;
}

int watch_pause(struct ledger *l, struct watch *w, const char *why, const char *text, struct err *e)
{
	halt(w, CAMPAIGN_PAUSED);
	log_warn("campaign %s paused (%s): %s", w->name, why, text);
	return unless_halted(
		store_campaign_pause(l->store, w->id, str_from(why), str_from(text), clock_now(), e), e);
}

static int cancel_campaign(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	halt(w, CAMPAIGN_CANCELLED);
	log_warn("campaign %s: its --until has passed, the rest is cancelled", w->name);
	return unless_halted(store_campaign_cancel(l->store, w->id, now, e), e);
}

/* Is it the campaign's own fault? What the machine lacks (memory, disk, the database's lock) or breaks
 * (the store's own errors) is no cause to pause it: delivery ends with that error, and a plain `resume` goes
 * on. */
static bool of_campaign(const struct err *why)
{
	return why->code != ERR_INTERNAL && why->code != ERR_IO && why->code != ERR_AGAIN &&
	       why->code != ERR_CREATE && strcmp(why->what, "store") != 0;
}

static int take_campaign(void *ctx, const struct campaign_row *c)
{
	struct ledger *l = ctx;
	struct watch *w = ledger_find(l, c->id);
	if (w == NULL) {
		if (l->nwatches == l->cap) {
			size_t cap = l->cap == 0 ? 16 : l->cap * 2;
			struct watch **v = realloc(l->watches, cap * sizeof(struct watch *));
			if (v == NULL)
				return 1;
			l->watches = v;
			l->cap = cap;
		}
		w = calloc(1, sizeof *w);
		if (w == NULL || (w->name = strndup(c->name.p, c->name.n)) == NULL ||
			(w->audience = strndup(c->audience.p, c->audience.n)) == NULL) {
			if (w != NULL)
				free(w->name);
			free(w);
			return 1;
		}
		w->id = c->id;
		l->watches[l->nwatches++] = w;
	}
	w->seen = true;
	watch_stir(w);
	/* Who resumes it has seen to what was wrong. */
	if (w->state == CAMPAIGN_PAUSED && c->state != CAMPAIGN_PAUSED)
		watch_let_in(w, 0);
	w->state = c->state;
	w->spread = c->spread;
	struct err why = {0};
	if (watch_plan(l, w, c->route, &why) != 0 && !of_campaign(&why))
		return 1;
	w->start_at = c->start_at;
	w->until = c->until;
	w->canary = c->canary_open;
	w->rate = c->rate;
	w->armed = c->armed;
	if (w->run != NULL) {
		limiter_set(&w->run->rate, c->rate);
		atomic_store(&w->run->paused_ms, c->paused_ms);
		atomic_store(&w->run->halted, c->state != CAMPAIGN_RUNNING && c->state != CAMPAIGN_WAITING);
	}
	return 0;
}

bool watch_delivering(const struct watch *w)
{
	return w->state == CAMPAIGN_RUNNING || w->state == CAMPAIGN_WAITING;
}

/* Of what goes out by destination the store says it while the due ones join what waits: at once, that is. */
static ms_t next_due(struct ledger *l, const struct watch *w, struct err *e)
{
	return w->spread ? 1 : store_ledger_next_due(l->store, w->id, e);
}

/* Its routes are gone from the configuration, or those that are left do not serve all. */
static int pause_lost(struct ledger *l, struct watch *w, struct err *e)
{
	struct campaign_row c;
	struct err why = {0};
	char text[900];
	if (store_campaign_by_id(l->store, w->id, &c, e) != 0)
		return -1;
	if (watch_plan(l, w, c.route, &why) == 0)
		return 0;
	if (!of_campaign(&why)) {
		if (e != NULL)
			*e = why;
		return -1;
	}
	snprintf(text, sizeof text, "%s; mend the configuration, and resume", why.why);
	return watch_pause(l, w, "route", text, e);
}

int ledger_reload(struct ledger *l, struct err *e)
{
	for (size_t i = 0; i < l->nwatches; i++)
		l->watches[i]->seen = false;
	int rc = store_campaigns(l->store, true, take_campaign, l, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	for (size_t i = 0; i < l->nwatches;) {
		struct watch *w = l->watches[i];
		if (w->seen) {
			i++;
			continue;
		}
		if (w->run != NULL)
			atomic_store(&w->run->halted, true);
		window_forget(l, w);
		if (w->in_flight > 0) { /* its last outcomes still come */
			w->state = CAMPAIGN_CANCELLED;
			i++;
			continue;
		}
		watch_free(w);
		l->watches[i] = l->watches[--l->nwatches];
	}
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		if (!watch_delivering(w)) {
			window_forget(l, w);
			continue;
		}
		struct campaign_row c;
		if (w->plan.n == 0) {
			if (pause_lost(l, w, e) != 0)
				return -1;
			continue;
		}
		struct campaign_counts n;
		struct err why = {0};
		if (store_campaign_counts(l->store, w->id, true, &n, e) != 0 ||
			(w->next_due = next_due(l, w, e)) < 0)
			return -1;
		w->fresh = n.fresh;
		if (watch_brake_load(l, w, e) != 0)
			return -1;
		if (w->run == NULL && (store_campaign_by_id(l->store, w->id, &c, &why) != 0 ||
					      watch_load(l, w, &c, &why) != 0)) {
			if (!of_campaign(&why)) {
				if (e != NULL)
					*e = why;
				return -1;
			}
			char text[600];
			snprintf(text, sizeof text, "%s: %s", why.what, why.why);
			if (watch_pause(l, w, "template", text, e) != 0)
				return -1;
		}
	}
	return 0;
}

/* A name in the audience that is gone (a list deleted meanwhile) must not widen it. */
static int prepare(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct arena a;
	struct audience_spec spec;
	struct audience audience;
	struct err why = {0};
	bool done = false;
	int rc = -1;
	arena_init(&a, 4096, 16 << 20);
	if (audience_from_text(str_from(w->audience), &a, &spec, &why) != 0 ||
		audience_resolve(&spec, l->store, l->o.config->zone, (uint64_t)w->id, &a, &audience, &why) !=
			0) {
		if (!of_campaign(&why)) {
			if (e != NULL)
				*e = why;
			goto out;
		}
		char text[600];
		snprintf(text, sizeof text, "its audience cannot be made: %s: %s", why.what, why.why);
		rc = watch_pause(l, w, "template", text, e);
		goto out;
	}
	if (store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		goto out;
	if (store_ledger_prepare(l->store, w->id, &audience, PREPARE_SLICE, now, &done, e) != 0) {
		store_ledger_rollback(l->store);
		goto out;
	}
	fault_point("audience-before");
	rc = store_ledger_commit(l->store, e);
	fault_point("audience-after");
	if (rc == 0 && done) {
		malloc_trim(0); /* what a walk through everybody left goes back before anything is sent */
		rc = ledger_reload(l, e);
	}
out:
	arena_release(&a);
	return rc;
}

/* ---- Every so often ---- */

static int set_state(struct ledger *l, struct watch *w, enum campaign_state state, const char *why,
	const char *text, ms_t now, struct err *e)
{
	if (store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		return -1;
	if (store_ledger_set_state(l->store, w->id, state, str_from(why), str_from(text), now, e) != 0) {
		store_ledger_rollback(l->store);
		return -1;
	}
	fault_point("state-before");
	if (store_ledger_commit(l->store, e) != 0)
		return -1;
	fault_point("state-after");
	w->state = state;
	if (w->run != NULL)
		atomic_store(&w->run->halted, !watch_delivering(w));
	if (l->o.woken != NULL)
		l->o.woken(l->o.ctx);
	return 0;
}

/* Nothing can be claimed now and nothing is under way: is it over, or does it wait? */
static int settle(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	struct campaign_counts c;
	if (store_campaign_counts(l->store, w->id, true, &c, e) != 0)
		return -1;
	w->fresh = c.fresh;
	if (c.state[DELIVERY_SENDING] > 0)
		return 0;
	/* Claims that only met people who are skipped gave nothing, and are not the end. */
	int more = c.fresh > 0 && !w->spread;
	if (w->canary && more && (more = store_ledger_canary(l->store, w->id, e)) < 0)
		return -1;
	if (more) {
		w->look = true;
		return 0;
	}
	if (w->canary && c.fresh > 0)
		return set_state(l, w, CAMPAIGN_PAUSED, "canary", "the first ones have been sent to", now, e);
	int64_t waiting = c.state[DELIVERY_QUEUED] + c.state[DELIVERY_DEFERRED] + c.resend_due;
	if (waiting > 0) {
		bool paused = false;
		if (!w->spread && (w->next_due = store_ledger_next_due(l->store, w->id, e)) < 0)
			return -1;
		if (w->next_due == 0 && watch_only_paused(l, w, &paused, e) != 0)
			return -1;
		return paused || w->state == CAMPAIGN_WAITING
			       ? 0
			       : set_state(l, w, CAMPAIGN_WAITING, "", "", now, e);
	}
	if (c.state[DELIVERY_DOUBT] > 0 && l->o.config->doubt == DOUBT_HOLD)
		return set_state(l, w, CAMPAIGN_PAUSED, "doubt",
			"some may or may not have arrived: resume with --doubt=resend or --doubt=skip", now,
			e);
	return set_state(l, w, CAMPAIGN_FINISHED, "", "", now, e);
}

static int start_scheduled(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	if (w->start_at > now)
		return 0;
	if (now - w->start_at > MISSED)
		return set_state(l, w, CAMPAIGN_PAUSED, "missed",
			"its start was missed by more than an hour: resume it, or cancel it", now, e);
	return set_state(l, w, CAMPAIGN_PREPARING, "", "", now, e);
}

/* One after the other: the store keeps the place in one walk. */
const struct watch *ledger_preparing(const struct ledger *l)
{
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->state == CAMPAIGN_PREPARING)
			return l->watches[i];
	return NULL;
}

ms_t watch_closed_until(const struct ledger *l, const struct watch *w, ms_t now)
{
	bool some = w->fresh > 0 || w->errands > 0 || (!w->spread && w->next_due != 0 && w->next_due <= now);
	ms_t blocked = !some ? 0 : w->shut_until > now ? w->shut_until : watch_blocked_until(l, w, now);
	/* What is left of it waits for what its sources may carry tomorrow. */
	if (blocked == 0 && w->warm_until > now && w->errands == 0 && !w->look)
		blocked = w->warm_until;
	return blocked;
}

int watch_turn(struct ledger *l, struct watch *w, ms_t now, struct err *e)
{
	if (w->until != 0 && now >= w->until &&
		(watch_delivering(w) || w->state == CAMPAIGN_SCHEDULED || w->state == CAMPAIGN_PREPARING))
		return cancel_campaign(l, w, now, e);
	if (w->state == CAMPAIGN_SCHEDULED)
		return start_scheduled(l, w, now, e);
	if (w->state == CAMPAIGN_PREPARING)
		return ledger_preparing(l) == w ? prepare(l, w, now, e) : 0;
	if (!watch_delivering(w) || w->run == NULL)
		return 0;
	if (w->in_flight == 0 && watch_closed_until(l, w, now) != 0)
		return w->state == CAMPAIGN_WAITING ? 0 : set_state(l, w, CAMPAIGN_WAITING, "", "", now, e);
	if (w->state == CAMPAIGN_WAITING && ((w->next_due != 0 && w->next_due <= now) || w->fresh > 0) &&
		set_state(l, w, CAMPAIGN_RUNNING, "", "", now, e) != 0)
		return -1;
	bool due = w->next_due != 0 && w->next_due <= now;
	bool quiet = w->in_flight == 0 && !due &&
		     (w->spread ? w->errands == 0 && !w->look : w->fresh <= 0 || !w->look);
	/* A waiting one is over when its last retry has been answered. */
	if (quiet && (w->state == CAMPAIGN_RUNNING || w->next_due == 0))
		return settle(l, w, now, e);
	return 0;
}

int ledger_pause_asked(struct ledger *l, struct pause_request *p, struct err *e)
{
	int rc = 0;
	for (struct pause_request *next; p != NULL; p = next) {
		next = p->next;
		for (size_t i = 0; rc == 0 && i < l->nwatches; i++) {
			struct watch *w = l->watches[i];
			if (!watch_delivering(w) || !route_plan_has(&w->plan, p->route) ||
				(p->campaign != 0 && p->campaign != w->id))
				continue;
			/* What concerns the campaign itself no other route mends. */
			if (p->campaign != 0 || !watch_leave_out(w, p->route, clock_now(), p->why, p->text))
				rc = watch_pause(l, w, p->why, p->text, e);
		}
		free(p);
	}
	if (l->o.woken != NULL)
		l->o.woken(l->o.ctx);
	return rc;
}

void ledger_publish_work(struct ledger *l, ms_t now)
{
	bool quiet = schedule_quiet(l->o.config, now) != 0;
	for (size_t r = 0; r < l->o.nroutes; r++) {
		int64_t work = 0;
		if (l->o.routes[r].cfg->kind == ROUTE_DIRECT)
			continue;
		for (size_t i = 0; i < l->nwatches && !quiet; i++)
			if (watch_eligible(l, l->watches[i], r, now))
				work += l->watches[i]->fresh > 0 ? l->watches[i]->fresh : 1;
		work += quiet ? 0 : relay_waiting(l, r);
		int64_t old = atomic_exchange(&l->o.routes[r].work, work);
		bool reached = atomic_load(&l->o.routes[r].ever_connected) != 0;
		bool news = old == 0 || (reached && !l->paces[r].reached);
		l->paces[r].reached = reached;
		if (news && work > 0)
			for (size_t k = 0; k < l->o.nworkers; k++) {
				hatch_tell(worker_hatch(l->o.workers[k], r));
				worker_wake(l->o.workers[k]);
			}
	}
}

int ledger_every_second(struct ledger *l, ms_t now, struct err *e)
{
	if (window_every_second(l, e) != 0)
		return -1;
	for (size_t r = 0; r < l->o.nroutes; r++)
		if (l->books[r] != NULL && sites_save(l->books[r], l->store, e) != 0)
			return -1;
	if (store_lease_renew(l->store, l->o.epoch, now, e) != 0 ||
		store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		return -1;
	for (size_t i = 0; i < l->nwatches; i++)
		if (l->watches[i]->run != NULL)
			watch_let_in(l->watches[i], now);
	int rc = ledger_publish_live(l, now, e);
	for (size_t i = 0; i < l->nwatches && rc == 0; i++)
		rc = watch_brake_second(l, l->watches[i], e);
	l->second++;
	for (size_t r = 0; r < l->o.nroutes; r++)
		atomic_store(&l->o.routes[r].bind, BIND_NONE);
	if (rc != 0 || ledger_holds_second(l, false, e) != 0 || store_ledger_trim(l->store, e) != 0) {
		store_ledger_rollback(l->store);
		return -1;
	}
	return store_ledger_commit(l->store, e);
}
