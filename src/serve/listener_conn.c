/* A connection of the listener: who may be written to, and what is kept of it. */
#include "engine/bounce/attribute.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/serve/listener_private.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static const ms_t NOWHERE = 2 * MINUTE; /* to name a recipient that we take */
static const ms_t LONGEST = 15 * MINUTE;

struct listener_conn {
	struct listener_conn *older, *newer;
	struct listener *l;
	struct socket *socket;
	struct sockaddr_storage peer;
	ms_t since, progress; /* monotonic: begun; last recipient accepted or message taken */
	bool useful;          /* it has had a recipient accepted */
	struct recipient to[LISTENER_RCPTS];
	int nto;
	char from[320];
	struct buf message;
	size_t held;           /* of it, counted in the listener's sum */
	struct parcel *parcel; /* under way */
};

/* ---- Whom we take mail for ---- */

static bool same(struct str a, const char *b)
{
	return b != NULL && strlen(b) == a.n && strncasecmp(a.p, b, a.n) == 0;
}

/* The part before the @ and, if it is there, the one behind it. */
static struct str split(struct str address, struct str *domain)
{
	*domain = str_after_last(address, '@');
	return domain->n != 0 ? str_n(address.p, address.n - domain->n - 1) : address;
}

static const char *our_domain(const struct config *c)
{
	if (c->return_path.domain != NULL)
		return c->return_path.domain;
	const char *at = c->return_path.address != NULL ? strrchr(c->return_path.address, '@') : NULL;
	return at != NULL ? at + 1 : NULL;
}

/* -1: nobody here. */
static int post_of(struct listener *l, struct str address)
{
	const struct config *c = l->o.config;
	struct attribution unused;
	struct str domain, local = split(address, &domain);
	if (attribute_address(l->signer, address, &unused) != TOKEN_ADDRESS_NONE)
		return POST_INTAKE;
	bool ours = domain.n == 0 ? same(local, "postmaster") : same(domain, our_domain(c));
	bool feedback = same(address, c->return_path.feedback) ||
			(ours && c->return_path.feedback == NULL && same(local, "feedback"));
	/* A return path without tokens, the same for all. */
	if (feedback || (c->return_path.address != NULL && same(address, c->return_path.address)))
		return POST_FEEDBACK;
	if (ours && c->return_path.postmaster != NULL && (same(local, "postmaster") || same(local, "abuse")))
		return POST_MASTER;
	return -1;
}

/* Nobody has so much to say about one delivery. */
static bool too_many(struct listener *l, struct str address)
{
	char folded[320];
	size_t n = address.n < sizeof folded ? address.n : sizeof folded;
	for (size_t i = 0; i < n; i++)
		folded[i] =
			(char)(address.p[i] >= 'A' && address.p[i] <= 'Z' ? address.p[i] | 32 : address.p[i]);
	uint64_t hash = hash64(str_n(folded, n));
	struct recent *r = &l->recent[hash % LISTENER_RECENT];
	int64_t hour = clock_mono() / HOUR;
	if (r->hash != hash || r->hour != hour)
		*r = (struct recent){hash, hour, 0};
	return ++r->n > LISTENER_HOURLY;
}

static struct smtp_answer on_mail(void *ctx, const struct smtp_mail *m)
{
	struct listener_conn *c = ctx;
	snprintf(c->from, sizeof c->from, "%.*s", STR_ARG(m->from));
	return (struct smtp_answer){250, "2.1.0", "Ok"};
}

static struct smtp_answer on_rcpt(void *ctx, struct str rcpt)
{
	struct listener_conn *c = ctx;
	int post = rcpt.n < sizeof c->to->address ? post_of(c->l, rcpt) : -1;
	if (post < 0)
		return (struct smtp_answer){550, "5.1.1", "No such address here"};
	if (c->nto == LISTENER_RCPTS)
		return (struct smtp_answer){452, "4.5.3", "Too many recipients"};
	if (post == POST_INTAKE && too_many(c->l, rcpt))
		return (struct smtp_answer){450, "4.7.1", "Too much mail for this address, come again later"};
	struct recipient *r = &c->to[c->nto++];
	snprintf(r->address, sizeof r->address, "%.*s", STR_ARG(rcpt));
	r->post = (enum post)post;
	c->useful = true;
	c->progress = clock_mono();
	return (struct smtp_answer){250, "2.1.5", "Ok"};
}

