#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/outcome.h"
#include "src/base/file.h"
#include "src/db/delivery.h"
#include "src/serve/sandbox.h"
#include "src/serve/sandbox_fate.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- fates ---- */

static struct fates *fates(const char *profile, const char *rates, uint64_t seed)
{
	struct err e = {0};
	struct fates *f = fates_new(profile, rates, seed, true, &e);
	if (f == NULL)
		print_error("%s: %s\n", e.what, e.why);
	assert_non_null(f);
	return f;
}

static void words__in_the_address__decide(void **state)
{
	(void)state;
	static const struct {
		const char *address;
		enum fate fate;
		unsigned n;
	} t[] = {
		{"ann@example.com", FATE_ACCEPT, 0},
		{"bounce@example.com", FATE_UNKNOWN, 1},
		{"Ann-FULL@example.com", FATE_FULL, 1},
		{"ann+defer-3@example.com", FATE_DEFER, 3},
		{"defer@example.com", FATE_DEFER, 1},
		{"a.slow-2@x.example", FATE_SLOW, 2},
		{"slow@x.example", FATE_SLOW, 5},
		{"drop@x.example", FATE_DROP, 1},
		{"drop-data@x.example", FATE_DROP_DATA, 1},
		{"a_drop-end@x.example", FATE_DROP_END, 1},
		{"raindrop@x.example", FATE_ACCEPT, 0},
		{"fullname@x.example", FATE_ACCEPT, 0},
		{"full.name@x.example", FATE_ACCEPT, 0},
		{"ann@full.example", FATE_FULL, 1},
		{"ann@mail.full.example", FATE_ACCEPT, 0},
		{"bounce@full.example", FATE_UNKNOWN, 1},
		{"@full.example", FATE_FULL, 1},
		{"full", FATE_ACCEPT, 0},
		{"", FATE_ACCEPT, 0},
		{"-3@x.example", FATE_ACCEPT, 0},
		{"greylist@x.example", FATE_GREYLIST, 1},
		{"quota@x.example", FATE_QUOTA, 1},
	};
	struct fates *f = fates("clean", NULL, 1);
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct fated d = fates_of(f, str_from(t[i].address));
		if (d.fate != t[i].fate || d.n != t[i].n)
			print_error("%s: %d %u\n", t[i].address, (int)d.fate, d.n);
		assert_int_equal(d.fate, t[i].fate);
		assert_int_equal(d.n, t[i].n);
	}
	assert_true(fates_sender_refused(f, STR("x.refused@y.example")));
	assert_false(fates_sender_refused(f, STR("unrefused@y.example")));
	fates_free(&f);
}

static void rates__of_the_typical_profile__come_about(void **state)
{
	(void)state;
	struct fates *f = fates("typical", NULL, 42), *same = fates("typical", NULL, 42),
		     *other = fates("typical", NULL, 43);
	int n[FATE_NFATES] = {0}, differ = 0;
	for (int i = 0; i < 100000; i++) {
		char a[40];
		int len = snprintf(a, sizeof a, "reader%d@example.com", i);
		struct fated d = fates_of(f, str_n(a, (size_t)len));
		n[d.fate]++;
		a[0] = 'R';
		assert_int_equal(d.fate, fates_of(same, str_n(a, (size_t)len)).fate);
		differ += d.fate != fates_of(other, str_n(a, (size_t)len)).fate;
	}
	assert_in_range(n[FATE_UNKNOWN], 1800, 2200);
	assert_in_range(n[FATE_FULL], 880, 1120);
	assert_in_range(n[FATE_GREYLIST], 2780, 3220);
	assert_in_range(n[FATE_BLOCK], 400, 600);
	assert_true(differ > 5000);
	fates_free(&f);
	fates_free(&same);
	fates_free(&other);
}

static void tries__are_remembered(void **state)
{
	(void)state;
	struct fates *f = fates(NULL, NULL, 1);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(
			fates_try(f, STR("defer-3@x.example")).fate, round < 3 ? FATE_DEFER : FATE_ACCEPT);
		assert_int_equal(fates_try(f, STR("GREYLIST@x.example")).fate,
			round < 1 ? FATE_GREYLIST : FATE_ACCEPT);
		assert_int_equal(fates_try(f, STR("never@x.example")).fate, FATE_NEVER);
		assert_int_equal(fates_try(f, STR("bounce@x.example")).fate, FATE_UNKNOWN);
	}
	for (int i = 0; i < 5000; i++) {
		char a[40];
		int len = snprintf(a, sizeof a, "%d-greylist@example.com", i);
		assert_int_equal(fates_try(f, str_n(a, (size_t)len)).fate, FATE_GREYLIST);
	}
	for (int i = 0; i < 5000; i++) {
		char a[40];
		int len = snprintf(a, sizeof a, "%d-greylist@example.com", i);
		assert_int_equal(fates_try(f, str_n(a, (size_t)len)).fate, FATE_ACCEPT);
	}
	fates_free(&f);
}

