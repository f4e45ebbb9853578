/* Thousands of random dialogues with the SMTP protocol core.
 *
 * An orderly server answers every command once and in turn, with any code, in any chunks, and may fall
 * silent, say 421 or hang up anywhere; it knows what it answered to whom, and each result must say the same.
 * A wild server also says what nobody asked for; then only what always holds is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/smtp/client.h"

#define MESSAGES 10 /* their numbers have one digit */

enum server_state { COMMANDS, BODY, CHUNK, HUNG_UP };

struct told { /* what the server answered, by message; 0: nothing (or not yet whole at the client) */
	int mail, rcpt, data, end;
	size_t end_at; /* where in the server's output the answer to the end is complete */
};

struct world {
	uint64_t seed, rng;
	struct smtp_client *c;
	struct smtp_options o;
	struct smtp_message messages[MESSAGES];
	char text[MESSAGES][3][128];
	int total, given, results;
	bool closed, in_tls, wild, no_pipelining;
	ms_t now;
	struct buf stream;  /* all that the client wrote */
	size_t server_read; /* how far the server has read it */
	struct buf replies; /* all that the server said */
	size_t delivered;   /* how much of it the client has */
	enum server_state state;
	size_t chunk_left;
	bool transaction, rcpt_ok, quit_seen;
	int sender; /* the message whose MAIL came last */
	struct told told[MESSAGES];
};

static uint32_t rnd(struct world *w, uint32_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (uint32_t)(w->rng >> 16) % n;
}

static bool chance(struct world *w, uint32_t percent)
{
	return rnd(w, 100) < percent;
}

#define check(w, cond)                                                                                       \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			broken(w, #cond, __LINE__);                                                          \
	} while (0)

static void broken(const struct world *w, const char *cond, int line)
{
	print_error("seed %llu, line %d: %s\n-- client:\n%.*s\n-- server (%zu of %zu delivered):\n%.*s\n",
		(unsigned long long)w->seed, line, cond, (int)w->stream.len,
		w->stream.p != NULL ? w->stream.p : "", w->delivered, w->replies.len, (int)w->replies.len,
		w->replies.p != NULL ? w->replies.p : "");
	fail();
}

/* ---- The server ---- */

static void say(struct world *w, int code, const char *text)
{
	if (w->wild && chance(w, 3)) {
		static const char *const noise[] = {"garbage\r\n", "250 once more\r\n", "354 why not\r\n",
			"\r\n", "421 bye\r\n", "250-\r\n", "999 x\r\n", "550 5.1.1 no\r\n"};
		buf_puts(&w->replies, noise[rnd(w, 8)]);
	}
	if (w->wild && chance(w, 2))
		return;
	if (chance(w, 10))
		buf_printf(&w->replies, "%d-%s%s", code, text, chance(w, 20) ? "\n" : "\r\n");
	buf_printf(&w->replies, "%d %s%s", code, text, chance(w, 10) ? "\n" : "\r\n");
	if (code == 421 && !w->wild)
		w->state = HUNG_UP; /* it reads no more: RFC 5321 3.8 */
}

static int pick(struct world *w, int good, uint32_t percent)
{
	static const int bad[] = {421, 450, 451, 452, 550, 552, 554, 571};
	return chance(w, percent) ? good : bad[rnd(w, 8)];
}

static void hear_ehlo(struct world *w)
{
	if (!w->in_tls && w->o.tls == SMTP_TLS_NONE && chance(w, 5)) {
		say(w, 502, "what");
		w->no_pipelining = true;
		return;
	}
	buf_puts(&w->replies, "250-them.example\r\n");
	if (w->o.tls != SMTP_TLS_NONE && !w->in_tls)
		buf_puts(&w->replies, "250-STARTTLS\r\n");
	w->no_pipelining = chance(w, 30);
	if (!w->no_pipelining)
		buf_puts(&w->replies, "250-PIPELINING\r\n");
	if (chance(w, 60))
		buf_puts(&w->replies, "250-CHUNKING\r\n");
	if (chance(w, 20))
		buf_puts(&w->replies, "250-DSN\r\n");
	if (chance(w, 20))
		buf_puts(&w->replies, "250-SIZE 100\r\n"); /* some messages are larger */
	if (chance(w, 10))
		buf_printf(&w->replies, "250-LIMITS MAILMAX=%u\r\n", 1 + rnd(w, 3));
	buf_puts(&w->replies, "250 HELP\r\n");
}

