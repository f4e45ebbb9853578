/* Where the MIME structure is broken, lines that look like the beginning of a part begin one: "--" and
 * something, then header fields with a Content- among them. Boundaries are not compared, so it does not
 * matter that the header names another one. */
#include "engine/bounce/mail.h"

static struct str rest_of(struct str s, size_t at)
{
	return str_n(s.p + at, s.n - at);
}

static size_t line_end(struct str s, size_t at)
{
	size_t n = str_find(rest_of(s, at), '\n');
	return at + n < s.n ? at + n + 1 : s.n;
}

static bool is_field_line(struct str s)
{
	size_t colon = str_find(s, ':');
	return colon < s.n && colon > 0 && colon < 60 && str_find(str_n(s.p, colon), ' ') == colon;
}

/* Header fields from `at`, at least one of them Content-…; their length with the empty line, or 0. */
static size_t part_header(struct str s, size_t at)
{
	bool content = false;
	size_t from = at;
	for (int lines = 0; at < s.n && lines < 20; lines++) {
		size_t end = line_end(s, at);
		struct str line = str_trim(str_n(s.p + at, end - at));
		if (line.n == 0)
			return content ? end - from : 0;
		bool fold = lines > 0 && (s.p[at] == ' ' || s.p[at] == '\t');
		if (!fold && !is_field_line(line))
			return content ? at - from : 0;
		if (!fold && line.n > 8 && strncasecmp(line.p, "content-", 8) == 0)
			content = true;
		at = end;
	}
	return 0;
}

/* The next beginning of a part at or behind `at`: where its boundary line stands and where its header begins.
 */
static bool next_part(struct str s, size_t at, size_t *boundary, size_t *header, size_t *body)
{
	for (; at < s.n; at = line_end(s, at)) {
		size_t dash = s.p[at] == ' ' ? at + 1 : at;
		if (dash + 2 >= s.n || s.p[dash] != '-' || s.p[dash + 1] != '-')
			continue;
		size_t from = line_end(s, at), n = part_header(s, from);
		if (n == 0)
			continue;
		*boundary = at;
		*header = from;
		*body = from + n;
		return true;
	}
	return false;
}

static bool is_container(const struct part *p)
{
	return p->type.n > 10 && strncasecmp(p->type.p, "multipart/", 10) == 0;
}

void mail_scan(struct mail *m)
{
	struct str s = rest_of(m->text, m->header.n);
	size_t boundary = s.n, header = 0, body = 0;
	bool more = next_part(s, 0, &boundary, &header, &body);
	struct str before = str_n(s.p, more ? boundary : s.n);
	if (str_trim(before).n != 0)
		mail_add_part(m, str_n(NULL, 0), before, false);
	while (more && m->nparts < READER_PARTS) {
		size_t from = body, head = header;
		more = next_part(s, body, &boundary, &header, &body);
		struct str text = str_n(s.p + from, (more ? boundary : s.n) - from);
		mail_add_part(m, str_n(s.p + head, from - head), text, false);
		struct part *last = &m->part[m->nparts - 1];
		if (is_container(last)) {
			m->nparts--;
		} else if (last->role == PART_RETURNED) {
			/* What follows is the returned message's own. */
			last->body = str_n(text.p, header_length(text));
			break;
		}
	}
}
