#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"

#include "lists/import.h"
#include "lists/list_name.h"
#include "src/base/log.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"
#include "src/db/import.h"
#include "src/db/lists.h"

#include <signal.h>
#include <stdlib.h>

static atomic_bool stop_asked;

/* The first signal lets the import take itself back; a second one ends the process, and the next import
 * sweeps. */
static void on_signal(int number)
{
	(void)number;
	atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
}

static void watch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

struct run {
	struct cli *c;
	struct progress *progress;
	const struct import_request *q;
};

static void show_progress(void *ctx, const struct import_progress *p)
{
	struct run *r = ctx;
	char rows[TEXT_NUMBER], percent[TEXT_NUMBER], rejected[TEXT_NUMBER];
	if (!progress_due(r->progress))
		return;
	progress_set(r->progress, "%s rows%s%s%s%s%s", text_count(p->read, rows), p->size > 0 ? ", " : "",
		p->size > 0 ? text_percent(p->bytes, p->size, percent) : "", p->rejected > 0 ? ", " : "",
		p->rejected > 0 ? text_count(p->rejected, rejected) : "", p->rejected > 0 ? " rejected" : "");
}

static int confirm_sync(void *ctx, int64_t leaving, int64_t of, struct err *e)
{
	struct run *r = ctx;
	char question[160], answer[64], n[TEXT_NUMBER], all[TEXT_NUMBER];
	if (cli_given(r->c, "yes"))
		return 0;
	progress_end(&r->progress);
	r->progress = progress_new(r->c);
	snprintf(question, sizeof question, "%s of %s people would leave %.60s. Go on? [y/N] ",
		text_count(leaving, n), text_count(of, all), r->q->list);
	struct err why = {0};
	if (r->c->json || cli_ask(r->c, question, "", answer, sizeof answer, &why) != 0) {
		if (why.code == ERR_AGAIN)
			return err_set(e, ERR_AGAIN, "import", "interrupted; nothing was imported");
		err_set(e, ERR_USAGE, "--sync", "%s of %s people would leave the list; nothing was imported",
			n, all);
		return err_remedy(e, "if the file is whole, add --yes");
	}
	if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
		return 0;
	return err_set(e, ERR_USAGE, "--sync", "not confirmed; nothing was imported");
}

static int offer(void *ctx, const struct list_row *l)
{
	nearest_offer(ctx, l->name);
	return 0;
}

/* A mistyped name must not quietly become another list. 1: it is a new one. */
static int announce(struct store *s, const char *name, struct err *e)
{
	struct list_row row;
	struct err why = {0};
	if (store_list_get(s, str_from(name), &row, &why) == 0)
		return 0;
	if (why.code != ERR_NOINPUT) {
		*e = why;
		return -1;
	}
	if (list_name_check(str_from(name), e) != 0)
		return -1;
	struct nearest near;
	nearest_init(&near, str_from(name));
	if (store_lists(s, false, offer, &near, e) != 0)
		return -1;
	if (near.best[0] != '\0')
		log_warn("%s is a new list; there is %s already", name, near.best);
	return 1;
}

/* ---- The result ---- */

static const char *role_text(const struct import_column *col)
{
	switch (col->role) {
	case COLUMN_EMAIL:
		return "the address";
	case COLUMN_ATTR:
		return out_safe(col->attr);
	case COLUMN_STATUS:
		return "status";
	case COLUMN_SOURCE:
		return "source";
	case COLUMN_CONSENT:
		return "time of consent";
	case COLUMN_EXPAND:
		return "attributes in JSON";
	default:
		return "–";
	}
}

static const char *delimiter_text(char c)
{
	static char one[2];
	one[0] = c;
	return c == ',' ? "comma" : c == ';' ? "semicolon" : c == '\t' ? "tab" : c == '|' ? "pipe" : one;
}

/* Of the rows of the sample as many as stand beside each other: a folded table of columns says nothing. */
static size_t rows_shown(const struct cli *c, const struct import_report *r)
{
	enum { ROW = 18 }; /* as they are cut below, and the gap */
	size_t name = 0, role = 0, w;
	for (size_t i = 0; i < r->ncolumns; i++) {
		if ((w = utf8_width(r->columns[i].header)) > name)
			name = w;
		if ((w = utf8_width(str_from(role_text(&r->columns[i])))) > role)
			role = w;
	}
	size_t used = (name < 30 ? name : 30) + (role < 30 ? role : 30) + 4, screen = screen_columns(c);
	size_t n = screen > used + ROW ? (screen - used) / ROW : 1;
	return !c->out_terminal || n > r->nsample ? r->nsample : n;
}

static int show_columns(const struct cli *c, const struct import_report *r)
{
	size_t shown = rows_shown(c, r);
	static const struct column heads[] = {{.title = "column", .max = 30}, {.title = "becomes", .max = 30},
		{.title = "row 1", .max = 16}, {.title = "row 2", .max = 16}, {.title = "row 3", .max = 24}};
	struct table *t = table_new(c, stdout, heads, 2 + shown);
	if (t == NULL)
		return -1;
	int rc = 0;
	for (size_t i = 0; i < r->ncolumns && rc == 0; i++) {
		table_str(t, r->columns[i].header);
		table_printf(t, "%s", role_text(&r->columns[i]));
		for (size_t j = 0; j < shown; j++)
			table_str(t, r->sample[j][i]);
		rc = table_row(t);
	}
	return table_end(&t) != 0 ? -1 : rc;
}

