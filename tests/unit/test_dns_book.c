/* The book of sites over libunbound and a name server of a few lines: waking, keeping, refreshing,
 * forgetting. */
#include "engine/dns/book.h"
#include "src/base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- The name server: NAME MX 10 NAME, NAME A 5.0.0.1; nx….example is unknown, nothing else is known ----
 */

struct nameserver {
	int fd, port;
	pthread_t thread;
	_Atomic bool deaf;
	_Atomic int mx_asked;
};

static size_t name_end(const unsigned char *q, size_t n)
{
	size_t at = 12;
	while (at < n && q[at] != 0)
		at += q[at] + 1u;
	return at + 1;
}

static size_t put_answer(unsigned char *q, size_t end, size_t name_n, int type)
{
	static const unsigned char head[] = {
		0xc0, 12, 0, 0, 0, 1, 0, 0, 1, 44}; /* the question's name, 300 s */
	unsigned char *p = q + end;
	memcpy(p, head, sizeof head);
	p[3] = (unsigned char)type;
	p += sizeof head;
	if (type == DNS_A) {
		memcpy(p, "\0\4\5\0\0\1", 6);
		return (size_t)(p + 6 - q);
	}
	memcpy(p + 4, q + 12, name_n);
	if (q[12] == 7) { /* "hostedN" becomes "host" */
		p[4] = 4;
		memmove(p + 9, p + 12, name_n - 8);
		name_n -= 3;
	}
	p[0] = 0;
	p[1] = (unsigned char)(name_n + 2);
	p[2] = 0;
	p[3] = 10;
	return (size_t)(p + 4 + name_n - q);
}

static void *serve(void *arg)
{
	struct nameserver *s = arg;
	unsigned char q[1500];
	struct sockaddr_in from;
	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(s->fd, q, 600, 0, (struct sockaddr *)&from, &len);
		if (n <= 16)
			return NULL;
		size_t name = name_end(q, (size_t)n), end = name + 4;
		int type = q[name] << 8 | q[name + 1];
		bool unknown = q[12] >= 2 && q[13] == 'n' && q[14] == 'x', data = false;
		if (type == DNS_MX)
			atomic_fetch_add(&s->mx_asked, 1);
		if (atomic_load(&s->deaf))
			continue;
		memset(q + 6, 0, 6);
		q[2] = 0x85;
		q[3] = unknown ? 0x83 : 0x80;
		if (!unknown && q[12] != 0 && q[13] != '_' && (type == DNS_A || type == DNS_MX)) {
			data = true;
			q[7] = 1;
		}
		size_t size = data ? put_answer(q, end, name - 12, type) : end;
		sendto(s->fd, q, size, 0, (struct sockaddr *)&from, len);
	}
}

