#include "src/db/sqlite.h"

#include "src/db/attrs.h"
#include "src/db/contacts.h"
#include "src/db/history.h"
#include "src/db/lists.h"

#include <stdlib.h>

#define CONTACT_COLUMNS                                                                                      \
	"SELECT c.id, c.address, coalesce(c.key, c.address), c.attrs, coalesce(c.added, i.at, 0),"           \
	" coalesce(c.changed, c.added, i.at, 0), c.removed "

uint64_t domain_hash(struct str domain)
{
	char text[258] = "@";
	if (domain.n > 256)
		return hash64(domain);
	memcpy(text + 1, domain.p, domain.n);
	return hash64(str_n(text, domain.n + 1));
}

int contact_find(struct store *s, struct str key, struct found *out, struct err *e)
{
	*out = (struct found){0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT c.id, c.born, c.removed, c.attrs, (SELECT id FROM pending_import) FROM address a "
		"JOIN contact c ON c.id = a.contact WHERE a.hash = ? AND coalesce(c.key, c.address) = ?",
		"is", (int64_t)hash64(key), key);
	int rc = db_step(s, st, e);
	if (rc == 1)
		*out = (struct found){
			.id = col_int(st, 0),
			.born = col_int(st, 1),
			.pending = col_int(st, 4),
			.removed = col_int(st, 2) != 0,
			.attrs = col_str(st, 3),
			.st = st,
		};
	return rc;
}

void found_done(struct found *f)
{
	if (f->st != NULL)
		db_done(f->st);
	f->st = NULL;
}

static void read_contact(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct contact_row *)one = (struct contact_row){
		.id = col_int(st, 0),
		.address = arena_str(a, col_str(st, 1)),
		.key = arena_str(a, col_str(st, 2)),
		.attrs = arena_str(a, col_str(st, 3)),
		.added = col_int(st, 4),
		.changed = col_int(st, 5),
		.removed = col_int(st, 6) != 0,
	};
}

static int lend_contact(struct store *s, sqlite3_stmt *st, struct contact_row *out, struct err *e)
{
	int rc = row_lend(s, LENT_CONTACT, st, read_contact, out, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, "contact", "there is nobody with that address");
	return rc < 0 ? -1 : 0;
}

int store_contact_get(struct store *s, struct str key, struct contact_row *out, struct err *e)
{
	int rc = lend_contact(s,
		db_query(s, e,
			CONTACT_COLUMNS
			"FROM address a JOIN contact c ON c.id = a.contact LEFT JOIN import i ON i.id = "
			"c.born "
			"WHERE a.hash = ? AND coalesce(c.key, c.address) = ? AND" VISIBLE("c.born"),
			"is", (int64_t)hash64(key), key),
		out, e);
	if (rc != 0 && e != NULL && e->code == ERR_NOINPUT)
		err_set(e, ERR_NOINPUT, "contact", "nobody has the address %.*s", STR_ARG(key));
	return rc;
}

/* A forgotten one is still found by number: a row without a name. */
int store_contact_by_id(struct store *s, int64_t id, struct contact_row *out, struct err *e)
{
	return lend_contact(s,
		db_query(s, e,
			CONTACT_COLUMNS
			"FROM contact c LEFT JOIN import i ON i.id = c.born WHERE c.id = ? AND" VISIBLE(
				"c.born"),
			"i", id),
		out, e);
}

static void read_membership(sqlite3_stmt *st, struct arena *a, void *one)
{
	*(struct membership *)one = (struct membership){col_int(st, 0), arena_str(a, col_str(st, 1)),
		col_int(st, 2), arena_str(a, col_str(st, 3)), col_int(st, 4)};
}

int store_memberships(struct store *s, int64_t contact, int (*row)(void *ctx, const struct membership *m),
	void *ctx, struct err *e)
{
	struct rows all;
	int rc = rows_read(s, &all, sizeof(struct membership),
		db_query(s, e,
			"SELECT l.id, l.name, coalesce(m.joined, i.at, 0), coalesce(ns.text, ni.text, ''), "
			"coalesce(m.consent_at, i.consent_at, 0) "
			"FROM list l CROSS JOIN member m ON m.list = l.id AND m.contact = ? LEFT JOIN import "
			"i ON "
			"i.id = m.born "
			"LEFT JOIN name ns ON ns.id = m.source LEFT JOIN name ni ON ni.id = i.source "
			"WHERE l.gone = 0 AND" VISIBLE("m.born") "ORDER BY l.name",
			"i", contact),
		read_membership, e);
	for (const struct membership *one; (one = rows_next(&all, rc)) != NULL;)
		rc = row(ctx, one);
	return rc;
}

