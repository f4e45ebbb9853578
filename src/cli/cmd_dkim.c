/* dkim keygen, show, check. */
#include "engine/dkim/lookup.h"
#include "engine/dkim/record.h"
#include "src/base/file.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "templates/mime_address.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 64 << 10 };

struct shown { /* a key and what is said of it */
	const char *domain, *selector, *path;
	struct dkim_key *key;
	char *name; /* selector._domainkey.domain */
	struct buf record, zone;
};

static void shown_release(struct shown *s)
{
	dkim_key_free(&s->key);
	free(s->name);
	buf_release(&s->record);
	buf_release(&s->zone);
}

/* What follows from domain, selector and key. */
static int shown_complete(struct shown *s, struct err *e)
{
	buf_init(&s->record, TEXT_MAX);
	buf_init(&s->zone, TEXT_MAX);
	if (asprintf(&s->name, "%s._domainkey.%s", s->selector, s->domain) < 0)
		s->name = NULL;
	if (s->name == NULL || dkim_record_text(s->key, &s->record, e) != 0)
		return err_set(e, ERR_INTERNAL, "dkim", "out of memory");
	if (strlen(s->name) > 253)
		return err_set(
			e, ERR_USAGE, "dkim", "%.100s… is longer than a name in the DNS can be", s->name);
	dkim_record_zone(s->name, buf_get(&s->record), &s->zone);
	return s->zone.failed ? err_set(e, ERR_INTERNAL, "dkim", "out of memory") : 0;
}

/* DOMAIN as A-labels. */
static const char *read_domain(struct cli *c, struct arena *a, struct err *e)
{
	struct str d;
	if (config_host_check(c->args[0], e) != 0 || mailbox_domain(str_from(c->args[0]), a, &d, e) != 0) {
		if (e->code != ERR_INTERNAL)
			e->code = ERR_USAGE;
		return NULL;
	}
	return arena_str(a, d).p;
}

static json_t *shown_json(const struct shown *s)
{
	json_t *o = json_object();
	json_put(o, "domain", json_string(s->domain));
	json_put(o, "selector", json_string(s->selector));
	json_put(o, "type", json_string(dkim_type_names[dkim_key_type(s->key)]));
	json_put(o, "bits", json_integer(dkim_key_bits(s->key)));
	json_put(o, "key", json_str(str_from(s->path)));
	json_put(o, "name", json_string(s->name));
	json_put(o, "record", json_str(buf_get(&s->record)));
	json_put(o, "zone", json_str(buf_get(&s->zone)));
	return o;
}

static int print_record(const struct cli *c, const struct shown *s)
{
	return out_printf(c,
		"As a line of a zone file:\n\n%s\nIn a form that asks for name and value (type TXT):\n\n  "
		"%s\n  %s\n",
		s->zone.p, s->name, s->record.p);
}

/* ---- keygen ---- */

struct keygen {
	struct cli *c;
	const struct config *cfg;
	struct arena arena;
	struct shown s;
	const char *written; /* the key's path as the configuration should have it */
};

static const struct config_dkim *find_section(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->ndkim; i++)
		if (strcmp(cfg->dkim[i].name, name) == 0)
			return &cfg->dkim[i];
	return NULL;
}

static bool selector_taken(const struct config *cfg, const char *selector, const char *path)
{
	for (size_t i = 0; i < cfg->ndkim; i++)
		if (strcasecmp(cfg->dkim[i].name, selector) == 0 ||
			strcasecmp(cfg->dkim[i].selector, selector) == 0)
			return true;
	return file_exists(path);
}

/* dkim/SELECTOR.key beside the configuration. */
static const char *usual_path(struct keygen *k, const char *selector)
{
	struct str relative = arena_printf(&k->arena, "dkim/%s.key", selector);
	k->written = relative.p;
	char *p =
		relative.p != NULL ? path_beside(k->cfg->path != NULL ? k->cfg->path : "", relative.p) : NULL;
	const char *own = p != NULL ? arena_strdup(&k->arena, p) : NULL;
	free(p);
	return own;
}

