#include "src/db/sqlite.h"

#include "src/base/fault.h"
#include "src/db/contacts.h"

#include <assert.h>
#include <stdlib.h>

const char *const suppress_reason_names[SUPPRESS_NREASONS] = {
	[SUPPRESS_HARD_BOUNCE] = "hard-bounce",
	[SUPPRESS_SOFT_BOUNCES] = "soft-bounces",
	[SUPPRESS_COMPLAINT] = "complaint",
	[SUPPRESS_UNSUBSCRIBE] = "unsubscribe",
	[SUPPRESS_MANUAL] = "manual",
	[SUPPRESS_IMPORT] = "import",
	[SUPPRESS_FORGOTTEN] = "forgotten",
};

int suppression_rank(enum suppress_reason r)
{
	static const int rank[SUPPRESS_NREASONS] = {
		[SUPPRESS_FORGOTTEN] = 4,
		[SUPPRESS_COMPLAINT] = 3,
		[SUPPRESS_UNSUBSCRIBE] = 3,
		[SUPPRESS_HARD_BOUNCE] = 2,
		[SUPPRESS_SOFT_BOUNCES] = 2,
		[SUPPRESS_MANUAL] = 1,
		[SUPPRESS_IMPORT] = 1,
	};
	return (unsigned)r < SUPPRESS_NREASONS ? rank[r] : 0;
}

static int suppressed_by(struct store *s, uint64_t hash, struct str key, int64_t list, struct err *e)
{
	int found = MAILABLE, rc;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT key, list, reason, held_until FROM suppression WHERE hash = ? AND" VISIBLE("born"),
		"i", (int64_t)hash);
	while ((rc = db_step(s, st, e)) == 1) {
		int64_t scope = col_int(st, 1);
		if ((scope != 0 && scope != list) || !str_eq(col_str(st, 0), key))
			continue;
		if (col_int(st, 3) != 0 && col_int(st, 3) <= store_time(s))
			continue; /* held, and the hold ran out */
		bool left = col_int(st, 2) == SUPPRESS_UNSUBSCRIBE;
		if (found == MAILABLE || left)
			found = left ? UNMAILABLE_UNSUBSCRIBED : UNMAILABLE_SUPPRESSED;
	}
	return rc < 0 ? -1 : found;
}

int suppressed_key(struct store *s, uint64_t hash, struct str key, int64_t list, struct err *e)
{
	return suppressed_by(s, hash, key, list, e);
}

int suppressed_domain(struct store *s, struct str domain, int64_t list, struct err *e)
{
	char text[258] = "@";
	if (domain.n > 256 || domain.n == 0)
		return MAILABLE;
	memcpy(text + 1, domain.p, domain.n);
	struct str key = str_n(text, domain.n + 1);
	return suppressed_by(s, hash64(key), key, list, e);
}

static int write_suppression(struct store *s, const struct suppression *sup, int64_t born, struct err *e)
{
	return db_run(s, e,
		"INSERT OR REPLACE INTO suppression(hash, list, key, reason, campaign, evidence, created, "
		"held_until, born) "
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iisiisiii", (int64_t)hash64(sup->key), sup->list, sup->key, (int64_t)sup->reason,
		sup->campaign, sup->evidence, sup->created, sup->held_until, born);
}

/* What the address's second word does to a held one, or a person's. Returns as suppression_put(). */
static int confirm(
	struct store *s, const struct suppression *sup, ms_t held_until, bool stronger, struct err *e)
{
	struct suppression firm = *sup;
	/* Said once more within the same burst: that is still its first word. */
	if (sup->held_until != 0 && sup->created < held_until)
		return 0;
	firm.held_until = 0;
	if (stronger)
		return write_suppression(s, &firm, 0, e) < 0 ? -1 : 1;
	return db_run(s, e,
		       "UPDATE suppression SET held_until = 0, created = ? WHERE hash = ? AND list = ? AND "
		       "key = ?",
		       "iiis", sup->created, (int64_t)hash64(sup->key), sup->list, sup->key) < 0
		       ? -1
		       : 1;
}

