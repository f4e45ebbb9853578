/* sink: takes mail as fast as it comes and says so, to measure senders and to check their exactness. Not a
 * mail server.
 *
 *   sink [--address A] [--port N] [--port-file FILE] [--threads N] [--log FILE] [--chunking]
 * [--no-pipelining] [--tls]
 * [--ca-out FILE]
 *        [--delay MS] [--messages N] [--seed N] [--reject P] [--defer P] [--drop-end P]
 *        [--numbered N] [--sample DIR --every N] [--gate FILE]
 *
 * --log       a line "recipient TAB message-id TAB bytes TAB sender" for each recipient of a complete
 * message, written before the reply is sent
 * --delay     each reply goes out so much later      --messages   a connection closes (421) after so many
 * --reject    percent of addresses refused (550), --defer (451): by a hash of seed and address, so always the
 * same ones
 * --drop-end  percent of messages after which the connection is closed without a reply (they are in the log)
 * --numbered  recipients are letters and a number below N: counts those that came (distinct), what came again
 * (repeated), and others (strange)
 * --sample    writes every N-th message as it was meant (no dots added on the wire) to DIR/RECIPIENT.eml
 * --gate      a thread that took as many messages as FILE says (8 bytes, as they lie in memory) reads no more
 * until the number grows
 *
 * SIGUSR1 prints its counts as a line of JSON; SIGTERM or SIGINT does, and ends it. `first` and `last` are
 * the times at which the first and the last message were complete, in seconds since 1970. */
#include "src/base/clock.h"
#include "src/base/hash.h"
#include "src/serve/certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   (256 << 10)
#define LINE_SIZE   2048
#define HEADER_SIZE 8192
#define OUT_SIZE    (64 << 10)
#define EVENTS      256

enum state { COMMAND, TEXT, CHUNK };

struct conn {
	struct thread *t;
	int fd;
	enum state state;
	int end;             /* how much of CRLF . CRLF stands at the end of what was read: 0 to 5 */
	uint64_t left, size; /* of a chunk; of the message */
	bool last, dirty, closing, start_tls, handshake, epollout, sampled;
	unsigned long messages;
	SSL *ssl;
	char *sample; /* of this message, while sampled */
	size_t sample_n, sample_cap;
	size_t line_n, rcpts_n, header_n, out_n, due_n;
	unsigned nrcpts;
	struct conn *next_dirty, *next, **link;
	char line[LINE_SIZE]; /* the beginning of a command that is not complete */
	char rcpts[4096];     /* each ends with a NUL */
	char sender[400];
	char header[HEADER_SIZE];
	char out[OUT_SIZE]; /* the first due_n bytes may go out */
};

struct later { /* replies that are held back */
	ms_t due;
	struct conn *c; /* NULL: closed meanwhile */
	size_t n;
};

struct thread {
	pthread_t id;
	int listen, epoll;
	struct conn *dirty, *all;
	struct later *later;
	size_t later_first, later_n, later_cap;
	char *log;
	size_t log_n, log_cap;
	uint64_t random;
	unsigned long begun, messages, recipients, rejected, deferred, dropped, connections, repeated,
		strange, distinct;
	unsigned long long bytes;
	double first, last;
	char read[READ_SIZE];
};

static struct {
	int port, threads, log;
	in_addr_t address;
	const char *port_file, *log_file, *ca_out, *sample, *gate_file;
	bool chunking, no_pipelining, tls;
	ms_t delay;
	unsigned long messages, numbered, every;
	_Atomic uint64_t *seen;       /* a bit for each number */
	const _Atomic uint64_t *gate; /* others write it */
	uint64_t seed;
	double reject, defer, drop_end;
	SSL_CTX *ctx;
} opt = {.threads = 1, .log = -1, .address = 0x0100007f /* 127.0.0.1, as it stands on the wire */};

static void die(const char *what)
{
	perror(what);
	exit(74);
}

/* ---- replies ---- */

static void mark_dirty(struct conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = c->t->dirty;
	c->t->dirty = c;
}

