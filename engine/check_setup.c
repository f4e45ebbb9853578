#include "engine/check_private.h"

#include "lists/address.h"
#include "lists/provider.h"
#include "src/base/nearest.h"

#include <ctype.h>
#include <stdio.h>

static const int64_t MB = 1 << 20;

/* ---- Configuration and sender ---- */

static void from_config(struct check_table *t, const struct launch *l)
{
	struct err why = {0};
	if (personal_check_config(l->config, &why) != 0)
		check_addf(t, "unsubscribe-not-configured", LINT_FAIL, STR("[unsubscribe]"), NULL, false,
			why.remedy, "%s", why.why);
	if (!personal_has_return_path(l->config))
		check_addf(t, "return-path-missing", LINT_WARN, STR("[return-path]"), NULL, false,
			"set `domain` in [return-path]",
			"returned mail goes to the From address, and cannot be counted");
	const char *left =
		personal_example_left(l->config, message_from_domain(personal_message(l->personal)));
	if (left != NULL)
		check_addf(t, "example-left", LINT_FAIL, STR("postrider.conf"), NULL, false,
			"write your own, or leave it out",
			"%s is still the example's: what is sent there is lost", left);
	struct route_plan plan;
	if (l->route == NULL && route_plan_for(&plan, l->config,
					message_from_domain(personal_message(l->personal)), &why) != 0)
		check_addf(t, "route-missing", LINT_FAIL, STR("[route]"), NULL, false, why.remedy, "%s",
			why.why);
}

static bool ours(const struct config *c, struct str domain)
{
	for (size_t i = 0; i < c->ndomains; i++)
		if (str_is_nocase(domain, c->domains[i]))
			return true;
	return false;
}

/* Does the relay belong to whom the From address is from? Then it may send as that. */
static bool own_relay(const struct config_route *r, const char *provider)
{
	static const struct {
		const char *provider, *host;
	} own[] = {{"google", "gmail.com"}, {"microsoft", "outlook.com"}, {"microsoft", "office365.com"},
		{"yahoo", "yahoo.com"}, {"yahoo-jp", "yahoo.co.jp"}, {"apple", "mail.me.com"}};
	if (r == NULL || r->kind != ROUTE_RELAY || r->host == NULL)
		return false;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		if (strcmp(own[i].provider, provider) == 0 &&
			str_ends(str_from(r->host), str_from(own[i].host)))
			return true;
	return false;
}

static void from_sender(struct check_table *t, const struct launch *l)
{
	const struct config *c = l->config;
	const struct str where = STR("From"), domain = message_from_domain(personal_message(l->personal));
	bool direct = false;
	for (size_t i = 0; i < l->plan.n; i++)
		direct = direct || c->routes[l->plan.route[i]].kind == ROUTE_DIRECT;
	if (domain.n == 0) {
		check_addf(t, "from-varies", LINT_WARN, where, NULL, false,
			"write the address in From without values",
			"the address depends on the recipient, so whether it is one of yours cannot be known "
			"beforehand");
		return;
	}
	const char *provider = provider_of_domain(domain);
	if (provider[0] != '\0' && own_relay(l->route, provider))
		check_addf(t, "from-mailbox", LINT_WARN, where, NULL, false,
			"send newsletters as a domain of your own",
			"%.*s is for personal mail; its relay takes few messages a day", STR_ARG(domain));
	else if (provider[0] != '\0')
		check_addf(t, "from-freemail", LINT_FAIL, where, NULL, false,
			"write From with a domain of your own",
			"mail from %.*s that does not come from its own servers is refused by others (DMARC)",
			STR_ARG(domain));
	else if (!ours(c, domain) && (direct || c->ndomains != 0))
		check_addf(t, "from-domain", direct ? LINT_FAIL : LINT_WARN, where, NULL, false,
			"correct From, or say that you send as that domain: a [domain …] section",
			"%.*s has no [domain] section", STR_ARG(domain));
	if (direct && (l->dkim_keys == NULL || !dkim_keys_serve(l->dkim_keys, domain)))
		check_addf(t, "dkim-missing", LINT_WARN, where, NULL, false,
			"make a key: postrider dkim keygen, and a [dkim …] section",
			"mail from %.*s goes out unsigned, which Gmail and others refuse from who sends much",
			STR_ARG(domain));
}

void check_setup(struct check_table *t, const struct launch *l)
{
	from_config(t, l);
	from_sender(t, l);
}

