/* Liquid: compiled once to a compact program, rendered many times. The language is Shopify's, strict; the e-mail
 * profile (escaping by part, limits, no include) is on unless `plain`.
 *
 * A compiled template is immutable and shared by threads. Rendering allocates only from the arena it is given. */
#ifndef TEMPLATES_LIQUID_H
#define TEMPLATES_LIQUID_H

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"

#include <jansson.h>

struct liquid;       /* one compiled template with the partials it renders */
struct liquid_names; /* names interned over all templates of a message: slots */

enum liquid_escape {
	LIQUID_PLAIN, /* values as they are */
	LIQUID_HTML,  /* values are escaped unless `| raw` */
	LIQUID_HEADER, /* CR, LF and NUL in a value become a blank */
};

struct liquid_options {
	bool plain;                /* the bare language: no profile, include allowed */
	enum liquid_escape escape;
	const struct zone *zone;
	const char *path;          /* for errors */
	long first_line;           /* line of the source's first line in that file; 0: 1 */
	/* Reads a partial (render, include). NULL: no partials. */
	int (*read)(void *ctx, const char *name, struct buf *out, struct err *e);
	void *ctx;
};

struct liquid_names *liquid_names_new(void);
void liquid_names_free(struct liquid_names **n);
size_t liquid_names_count(const struct liquid_names *n);
struct str liquid_name(const struct liquid_names *n, size_t i);

struct liquid *liquid_compile(struct str source, const struct liquid_options *o, struct liquid_names *names, struct err *e);
void liquid_free(struct liquid **l);

struct liquid_vars {
	const struct str *slots;   /* liquid_names_count() values: contact attributes, as text */
	struct str (*lookup)(void *ctx, struct str name);
	void *ctx;
	json_t *data;              /* `render --data`, suites: nested values; looked at when the slots do not have it. NULL: none */
	ms_t now;
};

/* Appends to `out` (in the arena's memory: out grows by arena_grow). ERR_DATA with file, line, column. */
int liquid_render(const struct liquid *l, const struct liquid_vars *v, struct arena *a, struct buf *out, struct err *e);

#endif
