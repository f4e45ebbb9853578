/* Tags that repeat or call: for, tablerow, cycle, render, include. */
#include "templates/liquid_parser.h"

#include <stdlib.h>

/* ---- loops ---- */

static int loop_attribute(struct parser *p, struct lexer *x, struct for_loop *f, bool table)
{
	struct str name = x->tok.s;
	const char *at = x->src.p + x->tok.off;
	const struct expr **to = str_is(name, "limit")           ? &f->limit
				 : str_is(name, "offset")        ? &f->offset
				 : str_is(name, "cols") && table ? &f->cols
								 : NULL;
	if (to == NULL && !(table && str_is(name, "range")))
		return lq_error(p, at,
			table ? "Invalid attribute in tablerow loop. Valid attributes are cols, limit, "
				"offset, and range"
			      : "Invalid attribute in for loop. Valid attributes are limit and offset");
	struct named n;
	if (str_is(name, "offset") && !table) {
		/* Two tokens on. NOLINTNEXTLINE(misc-redundant-expression) */
		if (lq_lex_next(p, x) != 0 || lq_lex_next(p, x) != 0)
			return -1;
		if (x->tok.kind == T_ID && str_is(x->tok.s, "continue")) {
			f->go_on = true;
			return lq_lex_next(p, x);
		}
		f->offset = lq_parse_expr(p, x);
		return f->offset != NULL ? 0 : -1;
	}
	if (lq_parse_named(p, x, &n) != 0)
		return -1;
	if (to != NULL)
		*to = n.value;
	return 0;
}

static int loop_attributes(struct parser *p, struct lexer *x, struct for_loop *f, bool table)
{
	if (!table && x->tok.kind == T_ID && str_is(x->tok.s, "reversed") && !lq_lex_peek_colon(x)) {
		f->reversed = true;
		if (lq_lex_next(p, x) != 0)
			return -1;
	}
	while (x->tok.kind != T_END) {
		if (lq_is_punct(x, ',')) {
			if (lq_lex_next(p, x) != 0)
				return -1;
		} else if (x->tok.kind == T_ID && lq_lex_peek_colon(x)) {
			if (loop_attribute(p, x, f, table) != 0)
				return -1;
		} else {
			return lq_expect_end(p, x);
		}
	}
	return 0;
}

static struct for_loop *loop_head(struct parser *p, const struct piece *t, bool table)
{
	struct lexer x;
	struct for_loop *f = arena_zalloc(&p->l->arena, sizeof *f);
	if (f == NULL || lq_lex_start(p, &x, t->markup) != 0)
		return NULL;
	if (x.tok.kind != T_ID) {
		lq_error(p, t->at, "Syntax Error in '%s' - Valid syntax: %s [item] in [collection]",
			table ? "tablerow loop" : "for loop", table ? "tablerow" : "for");
		return NULL;
	}
	struct str var = x.tok.s;
	if (lq_lex_next(p, &x) != 0)
		return NULL;
	if (x.tok.kind != T_ID || !str_is(x.tok.s, "in")) {
		lq_error(p, t->at, "For loops require an 'in' clause");
		return NULL;
	}
	if (lq_lex_next(p, &x) != 0)
		return NULL;
	size_t from = x.tok.off;
	f->in = lq_parse_expr(p, &x);
	if (f->in == NULL)
		return NULL;
	f->name = arena_printf(
		&p->l->arena, "%.*s-%.*s", STR_ARG(var), (int)(x.prev_end - from), x.src.p + from);
	if (loop_attributes(p, &x, f, table) != 0)
		return NULL;
	f->var = lq_local(p, var);
	f->drop = lq_local(p, table ? STR("tablerowloop") : STR("forloop"));
	return f->var != NO_SLOT && f->drop != NO_SLOT ? f : NULL;
}

