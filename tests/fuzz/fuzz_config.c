/* postrider.conf: the text of a file, whole. */
#include "src/base/file.h"
#include "src/base/log.h"
#include "src/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	struct config *c;
	struct err e;
	if (path[0] == '\0') {
		log_set_level(LOG_LEVEL_ERROR);
		snprintf(path, sizeof path, "/tmp/fuzz_config.%ld", (long)getpid());
	}
	FILE *f = fopen(path, "w");
	if (f == NULL)
		abort();
	fwrite(data, 1, size, f);
	fclose(f);
	if (config_load(path, &c, &e) == 0) {
		for (size_t i = 0; i < c->nroutes; i++)
			if (c->routes[i].tls == ROUTE_TLS_DEFAULT || c->routes[i].port == 0)
				abort();
		config_free(&c);
	} else if (e.code == ERR_NONE || e.why[0] == '\0') {
		abort();
	}
	unlink(path);
	return 0;
}
