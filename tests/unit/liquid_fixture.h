/* Templates in tables: template, data, what comes out; or the error and its place. */
#ifndef TESTS_LIQUID_FIXTURE_H
#define TESTS_LIQUID_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "templates/liquid.h"

#include <stdio.h>
#include <stdlib.h>

struct liquid_case {
	const char *template, *data, *result; /* result NULL: an error */
	const char *error;                    /* "LINE:COLUMN text", the beginning */
};

static const char *const liquid_parts[][2] = {
	{"card", "<{{ card }}|{{ a }}|{{ forloop.index }}>"},
	{"sets", "{% assign inner = 1 %}{{ outer }}{% increment n %}"},
	{"stop", "{% break %}never"},
	{"deep", "{% render 'deep' %}"},
	{"self", "{% include 'self' %}"},
	{"bad", "one\n{{ | }}"},
	{"dir/leaf", "({{ leaf }})"},
	{"names", "{{ given }}{{ wanted }}"},
};

static int liquid_read_part(void *ctx, const char *name, struct buf *out, struct err *e)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof liquid_parts / sizeof *liquid_parts; i++)
		if (strcmp(liquid_parts[i][0], name) == 0) {
			buf_puts(out, liquid_parts[i][1]);
			return 0;
		}
	return err_set(e, ERR_NOINPUT, "template", "No such template '%s'", name);
}

/* The text in `a`, or NULL with the error. */
static inline const char *liquid_text(
	const char *source, const char *data, const struct liquid_options *o, struct arena *a, struct err *e)
{
	struct liquid_names *names = liquid_names_new();
	struct liquid_result r = {0};
	struct liquid_options own = *o;
	own.read = liquid_read_part;
	json_t *j = data != NULL ? json_loads(data, 0, NULL) : NULL;
	if (data != NULL)
		assert_non_null(j);
	struct liquid *l = liquid_compile(str_from(source), &own, names, e);
	struct liquid_vars v = {.data = j, .now = INT64_C(1773500400000)}; /* 2026-03-14T15:00:00Z */
	const char *out = NULL;
	if (l != NULL && liquid_render(l, &v, NULL, a, &r, e) == 0)
		out = r.aborted ? arena_printf(a, "ABORTED %.*s", STR_ARG(r.reason)).p : r.text.p;
	liquid_free(&l);
	/* Values may point into the data, the text does not. */
	json_decref(j);
	liquid_names_free(&names);
	return out;
}

static inline void liquid_check(const struct liquid_case *c, size_t n, const struct liquid_options *o)
{
	size_t wrong = 0;
	for (size_t i = 0; i < n; i++) {
		struct arena a;
		struct err e = {0};
		char place[600];
		arena_init(&a, 4096, 64 << 20);
		const char *text = liquid_text(c[i].template, c[i].data, o, &a, &e);
		snprintf(place, sizeof place, "%ld:%ld %s", e.line, e.column, e.why);
		bool ok = c[i].result != NULL
				  ? text != NULL && strcmp(text, c[i].result) == 0
				  : text == NULL && strncmp(place, c[i].error, strlen(c[i].error)) == 0;
		if (!ok) {
			print_error("%s\n  wanted %s\n  got    %s\n", c[i].template,
				c[i].result != NULL ? c[i].result : c[i].error, text != NULL ? text : place);
			wrong++;
		}
		arena_release(&a);
	}
	assert_int_equal(wrong, 0);
}

#define LIQUID_CHECK(cases, ...)                                                                             \
	liquid_check(cases, sizeof(cases) / sizeof *(cases), &(struct liquid_options){__VA_ARGS__})

#endif
