/* Says what the reader finds in each file: a line of JSON as `receive --json` has it, for conformance tests
 * and measurements. usage: read_bounces [--rules FILE] [--repeat N] [--quiet] FILE… */
#include "engine/bounce/reader.h"
#include "src/base/file.h"
#include "src/db/delivery.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const class_names[CLASS_NCLASSES] = {"", "hard", "soft", "block", "message", "config"};

static json_t *text(struct str s)
{
	json_t *v = json_stringn(s.p != NULL ? s.p : "", s.n);
	return v != NULL ? v : json_string("?");
}

static void print(const char *file, const struct findings *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->nfailures; i++) {
		const struct failure *x = &f->failures[i];
		json_array_append_new(list,
			json_pack("{so ss so si so so so so ss si}", "address", text(x->address), "class",
				class_names[x->verdict.class], "reason", text(x->verdict.reason), "code",
				x->code, "enhanced", text(x->enhanced), "diagnostic", text(x->diagnostic),
				"host", text(x->host), "command", text(x->command), "source",
				x->who.source != NULL ? x->who.source : "", "rule", x->verdict.rule_line));
	}
	json_t *doc = json_pack("{ss ss ss so so so so}", "file", file, "kind", mail_kind_names[f->kind],
		"because", f->because.source != NULL ? f->because.source : "", "failures", list, "message_id",
		text(f->message_id), "feedback", text(f->feedback.type), "to", text(f->to));
	char *line = json_dumps(doc, JSON_COMPACT);
	puts(line != NULL ? line : "{}");
	free(line);
	json_decref(doc);
}

int main(int argc, char **argv)
{
	struct err e = {0};
	const char *rules_file = NULL;
	long repeat = 1;
	bool quiet = false;
	int first = 1;
	for (; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "--rules") == 0 && first + 1 < argc)
			rules_file = argv[++first];
		else if (strcmp(argv[first], "--repeat") == 0 && first + 1 < argc)
			repeat = atol(argv[++first]);
		else if (strcmp(argv[first], "--quiet") == 0)
			quiet = true;
		else
			return fprintf(stderr, "read_bounces: unknown option %s\n", argv[first]), 64;
	}
	struct rules *rules = rules_load(rules_file, &e);
	struct reader *r = rules != NULL ? reader_new(rules) : NULL;
	if (r == NULL)
		return fprintf(stderr, "read_bounces: %s: %s\n", e.what, e.why), 70;
	int n = argc - first, bad = 0;
	struct buf *files = calloc((size_t)n + 1, sizeof *files);
	for (int i = 0; i < n; i++) {
		files[i] = BUF_INIT(64 << 20);
		if (file_read(argv[first + i], &files[i], &e) != 0)
			bad = fprintf(stderr, "read_bounces: %s: %s\n", argv[first + i], e.why);
	}
	struct timespec from, to;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long k = 0; k < repeat; k++)
		for (int i = 0; i < n; i++) {
			struct findings f;
			if (reader_read(r, buf_get(&files[i]), NULL, &f) != 0)
				bad = fprintf(stderr, "read_bounces: %s: out of memory\n", argv[first + i]);
			else if (!quiet)
				print(argv[first + i], &f);
		}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	if (quiet)
		printf("{\"messages\":%ld,\"cpu_seconds\":%.4f}\n", repeat * n, seconds);
	for (int i = 0; i < n; i++)
		buf_release(&files[i]);
	free(files);
	reader_free(&r);
	rules_free(&rules);
	return bad != 0 ? 1 : 0;
}
