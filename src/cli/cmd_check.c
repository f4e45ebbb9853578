#include "engine/check.h"
#include "src/base/file.h"
#include "src/cli/findings.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "templates/lint.h"

#include <stdio.h>
#include <stdlib.h>

enum { SOURCE_MAX = 128 << 20 };

struct totals {
	int64_t fails, warns, infos;
};

static void count(struct totals *t, enum lint_severity s)
{
	if (s == LINT_FAIL)
		t->fails++;
	else if (s == LINT_WARN)
		t->warns++;
	else
		t->infos++;
}

static int verdict(struct cli *c, const struct totals *t, const char *what)
{
	bool failed = t->fails > 0 || (cli_given(c, "strict") && t->warns > 0);
	char f[TEXT_NUMBER], w[TEXT_NUMBER], i[TEXT_NUMBER];
	/* Behind the findings, also where both go into one file. */
	fflush(stdout);
	if (!c->quiet)
		fprintf(stderr, "postrider: checked %s: %s failing, %s %s, %s %s\n", what,
			text_count(t->fails, f), text_count(t->warns, w),
			t->warns == 1 ? "warning" : "warnings", text_count(t->infos, i),
			t->infos == 1 ? "note" : "notes");
	return failed ? ERR_CHECK : 0;
}

/* ---- Finished messages ---- */

static int print_lint(
	struct cli *c, const struct lint *l, const char *file, struct arena *a, struct totals *t)
{
	for (int severity = LINT_FAIL; severity <= LINT_INFO; severity++)
		for (size_t i = 0; i < l->n; i++) {
			const struct lint_finding *f = &l->found[i];
			if ((int)f->severity != severity)
				continue;
			struct shown_finding s = {.id = f->id,
				.severity = lint_severity_names[f->severity],
				.file = str_from(file),
				.text = f->text,
				.where = lint_where(f, a),
				.remedy = f->remedy,
				.times = f->times};
			count(t, f->severity);
			if (finding_print(c, &s) != 0)
				return -1;
		}
	return 0;
}

static int one_source(struct cli *c, const char *file, struct totals *t, struct err *e)
{
	struct buf b = BUF_INIT(SOURCE_MAX);
	struct arena a;
	struct lint *l = malloc(sizeof *l);
	if (l == NULL || file_read(file, &b, e) != 0) {
		bool memory = l == NULL;
		free(l);
		buf_release(&b);
		return memory ? err_set(e, ERR_INTERNAL, "check", "out of memory") : -1;
	}
	arena_init(&a, 256 << 10, (size_t)8 * SOURCE_MAX);
	lint_message(l, &a, buf_get(&b));
	int rc = print_lint(c, l, file, &a, t);
	if (rc == 0 && l->skipped)
		fprintf(stderr, "postrider: %s: there is more in it than was looked at\n", file);
	arena_release(&a);
	buf_release(&b);
	free(l);
	return rc != 0 ? output_error(e) : 0;
}

static int sources(struct cli *c, struct err *e)
{
	struct totals t = {0};
	char what[TEXT_NUMBER + 16], n[TEXT_NUMBER];
	for (size_t i = 0; i < c->nargs; i++)
		if (one_source(c, c->args[i], &t, e) != 0)
			return -1;
	snprintf(what, sizeof what, c->nargs == 1 ? "%s message" : "%s messages",
		text_count((int64_t)c->nargs, n));
	return verdict(c, &t, what);
}

/* ---- A message for an audience ---- */

static void progressed(void *ctx, int64_t checked)
{
	char n[TEXT_NUMBER];
	if (progress_due(ctx))
		progress_set(ctx, "checked for %s", text_count(checked, n));
}

static int print_checked(struct cli *c, const struct check *k, struct totals *t)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct check_finding *f = &k->found[i];
		struct shown_finding s = {.id = f->id,
			.severity = lint_severity_names[f->severity],
			.where = f->where,
			.text = f->text,
			.remedy = f->remedy.p,
			.recipients = f->recipients,
			.read = f->recipients == 0 ? f->read : 0,
			.of = f->of,
			.first = f->first};
		count(t, f->severity);
		if (finding_print(c, &s) != 0)
			return -1;
	}
	return 0;
}

