/* Markdown (CommonMark with tables, strikethrough and bare links) to HTML by md4c, with hidden Liquid
 * (opaque.h) passed through. Tags that stand alone in their lines, or around whole blocks, do not end up
 * inside paragraphs: a loop around list items or table rows gives items and rows. */
#ifndef TEMPLATES_MARKDOWN_H
#define TEMPLATES_MARKDOWN_H

#include "templates/opaque.h"

/* Appends. -1: no memory. */
int markdown_to_html(struct str md, struct opaque *o, struct run *out, struct err *e);

#endif
