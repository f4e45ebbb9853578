/* Who is suppressed, asked for many people in a row. */
#include "src/db/sqlite.h"

#include <stdlib.h>

/* After so many questions a sieve is worth its making: it answers nearly all of the others. */
enum { MANY = 20000 };

int sieve_init(struct sieve *v, int64_t n, struct err *e)
{
	enum { LARGEST = 1 << 26 };
	uint64_t size = 1 << 16;
	while (size < LARGEST && size < (uint64_t)n * 16)
		size *= 2;
	v->bits = calloc(size / 64, sizeof *v->bits);
	v->mask = size - 1;
	return v->bits != NULL ? 0 : db_nomem(e);
}

/* About how many there are: hashes lie evenly, so the first ones tell. */
static int estimate(struct store *s, int64_t *n, struct err *e)
{
	enum { LOOK = 1000 };
	int64_t hash;
	int rc = db_int(s, e, &hash,
		"SELECT hash FROM suppression WHERE hash >= ? ORDER BY hash LIMIT 1 OFFSET ?", "ii",
		(int64_t)INT64_MIN, (int64_t)LOOK);
	double share = ((double)hash - (double)INT64_MIN) / 18446744073709551616.0;
	*n = rc != 1 ? LOOK : share > 1e-6 ? (int64_t)(LOOK / share) : INT32_MAX;
	return rc < 0 ? -1 : 0;
}

static int read_page(struct store *s, struct stoplist *l, struct err *e)
{
	enum { PAGE = 20000 };
	int rc, n = 0;
	sqlite3_stmt *st =
		db_query(s, e, "SELECT hash FROM suppression WHERE hash >= ? ORDER BY hash LIMIT ?", "ii",
			l->next, (int64_t)PAGE);
	int64_t first = l->next;
	while ((rc = db_step(s, st, e)) == 1) {
		l->next = col_int(st, 0);
		sieve_add(&l->sieve, (uint64_t)l->next);
		n++;
	}
	/* More rows of one hash than a page holds are no hashes of addresses. */
	l->made = rc == 0 && (n < PAGE || l->next == first);
	return rc;
}

static int go_on_making(struct store *s, struct stoplist *l, struct err *e)
{
	int64_t n;
	if (l->sieve.bits == NULL) {
		if (estimate(s, &n, e) < 0 || sieve_init(&l->sieve, n, e) < 0)
			return -1;
		l->next = INT64_MIN;
	}
	return read_page(s, l, e);
}

void stoplist_release(struct stoplist *l)
{
	free(l->sieve.bits);
	*l = (struct stoplist){0};
}

int stoplist_any(struct store *s, struct stoplist *l, struct err *e)
{
	int64_t any;
	int rc = db_int(s, e, &any, "SELECT 1 FROM suppression LIMIT 1", "");
	l->any = rc == 1;
	if (rc == 1 && l->asked >= MANY && !l->made)
		rc = go_on_making(s, l, e);
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
	l->asked++;
	uint64_t hash = hash64(key);
	int rc = !l->made || sieve_may_hold(&l->sieve, hash) ? suppressed_key(s, hash, key, list, e)
							     : MAILABLE;
	return rc != MAILABLE ? rc : domain_says(s, l, domain, list, e);
}
