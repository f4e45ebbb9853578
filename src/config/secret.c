#include "src/config/config.h"

#include "src/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_TIME (30 * SECOND)

extern char **environ;

static int bad(struct err *e, const struct secret *s, const char *why)
{
	err_set(e, ERR_CONFIG, "cannot get the password", "%s", why);
	return err_at(e, s->at.file, s->at.line);
}

static int from_file(const struct secret *s, struct buf *out, struct err *e)
{
	int fd = open(s->value, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		err_sys(e, ERR_CONFIG, "cannot read the password", s->value);
		if (fd >= 0)
			close(fd);
		return err_at(e, s->at.file, s->at.line);
	}
	close(fd);
	if (!S_ISREG(st.st_mode))
		return bad(e, s, "it is not a regular file");
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		err_set(e, ERR_CONFIG, "cannot use the password",
			"%s can be read or changed by others (mode %04o)", s->value,
			(unsigned)st.st_mode & 07777);
		err_remedy(e, "chmod 600 %s", s->value);
		return err_at(e, s->at.file, s->at.line);
	}
	if (file_read(s->value, out, e) == 0)
		return 0;
	if (e != NULL)
		e->code = ERR_CONFIG;
	return err_at(e, s->at.file, s->at.line);
}

static pid_t spawn(const char *command, int *from)
{
	int fds[2];
	pid_t pid = -1;
	posix_spawn_file_actions_t act;
	posix_spawnattr_t attr;
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&act);
	posix_spawn_file_actions_addopen(&act, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&act, fds[1], 1);
	posix_spawnattr_init(&attr);
	/* A group of its own, so that what the shell started ends with it; signals as for a fresh process. */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(
		&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int rc = posix_spawn(&pid, "/bin/sh", &act, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&act);
	posix_spawnattr_destroy(&attr);
	close(fds[1]);
	if (rc != 0) {
		close(fds[0]);
		errno = rc;
		return -1;
	}
	*from = fds[0];
	return pid;
}

/* Reads until the end. False: the time is up, or it says more than a secret can be. */
static bool drain(int fd, ms_t deadline, struct buf *out)
{
	for (;;) {
		ms_t left = deadline - clock_mono();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		char b[1024];
		ssize_t n = read(fd, b, sizeof b);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf_add(out, b, (size_t)n);
		if (out->failed)
			return false;
	}
}

/* The command may close its output and live on: it is waited for until the deadline too. */
static bool reap(pid_t pid, ms_t deadline, int *status)
{
	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
		if (clock_mono() >= deadline)
			return false;
		poll(NULL, 0, 5);
	}
}

int config_secret_command(const struct secret *s, ms_t limit, struct buf *out, struct err *e)
{
	int fd, status = 0;
	pid_t pid = spawn(s->value, &fd);
	if (pid < 0) {
		err_sys(e, ERR_CONFIG, "cannot run the password command", NULL);
		return err_at(e, s->at.file, s->at.line);
	}
	ms_t deadline = clock_mono() + limit;
	bool whole = drain(fd, deadline, out);
	close(fd);
	if (!whole || !reap(pid, deadline, &status)) {
		kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return bad(e, s,
			out->failed ? "the command's output is too long" : "the command did not end in time");
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return bad(e, s, "the command failed");
	return 0;
}

int config_secret(const struct secret *s, struct buf *out, struct err *e)
{
	const char *env;
	switch (s->from) {
	case SECRET_NONE:
		return bad(e, s, "none is configured");
	case SECRET_FILE:
		if (from_file(s, out, e) != 0)
			return -1;
		break;
	case SECRET_ENV:
		env = getenv(s->value);
		if (env == NULL)
			return bad(e, s, "the environment variable is not set");
		buf_puts(out, env);
		break;
	case SECRET_COMMAND:
		if (config_secret_command(s, COMMAND_TIME, out, e) != 0)
			return -1;
		break;
	}
	if (out->len > 0 && out->p[out->len - 1] == '\n')
		out->p[--out->len] = '\0';
	if (out->len > 0 && out->p[out->len - 1] == '\r')
		out->p[--out->len] = '\0';
	if (out->failed)
		return bad(e, s, "it is too long");
	if (out->len == 0)
		return bad(e, s, "it is empty");
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->p[i] < 0x20)
			return bad(e, s, "it has more than one line, or a control character");
	return 0;
}
