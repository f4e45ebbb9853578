/* Which source address carries a message of a direct route, and how many a new one may carry today.
 *
 * Sources share the mail of each provider by weight. One that is warming up has a volume for each provider
 * and day; the store counts what it carried, so that a restart opens nothing. Recipients whose provider is
 * not known are counted together. Days are those of the configured zone.
 *
 * Belongs to one thread (the ledger's); what it counts is written within its transactions. */
#ifndef ENGINE_SOURCE_H
#define ENGINE_SOURCE_H

#include "src/config/config.h"
#include "src/db/store.h"

struct source_day {  /* what one source carried to one provider */
	int64_t day; /* since 1970, local */
	int64_t n;
};
/* What it may carry on `today`; INT64_MAX: any number. days: those before today, oldest first. With a first
 * day the schedule goes by the calendar; else a step is done when half of it was used. */
int64_t source_volume(const struct config_source *s, int64_t first_day, const struct source_day *days,
	size_t n, int64_t today);
int64_t source_day_of(const struct zone *z, ms_t t);
ms_t source_day_ends(const struct zone *z, ms_t t); /* when the next day begins */

struct source_book;

int source_book_new(struct source_book **b, const struct config *c, struct store *s, struct err *e);
void source_book_free(struct source_book **b);

enum { SOURCE_NONE = -1, SOURCE_WAIT = -2 };
/* How many sources the route has; 0: the system chooses. */
size_t source_count(const struct source_book *b, size_t route);
enum { SOURCE_V4 = 1, SOURCE_V6 = 2 };
/* The source for the next mail over the route to that provider, by its place among the route's: the one that
 * is furthest behind its share and has room. NONE: the route has none; WAIT: none has room, until *until.
 * families: that the site's hosts have. now: wall clock. */
int source_pick(struct source_book *b, size_t route, struct str provider, unsigned families, ms_t now,
	ms_t *until, struct err *e);
/* How many of `most` it may carry now: its volume, and so that shares are kept. -1: the store failed. */
int source_allow(struct source_book *b, size_t route, int source, struct str provider, int most, ms_t now,
	struct err *e);
bool source_fits(const struct source_book *b, size_t route, int source, unsigned families);
/* Has it room for that provider today? */
bool source_has_room(struct source_book *b, size_t route, int source, struct str provider, ms_t now);
/* It carries `n` more. Within a transaction of the store. */
int source_used(
	struct source_book *b, size_t route, int source, struct str provider, int n, ms_t now, struct err *e);

#endif
