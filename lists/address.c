#include "lists/address.h"

#include "lists/address_name.h"
#include "src/base/literal.h"
#include "src/base/utf8.h"

#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>

#define TEXT_MAX                                                                                             \
	4000 /* an address with its display name; also bounds what libidn2 and libunistring are given */

enum { ATEXT = 1, LDH = 2, UPPER = 4 };

/* RFC 5322 3.2.3 atext; letters, digits and hyphen of a domain; capitals. */
static const unsigned char class_of[256] = {
	['!'] = ATEXT,
	['#'] = ATEXT,
	['$'] = ATEXT,
	['%'] = ATEXT,
	['&'] = ATEXT,
	['\''] = ATEXT,
	['*'] = ATEXT,
	['+'] = ATEXT,
	['/'] = ATEXT,
	['='] = ATEXT,
	['?'] = ATEXT,
	['^'] = ATEXT,
	['_'] = ATEXT,
	['`'] = ATEXT,
	['{'] = ATEXT,
	['|'] = ATEXT,
	['}'] = ATEXT,
	['~'] = ATEXT,
	['-'] = ATEXT | LDH,
	['0' ... '9'] = ATEXT | LDH,
	['a' ... 'z'] = ATEXT | LDH,
	['A' ... 'Z'] = ATEXT | LDH | UPPER,
};

static bool is(char c, int class)
{
	return (class_of[(unsigned char)c] & class) != 0;
}

static char lower(char c)
{
	return is(c, UPPER) ? (char)(c | 0x20) : c;
}

static void lower_copy(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = lower(from[i]);
}

static int refuse(struct err *e, struct str text, const char *why)
{
	char what[160] = "not a mail address";
	struct buf shown = BUF_INIT(400);
	utf8_safe(&shown, str_n(text.p, text.n < 80 ? text.n : 80));
	if (e != NULL && shown.len > 0)
		snprintf(what, sizeof what, "\"%.*s\" is not a mail address",
			(int)(shown.len < 120 ? shown.len : 120), shown.p);
	buf_release(&shown);
	return err_set(e, ERR_DATA, what, "%s", why);
}

/* ---- Domains ---- */

/* NULL, or what is wrong with an ASCII domain. *idn: a label claims to be an A-label. */
static const char *domain_fault(struct str d, bool *idn)
{
	if (d.n == 0)
		return "no domain";
	if (d.n > ADDRESS_DOMAIN_MAX)
		return "domain over 255 characters";
	if (d.p[0] == '[')
		return is_literal(d) ? NULL : "not an IP address in the brackets";
	size_t start = 0, labels = 0;
	for (size_t i = 0; i <= d.n; i++) {
		if (i < d.n && is(d.p[i], LDH))
			continue;
		if (i < d.n && d.p[i] != '.')
			return (unsigned char)d.p[i] == '_' ? "underscore in the domain"
							    : "a character that no domain can have";
		size_t len = i - start;
		if (len == 0)
			return start == 0 ? "domain starts with a dot"
			       : i == d.n ? "domain ends with a dot"
					  : "two dots in a row in the domain";
		if (len > 63)
			return "domain label over 63 characters";
		if (d.p[start] == '-' || d.p[i - 1] == '-')
			return "domain label starts or ends with a hyphen";
		if (len >= 4 && strncasecmp(d.p + start, "xn--", 4) == 0)
			*idn = true;
		labels++;
		start = i + 1;
	}
	if (labels == 1)
		return str_is_nocase(d, "localhost") ? NULL : "domain without a dot";
	size_t last = d.n;
	while (last > 0 && d.p[last - 1] != '.')
		last--;
	for (size_t i = last; i < d.n; i++)
		if (d.p[i] < '0' || d.p[i] > '9')
			return NULL;
	return "an IP address instead of a domain";
}

/* U-labels, A-labels that need checking, or both, to A-labels. */
static const char *domain_from_idn(struct str d, struct arena *a, struct str *out)
{
	char *z = arena_bytes(a, d.n + 1);
	if (z == NULL)
		return "out of memory";
	memcpy(z, d.p, d.n);
	z[d.n] = '\0';
	uint8_t *ascii = NULL;
	int rc = idn2_lookup_u8(
		(const uint8_t *)z, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_ALABEL_ROUNDTRIP);
	if (rc == IDN2_TOO_BIG_LABEL)
		return "domain label over 63 characters";
	if (rc == IDN2_TOO_BIG_DOMAIN)
		return "domain over 255 characters";
	if (rc != IDN2_OK)
		return "not a valid international domain name";
	*out = arena_str(a, str_from((const char *)ascii));
	idn2_free(ascii);
	if (out->p == NULL)
		return "out of memory";
	bool idn = false;
	const char *fault = domain_fault(*out, &idn);
	lower_copy((char *)out->p, out->p, out->n);
	return fault;
}

