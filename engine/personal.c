#include "engine/personal.h"

#include "src/db/attrs.h"
#include "src/db/lists.h"

#include <ctype.h>
#include <stdlib.h>

struct attr_name {
	struct str name;
	uint32_t id;
};

struct personal {
	const struct config *cfg;
	struct message *message;
	struct arena arena; /* of what lives as long as this */
	int64_t campaign_id;
	struct str campaign, subject_prefix, feedback_id, domain; /* domain: of Message-ID and the like */
	int32_t *slot_of;                                         /* attribute id to slot, -1: not used */
	uint32_t nslot_of;
	struct attr_name *names; /* all attributes, by name, for names only known while rendering */
	size_t nnames, cap;
	bool oom;
};

static int add_name(void *ctx, uint32_t id, struct str name)
{
	struct personal *p = ctx;
	if (p->nnames == p->cap) {
		size_t cap = p->cap == 0 ? 32 : p->cap * 2;
		struct attr_name *v = realloc(p->names, cap * sizeof *v);
		if (v == NULL) {
			p->oom = true;
			return 1;
		}
		p->names = v;
		p->cap = cap;
	}
	p->names[p->nnames++] = (struct attr_name){arena_str(&p->arena, name), id};
	if (id >= p->nslot_of)
		p->nslot_of = id + 1;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct attr_name *x = a, *y = b;
	int c = memcmp(x->name.p, y->name.p, x->name.n < y->name.n ? x->name.n : y->name.n);
	return c != 0 ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static const struct attr_name *find_name(const struct personal *p, struct str name)
{
	struct attr_name key = {.name = name};
	return p->nnames == 0 ? NULL : bsearch(&key, p->names, p->nnames, sizeof *p->names, by_name);
}

static int map_slots(struct personal *p, struct store *s, struct err *e)
{
	if (store_attrs(s, add_name, p, e) < 0)
		return -1;
	p->slot_of = malloc((p->nslot_of + 1) * sizeof *p->slot_of);
	if (p->oom || p->slot_of == NULL)
		return err_set(e, ERR_INTERNAL, "message", "out of memory");
	for (uint32_t i = 0; i < p->nslot_of; i++)
		p->slot_of[i] = -1;
	if (p->nnames > 1)
		qsort(p->names, p->nnames, sizeof *p->names, by_name);
	for (size_t i = 0; i < message_nslots(p->message); i++) {
		const struct attr_name *n = find_name(p, message_slot(p->message, i));
		if (n != NULL)
			p->slot_of[n->id] = (int32_t)i;
	}
	return 0;
}

static struct str host_of_url(const char *url)
{
	const char *at = strstr(url, "://");
	at = at != NULL ? at + 3 : url;
	return str_n(at, strcspn(at, "/?#:"));
}

/* What Message-ID and List-Id end with: the domain of From, or where that is each recipient's own, one that
 * is ours, too, and the same for all. */
static struct str own_domain(const struct message *m, const struct config *c)
{
	struct str from = message_from_domain(m);
	const char *const addresses[] = {c->return_path.address, c->unsubscribe.mailto};
	if (from.n != 0)
		return from;
	if (c->return_path.domain != NULL)
		return str_from(c->return_path.domain);
	if (c->ndomains != 0)
		return str_from(c->domains[0]);
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		if (addresses[i] != NULL)
			return str_after_last(str_from(addresses[i]), '@');
	return c->unsubscribe.url != NULL ? host_of_url(c->unsubscribe.url) : STR("sender.invalid");
}

/* Campaign and sender only (DESIGN, promise 5), as Gmail reads it: the last field is the sender, 5 to 15
 * characters, the same for all its mail. */
static struct str feedback_id(struct personal *p)
{
	char campaign[41], sender[16];
	size_t n = 0, m = 0;
	for (size_t i = 0; i < p->campaign.n && n < sizeof campaign - 1; i++) {
		unsigned char c = (unsigned char)p->campaign.p[i];
		if (c < 0x80 && (isalnum(c) || c == '-' || c == '_' || c == '.'))
			campaign[n++] = (char)c;
	}
	for (size_t i = 0; i < p->domain.n && m < sizeof sender - 1; i++)
		if (isalnum((unsigned char)p->domain.p[i]))
			sender[m++] = (char)tolower((unsigned char)p->domain.p[i]);
	while (m < 5)
		sender[m++] = '0';
	return arena_printf(
		&p->arena, "%lld-%.*s:%.*s", (long long)p->campaign_id, (int)n, campaign, (int)m, sender);
}

static bool is_example(struct str host)
{
	static const char *const reserved[] = {"example", "example.com", "example.net", "example.org"};
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
		size_t n = strlen(reserved[i]);
		if (host.n >= n && str_is_nocase(str_n(host.p + host.n - n, n), reserved[i]) &&
			(host.n == n || host.p[host.n - n - 1] == '.'))
			return true;
	}
	return false;
}

