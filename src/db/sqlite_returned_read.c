/* Reading what came back, and judging it anew. */
#include "src/db/sqlite_returned.h"

#include <stdlib.h>
#include <zlib.h>

#define RETURNED_COLUMNS                                                                                     \
	"SELECT r.id, r.delivery, r.contact, r.at, r.effect, coalesce(kn.text, ''), coalesce(sn.text, ''), " \
	"coalesce(tn.text, ''), r.host, r.address, r.rule, coalesce(rn.text, ''), r.diagnostic, "            \
	"r.enhanced, r.class, "                                                                              \
	"r.scope, r.code, coalesce(v.bytes, 0) FROM returned r LEFT JOIN name kn ON kn.id = r.kind LEFT "    \
	"JOIN name sn "                                                                                      \
	"ON sn.id = r.source LEFT JOIN name tn ON tn.id = r.trust LEFT JOIN name rn ON rn.id = r.reason "    \
	"LEFT JOIN "                                                                                         \
	"evidence v ON v.id = r.id "

static void read_row(sqlite3_stmt *st, struct arena *a, struct returned_row *r)
{
	*r = (struct returned_row){
		.id = col_int(st, 0),
		.delivery = col_int(st, 1),
		.contact = col_int(st, 2),
		.at = col_int(st, 3),
		.effect = (enum returned_effect)col_int(st, 4),
		.kind = arena_str(a, col_str(st, 5)),
		.source = arena_str(a, col_str(st, 6)),
		.trust = arena_str(a, col_str(st, 7)),
		.host = arena_str(a, col_str(st, 8)),
		.address = arena_str(a, col_str(st, 9)),
		.rule = arena_str(a, col_str(st, 10)),
		.reason = arena_str(a, col_str(st, 11)),
		.diagnostic = arena_str(a, col_str(st, 12)),
		.enhanced = arena_str(a, col_str(st, 13)),
		.class = (enum reply_class)col_int(st, 14),
		.scope = (enum reply_scope)col_int(st, 15),
		.code = (int)col_int(st, 16),
		.bytes = col_int(st, 17),
	};
}

int returned_row_read(struct store *s, int64_t id, struct arena *a, struct returned_row *r, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e, RETURNED_COLUMNS "WHERE r.id = ?", "i", id);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	read_row(st, a, r);
	db_done(st);
	return a->failed ? db_nomem(e) : 1;
}

int store_returned_of(struct store *s, int64_t delivery, int (*row)(void *ctx, const struct returned_row *r),
	void *ctx, struct err *e)
{
	struct arena a;
	struct returned_row r;
	int64_t contact, id = 0;
	int rc = db_int(s, e, &contact, "SELECT contact FROM delivery WHERE id = ?", "i", delivery);
	if (rc <= 0)
		return rc;
	arena_init(&a, 2048, 1u << 20);
	do {
		rc = db_int(s, e, &id,
			"SELECT id FROM returned WHERE contact = ? AND delivery = ? AND id > ? ORDER BY id "
			"LIMIT 1",
			"iii", contact, delivery, id);
		arena_reset(&a);
		if (rc == 1)
			rc = returned_row_read(s, id, &a, &r, e);
		if (rc == 1 && (rc = row(ctx, &r)) == 0)
			rc = 1;
		else if (rc == 1)
			break;
	} while (rc == 1);
	arena_release(&a);
	return rc;
}

int store_returned_message(struct store *s, int64_t id, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e, "SELECT bytes, data FROM evidence WHERE id = ?", "i", id);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	uLongf n = (uLongf)col_int(st, 0);
	struct str packed = col_str(st, 1);
	rc = n <= RETURNED_KEEP && buf_reserve(out, n) ? 0 : -1;
	if (rc == 0 &&
		uncompress((Bytef *)out->p + out->len, &n, (const Bytef *)packed.p, (uLong)packed.n) == Z_OK)
		out->p[out->len += n] = '\0';
	else
		rc = -1;
	db_done(st);
	return rc == 0 ? 0
		       : err_set(e, ERR_DATA, "returned message", "number %lld cannot be unpacked",
				 (long long)id);
}

