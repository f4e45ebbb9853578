/* Places where a test wants to break the program: `fault_point("intent-before")` stands right before the
 * commit of intents, `…-after` right behind it.
 *
 * The function has no definition in the program as it ships: the call is a test of a constant and nothing
 * else. The program of the fault tests is linked from the very same objects, and brings one
 * (tests/fault/inject). */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stddef.h>

void fault_listen(const char *name) __attribute__((weak));

#define fault_point(name)                                                                                    \
	do {                                                                                                 \
		if (fault_listen != NULL)                                                                    \
			fault_listen(name);                                                                  \
	} while (0)

#endif
