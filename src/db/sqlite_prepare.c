/* Fixing a campaign's audience: slice by slice, each recorded with the place it reached, so that it can be
 * gone on with after any interruption. */
#include "src/db/sqlite_audience.h"

#include "src/db/ledger.h"

#include <assert.h>
#include <stdlib.h>

struct prepare { /* one for each campaign at hand: what was found of a sample is in memory only */
	int64_t campaign;
	struct walk w;
	struct selection left_out; /* while a sample is looked for */
	struct prepare *next;
};

struct progress { /* from the campaign's row */
	int64_t rows, looked_at, canary;
	bool bound_known, spread;
	uint64_t bound;
	ms_t created;
};

static void free_first(struct prepare **p)
{
	struct prepare *first = *p;
	*p = first->next;
	walk_release(&first->w);
	free(first);
}

void prepare_free(struct prepare **p)
{
	while (*p != NULL)
		free_first(p);
}

static void free_one(struct store *s, int64_t campaign)
{
	struct prepare **p = &s->prepare;
	while (*p != NULL && (*p)->campaign != campaign)
		p = &(*p)->next;
	if (*p != NULL)
		free_first(p);
}

/* 1, or 0 if the campaign is in no state to be prepared. */
static int read_progress(struct store *s, int64_t campaign, struct progress *p, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT rows, looked_at, canary, sample_below, created, spread FROM campaign WHERE id = ? "
		"AND state = ?",
		"ii", campaign, (int64_t)CAMPAIGN_PREPARING);
	int rc = db_step(s, st, e);
	if (rc == 1) {
		*p = (struct progress){col_int(st, 0), col_int(st, 1), col_int(st, 2), !col_null(st, 3),
			col_int(st, 5) != 0, (uint64_t)col_int(st, 3), col_int(st, 4)};
		db_done(st);
	}
	return rc;
}

/* Those that were paused or cancelled meanwhile are not asked for again. */
static int free_others(struct store *s, struct err *e)
{
	for (struct prepare **p = &s->prepare; *p != NULL;) {
		struct progress pg;
		int rc = read_progress(s, (*p)->campaign, &pg, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			free_first(p);
		else
			p = &(*p)->next;
	}
	return 0;
}

static int get_walk(struct store *s, int64_t campaign, const struct audience *a, const struct progress *pg,
	struct prepare **out, struct err *e)
{
	for (*out = s->prepare; *out != NULL; *out = (*out)->next)
		if ((*out)->campaign == campaign)
			return 0;
	if (free_others(s, e) < 0)
		return -1;
	struct prepare *p = calloc(1, sizeof *p);
	if (p == NULL)
		return db_nomem(e);
	p->campaign = campaign;
	if (walk_init(&p->w, s, a, e) < 0) {
		walk_release(&p->w);
		free(p);
		return -1;
	}
	if (pg->bound_known) {
		p->w.sample.phase = SAMPLE_READY;
		p->w.sample.below = pg->bound;
	}
	/* Where the last slice ended; a walk that had come to its end is at its end again. */
	if (p->w.sample.phase == SAMPLE_READY)
		p->w.after = p->w.upto = pg->looked_at;
	p->next = s->prepare;
	s->prepare = *out = p;
	return 0;
}

static int record_selection(struct store *s, int64_t campaign, const struct selection *sel, struct err *e)
{
	return db_run(s, e,
		"UPDATE campaign SET selected = selected + ?, suppressed = suppressed + ?, unsubscribed = "
		"unsubscribed + ?, excluded = excluded + ?, duplicate = duplicate + ? WHERE id = ?",
		"iiiiii", sel->selected, sel->suppressed, sel->unsubscribed, sel->excluded, sel->duplicate,
		campaign);
}

/* The end of a walk that only looked for the sample's bound. */
static int next_phase(struct store *s, struct prepare *p, struct err *e)
{
	struct walk *w = &p->w;
	sample_next(&w->sample, e);
	w->after = w->upto = 0;
	if (w->sample.phase != SAMPLE_READY)
		return 0;
	return db_run(s, e, "UPDATE campaign SET sample_below = ? WHERE id = ?", "ii",
		       (int64_t)w->sample.below, p->campaign) < 0
		       ? -1
		       : record_selection(s, p->campaign, &p->left_out, e);
}

struct waiter {
	int64_t domain, delivery;
};

static int by_domain(const void *a, const void *b)
{
	const struct waiter *x = a, *y = b;
	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return x->delivery < y->delivery ? -1 : 1;
}

static void waiter_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct waiter *w = (const struct waiter *)rows + i;
	sqlite3_result_int64(out, column == 0 ? w->domain : DELIVERY_NUMBER(w->delivery));
}

/* In the order of the table, so that neighbours are written together. `first`: the slice's first number.
 * While the audience is fixed nobody knows yet who is of the canary. */
