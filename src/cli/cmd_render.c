/* render: a Liquid template with JSON data, or many of them for a conformance suite. */
#include "src/base/file.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "templates/liquid.h"
#include "templates/message.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_FILE = 64 << 20, ARENA_FIRST = 64 << 10, ARENA_MAX = 512 << 20 };

/* ---- one template ---- */

static int load_data(const struct cli *c, json_t **out, struct err *e)
{
	const char *path = cli_value(c, "data");
	struct buf text = BUF_INIT(MAX_FILE);
	json_error_t why;
	*out = NULL;
	if (path == NULL)
		return 0;
	int rc = file_read(path, &text, e);
	if (rc == 0 && (*out = json_loadb(buf_cstr(&text), text.len, JSON_ALLOW_NUL, &why)) == NULL) {
		rc = err_set(e, ERR_DATA, "data", "%s", why.text);
		err_at(e, path, why.line);
	} else if (rc == 0 && !json_is_object(*out)) {
		rc = err_set(e, ERR_DATA, "data", "it must be a JSON object");
		err_at(e, path, 1);
	}
	buf_release(&text);
	return rc;
}

static int print(const struct liquid_result *r, struct err *e)
{
	if (r->aborted)
		return err_set(e, ERR_CHECK, "abort_message", "%.*s", STR_ARG(r->reason));
	return fwrite(r->text.p, 1, r->text.n, stdout) == r->text.n ? 0 : output_error(e);
}

static int render_text(struct str text, const struct liquid_options *o, json_t *data, struct err *e)
{
	struct arena a;
	struct liquid_result r;
	struct liquid_vars v = {.data = data, .now = clock_now()};
	struct liquid_names *names = liquid_names_new();
	if (names == NULL)
		return err_set(e, ERR_INTERNAL, "render", "out of memory");
	arena_init(&a, ARENA_FIRST, ARENA_MAX);
	struct liquid *l = liquid_compile(text, o, names, e);
	int rc = l != NULL ? liquid_render(l, &v, NULL, &a, &r, e) : -1;
	if (rc == 0)
		rc = print(&r, e);
	liquid_free(&l);
	liquid_names_free(&names);
	arena_release(&a);
	return rc;
}

static int render_file(struct cli *c, struct err *e)
{
	const char *path = c->args[0];
	struct buf text = BUF_INIT(MAX_FILE);
	struct message_dir dir;
	struct message_reader reader = {0};
	struct err no_config;
	json_t *data = NULL;
	bool in = strcmp(path, "-") == 0, html = str_ends(str_from(path), STR(".html"));
	if (file_read(path, &text, e) != 0 || load_data(c, &data, e) != 0 ||
		(!in && message_dir_open(&dir, path, &reader, e) != 0)) {
		buf_release(&text);
		json_decref(data);
		return -1;
	}
	struct liquid_options o = {
		.plain = cli_given(c, "plain"),
		.escape = html && !cli_given(c, "plain") ? LIQUID_HTML : LIQUID_PLAIN,
		.zone = cli_zone(c, &no_config),
		.locale = cli_value(c, "locale"),
		.path = in ? "(standard input)" : path,
		.read = reader.read,
		.ctx = reader.ctx,
	};
	int rc = render_text(buf_get(&text), &o, data, e);
	if (!in)
		message_dir_close(&dir);
	buf_release(&text);
	json_decref(data);
	return rc;
}

/* ---- many ---- */

static int read_member(void *ctx, const char *name, struct buf *out, struct err *e)
{
	json_t *text = json_object_get(ctx, name);
	if (!json_is_string(text))
		return err_set(e, ERR_NOINPUT, "template", "No such template '%s'", name);
	buf_add(out, json_string_value(text), json_string_length(text));
	return out->failed ? err_set(e, ERR_INTERNAL, "template", "out of memory") : 0;
}

/* "mode": "strict2", or a suite's own "tags" with it. */
static bool wants_strict(json_t *query)
{
	size_t i;
	json_t *tag;
	json_t *mode = json_object_get(query, "mode");
	if (json_is_string(mode) && strcmp(json_string_value(mode), "strict2") == 0)
		return true;
	json_array_foreach(json_object_get(query, "tags"), i, tag)
	{
		if (json_is_string(tag) && strcmp(json_string_value(tag), "strict2") == 0)
			return true;
	}
	return false;
}

static json_t *error_answer(const struct err *e)
{
	json_t *o = json_object();
	json_object_set_new(o, "error", json_str(str_from(e->why)));
	json_object_set_new(o, "line", json_integer(e->line != 0 ? e->line : 1));
	json_object_set_new(o, "column", json_integer(e->column != 0 ? e->column : 1));
	return o;
}

