/* Reading suppressions, and ending many at once. */
#include "src/db/sqlite.h"

#include "src/db/contacts.h"

#include <assert.h>
#include <stdlib.h>

#define SUPPRESSION_COLUMNS                                                                                  \
	"SELECT s.key, s.list, coalesce(l.name, ''), s.reason, s.campaign, coalesce(c.name, ''), "           \
	"s.evidence, s.created,"                                                                             \
	" s.held_until, s.hash FROM suppression s LEFT JOIN list l ON l.id = s.list LEFT JOIN campaign c "   \
	"ON c.id = s.campaign "

static void read_suppression(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct suppression *)one = (struct suppression){
		.key = arena_str(a, col_str(st, 0)),
		.list = col_int(st, 1),
		.list_name = arena_str(a, col_str(st, 2)),
		.reason = (enum suppress_reason)col_int(st, 3),
		.campaign = col_int(st, 4),
		.campaign_name = arena_str(a, col_str(st, 5)),
		.evidence = arena_str(a, col_str(st, 6)),
		.created = col_int(st, 7),
		.held_until = col_int(st, 8),
	};
}

static int read_of(struct store *s, struct str key, int64_t list, struct rows *p, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		SUPPRESSION_COLUMNS "WHERE s.hash = ?1 AND s.key = ?2 AND (?3 = 0 OR s.list IN (0, ?3)) AND "
				    "(s.held_until = 0 OR s.held_until "
				    "> ?4) AND" VISIBLE("s.born"),
		"isii", (int64_t)hash64(key), key, list, store_time(s));
	return rows_append(s, p, st, read_suppression, e);
}

int store_suppressions_of(struct store *s, struct str key, int64_t list,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	struct str domain = str_after_last(key, '@');
	struct rows p;
	rows_init(&p, sizeof(struct suppression));
	int rc = read_of(s, key, list, &p, e);
	if (rc == 0 && domain.n != 0 && domain.n + 1 < key.n)
		rc = read_of(s, str_n(domain.p - 1, domain.n + 1), list, &p, e);
	for (const struct suppression *one; (one = rows_next(&p, rc)) != NULL;)
		rc = row(ctx, one);
	if (rc == 0) {
		struct suppression gone = {.key = key,
			.list_name = STR(""),
			.reason = SUPPRESS_FORGOTTEN,
			.campaign_name = STR(""),
			.evidence = STR("")};
		rc = store_forgotten_at(s, key, &gone.created, e);
		if (rc == 1)
			rc = row(ctx, &gone);
	}
	return rc;
}

/* ---- What a query selects ---- */

/* The table is walked in windows of hashes, so that a condition which few fulfil holds up nobody either. The
 * provider is that of the key's domain; an "@domain" is its own. */
#define SELECTED                                                                                             \
	"WHERE s.hash >= ?1 AND s.hash <= ?2 AND (?3 < 0 OR s.list = ?3) AND (?4 < 0 OR s.reason = ?4)"      \
	" AND (?5 = 0 OR s.campaign = ?5) AND s.created >= ?6 AND (?7 = 0 OR s.created < ?7)"                \
	" AND (?8 = 0 OR s.reason NOT IN (2, 3)) AND (?9 = '' OR ?9 = coalesce((SELECT n.text FROM domain"   \
	" d JOIN name n ON n.id = d.provider WHERE d.name = domain_of(s.key)), provider_of(domain_of(s.key"  \
	")))) AND (?10 = '' OR s.key = ?10)"                                                                 \
	" AND ((?11 <> 0 AND s.held_until <> 0) OR (?11 = 0 AND (s.held_until = 0 OR s.held_until > ?12))) " \
	"AND" VISIBLE("s.born")

enum { WINDOW = 2000 };

struct window {
	int64_t from, to; /* included */
	bool last;
};

static struct window first_window(const struct suppression_query *q)
{
	int64_t only = q->key.n != 0 ? (int64_t)hash64(q->key) : 0;
	return q->key.n != 0 ? (struct window){only, only, true}
			     : (struct window){INT64_MIN, INT64_MIN, false};
}

