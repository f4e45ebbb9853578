/* Delivering: takes the lease, runs the ledger and the workers until a campaign has come to an end (send,
 * resume) or for ever (serve). While another process holds the lease it only watches, and takes over when
 * that one leaves.
 *
 * Runs on the calling thread with a libev loop of its own, which also takes the signals, those that the
 * caller held back included: SIGINT, SIGTERM (and SIGHUP in the foreground) stop taking new work, finish what
 * is on the wire and return; a second one ends the process at once. */
#ifndef ENGINE_DELIVER_H
#define ENGINE_DELIVER_H

#include "engine/outcome.h"
#include "engine/token.h"
#include "src/config/config.h"
#include "src/db/campaign.h"
#include "src/db/lease.h"
#include "src/db/live.h"
#include "src/db/report.h"

struct deliver_options {
	const struct config *config;
	const struct store_config *store;
	const struct token_keys *keys;
	const struct rules *rules;
	const char *what; /* "send", "resume", "serve" */
	int64_t campaign; /* returns when this one is over; 0: never (serve) */
	ms_t patience;    /* how long to wait while only retries are left; < 0: for ever */
	/* Several times a second, on the calling thread. May be NULL. */
	void (*progress)(void *ctx, const struct campaign_row *c, const struct campaign_counts *n,
		const struct live *live, const struct holder *holder);
	void *ctx;
	void (*hangup)(void *ctx); /* serve: SIGHUP */
};

enum deliver_end {
	DELIVER_FINISHED,
	DELIVER_CANCELLED,
	DELIVER_PAUSED,      /* campaign_row.why says for what */
	DELIVER_PATIENCE,    /* deferred ones are left, or the server takes nothing */
	DELIVER_INTERRUPTED, /* a signal */
	DELIVER_UNREACHABLE, /* no server answered at all, for as long as the patience lasts */
	DELIVER_HELD,        /* watching was interrupted; the other process goes on */
};

/* -1: the store failed, the lease was lost (ERR_AGAIN) or could not be had. */
int deliver_run(const struct deliver_options *o, enum deliver_end *end, struct err *e);

/* What a run that died had on the wire becomes doubt, by the configured rule, as deliver_run does first of
 * all; nothing while somebody delivers, who has done so. For who decides about those in doubt before that. */
int deliver_recover(struct store *s, const struct config *cfg, const char *what, struct err *e);

#endif
