/* Reading deliveries, attempts and failures. */
#include "src/db/sqlite_returned.h"

#include "src/db/lease.h"
#include "src/db/report.h"

#include <stdlib.h>

enum { PAGE = 1000, WINDOW = 20000 };

/* ?1 the state that a standing intent shows. */
#define STATE SHOWN_STATE("?1", "k.state = 7")
#define DELIVERY_FROM                                                                                        \
	" FROM delivery d JOIN campaign k ON k.id = d.id >> 32 LEFT JOIN contact c ON c.id = d.contact"      \
	" LEFT JOIN intent i ON i.delivery = d.id LEFT JOIN attempt a ON a.delivery = d.id AND a.n = "       \
	"d.attempts LEFT JOIN returned r ON r.id = d.returned AND d.state <> " ROW_SENT " "
/* Names and domains are few beside deliveries: they come by number, and their texts from memory. */
#define DELIVERY_COLUMNS                                                                                     \
	"SELECT d.id, d.contact, k.name, coalesce(c.address, ''), " STATE                                    \
	", d.attempts, coalesce(r.code, a.code, 0),"                                                         \
	" coalesce(r.enhanced, a.enhanced, ''), coalesce(r.diagnostic, a.reply, ''), coalesce(nullif("       \
	"d.skip, 0), nullif(r.reason, 0), a.reason, 0), d.domain, a.site, a.route, coalesce(a.relay_id, "    \
	"''), coalesce(r.class, a.class, 0), coalesce(r.scope, a.scope, 0), CASE WHEN d.attempts > 0 THEN "  \
	"d.first ELSE 0 END, coalesce(a.at, 0),"                                                             \
	" CASE WHEN d.due < " PARKED " THEN d.due ELSE 0 END, d.doubted" DELIVERY_FROM

static int read_texts(
	struct store *s, sqlite3_stmt *st, struct arena *a, struct delivery_row *d, struct err *e)
{
	struct str text;
	if (name_text(s, col_int(st, 9), &text, e) < 0)
		return -1;
	d->reason = arena_str(a, text);
	if (name_text(s, col_int(st, 11), &text, e) < 0)
		return -1;
	d->site = arena_str(a, text);
	if (name_text(s, col_int(st, 12), &text, e) < 0)
		return -1;
	d->route = arena_str(a, text);
	const struct domain_info *domain = domain_info(s, col_int(st, 10), e);
	if (domain == NULL || name_text(s, domain->provider, &text, e) < 0)
		return -1;
	d->provider = arena_str(a, text);
	/* Whoever was forgotten leaves no domain of their own behind. */
	d->domain = d->address.n != 0 ? arena_str(a, str_from(domain->name)) : STR("");
	return a->failed ? db_nomem(e) : 0;
}

/* Ends the statement if it fails. */
static int read_delivery(
	struct store *s, sqlite3_stmt *st, struct arena *a, struct delivery_row *d, struct err *e)
{
	*d = (struct delivery_row){
		.id = col_int(st, 0),
		.campaign_id = DELIVERY_CAMPAIGN(col_int(st, 0)),
		.contact = col_int(st, 1),
		.campaign = arena_str(a, col_str(st, 2)),
		.address = arena_str(a, col_str(st, 3)),
		.state = (enum delivery_state)col_int(st, 4),
		.attempts = (int)col_int(st, 5),
		.code = (int)col_int(st, 6),
		.enhanced = arena_str(a, col_str(st, 7)),
		.reply = arena_str(a, col_str(st, 8)),
		.relay_id = arena_str(a, col_str(st, 13)),
		.class = (enum reply_class)col_int(st, 14),
		.scope = (enum reply_scope)col_int(st, 15),
		.first_attempt = col_int(st, 16),
		.last_attempt = col_int(st, 17),
		.due = col_int(st, 18),
		.doubted = col_int(st, 19) != 0,
	};
	if (d->state == DELIVERY_CANCELLED)
		d->due = 0;
	int rc = read_texts(s, st, a, d, e);
	if (rc < 0)
		db_done(st);
	return rc;
}

