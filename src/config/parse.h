/* The text of postrider.conf: lines, sections, comments, quotes, ${VAR}, includes. Knows no key. Used by
 * config.c only. */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "src/base/arena.h"
#include "src/config/config.h"

struct parse_ops {
	/* A [kind name] line, and again where an included file begins ("" "") and ends. name "": none. Lent.
	 */
	int (*section)(void *ctx, const char *kind, const char *name, struct config_at at, struct err *e);
	/* Value: cleaned, never empty, in the arena. */
	int (*value)(void *ctx, const char *key, const char *value, struct config_at at, struct err *e);
};

/* File names in `at` live in the arena. ERR_NOINPUT (the file itself), ERR_CONFIG. */
int parse_file(const char *path, struct arena *a, const struct parse_ops *ops, void *ctx, struct err *e);
/* The same from memory. */
int parse_text(struct str text, const char *name, struct arena *a, const struct parse_ops *ops, void *ctx,
	struct err *e);
/* Sets ERR_CONFIG with the place; -1. */
int config_bad(struct err *e, struct config_at at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
