/* `send --rehearse`: the whole campaign against the built-in sandbox, on a copy of the database that is
 * thrown away. */
#ifndef CLI_REHEARSE_H
#define CLI_REHEARSE_H

#include "engine/launch.h"
#include "src/cli/cli.h"

int rehearse_campaign(struct cli *c, struct launch *l, const char *name, int64_t first, struct err *e);

#endif
