/* Known relays: what `preset = NAME` stands for. */
#ifndef CONFIG_PRESETS_H
#define CONFIG_PRESETS_H

#include "src/config/config.h"

struct preset {
	const char *name;
	const char *host; /* NULL: it depends on the account or region, `host` must be given */
	int port;
	enum route_tls tls;
	const char *user; /* NULL: given by the account */
	int connections, messages_per_connection;
	const char *rate;     /* NULL: none is published */
	const char *rewrites; /* header fields it writes anew, as config_route has them; NULL: none that we
				 know */
};

extern const struct preset presets[];
extern const size_t npresets;

#endif
