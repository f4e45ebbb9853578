/* Campaigns that go out by destination keep what can be claimed in a table by domain. A delivery stands in it
 * while it was never attempted, and from the moment its due time is not later than the campaign's ripe_until;
 * those that become due later are found by the index over their times (delivery_due) and moved in when that
 * moment comes (store_ledger_ripen). So neither a walk over domains nor one over times meets what is not yet
 * wanted. */
#include "src/db/sqlite.h"

#include "src/db/ledger.h"

#include <assert.h>
#include <stdlib.h>

enum { RIPEN = 2000, HURRY = 1000 };

struct spread { /* from the campaign's row */
	bool is;
	int64_t lot; /* the one that is seen now */
	ms_t ripe_until;
};

static int read_spread(struct store *s, int64_t campaign, struct spread *p, struct err *e)
{
	*p = (struct spread){0};
	sqlite3_stmt *st = db_query(
		s, e, "SELECT spread, canary_open, ripe_until FROM campaign WHERE id = ?", "i", campaign);
	int rc = db_step(s, st, e);
	if (rc == 1) {
		*p = (struct spread){col_int(st, 0) != 0, col_int(st, 1), col_int(st, 2)};
		db_done(st);
	}
	return rc < 0 ? -1 : 0;
}

static int insert(struct store *s, int64_t delivery, int64_t lot, int64_t domain, ms_t due, struct err *e)
{
	return db_run(s, e,
		"INSERT OR IGNORE INTO waiting(campaign, lot, domain, due, n) VALUES(?, ?, ?, ?, ?)", "iiiii",
		DELIVERY_CAMPAIGN(delivery), lot, domain, due, DELIVERY_NUMBER(delivery));
}

int waiting_put(struct store *s, int64_t delivery, int64_t domain, ms_t due, struct err *e)
{
	struct spread p;
	if (read_spread(s, DELIVERY_CAMPAIGN(delivery), &p, e) < 0)
		return -1;
	if (!p.is || due > p.ripe_until)
		return 0;
	/* While the audience is fixed nobody knows yet who is of the canary. */
	return insert(s, delivery, due == 0 ? 0 : p.lot, domain, due, e);
}

int waiting_drop(struct store *s, int64_t delivery, int64_t domain, ms_t due, struct err *e)
{
	struct spread p;
	if (read_spread(s, DELIVERY_CAMPAIGN(delivery), &p, e) < 0)
		return -1;
	if (!p.is || due > p.ripe_until)
		return 0;
	return db_run(s, e,
		"DELETE FROM waiting WHERE campaign = ? AND lot = ? AND domain = ? AND due = ? AND n = ?",
		"iiiii", DELIVERY_CAMPAIGN(delivery), p.lot, domain, due, DELIVERY_NUMBER(delivery));
}

int waiting_canary(struct store *s, int64_t campaign, struct err *e)
{
	struct spread p;
	if (read_spread(s, campaign, &p, e) < 0)
		return -1;
	if (!p.is)
		return 0;
	if (db_run(s, e,
		    "INSERT INTO waiting(campaign, lot, domain, due, n) SELECT c.campaign, 1, d.domain, 0, "
		    "c.n FROM "
		    "canary c JOIN delivery d ON d.id = (c.campaign << 32) + c.n WHERE c.campaign = ?",
		    "i", campaign) < 0)
		return -1;
	return db_run(s, e,
		"DELETE FROM waiting WHERE (campaign, lot, domain, due, n) IN (SELECT campaign, 0, domain, "
		"due, n "
		"FROM waiting WHERE campaign = ? AND lot = 1)",
		"i", campaign);
}

int waiting_canary_over(struct store *s, int64_t campaign, struct err *e)
{
	if (db_run(s, e,
		    "INSERT INTO waiting(campaign, lot, domain, due, n) SELECT campaign, 0, domain, due, n "
		    "FROM "
		    "waiting WHERE campaign = ? AND lot = 1",
		    "i", campaign) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM waiting WHERE campaign = ? AND lot = 1", "i", campaign);
}

/* ---- Time passes ---- */

struct ripe {
	int64_t delivery, domain;
	ms_t due;
};

static int ripe_order(const void *a, const void *b)
{
	const struct ripe *x = a, *y = b;
	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return x->delivery < y->delivery ? -1 : 1;
}

/* Those with a time in (from, now], by time, RIPEN of them and all that have the last one's time. */
static int read_ripe(struct store *s, int64_t campaign, ms_t from, ms_t now, struct ripe **out, size_t *n,
	bool *all, struct err *e)
{
	size_t cap = 0;
	int rc;
	*all = true;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT id, domain, due FROM delivery WHERE id >> 32 = ? AND due IS NOT NULL AND due > ? AND "
		"due <= "
		"? ORDER BY due",
		"iii", campaign, from, now);
	while ((rc = db_step(s, st, e)) == 1) {
		const struct ripe r = {col_int(st, 0), col_int(st, 1), col_int(st, 2)};
		if (*n >= RIPEN && r.due != (*out)[*n - 1].due) {
			*all = false;
			break;
		}
		if (*n == cap) {
			cap = cap != 0 ? cap * 2 : 256;
			struct ripe *v = realloc(*out, cap * sizeof *v);
			if (v == NULL) {
				db_done(st);
				return db_nomem(e);
			}
			*out = v;
		}
		(*out)[(*n)++] = r;
	}
	db_done(st);
	return rc < 0 ? -1 : 0;
}