int contact_insert(struct store *s, struct str address, struct str key, struct str attrs, int64_t *id,
	ms_t now, struct err *e)
{
	int64_t domain;
	struct buf packed = BUF_INIT(1u << 30);
	attrs_merge(&packed, (struct str){"", 0}, attrs);
	if (packed.failed || domain_id(s, str_after_last(key, '@'), true, &domain, e) < 0) {
		bool failed = packed.failed;
		buf_release(&packed);
		return failed ? db_nomem(e) : -1;
	}
	struct str differs = str_eq(address, key) ? (struct str){NULL, 0} : key;
	int rc = db_run(s, e, "INSERT INTO contact(address, key, domain, attrs, added) VALUES(?, ?, ?, ?, ?)",
		"sxibi", address, differs, domain, buf_get(&packed), now);
	buf_release(&packed);
	if (rc < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(s->db);
	return db_run(
		s, e, "INSERT INTO address(hash, contact) VALUES(?, ?)", "ii", (int64_t)hash64(key), *id);
}

static int contact_update(struct store *s, struct found *f, struct str attrs, ms_t now, struct err *e)
{
	struct buf merged = BUF_INIT(1u << 30);
	bool hidden = f->pending != 0 && f->born == f->pending;
	/* What the running import said of a new person waits until it is visible itself. */
	if (hidden && db_run(s, e,
			      "INSERT OR IGNORE INTO import_change(contact, attrs) SELECT id, attrs FROM "
			      "contact WHERE id = ?",
			      "i", f->id) < 0) {
		found_done(f);
		return -1;
	}
	bool changed = attrs_merge(&merged, hidden ? (struct str){"", 0} : f->attrs, attrs);
	found_done(f);
	int rc = merged.failed ? db_nomem(e) : 0;
	if (rc == 0 && hidden)
		rc = db_run(s, e,
			"UPDATE contact SET attrs = ?, added = ?, changed = NULL, born = 0, removed = 0 "
			"WHERE id = ?",
			"bii", buf_get(&merged), now, f->id);
	else if (rc == 0 && (changed || f->removed))
		rc = db_run(s, e, "UPDATE contact SET attrs = ?, changed = ?, removed = 0 WHERE id = ?",
			"bii", buf_get(&merged), now, f->id);
	buf_release(&merged);
	return rc;
}

static int put(struct store *s, struct str address, struct str key, struct str attrs, ms_t now, int64_t *id,
	struct err *e)
{
	struct found f;
	int rc = store_is_forgotten(s, key, e);
	if (rc == 1)
		return err_set(e, ERR_DATA, "contact", "this person asked to be forgotten");
	if (rc == 0)
		rc = contact_find(s, key, &f, e);
	if (rc < 0)
		return -1;
	if (rc == 1) {
		*id = f.id;
		rc = contact_update(s, &f, attrs, now, e);
	} else {
		rc = contact_insert(s, address, key, attrs, id, now, e);
	}
	if (rc < 0)
		return -1;
	struct buf names = BUF_INIT(1 << 16);
	for (struct attr_iter i = attrs_begin(attrs); attrs_next(&i);) {
		buf_puts(&names, names.len > 0 ? ", " : "");
		buf_str(&names, store_attr_name(s, i.id));
	}
	rc = store_history_add(s, now, "contact set", key, buf_get(&names), e);
	buf_release(&names);
	return rc;
}

int store_contact_put(struct store *s, struct str address, struct str key, struct str attrs, ms_t now,
	int64_t *id, struct err *e)
{
	if (!attrs_valid(attrs))
		return err_set(e, ERR_INTERNAL, "contact", "attributes are not well packed");
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, put(s, address, key, attrs, now, id, e), e);
}

/* Before a membership goes that a running import has brought: it is not counted with it. */
static int import_loses(struct store *s, int64_t contact, int64_t list, struct err *e)
{
	return db_run(s, e,
		"UPDATE import SET members = members - 1 WHERE id = (SELECT id FROM pending_import) AND (?1 "
		"= "
		"0 OR list = ?1) AND EXISTS (SELECT 1 FROM member m WHERE m.list = import.list AND m.contact "
		"= ?2 AND m.born = import.id)",
		"ii", list, contact);
}

