/* Reading times as people write them: ISO 8601, RFC 5322, "March 14, 2016 5pm", "14.3.2016". The order of
 * attempts and what two numbers mean are Ruby's. */
#include "templates/liquid_time.h"

#include <stdio.h>

struct fields {
	bool has_year, has_month, has_day, has_hour, has_zone;
	int64_t year;
	int month, day, hour, minute, second, offset;
	int32_t nanoseconds;
	bool utc;
};

struct scan { /* a private, lower-case copy; what was understood is blanked */
	char *p;
	size_t n;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return c >= 'a' && c <= 'z';
}

static size_t skip_blank(const struct scan *s, size_t i)
{
	while (i < s->n && (s->p[i] == ' ' || (s->p[i] >= '\t' && s->p[i] <= '\r')))
		i++;
	return i;
}

static size_t digits(const struct scan *s, size_t i, int *value)
{
	size_t from = i;
	*value = 0;
	for (; i < s->n && is_digit(s->p[i]) && i - from < 9; i++)
		*value = *value * 10 + (s->p[i] - '0');
	return i - from;
}

static void blank(struct scan *s, size_t from, size_t to)
{
	memset(s->p + from, ' ', to - from);
}

static bool starts(const struct scan *s, size_t i, const char *word)
{
	size_t n = strlen(word);
	return s->n - i >= n && memcmp(s->p + i, word, n) == 0;
}

/* ---- zones ---- */

static bool named_zone(const char *p, size_t n, int *offset)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"utc", 0}, {"gmt", 0}, {"z", 0}, {"ut", 0}, {"est", -5}, {"edt", -4}, {"cst", -6},
		{"cdt", -5}, {"mst", -7}, {"mdt", -6}, {"pst", -8}, {"pdt", -7}};
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
		if (strlen(zones[i].name) == n && memcmp(zones[i].name, p, n) == 0) {
			*offset = zones[i].hours * 3600;
			return true;
		}
	return false;
}

static size_t numeric_zone(const struct scan *s, size_t i, int *offset)
{
	int h, m = 0, sec = 0;
	if (i >= s->n || (s->p[i] != '+' && s->p[i] != '-'))
		return i;
	bool neg = s->p[i] == '-';
	size_t n = digits(s, i + 1, &h), at = i + 1 + n;
	if (n == 0 || n == 5 || n > 6)
		return i;
	if (n == 6) {
		sec = h % 100;
		h /= 100;
	}
	if (n >= 3) {
		m = h % 100;
		h /= 100;
	} else if (at < s->n && s->p[at] == ':' && digits(s, at + 1, &m) == 2) {
		at += 3;
	}
	if (h > 24 || m > 59)
		return i;
	*offset = (h * 60 + m) * 60 + sec;
	if (neg)
		*offset = -*offset;
	return at;
}

static size_t read_zone(const struct scan *s, size_t i, struct fields *f)
{
	size_t at = skip_blank(s, i), end = at;
	while (end < s->n && is_alpha(s->p[end]))
		end++;
	if (end > at && named_zone(s->p + at, end - at, &f->offset)) {
		/* GMT+3 is no zone that Ruby knows: the time is local. */
		int ignored;
		size_t more = numeric_zone(s, end, &ignored);
		f->has_zone = more == end;
		f->utc = f->has_zone && f->offset == 0;
		return more;
	}
	end = numeric_zone(s, at, &f->offset);
	if (end == at)
		return i;
	f->has_zone = true;
	return end;
}

/* ---- time of day ---- */

static size_t read_meridian(const struct scan *s, size_t i, int *pm)
{
	size_t at = skip_blank(s, i);
	*pm = -1;
	if (at >= s->n || (s->p[at] != 'a' && s->p[at] != 'p'))
		return i;
	size_t k = at + 1;
	if (k < s->n && s->p[k] == '.')
		k++;
	if (k >= s->n || s->p[k] != 'm' || (k + 1 < s->n && is_alpha(s->p[k + 1])))
		return i;
	*pm = s->p[at] == 'p';
	k++;
	return k < s->n && s->p[k] == '.' ? k + 1 : k;
}

static size_t read_fraction(const struct scan *s, size_t i, int32_t *nanoseconds)
{
	int32_t unit = 100000000;
	if (i + 1 >= s->n || (s->p[i] != '.' && s->p[i] != ',') || !is_digit(s->p[i + 1]))
		return i;
	for (i++; i < s->n && is_digit(s->p[i]); i++, unit /= 10)
		*nanoseconds += (s->p[i] - '0') * unit;
	return i;
}

