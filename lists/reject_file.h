/* The file of refused rows: CSV in UTF-8 with the list's own delimiter, `pr_line`, `pr_reason`, then the row
 * as it stood. So it can be put right and imported again as it is: import makes no attributes of pr_ columns.
 */
#ifndef LISTS_REJECT_FILE_H
#define LISTS_REJECT_FILE_H

#include "lists/import.h"
#include "src/base/outfile.h"

struct reject_file {
	struct output out; /* f NULL: none was asked for */
	char delimiter;
};

/* Nothing is at `path` before reject_file_close(), which renames. ERR_CREATE. */
int reject_file_open(
	struct reject_file *r, const char *path, char delimiter, bool bom, struct str header, struct err *e);
void reject_file_add(struct reject_file *r, const struct import_reject *row);
/* keep false: leaves no trace. ERR_IO: it could not be written. */
int reject_file_close(struct reject_file *r, bool keep, struct err *e);

#endif
