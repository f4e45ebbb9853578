#include "src/base/file.h"

#include "src/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *path, struct buf *out, struct err *e)
{
	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n == 0)
			return 0;
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, err_unread(), "cannot read", path);
		}
		buf_add(out, chunk, (size_t)n);
		if (!out->failed)
			continue;
		if (out->len + (size_t)n > out->max)
			return err_set(
				e, ERR_DATA, "cannot read", "%s: larger than %zu bytes", path, out->max);
		return err_set(e, ERR_INTERNAL, "cannot read", "%s: out of memory", path);
	}
}

int file_read(const char *path, struct buf *out, struct err *e)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", out, e);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, err_unread(), "cannot read", path);
	int rc = read_all(fd, path, out, e);
	close(fd);
	return rc;
}

static int write_all(int fd, struct str data)
{
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		data.p += n;
		data.n -= (size_t)n;
	}
	return 0;
}

/* Writes, sets the mode whatever the umask, syncs and closes. */
static int fill(int fd, struct str data, unsigned mode)
{
	int rc = fchmod(fd, mode);
	if (rc == 0)
		rc = write_all(fd, data);
	if (rc == 0)
		rc = fsync(fd);
	int saved = errno;
	if (close(fd) != 0 && rc == 0)
		return -1;
	errno = saved;
	return rc;
}

/* A new name is on the disk only when its folder is. */
static void sync_folder(const char *path)
{
	char *dir = path_beside(path, ".");
	int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(dir);
}

/* Devices and pipes (/dev/stdout, /dev/null) are written to, never replaced. */
static int write_through(const char *path, struct str data, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_CREATE, "cannot write", path);
	int rc = write_all(fd, data);
	if (rc != 0)
		err_sys(e, ERR_IO, "cannot write", path);
	close(fd);
	return rc;
}

static int replace(const char *path, struct str data, unsigned mode, struct err *e)
{
	unsigned char random[6];
	char suffix[13], temp[PATH_MAX];
	random_bytes(random, sizeof random);
	hex_encode(random, sizeof random, suffix);
	if ((size_t)snprintf(temp, sizeof temp, "%s.%s.tmp", path, suffix) >= sizeof temp) {
		errno = ENAMETOOLONG;
		return err_sys(e, ERR_CREATE, "cannot write", path);
	}
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, ERR_CREATE, "cannot write", path);
	if (fill(fd, data, mode) != 0 || rename(temp, path) != 0) {
		err_sys(e, ERR_IO, "cannot write", path);
		unlink(temp);
		return -1;
	}
	sync_folder(path);
	return 0;
}

int file_write(const char *path, struct str data, unsigned mode, struct err *e)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return replace(path, data, mode, e);
	if (!S_ISREG(st.st_mode))
		return write_through(path, data, e);
	/* A symbolic link stays one: the file it leads to is replaced. */
	char *real = realpath(path, NULL);
	if (real == NULL)
		return err_sys(e, ERR_CREATE, "cannot write", path);
	int rc = replace(real, data, mode, e);
	free(real);
	return rc;
}

int file_create(const char *path, struct str data, unsigned mode, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, ERR_CREATE, "cannot create", path);
	if (fill(fd, data, mode) != 0) {
		err_sys(e, ERR_IO, "cannot write", path);
		unlink(path);
		return -1;
	}
	sync_folder(path);
	return 0;
}

int file_place(const char *temp, const char *path, struct err *e)
{
	/* Some file systems know no RENAME_NOREPLACE. */
	int rc = renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE);
	if (rc != 0 && errno == EINVAL) {
		errno = EEXIST;
		rc = file_exists(path) ? -1 : rename(temp, path);
	}
	if (rc != 0)
		return err_sys(e, ERR_CREATE, "cannot create", path);
	sync_folder(path);
	return 0;
}

bool file_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

char *path_beside(const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');
	if (path[0] == '/' || slash == NULL)
		return strdup(path);
	size_t dir = (size_t)(slash - from) + 1, n = strlen(path) + 1;
	char *out = malloc(dir + n);
	if (out != NULL) {
		memcpy(out, from, dir);
		memcpy(out + dir, path, n);
	}
	return out;
}
