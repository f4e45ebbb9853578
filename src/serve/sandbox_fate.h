/* What becomes of an address in the sandbox.
 *
 * A profile is a name or a file of lines:
 *     rates    unknown=2%,full=1%,greylist=3%,block=0.5%
 *     rtt      80ms
 *     messages 20                 a connection closes after so many
 *     busy     5%                 of connections are refused with 421
 *     *@slow.example  slow-3      a pattern (* is anything) and a fate: a word of sandbox.h, or accept
 * Patterns come before words, the first match counts. */
#ifndef SERVE_SANDBOX_FATE_H
#define SERVE_SANDBOX_FATE_H

#include "engine/smtp/server.h"
#include "src/base/clock.h"
#include "src/base/err.h"

enum fate {
	FATE_ACCEPT,
	FATE_UNKNOWN,
	FATE_DISABLED,
	FATE_FULL,
	FATE_GREYLIST,
	FATE_DEFER,
	FATE_NEVER,
	FATE_BLOCK,
	FATE_SPAM,
	FATE_BIG,
	FATE_SLOW,
	FATE_LIMIT,
	FATE_QUOTA,
	FATE_DROP,
	FATE_DROP_DATA,
	FATE_DROP_END,
	FATE_RETURNED,
	FATE_RETURNED_FULL,
	FATE_COMPLAINT,
	FATE_AWAY,
	FATE_NFATES
};

struct fated {
	enum fate fate;
	unsigned n; /* of defer-N, slow-N */
};

struct fates;

/* profile NULL: clean. rates NULL: the profile's. ERR_CONFIG with file and line, ERR_USAGE for rates. */
struct fates *fates_new(const char *profile, const char *rates, uint64_t seed, bool words, struct err *e);
void fates_free(struct fates **f);

/* What will happen to this try. It is counted: deferrals and drops end after their number of tries. */
struct fated fates_try(struct fates *f, struct str rcpt);
/* The fate itself, without counting. */
struct fated fates_of(const struct fates *f, struct str rcpt);
bool fates_sender_refused(const struct fates *f, struct str from);

ms_t fates_rtt(const struct fates *f);
unsigned long fates_messages(const struct fates *f);              /* of a connection; 0: any number */
bool fates_busy(const struct fates *f, unsigned long connection); /* this connection is refused */

bool fates_span(struct str s, ms_t *out); /* "80ms", "2s", up to a minute */

bool fate_comes_back(enum fate fate); /* accepted, and then something is sent back */
/* At the end of the message, or already at RCPT? */
bool fate_at_end(enum fate fate);
/* In the words of the provider that serves the recipient's domain. The text is made in buf. */
struct smtp_answer fate_reply(enum fate fate, struct str rcpt, char *buf, size_t size);

#endif
