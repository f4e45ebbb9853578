/* One line on standard error that is drawn again and again. Silent where standard error is no terminal, or
 * with -q. It steps aside for log lines. Calls from one thread; the log may come from any. One at a time. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

struct cli;
struct progress;

struct progress *progress_new(
	const struct cli *c); /* never NULL: out of memory is silent too (a static one) */
/* Draws at most ten times a second; the text is cut to the terminal's width. */
void progress_set(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Would a progress_set() draw now? So that an expensive text is made only when it is shown. */
bool progress_due(const struct progress *p);
void progress_end(struct progress **p); /* wipes the line */

#endif
