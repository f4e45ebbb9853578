#include "templates/html_inline.h"

#include "templates/html_css.h"
#include "templates/html_token.h"

enum { DECLARATIONS = 256 };

struct applied {
	struct css_declaration d;
	unsigned specificity;
	int order; /* of its rule; a style attribute comes last */
	bool own;  /* from the style attribute */
};

struct cascade {
	struct applied v[DECLARATIONS];
	int n;
};

struct style {           /* one <style> that is inlined */
	size_t from, to; /* its text in the source */
	int first, last; /* its rules: [first, last) */
};

struct inliner {
	struct str html;
	const struct opaque *o;
	struct run *out;
	struct css_sheet sheet;
	struct style *styles;
	int nstyles;
	bool keep; /* rules stay in <style> as well */
	struct css_element stack[CSS_DEPTH];
	int depth, too_deep;
	struct cascade cascade;
};

static bool is(const struct html_token *t, const char *name)
{
	return str_is_nocase(t->name, name);
}

/* --- the style sheets --- */

static bool has_control(const struct opaque *o, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const struct opaque_span *span = opaque_at(o, s, i);
		if (span != NULL && span->kind != OPAQUE_VALUE)
			return true;
	}
	return false;
}

static bool is_inlined(const struct inliner *n, const struct html_token *style)
{
	struct html_attr a;
	if (html_attr_find(n->html, style, "data-inline", &a) && str_is_nocase(a.value, "false"))
		return false;
	return !html_attr_find(n->html, style, "media", &a) || str_is_nocase(str_trim(a.value), "all") ||
	       str_is_nocase(str_trim(a.value), "screen") || a.value.n == 0;
}

/* Parts of the document that are only known when it is rendered may need the rules. */
static bool has_unknown(const struct inliner *n)
{
	for (size_t i = 0; i < n->html.n; i++) {
		const struct opaque_span *s = opaque_at(n->o, n->html, i);
		if (s == NULL)
			continue;
		struct str w = opaque_word(s);
		if (s->kind == OPAQUE_OTHER &&
			(str_is(w, "render") || str_is(w, "include") || str_is(w, "liquid")))
			return true;
		if (s->kind == OPAQUE_VALUE && memmem(s->text.p, s->text.n, "raw", 3) != NULL)
			return true;
	}
	return false;
}

static bool read_styles(struct inliner *n)
{
	struct html_lexer x = {.s = n->html};
	struct html_token t;
	int most = 0;
	while (html_next(&x, &t))
		most += t.kind == HTML_OPEN && is(&t, "style");
	n->styles = arena_alloc(n->o->a, ((size_t)most + 1) * sizeof *n->styles);
	if (n->styles == NULL)
		return false;
	x = (struct html_lexer){.s = n->html};
	while (html_next(&x, &t)) {
		bool wanted = t.kind == HTML_OPEN && is(&t, "style") && is_inlined(n, &t);
		if (!wanted || !html_next(&x, &t) || !t.raw)
			continue;
		struct str css = str_n(n->html.p + t.from, t.to - t.from);
		if (has_control(n->o, css))
			continue;
		struct style *s = &n->styles[n->nstyles++];
		*s = (struct style){.from = t.from, .to = t.to, .first = n->sheet.nrules};
		if (!css_parse(&n->sheet, css, n->o->a))
			return false;
		s->last = n->sheet.nrules;
	}
	return true;
}

/* --- elements --- */

static void read_classes(struct inliner *n, struct css_element *e, struct str value)
{
	int control = 0;
	for (size_t i = 0; i < value.n;) {
		size_t from = i;
		const struct opaque_span *span;
		bool certain = control == 0, mixed = false;
		while (i < value.n && strchr(" \t\n\r\f", value.p[i]) == NULL) {
			span = opaque_at(n->o, value, i);
			if (span != NULL) {
				control += (span->kind == OPAQUE_OPEN) - (span->kind == OPAQUE_CLOSE);
				n->keep = mixed = true;
			}
			i += span != NULL ? OPAQUE_LEN : 1;
		}
		if (i > from && certain && !mixed && e->nclasses < 16)
			e->classes[e->nclasses++] = str_n(value.p + from, i - from);
		i++;
	}
}

