#include "src/config/fields.h"

#include "src/base/file.h"
#include "src/base/literal.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define AT(type) ((type *)(void *)((char *)base + f->offset))

static int bad(const struct value *v, const char *expected, struct err *e)
{
	const char *wide = !utf8_ascii(str_from(v->text)) ? " (it has characters that are not ASCII)" : "";
	return config_bad(e, v->at, "%s = %.100s%s: expected %s", v->key, v->text, wide, expected);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
}

/* Errors of parsers that do not know where the text stood. */
static int placed(const struct value *v, struct err *e)
{
	if (e == NULL)
		return -1;
	struct err why = *e;
	config_bad(e, v->at, "%s: %s", v->key, why.why);
	if (why.remedy[0] != '\0')
		err_remedy(e, "%s", why.remedy);
	return -1;
}

/* ---- Text ---- */

int read_text(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)e;
	*AT(const char *) = v->text;
	return 0;
}

int read_path(const struct field *f, const struct value *v, void *base, struct err *e)
{
	char *p = path_beside(v->at.file, v->text);
	*AT(const char *) = p != NULL ? arena_strdup(v->arena, p) : NULL;
	free(p);
	return *AT(const char *) != NULL ? 0 : no_memory(e);
}

int read_database(const struct field *f, const struct value *v, void *base, struct err *e)
{
	if (strstr(v->text, "://") != NULL)
		return config_bad(
			e, v->at, "database = %.100s: this version keeps its data in a file", v->text);
	return read_path(f, v, base, e);
}

int read_host(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct str s = str_from(v->text);
	/* [2001:db8::1] as in URLs. */
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']' && str_find(s, ':') < s.n) {
		s = arena_str(v->arena, str_n(s.p + 1, s.n - 2));
		if (s.n == 0)
			return no_memory(e);
	}
	if (config_host_check(s.p, e) != 0)
		return placed(v, e);
	*AT(const char *) = s.p;
	return 0;
}

int read_url(const struct field *f, const struct value *v, void *base, struct err *e)
{
	if (strncmp(v->text, "https://", 8) != 0 && strncmp(v->text, "http://", 7) != 0)
		return bad(v, "an address that begins with https://", e);
	return read_text(f, v, base, e);
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
		n++;
	return n;
}

int read_token_url(const struct field *f, const struct value *v, void *base, struct err *e)
{
	if (count(v->text, "{token}") != 1)
		return bad(v, "an address with {token} in it, where the person's token goes", e);
	return read_url(f, v, base, e);
}

int read_token_address(const struct field *f, const struct value *v, void *base, struct err *e)
{
	const char *at = strrchr(v->text, '@');
	bool blanks = strpbrk(v->text, " \t<>,;\"") != NULL;
	if (at == NULL || at == v->text || at[1] == '\0' || blanks || count(v->text, "@") != 1 ||
		count(v->text, "{token}") > 1 || strstr(at, "{token}") != NULL ||
		config_host_check(at + 1, NULL) != 0)
		return bad(v, "an address as bounce@books.example or bounce+{token}@books.example", e);
	return read_text(f, v, base, e);
}

int read_selector(const struct field *f, const struct value *v, void *base, struct err *e)
{
	if (!config_selector_ok(v->text))
		return bad(v, "a selector as pr1 or june.2026: labels of letters, digits, - and _", e);
	return read_text(f, v, base, e);
}

/* ---- Where we listen ---- */

/* Whatever is not a path is taken for an address, which is read into `address`. */
static bool listen_one(struct str s, struct sockaddr_storage *address, struct config_listen *out)
{
	*out = (struct config_listen){.text = s.p, .lmtp = str_starts(s, STR("lmtp:"))};
	if (out->lmtp)
		s = str_n(s.p + 5, s.n - 5);
	if (s.n > 0 && s.p[0] == '/')
		out->path = s.p;
	else
		out->address = address;
	return out->path != NULL ? s.n < sizeof((struct sockaddr_un *)NULL)->sun_path
				 : literal_place(s, address);
}

