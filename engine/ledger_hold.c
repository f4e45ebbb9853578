/* While a receiver calls an unusual share unknown, what is suppressed on its word is held (hold.h decides,
 * the store holds): told to the store as soon as it is seen. */
#include "engine/ledger_private.h"

#include "engine/hold.h"
#include "src/base/log.h"
#include "src/db/suppress.h"

#include <stdio.h>
#include <stdlib.h>

static const ms_t HELD_ON = DAY;         /* what is refused on the burst's last day is held as well */
static const ms_t REFRESH = 10 * MINUTE; /* how often that is told to the store */

enum { METERS = 0 }; /* the campaign under which the store keeps what was counted */

struct told { /* a group that changed, or is in a burst */
	char name[260];
	enum hold_change change; /* HOLD_NOTHING: nothing new */
	ms_t since, until;       /* until: as the store knows it */
};

struct ledger_holds {
	struct holds *holds;
	struct told *v;
	size_t n, cap;
	ms_t saved; /* monotonic */
};

static int load(void *ctx, struct str group, struct str text)
{
	struct ledger_holds *h = ctx;
	if (!holds_load(h->holds, group, text))
		log_warn("what was counted for \"%.*s\" cannot be read, and counts anew", STR_ARG(group));
	return 0;
}

int ledger_holds_load(struct ledger *l, struct err *e)
{
	l->holds = calloc(1, sizeof *l->holds);
	if (l->holds == NULL || (l->holds->holds = holds_new()) == NULL)
		return err_set(e, ERR_INTERNAL, "ledger", "out of memory");
	return store_meters(l->store, METERS, load, l->holds, e) < 0 ? -1 : 0;
}

void ledger_holds_free(struct ledger *l)
{
	if (l->holds != NULL) {
		holds_free(&l->holds->holds);
		free(l->holds->v);
	}
	free(l->holds);
	l->holds = NULL;
}

static struct told *told(struct ledger_holds *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].name, name) == 0)
			return &h->v[i];
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 8 : h->cap * 2;
		struct told *v = realloc(h->v, cap * sizeof *v);
		if (v == NULL)
			return NULL;
		h->v = v;
		h->cap = cap;
	}
	struct told *t = &h->v[h->n++];
	*t = (struct told){.change = HOLD_NOTHING};
	snprintf(t->name, sizeof t->name, "%s", name);
	return t;
}

void ledger_holds_count(struct ledger *l, const struct outcome_row *r)
{
	char name[260];
	ms_t since = 0;
	if (r->kind != OUTCOME_FINAL || (r->state != DELIVERY_SENT && r->state != DELIVERY_BOUNCED) ||
		(r->provider.n == 0 && r->domain.n == 0))
		return;
	snprintf(name, sizeof name, "%s%.*s", r->provider.n != 0 ? "" : "@",
		STR_ARG(r->provider.n != 0 ? r->provider : r->domain));
	enum hold_change change = holds_count(l->holds->holds, str_from(name), r->suppress, r->at, &since);
	if (change == HOLD_NOTHING)
		return;
	struct told *t = told(l->holds, name);
	/* What began within this turn has begun, whatever came after. */
	if (t == NULL || (t->change == HOLD_BEGINS && change == HOLD_GOES_ON))
		return;
	t->change = change;
	if (change == HOLD_BEGINS)
		t->since = since;
}

static int begin(struct ledger *l, struct told *t, ms_t now, struct err *e)
{
	int64_t held;
	t->until = now + HELD_ON;
	if (store_hold(l->store, str_from(t->name), t->since, t->until, &held, e) != 0)
		return -1;
	log_warn("%s calls an unusual share of addresses unknown: what it suppresses is held for a day, %lld "
		 "so far",
		t->name, (long long)held);
	return 0;
}

static int tell(struct ledger *l, struct told *t, ms_t now, struct err *e)
{
	switch (t->change) {
	case HOLD_BEGINS:
		return begin(l, t, now, e);
	case HOLD_GOES_ON:
		if (t->until - now > HELD_ON - REFRESH)
			return 0;
		t->until = now + HELD_ON;
		return store_hold_goes_on(l->store, str_from(t->name), t->until, e);
	case HOLD_ENDS:
		log_info("%s takes its usual share of addresses again", t->name);
		return store_hold_over(l->store, str_from(t->name), e);
	case HOLD_NOTHING:
		break;
	}
	return 0;
}

int ledger_holds_tell(struct ledger *l, ms_t now, struct err *e)
{
	struct ledger_holds *h = l->holds;
	size_t n = 0;
	for (size_t i = 0; i < h->n; i++) {
		if (tell(l, &h->v[i], now, e) != 0)
			return -1;
		bool over = h->v[i].change == HOLD_ENDS;
		h->v[i].change = HOLD_NOTHING;
		if (!over)
			h->v[n++] = h->v[i];
	}
	h->n = n;
	return 0;
}

struct saving {
	struct ledger *l;
	struct err *e;
};

static int save(void *ctx, struct str group, struct str text)
{
	struct saving *s = ctx;
	return store_ledger_meter(s->l->store, METERS, group, text, s->e);
}

int ledger_holds_second(struct ledger *l, bool last, struct err *e)
{
	struct saving s = {l, e};
	ms_t mono = clock_mono();
	if (!last && mono - l->holds->saved < 10 * SECOND)
		return 0;
	l->holds->saved = mono;
	return holds_save(l->holds->holds, save, &s) != 0 ? -1 : 0;
}
