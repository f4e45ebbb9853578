#include "src/db/sqlite_returned.h"

#include <strings.h>

static void forget_hash(const struct store *s, struct str key, unsigned char out[SHA256_LEN])
{
	hmac_sha256(buf_get(&s->forget_key), key, out);
}

int store_is_forgotten(struct store *s, struct str key, struct err *e)
{
	ms_t at;
	return store_forgotten_at(s, key, &at, e);
}

int store_forgotten_at(struct store *s, struct str key, ms_t *at, struct err *e)
{
	int rc = db_int(s, e, at, "SELECT 1 FROM forgotten LIMIT 1", "");
	if (rc != 1)
		return rc;
	unsigned char hash[SHA256_LEN];
	forget_hash(s, key, hash);
	return db_int(s, e, at, "SELECT at FROM forgotten WHERE hash = ?", "b",
		str_n((const char *)hash, sizeof hash));
}

/* SQL knows no search without regard to case that takes any bytes as they are, so it is looked for here. */
static bool quotes(struct str text, struct str address)
{
	for (size_t i = 0; address.n != 0 && i + address.n <= text.n; i++)
		if (strncasecmp(text.p + i, address.p, address.n) == 0)
			return true;
	return false;
}

static int blank_replies(struct store *s, int64_t delivery, struct str address, struct str key, struct err *e)
{
	int64_t n = 0;
	if (db_run(s, e, "DELETE FROM dialogue WHERE delivery = ?", "i", delivery) < 0)
		return -1;
	for (;;) {
		sqlite3_stmt *st = db_query(s, e,
			"SELECT n, reply FROM attempt WHERE delivery = ? AND n > ? ORDER BY n LIMIT 1", "ii",
			delivery, n);
		int rc = db_step(s, st, e);
		if (rc <= 0)
			return rc;
		n = col_int(st, 0);
		bool found = quotes(col_str(st, 1), address) || quotes(col_str(st, 1), key);
		db_done(st);
		if (found && db_run(s, e, "UPDATE attempt SET reply = '' WHERE delivery = ? AND n = ?", "ii",
				     delivery, n) < 0)
			return -1;
	}
}

/* Examples of replies in the reports and in what stopped a campaign are few; each that quotes the address
 * goes. */
static int blank_examples(struct store *s, struct str address, struct str key, struct err *e)
{
	int64_t campaign = 0;
	for (;;) {
		int rc = db_int(s, e, &campaign, "SELECT min(campaign) FROM reason_tally WHERE campaign > ?",
			"i", campaign);
		if (rc < 0)
			return -1;
		if (campaign == 0)
			break;
		if (db_run(s, e,
			    "UPDATE reason_tally SET example = '' WHERE campaign = ?1 AND "
			    "(instr(lower(example), lower(?2)) OR "
			    "instr(lower(example), lower(?3)))",
			    "iss", campaign, address, key) < 0)
			return -1;
	}
	if (db_run(s, e,
		    "UPDATE campaign SET why_text = '' WHERE instr(lower(why_text), lower(?1)) OR "
		    "instr(lower(why_text), lower(?2))",
		    "ss", address, key) < 0)
		return -1;
	return db_run(s, e,
		"UPDATE provider_pause SET text = '' WHERE instr(lower(text), lower(?1)) OR "
		"instr(lower(text), lower(?2))",
		"ss", address, key);
}

/* What came back for them goes but for what was counted; and what was nobody's goes whole where it names
 * them. */
static int forget_returned(struct store *s, int64_t contact, struct err *e)
{
	if (db_run(s, e, "DELETE FROM evidence WHERE id IN (SELECT id FROM returned WHERE contact = ?)", "i",
		    contact) < 0 ||
		db_run(s, e, "UPDATE returned SET diagnostic = '', address = '' WHERE contact = ?", "i",
			contact) < 0)
		return -1;
	return db_run(s, e, "DELETE FROM trouble WHERE contact = ?", "i", contact);
}

static int names_them(struct store *s, int64_t id, struct str address, struct str key, struct err *e)
{
	struct arena a;
	struct returned_row r;
	struct buf message = BUF_INIT(RETURNED_KEEP + 1);
	arena_init(&a, 2048, 1u << 20);
	int rc = returned_row_read(s, id, &a, &r, e);
	if (rc == 1 && store_returned_message(s, id, &message, e) < 0)
		rc = -1;
	if (rc == 1) {
		const struct str texts[] = {r.address, r.diagnostic, buf_get(&message)};
		rc = 0;
		for (size_t i = 0; i < 3 && rc == 0; i++)
			rc = quotes(texts[i], address) || quotes(texts[i], key);
	}
	arena_release(&a);
	buf_release(&message);
	return rc;
}

