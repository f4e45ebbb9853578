/* UTF-8: decoding, checking, and what a terminal shows. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "src/base/buf.h"

#include <stdint.h>

/* Decodes one character at s.p[*at] and moves *at past it (always by at least one). Malformed bytes,
 * surrogates and overlong forms give 0xFFFD and move by one. *at must be < s.n. */
uint32_t utf8_next(struct str s, size_t *at);
size_t utf8_put(char out[4], uint32_t c); /* returns the number of bytes */
bool utf8_valid(struct str s);
/* Offset of the first malformed byte, or s.n. */
size_t utf8_check(struct str s);
bool utf8_ascii(struct str s);
/* Columns that a terminal uses: wide and full-width characters 2, combining ones 0. */
int utf8_width_char(uint32_t c);
size_t utf8_width(struct str s);
/* Appends `s` fit for a terminal or a log: C0, DEL, C1 controls, bidi overrides and malformed bytes become
 * \xNN or \u{NNNN}; tab and newline too. */
void utf8_safe(struct buf *out, struct str s);
/* The longest prefix of whole characters that fits in `columns`. */
struct str utf8_cut(struct str s, size_t columns);
/* The same in bytes. */
struct str utf8_cut_bytes(struct str s, size_t bytes);

#endif