static void rates__mistakes__are_errors(void **state)
{
	(void)state;
	static const char *const bad[] = {"unknown", "unknown=x", "nothing=1%", "unknown=60%,full=60%",
		"unknown=-1%", "unknown=101%", "unknown=1%%", "unknown=nan"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		assert_null(fates_new(NULL, bad[i], 0, true, &e));
		assert_int_equal(e.code, ERR_USAGE);
	}
	struct fates *f = fates("hostile", "unknown=100%", 5);
	assert_int_equal(fates_of(f, STR("anybody@example.com")).fate, FATE_UNKNOWN);
	fates_free(&f);
}

static void write_text(const char *path, const char *text)
{
	assert_int_equal(file_write(path, str_from(text), 0600, NULL), 0);
}

static void profile__file__is_read(void **state)
{
	(void)state;
	char path[] = "/tmp/test_sandbox.XXXXXX";
	close(mkstemp(path));
	write_text(path, "# a world\nrates unknown=100%\nrtt 80ms\nmessages 7\nbusy "
			 "50%\n*@good.example\taccept # these\na*c@x.* defer-2\n");
	struct fates *f = fates(path, NULL, 0);
	assert_int_equal(fates_rtt(f), 80);
	assert_int_equal(fates_messages(f), 7);
	assert_int_equal(fates_of(f, STR("full@GOOD.example")).fate, FATE_ACCEPT);
	assert_int_equal(fates_of(f, STR("abbc@x.org")).n, 2);
	assert_int_equal(fates_of(f, STR("ab@x.org")).fate, FATE_UNKNOWN);
	int busy = 0;
	for (unsigned long i = 0; i < 1000; i++)
		busy += fates_busy(f, i);
	assert_in_range(busy, 400, 600);
	fates_free(&f);
	static const char *const bad[] = {
		"x\nwhat\n", "rtt soon\n", "messages 0\n", "*@x.example explode\n", "nothing accept\n"};
	static const long line[] = {1, 1, 1, 1, 1};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		write_text(path, bad[i]);
		assert_null(fates_new(path, NULL, 0, true, &e));
		assert_int_equal(e.code, ERR_CONFIG);
		assert_int_equal(e.line, line[i]);
	}
	unlink(path);
	struct err e = {0};
	assert_null(fates_new("no-such-profile", NULL, 0, true, &e));
	assert_int_equal(e.code, ERR_NOINPUT);
}

/* The wordings of every provider are understood as what they are meant to be. */
static void replies__of_every_provider__are_understood(void **state)
{
	(void)state;
	static const char *const domains[] = {"example.com", "gmail.com", "hotmail.com", "yahoo.com",
		"icloud.com", "docomo.ne.jp", "ezweb.ne.jp", "i.softbank.jp", "jcom.home.ne.jp", "gmx.de"};
	static const char *const providers[] = {
		"", "google", "microsoft", "yahoo", "apple", "docomo", "au", "softbank", "jcom", "gmx"};
	struct rules *r = rules_load(NULL, NULL);
	assert_non_null(r);
	int wrong = 0;
	for (size_t d = 0; d < sizeof domains / sizeof domains[0]; d++)
		for (int fate = FATE_UNKNOWN; fate <= FATE_QUOTA; fate++) {
			char rcpt[80], text[500];
			if (fate == FATE_SLOW)
				continue;
			snprintf(rcpt, sizeof rcpt, "spam-ann@%s", domains[d]);
			struct smtp_answer a = fate_reply((enum fate)fate, str_from(rcpt), text, sizeof text);
			for (int known = 0; known < 2; known++) {
				struct verdict v;
				rules_decide(r, str_from(known ? providers[d] : ""),
					fate_at_end((enum fate)fate) ? STR("end") : STR("rcpt"), a.code,
					str_from(a.enhanced != NULL ? a.enhanced : ""), str_from(a.text), &v);
				bool ok = a.code < 500
						  ? v.action == ACTION_RETRY || v.action == ACTION_SLOW ||
							    v.action == ACTION_PAUSE
						  : v.action == ACTION_FAIL || v.action == ACTION_SUPPRESS;
				if (fate == FATE_UNKNOWN)
					ok = v.action == ACTION_SUPPRESS ||
					     (!known && strcmp(domains[d], "yahoo.com") == 0);
				else if (fate == FATE_FULL)
					ok = ok && str_is(v.reason, "mailbox-full");
				else if (fate == FATE_BLOCK)
					ok = ok && v.class == CLASS_BLOCK;
				else if (fate == FATE_SPAM || fate == FATE_BIG)
					ok = ok && v.class == CLASS_MESSAGE;
				else if (fate == FATE_LIMIT)
					ok = v.action == ACTION_SLOW;
				else if (fate == FATE_QUOTA)
					ok = v.action == ACTION_SUSPEND && v.scope == SCOPE_ACCOUNT;
				if (!ok)
					print_error("%s fate %d: %d %s -> class %d action %d %.*s\n", rcpt,
						fate, a.code, a.text, (int)v.class, (int)v.action,
						STR_ARG(v.reason));
				wrong += !ok;
			}
		}
	assert_int_equal(wrong, 0);
	rules_free(&r);
}

