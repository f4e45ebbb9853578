#include "templates/lint_private.h"

#include <ctype.h>

/* The end of a quoted string or comment that begins at i; s.n: it does not end. */
static size_t quoted_end(struct str s, size_t i)
{
	char close = s.p[i] == '(' ? ')' : '"';
	int depth = 0;
	for (size_t at = i; at < s.n; at++) {
		if (s.p[at] == '\\')
			at++;
		else if (close == ')' && s.p[at] == '(')
			depth++;
		else if (s.p[at] == close && at != i && (close == '"' || --depth == 0))
			return at + 1;
	}
	return s.n + 1;
}

/* The next mailbox of the list, up to a comma outside of quotes. *open: something in it does not end. */
static bool item_next(struct str s, size_t *at, struct str *out, bool *open)
{
	size_t i = *at;
	bool angle = false;
	if (i > s.n)
		return false;
	for (; i < s.n; i++) {
		char c = s.p[i];
		if (c == '"' || (c == '(' && !angle)) {
			size_t end = quoted_end(s, i);
			*open = *open || end > s.n;
			i = (end > s.n ? s.n : end) - 1;
		} else if (c == '<' || c == '>') {
			angle = c == '<';
		} else if (c == ',' && !angle) {
			break;
		}
	}
	*open = *open || angle;
	*out = str_trim(str_n(s.p + *at, i - *at));
	*at = i + 1;
	return true;
}

static bool dot_atom(struct str s)
{
	bool dot = true;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '.' && dot)
			return false;
		dot = c == '.';
		if (c <= ' ' || c == 0x7f || (c < 0x7f && strchr("()<>[]:;@\\,\"", c) != NULL))
			return false;
	}
	return !dot;
}

static bool address_ok(struct str s)
{
	struct str domain = str_after_last(s, '@');
	if (domain.n == 0)
		return false;
	struct str local = str_n(s.p, s.n - domain.n - 1);
	bool quoted = local.n > 1 && local.p[0] == '"' && quoted_end(local, 0) == local.n;
	bool literal = domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']';
	return (quoted || dot_atom(local)) && local.n <= 64 && domain.n <= 255 &&
	       (literal || lint_is_host(domain));
}

/* Does the name hold a character that only a quoted string may? */
static bool needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '(') {
			size_t end = quoted_end(s, i);
			i = (end > s.n ? s.n : end) - 1;
		} else if (c < 0x7f && c != '\0' && strchr(")<>[]:;@\\,.", c) != NULL) {
			return true;
		}
	}
	return false;
}

static void one_mailbox(struct linter *l, const struct lint_header *h, struct str item, struct str *address)
{
	size_t open = item.n;
	for (size_t i = 0; i < item.n; i++) {
		if (item.p[i] == '"' || item.p[i] == '(') {
			size_t end = quoted_end(item, i);
			i = (end > item.n ? item.n : end) - 1;
		} else if (item.p[i] == '<') {
			open = i;
			break;
		}
	}
	*address = item;
	if (open < item.n) {
		const char *close = memchr(item.p + open, '>', item.n - open);
		struct str name = str_n(item.p, open);
		if (needs_quotes(name))
			lint_add(l, L_ADDRESS_QUOTES, h->name, h->name.p,
				"the name has characters that only quotes may hold: %s",
				lint_show(l, str_trim(name)));
		struct str rest = close != NULL
					  ? str_trim(str_n(close + 1, (size_t)(item.p + item.n - close - 1)))
					  : str_n("", 0);
		*address = str_n(item.p + open + 1,
			close != NULL ? (size_t)(close - item.p) - open - 1 : item.n - open - 1);
		if (rest.n != 0 && rest.p[0] != '(')
			lint_add(l, L_ADDRESS_FORM, h->name, h->name.p,
				"something stands behind the address: \"%s\"", lint_show(l, rest));
	}
	if (!address_ok(*address))
		lint_add(l, L_ADDRESS_FORM, h->name, h->name.p, "this is no address: \"%s\"",
			lint_show(l, *address));
}

void lint_addresses(struct linter *l, const struct lint_header *h, size_t *n, struct str *first)
{
	struct str s = lint_unfold(l, h->value), item, address;
	bool open = false;
	for (size_t at = 0; item_next(s, &at, &item, &open);) {
		if (item.n == 0)
			continue;
		if (str_find(item, '@') == item.n && str_find(item, '<') == item.n) {
			bool alone = at > s.n && *n == 0;
			lint_add(l, alone ? L_ADDRESS_FORM : L_ADDRESS_QUOTES, h->name, h->name.p,
				alone ? "this is no address: \"%s\""
				      : "a comma ends the address here: \"%s\"",
				lint_show(l, item));
			continue;
		}
		one_mailbox(l, h, item, &address);
		if ((*n)++ == 0)
			*first = address;
	}
	if (open)
		lint_add(l, L_ADDRESS_FORM, h->name, h->name.p, "a quote or bracket is not closed");
}