static void hear_mail(struct world *w, int id)
{
	check(w, w->wild || !w->transaction); /* RFC 5321 4.1.4 */
	w->sender = id;
	w->rcpt_ok = false;
	int code = w->transaction ? 503 : pick(w, 250, 85);
	w->transaction |= code == 250;
	w->told[id].mail = code;
	say(w, code, "sender");
}

static void hear_rcpt(struct world *w, int id)
{
	check(w, w->wild || id == w->sender);
	int code = w->transaction ? pick(w, 250, 80) : 503;
	w->rcpt_ok = code == 250;
	w->told[id].rcpt = code;
	say(w, code, "recipient");
}

static void hear_data(struct world *w)
{
	/* A server may take DATA although it took no recipient: RFC 2920 3.1. */
	bool take = w->rcpt_ok ? chance(w, 92) : w->transaction && chance(w, 20);
	int code = take ? 354 : pick(w, 503, 50);
	w->told[w->sender].data = code;
	say(w, code, "data");
	if (take)
		w->state = BODY;
}

static void hear_end(struct world *w)
{
	int code = pick(w, 250, 80);
	w->state = COMMANDS;
	w->transaction = false;
	w->told[w->sender].end = code;
	say(w, code, "end");
	w->told[w->sender].end_at = w->replies.len;
}

/* RFC 3030: all of it is read whatever the answer. One without a recipient may even be taken: it goes
 * nowhere.
 */
static void hear_chunk(struct world *w, const char *p, size_t n)
{
	if (!w->wild && w->rcpt_ok) {
		char want[32];
		snprintf(want, sizeof want, "Message %d\r\n", w->sender);
		check(w, str_ends(str_n(p, n), str_from(want)));
	}
	int code = w->rcpt_ok ? pick(w, 250, 80) : chance(w, 20) ? 250 : pick(w, 554, 50);
	w->state = COMMANDS;
	w->transaction = w->transaction && code != 250 && chance(w, 50);
	if (w->rcpt_ok) {
		w->told[w->sender].data = 354;
		w->told[w->sender].end = code;
	}
	w->rcpt_ok = false;
	say(w, code, "chunk");
	w->told[w->sender].end_at = w->replies.len;
}

static int id_in(struct world *w, struct str line, const char *before)
{
	const char *p = memmem(line.p, line.n, before, strlen(before));
	check(w, p != NULL);
	int id = p != NULL ? p[strlen(before)] - '0' : 0;
	check(w, id >= 0 && id < w->total);
	return id;
}

static void hear_command(struct world *w, struct str line)
{
	check(w, w->wild || !w->quit_seen);
	if (str_starts(line, STR("EHLO")))
		hear_ehlo(w);
	else if (str_starts(line, STR("HELO")))
		say(w, 250, "hello");
	else if (str_starts(line, STR("STARTTLS")))
		say(w, pick(w, 220, 90), "tls");
	else if (str_starts(line, STR("MAIL")))
		hear_mail(w, id_in(w, line, "<s"));
	else if (str_starts(line, STR("RCPT")))
		hear_rcpt(w, id_in(w, line, "<r"));
	else if (str_starts(line, STR("DATA")))
		hear_data(w);
	else if (str_starts(line, STR("BDAT")))
		w->chunk_left = strtoul(line.p + 5, NULL, 10), w->state = CHUNK;
	else if (str_starts(line, STR("RSET")))
		say(w, 250, "reset"), w->transaction = false;
	else if (str_starts(line, STR("QUIT")))
		say(w, 221, "bye"), w->quit_seen = true;
	else
		check(w, w->wild); /* an orderly server is only told commands */
}

/* Reads one line of what the client wrote, or a chunk, and answers it. */
static bool server_turn(struct world *w)
{
	struct str rest = str_n(w->stream.p + w->server_read, w->stream.len - w->server_read);
	if (w->state == CHUNK) {
		if (rest.n < w->chunk_left)
			return false;
		w->server_read += w->chunk_left;
		hear_chunk(w, rest.p, w->chunk_left);
		return true;
	}
	size_t n = rest.n != 0 ? str_find(rest, '\n') : 0;
	if (rest.n == 0 || n == rest.n || w->state == HUNG_UP)
		return false;
	struct str line = str_n(rest.p, n + 1);
	w->server_read += n + 1;
	if (w->state == COMMANDS)
		hear_command(w, line);
	else if (str_is(line, ".\r\n"))
		hear_end(w);
	return true;
}

/* ---- The client's owner ---- */

static void give(struct world *w)
{
	smtp_client_send(w->c, &w->messages[w->given++], w->now);
}

static void on_ready(void *ctx)
{
	struct world *w = ctx;
	check(w, smtp_client_ready(w->c));
	if (w->given < w->total && chance(w, 70))
		give(w);
}

