/* One connection of the sandbox: what the fates decide, between the SMTP core and what is kept. */
#include "src/base/log.h"
#include "src/serve/sandbox_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

struct sandbox_conn {
	struct sandbox_conn *next, **link;
	struct sandbox *s;
	unsigned long id;
	struct socket *socket;
	ev_timer slow;
	struct buf from, rcpts, message;
	uint64_t size;
	struct fated end; /* what happens at the end of this message */
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
		 fate_comes_back(d.fate) || fate_at_end(d.fate))
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
	bool header = c->s->log != NULL || c->s->back != NULL;
	size_t most = c->s->keep != NULL ? SANDBOX_MESSAGE_MAX : header ? SANDBOX_HEADER_MAX : 0;
	size_t room = most > c->message.len ? most - c->message.len : 0;
	c->size += piece.n;
	c->s->counts.bytes += piece.n;
	if (c->end.fate == FATE_DROP_DATA)
		socket_drop(c->socket);
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
	if (s->back != NULL && fate_comes_back(c->end.fate))
		sandbox_return(
			s->back, c->end.fate, buf_get(&c->from), str_from(c->rcpts.p), buf_get(&c->message));
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

static struct smtp_answer greet(void *ctx)
{
	const struct sandbox_conn *c = ctx;
	if (c->s->counts.open > c->s->max_connections)
		return (struct smtp_answer){421, "4.7.0", "Too many connections"};
	if (fates_busy(c->s->fates, c->id))
		return (struct smtp_answer){421, "4.3.2", "Busy, come again later"};
	return (struct smtp_answer){220, NULL, "ESMTP sandbox"};
}

static void on_slow(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sandbox_conn *c = w->data;
	(void)loop;
	(void)events;
	smtp_server_answer(socket_smtp(c->socket), on_message(c, -1));
	socket_pump(c->socket);
}

/* ---- life ---- */

static void on_closed(void *ctx, bool dropped)
{
	struct sandbox_conn *c = ctx;
	if (dropped && c->rcpts.len != 0 && c->end.fate == FATE_DROP_DATA)
		receipts(c, (struct smtp_answer){SMTP_DROP, NULL, NULL});
	ev_timer_stop(c->s->loop, &c->slow);
	buf_release(&c->from);
	buf_release(&c->rcpts);
	buf_release(&c->message);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->s->counts.open--;
	free(c);
}

void sandbox_conn_open(struct sandbox *s, int fd)
{
	static const struct socket_ops ops = {.greet = greet, .closed = on_closed};
	struct sandbox_conn *c = calloc(1, sizeof *c);
	struct socket *k = c != NULL ? socket_open(s->loop, fd, &s->socket, &smtp_ops, &ops, c) : NULL;
	if (k == NULL) {
		log_warn("sandbox: out of memory for a connection");
		if (c == NULL)
			close(fd);
		free(c);
		return;
	}
	*c = (struct sandbox_conn){.s = s, .socket = k, .id = ++s->counts.connections};
	buf_init(&c->from, 1024);
	buf_init(&c->rcpts, 64 << 10);
	buf_init(&c->message, SANDBOX_MESSAGE_MAX + 1);
	ev_init(&c->slow, on_slow);
	c->slow.data = c;
	c->next = s->conns;
	c->link = &s->conns;
	if (s->conns != NULL)
		s->conns->link = &c->next;
	s->conns = c;
	s->counts.open++;
	socket_start(k);
}

void sandbox_conn_close(struct sandbox_conn *c)
{
	socket_close(c->socket);
}
