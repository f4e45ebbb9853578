#include "src/cli/report_data.h"

#include "src/db/ledger.h"

#include <stdlib.h>

enum { REPORT_MAX = 64 << 20 };
static const ms_t LATELY = 15 * SECOND; /* the holder writes every second; it may be late */

struct gather {
	struct report *r;
	size_t cap_providers, cap_reasons, cap_skips, cap_refusals, cap_backs, cap_points, cap_pauses,
		cap_groups, cap_holdings, cap_brakes;
	bool oom;
};

/* Room for one more in a growing array of the arena; what it leaves behind goes with the report. */
static void *one_more(struct gather *g, void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	size_t more = *cap == 0 ? 64 : *cap * 2;
	void *p = arena_alloc(&g->r->arena, more * size);
	if (p == NULL) {
		g->oom = true;
		return NULL;
	}
	if (n > 0)
		memcpy(p, v, n * size);
	*cap = more;
	return p;
}

static int add_provider(void *ctx, const struct provider_row *p)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->providers = one_more(g, r->providers, r->nproviders, &g->cap_providers, sizeof *r->providers);
	if (g->oom)
		return 1;
	struct report_provider *out = &r->providers[r->nproviders++];
	*out = (struct report_provider){.name = arena_str(&r->arena, p->provider)};
	for (int i = 0; i < DELIVERY_NSTATES; i++) {
		out->state[i] = p->state[i];
		out->total += p->state[i];
	}
	return 0;
}

static int add_refusal(struct gather *g, const struct reason_row *row)
{
	struct report *r = g->r;
	r->refusals = one_more(g, r->refusals, r->nrefusals, &g->cap_refusals, sizeof *r->refusals);
	if (g->oom)
		return 1;
	r->refusals[r->nrefusals++] = (struct report_refusal){row->class, arena_str(&r->arena, row->reason),
		arena_str(&r->arena, row->provider), row->deliveries};
	return 0;
}

static int add_back(void *ctx, const struct came_back *b)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->backs = one_more(g, r->backs, r->nbacks, &g->cap_backs, sizeof *r->backs);
	if (g->oom)
		return 1;
	r->backs[r->nbacks++] = (struct report_back){
		arena_str(&r->arena, b->provider), b->bounced, b->blocked, b->complaints};
	return 0;
}

/* Providers added up. */
static int add_up(
	struct gather *g, struct report_reason **v, size_t *n, size_t *cap, const struct reason_row *row)
{
	for (size_t i = 0; i < *n; i++)
		if ((*v)[i].class == row->class && str_eq((*v)[i].reason, row->reason)) {
			(*v)[i].deliveries += row->deliveries;
			return 0;
		}
	*v = one_more(g, *v, *n, cap, sizeof **v);
	if (g->oom)
		return 1;
	(*v)[(*n)++] = (struct report_reason){
		.class = row->class,
		.reason = arena_str(&g->r->arena, row->reason),
		.example = arena_str(&g->r->arena, row->example),
		.deliveries = row->deliveries,
	};
	return 0;
}

static int add_reason(void *ctx, const struct reason_row *row)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	if (row->class == CLASS_NONE)
		return add_up(g, &r->skips, &r->nskips, &g->cap_skips, row);
	if (add_refusal(g, row) != 0)
		return 1;
	return add_up(g, &r->reasons, &r->nreasons, &g->cap_reasons, row);
}

static int add_point(void *ctx, const struct timeline_row *t)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->points = one_more(g, r->points, r->npoints, &g->cap_points, sizeof *r->points);
	if (g->oom)
		return 1;
	r->points[r->npoints++] = (struct report_point){t->minute, t->sent, t->deferred, t->failed};
	return 0;
}

static int add_pause(void *ctx, const struct provider_pause *p)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->pauses = one_more(g, r->pauses, r->npauses, &g->cap_pauses, sizeof *r->pauses);
	if (g->oom)
		return 1;
	r->pauses[r->npauses++] = (struct provider_pause){arena_str(&r->arena, p->provider),
		arena_str(&r->arena, p->why), arena_str(&r->arena, p->why_text), p->at};
	return 0;
}

static int add_group(void *ctx, const struct live_group *x)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->groups = one_more(g, r->groups, r->ngroups, &g->cap_groups, sizeof *r->groups);
	if (g->oom)
		return 1;
	struct live_group *out = &r->groups[r->ngroups++];
	*out = *x;
	out->name = arena_str(&r->arena, x->name);
	out->route = arena_str(&r->arena, x->route);
	out->source = arena_str(&r->arena, x->source);
	out->state = arena_str(&r->arena, x->state);
	out->limit = arena_str(&r->arena, x->limit);
	return 0;
}

static int add_holding(void *ctx, const struct holding *h)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	r->holdings = one_more(g, r->holdings, r->nholdings, &g->cap_holdings, sizeof *r->holdings);
	if (g->oom)
		return 1;
	r->holdings[r->nholdings++] = (struct holding){arena_str(&r->arena, h->name), h->since, h->until};
	return 0;
}

