/* What waits behind an import: changes to people who were there before (after its commit), or the removal of
 * everything it wrote (without one). Both go in slices and can be cut short and begun again at any point. */
#include "src/db/sqlite.h"

#include "src/db/attrs.h"

#include <stdlib.h>

enum { ARG_IMPORT, ARG_LIST, ARG_AT, ARG_CURSOR, ARG_END, ARG_N };

static int leave(struct store *s, int64_t list, int64_t contact, struct err *e)
{
	if (db_run(s, e, "DELETE FROM member WHERE list = ? AND contact = ?", "ii", list, contact) < 0)
		return -1;
	if (sqlite3_changes64(s->db) != 0 &&
		db_run(s, e, "UPDATE list SET members = members - 1 WHERE id = ?", "i", list) < 0)
		return -1;
	return contact_settle(s, contact, e);
}

static int change(struct store *s, int64_t contact, struct str over, ms_t at, struct err *e)
{
	sqlite3_stmt *st =
		db_query(s, e, "SELECT attrs FROM contact WHERE id = ? AND address <> ''", "i", contact);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	struct buf merged = BUF_INIT(1u << 30);
	attrs_merge(&merged, col_str(st, 0), over);
	db_done(st);
	rc = merged.failed ? db_nomem(e) : 0;
	if (rc == 0)
		rc = db_run(s, e, "UPDATE contact SET attrs = ?, changed = ?, removed = 0 WHERE id = ?",
			"bii", buf_get(&merged), at, contact);
	buf_release(&merged);
	return rc;
}

static int apply_one(struct store *s, const int64_t *arg, struct buf *attrs, struct err *e)
{
	sqlite3_stmt *st = db_query(
		s, e, "SELECT contact, leaves, attrs FROM import_change ORDER BY contact LIMIT 1", "");
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	int64_t contact = col_int(st, 0);
	bool leaves = col_int(st, 1) != 0;
	buf_clear(attrs);
	buf_str(attrs, col_str(st, 2));
	db_done(st);
	rc = attrs->failed ? db_nomem(e)
	     : leaves      ? leave(s, arg[ARG_LIST], contact, e)
			   : change(s, contact, buf_get(attrs), arg[ARG_AT], e);
	if (rc == 0)
		rc = db_run(s, e, "DELETE FROM import_change WHERE contact = ?", "i", contact);
	return rc < 0 ? -1 : 1;
}

static int apply_slice(struct store *s, void *ctx, struct err *e)
{
	const int64_t *arg = ctx;
	struct buf attrs = BUF_INIT(1u << 30);
	ms_t began = clock_mono();
	int rc = 1;
	for (int n = 0; rc == 1 && (n % 32 != 0 || n == 0 || !db_slice_over(began)); n++)
		rc = apply_one(s, arg, &attrs, e);
	buf_release(&attrs);
	return rc;
}

static int suppress_slice(struct store *s, void *ctx, struct err *e)
{
	const int64_t *arg = ctx;
	for (int n = 0; n < 500; n++) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT key, list, reason, evidence, created FROM import_suppression LIMIT 1", "");
		int rc = db_step(s, st, e);
		if (rc <= 0)
			return rc;
		struct arena a;
		arena_init(&a, 1024, 1u << 24);
		struct suppression sup = {.key = arena_str(&a, col_str(st, 0)),
			.list = col_int(st, 1),
			.reason = (enum suppress_reason)col_int(st, 2),
			.evidence = arena_str(&a, col_str(st, 3)),
			.created = col_int(st, 4)};
		db_done(st);
		rc = a.failed ? db_nomem(e) : suppression_put(s, &sup, arg[ARG_IMPORT], e);
		if (rc >= 0)
			rc = db_run(s, e,
				"DELETE FROM import_suppression WHERE hash = ? AND list = ? AND key = ?",
				"iis", (int64_t)hash64(sup.key), sup.list, sup.key);
		arena_release(&a);
		if (rc < 0)
			return -1;
	}
	return 1;
}

int import_apply(struct store *s, int64_t id, int64_t list, ms_t at, struct err *e)
{
	int64_t arg[ARG_N] = {[ARG_IMPORT] = id, [ARG_LIST] = list, [ARG_AT] = at};
	if (db_slices(s, suppress_slice, arg, e) < 0 || db_slices(s, apply_slice, arg, e) < 0)
		return -1;
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, db_run(s, e, "UPDATE import SET state = 2 WHERE id = ?", "i", id), e);
}

