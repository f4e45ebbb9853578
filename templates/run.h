/* Growing runs of bytes in an arena: what a message is written into.
 *
 * Not terminated. Growing copies only when something else was taken from the arena in between. Where the
 * arena is full or memory has run out, `failed` is set and further writing does nothing, so a series of
 * writes is checked once, at the end. */
#ifndef TEMPLATES_RUN_H
#define TEMPLATES_RUN_H

#include "src/base/arena.h"

struct run {
	struct arena *a;
	char *p;
	size_t n, cap;
	bool failed;
};

#define RUN_INIT(arena) ((struct run){.a = (arena), .p = (char *)""})

bool run_grow(struct run *r, size_t more);
void run_printf(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for `more` bytes at r->p + r->n. */
static inline bool run_reserve(struct run *r, size_t more)
{
	return r->cap - r->n >= more || run_grow(r, more);
}

static inline void run_add(struct run *r, const void *p, size_t n)
{
	if (n == 0 || !run_reserve(r, n))
		return;
	memcpy(r->p + r->n, p, n);
	r->n += n;
}

static inline void run_str(struct run *r, struct str s)
{
	run_add(r, s.p, s.n);
}

static inline void run_puts(struct run *r, const char *z)
{
	run_add(r, z, strlen(z));
}

static inline void run_putc(struct run *r, char c)
{
	if (!run_reserve(r, 1))
		return;
	r->p[r->n++] = c;
}

static inline struct str run_get(const struct run *r)
{
	return (struct str){r->p, r->n};
}

#endif
