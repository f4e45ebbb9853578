/* Expressions: from tokens to nodes, with constants folded. */
#include "templates/liquid_parser.h"

#include <stdlib.h>

static struct expr *expr_new(struct parser *p, enum etype type, const char *at)
{
	struct expr *x = arena_zalloc(&p->l->arena, sizeof *x);
	if (x == NULL) {
		lq_error(p, at, "out of memory");
		return NULL;
	}
	x->type = (uint8_t)type;
	x->at = lq_pos(p, at);
	return x;
}

static const struct expr *expr_const(struct parser *p, const char *at, struct value v)
{
	struct expr *x = expr_new(p, E_CONST, at);
	if (x != NULL)
		x->value = v;
	return x;
}

static const struct expr *bad_token(struct parser *p, struct lexer *x)
{
	if (x->tok.kind == T_END)
		lq_error(p, x->src.p + x->tok.off, "Expected an expression but found the end");
	else
		lq_error(p, x->src.p + x->tok.off, "%.*s is not a valid expression", STR_ARG(x->tok.s));
	return NULL;
}

static int expect(struct parser *p, struct lexer *x, char c)
{
	if (lq_is_punct(x, c))
		return lq_lex_next(p, x);
	return lq_error(p, x->src.p + x->tok.off, "Expected %c but found %s%.*s", c,
		x->tok.kind == T_END ? "the end" : "", STR_ARG(x->tok.s));
}

static const struct expr *parse_bracket(struct parser *p, struct lexer *x)
{
	if (++p->depth > LIQUID_MAX_DEPTH) {
		lq_error(p, x->src.p + x->tok.off, "Nesting too deep");
		return NULL;
	}
	const struct expr *e = lq_lex_next(p, x) == 0 ? lq_parse_expr(p, x) : NULL;
	p->depth--;
	return e != NULL && expect(p, x, ']') == 0 ? e : NULL;
}

static int parse_dot(struct parser *p, struct lexer *x, struct step *s)
{
	if (lq_lex_next(p, x) != 0)
		return -1;
	if (x->tok.kind != T_ID)
		return lq_error(p, x->src.p + x->tok.off, "Expected a name after . but found %s%.*s",
			x->tok.kind == T_END ? "the end" : "", STR_ARG(x->tok.s));
	s->key = v_str(x->tok.s);
	s->command = str_is(x->tok.s, "size") || str_is(x->tok.s, "first") || str_is(x->tok.s, "last");
	return lq_lex_next(p, x);
}

static int parse_steps(struct parser *p, struct lexer *x, struct expr *e)
{
	struct vec steps = {.size = sizeof(struct step)};
	int rc = 0;
	while (rc == 0 && (lq_is_punct(x, '.') || lq_is_punct(x, '['))) {
		struct step *s = lq_vec_add(p, &steps);
		if (s == NULL) {
			rc = -1;
			break;
		}
		if (lq_is_punct(x, '.')) {
			rc = parse_dot(p, x, s);
			continue;
		}
		const struct expr *key = parse_bracket(p, x);
		if (key == NULL)
			rc = -1;
		else if (key->type == E_CONST)
			((struct step *)steps.p)[steps.n - 1].key = key->value;
		else
			((struct step *)steps.p)[steps.n - 1].dynamic = key;
	}
	struct step *copy = rc == 0 ? arena_alloc(&p->l->arena, steps.n * sizeof *copy) : NULL;
	if (copy != NULL && steps.n != 0)
		memcpy(copy, steps.p, steps.n * sizeof *copy);
	e->var.steps = copy;
	e->var.nsteps = (uint32_t)steps.n;
	free(steps.p);
	return copy != NULL ? 0 : rc == 0 ? lq_error(p, x->src.p, "out of memory") : -1;
}