static int ripen(
	struct store *s, int64_t campaign, const struct spread *p, ms_t now, ms_t *until, struct err *e)
{
	struct ripe *v = NULL;
	size_t n = 0;
	bool all;
	int rc = read_ripe(s, campaign, p->ripe_until, now, &v, &n, &all, e);
	/* Only as far as was read, and never back: what waits with an earlier time stands in the table. */
	*until = rc == 0 && n != 0 ? v[n - 1].due : p->ripe_until;
	if (rc == 0 && n != 0) {
		qsort(v, n, sizeof *v, ripe_order);
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = insert(s, v[i].delivery, p->lot, v[i].domain, v[i].due, e);
		if (rc == 0)
			rc = db_run(s, e, "UPDATE campaign SET ripe_until = ? WHERE id = ?", "ii", *until,
				campaign);
	}
	free(v);
	return rc;
}

int store_ledger_ripen(struct store *s, int64_t campaign, ms_t now, ms_t *next, struct err *e)
{
	struct spread p;
	ms_t until;
	assert(s->in_ledger);
	*next = 0;
	if (read_spread(s, campaign, &p, e) < 0)
		return -1;
	if (!p.is)
		return 0;
	if (ripen(s, campaign, &p, now, &until, e) < 0)
		return -1;
	return db_int(s, e, next,
		       "SELECT min(due) FROM delivery WHERE id >> 32 = ? AND due IS NOT NULL AND due > ?",
		       "ii", campaign, until) < 0
		       ? -1
		       : 0;
}

int waiting_hurry(struct store *s, int64_t campaign, ms_t at, struct err *e)
{
	struct spread p;
	struct ripe v[HURRY];
	int n = 0, rc;
	if (read_spread(s, campaign, &p, e) < 0)
		return -1;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT id, domain FROM delivery WHERE id >> 32 = ? AND due IS NOT NULL AND due > ? LIMIT ?",
		"iii", campaign, p.ripe_until > at ? p.ripe_until : at, (int64_t)HURRY);
	while ((rc = db_step(s, st, e)) == 1)
		v[n++] = (struct ripe){col_int(st, 0), col_int(st, 1), p.ripe_until};
	qsort(v, (size_t)n, sizeof *v, ripe_order);
	for (int i = 0; i < n && rc == 0; i++)
		rc = db_run(s, e, "UPDATE delivery SET due = ? WHERE id = ?", "ii", v[i].due, v[i].delivery) <
				     0
			     ? -1
			     : insert(s, v[i].delivery, p.lot, v[i].domain, v[i].due, e);
	return rc < 0 ? -1 : n != 0;
}

/* ---- The walk ---- */

static int count_kind(struct store *s, int64_t campaign, int64_t lot, int64_t domain, bool fresh, int cap,
	int64_t *n, struct err *e)
{
	return fresh ? db_int(s, e, n,
			       "SELECT count(*) FROM (SELECT 1 FROM waiting WHERE campaign = ? AND lot = ? "
			       "AND domain "
			       "= ? AND due = 0 LIMIT ?)",
			       "iiii", campaign, lot, domain, (int64_t)cap)
		     : db_int(s, e, n,
			       "SELECT count(*) FROM (SELECT 1 FROM waiting WHERE campaign = ? AND lot = ? "
			       "AND domain "
			       "= ? AND due > 0 LIMIT ?)",
			       "iiii", campaign, lot, domain, (int64_t)cap);
}

static int show_domain(struct store *s, int64_t campaign, int64_t lot, int64_t domain, int cap,
	struct waiting_domain *w, struct err *e)
{
	int64_t fresh, due, since = 0;
	if (count_kind(s, campaign, lot, domain, true, cap, &fresh, e) < 0 ||
		count_kind(s, campaign, lot, domain, false, cap, &due, e) < 0)
		return -1;
	if (due != 0 && db_int(s, e, &since,
				"SELECT min(due) FROM waiting WHERE campaign = ? AND lot = ? AND domain = ? "
				"AND due > 0",
				"iii", campaign, lot, domain) < 0)
		return -1;
	const struct domain_info *d = domain_info(s, domain, e);
	if (d == NULL)
		return -1;
	*w = (struct waiting_domain){
		domain, str_from(d->name), str_from(d->provider_name), (int)fresh, (int)due, since};
	return 0;
}

