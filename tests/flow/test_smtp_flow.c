/* Plays the scripts of this folder (see README.md) against the SMTP protocol core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/smtp/client.h"

enum mode { WHOLE, BYTES_IN, BYTES_OUT, NMODES };

#define MESSAGES 20
#define EVENTS   64

struct event {
	char text[120];
	char why[400];
};

struct play {
	const char *file;
	int line;
	enum mode mode;
	struct smtp_options o;
	struct smtp_client *c;
	ms_t now;
	bool trust_clear;
	struct {
		char name[16], from[80], rcpt[80], envid[80];
		struct smtp_message m;
	} messages[MESSAGES];
	int nmessages;
	int queue[MESSAGES], queued, taken;
	struct buf in, sent;
	size_t wire; /* bytes it still takes */
	struct event events[EVENTS];
	int nevents, seen;
	char option_text[4][2000];
};

#define WIRE_OPEN ((size_t)-1)

static void wrong(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void wrong(struct play *p, const char *fmt, ...)
{
	static const char *const modes[] = {"whole", "byte by byte", "writing byte by byte"};
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	print_error("%s:%d (%s): %s\n", p->file, p->line, modes[p->mode], text);
	for (int i = 0; i < p->nevents; i++)
		print_error("  event: %s (%s)\n", p->events[i].text, p->events[i].why);
	print_error("  not looked at: %.*s\n", (int)p->sent.len, buf_cstr(&p->sent));
	fail();
	abort();
}

/* ---- The owner of the client ---- */

static void add_event(struct play *p, const char *text, const struct smtp_result *r)
{
	if (p->nevents == EVENTS)
		wrong(p, "too many events");
	struct event *e = &p->events[p->nevents++];
	snprintf(e->text, sizeof e->text, "%s", text);
	e->why[0] = '\0';
	if (r == NULL)
		return;
	size_t n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, " %s", smtp_stage_names[r->stage]);
	if (r->reply != NULL) {
		n = strlen(e->text);
		snprintf(e->text + n, sizeof e->text - n, " %d", r->reply->code);
	}
	snprintf(e->why, sizeof e->why, "%s | %s %.*s", r->why != NULL ? r->why : "(no reason)",
		r->reply != NULL ? r->reply->enhanced : "", r->reply != NULL ? (int)r->reply->text.n : 0,
		r->reply != NULL && r->reply->text.n != 0 ? r->reply->text.p : "");
}

static void add_word(struct play *p, const char *word)
{
	char *text = p->events[p->nevents - 1].text;
	size_t n = strlen(text);
	snprintf(text + n, sizeof p->events[0].text - n, " %s", word);
}

static void on_ready(void *ctx)
{
	struct play *p = ctx;
	if (!smtp_client_ready(p->c))
		wrong(p, "ready() while no message may be given");
	if (p->taken < p->queued)
		smtp_client_send(p->c, &p->messages[p->queue[p->taken++]].m, p->now);
}

static void on_result(void *ctx, struct smtp_message *m, const struct smtp_result *r)
{
	struct play *p = ctx;
	char text[40];
	snprintf(text, sizeof text, "result %s", (const char *)m->user);
	add_event(p, text, r);
	if (r->accepted)
		add_word(p, "accepted");
	if (!r->tried && !r->doubt)
		add_word(p, "untried");
	if (r->doubt)
		add_word(p, "doubt");
	if (r->doubt && r->reply != NULL)
		wrong(p, "doubt and a reply");
}

static void on_starttls(void *ctx)
{
	add_event(ctx, "starttls", NULL);
}

static void on_closed(void *ctx, bool clean, const struct smtp_result *r)
{
	add_event(ctx, "closed", r);
	if (clean)
		add_word(ctx, "clean");
	if (r->out_of_step)
		add_word(ctx, "out-of-step");
	if (r->token_refused)
		add_word(ctx, "token-refused");
}

static const struct smtp_client_ops ops = {on_ready, on_result, on_starttls, on_closed};

static void move_output(struct play *p)
{
	struct iovec v[64];
	int n;
	while (p->wire > 0 && (n = smtp_client_output(p->c, v, p->mode == BYTES_OUT ? 1 : 64)) > 0) {
		size_t total = 0;
		for (int i = 0; i < n && total < p->wire; i++) {
			size_t k = p->mode == BYTES_OUT ? 1 : v[i].iov_len;
			k = k < p->wire - total ? k : p->wire - total;
			buf_add(&p->sent, v[i].iov_base, k);
			total += k;
		}
		if (p->wire != WIRE_OPEN)
			p->wire -= total;
		smtp_client_written(p->c, total, p->now);
	}
	if (p->sent.failed)
		wrong(p, "the client writes without end");
}

