#include "engine/check_private.h"

#include <stdarg.h>
#include <stdio.h>

void check_table_init(struct check_table *t)
{
	t->n = 0;
	arena_init(&t->arena, 4096, 16 << 20);
}

void check_table_release(struct check_table *t)
{
	arena_release(&t->arena);
}

static struct check_entry *find(struct check_table *t, const char *id, struct str place)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i].id, id) == 0 && str_eq(t->v[i].place, place))
			return &t->v[i];
	return NULL;
}

static void take_first(struct check_table *t, struct check_entry *to, const struct check_entry *from)
{
	to->number = from->number;
	to->first = arena_str(&t->arena, from->first);
	to->where = arena_str(&t->arena, from->where);
	to->text = arena_str(&t->arena, from->text);
}

static void put(struct check_table *t, const struct check_entry *e)
{
	struct check_entry *old = find(t, e->id, e->place);
	if (old != NULL) {
		old->recipients += e->recipients;
		old->read += e->read;
		if (e->number < old->number)
			take_first(t, old, e);
		return;
	}
	if (t->n == CHECK_FINDINGS)
		return;
	struct check_entry *n = &t->v[t->n++];
	*n = *e;
	n->place = arena_str(&t->arena, e->place);
	n->remedy = arena_str(&t->arena, e->remedy);
	take_first(t, n, e);
}

void check_add(struct check_table *t, const struct check_entry *e, const struct check_who *who, bool read)
{
	struct check_entry one = *e;
	one.read = read;
	if (who != NULL) {
		one.recipients = !read;
		one.number = who->number;
		one.first = who->address;
	}
	put(t, &one);
}

void check_addf(struct check_table *t, const char *id, enum lint_severity severity, struct str where,
	const struct check_who *who, bool read, const char *remedy, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	struct check_entry e = {.id = id,
		.severity = severity,
		.place = where,
		.where = where,
		.text = str_from(text),
		.remedy = str_from(remedy)};
	check_add(t, &e, who, read);
}

void check_table_merge(struct check_table *into, const struct check_table *from)
{
	for (size_t i = 0; i < from->n; i++)
		put(into, &from->v[i]);
}
