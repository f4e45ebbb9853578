/* Arenas: memory that is given back all at once.
 *
 * One arena for one message, request or batch; what lives in it needs no free. arena_reset() keeps the first
 * chunk, so a message costs no malloc once its arena is warm. Under the address sanitizer unused bytes are
 * poisoned. An arena has a ceiling; passing it, or running out of memory, returns NULL and sets `failed`;
 * `starved` tells the one from the other. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "src/base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *head; /* the chunk in use */
	char *at, *end;
	size_t first;         /* size of the first chunk */
	size_t total, max;    /* bytes held in chunks, and their ceiling */
	bool failed, starved; /* starved: memory was refused, not the ceiling passed */
};

void arena_init(struct arena *a, size_t first_chunk, size_t max);
void arena_release(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t n); /* aligned for any type, not zeroed */
void *arena_zalloc(struct arena *a, size_t n);
char *arena_bytes(struct arena *a, size_t n);        /* not aligned: for text */
struct str arena_str(struct arena *a, struct str s); /* copy, with a NUL behind it */
char *arena_strdup(struct arena *a, const char *z);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The pieces, one behind the other: ARENA_JOIN(a, STR("<"), id, STR(">")). */
struct str arena_join(struct arena *a, const struct str *pieces, size_t n);
#define ARENA_JOIN(a, ...)                                                                                   \
	arena_join((a), (const struct str[]){__VA_ARGS__},                                                   \
		sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
/* Grows the newest text allocation in place where possible; otherwise moves it. */
char *arena_grow(struct arena *a, char *p, size_t old_n, size_t new_n);

#endif
