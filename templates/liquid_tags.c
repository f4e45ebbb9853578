/* The tags: from markup to code. */
#include "templates/liquid_private.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-';
}

static void *copy(struct parser *p, const void *from, size_t n)
{
	void *to = arena_alloc(&p->l->arena, n + 1);
	if (to == NULL)
		lq_error(p, p->here, "out of memory");
	else if (n != 0)
		memcpy(to, from, n);
	return to;
}

static bool ends_with(const struct piece *end, const char *tag)
{
	return end->name.n == strlen(tag) + 3 && str_starts(end->name, STR("end")) && str_ends(end->name, str_from(tag));
}

/* ---- if, unless ---- */

struct branches { /* what is assigned after a chain of alternatives: what all of them assign */
	struct bits before, all;
	bool any, exhaustive;
};

static int branch_begin(struct parser *p, struct branches *b)
{
	return b->before.w == NULL ? lq_bits_copy(p, &p->definite, &b->before) : lq_bits_copy(p, &b->before, &p->definite);
}

static int branch_end(struct parser *p, struct branches *b)
{
	if (!b->any) {
		b->any = true;
		return lq_bits_copy(p, &p->definite, &b->all);
	}
	lq_bits_and(&b->all, &p->definite);
	return 0;
}

static void branches_done(struct parser *p, struct branches *b)
{
	struct bits *after = b->exhaustive && b->any ? &b->all : &b->before;
	if (after->w != NULL) {
		free(p->definite.w);
		p->definite = *after;
		*after = (struct bits){0};
	}
	free(b->before.w);
	free(b->all.w);
}

struct chain {
	struct vec bodies, jumps, tests; /* bodies; ops that go behind the whole; every op of the chain */
	bool blank;
};

static int chain_test(struct parser *p, struct chain *c, enum opcode code, const struct piece *t, uint32_t *at)
{
	const struct expr *x = lq_parse_condition(p, t->markup);
	struct op *op = x != NULL ? lq_emit_op(p, code, t->at) : NULL;
	uint32_t *test = op != NULL ? lq_vec_add(p, &c->tests) : NULL;
	if (test == NULL)
		return -1;
	op->x = x;
	*at = *test = (uint32_t)p->code.n - 1;
	return 0;
}

static int chain_body(struct parser *p, struct reader *r, struct chain *c, struct branches *br, const char *tag,
	struct body *b)
{
	if (branch_begin(p, br) != 0 || lq_parse_body(p, r, tag, b) != 0 || branch_end(p, br) != 0)
		return -1;
	struct body *kept = lq_vec_add(p, &c->bodies);
	if (kept == NULL)
		return -1;
	*kept = *b;
	c->blank &= b->blank;
	return 0;
}

static int parse_chain(struct parser *p, struct reader *r, const struct piece *t, struct chain *c, struct branches *br)
{
	const char *tag = str_is(t->name, "if") ? "if" : "unless";
	struct piece next = *t;
	struct body b;
	uint32_t test = NO_SLOT;
	if (chain_test(p, c, tag[0] == 'i' ? OP_UNLESS : OP_IF, t, &test) != 0)
		return -1;
	for (bool more = true; more;) {
		if (chain_body(p, r, c, br, tag, &b) != 0)
			return -1;
		next = b.end;
		more = !ends_with(&next, tag);
		bool elsif = str_is(next.name, "elsif");
		if (more && !elsif && !str_is(next.name, "else"))
			return lq_bad_end(p, tag, &next);
		if (more) {
			struct op *jump = lq_emit_op(p, OP_GOTO, next.at);
			uint32_t *j = jump != NULL ? lq_vec_add(p, &c->jumps) : NULL;
			if (j == NULL)
				return -1;
			*j = (uint32_t)p->code.n - 1;
		}
		if (test != NO_SLOT)
			lq_op(p, test)->a = (uint32_t)p->code.n;
		test = NO_SLOT;
		br->exhaustive |= more && !elsif;
		if (elsif && chain_test(p, c, OP_UNLESS, &next, &test) != 0)
			return -1;
	}
	return 0;
}