static bool at_example(const char *place, const char *behind)
{
	const char *host = place != NULL ? strstr(place, behind) : NULL;
	if (host == NULL)
		return false;
	host += strlen(behind);
	return is_example(str_n(host, strcspn(host, "/:?#")));
}

const char *personal_example_left(const struct config *cfg, struct str from)
{
	return from.n == 0 || is_example(from)             ? NULL
	       : at_example(cfg->unsubscribe.url, "://")   ? "`url` of [unsubscribe]"
	       : at_example(cfg->unsubscribe.mailto, "@")  ? "`mailto` of [unsubscribe]"
	       : at_example(cfg->return_path.domain, "")   ? "`domain` of [return-path]"
	       : at_example(cfg->return_path.address, "@") ? "`address` of [return-path]"
							   : NULL;
}

bool personal_has_return_path(const struct config *cfg)
{
	return cfg->return_path.domain != NULL ||
	       (cfg->return_path.address != NULL && strstr(cfg->return_path.address, "{token}") != NULL);
}

int personal_check_config(const struct config *cfg, struct err *e)
{
	if (cfg->unsubscribe.url != NULL || cfg->unsubscribe.mailto != NULL || personal_has_return_path(cfg))
		return 0;
	err_set(e, ERR_CONFIG, "unsubscribe",
		"nobody could unsubscribe: there is neither a page nor an address for it");
	err_remedy(e, "set `url` in [unsubscribe], or `domain` in [return-path] for unsubscribing by mail");
	return err_at(e, cfg->path, 0);
}

int personal_new(struct personal **out, struct message **m, const struct personal_options *o, struct store *s,
	struct err *e)
{
	struct personal *p = calloc(1, sizeof *p);
	if (p == NULL) {
		message_free(m);
		return err_set(e, ERR_INTERNAL, "message", "out of memory");
	}
	arena_init(&p->arena, 4096, 64 << 20);
	p->message = *m;
	*m = NULL;
	p->cfg = o->config;
	p->campaign_id = o->campaign_id;
	p->campaign = arena_str(&p->arena, str_from(o->campaign));
	p->subject_prefix = arena_str(&p->arena, str_from(o->subject_prefix));
	p->domain = own_domain(p->message, p->cfg);
	p->feedback_id = feedback_id(p);
	int rc = map_slots(p, s, e);
	if (rc == 0 && p->arena.failed)
		rc = err_set(e, ERR_INTERNAL, "message", "out of memory");
	if (rc != 0) {
		personal_free(&p);
		return -1;
	}
	*out = p;
	return 0;
}

void personal_free(struct personal **pp)
{
	struct personal *p = *pp;
	if (p == NULL)
		return;
	message_free(&p->message);
	arena_release(&p->arena);
	free(p->slot_of);
	free(p->names);
	free(p);
	*pp = NULL;
}

const struct message *personal_message(const struct personal *p)
{
	return p->message;
}

int personal_slot(const struct personal *p, uint32_t attr)
{
	return attr < p->nslot_of ? p->slot_of[attr] : -1;
}

/* ---- Frozen content ---- */

struct frozen {
	struct arena arena;
	struct content_part *parts;
	size_t n, cap;
	bool oom;
};

static int keep_part(void *ctx, const struct content_part *part)
{
	struct frozen *f = ctx;
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 8 : f->cap * 2;
		struct content_part *v = realloc(f->parts, cap * sizeof *v);
		if (v == NULL) {
			f->oom = true;
			return 1;
		}
		f->parts = v;
		f->cap = cap;
	}
	f->parts[f->n++] =
		(struct content_part){arena_str(&f->arena, part->name), arena_str(&f->arena, part->data)};
	return 0;
}

static int read_frozen(void *ctx, const char *name, struct buf *out, struct err *e)
{
	const struct frozen *f = ctx;
	for (size_t i = 0; i < f->n; i++) {
		if (!str_is(f->parts[i].name, name))
			continue;
		if (f->parts[i].data.n > out->max)
			return err_set(e, ERR_DATA, "campaign content", "%s is too large", name);
		buf_str(out, f->parts[i].data);
		return out->failed ? err_set(e, ERR_INTERNAL, "campaign content", "out of memory") : 0;
	}
	return err_set(e, ERR_NOINPUT, "campaign content", "%s is not part of it", name);
}

