/* Whole files, directories and atomic replacement. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "src/base/buf.h"
#include "src/base/err.h"

/* Reads the file (path "-": standard input) into `out`; passing out's ceiling is ERR_DATA. Else
 * ERR_NOINPUT / ERR_IO. */
int file_read(const char *path, struct buf *out, struct err *e);
/* Writes to a temporary file beside `path`, syncs and renames: readers see the old content or the new. Links
 * are followed; what is no regular file (/dev/stdout) is written to. ERR_CREATE / ERR_IO. */
int file_write(const char *path, struct str data, unsigned mode, struct err *e);
/* Creates; an existing file is an error (ERR_CREATE). */
int file_create(const char *path, struct str data, unsigned mode, struct err *e);
/* Gives the file `temp` of the same folder the name `path`, which must not be taken (ERR_CREATE), and syncs
 * the folder. The content is synced by whoever wrote it. */
int file_place(const char *temp, const char *path, struct err *e);
bool file_exists(const char *path);
/* `path` as seen from the folder of `from` (a file); absolute paths stay. malloc'd. */
char *path_beside(const char *from, const char *path);

#endif
