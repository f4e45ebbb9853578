/* Display names: quoted strings and encoded words (RFC 5322 3.2.4, RFC 2047) to plain UTF-8. */
#ifndef LISTS_ADDRESS_NAME_H
#define LISTS_ADDRESS_NAME_H

#include "src/base/arena.h"

/* Control characters become blanks; words in a charset nobody knows stay as they are. n == 0: empty, or no
 * memory. */
struct str address_name_decode(struct str raw, struct arena *a);

#endif
