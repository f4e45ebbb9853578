/* The brake of a campaign: stops it when it does harm.
 *
 * Pure: it counts what came of the deliveries, for each provider and in all, and says when a share has passed
 * its limit. What is looked at are the last answers, BRAKE_SPAN of them (or ten times `after`), and all of
 * them while they are fewer: so a list that is bad from its beginning is found after `after` answers, and a
 * burst late in a huge campaign is not hidden behind all that went well before.
 *
 *  - bounces: addresses refused for good, by reply or by returned message, of those answered for good;
 *  - blocks: refused for what we are, of the same;
 *  - complaints: of what was accepted (the last COMPLAINT_SPAN); one alone is no share;
 *  - refusals in a row, long before a share is known: a provider that takes nothing at all (only mail to that
 * one need stop), or nobody does. */
#ifndef ENGINE_BRAKE_H
#define ENGINE_BRAKE_H

#include "src/base/buf.h"
#include "src/base/clock.h"

#include <stdint.h>

enum { BRAKE_SPAN = 2000, COMPLAINT_SPAN = 10000 };

struct brake_limits { /* shares: 0.05 is 5 %; 0 switches one off, 1 is never passed */
	double bounces, blocks, complaints;
	int64_t after; /* so many answers before the brake may act */
};

enum brake_event {
	BRAKE_ACCEPTED,
	BRAKE_BOUNCED,
	BRAKE_BLOCKED,
	BRAKE_RETURNED,       /* accepted before, and came back */
	BRAKE_RETURNED_BLOCK, /* the same, for what we are */
	BRAKE_COMPLAINT,
	BRAKE_NEVENTS
};

enum brake_kind { BRAKE_NONE, BRAKE_BOUNCES, BRAKE_BLOCKS, BRAKE_COMPLAINTS };

struct brake_finding {
	enum brake_kind kind;
	struct str provider; /* n == 0: in all. Lives as long as the brake */
	int64_t bad, of;
	double limit;
	bool refuses_all; /* nothing of the last `of` was taken. Where a provider is named, only its mail need
			     stop */
};

struct brake;

struct brake *brake_new(const struct brake_limits *l); /* NULL: out of memory */
void brake_free(struct brake **b);
/* Armed anew at that time: counts from here. Nothing happens if it was armed then already. */
void brake_arm(struct brake *b, ms_t at);
/* domain: the recipient's; of many domains alike refusals say more than of one. */
void brake_count(struct brake *b, struct str provider, struct str domain, enum brake_event what, int64_t n);
/* What came back since the campaign began, as totals: what is new since the last call is counted. After the
 * last provider: brake_returned_done(). The first totals after arming are where counting begins. */
void brake_returned(
	struct brake *b, struct str provider, int64_t bounced, int64_t blocked, int64_t complaints);
void brake_returned_done(struct brake *b);
/* True: a limit is passed; the worst finding. A provider that refuses all is named once; its refusals then
 * count for nothing until it takes something. */
bool brake_check(struct brake *b, struct brake_finding *out);
const char *brake_reason(enum brake_kind k); /* "brake-bounces" … */
/* For a person: "5.6 % of the last 2,000 answers from google were …". */
void brake_explain(const struct brake_finding *f, struct buf *out);

/* To go on after a restart. Text; one for each provider that was counted. What was counted before it was
 * armed last (brake_arm() comes first) is not taken over. */
size_t brake_providers(const struct brake *b);
/* The i-th; false: nothing of it changed since it was last saved. */
bool brake_save(struct brake *b, size_t i, struct str *provider, struct buf *out);
bool brake_load(struct brake *b, struct str provider, struct str saved); /* false: not readable, ignored */
/* For reports: what stands in a saved text, with the limits that were in force. */
struct brake_view {
	int64_t answered, bounced, blocked, accepted, complaints; /* of the last ones, as they are judged */
	struct brake_limits limits;
};
bool brake_read(struct str saved, struct brake_view *out);

#endif