/* A template that fails while it is rendered is shown as well as the reference shows it, with the error in
 * its text. */
static json_t *render_answer(const struct liquid *l, struct liquid_vars *v, struct arena *a)
{
	struct liquid_result r;
	struct err e = {0}, ignored;
	if (liquid_render(l, v, NULL, a, &r, &e) == 0) {
		json_t *o = json_object();
		json_object_set_new(o, "result", json_str(r.text));
		return o;
	}
	json_t *o = error_answer(&e);
	arena_reset(a);
	v->inline_errors = true;
	if (liquid_render(l, v, NULL, a, &r, &ignored) == 0)
		json_object_set_new(o, "output", json_str(r.text));
	return o;
}

static json_t *answer(json_t *query, bool plain, struct arena *a)
{
	struct err e = {0};
	json_t *text = json_object_get(query, "template"), *data = json_object_get(query, "data");
	struct liquid_options o = {
		.plain = plain,
		.strict = wants_strict(query),
		.read = read_member,
		.ctx = json_object_get(query, "templates"),
	};
	if (!json_is_string(text)) {
		err_set(&e, ERR_DATA, "render", "\"template\" must be a string");
		return error_answer(&e);
	}
	struct liquid_names *names = liquid_names_new();
	struct liquid_vars v = {.data = json_is_object(data) ? data : NULL, .now = clock_now()};
	struct liquid *l = names == NULL
				   ? NULL
				   : liquid_compile(str_n(json_string_value(text), json_string_length(text)),
					     &o, names, &e);
	json_t *out = l != NULL ? render_answer(l, &v, a) : error_answer(&e);
	liquid_free(&l);
	liquid_names_free(&names);
	arena_reset(a);
	return out;
}

static json_t *answer_line(struct str line, bool plain, struct arena *a)
{
	json_error_t why;
	struct err e = {0};
	json_t *query = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &why);
	json_t *out;
	if (json_is_object(query)) {
		out = answer(query, plain, a);
	} else {
		err_set(&e, ERR_DATA, "render", "%s", query == NULL ? why.text : "not a JSON object");
		out = error_answer(&e);
	}
	json_decref(query);
	return out;
}

/* Every line is answered at once, whatever is in it. */
static int render_batch(bool plain, struct err *e)
{
	struct arena a;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;
	arena_init(&a, ARENA_FIRST, ARENA_MAX);
	while (rc == 0 && (n = getline(&line, &cap, stdin)) > 0) {
		struct str s = str_trim(str_n(line, (size_t)n));
		if (s.n == 0)
			continue;
		if (json_line(answer_line(s, plain, &a)) != 0 || fflush(stdout) != 0)
			rc = output_error(e);
	}
	free(line);
	arena_release(&a);
	return rc;
}

static int run(struct cli *c, struct err *e)
{
	if (!cli_given(c, "batch"))
		return c->nargs == 1 ? render_file(c, e) : cli_usage(c, e, "a template is missing");
	if (c->nargs != 0 || cli_given(c, "data"))
		return cli_usage(c, e, "--batch reads templates and data from standard input");
	return render_batch(!cli_given(c, "profile"), e);
}

static const struct option options[] = {
	{.name = "plain", .help = "the bare language: no escaping, no extra filters, include allowed"},
	{.name = "data",
		.value = "FILE",
		.help = "a JSON object with the template's values; - is standard input"},
	{.name = "locale",
		.value = "TAG",
		.help = "names of days and months, and signs of numbers: en, ja, de, fr, es …"},
	{.name = "batch", .help = "read JSON Lines from standard input, answer each with a line"},
	{.name = "profile", .help = "with --batch: the language of messages instead of the bare one"},
	{0},
};

const struct command cmd_render = {
	.name = "render",
	.args = "FILE|-",
	.summary = "render a Liquid template with JSON data",
	.help = "Values are escaped when the file's name ends in .html. Partials are read from\n"
		"the template's folder and never from above it.\n"
		"\n"
		"--batch is for conformance suites. A line is\n"
		"  {\"template\": …, \"data\": {…}, \"templates\": {name: source}}\n"
		"and its answer\n"
		"  {\"result\": …} or {\"error\": …, \"line\": N, \"column\": N}.\n"
		"Where rendering failed, \"output\" holds what the reference would have written,\n"
		"with the error in the text. \"mode\": \"strict2\" asks for the stricter rules of\n"
		"that name.\n",
	.group = GROUP_CAMPAIGN,
	.options = options,
	.max_args = 1,
	.run = run,
};
