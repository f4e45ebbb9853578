/* Messages on a connection: MAIL, RCPT, DATA, the message, its end (RFC 5321 3.3, RFC 2920). */
#include "engine/smtp/client_private.h"

#include "src/base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define PATH_MAX_BYTES 1000

struct slot *smtp_current(struct smtp_client *c)
{
	return &c->slots[c->first];
}

static struct slot *following(struct smtp_client *c)
{
	return &c->slots[!c->first];
}

static bool pipelined(const struct smtp_client *c)
{
	return c->o->pipeline && c->caps.pipelining;
}

static uint64_t message_size(const struct smtp_message *m)
{
	return (uint64_t)m->header.n + m->body.n;
}

/* ---- Taking and giving back ---- */

static bool limit_reached(const struct smtp_client *c)
{
	return c->caps.mail_max != 0 && c->begun >= (unsigned long)c->caps.mail_max;
}

bool smtp_client_ready(const struct smtp_client *c)
{
	const struct slot *cur = &c->slots[c->first], *next = &c->slots[!c->first];
	if (c->phase != PHASE_OPEN || c->quitting || next->taken || c->out.failed)
		return false;
	unsigned long waiting = cur->taken && !cur->begun && cur->own == OWN_NONE;
	if (c->caps.mail_max != 0 && c->begun + waiting >= (unsigned long)c->caps.mail_max)
		return false;
	return !cur->taken || pipelined(c);
}

int smtp_client_in_flight(const struct smtp_client *c)
{
	return (c->slots[0].m != NULL) + (c->slots[1].m != NULL);
}

unsigned long smtp_client_sent(const struct smtp_client *c)
{
	return c->answered;
}

/* Lists let no such address in; here it would become a command or a parameter. */
static bool path_is_clean(struct str s)
{
	bool quoted = false, escaped = false;
	if (s.n > PATH_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (ch < 0x20 || ch == 0x7f)
			return false;
		if (escaped)
			escaped = false;
		else if (ch == '"')
			quoted = !quoted;
		else if (quoted)
			escaped = ch == '\\';
		else if (ch == ' ' || ch == '<' || ch == '>')
			return false;
	}
	return !quoted && !escaped;
}

static enum own_refusal look_at(const struct smtp_client *c, const struct smtp_message *m)
{
	if (!path_is_clean(m->from) || !path_is_clean(m->rcpt) || m->rcpt.n == 0)
		return OWN_BAD_ADDRESS;
	if (m->utf8 && !c->caps.smtputf8)
		return OWN_NO_UTF8;
	if (c->caps.size != 0 && message_size(m) > c->caps.size)
		return OWN_TOO_LARGE;
	return OWN_NONE;
}

static bool needs_no_stuffing(const struct smtp_message *m)
{
#ifdef __SANITIZE_ADDRESS__
	const struct str parts[] = {m->header, m->body};
	for (size_t i = 0; i < 2; i++) {
		if (parts[i].n != 0 &&
			(parts[i].p[0] == '.' || memmem(parts[i].p, parts[i].n, "\n.", 2) != NULL))
			return false;
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
	struct slot *s = smtp_current(c);
	if (s->taken)
		s = following(c);
	*s = (struct slot){.m = m, .taken = true, .own = look_at(c, m)};
	smtp_dialogue_begin(&c->dialogue, smtp_part(c, s));
	c->told = false;
	if (c->busy)
		return;
	c->now = now;
	if (s->own != OWN_NONE && s == smtp_current(c))
		c->due = true;
	smtp_begin_queued(c);
}

static void release(struct smtp_client *c)
{
	*smtp_current(c) = (struct slot){0};
	if (following(c)->taken)
		c->first = !c->first;
}

static void give_result(
	struct smtp_client *c, const struct slot *s, struct smtp_message *m, const struct smtp_result *r)
{
	c->told_part = smtp_part(c, s);
	if (m != NULL)
		c->ops->result(c->ctx, m, r);
	c->told_part = DIALOGUE_SESSION;
}

/* The server's answer to the current message. `over`: no more replies to its commands will come. */
static void answer(struct smtp_client *c, enum smtp_stage stage, const struct smtp_reply *reply, bool over)
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
		release(c);
	give_result(c, s, m, &r);
}

void smtp_early_refusal(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_current(c)->m != NULL)
		answer(c, SMTP_END, r, false);
	c->data[0] = c->data[1] = (struct str){0}; /* given back; the connection ends here */
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
			message_size(m), c->caps.size);
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
	release(c);
	give_result(c, s, m, &result);
}

