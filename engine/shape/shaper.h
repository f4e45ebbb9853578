/* How fast one group of receivers is mailed over one (route, source): how many connections, how many messages
 * a second, and when to leave it alone.
 *
 * Pure logic: no I/O, no clock, no lock; one thread at a time. `now` is monotonic, in us, never going back.
 * Fixed size, no memory of its own, every call O(1).
 *
 * - Connections: begins with limits.start; one more for each round of answers without trouble, up to
 *   limits.connections. A connection that is refused while others stand shows how many the receiver takes: no
 *   more are tried for a while, a growing one.
 * - Rate: limits.rate, and below it what the receiver bears. Until it complains no rate is assumed. At a sign
 * of throttling (verdict SLOW; 421; many temporary refusals that speak of the site) all rests, one message
 * probes, and sending goes on below what was accepted, back to that rate and, long after, beyond it. What is
 * said of one address or message (greylisting, full mailboxes) slows nobody.
 * - Trouble that goes on, or a rule that says so, suspends the group: growing pauses, then exactly one
 * message; once that is accepted it recovers step by step, a connection for each limits.recover.
 *
 * The caller tells everything that happens, in the order of this header, for each connection and message. */
#ifndef ENGINE_SHAPE_SHAPER_H
#define ENGINE_SHAPE_SHAPER_H

#include "engine/limiter.h"
#include "engine/outcome.h"
#include "engine/shape/limits.h"

enum shaper_state {
	SHAPER_OK,
	SHAPER_SLOWED,     /* fewer connections or messages than it was sent before */
	SHAPER_SUSPENDED,  /* nothing goes out until a time */
	SHAPER_PROBING,    /* one message is out, or may go out, to see how things are */
	SHAPER_RECOVERING, /* a connection more for each limits.recover */
	SHAPER_DOWN,       /* cannot be reached; the next try has its time */
};
extern const char *const shaper_state_names[]; /* "ok", "slowed" … */

enum shaper_bind { /* what keeps more from going out */
	SHAPER_BY_NOTHING,
	SHAPER_BY_RATE,          /* limits.rate */
	SHAPER_BY_RECEIVER_RATE, /* what it bears */
	SHAPER_BY_CONNECTIONS,   /* limits.connections */
	SHAPER_BY_RECEIVER_CONNECTIONS,
	SHAPER_BY_CONNECTION_RATE, /* limits.connection_rate */
	SHAPER_BY_SUSPENSION,      /* suspended, probing or recovering */
	SHAPER_BY_DOWN,
};

enum shaper_fault {     /* why no connection came about */
	SHAPER_REFUSED, /* by the network: nothing listens, unreachable */
	SHAPER_TIMEOUT,
	SHAPER_RESET, /* or closed before the greeting was complete */
	SHAPER_TLS,
	SHAPER_GREETING,  /* a 4xx or 5xx before the first message: greeting, EHLO, STARTTLS, AUTH */
	SHAPER_ABANDONED, /* for a reason that says nothing of the group: one of its many sites is dead … */
};

enum shaper_answer {
	SHAPER_ACCEPTED,
	SHAPER_ANSWERED, /* refused or deferred: the verdict says why */
	SHAPER_LOST,     /* the connection broke or timed out before the reply */
	SHAPER_UNTRIED,  /* given back: nothing of it went out */
};

#define SHAPER_LATER INT64_MAX /* no time is known: ask again after the next event */

