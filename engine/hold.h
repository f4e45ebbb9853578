/* Receivers make mistakes too: when one suddenly calls many addresses unknown that it took before, its word
 * is not believed at once. What is suppressed on it meanwhile is held (src/db/suppress.h, "Held
 * suppressions").
 *
 * Pure. For each provider, and for each domain without a known one, it looks at the last HOLD_WINDOW answers:
 * more than a tenth of at least 200 called unknown, or five times the usual share of that receiver, is a
 * burst. It is over when 200 answers show less than half of that, or nobody was called unknown for a day.
 * Memory is fixed: what was asked least is forgotten first. */
#ifndef ENGINE_HOLD_H
#define ENGINE_HOLD_H

#include "src/base/buf.h"
#include "src/base/clock.h"

enum { HOLD_WINDOW = 2000, HOLD_AFTER = 200 };

struct holds;

enum hold_change {
	HOLD_NOTHING,
	HOLD_BEGINS, /* what was suppressed since *since is of the burst as well */
	HOLD_GOES_ON,
	HOLD_ENDS,
};

struct holds *holds_new(void); /* NULL: out of memory */
void holds_free(struct holds **h);
/* An answer for good about an address: taken, or unknown. `group`: the provider's name, or "@domain". */
enum hold_change holds_count(struct holds *h, struct str group, bool unknown, ms_t now, ms_t *since);

/* To go on after a restart: calls `save` for each group that is worth keeping and has changed. */
int holds_save(struct holds *h, int (*save)(void *ctx, struct str group, struct str text), void *ctx);
bool holds_load(struct holds *h, struct str group, struct str text); /* false: not readable, ignored */

#endif
