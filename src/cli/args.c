#include "src/cli/private.h"

#include "src/base/nearest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option global_options[] = {
	{.name = "config", .value = "FILE", .help = "read this configuration"},
	{.name = "json", .help = "print JSON for programs instead of text"},
	{.name = "quiet", .letter = 'q', .help = "no progress and no warnings"},
	{.name = "verbose", .letter = 'v', .help = "say more about what happens"},
	{.name = "color", .value = "WHEN", .help = "auto, always or never"},
	{.name = "help", .letter = 'h', .help = "explain the command"},
	{0},
};

struct words { /* the command line, word by word */
	char **argv;
	int argc, at;
	bool literal; /* behind "--" */
};

const struct command *command_find(const struct command *const *table, const char *name)
{
	for (; table != NULL && *table != NULL; table++)
		if (strcmp((*table)->name, name) == 0)
			return *table;
	return NULL;
}

int cli_usage(const struct cli *c, struct err *e, const char *fmt, ...)
{
	char why[400], usage[300];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	char what[100] = "wrong command line";
	if (c->command != NULL)
		snprintf(what, sizeof what, "%s%s%s", c->parent != NULL ? c->parent->name : "",
			c->parent != NULL ? " " : "", c->command->name);
	err_set(e, ERR_USAGE, what, "%s", why);
	usage_text(c, usage, sizeof usage);
	return err_remedy(e, "%s", usage);
}

/* ---- Options ---- */

static const struct option *find_in(const struct option *table, struct str name, char letter)
{
	for (; table != NULL && table->name != NULL; table++)
		if (letter != 0 ? table->letter == letter : str_is(name, table->name))
			return table;
	return NULL;
}

static const struct option *find_option(const struct cli *c, struct str name, char letter)
{
	const struct option *o = find_in(global_options, name, letter);
	return o != NULL || c->command == NULL ? o : find_in(c->command->options, name, letter);
}

static int unknown_option(const struct cli *c, struct str name, struct err *e)
{
	struct nearest near;
	nearest_init(&near, name);
	for (const struct option *o = global_options; o->name != NULL; o++)
		nearest_offer(&near, str_from(o->name));
	for (const struct option *o = c->command != NULL ? c->command->options : NULL;
		o != NULL && o->name != NULL; o++)
		nearest_offer(&near, str_from(o->name));
	if (near.best[0] != '\0')
		return cli_usage(c, e, "unknown option --%.60s: did you mean --%s?", name.p, near.best);
	return cli_usage(c, e, "unknown option --%.60s", name.p);
}

static int record(struct cli *c, const struct option *o, const char *value, struct err *e)
{
	struct cli_private *own = c->own;
	for (size_t i = 0; i < own->ngiven && !o->many; i++)
		if (own->given[i].option == o)
			return cli_usage(c, e, "--%s is given twice", o->name);
	own->given[own->ngiven++] = (struct given){o, value};
	if (o == &global_options[0])
		c->config_path = value;
	else if (o == &global_options[1])
		c->json = true;
	else if (o == &global_options[2])
		c->quiet = true;
	else if (o == &global_options[3])
		c->verbose = true;
	else if (o == &global_options[5])
		own->help = true;
	else if (o == &global_options[4]) {
		static const char *const words[] = {"auto", "always", "never", NULL};
		int when = cli_value_word(c, "color", words, -1, e);
		own->color = (enum color_when)when;
		return when < 0 ? -1 : 0;
	}
	return 0;
}

static int long_option(struct cli *c, struct words *w, struct err *e)
{
	const char *text = w->argv[w->at] + 2, *equals = strchr(text, '=');
	struct str name = equals != NULL ? str_n(text, (size_t)(equals - text)) : str_from(text);
	const struct option *o = find_option(c, name, 0);
	if (o == NULL)
		return unknown_option(c, name, e);
	if (o->value == NULL && equals != NULL)
		return cli_usage(c, e, "--%s takes no value", o->name);
	const char *value = equals != NULL ? equals + 1 : "";
	if (o->value != NULL && equals == NULL && !o->value_optional) {
		if (w->at + 1 >= w->argc)
			return cli_usage(c, e, "--%s needs a value: %s", o->name, o->value);
		value = w->argv[++w->at];
	}
	if (o->value != NULL && !o->value_optional && value[0] == '\0')
		return cli_usage(c, e, "--%s has an empty value", o->name);
	return record(c, o, value, e);
}

