/* Connections over real loopback sockets, against a server that plays a script in a thread. */
#ifndef SMTP_CONN_FIXTURE_H
#define SMTP_CONN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/smtp/conn.h"
#include "engine/tls.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Certificates ---- */

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

static struct identity authority, other_authority;
static char ca_file[] = "/tmp/postrider-test-ca-XXXXXX";

static inline void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v;
	X509V3_set_ctx(&v, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* by NULL: signs itself, an authority. san as in "DNS:localhost". */
static inline struct identity make_identity(
	const struct identity *by, const char *name, const char *san, long from, long to)
{
	static long serial = 1;
	struct identity id = {X509_new(), EVP_EC_gen("P-256")};
	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), from);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), to);
	X509_set_pubkey(id.cert, id.key);
	X509_NAME_add_entry_by_txt(
		X509_get_subject_name(id.cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(id.cert, X509_get_subject_name(by != NULL ? by->cert : id.cert));
	if (by == NULL)
		add_extension(id.cert, id.cert, NID_basic_constraints, "critical,CA:TRUE");
	if (san != NULL)
		add_extension(id.cert, by->cert, NID_subject_alt_name, san);
	assert_true(X509_sign(id.cert, by != NULL ? by->key : id.key, EVP_sha256()) > 0);
	return id;
}

static inline void free_identity(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
}

static inline SSL_CTX *server_context(const struct identity *by, const char *san, long from, long to)
{
	struct identity id = make_identity(by, "server", san, from, to);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(ctx, id.cert);
	SSL_CTX_use_PrivateKey(ctx, id.key);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
	free_identity(&id);
	return ctx;
}

static inline SSL_CTX *good_context(void)
{
	return server_context(&authority, "DNS:localhost,IP:127.0.0.1", -3600, 3600);
}

/* ---- The server: one script for each connection ---- */

struct server {
	const char *const *scripts[8]; /* NULL-terminated lists of steps */
	SSL_CTX *tls;
	bool slow;
	int listener, port, nscripts;
	pthread_t thread;
	char error[300];
	bool resumed[8];
	size_t body_bytes;
	unsigned long body_sum;
	/* the connection being served */
	int fd;
	SSL *ssl;
	char in[70000];
	size_t have;
};

static inline void server_write(struct server *s, const char *p, size_t n)
{
	size_t step = s->slow ? 1 : n;
	for (size_t i = 0; i < n; i += step) {
		if (s->ssl != NULL)
			SSL_write(s->ssl, p + i, (int)step);
		else
			send(s->fd, p + i, step, MSG_NOSIGNAL);
		if (s->slow)
			usleep(200);
	}
}

/* False at the end of the connection. */
static inline bool server_fill(struct server *s)
{
	size_t room = sizeof s->in - s->have;
	ssize_t n = s->ssl != NULL ? SSL_read(s->ssl, s->in + s->have, (int)room)
				   : recv(s->fd, s->in + s->have, room, 0);
	if (n > 0)
		s->have += (size_t)n;
	return n > 0;
}

static inline bool server_line(struct server *s, char *out, size_t max)
{
	char *nl;
	while ((nl = memchr(s->in, '\n', s->have)) == NULL) {
		if (!server_fill(s))
			return false;
	}
	size_t n = (size_t)(nl + 1 - s->in);
	snprintf(out, max, "%.*s", (int)(n - 2), s->in);
	memmove(s->in, s->in + n, s->have - n);
	s->have -= n;
	return true;
}

static inline void server_wants(struct server *s, const char *want)
{
	char line[1000] = "(end of the connection)";
	server_line(s, line, sizeof line);
	if (strcmp(line, want) != 0 && s->error[0] == '\0')
		snprintf(s->error, sizeof s->error, "got '%.100s', wanted '%.100s'", line, want);
}

static inline void server_message(struct server *s)
{
	char line[1000];
	while (server_line(s, line, sizeof line)) {
		if (strcmp(line, ".") == 0)
			return;
		s->body_bytes += strlen(line) + 2;
		for (const char *p = line; *p != '\0'; p++)
			s->body_sum = s->body_sum * 31 + (unsigned char)*p;
	}
	snprintf(s->error, sizeof s->error, "the message has no end");
}

static inline void server_step(struct server *s, int nth, const char *step)
{
	char line[9000];
	if (strncmp(step, "S ", 2) == 0) {
		snprintf(line, sizeof line, "%s\r\n", step + 2);
		server_write(s, line, strlen(line));
	} else if (strncmp(step, "C ", 2) == 0) {
		server_wants(s, step + 2);
	} else if (strcmp(step, "message") == 0) {
		server_message(s);
	} else if (strcmp(step, "tls") == 0) {
		s->ssl = SSL_new(s->tls);
		SSL_set_fd(s->ssl, s->fd);
		SSL_accept(s->ssl);
		s->resumed[nth] = SSL_session_reused(s->ssl);
	} else if (strcmp(step, "together") == 0) {
		s->have = 0; /* one read: what was written in one piece comes in one piece */
		server_fill(s);
		if (memmem(s->in, s->have, "\r\n.\r\nMAIL FROM:", 15) == NULL ||
			!str_ends(str_n(s->in, s->have), STR("DATA\r\n")))
			snprintf(s->error, sizeof s->error, "end and next envelope did not come together");
		s->have = 0;
	} else if (strcmp(step, "some") == 0) {
		server_fill(s);
	} else if (strcmp(step, "reset") == 0) {
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	} else if (strcmp(step, "wait") == 0) {
		while (server_line(s, line, sizeof line))
			;
	} else if (strcmp(step, "cork") == 0 || strcmp(step, "uncork") == 0) {
		setsockopt(s->fd, IPPROTO_TCP, TCP_CORK, &(int){step[0] == 'c'}, sizeof(int));
	} else if (strcmp(step, "pause") == 0) {
		usleep(100000);
	} else {
		snprintf(s->error, sizeof s->error, "unknown step %s", step);
	}
}

static inline void *serve(void *arg)
{
	struct server *s = arg;
	for (int i = 0; i < s->nscripts; i++) {
		s->fd = accept(s->listener, NULL, NULL);
		if (s->fd < 0)
			break;
		s->have = 0;
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){5, 0}, sizeof(struct timeval));
		for (const char *const *step = s->scripts[i]; *step != NULL; step++)
			server_step(s, i, *step);
		if (s->ssl != NULL)
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		s->ssl = NULL;
		close(s->fd);
	}
	return NULL;
}