static const char *domain_canonical(struct str d, struct arena *a, struct str *out)
{
	bool idn = false;
	if (d.n > 1000)
		return "domain over 255 characters";
	if (!utf8_ascii(d))
		return domain_from_idn(d, a, out);
	const char *fault = domain_fault(d, &idn);
	if (fault != NULL)
		return fault;
	if (idn)
		return domain_from_idn(d, a, out);
	char *p = arena_bytes(a, d.n);
	if (p == NULL)
		return "out of memory";
	lower_copy(p, d.p, d.n);
	*out = str_n(p, d.n);
	return NULL;
}

/* ---- The plain case: ASCII, nothing quoted, no A-label. One pass, no library. ---- */

/* Length of the local part, or 0 where the general reader must look. */
static size_t plain_local(struct str s)
{
	size_t i = 0;
	bool dot = true;
	for (; i < s.n && s.p[i] != '@'; i++) {
		if (is(s.p[i], ATEXT))
			dot = false;
		else if (s.p[i] == '.' && !dot)
			dot = true;
		else
			return 0;
	}
	return i < s.n && !dot && i <= ADDRESS_LOCAL_MAX ? i : 0;
}

static bool is_plain(struct str s, size_t *local)
{
	bool idn = false;
	return s.n <= ADDRESS_MAX && (*local = plain_local(s)) > 0 &&
	       domain_fault(str_n(s.p + *local + 1, s.n - *local - 1), &idn) == NULL && !idn;
}

static int plain_fill(struct str s, size_t local, struct arena *a, struct address *out)
{
	char *key = arena_bytes(a, s.n);
	if (key == NULL)
		return -1;
	lower_copy(key, s.p, s.n);
	out->key = out->wire = str_n(key, s.n);
	out->domain = str_n(key + local + 1, s.n - local - 1);
	if (memcmp(key, s.p, local) != 0) {
		char *wire = arena_bytes(a, s.n);
		if (wire == NULL)
			return -1;
		memcpy(wire, s.p, local);
		memcpy(wire + local, key + local, s.n - local);
		out->wire = str_n(wire, s.n);
	}
	return 0;
}

/* ---- The general reader ---- */

static bool is_blank(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || c == 0x3000 ||
	       (c >= 0x2000 && c <= 0x200b) || c == 0x202f || c == 0x205f || c == 0x1680 || c == 0xfeff;
}

/* Full-width ASCII to ASCII, white space and byte order marks off both ends. */
static const char *normalise(struct str text, struct arena *a, struct str *out)
{
	char *p = arena_bytes(a, text.n + 1);
	if (p == NULL)
		return "out of memory";
	size_t n = 0, end = 0;
	for (size_t at = 0; at < text.n;) {
		size_t before = at;
		uint32_t c = utf8_next(text, &at);
		if (c == 0xfffd)
			return "not readable: bytes that are no text in this encoding";
		bool blank = is_blank(c);
		if (blank && n == 0)
			continue;
		if (c >= 0xff01 && c <= 0xff5e) {
			p[n++] = (char)(c - 0xfee0);
		} else {
			memcpy(p + n, text.p + before, at - before);
			n += at - before;
		}
		if (!blank)
			end = n;
	}
	*out = str_n(p, end);
	return NULL;
}

