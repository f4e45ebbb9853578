#include "src/db/sqlite_ledger.h"
#include "src/db/sqlite_returned.h"

#include <assert.h>
#include <stdlib.h>

enum { LISTS = 8, DOMAINS = 64, LOOK = 2000 };

struct list_names {
	int64_t id;
	bool gone;
	struct str name, title, list_id;
};

struct claiming {
	struct store *s;
	int64_t campaign, route;
	enum claim_kind kind;
	int max, looked, claimed;
	ms_t now, began;
	bool suppressions; /* is there any? */
	struct paused paused;
	struct claims *out;
	struct list_names lists[LISTS];
	int64_t domains[DOMAINS], domain_lists[DOMAINS];
	signed char domain_bad[DOMAINS];
	struct err *e;
};

#define CLAIM_COLUMNS                                                                                        \
	"SELECT d.id, d.contact, d.domain, d.list, d.state, d.attempts, d.due, d.first, d.doubted, "         \
	"c.address, c.key, c.attrs,"                                                                         \
	" c.removed FROM delivery d LEFT JOIN contact c ON c.id = d.contact "

static const struct list_names *list_names(struct claiming *k, int64_t id)
{
	struct list_names *l = &k->lists[(uint64_t)id % LISTS];
	if (l->id == id)
		return l;
	*l = (struct list_names){0};
	sqlite3_stmt *st =
		db_query(k->s, k->e, "SELECT name, title, list_id, gone FROM list WHERE id = ?", "i", id);
	int rc = db_step(k->s, st, k->e);
	if (rc < 0)
		return NULL;
	if (rc == 1) {
		*l = (struct list_names){id, col_int(st, 3) != 0, arena_str(k->out->arena, col_str(st, 0)),
			arena_str(k->out->arena, col_str(st, 1)), arena_str(k->out->arena, col_str(st, 2))};
		db_done(st);
	}
	return l;
}

static int domain_bad(struct claiming *k, const struct domain_info *d, int64_t list)
{
	size_t at = (size_t)(d->id ^ list) % DOMAINS;
	if (k->domains[at] != d->id || k->domain_lists[at] != list) {
		int rc = suppressed_domain(k->s, str_from(d->name), list, k->e);
		if (rc < 0)
			return -1;
		k->domains[at] = d->id;
		k->domain_lists[at] = list;
		k->domain_bad[at] = (signed char)rc;
	}
	return k->domain_bad[at];
}

/* Why this person must not be mailed any more; "" they may be; NULL failed. */
static const char *unmailable(struct claiming *k, sqlite3_stmt *st, const struct domain_info *d)
{
	int64_t contact = col_int(st, 1), list = col_int(st, 3), n;
	struct str address = col_str(st, 9), key = col_null(st, 10) ? address : col_str(st, 10);
	if (address.n == 0)
		return "forgotten";
	int rc = 1;
	const struct list_names *l = list != 0 ? list_names(k, list) : NULL;
	if (list != 0 && l == NULL)
		return NULL;
	/* While a list is being deleted its members are still there. */
	if (l != NULL && (l->id == 0 || l->gone))
		rc = 0;
	else if (list != 0)
		rc = db_int(k->s, k->e, &n,
			"SELECT 1 FROM member WHERE list = ? AND contact = ? AND" VISIBLE("born"), "ii", list,
			contact);
	else if (col_int(st, 12) != 0)
		rc = 0;
	if (rc <= 0)
		return rc < 0 ? NULL : "left";
	if (!k->suppressions)
		return "";
	rc = suppressed_key(k->s, hash64(key), key, list, k->e);
	if (rc == MAILABLE)
		rc = domain_bad(k, d, list);
	return rc < 0                          ? NULL
	       : rc == MAILABLE                ? ""
	       : rc == UNMAILABLE_UNSUBSCRIBED ? "unsubscribed"
					       : "suppressed";
}

