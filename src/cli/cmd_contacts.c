#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/people.h"

#include "lists/export.h"
#include "src/db/attrs.h"
#include "src/db/audience.h"
#include "src/db/lists.h"

struct walk {
	struct cli *c;
	struct store *s;
	struct table *table;
	const struct zone *zone;
	int64_t list; /* the only one asked for; 0: several or none */
	struct err *e;
};

static int row_json(struct walk *w, const struct contact_row *p, const char *status)
{
	json_t *o = json_object();
	json_put(o, "address", json_str(p->address));
	json_put(o, "status", json_string(status));
	json_put(o, "attributes", people_attrs_json(w->s, p->attrs));
	json_put(o, "source", p->source.n > 0 ? json_str(p->source) : json_null());
	json_put(o, "added", json_time(p->added));
	return json_line(o) != 0 ? output_error(w->e) : 0;
}

static void attrs_text(struct store *s, struct str attrs, struct buf *out)
{
	for (struct attr_iter i = attrs_begin(attrs); attrs_next(&i) && out->len < 300;) {
		struct str name = store_attr_name(s, i.id);
		struct str value = str_n(i.value.p, i.value.n < 100 ? i.value.n : 100);
		buf_printf(out, "%s%.*s=%.*s", out->len > 0 ? ", " : "", STR_ARG(name), STR_ARG(value));
	}
}

static int row(void *ctx, const struct contact_row *p)
{
	struct walk *w = ctx;
	char added[TEXT_NUMBER];
	const char *status = export_status(w->s, p->key, w->list, w->e);
	if (status == NULL)
		return -1;
	if (w->c->json)
		return row_json(w, p, status);
	struct buf attrs = BUF_INIT(1 << 20);
	attrs_text(w->s, p->attrs, &attrs);
	table_str(w->table, p->address);
	table_str(w->table, str_from(status));
	table_str(w->table, str_from(text_time(w->zone, p->added, added)));
	table_str(w->table, buf_get(&attrs));
	int rc = table_row(w->table);
	buf_release(&attrs);
	return rc != 0 ? output_error(w->e) : 0;
}

static int show_count(struct cli *c, struct store *s, const struct audience *a, struct err *e)
{
	struct selection n;
	char text[TEXT_NUMBER];
	if (store_audience_count(s, a, &n, e) != 0)
		return -1;
	if (c->json) {
		json_t *o = json_object(), *out = json_object();
		json_put(out, "suppressed", json_integer(n.suppressed));
		json_put(out, "unsubscribed", json_integer(n.unsubscribed));
		json_put(out, "excluded", json_integer(n.excluded));
		json_put(out, "duplicate", json_integer(n.duplicate));
		json_put(o, "selected", json_integer(n.selected));
		json_put(o, "left_out", out);
		json_put(o, "audience", json_integer(n.audience));
		return json_document(o) != 0 ? output_error(e) : 0;
	}
	const struct {
		const char *what;
		int64_t n;
	} rows[] = {
		{"selected", n.selected},
		{"suppressed", n.suppressed},
		{"unsubscribed", n.unsubscribed},
		{"excluded", n.excluded},
		{"audience", n.audience},
	};
	int rc = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		rc |= out_printf(c, "%-13s %12s\n", rows[i].what, text_count(rows[i].n, text));
	return rc != 0 ? output_error(e) : 0;
}

static int show_people(
	struct cli *c, struct store *s, const struct zone *z, const struct audience *a, struct err *e)
{
	static const struct column columns[] = {{.title = "address", .max = 50}, {.title = "status"},
		{.title = "added"}, {.title = "attributes", .max = 80}};
	struct walk w = {c, s, table_new(c, stdout, columns, sizeof columns / sizeof columns[0]), z,
		a->nlists == 1 ? a->lists[0] : 0, e};
	if (w.table == NULL)
		return err_set(e, ERR_INTERNAL, "contacts", "out of memory");
	int rc = store_audience_walk(s, a, true, row, &w, e);
	if (rc == 0)
		table_empty(w.table, "there is nobody");
	if (table_end(&w.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

static int contacts_run(struct cli *c, struct err *e)
{
	struct audience_spec spec;
	struct audience a;
	struct arena arena;
	const struct zone *z = cli_zone(c, e);
	struct store *s = z != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL)
		return -1;
	arena_init(&arena, 4096, 16 << 20);
	cli_audience(c, &spec);
	int rc = audience_resolve(&spec, s, z, 0, &arena, &a, e);
	if (rc == 0)
		rc = cli_given(c, "count") ? show_count(c, s, &a, e) : show_people(c, s, z, &a, e);
	arena_release(&arena);
	return rc;
}

static const struct option options[] = {
	CLI_AUDIENCE,
	{.name = "count", .help = "only how many they are, and who of them would be left out"},
	{0},
};

const struct command cmd_contacts = {
	.name = "contacts",
	.summary = "show people: all, of a list, for whom a condition holds",
	.help = "With the same options as `send`, so that an audience can be looked at before.\n"
		"Who is suppressed is shown as well, with the status that keeps them from being\n"
		"mailed.\n",
	.group = GROUP_PEOPLE,
	.options = options,
	.run = contacts_run,
};
