#include "src/cli/live_view.h"

#include "src/base/utf8.h"
#include "src/cli/campaign_view.h"
#include "src/cli/output.h"
#include "src/db/live.h"

enum { SHOWN = 15 }; /* lines for people; the document has all */

static const char *const kinds[] = {
	[LIVE_ROUTE] = "route", [LIVE_PROVIDER] = "provider", [LIVE_SITE] = "site"};

/* The limit without the name that stands in the line already. */
static struct str bare_limit(const struct live_group *g)
{
	struct str limit = g->limit, kind = str_from(kinds[g->kind]);
	struct str rest = str_n(limit.p + kind.n + 1, limit.n > kind.n + 1 ? limit.n - kind.n - 1 : 0);
	if (!str_starts(limit, kind) || !str_starts(rest, g->name) || rest.n <= g->name.n + 2)
		return limit;
	return str_n(rest.p + g->name.n + 2, rest.n - g->name.n - 2);
}

/* ---- JSON ---- */

static json_t *group_json(const struct live_group *g)
{
	json_t *j = json_object();
	json_object_set_new(j, kinds[g->kind], view_str(g->name));
	if (g->kind != LIVE_ROUTE) {
		json_object_set_new(j, "route", view_str(g->route));
		json_object_set_new(j, "source", g->source.n > 0 ? view_str(g->source) : json_null());
	}
	json_object_set_new(j, "state", view_str(g->state));
	json_object_set_new(j, "rate", json_real(g->rate));
	json_object_set_new(j, "connections", json_integer(g->connections));
	json_object_set_new(j, "waiting", json_integer(g->waiting));
	json_object_set_new(j, "limit", view_str(g->limit));
	return j;
}

void live_json(json_t *doc, const struct report *r)
{
	static const char *const names[] = {
		[LIVE_ROUTE] = "routes", [LIVE_PROVIDER] = "providers", [LIVE_SITE] = "sites"};
	json_t *lists[3], *holding = json_array();
	for (int i = 0; i < 3; i++)
		json_object_set_new(doc, names[i], lists[i] = json_array());
	for (size_t i = 0; i < r->ngroups; i++)
		json_array_append_new(lists[r->groups[i].kind], group_json(&r->groups[i]));
	for (size_t i = 0; i < r->nholdings; i++)
		json_array_append_new(holding, view_str(r->holdings[i].name));
	json_object_set_new(doc, "holding", holding);
	json_object_set_new(doc, "held_suppressions", json_integer(r->held_suppressions));
}

/* ---- For people ---- */

static void rate_text(struct buf *out, double rate)
{
	if (rate == 0)
		buf_printf(out, " %9s", "-");
	else
		buf_printf(out, rate < 10 ? " %7.1f/s" : " %7.0f/s", rate);
}

static void text_holdings(struct buf *out, const struct report *r, const struct zone *z)
{
	char when[TEXT_NUMBER], n[TEXT_NUMBER];
	for (size_t i = 0; i < r->nholdings; i++) {
		buf_puts(out, i == 0 ? "\n  Unusually many addresses are called unknown by " : ", ");
		utf8_safe(out, r->holdings[i].name);
		buf_printf(out, " (since %s)", text_time(z, r->holdings[i].since, when));
	}
	if (r->nholdings > 0)
		buf_printf(out,
			".\n  What that suppresses is held for a day: `postrider suppressions list --held` "
			"shows %s\n",
			text_count(r->held_suppressions, n));
}

/* Whether another address of ours has a line for the same receiver. */
static bool has_twin(const struct report *r, const struct live_group *g)
{
	for (size_t i = 0; i < r->ngroups; i++)
		if (&r->groups[i] != g && r->groups[i].kind == g->kind && str_eq(r->groups[i].name, g->name))
			return true;
	return false;
}

static void text_limit(struct buf *out, const struct report *r, const struct live_group *g, size_t room)
{
	if (g->source.n > 0 && has_twin(r, g)) {
		utf8_safe(out, g->source);
		buf_puts(out, ": ");
		room = room > g->source.n + 2 + 20 ? room - g->source.n - 2 : 20;
	}
	view_shortened(out, bare_limit(g), room);
}

void live_text(struct buf *out, const struct report *r, const struct zone *z, size_t columns)
{
	enum { BEFORE = 71 };
	char n[TEXT_NUMBER];
	if (r->ngroups > 0)
		buf_printf(out, "\n  %-8s %-22s %-10s %9s %5s %9s  %s\n", "now", "", "state", "rate", "conn.",
			"waiting", "limit");
	for (size_t i = 0; i < r->ngroups && i < SHOWN; i++) {
		const struct live_group *g = &r->groups[i];
		buf_printf(out, "  %-8s ", kinds[g->kind]);
		view_padded(out, g->name, 22);
		buf_putc(out, ' ');
		view_padded(out, g->state, 10);
		rate_text(out, g->rate);
		buf_printf(out, " %5d %9s  ", g->connections, text_count(g->waiting, n));
		text_limit(out, r, g, columns > BEFORE + 20 ? columns - BEFORE : 20);
		buf_putc(out, '\n');
	}
	if (r->ngroups > SHOWN)
		buf_printf(out, "  … and %zu more; --json has them all\n", r->ngroups - SHOWN);
	text_holdings(out, r, z);
}
