#include "templates/message_private.h"

#include "src/base/utf8.h"
#include "templates/html_text.h"
#include "templates/markdown.h"
#include "templates/mime_base64.h"

#include <stdio.h>

/* --- partials --- */

struct partials {
	struct message *m;
	bool html; /* for the HTML part, or else for the text */
};

/* A partial in the part's own form: Markdown becomes HTML, HTML becomes text for the text part. */
static int convert(struct partials *p, const char *name, struct str text, struct buf *out, struct err *e)
{
	struct message *m = p->m;
	struct str n = str_from(name);
	const bool md =
		str_ends(n, STR(".md")) || (m->format == MESSAGE_MARKDOWN && strchr(name, '.') == NULL);
	const bool plain = str_ends(n, STR(".txt")) || m->format == MESSAGE_TEXT;
	if (plain || (p->html && !md)) {
		buf_str(out, text);
		return out->failed ? message_oom(m, e) : 0;
	}
	struct opaque_file *file = arena_alloc(&m->keep, sizeof *file);
	struct run hidden = RUN_INIT(&m->keep), html = RUN_INIT(&m->keep), plaintext = RUN_INIT(&m->keep);
	struct opaque_map map;
	if (file == NULL)
		return message_oom(m, e);
	*file = (struct opaque_file){.path = arena_strdup(&m->keep, name), .text = text};
	if (opaque_hide(&m->opaque, text, file, 1, &hidden, e) != 0)
		return -1;
	if (md && markdown_to_html(run_get(&hidden), &m->opaque, &html, e) != 0)
		return -1;
	struct str done = md ? run_get(&html) : run_get(&hidden);
	if (!p->html) {
		if (!html_to_text(done, &m->opaque, &plaintext))
			return message_oom(m, e);
		/* It stands in a line: that one ends it. */
		while (plaintext.n != 0 && plaintext.p[plaintext.n - 1] == '\n')
			plaintext.n--;
		done = run_get(&plaintext);
	}
	if (!opaque_show(&m->opaque, done, &map))
		return message_oom(m, e);
	buf_str(out, map.source);
	return out->failed ? message_oom(m, e) : 0;
}

/* {% render 'footer' %}: the file of that name, else with an ending that suits the part. */
static int read_partial(void *ctx, const char *name, struct buf *out, struct err *e)
{
	static const char *const for_html[] = {"", ".liquid", ".html", ".md", NULL};
	static const char *const for_text[] = {".txt", "", ".liquid", ".html", ".md", NULL};
	struct partials *p = ctx;
	if (!message_name_ok(str_from(name)))
		return err_set(e, ERR_DATA, "render", "\"%s\" is not a file in the message's folder", name);
	for (const char *const *end = p->html ? for_html : for_text; *end != NULL; end++) {
		char file[1100];
		struct str bytes, text;
		struct err why = {0};
		if (**end != '\0' && strchr(name, '.') != NULL)
			continue;
		snprintf(file, sizeof file, "%s%s", name, *end);
		if (message_read(p->m, file, &bytes, &why) != 0) {
			if (why.code == ERR_NOINPUT)
				continue;
			if (e != NULL)
				*e = why;
			return -1;
		}
		if (message_text(bytes, file, &p->m->keep, &text, e) != 0)
			return -1;
		return convert(p, file, text, out, e);
	}
	err_set(e, ERR_NOINPUT, "render", "there is no \"%s\" in the message's folder", name);
	return err_remedy(e, "NAME, NAME.liquid, NAME.html, NAME.md and NAME.txt are looked for");
}

/* --- the encoding --- */

static bool is_7bit(struct str s)
{
	size_t col = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '\n') {
			if (col > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
				return false;
			col = 0;
			continue;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f || ++col > 78)
			return false;
		if (col == 1 && (c == '.' || str_starts(str_n(s.p + i, s.n - i), STR("From "))))
			return false;
	}
	return col == 0 || (s.p[s.n - 1] != ' ' && s.p[s.n - 1] != '\t');
}

static void crlf(struct run *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			run_putc(out, '\r');
		run_putc(out, s.p[i]);
	}
	if (s.n != 0 && s.p[s.n - 1] != '\n')
		run_puts(out, "\r\n");
}

