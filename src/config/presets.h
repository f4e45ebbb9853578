/* Known relays: what `preset = NAME` stands for. A limit that its provider does not publish is left out: it
 * depends on the account, and the account's page tells it. */
#ifndef CONFIG_PRESETS_H
#define CONFIG_PRESETS_H

#include "src/config/config.h"

struct preset {
	const char *name;
	const char *host;      /* NULL: it depends on the account or region, `host` must be given */
	const char *host_like; /* then: what it looks like */
	int port;
	enum route_tls tls;
	const char *user;                         /* NULL: given by the account */
	const char *user_like;                    /* what the user name is, for people */
	int connections, messages_per_connection; /* 0: none is published */
	const char *rate;                         /* NULL: none is published */
	int64_t size;                             /* of a message, in bytes; 0: none is published */
	const char *rewrites; /* header fields it writes anew, as config_route has them; NULL: none that we
				 know */
	enum route_envelope envelope; /* FIXED: the account's own address */
	bool mailbox;                 /* for one person's mail: one connection at a time, and a warning */
};

extern const struct preset presets[];
extern const size_t npresets;
const struct preset *preset_find(const char *name); /* NULL: none, or name is NULL */

#endif
