/* Seeing it: campaigns in numbers, deliveries, attempts, failures. */
#ifndef DB_REPORT_H
#define DB_REPORT_H

#include "src/db/delivery.h"
#include "src/db/returned.h"
#include "src/db/store.h"

struct campaign_counts {
	int64_t state[DELIVERY_NSTATES]; /* add up to the audience */
	int64_t attempts;
	int64_t doubted;    /* ever */
	int64_t fresh;      /* not yet attempted, and nothing keeps them back */
	int64_t parked;     /* not yet attempted, and wait for the end of their provider's pause */
	int64_t resend_due; /* in doubt and to be sent once more */
};
/* From running tallies: cost does not depend on the audience. `holder_alive` false shows standing intents as
 * doubt. */
int store_campaign_counts(
	struct store *s, int64_t campaign, bool holder_alive, struct campaign_counts *out, struct err *e);

struct provider_row {
	struct str provider;
	int64_t state[DELIVERY_NSTATES];
};
int store_report_providers(struct store *s, int64_t campaign, bool holder_alive,
	int (*row)(void *ctx, const struct provider_row *r), void *ctx, struct err *e);
struct reason_row {
	enum reply_class class; /* NONE: of those who were skipped */
	struct str reason, provider;
	int64_t deliveries;
	struct str example; /* a reply; of a skipped one what its letter said, "" if none was made */
};
int store_report_reasons(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct reason_row *r),
	void *ctx, struct err *e);
struct timeline_row {
	ms_t minute;
	int64_t sent, deferred, failed;
};
int store_report_timeline(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct timeline_row *r), void *ctx, struct err *e);

struct delivery_row {
	int64_t id, campaign_id, contact;
	struct str campaign, address; /* address n == 0: forgotten */
	enum delivery_state state;
	int attempts;
	int code;
	struct str enhanced, reply, reason, provider, domain, site, route, relay_id;
	enum reply_class class;
	enum reply_scope scope;
	ms_t first_attempt, last_attempt, due;
	bool doubted;
};
/* Every delivery of a campaign with its last attempt, in id order. states 0: all. In slices. */
int store_deliveries(struct store *s, int64_t campaign, unsigned states, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e);
int store_delivery_get(
	struct store *s, int64_t delivery, bool holder_alive, struct delivery_row *out, struct err *e);
/* Everything sent to one contact, oldest first. */
int store_deliveries_of(struct store *s, int64_t contact, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e);

struct attempt_row {
	int64_t delivery;
	int n;
	ms_t at;
	enum outcome_kind kind;
	enum delivery_state state;
	int code;
	struct str enhanced, reply, reason, site, route, relay_id;
	enum reply_class class;
	enum reply_scope scope;
	struct str dialogue; /* what was said, if it failed; only by store_attempts() */
};
int store_attempts(struct store *s, int64_t delivery, int (*row)(void *ctx, const struct attempt_row *a),
	void *ctx, struct err *e);

struct failure_query {
	int64_t campaign;            /* 0: any */
	ms_t since, until;           /* until 0: open */
	int class;                   /* -1: any */
	struct str provider, reason; /* n == 0: any */
	bool nobodys;                /* also returned messages that could be attributed to no delivery */
	int64_t after;               /* resume the walk behind this id; 0: from the start */
};
struct failure_row {
	int64_t id;                   /* shown to people, given to --explain */
	struct delivery_row delivery; /* id 0: a returned message of nobody's */
	struct attempt_row attempt;   /* of a returned message: what it says, n 0 */
	bool returned;
	struct returned_row back; /* of a returned message */
};
/* Refusals and returned messages, oldest first. In slices. */
int store_failures(struct store *s, const struct failure_query *q,
	int (*row)(void *ctx, const struct failure_row *f), void *ctx, struct err *e);
int store_failure_get(struct store *s, int64_t id, struct failure_row *out, struct err *e);

#endif
