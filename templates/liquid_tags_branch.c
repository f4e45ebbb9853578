/* if, unless, case. */
#include "templates/liquid_parser.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- if, unless ---- */

struct branches { /* what is assigned after a chain of alternatives: what all of them assign */
	struct bits before, all;
	bool any, exhaustive;
};

static int branch_begin(struct parser *p, struct branches *b)
{
	return b->before.w == NULL ? lq_bits_copy(p, &p->definite, &b->before)
				   : lq_bits_copy(p, &b->before, &p->definite);
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

static int chain_test(
	struct parser *p, struct chain *c, enum opcode code, const struct piece *t, uint32_t *at)
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

static int chain_body(struct parser *p, struct reader *r, struct chain *c, struct branches *br,
	const char *tag, struct body *b)
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

static int parse_chain(
	struct parser *p, struct reader *r, const struct piece *t, struct chain *c, struct branches *br)
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
		more = !lq_ends(&next, tag);
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

int lq_tag_if(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct chain c = {.bodies.size = sizeof(struct body),
		.jumps.size = sizeof(uint32_t),
		.tests.size = sizeof(uint32_t),
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
			op->extra = lq_keep(p, &lq_op(p, *(uint32_t *)c.tests.p)->at, sizeof op->at);
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
		w->values = lq_keep(p, values.p, values.n * values.size);
		ok = w->values != NULL;
	}
	free(values.p);
	return ok ? w : NULL;
}

static int case_branch(
	struct parser *p, const struct piece *t, const struct expr *left, uint32_t matched, uint32_t *at)
{
	bool otherwise = str_is(t->name, "else");
	struct when *w = otherwise ? NULL : parse_when(p, t);
	if (!otherwise && w == NULL)
		return -1;
	if (otherwise && str_trim(t->markup).n != 0)
		return lq_error(p, t->at,
			"Syntax Error in tag 'case' - Valid else condition: {%% else %%} (no parameters)");
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

static int parse_case(
	struct parser *p, struct reader *r, const struct piece *t, struct chain *c, struct branches *br)
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
	while (!lq_ends(&b.end, "case")) {
		uint32_t at = 0;
		if (!str_is(b.end.name, "when") && !str_is(b.end.name, "else"))
			return lq_bad_end(p, "case", &b.end);
		br->exhaustive |= str_is(b.end.name, "else");
		if (case_branch(p, &b.end, left, matched, &at) != 0 ||
			chain_body(p, r, c, br, "case", &b) != 0)
			return -1;
		lq_op(p, at)->end = (uint32_t)p->code.n;
	}
	return 0;
}

int lq_tag_case(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
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
