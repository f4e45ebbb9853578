/* Generated dialogues: at every stage every misbehaviour, in every mode, against the SMTP protocol core on a
 * fake clock. The servers are orderly but for that one thing, and know what they took; what must hold
 * whatever they do is in check_result() and dialogue(). Written dialogues with every line named are the
 * *.flow files; random ones are tests/unit/test_smtp_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/flow/hostile.h"

#define check(w, cond)                                                                                       \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			broken(w, #cond, __LINE__);                                                          \
	} while (0)

static void broken(const struct world *w, const char *cond, int line)
{
	print_error("%s at %s %d of %s (line %d): %s\n-- client:\n%.*s\n-- server:\n%.*s\n", w->fault->name,
		hostile_stages[w->stage], w->nth + 1, w->mode, line, cond, (int)w->stream.len,
		w->stream.p != NULL ? w->stream.p : "", (int)w->said.len, w->said.p != NULL ? w->said.p : "");
	fail();
}

/* ---- The client's owner ---- */

static void on_ready(void *ctx)
{
	struct world *w = ctx;
	check(w, smtp_client_ready(w->c) && !w->closed);
	if (w->given < MESSAGES) {
		smtp_client_send(w->c, &w->messages[w->given], w->now);
		w->given++;
	}
}

static bool written(const struct world *w, const char *text)
{
	return w->stream.len != 0 && memmem(w->stream.p, w->stream.len, text, strlen(text)) != NULL;
}

static bool end_written(const struct world *w, int id, bool chunked)
{
	char tail[64];
	snprintf(tail, sizeof tail, "Message %d\r\n%s", id, chunked ? "" : ".\r\n");
	return written(w, tail);
}

/* A message is whole on the wire before it is answered, so that a reply too many can be taken for its answer.
 */
static bool shifted(const struct world *w, bool chunked)
{
	bool apart = w->bytewise || w->fault->special == TWICE_APART || w->fault->special == THEN_APART;
	bool early = w->fault->special == EARLY && w->stage == S_DATA && apart;
	return early || (w->fault->flags & SHIFTS && (chunked || (w->stage == S_DATA && apart)));
}

/* Codes in which the client heard that the server reads no more, or that it does not know BDAT. */
static bool heard_no_more(const struct world *w)
{
	return w->said_code[421] || w->said_code[500] || w->said_code[502] || w->said_code[503];
}

static void check_result(struct world *w, int id, const struct smtp_result *r)
{
	bool chunked = written(w, "BDAT "), end = end_written(w, id, chunked);
	int code = r->reply != NULL ? r->reply->code : 0;
	bool own = w->own_words && r->reply != NULL && str_ends(r->reply->text, STR(")"));
	check(w, r->why != NULL);
	check(w, code == 0 || own || w->said_code[code]);
	check(w, !r->accepted || (end && code / 100 == 2 && r->stage == SMTP_END && r->tried));
	check(w, !r->doubt || (end && r->reply == NULL));
	/* In doubt is exactly what went out whole and was not answered. */
	check(w, r->doubt || r->reply != NULL || !end || (chunked && heard_no_more(w)));
	check(w, r->tried || (r->reply == NULL && !r->accepted && !r->doubt));
	/* With replies in their places nothing is counted that is not so. */
	check(w, !r->accepted || w->took[id] || shifted(w, chunked));
	check(w, !w->took[id] || r->accepted || r->doubt || shifted(w, chunked));
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct world *w = ctx;
	int id = (int)(m - w->messages);
	check(w, !w->closed && id == w->results && id < w->given); /* each once, in order */
	w->results++;
	w->accepted += r->accepted;
	check_result(w, id, r);
	memset(w->text[id][2], '?',
		strlen(w->text[id][2])); /* given back: what is still written of it would show */
}

static void on_starttls(void *ctx)
{
	struct world *w = ctx;
	w->tls_wanted = true;
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	struct world *w = ctx;
	check(w, !w->closed && w->results == w->given && r->why != NULL);
	check(w, !(clean && r->out_of_step));
	w->closed = true;
	w->clean = clean;
	w->out_of_step = r->out_of_step;
	w->stream_at_end = w->stream.len;
}

static const struct smtp_client_ops ops = {on_ready, on_result, on_starttls, on_closed};

/* ---- The world between them ---- */

