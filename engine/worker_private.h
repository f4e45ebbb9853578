/* What the files of a worker share: its thread (worker.c), its lanes (lane.c: what it sends to one place,
 * with the claims in hand) and its links (link.c: connections). A place is a relay (relay.c), or a site of a
 * direct route (direct.c; call.c: its hosts; group.c: the limits that sites share). Everything belongs to the
 * worker's thread but for what is marked. */
#ifndef ENGINE_WORKER_PRIVATE_H
#define ENGINE_WORKER_PRIVATE_H

#include "engine/pipeline.h"
#include "engine/shape/shaper.h"
#include "src/db/ledger.h"

#include <ev.h>

struct job { /* a message given to a connection */
	struct job *next;
	struct claim_batch *batch;
	const struct claim *claim;
	struct arena arena;
	struct letter letter;
	struct smtp_message message;
	ms_t given;       /* to the connection: monotonic */
	int64_t given_us; /* the same for the shaper */
};

struct item {
	struct claim_batch *batch;
	const struct claim *claim;
	ms_t since;
};

struct link { /* a connection */
	struct link *next, **back;
	struct link *next_ready, **back_ready; /* back_ready NULL: it is in none of lane.ready */
	struct lane *lane;
	struct smtp_conn *conn;
	struct smtp_endpoint ep;
	bool established, ready, leaving; /* ready, under_way: link_filed() */
	int holds;     /* once established: claims for it that may be without a synced outcome */
	int under_way; /* messages given to it without a result */
	int doubts;    /* results that said so */
	unsigned long sent, answered;
	ms_t idle_since;
	struct call *call;           /* on a direct route: whom it calls */
	struct route_source *source; /* from which address; NULL: as the system chooses */
};

struct call {                       /* one attempt at the hosts of a site, in order */
	struct call *newer, *older; /* of the worker's that are still trying */
	struct link *link;
	struct site *site;
	unsigned char order[SITE_HOSTS];
	size_t nth; /* in `order` */
	struct sockaddr_storage addrs[8];
	struct smtp_options options;
	struct buf said; /* with the hosts that could not be used */
	bool trying, cut;
	bool slow;  /* the server has let us wait for long */
	ms_t since; /* of the whole attempt; then of the last progress */
	uint64_t lot;
};

struct dest {                        /* a site of a direct route, as one source of it calls there */
	struct route_source *source; /* NULL: as the system chooses */
	struct site *site;
	struct group *group;
	struct lane *next_open, **back_open; /* of the group's lanes with connections */
	struct lane *next_queued;            /* of those that want one more */
	bool queued, starved;
	int trying;
	int failures;         /* attempts at all hosts, in a row */
	ms_t closed_until;    /* monotonic: no attempt before that */
	ms_t shut_since;      /* monotonic: mail waits for a site that rests; 0: not so */
	bool out_of_step;     /* its replies do not match our commands: one message at a time */
	ms_t bad[SITE_HOSTS]; /* monotonic: until then the host is tried last. By its place in `site` */
	/* Of the hatch_options: */
	char *group_name;
	bool shared;
	struct limits limits;
};

struct group { /* sites that share limits, over one route and source */
	struct group *chain;
	struct worker *w;
	size_t route;
	const struct route_source *source;
	bool shared;
	struct shaper shaper;
	struct lane *open;
	struct lane *queue, **queue_end;
	int lanes;
	bool touched, held; /* held: a message waits for an event */
	struct group *next_touched;
	ms_t left_at;           /* when its last lane went */
	unsigned long accepted; /* in this second */
	double rate;            /* accepted a second, smoothed; for status, as `waiting` */
	int64_t waiting;
	ev_timer timer;
	ms_t full_until; /* monotonic: its hourly or daily limit is used up until then, as the last look found
			  */
	char name[];
};

struct usage {     /* of a direct route in this worker */
	int share; /* of those that work */
	int trying, working, slow;
	int holds; /* claims that its established connections may hold together */
	int held;  /* what its lanes have, and have asked for */
};

struct lane {
	struct hatch hatch;        /* shared with the ledger */
	struct lane *next, **back; /* of those the worker looks at; back NULL: it is not one of them */
	struct worker *w;
	struct route *route;
	struct dest *dest; /* NULL: a relay */
	int share;         /* of the route's connections */
	struct link *links;
	int nlinks, established, nready;
	int holds; /* of the established ones together */
	/* Those that could take a message, by how many they have under way, the last used first: few
	 * connections do the work of a slow campaign. */
	struct link *ready[SMTP_IN_FLIGHT_MAX];
	struct item *items; /* a ring */
	size_t head, count, cap;
	size_t bytes;    /* of the messages under way */
	int64_t begun;   /* us: when the last message was allowed to begin */
	int outstanding; /* claims handed over without a synced outcome: lane_hold() */
	int asked;       /* of the ledger, by its last word */
	ev_timer timer;
};

