#include "src/base/clock.h"

#include "src/base/str.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic ms_t faked; /* 0: the real clock */

static ms_t read_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

ms_t clock_now(void)
{
	ms_t f = atomic_load_explicit(&faked, memory_order_relaxed);
	return f != 0 ? f : read_clock(CLOCK_REALTIME);
}

ms_t clock_mono(void)
{
	ms_t f = atomic_load_explicit(&faked, memory_order_relaxed);
	return f != 0 ? f : read_clock(CLOCK_MONOTONIC);
}

void clock_fake(ms_t now)
{
	atomic_store(&faked, now);
}

void clock_fake_add(ms_t span)
{
	atomic_fetch_add(&faked, span);
}

/* ---- Text ---- */

static void split_offset(int offset, char *sign, int *h, int *m)
{
	*sign = offset < 0 ? '-' : '+';
	int a = offset < 0 ? -offset : offset;
	*h = a / 3600;
	*m = a / 60 % 60;
}

/* Within what four digits of a year can say, so that no text outgrows its room. */
static ms_t within_years(ms_t t)
{
	const ms_t first = -62167132800000 /* 0000-01-02 */, last = 253402214399999 /* 9999-12-30 */;
	return t < first ? first : t > last ? last : t;
}

char *clock_iso(const struct zone *z, ms_t t, char out[CLOCK_TEXT])
{
	struct civil c;
	char sign, frac[8] = "";
	int h, m;
	t = within_years(t);
	clock_civil(z, t, &c);
	split_offset(c.offset, &sign, &h, &m);
	int part = (int)((t % 1000 + 1000) % 1000);
	if (part != 0)
		snprintf(frac, sizeof frac, ".%03u", (unsigned)part % 1000);
	snprintf(out, CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d%s%c%02d:%02d", c.year, c.month, c.day,
		c.hour, c.minute, c.second, frac, sign, h, m);
	return out;
}

char *clock_text(const struct zone *z, ms_t t, char out[CLOCK_TEXT])
{
	char iso[CLOCK_TEXT];
	clock_iso(z, t - ((t % 1000) + 1000) % 1000, iso);
	iso[10] = ' ';
	snprintf(out, CLOCK_TEXT, "%.19s %.6s", iso, iso + 19);
	return out;
}

/* Without printf: a report has two of these in each of its millions of rows. */
static char *digits(char *p, int value, int width, char end)
{
	for (int i = width; i-- > 0; value /= 10)
		p[i] = (char)('0' + value % 10);
	p[width] = end;
	return p + width + 1;
}

char *clock_utc(ms_t t, char out[CLOCK_TEXT])
{
	struct civil c;
	t = within_years(t);
	clock_civil(NULL, t, &c);
	char *p = digits(out, c.year, 4, '-');
	p = digits(p, c.month, 2, '-');
	p = digits(p, c.day, 2, 'T');
	p = digits(p, c.hour, 2, ':');
	p = digits(p, c.minute, 2, ':');
	p = digits(p, c.second, 2, '.');
	*digits(p, (int)((t % 1000 + 1000) % 1000), 3, 'Z') = '\0';
	return out;
}

char *clock_rfc5322(const struct zone *z, ms_t t, char out[CLOCK_TEXT])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct civil c;
	char sign;
	int h, m;
	clock_civil(z, within_years(t), &c);
	split_offset(c.offset, &sign, &h, &m);
	snprintf(out, CLOCK_TEXT, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d", days[c.weekday], c.day,
		months[c.month - 1], c.year, c.hour, c.minute, c.second, sign, h, m);
	return out;
}

char *clock_span_text(ms_t span, char out[CLOCK_TEXT])
{
	const char *minus = span < 0 ? "-" : "";
	if (span < 0)
		span = span == INT64_MIN ? INT64_MAX : -span;
	long long s = span / SECOND;
	if (s < 60)
		snprintf(out, CLOCK_TEXT, "%s%llds", minus, s);
	else if (s < 3600)
		snprintf(out, CLOCK_TEXT, "%s%lldm %02llds", minus, s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, CLOCK_TEXT, "%s%lldh %02lldm", minus, s / 3600, s / 60 % 60);
	else
		snprintf(out, CLOCK_TEXT, "%s%lldd %lldh", minus, s / 86400, s / 3600 % 24);
	return out;
}

/* ---- Reading ---- */

static const ms_t LONGEST_SPAN = 36525 * DAY;

static bool span_read(struct str s, ms_t *out)
{
	static const struct {
		char letter;
		ms_t ms;
	} units[] = {{'s', SECOND}, {'m', MINUTE}, {'h', HOUR}, {'d', DAY}, {'w', 7 * DAY}, {'y', 365 * DAY}};
	if (str_is(s, "0")) {
		*out = 0;
		return true;
	}
	ms_t total = 0, last = INT64_MAX;
	size_t i = 0;
	while (i < s.n) {
		size_t digits = i;
		long long n;
		while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
			digits++;
		if (digits == i || digits == s.n || !str_int(str_n(s.p + i, digits - i), 0, 1000000000, &n))
			return false;
		ms_t unit = 0;
		for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
			if (units[u].letter == s.p[digits])
				unit = units[u].ms;
		/* From large to small, each unit once: "3m1h" is a slip of the pen. */
		if (unit == 0 || unit >= last || n > LONGEST_SPAN / unit)
			return false;
		last = unit;
		total += n * unit;
		i = digits + 1;
	}
	*out = total;
	return s.n != 0 && total <= LONGEST_SPAN;
}

