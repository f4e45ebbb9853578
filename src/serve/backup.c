#include "src/db/copies.h"
#include "src/serve/backup_private.h"

#include "src/base/file.h"
#include "src/base/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- What belongs to it ---- */

struct inventory {
	char *folder; /* of the configuration */
	json_t *files, *left_out;
	struct err *e;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "backup", "out of memory");
}

static int append(json_t *list, json_t *entry, struct err *e)
{
	return entry != NULL && json_array_append_new(list, entry) == 0 ? 0 : no_memory(e);
}

static int leave_out(struct inventory *v, const char *what, const char *where, const char *why)
{
	return append(
		v->left_out, json_pack("{s:s, s:s, s:s}", "what", what, "where", where, "why", why), v->e);
}

/* Absolute, by its real folder; the last part stays, so that a link is kept by its own name. malloc'd, NULL:
 * no such folder. */
static char *absolute(const char *path)
{
	const char *slash = strrchr(path, '/'), *last = slash != NULL ? slash + 1 : path;
	char *dir = slash == NULL   ? strdup(".")
		    : slash == path ? strdup("/")
				    : strndup(path, (size_t)(slash - path));
	char *real = dir != NULL ? realpath(dir, NULL) : NULL, *out = NULL;
	if (real != NULL && asprintf(&out, "%s%s%s", real, strcmp(real, "/") == 0 ? "" : "/", last) < 0)
		out = NULL;
	free(dir);
	free(real);
	return out;
}

static bool name_taken(const struct inventory *v, const char *name)
{
	size_t i;
	json_t *f;
	json_array_foreach(v->files, i, f) if (strcmp(backup_text(f, "name"), name) == 0) return true;
	return false;
}

static int describe(struct inventory *v, const char *path, const char *kind, const struct stat *st)
{
	char name[TAR_NAME_MAX], mode[8];
	size_t n = strlen(v->folder);
	bool inside = strncmp(path, v->folder, n) == 0 && path[n] == '/';
	const struct passwd *pw = getpwuid(st->st_uid);
	int len = snprintf(
		name, sizeof name, "%s%s", inside ? "" : BACKUP_OUTSIDE, inside ? path + n + 1 : path);
	if (len >= (int)sizeof name || strpbrk(name, "\n\r\\") != NULL ||
		strcmp(name, BACKUP_MANIFEST) == 0 || strcmp(name, BACKUP_SUMS) == 0)
		return err_set(
			v->e, ERR_DATA, "backup", "%s: a file of such a name does not fit into it", path);
	/* The same file may serve several routes. */
	if (name_taken(v, name))
		return 0;
	snprintf(mode, sizeof mode, "%04o", st->st_mode & 0777u);
	json_t *f = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "path", path, "kind", kind, "mode",
		mode, "owner", pw != NULL ? pw->pw_name : "");
	return f != NULL ? append(v->files, f, v->e)
			 : err_set(v->e, ERR_DATA, "backup", "%s: its name is not UTF-8", path);
}

static int add(struct inventory *v, const char *path, const char *kind, bool needed)
{
	struct stat st;
	if (path == NULL)
		return 0;
	char *full = absolute(path);
	int rc;
	if (full != NULL && stat(full, &st) == 0 && S_ISREG(st.st_mode))
		rc = describe(v, full, kind, &st);
	else if (needed)
		rc = err_sys(v->e, err_unread(), "backup", path);
	else
		rc = leave_out(v, kind, path, "it is not there");
	free(full);
	return rc;
}

static int leave_secret(struct inventory *v, const char *kind, const char *of, const struct secret *s)
{
	static const char *const from[] = {"", "file", "environment variable", "command"};
	char what[200];
	if (s->from == SECRET_NONE)
		return 0;
	snprintf(what, sizeof what, "password %s of %s %s", from[s->from], kind, of);
	return leave_out(v, what, s->value, "passwords are not copied");
}

