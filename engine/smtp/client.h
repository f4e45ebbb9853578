/* The SMTP client's protocol core (RFC 5321, 2920, 3030, 1870, 3207, 4954, 7628, 2034, 3461, 6531, 8689,
 * 9422): bytes and times in, bytes and deadlines out. It does no I/O, reads no clock, and allocates nothing
 * for each message: a test plays a dialogue in a millisecond (tests/flow), a fuzzer can hold it.
 *
 * The owner (conn.h) moves bytes: what smtp_client_output() shows goes to the wire, what arrives goes into
 * smtp_client_input(). Callbacks come from inside input(), timeout() and eof() and may call
 * smtp_client_send() and smtp_client_quit(), nothing else.
 *
 * A message given to smtp_client_send() is lent until its result, which comes exactly once, in order, also
 * when the connection dies. Several messages can be under way:
 * - With PIPELINING the next envelope goes out behind this message's end, so that on a warm connection a
 *   message costs one round trip.
 * - With CHUNKING as well, and if the owner wants it, MAIL, RCPT and BDAT LAST with the message go out
 *   together, and once the server accepted one this way on this connection, further messages behind it
 *   (with RSET before each, so that what became of one never touches the next).
 *
 * One rule decides doubt: `doubt` is true exactly when the last byte of the message's end was handed to the
 * wire (smtp_client_written) and no reply to it came. 421 is a reply to all that stands behind it: the server
 * reads no more. */
#ifndef ENGINE_SMTP_CLIENT_H
#define ENGINE_SMTP_CLIENT_H

#include "engine/smtp/caps.h"
#include "engine/smtp/reply.h"
#include "src/base/clock.h"

#include <sys/uio.h>

struct smtp_client;

enum smtp_stage { /* what the last reply (or silence) answered */
	SMTP_DNS, /* the receiver's hosts: of direct routes, before any connection */
	SMTP_CONNECT,
	SMTP_GREETING,
	SMTP_EHLO,
	SMTP_STARTTLS,
	SMTP_TLS,
	SMTP_AUTH,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_END,
	SMTP_IDLE,
	SMTP_QUIT,
	SMTP_NSTAGES
};
extern const char *const smtp_stage_names[SMTP_NSTAGES]; /* "connect", "greeting", "ehlo", … */

enum smtp_tls { SMTP_TLS_NONE, SMTP_TLS_OPPORTUNISTIC, SMTP_TLS_STARTTLS, SMTP_TLS_IMPLICIT };
enum smtp_auth {
	SMTP_AUTH_ANY, /* PLAIN or LOGIN */
	SMTP_AUTH_PLAIN,
	SMTP_AUTH_LOGIN,
	SMTP_AUTH_XOAUTH2, /* these two with an access token */
	SMTP_AUTH_OAUTHBEARER,
};

#define SMTP_IN_FLIGHT_MAX 64
#define SMTP_TOKEN_MAX     8192 /* bytes of an access token */

struct smtp_timeouts {
	ms_t greeting, ehlo, tls, auth, mail, rcpt, data, block, end, quit;
};
extern const struct smtp_timeouts smtp_timeouts_default; /* RFC 5321 4.5.3.2 */

struct smtp_options {     /* lent for the client's life */
	const char *helo; /* our FQDN or address literal */
	enum smtp_tls tls;
	const char *tls_by; /* with STARTTLS: who demands it; NULL: this route */
	enum smtp_auth auth;
	const char *user, *password; /* NULL: no AUTH */
	/* Access tokens grow old: asked for one at each login, in place of `password`. Writes at most `max`
	 * bytes and returns how many; 0: there is none now. NULL: `password` is the token. */
	size_t (*token)(void *token_ctx, char *out, size_t max);
	void *token_ctx;
	bool pipeline; /* false: one at a time, whatever is offered */
	/* With PIPELINING and CHUNKING: by BDAT, with up to so many messages under way (at most
	 * SMTP_IN_FLIGHT_MAX). 0: by DATA. */
	int chunking;
	/* RFC 8689: MAIL carries REQUIRETLS; a server that does not offer it under TLS gets no mail. */
	bool require_tls;
	const struct smtp_timeouts *timeouts;
};

/* CRLF lines; the header ends with its empty line. Nothing needs dot-stuffing: the composer leaves no line
 * that begins with a dot (asserted in builds with the address sanitizer). */
