#include "src/db/sqlite.h"

#include "src/base/fault.h"
#include "src/db/contacts.h"

#include <assert.h>
#include <stdlib.h>

const char *const suppress_reason_names[SUPPRESS_NREASONS] = {
	[SUPPRESS_HARD_BOUNCE] = "hard-bounce",
	[SUPPRESS_SOFT_BOUNCES] = "soft-bounces",
	[SUPPRESS_COMPLAINT] = "complaint",
	[SUPPRESS_UNSUBSCRIBE] = "unsubscribe",
	[SUPPRESS_MANUAL] = "manual",
	[SUPPRESS_IMPORT] = "import",
	[SUPPRESS_FORGOTTEN] = "forgotten",
};

int suppression_rank(enum suppress_reason r)
{
	static const int rank[SUPPRESS_NREASONS] = {
		[SUPPRESS_FORGOTTEN] = 4,
		[SUPPRESS_COMPLAINT] = 3,
		[SUPPRESS_UNSUBSCRIBE] = 3,
		[SUPPRESS_HARD_BOUNCE] = 2,
		[SUPPRESS_SOFT_BOUNCES] = 2,
		[SUPPRESS_MANUAL] = 1,
		[SUPPRESS_IMPORT] = 1,
	};
	return (unsigned)r < SUPPRESS_NREASONS ? rank[r] : 0;
}

static int suppressed_by(struct store *s, uint64_t hash, struct str key, int64_t list, struct err *e)
{
	int found = MAILABLE, rc;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT key, list, reason, held_until FROM suppression WHERE hash = ? AND" VISIBLE("born"),
		"i", (int64_t)hash);
	while ((rc = db_step(s, st, e)) == 1) {
		int64_t scope = col_int(st, 1);
		if ((scope != 0 && scope != list) || !str_eq(col_str(st, 0), key))
			continue;
		if (col_int(st, 3) != 0 && col_int(st, 3) <= store_time(s))
			continue; /* held, and the hold ran out */
		bool left = col_int(st, 2) == SUPPRESS_UNSUBSCRIBE;
		if (found == MAILABLE || left)
			found = left ? UNMAILABLE_UNSUBSCRIBED : UNMAILABLE_SUPPRESSED;
	}
	return rc < 0 ? -1 : found;
}

int suppressed_key(struct store *s, uint64_t hash, struct str key, int64_t list, struct err *e)
{
	return suppressed_by(s, hash, key, list, e);
}

int suppressed_domain(struct store *s, struct str domain, int64_t list, struct err *e)
{
	char text[258] = "@";
	if (domain.n > 256 || domain.n == 0)
		return MAILABLE;
	memcpy(text + 1, domain.p, domain.n);
	struct str key = str_n(text, domain.n + 1);
	return suppressed_by(s, hash64(key), key, list, e);
}

static int write_suppression(struct store *s, const struct suppression *sup, int64_t born, struct err *e)
{
	return db_run(s, e,
		"INSERT OR REPLACE INTO suppression(hash, list, key, reason, campaign, evidence, created, "
		"held_until, born) "
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iisiisiii", (int64_t)hash64(sup->key), sup->list, sup->key, (int64_t)sup->reason,
		sup->campaign, sup->evidence, sup->created, sup->held_until, born);
}

/* What the address's second word does to a held one, or a person's. Returns as suppression_put(). */
static int confirm(
	struct store *s, const struct suppression *sup, ms_t held_until, bool stronger, struct err *e)
{
	struct suppression firm = *sup;
	/* Said once more within the same burst: that is still its first word. */
	if (sup->held_until != 0 && sup->created < held_until)
		return 0;
	firm.held_until = 0;
	if (stronger)
		return write_suppression(s, &firm, 0, e) < 0 ? -1 : 1;
	return db_run(s, e,
		       "UPDATE suppression SET held_until = 0, created = ? WHERE hash = ? AND list = ? AND "
		       "key = ?",
		       "iiis", sup->created, (int64_t)hash64(sup->key), sup->list, sup->key) < 0
		       ? -1
		       : 1;
}

