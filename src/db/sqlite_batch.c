/* Rows in memory as the table `batch`, so that one statement takes many of them: its columns a to h are what
 * the batch at hand says. Where it is joined, it goes first (CROSS JOIN): it can only be walked. */
#include "src/db/sqlite.h"

struct batch_cursor {
	sqlite3_vtab_cursor base;
	const struct batch *of;
	size_t at;
};

struct batch_table {
	sqlite3_vtab base;
	struct store *store;
};

static int connect_table(
	sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **err)
{
	(void)argc, (void)argv, (void)err;
	int rc = sqlite3_declare_vtab(db, "CREATE TABLE batch(a, b, c, d, e, f, g, h)");
	struct batch_table *t = rc == SQLITE_OK ? sqlite3_malloc(sizeof *t) : NULL;
	if (t == NULL)
		return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
	*t = (struct batch_table){.store = aux};
	*out = &t->base;
	return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *t)
{
	sqlite3_free(t);
	return SQLITE_OK;
}

static int best_index(sqlite3_vtab *t, sqlite3_index_info *info)
{
	(void)t;
	info->estimatedCost = info->estimatedRows = 1000;
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *t, sqlite3_vtab_cursor **out)
{
	struct batch_cursor *c = sqlite3_malloc(sizeof *c);
	if (c == NULL)
		return SQLITE_NOMEM;
	*c = (struct batch_cursor){.of = &((struct batch_table *)t)->store->batch};
	*out = &c->base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *c)
{
	sqlite3_free(c);
	return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *c, int n, const char *text, int argc, sqlite3_value **argv)
{
	(void)n, (void)text, (void)argc, (void)argv;
	((struct batch_cursor *)c)->at = 0;
	return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *c)
{
	((struct batch_cursor *)c)->at++;
	return SQLITE_OK;
}

static int eof(sqlite3_vtab_cursor *c)
{
	const struct batch_cursor *b = (const struct batch_cursor *)c;
	return b->at >= b->of->n;
}

static int column(sqlite3_vtab_cursor *c, sqlite3_context *out, int i)
{
	const struct batch_cursor *b = (const struct batch_cursor *)c;
	b->of->column(out, b->of->rows, b->at, i);
	return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *c, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)((const struct batch_cursor *)c)->at;
	return SQLITE_OK;
}

int batch_table(struct store *s)
{
	static const sqlite3_module module = {.xConnect = connect_table,
		.xBestIndex = best_index,
		.xDisconnect = disconnect,
		.xOpen = open_cursor,
		.xClose = close_cursor,
		.xFilter = filter,
		.xNext = next,
		.xEof = eof,
		.xColumn = column,
		.xRowid = rowid};
	return sqlite3_create_module(s->db, "batch", &module, s) == SQLITE_OK ? 0 : -1;
}
