/* Base64 (RFC 2045 6.8): lines of 76 characters, each with CRLF. */
#ifndef TEMPLATES_MIME_BASE64_H
#define TEMPLATES_MIME_BASE64_H

#include "templates/run.h"

/* Streamed: pieces of any length; base64_end() writes what is left and ends the last line. */
struct base64 {
	struct run *out;
	unsigned have; /* bytes of the line so far that are not written */
	unsigned char line[57];
};

void base64_add(struct base64 *b, const void *p, size_t n);
/* UTF-8 text with any line ends: they become CRLF; NUL and other control characters but TAB are dropped,
 * malformed bytes become U+FFFD. */
void base64_text(struct base64 *b, struct str s);
void base64_end(struct base64 *b);

/* Without line breaks; returns the number of characters written, 4 * ceil(n / 3). */
size_t base64_word(const void *p, size_t n, char *out);
/* Characters, line ends included, for n bytes. */
size_t base64_size(size_t n);

#endif
