/* Where returned mail comes in: an SMTP (RFC 5321) or LMTP (RFC 2033) server that takes mail to our own
 * return paths, to unsubscribe and feedback addresses, and to postmaster@ and abuse@ of the return path's
 * domain (RFC 2142), and refuses everything else at RCPT. It never relays and never makes mail.
 *
 * One thread serves the connections, another one reads and acts (engine/bounce/intake.h) with a store of its
 * own; 250 is said after the commit, 451 when it must come again. What is known without the store is decided
 * at RCPT: an address counts by its token alone.
 *
 * Bounded whatever is sent: connections in all and from one address (the one that got nowhere for longest
 * makes room), bytes held, messages to one address in an hour, time. */
#ifndef SERVE_LISTENER_H
#define SERVE_LISTENER_H

#include "engine/outcome.h"
#include "engine/token.h"
#include "src/config/config.h"
#include "src/db/store.h"

struct listener;

struct listener_options { /* all lent for the listener's life */
	const struct config *config;
	const struct store_config *store;
	const struct token_keys *keys;
	const struct rules *rules;
};

/* Binds what [return-path] listen names ("0.0.0.0:25, [::]:25, lmtp:/run/postrider/lmtp, lmtp:127.0.0.1:24"),
 * before privileges are dropped; `c` is lent for the listener's life. *out NULL and 0: nothing is configured.
 * ERR_AGAIN: another program has the port; ERR_CREATE: it cannot be had. */
int listener_bind(const struct config *c, struct listener **out, struct err *e);
/* Logs how the mail server that has the port can hand over. */
void listener_advice(const struct config *c);
/* Serves from now on. ERR_CONFIG (certificate), ERR_CREATE (postmaster's Maildir), ERR_INTERNAL. */
int listener_start(struct listener *l, const struct listener_options *o, struct err *e);
void listener_reload(struct listener *l); /* reads the certificate anew; a bad one leaves the old */
/* Finishes the messages that are in, tells the others to come again. NULL is fine. */
void listener_stop(struct listener **l);

#endif