static int forget_message(struct store *s, int64_t id, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "DELETE FROM evidence WHERE id = ?", "i", id);
	if (rc == 0)
		rc = db_run(s, e, "DELETE FROM returned WHERE id = ?", "i", id);
	if (rc == 0)
		rc = db_run(s, e, "DELETE FROM failure WHERE id = ?", "i", id);
	return db_end(s, rc, e);
}

/* *id: the last one that was looked at. They may be many, and each is unpacked. */
static int forget_nobodys(struct store *s, struct str address, struct str key, int64_t *id, struct err *e)
{
	int64_t next;
	int rc;
	while ((rc = db_int(s, e, &next,
			"SELECT id FROM returned WHERE contact = 0 AND delivery = 0 AND id > ? ORDER BY id "
			"LIMIT 1",
			"i", *id)) == 1) {
		*id = next;
		rc = names_them(s, next, address, key, e);
		if (rc < 0 || (rc == 1 && forget_message(s, next, e) < 0))
			return -1;
	}
	return rc;
}

/* What is on its way will be answered: until then the row says that no word of that may be kept. */
static int mark_under_way(struct store *s, int64_t delivery, struct err *e)
{
	int64_t standing, reason;
	int rc = db_int(s, e, &standing, "SELECT 1 FROM intent WHERE delivery = ?", "i", delivery);
	if (rc <= 0)
		return rc;
	return name_id(s, STR("forgotten"), &reason, e) < 0
		       ? -1
		       : db_run(s, e, "UPDATE delivery SET skip = ? WHERE id = ?", "ii", reason, delivery);
}

struct forgetting {
	struct store *s;
	struct str address, key;
	struct err *e;
};

static int forget_replies(struct forgetting *f, int64_t contact)
{
	struct store *s = f->s;
	int64_t id = 0, rows;
	for (;;) {
		sqlite3_stmt *st = db_query(
			s, f->e, "SELECT id, rows FROM campaign WHERE id > ? ORDER BY id LIMIT 1", "i", id);
		int rc = db_step(s, st, f->e);
		if (rc <= 0)
			return rc;
		id = col_int(st, 0);
		rows = col_int(st, 1);
		db_done(st);
		int64_t n, who;
		if (delivery_bisect(s, id, rows, contact, &n, f->e) < 0)
			return -1;
		if (n > rows)
			continue;
		rc = db_int(
			s, f->e, &who, "SELECT contact FROM delivery WHERE id = ?", "i", DELIVERY_ID(id, n));
		if (rc < 0 || (who == contact &&
				      (blank_replies(s, DELIVERY_ID(id, n), f->address, f->key, f->e) < 0 ||
					      mark_under_way(s, DELIVERY_ID(id, n), f->e) < 0)))
			return -1;
	}
}

static int forget_contact(struct forgetting *f, int64_t contact)
{
	struct store *s = f->s;
	if (contact_leave(s, contact, 0, f->e) < 0 ||
		db_run(s, f->e, "DELETE FROM import_change WHERE contact = ?", "i", contact) < 0 ||
		db_run(s, f->e, "DELETE FROM address WHERE hash = ? AND contact = ?", "ii",
			(int64_t)hash64(f->key), contact) < 0 ||
		db_run(s, f->e,
			"UPDATE contact SET address = '', key = NULL, domain = 0, attrs = NULL, removed = 1, "
			"born = 0, "
			"added = coalesce(added, 0) WHERE id = ?",
			"i", contact) < 0)
		return -1;
	if (forget_returned(s, contact, f->e) < 0)
		return -1;
	return forget_replies(f, contact);
}

