/* A delivery: one message to one person. Its number, its states, and what is told of a server's reply. */
#ifndef DB_DELIVERY_H
#define DB_DELIVERY_H

#include "src/base/str.h"

#include <stdint.h>

/* A delivery's id: campaign << 32 | its number in the campaign (from 1, by ascending contact id). */
#define DELIVERY_ID(campaign, n) (((int64_t)(campaign) << 32) | (int64_t)(n))
#define DELIVERY_CAMPAIGN(id)    ((int64_t)(id) >> 32)
#define DELIVERY_NUMBER(id)      ((int64_t)(id)&0xffffffff)

/* clang-format off */
#define DELIVERY_STATES(ROW) \
	ROW(QUEUED, "queued") \
	ROW(SENDING, "sending") \
	ROW(DEFERRED, "deferred") \
	ROW(SENT, "sent") \
	ROW(BOUNCED, "bounced") \
	ROW(BLOCKED, "blocked") \
	ROW(EXPIRED, "expired") \
	ROW(SKIPPED, "skipped") \
	ROW(DOUBT, "doubt") \
	ROW(CANCELLED, "cancelled")
/* clang-format on */
enum delivery_state {
#define X(id, name) DELIVERY_##id,
	DELIVERY_STATES(X)
#undef X
		DELIVERY_NSTATES
};
extern const char *const delivery_state_names[DELIVERY_NSTATES];

enum reply_class {
	CLASS_NONE,
	CLASS_HARD,
	CLASS_SOFT,
	CLASS_BLOCK,
	CLASS_MESSAGE,
	CLASS_CONFIG,
	CLASS_NCLASSES
};
extern const char *const reply_class_names[CLASS_NCLASSES]; /* "" for NONE */
enum reply_scope { SCOPE_ADDRESS, SCOPE_MESSAGE, SCOPE_SITE, SCOPE_ROUTE, SCOPE_ACCOUNT, SCOPE_NSCOPES };
extern const char *const reply_scope_names[SCOPE_NSCOPES];

enum outcome_kind {
	OUTCOME_FINAL,   /* `state` is the new state */
	OUTCOME_DEFER,   /* deferred, due at `due` */
	OUTCOME_REQUEUE, /* route or account refused: stays queued, due at `due`; only the attempt is recorded
			  */
	OUTCOME_DOUBT,   /* the end was on the wire and no reply came: doubt, due at `due` (0: final) */
	OUTCOME_RETURN,  /* never tried: as if it had not been claimed, due at `due` */
};

#endif
