#include "src/config/config.h"

#include "src/base/file.h"
#include "src/base/nearest.h"
#include "src/config/schema.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTIONS_MAX 2000
#define MEMORY_MAX   (64 << 20)

struct loaded { /* what config_load returns the first member of */
	struct config c;
	struct arena arena;
};

struct part { /* a section that was met: [route main] */
	struct part *next;
	const struct section *section;
	const char *name;
	void *base;
	struct config_at at, seen[KEYS_MAX];
};

struct loader {
	struct loaded *l;
	struct part *parts, *here;
	size_t nparts;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
}

/* ---- What is read ---- */

static const struct section *find_section(const char *kind, struct config_at at, struct err *e)
{
	struct nearest near;
	nearest_init(&near, str_from(kind));
	for (size_t i = 0; i < nsections; i++) {
		if (strcmp(sections[i].kind, kind) == 0)
			return &sections[i];
		nearest_offer(&near, str_from(sections[i].kind));
	}
	if (near.best[0] != '\0')
		config_bad(e, at, "unknown section [%.60s]: did you mean [%s]?", kind, near.best);
	else
		config_bad(e, at, "unknown section [%.60s]", kind);
	return NULL;
}

static int part_new(
	struct loader *p, const struct section *s, const char *name, struct config_at at, struct err *e)
{
	if (p->nparts++ == SECTIONS_MAX)
		return config_bad(e, at, "there are more than %d sections", SECTIONS_MAX);
	struct part *part = arena_zalloc(&p->l->arena, sizeof *part);
	const char *own = arena_strdup(&p->l->arena, name);
	if (part == NULL || own == NULL)
		return no_memory(e);
	*part = (struct part){.next = p->parts, .section = s, .name = own, .at = at};
	part->base = s->begin(&p->l->c, &p->l->arena, own, at, e);
	if (part->base == NULL)
		return -1;
	p->parts = p->here = part;
	return 0;
}

/* A section may be written in several pieces; its keys may not be repeated. */
/* A file begins. */
static int add_file(struct loader *p, const char *path, struct err *e)
{
	struct config *c = &p->l->c;
	const char **more = arena_alloc(&p->l->arena, (c->nfiles + 1) * sizeof *more),
		   *own = arena_strdup(&p->l->arena, path);
	if (more == NULL || own == NULL)
		return no_memory(e);
	if (c->nfiles > 0)
		memcpy(more, c->files, c->nfiles * sizeof *more);
	more[c->nfiles++] = own;
	c->files = more;
	return 0;
}

static int on_section(void *ctx, const char *kind, const char *name, struct config_at at, struct err *e)
{
	struct loader *p = ctx;
	const struct section *s = find_section(kind, at, e);
	if (s == NULL || (at.line == 0 && add_file(p, at.file, e) != 0))
		return -1;
	if (s->named && name[0] == '\0')
		return config_bad(e, at, "[%s] needs a name, as in [%s main]", kind, kind);
	if (!s->named && name[0] != '\0')
		return config_bad(e, at, "[%s] has no name: leave out \"%.60s\"", kind, name);
	for (p->here = p->parts; p->here != NULL; p->here = p->here->next)
		if (p->here->section == s && strcmp(p->here->name, name) == 0)
			return 0;
	return part_new(p, s, name, at, e);
}

static int unknown_key(const struct part *here, const char *key, struct config_at at, struct err *e)
{
	struct nearest near;
	char in[200] = "";
	nearest_init(&near, str_from(key));
	for (const struct field *f = here->section->fields; f->key != NULL; f++)
		nearest_offer(&near, str_from(f->key));
	if (here->section->kind[0] != '\0')
		snprintf(in, sizeof in, " in [%s%s%.100s]", here->section->kind,
			here->name[0] != '\0' ? " " : "", here->name);
	if (near.best[0] != '\0')
		return config_bad(e, at, "unknown key \"%.60s\"%s: did you mean \"%s\"?", key, in, near.best);
	for (size_t i = 0; i < nsections; i++)
		for (const struct field *f = sections[i].fields; f->key != NULL; f++)
			if (strcmp(f->key, key) == 0 && sections[i].kind[0] != '\0')
				return config_bad(e, at,
					"unknown key \"%s\"%s: it belongs below a [%s%s] line", key, in,
					sections[i].kind, sections[i].named ? " …" : "");
	return config_bad(e, at, "unknown key \"%.60s\"%s", key, in);
}

static int on_value(void *ctx, const char *key, const char *text, struct config_at at, struct err *e)
{
	struct loader *p = ctx;
	struct part *here = p->here;
	for (size_t i = 0; here->section->fields[i].key != NULL; i++) {
		const struct field *f = &here->section->fields[i];
		if (strcmp(f->key, key) != 0)
			continue;
		assert(i < KEYS_MAX);
		if (here->seen[i].file != NULL)
			return config_bad(e, at, "the key \"%s\" is given twice, first in %s:%ld", key,
				here->seen[i].file, here->seen[i].line);
		here->seen[i] = at;
		struct value v = {f->key, text, at, &p->l->arena};
		return f->read(f, &v, here->base, e);
	}
	return unknown_key(here, key, at, e);
}

