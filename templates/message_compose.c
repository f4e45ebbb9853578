#include "templates/message_compose.h"

#include "src/base/utf8.h"

#include <stdio.h>

int compose_no_memory(struct compose *c)
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
		return compose_no_memory(c);
	for (size_t i = 0; i < c->m->nnames; i++) {
		int slot = c->m->slot_of[i];
		v[i] = slot >= 0 ? c->r->slots[slot] : reserved_value(c->r, (enum reserved)(-1 - slot));
	}
	c->vars =
		(struct liquid_vars){.slots = v, .lookup = c->r->lookup, .ctx = c->r->ctx, .now = c->r->date};
	return 0;
}

int compose_render(struct compose *c, const struct liquid *l, const struct liquid_sink *sink, struct str *out)
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
	if (compose_render(c, v->l, NULL, out) != 0)
		return -1;
	*out = header_clean(c->a, *out);
	return c->a->failed ? compose_no_memory(c) : 0;
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
		subject = header_clean(c->a, ARENA_JOIN(c->a, c->r->subject_prefix, subject));
	c->subject = subject;
	c->extras = arena_alloc(c->a, (c->m->nextras + 1) * sizeof *c->extras);
	if (c->extras == NULL)
		return compose_no_memory(c);
	for (size_t i = 0; i < c->m->nextras && !c->skip; i++)
		if (value_render(c, &c->m->extras[i].value, &c->extras[i]) != 0)
			return -1;
	return 0;
}

/* --- the tree --- */

static int write_node(struct compose *c, const struct node *n, struct run *head, struct run *body);

static void write_boundary(
	struct compose *c, const struct node *n, const char *before, const char *after, struct run *out)
{
	run_puts(out, before);
	run_str(out, c->m->tail.n != 0 ? c->m->boundary : c->r->unique);
	run_putc(out, '_');
	run_putc(out, (char)('0' + n->level));
	run_puts(out, after);
}

static int write_multi(struct compose *c, const struct node *n, struct run *head, struct run *body)
{
	run_puts(head, "Content-Type: multipart/");
	run_puts(head, n->subtype);
	if (n->type != NULL)
		run_printf(head, "; type=\"%s\"", n->type);
	write_boundary(c, n, ";\r\n boundary=\"=_", "\"\r\n\r\n", head);
	for (size_t i = 0; i < n->nchildren; i++) {
		write_boundary(c, n, i == 0 ? "--=_" : "\r\n--=_", "\r\n", body);
		if (write_node(c, n->children[i], body, body) != 0)
			return -1;
		if (c->skip || c->at_tail)
			return 0;
	}
	write_boundary(c, n, "\r\n--=_", "--\r\n", body);
	return 0;
}

static int write_own(struct compose *c, const struct node *n, struct run *head, struct run *body)
{
	bool html = n->kind == NODE_HTML;
	if (compose_content(c, html ? &c->m->html : &c->m->text, html ? c->html : c->text,
		    html ? "text/html" : "text/plain", head, body) != 0)
		return -1;
	if (c->m->tail.n == 0 || n->kind != c->m->last)
		return 0;
	run_puts(body, "\r\n"); /* the tail begins with a line */
	c->at_tail = true;
	return 0;
}

static int write_node(struct compose *c, const struct node *n, struct run *head, struct run *body)
{
	switch (n->kind) {
	case NODE_TEXT:
	case NODE_HTML:
		return write_own(c, n, head, body);
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
	static const bool no_uri[256] = {[0 ... ' '] = true,
		[0x7f ... 255] = true,
		['<'] = true,
		['>'] = true,
		['"'] = true,
		['\\'] = true,
		['^'] = true,
		['`'] = true,
		['{'] = true,
		['|'] = true,
		['}'] = true};
	struct run r = RUN_INIT(a);
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		/* Nothing may look like an encoded-word. */
		bool word = c == '?' && i > 0 && s.p[i - 1] == '=';
		if (!no_uri[c] && !word)
			continue;
		char out[3] = {'%', hexdigit[c >> 4], hexdigit[c & 15]};
		run_add(&r, s.p + from, i - from);
		run_add(&r, out, 3);
		from = i + 1;
	}
	if (from == 0)
		return s;
	run_add(&r, s.p + from, s.n - from);
	return run_get(&r);
}

static void write_plain(struct header *h, const char *name, struct str value)
{
	header_begin(h, name);
	header_token(h, value, false);
	header_end(h);
}

