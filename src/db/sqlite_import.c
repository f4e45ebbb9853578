#include "src/db/sqlite_import.h"

#include "src/base/fault.h"
#include "src/db/lease.h"
#include "src/db/lists.h"

#include <stdio.h>
#include <stdlib.h>

static void import_free(struct import **imp)
{
	struct import *im = *imp;
	if (im == NULL)
		return;
	*imp = NULL;
	free(im->seen);
	free(im->recent);
	free(im->attrs);
	free(im->file);
	stoplist_release(&im->stop);
	free(im->index.bits);
	arena_release(&im->added_text);
	buf_release(&im->merged);
	buf_release(&im->staged);
	free(im);
}

struct import_life { /* a row of the table import */
	int64_t id, list, at, state, first;
	struct holder by;
};

/* The one that is not over, if there is one. */
static int unfinished(struct store *s, struct import_life *out, struct err *e)
{
	*out = (struct import_life){0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT id, list, at, state, first, " HOLDER_COLUMNS
		" FROM import WHERE state < 2 ORDER BY id LIMIT 1",
		"");
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	*out = (struct import_life){
		col_int(st, 0), col_int(st, 1), col_int(st, 2), col_int(st, 3), col_int(st, 4), {.pid = 0}};
	holder_read(st, 5, &out->by);
	db_done(st);
	return 1;
}

static int mark_ours(struct store *s, int64_t id, struct err *e)
{
	struct holder h;
	holder_self(&h, "import");
	return db_run(s, e,
		"UPDATE import SET host = ?, boot = ?, pid = ?, pid_start = ?, heartbeat = ? WHERE id = ?",
		"zziiii", h.host, h.boot, h.pid, h.pid_start, clock_now(), id);
}

int store_import_recover(struct store *s, struct err *e)
{
	struct import_life left;
	int rc = unfinished(s, &left, e);
	if (rc <= 0 || holder_there(&left.by, clock_now()))
		return rc < 0 ? -1 : 0;
	if (db_begin(s, e) < 0)
		return -1;
	/* Again, now that nobody else can take it up at the same time. */
	rc = unfinished(s, &left, e);
	bool ours = rc == 1 && !holder_there(&left.by, clock_now());
	if (ours)
		rc = mark_ours(s, left.id, e);
	if (db_end(s, rc, e) < 0)
		return -1;
	if (!ours)
		return 0;
	return left.state == IMPORT_FINISHING ? import_apply(s, left.id, left.list, left.at, e)
					      : import_sweep(s, left.id, left.list, left.first, e);
}

/* The list by its name, made (but not shown) where there is none. */
static int find_list(struct store *s, struct import *im, struct str name, bool *created, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e, "SELECT id, gone FROM list WHERE name = ?", "s", name);
	int rc = db_step(s, st, e);
	*created = true;
	if (rc == 1) {
		im->list = col_int(st, 0);
		*created = col_int(st, 1) != 0;
		db_done(st);
	} else if (rc == 0) {
		rc = db_run(
			s, e, "INSERT INTO list(name, created, gone) VALUES(?, ?, 1)", "si", name, im->now);
		im->list = sqlite3_last_insert_rowid(s->db);
	}
	return rc < 0 ? -1 : 0;
}

static int begin(
	struct store *s, const struct import_options *o, struct import *im, bool *created, struct err *e)
{
	struct import_life other;
	struct holder h;
	int64_t source, any;
	int rc = unfinished(s, &other, e);
	if (rc == 1) {
		err_set(e, ERR_AGAIN, "import", "another import runs (pid %lld on %s)",
			(long long)other.by.pid, other.by.host);
		return err_remedy(e, "nothing was imported: try again when it is done");
	}
	if (rc < 0 || find_list(s, im, o->list, created, e) < 0 || name_id(s, o->source, &source, e) < 0 ||
		db_int(s, e, &im->last, "SELECT max(id) FROM contact", "") < 0)
		return -1;
	im->first = im->last + 1;
	rc = db_int(s, e, &any, "SELECT 1 FROM address LIMIT 1", "");
	if (rc < 0)
		return -1;
	im->alone = rc == 0;
	holder_self(&h, "import");
	if (db_run(s, e,
		    "INSERT INTO import(list, file, source, consent_at, at, first, host, boot, pid, "
		    "pid_start, heartbeat) "
		    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "isiiiizziii", im->list, o->file, source, o->consent_at, o->now, im->first, h.host,
		    h.boot, h.pid, h.pid_start, clock_now()) < 0)
		return -1;
	im->id = sqlite3_last_insert_rowid(s->db);
	return db_run(s, e, "INSERT INTO pending_import(id) VALUES(?)", "i", im->id);
}

int store_import_begin(
	struct store *s, const struct import_options *o, struct import **out, bool *created, struct err *e)
{
	bool is_new = false;
	*out = NULL;
	if (store_import_recover(s, e) < 0)
		return -1;
	struct import *im = calloc(1, sizeof *im);
	if (im == NULL)
		return db_nomem(e);
	im->on_duplicate = o->on_duplicate;
	im->sync = o->sync;
	im->now = o->now;
	im->recent = calloc(RECENT_CAP, sizeof *im->recent);
	im->file = strndup(o->file.p != NULL ? o->file.p : "", o->file.n);
	arena_init(&im->added_text, 64 << 10, 1u << 30);
	buf_init(&im->merged, 1u << 30);
	buf_init(&im->staged, 1u << 30);
	int rc = im->recent == NULL || im->file == NULL ? db_nomem(e) : db_begin(s, e);
	if (rc == 0)
		rc = db_end(s, begin(s, o, im, &is_new, e), e);
	/* Members of a list of that name that was being deleted. */
	if (rc == 0 && is_new && list_clear(s, im->list, e) < 0) {
		import_sweep(s, im->id, im->list, im->first, NULL);
		rc = -1;
	}
	/* The rows are not promised to anybody before the commit, which syncs all that came before it. */
	if (rc == 0)
		rc = db_script(s, "PRAGMA synchronous = NORMAL", e);
	if (rc < 0) {
		import_free(&im);
		return -1;
	}
	if (created != NULL)
		*created = is_new;
	*out = im;
	return 0;
}

