#include "src/db/sqlite_audience.h"

#include "src/db/campaign.h"
#include "src/db/lease.h"

#include <assert.h>
#include <stdlib.h>

/* ---- The sample ---- */

uint64_t sample_hash(uint64_t seed, int64_t contact)
{
	uint64_t both[2] = {seed, (uint64_t)contact};
	return hash64(str_n((const char *)both, sizeof both));
}

/* Between which hashes (included) somebody is of interest for it now. */
static void sample_range(const struct sample *sm, uint64_t *from, uint64_t *to)
{
	*from = sm->phase == SAMPLE_COLLECT ? (uint64_t)sm->bucket << 48 : 0;
	*to = sm->phase == SAMPLE_COLLECT ? *from | ((UINT64_C(1) << 48) - 1)
	      : sm->phase == SAMPLE_READY ? sm->below
					  : UINT64_MAX;
}

static int sample_init(struct sample *sm, const struct audience *a, struct err *e)
{
	*sm = (struct sample){
		.phase = SAMPLE_READY, .seed = a->seed, .wanted = a->sample_n, .below = UINT64_MAX};
	if (a->sample_n > 0) {
		sm->phase = SAMPLE_COUNT;
		sm->buckets = calloc(65536, sizeof *sm->buckets);
		return sm->buckets != NULL ? 0 : db_nomem(e);
	}
	if (a->sample_share > 0 && a->sample_share < 1)
		sm->below = (uint64_t)(a->sample_share * 18446744073709549568.0);
	return 0;
}

