/* The replies to MAIL, RCPT and BDAT LAST that went out together (RFC 3030 4.2, 2920).
 *
 * The end is on the wire before the envelope was answered, so each reply must say without doubt what became
 * of the message:
 * - RCPT refused: whatever BDAT gets (503, 554; some servers say 250 to a message for nobody), it went
 * nowhere.
 * - MAIL refused: RCPT must be refused too. If it is not, the server does not count as we do.
 * - BDAT not understood: nothing was taken, but the message was read as commands: this server does not know
 *   what it offers, and gets no more this way. */
#include "engine/smtp/client_private.h"

#include "src/base/log.h"

/* Exim hangs up after ten commands that brought it no mail, and counts an RSET behind each refused recipient
 * among them; what is under way then would be in doubt. */
#define REFUSALS_MAX 3

static void hold(struct smtp_client *c, const struct smtp_reply *r)
{
	struct str text = r->text;
	if (text.n > sizeof c->held_text)
		text.n = sizeof c->held_text;
	c->held = *r;
	if (text.n != 0)
		memcpy(c->held_text, text.p, text.n);
	c->held.text = str_n(c->held_text, text.n);
	smtp_current(c)->held = true;
}

enum step smtp_on_chunked_mail(struct smtp_client *c, const struct smtp_reply *r)
{
	smtp_current(c)->answered = true;
	if (smtp_ok(r))
		c->open_transaction = true;
	else if (r->code < 400)
		return smtp_out_of_step(c, STEP_MAIL, r);
	else
		hold(c, r);
	return STEP_NONE;
}

enum step smtp_on_chunked_rcpt(struct smtp_client *c, const struct smtp_reply *r)
{
	struct slot *s = smtp_current(c);
	if (r->code < 400 && (!smtp_ok(r) || s->held)) {
		s->held = false;
		return smtp_out_of_step(c, STEP_RCPT, r);
	}
	if (smtp_ok(r)) {
		s->rcpt_accepted = true;
	} else if (s->held) {
		s->held = false;
		smtp_answer(c, SMTP_MAIL, &c->held, false);
	} else {
		smtp_answer(c, SMTP_RCPT, r, false);
	}
	return STEP_NONE;
}

static bool not_understood(const struct smtp_reply *r)
{
	return r->code == 500 || r->code == 502 || r->code == 503;
}

enum step smtp_on_bdat(struct smtp_client *c, const struct smtp_reply *r)
{
	struct slot *s = smtp_current(c);
	if (r->code < 400 && !smtp_ok(r))
		return smtp_out_of_step(c, STEP_BDAT, r);
	if (!s->failed && not_understood(r)) {
		s->end = 0; /* a refusal without doubt */
		s->answered = false;
		return smtp_out_of_step(c, STEP_BDAT, r);
	}
	if (smtp_ok(r))
		c->open_transaction = false;
	if (!s->failed) {
		c->proved = c->proved || smtp_ok(r);
		smtp_answer(c, SMTP_END, r, true);
		return STEP_NONE;
	}
	if (smtp_ok(r)) {
		log_debug("smtp#%u a message without recipient was taken, and the server says %d", c->id,
			r->code);
		c->proved = false;
	}
	smtp_slot_over(c);
	if (++c->refusals == REFUSALS_MAX)
		c->quitting = true;
	return STEP_NONE;
}
