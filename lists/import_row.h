/* Rows of a file to rows for the store, in batches; no store is touched but for names of attributes that a
 * row brings. */
#ifndef LISTS_IMPORT_ROW_H
#define LISTS_IMPORT_ROW_H

#include "lists/import_plan.h"
#include "src/db/import.h"

#define BATCH_ROWS 10000
#define BATCH_TEXT (8 << 20) /* attributes and raw rows of a batch; a row takes at most 3 MiB of it */
#define BATCH_ROOM (4 << 20) /* left of it, or the batch is full */

struct import_batch {
	struct import_row *rows; /* BATCH_ROWS */
	struct str *raw;         /* of each */
	size_t n;
	struct import_reject *rejects;
	size_t nrejects;
	struct arena arena; /* addresses, reasons */
	struct buf text;    /* reserved once, so that it never moves */
	int64_t read;
	struct import_batch *next;
};

int import_batch_init(struct import_batch *b);
void import_batch_release(struct import_batch *b);
void import_batch_clear(struct import_batch *b);
bool import_batch_full(const struct import_batch *b);

#define EXPAND_NAMES 1000 /* different names that --expand and display names may bring */

struct row_reader {
	const struct import_plan *plan;
	const struct zone *zone;
	ms_t now;
	attr_id_fn *attr_id;
	void *ctx;
	struct {
		struct str name;
		uint32_t id;
	} names[EXPAND_NAMES];
	size_t nnames;
	struct arena name_arena;
};

void row_reader_init(struct row_reader *r, const struct import_plan *plan, const struct import_request *q,
	attr_id_fn *attr_id, void *ctx);
void row_reader_release(struct row_reader *r);
/* Adds the row to the batch, among the rows or among the rejects. -1: the import cannot go on. */
int row_reader_add(struct row_reader *r, struct import_batch *b, const struct plan_row *row, struct err *e);

#endif
