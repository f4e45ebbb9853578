#include "engine/schedule.h"
#include "src/base/log.h"
#include "src/base/nearest.h"
#include "src/cli/campaign_view.h"
#include "src/cli/output.h"
#include "src/cli/send.h"
#include "src/db/audience.h"

#include <stdio.h>

static const struct config_route *route_at(const struct send *s, size_t i)
{
	return &s->cfg->routes[s->launch.plan.route[i]];
}

/* ---- Warnings ---- */

static void route_warnings(const struct send *s)
{
	for (size_t i = 0; i < s->launch.plan.n; i++) {
		const struct config_route *r = route_at(s, i);
		if (r->mailbox)
			log_warn("route %s: %s is meant for one person's mail, not for newsletters", r->name,
				r->preset);
		if (r->envelope == ROUTE_ENVELOPE_RELAY && personal_has_return_path(s->cfg))
			log_warn(
				"route %s: the relay puts its own return path in the place of ours: returned "
				"mail goes to the relay, and is seen only in what it reports",
				r->name);
		if (r->envelope == ROUTE_ENVELOPE_FIXED)
			log_warn("route %s: returned mail goes to %s", r->name, r->envelope_from);
	}
}

static const char *span_word(ms_t span)
{
	return span == DAY ? "day" : "hour";
}

static const char *span_text(ms_t span)
{
	return span == DAY ? "a day" : "an hour";
}

static const char *end_text(const struct send *s, char out[TEXT_NUMBER])
{
	return s->forecast.end == INT64_MAX ? "more than a year from now"
					    : text_time(s->cfg->zone, s->forecast.end, out);
}

static bool too_late(const struct send *s)
{
	return s->until != 0 && s->forecast.end > s->until;
}

static void quota_warnings(const struct send *s)
{
	char a[TEXT_NUMBER], b[TEXT_NUMBER], end[TEXT_NUMBER];
	for (size_t i = 0; i < s->forecast.nfull; i++) {
		const struct quota *q = &s->forecast.full[i].quota;
		bool known = s->forecast.end != 0;
		log_warn("this campaign passes the quota of route %s (%s %s, %s of them used)%s%s",
			s->forecast.full[i].route->name, text_count(q->limit, a), span_text(q->span),
			text_count(q->used, b), known ? ": it will be done at " : "",
			known ? end_text(s, end) : "");
	}
}

/* A mistyped name is empty for everybody. */
static int name_warnings(const struct send *s, struct err *e)
{
	const struct message *m = personal_message(s->launch.personal);
	for (size_t i = 0; i < message_nslots(m); i++) {
		struct str name = message_slot(m, i);
		struct nearest near;
		int64_t id = store_attr_id(s->launch.store, name, false, e);
		nearest_init(&near, name);
		if (id < 0 || (id == 0 && store_attrs_offer(s->launch.store, &near, e) < 0))
			return -1;
		if (id == 0)
			log_warn("nobody has an attribute %.*s%s%s%s", STR_ARG(name),
				near.best[0] != '\0' ? ": did you mean " : "", near.best,
				near.best[0] != '\0' ? "?" : "");
	}
	return 0;
}

int send_warnings(const struct send *s, struct err *e)
{
	struct str domain = message_from_domain(personal_message(s->launch.personal));
	bool known = s->cfg->ndomains == 0 ||
		     domain.n == 0; /* a templated From is known only for each recipient */
	for (size_t i = 0; i < s->cfg->ndomains; i++)
		known = known || str_is_nocase(domain, s->cfg->domains[i]);
	if (!known)
		log_warn("From is at %.*s, for which there is no [domain] section", STR_ARG(domain));
	if (s->cfg->ndkim > 0 && domain.n > 0 && !dkim_keys_serve(s->launch.dkim_keys, domain))
		log_warn("no [dkim] section is for %.*s: this campaign goes out unsigned", STR_ARG(domain));
	const char *left = personal_example_left(s->cfg, domain);
	if (left != NULL)
		log_warn("%s is still the example's: what is sent there is lost", left);
	if (!personal_has_return_path(s->cfg))
		log_warn("no [return-path] is configured: returned mail goes to the From address, and cannot "
			 "be counted");
	route_warnings(s);
	/* Where a summary is shown it says so. */
	if (s->c->json || s->c->quiet) {
		quota_warnings(s);
		if (too_late(s))
			log_warn("--until comes before that: who was not sent to by then gets nothing");
	}
	return name_warnings(s, e);
}

/* ---- What the person sees before it goes out ---- */

static void left_out(FILE *f, const char *what, int64_t n)
{
	char count[TEXT_NUMBER];
	if (n > 0)
		fprintf(f, "             %s %s\n", text_count(n, count), what);
}

