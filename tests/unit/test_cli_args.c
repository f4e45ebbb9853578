#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/cli/private.h"

#include <stdlib.h>

static int ran(struct cli *c, struct err *e)
{
	(void)c;
	(void)e;
	return 0;
}

static const struct option send_options[] = {
	CLI_AUDIENCE,
	{.name = "at", .value = "TIME", .help = "when"},
	{.name = "yes", .letter = 'y', .help = "do not ask"},
	{.name = "output", .letter = 'o', .value = "FILE", .help = "into a file"},
	{.name = "doubt", .value = "RULE", .value_optional = true, .help = "rule"},
	{0},
};
static const struct command cmd_send = {
	.name = "send", .args = "MESSAGE", .min_args = 1, .max_args = 1, .options = send_options, .run = ran};
static const struct command cmd_list_rename = {
	.name = "rename", .args = "L NEW", .min_args = 2, .max_args = 2, .run = ran};
static const struct command *const list_subs[] = {&cmd_list_rename, NULL};
static const struct command cmd_list = {.name = "list", .subs = list_subs};
static const struct command cmd_report = {.name = "report", .args = "[NAME…]", .max_args = -1, .run = ran};
const struct command *const commands[] = {&cmd_send, &cmd_list, &cmd_report, NULL};

static struct cli_private own;
static struct cli cli;
static struct err err;

static void forget(void)
{
	if (cli.own != NULL)
		cli_release(&cli);
	own = (struct cli_private){0};
	cli = (struct cli){.own = &own};
	err = (struct err){0};
}

/* Splits at blanks. */
static int parse(const char *line)
{
	static char text[500];
	char *argv[40] = {(char *)"postrider"};
	int argc = 1;
	forget();
	snprintf(text, sizeof text, "%s", line);
	for (char *p = strtok(text, " "); p != NULL; p = strtok(NULL, " "))
		argv[argc++] = p;
	return args_parse(&cli, argc, argv, &err);
}

static int teardown(void **state)
{
	(void)state;
	forget();
	return 0;
}

static void refuses(const char *line, const char *why)
{
	if (parse(line) == 0)
		fail_msg("accepted: %s", line);
	assert_int_equal(err.code, ERR_USAGE);
	if (strstr(err.why, why) == NULL)
		fail_msg("%s: %s (%s)", line, err.why, err.remedy);
}

static void words_and_options__in_any_order(void **state)
{
	(void)state;
	assert_int_equal(
		parse("--json send -q --list a june.md --config=x.conf --list=b --yes --exclude c -o out"),
		0);
	assert_ptr_equal(cli.command, &cmd_send);
	assert_int_equal(cli.nargs, 1);
	assert_string_equal(cli.args[0], "june.md");
	assert_true(cli.json && cli.quiet && !cli.verbose);
	assert_string_equal(cli.config_path, "x.conf");
	assert_true(cli_given(&cli, "yes"));
	assert_string_equal(cli_value(&cli, "output"), "out");
	assert_null(cli_value(&cli, "at"));
	struct audience_spec a;
	cli_audience(&cli, &a);
	assert_int_equal(a.nlists, 2);
	assert_string_equal(a.lists[0], "a");
	assert_string_equal(a.lists[1], "b");
	assert_int_equal(a.nexclude, 1);
	assert_string_equal(a.exclude[0], "c");
	assert_int_equal(a.nof, 0);
	assert_null(a.where);
	assert_true(cli_audience_given(&cli));
}

static void letters__clusters_and_values(void **state)
{
	(void)state;
	assert_int_equal(parse("send -yvofile m.md"), 0);
	assert_true(cli.verbose && cli_given(&cli, "yes"));
	assert_string_equal(cli_value(&cli, "output"), "file");
	assert_int_equal(parse("send - "), 0);
	assert_string_equal(cli.args[0], "-");
	assert_int_equal(parse("send -- --yes"), 0);
	assert_string_equal(cli.args[0], "--yes");
	assert_false(cli_given(&cli, "yes"));
	assert_int_equal(parse("send m --doubt"), 0);
	assert_string_equal(cli_value(&cli, "doubt"), "");
	assert_int_equal(parse("send m --doubt=skip"), 0);
	assert_string_equal(cli_value(&cli, "doubt"), "skip");
}

