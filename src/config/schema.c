#include "src/config/schema.h"

#include "src/base/nearest.h"
#include "src/config/presets.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

/* ---- The keys ---- */

#define C(field) offsetof(struct config, field)
#define R(field) offsetof(struct config_route, field)
#define D(field) offsetof(struct config_dkim, field)
#define S(field) offsetof(struct config_source, field)
#define P(field) offsetof(struct config_provider, field)
#define M(field) offsetof(struct config_mailbox, field)

static const char *const doubt_words[] = {"skip", "resend", "hold", NULL};
static const char *const law_words[] = {"none", "jp", "us", "ca", "eu", "uk", "au", NULL};
static const char *const kind_words[] = {"relay", "direct", NULL};
static const char *const tls_words[] = {"", "none", "opportunistic", "starttls", "implicit", NULL};
static const char *const auth_words[] = {"", "plain", "login", "xoauth2", "oauthbearer", NULL};
static const char *const chunking_words[] = {"", "no", "yes", NULL};
static const char *const overflow_words[] = {"other", "wait", NULL};
static const char *const private_words[] = {"refuse", "allow", NULL};
static const char *const scope_words[] = {"lists", "all", NULL};
static const char *const format_words[] = {"text", "json", NULL};

static int read_law(const struct field *f, const struct value *v, void *base, struct err *e)
{
	int at;
	struct field word = {.words = f->words};
	if (read_word(&word, v, &at, e) != 0)
		return -1;
	((struct config *)base)->law = at == 0 ? NULL : v->text;
	return 0;
}

static int read_preset(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct nearest near;
	if (preset_find(v->text) != NULL)
		return read_text(f, v, base, e);
	nearest_init(&near, str_from(v->text));
	for (size_t i = 0; i < npresets; i++)
		nearest_offer(&near, str_from(presets[i].name));
	if (near.best[0] != '\0')
		return config_bad(
			e, v->at, "unknown preset \"%.60s\": did you mean \"%s\"?", v->text, near.best);
	return config_bad(
		e, v->at, "unknown preset \"%.60s\": leave it out and write host, port and tls", v->text);
}

/* "host", "host:993", "[2001:db8::1]:993", and what comes behind a slash. */
static bool is_server(const char *s)
{
	long long port;
	const char *literal = s[0] == '[' ? strchr(s, ']') : NULL;
	size_t host = literal != NULL ? (size_t)(literal + 1 - s) : strcspn(s, ":/"), all = strcspn(s, "/");
	if (host == 0 || host > all || strpbrk(s, " @;?#") != NULL)
		return false;
	return host == all ||
	       (s[host] == ':' && str_int(str_n(s + host + 1, all - host - 1), 1, 65535, &port));
}

static int read_mailbox_url(const struct field *f, const struct value *v, void *base, struct err *e)
{
	static const char *const forms[] = {"imaps://", "imap://", "pop3s://", "pop3://"};
	for (size_t i = 0; i < 4; i++) {
		size_t n = strlen(forms[i]);
		if (strncmp(v->text, forms[i], n) == 0 && is_server(v->text + n))
			return read_text(f, v, base, e);
	}
	return config_bad(e, v->at,
		"url = %.100s: expected imaps://SERVER, imaps://SERVER/FOLDER or pop3s://SERVER, without "
		"user and "
		"password",
		v->text);
}

/* keep, delete, or "move FOLDER". */
static int read_after(const struct field *f, const struct value *v, void *base, struct err *e)
{
	struct config_mailbox *m = base;
	(void)f;
	const char *folder = strncmp(v->text, "move ", 5) == 0 ? v->text + 5 : NULL;
	if (strcmp(v->text, "keep") == 0)
		m->after = MAILBOX_KEEP;
	else if (strcmp(v->text, "delete") == 0)
		m->after = MAILBOX_DELETE;
	else if (folder != NULL && *folder != '\0' && strpbrk(folder, "\"\\") == NULL) {
		m->after = MAILBOX_MOVE;
		m->folder = folder;
	} else
		return config_bad(e, v->at,
			"after = %.60s: expected keep, delete, or move and a folder's name", v->text);
	return 0;
}

