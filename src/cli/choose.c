#include "src/cli/choose.h"

#include "lists/address.h"
#include "src/base/file.h"
#include "src/db/ledger.h"

#include <stdlib.h>

enum { SAMPLE_MAX = 4 << 20 };

static void begin(struct chosen *c)
{
	*c = (struct chosen){0};
	arena_init(&c->arena, 4096, 16 << 20);
}

void chosen_release(struct chosen *c)
{
	json_decref(c->sample);
	arena_release(&c->arena);
	*c = (struct chosen){0};
}

static void keep(struct chosen *c, const struct contact_row *row)
{
	c->contact = *row;
	c->contact.address = arena_str(&c->arena, row->address);
	c->contact.key = arena_str(&c->arena, row->key);
	c->contact.attrs = arena_str(&c->arena, row->attrs);
	c->contact.source = arena_str(&c->arena, row->source);
}

static int keep_list(struct chosen *c, struct store *s, struct err *e)
{
	struct list_row row;
	if (c->contact.list == 0)
		return 0;
	if (store_list_by_id(s, c->contact.list, &row, e) != 0)
		return -1;
	c->list = row;
	c->list.name = arena_str(&c->arena, row.name);
	c->list.title = arena_str(&c->arena, row.title);
	c->list.list_id = arena_str(&c->arena, row.list_id);
	return 0;
}

static int first_list(void *ctx, const struct membership *m)
{
	*(int64_t *)ctx = m->list;
	return 1;
}

int choose_contact(struct chosen *c, struct store *s, const char *address, struct err *e)
{
	struct address a;
	struct contact_row row;
	begin(c);
	if (address_parse(str_from(address), &c->arena, &a, e) != 0 ||
		store_contact_get(s, a.key, &row, e) != 0)
		return -1;
	keep(c, &row);
	if (store_memberships(s, c->contact.id, first_list, &c->contact.list, e) < 0)
		return -1;
	return keep_list(c, s, e);
}

struct nth {
	struct chosen *c;
	long long left;
};

static int count_down(void *ctx, const struct contact_row *row)
{
	struct nth *n = ctx;
	if (--n->left > 0)
		return 0;
	keep(n->c, row);
	return 1;
}

int choose_nth(struct chosen *c, struct store *s, const struct audience *a, long long nth, struct err *e)
{
	struct nth n = {c, nth};
	begin(c);
	if (store_audience_walk(s, a, false, count_down, &n, e) < 0)
		return -1;
	if (n.left > 0 && n.left == nth)
		return err_set(e, ERR_NOINPUT, "preview", "the audience is empty");
	if (n.left > 0)
		return err_set(e, ERR_NOINPUT, "preview", "the audience has only %lld %s", nth - n.left,
			nth - n.left == 1 ? "person" : "people");
	return keep_list(c, s, e);
}

int choose_sample(struct chosen *c, const char *path, struct err *e)
{
	struct buf text = BUF_INIT(SAMPLE_MAX);
	json_error_t why;
	begin(c);
	if (file_read(path, &text, e) != 0) {
		buf_release(&text);
		return -1;
	}
	c->sample = json_loadb(buf_cstr(&text), text.len, JSON_REJECT_DUPLICATES, &why);
	buf_release(&text);
	if (c->sample == NULL) {
		err_set(e, ERR_DATA, "sample data", "not JSON: %s", why.text);
		return err_at(e, path, why.line);
	}
	if (!json_is_object(c->sample)) {
		err_set(e, ERR_DATA, "sample data", "must be one JSON object of attribute names and values");
		return err_at(e, path, 1);
	}
	const char *email = json_string_value(json_object_get(c->sample, "email"));
	struct address a;
	if (address_parse(str_from(email != NULL ? email : "reader@example.com"), &c->arena, &a, e) != 0)
		return err_at(e, path, 0);
	c->contact.address = a.wire;
	c->contact.key = a.key;
	return 0;
}

struct values {
	json_t *sample;
	struct arena *arena;
};

/* Texts as they stand, numbers as JSON writes them. */
static struct str value_of(void *ctx, struct str name)
{
	struct values *v = ctx;
	char key[256];
	if (name.n >= sizeof key)
		return str_n(NULL, 0);
	memcpy(key, name.p, name.n);
	key[name.n] = '\0';
	json_t *j = json_object_get(v->sample, key);
	if (json_is_string(j))
		return str_n(json_string_value(j), json_string_length(j));
	if (j == NULL || json_is_null(j))
		return str_n(NULL, 0);
	char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
	struct str s = text != NULL ? arena_str(v->arena, str_from(text)) : str_n(NULL, 0);
	free(text);
	return s;
}

int chosen_compose(const struct chosen *c, const struct launch *l, struct token_signer *t, ms_t now,
	struct arena *a, struct letter *out, struct err *e)
{
	struct claim claim;
	struct values v = {c->sample, a};
	claim_of_contact(&claim, &c->contact, c->list.id != 0 ? &c->list : NULL, now);
	int rc = c->sample != NULL
			 ? personal_compose_named(l->personal, t, &claim, value_of, &v, true, a, out, e)
			 : personal_compose(l->personal, t, &claim, true, a, out, e);
	return rc != 0 ? -1 : letter_sign(out, l->dkim, now, l->route, a, e);
}
