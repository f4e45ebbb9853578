#include "src/db/sqlite.h"

#include <stdlib.h>

void deltas_clear(struct store *s)
{
	struct deltas *t = &s->deltas;
	if (t->n == 0)
		return;
	for (size_t i = 0; i < t->cap; i++)
		free(t->v[i].note);
	memset(t->v, 0, t->cap * sizeof *t->v);
	t->n = 0;
}

static struct delta *place(const struct deltas *t, const struct delta *key)
{
	uint64_t h = (uint64_t)key->kind;
	const int64_t part[] = {key->a, key->b, key->c, key->d};
	for (size_t i = 0; i < 4; i++)
		h = (h ^ (uint64_t)part[i]) * 0x9E3779B97F4A7C15ull;
	size_t i = (size_t)(h >> 32) & (t->cap - 1);
	for (; t->v[i].used; i = (i + 1) & (t->cap - 1)) {
		const struct delta *d = &t->v[i];
		if (d->kind == key->kind && d->a == key->a && d->b == key->b && d->c == key->c &&
			d->d == key->d)
			break;
	}
	return &t->v[i];
}

static bool grow(struct deltas *t)
{
	struct deltas bigger = {.n = t->n, .cap = t->cap != 0 ? t->cap * 2 : 128};
	bigger.v = calloc(bigger.cap, sizeof *bigger.v);
	if (bigger.v == NULL)
		return false;
	for (size_t i = 0; i < t->cap; i++)
		if (t->v[i].used)
			*place(&bigger, &t->v[i]) = t->v[i];
	free(t->v);
	*t = bigger;
	return true;
}

int delta_add(struct store *s, enum delta_kind kind, int64_t a, int64_t b, int64_t c, int64_t d, int slot,
	int64_t n, struct str note, struct err *e)
{
	struct deltas *t = &s->deltas;
	if (t->n * 2 >= t->cap && !grow(t))
		return db_nomem(e);
	const struct delta key = {.kind = kind, .used = true, .a = a, .b = b, .c = c, .d = d};
	struct delta *p = place(t, &key);
	if (!p->used) {
		*p = key;
		t->n++;
	}
	p->n[slot] += n;
	if (note.n != 0 && p->note == NULL && (p->note = strndup(note.p, note.n)) == NULL)
		return db_nomem(e);
	return 0;
}

int tally_move(struct store *s, int64_t campaign, int64_t provider, int from, int to, struct err *e)
{
	const struct str none = {NULL, 0};
	if (from == to)
		return 0;
	if (from >= 0 && delta_add(s, DELTA_TALLY, campaign, provider, from, 0, 0, -1, none, e) < 0)
		return -1;
	if (to >= 0 && delta_add(s, DELTA_TALLY, campaign, provider, to, 0, 0, 1, none, e) < 0)
		return -1;
	return 0;
}

static int flush_one(struct store *s, const struct delta *d, struct err *e)
{
	switch (d->kind) {
	case DELTA_TALLY:
		if (d->n[0] == 0)
			return 0;
		return db_run(s, e,
			"INSERT INTO tally(campaign, provider, slot, n) VALUES(?, ?, ?, ?) "
			"ON CONFLICT DO UPDATE SET n = n + excluded.n",
			"iiii", d->a, d->b, d->c, d->n[0]);
	case DELTA_REASON:
		return db_run(s, e,
			"INSERT INTO reason_tally(campaign, provider, class, reason, n, example) VALUES(?, "
			"?, ?, ?, ?, ?) "
			"ON CONFLICT DO UPDATE SET n = n + excluded.n, example = coalesce(nullif(example, "
			"''), excluded.example)",
			"iiiiiz", d->a, d->b, d->c, d->d, d->n[0], d->note != NULL ? d->note : "");
	case DELTA_TIMELINE:
		return db_run(s, e,
			"INSERT INTO timeline(campaign, minute, sent, deferred, failed) VALUES(?, ?, ?, ?, "
			"?) ON CONFLICT DO "
			"UPDATE SET sent = sent + excluded.sent, deferred = deferred + excluded.deferred, "
			"failed = failed + excluded.failed",
			"iiiii", d->a, d->b, d->n[0], d->n[1], d->n[2]);
	case DELTA_USAGE:
		if (d->n[0] == 0)
			return 0;
		return db_run(s, e,
			"INSERT INTO usage(route, minute, n) VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET n = n "
			"+ excluded.n",
			"iii", d->a, d->b, d->n[0]);
	}
	return 0;
}

int deltas_flush(struct store *s, struct err *e)
{
	struct deltas *t = &s->deltas;
	for (size_t i = 0; t->n != 0 && i < t->cap; i++)
		if (t->v[i].used && flush_one(s, &t->v[i], e) < 0)
			return -1;
	deltas_clear(s);
	return 0;
}
