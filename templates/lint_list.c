/* The headers of lists and bulk mail (RFC 2369, 2919, 8058, 3834, 6376). */
#include "templates/lint_private.h"

#include <ctype.h>

/* ---- List-Unsubscribe ---- */

struct uris {
	size_t https, http, mailto;
	struct str page, mail; /* the first of each */
	const char *wrong;
};

static bool uri_ok(struct str u)
{
	for (size_t i = 0; i < u.n; i++)
		if (u.p[i] <= ' ' || u.p[i] >= 0x7f || strchr("<>\"\\", u.p[i]) != NULL)
			return false;
	return u.n != 0;
}

static bool starts(struct str s, const char *z)
{
	return s.n > strlen(z) && strncasecmp(s.p, z, strlen(z)) == 0;
}

/* <uri>, <uri> … with comments between. */
static void read_uris(struct str v, struct uris *out)
{
	bool comma = true;
	for (size_t i = 0; i < v.n;) {
		char c = v.p[i];
		if (c == ' ' || c == '\t') {
			i++;
		} else if (c == '(') {
			i += str_find(str_n(v.p + i, v.n - i), ')') + 1;
		} else if (c == ',') {
			comma = true;
			i++;
		} else if (c == '<' && comma) {
			size_t n = str_find(str_n(v.p + i, v.n - i), '>');
			struct str u = str_n(v.p + i + 1, n > 0 ? n - 1 : 0);
			if (i + n >= v.n || !uri_ok(u)) {
				out->wrong = "what stands in brackets is no address";
				return;
			}
			if (starts(u, "https://") && out->https++ == 0)
				out->page = u;
			else if (starts(u, "mailto:") && out->mailto++ == 0)
				out->mail = u;
			else if (starts(u, "http://"))
				out->http++;
			comma = false;
			i += n + 1;
		} else {
			out->wrong = "each address stands in angle brackets, with commas between them";
			return;
		}
	}
	if (out->https + out->http + out->mailto == 0)
		out->wrong = "there is neither an https nor a mailto address";
}

static void unsubscribe(struct linter *l, const struct lint_header *h, const struct lint_header *post)
{
	struct uris u = {0};
	struct str v = lint_unfold(l, h->value);
	if (memmem(v.n != 0 ? v.p : "", v.n, "=?", 2) == NULL || v.p[0] == '<')
		read_uris(v, &u);
	if (u.wrong != NULL)
		lint_add(l, L_UNSUB_FORM, h->name, h->name.p, "%s: \"%s\"", u.wrong, lint_show(l, v));
	if (post != NULL && (u.https != 1 || u.http != 0))
		lint_add(l, L_POST_HTTPS, post->name, post->name.p,
			u.https == 0 ? "List-Unsubscribe has no https address"
				     : "List-Unsubscribe has more than one page");
	if (post == NULL && u.wrong == NULL)
		lint_add(l, L_POST_MISSING, STR("List-Unsubscribe-Post"), NULL,
			"unsubscribing with one click is not offered");
	l->unsubscribe = u.page.n != 0 ? u.page : u.mail;
}

static void one_click(struct linter *l, const struct lint_header *post, const struct lint_header *list)
{
	struct str v = lint_unfold(l, post->value);
	if (!str_is_nocase(v, "List-Unsubscribe=One-Click"))
		lint_add(l, L_POST_FORM, post->name, post->name.p, "its value is \"%s\"", lint_show(l, v));
	if (list == NULL)
		lint_add(l, L_POST_HTTPS, post->name, post->name.p, "there is no List-Unsubscribe");
}

/* ---- The others ---- */

static void list_id(struct linter *l, const struct lint_header *h)
{
	struct str v = lint_unfold(l, h->value);
	const char *open = v.n != 0 ? memrchr(v.p, '<', v.n) : NULL;
	lint_words(l, h, WORDS_ADDRESS, NULL);
	struct str id = open != NULL ? str_n(open + 1, v.n - (size_t)(open - v.p) - 1) : v;
	bool closed = open != NULL && id.n != 0 && id.p[id.n - 1] == '>', ok = true;
	if (closed)
		id.n--;
	for (size_t i = 0; i < id.n; i++)
		ok = ok && id.p[i] > ' ' && id.p[i] < 0x7f && strchr("<>@\"()", id.p[i]) == NULL;
	if (!closed || !ok || str_find(id, '.') == id.n)
		lint_add(l, L_LISTID_FORM, h->name, h->name.p, "this is no List-Id: \"%s\"", lint_show(l, v));
}

