#include "engine/bounce/phrase.h"

#include "engine/textset.h"

#include <stdlib.h>

struct phrases {
	struct textset *set;
	uint32_t signs[TEXTSET_MAX];
};

struct phrases *phrases_new(const struct phrase *list, unsigned n)
{
	struct phrases *p = calloc(1, sizeof *p);
	if (p == NULL || (p->set = textset_new()) == NULL) {
		free(p);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		int id = textset_add(p->set, str_from(list[i].text));
		if (id < 0) {
			phrases_free(&p);
			return NULL;
		}
		p->signs[id] |= list[i].signs;
	}
	if (textset_build(p->set) != 0)
		phrases_free(&p);
	return p;
}

void phrases_free(struct phrases **p)
{
	if (*p == NULL)
		return;
	textset_free(&(*p)->set);
	free(*p);
	*p = NULL;
}

uint32_t phrases_in(const struct phrases *p, struct str s)
{
	struct textset_hits hits;
	textset_find(p->set, s, &hits);
	uint32_t signs = 0;
	int words = (textset_count(p->set) + 63) / 64;
	for (int w = 0; w < words; w++)
		for (uint64_t bits = hits.bits[w]; bits != 0; bits &= bits - 1)
			signs |= p->signs[w * 64 + __builtin_ctzll(bits)];
	return signs;
}
