/* AUTH over RFC 4954: PLAIN (RFC 4616), LOGIN, and with access tokens OAUTHBEARER (RFC 7628) and the older
 * XOAUTH2. */
#include "engine/smtp/client_private.h"

#include "src/base/log.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define CREDENTIALS_MAX   4096
#define RESPONSE_MAX      (CREDENTIALS_MAX + SMTP_TOKEN_MAX)
#define COMMAND_MAX_BYTES 512 /* RFC 5321 4.5.3.1.4; a longer initial response goes behind a 334 */

static bool by_token(const struct smtp_client *c)
{
	return c->o->auth == SMTP_AUTH_XOAUTH2 || c->o->auth == SMTP_AUTH_OAUTHBEARER;
}

static bool use_plain(const struct smtp_client *c)
{
	return c->caps.auth_plain && c->o->auth != SMTP_AUTH_LOGIN;
}

static bool in_one_response(const struct smtp_client *c)
{
	return by_token(c) || use_plain(c);
}

static const char *mechanism(const struct smtp_client *c)
{
	if (by_token(c))
		return c->o->auth == SMTP_AUTH_XOAUTH2 ? "XOAUTH2" : "OAUTHBEARER";
	return use_plain(c) ? "PLAIN" : "LOGIN";
}

/* ---- The secret ---- */

/* One buffer of full size, so that no copy of a secret stays behind in memory that was given back. */
static void forget_secret(struct smtp_client *c)
{
	if (c->secret != NULL)
		explicit_bzero(c->secret, RESPONSE_MAX);
	free(c->secret);
	c->secret = NULL;
	c->secret_n = 0;
}

void smtp_login_over(struct smtp_client *c)
{
	forget_secret(c);
}

static void add(struct smtp_client *c, struct str s)
{
	memcpy(c->secret + c->secret_n, s.p, s.n);
	c->secret_n += s.n;
}

/* RFC 5801 4: a comma and "=" stand for something in the head of the response. */
static void add_authzid(struct smtp_client *c, const char *user)
{
	for (; *user != '\0'; user++) {
		if (*user == ',')
			add(c, STR("=2C"));
		else if (*user == '=')
			add(c, STR("=3D"));
		else
			add(c, str_n(user, 1));
	}
}

static bool clean_token(struct str token)
{
	for (size_t i = 0; i < token.n; i++)
		if ((unsigned char)token.p[i] <= 0x20 || (unsigned char)token.p[i] >= 0x7f)
			return false;
	return token.n != 0;
}

/* The access token behind what stands before it. False: there is none. */
static bool add_token(struct smtp_client *c)
{
	char *at = c->secret + c->secret_n;
	size_t n = 0;
	if (c->o->token != NULL) {
		n = c->o->token(c->o->token_ctx, at, SMTP_TOKEN_MAX);
	} else if (c->o->password != NULL && strlen(c->o->password) <= SMTP_TOKEN_MAX) {
		n = strlen(c->o->password);
		memcpy(at, c->o->password, n);
	}
	c->secret_n += n;
	return clean_token(str_n(at, n));
}

/* NULL, or why it cannot be made. */
static const char *make_response(struct smtp_client *c)
{
	const char *user = c->o->user, *password = c->o->password != NULL ? c->o->password : "";
	bool token = true;
	/* An authzid can be three times as long; what else stands there is short. */
	if (strlen(user) > CREDENTIALS_MAX / 4 || (!by_token(c) && strlen(password) > CREDENTIALS_MAX / 2))
		return "user and password are too long";
	c->secret = calloc(1, RESPONSE_MAX);
	if (c->secret == NULL)
		return "out of memory";
	switch (c->o->auth) {
	case SMTP_AUTH_XOAUTH2:
		add(c, STR("user="));
		add(c, str_from(user));
		add(c, STR("\001auth=Bearer "));
		token = add_token(c);
		add(c, STR("\001\001"));
		break;
	case SMTP_AUTH_OAUTHBEARER:
		add(c, STR("n,a="));
		add_authzid(c, user);
		add(c, STR(",\001auth=Bearer "));
		token = add_token(c);
		add(c, STR("\001\001"));
		break;
	default:
		add(c, str_n("", 1));
		add(c, str_from(user));
		add(c, str_n("", 1));
		add(c, str_from(password));
		break;
	}
	return token ? NULL : "there is no access token for the login";
}

/* ---- Starting ---- */

