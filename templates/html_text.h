/* Plain text from HTML: paragraphs wrapped at 74 columns, headings, lists, tables by row, images by their alt
 * text, links as numbered notes at the end. Hidden Liquid (opaque.h) is kept, so the text of an HTML template
 * is a template of the text. Links under {% if %} or {% for %} show their address in place, since a note at
 * the end would not see the loop's variable. What is not displayed (head, style, display:none) is left out.
 */
#ifndef TEMPLATES_HTML_TEXT_H
#define TEMPLATES_HTML_TEXT_H

#include "templates/opaque.h"

/* Appends. False: no memory. */
bool html_to_text(struct str html, struct opaque *o, struct run *out);

#endif
