/* What the peer's TLS policy makes of a connection, and the handshake. */
#include "engine/smtp/conn_private.h"

#include "engine/tls.h"
#include "src/base/log.h"

#include <stdio.h>

static enum tls_need need_of(const struct smtp_endpoint *ep)
{
	return ep->policy != NULL ? ep->policy->need : TLS_MAY;
}

void conn_tls_mode(struct smtp_options *o, const struct smtp_endpoint *ep)
{
	if (o->tls != SMTP_TLS_OPPORTUNISTIC)
		return;
	if (need_of(ep) >= TLS_ENCRYPT) {
		o->tls = SMTP_TLS_STARTTLS;
		o->tls_by = need_of(ep) == TLS_VERIFY ? "the domain's policy (MTA-STS)"
						      : "the domain's policy (DANE)";
	} else if (tls_client_broken(ep->tls, ep->host)) {
		o->tls = SMTP_TLS_NONE;
	}
}

/* Nobody demands TLS, and it does not work: in the clear then (RFC 7435 3), over a new connection. No message
 * is in its hands yet; a password would not go out in the clear anyway. */
bool conn_in_clear(struct smtp_conn *c, const char *why)
{
	char note[sizeof c->why];
	if (c->o.tls != SMTP_TLS_OPPORTUNISTIC || c->o.user != NULL || c->aborted ||
		(c->state != CONN_UP && c->state != CONN_STARTTLS) || !smtp_client_at_starttls(c->client))
		return false;
	c->o.tls = SMTP_TLS_NONE;
	struct smtp_client *fresh = smtp_client_new(&c->o, &conn_client_ops, c);
	if (fresh == NULL)
		return false;
	snprintf(note, sizeof note, "STARTTLS: %.250s; in the clear then", why);
	log_debug("smtp: %s: %s", c->ep->host, note);
	smtp_client_free(&c->client);
	c->client = fresh;
	smtp_client_note(c->client, str_from(note), clock_mono());
	tls_client_note_broken(c->ep->tls, c->ep->host);
	c->facts.tls = NULL;
	c->facts.tls_ms = 0;
	conn_again(c);
	return true;
}

static void established(struct smtp_conn *c)
{
	bool implicit = c->state == CONN_IMPLICIT_TLS;
	char note[200];
	c->facts.tls = SSL_get_version(c->ssl);
	c->facts.tls_ms = clock_mono() - c->began;
	tls_established(c->ssl, note, sizeof note);
	smtp_client_note(c->client, str_from(note), clock_mono());
	log_debug("smtp: %s with %s", note, c->ep->host);
	c->state = CONN_UP;
	if (implicit)
		smtp_client_start(c->client, clock_mono());
	else
		smtp_client_tls_done(c->client, clock_mono());
}

void conn_handshake(struct smtp_conn *c)
{
	if (c->ssl == NULL) {
		struct err e;
		c->began = clock_mono();
		c->ssl = c->ep->tls != NULL ? tls_client_ssl(c->ep->tls, c->ep->host, c->ep->policy, &e)
					    : NULL;
		if (c->ssl == NULL || !wire_secure(&c->wire, c->ssl)) {
			const char *why = "TLS could not be started: out of memory";
			/* That is ours, and says nothing of the server: no reason to go on in the clear. */
			if (c->state == CONN_STARTTLS)
				smtp_client_eof(c->client, why, clock_mono());
			else
				conn_fail(c, SMTP_TLS, why);
			return;
		}
	}
	int r = wire_handshake(&c->wire);
	if (r == WIRE_AGAIN) {
		conn_watch(c, c->wire.wants_write);
	} else if (r < 0) {
		if (conn_in_clear(c, c->wire.why))
			return;
		snprintf(c->why, sizeof c->why, "TLS: %s", c->wire.why);
		conn_fail(c, SMTP_TLS, c->why);
	} else {
		established(c);
	}
}
