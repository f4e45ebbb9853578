#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

const char *const lint_severity_names[] = {"fail", "warn", "info"};

enum { LINE_MAX_OCTETS = 998, LINE_GOOD = 78, SHOW_MAX = 80, SAME_MAX = 10 };

static const struct {
	const char *id;
	enum lint_severity severity;
	const char *remedy;
} rules[L_NRULES] = {
#define X(name, id, severity, remedy) {id, LINT_##severity, remedy},
	LINT_RULES(X)
#undef X
};

/* ---- Findings ---- */

static long line_of(struct linter *l, const char *at)
{
	if (at == NULL)
		return 0;
	if (at < l->line_at) {
		l->line_at = l->begin;
		l->line_no = 1;
	}
	for (const char *q; (q = memchr(l->line_at, '\n', (size_t)(at - l->line_at))) != NULL;
		l->line_at = q + 1)
		l->line_no++;
	return l->line_no;
}

/* The finding to be filled in; NULL: it was there before, or there is no room. line > 0: each line has one of
 * its own. */
static struct lint_finding *finding(struct linter *l, enum lint_rule r, struct str place, long line)
{
	struct lint *out = l->out;
	int same = 0;
	for (size_t i = 0; i < out->n; i++) {
		struct lint_finding *f = &out->found[i];
		if (f->id != rules[r].id || !str_eq(f->place, place))
			continue;
		if (line == 0 || f->line == line || ++same == SAME_MAX) {
			f->times++;
			return NULL;
		}
	}
	if (out->n == LINT_MAX) {
		out->skipped = true;
		return NULL;
	}
	struct lint_finding *f = &out->found[out->n++];
	*f = (struct lint_finding){.id = rules[r].id,
		.severity = rules[r].severity,
		.place = place,
		.remedy = rules[r].remedy,
		.times = 1};
	return f;
}

__attribute__((format(printf, 2, 0))) static struct str text_of(struct linter *l, const char *fmt, va_list ap)
{
	char text[400];
	int n = vsnprintf(text, sizeof text, fmt, ap);
	struct str s = str_n(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
	return arena_str(l->a, s);
}

void lint_add(struct linter *l, enum lint_rule r, struct str place, const char *at, const char *fmt, ...)
{
	struct lint_finding *f = finding(l, r, place, 0);
	va_list ap;
	if (f == NULL)
		return;
	f->line = line_of(l, at);
	va_start(ap, fmt);
	f->text = text_of(l, fmt, ap);
	va_end(ap);
}

void lint_add_decoded(struct linter *l, enum lint_rule r, struct str place, long line, const char *fmt, ...)
{
	struct lint_finding *f = finding(l, r, place, line);
	va_list ap;
	if (f == NULL)
		return;
	f->line = line;
	f->decoded = true;
	va_start(ap, fmt);
	f->text = text_of(l, fmt, ap);
	va_end(ap);
}

const char *lint_show(struct linter *l, struct str s)
{
	struct buf b = BUF_INIT(8 * SHOW_MAX + 64);
	struct str cut = utf8_cut(str_n(s.p, s.n < 4 * SHOW_MAX ? s.n : 4 * SHOW_MAX), SHOW_MAX);
	utf8_safe(&b, cut);
	if (cut.n < s.n)
		buf_puts(&b, "…");
	char *z = arena_strdup(l->a, buf_cstr(&b));
	buf_release(&b);
	return z != NULL ? z : "";
}

struct str lint_where(const struct lint_finding *f, struct arena *a)
{
	const char *line = f->decoded ? "line" : "message line";
	if (f->line == 0)
		return f->place;
	if (f->place.n == 0)
		return arena_printf(a, "%s %ld", line, f->line);
	return arena_printf(a, "%.*s, %s %ld", STR_ARG(f->place), line, f->line);
}

/* ---- Line rules ---- */

static bool foldable(struct str line)
{
	size_t i = str_find(line, ':');
	if (i >= line.n || i > LINE_GOOD)
		i = 0;
	for (i += 2; i < line.n && i < LINE_GOOD; i++)
		if ((line.p[i] == ' ' || line.p[i] == '\t') && i > 1)
			return true;
	return false;
}

static void one_line(struct linter *l, struct str line, bool header)
{
	const struct str place = header ? STR("header") : STR("body");
	if (line.n > LINE_MAX_OCTETS && header)
		lint_add(l, L_HEADER_LENGTH, place, line.p,
			"a header line has %zu bytes, over the limit of 998", line.n);
	else if (line.n > LINE_MAX_OCTETS)
		lint_add(l, L_LINE_LENGTH, place, line.p, "a line has %zu bytes, over the limit of 998",
			line.n);
	else if (header && line.n > LINE_GOOD && foldable(line))
		lint_add(l, L_HEADER_FOLD, place, line.p,
			"a header line has %zu characters and could be folded", line.n);
	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];
		if (c >= ' ' && c != 0x7f)
			continue;
		if (c == '\0')
			lint_add(l, L_NUL, place, line.p + i, "there is a NUL byte");
		else if (c == '\r')
			lint_add(l, L_BARE_CR, place, line.p + i, "there is a CR without LF");
		else if (c != '\t' && c != 0x1b)
			lint_add(l, L_CONTROL, place, line.p + i, "there is the control character 0x%02x", c);
	}
}

static void line_rules(struct linter *l, struct str s)
{
	bool header = true;
	for (size_t at = 0; at < s.n;) {
		size_t n = str_find(str_n(s.p + at, s.n - at), '\n'), end = at + n;
		bool ended = end < s.n, crlf = ended && n > 0 && s.p[end - 1] == '\r';
		struct str line = str_n(s.p + at, crlf ? n - 1 : n);
		if (ended && !crlf)
			lint_add(l, L_BARE_LF, header ? STR("header") : STR("body"), s.p + at,
				"a line ends with LF alone");
		one_line(l, line, header);
		header = header && line.n != 0;
		at = end + 1;
	}
}

void lint_message(struct lint *out, struct arena *a, struct str message)
{
	struct linter l = {.out = out, .a = a, .begin = message.p, .line_at = message.p, .line_no = 1};
	struct lint_headers h;
	*out = (struct lint){.a = a};
	line_rules(&l, message);
	struct str body = lint_fields(&l, message, STR("header"), &h);
	lint_top(&l, &h);
	lint_list(&l, &h);
	lint_entity(&l, &h, body, 0);
	lint_html(&l);
	out->skipped = out->skipped || a->failed;
}