static void open_client(struct play *p)
{
	if (p->c != NULL)
		return;
	p->c = smtp_client_new(&p->o, &ops, p);
	if (p->trust_clear)
		smtp_client_trust_clear(p->c);
	smtp_client_start(p->c, p->now);
}

/* The packet that the server's lines have made. */
static void deliver_input(struct play *p)
{
	if (p->in.len == 0)
		return;
	open_client(p);
	/* Each piece in memory of its own size, so that a sanitizer sees a read behind it. */
	size_t step = p->mode == BYTES_IN ? 1 : p->in.len;
	for (size_t at = 0; at < p->in.len; at += step) {
		char *piece = malloc(step);
		memcpy(piece, p->in.p + at, step);
		smtp_client_input(p->c, piece, step, p->now);
		free(piece);
	}
	buf_clear(&p->in);
	move_output(p);
}

/* ---- The lines of a script ---- */

static bool after(const char **s, const char *prefix)
{
	size_t n = strlen(prefix);
	if (strncmp(*s, prefix, n) != 0)
		return false;
	*s += n;
	return true;
}

static ms_t span(struct play *p, const char *s)
{
	ms_t t;
	if (clock_span(s, &t, NULL) < 0)
		wrong(p, "'%s' is no span of time", s);
	return t;
}

static int find_message(struct play *p, const char *name)
{
	for (int i = 0; i < p->nmessages; i++) {
		if (strcmp(p->messages[i].name, name) == 0)
			return i;
	}
	wrong(p, "no message '%s'", name);
}

/* "-": there is none. */
static size_t give_token(void *ctx, char *out, size_t max)
{
	const char *token = ctx;
	size_t n = strcmp(token, "-") == 0 ? 0 : strlen(token);
	assert_true(n <= max);
	memcpy(out, token, n);
	return n;
}

static void set_option(struct play *p, const char *w)
{
	static const char *const tls[] = {"none", "opportunistic", "starttls", "implicit"};
	static const char *const auth[] = {"any", "plain", "login", "xoauth2", "oauthbearer"};
	if (strcmp(w, "pipeline") == 0) {
		p->o.pipeline = true;
	} else if (after(&w, "chunking=")) {
		p->o.pipeline = true;
		p->o.chunking = atoi(w);
	} else if (strcmp(w, "require-tls") == 0) {
		p->o.require_tls = true;
	} else if (after(&w, "token=")) {
		p->o.token = give_token;
		p->o.token_ctx = strcpy(p->option_text[2], w);
	} else if (strcmp(w, "trust-clear") == 0) {
		p->trust_clear = true;
	} else if (after(&w, "user=")) {
		p->o.user = strcpy(p->option_text[0], w);
	} else if (after(&w, "password=")) {
		p->o.password = strcpy(p->option_text[1], w);
	} else if (after(&w, "tls=")) {
		for (unsigned i = 0; i < 4; i++)
			p->o.tls = strcmp(w, tls[i]) == 0 ? (enum smtp_tls)i : p->o.tls;
	} else if (after(&w, "auth=")) {
		for (unsigned i = 0; i < 5; i++)
			p->o.auth = strcmp(w, auth[i]) == 0 ? (enum smtp_auth)i : p->o.auth;
	} else {
		wrong(p, "unknown option '%s'", w);
	}
}

static void fill_message(struct play *p, int i, size_t size, size_t tail)
{
	struct smtp_message *m = &p->messages[i].m;
	char *text = calloc(1, size + 100);
	int n = snprintf(text, size + 100, "Subject: %s\r\n\r\n", p->messages[i].name);
	m->header = str_n(text, (size_t)n);
	char *body = text + n;
	size_t want = size > (size_t)n + 2 ? size - (size_t)n : 8;
	memset(body, 'x', want);
	memcpy(body + want - 2, "\r\n", 2);
	if (tail > want - 1)
		tail = want - 1;
	m->body = str_n(body, want - tail); /* all behind each other in memory: whole() */
	m->tail = str_n(body + want - tail, tail);
	m->envid = str_from(p->messages[i].envid);
	m->from = str_from(p->messages[i].from);
	m->rcpt = str_from(p->messages[i].rcpt);
	m->user = p->messages[i].name;
}

