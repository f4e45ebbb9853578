#include "engine/bounce/provider.h"
#include "src/cli/bounce_view.h"
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/people.h"
#include "src/db/campaign.h"
#include "src/db/report.h"

#include <stdio.h>

struct listing {
	struct cli *c;
	struct table *table;
	const struct zone *zone;
	size_t n;
	struct err *e;
};

static json_t *failure_json(const struct failure_row *f)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
		(json_int_t)f->id, "campaign", view_str(f->delivery.campaign), "address",
		view_str(f->delivery.address), "state",
		f->delivery.id != 0 ? json_string(delivery_state_names[f->delivery.state]) : json_null(),
		"provider", view_str(f->delivery.provider), "class", reply_class_names[f->attempt.class],
		"scope", reply_scope_names[f->attempt.scope], "reason", view_str(f->attempt.reason), "code",
		f->attempt.code != 0 ? json_integer(f->attempt.code) : json_null(), "enhanced",
		view_str(f->attempt.enhanced), "diagnostic", view_str(f->attempt.reply), "received",
		json_time(f->attempt.at), "source",
		f->returned ? json_str(f->back.source) : json_string("smtp"));
}

/* Codes in front of the words; what came back holds them in the words most times, and who hung up said none.
 */
static const char *code_words(const struct attempt_row *a, char out[TEXT_NUMBER])
{
	char code[16] = "";
	if (a->code != 0)
		snprintf(code, sizeof code, "%d", a->code);
	out[0] = '\0';
	if (a->code == 0 || !str_starts(a->reply, str_from(code)))
		snprintf(out, TEXT_NUMBER, "%s%s%.*s%s", code, a->code != 0 ? " " : "", STR_ARG(a->enhanced),
			a->enhanced.n != 0 ? " " : "");
	return out;
}

static int list_one(void *ctx, const struct failure_row *f)
{
	struct listing *l = ctx;
	char when[TEXT_NUMBER];
	l->n++;
	if (l->c->json)
		return json_line(failure_json(f)) != 0 ? output_error(l->e) : 0;
	table_printf(l->table, "%lld", (long long)f->id);
	table_str(l->table, str_from(text_time(l->zone, f->attempt.at, when)));
	/* Of nobody's: whom it names. */
	table_str(l->table, f->delivery.id != 0 ? f->delivery.address : f->back.address);
	table_str(l->table, str_from(reply_class_names[f->attempt.class]));
	table_str(l->table, f->attempt.reason);
	char words[TEXT_NUMBER];
	table_printf(l->table, "%s%.*s", code_words(&f->attempt, words), STR_ARG(f->attempt.reply));
	return table_row(l->table) != 0 ? output_error(l->e) : 0;
}

/* ---- --explain ---- */

static int explain_refusal(struct cli *c, const struct failure_row *f, struct err *e)
{
	char when[TEXT_NUMBER];
	const struct attempt_row *a = &f->attempt;
	out_printf(c, "Refusal %lld\n", (long long)f->id);
	out_printf(c, "  Campaign   %s\n", out_safe(f->delivery.campaign));
	out_printf(c, "  Recipient  %s\n",
		f->delivery.address.n != 0 ? out_safe(f->delivery.address) : "(forgotten)");
	out_printf(c, "  When       %s, attempt %d\n", text_time(cli_zone(c, e), a->at, when), a->n);
	out_printf(c, "  Server     %s, by route %s\n", out_safe(a->site), out_safe(a->route));
	out_printf(c, "  It said    %d %s %s\n", a->code, out_safe(a->enhanced), out_safe(a->reply));
	out_printf(c, "  Read as    %s: %s, which is about the %s\n", reply_class_names[a->class],
		out_safe(a->reason), reply_scope_names[a->scope]);
	return out_printf(c, "  Now        %s\n", delivery_state_names[f->delivery.state]) != 0
		       ? output_error(e)
		       : 0;
}

