/* smtp_conn over real loopback sockets, against a server that plays a script in a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/smtp/conn.h"
#include "engine/tls.h"

/* ---- Certificates ---- */

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

static struct identity authority, other_authority;
static char ca_file[] = "/tmp/postrider-test-ca-XXXXXX";

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v;
	X509V3_set_ctx(&v, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* by NULL: signs itself, an authority. san as in "DNS:localhost". */
static struct identity make_identity(
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

static void free_identity(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
}

static SSL_CTX *server_context(const struct identity *by, const char *san, long from, long to)
{
	struct identity id = make_identity(by, "server", san, from, to);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(ctx, id.cert);
	SSL_CTX_use_PrivateKey(ctx, id.key);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
	free_identity(&id);
	return ctx;
}

static SSL_CTX *good_context(void)
{
	return server_context(&authority, "DNS:localhost,IP:127.0.0.1", -3600, 3600);
}

/* ---- The server: one script for each connection ---- */

struct server {
	const char *const *scripts[4]; /* NULL-terminated lists of steps */
	SSL_CTX *tls;
	bool slow;
	int listener, port, nscripts;
	pthread_t thread;
	char error[300];
	bool resumed[4];
	size_t body_bytes;
	unsigned long body_sum;
	/* the connection being served */
	int fd;
	SSL *ssl;
	char in[70000];
	size_t have;
};

static void server_write(struct server *s, const char *p, size_t n)
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
static bool server_fill(struct server *s)
{
	size_t room = sizeof s->in - s->have;
	ssize_t n = s->ssl != NULL ? SSL_read(s->ssl, s->in + s->have, (int)room)
				   : recv(s->fd, s->in + s->have, room, 0);
	if (n > 0)
		s->have += (size_t)n;
	return n > 0;
}

static bool server_line(struct server *s, char *out, size_t max)
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

static void server_wants(struct server *s, const char *want)
{
	char line[1000] = "(end of the connection)";
	server_line(s, line, sizeof line);
	if (strcmp(line, want) != 0 && s->error[0] == '\0')
		snprintf(s->error, sizeof s->error, "got '%.100s', wanted '%.100s'", line, want);
}

static void server_message(struct server *s)
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

static void server_step(struct server *s, int nth, const char *step)
{
	char line[1000];
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

static void *serve(void *arg)
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

static int listen_somewhere(int backlog, int *port)
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
};

static struct server server;
static struct client client;

static void note(struct client *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct client *t, const char *fmt, ...)
{
	size_t n = strlen(t->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(t->log + n, sizeof t->log - n, fmt, ap);
	va_end(ap);
	assert_false(t->in_call); /* callbacks never run inside the call that caused them */
}

static void on_ready(void *ctx, struct smtp_conn *c)
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

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct client *t = ctx;
	(void)c;
	note(t, "%d:%s:%d%s%s%s ", (int)(m - t->messages), smtp_stage_names[r->stage],
		r->reply != NULL ? r->reply->code : 0, r->accepted ? ":accepted" : "",
		r->tried || r->doubt ? "" : ":untried", r->doubt ? ":doubt" : "");
}

static void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct client *t = ctx;
	(void)c;
	note(t, "closed:%s%s", smtp_stage_names[r->stage], clean ? ":clean" : "");
	snprintf(t->why, sizeof t->why, "%s", r->why);
	t->c = NULL;
	t->open--;
}

static const struct smtp_conn_ops ops = {on_ready, on_result, on_closed};

static void set_address(struct sockaddr_storage *to, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	memcpy(to, &a, sizeof a);
}

static void prepare(enum smtp_tls tls, const char *const *script)
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

static void connect_client(void)
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

static void run_loop(void)
{
	ev_run(client.loop,
		0); /* ends when no watcher is left: nothing of a closed connection stays behind */
	assert_int_equal(client.open, 0);
}

static void start_server(void)
{
	pthread_create(&server.thread, NULL, serve, &server);
}

static void finish(void)
{
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	SSL_CTX_free(server.tls);
	ev_loop_destroy(client.loop);
	tls_client_free(&client.ep.tls);
	assert_string_equal(server.error, "");
}

static void use_tls(const char *file, bool verify, SSL_CTX *server_side)
{
	struct err e;
	client.ep.tls = tls_client_new(file, verify ? TLS_VERIFY : TLS_MAY, &e);
	assert_non_null(client.ep.tls);
	server.tls = server_side;
}

static void run(int messages, const char *want)
{
	client.to_give = messages;
	start_server();
	connect_client();
	run_loop();
	assert_string_equal(client.log, want);
}

#define HELLO        "S 220 hi", "C EHLO us.example"
#define ENVELOPE     "C MAIL FROM:<from@us.example>", "C RCPT TO:<to@them.example>", "C DATA"
#define OKS          "S 250 ok", "S 250 ok", "S 354 go on"
#define DELIVERED    "0:end:250:accepted closed:quit:clean"
#define QUIT         "C QUIT", "S 221 bye"
#define TO_TLS       HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "tls"
#define OFFER        "C EHLO us.example", "S 250-x", "S 250 PIPELINING"
#define ONE_MESSAGE  ENVELOPE, OKS, "message", "S 250 ok", QUIT
#define FAILS_IN_TLS HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "tls", NULL

static const char *const plain_script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ONE_MESSAGE, NULL};
static const char *const starttls_script[] = {TO_TLS, OFFER, ONE_MESSAGE, NULL};
static const char *const implicit_script[] = {"tls", "S 220 hi", OFFER, ONE_MESSAGE, NULL};
static const char *const fails_in_tls[] = {FAILS_IN_TLS};