static void declare_message(struct play *p, char *words)
{
	if (p->nmessages == MESSAGES)
		wrong(p, "too many messages");
	int i = p->nmessages++;
	long size = 0, tail = 0;
	const char *name = strtok(words, " ");
	snprintf(p->messages[i].name, sizeof p->messages[i].name, "%s", name);
	snprintf(p->messages[i].from, sizeof p->messages[i].from, "from@us.example");
	snprintf(p->messages[i].rcpt, sizeof p->messages[i].rcpt, "%s@them.example", name);
	for (const char *w = strtok(NULL, " "); w != NULL; w = strtok(NULL, " ")) {
		if (after(&w, "rcpt="))
			snprintf(p->messages[i].rcpt, sizeof p->messages[i].rcpt, "%s", w);
		else if (after(&w, "from="))
			snprintf(p->messages[i].from, sizeof p->messages[i].from, "%s",
				strcmp(w, "<>") == 0 ? "" : w);
		else if (after(&w, "size="))
			size = atol(w);
		else if (after(&w, "tail="))
			tail = atol(w);
		else if (after(&w, "envid="))
			snprintf(p->messages[i].envid, sizeof p->messages[i].envid, "%s", w);
		else if (strcmp(w, "utf8") == 0)
			p->messages[i].m.utf8 = true;
		else if (strcmp(w, "hostile") == 0)
			strcpy(p->messages[i].rcpt, "x>\r\nRCPT TO:<y");
		else if (strcmp(w, "parameter") == 0)
			strcpy(p->messages[i].rcpt, "x@y> NOTIFY=NEVER");
		else if (strcmp(w, "quoted") == 0)
			strcpy(p->messages[i].rcpt, "\"a> \\\"b\"@y");
		else
			wrong(p, "unknown word '%s'", w);
	}
	fill_message(p, i, (size_t)size, (size_t)tail);
}

static void server_raw(struct play *p, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned hex;
		if (*s != '\\') {
			buf_putc(&p->in, *s);
		} else if (*++s == 'x' && sscanf(s + 1, "%2x", &hex) == 1) {
			buf_putc(&p->in, (char)hex);
			s += 2;
		} else {
			buf_putc(&p->in, *s == 'r' ? '\r' : *s == 'n' ? '\n' : '\0');
		}
	}
}

static void expect_sent(struct play *p, struct str want, const char *shown)
{
	if (p->sent.len < want.n || memcmp(p->sent.p, want.p, want.n) != 0)
		wrong(p, "the client did not send: %s", shown);
	buf_drop(&p->sent, want.n);
}

static struct str whole(const struct smtp_message *m)
{
	return str_n(m->header.p, m->header.n + m->body.n + m->tail.n);
}

/* Whatever was sent since is the message's beginning, and not all of it. */
static void expect_part(struct play *p, const struct smtp_message *m)
{
	size_t n = p->sent.len, all = whole(m).n + 3;
	if (n == 0 || n >= all || memcmp(p->sent.p, m->header.p, n < all - 3 ? n : all - 3) != 0)
		wrong(p, "the client did not send a part of the message");
	buf_clear(&p->sent);
}

static void client_says(struct play *p, const char *s)
{
	struct buf want = BUF_INIT(1 << 20);
	char name[16];
	if (strcmp(s, "nothing") == 0) {
		if (p->sent.len != 0)
			wrong(p, "the client sent something");
		return;
	}
	if (sscanf(s, "part of <%15[^>]>", name) == 1) {
		expect_part(p, &p->messages[find_message(p, name)].m);
		return;
	}
	if (sscanf(s, "BDAT <%15[^>]>", name) == 1) {
		struct str m = whole(&p->messages[find_message(p, name)].m);
		buf_printf(&want, "BDAT %zu LAST\r\n", m.n);
		buf_str(&want, m);
	} else if (sscanf(s, "<%15[^>]>", name) == 1) {
		buf_str(&want, whole(&p->messages[find_message(p, name)].m));
		buf_puts(&want, ".\r\n");
	} else {
		buf_puts(&want, s);
		buf_puts(&want, "\r\n");
	}
	expect_sent(p, buf_get(&want), s);
	buf_release(&want);
}

static void expect_event(struct play *p, const char *s)
{
	if (p->seen == p->nevents)
		wrong(p, "no event, but expected: %s", s);
	if (strcmp(p->events[p->seen].text, s) != 0)
		wrong(p, "event '%s' (%s), but expected: %s", p->events[p->seen].text, p->events[p->seen].why,
			s);
	p->seen++;
}

static void expect_why(struct play *p, const char *s)
{
	if (p->seen == 0 || strstr(p->events[p->seen - 1].why, s) == NULL)
		wrong(p, "'%s' does not hold '%s'", p->seen != 0 ? p->events[p->seen - 1].why : "", s);
}

