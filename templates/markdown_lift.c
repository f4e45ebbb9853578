#include "templates/markdown_lift.h"

#include "templates/html_token.h"

enum { NONE = -1, DEPTH = 64, TAGS = 32 };

enum item_kind { ITEM_OPEN, ITEM_CLOSE, ITEM_BLANK, ITEM_TEXT, ITEM_MARK };

struct item {
	enum item_kind kind;
	struct str text;
	int element;                    /* opened or closed here, or the one that holds this */
	const struct opaque_span *span; /* of a mark */
	int to;                         /* a mark's new place: before item `to`; NONE: stays */
	int block;                      /* first mark of its block; NONE: it has none */
};

struct element {
	struct str name;
	int parent, open, close;
};

struct lift {
	const struct opaque *o;
	struct item *items;
	int n;
	struct element *elements;
	int nelements;
};

/* --- reading --- */

static void add_item(struct lift *l, enum item_kind kind, struct str text, int element)
{
	l->items[l->n++] =
		(struct item){.kind = kind, .text = text, .element = element, .to = NONE, .block = NONE};
}

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

static void add_text(struct lift *l, struct str s, int element)
{
	size_t plain = 0;
	for (size_t i = 0; i <= s.n;) {
		const struct opaque_span *span = i < s.n ? opaque_at(l->o, s, i) : NULL;
		bool mark = span != NULL && span->kind != OPAQUE_VALUE && span->kind != OPAQUE_OTHER;
		if (i < s.n && !mark) {
			i++;
			continue;
		}
		struct str before = str_n(s.p + plain, i - plain);
		if (before.n != 0)
			add_item(l, is_blank(before) ? ITEM_BLANK : ITEM_TEXT, before, element);
		if (!mark)
			break;
		add_item(l, ITEM_MARK, str_n(s.p + i, OPAQUE_LEN), element);
		l->items[l->n - 1].span = span;
		i += OPAQUE_LEN;
		plain = i;
	}
}

static int close_tag(struct lift *l, const struct html_token *t, struct str text, int at)
{
	int e = at;
	while (e != NONE && !(l->elements[e].name.n == t->name.n &&
				    strncasecmp(l->elements[e].name.p, t->name.p, t->name.n) == 0))
		e = l->elements[e].parent;
	if (e == NONE) {
		add_item(l, ITEM_TEXT, text, at);
		return at;
	}
	l->elements[e].close = l->n;
	add_item(l, ITEM_CLOSE, text, e);
	return l->elements[e].parent;
}

static void read_html(struct lift *l, struct str html)
{
	struct html_lexer x = {.s = html};
	struct html_token t;
	int at = NONE;
	while (html_next(&x, &t)) {
		struct str text = str_n(html.p + t.from, t.to - t.from);
		if (t.kind == HTML_TEXT && !t.raw) {
			add_text(l, text, at);
		} else if (t.kind == HTML_OPEN && !html_is_void(t.name)) {
			l->elements[l->nelements] = (struct element){t.name, at, l->n, NONE};
			at = l->nelements++;
			add_item(l, ITEM_OPEN, text, at);
		} else if (t.kind == HTML_CLOSE) {
			at = close_tag(l, &t, text, at);
		} else {
			add_item(l, ITEM_TEXT, text, at);
		}
	}
}

/* --- where a mark can go --- */

struct place {
	int parent, before; /* the element that holds it there, and the item it stands before; NONE: where it
			       is */
};

