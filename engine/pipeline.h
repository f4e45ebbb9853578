/* Between the ledger thread and the worker threads (DESIGN "Workers").
 *
 * The ledger thread owns the only connection that writes. A worker says how many deliveries it can take at a
 * hatch (ledger_want); the ledger claims them in a synced transaction and hands them over in a batch
 * (hatch_give); the worker sends back outcomes (ledger_outcomes), which the next transaction records, and is
 * told when they are on disk (hatch_ack). So a worker never waits for the disk, and what is under way is
 * bounded: claims handed over and outcomes not yet synced together never exceed what its established
 * connections may hold (`ahead`). */
#ifndef ENGINE_PIPELINE_H
#define ENGINE_PIPELINE_H

#include "engine/dns/site.h"
#include "engine/outcome.h"
#include "engine/personal.h"
#include "engine/route.h"
#include "engine/shape/limits.h"
#include "src/db/ledger.h"

#include <stdatomic.h>

struct ledger;
struct worker;

/* A campaign in the hands of this process. Made and freed by the ledger; workers see it through their
 * batches, which hold references. */
struct run {
	_Atomic int refs;
	int64_t id;
	char *name;
	struct personal *personal;
	struct limiter rate;       /* --rate */
	_Atomic bool halted;       /* paused, cancelled …: give claims back unsent */
	_Atomic bool *out;         /* of each route: the campaign goes on without it, give claims back */
	_Atomic int64_t paused_ms; /* a message's age stands still while its campaign is paused */
	/* By the next server; with any reply; templates that failed. */
	_Atomic unsigned long accepted, answered, failed;
};

struct claim_batch {
	_Atomic int left; /* claims without an outcome; the last one frees the batch */
	struct claim_batch *next;
	struct run *run;
	struct claims claims;
	struct arena arena;
};
void claim_batch_done(struct claim_batch *b); /* one claim of it is over */
void run_unref(struct run *r);

/* Where the ledger hands claims to a worker: a relay has one in each worker, a site of a direct route one in
 * the worker that owns the site's group. */
struct hatch {
	struct worker *worker;
	size_t route;
	struct crowd *crowd;     /* the ledger's own: what waits for that site; NULL at a relay's */
	_Atomic int work;        /* of a site: about how many deliveries wait for it */
	_Atomic ms_t full_until; /* monotonic: its group's hourly or daily limit is used up until then */
	_Atomic ms_t shut_until; /* monotonic: nothing can go to that site before; 0: it can */
	_Atomic bool quiet;      /* the worker has nothing of it in hand and no connection */
	/* Under the ledger's lock: */
	struct hatch *next_hungry; /* of those at sites that want more */
	bool hungry;
	_Atomic int want;  /* how many more the worker can take; HATCH_ANSWERING: they were claimed, and the
			      worker has not taken them over yet */
	_Atomic int acked; /* outcomes that were synced since the worker last looked */
	/* Under the worker's lock: */
	struct claim_batch *given;
	struct site *site;       /* with its latest addresses; a reference */
	bool closed;             /* the worker may free it */
	struct hatch *next_told; /* of those that have something new for the worker */
	bool told;
};
enum { HATCH_ANSWERING = -1 };

#define OUTCOME_BATCH 128
struct outcome_batch {
	struct outcome_batch *next;
	struct worker *worker; /* to be told when they are synced; NULL: the ledger's own */
	struct arena arena;    /* of the strings in rows */
	size_t n;
	struct outcome_row rows[OUTCOME_BATCH];
	struct hatch *from[OUTCOME_BATCH]; /* where each was claimed */
};
struct outcome_batch *outcome_batch_new(struct worker *w); /* NULL: out of memory */
void outcome_batch_free(struct outcome_batch *b);

/* ---- The ledger's side ---- */

struct delivery_log;
struct ledger_options {
	const struct config *config;
	const struct rules *rules;
	const struct limits_book *limits; /* of direct routes */
	const struct store_config *store;
	struct route *routes;
	size_t nroutes;
	struct worker **workers;
	size_t nworkers;
	int64_t epoch;
	struct delivery_log *log; /* NULL: none */
	void (*woken)(void *ctx); /* from the ledger thread: something changed that the main thread may want
				     to see */
	void *ctx;
};