/* Where it ends. */
static int window_end(struct store *s, struct window *w, struct err *e)
{
	if (w->last)
		return 0;
	int rc = db_int(s, e, &w->to,
		"SELECT hash FROM suppression WHERE hash >= ? ORDER BY hash LIMIT 1 OFFSET ?", "ii", w->from,
		(int64_t)WINDOW);
	w->last = rc == 0 || w->to == INT64_MAX;
	if (w->last)
		w->to = INT64_MAX;
	return rc < 0 ? -1 : 0;
}

static void bind_selected(
	sqlite3_stmt *st, const struct store *s, const struct suppression_query *q, const struct window *w)
{
	static_assert(SUPPRESS_COMPLAINT == 2 && SUPPRESS_UNSUBSCRIBE == 3, "numbers in the query");
	db_bind(st, "iiiiiiiissii", w->from, w->to, q->list, (int64_t)q->reason, q->campaign, q->since,
		q->until, (int64_t)q->spare_personal, q->provider, q->key, (int64_t)q->held, store_time(s));
}

static int read_window(
	struct store *s, const struct suppression_query *q, struct window *w, struct rows *out, struct err *e)
{
	sqlite3_stmt *st = db_stmt(s, SUPPRESSION_COLUMNS SELECTED, e);
	rows_init(out, sizeof(struct suppression));
	if (st == NULL || window_end(s, w, e) < 0)
		return -1;
	bind_selected(st, s, q, w);
	return rows_append(s, out, st, read_suppression, e);
}

static int in_no_order(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	int rc = 0;
	for (struct window w = first_window(q); rc == 0; w.from = w.to + 1) {
		struct rows some;
		rc = read_window(s, q, &w, &some, e);
		for (const struct suppression *one; (one = rows_next(&some, rc)) != NULL;)
			rc = row(ctx, one);
		if (w.last)
			break;
	}
	return rc;
}

/* ---- By date ---- */

/* The oldest ones behind the last that was shown, as many as are kept in memory, are found by a walk through
 * all; then these are shown, and so on. */
struct spot {
	int64_t created, hash, list;
};
enum { SPOTS = 1 << 18 };

struct spots { /* a heap, the newest on top */
	struct spot *v, after;
	size_t n;
	bool begun, more;
};

static int spot_order(const void *a, const void *b)
{
	const struct spot *x = a, *y = b;
	return x->created != y->created ? (x->created > y->created) - (x->created < y->created)
	       : x->hash != y->hash     ? (x->hash > y->hash) - (x->hash < y->hash)
					: (x->list > y->list) - (x->list < y->list);
}

static void sift_up(struct spot *v, size_t i)
{
	for (size_t up; i > 0 && spot_order(&v[up = (i - 1) / 2], &v[i]) < 0; i = up) {
		struct spot one = v[i];
		v[i] = v[up];
		v[up] = one;
	}
}

static void sift_down(struct spot *v, size_t n)
{
	for (size_t i = 0, down; (down = 2 * i + 1) < n; i = down) {
		down += down + 1 < n && spot_order(&v[down], &v[down + 1]) < 0;
		if (spot_order(&v[i], &v[down]) >= 0)
			return;
		struct spot one = v[i];
		v[i] = v[down];
		v[down] = one;
	}
}

static void offer(struct spots *h, const struct spot *one)
{
	if (h->begun && spot_order(one, &h->after) <= 0)
		return;
	if (h->n < SPOTS) {
		h->v[h->n] = *one;
		sift_up(h->v, h->n++);
		return;
	}
	h->more = true;
	if (spot_order(one, &h->v[0]) < 0) {
		h->v[0] = *one;
		sift_down(h->v, h->n);
	}
}

