/* What a list or a campaign may be called, and what may stand in List-Id (RFC 2919). */
#ifndef LISTS_LIST_NAME_H
#define LISTS_LIST_NAME_H

#include "src/base/err.h"
#include "src/base/str.h"

#define LIST_NAME_MAX 200 /* bytes */

/* Why such a name cannot be typed or shown again; NULL: it can. */
const char *name_fault(struct str name);
int list_name_check(struct str name, struct err *e); /* ERR_USAGE */
int list_id_check(struct str id, struct err *e);     /* ERR_USAGE: not a dot-atom of ASCII */

#endif
