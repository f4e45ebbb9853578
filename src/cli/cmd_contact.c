#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/people.h"

#include "engine/bounce/intake.h"
#include "lists/column.h"
#include "src/base/log.h"
#include "src/base/nearest.h"
#include "src/db/attrs.h"
#include "src/db/contacts.h"
#include "src/db/lists.h"
#include "src/db/suppress.h"

#include <stdlib.h>

/* What every sub-command works on. */
struct person {
	struct cli *c;
	struct store *s;
	const struct zone *zone;
	struct arena arena;
	struct address address;
	struct err *e;
};

static int person_open(struct person *p, struct cli *c, enum store_mode mode, struct err *e)
{
	*p = (struct person){.c = c, .e = e, .zone = cli_zone(c, e)};
	arena_init(&p->arena, 4096, 16 << 20);
	if (p->zone == NULL || people_address(c->args[0], &p->arena, &p->address, e) != 0)
		return -1;
	p->s = cli_store(c, mode, e);
	return p->s != NULL ? 0 : -1;
}

static int person_done(struct person *p, int rc, const char *what)
{
	if (rc == 0 && p->c->json) {
		json_t *o = json_object();
		json_put(o, "address", json_str(p->address.wire));
		json_put(o, "done", json_string(what));
		rc = json_document(o) != 0 ? output_error(p->e) : 0;
	} else if (rc == 0 && !p->c->quiet) {
		rc = out_printf(p->c, "%s: %s\n", out_safe(p->address.wire), what) != 0 ? output_error(p->e)
											: 0;
	}
	arena_release(&p->arena);
	return rc;
}

static int list_option(struct person *p, int64_t *id)
{
	struct list_row l;
	*id = 0;
	if (!cli_given(p->c, "list"))
		return 0;
	if (audience_list(p->s, cli_value(p->c, "list"), &l, p->e) != 0)
		return -1;
	*id = l.id;
	return 0;
}

/* ---- set, subscribe ---- */

struct change {
	uint32_t id;
	struct str value;
};

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct change *)a)->id, y = ((const struct change *)b)->id;
	return (x > y) - (x < y);
}

/* A name that nobody has yet is made, but for one that looks mistyped: --where would choose by it from then
 * on. */
static int64_t attr_id(struct person *p, struct str name)
{
	struct nearest near;
	int64_t id = store_attr_id(p->s, name, false, p->e);
	if (id != 0)
		return id;
	nearest_init(&near, name);
	if (!cli_given(p->c, "new") && store_attrs_offer(p->s, &near, p->e) != 0)
		return -1;
	if (near.best[0] == '\0')
		return store_attr_id(p->s, name, true, p->e);
	err_set(p->e, ERR_USAGE, "contact", "nobody has an attribute %.*s: did you mean %s?", STR_ARG(name),
		near.best);
	return err_remedy(p->e, "--new makes it");
}

/* name=value words from args[1] on, packed; an empty value clears. */
static int read_changes(struct person *p, struct buf *out)
{
	struct change *v = arena_alloc(&p->arena, p->c->nargs * sizeof *v);
	size_t n = 0;
	for (size_t i = 1; i < p->c->nargs && v != NULL; i++) {
		struct str word = str_from(p->c->args[i]),
			   name = column_attr(str_n(word.p, str_find(word, '=')), &p->arena);
		if (str_find(word, '=') == word.n || name.n == 0 || name.n > COLUMN_NAME_MAX ||
			column_is_own(name) || str_is(name, "email"))
			return cli_usage(
				p->c, p->e, "\"%.60s\" is not NAME=VALUE of an attribute", p->c->args[i]);
		int64_t id = attr_id(p, name);
		if (id < 0)
			return -1;
		size_t eq = str_find(word, '=');
		v[n++] = (struct change){(uint32_t)id, str_n(word.p + eq + 1, word.n - eq - 1)};
	}
	if (v == NULL)
		return err_set(p->e, ERR_INTERNAL, "contact", "out of memory");
	qsort(v, n, sizeof *v, by_id);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && v[i].id == v[i - 1].id)
			return cli_usage(p->c, p->e, "an attribute is given twice");
		attrs_put(out, v[i].id, v[i].value);
	}
	return out->failed ? err_set(p->e, ERR_INTERNAL, "contact", "out of memory") : 0;
}

static int set_run(struct cli *c, struct err *e)
{
	struct person p;
	struct contact_row row;
	struct buf attrs = BUF_INIT(16 << 20);
	int64_t id;
	int rc = person_open(&p, c, STORE_WRITE, e);
	if (rc == 0)
		rc = people_contact(p.s, &p.address, &row, e);
	struct str wire = rc == 0 ? arena_str(&p.arena, row.address) : STR("");
	if (rc == 0)
		rc = read_changes(&p, &attrs);
	if (rc == 0)
		rc = store_contact_put(p.s, wire, p.address.key, buf_get(&attrs), clock_now(), &id, e);
	buf_release(&attrs);
	return person_done(&p, rc, "set");
}

