/* AUTH PLAIN (RFC 4616) and LOGIN over RFC 4954. */
#include "engine/smtp/client_private.h"

#include <openssl/evp.h>
#include <stdio.h>

#define CREDENTIALS_MAX   4096
#define COMMAND_MAX_BYTES 512 /* RFC 5321 4.5.3.1.4; a longer initial response goes behind a 334 */

static void put_base64(struct buf *b, struct str s)
{
	if (buf_reserve(b, (s.n + 2) / 3 * 4))
		b->len += (size_t)EVP_EncodeBlock(
			(unsigned char *)b->p + b->len, (const unsigned char *)s.p, (int)s.n);
}

static struct str plain(const struct smtp_client *c, char out[CREDENTIALS_MAX])
{
	int n = snprintf(out, CREDENTIALS_MAX, "%c%s%c%s", 0, c->o->user, 0,
		c->o->password != NULL ? c->o->password : "");
	return str_n(out, (size_t)n);
}

static bool use_plain(const struct smtp_client *c)
{
	return c->caps.auth_plain && c->o->auth != SMTP_AUTH_LOGIN;
}

/* Whether the initial response goes with the command. */
static bool fits_command(const struct smtp_client *c)
{
	size_t n = 2 + strlen(c->o->user) + (c->o->password != NULL ? strlen(c->o->password) : 0);
	return strlen("AUTH PLAIN \r\n") + (n + 2) / 3 * 4 <= COMMAND_MAX_BYTES;
}

enum step smtp_login_start(struct smtp_client *c)
{
	const char *why = NULL;
	size_t user = strlen(c->o->user), password = c->o->password != NULL ? strlen(c->o->password) : 0;
	if (!c->tls_active && !(c->trust_clear && c->o->tls <= SMTP_TLS_OPPORTUNISTIC))
		why = "no TLS, so the login was not sent: the password would go over the network in clear";
	else if (user > CREDENTIALS_MAX || password > CREDENTIALS_MAX ||
		 user + password + 3 > CREDENTIALS_MAX)
		why = "user and password are too long";
	else if (!c->caps.auth)
		why = "the server offers no login (AUTH), but a user is configured";
	else if (c->o->auth == SMTP_AUTH_PLAIN && !c->caps.auth_plain)
		why = "the server does not offer AUTH PLAIN";
	else if (!use_plain(c) && !c->caps.auth_login)
		why = c->o->auth == SMTP_AUTH_LOGIN ? "the server does not offer AUTH LOGIN"
						    : "the server offers neither AUTH PLAIN nor LOGIN";
	if (why != NULL) {
		smtp_refused(c, SMTP_AUTH, NULL, why);
		return STEP_NONE;
	}
	c->login = LOGIN_START;
	return STEP_LOGIN;
}

static void put_plain(struct smtp_client *c)
{
	char text[CREDENTIALS_MAX];
	struct str s = plain(c, text);
	put_base64(&c->out, s);
	explicit_bzero(text, sizeof text);
}

void smtp_put_login(struct smtp_client *c)
{
	/* Room for all at once, so that no copy of a secret stays behind in memory that was given back. */
	buf_reserve(&c->out, CREDENTIALS_MAX * 2);
	c->secret_out = true;
	switch (c->login) {
	case LOGIN_START:
		if (!use_plain(c)) {
			buf_puts(&c->out, "AUTH LOGIN");
		} else if (!fits_command(c)) {
			buf_puts(&c->out, "AUTH PLAIN");
		} else {
			buf_puts(&c->out, "AUTH PLAIN ");
			put_plain(c);
		}
		break;
	case LOGIN_PLAIN_SENT:
		put_plain(c);
		break;
	case LOGIN_USER:
		put_base64(&c->out, str_from(c->o->user));
		break;
	case LOGIN_PASSWORD:
		put_base64(&c->out, str_from(c->o->password != NULL ? c->o->password : ""));
		break;
	default:
		buf_putc(&c->out, '*');
		break;
	}
	buf_puts(&c->out, "\r\n");
}

/* What a 334 asks for, after what was sent last. */
static enum login_state after_334(const struct smtp_client *c)
{
	switch (c->login) {
	case LOGIN_START:
		return use_plain(c) ? LOGIN_PLAIN_SENT : LOGIN_USER;
	case LOGIN_USER:
		return LOGIN_PASSWORD;
	default:
		return LOGIN_CANCEL;
	}
}

enum step smtp_on_login(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 334 && c->login != LOGIN_CANCEL) {
		c->login = after_334(c);
		return STEP_LOGIN;
	}
	if (c->login == LOGIN_CANCEL)
		smtp_refused(c, SMTP_AUTH, smtp_ok(r) ? NULL : r,
			"the server asked for more than user and password during the login");
	else if (smtp_ok(r))
		return smtp_logged_in(c);
	else
		smtp_refused(c, SMTP_AUTH, r, NULL);
	return STEP_NONE;
}
