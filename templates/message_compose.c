#include "templates/message_private.h"

#include "src/base/utf8.h"
#include "templates/mime_base64.h"

#include <stdio.h>

/* One message being made. */
struct compose {
	const struct message *m;
	const struct message_recipient *r;
	struct arena *a;
	struct composed *out;
	struct liquid_vars vars;
	enum charset charset;
	struct mailbox from, to, reply_to;
	struct str subject;
	struct str *extras;
	struct str text, html; /* rendered, where they are needed before they are encoded */
	struct run header, body;
	struct err *e;
	bool skip;
};

static int no_memory(struct compose *c)
{
	return err_set(c->e, ERR_DATA, c->m->path, "it needs more memory than a message may use");
}

/* --- values --- */

static struct str reserved_value(const struct message_recipient *r, enum reserved name)
{
	switch (name) {
	case NAME_EMAIL:
		return r->email;
	case NAME_CAMPAIGN:
		return r->campaign;
	case NAME_LIST:
		return r->list;
	case NAME_UNSUBSCRIBE:
		return r->unsubscribe_url;
	case NAME_VIEW:
		return r->view_url;
	case NAME_NOW:
	case RESERVED:
		break;
	}
	return str_n(NULL, 0);
}

static int vars_fill(struct compose *c)
{
	struct str *v = arena_alloc(c->a, (c->m->nnames + 1) * sizeof *v);
	if (v == NULL)
		return no_memory(c);
	for (size_t i = 0; i < c->m->nnames; i++) {
		int slot = c->m->slot_of[i];
		v[i] = slot >= 0 ? c->r->slots[slot] : reserved_value(c->r, (enum reserved)(-1 - slot));
	}
	c->vars =
		(struct liquid_vars){.slots = v, .lookup = c->r->lookup, .ctx = c->r->ctx, .now = c->r->date};
	return 0;
}

static int render(struct compose *c, const struct liquid *l, const struct liquid_sink *sink, struct str *out)
{
	struct liquid_result res = {0};
	if (liquid_render(l, &c->vars, sink, c->a, &res, c->e) != 0)
		return -1;
	if (res.aborted) {
		c->skip = true;
		c->out->skip = res.reason.n != 0 ? res.reason : STR("the message's template");
	}
	*out = res.text;
	return 0;
}

static int value_render(struct compose *c, const struct value *v, struct str *out)
{
	*out = v->text;
	if (v->l == NULL)
		return 0;
	if (render(c, v->l, NULL, out) != 0)
		return -1;
	*out = header_clean(c->a, *out);
	return c->a->failed ? no_memory(c) : 0;
}

static int bad_sender(struct compose *c, enum message_field f)
{
	if (c->e != NULL) {
		char why[sizeof c->e->why];
		memcpy(why, c->e->why, sizeof why);
		err_set(c->e, ERR_DATA, message_field_name(f), "%s", why);
		err_at(c->e, c->m->path, c->m->source.field[f]->line);
	}
	return -1;
}

static int sender_render(struct compose *c, enum message_field f, const struct sender *s, struct mailbox *out)
{
	struct str text;
	if (s->constant) {
		*out = s->fixed;
		return 0;
	}
	if (value_render(c, &s->name, &out->name) != 0 || value_render(c, &s->address, &text) != 0)
		return -1;
	if (c->skip)
		return 0;
	if (s->whole)
		return mailbox_parse(text, c->a, out, c->e) == 0 ? 0 : bad_sender(c, f);
	return mailbox_address(text, c->a, out, c->e) == 0 ? 0 : bad_sender(c, f);
}

static int to_render(struct compose *c)
{
	if (c->m->to.there)
		return sender_render(c, FIELD_TO, &c->m->to, &c->to);
	c->to.name = header_clean(c->a, c->r->to_name);
	return mailbox_address(c->r->email, c->a, &c->to, c->e);
}

