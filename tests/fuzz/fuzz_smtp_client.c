/* Any bytes as a server and as the order of events. The first two bytes choose the options; then each byte
 * below 32 is an event (give, write, time, loss …), and what stands between such bytes is what the server
 * says (a newline ends a line). */
#include <stdint.h>
#include <stdlib.h>

#include "engine/smtp/client.h"

#define MESSAGES 9

struct world {
	struct smtp_client *c;
	struct smtp_message messages[MESSAGES];
	char text[MESSAGES][32];
	int given, results;
	bool closed, tls_wanted, chunking;
	ms_t now;
	uint64_t written, queued;
	struct buf stream;
};

static void must(int good)
{
	if (!good)
		abort();
}

static void give(struct world *w)
{
	int i = w->given++;
	memcpy(w->text[i], "Subject: x\r\n\r\nMessage 0\r\n", 26);
	w->text[i][22] = (char)('0' + i);
	w->messages[i] = (struct smtp_message){.from = STR("from@us.example"),
		.rcpt = STR("to@them.example"),
		.header = str_n(w->text[i], 14),
		.body = str_n(w->text[i] + 14, 5),
		.tail = str_n(w->text[i] + 19, 6),
		.envid = i % 2 == 0 ? STR("id+=1") : STR(""),
		.utf8 = i == 4};
	smtp_client_send(w->c, &w->messages[i], w->now);
}

static void on_ready(void *ctx)
{
	struct world *w = ctx;
	must(smtp_client_ready(w->c));
	if (w->given < MESSAGES && w->given % 3 != 2)
		give(w);
}

static bool chunked(const struct world *w)
{
	const struct smtp_caps *caps = smtp_client_caps(w->c);
	return w->chunking && caps->pipelining && caps->chunking;
}

static bool end_written(const struct world *w, int id)
{
	char tail[] = "Message 0\r\n.\r\n";
	size_t n = chunked(w) ? sizeof "Message 0\r\n" - 1 : sizeof tail - 1;
	tail[8] = (char)('0' + id);
	return w->stream.len != 0 && memmem(w->stream.p, w->stream.len, tail, n) != NULL;
}

static size_t give_token(void *ctx, char *out, size_t max)
{
	(void)ctx;
	memset(out, 'x', max / 16);
	return max / 16;
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct world *w = ctx;
	int id = (int)(m - w->messages);
	must(!w->closed && id == w->results && id < w->given);
	w->results++;
	/* 421 answers what stands behind it, and who does not know BDAT took nothing. */
	if (chunked(w))
		must(!r->doubt || (end_written(w, id) && r->reply == NULL));
	else
		must(r->doubt == (end_written(w, id) && r->reply == NULL));
	must(!r->accepted || (end_written(w, id) && r->reply != NULL && r->reply->code / 100 == 2));
	must(r->why != NULL);
	memset(w->text[id], '?', sizeof w->text[id]);
}

static void on_starttls(void *ctx)
{
	struct world *w = ctx;
	w->tls_wanted = true;
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	struct world *w = ctx;
	(void)clean;
	must(!w->closed && w->results == w->given && r->why != NULL);
	w->closed = true;
}

static const struct smtp_client_ops ops = {on_ready, on_result, on_starttls, on_closed};

static void write_some(struct world *w, size_t limit)
{
	struct iovec v[32];
	int n = smtp_client_output(w->c, v, 32);
	size_t total = 0;
	for (int i = 0; i < n && total < limit; i++) {
		size_t k = v[i].iov_len < limit - total ? v[i].iov_len : limit - total;
		buf_add(&w->stream, v[i].iov_base, k);
		total += k;
	}
	must(!w->stream.failed);
	if (total != 0)
		smtp_client_written(w->c, total, w->now);
}

static void event(struct world *w, unsigned char what)
{
	switch (what) {
	case 1:
		write_some(w, 1);
		break;
	case 2:
		write_some(w, 40);
		break;
	case 3:
		if (w->given < MESSAGES && smtp_client_ready(w->c))
			give(w);
		break;
	case 4:
		smtp_client_quit(w->c, w->now);
		break;
	case 5:
		w->now += 50 * SECOND;
		smtp_client_timeout(w->c, w->now);
		break;
	case 6:
		smtp_client_eof(w->c, "reset", w->now);
		break;
	case 7:
		if (w->tls_wanted)
			smtp_client_tls_done(w->c, w->now);
		w->tls_wanted = false;
		break;
	default:
		write_some(w, SIZE_MAX);
		break;
	}
}

static bool is_event(unsigned char c)
{
	return c < 32 && c != '\r' && c != '\n' && c != '\t';
}

static void let_it_end(struct world *w)
{
	for (int i = 0; i < 40 && !w->closed; i++) {
		ms_t at = smtp_client_deadline(w->c);
		if (at == 0)
			smtp_client_quit(w->c, w->now);
		w->now = at > w->now ? at : w->now;
		smtp_client_timeout(w->c, w->now);
		write_some(w, SIZE_MAX);
	}
	must(w->closed && smtp_client_in_flight(w->c) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct world w = {.now = 1000, .chunking = data[0] & 1 && data[1] & 7};
	const struct smtp_options o = {
		.helo = "us.example",
		.pipeline = data[0] & 1,
		.tls = (enum smtp_tls)(data[0] >> 1 & 3),
		.auth = data[1] & 8 ? (enum smtp_auth)(SMTP_AUTH_XOAUTH2 + (data[1] >> 4 & 1))
				    : (enum smtp_auth)((data[0] >> 3 & 3) % 3),
		.chunking = data[1] & 7,
		.require_tls = data[1] >> 5 & 1,
		.token = data[1] & 64 ? give_token : NULL,
		.user = data[0] & 32 ? "user" : NULL,
		.password = data[0] & 64 ? "password" : NULL,
	};
	buf_init(&w.stream, 1 << 20);
	w.c = smtp_client_new(&o, &ops, &w);
	if (data[0] & 128)
		smtp_client_trust_clear(w.c);
	smtp_client_start(w.c, w.now);
	for (size_t i = 2; i < size && !w.closed;) {
		size_t n = 0;
		while (i + n < size && !is_event(data[i + n]))
			n++;
		if (n == 0) {
			event(&w, data[i++]);
			continue;
		}
		char *exact = malloc(n);
		memcpy(exact, data + i, n);
		smtp_client_input(w.c, exact, n, w.now);
		free(exact);
		i += n;
		if (!(data[0] & 16))
			write_some(&w, SIZE_MAX);
	}
	if (!w.closed)
		let_it_end(&w);
	smtp_client_free(&w.c);
	buf_release(&w.stream);
	return 0;
}