static void feedback_id(struct linter *l, const struct lint_header *h)
{
	struct str v = lint_unfold(l, h->value);
	size_t colons = 0, last = 0;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] == ':') {
			colons++;
			last = i + 1;
		}
	if (colons == 0 || colons > 3 || v.n - last < 5 || v.n - last > 15)
		lint_add(l, L_FEEDBACK_ID, h->name, h->name.p, "Gmail will not read it: \"%s\"",
			lint_show(l, v));
}

static void bulk(struct linter *l, const struct lint_headers *h)
{
	const struct lint_header *p = lint_header(h, "precedence"), *a = lint_header(h, "auto-submitted"),
				 *f = lint_header(h, "feedback-id");
	struct str v;
	if (p != NULL && !str_is_nocase(v = lint_unfold(l, p->value), "bulk") && !str_is_nocase(v, "list"))
		lint_add(l, L_PRECEDENCE, p->name, p->name.p, "it is \"%s\"", lint_show(l, v));
	if (a != NULL && !str_is_nocase(v = lint_unfold(l, a->value), "auto-generated") &&
		!str_is_nocase(v, "no"))
		lint_add(l, L_AUTO_SUBMITTED, a->name, a->name.p, "it is \"%s\"", lint_show(l, v));
	if (f != NULL)
		feedback_id(l, f);
}

/* The value of a tag in a DKIM-Signature (RFC 6376 3.2). */
static struct str dkim_tag(struct str v, char tag)
{
	for (size_t at = 0; at < v.n;) {
		size_t n = str_find(str_n(v.p + at, v.n - at), ';');
		struct str one = str_trim(str_n(v.p + at, n));
		size_t eq = str_find(one, '=');
		if (eq < one.n && str_trim(str_n(one.p, eq)).n == 1 && one.p[0] == tag)
			return str_trim(str_n(one.p + eq + 1, one.n - eq - 1));
		at += n + 1;
	}
	return str_n(NULL, 0);
}

static bool covered(struct str h, const char *name)
{
	for (size_t at = 0; at < h.n;) {
		size_t n = str_find(str_n(h.p + at, h.n - at), ':');
		if (str_is_nocase(str_trim(str_n(h.p + at, n)), name))
			return true;
		at += n + 1;
	}
	return false;
}

static void dkim(struct linter *l, const struct lint_headers *h, const struct lint_header *sig)
{
	static const char *const names[] = {"From", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post"};
	struct str v = lint_unfold(l, sig->value), covers = dkim_tag(v, 'h');
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (lint_header(h, names[i]) != NULL && !covered(covers, names[i]))
			lint_add(l, L_DKIM, sig->name, sig->name.p, "the signature does not cover %s",
				names[i]);
	if (dkim_tag(v, 'l').p != NULL)
		lint_add(l, L_DKIM_LENGTH, sig->name, sig->name.p,
			"the signature covers the beginning of the body only");
}

void lint_list(struct linter *l, const struct lint_headers *h)
{
	const struct lint_header *u = lint_header(h, "list-unsubscribe"),
				 *post = lint_header(h, "list-unsubscribe-post"),
				 *id = lint_header(h, "list-id"), *sig = lint_header(h, "dkim-signature");
	if (u == NULL)
		lint_add(l, L_UNSUB_MISSING, STR("List-Unsubscribe"), NULL, "there is no List-Unsubscribe");
	else
		unsubscribe(l, u, post);
	if (post != NULL)
		one_click(l, post, u);
	if (id != NULL)
		list_id(l, id);
	if (sig != NULL)
		dkim(l, h, sig);
	bulk(l, h);
	l->is_list = u != NULL || id != NULL;
}