/* ---- What follows from what was said ---- */

static struct config_at where(const struct loader *p, const char *kind, const char *key)
{
	for (const struct part *part = p->parts; part != NULL; part = part->next)
		for (size_t i = 0;
			strcmp(part->section->kind, kind) == 0 && part->section->fields[i].key != NULL; i++)
			if (strcmp(part->section->fields[i].key, key) == 0 && part->seen[i].file != NULL)
				return part->seen[i];
	return (struct config_at){0};
}

static int finish_dkim(struct config_dkim *d, struct err *e)
{
	if (d->domain == NULL)
		return config_bad(e, d->at, "[dkim %s] has no domain", d->name);
	if (d->key == NULL)
		return config_bad(e, d->at,
			"[dkim %s] has no key: the file that `postrider dkim keygen` wrote", d->name);
	if (d->selector == NULL)
		d->selector = d->name;
	if (!config_selector_ok(d->selector))
		return config_bad(e, d->at,
			"[dkim %s]: the name is the selector where none is given, and this is not one",
			d->name);
	return 0;
}

static int finish_mailbox(const struct config_mailbox *m, struct err *e)
{
	if (m->url == NULL)
		return config_bad(e, m->at,
			"[mailbox %s]: url is missing: imaps:// or pop3s:// and the server", m->name);
	if (m->user == NULL || m->password.from == SECRET_NONE)
		return config_bad(e, m->at,
			"[mailbox %s]: user and a password are needed (password-file, -env or -command)",
			m->name);
	if (m->after == MAILBOX_MOVE && strncmp(m->url, "pop3", 4) == 0)
		return config_bad(
			e, m->at, "[mailbox %s]: POP3 has no folders: after = keep or delete", m->name);
	return 0;
}

static int finish_provider(const struct config_provider *p, struct err *e)
{
	if (p->suspend_most != 0 && p->suspend > p->suspend_most)
		return config_bad(e, p->at, "[provider %s]: suspend is longer than suspend-most", p->name);
	return 0;
}

/* Parts were met in the reverse order of their list. */
static int collect(struct loader *p, struct err *e)
{
	struct config *c = &p->l->c;
	size_t nroutes = 0, ndomains = 0, ndkim = 0, nsources = 0, nproviders = 0, nmailboxes = 0;
	for (const struct part *part = p->parts; part != NULL; part = part->next) {
		nroutes += part->section->makes == SECTION_ROUTE;
		ndomains += part->section->makes == SECTION_DOMAIN;
		ndkim += part->section->makes == SECTION_DKIM;
		nsources += part->section->makes == SECTION_SOURCE;
		nproviders += part->section->makes == SECTION_PROVIDER;
		nmailboxes += part->section->makes == SECTION_MAILBOX;
	}
	c->routes = arena_zalloc(&p->l->arena, (nroutes + 1) * sizeof *c->routes);
	c->domains = arena_zalloc(&p->l->arena, (ndomains + 1) * sizeof *c->domains);
	c->dkim = arena_zalloc(&p->l->arena, (ndkim + 1) * sizeof *c->dkim);
	c->sources = arena_zalloc(&p->l->arena, (nsources + 1) * sizeof *c->sources);
	c->providers = arena_zalloc(&p->l->arena, (nproviders + 1) * sizeof *c->providers);
	c->mailboxes = arena_zalloc(&p->l->arena, (nmailboxes + 1) * sizeof *c->mailboxes);
	if (c->routes == NULL || c->domains == NULL || c->dkim == NULL || c->sources == NULL ||
		c->providers == NULL || c->mailboxes == NULL)
		return no_memory(e);
	c->nroutes = nroutes;
	c->ndomains = ndomains;
	c->ndkim = ndkim;
	c->nsources = nsources;
	c->nproviders = nproviders;
	c->nmailboxes = nmailboxes;
	for (const struct part *part = p->parts; part != NULL; part = part->next) {
		if (part->section->makes == SECTION_DOMAIN)
			c->domains[--ndomains] = part->name;
		if (part->section->makes == SECTION_DKIM)
			memcpy(&c->dkim[--ndkim], part->base, sizeof *c->dkim);
		if (part->section->makes == SECTION_PROVIDER)
			memcpy(&c->providers[--nproviders], part->base, sizeof *c->providers);
		if (part->section->makes == SECTION_ROUTE)
			memcpy(&c->routes[--nroutes], part->base, sizeof *c->routes);
		if (part->section->makes == SECTION_SOURCE)
			memcpy(&c->sources[--nsources], part->base, sizeof *c->sources);
		if (part->section->makes == SECTION_MAILBOX)
			memcpy(&c->mailboxes[--nmailboxes], part->base, sizeof *c->mailboxes);
	}
	for (size_t i = 0; i < c->nmailboxes; i++)
		if (finish_mailbox(&c->mailboxes[i], e) != 0)
			return -1;
	for (size_t i = 0; i < c->ndkim; i++)
		if (finish_dkim(&c->dkim[i], e) != 0)
			return -1;
	for (size_t i = 0; i < c->nproviders; i++)
		if (finish_provider(&c->providers[i], e) != 0)
			return -1;
	return 0;
}

