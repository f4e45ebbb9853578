#include "templates/message_private.h"

#include "templates/html_doc.h"
#include "templates/html_inline.h"
#include "templates/html_text.h"
#include "templates/html_token.h"
#include "templates/html_url.h"
#include "templates/layout.h"
#include "templates/markdown.h"
#include "templates/message_language.h"

static const char skeleton[] = "<!DOCTYPE html>\n"
			       "<html lang=\"{{ language }}\">\n"
			       "<head>\n"
			       "<meta charset=\"utf-8\">\n"
			       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
			       "<title>{{ subject }}</title>\n"
			       "</head>\n"
			       "<body>\n"
			       "{{ content }}"
			       "</body>\n"
			       "</html>\n";

/* --- layout --- */

struct frame { /* what a layout's own names stand for: hidden HTML */
	struct str content, subject, preheader, language, sender, unsubscribe, view, today;
	bool has_content, has_preheader;
};

/* A header's template as HTML: its literal text escaped, its values escaped when rendered. */
static int header_html(struct message *m, enum message_field f, struct str *out, struct err *e)
{
	const struct message_line *l = m->source.field[f];
	struct run hidden = RUN_INIT(&m->keep), html = RUN_INIT(&m->keep);
	*out = STR("");
	if (l == NULL)
		return 0;
	if (opaque_hide(&m->opaque, l->value, &m->file, l->line, &hidden, e) != 0)
		return -1;
	html_escape(&html, run_get(&hidden));
	*out = run_get(&html);
	return html.failed ? message_oom(m, e) : 0;
}

/* The name in {{ name }}, if there is nothing else in it. */
static struct str bare_name(const struct opaque_span *s)
{
	struct str t = s->text, w = opaque_word(s);
	if (s->kind != OPAQUE_VALUE)
		return STR("");
	for (const char *p = w.p + w.n; p < t.p + t.n - 2; p++)
		if (*p != ' ' && *p != '-' && *p != '\t' && *p != '\n')
			return STR("");
	return w;
}

static bool splice(const struct opaque_span *s, struct frame *f, struct run *out)
{
	struct str w = bare_name(s);
	if (str_is(w, "content")) {
		f->has_content = true;
		run_str(out, f->content);
	} else if (str_is(w, "subject")) {
		run_str(out, f->subject);
	} else if (str_is(w, "preheader")) {
		f->has_preheader = true;
		run_str(out, f->preheader);
	} else if (str_is(w, "language")) {
		run_str(out, f->language);
	} else if (str_is(w, "sender")) {
		run_str(out, f->sender);
	} else if (str_is(w, "unsubscribe_link")) {
		run_str(out, f->unsubscribe);
	} else if (str_is(w, "view_link")) {
		run_str(out, f->view);
	} else if (str_is(w, "today")) {
		run_str(out, f->today);
	} else {
		return false;
	}
	return true;
}

static int wrap(struct message *m, struct str layout, const struct opaque_file *file, struct frame *f,
	struct run *out, struct err *e)
{
	struct run hidden = RUN_INIT(&m->keep);
	if (opaque_hide(&m->opaque, layout, file, 1, &hidden, e) != 0)
		return -1;
	struct str s = run_get(&hidden);
	for (size_t i = 0; i < s.n;) {
		const struct opaque_span *span = opaque_at(&m->opaque, s, i);
		if (span == NULL || !splice(span, f, out))
			run_add(out, s.p + i, span != NULL ? OPAQUE_LEN : 1);
		i += span != NULL ? OPAQUE_LEN : 1;
	}
	return out->failed ? message_oom(m, e) : 0;
}

/* `postrider/letter.html`, unless the folder has one of that name: frozen content does. */
static int layout_shipped(struct message *m, const char *name, struct str *out, struct err *e)
{
	struct err why = {0};
	if (message_read(m, name, out, &why) == 0)
		return 0;
	if (why.code == ERR_NOINPUT && layout_find(str_from(name), out))
		return message_keep(m, name, *out, e);
	if (e != NULL)
		*e = why;
	return -1;
}