static int64_t standing(bool holder_alive)
{
	return holder_alive ? DELIVERY_SENDING : DELIVERY_DOUBT;
}

/* Reads a page of those in the window behind *after; *after becomes the last one looked at. */
static int read_page(struct store *s, int64_t *after, int64_t end, unsigned states, bool alive,
	struct arena *a, struct delivery_row *v, struct err *e)
{
	int n = 0, rc;
	int64_t to = *after + WINDOW < end ? *after + WINDOW : end;
	sqlite3_stmt *st = db_query(s, e,
		DELIVERY_COLUMNS "WHERE d.id > ?2 AND d.id <= ?3 AND (?4 = 0 OR (?4 >> " STATE
				 ") & 1) ORDER BY d.id LIMIT ?5",
		"iiiii", standing(alive), *after, to, (int64_t)states, (int64_t)PAGE);
	while ((rc = db_step(s, st, e)) == 1)
		if (read_delivery(s, st, a, &v[n++], e) < 0)
			return -1;
	if (rc < 0)
		return -1;
	*after = n == PAGE ? v[n - 1].id : to;
	return n;
}

int store_deliveries(struct store *s, int64_t campaign, unsigned states, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e)
{
	int64_t rows, after = DELIVERY_ID(campaign, 0);
	struct arena a;
	struct delivery_row *v = calloc(PAGE, sizeof *v);
	arena_init(&a, 65536, 64u << 20);
	int rc = v == NULL ? db_nomem(e)
			   : db_int(s, e, &rows, "SELECT rows FROM campaign WHERE id = ?", "i", campaign);
	if (rc == 0)
		rc = err_set(e, ERR_NOINPUT, "campaign", "there is no such campaign");
	rc = rc < 0 ? -1 : 0;
	while (rc == 0 && after < DELIVERY_ID(campaign, rows)) {
		arena_reset(&a);
		int n = read_page(s, &after, DELIVERY_ID(campaign, rows), states, holder_alive, &a, v, e);
		rc = n < 0 ? -1 : 0;
		for (int i = 0; i < n && rc == 0; i++)
			rc = row(ctx, &v[i]);
	}
	free(v);
	arena_release(&a);
	return rc;
}

int store_delivery_get(
	struct store *s, int64_t delivery, bool holder_alive, struct delivery_row *out, struct err *e)
{
	struct arena *a = &s->lent[LENT_DELIVERY];
	sqlite3_stmt *st =
		db_query(s, e, DELIVERY_COLUMNS "WHERE d.id = ?2", "ii", standing(holder_alive), delivery);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_NOINPUT, "delivery", "there is no such delivery");
	arena_reset(a);
	if (read_delivery(s, st, a, out, e) < 0)
		return -1;
	db_done(st);
	return 0;
}

int store_deliveries_of(struct store *s, int64_t contact, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e)
{
	int64_t c[2] = {0}, n, who; /* c: a campaign, and its rows */
	struct delivery_row d;
	for (;;) {
		int rc = db_ints(s, e, c, 2,
			"SELECT id, rows FROM campaign WHERE id > ? AND rows > 0 ORDER BY id LIMIT 1", "i",
			c[0]);
		if (rc <= 0)
			return rc;
		int64_t campaign = c[0], rows = c[1];
		if (delivery_bisect(s, campaign, rows, contact, &n, e) < 0)
			return -1;
		rc = n > rows ? 0
			      : db_int(s, e, &who, "SELECT contact FROM delivery WHERE id = ?", "i",
					DELIVERY_ID(campaign, n));
		if (rc == 1 && who == contact) {
			rc = store_delivery_get(s, DELIVERY_ID(campaign, n), holder_alive, &d, e);
			if (rc == 0)
				rc = row(ctx, &d);
			if (rc != 0)
				return rc;
		} else if (rc < 0) {
			return -1;
		}
	}
}

