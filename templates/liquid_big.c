/* Integers without a limit in base 10^9, so that reading and writing them is cheap. */
#include "templates/liquid_big.h"

#include <stdio.h>

enum { BASE = 1000000000, MAX_LIMBS = 1200 };

static struct big *big_new(struct vm *vm, uint32_t n)
{
	if (n > MAX_LIMBS) {
		lq_fail(vm, "number is too large");
		return NULL;
	}
	struct big *b = arena_zalloc(vm->a, sizeof *b + n * sizeof b->limb[0]);
	if (b == NULL)
		lq_nomem(vm);
	else
		b->n = n;
	return b;
}

void lq_big_trim(struct big *b)
{
	while (b->n > 0 && b->limb[b->n - 1] == 0)
		b->n--;
}

struct big *lq_big_from(struct vm *vm, int64_t i)
{
	struct big *b = big_new(vm, 3);
	if (b == NULL)
		return NULL;
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	b->neg = i < 0;
	for (uint32_t k = 0; k < 3; k++, u /= BASE)
		b->limb[k] = (uint32_t)(u % BASE);
	lq_big_trim(b);
	return b;
}

/* Digits only. */
struct big *lq_big_digits(struct vm *vm, struct str d)
{
	struct big *b = big_new(vm, (uint32_t)(d.n < (size_t)MAX_LIMBS * 9 ? (d.n + 8) / 9 : MAX_LIMBS + 1));
	if (b == NULL)
		return NULL;
	for (uint32_t k = 0; k < b->n; k++) {
		size_t end = d.n - (size_t)k * 9, from = end > 9 ? end - 9 : 0;
		uint32_t v = 0;
		for (size_t i = from; i < end; i++)
			v = v * 10 + (uint32_t)(d.p[i] - '0');
		b->limb[k] = v;
	}
	lq_big_trim(b);
	return b;
}

