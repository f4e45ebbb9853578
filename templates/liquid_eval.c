/* Evaluating expressions: variables, comparisons, filters. */
#include "templates/liquid_private.h"

static struct value from_slot(const struct vm *vm, struct str s)
{
	if (s.n == 0 || s.n > UINT32_MAX / 2) {
		if (s.p == NULL || !vm->l->o.plain)
			return NIL;
		s.n = 0;
	}
	return v_str(s);
}

static void put_digits(char *o, int n, int v)
{
	for (; n-- > 0; v /= 10)
		o[n] = (char)('0' + v % 10);
}

static struct value now_value(struct vm *vm)
{
	struct civil c;
	char b[] = "0000-00-00 00:00:00 +0000";
	if (vm->l->o.zone != NULL)
		clock_civil(vm->l->o.zone, vm->v->now, &c);
	else
		lq_civil_utc(vm->v->now, &c);
	int offset = (c.offset < 0 ? -c.offset : c.offset) / 60;
	put_digits(b, 4, c.year < 0 ? 0 : c.year);
	put_digits(b + 5, 2, c.month);
	put_digits(b + 8, 2, c.day);
	put_digits(b + 11, 2, c.hour);
	put_digits(b + 14, 2, c.minute);
	put_digits(b + 17, 2, c.second);
	b[20] = c.offset < 0 ? '-' : '+';
	put_digits(b + 21, 2, offset / 60);
	put_digits(b + 23, 2, offset % 60);
	return v_str(arena_str(vm->a, STR(b)));
}

static bool counter_value(const struct vm *vm, struct str name, struct value *out)
{
	for (const struct counter *c = vm->f.counters; c != NULL; c = c->next)
		if (str_eq(c->name, name)) {
			*out = c->value;
			return true;
		}
	return false;
}

struct value lq_global(struct vm *vm, uint32_t slot, struct str name)
{
	struct value v = NIL;
	if (vm->f.counters != NULL && counter_value(vm, name, &v))
		return v;
	if (vm->isolated)
		return NIL;
	if (slot != NO_SLOT && vm->v->slots != NULL) {
		v = from_slot(vm, vm->v->slots[slot]);
		if (v.type != V_NIL)
			return v;
	}
	if (vm->v->data != NULL) {
		json_t *j = json_object_getn(vm->v->data, name.p, name.n);
		if (j != NULL)
			return lq_from_json(j);
	}
	if (!vm->l->o.plain && str_is(name, "now"))
		return now_value(vm);
	return v;
}

/* There is text in the slot, and nothing that stands before it. */
static inline bool has_text(const struct vm *vm, uint32_t slot)
{
	return slot != NO_SLOT && vm->v->slots != NULL && vm->f.counters == NULL && !vm->isolated &&
	       from_slot(vm, vm->v->slots[slot]).type != V_NIL;
}

struct value lq_find(struct vm *vm, struct str name)
{
	uint32_t local = lq_interned(vm->l->locals, name);
	if (local != NO_SLOT && vm->f.vars[local].type != V_UNSET)
		return vm->f.vars[local];
	struct value v = lq_global(vm, lq_interned(vm->l->names, name), name);
	if (v.type == V_NIL && vm->v->lookup != NULL && !vm->isolated)
		v = from_slot(vm, vm->v->lookup(vm->v->ctx, name));
	return v;
}

/* contact[x]: the attribute whose name is only known now. */
APART static bool contact_step(struct vm *vm, const struct expr *x, struct value *v)
{
	if (vm->l->o.plain || v->type != V_NIL || x->var.nsteps == 0 || x->var.local == NO_SLOT ||
		x->var.steps[0].dynamic == NULL ||
		!str_is(liquid_name(vm->l->locals, x->var.local), "contact"))
		return false;
	struct value key;
	if (lq_eval(vm, x->var.steps[0].dynamic, &key) == 0) {
		struct str name = lq_to_s(vm, &key);
		*v = lq_global(vm, lq_interned(vm->l->names, name), name);
		if (v->type == V_NIL && vm->v->lookup != NULL)
			*v = from_slot(vm, vm->v->lookup(vm->v->ctx, name));
	}
	return true;
}

APART static int eval_root(struct vm *vm, const struct expr *x, struct value *out)
{
	struct value name;
	if (lq_eval(vm, x, &name) != 0)
		return -1;
	*out = lq_find(vm, lq_to_s(vm, &name));
	return 0;
}

APART static int eval_key(struct vm *vm, const struct step *s, const struct value *v, struct value *out)
{
	struct value key;
	if (lq_eval(vm, s->dynamic, &key) != 0)
		return -1;
	*out = lq_lookup(vm, v, &key, s->command);
	return 0;
}

