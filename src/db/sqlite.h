/* The SQLite driver's own insides, shared by src/db/sqlite_*.c and nobody else.
 *
 * Statements are prepared once for a connection and found again by the address of their text, so SQL is
 * always a literal here. Bound strings are lent to the statement until it is reset. Values read from a row
 * are lent until the next step. A walk copies a page of rows and resets its statement before it calls
 * anybody, so that no read snapshot outlives a page and a callback may use the store. */
#ifndef DB_SQLITE_H
#define DB_SQLITE_H

#include "src/base/arena.h"
#include "src/base/hash.h"
#include "src/db/delivery.h"
#include "src/db/filter.h"
#include "src/db/lease.h"
#include "src/db/store.h"
#include "src/db/suppress.h"

#include <sqlite3.h>

#define SCHEMA_VERSION 2
#define SQLITE_OURS    0x50737472 /* application_id: "Pstr" */

/* Rows of an import are seen once its row in pending_import is gone. */
#define VISIBLE(born) " " born " IS NOT (SELECT id FROM pending_import) "

/* How a delivery's state is stored: sending never is (an intent says it), so its number stands for sent; a
 * queued row and a sent one then have the same size and are rewritten in place. */
#define ROW_QUEUED   "0"
#define ROW_SENT     "1"
#define ROW_DEFERRED "2"
#define ROW_DOUBT    "8"

static inline int state_to_row(enum delivery_state st)
{
	return st == DELIVERY_SENT ? 1 : (int)st;
}

static inline enum delivery_state state_from_row(int64_t v)
{
	return v == 1                           ? DELIVERY_SENT
	       : v >= 0 && v < DELIVERY_NSTATES ? (enum delivery_state)v
						: DELIVERY_DOUBT;
}

/* The state a delivery shows, over d (delivery) and i (its intent, joined from the left): `standing` is the
 * number that an intent shows (sending, or doubt if its holder is gone), `cancelled` whether the campaign
 * was. */
#define SHOWN_STATE(standing, cancelled)                                                                     \
	" CASE WHEN i.delivery IS NOT NULL THEN " standing " WHEN d.state IN (0, 2) AND " cancelled          \
	" THEN 9"                                                                                            \
	" WHEN d.state = 1 THEN 3 ELSE d.state END "

/* What is counted for a campaign and provider. The first ones are delivery states; two of them are split
 * further. */
enum tally_slot {
	TALLY_FRESH = DELIVERY_NSTATES, /* queued and never attempted; QUEUED holds the others */
	TALLY_RESEND,                   /* in doubt and due; DOUBT holds the others */
	TALLY_ATTEMPTS,
	TALLY_DOUBTED,
	TALLY_PARKED, /* of FRESH: those that wait as their provider is paused */
	TALLY_CHECKED,
	/* What no delivery's row tells: */
	TALLY_RETURNED = TALLY_CHECKED, /* bounced by a returned message */
	TALLY_RETURNED_BLOCK,           /* the same, refused for what we are */
	TALLY_COMPLAINTS,
};

static inline int tally_of(enum delivery_state st, int64_t attempts, bool due)
{
	if (st == DELIVERY_QUEUED && attempts == 0)
		return TALLY_FRESH;
	if (st == DELIVERY_DOUBT && due)
		return TALLY_RESEND;
	return (int)st;
}

/* Counters are summed in memory and written once for each transaction. */
enum delta_kind { DELTA_TALLY, DELTA_REASON, DELTA_TIMELINE, DELTA_USAGE };

struct delta {
	enum delta_kind kind;
	bool used;
	int64_t a, b, c, d; /* the key, by kind */
	int64_t n[3];
	char *note; /* DELTA_REASON: a reply, if one is known; owned */
};

struct deltas {
	struct delta *v;
	size_t n, cap;
};

/* Text to id, in memory, bounded: it forgets everything when it is full. */
struct idmap_entry {
	uint64_t hash;
	int64_t id, extra;
	struct str text;
};

struct idmap {
	struct idmap_entry *v;
	size_t n, cap, limit;
	struct arena text;
};

