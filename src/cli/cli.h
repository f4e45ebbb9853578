/* The frame of the command line: what every command is given, and how it speaks.
 *
 * Adding a command:
 *   1. src/cli/cmd_NAME.c defines `const struct command cmd_NAME = { … };` (several related ones may share a
 *file).
 *   2. One line in src/cli/commands.h: X(cmd_NAME). Its order there is the order within its group of
 *`postrider help`.
 *   3. Its `options` table ends with {0}; start it with CLI_AUDIENCE where the command takes AUD.
 *
 *	static const struct option options[] = {
 *		CLI_AUDIENCE,
 *		{.name = "nth", .value = "N", .help = "show the message of the N-th person"},
 *		{.name = "yes", .help = "do not ask"},
 *		{0},
 *	};
 *	static int run(struct cli *c, struct err *e)
 *	{
 *		struct store *s = cli_store(c, STORE_READ, e);
 *		if (s == NULL)
 *			return -1;
 *		const char *nth = cli_value(c, "nth");          // NULL: not given
 *		…c->args[0], c->nargs…
 *	}
 *	const struct command cmd_preview = {
 *		.name = "preview", CLI_ONE_ARG("MESSAGE"), .group = GROUP_CAMPAIGN,
 *		.summary = "show the exact message that one person would get",
 *		.help = "Longer text, wrapped by hand at 78 columns.\n", .options = options, .run = run,
 *	};
 *
 * Before run() the frame has checked: unknown options (with the nearest name), single options given twice,
 *missing values, stray or missing arguments; -h, --help, --config, --json, -q, -v, --color work everywhere,
 *in any order. run() returns 0; -1 with `e` filled (printed by the frame, in text or JSON; the exit status is
 *e->code); or > 0, an exit status about which the command has said everything itself. Results go to stdout
 *with the calls of output.h and nothing else does; warnings by log_warn(). The frame flushes stdout and
 *reports what could not be written. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "lists/segment.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/config/config.h"
#include "src/db/store.h"

enum command_group { GROUP_START, GROUP_PEOPLE, GROUP_CAMPAIGN, GROUP_RESULT, GROUP_SYSTEM, GROUP_NGROUPS };

struct option {
	const char *name;    /* without -- */
	char letter;         /* 0: none */
	bool many;           /* may be given more than once */
	bool value_optional; /* --name or --name=VALUE; cli_value() is "" without */
	const char *value;   /* what the help calls it; NULL: takes none */
	const char *help;    /* one line */
};

struct cli;

struct command {
	const char *name;
	const char *args;    /* "LIST FILE|-"; NULL: none */
	const char *summary; /* one line, in lower case, for the list of commands */
	const char *help;    /* paragraphs; may be NULL */
	enum command_group group;
	const struct option *options; /* ends with {0}; NULL: none */
	int min_args, max_args;       /* max_args -1: any number */
	int (*run)(struct cli *c, struct err *e);
	const struct command *const
		*subs; /* `list rename`: ends with NULL; then run is only for the bare name, or NULL */
};

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct cli {
	const struct command *command, *parent; /* parent: of a sub-command, else NULL */
	const char **args;
	size_t nargs;
	bool json, quiet, verbose;
	bool color, color_err; /* for stdout, for stderr */
	bool in_terminal, out_terminal, err_terminal;
	const char *config_path; /* --config; NULL: not given */
	struct cli_private *own; /* of the frame */
};

/* ---- What was asked for. A name that is not in the command's table is an assertion. ---- */
bool cli_given(const struct cli *c, const char *name);
const char *cli_value(const struct cli *c, const char *name); /* the last; NULL: not given */
size_t cli_values(const struct cli *c, const char *name, const char ***values); /* all, lent */
/* Each leaves *out as it was if the option was not given. ERR_USAGE names the option. */
int cli_value_int(
	const struct cli *c, const char *name, long long min, long long max, long long *out, struct err *e);
int cli_value_time(struct cli *c, const char *name, ms_t now, ms_t *out,
	struct err *e); /* TIME, in the configured zone */
int cli_value_since(
	struct cli *c, const char *name, ms_t now, ms_t *out, struct err *e); /* TIME; a span looks back */
int cli_value_span(const struct cli *c, const char *name, ms_t *out, struct err *e);
/* -1 with ERR_USAGE, else the index in `words` (ends with NULL); `otherwise` if the option was not given. */
int cli_value_word(
	const struct cli *c, const char *name, const char *const *words, int otherwise, struct err *e);
/* ERR_USAGE with the command's usage as remedy; -1. */
int cli_usage(const struct cli *c, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define CLI_ONE_ARG(what) .args = (what), .min_args = 1, .max_args = 1

/* AUD of docs/INTERFACE.md. */
#define CLI_AUDIENCE                                                                                         \
	{.name = "list", .value = "LIST", .many = true, .help = "people on this list"},                      \
		{.name = "exclude", .value = "LIST", .many = true, .help = "but nobody on this list"},       \
		{.name = "where",                                                                            \
			.value = "EXPR",                                                                     \
			.help = "only those for whom it holds: 'city = \"Kyoto\"'"},                         \
		{.name = "of",                                                                               \
			.value = "NAME[:STATE,…]",                                                           \
			.many = true,                                                                        \
			.help = "those whom this campaign had (in these states)"},                           \
		{.name = "not-of",                                                                           \
			.value = "NAME[:STATE,…]",                                                           \
			.many = true,                                                                        \
			.help = "those whom it did not have"},                                               \
	{                                                                                                    \
		.name = "sample", .value = "N|N%", .help = "so many of them, chosen at random"               \
	}
/* The options as given; lent from `c`. */
void cli_audience(const struct cli *c, struct audience_spec *out);
bool cli_audience_given(const struct cli *c); /* any of them */

/* ---- What it works with: opened when first asked for, closed by the frame ---- */
const struct config *cli_config(struct cli *c, struct err *e);
const struct zone *cli_zone(struct cli *c, struct err *e);
/* Opens, or reopens when now more is asked for (STORE_READ, then STORE_WRITE). NULL: failed. */
struct store *cli_store(struct cli *c, enum store_mode mode, struct err *e);
/* For threads that need a connection of their own: what cli_store() opens with. Strings live as long as `c`.
 */
int cli_store_config(struct cli *c, struct store_config *out, struct err *e);
/* "user@host send": for the history. Without arguments, which may be somebody's address. */
const char *cli_actor(const struct cli *c);
struct token_keys;
const struct token_keys *cli_keys(struct cli *c, struct err *e); /* of the secret file (engine/token.h) */

/* ---- Asking. Only on a terminal: without one ERR_USAGE, whose remedy is `remedy` ("add --yes"). ---- */
/* Prints the question to stderr and reads a line. */
int cli_ask(struct cli *c, const char *question, const char *remedy, char *out, size_t size, struct err *e);

#endif
