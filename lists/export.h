/* The people of a list as a table: the address, every attribute that one of them has (in the dictionary's
 * order), then Postrider's own columns, `pr_…`. Importing it again changes nothing. */
#ifndef LISTS_EXPORT_H
#define LISTS_EXPORT_H

#include "src/db/filter.h"
#include "src/db/store.h"

/* Each returns 0 to go on; anything else ends the export, which returns it. The strings are lent for the
 * call. */
struct export_ops {
	int (*header)(void *ctx, const struct str *names, size_t n, struct err *e);
	int (*row)(void *ctx, const struct str *cells, size_t n, struct err *e);
};

/* Everybody on the list who meets the condition (NULL: all), suppressed or not, in the order they were added.
 * Walks twice: the first time for the columns. */
int list_export(struct store *s, int64_t list, const struct filter *where, const struct export_ops *ops,
	void *ctx, struct err *e);

/* What keeps that address from being mailed, as one word of import's; "subscribed" if nothing does. NULL: the
 * store failed. */
const char *export_status(struct store *s, struct str key, int64_t list, struct err *e);

#endif