struct domain_info {
	int64_t id; /* 0: an empty place */
	int64_t provider;
	int64_t former;  /* up to this campaign deliveries are counted under a former provider; 0: none */
	int64_t touched; /* the last spread campaign that claimed of it */
	char name[256], provider_name[32];
};

#define DOMAIN_CACHE 1024
#define NAME_CACHE   256

struct name_info {
	int64_t id; /* 0: an empty place */
	char *text;
};

struct stmt_slot {
	const char *sql;
	sqlite3_stmt *st;
};

enum lent {
	LENT_LIST,
	LENT_CONTACT,
	LENT_CAMPAIGN,
	LENT_DELIVERY,
	LENT_FAILURE,
	LENT_ATTR,
	LENT_RETURNED,
	LENT_N
};

struct last_sent {
	int64_t contact;
	ms_t at;
};

struct prepare;

struct batch { /* rows in memory, as the table `batch`; lent while a statement reads them */
	size_t n;
	const void *rows;
	void (*column)(sqlite3_context *out, const void *rows, size_t i, int column); /* 0: a … */
};

struct store {
	sqlite3 *db;
	char *path, *actor, *home; /* home: this machine, NULL: not asked */
	bool home_chosen;          /* as in store_config */
	enum store_mode mode;
	bool bulk;
	ms_t busy, busy_since;
	struct buf forget_key;
	const char *(*provider_of)(struct str domain);
	struct suppress_rule suppress;
	struct stmt_slot *stmts;
	size_t nstmts, stmt_cap;
	int depth;   /* of nested transactions */
	bool spoilt; /* an inner one failed: the outer one can only roll back */
	struct arena lent[LENT_N];
	struct idmap names, domains, attrs;
	struct str *attr_names; /* by id */
	size_t nattr_names;
	struct domain_info *domain_cache;        /* by id modulo DOMAIN_CACHE */
	struct name_info name_cache[NAME_CACHE]; /* by id modulo NAME_CACHE */
	struct deltas deltas;
	struct last_sent *last_sent; /* of the audience slice at hand, by contact */
	size_t nlast_sent;
	/* the ledger's transaction */
	bool in_ledger;
	int64_t epoch;
	ms_t now;
	int64_t cancelled_asked; /* ledger_cancelled()'s last campaign in it, and its answer */
	int cancelled;
	struct prepare *prepare; /* an audience that is being fixed */
	struct batch batch;
};

/* ---- sqlite_open.c ---- */

int db_create_file(const char *path, struct err *e); /* mode 0600, must not exist */

/* ---- sqlite_run.c: statements and transactions ---- */

/* Fills `e` from the connection's last error; returns -1. */
int db_error(struct store *s, const char *what, struct err *e);
int db_nomem(struct err *e);
#ifdef __clang_analyzer__
#define db_error(...) ((void)db_error(__VA_ARGS__), -1)
#define db_nomem(...) ((void)db_nomem(__VA_ARGS__), -1)
#endif
sqlite3_stmt *db_stmt(struct store *s, const char *sql, struct err *e);
/* Types, one letter for each ?: i int64_t, s struct str as text, b struct str as blob, z const char *, d
 * double, n NULL (no argument), t int64_t where 0 is NULL, x struct str where n == 0 is NULL (text). */
sqlite3_stmt *db_query(struct store *s, struct err *e, const char *sql, const char *types, ...);
/* 1 row, 0 done, -1; resets after 0 and -1. NULL: it has failed before, -1. */
int db_step(struct store *s, sqlite3_stmt *st, struct err *e);
int db_run(struct store *s, struct err *e, const char *sql, const char *types, ...);
/* The first column of one row, or the first n: 1, 0 none (and all are 0), -1. */
int db_int(struct store *s, struct err *e, int64_t *out, const char *sql, const char *types, ...);
int db_ints(struct store *s, struct err *e, int64_t *out, int n, const char *sql, const char *types, ...);
int db_script(struct store *s, const char *sql, struct err *e);
void db_bind(sqlite3_stmt *st, const char *types, ...);