/* What must not be said in clear, wherever it stands in what was just written. */
static void check_secrets(struct world *w, size_t from)
{
	static const char *const secrets[] = {"AUTH", "AHVzZXIAc2VjcmV0", "c2VjcmV0", "secret", "dXNlc"};
	const char *p = w->stream.p + from;
	size_t n = w->stream.len - from;
	if (w->in_tls || n == 0)
		return;
	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
		check(w, memmem(p, n, secrets[i], strlen(secrets[i])) == NULL);
	if (w->o.tls >= SMTP_TLS_STARTTLS || w->o.require_tls)
		check(w, memmem(p, n, "MAIL FROM", 9) == NULL && memmem(p, n, "Message", 7) == NULL);
}

static bool move_output(struct world *w)
{
	struct iovec v[8];
	int n;
	size_t from = w->stream.len;
	while (!w->deaf_wire && (n = smtp_client_output(w->c, v, 8)) > 0) {
		size_t total = 0;
		for (int i = 0; i < n; i++) {
			buf_add(&w->stream, v[i].iov_base, v[i].iov_len);
			total += v[i].iov_len;
		}
		check(w, !w->stream.failed);
		smtp_client_written(w->c, total, w->now);
	}
	check_secrets(w, from);
	return w->stream.len != from;
}

static void give_input(struct world *w, const char *p, size_t n)
{
	char *exact = malloc(n); /* a read behind it is seen by the sanitizer */
	memcpy(exact, p, n);
	smtp_client_input(w->c, exact, n, w->now);
	free(exact);
}

/* A packet of the server's, whole or byte by byte; after its bytes went in the client has had its say. */
static void deliver(struct world *w, struct buf *packet)
{
	size_t step = w->bytewise || w->drip != 0 ? 1 : packet->len;
	for (size_t at = 0; at < packet->len && !w->closed; at += step) {
		if (w->tls_wanted) { /* in clear where the handshake is expected */
			smtp_client_eof(w->c, "TLS failed", w->now);
			break;
		}
		if (w->drip != 0) {
			w->now += w->drip;
			smtp_client_timeout(w->c, w->now);
			if (w->closed)
				break;
		}
		give_input(w, packet->p + at, step);
		if (w->bytewise)
			move_output(w);
	}
	buf_clear(packet);
	w->drip = 0;
	if (w->must_close) {
		w->must_close = false;
		check(w, w->closed); /* at once: not one command more */
	}
}

static void set_up_tls(struct world *w)
{
	w->tls_wanted = false;
	if (w->tls_ready && !(w->fault->special == NO_HANDSHAKE && w->hit)) {
		w->in_tls = true;
		smtp_client_tls_done(w->c, w->now);
	} else if (w->fault->special != NO_HANDSHAKE || w->bytewise) {
		smtp_client_eof(w->c, "TLS failed", w->now);
	} /* else it is silent: the client's time ends it */
}

static void pass_time(struct world *w)
{
	ms_t at = smtp_client_deadline(w->c);
	if (at == 0) {
		smtp_client_quit(w->c, w->now); /* nothing to send, nothing to wait for */
		return;
	}
	check(w, at <= w->now + 10 * MINUTE);
	w->now = at > w->now ? at : w->now;
	smtp_client_timeout(w->c, w->now);
}

static void one_turn(struct world *w)
{
	bool moved = move_output(w);
	if (!w->closed)
		moved |= hostile_server_turn(w);
	if (w->packet.len != 0) {
		deliver(w, &w->packet);
	} else if (w->later.len != 0) {
		deliver(w, &w->later);
	} else if (w->hung_up) {
		smtp_client_eof(w->c, "closed by the server", w->now);
	} else if (w->tls_wanted) {
		set_up_tls(w);
	} else if (!moved) {
		pass_time(w);
	}
}

static void check_the_end(struct world *w)
{
	check(w, w->closed && w->results == w->given && smtp_client_in_flight(w->c) == 0);
	check(w, smtp_client_deadline(w->c) == 0 && !smtp_client_ready(w->c));
	/* A minute for each byte that dripped in is not progress. */
	check(w, w->now - w->began <= hostile_patience(w));
	/* Behind its end the connection carries a QUIT at most. */
	w->deaf_wire = false;
	move_output(w);
	struct str after = str_n(w->stream.p + w->stream_at_end, w->stream.len - w->stream_at_end);
	check(w, after.n == 0 || str_is(after, "QUIT\r\n"));
	check(w, !w->hit || !(w->fault->flags & FATAL) || !w->clean || w->stage == S_QUIT);
	/* Who says too much or too little is found out before the connection ends in peace. */
	bool early = w->fault->special == EARLY && !w->o.pipeline && !w->bytewise;
	if (w->hit && (w->fault->flags & SHIFTS || early) && !w->said_code[421])
		check(w, !w->clean);
	if (!w->hit)
		check(w, w->accepted == MESSAGES && w->clean);
}

