/* What counts against a person: refusals for good, failures for a time, complaints. */
#include "src/db/sqlite_returned.h"

#include <assert.h>

const struct suppress_rule suppress_rule_default = {1, 3, 7, 1};

enum { LOOK_BACK = 30 }; /* campaigns looked through for a delivery that stayed */

struct trouble {
	int64_t hard, hard_campaign, soft, soft_campaign, complaints;
	ms_t first, last;
};

static int read_trouble(struct store *s, int64_t contact, struct trouble *t, struct err *e)
{
	*t = (struct trouble){0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT hard, hard_campaign, soft, soft_campaign, complaints, soft_first, soft_last FROM "
		"trouble "
		"WHERE contact = ?",
		"i", contact);
	int rc = db_step(s, st, e);
	if (rc == 1) {
		*t = (struct trouble){col_int(st, 0), col_int(st, 1), col_int(st, 2), col_int(st, 3),
			col_int(st, 4), col_int(st, 5), col_int(st, 6)};
		db_done(st);
	}
	return rc;
}

static int write_trouble(
	struct store *s, int64_t contact, const struct trouble *t, int64_t reason, struct err *e)
{
	return db_run(s, e,
		"INSERT INTO trouble(contact, hard, hard_campaign, soft, soft_campaign, soft_first, "
		"soft_last, "
		"soft_reason, complaints) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET hard = "
		"excluded.hard, hard_campaign = excluded.hard_campaign, soft = excluded.soft, soft_campaign "
		"= "
		"excluded.soft_campaign, soft_first = excluded.soft_first, soft_last = excluded.soft_last, "
		"soft_reason = CASE WHEN excluded.soft_reason <> 0 THEN excluded.soft_reason ELSE "
		"soft_reason END, "
		"complaints = excluded.complaints",
		"iiiiiiiii", contact, t->hard, t->hard_campaign, t->soft, t->soft_campaign, t->first, t->last,
		reason, t->complaints);
}

