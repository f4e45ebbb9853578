/* The self-check of people, lists and suppressions. */
#include "src/db/sqlite_check.h"

#include <stdio.h>

/* ---- Nobody was mailed after they were suppressed ---- */

enum { CLOCKS = 60 * 1000 }; /* ms that the clocks of two processes, and a wait for the lock, may make */

struct suppressed {
	int64_t hash, list, contact;
	ms_t created;
	int64_t campaign;
};

struct late {
	int64_t sure, perhaps; /* deliveries; perhaps: the date may be older than the record */
	int64_t first_sure, first_perhaps;
};

/* Is the date of a suppression when it was recorded? What is read from a file brings its own along. It is
 * where a person said so, or a refused attempt of that moment. */
static int recorded_then(struct check *c, const struct suppressed *sup)
{
	int64_t n, rows;
	int rc = db_int(c->s, c->e, &n, "SELECT 1 FROM history WHERE at = ? AND what = 'suppress'", "i",
		sup->created);
	if (rc != 0 || sup->campaign == 0)
		return rc;
	rc = db_int(c->s, c->e, &rows, "SELECT rows FROM campaign WHERE id = ?", "i", sup->campaign);
	if (rc <= 0 || delivery_bisect(c->s, sup->campaign, rows, sup->contact, &n, c->e) < 0)
		return rc;
	return db_int(c->s, c->e, &rows, "SELECT 1 FROM attempt WHERE delivery = ? AND at = ?", "ii",
		DELIVERY_ID(sup->campaign, n), sup->created);
}

/* Was that delivery claimed later than the suppression? The first claim's time is kept; a further one came
 * after the attempt before it had ended. */
static int claimed_after(struct check *c, int64_t delivery, const struct suppressed *sup)
{
	int64_t n;
	return db_int(c->s, c->e, &n,
		"SELECT 1 FROM delivery d WHERE d.id = ?1 AND d.contact = ?2 AND d.attempts > 0 AND (?4 = 0 "
		"OR d.list = ?4) AND "
		"(d.first > ?3 OR EXISTS (SELECT 1 FROM attempt a WHERE a.delivery = d.id AND a.n < "
		"d.attempts AND a.at > ?3))",
		"iiii", delivery, sup->contact, sup->created + CLOCKS, sup->list);
}

/* Those that were over before it was suppressed cannot have mailed it afterwards. */
static int mailed_after(struct check *c, const struct suppressed *sup, struct late *late)
{
	int64_t k[2] = {0}, n; /* k: a campaign, and its rows */
	for (;;) {
		int rc = db_ints(c->s, c->e, k, 2,
			"SELECT id, rows FROM campaign WHERE id > ? AND rows > 0 AND (finished = 0 OR "
			"finished > ?) ORDER BY id "
			"LIMIT 1",
			"ii", k[0], sup->created);
		if (rc <= 0)
			return rc;
		if (delivery_bisect(c->s, k[0], k[1], sup->contact, &n, c->e) < 0)
			return -1;
		rc = claimed_after(c, DELIVERY_ID(k[0], n), sup);
		int sure = rc == 1 ? recorded_then(c, sup) : 0;
		if (rc < 0 || sure < 0)
			return -1;
		if (rc == 0)
			continue;
		int64_t *count = sure == 1 ? &late->sure : &late->perhaps,
			*first = sure == 1 ? &late->first_sure : &late->first_perhaps;
		if (++*count == 1)
			*first = DELIVERY_ID(k[0], n);
	}
}

/* The contact of the first suppression behind *sup, or 0 with none. One that came with an import was seen
 * later than its date says, so those (born <> 0) are not looked at. */
static int next_suppressed(struct check *c, struct suppressed *sup)
{
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT s.hash, s.list, s.created, coalesce(k.id, 0), s.campaign FROM suppression s LEFT "
		"JOIN address a "
		"ON a.hash = s.hash LEFT JOIN contact k ON k.id = a.contact AND coalesce(k.key, k.address) = "
		"s.key "
		"WHERE (s.hash, s.list) > (?, ?) AND s.born = 0 AND s.held_until = 0 ORDER BY s.hash, s.list "
		"LIMIT 1",
		"ii", sup->hash, sup->list);
	int rc = db_step(c->s, st, c->e);
	if (rc == 1) {
		*sup = (struct suppressed){
			col_int(st, 0), col_int(st, 1), col_int(st, 3), col_int(st, 2), col_int(st, 4)};
		db_done(st);
	}
	return rc;
}

