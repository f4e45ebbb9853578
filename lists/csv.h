/* Lists' files as rows: gzip, charset and delimiter found out, one pass, flat in memory (RFC 4180 and what
 * people call CSV).
 *
 * Blank rows are left out. A row that cannot be used (too long, too many columns, NUL, bytes that are no
 * text) comes with `bad` set, so that the caller rejects it and goes on. Errors that end the reading:
 * ERR_NOINPUT no such file, ERR_DATA not a CSV file (a spreadsheet, PDF, HTML …), a quote that is never
 * closed, damaged gzip; ERR_IO; ERR_AGAIN stopped. */
#ifndef LISTS_CSV_H
#define LISTS_CSV_H

#include "src/base/err.h"
#include "src/base/str.h"

#include <stdatomic.h>
#include <stdint.h>

#define CSV_ROW_MAX    (1 << 20) /* bytes */
#define CSV_FIELDS_MAX 2000

struct csv_options {
	const char *encoding;    /* NULL: guess */
	char delimiter;          /* 0: guess */
	const atomic_bool *stop; /* may be NULL */
};

struct csv_row {
	long line;         /* where it begins in the file, from 1 */
	struct str raw;    /* as it stands there, in UTF-8, without its line end; the first 1,000 bytes of one
			      that is too long */
	struct str *field; /* UTF-8, blanks around unquoted ones taken off */
	size_t nfields;
	const char *bad; /* NULL, or why it cannot be used */
};

struct csv_reader;

int csv_reader_open(struct csv_reader **r, const char *path, const struct csv_options *o, struct err *e);
int csv_reader_open_memory(
	struct csv_reader **r, struct str bytes, const struct csv_options *o, struct err *e); /* lent */
/* 1: a row, lent until the next call; 0: the end; -1. */
int csv_reader_next(struct csv_reader *r, struct csv_row *row, struct err *e);
/* The charset; until the first byte outside ASCII was read, "UTF-8" as far as anybody can tell. */
const char *csv_reader_encoding(const struct csv_reader *r);
bool csv_reader_has_bom(const struct csv_reader *r);
/* Undoes what an export for Excel did to cells that a spreadsheet would take for formulas: an apostrophe in
 * front. */
void csv_undo_excel(struct str *field, size_t n);
char csv_reader_delimiter(const struct csv_reader *r);
/* Bytes read of the file and its size (0: unknown). From any thread. */
void csv_reader_progress(const struct csv_reader *r, int64_t *read, int64_t *size);
void csv_reader_close(struct csv_reader **r); /* NULL is fine */

#endif
