/* Liquid: compiled once to a compact program, rendered many times. The language is Shopify's, strict, as its
 * reference implementation 5.x behaves; the e-mail profile (below) is on unless `plain`.
 *
 * A compiled template is immutable and shared by threads. Rendering allocates only from the arena it is given
 * and does no I/O. Partials (render) are read while compiling. Errors are ERR_DATA with file, line and
 * column; `remedy` shows the source line.
 *
 * The profile: values are escaped by part; attributes are text, an empty one is nil, and text that is a
 * number compares with numbers as one; filters money, number, url_param_escape, md5, sha256; date takes a
 * locale as second argument; tag abort_message; the root names are visible inside render; no include; tight
 * limits. */
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
	LIQUID_PLAIN,  /* values as they are */
	LIQUID_HTML,   /* values are escaped unless `| raw` or already escaped */
	LIQUID_TEXT,   /* a text part: as they are, and filters that would write HTML leave them so */
	LIQUID_HEADER, /* the same, and CR, LF and NUL in a value become a blank */
};

struct liquid_options {
	bool plain; /* the bare language: no profile, include allowed */
	enum liquid_escape escape;
	const struct zone *zone; /* of dates; NULL: UTC */
	const char *locale; /* "en" (also NULL), "de", "fr", "es", "ja" …: of date names, numbers and money */
	unsigned long max_steps; /* how much work one render may be; 0: 2 million, plain 20 million */
	const char *path;        /* for errors */
	long first_line;         /* line of the source's first line in that file; 0: 1 */
	/* Reads a partial (render, include). NULL: no partials. */
	int (*read)(void *ctx, const char *name, struct buf *out, struct err *e);
	void *ctx;
	bool strict; /* plain only: as the reference's strict2, nothing may follow a value in case and when */
};

struct liquid_names *liquid_names_new(void); /* NULL: out of memory */
void liquid_names_free(struct liquid_names **n);
size_t liquid_names_count(const struct liquid_names *n);
struct str liquid_name(const struct liquid_names *n, size_t i);
/* Does `| default:` stand for it wherever a template uses it and it is empty? */
bool liquid_name_defaulted(const struct liquid_names *n, size_t i);

/* Adds the names that the template takes from outside (x, contact.x, contact["x"]; not those it assigns
 * itself) to `names`. Names and options' strings need not live on; `names` must, as long as the template. */
struct liquid *liquid_compile(
	struct str source, const struct liquid_options *o, struct liquid_names *names, struct err *e);
void liquid_free(struct liquid **l);
bool liquid_is_literal(const struct liquid *l); /* no tags or values: the same for everybody */

/* The template's runs of literal text, for whoever wants them encoded beforehand. */
size_t liquid_nliterals(const struct liquid *l);
struct str liquid_literal(const struct liquid *l, size_t i);

struct liquid_vars {
	/* liquid_names_count() values, as text; .p == NULL: not there. NULL: no slots at all. */
	const struct str *slots;
	/* contact[x] where x is only known while rendering; may be NULL. */
	struct str (*lookup)(void *ctx, struct str name);
	void *ctx;
	/* An object (`render --data`, suites): nested values; looked at when the slots do not have it. NULL:
	 * none. */
	json_t *data;
	ms_t now;
	/* An error while rendering becomes text ("Liquid error (line 1): …") and rendering goes on. Not for
	 * mail. */
	bool inline_errors;
};

/* Where output goes piece by piece. Pieces are never empty; a value's piece is escaped already and need not
 * end at a character. What a capture block collects does not pass here until it is written as a value. */
struct liquid_sink {
	void (*literal)(void *ctx, size_t i, struct str text); /* liquid_literal(l, i) */
	void (*value)(void *ctx, struct str text);
	void *ctx;
};

struct liquid_result {
	struct str text;   /* in the arena, a NUL behind it; only where no sink was given */
	bool aborted;      /* {% abort_message %}: this recipient is to be skipped; text is not whole */
	struct str reason; /* of the abort; in the arena */
};

/* `sink` NULL: gathers r->text. */
int liquid_render(const struct liquid *l, const struct liquid_vars *v, const struct liquid_sink *sink,
	struct arena *a, struct liquid_result *r, struct err *e);

#endif