int suppression_put(struct store *s, const struct suppression *sup, int64_t born, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT reason, held_until, born, (SELECT id FROM pending_import) FROM suppression WHERE "
		"hash = ? AND list = ? AND key = ?",
		"iis", (int64_t)hash64(sup->key), sup->list, sup->key);
	int rc = db_step(s, st, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return write_suppression(s, sup, born, e) < 0 ? -1 : 1;
	int had = suppression_rank((enum suppress_reason)col_int(st, 0)),
	    rank = suppression_rank(sup->reason);
	ms_t held_until = col_int(st, 1);
	bool hidden = col_int(st, 3) != 0 && col_int(st, 2) == col_int(st, 3);
	db_done(st);
	if (!hidden && held_until != 0)
		return confirm(s, sup, held_until, rank >= had, e);
	/* One that only a running import has said is not there yet for anybody else. What is firm does not
	 * begin to run out. */
	if (hidden ? (born == 0 || rank > had) : (rank > had && sup->held_until == 0))
		return write_suppression(s, sup, born, e) < 0 ? -1 : 1;
	return 0;
}

/* For the brake of that campaign, by provider. */
static int count_complaint(struct store *s, const struct suppression *sup, struct err *e)
{
	size_t at = str_find(sup->key, '@');
	int64_t domain = 0, provider = 0;
	if (at < sup->key.n &&
		domain_id(s, str_n(sup->key.p + at + 1, sup->key.n - at - 1), false, &domain, e) < 0)
		return -1;
	const struct domain_info *d = domain != 0 ? domain_info(s, domain, e) : NULL;
	if (domain != 0 && (d == NULL || tally_provider(s, d, sup->campaign, &provider, e) < 0))
		return -1;
	return delta_add(s, DELTA_TALLY, sup->campaign, provider, TALLY_COMPLAINTS, 0, 0, 1, STR(""), e);
}

static int suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e)
{
	if (sup->key.n == 0 || (unsigned)sup->reason >= SUPPRESS_NREASONS ||
		sup->reason == SUPPRESS_FORGOTTEN)
		return err_set(e, ERR_DATA, "suppression", "an address and a reason are needed");
	int rc = store_is_forgotten(s, sup->key, e);
	if (rc != 0) {
		/* Nobody who was forgotten is written down again; they are not mailed anyway. */
		*added = false;
		return rc < 0 ? -1 : 0;
	}
	rc = suppression_put(s, sup, 0, e);
	if (rc < 0)
		return -1;
	*added = rc == 1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_COMPLAINT &&
		db_run(s, e, "UPDATE campaign SET complaints = complaints + 1 WHERE id = ?", "i",
			sup->campaign) < 0)
		return -1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_COMPLAINT &&
		count_complaint(s, sup, e) < 0)
		return -1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_UNSUBSCRIBE &&
		db_run(s, e, "UPDATE campaign SET unsubscribes = unsubscribes + 1 WHERE id = ?", "i",
			sup->campaign) < 0)
		return -1;
	if (rc == 1 && !s->in_ledger)
		return history_note(s, sup->created, "suppress", sup->key, e, "%s%s%.*s",
			suppress_reason_names[sup->reason], sup->evidence.n != 0 ? ": " : "",
			STR_ARG(sup->evidence));
	return 0;
}

int store_suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e)
{
	bool unused;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = suppress(s, sup, added != NULL ? added : &unused, e);
	fault_point("suppression-before");
	rc = db_end(s, rc, e);
	fault_point("suppression-after");
	return rc;
}

int store_suppress_many(
	struct store *s, const struct suppression *sups, size_t n, size_t *added, struct err *e)
{
	int rc = 0;
	size_t count = 0;
	if (db_begin(s, e) < 0)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		bool is_new = false;
		rc = suppress(s, &sups[i], &is_new, e);
		count += is_new;
	}
	rc = db_end(s, rc, e);
	*added = rc == 0 ? count : 0;
	return rc;
}

/* ---- Reading ---- */

