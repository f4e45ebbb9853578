#include "src/db/sqlite_returned.h"

#include "src/base/utf8.h"

#include <assert.h>
#include <stdlib.h>

const char *const delivery_state_names[DELIVERY_NSTATES] = {
#define X(id, name) [DELIVERY_##id] = name,
	DELIVERY_STATES(X)
#undef X
};

const char *const reply_class_names[CLASS_NCLASSES] = {
	[CLASS_NONE] = "",
	[CLASS_HARD] = "hard",
	[CLASS_SOFT] = "soft",
	[CLASS_BLOCK] = "block",
	[CLASS_MESSAGE] = "message",
	[CLASS_CONFIG] = "config",
};

const char *const reply_scope_names[SCOPE_NSCOPES] = {
	[SCOPE_ADDRESS] = "address",
	[SCOPE_MESSAGE] = "message",
	[SCOPE_SITE] = "site",
	[SCOPE_ROUTE] = "route",
	[SCOPE_ACCOUNT] = "account",
};

struct str reply_cut(struct str s)
{
	return utf8_cut_bytes(s, 500);
}

int reason_leave(struct store *s, int64_t delivery, int64_t attempts, int64_t provider, struct err *e)
{
	int64_t v[2];
	int rc = 0;
	if (attempts > 0)
		rc = db_ints(s, e, v, 2,
			"SELECT class, reason FROM attempt WHERE delivery = ? AND n = ? AND class <> 0", "ii",
			delivery, attempts);
	if (rc <= 0)
		return rc;
	return delta_add(
		s, DELTA_REASON, DELIVERY_CAMPAIGN(delivery), provider, v[0], v[1], 0, -1, STR(""), e);
}

int ledger_attempt(
	struct store *s, struct ledger_row *r, const struct outcome_row *o, int64_t route, struct err *e)
{
	int64_t reason, site, id = r->delivery;
	if (name_id(s, o->reason, &reason, e) < 0 || name_id(s, o->site, &site, e) < 0)
		return -1;
	if (reason_leave(s, id, r->attempts, r->provider, e) < 0)
		return -1;
	if ((o->class != CLASS_NONE || o->state == DELIVERY_SKIPPED) &&
		delta_add(s, DELTA_REASON, DELIVERY_CAMPAIGN(id), r->provider, o->class, reason, 0, 1,
			reply_cut(o->reply), e) < 0)
		return -1;
	/* Its message was made when it was claimed; a later attempt makes the same one. */
	if (r->attempts == 0)
		r->first = r->at;
	r->attempts++;
	if (db_run(s, e,
		    "INSERT INTO attempt(delivery, n, at, kind, state, code, enhanced, class, scope, reason, "
		    "site, route, reply, relay_id) "
		    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "iiiiiiziiiiiss", id, r->attempts, o->at, (int64_t)o->kind, (int64_t)o->state,
		    (int64_t)o->code, o->enhanced, (int64_t)o->class, (int64_t)o->scope, reason, site, route,
		    reply_cut(o->reply), reply_cut(o->relay_id)) < 0)
		return -1;
	if (o->class != CLASS_NONE &&
		db_run(s, e, "INSERT INTO failure(delivery, n, at, class) VALUES(?, ?, ?, ?)", "iiii", id,
			r->attempts, o->at, (int64_t)o->class) < 0)
		return -1;
	if (o->dialogue.n != 0 && db_run(s, e, "INSERT INTO dialogue(delivery, n, text) VALUES(?, ?, ?)",
					  "iis", id, r->attempts, o->dialogue) < 0)
		return -1;
	return delta_add(
		s, DELTA_TALLY, DELIVERY_CAMPAIGN(id), r->provider, TALLY_ATTEMPTS, 0, 0, 1, STR(""), e);
}

/* What it says against the person. */
static int hold_against(
	struct store *s, const struct ledger_row *r, const struct outcome_row *o, struct err *e)
{
	int count;
	bool added;
	const struct trouble_new n = {
		r->contact, DELIVERY_CAMPAIGN(r->delivery), o->at, o->reason, reply_cut(o->reply)};
	if (o->suppress)
		return trouble_hard(s, &n, &added, e);
	bool given_up = o->kind == OUTCOME_FINAL && o->class == CLASS_SOFT &&
			(o->scope == SCOPE_ADDRESS || o->scope == SCOPE_SITE);
	return given_up ? trouble_soft(s, &n, &count, &added, e) : 0;
}

