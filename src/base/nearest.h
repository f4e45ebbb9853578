/* "Did you mean …?": the known name that a mistyped one is closest to. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "src/base/str.h"

#define NEAREST_MAX 128 /* longer names are never suggested */

struct nearest {
	struct str typed;
	char best[NEAREST_MAX];
	int distance;
};

/* Offer each known name; afterwards `best` is the nearest one, "" if none is near enough to be meant. */
void nearest_init(struct nearest *n, struct str typed);
void nearest_offer(struct nearest *n, struct str name);

#endif
