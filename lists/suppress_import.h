/* Addresses that must not be mailed, from a file: one column of addresses or @domains, with or without a
 * header; where there are the columns of our own export (scope, reason, evidence, created, held_until), these
 * count too; of other services' exports those that say when somebody left (UNSUB_TIME and its like). */
#ifndef LISTS_SUPPRESS_IMPORT_H
#define LISTS_SUPPRESS_IMPORT_H

#include "lists/csv.h"
#include "src/base/arena.h"
#include "src/db/suppress.h"

struct suppress_request {
	const char *file;   /* "-": standard input */
	const char *column; /* NULL: found out */
	const char *encoding;
	enum suppress_reason reason; /* where the file names none; SUPPRESS_IMPORT: what its columns tell */
	int64_t list;                /* scope where the file names none; 0: all mail */
	const char *rejects; /* a file for the rows that cannot be used (lists/reject_file.h); NULL: none */
	const char *note;    /* evidence where the file has none; NULL: the file's name */
	const struct zone *zone;
	ms_t now;
	const atomic_bool *stop;
};

struct suppress_report {
	int64_t read, added, present, rejected; /* present: as strong a one was there */
	long first_line;                        /* of the first rejected row */
	char first_reason[160];
};

/* Rows that cannot be used are counted and left out; what was taken stays taken, also after an error. */
int suppress_import(
	struct store *s, const struct suppress_request *q, struct suppress_report *out, struct err *e);
/* An address or @domain as the store keeps it. ERR_DATA in words. */
int suppress_key(struct str text, struct arena *a, struct str *key, struct err *e);

#endif
