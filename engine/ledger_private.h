/* What the files of the ledger share: its campaigns (ledger_runs.c), its transactions (ledger_claim.c), what
 * it knows of the domains that wait (ledger_window.c) and of their sites (ledger_crowd.c), claims for them
 * (ledger_spread.c), its thread and what others call (ledger.c). All of it belongs to the ledger thread but
 * for what is marked. */
#ifndef ENGINE_LEDGER_PRIVATE_H
#define ENGINE_LEDGER_PRIVATE_H

#include "engine/pipeline.h"
#include "engine/route_choice.h"
#include "engine/source.h"
#include "src/db/ledger.h"

struct via {            /* a route of a campaign */
	bool out;       /* it refused the login or the sender: the campaign goes on without it … */
	ms_t out_until; /* … until then */
	char text[240];
	int64_t in_flight;
	ms_t claimed_at; /* monotonic: the last claim */
	/* Where shares are kept: */
	bool counts;
	double weight, dealt; /* dealt: claims since the routes that count last changed */
};

struct watch {           /* a campaign as the ledger sees it */
	struct run *run; /* NULL while it is not (yet) running */
	int64_t id;
	enum campaign_state state;
	struct route_plan plan;     /* n == 0: none of its routes is configured */
	struct via *via;            /* in the order of the plan */
	ms_t running_since;         /* monotonic */
	ms_t warm_until;            /* some of its mail waits for the volume of the next day; 0: none */
	ms_t quota_seen, quota_end; /* when it was last looked at, when the windows will have let all out */
	ms_t start_at, until;
	double rate;
	bool canary; /* only the first ones go out */
	char *name;  /* what people call it */
	char *audience;
	int64_t in_flight; /* claimed by us, without a recorded outcome */
	int64_t drawn;     /* claimed in this transaction */
	ms_t next_due;     /* 0: none waits */
	bool look;         /* something may be claimable */
	bool seen;         /* by the last reload */
	bool spread;       /* goes out by destination; `next_due` is when deferred ones join what waits, and
			      `look`: domains that are not in the window may have something */
	bool again;        /* something changed behind the place where the walk is */
	int64_t walked;    /* the domain behind which the walk goes on */
	size_t errands;
	size_t shut;     /* scratch */
	ms_t shut_until; /* wall clock: all its errands wait for sites that are closed until then; 0: not so
			  */
	int64_t fresh;
	unsigned long counted[8];  /* accepted, each second: the rate shown */
	ms_t armed;                /* since when its brake counts */
	struct watch_brake *brake; /* NULL while it is not (yet) running */
};

struct pace {                   /* how fast a route is, for status */
	unsigned long accepted; /* in this second */
	double rate;            /* a second, smoothed */
	bool reached;           /* a connection was established: every worker may make some, and was told */
};

struct pause_request {
	struct pause_request *next;
	size_t route;
	int64_t campaign;
	char why[24], text[500];
};

/* ---- Mail that goes out by destination ----
 *
 * The window holds a bounded number of errands: domains that have mail of one campaign to claim. An errand is
 * looked up, then belongs to the crowd of its site, from which the site's hatch draws; or it has failed, and
 * what waits is recorded as tried. It leaves when nothing of it is left to claim. */

struct ring { /* a list in which anything can be taken out of the middle */
	struct ring *next, *prev;
};
static inline bool ring_empty(const struct ring *r)
{
	return r->next == r;
}

enum { WINDOW = 8192 }; /* errands */

struct errand {
	struct ring in; /* first: of the window's looking or failed ones, or of a crowd */
	struct errand *chain;
	struct watch *watch;
	int64_t domain;
	int waiting;         /* deliveries, about */
	bool many;           /* more than the store counted */
	size_t route;        /* that its mail is for, once it was looked up */
	bool asked;          /* the book of that route, which has not answered yet */
	int slot;            /* 0: its source is chosen each time; else the source of that number, from 1 */
	int source;          /* of the route; SOURCE_NONE: as the system chooses */
	struct crowd *crowd; /* NULL: not looked up yet, or that failed */
	bool failed;
	struct unreached *why; /* with failed, and no crowd */
	const char *reason;    /* the book's; NULL: the rules' */
	char provider[32];     /* of the domain, as the store has it */
	char name[];
};