/* Splits `Name <a@b>`; without angle brackets everything is address. */
static const char *split_name(struct str s, struct str *name, struct str *spec)
{
	size_t i = 0;
	bool quoted = false;
	for (; i < s.n && (quoted || s.p[i] != '<'); i++) {
		if (s.p[i] == '\\' && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
	}
	*name = str_n(s.p, 0);
	*spec = s;
	if (i >= s.n)
		return s.n > 0 && s.p[s.n - 1] == '>' && s.p[0] != '"' ? "a > without its <" : NULL;
	if (s.p[s.n - 1] != '>')
		return memchr(s.p + i, '>', s.n - i) != NULL ? "text behind the >" : "a < without its >";
	for (size_t j = 0; j < i; j++)
		if ((unsigned char)s.p[j] < 0x20 || s.p[j] == 0x7f)
			return s.p[j] == '\r' || s.p[j] == '\n' ? "line break inside"
								: "control character inside";
	*name = str_trim(str_n(s.p, i));
	*spec = str_trim(str_n(s.p + i + 1, s.n - i - 2));
	return NULL;
}

/* What stands in a quoted local part, with its quotes and backslashes taken off; *used: bytes read. */
static const char *unquote(struct str s, char *out, size_t *n, size_t *used)
{
	size_t i = 1;
	*n = 0;
	for (; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		out[(*n)++] = s.p[i];
	}
	if (i >= s.n)
		return "a quote that is not closed";
	*used = i + 1;
	return NULL;
}

static const char *char_fault(uint32_t c, bool quoted)
{
	if (c == '\r' || c == '\n' || c == 0x2028 || c == 0x2029 || c == 0x85)
		return "line break inside";
	if (c == 0)
		return "NUL byte inside";
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return "control character inside";
	if (c == ' ' && quoted)
		return NULL;
	if (is_blank(c))
		return "space inside";
	if (c < 0x80)
		return NULL;
	if (uc_is_general_category_withtable(
		    c, UC_CATEGORY_MASK_Cf | UC_CATEGORY_MASK_Cs | UC_CATEGORY_MASK_Z))
		return "invisible character inside";
	return NULL;
}

/* Dots in a row or at an end: no dot-atom, though all characters are fine. */
static const char *dot_fault(struct str local)
{
	if (local.p[0] == '.')
		return "starts with a dot";
	if (local.p[local.n - 1] == '.')
		return "dot before the @";
	return memmem(local.p, local.n, "..", 2) != NULL ? "two dots in a row before the @" : NULL;
}

/* Characters of an unquoted local part, where the fault is not one of dots. */
static const char *atom_fault(struct str local)
{
	for (size_t i = 0; i < local.n; i++) {
		unsigned char c = (unsigned char)local.p[i];
		if (c >= 0x80 || c == '.' || is(local.p[i], ATEXT))
			continue;
		return c == ',' || c == ';'   ? "comma or semicolon before the @"
		       : c == '"'             ? "a quote in the middle"
		       : c == '<' || c == '>' ? "an angle bracket too many"
		       : c == ':'             ? "colon before the @"
					      : "a character that must be quoted before the @";
	}
	return NULL;
}

struct parts {
	struct str local;  /* unquoted */
	struct str domain; /* as given */
	bool quoted;
};

static const char *split_unquoted(struct str s, struct parts *p)
{
	size_t at = str_find(s, '@');
	if (at == s.n)
		return "no @";
	p->local = str_n(s.p, at);
	p->domain = str_n(s.p + at + 1, s.n - at - 1);
	if (str_find(p->domain, '@') < p->domain.n)
		return str_find(s, ',') < s.n || str_find(s, ';') < s.n || str_find(s, ' ') < s.n
			       ? "more than one address"
			       : "two @";
	return NULL;
}

static const char *split_spec(struct str s, struct arena *a, struct parts *p)
{
	p->quoted = s.n > 0 && s.p[0] == '"';
	if (!p->quoted)
		return split_unquoted(s, p);
	char *local = arena_bytes(a, s.n);
	size_t n, used;
	if (local == NULL)
		return "out of memory";
	const char *fault = unquote(s, local, &n, &used);
	if (fault != NULL)
		return fault;
	if (used >= s.n || s.p[used] != '@')
		return "no @ behind the quotes";
	p->local = str_n(local, n);
	p->domain = str_n(s.p + used + 1, s.n - used - 1);
	return str_find(p->domain, '@') < p->domain.n ? "two @" : NULL;
}

static const char *chars_fault(const struct parts *p)
{
	for (size_t at = 0; at < p->local.n;) {
		const char *fault = char_fault(utf8_next(p->local, &at), p->quoted);
		if (fault != NULL)
			return fault;
	}
	for (size_t at = 0; at < p->domain.n;) {
		const char *fault = char_fault(utf8_next(p->domain, &at), false);
		/* Zero-width joiners are for libidn2 to judge. */
		if (fault != NULL && strcmp(fault, "invisible character inside") != 0)
			return fault;
	}
	return NULL;
}

/* local@domain with the local part quoted if it must be. */
static const char *put_wire(struct str local, struct str domain, bool quote, struct arena *a, struct str *out)
{
	char *p = arena_bytes(a, 2 * local.n + domain.n + 3);
	if (p == NULL)
		return "out of memory";
	size_t n = 0;
	if (quote)
		p[n++] = '"';
	for (size_t i = 0; i < local.n; i++) {
		if (quote && (local.p[i] == '"' || local.p[i] == '\\'))
			p[n++] = '\\';
		p[n++] = local.p[i];
	}
	if (quote)
		p[n++] = '"';
	if (n > ADDRESS_LOCAL_MAX)
		return "over 64 bytes before the @";
	p[n++] = '@';
	memcpy(p + n, domain.p, domain.n);
	*out = str_n(p, n + domain.n);
	return out->n > ADDRESS_MAX ? "over 254 bytes" : NULL;
}

static const char *put_key(
	struct str local, struct str domain, bool ascii, struct arena *a, struct address *out)
{
	uint8_t *folded = NULL;
	size_t n = local.n;
	if (!ascii) {
		folded = u8_casefold((const uint8_t *)local.p, local.n, NULL, UNINORM_NFC, NULL, &n);
		if (folded == NULL)
			return "not readable: bytes that are no text in this encoding";
	}
	char *p = arena_bytes(a, n + 1 + domain.n);
	if (p == NULL) {
		free(folded);
		return "out of memory";
	}
	if (ascii)
		lower_copy(p, local.p, n);
	else
		memcpy(p, folded, n);
	free(folded);
	p[n] = '@';
	memcpy(p + n + 1, domain.p, domain.n);
	out->key = str_n(p, n + 1 + domain.n);
	out->domain = str_n(p + n + 1, domain.n);
	return NULL;
}

static const char *read_spec(struct str spec, struct arena *a, struct address *out)
{
	struct parts p;
	const char *fault = split_spec(spec, a, &p);
	if (fault == NULL)
		fault = chars_fault(&p);
	if (fault != NULL)
		return fault;
	if (p.local.n == 0)
		return "nothing before the @";
	if (p.local.n > ADDRESS_LOCAL_MAX)
		return "over 64 bytes before the @";
	struct str domain;
	const char *dots = dot_fault(p.local), *atoms = atom_fault(p.local);
	if (atoms != NULL && !p.quoted)
		return atoms;
	if ((fault = domain_canonical(p.domain, a, &domain)) != NULL)
		return fault;
	if (dots != NULL && !p.quoted && !address_is_carrier(domain))
		return dots;
	bool ascii = utf8_ascii(p.local);
	out->utf8 = !ascii;
	if ((fault = put_wire(p.local, domain, dots != NULL || atoms != NULL, a, &out->wire)) != NULL)
		return fault;
	return put_key(p.local, domain, ascii, a, out);
}

int address_parse(struct str text, struct arena *a, struct address *out, struct err *e)
{
	*out = (struct address){0};
	struct str s = str_trim(text), name, spec;
	size_t local;
	if (is_plain(s, &local))
		return plain_fill(s, local, a, out) == 0
			       ? 0
			       : err_set(e, ERR_INTERNAL, "address", "out of memory");
	if (s.n == 0)
		return refuse(e, s, "empty");
	if (s.n > TEXT_MAX)
		return refuse(e, s, "over 254 bytes");
	const char *fault = normalise(s, a, &s);
	if (fault == NULL && s.n == 0)
		fault = "empty";
	if (fault == NULL)
		fault = split_name(s, &name, &spec);
	if (fault == NULL)
		fault = read_spec(spec, a, out);
	if (fault == NULL && name.n > 0)
		out->name = address_name_decode(name, a);
	if (a->failed)
		return err_set(e, ERR_INTERNAL, "address", "out of memory");
	if (fault == NULL)
		return 0;
	*out = (struct address){0};
	return refuse(e, text, fault);
}

bool address_is(struct str text)
{
	struct str s = str_trim(text);
	size_t local;
	if (is_plain(s, &local))
		return true;
	if (str_find(s, '@') == s.n && (s.n == 0 || memmem(s.p, s.n, "\xef\xbc\xa0", 3) == NULL))
		return false;
	struct arena a;
	struct address out;
	arena_init(&a, 1024, 1 << 20);
	bool ok = address_parse(s, &a, &out, NULL) == 0;
	arena_release(&a);
	return ok;
}

int address_domain(struct str text, struct arena *a, struct str *out, struct err *e)
{
	struct str s;
	const char *fault = text.n > TEXT_MAX ? "domain over 255 characters" : normalise(text, a, &s);
	struct parts p = {.local = str_n("", 0)};
	if (fault == NULL) {
		p.domain = s;
		fault = chars_fault(&p);
	}
	if (fault == NULL)
		fault = domain_canonical(s, a, out);
	if (a->failed)
		return err_set(e, ERR_INTERNAL, "domain", "out of memory");
	return fault == NULL ? 0 : err_set(e, ERR_DATA, "not a domain", "%s", fault);
}
