/* Messages on a connection: MAIL, RCPT, DATA, the message, its end (RFC 5321 3.3, RFC 2920). */
#include "engine/smtp/client_private.h"

#include "src/base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

bool smtp_pipelined(const struct smtp_client *c)
{
	return c->o->pipeline && c->caps.pipelining;
}

bool smtp_chunked(const struct smtp_client *c)
{
	return c->o->chunking > 0 && smtp_pipelined(c) && c->caps.chunking;
}

/* ---- Taking and giving back ---- */

static bool limit_reached(const struct smtp_client *c)
{
	return c->caps.mail_max != 0 && c->begun >= (unsigned long)c->caps.mail_max;
}

/* How many messages may be under way. */
static unsigned window(const struct smtp_client *c)
{
	if (!smtp_pipelined(c))
		return 1;
	if (!smtp_chunked(c))
		return 2;
	if (!c->proved)
		return 1;
	return (unsigned)c->o->chunking < c->nplaces ? (unsigned)c->o->chunking : c->nplaces;
}

bool smtp_client_ready(const struct smtp_client *c)
{
	if (c->phase != PHASE_OPEN || c->quitting || c->out.failed || c->ntaken >= window(c))
		return false;
	if (c->caps.mail_max == 0)
		return true;
	unsigned long begun = c->begun;
	for (unsigned i = 0; i < c->ntaken; i++) {
		const struct slot *s = &c->slots[(c->first + i) % c->nplaces];
		begun += !s->begun && s->own == OWN_NONE;
	}
	return begun < (unsigned long)c->caps.mail_max;
}

int smtp_client_in_flight(const struct smtp_client *c)
{
	int n = 0;
	for (size_t i = 0; i < c->nplaces; i++)
		n += c->slots[i].m != NULL;
	return n;
}

unsigned long smtp_client_sent(const struct smtp_client *c)
{
	return c->answered;
}

/* Of DATA only: BDAT counts bytes. */
static bool needs_no_stuffing(const struct smtp_message *m)
{
#ifdef __SANITIZE_ADDRESS__
	const struct str parts[] = {m->header, m->body, m->tail};
	char before = '\n';
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i].n == 0)
			continue;
		if ((before == '\n' && parts[i].p[0] == '.') ||
			memmem(parts[i].p, parts[i].n, "\n.", 2) != NULL)
			return false;
		before = parts[i].p[parts[i].n - 1];
	}
#else
	(void)m;
#endif
	return true;
}

void smtp_client_send(struct smtp_client *c, struct smtp_message *m, ms_t now)
{
	assert(smtp_client_ready(c));
	assert(needs_no_stuffing(m));
	struct slot *s = smtp_slot(c, c->ntaken++);
	unsigned char part = (unsigned char)__builtin_ctzll(~c->parts);
	c->parts |= UINT64_C(1) << part;
	*s = (struct slot){.m = m, .taken = true, .part = part, .own = smtp_look_at(c, m)};
	smtp_dialogue_begin(&c->dialogue, smtp_part(s));
	c->told = false;
	if (c->busy)
		return;
	c->now = now;
	if (s->own != OWN_NONE && s == smtp_current(c))
		c->due = true;
	smtp_begin_queued(c);
}

void smtp_slot_over(struct smtp_client *c)
{
	struct slot *s = smtp_current(c);
	c->parts &= ~(UINT64_C(1) << s->part);
	*s = (struct slot){.part = s->part};
	c->first = (c->first + 1) % c->nplaces;
	c->ntaken--;
}

static void give_result(
	struct smtp_client *c, const struct slot *s, struct smtp_message *m, const struct smtp_result *r)
{
	c->told_part = smtp_part(s);
	if (m != NULL)
		c->ops->result(c->ctx, m, r);
	c->told_part = DIALOGUE_SESSION;
}

void smtp_answer(struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, bool over)
{
	struct slot *s = smtp_current(c);
	struct smtp_message *m = s->m;
	const struct smtp_result r = {
		.stage = stage,
		.accepted = stage == SMTP_END && smtp_ok(reply),
		.tried = true,
		.reply = reply,
		.why = "",
	};
	c->answered += m != NULL;
	s->m = NULL;
	s->failed = true;
	if (over)
		smtp_slot_over(c);
	give_result(c, s, m, &r);
}

