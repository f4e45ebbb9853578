/* A client's bytes, cut where the input says; the first byte chooses the server's options. */
#include "engine/smtp/server.h"

#include <assert.h>
#include <stdint.h>

struct world {
	struct smtp_server *s;
	bool waiting;
	size_t data;
	unsigned char bits;
};

static struct smtp_answer decide(struct world *w, int code)
{
	if (w->bits & 0x40) {
		w->waiting = true;
		return (struct smtp_answer){SMTP_LATER, NULL, NULL};
	}
	return (struct smtp_answer){code, "2.0.0", "a\nb"};
}

static struct smtp_answer on_mail(void *ctx, const struct smtp_mail *m)
{
	assert(m->from.n <= 256 && (m->from.n == 0 || memchr(m->from.p, '\n', m->from.n) == NULL));
	return decide(ctx, 250);
}

static struct smtp_answer on_rcpt(void *ctx, struct str rcpt)
{
	assert(rcpt.n > 0 && rcpt.n <= 256);
	for (size_t i = 0; i < rcpt.n; i++)
		assert((unsigned char)rcpt.p[i] >= ' ' && rcpt.p[i] != 0x7f);
	return rcpt.p[0] == 'n' ? (struct smtp_answer){550, NULL, "no"} : decide(ctx, 250);
}

static struct smtp_answer on_auth(void *ctx, struct str user, struct str password)
{
	assert(user.n + password.n < 1100);
	return decide(ctx, 235);
}

static bool on_data(void *ctx, struct str piece)
{
	struct world *w = ctx;
	assert(piece.n > 0);
	w->data += piece.n;
	return (w->bits & 0x20) == 0 || w->data < 100;
}

static struct smtp_answer on_message(void *ctx, int rcpt)
{
	(void)rcpt;
	return decide(ctx, 250);
}

static const struct smtp_server_ops ops = {.on_auth = on_auth,
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_data = on_data,
	.on_message = on_message};

/* Every line that goes out is a reply: three digits, a blank or hyphen, no control character. */
static void check_output(struct smtp_server *s)
{
	struct str o = smtp_server_output(s);
	for (size_t at = 0; at < o.n;) {
		size_t n = str_find(str_n(o.p + at, o.n - at), '\n');
		assert(n >= 5 && at + n < o.n && o.p[at + n - 1] == '\r' &&
			(o.p[at + 3] == ' ' || o.p[at + 3] == '-'));
		for (size_t i = 0; i < n - 1; i++)
			assert(o.p[at + i] >= ' ' && o.p[at + i] < 0x7f &&
				(i >= 3 || (o.p[at + i] >= '0' && o.p[at + i] <= '9')));
		at += n + 1;
	}
	smtp_server_written(s, o.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct world w = {.bits = data[0]};
	struct smtp_server_options o = {.name = "x",
		.lmtp = data[0] & 1,
		.starttls = data[0] & 2,
		.auth = true,
		.auth_plaintext = data[0] & 4,
		.chunking = true,
		.smtputf8 = data[0] & 8,
		.dsn = true,
		.limits = {.size = 2000, .line = 300, .text_line = 200, .recipients = 3, .errors = 50}};
	size_t step = data[1];
	w.s = smtp_server_new(&o, &ops, &w);
	if (w.s == NULL)
		return 0;
	smtp_server_start(w.s, (struct smtp_answer){220, NULL, NULL});
	for (size_t at = 2; at < size && !smtp_server_closing(w.s);) {
		size_t n = step == 0 || step > size - at ? size - at : step;
		size_t taken = smtp_server_input(w.s, (const char *)data + at, n);
		assert(taken <= n && (taken == n || w.waiting || smtp_server_output(w.s).n > 0));
		at += taken;
		check_output(w.s);
		while (w.waiting) {
			w.waiting = false;
			smtp_server_answer(
				w.s, (struct smtp_answer){w.bits & 0x80 ? 451 : 250, NULL, "later"});
			check_output(w.s);
		}
		if (smtp_server_wants_tls(w.s))
			smtp_server_tls_done(w.s);
	}
	smtp_server_free(&w.s);
	return 0;
}