int lq_mag_cmp(const struct big *a, const struct big *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = a->n; i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

struct big *lq_mag_add(struct vm *vm, const struct big *a, const struct big *b)
{
	if (a->n < b->n) {
		const struct big *t = a;
		a = b;
		b = t;
	}
	struct big *r = big_new(vm, a->n + 1);
	if (r == NULL)
		return NULL;
	uint32_t carry = 0;
	for (uint32_t i = 0; i < r->n; i++) {
		uint32_t v = carry + (i < a->n ? a->limb[i] : 0) + (i < b->n ? b->limb[i] : 0);
		carry = v >= BASE;
		r->limb[i] = v - (carry ? BASE : 0);
	}
	lq_big_trim(r);
	return r;
}

/* a >= b */
static struct big *mag_sub(struct vm *vm, const struct big *a, const struct big *b)
{
	struct big *r = big_new(vm, a->n);
	if (r == NULL)
		return NULL;
	int64_t borrow = 0;
	for (uint32_t i = 0; i < a->n; i++) {
		int64_t v = (int64_t)a->limb[i] - borrow - (i < b->n ? b->limb[i] : 0);
		borrow = v < 0;
		r->limb[i] = (uint32_t)(v + (borrow ? BASE : 0));
	}
	lq_big_trim(r);
	return r;
}

struct big *lq_mag_mul(struct vm *vm, const struct big *a, const struct big *b)
{
	struct big *r = big_new(vm, a->n + b->n);
	if (r == NULL)
		return NULL;
	for (uint32_t i = 0; i < a->n; i++) {
		uint64_t carry = 0;
		for (uint32_t j = 0; j < b->n || carry != 0; j++) {
			uint64_t v =
				r->limb[i + j] + carry + (j < b->n ? (uint64_t)a->limb[i] * b->limb[j] : 0);
			r->limb[i + j] = (uint32_t)(v % BASE);
			carry = v / BASE;
		}
	}
	lq_big_trim(r);
	return r;
}

static uint32_t div_small(struct big *a, uint32_t d)
{
	uint64_t rest = 0;
	for (uint32_t i = a->n; i-- > 0;) {
		uint64_t v = rest * BASE + a->limb[i];
		a->limb[i] = (uint32_t)(v / d);
		rest = v % d;
	}
	lq_big_trim(a);
	return (uint32_t)rest;
}

static struct big *big_copy(struct vm *vm, const struct big *a, uint32_t room)
{
	struct big *r = big_new(vm, a->n + room);
	if (r != NULL) {
		memcpy(r->limb, a->limb, a->n * sizeof a->limb[0]);
		r->neg = a->neg;
	}
	return r;
}

struct big *lq_mag_scale(struct vm *vm, const struct big *a, uint32_t factor)
{
	struct big *r = big_copy(vm, a, 1);
	if (r == NULL)
		return NULL;
	uint64_t carry = 0;
	for (uint32_t i = 0; i < r->n; i++) {
		uint64_t v = (uint64_t)r->limb[i] * factor + carry;
		r->limb[i] = (uint32_t)(v % BASE);
		carry = v / BASE;
	}
	return r;
}

/* Knuth's algorithm D in base 10^9; b is not 0. */
int lq_mag_divmod(
	struct vm *vm, const struct big *a, const struct big *b, struct big **q_out, struct big **r_out)
{
	if (lq_mag_cmp(a, b) < 0) {
		*q_out = big_new(vm, 0);
		*r_out = big_copy(vm, a, 0);
		return *q_out != NULL && *r_out != NULL ? 0 : -1;
	}
	if (b->n == 1) {
		struct big *q = big_copy(vm, a, 0);
		struct big *r = big_new(vm, 1);
		if (q == NULL || r == NULL)
			return -1;
		r->limb[0] = div_small(q, b->limb[0]);
		lq_big_trim(r);
		*q_out = q;
		*r_out = r;
		return 0;
	}
	uint32_t f = BASE / (b->limb[b->n - 1] + 1), n = b->n;
	struct big *u = lq_mag_scale(vm, a, f), *v = lq_mag_scale(vm, b, f);
	if (u == NULL || v == NULL)
		return -1;
	uint32_t m = a->n - n;
	struct big *q = big_new(vm, m + 1);
	if (q == NULL)
		return -1;
	for (uint32_t j = m + 1; j-- > 0;) {
		uint64_t top = (uint64_t)u->limb[j + n] * BASE + u->limb[j + n - 1];
		uint64_t qh = top / v->limb[n - 1], rh = top % v->limb[n - 1];
		while (qh >= BASE || qh * v->limb[n - 2] > rh * BASE + u->limb[j + n - 2]) {
			qh--;
			rh += v->limb[n - 1];
			if (rh >= BASE)
				break;
		}
		int64_t borrow = 0;
		uint64_t carry = 0;
		for (uint32_t i = 0; i <= n; i++) {
			uint64_t p = qh * (i < n ? v->limb[i] : 0) + carry;
			carry = p / BASE;
			int64_t t = (int64_t)u->limb[i + j] - borrow - (int64_t)(p % BASE);
			borrow = t < 0;
			u->limb[i + j] = (uint32_t)(t + (borrow ? BASE : 0));
		}
		if (borrow) {
			qh--;
			uint32_t c = 0;
			for (uint32_t i = 0; i <= n; i++) {
				uint32_t t = u->limb[i + j] + c + (i < n ? v->limb[i] : 0);
				c = t >= BASE;
				u->limb[i + j] = t - (c ? BASE : 0);
			}
		}
		q->limb[j] = (uint32_t)qh;
	}
	lq_big_trim(q);
	lq_big_trim(u);
	div_small(u, f);
	*q_out = q;
	*r_out = u;
	return 0;
}

struct big *lq_big_pow10(struct vm *vm, int64_t k)
{
	if (k / 9 >= MAX_LIMBS) {
		lq_fail(vm, "number is too large");
		return NULL;
	}
	struct big *b = big_new(vm, (uint32_t)(k / 9) + 1);
	if (b == NULL)
		return NULL;
	uint32_t v = 1;
	for (int64_t i = 0; i < k % 9; i++)
		v *= 10;
	b->limb[b->n - 1] = v;
	return b;
}

int64_t lq_big_ndigits(const struct big *b)
{
	if (b->n == 0)
		return 1;
	int64_t n = (int64_t)(b->n - 1) * 9;
	for (uint32_t v = b->limb[b->n - 1]; v != 0; v /= 10)
		n++;
	return n;
}

struct big *lq_big_shift(struct vm *vm, const struct big *a, int64_t k)
{
	struct big *p = lq_big_pow10(vm, k);
	struct big *r = p != NULL ? lq_mag_mul(vm, a, p) : NULL;
	if (r != NULL)
		r->neg = a->neg;
	return r;
}

struct big *lq_big_add(struct vm *vm, const struct big *a, const struct big *b, bool negate)
{
	bool bneg = b->neg != negate;
	struct big *r;
	if (a->neg == bneg) {
		r = lq_mag_add(vm, a, b);
		if (r != NULL)
			r->neg = a->neg && r->n != 0;
		return r;
	}
	int c = lq_mag_cmp(a, b);
	r = c >= 0 ? mag_sub(vm, a, b) : mag_sub(vm, b, a);
	if (r != NULL)
		r->neg = r->n != 0 && (c >= 0 ? a->neg : bneg);
	return r;
}

int lq_big_divmod(struct vm *vm, const struct big *a, const struct big *b, struct big **q, struct big **r)
{
	if (lq_mag_divmod(vm, a, b, q, r) != 0)
		return -1;
	if (a->neg != b->neg && (*r)->n != 0) {
		struct big *one = lq_big_from(vm, 1);
		*q = one != NULL ? lq_mag_add(vm, *q, one) : NULL;
		*r = mag_sub(vm, b, *r);
		if (*q == NULL || *r == NULL)
			return -1;
	}
	(*q)->neg = a->neg != b->neg && (*q)->n != 0;
	(*r)->neg = b->neg && (*r)->n != 0;
	return 0;
}

size_t lq_big_write(const struct big *b, char *p)
{
	size_t n = 0;
	if (b->n == 0)
		p[n++] = '0';
	for (uint32_t i = b->n; i-- > 0;)
		n += (size_t)snprintf(p + n, 12, i == b->n - 1 ? "%u" : "%09u", b->limb[i]);
	return n;
}

struct str lq_big_text(struct arena *a, const struct big *b)
{
	char *p = arena_bytes(a, (size_t)b->n * 9 + 16);
	if (p == NULL)
		return STR("");
	size_t n = 0;
	if (b->neg && b->n != 0)
		p[n++] = '-';
	n += lq_big_write(b, p + n);
	return str_n(p, n);
}

bool lq_big_fits(const struct big *b, int64_t *out)
{
	int64_t v = 0;
	for (uint32_t i = b->n; i-- > 0;) {
		if (__builtin_mul_overflow(v, (int64_t)BASE, &v) ||
			(b->neg ? __builtin_sub_overflow(v, (int64_t)b->limb[i], &v)
				: __builtin_add_overflow(v, (int64_t)b->limb[i], &v)))
			return false;
	}
	*out = v;
	return true;
}
