#include "engine/personal.h"
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/db/campaign.h"
#include "src/db/lease.h"
#include "src/db/report.h"

#include <stdio.h>
#include <stdlib.h>

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMAT_HTML };

struct reporting {
	struct cli *c;
	struct store *s;
	const struct config *cfg;
	FILE *f;
	struct csv csv;
	bool first;
	struct personal *personal; /* of the campaign in hand, for its Message-IDs; NULL: it cannot be
				      compiled any more */
	struct token_signer *signer;
	struct arena arena;
	struct err *e;
	int64_t *ids;
	size_t n, cap;
	ms_t since, until;
};

/* ---- Which campaigns ---- */

static int add_id(struct reporting *r, int64_t id)
{
	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 16 : r->cap * 2;
		int64_t *v = realloc(r->ids, cap * sizeof *v);
		if (v == NULL)
			return err_set(r->e, ERR_INTERNAL, "report", "out of memory");
		r->ids = v;
		r->cap = cap;
	}
	r->ids[r->n++] = id;
	return 0;
}

static int in_span(void *ctx, const struct campaign_row *row)
{
	struct reporting *r = ctx;
	ms_t at = row->started != 0 ? row->started : row->created;
	if ((r->since != 0 && at < r->since) || (r->until != 0 && at >= r->until))
		return 0;
	return add_id(r, row->id);
}

static int choose(struct reporting *r)
{
	struct cli *c = r->c;
	for (size_t i = 0; i < c->nargs; i++) {
		struct campaign_row row;
		if (store_campaign_get(r->s, str_from(c->args[i]), &row, r->e) != 0) {
			if (r->e->code == ERR_NOINPUT)
				err_remedy(r->e, "`postrider campaigns` lists them");
			return -1;
		}
		if (add_id(r, row.id) != 0)
			return -1;
	}
	if (c->nargs == 0 && store_campaigns(r->s, false, in_span, r, r->e) < 0)
		return -1;
	/* Without a name and a time: the newest alone. */
	if (c->nargs == 0 && r->since == 0 && r->until == 0 && r->n > 1) {
		int64_t newest = r->ids[0];
		for (size_t i = 1; i < r->n; i++)
			newest = r->ids[i] > newest ? r->ids[i] : newest;
		r->ids[0] = newest;
		r->n = 1;
	}
	return r->n > 0 ? 0
			: err_set(r->e, ERR_NOINPUT, "report",
				  r->since == 0 && r->until == 0 ? "there is no campaign yet"
								 : "no campaign was launched in that time");
}

/* ---- Every recipient ---- */

static struct str message_id(struct reporting *r, int64_t delivery)
{
	arena_reset(&r->arena);
	return r->personal != NULL ? personal_message_id(r->personal, r->signer, delivery, &r->arena)
				   : str_n(NULL, 0);
}

static void csv_code(struct csv *w, int code)
{
	if (code != 0)
		csv_int(w, code);
	else
		csv_str(w, str_n(NULL, 0));
}

static int csv_delivery(void *ctx, const struct delivery_row *d)
{
	struct reporting *r = ctx;
	struct csv *w = &r->csv;
	csv_str(w, d->campaign);
	csv_str(w, d->address);
	csv_str(w, str_from(delivery_state_names[d->state]));
	csv_int(w, d->attempts);
	csv_code(w, d->code);
	csv_str(w, d->enhanced);
	csv_str(w, d->reply);
	csv_str(w, str_from(reply_class_names[d->class]));
	csv_str(w, d->reason);
	csv_str(w, d->provider);
	csv_str(w, d->site);
	csv_str(w, d->route);
	csv_time(w, d->first_attempt);
	csv_time(w, d->last_attempt);
	csv_str(w, message_id(r, d->id));
	csv_str(w, d->relay_id);
	csv_str(w, d->doubted ? STR("yes") : STR("no"));
	return csv_row(w) != 0 ? output_error(r->e) : 0;
}

static int json_delivery(void *ctx, const struct delivery_row *d)
{
	struct reporting *r = ctx;
	json_t *j = json_pack("{s:o, s:o, s:s, s:i, s:o, s:o, s:o, s:s, s:o, s:o}", "campaign",
		view_str(d->campaign), "address", view_str(d->address), "state",
		delivery_state_names[d->state], "attempts", d->attempts, "code",
		d->code != 0 ? json_integer(d->code) : json_null(), "enhanced", view_str(d->enhanced),
		"reply", view_str(d->reply), "class", reply_class_names[d->class], "reason",
		view_str(d->reason), "provider", view_str(d->provider));
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "site", view_str(d->site), "route",
		view_str(d->route), "first_attempt", json_time(d->first_attempt), "last_attempt",
		json_time(d->last_attempt), "message_id", view_str(message_id(r, d->id)), "relay_id",
		view_str(d->relay_id), "doubted", d->doubted);
	int rc = j == NULL || more == NULL ? -1 : json_object_update(j, more);
	if (rc == 0 && fputs(r->first ? "\n" : ",\n", r->f) < 0)
		rc = -1;
	r->first = false;
	if (rc == 0)
		rc = json_dumpf(j, r->f, JSON_COMPACT);
	json_decref(j);
	json_decref(more);
	return rc != 0 ? output_error(r->e) : 0;
}

static int each_recipient(
	struct reporting *r, int64_t id, int (*row)(void *ctx, const struct delivery_row *d))
{
	struct holder h;
	struct campaign_row c;
	int held = store_lease_get(r->s, clock_now(), &h, r->e);
	if (held < 0 || store_campaign_by_id(r->s, id, &c, r->e) != 0)
		return -1;
	/* A campaign whose frozen message no longer compiles still has its report. */
	struct err ignored;
	if (personal_load(&r->personal, &c, true, r->cfg, r->s, &ignored) != 0)
		r->personal = NULL;
	int rc = store_deliveries(r->s, id, 0, held == 1, row, r, r->e);
	personal_free(&r->personal);
	return rc;
}