static int skip(struct claiming *k, int64_t id, int64_t attempts, int slot, const struct domain_info *d,
	const char *why)
{
	struct store *s = k->s;
	/* Whoever was in doubt may have the message: that stays true. */
	bool doubt = slot == TALLY_RESEND;
	int64_t reason, provider;
	if (tally_provider(s, d, k->campaign, &provider, k->e) < 0 ||
		name_id(s, str_from(why), &reason, k->e) < 0)
		return -1;
	if (doubt && db_run(s, k->e, "INSERT OR IGNORE INTO doubt(delivery) VALUES(?)", "i", id) < 0)
		return -1;
	enum delivery_state state = doubt ? DELIVERY_DOUBT : DELIVERY_SKIPPED;
	if (db_run(s, k->e, "UPDATE delivery SET state = ?, skip = ?, due = NULL WHERE id = ?", "iii",
		    (int64_t)state, reason, id) < 0)
		return -1;
	/* Whatever kept them waiting before, this is why they have nothing. */
	if (!doubt && (reason_leave(s, id, attempts, provider, k->e) < 0 ||
			      delta_add(s, DELTA_REASON, k->campaign, provider, CLASS_NONE, reason, 0, 1,
				      STR(""), k->e) < 0))
		return -1;
	return tally_move(s, k->campaign, provider, slot, (int)state, k->e);
}

static struct claim *claims_room(struct claims *c, struct err *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap * 2 + 4; /* of most domains one or two are claimed at a time */
		struct claim *v = realloc(c->v, cap * sizeof *v);
		if (v == NULL) {
			db_nomem(e);
			return NULL;
		}
		c->v = v;
		c->cap = cap;
	}
	return &c->v[c->n];
}

static int hand_out(struct claiming *k, sqlite3_stmt *st, const struct domain_info *d)
{
	struct arena *a = k->out->arena;
	struct claim *c = claims_room(k->out, k->e);
	if (c == NULL)
		return -1;
	int64_t attempts = col_int(st, 5);
	*c = (struct claim){
		.delivery = col_int(st, 0),
		.contact = col_int(st, 1),
		.list = col_int(st, 3),
		.attempt = (int)attempts + 1,
		.doubted = col_int(st, 8) != 0,
		.first_attempt = attempts != 0 ? col_int(st, 7) : k->now,
		.due = col_null(st, 6) ? k->now : col_int(st, 6),
		.address = arena_str(a, col_str(st, 9)),
		.domain = arena_str(a, str_from(d->name)),
		.provider = arena_str(a, str_from(d->provider_name)),
		.attrs = arena_str(a, col_str(st, 11)),
	};
	c->key = col_null(st, 10) ? c->address : arena_str(a, col_str(st, 10));
	if (c->list != 0) {
		const struct list_names *l = list_names(k, c->list);
		if (l == NULL)
			return -1;
		c->list_name = l->name;
		c->list_title = l->title;
		c->list_id = l->list_id;
	}
	if (a->failed)
		return db_nomem(k->e);
	k->out->n++;
	return 0;
}

/* The row at hand: handed out, or skipped, or none of our business. */
static int claim_row(struct claiming *k, sqlite3_stmt *st)
{
	struct store *s = k->s;
	int64_t id = col_int(st, 0), attempts = col_int(st, 5), provider;
	enum delivery_state state = state_from_row(col_int(st, 4));
	bool due = !col_null(st, 6);
	k->looked++;
	if (k->kind == CLAIM_FRESH ? (state != DELIVERY_QUEUED || attempts != 0 || due) : !due)
		return 0;
	const struct domain_info *d = domain_info(s, col_int(st, 2), k->e);
	if (d == NULL)
		return -1;
	const char *why = unmailable(k, st, d);
	int slot = tally_of(state, attempts, due);
	if (why == NULL)
		return -1;
	if (*why != '\0')
		return skip(k, id, attempts, slot, d, why);
	if (is_paused(&k->paused, d->provider))
		return tally_provider(s, d, k->campaign, &provider, k->e) < 0
			       ? -1
			       : park(s, id, provider, slot, k->e);
	if (hand_out(k, st, d) < 0 || tally_provider(s, d, k->campaign, &provider, k->e) < 0 ||
		db_run(s, k->e, "INSERT INTO intent(delivery, epoch, at, route) VALUES(?, ?, ?, ?)", "iiii",
			id, s->epoch, k->now, k->route) < 0 ||
		(due && db_run(s, k->e, "UPDATE delivery SET due = NULL WHERE id = ?", "i", id) < 0))
		return -1;
	k->claimed++;
	if (delta_add(s, DELTA_USAGE, k->route, k->now / MINUTE, 0, 0, 0, 1, STR(""), k->e) < 0)
		return -1;
	return tally_move(s, k->campaign, provider, slot, DELIVERY_SENDING, k->e);
}

static bool enough(const struct claiming *k)
{
	return k->claimed >= k->max || k->looked >= k->max + LOOK ||
	       (k->looked % 64 == 63 && clock_mono() - k->began > 20);
}

