#include "templates/message_compose.h"

#include "src/base/utf8.h"
#include "templates/mime_base64.h"

/* --- quoted-printable: written as it is rendered --- */

struct qp_sink {
	struct qp q;
	const struct content *content;
};

static void qp_sink_literal(void *ctx, size_t i, struct str text)
{
	struct qp_sink *s = ctx;
	(void)text;
	qp_literal(&s->q, &s->content->literals[i]);
}

static void qp_sink_value(void *ctx, struct str text)
{
	struct qp_sink *s = ctx;
	qp_text(&s->q, text);
}

/* --- everything else: rendered first --- */

struct text_sink {
	struct run *out;
	const struct str *literals; /* in the form wanted; NULL: as they are */
	const char *newline;
	bool jis;
	bool fits; /* false: a value is malformed, or has no place in ISO-2022-JP */
};

/* Pieces begin and end in ASCII: between two that are not, the way there and back is left out. */
static void add_jis(struct run *out, struct str s)
{
	if (s.n > 3 && out->n > 3 && memcmp(s.p, "\x1b$B", 3) == 0 &&
		memcmp(out->p + out->n - 3, "\x1b(B", 3) == 0) {
		out->n -= 3;
		s = str_n(s.p + 3, s.n - 3);
	}
	run_str(out, s);
}

static void text_literal(void *ctx, size_t i, struct str text)
{
	struct text_sink *s = ctx;
	if (s->jis)
		add_jis(s->out, s->literals[i]);
	else
		run_str(s->out, s->literals != NULL ? s->literals[i] : text);
}

/* As the quoted-printable path does it: any line end is one, other control characters go. */
static void add_clean(struct run *out, struct str text, const char *newline)
{
	size_t plain = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if ((c >= ' ' && c != 0x7f) || c == '\t')
			continue;
		run_add(out, text.p + plain, i - plain);
		plain = i + 1;
		if (c == '\n' || (c == '\r' && (plain == text.n || text.p[plain] != '\n')))
			run_puts(out, newline);
	}
	run_add(out, text.p + plain, text.n - plain);
}

static bool is_clean_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c >= 0x7f)
			return false;
	}
	return true;
}

static void text_value(void *ctx, struct str text)
{
	struct text_sink *s = ctx;
	if (is_clean_ascii(text)) {
		run_str(s->out, text);
		return;
	}
	if (!s->jis) {
		s->fits = s->fits && utf8_valid(text);
		add_clean(s->out, text, s->newline);
		return;
	}
	struct run clean = RUN_INIT(s->out->a), jis = RUN_INIT(s->out->a);
	add_clean(&clean, text, s->newline);
	s->fits = s->fits && iso2022jp_add(&jis, run_get(&clean));
	add_jis(s->out, run_get(&jis));
	s->out->failed |= clean.failed || jis.failed;
}

/* An error is told in the file that the person wrote. */
static int render_content(struct compose *c, const struct content *content, const struct liquid_sink *sink)
{
	struct str none;
	if (compose_render(c, content->l, sink, &none) == 0)
		return 0;
	if (c->e != NULL && strcmp(c->e->file, c->m->path) == 0)
		opaque_locate(&content->map, c->e);
	return -1;
}

/* Blanks at line ends: what stood behind them was empty for this person. */
static void trim_lines(struct run *r, const char *newline)
{
	size_t to = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->p[i] == newline[0])
			while (to > 0 && (r->p[to - 1] == ' ' || r->p[to - 1] == '\t'))
				to--;
		r->p[to++] = r->p[i];
	}
	r->n = to;
}

static int render_text(struct compose *c, const struct content *content, struct text_sink *s)
{
	struct liquid_sink sink = {text_literal, text_value, s};
	s->fits = true;
	if (!run_reserve(s->out, content->map.source.n + 1024))
		return compose_no_memory(c);
	if (render_content(c, content, &sink) != 0)
		return -1;
	if (content->trim)
		trim_lines(s->out, s->newline);
	return s->out->failed ? compose_no_memory(c) : 0;
}

int compose_plain(struct compose *c, const struct content *content, struct str *out)
{
	struct run r = RUN_INIT(c->a);
	struct text_sink s = {.out = &r, .newline = "\n"};
	if (render_text(c, content, &s) != 0)
		return -1;
	*out = run_get(&r);
	return 0;
}

int compose_jis(struct compose *c, const struct content *content, struct str *out, bool *fits)
{
	struct run r = RUN_INIT(c->a);
	struct text_sink s = {.out = &r, .newline = "\r\n", .literals = content->jis, .jis = true};
	*fits = content->jis != NULL;
	if (!*fits)
		return 0;
	if (render_text(c, content, &s) != 0)
		return -1;
	*fits = s.fits;
	*out = run_get(&r);
	return 0;
}

static int write_base64(struct compose *c, const struct content *content, struct run *body)
{
	struct run r = RUN_INIT(c->a);
	struct text_sink s = {.out = &r, .newline = "\r\n", .literals = content->wire};
	struct base64 b = {.out = body};
	if (render_text(c, content, &s) != 0)
		return -1;
	run_reserve(body, base64_size(r.n) + 128);
	/* Pieces of a value need not end at a character: what looks malformed is looked at as a whole. */
	if (s.fits)
		base64_add(&b, r.p, r.n);
	else
		base64_text(&b, run_get(&r));
	base64_end(&b);
	return 0;
}

/* ISO-2022-JP text that can go out as it is: short lines, none that a mail server would touch. */
static bool lines_are_safe(struct str s)
{
	while (s.n != 0) {
		size_t n = str_find(s, '\n');
		if (n == s.n || n > 900)
			return false;
		/* Before CR LF. */
		char last = n > 1 ? s.p[n - 2] : 0;
		if (s.p[0] == '.' || str_starts(s, STR("From ")) || last == ' ' || last == '\t')
			return false;
		s = str_n(s.p + n + 1, s.n - n - 1);
	}
	return true;
}

static void write_type(struct compose *c, struct run *head, const char *type, const char *encoding)
{
	const char *const pieces[] = {"Content-Type: ", type, "; charset=", charset_name(c->charset),
		"\r\nContent-Transfer-Encoding: ", encoding, "\r\n\r\n"};
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		run_puts(head, pieces[i]);
}

static void write_jis(
	struct compose *c, struct str text, const char *type, struct run *head, struct run *body)
{
	bool safe = lines_are_safe(text);
	write_type(c, head, type, safe ? "7bit" : "base64");
	if (safe) {
		run_str(body, text);
		return;
	}
	struct base64 b = {.out = body};
	run_reserve(body, base64_size(text.n));
	base64_add(&b, text.p, text.n);
	base64_end(&b);
}

int compose_content(struct compose *c, const struct content *content, struct str jis, const char *type,
	struct run *head, struct run *body)
{
	static const char *const names[] = {
		[ENCODE_7BIT] = "7bit", [ENCODE_QP] = "quoted-printable", [ENCODE_BASE64] = "base64"};
	if (c->charset == CHARSET_ISO_2022_JP) {
		write_jis(c, jis, type, head, body);
		return 0;
	}
	write_type(c, head, type, names[content->encoding]);
	if (content->constant) {
		run_str(body, content->ready);
		return 0;
	}
	if (content->encoding == ENCODE_BASE64)
		return write_base64(c, content, body);
	struct qp_sink s = {.q = {.out = body, .trim = content->trim}, .content = content};
	struct liquid_sink sink = {qp_sink_literal, qp_sink_value, &s};
	if (render_content(c, content, &sink) != 0)
		return -1;
	qp_end(&s.q);
	return 0;
}