int personal_load(struct personal **out, const struct campaign_row *c, bool launched,
	const struct config *cfg, struct store *s, struct err *e)
{
	struct frozen f = {0};
	struct message *m = NULL;
	int rc = -1;
	arena_init(&f.arena, 64 << 10, (size_t)512 << 20);
	char *name = strndup(c->name.p, c->name.n), *path = strndup(c->message_path.p, c->message_path.n);
	int64_t id = c->id;
	enum message_format format;
	if (name == NULL || path == NULL) {
		err_set(e, ERR_INTERNAL, "message", "out of memory");
		goto done;
	}
	if (message_format_of(path, &format, e) != 0 || store_content(s, id, keep_part, &f, e) < 0)
		goto done;
	if (f.oom || f.arena.failed) {
		err_set(e, ERR_INTERNAL, "message", "out of memory");
		goto done;
	}
	struct message_reader r = {read_frozen, &f};
	struct message_options mo = {.zone = cfg->zone, .path = path};
	m = message_compile(&r, format, &mo, e);
	if (m == NULL)
		goto done;
	struct personal_options o = {.config = cfg, .campaign = name, .campaign_id = launched ? id : 0};
	rc = personal_new(out, &m, &o, s, e);
done:
	free(name);
	free(path);
	free(f.parts);
	arena_release(&f.arena);
	return rc;
}

/* ---- One letter ---- */

struct lookup {
	const struct personal *p;
	struct str attrs;
};

static struct str lookup_attr(void *ctx, struct str name)
{
	const struct lookup *l = ctx;
	const struct attr_name *n = find_name(l->p, name);
	return n != NULL ? attrs_get(l->attrs, n->id) : str_n(NULL, 0);
}

/* `form` with {token} replaced by `prefix` and the token. */
static struct str with_token(struct arena *a, const char *form, struct str prefix, struct str token)
{
	const char *at = strstr(form, "{token}");
	if (at == NULL)
		return arena_str(a, str_from(form));
	return ARENA_JOIN(
		a, str_n(form, (size_t)(at - form)), prefix, token, str_from(at + strlen("{token}")));
}

static struct str mail_address(const struct personal *p, struct arena *a, struct str prefix, struct str token)
{
	if (p->cfg->return_path.domain != NULL)
		return ARENA_JOIN(a, prefix, token, STR("@"), str_from(p->cfg->return_path.domain));
	return with_token(a, p->cfg->return_path.address, prefix, token);
}

static void fill_unsubscribe(const struct personal *p, struct token_signer *t, const struct claim *c,
	struct arena *a, struct message_recipient *r)
{
	char text[TOKEN_MAX];
	const struct config *cfg = p->cfg;
	int64_t list = cfg->unsubscribe.scope_all ? 0 : c->list;
	size_t n = token_unsubscribe(t, p->campaign_id != 0 ? c->contact : 0, list, p->campaign_id, text);
	struct str address = {0}, token = str_n(text, n);
	if (cfg->unsubscribe.mailto != NULL)
		address = with_token(a, cfg->unsubscribe.mailto, STR(""), token);
	else if (personal_has_return_path(cfg))
		address = mail_address(p, a, STR("u-"), token);
	if (address.n != 0)
		r->unsubscribe_mailto = ARENA_JOIN(a, STR("mailto:"), address, STR("?subject=unsubscribe"));
	if (cfg->unsubscribe.url != NULL) {
		r->unsubscribe_url = with_token(a, cfg->unsubscribe.url, STR(""), token);
		r->one_click = cfg->unsubscribe.one_click && str_starts(r->unsubscribe_url, STR("https://"));
	} else {
		r->unsubscribe_url = r->unsubscribe_mailto;
	}
}

struct str personal_message_id(
	const struct personal *p, struct token_signer *t, int64_t delivery, struct arena *a)
{
	char token[TOKEN_MAX];
	size_t n = token_delivery(t, TOKEN_MESSAGE_ID, delivery, token);
	return ARENA_JOIN(a, str_n(token, n), STR("@"), p->domain);
}

/* RFC 2919: set by hand, or made of the list's name as far as that is ASCII; below the sender's domain. */
static void fill_list_id(
	const struct personal *p, const struct claim *c, struct arena *a, struct message_recipient *r)
{
	char label[41];
	size_t n = 0;
	bool dropped = false;
	r->list_id = c->list_id;
	if (c->list == 0 || (c->list_id.n != 0 && str_find(c->list_id, '.') < c->list_id.n))
		return;
	struct str name = c->list_id.n != 0 ? c->list_id : c->list_name;
	for (size_t i = 0; i < name.n && n < sizeof label - 1; i++) {
		unsigned char ch = (unsigned char)name.p[i];
		dropped = dropped || ch >= 0x80;
		if (ch < 0x80 && isalnum(ch))
			label[n++] = (char)tolower(ch);
		else if (n > 0 && label[n - 1] != '-')
			label[n++] = '-';
	}
	while (n > 0 && label[n - 1] == '-')
		n--;
	/* What was left out may be all that tells two lists apart: then their number does. */
	if (n > 0 && !dropped)
		r->list_id = ARENA_JOIN(a, str_n(label, n), STR("."), p->domain);
	else
		r->list_id = arena_printf(a, "list-%lld.%.*s", (long long)c->list, STR_ARG(p->domain));
}

