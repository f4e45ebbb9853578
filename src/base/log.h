/* The log: lines to standard error, or to the file of [log], in text or JSON.
 *
 * Levels: error (something failed for good), warn (it went on, but look), info (a milestone), debug (-v).
 * No secrets and no bodies are logged; bytes from outside are shown with control characters escaped.
 * Safe from any thread; a line is written by one write(2). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "src/base/err.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level max);
enum log_level log_level(void);
/* NULL path: standard error. Rotates to FILE.1 when `max_bytes` (0: never) is passed. */
int log_open(const char *path, bool json, long long max_bytes, struct err *e);
void log_reopen(void); /* after an outside rotation: SIGHUP of the daemon */
/* Called before and after a line goes to a terminal, so that a progress line can step aside. NULL: none. */
void log_set_hook(void (*hook)(bool before, void *ctx), void *ctx);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_err(enum log_level level, const struct err *e); /* "what: why (file:line)" */

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
	do {                                                                                                 \
		if (log_level() >= LOG_LEVEL_DEBUG)                                                          \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                             \
	} while (0)

#endif