static bool chunked(const struct world *w)
{
	const struct smtp_caps *caps = smtp_client_caps(w->c);
	return w->o.chunking > 0 && w->o.pipeline && caps->pipelining && caps->chunking;
}

static bool end_written(const struct world *w, int id)
{
	char tail[64];
	snprintf(tail, sizeof tail, "Message %d\r\n%s", id, chunked(w) ? "" : ".\r\n");
	return w->stream.len != 0 && memmem(w->stream.p, w->stream.len, tail, strlen(tail)) != NULL;
}

static void compare(struct world *w, int id, const struct smtp_result *r)
{
	const struct told *t = &w->told[id];
	int code = r->reply != NULL ? r->reply->code : 0;
	bool own = r->reply != NULL && str_ends(r->reply->text, STR(")")); /* "(100)": SIZE */
	if (code == 0 || own)
		check(w, code == 0 || (t->mail == 0 && t->rcpt == 0));
	else if (r->stage == SMTP_MAIL)
		check(w, code == t->mail);
	else if (r->stage == SMTP_RCPT)
		check(w, code == t->rcpt && t->mail == 250);
	else if (r->stage == SMTP_DATA)
		check(w, code == t->data && t->rcpt == 250);
	else
		check(w, r->stage == SMTP_END && code == t->end && t->data == 354 &&
				 t->end_at <= w->delivered);
	if (code == 0 && end_written(w, id))
		check(w, t->end == 0 || t->end_at > w->delivered);
}

/* The client has heard that nothing behind is read, or that BDAT is not known. */
static bool heard_no_more(const struct world *w)
{
	static const char *const codes[] = {"421 ", "500 ", "502 ", "503 "};
	for (size_t i = 0; i < 4; i++)
		if (memmem(w->replies.p, w->delivered, codes[i], 4) != NULL)
			return true;
	return false;
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct world *w = ctx;
	int id = (int)(m - w->messages);
	check(w, !w->closed);
	check(w, id == w->results && id < w->given); /* each once, in order */
	w->results++;
	bool end = end_written(w, id);
	check(w, !r->doubt || (end && r->reply == NULL));
	check(w, r->doubt || !end || r->reply != NULL || (chunked(w) && heard_no_more(w)));
	check(w, !r->accepted ||
			 (end && r->reply != NULL && r->reply->code / 100 == 2 && r->stage == SMTP_END));
	check(w, r->tried || (r->reply == NULL && !r->accepted && !(r->doubt && r->stage != SMTP_END)));
	check(w, r->reply == NULL || r->reply->code >= 200);
	if (!w->wild)
		compare(w, id, r);
	memset(w->text[id], '?', sizeof w->text[id]); /* given back: what is still written of it would show */
}

static void on_starttls(void *ctx)
{
	struct world *w = ctx;
	w->in_tls = true;
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	struct world *w = ctx;
	check(w, !w->closed);
	check(w, w->results == w->given);
	check(w, !clean || r->reply != NULL || r->stage == SMTP_QUIT);
	check(w, r->why != NULL);
	w->closed = true;
}

static const struct smtp_client_ops ops = {on_ready, on_result, on_starttls, on_closed};

/* ---- The world between them ---- */

static void move_output(struct world *w, size_t limit)
{
	struct iovec v[4];
	int n = smtp_client_output(w->c, v, 1 + (int)rnd(w, 4));
	size_t total = 0;
	for (int i = 0; i < n && total < limit; i++) {
		size_t k = v[i].iov_len < limit - total ? v[i].iov_len : limit - total;
		buf_add(&w->stream, v[i].iov_base, k);
		total += k;
	}
	if (total != 0)
		smtp_client_written(w->c, total, w->now);
}

static void move_input(struct world *w, size_t limit)
{
	size_t n = w->replies.len - w->delivered;
	n = n < limit ? n : limit;
	if (n == 0)
		return;
	char *exact = malloc(n); /* a read behind it is seen by the sanitizer */
	memcpy(exact, w->replies.p + w->delivered, n);
	bool was_in_tls = w->in_tls;
	w->delivered += n;
	smtp_client_input(w->c, exact, n, w->now);
	free(exact);
	if (w->in_tls && !was_in_tls && !w->closed)
		smtp_client_tls_done(w->c, w->now);
}

