/* The report's section on brakes: how near to its limits the campaign is, or what stopped it. */
#include "src/cli/report_html.h"

#include "src/cli/campaign_view.h"
#include "src/cli/output.h"

enum { SHOWN = 20, BAR_W = 200, BAR_H = 14 };

enum { SHARES = 3 };
static const char *const titles[SHARES] = {"Bounced", "Blocked", "Complaints"};
static const char *const colours[SHARES] = {"bounced", "blocked", "expired"};

struct share {
	int64_t bad, of;
	double limit;
};

static void shares_of(const struct brake_view *v, struct share out[SHARES])
{
	out[0] = (struct share){v->bounced, v->answered, v->limits.bounces};
	out[1] = (struct share){v->blocked, v->answered, v->limits.blocks};
	out[2] = (struct share){v->complaints, v->accepted, v->limits.complaints};
}

static struct str name_of(const struct report_brake *b)
{
	return b->provider.n != 0 ? b->provider : STR("all");
}

/* ---- HTML ---- */

/* The limit stands in the middle: what reaches behind it stopped the campaign, or will. */
static void bar(struct buf *out, const struct share *s, const char *colour)
{
	double share = s->of > 0 ? (double)s->bad / (double)s->of : 0;
	double w = s->limit > 0 ? BAR_W / 2.0 * share / s->limit : 0;
	buf_printf(out, "<td class=\"n\">%.*f&#8239;%%</td><td class=\"wide\"><svg viewBox=\"0 0 %d %d\">",
		s->limit < 0.01 ? 2 : 1, 100 * share, BAR_W, BAR_H);
	buf_printf(out, "<title>%lld of %lld; ", (long long)s->bad, (long long)s->of);
	if (s->limit > 0)
		buf_printf(out, "the limit is %g %%</title>", 100 * s->limit);
	else
		buf_puts(out, "the brake is off</title>");
	buf_printf(out, "<rect width=\"%.1f\" height=\"%d\" fill=\"var(--%s)\"/>", w < BAR_W ? w : BAR_W,
		BAR_H, colour);
	if (s->limit > 0)
		buf_printf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"%d\" stroke=\"currentColor\"/>",
			BAR_W / 2, BAR_W / 2, BAR_H);
	buf_puts(out, "</svg></td>");
}

static void pauses(struct buf *out, const struct report *r)
{
	for (size_t i = 0; i < r->npauses; i++) {
		buf_puts(out, "<p>Mail to ");
		html_text(out, r->pauses[i].provider);
		buf_puts(out, " waits (");
		html_text(out, r->pauses[i].why);
		buf_puts(out, "): ");
		html_text(out, r->pauses[i].why_text);
		buf_puts(out, "</p>\n");
	}
}

void html_brakes(struct buf *out, const struct report *r)
{
	if (r->nbrakes == 0 && r->npauses == 0)
		return;
	buf_puts(out, "<section><h2>Brakes <span class=\"sub\">(the last answers; the line is the "
		      "limit)</span></h2>\n");
	pauses(out, r);
	if (r->nbrakes > 0) {
		buf_puts(out, "<table><tr><th>Provider</th><th class=\"n\">Answers</th>");
		for (int k = 0; k < SHARES; k++)
			buf_printf(out, "<th class=\"n\">%s</th><th class=\"wide\"></th>", titles[k]);
		buf_puts(out, "</tr>\n");
		for (size_t i = 0; i < r->nbrakes && i < SHOWN; i++) {
			struct share s[SHARES];
			buf_puts(out, "<tr><td style=\"white-space:nowrap\">");
			html_text(out, name_of(&r->brakes[i]));
			buf_puts(out, "</td><td class=\"n\">");
			html_number(out, r->brakes[i].view.answered);
			buf_puts(out, "</td>");
			shares_of(&r->brakes[i].view, s);
			for (int k = 0; k < SHARES; k++)
				bar(out, &s[k], colours[k]);
			buf_puts(out, "</tr>\n");
		}
		buf_puts(out, "</table>\n");
	}
	buf_puts(out, "</section>\n");
}

/* ---- Text, JSON ---- */

static void limits_text(struct buf *out, const struct brake_limits *l)
{
	const double limits[SHARES] = {l->bounces, l->blocks, l->complaints};
	char from[32];
	snprintf(from, sizeof from, "from %lld", (long long)l->after);
	buf_printf(out, "  %-16s %12s", "limit", from);
	for (int k = 0; k < SHARES; k++)
		if (limits[k] > 0)
			buf_printf(out, " %10g %%", 100 * limits[k]);
		else
			buf_printf(out, " %12s", "off");
	buf_putc(out, '\n');
}

void brakes_text(struct buf *out, const struct report *r)
{
	char n[TEXT_NUMBER];
	if (r->nbrakes == 0)
		return;
	buf_printf(out, "\n  %-16s %12s %12s %12s %12s\n", "brake", "last answers", "bounced", "blocked",
		"complaints");
	for (size_t i = 0; i < r->nbrakes && i < SHOWN; i++) {
		struct share s[SHARES];
		shares_of(&r->brakes[i].view, s);
		buf_puts(out, "  ");
		view_padded(out, name_of(&r->brakes[i]), 16);
		buf_printf(out, " %12s", text_count(r->brakes[i].view.answered, n));
		for (int k = 0; k < SHARES; k++)
			buf_printf(out, " %10.*f %%", k == 2 ? 2 : 1,
				s[k].of > 0 ? 100 * (double)s[k].bad / (double)s[k].of : 0.0);
		buf_putc(out, '\n');
	}
	limits_text(out, &r->brakes[0].view.limits);
}

json_t *brakes_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nbrakes; i++) {
		const struct brake_view *v = &r->brakes[i].view;
		json_array_append_new(
			all, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "provider",
				     view_str(r->brakes[i].provider), "answered", (json_int_t)v->answered,
				     "bounced", (json_int_t)v->bounced, "blocked", (json_int_t)v->blocked,
				     "accepted", (json_int_t)v->accepted, "complaints",
				     (json_int_t)v->complaints));
	}
	return all;
}