int check_suppressed(struct check *c)
{
	struct suppressed sup = {INT64_MIN, INT64_MAX, 0, 0, 0};
	struct late late = {0, 0, 0, 0};
	int rc;
	for (int64_t n = 1; (rc = next_suppressed(c, &sup)) == 1; n++)
		if ((sup.contact != 0 && mailed_after(c, &sup, &late) < 0) ||
			(n % 1000 == 0 && check_step(c, "looking at suppressions", n, 0) < 0))
			return -1;
	if (rc == 0 && late.sure > 0)
		rc = check_say(c, SELF_FAIL, STR(""), REPORT_IT,
			"%lld deliveries were tried after their address had been suppressed, the first is "
			"%lld of campaign %lld",
			(long long)late.sure, (long long)DELIVERY_NUMBER(late.first_sure),
			(long long)DELIVERY_CAMPAIGN(late.first_sure));
	if (rc == 0 && late.perhaps > 0)
		rc = check_say(c, SELF_WARN, STR(""),
			"nothing is wrong if those suppressions were imported, or their messages read, later "
			"than they are dated",
			"%lld deliveries were tried after the date of their address's suppression, the first "
			"is %lld of campaign %lld",
			(long long)late.perhaps, (long long)DELIVERY_NUMBER(late.first_perhaps),
			(long long)DELIVERY_CAMPAIGN(late.first_perhaps));
	return rc;
}

/* ---- Contacts and their index ---- */

struct people {
	int64_t missing, domains;
};

static int contact_window(struct check *c, int64_t from, struct people *p)
{
	int rc;
	int64_t n;
	sqlite3_stmt *st = db_query(c->s, c->e,
		"SELECT k.id, coalesce(k.key, k.address), d.id IS NULL FROM contact k LEFT JOIN domain d ON "
		"d.id = k.domain "
		"WHERE k.id > ? AND k.id <= ? AND k.address <> '' AND" VISIBLE("k.born"),
		"ii", from, from + CHECK_WINDOW);
	while ((rc = db_step(c->s, st, c->e)) == 1) {
		int found = db_int(c->s, c->e, &n, "SELECT 1 FROM address WHERE hash = ? AND contact = ?",
			"ii", (int64_t)hash64(col_str(st, 1)), col_int(st, 0));
		if (found < 0) {
			db_done(st);
			return -1;
		}
		p->missing += found == 0;
		p->domains += col_int(st, 2);
	}
	return rc;
}

int check_contacts(struct check *c)
{
	int64_t last;
	struct people p = {0, 0};
	if (db_int(c->s, c->e, &last, "SELECT max(id) FROM contact", "") < 0)
		return -1;
	for (int64_t from = 0; from < last; from += CHECK_WINDOW)
		if (contact_window(c, from, &p) < 0 || check_step(c, "looking at people", from, last) < 0)
			return -1;
	if (p.missing != 0 &&
		check_say(c, SELF_FAIL, STR(""), REPORT_IT, "%lld people cannot be found by their address",
			(long long)p.missing) < 0)
		return -1;
	return p.domains != 0 ? check_say(c, SELF_FAIL, STR(""), REPORT_IT,
					"%lld people name a domain that is not there", (long long)p.domains)
			      : 0;
}

/* ---- Lists ---- */

struct members {
	int64_t n, nobody;
};

static int count_members(struct check *c, int64_t list, struct members *m)
{
	int64_t after = 0;
	for (;;) {
		int64_t v[3];
		if (db_ints(c->s, c->e, v, 3,
			    "SELECT count(*), max(m.contact), count(*) - count(k.id) FROM (SELECT contact "
			    "FROM "
			    "member WHERE list = ? AND "
			    "contact > ? AND" VISIBLE(
				    "born") "ORDER BY contact LIMIT 20000) m LEFT JOIN contact "
					    "k ON k.id = m.contact",
			    "ii", list, after) != 1)
			return -1;
		m->n += v[0];
		after = v[1];
		m->nobody += v[2];
		if (v[0] == 0)
			return 0;
		if (check_step(c, "counting members", m->n, 0) < 0)
			return -1;
	}
}

static int check_list(struct check *c, int64_t list, int64_t says, struct str name)
{
	struct members m = {0, 0};
	int64_t version = store_data_version(c->s), now;
	if (count_members(c, list, &m) < 0)
		return -1;
	if (m.nobody != 0 && check_say(c, SELF_FAIL, name, REPORT_IT,
				     "%lld members are no people that are known", (long long)m.nobody) < 0)
		return -1;
	if (m.n == says)
		return 0;
	if (db_int(c->s, c->e, &now, "SELECT members FROM list WHERE id = ?", "i", list) < 0)
		return -1;
	if (version == store_data_version(c->s))
		return check_say(c, SELF_FAIL, name, REPORT_IT, "it counts %lld members and has %lld",
			(long long)says, (long long)m.n);
	return now == says ? 0 : check_say(c, SELF_SKIP, name, "run it again", "it is being changed");
}

int check_lists(struct check *c)
{
	char name[512];
	for (int64_t id = 0;;) {
		sqlite3_stmt *st = db_query(c->s, c->e,
			"SELECT id, members, name FROM list WHERE id > ? AND gone = 0 ORDER BY id LIMIT 1",
			"i", id);
		int rc = db_step(c->s, st, c->e);
		if (rc <= 0)
			return rc;
		id = col_int(st, 0);
		int64_t members = col_int(st, 1);
		snprintf(name, sizeof name, "%.*s", STR_ARG(col_str(st, 2)));
		db_done(st);
		if (check_list(c, id, members, str_from(name)) < 0)
			return -1;
	}
}