static void plain__one_message__is_delivered_and_quit(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	run(1, DELIVERED);
	finish();
}

static void plain__end_and_next_envelope__leave_in_one_write(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "together",
		"S 250 ok", OKS, "message", "S 250 ok", QUIT, NULL};
	prepare(SMTP_TLS_NONE, script);
	run(2, "0:end:250:accepted 1:end:250:accepted closed:quit:clean");
	finish();
}

static void starttls__one_message__is_delivered(void **state)
{
	(void)state;
	prepare(SMTP_TLS_STARTTLS, starttls_script);
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	finish();
}

static void implicit_tls__one_message__is_delivered(void **state)
{
	(void)state;
	prepare(SMTP_TLS_IMPLICIT, implicit_script);
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	finish();
}

static void implicit_tls__greeting_in_one_piece_with_the_handshake__is_read(void **state)
{
	(void)state;
	static const char *const script[] = {"cork", "tls", "S 220 hi", "uncork", OFFER, ONE_MESSAGE, NULL};
	prepare(SMTP_TLS_IMPLICIT, script);
	use_tls(ca_file, true, good_context());
	SSL_CTX_set_max_proto_version(server.tls, TLS1_2_VERSION); /* the server has the last word */
	run(1, DELIVERED);
	finish();
}

static void tls__end_and_next_envelope__leave_in_one_record(void **state)
{
	(void)state;
	static const char *const script[] = {
		TO_TLS, OFFER, ENVELOPE, OKS, "together", "S 250 ok", OKS, "message", "S 250 ok", QUIT, NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, good_context());
	run(2, "0:end:250:accepted 1:end:250:accepted closed:quit:clean");
	finish();
}

static void tls__second_connection__resumes_the_session(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		prepare(SMTP_TLS_STARTTLS, starttls_script);
		server.scripts[1] = starttls_script;
		server.nscripts = 2;
		use_tls(ca_file, true, good_context());
		SSL_CTX_set_max_proto_version(server.tls, version);
		run(1, DELIVERED);
		connect_client();
		run_loop();
		assert_string_equal(client.log, DELIVERED);
		finish();
		assert_false(server.resumed[0]);
		assert_true(server.resumed[1]);
	}
}

static void tls__another_host__does_not_resume(void **state)
{
	(void)state;
	prepare(SMTP_TLS_STARTTLS, starttls_script);
	server.scripts[1] = starttls_script;
	server.nscripts = 2;
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	client.ep.host = "127.0.0.1"; /* the certificate is good for that, too */
	connect_client();
	run_loop();
	assert_string_equal(client.log, DELIVERED);
	finish();
	assert_false(server.resumed[1]);
}

