/* The report's section on refusals: which provider refused how many, for what reason, and how much of it came
 * back after it had been accepted. */
#include "src/cli/report_html.h"

#include "src/cli/output.h"
#include "src/db/delivery.h"

#include <stdlib.h>

enum { PROVIDERS = 20, REASONS = 5 };

struct line { /* one provider */
	struct str name;
	int64_t class[CLASS_NCLASSES], all, recipients;
	struct report_back back;
	struct {
		struct str name;
		int64_t n;
	} reason[REASONS]; /* the most frequent ones */
};

static struct line *line_of(struct line *v, size_t *n, struct str provider)
{
	for (size_t i = 0; i < *n; i++)
		if (str_eq(v[i].name, provider))
			return &v[i];
	v[*n] = (struct line){.name = provider};
	return &v[(*n)++];
}

/* The refusals come most first, so the first ones of a provider are its most frequent. */
static void add_reason(struct line *l, const struct report_refusal *x)
{
	for (size_t i = 0; i < REASONS; i++) {
		if (l->reason[i].n != 0 && !str_eq(l->reason[i].name, x->reason))
			continue;
		l->reason[i].name = x->reason;
		l->reason[i].n += x->deliveries;
		return;
	}
}

static int by_count(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	return (x->all < y->all) - (x->all > y->all);
}

static size_t gather(const struct report *r, struct line *v)
{
	size_t n = 0;
	for (size_t i = 0; i < r->nrefusals; i++) {
		const struct report_refusal *x = &r->refusals[i];
		struct line *l = line_of(v, &n, x->provider);
		l->class[x->class] += x->deliveries;
		l->all += x->deliveries;
		add_reason(l, x);
	}
	for (size_t i = 0; i < r->nbacks; i++)
		line_of(v, &n, r->backs[i].provider)->back = r->backs[i];
	for (size_t i = 0; i < r->nproviders; i++)
		for (size_t k = 0; k < n; k++)
			if (str_eq(v[k].name, r->providers[i].name))
				v[k].recipients = r->providers[i].total;
	qsort(v, n, sizeof *v, by_count);
	return n;
}

static const char *const colours[CLASS_NCLASSES] = {
	[CLASS_HARD] = "bounced",
	[CLASS_SOFT] = "deferred",
	[CLASS_BLOCK] = "blocked",
	[CLASS_MESSAGE] = "expired",
	[CLASS_CONFIG] = "skipped",
};

static void class_bar(struct buf *out, const struct line *l, int64_t most)
{
	double x = 0;
	buf_puts(out, "<td class=\"wide\" style=\"width:30%\"><svg viewBox=\"0 0 300 14\">");
	for (int c = 1; c < CLASS_NCLASSES; c++) {
		double w = most > 0 ? 300.0 * (double)l->class[c] / (double)most : 0;
		if (l->class[c] == 0)
			continue;
		buf_printf(out,
			"<rect x=\"%.2f\" width=\"%.2f\" height=\"14\" fill=\"var(--%s)\"><title>%s: "
			"%lld</title></rect>",
			x, w, colours[c], reply_class_names[c], (long long)l->class[c]);
		x += w;
	}
	buf_puts(out, "</svg></td>");
}

static void cell(struct buf *out, int64_t n)
{
	buf_puts(out, "<td class=\"n\">");
	if (n != 0)
		html_number(out, n);
	buf_puts(out, "</td>");
}

static void one_provider(struct buf *out, const struct line *l, int64_t most)
{
	buf_puts(out, "<tr class=\"with\"><td>");
	html_text(out, l->name.n != 0 ? l->name : STR("other domains"));
	buf_puts(out, "</td>");
	cell(out, l->all);
	buf_puts(out, "<td class=\"n\">");
	html_share(out, l->all, l->recipients);
	buf_puts(out, "</td>");
	cell(out, l->back.bounced + l->back.blocked);
	cell(out, l->back.complaints);
	class_bar(out, l, most);
	buf_puts(out, "</tr>\n<tr><td class=\"quote\" colspan=\"6\">");
	for (size_t i = 0; i < REASONS && l->reason[i].n > 0; i++) {
		buf_puts(out, i != 0 ? ", " : "");
		html_text(out, l->reason[i].name.n != 0 ? l->reason[i].name : STR("no reason"));
		buf_putc(out, ' ');
		html_number(out, l->reason[i].n);
	}
	buf_puts(out, "</td></tr>\n");
}

static void legend(struct buf *out)
{
	buf_puts(out, "<p class=\"sub\">");
	for (int c = 1; c < CLASS_NCLASSES; c++)
		buf_printf(out,
			"<span style=\"white-space:nowrap\"><span class=\"key\" "
			"style=\"background:var(--%s)\"></span>%s</span> &nbsp; ",
			colours[c], reply_class_names[c]);
	buf_puts(out, "</p>");
}

void html_refusals(struct buf *out, const struct report *r)
{
	struct line *v = calloc(r->nrefusals + r->nbacks + 1, sizeof *v);
	size_t n = v != NULL ? gather(r, v) : 0;
	if (n != 0) {
		buf_puts(out,
			"<section><h2>Refused or put off, by provider and "
			"reason</h2>\n<table><tr><th>Provider</th>"
			"<th class=\"n\">Recipients</th><th class=\"n\">Share</th><th class=\"n\">Came back "
			"later</th><th class=\"n\">Complaints</th><th class=\"wide\"></th></tr>\n");
		for (size_t i = 0; i < n && i < PROVIDERS; i++)
			one_provider(out, &v[i], v[0].all);
		buf_puts(out, "</table>\n");
		if (n > PROVIDERS)
			buf_printf(out, "<p class=\"none\">… and %zu other providers</p>", n - PROVIDERS);
		legend(out);
		buf_puts(out, "</section>\n");
	}
	free(v);
}