/* A canary's rows were handed out by number before; the walk must not take them again while they are on their
 * way. */
static int taken_before(struct claiming *k, int64_t id)
{
	int64_t n;
	return db_int(k->s, k->e, &n, "SELECT 1 FROM canary WHERE campaign = ? AND n = ? AND taken = 1", "ii",
		k->campaign, DELIVERY_NUMBER(id));
}

static int claim_range(struct claiming *k, int64_t cursor, int64_t rows, bool had_canary)
{
	int64_t id = DELIVERY_ID(k->campaign, cursor);
	int rc = 0;
	sqlite3_stmt *st = db_query(k->s, k->e, CLAIM_COLUMNS "WHERE d.id > ? AND d.id <= ? ORDER BY d.id",
		"ii", id, DELIVERY_ID(k->campaign, rows));
	if (st == NULL)
		return -1;
	while (!enough(k) && (rc = db_step(k->s, st, k->e)) == 1) {
		id = col_int(st, 0);
		rc = had_canary ? taken_before(k, id) : 0;
		if (rc == 1)
			k->looked++;
		else if (rc == 0)
			rc = claim_row(k, st);
		if (rc < 0)
			break;
	}
	db_done(st);
	if (rc < 0)
		return -1;
	return db_run(k->s, k->e, "UPDATE campaign SET cursor = ? WHERE id = ?", "ii", DELIVERY_NUMBER(id),
		k->campaign);
}

static int claim_number(struct claiming *k, int64_t id)
{
	sqlite3_stmt *st = db_query(k->s, k->e, CLAIM_COLUMNS "WHERE d.id = ?", "i", id);
	int rc = db_step(k->s, st, k->e);
	if (rc <= 0)
		return rc;
	rc = claim_row(k, st);
	db_done(st);
	return rc;
}

/* The first one who was not met yet. 1, 0 there is none, -1 */
static int next_canary(struct store *s, int64_t campaign, int64_t *n, struct err *e)
{
	return db_int(s, e, n, "SELECT n FROM canary WHERE campaign = ? AND taken = 0 ORDER BY n LIMIT 1",
		"i", campaign);
}

int store_ledger_canary(struct store *s, int64_t campaign, struct err *e)
{
	int64_t n;
	return next_canary(s, campaign, &n, e);
}

static int claim_canary(struct claiming *k)
{
	int64_t n;
	while (!enough(k)) {
		int rc = next_canary(k->s, k->campaign, &n, k->e);
		if (rc <= 0)
			return rc;
		if (claim_number(k, DELIVERY_ID(k->campaign, n)) < 0 ||
			db_run(k->s, k->e, "UPDATE canary SET taken = 1 WHERE campaign = ? AND n = ?", "ii",
				k->campaign, n) < 0)
			return -1;
	}
	return 0;
}

static int claim_due(struct claiming *k)
{
	int64_t id;
	while (!enough(k)) {
		int rc = db_int(k->s, k->e, &id,
			"SELECT id FROM delivery WHERE id >> 32 = ? AND due IS NOT NULL AND due <= ? ORDER "
			"BY due LIMIT 1",
			"ii", k->campaign, k->now);
		if (rc <= 0)
			return rc;
		if (claim_number(k, id) < 0)
			return -1;
	}
	return 0;
}

/* ---- By domain ---- */

/* The domain's rows of one kind: taken off what waits, whatever becomes of them. */
static int claim_waiting(struct claiming *k, int64_t lot, int64_t domain, int max)
{
	struct store *s = k->s;
	int most = k->claimed + max;
	bool fresh = k->kind == CLAIM_FRESH;
	while (!enough(k) && k->claimed < most) {
		sqlite3_stmt *st = fresh ? db_query(s, k->e,
						   "SELECT due, n FROM waiting WHERE campaign = ? AND lot = "
						   "? AND domain = "
						   "? AND due = 0 ORDER BY n LIMIT 1",
						   "iii", k->campaign, lot, domain)
					 : db_query(s, k->e,
						   "SELECT due, n FROM waiting WHERE campaign = ? AND lot = "
						   "? AND domain = "
						   "? AND due > 0 ORDER BY due, n LIMIT 1",
						   "iii", k->campaign, lot, domain);
		int rc = db_step(s, st, k->e);
		if (rc <= 0)
			return rc;
		int64_t due = col_int(st, 0), n = col_int(st, 1);
		db_done(st);
		if (db_run(s, k->e,
			    "DELETE FROM waiting WHERE campaign = ? AND lot = ? AND domain = ? AND due = ? "
			    "AND n = ?",
			    "iiiii", k->campaign, lot, domain, due, n) < 0 ||
			claim_number(k, DELIVERY_ID(k->campaign, n)) < 0)
			return -1;
	}
	return 0;
}