static void tls_fails(SSL_CTX *ctx, const char *host, const char *why)
{
	prepare(SMTP_TLS_STARTTLS, fails_in_tls);
	use_tls(ca_file, true, ctx);
	client.ep.host = host;
	run(1, "closed:tls");
	if (strstr(client.why, why) == NULL)
		fail_msg("'%s' does not hold '%s'", client.why, why);
	finish();
}

static void tls__certificate_for_another_name__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&authority, "DNS:other.example", -3600, 3600), "localhost",
		"another name than localhost");
	tls_fails(server_context(&authority, "DNS:localhost", -3600, 3600), "127.0.0.1",
		"another name than 127.0.0.1");
	tls_fails(server_context(&authority, "DNS:127.0.0.1", -3600, 3600), "127.0.0.1",
		"another name than 127.0.0.1");
}

static void tls__certificate_out_of_its_time__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&authority, "DNS:localhost", -7200, -3600), "localhost", "has expired");
	tls_fails(server_context(&authority, "DNS:localhost", 3600, 7200), "localhost", "not valid yet");
}

static void tls__unknown_authority__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&other_authority, "DNS:localhost", -3600, 3600), "localhost",
		"not signed by a trusted authority");
}

static void tls__old_version__is_refused_in_words(void **state)
{
	(void)state;
	SSL_CTX *ctx = good_context();
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	SSL_CTX_set_security_level(ctx, 0);
	tls_fails(ctx, "localhost", "1.2 or newer");
}

static void tls__not_verified__goes_on(void **state)
{
	(void)state;
	prepare(SMTP_TLS_OPPORTUNISTIC, starttls_script);
	use_tls(NULL, false, server_context(&other_authority, "DNS:other.example", -7200, -3600));
	run(1, DELIVERED);
	finish();
}

/* ---- Policies ---- */

static void spki_digest(SSL_CTX *ctx, unsigned char out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(SSL_CTX_get0_certificate(ctx)), &der);
	SHA256(der, (size_t)n, out);
	OPENSSL_free(der);
}

static void under_policy(
	const struct tls_policy *p, SSL_CTX *ctx, const char *const *script, const char *want)
{
	prepare(SMTP_TLS_OPPORTUNISTIC, script);
	use_tls(ca_file, false, ctx);
	client.ep.policy = p;
	run(1, want);
}

static void dane__record_decides__not_name_nor_time_nor_authority(void **state)
{
	(void)state;
	unsigned char digest[32];
	const struct tlsa good = {3, 1, 1, digest, 32};
	const struct tls_policy p = {.need = TLS_DANE, .tlsa = &good, .ntlsa = 1};
	SSL_CTX *ctx = server_context(&other_authority, "DNS:other.example", -7200, -3600);
	spki_digest(ctx, digest);
	under_policy(&p, ctx, starttls_script, DELIVERED);
	finish();
	/* A good certificate that no record names. */
	digest[0] ^= 1;
	under_policy(&p, good_context(), fails_in_tls, "closed:tls");
	assert_non_null(strstr(client.why, "no TLSA record"));
	finish();
}

static void dane__authority_is_named__the_name_counts(void **state)
{
	(void)state;
	unsigned char digest[32], *der = NULL;
	const struct tlsa ta = {2, 0, 1, digest, 32};
	const struct tls_policy p = {.need = TLS_DANE, .tlsa = &ta, .ntlsa = 1, .base = "mx.example"};
	int n = i2d_X509(other_authority.cert, &der);
	SHA256(der, (size_t)n, digest);
	OPENSSL_free(der);
	for (int i = 0; i < 2; i++) {
		SSL_CTX *ctx = server_context(
			&other_authority, i == 0 ? "DNS:mx.example" : "DNS:x.example", -60, 60);
		X509_up_ref(other_authority.cert);
		SSL_CTX_add_extra_chain_cert(ctx, other_authority.cert);
		under_policy(
			&p, ctx, i == 0 ? starttls_script : fails_in_tls, i == 0 ? DELIVERED : "closed:tls");
		finish();
	}
}