int ledger_start(struct ledger **l, const struct ledger_options *o, struct err *e);
/* When it returns nothing more is claimed; outcomes are recorded until ledger_stop(). */
void ledger_drain(struct ledger *l);
/* All outcomes that were given are recorded, the lease is released. Frees. 0, or -1 with what went wrong
 * meanwhile. */
int ledger_stop(struct ledger **l, struct err *e);
bool ledger_failed(
	struct ledger *l, struct err *e); /* the store failed or the lease was lost: stop at once */

/* The worker can take `n` more there; replaces its last word. Answered by hatch_give(), once. False: that
 * answer is on its way, and the last word stands. */
bool ledger_want(struct ledger *l, struct hatch *h, int n);
/* The worker has taken over what it was given and may ask anew. */
void ledger_answered(struct hatch *h);
void ledger_outcomes(struct ledger *l, struct outcome_batch *b);
/* An outcome found no memory: delivery ends, with that error. */
void ledger_lost(struct ledger *l);
/* None of the site's hosts could be used: what waits for it is recorded as tried, until that time. */
struct unreached {
	enum smtp_stage stage;
	int code; /* 0: no reply */
	char enhanced[12], text[300], host[256];
	char *said; /* with all its hosts (engine/smtp/dialogue.h); NULL: nothing. Goes with it to the ledger
		     */
	ms_t until; /* monotonic */
};
void ledger_unreached(struct ledger *l, struct hatch *h, const struct unreached *u);
void ledger_wake(struct ledger *l);
/* The route's campaigns (or only `campaign`, if not 0) pause for that reason. */
void ledger_pause(struct ledger *l, size_t route, int64_t campaign, struct str why, const char *text);

/* ---- The workers' side ---- */

struct worker_options {
	const struct config *config;
	const struct rules *rules;
	const struct token_keys *keys;
	const struct dkim_keys *dkim; /* NULL: nothing is signed */
	struct route *routes;
	size_t nroutes;
	size_t index, nworkers;
	int descriptors; /* of all workers together, for connections of direct routes */
};

int worker_start(struct worker **w, const struct worker_options *o, struct err *e);
int worker_attach(struct worker *w, struct ledger *l, struct err *e); /* starts its thread */
struct hatch *worker_hatch(struct worker *w, size_t route);           /* of a relay */
/* What status shows of the sites that share limits over a direct route. */
struct group_view {
	size_t route;
	bool shared; /* named by a provider or a section of the shaping file; else by its one site */
	char name[128], state[16], limit[160]; /* limit: what binds; "": nothing */
	char source[48];                       /* our address; "": as the system chooses */
	double rate;                           /* accepted a second */
	int connections;
	int64_t waiting;
};
enum { GROUP_VIEWS = 50 };
/* The busiest and the troubled ones, as of the last second; from any thread. Returns how many. */
size_t worker_views(struct worker *w, struct group_view out[GROUP_VIEWS]);
struct hatch_options { /* of a site */
	size_t route;
	struct route_source *source; /* NULL: as the system chooses */
	const char *group;           /* who shares the limits; its name in limits or the site's */
	bool shared;                 /* with other sites */
	const struct limits *limits;
	struct site *site; /* the hatch takes a reference of its own */
};
/* From the ledger's thread; NULL: out of memory. Closed with hatch_close() once it is quiet and nothing is
 * under way. */
struct hatch *hatch_open(struct worker *w, const struct hatch_options *o);
void hatch_close(struct hatch *h);
void hatch_site(struct hatch *h, struct site *s); /* the same site, looked up anew */
/* The worker takes the chain of batches over. After these worker_wake() makes it look. */
void hatch_give(struct hatch *h, struct claim_batch *b);
void hatch_ack(struct hatch *h, int n);
void hatch_tell(struct hatch *h); /* there may be work */
void worker_wake(struct worker *w);
void worker_recorded(struct worker *w); /* a batch of its outcomes; wakes it as well */
/* Takes nothing new, gives back what is unsent, finishes what is on the wire within `grace`, then cuts
 * connections. */
void worker_drain(struct worker *w, ms_t grace);
void worker_join(struct worker *w);  /* its thread is over; every claim has had its outcome by then */
void worker_stop(struct worker **w); /* the ledger's thread, which wakes workers, must be over */

#endif