static int take_stock(struct inventory *v, const struct config *c)
{
	int rc = 0;
	for (size_t i = 0; i < c->nfiles && rc == 0; i++)
		rc = add(v, c->files[i], "configuration", true);
	if (rc != 0 || add(v, c->secret_file, "secret", true) != 0 ||
		add(v, c->database, "database", true) != 0 || add(v, c->rules_file, "rules", false) != 0)
		return -1;
	for (size_t i = 0; i < c->ndkim && rc == 0; i++)
		rc = add(v, c->dkim[i].key, "DKIM key", false);
	for (size_t i = 0; i < c->nroutes && rc == 0; i++) {
		const struct config_route *r = &c->routes[i];
		if (add(v, r->ca_file, "certificates", false) != 0 ||
			add(v, r->trust_anchor, "trust anchor", false) != 0 ||
			leave_secret(v, "route", r->name, &r->password) != 0)
			return -1;
	}
	for (size_t i = 0; i < c->nmailboxes && rc == 0; i++) {
		const struct config_mailbox *m = &c->mailboxes[i];
		if (add(v, m->ca_file, "certificates", false) != 0 ||
			leave_secret(v, "mailbox", m->name, &m->password) != 0)
			return -1;
	}
	if (rc == 0 && c->return_path.certificate != NULL)
		rc = leave_out(v, "certificate of [return-path]", c->return_path.certificate,
			"it is renewed elsewhere");
	if (rc == 0 && c->return_path.certificate_key != NULL)
		rc = leave_out(v, "its key", c->return_path.certificate_key, "it is renewed elsewhere");
	return rc;
}

/* ---- Writing ---- */

struct writing {
	FILE *f;
	char *temp, *copy; /* the archive, and the database's copy beside it */
	struct buf sums;
	const struct backup_watch *w;
	uint64_t unsynced;
	struct err *e;
};