static int tag_if(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct chain c = {.bodies.size = sizeof(struct body), .jumps.size = sizeof(uint32_t), .tests.size = sizeof(uint32_t),
		.blank = true};
	struct branches br = {0};
	int rc = parse_chain(p, r, t, &c, &br);
	uint32_t end = (uint32_t)p->code.n;
	for (size_t i = 0; rc == 0 && i < c.jumps.n; i++)
		lq_op(p, ((uint32_t *)c.jumps.p)[i])->a = end;
	for (size_t i = 0; rc == 0 && i < c.tests.n; i++) {
		struct op *op = lq_op(p, ((uint32_t *)c.tests.p)[i]);
		op->end = end;
		op->blank = c.blank;
		if (i > 0)
			op->extra = copy(p, &lq_op(p, *(uint32_t *)c.tests.p)->at, sizeof op->at);
	}
	for (size_t i = 0; rc == 0 && c.blank && i < c.bodies.n; i++)
		lq_remove_blank(p, (struct body *)c.bodies.p + i);
	*blank = c.blank;
	branches_done(p, &br);
	free(c.bodies.p);
	free(c.jumps.p);
	free(c.tests.p);
	return rc;
}

/* ---- case ---- */

static const struct expr *parse_alone(struct parser *p, struct str markup, bool exactly)
{
	struct lexer x;
	if (lq_lex_start(p, &x, markup) != 0)
		return NULL;
	const struct expr *e = lq_parse_expr(p, &x);
	return e != NULL && (!exactly || lq_expect_end(p, &x) == 0) ? e : NULL;
}

static struct when *parse_when(struct parser *p, const struct piece *t)
{
	struct lexer x;
	struct vec values = {.size = sizeof(const struct expr *)};
	struct when *w = arena_zalloc(&p->l->arena, sizeof *w);
	bool ok = w != NULL && lq_lex_start(p, &x, t->markup) == 0;
	for (bool more = ok; more && ok;) {
		const struct expr *e = lq_parse_operand(p, &x);
		const struct expr **v = e != NULL ? lq_vec_add(p, &values) : NULL;
		if (v != NULL)
			*v = e;
		more = v != NULL && (lq_is_punct(&x, ',') || (x.tok.kind == T_ID && str_is(x.tok.s, "or")));
		ok = v != NULL && (!more || lq_lex_next(p, &x) == 0);
	}
	/* The reference, where it is not asked to be stricter, does not read on behind a value. */
	if (ok && (!p->l->o.plain || p->l->o.strict) && lq_expect_end(p, &x) != 0)
		ok = false;
	if (ok) {
		w->n = (uint32_t)values.n;
		w->values = copy(p, values.p, values.n * values.size);
		ok = w->values != NULL;
	}
	free(values.p);
	return ok ? w : NULL;
}

static int case_branch(struct parser *p, const struct piece *t, const struct expr *left, uint32_t matched, uint32_t *at)
{
	bool otherwise = str_is(t->name, "else");
	struct when *w = otherwise ? NULL : parse_when(p, t);
	if (!otherwise && w == NULL)
		return -1;
	if (otherwise && str_trim(t->markup).n != 0)
		return lq_error(p, t->at, "Syntax Error in tag 'case' - Valid else condition: {%% else %%} (no parameters)");
	struct op *op = lq_emit_op(p, otherwise ? OP_ELSE : OP_WHEN, t->at);
	if (op == NULL)
		return -1;
	*at = (uint32_t)p->code.n - 1;
	op->a = matched;
	if (w != NULL) {
		w->left = left;
		w->matched = matched;
		op->extra = w;
	}
	return 0;
}

