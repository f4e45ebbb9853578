/* Recipients of a benchmark: a file of lines with tab-separated columns, the first line their names. What
 * fails ends the program. */
#ifndef BENCH_RECIPIENTS_H
#define BENCH_RECIPIENTS_H

#include "src/base/buf.h"

struct book {
	struct str title, author, price, link;
};

struct recipient {
	struct str *column;
	struct book *books; /* column `items` taken apart: rows end in ";", fields in "|" */
	size_t nbooks;
};

struct recipients {
	struct str *names;
	size_t ncolumns;
	struct recipient *all;
	size_t n;
};

void recipients_read(struct recipients *r, const char *path);
struct str recipient_column(
	const struct recipients *r, size_t i, const char *name); /* .p == NULL: no such column */
struct str file_whole(const char *path);

#endif
