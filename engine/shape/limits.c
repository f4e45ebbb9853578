#include "engine/shape/limits.h"

#include "lists/provider.h"
#include "src/base/nearest.h"

#include <stdlib.h>

extern const unsigned char asset_shaping_conf[];
extern const size_t asset_shaping_conf_len;

struct limits_book {
	struct config *shipped;
	const struct config *user;
};

/* ---- Loading ---- */

static bool dotted(const struct config_provider *p)
{
	return strchr(p->name, '.') != NULL;
}

static int known(const struct config_provider *p, struct err *e)
{
	struct nearest near;
	if (dotted(p) || strcmp(p->name, "default") == 0)
		return 0;
	nearest_init(&near, str_from(p->name));
	for (size_t i = 0; provider_name(i) != NULL; i++) {
		if (strcmp(provider_name(i), p->name) == 0)
			return 0;
		nearest_offer(&near, str_from(provider_name(i)));
	}
	err_set(e, ERR_CONFIG, "bad configuration",
		"[provider %.60s]: no provider of that name is known%s%s%s", p->name,
		near.best[0] != '\0' ? ": did you mean \"" : "", near.best,
		near.best[0] != '\0' ? "\"?" : "");
	err_remedy(e, "For a domain, or the hosts that take its mail, write the full name, as in [provider "
		      "example.com]");
	return err_at(e, p->at.file, p->at.line);
}

int limits_known(const struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->nproviders; i++)
		if (known(&c->providers[i], e) != 0)
			return -1;
	return 0;
}

int limits_load(struct limits_book **out, const struct config *c, struct err *e)
{
	struct limits_book *b = calloc(1, sizeof *b);
	struct str text = str_n((const char *)asset_shaping_conf, asset_shaping_conf_len);
	*out = NULL;
	if (b == NULL)
		return err_set(e, ERR_INTERNAL, "limits", "out of memory");
	b->user = c;
	if (config_parse(text, "shaping.conf", &b->shipped, e) != 0 || limits_known(b->shipped, e) != 0 ||
		limits_known(c, e) != 0)
		limits_free(&b);
	*out = b;
	return b != NULL ? 0 : -1;
}

void limits_free(struct limits_book **b)
{
	if (*b == NULL)
		return;
	config_free(&(*b)->shipped);
	free(*b);
	*b = NULL;
}

/* ---- Looking up ---- */

struct merge {
	struct limits *l;
	bool each_site;
	const char *section; /* the narrowest with a dot that was laid over */
};

static void lay_over(struct merge *m, const struct config_provider *p)
{
	struct limits *l = m->l;
	if (p->connections != 0)
		l->connections = p->connections;
	if (p->messages_per_connection != 0)
		l->messages_per_connection = p->messages_per_connection;
	if (p->rate.per_second != 0 || p->rate.per_hour != 0 || p->rate.per_day != 0)
		l->rate = p->rate;
	if (p->connection_rate != 0)
		l->connection_rate = p->connection_rate;
	if (p->idle != 0)
		l->idle = p->idle;
	if (p->tls != 0)
		l->tls_required = p->tls == PROVIDER_TLS_REQUIRED;
	if (p->reset != 0)
		l->reset_is_congestion = p->reset == PROVIDER_RESET_CONGESTION;
	if (p->suspend != 0)
		l->suspend = p->suspend;
	if (p->suspend_most != 0)
		l->suspend_most = p->suspend_most;
	if (p->recover != 0)
		l->recover = p->recover;
	if (p->each_site != 0)
		m->each_site = p->each_site == PROVIDER_EACH_SITE;
	if (dotted(p))
		m->section = p->name;
}

static void lay_named(struct merge *m, const struct limits_book *b, struct str name)
{
	const struct config *files[] = {b->shipped, b->user};
	for (size_t f = 0; f < 2; f++)
		for (size_t i = 0; i < files[f]->nproviders; i++)
			if (str_is(name, files[f]->providers[i].name))
				lay_over(m, &files[f]->providers[i]);
}

static bool all_below(const struct config_provider *p, const char *const *mx, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!provider_below(str_from(mx[i]), str_from(p->name)))
			return false;
	return n > 0;
}

/* Sections that all hosts lie below, the longest name last. */
static void lay_hosts(struct merge *m, const struct limits_book *b, const char *const *mx, size_t n)
{
	const struct config *files[] = {b->shipped, b->user};
	size_t laid = 0;
	for (;;) {
		size_t next = SIZE_MAX;
		for (size_t f = 0; f < 2; f++)
			for (size_t i = 0; i < files[f]->nproviders; i++) {
				const struct config_provider *p = &files[f]->providers[i];
				size_t len = strlen(p->name);
				if (len > laid && len < next && dotted(p) && all_below(p, mx, n))
					next = len;
			}
		if (next == SIZE_MAX)
			return;
		for (size_t f = 0; f < 2; f++)
			for (size_t i = 0; i < files[f]->nproviders; i++) {
				const struct config_provider *p = &files[f]->providers[i];
				if (strlen(p->name) == next && dotted(p) && all_below(p, mx, n))
					lay_over(m, p);
			}
		laid = next;
	}
}

void limits_find(const struct limits_book *b, struct str domain, const char *provider, const char *const *mx,
	size_t n, struct limits_found *out)
{
	struct merge m = {.l = &out->limits};
	*out = (struct limits_found){0};
	lay_named(&m, b, STR("default"));
	if (provider != NULL && provider[0] != '\0')
		lay_named(&m, b, str_from(provider));
	lay_hosts(&m, b, mx, n);
	if (str_find(domain, '.') < domain.n)
		lay_named(&m, b, domain);
	struct limits *l = &out->limits;
	l->start = l->connections < 2 ? l->connections : 2;
	l->down_most = 15 * MINUTE;
	if (l->suspend_most < l->suspend)
		l->suspend_most = l->suspend;
	if (m.each_site)
		out->group = NULL;
	else if (m.section != NULL)
		out->group = m.section;
	else if (provider != NULL && provider[0] != '\0')
		out->group = provider;
}

const char *limits_provider(void *ctx, struct str domain, const char *const *mx, size_t n)
{
	(void)ctx;
	const char *p = provider_of_mx(mx, n);
	return p[0] != '\0' ? p : provider_of_domain(domain);
}

void limits_of_relay(const struct config_route *r, struct limits *out)
{
	*out = (struct limits){
		.connections = r->connections,
		.start = r->connections,
		.messages_per_connection = r->messages_per_connection,
		.rate = r->rate,
		.idle = 10 * SECOND,
		.relay = true,
		.suspend = MINUTE,
		.suspend_most = 15 * MINUTE,
		.down_most = MINUTE,
		.recover = 10 * SECOND,
	};
}
