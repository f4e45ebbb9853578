#include "engine/route_choice.h"

#include "lists/provider.h"
#include "src/base/nearest.h"

/* A provider's name has no dot, a sender's domain has one. */
static bool is_domain(const char *name)
{
	return strchr(name, '.') != NULL;
}

static bool names(const struct config_route *r, bool domains)
{
	for (size_t i = 0; i < r->nfor; i++)
		if (is_domain(r->for_names[i]) == domains)
			return true;
	return false;
}

static bool has(const struct config_route *r, struct str name)
{
	for (size_t i = 0; i < r->nfor; i++)
		if (str_is_nocase(name, r->for_names[i]))
			return true;
	return false;
}

/* A slip in a provider's name would send its mail another way. */
static int known_providers(const struct config_route *r, struct err *e)
{
	for (size_t i = 0; i < r->nfor; i++) {
		struct nearest near;
		const char *name;
		size_t n = 0;
		nearest_init(&near, str_from(r->for_names[i]));
		for (; (name = provider_name(n)) != NULL && strcasecmp(name, r->for_names[i]) != 0; n++)
			nearest_offer(&near, str_from(name));
		if (name != NULL || is_domain(r->for_names[i]))
			continue;
		err_set(e, ERR_CONFIG, "route",
			"[route %s]: `%s` in `for` is neither a domain nor a provider", r->name,
			r->for_names[i]);
		if (near.best[0] != '\0')
			err_remedy(e, "did you mean \"%s\"?", near.best);
		return err_at(e, r->at.file, r->at.line);
	}
	return 0;
}

static int add(struct route_plan *p, size_t route, struct err *e)
{
	const struct config_route *r = &p->config->routes[route];
	if (known_providers(r, e) != 0)
		return -1;
	if (p->n == ROUTES_MAX)
		return err_set(e, ERR_CONFIG, "route", "more than %d routes serve the same mail", ROUTES_MAX);
	p->route[p->n++] = route;
	p->by_destination = p->by_destination || r->kind == ROUTE_DIRECT;
	p->weighted = p->weighted || r->weight >= 0;
	return 0;
}

/* Is there one for recipients whose provider no route names? */
static int serves_everybody(struct route_plan *p, struct err *e)
{
	const struct config_route *some = NULL;
	bool all = false;
	for (size_t i = 0; i < p->n; i++) {
		const struct config_route *r = &p->config->routes[p->route[i]];
		if (names(r, false))
			some = r;
		else
			all = true;
	}
	if (some == NULL)
		return 0;
	p->by_destination = true;
	if (all)
		return 0;
	err_set(e, ERR_CONFIG, "route",
		"no route serves recipients of other providers than those named in `for` of [route %s]",
		some->name);
	err_remedy(e, "add a [route] that names no provider in `for`, or choose one with --route");
	return err_at(e, some->at.file, some->at.line);
}

int route_plan_for(struct route_plan *p, const struct config *c, struct str from_domain, struct err *e)
{
	bool named = false;
	*p = (struct route_plan){.config = c};
	if (c->nroutes == 0) {
		err_set(e, ERR_CONFIG, "route", "the configuration has no route by which mail could leave");
		err_remedy(e,
			"add a [route main] section with the host, user and password of your mail provider");
		return err_at(e, c->path, 0);
	}
	for (size_t i = 0; i < c->nroutes && from_domain.n > 0; i++)
		named = named || has(&c->routes[i], from_domain);
	for (size_t i = 0; i < c->nroutes; i++) {
		const struct config_route *r = &c->routes[i];
		if (named ? has(r, from_domain) : !names(r, true))
			if (add(p, i, e) != 0)
				return -1;
	}
	if (p->n > 0)
		return serves_everybody(p, e);
	err_set(e, ERR_CONFIG, "route", "no route serves mail from %.*s",
		STR_ARG(from_domain.n > 0 ? from_domain : STR("a domain that the template chooses")));
	err_remedy(e, "name it in `for` of a [route], or choose one with --route");
	return err_at(e, c->path, 0);
}

static size_t find(const struct config *c, struct str name)
{
	size_t i = 0;
	while (i < c->nroutes && !str_is(name, c->routes[i].name))
		i++;
	return i;
}

/* Takes the next name of a list; false: there was none. */
static bool next_name(struct str *rest, struct str *name)
{
	if (rest->p == NULL)
		return false;
	size_t n = str_find(*rest, ',');
	*name = str_trim(str_n(rest->p, n));
	*rest = n == rest->n ? str_n(NULL, 0) : str_n(rest->p + n + 1, rest->n - n - 1);
	return true;
}

