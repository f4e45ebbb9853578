/* The book of sites that a direct route asks (engine/dns), as the configuration wants it. */
#ifndef ENGINE_ROUTE_BOOK_H
#define ENGINE_ROUTE_BOOK_H

#include "engine/dns/site.h"
#include "engine/route.h"

/* `o`: max, store, answered and ctx are the caller's; the rest is filled in. Errors as of sites_new(). */
int route_book(struct sites **b, const struct config *c, const struct route *r, struct sites_options *o,
	struct err *e);

#endif
