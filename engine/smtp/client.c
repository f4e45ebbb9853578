#include "engine/smtp/client_private.h"

#include "src/base/log.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX      65536
#define ENVELOPE_MAX 4096 /* RSET, MAIL, RCPT, BDAT with the longest paths there are */

const char *const smtp_stage_names[SMTP_NSTAGES] = {"dns", "connect", "greeting", "ehlo", "starttls", "tls",
	"auth", "mail", "rcpt", "data", "end", "idle", "quit"};

const struct smtp_timeouts smtp_timeouts_default = {
	.greeting = 5 * MINUTE,
	.ehlo = 5 * MINUTE,
	.tls = MINUTE,
	.auth = MINUTE,
	.mail = 5 * MINUTE,
	.rcpt = 5 * MINUTE,
	.data = 2 * MINUTE,
	.block = 3 * MINUTE,
	.end = 10 * MINUTE,
	.quit = 10 * SECOND,
};

static void put_rset(struct smtp_client *c);
static void put_quit(struct smtp_client *c);
static enum step on_quit(struct smtp_client *c, const struct smtp_reply *r);

/* `enter` writes the command; `reply` returns the step that follows, or STEP_NONE where nothing is to be sent
 * now. */
static const struct {
	const char *name;
	enum smtp_stage stage;
	size_t timeout;
	void (*enter)(struct smtp_client *c);
	enum step (*reply)(struct smtp_client *c, const struct smtp_reply *r);
} steps[STEP_NSTEPS] = {
#define TIMEOUT(name) offsetof(struct smtp_timeouts, name)
	[STEP_NONE] = {"nothing", SMTP_IDLE, 0, NULL, NULL},
	[STEP_GREETING] = {"greeting", SMTP_GREETING, TIMEOUT(greeting), NULL, smtp_on_greeting},
	[STEP_EHLO] = {"EHLO", SMTP_EHLO, TIMEOUT(ehlo), smtp_put_ehlo, smtp_on_ehlo},
	[STEP_HELO] = {"HELO", SMTP_EHLO, TIMEOUT(ehlo), smtp_put_helo, smtp_on_helo},
	[STEP_STARTTLS] = {"STARTTLS", SMTP_STARTTLS, TIMEOUT(tls), smtp_put_starttls, smtp_on_starttls},
	[STEP_LOGIN] = {"AUTH", SMTP_AUTH, TIMEOUT(auth), smtp_put_login, smtp_on_login},
	[STEP_RSET] = {"RSET", SMTP_MAIL, TIMEOUT(mail), put_rset, smtp_on_rset},
	[STEP_MAIL] = {"MAIL", SMTP_MAIL, TIMEOUT(mail), smtp_put_mail, smtp_on_mail},
	[STEP_RCPT] = {"RCPT", SMTP_RCPT, TIMEOUT(rcpt), smtp_put_rcpt, smtp_on_rcpt},
	[STEP_DATA] = {"DATA", SMTP_DATA, TIMEOUT(data), smtp_put_data, smtp_on_data},
	[STEP_END] = {"end of the message", SMTP_END, TIMEOUT(end), smtp_put_end, smtp_on_end},
	[STEP_BDAT] = {"BDAT", SMTP_END, TIMEOUT(end), smtp_put_bdat, smtp_on_bdat},
	[STEP_QUIT] = {"QUIT", SMTP_QUIT, TIMEOUT(quit), put_quit, on_quit},
#undef TIMEOUT
};

enum smtp_stage smtp_step_stage(enum step step)
{
	return steps[step].stage;
}

enum step smtp_awaiting(const struct smtp_client *c)
{
	return c->nawaited != 0 ? c->awaited[c->awaited_first].step : STEP_NONE;
}

void smtp_set_phase(struct smtp_client *c, enum phase phase)
{
	static const char *const names[] = {"new", "setup", "tls", "open", "quit", "closed"};
	log_debug("smtp#%u is %s", c->id, names[phase]);
	c->phase = phase;
}

