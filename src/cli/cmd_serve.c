#include "engine/deliver.h"
#include "src/base/log.h"
#include "src/cli/cli.h"

static void reopen_log(void *ctx)
{
	(void)ctx;
	log_reopen();
	log_info("log reopened");
}

static int run(struct cli *c, struct err *e)
{
	struct store_config sc;
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	if (keys == NULL || cli_store_config(c, &sc, e) != 0)
		return -1;
	if (cfg->log.file != NULL && log_open(cfg->log.file, cfg->log.json, cfg->log.size, e) != 0)
		return -1;
	struct rules *rules = rules_load(cfg->rules_file, e);
	if (rules == NULL)
		return -1;
	struct deliver_options o = {
		.config = cfg,
		.store = &sc,
		.keys = keys,
		.rules = rules,
		.what = "serve",
		.patience = -1,
		.hangup = reopen_log,
	};
	enum deliver_end end = DELIVER_INTERRUPTED;
	log_set_level(c->verbose ? LOG_LEVEL_DEBUG : c->quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
	log_info("serve: delivering what is launched, scheduled or due");
	int rc = deliver_run(&o, &end, e);
	rules_free(&rules);
	if (rc == 0)
		log_info("serve: stopped; what is left goes on with the next start");
	return rc;
}

const struct command cmd_serve = {
	.name = "serve",
	.group = GROUP_SYSTEM,
	.summary = "the daemon: delivers what is scheduled or was left, and retries",
	.help = "Runs until SIGTERM or SIGINT; SIGHUP opens the log file anew. One process\n"
		"delivers for a database: while a `send` in the foreground does, serve waits, and\n"
		"takes over after it.\n",
	.run = run,
};
