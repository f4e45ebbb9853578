#include "src/serve/sandbox_private.h"

#include "src/base/hash.h"
#include "src/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void listen_again(int events, void *sandbox)
{
	struct sandbox *s = sandbox;
	(void)events;
	ev_io_start(s->loop, &s->accept);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct sandbox *s = w->data;
	(void)events;
	for (int i = 0; i < 64; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE) {
				log_warn("sandbox: no more file descriptors");
				/* Who waits keeps it readable: we would do nothing but look at it. */
				ev_io_stop(loop, w);
				ev_once(loop, -1, 0, 1., listen_again, s);
			}
			return;
		}
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		sandbox_conn_open(s, fd);
	}
}

static void on_stop(struct ev_loop *loop, ev_async *w, int events)
{
	(void)w;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct sandbox *s = w->data;
	(void)loop;
	(void)events;
	if (s->log != NULL)
		fflush(s->log);
}

static int listen_on(struct sandbox *s, int port, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int one = 1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return err_sys(e, ERR_IO, "sandbox", "socket");
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s->fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(s->fd, 1024) != 0 ||
		getsockname(s->fd, (struct sockaddr *)&a, &len) != 0) {
		char name[40];
		snprintf(name, sizeof name, "127.0.0.1:%d", port);
		err_sys(e, ERR_IO, "sandbox", name);
		return err_remedy(
			e, "Another program may use that port: choose another with --port, or 0 for any.");
	}
	s->port = ntohs(a.sin_port);
	return 0;
}

static int set_auth(struct sandbox *s, const char *auth, struct err *e)
{
	const char *colon = strchr(auth, ':');
	if (colon == NULL || colon == auth)
		return err_set(e, ERR_USAGE, "sandbox", "a login is written user:password");
	s->auth = strdup(auth);
	if (s->auth == NULL)
		return err_set(e, ERR_INTERNAL, "sandbox", "out of memory");
	s->user = str_n(s->auth, (size_t)(colon - auth));
	s->password = str_from(s->auth + (colon - auth) + 1);
	return 0;
}

static int set_files(struct sandbox *s, const struct sandbox_options *o, struct err *e)
{
	if (o->keep != NULL) {
		if (sandbox_keep_prepare(o->keep, e) != 0)
			return -1;
		s->keep = strdup(o->keep);
		if (s->keep == NULL)
			return err_set(e, ERR_INTERNAL, "sandbox", "out of memory");
	}
	if (o->log != NULL && (s->log = fopen(o->log, "ae")) == NULL)
		return err_sys(e, ERR_CREATE, "sandbox", o->log);
	return 0;
}

static int set_up(struct sandbox *s, const struct sandbox_options *o, struct err *e)
{
	s->fates = fates_new(o->profile, o->rates, o->seed, !o->no_words, e);
	if (s->fates == NULL)
		return -1;
	s->max_connections = o->max_connections > 0 ? (unsigned long)o->max_connections : 2000;
	unsigned long messages =
		o->messages_per_connection != 0 ? o->messages_per_connection : fates_messages(s->fates);
	s->socket = (struct socket_options){.tls_implicit = o->tls_implicit,
		.delay = o->rtt != 0 ? o->rtt : fates_rtt(s->fates),
		.idle = 5 * MINUTE,
		.in_max = 256 << 10,
		.out_max = 4 << 20};
	s->socket.smtp = (struct smtp_server_options){.name = "sandbox.localhost",
		.starttls = o->tls && !o->tls_implicit,
		.auth = o->auth != NULL,
		.auth_required = o->auth != NULL,
		.auth_plaintext = !o->tls && !o->tls_implicit,
		.chunking = !o->no_chunking,
		.smtputf8 = true,
		.dsn = true,
		.no_pipelining = o->no_pipelining,
		.limits = {.size = SANDBOX_MESSAGE_MAX,
			.text_line = 998,
			.recipients = 1000,
			.messages = (unsigned)messages,
			.errors = 1000000}};
	random_bytes(&s->run, sizeof s->run);
	if (o->auth != NULL && set_auth(s, o->auth, e) != 0)
		return -1;
	if ((o->tls || o->tls_implicit) &&
		(s->socket.tls = certificate_own("localhost", o->ca_out, e)) == NULL)
		return -1;
	if (o->return_to != NULL && (s->back = sandbox_return_new(s, o->return_to, e)) == NULL)
		return -1;
	return set_files(s, o, e) != 0 || listen_on(s, o->port, e) != 0 ? -1 : 0;
}

static void *run(void *arg)
{
	struct sandbox *s = arg;
	ev_run(s->loop, 0);
	while (!sandbox_return_end(s->back))
		ev_run(s->loop, EVRUN_ONCE);
	while (s->conns != NULL)
		sandbox_conn_close(s->conns);
	return NULL;
}

/* No signal is ever handled in this thread. */
static int start_thread(struct sandbox *s, struct err *e)
{
	sigset_t all, old;
	s->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
	if (s->loop == NULL)
		return err_set(e, ERR_INTERNAL, "sandbox", "no event loop");
	ev_io_init(&s->accept, on_accept, s->fd, EV_READ);
	ev_async_init(&s->stop, on_stop);
	ev_prepare_init(&s->flush, on_prepare);
	s->accept.data = s->flush.data = s;
	ev_io_start(s->loop, &s->accept);
	ev_async_start(s->loop, &s->stop);
	ev_prepare_start(s->loop, &s->flush);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		return 0;
	ev_loop_destroy(s->loop);
	s->loop = NULL;
	return err_set(e, ERR_INTERNAL, "sandbox", "no thread: %s", strerror(rc));
}

static void tear_down(struct sandbox *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->log != NULL)
		fclose(s->log);
	if (s->loop != NULL)
		ev_loop_destroy(s->loop);
	SSL_CTX_free(s->socket.tls);
	fates_free(&s->fates);
	sandbox_return_free(s->back);
	free(s->auth);
	free(s->keep);
	free(s);
}

struct sandbox *sandbox_start(const struct sandbox_options *o, struct err *e)
{
	struct sandbox *s = calloc(1, sizeof *s);
	if (s == NULL) {
		err_set(e, ERR_INTERNAL, "sandbox", "out of memory");
		return NULL;
	}
	s->fd = -1;
	if (set_up(s, o, e) != 0 || start_thread(s, e) != 0) {
		tear_down(s);
		return NULL;
	}
	return s;
}

int sandbox_port(const struct sandbox *s)
{
	return s->port;
}

struct sandbox_counts sandbox_counts(const struct sandbox *s)
{
	return (struct sandbox_counts){.accepted = s->counts.accepted,
		.refused = s->counts.refused,
		.deferred = s->counts.deferred,
		.dropped = s->counts.dropped,
		.messages = s->counts.messages,
		.connections = s->counts.connections,
		.open = s->counts.open,
		.returned = s->counts.returned,
		.bytes = s->counts.bytes};
}

void sandbox_stop(struct sandbox **s)
{
	if (*s == NULL)
		return;
	ev_async_send((*s)->loop, &(*s)->stop);
	pthread_join((*s)->thread, NULL);
	tear_down(*s);
	*s = NULL;
}
