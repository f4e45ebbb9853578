/* The bytes of a list's file: a path, standard input ("-"), or memory; gzip is taken off wherever it comes.
 *
 * Reading from a pipe or terminal looks at `stop` a few times a second; a stopped read is ERR_AGAIN. */
#ifndef LISTS_INPUT_H
#define LISTS_INPUT_H

#include "src/base/err.h"
#include "src/base/str.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct input;

int input_open(struct input **in, const char *path, const atomic_bool *stop, struct err *e); /* ERR_NOINPUT */
int input_open_memory(struct input **in, struct str bytes, struct err *e);                   /* lent */
/* Bytes read, 0 at the end, -1. Damaged or cut gzip is ERR_DATA. */
ssize_t input_read(struct input *in, char *p, size_t n, struct err *e);
/* How far it is in the file, before gzip; size 0: unknown. From any thread. */
void input_progress(const struct input *in, int64_t *read, int64_t *size);
const char *input_name(const struct input *in);
void input_close(struct input **in); /* NULL is fine */

#endif
