/* Addresses as they stand in reports: in brackets or quotes, with a prefix, at the end of a sentence. */
#include "engine/bounce/reader_private.h"

static bool is_atom(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

static bool is_domain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
	       c == '.' || c == '-' || c == '_';
}

/* Ideographs and kana end an address in text that has no blanks; letters of other scripts do not. */
static bool is_wide(const char *p)
{
	return (unsigned char)*p >= 0xe2;
}

static size_t local_begin(struct str s, size_t at, size_t least)
{
	if (at > least && s.p[at - 1] == '"') {
		size_t i = at - 1;
		while (i > least && s.p[i - 1] != '"')
			i--;
		return i > least ? i - 1 : at;
	}
	size_t i = at;
	while (i > least && is_atom((unsigned char)s.p[i - 1]))
		i--;
	/* Back over the beginning of a wide character, then in front of its text. */
	for (size_t k = i; k < at; k++)
		if (is_wide(s.p + k)) {
			while (k < at && (unsigned char)s.p[k] >= 0x80)
				k++;
			i = k;
		}
	return i;
}

static size_t domain_end(struct str s, size_t at)
{
	if (at < s.n && s.p[at] == '[') {
		size_t n = str_find(str_n(s.p + at, s.n - at), ']');
		return at + n < s.n ? at + n + 1 : at;
	}
	size_t i = at;
	while (i < s.n && is_domain((unsigned char)s.p[i]) && !is_wide(s.p + i))
		i++;
	while (i > at && (s.p[i - 1] == '.' || s.p[i - 1] == '-' || s.p[i - 1] == '_'))
		i--;
	return i;
}

/* "rfc822;a@b", "SMTP:a@b", "mailto:a@b", "TO=a@b": what stands in front is no part of it. */
static size_t skip_prefix(struct str s, size_t from, size_t at)
{
	static const char *const prefixes[] = {
		"smtp=", "to=", "rcpt=", "email=", "recipient=", "for=", "e=", "u="};
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		size_t n = strlen(prefixes[i]);
		if (at - from > n && strncasecmp(s.p + from, prefixes[i], n) == 0)
			return from + n;
	}
	if (begins_nocase(str_n(s.p + from, s.n - from), "=?"))
		return from;
	while (from + 1 < at && strchr("'`*=/|-#&{}!?.", s.p[from]) != NULL)
		from++;
	return from;
}

/* "a..b"@c: carriers gave out such addresses, and write them without the quotes. */
struct str address_unquote(struct reading *q, struct str a)
{
	if (a.n < 4 || a.p[0] != '"')
		return a;
	size_t end = str_find(str_n(a.p + 1, a.n - 1), '"') + 1;
	if (end + 1 >= a.n || a.p[end + 1] != '@')
		return a;
	for (size_t i = 1; i < end; i++)
		if (!is_atom((unsigned char)a.p[i]))
			return a;
	return arena_printf(q->a, "%.*s%.*s", (int)(end - 1), a.p + 1, (int)(a.n - end - 1), a.p + end + 1);
}

bool address_next(struct str s, size_t *at, struct found_address *out)
{
	size_t least = *at;
	for (size_t i = *at; i < s.n; i++) {
		const char *p = memchr(s.p + i, '@', s.n - i);
		if (p == NULL)
			break;
		i = (size_t)(p - s.p);
		size_t from = local_begin(s, i, least), to = domain_end(s, i + 1);
		from = skip_prefix(s, from, i);
		if (from == i || to == i + 1 || to - from > 320)
			continue;
		if (to < s.n && s.p[to] == '@') /* a route, or a return path in a return path */
			continue;
		*out = (struct found_address){.text = str_n(s.p + from, to - from), .from = from, .to = to};
		char open = from > least ? s.p[from - 1] : '\0', close = to < s.n ? s.p[to] : '\0';
		if ((open == '<' && close == '>') || (open == '"' && close == '"') ||
			(open == '\'' && close == '\'') || (open == '(' && close == ')') ||
			(open == '[' && close == ']')) {
			out->from--;
			out->to++;
		} else if (close == '\'' && s.p[from] != '\'') {
			out->to++;
		}
		*at = out->to;
		return true;
	}
	*at = s.n;
	return false;
}

struct str address_of_field(struct str v)
{
	size_t semi = str_find(v, ';');
	if (semi < v.n && str_find(str_n(v.p, semi), '@') == semi && str_find(str_n(v.p, semi), '<') == semi)
		v = str_n(v.p + semi + 1, v.n - semi - 1);
	v = str_trim(v);
	size_t open = str_find(v, '<');
	if (open < v.n) {
		struct str in = str_n(v.p + open + 1, v.n - open - 1);
		in.n = str_find(in, '>');
		size_t colon = str_find(in, ':'); /* <@route:a@b>, <SMTP:a@b> */
		if (colon < in.n)
			in = str_n(in.p + colon + 1, in.n - colon - 1);
		if (str_find(in, '@') < in.n)
			return str_trim(in);
	}
	size_t at = 0;
	struct found_address f;
	if (address_next(v, &at, &f))
		return f.text;
	return str_n(NULL, 0);
}

bool same_address(struct str a, struct str b)
{
	return a.n == b.n && a.n != 0 && strncasecmp(a.p, b.p, a.n) == 0;
}

bool is_own(const struct reading *q, struct str address)
{
	for (int i = 0; i < q->nown; i++)
		if (same_address(q->own[i], address))
			return true;
	return false;
}
