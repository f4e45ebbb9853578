/* Imports: many rows that are seen all at once, or not at all. One at a time for a database. */
#ifndef DB_IMPORT_H
#define DB_IMPORT_H

#include "src/db/store.h"

struct import;

enum on_duplicate { DUPLICATE_UPDATE, DUPLICATE_SKIP, DUPLICATE_FAIL };

struct import_options {
	struct str list; /* name; created if need be, visible only with the import */
	struct str file; /* for the history */
	enum on_duplicate on_duplicate;
	bool sync;         /* who is not in the file leaves the list */
	struct str source; /* for rows without one of their own */
	ms_t consent_at;
	ms_t now;
};

enum import_status { IMPORT_SUBSCRIBED, IMPORT_UNSUBSCRIBED, IMPORT_BOUNCED, IMPORT_COMPLAINED };

enum import_result {
	IMPORT_PENDING,
	IMPORT_ADDED,
	IMPORT_UPDATED,
	IMPORT_UNCHANGED,
	IMPORT_DUPLICATE, /* the address came earlier in this file; on_duplicate decided */
	IMPORT_FORGOTTEN, /* refused: the person asked to be forgotten */
	IMPORT_NRESULTS,
};

struct import_row {
	long line;
	struct str address, key, domain; /* domain: part of key behind the @ */
	struct str attrs;                /* packed; empty values clear */
	struct str source;               /* n == 0: the import's */
	ms_t consent_at;                 /* 0: the import's */
	ms_t joined, added;              /* of an export that comes back; 0: now */
	enum import_status status;
	/* filled by store_import_rows: */
	enum import_result result;
	bool suppressed; /* present, but will not be mailed */
};

/* ERR_AGAIN: another import runs. Sweeps what an interrupted one left. *created: the list is new. */
int store_import_begin(
	struct store *s, const struct import_options *o, struct import **im, bool *created, struct err *e);
/* Id of an attribute's name, > 0; -1. A new one is seen by others only with the import. */
int64_t store_import_attr(struct store *s, struct import *im, struct str name, struct err *e);
/* One batch (any size; some 10,000 rows are best: the driver sorts them for the index). In slices. Nothing is
 * visible yet. */
int store_import_rows(struct store *s, struct import *im, struct import_row *rows, size_t n, struct err *e);
/* --sync: how many would leave the list, and of how many. */
int store_import_leavers(struct store *s, struct import *im, int64_t *leaving, int64_t *of, struct err *e);
/* Makes all of it visible in one small commit, then finishes in slices what waits behind it (changes to
 * people who were there before; an interruption there is finished by the next one who opens for writing). */
int store_import_commit(struct store *s, struct import **im, struct err *e);
/* Leaves no trace. NULL is fine; *im becomes NULL. */
int store_import_abort(struct store *s, struct import **im, struct err *e);
/* Finishes or sweeps what a dead import left; called on opening for writing by whoever delivers or imports.
 */
int store_import_recover(struct store *s, struct err *e);

#endif
