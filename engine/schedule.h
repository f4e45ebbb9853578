/* When: retries, quiet hours, deadlines. Pure functions of their arguments. */
#ifndef ENGINE_SCHEDULE_H
#define ENGINE_SCHEDULE_H

#include "src/config/config.h"

#include <stdint.h>

/* The time of the attempt after number `attempt` (from 1) that failed at `now`, or 0: retries are used up
 * (the message's age, pauses apart, would pass [retry] expire). `least` is the shortest delay that the
 * verdict allows. Spread by up to a tenth, by `seed`, so that what was deferred together does not come back
 * together. */
ms_t schedule_retry(
	const struct config *c, int attempt, ms_t first, ms_t paused, ms_t now, ms_t least, uint64_t seed);
/* 0: mail may go out now; else the end of the quiet hours. */
ms_t schedule_quiet(const struct config *c, ms_t now);

#endif
