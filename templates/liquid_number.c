/* Integers without a limit and exact decimals, as the reference computes: a float takes part as the decimal
 * that its shortest text names, so 0.1 + 0.2 is 0.3. */
#include "templates/liquid_big.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIVISION_DIGITS = 40 };

/* Both as integers of the same exponent. */
static int align(struct vm *vm, const struct number *a, const struct number *b, const struct big **x,
	const struct big **y)
{
	int32_t e = a->exp < b->exp ? a->exp : b->exp;
	*x = a->exp > e ? lq_big_shift(vm, a->c, (int64_t)a->exp - e) : a->c;
	*y = b->exp > e ? lq_big_shift(vm, b->c, (int64_t)b->exp - e) : b->c;
	return *x != NULL && *y != NULL ? e : INT32_MIN;
}

static int divide(struct vm *vm, const struct number *a, const struct number *b, struct number *out)
{
	struct big *q, *r;
	if (out->integer) {
		if (lq_big_divmod(vm, a->c, b->c, &q, &r) != 0)
			return -1;
		out->c = q;
		return 0;
	}
	int64_t k = DIVISION_DIGITS - lq_big_ndigits(a->c) + lq_big_ndigits(b->c);
	const struct big *x = k > 0 ? lq_big_shift(vm, a->c, k) : a->c;
	if (x == NULL || lq_mag_divmod(vm, x, b->c, &q, &r) != 0)
		return -1;
	q->neg = a->c->neg != b->c->neg;
	out->c = q;
	out->exp = a->exp - b->exp - (k > 0 ? (int32_t)k : 0);
	return 0;
}

int lq_arith(struct vm *vm, char op, const struct number *a, const struct number *b, struct number *out)
{
	const struct big *x, *y;
	struct big *q, *r;
	*out = (struct number){.integer = a->integer && b->integer};
	if ((op == '/' || op == '%') && b->c->n == 0)
		return lq_fail(vm, "divided by 0");
	if (op == '*') {
		r = lq_mag_mul(vm, a->c, b->c);
		if (r == NULL)
			return -1;
		r->neg = a->c->neg != b->c->neg && (r->n != 0 || !out->integer);
		out->c = r;
		out->exp = a->exp + b->exp;
		return 0;
	}
	if (op == '/')
		return divide(vm, a, b, out);
	out->exp = align(vm, a, b, &x, &y);
	if (out->exp == INT32_MIN)
		return -1;
	if (op == '%') {
		if (lq_big_divmod(vm, x, y, &q, &r) != 0)
			return -1;
		out->c = r;
		return 0;
	}
	out->c = lq_big_add(vm, x, y, op == '-');
	return out->c != NULL ? 0 : -1;
}

int lq_number_compare(struct vm *vm, const struct number *a, const struct number *b)
{
	const struct big *x, *y;
	if (align(vm, a, b, &x, &y) == INT32_MIN)
		return 2;
	bool an = x->neg && x->n != 0, bn = y->neg && y->n != 0;
	if (an != bn)
		return an ? -1 : 1;
	int c = lq_mag_cmp(x, y);
	return an ? -c : c;
}

int lq_number_round(
	struct vm *vm, const struct number *x, int64_t digits, enum rounding how, struct number *out)
{
	*out = *x;
	if (-(int64_t)x->exp <= digits)
		return 0;
	int64_t k = -digits - x->exp;
	if (k > lq_big_ndigits(x->c) + 1)
		k = lq_big_ndigits(x->c) + 1;
	struct big *p = lq_big_pow10(vm, k), *q, *r;
	if (p == NULL || lq_mag_divmod(vm, x->c, p, &q, &r) != 0)
		return -1;
	bool up = false;
	if (how == ROUND_HALF_UP) {
		struct big *twice = lq_mag_scale(vm, r, 2);
		if (twice == NULL)
			return -1;
		lq_big_trim(twice);
		up = lq_mag_cmp(twice, p) >= 0;
	} else {
		up = r->n != 0 && (how == ROUND_FLOOR) == x->c->neg;
	}
	struct big *one = lq_big_from(vm, 1);
	if (up && one != NULL)
		q = lq_mag_add(vm, q, one);
	if (one == NULL || q == NULL)
		return -1;
	q->neg = x->c->neg;
	out->exp = (int32_t)-digits;
	out->c = q;
	if (x->integer) {
		out->c = q->n != 0 ? lq_big_shift(vm, q, -digits) : q;
		out->exp = 0;
	}
	return out->c != NULL ? 0 : -1;
}

