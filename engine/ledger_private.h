/* What the files of the ledger share: its campaigns (ledger_runs.c), its transactions (ledger_claim.c), its
 * thread and what others call (ledger.c). All of it belongs to the ledger thread but for what is marked. */
#ifndef ENGINE_LEDGER_PRIVATE_H
#define ENGINE_LEDGER_PRIVATE_H

#include "engine/pipeline.h"

struct watch {           /* a campaign as the ledger sees it */
	struct run *run; /* NULL while it is not (yet) running */
	int64_t id;
	enum campaign_state state;
	size_t route;
	ms_t start_at, until;
	double rate;
	int64_t canary;
	bool doubt_final;
	char *audience;
	int64_t in_flight; /* claimed by us, without a recorded outcome */
	ms_t next_due;     /* 0: none waits */
	bool look;         /* something may be claimable */
	bool seen;         /* by the last reload */
	int64_t fresh;
	unsigned long counted[8];  /* accepted, each second: the rate shown */
	ms_t armed;                /* since when its brake counts */
	struct watch_brake *brake; /* NULL while it is not (yet) running */
};

struct pause_request {
	struct pause_request *next;
	size_t route;
	int64_t campaign;
	char why[24], text[500];
};

struct ledger {
	struct ledger_options o;
	pthread_t thread;
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool posted, draining, stopping; /* under lock */
	unsigned long turns;             /* under lock: finished ones */
	pthread_cond_t turned;
	struct outcome_batch *done, **done_end;
	struct pause_request *pauses;
	_Atomic bool failed;
	struct err err; /* written before failed is set */
	/* the thread's own: */
	struct watch **watches;
	size_t nwatches, cap;
	int64_t version; /* of the store, as last read */
	ms_t renewed;
	unsigned turn; /* which campaign is asked first */
	unsigned second;
	struct ledger_holds *holds;
	bool starved; /* the last claims were wanted, and the limits let none through */
};

/* ---- ledger_runs.c ---- */
struct watch *ledger_find(struct ledger *l, int64_t campaign);
void watch_free(struct watch *w);
bool watch_delivering(const struct watch *w);
/* What is running may have been changed by other processes: launched, paused, resumed, cancelled. */
int ledger_reload(struct ledger *l, struct err *e);
const struct watch *ledger_preparing(
	const struct ledger *l); /* the one whose audience is being fixed; NULL: none */
/* Its next step, if one is due: start, slice of the audience, end. */
int watch_turn(struct ledger *l, struct watch *w, ms_t now, struct err *e);
int ledger_pause_asked(struct ledger *l, struct pause_request *p, struct err *e);
void ledger_publish_work(struct ledger *l, ms_t now);
int ledger_every_second(struct ledger *l, ms_t now, struct err *e);

/* A cause stops it, and a person must decide. */
int watch_pause(struct ledger *l, struct watch *w, const char *why, const char *text, struct err *e);

/* ---- ledger_brake.c ---- */
int watch_brake_load(struct ledger *l, struct watch *w, struct err *e); /* or armed anew, if it is there */
void watch_brake_free(struct watch *w);
void watch_brake_count(struct watch *w, const struct outcome_row *r);
/* Within a transaction: takes over what came back, and keeps what was counted. */
int watch_brake_second(struct ledger *l, struct watch *w, struct err *e);
/* The same at the end, in a transaction of its own. */
int ledger_keep_brakes(struct ledger *l, ms_t now, struct err *e);
/* Stops what does harm. */
int ledger_brakes(struct ledger *l, ms_t now, struct err *e);
/* Nothing of it can be claimed and nothing is under way: where that is for the pause of a provider, it
 * pauses. */
int watch_only_paused(struct ledger *l, struct watch *w, bool *paused, struct err *e);

/* ---- ledger_hold.c ---- */
int ledger_holds_load(struct ledger *l, struct err *e);
void ledger_holds_free(struct ledger *l);
void ledger_holds_count(struct ledger *l, const struct outcome_row *r);
int ledger_holds_tell(struct ledger *l, ms_t now, struct err *e); /* outside of a transaction */
/* Within a transaction: keeps what was counted, now and then; at once the last time. */
int ledger_holds_second(struct ledger *l, bool last, struct err *e);

/* ---- ledger_claim.c ---- */
bool watch_eligible(const struct watch *w, size_t route, ms_t now);
/* One synced transaction: records what is done (*done becomes NULL), claims what the workers want. */
int ledger_transact(struct ledger *l, struct outcome_batch **done, bool claims, ms_t now, struct err *e);

#endif
