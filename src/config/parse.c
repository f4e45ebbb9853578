#include "src/config/parse.h"

#include "src/base/file.h"
#include "src/base/utf8.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX    (1 << 20)
#define LINE_MAX_   4096
#define VALUE_MAX   8192
#define SECTION_MAX 300
#define DEPTH_MAX   10
#define FILES_MAX   200

struct source { /* one file being read */
	struct arena *arena;
	const struct parse_ops *ops;
	void *ctx;
	struct err *e;
	struct str rest;
	struct config_at at;
	int depth, *files; /* of all files together */
	bool failed;
	char kind[SECTION_MAX], name[SECTION_MAX];
};

int config_bad(struct err *e, struct config_at at, const char *fmt, ...)
{
	char why[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	err_set(e, ERR_CONFIG, "bad configuration", "%s", why);
	return err_at(e, at.file, at.line);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "cannot read the configuration", "out of memory");
}

/* ---- Values ---- */

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool name_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* Up to the comment: `#` or `;` at the start or behind a blank. */
static struct str without_comment(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] == '#' || s.p[i] == ';') && (i == 0 || blank(s.p[i - 1])))
			return str_trim(str_n(s.p, i));
	return str_trim(s);
}

/* "…" with \" and \\; behind it only a comment may stand. */
static int unquote(const struct source *src, struct str s, struct buf *out)
{
	size_t i = 1;
	for (; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
			i++;
		buf_putc(out, s.p[i]);
	}
	if (i >= s.n)
		return config_bad(src->e, src->at, "a quote is not closed");
	if (without_comment(str_n(s.p + i + 1, s.n - i - 1)).n != 0)
		return config_bad(src->e, src->at, "there is text behind the closing quote");
	return 0;
}

/* s begins with "${". Moves it past the closing brace. */
static int expand_one(const struct source *src, struct str *s, struct buf *out)
{
	char name[128];
	size_t end = str_find(*s, '}'), n = 0;
	for (size_t i = 2; i < end && n < sizeof name - 1 && name_char(s->p[i], n == 0); i++)
		name[n++] = s->p[i];
	name[n] = '\0';
	if (end == s->n || n == 0 || n + 2 != end)
		return config_bad(src->e, src->at,
			"write ${NAME} for an environment variable, and $${ for the characters");
	const char *value = getenv(name);
	if (value == NULL)
		return config_bad(src->e, src->at, "the environment variable %s is not set", name);
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return config_bad(src->e, src->at,
				"the environment variable %s holds a control character", name);
	if (!utf8_valid(str_from(value)))
		return config_bad(src->e, src->at, "the environment variable %s is not UTF-8", name);
	buf_puts(out, value);
	*s = str_n(s->p + end + 1, s->n - end - 1);
	return 0;
}

static int expand(const struct source *src, struct str s, struct buf *out)
{
	while (s.n > 0) {
		if (str_starts(s, STR("$${"))) {
			buf_puts(out, "${");
			s = str_n(s.p + 3, s.n - 3);
		} else if (str_starts(s, STR("${"))) {
			if (expand_one(src, &s, out) != 0)
				return -1;
		} else {
			buf_putc(out, s.p[0]);
			s = str_n(s.p + 1, s.n - 1);
		}
	}
	return 0;
}

/* The value in the arena, NULL with the error. */
static const char *value_clean(const struct source *src, const char *raw)
{
	struct str s = str_trim(str_from(raw));
	struct buf plain = BUF_INIT(LINE_MAX_), full = BUF_INIT(VALUE_MAX);
	const char *value = NULL;
	bool quoted = s.n > 0 && s.p[0] == '"';
	if (quoted ? unquote(src, s, &plain) != 0 : (buf_str(&plain, without_comment(s)), false))
		goto done;
	if (expand(src, buf_get(&plain), &full) != 0)
		goto done;
	if (full.len == 0)
		config_bad(src->e, src->at, "there is no value: write one, or delete the line");
	else if (full.failed || plain.failed)
		config_bad(src->e, src->at, "the value is longer than %d bytes", VALUE_MAX);
	else if ((value = arena_strdup(src->arena, buf_cstr(&full))) == NULL)
		no_memory(src->e);
done:
	buf_release(&plain);
	buf_release(&full);
	return value;
}

/* ---- Lines ---- */

static int line_check(const struct source *src, struct str line)
{
	if (line.n > LINE_MAX_)
		return config_bad(src->e, src->at, "the line is longer than %d bytes", LINE_MAX_);
	for (size_t i = 0; i < line.n; i++)
		if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
			return config_bad(src->e, src->at,
				"there is a control character (byte %02x) in column %zu",
				(unsigned)(unsigned char)line.p[i], i + 1);
	if (!utf8_valid(line))
		return config_bad(src->e, src->at,
			"the line is not UTF-8 (column %zu): save the file as UTF-8", utf8_check(line) + 1);
	return 0;
}

/* "[kind]", "[kind name]", "[kind "name"]", then at most a comment. */
static int section_line(struct source *src, struct str line)
{
	size_t end = str_find(line, ']');
	if (end == line.n)
		return config_bad(src->e, src->at, "the section's ] is missing");
	if (without_comment(str_n(line.p + end + 1, line.n - end - 1)).n != 0)
		return config_bad(src->e, src->at,
			"there is text behind the section's ]: keys go on lines of their own");
	struct str in = str_trim(str_n(line.p + 1, end - 1));
	size_t cut = 0;
	while (cut < in.n && !blank(in.p[cut]))
		cut++;
	struct str kind = str_n(in.p, cut), name = str_trim(str_n(in.p + cut, in.n - cut));
	if (name.n >= 2 && name.p[0] == '"' && name.p[name.n - 1] == '"')
		name = str_n(name.p + 1, name.n - 2);
	if (in.n == 0 || in.n >= SECTION_MAX)
		return config_bad(src->e, src->at,
			in.n == 0 ? "the section has no name" : "the section's name is too long");
	snprintf(src->kind, sizeof src->kind, "%.*s", STR_ARG(kind));
	snprintf(src->name, sizeof src->name, "%.*s", STR_ARG(name));
	return src->ops->section(src->ctx, src->kind, src->name, src->at, src->e);
}

