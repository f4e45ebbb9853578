/* Header text: encoded-words (RFC 2047), phrases (RFC 5322 3.2.5) and folding.
 *
 * Plain ASCII stays as it is. What must be encoded becomes words of at most 75 characters on lines of at most
 * 76, each with whole characters only, Q or B by length. ASCII that looks like an encoded-word, or has a word
 * too long for a line, is encoded too. Lines are folded at 76 and never pass 998. */
#ifndef TEMPLATES_MIME_WORD_H
#define TEMPLATES_MIME_WORD_H

#include "templates/mime_charset.h"

/* A header being written: the column decides where it folds. */
struct header {
	struct run *out;
	unsigned col;
	size_t text;          /* offset in `out` behind the name and its colon */
	enum charset charset; /* ISO-2022-JP: text must be known to fit (header_fits) */
};

/* One line of valid UTF-8: control characters, line separators and runs of white space at the ends are gone,
 * others are blanks, malformed bytes U+FFFD. Returns `s` itself where it is so already. */
struct str header_clean(struct arena *a, struct str s);
/* Can it be written in this charset? */
bool header_fits(struct arena *a, struct str s, enum charset c);

void header_begin(struct header *h, const char *name); /* "Name: " */
void header_end(struct header *h);                     /* CRLF */
/* Something that must not be broken, after a blank or (rather) a fold. `glue`: right behind what stands
 * there. */
void header_token(struct header *h, struct str token, bool glue);
/* Unstructured text: Subject, Comments. `s` is clean. */
void header_text(struct header *h, struct str s);
/* A display name: atoms, quoted-string or encoded-words. `s` is clean. */
void header_phrase(struct header *h, struct str s);

#endif
