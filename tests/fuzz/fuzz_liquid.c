/* Template source and data: FLAGS (one byte), source, a line "---", JSON. Partials `a` and `b` exist; `self`
 * is the source again. */
#include "templates/liquid.h"

#include <stdint.h>
#include <stdlib.h>

static struct str source;

static int read_partial(void *ctx, const char *name, struct buf *out, struct err *e)
{
	(void)ctx;
	if (strcmp(name, "self") == 0)
		buf_str(out, source);
	else if (strcmp(name, "a") == 0)
		buf_puts(out, "{{ a }}{% assign x = a %}{% render 'b', a: x %}");
	else if (strcmp(name, "b") == 0)
		buf_puts(out, "{% for i in a %}{{ forloop.index }}{% break %}{% endfor %}{% increment n %}");
	else
		return err_set(e, ERR_NOINPUT, "template", "No such template '%s'", name);
	return 0;
}

static struct str lookup(void *ctx, struct str name)
{
	(void)ctx;
	return name;
}

static void discard_literal(void *ctx, size_t i, struct str text)
{
	(void)i;
	*(size_t *)ctx += text.n;
}

static void discard_value(void *ctx, struct str text)
{
	*(size_t *)ctx += text.n;
}

static void render(const struct liquid *l, const struct liquid_names *names, json_t *data, uint8_t flags)
{
	static const char *const texts[] = {
		"Ann <b>&\"'", "", "12", "-3.5", "2026-03-01T10:00:00Z", "a,b,c", "\r\nBcc: x\xff"};
	struct str slots[64];
	struct arena a;
	struct err e;
	struct liquid_result r;
	size_t total = 0;
	struct liquid_sink sink = {discard_literal, discard_value, &total};
	for (size_t i = 0; i < 64; i++)
		slots[i] = str_from(texts[i % 7]);
	struct liquid_vars v = {
		.slots = (flags & 8) != 0 && liquid_names_count(names) <= 64 ? slots : NULL,
		.lookup = lookup,
		.data = data,
		.now = INT64_C(1770000000123),
		.inline_errors = (flags & 16) != 0,
	};
	arena_init(&a, 4096, 32 << 20);
	liquid_render(l, &v, (flags & 32) != 0 ? &sink : NULL, &a, &r, &e);
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1)
		return 0;
	uint8_t flags = p[0];
	struct str all = str_n((const char *)p + 1, n - 1);
	const char *cut = memmem(all.p, all.n, "\n---\n", 5);
	source = cut != NULL ? str_n(all.p, (size_t)(cut - all.p)) : all;
	json_t *data = cut != NULL ? json_loadb(cut + 5, all.n - source.n - 5, JSON_ALLOW_NUL, NULL) : NULL;
	if (!json_is_object(data)) {
		json_decref(data);
		data = NULL;
	}
	struct liquid_names *names = liquid_names_new();
	struct liquid_options o = {
		.plain = (flags & 1) != 0,
		.escape = (enum liquid_escape)((flags >> 1) % 3),
		.read = read_partial,
		.strict = (flags & 64) != 0,
		.max_steps = 20000,
	};
	struct err e;
	struct liquid *l = liquid_compile(source, &o, names, &e);
	if (l != NULL)
		render(l, names, data, flags);
	liquid_free(&l);
	liquid_names_free(&names);
	json_decref(data);
	return 0;
}