static inline void db_done(sqlite3_stmt *st)
{
	sqlite3_reset(st);
}

static inline int64_t col_int(sqlite3_stmt *st, int i)
{
	return sqlite3_column_int64(st, i);
}

static inline bool col_null(sqlite3_stmt *st, int i)
{
	return sqlite3_column_type(st, i) == SQLITE_NULL;
}

static inline struct str col_str(sqlite3_stmt *st, int i)
{
	const void *p = sqlite3_column_blob(st, i);
	int n = sqlite3_column_bytes(st, i);
	return (struct str){p != NULL ? p : "", p != NULL && n > 0 ? (size_t)n : 0};
}

/* Transactions nest; only the outermost one is real. db_end: commits if rc >= 0, else rolls back; returns rc
 * or -1. */
int db_begin(struct store *s, struct err *e);
int db_end(struct store *s, int rc, struct err *e);
void db_rollback(struct store *s);
/* Between slices: lets the deliverer in, if one lives. Never within a transaction. */
void db_pause(struct store *s);
bool db_slice_over(ms_t began); /* has this slice lasted as long as one may? */
typedef int db_slice(struct store *s, void *ctx, struct err *e); /* 1: there is more, 0, -1 */
/* Runs it, a transaction each, until nothing is left (0) or it fails (-1). */
int db_slices(struct store *s, db_slice *slice, void *ctx, struct err *e);

/* ---- sqlite_rows.c: few rows, copied before anybody is called with them ---- */

struct rows {
	struct arena a; /* their strings */
	void *v;
	size_t n, cap, size, next;
};
typedef void row_reader(sqlite3_stmt *st, struct arena *a, void *one); /* all zero before */
/* All that the statement yields; NULL: it has failed before. rows_next() to its end, or rows_release(), in
 * any case. */
int rows_read(
	struct store *s, struct rows *r, size_t size, sqlite3_stmt *st, row_reader *read, struct err *e);
int rows_append(struct store *s, struct rows *r, sqlite3_stmt *st, row_reader *read, struct err *e);
/* The next of them, from the first on, while rc is 0; NULL: none, and they are released. */
void *rows_next(struct rows *r, int rc);
/* One row, lent till the next call for `which`: 1, 0 none, -1. */
int row_lend(struct store *s, enum lent which, sqlite3_stmt *st, row_reader *read, void *one, struct err *e);
void rows_init(struct rows *r, size_t size);
void *rows_add(struct rows *r, struct err *e); /* NULL: out of memory. Moves those before */
void rows_release(struct rows *r);

/* ---- sqlite_batch.c ---- */

