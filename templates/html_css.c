#include "templates/html_css.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* --- skipping --- */

/* Behind a comment or string that begins at i; i if there is none. */
static size_t skip_opaque(struct str s, size_t i)
{
	if (s.p[i] == '/' && i + 1 < s.n && s.p[i + 1] == '*') {
		const char *end = memmem(s.p + i + 2, s.n - i - 2, "*/", 2);
		return end != NULL ? (size_t)(end - s.p) + 2 : s.n;
	}
	if (s.p[i] != '"' && s.p[i] != '\'')
		return i;
	for (size_t k = i + 1; k < s.n; k++) {
		if (s.p[k] == '\\')
			k++;
		else if (s.p[k] == s.p[i])
			return k + 1;
	}
	return s.n;
}

/* Offset of the first of `stops` outside comments, strings and brackets; s.n: there is none. */
static size_t find_stop(struct str s, size_t i, const char *stops)
{
	int depth = 0;
	while (i < s.n) {
		size_t next = skip_opaque(s, i);
		if (next > i) {
			i = next;
			continue;
		}
		if (depth <= 0 && strchr(stops, s.p[i]) != NULL)
			return i;
		depth += (s.p[i] == '(' || s.p[i] == '[') - (s.p[i] == ')' || s.p[i] == ']');
		i++;
	}
	return s.n;
}

/* Behind the } that ends the block opened at i. */
static size_t block_end(struct str s, size_t i, bool *nested)
{
	int depth = 0;
	*nested = false;
	while (i < s.n) {
		size_t next = skip_opaque(s, i);
		if (next > i) {
			i = next;
			continue;
		}
		if (s.p[i] == '{' && ++depth > 1)
			*nested = true;
		if (s.p[i] == '}' && --depth == 0)
			return i + 1;
		i++;
	}
	return s.n;
}

static struct str without_comments(struct arena *a, struct str s)
{
	struct run r = RUN_INIT(a);
	for (size_t i = 0; i < s.n;) {
		size_t next = skip_opaque(s, i);
		if (next > i && s.p[i] == '/') {
			run_putc(&r, ' ');
			i = next;
		} else if (next > i) {
			run_add(&r, s.p + i, next - i);
			i = next;
		} else {
			run_putc(&r, s.p[i++]);
		}
	}
	if (r.failed)
		a->failed = true;
	return str_trim(run_get(&r));
}

/* --- selectors --- */

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || ((unsigned char)c >= 0x80 && (unsigned char)c < 0xF3);
}

static struct str take_name(struct str s, size_t *i)
{
	size_t from = *i;
	while (*i < s.n && is_name(s.p[*i]))
		++*i;
	return str_n(s.p + from, *i - from);
}

static bool compound(struct str s, size_t *i, struct css_part *p, unsigned *specificity)
{
	p->type = take_name(s, i);
	*specificity += p->type.n != 0;
	while (*i < s.n && (s.p[*i] == '.' || s.p[*i] == '#')) {
		char kind = s.p[(*i)++];
		struct str name = take_name(s, i);
		if (name.n == 0)
			return false;
		if (kind == '#') {
			if (p->id.n != 0)
				return false;
			p->id = name;
			*specificity += 1u << 16;
		} else {
			if (p->nclasses == CSS_CLASSES)
				return false;
			p->classes[p->nclasses++] = name;
			*specificity += 1u << 8;
		}
	}
	return p->type.n != 0 || p->id.n != 0 || p->nclasses != 0;
}

static bool selector(struct str s, struct css_selector *out)
{
	*out = (struct css_selector){0};
	for (size_t i = 0;;) {
		char combinator = ' ';
		while (i < s.n && (is_space(s.p[i]) || s.p[i] == '>')) {
			if (s.p[i] == '>') {
				if (combinator == '>' || out->nparts == 0)
					return false;
				combinator = '>';
			}
			i++;
		}
		if (i == s.n)
			return out->nparts != 0 && combinator == ' ';
		if (out->nparts == CSS_PARTS || !compound(s, &i, &out->parts[out->nparts], &out->specificity))
			return false;
		out->parts[out->nparts++].combinator = combinator;
		if (i < s.n && !is_space(s.p[i]) && s.p[i] != '>')
			return false;
	}
}

