/* Address literals of mail (RFC 5321 4.1.3): [192.0.2.1] and [IPv6:2001:db8::1]. */
#ifndef BASE_LITERAL_H
#define BASE_LITERAL_H

#include "src/base/str.h"

/* AF_INET or AF_INET6 with the address in `ip` (4 or 16 bytes, network order); 0: it is none. */
int literal_read(struct str s, unsigned char ip[16]);
bool is_literal(struct str s);

#endif
