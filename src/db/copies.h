/* Copies of a database: making one, and where one is at home.
 *
 * A database is at home on one machine, at one path. One that was carried elsewhere, or copied while the
 * original is still there, is only read until somebody adopts it: two that send would mail people twice. One
 * that was moved on its machine goes on, and so does who sees the very file under another machine's name. */
#ifndef DB_COPIES_H
#define DB_COPIES_H

#include "src/db/campaign.h"
#include "src/db/store.h"

/* Consistent copy while others write, as of one moment: the read snapshot lasts as long as the copying, so
 * that the write-ahead log grows by what others write meanwhile. Mode 0600, must not exist; not synced.
 * `step` (may be NULL) is told the bytes done; anything but 0 ends it with ERR_AGAIN. */
int store_backup(struct store *s, const char *path, int (*step)(void *ctx, int64_t done, int64_t of),
	void *ctx, struct err *e);

struct copy_campaign { /* one that is not over */
	struct str name;
	enum campaign_state state;
	int64_t audience;
	int64_t unsent; /* queued, deferred or on the wire as this copy knows it: may have been sent since */
	int64_t doubt;
};
struct adopt {
	const char *how; /* for the history: "adopt", "restore" */
	ms_t as_of;      /* the copy shows things as they were then; 0: as its last holder or change says */
	ms_t now;
	bool detached;        /* surely nobody writes to this very file */
	struct str home_path; /* where it will lie; n == 0: where it lies */
	/* What is kept as the reason of the pause, told to whoever resumes it. */
	void (*say)(void *ctx, const struct copy_campaign *c, ms_t as_of, const char *host, struct buf *text);
	void *ctx;
};
struct adopted {
	char host[256]; /* where it was at home; "": never told */
	ms_t as_of;
	int64_t campaigns; /* paused */
};
/* Pauses every campaign that is not over (reason `restored`), makes this machine the database's home, and
 * numbers new people, lists and campaigns from beyond what the original may have given out meanwhile, so that
 * a token in mail which it sent names nobody here. ERR_AGAIN: a process elsewhere writes to it right now. */
int store_adopt(struct store *s, const struct adopt *a, struct adopted *done, struct err *e);
/* 1: for writing this database needs no adopting; 0: it is a copy. */
int store_is_home(struct store *s, struct err *e);
/* 1: it was adopted; what happened between the two times elsewhere is not known to it. 0: never. */
int store_adopted(struct store *s, ms_t *as_of, ms_t *at, struct err *e);

#endif
