#include "engine/shape/shaper_private.h"

#include <stdio.h>

static void until_text(
	const struct shaper *s, const struct zone *z, int64_t now, ms_t wall, char *out, size_t n)
{
	char when[CLOCK_TEXT];
	snprintf(out, n, "until %s", clock_text(z, wall + (s->until - now) / US_PER_MS, when));
}

void shaper_limit_text(const struct shaper *s, const char *who, const struct zone *z, int64_t now, ms_t wall,
	char *out, size_t n)
{
	char until[CLOCK_TEXT + 8];
	const char *colon = s->words[0] != '\0' ? ": " : "";
	out[0] = '\0';
	switch (s->state) {
	case SHAPER_SUSPENDED:
	case SHAPER_DOWN:
		until_text(s, z, now, wall, until, sizeof until);
		snprintf(out, n, "%s: %s %s%s%s", who, s->state == SHAPER_DOWN ? "down" : "suspended", until,
			colon, s->words);
		return;
	case SHAPER_PROBING:
		snprintf(out, n, "%s: one message probes%s%s", who, colon, s->words);
		return;
	case SHAPER_RECOVERING:
		snprintf(out, n, "%s: recovering, %g of %g connections%s%s", who, s->steps, s->steps_of,
			colon, s->words);
		return;
	default:
		break;
	}
	switch (s->bind) {
	case SHAPER_BY_RATE:
		snprintf(out, n, "%s: %g/s", who, s->limits.rate.per_second);
		break;
	case SHAPER_BY_RECEIVER_RATE:
		snprintf(out, n, "%s: %.3g/s, which is what it takes", who, s->rate);
		break;
	case SHAPER_BY_CONNECTIONS:
		snprintf(out, n, "%s: %d connections", who, s->limits.connections);
		break;
	case SHAPER_BY_RECEIVER_CONNECTIONS:
		snprintf(out, n, "%s: %d connections so far", who, (int)s->window);
		break;
	case SHAPER_BY_CONNECTION_RATE:
		snprintf(out, n, "%s: %g new connections a second", who, s->limits.connection_rate);
		break;
	default:
		break;
	}
}