static bool may_leave(const struct lift *l, int element, bool loop)
{
	static const char *const always[] = {
		"p", "li", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", NULL};
	static const char *const not_loops[] = {"ul", "ol", "table", "thead", "tbody", "blockquote", NULL};
	struct str name = l->elements[element].name;
	for (size_t i = 0; always[i] != NULL; i++)
		if (str_is(name, always[i]))
			return true;
	for (size_t i = 0; !loop && not_loops[i] != NULL; i++)
		if (str_is(name, not_loops[i]))
			return true;
	return false;
}

static bool nothing_between(const struct lift *l, int from, int to)
{
	for (int i = from + 1; i < to; i++)
		if (l->items[i].kind != ITEM_BLANK && l->items[i].kind != ITEM_MARK)
			return false;
	return true;
}

static int places(const struct lift *l, int mark, bool loop, struct place out[DEPTH])
{
	const struct item *m = &l->items[mark];
	int n = 0, element = m->element, at = mark;
	out[n++] = (struct place){element, NONE};
	while (element != NONE && n < DEPTH && may_leave(l, element, loop)) {
		const struct element *e = &l->elements[element];
		enum opaque_kind kind = m->span->kind;
		/* {% else %} may stand at either end. */
		if (kind != OPAQUE_CLOSE && nothing_between(l, e->open, at)) {
			at = e->open;
			out[n++] = (struct place){e->parent, at};
		} else if ((kind == OPAQUE_CLOSE || kind == OPAQUE_MIDDLE) && e->close != NONE &&
			   nothing_between(l, at, e->close)) {
			at = e->close;
			out[n++] = (struct place){e->parent, at + 1};
		} else {
			break;
		}
		element = e->parent;
	}
	return n;
}

/* To the outermost element where all of them can be; false: there is none. */
static bool lift_marks(struct lift *l, const int *marks, int n, bool loop)
{
	struct place first[DEPTH], other[DEPTH];
	for (int k = places(l, marks[0], loop, first) - 1; k >= 0; k--) {
		int to[TAGS], found = 1;
		to[0] = first[k].before;
		for (int i = 1; i < n; i++) {
			int m = places(l, marks[i], loop, other);
			for (int j = 0; j < m; j++)
				if (other[j].parent == first[k].parent) {
					to[i] = other[j].before;
					found++;
					break;
				}
		}
		if (found < n)
			continue;
		for (int i = 0; i < n; i++)
			l->items[marks[i]].to = to[i];
		return true;
	}
	return false;
}

/* Moves the tags of one block. A loop stays within a list and repeats its items, unless it holds more. */
static void lift_block(struct lift *l, const int *marks, int n)
{
	struct str word = opaque_word(l->items[marks[0]].span);
	bool loop = str_is(word, "for") || str_is(word, "tablerow");
	for (int i = 0; i < n; i++)
		l->items[marks[i]].block = marks[0];
	if (!lift_marks(l, marks, n, loop) && loop)
		lift_marks(l, marks, n, false);
}

static void lift_all(struct lift *l)
{
	struct {
		int marks[TAGS], n;
	} open[DEPTH];
	int depth = 0;
	for (int i = 0; i < l->n; i++) {
		if (l->items[i].kind != ITEM_MARK)
			continue;
		enum opaque_kind kind = l->items[i].span->kind;
		if (kind == OPAQUE_SILENT) {
			lift_block(l, &i, 1);
			continue;
		}
		if (kind == OPAQUE_OPEN) {
			if (depth == DEPTH)
				return;
			open[depth++].n = 0;
		}
		if (depth == 0)
			continue;
		if (open[depth - 1].n < TAGS)
			open[depth - 1].marks[open[depth - 1].n++] = i;
		if (kind != OPAQUE_CLOSE)
			continue;
		depth--;
		if (open[depth].n < TAGS)
			lift_block(l, open[depth].marks, open[depth].n);
	}
}

/* Where a mark ends up among the items. */
static int position(const struct lift *l, int mark)
{
	return l->items[mark].to != NONE ? 2 * l->items[mark].to : 2 * mark + 1;
}

static bool drop_block(struct lift *l, int block)
{
	bool any = false;
	for (int i = 0; i < l->n && block != NONE; i++)
		if (l->items[i].kind == ITEM_MARK && l->items[i].block == block) {
			any |= l->items[i].to != NONE;
			l->items[i].to = NONE;
		}
	return any;
}

/* Tags must keep their order: blocks that would change it stay where they are. */
static void keep_order(struct lift *l)
{
	int before = NONE;
	for (int i = 0; i < l->n; i++) {
		if (l->items[i].kind != ITEM_MARK)
			continue;
		if (before != NONE && position(l, before) > position(l, i)) {
			bool a = drop_block(l, l->items[before].block), b = drop_block(l, l->items[i].block);
			if (!a && !b)
				return;
			before = i = NONE;
			continue;
		}
		before = i;
	}
}

static bool write_html(const struct lift *l, struct run *out)
{
	/* For each place the marks that move there, in their order. */
	int *head = arena_alloc(out->a, ((size_t)l->n + 1) * sizeof *head);
	int *next = arena_alloc(out->a, ((size_t)l->n + 1) * sizeof *next);
	if (head == NULL || next == NULL)
		return false;
	for (int i = 0; i <= l->n; i++)
		head[i] = NONE;
	for (int k = l->n - 1; k >= 0; k--) {
		int to = l->items[k].to;
		if (to == NONE)
			continue;
		next[k] = head[to];
		head[to] = k;
	}
	for (int i = 0; i <= l->n; i++) {
		for (int k = head[i]; k != NONE; k = next[k])
			run_str(out, l->items[k].text);
		if (i < l->n && l->items[i].to == NONE)
			run_str(out, l->items[i].text);
	}
	return !out->failed;
}

bool markdown_lift(struct str html, const struct opaque *o, struct run *out)
{
	struct lift l = {.o = o};
	/* Each item has a byte at least. */
	size_t most = html.n + 1;
	if (most > 1u << 30)
		return false;
	size_t tags = 1;
	for (size_t i = 0; i < html.n; i++)
		tags += html.p[i] == '<';
	for (size_t i = 0; i < html.n; i++)
		tags += opaque_at(o, html, i) != NULL;
	l.items = arena_alloc(o->a, (2 * tags + 2) * sizeof *l.items);
	l.elements = arena_alloc(o->a, tags * sizeof *l.elements);
	if (l.items == NULL || l.elements == NULL)
		return false;
	read_html(&l, html);
	lift_all(&l);
	keep_order(&l);
	return write_html(&l, out);
}
