/* Readers of what stands in [route] and [source] alone. */
#include "src/config/fields.h"

#include "src/base/literal.h"
#include "src/base/utf8.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { WARM_UP_DAYS = 366 };

static int bad(const struct value *v, const char *expected, struct err *e)
{
	return config_bad(e, v->at, "%s = %.100s: expected %s", v->key, v->text, expected);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
}

static size_t commas(const char *text)
{
	size_t n = 0;
	for (const char *p = text; (p = strchr(p, ',')) != NULL; p++)
		n++;
	return n;
}

/* ---- for ---- */

/* Names separated by commas. */
int read_names(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config_route *r = base;
	struct str rest = str_from(v->text);
	r->for_names = arena_zalloc(v->arena, (commas(v->text) + 1) * sizeof *r->for_names);
	if (r->for_names == NULL)
		return no_memory(e);
	for (;;) {
		size_t n = str_find(rest, ',');
		struct str name = arena_str(v->arena, str_trim(str_n(rest.p, n)));
		if (name.n == 0 || config_host_check(name.p, NULL) != 0)
			return bad(v, "sender domains or recipient providers, separated by commas", e);
		for (size_t i = 0; i < r->nfor; i++)
			if (str_is_nocase(name, r->for_names[i]))
				return config_bad(e, v->at, "%s names %s twice", v->key, name.p);
		r->for_names[r->nfor++] = name.p;
		if (n == rest.n)
			return 0;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
}

/* ---- resolver ---- */

static bool is_resolver(struct str s)
{
	unsigned char ip[16];
	char host[INET6_ADDRSTRLEN] = "";
	long long port;
	size_t at = str_find(s, '@');
	if (str_is(s, "root"))
		return true;
	if (at == 0 || at >= sizeof host ||
		(at < s.n && !str_int(str_n(s.p + at + 1, s.n - at - 1), 1, 65535, &port)))
		return false;
	memcpy(host, s.p, at);
	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* "192.0.2.1@53, 2001:db8::1", or the word root alone. */
int read_resolvers(const struct field *f, const struct value *v, void *base, struct err *e)
{
	(void)f;
	struct config_route *r = base;
	struct str rest = str_from(v->text);
	r->resolvers = arena_zalloc(v->arena, (commas(v->text) + 1) * sizeof *r->resolvers);
	if (r->resolvers == NULL)
		return no_memory(e);
	for (;;) {
		size_t n = str_find(rest, ',');
		struct str one = arena_str(v->arena, str_trim(str_n(rest.p, n)));
		if (!is_resolver(one) || (str_is(one, "root") && (r->nresolvers != 0 || n != rest.n)))
			return bad(v,
				"IP addresses of name servers as in 127.0.0.1@53, separated by commas, or "
				"root",
				e);
		r->resolvers[r->nresolvers++] = one.p;
		if (n == rest.n)
			return 0;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
}

/* ---- helo ---- */

/* Receivers look the name up, and refuse who calls himself by none, or by theirs. */
int read_helo(const struct field *f, const struct value *v, void *base, struct err *e)
{
	unsigned char ip[16];
	struct str s = str_from(v->text);
	if (is_literal(s))
		return read_text(f, v, base, e);
	if (inet_pton(AF_INET, v->text, ip) == 1)
		return config_bad(e, v->at, "%s = %s: an address stands in brackets here: [%s]", v->key,
			v->text, v->text);
	if (inet_pton(AF_INET6, v->text, ip) == 1)
		return config_bad(e, v->at, "%s = %s: an address stands in brackets here: [IPv6:%s]", v->key,
			v->text, v->text);
	if (config_host_loopback(v->text) || str_ends(s, STR(".localdomain")) || str_ends(s, STR(".local")))
		return config_bad(e, v->at,
			"%s = %.100s: that is any computer's name for itself; servers refuse it", v->key,
			v->text);
	if (str_find(s, '.') == s.n || str_find(s, '_') < s.n || !utf8_ascii(s) ||
		config_host_check(v->text, NULL) != 0 || v->text[s.n - 1] == '.')
		return bad(v, "this computer's full name as DNS has it, as mail.books.example", e);
	return read_text(f, v, base, e);
}

/* ---- envelope-from ---- */

int read_envelope(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct config_route *r = base;
	struct field at = {.offset = offsetof(struct config_route, envelope_from)};
	(void)f;
	if (strcmp(v->text, "own") == 0 || strcmp(v->text, "relay") == 0) {
		r->envelope = v->text[0] == 'o' ? ROUTE_ENVELOPE_OURS : ROUTE_ENVELOPE_RELAY;
		r->envelope_said = true;
		return 0;
	}
	if (strstr(v->text, "{token}") != NULL || strchr(v->text, '@') == NULL)
		return bad(v, "own, relay, or one address", e);
	r->envelope = ROUTE_ENVELOPE_FIXED;
	r->envelope_said = true;
	return read_token_address(&at, v, base, e);
}

/* ---- warm-up ---- */

/* For each provider; never more than twice the day before, and from 4,000 on half as much again: receivers
 * limit who doubles an established volume. */
static const int64_t careful[] = {
	50, 100, 200, 400, 800, 1500, 2500, 4000, 6000, 9000, 13500, 20000, 30000, 45000};

int read_warm_up(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct config_source *s = base;
	struct str rest = str_from(v->text);
	(void)f;
	bool shipped = strcmp(v->text, "standard") == 0;
	size_t n = shipped ? sizeof careful / sizeof careful[0] : commas(v->text) + 1;
	if (n > WARM_UP_DAYS)
		return config_bad(e, v->at, "%s has more than %d days", v->key, WARM_UP_DAYS);
	s->warm_up.volume = arena_alloc(v->arena, n * sizeof *s->warm_up.volume);
	if (s->warm_up.volume == NULL)
		return no_memory(e);
	s->warm_up.n = n;
	if (shipped) {
		memcpy(s->warm_up.volume, careful, sizeof careful);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		size_t comma = str_find(rest, ',');
		long long volume;
		if (!str_int(str_trim(str_n(rest.p, comma)), 1, 1000000000, &volume))
			return bad(v, "messages a day as 50, 100, 200, 400, or the word standard", e);
		if (i > 0 && volume < s->warm_up.volume[i - 1])
			return config_bad(e, v->at, "%s: day %zu has fewer messages than the day before",
				v->key, i + 1);
		s->warm_up.volume[i] = volume;
		rest = comma < rest.n ? str_n(rest.p + comma + 1, rest.n - comma - 1) : str_n(NULL, 0);
	}
	return 0;
}
