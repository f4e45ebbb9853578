#include "src/cli/private.h"

#include "src/base/utf8.h"

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? json_str(str_from(text)) : json_null();
}

static void print_json(const struct err *e)
{
	json_t *in = json_object(), *doc = json_object();
	json_put(in, "exit", json_integer(e->code));
	json_put(in, "what", json_str(str_from(e->what)));
	json_put(in, "why", json_str(str_from(e->why)));
	json_put(in, "remedy", text_or_null(e->remedy));
	json_put(in, "file", text_or_null(e->file));
	json_put(in, "line", e->line > 0 ? json_integer(e->line) : json_null());
	json_put(doc, "error", in);
	(void)json_document(doc);
}

/* Without memory: what is no plain character becomes a question mark. */
static void print_plainly(const struct err *e)
{
	char line[sizeof e->what + sizeof e->why + 32];
	int n = snprintf(line, sizeof line, "postrider: %s: %s", e->what, e->why);
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || (unsigned char)line[i] > '~')
			line[i] = '?';
	fprintf(stderr, "%s\n", line);
}

/* For people one line, and one with the remedy; with --json the document as well, on standard output. */
void error_print(const struct cli *c, const struct err *e)
{
	const char *red = c->color_err ? "\x1b[31m" : "", *off = c->color_err ? "\x1b[0m" : "";
	struct buf b = BUF_INIT(16 << 10);
	if (!buf_reserve(&b, sizeof *e)) {
		print_plainly(e);
		return;
	}
	buf_printf(&b, "%spostrider:%s ", red, off);
	if (e->file[0] == '\0' || strcmp(e->what, e->file) != 0)
		buf_printf(&b, "%s: ", out_safe(str_from(e->what)));
	if (e->file[0] != '\0' && e->line > 0)
		buf_printf(&b, "%s:%ld: ", out_safe(str_from(e->file)), e->line);
	else if (e->file[0] != '\0')
		buf_printf(&b, "%s: ", out_safe(str_from(e->file)));
	buf_printf(&b, "%s\n", out_safe(str_from(e->why)));
	/* An expression with the place in it below takes two lines. */
	for (struct str rest = str_from(e->remedy); rest.n > 0;) {
		size_t n = str_find(rest, '\n');
		buf_printf(&b, "  %s\n", out_safe(str_n(rest.p, n)));
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	/* In one write: other processes may use the same terminal. */
	fwrite(buf_cstr(&b), 1, b.len, stderr);
	buf_release(&b);
	if (c->json)
		print_json(e);
}
