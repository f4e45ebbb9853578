#include "engine/route.h"

#include "src/base/buf.h"
#include "src/base/hash.h"
#include "src/base/log.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum smtp_tls tls_mode(enum route_tls t)
{
	switch (t) {
	case ROUTE_TLS_NONE:
		return SMTP_TLS_NONE;
	case ROUTE_TLS_IMPLICIT:
		return SMTP_TLS_IMPLICIT;
	case ROUTE_TLS_OPPORTUNISTIC:
		return SMTP_TLS_OPPORTUNISTIC;
	default:
		return SMTP_TLS_STARTTLS;
	}
}

static enum smtp_auth auth_form(enum route_auth a)
{
	switch (a) {
	case ROUTE_AUTH_PLAIN:
		return SMTP_AUTH_PLAIN;
	case ROUTE_AUTH_LOGIN:
		return SMTP_AUTH_LOGIN;
	case ROUTE_AUTH_XOAUTH2:
		return SMTP_AUTH_XOAUTH2;
	case ROUTE_AUTH_OAUTHBEARER:
		return SMTP_AUTH_OAUTHBEARER;
	default:
		return SMTP_AUTH_ANY;
	}
}

int route_port(const struct config_route *c)
{
	return c->port != 0 ? c->port : c->tls == ROUTE_TLS_IMPLICIT ? 465 : 587;
}

/* Our name in EHLO: configured, else the host's full name, else, to a relay, an address literal (RFC 5321
 * 4.1.3): what that says no receiver would believe. */
static char *own_name(const struct config_route *cfg, struct err *e)
{
	char name[256] = "";
	const char *found = cfg->helo;
	if (found == NULL && gethostname(name, sizeof name - 1) == 0 && strchr(name, '.') != NULL)
		found = name;
	if (found == NULL && cfg->kind == ROUTE_DIRECT) {
		err_set(e, ERR_CONFIG, "route",
			"[route %s] has no name to call itself by: this host has no full one", cfg->name);
		err_remedy(e, "helo = the name to which the address it sends from leads back in DNS");
		err_at(e, cfg->at.file, cfg->at.line);
		return NULL;
	}
	char *copy = strdup(found != NULL ? found : "[127.0.0.1]");
	if (copy == NULL)
		err_set(e, ERR_INTERNAL, "route", "out of memory");
	return copy;
}

/* RFC 5321's times, none over the configured one. */
static struct smtp_timeouts reply_timeouts(ms_t most)
{
	struct smtp_timeouts t = smtp_timeouts_default;
	ms_t *all[] = {
		&t.greeting, &t.ehlo, &t.tls, &t.auth, &t.mail, &t.rcpt, &t.data, &t.block, &t.end, &t.quit};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (most > 0 && *all[i] > most)
			*all[i] = most;
	return t;
}

int route_init(struct route *r, const struct config_route *cfg, struct err *e)
{
	memset(r, 0, sizeof *r);
	pthread_mutex_init(&r->lock, NULL);
	r->cfg = cfg;
	r->helo = own_name(cfg, e);
	if (r->helo == NULL)
		return -1;
	if (access_used(cfg)) {
		if (access_new(&r->access, &cfg->password, e) != 0)
			return -1;
	} else if (cfg->password.from != SECRET_NONE) {
		struct buf b = BUF_INIT(16 * 1024);
		if (config_secret(&cfg->password, &b, e) != 0) {
			buf_release(&b);
			return -1;
		}
		r->password = strdup(buf_cstr(&b));
		if (b.p != NULL)
			explicit_bzero(b.p, b.len);
		buf_release(&b);
		if (r->password == NULL) /* without one the server would refuse the login, for good */
			return err_set(e, ERR_INTERNAL, "route", "out of memory");
	}
	r->timeouts = reply_timeouts(cfg->timeout);
	r->smtp = (struct smtp_options){
		.helo = r->helo,
		.tls = tls_mode(cfg->tls),
		.auth = auth_form(cfg->auth),
		.user = cfg->user,
		.password = r->password,
		.token = r->access != NULL ? access_token : NULL,
		.token_ctx = r->access,
		.pipeline = true,
		.chunking = cfg->chunking == ROUTE_CHUNKING_YES ? cfg->ahead_far : 0,
		.require_tls = cfg->require_tls,
		.timeouts = &r->timeouts,
	};
	r->lockstep = r->smtp;
	r->lockstep.pipeline = false;
	if (r->smtp.tls != SMTP_TLS_NONE) {
		/* Opportunistic TLS keeps a passive eavesdropper out; it cannot insist on who answers. */
		r->tls = tls_client_new(
			cfg->ca_file, r->smtp.tls != SMTP_TLS_OPPORTUNISTIC ? TLS_VERIFY : TLS_MAY, e);
		if (r->tls == NULL)
			return -1;
	}
	limiter_set(&r->rate, cfg->rate.per_second);
	struct limits limits;
	limits_of_relay(cfg, &limits);
	limits.rate = (struct rate_spec){0}; /* `rate` above is for that */
	shaper_init(&r->shaper, &limits, clock_mono() * 1000);
	route_connections(r); /* what is read without the lock is right from now on */
	return 0;
}

