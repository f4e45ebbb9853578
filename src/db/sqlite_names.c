#include "src/db/sqlite.h"

#include "src/base/nearest.h"
#include "src/db/lists.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void idmap_init(struct idmap *m, size_t limit)
{
	*m = (struct idmap){.limit = limit};
	arena_init(&m->text, 16384, 64u << 20);
}

void idmap_release(struct idmap *m)
{
	free(m->v);
	arena_release(&m->text);
	*m = (struct idmap){.limit = m->limit};
}

void idmap_clear(struct idmap *m)
{
	if (m->n != 0)
		memset(m->v, 0, m->cap * sizeof *m->v);
	m->n = 0;
	arena_reset(&m->text);
}

static struct idmap_entry *place(const struct idmap *m, uint64_t hash, struct str text)
{
	size_t i = (size_t)hash & (m->cap - 1);
	while (m->v[i].id != 0 && !(m->v[i].hash == hash && str_eq(m->v[i].text, text)))
		i = (i + 1) & (m->cap - 1);
	return &m->v[i];
}

const struct idmap_entry *idmap_get(const struct idmap *m, struct str text)
{
	if (m->n == 0)
		return NULL;
	const struct idmap_entry *e = place(m, hash64(text), text);
	return e->id != 0 ? e : NULL;
}

static bool grow(struct idmap *m)
{
	size_t cap = m->cap != 0 ? m->cap * 2 : 64;
	struct idmap_entry *old = m->v, *v = calloc(cap, sizeof *v);
	if (v == NULL)
		return false;
	size_t n = m->cap;
	m->v = v;
	m->cap = cap;
	for (size_t i = 0; i < n; i++)
		if (old[i].id != 0)
			*place(m, old[i].hash, old[i].text) = old[i];
	free(old);
	return true;
}

/* It is only a memory of what the table says: where it finds no room it forgets, and that is no error. */
void idmap_put(struct idmap *m, struct str text, int64_t id, int64_t extra)
{
	assert(id != 0);
	if (m->n >= m->limit)
		idmap_clear(m);
	if (m->n * 2 >= m->cap && !grow(m))
		return;
	struct str copy = arena_str(&m->text, text);
	if (m->text.failed) {
		idmap_clear(m);
		return;
	}
	uint64_t hash = hash64(text);
	struct idmap_entry *e = place(m, hash, text);
	m->n += e->id == 0;
	*e = (struct idmap_entry){hash, id, extra, copy};
}

int name_id(struct store *s, struct str text, int64_t *id, struct err *e)
{
	*id = 0;
	if (text.n == 0)
		return 0;
	const struct idmap_entry *known = idmap_get(&s->names, text);
	if (known != NULL) {
		*id = known->id;
		return 0;
	}
	int rc = db_int(s, e, id, "SELECT id FROM name WHERE text = ?", "s", text);
	if (rc == 0) {
		if (db_run(s, e, "INSERT INTO name(text) VALUES(?)", "s", text) < 0)
			return -1;
		*id = sqlite3_last_insert_rowid(s->db);
	}
	if (rc >= 0)
		idmap_put(&s->names, text, *id, 0);
	return rc < 0 ? -1 : 0;
}

int name_text(struct store *s, int64_t id, struct str *out, struct err *e)
{
	struct name_info *n = &s->name_cache[(uint64_t)id % NAME_CACHE];
	*out = STR("");
	if (id == 0)
		return 0;
	if (n->id != id) {
		sqlite3_stmt *st = db_query(s, e, "SELECT text FROM name WHERE id = ?", "i", id);
		int rc = db_step(s, st, e);
		if (rc <= 0)
			return rc;
		struct str text = col_str(st, 0);
		char *copy = strndup(text.p, text.n);
		db_done(st);
		if (copy == NULL)
			return db_nomem(e);
		free(n->text);
		*n = (struct name_info){id, copy};
	}
	*out = str_from(n->text);
	return 0;
}

void names_forget(struct store *s)
{
	for (size_t i = 0; i < NAME_CACHE; i++)
		free(s->name_cache[i].text);
	memset(s->name_cache, 0, sizeof s->name_cache);
}

