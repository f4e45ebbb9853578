#include "src/serve/listener_private.h"

#include "src/base/literal.h"
#include "src/base/log.h"
#include "src/serve/certificate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const ms_t IDLE = MINUTE;
static const ms_t GRACE = 10 * SECOND; /* for messages that are in when we are told to stop */

/* ---- Sockets ---- */

/* Who has the port is most often the mail server of this machine: it can hand over. */
void listener_advice(const struct config *c)
{
	const char *d = c->return_path.domain != NULL ? c->return_path.domain : "BOUNCES.EXAMPLE";
	log_error("Another `postrider serve`, or a mail server, has that port? For the latter write `listen "
		  "= lmtp:127.0.0.1:2424`, and let it hand over:");
	log_error("  Postfix, main.cf:  relay_domains = $mydestination %s", d);
	log_error("                     transport_maps = inline:{ %s=lmtp:inet:127.0.0.1:2424 }", d);
	log_error("  Exim, a router:    driver = manualroute, domains = %s, transport = bounces, route_list "
		  "= * "
		  "127.0.0.1 byname, self = send",
		d);
	log_error("  and its transport: driver = smtp, protocol = lmtp, port = 2424, allow_localhost");
}

static int no_port(const struct door *d, struct err *e)
{
	int why = errno;
	err_set(e, why == EADDRINUSE ? ERR_AGAIN : ERR_CREATE, "return path", "cannot listen on %s: %s",
		d->at->text, strerror(why));
	if (why == EACCES)
		return err_remedy(e, "Ports below 1024 are for root: start it as root with [daemon] user, or "
				     "give it CAP_NET_BIND_SERVICE.");
	return -1;
}

static int bind_local(struct door *d, const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	memcpy(a.sun_path, path, strlen(path) + 1);
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return no_port(d, e);
	/* One that is left of a run before is in nobody's use. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (connect(d->fd, (struct sockaddr *)&a, sizeof a) == 0) {
			errno = EADDRINUSE;
			return no_port(d, e);
		}
		unlink(path);
	}
	/* Who may connect is decided by the folder; what is taken, by the tokens. */
	if (bind(d->fd, (struct sockaddr *)&a, sizeof a) != 0 || chmod(path, 0666) != 0 ||
		listen(d->fd, 128) != 0)
		return no_port(d, e);
	return 0;
}

static int bind_address(struct door *d, const struct sockaddr_storage *a, struct err *e)
{
	int one = 1;
	d->fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return no_port(d, e);
	setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* Beside 0.0.0.0 there may be a [::] of the same port. */
	if (a->ss_family == AF_INET6)
		setsockopt(d->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(d->fd, (const struct sockaddr *)a, literal_place_size(a)) != 0 || listen(d->fd, 1024) != 0)
		return no_port(d, e);
	return 0;
}

int listener_bind(const struct config *c, struct listener **out, struct err *e)
{
	*out = NULL;
	if (c->return_path.nlisten == 0)
		return 0;
	struct listener *l = calloc(1, sizeof *l);
	if (l == NULL)
		return err_set(e, ERR_INTERNAL, "listener", "out of memory");
	l->inbox_end = &l->inbox;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	int rc = 0;
	while (rc == 0 && l->ndoors < c->return_path.nlisten) {
		const struct config_listen *at = &c->return_path.listen[l->ndoors];
		struct door *d = &l->doors[l->ndoors++];
		*d = (struct door){.l = l, .at = at, .fd = -1};
		rc = at->path != NULL ? bind_local(d, at->path, e) : bind_address(d, at->address, e);
	}
	if (rc != 0) {
		listener_stop(&l);
		return -1;
	}
	*out = l;
	return 0;
}

/* ---- The loop ---- */

/* Who waits at the door keeps it readable: without a pause we would do nothing but look at it. */
static void let_nobody_in(struct listener *l)
{
	log_warn("listener: no more file descriptors");
	l->deaf = true;
	for (int i = 0; i < l->ndoors; i++)
		ev_io_stop(l->loop, &l->doors[i].io);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct door *d = w->data;
	(void)loop, (void)events;
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof from;
		int one = 1, fd = accept4(d->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				let_nobody_in(d->l);
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		conn_open(d, fd, &from);
	}
}

static SSL_CTX *load_tls(const struct listener *l, struct err *e)
{
	const struct config *c = l->o.config;
	if (c->return_path.certificate == NULL)
		return certificate_own(l->host, NULL, e);
	const char *key = c->return_path.certificate_key;
	return certificate_load(
		c->return_path.certificate, key != NULL ? key : c->return_path.certificate, e);
}

static void set_tls(struct listener *l, SSL_CTX *tls)
{
	SSL_CTX_free(l->tls); /* connections hold references of their own */
	l->tls = tls;
	for (int i = 0; i < l->ndoors; i++)
		l->doors[i].socket.tls = tls;
}