/* ---- Sources ---- */

/* What the address is called in DNS: where nothing was said, and the host has no full name. */
static char *reverse_name(const struct sockaddr_storage *a)
{
	char name[256];
	socklen_t n = a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	if (getnameinfo((const struct sockaddr *)a, n, name, sizeof name, NULL, 0, NI_NAMEREQD) != 0 ||
		strchr(name, '.') == NULL)
		return NULL;
	return strdup(name);
}

static char *literal_of(const struct config_source *c, const struct sockaddr_storage *a)
{
	char text[80];
	snprintf(text, sizeof text, "[%s%s]", a->ss_family == AF_INET6 ? "IPv6:" : "", c->address);
	return strdup(text);
}

static char *source_name(
	const struct route *r, const struct config_source *c, const struct sockaddr_storage *a)
{
	if (c->helo != NULL)
		return strdup(c->helo);
	if (r->cfg->helo != NULL || r->helo[0] != '[')
		return strdup(r->helo);
	char *name = config_host_loopback(c->address) ? NULL : reverse_name(a);
	return name != NULL ? name : literal_of(c, a);
}

static int source_init(
	struct route_source *s, const struct route *r, const struct config_source *c, struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&s->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s->addr;
	s->cfg = c;
	s->addr.ss_family = inet_pton(AF_INET, c->address, &v4->sin_addr) == 1 ? AF_INET : AF_INET6;
	if (s->addr.ss_family == AF_INET6)
		inet_pton(AF_INET6, c->address, &v6->sin6_addr);
	int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&s->addr,
			      s->addr.ss_family == AF_INET6 ? sizeof *v6 : sizeof *v4) != 0) {
		err_sys(e, ERR_CONFIG, "source", c->address);
		if (fd >= 0)
			close(fd);
		err_remedy(e, "write an address of this host: `ip addr` lists them");
		return err_at(e, c->at.file, c->at.line);
	}
	close(fd);
	s->helo = source_name(r, c, &s->addr);
	if (s->helo == NULL)
		return err_set(e, ERR_INTERNAL, "route", "out of memory");
	s->smtp = r->smtp;
	s->smtp.helo = s->helo;
	s->lockstep = r->lockstep;
	s->lockstep.helo = s->helo;
	return 0;
}

int route_sources(struct route *r, const struct config *c, struct err *e)
{
	r->sources = calloc(c->nsources + 1, sizeof *r->sources);
	if (r->sources == NULL)
		return err_set(e, ERR_INTERNAL, "route", "out of memory");
	for (size_t i = 0; i < c->nsources; i++)
		if (strcmp(c->sources[i].route, r->cfg->name) == 0 &&
			source_init(&r->sources[r->nsources++], r, &c->sources[i], e) != 0)
			return -1;
	return 0;
}

struct route_source *route_source_next(struct route *r)
{
	struct route_source *best = NULL;
	double least = 0;
	for (size_t i = 0; i < r->nsources; i++) {
		struct route_source *s = &r->sources[i];
		double load = (atomic_load(&s->connections) + 1) / s->cfg->weight;
		if (best == NULL || load < least) {
			best = s;
			least = load;
		}
	}
	return best;
}

void route_release(struct route *r)
{
	for (size_t i = 0; i < r->nsources; i++)
		free(r->sources[i].helo);
	free(r->sources);
	tls_client_free(&r->tls);
	access_free(&r->access);
	if (r->password != NULL)
		explicit_bzero(r->password, strlen(r->password));
	free(r->password);
	free(r->helo);
	for (struct route_addrs *a = atomic_load(&r->addrs), *older; a != NULL; a = older) {
		older = a->older;
		free(a);
	}
	pthread_mutex_destroy(&r->lock);
}

int route_look_up(const char *host, int port, struct addrinfo **list)
{
	char service[8];
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	snprintf(service, sizeof service, "%d", port);
	int rc = getaddrinfo(host, service, &hints, list);
	/* AI_ADDRCONFIG hides loopback addresses on a machine without any other. */
	if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY) {
		hints.ai_flags = AI_NUMERICSERV;
		rc = getaddrinfo(host, service, &hints, list);
	}
	return rc;
}

