#include "templates/message_private.h"

#include "src/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const reserved[RESERVED] = {
	[NAME_EMAIL] = "email",
	[NAME_CAMPAIGN] = "campaign",
	[NAME_LIST] = "list",
	[NAME_UNSUBSCRIBE] = "unsubscribe_url",
	[NAME_VIEW] = "view_url",
	[NAME_NOW] = "now",
};

int message_oom(const struct message *m, struct err *e)
{
	return err_set(e, ERR_INTERNAL, m->path, "out of memory");
}

int message_format_of(const char *path, enum message_format *out, struct err *e)
{
	struct str p = str_from(path);
	if (str_ends(p, STR(".md")) || str_ends(p, STR(".markdown")))
		*out = MESSAGE_MARKDOWN;
	else if (str_ends(p, STR(".html")) || str_ends(p, STR(".htm")))
		*out = MESSAGE_HTML;
	else if (str_ends(p, STR(".txt")))
		*out = MESSAGE_TEXT;
	else {
		err_set(e, ERR_DATA, path, "its name does not say what the body is");
		return err_remedy(e, "let it end in .md, .html or .txt");
	}
	return 0;
}

/* --- reading --- */

int message_keep(struct message *m, const char *name, struct str data, struct err *e)
{
	if (m->nparts == m->parts_cap) {
		size_t cap = m->parts_cap == 0 ? 16 : m->parts_cap * 2;
		struct message_bytes *v = arena_alloc(&m->keep, cap * sizeof *v);
		if (v == NULL)
			return message_oom(m, e);
		if (m->nparts != 0)
			memcpy(v, m->parts, m->nparts * sizeof *v);
		m->parts = v;
		m->parts_cap = cap;
	}
	struct message_bytes *b = &m->parts[m->nparts];
	b->name = arena_str(&m->keep, str_from(name));
	b->data = arena_str(&m->keep, data);
	if (m->keep.failed)
		return message_oom(m, e);
	m->nparts++;
	m->parts_bytes += data.n;
	return 0;
}

int message_read(struct message *m, const char *name, struct str *out, struct err *e)
{
	for (size_t i = 0; i < m->nparts; i++)
		if (str_is(m->parts[i].name, name)) {
			*out = m->parts[i].data;
			return 0;
		}
	struct buf b = BUF_INIT(MESSAGE_MOST - m->parts_bytes);
	int rc = m->reader->read(m->reader->ctx, name, &b, e);
	if (rc == 0 && b.failed)
		rc = err_set(e, ERR_DATA, name, "the message is larger than %zu MB", MESSAGE_MOST >> 20);
	if (rc == 0)
		rc = message_keep(m, name, buf_get(&b), e);
	buf_release(&b);
	if (rc == 0)
		*out = m->parts[m->nparts - 1].data;
	return rc;
}

/* --- header values --- */

static bool has_liquid(struct str s)
{
	return memmem(s.p, s.n, "{{", 2) != NULL || memmem(s.p, s.n, "{%", 2) != NULL;
}

/* Folded lines become one. */
static struct str unfold(struct arena *a, struct str s)
{
	if (str_find(s, '\n') == s.n)
		return s;
	struct run r = RUN_INIT(a);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\n') {
			run_putc(&r, s.p[i]);
			continue;
		}
		while (i + 1 < s.n && (s.p[i + 1] == ' ' || s.p[i + 1] == '\t'))
			i++;
		run_putc(&r, ' ');
	}
	return run_get(&r);
}

static int at_line(const struct message *m, const struct message_line *l, struct err *e)
{
	if (e != NULL && e->line == 0)
		err_at(e, m->path, l->line);
	return -1;
}

static int value_compile(
	struct message *m, struct str text, const struct message_line *l, struct value *out, struct err *e)
{
	*out = (struct value){.there = true};
	if (!has_liquid(text)) {
		out->text = header_clean(&m->keep, text);
		return m->keep.failed ? message_oom(m, e) : 0;
	}
	struct liquid_options o = {
		.escape = LIQUID_HEADER,
		.zone = m->zone,
		.locale = m->locale,
		.path = m->path,
		.first_line = l->line,
	};
	out->l = liquid_compile(text, &o, m->names, e);
	if (out->l != NULL)
		return 0;
	/* Columns count from the line's beginning, where the value is still where it was read. */
	bool here = text.p >= l->value.p && text.p <= l->value.p + l->value.n;
	if (e != NULL && here && e->line == l->line && e->column > 0)
		e->column += l->column - 1 + (text.p - l->value.p);
	return at_line(m, l, e);
}

