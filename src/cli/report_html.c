/* The report as one HTML page: no script, no outside resource, readable in light and dark and on a phone.
 * Every text that comes from outside (names, subjects, replies) goes through html_text(). */
#include "src/cli/report_html.h"

#include "src/base/utf8.h"
#include "src/cli/campaign_view.h"
#include "src/cli/output.h"
#include "src/db/campaign.h"
#include "src/db/delivery.h"

#include <stdio.h>

static const char page_top[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
			       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
			       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
			       "style-src 'unsafe-inline'\">\n"
			       "<title>";
static const char page_style[] =
	"</title>\n<style>\n"
	":root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#22262b;--soft:#5d666f;--line:#e2e0da;"
	"--sent:#2f8f5b;--deferred:#d9a21b;--bounced:#c8503c;--blocked:#8c5aa8;--expired:#a8845a;--skipped:#"
	"9aa3ab;"
	"--doubt:#3d79b8;--cancelled:#6b7178;--queued:#c9ced3;--sending:#63b3d6}\n"
	"@media "
	"(prefers-color-scheme:dark){:root{--bg:#16191c;--card:#1f2327;--ink:#e6e8ea;--soft:#9da6ae;--line:#"
	"343a40;"
	"--queued:#4a5259}}\n"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",\"Hiragino Sans\",\"Noto Sans CJK "
	"JP\",sans-serif}\n"
	"main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.5rem;margin:.2rem "
	"0}h2{font-size:1.05rem;margin:0 0 .8rem}\n"
	"section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1.1rem "
	"1.2rem;margin:1rem 0;overflow-x:auto}\n"
	".sub{color:var(--soft);margin:0}.state{display:inline-block;padding:.05rem "
	".6rem;border-radius:1rem;border:1px solid var(--line);font-size:.9rem}\n"
	".big{display:grid;grid-template-columns:repeat(4,1fr);gap:1rem}.big "
	"b{display:block;font-size:1.6rem;line-height:1.2}\n"
	".big "
	"span{color:var(--soft);font-size:.85rem}table{border-collapse:collapse;width:100%;font-variant-"
	"numeric:tabular-nums}\n"
	"th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid "
	"var(--line);vertical-align:top}th{font-weight:600;color:var(--soft);font-size:.85rem}\n"
	"td.n,th.n{text-align:right}td.n{white-space:nowrap}.key{display:inline-block;width:.75rem;height:."
	"75rem;border-radius:."
	"15rem;margin-right:.4rem;vertical-align:-.05rem}\n"
	"svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:12px}td "
	"svg{margin-top:.4rem}.quote{color:var(--soft);font-size:.85rem;overflow-wrap:anywhere}.mean{color:"
	"var(--soft)}h1{overflow-wrap:anywhere}\n"
	"tr.with td,tr.with th{border-bottom:0}tr.with "
	"td{padding-bottom:0}.none{color:var(--soft);margin:0}\n"
	"@media(max-width:40rem){main{padding:1rem .6rem 3rem}section{padding:.9rem "
	".8rem}.wide{display:none}.plot{min-width:34rem}svg text{font-size:15px}"
	"th,td{padding-right:.4rem;font-size:.9rem}th{font-size:.75rem}.big{grid-template-columns:1fr 1fr}"
	/* Of an odd number of tiles the first stands alone: the others are parts of it. */
	".big div:first-child:nth-last-child(odd){grid-column:1/-1}}@media "
	"print{section{break-inside:avoid}}\n"
	".warn{border-left:.3rem solid var(--deferred)}footer{color:var(--soft);font-size:.85rem}\n"
	"</style>\n</head>\n<body>\n<main>\n";

void html_text(struct buf *out, struct str s)
{
	struct buf safe = BUF_INIT(64 << 10);
	utf8_safe(&safe, s);
	for (size_t i = 0; i < safe.len; i++) {
		char c = safe.p[i];
		if (c == '&')
			buf_puts(out, "&amp;");
		else if (c == '<')
			buf_puts(out, "&lt;");
		else if (c == '>')
			buf_puts(out, "&gt;");
		else if (c == '"')
			buf_puts(out, "&quot;");
		else if (c == '\'')
			buf_puts(out, "&#39;");
		else
			buf_putc(out, c);
	}
	buf_release(&safe);
}

void html_number(struct buf *out, int64_t v)
{
	char t[TEXT_NUMBER];
	buf_puts(out, text_count(v, t));
}

void html_share(struct buf *out, int64_t part, int64_t whole)
{
	char t[TEXT_NUMBER];
	if (whole > 0)
		html_text(out, str_from(text_percent(part, whole, t)));
}

static void fact(struct buf *out, const char *label, int64_t v, int64_t whole)
{
	buf_puts(out, "<div><b>");
	html_number(out, v);
	buf_printf(out, "</b><span>%s ", label);
	html_share(out, v, whole);
	buf_puts(out, "</span></div>\n");
}

/* Why it stands still, and what to do. */
static void stopped(struct buf *out, const struct report *r)
{
	const struct campaign_row *c = &r->campaign;
	struct buf remedy = BUF_INIT(1000);
	bool orphan = strcmp(r->state, campaign_state_names[CAMPAIGN_INTERRUPTED]) == 0;
	view_remedy(&remedy, c->why.n == 0 && orphan ? STR("interrupted") : c->why, c->name);
	if (c->why.n != 0 || remedy.len > 0) {
		buf_puts(out, "<section class=\"warn\"><b>");
		html_text(out, c->why.n != 0 ? c->why : str_from(r->state));
		buf_puts(out, "</b>");
		if (c->why_text.n != 0)
			buf_puts(out, ": ");
		html_text(out, c->why_text);
		if (remedy.len > 0)
			buf_puts(out, "<br>");
		html_text(out, buf_get(&remedy));
		buf_puts(out, "</section>\n");
	}
	buf_release(&remedy);
}

static void head(struct buf *out, const struct report *r, const struct zone *z, ms_t now)
{
	char when[TEXT_NUMBER], span[CLOCK_TEXT];
	const struct campaign_row *c = &r->campaign;
	buf_puts(out, "<h1>");
	html_text(out, c->name);
	buf_printf(out, " <span class=\"state\">%s</span></h1>\n<p class=\"sub\">", r->state);
	html_text(out, c->subject);
	buf_puts(out, "<br>From ");
	html_text(out, c->from);
	struct buf to = BUF_INIT(1 << 16);
	view_audience(&to, c->audience);
	buf_puts(out, "<br>To ");
	html_text(out, buf_get(&to));
	buf_release(&to);
	if (c->started == 0 && c->start_at != 0)
		buf_printf(out, "<br>Starts %s", text_time(z, c->start_at, when));
	if (c->started != 0)
		buf_printf(out, "<br>Started %s", text_time(z, c->started, when));
	if (c->finished != 0)
		buf_printf(out, ", ended %s", text_time(z, c->finished, when));
	if (c->started != 0)
		buf_printf(out, c->finished != 0 ? ", after %s" : ", %s ago",
			clock_span_text(report_duration(r, now), span));
	buf_puts(out, "</p>\n");
	stopped(out, r);
}

/* One bar of all states, in proportion. */
static void state_bar(
	struct buf *out, const int64_t state[DELIVERY_NSTATES], int64_t total, double width, double height)
{
	double x = 0;
	static const int order[] = {DELIVERY_SENT, DELIVERY_DEFERRED, DELIVERY_SENDING, DELIVERY_QUEUED,
		DELIVERY_DOUBT, DELIVERY_BOUNCED, DELIVERY_BLOCKED, DELIVERY_EXPIRED, DELIVERY_SKIPPED,
		DELIVERY_CANCELLED};
	for (size_t i = 0; total > 0 && i < sizeof order / sizeof order[0]; i++) {
		double w = width * (double)state[order[i]] / (double)total;
		if (state[order[i]] == 0)
			continue;
		buf_printf(out,
			"<rect x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"%.0f\" "
			"fill=\"var(--%s)\"><title>%s: %lld</title></rect>",
			x, w, height, delivery_state_names[order[i]], delivery_state_names[order[i]],
			(long long)state[order[i]]);
		x += w;
	}
}

static const char *const meanings[DELIVERY_NSTATES] = {
	[DELIVERY_QUEUED] = "not tried yet",
	[DELIVERY_SENDING] = "on the wire",
	[DELIVERY_DEFERRED] = "the server asked to come again",
	[DELIVERY_SENT] = "accepted by the recipient's server or the relay",
	[DELIVERY_BOUNCED] = "refused for good",
	[DELIVERY_BLOCKED] = "refused for what we are, not for who they are",
	[DELIVERY_EXPIRED] = "tried as long as the configuration says, in vain",
	[DELIVERY_SKIPPED] = "left out when their turn came",
	[DELIVERY_DOUBT] = "went out, and the answer never came",
	[DELIVERY_CANCELLED] = "the campaign was ended before",
};

static void states(struct buf *out, const struct report *r)
{
	const int64_t *s = r->counts.state, total = r->campaign.selection.audience;
	buf_puts(out, "<section><h2>Recipients</h2><div class=\"big\">\n");
	fact(out, "audience", total, 0);
	fact(out, "sent", s[DELIVERY_SENT], total);
	fact(out, "bounced", s[DELIVERY_BOUNCED], total);
	fact(out, "blocked", s[DELIVERY_BLOCKED], total);
	if (s[DELIVERY_QUEUED] + s[DELIVERY_SENDING] + s[DELIVERY_DEFERRED] > 0)
		fact(out, "still open", s[DELIVERY_QUEUED] + s[DELIVERY_SENDING] + s[DELIVERY_DEFERRED],
			total);
	fact(out, "complaints", r->campaign.complaints, total);
	fact(out, "unsubscribed", r->campaign.unsubscribed, total);
	buf_puts(out, "</div>\n<p><svg viewBox=\"0 0 800 22\" role=\"img\" aria-label=\"States\">");
	state_bar(out, s, total, 800, 22);
	buf_puts(out, "</svg></p>\n<table><tr><th>State</th><th class=\"n\">Recipients</th><th "
		      "class=\"n\">Share</th>"
		      "<th class=\"wide\"></th></tr>\n");
	for (int i = 0; i < DELIVERY_NSTATES; i++) {
		if (s[i] == 0)
			continue;
		buf_printf(out,
			"<tr><td><span class=\"key\" style=\"background:var(--%s)\"></span>%s</td><td "
			"class=\"n\">",
			delivery_state_names[i], i == DELIVERY_DOUBT ? "in doubt" : delivery_state_names[i]);
		html_number(out, s[i]);
		buf_puts(out, "</td><td class=\"n\">");
		html_share(out, s[i], total);
		buf_printf(out, "</td><td class=\"wide mean\">%s</td></tr>\n", meanings[i]);
	}
	buf_puts(out, "</table></section>\n");
}

static void selection(struct buf *out, const struct report *r)
{
	const struct selection *s = &r->campaign.selection;
	const struct {
		const char *label;
		int64_t n;
	} rows[] = {{"selected", s->selected}, {"left out: suppressed", s->suppressed},
		{"left out: unsubscribed", s->unsubscribed}, {"left out: excluded", s->excluded},
		{"on several lists, counted once", s->duplicate}, {"audience", s->audience}};
	double most = s->selected > 0 ? (double)s->selected : 1;
	buf_puts(out, "<section><h2>Who was selected and who was left out</h2>\n<table>");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		double w = 300.0 * (double)rows[i].n / most;
		buf_printf(out, "<tr><td>%s</td><td class=\"n\">", rows[i].label);
		html_number(out, rows[i].n);
		buf_printf(out,
			"</td><td style=\"width:45%%\"><svg viewBox=\"0 0 300 12\"><rect width=\"%.1f\" "
			"height=\"12\" fill=\"var(--%s)\"/></svg></td></tr>\n",
			w > 300 ? 300 : w, i == 0 || i == 5 ? "sent" : "skipped");
	}
	buf_puts(out, "</table></section>\n");
}

