#include "src/db/sqlite.h"

#include "src/db/sqlite_schema.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Slices of others leave pauses of a few milliseconds; whoever sleeps longer between tries never meets one.
 */
static int busy(void *ctx, int tries)
{
	struct store *s = ctx;
	ms_t now = clock_mono();
	if (tries == 0)
		s->busy_since = now;
	if (now - s->busy_since >= s->busy)
		return 0;
	nanosleep(&(struct timespec){.tv_nsec = 500000 + (now % 5) * 100000}, NULL);
	return 1;
}

int db_create_file(const char *path, struct err *e)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		if (errno == EEXIST)
			return err_set(e, ERR_CREATE, "database", "%s exists already", path);
		return err_sys(e, ERR_CREATE, "database", path);
	}
	close(fd);
	return 0;
}

static int pragma_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
	return db_int(s, e, out, sql, "") == 1 ? 0 : -1;
}

static int migrate(struct store *s, int from, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int64_t version;
	/* Somebody else may have done it while we waited for the lock. */
	int rc = pragma_int(s, "PRAGMA user_version", &version, e);
	for (int v = rc == 0 ? (int)version : SCHEMA_VERSION; rc == 0 && v < SCHEMA_VERSION; v++)
		rc = db_script(s, schema_steps[v], e);
	char text[96];
	snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", SQLITE_OURS,
		SCHEMA_VERSION);
	if (rc == 0 && version <= from)
		rc = db_script(s, text, e);
	return db_end(s, rc, e);
}

static int check_version(struct store *s, const struct store_config *c, struct err *e)
{
	int64_t ours, version;
	if (pragma_int(s, "PRAGMA application_id", &ours, e) < 0 ||
		pragma_int(s, "PRAGMA user_version", &version, e) < 0)
		return -1;
	if (ours != SQLITE_OURS || version < 1)
		return err_set(e, ERR_DATA, "database", "%s: not a Postrider database", s->path);
	if (version > SCHEMA_VERSION) {
		err_set(e, ERR_DATA, "database",
			"%s: written by a newer version (schema %d, this program knows %d)", s->path,
			(int)version, SCHEMA_VERSION);
		return err_remedy(e, "use the newer postrider");
	}
	if (s->mode == STORE_WRITE && home_check(s, c, e) < 0)
		return -1;
	if (version == SCHEMA_VERSION || (s->mode == STORE_READ && c->older))
		return 0;
	if (s->mode == STORE_READ) {
		err_set(e, ERR_DATA, "database", "%s: written by an older version", s->path);
		return err_remedy(e, "any command that writes brings it up to date");
	}
	if (c->migrating != NULL)
		c->migrating((int)version, SCHEMA_VERSION, c->ctx);
	return migrate(s, (int)version, e);
}

static int setup(struct store *s, const struct store_config *c, struct err *e)
{
	/* What sends goes through people and deliveries in the order of their ids: a page that was passed is
	 * not wanted again, and the few that lead to the next stay. More would buy nothing, and fill with the
	 * size of a list, for each connection. An import finds addresses in places all over. */
	int cache = c->bulk ? 16384 : 1024; /* KiB */
	char text[320];
	snprintf(text, sizeof text,
		"PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = 0;"
		"PRAGMA secure_delete = FAST; PRAGMA wal_autocheckpoint = %d; PRAGMA trusted_schema = 0;"
		"PRAGMA synchronous = %s; PRAGMA journal_size_limit = 4194304; PRAGMA query_only = %d",
		cache, c->bulk ? 65536 : 1000, "FULL", s->mode == STORE_READ);
	return db_script(s, text, e);
}