/* The value is looked at where it lies: copying one that was only just written makes the processor wait. */
static int eval_variable(struct vm *vm, const struct expr *x, struct value *out)
{
	const struct value *v = out;
	uint32_t local = x->var.local;
	if (x->var.root != NULL) {
		if (eval_root(vm, x->var.root, out) != 0)
			return -1;
	} else if (local != NO_SLOT && vm->f.vars[local].type != V_UNSET) {
		v = &vm->f.vars[local];
	} else if (has_text(vm, x->var.slot)) {
		*out = v_str(vm->v->slots[x->var.slot]);
	} else {
		*out = lq_global(vm, x->var.slot,
			local != NO_SLOT ? liquid_name(vm->l->locals, local)
					 : liquid_name(vm->l->names, x->var.slot));
	}
	uint32_t i = v == out && x->var.nsteps != 0 && contact_step(vm, x, out);
	for (; i < x->var.nsteps && v->type != V_NIL; i++) {
		const struct step *s = &x->var.steps[i];
		if (s->dynamic == NULL)
			*out = lq_lookup(vm, v, &s->key, s->command);
		else if (eval_key(vm, s, v, out) != 0)
			return -1;
		v = out;
	}
	if (v != out)
		*out = *v;
	return vm->failed ? -1 : 0;
}

/* nil and text count by their leading digits, other values must be integers. */
static int range_end(struct vm *vm, const struct expr *x, int64_t *out)
{
	struct value v;
	if (lq_eval(vm, x, &v) != 0)
		return -1;
	if (v.type != V_NIL && v.type != V_STR)
		return lq_to_integer(vm, &v, out);
	*out = lq_to_i(vm, &v);
	return 0;
}

static int eval_range(struct vm *vm, const struct expr *x, struct value *out)
{
	struct range *r = arena_alloc(vm->a, sizeof *r);
	if (r == NULL)
		return lq_nomem(vm);
	if (range_end(vm, x->pair.a, &r->from) != 0 || range_end(vm, x->pair.b, &r->to) != 0)
		return -1;
	*out = (struct value){.type = V_RANGE, .range = r};
	return 0;
}

static bool is_number(const struct value *v)
{
	return v->type >= V_INT && v->type <= V_FLOAT;
}

/* In the profile an attribute is text, also where its column holds numbers. */
static void as_number(struct vm *vm, struct value *text, const struct value *other)
{
	struct number n;
	if (!vm->l->o.plain && text->type == V_STR && is_number(other) && lq_looks_number(v_bytes(text)) &&
		lq_to_number(vm, text, &n) == 0)
		lq_from_number(vm, &n, text);
}

static bool is_blank(const struct value *v)
{
	if (v->type <= V_FALSE)
		return true;
	if (v->type == V_STR)
		return str_trim(v_bytes(v)).n == 0;
	return lq_is_empty(v);
}

bool lq_condition_equal(struct vm *vm, struct value a, struct value b)
{
	if (b.type >= V_BLANK) {
		struct value t = a;
		a = b;
		b = t;
	}
	if (a.type >= V_BLANK) {
		if (b.type >= V_BLANK)
			return false;
		return a.type == V_BLANK ? is_blank(&b) : lq_is_empty(&b);
	}
	as_number(vm, &a, &b);
	as_number(vm, &b, &a);
	return lq_equal(vm, &a, &b);
}

static const char *class_name(const struct value *v)
{
	static const char *const names[] = {[V_NIL] = "nil",
		[V_FALSE] = "false",
		[V_TRUE] = "true",
		[V_INT] = "Integer",
		[V_BIG] = "Integer",
		[V_FLOAT] = "Float",
		[V_STR] = "String",
		[V_RANGE] = "Range",
		[V_ARRAY] = "Array",
		[V_JARRAY] = "Array",
		[V_HASH] = "Hash"};
	return v->type < sizeof names / sizeof *names && names[v->type] != NULL ? names[v->type] : "Object";
}

static int order(struct vm *vm, enum cmp op, struct value a, struct value b, bool *out)
{
	*out = false;
	as_number(vm, &a, &b);
	as_number(vm, &b, &a);
	bool comparable = (is_number(&a) || a.type == V_STR) && (is_number(&b) || b.type == V_STR);
	if (!comparable)
		return 0;
	if (is_number(&a) != is_number(&b)) {
		if (!vm->l->o.plain)
			return 0;
		if (b.type == V_STR)
			return lq_fail(vm, "comparison of %s with String failed", class_name(&a));
		struct str s = lq_to_s(vm, &b);
		return lq_fail(vm, "comparison of String with %.*s failed", STR_ARG(s));
	}
	int r = lq_compare(vm, &a, &b);
	*out = r == 2 ? false : op == CMP_LT ? r < 0 : op == CMP_LE ? r <= 0 : op == CMP_GT ? r > 0 : r >= 0;
	return vm->failed ? -1 : 0;
}