static void end(struct listener *l)
{
	for (int i = 0; i < l->ndoors; i++)
		ev_io_stop(l->loop, &l->doors[i].io);
	conn_close_idle(l);
	if (l->parcels == 0 || clock_mono() > l->stop_at)
		ev_break(l->loop, EVBREAK_ALL);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
	struct listener *l = w->data;
	(void)loop, (void)events;
	pthread_mutex_lock(&l->lock);
	struct parcel *p = l->done;
	l->done = NULL;
	pthread_mutex_unlock(&l->lock);
	for (struct parcel *next; p != NULL; p = next) {
		next = p->next;
		l->parcels--;
		conn_answer(l, p);
	}
	if (atomic_exchange(&l->reload, false)) {
		struct err e = {0};
		SSL_CTX *tls = load_tls(l, &e);
		if (tls != NULL)
			set_tls(l, tls);
		else
			log_err(LOG_LEVEL_WARN, &e);
	}
	if (l->stopping)
		end(l);
}

static void on_sweep(struct ev_loop *loop, ev_timer *t, int events)
{
	struct listener *l = t->data;
	(void)events;
	conn_sweep(l, clock_mono());
	for (int i = 0; i < l->ndoors && l->deaf && !l->stopping; i++)
		ev_io_start(loop, &l->doors[i].io);
	l->deaf = false;
	if (l->stopping)
		end(l);
}

static void *loop_main(void *arg)
{
	struct listener *l = arg;
	ev_run(l->loop, 0);
	conn_close_all(l);
	return NULL;
}

static void set_door(struct door *d)
{
	d->socket = (struct socket_options){
		.tls = d->l->tls, .idle = IDLE, .in_max = 256 << 10, .out_max = 1 << 20};
	d->socket.smtp = (struct smtp_server_options){.name = d->l->host,
		.lmtp = d->at->lmtp,
		.starttls = d->at->path == NULL,
		.chunking = true,
		.smtputf8 = true,
		.limits = {.size = LISTENER_SIZE,
			.recipients = 100,
			.messages = 200,
			.commands = 2000,
			.errors = 20}};
	ev_io_init(&d->io, on_accept, d->fd, EV_READ);
	d->io.data = d;
	ev_io_start(d->l->loop, &d->io);
}

static void our_name(struct listener *l)
{
	if (gethostname(l->host, sizeof l->host - 1) == 0 && strchr(l->host, '.') != NULL)
		return;
	const char *domain = l->o.config->return_path.domain;
	snprintf(l->host, sizeof l->host, "%s", domain != NULL ? domain : "localhost");
}

int listener_start(struct listener *l, const struct listener_options *o, struct err *e)
{
	sigset_t all, old;
	l->o = *o;
	our_name(l);
	SSL_CTX *tls = load_tls(l, e);
	if (tls == NULL || intake_prepare(o->config, e) != 0) {
		SSL_CTX_free(tls);
		return -1;
	}
	l->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
	l->signer = token_signer_new(o->keys);
	l->recent = calloc(LISTENER_RECENT, sizeof *l->recent);
	l->tls = tls;
	if (l->loop == NULL || l->signer == NULL || l->recent == NULL)
		return err_set(e, ERR_INTERNAL, "listener", "out of memory");
	ev_async_init(&l->wake, on_wake);
	ev_timer_init(&l->sweep, on_sweep, 1., 1.);
	l->wake.data = l->sweep.data = l;
	ev_async_start(l->loop, &l->wake);
	ev_timer_start(l->loop, &l->sweep);
	for (int i = 0; i < l->ndoors; i++)
		set_door(&l->doors[i]);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	l->reader_running = pthread_create(&l->reading, NULL, intake_main, l) == 0;
	l->running = l->reader_running && pthread_create(&l->thread, NULL, loop_main, l) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!l->running)
		return err_set(e, ERR_INTERNAL, "listener", "no thread");
	for (int i = 0; i < l->ndoors; i++)
		log_info("listener: takes returned mail on %s", l->doors[i].at->text);
	if (o->config->return_path.postmaster == NULL)
		log_warn("listener: mail to postmaster@ and abuse@ is refused: set [return-path] postmaster");
	return 0;
}

void listener_reload(struct listener *l)
{
	if (l == NULL || !l->running)
		return;
	atomic_store(&l->reload, true);
	ev_async_send(l->loop, &l->wake);
}

static void parcels_free(struct parcel *p)
{
	for (struct parcel *next; p != NULL; p = next) {
		next = p->next;
		free(p->text);
		free(p);
	}
}

void listener_stop(struct listener **lp)
{
	struct listener *l = *lp;
	if (l == NULL)
		return;
	*lp = NULL;
	l->stop_at = clock_mono() + GRACE;
	if (l->running) {
		atomic_store(&l->stopping, true);
		ev_async_send(l->loop, &l->wake);
		pthread_join(l->thread, NULL);
	}
	if (l->reader_running) {
		pthread_mutex_lock(&l->lock);
		l->reading_over = true;
		pthread_cond_signal(&l->cond);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->reading, NULL);
	}
	parcels_free(l->inbox);
	parcels_free(l->done);
	for (int i = 0; i < l->ndoors; i++) {
		if (l->doors[i].fd >= 0)
			close(l->doors[i].fd);
		if (l->doors[i].at->path != NULL && l->running)
			unlink(l->doors[i].at->path);
	}
	if (l->loop != NULL)
		ev_loop_destroy(l->loop);
	SSL_CTX_free(l->tls);
	token_signer_free(&l->signer);
	free(l->recent);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->cond);
	free(l);
}
