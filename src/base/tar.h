/* tar archives of plain files (POSIX ustar; sizes from 8 GiB on as GNU tar writes them): what `tar tf` lists
 * and `tar xf` unpacks. Reading takes only what tar_head() writes; everything else is ERR_DATA. */
#ifndef BASE_TAR_H
#define BASE_TAR_H

#include "src/base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define TAR_NAME_MAX 256 /* with its NUL; names are relative, without empty, `.` or `..` parts */

struct tar_member {
	char name[TAR_NAME_MAX];
	uint64_t size;
	unsigned mode;
	time_t mtime;
};

/* Writing: for each member tar_head(), its bytes, tar_fill(); at the end tar_end(). */
int tar_head(FILE *f, const struct tar_member *m, struct err *e); /* ERR_DATA: the name does not fit */
int tar_fill(FILE *f, uint64_t size, struct err *e);
int tar_end(FILE *f, struct err *e);

/* The next member; its bytes follow, and have to be read, then tar_skip_fill(). 1, 0 at the end, -1: damaged,
 * truncated, or something that tar_head() would not write. */
int tar_next(FILE *f, struct tar_member *m, struct err *e);
int tar_skip_fill(FILE *f, uint64_t size, struct err *e);

#endif