static const char *nothing_fits(const struct smtp_client *c)
{
	if (!c->caps.auth)
		return "the server offers no login (AUTH), but a user is configured";
	switch (c->o->auth) {
	case SMTP_AUTH_XOAUTH2:
		return c->caps.auth_xoauth2 ? NULL : "the server does not offer AUTH XOAUTH2";
	case SMTP_AUTH_OAUTHBEARER:
		return c->caps.auth_oauthbearer ? NULL : "the server does not offer AUTH OAUTHBEARER";
	case SMTP_AUTH_PLAIN:
		return c->caps.auth_plain ? NULL : "the server does not offer AUTH PLAIN";
	case SMTP_AUTH_LOGIN:
		return c->caps.auth_login ? NULL : "the server does not offer AUTH LOGIN";
	default:
		return c->caps.auth_plain || c->caps.auth_login
			       ? NULL
			       : "the server offers neither AUTH PLAIN nor LOGIN";
	}
}

enum step smtp_login_start(struct smtp_client *c)
{
	const char *why = NULL;
	if (!c->tls_active && !(c->trust_clear && c->o->tls <= SMTP_TLS_OPPORTUNISTIC))
		why = "no TLS, so the login was not sent: the password would go over the network in clear";
	else
		why = nothing_fits(c);
	if (why == NULL)
		why = make_response(c);
	if (why != NULL) {
		forget_secret(c);
		smtp_refused(c, SMTP_AUTH, NULL, why);
		return STEP_NONE;
	}
	c->login = LOGIN_START;
	return STEP_LOGIN;
}

/* ---- The dialogue ---- */

static void put_base64(struct buf *b, struct str s)
{
	if (buf_reserve(b, (s.n + 2) / 3 * 4))
		b->len += (size_t)EVP_EncodeBlock(
			(unsigned char *)b->p + b->len, (const unsigned char *)s.p, (int)s.n);
}

static struct str response(const struct smtp_client *c)
{
	return str_n(c->secret, c->secret_n);
}

/* Whether the initial response goes with the command. */
static bool fits_command(const struct smtp_client *c)
{
	size_t command = strlen("AUTH  \r\n") + strlen(mechanism(c));
	return command + (c->secret_n + 2) / 3 * 4 <= COMMAND_MAX_BYTES;
}

void smtp_put_login(struct smtp_client *c)
{
	/* Room for all at once, so that no copy of a secret stays behind in memory that was given back. */
	buf_reserve(&c->out, RESPONSE_MAX * 2);
	c->secret_out = true;
	switch (c->login) {
	case LOGIN_START:
		buf_puts(&c->out, "AUTH ");
		buf_puts(&c->out, mechanism(c));
		if (in_one_response(c) && fits_command(c)) {
			buf_putc(&c->out, ' ');
			put_base64(&c->out, response(c));
		}
		break;
	case LOGIN_SENT:
		put_base64(&c->out, response(c));
		break;
	case LOGIN_USER:
		put_base64(&c->out, str_from(c->o->user));
		break;
	case LOGIN_PASSWORD:
		put_base64(&c->out, str_from(c->o->password != NULL ? c->o->password : ""));
		break;
	case LOGIN_REFUSED:
		/* RFC 7628 3.2.3: a lone ^A; XOAUTH2 wants an empty line. */
		if (c->o->auth == SMTP_AUTH_OAUTHBEARER)
			put_base64(&c->out, STR("\001"));
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
		if (!in_one_response(c))
			return LOGIN_USER;
		/* It had all; then a 334 is the server's error in JSON. */
		return by_token(c) && fits_command(c) ? LOGIN_REFUSED : LOGIN_SENT;
	case LOGIN_SENT:
		return by_token(c) ? LOGIN_REFUSED : LOGIN_CANCEL;
	case LOGIN_USER:
		return LOGIN_PASSWORD;
	default:
		return LOGIN_CANCEL;
	}
}

/* {"status":"401", …} of a refused token, for the log: it holds no secret. */
static void log_challenge(const struct smtp_client *c, const struct smtp_reply *r)
{
	char text[600];
	size_t n = r->text.n / 4 * 4;
	if (n == 0 || n > 800)
		return;
	int len = EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)r->text.p, (int)n);
	if (len > 0)
		log_debug("smtp#%u the login was answered with %.*s", c->id, len, text);
}

enum step smtp_on_login(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 334 && c->login != LOGIN_CANCEL) {
		c->login = after_334(c);
		if (c->login == LOGIN_REFUSED)
			log_challenge(c, r);
		return STEP_LOGIN;
	}
	forget_secret(c);
	if (c->login == LOGIN_CANCEL || (c->login == LOGIN_REFUSED && smtp_ok(r))) {
		smtp_refused(c, SMTP_AUTH, smtp_ok(r) ? NULL : r,
			"the server asked for more than user and password during the login");
	} else if (smtp_ok(r)) {
		return smtp_logged_in(c);
	} else {
		c->token_refused = by_token(c) && r->code >= 500;
		smtp_refused(c, SMTP_AUTH, r, NULL);
	}
	return STEP_NONE;
}
