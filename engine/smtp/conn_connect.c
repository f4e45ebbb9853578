/* From addresses to a connection. One that is silent is not waited for alone: the next is tried beside it,
 * and the first that answers is taken (as RFC 8305 does). */
#include "engine/smtp/conn_private.h"

#include "src/base/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static const ms_t BESIDE =
	SECOND; /* a browser waits a quarter of that; servers count connections that say nothing */

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
static int open_socket(struct smtp_conn *c, const struct sockaddr_storage *a, int *out)
{
	const struct sockaddr_storage *own = c->ep->source;
	if (own != NULL && own->ss_family != a->ss_family)
		return EAFNOSUPPORT;
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0)
		return errno;
	/* The port is chosen at connect(), for each peer anew: else all of them together had 28,000. */
	if (own != NULL)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	do_not_pace(fd);
	if ((own == NULL || bind(fd, (const struct sockaddr *)own, address_length(own)) == 0) &&
		(connect(fd, (const struct sockaddr *)a, address_length(a)) == 0 || errno == EINPROGRESS)) {
		*out = fd;
		return 0;
	}
	int err = errno;
	close(fd);
	return err;
}

static void watch_connecting(struct smtp_conn *c, int fd)
{
	wire_init(&c->wire, fd);
	ev_io_set(&c->readable, fd, EV_READ);
	ev_io_set(&c->writable, fd, EV_WRITE);
	ev_io_start(c->loop, &c->writable);
}

/* ---- The one that was tried before, and still may answer ---- */

void conn_drop_rival(struct smtp_conn *c)
{
	if (c->rival.fd < 0)
		return;
	ev_io_stop(c->loop, &c->rival.writable);
	close(c->rival.fd);
	c->rival.fd = -1;
}

static void make_rival(struct smtp_conn *c)
{
	conn_drop_rival(c);
	c->rival.fd = c->wire.fd;
	c->rival.addr = c->addr;
	c->rival.began = c->began;
	c->rival.deadline = c->deadline;
	ev_io_stop(c->loop, &c->writable);
	ev_io_set(&c->rival.writable, c->rival.fd, EV_WRITE);
	ev_io_start(c->loop, &c->rival.writable);
	c->wire.fd = -1;
}

/* In the place of the other, which failed or came too late. */
static void take_rival(struct smtp_conn *c)
{
	int fd = c->rival.fd;
	ev_io_stop(c->loop, &c->rival.writable);
	c->rival.fd = -1;
	conn_disconnect(c);
	c->addr = c->rival.addr;
	c->began = c->rival.began;
	c->deadline = c->rival.deadline;
	c->beside_at = 0;
	watch_connecting(c, fd);
	conn_arm(c);
}

/* ---- One after the other ---- */

int conn_connect(struct smtp_conn *c)
{
	int err = EDESTADDRREQ, fd = -1;
	while (c->next < c->ep->naddrs) {
		c->addr = c->next++;
		c->began = clock_mono();
		err = open_socket(c, &c->ep->addrs[c->addr], &fd);
		if (err == 0) {
			c->deadline = c->began + c->ep->connect_timeout;
			c->beside_at = c->next < c->ep->naddrs ? c->began + BESIDE : 0;
			watch_connecting(c, fd);
			conn_arm(c);
			return 0;
		}
		explain_connect(
			c, err == EAFNOSUPPORT ? "it has no address that ours could reach" : strerror(err));
	}
	if (c->rival.fd >= 0) {
		take_rival(c);
		return 0;
	}
	ev_feed_event(c->loop, &c->kick, EV_CUSTOM);
	return err;
}

/* The rival, if there is one, goes on. */
static void next_address(struct smtp_conn *c)
{
	ev_io_stop(c->loop, &c->writable);
	close(c->wire.fd);
	c->wire.fd = -1;
	conn_connect(c);
}

void conn_again(struct smtp_conn *c)
{
	conn_disconnect(c);
	c->state = CONN_CONNECTING;
	c->next = c->addr;
	conn_connect(c);
}

ms_t conn_connect_deadline(const struct smtp_conn *c)
{
	ms_t at = c->deadline;
	if (c->beside_at != 0 && c->beside_at < at)
		at = c->beside_at;
	return c->rival.fd >= 0 && c->rival.deadline < at ? c->rival.deadline : at;
}

void conn_connect_due(struct smtp_conn *c, ms_t now)
{
	if (c->rival.fd >= 0 && now >= c->rival.deadline)
		conn_drop_rival(c);
	if (now >= c->deadline) {
		explain_connect(c, "timeout: no connection");
		next_address(c);
	} else if (c->beside_at != 0 && now >= c->beside_at) {
		explain_connect(c, "no answer yet");
		make_rival(c);
		conn_connect(c);
	}
}

void conn_connect_event(struct smtp_conn *c, const ev_io *which)
{
	bool rival = which == &c->rival.writable;
	int err = 0;
	socklen_t n = sizeof err;
	if (getsockopt(rival ? c->rival.fd : c->wire.fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		err = errno;
	if (err != 0 && rival) {
		conn_drop_rival(c);
	} else if (err != 0) {
		explain_connect(c, strerror(err));
		next_address(c);
	} else {
		if (rival)
			take_rival(c);
		conn_drop_rival(c);
		on_connected(c);
	}
}
