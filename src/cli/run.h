/* Delivering a campaign in the foreground, as `send` and `resume` do: progress, result, exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "engine/deliver.h"
#include "src/cli/cli.h"
#include "src/cli/report_data.h"

/* -1, or the exit status (0 included). Everything is said: the result on stdout, how to go on to stderr. */
int run_campaign(struct cli *c, int64_t campaign, const char *what, ms_t patience, struct err *e);
/* Prints a campaign as it stands, without delivering, and gives the exit status that its state means. */
int run_show(struct cli *c, int64_t campaign, struct err *e);
/* The same with another configuration and database: delivers only. */
int run_deliver(struct cli *c, const struct config *cfg, const struct store_config *sc, int64_t campaign,
	const char *what, ms_t patience, enum deliver_end *end, struct err *e);
/* The result on stdout: report, or JSON document. */
int run_print(struct cli *c, const struct report *r, struct err *e);
/* --patience: "30m", "0", "forever"; *out < 0: for ever. */
int run_patience(struct cli *c, ms_t *out, struct err *e);
#define RUN_OPTIONS                                                                                          \
	{.name = "patience",                                                                                 \
		.value = "TIME",                                                                             \
		.help = "how long to wait here for retries (30m, 0, forever)"},                              \
	{                                                                                                    \
		.name = "detach", .help = "leave it to the running `postrider serve`"                        \
	}

/* A file of the configuration that was changed since then; NULL: none was. */
const char *run_changed_since(const struct config *cfg, ms_t since);
/* Says so where it was since who delivers began: a daemon reads it once. */
void run_warn_changed(struct cli *c, struct store *s);

#endif