int trouble_stayed(struct store *s, int64_t contact, int64_t above, int64_t below, ms_t since, struct err *e)
{
	int64_t c[2] = {below}, n, found; /* c: a campaign, and its rows */
	for (int looked = 0; looked < LOOK_BACK; looked++) {
		int rc = db_ints(s, e, c, 2,
			"SELECT id, rows FROM campaign WHERE id < ? AND id > ? AND rows > 0 ORDER BY id DESC "
			"LIMIT 1",
			"ii", c[0], above);
		if (rc <= 0)
			return rc;
		if (delivery_bisect(s, c[0], c[1], contact, &n, e) < 0)
			return -1;
		rc = db_int(s, e, &found,
			"SELECT 1 FROM delivery d LEFT JOIN intent i ON i.delivery = d.id WHERE d.id = ? AND "
			"d.contact "
			"= ? AND d.state = " ROW_SENT " AND d.first > ? AND i.delivery IS NULL",
			"iii", DELIVERY_ID(c[0], n), contact, since);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int suppress_person(struct store *s, int64_t contact, enum suppress_reason why, int64_t campaign,
	struct str evidence, ms_t at, bool *added, struct err *e)
{
	struct contact_row c;
	ms_t held_until = 0;
	*added = false;
	if (store_contact_by_id(s, contact, &c, e) < 0)
		return -1;
	/* Nobody who was forgotten is written down again. */
	if (c.address.n == 0)
		return 0;
	if (why == SUPPRESS_HARD_BOUNCE && hold_until(s, c.key, at, &held_until, e) < 0)
		return -1;
	struct suppression sup = {.key = c.key,
		.reason = why,
		.campaign = campaign,
		.evidence = evidence,
		.created = at,
		.held_until = held_until};
	int rc = suppression_put(s, &sup, 0, e);
	*added = rc == 1;
	return rc < 0 ? -1 : 0;
}

int trouble_hard(struct store *s, const struct trouble_new *n, bool *added, struct err *e)
{
	struct trouble t;
	*added = false;
	if (s->suppress.hard == 0)
		return 0;
	/* The first one is enough almost everywhere: then nothing needs counting. */
	if (s->suppress.hard > 1) {
		if (read_trouble(s, n->contact, &t, e) < 0)
			return -1;
		if (n->campaign != 0 && t.hard_campaign == n->campaign)
			return 0;
		t.hard++;
		t.hard_campaign = n->campaign;
		if (write_trouble(s, n->contact, &t, 0, e) < 0)
			return -1;
		if (t.hard < s->suppress.hard)
			return 0;
	}
	return suppress_person(
		s, n->contact, SUPPRESS_HARD_BOUNCE, n->campaign, n->evidence, n->at, added, e);
}

int trouble_soft(struct store *s, const struct trouble_new *n, int *count, bool *added, struct err *e)
{
	struct trouble t;
	int64_t reason;
	*added = false;
	int known = read_trouble(s, n->contact, &t, e);
	if (known < 0 || name_id(s, n->reason, &reason, e) < 0)
		return -1;
	*count = (int)t.soft;
	/* An older campaign's last word comes late: what was counted since says more. */
	if (known == 1 && t.soft > 0 && t.soft_campaign >= n->campaign)
		return 0;
	if (t.soft > 0) {
		int stayed = trouble_stayed(s, n->contact, t.soft_campaign, n->campaign, t.last, e);
		if (stayed < 0)
			return -1;
		if (stayed == 1)
			t.soft = 0;
	}
	if (t.soft == 0)
		t.first = n->at;
	t.soft++;
	t.soft_campaign = n->campaign;
	t.last = n->at > t.last ? n->at : t.last;
	*count = (int)t.soft;
	if (write_trouble(s, n->contact, &t, reason, e) < 0)
		return -1;
	const struct suppress_rule *rule = &s->suppress;
	if (rule->soft == 0 || t.soft < rule->soft || t.last - t.first < rule->soft_days * DAY)
		return 0;
	return suppress_person(
		s, n->contact, SUPPRESS_SOFT_BOUNCES, n->campaign, n->evidence, n->at, added, e);
}

int trouble_soft_undo(struct store *s, int64_t contact, int64_t campaign, struct err *e)
{
	return db_run(s, e,
		"UPDATE trouble SET soft = max(soft - 1, 0), soft_campaign = soft_campaign - 1 WHERE contact "
		"= ? AND "
		"soft_campaign = ?",
		"ii", contact, campaign);
}

int trouble_complaint(struct store *s, const struct trouble_new *n, bool *added, struct err *e)
{
	struct trouble t;
	*added = false;
	if (read_trouble(s, n->contact, &t, e) < 0)
		return -1;
	t.complaints++;
	if (write_trouble(s, n->contact, &t, 0, e) < 0)
		return -1;
	if (s->suppress.complaint == 0 || t.complaints < s->suppress.complaint)
		return 0;
	return suppress_person(s, n->contact, SUPPRESS_COMPLAINT, n->campaign, n->evidence, n->at, added, e);
}

/* ---- Who is in trouble ---- */

struct troubled {
	struct trouble t;
	struct trouble_row row;
	struct str key;
};

/* The next person in trouble behind *after. */
static int next_troubled(
	struct store *s, int64_t *after, int at_least, struct arena *a, struct troubled *out, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT t.contact, t.soft, t.soft_first, t.soft_last, t.soft_campaign, c.address, "
		"coalesce(p.text, "
		"''), coalesce(r.text, ''), coalesce(c.key, c.address) FROM trouble t JOIN contact c ON c.id "
		"= t.contact LEFT JOIN "
		"domain d ON "
		"d.id = c.domain LEFT JOIN name p ON p.id = d.provider LEFT JOIN name r ON r.id = "
		"t.soft_reason WHERE "
		"t.contact > ? AND t.soft >= ? AND c.address <> '' ORDER BY t.contact LIMIT 1",
		"ii", *after, (int64_t)at_least);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	*after = col_int(st, 0);
	out->t = (struct trouble){.soft_campaign = col_int(st, 4), .last = col_int(st, 3)};
	out->row = (struct trouble_row){.contact = *after,
		.soft = (int)col_int(st, 1),
		.first = col_int(st, 2),
		.last = col_int(st, 3),
		.address = arena_str(a, col_str(st, 5)),
		.provider = arena_str(a, col_str(st, 6)),
		.reason = arena_str(a, col_str(st, 7))};
	out->key = arena_str(a, col_str(st, 8));
	db_done(st);
	return a->failed ? db_nomem(e) : 1;
}

/* Is it still to be looked at? 1, 0, -1 */
static int still_troubled(struct store *s, const struct troubled *t, struct err *e)
{
	int rc = suppressed_key(s, hash64(t->key), t->key, 0, e);
	if (rc != MAILABLE)
		return rc < 0 ? -1 : 0;
	rc = trouble_stayed(s, t->row.contact, t->t.soft_campaign, INT64_MAX, t->t.last, e);
	return rc < 0 ? -1 : rc == 0;
}

int store_troubled(struct store *s, int at_least, int (*row)(void *ctx, const struct trouble_row *t),
	void *ctx, struct err *e)
{
	struct arena a;
	struct troubled t;
	int64_t after = 0;
	int rc;
	arena_init(&a, 1024, 1u << 20);
	while ((rc = next_troubled(s, &after, at_least, &a, &t, e)) == 1) {
		rc = still_troubled(s, &t, e);
		rc = rc == 1 ? row(ctx, &t.row) : rc;
		if (rc != 0)
			break;
		arena_reset(&a);
	}
	arena_release(&a);
	return rc;
}
