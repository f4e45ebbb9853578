/* Moves block tags of Liquid that Markdown left inside paragraphs, items and cells out of them, where the
 * whole block
 * ({% if %} … {% else %} … {% endif %}) can stand at one level of the HTML. */
#ifndef TEMPLATES_MARKDOWN_LIFT_H
#define TEMPLATES_MARKDOWN_LIFT_H

#include "templates/opaque.h"

bool markdown_lift(struct str html, const struct opaque *o, struct run *out); /* false: no memory */

#endif
