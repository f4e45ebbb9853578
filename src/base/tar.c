#include "src/base/tar.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK = 512 };

struct header { /* POSIX.1-1988, 10.1.1 */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag, linkname[100],
		magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

/* ---- Fields ---- */

static void put_octal(char *out, size_t width, uint64_t v)
{
	for (size_t i = width - 1; i-- > 0; v >>= 3)
		out[i] = (char)('0' + (v & 7));
	out[width - 1] = '\0';
}

static void put_size(char out[12], uint64_t v)
{
	if (v < (uint64_t)1 << 33) {
		put_octal(out, 12, v);
		return;
	}
	for (size_t i = 12; i-- > 0; v >>= 8)
		out[i] = (char)(v & 0xff);
	out[0] = (char)0x80;
}

static bool get_octal(const char *p, size_t width, uint64_t *v)
{
	size_t i = 0;
	*v = 0;
	while (i < width && p[i] >= '0' && p[i] <= '7')
		*v = *v << 3 | (uint64_t)(p[i++] - '0');
	return i > 0 && i < width && p[i] == '\0';
}

static bool get_size(const char *p, uint64_t *v)
{
	if ((unsigned char)p[0] != 0x80)
		return get_octal(p, 12, v);
	*v = 0;
	for (int i = 1; i < 12; i++) {
		if (*v >> 55 != 0)
			return false;
		*v = *v << 8 | (unsigned char)p[i];
	}
	return true;
}

static unsigned sum_of(const struct header *h)
{
	unsigned sum = 0;
	const unsigned char *p = (const unsigned char *)h;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= offsetof(struct header, chksum) && i < offsetof(struct header, typeflag) ? ' '
												     : p[i];
	return sum;
}

/* Relative, and nothing in it that leads elsewhere. */
static bool name_fine(const char *name)
{
	size_t n;
	for (const char *p = name;; p += n + 1) {
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[n] == '\0')
			return true;
	}
}

/* A long name is cut at a slash: its first part goes to `prefix`. */
static bool put_name(struct header *h, const char *name)
{
	size_t n = strlen(name), cut = 0;
	if (!name_fine(name))
		return false;
	if (n > sizeof h->name) {
		const char *slash = strchr(name + (n - sizeof h->name - 1), '/');
		if (slash == NULL || (size_t)(slash - name) > sizeof h->prefix)
			return false;
		cut = (size_t)(slash - name);
		memcpy(h->prefix, name, cut++);
	}
	memcpy(h->name, name + cut, n - cut);
	return true;
}

static bool get_name(const struct header *h, char out[TAR_NAME_MAX])
{
	size_t prefix = strnlen(h->prefix, sizeof h->prefix), n = strnlen(h->name, sizeof h->name);
	size_t at = prefix > 0 ? prefix + 1 : 0;
	memcpy(out, h->prefix, prefix);
	if (prefix > 0)
		out[prefix] = '/';
	memcpy(out + at, h->name, n);
	out[at + n] = '\0';
	return name_fine(out);
}
_Static_assert(sizeof((struct header *)0)->prefix + 1 + sizeof((struct header *)0)->name < TAR_NAME_MAX + 1,
	"a name fits");

/* ---- Writing ---- */

static int put(FILE *f, const void *p, size_t n, struct err *e)
{
	return fwrite(p, 1, n, f) == n ? 0 : err_sys(e, ERR_IO, "cannot write the archive", NULL);
}

int tar_head(FILE *f, const struct tar_member *m, struct err *e)
{
	struct header h = {.typeflag = '0', .version = {'0', '0'}};
	if (!put_name(&h, m->name))
		return err_set(e, ERR_DATA, "archive", "%s: such a name does not fit into it", m->name);
	put_octal(h.mode, sizeof h.mode, m->mode & 07777);
	put_octal(h.uid, sizeof h.uid, 0);
	put_octal(h.gid, sizeof h.gid, 0);
	put_size(h.size, m->size);
	put_octal(h.mtime, sizeof h.mtime, m->mtime > 0 ? (uint64_t)m->mtime : 0);
	memcpy(h.magic, "ustar", sizeof h.magic);
	put_octal(h.chksum, 7, sum_of(&h));
	h.chksum[7] = ' ';
	return put(f, &h, sizeof h, e);
}

int tar_fill(FILE *f, uint64_t size, struct err *e)
{
	static const char zeros[BLOCK];
	return put(f, zeros, (BLOCK - size % BLOCK) % BLOCK, e);
}

int tar_end(FILE *f, struct err *e)
{
	static const char zeros[2 * BLOCK];
	return put(f, zeros, sizeof zeros, e);
}

/* ---- Reading ---- */

static int damaged(struct err *e, const char *why)
{
	return err_set(e, ERR_DATA, "archive", "%s", why);
}

static int get_block(FILE *f, void *p, struct err *e)
{
	if (fread(p, 1, BLOCK, f) == BLOCK)
		return 0;
	return ferror(f) ? err_sys(e, ERR_IO, "cannot read the archive", NULL) : damaged(e, "it is cut off");
}

static bool all_zero(const void *p)
{
	static const char zeros[BLOCK];
	return memcmp(p, zeros, BLOCK) == 0;
}

int tar_next(FILE *f, struct tar_member *m, struct err *e)
{
	struct header h;
	uint64_t sum, mode, mtime;
	if (get_block(f, &h, e) != 0)
		return -1;
	if (all_zero(&h)) {
		if (get_block(f, &h, e) != 0)
			return -1;
		return all_zero(&h) ? 0 : damaged(e, "it does not end as it should");
	}
	if (memcmp(h.magic, "ustar", 6) != 0 || !get_octal(h.chksum, 7, &sum) || sum != sum_of(&h))
		return damaged(e, "it is damaged, or no tar archive");
	*m = (struct tar_member){.size = 0};
	if (h.typeflag != '0' || !get_octal(h.mode, sizeof h.mode, &mode) || !get_size(h.size, &m->size) ||
		!get_octal(h.mtime, sizeof h.mtime, &mtime) || !get_name(&h, m->name))
		return damaged(e, "it holds something that no backup has");
	m->mode = (unsigned)mode & 0777;
	m->mtime = (time_t)mtime;
	return 1;
}

int tar_skip_fill(FILE *f, uint64_t size, struct err *e)
{
	char rest[BLOCK];
	size_t n = (BLOCK - size % BLOCK) % BLOCK;
	if (fread(rest, 1, n, f) == n)
		return 0;
	return ferror(f) ? err_sys(e, ERR_IO, "cannot read the archive", NULL) : damaged(e, "it is cut off");
}
