#include "src/cli/private.h"

static int help_run(struct cli *c, struct err *e)
{
	if (c->nargs == 0) {
		help_overview(c, stdout);
		return 0;
	}
	const struct command *cmd = command_find(commands, c->args[0]), *parent = NULL;
	if (cmd != NULL && c->nargs > 1) {
		parent = cmd;
		cmd = command_find(parent->subs, c->args[1]);
	}
	if (cmd == NULL)
		return cli_usage(c, e, "there is no command \"%.60s%s%.60s\"", c->args[0],
			c->nargs > 1 ? " " : "", c->nargs > 1 ? c->args[1] : "");
	help_command(c, parent, cmd, stdout);
	return 0;
}

const struct command cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "explain a command, or list all",
	.group = GROUP_SYSTEM,
	.max_args = 2,
	.run = help_run,
};

static int version_run(struct cli *c, struct err *e)
{
	(void)e;
	if (!c->json)
		return out_printf(c, "postrider %s\n", POSTRIDER_VERSION);
	json_t *doc = json_object();
	json_put(doc, "version", json_string(POSTRIDER_VERSION));
	return json_document(doc) == 0 ? 0 : output_error(e);
}

const struct command cmd_version = {
	.name = "version",
	.summary = "say which version this is",
	.group = GROUP_SYSTEM,
	.run = version_run,
};
