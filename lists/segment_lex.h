/* The words of a --where expression, and errors that point at one. Shared by segment_lex.c and segment.c. */
#ifndef LISTS_SEGMENT_LEX_H
#define LISTS_SEGMENT_LEX_H

#include "src/base/arena.h"
#include "src/base/err.h"

#define SEGMENT_TEXT_MAX (64 << 10)

enum token {
	T_END,
	T_NAME,
	T_ANY,
	/* ident; [any text] */ T_FIELD,
	/* $name */ T_TEXT,
	T_NUMBER,
	T_OPEN,
	T_CLOSE,
	T_COMMA,
	T_EQ,
	T_NE,
	T_LT,
	T_LE,
	T_GT,
	T_GE,
	T_IN,
	T_LIKE,
	T_IS,
	T_EMPTY,
	T_AND,
	T_OR,
	T_NOT,
};

struct lexer {
	struct str text;
	size_t at; /* behind the current token */
	enum token token;
	size_t start;     /* of the current token */
	struct str value; /* of names, texts and numbers */
	double number;
	struct arena *arena;
	struct err *err;
};

int lex_next(struct lexer *l); /* -1 with the error filled */
/* ERR_USAGE, column and caret at the current token, or at an offset, with a detail in quotes and a hint
 * behind it; -1. */
int lex_fail(struct lexer *l, const char *why);
int lex_fail_at(struct lexer *l, size_t offset, const char *why, struct str detail, const char *hint);
int lex_no_memory(struct lexer *l);

#endif
