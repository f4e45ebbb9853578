/* Time. All times in the program are int64_t milliseconds since 1970-01-01T00:00Z ("ms").
 *
 * Protocol cores, renderers and the store never read a clock: they are given `now`. The few places that do
 * read it go through here, so that a test can hold or move time (clock_fake). Zones are IANA names, read from
 * the system's TZif files (RFC 9636) by a reader of our own: the C library knows one zone for a process. A
 * zone is loaded once and kept (clock_zone). Times before 0000-01-02 or after 9999-12-30 are shown as those.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "src/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t ms_t;

#define SECOND ((ms_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

ms_t clock_now(void);  /* wall clock */
ms_t clock_mono(void); /* monotonic, arbitrary origin */
/* Tests: from now on clock_now() and clock_mono() return `now` + what clock_fake_add() added. Pass 0 to go
 * back to the real clock. */
void clock_fake(ms_t now);
void clock_fake_add(ms_t span);

struct zone; /* an IANA time zone; immutable once loaded, shared by threads, freed with the process */
/* NULL or "" loads the system's own zone ($TZ, a name or a rule; /etc/localtime; else UTC). Unknown or
 * damaged: ERR_CONFIG. */
const struct zone *clock_zone(const char *name, struct err *e);
const char *clock_zone_name(const struct zone *z); /* NULL: "UTC" */

struct civil {
	int year, month, day;     /* 2026, 1..12, 1..31 */
	int hour, minute, second; /* second 0..60 */
	int weekday;              /* 0 = Sunday */
	int yearday;              /* 0 = 1 January */
	int offset;               /* seconds east of UTC */
	char abbrev[8];           /* "JST" */
};

/* Wherever a zone is taken, NULL is UTC. */
void clock_civil(const struct zone *z, ms_t t, struct civil *c);
/* Local civil time to ms. Returns the number of instants that have this local time: 1; 0 (skipped by a clock
 * change); 2 (ambiguous; *t is the first). For 0, *t is the instant read with the offset before the change.
 * Only year … second are read. Out-of-range fields are not normalised: -1. */
int clock_local(const struct zone *z, const struct civil *c, ms_t *t);

#define CLOCK_TEXT 40
/* "2026-12-01T09:00:00+09:00" in the zone; with millis "….250+09:00". */
char *clock_iso(const struct zone *z, ms_t t, char out[CLOCK_TEXT]);
/* The same for people, to the second: "2026-12-01 09:00:00 +09:00". */
char *clock_text(const struct zone *z, ms_t t, char out[CLOCK_TEXT]);
/* RFC 3339 UTC: "2026-12-01T00:00:00.000Z". */
char *clock_utc(ms_t t, char out[CLOCK_TEXT]);
/* RFC 5322 3.3: "Tue, 1 Dec 2026 09:00:00 +0900". */
char *clock_rfc5322(const struct zone *z, ms_t t, char out[CLOCK_TEXT]);

/* "15m", "2h", "3d", "90s", "1h30m", "1w", "3y", "0" to ms. ERR_USAGE; at most a hundred years. */
int clock_span(const char *text, ms_t *out, struct err *e);
/* TIME of docs/INTERFACE.md: ISO 8601 with offset or Z, a local time in `z` ("2026-12-01 09:00", T or blank,
 * seconds optional, a date alone is where that day begins), or a span from `now`. ERR_USAGE with the reason,
 * also where a clock change makes the local time ambiguous or missing. */
int clock_parse(const char *text, const struct zone *z, ms_t now, ms_t *out, struct err *e);
/* The same without spans, of what others wrote down, whom nobody can ask: where a local time comes twice the
 * first is taken, and one that the clock was put forward over is as late as if it had not been. */
bool clock_read(const char *text, const struct zone *z, ms_t *out);
/* "1h 03m", "42s", "3d 4h": for people. */
char *clock_span_text(ms_t span, char out[CLOCK_TEXT]);

#endif