static const struct field global_fields[] = {
	{"database", read_database, C(database), NULL, 0, 0},
	{"timezone", read_zone, 0, NULL, 0, 0},
	{"secret", read_path, C(secret_file), NULL, 0, 0},
	{"doubt", read_word, C(doubt), doubt_words, 0, 0},
	{"ahead", read_int, C(ahead), NULL, 1, 1000},
	{"quiet", read_quiet, 0, NULL, 0, 0},
	{"law", read_law, 0, law_words, 0, 0},
	{"machine", read_text, C(machine), NULL, 0, 0},
	{"rules", read_path, C(rules_file), NULL, 0, 0},
	{"workers", read_int, C(workers), NULL, 0, 256},
	{0},
};

static const struct field sender_fields[] = {
	{"name", read_text, C(sender.name), NULL, 0, 0},
	{"postal-address", read_text, C(sender.postal_address), NULL, 0, 0},
	{"contact", read_text, C(sender.contact), NULL, 0, 0},
	{0},
};

static const struct field domain_fields[] = {{0}};

static const struct field dkim_fields[] = {
	{"domain", read_host, D(domain), NULL, 0, 0},
	{"key", read_path, D(key), NULL, 0, 0},
	{"selector", read_selector, D(selector), NULL, 0, 0},
	{0},
};

static const struct field route_fields[] = {
	{"kind", read_word, R(kind), kind_words, 0, 0},
	{"preset", read_preset, R(preset), NULL, 0, 0},
	{"host", read_host, R(host), NULL, 0, 0},
	{"port", read_int, R(port), NULL, 1, 65535},
	{"tls", read_word, R(tls), tls_words, 0, 0},
	{"ca-file", read_path, R(ca_file), NULL, 0, 0},
	{"auth", read_word, R(auth), auth_words, 0, 0},
	{"user", read_text, R(user), NULL, 0, 0},
	{"password-file", read_secret_file, R(password), NULL, 0, 0},
	{"password-env", read_secret_env, R(password), NULL, 0, 0},
	{"password-command", read_secret_command, R(password), NULL, 0, 0},
	{"helo", read_helo, R(helo), NULL, 0, 0},
	{"connections", read_int, R(connections), NULL, 1, 10000},
	{"messages-per-connection", read_int, R(messages_per_connection), NULL, 1, 1000000},
	{"timeout", read_span, R(timeout), NULL, 1000, 0},
	{"rate", read_rate, R(rate), NULL, 0, 0},
	{"for", read_names, 0, NULL, 0, 0},
	{"weight", read_double, R(weight), NULL, -1, 1000000},
	{"size", read_size, R(size), NULL, 0, 0},
	{"envelope-from", read_envelope, 0, NULL, 0, 0},
	{"private-addresses", read_switch, R(private_addresses), private_words, 0, 0},
	{"ahead", read_int, R(ahead), NULL, 1, 1000},
	{"chunking", read_word, R(chunking), chunking_words, 0, 0},
	{"require-tls", read_switch, R(require_tls), NULL, 0, 0},
	{"resolver", read_resolvers, 0, NULL, 0, 0},
	{"trust-anchor", read_path, R(trust_anchor), NULL, 0, 0},
	{0},
};

static const struct field source_fields[] = {
	{"route", read_text, S(route), NULL, 0, 0},
	{"helo", read_helo, S(helo), NULL, 0, 0},
	{"weight", read_double, S(weight), NULL, 0, 1000000},
	{"warm-up", read_warm_up, 0, NULL, 0, 0},
	{"warm-up-from", read_text, S(warm_up.from), NULL, 0, 0},
	{"overflow", read_switch, S(warm_up.wait), overflow_words, 0, 0},
	{0},
};

static const char *const provider_tls_words[] = {"", "opportunistic", "required", NULL};
static const char *const reset_words[] = {"", "failure", "congestion", NULL};
static const char *const each_words[] = {"", "no", "yes", NULL};

static const struct field provider_fields[] = {
	{"connections", read_int, P(connections), NULL, 1, 10000},
	{"messages-per-connection", read_int, P(messages_per_connection), NULL, 1, 1000000},
	{"rate", read_rate, P(rate), NULL, 0, 0},
	{"connection-rate", read_even_rate, P(connection_rate), NULL, 0, 0},
	{"idle", read_span, P(idle), NULL, 1000, 0},
	{"tls", read_word, P(tls), provider_tls_words, 0, 0},
	{"each-site", read_word, P(each_site), each_words, 0, 0},
	{"suspend", read_span, P(suspend), NULL, 1000, 0},
	{"suspend-most", read_span, P(suspend_most), NULL, 1000, 0},
	{"recover", read_span, P(recover), NULL, 1000, 0},
	{"reset", read_word, P(reset), reset_words, 0, 0},
	{0},
};

