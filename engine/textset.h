/* A set of texts that are looked for together: one pass over a reply finds which of them occur in it, however
 * many there are (Aho and Corasick, 1975, as a table of next states). ASCII case is folded on both sides.
 *
 * Built once (add, add, …, build), then only read: threads may share it. */
#ifndef ENGINE_TEXTSET_H
#define ENGINE_TEXTSET_H

#include "src/base/str.h"

#include <stdint.h>

#define TEXTSET_MAX   4096  /* texts */
#define TEXTSET_BYTES 60000 /* of all texts together */

struct textset;

struct textset_hits {
	uint64_t bits[TEXTSET_MAX / 64];
};

struct textset *textset_new(void); /* NULL: out of memory */
void textset_free(struct textset **t);
/* The number of the text (the same for the same text), or -1: too many, too long, empty, or out of memory. */
int textset_add(struct textset *t, struct str text);
int textset_build(struct textset *t); /* -1: out of memory */
int textset_count(const struct textset *t);
/* Clears `hits` as far as this set reaches and marks the texts that occur in `s`. */
void textset_find(const struct textset *t, struct str s, struct textset_hits *hits);

static inline bool textset_hit(const struct textset_hits *h, int text)
{
	return (h->bits[text / 64] >> (text % 64) & 1) != 0;
}

#endif