void smtp_messages_lost(
	struct smtp_client *c, enum step step, const struct smtp_reply *reply, const char *why)
{
	struct slot *cur = smtp_current(c), *next = following(c);
	struct smtp_message *m = cur->m, *m2 = next->m;
	bool mine = step == STEP_MAIL || step == STEP_RCPT || step == STEP_DATA || step == STEP_END;
	bool end_out = cur->end != 0 && c->written >= cur->end;
	struct smtp_result r = {.stage = SMTP_MAIL, .reply = mine ? reply : NULL, .why = why};
	r.doubt = end_out && r.reply == NULL;
	r.tried = cur->answered || r.reply != NULL;
	if (end_out)
		r.stage = SMTP_END;
	else if (cur->end != 0)
		r.stage = r.reply != NULL ? SMTP_END : SMTP_DATA;
	else if (mine)
		r.stage = smtp_step_stage(step);
	const struct smtp_result untried = {.stage = SMTP_MAIL, .why = why};
	*cur = *next = (struct slot){0};
	c->answered += r.reply != NULL && m != NULL;
	give_result(c, cur, m, &r);
	give_result(c, next, m2, &untried);
}

/* ---- Commands ---- */

static void put_number(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;
	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	buf_add(b, digits + i, sizeof digits - i);
}

void smtp_put_mail(struct smtp_client *c)
{
	const struct smtp_message *m = c->put->m;
	buf_str(&c->out, STR("MAIL FROM:<"));
	buf_str(&c->out, m->from);
	buf_putc(&c->out, '>');
	if (c->caps.size_offered) {
		buf_str(&c->out, STR(" SIZE="));
		put_number(&c->out, message_size(m));
	}
	if (m->utf8)
		buf_str(&c->out, STR(" SMTPUTF8"));
	buf_str(&c->out, STR("\r\n"));
}

void smtp_put_rcpt(struct smtp_client *c)
{
	buf_str(&c->out, STR("RCPT TO:<"));
	buf_str(&c->out, c->put->m->rcpt);
	buf_str(&c->out, STR(">\r\n"));
}

void smtp_put_data(struct smtp_client *c)
{
	buf_str(&c->out, STR("DATA\r\n"));
}

/* The message is lent until its result, so it is written from where it lies. */
void smtp_put_end(struct smtp_client *c)
{
	struct slot *s = smtp_current(c);
	struct str end = STR(".\r\n");
	assert(c->data[0].n + c->data[1].n == 0);
	if (s->m != NULL) {
		c->data_at = c->out.len;
		c->data[0] = s->m->header;
		c->data[1] = s->m->body;
		struct str last = s->m->body.n != 0 ? s->m->body : s->m->header;
		if (last.n != 0 && !str_ends(last, STR("\r\n")))
			end = STR("\r\n.\r\n");
		s->end = c->queued + message_size(s->m) + end.n;
	}
	buf_str(&c->out, end);
}

static void begin(struct smtp_client *c, struct slot *s, bool rset)
{
	s->begun = true;
	c->begun++;
	c->put = s;
	if (rset)
		smtp_enter(c, STEP_RSET);
	if (rset && !pipelined(c))
		return;
	smtp_enter(c, STEP_MAIL);
	if (pipelined(c)) {
		smtp_enter(c, STEP_RCPT);
		smtp_enter(c, STEP_DATA);
	}
}

void smtp_begin_queued(struct smtp_client *c)
{
	struct slot *cur = smtp_current(c), *next = following(c);
	if (cur->taken && !cur->begun && cur->own == OWN_NONE && c->nawaited == 0)
		begin(c, cur, c->open_transaction);
	if (next->taken && !next->begun && next->own == OWN_NONE && cur->end != 0 && !cur->failed &&
		pipelined(c))
		begin(c, next, false);
	if ((c->quitting || limit_reached(c)) && !cur->taken && c->nawaited == 0)
		smtp_enter(c, STEP_QUIT);
}

void smtp_settle(struct smtp_client *c)
{
	for (;;) {
		if (smtp_current(c)->taken && smtp_current(c)->own != OWN_NONE) {
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
	return pipelined(c) ? STEP_NONE : STEP_MAIL;
}

enum step smtp_on_mail(struct smtp_client *c, const struct smtp_reply *r)
{
	smtp_current(c)->answered = true;
	if (smtp_ok(r)) {
		c->open_transaction = true;
		return pipelined(c) ? STEP_NONE : STEP_RCPT;
	}
	if (r->code < 400)
		return smtp_out_of_step(c, STEP_MAIL, r);
	answer(c, SMTP_MAIL, r, !pipelined(c));
	return STEP_NONE;
}

enum step smtp_on_rcpt(struct smtp_client *c, const struct smtp_reply *r)
{
	struct slot *s = smtp_current(c);
	if (smtp_ok(r)) {
		s->rcpt_accepted = true;
		return pipelined(c) ? STEP_NONE : STEP_DATA;
	}
	if (r->code < 400)
		return smtp_out_of_step(c, STEP_RCPT, r);
	if (!s->failed)
		answer(c, SMTP_RCPT, r, !pipelined(c));
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
		release(c);
	else
		answer(c, SMTP_DATA, r, true);
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
		release(c);
	} else {
		answer(c, SMTP_END, r, true);
	}
	return STEP_NONE;
}