static void routes(const struct send *s, FILE *f)
{
	for (size_t i = 0; i < s->launch.plan.n; i++) {
		const struct config_route *r = route_at(s, i);
		fprintf(f, "%s%s (%s", i == 0 ? "Route        " : ", ", r->name,
			r->kind == ROUTE_RELAY ? out_safe(str_from(r->host)) : "direct");
		if (r->weight >= 0)
			fprintf(f, r->weight > 0 ? ", weight %g" : ", in reserve", r->weight);
		fputc(')', f);
	}
	if (s->forecast.rate > 0)
		fprintf(f, s->forecast.rate < 10 ? ", %.3g/s" : ", %.0f/s", s->forecast.rate);
	fputc('\n', f);
}

static void times(const struct send *s, FILE *f)
{
	char when[TEXT_NUMBER], span[CLOCK_TEXT], a[TEXT_NUMBER], b[TEXT_NUMBER];
	const struct forecast *fc = &s->forecast;
	ms_t start = s->at != 0 ? s->at : s->now;
	fprintf(f, "Start        %s\n", s->at != 0 ? text_time(s->cfg->zone, s->at, when) : "now");
	ms_t quiet = schedule_quiet(s->cfg, start);
	if (quiet != 0)
		fprintf(f, "Quiet hours  until %s: nothing goes out before\n",
			text_time(s->cfg->zone, quiet, when));
	for (size_t i = 0; i < fc->nfull; i++)
		fprintf(f, "Quota        route %s: %s %s, %s of them used: this campaign passes it\n",
			fc->full[i].route->name, text_count(fc->full[i].quota.limit, a),
			span_text(fc->full[i].quota.span), text_count(fc->full[i].quota.used, b));
	if (fc->end == INT64_MAX)
		fprintf(f, "End          %s\n", end_text(s, when));
	else if (fc->end != 0)
		fprintf(f, "End          about %s, after %s\n", end_text(s, when),
			clock_span_text(fc->end - start, span));
	if (s->until != 0)
		fprintf(f, "Until        %s%s\n", text_time(s->cfg->zone, s->until, when),
			too_late(s) ? ": who was not sent to by then gets nothing" : "");
}

void send_summary(const struct send *s, FILE *f)
{
	char n[TEXT_NUMBER], size[TEXT_NUMBER];
	const struct selection *sel = &s->selection;
	fprintf(f, "Campaign     %s\n", out_safe(str_from(s->name)));
	fprintf(f, "Subject      %s\n", out_safe(s->launch.subject));
	fprintf(f, "From         %s\n", out_safe(s->launch.from));
	routes(s, f);
	times(s, f);
	fprintf(f, "Recipients   %s", text_count(sel->audience, n));
	if (sel->selected != sel->audience)
		fprintf(f, " of %s selected; left out:", text_count(sel->selected, n));
	fputc('\n', f);
	left_out(f, "suppressed", sel->suppressed);
	left_out(f, "unsubscribed", sel->unsubscribed);
	left_out(f, "excluded", sel->excluded);
	if (s->first > 0)
		fprintf(f, "First        %s of them, at random; then it pauses\n", text_count(s->first, n));
	fprintf(f, "Checked      rendered for %s", text_count(s->check.checked, n));
	fprintf(f, ", largest %s\n", text_bytes(s->check.bytes, size));
}

/* ---- As JSON ---- */

static json_t *forecast_json(const struct send *s)
{
	const struct forecast *f = &s->forecast;
	json_t *full = json_array();
	for (size_t i = 0; i < f->nfull; i++) {
		const struct quota *q = &f->full[i].quota;
		json_array_append_new(full, json_pack("{s:s, s:I, s:s, s:I}", "route", f->full[i].route->name,
						    "limit", (json_int_t)q->limit, "per", span_word(q->span),
						    "used", (json_int_t)q->used));
	}
	return json_pack("{s:o, s:o, s:o, s:b, s:o}", "rate", f->rate > 0 ? json_real(f->rate) : json_null(),
		"start", json_time(f->start), "end", json_time(f->end == INT64_MAX ? 0 : f->end), "too_late",
		too_late(s), "quota", full);
}

int send_dry_run(const struct send *s, struct err *e)
{
	const struct selection *sel = &s->selection;
	struct arena a;
	if (!s->c->json) {
		send_summary(s, stdout);
		return 0;
	}
	arena_init(&a, 1024, 64 << 10);
	json_t *j = json_pack(
		"{s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:I, s:{s:I, s:I, s:I, s:I}}",
		"campaign", s->name, "dry_run", 1, "subject", view_str(s->launch.subject), "from",
		view_str(s->launch.from), "route", view_str(route_plan_names(&s->launch.plan, &a)),
		"forecast", forecast_json(s), "selected", (json_int_t)sel->selected, "left_out", "suppressed",
		(json_int_t)sel->suppressed, "unsubscribed", (json_int_t)sel->unsubscribed, "excluded",
		(json_int_t)sel->excluded, "duplicate", (json_int_t)sel->duplicate, "audience",
		(json_int_t)sel->audience, "checked", "messages", (json_int_t)s->check.checked, "failed",
		(json_int_t)s->check.failed, "skipped", (json_int_t)s->check.skipped, "largest_bytes",
		(json_int_t)s->check.bytes);
	arena_release(&a);
	return json_document(j) != 0 ? output_error(e) : 0;
}
