/* Few rows, copied before anybody is called with them. */
#include "src/db/sqlite.h"

#include <stdlib.h>

void rows_init(struct rows *r, size_t size)
{
	*r = (struct rows){.size = size};
	arena_init(&r->a, 16384, 512u << 20);
}

void *rows_add(struct rows *r, struct err *e)
{
	if (r->n == r->cap) {
		size_t cap = r->cap * 2 + 64;
		void *v = realloc(r->v, cap * r->size);
		if (v == NULL) {
			db_nomem(e);
			return NULL;
		}
		r->v = v;
		r->cap = cap;
	}
	void *p = (char *)r->v + r->n++ * r->size;
	memset(p, 0, r->size);
	return p;
}

int rows_read(struct store *s, struct rows *r, size_t size, sqlite3_stmt *st, row_reader *read, struct err *e)
{
	rows_init(r, size);
	return rows_append(s, r, st, read, e);
}

int rows_append(struct store *s, struct rows *r, sqlite3_stmt *st, row_reader *read, struct err *e)
{
	int rc;
	while ((rc = db_step(s, st, e)) == 1) {
		void *one = rows_add(r, e);
		if (one == NULL) {
			db_done(st);
			return -1;
		}
		read(st, &r->a, one);
	}
	return rc < 0 ? -1 : r->a.failed ? db_nomem(e) : 0;
}

void *rows_next(struct rows *r, int rc)
{
	if (rc == 0 && r->next < r->n)
		return (char *)r->v + r->next++ * r->size;
	rows_release(r);
	return NULL;
}

int row_lend(struct store *s, enum lent which, sqlite3_stmt *st, row_reader *read, void *one, struct err *e)
{
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	struct arena *a = &s->lent[which];
	arena_reset(a);
	read(st, a, one);
	db_done(st);
	return a->failed ? db_nomem(e) : 1;
}

void rows_release(struct rows *r)
{
	free(r->v);
	r->v = NULL;
	r->n = 0;
	arena_release(&r->a);
}
