/* Any text as a --where expression: a tree of bounded depth, or an error with its column. */
#include "lists/segment.h"
#include "src/base/nearest.h"
#include "src/db/filter.h"
#include "src/db/lists.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

/* A dictionary that knows half of all names, so that both answers are met. */
int64_t store_attr_id(struct store *s, struct str name, bool create, struct err *e)
{
	(void)s, (void)create, (void)e;
	return name.n % 2;
}

int store_attrs_offer(struct store *s, struct nearest *near, struct err *e)
{
	(void)s, (void)e;
	nearest_offer(near, STR("first_name"));
	return 0;
}

static int depth(const struct filter *f)
{
	if (f == NULL)
		return 0;
	if (f->op == FILTER_AND || f->op == FILTER_OR)
		assert(f->a != NULL && f->b != NULL);
	if (f->op == FILTER_NOT)
		assert(f->a != NULL && f->b == NULL);
	if (f->op == FILTER_IN)
		assert(f->nvalues > 0);
	int a = depth(f->a), b = depth(f->b);
	return 1 + (a > b ? a : b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct filter *f;
	struct err e = {0};
	char *text = malloc(size + 1);
	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	arena_init(&a, 4096, 16 << 20);
	if (segment_parse(text, size % 3 == 0 ? NULL : (struct store *)text, clock_zone("UTC", NULL), &a, &f,
		    &e) == 0)
		assert(depth(f) < 1000);
	else
		assert(e.code == ERR_USAGE && e.why[0] != '\0');
	arena_release(&a);
	free(text);
	return 0;
}
