#include "src/cli/bounce_view.h"

#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"

/* ---- JSON ---- */

static bool judged(const struct findings *f, const struct failure *x)
{
	return (f->kind == MAIL_BOUNCE || f->kind == MAIL_DELAYED) && x->action != REPORT_DELIVERED &&
	       x->action != REPORT_RELAYED && x->action != REPORT_EXPANDED;
}

/* The delivery that this recipient of the report stands for. */
static int64_t delivery_of(const struct intake_result *r, const struct failure *x)
{
	for (size_t i = 0; i < r->nevents; i++)
		if (r->events[i].failure == x && r->events[i].who.trust != TRUST_NONE &&
			DELIVERY_NUMBER(r->events[i].who.delivery) != 0)
			return r->events[i].who.delivery;
	return 0;
}

static json_t *number_or_null(int64_t n)
{
	return n != 0 ? json_integer(n) : json_null();
}

static json_t *failure_json(const struct intake_result *r, const struct failure *x)
{
	bool j = judged(&r->found, x);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "address", json_str(x->address), "class",
		j ? json_string(reply_class_names[x->verdict.class]) : json_null(), "reason",
		j ? json_str(x->verdict.reason) : json_null(), "code", number_or_null(x->code), "enhanced",
		json_str(x->enhanced), "diagnostic", json_str(x->diagnostic), "delivery",
		number_or_null(delivery_of(r, x)));
}

static const char *const effect_names[] = {
	[RETURNED_NOTHING] = "nothing",
	[RETURNED_FAILED] = "failed",
	[RETURNED_COMPLAINT] = "complaint",
	[RETURNED_STOP] = "unsubscribe",
};

static json_t *event_json(const struct intake_event *ev)
{
	const struct returned_done *d = &ev->done;
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:b, s:b}", "id",
		number_or_null(d->id), "address", view_str(ev->address), "campaign", view_str(ev->campaign),
		"trust", trust_names[ev->who.trust], "effect", effect_names[ev->effect], "delivery",
		number_or_null(DELIVERY_NUMBER(ev->who.delivery) != 0 ? ev->who.delivery : 0), "duplicate",
		d->duplicate, "early", d->early, "late", ev->late, "lowered", d->lowered, "suppressed",
		d->suppressed, "unsubscribed", d->unsubscribed);
}

static int show_json(const char *file, const struct intake_result *r, struct err *e)
{
	json_t *failures = json_array(), *events = json_array();
	for (size_t i = 0; i < r->found.nfailures; i++)
		json_array_append_new(failures, failure_json(r, &r->found.failures[i]));
	for (size_t i = 0; i < r->nevents; i++)
		json_array_append_new(events, event_json(&r->events[i]));
	json_t *doc = json_pack("{s:o, s:s, s:o, s:o}", "file", json_str(str_from(file)), "kind",
		mail_kind_names[r->found.kind], "failures", failures, "events", events);
	return json_line(doc) != 0 ? output_error(e) : 0;
}

/* ---- Text ---- */

static const char *what_follows(const struct bounce_view *v, const struct intake_event *ev)
{
	const struct returned_done *d = &ev->done;
	if (ev->who.trust == TRUST_NONE)
		return "nobody's, changes no one";
	if (ev->partial)
		return "a part of what it was handed on to; changes nothing";
	if (ev->late)
		return "too late; changes nothing";
	if (v->dry_run)
		return ev->effect == RETURNED_FAILED      ? "would count as a failure"
		       : ev->effect == RETURNED_COMPLAINT ? "would be suppressed and unsubscribed"
							  : "would be unsubscribed";
	if (d->duplicate)
		return "had it before";
	if (d->early)
		return "takes effect with the outcome of the delivery";
	if (d->suppressed && d->unsubscribed)
		return "suppressed and unsubscribed";
	if (d->suppressed)
		return "suppressed";
	if (d->unsubscribed)
		return "unsubscribed";
	return d->lowered ? "recorded" : "recorded; changes nothing";
}

static int show_event(const struct bounce_view *v, const char *file, const struct intake_result *r,
	const struct intake_event *ev)
{
	const struct failure *x = ev->failure;
	struct str who = ev->address.n != 0 ? ev->address : x != NULL ? x->address : str_n(NULL, 0);
	out_printf(v->c, "%s: %s", out_safe(str_from(file)), mail_kind_names[r->found.kind]);
	if (who.n != 0)
		out_printf(v->c, ", %s", out_safe(who));
	if (x != NULL && judged(&r->found, x))
		out_printf(
			v->c, ", %s: %s", reply_class_names[x->verdict.class], out_safe(x->verdict.reason));
	return out_printf(v->c, "; %s\n", what_follows(v, ev));
}

