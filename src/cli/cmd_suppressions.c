#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/people.h"

#include "lists/suppress_import.h"
#include "src/base/log.h"
#include "src/db/campaign.h"
#include "src/db/lists.h"
#include "src/db/suppress.h"

#include <signal.h>

/* ---- Which ones: the same options for list, export and remove ---- */

#define SELECTION                                                                                            \
	{.name = "list", .value = "LIST", .help = "those of this list alone"},                               \
		{.name = "reason",                                                                           \
			.value = "REASON",                                                                   \
			.help = "hard-bounce, soft-bounces, complaint, unsubscribe, manual, import"},        \
		{.name = "campaign", .value = "NAME", .help = "those that this campaign brought"},           \
		{.name = "provider", .value = "NAME", .help = "addresses of google, docomo …"},              \
		{.name = "held", .help = "held ones, also those whose hold ran out"},                        \
	{                                                                                                    \
		.name = "since", .value = "TIME", .help = "those made since (a time, or a span as 7d)"       \
	}

static int selection(struct cli *c, struct store *s, struct suppression_query *q, struct err *e)
{
	struct list_row list;
	struct campaign_row campaign;
	*q = (struct suppression_query){.list = -1, .reason = -1};
	if (cli_given(c, "list")) {
		if (audience_list(s, cli_value(c, "list"), &list, e) != 0)
			return -1;
		q->list = list.id;
	}
	if (cli_given(c, "reason") && (q->reason = people_reason("--reason", cli_value(c, "reason"), e)) < 0)
		return -1;
	if (cli_given(c, "campaign")) {
		if (audience_campaign(s, cli_value(c, "campaign"), &campaign, e) != 0)
			return -1;
		q->campaign = campaign.id;
	}
	q->held = cli_given(c, "held");
	if (cli_given(c, "provider") && people_provider(cli_value(c, "provider"), e) != 0)
		return -1;
	if (cli_given(c, "provider"))
		q->provider = str_from(cli_value(c, "provider"));
	return cli_value_since(c, "since", clock_now(), &q->since, e);
}

struct walk {
	struct cli *c;
	struct table *table;
	struct csv *csv;
	const struct zone *zone;
	size_t n;
	struct err *e;
};

/* ---- list ---- */

static int row(void *ctx, const struct suppression *sup)
{
	struct walk *w = ctx;
	char at[TEXT_NUMBER];
	w->n++;
	if (w->c->json)
		return json_line(people_suppression_json(sup)) != 0 ? output_error(w->e) : 0;
	table_str(w->table, sup->key);
	table_str(w->table, sup->list == 0 ? STR("all mail") : sup->list_name);
	table_printf(w->table, "%s%s", suppress_reason_names[sup->reason],
		sup->held_until == 0            ? ""
		: sup->held_until > clock_now() ? " (held)"
						: " (was held)");
	table_str(w->table, str_from(text_time(w->zone, sup->created, at)));
	table_str(w->table, sup->campaign_name);
	table_str(w->table, sup->evidence);
	return table_row(w->table) != 0 ? output_error(w->e) : 0;
}

