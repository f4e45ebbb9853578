#include "src/cli/cli.h"
#include "src/cli/output.h"

#include "lists/export.h"
#include "lists/segment.h"
#include "src/db/filter.h"
#include "src/db/lists.h"

struct writer {
	struct csv csv;
	FILE *f;
	bool json;
	struct str *names; /* of the columns, for JSON */
	size_t n;
	struct arena arena;
};

static int header(void *ctx, const struct str *names, size_t n, struct err *e)
{
	struct writer *w = ctx;
	if (!w->json) {
		for (size_t i = 0; i < n; i++)
			csv_str(&w->csv, names[i]);
		return csv_row(&w->csv) != 0 ? output_error(e) : 0;
	}
	w->names = arena_alloc(&w->arena, n * sizeof *w->names);
	for (size_t i = 0; i < n && w->names != NULL; i++)
		w->names[i] = arena_str(&w->arena, names[i]);
	w->n = n;
	return w->arena.failed ? err_set(e, ERR_INTERNAL, "export", "out of memory") : 0;
}

static int row(void *ctx, const struct str *cells, size_t n, struct err *e)
{
	struct writer *w = ctx;
	if (!w->json) {
		for (size_t i = 0; i < n; i++)
			csv_str(&w->csv, cells[i]);
		return csv_row(&w->csv) != 0 ? output_error(e) : 0;
	}
	json_t *o = json_object();
	for (size_t i = 0; i < n; i++)
		if (cells[i].n > 0 || i == 0)
			json_object_setn_new(o, w->names[i].p, w->names[i].n, json_str(cells[i]));
	int rc = json_dumpf(o, w->f, JSON_COMPACT);
	json_decref(o);
	return rc != 0 || putc('\n', w->f) == EOF ? output_error(e) : 0;
}

static int write_list(
	struct cli *c, struct store *s, int64_t list, const struct filter *where, bool json, struct err *e)
{
	static const struct export_ops ops = {.header = header, .row = row};
	struct output out;
	struct writer w = {.json = json};
	if (output_open(&out, cli_value(c, "output"), e) != 0)
		return -1;
	w.f = out.f;
	arena_init(&w.arena, 4096, 16 << 20);
	csv_begin(&w.csv, out.f, cli_given(c, "excel"));
	int rc = list_export(s, list, where, &ops, &w, e);
	if (rc == 0)
		rc = output_commit(&out, e);
	else
		output_abandon(&out);
	arena_release(&w.arena);
	return rc;
}

static int export_run(struct cli *c, struct err *e)
{
	static const char *const formats[] = {"csv", "json", NULL};
	int format = cli_value_word(c, "format", formats, c->json ? 1 : 0, e);
	if (format < 0)
		return -1;
	if (format == 1 && cli_given(c, "excel"))
		return cli_usage(c, e, "--excel is a form of CSV, not of JSON");
	const struct zone *z = cli_zone(c, e);
	struct store *s = z != NULL ? cli_store(c, STORE_READ, e) : NULL;
	struct list_row list;
	struct filter *where = NULL;
	struct arena a;
	if (s == NULL || audience_list(s, c->args[0], &list, e) != 0)
		return -1;
	arena_init(&a, 4096, 16 << 20);
	int rc = cli_given(c, "where") ? segment_parse(cli_value(c, "where"), s, z, &a, &where, e) : 0;
	if (rc == 0)
		rc = write_list(c, s, list.id, where, format == 1, e);
	arena_release(&a);
	return rc;
}

static const struct option options[] = {
	{.name = "where", .value = "EXPR", .help = "only those for whom it holds: 'city = \"Kyoto\"'"},
	{.name = "format", .value = "FORMAT", .help = "csv (default) or json: one object a line"},
	{.name = "excel",
		.help = "CSV that Excel opens as it is: marked as UTF-8, no cell taken for a formula"},
	{.name = "output", .letter = 'o', .value = "FILE", .help = "write there instead of standard output"},
	{0},
};

const struct command cmd_export = {
	.name = "export",
	.args = "LIST",
	.summary = "write the people of a list as CSV or JSON",
	.help = "The address, every attribute that somebody on the list has, and Postrider's own\n"
		"columns: pr_status, pr_source, pr_consent_at, pr_joined, pr_added. `import`\n"
		"reads it back: nothing changes, and who was not mailed before is not mailed\n"
		"after.\n",
	.group = GROUP_PEOPLE,
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = export_run,
};
