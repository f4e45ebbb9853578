#include "src/db/sqlite.h"

#include "src/db/live.h"
#include "src/db/report.h"

#include <stdio.h>
#include <stdlib.h>

static int slot_state(int slot, bool holder_alive)
{
	switch (slot) {
	case DELIVERY_SENDING:
		return holder_alive ? DELIVERY_SENDING : DELIVERY_DOUBT;
	case TALLY_FRESH:
		return DELIVERY_QUEUED;
	case TALLY_RESEND:
		return DELIVERY_DOUBT;
	default:
		return slot < DELIVERY_NSTATES ? slot : -1;
	}
}

int store_campaign_counts(
	struct store *s, int64_t campaign, bool holder_alive, struct campaign_counts *out, struct err *e)
{
	int rc;
	*out = (struct campaign_counts){0};
	sqlite3_stmt *st = db_query(
		s, e, "SELECT slot, sum(n) FROM tally WHERE campaign = ? GROUP BY slot", "i", campaign);
	while ((rc = db_step(s, st, e)) == 1) {
		int slot = (int)col_int(st, 0), state = slot_state(slot, holder_alive);
		int64_t n = col_int(st, 1);
		if (state >= 0)
			out->state[state] += n;
		if (slot == TALLY_FRESH)
			out->fresh += n;
		else if (slot == TALLY_PARKED)
			out->parked = n, out->fresh -= n;
		else if (slot == TALLY_RESEND)
			out->resend_due = n;
		else if (slot == TALLY_ATTEMPTS)
			out->attempts = n;
		else if (slot == TALLY_DOUBTED)
			out->doubted = n;
	}
	return rc;
}

int store_live(struct store *s, int64_t campaign, struct live *out, struct err *e)
{
	*out = (struct live){0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT rate, bound, next_attempt, eta, connections, at FROM live WHERE campaign = ?", "i",
		campaign);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	out->rate = sqlite3_column_double(st, 0);
	snprintf(out->limit, sizeof out->limit, "%.*s", STR_ARG(col_str(st, 1)));
	out->next_attempt = col_int(st, 2);
	out->eta = col_int(st, 3);
	out->connections = (int)col_int(st, 4);
	out->at = col_int(st, 5);
	db_done(st);
	return 0;
}

static void read_group(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct live_group *)one = (struct live_group){
		.kind = (enum live_kind)col_int(st, 0),
		.name = arena_str(a, col_str(st, 1)),
		.route = arena_str(a, col_str(st, 2)),
		.source = arena_str(a, col_str(st, 3)),
		.state = arena_str(a, col_str(st, 4)),
		.limit = arena_str(a, col_str(st, 5)),
		.rate = sqlite3_column_double(st, 6),
		.connections = (int)col_int(st, 7),
		.waiting = col_int(st, 8),
	};
}

int store_live_groups(struct store *s, ms_t since, int (*row)(void *ctx, const struct live_group *g),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct live_group),
		db_query(s, e,
			"SELECT kind, name, route, source, state, bound, rate, connections, waiting FROM "
			"live_group WHERE at >= ? ORDER BY n",
			"i", since),
		read_group, e);
	for (const struct live_group *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

/* ---- Reports ---- */

int store_report_providers(struct store *s, int64_t campaign, bool holder_alive,
	int (*row)(void *ctx, const struct provider_row *r), void *ctx, struct err *e)
{
	struct rows all;
	struct provider_row *p = NULL;
	int64_t provider = -1;
	int rc;
	rows_init(&all, sizeof *p);
	sqlite3_stmt *st = db_query(s, e,
		"SELECT t.provider, coalesce(n.text, ''), t.slot, t.n FROM tally t LEFT JOIN name n ON n.id "
		"= t.provider "
		"WHERE t.campaign = ? AND t.n <> 0 ORDER BY t.provider",
		"i", campaign);
	while ((rc = db_step(s, st, e)) == 1) {
		int state = slot_state((int)col_int(st, 2), holder_alive);
		if (provider != col_int(st, 0)) {
			provider = col_int(st, 0);
			if ((p = rows_add(&all, e)) == NULL) {
				db_done(st);
				rc = -1;
				break;
			}
			p->provider = arena_str(&all.a, col_str(st, 1));
		}
		if (state >= 0)
			/* The first row made one. NOLINTNEXTLINE */
			p->state[state] += col_int(st, 3);
	}
	if (rc == 0 && all.a.failed)
		rc = db_nomem(e);
	for (const struct provider_row *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

static void read_reason(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct reason_row *)one =
		(struct reason_row){(enum reply_class)col_int(st, 0), arena_str(a, col_str(st, 1)),
			arena_str(a, col_str(st, 2)), col_int(st, 3), arena_str(a, col_str(st, 4))};
}

int store_report_reasons(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct reason_row *r),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct reason_row),
		db_query(s, e,
			"SELECT t.class, coalesce(r.text, ''), coalesce(p.text, ''), t.n, t.example FROM "
			"reason_tally t LEFT JOIN name r ON "
			"r.id = t.reason LEFT JOIN name p ON p.id = t.provider WHERE t.campaign = ? AND t.n "
			"> 0 ORDER BY t.n DESC, 1, 2, 3",
			"i", campaign),
		read_reason, e);
	for (const struct reason_row *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

static void read_minute(sqlite3_stmt *st, struct arena *a, void *one)
{
	(void)a;
	*(struct timeline_row *)one = (struct timeline_row){
		col_int(st, 0) * MINUTE, col_int(st, 1), col_int(st, 2), col_int(st, 3)};
}

int store_report_timeline(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct timeline_row *r), void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct timeline_row),
		db_query(s, e,
			"SELECT minute, sent, deferred, failed FROM timeline WHERE campaign = ? ORDER BY "
			"minute",
			"i", campaign),
		read_minute, e);
	for (const struct timeline_row *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

/* ---- One person's delivery in a campaign, without an index: numbers ascend with contacts ---- */

int delivery_bisect(
	struct store *s, int64_t campaign, int64_t rows, int64_t contact, int64_t *n, struct err *e)
{
	int64_t low = 1, high = rows + 1, who;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		int rc = db_int(s, e, &who, "SELECT contact FROM delivery WHERE id = ?", "i",
			DELIVERY_ID(campaign, middle));
		if (rc < 0)
			return -1;
		if (rc == 1 && who < contact)
			low = middle + 1;
		else
			high = middle;
	}
	*n = low;
	return 0;
}
