#include "engine/smtp/conn_private.h"

#include "src/base/log.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 16384
#define PIECES     64 /* of each message under way: its commands, and three */

static void explain_connect(struct smtp_conn *c, const char *what);
static void next_address(struct smtp_conn *c);

/* ---- The end ---- */

static void disconnect(struct smtp_conn *c)
{
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
	disconnect(c);
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
	if (c->state == CONN_CONNECTING || c->state == CONN_IMPLICIT_TLS)
		return c->deadline;
	return c->state == CONN_CLOSED ? 0 : smtp_client_deadline(c->client);
}

/* A timer that is due too early finds out and waits on, so that most deadlines cost nothing. */
static void arm(struct smtp_conn *c)
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
		smtp_client_input(c->client, in, (size_t)n, clock_mono());
		if (c->ssl == NULL && (size_t)n < sizeof in)
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
	if (c->state == CONN_IMPLICIT_TLS || c->state == CONN_STARTTLS)
		conn_handshake(c);
	if (c->state == CONN_UP) {
		blocked |= give_output(c);
		conn_watch(c, blocked);
	}
	if (c->aborted && c->state != CONN_CLOSED)
		conn_fail(c, SMTP_CONNECT, "given up here");
	arm(c);
	c->busy = false;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	struct smtp_conn *c = w->data;
	ms_t at = deadline(c), now = clock_mono();
	if (at != 0 && now >= at) {
		if (c->state == CONN_CONNECTING) {
			explain_connect(c, "timeout: no connection");
			next_address(c);
		} else if (c->state == CONN_IMPLICIT_TLS) {
			conn_fail(c, SMTP_TLS, "timeout: TLS was not set up in time");
		} else {
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
	if (c->state == CONN_CONNECTING && c->addr >= c->ep->naddrs)
		conn_fail(c, SMTP_CONNECT, c->why);
	else if (c->state == CONN_UP)
		smtp_client_timeout(
			c->client, clock_mono()); /* what the client refuses by itself is due at once */
	run(c, false);
}

/* ---- Connecting ---- */

static bool is_loopback(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
	if (a->ss_family != AF_INET6)
		return false;
	const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static socklen_t address_length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void describe_address(struct smtp_conn *c)
{
	const struct sockaddr_storage *a = &c->ep->addrs[c->addr];
	char host[64] = "?", port[8] = "?";
	getnameinfo((const struct sockaddr *)a, address_length(a), host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(c->facts.address, sizeof c->facts.address, "%s port %s", host, port);
}

/* "192.0.2.1 port 25: Connection refused" */
static void explain_connect(struct smtp_conn *c, const char *what)
{
	describe_address(c);
	snprintf(c->why, sizeof c->why, "%s: %s", c->facts.address, what);
	smtp_client_note(c->client, str_from(c->why), clock_mono());
	log_debug("smtp: %s: %s", c->ep->host, c->why);
}

static void on_connected(struct smtp_conn *c)
{
	char note[400];
	describe_address(c);
	c->facts.connect_ms = clock_mono() - c->began;
	snprintf(note, sizeof note, "connected to %.250s, %s", c->ep->host, c->facts.address);
	smtp_client_note(c->client, str_from(note), clock_mono());
	if (is_loopback(&c->ep->addrs[c->addr]))
		smtp_client_trust_clear(c->client);
	ev_io_stop(c->loop, &c->writable);
	ev_io_start(c->loop, &c->readable);
	if (c->o.tls == SMTP_TLS_IMPLICIT) {
		const struct smtp_timeouts *t =
			c->o.timeouts != NULL ? c->o.timeouts : &smtp_timeouts_default;
		c->deadline = clock_mono() + t->tls;
		c->state = CONN_IMPLICIT_TLS;
	} else {
		c->state = CONN_UP;
		smtp_client_start(c->client, clock_mono());
	}
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	struct smtp_conn *c = w->data;
	if (c->state == CONN_CONNECTING) {
		int err = 0;
		socklen_t n = sizeof err;
		if (getsockopt(c->wire.fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
			err = errno;
		if (err != 0) {
			explain_connect(c, strerror(err));
			next_address(c);
		} else {
			on_connected(c);
		}
		run(c, false);
		return;
	}
	run(c, (revents & EV_READ) != 0 || c->ssl != NULL);
}

/* BBR takes the pauses of a dialogue for a slow path and spreads each message over time: with one message a
 * round trip that is lost time (18 ms of 118 at 100 ms). It cannot be taken back once connected. */
static void do_not_pace(int fd)
{
	char name[16] = "";
	socklen_t n = sizeof name - 1;
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 && strcmp(name, "bbr") == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", strlen("cubic"));
}

/* 0: under way; an errno otherwise. */
static int try_address(struct smtp_conn *c)
{
	const struct sockaddr_storage *a = &c->ep->addrs[c->addr];
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0)
		return errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	do_not_pace(fd);
	if (connect(fd, (const struct sockaddr *)a, address_length(a)) < 0 && errno != EINPROGRESS) {
		int err = errno;
		close(fd);
		return err;
	}
	wire_init(&c->wire, fd);
	ev_io_set(&c->readable, fd, EV_READ);
	ev_io_set(&c->writable, fd, EV_WRITE);
	ev_io_start(c->loop, &c->writable);
	c->began = clock_mono();
	c->deadline = c->began + c->ep->connect_timeout;
	arm(c);
	return 0;
}

/* 0: under way; else why the last address failed at once, which is reported on the next turn. */
static int connect_some(struct smtp_conn *c)
{
	int err = EDESTADDRREQ;
	for (; c->addr < c->ep->naddrs; c->addr++) {
		err = try_address(c);
		if (err == 0)
			return 0;
		explain_connect(c, strerror(err));
	}
	ev_feed_event(c->loop, &c->kick, EV_CUSTOM);
	return err;
}

void conn_again(struct smtp_conn *c)
{
	disconnect(c);
	c->state = CONN_CONNECTING;
	connect_some(c);
}

static void next_address(struct smtp_conn *c)
{
	c->addr++;
	conn_again(c);
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
	c->wire.fd = -1;
	snprintf(c->why, sizeof c->why, "%s has no address", ep->host);
	ev_init(&c->readable, on_io);
	ev_init(&c->writable, on_io);
	ev_init(&c->timer, on_timer);
	ev_init(&c->kick, on_kick);
	c->readable.data = c->writable.data = c->timer.data = c->kick.data = c;
	int err = connect_some(c);
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