static size_t read_clock(const struct scan *s, size_t i, struct fields *f)
{
	int h, m = 0, sec = 0, pm;
	size_t n = digits(s, i, &h), at = i + n;
	if (n == 0 || n > 2)
		return i;
	if (at < s->n && s->p[at] == ':' && (n = digits(s, at + 1, &m)) > 0 && n <= 2) {
		at += 1 + n;
		if (at < s->n && s->p[at] == ':' && (n = digits(s, at + 1, &sec)) > 0 && n <= 2)
			at = read_fraction(s, at + 1 + n, &f->nanoseconds);
		at = read_meridian(s, at, &pm);
	} else {
		size_t end = read_meridian(s, at, &pm);
		if (pm < 0)
			return i;
		at = end;
	}
	if (pm >= 0)
		h = h % 12 + (pm ? 12 : 0);
	f->has_hour = true;
	f->hour = h;
	f->minute = m;
	f->second = sec;
	return read_zone(s, at, f);
}

static void find_clock(struct scan *s, struct fields *f)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!is_digit(s->p[i]) || (i > 0 && is_digit(s->p[i - 1])))
			continue;
		size_t end = read_clock(s, i, f);
		if (end == i)
			continue;
		/* The T of ISO 8601 goes with the time. */
		size_t from = i > 1 && s->p[i - 1] == 't' && is_digit(s->p[i - 2]) ? i - 1 : i;
		blank(s, from, end);
		return;
	}
}

/* ---- dates ---- */

struct figure {
	size_t at, n;
	int value;
	bool quoted; /* '16 */
	bool ordinal;
};

static const char months[12][4] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};

static int month_at(const struct scan *s, size_t i, size_t *end)
{
	if (i > 0 && is_alpha(s->p[i - 1]))
		return 0;
	for (int m = 0; m < 12; m++)
		if (starts(s, i, months[m])) {
			for (*end = i + 3; *end < s->n && (is_alpha(s->p[*end]) || s->p[*end] == '.');)
				++*end;
			return m + 1;
		}
	return 0;
}

static bool figure_at(const struct scan *s, size_t i, struct figure *x)
{
	*x = (struct figure){.at = i};
	if (i < s->n && s->p[i] == '\'') {
		x->quoted = true;
		i++;
	}
	x->n = digits(s, i, &x->value);
	size_t end = i + x->n;
	x->ordinal = end + 1 < s->n && (starts(s, end, "st") || starts(s, end, "nd") ||
					       starts(s, end, "rd") || starts(s, end, "th"));
	return x->n != 0;
}

static size_t figure_end(const struct figure *x)
{
	return x->at + x->quoted + x->n + (x->ordinal ? 2 : 0);
}

static bool year_like(const struct figure *x)
{
	return x->quoted || x->n > 2;
}

static void set_year(struct fields *f, const struct figure *x)
{
	f->has_year = true;
	f->year = x->value;
	if (x->n <= 2)
		f->year += x->value >= 69 ? 1900 : 2000;
}

static void set_day(struct fields *f, const struct figure *x)
{
	f->has_day = true;
	f->day = x->value;
}

/* A month by name: a day before or behind it, a year at the end. */
static bool named_month(const struct scan *s, struct fields *f)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t end;
		struct figure before, x;
		int m = month_at(s, i, &end);
		if (m == 0)
			continue;
		f->has_month = true;
		f->month = m;
		bool day = false;
		for (size_t k = 0; k < i && !day; k++)
			if (is_digit(s->p[k]) && figure_at(s, k, &before)) {
				day = !year_like(&before);
				if (day)
					set_day(f, &before);
				else
					set_year(f, &before);
				k = figure_end(&before);
			}
		for (size_t k = end; k < s->n; k++) {
			if (!(is_digit(s->p[k]) ||
				    (s->p[k] == '\'' && k + 1 < s->n && is_digit(s->p[k + 1]))) ||
				!figure_at(s, k, &x))
				continue;
			if (!f->has_day && !year_like(&x)) {
				set_day(f, &x);
			} else if (!f->has_year) {
				set_year(f, &x);
				break;
			}
			k = figure_end(&x) - 1;
		}
		return true;
	}
	return false;
}

/* 2016-075 */
static bool day_of_year(struct fields *f, const struct figure *year, const struct figure *day)
{
	struct civil c;
	if (day->value < 1 || day->value > 366 || year->value > 9999)
		return false;
	lq_civil_utc((lq_days(year->value, 1, 1) + day->value - 1) * 86400000, &c);
	f->has_year = f->has_month = f->has_day = true;
	f->year = c.year;
	f->month = c.month;
	f->day = c.day;
	return true;
}