struct crowd { /* what waits for one site, or for a relay: then there is neither hatch nor site */
	struct crowd *chain;
	uint64_t hash;
	struct ring errands; /* those that have not failed; `waiting` counts their deliveries */
	size_t n;            /* with those that have */
	int waiting;
	struct hatch *hatch;
	int source;            /* of the route; SOURCE_NONE */
	struct site *site;     /* a reference */
	struct unreached down; /* until then what waits has failed */
	struct rate_spec rate; /* of those who share its limits: /h and /d are counted here … */
	char *counted_as;      /* … under that name; NULL: there is no such limit */
	ms_t full_until;       /* wall clock; 0: there is room */
	ms_t looked_at;        /* monotonic */
	char key[];            /* route, group and site */
};

struct window {
	size_t n, nlooking, nfailed;
	struct ring looking, failed;
	struct errand *errands[WINDOW];
	struct crowd *crowds[WINDOW];
	struct crowd **relays;   /* of each route */
	_Atomic size_t answered; /* domains, by the books, since the last look */
	bool stale;              /* the last of the looking ones were never asked for */
	bool some;             /* the last look was for so many answers: there may be more errands for them */
	ms_t asked_at, all_at; /* monotonic: the last look; all are looked at then */
	ms_t fail_at;          /* monotonic: failed ones are recorded then, whatever else there is to do */
};

struct unreached_request {
	struct unreached_request *next;
	struct hatch *hatch;
	struct unreached u;
};

struct handover { /* claims made in this transaction, given out after its commit */
	struct claim_batch *batch;
	struct hatch *hatch;
};
struct handovers {
	struct handover *v;
	size_t n, cap;
};