/* What went well, so that a script is told as well that something was looked at. */
static int print_summary(struct cli *c, const struct check *k, ms_t took)
{
	char n[TEXT_NUMBER], read[TEXT_NUMBER], bytes[TEXT_NUMBER],
		skipped[TEXT_NUMBER + 16] = "", number[TEXT_NUMBER], span[CLOCK_TEXT], text[300];
	if (k->skipped > 0)
		snprintf(skipped, sizeof skipped, ", %s skipped", text_count(k->skipped, number));
	snprintf(text, sizeof text, "composed for %s %s in %s%s, %s read closely, the largest has %s",
		text_count(k->checked - k->failed - k->skipped, n),
		k->checked - k->failed - k->skipped == 1 ? "recipient" : "recipients",
		clock_span_text(took, span), skipped, text_count(k->read, read), text_bytes(k->bytes, bytes));
	struct shown_finding s = {
		.id = "composed", .severity = k->failed == 0 ? "pass" : "info", .text = str_from(text)};
	return finding_print(c, &s);
}

static int check_everybody(struct cli *c, struct launch *l, const struct token_keys *keys, struct err *e)
{
	struct progress *progress = progress_new(c);
	struct check_options o = {.keys = keys, .findings = true, .progress = progressed, .ctx = progress};
	struct check k;
	struct totals t = {0};
	char what[64], n[TEXT_NUMBER];
	ms_t begin = clock_mono();
	int rc = check_run(l, &o, &k, e);
	progress_end(&progress);
	if (rc == 0 && k.checked == 0)
		rc = err_set(e, ERR_NOINPUT, "check", "nobody is selected, or all of them are suppressed");
	else if (rc == 0 &&
		 (print_checked(c, &k, &t) != 0 || print_summary(c, &k, clock_mono() - begin) != 0))
		rc = output_error(e);
	snprintf(what, sizeof what, k.checked == 1 ? "%s message" : "%s messages", text_count(k.checked, n));
	check_release(&k);
	return rc != 0 ? -1 : verdict(c, &t, what);
}

static int message(struct cli *c, struct err *e)
{
	struct audience_spec spec;
	struct launch l = {0};
	const struct config *cfg = cli_config(c, e);
	if (c->nargs != 1)
		return cli_usage(c, e, "one message at a time; finished ones, with --source, may be many");
	if (!cli_audience_given(c))
		return cli_usage(c, e, "say for whom: --list LIST, --where, --of …");
	struct store *s = cfg != NULL ? cli_store(c, STORE_READ, e) : NULL;
	const struct token_keys *keys = s != NULL ? cli_keys(c, e) : NULL;
	if (keys == NULL)
		return -1;
	cli_audience(c, &spec);
	int rc = launch_open(&l, c->args[0], NULL, cfg, s, e);
	if (rc == 0)
		rc = launch_audience(&l, &spec, e);
	if (rc == 0 && cli_value(c, "route") != NULL) {
		rc = launch_plan(&l, cli_value(c, "route"), e);
	} else if (rc == 0) {
		/* That there is none is a finding. */
		launch_plan(&l, NULL, NULL);
	}
	if (rc == 0)
		rc = check_everybody(c, &l, keys, e);
	launch_close(&l);
	return rc;
}

static int run(struct cli *c, struct err *e)
{
	return cli_given(c, "source") ? sources(c, e) : message(c, e);
}

static const struct option options[] = {
	CLI_AUDIENCE,
	{.name = "route", .value = "ROUTE", .help = "as it would leave by this [route] of the configuration"},
	{.name = "source",
		.help = "the arguments are finished messages (.eml): read them as a strict receiver would"},
	{.name = "strict", .help = "a warning fails, too"},
	{0},
};

const struct command cmd_check = {
	.name = "check",
	.args = "MESSAGE|FILE.eml…",
	.min_args = 1,
	.max_args = -1,
	.group = GROUP_CAMPAIGN,
	.summary = "read a message as a spam filter and a careful editor would",
	.help = "Composes the message for every recipient of the audience, sends nothing, and\n"
		"says what is wrong, for how many, and who is the first of them. With --source\n"
		"it reads finished messages from files, or one from standard input (-). Ends\n"
		"with status 1 if anything fails.\n",
	.options = options,
	.run = run,
};