static void one_step(struct world *w)
{
	switch (rnd(w, 12)) {
	case 0:
	case 1:
	case 2:
		move_output(w, chance(w, 50) ? 1 + rnd(w, 60) : 100000);
		break;
	case 3:
	case 4:
	case 5:
		while (server_turn(w) && chance(w, 70))
			;
		break;
	case 6:
	case 7:
	case 8:
		move_input(w, chance(w, 50) ? 1 + rnd(w, 60) : 100000);
		break;
	case 9:
		if (smtp_client_ready(w->c) && w->given < w->total)
			give(w);
		break;
	case 10:
		w->now += rnd(w, 30) == 0 ? rnd(w, 200) * SECOND : rnd(w, 1000);
		smtp_client_timeout(w->c, w->now);
		break;
	default:
		if (chance(w, 1))
			smtp_client_eof(w->c, "reset", w->now);
		else if (chance(w, 1))
			w->state = HUNG_UP;
		else if (chance(w, 1))
			smtp_client_quit(w->c, w->now);
		break;
	}
}

/* The server is silent from now on: the client must come to its end by its own timeouts. */
static void let_it_end(struct world *w)
{
	for (int i = 0; i < 20 && !w->closed; i++) {
		ms_t at = smtp_client_deadline(w->c);
		if (at == 0) {
			smtp_client_quit(w->c, w->now);
		} else {
			check(w, at <= w->now + 10 * MINUTE);
			w->now = at > w->now ? at : w->now;
			smtp_client_timeout(w->c, w->now);
		}
		move_output(w, chance(w, 80) ? 100000 : 1);
	}
	check(w, w->closed);
	check(w, smtp_client_deadline(w->c) == 0 && !smtp_client_ready(w->c) &&
			 smtp_client_in_flight(w->c) == 0);
}

static void write_message(struct world *w, int id)
{
	snprintf(w->text[id][0], sizeof w->text[id][0], "s%d@us.example", id);
	snprintf(w->text[id][1], sizeof w->text[id][1], "r%d@them.example", id);
	/* Some are larger than the SIZE that some servers give. */
	int pad = chance(w, 30) ? 30 : 0;
	snprintf(w->text[id][2], sizeof w->text[id][2], "Subject: x%.*s\r\n\r\nMessage %d\r\n", pad,
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", id);
	struct str all = str_from(w->text[id][2]);
	w->messages[id] =
		(struct smtp_message){.from = str_from(w->text[id][0]), .rcpt = str_from(w->text[id][1])};
	size_t header = (size_t)((const char *)memmem(all.p, all.n, "\r\n\r\n", 4) - all.p) + 4;
	w->messages[id].header = str_n(all.p, header);
	size_t body = rnd(w, (uint32_t)(all.n - header + 1));
	w->messages[id].body = str_n(all.p + header, body);
	w->messages[id].tail = str_n(all.p + header + body, all.n - header - body);
}

static void dialogue(uint64_t seed, bool wild)
{
	static struct world world;
	struct world *w = &world;
	*w = (struct world){.seed = seed, .rng = seed * 0x9E3779B97F4A7C15ull + 1, .wild = wild, .now = 1000};
	for (int i = 0; i < 5; i++)
		rnd(w, 2);
	buf_init(&w->stream, 1 << 20);
	buf_init(&w->replies, 1 << 20);
	w->total = (int)rnd(w, MESSAGES + 1);
	for (int i = 0; i < w->total; i++)
		write_message(w, i);
	w->o = (struct smtp_options){
		.helo = "us.example",
		.pipeline = chance(w, 75),
		.chunking = chance(w, 70) ? 1 + (int)rnd(w, 6) : 0,
		.tls = (enum smtp_tls)rnd(w, 3),
	};
	w->c = smtp_client_new(&w->o, &ops, w);
	smtp_client_start(w->c, w->now);
	say(w, pick(w, 220, 98), "hello");
	for (int i = 0; i < 600 && !w->closed; i++)
		one_step(w);
	let_it_end(w);
	check(w, w->results == w->given);
	smtp_client_free(&w->c);
	buf_release(&w->stream);
	buf_release(&w->replies);
}

static uint64_t first_seed = 1;
static int dialogues = 20000;

static void orderly_server__results_say_what_it_said(void **state)
{
	(void)state;
	for (int i = 0; i < dialogues; i++)
		dialogue(first_seed + (uint64_t)i, false);
}

static void wild_server__what_always_holds_holds(void **state)
{
	(void)state;
	for (int i = 0; i < dialogues; i++)
		dialogue(first_seed + (uint64_t)i, true);
}

/* [FIRST-SEED [COUNT]]: other dialogues, or more of them */
int main(int argc, char **argv)
{
	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		dialogues = atoi(argv[2]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orderly_server__results_say_what_it_said),
		cmocka_unit_test(wild_server__what_always_holds_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