static int count_minute(struct store *s, const struct outcome_row *o, struct err *e)
{
	int slot = o->kind == OUTCOME_DEFER ? 1 : o->state == DELIVERY_SENT ? 0 : 2;
	if ((o->kind != OUTCOME_FINAL && o->kind != OUTCOME_DEFER) || outcome_unsent(o))
		return 0;
	return delta_add(
		s, DELTA_TIMELINE, DELIVERY_CAMPAIGN(o->delivery), o->at / MINUTE, 0, 0, slot, 1, STR(""), e);
}

/* Nothing left: its place in the quota is free again. */
static int free_place(struct store *s, const struct ledger_row *r, struct err *e)
{
	return delta_add(s, DELTA_USAGE, r->route, r->at / MINUTE, 0, 0, 0, -1, STR(""), e);
}

static int give_back(struct store *s, const struct ledger_row *r, ms_t due, bool cancelled, struct err *e)
{
	if (free_place(s, r, e) < 0)
		return -1;
	return ledger_settle(s, r, r->state, due != 0 ? due : s->now, cancelled, e);
}

static enum delivery_state state_after(const struct ledger_row *r, const struct outcome_row *o)
{
	switch (o->kind) {
	case OUTCOME_DEFER:
		return DELIVERY_DEFERRED;
	case OUTCOME_REQUEUE:
		/* What was in doubt may have arrived, whatever is wrong with the route now. */
		return r->state == DELIVERY_DOUBT ? DELIVERY_DOUBT : DELIVERY_QUEUED;
	case OUTCOME_DOUBT:
		return DELIVERY_DOUBT;
	case OUTCOME_FINAL:
	case OUTCOME_RETURN:
		break;
	}
	return o->state;
}

static int record_one(struct store *s, const struct outcome_row *given, struct err *e)
{
	struct ledger_row r;
	struct outcome_row o = *given;
	int rc = ledger_read(s, o.delivery, &r, e);
	/* Somebody else has settled it. */
	if (rc <= 0 || r.epoch != s->epoch)
		return rc < 0 ? -1 : 0;
	if (r.nameless) /* what was said may name them */
		o.reply = o.dialogue = STR("");
	int cancelled = ledger_cancelled(s, DELIVERY_CAMPAIGN(o.delivery), e);
	if (cancelled < 0)
		return -1;
	if (o.kind == OUTCOME_RETURN)
		return give_back(s, &r, o.due, cancelled == 1, e);
	o.state = state_after(&r, &o);
	ms_t due = o.kind == OUTCOME_FINAL ? 0 : o.due;
	if (due == 0 && (o.kind == OUTCOME_DEFER || o.kind == OUTCOME_REQUEUE))
		due = o.at;
	if (o.kind == OUTCOME_DOUBT && ledger_doubt(s, &r, &due, e) < 0)
		return -1;
	/* One whose time ran out while it waited was not tried again: what is known of it is its last
	 * attempt. */
	bool tried = !(
		o.kind == OUTCOME_FINAL && o.state == DELIVERY_EXPIRED && o.code == 0 && given->reply.n == 0);
	int64_t route;
	if (name_id(s, o.route, &route, e) < 0 ||
		(tried && ledger_attempt(s, &r, &o, route != 0 ? route : r.route, e) < 0) ||
		(outcome_unsent(&o) && free_place(s, &r, e) < 0) || count_minute(s, &o, e) < 0 ||
		hold_against(s, &r, &o, e) < 0)
		return -1;
	return ledger_settle(s, &r, o.state, due, cancelled == 1, e);
}

static int by_delivery(const void *a, const void *b)
{
	int64_t x = (*(const struct outcome_row *const *)a)->delivery,
		y = (*(const struct outcome_row *const *)b)->delivery;
	return (x > y) - (x < y);
}

/* In the order of the tables, so that neighbours are written together. */
int store_ledger_record(struct store *s, const struct outcome_row *rows, size_t n, struct err *e)
{
	assert(s->in_ledger);
	if (n == 0)
		return 0;
	const struct outcome_row **v = malloc(n * sizeof *v);
	if (v == NULL)
		return db_nomem(e);
	for (size_t i = 0; i < n; i++)
		v[i] = &rows[i];
	qsort(v, n, sizeof *v, by_delivery);
	int early = returned_any_early(s, e), rc = early < 0 ? -1 : 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = record_one(s, v[i], e);
		if (rc == 0 && early == 1)
			rc = returned_early(s, v[i]->delivery, e);
	}
	free(v);
	return rc;
}