static int loop_bodies(struct parser *p, struct reader *r, const char *tag, struct for_loop *f,
	struct body *body, struct body *otherwise)
{
	f->body = (uint32_t)p->code.n;
	if (lq_assigned(p, f->var) != 0 || lq_assigned(p, f->drop) != 0 ||
		lq_parse_body(p, r, tag, body) != 0)
		return -1;
	f->otherwise = (uint32_t)p->code.n;
	*otherwise = *body;
	otherwise->from = otherwise->to = f->otherwise;
	otherwise->blank = true;
	if (tag[0] == 'f' && str_is(otherwise->end.name, "else") && lq_parse_body(p, r, tag, otherwise) != 0)
		return -1;
	return lq_ends(&otherwise->end, tag) ? 0 : lq_bad_end(p, tag, &otherwise->end);
}

int lq_tag_loop(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	bool table = str_is(t->name, "tablerow");
	struct bits before = {0};
	struct body body, otherwise;
	struct for_loop *f = loop_head(p, t, table);
	uint32_t head = (uint32_t)p->code.n;
	struct op *op = f != NULL ? lq_emit_op(p, table ? OP_TABLEROW : OP_FOR, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->extra = f;
	int rc = lq_bits_copy(p, &p->definite, &before);
	if (rc == 0)
		rc = loop_bodies(p, r, table ? "tablerow" : "for", f, &body, &otherwise);
	free(p->definite.w);
	p->definite = before;
	if (rc != 0)
		return -1;
	*blank = body.blank && otherwise.blank;
	if (*blank && !table) {
		lq_remove_blank(p, &body);
		lq_remove_blank(p, &otherwise);
	}
	lq_op(p, head)->end = (uint32_t)p->code.n;
	lq_op(p, head)->blank = *blank;
	return 0;
}

int lq_tag_interrupt(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	return lq_emit_op(p, str_is(t->name, "break") ? OP_BREAK : OP_CONTINUE, t->at) != NULL ? 0 : -1;
}

/* ---- cycle ---- */

static int cycle_values(struct parser *p, struct lexer *x, struct vec *values, struct cycle *c)
{
	while (x->tok.kind != T_END) {
		const struct expr *e = lq_parse_expr(p, x);
		if (e == NULL)
			return -1;
		if (lq_is_punct(x, ':') && values->n == 0 && c->name == NULL) {
			c->name = e;
			if (lq_lex_next(p, x) != 0)
				return -1;
			continue;
		}
		const struct expr **v = lq_vec_add(p, values);
		if (v == NULL)
			return -1;
		*v = e;
		/* The reference, where it is not asked to be stricter, does not read on behind a value. */
		while (p->l->o.plain && !p->l->o.strict && x->tok.kind != T_END && !lq_is_punct(x, ','))
			if (lq_lex_next(p, x) != 0)
				return -1;
		if (!lq_is_punct(x, ','))
			break;
		if (lq_lex_next(p, x) != 0)
			return -1;
	}
	return lq_expect_end(p, x);
}

/* Unnamed groups with the same literals are one; with a variable in it, each tag is a group of its own. */
static int cycle_key(struct parser *p, const struct vec *values, struct cycle *c)
{
	const struct expr *const *v = values->p;
	struct vm vm = {.a = &p->l->arena};
	struct text t;
	lq_text_init(&t, &p->l->arena, 32);
	for (size_t i = 0; i < values->n; i++) {
		if (v[i]->type != E_CONST) {
			c->key = arena_printf(&p->l->arena, "%u:%u", p->file, (unsigned)p->code.n);
			return 0;
		}
		struct value list = v_array(&v[i]->value, 1);
		lq_text_str(&t, lq_to_s(&vm, &list));
	}
	c->key = str_n(t.p, t.len);
	return t.failed ? lq_error(p, p->here, "out of memory") : 0;
}

int lq_tag_cycle(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct lexer x;
	struct vec values = {.size = sizeof(const struct expr *)};
	struct cycle *c = arena_zalloc(&p->l->arena, sizeof *c);
	int rc = c != NULL && lq_lex_start(p, &x, t->markup) == 0 ? cycle_values(p, &x, &values, c) : -1;
	if (rc == 0 && values.n == 0)
		rc = lq_error(p, t->at,
			"Syntax Error in 'cycle' - Valid syntax: cycle [name :] var [, var2, var3 ...]");
	if (rc == 0)
		rc = cycle_key(p, &values, c);
	if (rc == 0) {
		c->n = (uint32_t)values.n;
		c->values = lq_keep(p, values.p, values.n * values.size);
		struct op *op = c->values != NULL ? lq_emit_op(p, OP_CYCLE, t->at) : NULL;
		if (op != NULL)
			op->extra = c;
		rc = op != NULL ? 0 : -1;
	}
	free(values.p);
	return rc;
}

/* ---- partials ---- */

static int partial_with(struct parser *p, struct lexer *x, struct partial_call *c)
{
	bool loop = x->tok.kind == T_ID && str_is(x->tok.s, "for");
	if ((loop || (x->tok.kind == T_ID && str_is(x->tok.s, "with"))) && !lq_lex_peek_colon(x)) {
		c->loop = loop;
		c->with = lq_lex_next(p, x) == 0 ? lq_parse_expr(p, x) : NULL;
		if (c->with == NULL)
			return -1;
		/* As in the reference, `with false` is as good as nothing. */
		if (c->with->type == E_CONST && c->with->value.type <= V_FALSE) {
			c->with = NULL;
			c->loop = false;
		}
	}
	if (x->tok.kind == T_ID && str_is(x->tok.s, "as") && !lq_lex_peek_colon(x)) {
		if (lq_lex_next(p, x) != 0)
			return -1;
		if (x->tok.kind != T_ID)
			return lq_error(p, x->src.p + x->tok.off, "Expected a name after 'as'");
		c->alias = x->tok.s;
		return lq_lex_next(p, x);
	}
	return 0;
}

static int partial_named(struct parser *p, struct lexer *x, struct partial_call *c)
{
	struct vec named = {.size = sizeof(struct named)}, locals = {.size = sizeof(uint32_t)};
	int rc = 0;
	while (rc == 0 && x->tok.kind != T_END) {
		if (lq_is_punct(x, ',')) {
			rc = lq_lex_next(p, x);
			continue;
		}
		if (x->tok.kind != T_ID || !lq_lex_peek_colon(x)) {
			rc = lq_expect_end(p, x);
			break;
		}
		struct named *n = lq_vec_add(p, &named);
		uint32_t *l = lq_vec_add(p, &locals);
		rc = n != NULL && l != NULL ? lq_parse_named(p, x, n) : -1;
		if (rc == 0)
			*l = lq_local(p, n->name);
	}
	if (rc == 0) {
		c->nnamed = (uint32_t)named.n;
		c->named = lq_keep(p, named.p, named.n * named.size);
		c->locals = lq_keep(p, locals.p, locals.n * locals.size);
		rc = c->named != NULL && c->locals != NULL ? 0 : -1;
	}
	free(named.p);
	free(locals.p);
	return rc;
}

int lq_tag_partial(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct lexer x;
	struct partial_call *c = arena_zalloc(&p->l->arena, sizeof *c);
	if (c == NULL || lq_lex_start(p, &x, t->markup) != 0)
		return -1;
	c->at = lq_pos(p, t->at);
	c->include = str_is(t->name, "include");
	if (x.tok.kind != T_STRING && !c->include)
		return lq_error(
			p, t->at, "Syntax error in tag 'render' - Template name must be a quoted string");
	if (x.tok.kind == T_END)
		return lq_error(p, t->at,
			"Error in tag 'include' - Valid syntax: include '[template]' (with|for) "
			"[object|collection]");
	struct str name = x.tok.s;
	bool fixed = x.tok.kind == T_STRING;
	c->name = lq_parse_expr(p, &x);
	if (c->name == NULL || partial_with(p, &x, c) != 0 || partial_named(p, &x, c) != 0)
		return -1;
	c->forloop = lq_local(p, STR("forloop"));
	if (fixed)
		c->target = lq_local(p, c->alias.n != 0 ? c->alias : lq_base_name(name));
	c->program = fixed ? lq_use_partial(p, c, name) : NO_SLOT;
	if (p->failed)
		return -1;
	struct op *op = lq_emit_op(p, OP_PARTIAL, t->at);
	if (op == NULL)
		return -1;
	op->extra = c;
	return 0;
}