static int insert_waiting(
	struct store *s, int64_t campaign, const struct walk *w, int64_t first, struct err *e)
{
	struct waiter *v = malloc((w->n + 1) * sizeof *v);
	if (v == NULL)
		return db_nomem(e);
	for (size_t i = 0; i < w->n; i++)
		v[i] = (struct waiter){w->v[i].domain, DELIVERY_ID(campaign, first + (int64_t)i)};
	qsort(v, w->n, sizeof *v, by_domain);
	s->batch = (struct batch){w->n, v, waiter_column};
	int rc = db_run(s, e,
		"INSERT OR IGNORE INTO waiting(campaign, lot, domain, due, n) SELECT ?, 0, a, 0, b FROM "
		"batch",
		"i", campaign);
	free(v);
	return rc;
}

struct new_deliveries {
	const struct person *v;
	int64_t first; /* id */
};

static void delivery_column(sqlite3_context *out, const void *rows, size_t i, int column)
{
	const struct new_deliveries *d = rows;
	const struct person *p = &d->v[i];
	const int64_t v[] = {d->first + (int64_t)i, p->c.id, p->domain, p->c.list};
	sqlite3_result_int64(out, v[column]);
}

static int insert_deliveries(
	struct store *s, int64_t campaign, const struct walk *w, struct progress *pg, struct err *e)
{
	int64_t first = pg->rows + 1;
	if (pg->rows + (int64_t)w->n > 0xffffffff)
		return err_set(e, ERR_DATA, "audience", "more than 4294967295 people");
	for (size_t i = 0; i < w->n; i++) {
		const struct domain_info *d = domain_info(s, w->v[i].domain, e);
		int64_t provider;
		if (d == NULL || tally_provider(s, d, campaign, &provider, e) < 0 ||
			tally_move(s, campaign, provider, -1, TALLY_FRESH, e) < 0)
			return -1;
	}
	pg->rows += (int64_t)w->n;
	s->batch = (struct batch){
		w->n, &(struct new_deliveries){w->v, DELIVERY_ID(campaign, first)}, delivery_column};
	if (db_run(s, e,
		    "INSERT INTO delivery(id, contact, domain, list, state, attempts, due, first, doubted, "
		    "skip) SELECT a, b, c, d, " ROW_QUEUED ", 0, NULL, ?, 0, NULL FROM batch",
		    "i", pg->created) < 0 ||
		(pg->spread && insert_waiting(s, campaign, w, first, e) < 0))
		return -1;
	return db_run(s, e, "UPDATE campaign SET rows = ?, looked_at = ?, audience_n = ? WHERE id = ?",
		       "iiii", pg->rows, w->after, pg->rows, campaign) < 0
		       ? -1
		       : record_selection(s, campaign, &w->sel, e);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15ull;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

/* The same ones each time for a campaign; all of them where as many are wanted as there are. */
static int choose_canary(struct store *s, int64_t campaign, int64_t wanted, int64_t rows, struct err *e)
{
	uint64_t random = (uint64_t)campaign;
	if (wanted <= 0)
		return 0;
	if (wanted >= rows)
		return db_run(
			s, e, "UPDATE campaign SET canary_open = 0, canary = 0 WHERE id = ?", "i", campaign);
	/* Floyd's: each set of that size is as likely as any other. */
	for (int64_t j = rows - wanted + 1; j <= rows; j++) {
		int64_t n = (int64_t)(next_random(&random) % (uint64_t)j) + 1;
		if (db_run(s, e, "INSERT OR IGNORE INTO canary(campaign, n) VALUES(?, ?)", "ii", campaign,
			    n) < 0)
			return -1;
		if (sqlite3_changes64(s->db) == 0 &&
			db_run(s, e, "INSERT INTO canary(campaign, n) VALUES(?, ?)", "ii", campaign, j) < 0)
			return -1;
	}
	return waiting_canary(s, campaign, e);
}

static int prepared(struct store *s, int64_t campaign, const struct progress *pg, ms_t now, struct err *e)
{
	free_one(s, campaign);
	if (choose_canary(s, campaign, pg->canary, pg->rows, e) < 0)
		return -1;
	return db_run(s, e, "UPDATE campaign SET state = ?, started = ? WHERE id = ?", "iii",
		(int64_t)CAMPAIGN_RUNNING, now, campaign);
}

int store_ledger_prepare(struct store *s, int64_t campaign, const struct audience *a, int budget, ms_t now,
	bool *done, struct err *e)
{
	struct progress pg = {0};
	assert(s->in_ledger);
	struct prepare *p;
	int rc = read_progress(s, campaign, &pg, e);
	*done = rc == 0;
	if (rc == 0)
		free_one(s, campaign);
	if (rc <= 0 || get_walk(s, campaign, a, &pg, &p, e) < 0)
		return rc == 0 ? 0 : -1;
	struct walk *w = &p->w;
	/* The audience is lent for the call only. */
	w->a = a;
	rc = walk_slice(w, budget > 0 ? budget : 1, e);
	if (rc < 0) {
		free_one(s, campaign);
		return -1;
	}
	if (w->sample.phase != SAMPLE_READY && rc == 0)
		return next_phase(s, p, e);
	if (w->sample.phase != SAMPLE_READY) {
		selection_add(&p->left_out, &w->sel);
		return 0;
	}
	if (rc == 1)
		return insert_deliveries(s, campaign, w, &pg, e);
	*done = true;
	return prepared(s, campaign, &pg, now, e);
}