static int find_spots(struct store *s, const struct suppression_query *q, struct spots *h, struct err *e)
{
	int rc;
	h->n = 0;
	h->more = false;
	for (struct window w = first_window(q);; w.from = w.to + 1) {
		sqlite3_stmt *st =
			db_stmt(s, "SELECT s.created, s.hash, s.list FROM suppression s " SELECTED, e);
		if (st == NULL || window_end(s, &w, e) < 0)
			return -1;
		bind_selected(st, s, q, &w);
		while ((rc = db_step(s, st, e)) == 1)
			offer(h, &(struct spot){col_int(st, 0), col_int(st, 1), col_int(st, 2)});
		if (rc < 0 || w.last)
			return rc;
	}
}

static int show_spots(struct store *s, const struct suppression_query *q, const struct spot *v, size_t n,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	struct rows some;
	int rc = 0;
	rows_init(&some, sizeof(struct suppression));
	for (size_t i = 0; i < n && rc == 0; i++)
		/* Of two keys with one hash both are read at once. */
		if (i == 0 || spot_order(&v[i - 1], &v[i]) != 0)
			rc = rows_append(s, &some,
				db_query(s, e,
					SUPPRESSION_COLUMNS
					"WHERE s.hash = ?1 AND s.list = ?2 AND s.created = ?3 AND (?4 = '' "
					"OR s.key = ?4) AND" VISIBLE("s.born"),
					"iiis", v[i].hash, v[i].list, v[i].created, q->key),
				read_suppression, e);
	for (const struct suppression *one; (one = rows_next(&some, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

static int by_date(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	struct spots h = {.v = calloc(SPOTS, sizeof *h.v)};
	int rc = h.v != NULL ? 0 : db_nomem(e);
	for (h.more = true; h.more && rc == 0;) {
		rc = find_spots(s, q, &h, e);
		qsort(h.v, h.n, sizeof *h.v, spot_order);
		for (size_t at = 0; at < h.n && rc == 0; at += WINDOW)
			rc = show_spots(s, q, h.v + at, h.n - at < WINDOW ? h.n - at : WINDOW, row, ctx, e);
		if (h.n != 0)
			h.after = h.v[h.n - 1];
		h.begun = true;
	}
	free(h.v);
	return rc;
}

int store_suppressions(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	return q->by_date ? by_date(s, q, row, ctx, e) : in_no_order(s, q, row, ctx, e);
}

/* ---- Ending them ---- */

static int end_window(struct store *s, const struct suppression_query *q, struct window *w, struct str note,
	bool dry_run, int64_t *n, struct err *e)
{
	struct rows some;
	int rc = read_window(s, q, w, &some, e);
	struct str key = rc == 0 && some.n == 1 ? ((struct suppression *)some.v)->key : STR("");
	*n = rc == 0 ? (int64_t)some.n : 0;
	if (rc == 0 && some.n != 0 && !dry_run)
		rc = history_note(s, clock_now(), "unsuppress", key, e, "%zu%s%.*s", some.n,
			note.n != 0 ? ": " : "", STR_ARG(note));
	for (const struct suppression *one; (one = rows_next(&some, rc)) != NULL;)
		rc = dry_run ? 0
			     : db_run(s, e, "DELETE FROM suppression WHERE hash = ? AND list = ? AND key = ?",
				       "iis", (int64_t)hash64(one->key), one->list, one->key);
	return rc;
}

int store_unsuppress(struct store *s, const struct suppression_query *q, struct str note, bool dry_run,
	int64_t *n, struct err *e)
{
	int rc = 0;
	*n = 0;
	for (struct window w = first_window(q); rc == 0; w.from = w.to + 1) {
		int64_t some = 0;
		if (!dry_run && db_begin(s, e) < 0)
			return -1;
		rc = end_window(s, q, &w, note, dry_run, &some, e);
		if (!dry_run)
			rc = db_end(s, rc, e);
		*n += rc == 0 ? some : 0;
		if (w.last)
			break;
		if (!dry_run && rc == 0 && s->depth == 0)
			db_pause(s);
	}
	return rc;
}