static void *grown(struct arena *a, void *old, int n, int *cap, size_t size)
{
	if (n < *cap)
		return old;
	int more = *cap == 0 ? 32 : *cap * 2;
	void *v = arena_alloc(a, (size_t)more * size);
	if (v != NULL && n != 0)
		memcpy(v, old, (size_t)n * size);
	if (v != NULL)
		*cap = more;
	return v;
}

static bool add_rule(
	struct css_sheet *sheet, struct str prelude, const struct css_rule *rule, struct arena *a)
{
	struct css_rule *rules = grown(a, sheet->rules, sheet->nrules, &sheet->rules_cap, sizeof *rules);
	if (rules == NULL)
		return false;
	sheet->rules = rules;
	struct css_rule *r = &rules[sheet->nrules];
	*r = *rule;
	r->whole = true;
	for (size_t i = 0; i <= prelude.n;) {
		size_t end = find_stop(prelude, i, ",");
		struct css_selector *v =
			grown(a, sheet->selectors, sheet->nselectors, &sheet->selectors_cap, sizeof *v);
		if (v == NULL)
			return false;
		sheet->selectors = v;
		if (selector(str_trim(str_n(prelude.p + i, end - i)), &v[sheet->nselectors]))
			v[sheet->nselectors++].rule = sheet->nrules;
		else
			r->whole = false;
		i = end + 1;
	}
	sheet->nrules++;
	return true;
}

bool css_parse(struct css_sheet *sheet, struct str css, struct arena *a)
{
	size_t i = 0;
	while (i < css.n) {
		size_t next = skip_opaque(css, i);
		bool nested;
		if (is_space(css.p[i]) || next > i) {
			i = next > i ? next : i + 1;
			continue;
		}
		size_t open = find_stop(css, i, css.p[i] == '@' ? "{;" : "{");
		if (open == css.n)
			return true;
		if (css.p[open] == ';') {
			i = open + 1;
			continue;
		}
		size_t end = block_end(css, open, &nested);
		struct css_rule rule = {.from = i, .to = end};
		size_t body = end > open + 1 && css.p[end - 1] == '}' ? end - 1 : end;
		rule.declarations = without_comments(a, str_n(css.p + open + 1, body - open - 1));
		if (css.p[i] != '@' && !nested &&
			!add_rule(sheet, without_comments(a, str_n(css.p + i, open - i)), &rule, a))
			return false;
		i = end;
	}
	return !a->failed;
}

/* --- matching --- */

static bool part_matches(const struct css_part *p, const struct css_element *e)
{
	if (p->type.n != 0 && !(p->type.n == e->name.n && strncasecmp(p->type.p, e->name.p, e->name.n) == 0))
		return false;
	if (p->id.n != 0 && !str_eq(p->id, e->id))
		return false;
	for (int i = 0; i < p->nclasses; i++) {
		bool has = false;
		for (int k = 0; k < e->nclasses && !has; k++)
			has = str_eq(p->classes[i], e->classes[k]);
		if (!has)
			return false;
	}
	return true;
}

bool css_matches(const struct css_selector *s, const struct css_element *e)
{
	const struct css_element *path[CSS_DEPTH];
	unsigned above = 0, parent = 0; /* bit k: parts up to k match, at some ancestor; at the parent */
	int depth = 0;
	if (!part_matches(&s->parts[s->nparts - 1], e))
		return false;
	if (s->nparts == 1)
		return true;
	for (const struct css_element *up = e; up != NULL && depth < CSS_DEPTH; up = up->parent)
		path[depth++] = up;
	while (depth-- > 0) {
		unsigned here = 0;
		for (int k = 0; k < s->nparts; k++) {
			unsigned before = s->parts[k].combinator == '>' ? parent : above;
			if ((k == 0 || (before >> (k - 1) & 1) != 0) &&
				part_matches(&s->parts[k], path[depth]))
				here |= 1u << k;
		}
		above |= here;
		parent = here;
	}
	return (parent >> (s->nparts - 1) & 1) != 0;
}