static int take_addresses(struct route *r, struct addrinfo *list, struct err *e)
{
	struct route_addrs *a = calloc(1, sizeof *a), *old = atomic_load(&r->addrs);
	if (a == NULL) {
		freeaddrinfo(list);
		return err_set(e, ERR_INTERNAL, "route", "out of memory");
	}
	for (struct addrinfo *i = list; i != NULL && a->n < sizeof a->v / sizeof a->v[0]; i = i->ai_next)
		if (i->ai_addrlen <= sizeof a->v[0])
			memcpy(&a->v[a->n++], i->ai_addr, i->ai_addrlen);
	freeaddrinfo(list);
	if (old != NULL && old->n == a->n && memcmp(old->v, a->v, a->n * sizeof a->v[0]) == 0) {
		free(a);
		return 0;
	}
	a->older = old;
	atomic_store(&r->addrs, a);
	return 0;
}

int route_found(struct route *r, int rc, struct addrinfo *list, struct err *e)
{
	int result = -1;
	if (rc == 0) {
		result = take_addresses(r, list, e);
	} else {
		char what[80];
		route_trouble(r, "%s cannot be found: %s", r->cfg->host, gai_strerror(rc));
		snprintf(what, sizeof what, "route %s", r->cfg->name);
		err_set(e, ERR_UNREACH, what, "host %s cannot be found: %s", r->cfg->host, gai_strerror(rc));
		err_at(e, r->cfg->at.file, r->cfg->at.line);
	}
	/* Last: from here on a route without addresses counts as lost, and its trouble says why. */
	atomic_store(&r->resolved_at, clock_mono());
	return result;
}

int route_resolve(struct route *r, struct err *e)
{
	struct addrinfo *list = NULL;
	int rc = route_look_up(r->cfg->host, route_port(r->cfg), &list);
	return route_found(r, rc, list, e);
}

void route_trouble(struct route *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	pthread_mutex_lock(&r->lock);
	vsnprintf(r->trouble, sizeof r->trouble, fmt, ap);
	pthread_mutex_unlock(&r->lock);
	va_end(ap);
}

void route_tell_trouble(struct route *r)
{
	static const ms_t AGAIN = MINUTE;
	char words[sizeof r->trouble];
	ms_t now = clock_mono();
	pthread_mutex_lock(&r->lock);
	snprintf(words, sizeof words, "%s", r->trouble);
	uint64_t hash = hash64(str_from(words));
	bool told = false;
	size_t place = 0, places = sizeof r->told / sizeof r->told[0];
	for (size_t i = 0; i < places; i++) {
		told = told || (r->told[i].hash == hash && r->told[i].at != 0 && now - r->told[i].at < AGAIN);
		if (r->told[i].at < r->told[place].at)
			place = i;
	}
	if (!told) {
		r->told[place].hash = hash;
		r->told[place].at = now;
	}
	pthread_mutex_unlock(&r->lock);
	if (!told)
		log_warn("route %s: %s", r->cfg->name, words);
}

static int64_t now_us(void)
{
	return clock_mono() * 1000;
}

/* The relay's own trouble comes before what it is sent at most. */
static bool trouble_text(
	struct route *r, const char *who, const struct zone *z, ms_t now, char *out, size_t n)
{
	pthread_mutex_lock(&r->lock);
	const struct shaper *s = &r->shaper;
	bool lost = route_lost(r), sought = route_sought(r);
	bool slowed = s->rate > 0 && s->bind == SHAPER_BY_RECEIVER_RATE;
	bool trouble = r->cfg->kind == ROUTE_RELAY &&
		       (slowed || (s->state != SHAPER_OK && s->state != SHAPER_SLOWED));
	if (lost)
		snprintf(out, n, "%s: %.*s", who, (int)sizeof r->trouble, r->trouble);
	else if (sought)
		snprintf(out, n, "%s: %s is being looked up", who, r->cfg->host);
	else if (trouble)
		shaper_limit_text(s, who, z, now_us(), now, out, n);
	pthread_mutex_unlock(&r->lock);
	return lost || sought || trouble;
}

void route_limit_text(struct route *r, const struct zone *z, ms_t now, char *out, size_t n)
{
	char when[CLOCK_TEXT], who[100];
	ms_t window = atomic_load(&r->window_until);
	snprintf(who, sizeof who, "route %s", r->cfg->name);
	out[0] = '\0';
	if (window > now) {
		const struct rate_spec *s = &r->cfg->rate;
		char day[40] = "", hour[40] = "";
		if (s->per_day > 0)
			snprintf(day, sizeof day, "%lld a day", (long long)s->per_day);
		if (s->per_hour > 0)
			snprintf(hour, sizeof hour, "%lld an hour", (long long)s->per_hour);
		snprintf(out, n, "%s: %s%s%s, used up until %s", who, hour,
			hour[0] != '\0' && day[0] != '\0' ? ", " : "", day, clock_text(z, window, when));
	} else if (trouble_text(r, who, z, now, out, n)) {
		return;
	} else if (atomic_load(&r->bind) == BIND_RATE) {
		snprintf(out, n, "%s: %g/s", who, r->cfg->rate.per_second);
	} else if (atomic_load(&r->bind) == BIND_CONNECTIONS) {
		snprintf(out, n, "%s: %d connections", who, r->cfg->connections);
	}
}
