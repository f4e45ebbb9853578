#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"

#include <stdio.h>

struct listing {
	struct cli *c;
	struct table *table;
	const struct zone *zone;
	struct err *e;
};

static json_t *failure_json(const struct failure_row *f)
{
	return json_pack("{s:I, s:o, s:o, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "id",
		(json_int_t)f->id, "campaign", view_str(f->delivery.campaign), "address",
		view_str(f->delivery.address), "state", delivery_state_names[f->delivery.state], "provider",
		view_str(f->delivery.provider), "class", reply_class_names[f->attempt.class], "scope",
		reply_scope_names[f->attempt.scope], "reason", view_str(f->attempt.reason), "code",
		f->attempt.code != 0 ? json_integer(f->attempt.code) : json_null(), "enhanced",
		view_str(f->attempt.enhanced), "diagnostic", view_str(f->attempt.reply), "received",
		json_time(f->attempt.at), "source", "smtp");
}

static int list_one(void *ctx, const struct failure_row *f)
{
	struct listing *l = ctx;
	char when[TEXT_NUMBER];
	if (l->c->json)
		return json_line(failure_json(f)) != 0 ? output_error(l->e) : 0;
	table_printf(l->table, "%lld", (long long)f->id);
	table_str(l->table, str_from(text_time(l->zone, f->attempt.at, when)));
	table_str(l->table, f->delivery.address);
	table_str(l->table, str_from(reply_class_names[f->attempt.class]));
	table_str(l->table, f->attempt.reason);
	char code[16] = ""; /* who hung up said no code */
	if (f->attempt.code != 0)
		snprintf(code, sizeof code, "%d ", f->attempt.code);
	table_printf(l->table, "%s%.*s%s%.*s", code, STR_ARG(f->attempt.enhanced),
		f->attempt.enhanced.n != 0 ? " " : "", STR_ARG(f->attempt.reply));
	return table_row(l->table) != 0 ? output_error(l->e) : 0;
}

static int explain(struct cli *c, struct store *s, const char *text, struct err *e)
{
	long long id;
	struct failure_row f;
	char when[TEXT_NUMBER];
	if (!str_int(str_from(text), 1, INT64_MAX, &id))
		return cli_usage(c, e, "--explain takes the number in the first column, not \"%s\"", text);
	if (store_failure_get(s, id, &f, e) != 0)
		return -1;
	if (c->json)
		return json_document(failure_json(&f)) != 0 ? output_error(e) : 0;
	const struct attempt_row *a = &f.attempt;
	out_printf(c, "Refusal %lld\n", id);
	out_printf(c, "  Campaign   %s\n", out_safe(f.delivery.campaign));
	out_printf(c, "  Recipient  %s\n",
		f.delivery.address.n != 0 ? out_safe(f.delivery.address) : "(forgotten)");
	out_printf(c, "  When       %s, attempt %d\n", text_time(cli_zone(c, e), a->at, when), a->n);
	out_printf(c, "  Server     %s, by route %s\n", out_safe(a->site), out_safe(a->route));
	out_printf(c, "  It said    %d %s %s\n", a->code, out_safe(a->enhanced), out_safe(a->reply));
	out_printf(c, "  Read as    %s: %s, which is about the %s\n", reply_class_names[a->class],
		out_safe(a->reason), reply_scope_names[a->scope]);
	return out_printf(c, "  Now        %s\n", delivery_state_names[f.delivery.state]) != 0
		       ? output_error(e)
		       : 0;
}

static int query(struct cli *c, struct store *s, struct failure_query *q, struct err *e)
{
	const char *name = cli_value(c, "campaign"), *words[CLASS_NCLASSES];
	for (int i = 1; i < CLASS_NCLASSES; i++)
		words[i - 1] = reply_class_names[i];
	words[CLASS_NCLASSES - 1] = NULL;
	int class = cli_value_word(c, "class", words, -2, e);
	if (class == -1 || cli_value_since(c, "since", clock_now(), &q->since, e) != 0)
		return -1;
	q->class = class == -2 ? -1 : class + 1;
	q->provider = str_from(cli_value(c, "provider"));
	if (name == NULL)
		return 0;
	struct campaign_row row;
	if (store_campaign_get(s, str_from(name), &row, e) != 0)
		return -1;
	q->campaign = row.id;
	return 0;
}

static int run(struct cli *c, struct err *e)
{
	static const struct column columns[] = {{.title = "id", .right = true}, {.title = "when"},
		{.title = "recipient", .max = 40}, {.title = "class"}, {.title = "reason"},
		{.title = "the server's words", .max = 80}};
	struct listing l = {.c = c, .zone = cli_zone(c, e), .e = e};
	struct failure_query q = {0};
	struct store *s = l.zone != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL)
		return -1;
	if (cli_value(c, "explain") != NULL)
		return explain(c, s, cli_value(c, "explain"), e);
	if (query(c, s, &q, e) != 0)
		return -1;
	if (!c->json && (l.table = table_new(c, stdout, columns, sizeof columns / sizeof columns[0])) == NULL)
		return err_set(e, ERR_INTERNAL, "bounces", "out of memory");
	int rc = store_failures(s, &q, list_one, &l, e);
	if (l.table != NULL && table_end(&l.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

static const struct option options[] = {
	{.name = "campaign", .value = "NAME", .help = "of that campaign"},
	{.name = "since", .value = "TIME", .help = "since then (a span looks back: 2d)"},
	{.name = "class", .value = "hard|soft|block|message|config", .help = "of that class"},
	{.name = "provider", .value = "P", .help = "of that provider: google, docomo …"},
	{.name = "explain", .value = "ID", .help = "show one, and how it was read"},
	{0},
};

const struct command cmd_bounces = {
	.name = "bounces",
	.group = GROUP_RESULT,
	.summary = "list what servers refused, with their own words",
	.options = options,
	.run = run,
};