struct str route_plan_missing(const struct config *c, struct str list)
{
	struct str name;
	while (next_name(&list, &name))
		if (find(c, name) == c->nroutes)
			return name.n > 0 ? name : STR(",");
	return str_n(NULL, 0);
}

int route_plan_named(struct route_plan *p, const struct config *c, struct str list, struct err *e)
{
	struct str gone = route_plan_missing(c, list), name;
	bool one = str_find(list, ',') == list.n;
	*p = (struct route_plan){.config = c};
	for (size_t i = 0; i < c->nroutes; i++)
		for (struct str rest = list; next_name(&rest, &name);)
			if (str_is(name, c->routes[i].name) && !route_plan_has(p, i) && add(p, i, e) != 0)
				return -1;
	if (p->n == 0)
		return err_set(e, ERR_NOINPUT, "route", "there is no route `%.*s` in the configuration",
			STR_ARG(list));
	if (one || serves_everybody(p, e) == 0)
		return 0;
	if (gone.n > 0) {
		err_set(e, ERR_CONFIG, "route",
			"there is no route `%.*s` in the configuration, and those that are left do not "
			"serve all recipients",
			STR_ARG(gone));
		err_at(e, c->path, 0);
	}
	return -1;
}

struct str route_plan_names(const struct route_plan *p, struct arena *a)
{
	struct str out = {NULL, 0};
	for (size_t i = 0; i < p->n; i++)
		out = arena_printf(
			a, "%.*s%s%s", STR_ARG(out), i > 0 ? "," : "", p->config->routes[p->route[i]].name);
	return out;
}

bool route_plan_has(const struct route_plan *p, size_t route)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->route[i] == route)
			return true;
	return false;
}

/* Is one in for recipients of that provider; NULL: for those whose provider none names? */
static bool covers(const struct route_plan *p, const bool *out, const char *provider)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct config_route *r = &p->config->routes[p->route[i]];
		if (!out[i] &&
			(p->n == 1 || (provider != NULL ? has(r, str_from(provider)) : !names(r, false))))
			return true;
	}
	return false;
}

bool route_plan_covers(const struct route_plan *p, const bool *out)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct config_route *r = &p->config->routes[p->route[i]];
		for (size_t k = 0; k < r->nfor; k++)
			if (!is_domain(r->for_names[k]) && !covers(p, out, r->for_names[k]))
				return false;
	}
	return covers(p, out, NULL);
}

static double weight_of(const struct config_route *r)
{
	return r->weight < 0 ? 1 : r->weight;
}

size_t route_choice(const struct route_plan *p, struct str provider, const bool *usable,
	struct route_pick out[ROUTES_MAX])
{
	const struct config *c = p->config;
	bool special = false, alone = p->n == 1;
	for (size_t i = 0; i < p->n && provider.n > 0; i++)
		special = special || has(&c->routes[p->route[i]], provider);
	/* First those with a weight; where none of them can, the ones in reserve. */
	for (int reserve = 0; reserve < 2; reserve++) {
		size_t n = 0;
		for (size_t i = 0; i < p->n; i++) {
			const struct config_route *r = &c->routes[p->route[i]];
			bool serves = alone || (special ? has(r, provider) : !names(r, false));
			if (serves && (usable == NULL || usable[p->route[i]]) &&
				(weight_of(r) == 0) == (reserve == 1))
				out[n++] = (struct route_pick){p->route[i], reserve == 1 ? 1 : weight_of(r)};
		}
		if (n > 0)
			return n;
	}
	return 0;
}

size_t route_deal(const struct route_pick *picks, size_t n, uint64_t seed)
{
	double all = 0;
	for (size_t i = 0; i < n; i++)
		all += picks[i].weight;
	seed ^= seed >> 33;
	seed *= 0xff51afd7ed558ccdULL;
	seed ^= seed >> 33;
	seed *= 0xc4ceb9fe1a85ec53ULL;
	seed ^= seed >> 33;
	double at = (double)(seed >> 11) / 9007199254740992.0 * all;
	for (size_t i = 0; i + 1 < n; i++) {
		if (at < picks[i].weight)
			return picks[i].route;
		at -= picks[i].weight;
	}
	return picks[n - 1].route;
}
