#include "src/db/sqlite.h"

#include "src/db/audience.h"
#include "src/db/lists.h"

#include <stdlib.h>

#define LIST_COLUMNS "SELECT id, name, title, list_id, members, created FROM list "

static void read_list(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct list_row *)one = (struct list_row){
		.id = col_int(st, 0),
		.name = arena_str(a, col_str(st, 1)),
		.title = arena_str(a, col_str(st, 2)),
		.list_id = arena_str(a, col_str(st, 3)),
		.members = col_int(st, 4),
		.mailable = -1,
		.created = col_int(st, 5),
	};
}

int store_list_get(struct store *s, struct str name, struct list_row *out, struct err *e)
{
	int rc = row_lend(s, LENT_LIST, db_query(s, e, LIST_COLUMNS "WHERE name = ? AND gone = 0", "s", name),
		read_list, out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "list", "there is no list \"%.*s\"", STR_ARG(name));
	return rc < 0 ? -1 : 0;
}

int store_list_by_id(struct store *s, int64_t id, struct list_row *out, struct err *e)
{
	int rc = row_lend(s, LENT_LIST, db_query(s, e, LIST_COLUMNS "WHERE id = ? AND gone = 0", "i", id),
		read_list, out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "list", "there is no such list");
	return rc < 0 ? -1 : 0;
}

struct clearing {
	int64_t list, after; /* a contact */
};

/* Takes visible members off a list that is gone. */
static int clear_slice(struct store *s, void *ctx, struct err *e)
{
	enum { SLICE = 500 };
	struct clearing *w = ctx;
	int64_t ids[SLICE], gone;
	int n = 0;
	/* Another process may have made it anew since the last slice: who is on it now stays. */
	int rc = db_int(s, e, &gone, "SELECT gone FROM list WHERE id = ?", "i", w->list);
	if (rc < 0 || gone == 0)
		return rc < 0 ? -1 : 0;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT contact FROM member WHERE list = ? AND contact > ? AND" VISIBLE(
			"born") "ORDER BY contact LIMIT ?",
		"iii", w->list, w->after, (int64_t)SLICE);
	while ((rc = db_step(s, st, e)) == 1)
		ids[n++] = col_int(st, 0);
	for (int i = 0; rc == 0 && i < n; i++) {
		rc = db_run(s, e, "DELETE FROM member WHERE list = ? AND contact = ?", "ii", w->list, ids[i]);
		if (rc == 0)
			rc = contact_settle(s, ids[i], e);
		w->after = ids[i];
	}
	return rc < 0 ? -1 : n == SLICE;
}

int list_clear(struct store *s, int64_t list, struct err *e)
{
	struct clearing w = {.list = list};
	return db_slices(s, clear_slice, &w, e);
}

static int name_taken(struct store *s, struct str name, int64_t *other, bool *gone, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e, "SELECT id, gone FROM list WHERE name = ?", "s", name);
	int rc = db_step(s, st, e);
	if (rc == 1) {
		*other = col_int(st, 0);
		*gone = col_int(st, 1) != 0;
		db_done(st);
	}
	return rc;
}

static int rename_list(struct store *s, int64_t id, struct str name, struct err *e)
{
	int64_t other = 0;
	bool gone = false;
	struct list_row l;
	int rc = store_list_by_id(s, id, &l, e);
	if (rc == 0)
		rc = name_taken(s, name, &other, &gone, e);
	if (rc < 0 || (rc == 1 && other == id))
		return rc < 0 ? -1 : 0;
	if (rc == 1 && !gone)
		return err_set(e, ERR_DATA, "list", "\"%.*s\" exists already", STR_ARG(name));
	/* Suppressions of a deleted list of that name stay with the name: they now count for this list, too.
	 */
	if (rc == 1) {
		if (db_run(s, e, "UPDATE OR IGNORE suppression SET list = ? WHERE list = ?", "ii", id,
			    other) < 0 ||
			db_run(s, e, "UPDATE list SET name = name || '#' || id WHERE id = ?", "i", other) < 0)
			return -1;
	}
	if (db_run(s, e, "UPDATE list SET name = ? WHERE id = ?", "si", name, id) < 0)
		return -1;
	return history_note(s, clock_now(), "list rename", l.name, e, "now %.*s", STR_ARG(name));
}

int store_list_rename(struct store *s, int64_t id, struct str name, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, rename_list(s, id, name, e), e);
}

int store_list_set(
	struct store *s, int64_t id, const struct str *title, const struct str *list_id, struct err *e)
{
	struct list_row l;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = store_list_by_id(s, id, &l, e);
	if (rc == 0 && title != NULL)
		rc = db_run(s, e, "UPDATE list SET title = ? WHERE id = ?", "si", *title, id);
	if (rc == 0 && list_id != NULL)
		rc = db_run(s, e, "UPDATE list SET list_id = ? WHERE id = ?", "si", *list_id, id);
	if (rc == 0)
		rc = history_note(s, clock_now(), "list set", l.name, e, "%s%.*s%s%.*s",
			title != NULL ? "title=" : "", STR_ARG(title != NULL ? *title : STR("")),
			list_id != NULL ? " id=" : "", STR_ARG(list_id != NULL ? *list_id : STR("")));
	return db_end(s, rc, e);
}

int store_list_delete(struct store *s, int64_t id, struct err *e)
{
	struct list_row l;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = store_list_by_id(s, id, &l, e);
	if (rc == 0)
		rc = db_run(s, e, "UPDATE list SET gone = 1, members = 0 WHERE id = ?", "i", id);
	if (rc == 0)
		rc = history_note(
			s, clock_now(), "list delete", l.name, e, "%lld members", (long long)l.members);
	if (db_end(s, rc, e) < 0)
		return -1;
	return list_clear(s, id, e);
}

static int count_mailable(struct store *s, struct list_row *l, struct err *e)
{
	struct audience a = {.lists = {l->id}, .nlists = 1};
	struct selection sel;
	if (store_audience_count(s, &a, &sel, e) < 0)
		return -1;
	l->mailable = sel.audience;
	return 0;
}

int store_lists(struct store *s, bool with_mailable, int (*row)(void *ctx, const struct list_row *l),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct list_row),
		db_query(s, e, LIST_COLUMNS "WHERE gone = 0 ORDER BY name", ""), read_list, e);
	for (struct list_row *l; (l = rows_next(&all, rc)) != NULL;) {
		if (with_mailable)
			rc = count_mailable(s, l, e);
		if (rc == 0)
			rc = row(ctx, l);
	}
	return rc;
}
