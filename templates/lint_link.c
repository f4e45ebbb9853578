/* Addresses that links go to, by syntax alone. */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>

static bool starts(struct str s, const char *z)
{
	return s.n >= strlen(z) && strncasecmp(s.p, z, strlen(z)) == 0;
}

/* Does `s` hold the word, ASCII letters in either case? */
static bool holds(struct str s, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i + n <= s.n; i++)
		if (strncasecmp(s.p + i, word, n) == 0)
			return true;
	return false;
}

bool lint_has_unsubscribe_word(struct str s)
{
	static const char *const words[] = {"unsubscribe", "opt out", "opt-out", "optout", "stop receiving",
		"email preferences", "abmelden", "abbestell", "austragen", "abmeldung", "désabonn",
		"désinscri", "desinscri", "desabonn", "cancelar la suscripci", "darse de baja",
		"darte de baja", "cancelar suscripci", "disiscri", "annulla l'iscrizione", "afmelden",
		"uitschrijven", "配信停止", "配信の停止", "配信解除", "購読解除", "購読を解除", "購読の解除",
		"購読停止", "登録解除", "登録の解除", "解除", "退会", "オプトアウト", "退订", "取消订阅",
		"수신거부"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (holds(s, words[i]))
			return true;
	return false;
}

/* The address without a mailto's parameters. */
static struct str bare(struct str u)
{
	if (starts(u, "mailto:"))
		u.n = str_find(u, '?');
	return u;
}

bool lint_is_unsubscribe(struct linter *l, struct str href, struct str text)
{
	return lint_has_unsubscribe_word(text) || lint_has_unsubscribe_word(href) ||
	       (l->unsubscribe.n != 0 && str_eq(bare(href), bare(l->unsubscribe)));
}

/* ---- Hosts ---- */

static struct str authority(struct str url)
{
	const char *slashes = url.n != 0 ? memmem(url.p, url.n, "//", 2) : NULL;
	struct str s = slashes != NULL ? str_n(slashes + 2, (size_t)(url.p + url.n - slashes) - 2) : url;
	for (size_t i = 0; i < s.n; i++)
		if (strchr("/?#\\", s.p[i]) != NULL)
			return str_n(s.p, i);
	return s;
}

static struct str host_of(struct str url)
{
	struct str s = authority(url);
	const char *at = s.n != 0 ? memrchr(s.p, '@', s.n) : NULL;
	if (at != NULL)
		s = str_n(at + 1, (size_t)(s.p + s.n - at) - 1);
	if (s.n != 0 && s.p[0] == '[')
		return str_n(s.p, str_find(s, ']') + (str_find(s, ']') < s.n));
	s.n = str_find(s, ':');
	return s.n != 0 && s.p[s.n - 1] == '.' ? str_n(s.p, s.n - 1) : s;
}

static bool is_ip(struct str h)
{
	if (h.n != 0 && h.p[0] == '[')
		return true;
	for (size_t i = 0; i < h.n; i++)
		if (!isdigit((unsigned char)h.p[i]) && h.p[i] != '.')
			return false;
	return h.n != 0;
}

/* The part of a name that somebody registers, near enough without a list of public suffixes: books.example,
 * books.co.jp. */
static struct str registered(struct str h)
{
	static const char *const second[] = {
		"co", "com", "or", "ne", "ac", "go", "org", "net", "gov", "edu", "gr", "ed", "ad", "lg"};
	size_t dots[3], n = 0;
	for (size_t i = h.n; i > 0 && n < 3; i--)
		if (h.p[i - 1] == '.')
			dots[n++] = i - 1;
	if (n < 2)
		return h;
	struct str label = str_n(h.p + dots[1] + 1, dots[0] - dots[1] - 1);
	bool two = false;
	for (size_t i = 0; h.n - dots[0] == 3 && i < sizeof second / sizeof second[0]; i++)
		two = two || str_is_nocase(label, second[i]);
	size_t from = !two ? dots[1] + 1 : n == 3 ? dots[2] + 1 : 0;
	return str_n(h.p + from, h.n - from);
}

static bool same_site(struct str a, struct str b)
{
	struct str x = registered(a), y = registered(b);
	return x.n == y.n && strncasecmp(x.p, y.p, x.n) == 0;
}

static bool shortener(struct str h)
{
	static const char *const names[] = {"bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd",
		"buff.ly", "rebrand.ly", "cutt.ly", "rb.gy", "shorturl.at", "tiny.cc", "x.gd", "lnkd.in"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_is_nocase(h, names[i]))
			return true;
	return false;
}

/* ---- One link ---- */

/* The length of a scheme with its colon; 0: none. */
static size_t scheme(struct str u)
{
	size_t i = 0;
	if (u.n == 0 || !isalpha((unsigned char)u.p[0]))
		return 0;
	while (i < u.n && (isalnum((unsigned char)u.p[i]) || strchr("+-.", u.p[i]) != NULL) && u.p[i] != '\0')
		i++;
	return i < u.n && u.p[i] == ':' ? i + 1 : 0;
}

static const char *web_wrong(struct str u, size_t colon)
{
	struct str h = host_of(u);
	if (!starts(str_n(u.p + colon, u.n - colon), "//"))
		return "two slashes belong behind http:";
	if (h.n == 0)
		return "it names no host";
	if (starts(h, "http") && (h.n == 4 || h.n == 5))
		return "http:// stands in it twice";
	if (str_is_nocase(h, "localhost") || starts(h, "127."))
		return "it leads to the reader's own computer";
	if (!is_ip(h) && !lint_is_host(h))
		return "its host is no domain name";
	return NULL;
}

static const char *mail_wrong(struct str u, size_t colon)
{
	struct str to = str_n(u.p + colon, u.n - colon);
	to.n = str_find(to, '?');
	if (to.n == 0)
		return str_find(u, '?') < u.n ? NULL : "it names no address";
	size_t at = str_find(to, '@');
	if (at < to.n)
		return at > 0 && at + 1 < to.n ? NULL : "it names no whole address";
	return holds(to, "%40") ? NULL : "it names no address";
}

static const char *character_wrong(struct str u)
{
	for (size_t i = 0; i < u.n; i++) {
		if (u.p[i] == '{' && i + 1 < u.n && (u.p[i + 1] == '{' || u.p[i + 1] == '%'))
			return "template code is left in it";
		if ((unsigned char)u.p[i] <= ' ' || u.p[i] == 0x7f)
			return "there is a blank in it";
		if (strchr("<>\"", u.p[i]) != NULL)
			return "a character in it has no place there";
		if (u.p[i] == '%' && (i + 2 >= u.n || !isxdigit((unsigned char)u.p[i + 1]) ||
					     !isxdigit((unsigned char)u.p[i + 2])))
			return "two hexadecimal digits belong behind %";
	}
	return NULL;
}

static const char *wrong(struct str u)
{
	size_t colon = scheme(u);
	const char *why = character_wrong(u);
	if (u.n == 0 || str_is(u, "#"))
		return "it leads nowhere";
	if (why != NULL || u.p[0] == '#')
		return why;
	if (starts(u, "http:") || starts(u, "https:"))
		return web_wrong(u, colon);
	if (starts(u, "mailto:"))
		return mail_wrong(u, colon);
	if (colon == 0)
		return "a mail has no page that it could be relative to: write https:// and the host";
	/* A host with a port, and no scheme. */
	return u.n > colon && isdigit((unsigned char)u.p[colon]) && lint_is_host(str_n(u.p, colon - 1))
		       ? "https:// is missing"
		       : NULL;
}

void lint_link(struct linter *l, struct str place, long line, struct str href)
{
	const char *why = wrong(href);
	if (starts(href, "javascript:") || starts(href, "vbscript:")) {
		lint_add_decoded(l, L_HTML_SCRIPT, place, line, "a link runs a script");
		return;
	}
	if (why != NULL) {
		lint_add_decoded(l, L_LINK_BROKEN, place, line, "a link cannot work, %s: \"%s\"", why,
			lint_show(l, href));
		return;
	}
	if (!starts(href, "http:") && !starts(href, "https:"))
		return;
	struct str h = host_of(href), a = authority(href);
	if (starts(href, "http:"))
		lint_add_decoded(
			l, L_LINK_HTTP, place, line, "a link is not encrypted: \"%s\"", lint_show(l, href));
	if (is_ip(h) || memchr(a.p, '@', a.n) != NULL)
		lint_add_decoded(l, L_LINK_ODD, place, line,
			is_ip(h) ? "a link goes to a number instead of a name: \"%s\""
				 : "a link has a name before its host: \"%s\"",
			lint_show(l, href));
	else if (shortener(h))
		lint_add_decoded(
			l, L_LINK_ODD, place, line, "a link is shortened: \"%s\"", lint_show(l, href));
}

/* Does the text look like an address of the web? */
static bool shows_host(struct str t)
{
	static const char *const tops[] = {"com", "net", "org", "info", "biz", "example", "edu", "gov", "io",
		"jp", "uk", "de", "fr", "es", "eu", "ca", "au", "us", "it", "nl", "ch", "at", "app", "dev",
		"shop"};
	if (starts(t, "http://") || starts(t, "https://") || starts(t, "www."))
		return true;
	struct str h = host_of(t);
	const char *dot = h.n != 0 ? memrchr(h.p, '.', h.n) : NULL;
	if (dot == NULL || !lint_is_host(h))
		return false;
	for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++)
		if (str_is_nocase(str_n(dot + 1, (size_t)(h.p + h.n - dot) - 1), tops[i]))
			return true;
	return false;
}

void lint_link_text(struct linter *l, struct str place, long line, struct str href, struct str text)
{
	text = str_trim(text);
	if ((!starts(href, "http:") && !starts(href, "https:")) ||
		memchr(text.n != 0 ? text.p : "", '@', text.n) != NULL || !shows_host(text))
		return;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] <= ' ')
			text.n = i;
	struct str shown = host_of(text), host = host_of(href);
	if (lint_is_host(shown) && !same_site(shown, host))
		lint_add_decoded(l, L_LINK_HOST, place, line, "a link shows %s and goes to %s",
			lint_show(l, shown), lint_show(l, host));
}