struct smtp_client *smtp_client_new(
	const struct smtp_options *o, const struct smtp_client_ops *ops, void *ctx)
{
	static atomic_uint ids;
	struct smtp_client *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->o = o;
	c->nplaces = o->chunking < 2                    ? 2
		     : o->chunking < SMTP_IN_FLIGHT_MAX ? (unsigned)o->chunking
							: SMTP_IN_FLIGHT_MAX;
	c->awaited = calloc((size_t)STEPS_EACH * c->nplaces, sizeof *c->awaited);
	c->loads = calloc(c->nplaces, sizeof *c->loads);
	c->slots = calloc(c->nplaces, sizeof *c->slots);
	buf_init(&c->out, OUT_MAX + c->nplaces * ENVELOPE_MAX);
	if (!smtp_dialogue_init(&c->dialogue, (int)c->nplaces) || c->awaited == NULL || c->loads == NULL ||
		c->slots == NULL || !buf_reserve(&c->out, 1024)) { /* two envelopes; grows for rare ones */
		smtp_client_free(&c);
		return NULL;
	}
	c->ops = ops;
	c->ctx = ctx;
	c->id = 1 + atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed);
	smtp_reply_init(&c->parser);
	c->told_part = DIALOGUE_SESSION;
	return c;
}

void smtp_client_free(struct smtp_client **cp)
{
	struct smtp_client *c = *cp;
	*cp = NULL;
	if (c == NULL)
		return;
	smtp_login_over(c);
	if (c->out.p != NULL)
		explicit_bzero(c->out.p, c->out.cap);
	buf_release(&c->out);
	smtp_reply_release(&c->parser);
	smtp_dialogue_release(&c->dialogue);
	free(c->awaited);
	free(c->loads);
	free(c->slots);
	free(c);
}

/* ---- Commands ---- */

/* Which part of the dialogue a step belongs to. */
static int part_of(enum step step, const struct slot *s)
{
	return step >= STEP_RSET && step <= STEP_BDAT ? smtp_part(s) : DIALOGUE_SESSION;
}

