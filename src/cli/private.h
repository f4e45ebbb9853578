/* What the frame knows and commands need not. */
#ifndef CLI_PRIVATE_H
#define CLI_PRIVATE_H

#include "src/base/machine.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/db/suppress.h"

struct given { /* an option on the command line */
	const struct option *option;
	const char *value;
};

struct cli_private {
	struct given *given;
	size_t ngiven;
	const char **values; /* scratch of cli_values() */
	size_t nvalues;
	bool help;
	enum color_when color;
	struct config *config;
	struct store *store;
	enum store_mode mode;
	struct suppress_rule suppress; /* as configured, for the store */
	struct token_keys *keys;
	char actor[300];
	char home[MACHINE_ID_MAX]; /* this machine, as the store compares it */
};

extern const struct command *const commands[]; /* ends with NULL */
extern const struct option global_options[];
extern const char *const group_titles[GROUP_NGROUPS];

const struct command *command_find(const struct command *const *table, const char *name);
int args_parse(struct cli *c, int argc, char **argv, struct err *e);
void cli_release(struct cli *c);
/* Neither database nor secret, nor a configuration that names them: likely the wrong folder. Sets `e`,
 * returns -1. */
int cli_no_config(struct err *e);

void help_overview(const struct cli *c, FILE *f);
void help_command(const struct cli *c, const struct command *parent, const struct command *cmd, FILE *f);
void usage_text(const struct cli *c, char *out, size_t size);
void error_print(const struct cli *c, const struct err *e);

#endif