static void show_returned(struct cli *c, const struct failure_row *f, struct err *e)
{
	char when[TEXT_NUMBER];
	const struct returned_row *b = &f->back;
	out_printf(c, "Returned message %lld\n", (long long)f->id);
	if (f->delivery.id != 0) {
		out_printf(c, "  Campaign   %s\n", out_safe(f->delivery.campaign));
		out_printf(c, "  Recipient  %s\n",
			f->delivery.address.n != 0 ? out_safe(f->delivery.address) : "(forgotten)");
	}
	if (b->address.n != 0)
		out_printf(c, "  Names      %s\n", out_safe(b->address));
	out_printf(c, "  Came       %s, by %s: %s\n", text_time(cli_zone(c, e), b->at, when),
		out_safe(b->source), out_safe(b->kind));
	out_printf(
		c, "  Whose      %s\n", b->trust.n != 0 ? out_safe(b->trust) : "nobody's: it changed no one");
	if (b->host.n != 0)
		out_printf(c, "  Server     %s\n", out_safe(b->host));
	char words[TEXT_NUMBER];
	out_printf(c, "  It said    %s%s\n", code_words(&f->attempt, words), out_safe(b->diagnostic));
	if (b->class != CLASS_NONE)
		out_printf(c, "  Read as    %s: %s, which is about the %s; by %s\n",
			reply_class_names[b->class], out_safe(b->reason), reply_scope_names[b->scope],
			out_safe(b->rule));
	if (f->delivery.id != 0)
		out_printf(c, "  Now        %s\n", delivery_state_names[f->delivery.state]);
}

/* The message itself, as far as a person wants to read it. */
static int show_message(struct cli *c, struct str text, struct err *e)
{
	enum { LINES = 200 };
	int n = 0;
	out_printf(c, "\n");
	while (text.n != 0 && n++ < LINES) {
		struct str line = str_n(text.p, str_find(text, '\n'));
		size_t used = line.n < text.n ? line.n + 1 : line.n;
		if (line.n != 0 && line.p[line.n - 1] == '\r')
			line.n--;
		out_printf(c, "  | %s\n", out_safe(line));
		text = str_n(text.p + used, text.n - used);
	}
	return out_printf(c, "%s", text.n != 0 ? "  | …\n" : "") != 0 ? output_error(e) : 0;
}

struct rereading { /* what was kept, by the rules there are now */
	struct bounce_view view;
	bool read;
	struct err *e;
};

static int show_findings(struct rereading *r, const struct findings *f)
{
	r->read = true;
	out_printf(r->view.c, "\nThe message, as it is read now\n");
	return bounce_view_findings(&r->view, f, r->e);
}

static int show_notice(void *ctx, const struct notice *n)
{
	return show_findings(ctx, &n->findings);
}

/* An event, or a row of a list of errors. */
static int read_notice(struct rereading *r, struct reader *reader, struct str source, struct str message)
{
	if (provider_read_again(reader, source, message, show_notice, r, r->e) != 0)
		return -1;
	return r->read || out_printf(r->view.c, "\nWhat was kept of it cannot be read again.\n") == 0
		       ? 0
		       : output_error(r->e);
}

static int show_reading(struct cli *c, struct str source, struct str message, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	struct rules *rules = cfg != NULL ? rules_load(cfg->rules_file, e) : NULL;
	struct reader *reader = rules != NULL ? reader_new(rules) : NULL;
	struct rereading r = {.view = {.c = c}, .e = e};
	struct findings found;
	int rc = -1;
	if (rules != NULL && reader == NULL)
		err_set(e, ERR_INTERNAL, "bounces", "out of memory");
	else if (rules != NULL && provider_is_source(source))
		rc = read_notice(&r, reader, source, message);
	else if (rules != NULL && reader_read(reader, message, NULL, &found) != 0)
		err_set(e, ERR_INTERNAL, "bounces", "out of memory");
	else if (rules != NULL)
		rc = show_findings(&r, &found);
	reader_free(&reader);
	rules_free(&rules);
	return rc;
}