static int report_csv(struct reporting *r)
{
	static const char *const names[] = {"campaign", "address", "state", "attempts", "code", "enhanced",
		"reply", "class", "reason", "provider", "site", "route", "first_attempt", "last_attempt",
		"message_id", "relay_id", "doubted"};
	csv_begin(&r->csv, r->f, cli_given(r->c, "excel"));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		csv_str(&r->csv, str_from(names[i]));
	if (csv_row(&r->csv) != 0)
		return output_error(r->e);
	for (size_t i = 0; i < r->n; i++)
		if (each_recipient(r, r->ids[i], csv_delivery) != 0)
			return -1;
	return 0;
}

/* One document for each campaign; the recipients are written as they are read, whatever their number. */
static int report_json(struct reporting *r, bool recipients)
{
	for (size_t i = 0; i < r->n; i++) {
		struct report one;
		if (report_gather(&one, r->s, r->ids[i], true, clock_now(), r->e) != 0)
			return -1;
		char *text = NULL;
		json_t *doc = view_json(&one, true, clock_now());
		if (doc != NULL)
			text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(12));
		json_decref(doc);
		report_release(&one);
		if (text == NULL)
			return err_set(r->e, ERR_INTERNAL, "report", "out of memory");
		size_t n = strlen(text);
		bool ok = fwrite(text, 1, recipients ? n - 1 : n, r->f) > 0;
		free(text);
		if (recipients) {
			ok = ok && fputs(",\"deliveries\":[", r->f) >= 0;
			r->first = true;
			if (ok && each_recipient(r, r->ids[i], json_delivery) != 0)
				return -1;
			ok = ok && fputs("\n]}", r->f) >= 0;
		}
		if (!ok || fputc('\n', r->f) == EOF)
			return output_error(r->e);
	}
	return 0;
}

static int report_pages(struct reporting *r, enum format format)
{
	struct buf out = BUF_INIT((size_t)256 << 20);
	struct report *all = calloc(r->n, sizeof *all);
	size_t got = 0;
	int rc = all == NULL ? err_set(r->e, ERR_INTERNAL, "report", "out of memory") : 0;
	for (; rc == 0 && got < r->n; got++) {
		rc = report_gather(&all[got], r->s, r->ids[got], true, clock_now(), r->e);
		if (rc == 0 && format == FORMAT_TEXT) {
			if (got > 0)
				buf_putc(&out, '\n');
			view_text(&out, &all[got], r->cfg->zone, clock_now(),
				r->f == stdout ? screen_columns(r->c) : 120);
		}
	}
	if (rc == 0 && format == FORMAT_HTML)
		report_html(&out, all, r->n, r->cfg->zone, clock_now());
	if (rc == 0 && out.failed)
		rc = err_set(r->e, ERR_INTERNAL, "report", "out of memory");
	if (rc == 0 && fwrite(buf_cstr(&out), 1, out.len, r->f) != out.len)
		rc = output_error(r->e);
	for (size_t i = 0; i < got; i++)
		report_release(&all[i]);
	free(all);
	buf_release(&out);
	return rc;
}

static int write_report(struct reporting *r, enum format format)
{
	switch (format) {
	case FORMAT_CSV:
		return report_csv(r);
	case FORMAT_JSON:
		return report_json(r, true);
	default:
		return r->c->json ? report_json(r, false) : report_pages(r, format);
	}
}

static int run(struct cli *c, struct err *e)
{
	static const char *const words[] = {"text", "json", "csv", "html", NULL};
	struct reporting r = {.c = c, .e = e};
	struct output out = {0};
	int rc = -1, format = cli_value_word(c, "format", words, FORMAT_TEXT, e);
	arena_init(&r.arena, 1024, 1 << 20);
	if (format < 0 || cli_value_since(c, "since", clock_now(), &r.since, e) != 0 ||
		cli_value_since(c, "until", clock_now(), &r.until, e) != 0)
		goto done;
	if (c->json && format == FORMAT_HTML)
		c->json = false;
	const struct token_keys *keys = (r.cfg = cli_config(c, e)) != NULL ? cli_keys(c, e) : NULL;
	if (keys == NULL || (r.s = cli_store(c, STORE_READ, e)) == NULL || choose(&r) != 0)
		goto done;
	if ((r.signer = token_signer_new(keys)) == NULL) {
		err_set(e, ERR_INTERNAL, "report", "out of memory");
		goto done;
	}
	if (output_open(&out, cli_value(c, "output"), e) != 0)
		goto done;
	r.f = out.f;
	rc = write_report(&r, (enum format)format);
	if (rc == 0)
		rc = output_commit(&out, e);
done:
	output_abandon(&out);
	token_signer_free(&r.signer);
	arena_release(&r.arena);
	free(r.ids);
	return rc;
}

static const struct option options[] = {
	{.name = "since", .value = "TIME", .help = "campaigns started since then"},
	{.name = "until", .value = "TIME", .help = "and before then"},
	{.name = "format",
		.value = "text|json|csv|html",
		.help = "json and csv name every recipient; html has plots"},
	{.name = "excel", .help = "CSV that a spreadsheet opens as it is meant"},
	{.name = "output", .letter = 'o', .value = "FILE", .help = "write it there"},
	{0},
};

const struct command cmd_report = {
	.name = "report",
	.args = "[NAME…]",
	.max_args = -1,
	.group = GROUP_RESULT,
	.summary = "what became of a campaign: who got it, who did not, and why",
	.help = "Without a name or a time: the newest campaign.\n",
	.options = options,
	.run = run,
};
