/* HTML as tokens with byte offsets into the source: WHATWG's tokenizer, without its error recovery across
 * tags. Nothing is built and nothing moves; tools copy the source and change it in place. Hidden Liquid
 * (opaque.h) is text outside tags, and an attribute without a name inside them. */
#ifndef TEMPLATES_HTML_TOKEN_H
#define TEMPLATES_HTML_TOKEN_H

#include "templates/run.h"

#include <stdint.h>

enum html_kind { HTML_TEXT, HTML_OPEN, HTML_CLOSE, HTML_OTHER /* comments, doctype */ };

struct html_token {
	enum html_kind kind;
	size_t from, to;  /* the token is source[from, to) */
	struct str name;  /* of a tag, as written */
	struct str attrs; /* what stands between name and ">" */
	bool raw;         /* text of style, script, title, textarea … */
};

struct html_lexer {
	struct str s;
	size_t at;
	struct str raw; /* the element whose text is raw */
};

struct html_attr {
	struct str name;  /* as written */
	struct str value; /* without quotes, entities as they are */
	size_t from, to;  /* within the source */
	char quote;       /* " or ' or 0 */
	bool has_value;
};

/* False: the end. */
bool html_next(struct html_lexer *x, struct html_token *t);
/* `at` starts at 0 and moves; false: no more. */
bool html_attr_next(struct str source, const struct html_token *t, size_t *at, struct html_attr *out);
bool html_attr_find(struct str source, const struct html_token *t, const char *name, struct html_attr *out);
/* br, img, hr …: no end tag. */
bool html_is_void(struct str name);
/* How many of `n` open elements, the outermost first, stay open where the start tag `next` comes: p, li, td …
 * may do without end tags (HTML 13.1.2.4). */
size_t html_stay_open(
	struct str next, size_t n, struct str (*open)(const void *ctx, size_t i), const void *ctx);

/* Where a reference stands: in addresses, &copy=1 is none (HTML 13.2.5.73). */
enum html_place { HTML_IN_TEXT, HTML_IN_ATTR };
/* The character reference at s.p[i] ("&amp;", "&#169;", "&nbsp"). Its length, 0: none; writes the character.
 */
size_t html_reference(struct str s, size_t i, enum html_place where, uint32_t *c);
/* `s` with references decoded, appended. */
void html_decode(struct run *out, struct str s, enum html_place where);
/* & < > " escaped. */
void html_escape(struct run *out, struct str s);

#endif