static inline int listen_somewhere(int backlog, int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, backlog), 0);
	getsockname(fd, (struct sockaddr *)&a, &n);
	*port = ntohs(a.sin_port);
	return fd;
}

/* ---- The client's side ---- */

struct client {
	struct ev_loop *loop;
	struct smtp_endpoint ep;
	struct smtp_options o;
	struct sockaddr_storage addrs[2];
	struct smtp_conn *c;
	struct smtp_message messages[4];
	int to_give, given, open;
	bool in_call, quit_when_done, abort_at_ready;
	char log[2000], why[300];
	const char *tls; /* of the last result */
};

static struct server server;
static struct client client;

static inline void note(struct client *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void note(struct client *t, const char *fmt, ...)
{
	size_t n = strlen(t->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(t->log + n, sizeof t->log - n, fmt, ap);
	va_end(ap);
	assert_false(t->in_call); /* callbacks never run inside the call that caused them */
}

static inline void on_ready(void *ctx, struct smtp_conn *c)
{
	struct client *t = ctx;
	assert_true(smtp_conn_ready(c));
	assert_true(smtp_conn_established(c));
	if (t->abort_at_ready)
		smtp_conn_abort(c);
	else if (t->given < t->to_give)
		smtp_conn_send(c, &t->messages[t->given++]);
	else if (t->quit_when_done)
		smtp_conn_quit(c);
}

static inline void on_result(
	void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct client *t = ctx;
	t->tls = smtp_conn_facts(c)->tls;
	note(t, "%d:%s:%d%s%s%s ", (int)(m - t->messages), smtp_stage_names[r->stage],
		r->reply != NULL ? r->reply->code : 0, r->accepted ? ":accepted" : "",
		r->tried || r->doubt ? "" : ":untried", r->doubt ? ":doubt" : "");
}

static inline void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct client *t = ctx;
	(void)c;
	note(t, "closed:%s%s", smtp_stage_names[r->stage], clean ? ":clean" : "");
	snprintf(t->why, sizeof t->why, "%s", r->why);
	t->c = NULL;
	t->open--;
}

static const struct smtp_conn_ops ops = {on_ready, on_result, on_closed};

static inline void set_address(struct sockaddr_storage *to, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	memcpy(to, &a, sizeof a);
}

static inline void prepare(enum smtp_tls tls, const char *const *script)
{
	server = (struct server){.scripts = {script}, .nscripts = 1};
	server.listener = listen_somewhere(16, &server.port);
	client = (struct client){.loop = ev_loop_new(0), .quit_when_done = true};
	client.o = (struct smtp_options){.helo = "us.example", .tls = tls, .pipeline = true};
	set_address(&client.addrs[0], server.port);
	client.ep = (struct smtp_endpoint){
		.host = "localhost", .addrs = client.addrs, .naddrs = 1, .connect_timeout = 5 * SECOND};
	for (int i = 0; i < 4; i++)
		client.messages[i] = (struct smtp_message){.from = STR("from@us.example"),
			.rcpt = STR("to@them.example"),
			.header = STR("Subject: hello\r\n\r\n"),
			.body = STR("One line.\r\n")};
}

static inline void connect_client(void)
{
	struct err e;
	client.in_call = true;
	client.c = smtp_conn_open(client.loop, &client.ep, &client.o, &ops, &client, &e);
	client.in_call = false;
	assert_non_null(client.c);
	client.open++;
	client.log[0] = '\0';
	client.given = 0;
}

static inline void run_loop(void)
{
	/* Ends when no watcher is left: nothing of a closed connection stays behind. */
	ev_run(client.loop, 0);
	assert_int_equal(client.open, 0);
}

static inline void start_server(void)
{
	pthread_create(&server.thread, NULL, serve, &server);
}

static inline void finish(void)
{
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	SSL_CTX_free(server.tls);
	ev_loop_destroy(client.loop);
	tls_client_free(&client.ep.tls);
	assert_string_equal(server.error, "");
}

static inline void use_tls(const char *file, bool verify, SSL_CTX *server_side)
{
	struct err e;
	client.ep.tls = tls_client_new(file, verify ? TLS_VERIFY : TLS_MAY, &e);
	assert_non_null(client.ep.tls);
	server.tls = server_side;
}

static inline void run(int messages, const char *want)
{
	client.to_give = messages;
	start_server();
	connect_client();
	run_loop();
	assert_string_equal(client.log, want);
}

#define HELLO       "S 220 hi", "C EHLO us.example"
#define ENVELOPE    "C MAIL FROM:<from@us.example>", "C RCPT TO:<to@them.example>", "C DATA"
#define OKS         "S 250 ok", "S 250 ok", "S 354 go on"
#define DELIVERED   "0:end:250:accepted closed:quit:clean"
#define QUIT        "C QUIT", "S 221 bye"
#define TO_TLS      HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "tls"
#define OFFER       "C EHLO us.example", "S 250-x", "S 250 PIPELINING"
#define ONE_MESSAGE ENVELOPE, OKS, "message", "S 250 ok", QUIT

static const char *const plain_script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ONE_MESSAGE, NULL};
static const char *const starttls_script[] = {TO_TLS, OFFER, ONE_MESSAGE, NULL};
static const char *const implicit_script[] = {"tls", "S 220 hi", OFFER, ONE_MESSAGE, NULL};

static inline int make_authorities(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_DFL); /* the connection itself must be safe from it */
	authority = make_identity(NULL, "Test authority", NULL, -86400, 86400);
	other_authority = make_identity(NULL, "Other authority", NULL, -86400, 86400);
	FILE *f = fdopen(mkstemp(ca_file), "w");
	PEM_write_X509(f, authority.cert);
	fclose(f);
	return 0;
}

static inline int free_authorities(void **state)
{
	(void)state;
	unlink(ca_file);
	free_identity(&authority);
	free_identity(&other_authority);
	return 0;
}

#endif