/* What goes to the disk bit by bit does not hold up the syncs of whoever sends at the end. */
static int put(struct writing *o, const void *p, size_t n)
{
	if (fwrite(p, 1, n, o->f) != n)
		return err_sys(o->e, ERR_IO, "cannot write the backup", NULL);
	if ((o->unsynced += n) >= BACKUP_SYNC) {
		o->unsynced = 0;
		fflush(o->f);
		(void)sync_file_range(fileno(o->f), 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

static void sum_line(struct writing *o, const char *name, struct backup_sum *s)
{
	char hex[2 * SHA256_LEN + 1];
	backup_sum_end(s, hex);
	buf_printf(&o->sums, "%s  %s\n", hex, name);
}

static int write_text(struct writing *o, const char *name, struct str text)
{
	struct tar_member m = {.size = text.n, .mode = 0600, .mtime = time(NULL)};
	struct backup_sum s;
	snprintf(m.name, sizeof m.name, "%s", name);
	if (tar_head(o->f, &m, o->e) != 0 || put(o, text.p, text.n) != 0 || tar_fill(o->f, text.n, o->e) != 0)
		return -1;
	backup_sum_begin(&s);
	backup_sum_add(&s, text.p, text.n);
	sum_line(o, name, &s);
	return 0;
}

static int copy_bytes(struct writing *o, int fd, const struct tar_member *m, struct backup_sum *s)
{
	static char block[256 << 10];
	uint64_t done = 0;
	while (done < m->size) {
		size_t want = m->size - done < sizeof block ? (size_t)(m->size - done) : sizeof block;
		ssize_t n = read(fd, block, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(o->e, ERR_IO, "cannot read", m->name);
		if (n == 0)
			return err_set(o->e, ERR_AGAIN, "backup", "%s changed while it was read", m->name);
		backup_sum_add(s, block, (size_t)n);
		if (put(o, block, (size_t)n) != 0 ||
			backup_tell(
				o->w, "writing", (int64_t)(done += (uint64_t)n), (int64_t)m->size, o->e) != 0)
			return -1;
	}
	return 0;
}

static int write_file(struct writing *o, const char *name, const char *path, unsigned mode)
{
	struct stat st;
	struct backup_sum s;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		err_sys(o->e, err_unread(), "backup", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	struct tar_member m = {.size = (uint64_t)st.st_size, .mode = mode, .mtime = st.st_mtime};
	snprintf(m.name, sizeof m.name, "%s", name);
	backup_sum_begin(&s);
	int rc = tar_head(o->f, &m, o->e);
	if (rc == 0)
		rc = copy_bytes(o, fd, &m, &s);
	if (rc == 0)
		rc = tar_fill(o->f, m.size, o->e);
	sum_line(o, name, &s);
	close(fd);
	return rc;
}

static int write_members(struct writing *o, const json_t *manifest)
{
	size_t i;
	const json_t *f;
	char *text = json_dumps(manifest, JSON_INDENT(2));
	int rc = text != NULL ? write_text(o, BACKUP_MANIFEST, str_from(text)) : no_memory(o->e);
	free(text);
	json_array_foreach(json_object_get(manifest, "files"), i, f)
	{
		bool database = strcmp(backup_text(f, "kind"), "database") == 0;
		unsigned mode = (unsigned)strtoul(backup_text(f, "mode"), NULL, 8);
		if (rc == 0)
			rc = write_file(o, backup_text(f, "name"),
				database ? o->copy : backup_text(f, "path"), database ? 0600 : mode);
	}
	if (rc == 0 && o->sums.failed)
		rc = no_memory(o->e);
	struct buf sums = o->sums; /* the list does not sum up itself */
	o->sums = BUF_INIT(1000);
	if (rc == 0)
		rc = write_text(o, BACKUP_SUMS, buf_get(&sums));
	buf_release(&sums);
	return rc == 0 ? tar_end(o->f, o->e) : -1;
}

static int on_step(void *ctx, int64_t done, int64_t of)
{
	const struct writing *o = ctx;
	return o->w != NULL && o->w->progress != NULL
		       ? o->w->progress(o->w->ctx, "copying the database", done, of)
		       : 0;
}

static int write_all(struct writing *o, struct store *s, const json_t *manifest, const char *file)
{
	if (store_backup(s, o->copy, on_step, o, o->e) != 0 || write_members(o, manifest) != 0)
		return -1;
	if (fflush(o->f) != 0 || fsync(fileno(o->f)) != 0)
		return err_sys(o->e, ERR_IO, "cannot write the backup", file);
	return file_place(o->temp, file, o->e);
}

static int begin(struct writing *o, const char *file)
{
	if (file_exists(file)) {
		err_set(o->e, ERR_CREATE, "backup", "%s exists already", file);
		return err_remedy(o->e, "give each its own name, as backup-$(date +%%F).tar");
	}
	if (asprintf(&o->temp, "%s.XXXXXX", file) < 0)
		o->temp = NULL;
	int fd = o->temp != NULL ? mkostemp(o->temp, O_CLOEXEC) : -1;
	if (fd < 0) {
		free(o->temp);
		o->temp = NULL;
		return err_sys(o->e, ERR_CREATE, "backup", file);
	}
	o->f = fdopen(fd, "wb");
	if (o->f == NULL)
		close(fd);
	if (asprintf(&o->copy, "%s.db", o->temp) < 0)
		o->copy = NULL;
	return o->f != NULL && o->copy != NULL ? 0 : no_memory(o->e);
}

static void end(struct writing *o)
{
	if (o->f != NULL)
		fclose(o->f);
	if (o->temp != NULL)
		unlink(o->temp);
	if (o->copy != NULL)
		unlink(o->copy);
	free(o->temp);
	free(o->copy);
	buf_release(&o->sums);
}

static json_t *manifest_of(struct inventory *v)
{
	char host[MACHINE_NAME_MAX], when[CLOCK_TEXT];
	ms_t now = clock_now();
	machine_name(host);
	clock_utc(now, when);
	return json_pack("{s:s, s:i, s:s, s:I, s:s, s:s, s:s, s:O, s:O}", "about", BACKUP_ABOUT, "format",
		BACKUP_FORMAT, "made", when, "made_ms", (json_int_t)now, "host", host, "version",
		POSTRIDER_VERSION, "folder", v->folder, "files", v->files, "not_copied", v->left_out);
}

int backup_write(struct store *s, const struct config *cfg, const char *file, const struct backup_watch *w,
	json_t **manifest, struct err *e)
{
	struct writing o = {.sums = BUF_INIT(4 << 20), .w = w, .e = e};
	char *conf = absolute(cfg->path != NULL ? cfg->path : "postrider.conf");
	struct inventory v = {conf, json_array(), json_array(), e};
	int rc = v.folder != NULL && v.files != NULL && v.left_out != NULL ? 0 : no_memory(e);
	*manifest = NULL;
	if (rc == 0) {
		char *slash = strrchr(v.folder, '/');
		slash[slash == v.folder] = '\0';
		rc = take_stock(&v, cfg);
	}
	if (rc == 0 && (*manifest = manifest_of(&v)) == NULL)
		rc = no_memory(e);
	if (rc == 0)
		rc = begin(&o, file);
	if (rc == 0)
		rc = write_all(&o, s, *manifest, file);
	end(&o);
	if (rc != 0) {
		json_decref(*manifest);
		*manifest = NULL;
	}
	json_decref(v.files);
	json_decref(v.left_out);
	free(conf);
	return rc;
}