static int layout_read(struct message *m, struct opaque_file *file, struct err *e)
{
	const struct message_line *l = m->source.field[FIELD_LAYOUT];
	struct str bytes;
	if (l == NULL || l->value.n == 0)
		return 0;
	const char *name = arena_str(&m->keep, l->value).p;
	if (m->keep.failed)
		return message_oom(m, e);
	if (!message_name_ok(l->value)) {
		err_set(e, ERR_DATA, m->path,
			"the layout must be a file in the message's folder, or below it");
		return err_at(e, m->path, l->line);
	}
	file->path = name;
	if (layout_shipped(m, name, &bytes, e) != 0)
		return e != NULL && e->line == 0 ? err_at(e, m->path, l->line) : -1;
	return message_text(bytes, name, &m->keep, &file->text, e);
}

/* A link in the message's language, for those who have the address. */
static struct str link_html(struct message *m, const char *name, const char *label)
{
	struct run r = RUN_INIT(&m->keep);
	opaque_add(&m->opaque, arena_printf(&m->keep, "{%% if %s %%}", name), &r);
	run_puts(&r, "<a href=\"");
	opaque_add(&m->opaque, arena_printf(&m->keep, "{{ %s }}", name), &r);
	run_printf(&r, "\">%s</a>", label);
	opaque_add(&m->opaque, STR("{% endif %}"), &r);
	if (r.failed)
		m->keep.failed = true;
	return run_get(&r);
}

static int frame_fill(struct message *m, struct frame *f, struct err *e)
{
	struct run hidden = RUN_INIT(&m->keep), html = RUN_INIT(&m->keep), today = RUN_INIT(&m->keep);
	if (header_html(m, FIELD_SUBJECT, &f->subject, e) != 0 ||
		header_html(m, FIELD_PREHEADER, &f->preheader, e) != 0)
		return -1;
	const struct message_line *from = m->source.field[FIELD_FROM];
	struct str shown, address;
	if (opaque_hide(&m->opaque, from->value, &m->file, from->line, &hidden, e) != 0 ||
		mailbox_split(run_get(&hidden), &m->keep, &shown, &address, e) != 0)
		return -1;
	html_escape(&html, shown.n != 0 ? shown : address);
	f->sender = run_get(&html);
	const struct message_words *w = message_words(m->language, m->source.body);
	f->language = m->language.n != 0 ? m->language : str_from(w->language);
	/* Who wrote a link into the text needs no second one. */
	f->unsubscribe = STR("");
	if (memmem(m->source.body.p, m->source.body.n, "unsubscribe_url", 15) == NULL)
		f->unsubscribe = link_html(m, "unsubscribe_url", w->unsubscribe);
	f->view = link_html(m, "view_url", w->view);
	opaque_add(&m->opaque,
		arena_printf(&m->keep, "{{ now | date: \"%s\", \"%s\" }}", w->date, w->language), &today);
	f->today = run_get(&today);
	return html.failed || today.failed || m->keep.failed ? message_oom(m, e) : 0;
}

static int assemble(struct message *m, struct str body, struct run *out, struct err *e)
{
	struct opaque_file *file = arena_zalloc(&m->keep, sizeof *file);
	struct frame f = {.content = body};
	struct run framed = RUN_INIT(&m->keep);
	if (file == NULL)
		return message_oom(m, e);
	if (layout_read(m, file, e) != 0 || frame_fill(m, &f, e) != 0)
		return -1;
	if (file->path != NULL) {
		if (wrap(m, file->text, file, &f, &framed, e) != 0)
			return -1;
		if (!f.has_content)
			return err_set(e, ERR_DATA, file->path, "the layout has no {{ content }}");
	} else if (html_is_document(body)) {
		run_str(&framed, body);
	} else {
		*file = (struct opaque_file){.path = "layout", .text = STR(skeleton)};
		if (wrap(m, file->text, file, &f, &framed, e) != 0)
			return -1;
	}
	struct str html = run_get(&framed);
	size_t at = f.preheader.n != 0 && !f.has_preheader ? html_body_begin(html) : 0;
	run_add(out, html.p, at);
	if (f.preheader.n != 0 && !f.has_preheader)
		html_preheader(out, f.preheader);
	run_add(out, html.p + at, html.n - at);
	return out->failed ? message_oom(m, e) : 0;
}