/* inih's reader. Sections are taken here, because inih shortens their names and does not report empty ones;
 * it sees an empty line instead. */
static char *read_line(char *out, int max, void *stream)
{
	struct source *src = stream;
	if (src->rest.n == 0 || src->failed)
		return NULL;
	size_t n = str_find(src->rest, '\n');
	struct str line = str_n(src->rest.p, n);
	src->rest = str_n(src->rest.p + n + (n < src->rest.n), src->rest.n - n - (n < src->rest.n));
	src->at.line++;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line_check(src, line) != 0) {
		src->failed = true;
		return NULL;
	}
	struct str t = str_trim(line);
	if (t.n > 0 && t.p[0] == '[') {
		if (section_line(src, t) != 0) {
			src->failed = true;
			return NULL;
		}
		t.n = 0;
	}
	snprintf(out, (size_t)max, "%.*s\n", STR_ARG(t));
	return out;
}

static int read_source(const char *path, int depth, struct source *from, struct err *e);

static int include(struct source *src, const char *value)
{
	if (src->depth >= DEPTH_MAX)
		return config_bad(
			src->e, src->at, "files include each other %d deep: is it a circle?", DEPTH_MAX);
	if (++*src->files > FILES_MAX)
		return config_bad(src->e, src->at, "more than %d files are included", FILES_MAX);
	char *path = path_beside(src->at.file, value);
	if (path == NULL)
		return no_memory(src->e);
	int rc;
	if (!file_exists(path) && err_unread() == ERR_NOINPUT) {
		rc = config_bad(src->e, src->at, "the included file %s does not exist", path);
	} else {
		struct config_at top = {arena_strdup(src->arena, path), 0};
		rc = top.file == NULL ? no_memory(src->e) : src->ops->section(src->ctx, "", "", top, src->e);
		if (rc == 0)
			rc = read_source(path, src->depth + 1, src, src->e);
		if (rc != 0 && src->e != NULL && (src->e->code == ERR_NOINPUT || src->e->code == ERR_IO)) {
			struct err why = *src->e;
			rc = config_bad(src->e, src->at, "cannot read the included file %s", why.why);
		}
		if (rc == 0)
			rc = src->ops->section(src->ctx, src->kind, src->name, src->at, src->e);
	}
	free(path);
	return rc;
}

static int on_value(void *user, const char *section, const char *key, const char *raw)
{
	(void)section;
	struct source *src = user;
	const char *value = value_clean(src, raw);
	int rc = -1;
	if (value != NULL && strcmp(key, "include") == 0)
		rc = include(src, value);
	else if (value != NULL)
		rc = src->ops->value(src->ctx, key, value, src->at, src->e);
	src->failed = rc != 0;
	return rc == 0;
}

static int check_encoding(const struct source *src, struct buf *b)
{
	if (b->len >= 2 && (memcmp(b->p, "\xff\xfe", 2) == 0 || memcmp(b->p, "\xfe\xff", 2) == 0))
		return config_bad(
			src->e, (struct config_at){src->at.file, 1}, "the file is UTF-16: save it as UTF-8");
	if (b->len >= 3 && memcmp(b->p, "\xef\xbb\xbf", 3) == 0)
		buf_drop(b, 3);
	return 0;
}

static int read_lines(struct source *src, struct str text)
{
	src->rest = text;
	ini_use_stack = false;
	ini_initial_alloc = ini_max_line = LINE_MAX_ + 16;
	ini_allow_realloc = false;
	ini_allow_multiline = false; /* or an indented line would go on with the last value */
	ini_allow_inline_comments = false;
	ini_stop_on_first_error = true;
	int rc = ini_parse_stream(read_line, src, on_value, src);
	if (src->failed)
		return -1;
	if (rc == -2)
		return no_memory(src->e);
	return rc == 0 ? 0 : config_bad(src->e, src->at, "neither \"key = value\" nor a [section]");
}

static int read_source(const char *path, int depth, struct source *from, struct err *e)
{
	struct source src = {.arena = from->arena,
		.ops = from->ops,
		.ctx = from->ctx,
		.e = e,
		.depth = depth,
		.files = from->files,
		.at = {arena_strdup(from->arena, path), 0}};
	struct buf text = BUF_INIT(FILE_MAX);
	int rc = -1;
	if (src.at.file == NULL)
		rc = no_memory(e);
	else if (file_read(path, &text, e) == 0 && check_encoding(&src, &text) == 0)
		rc = read_lines(&src, buf_get(&text));
	buf_release(&text);
	return rc;
}

int parse_text(struct str text, const char *name, struct arena *a, const struct parse_ops *ops, void *ctx,
	struct err *e)
{
	int files = 0;
	struct source src = {.arena = a, .ops = ops, .ctx = ctx, .e = e, .files = &files, .at = {name, 0}};
	return read_lines(&src, text);
}

int parse_file(const char *path, struct arena *a, const struct parse_ops *ops, void *ctx, struct err *e)
{
	int files = 0;
	struct source root = {.arena = a, .ops = ops, .ctx = ctx, .files = &files};
	return read_source(path, 0, &root, e);
}
