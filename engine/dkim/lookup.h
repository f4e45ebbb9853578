/* One TXT lookup, for `dkim check`: through the system's resolver, or one that is named. Blocks; not for
 * threads that send. */
#ifndef ENGINE_DKIM_LOOKUP_H
#define ENGINE_DKIM_LOOKUP_H

#include "src/base/arena.h"
#include "src/base/err.h"

#include <netinet/in.h>

/* "127.0.0.1@53" (the port may be missing). ERR_USAGE. */
int dkim_resolver_parse(const char *text, struct sockaddr_in *out, struct err *e);
/* Every TXT record at the name, its strings joined, in the arena. No such name, and no such record, is n ==
 * 0. `resolver` NULL: the system's. ERR_UNREACH: no answer, or one that says the name server failed. */
int dkim_lookup(const char *name, const struct sockaddr_in *resolver, struct arena *a, struct str **records,
	size_t *n, struct err *e);

#endif
