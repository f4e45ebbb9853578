#include "engine/route_book.h"

#include "engine/shape/limits.h"

#include <string.h>

enum { OWN_MAX = 64 };

/* By which a direct route calls itself, from whatever source. */
static size_t own_names(const struct config *c, const struct route *r, const char *own[OWN_MAX])
{
	size_t n = 0;
	own[n++] = r->helo;
	for (size_t i = 0; i < c->nsources && n < OWN_MAX; i++)
		if (c->sources[i].helo != NULL && strcmp(c->sources[i].route, r->cfg->name) == 0)
			own[n++] = c->sources[i].helo;
	return n;
}

int route_book(struct sites **b, const struct config *c, const struct route *r, struct sites_options *o,
	struct err *e)
{
	const char *own[OWN_MAX];
	o->resolvers = r->cfg->resolvers;
	o->nresolvers = r->cfg->nresolvers;
	o->trust_anchor = r->cfg->trust_anchor;
	o->ca_file = r->cfg->ca_file;
	o->plain = r->cfg->tls == ROUTE_TLS_NONE;
	o->least = r->cfg->tls == ROUTE_TLS_STARTTLS ? TLS_ENCRYPT : TLS_MAY;
	o->private_addresses = r->cfg->private_addresses;
	o->port = r->cfg->port;
	o->own = own;
	o->nown = own_names(c, r, own);
	o->provider_of = limits_provider;
	return sites_new(b, o, e);
}