static int explain_returned(struct cli *c, struct store *s, const struct failure_row *f, struct err *e)
{
	struct buf message = BUF_INIT(RETURNED_KEEP + 1);
	int rc = store_returned_message(s, f->id, &message, e);
	if (rc == 0 && c->json) {
		json_t *doc = failure_json(f);
		json_put(doc, "kind", json_str(f->back.kind));
		json_put(doc, "trust", json_str(f->back.trust));
		json_put(doc, "rule", json_str(f->back.rule));
		json_put(doc, "host", json_str(f->back.host));
		json_put(doc, "names", view_str(f->back.address));
		json_put(doc, "message", message.len != 0 ? json_str(buf_get(&message)) : json_null());
		rc = json_document(doc) != 0 ? output_error(e) : 0;
	} else if (rc == 0) {
		show_returned(c, f, e);
		if (message.len == 0)
			rc = out_printf(c, "\nThe message is not kept any more.\n") != 0 ? output_error(e)
											 : 0;
		else if ((rc = show_reading(c, f->back.source, buf_get(&message), e)) == 0)
			rc = show_message(c, buf_get(&message), e);
	}
	buf_release(&message);
	return rc;
}

static int explain(struct cli *c, struct store *s, const char *text, struct err *e)
{
	long long id;
	struct failure_row f;
	if (!str_int(str_from(text), 1, INT64_MAX, &id))
		return cli_usage(c, e, "--explain takes the number in the first column, not \"%s\"", text);
	if (store_failure_get(s, id, &f, e) != 0)
		return -1;
	if (f.returned)
		return explain_returned(c, s, &f, e);
	if (c->json)
		return json_document(failure_json(&f)) != 0 ? output_error(e) : 0;
	return explain_refusal(c, &f, e);
}

static int query(struct cli *c, struct store *s, struct failure_query *q, struct err *e)
{
	const char *name = cli_value(c, "campaign"), *words[CLASS_NCLASSES];
	for (int i = 1; i < CLASS_NCLASSES; i++)
		words[i - 1] = reply_class_names[i];
	words[CLASS_NCLASSES - 1] = NULL;
	int class = cli_value_word(c, "class", words, -2, e);
	if (class == -1 || cli_value_since(c, "since", clock_now(), &q->since, e) != 0 ||
		cli_value_since(c, "until", clock_now(), &q->until, e) != 0)
		return -1;
	q->reason = str_from(cli_value(c, "reason"));
	q->nobodys = cli_given(c, "nobodys");
	q->class = class == -2 ? -1 : class + 1;
	q->provider = str_from(cli_value(c, "provider"));
	if (q->provider.n != 0 && people_provider(q->provider.p, e) != 0)
		return -1;
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
	if (l.table != NULL && rc == 0)
		table_empty(l.table, "there is no such refusal or returned message");
	if (l.table != NULL && table_end(&l.table) != 0 && rc == 0)
		rc = output_error(e);
	return rc;
}

static const struct option options[] = {
	{.name = "campaign", .value = "NAME", .help = "of that campaign"},
	{.name = "since", .value = "TIME", .help = "since then (a span looks back: 2d)"},
	{.name = "until", .value = "TIME", .help = "before then"},
	{.name = "reason", .value = "REASON", .help = "for that reason: user-unknown, mailbox-full …"},
	{.name = "class", .value = "hard|soft|block|message|config", .help = "of that class"},
	{.name = "provider", .value = "P", .help = "of that provider: google, docomo …"},
	{.name = "nobodys", .help = "also returned messages that belong to no delivery of ours"},
	{.name = "explain", .value = "ID", .help = "show one, and how it was read"},
	{0},
};

const struct command cmd_bounces = {
	.name = "bounces",
	.group = GROUP_RESULT,
	.summary = "list refusals and returned messages, in the servers' words",
	.options = options,
	.run = run,
};