/* ---- Taking back ---- */

/* A window of contact numbers, so that a slice is short even where the import wrote little among much. */
static int sweep_members(struct store *s, void *ctx, struct err *e)
{
	int64_t *arg = ctx;
	if (arg[ARG_CURSOR] > arg[ARG_END])
		return 0;
	int64_t upto = arg[ARG_CURSOR] + 5000;
	if (db_run(s, e, "DELETE FROM member WHERE list = ? AND contact >= ? AND contact < ? AND born = ?",
		    "iiii", arg[ARG_LIST], arg[ARG_CURSOR], upto, arg[ARG_IMPORT]) < 0)
		return -1;
	arg[ARG_CURSOR] = upto;
	return 1;
}

static int sweep_contact(struct store *s, int64_t contact, struct err *e)
{
	sqlite3_stmt *st =
		db_query(s, e, "SELECT coalesce(key, address) FROM contact WHERE id = ?", "i", contact);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	int64_t hash = (int64_t)hash64(col_str(st, 0));
	db_done(st);
	if (db_run(s, e, "DELETE FROM address WHERE hash = ? AND contact = ?", "ii", hash, contact) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM contact WHERE id = ?", "i", contact);
}

static int sweep_contacts(struct store *s, void *ctx, struct err *e)
{
	int64_t *arg = ctx;
	enum { SLICE = 1000 };
	int64_t ids[SLICE];
	int n = 0, rc;
	sqlite3_stmt *st = db_query(s, e, "SELECT id FROM contact WHERE id >= ? AND id < ? AND born = ?",
		"iii", arg[ARG_CURSOR], arg[ARG_CURSOR] + SLICE, arg[ARG_IMPORT]);
	while ((rc = db_step(s, st, e)) == 1)
		ids[n++] = col_int(st, 0);
	for (int i = 0; rc == 0 && i < n; i++)
		rc = sweep_contact(s, ids[i], e);
	arg[ARG_CURSOR] += SLICE;
	return rc < 0 ? -1 : arg[ARG_CURSOR] <= arg[ARG_END];
}

static int sweep_suppressions(struct store *s, void *ctx, struct err *e)
{
	int64_t *arg = ctx;
	int64_t last;
	int rc = db_int(s, e, &last,
		"SELECT max(hash) FROM (SELECT hash FROM suppression WHERE hash > ? ORDER BY hash LIMIT "
		"5000)",
		"i", arg[ARG_CURSOR]);
	if (rc < 0 || db_run(s, e, "DELETE FROM suppression WHERE hash > ? AND hash <= ? AND born = ?", "iii",
			      arg[ARG_CURSOR], last, arg[ARG_IMPORT]) < 0)
		return -1;
	rc = last > arg[ARG_CURSOR];
	arg[ARG_CURSOR] = last;
	return rc;
}

static int sweep_staged(struct store *s, void *unused, struct err *e)
{
	(void)unused;
	if (db_run(s, e,
		    "DELETE FROM import_change WHERE contact IN (SELECT contact FROM import_change LIMIT "
		    "5000)",
		    "") < 0)
		return -1;
	int64_t n = sqlite3_changes64(s->db);
	if (db_run(s, e,
		    "DELETE FROM import_suppression WHERE hash IN (SELECT hash FROM import_suppression LIMIT "
		    "1000)",
		    "") < 0)
		return -1;
	return n != 0 || sqlite3_changes64(s->db) != 0;
}

int import_sweep(struct store *s, int64_t id, int64_t list, int64_t first, struct err *e)
{
	int64_t arg[ARG_N] = {[ARG_IMPORT] = id, [ARG_LIST] = list};
	if (db_int(s, e, &arg[ARG_END], "SELECT max(id) FROM contact", "") < 0)
		return -1;
	if (db_slices(s, sweep_members, arg, e) < 0)
		return -1;
	arg[ARG_CURSOR] = first;
	if (db_slices(s, sweep_contacts, arg, e) < 0)
		return -1;
	arg[ARG_CURSOR] = INT64_MIN;
	if (db_slices(s, sweep_suppressions, arg, e) < 0 || db_slices(s, sweep_staged, arg, e) < 0)
		return -1;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "UPDATE import SET state = 3 WHERE id = ?", "i", id);
	if (rc == 0)
		rc = db_run(s, e, "DELETE FROM pending_import WHERE id = ?", "i", id);
	return db_end(s, rc, e);
}
