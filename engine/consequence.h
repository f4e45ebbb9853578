/* What follows from the result of an attempt: the row that the ledger keeps, and what the route and campaign
 * do. Pure: the rules say what a reply means (outcome.h), this says what becomes of the delivery. */
#ifndef ENGINE_CONSEQUENCE_H
#define ENGINE_CONSEQUENCE_H

#include "engine/outcome.h"
#include "engine/smtp/client.h"
#include "src/config/config.h"
#include "src/db/ledger.h"

struct attempt_facts {
	const struct claim *claim;
	const struct smtp_result *result; /* tried is true */
	ms_t paused;                      /* how long its campaign was paused */
	ms_t now;
	bool direct; /* the recipient's own host answered, not a relay */
};

/* Fills `row` but for route and site; its strings are lent from the result and the rules. `v` is the verdict
 * (zeroed where the message was accepted or is in doubt). */
void consequence_decide(const struct config *c, const struct rules *r, const struct attempt_facts *f,
	struct outcome_row *row, struct verdict *v);
/* The same where no host of the receiver could be asked: at stage `dns` or while connecting. */
struct unsited_facts {
	const struct claim *claim;
	enum smtp_stage stage;
	int code;
	struct str enhanced, text;
	const char *reason; /* what the book of sites calls it, unless a rule of the user's says otherwise;
			     * NULL: the rules' */
	ms_t paused, now;
};
void consequence_unsited(const struct config *c, const struct rules *r, const struct unsited_facts *f,
	struct outcome_row *row, struct verdict *v);
/* The id under which the next server queued the message, from its 250 reply; n == 0: it gave none that we can
 * read. */
struct str consequence_relay_id(struct str reply);

#endif
