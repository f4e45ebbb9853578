/* The history: what people and programs changed. */
#ifndef DB_HISTORY_H
#define DB_HISTORY_H

#include "src/db/store.h"

struct history_row {
	int64_t id;
	ms_t at;
	struct str actor, what, object, note;
};
int store_history_add(
	struct store *s, ms_t now, const char *what, struct str object, struct str note, struct err *e);
int store_history(struct store *s, ms_t since, int (*row)(void *ctx, const struct history_row *h), void *ctx,
	struct err *e);

#endif
