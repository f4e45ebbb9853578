/* Gives up root's rights, after what only root may do (ports below 1024) is done. */
#ifndef SERVE_BECOME_H
#define SERVE_BECOME_H

#include "src/base/err.h"

/* Becomes `user` (NULL: stays who it is) and `group` (NULL: the user's own), with no other group than the
 * user's, for good. Without root's rights naming oneself is fine. ERR_CONFIG: no such user or group, or it is
 * not allowed. */
int become(const char *user, const char *group, struct err *e);

#endif
