/* How much a route has left of its hourly and daily limits, and when a campaign over it will be done.
 *
 * Windows roll by the minute, as the ledger counts them: the minute in which a window begins counts whole, so
 * that no hour and no day passes its limit. Everything is read from the ledger: a restart changes nothing. */
#ifndef ENGINE_QUOTA_H
#define ENGINE_QUOTA_H

#include "engine/route_choice.h"
#include "src/db/store.h"

struct quota {
	int64_t room; /* messages that its windows still let out now; INT64_MAX: it has none */
	ms_t until;   /* room is 0: when there is some again; else 0 */
	/* The window that is nearest to its end: limit, how long it is, what of it is used. limit 0: none. */
	int64_t limit, used;
	ms_t span;
};
int quota_read(struct quota *q, struct store *s, const struct config_route *r, ms_t now, struct err *e);
/* The same of anything whose messages are counted under a name: receivers that share limits. */
int quota_read_named(struct quota *q, struct store *s, const char *name, const struct rate_spec *rate,
	ms_t now, struct err *e);

struct forecast_ask {
	int64_t messages;
	double rate; /* the campaign's own; 0: none */
	ms_t start;  /* not before */
};
struct forecast {
	ms_t start; /* the first message, when quiet hours and windows let it out */
	ms_t end;   /* the last first attempt; 0: not known, as nothing configured limits the pace; INT64_MAX:
		     * more than a year ahead */
	double rate; /* at which it goes, while no window is full; 0: not limited */
	/* Routes whose windows this campaign would fill, in the order of the plan. */
	size_t nfull;
	struct {
		const struct config_route *route;
		struct quota quota; /* as it stands at the start; limit, span: of the window that fills */
	} full[ROUTES_MAX];
};
/* Plays the campaign minute by minute, alone on its routes. What the servers themselves can take is not
 * known, and of a direct route neither what the receivers can. */
int forecast(struct forecast *f, const struct route_plan *p, struct store *s, const struct forecast_ask *ask,
	struct err *e);

#endif
