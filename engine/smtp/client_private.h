/* What client.c (the session and its bytes), hello.c, login.c and transaction.c (messages) share.
 *
 * Steps are what a reply can answer. `awaited` holds, in order, the steps whose commands were queued and
 * whose replies have not come: without PIPELINING one, with it up to the end of one message and the whole
 * envelope of the next. */
#ifndef ENGINE_SMTP_CLIENT_PRIVATE_H
#define ENGINE_SMTP_CLIENT_PRIVATE_H

#include "engine/smtp/client.h"
#include "engine/smtp/dialogue.h"

enum step {
	STEP_NONE,
	STEP_GREETING,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_LOGIN,
	STEP_RSET,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_END,
	STEP_QUIT,
	STEP_NSTEPS
};

enum phase { PHASE_NEW, PHASE_SETUP, PHASE_TLS, PHASE_OPEN, PHASE_QUIT, PHASE_CLOSED };

struct awaited {
	enum step step;
	uint64_t behind; /* the output offset behind the command: a reply that comes before is out of step */
};
#define AWAITED_MAX 8 /* a power of two; RSET or an end, MAIL, RCPT, DATA, QUIT */

enum own_refusal { OWN_NONE, OWN_TOO_LARGE, OWN_NO_UTF8, OWN_BAD_ADDRESS };

/* A message's place on the connection. It stays taken after the result while replies to its commands are to
 * come. */
struct slot {
	struct smtp_message *m; /* NULL: none, or its result is out */
	bool taken, begun;
	bool answered; /* the server said something about it */
	bool failed;   /* the result is out, the rest of the transaction is only cleared away */
	bool rcpt_accepted;
	enum own_refusal own;
	uint64_t end; /* the output offset behind its end; 0: not queued */
};

enum login_state { LOGIN_START, LOGIN_PLAIN_SENT, LOGIN_USER, LOGIN_PASSWORD, LOGIN_CANCEL };

struct smtp_client {
	const struct smtp_options *o;
	const struct smtp_client_ops *ops;
	void *ctx;
	unsigned id; /* in the log */
	enum phase phase;
	bool tls_active, trust_clear, quitting, due, out_of_step;
	/* Inside input(), timeout() or eof(): callbacks may run, and what is new is queued at their end. */
	bool busy;
	bool told; /* ready() was called and not yet answered by a message */
	ms_t now, since;
	size_t unread; /* input behind the reply that is being handled */
	struct smtp_reply_parser parser;
	struct smtp_caps caps;
	struct awaited awaited[AWAITED_MAX];
	unsigned awaited_first, nawaited;
	enum step answered_step; /* whose reply is being handled */

	struct buf out; /* commands; the lent pieces in data[] stand at offset data_at */
	size_t out_done, data_at;
	struct str data[2];
	uint64_t queued, written; /* output offsets since the start of the connection */
	bool secret_out;

	struct slot slots[2];
	unsigned first;   /* slots[first] is the current message, the other one the next */
	struct slot *put; /* whose commands are being queued */
	struct smtp_dialogue dialogue;
	int told_part; /* of the dialogue: what the callback at hand is about */
	/* The server took a MAIL whose transaction has not ended: RFC 5321 4.1.4 wants RSET. */
	bool open_transaction;
	unsigned long begun, answered;

	enum login_state login;
	struct smtp_reply own_reply;
	char own_text[160], why[256];
};

static inline bool smtp_ok(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}

/* client.c */
static inline int smtp_part(const struct smtp_client *c, const struct slot *s)
{
	return s != NULL ? (int)(s - c->slots) : DIALOGUE_SESSION;
}

void smtp_set_phase(struct smtp_client *c, enum phase phase);
/* The only place that queues a command and awaits its reply. */
void smtp_enter(struct smtp_client *c, enum step step);
enum step smtp_awaiting(const struct smtp_client *c); /* what the next reply answers; STEP_NONE: nothing */
/* Ends the session: results, then closed(). `why` may be NULL when there is a reply. smtp_refused() leaves a
 * QUIT behind. */
void smtp_fail(struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, const char *why);
void smtp_refused(
	struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, const char *why);
enum step smtp_out_of_step(struct smtp_client *c, enum step step, const struct smtp_reply *r);
enum smtp_stage smtp_step_stage(enum step step);

/* hello.c */
void smtp_put_ehlo(struct smtp_client *c);
void smtp_put_helo(struct smtp_client *c);
void smtp_put_starttls(struct smtp_client *c);
enum step smtp_on_greeting(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_ehlo(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_helo(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_starttls(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_logged_in(struct smtp_client *c);

/* transaction.c */
struct slot *smtp_current(struct smtp_client *c);
/* The results of all messages lent, as the connection is over; `reply` is about the one that `step` belongs
 * to. */
void smtp_messages_lost(
	struct smtp_client *c, enum step step, const struct smtp_reply *reply, const char *why);
void smtp_settle(struct smtp_client *c); /* inside callbacks' reach: results of our own, ready(), envelopes */
void smtp_begin_queued(struct smtp_client *c);
void smtp_put_mail(struct smtp_client *c);
void smtp_put_rcpt(struct smtp_client *c);
void smtp_put_data(struct smtp_client *c);
void smtp_put_end(struct smtp_client *c);
enum step smtp_on_rset(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_mail(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_rcpt(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_data(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_end(struct smtp_client *c, const struct smtp_reply *r);
void smtp_early_refusal(struct smtp_client *c, const struct smtp_reply *r);

/* login.c */
enum step smtp_login_start(struct smtp_client *c); /* STEP_NONE: closed, as no mechanism fits */
void smtp_put_login(struct smtp_client *c);
enum step smtp_on_login(struct smtp_client *c, const struct smtp_reply *r);

#endif
