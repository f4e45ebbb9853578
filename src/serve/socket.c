#include "src/serve/socket.h"

#include "src/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_MAX = 64 << 10 };

struct held { /* bytes that are said at `due` */
	ms_t due;
	size_t n;
};

struct socket {
	struct ev_loop *loop;
	const struct socket_options *o;
	const struct socket_ops *ops;
	void *ctx;
	int fd;
	ev_io io;
	ev_timer delay, idle;
	struct smtp_server *smtp;
	SSL *ssl;
	BIO *from_wire, *to_wire;
	struct buf in;   /* read, not yet taken by the core */
	struct buf wait; /* said, not yet due */
	struct buf held; /* struct held for what is in `wait` */
	struct buf out;  /* due */
	bool drop;
};

/* ---- output ---- */

/* Bytes for the wire: now, or later by the delay. */
static void say(struct socket *s, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (s->o->delay == 0) {
		buf_add(&s->out, p, n);
		return;
	}
	struct held h = {clock_mono() + s->o->delay, n};
	buf_add(&s->wait, p, n);
	buf_add(&s->held, &h, sizeof h);
	if (!ev_is_active(&s->delay)) {
		ev_timer_set(&s->delay, (double)s->o->delay / 1000, 0);
		ev_timer_start(s->loop, &s->delay);
	}
}

static void say_encrypted(struct socket *s)
{
	char *p;
	long n = BIO_get_mem_data(s->to_wire, &p);
	if (n > 0) {
		say(s, p, (size_t)n);
		(void)BIO_reset(s->to_wire);
	}
}

/* What the core has to say goes on its way. */
static void take_output(struct socket *s)
{
	struct str o = smtp_server_output(s->smtp);
	if (o.n == 0)
		return;
	if (s->ssl == NULL)
		say(s, o.p, o.n);
	else if (SSL_write(s->ssl, o.p, (int)o.n) <= 0)
		s->drop = true;
	smtp_server_written(s->smtp, o.n);
	if (s->ssl != NULL)
		say_encrypted(s);
}