/* ---- Names of attributes ---- */

static int import_attr(struct store *s, struct import *im, struct str name, int64_t *id, struct err *e)
{
	*id = store_attr_id(s, name, false, e);
	if (*id != 0)
		return *id < 0 ? -1 : 0;
	*id = attr_hidden(s, name, true, e);
	if (*id < 0)
		return -1;
	if (im->nattrs == im->attr_cap) {
		size_t cap = im->attr_cap * 2 + 64;
		int64_t *v = realloc(im->attrs, cap * sizeof *v);
		if (v == NULL)
			return db_nomem(e);
		im->attrs = v;
		im->attr_cap = cap;
	}
	im->attrs[im->nattrs++] = *id;
	return 0;
}

int64_t store_import_attr(struct store *s, struct import *im, struct str name, struct err *e)
{
	int64_t id;
	if (name.n == 0)
		return err_set(e, ERR_DATA, "attribute", "a name is needed");
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, import_attr(s, im, name, &id, e), e) < 0 ? -1 : id;
}

/* ---- --sync: who is on the list and not in the file ---- */

struct leavers {
	int64_t n, after, ids[2000];
	bool more;
};

static int leavers_page(struct store *s, const struct import *im, struct leavers *l, struct err *e)
{
	int rc, looked = 0;
	l->n = 0;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT contact FROM member WHERE list = ? AND contact > ? AND" VISIBLE(
			"born") "ORDER BY contact LIMIT 2000",
		"ii", im->list, l->after);
	if (st == NULL)
		return -1;
	for (; (rc = db_step(s, st, e)) == 1; looked++) {
		l->after = col_int(st, 0);
		if (!import_seen(im, l->after))
			l->ids[l->n++] = l->after;
	}
	l->more = looked == 2000;
	return rc;
}

int store_import_leavers(struct store *s, struct import *im, int64_t *leaving, int64_t *of, struct err *e)
{
	struct leavers l = {.more = true};
	*leaving = *of = 0;
	while (l.more) {
		if (leavers_page(s, im, &l, e) < 0)
			return -1;
		*leaving += l.n;
	}
	return db_int(s, e, of, "SELECT members FROM list WHERE id = ? AND gone = 0", "i", im->list) < 0 ? -1
													 : 0;
}

static int stage_leavers(struct store *s, struct import *im, struct err *e)
{
	struct leavers l = {.more = true};
	while (l.more) {
		if (leavers_page(s, im, &l, e) < 0)
			return -1;
		if (l.n == 0)
			continue;
		if (import_slice_begin(s, im, e) < 0)
			return -1;
		int rc = 0;
		for (int64_t i = 0; i < l.n && rc == 0; i++)
			rc = db_run(s, e,
				"INSERT OR REPLACE INTO import_change(contact, leaves) VALUES(?, 1)", "i",
				l.ids[i]);
		if (import_slice_end(s, rc, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- The end ---- */

static int show(struct store *s, struct import *im, struct err *e)
{
	int64_t list = im->list, joined;
	if (db_run(s, e, "DELETE FROM pending_import WHERE id = ?", "i", im->id) < 0 ||
		db_run(s, e, "UPDATE import SET state = 1, members = members + ? WHERE id = ?", "ii",
			im->members, im->id) < 0 ||
		db_run(s, e,
			"UPDATE list SET title = '', list_id = '', members = 0, created = ?, gone = 0 WHERE "
			"id = ? AND gone = 1",
			"ii", im->now, list) < 0 ||
		db_int(s, e, &joined, "SELECT members FROM import WHERE id = ?", "i", im->id) < 0 ||
		db_run(s, e, "UPDATE list SET members = members + ? WHERE id = ?", "ii", joined, list) < 0)
		return -1;
	for (size_t i = 0; i < im->nattrs; i++)
		if (attr_show(s, im->attrs[i], e) < 0)
			return -1;
	struct list_row l;
	if (store_list_by_id(s, list, &l, e) < 0)
		return -1;
	return history_note(s, im->now, "import", l.name, e, "%s: %lld joined", im->file, (long long)joined);
}

int store_import_commit(struct store *s, struct import **imp, struct err *e)
{
	struct import *im = *imp;
	if (im->failed)
		return err_set(e, ERR_INTERNAL, "import", "a part of it failed; it can only be taken back");
	if (import_index(s, im, e) < 0 || (im->sync && stage_leavers(s, im, e) < 0) ||
		db_script(s, "PRAGMA synchronous = FULL", e) < 0)
		return -1;
	if (import_slice_begin(s, im, e) < 0)
		return -1;
	fault_point("import-shown-before");
	if (import_slice_end(s, show(s, im, e), e) < 0)
		return -1;
	fault_point("import-shown-after");
	int rc = import_apply(s, im->id, im->list, im->now, e);
	import_free(imp);
	return rc;
}

int store_import_abort(struct store *s, struct import **imp, struct err *e)
{
	struct import *im = *imp;
	if (im == NULL)
		return 0;
	if (s->depth > 0)
		db_rollback(s);
	int rc = import_sweep(s, im->id, im->list, im->first, e);
	import_free(imp);
	if (db_script(s, "PRAGMA synchronous = FULL", e) < 0)
		rc = -1;
	return rc;
}