static int headers_render(struct compose *c)
{
	struct str subject;
	if (sender_render(c, FIELD_FROM, &c->m->from, &c->from) != 0 || c->skip)
		return -!c->skip;
	if (to_render(c) != 0 || c->skip)
		return -!c->skip;
	if (c->m->reply_to.there &&
		(sender_render(c, FIELD_REPLY_TO, &c->m->reply_to, &c->reply_to) != 0 || c->skip))
		return -!c->skip;
	if (value_render(c, &c->m->subject, &subject) != 0)
		return -1;
	if (c->r->subject_prefix.n != 0)
		subject = header_clean(c->a,
			arena_printf(c->a, "%.*s%.*s", STR_ARG(c->r->subject_prefix), STR_ARG(subject)));
	c->subject = subject;
	c->extras = arena_alloc(c->a, (c->m->nextras + 1) * sizeof *c->extras);
	if (c->extras == NULL)
		return no_memory(c);
	for (size_t i = 0; i < c->m->nextras && !c->skip; i++)
		if (value_render(c, &c->m->extras[i].value, &c->extras[i]) != 0)
			return -1;
	return 0;
}

/* --- contents --- */

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

static void plain_literal(void *ctx, size_t i, struct str text)
{
	(void)i;
	run_str(ctx, text);
}

/* As the quoted-printable path does it: any line end is one, other control characters go. */
static void plain_value(void *ctx, struct str text)
{
	size_t plain = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\n')
			continue;
		run_add(ctx, text.p + plain, i - plain);
		plain = i + 1;
		if (c == '\r' && (plain == text.n || text.p[plain] != '\n'))
			run_putc(ctx, '\n');
	}
	run_add(ctx, text.p + plain, text.n - plain);
}

static int located(struct compose *c, const struct content *content)
{
	if (c->e != NULL && strcmp(c->e->file, c->m->path) == 0)
		opaque_locate(&content->map, c->e);
	return -1;
}

static int render_plain(struct compose *c, const struct content *content, struct str *out)
{
	struct run r = RUN_INIT(c->a);
	struct liquid_sink sink = {plain_literal, plain_value, &r};
	struct str none;
	if (!run_reserve(&r, content->map.source.n + 1024))
		return no_memory(c);
	if (render(c, content->l, &sink, &none) != 0)
		return located(c, content);
	*out = run_get(&r);
	return r.failed ? no_memory(c) : 0;
}

/* ISO-2022-JP text that can go out as it is: short lines, none that a mail server would touch. */
static bool lines_are_safe(struct str s)
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
		if (++col > 900 || (c < ' ' && c != '\t' && c != 0x1b) || c == 0x7f)
			return false;
		if (col == 1 && (c == '.' || str_starts(str_n(s.p + i, s.n - i), STR("From "))))
			return false;
	}
	return s.n == 0 || s.p[s.n - 1] == '\n';
}

static void write_crlf(struct run *out, struct str s)
{
	while (s.n != 0) {
		size_t n = str_find(s, '\n');
		run_add(out, s.p, n);
		run_puts(out, "\r\n");
		s = n < s.n ? str_n(s.p + n + 1, s.n - n - 1) : str_n(s.p, 0);
	}
}

static void write_type(struct compose *c, struct run *head, const char *type, const char *encoding)
{
	run_printf(head, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n", type,
		charset_name(c->charset), encoding);
}

/* `head` and `body` may be the same run. */
static int write_jis(struct compose *c, struct str text, const char *type, struct run *head, struct run *body)
{
	bool safe = lines_are_safe(text);
	write_type(c, head, type, safe ? "7bit" : "base64");
	run_puts(head, "\r\n");
	if (safe) {
		write_crlf(body, text);
	} else {
		struct run canonical = RUN_INIT(c->a);
		struct base64 b = {.out = body};
		run_reserve(&canonical, text.n + text.n / 16);
		write_crlf(&canonical, text);
		base64_add(&b, canonical.p, canonical.n);
		base64_end(&b);
		if (canonical.failed)
			return no_memory(c);
	}
	return 0;
}

static int write_content(struct compose *c, const struct content *content, struct str rendered,
	const char *type, struct run *head, struct run *body)
{
	static const char *const names[] = {
		[ENCODE_7BIT] = "7bit", [ENCODE_QP] = "quoted-printable", [ENCODE_BASE64] = "base64"};
	if (c->charset == CHARSET_ISO_2022_JP)
		return write_jis(c, rendered, type, head, body);
	write_type(c, head, type, names[content->encoding]);
	run_puts(head, "\r\n");
	if (content->constant) {
		run_str(body, content->ready);
		return 0;
	}
	if (content->encoding == ENCODE_QP) {
		struct qp_sink s = {.q = {.out = body}, .content = content};
		struct liquid_sink sink = {qp_sink_literal, qp_sink_value, &s};
		struct str none;
		if (render(c, content->l, &sink, &none) != 0)
			return located(c, content);
		qp_end(&s.q);
		return 0;
	}
	if (rendered.p == NULL && (render_plain(c, content, &rendered) != 0))
		return -1;
	struct base64 b = {.out = body};
	run_reserve(body, base64_size(rendered.n) + 128);
	base64_text(&b, rendered);
	base64_end(&b);
	return 0;
}

