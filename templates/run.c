#include "templates/run.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

bool run_grow(struct run *r, size_t more)
{
	if (r->failed)
		return false;
	if (more > SIZE_MAX / 4 - r->cap) {
		r->failed = true;
		return false;
	}
	size_t cap = r->cap < 128 ? 128 : r->cap * 2;
	while (cap - r->n < more)
		cap *= 2;
	char *p = arena_grow(r->a, r->p, r->cap, cap);
	if (p == NULL) {
		r->failed = true;
		return false;
	}
	r->p = p;
	r->cap = cap;
	return true;
}

void run_printf(struct run *r, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof small)
		run_add(r, small, (size_t)n);
	else if (n >= 0 && run_reserve(r, (size_t)n + 1)) {
		vsnprintf(r->p + r->n, (size_t)n + 1, fmt, again);
		r->n += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}
