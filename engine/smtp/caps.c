#include "engine/smtp/caps.h"

#include <limits.h>

/* The next word of `s`, which moves behind it; empty at the end. */
static struct str word(struct str *s)
{
	size_t i = 0;
	while (i < s->n && (s->p[i] == ' ' || s->p[i] == '\t'))
		i++;
	size_t start = i;
	while (i < s->n && s->p[i] != ' ' && s->p[i] != '\t')
		i++;
	struct str w = str_n(s->p + start, i - start);
	*s = str_n(s->p + i, s->n - i);
	return w;
}

static void size_args(struct smtp_caps *caps, struct str args)
{
	long long n;
	caps->size_offered = true;
	caps->size = str_int(word(&args), 0, LLONG_MAX, &n) ? (uint64_t)n : 0;
}

static void auth_args(struct smtp_caps *caps, struct str args)
{
	caps->auth = true;
	for (struct str w = word(&args); w.n != 0; w = word(&args)) {
		if (str_is_nocase(w, "PLAIN"))
			caps->auth_plain = true;
		else if (str_is_nocase(w, "LOGIN"))
			caps->auth_login = true;
		else if (str_is_nocase(w, "XOAUTH2"))
			caps->auth_xoauth2 = true;
		else if (str_is_nocase(w, "OAUTHBEARER"))
			caps->auth_oauthbearer = true;
	}
}

static void limits_args(struct smtp_caps *caps, struct str args)
{
	for (struct str w = word(&args); w.n != 0; w = word(&args)) {
		size_t eq = str_find(w, '=');
		long long n;
		if (eq == w.n || !str_int(str_n(w.p + eq + 1, w.n - eq - 1), 1, INT_MAX, &n))
			continue;
		struct str name = str_n(w.p, eq);
		if (str_is_nocase(name, "MAILMAX"))
			caps->mail_max = (int)n;
		else if (str_is_nocase(name, "RCPTMAX"))
			caps->rcpt_max = (int)n;
		else if (str_is_nocase(name, "RCPTDOMAINMAX"))
			caps->rcpt_domain_max = (int)n;
	}
}

static const struct {
	const char *keyword;
	size_t flag;
	void (*args)(struct smtp_caps *caps, struct str args);
} keywords[] = {
#define FLAG(name) offsetof(struct smtp_caps, name), NULL
	{"PIPELINING", FLAG(pipelining)},
	{"CHUNKING", FLAG(chunking)},
	{"STARTTLS", FLAG(starttls)},
	{"SMTPUTF8", FLAG(smtputf8)},
	{"DSN", FLAG(dsn)},
	{"8BITMIME", FLAG(eightbit)},
	{"ENHANCEDSTATUSCODES", FLAG(enhanced)},
	{"REQUIRETLS", FLAG(requiretls)},
#undef FLAG
	{"SIZE", 0, size_args},
	{"AUTH", 0, auth_args},
	{"LIMITS", 0, limits_args},
};

void smtp_caps_line(struct smtp_caps *caps, struct str line)
{
	struct str first = word(&line);
	/* "AUTH=PLAIN LOGIN": the form from before RFC 2554 that some servers still give beside the other. */
	if (first.n > 5 && strncasecmp(first.p, "AUTH=", 5) == 0) {
		auth_args(caps, str_n(first.p + 5, first.n - 5));
		auth_args(caps, line);
		return;
	}
	for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
		if (!str_is_nocase(first, keywords[i].keyword))
			continue;
		if (keywords[i].args != NULL)
			keywords[i].args(caps, line);
		else
			*(bool *)((char *)caps + keywords[i].flag) = true;
		return;
	}
}