static int list_run(struct cli *c, struct err *e)
{
	static const struct column columns[] = {{.title = "address", .max = 50},
		{.title = "scope", .max = 30}, {.title = "reason"}, {.title = "since"},
		{.title = "campaign", .max = 30}, {.title = "evidence", .max = 80}};
	struct suppression_query q;
	struct walk w = {.c = c, .e = e, .zone = cli_zone(c, e)};
	struct store *s = w.zone != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL || selection(c, s, &q, e) != 0)
		return -1;
	w.table = table_new(c, stdout, columns, sizeof columns / sizeof columns[0]);
	if (w.table == NULL)
		return err_set(e, ERR_INTERNAL, "suppressions", "out of memory");
	q.by_date = true;
	int rc = store_suppressions(s, &q, row, &w, e);
	if (rc == 0)
		table_empty(w.table, "there is no such suppression");
	if (table_end(&w.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

/* ---- export ---- */

static int csv_line(void *ctx, const struct suppression *sup)
{
	struct walk *w = ctx;
	csv_str(w->csv, sup->key);
	csv_str(w->csv, sup->list == 0 ? STR("all") : sup->list_name);
	csv_printf(w->csv, "%s", suppress_reason_names[sup->reason]);
	csv_str(w->csv, sup->campaign_name);
	csv_str(w->csv, sup->evidence);
	csv_time(w->csv, sup->created);
	csv_time(w->csv, sup->held_until);
	return csv_row(w->csv) != 0 ? output_error(w->e) : 0;
}

static int export_run(struct cli *c, struct err *e)
{
	static const char *const names[] = {
		"address", "scope", "reason", "campaign", "evidence", "created", "held_until"};
	struct suppression_query q;
	struct output out;
	struct csv csv;
	struct walk w = {.c = c, .e = e, .csv = &csv};
	struct store *s = cli_store(c, STORE_READ, e);
	if (s == NULL || selection(c, s, &q, e) != 0 || output_open(&out, cli_value(c, "output"), e) != 0)
		return -1;
	csv_begin(&csv, out.f, cli_given(c, "excel"));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		csv_str(&csv, str_from(names[i]));
	int rc = csv_row(&csv) != 0 ? output_error(e) : store_suppressions(s, &q, csv_line, &w, e);
	if (rc == 0)
		return output_commit(&out, e);
	output_abandon(&out);
	return rc;
}

/* ---- add ---- */

static int report_counts(
	struct cli *c, int64_t added, int64_t present, const struct suppress_report *r, struct err *e)
{
	const char *rejects = r != NULL ? cli_value(c, "rejects") : NULL;
	char a[TEXT_NUMBER], p[TEXT_NUMBER], n[TEXT_NUMBER];
	if (c->json) {
		json_t *o = json_object();
		if (r != NULL)
			json_put(o, "read", json_integer(r->read));
		json_put(o, "added", json_integer(added));
		json_put(o, "present", json_integer(present));
		if (r != NULL)
			json_put(o, "rejected", json_integer(r->rejected));
		return json_document(o) != 0 ? output_error(e) : 0;
	}
	if (c->quiet)
		return 0;
	int rc = out_printf(
		c, "%s added, %s were there already", text_count(added, a), text_count(present, p));
	if (r != NULL && r->rejected > 0)
		rc |= out_printf(c, ", %s cannot be used (line %ld: %s%s%s)", text_count(r->rejected, n),
			r->first_line, out_safe(str_from(r->first_reason)),
			rejects != NULL   ? "; they are in "
			: r->rejected > 1 ? "; --rejects FILE writes all of them"
					  : "",
			rejects != NULL ? rejects : "");
	rc |= out_printf(c, "\n");
	return rc != 0 ? output_error(e) : 0;
}

static int scope_option(struct cli *c, struct store *s, int64_t *list, struct err *e)
{
	struct list_row row_;
	*list = 0;
	if (!cli_given(c, "list"))
		return 0;
	if (audience_list(s, cli_value(c, "list"), &row_, e) != 0)
		return -1;
	*list = row_.id;
	return 0;
}

static int add_run(struct cli *c, struct err *e)
{
	struct arena a;
	int64_t list, added = 0, present = 0;
	const char *note = cli_value(c, "note");
	struct store *s = cli_store(c, STORE_WRITE, e);
	if (s == NULL || scope_option(c, s, &list, e) != 0)
		return -1;
	arena_init(&a, 16 << 10, 64 << 20);
	struct str *keys = arena_alloc(&a, c->nargs * sizeof *keys);
	int rc = keys != NULL ? 0 : err_set(e, ERR_INTERNAL, "suppressions add", "out of memory");
	/* All are looked at before the first is added. */
	for (size_t i = 0; i < c->nargs && rc == 0; i++) {
		rc = suppress_key(str_from(c->args[i]), &a, &keys[i], e);
		if (rc != 0 && e->code == ERR_DATA)
			e->code = ERR_USAGE;
	}
	for (size_t i = 0; i < c->nargs && rc == 0; i++) {
		const struct address address = {.key = keys[i], .wire = keys[i]};
		if (keys[i].p[0] != '@')
			people_warn_unknown(s, &address, "it is not mailed, should it come");
		bool is_new = false;
		struct suppression sup = {.key = keys[i],
			.list = list,
			.reason = SUPPRESS_MANUAL,
			.created = clock_now(),
			.evidence = note != NULL ? str_from(note) : STR("")};
		rc = store_suppress(s, &sup, &is_new, e);
		added += rc == 0 && is_new;
		present += rc == 0 && !is_new;
	}
	arena_release(&a);
	return rc != 0 ? -1 : report_counts(c, added, present, NULL, e);
}

/* ---- import ---- */

static atomic_bool stop_asked;

static void on_signal(int number)
{
	(void)number;
	atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
}

static int import_run(struct cli *c, struct err *e)
{
	struct suppress_report report;
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
	struct suppress_request q = {.file = c->args[0],
		.column = cli_value(c, "email"),
		.encoding = cli_value(c, "encoding"),
		.rejects = cli_value(c, "rejects"),
		.note = cli_value(c, "note"),
		.zone = cli_zone(c, e),
		.now = clock_now(),
		.stop = &stop_asked};
	struct store *s = q.zone != NULL ? cli_store(c, STORE_WRITE, e) : NULL;
	int reason = cli_given(c, "reason") ? people_reason("--reason", cli_value(c, "reason"), e)
					    : SUPPRESS_IMPORT;
	if (s == NULL || reason < 0 || scope_option(c, s, &q.list, e) != 0)
		return -1;
	if (reason == SUPPRESS_FORGOTTEN)
		return cli_usage(c, e, "only `contact forget` forgets a person");
	q.reason = (enum suppress_reason)reason;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (suppress_import(s, &q, &report, e) != 0)
		return -1;
	return report_counts(c, report.added, report.present, &report, e);
}

/* ---- remove ---- */

static int remove_query(
	struct cli *c, struct store *s, struct suppression_query *q, struct arena *a, struct err *e)
{
	if (selection(c, s, q, e) != 0)
		return -1;
	if (c->nargs == 1) {
		if (suppress_key(str_from(c->args[0]), a, &q->key, e) == 0)
			return 0;
		e->code = e->code == ERR_DATA ? ERR_USAGE : e->code;
		return -1;
	}
	if (q->list < 0 && q->reason < 0 && q->campaign == 0 && q->provider.n == 0 && q->since == 0 &&
		!q->held)
		return cli_usage(c, e,
			"say which: an address, or --list, --reason, --campaign, --provider, --since, "
			"--held");
	/* In bulk nobody is mailed again who asked not to be. */
	if (q->reason == SUPPRESS_UNSUBSCRIBE || q->reason == SUPPRESS_COMPLAINT ||
		q->reason == SUPPRESS_FORGOTTEN)
		return cli_usage(
			c, e, "%s is only removed one address at a time", suppress_reason_names[q->reason]);
	q->spare_personal = true;
	return 0;
}

static int remove_run(struct cli *c, struct err *e)
{
	struct suppression_query q;
	struct arena a;
	char text[TEXT_NUMBER];
	int64_t n = 0;
	bool dry = cli_given(c, "dry-run");
	const char *note = cli_value(c, "note");
	if (note == NULL && !dry)
		return cli_usage(c, e, "--note says why, for the record");
	struct store *s = cli_store(c, dry ? STORE_READ : STORE_WRITE, e);
	if (s == NULL)
		return -1;
	arena_init(&a, 4096, 1 << 20);
	int rc = remove_query(c, s, &q, &a, e);
	if (rc == 0)
		rc = store_unsuppress(s, &q, note != NULL ? str_from(note) : STR(""), dry, &n, e);
	if (rc == 0 && n == 0 && c->nargs == 1)
		rc = err_set(e, ERR_NOINPUT, "suppressions remove",
			"%.*s is not suppressed, or only its domain is", STR_ARG(q.key));
	arena_release(&a);
	if (rc != 0)
		return -1;
	if (c->json) {
		json_t *o = json_object();
		json_put(o, "removed", json_integer(n));
		json_put(o, "dry_run", json_boolean(dry));
		return json_document(o) != 0 ? output_error(e) : 0;
	}
	rc = out_printf(c, "%s %s\n", text_count(n, text), dry ? "would be removed" : "removed");
	return rc != 0 ? output_error(e) : 0;
}

/* ---- why ---- */

static int why_row(void *ctx, const struct suppression *sup)
{
	struct walk *w = ctx;
	w->n++;
	if (w->c->json)
		return json_line(people_suppression_json(sup)) != 0 ? output_error(w->e) : 0;
	struct buf b = BUF_INIT(1 << 16);
	people_suppression_text(&b, sup, w->zone);
	int rc = out_printf(w->c, "%s\n", buf_cstr(&b));
	buf_release(&b);
	return rc != 0 ? output_error(w->e) : 0;
}

/* Refused once, while its receiver called many unknown; it may be mailed again. */
static int why_not(void *ctx, const struct suppression *sup)
{
	struct walk *w = ctx;
	char when[TEXT_NUMBER];
	w->n++;
	int rc = out_printf(w->c, "%s is not suppressed any more: it was held until %s", out_safe(sup->key),
		text_time(w->zone, sup->held_until, when));
	rc |= out_printf(w->c, " (%s), and the next refusal is believed\n", out_safe(sup->evidence));
	return rc != 0 ? output_error(w->e) : 0;
}

static int why_run(struct cli *c, struct err *e)
{
	struct walk w = {.c = c, .e = e, .zone = cli_zone(c, e)};
	struct arena a;
	struct str key;
	int64_t list;
	struct store *s = w.zone != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL || scope_option(c, s, &list, e) != 0)
		return -1;
	arena_init(&a, 4096, 1 << 20);
	int rc = suppress_key(str_from(c->args[0]), &a, &key, e);
	if (rc != 0 && e->code == ERR_DATA)
		e->code = ERR_USAGE;
	if (rc == 0)
		rc = store_suppressions_of(s, key, list, why_row, &w, e);
	if (rc == 0 && w.n == 0 && !c->json) {
		const struct suppression_query q = {.key = key, .list = -1, .reason = -1, .held = true};
		rc = store_suppressions(s, &q, why_not, &w, e);
	}
	if (rc == 0 && w.n == 0 && !c->json)
		rc = out_printf(c, "%s is not suppressed\n", out_safe(key)) != 0 ? output_error(e) : 0;
	arena_release(&a);
	return rc;
}

/* ---- Tables ---- */

static const struct option list_options[] = {SELECTION, {0}};

static const struct option export_options[] = {
	SELECTION,
	{.name = "excel", .help = "CSV that Excel opens as it is"},
	{.name = "output", .letter = 'o', .value = "FILE", .help = "write there instead of standard output"},
	{0},
};

static const struct option add_options[] = {
	{.name = "list", .value = "LIST", .help = "only for this list (without it: all mail)"},
	{.name = "note", .value = "TEXT", .help = "why, for the record"},
	{0},
};

static const struct option import_options[] = {
	{.name = "list", .value = "LIST", .help = "only for this list (without it: all mail)"},
	{.name = "email", .value = "COLUMN", .help = "the column of the addresses"},
	{.name = "encoding", .value = "CHARSET", .help = "of the file (found out)"},
	{.name = "reason",
		.value = "REASON",
		.help = "of rows that name none: unsubscribe, complaint, hard-bounce … (import, or what a "
			"column such as UNSUB_TIME tells)"},
	{.name = "rejects",
		.value = "FILE",
		.help = "write the rows that cannot be used there, with the reasons"},
	{.name = "note", .value = "TEXT", .help = "why, for the record"},
	{0},
};

static const struct option remove_options[] = {
	SELECTION,
	{.name = "note", .value = "TEXT", .help = "why, for the record"},
	{.name = "dry-run", .help = "only say how many"},
	{0},
};

static const struct option why_options[] = {
	{.name = "list", .value = "LIST", .help = "what keeps mail of this list away"},
	{0},
};

static const struct command sub_list = {
	.name = "list",
	.summary = "show the addresses that are never mailed, and why",
	.options = list_options,
	.run = list_run,
};

static const struct command sub_add = {
	.name = "add",
	.args = "ADDRESS|@DOMAIN…",
	.summary = "never mail these addresses again",
	.options = add_options,
	.min_args = 1,
	.max_args = -1,
	.run = add_run,
};

static const struct command sub_remove = {
	.name = "remove",
	.args = "[ADDRESS|@DOMAIN]",
	.summary = "let an address be mailed again, or what an incident brought",
	.help = "Without an address the options choose; then unsubscribe, complaint and\n"
		"forgotten ones are never touched. For who unsubscribed, `contact subscribe` is\n"
		"the way back.\n",
	.options = remove_options,
	.max_args = 1,
	.run = remove_run,
};

static const struct command sub_import = {
	.name = "import",
	.args = "FILE|-",
	.summary = "read addresses that must not be mailed from a CSV file",
	.help = "A column of addresses or @domains, with or without a header. A column reason\n"
		"(or status) may say bounced, complained, unsubscribed …; it reads its own\n"
		"export back.\n",
	.options = import_options,
	.min_args = 1,
	.max_args = 1,
	.run = import_run,
};

static const struct command sub_export = {
	.name = "export",
	.summary = "write them as CSV",
	.options = export_options,
	.run = export_run,
};

static const struct command sub_why = {
	.name = "why",
	.args = "ADDRESS|@DOMAIN",
	.summary = "why an address is not mailed",
	.options = why_options,
	.min_args = 1,
	.max_args = 1,
	.run = why_run,
};

static const struct command *const subs[] = {
	&sub_list, &sub_add, &sub_remove, &sub_import, &sub_export, &sub_why, NULL};

const struct command cmd_suppressions = {
	.name = "suppressions",
	.summary = "the addresses that are never mailed",
	.group = GROUP_PEOPLE,
	.subs = subs,
};