static int finish(struct loader *p, struct err *e)
{
	struct config *c = &p->l->c;
	if (collect(p, e) != 0)
		return -1;
	if (c->zone == NULL) {
		c->zone = clock_zone(NULL, e);
		if (c->zone == NULL)
			return -1;
		c->timezone = clock_zone_name(c->zone);
	}
	if (config_finish_routes(c, e) != 0)
		return -1;
	if (c->return_path.domain != NULL && c->return_path.address != NULL)
		return config_bad(e, where(p, "return-path", "address"),
			"[return-path] has domain and address: one of them says where returned mail goes");
	c->return_path.at = where(p, "return-path", c->return_path.domain != NULL ? "domain" : "address");
	bool https = c->unsubscribe.url != NULL && strncmp(c->unsubscribe.url, "https://", 8) == 0;
	struct config_at one_click = where(p, "unsubscribe", "one-click");
	if (one_click.file == NULL)
		c->unsubscribe.one_click = https;
	else if (c->unsubscribe.one_click && !https)
		return config_bad(
			e, one_click, "one-click needs an url that begins with https:// (RFC 8058)");
	return 0;
}

/* ---- Loading ---- */

static int set_defaults(struct loaded *l, const char *path, struct err *e)
{
	static const ms_t delays[] = {5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR};
	struct config *c = &l->c;
	arena_init(&l->arena, 16 << 10, MEMORY_MAX);
	c->doubt = DOUBT_RESEND;
	c->retry_expire = 3 * DAY;
	c->unsubscribe.scope_all = true;
	c->suppress.hard = 1;
	c->suppress.soft = 3;
	c->suppress.soft_days = 7;
	c->suppress.complaint = 1;
	c->brake.bounces = 0.05;
	c->brake.blocks = 0.10;
	c->brake.complaints = 0.003;
	c->brake.after = 200;
	c->retention.evidence = 90 * DAY;
	c->retention.deliveries = 3 * 365 * DAY;
	c->retry_delays = arena_alloc(&l->arena, sizeof delays);
	char *database = path_beside(path != NULL ? path : "", "postrider.db");
	char *secret = path_beside(path != NULL ? path : "", "postrider.key");
	if (c->retry_delays != NULL && database != NULL && secret != NULL) {
		memcpy(c->retry_delays, delays, sizeof delays);
		c->nretry = sizeof delays / sizeof delays[0];
		c->database = arena_strdup(&l->arena, database);
		c->secret_file = arena_strdup(&l->arena, secret);
		c->path = path != NULL ? arena_strdup(&l->arena, path) : NULL;
	}
	free(database);
	free(secret);
	return l->arena.failed || c->database == NULL ? no_memory(e) : 0;
}

static const char *find_file(const char *path)
{
	static const char *const places[] = {"postrider.conf", "/etc/postrider/postrider.conf"};
	if (path == NULL)
		path = getenv("POSTRIDER_CONFIG");
	if (path != NULL && path[0] != '\0')
		return path;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (file_exists(places[i]))
			return places[i];
	return NULL;
}

/* text NULL: what stands in the file; path NULL as well: the defaults. */
static int load(const char *path, const struct str *text, struct config **out, struct err *e)
{
	static const struct parse_ops ops = {on_section, on_value};
	struct loaded *l = calloc(1, sizeof *l);
	struct loader p = {.l = l};
	*out = NULL;
	if (l == NULL)
		return no_memory(e);
	if (set_defaults(l, path, e) != 0)
		goto fail;
	if (path != NULL && on_section(&p, "", "", (struct config_at){path, 0}, e) != 0)
		goto fail;
	if (text != NULL ? parse_text(*text, path, &l->arena, &ops, &p, e) != 0
			 : path != NULL && parse_file(path, &l->arena, &ops, &p, e) != 0)
		goto fail;
	if (finish(&p, e) != 0)
		goto fail;
	*out = &l->c;
	return 0;
fail:
	arena_release(&l->arena);
	free(l);
	return -1;
}

int config_load(const char *path, struct config **out, struct err *e)
{
	return load(find_file(path), NULL, out, e);
}

int config_parse(struct str text, const char *name, struct config **out, struct err *e)
{
	return load(name, &text, out, e);
}

void config_free(struct config **c)
{
	if (*c == NULL)
		return;
	struct loaded *l = (struct loaded *)(void *)((char *)*c - offsetof(struct loaded, c));
	arena_release(&l->arena);
	free(l);
	*c = NULL;
}

const struct config_route *config_route_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nroutes; i++)
		if (strcmp(c->routes[i].name, name) == 0)
			return &c->routes[i];
	return NULL;
}