/* From the first claim on, what is counted of the domain stays under its provider. */
static int touch_domain(struct claiming *k, int64_t domain)
{
	const struct domain_info *d = domain_info(k->s, domain, k->e);
	if (d == NULL || d->touched >= k->campaign)
		return d == NULL ? -1 : 0;
	if (db_run(k->s, k->e, "UPDATE domain SET touched = ? WHERE id = ?", "ii", k->campaign, domain) < 0)
		return -1;
	domain_forget(k->s, domain);
	return 0;
}

static int any_suppressions(struct claiming *k)
{
	int64_t any;
	int rc = db_int(k->s, k->e, &any, "SELECT 1 FROM suppression LIMIT 1", "");
	k->suppressions = rc == 1;
	return rc < 0 ? -1 : 0;
}

int store_ledger_claim_domain(struct store *s, int64_t campaign, int64_t domain, struct str route, int max,
	ms_t now, struct claims *out, struct err *e)
{
	assert(s->in_ledger);
	struct claiming k = {.s = s,
		.campaign = campaign,
		.max = max,
		.now = now,
		.began = clock_mono(),
		.out = out,
		.e = e};
	int64_t lot, fresh;
	int rc = db_int(s, e, &lot,
		"SELECT canary_open FROM campaign WHERE id = ? AND spread = 1 AND state IN (?, ?)", "iii",
		campaign, (int64_t)CAMPAIGN_RUNNING, (int64_t)CAMPAIGN_WAITING);
	if (rc <= 0 || max <= 0)
		return rc;
	const struct domain_info *d = domain_info(s, domain, e);
	if (d == NULL || paused_providers(s, campaign, &k.paused, e) < 0)
		return -1;
	if (is_paused(&k.paused, d->provider))
		return 0;
	if (any_suppressions(&k) < 0 || name_id(s, route, &k.route, e) < 0 || touch_domain(&k, domain) < 0)
		return -1;
	int has_fresh = db_int(s, e, &fresh,
		"SELECT 1 FROM waiting WHERE campaign = ? AND lot = ? AND domain = ? AND due = 0 LIMIT 1",
		"iii", campaign, lot, domain);
	if (has_fresh < 0)
		return -1;
	k.kind = CLAIM_DUE;
	rc = claim_waiting(&k, lot, domain, has_fresh == 1 ? (max + 1) / 2 : max);
	k.kind = CLAIM_FRESH;
	if (rc == 0 && has_fresh == 1)
		rc = claim_waiting(&k, lot, domain, max - k.claimed);
	k.kind = CLAIM_DUE;
	if (rc == 0)
		rc = claim_waiting(&k, lot, domain, max - k.claimed);
	return rc < 0 ? -1 : k.claimed;
}

int store_ledger_claim(struct store *s, int64_t campaign, enum claim_kind kind, struct str route, int max,
	ms_t now, struct claims *out, struct err *e)
{
	assert(s->in_ledger);
	struct claiming k = {.s = s,
		.campaign = campaign,
		.kind = kind,
		.max = max,
		.now = now,
		.began = clock_mono(),
		.out = out,
		.e = e};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT rows, cursor, canary_open, canary FROM campaign WHERE id = ? AND spread = 0 AND "
		"state "
		"IN (?, ?)",
		"iii", campaign, (int64_t)CAMPAIGN_RUNNING, (int64_t)CAMPAIGN_WAITING);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	int64_t rows = col_int(st, 0), cursor = col_int(st, 1);
	bool canary_open = col_int(st, 2) != 0, had_canary = col_int(st, 3) != 0;
	db_done(st);
	if (any_suppressions(&k) < 0 || name_id(s, route, &k.route, e) < 0 ||
		paused_providers(s, campaign, &k.paused, e) < 0)
		return -1;
	if (kind == CLAIM_DUE)
		rc = claim_due(&k);
	else if (canary_open)
		rc = claim_canary(&k);
	else
		rc = cursor < rows ? claim_range(&k, cursor, rows, had_canary) : 0;
	return rc < 0 ? -1 : k.claimed;
}