int store_returned_walk(struct store *s, int64_t after, ms_t since,
	int (*row)(void *ctx, const struct returned_row *r), void *ctx, struct err *e)
{
	struct arena a;
	struct returned_row r;
	int rc;
	arena_init(&a, 2048, 1u << 20);
	while ((rc = db_int(s, e, &after, "SELECT id FROM evidence WHERE id > ? ORDER BY id LIMIT 1", "i",
			after)) == 1) {
		arena_reset(&a);
		rc = returned_row_read(s, after, &a, &r, e);
		if (rc == 1 && r.at >= since)
			rc = row(ctx, &r);
		else if (rc == 1)
			rc = 0;
		if (rc != 0)
			break;
	}
	arena_release(&a);
	return rc;
}

/* ---- Judged anew ---- */

/* The reason under which the delivery that it lowered is counted. 1, 0 it lowered none, -1 */
static int recount(
	struct store *s, const struct returned_row *was, const struct returned_change *c, struct err *e)
{
	int64_t old, reason, domain, state, provider, campaign = DELIVERY_CAMPAIGN(was->delivery);
	sqlite3_stmt *st = db_query(s, e, "SELECT domain, state FROM delivery WHERE id = ? AND returned = ?",
		"ii", was->delivery, was->id);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	domain = col_int(st, 0);
	state = (int64_t)state_from_row(col_int(st, 1));
	db_done(st);
	domain_forget(s, domain);
	const struct domain_info *d = domain_info(s, domain, e);
	/* No failure at all: then it is where it was sent to. */
	enum delivery_state to = c->class == CLASS_NONE ? DELIVERY_SENT : returned_state(c->class);
	if (d == NULL || tally_provider(s, d, campaign, &provider, e) < 0 ||
		name_id(s, was->reason, &old, e) < 0 || name_id(s, c->reason, &reason, e) < 0 ||
		db_run(s, e, "UPDATE delivery SET state = ? WHERE id = ?", "ii", (int64_t)state_to_row(to),
			was->delivery) < 0 ||
		tally_move(s, campaign, provider, (int)state, (int)to, e) < 0)
		return -1;
	if (was->class != CLASS_NONE &&
		delta_add(s, DELTA_REASON, campaign, provider, was->class, old, 0, -1, STR(""), e) < 0)
		return -1;
	if (c->class != CLASS_NONE && delta_add(s, DELTA_REASON, campaign, provider, c->class, reason, 0, 1,
					      was->diagnostic, e) < 0)
		return -1;
	return 1;
}

/* The suppression that came from this alone: of that campaign, firm or held, for being hard. */
static int lift(struct store *s, const struct returned_row *r, bool *lifted, struct err *e)
{
	struct contact_row p;
	int64_t n;
	if (store_contact_by_id(s, r->contact, &p, e) < 0)
		return -1;
	int rc = db_int(s, e, &n,
		"SELECT 1 FROM returned WHERE contact = ? AND class = ? AND effect = ? AND id <> ? LIMIT 1",
		"iiii", r->contact, (int64_t)CLASS_HARD, (int64_t)RETURNED_FAILED, r->id);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (db_run(s, e,
		    "DELETE FROM suppression WHERE hash = ? AND list = 0 AND key = ? AND reason = ? AND "
		    "campaign = ?",
		    "isii", (int64_t)hash64(p.key), p.key, (int64_t)SUPPRESS_HARD_BOUNCE,
		    DELIVERY_CAMPAIGN(r->delivery)) < 0)
		return -1;
	*lifted = sqlite3_changes64(s->db) != 0;
	return *lifted ? history_note(s, clock_now(), "unsuppress", p.key, e, "reclassified") : 0;
}

