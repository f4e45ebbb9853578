/* The file as a whole: copying it, and looking at every page of it. */
#include "src/db/sqlite.h"

#include "src/db/check.h"
#include "src/db/copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct copying {
	struct store *s;
	sqlite3 *to;
	int (*step)(void *ctx, int64_t done, int64_t of);
	void *ctx;
};

enum { PAGES = 1024 };

static int tell(const struct copying *c, sqlite3_backup *b, struct err *e)
{
	int64_t of = sqlite3_backup_pagecount(b), done = of - sqlite3_backup_remaining(b);
	if (c->step == NULL || c->step(c->ctx, done * 4096, of * 4096) == 0)
		return 0;
	return err_set(e, ERR_AGAIN, "interrupted", "nothing was changed");
}

static int copy_pages(const struct copying *c, struct err *e)
{
	sqlite3_backup *b = sqlite3_backup_init(c->to, "main", c->s->db, "main");
	if (b == NULL)
		return err_set(e, ERR_IO, "backup", "%s", sqlite3_errmsg(c->to));
	int rc, told = 0;
	do {
		rc = sqlite3_backup_step(b, PAGES);
		if (rc == SQLITE_OK)
			told = tell(c, b, e);
	} while (rc == SQLITE_OK && told == 0);
	sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE || told != 0)
		return told;
	return err_set(e, (rc & 0xff) == SQLITE_BUSY ? ERR_AGAIN : ERR_IO, "backup", "%s",
		(rc & 0xff) == SQLITE_FULL ? "disk full" : sqlite3_errstr(rc));
}

/* Without a transaction around it, a copy in steps would start over at each commit of others. */
static int copy_at_one_moment(const struct copying *c, struct err *e)
{
	int rc = db_script(c->s, "BEGIN; SELECT count(*) FROM meta", e);
	if (rc == 0)
		rc = copy_pages(c, e);
	if (!sqlite3_get_autocommit(c->s->db) && db_script(c->s, "COMMIT", rc == 0 ? e : NULL) < 0)
		rc = -1;
	return rc;
}

/* It is whole or removed: a journal would only cost time. */
static int open_copy(const char *path, sqlite3 **to, struct err *e)
{
	if (sqlite3_open_v2(path, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
		sqlite3_exec(*to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL, NULL, NULL) ==
			SQLITE_OK)
		return 0;
	return err_set(
		e, ERR_CREATE, "backup", "%s: %s", path, *to != NULL ? sqlite3_errmsg(*to) : "out of memory");
}

int store_backup(struct store *s, const char *path, int (*step)(void *ctx, int64_t done, int64_t of),
	void *ctx, struct err *e)
{
	char *name = NULL;
	struct copying c = {s, NULL, step, ctx};
	if (asprintf(&name, "%s%s", path[0] == '/' || path[0] == '.' ? "" : "./", path) < 0)
		return db_nomem(e);
	int rc = db_create_file(name, e);
	if (rc == 0) {
		rc = open_copy(name, &c.to, e);
		if (rc == 0)
			rc = copy_at_one_moment(&c, e);
		if (sqlite3_close(c.to) != SQLITE_OK && rc == 0)
			rc = err_set(e, ERR_IO, "backup", "%s: cannot be closed", path);
		if (rc < 0)
			unlink(name);
	}
	free(name);
	return rc;
}

struct looking {
	int (*step)(void *ctx, const char *doing, int64_t done, int64_t of);
	void *ctx;
};

static int on_work(void *ctx)
{
	const struct looking *l = ctx;
	return l->step(l->ctx, "checking the database", 0, 0);
}

int store_integrity(struct store *s, int (*step)(void *ctx, const char *doing, int64_t done, int64_t of),
	void *ctx, struct buf *what, struct err *e)
{
	struct looking l = {step, ctx};
	if (step != NULL)
		sqlite3_progress_handler(s->db, 1000000, on_work, &l);
	sqlite3_stmt *st = db_query(s, e, "PRAGMA integrity_check(20)", "");
	int rc = st != NULL ? 1 : -1;
	while (rc == 1 && (rc = db_step(s, st, e)) == 1) {
		if (!str_is(col_str(st, 0), "ok"))
			buf_printf(what, "%s%.*s", what->len > 0 ? "; " : "", STR_ARG(col_str(st, 0)));
	}
	sqlite3_progress_handler(s->db, 0, NULL, NULL);
	/* A page that cannot be read at all ends the check itself. */
	if (rc < 0 && e != NULL && e->code == ERR_DATA) {
		buf_printf(what, "%s%s", what->len > 0 ? "; " : "", e->why);
		return 0;
	}
	return rc < 0 ? -1 : what->len == 0 && !what->failed;
}