/* ---- Attempts ---- */

#define ATTEMPT_COLUMNS                                                                                      \
	"a.delivery, a.n, a.at, a.kind, a.state, a.code, a.enhanced, a.reply, coalesce(rn.text, ''),"        \
	" coalesce(sn.text, ''), coalesce(tn.text, ''), a.relay_id, a.class, a.scope "

static void read_attempt(sqlite3_stmt *st, int at, struct arena *a, struct attempt_row *r)
{
	*r = (struct attempt_row){
		.delivery = col_int(st, at),
		.n = (int)col_int(st, at + 1),
		.at = col_int(st, at + 2),
		.kind = (enum outcome_kind)col_int(st, at + 3),
		.state = (enum delivery_state)col_int(st, at + 4),
		.code = (int)col_int(st, at + 5),
		.enhanced = arena_str(a, col_str(st, at + 6)),
		.reply = arena_str(a, col_str(st, at + 7)),
		.reason = arena_str(a, col_str(st, at + 8)),
		.site = arena_str(a, col_str(st, at + 9)),
		.route = arena_str(a, col_str(st, at + 10)),
		.relay_id = arena_str(a, col_str(st, at + 11)),
		.class = (enum reply_class)col_int(st, at + 12),
		.scope = (enum reply_scope)col_int(st, at + 13),
	};
}

int store_attempts(struct store *s, int64_t delivery, int (*row)(void *ctx, const struct attempt_row *a),
	void *ctx, struct err *e)
{
	struct arena a;
	struct attempt_row r;
	int64_t n = 0;
	int rc = 0;
	arena_init(&a, 2048, 1u << 20);
	while (rc == 0) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT d.text, " ATTEMPT_COLUMNS "FROM attempt a LEFT JOIN name rn ON rn.id = "
			"a.reason LEFT JOIN name sn ON sn.id = a.site "
			"LEFT JOIN name tn ON tn.id = a.route LEFT JOIN dialogue d ON d.delivery = "
			"a.delivery "
			"AND d.n = a.n WHERE a.delivery = ? AND a.n > ? ORDER BY a.n LIMIT 1",
			"ii", delivery, n);
		rc = db_step(s, st, e);
		if (rc <= 0)
			break;
		arena_reset(&a);
		read_attempt(st, 1, &a, &r);
		r.dialogue = arena_str(&a, col_str(st, 0));
		db_done(st);
		n = r.n;
		rc = a.failed ? db_nomem(e) : row(ctx, &r);
	}
	arena_release(&a);
	return rc;
}

/* ---- Failures ---- */

/* A refusal's own attempt. 1, 0, -1 */
static int read_refusal(struct store *s, int64_t id, struct arena *a, struct failure_row *out, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT " ATTEMPT_COLUMNS
		"FROM failure f JOIN attempt a ON a.delivery = f.delivery AND a.n = f.n "
		"LEFT JOIN name rn ON rn.id = a.reason LEFT JOIN name sn ON sn.id = a.site LEFT JOIN name tn "
		"ON tn.id = a.route "
		"WHERE f.id = ?",
		"i", id);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	read_attempt(st, 0, a, &out->attempt);
	db_done(st);
	return 1;
}

static int read_back(struct store *s, int64_t id, struct arena *a, struct failure_row *out, struct err *e)
{
	struct returned_row *r = &out->back;
	int rc = returned_row_read(s, id, a, r, e);
	if (rc <= 0)
		return rc;
	out->returned = true;
	out->attempt = (struct attempt_row){.delivery = r->delivery,
		.at = r->at,
		.code = r->code,
		.enhanced = r->enhanced,
		.reply = r->diagnostic,
		.reason = r->reason,
		.site = r->host,
		.route = STR(""),
		.relay_id = STR(""),
		.dialogue = STR(""),
		.class = r->class,
		.scope = r->scope};
	return 1;
}

