/* What a report shows of one campaign, gathered once and drawn as text, JSON or HTML. */
#ifndef CLI_REPORT_DATA_H
#define CLI_REPORT_DATA_H

#include "engine/brake.h"
#include "src/base/arena.h"
#include "src/db/campaign.h"
#include "src/db/lease.h"
#include "src/db/live.h"
#include "src/db/report.h"
#include "src/db/suppress.h"

struct report_provider {
	struct str name; /* "" unknown */
	int64_t state[DELIVERY_NSTATES], total;
};

struct report_reason {
	enum reply_class class;
	struct str reason, example;
	int64_t deliveries;
};

struct report_refusal { /* one reason at one provider */
	enum reply_class class;
	struct str reason, provider;
	int64_t deliveries;
};

struct report_back { /* what came back of what a provider had accepted */
	struct str provider;
	int64_t bounced, blocked, complaints;
};

struct report_brake {
	struct str provider; /* "" in all */
	struct brake_view view;
};

struct report_point {
	ms_t minute;
	int64_t sent, deferred, failed;
};

struct report {
	struct arena arena; /* of all strings */
	struct campaign_row campaign;
	struct campaign_counts counts;
	struct live live;
	struct holder holder;
	bool held;                         /* somebody delivers */
	bool rehearsal;                    /* its database is gone: nothing of it can be resumed */
	const char *state;                 /* its name, `interrupted` where nobody holds it */
	struct report_provider *providers; /* most deliveries first */
	size_t nproviders;
	struct report_reason *reasons; /* providers added up, most first */
	size_t nreasons;
	struct report_reason *skips; /* likewise, why people were skipped; of no class */
	size_t nskips;
	struct report_refusal *refusals; /* the same, not added up; most first */
	size_t nrefusals;
	struct report_back *backs;
	size_t nbacks;
	struct report_point *points;
	size_t npoints;
	struct report_brake *brakes; /* in all first, then providers */
	size_t nbrakes;
	struct provider_pause *pauses; /* providers whose mail waits, oldest first */
	size_t npauses;
	struct live_group
		*groups; /* routes, providers and sites as they are now; none where nobody delivers */
	size_t ngroups;
	struct holding *holdings; /* receivers whose word is not believed at once */
	size_t nholdings;
	int64_t held_suppressions;
};

/* `whole`: with providers, reasons and the timeline; without, what `status` needs. */
int report_gather(struct report *r, struct store *s, int64_t campaign, bool whole, ms_t now, struct err *e);
void report_release(struct report *r);
/* Why somebody was skipped, in plain words; "" where the reason has none. */
const char *skip_words(struct str reason);
/* Milliseconds from the start to the end, or until now. */
ms_t report_duration(const struct report *r, ms_t now);

/* A whole page with inline styles and plots. */
struct zone;
void report_html(struct buf *out, const struct report *r, size_t n, const struct zone *z, ms_t now);

#endif
