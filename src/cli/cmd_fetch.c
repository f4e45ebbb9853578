/* fetch: returned messages from the configured mailboxes. */
#include "src/base/log.h"
#include "src/cli/bounce_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/serve/fetch.h"

struct fetching {
	struct cli *c;
	struct bounce_view view;
	struct intake *intake;
	struct store *store;
};

static int row(void *ctx, const char *label, const struct intake_result *r, struct err *e)
{
	struct fetching *f = ctx;
	return bounce_view_result(&f->view, label, r, e);
}

static int one(struct fetching *f, const struct config_mailbox *m, struct err *e)
{
	struct fetch_count n;
	const struct fetch_options o = {.mailbox = m,
		.intake = f->intake,
		.store = f->store,
		.dry_run = f->view.dry_run,
		.row = row,
		.ctx = f};
	int rc = fetch_mailbox(&o, &n, e);
	if (!f->c->json && (rc == 0 || n.read > 0))
		out_printf(f->c, "mailbox %s: %ld messages read, %ld of ours\n", m->name, n.read, n.matched);
	return rc;
}

static int fetch_all(struct fetching *f, const struct config *cfg, struct err *e)
{
	const char *only = f->c->nargs > 0 ? f->c->args[0] : NULL;
	bool found = false;
	int rc = 0;
	for (size_t i = 0; i < cfg->nmailboxes; i++) {
		struct err why = {0};
		if (only != NULL && strcmp(only, cfg->mailboxes[i].name) != 0)
			continue;
		found = true;
		/* One that fails does not keep the others waiting; the first failure is told at the end. */
		if (one(f, &cfg->mailboxes[i], &why) == 0)
			continue;
		if (rc != 0)
			log_err(LOG_LEVEL_ERROR, &why);
		else
			*e = why;
		rc = -1;
	}
	if (found)
		return rc;
	if (only != NULL)
		return err_set(e, ERR_NOINPUT, "fetch", "the configuration has no [mailbox %s]", only);
	err_set(e, ERR_CONFIG, "fetch", "the configuration names no mailbox");
	return err_remedy(
		e, "Write a section [mailbox NAME] with url, user and password-file: postrider.conf(5).");
}

static int run(struct cli *c, struct err *e)
{
	bool dry = cli_given(c, "dry-run");
	struct rules *rules = NULL;
	struct fetching f = {.c = c};
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	f.store = keys != NULL ? cli_store(c, dry ? STORE_READ : STORE_WRITE, e) : NULL;
	if (f.store == NULL || (rules = rules_load(cfg->rules_file, e)) == NULL)
		return -1;
	const struct intake_options o = {
		.config = cfg, .keys = keys, .rules = rules, .store = f.store, .dry_run = dry};
	f.view = (struct bounce_view){.c = c,
		.store = f.store,
		.zone = cfg->zone,
		.explain = cli_given(c, "explain"),
		.dry_run = dry};
	int rc = intake_new(&f.intake, &o, e);
	if (rc == 0)
		rc = fetch_all(&f, cfg, e);
	intake_free(&f.intake);
	rules_free(&rules);
	return rc;
}

static const struct option options[] = {
	{.name = "dry-run", .help = "say what is read in them, and change nothing, here or in the mailbox"},
	{.name = "explain", .help = "show what was found where, and which rule decided"},
	{0},
};

const struct command cmd_fetch = {
	.name = "fetch",
	.args = "[MAILBOX]",
	.max_args = 1,
	.group = GROUP_RESULT,
	.summary = "take returned messages from IMAP and POP3 mailboxes",
	.help = "Looks once into every [mailbox] of the configuration, or into the one that is\n"
		"named; `serve` does it again and again. Each message is read once. Only mail\n"
		"about our own deliveries is moved or deleted, after what follows from it was\n"
		"recorded.\n",
	.options = options,
	.run = run,
};