/* contact.x and contact["x"] are x. */
static bool is_contact(const struct parser *p, const struct expr *e, struct str root)
{
	return !p->l->o.plain && str_is(root, "contact") && e->var.nsteps > 0 &&
	       e->var.steps[0].dynamic == NULL && e->var.steps[0].key.type == V_STR;
}

static int resolve_root(struct parser *p, struct expr *e, struct str root, const char *at)
{
	e->var.slot = NO_SLOT;
	e->var.local = lq_local(p, root);
	if (e->var.local == NO_SLOT)
		return -1;
	bool own = lq_is_assigned(p, e->var.local);
	if (own)
		return 0;
	if (is_contact(p, e, root)) {
		/* A template's own variable of that name must not hide the contact's attribute. */
		root = v_bytes(&e->var.steps[0].key);
		e->var.steps++;
		e->var.nsteps--;
		e->var.local = NO_SLOT;
	}
	bool computed = str_is(root, "contact") && e->var.nsteps > 0 && e->var.steps[0].dynamic != NULL;
	if (!p->l->o.plain && (str_is(root, "now") || (computed && e->var.local != NO_SLOT)))
		return 0;
	e->var.slot = lq_intern(p->l->names, root);
	if (e->var.slot == NO_SLOT)
		return lq_error(p, at, "out of memory");
	lq_name_used(p->l->names, e->var.slot);
	return 0;
}

static const struct expr *parse_variable(struct parser *p, struct lexer *x)
{
	const char *at = x->src.p + x->tok.off;
	struct expr *e = expr_new(p, E_VAR, at);
	struct str root = x->tok.s;
	bool named = x->tok.kind == T_ID;
	if (e == NULL)
		return NULL;
	if (named) {
		if (lq_lex_next(p, x) != 0)
			return NULL;
	} else {
		const struct expr *key = parse_bracket(p, x);
		if (key == NULL)
			return NULL;
		named = key->type == E_CONST && key->value.type == V_STR;
		if (named)
			root = v_bytes(&key->value);
		e->var.root = named ? NULL : key;
	}
	e->var.local = e->var.slot = NO_SLOT;
	if (parse_steps(p, x, e) != 0 || (named && resolve_root(p, e, root, at) != 0))
		return NULL;
	return e;
}