static int subscribe(struct person *p)
{
	struct list_row l;
	struct buf attrs = BUF_INIT(16 << 20);
	ms_t now = clock_now(), consent = 0;
	int64_t id;
	const char *source = cli_value(p->c, "source");
	if (!cli_given(p->c, "list"))
		return cli_usage(p->c, p->e, "--list says which list");
	if (source == NULL)
		return cli_usage(
			p->c, p->e, "--source says how the person asked for it (\"asked by phone\")");
	if (audience_list(p->s, cli_value(p->c, "list"), &l, p->e) != 0 ||
		cli_value_time(p->c, "consent-at", now, &consent, p->e) != 0)
		return -1;
	int64_t list = l.id;
	struct contact_row row;
	struct str wire = store_contact_get(p->s, p->address.key, &row, NULL) == 0
				  ? arena_str(&p->arena, row.address)
				  : p->address.wire;
	int rc = read_changes(p, &attrs);
	if (rc == 0)
		rc = store_contact_put(p->s, wire, p->address.key, buf_get(&attrs), now, &id, p->e);
	if (rc == 0)
		rc = store_subscribe(
			p->s, id, list, str_from(source), consent != 0 ? consent : now, true, now, p->e);
	buf_release(&attrs);
	return rc;
}

static int still_suppressed(void *ctx, const struct suppression *sup)
{
	struct person *p = ctx;
	struct buf b = BUF_INIT(4096);
	people_suppression_text(&b, sup, p->zone);
	fprintf(stderr, "postrider: not mailed all the same: %s\n", buf_cstr(&b));
	buf_release(&b);
	return 0;
}

static int subscribe_run(struct cli *c, struct err *e)
{
	struct person p;
	struct list_row l;
	int rc = person_open(&p, c, STORE_WRITE, e);
	if (rc == 0)
		rc = subscribe(&p);
	/* A bounce, a complaint or a suppressed domain is not lifted by subscribing. */
	if (rc == 0 && audience_list(p.s, cli_value(c, "list"), &l, e) == 0 &&
		store_suppressions_of(p.s, p.address.key, l.id, still_suppressed, &p, e) < 0)
		rc = -1;
	return person_done(&p, rc, "subscribed");
}

/* ---- unsubscribe, remove, forget ---- */

/* From the page that `[unsubscribe] url` names: what a mail to the token's own address would do. */
static int unsubscribe_token(struct cli *c, const char *token, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	struct store *s = keys != NULL ? cli_store(c, STORE_WRITE, e) : NULL;
	struct rules *rules = s != NULL ? rules_load(cfg->rules_file, e) : NULL;
	if (rules == NULL)
		return -1;
	const struct intake_options o = {.config = cfg, .keys = keys, .rules = rules, .store = s};
	const struct envelope env = {.recipient = str_from(token)};
	const struct intake_source source = {.name = "page"};
	struct intake_result got = {0};
	struct intake *in = NULL;
	int rc = intake_new(&in, &o, e);
	if (rc == 0 && intake_address(in, env.recipient) != TOKEN_ADDRESS_STOP) {
		rc = err_set(e, ERR_DATA, "contact unsubscribe",
			"this is no unsubscribe token of this installation");
		err_remedy(e, "it is what stands in the link in the place of {token}");
	}
	if (rc == 0)
		rc = intake_message(
			in, STR("Subject: unsubscribe\r\n\r\n"), &env, &source, clock_now(), &got, e);
	struct str address = rc == 0 && got.nevents > 0 ? got.events[0].address : STR("");
	if (rc == 0 && address.n == 0)
		log_warn("the token names nobody: it is of a test or a preview, or the person was forgotten");
	if (rc == 0 && c->json) {
		json_t *doc = json_object();
		json_put(doc, "address", address.n > 0 ? json_str(address) : json_null());
		json_put(doc, "done", json_string("unsubscribed"));
		rc = json_document(doc) != 0 ? output_error(e) : 0;
	} else if (rc == 0 && address.n > 0 && !c->quiet) {
		rc = out_printf(c, "%s: unsubscribed\n", out_safe(address)) != 0 ? output_error(e) : 0;
	}
	intake_free(&in);
	rules_free(&rules);
	return rc;
}

static int unsubscribe_run(struct cli *c, struct err *e)
{
	const char *token = cli_value(c, "token");
	if ((token != NULL) == (c->nargs > 0) ||
		(token != NULL && (cli_given(c, "list") || cli_given(c, "note"))))
		return cli_usage(c, e, "an address, or --token TOKEN alone");
	if (token != NULL)
		return unsubscribe_token(c, token, e);
	struct person p;
	int64_t list;
	int rc = person_open(&p, c, STORE_WRITE, e);
	if (rc == 0)
		rc = list_option(&p, &list);
	if (rc == 0) {
		people_warn_unknown(p.s, &p.address, "it is not mailed, should it come");
		const char *note = cli_value(c, "note");
		struct suppression sup = {.key = p.address.key,
			.list = list,
			.reason = SUPPRESS_UNSUBSCRIBE,
			.created = clock_now(),
			.evidence = note != NULL ? str_from(note) : STR("")};
		rc = store_suppress(p.s, &sup, NULL, e);
	}
	return person_done(&p, rc, "unsubscribed");
}