/* ---- over a socket ---- */

struct client {
	int fd;
	SSL *ssl;
	char in[16384];
	size_t n;
};

static void dial(struct client *c, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {10, 0};
	*c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
}

static void hang_up(struct client *c)
{
	SSL_free(c->ssl);
	close(c->fd);
}

/* The next whole reply; its last line. "" when the server closed. */
static const char *next_reply(struct client *c)
{
	static char line[2000];
	for (;;) {
		char *lf = memchr(c->in, '\n', c->n);
		if (lf == NULL) {
			ssize_t n = c->ssl != NULL
					    ? SSL_read(c->ssl, c->in + c->n, (int)(sizeof c->in - c->n))
					    : recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
			if (n <= 0)
				return "";
			c->n += (size_t)n;
			continue;
		}
		size_t len = (size_t)(lf - c->in) + 1;
		assert_true(len >= 5 && len < sizeof line && lf[-1] == '\r');
		memcpy(line, c->in, len);
		line[len - 2] = '\0';
		memmove(c->in, c->in + len, c->n -= len);
		if (line[3] == ' ')
			return line;
	}
}

static const char *ask(struct client *c, const char *text)
{
	if (c->ssl != NULL)
		assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), strlen(text));
	else
		assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return next_reply(c);
}

static struct sandbox *start(const struct sandbox_options *o)
{
	struct err e = {0};
	struct sandbox *s = sandbox_start(o, &e);
	if (s == NULL)
		print_error("%s: %s\n", e.what, e.why);
	assert_non_null(s);
	assert_true(sandbox_port(s) > 0);
	return s;
}

#define HELLO    "EHLO me\r\n"
#define TO(rcpt) "MAIL FROM:<news@books.example>\r\nRCPT TO:<" rcpt ">\r\n"

static void sandbox__pipelined_messages__have_their_fates(void **state)
{
	(void)state;
	struct sandbox *s = start(&(struct sandbox_options){0});
	struct client c;
	dial(&c, sandbox_port(s));
	assert_memory_equal(next_reply(&c), "220", 3);
	assert_memory_equal(ask(&c, HELLO), "250", 3);
	assert_memory_equal(ask(&c, TO("ann@x.example") "DATA\r\n"), "250 2.1.0", 9);
	assert_memory_equal(next_reply(&c), "250 2.1.5", 9);
	assert_memory_equal(next_reply(&c), "354", 3);
	/* The end of one message with the next envelope behind it. */
	assert_memory_equal(ask(&c, "Subject: a\r\n\r\n.\r\n" TO("bounce@gmail.com") "DATA\r\n"),
		"250 2.0.0 Ok: queued as", 23);
	assert_memory_equal(next_reply(&c), "250", 3);
	assert_memory_equal(next_reply(&c), "550 5.1.1", 9);
	assert_memory_equal(next_reply(&c), "554 5.5.1", 9);
	assert_memory_equal(ask(&c, "RSET\r\n"), "250", 3);
	assert_memory_equal(ask(&c, TO("spam@x.example") "BDAT 5 LAST\r\nx: y\n"), "250", 3);
	assert_memory_equal(next_reply(&c), "250", 3);
	assert_memory_equal(next_reply(&c), "554 5.7.1", 9);
	ask(&c, TO("drop@x.example"));
	assert_string_equal(next_reply(&c), "");
	hang_up(&c);
	dial(&c, sandbox_port(s));
	next_reply(&c);
	ask(&c, HELLO);
	ask(&c, TO("drop@x.example"));
	assert_memory_equal(next_reply(&c), "250", 3);
	assert_memory_equal(ask(&c, "QUIT\r\n"), "221", 3);
	assert_string_equal(next_reply(&c), "");
	hang_up(&c);
	struct sandbox_counts n = sandbox_counts(s);
	assert_int_equal(n.accepted, 1);
	assert_int_equal(n.refused, 2);
	assert_int_equal(n.dropped, 1);
	assert_int_equal(n.messages, 1);
	assert_int_equal(n.connections, 2);
	sandbox_stop(&s);
	assert_null(s);
}

