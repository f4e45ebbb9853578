#include "templates/opaque.h"

#include "src/base/utf8.h"

#include <stdio.h>

enum { FIRST = 0xF0000, MOST = 0x10FFFD - FIRST };

struct str opaque_word(const struct opaque_span *s)
{
	struct str t = s->text;
	size_t i = t.n < 2 ? t.n : 2;
	while (i < t.n && (t.p[i] == '-' || t.p[i] == ' ' || t.p[i] == '\t' || t.p[i] == '\n'))
		i++;
	size_t from = i;
	while (i < t.n && ((t.p[i] >= 'a' && t.p[i] <= 'z') || (t.p[i] >= 'A' && t.p[i] <= 'Z') ||
				  t.p[i] == '_' || t.p[i] == '#' || (t.p[i] >= '0' && t.p[i] <= '9')))
		i++;
	return str_n(t.p + from, i - from);
}

static enum opaque_kind kind_of(const struct opaque_span *s)
{
	static const struct {
		const char *word;
		enum opaque_kind kind;
	} words[] = {
		{"if", OPAQUE_OPEN},
		{"unless", OPAQUE_OPEN},
		{"for", OPAQUE_OPEN},
		{"case", OPAQUE_OPEN},
		{"capture", OPAQUE_OPEN},
		{"tablerow", OPAQUE_OPEN},
		{"ifchanged", OPAQUE_OPEN},
		{"else", OPAQUE_MIDDLE},
		{"elsif", OPAQUE_MIDDLE},
		{"when", OPAQUE_MIDDLE},
		{"assign", OPAQUE_SILENT},
		{"comment", OPAQUE_SILENT},
		{"doc", OPAQUE_SILENT},
		{"#", OPAQUE_SILENT},
		{"abort_message", OPAQUE_SILENT},
		{"break", OPAQUE_SILENT},
		{"continue", OPAQUE_SILENT},
	};
	if (s->text.n < 2 || s->text.p[0] != '{')
		return OPAQUE_OTHER;
	if (s->text.p[1] == '{')
		return OPAQUE_VALUE;
	struct str w = opaque_word(s);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_is(w, words[i].word))
			return words[i].kind;
	return str_starts(w, STR("end")) ? OPAQUE_CLOSE : OPAQUE_OTHER;
}

static int full(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "message", "out of memory");
}

static int add(struct opaque *o, const struct opaque_span *s, struct run *out, struct err *e)
{
	if (o->n >= MOST)
		return err_set(
			e, ERR_DATA, s->file != NULL ? s->file->path : "message", "too many Liquid tags");
	if (o->n == o->cap) {
		size_t cap = o->cap == 0 ? 64 : o->cap * 2;
		struct opaque_span *v = arena_alloc(o->a, cap * sizeof *v);
		if (v == NULL)
			return full(e);
		if (o->n != 0)
			memcpy(v, o->spans, o->n * sizeof *v);
		o->spans = v;
		o->cap = cap;
	}
	o->spans[o->n] = *s;
	o->spans[o->n].kind = kind_of(s);
	char c[4];
	size_t n = utf8_put(c, FIRST + (uint32_t)o->n);
	run_add(out, c, n);
	o->n++;
	return out->failed ? full(e) : 0;
}

bool opaque_add(struct opaque *o, struct str liquid, struct run *out)
{
	struct opaque_span s = {.text = arena_str(o->a, liquid)};
	return !o->a->failed && add(o, &s, out, NULL) == 0;
}

/* --- finding spans --- */

/* Offset behind `close` at or after i; 0: not there. */
static size_t behind(struct str s, size_t i, const char *close)
{
	const char *p = i <= s.n ? memmem(s.p + i, s.n - i, close, strlen(close)) : NULL;
	return p != NULL ? (size_t)(p - s.p) + strlen(close) : 0;
}

/* Offset behind {% NAME %} at or after i, for NAME = end…; blocks of the same name inside are counted if
 * `nested`. */
static size_t behind_block(struct str s, size_t i, const char *name, bool nested)
{
	size_t depth = 1;
	while (i < s.n) {
		const char *p = memmem(s.p + i, s.n - i, "{%", 2);
		if (p == NULL)
			return 0;
		size_t from = (size_t)(p - s.p), to = behind(s, from + 2, "%}");
		if (to == 0)
			return 0;
		struct opaque_span t = {.text = str_n(s.p + from, to - from)};
		struct str w = opaque_word(&t);
		if (nested && str_is(w, name))
			depth++;
		if (str_starts(w, STR("end")) && str_is(str_n(w.p + 3, w.n - 3), name) && --depth == 0)
			return to;
		/* Inside raw a tag need not end: go on behind its beginning. */
		i = nested ? to : from + 2;
	}
	return 0;
}

static bool is_private(struct str s, size_t i)
{
	return i + 4 <= s.n && ((unsigned char)s.p[i] == 0xF4 ||
				       ((unsigned char)s.p[i] == 0xF3 && (unsigned char)s.p[i + 1] >= 0xB0));
}

