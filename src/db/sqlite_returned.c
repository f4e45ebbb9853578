/* Recording what comes back: one message with all that follows from it. */
#include "src/db/sqlite_returned.h"

#include "src/base/fault.h"

#include <stdlib.h>
#include <zlib.h>

struct target { /* the delivery concerned */
	int64_t id, contact, campaign, domain, list, attempts, provider;
	enum delivery_state state;
	ms_t due;
	bool in_flight, cancelled;
};

/* 1, 0 there is none, -1 */
static int read_target(struct store *s, int64_t delivery, struct target *t, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT d.contact, d.domain, d.state, d.attempts, d.due, d.list, i.delivery IS NOT NULL, "
		"k.state = 7 "
		"FROM delivery d JOIN campaign k ON k.id = d.id >> 32 LEFT JOIN intent i ON i.delivery = "
		"d.id WHERE "
		"d.id = ?",
		"i", delivery);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	*t = (struct target){.id = delivery,
		.campaign = DELIVERY_CAMPAIGN(delivery),
		.contact = col_int(st, 0),
		.domain = col_int(st, 1),
		.state = state_from_row(col_int(st, 2)),
		.attempts = col_int(st, 3),
		.due = col_int(st, 4),
		.list = col_int(st, 5),
		.in_flight = col_int(st, 6) != 0,
		.cancelled = col_int(st, 7) != 0};
	db_done(st);
	/* Whoever delivers may have learnt a provider meanwhile. */
	domain_forget(s, t->domain);
	const struct domain_info *d = domain_info(s, t->domain, e);
	return d == NULL || tally_provider(s, d, t->campaign, &t->provider, e) < 0 ? -1 : 1;
}

enum delivery_state returned_state(enum reply_class class)
{
	return class == CLASS_HARD || class == CLASS_SOFT ? DELIVERY_BOUNCED : DELIVERY_BLOCKED;
}

/* What was accepted, or may have been, was not delivered after all. 1 lowered, 0 it was not in such a state.
 */
static int lower(
	struct store *s, const struct target *t, const struct returned_new *r, int64_t id, struct err *e)
{
	int64_t reason;
	if (t->state != DELIVERY_SENT && t->state != DELIVERY_DOUBT)
		return 0;
	enum delivery_state to = returned_state(r->class);
	int from = t->cancelled && t->state == DELIVERY_DOUBT ? (int)DELIVERY_DOUBT
							      : tally_of(t->state, t->attempts, t->due != 0);
	if (name_id(s, r->reason, &reason, e) < 0 ||
		db_run(s, e, "UPDATE delivery SET state = ?, due = NULL, returned = ? WHERE id = ?", "iii",
			(int64_t)to, id, t->id) < 0)
		return -1;
	if (t->due != 0 && waiting_drop(s, t->id, t->domain, t->due, e) < 0)
		return -1;
	if (t->state == DELIVERY_DOUBT &&
		db_run(s, e, "DELETE FROM doubt WHERE delivery = ?", "i", t->id) < 0)
		return -1;
	if (reason_leave(s, t->id, t->attempts, t->provider, e) < 0)
		return -1;
	if (r->class != CLASS_NONE && delta_add(s, DELTA_REASON, t->campaign, t->provider, r->class, reason,
					      0, 1, r->diagnostic, e) < 0)
		return -1;
	if (delta_add(s, DELTA_TIMELINE, t->campaign, r->at / MINUTE, 0, 0, 2, 1, STR(""), e) < 0 ||
		tally_move(s, t->campaign, t->provider, from, (int)to, e) < 0)
		return -1;
	/* For the campaign's brake, which counted it as accepted. */
	if (delta_add(s, DELTA_TALLY, t->campaign, t->provider,
		    to == DELIVERY_BOUNCED ? TALLY_RETURNED : TALLY_RETURNED_BLOCK, 0, 0, 1, STR(""), e) < 0)
		return -1;
	return 1;
}

/* ---- What each effect does ---- */