/* ---- Deliveries over time ---- */

enum { BARS = 96, PLOT_W = 800, PLOT_H = 220, LEFT = 56, BOTTOM = 26, TOP = 10 };

enum { LINES = 4 };

/* Of as many lines, each at a whole number that is easily read. */
static int64_t nice_top(int64_t v)
{
	static const int marks[] = {1, 2, 3, 5};
	for (int64_t step = 1;; step *= 10)
		for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
			if (step * marks[i] * LINES >= v)
				return step * marks[i] * LINES;
}

static size_t fill_bars(const struct report *r, struct report_point bars[BARS], ms_t *width)
{
	if (r->npoints == 0)
		return 0;
	ms_t first = r->points[0].minute, last = first;
	for (size_t i = 0; i < r->npoints; i++)
		last = r->points[i].minute > last ? r->points[i].minute : last;
	static const int spans[] = {1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440};
	ms_t w = MINUTE;
	for (size_t i = 0; i < sizeof spans / sizeof spans[0] && (last - first) / w + 1 > BARS; i++)
		w = spans[i] * MINUTE;
	while ((last - first) / w + 1 > BARS)
		w *= 2;
	memset(bars, 0, BARS * sizeof *bars);
	for (size_t i = 0; i < r->npoints; i++) {
		struct report_point *b = &bars[(r->points[i].minute - first) / w];
		b->sent += r->points[i].sent;
		b->deferred += r->points[i].deferred;
		b->failed += r->points[i].failed;
	}
	size_t n = (size_t)((last - first) / w) + 1;
	for (size_t i = 0; i < n; i++)
		bars[i].minute = first + (ms_t)i * w;
	*width = w;
	return n;
}