/* --- the tree --- */

static int write_node(struct compose *c, const struct node *n, struct run *head, struct run *body);

static int write_multi(struct compose *c, const struct node *n, struct run *head, struct run *body)
{
	struct str u = c->r->unique;
	run_printf(head, "Content-Type: multipart/%s;%s%s%s boundary=\"=_%.*s_%d\"\r\n\r\n", n->subtype,
		n->type != NULL ? " type=\"" : "\r\n", n->type != NULL ? n->type : "",
		n->type != NULL ? "\";\r\n" : "", STR_ARG(u), n->level);
	for (size_t i = 0; i < n->nchildren; i++) {
		run_printf(body, "%s--=_%.*s_%d\r\n", i == 0 ? "" : "\r\n", STR_ARG(u), n->level);
		if (write_node(c, n->children[i], body, body) != 0)
			return -1;
		if (c->skip)
			return 0;
	}
	run_printf(body, "\r\n--=_%.*s_%d--\r\n", STR_ARG(u), n->level);
	return 0;
}

static int write_node(struct compose *c, const struct node *n, struct run *head, struct run *body)
{
	switch (n->kind) {
	case NODE_TEXT:
		return write_content(c, &c->m->text, c->text, "text/plain", head, body);
	case NODE_HTML:
		return write_content(c, &c->m->html, c->html, "text/html", head, body);
	case NODE_READY:
		run_str(body, n->ready);
		return 0;
	case NODE_MULTI:
		return write_multi(c, n, head, body);
	}
	return 0;
}

/* --- the header --- */

/* What a URI may not hold as it stands is %-encoded; line folding must find nothing in it. */
static struct str uri_clean(struct arena *a, struct str s)
{
	static const char hexdigit[] = "0123456789ABCDEF";
	struct run r = RUN_INIT(a);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		/* Nothing may look like an encoded-word. */
		bool word = c == '?' && i > 0 && s.p[i - 1] == '=';
		if (c > ' ' && c < 0x7f && !word && strchr("<>\"\\^`{|}", c) == NULL) {
			run_putc(&r, s.p[i]);
			continue;
		}
		char out[3] = {'%', hexdigit[c >> 4], hexdigit[c & 15]};
		run_add(&r, out, 3);
	}
	return run_get(&r);
}

static void write_plain(struct header *h, const char *name, struct str value)
{
	header_begin(h, name);
	header_token(h, value, false);
	header_end(h);
}

static int write_unsubscribe(struct compose *c, struct header *h)
{
	struct str uris[2] = {c->r->unsubscribe_url, c->r->unsubscribe_mailto};
	if (str_starts(uris[0], STR("mailto:")))
		uris[1] = (struct str){0}; /* the visible link is that address already */
	bool any = false;
	if (str_eq(uris[0], uris[1]))
		uris[1].n = 0;
	for (size_t i = 0; i < 2; i++) {
		if (uris[i].n == 0)
			continue;
		struct str uri = uri_clean(c->a, uris[i]);
		if (uri.n > 900)
			return err_set(c->e, ERR_DATA, "List-Unsubscribe",
				"the address is longer than 900 characters");
		if (!any)
			header_begin(h, "List-Unsubscribe");
		else
			header_token(h, STR(","), true);
		any = true;
		header_token(h, arena_printf(c->a, "<%.*s>", STR_ARG(uri)), false);
	}
	if (!any)
		return 0;
	header_end(h);
	if (c->r->one_click && str_starts(c->r->unsubscribe_url, STR("https:")))
		write_plain(h, "List-Unsubscribe-Post", STR("List-Unsubscribe=One-Click"));
	return 0;
}

static void write_list(struct compose *c, struct header *h)
{
	if (c->r->list_id.n == 0)
		return;
	struct str title = header_clean(c->a, c->r->list_title);
	header_begin(h, "List-Id");
	if (!header_fits(c->a, title, h->charset))
		h->charset = CHARSET_UTF8;
	if (title.n != 0)
		header_phrase(h, title);
	h->charset = c->charset;
	header_token(h, arena_printf(c->a, "<%.*s>", STR_ARG(c->r->list_id)), false);
	header_end(h);
}

