/* Date (RFC 5322 3.3) and Message-ID (3.6.4). */
#include "templates/lint_private.h"

#include <ctype.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int word_index(struct str *s, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (s->n >= 3 && strncasecmp(s->p, words[i], 3) == 0) {
			*s = str_n(s->p + 3, s->n - 3);
			return i;
		}
	return -1;
}

static int number(struct str *s, size_t min, size_t max)
{
	size_t i = 0;
	int v = 0;
	while (i < s->n && i < max && isdigit((unsigned char)s->p[i]))
		v = v * 10 + (s->p[i++] - '0');
	if (i < min || (i < s->n && isdigit((unsigned char)s->p[i])))
		return -1;
	*s = str_n(s->p + i, s->n - i);
	return v;
}

static bool skip(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_n(s->p + 1, s->n - 1);
	return true;
}

static bool blanks(struct str *s)
{
	size_t i = 0;
	while (i < s->n && (s->p[i] == ' ' || s->p[i] == '\t'))
		i++;
	*s = str_n(s->p + i, s->n - i);
	return i != 0;
}

static int weekday(int y, int m, int d)
{
	static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
	y -= m < 3;
	return (y + y / 4 - y / 100 + y / 400 + shift[m - 1] + d) % 7;
}

/* NULL: all right; *zone is what is left. */
static const char *date_wrong(struct str s, struct str *zone)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int wd = word_index(&s, days, 7);
	if (wd >= 0 && (!skip(&s, ',') || !blanks(&s)))
		return "a comma and a blank belong behind the day of the week";
	int d = number(&s, 1, 2), m = blanks(&s) ? word_index(&s, months, 12) : -1,
	    y = m >= 0 && blanks(&s) ? number(&s, 4, 4) : -1;
	if (d < 1 || m < 0 || y < 1900 || d > lengths[m])
		return "there is no such day, month or year";
	if (wd >= 0 && weekday(y, m + 1, d) != wd)
		return "that day is another day of the week";
	int hh = blanks(&s) ? number(&s, 2, 2) : -1, mm = hh >= 0 && skip(&s, ':') ? number(&s, 2, 2) : -1,
	    ss = 0;
	if (skip(&s, ':'))
		ss = number(&s, 2, 2);
	if (hh < 0 || hh > 23 || mm < 0 || mm > 59 || ss < 0 || ss > 60)
		return "there is no such time";
	if (!blanks(&s) || s.n == 0)
		return "the zone is missing";
	*zone = s;
	return NULL;
}

static bool zone_numeric(struct str z)
{
	if (z.n < 5 || (z.p[0] != '+' && z.p[0] != '-'))
		return false;
	for (size_t i = 1; i < 5; i++)
		if (!isdigit((unsigned char)z.p[i]))
			return false;
	/* A comment may follow. */
	struct str rest = str_trim(str_n(z.p + 5, z.n - 5));
	return z.p[3] < '6' && (rest.n == 0 || (rest.p[0] == '(' && rest.p[rest.n - 1] == ')'));
}

void lint_date(struct linter *l, const struct lint_header *h)
{
	struct str zone = {0}, value;
	if (h == NULL) {
		lint_add(l, L_DATE_MISSING, STR("Date"), NULL, "there is no Date");
		return;
	}
	value = lint_unfold(l, h->value);
	const char *why = date_wrong(value, &zone);
	if (why != NULL)
		lint_add(l, L_DATE_FORM, STR("Date"), h->name.p, "this is no date, %s: \"%s\"", why,
			lint_show(l, value));
	else if (!zone_numeric(zone) && isalpha((unsigned char)zone.p[0]) && zone.n <= 5)
		lint_add(
			l, L_DATE_ZONE, STR("Date"), h->name.p, "the zone is a name: %s", lint_show(l, zone));
	else if (!zone_numeric(zone))
		lint_add(l, L_DATE_FORM, STR("Date"), h->name.p, "this is no zone: \"%s\"",
			lint_show(l, zone));
}

/* ---- Message-ID (RFC 5322 3.6.4) ---- */

bool lint_is_host(struct str s)
{
	size_t label = 0, dots = 0;
	bool letter = false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '.') {
			if (label == 0)
				return false;
			dots++;
			label = 0;
			letter = false;
			continue;
		}
		if (!isalnum(c) && c != '-' && c < 0x80)
			return false;
		letter = letter || isalpha(c) || c >= 0x80;
		label++;
	}
	return dots != 0 && label > 1 && letter;
}

void lint_message_id(struct linter *l, const struct lint_header *h)
{
	const struct str place = STR("Message-ID");
	if (h == NULL) {
		lint_add(l, L_ID_MISSING, place, NULL, "there is no Message-ID");
		return;
	}
	struct str v = lint_unfold(l, h->value);
	size_t at = str_find(v, '@');
	if (v.n < 3 || v.p[0] != '<' || v.p[v.n - 1] != '>') {
		lint_add(l, L_ID_FORM, place, h->name.p, "it is not in angle brackets: \"%s\"",
			lint_show(l, v));
		return;
	}
	bool bad = at == v.n || at < 2;
	for (size_t i = 1; i + 1 < v.n; i++)
		bad = bad || v.p[i] <= ' ' || strchr("<>(),;\\\"", v.p[i]) != NULL ||
		      (v.p[i] == '@' && i != at);
	if (bad) {
		lint_add(l, L_ID_FORM, place, h->name.p, "this is no Message-ID: \"%s\"", lint_show(l, v));
		return;
	}
	struct str host = str_n(v.p + at + 1, v.n - at - 2);
	if (!lint_is_host(host) || str_ends(host, STR(".local")) || str_ends(host, STR(".localdomain")) ||
		str_ends(host, STR(".internal")))
		lint_add(l, L_ID_HOST, place, h->name.p, "\"%s\" is no domain name that others know",
			lint_show(l, host));
}