/* Length of the span at i; 0: none; (size_t)-1: it does not end. */
static size_t span_at(struct str s, size_t i)
{
	if (is_private(s, i))
		return 4;
	if (s.p[i] != '{' || i + 1 >= s.n || (s.p[i + 1] != '{' && s.p[i + 1] != '%'))
		return 0;
	size_t to = behind(s, i + 2, s.p[i + 1] == '{' ? "}}" : "%}");
	if (to == 0)
		return (size_t)-1;
	if (s.p[i + 1] == '%') {
		struct opaque_span t = {.text = str_n(s.p + i, to - i)};
		struct str w = opaque_word(&t);
		if (str_is(w, "raw") || str_is(w, "doc"))
			to = behind_block(s, to, str_is(w, "raw") ? "raw" : "doc", false);
		else if (str_is(w, "comment"))
			to = behind_block(s, to, "comment", true);
	}
	return to == 0 ? (size_t)-1 : to - i;
}

int opaque_hide(struct opaque *o, struct str text, const struct opaque_file *file, long line, struct run *out,
	struct err *e)
{
	long column = 1;
	size_t plain = 0;
	for (size_t i = 0; i < text.n;) {
		size_t n = span_at(text, i);
		if (n == (size_t)-1) {
			err_set(e, ERR_DATA, file->path, "a Liquid tag that does not end");
			if (e != NULL)
				e->column = column;
			return err_at(e, file->path, line);
		}
		if (n != 0) {
			run_add(out, text.p + plain, i - plain);
			struct opaque_span s = {
				.text = str_n(text.p + i, n), .file = file, .line = line, .column = column};
			if (add(o, &s, out, e) != 0)
				return -1;
			plain = i + n;
		}
		for (size_t end = i + (n != 0 ? n : 1); i < end; i++) {
			column += ((unsigned char)text.p[i] & 0xC0) != 0x80;
			if (text.p[i] == '\n') {
				line++;
				column = 1;
			}
		}
	}
	run_add(out, text.p + plain, text.n - plain);
	return out->failed ? full(e) : 0;
}

/* --- and back --- */

const struct opaque_span *opaque_at(const struct opaque *o, struct str s, size_t i)
{
	if (!is_private(s, i))
		return NULL;
	size_t n = utf8_next(s, &i) - FIRST;
	return n < o->n ? &o->spans[n] : NULL;
}

bool opaque_in(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_private(s, i))
			return true;
	return false;
}

bool opaque_show(const struct opaque *o, struct str hidden, struct opaque_map *out)
{
	struct run r = RUN_INIT(o->a);
	size_t n = 0;
	for (size_t i = 0; i < hidden.n; i++)
		n += is_private(hidden, i);
	*out = (struct opaque_map){.o = o};
	out->offsets = arena_alloc(o->a, (n + 1) * sizeof *out->offsets);
	out->spans = arena_alloc(o->a, (n + 1) * sizeof *out->spans);
	if (out->offsets == NULL || out->spans == NULL)
		return false;
	for (size_t i = 0; i < hidden.n;) {
		const struct opaque_span *s = opaque_at(o, hidden, i);
		if (s == NULL) {
			run_putc(&r, hidden.p[i++]);
			continue;
		}
		out->offsets[out->n] = r.n;
		out->spans[out->n++] = (size_t)(s - o->spans);
		run_str(&r, s->text);
		i += OPAQUE_LEN;
	}
	out->source = run_get(&r);
	return !r.failed;
}

/* --- errors --- */

static size_t offset_of(struct str s, long line, long column)
{
	size_t i = 0;
	for (; i < s.n && line > 1; i++)
		line -= s.p[i] == '\n';
	for (; i < s.n && column > 1 && s.p[i] != '\n'; column--)
		utf8_next(s, &i);
	return i;
}

static struct str line_text(struct str s, long line)
{
	size_t i = offset_of(s, line, 1);
	return str_n(s.p + i, str_find(str_n(s.p + i, s.n - i), '\n'));
}

void opaque_locate(const struct opaque_map *m, struct err *e)
{
	if (e == NULL || e->line <= 0)
		return;
	size_t at = offset_of(m->source, e->line, e->column), i = 0;
	while (i < m->n && m->offsets[i] <= at)
		i++;
	const struct opaque_span *s = i > 0 ? &m->o->spans[m->spans[i - 1]] : NULL;
	if (s == NULL || s->file == NULL || at >= m->offsets[i - 1] + s->text.n) {
		e->line = e->column = 0;
		return;
	}
	e->line = s->line;
	e->column = s->column;
	for (size_t k = m->offsets[i - 1]; k < at; k++) {
		e->column += ((unsigned char)m->source.p[k] & 0xC0) != 0x80;
		if (m->source.p[k] == '\n') {
			e->line++;
			e->column = 1;
		}
	}
	snprintf(e->file, sizeof e->file, "%s", s->file->path);
	struct str shown = utf8_cut(line_text(s->file->text, e->line), 120);
	snprintf(e->remedy, sizeof e->remedy, "%.*s", STR_ARG(shown));
}