static struct css_element element(struct inliner *n, const struct html_token *t, struct html_attr *style,
	bool *has_style, bool *uncertain)
{
	struct css_element e = {.name = t->name, .parent = n->depth != 0 ? &n->stack[n->depth - 1] : NULL};
	struct html_attr a;
	*has_style = *uncertain = false;
	for (size_t at = 0; html_attr_next(n->html, t, &at, &a);) {
		if (a.name.n == 0) {
			*uncertain = true;
		} else if (str_is_nocase(a.name, "style")) {
			*has_style = true;
			*style = a;
		} else if (str_is_nocase(a.name, "class")) {
			read_classes(n, &e, a.value);
		} else if (str_is_nocase(a.name, "id")) {
			e.id = a.value;
		}
	}
	return e;
}

/* The end tags that HTML lets one leave out, where their element can only have ended. */
static void close_implied(struct inliner *n, const struct html_token *t)
{
	static const char *const alone[] = {"p", "li", "td", "th", "tr", "dt", "dd", "option"};
	if (n->depth == 0)
		return;
	struct str top = n->stack[n->depth - 1].name;
	for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
		if (str_is_nocase(top, alone[i]) && is(t, alone[i])) {
			n->depth--;
			return;
		}
}

static void open_element(struct inliner *n, const struct html_token *t, const struct css_element *e)
{
	if (html_is_void(t->name))
		return;
	if (n->depth == CSS_DEPTH)
		n->too_deep++;
	else
		n->stack[n->depth++] = *e;
}

static void close_element(struct inliner *n, const struct html_token *t)
{
	if (n->too_deep > 0) {
		n->too_deep--;
		return;
	}
	for (int i = n->depth - 1; i >= 0; i--)
		if (n->stack[i].name.n == t->name.n &&
			strncasecmp(n->stack[i].name.p, t->name.p, t->name.n) == 0) {
			n->depth = i;
			return;
		}
}

/* --- the cascade --- */

/* Does a win over b, or come behind it? */
static bool later(const struct applied *a, const struct applied *b)
{
	if (a->d.important != b->d.important)
		return a->d.important;
	if (a->own != b->own)
		return a->own;
	if (a->specificity != b->specificity)
		return a->specificity > b->specificity;
	return a->order >= b->order;
}

static bool cascade_add(struct cascade *c, struct str block, unsigned specificity, int order, bool own)
{
	struct css_declaration d;
	while (css_declaration_next(&block, &d)) {
		struct applied a = {.d = d, .specificity = specificity, .order = order, .own = own};
		int i = c->n;
		if (c->n == DECLARATIONS)
			return false;
		for (; i > 0 && !later(&a, &c->v[i - 1]); i--)
			c->v[i] = c->v[i - 1];
		c->v[i] = a;
		c->n++;
	}
	return true;
}

/* Overridden by a later declaration of the same property, in another rule: within one they are fallbacks. */
static bool is_overridden(const struct cascade *c, int i)
{
	for (int k = i + 1; k < c->n; k++)
		if (c->v[k].d.name.n == c->v[i].d.name.n &&
			strncasecmp(c->v[k].d.name.p, c->v[i].d.name.p, c->v[i].d.name.n) == 0 &&
			(c->v[k].order != c->v[i].order || c->v[k].own != c->v[i].own))
			return true;
	return false;
}

static void write_value(struct run *out, struct str s)
{
	char other = memchr(s.n != 0 ? s.p : "", '\'', s.n) == NULL ? '\'' : 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' && other != 0)
			run_putc(out, other);
		else if (s.p[i] == '"')
			run_puts(out, "&quot;");
		else if (s.p[i] == '&')
			run_puts(out, "&amp;");
		else if (s.p[i] == '\n')
			run_putc(out, ' ');
		else
			run_putc(out, s.p[i]);
	}
}

static void write_style(struct run *out, const struct cascade *c)
{
	bool first = true;
	for (int i = 0; i < c->n; i++) {
		if (is_overridden(c, i))
			continue;
		if (!first)
			run_putc(out, ';');
		first = false;
		run_str(out, c->v[i].d.name);
		run_putc(out, ':');
		write_value(out, c->v[i].d.value);
		/* Only the author's own: elsewhere it has done its work, and would beat @media rules. */
		if (c->v[i].d.important && c->v[i].own)
			run_puts(out, " !important");
	}
}

