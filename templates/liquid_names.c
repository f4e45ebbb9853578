#include "templates/liquid_private.h"

#include "src/base/hash.h"

#include <stdlib.h>

struct name {
	struct str text;
	uint32_t uses, defaulted; /* in templates; those where a default stands for what is empty */
};

struct liquid_names {
	struct arena arena;
	struct name *names;
	uint32_t n, cap;
	uint32_t *table; /* index + 1, open addressing */
	uint32_t size;   /* a power of two */
};

struct liquid_names *liquid_names_new(void)
{
	struct liquid_names *n = calloc(1, sizeof *n);
	if (n != NULL)
		arena_init(&n->arena, 1024, 64 << 20);
	return n;
}

void liquid_names_free(struct liquid_names **n)
{
	if (*n == NULL)
		return;
	arena_release(&(*n)->arena);
	free((*n)->names);
	free((*n)->table);
	free(*n);
	*n = NULL;
}

size_t liquid_names_count(const struct liquid_names *n)
{
	return n->n;
}

struct str liquid_name(const struct liquid_names *n, size_t i)
{
	return n->names[i].text;
}

bool liquid_name_defaulted(const struct liquid_names *n, size_t i)
{
	return n->names[i].uses != 0 && n->names[i].uses == n->names[i].defaulted;
}

void lq_name_used(struct liquid_names *n, uint32_t i)
{
	n->names[i].uses++;
}

void lq_name_defaulted(struct liquid_names *n, uint32_t i)
{
	n->names[i].defaulted++;
}

static uint32_t *place(const struct liquid_names *n, struct str name)
{
	uint32_t i = (uint32_t)hash64(name) & (n->size - 1);
	while (n->table[i] != 0 && !str_eq(n->names[n->table[i] - 1].text, name))
		i = (i + 1) & (n->size - 1);
	return &n->table[i];
}

static bool grow(struct liquid_names *n)
{
	uint32_t size = n->size == 0 ? 64 : n->size * 2;
	uint32_t *table = calloc(size, sizeof *table);
	struct name *names = realloc(n->names, size / 2 * sizeof *names);
	if (names != NULL)
		n->names = names;
	if (table == NULL || names == NULL || n->size > UINT32_MAX / 4) {
		free(table);
		return false;
	}
	free(n->table);
	n->table = table;
	n->size = size;
	n->cap = size / 2;
	for (uint32_t i = 0; i < n->n; i++)
		*place(n, n->names[i].text) = i + 1;
	return true;
}

uint32_t lq_interned(const struct liquid_names *n, struct str name)
{
	uint32_t at = n->size != 0 ? *place(n, name) : 0;
	return at != 0 ? at - 1 : NO_SLOT;
}

uint32_t lq_intern(struct liquid_names *n, struct str name)
{
	uint32_t found = lq_interned(n, name);
	if (found != NO_SLOT)
		return found;
	if (n->n == n->cap && !grow(n))
		return NO_SLOT;
	struct str copy = arena_str(&n->arena, name);
	if (n->arena.failed)
		return NO_SLOT;
	n->names[n->n] = (struct name){.text = copy};
	*place(n, copy) = n->n + 1;
	return n->n++;
}
