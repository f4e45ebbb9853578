#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/buf.h"
#include "src/base/file.h"
#include "src/base/utf8.h"
#include "src/cli/commands.h"
#include "src/cli/private.h"
#include "src/config/presets.h"
#include "src/config/schema.h"

/* The manual pages against the tables that the program itself reads. Tests run in the root of the source. */

#define DECLARE(name) extern const struct command name;
COMMANDS(DECLARE)
#define ENTRY(name) &name,
const struct command *const commands[] = {COMMANDS(ENTRY) NULL};

static unsigned missing;

static struct buf page(const char *path)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err e = {0};
	if (file_read(path, &b, &e) != 0)
		fail_msg("%s: %s", path, e.why);
	return b;
}

/* From the line ".Ss title" to the next heading; n == 0: there is none. */
static struct str section_of(struct str text, const char *title)
{
	char head[200];
	snprintf(head, sizeof head, "\n.Ss %s\n", title);
	const char *from = strstr(text.p, head);
	if (from == NULL)
		return (struct str){0};
	from += strlen(head);
	const char *ss = strstr(from, "\n.Ss "), *sh = strstr(from, "\n.Sh "),
		   *end = ss != NULL && (sh == NULL || ss < sh) ? ss : sh;
	return end != NULL ? str_n(from, (size_t)(end - from) + 1) : str_from(from);
}

/* Is there an .It line in which `mark` stands as a whole word? */
static bool item(struct str section, const char *mark)
{
	size_t len = strlen(mark);
	for (struct str rest = section; rest.n > 0;) {
		size_t n = str_find(rest, '\n');
		for (size_t i = 0; str_starts(rest, STR(".It ")) && i + len <= n; i++)
			if (memcmp(rest.p + i, mark, len) == 0 && rest.p[i - (i > 0)] == ' ' &&
				(i + len == n || rest.p[i + len] == ' '))
				return true;
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	return false;
}

static void lacks(const char *where, const char *what)
{
	print_error("the manual has nothing about %s: %s\n", where, what);
	missing++;
}

static void check_options(struct str own, struct str audience, const struct option *o, const char *where)
{
	for (; o != NULL && o->name != NULL; o++) {
		char mark[80];
		snprintf(mark, sizeof mark, "\\-%s", o->name);
		const char *refers = strstr(own.p, "Ar audience");
		bool there = refers != NULL && refers < own.p + own.n && item(audience, mark);
		if (!there && !item(own, mark))
			lacks(where, mark);
	}
}

static void check_command(struct str text, const struct command *parent, const struct command *cmd)
{
	char title[100];
	snprintf(title, sizeof title, "%s%s%s", parent != NULL ? parent->name : "", parent != NULL ? " " : "",
		cmd->name);
	struct str own = section_of(text, title);
	if (own.n == 0)
		lacks(title, "the command");
	else
		check_options(own, section_of(text, "The audience"), cmd->options, title);
	for (size_t i = 0; cmd->subs != NULL && cmd->subs[i] != NULL; i++)
		check_command(text, cmd, cmd->subs[i]);
}

static void manual__every_command_and_option__has_its_paragraph(void **state)
{
	(void)state;
	struct buf b = page("docs/man/postrider.1");
	missing = 0;
	for (size_t i = 0; commands[i] != NULL; i++)
		check_command(buf_get(&b), NULL, commands[i]);
	check_options(section_of(buf_get(&b), "Options of every command"), (struct str){0}, global_options,
		"every command");
	buf_release(&b);
	assert_int_equal(missing, 0);
}

static void narrow(const char *where, const char *text)
{
	for (struct str rest = str_from(text != NULL ? text : ""); rest.n > 0;) {
		size_t n = str_find(rest, '\n');
		if (utf8_width(str_n(rest.p, n)) > 80) {
			print_error("help %s has a line that is wider than 80 columns: %.*s\n", where, (int)n,
				rest.p);
			missing++;
		}
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
}

static void check_width(const struct command *parent, const struct command *cmd)
{
	char line[300];
	if (parent == NULL)
		snprintf(line, sizeof line, "  %-14s %s", cmd->name, cmd->summary);
	else
		snprintf(line, sizeof line, "%s %s: %s", parent->name, cmd->name, cmd->summary);
	narrow(cmd->name, line);
	narrow(cmd->name, cmd->help);
	for (size_t i = 0; cmd->subs != NULL && cmd->subs[i] != NULL; i++)
		check_width(cmd, cmd->subs[i]);
}

static void help__fits_into_80_columns(void **state)
{
	(void)state;
	missing = 0;
	for (size_t i = 0; commands[i] != NULL; i++)
		check_width(NULL, commands[i]);
	assert_int_equal(missing, 0);
}

/* "[route NAME]" is the section of every named kind `route`. */
static struct str section_of_kind(struct str text, const struct section *s)
{
	static const char *const names[] = {"NAME", "DOMAIN", "ADDRESS"};
	char title[100];
	snprintf(title, sizeof title, "[%s]", s->kind);
	if (s->kind[0] == '\0')
		return section_of(text, "Before the first section");
	for (size_t i = 0; s->named && i < sizeof names / sizeof names[0]; i++) {
		snprintf(title, sizeof title, "[%s %s]", s->kind, names[i]);
		if (section_of(text, title).n > 0)
			break;
	}
	return section_of(text, title);
}

static void manual__every_key__has_its_paragraph(void **state)
{
	(void)state;
	struct buf b = page("docs/man/postrider.conf.5");
	missing = 0;
	for (size_t i = 0; i < nsections; i++) {
		struct str own = section_of_kind(buf_get(&b), &sections[i]);
		if (own.n == 0)
			lacks(sections[i].kind, "the section");
		for (const struct field *f = sections[i].fields; own.n > 0 && f->key != NULL; f++)
			if (!item(own, f->key))
				lacks(sections[i].kind, f->key);
	}
	buf_release(&b);
	assert_int_equal(missing, 0);
}

static void manual__every_preset__has_its_line(void **state)
{
	(void)state;
	struct buf b = page("docs/man/postrider.conf.5");
	struct str own = section_of(buf_get(&b), "Presets");
	missing = 0;
	for (size_t i = 0; i < npresets; i++)
		if (own.n == 0 || !item(own, presets[i].name))
			lacks("Presets", presets[i].name);
	buf_release(&b);
	assert_int_equal(missing, 0);
}

static void item__another_word_with_that_beginning__is_not_it(void **state)
{
	(void)state;
	assert_true(item(STR("text\n.It Fl \\-out Ar FILE\n"), "\\-out"));
	assert_false(item(STR("text\n.It Fl \\-output Ar FILE\n"), "\\-out"));
	assert_false(item(STR("Fl \\-out\n"), "\\-out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manual__every_command_and_option__has_its_paragraph),
		cmocka_unit_test(help__fits_into_80_columns),
		cmocka_unit_test(manual__every_key__has_its_paragraph),
		cmocka_unit_test(manual__every_preset__has_its_line),
		cmocka_unit_test(item__another_word_with_that_beginning__is_not_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
