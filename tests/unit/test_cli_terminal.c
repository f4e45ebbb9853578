#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/log.h"
#include "src/cli/private.h"
#include "src/cli/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

const struct command *const commands[] = {NULL};

/* A terminal of 20 columns in place of standard error, a pipe in place of standard output. */
static int master, old_err, old_out, out_pipe[2];
static struct cli_private own;
static struct cli cli;

static int setup(void **state)
{
	(void)state;
	int slave;
	struct winsize size = {.ws_row = 5, .ws_col = 20};
	struct termios raw;
	setenv("TERM", "xterm", 1);
	clock_fake(1000000);
	if (openpty(&master, &slave, NULL, NULL, &size) != 0 || pipe(out_pipe) != 0)
		return -1;
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	fcntl(master, F_SETFL, O_NONBLOCK);
	fcntl(out_pipe[0], F_SETFL, O_NONBLOCK);
	fflush(NULL);
	old_err = dup(2);
	old_out = dup(1);
	dup2(slave, 2);
	dup2(out_pipe[1], 1);
	close(slave);
	cli = (struct cli){.err_terminal = true, .own = &own};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fflush(NULL);
	dup2(old_err, 2);
	dup2(old_out, 1);
	close(old_err);
	close(old_out);
	close(master);
	close(out_pipe[0]);
	close(out_pipe[1]);
	clock_fake(0);
	return 0;
}