static void axis(struct buf *out, int64_t top)
{
	for (int i = 0; i <= LINES; i++) {
		double y = TOP + (PLOT_H - TOP - BOTTOM) * (1 - (double)i / LINES);
		buf_printf(out,
			"<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/><text "
			"x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
			LEFT, PLOT_W, y, y, LEFT - 8, y + 4);
		html_number(out, top / LINES * i);
		buf_puts(out, "</text>");
	}
}

static double bar_part(struct buf *out, double x, double w, double base, double h, const char *colour)
{
	if (h > 0)
		buf_printf(out,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--%s)\"/>", x,
			base - h, w, h, colour);
	return base - h;
}

/* "1 minute", "2 hours": bars are whole minutes, hours or days wide. */
static const char *bar_span(ms_t width, char out[CLOCK_TEXT])
{
	ms_t unit = width % DAY == 0 ? DAY : width % HOUR == 0 ? HOUR : MINUTE;
	snprintf(out, CLOCK_TEXT, "%lld %s%s", (long long)(width / unit),
		unit == DAY    ? "day"
		: unit == HOUR ? "hour"
			       : "minute",
		width == unit ? "" : "s");
	return out;
}

static void timeline(struct buf *out, const struct report *r, const struct zone *z)
{
	struct report_point bars[BARS];
	ms_t width = MINUTE;
	size_t n = fill_bars(r, bars, &width);
	char when[CLOCK_TEXT], span[CLOCK_TEXT];
	if (n == 0)
		return;
	int64_t most = 1;
	for (size_t i = 0; i < n; i++) {
		int64_t v = bars[i].sent + bars[i].deferred + bars[i].failed;
		most = v > most ? v : most;
	}
	int64_t top = nice_top(most);
	double high = (double)(PLOT_H - TOP - BOTTOM) / (double)top,
	       step = (double)(PLOT_W - LEFT) / (double)n, base = PLOT_H - BOTTOM;
	buf_printf(out,
		"<section><h2>Attempts over time <span class=\"sub\">(each bar %s)</span></h2>\n<svg "
		"class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Attempts over time\">",
		bar_span(width, span), PLOT_W, PLOT_H);
	axis(out, top);
	for (size_t i = 0; i < n; i++) {
		double x = LEFT + step * (double)i, w = step > 60 ? 48 : step * 0.8;
		buf_printf(out, "<g><title>%.16s: %lld sent, %lld deferred, %lld failed</title>",
			clock_iso(z, bars[i].minute, when), (long long)bars[i].sent,
			(long long)bars[i].deferred, (long long)bars[i].failed);
		double y = bar_part(out, x, w, base, high * (double)bars[i].sent, "sent");
		y = bar_part(out, x, w, y, high * (double)bars[i].deferred, "deferred");
		bar_part(out, x, w, y, high * (double)bars[i].failed, "bounced");
		buf_puts(out, "</g>");
		if (i % (n / 6 + 1) == 0) {
			clock_iso(z, bars[i].minute, when);
			buf_printf(out, "<text x=\"%.1f\" y=\"%d\">%.*s</text>", x, PLOT_H - 8,
				width >= 6 * HOUR ? 10 : 5, when + (width >= 6 * HOUR ? 0 : 11));
		}
	}
	buf_puts(out,
		"</svg>\n<p class=\"sub\"><span class=\"key\" style=\"background:var(--sent)\"></span>sent "
		"&nbsp; "
		"<span class=\"key\" style=\"background:var(--deferred)\"></span>deferred &nbsp; "
		"<span class=\"key\" style=\"background:var(--bounced)\"></span>failed</p></section>\n");
}