static int choose_names(struct keygen *k, struct err *e)
{
	const char *given = cli_value(k->c, "selector"), *file = cli_value(k->c, "output");
	if (given != NULL && !config_selector_ok(given))
		return cli_usage(k->c, e,
			"--selector %.60s: expected labels of letters, digits, - and _, as pr1", given);
	if (given != NULL) {
		k->s.selector = given;
		k->s.path = usual_path(k, given);
	}
	for (int i = 1; given == NULL && k->s.selector == NULL; i++) {
		const char *next = arena_printf(&k->arena, "pr%d", i).p;
		k->s.path = next != NULL ? usual_path(k, next) : NULL;
		if (k->s.path == NULL)
			break;
		if (!selector_taken(k->cfg, next, k->s.path))
			k->s.selector = next;
	}
	if (k->s.path == NULL)
		return err_set(e, ERR_INTERNAL, "dkim", "out of memory");
	if (file != NULL)
		k->s.path = k->written = file;
	return 0;
}

static int make_folder(const struct keygen *k, struct err *e)
{
	const char *slash = strrchr(k->s.path, '/');
	char *folder =
		slash != NULL && slash != k->s.path ? strndup(k->s.path, (size_t)(slash - k->s.path)) : NULL;
	int rc = 0;
	if (folder != NULL && cli_value(k->c, "output") == NULL && mkdir(folder, 0700) != 0 &&
		errno != EEXIST)
		rc = err_sys(e, ERR_CREATE, "cannot create", folder);
	free(folder);
	return rc;
}

static int write_key(struct keygen *k, struct err *e)
{
	struct buf pem = BUF_INIT(TEXT_MAX);
	int rc = make_folder(k, e);
	if (rc == 0)
		rc = dkim_key_pem(k->s.key, &pem, e);
	if (rc == 0)
		rc = file_create(k->s.path, buf_get(&pem), 0600, e);
	if (rc != 0 && e->code == ERR_CREATE && file_exists(k->s.path))
		err_remedy(e,
			"an existing key is never overwritten: choose another --selector, or a file with -o");
	if (pem.p != NULL)
		explicit_bzero(pem.p, pem.cap);
	buf_release(&pem);
	/* The configuration's paths start from its folder, -o from here. */
	char *whole = rc == 0 && cli_value(k->c, "output") != NULL ? realpath(k->s.path, NULL) : NULL;
	if (whole != NULL)
		k->written = arena_strdup(&k->arena, whole);
	free(whole);
	return rc == 0 && k->written == NULL ? err_set(e, ERR_INTERNAL, "dkim", "out of memory") : rc;
}

static const struct config_dkim *same_kind(const struct keygen *k)
{
	for (size_t i = 0; i < k->cfg->ndkim; i++) {
		const struct config_dkim *d = &k->cfg->dkim[i];
		struct dkim_key *other;
		if (strcasecmp(d->domain, k->s.domain) != 0 || dkim_key_read(d->key, &other, NULL) != 0)
			continue;
		bool same = dkim_key_type(other) == dkim_key_type(k->s.key);
		dkim_key_free(&other);
		if (same)
			return d;
	}
	return NULL;
}

static int print_section(const struct keygen *k)
{
	const struct shown *s = &k->s;
	const char *key = out_safe(str_from(k->written));
	const struct config_dkim *taken = find_section(k->cfg, s->selector);
	if (taken == NULL || strcasecmp(taken->domain, s->domain) == 0)
		return out_printf(k->c, "[dkim %s]\ndomain = %s\nkey    = %s\n", s->selector, s->domain, key);
	/* The name is another domain's. */
	return out_printf(k->c, "[dkim %.30s-%.30s]\ndomain   = %s\nselector = %s\nkey      = %s\n",
		s->domain, s->selector, s->domain, s->selector, key);
}

static int tell_keygen(struct keygen *k, struct err *e)
{
	struct cli *c = k->c;
	const struct shown *s = &k->s;
	if (c->json)
		return json_document(shown_json(s)) != 0 ? output_error(e) : 0;
	const struct config_dkim *old = same_kind(k);
	int rc = out_printf(c,
		"wrote %s: %s, %d bits. Whoever has it can sign as %s.\n\n1. Publish this record.\n\n",
		out_safe(str_from(s->path)), dkim_key_type(s->key) == DKIM_RSA ? "RSA" : "Ed25519",
		dkim_key_bits(s->key), s->domain);
	rc = rc != 0 ? rc : print_record(c, s);
	rc = rc != 0 ? rc
		     : out_printf(c,
			       "\n2. When it can be seen (`postrider dkim check %s --selector %s --key %s`), "
			       "%s%s%s the configuration:\n\n",
			       s->domain, s->selector, out_safe(str_from(s->path)),
			       old != NULL ? "put this in place of [dkim " : "add this to",
			       old != NULL ? old->name : "", old != NULL ? "] in" : "");
	rc = rc != 0 ? rc : print_section(k);
	return rc != 0 ? output_error(e) : 0;
}