int store_ledger_waiting(struct store *s, int64_t campaign, int64_t after, int max, int cap,
	int (*row)(void *ctx, const struct waiting_domain *d), void *ctx, struct err *e)
{
	int64_t lot, domain = after;
	struct paused paused;
	int n = 0;
	int rc = db_int(s, e, &lot,
		"SELECT canary_open FROM campaign WHERE id = ? AND spread = 1 AND state IN (?, ?)", "iii",
		campaign, (int64_t)CAMPAIGN_RUNNING, (int64_t)CAMPAIGN_WAITING);
	if (rc <= 0)
		return rc;
	if (paused_providers(s, campaign, &paused, e) < 0)
		return -1;
	for (; n < max; n++) {
		struct waiting_domain w;
		rc = db_int(s, e, &domain,
			"SELECT domain FROM waiting WHERE campaign = ? AND lot = ? AND domain > ? ORDER BY "
			"domain "
			"LIMIT 1",
			"iii", campaign, lot, domain);
		if (rc <= 0)
			break;
		const struct domain_info *d = paused.n != 0 ? domain_info(s, domain, e) : NULL;
		if (paused.n != 0 && d == NULL)
			return -1;
		if (d != NULL && is_paused(&paused, d->provider))
			w = (struct waiting_domain){
				domain, str_from(d->name), str_from(d->provider_name), 0, 0, 0};
		else
			rc = show_domain(s, campaign, lot, domain, cap, &w, e);
		if (rc >= 0)
			rc = row(ctx, &w);
		if (rc != 0)
			break;
	}
	return rc != 0 ? rc : n;
}

/* ---- Whose domain it is ---- */

/* What the domain has waiting in a campaign that never claimed of it is all that is counted of it there, and
 * it is counted as fresh: it goes with the domain. 1 moved (or nothing to move), 0 the campaign keeps the
 * former provider, -1. */
static int move_fresh(
	struct store *s, int64_t campaign, const struct domain_info *d, int64_t to, struct err *e)
{
	int64_t n;
	sqlite3_stmt *st =
		db_query(s, e, "SELECT rows, spread, state FROM campaign WHERE id = ?", "i", campaign);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	int64_t rows = col_int(st, 0), state = col_int(st, 2);
	bool spread = col_int(st, 1) != 0;
	db_done(st);
	if (rows == 0)
		return 1;
	if (!spread || d->touched >= campaign || state == CAMPAIGN_FINISHED || state == CAMPAIGN_CANCELLED)
		return 0;
	if (db_int(s, e, &n,
		    "SELECT (SELECT count(*) FROM waiting WHERE campaign = ?1 AND lot = 0 AND domain = ?2) + "
		    "(SELECT "
		    "count(*) FROM waiting WHERE campaign = ?1 AND lot = 1 AND domain = ?2)",
		    "ii", campaign, d->id) < 0)
		return -1;
	const struct str none = {NULL, 0};
	if (n != 0 && (delta_add(s, DELTA_TALLY, campaign, d->provider, TALLY_FRESH, 0, 0, -n, none, e) < 0 ||
			      delta_add(s, DELTA_TALLY, campaign, to, TALLY_FRESH, 0, 0, n, none, e) < 0))
		return -1;
	return 1;
}

static int change_provider(struct store *s, const struct domain_info *d, int64_t to, struct err *e)
{
	int64_t campaign = INT64_MAX;
	int rc;
	for (;;) {
		rc = db_int(s, e, &campaign, "SELECT id FROM campaign WHERE id < ? ORDER BY id DESC LIMIT 1",
			"i", campaign);
		/* Those that have a former provider already keep it. */
		if (rc != 1 || campaign <= d->former)
			break;
		rc = move_fresh(s, campaign, d, to, e);
		if (rc == 0 &&
			db_run(s, e,
				"INSERT INTO former_provider(domain, campaign, provider) VALUES(?, ?, ?)",
				"iii", d->id, campaign, d->provider) < 0)
			rc = -1;
		if (rc != 1)
			break;
	}
	if (rc < 0)
		return -1;
	return db_run(s, e, "UPDATE domain SET provider = ? WHERE id = ?", "ii", to, d->id);
}

int store_ledger_set_provider(struct store *s, int64_t domain, struct str provider, struct err *e)
{
	int64_t to;
	assert(s->in_ledger);
	const struct domain_info *d = domain_info(s, domain, e);
	if (d == NULL)
		return -1;
	if (name_id(s, provider, &to, e) < 0)
		return -1;
	if (d->id == 0 || d->provider == to)
		return 0;
	if (change_provider(s, d, to, e) < 0)
		return -1;
	domain_forget(s, domain);
	idmap_clear(&s->domains);
	return 0;
}