struct place {
	int64_t hash, list;
	struct str key;
};

struct page {
	struct arena a;
	struct suppression *v;
	size_t n, cap;
};

#define SUPPRESSION_COLUMNS                                                                                  \
	"SELECT s.key, s.list, coalesce(l.name, ''), s.reason, s.campaign, coalesce(c.name, ''), "           \
	"s.evidence, s.created,"                                                                             \
	" s.held_until, s.hash FROM suppression s LEFT JOIN list l ON l.id = s.list LEFT JOIN campaign c "   \
	"ON c.id = s.campaign "

static int page_add(struct page *p, sqlite3_stmt *st, struct err *e)
{
	if (p->n == p->cap) {
		struct suppression *v = realloc(p->v, (p->cap = p->cap * 2 + 64) * sizeof *v);
		if (v == NULL)
			return db_nomem(e);
		p->v = v;
	}
	p->v[p->n++] = (struct suppression){
		.key = arena_str(&p->a, col_str(st, 0)),
		.list = col_int(st, 1),
		.list_name = arena_str(&p->a, col_str(st, 2)),
		.reason = (enum suppress_reason)col_int(st, 3),
		.campaign = col_int(st, 4),
		.campaign_name = arena_str(&p->a, col_str(st, 5)),
		.evidence = arena_str(&p->a, col_str(st, 6)),
		.created = col_int(st, 7),
		.held_until = col_int(st, 8),
	};
	return p->a.failed ? db_nomem(e) : 0;
}

static int read_of(struct store *s, struct str key, int64_t list, struct page *p, struct err *e)
{
	int rc;
	sqlite3_stmt *st = db_query(s, e,
		SUPPRESSION_COLUMNS "WHERE s.hash = ?1 AND s.key = ?2 AND (?3 = 0 OR s.list IN (0, ?3)) AND "
				    "(s.held_until = 0 OR s.held_until "
				    "> ?4) AND" VISIBLE("s.born"),
		"isii", (int64_t)hash64(key), key, list, store_time(s));
	while ((rc = db_step(s, st, e)) == 1)
		if (page_add(p, st, e) < 0) {
			db_done(st);
			return -1;
		}
	return rc;
}

int store_suppressions_of(struct store *s, struct str key, struct str domain, int64_t list,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	struct page p = {.n = 0};
	arena_init(&p.a, 4096, 16u << 20);
	int rc = read_of(s, key, list, &p, e);
	if (rc == 0 && domain.n != 0)
		rc = read_of(s, domain, list, &p, e);
	for (size_t i = 0; i < p.n && rc == 0; i++)
		rc = row(ctx, &p.v[i]);
	if (rc == 0) {
		rc = store_is_forgotten(s, key, e);
		struct suppression gone = {.key = key,
			.list_name = STR(""),
			.reason = SUPPRESS_FORGOTTEN,
			.campaign_name = STR(""),
			.evidence = STR("")};
		if (rc == 1)
			rc = row(ctx, &gone);
	}
	free(p.v);
	arena_release(&p.a);
	return rc;
}

/* The provider is that of the key's domain; an "@domain" is its own. */
#define SELECTED                                                                                             \
	"WHERE (s.hash, s.list, s.key) > (?1, ?2, ?3) AND (?4 < 0 OR s.list = ?4) AND (?5 < 0 OR s.reason "  \
	"= ?5)"                                                                                              \
	" AND (?6 = 0 OR s.campaign = ?6) AND s.created >= ?7 AND (?8 = 0 OR s.created < ?8)"                \
	" AND (?9 = 0 OR s.reason NOT IN (2, 3)) AND (?10 = '' OR EXISTS (SELECT 1 FROM domain d JOIN name " \
	"n ON n.id ="                                                                                        \
	" d.provider WHERE d.name = substr(s.key, instr(s.key, '@') + 1) AND n.text = ?10)) AND (?11 = '' "  \
	"OR s.key = ?11)"                                                                                    \
	" AND s.hash <= ?12 AND ((?14 <> 0 AND s.held_until <> 0) OR (?14 = 0 AND (s.held_until = 0 OR "     \
	"s.held_until > ?15))) AND" VISIBLE("s.born") "ORDER BY s.hash, s.list, s.key LIMIT ?13"