static int failed(struct store *s, const struct target *t, const struct returned_new *r, int64_t id,
	struct returned_done *done, struct err *e)
{
	const struct trouble_new n = {t->contact, t->campaign, r->at, r->reason, r->diagnostic};
	if (t->in_flight) {
		done->early = true;
		return db_run(s, e, "INSERT OR IGNORE INTO early(delivery, returned) VALUES(?, ?)", "ii",
			t->id, id);
	}
	int rc = lower(s, t, r, id, e);
	if (rc < 0)
		return -1;
	done->lowered = rc == 1;
	/* What never left cannot have come back; and of what came back before, the first word stands: a
	 * second one is a copy, or was made by somebody who saw the return path. */
	if (!done->lowered)
		return 0;
	if (r->class == CLASS_HARD && r->scope == SCOPE_ADDRESS)
		return trouble_hard(s, &n, &done->suppressed, e);
	if (r->class == CLASS_SOFT && (r->scope == SCOPE_ADDRESS || r->scope == SCOPE_SITE))
		return trouble_soft(s, &n, &done->soft, &done->suppressed, e);
	return 0;
}

/* A source that is vouched for names somebody to whom no delivery can be found (any more). */
static int failed_person(struct store *s, const struct target *t, const struct returned_new *r,
	struct returned_done *done, struct err *e)
{
	const struct trouble_new n = {t->contact, 0, r->at, r->reason, r->diagnostic};
	if (r->class != CLASS_HARD || r->scope != SCOPE_ADDRESS)
		return 0;
	return trouble_hard(s, &n, &done->suppressed, e);
}

/* Has this person said so of this delivery before? 1, 0, -1 */
static int said_before(struct store *s, const struct returned_new *r, int64_t contact, int64_t delivery,
	int64_t id, struct err *e)
{
	int64_t n;
	return db_int(s, e, &n,
		"SELECT 1 FROM returned WHERE contact = ? AND delivery = ? AND effect = ? AND id <> ? LIMIT "
		"1",
		"iiii", contact, delivery, (int64_t)r->effect, id);
}

static int unsubscribe(struct store *s, int64_t contact, int64_t list, int64_t campaign,
	const struct returned_new *r, bool *added, struct err *e)
{
	struct contact_row c;
	if (store_contact_by_id(s, contact, &c, e) < 0)
		return -1;
	if (c.address.n == 0)
		return 0;
	struct suppression sup = {.key = c.key,
		.list = list,
		.reason = SUPPRESS_UNSUBSCRIBE,
		.campaign = campaign,
		.evidence = r->diagnostic,
		.created = r->at};
	int rc = suppression_put(s, &sup, 0, e);
	*added = rc == 1;
	return rc < 0 ? -1 : 0;
}

static int complained(struct store *s, const struct target *t, const struct returned_new *r, int64_t id,
	struct returned_done *done, struct err *e)
{
	const struct trouble_new n = {t->contact, t->campaign, r->at, r->reason, r->diagnostic};
	int before = said_before(s, r, t->contact, t->id, id, e);
	/* Of one that names no delivery nobody knows whether it was said before, or is about a later letter.
	 */
	if (before < 0 || (before == 1 && t->id != 0))
		return before < 0 ? -1 : 0;
	if (before == 0 && t->campaign != 0 &&
		(db_run(s, e, "UPDATE campaign SET complaints = complaints + 1 WHERE id = ?", "i",
			 t->campaign) < 0 ||
			delta_add(s, DELTA_TALLY, t->campaign, t->provider, TALLY_COMPLAINTS, 0, 0, 1,
				STR(""), e) < 0))
		return -1;
	if (trouble_complaint(s, &n, &done->suppressed, e) < 0)
		return -1;
	/* Beside the suppression of all mail, so that lifting that does not put them on the list again. */
	if (t->list == 0 || !done->suppressed)
		return 0;
	return unsubscribe(s, t->contact, t->list, t->campaign, r, &done->unsubscribed, e);
}

static int64_t stop_scope(const struct target *t, const struct returned_new *r)
{
	return r->list == RETURNED_ITS_LIST ? t->list : r->list;
}

static int stopped(struct store *s, const struct target *t, const struct returned_new *r, int64_t id,
	struct returned_done *done, struct err *e)
{
	int before = said_before(s, r, t->contact, t->id, id, e);
	if (before < 0 ||
		unsubscribe(s, t->contact, stop_scope(t, r), t->campaign, r, &done->unsubscribed, e) < 0)
		return -1;
	if (before == 1 || !done->unsubscribed || t->campaign == 0)
		return 0;
	return db_run(
		s, e, "UPDATE campaign SET unsubscribes = unsubscribes + 1 WHERE id = ?", "i", t->campaign);
}