int batch_table(struct store *s);
static inline void result_str(sqlite3_context *out, struct str v) /* lent, as the batch is; n == 0: NULL */
{
	if (v.n != 0)
		sqlite3_result_text64(out, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* ---- sqlite_names.c: what is kept once and pointed to ---- */

void idmap_init(struct idmap *m, size_t limit);
void idmap_release(struct idmap *m);
void idmap_clear(struct idmap *m);
const struct idmap_entry *idmap_get(const struct idmap *m, struct str text);
void idmap_put(struct idmap *m, struct str text, int64_t id, int64_t extra);
int name_id(struct store *s, struct str text, int64_t *id, struct err *e);  /* "" is 0 */
int name_text(struct store *s, int64_t id, struct str *out, struct err *e); /* lent till the next call */
void names_forget(struct store *s);
/* Id of an attribute's name that only imports know so far, 0: none, -1. It lies under another name, which
 * nobody can give, so that its number stays taken whatever becomes of the import. */
int64_t attr_hidden(struct store *s, struct str name, bool create, struct err *e);
int attr_show(struct store *s, int64_t id, struct err *e);
/* *id 0 for an unknown one when `create` is false. */
int domain_id(struct store *s, struct str domain, bool create, int64_t *id, struct err *e);
const struct domain_info *domain_info(
	struct store *s, int64_t id, struct err *e); /* NULL: failed. Lent till the next call */
void domain_forget(struct store *s, int64_t id);     /* its row has changed: read it again */
/* The provider under which the domain's deliveries of that campaign are counted. */
int tally_provider(
	struct store *s, const struct domain_info *d, int64_t campaign, int64_t *provider, struct err *e);

/* ---- sqlite_tally.c ---- */

int delta_add(struct store *s, enum delta_kind kind, int64_t a, int64_t b, int64_t c, int64_t d, int slot,
	int64_t n, struct str note, struct err *e);
int deltas_flush(struct store *s, struct err *e);
void deltas_clear(struct store *s);
int tally_move(struct store *s, int64_t campaign, int64_t provider, int from, int to,
	struct err *e); /* -1: nowhere */

/* ---- sqlite_waiting.c: spread campaigns; each does nothing for another campaign ---- */

/* A delivery waits (again) from `due` on, 0: it was never attempted. */
int waiting_put(struct store *s, int64_t delivery, int64_t domain, ms_t due, struct err *e);
/* It waits no more. `due` as it was put. */
int waiting_drop(struct store *s, int64_t delivery, int64_t domain, ms_t due, struct err *e);
/* A slice of those who shall not wait for their time any longer. 1 while there are more, 0, -1. */
int waiting_hurry(struct store *s, int64_t campaign, ms_t at, struct err *e);
/* The canary is chosen: only the rows of the table canary are seen until waiting_canary_over. */
int waiting_canary(struct store *s, int64_t campaign, struct err *e);
int waiting_canary_over(struct store *s, int64_t campaign, struct err *e);

/* ---- sqlite_brake.c ---- */

#define PARKED "1152921504606846976" /* the due time of what waits for the end of a pause */
enum { PAUSED_MAX = 64 };
struct paused { /* providers whose mail waits, of one campaign */
	int64_t v[PAUSED_MAX];
	size_t n;
};
int paused_providers(struct store *s, int64_t campaign, struct paused *p, struct err *e);
static inline bool is_paused(const struct paused *p, int64_t provider)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i] == provider)
			return true;
	return false;
}
int park(struct store *s, int64_t delivery, int64_t provider, int slot, struct err *e);
int unpark_slice(
	struct store *s, int64_t campaign, ms_t at, struct err *e); /* 1 while there is more, 0, -1 */
int lift_pauses(struct store *s, int64_t campaign, bool all, struct err *e); /* not all: a person's own */

/* ---- sqlite_hold.c ---- */

#define HELD_FOR        DAY
#define HELD_REMEMBERED (30 * DAY)      /* after a hold ran out, so that a second refusal is known as such */
ms_t store_time(const struct store *s); /* of the ledger's transaction, or the clock's */
/* Until when a refusal for good of that address is held; 0: it is not. */
int hold_until(struct store *s, struct str key, ms_t at, ms_t *until, struct err *e);
int holds_trim(struct store *s, ms_t now, struct err *e);

/* ---- sqlite_lists.c ---- */

int list_clear(struct store *s, int64_t list, struct err *e); /* takes all visible members off, in slices */

/* ---- sqlite_contacts.c ---- */

struct found {
	int64_t id, born, pending;
	bool removed;
	struct str attrs; /* lent till the statement is used again */
	sqlite3_stmt *st;
};
/* 1 found, rows of a pending import too (born == pending, pending != 0); 0 not; -1. found_done() after 1. */
int contact_find(struct store *s, struct str key, struct found *out, struct err *e);
void found_done(struct found *f);
int contact_insert(struct store *s, struct str address, struct str key, struct str attrs, int64_t *id,
	ms_t now, struct err *e);
uint64_t domain_hash(struct str domain); /* of "@domain" */
/* Off one list, or (0) off all. The count of a list holds visible members only. */
int contact_leave(struct store *s, int64_t contact, int64_t list, struct err *e);
/* Marks the person as gone if they are on no list. */
int contact_settle(struct store *s, int64_t contact, struct err *e);

/* ---- sqlite_suppress.c ---- */

