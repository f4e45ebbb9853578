/* What people get wrong in a host name, said in their words. */
#include "src/config/config.h"

#include "src/base/log.h"
#include "src/base/utf8.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static bool invisible(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || c == 0xfeff || c == 0x2060 || c == 0xad || c == 0xa0 ||
	       (c >= 0x202a && c <= 0x202e);
}

/* Full-width forms as ASCII, without what cannot be seen. True: something changed. */
static bool fold(struct str s, struct buf *out)
{
	bool changed = false;
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		uint32_t c = utf8_next(s, &at);
		if (c >= 0xff01 && c <= 0xff5e)
			buf_putc(out, (char)(c - 0xff01 + '!'));
		else if (c == 0x3002 || c == 0xff61)
			buf_putc(out, '.');
		else if (c != 0x3000 && !invisible(c)) {
			buf_add(out, s.p + from, at - from);
			continue;
		}
		changed = true;
	}
	return changed;
}

static int contains(struct err *e, const char *host, const char *what, struct str better)
{
	struct str t = str_trim(better);
	if (t.n == 0 || t.n > 253)
		err_set(e, ERR_CONFIG, "bad host name", "host \"%.200s\" contains %s", host, what);
	else
		err_set(e, ERR_CONFIG, "bad host name", "host \"%.100s\" contains %s: did you mean \"%.*s\"?",
			host, what, STR_ARG(t));
	return err_remedy(e, "delete the value and type it again");
}

/* A stray character, and what the name would be without it. */
static int lint(const char *host, struct err *e)
{
	struct str s = str_from(host);
	const char *scheme = strstr(host, "://");
	if (scheme != NULL) {
		struct str t = str_from(scheme + 3);
		t.n = str_find(t, '/');
		return contains(e, host, "an URL's scheme", t);
	}
	size_t at = str_find(s, '@');
	if (at < s.n)
		return contains(e, host, "@", str_n(s.p + at + 1, s.n - at - 1));
	if (str_find(s, ' ') < s.n || str_find(s, '\t') < s.n)
		return contains(e, host, "a blank", str_n(s.p, str_find(s, ' ')));
	if (str_find(s, '/') < s.n)
		return contains(e, host, "/", str_n(s.p, str_find(s, '/')));
	if (str_find(s, ',') < s.n) {
		char dots[254];
		snprintf(dots, sizeof dots, "%s", host);
		for (char *p = dots; *p != '\0'; p++)
			if (*p == ',')
				*p = '.';
		return contains(e, host, "a comma", str_from(dots));
	}
	size_t colon = str_find(s, ':');
	if (colon < s.n) {
		contains(e, host, "a port", str_n(s.p, colon));
		return err_remedy(e, "write the port on a line of its own: port = %.10s", host + colon + 1);
	}
	return 0;
}

static int label_check(const char *host, struct str label, struct err *e)
{
	if (label.n == 0)
		return err_set(e, ERR_CONFIG, "bad host name", "host \"%.200s\" has a dot too many", host);
	if (label.n > 63)
		return err_set(e, ERR_CONFIG, "bad host name",
			"host \"%.200s\" has a part longer than 63 characters", host);
	for (size_t i = 0; i < label.n; i++) {
		unsigned char c = (unsigned char)label.p[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			  c == '_' || c >= 0x80 || (c == '-' && i > 0 && i + 1 < label.n);
		if (!ok)
			return err_set(e, ERR_CONFIG, "bad host name", "host \"%.200s\": %s\"%c\"", host,
				c == '-' ? "no part begins or ends with " : "a host name has no ", c);
	}
	return 0;
}

static void warn_of_slips(struct str label, const char *host)
{
	static const char *const slips[][2] = {{"stmp", "smtp"}, {"smpt", "smtp"}, {"sntp", "smtp"},
		{"mial", "mail"}, {"maiil", "mail"}, {"localhots", "localhost"}};
	for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++)
		if (str_is_nocase(label, slips[i][0]))
			log_warn("host \"%s\" has \"%s\" in it: is \"%s\" meant?", host, slips[i][0],
				slips[i][1]);
}

int config_host_check(const char *host, struct err *e)
{
	unsigned char ip[16];
	if (inet_pton(AF_INET6, host, ip) == 1 || inet_pton(AF_INET, host, ip) == 1)
		return 0;
	struct buf folded = BUF_INIT(8192);
	bool changed = fold(str_from(host), &folded);
	if (changed)
		contains(e, host, "full-width or invisible characters", buf_get(&folded));
	buf_release(&folded);
	if (changed || lint(host, e) != 0)
		return -1;
	if (strlen(host) > 253)
		return err_set(e, ERR_CONFIG, "bad host name",
			"host \"%.60s…\" is longer than 253 characters", host);
	struct str rest = str_from(host);
	for (;;) {
		size_t n = str_find(rest, '.');
		if (label_check(host, str_n(rest.p, n), e) != 0)
			return -1;
		warn_of_slips(str_n(rest.p, n), host);
		if (n == rest.n)
			return 0;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
}

bool config_selector_ok(const char *selector)
{
	struct str rest = str_from(selector);
	if (rest.n == 0 || rest.n > 100)
		return false;
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] >= 0x80)
			return false;
	for (;;) {
		size_t n = str_find(rest, '.');
		if (label_check(selector, str_n(rest.p, n), NULL) != 0)
			return false;
		if (n == rest.n)
			return true;
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
}

bool config_host_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;
	size_t n = strlen(host);
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0);
}
