/* receive: returned messages from standard input, files, mbox files and Maildirs, and what mailing services
 * report. */
#include "engine/bounce/intake.h"
#include "engine/bounce/mailbox.h"
#include "engine/bounce/provider.h"
#include "src/base/file.h"
#include "src/base/log.h"
#include "src/cli/bounce_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct receiving {
	struct cli *c;
	struct intake *in;
	struct envelope env;
	bool together; /* a transaction is open */
	bool with_env; /* standard input alone has one, but for --recipient */
	struct intake_source source;
	struct bounce_view view;
	long messages, kinds[MAIL_NKINDS];
	/* of what services report */
	struct reader *reader;
	struct certificates *certificates;
	const char *file; /* in hand */
	ms_t file_at, began;
	long event;
	struct err *e;
};

/* A transaction for some messages: one wait for the disk. */
static int together(struct receiving *r)
{
	if (r->view.dry_run || r->together)
		return 0;
	r->began = clock_mono();
	r->together = true;
	return store_together(r->view.store, r->e);
}

static int commit(void *ctx)
{
	struct receiving *r = ctx;
	bool open = r->together;
	r->together = false;
	return open ? store_together_end(r->view.store, true, r->e) : 0;
}

static int counted(struct receiving *r, const char *file, const struct intake_result *res)
{
	r->messages++;
	r->kinds[res->found.kind]++;
	return bounce_view_result(&r->view, file, res, r->e);
}

/* ---- What mailing services report ---- */

static int one_notice(void *ctx, const struct notice *n)
{
	enum { TOGETHER = 40 }; /* ms: a list of errors may hold hundreds of thousands */
	struct receiving *r = ctx;
	struct intake_result res;
	const struct intake_source source = {
		.name = n->provider, .vouched = n->verified || r->source.vouched};
	char name[4300];
	snprintf(name, sizeof name, "%s#%ld", r->file, ++r->event);
	if (together(r) != 0 ||
		intake_findings(r->in, &n->findings, n->evidence, &source, n->at != 0 ? n->at : r->file_at,
			&res, r->e) != 0 ||
		counted(r, name, &res) != 0)
		return -1;
	return clock_mono() - r->began >= TOGETHER ? commit(r) : 0;
}

static int read_notices(struct receiving *r, const char *file, struct str bytes, ms_t at)
{
	if (r->certificates == NULL && (r->certificates = certificates_new()) == NULL)
		return err_set(r->e, ERR_INTERNAL, "receive", "out of memory");
	const struct provider_keys keys = {.certificate = certificates_get, .ctx = r->certificates};
	r->file = file;
	r->file_at = at;
	r->event = 0;
	int rc = provider_is_json(bytes) ? provider_read_json(r->reader, bytes, &keys, one_notice, r, r->e)
					 : provider_read_csv(r->reader, bytes, one_notice, r, r->e);
	return rc != 0 ? err_at(r->e, file, r->e->line) : 0;
}

static bool is_notices(struct str bytes)
{
	return provider_is_json(bytes) || provider_is_csv(bytes);
}

/* ---- Messages ---- */

static int one(void *ctx, const struct mailbox_message *m)
{
	struct receiving *r = ctx;
	struct intake_result res;
	if (is_notices(m->text))
		return read_notices(r, m->file, m->text, m->at);
	if (together(r) != 0 || intake_message(r->in, m->text, r->with_env ? &r->env : NULL, &r->source,
					m->at, &res, r->e) != 0)
		return -1;
	return counted(r, m->file, &res);
}

/* ---- Whom a mail server handed it over for ---- */

static struct str env_str(const char *name)
{
	return str_from(getenv(name));
}

/* Exim's pipe, qmail's and Postfix' local: parts of the address. */
static struct str put_together(struct buf *b)
{
	struct str local = env_str("LOCAL_PART"), domain = env_str("DOMAIN");
	if (local.n == 0)
		local = env_str("LOCAL");
	if (local.n == 0)
		return str_n(NULL, 0);
	buf_str(b, env_str("LOCAL_PART_PREFIX"));
	buf_str(b, local);
	buf_str(b, env_str("LOCAL_PART_SUFFIX"));
	buf_printf(b, "@%.*s", STR_ARG(domain));
	return buf_get(b);
}

/* As the server says; where it says several, the one that is ours. */
static void read_envelope(struct receiving *r, struct buf *b)
{
	const char *given = cli_value(r->c, "recipient");
	const struct str said[] = {env_str("ORIGINAL_RECIPIENT"), env_str("RECIPIENT"), put_together(b)};
	r->env = (struct envelope){.sender = env_str("SENDER"), .sender_known = getenv("SENDER") != NULL};
	for (size_t i = 0; i < sizeof said / sizeof *said && given == NULL; i++)
		if (said[i].n != 0 &&
			(r->env.recipient.n == 0 || intake_address(r->in, said[i]) != TOKEN_ADDRESS_NONE))
			r->env.recipient = said[i];
	if (given != NULL)
		r->env.recipient = str_from(given);
}

static int from_stdin(struct receiving *r)
{
	struct buf b = BUF_INIT(1024);
	read_envelope(r, &b);
	r->with_env = true;
	const struct mailbox_reader reader = {one, commit, r};
	int rc = mailbox_stream(stdin, "-", r->env.recipient.n == 0, clock_now(), &reader, r->e);
	buf_release(&b);
	return rc;
}

