/* A name server of made-up domains on loopback, for direct delivery to very many sites.
 *
 *   names [--port-file FILE] KIND=ADDRESS…
 *
 * Of every KIND there are as many domains as one asks for: d17.KIND.example has the MX mx17.KIND.example,
 * which has that address. ADDRESS may also be `fail` (SERVFAIL), `late` (the same after 5 s, as from a
 * resolver whose own questions stay without an answer) or `gone` (there is no such domain). UDP only; ends
 * with SIGTERM. */
#include <arpa/inet.h>
#include <ctype.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 16, TYPE_A = 1, TYPE_MX = 15, TTL = 600, NXDOMAIN = 3, SERVFAIL = 2, LATE = 5 };

static struct {
	const char *name, *word;
	in_addr_t address;
} kinds[KINDS];
static size_t nkinds;

/* The next label of the question as text; false: there is none. */
static bool label(const unsigned char *q, size_t n, size_t *at, char out[64])
{
	if (*at >= n || q[*at] == 0 || q[*at] > 63 || *at + 1 + q[*at] >= n)
		return false;
	size_t len = q[*at];
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower(q[*at + 1 + i]);
	out[len] = '\0';
	*at += 1 + len;
	return true;
}

static size_t put16(unsigned char *p, unsigned v)
{
	p[0] = (unsigned char)(v >> 8);
	p[1] = (unsigned char)v;
	return 2;
}

/* The head of an answer: its name is the question's. */
static size_t put_record(unsigned char *p, unsigned type, unsigned length)
{
	size_t n = put16(p, 0xc00c);
	n += put16(p + n, type);
	n += put16(p + n, 1);
	n += put16(p + n, 0);
	n += put16(p + n, TTL);
	return n + put16(p + n, length);
}

/* Answers in place; returns the length, 0: none. */
static size_t answer(unsigned char *q, size_t n, bool *late)
{
	size_t at = 12, k = 0;
	char host[64] = "", kind[64] = "", rest[64];
	int labels = n < 17 ? 0 : label(q, n, &at, host) + label(q, n, &at, kind);
	while (label(q, n, &at, rest))
		labels++;
	if (n < 17 || at + 5 > n)
		return 0;
	unsigned type = (unsigned)q[at + 1] << 8 | q[at + 2];
	size_t end = at + 5;
	while (k < nkinds && strcmp(kinds[k].name, kind) != 0)
		k++;
	const char *word = labels < 3 ? "" : k == nkinds ? "gone" : kinds[k].word;
	*late = strcmp(word, "late") == 0;
	unsigned code = strcmp(word, "gone") == 0            ? NXDOMAIN
			: *late || strcmp(word, "fail") == 0 ? SERVFAIL
							     : 0;
	put16(q + 2, 0x8580 | code);
	memset(q + 6, 0, 6);
	q[7] = labels >= 3 && code == 0 &&
	       ((type == TYPE_MX && host[0] == 'd') || (type == TYPE_A && host[0] == 'm'));
	if (q[7] == 0)
		return end;
	if (type == TYPE_A) {
		end += put_record(q + end, TYPE_A, 4);
		memcpy(q + end, &kinds[k].address, 4);
		return end + 4;
	}
	size_t digits = strlen(host + 1);
	end += put_record(q + end, TYPE_MX, (unsigned)(2 + 1 + 2 + digits + 2));
	end += put16(q + end, 10);
	q[end++] = (unsigned char)(2 + digits);
	memcpy(q + end, "mx", 2);
	memcpy(q + end + 2, host + 1, digits);
	end += 2 + digits;
	return end + put16(q + end, 0xc000 | (unsigned)(12 + 1 + strlen(host)));
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static time_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static struct held { /* an answer that has time */
	struct held *next;
	time_t at;
	struct sockaddr_in to;
	size_t n;
	unsigned char text[];
} * first, **last = &first;

static void keep(const unsigned char *text, size_t n, const struct sockaddr_in *to)
{
	struct held *h = malloc(sizeof *h + n);
	if (h == NULL)
		die("names");
	*h = (struct held){.at = now() + LATE, .to = *to, .n = n};
	memcpy(h->text, text, n);
	*last = h;
	last = &h->next;
}

static void send_late(int fd)
{
	while (first != NULL && first->at <= now()) {
		struct held *h = first;
		(void)!sendto(fd, h->text, h->n, 0, (struct sockaddr *)&h->to, sizeof h->to);
		first = h->next;
		if (first == NULL)
			last = &first;
		free(h);
	}
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"port-file", 1, 0, 'f'}, {0}};
	const char *port_file = NULL;
	for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (o != 'f')
			exit(64);
		port_file = optarg;
	}
	for (int i = optind; i < argc && nkinds < KINDS; i++) {
		char *is = strchr(argv[i], '=');
		if (is == NULL)
			exit(64);
		*is = '\0';
		kinds[nkinds].name = argv[i];
		kinds[nkinds].word = is + 1;
		kinds[nkinds++].address = inet_addr(is + 1);
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 16 << 20;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
	socklen_t len = sizeof a;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		die("names: socket");
	FILE *f = port_file != NULL ? fopen(port_file, "we") : NULL;
	if (f != NULL)
		fprintf(f, "%d\n", ntohs(a.sin_port));
	if (f != NULL && fclose(f) != 0)
		die("names: port file");
	for (;;) {
		unsigned char q[2048];
		bool late = false;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready = poll(&p, 1, first != NULL ? 20 : -1);
		send_late(fd);
		if (ready <= 0)
			continue;
		len = sizeof from;
		ssize_t n = recvfrom(fd, q, 1200, 0, (struct sockaddr *)&from, &len);
		size_t out = n > 0 ? answer(q, (size_t)n, &late) : 0;
		if (out > 0 && late)
			keep(q, out, &from);
		else if (out > 0)
			(void)!sendto(fd, q, out, 0, (struct sockaddr *)&from, len);
	}
}
