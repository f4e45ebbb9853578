#include "engine/smtp/conn_private.h"

#include "src/base/fault.h"
#include "src/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 16384
#define PIECES     64 /* of each message under way: its commands, and three */

/* ---- The end ---- */

void conn_disconnect(struct smtp_conn *c)
{
	conn_drop_rival(c);
	if (c->wire.fd >= 0) {
		ev_io_stop(c->loop, &c->readable);
		ev_io_stop(c->loop, &c->writable);
		close(c->wire.fd);
	}
	c->wire.fd = -1;
	wire_release(&c->wire);
	SSL_free(c->ssl);
	c->ssl = c->wire.ssl = NULL;
}

/* A QUIT that was left behind goes out if it can; nobody waits for its answer. */
static void say_goodbye(struct smtp_conn *c)
{
	struct iovec v[PIECES];
	int n = c->state == CONN_UP && !c->aborted && c->wire.fd >= 0
			? smtp_client_output(c->client, v, PIECES)
			: 0;
	if (n != 0 && !c->wire.begun)
		wire_write(&c->wire, v, n);
	if (c->wire.fd >= 0)
		wire_goodbye(&c->wire);
}

/* closed() was called. The memory goes when no function of ours is on the stack. */
static void bury(struct smtp_conn *c)
{
	say_goodbye(c);
	conn_disconnect(c);
	ev_timer_stop(c->loop, &c->timer);
	c->state = CONN_CLOSED;
	ev_feed_event(c->loop, &c->kick, EV_CUSTOM);
}

static void release(struct smtp_conn *c)
{
	smtp_client_free(&c->client);
	free(c);
}

void conn_fail(struct smtp_conn *c, enum smtp_stage stage, const char *why)
{
	if (conn_in_clear(c, why))
		return;
	if (c->state == CONN_UP || c->state == CONN_STARTTLS) {
		smtp_client_eof(c->client, why, clock_mono());
		return;
	}
	const struct smtp_result r = {.stage = stage, .why = why};
	c->ops->closed(c->ctx, c, false, &r);
	bury(c);
}

/* ---- What the client says ---- */

static void on_ready(void *ctx)
{
	struct smtp_conn *c = ctx;
	c->ops->ready(c->ctx, c);
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct smtp_conn *c = ctx;
	c->ops->result(c->ctx, c, m, r);
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	struct smtp_conn *c = ctx;
	c->ops->closed(c->ctx, c, clean, r);
	bury(c);
}

static void on_starttls(void *ctx)
{
	struct smtp_conn *c = ctx;
	c->state = CONN_STARTTLS;
}

const struct smtp_client_ops conn_client_ops = {on_ready, on_result, on_starttls, on_closed};

/* ---- Reading, writing, waiting ---- */

static ms_t deadline(const struct smtp_conn *c)
{
	if (c->state == CONN_CONNECTING)
		return conn_connect_deadline(c);
	if (c->state == CONN_IMPLICIT_TLS)
		return c->deadline;
	return c->state == CONN_CLOSED ? 0 : smtp_client_deadline(c->client);
}

/* A timer that is due too early finds out and waits on, so that most deadlines cost nothing. */
void conn_arm(struct smtp_conn *c)
{
	ms_t at = deadline(c);
	if (at == 0 || (ev_is_active(&c->timer) && at >= c->timer_at))
		return;
	ms_t left = at - clock_mono();
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_set(&c->timer, left > 0 ? (double)left / SECOND : 0, 0.);
	ev_timer_start(c->loop, &c->timer);
	c->timer_at = at;
}

void conn_watch(struct smtp_conn *c, bool write)
{
	if (c->state == CONN_CLOSED)
		return;
	if (write)
		ev_io_start(c->loop, &c->writable);
	else
		ev_io_stop(c->loop, &c->writable);
}

/* Gives the client what has arrived. Returns true when writing is what reading waits for (TLS). */
static bool take_input(struct smtp_conn *c)
{
	char in[READ_BYTES];
	while (c->state == CONN_UP && !c->aborted) {
		ssize_t n = wire_read(&c->wire, in, sizeof in);
		if (n == WIRE_AGAIN)
			return c->wire.wants_write;
		if (n < 0) {
			conn_fail(c, SMTP_IDLE, c->wire.why);
			return false;
		}
		fault_point("reply-before");
		smtp_client_input(c->client, in, (size_t)n, clock_mono());
		/* What is still in the socket, or comes, is told by the loop. */
		if ((size_t)n < sizeof in && !wire_more(&c->wire))
			return false;
	}
	return false;
}

/* Returns true when there is more than the socket takes now. */
static bool give_output(struct smtp_conn *c)
{
	struct iovec v[PIECES];
	while (c->state == CONN_UP && !c->aborted) {
		int n = smtp_client_output(c->client, v, PIECES);
		if (n == 0)
			return false;
		ssize_t r = wire_write(&c->wire, v, n);
		if (r == WIRE_AGAIN)
			return c->wire.wants_write;
		if (r < 0) {
			/* What the server said before it closed may still be readable, and it matters. */
			snprintf(c->why, sizeof c->why, "%s", c->wire.why);
			take_input(c);
			if (c->state == CONN_UP)
				conn_fail(c, SMTP_IDLE, c->why);
			return false;
		}
		smtp_client_written(c->client, (size_t)r, clock_mono());
	}
	return false;
}

