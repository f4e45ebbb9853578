/* One connection of the sandbox: socket, TLS in memory, the delay of what is said, and what the fates decide.
 */
#include "src/base/log.h"
#include "src/serve/sandbox_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_SECONDS 300.0

struct held { /* bytes that are said at `due` */
	ms_t due;
	size_t n;
};

struct sandbox_conn {
	struct sandbox_conn *next, **link;
	struct sandbox *s;
	unsigned long id;
	int fd;
	ev_io io;
	ev_timer delay, slow, idle;
	struct smtp_server *smtp;
	SSL *ssl;
	BIO *from_wire, *to_wire;
	struct buf in;   /* read, not yet taken by the core */
	struct buf wait; /* said, not yet due */
	struct buf held; /* struct held for what is in `wait` */
	struct buf out;  /* due */
	struct buf from, rcpts, message;
	uint64_t size;
	struct fated end; /* what happens at the end of this message */
	bool drop;        /* close at once */
	bool taken;       /* the message was kept, or would have been */
	bool decided;     /* the slow message was dealt with; its answer is to come */
	char text[700];
};

/* ---- policy ---- */

static void count(struct sandbox *s, int code)
{
	if (code < 0)
		s->counts.dropped++;
	else if (code < 400)
		s->counts.accepted++;
	else if (code < 500)
		s->counts.deferred++;
	else
		s->counts.refused++;
}

static void receipt(struct sandbox_conn *c, struct str rcpt, struct smtp_answer a)
{
	count(c->s, a.code);
	if (c->s->log == NULL)
		return;
	struct sandbox_receipt r = {.connection = c->id,
		.from = buf_get(&c->from),
		.rcpt = rcpt,
		.message = buf_get(&c->message),
		.size = c->size,
		.code = a.code > 0 ? a.code : 0,
		.enhanced = a.enhanced,
		.text = a.text,
		.taken = c->taken};
	sandbox_log(c->s, &r);
}

static void receipts(struct sandbox_conn *c, struct smtp_answer a)
{
	struct str all = buf_get(&c->rcpts);
	while (all.n != 0) {
		size_t n = str_find(all, '\0');
		receipt(c, str_n(all.p, n), a);
		all = str_n(all.p + n + 1, all.n - n - 1);
	}
}

static struct smtp_answer on_auth(void *ctx, struct str user, struct str password)
{
	const struct sandbox_conn *c = ctx;
	if (str_eq(user, c->s->user) && str_eq(password, c->s->password))
		return (struct smtp_answer){235, "2.7.0", "Authentication successful"};
	return (struct smtp_answer){535, "5.7.8", "Error: authentication failed"};
}

static struct smtp_answer on_mail(void *ctx, const struct smtp_mail *m)
{
	struct sandbox_conn *c = ctx;
	if (fates_sender_refused(c->s->fates, m->from))
		return (struct smtp_answer){553, "5.7.1", "Sender address rejected: not owned by user"};
	buf_str(&c->from, m->from);
	return (struct smtp_answer){250, "2.1.0", "Ok"};
}

static struct smtp_answer on_rcpt(void *ctx, struct str rcpt)
{
	struct sandbox_conn *c = ctx;
	struct fated d = fates_try(c->s->fates, rcpt);
	struct smtp_answer a = {250, "2.1.5", "Ok"};
	if (d.fate == FATE_DROP)
		a = (struct smtp_answer){SMTP_DROP, NULL, NULL};
	else if (d.fate == FATE_SLOW || d.fate == FATE_DROP_DATA || d.fate == FATE_DROP_END ||
		 fate_at_end(d.fate))
		c->end = d;
	else
		a = fate_reply(d.fate, rcpt, c->text, sizeof c->text);
	if (a.code != 250) {
		receipt(c, rcpt, a);
		return a;
	}
	buf_add(&c->rcpts, rcpt.p, rcpt.n);
	buf_putc(&c->rcpts, '\0');
	return a;
}