int suppression_put(struct store *s, const struct suppression *sup, int64_t born, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT reason, held_until, born, (SELECT id FROM pending_import) FROM suppression WHERE "
		"hash = ? AND list = ? AND key = ?",
		"iis", (int64_t)hash64(sup->key), sup->list, sup->key);
	int rc = db_step(s, st, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return write_suppression(s, sup, born, e) < 0 ? -1 : 1;
	int had = suppression_rank((enum suppress_reason)col_int(st, 0)),
	    rank = suppression_rank(sup->reason);
	ms_t held_until = col_int(st, 1);
	bool hidden = col_int(st, 3) != 0 && col_int(st, 2) == col_int(st, 3);
	db_done(st);
	if (!hidden && held_until != 0)
		return confirm(s, sup, held_until, rank >= had, e);
	/* One that only a running import has said is not there yet for anybody else. What is firm does not
	 * begin to run out. */
	if (hidden ? (born == 0 || rank > had) : (rank > had && sup->held_until == 0))
		return write_suppression(s, sup, born, e) < 0 ? -1 : 1;
	return 0;
}

/* For the brake of that campaign, by provider. */
static int count_complaint(struct store *s, const struct suppression *sup, struct err *e)
{
	struct str name = str_after_last(sup->key, '@');
	int64_t domain = 0, provider = 0;
	if (name.n != 0 && domain_id(s, name, false, &domain, e) < 0)
		return -1;
	const struct domain_info *d = domain != 0 ? domain_info(s, domain, e) : NULL;
	if (domain != 0 && (d == NULL || tally_provider(s, d, sup->campaign, &provider, e) < 0))
		return -1;
	return delta_add(s, DELTA_TALLY, sup->campaign, provider, TALLY_COMPLAINTS, 0, 0, 1, STR(""), e);
}

static int suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e)
{
	if (sup->key.n == 0 || (unsigned)sup->reason >= SUPPRESS_NREASONS ||
		sup->reason == SUPPRESS_FORGOTTEN)
		return err_set(e, ERR_DATA, "suppression", "an address and a reason are needed");
	int rc = store_is_forgotten(s, sup->key, e);
	if (rc != 0) {
		/* Nobody who was forgotten is written down again; they are not mailed anyway. */
		*added = false;
		return rc < 0 ? -1 : 0;
	}
	rc = suppression_put(s, sup, 0, e);
	if (rc < 0)
		return -1;
	*added = rc == 1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_COMPLAINT &&
		db_run(s, e, "UPDATE campaign SET complaints = complaints + 1 WHERE id = ?", "i",
			sup->campaign) < 0)
		return -1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_COMPLAINT &&
		count_complaint(s, sup, e) < 0)
		return -1;
	if (rc == 1 && sup->campaign != 0 && sup->reason == SUPPRESS_UNSUBSCRIBE &&
		db_run(s, e, "UPDATE campaign SET unsubscribes = unsubscribes + 1 WHERE id = ?", "i",
			sup->campaign) < 0)
		return -1;
	if (rc == 1 && !s->in_ledger)
		return history_note(s, sup->dated ? clock_now() : sup->created, "suppress", sup->key, e,
			"%s%s%.*s", suppress_reason_names[sup->reason], sup->evidence.n != 0 ? ": " : "",
			STR_ARG(sup->evidence));
	return 0;
}

int store_suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e)
{
	bool unused;
	if (db_begin(s, e) < 0)
		return -1;
	int rc = suppress(s, sup, added != NULL ? added : &unused, e);
	fault_point("suppression-before");
	rc = db_end(s, rc, e);
	fault_point("suppression-after");
	return rc;
}

int store_suppress_many(
	struct store *s, const struct suppression *sups, size_t n, size_t *added, struct err *e)
{
	int rc = 0;
	size_t count = 0;
	if (db_begin(s, e) < 0)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		bool is_new = false;
		rc = suppress(s, &sups[i], &is_new, e);
		count += is_new;
	}
	rc = db_end(s, rc, e);
	*added = rc == 0 ? count : 0;
	return rc;
}
