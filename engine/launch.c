#include "engine/launch.h"

#include "src/base/hash.h"

#include <stdio.h>
#include <stdlib.h>

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "message", "out of memory");
}

static int hash_parts(const struct message *m, char hex[LAUNCH_HASH], struct err *e)
{
	struct buf all = BUF_INIT((size_t)1 << 20);
	unsigned char sum[SHA256_LEN];
	for (size_t i = 0; i < message_nparts(m); i++) {
		struct str name, data;
		char part[2 * SHA256_LEN + 1];
		message_part(m, i, &name, &data);
		sha256(data, sum);
		hex_encode(sum, sizeof sum, part);
		buf_printf(&all, "%s %zu %.*s\n", part, data.n, STR_ARG(name));
	}
	sha256(buf_get(&all), sum);
	hex_encode(sum, sizeof sum, hex);
	/* Of a part of it another hash would be recorded, and the same message not known again. */
	int rc = all.failed ? out_of_memory(e) : 0;
	buf_release(&all);
	return rc;
}

/* The file's name without folder and ending: what a campaign is called if nothing else was said. */
static struct str base_name(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path,
		   *dot = strrchr(base, '.');
	return arena_str(a, str_n(base, dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base)));
}

static int begin(struct launch *l, const struct config *cfg, struct store *s, struct err *e)
{
	*l = (struct launch){.config = cfg, .store = s};
	arena_init(&l->arena, 4096, 64 << 20);
	if (dkim_keys_load(cfg, &l->dkim_keys, e) != 0)
		return -1;
	l->dkim = dkim_signer_new(l->dkim_keys);
	return l->dkim != NULL ? 0 : out_of_memory(e);
}

int launch_open_campaign(struct launch *l, const struct campaign_row *row, const struct config *cfg,
	struct store *s, struct err *e)
{
	if (begin(l, cfg, s, e) != 0)
		return -1;
	l->name = arena_str(&l->arena, row->name);
	l->subject = arena_str(&l->arena, row->subject);
	l->from = arena_str(&l->arena, row->from);
	return l->arena.failed ? out_of_memory(e) : personal_load(&l->personal, row, false, cfg, s, e);
}

int launch_open(struct launch *l, const char *path, const char *prefix, const struct config *cfg,
	struct store *s, struct err *e)
{
	struct message_dir dir;
	struct message_reader reader;
	enum message_format format;
	if (begin(l, cfg, s, e) != 0)
		return -1;
	l->path = strdup(path);
	if (l->path == NULL)
		return out_of_memory(e);
	if (message_format_of(path, &format, e) != 0 || message_dir_open(&dir, path, &reader, e) != 0)
		return -1;
	struct message_options mo = {.zone = cfg->zone, .path = path};
	struct message *m = message_compile(&reader, format, &mo, e);
	message_dir_close(&dir);
	if (m == NULL)
		return -1;
	int rc = hash_parts(m, l->hash, e);
	l->name = base_name(&l->arena, path);
	l->subject = arena_str(&l->arena, message_header_source(m, "Subject"));
	l->from = arena_str(&l->arena, message_header_source(m, "From"));
	if (rc == 0 && l->arena.failed)
		rc = out_of_memory(e);
	if (rc != 0) {
		message_free(&m);
		return -1;
	}
	struct personal_options po = {.config = cfg, .campaign = l->name.p, .subject_prefix = prefix};
	return personal_new(&l->personal, &m, &po, s, e);
}

void launch_close(struct launch *l)
{
	personal_free(&l->personal);
	dkim_signer_free(&l->dkim);
	dkim_keys_free(&l->dkim_keys);
	arena_release(&l->arena);
	free(l->path);
	*l = (struct launch){0};
}

int launch_audience(struct launch *l, const struct audience_spec *spec, struct err *e)
{
	if (audience_resolve(spec, l->store, l->config->zone, 0, &l->arena, &l->audience, e) != 0)
		return -1;
	l->audience_text = audience_text(spec, &l->arena);
	return l->arena.failed || l->audience_text.p == NULL ? out_of_memory(e) : 0;
}