static void say_n(struct conn *c, const char *text, size_t n)
{
	if (n > OUT_SIZE - c->out_n) { /* pipelines without reading */
		c->closing = true;
		return;
	}
	memcpy(c->out + c->out_n, text, n);
	c->out_n += n;
	mark_dirty(c);
}

#define SAY(c, literal) say_n((c), literal "\r\n", sizeof literal + 1)

static void hold_back(struct conn *c, size_t n)
{
	struct thread *t = c->t;
	if (t->later_first + t->later_n == t->later_cap) {
		memmove(t->later, t->later + t->later_first, t->later_n * sizeof *t->later);
		t->later_first = 0;
		if (t->later_n == t->later_cap) {
			t->later_cap = t->later_cap == 0 ? 1024 : t->later_cap * 2;
			t->later = realloc(t->later, t->later_cap * sizeof *t->later);
			if (t->later == NULL)
				die("sink: memory");
		}
	}
	t->later[t->later_first + t->later_n++] = (struct later){clock_mono() + opt.delay, c, n};
}

/* ---- connections ---- */

static void conn_close(struct conn *c)
{
	struct thread *t = c->t;
	for (size_t i = 0; i < t->later_n; i++)
		if (t->later[t->later_first + i].c == c)
			t->later[t->later_first + i].c = NULL;
	for (struct conn **d = &t->dirty; *d != NULL; d = &(*d)->next_dirty)
		if (*d == c) {
			*d = c->next_dirty;
			break;
		}
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	close(c->fd);
	SSL_free(c->ssl);
	free(c->sample);
	free(c);
}