static int line_of(const struct cli *c, const char *what, int64_t n, const char *note)
{
	char text[TEXT_NUMBER];
	return out_printf(
		c, "  %-11s %12s%s%s\n", what, text_count(n, text), note[0] != '\0' ? "   " : "", note);
}

static int show_text(
	const struct cli *c, const struct import_request *q, const struct import_report *r, bool new_list)
{
	int rc = 0;
	if (q->dry_run)
		rc = show_columns(c, r) | out_printf(c, "\n");
	rc |= out_printf(c, "%s%s%s\n", out_safe(str_from(q->list)), new_list ? ": new list" : "",
		!q->dry_run ? ""
		: new_list  ? "; dry run, nothing was imported"
			    : ": dry run, nothing was imported");
	char note[200];
	snprintf(note, sizeof note, "%s, %s", r->encoding, delimiter_text(r->delimiter));
	rc |= line_of(c, "read", r->read, note);
	if (!q->dry_run) {
		rc |= line_of(c, "added", r->added, "");
		rc |= line_of(c, "updated", r->updated, "");
		rc |= line_of(c, "unchanged", r->unchanged, "");
		rc |= line_of(c, "duplicates", r->duplicates, "");
	}
	rc |= line_of(c, "rejected", r->rejected, r->rejected > 0 && q->rejects != NULL ? q->rejects : "");
	if (!q->dry_run)
		rc |= line_of(
			c, "suppressed", r->suppressed, r->suppressed > 0 ? "known, but not mailed" : "");
	if (q->sync)
		rc |= line_of(c, "left", r->left, "not in the file");
	return rc;
}

static void show_rejects(const struct import_report *r, const struct import_request *q)
{
	char n[TEXT_NUMBER];
	for (size_t i = 0; i < r->nrejects; i++)
		fprintf(stderr, "  line %ld: %s: %s\n", r->rejects[i].line, out_safe(r->rejects[i].reason),
			out_safe(r->rejects[i].raw));
	if (r->rejected > (int64_t)r->nrejects)
		fprintf(stderr, "  … and %s more%s\n", text_count(r->rejected - (int64_t)r->nrejects, n),
			q->rejects == NULL ? "; --rejects FILE writes all of them" : "");
}

static json_t *sample_json(const struct import_report *r)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < r->nsample; i++) {
		json_t *o = json_object();
		for (size_t j = 0; j < r->ncolumns; j++)
			json_object_setn_new(
				o, r->columns[j].header.p, r->columns[j].header.n, json_str(r->sample[i][j]));
		json_array_append_new(rows, o);
	}
	return rows;
}

static int show_json(const struct import_request *q, const struct import_report *r)
{
	char delimiter[2] = {r->delimiter, '\0'};
	json_t *o = json_object(), *columns = json_array(), *attrs = json_object();
	for (size_t i = 0; i < r->ncolumns; i++) {
		json_array_append_new(columns, json_str(r->columns[i].header));
		if (r->columns[i].role == COLUMN_ATTR)
			json_object_setn_new(attrs, r->columns[i].header.p, r->columns[i].header.n,
				json_str(r->columns[i].attr));
	}
	json_put(o, "list", json_str(str_from(q->list)));
	json_put(o, "list_created", json_boolean(r->list_created));
	json_put(o, "encoding", json_str(str_from(r->encoding)));
	json_put(o, "delimiter", json_str(str_from(delimiter)));
	json_put(o, "columns", columns);
	json_put(o, "attributes", attrs);
	json_put(o, "read", json_integer(r->read));
	json_put(o, "added", json_integer(r->added));
	json_put(o, "updated", json_integer(r->updated));
	json_put(o, "unchanged", json_integer(r->unchanged));
	json_put(o, "rejected", json_integer(r->rejected));
	json_put(o, "duplicates", json_integer(r->duplicates));
	json_put(o, "suppressed", json_integer(r->suppressed));
	if (q->sync)
		json_put(o, "left", json_integer(r->left));
	if (q->dry_run) {
		json_put(o, "dry_run", json_true());
		json_put(o, "sample", sample_json(r));
	}
	json_put(o, "seconds", json_real(r->seconds));
	return json_document(o);
}

/* ---- The command ---- */