/* --- the unsubscribe link --- */

/* Does the template, or a partial of it, use the address? */
static int uses_unsubscribe(struct message *m, struct content *c, bool html, bool *out, struct err *e)
{
	struct liquid_names *all = m->names;
	struct content probe = {.map = c->map};
	*out = false;
	m->names = liquid_names_new();
	int rc = m->names != NULL ? content_compile(m, &probe, html, e) : message_oom(m, e);
	for (size_t i = 0; rc == 0 && i < liquid_names_count(m->names); i++)
		*out |= str_is(liquid_name(m->names, i), "unsubscribe_url");
	content_free(&probe);
	liquid_names_free(&m->names);
	m->names = all;
	return rc;
}

static bool add_to_html(struct message *m, struct str html, const struct message_words *w, struct run *out)
{
	size_t at = html_body_end(html);
	run_add(out, html.p, at);
	opaque_add(&m->opaque, STR("{% if unsubscribe_url %}"), out);
	run_puts(out,
		"<p style=\"margin:24px 0 0;font-size:13px;line-height:1.5;text-align:center\"><a href=\"");
	opaque_add(&m->opaque, STR("{{ unsubscribe_url }}"), out);
	run_printf(out, "\">%s</a></p>", w->unsubscribe);
	opaque_add(&m->opaque, STR("{% endif %}"), out);
	run_puts(out, "\n");
	run_add(out, html.p + at, html.n - at);
	return !out->failed;
}

static bool add_to_text(struct message *m, struct str text, const struct message_words *w, struct run *out)
{
	run_str(out, text);
	if (text.n != 0 && text.p[text.n - 1] != '\n')
		run_putc(out, '\n');
	opaque_add(&m->opaque, STR("{% if unsubscribe_url %}"), out);
	run_printf(out, "\n%s", w->sentence);
	opaque_add(&m->opaque, STR("{{ unsubscribe_url }}"), out);
	run_putc(out, '\n');
	opaque_add(&m->opaque, STR("{% endif %}"), out);
	return !out->failed;
}

/* `hidden` becomes the part's source, with a link to unsubscribe where the author wrote none. */
static int finish(struct message *m, struct content *c, struct str *hidden, bool html, struct err *e)
{
	bool own;
	struct run with = RUN_INIT(&m->keep);
	if (!opaque_show(&m->opaque, *hidden, &c->map))
		return message_oom(m, e);
	if (uses_unsubscribe(m, c, html, &own, e) != 0)
		return -1;
	if (html || m->format == MESSAGE_TEXT)
		m->own_unsubscribe = own;
	if (own)
		return 0;
	const struct message_words *w = message_words(m->language, m->source.body);
	if (!(html ? add_to_html : add_to_text)(m, *hidden, w, &with))
		return message_oom(m, e);
	*hidden = run_get(&with);
	return opaque_show(&m->opaque, *hidden, &c->map) ? 0 : message_oom(m, e);
}

/* --- addresses in the HTML --- */

struct addresses {
	struct message *m;
	struct str parameters; /* Link-Parameters, Liquid hidden */
};

/* A relative image becomes a part of the message, where the file is there. */
static int embed(struct message *m, struct str url, struct run *out, struct err *e)
{
	struct run name = RUN_INIT(&m->keep);
	struct str cid;
	if (!html_url_is_file(url, &name) || !message_name_ok(run_get(&name)))
		return 0;
	if (message_embed(m, run_get(&name), &cid, e) != 0)
		return -1;
	if (cid.n != 0)
		run_printf(out, "cid:%.*s", STR_ARG(cid));
	return 0;
}

static int rewrite(void *ctx, enum html_url what, struct str url, struct run *out, struct err *e)
{
	const struct addresses *a = ctx;
	if (what == HTML_URL_IMAGE)
		return embed(a->m, url, out, e);
	if (a->parameters.n != 0)
		html_url_add(url, a->parameters, out);
	return 0;
}

