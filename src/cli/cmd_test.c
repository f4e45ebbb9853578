#include "engine/oneshot.h"
#include "lists/address.h"
#include "src/cli/choose.h"
#include "src/cli/output.h"
#include "src/db/contacts.h"
#include "src/db/suppress.h"

#include <stdio.h>
#include <stdlib.h>

struct testing {
	struct cli *c;
	struct store *s;
	struct launch launch;
	const struct config_route *route;
	struct token_signer *signer;
	struct chosen chosen;
	struct arena arena;
	const char **to;
	size_t n;
	struct letter *letters;
	struct oneshot_result *results;
	struct err *e;
};

static int refuse(void *ctx, const struct suppression *s)
{
	*(enum suppress_reason *)ctx = s->reason;
	return 1;
}

/* Nothing mails a suppressed address, a test neither. */
static int may_be_mailed(struct testing *t, const struct address *a)
{
	enum suppress_reason why = SUPPRESS_MANUAL;
	int rc = store_suppressions_of(t->s, a->key, 0, refuse, &why, t->e);
	if (rc == 0 && store_is_forgotten(t->s, a->key, t->e) == 1) {
		rc = 1;
		why = SUPPRESS_FORGOTTEN;
	}
	if (rc <= 0)
		return rc;
	err_set(t->e, ERR_DATA, "test", "%.*s is suppressed (%s), and nothing is sent there",
		STR_ARG(a->wire), suppress_reason_names[why]);
	return err_remedy(t->e, "`postrider suppressions why %.*s` tells more", STR_ARG(a->wire));
}

static int choose_person(struct testing *t)
{
	struct cli *c = t->c;
	const char *as = cli_value(c, "as"), *data = cli_value(c, "data");
	if ((as != NULL) + (data != NULL) + cli_given(c, "nth") > 1)
		return cli_usage(c, t->e, "one of --as, --nth and --data says whose message it is");
	if (as != NULL)
		return choose_contact(&t->chosen, t->s, as, t->e);
	if (data != NULL)
		return choose_sample(&t->chosen, data, t->e);
	if (cli_given(c, "nth") || cli_audience_given(c)) {
		struct audience_spec spec;
		long long nth = 1;
		cli_audience(c, &spec);
		if (cli_value_int(c, "nth", 1, INT32_MAX, &nth, t->e) != 0 ||
			launch_audience(&t->launch, &spec, t->e) != 0)
			return -1;
		return choose_nth(&t->chosen, t->s, &t->launch.audience, nth, t->e);
	}
	/* Who is a contact gets their own message; anybody else one without attributes. */
	struct err none = {0};
	if (choose_contact(&t->chosen, t->s, t->to[0], &none) == 0)
		return 0;
	chosen_release(&t->chosen);
	arena_init(&t->chosen.arena, 1024, 1 << 20);
	t->chosen.sample = json_object();
	return 0;
}

static int compose(struct testing *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct address a;
		if (address_parse(str_from(t->to[i]), &t->arena, &a, t->e) != 0 || may_be_mailed(t, &a) != 0)
			return -1;
		struct chosen one = t->chosen;
		one.contact.address =
			a.wire; /* To, and {{ email }}, are the tester's: no real reader's link goes out */
		one.contact.key = a.key;
		if (chosen_compose(
			    &one, &t->launch, t->signer, clock_now(), &t->arena, &t->letters[i], t->e) != 0)
			return -1;
		if (t->letters[i].mail.skip.n != 0)
			return err_set(t->e, ERR_DATA, "test", "the message skips this person: %.*s",
				STR_ARG(t->letters[i].mail.skip));
	}
	return 0;
}

static int tell(struct testing *t)
{
	const struct oneshot_result *first = NULL; /* that was not accepted */
	for (size_t i = 0; i < t->n; i++) {
		const struct oneshot_result *r = &t->results[i];
		int rc;
		if (first == NULL && !r->accepted)
			first = r;
		if (t->c->json)
			rc = json_line(json_pack("{s:s, s:b, s:s, s:o, s:s, s:o}", "address", t->to[i],
				"accepted", r->accepted, "stage", smtp_stage_names[r->stage], "code",
				r->code != 0 ? json_integer(r->code) : json_null(), "enhanced", r->enhanced,
				"reply", json_str(str_from(r->text))));
		else if (r->accepted)
			rc = out_printf(t->c, "%s: accepted by %s: %d %s\n", out_safe(str_from(t->to[i])),
				r->host, r->code, out_safe(str_from(r->text)));
		else if (r->code != 0)
			rc = out_printf(t->c, "%s: refused at %s: %d %s %s\n", out_safe(str_from(t->to[i])),
				smtp_stage_names[r->stage], r->code, r->enhanced,
				out_safe(str_from(r->text)));
		else
			rc = out_printf(t->c, "%s: not sent, %s: %s\n", out_safe(str_from(t->to[i])),
				smtp_stage_names[r->stage], out_safe(str_from(r->text)));
		if (rc != 0)
			return output_error(t->e);
	}
	if (first == NULL)
		return 0;
	if (first->stage <= SMTP_CONNECT)
		return ERR_UNREACH;
	return first->stage == SMTP_AUTH || first->stage == SMTP_MAIL ? ERR_LOGIN : ERR_CHECK;
}

static int steps(struct testing *t, const struct config *cfg)
{
	t->n = cli_values(t->c, "to", &t->to);
	if (t->n == 0)
		return cli_usage(t->c, t->e, "say where to: --to ADDRESS");
	if (launch_open(&t->launch, t->c->args[0], "[TEST] ", cfg, t->s, t->e) != 0)
		return -1;
	if (launch_plan(&t->launch, cli_value(t->c, "route"), t->e) != 0)
		return -1;
	t->route = t->launch.route;
	t->letters = calloc(t->n, sizeof *t->letters);
	t->results = calloc(t->n, sizeof *t->results);
	if (t->letters == NULL || t->results == NULL)
		return err_set(t->e, ERR_INTERNAL, "test", "out of memory");
	if (choose_person(t) != 0 || compose(t) != 0 ||
		oneshot_send(cfg, t->route, t->letters, t->n, t->results, t->e) != 0)
		return -1;
	return tell(t);
}

static int run(struct cli *c, struct err *e)
{
	struct testing t = {.c = c, .e = e};
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	t.s = keys != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (t.s == NULL)
		return -1;
	arena_init(&t.arena, 64 << 10, 256 << 20);
	t.signer = token_signer_new(keys);
	int rc = t.signer == NULL ? err_set(e, ERR_INTERNAL, "test", "out of memory") : steps(&t, cfg);
	launch_close(&t.launch);
	chosen_release(&t.chosen);
	arena_release(&t.arena);
	token_signer_free(&t.signer);
	free(t.letters);
	free(t.results);
	return rc;
}

static const struct option options[] = {
	CLI_AUDIENCE,
	{.name = "to", .value = "ADDRESS", .many = true, .help = "send it there"},
	{.name = "as", .value = "ADDRESS", .help = "as that contact would get it"},
	{.name = "nth", .value = "N", .help = "as the N-th of the audience would"},
	{.name = "data", .value = "FILE.json", .help = "with the attributes in this JSON object"},
	{.name = "route", .value = "ROUTE", .help = "by this [route] of the configuration"},
	{0},
};

const struct command cmd_test = {
	.name = "test",
	CLI_ONE_ARG("MESSAGE"),
	.group = GROUP_CAMPAIGN,
	.summary = "send the message to yourself, now, outside any campaign",
	.help = "The subject begins with [TEST], and its links change nothing.\n",
	.options = options,
	.run = run,
};
