/* The tree of parts (RFC 2046 5.1). */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

enum kind { KIND_OTHER, KIND_TEXT, KIND_HTML };

struct part { /* of one multipart */
	struct str s;
};

struct multipart {
	struct linter *l;
	struct str place, boundary;
	struct part parts[LINT_PARTS];
	size_t n;
	bool digest;
};

static enum kind entity(struct linter *l, const struct lint_headers *h, struct str body, int depth,
	const struct str *boundaries);

/* ---- Taking a multipart apart ---- */

static bool boundary_ok(struct str b)
{
	for (size_t i = 0; i < b.n; i++) {
		unsigned char c = (unsigned char)b.p[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		if (!alnum && (c == '\0' || strchr("'()+_,-./:=? ", c) == NULL))
			return false;
	}
	return b.n >= 1 && b.n <= 70 && b.p[b.n - 1] != ' ';
}

enum delimiter { NO_DELIMITER, DELIMITER, CLOSE_DELIMITER, ALMOST };

static enum delimiter delimiter(const struct multipart *m, struct str line)
{
	if (line.n < m->boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
		memcmp(line.p + 2, m->boundary.p, m->boundary.n) != 0)
		return NO_DELIMITER;
	struct str rest = str_trim(str_n(line.p + 2 + m->boundary.n, line.n - 2 - m->boundary.n));
	return rest.n == 0 ? DELIMITER : str_is(rest, "--") ? CLOSE_DELIMITER : ALMOST;
}

/* A part's bytes end before the line end that belongs to the delimiter. */
static void part_end(struct multipart *m, const char *begin, const char *end)
{
	if (end > begin && end[-1] == '\n')
		end--;
	if (end > begin && end[-1] == '\r')
		end--;
	if (m->n < LINT_PARTS && ++m->l->parts <= LINT_PARTS)
		m->parts[m->n++] = (struct part){str_n(begin, (size_t)(end - begin))};
	else
		m->l->out->skipped = true;
}

static void split(struct multipart *m, struct str body)
{
	const char *begin = NULL, *first = NULL;
	bool closed = false;
	for (size_t at = 0, next; at < body.n; at = next) {
		size_t n = str_find(str_n(body.p + at, body.n - at), '\n');
		next = at + n + (at + n < body.n);
		struct str line = str_n(body.p + at, n > 0 && body.p[at + n - 1] == '\r' ? n - 1 : n);
		enum delimiter d = delimiter(m, line);
		if (d == NO_DELIMITER)
			continue;
		if (d == ALMOST || closed) {
			lint_add(m->l, L_BOUNDARY_INSIDE, m->place, line.p,
				closed ? "the boundary stands again behind the end: \"%s\""
				       : "a line begins as the boundary does: \"%s\"",
				lint_show(m->l, line));
			continue;
		}
		if (begin != NULL)
			part_end(m, begin, line.p);
		first = first != NULL ? first : line.p;
		begin = body.p + next;
		closed = d == CLOSE_DELIMITER;
		if (closed)
			begin = NULL;
	}
	if (first == NULL)
		lint_add(m->l, L_BOUNDARY_ABSENT, m->place, body.p,
			"no part begins with its boundary \"--%s\"", lint_show(m->l, m->boundary));
	else if (!closed)
		lint_add(m->l, L_BOUNDARY_UNCLOSED, m->place, body.p, "it does not end with \"--%s--\"",
			lint_show(m->l, m->boundary));
	if (begin != NULL)
		part_end(m, begin, body.p + body.n);
}

/* Does a header begin here: name, colon? */
static bool is_field(struct str s)
{
	size_t i = 0;
	while (i < s.n && s.p[i] > ' ' && s.p[i] != ':' && s.p[i] != 0x7f)
		i++;
	return i > 0 && i < s.n && s.p[i] == ':';
}

static enum kind one_part(struct multipart *m, size_t i, int depth, const struct str *boundaries)
{
	struct linter *l = m->l;
	struct str s = m->parts[i].s;
	struct lint_headers h;
	size_t line = str_find(s, '\n');
	bool empty = line == 0 || (line == 1 && s.n > 1 && s.p[0] == '\r') || s.n == 0;
	if (!empty && !is_field(str_n(s.p, line))) {
		lint_add(l, L_BOUNDARY_INSIDE, m->place, s.p, "no part begins behind this boundary: \"%s\"",
			lint_show(l, str_n(s.p, line)));
		return KIND_OTHER;
	}
	if (empty && i > 0)
		lint_add(l, L_BOUNDARY_INSIDE, m->place, s.p,
			"a part has no header: does the boundary stand in a text?");
	struct str rest = lint_fields(l, s, m->place, &h);
	return entity(l, &h, rest, depth + 1, boundaries);
}

/* ---- Multiparts ---- */

static void boundary_rules(
	struct multipart *m, const struct lint_header *type, int depth, const struct str *boundaries)
{
	struct str b = m->boundary;
	if (!boundary_ok(b))
		lint_add(m->l, L_BOUNDARY_FORM, m->place, type->name.p,
			b.n > 70 ? "the boundary has more than 70 characters" : "this is no boundary: \"%s\"",
			lint_show(m->l, b));
	for (int i = 0; i < depth; i++) {
		struct str o = boundaries[i];
		if (o.n != 0 && (str_starts(b, o) || str_starts(o, b)))
			lint_add(m->l, L_BOUNDARY_SAME, m->place, type->name.p,
				"its boundary begins as the one around it does: \"%s\"", lint_show(m->l, b));
	}
}

static enum kind alternatives(struct multipart *m, const enum kind *kinds)
{
	bool html = false, text = false;
	for (size_t i = 0; i < m->n; i++) {
		if (kinds[i] == KIND_TEXT && html && !text)
			lint_add(m->l, L_HTML_FIRST, m->place, m->parts[i].s.p,
				"the HTML stands before the plain text");
		html = html || kinds[i] == KIND_HTML;
		text = text || kinds[i] == KIND_TEXT;
	}
	if (m->n == 1)
		lint_add(m->l, L_ALTERNATIVE_ONE, m->place, m->parts[0].s.p,
			"there is nothing to choose from");
	return html ? KIND_HTML : text ? KIND_TEXT : KIND_OTHER;
}

static enum kind multipart(struct linter *l, const struct lint_header *type, const struct lint_type *t,
	struct str place, struct str body, int depth, const struct str *outer)
{
	const struct lint_param *b = lint_param(t, "boundary");
	struct str boundaries[LINT_DEPTH + 1];
	struct multipart *m = arena_alloc(l->a, sizeof *m);
	enum kind *kinds = arena_alloc(l->a, LINT_PARTS * sizeof *kinds), kind = KIND_OTHER;
	if (b == NULL || b->value.n == 0) {
		lint_add(l, L_BOUNDARY_MISSING, place, type->name.p, "the multipart has no boundary");
		return KIND_OTHER;
	}
	if (m == NULL || kinds == NULL || depth >= LINT_DEPTH) {
		l->out->skipped = true;
		return KIND_OTHER;
	}
	m->l = l;
	m->place = place;
	m->boundary = b->value;
	m->n = 0;
	boundary_rules(m, type, depth, outer);
	for (int i = 0; i < depth; i++)
		boundaries[i] = outer[i];
	boundaries[depth] = m->boundary;
	if (str_is(t->type, "multipart/related") && lint_param(t, "type") == NULL)
		lint_add(
			l, L_RELATED_TYPE, place, type->name.p, "it does not say the type of its first part");
	split(m, body);
	for (size_t i = 0; i < m->n; i++)
		kinds[i] = one_part(m, i, depth, boundaries);
	if (str_is(t->type, "multipart/alternative"))
		return alternatives(m, kinds);
	if (m->n != 0)
		kind = kinds[0];
	return kind;
}

/* ---- Leaves ---- */

static void content_id(struct linter *l, const struct lint_header *h)
{
	struct str v = lint_unfold(l, h->value);
	if (v.n < 5 || v.p[0] != '<' || v.p[v.n - 1] != '>' || str_find(v, '@') == v.n ||
		str_starts(v, STR("<cid:")))
		lint_add(l, L_CID_FORM, h->name, h->name.p, "this is no Content-ID: \"%s\"", lint_show(l, v));
	if (v.n < 3)
		return;
	if (l->ncids == l->cids_cap) {
		size_t cap = l->cids_cap * 2 + 8;
		struct str *p = arena_alloc(l->a, cap * sizeof *p);
		if (p == NULL)
			return;
		if (l->ncids != 0)
			memcpy(p, l->cids, l->ncids * sizeof *p);
		l->cids = p;
		l->cids_cap = cap;
	}
	bool angle = v.p[0] == '<' && v.p[v.n - 1] == '>';
	l->cids[l->ncids++] = angle ? str_n(v.p + 1, v.n - 2) : v;
}

static void charset_complaint(
	struct linter *l, struct str place, const char *at, const struct lint_param *c, bool known)
{
	if (!known)
		lint_add(l, L_CHARSET_UNKNOWN, place, at, "nobody knows the charset \"%s\"",
			lint_show(l, c != NULL ? c->value : STR("")));
	else
		lint_add(l, L_CHARSET_INVALID, place, at, "its bytes are not %s",
			lint_show(l, c != NULL ? c->value : STR("UTF-8")));
}

static enum kind text_part(struct linter *l, const struct lint_header *type, const struct lint_type *t,
	struct str place, struct str body, enum lint_cte cte, bool attachment)
{
	const struct lint_param *c = lint_param(t, "charset");
	bool known = true;
	struct str bytes = lint_decode(l, body, cte, place, !attachment);
	if (c == NULL && type != NULL)
		lint_add(l, L_CHARSET_MISSING, place, type->name.p, "it does not say its charset");
	struct str utf8 = lint_charset(l, bytes, c != NULL ? c->value : STR("utf-8"), &known);
	if (utf8.p == NULL)
		charset_complaint(l, place, body.p, c, known);
	bool html = str_is(t->type, "text/html"), plain = str_is(t->type, "text/plain");
	if (attachment || !(html || plain))
		return KIND_OTHER;
	struct str *keep = html ? &l->html : &l->text;
	if (keep->p == NULL)
		*keep = utf8.p != NULL ? utf8 : str_n(bytes.n != 0 ? bytes.p : "", bytes.n);
	return html ? KIND_HTML : KIND_TEXT;
}

static enum lint_cte encoding(
	struct linter *l, const struct lint_headers *h, struct str place, bool multipart)
{
	const struct lint_header *f = lint_header(h, "content-transfer-encoding");
	if (f == NULL)
		return CTE_7BIT;
	struct str v = lint_unfold(l, f->value);
	enum lint_cte cte = lint_cte(v);
	if (cte == CTE_OTHER)
		lint_add(l, L_CTE_UNKNOWN, place, f->name.p, "nobody knows the encoding \"%s\"",
			lint_show(l, v));
	else if (multipart && cte >= CTE_QP)
		lint_add(l, L_CTE_MULTIPART, place, f->name.p, "a multipart is called %s", lint_show(l, v));
	return cte;
}

static enum kind entity(struct linter *l, const struct lint_headers *h, struct str body, int depth,
	const struct str *boundaries)
{
	const struct lint_header *type = lint_header(h, "content-type"),
				 *disposition = lint_header(h, "content-disposition"),
				 *cid = lint_header(h, "content-id");
	struct lint_type t = {.type = STR("text/plain")}, d = {0};
	if (type != NULL)
		lint_type(l, type, &t);
	else if (depth == 0 || h->n != 0)
		lint_add(l, L_TYPE_MISSING, STR("Content-Type"), h->n != 0 ? h->v[0].name.p : NULL,
			"a part does not say what it is");
	if (disposition != NULL)
		lint_type(l, disposition, &d);
	if (cid != NULL)
		content_id(l, cid);
	struct str place = str_from(lint_show(l, t.type));
	bool is_multipart = str_starts(t.type, STR("multipart/"));
	enum lint_cte cte = encoding(l, h, place, is_multipart);
	if (is_multipart)
		return multipart(l, type, &t, place, body, depth, boundaries);
	if (str_starts(t.type, STR("text/")))
		return text_part(l, type, &t, place, body, cte, str_is(d.type, "attachment"));
	lint_decode(l, body, cte, place, false);
	return KIND_OTHER;
}

/* Fields that were meant for the header, before the first part: an empty line came too early. */
static void lost_header(struct linter *l, struct str body)
{
	static const char *const names[] = {
		"mime-version:", "content-type:", "content-transfer-encoding:", "message-id:", "list-id:",
		"list-unsubscribe:", "list-unsubscribe-post:", "feedback-id:", "from:", "to:", "date:"};
	size_t n = 0, lines = 0;
	for (size_t at = 0; at < body.n && lines < 40; lines++) {
		struct str line = str_n(body.p + at, str_find(str_n(body.p + at, body.n - at), '\n'));
		if (str_starts(line, STR("--")))
			break;
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			n += line.n > strlen(names[i]) &&
			     strncasecmp(line.p, names[i], strlen(names[i])) == 0;
		at += line.n + 1;
	}
	if (n >= 2)
		lint_add(l, L_HEADER_IN_BODY, STR("body"), body.p, "%zu header lines stand in the body", n);
}

void lint_entity(struct linter *l, const struct lint_headers *h, struct str body, int depth)
{
	lost_header(l, body);
	entity(l, h, body, depth, NULL);
	if (l->text.p == NULL && l->html.p == NULL && str_trim(body).n == 0)
		lint_add(l, L_BODY_EMPTY, STR("body"), NULL, "the message is empty");
	else if (l->html.p == NULL && l->text.p != NULL && str_trim(l->text).n == 0)
		lint_add(l, L_BODY_EMPTY, STR("body"), NULL, "the message is empty");
}
