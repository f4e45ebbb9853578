/* What the brakes keep, and the pause of one provider: its mail waits while others' goes on. In a campaign
 * that goes out in id order a claim that meets such a delivery parks it (its due time is PARKED) until the
 * pause ends; one that goes out by destination does not show its domains meanwhile (sqlite_waiting.c). */
#include "src/db/sqlite_ledger.h"

#include <assert.h>
#include <stdlib.h>

/* ---- What was counted ---- */

int store_ledger_meter(struct store *s, int64_t campaign, struct str name, struct str data, struct err *e)
{
	assert(s->in_ledger);
	return db_run(s, e, "INSERT OR REPLACE INTO meter(campaign, name, data) VALUES(?, ?, ?)", "iss",
		campaign, name, data);
}

struct meter {
	struct str name, data;
};

static void read_meter(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct meter *)one = (struct meter){arena_str(a, col_str(st, 0)), arena_str(a, col_str(st, 1))};
}

int store_meters(struct store *s, int64_t campaign, int (*row)(void *ctx, struct str name, struct str data),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct meter),
		db_query(
			s, e, "SELECT name, data FROM meter WHERE campaign = ? ORDER BY name", "i", campaign),
		read_meter, e);
	for (const struct meter *m; (m = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, m->name, m->data);
	return rc;
}

static void read_came_back(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct came_back *)one = (struct came_back){
		arena_str(a, col_str(st, 0)), col_int(st, 1), col_int(st, 2), col_int(st, 3)};
}

int store_ledger_came_back(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct came_back *r), void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct came_back),
		db_query(s, e,
			"SELECT coalesce(n.text, ''), sum(CASE slot WHEN ?2 THEN t.n END), sum(CASE slot "
			"WHEN "
			"?3 THEN t.n END), sum(CASE slot WHEN ?4 THEN t.n END) FROM tally t LEFT JOIN name n "
			"ON n.id = t.provider WHERE t.campaign = ?1 AND t.slot IN (?2, ?3, ?4) GROUP BY "
			"t.provider",
			"iiii", campaign, (int64_t)TALLY_RETURNED, (int64_t)TALLY_RETURNED_BLOCK,
			(int64_t)TALLY_COMPLAINTS),
		read_came_back, e);
	for (const struct came_back *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

/* ---- One provider waits ---- */

int paused_providers(struct store *s, int64_t campaign, struct paused *p, struct err *e)
{
	int rc;
	p->n = 0;
	sqlite3_stmt *st =
		db_query(s, e, "SELECT provider FROM provider_pause WHERE campaign = ?", "i", campaign);
	while ((rc = db_step(s, st, e)) == 1 && p->n < PAUSED_MAX)
		p->v[p->n++] = col_int(st, 0);
	db_done(st);
	return rc < 0 ? -1 : 0;
}

int park(struct store *s, int64_t delivery, int64_t provider, int slot, struct err *e)
{
	if (db_run(s, e, "UPDATE delivery SET due = " PARKED " WHERE id = ?", "i", delivery) < 0)
		return -1;
	return slot != TALLY_FRESH ? 0
				   : delta_add(s, DELTA_TALLY, DELIVERY_CAMPAIGN(delivery), provider,
					     TALLY_PARKED, 0, 0, 1, STR(""), e);
}

/* A slice of what was parked is due. 1 while there is more. What is still paused is parked again when it is
 * met. */
int unpark_slice(struct store *s, int64_t campaign, ms_t at, struct err *e)
{
	for (int n = 0; n < 500; n++) {
		int64_t provider;
		sqlite3_stmt *st = db_query(s, e,
			"SELECT id, domain, state, attempts FROM delivery WHERE id >> 32 = ? AND due "
			"= " PARKED " LIMIT 1",
			"i", campaign);
		int rc = db_step(s, st, e);
		if (rc <= 0)
			return rc;
		int64_t id = col_int(st, 0), domain = col_int(st, 1);
		int slot = tally_of(state_from_row(col_int(st, 2)), col_int(st, 3), true);
		db_done(st);
		const struct domain_info *d = domain_info(s, domain, e);
		if (d == NULL || tally_provider(s, d, campaign, &provider, e) < 0 ||
			db_run(s, e, "UPDATE delivery SET due = ? WHERE id = ?", "ii", at, id) < 0)
			return -1;
		if (slot == TALLY_FRESH &&
			delta_add(s, DELTA_TALLY, campaign, provider, TALLY_PARKED, 0, 0, -1, STR(""), e) < 0)
			return -1;
	}
	return 1;
}

int lift_pauses(struct store *s, int64_t campaign, bool all, struct err *e)
{
	return db_run(s, e, "DELETE FROM provider_pause WHERE campaign = ? AND (why = 'user' OR ?)", "ii",
		campaign, (int64_t)all);
}

static int pause_provider(struct store *s, int64_t campaign, struct str provider, struct str why,
	struct str text, ms_t now, struct err *e)
{
	struct campaign_row c;
	int64_t id;
	if (store_campaign_by_id(s, campaign, &c, e) < 0 || name_id(s, provider, &id, e) < 0)
		return -1;
	if (c.state == CAMPAIGN_FINISHED || c.state == CAMPAIGN_CANCELLED)
		return err_set(e, ERR_DATA, "pause", "campaign \"%.*s\" is %s", STR_ARG(c.name),
			campaign_state_names[c.state]);
	if (db_run(s, e,
		    "INSERT INTO provider_pause(campaign, provider, why, text, at) VALUES(?, ?, ?, ?, ?) ON "
		    "CONFLICT "
		    "DO NOTHING",
		    "iissi", campaign, id, why, text, now) < 0)
		return -1;
	return history_note(s, now, "pause", c.name, e, "%.*s: %.*s", STR_ARG(provider), STR_ARG(why));
}

int store_provider_pause(struct store *s, int64_t campaign, struct str provider, struct str why,
	struct str text, ms_t now, struct err *e)
{
	if (provider.n == 0)
		return err_set(e, ERR_DATA, "pause", "a provider is needed");
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, pause_provider(s, campaign, provider, why, text, now, e), e);
}

static void read_pause(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct provider_pause *)one = (struct provider_pause){arena_str(a, col_str(st, 0)),
		arena_str(a, col_str(st, 1)), arena_str(a, col_str(st, 2)), col_int(st, 3)};
}

int store_provider_pauses(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct provider_pause *p), void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct provider_pause),
		db_query(s, e,
			"SELECT n.text, p.why, p.text, p.at FROM provider_pause p JOIN name n ON n.id = "
			"p.provider WHERE p.campaign = ? ORDER BY p.at, n.text",
			"i", campaign),
		read_pause, e);
	for (const struct provider_pause *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}
