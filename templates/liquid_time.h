/* Times in templates: reading what people write as Ruby's Time.parse reads it, and writing as its strftime
 * does. */
#ifndef TEMPLATES_LIQUID_TIME_H
#define TEMPLATES_LIQUID_TIME_H

#include "templates/liquid_private.h"

struct moment {
	struct civil c;  /* as the template's zone, or the text's own offset, shows it */
	int64_t seconds; /* since 1970 UTC */
	int32_t nanoseconds;
	bool utc;   /* %Z says UTC */
	bool fixed; /* an offset of the text's own: %Z says nothing */
};

/* False: it is no time. `now` completes what the text leaves out. `japanese`: 2026年3月14日 is one, too. */
bool lq_time_parse(struct str s, const struct zone *zone, ms_t now, bool japanese, struct moment *out);
void lq_time_at(const struct zone *zone, int64_t seconds, int32_t nanoseconds, struct moment *out);
/* False: it ends in the middle of a directive. */
bool lq_strftime(struct text *t, struct str format, const struct moment *m, const struct locale *l);
int64_t lq_days(int64_t year, int month, int day); /* since 1970-01-01 */

#endif