/* Parted by commas, blanks or both. */
int read_listen(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config *c = base;
	for (const char *p = v->text; *(p += strspn(p, ", ")) != '\0';) {
		struct str one = arena_str(v->arena, str_n(p, strcspn(p, ", ")));
		struct sockaddr_storage *address = arena_zalloc(v->arena, sizeof *address);
		if (one.n == 0 || address == NULL)
			return no_memory(e);
		if (c->return_path.nlisten == LISTEN_MOST)
			return config_bad(e, v->at, "%s: more than %d", v->key, LISTEN_MOST);
		if (!listen_one(one, address, &c->return_path.listen[c->return_path.nlisten++]))
			return config_bad(e, v->at,
				"%s = %.120s: expected an IP address and a port as 0.0.0.0:25 or [::]:25, "
				"behind a mail server lmtp:127.0.0.1:2424 or lmtp:/run/postrider/lmtp",
				v->key, one.p);
		p += one.n;
	}
	return 0;
}

int check_place(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f, (void)base;
	struct sockaddr_storage place;
	return literal_place(str_from(v->text), &place)
		       ? 0
		       : bad(v, "an IP address and a port as 127.0.0.1:8080 or [::1]:8080", e);
}

/* ---- Words ---- */

static int find_word(const struct field *f, const struct value *v, struct err *e)
{
	struct nearest near;
	char all[200] = "";
	size_t len = 0;
	nearest_init(&near, str_from(v->text));
	for (int i = 0; f->words[i] != NULL; i++) {
		if (f->words[i][0] == '\0')
			continue;
		if (strcmp(f->words[i], v->text) == 0)
			return i;
		nearest_offer(&near, str_from(f->words[i]));
		if (len < sizeof all)
			len += (size_t)snprintf(
				all + len, sizeof all - len, "%s%s", len != 0 ? ", " : "", f->words[i]);
	}
	if (near.best[0] != '\0')
		return config_bad(e, v->at, "%s = %.60s: did you mean \"%s\"? It is one of %s", v->key,
			v->text, near.best, all);
	return config_bad(e, v->at, "%s = %.60s: expected one of %s", v->key, v->text, all);
}

int read_word(const struct field *f, const struct value *v, void *base, struct err *e)
{
	int i = find_word(f, v, e);
	if (i < 0)
		return -1;
	*AT(int) = i;
	return 0;
}

/* Two words for false and true; without words yes and no. */
int read_switch(const struct field *f, const struct value *v, void *base, struct err *e)
{
	static const char *const yes[] = {"yes", "true", "on", "1", NULL}, *const no[] = {"no", "false",
										   "off", "0", NULL};
	if (f->words != NULL) {
		int i = find_word(f, v, e);
		*AT(bool) = i == 1;
		return i < 0 ? -1 : 0;
	}
	for (int i = 0; yes[i] != NULL; i++) {
		if (strcasecmp(v->text, yes[i]) == 0 || strcasecmp(v->text, no[i]) == 0) {
			*AT(bool) = strcasecmp(v->text, yes[i]) == 0;
			return 0;
		}
	}
	return bad(v, "yes or no", e);
}

/* ---- Numbers ---- */

/* Digits with at most one point; no exponent, no sign, no locale. Returns what is behind, NULL if none. */
static const char *number(const char *p, double *out)
{
	double n = 0, scale = 1;
	bool digits = false;
	for (; *p >= '0' && *p <= '9'; p++, digits = true)
		n = n * 10 + (*p - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, digits = true)
			n += (*p - '0') * (scale /= 10);
	*out = n;
	return digits && n < 1e15 ? p : NULL;
}

int read_int(const struct field *f, const struct value *v, void *base, struct err *e)
{
	long long n;
	char expected[80];
	if (str_int(str_from(v->text), (long long)f->min, (long long)f->max, &n)) {
		*AT(int) = (int)n;
		return 0;
	}
	snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", f->min, f->max);
	return bad(v, expected, e);
}