/* ---- The message ---- */

static struct smtp_answer on_begin(void *ctx)
{
	const struct listener_conn *c = ctx;
	if (c->l->held > LISTENER_HELD)
		return (struct smtp_answer){452, "4.3.1", "Busy, come again later"};
	return (struct smtp_answer){354, NULL, "End data with <CR><LF>.<CR><LF>"};
}

static bool on_data(void *ctx, struct str piece)
{
	struct listener_conn *c = ctx;
	size_t most = LISTENER_KEEP;
	for (int i = 0; i < c->nto; i++)
		if (c->to[i].post == POST_MASTER)
			most = LISTENER_POST;
	size_t room = most - c->message.len, n = piece.n < room ? piece.n : room;
	if (c->l->held > LISTENER_HELD)
		return false;
	buf_add(&c->message, piece.p, n);
	c->held += n;
	c->l->held += n;
	/* The rest of a returned message is of no interest; a letter is taken whole or not at all. */
	return !c->message.failed && (n == piece.n || most == LISTENER_KEEP);
}

static struct parcel *parcel_new(struct listener_conn *c, int rcpt)
{
	struct parcel *p = calloc(1, sizeof *p);
	if (p == NULL || (p->text = malloc(c->message.len + 1)) == NULL) {
		free(p);
		return NULL;
	}
	memcpy(p->text, c->message.p != NULL ? c->message.p : "", c->message.len);
	p->n = c->message.len;
	c->l->held += p->n;
	p->conn = c;
	p->at = clock_now();
	memcpy(p->from, c->from, sizeof p->from);
	if (rcpt >= 0) {
		p->to[0] = c->to[rcpt];
		p->nto = 1;
	} else {
		memcpy(p->to, c->to, sizeof p->to);
		p->nto = c->nto;
	}
	return p;
}

static struct smtp_answer on_message(void *ctx, int rcpt)
{
	struct listener_conn *c = ctx;
	struct parcel *p = parcel_new(c, rcpt);
	if (p == NULL)
		return (struct smtp_answer){451, "4.3.0", "Out of memory, come again later"};
	c->parcel = p;
	intake_give(c->l, p);
	return (struct smtp_answer){SMTP_LATER, NULL, NULL};
}

static void on_reset(void *ctx)
{
	struct listener_conn *c = ctx;
	buf_release(&c->message);
	buf_init(&c->message, LISTENER_POST);
	c->l->held -= c->held;
	c->held = 0;
	c->nto = 0;
	c->from[0] = '\0';
}

void conn_answer(struct listener *l, struct parcel *p)
{
	struct listener_conn *c = p->conn;
	l->held -= p->n;
	if (c != NULL)
		c->parcel = NULL;
	/* One that was told in the meantime that it idles hears no more. */
	if (c != NULL && !smtp_server_closing(socket_smtp(c->socket))) {
		c->progress = clock_mono();
		smtp_server_answer(
			socket_smtp(c->socket), (struct smtp_answer){p->code, p->enhanced, p->words});
		socket_pump(c->socket);
	}
	free(p->text);
	free(p);
}

/* ---- Who may come in, and for how long ---- */

static bool same_peer(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	/* One subscriber has a /64. */
	if (a->ss_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
			       &((const struct sockaddr_in6 *)b)->sin6_addr, 8) == 0;
	return false; /* a local socket: our own mail server */
}