static int domain_insert(struct store *s, struct str domain, int64_t *id, int64_t *provider, struct err *e)
{
	const char *name = s->provider_of != NULL ? s->provider_of(domain) : "";
	if (name_id(s, str_from(name), provider, e) < 0 ||
		db_run(s, e, "INSERT INTO domain(name, provider) VALUES(?, ?)", "si", domain, *provider) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int domain_id(struct store *s, struct str domain, bool create, int64_t *id, struct err *e)
{
	*id = 0;
	if (domain.n > 255)
		return err_set(e, ERR_DATA, "domain", "longer than 255 characters");
	const struct idmap_entry *known = idmap_get(&s->domains, domain);
	if (known != NULL) {
		*id = known->id;
		return 0;
	}
	sqlite3_stmt *st = db_query(s, e, "SELECT id, provider FROM domain WHERE name = ?", "s", domain);
	int rc = db_step(s, st, e);
	int64_t provider = 0;
	if (rc == 1) {
		*id = col_int(st, 0);
		provider = col_int(st, 1);
		db_done(st);
	} else if (rc == 0 && create) {
		rc = domain_insert(s, domain, id, &provider, e);
	}
	if (rc >= 0 && *id != 0)
		idmap_put(&s->domains, domain, *id, provider);
	return rc < 0 ? -1 : 0;
}

const struct domain_info *domain_info(struct store *s, int64_t id, struct err *e)
{
	static const struct domain_info none;
	if (id <= 0)
		return &none;
	struct domain_info *d = &s->domain_cache[(uint64_t)id % DOMAIN_CACHE];
	if (d->id == id)
		return d;
	sqlite3_stmt *st = db_query(s, e,
		"SELECT d.name, d.provider, coalesce(n.text, ''), d.touched, coalesce((SELECT max(campaign) "
		"FROM former_provider f WHERE f.domain = d.id), 0) FROM domain d LEFT JOIN name n ON n.id = "
		"d.provider WHERE d.id = ?",
		"i", id);
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc < 0 ? NULL : &none;
	d->id = id;
	d->provider = col_int(st, 1);
	d->touched = col_int(st, 3);
	d->former = col_int(st, 4);
	snprintf(d->name, sizeof d->name, "%.*s", STR_ARG(col_str(st, 0)));
	snprintf(d->provider_name, sizeof d->provider_name, "%.*s", STR_ARG(col_str(st, 2)));
	db_done(st);
	return d;
}

void domain_forget(struct store *s, int64_t id)
{
	struct domain_info *d = &s->domain_cache[(uint64_t)id % DOMAIN_CACHE];
	if (d->id == id)
		d->id = 0;
}

int tally_provider(
	struct store *s, const struct domain_info *d, int64_t campaign, int64_t *provider, struct err *e)
{
	*provider = d->provider;
	if (campaign > d->former)
		return 0;
	return db_int(s, e, provider,
		       "SELECT provider FROM former_provider WHERE domain = ? AND campaign >= ? ORDER BY "
		       "campaign "
		       "LIMIT 1",
		       "ii", d->id, campaign) < 0
		       ? -1
		       : 0;
}

/* ---- Attribute names ---- */

#define HIDDEN "char(1)"

static int find_attr(struct store *s, struct str name, int64_t *id, struct err *e)
{
	return db_int(s, e, id, "SELECT id FROM attr WHERE name = ?", "s", name) < 0 ? -1 : 0;
}

int64_t attr_hidden(struct store *s, struct str name, bool create, struct err *e)
{
	int64_t id;
	if (create && db_run(s, e, "INSERT INTO attr(name) VALUES(" HIDDEN " || ?) ON CONFLICT DO NOTHING",
			      "s", name) < 0)
		return -1;
	return db_int(s, e, &id, "SELECT id FROM attr WHERE name = " HIDDEN " || ?", "s", name) < 0 ? -1 : id;
}

int attr_show(struct store *s, int64_t id, struct err *e)
{
	return db_run(
		s, e, "UPDATE attr SET name = substr(name, 2) WHERE id = ? AND name < char(2)", "i", id);
}

/* One that a running import has brought is taken over from it. */
static int make_attr(struct store *s, struct str name, int64_t *id, struct err *e)
{
	if (find_attr(s, name, id, e) < 0)
		return -1;
	if (*id != 0)
		return 0;
	*id = attr_hidden(s, name, false, e);
	if (*id != 0)
		return *id < 0 ? -1 : attr_show(s, *id, e);
	if (db_run(s, e, "INSERT INTO attr(name) VALUES(?)", "s", name) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int64_t store_attr_id(struct store *s, struct str name, bool create, struct err *e)
{
	const struct idmap_entry *known = idmap_get(&s->attrs, name);
	if (known != NULL)
		return known->id;
	int64_t id;
	int rc = find_attr(s, name, &id, e);
	if (rc == 0 && id == 0 && create) {
		if (name.n == 0)
			return err_set(e, ERR_DATA, "attribute", "a name is needed");
		if (db_begin(s, e) < 0)
			return -1;
		rc = db_end(s, make_attr(s, name, &id, e), e);
	}
	if (rc >= 0 && id != 0)
		idmap_put(&s->attrs, name, id, 0);
	return rc < 0 ? -1 : id;
}

/* The text must stay while the store is open, so it is kept in an arena that is never reset. */
struct str store_attr_name(struct store *s, uint32_t id)
{
	if (id >= s->nattr_names || s->attr_names[id].p == NULL) {
		sqlite3_stmt *st = db_query(
			s, NULL, "SELECT name FROM attr WHERE id = ? AND name >= char(2)", "i", (int64_t)id);
		if (st == NULL || db_step(s, st, NULL) != 1)
			return (struct str){NULL, 0};
		struct str name = arena_str(&s->lent[LENT_ATTR], col_str(st, 0));
		db_done(st);
		if (s->lent[LENT_ATTR].failed)
			return (struct str){NULL, 0};
		if (id >= s->nattr_names) {
			size_t n = (size_t)id + 64;
			struct str *v = realloc(s->attr_names, n * sizeof *v);
			if (v == NULL)
				return (struct str){NULL, 0};
			memset(v + s->nattr_names, 0, (n - s->nattr_names) * sizeof *v);
			s->attr_names = v;
			s->nattr_names = n;
		}
		s->attr_names[id] = name;
	}
	return s->attr_names[id];
}

int store_attrs(
	struct store *s, int (*row)(void *ctx, uint32_t id, struct str name), void *ctx, struct err *e)
{
	uint32_t after = 0;
	for (;;) {
		int64_t id;
		int rc = db_int(s, e, &id,
			"SELECT id FROM attr WHERE id > ? AND name >= char(2) ORDER BY id LIMIT 1", "i",
			(int64_t)after);
		if (rc <= 0)
			return rc;
		after = (uint32_t)id;
		struct str name = store_attr_name(s, after);
		if (name.p == NULL)
			return db_nomem(e);
		rc = row(ctx, after, name);
		if (rc != 0)
			return rc;
	}
}

static int offer(void *ctx, uint32_t id, struct str name)
{
	(void)id;
	nearest_offer(ctx, name);
	return 0;
}

int store_attrs_offer(struct store *s, struct nearest *near, struct err *e)
{
	return store_attrs(s, offer, near, e);
}
