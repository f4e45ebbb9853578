/* The structure of a message: by GMime where it is sound and shallow. */
#include "engine/bounce/mail.h"

#include <gmime/gmime.h>

#define MIME_BYTES      (256 << 10) /* beyond these nothing of a report is expected: only its attachments */
#define MIME_BOUNDARIES 24          /* more, and the structure is somebody's toy: read it by lines */
#define MIME_DEPTH      8

long mail_line(const struct mail *m, int part, struct str s)
{
	struct str in = part > 0 && part <= m->nparts ? m->part[part - 1].body : m->text;
	const char *at = s.n != 0 && in.n != 0 ? memmem(in.p, in.n, s.p, s.n) : NULL;
	if (at == NULL || at < m->text.p || at > m->text.p + m->text.n)
		return 0;
	long line = 1;
	for (const char *p = m->text.p; (p = memchr(p, '\n', (size_t)(at - p))) != NULL; p++)
		line++;
	return line;
}

/* ---- parts ---- */

static struct str content_type(struct arena *a, struct str header)
{
	return field_find(a, header, "content-type");
}

static bool is_header_part(struct str type)
{
	return str_is(type, "message/rfc822") || str_is(type, "text/rfc822-headers") ||
	       str_is(type, "text/rfc822-header") || str_is(type, "message/rfc822-headers") ||
	       str_is(type, "message/global") || str_is(type, "message/global-headers") ||
	       str_is(type, "text/rfc822") || str_is(type, "message/partial");
}

static enum part_role role_of(struct str type)
{
	if (str_is(type, "message/delivery-status") || str_is(type, "message/global-delivery-status"))
		return PART_STATUS;
	if (str_is(type, "message/feedback-report"))
		return PART_FEEDBACK;
	if (str_is(type, "message/disposition-notification") ||
		str_is(type, "message/global-disposition-notification"))
		return PART_RECEIPT;
	if (is_header_part(type))
		return PART_RETURNED;
	if (type.n == 0 || str_starts(type, STR("text/plain")) || str_is(type, "text/html") ||
		str_is(type, "text") || str_is(type, "text/"))
		return PART_TEXT;
	return PART_OTHER;
}

/* "text/plain" of a Content-Type, as it stands. */
static struct str bare_type(struct str value)
{
	return str_trim(str_n(value.p, str_find(value, ';')));
}

static struct str type_lower(struct str value, char out[80])
{
	struct str t = bare_type(value);
	size_t n = t.n < 80 ? t.n : 79;
	for (size_t i = 0; i < n; i++)
		out[i] = t.p[i] >= 'A' && t.p[i] <= 'Z' ? (char)(t.p[i] + ('a' - 'A')) : t.p[i];
	return str_n(out, n);
}

/* The value of a field of a part's header, folds and all; the part's own copy is not needed. */
static struct str raw_field(struct str header, const char *name)
{
	size_t at = 0;
	struct field f;
	while (field_next(header, &at, &f))
		if (str_is_nocase(f.name, name))
			return f.value;
	return str_n(NULL, 0);
}

void mail_add_part(struct mail *m, struct str header, struct str body, bool alternative)
{
	if (m->nparts == READER_PARTS)
		return;
	char lower[80];
	struct str value = raw_field(header, "content-type"), type = type_lower(value, lower);
	struct part *p = &m->part[m->nparts++];
	*p = (struct part){.role = role_of(type), .type = bare_type(value), .header = header, .body = body};
	p->html = str_is(type, "text/html");
	p->alternative = alternative;
	p->named = field_parameter(raw_field(header, "content-disposition"), "filename").n != 0;
}

/* ---- GMime ---- */

struct walk {
	struct mail *m;
	struct str text; /* what GMime was given */
};

/* Where the header of an object stands: GMime keeps the offset of each field. */
static struct str object_header(struct walk *w, GMimeObject *o)
{
	GMimeHeaderList *list = g_mime_object_get_header_list(o);
	GMimeHeader *first = list != NULL && g_mime_header_list_get_count(list) > 0
				     ? g_mime_header_list_get_header_at(list, 0)
				     : NULL;
	gint64 at = first != NULL ? g_mime_header_get_offset(first) : -1;
	if (at < 0 || (size_t)at >= w->text.n)
		return str_n(NULL, 0);
	struct str rest = str_n(w->text.p + at, w->text.n - (size_t)at);
	return str_n(rest.p, header_length(rest));
}

static struct str stream_slice(struct walk *w, GMimeStream *s)
{
	if (s == NULL || s->bound_start < 0 || (size_t)s->bound_start > w->text.n)
		return str_n(NULL, 0);
	size_t from = (size_t)s->bound_start, end = s->bound_end < 0 ? w->text.n : (size_t)s->bound_end;
	return end < from || end > w->text.n ? str_n(NULL, 0) : str_n(w->text.p + from, end - from);
}

static void walk_leaf(struct walk *w, GMimePart *part, bool alternative)
{
	GMimeDataWrapper *content = g_mime_part_get_content(part);
	struct str body =
		content != NULL ? stream_slice(w, g_mime_data_wrapper_get_stream(content)) : str_n(NULL, 0);
	mail_add_part(w->m, object_header(w, GMIME_OBJECT(part)), body, alternative);
}

/* The message inside counts with its header alone. */
static void walk_message(struct walk *w, GMimeMessagePart *part)
{
	struct str header = object_header(w, GMIME_OBJECT(part));
	GMimeMessage *inner = g_mime_message_part_get_message(part);
	mail_add_part(
		w->m, header, inner != NULL ? object_header(w, GMIME_OBJECT(inner)) : str_n(NULL, 0), false);
}