struct str lq_number_fixed(struct vm *vm, const struct number *x, int digits)
{
	struct number r;
	if (lq_number_round(vm, x, digits, ROUND_HALF_UP, &r) != 0)
		return STR("");
	const struct big *c = r.exp > -digits ? lq_big_shift(vm, r.c, (int64_t)r.exp + digits) : r.c;
	if (c == NULL)
		return STR("");
	char *d = arena_bytes(vm->a, (size_t)c->n * 9 + 64);
	if (d == NULL) {
		lq_nomem(vm);
		return STR("");
	}
	size_t n = lq_big_write(c, d + 32);
	char *p = d + 32;
	while (n <= (size_t)digits) {
		*--p = '0';
		n++;
	}
	if (digits > 0) {
		memmove(p + n - (size_t)digits + 1, p + n - (size_t)digits, (size_t)digits);
		p[n - (size_t)digits] = '.';
		n++;
	}
	if (c->neg && c->n != 0) {
		*--p = '-';
		n++;
	}
	return str_n(p, n);
}

size_t lq_float_text(double f, char out[40])
{
	if (!isfinite(f))
		return (size_t)snprintf(out, 40, "%s", isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
	char b[40];
	int digits = 15;
	do
		snprintf(b, sizeof b, "%.*e", digits++ - 1, f);
	while (digits <= 17 && strtod(b, NULL) != f);
	bool neg = b[0] == '-';
	char d[24];
	int n = 0;
	const char *p = b + neg;
	for (; *p != '\0' && *p != 'e'; p++)
		if (*p != '.')
			d[n++] = *p;
	int point = atoi(p + 1) + 1;
	while (n > 1 && d[n - 1] == '0')
		n--;
	char *o = out;
	if (neg)
		*o++ = '-';
	if (f == 0)
		point = 1;
	if (point > 16 || point <= -4) {
		o += sprintf(o, "%c.%.*se%+03d", d[0], n > 1 ? n - 1 : 1, n > 1 ? d + 1 : "0", point - 1);
	} else if (point <= 0) {
		o += sprintf(o, "0.%.*s%.*s", -point, "0000", n, d);
	} else {
		for (int i = 0; i < point; i++)
			*o++ = i < n ? d[i] : '0';
		o += sprintf(o, ".%.*s", n > point ? n - point : 1, n > point ? d + point : "0");
	}
	return (size_t)(o - out);
}

/* [-]digits[.digits][e[+-]digits], already checked. */
static int from_text(struct vm *vm, struct str s, struct number *out)
{
	char *d = arena_bytes(vm->a, s.n + 1);
	if (d == NULL)
		return lq_nomem(vm);
	size_t n = 0, i = 0;
	bool neg = s.n > 0 && s.p[0] == '-';
	int32_t exp = 0;
	bool fraction = false;
	for (i = neg; i < s.n && s.p[i] != 'e'; i++) {
		if (s.p[i] == '.') {
			fraction = true;
			continue;
		}
		d[n++] = s.p[i];
		exp -= fraction;
	}
	if (i < s.n) {
		char e[8] = "";
		size_t m = s.n - i - 1 < sizeof e - 1 ? s.n - i - 1 : sizeof e - 1;
		memcpy(e, s.p + i + 1, m);
		exp += atoi(e);
	}
	struct big *c = lq_big_digits(vm, str_n(d, n));
	if (c == NULL)
		return -1;
	c->neg = neg;
	*out = (struct number){.exp = exp, .c = c};
	return 0;
}

static bool is_decimal(struct str s)
{
	size_t i = s.n > 0 && s.p[0] == '-', from = i;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	if (i == from || i >= s.n || s.p[i] != '.')
		return false;
	for (from = ++i; i < s.n && s.p[i] >= '0' && s.p[i] <= '9';)
		i++;
	return i > from && i == s.n;
}

bool lq_looks_number(struct str s)
{
	s = str_trim(s);
	if (is_decimal(s))
		return true;
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'), from = i;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i > from && i == s.n;
}

/* The integer that text begins with, as Ruby's to_i: underscores between digits. */
static struct str leading_digits(struct arena *a, struct str s, bool *neg)
{
	s = str_trim(s);
	size_t i = 0, n = 0;
	*neg = s.n > 0 && s.p[0] == '-';
	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		i++;
	char *d = arena_bytes(a, s.n + 1);
	if (d == NULL)
		return STR("");
	for (; i < s.n; i++) {
		if (s.p[i] >= '0' && s.p[i] <= '9')
			d[n++] = s.p[i];
		else if (s.p[i] != '_' || n == 0 || s.p[i - 1] == '_')
			break;
	}
	return str_n(d, n);
}

static int from_integer_text(struct vm *vm, struct str s, struct number *out)
{
	bool neg;
	struct str d = leading_digits(vm->a, s, &neg);
	struct big *c = lq_big_digits(vm, d);
	if (c == NULL)
		return -1;
	c->neg = neg && c->n != 0;
	*out = (struct number){.integer = true, .c = c};
	return 0;
}

int lq_to_number(struct vm *vm, const struct value *v, struct number *out)
{
	char b[40];
	switch (v->type) {
	case V_INT:
		*out = (struct number){.integer = true, .c = lq_big_from(vm, v->i)};
		return out->c != NULL ? 0 : -1;
	case V_BIG:
		*out = (struct number){.integer = true, .c = v->big};
		return 0;
	case V_FLOAT:
		if (!isfinite(v->f))
			return lq_fail(vm, "Computation results in '%.*s'%s", (int)lq_float_text(v->f, b), b,
				isnan(v->f) ? " (Not a Number)" : "");
		return from_text(vm, str_n(b, lq_float_text(v->f, b)), out);
	case V_STR:
		if (is_decimal(str_trim(v_bytes(v))))
			return from_text(vm, str_trim(v_bytes(v)), out);
		return from_integer_text(vm, v_bytes(v), out);
	default:
		*out = (struct number){.integer = true, .c = lq_big_from(vm, 0)};
		return out->c != NULL ? 0 : -1;
	}
}

int lq_from_number(struct vm *vm, const struct number *n, struct value *out)
{
	int64_t i;
	if (n->integer) {
		*out = lq_big_fits(n->c, &i) ? v_int(i) : (struct value){.type = V_BIG, .big = n->c};
		return 0;
	}
	char *p = arena_bytes(vm->a, (size_t)n->c->n * 9 + 40);
	if (p == NULL)
		return lq_nomem(vm);
	size_t k = 0;
	if (n->c->neg)
		p[k++] = '-';
	k += lq_big_write(n->c, p + k);
	snprintf(p + k, 16, "e%d", n->exp);
	*out = v_float(strtod(p, NULL));
	return 0;
}

struct value lq_parse_integer(struct arena *a, struct str digits)
{
	long long i;
	if (str_int(digits, INT64_MIN, INT64_MAX, &i))
		return v_int(i);
	struct vm vm = {.a = a};
	struct number n;
	struct value v = v_int(0);
	if (from_integer_text(&vm, digits, &n) == 0)
		lq_from_number(&vm, &n, &v);
	return v;
}

int64_t lq_to_i(struct vm *vm, const struct value *v)
{
	struct number n;
	int64_t i;
	switch (v->type) {
	case V_INT:
		return v->i;
	case V_FLOAT:
		return v->f >= 9.2e18    ? INT64_MAX
		       : v->f <= -9.2e18 ? INT64_MIN
		       : isnan(v->f)     ? 0
					 : (int64_t)v->f;
	case V_BIG:
	case V_STR:
		if (v->type == V_STR && from_integer_text(vm, v_bytes(v), &n) != 0)
			return 0;
		if (v->type == V_BIG)
			n.c = v->big;
		return lq_big_fits(n.c, &i) ? i : n.c->neg ? INT64_MIN : INT64_MAX;
	default:
		return 0;
	}
}

/* Ruby's Integer(text): sign, 0x 0b 0o or 0 before the digits, underscores between digits. */
static bool strict_integer(struct str s, int64_t *out)
{
	s = str_trim(s);
	size_t i = 0;
	bool neg = s.n > 0 && s.p[0] == '-';
	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		i++;
	unsigned base = 10;
	if (i + 1 < s.n && s.p[i] == '0') {
		char c = (char)(s.p[i + 1] | 0x20);
		base = c == 'x' ? 16 : c == 'b' ? 2 : c == 'd' ? 10 : 8;
		i += c == 'x' || c == 'b' || c == 'o' || c == 'd' ? 2 : 1;
		if (i < s.n && s.p[i] == '_' && base == 8)
			i++;
	}
	if (i >= s.n)
		return false;
	int64_t v = 0;
	bool over = false;
	for (size_t from = i; i < s.n; i++) {
		char c = s.p[i];
		if (c == '_' && i > from && i + 1 < s.n && s.p[i - 1] != '_')
			continue;
		unsigned d = c >= '0' && c <= '9'                     ? (unsigned)(c - '0')
			     : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10)
								      : 99;
		if (d >= base)
			return false;
		over |= __builtin_mul_overflow(v, (int64_t)base, &v) ||
			__builtin_sub_overflow(v, (int64_t)d, &v);
	}
	*out = over ? (neg ? INT64_MIN : INT64_MAX) : neg ? v : v == INT64_MIN ? INT64_MAX : -v;
	return true;
}

int lq_to_integer(struct vm *vm, const struct value *v, int64_t *out)
{
	switch (v->type) {
	case V_INT:
		*out = v->i;
		return 0;
	case V_BIG:
		*out = lq_to_i(vm, v);
		return 0;
	case V_STR:
		if (strict_integer(v_bytes(v), out))
			return 0;
		break;
	default:
		break;
	}
	return lq_fail(vm, "invalid integer");
}