static int show_place(const struct bounce_view *v, const char *title, const struct evidence *at)
{
	if (at->source == NULL)
		return 0;
	out_printf(v->c, "  %-11s%s", title, at->source);
	if (at->part > 0)
		out_printf(v->c, ", part %d", at->part);
	if (at->line > 0)
		out_printf(v->c, ", line %ld", at->line);
	return out_printf(v->c, "\n");
}

static void show_failure(const struct bounce_view *v, const struct findings *f, const struct failure *x)
{
	out_printf(v->c, "  Recipient  %s\n", x->address.n != 0 ? out_safe(x->address) : "(none is named)");
	if (x->other.n != 0)
		out_printf(v->c, "    also named %s\n", out_safe(x->other));
	show_place(v, "  named in", &x->who);
	if (x->diagnostic.n != 0)
		out_printf(v->c, "    said       %s\n", out_safe(x->diagnostic));
	if (x->host.n != 0)
		out_printf(v->c, "    by         %s\n", out_safe(x->host));
	if (x->command.n != 0)
		out_printf(v->c, "    answering  %s\n", out_safe(x->command));
	show_place(v, "  found in", &x->why);
	if (!judged(f, x))
		return;
	out_printf(v->c, "    read as    %s: %s, about the %s; %s, line %d\n",
		reply_class_names[x->verdict.class], out_safe(x->verdict.reason),
		reply_scope_names[x->verdict.scope], x->verdict.builtin ? "the shipped rules" : "your rules",
		x->verdict.rule_line);
}

int bounce_view_findings(const struct bounce_view *v, const struct findings *f, struct err *e)
{
	out_printf(v->c, "  Read as    %s%s%s\n", mail_kind_names[f->kind],
		f->broken ? ", its MIME is broken" : "", f->cut ? ", cut" : "");
	show_place(v, "because of", &f->because);
	if (f->from.n != 0)
		out_printf(v->c, "  From       %s\n", out_safe(f->from));
	if (f->subject.n != 0)
		out_printf(v->c, "  Subject    %s\n", out_safe(f->subject));
	if (f->feedback.type.n != 0)
		out_printf(v->c, "  Feedback   %s\n", out_safe(f->feedback.type));
	for (size_t i = 0; i < f->nfailures; i++)
		show_failure(v, f, &f->failures[i]);
	return out_printf(v->c, "%s", "") != 0 ? output_error(e) : 0;
}

static void show_who(const struct bounce_view *v, const struct intake_event *ev)
{
	const char *trust = trust_names[ev->who.trust];
	if (ev->who.trust == TRUST_NONE) {
		out_printf(v->c, "  Whose      nobody's: %s\n",
			ev->who.why_not != NULL ? ev->who.why_not : "there is no token of ours in it");
		return;
	}
	out_printf(v->c, "  Whose      %s",
		ev->address.n != 0 ? out_safe(ev->address) : "(forgotten, or not there)");
	if (ev->campaign.n != 0)
		out_printf(v->c, ", campaign %s", out_safe(ev->campaign));
	out_printf(v->c, "; by the %s\n", trust);
}

int bounce_view_result(
	const struct bounce_view *v, const char *file, const struct intake_result *r, struct err *e)
{
	int rc = 0;
	if (v->c->json)
		return show_json(file, r, e);
	for (size_t i = 0; i < r->nevents; i++)
		rc |= show_event(v, file, r, &r->events[i]);
	if (r->nevents == 0)
		rc = out_printf(v->c, "%s: %s\n", out_safe(str_from(file)),
			r->found.kind == MAIL_NONE ? "no returned mail, complaint or unsubscribing"
						   : mail_kind_names[r->found.kind]);
	if (v->explain) {
		rc |= bounce_view_findings(v, &r->found, e);
		for (size_t i = 0; i < r->nevents; i++)
			show_who(v, &r->events[i]);
	}
	return rc != 0 ? output_error(e) : 0;
}

/* ---- In the history of a person ---- */

int bounce_view_line(const struct cli *c, const struct zone *z, const struct returned_row *r)
{
	char when[TEXT_NUMBER];
	return out_printf(c, "    %s  came back: %s%s%s%s%s  (number %lld, by %s)\n",
		text_time(z, r->at, when), out_safe(r->kind), r->reason.n != 0 ? ", " : "",
		out_safe(r->reason), r->diagnostic.n != 0 ? ": " : "", out_safe(r->diagnostic),
		(long long)r->id, out_safe(r->source));
}

json_t *bounce_view_json(const struct returned_row *r)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)r->id, "at",
		json_time(r->at), "kind", json_str(r->kind), "class",
		r->class != CLASS_NONE ? json_string(reply_class_names[r->class]) : json_null(), "reason",
		view_str(r->reason), "diagnostic", view_str(r->diagnostic), "source", json_str(r->source),
		"names", view_str(r->address));
}
