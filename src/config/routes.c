/* What follows for [route] and [source] from what was said, and what was not. */
#include "src/config/schema.h"

#include "src/config/presets.h"

#include <arpa/inet.h>

/* ---- Routes ---- */

static bool has_rate(const struct rate_spec *r)
{
	return r->per_second != 0 || r->per_hour != 0 || r->per_day != 0;
}

static int apply_preset(struct config_route *r, struct err *e)
{
	const struct preset *s = preset_find(r->preset);
	if (s == NULL)
		return 0;
	if (r->host == NULL)
		r->host = s->host;
	if (r->host == NULL)
		return config_bad(
			e, r->at, "[route %s]: preset = %s needs a host: %s", r->name, s->name, s->host_like);
	/* A port or a TLS mode of one's own takes the other from itself, not from the preset. */
	if (r->port == 0 && r->tls == ROUTE_TLS_DEFAULT) {
		r->port = s->port;
		r->tls = s->tls;
	}
	if (r->user == NULL && r->password.from != SECRET_NONE)
		r->user = s->user;
	r->rewrites = s->rewrites;
	r->mailbox = s->mailbox;
	if (r->connections == 0)
		r->connections = s->mailbox ? 1 : s->connections;
	if (r->messages_per_connection == 0)
		r->messages_per_connection = s->messages_per_connection;
	if (r->size == 0)
		r->size = s->size;
	if (!r->envelope_said)
		r->envelope = s->envelope;
	return has_rate(&r->rate) || s->rate == NULL ? 0 : rate_parse(s->rate, &r->rate, e);
}

static int check_login(const struct config_route *r, struct err *e)
{
	const struct preset *s = preset_find(r->preset);
	bool token = r->auth == ROUTE_AUTH_XOAUTH2 || r->auth == ROUTE_AUTH_OAUTHBEARER;
	if (r->password.from != SECRET_NONE && r->user == NULL && s != NULL)
		return config_bad(e, r->password.at,
			"[route %s] has a password but no user: with %s it is %s", r->name, s->name,
			s->user_like);
	if (r->password.from != SECRET_NONE && r->user == NULL)
		return config_bad(e, r->password.at, "[route %s] has a password but no user", r->name);
	if (r->user != NULL && r->password.from == SECRET_NONE)
		return config_bad(e, r->at,
			"[route %s] has a user but no password-file, password-env or password-command",
			r->name);
	if (token && r->user == NULL)
		return config_bad(e, r->at,
			"[route %s] logs in by token: it needs a user, and a password-command that prints "
			"the access token",
			r->name);
	return 0;
}

/* Where the relay takes one sender only, that is the account's address, if the user name is one. */
static int finish_envelope(struct config_route *r, struct err *e)
{
	if (r->envelope != ROUTE_ENVELOPE_FIXED || r->envelope_from != NULL)
		return 0;
	if (r->user == NULL) {
		r->envelope = ROUTE_ENVELOPE_OURS;
		return 0;
	}
	if (strchr(r->user, '@') == NULL)
		return config_bad(e, r->at,
			"[route %s]: %s takes mail from the account's own address only: write it as "
			"envelope-from = ADDRESS",
			r->name, r->preset);
	r->envelope_from = r->user;
	return 0;
}

static void infer_tls(struct config_route *r)
{
	bool loopback = r->kind == ROUTE_DIRECT || config_host_loopback(r->host);
	if (r->tls == ROUTE_TLS_DEFAULT) {
		if (r->port == 465)
			r->tls = ROUTE_TLS_IMPLICIT;
		else
			r->tls = loopback ? ROUTE_TLS_OPPORTUNISTIC : ROUTE_TLS_STARTTLS;
	}
	if (r->port != 0)
		return;
	if (r->tls == ROUTE_TLS_IMPLICIT)
		r->port = 465;
	else
		r->port = loopback || r->tls != ROUTE_TLS_STARTTLS ? 25 : 587;
}

/* RFC 8689 2: the promise is worth something only where the certificate was verified. */
static int check_require_tls(const struct config_route *r, struct err *e)
{
	if (!r->require_tls)
		return 0;
	if (r->kind == ROUTE_DIRECT)
		return config_bad(e, r->at, "[route %s]: require-tls is for relays", r->name);
	if (r->tls != ROUTE_TLS_STARTTLS && r->tls != ROUTE_TLS_IMPLICIT)
		return config_bad(
			e, r->at, "[route %s]: require-tls needs tls = starttls or implicit", r->name);
	return 0;
}

