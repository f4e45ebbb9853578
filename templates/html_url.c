#include "templates/html_url.h"

#include "templates/html_token.h"

/* --- rewriting --- */

static bool is_address(const struct html_token *t, const struct html_attr *a, enum html_url *what)
{
	if (str_is_nocase(a->name, "href") &&
		(str_is_nocase(t->name, "a") || str_is_nocase(t->name, "area"))) {
		*what = HTML_URL_LINK;
		return true;
	}
	*what = HTML_URL_IMAGE;
	return str_is_nocase(a->name, "background") ||
	       (str_is_nocase(a->name, "src") && str_is_nocase(t->name, "img"));
}

static int map_tag(struct str html, const struct html_token *t, html_url_fn *fn, void *ctx, struct run *out,
	struct err *e)
{
	struct html_attr a, off;
	size_t copied = t->from;
	enum html_url what;
	if (html_attr_find(html, t, "data-rewrite", &off) && str_is_nocase(off.value, "off"))
		goto rest;
	for (size_t at = 0; html_attr_next(html, t, &at, &a);) {
		struct run url = RUN_INIT(out->a), with = RUN_INIT(out->a);
		if (!a.has_value || !is_address(t, &a, &what))
			continue;
		html_decode(&url, a.value, HTML_IN_ATTR);
		if (fn(ctx, what, str_trim(run_get(&url)), &with, e) != 0)
			return -1;
		if (with.n == 0)
			continue;
		size_t from = (size_t)(a.value.p - html.p);
		run_add(out, html.p + copied, from - copied);
		if (a.quote == 0)
			run_putc(out, '"');
		run_str(out, run_get(&with));
		if (a.quote == 0)
			run_putc(out, '"');
		copied = from + a.value.n;
	}
rest:
	run_add(out, html.p + copied, t->to - copied);
	return 0;
}

int html_map_urls(struct str html, html_url_fn *fn, void *ctx, struct run *out, struct err *e)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (t.kind != HTML_OPEN)
			run_add(out, html.p + t.from, t.to - t.from);
		else if (map_tag(html, &t, fn, ctx, out, e) != 0)
			return -1;
	}
	return out->failed ? err_set(e, ERR_INTERNAL, "HTML", "out of memory") : 0;
}

/* --- addresses --- */

bool html_url_is_file(struct str url, struct run *out)
{
	if (url.n == 0 || url.p[0] == '/' || url.p[0] == '#' || url.p[0] == '?' || opaque_in(url))
		return false;
	if (str_find(url, ':') < str_find(url, '/'))
		return false;
	if (str_starts(url, STR("./")))
		url = str_n(url.p + 2, url.n - 2);
	for (size_t i = 0; i < url.n; i++) {
		int high = -1, low = -1;
		if (url.p[i] == '%' && i + 2 < url.n) {
			high = str_hex_digit(url.p[i + 1]);
			low = str_hex_digit(url.p[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			run_putc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			run_putc(out, url.p[i]);
		}
	}
	return true;
}

static bool has_parameter(struct str query, struct str name)
{
	while (query.n != 0) {
		size_t n = str_find(query, '&');
		struct str one = str_n(query.p, n);
		if (str_eq(str_n(one.p, str_find(one, '=')), name))
			return true;
		query = n < query.n ? str_n(query.p + n + 1, query.n - n - 1) : str_n(query.p, 0);
	}
	return false;
}

bool html_url_add(struct str url, struct str parameters, struct run *out)
{
	if (strncasecmp(url.p, "http://", url.n < 7 ? url.n : 7) != 0 &&
		strncasecmp(url.p, "https://", url.n < 8 ? url.n : 8) != 0)
		return false;
	if (url.n < 8)
		return false;
	size_t hash = str_find(url, '#');
	struct str base = str_n(url.p, hash), fragment = str_n(url.p + hash, url.n - hash);
	size_t mark = str_find(base, '?');
	struct str query = mark < base.n ? str_n(base.p + mark + 1, base.n - mark - 1) : str_n(base.p, 0);
	struct run with = RUN_INIT(out->a);
	bool any = false;
	run_str(&with, base);
	while (parameters.n != 0) {
		size_t n = str_find(parameters, '&');
		struct str one = str_n(parameters.p, n);
		parameters = n < parameters.n ? str_n(parameters.p + n + 1, parameters.n - n - 1)
					      : str_n(parameters.p, 0);
		if (one.n == 0 || has_parameter(query, str_n(one.p, str_find(one, '='))))
			continue;
		if (mark == base.n && !any)
			run_putc(&with, '?');
		else if (with.p[with.n - 1] != '?' && with.p[with.n - 1] != '&')
			run_putc(&with, '&');
		run_str(&with, one);
		any = true;
	}
	run_str(&with, fragment);
	if (any)
		html_escape(out, run_get(&with));
	return any && !with.failed;
}