static int rewrite_addresses(struct message *m, struct str html, struct run *out, struct err *e)
{
	const struct message_line *l = m->source.field[FIELD_LINK_PARAMETERS];
	struct run parameters = RUN_INIT(&m->keep);
	if (l != NULL && opaque_hide(&m->opaque, l->value, &m->file, l->line, &parameters, e) != 0)
		return -1;
	struct addresses a = {.m = m, .parameters = run_get(&parameters)};
	for (size_t i = 0; i < a.parameters.n; i++)
		if ((unsigned char)a.parameters.p[i] <= ' ' || strchr("#?\"<>", a.parameters.p[i]) != NULL) {
			err_set(e, ERR_DATA, m->path, "not parameters of an address");
			err_at(e, m->path, l->line);
			return err_remedy(e, "write them as a=b&c=d; a value from a list with | url_encode");
		}
	return html_map_urls(html, rewrite, &a, out, e);
}

/* --- the parts --- */

static int html_source(struct message *m, struct str *out, struct err *e)
{
	struct run hidden = RUN_INIT(&m->keep), html = RUN_INIT(&m->keep), whole = RUN_INIT(&m->keep);
	struct run styled = RUN_INIT(&m->keep), done = RUN_INIT(&m->keep), undeclared = RUN_INIT(&m->keep);
	if (opaque_hide(&m->opaque, m->source.body, &m->file, m->source.body_line, &hidden, e) != 0)
		return -1;
	struct str body = run_get(&hidden);
	if (m->format == MESSAGE_MARKDOWN) {
		if (markdown_to_html(body, &m->opaque, &html, e) != 0)
			return -1;
		body = run_get(&html);
	}
	if (assemble(m, body, &whole, e) != 0)
		return -1;
	if (!html_inline_css(run_get(&whole), &m->opaque, &styled))
		return message_oom(m, e);
	if (rewrite_addresses(m, run_get(&styled), &done, e) != 0)
		return -1;
	*out = run_get(&done);
	if (m->charset != CHARSET_UTF8) {
		html_drop_charset(&undeclared, *out);
		*out = run_get(&undeclared);
	}
	return undeclared.failed ? message_oom(m, e) : 0;
}

/* The text part: NAME.txt beside the message, else from the HTML. */
static int text_source(struct message *m, struct str html, struct str *out, struct err *e)
{
	struct run r = RUN_INIT(&m->keep);
	struct str bytes;
	struct err why = {0};
	if (m->format == MESSAGE_HTML && message_read(m, MESSAGE_PART_TEXT, &bytes, &why) == 0) {
		struct opaque_file *file = arena_zalloc(&m->keep, sizeof *file);
		if (file == NULL)
			return message_oom(m, e);
		file->path = "the text part";
		if (message_text(bytes, file->path, &m->keep, &file->text, e) != 0 ||
			opaque_hide(&m->opaque, file->text, file, 1, &r, e) != 0)
			return -1;
	} else if (m->format == MESSAGE_HTML && why.code != ERR_NOINPUT) {
		if (e != NULL)
			*e = why;
		return -1;
	} else {
		if (!html_to_text(html, &m->opaque, &r))
			return message_oom(m, e);
		m->text.trim = true;
	}
	*out = run_get(&r);
	return 0;
}

int message_body_compile(struct message *m, struct err *e)
{
	struct str html = {0}, text;
	struct run hidden = RUN_INIT(&m->keep);
	if (m->format == MESSAGE_TEXT) {
		if (opaque_hide(&m->opaque, m->source.body, &m->file, m->source.body_line, &hidden, e) != 0)
			return -1;
		text = run_get(&hidden);
	} else {
		if (html_source(m, &html, e) != 0 || finish(m, &m->html, &html, true, e) != 0 ||
			content_compile(m, &m->html, true, e) != 0 || text_source(m, html, &text, e) != 0)
			return -1;
	}
	if (finish(m, &m->text, &text, false, e) != 0)
		return -1;
	return content_compile(m, &m->text, false, e);
}
