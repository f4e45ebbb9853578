/* The store: everything that is remembered, in Postrider's own words.
 *
 * This header opens it; each other one beside it (contacts.h, ledger.h …) has the operations on one
 * subject.
 *
 * One `struct store` is one connection; it belongs to one thread at a time. Several processes may have the
 * same database open. Each driver (sqlite.c and its siblings; others later) writes its own SQL; no SQL leaves
 * src/db.
 *
 * Rules every operation keeps:
 *  - An operation is one transaction unless it says "in slices"; then it commits every few thousand rows, so
 * that no write lock is held over 100 ms and no read snapshot over 1 s, and while another process delivers it
 * leaves a pause between slices (the deliverer must get in).
 *  - Times are ms (src/base/clock.h), given by the caller.
 *  - An address has two forms (lists/address.h): `address`, the spelling for the wire, and `key`, what it is
 * compared by. The store never parses either.
 *  - Rows handed to a callback are lent for the call. A callback returns 0 to go on, anything else ends the
 * walk, and the operation returns that value (use > 0 for "enough", -1 for an error it filled in itself).
 *  - Functions return 0 / -1 with `struct err` filled: ERR_NOINPUT not found, ERR_DATA refused, ERR_AGAIN
 * busy for longer than the busy time or held by another process, ERR_IO the disk or a damaged database,
 * ERR_INTERNAL.
 *  - Changes a person asked for are written to the history by the operation itself, under the actor given at
 * opening.
 */
#ifndef DB_STORE_H
#define DB_STORE_H

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct suppress_rule; /* src/db/suppress.h */

enum store_mode {
	STORE_CREATE, /* must not exist; mode 0600 */
	STORE_READ,   /* queries only */
	STORE_WRITE,
};

struct store_config {
	const char *path;
	ms_t busy;                            /* how long to wait for another writer; 0: 10 s */
	const char *actor;                    /* "user@host command …", for the history */
	struct str forget_key;                /* HMAC key under which forgotten addresses are kept */
	const struct suppress_rule *suppress; /* NULL: suppress_rule_default; copied */
	const char *(*provider_of)(
		struct str domain); /* "google", …; "" unknown; domain as A-labels; may be NULL */
	void (*migrating)(
		int from, int to, void *ctx); /* told before an older schema is brought up; may be NULL */
	void *ctx;
	bool bulk;        /* import: 16 MiB of page cache in place of 1, checkpoints are a checkpointer's */
	const char *home; /* this machine (src/base/machine.h); NULL: not asked, see src/db/copies.h */
	bool home_chosen; /* `home` is a name that somebody gave, which alone counts */
	bool adopting;    /* open for writing although it is at home elsewhere: for store_adopt() alone */
	bool older;       /* open for reading although its schema is an older one: for store_check() alone */
};

/* ERR_NOINPUT: no database there (the remedy names `postrider init`); ERR_DATA: not a Postrider database,
 * damaged, or written by a newer version, or by an older one and only to be read; ERR_PAUSED: for writing,
 * and it is a copy. */
int store_open(struct store **s, enum store_mode mode, const struct store_config *c, struct err *e);
void store_close(struct store **s);
/* Changes when any other connection committed something; cheap enough for every loop turn. */
int64_t store_data_version(struct store *s);
/* Moves what the write-ahead log holds into the database, nearly without blocking writers. */
int store_checkpoint(struct store *s, struct err *e);
/* A thread that does so four times a second, for a process that writes much: the writer need not wait for the
 * disk then. */
struct checkpointer;
int checkpointer_start(struct checkpointer **c, const struct store_config *config, struct err *e);
void checkpointer_stop(struct checkpointer **c); /* NULL is fine */

/* Several calls as one transaction, for whoever has many messages at hand: one wait for the disk. Not longer
 * than 100 ms between the two, other writers wait. keep false: as if none of them had been made. */
int store_together(struct store *s, struct err *e);
int store_together_end(struct store *s, bool keep, struct err *e);

/* Small facts of the installation. */
int store_meta_get(
	struct store *s, const char *name, struct buf *out, struct err *e); /* ERR_NOINPUT: never set */
int store_meta_set(struct store *s, const char *name, struct str value, struct err *e);

#endif
