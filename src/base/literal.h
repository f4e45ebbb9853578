/* Address literals of mail (RFC 5321 4.1.3): [192.0.2.1] and [IPv6:2001:db8::1]; and places on the network,
 * an address with a port: 192.0.2.1:25 and [2001:db8::1]:25. */
#ifndef BASE_LITERAL_H
#define BASE_LITERAL_H

#include "src/base/str.h"

#include <sys/socket.h>

/* AF_INET or AF_INET6 with the address in `ip` (4 or 16 bytes, network order); 0: it is none. */
int literal_read(struct str s, unsigned char ip[16]);
bool is_literal(struct str s);
/* Names are not looked up; `*` is 0.0.0.0; ports are 1 to 65535. False: it is none. */
bool literal_place(struct str s, struct sockaddr_storage *out);
socklen_t literal_place_size(const struct sockaddr_storage *place); /* as bind() and connect() want it */

#endif
