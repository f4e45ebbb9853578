/* What a file is before it is read as CSV: by its first bytes, and by which delimiter. */
#ifndef LISTS_CSV_SNIFF_H
#define LISTS_CSV_SNIFF_H

#include "src/base/err.h"
#include "src/base/str.h"

/* ERR_DATA with what it is and how to save it as CSV, if it is a spreadsheet, PDF, HTML, archive … */
int csv_sniff_format(struct str head, const char *name, struct err *e);
/* The delimiter by which the first rows agree best; ',' when there is only one column. `cut`: the last row
 * may be incomplete. */
char csv_sniff_delimiter(struct str text, bool cut);
/* Length of a `sep=;` line with its line end (0: none); sets *delimiter. */
size_t csv_sniff_sep(struct str text, char *delimiter);

#endif