static int take_effect(struct store *s, const struct target *t, const struct returned_new *r, int64_t id,
	struct returned_done *done, struct err *e)
{
	switch (r->effect) {
	case RETURNED_FAILED:
		return t->id != 0 ? failed(s, t, r, id, done, e) : failed_person(s, t, r, done, e);
	case RETURNED_COMPLAINT:
		return complained(s, t, r, id, done, e);
	case RETURNED_STOP:
		return stopped(s, t, r, id, done, e);
	case RETURNED_NOTHING:
		break;
	}
	return 0;
}

/* ---- Writing it down ---- */

static int keep_message(struct store *s, int64_t id, struct str packed, size_t bytes, struct err *e)
{
	if (packed.n == 0)
		return 0;
	return db_run(s, e, "INSERT INTO evidence(id, bytes, data) VALUES(?, ?, ?)", "iib", id,
		(int64_t)bytes, packed);
}

static int insert_row(
	struct store *s, const struct returned_new *r, const struct target *t, int64_t id, struct err *e)
{
	int64_t kind, source, trust, reason;
	if (name_id(s, r->kind, &kind, e) < 0 || name_id(s, r->source, &source, e) < 0 ||
		name_id(s, r->trust, &trust, e) < 0 || name_id(s, r->reason, &reason, e) < 0)
		return -1;
	return db_run(s, e,
		"INSERT INTO returned(id, fingerprint, delivery, contact, effect, at, kind, source, trust, "
		"class, "
		"scope, reason, code, enhanced, diagnostic, host, address, rule, list) VALUES(?, "
		"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"ibiiiiiiiiiiizssssi", id, r->fingerprint, t->id, t->contact, (int64_t)r->effect, r->at, kind,
		source, trust, (int64_t)r->class, (int64_t)r->scope, reason, (int64_t)r->code, r->enhanced,
		r->diagnostic, r->host, r->address, r->rule, r->list);
}

static int find_target(struct store *s, const struct returned_new *r, struct target *t, struct err *e)
{
	struct contact_row c;
	int rc = r->delivery != 0 ? read_target(s, r->delivery, t, e) : 0;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	*t = (struct target){0};
	if (r->contact == 0)
		return 0;
	struct err none = {0};
	if (store_contact_by_id(s, r->contact, &c, &none) == 0)
		t->contact = r->contact;
	else if (none.code != ERR_NOINPUT)
		return err_set(e, none.code, none.what, "%s", none.why);
	/* An unsubscribe token outlives its delivery; the campaign is still told. */
	t->campaign = t->contact != 0 ? DELIVERY_CAMPAIGN(r->delivery) : 0;
	return 0;
}

/* One request to stop is like another, as long as the first one holds. *id: that one; 0: this is new. */
static int still_stopped(
	struct store *s, const struct target *t, const struct returned_new *r, int64_t *id, struct err *e)
{
	struct contact_row c;
	*id = 0;
	if (r->effect != RETURNED_STOP || t->contact == 0)
		return 0;
	if (store_contact_by_id(s, t->contact, &c, e) < 0)
		return -1;
	int rc = suppressed_key(s, hash64(c.key), c.key, stop_scope(t, r), e);
	if (rc < 0 || (c.address.n != 0 && rc != UNMAILABLE_UNSUBSCRIBED))
		return rc < 0 ? -1 : 0;
	return db_int(s, e, id,
		       "SELECT id FROM returned WHERE contact = ? AND delivery = ? AND effect = ? ORDER BY "
		       "id LIMIT 1",
		       "iii", t->contact, t->id, (int64_t)RETURNED_STOP) < 0
		       ? -1
		       : 0;
}

/* Whoever was forgotten is not written down again by what comes back later: it counts, without its words. */
static int spare_forgotten(
	struct store *s, const struct target *t, struct returned_new *r, struct str *packed, struct err *e)
{
	struct contact_row c;
	if (t->contact == 0)
		return 0;
	if (store_contact_by_id(s, t->contact, &c, e) < 0)
		return -1;
	if (c.address.n == 0)
		r->diagnostic = r->address = *packed = STR("");
	return 0;
}