/* Makes room by ending the one (of `peer`, or of all) that got nowhere for longest. False: all are in use. */
static bool make_room(struct listener *l, const struct sockaddr_storage *peer)
{
	for (struct listener_conn *c = l->oldest; c != NULL; c = c->newer)
		if (!c->useful && c->parcel == NULL && (peer == NULL || same_peer(&c->peer, peer))) {
			socket_close(c->socket);
			return true;
		}
	return false;
}

static bool admit(struct listener *l, const struct sockaddr_storage *peer)
{
	int same_place = 0;
	for (struct listener_conn *c = l->oldest; c != NULL; c = c->newer)
		same_place += same_peer(&c->peer, peer);
	if (same_place >= LISTENER_EACH && !make_room(l, peer))
		return false;
	return l->nconns < LISTENER_MOST || make_room(l, NULL);
}

static bool over(const struct listener_conn *c, ms_t now)
{
	return c->parcel == NULL &&
	       (now - c->progress > NOWHERE * (c->useful ? 3 : 1) || now - c->since > LONGEST);
}

void conn_sweep(struct listener *l, ms_t now)
{
	for (struct listener_conn *c = l->oldest, *next; c != NULL; c = next) {
		next = c->newer;
		if (!over(c, now))
			continue;
		/* The second time round it has had its last words. */
		if (smtp_server_closing(socket_smtp(c->socket))) {
			socket_close(c->socket);
			continue;
		}
		smtp_server_close(socket_smtp(c->socket), "4.4.2", "Time is over");
		socket_pump(c->socket);
	}
}

void conn_close_idle(struct listener *l)
{
	for (struct listener_conn *c = l->oldest, *next; c != NULL; c = next) {
		next = c->newer;
		if (c->parcel != NULL)
			continue;
		smtp_server_close(socket_smtp(c->socket), "4.3.2", "Going down, come again later");
		socket_pump(c->socket);
	}
}

void conn_close_all(struct listener *l)
{
	while (l->oldest != NULL)
		socket_close(l->oldest->socket);
}

/* ---- Life ---- */

static struct smtp_answer greet(void *ctx)
{
	const struct listener_conn *c = ctx;
	if (c->l->nconns > LISTENER_MOST)
		return (struct smtp_answer){421, "4.7.0", "Too many connections, come again later"};
	return (struct smtp_answer){220, NULL, "ESMTP"};
}

static void on_closed(void *ctx, bool dropped)
{
	struct listener_conn *c = ctx;
	struct listener *l = c->l;
	(void)dropped;
	if (c->parcel != NULL)
		c->parcel->conn = NULL;
	l->held -= c->held;
	buf_release(&c->message);
	*(c->older != NULL ? &c->older->newer : &l->oldest) = c->newer;
	*(c->newer != NULL ? &c->newer->older : &l->newest) = c->older;
	l->nconns--;
	free(c);
}

void conn_open(struct door *d, int fd, const struct sockaddr_storage *from)
{
	static const struct smtp_server_ops smtp_ops = {.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_begin = on_begin,
		.on_data = on_data,
		.on_message = on_message,
		.on_reset = on_reset};
	static const struct socket_ops ops = {.greet = greet, .closed = on_closed};
	static const char busy[] = "421 4.7.0 Too many connections, come again later\r\n";
	struct listener *l = d->l;
	if (!admit(l, from)) {
		(void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		return;
	}
	struct listener_conn *c = calloc(1, sizeof *c);
	if (c == NULL) {
		close(fd);
		return;
	}
	c->l = l;
	c->peer = *from;
	c->since = c->progress = clock_mono();
	buf_init(&c->message, LISTENER_POST);
	c->socket = socket_open(l->loop, fd, &d->socket, &smtp_ops, &ops, c);
	if (c->socket == NULL) {
		log_warn("listener: out of memory for a connection");
		free(c);
		return;
	}
	c->older = l->newest;
	*(c->older != NULL ? &c->older->newer : &l->oldest) = c;
	l->newest = c;
	l->nconns++;
	socket_start(c->socket);
}