static bool on_data(void *ctx, struct str piece)
{
	struct sandbox_conn *c = ctx;
	size_t most = c->s->keep != NULL ? SANDBOX_MESSAGE_MAX : c->s->log != NULL ? SANDBOX_HEADER_MAX : 0;
	size_t room = most > c->message.len ? most - c->message.len : 0;
	c->size += piece.n;
	c->s->counts.bytes += piece.n;
	if (c->end.fate == FATE_DROP_DATA)
		c->drop = true;
	buf_add(&c->message, piece.p, piece.n < room ? piece.n : room);
	return !c->message.failed;
}

static struct smtp_answer accept_message(struct sandbox_conn *c)
{
	struct sandbox *s = c->s;
	unsigned long id = ++s->counts.messages;
	if (s->keep != NULL &&
		sandbox_keep(s, buf_get(&c->from), buf_get(&c->rcpts), buf_get(&c->message)) != 0)
		return (struct smtp_answer){452, "4.3.1", "The sandbox cannot write the message"};
	c->taken = true;
	snprintf(c->text, sizeof c->text, "Ok: queued as %08" PRIX64 "%08lX", s->run & 0xffffffff, id);
	return (struct smtp_answer){250, "2.0.0", c->text};
}

static struct smtp_answer on_message(void *ctx, int rcpt)
{
	struct sandbox_conn *c = ctx;
	struct smtp_answer a, drop = {SMTP_DROP, NULL, NULL};
	(void)rcpt;
	if (c->end.fate == FATE_DROP_DATA) {
		receipts(c, drop);
		return drop;
	}
	if (c->end.fate == FATE_SLOW && !c->decided) {
		c->decided = true;
		ev_timer_set(&c->slow, (double)c->end.n, 0);
		ev_timer_start(c->s->loop, &c->slow);
		return (struct smtp_answer){SMTP_LATER, NULL, NULL};
	}
	if (fate_at_end(c->end.fate))
		a = fate_reply(c->end.fate, str_from(c->rcpts.p), c->text, sizeof c->text);
	else
		a = accept_message(c);
	if (c->end.fate == FATE_DROP_END)
		a = drop;
	receipts(c, a);
	return a;
}

static void on_reset(void *ctx)
{
	struct sandbox_conn *c = ctx;
	buf_clear(&c->from);
	buf_clear(&c->rcpts);
	buf_clear(&c->message);
	c->size = 0;
	c->end = (struct fated){FATE_ACCEPT, 0};
	c->decided = c->taken = false;
}

static const struct smtp_server_ops smtp_ops = {.on_auth = on_auth,
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_data = on_data,
	.on_message = on_message,
	.on_reset = on_reset};

/* ---- output ---- */

/* Bytes for the wire: now, or later by the round-trip time. */
static void say(struct sandbox_conn *c, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (c->s->rtt == 0) {
		buf_add(&c->out, p, n);
		return;
	}
	struct held h = {clock_mono() + c->s->rtt, n};
	buf_add(&c->wait, p, n);
	buf_add(&c->held, &h, sizeof h);
	if (!ev_is_active(&c->delay)) {
		ev_timer_set(&c->delay, (double)c->s->rtt / 1000, 0);
		ev_timer_start(c->s->loop, &c->delay);
	}
}

static void say_encrypted(struct sandbox_conn *c)
{
	char *p;
	long n = BIO_get_mem_data(c->to_wire, &p);
	if (n > 0) {
		say(c, p, (size_t)n);
		(void)BIO_reset(c->to_wire);
	}
}

/* What the core has to say goes on its way. */
static void take_output(struct sandbox_conn *c)
{
	struct str o = smtp_server_output(c->smtp);
	if (o.n == 0)
		return;
	if (c->ssl == NULL)
		say(c, o.p, o.n);
	else if (SSL_write(c->ssl, o.p, (int)o.n) <= 0)
		c->drop = true;
	smtp_server_written(c->smtp, o.n);
	if (c->ssl != NULL)
		say_encrypted(c);
}

