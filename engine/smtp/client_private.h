/* What client.c (the session), output.c (its bytes), hello.c, login.c, transaction.c (messages), envelope.c
 * (their commands) and chunk.c (BDAT) share.
 *
 * Steps are what a reply can answer. `awaited` holds, in order, the steps whose commands were queued and
 * whose replies have not come: without PIPELINING one, with it up to the end of one message and the whole
 * envelope of the next, with CHUNKING all of several messages. */
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
	STEP_BDAT,
	STEP_QUIT,
	STEP_NSTEPS
};

enum phase { PHASE_NEW, PHASE_SETUP, PHASE_TLS, PHASE_OPEN, PHASE_QUIT, PHASE_CLOSED };

struct awaited {
	enum step step;
	uint64_t behind; /* the output offset behind the command: a reply that comes before is out of step */
};
enum { STEPS_EACH = 5 }; /* of one message: RSET, MAIL, RCPT, DATA and its end */

enum own_refusal { OWN_NONE, OWN_TOO_LARGE, OWN_NO_UTF8, OWN_BAD_ADDRESS };

/* A message's place on the connection. It stays taken after the result while replies to its commands are to
 * come. */
struct slot {
	struct smtp_message *m; /* NULL: none, or its result is out */
	bool taken, begun;
	bool answered; /* the server said something about it */
	bool failed;   /* the result is out, the rest of the transaction is only cleared away */
	bool held;     /* MAIL was refused, by c->held; RCPT's reply decides whether that can be believed */
	bool rcpt_accepted;
	unsigned char part; /* of the dialogue, from 0; stays when the place is left */
	enum own_refusal own;
	uint64_t end; /* the output offset behind its end; 0: not queued */
};

/* A message in the output: it is written from where it lies, in front of c->out.p + at. */
#define LOAD_PIECES 3
struct load {
	size_t at;
	struct str piece[LOAD_PIECES];
};

enum login_state {
	LOGIN_START,
	LOGIN_SENT, /* all there is in one: PLAIN, XOAUTH2, OAUTHBEARER */
	LOGIN_USER,
	LOGIN_PASSWORD,
	LOGIN_REFUSED, /* an access token was; the reply that says so comes after our empty answer */
	LOGIN_CANCEL
};

struct smtp_client {
	const struct smtp_options *o;
	const struct smtp_client_ops *ops;
	void *ctx;
	unsigned id; /* in the log */
	enum phase phase;
	bool tls_active, trust_clear, quitting, due, out_of_step, token_refused;
	/* Inside input(), timeout() or eof(): callbacks may run, and what is new is queued at their end. */
	bool busy;
	bool told; /* ready() was called and not yet answered by a message */
	ms_t now, since;
	size_t unread; /* input behind the reply that is being handled */
	struct smtp_reply_parser parser;
	struct smtp_caps caps;
	/* Places of messages: as many as may be under way, SMTP_IN_FLIGHT_MAX at most. */
	unsigned nplaces;
	struct awaited *awaited; /* a ring of STEPS_EACH x nplaces */
	unsigned awaited_first, nawaited;
	enum step answered_step; /* whose reply is being handled */

	struct buf out; /* commands, and the loads between them */
	size_t out_done;
	struct load *loads; /* a ring of nplaces */
	unsigned first_load, nloads;
	uint64_t queued, written; /* output offsets since the start of the connection */
	bool secret_out;

	struct slot *slots; /* a ring of nplaces; slots[first] is the current message */
	unsigned first, ntaken;
	struct slot *put; /* whose commands are being queued */
	struct smtp_dialogue dialogue;
	/* Which of its parts are in use, a bit each: the lowest free one is taken, as each keeps the room
	 * that it grew to, and there are far more places than messages under way. */
	uint64_t parts;
	int told_part; /* of the dialogue: what the callback at hand is about */
	/* The server took a MAIL whose transaction has not ended: RFC 5321 4.1.4 wants RSET. */
	bool open_transaction;
	bool proved; /* a message that went out whole was accepted: others may follow before the answer */
	unsigned long begun, answered;
	unsigned refusals;      /* of recipients whose message had gone out */
	struct smtp_reply held; /* a slot's refused MAIL; its text is in held_text */
	char held_text[1000];

	enum login_state login;
	char *secret; /* the response with password or access token, while the login lasts */
	size_t secret_n;
	struct smtp_reply own_reply;
	char own_text[160], why[256];
};

static inline bool smtp_ok(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}

/* client.c */
static inline int smtp_part(const struct slot *s)
{
	return s != NULL ? DIALOGUE_SESSION + 1 + s->part : DIALOGUE_SESSION;
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

/* output.c */
bool smtp_output_pending(const struct smtp_client *c);
bool smtp_data_pending(const struct smtp_client *c);
void smtp_drop_output(struct smtp_client *c);
/* Puts the message itself into the output. */
void smtp_lend(struct smtp_client *c, const struct smtp_message *m);

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
bool smtp_pipelined(const struct smtp_client *c);
bool smtp_chunked(const struct smtp_client *c);
static inline struct slot *smtp_slot(struct smtp_client *c, unsigned i)
{
	return &c->slots[(c->first + i) % c->nplaces];
}
static inline struct slot *smtp_current(struct smtp_client *c)
{
	return smtp_slot(c, 0);
}
/* The server's answer to the current message. `over`: no more replies to its commands will come. */
void smtp_answer(struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, bool over);
void smtp_slot_over(struct smtp_client *c); /* the current one */
/* The results of all messages lent, as the connection is over; `reply` is about the one that `step` belongs
 * to. */
void smtp_messages_lost(
	struct smtp_client *c, enum step step, const struct smtp_reply *reply, const char *why);
void smtp_settle(struct smtp_client *c); /* inside callbacks' reach: results of our own, ready(), envelopes */
void smtp_begin_queued(struct smtp_client *c);
enum step smtp_on_rset(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_mail(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_rcpt(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_data(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_end(struct smtp_client *c, const struct smtp_reply *r);
void smtp_early_refusal(struct smtp_client *c, const struct smtp_reply *r);

/* chunk.c: the replies to MAIL, RCPT and BDAT that went out together */
enum step smtp_on_chunked_mail(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_chunked_rcpt(struct smtp_client *c, const struct smtp_reply *r);
enum step smtp_on_bdat(struct smtp_client *c, const struct smtp_reply *r);

/* envelope.c */
uint64_t smtp_message_size(const struct smtp_message *m);
enum own_refusal smtp_look_at(const struct smtp_client *c, const struct smtp_message *m);
void smtp_put_mail(struct smtp_client *c);
void smtp_put_rcpt(struct smtp_client *c);
void smtp_put_data(struct smtp_client *c);
void smtp_put_end(struct smtp_client *c);
void smtp_put_bdat(struct smtp_client *c);

/* login.c */
enum step smtp_login_start(struct smtp_client *c); /* STEP_NONE: closed, as no mechanism fits */
void smtp_put_login(struct smtp_client *c);
enum step smtp_on_login(struct smtp_client *c, const struct smtp_reply *r);
void smtp_login_over(struct smtp_client *c); /* also where none was begun: forgets the secret */

#endif