static int read_selected(struct store *s, const struct suppression_query *q, struct place *after,
	struct page *p, int max, struct err *e)
{
	int rc;
	static_assert(SUPPRESS_COMPLAINT == 2 && SUPPRESS_UNSUBSCRIBE == 3, "numbers in the query");
	sqlite3_stmt *st = db_query(s, e, SUPPRESSION_COLUMNS SELECTED, "iisiiiiiissiiii", after->hash,
		after->list, after->key, q->list, (int64_t)q->reason, q->campaign, q->since, q->until,
		(int64_t)q->spare_personal, q->provider, q->key,
		q->key.n != 0 ? (int64_t)hash64(q->key) : INT64_MAX, (int64_t)max, (int64_t)q->held,
		store_time(s));
	while ((rc = db_step(s, st, e)) == 1) {
		if (page_add(p, st, e) < 0) {
			db_done(st);
			return -1;
		}
		*after = (struct place){col_int(st, 9), p->v[p->n - 1].list, p->v[p->n - 1].key};
	}
	return rc;
}

static struct place first_place(const struct suppression_query *q)
{
	return (struct place){q->key.n != 0 ? (int64_t)hash64(q->key) : INT64_MIN, INT64_MIN, STR("")};
}

int store_suppressions(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e)
{
	enum { PAGE = 1000 };
	struct page p = {.n = PAGE};
	struct arena keep;
	struct place after = first_place(q);
	int rc = 0;
	arena_init(&p.a, 65536, 256u << 20);
	arena_init(&keep, 512, 1u << 20);
	while (rc == 0 && p.n == PAGE) {
		p.n = 0;
		arena_reset(&p.a);
		rc = read_selected(s, q, &after, &p, PAGE, e);
		arena_reset(&keep);
		after.key = arena_str(&keep, after.key);
		for (size_t i = 0; i < p.n && rc == 0; i++)
			rc = row(ctx, &p.v[i]);
	}
	free(p.v);
	arena_release(&p.a);
	arena_release(&keep);
	return rc;
}

static int remove_slice(struct store *s, const struct page *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (db_run(s, e, "DELETE FROM suppression WHERE hash = ? AND list = ? AND key = ?", "iis",
			    (int64_t)hash64(p->v[i].key), p->v[i].list, p->v[i].key) < 0)
			return -1;
	return 0;
}

int store_unsuppress(struct store *s, const struct suppression_query *q, struct str note, bool dry_run,
	int64_t *n, struct err *e)
{
	enum { SLICE = 500 };
	struct page p = {.n = SLICE};
	struct arena keep;
	struct place after = first_place(q);
	int rc = 0;
	*n = 0;
	arena_init(&p.a, 65536, 64u << 20);
	arena_init(&keep, 512, 1u << 20);
	while (rc == 0 && p.n == SLICE) {
		p.n = 0;
		arena_reset(&p.a);
		if ((rc = dry_run ? 0 : db_begin(s, e)) < 0)
			break;
		rc = read_selected(s, q, &after, &p, SLICE, e);
		arena_reset(&keep);
		after.key = arena_str(&keep, after.key);
		if (rc == 0 && !dry_run)
			rc = remove_slice(s, &p, e);
		if (rc == 0 && !dry_run && p.n != 0)
			rc = history_note(s, clock_now(), "unsuppress", p.n == 1 ? p.v[0].key : STR(""), e,
				"%zu%s%.*s", p.n, note.n != 0 ? ": " : "", STR_ARG(note));
		if (!dry_run)
			rc = db_end(s, rc, e);
		*n += rc == 0 ? (int64_t)p.n : 0;
		if (!dry_run && rc == 0 && s->depth == 0)
			db_pause(s);
	}
	free(p.v);
	arena_release(&p.a);
	arena_release(&keep);
	return rc;
}
