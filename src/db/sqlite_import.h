/* An import that runs: shared by sqlite_import.c (its life) and sqlite_import_rows.c (its rows). */
#ifndef DB_SQLITE_IMPORT_H
#define DB_SQLITE_IMPORT_H

#include "src/db/sqlite.h"

enum { RECENT_CAP = 1 << 19, RECENT_MAX = RECENT_CAP / 4 * 3 };

struct recent { /* an address that is not yet in the index */
	uint64_t hash;
	int64_t contact; /* 0: empty */
};

struct import {
	int64_t id, list, first, last; /* contacts: the first possible new one, the newest seen */
	int64_t members;
	enum on_duplicate on_duplicate;
	bool sync, failed;
	bool strangers;               /* others added contacts meanwhile */
	bool forgotten, suppressions; /* is there any? */
	ms_t now;
	char *file;
	unsigned char *seen; /* a bit for each contact that was in the file */
	size_t seen_bytes;
	struct recent *recent;
	size_t nrecent;
	struct buf merged, staged;
	int64_t domain_checked[256];
	signed char domain_bad[256];
};

bool import_seen(const struct import *im, int64_t contact);
/* A transaction of the import: fails with ERR_AGAIN if others have swept it. */
int import_slice_begin(struct store *s, struct import *im, struct err *e);
int import_slice_end(struct store *s, int rc, struct err *e);
int import_index(
	struct store *s, struct import *im, struct err *e); /* writes the addresses that wait to the index */

#endif
