/* Lists, and the names of attributes, which they share. */
#ifndef DB_LISTS_H
#define DB_LISTS_H

#include "src/db/store.h"

struct nearest;

/* Id of a name, > 0; creates it when `create` (else 0 for an unknown one, not an error). -1: failed. */
int64_t store_attr_id(struct store *s, struct str name, bool create, struct err *e);
struct str store_attr_name(
	struct store *s, uint32_t id); /* n == 0: unknown. Lent until the store is closed */
int store_attrs(
	struct store *s, int (*row)(void *ctx, uint32_t id, struct str name), void *ctx, struct err *e);
/* Offers all their names to `near` (src/base/nearest.h). -1: failed. */
int store_attrs_offer(struct store *s, struct nearest *near, struct err *e);

struct list_row {
	int64_t id;
	struct str name, title, list_id; /* list_id: ASCII, for List-Id */
	int64_t members;                 /* on the list now */
	int64_t mailable;                /* members that are not suppressed for it; -1: not asked for */
	ms_t created;
};

int store_list_get(struct store *s, struct str name, struct list_row *out,
	struct err *e); /* strings lent till the next call */
int store_list_by_id(struct store *s, int64_t id, struct list_row *out, struct err *e);
int store_list_rename(struct store *s, int64_t id, struct str name, struct err *e);
/* NULL leaves a value as it is. */
int store_list_set(
	struct store *s, int64_t id, const struct str *title, const struct str *list_id, struct err *e);
/* Members lose the list; suppressions of its scope stay, so that a list made again under that name keeps
 * them. In slices. */
int store_list_delete(struct store *s, int64_t id, struct err *e);
int store_lists(struct store *s, bool count_mailable, int (*row)(void *ctx, const struct list_row *l),
	void *ctx, struct err *e);

#endif
