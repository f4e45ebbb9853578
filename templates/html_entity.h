/* Named character references. */
#ifndef TEMPLATES_HTML_ENTITY_H
#define TEMPLATES_HTML_ENTITY_H

#include "src/base/str.h"

#include <stdint.h>

uint32_t html_entity(struct str name); /* without & and ;. 0: unknown */
/* The length of the longest name that `s` begins with, of those that need no ; (HTML 13.5). 0: none. */
size_t html_entity_begins(struct str s, uint32_t *c);

#endif