/* The failure's own attempt or message, then its delivery by number. */
static int read_failure(struct store *s, int64_t id, struct arena *a, struct failure_row *out, struct err *e)
{
	const struct str none = STR("");
	struct delivery_row d = {.campaign = none,
		.address = none,
		.enhanced = none,
		.reply = none,
		.reason = none,
		.provider = none,
		.domain = none,
		.site = none,
		.route = none,
		.relay_id = none};
	*out = (struct failure_row){.id = id};
	int rc = read_refusal(s, id, a, out, e);
	if (rc == 0)
		rc = read_back(s, id, a, out, e);
	if (rc <= 0)
		return rc;
	struct holder h;
	int alive = store_lease_get(s, clock_now(), &h, e);
	if (alive < 0 || (out->attempt.delivery != 0 &&
				 store_delivery_get(s, out->attempt.delivery, alive == 1, &d, e) < 0))
		return -1;
	struct str *text[] = {&d.campaign, &d.address, &d.enhanced, &d.reply, &d.reason, &d.provider,
		&d.domain, &d.site, &d.route, &d.relay_id};
	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		*text[i] = arena_str(a, *text[i]);
	out->delivery = d;
	return a->failed ? db_nomem(e) : 1;
}

/* The next failure behind `after` that fits, within a window of numbers; *looked becomes the end of the
 * window. */
static int next_failure(struct store *s, const struct failure_query *q, int64_t after, int64_t *id,
	int64_t *looked, struct err *e)
{
	*looked = after + WINDOW;
	return db_int(s, e, id,
		"SELECT f.id FROM failure f LEFT JOIN delivery d ON d.id = f.delivery LEFT JOIN domain dm ON "
		"dm.id = d.domain LEFT JOIN name n ON n.id = dm.provider WHERE f.id > ?1 AND f.id <= ?2 AND "
		"(?3 = 0 OR "
		"f.delivery >> 32 = ?3) AND f.at >= ?4 AND (?7 = 0 OR f.at < ?7) AND (?5 < 0 OR f.class = "
		"?5) AND (?6 = "
		"'' OR n.text = ?6) AND (CASE WHEN f.delivery = 0 THEN ?8 ELSE d.id IS NOT NULL END) AND (?9 "
		"= '' OR ?9 "
		"= (SELECT text FROM name WHERE id = CASE WHEN f.n = 0 THEN (SELECT reason FROM returned r "
		"WHERE r.id = "
		"f.id) ELSE (SELECT reason FROM attempt a WHERE a.delivery = f.delivery AND a.n = f.n) END)) "
		"ORDER BY "
		"f.id LIMIT 1",
		"iiiiisiis", after, *looked, q->campaign, q->since, (int64_t)q->class, q->provider, q->until,
		(int64_t)q->nobodys, q->reason);
}

int store_failures(struct store *s, const struct failure_query *q,
	int (*row)(void *ctx, const struct failure_row *f), void *ctx, struct err *e)
{
	struct arena a;
	struct failure_row f;
	int64_t after = q->after, last, id, looked;
	arena_init(&a, 4096, 1u << 24);
	int rc = db_int(s, e, &last, "SELECT max(id) FROM failure", "");
	rc = rc < 0 ? -1 : 0;
	while (rc == 0 && after < last) {
		rc = next_failure(s, q, after, &id, &looked, e);
		after = rc == 1 ? id : looked;
		if (rc != 1)
			continue;
		arena_reset(&a);
		rc = read_failure(s, id, &a, &f, e);
		rc = rc == 1 ? row(ctx, &f) : rc;
	}
	arena_release(&a);
	return rc;
}

int store_failure_get(struct store *s, int64_t id, struct failure_row *out, struct err *e)
{
	arena_reset(&s->lent[LENT_FAILURE]);
	int rc = read_failure(s, id, &s->lent[LENT_FAILURE], out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "bounce", "there is none with the number %lld", (long long)id);
	return rc < 0 ? -1 : 0;
}
