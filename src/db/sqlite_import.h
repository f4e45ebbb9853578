/* An import that runs: shared by sqlite_import.c (its life), sqlite_import_index.c (who was in the file, and
 * the index of addresses) and sqlite_import_rows.c (its rows). */
#ifndef DB_SQLITE_IMPORT_H
#define DB_SQLITE_IMPORT_H

#include "src/db/import.h"
#include "src/db/sqlite.h"

struct hashed {
	int64_t hash; /* as SQLite stores and orders it */
	int64_t n;
};

/* Addresses that are not yet in the index. Each time it is written, nearly all of its pages are, so it is
 * large; a power of two. */
enum { RECENT_CAP = 1 << 21, RECENT_MAX = RECENT_CAP / 10 * 9 };

struct added { /* a person whose rows are not yet written */
	int64_t id, domain, source;
	struct str address, key, attrs; /* key n == 0: the address */
	ms_t added, joined, consent_at;
};
enum { ADDED_MAX = 512 };

struct import {
	int64_t id, list, first, last; /* contacts: the first possible new one, the newest seen */
	int64_t members;               /* who joined since the import's row was written */
	enum on_duplicate on_duplicate;
	bool sync, failed;
	bool strangers; /* others added contacts meanwhile */
	bool forgotten; /* is anybody? */
	ms_t now;
	char *file;
	int64_t *attrs; /* names that nobody else sees yet */
	size_t nattrs, attr_cap;
	unsigned char *seen; /* a bit for each contact that was in the file */
	size_t seen_bytes;
	struct hashed *recent; /* by hash; n is the contact, 0: empty */
	size_t nrecent;
	bool alone;                    /* all that is in the index came from here */
	struct sieve index;            /* if so */
	struct added added[ADDED_MAX]; /* the newest contacts, with ids up to `last` */
	size_t nadded;
	struct arena added_text;
	struct buf merged, staged;
	struct stoplist stop;
};

/* ---- sqlite_import_index.c ---- */

bool import_seen(const struct import *im, int64_t contact);
int import_mark_seen(struct import *im, int64_t contact, struct err *e);
/* The contact among those that are not in the index; *id 0: none. */
int import_recent(
	struct store *s, const struct import *im, int64_t hash, struct str key, int64_t *id, struct err *e);
void import_remember(struct import *im, int64_t hash, int64_t contact);
/* Writes the addresses that wait to the index. */
int import_index(struct store *s, struct import *im, struct err *e);
void hashed_sort(struct hashed *v, size_t n); /* by hash, then n */

/* A transaction of the import: fails with ERR_AGAIN if others have swept it. */
int import_slice_begin(struct store *s, struct import *im, struct err *e);
int import_slice_end(struct store *s, int rc, struct err *e);

#endif