/* R8.11.22, as in JIS X 0301. */
static bool japanese_era(const struct scan *s, size_t at, struct fields *f, const struct figure *year)
{
	static const struct {
		char letter;
		int before;
	} eras[] = {{'m', 1867}, {'t', 1911}, {'s', 1925}, {'h', 1988}, {'r', 2018}};
	for (size_t i = 0; i < sizeof eras / sizeof *eras; i++)
		if (s->p[at] == eras[i].letter && (at == 0 || !is_alpha(s->p[at - 1]))) {
			f->has_year = true;
			f->year = eras[i].before + year->value;
			return true;
		}
	return false;
}

static bool numbers_with(const struct scan *s, char by, struct fields *f)
{
	for (size_t i = 0; i < s->n; i++) {
		struct figure x[3];
		int n = 0;
		if (!is_digit(s->p[i]) || (i > 0 && is_digit(s->p[i - 1])))
			continue;
		for (size_t k = i; n < 3 && figure_at(s, k, &x[n]);) {
			k = figure_end(&x[n++]);
			if (k >= s->n || s->p[k] != by)
				break;
			k++;
		}
		if (n < 2 || (n == 2 && by == '.'))
			continue;
		const struct figure *y = n == 3 ? &x[0] : NULL, *m = n == 3 ? &x[1] : &x[0],
				    *d = n == 3 ? &x[2] : &x[1];
		if (n == 2 && year_like(&x[0]))
			return by == '-' && x[1].n == 3 && day_of_year(f, &x[0], &x[1]);
		if (n == 3 && by == '.' && i > 0 && japanese_era(s, i - 1, f, &x[0]))
			y = NULL;
		if (y != NULL && year_like(d)) {
			const struct figure *t = y;
			y = d;
			d = t;
		}
		if (y != NULL)
			set_year(f, y);
		f->has_month = true;
		f->month = m->value;
		set_day(f, d);
		return true;
	}
	return false;
}

/* 20160314, with what find_clock left of 20160314T102030. */
static bool run_of_digits(const struct scan *s, struct fields *f)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t n = 0;
		while (i + n < s->n && is_digit(s->p[i + n]))
			n++;
		if (n == 0)
			continue;
		struct scan part = {.p = s->p + i, .n = n < 4 ? n : 4};
		int y, m, d;
		if (n == 2 || n == 4) {
			digits(&part, 0, &d);
			f->has_day = true;
			f->day = d % 100;
			f->has_month = n == 4;
			f->month = d / 100;
			return true;
		}
		if (n != 8 && n != 14 && n != 12)
			return false;
		digits(&part, 0, &y);
		part = (struct scan){.p = s->p + i + 4, .n = 2};
		digits(&part, 0, &m);
		part.p += 2;
		digits(&part, 0, &d);
		f->has_year = f->has_month = f->has_day = true;
		f->year = y;
		f->month = m;
		f->day = d;
		const char *clock = n > 8                                ? s->p + i + 8
				    : i + n < s->n && s->p[i + n] == 't' ? s->p + i + n + 1
									 : NULL;
		size_t left = clock != NULL ? (size_t)(s->p + s->n - clock) : 0;
		int *to[3] = {&f->hour, &f->minute, &f->second};
		for (int k = 0; k < 3 && left >= 2 && is_digit(clock[0]) && is_digit(clock[1]);
			k++, clock += 2, left -= 2) {
			*to[k] = (clock[0] - '0') * 10 + clock[1] - '0';
			f->has_hour = true;
		}
		if (f->has_hour)
			read_zone(s, (size_t)(clock - s->p), f);
		return true;
	}
	return false;
}

static bool read_fields(struct scan *s, struct fields *f)
{
	find_clock(s, f);
	bool date = named_month(s, f) || numbers_with(s, '-', f) || numbers_with(s, '/', f) ||
		    numbers_with(s, '.', f) || run_of_digits(s, f);
	return date || f->has_hour;
}

/* Does the text go as the form, where 0 is any digit and + a sign? */
static bool goes_as(struct str s, const char *form)
{
	for (size_t i = 0; i < s.n; i++)
		if (form[i] == '0' ? !is_digit(s.p[i])
				   : s.p[i] != form[i] && !(form[i] == '+' && s.p[i] == '-'))
			return false;
	return true;
}

