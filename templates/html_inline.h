/* CSS inlining: the rules of <style> written into style attributes, for mail clients that drop or ignore
 * <style>.
 *
 * The source is kept byte for byte but for style attributes and the rules moved there. What cannot be inlined
 * stays in <style>; a rule also stays where an element might match it only for some recipients (Liquid in its
 * class or around its style), or the document has parts that are not known yet (partials, raw values). Left
 * alone: <style data-inline="false">, style sheets for other media, and those with {% … %} in them. */
#ifndef TEMPLATES_HTML_INLINE_H
#define TEMPLATES_HTML_INLINE_H

#include "templates/opaque.h"

bool html_inline_css(struct str html, const struct opaque *o, struct run *out); /* false: no memory */

#endif
