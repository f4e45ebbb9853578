/* Quoted-printable (RFC 2045 6.7), written as a stream of pieces.
 *
 * Lines end in CRLF and have at most 76 characters, a line never begins with "." or "From ", blanks before a
 * line end are encoded, characters are not split by soft breaks; this holds at every boundary of pieces.
 * Input is UTF-8 with LF, CRLF or CR as line end; malformed bytes become U+FFFD and control characters but
 * TAB are dropped.
 *
 * Literal text of a template is encoded once (qp_literal_make) as if it began a line. qp_literal() copies it
 * behind what was written, with a soft break before it where its first line does not fit. */
#ifndef TEMPLATES_MIME_QP_H
#define TEMPLATES_MIME_QP_H

#include "templates/run.h"

struct qp {
	struct run *out;
	unsigned col; /* characters in the line so far, at most 75 */
	bool blank;   /* the last character is a blank that must be encoded if a line end follows */
	bool trim;    /* such blanks go instead, of which none may be in a literal */
	unsigned char nhalf;
	char half[4]; /* the beginning of a character whose rest is in the next piece */
};

struct qp_literal {
	struct str coded;
	unsigned first;   /* room that the first line needs, of 76 */
	unsigned end_col; /* column behind the last line */
	bool single;      /* has no line break of either kind */
	bool break_first; /* begins with a hard line break */
	bool end_blank;
};

void qp_text(struct qp *q, struct str s);
void qp_literal(struct qp *q, const struct qp_literal *l);
/* Ends the part: the last line gets its line break where it has none. */
void qp_end(struct qp *q);

/* `coded` lives in the arena. False: no memory. */
bool qp_literal_make(struct arena *a, struct str s, struct qp_literal *out);
/* Encoded size of the text without soft breaks: for choosing an encoding. */
size_t qp_cost(struct str s);

#endif
