/* A local mail world to rehearse against: an SMTP server on loopback that accepts, defers, refuses, drops and
 * loses mail as real receivers do. It runs in a thread of its own, so `send --rehearse`, `make demo` and
 * tests start it in their own process.
 *
 * What becomes of an address is fixed: by words in it (below), else by the profile, at random by a hash of
 * seed and address. The same address has the same fate each time; deferrals and drops remember how often they
 * were tried.
 *
 * The words stand at the end of the local part (bounce@, ann-full@, ann+defer-2@) or as the first label of
 * the domain (ann@full.example):
 *
 * - at RCPT: bounce or unknown (550, no such user), disabled (550, switched off), full (the mailbox), never
 * (451 always)
 *
 * - at RCPT for a while: greylist (450 once), defer-N (451 N times, once without a number), limit (421 once,
 * we send too fast)
 *
 * - at the end: block (policy), spam, big (too large), quota (454, the account's daily one), slow-N (accepted
 * after N seconds, 5 without a number)
 *
 * - closed without a reply, once: drop (at RCPT), drop-data (in the middle of the message), drop-end (after
 * the message was taken)
 *
 * - accepted, and later something comes back, if it has somewhere to go (return_to): returned (unknown user),
 * returned-full, complaint, away (an automatic answer)
 *
 * A sender whose local part ends in `refused` is not allowed (553 at MAIL). The wording is that of the
 * recipient's provider. */
#ifndef SERVE_SANDBOX_H
#define SERVE_SANDBOX_H

#include "src/base/clock.h"
#include "src/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox;

struct sandbox_options {     /* zero is the default; the strings are lent for the call */
	int port;            /* 0: any */
	const char *profile; /* "clean" (default), "typical", "hostile", or a file: see sandbox_fate.h */
	const char *rates;   /* "unknown=2%,full=0.5%": in place of the profile's */
	uint64_t seed;
	bool no_words;      /* addresses mean nothing: only the profile decides */
	ms_t rtt;           /* every byte we say goes out this much later */
	bool tls;           /* STARTTLS with a certificate of our own, for localhost, 127.0.0.1 and ::1 */
	bool tls_implicit;  /* TLS from the first byte */
	const char *ca_out; /* where that certificate is written as PEM, to verify it with; NULL: nowhere */
	const char *auth;   /* "user:password"; NULL: no login needed */
	const char *keep;   /* a Maildir for what is accepted; NULL: discarded */
	const char *return_to; /* "127.0.0.1:PORT": where bounces and complaints are sent; NULL: nowhere */
	const char *log;       /* JSON Lines, one for each recipient; NULL: none */
	int max_connections;   /* 0: 2,000; the next ones are refused with 421 */
	unsigned long messages_per_connection; /* 0: as the profile says */
	bool no_pipelining, no_chunking;       /* not offered */
};

struct sandbox_counts { /* since the start; of recipients, but for the last line */
	unsigned long accepted, refused, deferred, dropped;  /* dropped: closed without a reply */
	unsigned long messages, connections, open, returned; /* open: connections now */
	unsigned long long bytes;
};

/* Listening on 127.0.0.1 when it returns. NULL: ERR_USAGE, ERR_CONFIG (profile), ERR_NOINPUT, ERR_CREATE,
 * ERR_IO, ERR_INTERNAL. */
struct sandbox *sandbox_start(const struct sandbox_options *o, struct err *e);
int sandbox_port(const struct sandbox *s);
struct sandbox_counts sandbox_counts(const struct sandbox *s); /* from any thread */
/* Closes all and joins the thread. What was kept and logged is in its files. */
void sandbox_stop(struct sandbox **s);

#endif
