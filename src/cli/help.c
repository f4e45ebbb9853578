#include "src/cli/private.h"

#include "src/base/utf8.h"

#include <stdio.h>
#include <string.h>

const char *const group_titles[GROUP_NGROUPS] = {
	[GROUP_START] = "Start",
	[GROUP_PEOPLE] = "People: lists and contacts",
	[GROUP_CAMPAIGN] = "Newsletters: write, try, send",
	[GROUP_RESULT] = "Results: who got it, who did not, and why",
	[GROUP_SYSTEM] = "The installation",
};

static const char *bold(const struct cli *c, FILE *f)
{
	return (f == stdout ? c->color : c->color_err) ? "\x1b[1m" : "";
}

static const char *plain(const struct cli *c, FILE *f)
{
	return (f == stdout ? c->color : c->color_err) ? "\x1b[0m" : "";
}

void help_overview(const struct cli *c, FILE *f)
{
	fprintf(f, "%sPostrider%s sends newsletters and tells what became of each.\n\n", bold(c, f),
		plain(c, f));
	fprintf(f, "Usage: postrider [--config FILE] [--json] [-q] [-v] [--color=WHEN] COMMAND …\n");
	for (int g = 0; g < GROUP_NGROUPS; g++) {
		bool first = true;
		for (size_t i = 0; commands[i] != NULL; i++) {
			if ((int)commands[i]->group != g)
				continue;
			if (first)
				fprintf(f, "\n%s%s%s\n", bold(c, f), group_titles[g], plain(c, f));
			first = false;
			fprintf(f, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
		}
	}
	fprintf(f, "\npostrider help COMMAND explains one of them; postrider init begins.\n");
}

/* In 80 columns, of which the left 34 are taken. */
static void wrapped(FILE *f, const char *text, const char *more)
{
	char all[400];
	size_t used = 0;
	snprintf(all, sizeof all, "%s%s", text, more);
	for (struct str rest = str_from(all); rest.n > 0;) {
		size_t n = str_find(rest, ' ');
		struct str word = str_n(rest.p, n);
		if (used > 0 && 34 + used + 1 + utf8_width(word) > 80) {
			fprintf(f, "\n%34s", "");
			used = 0;
		}
		fprintf(f, "%s%.*s", used > 0 ? " " : "", STR_ARG(word));
		used += (used > 0) + utf8_width(word);
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	fputc('\n', f);
}

static void option_line(FILE *f, const struct option *o)
{
	char left[80];
	snprintf(left, sizeof left, "%c%c%s--%s%s%s%s", o->letter != 0 ? '-' : ' ',
		o->letter != 0 ? o->letter : ' ', o->letter != 0 ? ", " : "  ", o->name,
		o->value == NULL    ? ""
		: o->value_optional ? "[="
				    : " ",
		o->value != NULL ? o->value : "", o->value != NULL && o->value_optional ? "]" : "");
	size_t width = utf8_width(str_from(left));
	fprintf(f, "  %s", left);
	if (width > 30)
		fputc('\n', f);
	fprintf(f, "%*s", width > 30 ? 34 : (int)(32 - width), "");
	wrapped(f, o->help, o->many ? " (repeatable)" : "");
}

static void usage_line(FILE *f, const struct command *parent, const struct command *cmd)
{
	bool options = cmd->options != NULL && cmd->options[0].name != NULL;
	fprintf(f, "postrider %s%s%s%s%s%s\n", parent != NULL ? parent->name : "", parent != NULL ? " " : "",
		cmd->name, cmd->args != NULL ? " " : "", cmd->args != NULL ? cmd->args : "",
		options ? " [options]" : "");
}

void usage_text(const struct cli *c, char *out, size_t size)
{
	const struct command *cmd = c->command;
	if (cmd == NULL)
		snprintf(out, size, "postrider help shows all commands");
	else if (cmd->subs != NULL && cmd->run == NULL)
		snprintf(out, size, "postrider help %s shows what it can do", cmd->name);
	else
		snprintf(out, size, "usage: postrider %s%s%s%s%s (more: postrider help %s)",
			c->parent != NULL ? c->parent->name : "", c->parent != NULL ? " " : "", cmd->name,
			cmd->args != NULL ? " " : "", cmd->args != NULL ? cmd->args : "",
			c->parent != NULL ? c->parent->name : cmd->name);
}

static void sub_commands(const struct cli *c, const struct command *cmd, FILE *f)
{
	for (size_t i = 0; cmd->subs[i] != NULL; i++) {
		const struct command *sub = cmd->subs[i];
		fprintf(f, "\n%s", bold(c, f));
		usage_line(f, cmd, sub);
		fprintf(f, "%s  %s\n", plain(c, f), sub->summary);
		for (const struct option *o = sub->options; o != NULL && o->name != NULL; o++)
			option_line(f, o);
	}
}

void help_command(const struct cli *c, const struct command *parent, const struct command *cmd, FILE *f)
{
	if (cmd->run != NULL || cmd->subs == NULL) {
		fprintf(f, "Usage: ");
		usage_line(f, parent, cmd);
		fputc('\n', f);
	}
	fprintf(f, "%s%s%s%s%s: %s\n", bold(c, f), parent != NULL ? parent->name : "",
		parent != NULL ? " " : "", cmd->name, plain(c, f), cmd->summary);
	if (cmd->help != NULL)
		fprintf(f, "\n%s", cmd->help);
	if (cmd->options != NULL && cmd->options[0].name != NULL) {
		fprintf(f, "\n%sOptions%s\n", bold(c, f), plain(c, f));
		for (const struct option *o = cmd->options; o->name != NULL; o++)
			option_line(f, o);
	}
	if (cmd->subs != NULL)
		sub_commands(c, cmd, f);
	fprintf(f, "\n%sEverywhere%s\n", bold(c, f), plain(c, f));
	for (const struct option *o = global_options; o->name != NULL; o++)
		option_line(f, o);
}
