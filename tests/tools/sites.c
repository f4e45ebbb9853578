/* sites [KEY=VALUE…] DOMAIN…: what the book of sites says of each domain, one JSON object a line. Keys:
 * resolver (may be repeated), trust-anchor, ca-file, private (yes), port, own, plain (yes), database. */
#include "engine/dns/site.h"
#include "src/base/log.h"
#include "src/db/store.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static unsigned long wakes;

static void on_answered(void *ctx, size_t n)
{
	(void)ctx, (void)n;
	pthread_mutex_lock(&lock);
	wakes++;
	pthread_cond_broadcast(&woken);
	pthread_mutex_unlock(&lock);
}

static int fail(const struct err *e)
{
	fprintf(stderr, "%s: %s\n", e->what, e->why);
	return 1;
}

static json_t *addresses(const struct site_host *h)
{
	json_t *list = json_array();
	for (size_t i = 0; i < h->naddrs; i++) {
		char text[INET6_ADDRSTRLEN];
		const struct sockaddr_storage *a = &h->addrs[i];
		const void *at = a->ss_family == AF_INET6
					 ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
					 : (const void *)&((const struct sockaddr_in *)a)->sin_addr;
		json_array_append_new(list, json_string(inet_ntop(a->ss_family, at, text, sizeof text)));
	}
	return list;
}

static json_t *describe(const struct site *s)
{
	static const char *const needs[] = {"may", "testing", "encrypt", "verify", "dane"};
	json_t *hosts = json_array();
	for (size_t i = 0; i < s->nhosts; i++) {
		const struct site_host *h = &s->hosts[i];
		json_array_append_new(
			hosts, json_pack("{s:s, s:i, s:o, s:s, s:i}", "name", h->name, "preference",
				       (int)h->preference, "addresses", addresses(h), "tls",
				       needs[h->policy.need], "tlsa", (int)h->policy.ntlsa));
	}
	return json_pack("{s:s, s:o}", "site", s->name, "hosts", hosts);
}

static void print_one(struct sites *b, const char *domain)
{
	struct site *s;
	struct site_failure f;
	enum site_state state;
	pthread_mutex_lock(&lock);
	while ((state = sites_lookup(b, str_from(domain), clock_mono(), &s, &f)) == SITE_PENDING)
		pthread_cond_wait(&woken, &lock);
	pthread_mutex_unlock(&lock);
	json_t *o;
	if (state == SITE_KNOWN) {
		o = describe(s);
		site_unref(&s);
	} else {
		o = json_pack("{s:s, s:i, s:s, s:s, s:s}", "failure",
			state == SITE_PERMANENT ? "permanent" : "temporary", "code", f.code, "enhanced",
			f.enhanced, "reason", f.reason, "text", f.text);
	}
	json_object_set_new(o, "domain", json_string(domain));
	json_dumpf(o, stdout, JSON_SORT_KEYS);
	putchar('\n');
	json_decref(o);
}

int main(int argc, char **argv)
{
	struct sites_options o = {.port = 25, .answered = on_answered};
	struct store_config store = {0};
	const char *resolvers[8], *own[1];
	struct err e = {0};
	int i = 1;
	o.resolvers = resolvers;
	o.own = own;
	for (char *value; i < argc && (value = strchr(argv[i], '=')) != NULL; i++) {
		struct str key = str_n(argv[i], (size_t)(value - argv[i]));
		value++;
		if (str_is(key, "resolver") && o.nresolvers < 8)
			resolvers[o.nresolvers++] = value;
		else if (str_is(key, "trust-anchor"))
			o.trust_anchor = value;
		else if (str_is(key, "ca-file"))
			o.ca_file = value;
		else if (str_is(key, "private"))
			o.private_addresses = true;
		else if (str_is(key, "plain"))
			o.plain = true;
		else if (str_is(key, "port"))
			o.port = atoi(value);
		else if (str_is(key, "own"))
			own[o.nown++] = value;
		else if (str_is(key, "database"))
			store.path = value;
	}
	log_set_level(getenv("DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN);
	o.store = store.path != NULL ? &store : NULL;
	struct sites *b;
	if (sites_new(&b, &o, &e) != 0)
		return fail(&e);
	for (int d = i; d < argc; d++) {
		struct site *s = NULL;
		struct site_failure f;
		if (sites_lookup(b, str_from(argv[d]), clock_mono(), &s, &f) == SITE_KNOWN)
			site_unref(&s);
	}
	for (; i < argc; i++)
		print_one(b, argv[i]);
	struct store *writer = NULL;
	int rc = 0;
	if (store.path != NULL &&
		(store_open(&writer, STORE_WRITE, &store, &e) != 0 || sites_save(b, writer, &e) != 0))
		rc = fail(&e);
	store_close(&writer);
	sites_free(&b);
	return rc;
}
