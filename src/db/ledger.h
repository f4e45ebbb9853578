/* The ledger: what is handed out to be sent, and what came of it. Only for the holder of the lease.
 *
 * store_ledger_begin … record / claim / slice / set … store_ledger_commit make one synced transaction. begin
 * fails with ERR_AGAIN if the epoch is no longer ours: stop at once, send nothing more.
 *
 * A claim writes an *intent* (synced by the commit): from then on the message may be on the wire. The outcome
 * removes it. While an intent stands and its holder lives, the delivery reads as `sending`; if the holder is
 * dead, as `doubt`. */
#ifndef DB_LEDGER_H
#define DB_LEDGER_H

#include "src/base/arena.h"
#include "src/db/audience.h"
#include "src/db/campaign.h"
#include "src/db/delivery.h"
#include "src/db/store.h"

int store_ledger_begin(struct store *s, int64_t epoch, ms_t now, struct err *e);
int store_ledger_commit(struct store *s, struct err *e);
void store_ledger_rollback(struct store *s);

/* After taking the lease, before anything else (own transaction): every intent left by a dead holder becomes
 * doubt. rule: 1 resend (due at once, unless already doubted once), 0 final, 2 hold. Returns how many in *n.
 */
int store_ledger_recover(struct store *s, int64_t epoch, int rule, ms_t now, int64_t *n, struct err *e);

/* Fixes the audience, one slice (within begin/commit) of at most `budget` contacts. *done when the last was
 * looked at: the campaign is then RUNNING and its selection recorded. `a` is the campaign's audience, parsed:
 * the same at each call. A campaign in any other state than PREPARING is done at once (it was paused or
 * cancelled meanwhile). */
int store_ledger_prepare(struct store *s, int64_t campaign, const struct audience *a, int budget, ms_t now,
	bool *done, struct err *e);

struct claim {
	int64_t delivery, contact, list;
	int attempt; /* number of this attempt, from 1 */
	bool doubted;
	ms_t first_attempt; /* of this delivery: now, if this is the first */
	ms_t due;           /* when it was due; fresh ones: now */
	struct str address, key;
	struct str domain;                         /* A-labels */
	struct str provider;                       /* "" unknown */
	struct str attrs;                          /* packed */
	struct str list_name, list_title, list_id; /* of `list`; n == 0 without one */
};

struct claims { /* store_ledger_claim appends; the caller sets n = 0 and resets the arena when it is done with
		   them */
	struct claim *v; /* realloc'd; the caller frees it at the end */
	size_t n, cap;
	struct arena *arena; /* the strings live here, with a NUL behind each; given by the caller */
};

enum claim_kind {
	CLAIM_DUE,   /* deferred, requeued or doubtful ones whose time has come, oldest first */
	CLAIM_FRESH, /* never attempted, in id order from the campaign's cursor; a canary's first */
};
/* Writes intents for up to `max` deliveries and appends them. Those who must not be mailed any more
 * (suppressed, unsubscribed, off the list) are recorded as skipped instead and do not count. A call looks at
 * some 2,000 rows at most, so 0 may mean "ask again"; a campaign that is not RUNNING or WAITING hands out
 * nothing. Quota is counted for `route`. Returns the number claimed, 0 none, -1. */
int store_ledger_claim(struct store *s, int64_t campaign, enum claim_kind kind, struct str route, int max,
	ms_t now, struct claims *out, struct err *e);

/* ---- What waits, by domain: for campaigns that are `spread` ---- */
/*
 * store_ledger_claim hands out nothing of a spread campaign. It is claimed domain by domain instead, in this
 * round, all of it within begin/commit:
 *
 *   store_ledger_ripen         deferred ones whose time has come join what can be claimed of their domain
 *   store_ledger_waiting       walks the domains that have something to claim, from where the last walk ended
 *   store_ledger_set_provider  once the domain's MX is known, before the first claim of it
 *   store_ledger_claim_domain  intents for one domain
 *
 * Outcomes are recorded as those of any campaign (store_ledger_record): what is deferred, requeued, returned
 * or comes out of recovery waits again by itself. Nothing here grows with the audience but tables on disk.
 */

/* Takes some 2,000 deliveries whose due time has come. *next: when the next one will (not later than `now`:
 * ask again, there are more; 0: none waits for a time). Call it when *next has come, or after anybody else
 * wrote (resume --now). */
int store_ledger_ripen(struct store *s, int64_t campaign, ms_t now, ms_t *next, struct err *e);

