/* `import`: a file into a list, all of it or nothing.
 *
 * Two threads: one reads, decodes and checks rows, the caller's writes them to the store; a few batches lie
 * between them, so memory does not depend on the file. Columns become attributes by lists/column.h; a column
 * that is absent keeps what contacts have, an empty cell clears it, a row that ends early keeps the rest. */
#ifndef LISTS_IMPORT_H
#define LISTS_IMPORT_H

#include "lists/csv.h"
#include "src/base/arena.h"
#include "src/db/import.h"

struct import_progress {
	int64_t bytes, size; /* of the file; size 0: unknown */
	int64_t read, rejected;
};

struct import_request {
	const char *list;
	const char *file;  /* "-": standard input */
	const char *email; /* column of the addresses; NULL: found out */
	const char **maps; /* "ATTR=COLUMN" */
	size_t nmaps;
	const char *columns;         /* "a,b,…": the file has no header */
	const char *status, *expand; /* columns; NULL: none */
	enum on_duplicate on_duplicate;
	const char *encoding;    /* NULL: guess */
	const char *delimiter;   /* one character, or comma, semicolon, tab, pipe; NULL: guess */
	bool dry_run;            /* reads all of it, writes only the rejects */
	const char *rejects;     /* file for what was refused; NULL: none */
	const char *max_rejects; /* "N" or "N%"; NULL: 1% */
	const char *source;      /* text, or "column:NAME" */
	const char *consent_at;  /* TIME, or "column:NAME" */
	bool sync;
	const struct zone *zone;
	ms_t now;
	const atomic_bool *stop; /* set: nothing is imported, ERR_AGAIN. May be NULL */
	void (*progress)(void *ctx, const struct import_progress *p); /* NULL: none */
	/* --sync would take more than a tenth off the list: 0 go on, -1 with `e`. NULL: go on. */
	int (*confirm)(void *ctx, int64_t leaving, int64_t of, struct err *e);
	void *ctx;
};

enum column_role {
	COLUMN_IGNORED,
	COLUMN_EMAIL,
	COLUMN_ATTR,
	COLUMN_STATUS,
	COLUMN_SOURCE,
	COLUMN_CONSENT,
	COLUMN_EXPAND
};

struct import_column {
	struct str header; /* as in the file */
	struct str attr;   /* COLUMN_ATTR: what it becomes */
	enum column_role role;
	uint32_t id; /* of the attribute; 0 in a dry run where there is none yet */
};

struct import_reject {
	long line;
	struct str reason, raw;
};

#define IMPORT_SAMPLE  3
#define IMPORT_REJECTS 5 /* kept to be shown */

struct import_report { /* filled as far as it came, also on failure; strings live in the arena */
	struct arena arena;
	bool list_created;
	const char *encoding; /* "" until known */
	char delimiter;
	struct import_column *columns;
	size_t ncolumns;
	struct str *sample[IMPORT_SAMPLE]; /* the first rows, ncolumns cells each */
	size_t nsample;
	int64_t read, added, updated, unchanged, rejected, duplicates, suppressed;
	struct import_reject rejects[IMPORT_REJECTS];
	size_t nrejects;
	int64_t forgotten;  /* of those rejected: people who asked for it, no sign of a wrong file */
	int64_t left;       /* by --sync */
	bool would_refuse;  /* dry run: too many were refused for an import */
	struct str left_at; /* the column that says of some of them when they left */
	struct str
		unread_status; /* the column that looks as if it said who unsubscribed, and is not read so */
	double seconds;
};

/* ERR_DATA: the file, or too many rows refused; nothing was imported then. release() in every case. */
int list_import(struct store *s, const struct import_request *q, struct import_report *out, struct err *e);
void import_report_release(struct import_report *r);

#endif