static int parse_case(struct parser *p, struct reader *r, const struct piece *t, struct chain *c, struct branches *br)
{
	char name[32];
	struct body b;
	snprintf(name, sizeof name, "case %u", p->ncases++);
	const struct expr *left = parse_alone(p, t->markup, !p->l->o.plain || p->l->o.strict);
	uint32_t matched = left != NULL ? lq_local(p, str_from(name)) : NO_SLOT;
	struct op *head = matched != NO_SLOT ? lq_emit_op(p, OP_CASE, t->at) : NULL;
	if (head == NULL)
		return -1;
	head->a = matched;
	size_t start = p->code.n;
	if (lq_parse_body(p, r, "case", &b) != 0)
		return -1;
	/* What stands before the first `when` is read and never rendered. */
	p->code.n = start;
	while (!ends_with(&b.end, "case")) {
		uint32_t at = 0;
		if (!str_is(b.end.name, "when") && !str_is(b.end.name, "else"))
			return lq_bad_end(p, "case", &b.end);
		br->exhaustive |= str_is(b.end.name, "else");
		if (case_branch(p, &b.end, left, matched, &at) != 0 || chain_body(p, r, c, br, "case", &b) != 0)
			return -1;
		lq_op(p, at)->end = (uint32_t)p->code.n;
	}
	return 0;
}

static int tag_case(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct chain c = {.bodies.size = sizeof(struct body), .blank = true};
	struct branches br = {0};
	uint32_t head = (uint32_t)p->code.n;
	int rc = parse_case(p, r, t, &c, &br);
	for (size_t i = 0; rc == 0 && c.blank && i < c.bodies.n; i++)
		lq_remove_blank(p, (struct body *)c.bodies.p + i);
	if (rc == 0) {
		lq_op(p, head)->end = (uint32_t)p->code.n;
		lq_op(p, head)->blank = *blank = c.blank;
	}
	branches_done(p, &br);
	free(c.bodies.p);
	return rc;
}

/* ---- loops ---- */