/* False: the connection is over. */
static bool write_out(struct sandbox_conn *c)
{
	while (c->out.len != 0) {
		ssize_t n = send(c->fd, c->out.p, c->out.len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_drop(&c->out, (size_t)n);
	}
	return true;
}

/* ---- input ---- */

static void start_tls(struct sandbox_conn *c)
{
	c->ssl = SSL_new(c->s->tls);
	c->from_wire = BIO_new(BIO_s_mem());
	c->to_wire = BIO_new(BIO_s_mem());
	if (c->ssl == NULL || c->from_wire == NULL || c->to_wire == NULL) {
		BIO_free(c->from_wire);
		BIO_free(c->to_wire);
		SSL_free(c->ssl);
		c->ssl = NULL;
		c->drop = true;
		return;
	}
	SSL_set_bio(c->ssl, c->from_wire, c->to_wire);
	SSL_set_accept_state(c->ssl);
}

static void feed(struct sandbox_conn *c, const char *p, size_t n)
{
	size_t taken = c->in.len == 0 ? smtp_server_input(c->smtp, p, n) : 0;
	buf_add(&c->in, p + taken, n - taken);
	if (c->in.failed)
		c->drop = true;
}

static void greet(struct sandbox_conn *c)
{
	struct sandbox *s = c->s;
	struct smtp_answer a = {220, NULL, "ESMTP sandbox"};
	if (s->counts.open > s->max_connections)
		a = (struct smtp_answer){421, "4.7.0", "Too many connections"};
	else if (fates_busy(s->fates, c->id))
		a = (struct smtp_answer){421, "4.3.2", "Busy, come again later"};
	smtp_server_start(c->smtp, a);
}

static void handshake_done(struct sandbox_conn *c)
{
	smtp_server_tls_done(c->smtp);
	if (c->s->tls_implicit)
		greet(c);
}

static void read_encrypted(struct sandbox_conn *c, const char *p, size_t n)
{
	char plain[16 << 10];
	if (BIO_write(c->from_wire, p, (int)n) != (int)n) {
		c->drop = true;
		return;
	}
	bool before = SSL_is_init_finished(c->ssl) != 0;
	int rc = before ? 1 : SSL_do_handshake(c->ssl);
	if (!before && rc == 1)
		handshake_done(c);
	while (rc > 0 && (rc = SSL_read(c->ssl, plain, sizeof plain)) > 0)
		feed(c, plain, (size_t)rc);
	int why = SSL_get_error(c->ssl, rc);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		c->drop = true;
	say_encrypted(c);
}

/* Gives the core what rests and takes what it says, until neither moves; then writes. May close it all. */
static void pump(struct sandbox_conn *c)
{
	for (;;) {
		take_output(c);
		if (c->in.len == 0 || c->drop)
			break;
		size_t n = smtp_server_input(c->smtp, c->in.p, c->in.len);
		if (n == 0)
			break;
		buf_drop(&c->in, n);
	}
	if (smtp_server_wants_tls(c->smtp) && c->ssl == NULL)
		start_tls(c);
	if (c->out.failed || c->wait.failed || c->held.failed)
		c->drop = true;
	bool quiet = smtp_server_closing(c->smtp) && c->wait.len == 0;
	if (!write_out(c) || c->drop || (quiet && c->out.len == 0)) {
		sandbox_conn_close(c);
		return;
	}
	int events = (c->in.len == 0 ? EV_READ : 0) | (c->out.len != 0 ? EV_WRITE : 0);
	if (events != c->io.events || !ev_is_active(&c->io)) {
		ev_io_stop(c->s->loop, &c->io);
		ev_io_set(&c->io, c->fd, events);
		if (events != 0)
			ev_io_start(c->s->loop, &c->io);
	}
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct sandbox_conn *c = w->data;
	if (events & EV_READ) {
		ssize_t n = recv(c->fd, c->s->read, sizeof c->s->read, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			sandbox_conn_close(c);
			return;
		}
		ev_timer_again(loop, &c->idle);
		if (n > 0 && c->ssl != NULL)
			read_encrypted(c, c->s->read, (size_t)n);
		else if (n > 0)
			feed(c, c->s->read, (size_t)n);
	}
	pump(c);
}

/* ---- timers ---- */

static void on_delay(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sandbox_conn *c = w->data;
	ms_t now = clock_mono();
	(void)events;
	while (c->held.len != 0) {
		struct held h;
		memcpy(&h, c->held.p, sizeof h);
		if (h.due > now) {
			ev_timer_set(&c->delay, (double)(h.due - now) / 1000, 0);
			ev_timer_start(loop, &c->delay);
			break;
		}
		buf_add(&c->out, c->wait.p, h.n);
		buf_drop(&c->wait, h.n);
		buf_drop(&c->held, sizeof h);
	}
	pump(c);
}

static void on_slow(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sandbox_conn *c = w->data;
	(void)loop;
	(void)events;
	smtp_server_answer(c->smtp, on_message(c, -1));
	pump(c);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sandbox_conn *c = w->data;
	(void)loop;
	(void)events;
	smtp_server_close(c->smtp, "4.4.2", "Idle too long");
	pump(c);
}

/* ---- life ---- */

static void watchers_init(struct sandbox_conn *c)
{
	ev_init(&c->io, on_io);
	ev_io_set(&c->io, c->fd, EV_READ);
	ev_init(&c->delay, on_delay);
	ev_init(&c->slow, on_slow);
	ev_init(&c->idle, on_idle);
	c->idle.repeat = IDLE_SECONDS;
	c->io.data = c->delay.data = c->slow.data = c->idle.data = c;
	ev_io_start(c->s->loop, &c->io);
	ev_timer_again(c->s->loop, &c->idle);
}

void sandbox_conn_open(struct sandbox *s, int fd)
{
	struct sandbox_conn *c = calloc(1, sizeof *c);
	struct smtp_server *smtp = c != NULL ? smtp_server_new(&s->smtp, &smtp_ops, c) : NULL;
	if (smtp == NULL) {
		log_warn("sandbox: out of memory for a connection");
		free(c);
		close(fd);
		return;
	}
	*c = (struct sandbox_conn){.s = s, .fd = fd, .smtp = smtp, .id = ++s->counts.connections};
	buf_init(&c->in, 2 * SANDBOX_READ);
	buf_init(&c->wait, 4 << 20);
	buf_init(&c->held, 4 << 20);
	buf_init(&c->out, 4 << 20);
	buf_init(&c->from, 1024);
	buf_init(&c->rcpts, 64 << 10);
	buf_init(&c->message, SANDBOX_MESSAGE_MAX + 1);
	c->next = s->conns;
	c->link = &s->conns;
	if (s->conns != NULL)
		s->conns->link = &c->next;
	s->conns = c;
	s->counts.open++;
	watchers_init(c);
	if (s->tls_implicit)
		start_tls(c);
	else
		greet(c);
	pump(c);
}

void sandbox_conn_close(struct sandbox_conn *c)
{
	struct ev_loop *loop = c->s->loop;
	if (c->drop && c->rcpts.len != 0 && c->end.fate == FATE_DROP_DATA)
		receipts(c, (struct smtp_answer){SMTP_DROP, NULL, NULL});
	ev_io_stop(loop, &c->io);
	ev_timer_stop(loop, &c->delay);
	ev_timer_stop(loop, &c->slow);
	ev_timer_stop(loop, &c->idle);
	close(c->fd);
	smtp_server_free(&c->smtp);
	SSL_free(c->ssl);
	struct buf *all[] = {&c->in, &c->wait, &c->held, &c->out, &c->from, &c->rcpts, &c->message};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		buf_release(all[i]);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->s->counts.open--;
	free(c);
}