/* For the whole process: no statistics of memory, whose lock every allocation would take. Refused (and no
 * harm) if SQLite was in use before. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_db(struct store *s, const struct store_config *c, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, configure);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
		    SQLITE_OPEN_EXRESCODE;
	if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
		return db_error(s, "database", e);
	sqlite3_busy_handler(s->db, busy, s);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (filter_functions(s) < 0 || batch_table(s) < 0)
		return db_nomem(e);
	if (s->mode == STORE_CREATE) {
		if (db_script(s, "PRAGMA journal_mode = WAL", e) < 0 || setup(s, c, e) < 0 ||
			migrate(s, 0, e) < 0)
			return -1;
	} else if (check_version(s, c, e) < 0 || setup(s, c, e) < 0) {
		return -1;
	}
	return home_settle(s, c, e);
}

static int store_new(struct store **out, enum store_mode mode, const struct store_config *c, struct err *e)
{
	struct store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return db_nomem(e);
	*out = s;
	s->mode = mode;
	s->bulk = c->bulk;
	s->busy = c->busy != 0 ? c->busy : 10 * SECOND;
	s->provider_of = c->provider_of;
	s->suppress = c->suppress != NULL ? *c->suppress : suppress_rule_default;
	s->domain_cache = calloc(DOMAIN_CACHE, sizeof *s->domain_cache);
	s->actor = strdup(c->actor != NULL ? c->actor : "");
	s->home = c->home != NULL ? strdup(c->home) : NULL;
	s->home_chosen = c->home_chosen;
	buf_init(&s->forget_key, 4096);
	buf_str(&s->forget_key, c->forget_key);
	for (int i = 0; i < LENT_N; i++)
		arena_init(&s->lent[i], 4096, 256u << 20);
	idmap_init(&s->names, 8192);
	idmap_init(&s->domains, 32768);
	idmap_init(&s->attrs, 8192);
	/* A bare name goes through "./", so that SQLite sees no URI and no ":memory:" in it. */
	bool plain = c->path[0] == '/' || c->path[0] == '.';
	if (asprintf(&s->path, "%s%s", plain ? "" : "./", c->path) < 0)
		s->path = NULL;
	if (s->path == NULL || s->actor == NULL || (c->home != NULL && s->home == NULL) ||
		s->domain_cache == NULL || s->forget_key.failed)
		return db_nomem(e);
	return 0;
}

static int find_file(const char *path, struct err *e)
{
	struct stat st;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(e, ERR_NOINPUT, "database", "%s: not a file", path);
	if (access(path, R_OK) == 0)
		return 0;
	if (err_unread() != ERR_NOINPUT)
		return err_sys(e, err_unread(), "database", path);
	err_set(e, ERR_NOINPUT, "database", "%s: there is none", path);
	return err_remedy(e, "postrider init makes one");
}

int store_open(struct store **out, enum store_mode mode, const struct store_config *c, struct err *e)
{
	struct store *s = NULL;
	*out = NULL;
	assert(c->path != NULL);
	if (store_new(&s, mode, c, e) < 0 ||
		(mode == STORE_CREATE ? db_create_file(s->path, e) : find_file(s->path, e)) < 0) {
		store_close(&s);
		return -1;
	}
	if (open_db(s, c, e) < 0) {
		if (mode == STORE_CREATE)
			unlink(s->path);
		store_close(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void store_close(struct store **sp)
{
	struct store *s = *sp;
	if (s == NULL)
		return;
	*sp = NULL;
	if (s->depth > 0)
		db_rollback(s);
	prepare_free(&s->prepare); /* has statements of its own, with which nothing would be closed */
	for (size_t i = 0; i < s->stmt_cap; i++)
		sqlite3_finalize(s->stmts[i].st);
	free(s->stmts);
	sqlite3_close(s->db);
	deltas_clear(s);
	free(s->deltas.v);
	for (int i = 0; i < LENT_N; i++)
		arena_release(&s->lent[i]);
	names_forget(s);
	idmap_release(&s->names);
	idmap_release(&s->domains);
	idmap_release(&s->attrs);
	if (s->forget_key.p != NULL)
		explicit_bzero(s->forget_key.p, s->forget_key.len);
	buf_release(&s->forget_key);
	free(s->attr_names);
	free(s->last_sent);
	free(s->domain_cache);
	free(s->actor);
	free(s->home);
	free(s->path);
	free(s);
}

int64_t store_data_version(struct store *s)
{
	int64_t v;
	db_int(s, NULL, &v, "PRAGMA data_version", "");
	return v;
}

int store_meta_get(struct store *s, const char *name, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = db_query(s, e, "SELECT value FROM meta WHERE name = ?", "z", name);
	int rc = db_step(s, st, e);
	if (rc == 0)
		return err_set(e, ERR_NOINPUT, name, "never set");
	if (rc < 0)
		return -1;
	buf_str(out, col_str(st, 0));
	db_done(st);
	return out->failed ? db_nomem(e) : 0;
}

int store_meta_set(struct store *s, const char *name, struct str value, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)", "zb", name, value);
	return db_end(s, rc, e);
}