static void policy__tls_is_a_must__never_in_clear(void **state)
{
	(void)state;
	static const char *const not_offered[] = {HELLO, "S 250 x", "C QUIT", NULL};
	for (enum tls_need need = TLS_ENCRYPT; need <= TLS_DANE; need++) {
		const struct tls_policy p = {.need = need};
		under_policy(&p, NULL, not_offered, "closed:starttls");
		assert_non_null(strstr(client.why, "the domain's policy"));
		finish();
	}
	const struct tls_policy verify = {.need = TLS_VERIFY}, encrypt = {.need = TLS_ENCRYPT};
	under_policy(&verify, server_context(&other_authority, "DNS:localhost", -60, 60), fails_in_tls,
		"closed:tls");
	finish();
	under_policy(&verify, good_context(), starttls_script, DELIVERED);
	finish();
	under_policy(
		&encrypt, server_context(&other_authority, "DNS:x", -60, 60), starttls_script, DELIVERED);
	finish();
	/* A record that only OpenSSL finds to be nonsense is one that cannot be used (RFC 7672 2.2). */
	const struct tlsa odd = {3, 0, 0, (const unsigned char *)"nonsense", 8};
	const struct tls_policy dane = {.need = TLS_DANE, .tlsa = &odd, .ntlsa = 1};
	under_policy(&dane, server_context(&other_authority, "DNS:x", -60, 60), starttls_script, DELIVERED);
	finish();
}

static void policy__session_of_a_milder_one__is_not_resumed(void **state)
{
	(void)state;
	const struct tls_policy verify = {.need = TLS_VERIFY};
	prepare(SMTP_TLS_OPPORTUNISTIC, starttls_script);
	server.scripts[1] = fails_in_tls;
	server.nscripts = 2;
	use_tls(ca_file, false, server_context(&other_authority, "DNS:localhost", -60, 60));
	run(1, DELIVERED);
	client.ep.policy = &verify;
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:tls");
	finish();
	assert_false(server.resumed[1]);
}

/* RFC 7435: in the clear where nobody demands TLS and it does not work; the next connection does not try it
 * again. */
static void opportunistic__handshake_fails__goes_on_in_clear(void **state)
{
	(void)state;
	static const char *const cannot[] = {
		HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", NULL};
	static const char *const clear[] = {
		HELLO, "S 250-x", "S 250-STARTTLS", "S 250 PIPELINING", ONE_MESSAGE, NULL};
	prepare(SMTP_TLS_OPPORTUNISTIC, cannot);
	server.scripts[1] = server.scripts[2] = clear;
	server.nscripts = 3;
	use_tls(NULL, false, NULL);
	run(1, DELIVERED);
	connect_client();
	run_loop();
	assert_string_equal(client.log, DELIVERED);
	finish();
}

static void implicit_tls__to_a_plain_text_port__is_explained(void **state)
{
	(void)state;
	static const char *const script[] = {"S 220 hi", "wait", NULL};
	prepare(SMTP_TLS_IMPLICIT, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	assert_non_null(strstr(client.why, "plain text"));
	finish();
}

static void starttls__refused_by_the_server__closes(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 no", "C QUIT", NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:starttls");
	finish();
}

static void starttls__server_closes_in_the_handshake__is_an_end_in_tls(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	finish();
}

static void tls__silent_server__times_out(void **state)
{
	(void)state;
	static const char *const script[] = {"wait", NULL};
	static struct smtp_timeouts t;
	t = smtp_timeouts_default;
	t.tls = 100;
	prepare(SMTP_TLS_IMPLICIT, script);
	client.o.timeouts = &t;
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	assert_non_null(strstr(client.why, "timeout"));
	finish();
}

static void slow_server__byte_by_byte__is_understood(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	server.slow = true;
	run(1, DELIVERED);
	finish();
	prepare(SMTP_TLS_IMPLICIT, implicit_script);
	use_tls(ca_file, true, good_context());
	server.slow = true;
	run(1, DELIVERED);
	finish();
}

static void login__on_this_host__goes_in_clear(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250-AUTH PLAIN", "S 250 PIPELINING",
		"C AUTH PLAIN AHUAcA==", "S 235 ok", ONE_MESSAGE, NULL};
	prepare(SMTP_TLS_NONE, script);
	client.o.user = "u";
	client.o.password = "p";
	run(1, DELIVERED);
	finish();
}

static void server_that_closes(const char *const *script, const char *want)
{
	prepare(SMTP_TLS_NONE, script);
	run(2, want);
	finish();
}

