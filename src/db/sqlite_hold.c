/* Suppressions that are held: while a receiver calls an unusual share unknown (engine/hold.h decides), what
 * is suppressed on its word runs out after HELD_FOR, unless it says so again later or a person confirms it.
 */
#include "src/db/sqlite.h"

#include "src/db/contacts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

ms_t store_time(const struct store *s)
{
	return s->in_ledger ? s->now : clock_now();
}

/* The domain's row, 0 if there is none; *d NULL then. */
static int domain_of_key(struct store *s, struct str key, const struct domain_info **d, struct err *e)
{
	int64_t id;
	*d = NULL;
	if (domain_id(s, str_after_last(key, '@'), false, &id, e) < 0)
		return -1;
	if (id == 0)
		return 0;
	*d = domain_info(s, id, e);
	return *d != NULL ? 1 : -1;
}

int hold_until(struct store *s, struct str key, ms_t at, ms_t *until, struct err *e)
{
	const struct domain_info *d = NULL;
	int64_t n;
	char own[258];
	*until = 0;
	int rc = db_int(s, e, &n, "SELECT 1 FROM holding LIMIT 1", "");
	if (rc == 1)
		rc = domain_of_key(s, key, &d, e);
	if (rc <= 0)
		return rc < 0 ? -1 : 0;
	snprintf(own, sizeof own, "@%s", d->name);
	rc = db_int(s, e, &n, "SELECT 1 FROM holding WHERE name IN (?, ?) AND since <= ? AND until > ?",
		"zzii", own, d->provider_name, at, at);
	if (rc == 1)
		*until = at + HELD_FOR;
	return rc < 0 ? -1 : 0;
}

/* ---- What was suppressed before the burst was seen for what it is ---- */

struct refused {
	int64_t id, contact, domain;
	ms_t at;
};

static int hold_one(
	struct store *s, const struct refused *r, struct str name, ms_t since, int64_t *held, struct err *e)
{
	struct contact_row c;
	const struct domain_info *d = domain_info(s, r->domain, e);
	if (d == NULL)
		return -1;
	bool ours = name.p[0] == '@' ? str_eq(str_from(d->name), str_n(name.p + 1, name.n - 1))
				     : str_is(name, d->provider_name);
	if (!ours)
		return 0;
	if (store_contact_by_id(s, r->contact, &c, e) < 0)
		return -1;
	if (c.address.n == 0)
		return 0;
	if (db_run(s, e,
		    "UPDATE suppression SET held_until = created + ? WHERE hash = ? AND list = 0 AND key = ? "
		    "AND reason = ? "
		    "AND held_until = 0 AND created >= ?",
		    "iisii", (int64_t)HELD_FOR, (int64_t)hash64(c.key), c.key, (int64_t)SUPPRESS_HARD_BOUNCE,
		    since) < 0)
		return -1;
	*held += sqlite3_changes64(s->db);
	return 0;
}

/* Failures behind *before, newest first, back to `since`. 1 while there are more. They were recorded in
 * turns, so those of one turn are not in the order of their times. */
static int hold_slice(
	struct store *s, int64_t *before, struct str name, ms_t since, int64_t *held, struct err *e)
{
	enum { SLICE = 500, DISORDER = MINUTE };
	struct refused v[SLICE];
	int n = 0, rc;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT f.id, d.contact, d.domain, f.at, f.class FROM failure f JOIN delivery d ON d.id = "
		"f.delivery WHERE "
		"f.id < ? ORDER BY f.id DESC LIMIT ?",
		"ii", *before, (int64_t)SLICE);
	if (st == NULL)
		return -1;
	int seen = 0;
	while ((rc = db_step(s, st, e)) == 1 && col_int(st, 3) >= since - DISORDER) {
		*before = col_int(st, 0);
		seen++;
		if (col_int(st, 4) == CLASS_HARD)
			v[n++] = (struct refused){*before, col_int(st, 1), col_int(st, 2), col_int(st, 3)};
	}
	bool older = rc == 1;
	db_done(st);
	for (int i = 0; i < n && rc >= 0; i++)
		rc = hold_one(s, &v[i], name, since, held, e) < 0 ? -1 : 0;
	return rc < 0 ? -1 : !older && seen == SLICE;
}

int store_hold(struct store *s, struct str name, ms_t since, ms_t until, int64_t *held, struct err *e)
{
	int64_t before = INT64_MAX;
	int rc = 1;
	*held = 0;
	assert(!s->in_ledger && name.n != 0);
	if (db_begin(s, e) < 0)
		return -1;
	if (db_end(s,
		    db_run(s, e, "INSERT OR REPLACE INTO holding(name, since, until) VALUES(?, ?, ?)", "sii",
			    name, since, until),
		    e) < 0)
		return -1;
	/* A burst is some thousand answers; what is far behind it is not of it. */
	for (int slices = 0; rc == 1 && slices < 200; slices++) {
		if (db_begin(s, e) < 0)
			return -1;
		rc = db_end(s, hold_slice(s, &before, name, since, held, e), e);
	}
	return rc < 0 ? -1 : 0;
}

int store_hold_goes_on(struct store *s, struct str name, ms_t until, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, db_run(s, e, "UPDATE holding SET until = ? WHERE name = ?", "is", until, name), e);
}

int store_hold_over(struct store *s, struct str name, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, db_run(s, e, "DELETE FROM holding WHERE name = ?", "s", name), e);
}

static void read_holding(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct holding *)one =
		(struct holding){arena_str(a, col_str(st, 0)), col_int(st, 1), col_int(st, 2)};
}

int store_holdings(
	struct store *s, ms_t now, int (*row)(void *ctx, const struct holding *h), void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct holding),
		db_query(s, e,
			"SELECT name, since, until FROM holding WHERE until > ? ORDER BY name LIMIT 100", "i",
			now),
		read_holding, e);
	for (const struct holding *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

int64_t store_held(struct store *s, ms_t now, struct err *e)
{
	int64_t n;
	return db_int(s, e, &n, "SELECT count(*) FROM suppression WHERE held_until <> 0 AND held_until > ?",
		       "i", now) < 0
		       ? -1
		       : n;
}

int holds_trim(struct store *s, ms_t now, struct err *e)
{
	if (db_run(s, e, "DELETE FROM holding WHERE until <= ?", "i", now) < 0)
		return -1;
	return db_run(s, e,
		"DELETE FROM suppression WHERE (hash, list, key) IN (SELECT hash, list, key FROM suppression "
		"WHERE "
		"held_until <> 0 AND held_until < ? LIMIT 500)",
		"i", now - HELD_REMEMBERED);
}
