/* campaigns, status, pause, resume, cancel. */
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/copies.h"
#include "src/cli/output.h"
#include "src/cli/people.h"
#include "src/cli/run.h"

#include "engine/deliver.h"
#include "src/base/log.h"
#include "src/db/campaign.h"
#include "src/db/delivery.h"
#include "src/db/lease.h"

#include <stdio.h>
#include <time.h>

/* ---- Finding one by its name ---- */

static int find(struct cli *c, struct store *s, const char *name, struct campaign_row *row, struct err *e)
{
	(void)c;
	if (store_campaign_get(s, str_from(name), row, e) == 0)
		return 0;
	if (e->code == ERR_NOINPUT)
		err_remedy(e, "`postrider campaigns` lists them");
	return -1;
}

/* ---- campaigns ---- */

struct listing {
	struct cli *c;
	struct store *s;
	struct table *table;
	const struct zone *zone;
	bool held;
	struct err *e;
};

static int list_one(void *ctx, const struct campaign_row *row)
{
	struct listing *l = ctx;
	struct report r;
	char when[TEXT_NUMBER];
	if (report_gather(&r, l->s, row->id, false, clock_now(), l->e) != 0)
		return -1;
	int rc;
	if (l->c->json) {
		rc = json_line(view_json(&r, false, clock_now()));
	} else {
		const int64_t *n = r.counts.state;
		ms_t at = r.campaign.started != 0    ? r.campaign.started
			  : r.campaign.start_at != 0 ? r.campaign.start_at
						     : r.campaign.created;
		table_str(l->table, r.campaign.name);
		table_printf(l->table, "%s%s%.*s%s", r.state, r.campaign.why.n != 0 ? " (" : "",
			STR_ARG(r.campaign.why), r.campaign.why.n != 0 ? ")" : "");
		table_str(l->table, str_from(text_time(l->zone, at, when)));
		table_count(l->table, r.campaign.selection.audience);
		table_count(l->table, n[DELIVERY_SENT]);
		table_count(l->table, n[DELIVERY_BOUNCED] + n[DELIVERY_BLOCKED] + n[DELIVERY_EXPIRED]);
		table_count(l->table, n[DELIVERY_QUEUED] + n[DELIVERY_SENDING] + n[DELIVERY_DEFERRED]);
		table_str(l->table, r.campaign.subject);
		rc = table_row(l->table);
	}
	report_release(&r);
	return rc != 0 ? output_error(l->e) : 0;
}