static int record(struct store *s, const struct returned_new *given, struct str packed, size_t bytes,
	struct returned_done *done, struct err *e)
{
	struct returned_new r = *given;
	struct target t = {0};
	int rc = db_int(s, e, &done->id, "SELECT id FROM returned WHERE fingerprint = ?", "b", r.fingerprint);
	done->duplicate = rc == 1;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	r.diagnostic = reply_cut(r.diagnostic);
	if (find_target(s, &r, &t, e) < 0 || still_stopped(s, &t, &r, &done->id, e) < 0 ||
		spare_forgotten(s, &t, &r, &packed, e) < 0)
		return -1;
	done->duplicate = done->id != 0;
	if (done->duplicate)
		return 0;
	if (db_run(s, e, "INSERT INTO failure(delivery, n, at, class) VALUES(?, 0, ?, ?)", "iii", t.id, r.at,
		    (int64_t)r.class) < 0)
		return -1;
	done->id = sqlite3_last_insert_rowid(s->db);
	if (insert_row(s, &r, &t, done->id, e) < 0 || keep_message(s, done->id, packed, bytes, e) < 0)
		return -1;
	return t.contact != 0 ? take_effect(s, &t, &r, done->id, done, e) : 0;
}

int store_returned(struct store *s, const struct returned_new *r, struct returned_done *done, struct err *e)
{
	unsigned char *packed = NULL;
	uLongf n = 0;
	size_t bytes = r->message.n < RETURNED_KEEP ? r->message.n : RETURNED_KEEP;
	*done = (struct returned_done){0};
	if (r->fingerprint.n == 0 || r->fingerprint.n > 64)
		return err_set(
			e, ERR_INTERNAL, "returned message", "a fingerprint of 1 to 64 bytes is needed");
	if (bytes != 0) {
		n = compressBound((uLong)bytes);
		packed = malloc(n);
		if (packed == NULL)
			return db_nomem(e);
		if (compress2(packed, &n, (const Bytef *)r->message.p, (uLong)bytes, 6) != Z_OK) {
			free(packed);
			return db_nomem(e);
		}
	}
	int rc = db_begin(s, e);
	if (rc == 0) {
		rc = record(s, r, str_n((const char *)packed, n), bytes, done, e);
		fault_point("returned-before");
		rc = db_end(s, rc, e);
		fault_point("returned-after");
	}
	free(packed);
	return rc;
}

int store_together(struct store *s, struct err *e)
{
	return db_begin(s, e);
}

int store_together_end(struct store *s, bool keep, struct err *e)
{
	if (!keep) {
		db_rollback(s);
		return 0;
	}
	fault_point("together-before");
	if (db_end(s, 0, e) < 0)
		return -1;
	fault_point("together-after");
	db_pause(s);
	return 0;
}

/* ---- Before its time ---- */

int returned_any_early(struct store *s, struct err *e)
{
	int64_t n;
	return db_int(s, e, &n, "SELECT 1 FROM early LIMIT 1", "");
}

int returned_early(struct store *s, int64_t delivery, struct err *e)
{
	struct target t = {0};
	struct returned_done done = {0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT r.id, r.effect, r.at, r.class, r.scope, coalesce(n.text, ''), r.diagnostic FROM "
		"early e JOIN returned r ON r.id = e.returned LEFT JOIN name n ON n.id = r.reason WHERE "
		"e.delivery = ?",
		"i", delivery);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	struct arena *a = &s->lent[LENT_RETURNED];
	arena_reset(a);
	int64_t id = col_int(st, 0);
	const struct returned_new r = {.effect = (enum returned_effect)col_int(st, 1),
		.delivery = delivery,
		.at = col_int(st, 2),
		.class = (enum reply_class)col_int(st, 3),
		.scope = (enum reply_scope)col_int(st, 4),
		.reason = arena_str(a, col_str(st, 5)),
		.diagnostic = arena_str(a, col_str(st, 6))};
	db_done(st);
	if (a->failed)
		return db_nomem(e);
	rc = read_target(s, delivery, &t, e);
	if (rc < 0 || (rc == 1 && failed(s, &t, &r, id, &done, e) < 0))
		return -1;
	return db_run(s, e, "DELETE FROM early WHERE delivery = ?", "i", delivery);
}
