#include "engine/check_private.h"

#include "src/base/utf8.h"

#include <ctype.h>

static const struct law {
	const char *name, *what;
	bool sender, postal, contact, optout; /* what must stand in the message itself */
	bool postal_behind_link;              /* it may stand on a page that a link leads to */
} laws[] = {
	{"jp", "the Japanese law on specified electronic mail", true, false, false, true, true},
	{"us", "CAN-SPAM", false, true, false, true, false},
	{"ca", "CASL", true, true, true, true, false},
	{"eu", "the ePrivacy directive", true, false, false, true, false},
	{"uk", "PECR", true, false, false, true, false},
	{"au", "the Australian Spam Act", true, false, true, true, false},
};

static const struct law *law_of(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof laws / sizeof laws[0]; i++)
		if (strcmp(laws[i].name, name) == 0)
			return &laws[i];
	return NULL;
}

/* Letters and digits alone, ASCII in lower case: line breaks, commas and wrapping do not matter. */
static struct str letters(struct arena *a, struct str s)
{
	char *p = arena_bytes(a, s.n + 1);
	size_t n = 0;
	if (p == NULL)
		return str_n("", 0);
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		uint32_t c = utf8_next(s, &at);
		if (c < 0x80 && isalnum((int)c))
			p[n++] = (char)tolower((int)c);
		else if (c > 0xa0 && c != 0x3000 && c != 0x3001 && c != 0x3002 && c != 0xff0c &&
			 c != 0x200b) {
			memcpy(p + n, s.p + from, at - from);
			n += at - from;
		}
	}
	return str_n(p, n);
}

/* What the message says: its text; of HTML alone the source will do. */
static struct str said(const struct letter *l, struct arena *a)
{
	return letters(a, l->mail.text.n != 0 ? l->mail.text : l->mail.html);
}

static bool holds(struct str all, const char *what, struct arena *a)
{
	struct str w = letters(a, str_from(what));
	return w.n != 0 && all.n != 0 && memmem(all.p, all.n, w.p, w.n) != NULL;
}

struct looked {
	struct check_table *t;
	const struct law *law;
	const struct check_who *who;
	struct arena *a;
	struct str all;
};

static void demand(const struct looked *k, const char *value, const char *id, const char *key,
	const char *what, enum lint_severity severity)
{
	if (value == NULL || value[0] == '\0')
		check_addf(k->t, id, severity, STR("[sender]"), k->who, true,
			"set it in [sender] of the configuration, and put it at the message's foot",
			"%s wants %s, and %s is not set", k->law->what, what, key);
	else if (!holds(k->all, value, k->a))
		check_addf(k->t, id, severity, STR("footer"), k->who, true,
			"write it at the message's foot, as it stands in [sender]",
			"%s wants %s, and the message does not have it: %s", k->law->what, what, value);
}

static bool has_link(const struct letter *l)
{
	struct str h = l->mail.html.n != 0 ? l->mail.html : l->mail.text;
	return h.n != 0 &&
	       (memmem(h.p, h.n, "https://", 8) != NULL || memmem(h.p, h.n, "http://", 7) != NULL);
}

static void optout(const struct looked *k)
{
	static const char *const words[] = {"unsubscribe", "opt out", "stop receiving", "abmelden",
		"abbestell", "austragen", "désabonn", "désinscri", "baja", "cancelar", "disiscri", "afmelden",
		"uitschrijven", "配信停止", "配信の停止", "配信解除", "解除", "退会", "購読停止",
		"オプトアウト"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (holds(k->all, words[i], k->a))
			return;
	check_addf(k->t, "law-opt-out", LINT_FAIL, STR("footer"), k->who, true,
		"say in words how to unsubscribe, with the link: {{ unsubscribe_url }}",
		"%s wants the message to say that one can unsubscribe, and how", k->law->what);
}

void check_law(struct check_table *t, const struct config *cfg, const struct letter *l, struct arena *a,
	const struct check_who *who)
{
	const struct law *law = law_of(cfg->law);
	if (law == NULL)
		return;
	struct looked k = {t, law, who, a, said(l, a)};
	if (law->sender)
		demand(&k, cfg->sender.name, "law-sender", "`name`", "the sender's name", LINT_FAIL);
	if (law->postal)
		demand(&k, cfg->sender.postal_address, "law-postal-address", "`postal-address`",
			"a postal address", LINT_FAIL);
	else if (law->postal_behind_link && !has_link(l))
		demand(&k, cfg->sender.postal_address, "law-postal-address", "`postal-address`",
			"a postal address, here or behind a link", LINT_FAIL);
	if (law->contact)
		demand(&k, cfg->sender.contact, "law-contact", "`contact`", "a way to reach the sender",
			LINT_FAIL);
	if (law->optout)
		optout(&k);
}
