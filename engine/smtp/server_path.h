/* The arguments of MAIL and RCPT (RFC 5321 4.1.2), as a server reads them. Shared by the parts of server.c.
 */
#ifndef ENGINE_SMTP_SERVER_PATH_H
#define ENGINE_SMTP_SERVER_PATH_H

#include "src/base/str.h"

/* Takes "<path>" from the front of *s; what is left begins behind it. A source route is passed over. False:
 * malformed. `path` is without <>, empty for <>. Non-ASCII bytes are allowed here (the caller knows of
 * SMTPUTF8). */
bool smtp_path_take(struct str *s, struct str *path);
/* The next " KEYWORD" or " KEYWORD=value" from *s. False: none left, or malformed (then s->n != 0). */
bool smtp_param_take(struct str *s, struct str *keyword, struct str *value);
/* RFC 4648 base64, strict; "=" alone is empty (RFC 4954). Returns bytes written, or (size_t)-1. */
size_t smtp_base64(struct str s, char *out, size_t max);

#endif