static void write_message(struct world *w, int id)
{
	snprintf(w->text[id][0], sizeof w->text[id][0], "s%d@us.example", id);
	snprintf(w->text[id][1], sizeof w->text[id][1], "r%d@them.example", id);
	snprintf(w->text[id][2], sizeof w->text[id][2], "Subject: x\r\n\r\nMessage %d\r\n", id);
	w->messages[id] = (struct smtp_message){.from = str_from(w->text[id][0]),
		.rcpt = str_from(w->text[id][1]),
		.header = str_n(w->text[id][2], 14),
		.body = str_from(w->text[id][2] + 14)};
}

static size_t give_token(void *ctx, char *out, size_t max)
{
	(void)ctx;
	assert_true(max > 6);
	memcpy(out, "secret", 6);
	return 6;
}

static bool dialogue(
	const struct fault *fault, enum stage stage, int nth, int flow, int security, bool bytewise)
{
	static struct world world;
	struct world *w = &world;
	*w = (struct world){
		.fault = fault, .stage = stage, .nth = nth, .bytewise = bytewise, .began = 1000, .now = 1000};
	struct buf *const bufs[] = {&w->stream, &w->said, &w->packet, &w->later};
	for (size_t i = 0; i < 4; i++)
		buf_init(bufs[i], 1 << 20);
	hostile_mode(w, flow, security);
	if (w->o.auth >= SMTP_AUTH_XOAUTH2 && w->o.user != NULL)
		w->o.token = give_token;
	for (int i = 0; i < MESSAGES; i++)
		write_message(w, i);
	w->in_tls = w->o.tls == SMTP_TLS_IMPLICIT;
	w->c = smtp_client_new(&w->o, &ops, w);
	smtp_client_start(w->c, w->now);
	hostile_server_opens(w);
	for (int i = 0; i < 400 && !w->closed; i++)
		one_turn(w);
	check_the_end(w);
	smtp_client_free(&w->c);
	for (size_t i = 0; i < 4; i++)
		buf_release(bufs[i]);
	return w->hit;
}

/* A sanitizer makes each ten times as long: there the second time that a stage is reached is left out. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define LEAVE_OUT 1
#else
#define LEAVE_OUT (-1)
#endif

/* What concerns the protocol itself needs every kind of login and TLS only up to the login. */
static void play_fault(void **state)
{
	const struct fault *fault = *state;
	int played = 0, hits = 0;
	for (int stage = 0; stage < NSTAGES; stage++) {
		if (!(fault->stages & 1u << stage))
			continue;
		for (int security = 0; security < NSECURITIES; security++)
			for (int flow = 0; flow < NFLOWS; flow++)
				for (int nth = 0; nth < 3; nth++)
					for (int bytewise = 0; bytewise < 2; bytewise++) {
						if (nth == LEAVE_OUT ||
							(stage < S_MAIL && (nth == 2 || flow == 3)) ||
							(stage >= S_MAIL && security > 2))
							continue;
						hits += dialogue(fault, (enum stage)stage, nth, flow,
							security, bytewise != 0);
						played++;
					}
	}
	hostile_played += played;
	hostile_hits += hits;
	assert_true(hits > 0); /* the fault was met at all */
}

static void enough_were_played(void **state)
{
	(void)state;
	print_message("%d dialogues, %d of them met the fault\n", hostile_played, hostile_hits);
	assert_true(hostile_hits >= 5000);
}

int main(void)
{
	struct CMUnitTest *tests = calloc(hostile_nfaults + 1, sizeof *tests);
	for (size_t i = 0; i < hostile_nfaults; i++)
		tests[i] = (struct CMUnitTest){hostile_faults[i].name, play_fault, NULL, NULL,
			(void *)(uintptr_t)&hostile_faults[i]};
	tests[hostile_nfaults] =
		(struct CMUnitTest){"enough_were_played", enough_were_played, NULL, NULL, NULL};
	int rc = _cmocka_run_group_tests("hostile server", tests, hostile_nfaults + 1, NULL, NULL);
	free(tests);
	return rc;
}