static bool literal_word(struct str s, struct value *v)
{
	static const struct {
		const char *word;
		enum vtype type;
	} words[] = {{"nil", V_NIL}, {"null", V_NIL}, {"true", V_TRUE}, {"false", V_FALSE},
		{"blank", V_BLANK}, {"empty", V_EMPTY}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (str_is(s, words[i].word)) {
			*v = (struct value){.type = (uint8_t)words[i].type};
			return true;
		}
	return false;
}

static const struct expr *parse_number(struct parser *p, struct lexer *x)
{
	struct str s = x->tok.s;
	const char *at = x->src.p + x->tok.off;
	struct value v;
	if (memchr(s.p, '.', s.n) != NULL) {
		v = v_float(strtod(arena_str(&p->l->arena, s).p, NULL));
	} else {
		v = lq_parse_integer(&p->l->arena, s);
	}
	return lq_lex_next(p, x) == 0 ? expr_const(p, at, v) : NULL;
}

static const struct expr *constant_range(struct parser *p, struct expr *e)
{
	const struct value *a = &e->pair.a->value, *b = &e->pair.b->value;
	struct vm vm = {.a = &p->l->arena};
	struct range *r = arena_alloc(&p->l->arena, sizeof *r);
	if (r == NULL)
		return e;
	r->from = lq_to_i(&vm, a);
	r->to = lq_to_i(&vm, b);
	e->type = E_CONST;
	e->value = (struct value){.type = V_RANGE, .range = r};
	return e;
}

static const struct expr *parse_range(struct parser *p, struct lexer *x)
{
	const char *at = x->src.p + x->tok.off;
	struct expr *e = expr_new(p, E_RANGE, at);
	if (e == NULL)
		return NULL;
	if (++p->depth > LIQUID_MAX_DEPTH) {
		lq_error(p, at, "Nesting too deep");
		return NULL;
	}
	const struct expr *a = lq_lex_next(p, x) == 0 ? lq_parse_expr(p, x) : NULL;
	if (a == NULL)
		return NULL;
	if (x->tok.kind != T_DOTDOT) {
		lq_error(p, x->src.p + x->tok.off, "Expected .. but found %s%.*s",
			x->tok.kind == T_END ? "the end" : "", STR_ARG(x->tok.s));
		return NULL;
	}
	const struct expr *b = lq_lex_next(p, x) == 0 ? lq_parse_expr(p, x) : NULL;
	if (b == NULL || expect(p, x, ')') != 0)
		return NULL;
	p->depth--;
	e->pair.a = a;
	e->pair.b = b;
	return a->type == E_CONST && b->type == E_CONST ? constant_range(p, e) : e;
}

const struct expr *lq_parse_operand(struct parser *p, struct lexer *x)
{
	const char *at = x->src.p + x->tok.off;
	struct str s = x->tok.s;
	struct value v;
	switch (x->tok.kind) {
	case T_STRING:
		return lq_lex_next(p, x) == 0 ? expr_const(p, at, v_str(s)) : NULL;
	case T_NUMBER:
		return parse_number(p, x);
	case T_ID:
		/* `nil.x` looks up a variable that is called nil. */
		if (literal_word(s, &v) &&
			(x->at >= x->src.n || (x->src.p[x->at] != '.' && x->src.p[x->at] != '[') ||
				(x->src.p[x->at] == '.' && x->at + 1 < x->src.n &&
					x->src.p[x->at + 1] == '.')))
			return lq_lex_next(p, x) == 0 ? expr_const(p, at, v) : NULL;
		return parse_variable(p, x);
	default:
		if (lq_is_punct(x, '['))
			return parse_variable(p, x);
		if (lq_is_punct(x, '('))
			return parse_range(p, x);
		return bad_token(p, x);
	}
}

const struct expr *lq_parse_expr(struct parser *p, struct lexer *x)
{
	const struct expr *e = lq_parse_operand(p, x);
	if (e != NULL && e->type == E_CONST && e->value.type >= V_BLANK)
		((struct expr *)e)->value = v_str(STR(""));
	return e;
}

int lq_parse_named(struct parser *p, struct lexer *x, struct named *out)
{
	out->name = x->tok.s;
	if (lq_lex_next(p, x) != 0 || expect(p, x, ':') != 0)
		return -1;
	out->value = lq_parse_expr(p, x);
	return out->value != NULL ? 0 : -1;
}

struct arguments {
	const struct expr *args[MAX_ARGS];
	struct named named[MAX_ARGS];
	uint16_t nargs, nnamed;
};

static int parse_arguments(struct parser *p, struct lexer *x, struct arguments *a)
{
	do {
		if (lq_lex_next(p, x) != 0)
			return -1;
		if (a->nargs == MAX_ARGS || a->nnamed == MAX_ARGS)
			return lq_error(p, x->src.p + x->tok.off, "too many arguments");
		if (x->tok.kind == T_ID && lq_lex_peek_colon(x)) {
			if (lq_parse_named(p, x, &a->named[a->nnamed++]) != 0)
				return -1;
		} else if ((a->args[a->nargs++] = lq_parse_expr(p, x)) == NULL) {
			return -1;
		}
	} while (lq_is_punct(x, ','));
	return 0;
}

static bool all_constant(const struct expr *e)
{
	if ((e->call.filter->flags & FILTER_IMPURE) != 0 || e->call.input->type != E_CONST)
		return false;
	for (size_t i = 0; i < e->nargs; i++)
		if (e->call.args[i]->type != E_CONST)
			return false;
	for (size_t i = 0; i < e->call.nnamed; i++)
		if (e->call.named[i].value->type != E_CONST)
			return false;
	return true;
}

/* A filter over constants is computed once. One that fails is left, to fail where it is rendered. */
static const struct expr *fold(struct parser *p, struct expr *e)
{
	enum { FOLD_MAX = 4096 };
	struct liquid_vars none = {0};
	struct vm vm;
	struct value v;
	if (!all_constant(e))
		return e;
	struct arena scratch;
	arena_init(&scratch, 4096, 4 << 20);
	lq_vm_init(&vm, p->l, &none, &scratch);
	vm.steps = 100000;
	bool done = lq_eval(&vm, e, &v) == 0 && v.type <= V_STR && v.type != V_BIG;
	if (done && v.type == V_STR) {
		done = v.n <= FOLD_MAX;
		if (done) {
			bool safe = v.safe;
			v = v_str(arena_str(&p->l->arena, v_bytes(&v)));
			v.safe = safe;
		}
	}
	arena_release(&scratch);
	if (done) {
		e->type = E_CONST;
		e->value = v;
	}
	return e;
}

/* A mistake that can be seen at once; the bare language only minds it where it is rendered. */
static const struct expr *mistake(struct parser *p, const char *at, bool unknown, struct str what)
{
	if (!p->l->o.plain) {
		lq_error(p, at, "%.*s", STR_ARG(what));
		return NULL;
	}
	struct expr *e = expr_new(p, E_FAIL, at);
	if (e == NULL)
		return NULL;
	e->value = v_str(what);
	e->op = unknown;
	return e;
}

static const struct expr *wrong_number(
	struct parser *p, const char *at, const struct filter *f, unsigned given)
{
	struct arena *a = &p->l->arena;
	struct str who = p->l->o.plain ? STR("") : arena_printf(a, "%s: ", f->name);
	struct str wanted = f->min == f->max ? arena_printf(a, "%d", f->min + 1)
					     : arena_printf(a, "%d..%d", f->min + 1, f->max + 1);
	return mistake(p, at, false,
		arena_printf(a, "%.*swrong number of arguments (given %u, expected %.*s)", STR_ARG(who),
			given + 1, STR_ARG(wanted)));
}

static const struct expr *make_call(struct parser *p, const char *at, const struct filter *f,
	const struct expr *input, const struct arguments *a)
{
	unsigned given = a->nargs + (a->nnamed != 0 && !(f->flags & FILTER_NAMED));
	if (given < f->min || given > f->max)
		return wrong_number(p, at, f, given);
	struct expr *e = expr_new(p, E_CALL, at);
	if (e == NULL)
		return NULL;
	e->nargs = a->nargs;
	e->call.filter = f;
	e->call.input = input;
	e->call.args = lq_keep(p, a->args, a->nargs * sizeof *a->args);
	e->call.named = lq_keep(p, a->named, a->nnamed * sizeof *a->named);
	e->call.nnamed = a->nnamed;
	return e->call.args != NULL && e->call.named != NULL ? fold(p, e) : NULL;
}

static const struct expr *parse_filter(struct parser *p, struct lexer *x, const struct expr *input)
{
	struct arguments a = {0};
	if (lq_lex_next(p, x) != 0)
		return NULL;
	const char *at = x->src.p + x->tok.off;
	if (x->tok.kind != T_ID) {
		lq_error(p, at, "Expected a filter after | but found %s%.*s",
			x->tok.kind == T_END ? "the end" : "", STR_ARG(x->tok.s));
		return NULL;
	}
	struct str name = x->tok.s;
	const struct filter *f = lq_filter_find(name, p->l->o.plain);
	if (lq_lex_next(p, x) != 0 || (lq_is_punct(x, ':') && parse_arguments(p, x, &a) != 0))
		return NULL;
	if (f != NULL)
		return make_call(p, at, f, input, &a);
	struct nearest near = {.distance = 0};
	if (!p->l->o.plain)
		lq_filter_near(name, &near);
	const char *quote = near.best[0] != '\0' ? "; did you mean '" : "";
	return mistake(p, at, true,
		arena_printf(&p->l->arena, "Unknown filter '%.*s'%s%s%s", STR_ARG(name), quote, near.best,
			*quote != '\0' ? "'?" : ""));
}

/* Does a default come before anything could be made of an empty value? Filters without arguments leave it
 * empty. */
static bool is_defaulted(const struct expr *e, const struct expr **input)
{
	bool found = false;
	for (; e->type == E_CALL; e = e->call.input)
		found = strcmp(e->call.filter->name, "default") == 0 || (found && e->nargs == 0);
	*input = e;
	return found;
}

const struct expr *lq_parse_filtered(struct parser *p, struct str markup)
{
	enum { MAX_FILTERS = 500 };
	struct lexer x;
	if (lq_lex_start(p, &x, markup) != 0)
		return NULL;
	if (x.tok.kind == T_END)
		return expr_const(p, markup.p, NIL);
	const struct expr *e = lq_parse_expr(p, &x);
	for (int n = 0; e != NULL && lq_is_punct(&x, '|'); n++) {
		if (n == MAX_FILTERS) {
			lq_error(p, x.src.p + x.tok.off, "too many filters");
			return NULL;
		}
		e = parse_filter(p, &x, e);
	}
	const struct expr *input;
	if (e == NULL || lq_expect_end(p, &x) != 0)
		return NULL;
	if (is_defaulted(e, &input) && input->type == E_VAR && input->var.slot != NO_SLOT)
		lq_name_defaulted(p->l->names, input->var.slot);
	return e;
}

static enum cmp operator_of(struct str s)
{
	if (s.p[0] == 'c')
		return CMP_CONTAINS;
	if (s.p[0] == '=')
		return CMP_EQ;
	if (s.p[0] == '!' || (s.n == 2 && s.p[1] == '>'))
		return CMP_NE;
	if (s.p[0] == '<')
		return s.n == 2 ? CMP_LE : CMP_LT;
	return s.n == 2 ? CMP_GE : CMP_GT;
}

static const struct expr *parse_comparison(struct parser *p, struct lexer *x)
{
	const char *at = x->src.p + x->tok.off;
	const struct expr *a = lq_parse_operand(p, x);
	if (a == NULL || x->tok.kind != T_COMPARE)
		return a;
	struct expr *e = expr_new(p, E_COMPARE, at);
	if (e == NULL)
		return NULL;
	e->op = (uint8_t)operator_of(x->tok.s);
	e->pair.a = a;
	e->pair.b = lq_lex_next(p, x) == 0 ? lq_parse_operand(p, x) : NULL;
	return e->pair.b != NULL ? e : NULL;
}

/* `and` and `or` have no precedence: a chain is read from the right. */
const struct expr *lq_parse_condition(struct parser *p, struct str markup)
{
	struct lexer x;
	if (lq_lex_start(p, &x, markup) != 0)
		return NULL;
	const struct expr *first = parse_comparison(p, &x);
	struct expr *last = NULL;
	while (first != NULL && x.tok.kind == T_ID && (str_is(x.tok.s, "and") || str_is(x.tok.s, "or"))) {
		struct expr *e = expr_new(p, str_is(x.tok.s, "and") ? E_AND : E_OR, x.src.p + x.tok.off);
		const struct expr *right =
			e != NULL && lq_lex_next(p, &x) == 0 ? parse_comparison(p, &x) : NULL;
		if (right == NULL)
			return NULL;
		e->pair.a = last == NULL ? first : last->pair.b;
		e->pair.b = right;
		if (last == NULL)
			first = e;
		else
			last->pair.b = e;
		last = e;
	}
	return first != NULL && lq_expect_end(p, &x) == 0 ? first : NULL;
}