void smtp_early_refusal(struct smtp_client *c, const struct smtp_reply *r)
{
	smtp_drop_output(c); /* the message is given back; the connection ends here */
	if (smtp_current(c)->held)
		smtp_answer(c, SMTP_MAIL, &c->held, false);
	else if (smtp_current(c)->m != NULL)
		smtp_answer(c, SMTP_END, r, false);
	smtp_fail(c, SMTP_END, NULL, "the server refused a message while it was being sent");
}

static void own_result(struct smtp_client *c)
{
	struct slot *s = smtp_current(c);
	struct smtp_message *m = s->m;
	struct smtp_reply *r = &c->own_reply;
	const char *enhanced = "";
	switch (s->own) {
	case OWN_TOO_LARGE:
		r->code = 552;
		enhanced = "5.3.4";
		snprintf(c->own_text, sizeof c->own_text,
			"message of %" PRIu64 " bytes is larger than the server takes (%" PRIu64 ")",
			smtp_message_size(m), c->caps.size);
		break;
	case OWN_NO_UTF8:
		r->code = 553;
		enhanced = "5.6.7";
		snprintf(c->own_text, sizeof c->own_text,
			"the address is not ASCII and the server does not offer SMTPUTF8");
		break;
	default:
		r->code = 553;
		enhanced = "5.1.3";
		snprintf(c->own_text, sizeof c->own_text,
			"the address cannot be said in SMTP (control characters, length)");
		break;
	}
	snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
	r->text = str_from(c->own_text);
	const struct smtp_result result = {.stage = SMTP_MAIL, .tried = true, .reply = r, .why = c->own_text};
	smtp_slot_over(c);
	give_result(c, s, m, &result);
}

/* What became of the current message, where `reply` (to `step`) was the last there is. */
static struct smtp_result last_result(
	const struct smtp_client *c, const struct slot *s, enum step step, const struct smtp_reply *reply)
{
	bool mine = step == STEP_MAIL || step == STEP_RCPT || step == STEP_DATA || step == STEP_END ||
		    step == STEP_BDAT;
	bool end_out = s->end != 0 && c->written >= s->end;
	struct smtp_result r = {.stage = SMTP_MAIL, .reply = s->held ? &c->held : mine ? reply : NULL};
	r.doubt = end_out && r.reply == NULL && (reply == NULL || reply->code != 421);
	r.tried = s->answered || r.reply != NULL || r.doubt;
	if (s->held)
		return r;
	if (mine && (reply != NULL || s->end == 0))
		r.stage = smtp_step_stage(step);
	else if (r.doubt)
		r.stage = SMTP_END;
	else if (s->end != 0 && r.tried)
		r.stage = SMTP_DATA;
	return r;
}

/* One behind the current message: nothing answered it. */
static struct smtp_result silent_result(
	const struct smtp_client *c, const struct slot *s, const struct smtp_reply *reply)
{
	bool closing = reply != NULL && reply->code == 421;
	bool doubt = !closing && s->end != 0 && c->written >= s->end;
	return (struct smtp_result){.stage = doubt ? SMTP_END : SMTP_MAIL, .tried = doubt, .doubt = doubt};
}

void smtp_messages_lost(
	struct smtp_client *c, enum step step, const struct smtp_reply *reply, const char *why)
{
	struct slot slots[SMTP_IN_FLIGHT_MAX];
	unsigned n = c->ntaken;
	for (unsigned i = 0; i < n; i++)
		slots[i] = *smtp_slot(c, i);
	memset(c->slots, 0, c->nplaces * sizeof *c->slots);
	c->ntaken = 0;
	for (unsigned i = 0; i < n; i++) {
		struct smtp_result r =
			i == 0 ? last_result(c, &slots[i], step, reply) : silent_result(c, &slots[i], reply);
		r.why = why;
		c->answered += r.reply != NULL && slots[i].m != NULL;
		give_result(c, &slots[i], slots[i].m, &r);
	}
}

/* ---- Beginning ---- */

