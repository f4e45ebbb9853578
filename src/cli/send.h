/* What `send` was asked for and found out, and how it is shown before anything goes out. */
#ifndef CLI_SEND_H
#define CLI_SEND_H

#include "engine/check.h"
#include "engine/quota.h"
#include "src/cli/cli.h"
#include "src/db/audience.h"

#include <stdio.h>

struct send { /* what was asked for */
	struct cli *c;
	struct launch launch;
	const struct config *cfg;
	const char *name;
	double rate;
	int64_t first, min, max;
	double first_share;
	ms_t at, until, patience, now;
	struct selection selection;
	struct check check;
	struct forecast forecast;
};

int send_warnings(const struct send *s, struct err *e);
void send_summary(const struct send *s, FILE *f);
int send_dry_run(const struct send *s, struct err *e); /* the summary, or all of it as JSON */

#endif