static void expect_deadline(struct play *p, const char *s)
{
	ms_t at = smtp_client_deadline(p->c), want = strcmp(s, "none") == 0 ? 0 : p->now + span(p, s);
	if (at != want)
		wrong(p, "the deadline is %lld ms from now, not %s", (long long)(at != 0 ? at - p->now : 0),
			s);
}

static void move_clock(struct play *p, const char *s)
{
	p->now += span(p, s);
	smtp_client_timeout(p->c, p->now); /* before the deadline it must change nothing */
}

static bool declaration(struct play *p, const char *s)
{
	char words[4000];
	if (after(&s, "set ")) {
		snprintf(words, sizeof words, "%s", s);
		for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
			set_option(p, w);
	} else if (after(&s, "message ")) {
		snprintf(words, sizeof words, "%s", s);
		declare_message(p, words);
	} else if (after(&s, "queue ")) {
		snprintf(words, sizeof words, "%s", s);
		for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
			p->queue[p->queued++] = find_message(p, w);
	} else {
		return false;
	}
	return true;
}

static void action(struct play *p, const char *s)
{
	open_client(p);
	move_output(p);
	if (after(&s, "C: "))
		client_says(p, s);
	else if (after(&s, "= "))
		expect_event(p, s);
	else if (after(&s, "~ "))
		expect_why(p, s);
	else if (after(&s, "deadline "))
		expect_deadline(p, s);
	else if (after(&s, "clock +"))
		move_clock(p, s);
	else if (after(&s, "give "))
		smtp_client_send(p->c, &p->messages[find_message(p, s)].m, p->now);
	else if (strcmp(s, "wire open") == 0)
		p->wire = WIRE_OPEN;
	else if (after(&s, "wire "))
		p->wire = (size_t)atol(s);
	else if (strcmp(s, "eof") == 0)
		smtp_client_eof(p->c, "closed by the server", p->now);
	else if (strcmp(s, "quit") == 0)
		smtp_client_quit(p->c, p->now);
	else if (strcmp(s, "tls done") == 0)
		smtp_client_tls_done(p->c, p->now);
	else
		wrong(p, "cannot read: %s", s);
	move_output(p);
}

static void play_line(struct play *p, const char *s)
{
	if (*s == '\0' || *s == '#')
		return;
	if (after(&s, "S: ")) {
		buf_puts(&p->in, s);
		buf_puts(&p->in, "\r\n");
	} else if (after(&s, "S! ")) {
		server_raw(p, s);
	} else {
		deliver_input(p);
		if (!declaration(p, s))
			action(p, s);
	}
}

static void play(const char *file, enum mode mode)
{
	struct play *p = calloc(1, sizeof *p);
	*p = (struct play){
		.file = file, .mode = mode, .o.helo = "us.example", .now = 1000, .wire = WIRE_OPEN};
	buf_init(&p->in, 1 << 20);
	buf_init(&p->sent, 1 << 20);
	FILE *f = fopen(file, "r");
	assert_non_null(f);
	char line[4000];
	bool skip = false;
	while (!skip && fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		p->line++;
		if (strcmp(line, "only whole") == 0)
			skip = mode == BYTES_IN;
		else
			play_line(p, line);
	}
	fclose(f);
	if (!skip) {
		deliver_input(p);
		if (p->seen != p->nevents)
			wrong(p, "an event that the script does not name: %s", p->events[p->seen].text);
		if (p->sent.len != 0)
			wrong(p, "output that the script does not name");
	}
	smtp_client_free(&p->c);
	for (int i = 0; i < p->nmessages; i++)
		free((void *)(uintptr_t)p->messages[i].m.header.p);
	buf_release(&p->in);
	buf_release(&p->sent);
	free(p);
}

static void play_file(void **state)
{
	for (int mode = 0; mode < NMODES; mode++)
		play(*state, (enum mode)mode);
}

int main(int argc, char **argv)
{
	glob_t g = {0};
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			glob(argv[i], i > 1 ? GLOB_APPEND : 0, NULL, &g);
	} else if (glob("tests/flow/*.flow", 0, NULL, &g) != 0) {
		fprintf(stderr, "no scripts in tests/flow (run from the top folder)\n");
		return 1;
	}
	struct CMUnitTest *tests = calloc(g.gl_pathc, sizeof *tests);
	for (size_t i = 0; i < g.gl_pathc; i++)
		tests[i] = (struct CMUnitTest){g.gl_pathv[i], play_file, NULL, NULL, g.gl_pathv[i]};
	int rc = _cmocka_run_group_tests("flow", tests, g.gl_pathc, NULL, NULL);
	free(tests);
	globfree(&g);
	return rc;
}
