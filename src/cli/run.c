#include "src/cli/run.h"

#include "src/base/log.h"
#include "src/cli/campaign_view.h"
#include "src/cli/live_view.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "src/db/campaign.h"
#include "src/db/lease.h"
#include "src/db/live.h"
#include "src/db/report.h"

#include <sys/stat.h>

struct watching {
	struct progress *line;
	const struct zone *zone;
};

static void on_progress(void *ctx, const struct campaign_row *c, const struct campaign_counts *n,
	const struct live *live, const struct holder *holder)
{
	const struct watching *r = ctx;
	struct buf text = BUF_INIT(4096);
	(void)holder;
	if (!progress_due(r->line))
		return;
	view_progress(&text, c, n, live, r->zone, clock_now());
	progress_set(r->line, "%s", buf_cstr(&text));
	buf_release(&text);
}

int run_patience(struct cli *c, ms_t *out, struct err *e)
{
	const char *text = cli_value(c, "patience");
	*out = 30 * MINUTE;
	if (text != NULL && strcmp(text, "forever") == 0) {
		*out = -1;
		return 0;
	}
	return cli_value_span(c, "patience", out, e);
}

static int status_of(const struct report *r)
{
	switch (r->campaign.state) {
	case CAMPAIGN_FINISHED:
		return 0;
	case CAMPAIGN_PAUSED:
		return str_is(r->campaign.why, "login") || str_is(r->campaign.why, "sender-refused")
			       ? ERR_LOGIN
			       : ERR_PAUSED;
	case CAMPAIGN_CANCELLED:
		return ERR_PAUSED;
	default:
		return ERR_AGAIN;
	}
}

int run_print(struct cli *c, const struct report *r, struct err *e)
{
	if (c->json) {
		json_t *doc = view_json(r, false, clock_now());
		if (doc != NULL)
			live_json(doc, r);
		return json_document(doc) != 0 ? output_error(e) : 0;
	}
	struct buf text = BUF_INIT(1 << 20);
	const struct zone *z = cli_zone(c, e);
	view_text(&text, r, z, clock_now(), screen_columns(c));
	int rc = fwrite(buf_cstr(&text), 1, text.len, stdout) == text.len ? 0 : output_error(e);
	buf_release(&text);
	return rc;
}

static void hint(const struct cli *c, const struct report *r, const char *why)
{
	if (!c->quiet)
		fprintf(stderr, "postrider: %s: `postrider resume %s` goes on\n", why,
			out_safe(r->campaign.name));
}

int run_show(struct cli *c, int64_t campaign, struct err *e)
{
	struct report r;
	struct store *s = cli_store(c, STORE_READ, e);
	if (s == NULL || report_gather(&r, s, campaign, true, clock_now(), e) != 0)
		return -1;
	int rc = run_print(c, &r, e) != 0 ? -1 : status_of(&r);
	report_release(&r);
	return rc;
}

/* No server answered: say what the route's trouble was. */
static int unreachable(struct report *r, struct err *e)
{
	err_set(e, ERR_UNREACH, "send", "no server could be reached: %s",
		r->live.limit[0] != '\0' ? r->live.limit : "nothing answered");
	return err_remedy(e, "check host and port of the route; then `postrider resume %.*s` goes on",
		STR_ARG(r->campaign.name));
}

static int conclude(struct cli *c, int64_t campaign, enum deliver_end end, struct err *e)
{
	struct report r;
	struct store *s = cli_store(c, STORE_READ, e);
	if (s == NULL || report_gather(&r, s, campaign, true, clock_now(), e) != 0)
		return -1;
	int rc = end == DELIVER_UNREACHABLE ? unreachable(&r, e)
		 : run_print(c, &r, e) != 0 ? -1
					    : status_of(&r);
	if (rc == ERR_AGAIN && end == DELIVER_PATIENCE)
		hint(c, &r, "some wait for their next try or for room in a quota, and that is left to you");
	else if (rc == ERR_AGAIN && end == DELIVER_INTERRUPTED)
		hint(c, &r, "interrupted, and nothing recorded is lost");
	else if (rc == ERR_AGAIN && end == DELIVER_HELD && !c->quiet)
		fprintf(stderr,
			"postrider: no longer watching; the other process goes on. `postrider status %s` "
			"tells how far it is\n",
			out_safe(r.campaign.name));
	report_release(&r);
	return rc;
}

int run_deliver(struct cli *c, const struct config *cfg, const struct store_config *sc, int64_t campaign,
	const char *what, ms_t patience, enum deliver_end *end, struct err *e)
{
	const struct token_keys *keys = cli_keys(c, e);
	struct rules *rules = keys != NULL ? rules_load(cfg->rules_file, e) : NULL;
	if (rules == NULL)
		return -1;
	struct watching w = {progress_new(c), cfg->zone};
	struct deliver_options o = {
		.config = cfg,
		.store = sc,
		.keys = keys,
		.rules = rules,
		.what = what,
		.campaign = campaign,
		.patience = patience,
		.progress = on_progress,
		.ctx = &w,
	};
	int rc = deliver_run(&o, end, e);
	progress_end(&w.line);
	rules_free(&rules);
	return rc;
}

const char *run_changed_since(const struct config *cfg, ms_t since)
{
	struct stat st;
	for (size_t i = 0; i < cfg->nfiles; i++)
		if (stat(cfg->files[i], &st) == 0 &&
			(ms_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 > since)
			return cfg->files[i];
	return NULL;
}

void run_warn_changed(struct cli *c, struct store *s)
{
	struct holder h;
	const struct config *cfg = cli_config(c, NULL);
	const char *file = cfg != NULL && store_lease_get(s, clock_now(), &h, NULL) == 1
				   ? run_changed_since(cfg, h.since)
				   : NULL;
	if (file != NULL)
		log_warn("%s was changed since `%s` (process %lld) began, which delivers and goes by what it "
			 "read then: stop that process and start it again, nothing is lost",
			file, h.what, (long long)h.pid);
}

int run_campaign(struct cli *c, int64_t campaign, const char *what, ms_t patience, struct err *e)
{
	struct store_config sc;
	enum deliver_end end = DELIVER_FINISHED;
	const struct config *cfg = cli_config(c, e);
	struct store *s = cfg != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL)
		return -1;
	run_warn_changed(c, s);
	if (cli_store_config(c, &sc, e) != 0 ||
		run_deliver(c, cfg, &sc, campaign, what, patience, &end, e) != 0)
		return -1;
	return conclude(c, campaign, end, e);
}