static struct str *slots_new(const struct personal *p, struct arena *a, struct err *e)
{
	size_t n = message_nslots(p->message);
	struct str *slots = arena_zalloc(a, (n + 1) * sizeof *slots);
	if (slots == NULL)
		err_set(e, ERR_INTERNAL, "message", "out of memory");
	return slots;
}

/* Want of memory is no fault of the recipient's: ERR_INTERNAL is tried again. */
static int unfit(const struct arena *a, struct err *e)
{
	if (a->starved)
		return err_set(e, ERR_INTERNAL, "message", "out of memory");
	return err_set(e, ERR_DATA, "message", "larger than the limit of %zu bytes", a->max);
}

static int compose(const struct personal *p, struct token_signer *t, const struct claim *c,
	struct message_recipient *r, bool want_parts, struct arena *a, struct letter *out, struct err *e)
{
	char text[TOKEN_MAX], back[TOKEN_MAX];
	int64_t delivery = p->campaign_id != 0 ? c->delivery : 0;
	struct str token = str_n(text, token_delivery(t, TOKEN_MESSAGE_ID, delivery, text));
	r->email = c->address;
	r->campaign = p->campaign;
	r->list = c->list_name;
	r->list_id = c->list_id;
	r->list_title = c->list_title;
	r->feedback_id = p->feedback_id;
	r->date = c->first_attempt;
	r->subject_prefix = p->subject_prefix;
	r->message_id = ARENA_JOIN(a, token, STR("@"), p->domain);
	fill_list_id(p, c, a, r);
	fill_unsubscribe(p, t, c, a, r);
	if (a->failed)
		return unfit(a, e);
	/* Behind the key number and the delivery stands the MAC: its characters are as good as random. */
	r->unique = str_n(text + 15, 16);
	int rc = message_compose(p->message, r, want_parts, a, &out->mail, e);
	r->unique = str_n(NULL, 0); /* it was ours */
	if (rc != 0)
		return -1;
	out->rcpt = c->address;
	out->envid = str_n(r->message_id.p, token.n);
	if (personal_has_return_path(p->cfg)) {
		size_t n = token_delivery(t, TOKEN_RETURN_PATH, delivery, back);
		out->from = mail_address(p, a, STR("b-"), str_n(back, n));
	} else {
		out->from = p->cfg->return_path.address != NULL ? str_from(p->cfg->return_path.address)
								: out->mail.from;
	}
	return a->failed ? unfit(a, e) : 0;
}

int personal_compose(const struct personal *p, struct token_signer *t, const struct claim *c, bool want_parts,
	struct arena *a, struct letter *out, struct err *e)
{
	struct str *slots = slots_new(p, a, e);
	if (slots == NULL)
		return -1;
	for (struct attr_iter i = attrs_begin(c->attrs); attrs_next(&i);)
		if (i.id < p->nslot_of && p->slot_of[i.id] >= 0)
			slots[p->slot_of[i.id]] = i.value;
	struct lookup look = {p, c->attrs};
	struct message_recipient r = {.slots = slots, .lookup = lookup_attr, .ctx = &look};
	return compose(p, t, c, &r, want_parts, a, out, e);
}

int personal_compose_named(const struct personal *p, struct token_signer *t, const struct claim *c,
	struct str (*value)(void *ctx, struct str name), void *ctx, bool want_parts, struct arena *a,
	struct letter *out, struct err *e)
{
	struct str *slots = slots_new(p, a, e);
	if (slots == NULL)
		return -1;
	for (size_t i = 0; i < message_nslots(p->message); i++)
		slots[i] = value(ctx, message_slot(p->message, i));
	struct message_recipient r = {.slots = slots, .lookup = value, .ctx = ctx};
	return compose(p, t, c, &r, want_parts, a, out, e);
}

/* ---- Signing ---- */

int letter_sign(struct letter *l, struct dkim_signer *s, ms_t first_attempt, const struct config_route *route,
	struct arena *a, struct err *e)
{
	if (l->mail.skip.n != 0)
		return 0;
	if (route != NULL && route->envelope == ROUTE_ENVELOPE_FIXED)
		l->from = str_from(route->envelope_from);
	struct dkim_message m = {
		.header = l->mail.header,
		.body = l->mail.body,
		.tail = l->mail.tail,
		.from_domain = str_after_last(l->mail.from, '@'),
		.now = first_attempt,
		.rewritten = route != NULL ? route->rewrites : NULL,
	};
	return dkim_sign(s, &m, a, &l->mail.header, e) < 0 ? -1 : 0;
}