static void walk(struct walk *w, GMimeObject *o, int depth, bool alternative)
{
	if (o == NULL || depth > MIME_DEPTH)
		return;
	if (GMIME_IS_MULTIPART(o)) {
		GMimeContentType *type = g_mime_object_get_content_type(o);
		bool alt = type != NULL && g_mime_content_type_is_type(type, "multipart", "alternative");
		int n = g_mime_multipart_get_count(GMIME_MULTIPART(o));
		for (int i = 0; i < n && w->m->nparts < READER_PARTS; i++)
			walk(w, g_mime_multipart_get_part(GMIME_MULTIPART(o), i), depth + 1, alt);
	} else if (GMIME_IS_MESSAGE_PART(o)) {
		walk_message(w, GMIME_MESSAGE_PART(o));
	} else if (GMIME_IS_PART(o)) {
		walk_leaf(w, GMIME_PART(o), alternative);
	}
}

/* The stream borrows the bytes. */
static void parse_with_gmime(struct mail *m, struct str text)
{
	GByteArray bytes = {.data = (guint8 *)(uintptr_t)text.p, .len = (guint)text.n};
	GMimeStream *stream = g_mime_stream_mem_new();
	GMimeStreamMem *mem = GMIME_STREAM_MEM(stream);
	GByteArray *own = mem->buffer;
	mem->buffer = &bytes;
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	g_mime_parser_set_persist_stream(parser, TRUE);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
	if (message != NULL) {
		struct walk w = {m, text};
		walk(&w, g_mime_message_get_mime_part(message), 0, false);
		g_object_unref(message);
	}
	g_object_unref(parser);
	mem->buffer = own;
	g_object_unref(stream);
}

/* ---- is it sound? ---- */

static int count_boundaries(struct str s)
{
	int n = 0;
	while (n <= MIME_BOUNDARIES) {
		size_t at = find_nocase(s, "boundary");
		if (at == s.n)
			break;
		s = str_n(s.p + at + 8, s.n - at - 8);
		n++;
	}
	return n;
}

/* Do lines that should have been the beginning of a part stand inside one? Then the boundary lies. */
static bool holds_parts(struct str body)
{
	static const char *const signs[] = {"\ncontent-type:", "\nfinal-recipient:"};
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (find_nocase(body, signs[i]) < body.n)
			return true;
	return false;
}

static bool is_sound(const struct mail *m)
{
	if (!str_starts(m->type, STR("multipart/")))
		return true;
	if (m->nparts < 2 && (m->nparts == 0 || holds_parts(m->part[0].body)))
		return false;
	bool report = str_is(m->type, "multipart/report");
	for (int i = 0; i < m->nparts; i++)
		if (m->part[i].role == PART_STATUS && m->part[i].body.n < 8)
			return false;
		else if (m->part[i].role == PART_STATUS || m->part[i].role == PART_FEEDBACK ||
			 m->part[i].role == PART_RECEIPT)
			report = false;
	/* A report without its report: somewhere among the lines, perhaps. */
	for (int i = 0; report && i < m->nparts; i++)
		if (m->part[i].role == PART_TEXT && holds_parts(m->part[i].body))
			return false;
	return true;
}

static struct str without_from_line(struct str s)
{
	while (s.n != 0 && (s.p[0] == '\n' || s.p[0] == '\r'))
		s = str_n(s.p + 1, s.n - 1);
	if (str_starts(s, STR("From ")) || str_starts(s, STR(">From "))) {
		size_t n = str_find(s, '\n');
		if (n < s.n)
			s = str_n(s.p + n + 1, s.n - n - 1);
	}
	return s;
}

/* Mail kept by very old programs ends its lines with CR alone. */
static struct str with_line_feeds(struct arena *a, struct str s)
{
	if (str_find(s, '\r') == s.n || str_find(s, '\n') < s.n)
		return s;
	char *out = arena_bytes(a, s.n + 1);
	if (out == NULL)
		return s;
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] == '\r' ? '\n' : s.p[i];
	return str_n(out, s.n);
}

/* Text without any header is all body. */
static bool begins_with_field(struct str s)
{
	size_t i = 0;
	while (i < s.n && s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != ':')
		i++;
	return i > 0 && i < s.n && s.p[i] == ':';
}

int mail_parse(struct arena *a, struct str message, struct mail *m)
{
	*m = (struct mail){.cut = message.n > READER_BYTES};
	if (m->cut)
		message.n = READER_BYTES;
	m->text = without_from_line(with_line_feeds(a, message));
	m->header = str_n(m->text.p, begins_with_field(m->text) ? header_length(m->text) : 0);
	struct str value = content_type(a, m->header);
	m->type = lower_copy(a, bare_type(value));
	m->report_type = lower_copy(a, field_parameter(value, "report-type"));
	struct str window = str_n(m->text.p, m->text.n < MIME_BYTES ? m->text.n : MIME_BYTES);
	if (!str_starts(m->type, STR("multipart/"))) {
		mail_add_part(m, m->header, str_n(m->text.p + m->header.n, m->text.n - m->header.n), false);
	} else if (count_boundaries(window) <= MIME_BOUNDARIES) {
		parse_with_gmime(m, window);
	}
	if (!is_sound(m)) {
		m->broken = true;
		m->nparts = 0;
		mail_scan(m);
	}
	return a->failed ? -1 : 0;
}
