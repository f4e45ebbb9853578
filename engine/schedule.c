#include "engine/schedule.h"

ms_t schedule_retry(
	const struct config *c, int attempt, ms_t first, ms_t paused, ms_t now, ms_t least, uint64_t seed)
{
	size_t i = attempt < 1 ? 0 : (size_t)attempt - 1;
	if (i >= c->nretry)
		i = c->nretry - 1;
	ms_t delay = c->retry_delays[i] > least ? c->retry_delays[i] : least;
	seed ^= seed >> 33;
	seed *= 0xff51afd7ed558ccdULL;
	seed ^= seed >> 33;
	delay += (ms_t)((double)delay * 0.1 * (double)(seed >> 11) / 9007199254740992.0);
	return now + delay - first - paused > c->retry_expire ? 0 : now + delay;
}

ms_t schedule_quiet(const struct config *c, ms_t now)
{
	if (c->quiet_from == c->quiet_to)
		return 0;
	struct civil at;
	clock_civil(c->zone, now, &at);
	int minute = at.hour * 60 + at.minute;
	bool quiet = c->quiet_from < c->quiet_to ? minute >= c->quiet_from && minute < c->quiet_to
						 : minute >= c->quiet_from || minute < c->quiet_to;
	if (!quiet)
		return 0;
	/* The end is a local time: on the day of a clock change it is not so many hours away as on others. */
	struct civil end;
	ms_t t;
	/* Two hours past midnight is on the next day, whatever the clock does in that night. */
	clock_civil(c->zone, minute < c->quiet_to ? now : now + (26 * 60 - minute) * MINUTE, &end);
	end.hour = c->quiet_to / 60;
	end.minute = c->quiet_to % 60;
	end.second = 0;
	int left = (c->quiet_to - minute + 24 * 60) % (24 * 60);
	return clock_local(c->zone, &end, &t) > 0 && t > now ? t : now + left * MINUTE;
}