/* Everything that can be done now; callbacks run in here and nowhere else. */
static void run(struct smtp_conn *c, bool readable)
{
	c->busy = true;
	bool blocked = readable && take_input(c);
	if (c->state == CONN_IMPLICIT_TLS || c->state == CONN_STARTTLS) {
		conn_handshake(c);
		/* A server's first words may have come with the end of the handshake. */
		if (c->state == CONN_UP && wire_more(&c->wire))
			blocked |= take_input(c);
	}
	if (c->state == CONN_UP) {
		blocked |= give_output(c);
		conn_watch(c, blocked);
	}
	if (c->aborted && c->state != CONN_CLOSED)
		conn_fail(c, SMTP_CONNECT, "given up here");
	conn_arm(c);
	c->busy = false;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	struct smtp_conn *c = w->data;
	ms_t at = deadline(c), now = clock_mono();
	if (at != 0 && now >= at) {
		if (c->state == CONN_CONNECTING) {
			conn_connect_due(c, now);
		} else if (c->state == CONN_IMPLICIT_TLS) {
			conn_fail(c, SMTP_TLS, "timeout: TLS was not set up in time");
		} else if (!conn_in_clear(c, "timeout")) {
			smtp_client_timeout(c->client, now);
		}
	}
	run(c, false);
}

static void on_kick(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop, (void)revents;
	struct smtp_conn *c = w->data;
	if (c->state == CONN_CLOSED) {
		release(c);
		return;
	}
	if (c->state == CONN_CONNECTING && c->wire.fd < 0)
		conn_fail(c, SMTP_CONNECT, c->why);
	else if (c->state == CONN_UP)
		smtp_client_timeout(
			c->client, clock_mono()); /* what the client refuses by itself is due at once */
	run(c, false);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	struct smtp_conn *c = w->data;
	if (c->state == CONN_CONNECTING) {
		conn_connect_event(c, w);
		run(c, false);
		return;
	}
	run(c, (revents & EV_READ) != 0 || c->ssl != NULL);
}

/* ---- For the owner ---- */

struct smtp_conn *smtp_conn_open(struct ev_loop *loop, const struct smtp_endpoint *ep,
	const struct smtp_options *o, const struct smtp_conn_ops *ops, void *ctx, struct err *e)
{
	assert(o->tls == SMTP_TLS_NONE || ep->tls != NULL);
	struct smtp_conn *c = calloc(1, sizeof *c);
	if (c != NULL) {
		c->o = *o;
		conn_tls_mode(&c->o, ep);
		c->client = smtp_client_new(&c->o, &conn_client_ops, c);
	}
	if (c == NULL || c->client == NULL) {
		free(c);
		err_set(e, ERR_INTERNAL, "connection", "out of memory");
		return NULL;
	}
	c->loop = loop;
	c->ep = ep;
	c->ops = ops;
	c->ctx = ctx;
	c->wire.fd = c->rival.fd = -1;
	snprintf(c->why, sizeof c->why, "%s has no address", ep->host);
	ev_init(&c->readable, on_io);
	ev_init(&c->writable, on_io);
	ev_init(&c->rival.writable, on_io);
	ev_init(&c->timer, on_timer);
	ev_init(&c->kick, on_kick);
	c->readable.data = c->writable.data = c->rival.writable.data = c->timer.data = c->kick.data = c;
	int err = conn_connect(c);
	if (err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS) {
		ev_clear_pending(loop, &c->kick);
		release(c);
		errno = err;
		err_sys(e, ERR_IO, "connection", ep->host);
		return NULL;
	}
	return c;
}

bool smtp_conn_ready(const struct smtp_conn *c)
{
	return c->state == CONN_UP && !c->aborted && smtp_client_ready(c->client);
}

static void look_again(struct smtp_conn *c)
{
	if (!c->busy)
		ev_feed_event(c->loop, &c->kick, EV_CUSTOM);
}

void smtp_conn_send(struct smtp_conn *c, struct smtp_message *m)
{
	smtp_client_send(c->client, m, clock_mono());
	look_again(c);
}

void smtp_conn_quit(struct smtp_conn *c)
{
	smtp_client_quit(c->client, clock_mono());
	look_again(c);
}

void smtp_conn_abort(struct smtp_conn *c)
{
	if (c->state == CONN_CLOSED || c->aborted)
		return;
	c->aborted = true;
	look_again(c);
}

struct smtp_client *smtp_conn_client(struct smtp_conn *c)
{
	return c->client;
}

bool smtp_conn_established(const struct smtp_conn *c)
{
	return c->state == CONN_UP && smtp_client_established(c->client);
}

const struct smtp_conn_facts *smtp_conn_facts(const struct smtp_conn *c)
{
	return &c->facts;
}