static void mistakes__are_told(void **state)
{
	(void)state;
	refuses("send m --lst a", "unknown option --lst: did you mean --list?");
	refuses("send m --zzzzzzzz", "unknown option --zzzzzzzz");
	refuses("send m -z", "unknown option -z");
	refuses("send m --at 1h --at 2h", "--at is given twice");
	refuses("send m --json --json", "--json is given twice");
	refuses("send m -yy", "--yes is given twice");
	refuses("send m --yes=1", "--yes takes no value");
	refuses("send m --at", "--at needs a value: TIME");
	refuses("send m -o", "-o needs a value");
	refuses("send m --at=", "empty value");
	refuses("send", "an argument is missing");
	refuses("send m n", "what is \"n\" for?");
	refuses("list", "say what to do");
	refuses("list renam a b", "did you mean \"rename\"?");
	refuses("list rename a", "arguments are missing");
	refuses("--color=blue send m", "expected one of auto, always, never");
	refuses("snd m", "snd");
	assert_non_null(strstr(err.remedy, "postrider send"));
	assert_int_equal(parse("--list a send m"), -1);
	/* An early mistake is told as JSON too. */
	assert_int_equal(parse("snd m --json"), -1);
	assert_true(cli.json);
}

static void sub_commands__and_any_number_of_words(void **state)
{
	(void)state;
	assert_int_equal(parse("list rename a b --json"), 0);
	assert_ptr_equal(cli.command, &cmd_list_rename);
	assert_ptr_equal(cli.parent, &cmd_list);
	assert_int_equal(cli.nargs, 2);
	assert_non_null(strstr(cli_actor(&cli), " list rename"));
	assert_int_equal(parse("report a b c"), 0);
	assert_int_equal(cli.nargs, 3);
	assert_int_equal(parse("send --help"), 0);
	assert_true(own.help);
}

static void color__follows_what_is_asked(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	assert_int_equal(parse("report --color=always"), 0);
	assert_true(cli.color);
	assert_int_equal(parse("report --color never"), 0);
	assert_false(cli.color);
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(parse("report"), 0);
	assert_false(cli.color);
	assert_int_equal(parse("report --color=always"), 0);
	assert_true(cli.color);
	unsetenv("NO_COLOR");
}

static void values__are_read_and_checked(void **state)
{
	(void)state;
	long long n = 7;
	ms_t t = 0;
	static const char *const words[] = {"resend", "skip", NULL};
	assert_int_equal(parse("send m --sample 12 --at 1h30m --doubt=skip"), 0);
	assert_int_equal(cli_value_int(&cli, "sample", 1, 100, &n, &err), 0);
	assert_int_equal(n, 12);
	assert_int_equal(cli_value_int(&cli, "sample", 1, 10, &n, &err), -1);
	assert_non_null(strstr(err.why, "--sample 12"));
	assert_int_equal(cli_value_int(&cli, "where", 1, 10, &n, &err), 0);
	assert_int_equal(n, 12);
	assert_int_equal(cli_value_span(&cli, "at", &t, &err), 0);
	assert_true(t == 90 * MINUTE);
	assert_int_equal(cli_value_since(&cli, "at", 100 * MINUTE, &t, &err), 0);
	assert_true(t == 10 * MINUTE);
	assert_int_equal(cli_value_word(&cli, "doubt", words, 0, &err), 1);
	assert_int_equal(cli_value_word(&cli, "where", words, 5, &err), 5);
	assert_int_equal(parse("send m --at soon --doubt=never"), 0);
	assert_int_equal(cli_value_span(&cli, "at", &t, &err), -1);
	assert_string_equal(err.what, "--at");
	assert_int_equal(cli_value_word(&cli, "doubt", words, 0, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(words_and_options__in_any_order, teardown),
		cmocka_unit_test_teardown(letters__clusters_and_values, teardown),
		cmocka_unit_test_teardown(mistakes__are_told, teardown),
		cmocka_unit_test_teardown(sub_commands__and_any_number_of_words, teardown),
		cmocka_unit_test_teardown(color__follows_what_is_asked, teardown),
		cmocka_unit_test_teardown(values__are_read_and_checked, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
