/* Who the process is, and who may look into it. */
#ifndef SERVE_BECOME_H
#define SERVE_BECOME_H

#include "src/base/err.h"

/* Passwords and keys stay out of core dumps, and away from other programs of the same user. To be called
 * before there are any. A build that looks at itself for leaks or races is let to. */
void become_private(void);

/* Gives up root's rights, after what only root may do (ports below 1024) is done.
 * Becomes `user` (NULL: stays who it is) and `group` (NULL: the user's own), with no other group than the
 * user's, for good, and stays private. Without root's rights naming oneself is fine. ERR_CONFIG: no such user
 * or group, or it is not allowed. */
int become(const char *user, const char *group, struct err *e);

#endif