/* What nobody answered yet is no brake's business. */
static int add_brake(void *ctx, struct str provider, struct str saved)
{
	struct gather *g = ctx;
	struct report *r = g->r;
	struct report_brake b = {.provider = arena_str(&r->arena, provider)};
	if (!brake_read(saved, &b.view) || b.view.answered + b.view.complaints == 0)
		return 0;
	r->brakes = one_more(g, r->brakes, r->nbrakes, &g->cap_brakes, sizeof *r->brakes);
	if (g->oom)
		return 1;
	r->brakes[r->nbrakes++] = b;
	return 0;
}

/* In all first, which is the meter without a name. */
static int by_answers(const void *a, const void *b)
{
	const struct report_brake *x = a, *y = b;
	if ((x->provider.n == 0) != (y->provider.n == 0))
		return x->provider.n == 0 ? -1 : 1;
	return (x->view.answered < y->view.answered) - (x->view.answered > y->view.answered);
}

static int by_total(const void *a, const void *b)
{
	const struct report_provider *x = a, *y = b;
	return (x->total < y->total) - (x->total > y->total);
}

static int by_deliveries(const void *a, const void *b)
{
	const struct report_reason *x = a, *y = b;
	return (x->deliveries < y->deliveries) - (x->deliveries > y->deliveries);
}

static void keep_strings(struct report *r)
{
	struct str *const all[] = {&r->campaign.name, &r->campaign.why, &r->campaign.why_text,
		&r->campaign.subject, &r->campaign.from, &r->campaign.message_path, &r->campaign.content_hash,
		&r->campaign.audience, &r->campaign.route};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		*all[i] = arena_str(&r->arena, *all[i]);
}

int report_gather(struct report *r, struct store *s, int64_t campaign, bool whole, ms_t now, struct err *e)
{
	struct gather g = {.r = r};
	*r = (struct report){0};
	arena_init(&r->arena, 16 << 10, REPORT_MAX);
	if (store_campaign_by_id(s, campaign, &r->campaign, e) != 0)
		return -1;
	keep_strings(r);
	int held = store_lease_get(s, now, &r->holder, e);
	if (held < 0)
		return -1;
	r->held = held == 1;
	if (store_campaign_counts(s, campaign, r->held, &r->counts, e) != 0)
		return -1;
	if (store_live(s, campaign, &r->live, NULL) != 0)
		r->live = (struct live){0};
	/* What was written last stays in the store when nobody delivers any more. */
	if (store_provider_pauses(s, campaign, add_pause, &g, e) < 0 ||
		store_holdings(s, now, add_holding, &g, e) < 0 ||
		(r->held_suppressions = store_held(s, now, e)) < 0 ||
		(r->held && r->campaign.finished == 0 &&
			store_live_groups(s, now - LATELY, add_group, &g, e) < 0))
		return -1;
	enum campaign_state state = r->campaign.state;
	if (!r->held &&
		(state == CAMPAIGN_PREPARING || state == CAMPAIGN_RUNNING || state == CAMPAIGN_WAITING))
		state = CAMPAIGN_INTERRUPTED;
	r->state = campaign_state_names[state];
	if (whole && (store_report_providers(s, campaign, r->held, add_provider, &g, e) < 0 ||
			     store_report_reasons(s, campaign, add_reason, &g, e) < 0 ||
			     store_meters(s, campaign, add_brake, &g, e) < 0 ||
			     store_ledger_came_back(s, campaign, add_back, &g, e) < 0 ||
			     store_report_timeline(s, campaign, add_point, &g, e) < 0))
		return -1;
	if (g.oom || r->arena.failed)
		return err_set(e, ERR_INTERNAL, "report", "out of memory");
	if (r->nproviders > 1)
		qsort(r->providers, r->nproviders, sizeof *r->providers, by_total);
	if (r->nbrakes > 1)
		qsort(r->brakes, r->nbrakes, sizeof *r->brakes, by_answers);
	if (r->nreasons > 1)
		qsort(r->reasons, r->nreasons, sizeof *r->reasons, by_deliveries);
	if (r->nskips > 1)
		qsort(r->skips, r->nskips, sizeof *r->skips, by_deliveries);
	return 0;
}

void report_release(struct report *r)
{
	arena_release(&r->arena);
	*r = (struct report){0};
}

const char *skip_words(struct str reason)
{
	static const struct {
		const char *reason, *words;
	} all[] = {
		{"unsubscribed", "unsubscribed since they were chosen"},
		{"suppressed", "suppressed since they were chosen"},
		{"left", "no longer on the list"},
		{"forgotten", "all about them was erased"},
		{"template", "the message failed for them"},
		{"aborted", "the message left them out"},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (str_is(reason, all[i].reason))
			return all[i].words;
	return "";
}

ms_t report_duration(const struct report *r, ms_t now)
{
	if (r->campaign.started == 0)
		return 0;
	ms_t end = r->campaign.finished != 0 ? r->campaign.finished : now;
	return end > r->campaign.started ? end - r->campaign.started : 0;
}
