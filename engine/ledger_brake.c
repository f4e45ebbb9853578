/* The brakes of the campaigns in the ledger's hands: what they count, what is kept of it, and what follows
 * when a limit is passed (brake.h decides). */
#include "engine/ledger_private.h"

#include "engine/brake.h"
#include "src/base/log.h"
#include "src/db/report.h"

#include <stdio.h>
#include <stdlib.h>

struct watch_brake {
	struct brake *brake;
	bool counted;      /* since it was last asked */
	char last[2][220]; /* the newest reply to a bounced and to a blocked one */
};

struct loading {
	struct brake *brake;
	const char *campaign;
};

static int load_meter(void *ctx, struct str name, struct str data)
{
	struct loading *l = ctx;
	if (!brake_load(l->brake, name, data))
		log_warn("campaign %s: what its brake counted for \"%.*s\" cannot be read, and counts anew",
			l->campaign, STR_ARG(name));
	return 0;
}

void watch_brake_free(struct watch *w)
{
	if (w->brake != NULL)
		brake_free(&w->brake->brake);
	free(w->brake);
	w->brake = NULL;
}

int watch_brake_load(struct ledger *l, struct watch *w, struct err *e)
{
	const struct config *c = l->o.config;
	const struct brake_limits limits = {.bounces = c->brake.bounces,
		.blocks = c->brake.blocks,
		.complaints = c->brake.complaints,
		.after = c->brake.after};
	if (w->brake != NULL) {
		brake_arm(w->brake->brake, w->armed);
		return 0;
	}
	w->brake = calloc(1, sizeof *w->brake);
	if (w->brake == NULL || (w->brake->brake = brake_new(&limits)) == NULL)
		return err_set(e, ERR_INTERNAL, "brake", "out of memory");
	brake_arm(w->brake->brake, w->armed);
	struct loading x = {w->brake->brake, w->name};
	return store_meters(l->store, w->id, load_meter, &x, e) < 0 ? -1 : 0;
}

void watch_brake_count(struct watch *w, const struct outcome_row *r)
{
	struct watch_brake *b = w->brake;
	if (b == NULL || r->kind != OUTCOME_FINAL)
		return;
	if (r->state == DELIVERY_SENT) {
		brake_count(b->brake, r->provider, r->domain, BRAKE_ACCEPTED, 1);
	} else if (r->state == DELIVERY_BOUNCED || r->state == DELIVERY_BLOCKED) {
		bool block = r->state == DELIVERY_BLOCKED;
		brake_count(b->brake, r->provider, r->domain, block ? BRAKE_BLOCKED : BRAKE_BOUNCED, 1);
		snprintf(b->last[block], sizeof b->last[block], "%d%s%s %.*s", r->code,
			r->enhanced[0] != '\0' ? " " : "", r->enhanced,
			(int)(r->reply.n < 180 ? r->reply.n : 180), r->reply.n != 0 ? r->reply.p : "");
	} else {
		return;
	}
	b->counted = true;
}

static int returned(void *ctx, const struct came_back *r)
{
	struct watch_brake *b = ctx;
	brake_returned(b->brake, r->provider, r->bounced, r->blocked, r->complaints);
	return 0;
}

int watch_brake_second(struct ledger *l, struct watch *w, struct err *e)
{
	struct watch_brake *b = w->brake;
	struct buf text = BUF_INIT(64 << 10);
	struct str name;
	int rc = 0;
	if (b == NULL)
		return 0;
	if (store_ledger_came_back(l->store, w->id, returned, b, e) < 0)
		return -1;
	brake_returned_done(b->brake);
	b->counted = true;
	for (size_t i = 0; rc == 0 && i < brake_providers(b->brake); i++)
		if (brake_save(b->brake, i, &name, &text))
			rc = store_ledger_meter(l->store, w->id, name, buf_get(&text), e);
	buf_release(&text);
	return rc;
}

int ledger_keep_brakes(struct ledger *l, ms_t now, struct err *e)
{
	if (store_ledger_begin(l->store, l->o.epoch, now, e) != 0)
		return -1;
	for (size_t i = 0; i < l->nwatches; i++)
		if (watch_brake_second(l, l->watches[i], e) != 0) {
			store_ledger_rollback(l->store);
			return -1;
		}
	if (ledger_holds_second(l, true, e) != 0) {
		store_ledger_rollback(l->store);
		return -1;
	}
	return store_ledger_commit(l->store, e);
}

/* What the brake found, and the newest reply as an example. */
static void explain(const struct watch_brake *b, const struct brake_finding *f, struct buf *text)
{
	brake_explain(f, text);
	const char *last = f->kind == BRAKE_BOUNCES ? b->last[0] : f->kind == BRAKE_BLOCKS ? b->last[1] : "";
	if (last[0] != '\0')
		buf_printf(text, "; the last reply: %s", last);
}

static int act(struct ledger *l, struct watch *w, const struct brake_finding *f, ms_t now, struct err *e)
{
	struct buf text = BUF_INIT(2000);
	const char *why = brake_reason(f->kind);
	int rc;
	explain(w->brake, f, &text);
	if (f->refuses_all && f->provider.n != 0) {
		log_warn("campaign %s: mail to %.*s is paused (%s): %s", w->name, STR_ARG(f->provider), why,
			buf_cstr(&text));
		rc = store_provider_pause(
			l->store, w->id, f->provider, str_from(why), buf_get(&text), now, e);
		w->look = true;
	} else {
		rc = watch_pause(l, w, why, buf_cstr(&text), e);
	}
	buf_release(&text);
	return rc;
}

/* There is something left that stopping would spare. */
static int anything_left(struct ledger *l, const struct watch *w, struct err *e)
{
	struct campaign_counts n;
	if (store_campaign_counts(l->store, w->id, true, &n, e) != 0)
		return -1;
	return n.state[DELIVERY_QUEUED] + n.state[DELIVERY_DEFERRED] + n.resend_due > 0;
}

int ledger_brakes(struct ledger *l, ms_t now, struct err *e)
{
	for (size_t i = 0; i < l->nwatches; i++) {
		struct watch *w = l->watches[i];
		struct brake_finding f;
		if (w->brake == NULL || !w->brake->counted || !watch_delivering(w))
			continue;
		w->brake->counted = false;
		if (!brake_check(w->brake->brake, &f))
			continue;
		int left = anything_left(l, w, e);
		if (left < 0 || (left > 0 && act(l, w, &f, now, e) != 0))
			return -1;
	}
	return 0;
}

struct first_pause {
	char why[40], text[500];
};

static int take_pause(void *ctx, const struct provider_pause *p)
{
	struct first_pause *f = ctx;
	snprintf(f->why, sizeof f->why, "%.*s", STR_ARG(p->why));
	snprintf(f->text, sizeof f->text, "only mail to paused providers is left; %.*s%s%.*s",
		STR_ARG(p->provider), p->why_text.n != 0 ? ": " : "",
		(int)(p->why_text.n < 380 ? p->why_text.n : 380), p->why_text.p != NULL ? p->why_text.p : "");
	return 1;
}

int watch_only_paused(struct ledger *l, struct watch *w, bool *paused, struct err *e)
{
	struct first_pause f = {{0}, {0}};
	int rc = store_provider_pauses(l->store, w->id, take_pause, &f, e);
	if (rc < 0)
		return -1;
	*paused = rc == 1;
	return rc == 1 ? watch_pause(l, w, f.why, f.text, e) : 0;
}