static void want_write(struct conn *c, bool yes)
{
	if (c->epollout == yes)
		return;
	struct epoll_event ev = {.events = EPOLLIN | (yes ? EPOLLOUT : 0), .data.ptr = c};
	c->epollout = yes;
	epoll_ctl(c->t->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* False: the connection is gone. */
static bool conn_write(struct conn *c)
{
	while (c->due_n != 0) {
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, c->out, (int)c->due_n)
					   : send(c->fd, c->out, c->due_n, MSG_NOSIGNAL);
		bool again = c->ssl != NULL ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_WRITE
					    : errno == EAGAIN;
		if (n <= 0 && !again) {
			conn_close(c);
			return false;
		}
		if (n <= 0)
			break;
		memmove(c->out, c->out + n, c->out_n - (size_t)n);
		c->out_n -= (size_t)n;
		c->due_n -= (size_t)n;
	}
	want_write(c, c->due_n != 0);
	if (c->out_n == 0 && c->start_tls) {
		c->ssl = SSL_new(opt.ctx);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			c->closing = true;
		if (c->ssl != NULL) {
			SSL_set_mode(
				c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
			SSL_set_accept_state(c->ssl);
		}
		c->start_tls = false;
		c->handshake = true;
	}
	if (c->closing && c->out_n == 0) {
		conn_close(c);
		return false;
	}
	return true;
}

/* ---- messages ---- */

static struct str message_id(const struct conn *c)
{
	struct str h = str_n(c->header, c->header_n);
	while (h.n != 0 && h.p[0] != '\r') {
		size_t n = str_find(h, '\n');
		if (n > 11 && strncasecmp(h.p, "Message-ID:", 11) == 0)
			return str_trim(str_n(h.p + 11, n - 11));
		h = n < h.n ? str_n(h.p + n + 1, h.n - n - 1) : str_n(NULL, 0);
	}
	return str_n(NULL, 0);
}

static void log_message(struct conn *c)
{
	struct thread *t = c->t;
	struct str id = message_id(c);
	for (size_t at = 0; at < c->rcpts_n;) {
		size_t n = strlen(c->rcpts + at), need = n + id.n + sizeof c->sender + 40;
		if (t->log_cap - t->log_n < need) {
			t->log_cap = 2 * t->log_cap + need;
			t->log = realloc(t->log, t->log_cap);
			if (t->log == NULL)
				die("sink: memory");
		}
		t->log_n += (size_t)sprintf(t->log + t->log_n, "%s\t%.*s\t%llu\t%s\n", c->rcpts + at,
			STR_ARG(id), (unsigned long long)c->size, c->sender);
		at += n + 1;
	}
}

static void count_numbers(struct conn *c)
{
	struct thread *t = c->t;
	for (size_t at = 0; at < c->rcpts_n; at += strlen(c->rcpts + at) + 1) {
		const char *p = c->rcpts + at;
		while (isalpha((unsigned char)*p))
			p++;
		char *end;
		unsigned long n = strtoul(p, &end, 10);
		if (!isdigit((unsigned char)*p) || *end != '@' || n >= opt.numbered) {
			t->strange++;
			continue;
		}
		uint64_t bit = (uint64_t)1 << n % 64;
		if ((atomic_fetch_or_explicit(&opt.seen[n / 64], bit, memory_order_relaxed) & bit) != 0)
			t->repeated++;
		else
			t->distinct++;
	}
}

/* `text`: dots were doubled and the end marked, as DATA does. */
static void sample_write(const struct conn *c, bool text)
{
	char path[8300];
	size_t n = c->sample_n - (text ? 3 : 0);
	snprintf(path, sizeof path, "%s/%s.eml", opt.sample, c->rcpts);
	FILE *f = strchr(c->rcpts, '/') == NULL ? fopen(path, "we") : NULL;
	if (f == NULL)
		die(path);
	for (size_t at = 0; at < n;) {
		struct str line = str_n(c->sample + at, n - at);
		size_t len = str_find(line, '\n');
		len += len < line.n;
		at += len;
		size_t dot = text && line.p[0] == '.';
		if (fwrite(line.p + dot, 1, len - dot, f) != len - dot)
			die(path);
	}
	if (fclose(f) != 0)
		die(path);
}

static void log_write_out(struct thread *t)
{
	size_t at = 0;
	while (at < t->log_n) {
		ssize_t n = write(opt.log, t->log + at, t->log_n - at);
		if (n < 0 && errno != EINTR)
			die(opt.log_file);
		at += n > 0 ? (size_t)n : 0;
	}
	t->log_n = 0;
}

static bool by_chance(struct thread *t, double percent)
{
	if (percent <= 0)
		return false;
	t->random = t->random * 6364136223846793005u + 1442695040888963407u;
	return (double)(t->random >> 40) / (1 << 24) * 100 < percent;
}

static void envelope_reset(struct conn *c)
{
	c->rcpts_n = c->header_n = 0;
	c->nrcpts = 0;
	c->size = 0;
	c->end = 2;
	c->sampled = false;
	c->sample_n = 0;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void message_done(struct conn *c)
{
	struct thread *t = c->t;
	bool text = c->state == TEXT;
	c->state = COMMAND;
	c->messages++;
	t->messages++;
	t->recipients += c->nrcpts;
	t->bytes += c->size;
	t->last = now();
	if (t->first == 0)
		t->first = t->last;
	if (opt.log >= 0)
		log_message(c);
	if (opt.numbered != 0)
		count_numbers(c);
	if (c->sampled && c->sample_n > 3)
		sample_write(c, text);
	envelope_reset(c);
	if (by_chance(t, opt.drop_end)) {
		t->dropped++;
		c->closing = true;
		c->out_n = c->due_n;
		mark_dirty(c);
		return;
	}
	SAY(c, "250 2.0.0 Ok");
}

static void keep_sample(struct conn *c, const char *p, size_t n)
{
	if (c->sample_cap - c->sample_n < n) {
		c->sample_cap = 2 * c->sample_cap + n;
		c->sample = realloc(c->sample, c->sample_cap);
		if (c->sample == NULL)
			die("sink: memory");
	}
	memcpy(c->sample + c->sample_n, p, n);
	c->sample_n += n;
}

/* What is kept of a message's bytes, as they come. */
static void keep(struct conn *c, const char *p, size_t n)
{
	if (opt.sample != NULL && c->size == 0 && n > 0)
		c->sampled = c->t->begun++ % opt.every == 0;
	if (c->sampled)
		keep_sample(c, p, n);
	size_t room = HEADER_SIZE - c->header_n;
	if (opt.log < 0 || room == 0)
		return;
	memcpy(c->header + c->header_n, p, n < room ? n : room);
	c->header_n += n < room ? n : room;
}

/* One byte towards CRLF . CRLF. */
static void end_step(struct conn *c, char ch)
{
	static const char end[] = "\r\n.\r\n";
	if (ch == end[c->end])
		c->end++;
	else
		c->end = ch == '\r' ? 1 : 0;
}

/* Bytes of a message up to its end: in the middle of a line only line ends are looked for. */
static size_t text_take(struct conn *c, const char *p, size_t n)
{
	size_t i = 0;
	while (i < n && c->end != 5) {
		if (c->end == 0) {
			const char *lf = memchr(p + i, '\n', n - i);
			if (lf == NULL) {
				c->end = p[n - 1] == '\r';
				i = n;
				break;
			}
			i = (size_t)(lf - p);
			c->end = i > 0 && p[i - 1] == '\r';
		}
		end_step(c, p[i++]);
	}
	keep(c, p, i);
	c->size += i;
	if (c->end == 5)
		message_done(c);
	return i;
}

static size_t chunk_take(struct conn *c, const char *p, size_t n)
{
	size_t take = n < c->left ? n : (size_t)c->left;
	keep(c, p, take);
	c->size += take;
	c->left -= take;
	if (c->left == 0 && c->nrcpts == 0) { /* RFC 3030 4.2: it had to be read all the same */
		c->state = COMMAND;
		envelope_reset(c);
		SAY(c, "554 5.5.1 No valid recipients");
	} else if (c->left == 0 && c->last) {
		message_done(c);
	} else if (c->left == 0) {
		c->state = COMMAND;
		SAY(c, "250 2.0.0 Ok");
	}
	return take;
}

/* ---- commands ---- */

static void say_ehlo(struct conn *c)
{
	SAY(c, "250-sink");
	SAY(c, "250-8BITMIME");
	SAY(c, "250-SMTPUTF8");
	SAY(c, "250-ENHANCEDSTATUSCODES");
	if (!opt.no_pipelining)
		SAY(c, "250-PIPELINING");
	if (opt.chunking)
		SAY(c, "250-CHUNKING");
	if (opt.tls && c->ssl == NULL)
		SAY(c, "250-STARTTLS");
	SAY(c, "250 SIZE 104857600");
}

static void cmd_rcpt(struct conn *c, struct str line)
{
	size_t from = str_find(line, '<') + 1, to = from;
	while (to < line.n && line.p[to] != '>')
		to++;
	if (to >= line.n || to - from >= sizeof c->rcpts - c->rcpts_n) {
		SAY(c, "501 5.1.3 Bad recipient");
		return;
	}
	if (opt.reject + opt.defer > 0) {
		char key[400];
		size_t n = to - from < 384 ? to - from : 384;
		memcpy(key, &opt.seed, 8);
		memcpy(key + 8, line.p + from, n);
		double at = (double)(hash64(str_n(key, n + 8)) % 1000000) / 10000;
		if (at < opt.reject) {
			c->t->rejected++;
			SAY(c, "550 5.1.1 User unknown");
			return;
		}
		if (at < opt.reject + opt.defer) {
			c->t->deferred++;
			SAY(c, "451 4.3.0 Try later");
			return;
		}
	}
	c->nrcpts++;
	if (opt.log >= 0 || opt.numbered != 0 || opt.sample != NULL) {
		memcpy(c->rcpts + c->rcpts_n, line.p + from, to - from);
		c->rcpts_n += to - from;
		c->rcpts[c->rcpts_n++] = '\0';
	}
	SAY(c, "250 2.1.5 Ok");
}

static void cmd_mail(struct conn *c, struct str line)
{
	size_t from = str_find(line, '<') + 1, to = from;
	while (to < line.n && line.p[to] != '>')
		to++;
	if (to < line.n && opt.log >= 0)
		snprintf(c->sender, sizeof c->sender, "%.*s", (int)(to - from), line.p + from);
	SAY(c, "250 2.1.0 Ok");
}

static void cmd_bdat(struct conn *c, struct str line)
{
	char *end;
	c->left = strtoull(line.p + 5, &end, 10);
	c->last = strncasecmp(end, " LAST", 5) == 0;
	c->state = CHUNK;
	if (c->left == 0)
		chunk_take(c, line.p, 0);
}

static void command(struct conn *c, struct str line)
{
	char word[4];
	for (size_t i = 0; i < 4; i++)
		word[i] = i < line.n ? (char)(line.p[i] & ~0x20) : ' ';
	if (memcmp(word, "MAIL", 4) == 0) {
		envelope_reset(c);
		if (opt.messages != 0 && c->messages >= opt.messages) {
			SAY(c, "421 4.7.0 Max messages per connection");
			c->closing = true;
		} else {
			cmd_mail(c, line);
		}
	} else if (memcmp(word, "RCPT", 4) == 0) {
		cmd_rcpt(c, line);
	} else if (memcmp(word, "DATA", 4) == 0) {
		if (c->nrcpts == 0) {
			SAY(c, "554 5.5.1 No valid recipients");
		} else {
			c->state = TEXT;
			SAY(c, "354 Go on");
		}
	} else if (memcmp(word, "BDAT", 4) == 0 && opt.chunking) {
		cmd_bdat(c, line);
	} else if (memcmp(word, "EHLO", 4) == 0 || memcmp(word, "HELO", 4) == 0) {
		say_ehlo(c);
	} else if (memcmp(word, "STAR", 4) == 0 && opt.tls && c->ssl == NULL) {
		SAY(c, "220 2.0.0 Go on");
		c->start_tls = true;
	} else if (memcmp(word, "QUIT", 4) == 0) {
		SAY(c, "221 2.0.0 Bye");
		c->closing = true;
	} else {
		if (memcmp(word, "RSET", 4) == 0)
			envelope_reset(c);
		SAY(c, "250 2.0.0 Ok");
	}
}

static size_t line_take(struct conn *c, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t len = lf != NULL ? (size_t)(lf - p) + 1 : n;
	struct str line = str_n(p, len);
	if (lf == NULL || c->line_n != 0) {
		if (len > LINE_SIZE - 1 - c->line_n) {
			c->closing = true;
			mark_dirty(c);
			return n;
		}
		memcpy(c->line + c->line_n, p, len);
		c->line_n += len;
		line = str_n(c->line, c->line_n);
	}
	if (lf != NULL) {
		c->line_n = 0;
		command(c, line);
	}
	return len;
}

static void take(struct conn *c, const char *p, size_t n)
{
	for (size_t at = 0; at < n && !c->closing && !c->start_tls;) {
		if (c->state == TEXT)
			at += text_take(c, p + at, n - at);
		else if (c->state == CHUNK)
			at += chunk_take(c, p + at, n - at);
		else
			at += line_take(c, p + at, n - at);
	}
}

static void conn_read(struct conn *c)
{
	struct thread *t = c->t;
	if (c->handshake) {
		int rc = SSL_do_handshake(c->ssl);
		if (rc != 1) {
			int why = SSL_get_error(c->ssl, rc);
			if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
				conn_close(c);
			return;
		}
		c->handshake = false;
		envelope_reset(c);
	}
	for (;;) {
		ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, t->read, READ_SIZE)
					   : recv(c->fd, t->read, READ_SIZE, 0);
		bool again = c->ssl != NULL ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ
					    : n < 0 && errno == EAGAIN;
		if (n <= 0 && !again) {
			conn_close(c);
			return;
		}
		if (n <= 0)
			return;
		take(c, t->read, (size_t)n);
		if (c->closing || c->start_tls || (c->ssl == NULL && n < READ_SIZE))
			return;
	}
}

static void conn_accept(struct thread *t)
{
	int fd;
	while ((fd = accept4(t->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct conn *c = malloc(sizeof *c);
		if (c == NULL)
			die("sink: memory");
		memset(c, 0, offsetof(struct conn, line));
		c->sender[0] = '\0';
		c->t = t;
		c->fd = fd;
		c->next = t->all;
		c->link = &t->all;
		if (t->all != NULL)
			t->all->link = &c->next;
		t->all = c;
		t->connections++;
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev);
		envelope_reset(c);
		SAY(c, "220 sink ESMTP");
	}
}

/* ---- the loop ---- */

/* What was answered in this turn goes out, once the log that it promises is written. */
static void flush_turn(struct thread *t)
{
	if (t->log_n != 0)
		log_write_out(t);
	struct conn *c = t->dirty;
	t->dirty = NULL;
	while (c != NULL) {
		struct conn *next = c->next_dirty;
		c->dirty = false;
		size_t fresh = c->out_n - c->due_n;
		if (opt.delay == 0 || fresh == 0) {
			c->due_n = c->out_n;
			conn_write(c);
		} else {
			for (size_t i = 0; i < t->later_n; i++)
				if (t->later[t->later_first + i].c == c)
					fresh -= t->later[t->later_first + i].n;
			if (fresh != 0)
				hold_back(c, fresh);
		}
		c = next;
	}
}

/* Milliseconds until the next held reply; -1: none. */
static int release_due(struct thread *t)
{
	while (t->later_n != 0) {
		struct later *l = &t->later[t->later_first];
		ms_t now = clock_mono();
		if (l->due > now)
			return (int)(l->due - now);
		struct conn *c = l->c;
		size_t n = l->n;
		t->later_first++;
		t->later_n--;
		if (c != NULL) {
			c->due_n += n;
			conn_write(c);
		}
	}
	t->later_first = 0;
	return -1;
}

static void *thread_run(void *arg)
{
	struct thread *t = arg;
	struct epoll_event ev[EVENTS];
	for (;;) {
		while (opt.gate != NULL && t->messages >= *opt.gate)
			usleep(500);
		int n = epoll_wait(t->epoll, ev, EVENTS, release_due(t));
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;
			if (c == NULL)
				conn_accept(t);
			else if (((ev[i].events & EPOLLOUT) == 0 || conn_write(c)) &&
				 (ev[i].events & ~(unsigned)EPOLLOUT) != 0)
				conn_read(c);
		}
		flush_turn(t);
	}
	return NULL;
}

static struct thread *thread_start(uint64_t number)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port), .sin_addr.s_addr = opt.address};
	socklen_t len = sizeof a;
	int one = 1;
	struct thread *t = calloc(1, sizeof *t);
	if (t == NULL)
		die("sink: memory");
	t->random = opt.seed + number;
	t->listen = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(t->listen, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(t->listen, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(t->listen, (struct sockaddr *)&a, sizeof a) != 0 || listen(t->listen, 4096) != 0 ||
		getsockname(t->listen, (struct sockaddr *)&a, &len) != 0)
		die("sink: listen");
	opt.port = ntohs(a.sin_port);
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->listen, &ev);
	if (pthread_create(&t->id, NULL, thread_run, t) != 0)
		die("sink: thread");
	return t;
}