static int write_header(struct compose *c)
{
	const struct message_recipient *r = c->r;
	struct header h = {.out = &c->header, .charset = c->charset};
	char date[CLOCK_TEXT];
	run_printf(&c->header, "Date: %s\r\n", clock_rfc5322(c->m->zone, r->date, date));
	write_plain(&h, "Message-ID", arena_printf(c->a, "<%.*s>", STR_ARG(r->message_id)));
	run_puts(&c->header, "MIME-Version: 1.0\r\n");
	mailbox_write(&h, "From", &c->from);
	mailbox_write(&h, "To", &c->to);
	if (c->m->reply_to.there)
		mailbox_write(&h, "Reply-To", &c->reply_to);
	header_begin(&h, "Subject");
	header_text(&h, c->subject);
	header_end(&h);
	write_list(c, &h);
	if (write_unsubscribe(c, &h) != 0)
		return -1;
	if (r->feedback_id.n != 0)
		write_plain(&h, "Feedback-ID", uri_clean(c->a, r->feedback_id));
	run_puts(&c->header, "Precedence: bulk\r\n");
	if (c->m->language.n != 0)
		write_plain(&h, "Content-Language", c->m->language);
	for (size_t i = 0; i < c->m->nextras; i++) {
		header_begin(&h, c->m->extras[i].name);
		header_text(&h, c->extras[i]);
		header_end(&h);
	}
	return 0;
}

/* --- the whole --- */

/* ISO-2022-JP only where everything fits into it. */
static int choose_charset(struct compose *c)
{
	const struct message *m = c->m;
	struct run text = RUN_INIT(c->a), html = RUN_INIT(c->a);
	if (m->charset != CHARSET_ISO_2022_JP)
		return 0;
	if (render_plain(c, &m->text, &c->text) != 0)
		return -1;
	if (!c->skip && m->html.there && render_plain(c, &m->html, &c->html) != 0)
		return -1;
	if (c->skip)
		return 0;
	bool fits =
		header_fits(c->a, c->subject, m->charset) && header_fits(c->a, c->from.name, m->charset) &&
		header_fits(c->a, c->to.name, m->charset) && header_fits(c->a, c->reply_to.name, m->charset);
	for (size_t i = 0; i < m->nextras && fits; i++)
		fits = header_fits(c->a, c->extras[i], m->charset);
	if (!fits || !iso2022jp_add(&text, c->text) || (m->html.there && !iso2022jp_add(&html, c->html)))
		return text.failed || html.failed ? no_memory(c) : 0;
	c->charset = CHARSET_ISO_2022_JP;
	c->text = run_get(&text);
	c->html = run_get(&html);
	return 0;
}

static int want_parts(struct compose *c)
{
	if (render_plain(c, &c->m->text, &c->out->text) != 0)
		return -1;
	return c->m->html.there && !c->skip ? render_plain(c, &c->m->html, &c->out->html) : 0;
}

int message_compose(const struct message *m, const struct message_recipient *r, bool parts, struct arena *a,
	struct composed *out, struct err *e)
{
	struct compose c = {.m = m, .r = r, .a = a, .out = out, .e = e};
	*out = (struct composed){0};
	c.header = RUN_INIT(a);
	c.body = RUN_INIT(a);
	if (vars_fill(&c) != 0 || headers_render(&c) != 0)
		return -1;
	if (c.skip)
		return 0;
	if (parts && (want_parts(&c) != 0 || c.skip))
		return -!c.skip;
	if (choose_charset(&c) != 0 || c.skip)
		return -!c.skip;
	if (!run_reserve(&c.header, 2048) || write_header(&c) != 0)
		return c.header.failed ? no_memory(&c) : -1;
	if (!run_reserve(&c.body, m->body_estimate) || write_node(&c, m->root, &c.header, &c.body) != 0)
		return c.body.failed ? no_memory(&c) : -1;
	if (c.skip)
		return 0;
	if (c.header.failed || c.body.failed || a->failed)
		return no_memory(&c);
	out->header = run_get(&c.header);
	out->body = run_get(&c.body);
	out->from = c.from.address;
	out->subject = c.subject;
	out->utf8 = c.from.utf8 || c.to.utf8 || c.reply_to.utf8;
	return 0;
}
