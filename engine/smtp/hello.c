/* From the greeting to the login: EHLO or HELO, and STARTTLS (RFC 5321 4.1.1.1, RFC 3207). */
#include "engine/smtp/client_private.h"

#include <stdio.h>

static void ehlo_line(void *ctx, struct str line)
{
	smtp_caps_line(ctx, line);
}

void smtp_put_ehlo(struct smtp_client *c)
{
	c->caps = (struct smtp_caps){0};
	buf_puts(&c->out, "EHLO ");
	buf_puts(&c->out, c->o->helo);
	buf_puts(&c->out, "\r\n");
	c->parser.line_cb = ehlo_line;
	c->parser.ctx = &c->caps;
}

void smtp_put_helo(struct smtp_client *c)
{
	buf_puts(&c->out, "HELO ");
	buf_puts(&c->out, c->o->helo);
	buf_puts(&c->out, "\r\n");
}

void smtp_put_starttls(struct smtp_client *c)
{
	buf_puts(&c->out, "STARTTLS\r\n");
}

enum step smtp_on_greeting(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_ok(r))
		return STEP_EHLO;
	smtp_refused(c, SMTP_GREETING, r, NULL);
	return STEP_NONE;
}

enum step smtp_logged_in(struct smtp_client *c)
{
	smtp_set_phase(c, PHASE_OPEN);
	return STEP_NONE;
}

static enum step after_tls(struct smtp_client *c)
{
	if (c->o->require_tls && !(c->tls_active && c->caps.requiretls)) {
		smtp_refused(c, SMTP_TLS, NULL,
			"the server does not offer REQUIRETLS (RFC 8689), and this route demands it");
		return STEP_NONE;
	}
	return c->o->user != NULL ? smtp_login_start(c) : smtp_logged_in(c);
}

static enum step after_hello(struct smtp_client *c)
{
	if (c->tls_active || c->o->tls == SMTP_TLS_NONE)
		return after_tls(c);
	if (c->caps.starttls)
		return STEP_STARTTLS;
	if (c->o->tls == SMTP_TLS_OPPORTUNISTIC)
		return after_tls(c);
	char why[160];
	snprintf(why, sizeof why, "the server does not offer STARTTLS, and %s demands TLS",
		c->o->tls_by != NULL ? c->o->tls_by : "this route");
	smtp_refused(c, SMTP_STARTTLS, NULL, why);
	return STEP_NONE;
}

static bool may_say_helo(const struct smtp_client *c, int code)
{
	if (code != 500 && code != 501 && code != 502 && code != 504 && code != 550)
		return false;
	return c->o->user == NULL && (c->tls_active || c->o->tls != SMTP_TLS_STARTTLS);
}

enum step smtp_on_ehlo(struct smtp_client *c, const struct smtp_reply *r)
{
	c->parser.line_cb = NULL;
	if (smtp_ok(r))
		return after_hello(c);
	c->caps = (struct smtp_caps){0};
	if (may_say_helo(c, r->code))
		return STEP_HELO;
	smtp_refused(c, SMTP_EHLO, r, NULL);
	return STEP_NONE;
}

enum step smtp_on_helo(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_ok(r))
		return after_hello(c);
	smtp_refused(c, SMTP_EHLO, r, NULL);
	return STEP_NONE;
}

/* RFC 3207 4.2: whatever was learnt or received before TLS is forgotten, and nothing may stand behind the
 * reply. */
enum step smtp_on_starttls(struct smtp_client *c, const struct smtp_reply *r)
{
	if (!smtp_ok(r)) {
		if (c->o->tls == SMTP_TLS_OPPORTUNISTIC)
			return after_tls(c);
		smtp_refused(c, SMTP_STARTTLS, r, NULL);
	} else if (c->unread != 0) {
		smtp_fail(c, SMTP_STARTTLS, NULL,
			"data before TLS: the server, or somebody between, sent more behind its STARTTLS "
			"reply");
	} else {
		c->caps = (struct smtp_caps){0};
		c->since = c->now;
		smtp_set_phase(c, PHASE_TLS);
		c->ops->starttls(c->ctx);
	}
	return STEP_NONE;
}
