/* A file of results: written beside its place, under a name that nobody can foresee or prepare, and renamed
 * when whole. A link stays one: the file it leads to is replaced. What is no regular file (/dev/stdout) is
 * written to; path "-" or NULL is standard output. */
#ifndef BASE_OUTFILE_H
#define BASE_OUTFILE_H

#include "src/base/err.h"

#include <stdio.h>

struct output {
	FILE *f;
	char *path, *temp;
};

int output_open(struct output *o, const char *path, struct err *e); /* ERR_CREATE */
int output_commit(struct output *o, struct err *e);                 /* ERR_IO */
void output_abandon(struct output *o); /* after an error; harmless after a commit */
int output_error(struct err *e); /* ERR_IO "cannot write the output" (the reader's going away included); -1 */

#endif