int clock_span(const char *text, ms_t *out, struct err *e)
{
	if (span_read(str_trim(str_from(text)), out))
		return 0;
	err_set(e, ERR_USAGE, "not a span of time", "%.60s", text);
	return err_remedy(e, "write for example 90s, 15m, 2h, 1h30m or 3d");
}

/* Takes exactly `digits` digits. */
static bool take_number(struct str *s, size_t digits, int *out)
{
	if (s->n < digits)
		return false;
	int v = 0;
	for (size_t i = 0; i < digits; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*out = v;
	s->p += digits;
	s->n -= digits;
	return true;
}

static bool take(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

/* "+09:00", "+0900", "+09", "Z". */
static bool take_offset(struct str *s, int *offset)
{
	int h, m = 0;
	if (take(s, 'Z') || take(s, 'z')) {
		*offset = 0;
		return true;
	}
	bool west = s->n > 0 && s->p[0] == '-';
	if (!take(s, '+') && !take(s, '-'))
		return false;
	if (!take_number(s, 2, &h))
		return false;
	if (take(s, ':') || s->n > 0) {
		if (!take_number(s, 2, &m))
			return false;
	}
	if (h > 15 || m > 59)
		return false;
	*offset = (h * 3600 + m * 60) * (west ? -1 : 1);
	return true;
}

struct iso {
	struct civil c;
	int millis;
	bool has_time, has_offset;
};

static bool iso_read(struct str s, struct iso *t)
{
	*t = (struct iso){0};
	if (!take_number(&s, 4, &t->c.year) || !take(&s, '-') || !take_number(&s, 2, &t->c.month) ||
		!take(&s, '-') || !take_number(&s, 2, &t->c.day))
		return false;
	if (s.n == 0)
		return true;
	if (!take(&s, 'T') && !take(&s, 't') && !take(&s, ' '))
		return false;
	t->has_time = true;
	if (!take_number(&s, 2, &t->c.hour) || !take(&s, ':') || !take_number(&s, 2, &t->c.minute))
		return false;
	if (take(&s, ':') && !take_number(&s, 2, &t->c.second))
		return false;
	if (take(&s, '.')) {
		int scale = 100, digits = 0;
		for (; s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9'; s.p++, s.n--, digits++, scale /= 10)
			t->millis += (s.p[0] - '0') * scale;
		if (digits == 0)
			return false;
	}
	if (s.n == 0)
		return true;
	t->has_offset = true;
	return take_offset(&s, &t->c.offset) && s.n == 0;
}

/* How many instants it says, as clock_local(). */
static int iso_instants(const struct iso *t, const struct zone *z, ms_t *out)
{
	int n = clock_local(t->has_offset ? NULL : z, &t->c, out);
	if (n >= 0)
		*out += t->millis - (ms_t)t->c.offset * 1000;
	return n;
}

bool clock_read(const char *text, const struct zone *z, ms_t *out)
{
	struct iso t;
	return iso_read(str_trim(str_from(text)), &t) && iso_instants(&t, z, out) >= 0;
}

static int iso_parse(const char *text, const struct iso *t, const struct zone *z, ms_t *out, struct err *e)
{
	int n = iso_instants(t, z, out);
	/* A day has a beginning, whatever the clock does at midnight. */
	if (n == 1 || (n >= 0 && !t->has_time))
		return 0;
	if (n < 0)
		return err_set(e, ERR_USAGE, "not a time", "%.60s: there is no such date or time", text);
	if (n == 0)
		err_set(e, ERR_USAGE, "not a time",
			"%.60s does not exist in %s: the clock is put forward over it", text,
			clock_zone_name(z));
	else
		err_set(e, ERR_USAGE, "ambiguous time", "%.60s comes twice in %s: the clock is put back",
			text, clock_zone_name(z));
	char example[CLOCK_TEXT];
	return err_remedy(e, "add the offset, for example %s", clock_iso(z, *out, example));
}

int clock_parse(const char *text, const struct zone *z, ms_t now, ms_t *out, struct err *e)
{
	struct str s = str_trim(str_from(text));
	struct iso t;
	ms_t span;
	if (span_read(s, &span)) {
		*out = now + span;
		return 0;
	}
	if (!iso_read(s, &t)) {
		err_set(e, ERR_USAGE, "not a time", "%.60s", text);
		return err_remedy(e, "write 2026-12-01T09:00+09:00, a local time as \"2026-12-01 09:00\", or "
				     "a span as 15m or 2h");
	}
	return iso_parse(text, &t, z, out, e);
}