static void read_options(int argc, char **argv)
{
	static const struct option longs[] = {{"address", 1, 0, 'a'}, {"port", 1, 0, 'p'},
		{"port-file", 1, 0, 'f'}, {"threads", 1, 0, 't'}, {"log", 1, 0, 'l'}, {"chunking", 0, 0, 'c'},
		{"no-pipelining", 0, 0, 'n'}, {"tls", 0, 0, 'T'}, {"ca-out", 1, 0, 'C'}, {"delay", 1, 0, 'd'},
		{"messages", 1, 0, 'm'}, {"seed", 1, 0, 's'}, {"reject", 1, 0, 'r'}, {"defer", 1, 0, 'e'},
		{"drop-end", 1, 0, 'x'}, {"numbered", 1, 0, 'N'}, {"sample", 1, 0, 'S'}, {"every", 1, 0, 'E'},
		{"gate", 1, 0, 'g'}, {0}};
	for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (o) {
		case 'a':
			opt.address = inet_addr(optarg);
			break;
		case 'p':
			opt.port = atoi(optarg);
			break;
		case 'f':
			opt.port_file = optarg;
			break;
		case 't':
			opt.threads = atoi(optarg);
			break;
		case 'l':
			opt.log_file = optarg;
			break;
		case 'c':
			opt.chunking = true;
			break;
		case 'n':
			opt.no_pipelining = true;
			break;
		case 'T':
			opt.tls = true;
			break;
		case 'C':
			opt.ca_out = optarg;
			break;
		case 'd':
			opt.delay = atoi(optarg);
			break;
		case 'm':
			opt.messages = strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			opt.reject = atof(optarg);
			break;
		case 'e':
			opt.defer = atof(optarg);
			break;
		case 'x':
			opt.drop_end = atof(optarg);
			break;
		case 'N':
			opt.numbered = strtoul(optarg, NULL, 10);
			break;
		case 'S':
			opt.sample = optarg;
			break;
		case 'E':
			opt.every = strtoul(optarg, NULL, 10);
			break;
		case 'g':
			opt.gate_file = optarg;
			break;
		default:
			exit(64);
		}
	}
	if (optind != argc || opt.threads < 1 || opt.threads > 64 ||
		(opt.sample != NULL) != (opt.every != 0)) {
		fputs("sink: stray argument, bad number of threads, or --sample without --every\n", stderr);
		exit(64);
	}
	if (opt.numbered != 0 && (opt.seen = calloc(opt.numbered / 64 + 1, sizeof *opt.seen)) == NULL)
		die("sink: memory");
}