static void server_that_closes__decides_doubt(void **state)
{
	(void)state;
	static const char *const at_once[] = {NULL};
	static const char *const after_mail[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, "S 250 ok", NULL};
	static const char *const after_end[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", NULL};
	static const char *const reset_after_end[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", ENVELOPE, "reset", NULL};
	static const char *const at_421[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message",
		"S 421 4.3.2 enough", "reset", "pause", NULL};
	server_that_closes(at_once, "closed:greeting");
	server_that_closes(after_mail, "0:rcpt:0 1:mail:0:untried closed:rcpt");
	server_that_closes(after_end, "0:end:0:doubt 1:mail:0:untried closed:end");
	server_that_closes(reset_after_end, "0:end:0:doubt 1:mail:0:untried closed:end");
	server_that_closes(at_421, "0:end:421 1:mail:0:untried closed:end");
}

static void fill_large(struct smtp_message *m, char *text, size_t n, unsigned long *sum)
{
	*sum = 0;
	for (size_t i = 0; i < n; i++) {
		text[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i / 80 % 26);
		if (i % 80 < 78)
			*sum = *sum * 31 + (unsigned char)text[i];
	}
	m->header = str_n(text, 160);
	m->body = str_n(text + 160, n - 160);
}

static void large_message__to_a_server_that_reads_late__arrives_whole(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, "S 250 ok",
		"S 250 ok", "S 354 go on", "pause", "message", "S 250 ok", QUIT, NULL};
	static const char *const tls_script[] = {
		TO_TLS, OFFER, ENVELOPE, OKS, "pause", "message", "S 250 ok", QUIT, NULL};
	const size_t n = 80 * 100000;
	char *text = malloc(n);
	for (int tls = 0; tls < 2; tls++) {
		unsigned long sum;
		prepare(tls ? SMTP_TLS_STARTTLS : SMTP_TLS_NONE, tls ? tls_script : script);
		if (tls)
			use_tls(ca_file, true, good_context());
		fill_large(&client.messages[0], text, n, &sum);
		run(1, DELIVERED);
		finish();
		assert_int_equal(server.body_bytes, n);
		assert_true(server.body_sum == sum);
	}
	free(text);
}

static void large_message__reset_in_the_middle__is_no_doubt(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "some", "reset", NULL};
	const size_t n = 80 * 200000;
	unsigned long sum;
	char *text = malloc(n);
	prepare(SMTP_TLS_NONE, script);
	fill_large(&client.messages[0], text, n, &sum);
	run(1, "0:data:0 closed:end");
	finish();
	free(text);
}

static void connect__refused__says_where_and_why(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	close(server.listener);
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	assert_non_null(strstr(client.why, "127.0.0.1 port "));
	assert_non_null(strstr(client.why, "Connection refused"));
	ev_loop_destroy(client.loop);
}

static void connect__second_address__is_tried(void **state)
{
	(void)state;
	int dead;
	close(listen_somewhere(1, &dead));
	prepare(SMTP_TLS_NONE, plain_script);
	client.addrs[1] = client.addrs[0];
	set_address(&client.addrs[0], dead);
	client.ep.naddrs = 2;
	run(1, DELIVERED);
	finish();
}

