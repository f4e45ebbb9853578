/* What an import will do with each column, decided from the header, the options and the first rows. */
#ifndef LISTS_IMPORT_PLAN_H
#define LISTS_IMPORT_PLAN_H

#include "lists/import.h"

#define PLAN_PREVIEW 100 /* rows looked at */

struct plan_row {
	long line;
	struct str raw;
	struct str *field;
	size_t nfields;
	const char *bad;
};

struct import_plan {
	struct arena *arena;
	struct csv_reader *reader;
	struct import_column *columns;
	size_t ncolumns;
	size_t email, status, source, consent, joined, added,
		expand;       /* index of the column; SIZE_MAX: none */
	size_t left_at;       /* one that says when somebody left, and does so; SIZE_MAX: none */
	size_t unread_status; /* one that looks like it, and is an attribute as any other; SIZE_MAX: none */
	bool own_status;      /* the status column is an export's pr_status */
	size_t *attrs;        /* indexes of attribute columns, by ascending attribute id */
	size_t nattrs;
	bool excel; /* our own export for Excel: cells that look like formulas have an apostrophe in front */
	bool has_name; /* some column is the attribute `name` */
	struct plan_row *preview;
	size_t npreview;
	struct str header_raw;
};

/* Reads the header and the first rows. ERR_DATA: no header, no column of addresses …; ERR_USAGE: an option
 * names what is not there. */
int import_plan(struct import_plan *p, struct csv_reader *r, const struct import_request *q, struct arena *a,
	struct err *e);
/* Finds, or makes, the id of an attribute's name. 0 in a dry run; -1 with `e`. */
typedef int64_t attr_id_fn(void *ctx, struct str name, struct err *e);
/* Gives the attribute columns their ids. */
int import_plan_ids(struct import_plan *p, attr_id_fn *attr_id, void *ctx, struct err *e);

#endif
