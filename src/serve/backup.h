/* Everything of an installation in one file, and back.
 *
 * The file is a tar archive (src/base/tar.h), so that it can be opened without Postrider:
 *   backup.json   when, where, from which folder, what each file is, what was left out
 *   the files     those in the folder of the configuration by their path from there, others as outside/PATH
 *   SHA256SUMS    of all of them, as sha256sum(1) checks it; at the end, so that a part of a backup is known
 * as one Passwords, TLS keys and other files that somebody else renews are named in backup.json, not copied.
 */
#ifndef SERVE_BACKUP_H
#define SERVE_BACKUP_H

#include "src/config/config.h"
#include "src/db/store.h"

#include <jansson.h>

struct backup_watch { /* may be NULL */
	/* Told now and then; anything but 0 ends it with ERR_AGAIN. */
	int (*progress)(void *ctx, const char *what, int64_t done, int64_t of);
	void *ctx;
};

/* Writes `file`, mode 0600, which must not exist: whole and synced, or not at all. The database is the one
 * that `s` has open; others go on writing to it. *manifest: as backup.json; the caller's to release.
 * ERR_CREATE, ERR_IO. */
int backup_write(struct store *s, const struct config *cfg, const char *file, const struct backup_watch *w,
	json_t **manifest, struct err *e);

/* ---- Restoring: unpack, place, finish ---- */

struct restore;

/* Unpacks beside the places where the files will go, under other names, and compares the sums. dir NULL: the
 * folder it was made from. Nothing that is there is touched: ERR_CREATE if a database or another file of that
 * name with something else in it is in the way. ERR_DATA: it is damaged, or no backup. */
int restore_unpack(
	struct restore **out, const char *file, const char *dir, const struct backup_watch *w, struct err *e);
/* All but the database gets its name. */
int restore_place(struct restore *r, struct err *e);
/* And the database, once the caller has looked at it. */
int restore_finish(struct restore *r, struct err *e);
/* Removes what has no name yet and, unless it was finished, what got one. */
void restore_free(struct restore **r);

const char *restore_config(const struct restore *r);        /* path of the configuration; NULL: it had none */
const char *restore_database(const struct restore *r);      /* where it will be */
const char *restore_database_temp(const struct restore *r); /* where it is until restore_finish() */
ms_t restore_made(const struct restore *r);
const json_t *restore_manifest(const struct restore *r);

#endif