enum unmailable { MAILABLE, UNMAILABLE_SUPPRESSED, UNMAILABLE_UNSUBSCRIBED };
/* By the address, and by its domain. Returns enum unmailable, -1 failed. */
int suppressed_key(struct store *s, uint64_t hash, struct str key, int64_t list, struct err *e);
int suppressed_domain(struct store *s, struct str domain, int64_t list, struct err *e);
int suppression_rank(enum suppress_reason r);
/* What cannot be in a set of hashes (Bloom's filter). bits NULL: anything may be. */
struct sieve {
	uint64_t *bits, mask;
};
int sieve_init(struct sieve *v, int64_t n, struct err *e); /* for about n; at most 8 MiB */
static inline void sieve_add(struct sieve *v, uint64_t hash)
{
	uint64_t a = hash & v->mask, b = hash >> 32 & v->mask;
	v->bits[a / 64] |= UINT64_C(1) << a % 64;
	v->bits[b / 64] |= UINT64_C(1) << b % 64;
}
static inline bool sieve_may_hold(const struct sieve *v, uint64_t hash)
{
	uint64_t a = hash & v->mask, b = hash >> 32 & v->mask;
	return v->bits == NULL ||
	       ((v->bits[a / 64] >> a % 64 & 1) != 0 && (v->bits[b / 64] >> b % 64 & 1) != 0);
}
/* For many people in a row. What is suppressed meanwhile may go unseen: no mail depends on it. */
enum { STOPLIST_DOMAINS = 2048 };
struct stoplist {
	bool any;
	int64_t asked;
	struct sieve
		sieve; /* before the table, once it is worth its making; a page of it is read at a time */
	bool made;
	int64_t next; /* hash */
	struct stoplist_domain {
		int64_t domain, list;
		int says;
	} domains[STOPLIST_DOMAINS];
};
int stoplist_any(struct store *s, struct stoplist *l, struct err *e); /* before each slice */
int stoplist_says(struct store *s, struct stoplist *l, struct str key, int64_t domain, int64_t list,
	struct err *e); /* enum unmailable, -1 */
void stoplist_release(struct stoplist *l);
/* -1, 0 kept what is there, 1 written. born 0, or the import's. */
int suppression_put(struct store *s, const struct suppression *sup, int64_t born, struct err *e);

/* ---- sqlite_sweep.c: what an import leaves to be done ---- */

enum { IMPORT_READING, IMPORT_FINISHING, IMPORT_DONE, IMPORT_TAKEN_BACK };

int import_apply(struct store *s, int64_t id, int64_t list, ms_t at, struct err *e);
int import_sweep(struct store *s, int64_t id, int64_t list, int64_t first, struct err *e);

/* ---- sqlite_audience.c ---- */

uint64_t sample_hash(uint64_t seed, int64_t contact);

void prepare_free(struct prepare **p);

/* ---- sqlite_filter.c ---- */

int filter_functions(struct store *s);
/* Appends a boolean expression over c (contact), m (membership: source) to `sql`; its ? follow the first
 * `*nbind`. */
int filter_sql(const struct filter *f, struct buf *sql, int *nbind, struct err *e);
int filter_bind(struct store *s, sqlite3_stmt *st, const struct filter *f, int *nbind, struct err *e);
bool filter_uses(const struct filter *f, enum filter_field_kind field);

/* ---- sqlite_report.c ---- */

/* The first number of the campaign whose contact is >= `contact` (rows + 1: none). */
int delivery_bisect(
	struct store *s, int64_t campaign, int64_t rows, int64_t contact, int64_t *n, struct err *e);

/* ---- sqlite_lease.c ---- */

#define HOLDER_COLUMNS "host, boot, pid, pid_start, heartbeat"
void holder_read(sqlite3_stmt *st, int column, struct holder *h); /* from that column on */

/* ---- sqlite_home.c ---- */

/* Before anything is written. ERR_PAUSED: it is a copy. */
int home_check(struct store *s, const struct store_config *c, struct err *e);
/* Where it is at home is recorded if nothing is known, or if it was moved on this machine. */
int home_settle(struct store *s, const struct store_config *c, struct err *e);

/* ---- sqlite_history.c ---- */

int history_note(struct store *s, ms_t now, const char *what, struct str object, struct err *e,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#endif
