/* What the header of a list's file says: attribute names, and which column holds the addresses. */
#ifndef LISTS_COLUMN_H
#define LISTS_COLUMN_H

#include "src/base/arena.h"

#define COLUMN_NAME_MAX 200 /* bytes */

/* The attribute a column becomes. ASCII names are written as templates can say them (`First Name`,
 * `first-name` and `FIRST_NAME` are first_name); others (`氏名`) only lose the blanks around them. n == 0:
 * the column has no name, or no memory. */
struct str column_attr(struct str header, struct arena *a);
/* How surely the header names the addresses' column: 0 not at all; the higher the surer. */
int column_email_rank(struct str header);
/* One of Postrider's own (`pr_…`), which export writes and import reads back. */
bool column_is_own(struct str header);

#endif