static void providers(struct buf *out, const struct report *r)
{
	if (r->nproviders == 0)
		return;
	buf_puts(out, "<section><h2>Providers</h2>\n<table><tr><th>Provider</th><th "
		      "class=\"n\">Recipients</th><th class=\"n\">Sent</th>"
		      "<th class=\"n\">Bounced</th><th class=\"n\">Blocked</th><th class=\"wide\" "
		      "style=\"width:35%\"></th></tr>\n");
	for (size_t i = 0; i < r->nproviders; i++) {
		const struct report_provider *p = &r->providers[i];
		const int64_t cells[] = {p->total, p->state[DELIVERY_SENT], p->state[DELIVERY_BOUNCED],
			p->state[DELIVERY_BLOCKED]};
		buf_puts(out, "<tr><td>");
		html_text(out, p->name.n != 0 ? p->name : STR("other domains"));
		buf_puts(out, "</td>");
		for (size_t k = 0; k < 4; k++) {
			buf_puts(out, "<td class=\"n\">");
			html_number(out, cells[k]);
			buf_puts(out, "</td>");
		}
		buf_puts(out, "<td class=\"wide\"><svg viewBox=\"0 0 300 14\">");
		state_bar(out, p->state, p->total, 300, 14);
		buf_puts(out, "</svg></td></tr>\n");
	}
	buf_puts(out, "</table></section>\n");
}

