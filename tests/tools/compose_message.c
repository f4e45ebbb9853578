/* compose_message MESSAGE CONTACTS.json DIR: composes MESSAGE for each object of the array and writes
 * DIR/0.eml, DIR/1.eml …, with what was meant beside each (N.json: subject, text, html, from, to_name). For
 * tests that read composed messages with other people's parsers. An error is one line on standard error,
 * exit 1. */
#include "src/base/file.h"
#include "templates/message.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const struct err *e)
{
	fprintf(stderr, "%s: %s", e->what, e->why);
	if (e->line != 0)
		fprintf(stderr, " (%s:%ld:%ld)", e->file, e->line, e->column);
	fprintf(stderr, "%s%s\n", e->remedy[0] != '\0' ? "\n" : "", e->remedy);
	return 1;
}

static struct str text(json_t *contact, const char *name, const char *otherwise)
{
	json_t *v = json_object_get(contact, name);
	if (!json_is_string(v))
		return otherwise != NULL ? str_from(otherwise) : str_n(NULL, 0);
	return str_n(json_string_value(v), json_string_length(v));
}

static struct str lookup(void *ctx, struct str name)
{
	char z[256];
	snprintf(z, sizeof z, "%.*s", STR_ARG(name));
	return text(ctx, z, NULL);
}

static void put(json_t *meant, const char *name, struct str s)
{
	json_object_set_new(meant, name, json_stringn(s.p != NULL ? s.p : "", s.n));
}

static int save(const char *dir, size_t i, const struct composed *c, struct str to_name)
{
	char path[4096];
	struct err e = {0};
	struct buf b = BUF_INIT(256 << 20);
	json_t *meant = json_object();
	put(meant, "subject", c->subject);
	put(meant, "text", c->text);
	put(meant, "html", c->html);
	put(meant, "from", c->from);
	put(meant, "to_name", to_name);
	char *dump = json_dumps(meant, 0);
	buf_str(&b, c->header);
	buf_str(&b, c->body);
	buf_str(&b, c->tail);
	snprintf(path, sizeof path, "%s/%zu.eml", dir, i);
	int rc = file_write(path, buf_get(&b), 0644, &e);
	snprintf(path, sizeof path, "%s/%zu.json", dir, i);
	if (rc == 0)
		rc = file_write(path, str_from(dump), 0644, &e);
	free(dump);
	json_decref(meant);
	buf_release(&b);
	return rc == 0 ? 0 : fail(&e);
}

static int compose_one(const struct message *m, json_t *contact, size_t i, struct str *slots, struct arena *a,
	const char *dir)
{
	struct composed c;
	struct err e = {0};
	char unique[32], id[64];
	snprintf(unique, sizeof unique, "test%08zu", i);
	snprintf(id, sizeof id, "%s@example.org", unique);
	for (size_t s = 0; s < message_nslots(m); s++)
		slots[s] = lookup(contact, message_slot(m, s));
	struct message_recipient r = {
		.slots = slots,
		.lookup = lookup,
		.ctx = contact,
		.email = text(contact, "email", "reader@example.com"),
		.to_name = text(contact, "to_name", ""),
		.campaign = STR("test"),
		.list = text(contact, "list_title", "Readers"),
		.list_id = STR("readers.example.org"),
		.list_title = text(contact, "list_title", "Readers"),
		.unsubscribe_url = text(contact, "unsubscribe_url", "https://example.org/u?t=0123456789&l=1"),
		.unsubscribe_mailto = STR("mailto:unsubscribe@example.org?subject=0123456789"),
		.one_click = true,
		.view_url = STR("https://example.org/v?t=0123456789"),
		.message_id = str_from(id),
		.feedback_id = STR("test:postrider"),
		.unique = str_from(unique),
		.date = 1795939200000 + (ms_t)i * 1000,
	};
	if (message_compose(m, &r, true, a, &c, &e) != 0)
		return fail(&e);
	return c.skip.n == 0 ? save(dir, i, &c, r.to_name) : 0;
}

static int compose_all(const struct message *m, json_t *contacts, const char *dir)
{
	struct arena a;
	size_t i;
	json_t *contact;
	int rc = 0;
	struct str *slots = calloc(message_nslots(m) + 1, sizeof *slots);
	arena_init(&a, 64 << 10, 512 << 20);
	json_array_foreach(contacts, i, contact)
	{
		arena_reset(&a);
		rc |= compose_one(m, contact, i, slots, &a, dir);
	}
	arena_release(&a);
	free(slots);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	struct message_dir d;
	struct message_reader r;
	enum message_format format;
	json_error_t why;
	if (argc != 4) {
		fprintf(stderr, "usage: compose_message MESSAGE CONTACTS.json DIR\n");
		return 64;
	}
	json_t *contacts = json_load_file(argv[2], JSON_ALLOW_NUL, &why);
	if (contacts == NULL) {
		fprintf(stderr, "%s: %s\n", argv[2], why.text);
		return 1;
	}
	struct message_options o = {.zone = clock_zone("UTC", &e), .path = argv[1]};
	if (message_format_of(argv[1], &format, &e) != 0 || message_dir_open(&d, argv[1], &r, &e) != 0)
		return fail(&e);
	struct message *m = message_compile(&r, format, &o, &e);
	message_dir_close(&d);
	if (m == NULL)
		return fail(&e);
	int rc = compose_all(m, contacts, argv[3]);
	message_free(&m);
	json_decref(contacts);
	return rc;
}
