#include "src/serve/backup_private.h"

#include "src/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MOST = 4 << 20, FILES_MOST = 10000 };

struct piece {                           /* a file of it */
	const char *name, *kind, *owner; /* of the manifest */
	unsigned mode;
	char *target, *temp; /* temp NULL: not unpacked, or placed */
	char sum[2 * SHA256_LEN + 1];
	bool same, placed; /* same: there is one already, with the same in it */
};

struct restore {
	FILE *f;
	const char *file;
	json_t *manifest;
	char *folder;
	bool made_folder, finished;
	struct piece *v, *database;
	size_t n;
	char manifest_sum[2 * SHA256_LEN + 1];
	const struct backup_watch *w;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "restore", "out of memory");
}

static int damaged(const struct restore *r, struct err *e, const char *why)
{
	return err_set(e, ERR_DATA, "restore", "%s: %s", r->file, why);
}

/* The next member; whatever is wrong is wrong with that file. */
static int next_member(struct restore *r, struct tar_member *m, struct err *e)
{
	int rc = tar_next(r->f, m, e);
	return rc < 0 ? err_at(e, r->file, 0) : rc;
}

static int skip_fill(struct restore *r, int64_t size, struct err *e)
{
	return tar_skip_fill(r->f, size, e) != 0 ? err_at(e, r->file, 0) : 0;
}

/* ---- What is in it ---- */

static int read_member(struct restore *r, const struct tar_member *m, struct buf *out, struct err *e)
{
	if (m->size > TEXT_MOST || !buf_reserve(out, (size_t)m->size))
		return damaged(r, e, "it is damaged, or no backup of Postrider");
	size_t n = fread(out->p, 1, (size_t)m->size, r->f);
	out->len = n;
	out->p[n] = '\0';
	return n == m->size ? skip_fill(r, m->size, e) : damaged(r, e, "it is cut off");
}

static void sum_text(struct str text, char hex[2 * SHA256_LEN + 1])
{
	struct backup_sum s;
	backup_sum_begin(&s);
	backup_sum_add(&s, text.p, text.n);
	backup_sum_end(&s, hex);
}

static int read_manifest(struct restore *r, struct err *e)
{
	struct tar_member m;
	struct buf text = BUF_INIT(TEXT_MOST + 1000);
	int rc = next_member(r, &m, e);
	if (rc == 0 || (rc == 1 && strcmp(m.name, BACKUP_MANIFEST) != 0))
		rc = damaged(r, e, "it is no backup of Postrider");
	if (rc > 0)
		rc = read_member(r, &m, &text, e);
	if (rc == 0) {
		sum_text(buf_get(&text), r->manifest_sum);
		r->manifest = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(r->manifest) ||
			strcmp(backup_text(r->manifest, "about"), BACKUP_ABOUT) != 0)
			rc = damaged(r, e, "it is no backup of Postrider");
		else if (json_integer_value(json_object_get(r->manifest, "format")) != BACKUP_FORMAT)
			rc = damaged(r, e, "a newer version has made it");
	}
	buf_release(&text);
	return rc;
}

/* ---- Where it goes ---- */

static int make_folder(struct restore *r, const char *dir, struct err *e)
{
	if (dir == NULL || dir[0] == '\0')
		return damaged(r, e, "it does not say where it was made");
	if (mkdir(dir, 0700) == 0)
		r->made_folder = true;
	else if (errno != EEXIST)
		return err_sys(e, ERR_CREATE, "cannot create the folder", dir);
	r->folder = realpath(dir, NULL);
	return r->folder != NULL ? 0 : err_sys(e, ERR_CREATE, "restore", dir);
}

static int place_of(struct restore *r, struct piece *p, struct err *e)
{
	size_t out = strlen(BACKUP_OUTSIDE);
	bool outside = strncmp(p->name, BACKUP_OUTSIDE "/", out + 1) == 0;
	if ((outside ? asprintf(&p->target, "%s", p->name + out)
		     : asprintf(&p->target, "%s/%s", r->folder, p->name)) < 0) {
		p->target = NULL;
		return no_memory(e);
	}
	if (strcmp(p->kind, "database") != 0)
		return 0;
	if (r->database != NULL)
		return damaged(r, e, "it names two databases");
	r->database = p;
	/* What belongs to a database that is gone would be taken for this one's. */
	static const char *const ends[] = {"", "-wal", "-journal"};
	char path[PATH_MAX];
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", p->target, ends[i]);
		if (!file_exists(path))
			continue;
		err_set(e, ERR_CREATE, "restore", "%s is there already; nothing is overwritten", path);
		return err_remedy(e, "move it away, or name another folder: postrider restore FILE FOLDER");
	}
	return 0;
}