struct shaper { /* looked at by the files of engine/shape alone */
	struct limits limits;
	enum shaper_state state;
	enum shaper_bind bind; /* what the last "no" was for */
	/* Connections. */
	int trying, established;
	int failures;       /* to connect, in a row */
	double window;      /* connections that it bears, as far as known */
	double top;         /* so many stood when one more was refused, or gained nothing; 0: no such */
	int64_t more_at;    /* before that no more than `top` */
	int64_t more_wait;  /* the next one is longer */
	int64_t full_at;    /* when it last said that they are too many; 0: never */
	int64_t connect_at; /* no connection before that */
	bool wanted;        /* there was work for one more than the window */
	struct limiter connects;
	struct {
		double window, rate;
		int64_t since;
		unsigned n;
	} gain; /* what the window brought when it was last looked at */
	/* Messages. */
	struct limiter pace;
	double rate;     /* a second, that it bears; 0: it never complained */
	double ceiling;  /* the rate at which it last complained */
	double depth;    /* sending began anew at 1 - depth of the ceiling */
	double progress; /* on the way back; 1: at the ceiling */
	double search; /* what the rate is multiplied by, again and again, while it is hardly known; 0: it is
			*/
	double way;    /* s from there to the ceiling, at least */
	int64_t grown_at;
	double trouble; /* share of the latest answers that speak of the site, 0..1 */
	struct {
		int64_t since;
		unsigned n;
	} served[2],
		cycle; /* answered well: in the span that runs and the one before; since the last pause */
	/* Pauses. */
	int64_t since;  /* the first one of this trouble began */
	int64_t until;  /* of SUSPENDED and DOWN */
	int64_t pause;  /* the last one, if its trouble is not over; the next is longer */
	int64_t cut_at; /* answers to what was started before are of the same trouble */
	bool probe_out; /* the one message of PROBING is under way */
	enum {
		SHAPER_PAUSE_DOWN,  /* no connection */
		SHAPER_PAUSE_BRIEF, /* back to work as soon as the probe is taken, a little slower */
		SHAPER_PAUSE_LONG,  /* back step by step */
	} why;
	int64_t step_at;        /* RECOVERING: the next connection */
	double steps, steps_of; /* connections so far, of how many */
	double rate_of;         /* messages a second over steps_of connections; 0: not known */
	/* Messages a connection. */
	unsigned early, learned; /* after how many it closed last; how many it seems to take; 0: not known */
	int early_times;
	int64_t early_at, learned_until;
	char words[104]; /* the receiver's, that caused the last pause */
};

/* Holds the first message back for one step of limits.rate, so that a restart opens nothing. */
void shaper_init(struct shaper *s, const struct limits *l, int64_t now);

/* ---- Questions: 0 is yes; else us to wait, at least; or SHAPER_LATER ---- */

int64_t shaper_may_connect(struct shaper *s, int64_t now);
int64_t shaper_may_send(struct shaper *s, int64_t now);
/* How many messages could start until then, for who claims ahead. */
int64_t shaper_room(struct shaper *s, int64_t now, int64_t until);
/* Connections that may stand now: above it idle ones are to be closed. 0 during a longer pause. */
int shaper_connections(struct shaper *s, int64_t now);
/* Messages after which a connection is to be ended with QUIT; 0: any number. */
unsigned shaper_messages(const struct shaper *s, int64_t now);
/* It is left alone until then; 0: it is not. */
int64_t shaper_paused_until(const struct shaper *s);
/* Connections that failed in a row, and nothing was answered since. */
int shaper_failures(const struct shaper *s);

/* ---- Events ---- */

void shaper_connecting(struct shaper *s, int64_t now);  /* a try begins; answered by one of the next two */
void shaper_established(struct shaper *s, int64_t now); /* ready for the first message */
/* v: of the rules, NULL where they were not asked. text: the reply or our own words; shown in status. */
void shaper_connect_failed(
	struct shaper *s, int64_t now, enum shaper_fault how, const struct verdict *v, struct str text);
/* An established one is gone. `messages` were answered on it; `early`: the peer closed it, with 421 or
 * silently, though it was neither idle for long nor asked to. */
void shaper_closed(struct shaper *s, int64_t now, unsigned messages, bool early);

void shaper_start(struct shaper *s, int64_t now); /* a message goes out, after shaper_may_send() said 0 */
/* Its answer. started: the `now` of shaper_start. v: NULL where accepted, lost or untried. */
void shaper_answer(struct shaper *s, int64_t now, int64_t started, enum shaper_answer a,
	const struct verdict *v, struct str text);

/* Does nothing depend on when messages begin and are accepted? Then it is enough to tell now and then how
 * many were accepted; every other answer is told at once. */
bool shaper_easy(const struct shaper *s);
void shaper_accepted(struct shaper *s, int64_t now, unsigned n);

/* ---- For people ---- */

/* "provider google: 5 connections", "suspended until 2026-12-01 10:32:00 +09:00: 421 4.7.28 …", "20/s", "".
 * who: "provider google", "site mx.example.net". wall: the clock's time at `now`. */
void shaper_limit_text(const struct shaper *s, const char *who, const struct zone *z, int64_t now, ms_t wall,
	char *out, size_t n);

#endif