static int sender_constant(struct message *m, struct sender *s, const struct message_line *l, struct err *e)
{
	if (s->name.l != NULL || s->address.l != NULL)
		return 0;
	s->constant = true;
	s->fixed.name = s->name.text;
	if (mailbox_address(s->address.text, &m->keep, &s->fixed, e) != 0)
		return at_line(m, l, e);
	return 0;
}

static int sender_compile(struct message *m, enum message_field f, struct sender *out, struct err *e)
{
	const struct message_line *l = m->source.field[f];
	struct run hidden = RUN_INIT(&m->keep);
	struct str name, address;
	struct opaque_map whole;
	if (l == NULL)
		return 0;
	if (opaque_hide(&m->opaque, unfold(&m->keep, l->value), &m->file, l->line, &hidden, e) != 0)
		return -1;
	if (mailbox_split(run_get(&hidden), &m->keep, &name, &address, e) != 0) {
		/* The reason shows the text; not one with hidden Liquid. */
		if (opaque_in(run_get(&hidden)) && e != NULL)
			snprintf(e->why, sizeof e->why, "one address with one name is wanted");
		return at_line(m, l, e);
	}
	out->there = true;
	/* {{ x }} alone may give a name as well. */
	out->whole = name.n == 0 && opaque_in(address) && str_find(address, '@') == address.n;
	if (!opaque_show(&m->opaque, name, &whole))
		return message_oom(m, e);
	if (value_compile(m, whole.source, l, &out->name, e) != 0)
		return -1;
	if (!opaque_show(&m->opaque, address, &whole))
		return message_oom(m, e);
	if (value_compile(m, whole.source, l, &out->address, e) != 0 || sender_constant(m, out, l, e) != 0)
		return -1;
	size_t at = str_find(address, '@');
	if (f == FIELD_FROM && at < address.n && !opaque_in(str_n(address.p + at, address.n - at)) &&
		mailbox_domain(str_n(address.p + at + 1, address.n - at - 1), &m->keep, &m->from_domain, e) !=
			0)
		return at_line(m, l, e);
	return 0;
}

static int constant_field(struct message *m, enum message_field f, struct str *out, struct err *e)
{
	const struct message_line *l = m->source.field[f];
	*out = l != NULL ? l->value : STR("");
	if (l == NULL || !has_liquid(l->value))
		return 0;
	err_set(e, ERR_DATA, m->path, "%s is the same for everybody: no Liquid there", message_field_name(f));
	at_line(m, l, e);
	return err_remedy(e,
		"a letter for each language, sent with --where 'language = \"ja\"', has dates and "
		"links in it");
}

static int settings_compile(struct message *m, struct err *e)
{
	struct str charset;
	if (constant_field(m, FIELD_CHARSET, &charset, e) != 0 ||
		constant_field(m, FIELD_LANGUAGE, &m->language, e) != 0)
		return -1;
	if (charset.n != 0 && !charset_parse(charset, &m->charset)) {
		err_set(e, ERR_DATA, m->path, "unknown charset \"%.*s\"", STR_ARG(charset));
		at_line(m, m->source.field[FIELD_CHARSET], e);
		return err_remedy(e, "utf-8 (the default) and iso-2022-jp are known");
	}
	for (size_t i = 0; i < m->language.n; i++) {
		char c = m->language.p[i];
		if (m->language.n > 35 || !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
						  (c >= '0' && c <= '9') || c == '-')) {
			err_set(e, ERR_DATA, m->path, "not a language tag, as \"en\" or \"pt-BR\": \"%.*s\"",
				(int)(m->language.n < 60 ? m->language.n : 60), m->language.p);
			return at_line(m, m->source.field[FIELD_LANGUAGE], e);
		}
	}
	m->language = arena_str(&m->keep, m->language);
	return m->keep.failed ? message_oom(m, e) : 0;
}

