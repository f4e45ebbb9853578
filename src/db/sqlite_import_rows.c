/* Imports: the rows.
 *
 * They are written as they come, in slices, and hidden by their import's number (VISIBLE) until its row in
 * pending_import goes. Who is known is looked up for a whole batch, in the order of the index and before any
 * lock is taken; most of a list that is imported again is unchanged and needs no more than that. */
#include "src/db/sqlite_import.h"

#include "src/base/fault.h"
#include "src/db/attrs.h"
#include "src/db/contacts.h"

#include <stdlib.h>

/* ---- A slice ---- */

static int any(struct store *s, bool *out, const char *sql, struct err *e)
{
	int64_t v;
	int rc = db_int(s, e, &v, sql, "");
	*out = rc == 1;
	return rc < 0 ? -1 : 0;
}

int import_slice_begin(struct store *s, struct import *im, struct err *e)
{
	int64_t alive, last;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_int(s, e, &alive, "SELECT 1 FROM pending_import WHERE id = ?", "i", im->id);
	if (rc == 0)
		rc = err_set(
			e, ERR_AGAIN, "import", "another process took this import for dead and removed it");
	else if (rc == 1)
		rc = db_int(s, e, &last, "SELECT max(id) FROM contact", "");
	if (rc >= 0) {
		if (last > im->last) {
			im->strangers = true;
			im->alone = false;
			free(im->index.bits);
			im->index = (struct sieve){0};
		}
		im->last = last > im->last ? last : im->last;
		rc = db_run(s, e, "UPDATE import SET heartbeat = ?, members = members + ? WHERE id = ?",
			"iii", clock_now(), im->members, im->id);
		im->members = 0;
	}
	if (rc >= 0)
		rc = any(s, &im->forgotten, "SELECT 1 FROM forgotten LIMIT 1", e);
	return rc < 0 ? db_end(s, -1, e) : 0;
}

int import_slice_end(struct store *s, int rc, struct err *e)
{
	fault_point("import-batch-before");
	rc = db_end(s, rc, e);
	fault_point("import-batch-after");
	if (rc >= 0)
		db_pause(s);
	return rc;
}

/* ---- New people ---- */

/* Most rows clear nothing and are written as they came. */
static bool clears(struct str attrs)
{
	for (struct attr_iter i = attrs_begin(attrs); attrs_next(&i);)
		if (i.value.n == 0)
			return true;
	return false;
}

static void contact_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct added *a = (const struct added *)rows + i;
	switch (column) {
	case 0:
		sqlite3_result_int64(out, a->id);
		break;
	case 1:
		sqlite3_result_text64(out, a->address.p, a->address.n, SQLITE_STATIC, SQLITE_UTF8);
		break;
	case 2:
		result_str(out, a->key);
		break;
	case 3:
		sqlite3_result_int64(out, a->domain);
		break;
	case 4:
		sqlite3_result_blob64(out, a->attrs.p != NULL ? a->attrs.p : "", a->attrs.n, SQLITE_STATIC);
		break;
	default:
		if (a->added != 0)
			sqlite3_result_int64(out, a->added);
	}
}

static void member_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct added *a = (const struct added *)rows + i;
	const int64_t v[] = {a->id, a->joined, a->source, a->consent_at};
	if (v[column] != 0)
		sqlite3_result_int64(out, v[column]);
}

static int write_added(struct store *s, struct import *im, struct err *e)
{
	if (im->nadded == 0)
		return 0;
	s->batch = (struct batch){im->nadded, im->added, contact_column};
	if (db_run(s, e,
		    "INSERT INTO contact(id, address, key, domain, attrs, added, born) SELECT a, b, c, d, e, "
		    "f, ? FROM batch",
		    "i", im->id) < 0)
		return -1;
	s->batch.column = member_column;
	if (db_run(s, e,
		    "INSERT INTO member(list, contact, born, joined, source, consent_at) SELECT ?, a, ?, b, "
		    "c, d FROM batch WHERE true ON CONFLICT DO NOTHING",
		    "ii", im->list, im->id) < 0)
		return -1;
	im->members += sqlite3_changes64(s->db);
	im->nadded = 0;
	arena_reset(&im->added_text);
	return 0;
}