static void nameserver_start(struct nameserver *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	*s = (struct nameserver){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	getsockname(s->fd, (struct sockaddr *)&a, &n);
	s->port = ntohs(a.sin_port);
	pthread_create(&s->thread, NULL, serve, s);
}

static void nameserver_stop(struct nameserver *s)
{
	shutdown(s->fd, SHUT_RDWR); /* wakes the reader, though it is no connection */
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* ---- Asking ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static int wakes;
static struct nameserver server;
static struct sites *book;

static void on_answered(void *ctx, size_t n)
{
	(void)ctx, (void)n;
	pthread_mutex_lock(&lock);
	wakes++;
	pthread_cond_signal(&woken);
	pthread_mutex_unlock(&lock);
}

static void open_book(size_t max)
{
	static char resolver[40];
	const char *resolvers[] = {resolver};
	struct err e;
	nameserver_start(&server);
	snprintf(resolver, sizeof resolver, "127.0.0.1@%d", server.port);
	const struct sites_options o = {
		.resolvers = resolvers, .nresolvers = 1, .port = 25, .max = max, .answered = on_answered};
	assert_int_equal(sites_new(&book, &o, &e), 0);
}

static void close_book(void)
{
	sites_free(&book);
	nameserver_stop(&server);
}

static enum site_state ask(const char *domain, ms_t now, struct site **s)
{
	struct site_failure f;
	*s = NULL;
	return sites_lookup(book, str_from(domain), now, s, &f);
}

/* Asks until it is answered; the wake is what makes it ask again. */
static enum site_state wait_for(const char *domain, ms_t now, struct site **s)
{
	struct timespec end;
	enum site_state state;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	pthread_mutex_lock(&lock);
	while ((state = ask(domain, now, s)) == SITE_PENDING)
		if (pthread_cond_timedwait(&woken, &lock, &end) != 0)
			break;
	pthread_mutex_unlock(&lock);
	return state;
}

static void test_pending_then_known(void **state)
{
	struct site *a, *b, *c;
	(void)state;
	open_book(0);
	assert_int_equal(ask("a.example", clock_mono(), &a), SITE_PENDING);
	assert_int_equal(ask("a.example", clock_mono(), &b), SITE_PENDING);
	assert_int_equal(wait_for("a.example", clock_mono(), &a), SITE_KNOWN);
	assert_int_equal(ask("a.example", clock_mono(), &b), SITE_KNOWN);
	assert_ptr_equal(a, b);
	assert_string_equal(a->name, "a.example");
	assert_int_equal(wait_for("nx.example", clock_mono(), &c), SITE_PERMANENT);
	assert_int_equal(ask("nx.example", clock_mono(), &c), SITE_PERMANENT);
	struct site *own;
	assert_int_equal(wait_for("within.test", clock_mono(), &own), SITE_KNOWN);
	site_unref(&own);
	struct site_failure f;
	assert_int_equal(sites_lookup(book, str_n("a\0b", 3), clock_mono(), &c, &f), SITE_PERMANENT);
	close_book();
	assert_string_equal(a->hosts[0].name, "a.example"); /* what was handed out lives on */
	site_unref(&a);
	site_unref(&b);
}

static void test_kept_and_refreshed(void **state)
{
	struct site *a, *b;
	(void)state;
	open_book(0);
	assert_int_equal(wait_for("a.example", clock_mono(), &a), SITE_KNOWN);
	ms_t left = a->expires - clock_mono();
	assert_true(left > 200 * SECOND && left <= 300 * SECOND);
	/* Shortly before its end it is looked up anew, and serves meanwhile. */
	pthread_mutex_lock(&lock);
	int before = wakes;
	pthread_mutex_unlock(&lock);
	assert_int_equal(ask("a.example", a->expires - SECOND, &b), SITE_KNOWN);
	assert_ptr_equal(a, b);
	site_unref(&b);
	for (int i = 0, now = before; now == before; i++) {
		assert_true(i < 10000);
		usleep(10000);
		pthread_mutex_lock(&lock);
		now = wakes;
		pthread_mutex_unlock(&lock);
	}
	/* When nobody asked in time it is not used any more. */
	assert_int_equal(ask("a.example", clock_mono() + 301 * SECOND, &b), SITE_PENDING);
	site_unref(&a);
	close_book();
}

static void test_domains_of_one_host__share_its_site(void **state)
{
	struct site *a, *b;
	(void)state;
	open_book(0);
	assert_int_equal(wait_for("hosted1.example", clock_mono(), &a), SITE_KNOWN);
	assert_int_equal(wait_for("hosted2.example", clock_mono(), &b), SITE_KNOWN);
	assert_string_equal(a->name, "host.example");
	assert_ptr_equal(a, b);
	site_unref(&a);
	site_unref(&b);
	close_book();
}

static void test_forgets_the_eldest(void **state)
{
	struct site *a;
	char domain[20];
	(void)state;
	open_book(4);
	for (int i = 0; i < 50; i++) {
		snprintf(domain, sizeof domain, "d%d.example", i);
		assert_int_equal(wait_for(domain, clock_mono(), &a), SITE_KNOWN);
		site_unref(&a);
		assert_int_equal(wait_for("often.example", clock_mono(), &a), SITE_KNOWN);
		site_unref(&a);
		assert_true(book->count <= 4);
	}
	assert_int_equal(ask("often.example", clock_mono(), &a), SITE_KNOWN);
	site_unref(&a);
	assert_int_equal(ask("d1.example", clock_mono(), &a), SITE_PENDING);
	close_book();
}

/* A book that waits for a server that does not answer is closed at once, and holds no more than it may. */
static void test_closed_while_it_waits(void **state)
{
	struct site *a;
	char domain[20];
	(void)state;
	open_book(100);
	atomic_store(&server.deaf, true);
	for (int i = 0; i < 1000; i++) {
		snprintf(domain, sizeof domain, "d%d.example", i);
		assert_int_equal(ask(domain, clock_mono(), &a), SITE_PENDING);
	}
	assert_true(book->count <= 100);
	ms_t began = clock_mono();
	close_book();
	assert_true(clock_mono() - began < 20 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pending_then_known),
		cmocka_unit_test(test_kept_and_refreshed),
		cmocka_unit_test(test_domains_of_one_host__share_its_site),
		cmocka_unit_test(test_forgets_the_eldest),
		cmocka_unit_test(test_closed_while_it_waits),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