static bool no_style(struct str name)
{
	static const char *const names[] = {
		"html", "head", "title", "meta", "style", "script", "link", "base"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_is_nocase(name, names[i]))
			return true;
	return false;
}

static bool gather(struct inliner *n, const struct css_element *e, struct cascade *c)
{
	bool any = false;
	for (int i = 0; i < n->sheet.nselectors; i++) {
		const struct css_selector *s = &n->sheet.selectors[i];
		if (!css_matches(s, e))
			continue;
		any = true;
		if (!cascade_add(c, n->sheet.rules[s->rule].declarations, s->specificity, s->rule, false))
			return false;
	}
	return any;
}

/* The tag with its style; false: it is to stay as it is. */
static bool restyle(struct inliner *n, const struct html_token *t, const struct css_element *e,
	const struct html_attr *style, bool uncertain)
{
	struct cascade *c = &n->cascade;
	struct run own = RUN_INIT(n->o->a);
	c->n = 0;
	if (no_style(e->name) || !gather(n, e, c))
		return false;
	if (style != NULL)
		html_decode(&own, style->value, HTML_IN_ATTR);
	if (style != NULL && (uncertain || has_control(n->o, run_get(&own)) ||
				     !cascade_add(c, run_get(&own), 0, n->sheet.nrules, true))) {
		n->keep = true;
		return false;
	}
	size_t name_end = (size_t)(t->name.p - n->html.p) + t->name.n;
	size_t from = style != NULL ? style->from : name_end, to = style != NULL ? style->to : name_end;
	run_add(n->out, n->html.p + t->from, from - t->from);
	run_puts(n->out, style != NULL ? "style=\"" : " style=\"");
	write_style(n->out, c);
	run_putc(n->out, '"');
	run_add(n->out, n->html.p + to, t->to - to);
	return true;
}

static void write_open(struct inliner *n, const struct html_token *t)
{
	struct html_attr style = {0};
	bool has_style, uncertain;
	close_implied(n, t);
	struct css_element e = element(n, t, &style, &has_style, &uncertain);
	if (!restyle(n, t, &e, has_style ? &style : NULL, uncertain))
		run_add(n->out, n->html.p + t->from, t->to - t->from);
	open_element(n, t, &e);
}

/* --- the document --- */

static void write_css(struct inliner *n, const struct style *s)
{
	struct str css = str_n(n->html.p + s->from, s->to - s->from);
	size_t copied = 0;
	for (int i = s->first; i < s->last; i++) {
		const struct css_rule *r = &n->sheet.rules[i];
		if (!r->whole)
			continue;
		css_strengthen(n->out, str_n(css.p + copied, r->from - copied));
		copied = r->to;
		if (n->keep)
			run_add(n->out, css.p + r->from, r->to - r->from);
		while (!n->keep && copied < css.n && strchr(" \t\n", css.p[copied]) != NULL)
			copied++;
	}
	css_strengthen(n->out, str_n(css.p + copied, css.n - copied));
}

static void write_document(struct inliner *n)
{
	struct html_lexer x = {.s = n->html};
	struct html_token t;
	int style = 0;
	n->depth = n->too_deep = 0;
	while (html_next(&x, &t)) {
		if (t.kind == HTML_OPEN) {
			write_open(n, &t);
			continue;
		}
		if (t.kind == HTML_CLOSE)
			close_element(n, &t);
		while (style < n->nstyles && n->styles[style].from < t.from)
			style++;
		if (t.raw && style < n->nstyles && n->styles[style].from == t.from)
			write_css(n, &n->styles[style]);
		else
			run_add(n->out, n->html.p + t.from, t.to - t.from);
	}
}

bool html_inline_css(struct str html, const struct opaque *o, struct run *out)
{
	struct inliner *n = arena_zalloc(o->a, sizeof *n);
	size_t before = out->n;
	if (n == NULL)
		return false;
	*n = (struct inliner){.html = html, .o = o, .out = out};
	if (!read_styles(n))
		return false;
	n->keep = has_unknown(n);
	bool kept = n->keep;
	write_document(n);
	/* Some element turned out to be uncertain: once more, with the rules. */
	if (n->keep && !kept) {
		out->n = before;
		write_document(n);
	}
	return !out->failed && !o->a->failed;
}
