#include "src/base/file.h"
#include "src/cli/findings.h"
#include "src/cli/output.h"
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
	if (!c->quiet)
		fprintf(stderr, "postrider: checked %s: %s failing, %s warnings, %s notes\n", what,
			text_count(t->fails, f), text_count(t->warns, w), text_count(t->infos, i));
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

static int run(struct cli *c, struct err *e)
{
	return cli_given(c, "source") ? sources(c, e)
				      : cli_usage(c, e, "give finished messages with --source");
}

static const struct option options[] = {
	{.name = "source",
		.help = "the arguments are finished messages (.eml): read them as a strict receiver would"},
	{.name = "strict", .help = "a warning fails, too"},
	{0},
};

const struct command cmd_check = {
	.name = "check",
	.args = "FILE.eml…",
	.min_args = 1,
	.max_args = -1,
	.group = GROUP_CAMPAIGN,
	.summary = "read a message as a spam filter and a careful editor would",
	.help = "Ends with status 1 if anything fails.\n",
	.options = options,
	.run = run,
};