static void trace(struct smtp_client *c, enum step step, struct str line)
{
	int part = part_of(step, c->put);
	if (step == STEP_LOGIN)
		line = STR("AUTH ***");
	if (step == STEP_END && c->put->m != NULL) /* BDAT says how long it is */
		smtp_dialogue_message(&c->dialogue, part, smtp_message_size(c->put->m), c->now);
	smtp_dialogue_command(&c->dialogue, part, line, c->now);
	if (log_level() < LOG_LEVEL_DEBUG)
		return;
	while (line.n != 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	log_debug("smtp#%u > %.*s", c->id, STR_ARG(line));
}

void smtp_client_dialogue(const struct smtp_client *c, struct buf *out)
{
	smtp_dialogue_get(&c->dialogue, c->told_part, out);
}

void smtp_client_note(struct smtp_client *c, struct str text, ms_t now)
{
	smtp_dialogue_note(&c->dialogue, DIALOGUE_SESSION, text, now);
}

void smtp_enter(struct smtp_client *c, enum step step)
{
	if (c->nawaited == 0 || !smtp_output_pending(c))
		c->since = c->now;
	if (steps[step].enter != NULL) {
		size_t from = c->out.len;
		steps[step].enter(c);
		if (c->out.failed) {
			c->due = true; /* found by settle(), where callbacks may run */
			return;
		}
		c->queued += c->out.len - from;
		if ((step == STEP_END || step == STEP_BDAT) && c->put->m != NULL)
			c->put->end = c->queued;
		trace(c, step, str_n(c->out.p + from, c->out.len - from));
	}
	assert(c->nawaited < STEPS_EACH * c->nplaces);
	c->awaited[(c->awaited_first + c->nawaited++) % (STEPS_EACH * c->nplaces)] =
		(struct awaited){step, c->queued};
}

/* ---- The end of a session ---- */

enum farewell { FAREWELL_NONE, FAREWELL_QUIT };

static void finish(struct smtp_client *c, bool clean, enum farewell farewell, enum smtp_stage stage,
	const struct smtp_reply *reply, const char *why)
{
	enum step step = c->answered_step != STEP_NONE ? c->answered_step : smtp_awaiting(c);
	snprintf(c->why, sizeof c->why, "%s", why != NULL ? why : reply != NULL ? "refused" : "closed");
	smtp_set_phase(c, PHASE_CLOSED);
	c->nawaited = 0;
	smtp_drop_output(c);
	if (farewell == FAREWELL_QUIT)
		buf_puts(&c->out, "QUIT\r\n");
	if (reply == NULL)
		smtp_dialogue_note(&c->dialogue, part_of(step, smtp_current(c)), str_from(c->why), c->now);
	smtp_messages_lost(c, step, reply, c->why);
	const struct smtp_result r = {
		.stage = stage,
		.out_of_step = c->out_of_step,
		.token_refused = c->token_refused,
		.reply = reply,
		.why = c->why,
	};
	log_debug("smtp#%u closed at %s: %s", c->id, smtp_stage_names[stage], c->why);
	c->ops->closed(c->ctx, clean, &r);
}

void smtp_fail(struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, const char *why)
{
	if (c->phase != PHASE_CLOSED)
		finish(c, false, FAREWELL_NONE, stage, reply, why);
}

/* A server that works but does not want us: it is told QUIT. */
void smtp_refused(
	struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, const char *why)
{
	finish(c, false, FAREWELL_QUIT, stage, reply, why);
}

enum step smtp_out_of_step(struct smtp_client *c, enum step step, const struct smtp_reply *r)
{
	char why[200];
	struct str text = str_n(r->text.p, r->text.n < 80 ? r->text.n : 80);
	snprintf(why, sizeof why, "the server answered %s with %d %.*s: out of step", steps[step].name,
		r->code, STR_ARG(text));
	c->out_of_step = true;
	smtp_fail(c, steps[step].stage, NULL, why);
	return STEP_NONE;
}

static void put_rset(struct smtp_client *c)
{
	buf_puts(&c->out, "RSET\r\n");
}

static void put_quit(struct smtp_client *c)
{
	smtp_set_phase(c, PHASE_QUIT);
	buf_puts(&c->out, "QUIT\r\n");
}

static enum step on_quit(struct smtp_client *c, const struct smtp_reply *r)
{
	finish(c, true, FAREWELL_NONE, SMTP_QUIT, r, "closed after QUIT");
	return STEP_NONE;
}

/* ---- Events ---- */

void smtp_client_trust_clear(struct smtp_client *c)
{
	c->trust_clear = true;
}

void smtp_client_start(struct smtp_client *c, ms_t now)
{
	assert(c->phase == PHASE_NEW);
	c->now = now;
	c->tls_active = c->o->tls == SMTP_TLS_IMPLICIT;
	smtp_set_phase(c, PHASE_SETUP);
	smtp_enter(c, STEP_GREETING);
}

void smtp_client_tls_done(struct smtp_client *c, ms_t now)
{
	if (c->phase != PHASE_TLS)
		return;
	c->now = now;
	c->tls_active = true;
	smtp_set_phase(c, PHASE_SETUP);
	smtp_enter(c, STEP_EHLO);
}

static void on_421(struct smtp_client *c, enum step step, const struct smtp_reply *r)
{
	bool between = c->phase == PHASE_OPEN && (step == STEP_NONE || step == STEP_RSET);
	bool early = step != STEP_NONE && c->awaited[c->awaited_first].behind > c->written;
	if (early && step == STEP_MAIL) {
		between = true; /* it crossed a MAIL that has not left yet */
		c->nawaited = 0;
	}
	finish(c, between, FAREWELL_NONE, between ? SMTP_IDLE : steps[step].stage, r,
		"the server closes the connection (421)");
}

static void on_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	log_debug("smtp#%u < %d %s%s%.*s", c->id, r->code, r->enhanced, r->enhanced[0] != '\0' ? " " : "",
		STR_ARG(r->text));
	enum step step = smtp_awaiting(c);
	smtp_dialogue_reply(&c->dialogue, part_of(step, smtp_current(c)), r, c->now);
	if (r->code == 421 && step != STEP_QUIT) {
		on_421(c, step, r);
		return;
	}
	if (step == STEP_NONE) {
		c->out_of_step = true;
		smtp_fail(c, SMTP_IDLE, r, "a reply that nobody asked for");
		return;
	}
	if (c->awaited[c->awaited_first].behind > c->written && step != STEP_QUIT) {
		if ((step == STEP_END || step == STEP_BDAT) && r->code >= 400)
			smtp_early_refusal(c, r);
		else
			smtp_out_of_step(c, step, r);
		return;
	}
	c->awaited_first = (c->awaited_first + 1) % (STEPS_EACH * c->nplaces);
	c->nawaited--;
	c->since = c->now;
	c->answered_step = step;
	enum step next = steps[step].reply(c, r);
	c->answered_step = STEP_NONE;
	if (next != STEP_NONE)
		smtp_enter(c, next);
}

static void begin_event(struct smtp_client *c, ms_t now)
{
	assert(!c->busy);
	c->now = now;
	c->busy = true;
}

