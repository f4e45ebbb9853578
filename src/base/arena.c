#include "src/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct arena_chunk {
	struct arena_chunk *prev;
	size_t size; /* of data */
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t first_chunk, size_t max)
{
	*a = (struct arena){.first = first_chunk < 256 ? 256 : first_chunk, .max = max};
}

static void chunk_free(struct arena_chunk *c)
{
	UNPOISON(c->data, c->size);
	free(c);
}

void arena_release(struct arena *a)
{
	while (a->head != NULL) {
		struct arena_chunk *prev = a->head->prev;
		chunk_free(a->head);
		a->head = prev;
	}
	arena_init(a, a->first, a->max);
}

void arena_reset(struct arena *a)
{
	a->failed = a->starved = false;
	if (a->head == NULL)
		return;
	while (a->head->prev != NULL) {
		struct arena_chunk *prev = a->head->prev;
		a->total -= a->head->size;
		chunk_free(a->head);
		a->head = prev;
	}
	a->at = a->head->data;
	a->end = a->at + a->head->size;
	POISON(a->at, a->head->size);
}

static bool arena_more(struct arena *a, size_t n)
{
	size_t size = a->first;
	while (size < n) {
		if (size > SIZE_MAX / 2)
			goto fail;
		size *= 2;
	}
	if (size > a->max || a->total > a->max - size) {
		/* The doubling may pass the ceiling where the request itself does not. */
		size = n;
		if (n > a->max || a->total > a->max - n)
			goto fail;
	}
	struct arena_chunk *c = malloc(sizeof *c + size);
	if (c == NULL) {
		a->starved = true;
		goto fail;
	}
	c->prev = a->head;
	c->size = size;
	a->head = c;
	a->total += size;
	a->at = c->data;
	a->end = a->at + size;
	POISON(a->at, size);
	return true;
fail:
	a->failed = true;
	return false;
}

char *arena_bytes(struct arena *a, size_t n)
{
	if (a->failed)
		return NULL;
	if ((size_t)(a->end - a->at) < n && !arena_more(a, n))
		return NULL;
	if (a->head == NULL && !arena_more(a, 1))
		return NULL;
	char *p = a->at;
	UNPOISON(p, n);
	a->at += n;
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	if (n > SIZE_MAX - align) {
		a->failed = true;
		return NULL;
	}
	if (a->head != NULL) {
		size_t pad = (size_t)(-(uintptr_t)a->at) & (align - 1);
		if ((size_t)(a->end - a->at) >= n + pad)
			a->at += pad;
		else if (!arena_more(a, n))
			return NULL;
	}
	return arena_bytes(a, n);
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);
	if (p != NULL)
		memset(p, 0, n);
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_bytes(a, s.n + 1);
	if (p == NULL)
		return (struct str){"", 0};
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){p, s.n};
}

char *arena_strdup(struct arena *a, const char *z)
{
	size_t n = strlen(z) + 1;
	char *p = arena_bytes(a, n);
	if (p != NULL)
		memcpy(p, z, n);
	return p;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	if ((size_t)n < sizeof small)
		return arena_str(a, (struct str){small, (size_t)n});
	char *p = arena_bytes(a, (size_t)n + 1);
	if (p == NULL)
		return (struct str){"", 0};
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (struct str){p, (size_t)n};
}

struct str arena_join(struct arena *a, const struct str *pieces, size_t n)
{
	size_t all = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		all += pieces[i].n;
	char *p = arena_bytes(a, all + 1);
	if (p == NULL)
		return (struct str){"", 0};
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].n != 0)
			memcpy(p + at, pieces[i].p, pieces[i].n);
		at += pieces[i].n;
	}
	p[all] = '\0';
	return (struct str){p, all};
}

char *arena_grow(struct arena *a, char *p, size_t old_n, size_t new_n)
{
	assert(new_n >= old_n);
	if (p != NULL && p + old_n == a->at && (size_t)(a->end - a->at) >= new_n - old_n) {
		UNPOISON(a->at, new_n - old_n);
		a->at += new_n - old_n;
		return p;
	}
	char *q = arena_bytes(a, new_n);
	if (q != NULL && old_n != 0)
		memcpy(q, p, old_n);
	return q;
}