/* A list of errors may be larger than any message. 1 it was one, 0 not, -1 */
static int from_list(struct receiving *r, const char *path)
{
	struct buf bytes = BUF_INIT(PROVIDER_BYTES);
	struct stat st;
	char first[4096];
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size <= MAILBOX_MESSAGE)
		return 0;
	FILE *f = fopen(path, "re");
	size_t n = f != NULL ? fread(first, 1, sizeof first, f) : 0;
	if (f != NULL)
		fclose(f);
	if (!is_notices(str_n(first, n)))
		return 0;
	int rc = file_read(path, &bytes, r->e);
	if (rc == 0)
		rc = read_notices(r, path, buf_get(&bytes), clock_now());
	buf_release(&bytes);
	return rc == 0 && commit(r) == 0 ? 1 : -1;
}

static int from_path(struct receiving *r, const char *path)
{
	const char *given = cli_value(r->c, "recipient");
	if (strcmp(path, "-") == 0)
		return from_stdin(r);
	int list = from_list(r, path);
	if (list != 0)
		return list < 0 ? -1 : 0;
	r->with_env = given != NULL;
	r->env = (struct envelope){.recipient = str_from(given)};
	const struct mailbox_reader reader = {one, commit, r};
	return mailbox_walk(path, cli_given(r->c, "dry-run"), &reader, r->e);
}

/* ---- The command ---- */

static int summary(struct receiving *r)
{
	if (r->c->json || r->messages < 2)
		return 0;
	out_printf(r->c, "%ld messages:", r->messages);
	const char *before = " ";
	for (int i = 0; i < MAIL_NKINDS; i++)
		if (r->kinds[i] != 0) {
			out_printf(r->c, "%s%ld %s", before, r->kinds[i], mail_kind_names[i]);
			before = ", ";
		}
	return out_printf(r->c, "\n") != 0 ? output_error(r->e) : 0;
}

static int receive(struct receiving *r)
{
	int rc = r->c->nargs == 0 ? from_stdin(r) : 0;
	for (size_t i = 0; i < r->c->nargs && rc == 0; i++)
		rc = from_path(r, r->c->args[i]);
	return rc == 0 ? summary(r) : rc;
}

static int open_all(struct receiving *r, struct rules **rules)
{
	struct cli *c = r->c;
	bool dry = cli_given(c, "dry-run");
	const struct config *cfg = cli_config(c, r->e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, r->e) : NULL;
	struct store *s = keys != NULL ? cli_store(c, dry ? STORE_READ : STORE_WRITE, r->e) : NULL;
	if (s == NULL || (*rules = rules_load(cfg->rules_file, r->e)) == NULL)
		return -1;
	const struct intake_options o = {
		.config = cfg, .keys = keys, .rules = *rules, .store = s, .dry_run = dry};
	r->view = (struct bounce_view){
		.c = c, .store = s, .zone = cfg->zone, .explain = cli_given(c, "explain"), .dry_run = dry};
	if ((r->reader = reader_new(*rules)) == NULL)
		return err_set(r->e, ERR_INTERNAL, "receive", "out of memory");
	return intake_new(&r->in, &o, r->e);
}

static int run(struct cli *c, struct err *e)
{
	struct receiving r = {
		.c = c, .source = {.name = "receive", .vouched = cli_given(c, "vouched")}, .e = e};
	struct rules *rules = NULL;
	bool pipe = c->nargs == 0 && !c->in_terminal && !cli_given(c, "dry-run");
	int rc = open_all(&r, &rules);
	if (rc == 0)
		rc = receive(&r);
	if (r.together)
		store_together_end(r.view.store, false, e);
	intake_free(&r.in);
	reader_free(&r.reader);
	certificates_free(&r.certificates);
	rules_free(&rules);
	/* Whatever is wrong here, the mail server shall keep the message until it is mended. */
	if (rc < 0 && pipe && e->code != ERR_USAGE)
		e->code = ERR_AGAIN;
	return rc;
}

static const struct option options[] = {
	{.name = "dry-run", .help = "say what is read in them, and change nothing"},
	{.name = "explain", .help = "show what was found where, and which rule decided"},
	{.name = "recipient", .value = "ADDRESS", .help = "to which address they were sent (the envelope's)"},
	{.name = "vouched", .help = "you answer for them: addresses and relay ids count without a token"},
	{0},
};

const struct command cmd_receive = {
	.name = "receive",
	.args = "[FILE|DIR…]",
	.max_args = -1,
	.group = GROUP_RESULT,
	.summary = "take returned messages from a pipe, files, mbox or Maildir",
	.help = "Without FILE one message is read from standard input, as a mail server hands it\n"
		"over; it exits 75 when the server must keep it and try again. The recipient is\n"
		"taken from --recipient, else from what the server puts into the environment\n"
		"($ORIGINAL_RECIPIENT, $RECIPIENT, $LOCAL_PART …), else from the message.\n"
		"\n"
		"  Postfix, main.cf and master.cf:\n"
		"    relay_domains = $mydestination bounces.example\n"
		"    transport_maps = inline:{ bounces.example=postrider: }\n"
		"    postrider_destination_recipient_limit = 1\n"
		"    postrider unix - n n - 4 pipe user=postrider null_sender=\n"
		"      argv=/usr/local/bin/postrider receive --recipient ${recipient}\n"
		"  .forward, or an alias:  |\"/usr/local/bin/postrider receive\"\n"
		"\n"
		"Events of mailing services as JSON (Amazon SES and SNS, SendGrid, Mailgun,\n"
		"Postmark, Mailjet, Brevo, SparkPost) and lists of errors as CSV are read as\n"
		"well. Signed ones count by themselves, others with --vouched.\n"
		"\n"
		"Of a Maildir the new messages are processed and moved to cur.\n",
	.options = options,
	.run = run,
};