static int change(
	struct store *s, const struct returned_change *c, bool *lifted, bool *suppressed, struct err *e)
{
	struct arena *a = &s->lent[LENT_RETURNED];
	struct returned_row was;
	int64_t reason;
	int soft;
	arena_reset(a);
	int rc = returned_row_read(s, c->id, a, &was, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "returned message", "there is none with the number %lld",
			(long long)c->id);
	if (rc < 0 || name_id(s, c->reason, &reason, e) < 0 ||
		db_run(s, e, "UPDATE returned SET class = ?, scope = ?, reason = ?, rule = ? WHERE id = ?",
			"iiisi", (int64_t)c->class, (int64_t)c->scope, reason, c->rule, c->id) < 0 ||
		db_run(s, e, "UPDATE failure SET class = ? WHERE id = ?", "ii", (int64_t)c->class, c->id) < 0)
		return -1;
	if (was.delivery == 0 || was.contact == 0 || was.effect != RETURNED_FAILED)
		return 0;
	/* Of one that came behind the first nothing followed, whatever it says. */
	rc = recount(s, &was, c, e);
	if (rc <= 0)
		return rc;
	const struct trouble_new n = {
		was.contact, DELIVERY_CAMPAIGN(was.delivery), was.at, c->reason, was.diagnostic};
	if (was.class == CLASS_HARD && c->class != CLASS_HARD && lift(s, &was, lifted, e) < 0)
		return -1;
	if (was.class == CLASS_SOFT && c->class != CLASS_SOFT &&
		trouble_soft_undo(s, n.contact, n.campaign, e) < 0)
		return -1;
	if (c->class == CLASS_HARD && was.class != CLASS_HARD && c->scope == SCOPE_ADDRESS)
		return trouble_hard(s, &n, suppressed, e);
	if (c->class == CLASS_SOFT && was.class != CLASS_SOFT &&
		(c->scope == SCOPE_ADDRESS || c->scope == SCOPE_SITE))
		return trouble_soft(s, &n, &soft, suppressed, e);
	return 0;
}

int store_returned_change(
	struct store *s, const struct returned_change *c, bool *lifted, bool *suppressed, struct err *e)
{
	bool unused[2] = {false, false};
	lifted = lifted != NULL ? lifted : &unused[0];
	suppressed = suppressed != NULL ? suppressed : &unused[1];
	*lifted = *suppressed = false;
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, change(s, c, lifted, suppressed, e), e);
}

/* ---- Whose was it? ---- */

/* The delivery's own attempts, few: does one bear the relay's id? */
static int has_relay_id(struct store *s, int64_t delivery, struct str relay_id, struct err *e)
{
	int64_t n;
	if (relay_id.n == 0)
		return 1;
	return db_int(s, e, &n, "SELECT 1 FROM attempt WHERE delivery = ? AND relay_id = ? LIMIT 1", "is",
		delivery, relay_id);
}

static int delivery_in(struct store *s, int64_t campaign, int64_t rows, int64_t contact, struct str relay_id,
	ms_t since, int64_t *delivery, struct err *e)
{
	int64_t n, found;
	if (delivery_bisect(s, campaign, rows, contact, &n, e) < 0)
		return -1;
	*delivery = DELIVERY_ID(campaign, n);
	int rc = db_int(s, e, &found,
		"SELECT 1 FROM delivery d LEFT JOIN intent i ON i.delivery = d.id WHERE d.id = ? AND "
		"d.contact = ? AND "
		"(d.attempts > 0 OR i.delivery IS NOT NULL) AND d.first >= ?",
		"iii", *delivery, contact, since);
	return rc == 1 ? has_relay_id(s, *delivery, relay_id, e) : rc;
}

int store_delivery_find(struct store *s, int64_t contact, int64_t campaign, struct str relay_id, ms_t since,
	int64_t *delivery, struct err *e)
{
	int64_t below = campaign != 0 ? campaign + 1 : INT64_MAX;
	for (;;) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT id, rows FROM campaign WHERE id < ? AND id >= ? AND rows > 0 ORDER BY id "
			"DESC LIMIT 1",
			"ii", below, campaign);
		int rc = db_step(s, st, e);
		if (rc == 0)
			return err_set(e, ERR_NOINPUT, "delivery", "there is none that fits");
		if (rc < 0)
			return -1;
		below = col_int(st, 0);
		int64_t rows = col_int(st, 1);
		db_done(st);
		rc = delivery_in(s, below, rows, contact, relay_id, since, delivery, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
}
