/* Imports.
 *
 * Rows are written as they come, in slices, and hidden by their import's number (VISIBLE) until its row in
 * pending_import goes. The index from address to contact is written in sorted runs of some 100,000 (its
 * places are random, and each page would otherwise be written again for every batch); until then a table in
 * memory stands in for it. */
#include "src/db/sqlite_import.h"

#include <stdlib.h>

/* ---- Which contacts were in the file, and the addresses that wait ---- */

bool import_seen(const struct import *im, int64_t id)
{
	size_t at = (size_t)id / 8;
	return at < im->seen_bytes && (im->seen[at] >> (id % 8) & 1) != 0;
}

static int seen_set(struct import *im, int64_t id, struct err *e)
{
	size_t at = (size_t)id / 8;
	if (at >= im->seen_bytes) {
		size_t n = at + at / 2 + 65536;
		unsigned char *p = realloc(im->seen, n);
		if (p == NULL)
			return db_nomem(e);
		memset(p + im->seen_bytes, 0, n - im->seen_bytes);
		im->seen = p;
		im->seen_bytes = n;
	}
	im->seen[at] |= (unsigned char)(1u << (id % 8));
	return 0;
}

static int has_key(struct store *s, int64_t contact, struct str key, struct err *e)
{
	sqlite3_stmt *st =
		db_query(s, e, "SELECT coalesce(key, address) FROM contact WHERE id = ?", "i", contact);
	int rc = st != NULL ? db_step(s, st, e) : -1;
	if (rc <= 0)
		return rc;
	rc = str_eq(col_str(st, 0), key);
	db_done(st);
	return rc;
}

static int recent_find(
	struct store *s, const struct import *im, uint64_t hash, struct str key, int64_t *id, struct err *e)
{
	*id = 0;
	for (size_t i = hash & (RECENT_CAP - 1); im->recent[i].contact != 0; i = (i + 1) & (RECENT_CAP - 1)) {
		if (im->recent[i].hash != hash)
			continue;
		int rc = has_key(s, im->recent[i].contact, key, e);
		if (rc < 0)
			return -1;
		if (rc == 1) {
			*id = im->recent[i].contact;
			return 0;
		}
	}
	return 0;
}

static void recent_add(struct import *im, uint64_t hash, int64_t contact)
{
	size_t i = hash & (RECENT_CAP - 1);
	while (im->recent[i].contact != 0)
		i = (i + 1) & (RECENT_CAP - 1);
	im->recent[i] = (struct recent){hash, contact};
	im->nrecent++;
}

static int by_hash(const void *a, const void *b)
{
	const struct recent *x = a, *y = b;
	/* As SQLite orders them: signed. */
	int64_t hx = (int64_t)x->hash, hy = (int64_t)y->hash;
	return hx != hy ? (hx < hy ? -1 : 1) : (x->contact > y->contact) - (x->contact < y->contact);
}

/* ---- A slice ---- */

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
		im->strangers |= last > im->last;
		im->last = last > im->last ? last : im->last;
		rc = db_run(s, e, "UPDATE import SET heartbeat = ?, members = ? WHERE id = ?", "iii",
			clock_now(), im->members, im->id);
	}
	return rc < 0 ? db_end(s, -1, e) : 0;
}

int import_slice_end(struct store *s, int rc, struct err *e)
{
	rc = db_end(s, rc, e);
	if (rc >= 0)
		db_pause(s);
	return rc;
}

/* ---- Writing the index ---- */

/* Somebody added the same person while this import had them waiting: theirs stays, ours becomes a change to
 * it. */
