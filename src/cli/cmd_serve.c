#include "engine/deliver.h"
#include "src/base/log.h"
#include "src/cli/cli.h"
#include "src/serve/become.h"
#include "src/serve/fetch.h"
#include "src/serve/listener.h"

#include <unistd.h>

static void reopen_log(void *ctx)
{
	log_reopen();
	listener_reload(ctx);
	log_info("log reopened");
}

static const ms_t LEAVING = 15 * SECOND; /* who ends while we start may need its ports as long */

static int bind_ports(const struct config *cfg, struct listener **l, struct err *e)
{
	ms_t until = clock_mono() + LEAVING;
	for (bool told = false; listener_bind(cfg, l, e) != 0; told = true) {
		if (e->code != ERR_AGAIN || clock_mono() >= until)
			return -1;
		if (!told)
			log_info("serve: %s: waits for who has that port to end", e->why);
		usleep(200000);
		*e = (struct err){0};
	}
	return 0;
}

/* Ports are bound while we may; from then on we are who [daemon] says. Sending does not wait for a port. */
static int open_ports(const struct config *cfg, struct listener **l, struct err *e)
{
	struct err busy = {0};
	if (bind_ports(cfg, l, &busy) != 0) {
		log_err(LOG_LEVEL_ERROR, &busy);
		if (busy.remedy[0] != '\0')
			log_error("%s", busy.remedy);
		if (busy.code == ERR_AGAIN)
			listener_advice(cfg);
		log_error("serve: goes on without taking returned mail");
	}
	if (geteuid() == 0 && cfg->daemon.user == NULL)
		log_warn("serve: runs as root: set [daemon] user");
	return become(cfg->daemon.user, cfg->daemon.group, e);
}

static int serve(struct deliver_options *o, struct listener *l, struct err *e)
{
	const struct listener_options lo = {
		.config = o->config, .store = o->store, .keys = o->keys, .rules = o->rules};
	enum deliver_end end = DELIVER_INTERRUPTED;
	const struct poller_options fo = {
		.config = o->config, .store = o->store, .keys = o->keys, .rules = o->rules};
	struct poller *f = NULL;
	if ((l != NULL && listener_start(l, &lo, e) != 0) || poller_start(&f, &fo, e) != 0)
		return -1;
	log_info("serve: ready for what is launched, scheduled or due");
	int rc = deliver_run(o, &end, e);
	poller_stop(&f);
	return rc;
}

static int run(struct cli *c, struct err *e)
{
	struct store_config sc;
	struct listener *l = NULL;
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	log_set_level(c->verbose ? LOG_LEVEL_DEBUG : c->quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
	if (keys == NULL || open_ports(cfg, &l, e) != 0 || cli_store_config(c, &sc, e) != 0) {
		listener_stop(&l);
		return -1;
	}
	struct rules *rules = NULL;
	int rc = 0;
	if (cfg->log.file != NULL)
		rc = log_open(cfg->log.file, cfg->log.json, cfg->log.size, e);
	if (rc == 0 && (rules = rules_load(cfg->rules_file, e)) == NULL)
		rc = -1;
	struct deliver_options o = {
		.config = cfg,
		.store = &sc,
		.keys = keys,
		.rules = rules,
		.what = "serve",
		.patience = -1,
		.hangup = reopen_log,
		.ctx = l,
	};
	if (rc == 0)
		rc = serve(&o, l, e);
	listener_stop(&l);
	rules_free(&rules);
	if (rc == 0)
		log_info("serve: stopped; what is left goes on with the next start");
	return rc;
}

const struct command cmd_serve = {
	.name = "serve",
	.group = GROUP_SYSTEM,
	.summary = "the daemon: delivers what is scheduled or was left, and retries",
	.help = "Runs until SIGTERM or SIGINT; SIGHUP opens the log file anew. The configuration\n"
		"is read at the start: restart it after a change.\n"
		"One process delivers for a database: while a `send` in the foreground does,\n"
		"serve waits, and takes over after it.\n",
	.run = run,
};