static int encode_constant(struct message *m, struct content *c, struct err *e)
{
	struct run r = RUN_INIT(&m->keep);
	struct str s = liquid_nliterals(c->l) != 0 ? liquid_literal(c->l, 0) : STR("");
	struct qp q = {.out = &r};
	struct base64 b = {.out = &r};
	switch (c->encoding) {
	case ENCODE_7BIT:
		crlf(&r, s);
		break;
	case ENCODE_QP:
		qp_text(&q, s);
		qp_end(&q);
		break;
	case ENCODE_BASE64:
		base64_text(&b, s);
		base64_end(&b);
		break;
	}
	c->ready = run_get(&r);
	return r.failed ? message_oom(m, e) : 0;
}

static void literal_crlf(struct run *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			run_putc(out, '\r');
		run_putc(out, s.p[i]);
	}
}

/* Literals with CRLF, as UTF-8 or ISO-2022-JP. False: one does not fit; *out stays NULL. */
static bool wire_literals(struct message *m, const struct content *c, enum charset charset, struct str **out)
{
	size_t n = liquid_nliterals(c->l);
	struct str *v = arena_alloc(&m->keep, (n + 1) * sizeof *v);
	for (size_t i = 0; v != NULL && i < n; i++) {
		struct run crlf = RUN_INIT(&m->keep), jis = RUN_INIT(&m->keep);
		literal_crlf(&crlf, liquid_literal(c->l, i));
		if (charset == CHARSET_ISO_2022_JP && !iso2022jp_add(&jis, run_get(&crlf)))
			return false;
		v[i] = charset == CHARSET_ISO_2022_JP ? run_get(&jis) : run_get(&crlf);
		if (crlf.failed || jis.failed)
			return false;
	}
	*out = v;
	return v != NULL;
}

static int encode_literals(struct message *m, struct content *c, struct err *e)
{
	size_t n = liquid_nliterals(c->l);
	if (m->charset == CHARSET_ISO_2022_JP)
		wire_literals(m, c, CHARSET_ISO_2022_JP, &c->jis);
	if (c->constant)
		return encode_constant(m, c, e);
	if (c->encoding == ENCODE_BASE64)
		return wire_literals(m, c, CHARSET_UTF8, &c->wire) ? 0 : message_oom(m, e);
	c->literals = arena_alloc(&m->keep, (n + 1) * sizeof *c->literals);
	if (c->literals == NULL)
		return message_oom(m, e);
	for (size_t i = 0; i < n; i++)
		if (!qp_literal_make(&m->keep, liquid_literal(c->l, i), &c->literals[i]))
			return message_oom(m, e);
	return 0;
}

static int choose_encoding(struct message *m, struct content *c, struct err *e)
{
	size_t bytes = 0, qp = 0;
	for (size_t i = 0; i < liquid_nliterals(c->l); i++) {
		struct str s = liquid_literal(c->l, i);
		bytes += s.n;
		qp += qp_cost(s);
	}
	c->constant = liquid_is_literal(c->l);
	if (c->constant && is_7bit(liquid_nliterals(c->l) == 1 ? liquid_literal(c->l, 0) : STR("")))
		c->encoding = ENCODE_7BIT;
	else
		c->encoding = qp <= base64_size(bytes) ? ENCODE_QP : ENCODE_BASE64;
	c->literal_bytes = c->encoding == ENCODE_QP ? qp + qp / 36 : base64_size(bytes);
	return encode_literals(m, c, e);
}

int content_compile(struct message *m, struct content *c, bool html, struct err *e)
{
	struct partials p = {.m = m, .html = html};
	struct liquid_options o = {
		.escape = html ? LIQUID_HTML : LIQUID_TEXT,
		.zone = m->zone,
		.locale = m->locale,
		.path = m->path,
		.first_line = 1,
		.read = read_partial,
		.ctx = &p,
	};
	c->there = true;
	c->l = liquid_compile(c->map.source, &o, m->names, e);
	if (c->l == NULL) {
		if (e != NULL && strcmp(e->file, m->path) == 0)
			opaque_locate(&c->map, e);
		return -1;
	}
	return choose_encoding(m, c, e);
}

void content_free(struct content *c)
{
	liquid_free(&c->l);
}