static int add_contact(struct store *s, struct import *im, int64_t hash, struct import_row *r, struct err *e)
{
	struct added *a = &im->added[im->nadded];
	*a = (struct added){.id = im->last + 1,
		.address = r->address,
		.attrs = r->attrs,
		.added = r->added,
		.joined = r->joined,
		.consent_at = r->consent_at};
	if (!str_eq(r->address, r->key))
		a->key = r->key;
	if (clears(r->attrs)) {
		buf_clear(&im->merged);
		attrs_merge(&im->merged, STR(""), r->attrs);
		a->attrs = arena_str(&im->added_text, buf_get(&im->merged));
		if (im->merged.failed || a->attrs.p == NULL)
			return db_nomem(e);
	}
	if (domain_id(s, r->domain, true, &a->domain, e) < 0 || name_id(s, r->source, &a->source, e) < 0 ||
		import_mark_seen(im, a->id, e) < 0)
		return -1;
	im->last = a->id;
	im->nadded++;
	import_remember(im, hash, a->id);
	r->result = IMPORT_ADDED;
	return im->nadded == ADDED_MAX ? write_added(s, im, e) : 0;
}

/* ---- People who are known ---- */

/* Two sets of changes as one: the later value counts, and "clear" is a value. */
static void changes_join(struct buf *out, struct str first, struct str second)
{
	struct attr_iter a = attrs_begin(first), b = attrs_begin(second);
	bool in_a = attrs_next(&a), in_b = attrs_next(&b);
	while (in_a || in_b) {
		if (in_a && (!in_b || a.id < b.id)) {
			attrs_put(out, a.id, a.value);
			in_a = attrs_next(&a);
			continue;
		}
		attrs_put(out, b.id, b.value);
		if (in_a && a.id == b.id)
			in_a = attrs_next(&a);
		in_b = attrs_next(&b);
	}
}

static int stage_change(struct store *s, struct import *im, int64_t contact, struct str attrs, struct err *e)
{
	buf_clear(&im->staged);
	sqlite3_stmt *st = db_query(s, e, "SELECT attrs FROM import_change WHERE contact = ?", "i", contact);
	int rc = db_step(s, st, e);
	if (rc < 0)
		return -1;
	changes_join(&im->staged, rc == 1 ? col_str(st, 0) : STR(""), attrs);
	db_done(st);
	if (im->staged.failed)
		return db_nomem(e);
	return db_run(s, e, "INSERT OR REPLACE INTO import_change(contact, attrs) VALUES(?, ?)", "ib",
		contact, buf_get(&im->staged));
}

/* Puts the person on the list. *joined: they were not on it. */
static int join_list(struct store *s, struct import *im, int64_t contact, const struct import_row *r,
	bool *joined, struct err *e)
{
	int64_t source;
	if (name_id(s, r->source, &source, e) < 0)
		return -1;
	if (db_run(s, e,
		    "INSERT INTO member(list, contact, born, joined, source, consent_at) VALUES(?, ?, ?, ?, "
		    "?, ?) ON "
		    "CONFLICT DO NOTHING",
		    "iiittt", im->list, contact, im->id, r->joined, source, r->consent_at) < 0)
		return -1;
	*joined = sqlite3_changes64(s->db) != 0;
	im->members += *joined;
	return 0;
}

static int update_contact(
	struct store *s, struct import *im, int64_t contact, struct import_row *r, bool again, struct err *e)
{
	if (contact > im->last - (int64_t)im->nadded && write_added(s, im, e) < 0)
		return -1;
	sqlite3_stmt *st =
		db_query(s, e, "SELECT attrs, removed, born FROM contact WHERE id = ?", "i", contact);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	buf_clear(&im->merged);
	bool changed = attrs_merge(&im->merged, col_str(st, 0), r->attrs), removed = col_int(st, 1) != 0;
	bool ours = col_int(st, 2) == im->id;
	db_done(st);
	if (im->merged.failed)
		return db_nomem(e);
	/* Said again in this file, it may only undo what the file said before. */
	if (ours && changed)
		rc = db_run(s, e, "UPDATE contact SET attrs = ? WHERE id = ?", "bi", buf_get(&im->merged),
			contact);
	else if (!ours && (changed || removed || again))
		rc = stage_change(s, im, contact, r->attrs, e);
	bool joined;
	if (rc < 0 || join_list(s, im, contact, r, &joined, e) < 0)
		return -1;
	r->result = changed || removed || joined ? IMPORT_UPDATED : IMPORT_UNCHANGED;
	return 0;
}

/* ---- Suppressions ---- */

