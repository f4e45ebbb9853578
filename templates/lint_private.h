/* What the parts of the lint share. */
#ifndef TEMPLATES_LINT_PRIVATE_H
#define TEMPLATES_LINT_PRIVATE_H

#include "templates/lint.h"
#include "templates/lint_rules.h"
#include "templates/run.h"

enum lint_rule {
#define X(name, id, severity, remedy) L_##name,
	LINT_RULES(X)
#undef X
		L_NRULES
};

struct lint_header {
	struct str name, value; /* value: with its folds, without the last line end */
};

enum { LINT_HEADERS = 400, LINT_DEPTH = 12, LINT_PARTS = 200 };

struct lint_headers {
	struct lint_header *v;
	size_t n;
};

struct lint_param {
	struct str name, value; /* value unquoted, in the arena */
	bool quoted;
};
enum { LINT_PARAMS = 32 };

struct lint_type {       /* Content-Type or Content-Disposition, taken apart */
	struct str type; /* "text/html", lower case */
	struct lint_param params[LINT_PARAMS];
	size_t n;
	bool bad;
};

enum lint_cte { CTE_7BIT, CTE_8BIT, CTE_BINARY, CTE_QP, CTE_BASE64, CTE_OTHER };

struct linter {
	struct lint *out;
	struct arena *a;
	const char *begin;   /* of the message, for line numbers */
	const char *line_at; /* the last place whose line was asked for, and its number */
	long line_no;
	size_t parts;
	/* gathered while the structure is walked: */
	struct str text, html; /* decoded UTF-8 of the first of each that is no attachment; p NULL: none */
	struct str html_place;
	struct str *cids;
	size_t ncids, cids_cap;
	struct str unsubscribe; /* the https or mailto address of List-Unsubscribe; n == 0: none */
	bool is_list;           /* has List-Unsubscribe or List-Id */
};

/* `at` points into the message; NULL: no line. */
void lint_add(struct linter *l, enum lint_rule r, struct str place, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The same with a line of decoded text. */
void lint_add_decoded(struct linter *l, enum lint_rule r, struct str place, long line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Fit to stand in a finding: short, one line, no control characters. In the arena. */
const char *lint_show(struct linter *l, struct str s);

/* lint_headers.c: reads fields up to the empty line. Returns the rest. */
struct str lint_fields(struct linter *l, struct str s, struct str place, struct lint_headers *out);
const struct lint_header *lint_header(const struct lint_headers *h, const char *name);
void lint_top(struct linter *l, const struct lint_headers *h);
/* Without folds. */
struct str lint_unfold(struct linter *l, struct str value);
/* lint_date.c, lint_subject.c; h NULL: the field is missing. */
void lint_date(struct linter *l, const struct lint_header *h);
void lint_message_id(struct linter *l, const struct lint_header *h);
void lint_subject(struct linter *l, const struct lint_header *h);
/* lint_address.c */
void lint_addresses(struct linter *l, const struct lint_header *h, size_t *n, struct str *first);
/* lint_word.c: RFC 2047 in one field. `decoded` NULL: not wanted. */
enum lint_words { WORDS_TEXT, WORDS_ADDRESS, WORDS_NONE };
void lint_words(struct linter *l, const struct lint_header *h, enum lint_words where, struct str *decoded);
/* lint_list.c */
void lint_list(struct linter *l, const struct lint_headers *h);
/* lint_param.c */
void lint_type(struct linter *l, const struct lint_header *h, struct lint_type *out);
const struct lint_param *lint_param(const struct lint_type *t, const char *name);
/* lint_mime.c */
void lint_entity(struct linter *l, const struct lint_headers *h, struct str body, int depth);
/* lint_body.c: the part's bytes, decoded; complaints are made. */
enum lint_cte lint_cte(struct str value);
struct str lint_decode(struct linter *l, struct str body, enum lint_cte cte, struct str place, bool text);
/* As UTF-8; p NULL: a charset that nobody here knows, or bytes that are not of it. */
struct str lint_charset(struct linter *l, struct str bytes, struct str charset, bool *known);
/* lint_html.c */
void lint_html(struct linter *l);
/* lint_link.c: `text` is what the link shows. */
void lint_link(struct linter *l, struct str place, long line, struct str href);
void lint_link_text(struct linter *l, struct str place, long line, struct str href, struct str text);
bool lint_is_unsubscribe(struct linter *l, struct str href, struct str text);
bool lint_has_unsubscribe_word(struct str s);
bool lint_is_host(struct str s); /* reads as a domain name */
/* lint_text.c: `visible` is what the HTML shows; p NULL: there is none. told: of the want of an unsubscribe
 * link in it. */
void lint_texts(struct linter *l, struct str visible, bool told);

#endif