/* -v, -qv, -o FILE, -oFILE */
static int short_options(struct cli *c, struct words *w, struct err *e)
{
	const char *word = w->argv[w->at];
	for (const char *p = word + 1; *p != '\0'; p++) {
		const struct option *o = find_option(c, STR(""), *p);
		if (o == NULL)
			return cli_usage(c, e, "unknown option -%c", *p >= 0x20 && *p < 0x7f ? *p : '?');
		if (o->value == NULL) {
			if (record(c, o, "", e) != 0)
				return -1;
			continue;
		}
		const char *value = p[1] != '\0' ? p + 1 : w->at + 1 < w->argc ? w->argv[++w->at] : NULL;
		if (value == NULL || value[0] == '\0')
			return cli_usage(c, e, "-%c needs a value: %s", *p, o->value);
		return record(c, o, value, e);
	}
	return 0;
}

/* ---- Words ---- */

static int unknown_command(
	const struct cli *c, const struct command *const *table, const char *name, struct err *e)
{
	struct nearest near;
	nearest_init(&near, str_from(name));
	for (; *table != NULL; table++)
		nearest_offer(&near, str_from((*table)->name));
	if (c->command != NULL) {
		if (near.best[0] != '\0')
			return cli_usage(
				c, e, "unknown word \"%.60s\": did you mean \"%s\"?", name, near.best);
		return cli_usage(c, e, "unknown word \"%.60s\"", name);
	}
	err_set(e, ERR_USAGE, "unknown command", "%.60s", name);
	if (near.best[0] != '\0')
		return err_remedy(e, "did you mean \"postrider %s\"?", near.best);
	return err_remedy(e, "postrider help shows all commands");
}

static int word(struct cli *c, const char *text, struct err *e)
{
	if (c->command == NULL) {
		c->command = command_find(commands, text);
		return c->command != NULL ? 0 : unknown_command(c, commands, text, e);
	}
	if (c->command->subs != NULL && c->nargs == 0) {
		const struct command *sub = command_find(c->command->subs, text);
		if (sub != NULL) {
			c->parent = c->command;
			c->command = sub;
			return 0;
		}
		if (c->command->run == NULL || c->command->max_args == 0)
			return unknown_command(c, c->command->subs, text, e);
	}
	c->args[c->nargs++] = text;
	return 0;
}

static int count_args(const struct cli *c, struct err *e)
{
	const struct command *cmd = c->command;
	if (cmd->run == NULL)
		return cli_usage(c, e, "say what to do");
	if (c->nargs < (size_t)cmd->min_args)
		return cli_usage(
			c, e, "%s", cmd->min_args == 1 ? "an argument is missing" : "arguments are missing");
	if (cmd->max_args >= 0 && c->nargs > (size_t)cmd->max_args)
		return cli_usage(c, e,
			"what is \"%.100s\" for? (an option begins with --, a text with blanks needs quotes)",
			c->args[cmd->max_args]);
	return 0;
}