/* --- declarations --- */

bool css_declaration_next(struct str *rest, struct css_declaration *out)
{
	while (rest->n != 0) {
		size_t end = find_stop(*rest, 0, ";");
		struct str one = str_trim(str_n(rest->p, end));
		*rest = end < rest->n ? str_n(rest->p + end + 1, rest->n - end - 1)
				      : str_n(rest->p + rest->n, 0);
		size_t colon = str_find(one, ':');
		if (colon == 0 || colon == one.n)
			continue;
		*out = (struct css_declaration){
			.name = str_trim(str_n(one.p, colon)),
			.value = str_trim(str_n(one.p + colon + 1, one.n - colon - 1)),
		};
		size_t bang = out->value.n;
		while (bang > 0 && out->value.p[bang - 1] != '!')
			bang--;
		if (bang > 0 && str_is_nocase(str_trim(str_n(out->value.p + bang, out->value.n - bang)),
					"important")) {
			out->important = true;
			out->value = str_trim(str_n(out->value.p, bang - 1));
		}
		return true;
	}
	return false;
}

/* --- what stays --- */

static void strengthen_block(struct run *out, struct str block)
{
	for (size_t i = 0; i < block.n;) {
		size_t end = find_stop(block, i, ";");
		struct str one = str_n(block.p + i, end - i);
		struct css_declaration d;
		struct str rest = one, trimmed = str_trim(one);
		if (css_declaration_next(&rest, &d) && !d.important) {
			run_add(out, one.p, (size_t)(trimmed.p + trimmed.n - one.p));
			run_puts(out, " !important");
			run_add(out, trimmed.p + trimmed.n, (size_t)(one.p + one.n - trimmed.p - trimmed.n));
		} else {
			run_str(out, one);
		}
		if (end < block.n)
			run_putc(out, ';');
		i = end + 1;
	}
}

static bool holds_rules(struct str prelude)
{
	return (prelude.n > 6 && strncasecmp(prelude.p, "@media", 6) == 0) ||
	       (prelude.n > 9 && strncasecmp(prelude.p, "@supports", 9) == 0);
}

/* Weaker than every other rule, and than each style attribute: what is inlined is to win over it. */
static bool is_universal(struct str prelude)
{
	for (size_t i = 0; i < prelude.n;) {
		size_t end = find_stop(prelude, i, ",");
		if (str_is(str_trim(str_n(prelude.p + i, end - i)), "*"))
			return true;
		i = end + 1;
	}
	return false;
}

static void strengthen(struct run *out, struct str css, int depth)
{
	size_t i = 0;
	while (i < css.n) {
		size_t next = skip_opaque(css, i);
		bool nested;
		if (next > i || is_space(css.p[i])) {
			next = next > i ? next : i + 1;
			run_add(out, css.p + i, next - i);
			i = next;
			continue;
		}
		size_t open = find_stop(css, i, css.p[i] == '@' ? "{;" : "{");
		if (open == css.n || css.p[open] == ';') {
			size_t to = open == css.n ? open : open + 1;
			run_add(out, css.p + i, to - i);
			i = to;
			continue;
		}
		size_t end = block_end(css, open, &nested);
		size_t body = end > open + 1 && css.p[end - 1] == '}' ? end - 1 : end;
		struct str prelude = str_n(css.p + i, open - i),
			   block = str_n(css.p + open + 1, body - open - 1);
		run_add(out, css.p + i, open + 1 - i);
		if (holds_rules(prelude) && depth < 8)
			strengthen(out, block, depth + 1);
		else if (css.p[i] == '@' || nested || (depth == 0 && is_universal(prelude)))
			run_str(out, block);
		else
			strengthen_block(out, block);
		run_add(out, css.p + body, end - body);
		i = end;
	}
}

void css_strengthen(struct run *out, struct str css)
{
	strengthen(out, css, 0);
}
