/* Media types by a file's ending. */
#ifndef TEMPLATES_MIME_TYPE_H
#define TEMPLATES_MIME_TYPE_H

#include "src/base/str.h"

/* "application/octet-stream" where the ending is not known. Never a type that may not be sent as base64
 * (message/rfc822, multipart). */
const char *mime_type(struct str name);

#endif
