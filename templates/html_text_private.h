/* The writer behind html_to_text(): words, lines and blocks of plain text, with Liquid between them. */
#ifndef TEMPLATES_HTML_TEXT_PRIVATE_H
#define TEMPLATES_HTML_TEXT_PRIVATE_H

#include "templates/html_token.h"
#include "templates/opaque.h"

#include <stdint.h>

enum {
	TEXT_COLUMNS = 74,
	TEXT_VALUE_WIDTH = 10, /* a value's length is not known here */
	TEXT_DEPTH = 32,
	TEXT_NOTES = 1000,
	TEXT_CELLS = 16,
	TEXT_HIDDEN = 256, /* open blocks; what is deeper is taken to have no end tag */
};

struct list {
	bool ordered;
	int next;
	int control;  /* depth of Liquid blocks where it began */
	size_t width; /* of its markers: further lines are indented by it */
};

struct text_writer {
	struct opaque *o;
	struct str html;
	struct run *out;
	struct run word;
	size_t word_width;
	bool word_wide; /* its last character is wide: the line may break behind it */
	size_t col;
	bool space;          /* a blank is due before the next word */
	bool blank;          /* an empty line is due before the next content */
	size_t blank_quotes; /* depth of quotations where it became due */
	bool begun;          /* something was written */
	bool fresh;          /* nothing but Liquid since the last empty line */
	bool in_line;        /* this line has its prefix */
	bool bare;           /* and nothing else */
	const char *marker;  /* of a list item, for its first line */
	char marker_text[16];
	struct list lists[TEXT_DEPTH];
	size_t nlists;
	size_t quotes;
	int control; /* depth of Liquid blocks */
	struct {
		size_t col, line;
	} blocks[TEXT_DEPTH]; /* where each began: its branches share the place */
	size_t line;
	int pre;
	struct str hidden[TEXT_HIDDEN]; /* the element that is left out, and the blocks open in it */
	size_t nhidden;
	bool in_link;
	struct str href;
	size_t link_from; /* where the link's text begins in `out` */
	struct str *notes;
	size_t nnotes;
	int tables;                /* depth of data tables: 1 in one */
	int cell;                  /* cells so far in this row */
	size_t widths[TEXT_CELLS]; /* of a table's columns, where they are known */
	int columns;               /* 0: they are not */
	size_t cell_from;          /* column where the cell began */
	bool header_row;
	size_t heading_from;
};

void text_newline(struct text_writer *w);
void text_line_start(struct text_writer *w); /* prefix, indent, marker */
void text_blank_line(struct text_writer *w); /* if one is due */
void text_word_end(struct text_writer *w);
/* Ends the line, if anything stands in it; an item's marker waits for its text. */
void text_break_line(struct text_writer *w);
void text_block(struct text_writer *w); /* a block begins or ends: an empty line is due */
void text_item_end(struct text_writer *w);

void text_char(struct text_writer *w, uint32_t c); /* white space collapses, outside pre */
void text_string(struct text_writer *w, struct str s);
void text_unbroken(struct text_writer *w, struct str s); /* an address: one word, Liquid hidden in it */
/* The source from `from` to `to`: references decoded, values and tags passed on. */
void text_source(struct text_writer *w, size_t from, size_t to, enum html_place where);

#endif
