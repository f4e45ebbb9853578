#include "src/base/outfile.h"

#include "src/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_error(struct err *e)
{
	int saved = errno;
	return err_set(
		e, ERR_IO, "cannot write the output", "%s", saved != 0 ? strerror(saved) : "unknown cause");
}

int output_open(struct output *o, const char *path, struct err *e)
{
	struct stat st;
	*o = (struct output){.f = stdout};
	if (path == NULL || strcmp(path, "-") == 0)
		return 0;
	/* What is no regular file is written to as it is. */
	bool through = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
	unsigned char random[6];
	char suffix[13];
	random_bytes(random, sizeof random);
	hex_encode(random, sizeof random, suffix);
	o->path = through ? strdup(path) : realpath(path, NULL);
	if (o->path == NULL)
		o->path = strdup(path);
	if (o->path == NULL || (!through && asprintf(&o->temp, "%s.%s.tmp", o->path, suffix) < 0)) {
		o->temp = NULL;
		output_abandon(o);
		return err_set(e, ERR_INTERNAL, "cannot write", "out of memory");
	}
	int fd = through ? open(path, O_WRONLY | O_CLOEXEC)
			 : open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	/* One that is replaced keeps what others may do with it. */
	if (fd >= 0 && !through && stat(path, &st) == 0)
		(void)fchmod(fd, st.st_mode & 0777);
	o->f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (o->f != NULL)
		return 0;
	err_sys(e, ERR_CREATE, "cannot write", path);
	if (fd >= 0)
		close(fd);
	output_abandon(o);
	return -1;
}

int output_commit(struct output *o, struct err *e)
{
	bool failed = fflush(o->f) != 0 || ferror(o->f);
	if (o->f == stdout)
		return failed ? output_error(e) : 0;
	failed = failed || (o->temp != NULL && fsync(fileno(o->f)) != 0);
	failed = fclose(o->f) != 0 || failed;
	o->f = NULL;
	if (failed || (o->temp != NULL && rename(o->temp, o->path) != 0)) {
		err_sys(e, ERR_IO, "cannot write", o->path);
		output_abandon(o);
		return -1;
	}
	free(o->temp);
	o->temp = NULL;
	output_abandon(o);
	return 0;
}

void output_abandon(struct output *o)
{
	if (o->f != NULL && o->f != stdout)
		fclose(o->f);
	if (o->temp != NULL)
		unlink(o->temp);
	free(o->temp);
	free(o->path);
	*o = (struct output){0};
}
