#include "src/db/sqlite.h"

#include "src/base/fault.h"
#include "src/db/lease.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int(db_nomem)(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "store", "out of memory");
}

int(db_error)(struct store *s, const char *what, struct err *e)
{
	int rc = s->db != NULL ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
	int ext = s->db != NULL ? sqlite3_extended_errcode(s->db) : rc;
	const char *text = s->db != NULL ? sqlite3_errmsg(s->db) : "";
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		err_set(e, ERR_AGAIN, what, "%s: another process is writing to the database", s->path);
		return err_remedy(e, "try again in a moment");
	case SQLITE_FULL:
		err_set(e, ERR_IO, what, "%s: disk full", s->path);
		return err_remedy(e, "make room and repeat the command: nothing that was recorded is lost");
	case SQLITE_CORRUPT:
		err_set(e, ERR_DATA, what, "%s: the database is damaged (%s)", s->path, text);
		return err_remedy(e, "restore a backup");
	case SQLITE_NOTADB:
		return err_set(e, ERR_DATA, what, "%s: not a Postrider database", s->path);
	case SQLITE_CANTOPEN:
		if (s->db != NULL && sqlite3_system_errno(s->db) != 0)
			text = strerror(sqlite3_system_errno(s->db));
		return err_set(e, ERR_CREATE, what, "%s: cannot be opened (%s)", s->path, text);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return err_set(e, ERR_CREATE, what, "%s: cannot write (%s)", s->path, text);
	case SQLITE_INTERRUPT:
		return err_set(e, ERR_AGAIN, "interrupted", "nothing was changed");
	case SQLITE_NOMEM:
		return db_nomem(e);
	case SQLITE_TOOBIG:
		return err_set(e, ERR_DATA, what, "a value is too large");
	case SQLITE_IOERR:
		return err_set(e, ERR_IO, what, "%s: %s (%d)", s->path, text, ext);
	default:
		return err_set(e, ERR_INTERNAL, what, "%s: %s (%d)", s->path, text, ext);
	}
}

static size_t slot_of(const struct store *s, const char *sql)
{
	size_t i = (size_t)(((uintptr_t)sql * 0x9E3779B97F4A7C15ull) >> 20) & (s->stmt_cap - 1);
	while (s->stmts[i].sql != NULL && s->stmts[i].sql != sql)
		i = (i + 1) & (s->stmt_cap - 1);
	return i;
}

static int stmts_grow(struct store *s)
{
	struct stmt_slot *old = s->stmts;
	size_t n = s->stmt_cap, cap = n != 0 ? n * 2 : 256;
	s->stmts = calloc(cap, sizeof *s->stmts);
	if (s->stmts == NULL) {
		s->stmts = old;
		return -1;
	}
	s->stmt_cap = cap;
	for (size_t i = 0; i < n; i++)
		if (old[i].sql != NULL)
			s->stmts[slot_of(s, old[i].sql)] = old[i];
	free(old);
	return 0;
}

sqlite3_stmt *db_stmt(struct store *s, const char *sql, struct err *e)
{
	if (s->nstmts * 2 >= s->stmt_cap && stmts_grow(s) < 0) {
		db_nomem(e);
		return NULL;
	}
	struct stmt_slot *slot = &s->stmts[slot_of(s, sql)];
	if (slot->sql != NULL) {
		assert(!sqlite3_stmt_busy(slot->st));
		return slot->st;
	}
	sqlite3_stmt *st;
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) {
		db_error(s, "store", e);
		return NULL;
	}
	*slot = (struct stmt_slot){sql, st};
	s->nstmts++;
	return st;
}