static int fill(struct cli *c, struct import_request *q, struct err *e)
{
	static const char *const on_duplicate[] = {"update", "skip", "fail", NULL};
	*q = (struct import_request){.list = c->args[0],
		.file = c->args[1],
		.email = cli_value(c, "email"),
		.columns = cli_value(c, "columns"),
		.status = cli_value(c, "status"),
		.expand = cli_value(c, "expand"),
		.encoding = cli_value(c, "encoding"),
		.delimiter = cli_value(c, "delimiter"),
		.dry_run = cli_given(c, "dry-run"),
		.rejects = cli_value(c, "rejects"),
		.max_rejects = cli_value(c, "max-rejects"),
		.source = cli_value(c, "source"),
		.consent_at = cli_value(c, "consent-at"),
		.sync = cli_given(c, "sync"),
		.now = clock_now(),
		.stop = &stop_asked,
		.progress = show_progress,
		.confirm = confirm_sync};
	q->nmaps = cli_values(c, "map", &q->maps);
	int choice = cli_value_word(c, "on-duplicate", on_duplicate, DUPLICATE_UPDATE, e);
	q->on_duplicate = (enum on_duplicate)choice;
	q->zone = cli_zone(c, e);
	return choice < 0 || q->zone == NULL ? -1 : 0;
}

static int import_run(struct cli *c, struct err *e)
{
	struct import_request q;
	struct import_report report;
	if (fill(c, &q, e) != 0)
		return -1;
	struct store_config sc;
	struct store *s = NULL;
	if (cli_store_config(c, &sc, e) != 0)
		return -1;
	sc.bulk = true;
	if (store_open(&s, q.dry_run ? STORE_READ : STORE_WRITE, &sc, e) != 0)
		return -1;
	struct run r = {c, progress_new(c), &q};
	struct checkpointer *checkpointer = NULL;
	q.ctx = &r;
	int rc = announce(s, q.list, e);
	bool new_list = rc == 1;
	rc = rc < 0 ? -1 : 0;
	if (rc == 0 && !q.dry_run)
		rc = checkpointer_start(&checkpointer, &sc, e);
	if (rc == 0) {
		watch_signals();
		rc = list_import(s, &q, &report, e);
		progress_end(&r.progress);
		if (!c->json && !c->quiet && report.nrejects > 0)
			show_rejects(&report, &q);
		if (rc == 0 && report.would_refuse)
			log_warn("with so many rows rejected nothing would be imported; --max-rejects allows "
				 "more");
		if (rc == 0 && report.unread_status.n > 0)
			log_warn("the column \"%s\" looks as if it says who unsubscribed: --status \"%s\" "
				 "keeps them "
				 "from being mailed",
				out_safe(report.unread_status), out_safe(report.unread_status));
		if (rc == 0 && report.left_at.n > 0)
			log_warn("some rows have \"%s\", as if these people had left, and they are mailed "
				 "like the "
				 "others: put such rows into a file for `postrider suppressions import`",
				out_safe(report.left_at));
		if (rc == 0 && (c->json ? show_json(&q, &report) : show_text(c, &q, &report, new_list)) != 0)
			rc = output_error(e);
		import_report_release(&report);
	}
	progress_end(&r.progress);
	checkpointer_stop(&checkpointer);
	store_close(&s);
	return rc;
}

static const struct option options[] = {
	{.name = "email",
		.value = "COLUMN",
		.help = "the column of the addresses (found out where it is clear)"},
	{.name = "map", .value = "ATTR=COLUMN", .many = true, .help = "call the attribute ATTR"},
	{.name = "columns", .value = "A,B,…", .help = "the file has no header; these are its columns"},
	{.name = "status",
		.value = "COLUMN",
		.help = "unsubscribed, bounced, complained in it become suppressions"},
	{.name = "expand", .value = "COLUMN", .help = "attributes from the JSON object in it"},
	{.name = "on-duplicate",
		.value = "WHAT",
		.help = "an address twice in the file: update (default), skip, fail"},
	{.name = "encoding",
		.value = "CHARSET",
		.help = "UTF-8, UTF-16LE, Shift_JIS, EUC-JP, Windows-1252 … (found out)"},
	{.name = "delimiter",
		.value = "CHAR",
		.help = "comma, semicolon, tab, pipe or any character (found out)"},
	{.name = "dry-run", .help = "show what was found out and the first rows; import nothing"},
	{.name = "rejects",
		.value = "FILE",
		.help = "write the rows that cannot be used there, with the reasons"},
	{.name = "max-rejects",
		.value = "N|N%",
		.help = "import nothing if there are more of them (default 1%)"},
	{.name = "source", .value = "TEXT", .help = "where these people come from, or column:NAME"},
	{.name = "consent-at", .value = "TIME", .help = "when they agreed, or column:NAME"},
	{.name = "sync", .help = "who is not in the file leaves the list"},
	{.name = "yes", .help = "do not ask when --sync takes more than 10 % off the list"},
	{0},
};

const struct command cmd_import = {
	.name = "import",
	.args = "LIST FILE|-",
	.summary = "read a CSV file into a list",
	.help = "Every column becomes an attribute of the person: `First Name` is first_name in\n"
		"templates. Charset (also Shift_JIS and UTF-16), delimiter and the column of the\n"
		"addresses are found out; .gz is read as it is. Who is there already is updated:\n"
		"a column that is not in the file keeps what they have, an empty cell clears it.\n"
		"Nobody who unsubscribed, complained or bounced is mailed again by an import.\n"
		"An import happens as a whole or not at all.\n",
	.group = GROUP_PEOPLE,
	.options = options,
	.min_args = 2,
	.max_args = 2,
	.run = import_run,
};
