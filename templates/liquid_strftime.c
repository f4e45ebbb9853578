#include "templates/liquid_time.h"

#include <stdio.h>

struct spec { /* %[-0^#_:]*width X */
	char pad;
	bool upper, swap;
	int colons, width;
};

static bool leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

int64_t lq_days(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from(int64_t local, struct civil *c)
{
	int64_t days = local / 86400, rest = local % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365,
		doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	int64_t year = yoe + era * 400 + (c->month <= 2);
	c->year = (int)year;
	c->hour = (int)(rest / 3600);
	c->minute = (int)(rest / 60 % 60);
	c->second = (int)(rest % 60);
	c->weekday = (int)(((days + 4) % 7 + 7) % 7);
	c->yearday = (int)(days - lq_days(year, 1, 1));
}

void lq_civil_utc(ms_t t, struct civil *c)
{
	*c = (struct civil){0};
	int64_t s = t / 1000 - (t % 1000 < 0);
	civil_from(s, c);
	memcpy(c->abbrev, "UTC", 4);
}

void lq_time_at(const struct zone *zone, int64_t seconds, int32_t nanoseconds, struct moment *out)
{
	/* Beyond what years people write, only keep the arithmetic defined. */
	const int64_t limit = INT64_C(300000000000);
	if (seconds > limit)
		seconds = limit;
	if (seconds < -limit)
		seconds = -limit;
	*out = (struct moment){.seconds = seconds, .nanoseconds = nanoseconds};
	if (zone != NULL)
		clock_civil(zone, seconds * 1000, &out->c);
	else
		lq_civil_utc(seconds * 1000, &out->c);
	out->utc = zone == NULL;
}

static void put_padded(struct text *t, const struct spec *s, const char *digits, size_t n, bool negative,
	int width, char pad)
{
	if (s->pad == '-')
		width = 0;
	else if (s->pad != 0)
		pad = s->pad == '_' ? ' ' : '0';
	if (s->width > 0 && s->pad != '-')
		width = s->width;
	int fill = width - (int)n - negative;
	if (negative && pad == '0')
		lq_text_add(t, "-", 1);
	for (; fill > 0; fill--)
		lq_text_add(t, &pad, 1);
	if (negative && pad != '0')
		lq_text_add(t, "-", 1);
	lq_text_add(t, digits, n);
}

static void put_number(struct text *t, const struct spec *s, int64_t v, int width, char pad)
{
	char b[24];
	char *p = b + sizeof b;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	put_padded(t, s, p, (size_t)(b + sizeof b - p), v < 0, width, pad);
}

static void put_word(struct text *t, const struct spec *s, const char *word, bool swap_lowers)
{
	size_t n = strlen(word);
	char pad = s->pad == '0' ? '0' : ' ';
	for (int fill = s->width - (int)n; fill > 0; fill--)
		lq_text_add(t, &pad, 1);
	for (size_t i = 0; i < n; i++) {
		char c = word[i];
		if ((s->upper || (s->swap && !swap_lowers)) && c >= 'a' && c <= 'z')
			c ^= 0x20;
		else if (s->swap && swap_lowers && c >= 'A' && c <= 'Z')
			c ^= 0x20;
		lq_text_add(t, &c, 1);
	}
}

static void put_offset(struct text *t, const struct spec *s, int offset)
{
	char b[24];
	unsigned a = (unsigned)(offset < 0 ? -offset : offset);
	int n;
	if (s->colons == 0)
		n = snprintf(b, sizeof b, "%02u%02u", a / 3600, a / 60 % 60);
	else if (s->colons == 3 && a % 3600 == 0)
		n = snprintf(b, sizeof b, "%02u", a / 3600);
	else if (s->colons == 1 || (s->colons == 3 && a % 60 == 0))
		n = snprintf(b, sizeof b, "%02u:%02u", a / 3600, a / 60 % 60);
	else
		n = snprintf(b, sizeof b, "%02u:%02u:%02u", a / 3600, a / 60 % 60, a % 60);
	char sign = offset < 0 ? '-' : '+';
	int fill = s->width - n - 1;
	for (; s->pad == '_' && fill > 0; fill--)
		lq_text_add(t, " ", 1);
	lq_text_add(t, &sign, 1);
	for (; fill > 0; fill--)
		lq_text_add(t, "0", 1);
	lq_text_add(t, b, (size_t)n);
}

static void put_fraction(struct text *t, const struct spec *s, int32_t nanoseconds, int digits)
{
	char b[16];
	if (s->width > 0)
		digits = s->width;
	snprintf(b, sizeof b, "%09d", (int)nanoseconds);
	for (int i = 0; i < digits; i++)
		lq_text_add(t, i < 9 ? &b[i] : "0", 1);
}

/* ISO 8601 week and its year. */
static int iso_week(const struct civil *c, int *year)
{
	int wday = (c->weekday + 6) % 7, week = (c->yearday - wday + 10) / 7;
	*year = c->year;
	if (week < 1) {
		--*year;
		int days = leap(*year) ? 366 : 365;
		return (c->yearday + days - wday + 10) / 7;
	}
	if (week == 53) {
		int first_next = (wday + (leap(c->year) ? 366 : 365) - c->yearday) % 7;
		if (first_next <= 3) {
			++*year;
			return 1;
		}
	}
	return week;
}

static const char *expansion(char x)
{
	switch (x) {
	case 'c':
		return "%a %b %e %H:%M:%S %Y";
	case 'D':
	case 'x':
		return "%m/%d/%y";
	case 'F':
		return "%Y-%m-%d";
	case 'T':
	case 'X':
		return "%H:%M:%S";
	case 'R':
		return "%H:%M";
	case 'r':
		return "%I:%M:%S %p";
	case 'v':
		return "%e-%^b-%Y";
	default:
		return NULL;
	}
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool put_date(struct text *t, const struct spec *s, char x, const struct civil *c)
{
	int year, hour12 = c->hour % 12 == 0 ? 12 : c->hour % 12;
	switch (x) {
	case 'Y':
		put_number(t, s, c->year, c->year < 0 ? 5 : 4, '0');
		break;
	case 'C':
		put_number(t, s, floor_div(c->year, 100), 2, '0');
		break;
	case 'y':
		put_number(t, s, c->year - floor_div(c->year, 100) * 100, 2, '0');
		break;
	case 'm':
		put_number(t, s, c->month, 2, '0');
		break;
	case 'd':
		put_number(t, s, c->day, 2, '0');
		break;
	case 'e':
		put_number(t, s, c->day, 2, ' ');
		break;
	case 'j':
		put_number(t, s, c->yearday + 1, 3, '0');
		break;
	case 'H':
		put_number(t, s, c->hour, 2, '0');
		break;
	case 'k':
		put_number(t, s, c->hour, 2, ' ');
		break;
	case 'I':
		put_number(t, s, hour12, 2, '0');
		break;
	case 'l':
		put_number(t, s, hour12, 2, ' ');
		break;
	case 'M':
		put_number(t, s, c->minute, 2, '0');
		break;
	case 'S':
		put_number(t, s, c->second, 2, '0');
		break;
	case 'u':
		put_number(t, s, c->weekday == 0 ? 7 : c->weekday, 1, '0');
		break;
	case 'w':
		put_number(t, s, c->weekday, 1, '0');
		break;
	case 'U':
		put_number(t, s, (c->yearday + 7 - c->weekday) / 7, 2, '0');
		break;
	case 'W':
		put_number(t, s, (c->yearday + 7 - (c->weekday + 6) % 7) / 7, 2, '0');
		break;
	case 'V':
		put_number(t, s, iso_week(c, &year), 2, '0');
		break;
	case 'G':
		iso_week(c, &year);
		put_number(t, s, year, 4, '0');
		break;
	case 'g':
		iso_week(c, &year);
		put_number(t, s, year - floor_div(year, 100) * 100, 2, '0');
		break;
	default:
		return false;
	}
	return true;
}

static bool put_name(
	struct text *t, const struct spec *s, char x, const struct moment *m, const struct locale *l)
{
	const struct civil *c = &m->c;
	switch (x) {
	case 'A':
		put_word(t, s, l->days[c->weekday % 7], false);
		break;
	case 'a':
		put_word(t, s, l->days_short[c->weekday % 7], false);
		break;
	case 'B':
		put_word(t, s, l->months[(c->month + 11) % 12], false);
		break;
	case 'b':
	case 'h':
		put_word(t, s, l->months_short[(c->month + 11) % 12], false);
		break;
	case 'p':
		put_word(t, s, c->hour < 12 ? l->am : l->pm, true);
		break;
	case 'P':
		put_word(t, s,
			c->hour < 12      ? (l->am[0] == 'A' ? "am" : l->am)
			: l->pm[0] == 'P' ? "pm"
					  : l->pm,
			false);
		break;
	case 'Z':
		put_word(t, s, m->utc ? "UTC" : m->fixed ? "" : c->abbrev, true);
		break;
	case 'z':
		put_offset(t, s, c->offset);
		break;
	case 's':
		put_number(t, s, m->seconds, 1, '0');
		break;
	case 'L':
		put_fraction(t, s, m->nanoseconds, 3);
		break;
	case 'N':
		put_fraction(t, s, m->nanoseconds, 9);
		break;
	case 'n':
		put_word(t, s, "\n", false);
		break;
	case 't':
		put_word(t, s, "\t", false);
		break;
	case '%':
		put_word(t, s, "%", false);
		break;
	default:
		return false;
	}
	return true;
}

static void put_expansion(struct text *t, const struct spec *s, const char *format, const struct moment *m,
	const struct locale *l)
{
	struct text inner;
	lq_text_init(&inner, t->a, 64);
	lq_strftime(&inner, str_from(format), m, l);
	char pad = s->pad == '0' ? '0' : ' ';
	for (int fill = s->width - (int)inner.len; fill > 0; fill--)
		lq_text_add(t, &pad, 1);
	for (size_t i = 0; i < inner.len; i++) {
		char c = inner.p[i];
		if ((s->upper || s->swap) && c >= 'a' && c <= 'z')
			c ^= 0x20;
		lq_text_add(t, &c, 1);
	}
}

static size_t read_spec(struct str f, size_t i, struct spec *s)
{
	enum { MAX_WIDTH = 1024 };
	for (; i < f.n; i++) {
		char c = f.p[i];
		if (c == '-' || c == '0' || c == '_')
			s->pad = c;
		else if (c == '^')
			s->upper = true;
		else if (c == '#')
			s->swap = true;
		else if (c == ':')
			s->colons++;
		else
			break;
	}
	for (; i < f.n && f.p[i] >= '0' && f.p[i] <= '9'; i++)
		s->width = s->width < MAX_WIDTH ? s->width * 10 + (f.p[i] - '0') : MAX_WIDTH;
	if (s->width > MAX_WIDTH)
		s->width = MAX_WIDTH;
	for (; i < f.n && f.p[i] == ':'; i++)
		s->colons++;
	if (i < f.n && (f.p[i] == 'E' || f.p[i] == 'O') && i + 1 < f.n)
		i++;
	return i;
}

bool lq_strftime(struct text *t, struct str f, const struct moment *m, const struct locale *l)
{
	for (size_t i = 0; i < f.n && !t->failed;) {
		size_t plain = str_find(str_n(f.p + i, f.n - i), '%');
		lq_text_add(t, f.p + i, plain);
		i += plain;
		if (i == f.n)
			break;
		struct spec s = {0};
		size_t at = i, x = read_spec(f, i + 1, &s);
		char c = x < f.n ? f.p[x] : '\0';
		const char *format = c != '\0' ? expansion(c) : NULL;
		i = x < f.n ? x + 1 : x;
		if (format != NULL)
			put_expansion(t, &s, format, m, l);
		else if (!put_date(t, &s, c, &m->c) && !put_name(t, &s, c, m, l))
			lq_text_add(t, f.p + at, i - at);
		if (x >= f.n)
			return false;
	}
	return true;
}