static int contains(struct vm *vm, const struct value *a, const struct value *b, bool *out)
{
	struct seq s;
	*out = false;
	if (!v_truthy(a) || !v_truthy(b))
		return 0;
	if (a->type == V_STR) {
		struct str needle = lq_to_s(vm, b);
		*out = needle.n == 0 || (a->n != 0 && memmem(a->s, a->n, needle.p, needle.n) != NULL);
		return 0;
	}
	if (a->type == V_HASH) {
		*out = b->type == V_STR && json_object_getn(a->json, b->s, b->n) != NULL;
		return 0;
	}
	if (a->type == V_RANGE) {
		*out = b->type == V_INT && b->i >= a->range->from && b->i <= a->range->to;
		if (b->type == V_FLOAT)
			*out = b->f >= (double)a->range->from && b->f <= (double)a->range->to;
		return 0;
	}
	lq_seq(a, &s);
	if (lq_steps(vm, s.n) != 0)
		return -1;
	for (size_t i = 0; i < s.n && !*out; i++) {
		struct value item = lq_seq_at(vm, &s, i);
		*out = lq_equal(vm, &item, b);
	}
	return 0;
}

static int eval_compare(struct vm *vm, const struct expr *x, struct value *out)
{
	struct value a, b;
	bool r = false;
	if (lq_eval(vm, x->pair.a, &a) != 0 || lq_eval(vm, x->pair.b, &b) != 0)
		return -1;
	int rc = 0;
	if (x->op == CMP_EQ || x->op == CMP_NE)
		r = lq_condition_equal(vm, a, b) == (x->op == CMP_EQ);
	else if (x->op == CMP_CONTAINS)
		rc = contains(vm, &a, &b, &r);
	else
		rc = order(vm, (enum cmp)x->op, a, b, &r);
	*out = v_bool(r);
	return rc != 0 || vm->failed ? -1 : 0;
}

static int eval_call(struct vm *vm, const struct expr *x, struct value *out)
{
	UNCLEARED struct value args[MAX_ARGS + 1];
	UNCLEARED struct value named[MAX_ARGS];
	struct call c = {.site = x, .arg = args, .n = x->nargs, .named = named};
	if (lq_eval(vm, x->call.input, &c.in) != 0)
		return -1;
	for (int i = 0; i < c.n; i++)
		if (lq_eval(vm, x->call.args[i], &args[i]) != 0)
			return -1;
	for (int i = 0; i < x->call.nnamed; i++)
		if (lq_eval(vm, x->call.named[i].value, &named[i]) != 0)
			return -1;
	/* Named arguments are one more argument to a filter that takes none. */
	if (x->call.nnamed != 0 && !(x->call.filter->flags & FILTER_NAMED))
		args[c.n++] = (struct value){.type = V_EMPTY};
	if (lq_steps(vm, 1) != 0 || x->call.filter->fn(vm, &c, out) != 0 || vm->failed) {
		if (!vm->placed)
			vm->at = x->at;
		vm->placed = true;
		return -1;
	}
	return 0;
}

APART static int eval_other(struct vm *vm, const struct expr *x, struct value *out)
{
	switch ((enum etype)x->type) {
	case E_RANGE:
		return eval_range(vm, x, out);
	case E_CALL:
		return eval_call(vm, x, out);
	case E_FAIL:
		vm->unknown_filter = x->op != 0;
		vm->at = x->at;
		vm->placed = true;
		return lq_fail(vm, "%.*s", STR_ARG(v_bytes(&x->value)));
	case E_COMPARE:
		return eval_compare(vm, x, out);
	case E_CONST: /* lq_eval()'s own */
	case E_VAR:
	case E_AND:
	case E_OR:
		break;
	}
	/* A chain leans to the right: walk it instead of recursing. */
	for (;; x = x->pair.b) {
		if (x->type != E_AND && x->type != E_OR)
			return lq_eval(vm, x, out);
		if (lq_eval(vm, x->pair.a, out) != 0)
			return -1;
		if (v_truthy(out) != (x->type == E_AND))
			return 0;
	}
}

int lq_eval(struct vm *vm, const struct expr *x, struct value *out)
{
	if (x->type == E_VAR)
		return eval_variable(vm, x, out);
	if (x->type != E_CONST)
		return eval_other(vm, x, out);
	*out = x->value;
	return 0;
}
