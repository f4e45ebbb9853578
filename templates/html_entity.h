/* Named character references. */
#ifndef TEMPLATES_HTML_ENTITY_H
#define TEMPLATES_HTML_ENTITY_H

#include "src/base/str.h"

#include <stdint.h>

uint32_t html_entity(struct str name); /* without & and ;. 0: unknown */

#endif
