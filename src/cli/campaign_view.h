/* How a campaign is shown: the progress line, the JSON document of send, resume, status and report, and the
 * remedy for each reason of a pause. */
#ifndef CLI_CAMPAIGN_VIEW_H
#define CLI_CAMPAIGN_VIEW_H

#include "src/cli/report_data.h"
#include "src/db/campaign.h"
#include "src/db/live.h"
#include "src/db/report.h"

#include <jansson.h>

/* "june: 12,345 of 50,000 (24.7 %), 830/s, done about 09:41, 125 deferred, 120 bounced; limit: route main:
 * 14/s" */
void view_progress(struct buf *out, const struct campaign_row *c, const struct campaign_counts *n,
	const struct live *live, const struct zone *z, ms_t now);
/* docs/INTERFACE.md: the document; `whole` adds providers and reasons. NULL: out of memory. */
json_t *view_json(const struct report *r, bool whole, ms_t now);
/* What a person can do about a paused campaign; "" where nothing is to be said. `name` of the campaign. */
void view_remedy(struct buf *out, struct str why, struct str name);
/* For people, in lines of so many columns; providers and reasons where they were gathered. */
void view_text(struct buf *out, const struct report *r, const struct zone *z, ms_t now, size_t columns);

void view_shortened(
	struct buf *out, struct str s, size_t columns); /* at most so many columns of it, made safe */
void view_padded(struct buf *out, struct str s, size_t columns); /* the same, and blanks up to there */
void brakes_text(struct buf *out, const struct report *r); /* report_brakes.c: where they were gathered */
json_t *brakes_json(const struct report *r);
/* The options that chose its people, as they are typed. `audience` as the campaign keeps it. */
void view_audience(struct buf *out, struct str audience);
json_t *view_str(struct str s); /* json_str(), but null for n == 0 */

#endif
