#include "lists/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK   (64 << 10)
#define POLL_MS 200

struct input {
	int fd;            /* -1: memory */
	struct str memory; /* what is left of it */
	char *name;
	const atomic_bool *stop;
	bool waits; /* a read may block for long */
	bool started, gzip, gzip_ended, ended;
	z_stream z;
	unsigned char block[BLOCK]; /* compressed bytes; while not gzip: what was read to find that out */
	size_t at, have;
	int64_t size;
	_Atomic int64_t taken;
};

static struct input *input_new(const char *name, struct err *e)
{
	struct input *in = calloc(1, sizeof *in);
	if (in != NULL && (in->name = strdup(name)) == NULL) {
		free(in);
		in = NULL;
	}
	if (in == NULL)
		err_set(e, ERR_INTERNAL, "import", "out of memory");
	else
		in->fd = -1;
	return in;
}

int input_open(struct input **out, const char *path, const atomic_bool *stop, struct err *e)
{
	bool standard = strcmp(path, "-") == 0;
	struct input *in = input_new(standard ? "standard input" : path, e);
	struct stat st;
	*out = NULL;
	if (in == NULL)
		return -1;
	in->stop = stop;
	in->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0 || fstat(in->fd, &st) != 0) {
		err_sys(e, err_unread(), "import", in->name);
		input_close(&in);
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		err_set(e, ERR_NOINPUT, "import", "%s is a folder", path);
		input_close(&in);
		return -1;
	}
	in->waits = !S_ISREG(st.st_mode);
	in->size = S_ISREG(st.st_mode) ? st.st_size : 0;
	*out = in;
	return 0;
}

int input_open_memory(struct input **out, struct str bytes, struct err *e)
{
	*out = input_new("memory", e);
	if (*out == NULL)
		return -1;
	(*out)->memory = bytes;
	(*out)->size = (int64_t)bytes.n;
	return 0;
}

static int wait_readable(struct input *in, struct err *e)
{
	for (;;) {
		if (in->stop != NULL && atomic_load_explicit(in->stop, memory_order_relaxed))
			return err_set(e, ERR_AGAIN, "import", "interrupted; nothing was imported");
		struct pollfd p = {.fd = in->fd, .events = POLLIN};
		int n = poll(&p, 1, POLL_MS);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, "import", in->name);
	}
}

static ssize_t read_raw(struct input *in, void *p, size_t n, struct err *e)
{
	if (in->fd < 0) {
		size_t take = n < in->memory.n ? n : in->memory.n;
		if (take > 0)
			memcpy(p, in->memory.p, take);
		in->memory = str_n(in->memory.p + take, in->memory.n - take);
		atomic_fetch_add_explicit(&in->taken, (int64_t)take, memory_order_relaxed);
		return (ssize_t)take;
	}
	for (;;) {
		if (in->waits && wait_readable(in, e) != 0)
			return -1;
		ssize_t got = read(in->fd, p, n);
		if (got >= 0) {
			atomic_fetch_add_explicit(&in->taken, got, memory_order_relaxed);
			return got;
		}
		if (errno != EINTR && errno != EAGAIN)
			return err_sys(e, ERR_IO, "import", in->name);
	}
}

static int refill(struct input *in, struct err *e)
{
	ssize_t got = read_raw(in, in->block, sizeof in->block, e);
	if (got < 0)
		return -1;
	in->at = 0;
	in->have = (size_t)got;
	in->ended = got == 0;
	return 0;
}

static int start(struct input *in, struct err *e)
{
	in->started = true;
	while (in->have < 3 && !in->ended) {
		ssize_t got = read_raw(in, in->block + in->have, sizeof in->block - in->have, e);
		if (got < 0)
			return -1;
		in->have += (size_t)got;
		in->ended = got == 0;
	}
	in->gzip = in->have >= 3 && in->block[0] == 0x1f && in->block[1] == 0x8b && in->block[2] == 8;
	if (in->gzip && inflateInit2(&in->z, 15 + 16) != Z_OK)
		return err_set(e, ERR_INTERNAL, "import", "out of memory");
	return 0;
}

static int damaged(struct input *in, const char *why, struct err *e)
{
	err_set(e, ERR_DATA, "import", "%s", why);
	return err_at(e, in->name, 0);
}

/* At the end of a gzip member: another one may follow; what else follows (padding) is not ours. */
static int next_member(struct input *in, struct err *e)
{
	if (in->at == in->have && !in->ended && refill(in, e) != 0)
		return -1;
	in->gzip_ended = in->ended || in->block[in->at] != 0x1f;
	return in->gzip_ended || inflateReset(&in->z) == Z_OK ? 0
							      : damaged(in, "the gzip data are damaged", e);
}

static ssize_t read_gzip(struct input *in, char *p, size_t n, struct err *e)
{
	in->z.next_out = (unsigned char *)p;
	in->z.avail_out = (unsigned)(n < BLOCK ? n : BLOCK);
	unsigned room = in->z.avail_out;
	while (!in->gzip_ended && in->z.avail_out == room) {
		if (in->at == in->have && !in->ended && refill(in, e) != 0)
			return -1;
		if (in->ended)
			return damaged(in, "the gzip file is cut off", e);
		in->z.next_in = in->block + in->at;
		in->z.avail_in = (unsigned)(in->have - in->at);
		int rc = inflate(&in->z, Z_NO_FLUSH);
		in->at = in->have - in->z.avail_in;
		if (rc == Z_STREAM_END) {
			if (next_member(in, e) != 0)
				return -1;
		} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
			return damaged(in, "the gzip data are damaged", e);
		}
	}
	return (ssize_t)(room - in->z.avail_out);
}

ssize_t input_read(struct input *in, char *p, size_t n, struct err *e)
{
	if (!in->started && start(in, e) != 0)
		return -1;
	if (in->stop != NULL && atomic_load_explicit(in->stop, memory_order_relaxed))
		return err_set(e, ERR_AGAIN, "import", "interrupted; nothing was imported");
	if (in->gzip)
		return read_gzip(in, p, n, e);
	if (in->at < in->have) {
		size_t take = in->have - in->at < n ? in->have - in->at : n;
		memcpy(p, in->block + in->at, take);
		in->at += take;
		return (ssize_t)take;
	}
	return in->ended ? 0 : read_raw(in, p, n, e);
}

void input_progress(const struct input *in, int64_t *read, int64_t *size)
{
	*read = atomic_load_explicit(&((struct input *)in)->taken, memory_order_relaxed);
	*size = in->size;
}

const char *input_name(const struct input *in)
{
	return in->name;
}

void input_close(struct input **in)
{
	if (*in == NULL)
		return;
	if ((*in)->gzip)
		inflateEnd(&(*in)->z);
	if ((*in)->fd >= 0)
		close((*in)->fd);
	free((*in)->name);
	free(*in);
	*in = NULL;
}