static int keygen_steps(struct keygen *k, struct err *e)
{
	static const char *const types[] = {"rsa", "ed25519", NULL};
	long long bits = DKIM_RSA_GOOD;
	int type = cli_value_word(k->c, "type", types, DKIM_RSA, e);
	if (type < 0 || cli_value_int(k->c, "bits", DKIM_RSA_GOOD, 4096, &bits, e) != 0)
		return -1;
	if (type == DKIM_ED25519 && cli_given(k->c, "bits"))
		return cli_usage(k->c, e, "--bits is for RSA keys: Ed25519 keys have one size");
	k->s.domain = read_domain(k->c, &k->arena, e);
	if (k->s.domain == NULL || choose_names(k, e) != 0)
		return -1;
	if (file_exists(k->s.path)) {
		err_set(e, ERR_CREATE, "dkim", "%s is there already", k->s.path);
		return err_remedy(e,
			"an existing key is never overwritten: choose another --selector, or a file with -o");
	}
	if (dkim_key_generate((enum dkim_type)type, (int)bits, &k->s.key, e) != 0 ||
		shown_complete(&k->s, e) != 0 || write_key(k, e) != 0)
		return -1;
	return tell_keygen(k, e);
}

static int keygen_run(struct cli *c, struct err *e)
{
	struct keygen k = {.c = c, .cfg = cli_config(c, e)};
	if (k.cfg == NULL)
		return -1;
	arena_init(&k.arena, 4096, 1 << 20);
	int rc = keygen_steps(&k, e);
	shown_release(&k.s);
	arena_release(&k.arena);
	return rc;
}

/* ---- The keys of a domain ---- */

static int each_key(struct cli *c,
	int (*with)(struct cli *c, struct shown *s, bool first, void *ctx, struct err *e), void *ctx,
	struct arena *a, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	const char *domain = cfg != NULL ? read_domain(c, a, e) : NULL, *key = cli_value(c, "key"),
		   *selector = cli_value(c, "selector");
	struct config_dkim given = {.name = selector, .domain = domain, .key = key, .selector = selector};
	int found = 0, worst = 0;
	if (domain == NULL)
		return -1;
	if (key != NULL && (selector == NULL || !config_selector_ok(selector)))
		return cli_usage(c, e, "--key needs the --selector under which it is published");
	const struct config_dkim *v = key != NULL ? &given : cfg->dkim;
	for (size_t i = 0, n = key != NULL ? 1 : cfg->ndkim; i < n; i++) {
		if (strcasecmp(v[i].domain, domain) != 0 ||
			(selector != NULL && strcasecmp(v[i].selector, selector) != 0))
			continue;
		struct shown s = {.domain = domain, .selector = v[i].selector, .path = v[i].key};
		int rc = dkim_key_read(s.path, &s.key, e) != 0 || shown_complete(&s, e) != 0
				 ? -1
				 : with(c, &s, found++ == 0, ctx, e);
		shown_release(&s);
		if (rc < 0)
			return -1;
		worst = rc > worst ? rc : worst;
	}
	if (found > 0)
		return worst;
	err_set(e, ERR_NOINPUT, "dkim", "no [dkim] section of the configuration is for %s%s%s", domain,
		selector != NULL ? " and selector " : "", selector != NULL ? selector : "");
	return err_remedy(e, "`postrider dkim keygen %s` makes a key and says what to add", domain);
}

/* ---- show ---- */

static int show_one(struct cli *c, struct shown *s, bool first, void *ctx, struct err *e)
{
	(void)ctx;
	if (c->json)
		return json_line(shown_json(s)) != 0 ? output_error(e) : 0;
	int rc = out_printf(c, "%s%s%s, %s, %d bits%s\n\n", first ? "" : "\n", style_on(c, STYLE_BOLD),
		s->name, dkim_key_type(s->key) == DKIM_RSA ? "RSA" : "Ed25519", dkim_key_bits(s->key),
		style_off(c, STYLE_BOLD));
	return rc != 0 || print_record(c, s) != 0 ? output_error(e) : 0;
}

static int show_run(struct cli *c, struct err *e)
{
	struct arena a;
	arena_init(&a, 4096, 1 << 20);
	int rc = each_key(c, show_one, NULL, &a, e);
	arena_release(&a);
	return rc;
}

