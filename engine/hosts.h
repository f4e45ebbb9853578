/* Names of relays, looked up beside the delivery. The system's resolver may block for a minute and more:
 * nobody waits for it, neither who delivers nor who ends. */
#ifndef ENGINE_HOSTS_H
#define ENGINE_HOSTS_H

#include "engine/route.h"

struct hosts;

/* To be called now and then, *h being NULL at first. Looks up those of n routes that have no addresses, or
 * old ones, and gives them to the routes; what fails is told in the log. After each round `found` is called,
 * from another thread. The routes, and what `found` needs, stay until hosts_leave(). */
void hosts_keep(struct hosts **h, struct route *routes, size_t n, void (*found)(void *ctx), void *ctx);
/* Waits for nothing: what is still being looked up ends by itself, and nobody hears of it. */
void hosts_leave(struct hosts **h);

#endif