static const char *read_from(int fd)
{
	static char text[4096];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;
	fflush(NULL);
	/* A terminal hands on each write by itself. */
	while (poll(&p, 1, 50) > 0 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

static void progress__redraws_at_most_ten_times_a_second(void **state)
{
	(void)state;
	struct progress *p = progress_new(&cli);
	assert_true(progress_due(p));
	progress_set(p, "1 of %d", 9);
	assert_string_equal(read_from(master), "\r1 of 9\x1b[K");
	assert_false(progress_due(p));
	progress_set(p, "2 of 9");
	assert_string_equal(read_from(master), "");
	clock_fake_add(100);
	progress_set(p, "3 of 9");
	assert_string_equal(read_from(master), "\r3 of 9\x1b[K");
	progress_end(&p);
	assert_null(p);
	assert_string_equal(read_from(master), "\r\x1b[K");
}

static void progress__is_cut_to_the_terminal_and_harmless(void **state)
{
	(void)state;
	struct progress *p = progress_new(&cli);
	progress_set(p, "送信中送信中送信中送信中");
	assert_string_equal(read_from(master), "\r送信中送信中送信中\x1b[K");
	clock_fake_add(100);
	progress_set(p, "a\x1b[2J\nb");
	assert_string_equal(read_from(master), "\ra\\x1b[2J\\x0ab\x1b[K");
	progress_end(&p);
	read_from(master);
}

static void progress__steps_aside_for_the_log(void **state)
{
	(void)state;
	struct progress *p = progress_new(&cli);
	progress_set(p, "1 of 9");
	read_from(master);
	log_warn("look");
	assert_string_equal(read_from(master), "\r\x1b[Kpostrider: warning: look\n\r1 of 9\x1b[K");
	progress_end(&p);
	read_from(master);
	log_warn("again");
	assert_string_equal(read_from(master), "postrider: warning: again\n");
}

static void progress__quiet_or_no_terminal__is_silent(void **state)
{
	(void)state;
	cli.quiet = true;
	struct progress *p = progress_new(&cli);
	progress_set(p, "x");
	progress_end(&p);
	cli.quiet = cli.err_terminal = false;
	p = progress_new(&cli);
	assert_false(progress_due(p));
	progress_set(p, "x");
	progress_end(&p);
	assert_string_equal(read_from(master), "");
}

static void error__one_line_and_its_remedy(void **state)
{
	(void)state;
	struct err e;
	err_set(&e, ERR_CONFIG, "bad configuration", "unknown key \"x\x1b[2J\"");
	err_at(&e, "p.conf", 3);
	err_remedy(&e, "delete it");
	error_print(&cli, &e);
	assert_string_equal(read_from(master),
		"postrider: bad configuration: p.conf:3: unknown key \"x\\x1b[2J\"\n  delete it\n");
	assert_string_equal(read_from(out_pipe[0]), "");
	cli.json = true;
	err_set(&e, ERR_AGAIN, "send", "later");
	error_print(&cli, &e);
	assert_string_equal(read_from(out_pipe[0]),
		"{\"error\":{\"exit\":75,\"what\":\"send\",\"why\":\"later\",\"remedy\":null,"
		"\"file\":null,\"line\":null}}\n");
	assert_string_equal(read_from(master), "postrider: send: later\n");
}

static void ask__without_a_terminal__is_a_usage_error(void **state)
{
	(void)state;
	char answer[20];
	struct err e = {0};
	assert_int_equal(cli_ask(&cli, "how many? ", "add --yes", answer, sizeof answer, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
	assert_string_equal(e.remedy, "add --yes");
	assert_string_equal(read_from(master), "");
}

#define WITH_TERMINAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Standard output is a pipe here, and counts as a terminal of 80 columns. */
static const char *one_row(const char *first, const char *second, const char *last)
{
	static const struct column columns[] = {
		{.title = "who"}, {.title = "what"}, {.title = "why", .max = 4}};
	cli.out_terminal = true;
	struct table *t = table_new(&cli, stdout, columns, 3);
	table_str(t, str_from(first));
	table_str(t, str_from(second));
	table_str(t, str_from(last));
	assert_int_equal(table_row(t), 0);
	assert_int_equal(table_end(&t), 0);
	return read_from(out_pipe[0]);
}

static void table__wider_than_the_screen__its_last_column_is_cut(void **state)
{
	(void)state;
	const char *got = one_row("hanako", "日本語",
		"The mailbox is full, and has been so for longer than anybody remembers, 日本語 too");
	assert_string_equal(got,
		"who     what    why\n"
		"hanako  日本語  The mailbox is full, and has been so for longer than anybody re…\n");
}

static void table__too_little_left_for_the_last_column__rows_take_two_lines(void **state)
{
	(void)state;
	const char *got = one_row("a name of fifty columns, which is more than most are", "and fourteen",
		"The mailbox is full, and has been so for longer than anybody remembers, 日本語 too");
	assert_string_equal(got,
		"who                                                   what\n"
		"    why\n"
		"a name of fifty columns, which is more than most are  and fourteen\n"
		"    The mailbox is full, and has been so for longer than anybody remembers, 日…\n");
}

static void table__no_line_is_wider_than_the_screen(void **state)
{
	(void)state;
	const char *got = one_row("a name of fifty columns, which is more than most are",
		"and one of seventy columns, behind which not enough of the last remains",
		"The mailbox is full, and has been so for longer than anybody remembers, 日本語 too");
	assert_string_equal(got,
		"who\n"
		"    what\n"
		"    why\n"
		"a name of fifty columns, which is more than most are\n"
		"    and one of seventy columns, behind which not enough of the last remains\n"
		"    The mailbox is full, and has been so for longer than anybody remembers, 日…\n");
}

static void table__rows_of_two_lines__one_that_ends_before_takes_one(void **state)
{
	(void)state;
	static const struct column columns[] = {{.title = "who"}, {.title = "why"}};
	cli.out_terminal = true;
	struct table *t = table_new(&cli, stdout, columns, 2);
	table_str(t, STR("a name of fifty columns, which is more than most are"));
	table_str(t, STR("the mailbox is full, and has been so for long"));
	assert_int_equal(table_row(t), 0);
	table_str(t, STR("hanako"));
	assert_int_equal(table_row(t), 0);
	assert_int_equal(table_end(&t), 0);
	assert_string_equal(read_from(out_pipe[0]), "who\n"
						    "    why\n"
						    "a name of fifty columns, which is more than most are\n"
						    "    the mailbox is full, and has been so for long\n"
						    "hanako\n");
}

static void table__no_row_comes__standard_error_says_so(void **state)
{
	(void)state;
	static const struct column columns[] = {{.title = "who"}};
	for (int quiet = 0; quiet < 2; quiet++) {
		cli.quiet = quiet != 0;
		struct table *t = table_new(&cli, stdout, columns, 1);
		table_empty(t, "nobody");
		assert_int_equal(table_end(&t), 0);
		assert_string_equal(read_from(master), quiet ? "" : "postrider: nobody\n");
	}
	cli.quiet = false;
	struct table *t = table_new(&cli, stdout, columns, 1);
	table_empty(t, "nobody");
	table_str(t, STR("hanako"));
	assert_int_equal(table_row(t), 0);
	assert_int_equal(table_end(&t), 0);
	assert_string_equal(read_from(master), "");
}

static void table__fits__is_left_alone(void **state)
{
	(void)state;
	assert_string_equal(one_row("a", "b", "longer than its maximum"),
		"who  what  why\n"
		"a    b     longer than its maximum\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TERMINAL(progress__redraws_at_most_ten_times_a_second),
		WITH_TERMINAL(progress__is_cut_to_the_terminal_and_harmless),
		WITH_TERMINAL(progress__steps_aside_for_the_log),
		WITH_TERMINAL(progress__quiet_or_no_terminal__is_silent),
		WITH_TERMINAL(error__one_line_and_its_remedy),
		WITH_TERMINAL(table__wider_than_the_screen__its_last_column_is_cut),
		WITH_TERMINAL(table__too_little_left_for_the_last_column__rows_take_two_lines),
		WITH_TERMINAL(table__no_line_is_wider_than_the_screen),
		WITH_TERMINAL(table__rows_of_two_lines__one_that_ends_before_takes_one),
		WITH_TERMINAL(table__no_row_comes__standard_error_says_so),
		WITH_TERMINAL(table__fits__is_left_alone),
		WITH_TERMINAL(ask__without_a_terminal__is_a_usage_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