struct smtp_message {
	struct str from, rcpt;         /* wire form, without <> */
	struct str header, body, tail; /* sent in this order; `tail` may be shared by many messages */
	struct str envid;              /* for DSN (RFC 3461 4.4); n == 0: none */
	bool utf8;                     /* needs SMTPUTF8 */
	void *user;
};

struct smtp_result {
	enum smtp_stage stage;
	bool accepted; /* 250 after the end */
	bool tried;    /* false: nothing of it was answered or is in doubt: give it to another connection */
	bool doubt;
	bool out_of_step; /* closed(): replies did not match commands; go one at a time with this server */
	/* closed(): the access token was refused (RFC 7628 3.2.3); a fresh one may do. */
	bool token_refused;
	const struct smtp_reply *reply; /* NULL: none came (`why` says what happened instead) */
	const char *why;
};

struct smtp_client_ops {
	/* May take one more message: call smtp_client_send() now or later. Comes once for each message that
	 * it may take. */
	void (*ready)(void *ctx);
	void (*result)(void *ctx, struct smtp_message *m, const struct smtp_result *r);
	void (*starttls)(void *ctx); /* the owner starts TLS now, then calls smtp_client_tls_done() */
	/* The last callback. `r` says at which stage and why; r->reply may be NULL. clean: the server was
	 * told QUIT when nothing was under way, or 421 came between messages. All results were delivered
	 * before. */
	void (*closed)(void *ctx, bool clean, const struct smtp_result *r);
};

struct smtp_client *smtp_client_new(
	const struct smtp_options *o, const struct smtp_client_ops *ops, void *ctx);
void smtp_client_free(struct smtp_client **c);

/* Credentials go over TLS only, unless this was called: the peer is this very host, no TLS is required. */
void smtp_client_trust_clear(struct smtp_client *c);
void smtp_client_start(struct smtp_client *c, ms_t now); /* connected (implicit TLS done) */
void smtp_client_tls_done(struct smtp_client *c, ms_t now);
void smtp_client_input(struct smtp_client *c, const char *p, size_t n, ms_t now);
/* Up to `max` pieces to write, in order; 0: nothing to write. The pieces stay valid until the next call into
 * the client. After closed() a QUIT may still be there, to be written if that goes at once. */
int smtp_client_output(struct smtp_client *c, struct iovec *v, int max);
void smtp_client_written(struct smtp_client *c, size_t n, ms_t now);
/* 0: none. When it has passed, call smtp_client_timeout(). */
ms_t smtp_client_deadline(const struct smtp_client *c);
void smtp_client_timeout(struct smtp_client *c, ms_t now);
/* The connection was closed or reset, or TLS failed; `why` is for people. */
void smtp_client_eof(struct smtp_client *c, const char *why, ms_t now);

/* Between STARTTLS and the first answer under TLS. Only that answer shows that TLS works: with TLS 1.3 the
 * client's handshake is over before the server has judged it. */
bool smtp_client_at_starttls(const struct smtp_client *c);
/* Past greeting, EHLO, TLS and AUTH, and not closed. */
bool smtp_client_established(const struct smtp_client *c);
bool smtp_client_ready(const struct smtp_client *c); /* smtp_client_send() is allowed */
/* What the client itself refuses (larger than SIZE, SMTPUTF8 not offered, an address that could end its path)
 * gets a result with a reply of our own words (552, 553), in its turn; called outside a callback,
 * smtp_client_deadline() is due at once. */
void smtp_client_send(struct smtp_client *c, struct smtp_message *m, ms_t now);
void smtp_client_quit(struct smtp_client *c, ms_t now); /* after what is under way */
/* What EHLO offered; for logs, SIZE checks and tests. With mail_max the client closes after that many
 * messages by itself. */
const struct smtp_caps *smtp_client_caps(const struct smtp_client *c);
/* Inside result() and closed(), before anything else is called: what was said, one line for each command,
 * reply and event (dialogue.h); in result() the session's beginning and that message's part. At most 6 KB. */
void smtp_client_dialogue(const struct smtp_client *c, struct buf *out);
/* The owner's word in the dialogue: what address was connected, which TLS. */
void smtp_client_note(struct smtp_client *c, struct str text, ms_t now);
int smtp_client_in_flight(const struct smtp_client *c);      /* messages lent */
unsigned long smtp_client_sent(const struct smtp_client *c); /* messages answered on this connection */

#endif
