#include "src/base/utf8.h"
#include "src/cli/choose.h"
#include "src/cli/output.h"
#include "src/db/audience.h"

#include <stdio.h>

#define RULE "========================================================================"

enum part { PART_ALL, PART_SOURCE, PART_HTML, PART_TEXT, PART_HEADERS };

struct preview {
	struct cli *c;
	struct launch launch;
	struct token_signer *signer;
	enum part part;
	struct err *e;
	ms_t now;
};

/* CRLF as LF, and nothing that a terminal would obey; into a file or pipe the bytes go as they are. */
static int print(struct preview *p, struct str s, bool raw)
{
	if (raw || !p->c->out_terminal)
		return fwrite(s.p, 1, s.n, stdout) == s.n ? 0 : output_error(p->e);
	struct buf out = BUF_INIT((size_t)256 << 20);
	for (size_t at = 0; at < s.n;) {
		size_t end = str_find(str_n(s.p + at, s.n - at), '\n');
		struct str line = str_n(s.p + at, end);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		utf8_safe(&out, line);
		buf_putc(&out, '\n');
		at += end + 1;
	}
	int rc = fwrite(buf_cstr(&out), 1, out.len, stdout) == out.len ? 0 : output_error(p->e);
	buf_release(&out);
	return rc;
}

static int show_letter(struct preview *p, const struct letter *l)
{
	const struct composed *m = &l->mail;
	if (p->c->json)
		return json_document(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "from",
			       json_str(l->from), "to", json_str(l->rcpt), "subject", json_str(m->subject),
			       "headers", json_str(m->header), "text", json_str(m->text), "html",
			       json_str(m->html), "bytes", (json_int_t)composed_size(m))) != 0
			       ? output_error(p->e)
			       : 0;
	switch (p->part) {
	case PART_SOURCE:
		if (print(p, m->header, true) != 0 || print(p, m->body, true) != 0)
			return -1;
		return m->tail.n != 0 ? print(p, m->tail, true) : 0;
	case PART_HTML:
		return m->html.n == 0 ? err_set(p->e, ERR_NOINPUT, "preview", "this message has no HTML part")
				      : print(p, m->html, false);
	case PART_TEXT:
		return print(p, m->text, false);
	case PART_HEADERS:
		return print(p, m->header, false);
	default:
		return print(p, m->header, false) != 0 ? -1 : print(p, m->text, false);
	}
}

/* Between the messages of several people, where they are to be read and not to be fed into something. */
static int rule_between(struct preview *p)
{
	bool read = p->part == PART_ALL || p->part == PART_TEXT || p->part == PART_HEADERS;
	if (p->c->json || !read)
		return 0;
	return out_printf(p->c, "\n%s\n\n", RULE) != 0 ? output_error(p->e) : 0;
}

static int one(struct preview *p, const struct chosen *c)
{
	struct arena a;
	struct letter letter = {0};
	arena_init(&a, 64 << 10, 256 << 20);
	int rc = chosen_compose(c, &p->launch, p->signer, p->now, &a, &letter, p->e);
	if (rc == 0 && letter.mail.skip.n != 0 && p->c->json)
		rc = json_document(json_pack("{s:o, s:o}", "to", json_str(c->contact.address), "skipped",
			     json_str(letter.mail.skip))) != 0
			     ? output_error(p->e)
			     : 0;
	else if (rc == 0 && letter.mail.skip.n != 0)
		rc = out_printf(p->c, "(nothing would be sent: %s)\n", out_safe(letter.mail.skip)) != 0
			     ? output_error(p->e)
			     : 0;
	else if (rc == 0)
		rc = show_letter(p, &letter);
	arena_release(&a);
	return rc;
}

static int from_audience(struct preview *p, struct store *s)
{
	struct audience_spec spec;
	struct chosen chosen;
	long long nth = 1, random = 0;
	const char *campaign = cli_value(p->c, "campaign");
	bool given = cli_audience_given(p->c);
	if (!given && campaign == NULL)
		return cli_usage(p->c, p->e,
			"say for whom: --list LIST (and --nth N), --to ADDRESS, or --sample FILE.json");
	if (cli_value_int(p->c, "nth", 1, INT32_MAX, &nth, p->e) != 0 ||
		cli_value_int(p->c, "random", 1, 1000, &random, p->e) != 0)
		return -1;
	cli_audience(p->c, &spec);
	spec.sample = NULL;
	if (!given) {
		spec.of = &campaign;
		spec.nof = 1;
	}
	if (launch_audience(&p->launch, &spec, p->e) != 0)
		return -1;
	struct audience *a = &p->launch.audience;
	if (random > 0) {
		a->sample_n = random;
		a->seed = (uint64_t)p->now;
	}
	for (long long i = random > 0 ? 1 : nth, last = random > 0 ? random : nth; i <= last; i++) {
		int rc = choose_nth(&chosen, s, a, i, p->e);
		bool fewer = rc != 0 && random > 0 && i > 1 && p->e->code == ERR_NOINPUT;
		if (rc == 0 && random > 0 && i > 1)
			rc = rule_between(p);
		if (rc == 0)
			rc = one(p, &chosen);
		chosen_release(&chosen);
		if (rc != 0)
			return fewer ? 0 : -1;
	}
	return 0;
}

