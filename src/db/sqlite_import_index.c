/* Who was in the file, and the index from address to contact.
 *
 * The index is written in sorted runs of nearly two million (its places are random, and each page would
 * otherwise be written again for every batch); until then a table in memory stands in for it. */
#include "src/db/sqlite_import.h"

#include <stdlib.h>

/* ---- Which contacts were in the file ---- */

bool import_seen(const struct import *im, int64_t id)
{
	size_t at = (size_t)id / 8;
	return at < im->seen_bytes && (im->seen[at] >> (id % 8) & 1) != 0;
}

int import_mark_seen(struct import *im, int64_t id, struct err *e)
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

/* ---- Addresses that wait ---- */

static int has_key(struct store *s, const struct import *im, int64_t contact, struct str key, struct err *e)
{
	int64_t written = im->last - (int64_t)im->nadded;
	if (contact > written) {
		const struct added *a = &im->added[contact - written - 1];
		return str_eq(a->key.n != 0 ? a->key : a->address, key);
	}
	sqlite3_stmt *st =
		db_query(s, e, "SELECT coalesce(key, address) FROM contact WHERE id = ?", "i", contact);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	rc = str_eq(col_str(st, 0), key);
	db_done(st);
	return rc;
}

int import_recent(
	struct store *s, const struct import *im, int64_t hash, struct str key, int64_t *id, struct err *e)
{
	*id = 0;
	for (size_t i = (size_t)hash & (RECENT_CAP - 1); im->recent[i].n != 0;
		i = (i + 1) & (RECENT_CAP - 1)) {
		if (im->recent[i].hash != hash)
			continue;
		int rc = has_key(s, im, im->recent[i].n, key, e);
		if (rc < 0)
			return -1;
		if (rc == 1) {
			*id = im->recent[i].n;
			return 0;
		}
	}
	return 0;
}

void import_remember(struct import *im, int64_t hash, int64_t contact)
{
	size_t i = (size_t)hash & (RECENT_CAP - 1);
	while (im->recent[i].n != 0)
		i = (i + 1) & (RECENT_CAP - 1);
	im->recent[i] = (struct hashed){hash, contact};
	im->nrecent++;
}

/* ---- Sorting ---- */

static inline bool is_before(const struct hashed *a, const struct hashed *b)
{
	return a->hash != b->hash ? a->hash < b->hash : a->n < b->n;
}

static void insertion_sort(struct hashed *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct hashed one = v[i];
		size_t j = i;
		for (; j > 0 && is_before(&one, &v[j - 1]); j--)
			v[j] = v[j - 1];
		v[j] = one;
	}
}

static inline size_t byte_of(const struct hashed *h, int shift)
{
	return ((uint64_t)h->hash ^ UINT64_C(1) << 63) >> shift & 0xff;
}

/* In place, by one byte after the other from the highest on ("American flag"). */
static void flag_sort(struct hashed *v, size_t n, int shift)
{
	size_t next[256] = {0}, end[256], sum = 0;
	if (n < 24 || shift < 0) {
		insertion_sort(v, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		next[byte_of(&v[i], shift)]++;
	for (int b = 0; b < 256; b++) {
		size_t count = next[b];
		next[b] = sum;
		end[b] = sum += count;
	}
	for (int b = 0; b < 256; b++) {
		while (next[b] < end[b]) {
			struct hashed one = v[next[b]];
			for (size_t to = byte_of(&one, shift); to != (size_t)b; to = byte_of(&one, shift)) {
				struct hashed other = v[next[to]];
				v[next[to]++] = one;
				one = other;
			}
			v[next[b]++] = one;
		}
	}
	for (int b = 0; b < 256; b++) {
		size_t from = b > 0 ? end[b - 1] : 0;
		flag_sort(v + from, end[b] - from, shift - 8);
	}
}

void hashed_sort(struct hashed *v, size_t n)
{
	flag_sort(v, n, 56);
}

/* ---- Writing the index ---- */

/* Somebody added the same person while this import had them waiting: theirs stays, ours becomes a change to
 * it. */
static int give_way(struct store *s, struct import *im, int64_t mine, int64_t theirs, struct err *e)
{
	if (import_mark_seen(im, theirs, e) < 0 ||
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

/* Those of our new people whom somebody else added as well go. */
static int look_for_others(
	struct store *s, struct import *im, const struct hashed *v, size_t n, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		int64_t theirs;
		rc = db_int(s, e, &theirs,
			"SELECT a.contact FROM address a JOIN contact c ON c.id = a.contact WHERE a.hash = "
			"?1 AND a.contact <> ?2 AND "
			"coalesce(c.key, c.address) = (SELECT coalesce(key, address) FROM contact WHERE id = "
			"?2)",
			"ii", v[i].hash, v[i].n);
		if (rc == 1)
			rc = give_way(s, im, v[i].n, theirs, e);
	}
	return rc < 0 ? -1 : 0;
}

static void index_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct hashed *h = (const struct hashed *)rows + i;
	sqlite3_result_int64(out, column == 0 ? h->hash : h->n);
}

static int index_slice(
	struct store *s, struct import *im, const struct hashed *v, size_t *at, size_t n, struct err *e)
{
	enum { AT_ONCE = 512 };
	if (import_slice_begin(s, im, e) < 0)
		return -1;
	ms_t began = clock_mono();
	int rc = 0;
	do {
		size_t some = n - *at < AT_ONCE ? n - *at : AT_ONCE;
		if (im->strangers)
			rc = look_for_others(s, im, v + *at, some, e);
		s->batch = (struct batch){some, v + *at, index_column};
		/* Who has given way is no contact any more. */
		if (rc == 0)
			rc = im->strangers
				     ? db_run(s, e,
					       "INSERT OR IGNORE INTO address(hash, contact) SELECT b.a, b.b "
					       "FROM "
					       "batch b WHERE EXISTS (SELECT 1 FROM contact WHERE id = b.b)",
					       "")
				     : db_run(s, e,
					       "INSERT OR IGNORE INTO address(hash, contact) SELECT a, b "
					       "FROM batch",
					       "");
		*at += some;
	} while (rc == 0 && *at < n && !db_slice_over(began));
	return import_slice_end(s, rc, e);
}

int import_index(struct store *s, struct import *im, struct err *e)
{
	size_t n = 0, at = 0;
	/* In place: the table is not looked at until it is empty again. */
	for (size_t i = 0; i < RECENT_CAP; i++) {
		struct hashed one = im->recent[i];
		if (one.n == 0)
			continue;
		im->recent[i].n = 0;
		im->recent[n++] = one;
	}
	hashed_sort(im->recent, n);
	for (size_t i = 0; im->index.bits != NULL && i < n; i++)
		sieve_add(&im->index, (uint64_t)im->recent[i].hash);
	while (at < n)
		if (index_slice(s, im, im->recent, &at, n, e) < 0)
			return -1;
	memset(im->recent, 0, n * sizeof *im->recent);
	im->nrecent = 0;
	return 0;
}