int launch_known(
	struct launch *l, const char *name, enum launch_known *known, struct campaign_row *row, struct err *e)
{
	struct err why = {0};
	*known = LAUNCH_NEW;
	if (store_campaign_get(l->store, str_from(name), row, &why) != 0) {
		if (why.code == ERR_NOINPUT)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	*known = str_is(row->content_hash, l->hash) && str_eq(row->audience, l->audience_text)
			 ? LAUNCH_SAME
			 : LAUNCH_DIFFERENT;
	return 0;
}

struct repeats {
	const char *name;
	int64_t ids[AUDIENCE_MAX]; /* newest first */
	size_t nids;
};

static int one_repeat(void *ctx, const struct campaign_row *c)
{
	struct repeats *r = ctx;
	if (str_is(c->name, r->name) || r->nids == AUDIENCE_MAX)
		return 0;
	r->ids[r->nids++] = c->id;
	return 0;
}

/* How many of the audience had, or will have, one of those campaigns. -1: failed. */
static int64_t had_one(struct launch *l, const int64_t *ids, size_t n, struct err *e)
{
	const unsigned had = 1U << DELIVERY_QUEUED | 1U << DELIVERY_SENDING | 1U << DELIVERY_DEFERRED |
			     1U << DELIVERY_SENT | 1U << DELIVERY_DOUBT;
	struct audience rest = l->audience;
	struct selection all, left;
	for (size_t i = 0; i < n && rest.nnot_of < AUDIENCE_MAX; i++)
		rest.not_of[rest.nnot_of++] = (struct audience_ref){ids[i], had};
	if (store_audience_count(l->store, &l->audience, &all, e) != 0 ||
		store_audience_count(l->store, &rest, &left, e) != 0)
		return -1;
	return all.audience - left.audience;
}

int launch_repeats(struct launch *l, const char *name, ms_t since, int64_t *n, char *other, size_t other_n,
	struct err *e)
{
	struct repeats r = {.name = name};
	struct campaign_row c;
	*n = 0;
	if (store_campaigns_with_content(l->store, str_from(l->hash), since, one_repeat, &r, e) < 0)
		return -1;
	if (r.nids == 0)
		return 0;
	*n = had_one(l, r.ids, r.nids, e);
	if (*n <= 0)
		return (int)*n;
	/* The newest of those that reach these people is the one to name. */
	for (size_t i = 0; i < r.nids; i++) {
		int64_t some = i + 1 < r.nids ? had_one(l, &r.ids[i], 1, e) : 1;
		if (some < 0)
			return -1;
		if (some == 0)
			continue;
		if (store_campaign_by_id(l->store, r.ids[i], &c, e) != 0)
			return -1;
		snprintf(other, other_n, "%.*s", STR_ARG(c.name));
		return 0;
	}
	return 0;
}

void claim_of_contact(struct claim *out, const struct contact_row *c, const struct list_row *list, ms_t now)
{
	*out = (struct claim){
		.contact = c->id,
		.list = c->list,
		.attempt = 1,
		.first_attempt = now,
		.due = now,
		.address = c->address,
		.key = c->key,
		.domain = str_after_last(c->key, '@'),
		.attrs = c->attrs,
	};
	if (list != NULL) {
		out->list_name = list->name;
		out->list_title = list->title;
		out->list_id = list->list_id;
	}
}

/* ---- Launching ---- */

int launch_campaign(struct launch *l, const struct launch_options *o, int64_t *id, struct err *e)
{
	const struct message *m = personal_message(l->personal);
	size_t n = message_nparts(m);
	struct content_part *parts = arena_alloc(&l->arena, (n + 1) * sizeof *parts);
	if (parts == NULL)
		return err_set(e, ERR_INTERNAL, "campaign", "out of memory");
	for (size_t i = 0; i < n; i++)
		message_part(m, i, &parts[i].name, &parts[i].data);
	struct campaign_new c = {
		.name = str_from(o->name),
		.subject = l->subject,
		.from = l->from,
		.message_path = str_from(l->path),
		.content_hash = str_from(l->hash),
		.audience = l->audience_text,
		.route = route_plan_names(o->plan, &l->arena),
		.spread = o->plan->by_destination,
		.rate = o->rate,
		.canary = o->canary,
		.start_at = o->start_at,
		.until = o->until,
		.now = o->now,
	};
	return store_campaign_create(l->store, &c, parts, n, id, e);
}

int launch_plan(struct launch *l, const char *names, struct err *e)
{
	struct str from = message_from_domain(personal_message(l->personal));
	struct str missing = names != NULL ? route_plan_missing(l->config, str_from(names)) : str_n(NULL, 0);
	if (missing.n > 0)
		return err_set(e, ERR_NOINPUT, "route", "there is no route `%.*s` in the configuration",
			STR_ARG(missing));
	int rc = names != NULL ? route_plan_named(&l->plan, l->config, str_from(names), e)
			       : route_plan_for(&l->plan, l->config, from, e);
	if (rc != 0)
		l->plan.n = 0;
	l->route = rc == 0 ? &l->config->routes[l->plan.route[0]] : NULL;
	return rc;
}