static int plan(struct restore *r, struct err *e)
{
	const json_t *files = json_object_get(r->manifest, "files"), *f;
	size_t i, n = json_array_size(files);
	r->v = n > 0 && n <= FILES_MOST ? calloc(n, sizeof *r->v) : NULL;
	if (r->v == NULL)
		return damaged(r, e, "it names no files");
	json_array_foreach(files, i, f)
	{
		const char *kind = backup_text(f, "kind");
		struct piece *p = &r->v[r->n++];
		*p = (struct piece){.name = backup_text(f, "name"),
			.kind = kind,
			.owner = backup_text(f, "owner"),
			.mode = (unsigned)strtoul(backup_text(f, "mode"), NULL, 8) & 0777};
		if (strcmp(kind, "database") == 0 || strcmp(kind, "secret") == 0 ||
			strcmp(kind, "DKIM key") == 0)
			p->mode = 0600;
		if (place_of(r, p, e) != 0)
			return -1;
	}
	return r->database != NULL ? 0 : damaged(r, e, "it has no database");
}

/* ---- Unpacking ---- */

/* Folders below the restored one, and of files outside it. */
static int make_folders(const char *target, struct err *e)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s", target);
	for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return err_sys(e, ERR_CREATE, "cannot create the folder", path);
		*p = '/';
	}
	return 0;
}

static void give_to(int fd, const char *owner)
{
	const struct passwd *pw = geteuid() == 0 && owner[0] != '\0' ? getpwnam(owner) : NULL;
	if (pw != NULL && fchown(fd, pw->pw_uid, pw->pw_gid) != 0)
		errno = 0; /* it stays ours: `doctor` tells */
}

static int copy_out(struct restore *r, struct piece *p, int fd, uint64_t size, struct err *e)
{
	static char block[256 << 10];
	struct backup_sum s;
	uint64_t done = 0, synced = 0;
	int rc = 0;
	backup_sum_begin(&s);
	while (rc == 0 && done < size) {
		size_t want = size - done < sizeof block ? (size_t)(size - done) : sizeof block;
		size_t n = fread(block, 1, want, r->f);
		if (n != want)
			rc = damaged(r, e, "it is cut off");
		for (size_t at = 0; rc == 0 && at < n;) {
			ssize_t w = write(fd, block + at, n - at);
			if (w > 0)
				at += (size_t)w;
			else if (errno != EINTR)
				rc = err_sys(e, ERR_IO, "cannot write", p->target);
		}
		backup_sum_add(&s, block, n);
		done += n;
		if (done - synced >= BACKUP_SYNC) {
			synced = done;
			(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		}
		if (rc == 0)
			rc = backup_tell(r->w, "unpacking", (int64_t)done, (int64_t)size, e);
	}
	backup_sum_end(&s, p->sum);
	return rc;
}

static int unpack(struct restore *r, struct piece *p, uint64_t size, struct err *e)
{
	if (p->sum[0] != '\0')
		return damaged(r, e, "it has a file twice");
	if (make_folders(p->target, e) != 0)
		return -1;
	if (asprintf(&p->temp, "%s.XXXXXX", p->target) < 0)
		p->temp = NULL;
	int fd = p->temp != NULL ? mkostemp(p->temp, O_CLOEXEC) : -1;
	if (fd < 0) {
		free(p->temp);
		p->temp = NULL;
		return err_sys(e, ERR_CREATE, "restore", p->target);
	}
	int rc = copy_out(r, p, fd, size, e);
	if (rc == 0) {
		give_to(fd, p->owner);
		if (fchmod(fd, p->mode) != 0 || fsync(fd) != 0)
			rc = err_sys(e, ERR_IO, "cannot write", p->target);
	}
	close(fd);
	return rc;
}

static struct piece *piece_of(struct restore *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->v[i].name, name) == 0)
			return &r->v[i];
	return NULL;
}

static bool sum_fits(struct str sums, const char *name, const char *hex)
{
	size_t n = strlen(name), h = 2 * SHA256_LEN;
	while (sums.n > 0) {
		size_t end = str_find(sums, '\n');
		if (end == h + 2 + n && memcmp(sums.p + h + 2, name, n) == 0)
			return hex[0] != '\0' && memcmp(sums.p, hex, h) == 0;
		sums = end < sums.n ? str_n(sums.p + end + 1, sums.n - end - 1) : str_n(sums.p, 0);
	}
	return false;
}

static int compare_sums(struct restore *r, struct str sums, struct err *e)
{
	char why[TAR_NAME_MAX + 60];
	if (!sum_fits(sums, BACKUP_MANIFEST, r->manifest_sum))
		return damaged(
			r, e, "the checksum of " BACKUP_MANIFEST " does not fit: it was altered or damaged");
	for (size_t i = 0; i < r->n; i++) {
		if (sum_fits(sums, r->v[i].name, r->v[i].sum))
			continue;
		snprintf(why, sizeof why, "the checksum of %s does not fit: it was altered or damaged",
			r->v[i].name);
		return damaged(r, e, why);
	}
	return 0;
}