static void bind_text(sqlite3_stmt *st, int i, struct str v)
{
	sqlite3_bind_text64(st, i, v.p != NULL ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_args(sqlite3_stmt *st, const char *types, va_list ap)
{
	for (int i = 1; *types != '\0'; types++, i++) {
		struct str v;
		int64_t n;
		switch (*types) {
		case 'i':
			sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 't':
			n = va_arg(ap, int64_t);
			if (n != 0)
				sqlite3_bind_int64(st, i, n);
			else
				sqlite3_bind_null(st, i);
			break;
		case 's':
			bind_text(st, i, va_arg(ap, struct str));
			break;
		case 'x':
			v = va_arg(ap, struct str);
			if (v.n != 0)
				bind_text(st, i, v);
			else
				sqlite3_bind_null(st, i);
			break;
		case 'b':
			v = va_arg(ap, struct str);
			sqlite3_bind_blob64(st, i, v.p != NULL ? v.p : "", v.n, SQLITE_STATIC);
			break;
		case 'z':
			bind_text(st, i, str_from(va_arg(ap, const char *)));
			break;
		case 'd':
			sqlite3_bind_double(st, i, va_arg(ap, double));
			break;
		default:
			assert(*types == 'n');
			sqlite3_bind_null(st, i);
		}
	}
}

void db_bind(sqlite3_stmt *st, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	bind_args(st, types, ap);
	va_end(ap);
}

static sqlite3_stmt *query_args(
	struct store *s, struct err *e, const char *sql, const char *types, va_list ap)
{
	sqlite3_stmt *st = db_stmt(s, sql, e);
	if (st != NULL)
		bind_args(st, types, ap);
	return st;
}

sqlite3_stmt *db_query(struct store *s, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = query_args(s, e, sql, types, ap);
	va_end(ap);
	return st;
}

int db_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	if (st == NULL)
		return -1;
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		db_error(s, "store", e);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int db_run(struct store *s, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = query_args(s, e, sql, types, ap);
	va_end(ap);
	int rc = db_step(s, st, e);
	if (rc == 1)
		db_done(st);
	return rc < 0 ? -1 : 0;
}

static int ints(struct store *s, sqlite3_stmt *st, int64_t *out, int n, struct err *e)
{
	int rc = db_step(s, st, e);
	for (int i = 0; i < n; i++)
		out[i] = rc == 1 ? col_int(st, i) : 0;
	if (rc == 1)
		db_done(st);
	return rc;
}

int db_int(struct store *s, struct err *e, int64_t *out, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = query_args(s, e, sql, types, ap);
	va_end(ap);
	return ints(s, st, out, 1, e);
}

int db_ints(struct store *s, struct err *e, int64_t *out, int n, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = query_args(s, e, sql, types, ap);
	va_end(ap);
	return ints(s, st, out, n, e);
}

int db_script(struct store *s, const char *sql, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(s, "store", e);
}

int db_begin(struct store *s, struct err *e)
{
	if (s->depth > 0) {
		s->depth++;
		return 0;
	}
	s->spoilt = false;
	if (db_run(s, e, "BEGIN IMMEDIATE", "") < 0)
		return -1;
	s->depth = 1;
	return 0;
}

void db_rollback(struct store *s)
{
	/* SQLite has rolled back by itself after some errors; then there is nothing left to end. */
	if (!sqlite3_get_autocommit(s->db))
		db_run(s, NULL, "ROLLBACK", "");
	s->depth = 0;
	s->spoilt = false;
	deltas_clear(s);
	prepare_free(&s->prepare);
	/* Ids made in the lost transaction must not be used. */
	idmap_clear(&s->names);
	idmap_clear(&s->domains);
	idmap_clear(&s->attrs);
	names_forget(s);
	memset(s->domain_cache, 0, DOMAIN_CACHE * sizeof *s->domain_cache);
}

int db_end(struct store *s, int rc, struct err *e)
{
	assert(s->depth > 0);
	if (s->depth > 1) {
		s->depth--;
		s->spoilt |= rc < 0;
		return rc;
	}
	if (rc >= 0 && s->spoilt)
		rc = err_set(e, ERR_INTERNAL, "store", "a part of the transaction failed");
	if (rc >= 0 && deltas_flush(s, e) < 0)
		rc = -1;
	if (rc >= 0 && db_run(s, e, "COMMIT", "") < 0)
		rc = -1;
	if (rc < 0)
		db_rollback(s);
	s->depth = 0;
	return rc;
}

void db_pause(struct store *s)
{
	assert(s->depth == 0);
	struct holder h;
	if (store_lease_get(s, clock_now(), &h, NULL) != 1)
		return;
	struct holder self;
	holder_self(&self, "");
	if (h.pid == self.pid && h.pid_start == self.pid_start && strcmp(h.boot, self.boot) == 0 &&
		s->epoch != 0)
		return;
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

bool db_slice_over(ms_t began)
{
	return clock_mono() - began >= 25;
}

int db_slices(struct store *s, db_slice *slice, void *ctx, struct err *e)
{
	for (int rc = 1; rc > 0;) {
		if (db_begin(s, e) < 0)
			return -1;
		fault_point("slice-before");
		rc = db_end(s, slice(s, ctx, e), e);
		fault_point("slice-after");
		if (rc < 0)
			return -1;
		if (s->depth == 0)
			db_pause(s);
	}
	return 0;
}
