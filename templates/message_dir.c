#include "templates/message_file.h"

#include "src/base/file.h"
#include "templates/message.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without openat2: component by component, no symbolic links at all, and never up. */
static int open_steps(int dir, const char *name)
{
	int at = dup(dir);
	while (at >= 0) {
		const char *slash = strchr(name, '/');
		size_t n = slash != NULL ? (size_t)(slash - name) : strlen(name);
		char part[256];
		bool up = n == 2 && memcmp(name, "..", 2) == 0;
		if (n == 0 || n >= sizeof part || up) {
			close(at);
			errno = up ? EXDEV : ENOENT;
			return -1;
		}
		memcpy(part, name, n);
		part[n] = '\0';
		int next = openat(at, part,
			O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (slash != NULL ? O_DIRECTORY : 0));
		int keep = errno;
		close(at);
		errno = keep;
		if (slash == NULL)
			return next;
		name = slash + 1;
		at = next;
	}
	return -1;
}

static int open_beneath(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return open_steps(dir, name);
	return (int)fd;
}

static int open_failed(const char *name, bool message, struct err *e)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(e, ERR_NOINPUT, name,
			message ? "there is no such file" : "no such file in the message's folder");
	if (errno == EXDEV || errno == ELOOP)
		return err_set(e, ERR_DATA, name, "the link leaves the message's folder");
	return err_sys(e, ERR_IO, "cannot read", name);
}

static int read_all(int fd, const char *name, bool message, struct buf *out, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, "cannot read", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, message ? ERR_NOINPUT : ERR_DATA, name, "not a file");
	for (;;) {
		if (!buf_reserve(out, 64 << 10)) {
			/* Near the ceiling: the last bytes may fit all the same. */
			out->failed = false;
			if (out->len >= out->max || !buf_reserve(out, out->max - out->len))
				return err_set(e, ERR_DATA, name, "larger than %zu bytes", out->max);
		}
		ssize_t n = read(fd, out->p + out->len, out->cap - out->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, "cannot read", name);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		out->p[out->len] = '\0';
	}
}

static int dir_read(void *ctx, const char *name, struct buf *out, struct err *e)
{
	const struct message_dir *d = ctx;
	int fd;
	if (strcmp(name, MESSAGE_PART) == 0)
		fd = openat(d->fd, d->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	else if (strcmp(name, MESSAGE_PART_TEXT) == 0)
		fd = open_beneath(d->fd, d->text);
	else
		fd = open_beneath(d->fd, name);
	bool message = strcmp(name, MESSAGE_PART) == 0;
	const char *shown = message ? d->name : name;
	if (fd < 0)
		return open_failed(shown, message, e);
	int rc = read_all(fd, shown, message, out, e);
	close(fd);
	return rc;
}

/* NAME.txt beside NAME.html. */
static char *text_beside(const char *name)
{
	const char *dot = strrchr(name, '.');
	char *out = NULL;
	if (asprintf(&out, "%.*s.txt", (int)(dot != NULL ? dot - name : (long)strlen(name)), name) < 0)
		return NULL;
	return out;
}

int message_dir_open(struct message_dir *d, const char *path, struct message_reader *out, struct err *e)
{
	*d = (struct message_dir){.fd = -1};
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	char *dir = slash == path   ? strdup("/")
		    : slash != NULL ? strndup(path, (size_t)(slash - path))
				    : strdup(".");
	if (dir != NULL)
		d->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool no_memory = dir == NULL;
	free(dir);
	if (!no_memory && d->fd < 0)
		return err_sys(e, err_unread(), "cannot read", path);
	d->name = strdup(name);
	d->text = text_beside(name);
	if (no_memory || d->name == NULL || d->text == NULL) {
		message_dir_close(d);
		return err_set(e, ERR_INTERNAL, path, "out of memory");
	}
	*out = (struct message_reader){.read = dir_read, .ctx = d};
	return 0;
}

void message_dir_close(struct message_dir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	free(d->name);
	free(d->text);
	*d = (struct message_dir){.fd = -1};
}