static int two_digits(const char *p)
{
	return (p[0] - '0') * 10 + p[1] - '0';
}

/* The forms that data bases and programs write, which need no search: what read_fields finds in them, sooner.
 */
static bool iso_fields(struct str s, struct fields *f)
{
	if ((s.n != 10 && s.n != 19 && s.n != 25) || !goes_as(s, "0000-00-00 00:00:00 +0000"))
		return false;
	if (s.n == 25 && (two_digits(s.p + 21) > 24 || two_digits(s.p + 23) > 59))
		return false;
	f->year = two_digits(s.p) * 100 + two_digits(s.p + 2);
	f->month = two_digits(s.p + 5);
	f->day = two_digits(s.p + 8);
	f->has_year = f->has_month = f->has_day = true;
	if (s.n == 10)
		return true;
	f->has_hour = true;
	f->hour = two_digits(s.p + 11);
	f->minute = two_digits(s.p + 14);
	f->second = two_digits(s.p + 17);
	f->has_zone = s.n == 25;
	if (f->has_zone)
		f->offset = (two_digits(s.p + 21) * 60 + two_digits(s.p + 23)) * (s.p[20] == '-' ? -60 : 60);
	return true;
}

static void complete(struct fields *f, const struct civil *now)
{
	if (!f->has_year) {
		f->year = now->year;
		if (!f->has_month) {
			f->month = now->month;
			if (!f->has_day)
				f->day = now->day;
			f->has_day = true;
		}
		f->has_month = true;
	}
	if (!f->has_month)
		f->month = 1;
	if (!f->has_day)
		f->day = 1;
}

static bool to_moment(const struct fields *f, const struct zone *zone, struct moment *out)
{
	int64_t seconds =
		lq_days(f->year, f->month, f->day) * 86400 + f->hour * 3600 + f->minute * 60 + f->second;
	if (f->has_zone) {
		lq_time_at(NULL, seconds, f->nanoseconds, out);
		out->seconds -= f->offset;
		out->c.offset = f->offset;
		out->utc = f->utc;
		out->fixed = !f->utc;
		out->c.abbrev[0] = '\0';
		return true;
	}
	ms_t t = seconds * 1000;
	if (zone != NULL) {
		/* Days beyond the month roll over, as in Ruby; so read the civil time back from the number.
		 */
		struct civil c;
		lq_civil_utc(t, &c);
		if (clock_local(zone, &c, &t) < 0) {
			struct civil at;
			clock_civil(zone, seconds * 1000, &at);
			t = (seconds - at.offset) * 1000;
		}
	}
	lq_time_at(zone, t / 1000, f->nanoseconds, out);
	return true;
}

/* 2026年3月14日 becomes 2026-3-14. */
static size_t plain_japanese(char *p, size_t n)
{
	static const struct {
		const char *sign;
		char plain;
	} signs[] = {{"年", '-'}, {"月", '-'}, {"日", ' '}, {"時", ':'}, {"分", ' '}};
	size_t out = 0;
	for (size_t i = 0; i < n; out++) {
		size_t k = 0, skip = 1;
		p[out] = p[i];
		for (; k < sizeof signs / sizeof *signs && n - i >= 3; k++)
			if (memcmp(p + i, signs[k].sign, 3) == 0) {
				p[out] = signs[k].plain;
				skip = 3;
				break;
			}
		i += skip;
	}
	return out;
}

static bool read_text(struct str text, bool japanese, struct fields *f)
{
	enum { LONGEST = 128 };
	char lowered[LONGEST];
	struct scan s = {.p = lowered, .n = text.n};
	if (text.n == 0 || text.n > LONGEST)
		return false;
	for (size_t i = 0; i < text.n; i++)
		lowered[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
	if (japanese)
		s.n = plain_japanese(lowered, s.n);
	return read_fields(&s, f);
}

bool lq_time_parse(struct str text, const struct zone *zone, ms_t now, bool japanese, struct moment *out)
{
	struct fields f = {0};
	struct civil today;
	if (!iso_fields(text, &f)) {
		if (!read_text(text, japanese, &f))
			return false;
		if (zone != NULL)
			clock_civil(zone, now, &today);
		else
			lq_civil_utc(now, &today);
		complete(&f, &today);
	}
	if (f.year > 9999 || f.month < 1 || f.month > 12 || f.day < 1 || f.day > 31 || f.hour > 24 ||
		f.minute > 59 || f.second > 60)
		return false;
	return to_moment(&f, zone, out);
}
