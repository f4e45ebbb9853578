/* A few messages, now, outside any campaign: `test`. Over one connection to a relay, or one after the other
 * to the hosts of their recipients. Nothing is recorded. */
#ifndef ENGINE_ONESHOT_H
#define ENGINE_ONESHOT_H

#include "engine/personal.h"
#include "engine/smtp/client.h"

struct oneshot_result {
	bool accepted;
	enum smtp_stage stage;
	int code;
	char enhanced[12];
	char host[256]; /* that was asked; "": none was found */
	char text[400]; /* the server's words, or what happened instead */
};

/* Sends each letter and fills its result. -1 where the route cannot be used at all (host unknown, password
 * unreadable). */
int oneshot_send(const struct config *c, const struct config_route *cfg, const struct letter *letters,
	size_t n, struct oneshot_result *results, struct err *e);

#endif