static const struct field retry_fields[] = {
	{"delays", read_delays, 0, NULL, 0, 0},
	{"expire", read_span, C(retry_expire), NULL, 60 * 1000, 0},
	{0},
};

static const struct field return_path_fields[] = {
	{"domain", read_host, C(return_path.domain), NULL, 0, 0},
	{"address", read_token_address, C(return_path.address), NULL, 0, 0},
	{"listen", read_listen, 0, NULL, 0, 0},
	{"feedback", read_text, C(return_path.feedback), NULL, 0, 0},
	{"postmaster", read_path, C(return_path.postmaster), NULL, 0, 0},
	{"certificate", read_path, C(return_path.certificate), NULL, 0, 0},
	{"certificate-key", read_path, C(return_path.certificate_key), NULL, 0, 0},
	{0},
};

static const char *const mailbox_auth_words[] = {"", "xoauth2", NULL};

static const struct field mailbox_fields[] = {
	{"url", read_mailbox_url, M(url), NULL, 0, 0},
	{"user", read_text, M(user), NULL, 0, 0},
	{"password-file", read_secret_file, M(password), NULL, 0, 0},
	{"password-env", read_secret_env, M(password), NULL, 0, 0},
	{"password-command", read_secret_command, M(password), NULL, 0, 0},
	{"auth", read_word, M(auth), mailbox_auth_words, 0, 0},
	{"ca-file", read_path, M(ca_file), NULL, 0, 0},
	{"after", read_after, 0, NULL, 0, 0},
	{"every", read_span, M(every), NULL, 10000, 0},
	{0},
};

static const struct field unsubscribe_fields[] = {
	{"url", read_token_url, C(unsubscribe.url), NULL, 0, 0},
	{"mailto", read_token_address, C(unsubscribe.mailto), NULL, 0, 0},
	{"one-click", read_switch, C(unsubscribe.one_click), NULL, 0, 0},
	{"scope", read_switch, C(unsubscribe.scope_all), scope_words, 0, 0},
	{0},
};

static const struct field http_fields[] = {
	{"listen", check_place, 0, NULL, 0, 0},
	{"public-url", check_url, 0, NULL, 0, 0},
	{0},
};

static const struct field suppress_fields[] = {
	{"hard", read_int, C(suppress.hard), NULL, 0, 1000},
	{"soft", read_int, C(suppress.soft), NULL, 0, 1000},
	{"soft-days", read_int, C(suppress.soft_days), NULL, 0, 3650},
	{"complaint", read_int, C(suppress.complaint), NULL, 0, 1000},
	{0},
};

static const struct field brake_fields[] = {
	{"bounces", read_share, C(brake.bounces), NULL, 0, 0},
	{"blocks", read_share, C(brake.blocks), NULL, 0, 0},
	{"complaints", read_share, C(brake.complaints), NULL, 0, 0},
	{"after", read_int, C(brake.after), NULL, 1, 1000000000},
	{0},
};

static const struct field log_fields[] = {
	{"file", read_path, C(log.file), NULL, 0, 0},
	{"deliveries", read_path, C(log.deliveries), NULL, 0, 0},
	{"format", read_switch, C(log.json), format_words, 0, 0},
	{"size", read_size, C(log.size), NULL, 0, 0},
	{0},
};

static const struct field retention_fields[] = {
	{"evidence", read_span, C(retention.evidence), NULL, 24 * 3600 * 1000.0, 0},
	{"deliveries", read_span, C(retention.deliveries), NULL, 24 * 3600 * 1000.0, 0},
	{0},
};

static const struct field webhook_fields[] = {
	{"url", check_url, 0, NULL, 0, 0},
	{"secret-file", check_text, 0, NULL, 0, 0},
	{"events", check_text, 0, NULL, 0, 0},
	{0},
};

static const struct field daemon_fields[] = {
	{"user", read_text, C(daemon.user), NULL, 0, 0},
	{"group", read_text, C(daemon.group), NULL, 0, 0},
	{0},
};

/* ---- The sections ---- */