int read_double(const struct field *f, const struct value *v, void *base, struct err *e)
{
	double n;
	const char *end = number(v->text, &n);
	if (end == NULL || *end != '\0' || n <= f->min || n > f->max)
		return bad(v, f->min < 0 ? "a number, 0 or above" : "a number above 0", e);
	*AT(double) = n;
	return 0;
}

int read_share(const struct field *f, const struct value *v, void *base, struct err *e)
{
	double n;
	const char *end = number(v->text, &n);
	while (end != NULL && *end == ' ')
		end++;
	if (end == NULL || strcmp(end, "%") != 0 || n > 100)
		return bad(v, "a share as 5% or 0.3%", e);
	*AT(double) = n / 100;
	return 0;
}

int read_size(const struct field *f, const struct value *v, void *base, struct err *e)
{
	static const struct {
		const char *unit;
		double bytes;
	} units[] = {{"", 1}, {"B", 1}, {"K", 1024}, {"KB", 1024}, {"M", 1 << 20}, {"MB", 1 << 20},
		{"G", 1 << 30}, {"GB", 1 << 30}};
	double n;
	const char *end = number(v->text, &n);
	while (end != NULL && *end == ' ')
		end++;
	for (size_t i = 0; end != NULL && i < sizeof units / sizeof units[0]; i++) {
		if (strcasecmp(end, units[i].unit) == 0 && n * units[i].bytes < 1e18) {
			*AT(int64_t) = (int64_t)(n * units[i].bytes);
			return 0;
		}
	}
	return bad(v, "a size as 10M", e);
}

static int rate_one(struct str s, struct rate_spec *out, unsigned *seen)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char text[32];
	double n;
	if (s.n == 0 || s.n >= sizeof text)
		return -1;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	const char *p = number(text, &n);
	while (p != NULL && *p == ' ')
		p++;
	if (p == NULL || *p++ != '/' || n <= 0)
		return -1;
	while (*p == ' ')
		p++;
	for (unsigned i = 0; i < 4; i++) {
		if (p[0] != units[i].unit || p[1] != '\0' || (*seen >> i & 1) != 0)
			continue;
		*seen |= 1u << i;
		double per_second = n / units[i].seconds;
		if (i < 2 && (out->per_second == 0 || per_second < out->per_second))
			out->per_second = per_second;
		if (i >= 2 && (n < 1 || n != floor(n)))
			return -1;
		if (i == 2)
			out->per_hour = (int64_t)n;
		if (i == 3)
			out->per_day = (int64_t)n;
		return 0;
	}
	return -1;
}

