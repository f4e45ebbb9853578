/* Liquid inside other languages: each tag, value, comment or raw block of a source is hidden behind one
 * character, so that Markdown and the HTML tools pass it through as a letter, and is put back when they are
 * done.
 *
 * The characters are those of the private planes 15 and 16; such a character that stands in the source itself
 * is hidden as well. Each span remembers where it came from, so that an error in the finished source can be
 * told as file, line and column of the file the person wrote. */
#ifndef TEMPLATES_OPAQUE_H
#define TEMPLATES_OPAQUE_H

#include "src/base/err.h"
#include "templates/run.h"

enum opaque_kind {
	OPAQUE_VALUE,  /* {{ … }} */
	OPAQUE_OPEN,   /* {% if %}, {% for %} … */
	OPAQUE_MIDDLE, /* {% else %}, {% elsif %}, {% when %} */
	OPAQUE_CLOSE,  /* {% endif %} … */
	OPAQUE_SILENT, /* assign, comments: write nothing */
	OPAQUE_OTHER,  /* render, cycle, raw blocks …: write something */
};

struct opaque_file {
	const char *path;
	struct str text; /* whole: to show a line of it */
};

struct opaque_span {
	enum opaque_kind kind;
	struct str text;
	const struct opaque_file *file;
	long line, column; /* from 1; column in characters */
};

struct opaque {
	struct arena *a;
	struct opaque_span *spans;
	size_t n, cap;
};

/* A finished source and where its spans stand in it. */
struct opaque_map {
	struct str source;
	const struct opaque *o;
	size_t *offsets, *spans;
	size_t n;
};

#define OPAQUE_LEN 4 /* bytes of the character */

/* Appends `text`, spans hidden. It begins in `line` of the file. ERR_DATA: a tag that does not end, too many.
 */
int opaque_hide(struct opaque *o, struct str text, const struct opaque_file *file, long line, struct run *out,
	struct err *e);
/* Hides a piece of Liquid that stands in no file. False: no memory. */
bool opaque_add(struct opaque *o, struct str liquid, struct run *out);
/* Is a span hidden at s.p[i]? */
const struct opaque_span *opaque_at(const struct opaque *o, struct str s, size_t i);
bool opaque_in(struct str s); /* is there any in it? */
/* Puts everything back. Source and map are in o's arena. False: no memory. */
bool opaque_show(const struct opaque *o, struct str hidden, struct opaque_map *out);
/* The span's first word: "if", "endfor", or the name in {{ name | … }}. */
struct str opaque_word(const struct opaque_span *s);
/* Turns an error at line and column of the map's source into one of the file it came from. */
void opaque_locate(const struct opaque_map *m, struct err *e);

#endif