static int give_way(struct store *s, struct import *im, int64_t mine, int64_t theirs, struct err *e)
{
	if (seen_set(im, theirs, e) < 0 ||
		db_run(s, e,
			"INSERT OR REPLACE INTO import_change(contact, attrs) SELECT ?, attrs FROM contact "
			"WHERE id = ?",
			"ii", theirs, mine) < 0 ||
		db_run(s, e,
			"INSERT OR IGNORE INTO member(list, contact, born, joined, source, consent_at) "
			"SELECT list, ?, born, joined, source, consent_at FROM member WHERE list = ? AND "
			"contact = ?",
			"iii", theirs, im->list, mine) < 0)
		return -1;
	im->members -= sqlite3_changes64(s->db) == 0;
	if (db_run(s, e, "DELETE FROM member WHERE list = ? AND contact = ?", "ii", im->list, mine) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM contact WHERE id = ?", "i", mine);
}

static int index_one(struct store *s, struct import *im, const struct recent *r, struct err *e)
{
	if (im->strangers) {
		int64_t theirs;
		int rc = db_int(s, e, &theirs,
			"SELECT a.contact FROM address a JOIN contact c ON c.id = a.contact WHERE a.hash = "
			"?1 AND a.contact <> ?2 AND "
			"coalesce(c.key, c.address) = (SELECT coalesce(key, address) FROM contact WHERE id = "
			"?2)",
			"ii", (int64_t)r->hash, r->contact);
		if (rc != 0)
			return rc < 0 ? -1 : give_way(s, im, r->contact, theirs, e);
	}
	return db_run(s, e, "INSERT OR IGNORE INTO address(hash, contact) VALUES(?, ?)", "ii",
		(int64_t)r->hash, r->contact);
}

static int index_slice(
	struct store *s, struct import *im, const struct recent *v, size_t *at, size_t n, struct err *e)
{
	if (import_slice_begin(s, im, e) < 0)
		return -1;
	ms_t began = clock_mono();
	int rc = 0;
	do
		rc = index_one(s, im, &v[(*at)++], e);
	while (rc == 0 && *at < n && (*at % 64 != 0 || !db_slice_over(began)));
	return import_slice_end(s, rc, e);
}

int import_index(struct store *s, struct import *im, struct err *e)
{
	size_t n = 0, at = 0;
	/* In place: the table is not looked at until it is empty again. */
	for (size_t i = 0; i < RECENT_CAP; i++)
		if (im->recent[i].contact != 0)
			im->recent[n++] = im->recent[i];
	qsort(im->recent, n, sizeof *im->recent, by_hash);
	while (at < n)
		if (index_slice(s, im, im->recent, &at, n, e) < 0)
			return -1;
	memset(im->recent, 0, RECENT_CAP * sizeof *im->recent);
	im->nrecent = 0;
	return 0;
}

/* ---- Rows ---- */

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
	int rc = st != NULL ? db_step(s, st, e) : -1;
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
	sqlite3_stmt *st =
		db_query(s, e, "SELECT attrs, removed, born FROM contact WHERE id = ?", "i", contact);
	int rc = st != NULL ? db_step(s, st, e) : -1;
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

/* Most rows clear nothing and are written as they came. */
static bool clears(struct str attrs)
{
	for (struct attr_iter i = attrs_begin(attrs); attrs_next(&i);)
		if (i.value.n == 0)
			return true;
	return false;
}

static int add_contact(struct store *s, struct import *im, uint64_t hash, struct import_row *r, struct err *e)
{
	int64_t domain, id = im->last + 1;
	struct str key = str_eq(r->address, r->key) ? (struct str){NULL, 0} : r->key, attrs = r->attrs;
	bool joined;
	if (clears(attrs)) {
		buf_clear(&im->merged);
		attrs_merge(&im->merged, STR(""), attrs);
		if (im->merged.failed)
			return db_nomem(e);
		attrs = buf_get(&im->merged);
	}
	if (domain_id(s, r->domain, true, &domain, e) < 0 ||
		db_run(s, e,
			"INSERT INTO contact(id, address, key, domain, attrs, added, born) VALUES(?, ?, ?, "
			"?, ?, ?, ?)",
			"isxibti", id, r->address, key, domain, attrs, r->added, im->id) < 0)
		return -1;
	im->last = id;
	/* Those that say nothing of their own join at the end of the slice, all at once. */
	if ((r->source.n != 0 || r->consent_at != 0 || r->joined != 0) &&
		join_list(s, im, id, r, &joined, e) < 0)
		return -1;
	if (seen_set(im, id, e) < 0)
		return -1;
	recent_add(im, hash, id);
	r->result = IMPORT_ADDED;
	return 0;
}

static int join_added(struct store *s, struct import *im, int64_t after, struct err *e)
{
	if (im->last == after)
		return 0;
	if (db_run(s, e,
		    "INSERT INTO member(list, contact, born) SELECT ?1, id, ?2 FROM contact WHERE id > ?3 "
		    "AND id <= ?4 ORDER BY id "
		    "ON CONFLICT DO NOTHING",
		    "iiii", im->list, im->id, after, im->last) < 0)
		return -1;
	im->members += sqlite3_changes64(s->db);
	return 0;
}

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
	im->suppressions = true;
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

static int domain_suppressed(struct store *s, struct import *im, struct str domain, struct err *e)
{
	int64_t id;
	if (domain_id(s, domain, true, &id, e) < 0)
		return -1;
	size_t at = (size_t)id % 256;
	if (im->domain_checked[at] != id) {
		int rc = suppressed_domain(s, domain, im->list, e);
		if (rc < 0)
			return -1;
		im->domain_checked[at] = id;
		im->domain_bad[at] = (signed char)rc;
	}
	return im->domain_bad[at];
}

static int mark_suppressed(
	struct store *s, struct import *im, uint64_t hash, struct import_row *r, struct err *e)
{
	if (r->status != IMPORT_SUBSCRIBED) {
		r->suppressed = true;
		return suppress_row(s, im, r, e);
	}
	if (!im->suppressions)
		return 0;
	int rc = suppressed_key(s, hash, r->key, im->list, e);
	if (rc == MAILABLE)
		rc = domain_suppressed(s, im, r->domain, e);
	r->suppressed = rc > 0;
	return rc < 0 ? -1 : 0;
}

static int take_row(struct store *s, struct import *im, uint64_t hash, int64_t contact, struct import_row *r,
	struct err *e)
{
	int rc = im->forgotten ? store_is_forgotten(s, r->key, e) : 0;
	r->suppressed = false;
	if (rc != 0) {
		r->result = IMPORT_FORGOTTEN;
		return rc < 0 ? -1 : 0;
	}
	if (contact == 0 && recent_find(s, im, hash, r->key, &contact, e) < 0)
		return -1;
	if (contact == 0) {
		rc = add_contact(s, im, hash, r, e);
	} else {
		bool again = import_seen(im, contact);
		if (again && im->on_duplicate == DUPLICATE_FAIL) {
			err_set(e, ERR_DATA, "import", "the address %.*s is there twice",
				STR_ARG(r->address));
			return err_at(e, im->file, r->line);
		}
		if (!again || im->on_duplicate == DUPLICATE_UPDATE)
			rc = update_contact(s, im, contact, r, again, e);
		if (rc == 0 && again)
			r->result = IMPORT_DUPLICATE;
		if (rc == 0)
			rc = seen_set(im, contact, e);
	}
	return rc < 0 || (r->result == IMPORT_DUPLICATE && im->on_duplicate == DUPLICATE_SKIP)
		       ? rc
		       : mark_suppressed(s, im, hash, r, e);
}

struct lookup {
	uint64_t hash;
	size_t row;
};

struct known { /* of a chunk, by row */
	uint64_t *hash;
	int64_t *contact; /* 0: not in the index */
	struct lookup *order;
};

static int lookup_by_hash(const void *a, const void *b)
{
	int64_t x = (int64_t)((const struct lookup *)a)->hash, y = (int64_t)((const struct lookup *)b)->hash;
	return (x > y) - (x < y);
}

/* Finds who is known, in the order of the index, so that its pages are read one after the other. */
static int find_known(
	struct store *s, struct known *k, const struct import_row *rows, size_t n, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		k->order[i] = (struct lookup){k->hash[i], i};
	qsort(k->order, n, sizeof *k->order, lookup_by_hash);
	for (size_t i = 0; i < n && rc >= 0; i++) {
		size_t row = k->order[i].row;
		if (i % 4096 == 0 && db_run(s, e, "BEGIN", "") < 0)
			return -1;
		rc = db_int(s, e, &k->contact[row],
			"SELECT c.id FROM address a JOIN contact c ON c.id = a.contact WHERE a.hash = ? AND "
			"coalesce(c.key, c.address) = ?",
			"is", (int64_t)k->hash[row], rows[row].key);
		if ((i % 4096 == 4095 || i + 1 == n || rc < 0) &&
			db_run(s, rc < 0 ? NULL : e, "COMMIT", "") < 0)
			rc = -1;
	}
	return rc < 0 ? -1 : 0;
}

static int take_slice(struct store *s, struct import *im, const struct known *k, struct import_row *rows,
	size_t *at, size_t n, struct err *e)
{
	if (import_slice_begin(s, im, e) < 0)
		return -1;
	ms_t began = clock_mono();
	int64_t before = im->last;
	int rc = 0;
	do {
		rc = take_row(s, im, k->hash[*at], k->contact[*at], &rows[*at], e);
		++*at;
	} while (rc == 0 && *at < n && (*at % 32 != 0 || !db_slice_over(began)));
	if (rc == 0)
		rc = join_added(s, im, before, e);
	return import_slice_end(s, rc, e);
}

static int any(struct store *s, bool *out, const char *sql, struct err *e)
{
	int64_t v;
	int rc = db_int(s, e, &v, sql, "");
	*out = rc == 1;
	return rc < 0 ? -1 : 0;
}

static int take_chunk(
	struct store *s, struct import *im, struct known *k, struct import_row *rows, size_t n, struct err *e)
{
	bool known;
	/* Before anybody is looked up: who is not in the index must be among the recent ones. */
	if (im->nrecent + n > RECENT_MAX && import_index(s, im, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		k->hash[i] = hash64(rows[i].key);
	memset(k->contact, 0, n * sizeof *k->contact);
	if (any(s, &known, "SELECT 1 FROM address LIMIT 1", e) < 0 ||
		(known && find_known(s, k, rows, n, e) < 0))
		return -1;
	for (size_t at = 0; at < n;)
		if (take_slice(s, im, k, rows, &at, n, e) < 0)
			return -1;
	return 0;
}

int store_import_rows(struct store *s, struct import *im, struct import_row *rows, size_t n, struct err *e)
{
	enum { CHUNK = 65536 };
	size_t most = n < CHUNK ? n : CHUNK;
	if (n == 0)
		return 0;
	struct known k = {malloc(most * sizeof *k.hash), malloc(most * sizeof *k.contact),
		malloc(most * sizeof *k.order)};
	int rc = k.hash == NULL || k.contact == NULL || k.order == NULL ? db_nomem(e) : 0;
	if (rc == 0)
		rc = any(s, &im->forgotten, "SELECT 1 FROM forgotten LIMIT 1", e);
	if (rc == 0 && !im->suppressions)
		rc = any(s, &im->suppressions, "SELECT 1 FROM suppression LIMIT 1", e);
	memset(im->domain_checked, 0, sizeof im->domain_checked);
	for (size_t at = 0; at < n && rc == 0; at += most) {
		most = n - at < CHUNK ? n - at : CHUNK;
		rc = take_chunk(s, im, &k, rows + at, most, e);
	}
	free(k.hash);
	free(k.contact);
	free(k.order);
	im->failed |= rc < 0;
	return rc;
}
