#include "src/cli/cli.h"
#include "src/cli/output.h"

#include "lists/list_name.h"
#include "src/db/lists.h"

#include <stdlib.h>

/* ---- lists ---- */

struct walk {
	struct cli *c;
	struct table *table;
	const struct zone *zone;
	struct err *e;
};

static int row_json(const struct list_row *l)
{
	json_t *o = json_object();
	json_put(o, "list", json_str(l->name));
	json_put(o, "title", json_str(l->title));
	json_put(o, "id", json_str(l->list_id));
	json_put(o, "members", json_integer(l->members));
	json_put(o, "mailable", json_integer(l->mailable));
	json_put(o, "created", json_time(l->created));
	return json_line(o);
}

static int row(void *ctx, const struct list_row *l)
{
	struct walk *w = ctx;
	char at[TEXT_NUMBER];
	if (w->c->json)
		return row_json(l) != 0 ? output_error(w->e) : 0;
	table_str(w->table, l->name);
	table_count(w->table, l->members);
	table_count(w->table, l->mailable);
	table_str(w->table, l->title);
	table_str(w->table, l->list_id);
	table_str(w->table, str_from(text_time(w->zone, l->created, at)));
	return table_row(w->table) != 0 ? output_error(w->e) : 0;
}

static int lists_run(struct cli *c, struct err *e)
{
	static const struct column columns[] = {{.title = "list"}, {.title = "people", .right = true},
		{.title = "mailable", .right = true}, {.title = "title", .max = 40},
		{.title = "id", .max = 40}, {.title = "created"}};
	const struct zone *z = cli_zone(c, e);
	struct store *s = z != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL)
		return -1;
	struct walk w = {c, table_new(c, stdout, columns, sizeof columns / sizeof columns[0]), z, e};
	if (w.table == NULL)
		return err_set(e, ERR_INTERNAL, "lists", "out of memory");
	int rc = store_lists(s, true, row, &w, e);
	if (rc == 0)
		table_empty(w.table, "there is no list yet: `postrider import LIST FILE` makes one");
	if (table_end(&w.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

const struct command cmd_lists = {
	.name = "lists",
	.summary = "show the lists, their people, and how many can be mailed",
	.group = GROUP_PEOPLE,
	.run = lists_run,
};

/* ---- list rename | delete | set ---- */

static int done(struct cli *c, const char *list, const char *what, struct err *e)
{
	if (c->json) {
		json_t *o = json_object();
		json_put(o, "list", json_str(str_from(list)));
		json_put(o, what, json_true());
		return json_document(o) != 0 ? output_error(e) : 0;
	}
	return c->quiet || out_printf(c, "%s: %s\n", out_safe(str_from(list)), what) == 0 ? 0
											  : output_error(e);
}

static int rename_run(struct cli *c, struct err *e)
{
	struct list_row l;
	struct store *s = cli_store(c, STORE_WRITE, e);
	if (s == NULL || audience_list(s, c->args[0], &l, e) != 0 ||
		list_name_check(str_from(c->args[1]), e) != 0)
		return -1;
	if (store_list_rename(s, l.id, str_from(c->args[1]), e) != 0)
		return -1;
	return done(c, c->args[1], "renamed", e);
}

static int confirm_delete(struct cli *c, const struct list_row *l, struct err *e)
{
	char question[400], answer[400], n[TEXT_NUMBER];
	if (cli_given(c, "yes"))
		return 0;
	snprintf(question, sizeof question,
		"Delete the list %s with %s people? They stay known, but leave it. Type its name: ",
		out_safe(l->name), text_count(l->members, n));
	if (cli_ask(c, question, "add --yes", answer, sizeof answer, e) != 0)
		return -1;
	return str_is(l->name, answer)
		       ? 0
		       : err_set(e, ERR_USAGE, "list delete", "not confirmed; nothing was deleted");
}

static int delete_run(struct cli *c, struct err *e)
{
	struct list_row l;
	struct store *s = cli_store(c, STORE_WRITE, e);
	if (s == NULL || audience_list(s, c->args[0], &l, e) != 0 || confirm_delete(c, &l, e) != 0 ||
		store_list_delete(s, l.id, e) != 0)
		return -1;
	return done(c, c->args[0], "deleted", e);
}

static int set_run(struct cli *c, struct err *e)
{
	struct list_row l;
	struct str title, id;
	const struct str *new_title = NULL, *new_id = NULL;
	for (size_t i = 1; i < c->nargs; i++) {
		struct str word = str_from(c->args[i]);
		if (str_starts(word, STR("title=")) && new_title == NULL) {
			title = str_n(word.p + 6, word.n - 6);
			new_title = &title;
		} else if (str_starts(word, STR("id=")) && new_id == NULL) {
			id = str_n(word.p + 3, word.n - 3);
			new_id = &id;
		} else {
			return cli_usage(
				c, e, "\"%.60s\" is not title=TEXT or id=TEXT, each once", c->args[i]);
		}
	}
	if (new_id != NULL && id.n > 0 && list_id_check(id, e) != 0)
		return -1;
	if (new_title != NULL && title.n > 0 && list_name_check(title, e) != 0)
		return err_set(e, ERR_USAGE, "title",
			"it must be one line of text without blanks at its ends, at most %d bytes",
			LIST_NAME_MAX);
	struct store *s = cli_store(c, STORE_WRITE, e);
	if (s == NULL || audience_list(s, c->args[0], &l, e) != 0 ||
		store_list_set(s, l.id, new_title, new_id, e) != 0)
		return -1;
	return done(c, c->args[0], "set", e);
}

static const struct command list_rename = {
	.name = "rename",
	.args = "LIST NEW-NAME",
	.summary = "give a list another name",
	.min_args = 2,
	.max_args = 2,
	.run = rename_run,
};

static const struct option delete_options[] = {{.name = "yes", .help = "do not ask"}, {0}};

static const struct command list_delete = {
	.name = "delete",
	.args = "LIST",
	.summary = "take everybody off a list and remove it",
	.help = "The people stay known; only this list ends. Who unsubscribed from it stays so,\n"
		"should a list of that name be made again.\n",
	.options = delete_options,
	.min_args = 1,
	.max_args = 1,
	.run = delete_run,
};

static const struct command list_set = {
	.name = "set",
	.args = "LIST title=TEXT id=TEXT",
	.summary = "what readers see as the list's name, and the id in List-Id",
	.help = "An empty value (title=) takes it away.\n",
	.min_args = 2,
	.max_args = 3,
	.run = set_run,
};

static const struct command *const list_subs[] = {&list_rename, &list_delete, &list_set, NULL};

const struct command cmd_list = {
	.name = "list",
	.summary = "rename, delete or describe a list",
	.group = GROUP_PEOPLE,
	.subs = list_subs,
};