static int subscribe(struct store *s, int64_t contact, int64_t list, struct str source, ms_t consent_at,
	bool lift, ms_t now, struct err *e)
{
	struct contact_row c;
	struct list_row l;
	int64_t source_id, members;
	if (store_contact_by_id(s, contact, &c, e) < 0 || store_list_by_id(s, list, &l, e) < 0 ||
		name_id(s, source, &source_id, e) < 0)
		return -1;
	if (c.address.n == 0)
		return err_set(e, ERR_DATA, "contact", "this person asked to be forgotten");
	int rc = db_int(s, e, &members,
		"SELECT count(*) FROM member WHERE list = ? AND contact = ? AND" VISIBLE("born"), "ii", list,
		contact);
	/* Who is there already keeps the day and the source they came with. */
	if (rc == 1 && members == 0)
		rc = import_loses(s, contact, list, e);
	if (rc >= 0 && members == 0)
		rc = db_run(s, e,
			"INSERT OR REPLACE INTO member(list, contact, born, joined, source, consent_at) "
			"VALUES(?, ?, 0, ?, ?, ?)",
			"iiiii", list, contact, now, source_id, consent_at);
	if (rc >= 0 && members == 0)
		rc = db_run(s, e, "UPDATE list SET members = members + 1 WHERE id = ?", "i", list);
	if (rc >= 0)
		rc = db_run(s, e, "UPDATE contact SET removed = 0 WHERE id = ?", "i", contact);
	if (rc >= 0 && lift)
		rc = db_run(s, e,
			"DELETE FROM suppression WHERE hash = ? AND key = ? AND list IN (0, ?) AND reason = "
			"?",
			"isii", (int64_t)hash64(c.key), c.key, list, (int64_t)SUPPRESS_UNSUBSCRIBE);
	if (rc >= 0)
		rc = history_note(s, now, "subscribe", c.key, e, "%.*s%s%.*s", STR_ARG(l.name),
			source.n != 0 ? ": " : "", STR_ARG(source));
	return rc < 0 ? -1 : 0;
}

int store_subscribe(struct store *s, int64_t contact, int64_t list, struct str source, ms_t consent_at,
	bool lift, ms_t now, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, subscribe(s, contact, list, source, consent_at, lift, now, e), e);
}

int contact_settle(struct store *s, int64_t contact, struct err *e)
{
	return db_run(s, e,
		"UPDATE contact SET removed = 1 WHERE id = ?1 AND removed = 0 AND NOT EXISTS "
		"(SELECT 1 FROM list l CROSS JOIN member m ON m.list = l.id AND m.contact = ?1)",
		"i", contact);
}

int contact_leave(struct store *s, int64_t contact, int64_t list, struct err *e)
{
	if (import_loses(s, contact, list, e) < 0 ||
		db_run(s, e,
			"UPDATE list SET members = members - 1 WHERE gone = 0 AND (?1 = 0 OR id = ?1) AND "
			"EXISTS "
			"(SELECT 1 FROM member m WHERE m.list = list.id AND m.contact = ?2 AND" VISIBLE(
				"m.born") ")",
			"ii", list, contact) < 0)
		return -1;
	return db_run(s, e,
		"DELETE FROM member WHERE list IN (SELECT id FROM list WHERE ?1 = 0 OR id = ?1) AND contact "
		"= ?2",
		"ii", list, contact);
}

static int leave(struct store *s, int64_t contact, int64_t list, struct err *e)
{
	struct contact_row c;
	if (store_contact_by_id(s, contact, &c, e) < 0 || contact_leave(s, contact, list, e) < 0)
		return -1;
	if (list == 0 && db_run(s, e, "UPDATE contact SET attrs = NULL, changed = ? WHERE id = ?", "ii",
				 clock_now(), contact) < 0)
		return -1;
	if (contact_settle(s, contact, e) < 0)
		return -1;
	return history_note(s, clock_now(), "contact remove", c.key, e, "%s", list == 0 ? "all lists" : "");
}

int store_contact_remove(struct store *s, int64_t contact, int64_t list, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, leave(s, contact, list, e), e);
}