static int loop_attribute(struct parser *p, struct lexer *x, struct for_loop *f, bool table)
{
	struct str name = x->tok.s;
	const char *at = x->src.p + x->tok.off;
	const struct expr **to = str_is(name, "limit") ? &f->limit : str_is(name, "offset") ? &f->offset
		: str_is(name, "cols") && table ? &f->cols : NULL;
	if (to == NULL && !(table && str_is(name, "range")))
		return lq_error(p, at, table ? "Invalid attribute in tablerow loop. Valid attributes are cols, limit, offset, and range"
					     : "Invalid attribute in for loop. Valid attributes are limit and offset");
	struct named n;
	if (str_is(name, "offset") && !table) {
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
		lq_error(p, t->at, "Syntax Error in '%s' - Valid syntax: %s [item] in [collection]", table ? "tablerow loop" : "for loop",
			table ? "tablerow" : "for");
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
	f->name = arena_printf(&p->l->arena, "%.*s-%.*s", STR_ARG(var), (int)(x.prev_end - from), x.src.p + from);
	if (loop_attributes(p, &x, f, table) != 0)
		return NULL;
	f->var = lq_local(p, var);
	f->drop = lq_local(p, table ? STR("tablerowloop") : STR("forloop"));
	return f->var != NO_SLOT && f->drop != NO_SLOT ? f : NULL;
}

static int loop_bodies(struct parser *p, struct reader *r, const char *tag, struct for_loop *f, struct body *body,
	struct body *otherwise)
{
	f->body = (uint32_t)p->code.n;
	if (lq_assigned(p, f->var) != 0 || lq_assigned(p, f->drop) != 0 || lq_parse_body(p, r, tag, body) != 0)
		return -1;
	f->otherwise = (uint32_t)p->code.n;
	*otherwise = *body;
	otherwise->from = otherwise->to = f->otherwise;
	otherwise->blank = true;
	if (tag[0] == 'f' && str_is(otherwise->end.name, "else") && lq_parse_body(p, r, tag, otherwise) != 0)
		return -1;
	return ends_with(&otherwise->end, tag) ? 0 : lq_bad_end(p, tag, &otherwise->end);
}

static int tag_loop(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
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

static int tag_interrupt(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	return lq_emit_op(p, str_is(t->name, "break") ? OP_BREAK : OP_CONTINUE, t->at) != NULL ? 0 : -1;
}

static struct str variable_name(struct str markup)
{
	size_t i = 0;
	while (i < markup.n && !is_name_char(markup.p[i]) && markup.p[i] != '[' && markup.p[i] != '(')
		i++;
	size_t from = i;
	while (i < markup.n && (is_name_char(markup.p[i]) || memchr(".[]()", markup.p[i], 5) != NULL))
		i++;
	return str_n(markup.p + from, i - from);
}

/* ---- variables ---- */

static int tag_assign(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	*blank = true;
	struct str name = variable_name(t->markup);
	const char *end = t->markup.p + t->markup.n, *q = name.p + name.n;
	while (q < end && (*q == ' ' || (*q >= '\t' && *q <= '\r')))
		q++;
	if (name.n == 0 || q >= end || *q != '=')
		return lq_error(p, t->at, "Syntax Error in 'assign' - Valid syntax: assign [var] = [source]");
	const struct expr *x = lq_parse_filtered(p, str_n(q + 1, (size_t)(end - q - 1)));
	uint32_t local = x != NULL ? lq_local(p, name) : NO_SLOT;
	struct op *op = local != NO_SLOT ? lq_emit_op(p, OP_ASSIGN, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->a = local;
	op->x = x;
	op->blank = true;
	return lq_assigned(p, local);
}

static int tag_capture(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct body b;
	*blank = true;
	struct str name = variable_name(t->markup);
	if (name.n == 0)
		return lq_error(p, t->at, "Syntax Error in 'capture' - Valid syntax: capture [var]");
	uint32_t head = (uint32_t)p->code.n, local = lq_local(p, name);
	struct op *op = local != NO_SLOT ? lq_emit_op(p, OP_CAPTURE, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->a = local;
	op->blank = true;
	if (lq_parse_body(p, r, "capture", &b) != 0)
		return -1;
	if (!ends_with(&b.end, "capture"))
		return lq_bad_end(p, "capture", &b.end);
	lq_op(p, head)->end = (uint32_t)p->code.n;
	return lq_assigned(p, local);
}

static int tag_counter(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct op *op = lq_emit_op(p, str_is(t->name, "increment") ? OP_INCREMENT : OP_DECREMENT, t->at);
	if (op == NULL)
		return -1;
	op->a = lq_local(p, str_trim(t->markup));
	return op->a != NO_SLOT ? lq_assigned(p, op->a) : -1;
}

static int tag_ifchanged(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct body b;
	struct bits before = {0};
	uint32_t head = (uint32_t)p->code.n;
	if (lq_emit_op(p, OP_IFCHANGED, t->at) == NULL || lq_bits_copy(p, &p->definite, &before) != 0)
		return -1;
	int rc = lq_parse_body(p, r, "ifchanged", &b);
	free(before.w);
	if (rc == 0 && !ends_with(&b.end, "ifchanged"))
		rc = lq_bad_end(p, "ifchanged", &b.end);
	if (rc != 0)
		return -1;
	lq_op(p, head)->end = (uint32_t)p->code.n;
	*blank = b.blank;
	return 0;
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

static int tag_cycle(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct lexer x;
	struct vec values = {.size = sizeof(const struct expr *)};
	struct cycle *c = arena_zalloc(&p->l->arena, sizeof *c);
	int rc = c != NULL && lq_lex_start(p, &x, t->markup) == 0 ? cycle_values(p, &x, &values, c) : -1;
	if (rc == 0 && values.n == 0)
		rc = lq_error(p, t->at, "Syntax Error in 'cycle' - Valid syntax: cycle [name :] var [, var2, var3 ...]");
	if (rc == 0)
		rc = cycle_key(p, &values, c);
	if (rc == 0) {
		c->n = (uint32_t)values.n;
		c->values = copy(p, values.p, values.n * values.size);
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
		c->named = copy(p, named.p, named.n * named.size);
		c->locals = copy(p, locals.p, locals.n * locals.size);
		rc = c->named != NULL && c->locals != NULL ? 0 : -1;
	}
	free(named.p);
	free(locals.p);
	return rc;
}

static int tag_partial(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
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
		return lq_error(p, t->at, "Syntax error in tag 'render' - Template name must be a quoted string");
	if (x.tok.kind == T_END)
		return lq_error(p, t->at, "Error in tag 'include' - Valid syntax: include '[template]' (with|for) [object|collection]");
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

/* ---- the others ---- */

static int tag_echo(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	const struct expr *x = lq_parse_filtered(p, t->markup);
	struct op *op = x != NULL ? lq_emit_op(p, OP_OUT, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->x = x;
	return 0;
}

static int tag_raw(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct str body;
	if (str_trim(t->markup).n != 0)
		return lq_error(p, t->at, "Syntax Error in 'raw' - Valid syntax: raw");
	if (lq_read_raw(p, r, "raw", &body) != 0)
		return -1;
	*blank = body.n == 0;
	return lq_emit_literal(p, t->at, body);
}

static int tag_doc(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct str body;
	*blank = true;
	if (str_trim(t->markup).n != 0)
		return lq_error(p, t->at, "Syntax Error in 'doc' - Valid syntax: {%% doc %%}{%% enddoc %%}");
	if (lq_read_raw(p, r, "doc", &body) != 0)
		return -1;
	for (size_t i = 0; i + 1 < body.n; i++) {
		struct str rest = str_n(body.p + i + 2, body.n - i - 2);
		if (body.p[i] != '{' || body.p[i + 1] != '%')
			continue;
		if (rest.n > 0 && rest.p[0] == '-')
			rest = str_n(rest.p + 1, rest.n - 1);
		rest = str_trim(rest);
		if (str_starts(rest, STR("doc")) && (rest.n == 3 || !is_name_char(rest.p[3])))
			return lq_error(p, t->at, "Syntax Error in 'doc' - Nested doc tags are not allowed");
	}
	return 0;
}

static int tag_comment(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)t;
	*blank = true;
	return lq_skip_comment(p, r);
}

static int tag_inline_comment(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	*blank = true;
	for (size_t i = 0; i < t->markup.n; i++) {
		if (t->markup.p[i] != '\n')
			continue;
		struct str line = str_trim(str_n(t->markup.p + i, t->markup.n - i));
		if (line.n != 0 && line.p[0] != '#')
			return lq_error(p, t->at, "Syntax error in tag '#' - Each line of comments must be prefixed by the '#' character");
	}
	return 0;
}

static int tag_liquid(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	struct reader lines = {.src = t->markup, .lines = true};
	struct body b;
	if (lq_parse_body(p, &lines, NULL, &b) != 0)
		return -1;
	/* Its tags count for what is around them: `liquid` itself neither writes nor keeps blank. */
	*blank = b.blank;
	if (b.end.kind == P_EOF)
		return 0;
	return lq_bad_end(p, str_is(b.end.name, "else") || str_starts(b.end.name, STR("end")) ? "liquid" : NULL, &b.end);
}

/* {% abort_message %}, {% abort_message "reason" %}, {% abort_message("reason") %} */
static int tag_abort(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct str m = str_trim(t->markup);
	if (m.n >= 2 && m.p[0] == '(' && m.p[m.n - 1] == ')')
		m = str_trim(str_n(m.p + 1, m.n - 2));
	const struct expr *x = lq_parse_filtered(p, m);
	struct op *op = x != NULL ? lq_emit_op(p, OP_ABORT, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->x = x;
	return 0;
}

static const struct tag tags[] = {
	{"if", tag_if, false, false}, {"unless", tag_if, false, false}, {"case", tag_case, false, false},
	{"for", tag_loop, false, false}, {"tablerow", tag_loop, false, false}, {"break", tag_interrupt, false, false},
	{"continue", tag_interrupt, false, false}, {"assign", tag_assign, false, false},
	{"capture", tag_capture, false, false}, {"increment", tag_counter, false, false},
	{"decrement", tag_counter, false, false}, {"ifchanged", tag_ifchanged, false, false},
	{"cycle", tag_cycle, false, false}, {"render", tag_partial, false, false}, {"include", tag_partial, true, false},
	{"echo", tag_echo, false, false}, {"raw", tag_raw, false, false}, {"doc", tag_doc, false, false},
	{"comment", tag_comment, false, false}, {"#", tag_inline_comment, false, false},
	{"liquid", tag_liquid, false, false}, {"abort_message", tag_abort, false, true},
};

const struct tag *lq_tag_find(struct str name, bool plain)
{
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (str_is(name, tags[i].name) && !(plain ? tags[i].profile : tags[i].plain))
			return &tags[i];
	return NULL;
}
