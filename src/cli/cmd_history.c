#include "src/cli/private.h"
#include "src/db/history.h"

struct walk {
	struct cli *c;
	struct table *table;
	const struct zone *zone;
	const char *about; /* NULL: everything */
	ms_t until;
};

static int row_json(const struct history_row *h)
{
	json_t *o = json_object();
	json_put(o, "id", json_integer(h->id));
	json_put(o, "at", json_time(h->at));
	json_put(o, "actor", json_str(h->actor));
	json_put(o, "what", json_str(h->what));
	json_put(o, "object", json_str(h->object));
	json_put(o, "note", json_str(h->note));
	return json_line(o);
}

static int row(void *ctx, const struct history_row *h)
{
	struct walk *w = ctx;
	char at[TEXT_NUMBER];
	if ((w->about != NULL && !str_is_nocase(h->object, w->about)) || (w->until != 0 && h->at >= w->until))
		return 0;
	if (w->c->json)
		return row_json(h);
	table_str(w->table, str_from(text_time(w->zone, h->at, at)));
	table_str(w->table, h->actor);
	table_str(w->table, h->what);
	table_str(w->table, h->object);
	table_str(w->table, h->note);
	return table_row(w->table);
}

static int history_run(struct cli *c, struct err *e)
{
	static const struct column columns[] = {{.title = "when"}, {.title = "who", .max = 40},
		{.title = "did"}, {.title = "to", .max = 50}, {.title = "note"}};
	ms_t since = 0;
	ms_t until = 0;
	if (cli_value_since(c, "since", clock_now(), &since, e) != 0 ||
		cli_value_since(c, "until", clock_now(), &until, e) != 0)
		return -1;
	struct store *s = cli_store(c, STORE_READ, e);
	if (s == NULL)
		return -1;
	struct walk w = {.c = c,
		.table = table_new(c, stdout, columns, sizeof columns / sizeof columns[0]),
		.zone = cli_zone(c, e),
		.about = c->nargs > 0 ? c->args[0] : NULL,
		.until = until};
	if (w.table == NULL)
		return err_set(e, ERR_INTERNAL, "history", "out of memory");
	int rc = store_history(s, since, row, &w, e);
	if (rc == 0)
		table_empty(w.table, since != 0 || until != 0 || c->nargs > 0 ? "there is no such change"
									      : "nothing was changed yet");
	return table_end(&w.table) == 0 ? rc : -1;
}

static const struct option history_options[] = {
	{.name = "since", .value = "TIME", .help = "only what happened since (a time, or a span as 7d)"},
	{.name = "until", .value = "TIME", .help = "and before then"},
	{0},
};

const struct command cmd_history = {
	.name = "history",
	.args = "[CAMPAIGN|LIST|ADDRESS|@DOMAIN]",
	.summary = "show who changed what, and when",
	.help = "Every change that a person asked for, oldest first: imports, campaigns launched,\n"
		"paused and resumed, suppressions added and removed, contacts changed.\n"
		"With a name, only what was done to that one.\n",
	.group = GROUP_SYSTEM,
	.options = history_options,
	.max_args = 1,
	.run = history_run,
};