static int suppress_row(struct store *s, struct import *im, const struct import_row *r, struct err *e)
{
	static const enum suppress_reason reasons[] = {[IMPORT_UNSUBSCRIBED] = SUPPRESS_UNSUBSCRIBE,
		[IMPORT_BOUNCED] = SUPPRESS_HARD_BOUNCE,
		[IMPORT_COMPLAINED] = SUPPRESS_COMPLAINT};
	struct suppression sup = {.key = r->key,
		.list = r->status == IMPORT_UNSUBSCRIBED ? im->list : 0,
		.reason = reasons[r->status],
		.evidence = str_from(im->file),
		.created = im->now};
	int64_t hash = (int64_t)hash64(r->key), had;
	int rc = db_int(s, e, &had,
		"SELECT reason * 2 + (held_until <> 0) FROM suppression WHERE hash = ? AND list = ? AND key "
		"= ? AND born <> ?",
		"iisi", hash, sup.list, sup.key, im->id);
	bool held = had % 2 != 0;
	if (rc == 1 &&
		(held || suppression_rank(sup.reason) > suppression_rank((enum suppress_reason)(had / 2))))
		return db_run(s, e,
			"INSERT OR REPLACE INTO import_suppression(hash, list, key, reason, evidence, "
			"created) VALUES(?, ?, ?, ?, ?, ?)",
			"iisisi", hash, sup.list, sup.key, (int64_t)sup.reason, sup.evidence, sup.created);
	return rc == 0 ? (suppression_put(s, &sup, im->id, e) < 0 ? -1 : 0) : rc < 0 ? -1 : 0;
}

static int mark_suppressed(struct store *s, struct import *im, struct import_row *r, struct err *e)
{
	int64_t domain;
	if (r->status != IMPORT_SUBSCRIBED) {
		r->suppressed = true;
		return suppress_row(s, im, r, e);
	}
	if (!im->stop.any)
		return 0;
	if (domain_id(s, r->domain, true, &domain, e) < 0)
		return -1;
	int rc = stoplist_says(s, &im->stop, r->key, domain, im->list, e);
	r->suppressed = rc > 0;
	return rc < 0 ? -1 : 0;
}

/* ---- A batch ---- */

struct known {                 /* of a row, before its slice */
	int64_t hash, contact; /* contact 0: not in the index */
	bool settled;          /* has these attributes and is on the list */
};

struct lookup {
	const struct import_row *rows;
	const struct hashed *order; /* n is the row; hash: of its key, then the contact's id */
};

static void lookup_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct lookup *l = rows;
	if (column == 0)
		sqlite3_result_int64(out, l->order[i].hash);
	else
		result_str(out, l->rows[l->order[i].n].key);
}

enum { AT_ONCE = 4096 }; /* of one read snapshot */

static size_t page(size_t at, size_t n)
{
	return n - at < AT_ONCE ? n - at : AT_ONCE;
}

struct candidates { /* contacts whose address has the hash of a row's */
	struct hashed *v;
	size_t n, cap;
};

static int candidate(struct candidates *c, int64_t contact, int64_t row, struct err *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap * 2 + AT_ONCE;
		struct hashed *v = realloc(c->v, cap * sizeof *v);
		if (v == NULL)
			return db_nomem(e);
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct hashed){contact, row};
	return 0;
}

static int find_hashes(
	struct store *s, const struct hashed *order, size_t n, struct candidates *out, struct err *e)
{
	int rc;
	s->batch = (struct batch){n, &(struct lookup){NULL, order}, lookup_column};
	sqlite3_stmt *st = db_query(
		s, e, "SELECT b.rowid, a.contact FROM batch b CROSS JOIN address a ON a.hash = b.a", "");
	while ((rc = db_step(s, st, e)) == 1) {
		if (candidate(out, col_int(st, 1), order[col_int(st, 0)].n, e) < 0) {
			db_done(st);
			return -1;
		}
	}
	return rc;
}

static bool is_settled(struct import *im, sqlite3_stmt *st, const struct import_row *r)
{
	buf_clear(&im->merged);
	return col_int(st, 4) != 0 && col_int(st, 2) == 0 && col_int(st, 3) != im->id &&
	       !attrs_merge(&im->merged, col_str(st, 1), r->attrs) && !im->merged.failed;
}

static int look_at(
	struct store *s, struct import *im, const struct lookup *l, size_t n, struct known *k, struct err *e)
{
	int rc;
	s->batch = (struct batch){n, l, lookup_column};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT b.rowid, c.attrs, c.removed, c.born, m.contact IS NOT NULL FROM batch b CROSS JOIN "
		"contact c ON c.id = b.a LEFT JOIN member m ON m.list = ? AND m.contact = c.id WHERE "
		"coalesce(c.key, c.address) = b.b",
		"i", im->list);
	while ((rc = db_step(s, st, e)) == 1) {
		const struct hashed *h = &l->order[col_int(st, 0)];
		k[h->n].contact = h->hash;
		k[h->n].settled = is_settled(im, st, &l->rows[h->n]);
	}
	return rc;
}

