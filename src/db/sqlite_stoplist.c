/* Who is suppressed, asked for many people in a row. */
#include "src/db/sqlite.h"

#include <stdlib.h>

/* After so many questions a filter (Bloom's) is worth its making: it answers nearly all of the others. */
enum { MANY = 20000, LARGEST = 1 << 26 /* bits */ };

static void set(struct stoplist *l, uint64_t hash)
{
	uint64_t a = hash & l->mask, b = hash >> 32 & l->mask;
	l->bits[a / 64] |= UINT64_C(1) << a % 64;
	l->bits[b / 64] |= UINT64_C(1) << b % 64;
}

static bool may_hold(const struct stoplist *l, uint64_t hash)
{
	uint64_t a = hash & l->mask, b = hash >> 32 & l->mask;
	return l->bits == NULL ||
	       ((l->bits[a / 64] >> a % 64 & 1) != 0 && (l->bits[b / 64] >> b % 64 & 1) != 0);
}

/* A page of rows: 1 while there are more, 0, -1. */
static int read_page(struct store *s, struct stoplist *l, int64_t *after, struct err *e)
{
	enum { PAGE = 50000 };
	int rc, n = 0;
	sqlite3_stmt *st =
		db_query(s, e, "SELECT hash FROM suppression WHERE hash >= ? ORDER BY hash LIMIT ?", "ii",
			*after, (int64_t)PAGE);
	if (st == NULL)
		return -1;
	int64_t first = *after;
	while ((rc = db_step(s, st, e)) == 1) {
		*after = col_int(st, 0);
		set(l, (uint64_t)*after);
		n++;
	}
	/* More rows of one hash than a page holds are no hashes of addresses. */
	return rc < 0 ? -1 : n == PAGE && *after != first;
}

static int make_filter(struct store *s, struct stoplist *l, struct err *e)
{
	int64_t n, after = INT64_MIN;
	uint64_t size = 1 << 16;
	if (db_int(s, e, &n, "SELECT count(*) FROM suppression", "") < 0)
		return -1;
	while (size < LARGEST && size < (uint64_t)n * 16)
		size *= 2;
	l->bits = calloc(size / 64, sizeof *l->bits);
	if (l->bits == NULL)
		return db_nomem(e);
	l->mask = size - 1;
	int rc;
	while ((rc = read_page(s, l, &after, e)) == 1)
		continue;
	return rc;
}

void stoplist_release(struct stoplist *l)
{
	free(l->bits);
	*l = (struct stoplist){0};
}

int stoplist_any(struct store *s, struct stoplist *l, struct err *e)
{
	int64_t any;
	int rc = db_int(s, e, &any, "SELECT 1 FROM suppression LIMIT 1", "");
	l->any = rc == 1;
	return rc < 0 ? -1 : 0;
}

static int domain_says(struct store *s, struct stoplist *l, int64_t domain, int64_t list, struct err *e)
{
	struct stoplist_domain *at = &l->domains[(uint64_t)(domain * 31 + list) % STOPLIST_DOMAINS];
	if (at->domain != domain || at->list != list) {
		const struct domain_info *d = domain_info(s, domain, e);
		int rc = d == NULL ? -1 : suppressed_domain(s, str_from(d->name), list, e);
		if (rc < 0)
			return -1;
		*at = (struct stoplist_domain){domain, list, rc};
	}
	return at->says;
}

int stoplist_says(
	struct store *s, struct stoplist *l, struct str key, int64_t domain, int64_t list, struct err *e)
{
	if (!l->any)
		return MAILABLE;
	if (++l->asked == MANY && make_filter(s, l, e) < 0)
		return -1;
	uint64_t hash = hash64(key);
	int rc = may_hold(l, hash) ? suppressed_key(s, hash, key, list, e) : MAILABLE;
	return rc != MAILABLE ? rc : domain_says(s, l, domain, list, e);
}
