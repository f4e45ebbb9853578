/* Relaxed canonicalisation (RFC 6376 3.4.2 and 3.4.4). No I/O, nothing allocated but what the caller's buffer
 * grows by. A line ends with CRLF; a CR or LF that stands alone is a byte like any other in a body. */
#ifndef ENGINE_DKIM_CANON_H
#define ENGINE_DKIM_CANON_H

#include "src/base/buf.h"

/* Hands the canonical body over in pieces, most of them slices of `body` itself. An empty body has none. */
void dkim_canon_body(struct str body, void (*put)(void *ctx, const char *p, size_t n), void *ctx);

/* The same of lines, the last with its CRLF, behind which others follow that are not all empty. */
void dkim_canon_lines(struct str lines, void (*put)(void *ctx, const char *p, size_t n), void *ctx);

struct dkim_field {
	struct str name, value; /* as written: name without blanks behind it, value from behind the colon to
				   before its last line end */
};
/* Takes the first field off `header`. False: it is empty, or its empty line is reached. Without a colon in
 * its first line it is a field without a name (n == 0). */
bool dkim_field_next(struct str *header, struct dkim_field *out);
/* "name:value", lower case, unfolded, without a line end. */
void dkim_canon_field(struct buf *out, const struct dkim_field *f);

#endif