static void end_event(struct smtp_client *c)
{
	c->due = false;
	if (c->out.failed && c->phase != PHASE_CLOSED)
		smtp_fail(c, smtp_step_stage(smtp_awaiting(c)), NULL, "out of memory");
	if (c->phase == PHASE_OPEN)
		smtp_settle(c);
	c->busy = false;
}

void smtp_client_input(struct smtp_client *c, const char *p, size_t n, ms_t now)
{
	struct str s = {p, n};
	begin_event(c, now);
	while (s.n != 0 && c->phase != PHASE_CLOSED && c->phase != PHASE_TLS) {
		enum smtp_parse got = smtp_reply_feed(&c->parser, &s);
		c->unread = s.n;
		if (got == SMTP_PARSE_BAD)
			smtp_fail(c, smtp_step_stage(smtp_awaiting(c)), NULL,
				"what the server sends is not SMTP");
		else if (got == SMTP_PARSE_DONE)
			on_reply(c, &c->parser.reply);
	}
	end_event(c);
}

void smtp_client_eof(struct smtp_client *c, const char *why, ms_t now)
{
	if (c->phase == PHASE_CLOSED)
		return;
	begin_event(c, now);
	if (c->phase == PHASE_QUIT)
		finish(c, true, FAREWELL_NONE, SMTP_QUIT, NULL, why);
	else if (c->phase == PHASE_TLS)
		smtp_fail(c, SMTP_TLS, NULL, why);
	else
		smtp_fail(c, c->phase == PHASE_NEW ? SMTP_CONNECT : smtp_step_stage(smtp_awaiting(c)), NULL,
			why);
	end_event(c);
}

/* It is the server's turn to read. While it has all of what it must answer first, it may be busy with that.
 */
static bool stuck(const struct smtp_client *c)
{
	return smtp_data_pending(c) && (c->nawaited == 0 || c->awaited[c->awaited_first].behind > c->written);
}

static ms_t patience(const struct smtp_client *c)
{
	const struct smtp_timeouts *t = c->o->timeouts != NULL ? c->o->timeouts : &smtp_timeouts_default;
	if (c->phase == PHASE_TLS)
		return t->tls;
	if (stuck(c))
		return t->block;
	if (c->nawaited == 0)
		return smtp_output_pending(c) ? t->block : 0;
	return *(const ms_t *)((const char *)t + steps[smtp_awaiting(c)].timeout);
}

ms_t smtp_client_deadline(const struct smtp_client *c)
{
	if (c->phase == PHASE_CLOSED || c->phase == PHASE_NEW)
		return 0;
	if (c->due)
		return c->now;
	ms_t t = patience(c);
	return t != 0 ? c->since + t : 0;
}

void smtp_client_timeout(struct smtp_client *c, ms_t now)
{
	ms_t deadline = smtp_client_deadline(c);
	if (deadline == 0 || now < deadline)
		return;
	begin_event(c, now);
	if (!c->due) {
		char why[128];
		long seconds = (long)(patience(c) / SECOND);
		enum step step = smtp_awaiting(c);
		if (c->phase == PHASE_TLS)
			snprintf(why, sizeof why, "timeout: TLS was not set up within %ld s", seconds);
		else if (stuck(c))
			snprintf(why, sizeof why, "timeout: the server took nothing of the message for %ld s",
				seconds);
		else
			snprintf(why, sizeof why, "timeout: no answer to %s within %ld s", steps[step].name,
				seconds);
		if (c->phase == PHASE_QUIT)
			finish(c, true, FAREWELL_NONE, SMTP_QUIT, NULL, why);
		else
			smtp_fail(c, c->phase == PHASE_TLS ? SMTP_TLS : steps[step].stage, NULL, why);
	}
	end_event(c);
}

void smtp_client_quit(struct smtp_client *c, ms_t now)
{
	if (c->phase == PHASE_CLOSED)
		return;
	c->quitting = true;
	if (c->busy)
		return;
	c->now = now;
	if (c->phase == PHASE_OPEN)
		smtp_begin_queued(c);
}

bool smtp_client_at_starttls(const struct smtp_client *c)
{
	enum step step = smtp_awaiting(c);
	return c->phase == PHASE_TLS ||
	       (c->phase == PHASE_SETUP && (step == STEP_STARTTLS || (c->tls_active && step == STEP_EHLO)));
}

bool smtp_client_established(const struct smtp_client *c)
{
	return c->phase == PHASE_OPEN || c->phase == PHASE_QUIT;
}

const struct smtp_caps *smtp_client_caps(const struct smtp_client *c)
{
	return &c->caps;
}