static void sandbox__slow_and_rtt__take_their_time(void **state)
{
	(void)state;
	struct sandbox *s = start(&(struct sandbox_options){.rtt = 60});
	struct client c;
	ms_t begin = clock_mono();
	dial(&c, sandbox_port(s));
	next_reply(&c);
	assert_true(clock_mono() - begin >= 55);
	begin = clock_mono();
	ask(&c, "EHLO me\r\nNOOP\r\nNOOP\r\n");
	next_reply(&c);
	next_reply(&c);
	assert_true(clock_mono() - begin >= 55);
	begin = clock_mono();
	ask(&c, TO("slow-1@x.example") "DATA\r\n");
	next_reply(&c);
	next_reply(&c);
	assert_memory_equal(ask(&c, "x: y\r\n\r\n.\r\nNOOP\r\n"), "250 2.0.0 Ok: queued", 20);
	assert_true(clock_mono() - begin >= 1100);
	assert_memory_equal(next_reply(&c), "250 2.0.0 Ok", 12);
	hang_up(&c);
	sandbox_stop(&s);
}

static size_t count_files(const char *dir, char *first, size_t size)
{
	DIR *d = opendir(dir);
	size_t n = 0;
	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d)) != NULL;)
		if (f->d_name[0] != '.') {
			snprintf(first, size, "%s/%s", dir, f->d_name);
			n++;
		}
	closedir(d);
	return n;
}

