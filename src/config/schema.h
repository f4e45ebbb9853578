/* The sections and keys of postrider.conf. Used inside src/config only. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "src/config/fields.h"

#define KEYS_MAX 32 /* in one section */

struct section {
	const char *kind; /* "" is what stands before the first section */
	bool named;
	const struct field *fields; /* ends with key NULL */
	/* Checks the name and gives what the keys fill; NULL with the error. `name` lives as long as the
	 * configuration. */
	void *(*begin)(
		struct config *c, struct arena *a, const char *name, struct config_at at, struct err *e);
	enum {
		SECTION_OTHER,
		SECTION_DOMAIN,
		SECTION_DKIM,
		SECTION_ROUTE,
		SECTION_SOURCE,
		SECTION_PROVIDER,
		SECTION_MAILBOX
	} makes; /* collected by config.c when all is read */
};

extern const struct section sections[];
extern const size_t nsections;

/* When all is read, the zone too: presets, what follows from each other, what cannot be (routes.c). */
int config_finish_routes(struct config *c, struct err *e);

#endif