static void connect__no_address__closes_on_the_next_turn(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	client.ep.naddrs = 0;
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

/* A full queue leaves further connections without an answer. */
struct silent {
	int listener, fill[4];
	struct sockaddr_storage address;
};

static void silent_start(struct silent *s)
{
	int port;
	s->listener = listen_somewhere(0, &port);
	set_address(&s->address, port);
	for (int i = 0; i < 4; i++) {
		s->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(s->fill[i], (struct sockaddr *)&s->address, sizeof(struct sockaddr_in));
	}
}

static void silent_stop(struct silent *s)
{
	for (int i = 0; i < 4; i++)
		close(s->fill[i]);
	close(s->listener);
}

static void connect__silence__times_out_and_goes_to_the_next(void **state)
{
	(void)state;
	struct silent s;
	silent_start(&s);
	prepare(SMTP_TLS_NONE, plain_script);
	client.addrs[1] = client.addrs[0];
	client.addrs[0] = s.address;
	client.ep.naddrs = 2;
	client.ep.connect_timeout = 100;
	ms_t before = clock_mono();
	run(1, DELIVERED);
	assert_true(clock_mono() - before >= 100);
	finish();
	silent_stop(&s);
}

/* An address that leads nowhere costs a second, whatever the time that a single one has. */
static void connect__silence__the_next_is_tried_beside_it(void **state)
{
	(void)state;
	struct silent s;
	silent_start(&s);
	prepare(SMTP_TLS_NONE, plain_script);
	client.addrs[1] = client.addrs[0];
	client.addrs[0] = s.address;
	client.ep.naddrs = 2;
	client.ep.connect_timeout = 30 * SECOND;
	ms_t before = clock_mono();
	run(1, DELIVERED);
	assert_true(clock_mono() - before < 10 * SECOND);
	finish();
	silent_stop(&s);
}

static void *wake_up_and_serve(void *arg)
{
	struct silent *s = arg;
	int fd;
	usleep(1500 * 1000);
	for (int i = 0; i < 4; i++)
		close(s->fill[i]);
	fcntl(s->listener, F_SETFL, O_NONBLOCK);
	while ((fd = accept(s->listener, NULL, NULL)) >= 0)
		close(fd);
	fcntl(s->listener, F_SETFL, 0);
	return serve(&server);
}

/* The first one, slow but alive, is still there when the second fails. */
static void connect__slow_one__answers_after_the_other_failed(void **state)
{
	(void)state;
	struct silent s;
	int dead;
	silent_start(&s);
	prepare(SMTP_TLS_NONE, plain_script);
	close(listen_somewhere(1, &dead));
	client.addrs[0] = s.address;
	set_address(&client.addrs[1], dead);
	client.ep.naddrs = 2;
	client.ep.connect_timeout = 30 * SECOND;
	close(server.listener);
	server.listener = s.listener;
	client.to_give = 1;
	pthread_create(&server.thread, NULL, wake_up_and_serve, &s);
	connect_client();
	run_loop();
	assert_string_equal(client.log, DELIVERED);
	finish();
}

static void connect__no_descriptor_left__is_an_error_at_once(void **state)
{
	(void)state;
	struct rlimit before, none;
	struct err e;
	prepare(SMTP_TLS_NONE, plain_script);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	struct smtp_conn *c = smtp_conn_open(client.loop, &client.ep, &client.o, &ops, &client, &e);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_null(c);
	assert_int_equal(e.code, ERR_IO);
	run_loop();
	assert_string_equal(client.log, "");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

static void abort__results_and_closed_come_later(void **state)
{
	(void)state;
	prepare(SMTP_TLS_NONE, plain_script);
	connect_client();
	client.in_call = true;
	smtp_conn_abort(client.c);
	smtp_conn_abort(client.c);
	client.in_call = false;
	run_loop();
	assert_string_equal(client.log, "closed:connect");
	close(server.listener);
	ev_loop_destroy(client.loop);
}

static void abort__inside_a_callback__is_fine(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250 PIPELINING", "wait", NULL};
	prepare(SMTP_TLS_NONE, script);
	client.abort_at_ready = true;
	run(1, "closed:idle");
	finish();
}

static void give_from_a_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	if (!smtp_conn_ready(client.c))
		return;
	ev_timer_stop(loop, w);
	client.in_call = true;
	smtp_conn_send(client.c, &client.messages[0]);
	if (smtp_conn_ready(client.c))
		smtp_conn_send(client.c, &client.messages[1]);
	smtp_conn_quit(client.c);
	client.in_call = false;
}

static void send__outside_callbacks__goes_out(void **state)
{
	(void)state;
	static const char *const script[] = {HELLO, "S 250-x", "S 250-SIZE 1000", "S 250 PIPELINING",
		"C MAIL FROM:<from@us.example> SIZE=29", "C RCPT TO:<to@them.example>", "C DATA", OKS,
		"message", "S 250 ok", QUIT, NULL};
	static char large[2000] = "x";
	prepare(SMTP_TLS_NONE, script);
	client.quit_when_done = false;
	client.messages[1].body = str_n(large, sizeof large);
	start_server();
	connect_client();
	ev_timer timer;
	ev_timer_init(&timer, give_from_a_timer, 0.01, 0.01);
	ev_timer_start(client.loop, &timer);
	run_loop();
	assert_string_equal(client.log, "0:end:250:accepted 1:mail:552 closed:quit:clean");
	finish();
}

static void own_refusal__outside_callbacks__comes_on_the_next_turn(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250-SIZE 10", "S 250 PIPELINING", QUIT, NULL};
	prepare(SMTP_TLS_NONE, script);
	client.quit_when_done = false;
	start_server();
	connect_client();
	ev_timer timer;
	ev_timer_init(&timer, give_from_a_timer, 0.01, 0.01);
	ev_timer_start(client.loop, &timer);
	run_loop();
	assert_string_equal(client.log, "0:mail:552 1:mail:552 closed:quit:clean");
	finish();
}

static void reply_timeout__closes(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 PIPELINING", ENVELOPE, OKS, "message", "wait", NULL};
	static struct smtp_timeouts t;
	t = smtp_timeouts_default;
	t.end = 150;
	prepare(SMTP_TLS_NONE, script);
	client.o.timeouts = &t;
	ms_t before = clock_mono();
	run(1, "0:end:0:doubt closed:end");
	assert_true(clock_mono() - before >= 150);
	finish();
}

static int make_authorities(void **state)
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

static int free_authorities(void **state)
{
	(void)state;
	unlink(ca_file);
	free_identity(&authority);
	free_identity(&other_authority);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain__one_message__is_delivered_and_quit),
		cmocka_unit_test(plain__end_and_next_envelope__leave_in_one_write),
		cmocka_unit_test(starttls__one_message__is_delivered),
		cmocka_unit_test(implicit_tls__one_message__is_delivered),
		cmocka_unit_test(implicit_tls__greeting_in_one_piece_with_the_handshake__is_read),
		cmocka_unit_test(tls__end_and_next_envelope__leave_in_one_record),
		cmocka_unit_test(tls__second_connection__resumes_the_session),
		cmocka_unit_test(tls__another_host__does_not_resume),
		cmocka_unit_test(tls__certificate_for_another_name__is_refused_in_words),
		cmocka_unit_test(tls__certificate_out_of_its_time__is_refused_in_words),
		cmocka_unit_test(tls__unknown_authority__is_refused_in_words),
		cmocka_unit_test(tls__old_version__is_refused_in_words),
		cmocka_unit_test(tls__not_verified__goes_on),
		cmocka_unit_test(dane__record_decides__not_name_nor_time_nor_authority),
		cmocka_unit_test(dane__authority_is_named__the_name_counts),
		cmocka_unit_test(policy__tls_is_a_must__never_in_clear),
		cmocka_unit_test(policy__session_of_a_milder_one__is_not_resumed),
		cmocka_unit_test(opportunistic__handshake_fails__goes_on_in_clear),
		cmocka_unit_test(implicit_tls__to_a_plain_text_port__is_explained),
		cmocka_unit_test(starttls__refused_by_the_server__closes),
		cmocka_unit_test(starttls__server_closes_in_the_handshake__is_an_end_in_tls),
		cmocka_unit_test(tls__silent_server__times_out),
		cmocka_unit_test(slow_server__byte_by_byte__is_understood),
		cmocka_unit_test(login__on_this_host__goes_in_clear),
		cmocka_unit_test(server_that_closes__decides_doubt),
		cmocka_unit_test(large_message__to_a_server_that_reads_late__arrives_whole),
		cmocka_unit_test(large_message__reset_in_the_middle__is_no_doubt),
		cmocka_unit_test(connect__refused__says_where_and_why),
		cmocka_unit_test(connect__second_address__is_tried),
		cmocka_unit_test(connect__no_address__closes_on_the_next_turn),
		cmocka_unit_test(connect__silence__times_out_and_goes_to_the_next),
		cmocka_unit_test(connect__silence__the_next_is_tried_beside_it),
		cmocka_unit_test(connect__slow_one__answers_after_the_other_failed),
		cmocka_unit_test(connect__no_descriptor_left__is_an_error_at_once),
		cmocka_unit_test(abort__results_and_closed_come_later),
		cmocka_unit_test(abort__inside_a_callback__is_fine),
		cmocka_unit_test(send__outside_callbacks__goes_out),
		cmocka_unit_test(own_refusal__outside_callbacks__comes_on_the_next_turn),
		cmocka_unit_test(reply_timeout__closes),
	};
	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