static int remove_run(struct cli *c, struct err *e)
{
	struct person p;
	struct contact_row row;
	int64_t list = 0;
	int rc = person_open(&p, c, STORE_WRITE, e);
	if (rc == 0)
		rc = list_option(&p, &list);
	if (rc == 0)
		rc = people_contact(p.s, &p.address, &row, e);
	if (rc == 0)
		rc = store_contact_remove(p.s, row.id, list, e);
	return person_done(&p, rc, "removed");
}

static int forget_run(struct cli *c, struct err *e)
{
	struct person p;
	char question[400], answer[400];
	int rc = person_open(&p, c, STORE_WRITE, e);
	if (rc == 0 && !cli_given(c, "yes")) {
		snprintf(question, sizeof question,
			"Erase %s everywhere, for good? Type the address: ", out_safe(p.address.wire));
		rc = cli_ask(c, question, "add --yes", answer, sizeof answer, e);
		struct address typed;
		if (rc == 0 && (address_parse(str_from(answer), &p.arena, &typed, NULL) != 0 ||
				       !str_eq(typed.key, p.address.key)))
			rc = err_set(e, ERR_USAGE, "contact forget", "not confirmed; nothing was erased");
	}
	if (rc == 0)
		people_warn_unknown(
			p.s, &p.address, "what deliveries, returned mail and history say of it is erased");
	if (rc == 0)
		rc = store_forget(p.s, p.address.key, clock_now(), e);
	return person_done(&p, rc, "forgotten");
}

#define NEW_OPTION                                                                                           \
	{                                                                                                    \
		.name = "new", .help = "also an attribute that nobody has, with a name near to another's"    \
	}

static const struct option set_options[] = {NEW_OPTION, {0}};

static const struct option list_options[] = {
	{.name = "list", .value = "LIST", .help = "only this list (without it: all)"},
	{0},
};

static const struct option unsubscribe_options[] = {
	{.name = "list", .value = "LIST", .help = "only this list (without it: all mail)"},
	{.name = "note", .value = "TEXT", .help = "why, for the record"},
	{.name = "token", .value = "TOKEN", .help = "the person whose link holds it, instead of an address"},
	{0},
};

static const struct option subscribe_options[] = {
	{.name = "list", .value = "LIST", .help = "the list"},
	{.name = "source", .value = "TEXT", .help = "how the person asked for it: \"asked by phone\""},
	{.name = "consent-at", .value = "TIME", .help = "when (now, if it is left out)"},
	NEW_OPTION,
	{0},
};

static const struct option forget_options[] = {{.name = "yes", .help = "do not ask"}, {0}};

static const struct command contact_set = {
	.name = "set",
	.args = "ADDRESS NAME=VALUE…",
	.summary = "change attributes; an empty value takes one away",
	.options = set_options,
	.min_args = 2,
	.max_args = -1,
	.run = set_run,
};

static const struct command contact_subscribe = {
	.name = "subscribe",
	.args = "ADDRESS [NAME=VALUE…]",
	.summary = "put a person on a list who asked for it",
	.help = "This is the only way back for who unsubscribed. A person who is not known yet\n"
		"is added.\n",
	.options = subscribe_options,
	.min_args = 1,
	.max_args = -1,
	.run = subscribe_run,
};

static const struct command contact_unsubscribe = {
	.name = "unsubscribe",
	.args = "[ADDRESS]",
	.summary = "a person wants no more mail, from one list or at all",
	.help = "It holds from this moment on, also for mail that is queued, and whatever a\n"
		"later import says. A page of your own ([unsubscribe] url) calls it with --token:\n"
		"that is signed, so nobody can unsubscribe somebody else; what it does follows\n"
		"[unsubscribe] scope, and a token that is not ours is exit 65.\n",
	.options = unsubscribe_options,
	.min_args = 0,
	.max_args = 1,
	.run = unsubscribe_run,
};

static const struct command contact_remove = {
	.name = "remove",
	.args = "ADDRESS",
	.summary = "take a person off a list, or off all of them",
	.help = "Without --list the attributes go as well. This is no unsubscription: a later\n"
		"import may bring the person back.\n",
	.options = list_options,
	.min_args = 1,
	.max_args = 1,
	.run = remove_run,
};

static const struct command contact_forget = {
	.name = "forget",
	.args = "ADDRESS",
	.summary = "erase a person everywhere",
	.help = "Address, attributes, lists and replies that quote the address are erased.\n"
		"Deliveries stay counted, without a name. A keyed hash stays, so that this\n"
		"person is never imported or mailed again.\n",
	.options = forget_options,
	.min_args = 1,
	.max_args = 1,
	.run = forget_run,
};

extern const struct command contact_show; /* cmd_contact_show.c */

static const struct command *const subs[] = {
	&contact_show,
	&contact_set,
	&contact_subscribe,
	&contact_unsubscribe,
	&contact_remove,
	&contact_forget,
	NULL,
};

const struct command cmd_contact = {
	.name = "contact",
	.summary = "show or change one person",
	.group = GROUP_PEOPLE,
	.subs = subs,
};
