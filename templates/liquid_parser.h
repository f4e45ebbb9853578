/* What the files of the Liquid compiler share: tokens (liquid_lex.c), expressions (liquid_expr.c), tags
 * (liquid_tags*.c), bodies and their code (liquid_parse.c), files and partials (liquid_compile.c). What they
 * make is in liquid_private.h. */
#ifndef TEMPLATES_LIQUID_PARSER_H
#define TEMPLATES_LIQUID_PARSER_H

#include "templates/liquid_private.h"

enum token_kind { T_END, T_ID, T_STRING, T_NUMBER, T_COMPARE, T_DOTDOT, T_PUNCT };

struct token {
	enum token_kind kind;
	struct str s; /* strings without their quotes */
	size_t off;   /* in the markup */
};

struct lexer { /* of the inside of a tag */
	struct str src;
	size_t at;
	struct token tok; /* the current one */
	size_t prev_end;
	bool after_dot;
};

struct bits { /* beyond n: 0 */
	uint64_t *w;
	size_t n;
};

struct parser;

int lq_lex_start(struct parser *p, struct lexer *x, struct str src);
int lq_lex_next(struct parser *p, struct lexer *x);
bool lq_lex_peek_colon(const struct lexer *x); /* the token after this one is ':' */

/* A piece of the document: text, {{ value }} or {% tag %}. */
struct piece {
	enum { P_TEXT, P_VALUE, P_TAG, P_EOF } kind;
	struct str text;   /* P_TEXT */
	struct str name;   /* P_TAG */
	struct str markup; /* P_VALUE, P_TAG: the inside */
	const char *at;    /* where it starts in the source */
	bool trim_left, trim_right;
};

struct reader {
	struct str src;
	size_t at;
	bool lines; /* inside {% liquid %}: each line is a tag */
	bool trim;  /* the next text loses its leading white space */
};

int lq_read_piece(struct parser *p, struct reader *r, struct piece *out);
/* Up to {% endNAME %}: the text before it; -1 if there is none. */
int lq_read_raw(struct parser *p, struct reader *r, const char *name, struct str *body);
int lq_skip_comment(struct parser *p, struct reader *r);

struct vec {
	void *p;
	size_t n, cap, size;
};

struct parser {
	struct liquid *l;
	struct err *e;
	struct vec code, literals, partials, files;
	struct str src; /* the file being parsed */
	uint32_t file;
	uint32_t depth;
	struct bits definite; /* locals that were assigned on every way to here */
	uint32_t ncases;
	bool failed;
	const char *here; /* what is being parsed, for errors */
};

int lq_error(struct parser *p, const char *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct pos lq_pos(const struct parser *p, const char *at);
void *lq_vec_add(struct parser *p, struct vec *v);

const struct expr *lq_parse_expr(struct parser *p, struct lexer *x); /* variable, literal or range */
const struct expr *lq_parse_filtered(
	struct parser *p, struct str markup); /* with filters, all of the markup */
const struct expr *lq_parse_condition(struct parser *p, struct str markup);
const struct expr *lq_parse_operand(struct parser *p, struct lexer *x);   /* of a condition: blank, empty */
int lq_parse_named(struct parser *p, struct lexer *x, struct named *out); /* at `name: expr` */
uint32_t lq_local(struct parser *p, struct str name);
int lq_assigned(struct parser *p, uint32_t local);
bool lq_is_assigned(const struct parser *p, uint32_t local);
int lq_expect_end(struct parser *p, struct lexer *x);
bool lq_is_punct(const struct lexer *x, char c);

/* The bodies of tags (liquid_parse.c), for the tags themselves (liquid_tags.c). */
struct body {
	struct piece end; /* the tag that ended it */
	bool blank;
	uint32_t from, to; /* code */
};
int lq_parse_body(struct parser *p, struct reader *r, const char *tag, struct body *b);
int lq_bad_end(struct parser *p, const char *tag, const struct piece *end);
void lq_remove_blank(struct parser *p, const struct body *b);
struct op *lq_emit_op(struct parser *p, enum opcode code, const char *at);
struct op *lq_op(struct parser *p, uint32_t i);
int lq_emit_literal(struct parser *p, const char *at, struct str text);
int lq_bits_copy(struct parser *p, const struct bits *from, struct bits *to);
void lq_bits_and(struct bits *a, const struct bits *b);
uint32_t lq_use_partial(struct parser *p, const struct partial_call *call, struct str name);

/* A tag has read its name; it reads on from `r` when it has a body. `blank`: it writes nothing. */
typedef int tag_fn(struct parser *p, struct reader *r, const struct piece *t, bool *blank);
tag_fn lq_tag_if, lq_tag_case, lq_tag_loop, lq_tag_interrupt, lq_tag_cycle, lq_tag_partial;
bool lq_ends(const struct piece *end, const char *tag);      /* it is {% endTAG %} */
void *lq_keep(struct parser *p, const void *from, size_t n); /* a copy that lives as long as the template */
struct tag {
	const char *name;
	tag_fn *fn;
	bool plain;   /* not in the profile */
	bool profile; /* not in the bare language */
};
const struct tag *lq_tag_find(struct str name, bool plain);
/* The profile's tag that was meant; "": none is near. */
void lq_tag_near(struct str name, struct nearest *out);

#endif
