#include "src/cli/commands.h"
#include "src/cli/private.h"

#include "src/base/log.h"
#include "src/serve/become.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define DECLARE(name) extern const struct command name;
COMMANDS(DECLARE)
#define ENTRY(name) &name,
const struct command *const commands[] = {COMMANDS(ENTRY) NULL};

static void choose_log_level(const struct cli *c)
{
	if (c->verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	else
		log_set_level(c->quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN);
}

/* errno may be another's by now; a pipe itself knows whether somebody still reads it. */
static bool reader_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
	return ferror(stdout) && poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* What was still in the buffer may not fit on the disk. A reader that went away (`| head`) has what it wants.
 */
static int flush_output(int status, struct err *e)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (reader_gone())
		return status != 0 ? status : ERR_IO;
	output_error(e);
	return -1;
}

static int run(struct cli *c, int argc, char **argv, struct err *e)
{
	int rc = args_parse(c, argc, argv, e);
	choose_log_level(c);
	if (rc != 0)
		return -1;
	if (c->own->help && c->command != NULL)
		help_command(c, c->parent, c->command, stdout);
	else if (c->own->help)
		help_overview(c, stdout);
	else if (c->command == NULL) {
		help_overview(c, stderr);
		return ERR_USAGE;
	} else {
		rc = c->command->run(c, e);
	}
	return rc;
}

/* The event loop cannot go on (no descriptor, mostly) and would abort. What is recorded is as good as after a
 * kill. */
static void loop_failed(const char *what) __attribute__((noreturn));
static void loop_failed(const char *what)
{
	fprintf(stderr, "postrider: event loop: %s: %s\n", what, strerror(errno));
	_exit(ERR_IO);
}

static void harden(void)
{
	/* A server or a pager that hangs up, or a file that may not grow, is an error of its write, not the
	 * end of the program. */
	signal(SIGPIPE, SIG_IGN);
	ev_set_syserr_cb(loop_failed);
	signal(SIGXFSZ, SIG_IGN);
	/* What it creates holds addresses or keys. */
	umask(077);
	become_private();
}

int main(int argc, char **argv)
{
	struct cli_private own = {0};
	struct cli c = {.own = &own};
	struct err e = {0};
	harden();
	int status = run(&c, argc, argv, &e);
	if (status < 0 && e.code == ERR_NONE && ferror(stdout))
		output_error(&e);
	else if (status < 0 && e.code == ERR_NONE)
		err_set(&e, ERR_INTERNAL, "internal error", "the command failed and did not say why");
	bool told = status < 0 && e.code == ERR_IO;
	bool pipe_gone = status < 0 && e.code == ERR_IO && reader_gone();
	if (status < 0) {
		if (!pipe_gone)
			error_print(&c, &e);
		status = e.code != ERR_NONE ? (int)e.code : ERR_INTERNAL;
	}
	int flushed = flush_output(status, &e);
	if (flushed < 0) {
		if (!told)
			fprintf(stderr, "postrider: %s: %s\n", e.what, e.why);
		flushed = status != 0 ? status : ERR_IO;
	}
	cli_release(&c);
	return flushed;
}
