/* Where a database is at home, and what becomes of a copy. */
#include "src/db/sqlite.h"

#include "src/base/machine.h"
#include "src/db/copies.h"
#include "src/db/lease.h"
#include "src/db/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* As many as may have been given out elsewhere after the copy was made. People: ids are places in the bitmap
 * of an import, so not more. */
enum { MORE_PEOPLE = 1 << 24, MORE_LISTS = 10000, MORE_CAMPAIGNS = 10000 };

struct home {
	struct buf text; /* meta "home": four lines */
	struct str id, host, file, path;
};

/* The very file while the system runs: where a mail server's pipe or a container has another name, or no
 * machine id, it still is this one. "": not known, or the machine's name was chosen and alone counts. */
enum { FILE_MAX = 128 };
static void this_file(const struct store *s, char out[FILE_MAX])
{
	struct stat here;
	char boot[MACHINE_BOOT_MAX];
	machine_boot(boot);
	out[0] = '\0';
	if (!s->home_chosen && boot[0] != '\0' && stat(s->path, &here) == 0)
		snprintf(out, FILE_MAX, "%s %llx %llx", boot, (unsigned long long)here.st_dev,
			(unsigned long long)here.st_ino);
}

static bool at_home(const struct store *s, const struct home *h)
{
	char file[FILE_MAX];
	this_file(s, file);
	return str_is(h->id, s->home) || (file[0] != '\0' && str_is(h->file, file));
}

static void split(struct home *h)
{
	struct str rest = buf_get(&h->text), *const parts[] = {&h->id, &h->host, &h->file, &h->path};
	for (size_t i = 0; i < 4; i++) {
		size_t n = i < 3 ? str_find(rest, '\n') : rest.n;
		*parts[i] = str_n(rest.p, n);
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
}

/* 1: known, 0: never told. */
static int home_read(struct store *s, struct home *h, struct err *e)
{
	buf_init(&h->text, 16 << 10);
	struct err why = {0};
	if (store_meta_get(s, "home", &h->text, &why) == 0) {
		(void)buf_cstr(&h->text);
		split(h);
		return 1;
	}
	if (why.code == ERR_NOINPUT)
		return 0;
	if (e != NULL)
		*e = why;
	return -1;
}

/* The original is still where it was, beside this one. */
static bool original_there(const struct store *s, const struct home *h)
{
	struct stat there, here;
	return h->path.n != 0 && stat(h->path.p, &there) == 0 && stat(s->path, &here) == 0 &&
	       (there.st_dev != here.st_dev || there.st_ino != here.st_ino);
}

int home_check(struct store *s, const struct store_config *c, struct err *e)
{
	struct home h;
	if (c->home == NULL || c->adopting)
		return 0;
	int known = home_read(s, &h, e), rc = known < 0 ? -1 : 0;
	if (known == 1 && !at_home(s, &h))
		rc = err_set(e, ERR_PAUSED, "database",
			"%s: it is at home on another machine (%.*s): from two copies people would be mailed "
			"twice",
			s->path, STR_ARG(h.host));
	else if (known == 1 && original_there(s, &h))
		rc = err_set(e, ERR_PAUSED, "database",
			"%s: it is a copy of %.*s, which is still there: from both people would be mailed "
			"twice",
			s->path, STR_ARG(h.path));
	if (rc < 0 && known == 1)
		err_remedy(e,
			"reading it works; `postrider adopt` makes it the one that sends, with all that is "
			"not over paused first");
	buf_release(&h.text);
	return rc;
}

static int home_write(struct store *s, struct str path, struct err *e)
{
	char host[MACHINE_NAME_MAX], file[FILE_MAX] = "", *real = NULL;
	struct buf b = BUF_INIT(16 << 10);
	machine_name(host);
	if (path.n == 0) {
		this_file(s, file);
		real = realpath(s->path, NULL);
		path = str_from(real != NULL ? real : "");
	}
	buf_printf(&b, "%s\n%s\n%s\n", s->home != NULL ? s->home : "", host, file);
	buf_str(&b, path);
	int rc = b.failed ? db_nomem(e) : store_meta_set(s, "home", buf_get(&b), e);
	free(real);
	buf_release(&b);
	return rc;
}

int home_settle(struct store *s, const struct store_config *c, struct err *e)
{
	struct home h;
	char file[FILE_MAX];
	if (c->home == NULL || c->adopting || s->mode == STORE_READ)
		return 0;
	int rc = home_read(s, &h, e);
	char *real = rc == 1 ? realpath(s->path, NULL) : NULL;
	this_file(s, file);
	/* Who knows it by the file alone leaves its name and place to those at home. */
	bool there =
		real != NULL && (!str_is(h.id, s->home) || (str_is(h.path, real) && str_is(h.file, file)));
	free(real);
	buf_release(&h.text);
	return rc < 0 ? -1 : there ? 0 : home_write(s, STR(""), e);
}

int store_is_home(struct store *s, struct err *e)
{
	struct home h;
	int known = s->home != NULL ? home_read(s, &h, e) : 0;
	if (s->home == NULL || known < 0)
		return s->home == NULL ? 1 : -1;
	int rc = known == 0 || (at_home(s, &h) && !original_there(s, &h));
	buf_release(&h.text);
	return rc;
}

/* ---- Adopting ---- */

static int as_of(struct store *s, const struct holder *h, ms_t *out, struct err *e)
{
	int64_t at;
	if (db_int(s, e, &at, "SELECT max(at) FROM history", "") < 0)
		return -1;
	*out = at > h->heartbeat ? at : h->heartbeat;
	return 0;
}

struct unfinished {
	int64_t id, state, audience;
	char name[512];
};

static int next_unfinished(struct store *s, struct unfinished *u, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e,
		"SELECT id, state, audience_n, name FROM campaign WHERE id > ? AND state NOT IN (?, ?) ORDER "
		"BY id "
		"LIMIT 1",
		"iii", u->id, (int64_t)CAMPAIGN_FINISHED, (int64_t)CAMPAIGN_CANCELLED);
	int rc = db_step(s, st, e);
	if (rc != 1)
		return rc;
	u->id = col_int(st, 0);
	u->state = col_int(st, 1);
	u->audience = col_int(st, 2);
	snprintf(u->name, sizeof u->name, "%.*s", STR_ARG(col_str(st, 3)));
	db_done(st);
	return 1;
}

