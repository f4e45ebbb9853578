/* Time zones: TZif files (RFC 9636), the POSIX rule in their footer for times past the table, civil time. */
#include "src/base/clock.h"

#include "src/base/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kind { /* one kind of local time */
	int32_t offset;
	bool dst;
	char abbrev[8];
};

struct rule_day { /* of a POSIX TZ string: when a change happens, seconds of local time after midnight */
	enum { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY } form;
	int day, month, week;
	int32_t time;
};

struct footer {
	bool present, has_dst;
	struct kind std, dst;
	struct rule_day start, end;
};

struct zone {
	struct zone *next;
	char *name;
	int64_t *at; /* n instants, ascending */
	uint8_t *kind_of;
	size_t n;
	struct kind kinds[256];
	size_t nkinds;
	struct footer footer;
};

/* ---- Civil days ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a proleptic Gregorian date, counted in eras of 400 years that begin on 1 March. */
static int64_t days_from_date(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = floor_div(y, 400), in_era = y - era * 400;
	int64_t in_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void date_from_days(int64_t days, int *y, int *m, int *d)
{
	days += 719468;
	int64_t era = floor_div(days, 146097), in_era = days - era * 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t mp = (5 * in_year + 2) / 153;
	*d = (int)(in_year - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(year + era * 400 + (*m <= 2));
}

static bool leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in(int y, int m)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return m == 2 && leap(y) ? 29 : days[m - 1];
}

/* ---- POSIX TZ rules (RFC 9636 3.3.1) ---- */

static bool read_int(const char **p, int min, int max, int *out)
{
	long v = 0;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (**p - '0');
		if (v > max)
			return false;
	}
	*out = (int)v;
	return v >= min;
}

/* [+-]hh[:mm[:ss]], hours to 167 as the extension for TZif allows. */
static bool read_hms(const char **p, int32_t *out)
{
	int h, m = 0, s = 0, sign = 1;
	if (**p == '-' || **p == '+')
		sign = *(*p)++ == '-' ? -1 : 1;
	if (!read_int(p, 0, 167, &h))
		return false;
	if (**p == ':') {
		(*p)++;
		if (!read_int(p, 0, 59, &m))
			return false;
		if (**p == ':') {
			(*p)++;
			if (!read_int(p, 0, 59, &s))
				return false;
		}
	}
	*out = sign * (h * 3600 + m * 60 + s);
	return true;
}

