#include "src/db/sqlite.h"

#include "src/db/history.h"

#include <stdlib.h>

int store_history_add(
	struct store *s, ms_t now, const char *what, struct str object, struct str note, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "INSERT INTO history(at, actor, what, object, note) VALUES(?, ?, ?, ?, ?)",
		"izzss", now, s->actor, what, object, note);
	return db_end(s, rc, e);
}

int history_note(
	struct store *s, ms_t now, const char *what, struct str object, struct err *e, const char *fmt, ...)
{
	struct buf note = BUF_INIT(4096);
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&note, fmt, ap);
	va_end(ap);
	int rc = store_history_add(s, now, what, object, buf_get(&note), e);
	buf_release(&note);
	return rc;
}

static int read_page(struct store *s, ms_t since, int64_t after, struct arena *a, struct history_row *rows,
	int max, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT id, at, actor, what, object, note FROM history WHERE id > ? AND at >= ? ORDER BY id "
		"LIMIT ?",
		"iii", after, since, (int64_t)max);
	int rc, n = 0;
	while ((rc = db_step(s, st, e)) == 1 && n < max)
		rows[n++] = (struct history_row){
			.id = col_int(st, 0),
			.at = col_int(st, 1),
			.actor = arena_str(a, col_str(st, 2)),
			.what = arena_str(a, col_str(st, 3)),
			.object = arena_str(a, col_str(st, 4)),
			.note = arena_str(a, col_str(st, 5)),
		};
	db_done(st);
	if (rc < 0 || a->failed)
		return rc < 0 ? -1 : db_nomem(e);
	return n;
}

int store_history(struct store *s, ms_t since, int (*row)(void *ctx, const struct history_row *h), void *ctx,
	struct err *e)
{
	enum { PAGE = 200 };
	struct history_row *rows = calloc(PAGE, sizeof *rows);
	struct arena a;
	arena_init(&a, 65536, 64u << 20);
	int64_t after = 0;
	int rc = rows != NULL ? 0 : db_nomem(e), n = PAGE;
	while (rc == 0 && n == PAGE) {
		arena_reset(&a);
		n = read_page(s, since, after, &a, rows, PAGE, e);
		rc = n < 0 ? -1 : 0;
		for (int i = 0; i < n && rc == 0; i++) {
			after = rows[i].id;
			rc = row(ctx, &rows[i]);
		}
	}
	arena_release(&a);
	free(rows);
	return rc;
}
