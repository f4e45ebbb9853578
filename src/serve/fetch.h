/* Returned mail from a mailbox: IMAP (RFC 3501, UIDs and, where the server has it, MOVE) and POP3 (RFC 1939,
 * UIDL), over TLS, by libcurl.
 *
 * Each message is read once: what was read is remembered in the store, by UIDVALIDITY and UID or by UIDL. A
 * message is moved or deleted only if it is about a delivery of ours, and after what follows from it was
 * committed; whoever is interrupted in between reads it again, which counts once. Mail of others stays as it
 * was, unread. */
#ifndef SERVE_FETCH_H
#define SERVE_FETCH_H

#include "engine/bounce/intake.h"
#include "src/db/store.h"

struct fetch_options { /* borrowed */
	const struct config_mailbox *mailbox;
	struct intake *intake;
	struct store *store; /* the intake's */
	bool dry_run;        /* reads all there is, and changes nothing here or there */
	/* For each message; may be NULL. `label`: "mailbox old #17". Not 0 ends the round. */
	int (*row)(void *ctx, const char *label, const struct intake_result *r, struct err *e);
	void *ctx;
	const _Atomic bool *stop; /* NULL: none */
};

struct fetch_count {
	long read, matched;
};

/* One round. ERR_UNREACH, ERR_LOGIN, ERR_CONFIG (secret), ERR_DATA (no such folder), ERR_AGAIN, ERR_IO. */
int fetch_mailbox(const struct fetch_options *o, struct fetch_count *n, struct err *e);

/* A thread that looks into every mailbox of the configuration when it is time (serve). NULL and 0: there is
 * none. */
struct poller;
struct poller_options { /* lent for the poller's life */
	const struct config *config;
	const struct store_config *store;
	const struct token_keys *keys;
	const struct rules *rules;
};
int poller_start(struct poller **f, const struct poller_options *o, struct err *e);
void poller_stop(struct poller **f);

#endif
