/* Which routes carry a campaign's mail, and which of them that of one recipient. Pure functions of the
 * configuration; nothing is owned, nothing is remembered.
 *
 * The sender's domain decides first: routes whose `for` names it, else those whose `for` names no sender.
 * Of these, for each recipient, the ones that name the recipient's provider go before those that name none.
 * What is left shares the mail by `weight`; a route of weight 0 only has it while no other can take it.
 *
 * A plan is fixed when a campaign is launched; the store keeps it as the routes' names. */
#ifndef ENGINE_ROUTE_CHOICE_H
#define ENGINE_ROUTE_CHOICE_H

#include "src/base/arena.h"
#include "src/config/config.h"

enum { ROUTES_MAX = 64 }; /* for one campaign */

struct route_plan {
	const struct config *config;
	size_t n;
	size_t route[ROUTES_MAX]; /* indices into config.routes, ascending */
	/* One of them is direct, or they differ by provider: the mail goes out by destination. Else all of
	 * them take all of it, in id order. */
	bool by_destination;
	/* A weight was written: shares are kept, so that the slowest sets the pace. Else each takes as much
	 * as it can. */
	bool weighted;
};

/* For mail from that domain (n == 0: it differs from recipient to recipient). ERR_CONFIG: none serves it, or
 * none the recipients that no route names. */
int route_plan_for(struct route_plan *p, const struct config *c, struct str from_domain, struct err *e);
/* Of names separated by commas: what route_plan_names() wrote, or --route. One alone takes all mail, whatever
 * its `for`. ERR_NOINPUT: there is none of that name; ERR_CONFIG: some are gone, and those that are left do
 * not serve all. */
int route_plan_named(struct route_plan *p, const struct config *c, struct str names, struct err *e);
/* The first of the names that is not configured; n == 0: all are. */
struct str route_plan_missing(const struct config *c, struct str names);
/* "main,backup" */
struct str route_plan_names(const struct route_plan *p, struct arena *a);
bool route_plan_has(const struct route_plan *p, size_t route);
/* Do those that are not out (in the order of the plan) still serve all recipients? */
bool route_plan_covers(const struct route_plan *p, const bool *out);

struct route_pick {
	size_t route;
	double weight; /* > 0 */
};
/* The candidates for a recipient of `provider` (n == 0: not known). usable[i] is false for a route that
 * cannot take mail now; NULL: all can. Returns how many, 0: none can now. */
size_t route_choice(const struct route_plan *p, struct str provider, const bool *usable,
	struct route_pick out[ROUTES_MAX]);
/* One of them by weight, for each seed the same. n > 0. */
size_t route_deal(const struct route_pick *picks, size_t n, uint64_t seed);

#endif