static int campaigns_run(struct cli *c, struct err *e)
{
	static const struct column columns[] = {{.title = "campaign"}, {.title = "state"},
		{.title = "started"}, {.title = "audience", .right = true}, {.title = "sent", .right = true},
		{.title = "failed", .right = true}, {.title = "open", .right = true},
		{.title = "subject", .max = 40}};
	struct listing l = {.c = c, .s = cli_store(c, STORE_READ, e), .zone = cli_zone(c, e), .e = e};
	if (l.s == NULL || l.zone == NULL)
		return -1;
	if (!c->json && (l.table = table_new(c, stdout, columns, sizeof columns / sizeof columns[0])) == NULL)
		return err_set(e, ERR_INTERNAL, "campaigns", "out of memory");
	int rc = store_campaigns(l.s, cli_given(c, "open"), list_one, &l, e);
	if (l.table != NULL && rc == 0)
		table_empty(l.table,
			cli_given(c, "open") ? "all campaigns are over" : "there is no campaign yet");
	if (l.table != NULL && table_end(&l.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

static const struct option campaigns_options[] = {
	{.name = "open", .help = "only those that are not over"},
	{0},
};

const struct command cmd_campaigns = {
	.name = "campaigns",
	.group = GROUP_RESULT,
	.summary = "list the campaigns and how far they are",
	.options = campaigns_options,
	.run = campaigns_run,
};

/* ---- status ---- */

static int remember(void *ctx, const struct campaign_row *row)
{
	int64_t *id = ctx;
	if (row->id > *id)
		*id = row->id;
	return 0;
}

static bool over(const struct report *r)
{
	return r->campaign.state == CAMPAIGN_FINISHED || r->campaign.state == CAMPAIGN_CANCELLED ||
	       r->campaign.state == CAMPAIGN_PAUSED;
}

static int status_run(struct cli *c, struct err *e)
{
	struct store *s = cli_store(c, STORE_READ, e);
	struct campaign_row row;
	struct report r;
	int64_t id = 0;
	if (s == NULL || cli_zone(c, e) == NULL)
		return -1;
	if (c->nargs == 1) {
		if (find(c, s, c->args[0], &row, e) != 0)
			return -1;
		id = row.id;
	} else if (store_campaigns(s, false, remember, &id, e) < 0) {
		return -1;
	}
	if (id == 0)
		return err_set(e, ERR_NOINPUT, "status", "there is no campaign yet");
	if (report_gather(&r, s, id, false, clock_now(), e) != 0)
		return -1;
	while (cli_given(c, "wait") && !over(&r)) {
		const struct timespec t = {0, 300 * 1000000};
		nanosleep(&t, NULL);
		report_release(&r);
		if (report_gather(&r, s, id, false, clock_now(), e) != 0)
			return -1;
	}
	int rc = run_print(c, &r, e);
	report_release(&r);
	return rc;
}

static const struct option status_options[] = {
	{.name = "wait", .help = "until it is over or paused"},
	{0},
};

const struct command cmd_status = {
	.name = "status",
	.args = "[NAME]",
	.max_args = 1,
	.group = GROUP_RESULT,
	.summary = "how far a campaign is, who delivers it, what limits it",
	.help = "Without a name: the newest campaign.\n",
	.options = status_options,
	.run = status_run,
};

/* ---- pause, cancel ---- */

static int said(struct cli *c, struct store *s, int64_t id, const char *text, struct err *e)
{
	struct report r;
	if (report_gather(&r, s, id, false, clock_now(), e) != 0)
		return -1;
	int rc = c->json    ? json_document(view_json(&r, false, clock_now()))
		 : c->quiet ? 0
			    : out_printf(c, "Campaign %s %s\n", out_safe(r.campaign.name), text);
	report_release(&r);
	return rc != 0 ? output_error(e) : 0;
}

struct pausing {
	struct cli *c;
	struct store *s;
	struct err *e;
	const char *provider; /* NULL: all mail */
	int64_t ids[1000];
	size_t n;
};

static int pause_one(struct pausing *p, int64_t id)
{
	char text[80];
	if (p->provider == NULL)
		return store_campaign_pause(
			       p->s, id, STR("user"), STR("paused by hand"), clock_now(), p->e) != 0
			       ? -1
			       : said(p->c, p->s, id, "is paused.", p->e);
	snprintf(text, sizeof text, "goes on without mail to %.40s.", p->provider);
	return store_provider_pause(p->s, id, str_from(p->provider), STR("user"), STR("paused by hand"),
		       clock_now(), p->e) != 0
		       ? -1
		       : said(p->c, p->s, id, text, p->e);
}

static int collect(void *ctx, const struct campaign_row *row)
{
	struct pausing *p = ctx;
	if (row->state != CAMPAIGN_PAUSED && p->n < sizeof p->ids / sizeof p->ids[0])
		p->ids[p->n++] = row->id;
	return 0;
}

static int pause_run(struct cli *c, struct err *e)
{
	struct pausing p = {
		.c = c, .s = cli_store(c, STORE_WRITE, e), .e = e, .provider = cli_value(c, "provider")};
	struct campaign_row row;
	if (p.s == NULL)
		return -1;
	if (cli_given(c, "all") == (c->nargs == 1))
		return cli_usage(c, e, "name one campaign, or say --all");
	if (p.provider != NULL && people_provider(p.provider, e) != 0)
		return -1;
	if (c->nargs == 1) {
		if (find(c, p.s, c->args[0], &row, e) != 0)
			return -1;
		if (row.state == CAMPAIGN_PAUSED && p.provider != NULL) {
			err_set(e, ERR_DATA, "pause", "campaign \"%s\" is paused as a whole",
				out_safe(str_from(c->args[0])));
			return err_remedy(
				e, "`postrider resume` lifts both: pause the provider when it goes on again");
		}
		if (row.state == CAMPAIGN_PAUSED)
			return said(c, p.s, row.id, "is paused already.", e);
		p.ids[p.n++] = row.id;
	} else if (store_campaigns(p.s, true, collect, &p, e) < 0) {
		return -1;
	}
	/* Of all, one that ended or stopped by itself in between keeps no other from being stopped. */
	for (size_t i = 0; i < p.n; i++)
		if (pause_one(&p, p.ids[i]) != 0 && (c->nargs == 1 || e->code != ERR_DATA))
			return -1;
	return 0;
}

static const struct option pause_options[] = {
	{.name = "all", .help = "every campaign that is not over"},
	{.name = "provider", .value = "P", .help = "only mail to that provider: google, docomo …"},
	{0},
};

const struct command cmd_pause = {
	.name = "pause",
	.args = "NAME|--all",
	.max_args = 1,
	.group = GROUP_CAMPAIGN,
	.summary = "stop a campaign for the time being",
	.help = "Takes effect within a second, also where another process delivers it.\n",
	.options = pause_options,
	.run = pause_run,
};

static int cancel_run(struct cli *c, struct err *e)
{
	struct store *s = cli_store(c, STORE_WRITE, e);
	struct campaign_row row;
	if (s == NULL || find(c, s, c->args[0], &row, e) != 0)
		return -1;
	int64_t id = row.id;
	/* Whom a message that fails has skipped did not have it either. */
	bool chosen = row.selection.audience > 0, failing = str_is(row.why, "template");
	if (store_campaign_cancel(s, id, clock_now(), e) != 0 || said(c, s, id, "is cancelled.", e) != 0)
		return -1;
	if (!c->quiet && !c->json && chosen &&
		out_printf(c, "The rest of them: --of %s:%s\n", out_safe(str_from(c->args[0])),
			failing ? "skipped,cancelled" : "cancelled") != 0)
		return output_error(e);
	return 0;
}

const struct command cmd_cancel = {
	.name = "cancel",
	CLI_ONE_ARG("NAME"),
	.group = GROUP_CAMPAIGN,
	.summary = "end a campaign: who has not had it gets nothing any more",
	.run = cancel_run,
};

/* ---- resume ---- */

static int resume_options_of(struct cli *c, struct resume_options *o, ms_t *patience, struct err *e)
{
	static const char *const words[] = {"skip", "resend", NULL};
	const char *rate = cli_value(c, "rate");
	struct rate_spec spec = {0};
	*o = (struct resume_options){.rate = -1,
		.now = cli_given(c, "now"),
		.past_brake = cli_given(c, "past-brake"),
		.at = clock_now()};
	o->doubt = cli_value_word(c, "doubt", words, -1, e);
	if (o->doubt < 0 && cli_given(c, "doubt"))
		return -1;
	if (rate != NULL && (rate_parse(rate, &spec, e) != 0 || spec.per_hour != 0 || spec.per_day != 0))
		return cli_usage(
			c, e, "--rate takes a number a second or a minute, such as 20/s, not \"%s\"", rate);
	if (rate != NULL)
		o->rate = spec.per_second;
	return run_patience(c, patience, e);
}

/* What stopped it to prevent harm is not passed by without looking. */
static int braked(const struct campaign_row *row, struct err *e)
{
	char name[200];
	snprintf(name, sizeof name, "%s", out_safe(row->name));
	err_set(e, ERR_PAUSED, "resume", "campaign \"%s\" was stopped by its brake: %.300s", name,
		out_safe(row->why_text));
	return err_remedy(e,
		"find the cause; then `postrider resume %s --past-brake` goes on, with the brake armed anew",
		name);
}

static bool before_its_time(const struct campaign_row *row)
{
	return row->state == CAMPAIGN_SCHEDULED && row->start_at > clock_now();
}

/* No terminal is held until then. */
static int left_to_its_time(struct cli *c, struct store *s, int64_t id, struct err *e)
{
	struct holder h;
	int alive = store_lease_get(s, clock_now(), &h, e);
	if (alive < 0)
		return -1;
	bool served = alive == 1 && strcmp(h.what, "serve") == 0;
	if (!c->quiet)
		fprintf(stderr, "postrider: campaign `%s` is scheduled: `postrider serve` starts it%s\n",
			out_safe(str_from(c->args[0])), served ? "" : ", and none is running");
	int rc = run_show(c, id, e);
	return served && rc == ERR_AGAIN ? 0 : rc;
}

static int resume_run(struct cli *c, struct err *e)
{
	struct store *s = cli_store(c, STORE_WRITE, e);
	struct campaign_row row;
	struct resume_options o;
	struct holder h;
	ms_t patience = 0;
	if (s == NULL || resume_options_of(c, &o, &patience, e) != 0 || find(c, s, c->args[0], &row, e) != 0)
		return -1;
	int64_t id = row.id;
	if (row.state == CAMPAIGN_FINISHED || row.state == CAMPAIGN_CANCELLED) {
		if (!c->quiet)
			fprintf(stderr, "postrider: campaign `%s` is %s\n", out_safe(row.name),
				campaign_state_names[row.state]);
		return run_show(c, id, e);
	}
	if (before_its_time(&row))
		return left_to_its_time(c, s, id, e);
	if (row.state == CAMPAIGN_PAUSED && str_starts(row.why, STR("brake-")) && !o.past_brake)
		return braked(&row, e);
	if (!cli_given(c, "past-restore") && copies_refuse(&row, e) != 0)
		return -1;
	const struct config *cfg = o.doubt >= 0 ? cli_config(c, e) : NULL;
	if (o.doubt >= 0 && (cfg == NULL || deliver_recover(s, cfg, "resume", e) != 0))
		return -1;
	if (store_campaign_resume(s, id, &o, e) != 0 || store_campaign_by_id(s, id, &row, e) != 0)
		return -1;
	if (before_its_time(&row))
		return left_to_its_time(c, s, id, e);
	if (!cli_given(c, "detach"))
		return run_campaign(c, id, "resume", patience, e);
	int alive = store_lease_get(s, clock_now(), &h, e);
	if (alive < 0 || said(c, s, id, "goes on.", e) != 0)
		return -1;
	run_warn_changed(c, s);
	if (alive == 1)
		return 0;
	log_warn("nothing delivers it: start `postrider serve`, or `postrider resume %s` delivers it here",
		c->args[0]);
	return ERR_AGAIN;
}

static const struct option resume_options[] = {
	{.name = "doubt",
		.value = "resend|skip",
		.help = "what becomes of those that may or may not have arrived"},
	{.name = "past-brake", .help = "go on although the brake stopped it; it counts anew from here"},
	{.name = "past-restore",
		.help = "go on although the database is a copy: nothing went out elsewhere since"},
	{.name = "now", .help = "do not wait for the retry times of deferred ones"},
	{.name = "rate", .value = "N/s", .help = "no faster than that from now on"},
	RUN_OPTIONS,
	{0},
};

const struct command cmd_resume = {
	.name = "resume",
	CLI_ONE_ARG("NAME"),
	.group = GROUP_CAMPAIGN,
	.summary = "go on with a paused, waiting or interrupted campaign",
	.help = "In the process that delivers, if there is one; else here, in the foreground.\n",
	.options = resume_options,
	.run = resume_run,
};