static void sandbox__keep_and_log__hold_what_was_accepted(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_sandbox.XXXXXX", path[200], keep[100], log[100];
	assert_non_null(mkdtemp(dir));
	snprintf(keep, sizeof keep, "%s/mail", dir);
	snprintf(log, sizeof log, "%s/log", dir);
	struct sandbox *s = start(&(struct sandbox_options){.keep = keep, .log = log});
	struct client c;
	dial(&c, sandbox_port(s));
	next_reply(&c);
	ask(&c, HELLO);
	ask(&c, TO("ann@x.example") "RCPT TO:<bob@x.example>\r\nRCPT TO:<bounce@x.example>\r\nDATA\r\n");
	for (int i = 0; i < 4; i++)
		next_reply(&c);
	assert_memory_equal(
		ask(&c, "Subject: \"\xff\"\r\nmessage-id:  <1@books.example>\r\n\r\n..dot\r\n.\r\n"), "250",
		3);
	hang_up(&c);
	sandbox_stop(&s);
	snprintf(path, sizeof path, "%s/new", keep);
	char file[500];
	assert_int_equal(count_files(path, file, sizeof file), 1);
	struct buf b = BUF_INIT(10000);
	assert_int_equal(file_read(file, &b, NULL), 0);
	assert_string_equal(b.p, "X-Envelope-From: <news@books.example>\r\nX-Envelope-To: <ann@x.example>\r\n"
				 "X-Envelope-To: <bob@x.example>\r\nSubject: \"\xff\"\r\nmessage-id:  "
				 "<1@books.example>\r\n\r\n.dot\r\n");
	buf_clear(&b);
	assert_int_equal(file_read(log, &b, NULL), 0);
	assert_non_null(strstr(b.p, "\"from\":\"news@books.example\",\"rcpt\":\"bounce@x.example\",\"message_"
				    "id\":\"\",\"size\":0,"
				    "\"reply\":\"550 5.1.1 <bounce@x.example>"));
	assert_non_null(strstr(b.p, "\"rcpt\":\"bob@x.example\",\"message_id\":\"<1@books.example>\","
				    "\"size\":54,\"reply\":\"250 2.0.0 Ok"));
	assert_non_null(strstr(b.p, "\"taken\":true}\n"));
	buf_release(&b);
	char command[300];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void sandbox__tls_and_auth__as_a_relay_has_them(void **state)
{
	(void)state;
	char ca[] = "/tmp/test_sandbox.XXXXXX";
	close(mkstemp(ca));
	for (int implicit = 0; implicit < 2; implicit++) {
		struct sandbox *s = start(&(struct sandbox_options){
			.tls = true, .tls_implicit = implicit != 0, .ca_out = ca, .auth = "ann:pass word"});
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		assert_int_equal(SSL_CTX_load_verify_locations(ctx, ca, NULL), 1);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		struct client c;
		dial(&c, sandbox_port(s));
		if (!implicit) {
			next_reply(&c);
			ask(&c, HELLO);
			assert_memory_equal(ask(&c, TO("a@x.example")), "530", 3);
			next_reply(&c);
			assert_memory_equal(ask(&c, "STARTTLS\r\n"), "220", 3);
		}
		SSL *ssl = SSL_new(ctx);
		SSL_set1_host(ssl, "localhost");
		SSL_set_fd(ssl, c.fd);
		assert_int_equal(SSL_connect(ssl), 1);
		c.ssl = ssl;
		if (implicit)
			assert_memory_equal(next_reply(&c), "220", 3);
		assert_memory_equal(ask(&c, HELLO), "250", 3);
		assert_memory_equal(ask(&c, "AUTH PLAIN AGFubgB4\r\n"), "535 5.7.8", 9);
		assert_memory_equal(ask(&c, "AUTH PLAIN AGFubgBwYXNzIHdvcmQ=\r\n"), "235", 3);
		assert_memory_equal(ask(&c, TO("a@x.example")), "250", 3);
		assert_memory_equal(next_reply(&c), "250", 3);
		hang_up(&c);
		SSL_CTX_free(ctx);
		sandbox_stop(&s);
	}
	unlink(ca);
}

static void sandbox__too_many_connections__are_told_so(void **state)
{
	(void)state;
	struct sandbox *s =
		start(&(struct sandbox_options){.max_connections = 2, .messages_per_connection = 1});
	struct client c[3];
	for (int i = 0; i < 3; i++) {
		dial(&c[i], sandbox_port(s));
		assert_memory_equal(next_reply(&c[i]), i < 2 ? "220" : "421", 3);
	}
	assert_string_equal(next_reply(&c[2]), "");
	ask(&c[0], HELLO);
	ask(&c[0], TO("a@x.example") "DATA\r\n");
	next_reply(&c[0]);
	next_reply(&c[0]);
	ask(&c[0], ".\r\n");
	assert_memory_equal(ask(&c[0], TO("a@x.example")), "421", 3);
	for (int i = 0; i < 3; i++)
		hang_up(&c[i]);
	sandbox_stop(&s);
}

static void start__mistakes__are_errors(void **state)
{
	(void)state;
	struct sandbox *first = start(&(struct sandbox_options){0});
	const struct {
		struct sandbox_options o;
		enum err_code code;
	} bad[] = {
		{{.port = sandbox_port(first)}, ERR_IO},
		{{.auth = "nocolon"}, ERR_USAGE},
		{{.profile = "/nonexistent"}, ERR_NOINPUT},
		{{.keep = "/nonexistent/dir"}, ERR_CREATE},
		{{.log = "/nonexistent/log"}, ERR_CREATE},
		{{.rates = "x"}, ERR_USAGE},
		{{.return_to = "127.0.0.1:65536"}, ERR_USAGE},
		{{.return_to = "127.0.0.1:0"}, ERR_USAGE},
		{{.return_to = "192.0.2.1:25"}, ERR_USAGE},
		{{.return_to = "[::1]:25"}, ERR_USAGE},
		{{.tls = true, .ca_out = "/nonexistent/ca"}, ERR_CREATE},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		assert_null(sandbox_start(&bad[i].o, &e));
		assert_int_equal(e.code, bad[i].code);
		assert_true(e.why[0] != '\0');
	}
	sandbox_stop(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words__in_the_address__decide),
		cmocka_unit_test(rates__of_the_typical_profile__come_about),
		cmocka_unit_test(tries__are_remembered),
		cmocka_unit_test(rates__mistakes__are_errors),
		cmocka_unit_test(profile__file__is_read),
		cmocka_unit_test(replies__of_every_provider__are_understood),
		cmocka_unit_test(sandbox__pipelined_messages__have_their_fates),
		cmocka_unit_test(sandbox__slow_and_rtt__take_their_time),
		cmocka_unit_test(sandbox__keep_and_log__hold_what_was_accepted),
		cmocka_unit_test(sandbox__tls_and_auth__as_a_relay_has_them),
		cmocka_unit_test(sandbox__too_many_connections__are_told_so),
		cmocka_unit_test(start__mistakes__are_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