/* Is this one in the sample? While the bound is being found nobody is. */
static int sample_take(struct sample *sm, int64_t contact, struct err *e)
{
	uint64_t h = sample_hash(sm->seed, contact);
	if (sm->phase == SAMPLE_READY)
		return h <= sm->below;
	if (sm->phase == SAMPLE_COUNT) {
		sm->buckets[h >> 48]++;
		return 0;
	}
	if ((int64_t)(h >> 48) != sm->bucket)
		return 0;
	if (sm->nfound == sm->cap) {
		size_t cap = sm->cap * 2 + 256;
		uint64_t *v = realloc(sm->found, cap * sizeof *v);
		if (v == NULL)
			return db_nomem(e);
		sm->found = v;
		sm->cap = cap;
	}
	sm->found[sm->nfound++] = h;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

int sample_next(struct sample *sm, struct err *e)
{
	(void)e;
	if (sm->phase == SAMPLE_READY)
		return 0;
	if (sm->phase == SAMPLE_COUNT) {
		sm->phase = SAMPLE_COLLECT;
		while (sm->bucket < 65536 && sm->before + sm->buckets[sm->bucket] < sm->wanted)
			sm->before += sm->buckets[sm->bucket++];
		if (sm->bucket == 65536)
			sm->phase = SAMPLE_READY; /* there are no more than wanted */
		return 1;
	}
	sm->phase = SAMPLE_READY;
	if (sm->nfound != 0) {
		qsort(sm->found, sm->nfound, sizeof *sm->found, ascending);
		size_t last = (size_t)(sm->wanted - sm->before - 1);
		sm->below = sm->found[last < sm->nfound ? last : sm->nfound - 1];
	}
	return 1;
}

/* ---- The query ---- */

#define MEMBERS                                                                                              \
	"SELECT contact, %d AS ord, list, joined, source, consent_at, born FROM member WHERE list = ?%d "    \
	"AND contact > ?1"                                                                                   \
	" AND contact <= ?2 AND born IS NOT (SELECT id FROM pending_import)%s"
#define EVERYBODY                                                                                            \
	"SELECT id AS contact, 0 AS ord, 0 AS list, NULL AS joined, %s AS source, NULL AS consent_at, 0 AS " \
	"born"                                                                                               \
	" FROM contact WHERE id > ?1 AND id <= ?2 AND removed = 0 AND born IS NOT (SELECT id FROM "          \
	"pending_import)%s"
/* Without a list, the source is that of any membership. */
#define ANY_SOURCE                                                                                           \
	"(SELECT coalesce(m.source, i.source) FROM list l CROSS JOIN member m ON m.list = l.id AND "         \
	"m.contact ="                                                                                        \
	" contact.id LEFT JOIN import i ON i.id = m.born WHERE l.gone = 0 AND"                               \
	" m.born IS NOT (SELECT id FROM pending_import) LIMIT 1)"

enum { SAMPLE_BOUND = 5 }; /* ?1 and ?2: the slice; ?3 to ?5: the sample, whether there is one or not */

static int write_query(const struct walk *w, struct buf *sql, int *nbind, struct err *e)
{
	const struct audience *a = w->a;
	buf_puts(sql,
		"SELECT c.id, c.address, c.key, c.attrs, c.domain, coalesce(c.added, ci.at, 0), "
		"coalesce(c.changed, c.added, "
		"ci.at, 0), c.removed, u.list, coalesce(u.joined, mi.at, 0), coalesce(ns.text, ni.text, ''), "
		"coalesce(u.consent_at, mi.consent_at, 0), (0");
	*nbind = SAMPLE_BOUND;
	for (size_t i = 0; i < a->nexclude; i++)
		buf_printf(sql,
			" OR EXISTS (SELECT 1 FROM member x WHERE x.list = ?%d AND x.contact = c.id "
			"AND" VISIBLE("x.born") ")",
			++*nbind);
	buf_puts(sql, ") FROM (");
	for (size_t i = 0; i < a->nlists; i++) {
		buf_puts(sql, i != 0 ? " UNION ALL " : "");
		buf_printf(sql, MEMBERS, (int)i, ++*nbind,
			a->sample_n > 0 ? " AND sampled(contact, ?3, ?4, ?5)" : "");
	}
	if (a->nlists == 0)
		buf_printf(sql, EVERYBODY, filter_uses(a->where, FIELD_SOURCE) ? ANY_SOURCE : "NULL",
			a->sample_n > 0 ? " AND sampled(id, ?3, ?4, ?5)" : "");
	buf_puts(sql,
		") u CROSS JOIN contact c ON c.id = u.contact LEFT JOIN import ci ON ci.id = c.born LEFT "
		"JOIN import mi ON "
		"mi.id = u.born LEFT JOIN name ns ON ns.id = u.source LEFT JOIN name ni ON ni.id = mi.source "
		"WHERE c.address <> ''");
	if (a->where != NULL) {
		buf_puts(sql, " AND ");
		if (filter_sql(a->where, sql, nbind, e) < 0)
			return -1;
	}
	buf_puts(sql, a->nlists > 1 ? " ORDER BY u.contact, u.ord" : " ORDER BY u.contact");
	return sql->failed ? db_nomem(e) : 0;
}

static int prepare_query(struct walk *w, struct err *e)
{
	struct buf sql = BUF_INIT(4u << 20);
	int n;
	int rc = write_query(w, &sql, &n, e);
	if (rc == 0 && sqlite3_prepare_v3(w->s->db, sql.p, (int)sql.len, SQLITE_PREPARE_PERSISTENT, &w->st,
			       NULL) != SQLITE_OK)
		rc = db_error(w->s, "audience", e);
	buf_release(&sql);
	n = SAMPLE_BOUND;
	for (size_t i = 0; rc == 0 && i < w->a->nexclude; i++)
		sqlite3_bind_int64(w->st, ++n, w->a->exclude[i]);
	for (size_t i = 0; rc == 0 && i < w->a->nlists; i++)
		sqlite3_bind_int64(w->st, ++n, w->a->lists[i]);
	if (rc == 0 && w->a->where != NULL)
		rc = filter_bind(w->s, w->st, w->a->where, &n, e);
	return rc;
}

int walk_init(struct walk *w, struct store *s, const struct audience *a, struct err *e)
{
	struct holder h;
	*w = (struct walk){.s = s, .a = a, .sent = filter_uses(a->where, FIELD_LAST_SENT)};
	arena_init(&w->arena, 65536, 1u << 30);
	if (sample_init(&w->sample, a, e) < 0)
		return -1;
	int alive = a->nof + a->nnot_of != 0 ? store_lease_get(s, clock_now(), &h, e) : 0;
	w->standing = alive == 1 ? DELIVERY_SENDING : DELIVERY_DOUBT;
	return alive < 0 ? -1 : prepare_query(w, e);
}

void walk_release(struct walk *w)
{
	sqlite3_finalize(w->st);
	arena_release(&w->arena);
	stoplist_release(&w->stop);
	free(w->v);
	free(w->of);
	free(w->not_of);
	free(w->sample.buckets);
	free(w->sample.found);
	*w = (struct walk){0};
}

/* ---- Where a slice ends ---- */

static int end_of_slice(struct walk *w, int budget)
{
	int64_t at;
	size_t n = w->a->nlists;
	w->upto = INT64_MAX;
	/* Where nearly everybody is passed over, as much work is further away. */
	bool narrow = w->sample.phase == SAMPLE_COLLECT || w->sample.below < UINT64_MAX / 100;
	int64_t skip = (int64_t)budget * (w->a->sample_n > 0 && narrow ? 10 : 1) / (int64_t)(n != 0 ? n : 1);
	for (size_t i = 0; i < (n != 0 ? n : 1); i++) {
		int rc = n == 0 ? db_int(w->s, w->e, &at,
					  "SELECT id FROM contact WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?",
					  "ii", w->after, skip)
				: db_int(w->s, w->e, &at,
					  "SELECT contact FROM member WHERE list = ? AND contact > ? ORDER "
					  "BY contact LIMIT 1 OFFSET ?",
					  "iii", w->a->lists[i], w->after, skip);
		if (rc < 0)
			return -1;
		if (rc == 1 && at < w->upto)
			w->upto = at;
	}
	return 0;
}

/* ---- What earlier campaigns say of the slice ---- */

static int add_contact(int64_t **v, size_t *n, size_t *cap, int64_t contact, struct err *e)
{
	if (*n == *cap) {
		size_t bigger = *cap * 2 + 1024;
		int64_t *p = realloc(*v, bigger * sizeof *p);
		if (p == NULL)
			return db_nomem(e);
		*v = p;
		*cap = bigger;
	}
	(*v)[(*n)++] = contact;
	return 0;
}

static int numbers_of_slice(struct walk *w, int64_t campaign, int64_t *from, int64_t *to)
{
	int64_t rows;
	if (db_int(w->s, w->e, &rows, "SELECT rows FROM campaign WHERE id = ?", "i", campaign) < 0 ||
		delivery_bisect(w->s, campaign, rows, w->after + 1, from, w->e) < 0)
		return -1;
	if (w->upto == INT64_MAX)
		*to = rows + 1;
	else if (delivery_bisect(w->s, campaign, rows, w->upto + 1, to, w->e) < 0)
		return -1;
	return 0;
}

static int read_ref(struct walk *w, const struct audience_ref *r, int64_t **v, size_t *n, size_t *cap)
{
	int64_t from, to, found;
	int rc;
	if (numbers_of_slice(w, r->campaign, &from, &to) < 0)
		return -1;
	int cancelled = db_int(w->s, w->e, &found, "SELECT 1 FROM campaign WHERE id = ? AND state = ?", "ii",
		r->campaign, (int64_t)CAMPAIGN_CANCELLED);
	if (cancelled < 0)
		return -1;
	sqlite3_stmt *st = db_query(w->s, w->e,
		"SELECT d.contact," SHOWN_STATE(
			"?3", "?4") "FROM delivery d LEFT JOIN intent i ON i.delivery = d.id "
				    "WHERE d.id >= ?1 AND d.id < ?2 ORDER BY d.id",
		"iiii", DELIVERY_ID(r->campaign, from), DELIVERY_ID(r->campaign, to), (int64_t)w->standing,
		(int64_t)cancelled);
	while ((rc = db_step(w->s, st, w->e)) == 1)
		if ((r->states == 0 || (r->states >> (col_int(st, 1) & 31) & 1) != 0) &&
			add_contact(v, n, cap, col_int(st, 0), w->e) < 0) {
			db_done(st);
			return -1;
		}
	return rc;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static bool among(const int64_t *v, size_t n, int64_t contact)
{
	return n != 0 && bsearch(&contact, v, n, sizeof *v, by_number) != NULL;
}

static int read_refs(struct walk *w)
{
	w->nof = w->nnot_of = 0;
	for (size_t i = 0; i < w->a->nof; i++)
		if (read_ref(w, &w->a->of[i], &w->of, &w->nof, &w->of_cap) < 0)
			return -1;
	for (size_t i = 0; i < w->a->nnot_of; i++)
		if (read_ref(w, &w->a->not_of[i], &w->not_of, &w->nnot_of, &w->not_of_cap) < 0)
			return -1;
	if (w->nof != 0)
		qsort(w->of, w->nof, sizeof *w->of, by_number);
	if (w->nnot_of != 0)
		qsort(w->not_of, w->nnot_of, sizeof *w->not_of, by_number);
	return 0;
}

static int sent_before(const void *a, const void *b)
{
	const struct last_sent *x = a, *y = b;
	return x->contact != y->contact ? (x->contact > y->contact) - (x->contact < y->contact)
					: (x->at > y->at) - (x->at < y->at);
}

static int read_sent_of(struct walk *w, int64_t campaign, size_t *cap)
{
	struct store *s = w->s;
	int64_t from, to;
	int rc;
	if (numbers_of_slice(w, campaign, &from, &to) < 0)
		return -1;
	sqlite3_stmt *st = db_query(s, w->e,
		"SELECT d.contact, a.at FROM delivery d JOIN attempt a ON a.delivery = d.id AND a.n = "
		"d.attempts "
		"WHERE d.id >= ? AND d.id < ? AND d.state = " ROW_SENT,
		"ii", DELIVERY_ID(campaign, from), DELIVERY_ID(campaign, to));
	while ((rc = db_step(s, st, w->e)) == 1) {
		if (s->nlast_sent == *cap) {
			struct last_sent *v = realloc(s->last_sent, (*cap * 2 + 1024) * sizeof *v);
			if (v == NULL) {
				db_done(st);
				return db_nomem(w->e);
			}
			s->last_sent = v;
			*cap = *cap * 2 + 1024;
		}
		s->last_sent[s->nlast_sent++] = (struct last_sent){col_int(st, 0), col_int(st, 1)};
	}
	return rc;
}

static int read_sent(struct walk *w)
{
	struct store *s = w->s;
	size_t cap = 0, n = 0;
	int64_t campaign = 0;
	free(s->last_sent);
	s->last_sent = NULL;
	s->nlast_sent = 0;
	for (;;) {
		int rc = db_int(s, w->e, &campaign,
			"SELECT id FROM campaign WHERE id > ? AND rows > 0 ORDER BY id LIMIT 1", "i",
			campaign);
		if (rc < 0 || (rc == 1 && read_sent_of(w, campaign, &cap) < 0))
			return -1;
		if (rc == 0)
			break;
	}
	if (s->nlast_sent != 0)
		qsort(s->last_sent, s->nlast_sent, sizeof *s->last_sent, sent_before);
	/* The last of each contact is the latest. */
	for (size_t i = 0; i < s->nlast_sent; i++)
		if (i + 1 == s->nlast_sent || s->last_sent[i + 1].contact != s->last_sent[i].contact)
			s->last_sent[n++] = s->last_sent[i];
	s->nlast_sent = n;
	return 0;
}

/* ---- A slice ---- */

struct group { /* the rows of one person */
	int64_t contact, domain;
	int rows, why; /* why not, of the first list that says no */
	bool picked, excluded, strings_kept;
	struct contact_row c;
};

static void keep_row(struct walk *w, struct group *g, bool strings)
{
	sqlite3_stmt *st = w->st;
	struct arena *a = &w->arena;
	g->c = (struct contact_row){
		.id = col_int(st, 0),
		.added = col_int(st, 5),
		.changed = col_int(st, 6),
		.removed = col_int(st, 7) != 0,
		.list = col_int(st, 8),
		.joined = col_int(st, 9),
		.consent_at = col_int(st, 11),
	};
	g->domain = col_int(st, 4);
	if (!strings)
		return;
	g->c.address = arena_str(a, col_str(st, 1));
	g->c.key = col_null(st, 2) ? g->c.address : arena_str(a, col_str(st, 2));
	g->c.attrs = arena_str(a, col_str(st, 3));
	g->c.source = arena_str(a, col_str(st, 10));
}

static int group_add(struct walk *w, struct group *g)
{
	sqlite3_stmt *st = w->st;
	struct str key = col_null(st, 2) ? col_str(st, 1) : col_str(st, 2);
	if (g->rows++ == 0) {
		g->excluded = col_int(st, 12) != 0 || among(w->not_of, w->nnot_of, g->contact);
		keep_row(w, g, w->strings);
	}
	if (g->picked)
		return 0;
	int rc = stoplist_says(w->s, &w->stop, key, col_int(st, 4), col_int(st, 8), w->e);
	if (rc < 0)
		return -1;
	g->picked = rc == MAILABLE;
	if (g->picked && g->rows > 1)
		keep_row(w, g, w->strings);
	if (!g->picked && g->why == MAILABLE)
		g->why = rc;
	return 0;
}

static int take_person(struct walk *w, const struct group *g)
{
	if (w->n == w->cap) {
		size_t cap = w->cap * 2 + 512;
		struct person *v = realloc(w->v, cap * sizeof *v);
		if (v == NULL)
			return db_nomem(w->e);
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct person){g->c, g->domain};
	return 0;
}

bool walk_counts_left_out(const struct walk *w)
{
	return w->a->sample_n == 0 || w->sample.phase == SAMPLE_COUNT;
}

static int group_end(struct walk *w, const struct group *g)
{
	struct selection *sel = &w->sel;
	if (g->rows == 0 || (w->a->nof != 0 && !among(w->of, w->nof, g->contact)))
		return 0;
	bool mailable = g->picked || w->everyone, taken = !g->excluded && mailable;
	if (taken) {
		int rc = sample_take(&w->sample, g->contact, w->e);
		/* Who is not in the sample was not asked for. */
		if (rc <= 0)
			return rc;
	}
	if (!taken && !walk_counts_left_out(w))
		return 0;
	sel->selected++;
	sel->duplicate += g->rows - 1;
	if (g->excluded)
		sel->excluded++;
	else if (!mailable && g->why == UNMAILABLE_UNSUBSCRIBED)
		sel->unsubscribed++;
	else if (!mailable)
		sel->suppressed++;
	else
		sel->audience++;
	return taken ? take_person(w, g) : 0;
}

static int read_slice(struct walk *w)
{
	struct group g = {.contact = -1};
	int rc;
	uint64_t from, to;
	sample_range(&w->sample, &from, &to);
	sqlite3_bind_int64(w->st, 1, w->after);
	sqlite3_bind_int64(w->st, 2, w->upto);
	if (w->a->sample_n > 0) {
		sqlite3_bind_int64(w->st, 3, (int64_t)w->sample.seed);
		sqlite3_bind_int64(w->st, 4, (int64_t)from);
		sqlite3_bind_int64(w->st, 5, (int64_t)to);
	}
	while ((rc = db_step(w->s, w->st, w->e)) == 1) {
		int64_t contact = col_int(w->st, 0);
		if (contact != g.contact) {
			if (group_end(w, &g) < 0)
				break;
			g = (struct group){.contact = contact};
		}
		if (group_add(w, &g) < 0)
			break;
	}
	db_done(w->st);
	if (rc != 0)
		return -1;
	return group_end(w, &g) < 0 ? -1 : w->arena.failed ? db_nomem(w->e) : 0;
}

int walk_slice(struct walk *w, int budget, struct err *e)
{
	if (w->upto == INT64_MAX)
		return 0;
	w->e = e;
	w->n = 0;
	w->sel = (struct selection){0};
	arena_reset(&w->arena);
	if (stoplist_any(w->s, &w->stop, e) < 0 || end_of_slice(w, budget) < 0 || read_refs(w) < 0 ||
		(w->sent && read_sent(w) < 0) || read_slice(w) < 0)
		return -1;
	w->after = w->upto;
	return 1;
}

/* ---- Operations ---- */

void selection_add(struct selection *to, const struct selection *s)
{
	to->selected += s->selected;
	to->suppressed += s->suppressed;
	to->unsubscribed += s->unsubscribed;
	to->excluded += s->excluded;
	to->duplicate += s->duplicate;
	to->audience += s->audience;
}

static int walk_all(struct walk *w, struct selection *sum, int (*row)(void *ctx, const struct contact_row *c),
	void *ctx, struct err *e)
{
	int rc = 0, more;
	do {
		bool last = w->sample.phase == SAMPLE_READY;
		w->after = w->upto = 0;
		w->strings = row != NULL && last;
		while (rc == 0 && (more = walk_slice(w, 2000, e)) != 0) {
			rc = more < 0 ? -1 : 0;
			selection_add(sum, &w->sel);
			if (!last)
				continue;
			for (size_t i = 0; row != NULL && rc == 0 && i < w->n; i++)
				rc = row(ctx, &w->v[i].c);
		}
	} while (rc == 0 && sample_next(&w->sample, e) == 1);
	return rc;
}

int store_audience_count(struct store *s, const struct audience *a, struct selection *out, struct err *e)
{
	struct walk w;
	*out = (struct selection){0};
	int rc = walk_init(&w, s, a, e);
	if (rc == 0)
		rc = walk_all(&w, out, NULL, NULL, e);
	walk_release(&w);
	return rc;
}

int store_audience_walk(struct store *s, const struct audience *a, bool everyone,
	int (*row)(void *ctx, const struct contact_row *c), void *ctx, struct err *e)
{
	struct walk w;
	struct selection sum = {0};
	int rc = walk_init(&w, s, a, e);
	w.everyone = everyone;
	if (rc == 0)
		rc = walk_all(&w, &sum, row, ctx, e);
	walk_release(&w);
	return rc;
}