/* False: the connection is over. */
static bool write_out(struct socket *s)
{
	while (s->out.len != 0) {
		ssize_t n = send(s->fd, s->out.p, s->out.len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_drop(&s->out, (size_t)n);
	}
	return true;
}

/* ---- input ---- */

static void start_tls(struct socket *s)
{
	s->ssl = SSL_new(s->o->tls);
	s->from_wire = BIO_new(BIO_s_mem());
	s->to_wire = BIO_new(BIO_s_mem());
	if (s->ssl == NULL || s->from_wire == NULL || s->to_wire == NULL) {
		BIO_free(s->from_wire);
		BIO_free(s->to_wire);
		SSL_free(s->ssl);
		s->ssl = NULL;
		s->drop = true;
		return;
	}
	SSL_set_bio(s->ssl, s->from_wire, s->to_wire);
	SSL_set_accept_state(s->ssl);
}

static void feed(struct socket *s, const char *p, size_t n)
{
	size_t taken = s->in.len == 0 ? smtp_server_input(s->smtp, p, n) : 0;
	buf_add(&s->in, p + taken, n - taken);
	if (s->in.failed)
		s->drop = true;
}

static void greet(struct socket *s)
{
	smtp_server_start(s->smtp, s->ops->greet(s->ctx));
}

static void read_encrypted(struct socket *s, const char *p, size_t n)
{
	char plain[16 << 10];
	if (BIO_write(s->from_wire, p, (int)n) != (int)n) {
		s->drop = true;
		return;
	}
	bool before = SSL_is_init_finished(s->ssl) != 0;
	int rc = before ? 1 : SSL_do_handshake(s->ssl);
	if (!before && rc == 1) {
		smtp_server_tls_done(s->smtp);
		if (s->o->tls_implicit)
			greet(s);
	}
	while (rc > 0 && (rc = SSL_read(s->ssl, plain, sizeof plain)) > 0)
		feed(s, plain, (size_t)rc);
	int why = SSL_get_error(s->ssl, rc);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		s->drop = true;
	say_encrypted(s);
}

/* Gives the core what rests and takes what it says, until neither moves; then writes. */
void socket_pump(struct socket *s)
{
	for (;;) {
		take_output(s);
		if (s->in.len == 0 || s->drop)
			break;
		size_t n = smtp_server_input(s->smtp, s->in.p, s->in.len);
		if (n == 0)
			break;
		buf_drop(&s->in, n);
	}
	if (smtp_server_wants_tls(s->smtp) && s->ssl == NULL)
		start_tls(s);
	if (s->out.failed || s->wait.failed || s->held.failed)
		s->drop = true;
	bool quiet = smtp_server_closing(s->smtp) && s->wait.len == 0;
	if (!write_out(s) || s->drop || (quiet && s->out.len == 0)) {
		socket_close(s);
		return;
	}
	int events = (s->in.len == 0 ? EV_READ : 0) | (s->out.len != 0 ? EV_WRITE : 0);
	if (events != s->io.events || !ev_is_active(&s->io)) {
		ev_io_stop(s->loop, &s->io);
		ev_io_set(&s->io, s->fd, events);
		if (events != 0)
			ev_io_start(s->loop, &s->io);
	}
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct socket *s = w->data;
	if (events & EV_READ) {
		char bytes[READ_MAX];
		ssize_t n = recv(s->fd, bytes, sizeof bytes, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			socket_close(s);
			return;
		}
		ev_timer_again(loop, &s->idle);
		if (n > 0 && s->ssl != NULL)
			read_encrypted(s, bytes, (size_t)n);
		else if (n > 0)
			feed(s, bytes, (size_t)n);
	}
	socket_pump(s);
}

/* ---- timers ---- */

static void on_delay(struct ev_loop *loop, ev_timer *w, int events)
{
	struct socket *s = w->data;
	ms_t now = clock_mono();
	(void)events;
	while (s->held.len != 0) {
		struct held h;
		memcpy(&h, s->held.p, sizeof h);
		if (h.due > now) {
			ev_timer_set(&s->delay, (double)(h.due - now) / 1000, 0);
			ev_timer_start(loop, &s->delay);
			break;
		}
		buf_add(&s->out, s->wait.p, h.n);
		buf_drop(&s->wait, h.n);
		buf_drop(&s->held, sizeof h);
	}
	socket_pump(s);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int events)
{
	struct socket *s = w->data;
	(void)loop;
	(void)events;
	/* Who does not read either gets no further time for our last words. */
	if (smtp_server_closing(s->smtp)) {
		socket_close(s);
		return;
	}
	smtp_server_close(s->smtp, "4.4.2", "Idle too long");
	socket_pump(s);
}

/* ---- life ---- */

struct socket *socket_open(struct ev_loop *loop, int fd, const struct socket_options *o,
	const struct smtp_server_ops *smtp_ops, const struct socket_ops *ops, void *ctx)
{
	struct socket *s = calloc(1, sizeof *s);
	struct smtp_server *smtp = s != NULL ? smtp_server_new(&o->smtp, smtp_ops, ctx) : NULL;
	if (smtp == NULL) {
		free(s);
		close(fd);
		return NULL;
	}
	*s = (struct socket){.loop = loop, .o = o, .ops = ops, .ctx = ctx, .fd = fd, .smtp = smtp};
	buf_init(&s->in, o->in_max);
	buf_init(&s->wait, o->out_max);
	buf_init(&s->held, o->out_max);
	buf_init(&s->out, o->out_max);
	ev_init(&s->io, on_io);
	ev_io_set(&s->io, fd, EV_READ);
	ev_init(&s->delay, on_delay);
	ev_init(&s->idle, on_idle);
	s->idle.repeat = (double)o->idle / 1000;
	s->io.data = s->delay.data = s->idle.data = s;
	return s;
}

void socket_start(struct socket *s)
{
	ev_io_start(s->loop, &s->io);
	ev_timer_again(s->loop, &s->idle);
	if (s->o->tls_implicit)
		start_tls(s);
	else
		greet(s);
	socket_pump(s);
}

struct smtp_server *socket_smtp(const struct socket *s)
{
	return s->smtp;
}

void socket_drop(struct socket *s)
{
	s->drop = true;
}

void socket_close(struct socket *s)
{
	ev_io_stop(s->loop, &s->io);
	ev_timer_stop(s->loop, &s->delay);
	ev_timer_stop(s->loop, &s->idle);
	close(s->fd);
	smtp_server_free(&s->smtp);
	SSL_free(s->ssl);
	struct buf *all[] = {&s->in, &s->wait, &s->held, &s->out};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		buf_release(all[i]);
	s->ops->closed(s->ctx, s->drop);
	free(s);
}