static int unpack_all(struct restore *r, struct err *e)
{
	struct tar_member m;
	struct buf sums = BUF_INIT(TEXT_MOST + 1000);
	int rc;
	while ((rc = next_member(r, &m, e)) == 1) {
		struct piece *p = piece_of(r, m.name);
		if (sums.len > 0 || (p == NULL && strcmp(m.name, BACKUP_SUMS) != 0))
			rc = damaged(r, e, "it holds something that no backup has");
		else if (p == NULL)
			rc = read_member(r, &m, &sums, e);
		else
			rc = unpack(r, p, m.size, e) != 0 ? -1 : skip_fill(r, m.size, e);
		if (rc != 0)
			break;
	}
	if (rc == 0)
		rc = compare_sums(r, buf_get(&sums), e);
	buf_release(&sums);
	return rc;
}

/* ---- Placing ---- */

/* 1: the same bytes, 0: others, or none. */
static int same_bytes(const char *a, const char *b)
{
	struct buf x = BUF_INIT(TEXT_MOST), y = BUF_INIT(TEXT_MOST);
	int same = file_read(a, &x, NULL) == 0 && file_read(b, &y, NULL) == 0 && x.len == y.len &&
		   (x.len == 0 || memcmp(x.p, y.p, x.len) == 0);
	buf_release(&x);
	buf_release(&y);
	return same;
}

static int look_for_others(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++) {
		struct piece *p = &r->v[i];
		if (!file_exists(p->target))
			continue;
		p->same = p != r->database && same_bytes(p->temp, p->target);
		if (p->same)
			continue;
		err_set(e, ERR_CREATE, "restore",
			"%s is there already, with something else in it; nothing is overwritten", p->target);
		return err_remedy(e, "move it away, or name another folder: postrider restore FILE FOLDER");
	}
	return 0;
}

static int place(struct piece *p, struct err *e)
{
	if (p->same)
		return 0;
	if (file_place(p->temp, p->target, e) != 0)
		return -1;
	free(p->temp);
	p->temp = NULL;
	p->placed = true;
	return 0;
}

int restore_unpack(
	struct restore **out, const char *file, const char *dir, const struct backup_watch *w, struct err *e)
{
	struct restore *r = calloc(1, sizeof *r);
	*out = r;
	if (r == NULL)
		return no_memory(e);
	r->file = file;
	r->w = w;
	r->f = fopen(file, "rbe");
	if (r->f == NULL)
		return err_sys(e, err_unread(), "restore", file);
	if (read_manifest(r, e) != 0)
		return -1;
	if (make_folder(r, dir != NULL ? dir : backup_text(r->manifest, "folder"), e) != 0 || plan(r, e) != 0)
		return -1;
	return unpack_all(r, e) == 0 ? look_for_others(r, e) : -1;
}

int restore_place(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++)
		if (&r->v[i] != r->database && place(&r->v[i], e) != 0)
			return -1;
	return 0;
}

int restore_finish(struct restore *r, struct err *e)
{
	if (place(r->database, e) != 0)
		return -1;
	r->finished = true;
	return 0;
}

void restore_free(struct restore **rp)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	struct restore *r = *rp;
	char path[PATH_MAX];
	if (r == NULL)
		return;
	*rp = NULL;
	for (size_t i = 0; i < r->n; i++) {
		struct piece *p = &r->v[i];
		for (size_t k = 0; p->temp != NULL && k < 3; k++) {
			snprintf(path, sizeof path, "%s%s", p->temp, ends[k]);
			unlink(path);
		}
		if (p->placed && !r->finished)
			unlink(p->target);
		free(p->temp);
		free(p->target);
	}
	if (r->made_folder && !r->finished)
		rmdir(r->folder);
	if (r->f != NULL)
		fclose(r->f);
	json_decref(r->manifest);
	free(r->folder);
	free(r->v);
	free(r);
}

/* ---- Asking ---- */

const char *restore_config(const struct restore *r)
{
	/* The first file that was read of it is the main one. */
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->v[i].kind, "configuration") == 0)
			return r->v[i].target;
	return NULL;
}

const char *restore_database(const struct restore *r)
{
	return r->database->target;
}

const char *restore_database_temp(const struct restore *r)
{
	return r->database->temp;
}

ms_t restore_made(const struct restore *r)
{
	return json_integer_value(json_object_get(r->manifest, "made_ms"));
}

const json_t *restore_manifest(const struct restore *r)
{
	return r->manifest;
}