static int choose_and_show(struct preview *p, struct store *s)
{
	struct chosen chosen;
	const char *to = cli_value(p->c, "to"), *sample = cli_value(p->c, "sample");
	if ((to != NULL) + (sample != NULL) + cli_given(p->c, "nth") + cli_given(p->c, "random") > 1)
		return cli_usage(
			p->c, p->e, "one of --to, --nth, --random and --sample says whose message it is");
	if (to == NULL && sample == NULL)
		return from_audience(p, s);
	int rc = to != NULL ? choose_contact(&chosen, s, to, p->e) : choose_sample(&chosen, sample, p->e);
	if (rc == 0)
		rc = one(p, &chosen);
	chosen_release(&chosen);
	return rc;
}

static int open_message(struct preview *p, const struct config *cfg, struct store *s)
{
	struct campaign_row row;
	const char *campaign = cli_value(p->c, "campaign");
	if ((campaign != NULL) == (p->c->nargs > 0))
		return cli_usage(p->c, p->e, "a message file, or --campaign NAME");
	if (campaign == NULL)
		return launch_open(&p->launch, p->c->args[0], NULL, cfg, s, p->e);
	return audience_campaign(s, campaign, &row, p->e) != 0
		       ? -1
		       : launch_open_campaign(&p->launch, &row, cfg, s, p->e);
}

static int run(struct cli *c, struct err *e)
{
	static const char *const words[] = {"all", "source", "html", "text", "headers", NULL};
	struct preview p = {.c = c, .e = e, .now = clock_now()};
	int part = cli_value_word(c, "part", words, PART_ALL, e);
	const struct config *cfg = part >= 0 ? cli_config(c, e) : NULL;
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	struct store *s = keys != NULL ? cli_store(c, STORE_READ, e) : NULL;
	if (s == NULL)
		return -1;
	p.part = (enum part)part;
	p.signer = token_signer_new(keys);
	int rc = p.signer == NULL ? err_set(e, ERR_INTERNAL, "preview", "out of memory")
				  : open_message(&p, cfg, s);
	if (rc == 0) {
		struct err none = {0};
		launch_plan(&p.launch, NULL, &none); /* a preview needs none */
		rc = choose_and_show(&p, s);
	}
	launch_close(&p.launch);
	token_signer_free(&p.signer);
	return rc;
}

static const struct option options[] = {
	{.name = "campaign", .value = "NAME", .help = "as that campaign has it, instead of a message file"},
	{.name = "list", .value = "LIST", .many = true, .help = "for somebody on this list"},
	{.name = "exclude", .value = "LIST", .many = true, .help = "but not on this one"},
	{.name = "where", .value = "EXPR", .help = "for whom this holds"},
	{.name = "of", .value = "NAME[:STATE,…]", .many = true, .help = "whom this campaign had"},
	{.name = "not-of", .value = "NAME[:STATE,…]", .many = true, .help = "whom it did not have"},
	{.name = "sample",
		.value = "FILE.json",
		.help = "with the attributes in this JSON object, instead of a contact's"},
	{.name = "to", .value = "ADDRESS", .help = "for that contact"},
	{.name = "nth", .value = "N", .help = "for the N-th of the audience (1)"},
	{.name = "random", .value = "N", .help = "for N of them, at random"},
	{.name = "part",
		.value = "all|source|html|text|headers",
		.help = "what to show; source is the message as it is sent"},
	{0},
};

const struct command cmd_preview = {
	.name = "preview",
	.args = "[MESSAGE]",
	.max_args = 1,
	.group = GROUP_CAMPAIGN,
	.summary = "show the exact message that one person would get",
	.help = "With --campaign, what a campaign sends: the message is kept as it was at the\n"
		"launch, whatever becomes of its file. The person's attributes are those of now.\n",
	.options = options,
	.run = run,
};