static bool read_abbrev(const char **p, char out[8])
{
	bool quoted = **p == '<';
	size_t n = 0;
	if (quoted)
		(*p)++;
	for (;; (*p)++) {
		char c = **p;
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-')))
			break;
		if (n == 7)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	if (quoted && *(*p)++ != '>')
		return false;
	return n >= 3;
}

static bool read_rule(const char **p, struct rule_day *r)
{
	*r = (struct rule_day){.time = 2 * 3600};
	if (**p == 'M') {
		r->form = RULE_WEEKDAY;
		(*p)++;
		if (!read_int(p, 1, 12, &r->month) || *(*p)++ != '.' || !read_int(p, 1, 5, &r->week) ||
			*(*p)++ != '.' || !read_int(p, 0, 6, &r->day))
			return false;
	} else if (**p == 'J') {
		r->form = RULE_JULIAN;
		(*p)++;
		if (!read_int(p, 1, 365, &r->day))
			return false;
	} else {
		r->form = RULE_DAY;
		if (!read_int(p, 0, 365, &r->day))
			return false;
	}
	if (**p != '/')
		return true;
	(*p)++;
	return read_hms(p, &r->time);
}

static bool footer_read(const char *p, struct footer *f)
{
	*f = (struct footer){.present = *p != '\0'};
	if (!f->present)
		return true;
	if (!read_abbrev(&p, f->std.abbrev) || !read_hms(&p, &f->std.offset))
		return false;
	f->std.offset = -f->std.offset; /* POSIX counts westwards */
	if (*p == '\0')
		return true;
	f->has_dst = f->dst.dst = true;
	f->dst.offset = f->std.offset + 3600;
	if (!read_abbrev(&p, f->dst.abbrev))
		return false;
	if (*p != ',') {
		if (!read_hms(&p, &f->dst.offset))
			return false;
		f->dst.offset = -f->dst.offset;
	}
	return *p++ == ',' && read_rule(&p, &f->start) && *p++ == ',' && read_rule(&p, &f->end) && *p == '\0';
}

/* The change's local time in that year, seconds since 1970 as if it were UTC. */
static int64_t rule_instant(const struct rule_day *r, int year)
{
	int64_t day;
	if (r->form == RULE_WEEKDAY) {
		int64_t first = days_from_date(year, r->month, 1);
		int weekday = (int)((first % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
		int d = (r->day - weekday + 7) % 7 + (r->week - 1) * 7;
		if (d >= days_in(year, r->month))
			d -= 7;
		day = first + d;
	} else {
		day = days_from_date(year, 1, 1) + r->day;
		if (r->form == RULE_JULIAN && (r->day < 60 || !leap(year)))
			day--;
	}
	return day * 86400 + r->time;
}

static const struct kind *footer_kind(const struct footer *f, int64_t t)
{
	if (!f->has_dst)
		return &f->std;
	int year, month, day;
	date_from_days(floor_div(t + f->std.offset, 86400), &year, &month, &day);
	/* Rules may reach into the next or the last year: look at the newest change before t. */
	int64_t best = INT64_MIN;
	const struct kind *k = &f->std;
	for (int y = year - 1; y <= year + 1; y++) {
		int64_t start = rule_instant(&f->start, y) - f->std.offset;
		int64_t end = rule_instant(&f->end, y) - f->dst.offset;
		if (start <= t && start >= best) {
			best = start;
			k = &f->dst;
		}
		/* "All year" is written as an end at or after the next start: that start wins. */
		if (end <= t && end > best) {
			best = end;
			k = &f->std;
		}
	}
	return k;
}

/* ---- TZif ---- */

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool header_read(const unsigned char *p, size_t n, struct counts *c)
{
	if (n < 44 || memcmp(p, "TZif", 4) != 0)
		return false;
	*c = (struct counts){
		be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40)};
	const uint32_t most = 1 << 16;
	return c->isut <= most && c->isstd <= most && c->leap <= most && c->time <= most && c->type >= 1 &&
	       c->type <= 256 && c->chars >= 1 && c->chars <= most;
}

static size_t block_size(const struct counts *c, size_t time_size)
{
	return c->time * (time_size + 1) + c->type * 6 + c->chars + c->leap * (time_size + 4) + c->isstd +
	       c->isut;
}

static bool block_read(struct zone *z, const unsigned char *p, const struct counts *c)
{
	z->at = malloc((c->time + 1) * sizeof *z->at);
	z->kind_of = malloc(c->time + 1);
	if (z->at == NULL || z->kind_of == NULL)
		return false;
	z->n = c->time;
	z->nkinds = c->type;
	const unsigned char *idx = p + c->time * 8, *types = idx + c->time, *chars = types + c->type * 6;
	for (size_t i = 0; i < z->n; i++) {
		z->at[i] = be64(p + i * 8);
		z->kind_of[i] = idx[i];
		if (idx[i] >= c->type || (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
	}
	for (size_t i = 0; i < z->nkinds; i++) {
		struct kind *k = &z->kinds[i];
		k->offset = (int32_t)be32(types + i * 6);
		k->dst = types[i * 6 + 4] != 0;
		size_t from = types[i * 6 + 5];
		if (from >= c->chars || k->offset < -93600 || k->offset > 93600)
			return false;
		for (size_t j = 0; j < sizeof k->abbrev - 1 && from + j < c->chars && chars[from + j] != 0;
			j++)
			k->abbrev[j] = (char)chars[from + j];
	}
	return true;
}

static bool zone_read(struct zone *z, const char *data, size_t n)
{
	const unsigned char *p = (const unsigned char *)data;
	struct counts c;
	/* The first block has 32-bit times; since version 2 a second one with 64-bit times follows. */
	if (!header_read(p, n, &c) || p[4] < '2')
		return false;
	size_t skip = 44 + block_size(&c, 4);
	if (skip > n || !header_read(p + skip, n - skip, &c))
		return false;
	p += skip + 44;
	n -= skip + 44;
	size_t size = block_size(&c, 8);
	if (size > n || !block_read(z, p, &c))
		return false;
	char rule[128];
	const unsigned char *text = p + size, *end = p + n;
	if (text == end || *text++ != '\n')
		return false;
	const unsigned char *stop = memchr(text, '\n', (size_t)(end - text));
	if (stop == NULL || (size_t)(stop - text) >= sizeof rule)
		return false;
	memcpy(rule, text, (size_t)(stop - text));
	rule[stop - text] = '\0';
	return footer_read(rule, &z->footer);
}

/* ---- Loading ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zone *loaded; /* kept until the process ends */

/* The name becomes a path: only what zone names are made of. */
static bool name_ok(const char *name)
{
	if (name[0] == '/' || name[0] == '.' || strstr(name, "..") != NULL || strlen(name) > 100)
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		bool letter =
			(*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
		if (!letter && strchr("/_+-", *p) == NULL)
			return false;
	}
	return true;
}

static void zone_free(struct zone *z)
{
	if (z == NULL)
		return;
	free(z->at);
	free(z->kind_of);
	free(z->name);
	free(z);
}

static struct zone *zone_load(const char *name, const char *path, struct err *e)
{
	struct buf b = BUF_INIT(1 << 20);
	struct zone *z = calloc(1, sizeof *z);
	if (z == NULL || (z->name = strdup(name)) == NULL) {
		err_set(e, ERR_INTERNAL, "cannot load the time zone", "out of memory");
		goto fail;
	}
	if (file_read(path, &b, NULL) != 0) {
		err_set(e, ERR_CONFIG, "unknown time zone", "%s", name);
		err_remedy(e, "write an IANA name as Asia/Tokyo or Europe/Berlin (is the package tzdata "
			      "installed?)");
		goto fail;
	}
	if (!zone_read(z, b.p, b.len)) {
		err_set(e, ERR_CONFIG, "cannot read the time zone", "%s is no time zone file", path);
		goto fail;
	}
	buf_release(&b);
	return z;
fail:
	buf_release(&b);
	zone_free(z);
	return NULL;
}

static struct zone *zone_utc(struct err *e)
{
	struct zone *z = calloc(1, sizeof *z);
	if (z == NULL || (z->name = strdup("UTC")) == NULL) {
		free(z);
		err_set(e, ERR_INTERNAL, "cannot load the time zone", "out of memory");
		return NULL;
	}
	z->nkinds = 1;
	memcpy(z->kinds[0].abbrev, "UTC", 4);
	return z;
}

static const char folder[] = "/usr/share/zoneinfo/";

/* $TZ; NULL: it says nothing. */
static const char *tz_variable(void)
{
	const char *tz = getenv("TZ");
	if (tz != NULL && tz[0] == ':')
		tz++;
	if (tz != NULL && strncmp(tz, folder, sizeof folder - 1) == 0)
		tz += sizeof folder - 1;
	return tz != NULL && tz[0] != '\0' && tz[0] != '/' ? tz : NULL;
}

/* $TZ may hold a rule instead of a name (POSIX 8.3): "JST-9". */
static bool is_rule(const char *tz, struct footer *rule)
{
	char path[256];
	snprintf(path, sizeof path, "%s%.100s", folder, tz);
	return footer_read(tz, rule) && rule->present && !(name_ok(tz) && file_exists(path));
}

/* The system's zone has a name where /etc/localtime leads into the zone folder. */
static const char *system_name(char out[128])
{
	const char *tz = tz_variable(), *zones = strstr(folder, "/zoneinfo/");
	if (tz != NULL)
		return tz;
	char *real = realpath("/etc/localtime", NULL);
	const char *at = real != NULL ? strstr(real, zones) : NULL;
	snprintf(out, 128, "%s", at != NULL ? at + strlen(zones) : real != NULL ? "localtime" : "UTC");
	free(real);
	return out;
}

static struct zone *zone_rule(const char *name, const struct footer *rule, struct err *e)
{
	struct zone *z = zone_utc(e);
	char *own = z != NULL ? strdup(name) : NULL;
	if (own == NULL) {
		zone_free(z);
		err_set(e, ERR_INTERNAL, "cannot load the time zone", "out of memory");
		return NULL;
	}
	free(z->name);
	z->name = own;
	z->footer = *rule;
	return z;
}

const struct zone *clock_zone(const char *name, struct err *e)
{
	char own[128], path[256];
	struct footer rule = {.present = false};
	bool systems = name == NULL || name[0] == '\0';
	if (systems)
		name = system_name(own);
	bool is_a_rule = systems && is_rule(name, &rule);
	if (!is_a_rule && !name_ok(name)) {
		err_set(e, ERR_CONFIG, "unknown time zone", "%.60s", name);
		err_remedy(e, "write an IANA name as Asia/Tokyo or Europe/Berlin");
		return NULL;
	}
	pthread_mutex_lock(&lock);
	struct zone *z = loaded;
	while (z != NULL && strcmp(z->name, name) != 0)
		z = z->next;
	if (z == NULL) {
		if (strcmp(name, "localtime") == 0)
			snprintf(path, sizeof path, "/etc/localtime");
		else
			snprintf(path, sizeof path, "%s%s", folder, name);
		/* UTC needs no files. */
		z = is_a_rule                  ? zone_rule(name, &rule, e)
		    : strcmp(name, "UTC") == 0 ? zone_utc(e)
					       : zone_load(name, path, e);
		if (z != NULL) {
			z->next = loaded;
			loaded = z;
		}
	}
	pthread_mutex_unlock(&lock);
	return z;
}

const char *clock_zone_name(const struct zone *z)
{
	return z != NULL ? z->name : "UTC";
}

/* ---- Conversion ---- */

static const struct kind *kind_at(const struct zone *z, int64_t t)
{
	static const struct kind utc = {0, false, "UTC"};
	if (z == NULL)
		return &utc;
	/* Before the first change the first kind holds (RFC 9636 3.2). */
	if (z->n == 0 || t < z->at[0])
		return z->n == 0 && z->footer.present ? footer_kind(&z->footer, t) : &z->kinds[0];
	if (t >= z->at[z->n - 1] && z->footer.present)
		return footer_kind(&z->footer, t);
	size_t low = 0, high = z->n;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (z->at[mid] <= t)
			low = mid;
		else
			high = mid;
	}
	return &z->kinds[z->kind_of[low]];
}

void clock_civil(const struct zone *z, ms_t t, struct civil *c)
{
	int64_t s = floor_div(t, 1000);
	const struct kind *k = kind_at(z, s);
	s += k->offset;
	int64_t days = floor_div(s, 86400);
	int rest = (int)(s - days * 86400);
	date_from_days(days, &c->year, &c->month, &c->day);
	c->hour = rest / 3600;
	c->minute = rest / 60 % 60;
	c->second = rest % 60;
	c->weekday = (int)((days % 7 + 11) % 7);
	c->yearday = (int)(days - days_from_date(c->year, 1, 1));
	c->offset = k->offset;
	memcpy(c->abbrev, k->abbrev, sizeof c->abbrev);
}

static bool civil_ok(const struct civil *c)
{
	return c->year >= 0 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= days_in(c->year, c->month) && c->hour >= 0 && c->hour <= 23 && c->minute >= 0 &&
	       c->minute <= 59 && c->second >= 0 && c->second <= 60;
}

/* An instant has that local time if its own offset leads back to it. Only the offsets in force a day before
 * and a day after can: no zone is farther from UTC, nor changes twice within two days. */
int clock_local(const struct zone *z, const struct civil *c, ms_t *t)
{
	if (!civil_ok(c))
		return -1;
	int64_t local = days_from_date(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
			c->second;
	int32_t before = kind_at(z, local - 86400)->offset, after = kind_at(z, local + 86400)->offset;
	int64_t first = local - before, second = local - after;
	bool first_ok = kind_at(z, first)->offset == before;
	bool second_ok = before != after && kind_at(z, second)->offset == after;
	if (first_ok || !second_ok)
		*t = first * 1000;
	else
		*t = second * 1000;
	if (first_ok && second_ok && second < first)
		*t = second * 1000;
	return first_ok + second_ok;
}