int rate_parse(const char *text, struct rate_spec *out, struct err *e)
{
	struct str rest = str_from(text);
	unsigned seen = 0;
	*out = (struct rate_spec){0};
	for (;;) {
		size_t n = str_find(rest, ',');
		if (rate_one(str_trim(str_n(rest.p, n)), out, &seen) != 0)
			return err_set(e, ERR_CONFIG, "not a rate",
				"\"%.100s\": expected as 14/s, 100/m, 2000/h or 50000/d, "
				"each unit once, separated by commas",
				text);
		if (n == rest.n)
			return 0;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
}

int read_rate(const struct field *f, const struct value *v, void *base, struct err *e)
{
	return rate_parse(v->text, AT(struct rate_spec), e) == 0 ? 0 : placed(v, e);
}

int read_even_rate(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct rate_spec rate;
	if (rate_parse(v->text, &rate, e) != 0)
		return placed(v, e);
	if (rate.per_hour != 0 || rate.per_day != 0)
		return bad(v, "a rate as 2/s or 100/m", e);
	*AT(double) = rate.per_second;
	return 0;
}

/* ---- Times ---- */

int read_span(const struct field *f, const struct value *v, void *base, struct err *e)
{
	ms_t t;
	if (clock_span(v->text, &t, NULL) != 0)
		return bad(v, "a span of time as 90s, 15m, 2h or 3d", e);
	if ((double)t < f->min)
		return bad(v, "a longer time", e);
	*AT(ms_t) = t;
	return 0;
}

int read_zone(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config *c = base;
	c->zone = clock_zone(v->text, e);
	c->timezone = v->text;
	return c->zone != NULL ? 0 : placed(v, e);
}

static const char *minute_of_day(const char *p, int *out)
{
	int h = 0, m = 0, digits;
	for (digits = 0; digits < 2 && *p >= '0' && *p <= '9'; digits++)
		h = h * 10 + (*p++ - '0');
	if (digits == 0 || *p++ != ':')
		return NULL;
	for (digits = 0; digits < 2 && *p >= '0' && *p <= '9'; digits++)
		m = m * 10 + (*p++ - '0');
	*out = h * 60 + m;
	return digits == 2 && m < 60 && (h < 24 || (h == 24 && m == 0)) ? p : NULL;
}

int read_quiet(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config *c = base;
	int from = 0, to = 0;
	const char *p = minute_of_day(v->text, &from);
	while (p != NULL && *p == ' ')
		p++;
	if (p != NULL && *p == '-') {
		for (p++; *p == ' '; p++)
			;
		p = minute_of_day(p, &to);
		if (p != NULL && *p == '\0' && from % 1440 != to % 1440) {
			c->quiet_from = from % 1440;
			c->quiet_to = to % 1440;
			return 0;
		}
	}
	return bad(v, "two times of day as 21:00-08:00", e);
}

int read_delays(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config *c = base;
	struct str rest = str_from(v->text);
	ms_t *delays = arena_alloc(v->arena, (count(v->text, ",") + 1) * sizeof *delays);
	size_t got = 0;
	if (delays == NULL)
		return no_memory(e);
	for (;;) {
		char one[32] = "";
		size_t n = str_find(rest, ',');
		struct str s = str_trim(str_n(rest.p, n));
		if (s.n < sizeof one)
			memcpy(one, s.p, s.n);

		if (clock_span(one, &delays[got], NULL) != 0 || delays[got++] < SECOND)
			return bad(v, "spans of time of at least 1s as 5m, 15m, 1h", e);
		if (n == rest.n)
			break;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
	c->retry_delays = delays;
	c->nretry = got;
	return 0;
}

/* ---- Secrets ---- */

static int read_secret(struct secret *s, int from, const char *value, const struct value *v, struct err *e)
{
	if (s->from != SECRET_NONE)
		return config_bad(
			e, v->at, "%s: the password is given twice, first in line %ld", v->key, s->at.line);
	s->from = from;
	s->value = value;
	s->at = v->at;
	return 0;
}

int read_secret_file(const struct field *f, const struct value *v, void *base, struct err *e)
{
	const char *path;
	struct field whole = {.offset = 0};
	return read_path(&whole, v, &path, e) == 0 ? read_secret(AT(struct secret), SECRET_FILE, path, v, e)
						   : -1;
}

int read_secret_env(const struct field *f, const struct value *v, void *base, struct err *e)
{
	return read_secret(AT(struct secret), SECRET_ENV, v->text, v, e);
}

int read_secret_command(const struct field *f, const struct value *v, void *base, struct err *e)
{
	return read_secret(AT(struct secret), SECRET_COMMAND, v->text, v, e);
}

/* ---- Checked, kept nowhere ---- */

#define CHECK(name, type)                                                                                    \
	int check_##name(const struct field *f, const struct value *v, void *base, struct err *e)            \
	{                                                                                                    \
		struct field at = *f;                                                                        \
		type scratch;                                                                                \
		(void)base;                                                                                  \
		at.offset = 0;                                                                               \
		return read_##name(&at, v, &scratch, e);                                                     \
	}
CHECK(text, const char *)
CHECK(span, ms_t)
CHECK(int, int)
CHECK(rate, struct rate_spec)
CHECK(host, const char *)
CHECK(word, int)
CHECK(url, const char *)