enum { GROUP_SLOTS = 4096 };

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
	struct lane **by_route; /* of relays */
	struct usage *usage;    /* by route, of direct ones */
	struct group *groups[GROUP_SLOTS];
	struct group *touched;
	struct call *oldest, *newest; /* that are still trying */
	struct lane *starved, **starved_end;
	int descriptors, most_descriptors; /* of direct routes */
	uint64_t lot;
	ms_t swept;
	size_t bytes;
	struct outcome_batch *done; /* not yet given to the ledger */
	_Atomic int with_ledger;    /* batches that were */
	struct job *free_jobs;
	struct buf dialogue; /* of the attempt whose result is at hand */
	pthread_mutex_t lock;
	struct hatch *told;                   /* under lock */
	struct group_view views[GROUP_VIEWS]; /* under lock */
	size_t nviews;
	_Atomic bool draining;
	_Atomic ms_t cut_at; /* monotonic: connections are cut then */
	bool cut;
};

/* ---- lane.c ---- */
/* Sends what can be sent, opens the connections that there is work for, asks for more. */
void lane_pump(struct lane *l);
/* Records one outcome and lets go of its claim. */
void lane_outcome(struct lane *l, const struct outcome_row *row, struct claim_batch *b);
/* What it has from the ledger, and has asked of it. */
void lane_hold(struct lane *l, int outstanding, int asked);
bool lane_push(struct lane *l, struct item it, bool front);
struct item lane_pop(struct lane *l);
void lane_give_back(struct lane *l, const struct item *i, ms_t due);
void lane_give_back_all(struct lane *l, ms_t due);
/* What found no connection for long: the store looks at it again before it goes out. */
void lane_give_back_stale(struct lane *l, ms_t now);
void job_done(struct lane *l, struct job *j);   /* the connection gave it back */
void lane_wait(struct lane *l, double seconds); /* is pumped again then, if not before */
void lane_list(struct lane *l);                 /* the worker looks at it from now on */
void lane_unlist(struct lane *l);
struct link *lane_idle(struct lane *l); /* a connection that could take a message; NULL */
static inline int64_t mono_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- relay.c ---- */
/* As many connections as there is work for. */
void relay_connect(struct lane *l);
void relay_closed(struct link *k, bool clean, const struct smtp_result *r);

/* ---- direct.c ---- */
/* The ledger opened, changed or closed the hatch. Returns false when the lane is gone. */
bool direct_told(struct lane *l, struct site *site, bool closed);
/* After everything that may have changed what it needs; notes when nothing is left to do. */
void direct_pumped(struct lane *l);
bool direct_needs(const struct lane *l); /* one more connection */
int direct_room(struct lane *l);         /* how many it may claim ahead */
void direct_unserved(struct lane *l);    /* without a connection it keeps nothing of what it was given */
void direct_free(struct lane *l);
void direct_tick(struct worker *w, ms_t now);

/* ---- call.c ---- */
/* One more connection to the site: tries its hosts in order. */
void call_open(struct lane *l);
void call_established(struct link *k);
/* The connection is gone; true: the next host is tried in its place. */
bool call_closed(struct link *k, bool clean, const struct smtp_result *r);
void call_over(struct link *k);             /* the link left its lane */
void call_shut(struct lane *l, ms_t until); /* what waits is recorded as tried, by the site's last words */

/* ---- group.c ---- */
struct group *group_of(struct worker *w, const struct dest *d, size_t route);
void group_leave(struct group *g);
void group_touch(struct group *g); /* something happened to it: is looked at before the loop sleeps */
void group_turn(struct worker *w);
void group_queue(struct lane *l); /* it wants one more connection */
void group_unqueue(struct lane *l);
void group_starve(struct lane *l); /* it could have it, but the worker has no room for more */
void group_feed(struct worker *w); /* some room may be there again */
void group_every_second(struct worker *w, ms_t now);
void groups_free(struct worker *w);

/* ---- group_view.c ---- */
void group_views_write(struct worker *w);

/* ---- worker.c ---- */
void worker_flush(struct worker *w); /* hands the outcomes to the ledger */

/* ---- link.c ---- */
int link_open(struct lane *l); /* of a relay */
struct link *link_new(struct lane *l);
int link_dial(struct link *k, const struct smtp_options *o); /* as `ep` says. -1: out of descriptors … */
void link_add(struct link *k);                               /* to its lane's */
/* After each change of `ready` or `under_way`: it is found by lane_idle() accordingly. */
void link_filed(struct link *k);
void link_quit(struct link *k); /* takes nothing more, and closes after its last answer */
/* Why no connection came about; text: what was said or happened. */
enum shaper_fault link_fault(const struct smtp_result *r, struct str text);
/* What a verdict asks of the campaign and the route. */
void link_verdict(struct lane *l, const struct verdict *v, int64_t campaign, struct str text);

#endif