static void begin(struct smtp_client *c, struct slot *s, bool rset)
{
	s->begun = true;
	c->begun++;
	c->put = s;
	if (rset)
		smtp_enter(c, STEP_RSET);
	if (rset && !smtp_pipelined(c))
		return;
	smtp_enter(c, STEP_MAIL);
	if (!smtp_pipelined(c))
		return;
	smtp_enter(c, STEP_RCPT);
	smtp_enter(c, smtp_chunked(c) ? STEP_BDAT : STEP_DATA);
}

/* Whether a message may begin behind others whose answers are to come. */
static bool may_follow(const struct smtp_client *c, const struct slot *before)
{
	if (!before->begun || !smtp_pipelined(c))
		return false;
	return smtp_chunked(c) ? c->proved : before->end != 0 && !before->failed;
}

void smtp_begin_queued(struct smtp_client *c)
{
	for (unsigned i = 0; i < c->ntaken; i++) {
		struct slot *s = smtp_slot(c, i);
		if (s->own != OWN_NONE)
			break; /* its result comes in its turn; then those behind it begin */
		if (s->begun)
			continue;
		if (i == 0 ? c->nawaited != 0 : !may_follow(c, smtp_slot(c, i - 1)))
			break;
		begin(c, s, i == 0 ? c->open_transaction : smtp_chunked(c));
	}
	if ((c->quitting || limit_reached(c)) && c->ntaken == 0 && c->nawaited == 0)
		smtp_enter(c, STEP_QUIT);
}

void smtp_settle(struct smtp_client *c)
{
	for (;;) {
		if (c->ntaken != 0 && smtp_current(c)->own != OWN_NONE) {
			own_result(c);
		} else if (smtp_client_ready(c) && !c->told) {
			c->told = true;
			c->ops->ready(c->ctx);
		} else {
			break;
		}
	}
	smtp_begin_queued(c);
}

/* ---- Replies ---- */

enum step smtp_on_rset(struct smtp_client *c, const struct smtp_reply *r)
{
	if (!smtp_ok(r))
		return smtp_out_of_step(c, STEP_RSET, r);
	c->open_transaction = false;
	return smtp_pipelined(c) ? STEP_NONE : STEP_MAIL;
}

enum step smtp_on_mail(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_chunked(c))
		return smtp_on_chunked_mail(c, r);
	smtp_current(c)->answered = true;
	if (smtp_ok(r)) {
		c->open_transaction = true;
		return smtp_pipelined(c) ? STEP_NONE : STEP_RCPT;
	}
	if (r->code < 400)
		return smtp_out_of_step(c, STEP_MAIL, r);
	smtp_answer(c, SMTP_MAIL, r, !smtp_pipelined(c));
	return STEP_NONE;
}

enum step smtp_on_rcpt(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_chunked(c))
		return smtp_on_chunked_rcpt(c, r);
	struct slot *s = smtp_current(c);
	if (smtp_ok(r)) {
		s->rcpt_accepted = true;
		return smtp_pipelined(c) ? STEP_NONE : STEP_DATA;
	}
	if (r->code < 400)
		return smtp_out_of_step(c, STEP_RCPT, r);
	if (!s->failed)
		smtp_answer(c, SMTP_RCPT, r, !smtp_pipelined(c));
	return STEP_NONE;
}

/* RFC 2920 3.1: after a refused envelope, DATA that was already sent may be answered with 354; a lone dot
 * ends it. Where the server refused MAIL but took RCPT, that dot could deliver an empty message: the
 * connection ends instead. */
enum step smtp_on_data(struct smtp_client *c, const struct smtp_reply *r)
{
	struct slot *s = smtp_current(c);
	if (smtp_ok(r) || (r->code < 400 && s->failed && s->rcpt_accepted))
		return smtp_out_of_step(c, STEP_DATA, r);
	c->put = s;
	if (r->code < 400)
		return STEP_END;
	if (s->failed)
		smtp_slot_over(c);
	else
		smtp_answer(c, SMTP_DATA, r, true);
	return STEP_NONE;
}

enum step smtp_on_end(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code / 100 == 3)
		return smtp_out_of_step(c, STEP_END, r);
	c->open_transaction = false;
	if (smtp_current(c)->failed) {
		log_debug("smtp#%u a message without recipient was ended, and the server says %d", c->id,
			r->code);
		smtp_slot_over(c);
	} else {
		smtp_answer(c, SMTP_END, r, true);
	}
	return STEP_NONE;
}
