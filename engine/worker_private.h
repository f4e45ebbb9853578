/* What the files of a worker share: its thread (worker.c), its lanes (lane.c: what it sends to one place,
 * with the claims in hand; relay.c: a route as this worker serves it) and its links (link.c: connections).
 * Everything belongs to the worker's thread but for what is marked. */
#ifndef ENGINE_WORKER_PRIVATE_H
#define ENGINE_WORKER_PRIVATE_H

#include "engine/pipeline.h"

#include <ev.h>

struct job { /* a message given to a connection */
	struct job *next;
	struct claim_batch *batch;
	const struct claim *claim;
	struct arena arena;
	struct letter letter;
	struct smtp_message message;
	ms_t given; /* to the connection: monotonic */
};

struct item {
	struct claim_batch *batch;
	const struct claim *claim;
	ms_t since;
};

struct link { /* a connection */
	struct link *next, **back;
	struct lane *lane;
	struct smtp_conn *conn;
	struct smtp_endpoint ep;
	bool established, ready, leaving;
	int under_way; /* messages given to it without a result */
	int doubts;    /* results that said so */
	unsigned long sent, answered;
	ms_t idle_since;
};

struct lane {
	struct hatch hatch; /* shared with the ledger */
	struct lane *next;
	struct worker *w;
	struct route *route;
	int share; /* of the route's connections */
	struct link *links;
	int nlinks, established;
	struct item *items; /* a ring */
	size_t head, count, cap;
	size_t bytes;    /* of the messages under way */
	int outstanding; /* claims handed over without a synced outcome */
	ev_timer timer;
};

struct worker {
	pthread_t thread;
	struct worker_options o;
	struct ledger *ledger;
	struct ev_loop *loop;
	ev_async wake;
	ev_prepare flush;
	ev_timer tick;
	struct token_signer *signer;
	struct dkim_signer *dkim;
	struct lane *lanes;
	struct lane **by_route;     /* of relays */
	struct outcome_batch *done; /* not yet given to the ledger */
	struct job *free_jobs;
	struct buf dialogue; /* of the attempt whose result is at hand */
	pthread_mutex_t lock;
	struct hatch *told; /* under lock */
	_Atomic bool draining;
	_Atomic ms_t cut_at; /* monotonic: connections are cut then */
	bool cut;
};

/* ---- lane.c ---- */
/* Sends what can be sent, opens the connections that there is work for, asks for more. */
void lane_pump(struct lane *l);
/* Records one outcome and lets go of its claim. */
void lane_outcome(struct lane *l, const struct outcome_row *row, struct claim_batch *b);
bool lane_push(struct lane *l, struct item it, bool front);
struct item lane_pop(struct lane *l);
void lane_give_back(struct lane *l, const struct item *i, ms_t due);
void lane_give_back_all(struct lane *l, ms_t due);
void job_done(struct lane *l, struct job *j);   /* the connection gave it back */
void lane_wait(struct lane *l, double seconds); /* is pumped again then, if not before */

/* ---- relay.c ---- */
/* As many connections as there is work for. */
void relay_connect(struct lane *l);
/* A connection ended before it was of any use. */
void relay_failed(struct lane *l, const struct smtp_result *r);

/* ---- worker.c ---- */
void worker_flush(struct worker *w); /* hands the outcomes to the ledger */

/* ---- link.c ---- */
int link_open(struct lane *l);
/* What a verdict asks of the campaign and the route. */
void link_verdict(struct lane *l, const struct verdict *v, int64_t campaign, struct str text);

#endif
