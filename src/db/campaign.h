/* Campaigns: what they are, and what people ask of them. */
#ifndef DB_CAMPAIGN_H
#define DB_CAMPAIGN_H

#include "src/db/audience.h"
#include "src/db/store.h"

/* clang-format off */
#define CAMPAIGN_STATES(ROW) \
	ROW(PREPARING, "preparing") \
	ROW(SCHEDULED, "scheduled") \
	ROW(RUNNING, "running") \
	ROW(WAITING, "waiting") \
	ROW(PAUSED, "paused") \
	ROW(INTERRUPTED, "interrupted") \
	ROW(FINISHED, "finished") \
	ROW(CANCELLED, "cancelled")
/* clang-format on */
enum campaign_state { /* INTERRUPTED is never stored: it is PREPARING, RUNNING or WAITING with nobody holding
			 the lease */
#define X(id, name) CAMPAIGN_##id,
	CAMPAIGN_STATES(X)
#undef X
		CAMPAIGN_NSTATES
};
extern const char *const campaign_state_names[CAMPAIGN_NSTATES];

struct campaign_row {
	int64_t id;
	struct str name;
	enum campaign_state state;
	struct str why;      /* id of the reason for a pause: "user", "canary", "login" …; n == 0: none */
	struct str why_text; /* for a person: what exactly */
	struct str subject, from; /* as written in the message file, for listings */
	struct str message_path;  /* where it came from */
	struct str content_hash;  /* of message, layout, partials, attachments: hex */
	struct str audience; /* canonical text (lists/segment.h), parsed again when the audience is fixed */
	struct str route;    /* n == 0: chosen by the configuration */
	double rate;         /* --rate, per second; 0: none of its own */
	bool canary_open;    /* only the --first ones go out; it pauses behind them */
	ms_t created, start_at, until, started, finished; /* 0: not (yet) */
	ms_t paused_ms; /* time spent paused: a message's age stands still (see [retry] expire) */
	ms_t paused_at;
	struct selection selection;
	int64_t complaints, unsubscribed;
	ms_t armed;  /* since when the brakes count; 0: from the start */
	bool spread; /* goes out by destination: see "What waits, by domain" */
};

struct campaign_new {
	struct str name, subject, from, message_path, content_hash, audience, route;
	double rate;
	int64_t canary;
	bool spread;          /* by destination instead of in id order; fixed for the campaign's life */
	ms_t start_at, until; /* start_at 0: now */
	ms_t now;
};

struct content_part {
	struct str name; /* "message", or a path relative to the message's folder */
	struct str data;
};

/* ERR_DATA: the name is taken. State PREPARING, or SCHEDULED if start_at lies ahead. */
int store_campaign_create(struct store *s, const struct campaign_new *c, const struct content_part *parts,
	size_t n, int64_t *id, struct err *e);
int store_campaign_get(struct store *s, struct str name, struct campaign_row *out,
	struct err *e); /* lent till the next call */
int store_campaign_by_id(struct store *s, int64_t id, struct campaign_row *out, struct err *e);
int store_campaigns(struct store *s, bool unfinished_only,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e);
int store_content(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct content_part *p),
	void *ctx, struct err *e);
/* Campaigns launched since `since` with that content, newest first. */
int store_campaigns_with_content(struct store *s, struct str content_hash, ms_t since,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e);

/* What people (any process) ask of a campaign. Each checks that the state allows it (ERR_DATA says why not).
 */
int store_campaign_pause(
	struct store *s, int64_t id, struct str why, struct str why_text, ms_t now, struct err *e);
struct resume_options {
	double rate;     /* < 0: leave */
	bool now;        /* deferred deliveries become due */
	int doubt;       /* -1: leave; 1: resend those in doubt (once each); 0: doubt is final */
	bool past_brake; /* what the brakes counted is forgotten: they count from here (campaign_row.armed) */
	ms_t at;
};
int store_campaign_resume(struct store *s, int64_t id, const struct resume_options *o, struct err *e);
/* Mail to that provider waits, the campaign goes on with the others. Lifted by store_campaign_resume: a
 * person's own (why "user") always, a brake's with past_brake. ERR_DATA: it is over. */
struct provider_pause {
	struct str provider, why, why_text;
	ms_t at;
};
int store_provider_pause(struct store *s, int64_t campaign, struct str provider, struct str why,
	struct str why_text, ms_t now, struct err *e);
int store_provider_pauses(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct provider_pause *p), void *ctx, struct err *e);
/* Takes effect at once, whatever its size: what is queued or deferred reads as cancelled from then on. */
int store_campaign_cancel(struct store *s, int64_t id, ms_t now, struct err *e);
/* Recorded by the deliverer or by the watcher of a foreground run. */
int store_campaign_set_rate(struct store *s, int64_t id, double rate, struct err *e);

#endif