struct ledger {
	struct ledger_options o;
	struct sites **books; /* of each direct route; NULL: of relays */
	struct window window;
	pthread_t thread;
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool posted, draining, stopping; /* under lock */
	unsigned long turns;             /* under lock: finished ones */
	pthread_cond_t turned;
	struct outcome_batch *done, **done_end;
	struct pause_request *pauses;
	struct unreached_request *unreached; /* under lock */
	struct hatch *hungry;                /* under lock */
	_Atomic bool failed, lost;
	struct err err; /* written before failed is set */
	/* the thread's own: */
	struct watch **watches;
	size_t nwatches, cap;
	int64_t version; /* of the store, as last read */
	ms_t renewed;
	unsigned turn; /* which campaign is asked first */
	unsigned second;
	struct ledger_holds *holds;
	struct pace *paces; /* of each route */
	bool *usable;       /* each route: mail can be given to it, as far as is known */
	struct source_book *sources;
	bool *picking; /* scratch, of the same size */
	bool starved;  /* the last claims were wanted, and the limits let none through */
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
/* Something of it could be claimed, were not all its routes closed or full until that time; 0: not so. */
ms_t watch_closed_until(const struct ledger *l, const struct watch *w, ms_t now);

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

/* ---- ledger_deal.c: the routes of campaigns ---- */
void ledger_look_at_routes(struct ledger *l, ms_t now); /* how they are now */
/* names: campaign_row.route. What is known of a route that stays, stays. */
int watch_plan(struct ledger *l, struct watch *w, struct str names, struct err *e);
/* May it have mail of this campaign? `up` as ledger.usable. */
bool watch_uses(const struct watch *w, size_t route, const bool *up);
/* How many of `max` claims the route may have, so that the weights are kept. */
int watch_share(struct ledger *l, struct watch *w, size_t route, int max);
void watch_dealt(struct watch *w, size_t route, int n); /* claimed */
void watch_undealt(struct watch *w, size_t route);      /* one of them was recorded */
/* The campaign goes on without that route for a while. False: it cannot, there is no other. */
bool watch_leave_out(struct watch *w, size_t route, ms_t now, const char *why, const char *text);
void watch_let_in(struct watch *w, ms_t now); /* those whose time is over; now == 0: all */
/* The route for mail to that provider, of a campaign that goes out by destination. */
size_t watch_pick(const struct ledger *l, const struct watch *w, struct str provider);
bool watch_serves(const struct watch *w, size_t route, struct str provider);
/* Every route of it is closed, or its quota used up, until that time; 0: not so. */
ms_t watch_blocked_until(const struct ledger *l, const struct watch *w, ms_t now);
void watch_limit_text(struct ledger *l, const struct watch *w, ms_t now, char *out, size_t n);
int watch_connections(const struct ledger *l, const struct watch *w);

/* ---- ledger_live.c ---- */
int ledger_publish_live(struct ledger *l, ms_t now, struct err *e); /* within a transaction, each second */

/* ---- ledger_hold.c ---- */
int ledger_holds_load(struct ledger *l, struct err *e);
void ledger_holds_free(struct ledger *l);
void ledger_holds_count(struct ledger *l, const struct outcome_row *r);
int ledger_holds_tell(struct ledger *l, ms_t now, struct err *e); /* outside of a transaction */
/* Within a transaction: keeps what was counted, now and then; at once the last time. */
int ledger_holds_second(struct ledger *l, bool last, struct err *e);

/* ---- ledger_claim.c ---- */
bool watch_eligible(const struct ledger *l, const struct watch *w, size_t route, ms_t now);
/* One synced transaction: records what is done (*done becomes NULL), claims what the workers want. */
int ledger_transact(struct ledger *l, struct outcome_batch **done, bool claims, ms_t now, struct err *e);
/* How many more the route's even rate and its windows let out now. */
int64_t ledger_route_room(struct ledger *l, size_t route, ms_t now);
/* How many claims the campaign's own rate allows now, at most `max`. */
int watch_room(const struct watch *w, int max);
/* A new batch for the hatch, given out with the others. NULL: out of memory. */
struct claim_batch *ledger_batch(
	struct handovers *h, struct watch *w, struct hatch *hatch, size_t chunk, struct err *e);

/* ---- ledger_window.c ---- */
void window_init(struct window *w);
void window_release(struct ledger *l);
/* Within a transaction: takes in domains that wait, and asks where their mail goes. */
int window_fill(struct ledger *l, ms_t now, struct err *e);
int relay_waiting(const struct ledger *l, size_t route);                    /* of all errands, about */
bool window_answered(const struct window *w, ms_t mono);                    /* some were looked up */
bool window_wants(const struct ledger *l, const struct watch *w, ms_t now); /* window_fill() is due */
void window_forget(struct ledger *l, struct watch *w);                      /* all its errands */
void errand_free(struct ledger *l, struct errand *r);
void errand_fail(struct window *w, struct errand *r);  /* what waits will be recorded as tried */
void errand_waiting(struct errand *r, int n);          /* so many wait now */
void errand_again(struct ledger *l, struct errand *r); /* is looked up anew */
void ring_init(struct ring *r);
void ring_append(struct ring *to, struct ring *r);
void ring_remove(struct ring *r);
/* Something may be claimable that was not. */
void watch_stir(struct watch *w);
void watch_warms(struct ledger *l, struct watch *w, ms_t now); /* some of it waits for the next day */

/* ---- ledger_crowd.c: what waits for one site ---- */
struct crowd *crowd_of(struct ledger *l, size_t route, int source, struct str domain, struct site *s);
void crowd_join(struct ledger *l, struct errand *r, struct crowd *c);
void crowd_waits(struct crowd *c, int more); /* so many deliveries more */
void crowd_free(struct crowd *c);
/* Its share of the hour and the day: how many of `max` may be claimed now, 0 none, -1. */
int crowd_allow(struct ledger *l, struct crowd *c, int max, ms_t now, struct err *e);
int crowd_used(struct ledger *l, struct crowd *c, int n, ms_t now, struct err *e); /* n < 0: given back */
/* The site could not be reached. */
void window_unreached(struct ledger *l, struct crowd *c, const struct unreached *u);
int window_every_second(
	struct ledger *l, struct err *e); /* sites whose time is over, crowds that nobody needs */

/* ---- ledger_spread.c ---- */
/* Within a transaction: what waits behind failed errands is claimed and recorded as tried; the rows go to the
 * end of *done. */
int spread_fail(struct ledger *l, struct outcome_batch **done, ms_t now, struct err *e);
/* What waits for a relay, at most `want`; for one of its hatches. Returns how many were claimed, -1. */
int spread_draw(
	struct ledger *l, struct hatch *hatch, int want, ms_t now, struct handovers *h, struct err *e);
int spread_claim(struct ledger *l, ms_t now, struct handovers *h, struct err *e);
bool spread_wanted(struct ledger *l, ms_t now);        /* either of them has something to do */
void ledger_hungry(struct ledger *l, struct hatch *h); /* from any thread */

#endif
