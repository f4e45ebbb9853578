/* What `check` and its kin found: one finding a paragraph, or a JSON line. */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "src/cli/cli.h"

struct shown_finding {
	const char *id, *severity; /* "fail", "warn", "info", "pass", "skip" */
	struct str file;           /* n == 0: none */
	struct str where, text;
	const char *remedy; /* NULL: none */
	int64_t times;      /* in one message; 0, 1: once */
	int64_t recipients; /* 0: not about recipients */
	int64_t read, of;   /* found in so many of the messages that were read closely; 0: not about those */
	struct str first;   /* the first of them */
};

int finding_print(const struct cli *c, const struct shown_finding *f); /* 0 / -1 as the calls of output.h */

#endif