/* `hidden`: one that is not in the index of addresses; 0: whoever is. *id 0: nobody; *address: as written. */
static int find_person(struct store *s, struct str key, int64_t hidden, struct arena *a, int64_t *id,
	struct str *address, struct err *e)
{
	struct found found = {.id = hidden};
	int rc = hidden != 0 ? 1 : contact_find(s, key, &found, e);
	*id = 0;
	*address = key;
	if (rc <= 0)
		return rc;
	found_done(&found);
	sqlite3_stmt *st =
		db_query(s, e, "SELECT address FROM contact WHERE id = ? AND coalesce(key, address) = ?",
			"is", found.id, key);
	rc = db_step(s, st, e);
	if (rc == 1) {
		*id = found.id;
		*address = arena_str(a, col_str(st, 0));
		db_done(st);
	}
	return rc < 0 ? -1 : a->failed ? db_nomem(e) : 0;
}

/* `seen`: what was nobody's is looked through up to that one. */
static int forget(struct store *s, struct str key, int64_t hidden, int64_t *seen, ms_t now, struct err *e)
{
	struct arena a;
	struct forgetting f = {.s = s, .key = key, .e = e};
	int64_t id;
	unsigned char hash[SHA256_LEN];
	arena_init(&a, 1024, 1u << 20);
	int rc = find_person(s, key, hidden, &a, &id, &f.address, e);
	if (rc == 0 && id != 0)
		rc = forget_contact(&f, id);
	forget_hash(s, key, hash);
	if (rc >= 0)
		rc = db_run(s, e, "DELETE FROM suppression WHERE hash = ? AND key = ?", "is",
			(int64_t)hash64(key), key);
	if (rc >= 0)
		rc = db_run(s, e, "DELETE FROM import_suppression WHERE hash = ? AND key = ?", "is",
			(int64_t)hash64(key), key);
	if (rc >= 0)
		rc = db_run(s, e, "INSERT OR IGNORE INTO forgotten(hash, at) VALUES(?, ?)", "bi",
			str_n((const char *)hash, sizeof hash), now);
	if (rc >= 0)
		rc = blank_examples(s, f.address, key, e);
	if (rc >= 0)
		rc = forget_nobodys(s, f.address, key, seen, e);
	if (rc >= 0)
		rc = db_run(s, e,
			"UPDATE history SET object = '', note = '' WHERE object = ?1 OR object = ?2 OR "
			"instr(note, ?1)",
			"ss", key, f.address);
	if (rc >= 0)
		rc = history_note(s, now, "contact forget", STR(""), e, "%s", "");
	arena_release(&a);
	return rc < 0 ? -1 : 0;
}

/* Whom a running import has brought, but not yet written to the index. From now on it refuses them; *id 0:
 * nobody. */
static int find_hidden(struct store *s, struct str key, int64_t *id, struct err *e)
{
	enum { WINDOW = 20000 };
	int64_t import[3] = {0}; /* its number, its first contact, the last one there is */
	*id = 0;
	int rc = db_ints(s, e, import, 3,
		"SELECT p.id, i.first, (SELECT max(id) FROM contact) FROM pending_import p JOIN import i ON "
		"i.id = "
		"p.id",
		"");
	for (int64_t from = import[1]; rc == 1 && *id == 0 && from <= import[2]; from += WINDOW)
		if (db_int(s, e, id,
			    "SELECT id FROM contact WHERE id >= ? AND id < ? AND born = ? AND coalesce(key, "
			    "address) = ?",
			    "iiis", from, from + WINDOW, import[0], key) < 0)
			rc = -1;
	return rc < 0 ? -1 : 0;
}

static int forget_hidden(struct store *s, struct str key, int64_t *seen, ms_t now, struct err *e)
{
	int64_t id;
	if (find_hidden(s, key, &id, e) < 0)
		return -1;
	if (id == 0)
		return 0;
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, forget(s, key, id, seen, now, e), e);
}

int store_forget(struct store *s, struct str key, ms_t now, struct err *e)
{
	struct arena a;
	struct str address;
	int64_t id, seen = 0;
	arena_init(&a, 1024, 1u << 20);
	/* Before anybody is kept from writing; what comes in between is looked at then. */
	int rc = find_person(s, key, 0, &a, &id, &address, e);
	if (rc == 0)
		rc = forget_nobodys(s, address, key, &seen, e);
	arena_release(&a);
	if (rc < 0 || db_begin(s, e) < 0)
		return -1;
	if (db_end(s, forget(s, key, 0, &seen, now, e), e) < 0 || forget_hidden(s, key, &seen, now, e) < 0)
		return -1;
	/* What was erased still stands in the log until it is moved; the next ones do the rest if somebody
	 * reads now. */
	if (s->depth == 0)
		sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return 0;
}