/* Where no limit is known, what most receivers take. */
int64_t check_size_limit(const struct route_plan *p, bool *known)
{
	int64_t least = 0;
	for (size_t i = 0; i < p->n; i++) {
		int64_t size = p->config->routes[p->route[i]].size;
		if (size > 0 && (least == 0 || size < least))
			least = size;
	}
	*known = least > 0;
	return *known ? least : 10 * MB;
}

/* ---- Names ---- */

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || (unsigned char)c >= 0x80;
}

/* Where a name stands between {{ }} or {% %}: its line, 0 if not here. */
static long line_in(struct str s, struct str name)
{
	long line = 1;
	bool code = false;
	for (size_t i = 0; i + 1 < s.n; i++) {
		line += s.p[i] == '\n';
		if (s.p[i] == '{' && (s.p[i + 1] == '{' || s.p[i + 1] == '%'))
			code = true;
		else if (s.p[i + 1] == '}' && (s.p[i] == '}' || s.p[i] == '%'))
			code = false;
		if (code && s.n - i >= name.n && memcmp(s.p + i, name.p, name.n) == 0 &&
			(i == 0 || !word_char(s.p[i - 1])) &&
			(i + name.n == s.n || !word_char(s.p[i + name.n])))
			return line;
	}
	return 0;
}

static struct str where_is(const struct launch *l, struct str name, char *out, size_t n)
{
	const struct message *m = personal_message(l->personal);
	for (size_t i = 0; i < message_nparts(m); i++) {
		struct str part, data;
		message_part(m, i, &part, &data);
		long line = name.n != 0 ? line_in(data, name) : 0;
		if (line == 0)
			continue;
		if (str_is(part, "message"))
			snprintf(out, n, "%s:%ld", l->path, line);
		else
			snprintf(out, n, "%.*s:%ld", STR_ARG(part), line);
		return str_from(out);
	}
	return str_from(l->path);
}

struct dictionary {
	struct nearest nearest;
	bool known;
};

static int offer(void *ctx, uint32_t id, struct str name)
{
	struct dictionary *d = ctx;
	(void)id;
	if (str_eq(name, d->nearest.typed))
		d->known = true;
	else
		nearest_offer(&d->nearest, name);
	return 0;
}

static int undefined(struct check_table *t, const struct launch *l, struct str name, struct err *e)
{
	static const char *const reserved[] = {
		"email", "campaign", "list", "unsubscribe_url", "view_url", "now", "contact"};
	struct dictionary d = {0};
	char where[512], remedy[NEAREST_MAX + 64];
	nearest_init(&d.nearest, name);
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
		nearest_offer(&d.nearest, str_from(reserved[i]));
	if (store_attrs(l->store, offer, &d, e) < 0)
		return -1;
	if (d.nearest.best[0] != '\0' && !d.known)
		snprintf(remedy, sizeof remedy, "did you mean %s?", d.nearest.best);
	else
		snprintf(remedy, sizeof remedy, "import it as a column, or take it out of the message");
	struct check_entry one = {.id = "undefined-name",
		.severity = LINT_FAIL,
		.place = name,
		.where = where_is(l, name, where, sizeof where),
		.remedy = str_from(remedy)};
	one.text = arena_printf(&t->arena,
		d.known ? "nobody in this audience has a value for %.*s" : "nobody has an attribute %.*s",
		STR_ARG(name));
	check_add(t, &one, NULL, false);
	return 0;
}

int check_names(struct check_table *t, const struct launch *l, const struct check_values *v, struct err *e)
{
	const struct message *m = personal_message(l->personal);
	char where[512];
	for (size_t i = 0; i < message_nslots(m); i++) {
		struct str name = message_slot(m, i);
		if (v->checked > 0 && v->have[i] == 0 && undefined(t, l, name, e) != 0)
			return -1;
		if (v->have[i] == 0 || v->have[i] == v->checked || message_slot_defaulted(m, i))
			continue;
		struct check_entry one = {.id = "value-missing",
			.severity = LINT_INFO,
			.place = name,
			.where = where_is(l, name, where, sizeof where),
			.remedy = arena_printf(&t->arena,
				"see that it reads well without: {{ %.*s | default: \"…\" }}, or {%% if %.*s "
				"%%}",
				STR_ARG(name), STR_ARG(name)),
			.text = arena_printf(&t->arena, "%.*s is empty", STR_ARG(name)),
			.recipients = v->checked - v->have[i]};
		check_add(t, &one, NULL, false);
	}
	return 0;
}