static int pause_one(struct store *s, const struct adopt *a, const struct adopted *done,
	const struct unfinished *u, struct err *e)
{
	struct campaign_counts n;
	struct buf text = BUF_INIT(2000);
	if (store_campaign_counts(s, u->id, true, &n, e) < 0)
		return -1;
	const struct copy_campaign c = {.name = str_from(u->name),
		.state = (enum campaign_state)u->state,
		.audience = u->audience,
		.unsent = n.state[DELIVERY_QUEUED] + n.state[DELIVERY_DEFERRED] + n.state[DELIVERY_SENDING],
		.doubt = n.state[DELIVERY_DOUBT]};
	a->say(a->ctx, &c, done->as_of, done->host, &text);
	/* Its age stands still from the moment that the copy shows. */
	int rc = text.failed ? db_nomem(e)
			     : db_run(s, e,
				       "UPDATE campaign SET state = ?, why = 'restored', why_text = ?, "
				       "paused_at = CASE "
				       "WHEN paused_at <> 0 THEN paused_at ELSE ? END WHERE id = ?",
				       "isii", (int64_t)CAMPAIGN_PAUSED, buf_get(&text), done->as_of, u->id);
	buf_release(&text);
	return rc;
}

static int pause_all(struct store *s, const struct adopt *a, struct adopted *done, struct err *e)
{
	struct unfinished u = {.id = 0};
	int rc;
	while ((rc = next_unfinished(s, &u, e)) == 1) {
		if (pause_one(s, a, done, &u, e) < 0)
			return -1;
		done->campaigns++;
	}
	return rc;
}

/* A person without a name, as those who were forgotten, and a list that is gone, hold the number from which
 * on others follow. */
static int skip_numbers(struct store *s, ms_t now, struct err *e)
{
	if (db_run(s, e,
		    "INSERT INTO contact(id, address, domain, added, removed) SELECT coalesce(max(id), 0) + "
		    "?, '', 0, "
		    "?, 1 FROM contact",
		    "ii", (int64_t)MORE_PEOPLE, now) < 0 ||
		db_run(s, e,
			"INSERT INTO list(id, name, created, gone) SELECT coalesce(max(id), 0) + ?1, char(1) "
			"|| "
			"coalesce(max(id), 0), ?2, 1 FROM list",
			"ii", (int64_t)MORE_LISTS, now) < 0)
		return -1;
	return db_run(s, e,
		"INSERT OR REPLACE INTO meta(name, value) SELECT 'campaign_from', max(coalesce((SELECT "
		"max(id) FROM "
		"campaign), 0), coalesce((SELECT value FROM meta WHERE name = 'campaign_from'), 0)) + ?",
		"i", (int64_t)MORE_CAMPAIGNS);
}

static int adopt(struct store *s, const struct adopt *a, struct adopted *done, struct err *e)
{
	struct holder h;
	struct home home;
	char times[64];
	int alive = store_lease_get(s, a->now, &h, e);
	if (alive < 0)
		return -1;
	if (alive == 1 && !a->detached) {
		err_set(e, ERR_AGAIN, "adopt", "pid %lld on %s (%s) delivers for this database",
			(long long)h.pid, h.host, h.what);
		return err_remedy(
			e, "end that process; if this file is a copy made just now, wait for a minute");
	}
	int known = home_read(s, &home, e);
	snprintf(done->host, sizeof done->host, "%.*s", STR_ARG(known == 1 ? home.host : STR("")));
	buf_release(&home.text);
	if (known < 0)
		return -1;
	done->as_of = a->as_of;
	if (done->as_of == 0 && as_of(s, &h, &done->as_of, e) < 0)
		return -1;
	snprintf(times, sizeof times, "%lld %lld", (long long)done->as_of, (long long)a->now);
	if (pause_all(s, a, done, e) < 0 || skip_numbers(s, a->now, e) < 0 ||
		home_write(s, a->home_path, e) < 0 || store_meta_set(s, "adopted", str_from(times), e) < 0 ||
		db_run(s, e, "UPDATE lease SET held = 0", "") < 0)
		return -1;
	return history_note(s, a->now, a->how, str_from(done->host), e, "campaigns paused: %lld",
		(long long)done->campaigns);
}

int store_adopt(struct store *s, const struct adopt *a, struct adopted *done, struct err *e)
{
	*done = (struct adopted){.as_of = 0};
	if (db_begin(s, e) < 0)
		return -1;
	return db_end(s, adopt(s, a, done, e), e);
}

int store_adopted(struct store *s, ms_t *since, ms_t *at, struct err *e)
{
	struct buf text = BUF_INIT(100);
	struct err why = {0};
	long long from = 0, to = 0;
	int rc = store_meta_get(s, "adopted", &text, &why);
	if (rc == 0)
		rc = sscanf(buf_cstr(&text), "%lld %lld", &from, &to) == 2;
	else if (why.code == ERR_NOINPUT)
		rc = 0;
	else if (e != NULL)
		*e = why;
	buf_release(&text);
	*since = from;
	*at = to;
	return rc;
}