static void open_gate(void)
{
	int fd = open(opt.gate_file, O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *opt.gate, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die(opt.gate_file);
	opt.gate = p;
	close(fd);
}

/* Complete or not there, so that a script may wait for it. */
static void write_port(void)
{
	char tmp[4096];
	snprintf(tmp, sizeof tmp, "%s.tmp", opt.port_file);
	FILE *f = fopen(tmp, "we");
	if (f == NULL || fprintf(f, "%d\n", opt.port) < 0 || fclose(f) != 0 ||
		rename(tmp, opt.port_file) != 0)
		die(opt.port_file);
}

/* While the threads work these are counts of about this moment: whole words, each written by one thread, and
 * not worth an atomic addition for every message. */
__attribute__((no_sanitize("thread"))) static void print_counts(struct thread *const *all)
{
	struct thread sum = {0};
	struct rusage u;
	for (int i = 0; i < opt.threads; i++) {
		const struct thread *t = all[i];
		sum.messages += t->messages;
		sum.recipients += t->recipients;
		sum.rejected += t->rejected;
		sum.deferred += t->deferred;
		sum.dropped += t->dropped;
		sum.connections += t->connections;
		sum.bytes += t->bytes;
		sum.distinct += t->distinct;
		sum.repeated += t->repeated;
		sum.strange += t->strange;
		sum.first = t->first != 0 && (sum.first == 0 || t->first < sum.first) ? t->first : sum.first;
		sum.last = t->last > sum.last ? t->last : sum.last;
	}
	getrusage(RUSAGE_SELF, &u);
	double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		     (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	printf("{\"messages\":%lu,\"recipients\":%lu,\"rejected\":%lu,\"deferred\":%lu,\"dropped\":%lu,"
	       "\"connections\":%lu,\"bytes\":%llu,\"distinct\":%lu,\"repeated\":%lu,\"strange\":%lu,"
	       "\"first\":%.6f,\"last\":%.6f,\"cpu_seconds\":%.3f,\"cpu_us_per_message\":%.2f}\n",
		sum.messages, sum.recipients, sum.rejected, sum.deferred, sum.dropped, sum.connections,
		sum.bytes, sum.distinct, sum.repeated, sum.strange, sum.first, sum.last, cpu,
		sum.messages != 0 ? cpu * 1e6 / (double)sum.messages : 0);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct thread *t[64];
	struct err e;
	sigset_t set;
	int sig;
	read_options(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (opt.log_file != NULL &&
		(opt.log = open(opt.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
		die(opt.log_file);
	if (opt.tls && (opt.ctx = certificate_own("localhost", opt.ca_out, &e)) == NULL) {
		fprintf(stderr, "sink: %s: %s\n", e.what, e.why);
		return 70;
	}
	if (opt.gate_file != NULL)
		open_gate();
	for (int i = 0; i < opt.threads; i++)
		t[i] = thread_start((uint64_t)i);
	if (opt.port_file != NULL)
		write_port();
	else
		fprintf(stderr, "sink: 127.0.0.1:%d\n", opt.port);
	do {
		sigwait(&set, &sig);
		print_counts(t);
	} while (sig == SIGUSR1);
	/* The threads are in the middle of their work; their descriptors end with the process. */
	_exit(0);
}
