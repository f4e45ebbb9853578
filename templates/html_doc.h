/* Places in an HTML document, and what a message adds there. */
#ifndef TEMPLATES_HTML_DOC_H
#define TEMPLATES_HTML_DOC_H

#include "templates/run.h"

bool html_is_document(struct str html);  /* has html, body or a doctype of its own */
size_t html_body_begin(struct str html); /* behind <body …>; without one, behind the head or at 0 */
size_t html_body_end(struct str html);   /* before the last </body>, or at the end */

/* The text that mail clients show beside the subject, not displayed in the message; blanks behind it keep the
 * body's first words out of that place. `text` is HTML. */
void html_preheader(struct run *out, struct str text);
/* Without <meta charset>: for a message whose charset is only known when it is composed. */
void html_drop_charset(struct run *out, struct str html);

#endif