struct waiting_domain {
	int64_t domain;            /* id: for claims, and the place to go on behind */
	struct str name, provider; /* A-labels; "" unknown. Lent for the call */
	/* can be claimed now: never attempted, and tried before; counted up to `cap`. None while its provider
	 * is paused. */
	int fresh, due;
	ms_t since; /* when the oldest of `due` became due; 0 with none */
};
/* Walks the domains with an id above `after` that have something to claim, at most `max` of them, by id; with
 * fewer the end was reached and the next walk begins at 0. While the campaign's canary is out only its
 * recipients are seen. A campaign that is not RUNNING or WAITING shows nothing. Reads only; costs a few µs
 * for each domain shown, whatever the audience. Returns how many were shown, -1, or what `row` returned. */
int store_ledger_waiting(struct store *s, int64_t campaign, int64_t after, int max, int cap,
	int (*row)(void *ctx, const struct waiting_domain *d), void *ctx, struct err *e);
/* As store_ledger_claim, for one domain: what is due first, but half of `max` stays for those never tried
 * while there are any. */
int store_ledger_claim_domain(struct store *s, int64_t campaign, int64_t domain, struct str route, int max,
	ms_t now, struct claims *out, struct err *e);
/* The provider that a domain's MX set shows. Claims name it from then on. What was counted before stays under
 * the former provider; deliveries of spread campaigns that were never claimed move over. Cheap when nothing
 * changes. */
int store_ledger_set_provider(struct store *s, int64_t domain, struct str provider, struct err *e);

/* ---- What came of it ---- */

struct outcome_row {
	int64_t delivery;
	enum outcome_kind kind;
	enum delivery_state state;
	ms_t at, due;
	int code;          /* 0: no reply */
	char enhanced[12]; /* "5.1.1", "" */
	struct str reply;  /* at most 500 bytes are kept; or our own words where there was no reply */
	enum reply_class class;
	enum reply_scope scope;
	struct str reason; /* from the rule file: "user-unknown" … */
	struct str site;   /* host that answered */
	struct str route;
	struct str relay_id; /* the relay's own id, from its 250 */
	bool suppress;       /* hard: suppress the address (scope all) in the same transaction */
	struct str dialogue; /* what was said in an attempt that failed (engine/smtp/dialogue.h); n == 0: not
				kept */
	/* For brakes and the delivery log; the store does not keep them. */
	struct str provider;    /* the recipient's; n == 0: unknown */
	struct str domain;      /* the recipient's, A-labels */
	struct str address;     /* n == 0: no log is written */
	struct str campaign;    /* its name; set by the ledger */
	struct str peer;        /* "192.0.2.1 port 25" */
	int attempt;            /* its number, from 1 */
	struct str source;      /* our address that it left from; n == 0: not known */
	struct str tls;         /* "TLSv1.3"; n == 0: in clear */
	const char *action;     /* what the rules asked for; NULL: nothing */
	int connect_ms, tls_ms; /* what the connection took to be made, and secured */
	int send_ms;            /* from when the message was given to the connection to the answer */
};
/* Nothing left for it: it was handed back, or no letter could be made. */
static inline bool outcome_unsent(const struct outcome_row *o)
{
	return o->kind == OUTCOME_RETURN || (o->kind == OUTCOME_FINAL && o->state == DELIVERY_SKIPPED);
}
/* Records the attempt, moves the delivery and the tallies, removes the intent. An outcome whose intent is
 * gone (taken over by another holder) is dropped. */
int store_ledger_record(struct store *s, const struct outcome_row *rows, size_t n, struct err *e);

/* ---- The campaign as a whole ---- */

/* When the earliest delivery of that campaign (0: any running) becomes due; 0: none waits for a time. Of a
 * spread campaign: one whose time has come but which was not claimed yet counts as well. */
ms_t store_ledger_next_due(struct store *s, int64_t campaign, struct err *e);
/* Is anybody of a canary left that no claim has met? 1, 0, -1. Not for a spread campaign. */
int store_ledger_canary(struct store *s, int64_t campaign, struct err *e);
/* Within begin/commit: the campaign's state, and what is shown of it. What people asked for stands: a paused
 * or cancelled campaign stays as it is. */
int store_ledger_set_state(struct store *s, int64_t campaign, enum campaign_state state, struct str why,
	struct str why_text, ms_t now, struct err *e);

/* Within begin/commit, every second: what is kept of the newest only (dialogues of failed attempts) is cut, a
 * slice at a time. */
int store_ledger_trim(struct store *s, struct err *e);

/* Within begin/commit: what a brake counted, in its own words (engine/brake.h), to go on with after a
 * restart. */
int store_ledger_meter(struct store *s, int64_t campaign, struct str name, struct str data, struct err *e);
int store_meters(struct store *s, int64_t campaign, int (*row)(void *ctx, struct str name, struct str data),
	void *ctx, struct err *e);
/* What came back of deliveries that had been accepted, by provider, since the campaign began: returned
 * messages and complaints, whoever recorded them. */
struct came_back {
	struct str provider; /* "" unknown */
	int64_t bounced, blocked, complaints;
};
int store_ledger_came_back(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct came_back *r), void *ctx, struct err *e);

#endif
