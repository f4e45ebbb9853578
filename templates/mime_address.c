#include "templates/mime_address.h"

#include "src/base/literal.h"
#include "src/base/utf8.h"

#include <idn2.h>
#include <stdlib.h>

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253, LABEL_MAX = 63 }; /* RFC 5321 4.5.3.1, RFC 1035 2.3.4 */

static int bad(struct err *e, struct str text, const char *why)
{
	return err_set(
		e, ERR_DATA, "address", "%s: \"%.*s\"", why, (int)(text.n < 120 ? text.n : 120), text.p);
}

static bool is_atom(struct str s)
{
	bool dot = true;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '.') {
			if (dot)
				return false;
			dot = true;
			continue;
		}
		dot = false;
		if (c <= ' ' || c == 0x7f || (c < 0x7f && strchr("()<>[]:;@\\,\"", c) != NULL))
			return false;
	}
	return !dot;
}

/* The inside of a quoted local part, as it stands. */
static bool is_quoted(struct str s)
{
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c >= 0x7f || c == '"')
			return false;
		if (c == '\\' && (++i + 1 >= s.n || s.p[i] < ' ' || s.p[i] > '~'))
			return false;
	}
	return true;
}

static bool is_label(const char *p, size_t n)
{
	if (n == 0 || n > LABEL_MAX || p[0] == '-' || p[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

static bool is_domain(struct str d)
{
	size_t labels = 0;
	if (is_literal(d))
		return true;
	if (d.n == 0 || d.n > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i <= d.n;) {
		size_t n = str_find(str_n(d.p + i, d.n - i), '.');
		if (!is_label(d.p + i, n))
			return false;
		labels++;
		i += n + 1;
	}
	/* People on this machine may be on a list. */
	return labels >= 2 || str_is(d, "localhost");
}

int mailbox_domain(struct str text, struct arena *a, struct str *out, struct err *e)
{
	if (text.n == 0 || text.n > 4 * DOMAIN_MAX)
		return bad(e, text, text.n == 0 ? "no domain" : "the domain is too long");
	if (utf8_ascii(text)) {
		char *p = arena_bytes(a, text.n);
		if (p == NULL)
			return err_set(e, ERR_INTERNAL, "address", "out of memory");
		for (size_t i = 0; i < text.n; i++)
			p[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
		*out = str_n(p, text.n);
		return is_domain(*out) ? 0 : bad(e, text, "not a domain");
	}
	struct str z = arena_str(a, text);
	char *ascii = NULL;
	if (a->failed)
		return err_set(e, ERR_INTERNAL, "address", "out of memory");
	if (strlen(z.p) != z.n ||
		idn2_lookup_u8((const uint8_t *)z.p, (uint8_t **)&ascii,
			IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) != IDN2_OK)
		return bad(e, text, "not an international domain name");
	*out = arena_str(a, str_from(ascii));
	idn2_free(ascii);
	return is_domain(*out) ? 0 : bad(e, text, "not a domain");
}

int mailbox_address(struct str text, struct arena *a, struct mailbox *out, struct err *e)
{
	text = str_trim(text);
	size_t at = text.n;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '@')
			at = i;
	if (text.n == 0)
		return err_set(e, ERR_DATA, "address", "it is empty");
	if (at == text.n)
		return bad(e, text, "no @ in the address");
	struct str local = str_n(text.p, at);
	if (local.n == 0 || local.n > LOCAL_MAX)
		return bad(
			e, text, local.n == 0 ? "nothing before the @" : "over 64 characters before the @");
	/* "=?" is legal there, but reads as the beginning of an encoded-word. */
	if (memmem(local.p, local.n, "=?", 2) != NULL || !utf8_valid(local) ||
		(!is_atom(local) && !is_quoted(local)))
		return bad(e, text, "not an address");
	if (mailbox_domain(str_n(text.p + at + 1, text.n - at - 1), a, &out->domain, e) != 0)
		return -1;
	struct run r = RUN_INIT(a);
	run_str(&r, local);
	run_putc(&r, '@');
	run_str(&r, out->domain);
	if (r.failed)
		return err_set(e, ERR_INTERNAL, "address", "out of memory");
	out->address = run_get(&r);
	out->utf8 = !utf8_ascii(local);
	return 0;
}

static struct str unquote(struct str text, struct arena *a)
{
	text = header_clean(a, text);
	if (text.n < 2 || text.p[0] != '"' || text.p[text.n - 1] != '"')
		return text;
	struct run r = RUN_INIT(a);
	for (size_t i = 1; i + 1 < text.n; i++) {
		if (text.p[i] == '\\' && i + 2 < text.n)
			i++;
		run_putc(&r, text.p[i]);
	}
	if (r.failed)
		a->failed = true;
	return header_clean(a, run_get(&r));
}

/* An unquoted name may hold anything but what would make it another address. */
static bool name_is_clear(struct str s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"') {
		for (size_t i = 1; i + 1 < s.n; i++) {
			if (s.p[i] == '"')
				return false;
			if (s.p[i] == '\\' && ++i + 1 >= s.n)
				return false;
		}
		return true;
	}
	for (size_t i = 0; i < s.n; i++)
		if (strchr("<>@,;:\"", s.p[i]) != NULL)
			return false;
	return true;
}

int mailbox_split(struct str text, struct arena *a, struct str *name, struct str *address, struct err *e)
{
	text = str_trim(text);
	*name = str_n(text.p, 0);
	*address = text;
	if (text.n == 0 || text.p[text.n - 1] != '>')
		return 0;
	size_t open = text.n;
	while (open > 0 && text.p[open - 1] != '<')
		open--;
	if (open == 0)
		return bad(e, text, "> without <");
	struct str shown = str_trim(str_n(text.p, open - 1));
	if (!name_is_clear(shown)) {
		bad(e, text, "one address with one name is wanted");
		return err_remedy(e,
			"write a name with marks like , or : in quotes: \"Smith, Anna\" <anna@example.com>");
	}
	*name = unquote(shown, a);
	*address = str_n(text.p + open, text.n - open - 1);
	return a->failed ? err_set(e, ERR_INTERNAL, "address", "out of memory") : 0;
}

int mailbox_parse(struct str text, struct arena *a, struct mailbox *out, struct err *e)
{
	struct str address;
	*out = (struct mailbox){0};
	if (mailbox_split(text, a, &out->name, &address, e) != 0)
		return -1;
	return mailbox_address(address, a, out, e);
}

void mailbox_write(struct header *h, const char *header, const struct mailbox *m)
{
	header_begin(h, header);
	if (m->name.n != 0) {
		char token[LOCAL_MAX + DOMAIN_MAX + 8];
		token[0] = '<';
		memcpy(token + 1, m->address.p, m->address.n);
		token[m->address.n + 1] = '>';
		header_phrase(h, m->name);
		header_token(h, str_n(token, m->address.n + 2), false);
	} else {
		header_token(h, m->address, false);
	}
	header_end(h);
}