static void *begin_config(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	(void)a;
	(void)name;
	(void)at;
	(void)e;
	return c;
}

static bool name_ok(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			    strchr("-_.", *p) != NULL))
			return false;
	return strlen(name) <= 64;
}

static void *begin_named(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	(void)a;
	if (!name_ok(name)) {
		config_bad(e, at, "[… %.100s]: names are made of at most 64 ASCII letters, digits, - _ and .",
			name);
		return NULL;
	}
	return c;
}

static void *begin_domain(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	(void)a;
	if (config_host_check(name, e) == 0)
		return c;
	if (e != NULL) {
		struct err why = *e;
		config_bad(e, at, "%s", why.why);
	}
	return NULL;
}

static void *begin_source(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	unsigned char ip[16];
	(void)c;
	if (inet_pton(AF_INET, name, ip) != 1 && inet_pton(AF_INET6, name, ip) != 1) {
		config_bad(e, at, "[source %.100s]: expected an IP address of this host", name);
		return NULL;
	}
	struct config_source *s = arena_zalloc(a, sizeof *s);
	if (s == NULL) {
		err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
		return NULL;
	}
	s->address = name;
	s->at = at;
	s->weight = 1;
	return s;
}

static void *begin_mailbox(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	if (begin_named(c, a, name, at, e) == NULL)
		return NULL;
	struct config_mailbox *m = arena_zalloc(a, sizeof *m);
	if (m == NULL) {
		err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
		return NULL;
	}
	m->name = name;
	m->at = at;
	m->every = 5 * MINUTE;
	return m;
}

static void *begin_provider(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	char *own = arena_strdup(a, name[0] == '.' ? name + 1 : name);
	struct config_provider *p = arena_zalloc(a, sizeof *p);
	if (own == NULL || p == NULL) {
		err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
		return NULL;
	}
	if (strchr(own, '.') != NULL ? begin_domain(c, a, own, at, e) == NULL
				     : begin_named(c, a, own, at, e) == NULL)
		return NULL;
	for (char *ch = own; *ch != '\0'; ch++)
		if (*ch >= 'A' && *ch <= 'Z')
			*ch = (char)(*ch - 'A' + 'a');
	p->name = own;
	p->at = at;
	return p;
}

static void *begin_dkim(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	if (begin_named(c, a, name, at, e) == NULL)
		return NULL;
	struct config_dkim *d = arena_zalloc(a, sizeof *d);
	if (d == NULL) {
		err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
		return NULL;
	}
	d->name = name;
	d->at = at;
	return d;
}

static void *begin_route(
	struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e)
{
	if (begin_named(c, a, name, at, e) == NULL)
		return NULL;
	struct config_route *r = arena_zalloc(a, sizeof *r);
	if (r == NULL) {
		err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
		return NULL;
	}
	r->name = name;
	r->at = at;
	r->weight = -1;
	return r;
}

const struct section sections[] = {
	{"", false, global_fields, begin_config, SECTION_OTHER},
	{"sender", false, sender_fields, begin_config, SECTION_OTHER},
	{"domain", true, domain_fields, begin_domain, SECTION_DOMAIN},
	{"dkim", true, dkim_fields, begin_dkim, SECTION_DKIM},
	{"route", true, route_fields, begin_route, SECTION_ROUTE},
	{"source", true, source_fields, begin_source, SECTION_SOURCE},
	{"provider", true, provider_fields, begin_provider, SECTION_PROVIDER},
	{"retry", false, retry_fields, begin_config, SECTION_OTHER},
	{"return-path", false, return_path_fields, begin_config, SECTION_OTHER},
	{"mailbox", true, mailbox_fields, begin_mailbox, SECTION_MAILBOX},
	{"unsubscribe", false, unsubscribe_fields, begin_config, SECTION_OTHER},
	{"http", false, http_fields, begin_config, SECTION_OTHER},
	{"suppress", false, suppress_fields, begin_config, SECTION_OTHER},
	{"brake", false, brake_fields, begin_config, SECTION_OTHER},
	{"log", false, log_fields, begin_config, SECTION_OTHER},
	{"retention", false, retention_fields, begin_config, SECTION_OTHER},
	{"webhook", true, webhook_fields, begin_named, SECTION_OTHER},
	{"daemon", false, daemon_fields, begin_config, SECTION_OTHER},
};
const size_t nsections = sizeof sections / sizeof sections[0];
