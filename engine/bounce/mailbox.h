/* Messages as they lie in files: one in a file, many in an mbox, a Maildir, a folder of files.
 *
 * A message longer than MAILBOX_MESSAGE is handed over cut, so memory does not grow with what is in a file.
 * In an mbox a message begins with a line "From " at the beginning or behind an empty line; ">From " loses
 * its mark (mboxrd). Of a Maildir the messages in `new` are taken, and moved to `cur` as seen once they were
 * processed. */
#ifndef ENGINE_BOUNCE_MAILBOX_H
#define ENGINE_BOUNCE_MAILBOX_H

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/str.h"

#include <stdbool.h>
#include <stdio.h>

#define MAILBOX_MESSAGE ((size_t)1 << 20)

struct mailbox_message {
	const char *file; /* where it lies: the file's path, with "#N" behind it for the N-th of an mbox */
	struct str text;  /* without the mbox's own line */
	ms_t at; /* when it arrived there: the file's time, or the mbox line's; never later than now */
};
struct mailbox_reader { /* 0 goes on, anything else ends the walk, which returns it */
	int (*message)(void *ctx, const struct mailbox_message *m);
	int (*commit)(void *ctx);
	void *ctx;
};
#define MAILBOX_BATCH 64 /* messages at most, and not longer than some 40 ms */

/* keep: nothing is moved. ERR_NOINPUT, ERR_IO. */
int mailbox_walk(const char *path, bool keep, const struct mailbox_reader *r, struct err *e);
/* One stream, named `name`. many: it is an mbox if it begins as one; else one message, whose "From " line is
 * passed over. */
int mailbox_stream(
	FILE *f, const char *name, bool many, ms_t at, const struct mailbox_reader *r, struct err *e);

#endif