/* "<uri>"; an address alone becomes a mailto:. n == 0: there is none, or it is longer than a header can be.
 */
static struct str unsubscribe_uri(struct compose *c, struct str s)
{
	struct str uri = uri_clean(c->a, s);
	if (s.n == 0 || uri.n > 900)
		return str_n("", 0);
	if (str_find(uri, ':') == uri.n)
		return ARENA_JOIN(c->a, STR("<mailto:"), uri, STR("?subject=unsubscribe>"));
	return ARENA_JOIN(c->a, STR("<"), uri, STR(">"));
}

/* Folded between the addresses only: readers that look for the button are not all good at unfolding. */
static int write_unsubscribe(struct compose *c, struct header *h)
{
	const struct message_recipient *r = c->r;
	struct str url = unsubscribe_uri(c, r->unsubscribe_url);
	struct str mailto = unsubscribe_uri(c, r->unsubscribe_mailto);
	if ((r->unsubscribe_url.n != 0 && url.n == 0) || (r->unsubscribe_mailto.n != 0 && mailto.n == 0))
		return err_set(
			c->e, ERR_DATA, "List-Unsubscribe", "the address is longer than 900 characters");
	/* The visible link is that address already. */
	if (str_starts(url, STR("<mailto:")))
		mailto.n = 0;
	if (url.n == 0 && mailto.n == 0)
		return 0;
	header_begin(h, "List-Unsubscribe");
	header_token(h, STR(" "), true);
	header_token(h, url.n != 0 ? url : mailto, true);
	if (url.n != 0 && mailto.n != 0) {
		header_token(h, STR(","), true);
		header_token(h, mailto, false);
	}
	header_end(h);
	if (r->one_click && str_starts(r->unsubscribe_url, STR("https:")))
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
	header_token(h, ARENA_JOIN(c->a, STR("<"), c->r->list_id, STR(">")), false);
	header_end(h);
}

static int write_header(struct compose *c)
{
	const struct message_recipient *r = c->r;
	struct header h = {.out = &c->header, .charset = c->charset};
	char date[CLOCK_TEXT];
	run_puts(&c->header, "Date: ");
	run_puts(&c->header, clock_rfc5322(c->m->zone, r->date, date));
	run_puts(&c->header, "\r\n");
	write_plain(&h, "Message-ID", ARENA_JOIN(c->a, STR("<"), r->message_id, STR(">")));
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

static bool headers_fit(struct compose *c)
{
	const enum charset jis = CHARSET_ISO_2022_JP;
	bool fits = header_fits(c->a, c->subject, jis) && header_fits(c->a, c->from.name, jis) &&
		    header_fits(c->a, c->to.name, jis) && header_fits(c->a, c->reply_to.name, jis);
	for (size_t i = 0; i < c->m->nextras && fits; i++)
		fits = header_fits(c->a, c->extras[i], jis);
	return fits;
}

/* ISO-2022-JP only where everything fits into it. */
static int choose_charset(struct compose *c)
{
	const struct message *m = c->m;
	bool fits;
	if (m->charset != CHARSET_ISO_2022_JP || !headers_fit(c))
		return 0;
	if (compose_jis(c, &m->text, &c->text, &fits) != 0)
		return -1;
	if (!c->skip && fits && m->html.there && compose_jis(c, &m->html, &c->html, &fits) != 0)
		return -1;
	if (fits)
		c->charset = CHARSET_ISO_2022_JP;
	return 0;
}

static int want_parts(struct compose *c)
{
	if (compose_plain(c, &c->m->text, &c->out->text) != 0)
		return -1;
	return c->m->html.there && !c->skip ? compose_plain(c, &c->m->html, &c->out->html) : 0;
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
		return c.header.failed ? compose_no_memory(&c) : -1;
	if (!run_reserve(&c.body, m->body_estimate) || write_node(&c, m->root, &c.header, &c.body) != 0)
		return c.body.failed ? compose_no_memory(&c) : -1;
	if (c.skip)
		return 0;
	if (c.header.failed || c.body.failed || a->failed)
		return compose_no_memory(&c);
	out->header = run_get(&c.header);
	out->body = run_get(&c.body);
	out->tail = m->tail;
	out->from = c.from.address;
	out->subject = c.subject;
	out->utf8 = c.from.utf8 || c.to.utf8 || c.reply_to.utf8;
	return 0;
}
