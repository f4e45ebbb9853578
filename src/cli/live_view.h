/* How the delivery stands now: routes, providers and sites with their state, and the limit that binds each.
 */
#ifndef CLI_LIVE_VIEW_H
#define CLI_LIVE_VIEW_H

#include "src/cli/report_data.h"

#include <jansson.h>

/* Adds "routes", "providers", "sites", "holding" and "held_suppressions" to the document (docs/INTERFACE.md).
 */
void live_json(json_t *doc, const struct report *r);
/* A table, the most troubled and busiest first; nothing where nobody delivers. */
void live_text(struct buf *out, const struct report *r, const struct zone *z, size_t columns);

#endif