/* ---- check ---- */

struct check {
	struct cli *c;
	struct sockaddr_in resolver;
	bool has_resolver;
	struct arena *arena;
	const char *where;
	bool broken; /* the output */
};

static void tell_finding(void *ctx, const struct dkim_finding *f)
{
	static const enum style styles[] = {STYLE_GREEN, STYLE_NONE, STYLE_YELLOW, STYLE_RED};
	struct check *k = ctx;
	const char *severity = dkim_severity_names[f->severity];
	int rc;
	if (k->c->json)
		rc = json_line(json_pack("{s:s, s:s, s:s, s:o, s:s}", "id", f->id, "severity", severity,
			"where", k->where, "text", json_str(str_from(f->text)), "remedy", f->remedy));
	else
		rc = out_printf(k->c, "%s%s%s  %s: %s%s%s\n", style_on(k->c, styles[f->severity]), severity,
			style_off(k->c, styles[f->severity]), k->where, out_safe(str_from(f->text)),
			f->remedy[0] != '\0' ? "\n      " : "", f->remedy);
	k->broken = k->broken || rc != 0;
}

static int check_one(struct cli *c, struct shown *s, bool first, void *ctx, struct err *e)
{
	struct check *k = ctx;
	struct str *records;
	size_t n;
	(void)c, (void)first;
	k->where = s->name;
	if (dkim_lookup(s->name, k->has_resolver ? &k->resolver : NULL, k->arena, &records, &n, e) != 0)
		return -1;
	enum dkim_severity worst = dkim_record_check(s->key, records, n, tell_finding, k);
	if (k->broken)
		return output_error(e);
	return worst == DKIM_FAIL ? ERR_CHECK : 0;
}

static int check_run(struct cli *c, struct err *e)
{
	struct arena a;
	struct check k = {.c = c, .arena = &a, .has_resolver = cli_given(c, "resolver")};
	if (k.has_resolver && dkim_resolver_parse(cli_value(c, "resolver"), &k.resolver, e) != 0)
		return -1;
	arena_init(&a, 4096, 16 << 20);
	int rc = each_key(c, check_one, &k, &a, e);
	arena_release(&a);
	return rc;
}

static const struct option keygen_options[] = {
	{.name = "selector", .value = "S", .help = "the name under which it is published (pr1, pr2 …)"},
	{.name = "type", .value = "TYPE", .help = "rsa, or ed25519 for a second signature"},
	{.name = "bits", .value = "N", .help = "of an RSA key: 2048 to 4096 (2048)"},
	{.name = "output",
		.letter = 'o',
		.value = "FILE",
		.help = "write the key there (dkim/SELECTOR.key beside the configuration)"},
	{0},
};

static const struct option show_options[] = {
	{.name = "selector", .value = "S", .help = "only this one"},
	{.name = "key", .value = "FILE", .help = "a key that is not in the configuration"},
	{0},
};

static const struct option check_options[] = {
	{.name = "selector", .value = "S", .help = "only this one"},
	{.name = "key", .value = "FILE", .help = "a key that is not in the configuration"},
	{.name = "resolver", .value = "IP[@PORT]", .help = "ask this name server instead of the system's"},
	{0},
};

static const struct command sub_keygen = {
	.name = "keygen",
	.args = "DOMAIN",
	.summary = "make a key, and say what to publish and to configure",
	.help = "The file has mode 0600 and is never overwritten.\n",
	.options = keygen_options,
	.min_args = 1,
	.max_args = 1,
	.run = keygen_run,
};

static const struct command sub_show = {
	.name = "show",
	.args = "DOMAIN",
	.summary = "show the DNS record of each configured key",
	.options = show_options,
	.min_args = 1,
	.max_args = 1,
	.run = show_run,
};

static const struct command sub_check = {
	.name = "check",
	.args = "DOMAIN",
	.summary = "compare the records in the DNS with the keys",
	.help = "Exit status 1: a record is missing or would not verify our signatures.\n",
	.options = check_options,
	.min_args = 1,
	.max_args = 1,
	.run = check_run,
};

static const struct command *const subs[] = {&sub_keygen, &sub_show, &sub_check, NULL};

const struct command cmd_dkim = {
	.name = "dkim",
	.summary = "keys that sign the mail, and their DNS records",
	.group = GROUP_SYSTEM,
	.subs = subs,
};
