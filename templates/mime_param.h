/* Parameters of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2231). */
#ifndef TEMPLATES_MIME_PARAM_H
#define TEMPLATES_MIME_PARAM_H

#include "templates/mime_word.h"

/* Writes "; name=value" as a token or quoted-string; what is not plain ASCII, or too long for a line, becomes
 * name*=utf-8''… with continuations. `value` is clean (header_clean). */
void param_write(struct header *h, const char *name, struct str value);
/* A file name for readers that know no RFC 2231: ASCII, at most 60 characters, the ending kept. */
struct str param_fallback(struct arena *a, struct str name);
/* Is the value plain ASCII that fits on a line? Then no fallback is needed. */
bool param_simple(struct str value);

#endif
