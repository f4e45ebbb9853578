#include "templates/liquid_private.h"

#include <math.h>

static bool quick(char op, int64_t a, int64_t b, int64_t *out)
{
	switch (op) {
	case '+':
		return !__builtin_add_overflow(a, b, out);
	case '-':
		return !__builtin_sub_overflow(a, b, out);
	case '*':
		return !__builtin_mul_overflow(a, b, out);
	default:
		break;
	}
	if (b == 0 || (a == INT64_MIN && b == -1))
		return false;
	int64_t q = a / b, r = a % b;
	if (r != 0 && (r < 0) != (b < 0)) {
		q--;
		r += b;
	}
	*out = op == '/' ? q : r;
	return true;
}

static double as_double(struct vm *vm, const struct value *v)
{
	struct number n;
	struct value d;
	if (v->type == V_FLOAT)
		return v->f;
	if (lq_to_number(vm, v, &n) != 0)
		return 0;
	n.integer = false;
	return lq_from_number(vm, &n, &d) == 0 ? d.f : 0;
}

static bool both_integers(struct vm *vm, const struct call *c)
{
	struct number a, b;
	return lq_to_number(vm, &c->in, &a) == 0 && lq_to_number(vm, &c->arg[0], &b) == 0 && a.integer &&
	       b.integer;
}

/* What the bare language calls Infinity and NaN; a message had better not be sent with them. */
static bool beyond_decimals(struct vm *vm, const struct call *c, char op, struct value *out)
{
	bool endless = (c->in.type == V_FLOAT && !isfinite(c->in.f)) ||
		       (c->arg[0].type == V_FLOAT && !isfinite(c->arg[0].f));
	bool decimal = c->in.type == V_FLOAT || c->arg[0].type == V_FLOAT || c->in.type == V_STR ||
		       c->arg[0].type == V_STR;
	if (!vm->l->o.plain || !decimal)
		return false;
	double a = as_double(vm, &c->in), b = as_double(vm, &c->arg[0]);
	if (!endless && (op != '/' || b != 0 || both_integers(vm, c)))
		return false;
	if (op == '%' && b == 0)
		return false;
	*out = v_float(op == '+'   ? a + b
		       : op == '-' ? a - b
		       : op == '*' ? a * b
		       : op == '/' ? a / b
				   : fmod(a, b));
	return true;
}

static int arith(struct vm *vm, const struct call *c, char op, struct value *out)
{
	int64_t i;
	if (c->in.type == V_INT && c->arg[0].type == V_INT && quick(op, c->in.i, c->arg[0].i, &i)) {
		*out = v_int(i);
		return 0;
	}
	if (beyond_decimals(vm, c, op, out))
		return 0;
	struct number a, b, r;
	if (lq_to_number(vm, &c->in, &a) != 0 || lq_to_number(vm, &c->arg[0], &b) != 0 ||
		lq_arith(vm, op, &a, &b, &r) != 0)
		return -1;
	return lq_from_number(vm, &r, out);
}

static int filter_plus(struct vm *vm, const struct call *c, struct value *out)
{
	return arith(vm, c, '+', out);
}

static int filter_minus(struct vm *vm, const struct call *c, struct value *out)
{
	return arith(vm, c, '-', out);
}

static int filter_times(struct vm *vm, const struct call *c, struct value *out)
{
	return arith(vm, c, '*', out);
}

static int filter_divided_by(struct vm *vm, const struct call *c, struct value *out)
{
	return arith(vm, c, '/', out);
}

static int filter_modulo(struct vm *vm, const struct call *c, struct value *out)
{
	return arith(vm, c, '%', out);
}

static int filter_abs(struct vm *vm, const struct call *c, struct value *out)
{
	struct number a, zero, r;
	struct value none = v_int(0);
	if (lq_to_number(vm, &c->in, &a) != 0 || lq_to_number(vm, &none, &zero) != 0)
		return -1;
	if (lq_number_compare(vm, &a, &zero) < 0) {
		if (lq_arith(vm, '-', &zero, &a, &r) != 0)
			return -1;
		a = r;
	}
	return lq_from_number(vm, &a, out);
}

static int bound(struct vm *vm, const struct call *c, int wanted, struct value *out)
{
	struct number a, b;
	if (lq_to_number(vm, &c->in, &a) != 0 || lq_to_number(vm, &c->arg[0], &b) != 0)
		return -1;
	return lq_from_number(vm, lq_number_compare(vm, &b, &a) == wanted ? &b : &a, out);
}

static int filter_at_least(struct vm *vm, const struct call *c, struct value *out)
{
	return bound(vm, c, 1, out);
}

static int filter_at_most(struct vm *vm, const struct call *c, struct value *out)
{
	return bound(vm, c, -1, out);
}

static int to_whole(struct vm *vm, const struct number *x, enum rounding how, struct value *out)
{
	struct number r, one, whole;
	struct value v = v_int(1);
	if (lq_number_round(vm, x, 0, how, &r) != 0 || lq_to_number(vm, &v, &one) != 0)
		return -1;
	if (r.exp != 0) {
		/* A decimal such as 12e3: written out. */
		one.integer = false;
		if (lq_arith(vm, '+', &r, &one, &whole) != 0 || lq_arith(vm, '-', &whole, &one, &r) != 0)
			return -1;
	}
	r.integer = true;
	return lq_from_number(vm, &r, out);
}

static int filter_ceil(struct vm *vm, const struct call *c, struct value *out)
{
	struct number a;
	return lq_to_number(vm, &c->in, &a) == 0 ? to_whole(vm, &a, ROUND_CEIL, out) : -1;
}

static int filter_floor(struct vm *vm, const struct call *c, struct value *out)
{
	struct number a;
	return lq_to_number(vm, &c->in, &a) == 0 ? to_whole(vm, &a, ROUND_FLOOR, out) : -1;
}

static int filter_round(struct vm *vm, const struct call *c, struct value *out)
{
	struct number a, n, r;
	struct value digits = v_int(0);
	if (lq_to_number(vm, &c->in, &a) != 0)
		return -1;
	if (c->n > 0 &&
		(lq_to_number(vm, &c->arg[0], &n) != 0 || to_whole(vm, &n, ROUND_FLOOR, &digits) != 0))
		return -1;
	int64_t d = lq_to_i(vm, &digits);
	if (d == 0)
		return to_whole(vm, &a, ROUND_HALF_UP, out);
	if (d > 10000)
		d = 10000;
	if (d < -10000)
		d = -10000;
	if (lq_number_round(vm, &a, d, ROUND_HALF_UP, &r) != 0)
		return -1;
	return !a.integer && d < 0 ? to_whole(vm, &r, ROUND_HALF_UP, out) : lq_from_number(vm, &r, out);
}

const struct filter lq_filters_number[] = {
	{"plus", filter_plus, 1, 1, 0},
	{"minus", filter_minus, 1, 1, 0},
	{"times", filter_times, 1, 1, 0},
	{"divided_by", filter_divided_by, 1, 1, 0},
	{"modulo", filter_modulo, 1, 1, 0},
	{"abs", filter_abs, 0, 0, 0},
	{"at_least", filter_at_least, 1, 1, 0},
	{"at_most", filter_at_most, 1, 1, 0},
	{"ceil", filter_ceil, 0, 0, 0},
	{"floor", filter_floor, 0, 0, 0},
	{"round", filter_round, 0, 1, 0},
	{NULL, NULL, 0, 0, 0},
};