/* Each table in its own order, so that its pages are read one after the other. */
static int find_known(struct store *s, struct import *im, struct known *k, struct hashed *order,
	const struct import_row *rows, size_t n, struct err *e)
{
	struct candidates c = {0};
	int rc = 0;
	size_t looked = 0;
	for (size_t i = 0; i < n; i++)
		if (sieve_may_hold(&im->index, (uint64_t)k[i].hash))
			order[looked++] = (struct hashed){k[i].hash, (int64_t)i};
	hashed_sort(order, looked);
	for (size_t at = 0; at < looked && rc == 0; at += AT_ONCE)
		rc = find_hashes(s, order + at, page(at, looked), &c, e);
	hashed_sort(c.v, c.n);
	for (size_t at = 0; at < c.n && rc == 0; at += AT_ONCE)
		rc = look_at(s, im, &(struct lookup){rows, c.v + at}, page(at, c.n), k, e);
	free(c.v);
	return rc;
}

static int take_row(
	struct store *s, struct import *im, const struct known *k, struct import_row *r, struct err *e)
{
	int rc = im->forgotten ? store_is_forgotten(s, r->key, e) : 0;
	int64_t contact = k->contact;
	r->suppressed = false;
	if (rc != 0) {
		r->result = IMPORT_FORGOTTEN;
		return rc < 0 ? -1 : 0;
	}
	if (contact == 0 && import_recent(s, im, k->hash, r->key, &contact, e) < 0)
		return -1;
	if (contact == 0) {
		rc = add_contact(s, im, k->hash, r, e);
	} else {
		bool again = import_seen(im, contact);
		if (again && im->on_duplicate == DUPLICATE_FAIL) {
			err_set(e, ERR_DATA, "import", "the address %.*s is there twice",
				STR_ARG(r->address));
			return err_at(e, im->file, r->line);
		}
		if (!again && k->settled)
			r->result = IMPORT_UNCHANGED;
		else if (!again || im->on_duplicate == DUPLICATE_UPDATE)
			rc = update_contact(s, im, contact, r, again, e);
		if (rc == 0 && again)
			r->result = IMPORT_DUPLICATE;
		if (rc == 0)
			rc = import_mark_seen(im, contact, e);
	}
	return rc < 0 || (r->result == IMPORT_DUPLICATE && im->on_duplicate == DUPLICATE_SKIP)
		       ? rc
		       : mark_suppressed(s, im, r, e);
}

static int take_slice(struct store *s, struct import *im, const struct known *k, struct import_row *rows,
	size_t *at, size_t n, struct err *e)
{
	if (import_slice_begin(s, im, e) < 0)
		return -1;
	ms_t began = clock_mono();
	int rc = 0;
	do {
		rc = take_row(s, im, &k[*at], &rows[*at], e);
		++*at;
	} while (rc == 0 && *at < n && (*at % 32 != 0 || !db_slice_over(began)));
	if (rc == 0)
		rc = write_added(s, im, e);
	return import_slice_end(s, rc, e);
}

static int take_batch(struct store *s, struct import *im, struct known *k, struct hashed *order,
	struct import_row *rows, size_t n, struct err *e)
{
	bool known;
	/* Before anybody is looked up: who is not in the index must be among the recent ones. */
	if (im->nrecent + n > RECENT_MAX &&
		((im->alone && im->index.bits == NULL && sieve_init(&im->index, INT32_MAX, e) < 0) ||
			import_index(s, im, e) < 0))
		return -1;
	for (size_t i = 0; i < n; i++)
		k[i] = (struct known){.hash = (int64_t)hash64(rows[i].key)};
	if (any(s, &known, "SELECT 1 FROM address LIMIT 1", e) < 0 ||
		(known && find_known(s, im, k, order, rows, n, e) < 0))
		return -1;
	for (size_t at = 0; at < n;)
		if (take_slice(s, im, k, rows, &at, n, e) < 0)
			return -1;
	return 0;
}

int store_import_rows(struct store *s, struct import *im, struct import_row *rows, size_t n, struct err *e)
{
	enum { MOST = 65536 };
	size_t most = n < MOST ? n : MOST;
	if (n == 0)
		return 0;
	struct known *k = malloc(most * sizeof *k);
	struct hashed *order = malloc(most * sizeof *order);
	int rc = k == NULL || order == NULL ? db_nomem(e) : 0;
	if (rc == 0)
		rc = stoplist_any(s, &im->stop, e);
	for (size_t at = 0; at < n && rc == 0; at += most) {
		most = n - at < MOST ? n - at : MOST;
		rc = take_batch(s, im, k, order, rows + at, most, e);
	}
	free(k);
	free(order);
	im->failed |= rc < 0;
	return rc;
}