/* The example takes a line of its own: it is the server's text, and may be long. */
static void reason(struct buf *out, const struct report_reason *x, double most)
{
	const char *colour = x->class == CLASS_HARD    ? "bounced"
			     : x->class == CLASS_BLOCK ? "blocked"
			     : x->class == CLASS_SOFT  ? "deferred"
						       : "skipped";
	struct str example = utf8_cut(x->example, 300);
	buf_printf(out, "<tr%s><td>", example.n != 0 ? " class=\"with\"" : "");
	html_text(out, x->reason);
	buf_printf(out, "</td><td>%s</td><td class=\"n\">", reply_class_names[x->class]);
	html_number(out, x->deliveries);
	buf_printf(out,
		"</td><td class=\"wide\"><svg viewBox=\"0 0 300 12\"><rect width=\"%.1f\" height=\"12\" "
		"fill=\"var(--%s)\"/></svg></td></tr>\n",
		most > 0 ? 300.0 * (double)x->deliveries / most : 0, colour);
	if (example.n == 0)
		return;
	buf_puts(out, "<tr><td class=\"quote\" colspan=\"4\">");
	html_text(out, example);
	buf_puts(out, example.n < x->example.n ? "…</td></tr>\n" : "</td></tr>\n");
}

static void skips(struct buf *out, const struct report *r)
{
	if (r->nskips == 0)
		return;
	buf_puts(out, "<section><h2>Why people were skipped</h2>\n<table><tr><th>Reason</th><th "
		      "class=\"n\">Recipients</th><th></th></tr>\n");
	for (size_t i = 0; i < r->nskips; i++) {
		const struct report_reason *x = &r->skips[i];
		buf_puts(out, "<tr><td>");
		html_text(out, x->reason);
		buf_puts(out, "</td><td class=\"n\">");
		html_number(out, x->deliveries);
		buf_printf(out, "</td><td class=\"mean\">%s%s", skip_words(x->reason),
			x->example.n != 0 ? ": " : "");
		html_text(out, x->example);
		buf_puts(out, "</td></tr>\n");
	}
	buf_puts(out, "</table></section>\n");
}

static void reasons(struct buf *out, const struct report *r)
{
	enum { SHOWN = 100 };
	int64_t rest = 0;
	if (r->nreasons == 0)
		return;
	buf_puts(out, "<section><h2>Why mail was refused or put "
		      "off</h2>\n<table><tr><th>Reason</th><th>Class</th><th class=\"n\">Recipients</th>"
		      "<th class=\"wide\" style=\"width:45%\"></th></tr>\n");
	for (size_t i = 0; i < r->nreasons && i < SHOWN; i++)
		reason(out, &r->reasons[i], (double)r->reasons[0].deliveries);
	buf_puts(out, "</table>\n");
	for (size_t i = SHOWN; i < r->nreasons; i++)
		rest += r->reasons[i].deliveries;
	if (r->nreasons > SHOWN) {
		buf_puts(out, "<p class=\"none\">… and ");
		html_number(out, rest);
		buf_printf(out, " for %zu other reasons</p>", r->nreasons - SHOWN);
	}
	buf_puts(out, "</section>\n");
}

void report_html(struct buf *out, const struct report *r, size_t n, const struct zone *z, ms_t now)
{
	char when[TEXT_NUMBER];
	buf_puts(out, page_top);
	if (n == 1) {
		html_text(out, r->campaign.name);
		buf_puts(out, " – ");
	}
	buf_puts(out, "Postrider report");
	buf_puts(out, page_style);
	if (n == 0)
		buf_puts(out, "<p class=\"none\">No campaign was started in that time.</p>\n");
	for (size_t i = 0; i < n; i++) {
		head(out, &r[i], z, now);
		states(out, &r[i]);
		skips(out, &r[i]);
		timeline(out, &r[i], z);
		providers(out, &r[i]);
		html_refusals(out, &r[i]);
		html_brakes(out, &r[i]);
		reasons(out, &r[i]);
		selection(out, &r[i]);
	}
	buf_printf(out, "<footer>Made by Postrider %s at %s</footer>\n</main>\n</body>\n</html>\n",
		POSTRIDER_VERSION, text_time(z, now, when));
}
