/* Questions about domains for the hygiene of lists. Each walks a table in windows of its numbers. */
#include "src/db/sqlite.h"

#include "src/db/contacts.h"
#include "src/db/returned.h"

#include <stdlib.h>

enum { WINDOW = 20000, DEAD_MOST = 20000 };

int store_domains(struct store *s, int (*row)(void *ctx, int64_t id, struct str name, struct str provider),
	void *ctx, struct err *e)
{
	struct arena a;
	int64_t id = 0;
	int rc;
	arena_init(&a, 1024, 64 << 10);
	for (;;) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT d.id, d.name, coalesce(n.text, '') FROM domain d LEFT JOIN name n ON n.id = "
			"d.provider "
			"WHERE d.id > ? ORDER BY d.id LIMIT 1",
			"i", id);
		rc = db_step(s, st, e);
		if (rc <= 0)
			break;
		arena_reset(&a);
		id = col_int(st, 0);
		struct str name = arena_str(&a, col_str(st, 1)), provider = arena_str(&a, col_str(st, 2));
		db_done(st);
		rc = a.failed ? db_nomem(e) : row(ctx, id, name, provider);
		if (rc != 0)
			break;
	}
	arena_release(&a);
	return rc;
}

/* ---- How many people are of these domains ---- */

static int by_id(const void *a, const void *b)
{
	const struct domain_count *x = a, *y = b;
	return (x->domain > y->domain) - (x->domain < y->domain);
}

int store_domain_people(struct store *s, struct domain_count *v, size_t n, struct err *e)
{
	int64_t last;
	int rc;
	if (n == 0)
		return 0;
	qsort(v, n, sizeof *v, by_id);
	if (db_int(s, e, &last, "SELECT max(id) FROM contact", "") < 0)
		return -1;
	for (int64_t from = 0; from < last; from += WINDOW) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT domain FROM contact WHERE id > ? AND id <= ? AND removed = 0 AND" VISIBLE(
				"born"),
			"ii", from, from + WINDOW);
		if (st == NULL)
			return -1;
		while ((rc = db_step(s, st, e)) == 1) {
			const struct domain_count key = {.domain = col_int(st, 0)};
			struct domain_count *found = bsearch(&key, v, n, sizeof *v, by_id);
			if (found != NULL)
				found->people++;
		}
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- Domains that fail as a whole ---- */

static const char *const dead_reasons[] = {
	"domain-unknown", "domain-refuses-mail", "domain-no-host", "private-address"};
#define NDEAD (sizeof dead_reasons / sizeof *dead_reasons)

struct dead {
	struct domain_failure *v;
	size_t n, cap;
	int64_t reason[NDEAD];
};

static struct domain_failure *dead_place(struct dead *d, int64_t domain)
{
	size_t low = 0, high = d->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (d->v[middle].domain < domain)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < d->n && d->v[low].domain == domain)
		return &d->v[low];
	if (d->n == DEAD_MOST)
		return NULL;
	if (d->n == d->cap) {
		struct domain_failure *v = realloc(d->v, (d->cap * 2 + 64) * sizeof *v);
		if (v == NULL)
			return NULL;
		d->v = v;
		d->cap = d->cap * 2 + 64;
	}
	memmove(&d->v[low + 1], &d->v[low], (d->n - low) * sizeof *d->v);
	d->n++;
	d->v[low] = (struct domain_failure){.domain = domain};
	return &d->v[low];
}

static void dead_add(struct dead *d, int64_t domain, int64_t reason, ms_t at)
{
	for (size_t i = 0; i < NDEAD; i++) {
		struct domain_failure *f =
			d->reason[i] == reason && reason != 0 ? dead_place(d, domain) : NULL;
		if (f == NULL)
			continue;
		f->failures++;
		if (at >= f->last) {
			f->last = at;
			f->reason = str_from(dead_reasons[i]);
		}
	}
}

static int dead_window(struct store *s, struct dead *d, int64_t from, ms_t since, struct err *e)
{
	int rc;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT d.domain, coalesce(r.reason, a.reason), f.at FROM failure f JOIN delivery d ON d.id "
		"= f.delivery "
		"LEFT JOIN returned r ON r.id = f.id AND f.n = 0 LEFT JOIN attempt a ON a.delivery = "
		"f.delivery AND a.n = "
		"f.n WHERE f.id > ? AND f.id <= ? AND f.at >= ?",
		"iii", from, from + WINDOW, since);
	while ((rc = db_step(s, st, e)) == 1)
		dead_add(d, col_int(st, 0), col_int(st, 1), col_int(st, 2));
	return rc;
}

int store_dead_domains(struct store *s, ms_t since, struct domain_failure **out, size_t *n, struct err *e)
{
	struct dead d = {.n = 0};
	int64_t last;
	int rc = db_int(s, e, &last, "SELECT max(id) FROM failure", "");
	for (size_t i = 0; i < NDEAD && rc >= 0; i++)
		rc = db_int(s, e, &d.reason[i], "SELECT id FROM name WHERE text = ?", "z", dead_reasons[i]);
	for (int64_t from = 0; from < last && rc >= 0; from += WINDOW)
		rc = dead_window(s, &d, from, since, e);
	if (rc < 0) {
		free(d.v);
		return -1;
	}
	*out = d.v;
	*n = d.n;
	return 0;
}
