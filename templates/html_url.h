/* Rewriting the addresses in HTML, everything else kept byte for byte: links (a, area), images (img src,
 * background). */
#ifndef TEMPLATES_HTML_URL_H
#define TEMPLATES_HTML_URL_H

#include "templates/opaque.h"

enum html_url { HTML_URL_LINK, HTML_URL_IMAGE };

/* Writes the new value to `out`, as it stands in the attribute (escaped), or nothing: it stays. `url` has its
 * references decoded, Liquid is hidden in it. */
typedef int html_url_fn(void *ctx, enum html_url what, struct str url, struct run *out, struct err *e);

int html_map_urls(struct str html, html_url_fn *fn, void *ctx, struct run *out, struct err *e);

/* Is it a relative path, with neither scheme nor host nor Liquid? Then `out` is the file's name, %XX decoded.
 */
bool html_url_is_file(struct str url, struct run *out);
/* Appends to an http(s) address the parameters (a=b&c=d) that it does not have yet, before its fragment,
 * escaped. False: the address is another kind, or has all. */
bool html_url_add(struct str url, struct str parameters, struct run *out);

#endif