static bool use_color(enum color_when when, bool terminal)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return terminal && (no == NULL || no[0] == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

static void look_around(struct cli *c)
{
	c->in_terminal = isatty(STDIN_FILENO);
	c->out_terminal = isatty(STDOUT_FILENO);
	c->err_terminal = isatty(STDERR_FILENO);
	c->color = use_color(c->own->color, c->out_terminal);
	c->color_err = use_color(c->own->color, c->err_terminal);
}

/* By option, in the order given: the values of one stand side by side. */
static void group_values(struct cli_private *own)
{
	for (size_t i = 1; i < own->ngiven; i++) {
		struct given g = own->given[i];
		size_t j = i;
		for (; j > 0 && (uintptr_t)own->given[j - 1].option > (uintptr_t)g.option; j--)
			own->given[j] = own->given[j - 1];
		own->given[j] = g;
	}
	for (size_t i = 0; i < own->ngiven; i++)
		own->values[i] = own->given[i].value;
}

/* So that an error in an early word is told in JSON too. */
static void look_ahead(struct cli *c, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		c->json |= strcmp(argv[i], "--json") == 0;
}

int args_parse(struct cli *c, int argc, char **argv, struct err *e)
{
	struct words w = {.argv = argv, .argc = argc, .at = 1};
	size_t n = (size_t)(argc > 0 ? argc : 0) + 1;
	c->args = calloc(n, sizeof *c->args);
	/* A cluster -qvh may record more options than there are words; no letter is taken twice. */
	c->own->given = calloc(n + 64, sizeof *c->own->given);
	c->own->values = calloc(n + 64, sizeof *c->own->values);
	if (c->args == NULL || c->own->given == NULL || c->own->values == NULL)
		return err_set(e, ERR_INTERNAL, "postrider", "out of memory");
	look_ahead(c, argc, argv);
	for (; w.at < argc; w.at++) {
		const char *text = argv[w.at];
		int rc;
		if (!w.literal && strcmp(text, "--") == 0) {
			w.literal = true;
			continue;
		}
		if (w.literal || text[0] != '-' || text[1] == '\0')
			rc = word(c, text, e);
		else if (c->command == NULL && strcmp(text, "--version") == 0)
			rc = word(c, "version", e);
		else
			rc = text[1] == '-' ? long_option(c, &w, e) : short_options(c, &w, e);
		if (rc != 0)
			return -1;
	}
	look_around(c);
	group_values(c->own);
	return c->own->help || c->command == NULL ? 0 : count_args(c, e);
}

/* ---- What was asked for ---- */

static const struct option *option_of(const struct cli *c, const char *name)
{
	const struct option *o = find_option(c, str_from(name), 0);
	assert(o != NULL && "the option is not in the command's table");
	return o;
}

static const struct given *last_given(const struct cli *c, const char *name)
{
	const struct option *o = option_of(c, name);
	for (size_t i = c->own->ngiven; i > 0; i--)
		if (c->own->given[i - 1].option == o)
			return &c->own->given[i - 1];
	return NULL;
}

bool cli_given(const struct cli *c, const char *name)
{
	return last_given(c, name) != NULL;
}

const char *cli_value(const struct cli *c, const char *name)
{
	const struct given *g = last_given(c, name);
	return g != NULL ? g->value : NULL;
}

/* group_values() sorted what was given by option, so the values of one stand side by side. */
size_t cli_values(const struct cli *c, const char *name, const char ***values)
{
	const struct option *o = option_of(c, name);
	size_t first = 0, n = 0;
	while (first < c->own->ngiven && c->own->given[first].option != o)
		first++;
	while (first + n < c->own->ngiven && c->own->given[first + n].option == o)
		n++;
	*values = c->own->values + first;
	return n;
}

int cli_value_int(
	const struct cli *c, const char *name, long long min, long long max, long long *out, struct err *e)
{
	const char *text = cli_value(c, name);
	if (text == NULL || str_int(str_from(text), min, max, out))
		return 0;
	return cli_usage(c, e, "--%s %.60s: expected a whole number from %lld to %lld", name, text, min, max);
}

static int named(const char *name, struct err *e)
{
	if (e == NULL)
		return -1;
	struct err why = *e;
	char what[sizeof why.what];
	snprintf(what, sizeof what, "--%s", name);
	err_set(e, why.code, what, "%s: %s", why.what, why.why);
	return err_remedy(e, "%s", why.remedy);
}

int cli_value_span(const struct cli *c, const char *name, ms_t *out, struct err *e)
{
	const char *text = cli_value(c, name);
	return text == NULL || clock_span(text, out, e) == 0 ? 0 : named(name, e);
}

int cli_value_time(struct cli *c, const char *name, ms_t now, ms_t *out, struct err *e)
{
	const char *text = cli_value(c, name);
	if (text == NULL)
		return 0;
	const struct zone *z = cli_zone(c, e);
	if (z == NULL)
		return -1;
	return clock_parse(text, z, now, out, e) == 0 ? 0 : named(name, e);
}

int cli_value_since(struct cli *c, const char *name, ms_t now, ms_t *out, struct err *e)
{
	const char *text = cli_value(c, name);
	ms_t span;
	if (text == NULL || clock_span(text, &span, NULL) != 0)
		return cli_value_time(c, name, now, out, e);
	*out = now - span;
	return 0;
}

int cli_value_word(
	const struct cli *c, const char *name, const char *const *words, int otherwise, struct err *e)
{
	const char *text = cli_value(c, name);
	char all[200] = "";
	size_t len = 0;
	if (text == NULL)
		return otherwise;
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
		if (len < sizeof all)
			len += (size_t)snprintf(
				all + len, sizeof all - len, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	return cli_usage(c, e, "--%s %.60s: expected one of %s", name, text, all);
}

bool cli_audience_given(const struct cli *c)
{
	static const char *const names[] = {"list", "exclude", "where", "of", "not-of", "sample"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (cli_given(c, names[i]))
			return true;
	return false;
}

void cli_audience(const struct cli *c, struct audience_spec *out)
{
	*out = (struct audience_spec){.where = cli_value(c, "where"), .sample = cli_value(c, "sample")};
	out->nlists = cli_values(c, "list", &out->lists);
	out->nexclude = cli_values(c, "exclude", &out->exclude);
	out->nof = cli_values(c, "of", &out->of);
	out->nnot_of = cli_values(c, "not-of", &out->not_of);
}