static int finish_route(struct config_route *r, struct err *e)
{
	if (r->kind == ROUTE_DIRECT && r->preset != NULL)
		return config_bad(e, r->at, "[route %s] is direct: a preset is a relay's", r->name);
	if (apply_preset(r, e) != 0)
		return -1;
	if (r->kind == ROUTE_DIRECT &&
		(r->host != NULL || r->user != NULL || r->password.from != SECRET_NONE))
		return config_bad(
			e, r->at, "[route %s] is direct: it has no host, user or password", r->name);
	if (r->kind == ROUTE_RELAY && r->host == NULL)
		return config_bad(e, r->at, "[route %s] has no host", r->name);
	if (check_login(r, e) != 0 || finish_envelope(r, e) != 0)
		return -1;
	infer_tls(r);
	if (r->connections == 0)
		r->connections = r->kind == ROUTE_DIRECT ? 2000 : 20;
	if (r->messages_per_connection == 0)
		r->messages_per_connection = 500;
	if (r->chunking == ROUTE_CHUNKING_DEFAULT)
		r->chunking = r->kind == ROUTE_RELAY ? ROUTE_CHUNKING_YES : ROUTE_CHUNKING_NO;
	return check_require_tls(r, e);
}

/* ---- Sources ---- */

static int source_route(struct config *c, struct config_source *s, struct err *e)
{
	const struct config_route *only = NULL;
	size_t direct = 0;
	for (size_t i = 0; i < c->nroutes; i++) {
		if (s->route != NULL && strcmp(c->routes[i].name, s->route) == 0)
			return 0;
		if (c->routes[i].kind == ROUTE_DIRECT && direct++ == 0)
			only = &c->routes[i];
	}
	if (s->route != NULL)
		return config_bad(e, s->at, "[source %s]: there is no [route %s]", s->address, s->route);
	if (direct != 1)
		return config_bad(e, s->at, "[source %s]: say which route uses it: route = NAME", s->address);
	s->route = only->name;
	return 0;
}

static int source_warm_up(struct config *c, struct config_source *s, struct err *e)
{
	const struct config_route *r = config_route_find(c, s->route);
	if (s->warm_up.n != 0 && r->kind == ROUTE_RELAY)
		return config_bad(e, s->at,
			"[source %s]: warm-up is for direct routes: receivers do not see the address from "
			"which a relay is called",
			s->address);
	if (s->warm_up.n == 0 && (s->warm_up.from != NULL || s->warm_up.wait))
		return config_bad(e, s->at, "[source %s] has no warm-up to which that belongs", s->address);
	if (s->warm_up.from == NULL)
		return 0;
	struct err why = {0};
	if (strlen(s->warm_up.from) != 10 ||
		clock_parse(s->warm_up.from, c->zone, 0, &s->warm_up.start, &why) != 0)
		return config_bad(e, s->at, "[source %s]: warm-up-from = %.40s: expected a day as 2026-12-01",
			s->address, s->warm_up.from);
	return 0;
}

static bool same_address(const char *a, const char *b)
{
	unsigned char x[16], y[16];
	if (inet_pton(AF_INET6, a, x) == 1)
		return inet_pton(AF_INET6, b, y) == 1 && memcmp(x, y, 16) == 0;
	return inet_pton(AF_INET, a, x) == 1 && inet_pton(AF_INET, b, y) == 1 && memcmp(x, y, 4) == 0;
}

/* Many servers answer but once in two round trips (Nagle): at 100 ms 16 messages under way are 80 a second at
 * most, and what waits for our own disk is among them. Near servers need no more than 16. */
enum { AHEAD = 8, AHEAD_CHUNKING = 16, AHEAD_FAR = 64 };

/* A route that has no name of its own goes by that of its first source. */
static void name_route(struct config *c, const struct config_source *s)
{
	for (size_t i = 0; i < c->nroutes; i++)
		if (c->routes[i].helo == NULL && strcmp(c->routes[i].name, s->route) == 0)
			c->routes[i].helo = s->helo;
}

int config_finish_routes(struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->nroutes; i++) {
		if (finish_route(&c->routes[i], e) != 0)
			return -1;
		struct config_route *r = &c->routes[i];
		bool chunking = r->chunking == ROUTE_CHUNKING_YES;
		int given = r->ahead != 0 ? r->ahead : c->ahead;
		r->ahead = given != 0 ? given : chunking ? AHEAD_CHUNKING : AHEAD;
		r->ahead_far = given == 0 && chunking ? AHEAD_FAR : r->ahead;
	}
	if (c->ahead == 0)
		c->ahead = AHEAD;
	for (size_t i = 0; i < c->nsources; i++) {
		if (source_route(c, &c->sources[i], e) != 0 || source_warm_up(c, &c->sources[i], e) != 0)
			return -1;
		name_route(c, &c->sources[i]);
		for (size_t k = 0; k < i; k++)
			if (same_address(c->sources[k].address, c->sources[i].address))
				return config_bad(e, c->sources[i].at,
					"[source %s] stands here twice, first as [source %s]",
					c->sources[i].address, c->sources[k].address);
	}
	return 0;
}