/* --- Header: X-Name: value --- */

static bool is_ours(struct str name)
{
	static const char *const ours[] = {
		"Date",
		"Message-ID",
		"MIME-Version",
		"From",
		"To",
		"Cc",
		"Bcc",
		"Reply-To",
		"Sender",
		"Subject",
		"List-Id",
		"List-Unsubscribe",
		"List-Unsubscribe-Post",
		"Feedback-ID",
		"Precedence",
		"Content-Language",
		"Return-Path",
		"Received",
		"DKIM-Signature",
		"Delivered-To",
		"ARC-Seal",
		"Authentication-Results",
	};
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (str_is_nocase(name, ours[i]))
			return true;
	return (name.n > 8 && strncasecmp(name.p, "Content-", 8) == 0) ||
	       (name.n > 7 && strncasecmp(name.p, "Resent-", 7) == 0);
}

static int extra_compile(struct message *m, const struct message_line *l, struct extra *x, struct err *e)
{
	size_t colon = str_find(l->value, ':');
	struct str name = str_n(l->value.p, colon);
	bool fine = colon < l->value.n && name.n != 0 && name.n <= 60;
	for (size_t i = 0; i < name.n && fine; i++)
		fine = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') ||
		       (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '-' || name.p[i] == '_';
	if (!fine) {
		err_set(e, ERR_DATA, m->path, "not a header");
		at_line(m, l, e);
		return err_remedy(e, "write it as \"Header: X-Name: text\"");
	}
	if (is_ours(name)) {
		err_set(e, ERR_DATA, m->path, "%.*s is written by the program", STR_ARG(name));
		return at_line(m, l, e);
	}
	x->name = arena_str(&m->keep, name).p;
	struct str text = str_n(l->value.p + colon + 1, l->value.n - colon - 1);
	if (m->keep.failed)
		return message_oom(m, e);
	return value_compile(m, unfold(&m->keep, text), l, &x->value, e);
}

static int extras_compile(struct message *m, struct err *e)
{
	m->extras = arena_zalloc(&m->keep, (m->source.nlines + 1) * sizeof *m->extras);
	if (m->extras == NULL)
		return message_oom(m, e);
	for (size_t i = 0; i < m->source.nlines; i++)
		if (m->source.lines[i].field == FIELD_HEADER) {
			/* Counted first: what was begun is freed. */
			struct extra *x = &m->extras[m->nextras++];
			if (extra_compile(m, &m->source.lines[i], x, e) != 0)
				return -1;
		}
	return 0;
}

static int need(struct message *m, enum message_field f, const char *remedy, struct err *e)
{
	if (m->source.field[f] != NULL && m->source.field[f]->value.n != 0)
		return 0;
	err_set(e, ERR_DATA, m->path, "no %s", message_field_name(f));
	err_at(e, m->path, m->source.field[f] != NULL ? m->source.field[f]->line : 1);
	return err_remedy(e, "%s", remedy);
}

static int headers_compile(struct message *m, struct err *e)
{
	if (need(m, FIELD_FROM, "write a line \"From: Your Name <news@your.domain>\" at the top", e) != 0 ||
		need(m, FIELD_SUBJECT, "write a line \"Subject: …\" at the top", e) != 0)
		return -1;
	const struct message_line *s = m->source.field[FIELD_SUBJECT];
	if (value_compile(m, unfold(&m->keep, s->value), s, &m->subject, e) != 0)
		return -1;
	if (sender_compile(m, FIELD_FROM, &m->from, e) != 0 || sender_compile(m, FIELD_TO, &m->to, e) != 0 ||
		sender_compile(m, FIELD_REPLY_TO, &m->reply_to, e) != 0)
		return -1;
	return extras_compile(m, e);
}

/* --- names --- */

static int slots_compile(struct message *m, struct err *e)
{
	m->nnames = liquid_names_count(m->names);
	m->slot_of = arena_alloc(&m->keep, (m->nnames + 1) * sizeof *m->slot_of);
	m->slots = arena_alloc(&m->keep, (m->nnames + 1) * sizeof *m->slots);
	if (m->slot_of == NULL || m->slots == NULL)
		return message_oom(m, e);
	for (size_t i = 0; i < m->nnames; i++) {
		struct str name = liquid_name(m->names, i);
		int r = 0;
		while (r < RESERVED && !str_is(name, reserved[r]))
			r++;
		m->slot_of[i] = r < RESERVED ? -1 - r : (int)m->nslots;
		if (r == RESERVED)
			m->slots[m->nslots++] = i;
	}
	return 0;
}

/* --- the whole --- */

static int compile(struct message *m, struct err *e)
{
	struct str bytes, text;
	m->names = liquid_names_new();
	if (m->names == NULL)
		return message_oom(m, e);
	if (message_read(m, MESSAGE_PART, &bytes, e) != 0 ||
		message_text(bytes, m->path, &m->keep, &text, e) != 0)
		return -1;
	m->file = (struct opaque_file){.path = m->path, .text = text};
	if (message_source_parse(text, m->path, &m->keep, &m->source, e) != 0 || settings_compile(m, e) != 0)
		return -1;
	if (m->language.n == 0 && m->charset == CHARSET_ISO_2022_JP)
		m->language = STR("ja");
	m->locale = m->language.n != 0 ? m->language.p : NULL;
	if (headers_compile(m, e) != 0 || message_body_compile(m, e) != 0 || message_attach(m, e) != 0 ||
		message_tree(m, e) != 0)
		return -1;
	return slots_compile(m, e);
}

struct message *message_compile(const struct message_reader *r, enum message_format format,
	const struct message_options *o, struct err *e)
{
	struct message *m = calloc(1, sizeof *m);
	if (m == NULL) {
		err_set(e, ERR_INTERNAL, "message", "out of memory");
		return NULL;
	}
	arena_init(&m->keep, 64 << 10, 8 * MESSAGE_MOST);
	m->reader = r;
	m->options = o;
	m->format = format;
	m->zone = o->zone;
	m->opaque.a = &m->keep;
	m->path = arena_strdup(&m->keep, o->path != NULL ? o->path : "message");
	m->images = arena_alloc(&m->keep, MESSAGE_IMAGES * sizeof *m->images);
	struct err why = {0};
	if (m->path == NULL || m->images == NULL || compile(m, &why) != 0) {
		/* What only the arena knows. */
		if (why.code == ERR_NONE)
			err_set(&why, ERR_INTERNAL, "message", "out of memory");
		if (e != NULL)
			*e = why;
		message_free(&m);
		return NULL;
	}
	m->reader = NULL;
	m->options = NULL;
	return m;
}

static void sender_free(struct sender *s)
{
	liquid_free(&s->name.l);
	liquid_free(&s->address.l);
}

void message_free(struct message **mp)
{
	struct message *m = *mp;
	if (m == NULL)
		return;
	liquid_free(&m->subject.l);
	sender_free(&m->from);
	sender_free(&m->to);
	sender_free(&m->reply_to);
	for (size_t i = 0; i < m->nextras; i++)
		liquid_free(&m->extras[i].value.l);
	content_free(&m->text);
	content_free(&m->html);
	liquid_names_free(&m->names);
	arena_release(&m->keep);
	free(m);
	*mp = NULL;
}

/* --- what it is --- */

size_t message_nparts(const struct message *m)
{
	return m->nparts;
}

void message_part(const struct message *m, size_t i, struct str *name, struct str *data)
{
	*name = m->parts[i].name;
	*data = m->parts[i].data;
}

size_t message_nslots(const struct message *m)
{
	return m->nslots;
}

struct str message_slot(const struct message *m, size_t i)
{
	return liquid_name(m->names, m->slots[i]);
}

bool message_slot_defaulted(const struct message *m, size_t i)
{
	return liquid_name_defaulted(m->names, m->slots[i]);
}

struct str message_header_source(const struct message *m, const char *name)
{
	for (size_t i = 0; i < m->source.nlines; i++)
		if (str_is_nocase(str_from(message_field_name(m->source.lines[i].field)), name))
			return m->source.lines[i].value;
	return STR("");
}

struct str message_from_domain(const struct message *m)
{
	return m->from_domain;
}

bool message_has_unsubscribe_link(const struct message *m)
{
	return m->own_unsubscribe;
}
