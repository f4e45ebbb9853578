/* The receiving side of SMTP and LMTP (RFC 5321, 2033, 2920, 1870, 3030, 3207, 4954, 6531, 3461, 2034),
 * without I/O and without a clock: bytes in, bytes out, policy by callbacks. One object is one connection. It
 * serves the sandbox and the return-path listener.
 *
 * Strict where laxness is dangerous: lines end in CRLF only, a message in CRLF.CRLF only, a bare CR or LF
 * refuses the message, bytes sent ahead behind STARTTLS are thrown away. Everything a client can make grow
 * has a limit.
 *
 * The owner feeds what arrives into smtp_server_input() and writes what smtp_server_output() shows. Callbacks
 * come from inside input() and answer(); they call nothing but what is said here. */
#ifndef ENGINE_SMTP_SERVER_H
#define ENGINE_SMTP_SERVER_H

#include "src/base/str.h"

#include <stdint.h>

struct smtp_server;

/* 0: no limit, but for `line`, `recipients` and `errors`, which then have their default. */
struct smtp_server_limits {
	uint64_t size;       /* bytes of a message; announced by SIZE */
	unsigned line;       /* bytes of a command line with its CRLF; default 2,048 */
	unsigned text_line;  /* of a line of the message, without CRLF: 998 by RFC 5321 */
	unsigned recipients; /* of a message: 452 then; default 100 */
	unsigned messages;   /* of a connection: 421 then */
	unsigned commands;   /* of a connection: 421 then */
	unsigned errors;     /* refused commands: 421 then; default 20 */
};

struct smtp_server_options { /* lent for the server's life */
	const char *name;    /* who we are, in the greeting and to EHLO */
	bool lmtp;
	bool starttls;       /* offered until smtp_server_tls_done() */
	bool auth;           /* PLAIN and LOGIN offered; on_auth decides */
	bool auth_required;  /* MAIL before AUTH is 530 */
	bool auth_plaintext; /* AUTH also without TLS */
	bool chunking, smtputf8, dsn;
	bool no_pipelining; /* not offered (it is tolerated all the same) */
	struct smtp_server_limits limits;
};

/* What a callback answers. The strings are used before it returns to the core's caller. A text of several
 * lines has \n in it. 421 closes after the reply. */
struct smtp_answer {
	int code;             /* SMTP_LATER, SMTP_DROP */
	const char *enhanced; /* "2.1.0"; NULL: none */
	const char *text;
};
#define SMTP_LATER 0  /* not decided yet: input rests until smtp_server_answer() */
#define SMTP_DROP  -1 /* close without a word about this one */

struct smtp_mail {
	struct str from; /* without <>; n == 0: the null sender */
	uint64_t size;   /* announced; 0: not */
	bool utf8, eightbit;
	struct str envid; /* DSN: xtext as it came */
};

/* NULL: the default answer, in brackets. */
struct smtp_server_ops {
	struct smtp_answer (*on_helo)(void *ctx, struct str name); /* (250: only the code counts) */
	struct smtp_answer (*on_auth)(void *ctx, struct str user, struct str password); /* (535) */
	struct smtp_answer (*on_mail)(void *ctx, const struct smtp_mail *m);            /* (250) */
	struct smtp_answer (*on_rcpt)(void *ctx, struct str rcpt);                      /* (250) without <> */
	/* DATA or the first BDAT; anything but 354 (and 250) refuses. (354) */
	struct smtp_answer (*on_begin)(void *ctx);
	/* The message's bytes, unstuffed. False: no more is wanted; it is swallowed and refused with 452. */
	bool (*on_data)(void *ctx, struct str piece);
	/* The message is complete (250). SMTP: once, rcpt is -1; LMTP: for each accepted recipient. */
	struct smtp_answer (*on_message)(void *ctx, int rcpt);
	/* The transaction is over: after on_message, RSET, EHLO, refusal, STARTTLS. Also before the first. */
	void (*on_reset)(void *ctx);
};

/* NULL: out of memory. */
struct smtp_server *smtp_server_new(
	const struct smtp_server_options *o, const struct smtp_server_ops *ops, void *ctx);
void smtp_server_free(struct smtp_server **s);

/* The greeting: 220, or a refusal, after which only QUIT is understood. text NULL: "ESMTP". */
void smtp_server_start(struct smtp_server *s, struct smtp_answer a);
/* Returns how many bytes were taken. Fewer than n: the rest must be given again after an answer, after output
 * was written, or (TLS) never: what smtp_server_wants_tls() leaves behind is dropped by this call itself. */
size_t smtp_server_input(struct smtp_server *s, const char *p, size_t n);
struct str smtp_server_output(const struct smtp_server *s);
void smtp_server_written(struct smtp_server *s, size_t n);
void smtp_server_answer(struct smtp_server *s, struct smtp_answer a); /* to SMTP_LATER */
bool smtp_server_wants_tls(const struct smtp_server *s); /* once the output is written, start TLS */
/* After the handshake; also before start(), where TLS comes from the first byte. */
void smtp_server_tls_done(struct smtp_server *s);
bool smtp_server_closing(const struct smtp_server *s); /* close once the output is written */
/* Says 421 and closes: timeout, shutdown. */
void smtp_server_close(struct smtp_server *s, const char *enhanced, const char *text);

struct smtp_server_state {
	bool greeted, tls, authenticated, in_data;
	struct str helo;
	unsigned long messages, commands, errors; /* of the connection */
	unsigned recipients;                      /* accepted, of this message */
};
struct smtp_server_state smtp_server_state(const struct smtp_server *s);

#endif
