/* Any bytes as SMTP replies: the same replies come out however the bytes are cut, and their limits hold. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/smtp/caps.h"
#include "engine/smtp/reply.h"

#define REPLIES 64

struct seen {
	int code, n;
	char enhanced[12];
	size_t text;
	unsigned sum;
};

static void caps_line(void *ctx, struct str line)
{
	smtp_caps_line(ctx, line);
}

static void must(int good)
{
	if (!good)
		abort();
}

static void look(const struct smtp_reply *r, struct seen *s)
{
	must(r->code >= 200 && r->code <= 599);
	must(strlen(r->enhanced) < sizeof r->enhanced && r->text.n <= 1000);
	*s = (struct seen){.code = r->code, .text = r->text.n};
	memcpy(s->enhanced, r->enhanced, sizeof s->enhanced);
	for (size_t i = 0; i < r->text.n; i++)
		s->sum = s->sum * 31 + (unsigned char)r->text.p[i];
}

/* Returns how many replies there were; the last slot says whether the end was bad. */
static int read_all(const uint8_t *data, size_t size, size_t step, struct seen *out)
{
	struct smtp_reply_parser p;
	struct smtp_caps caps = {0};
	smtp_reply_init(&p);
	p.line_cb = caps_line;
	p.ctx = &caps;
	int n = 0;
	enum smtp_parse got = SMTP_PARSE_MORE;
	for (size_t at = 0; at < size && got != SMTP_PARSE_BAD; at += step) {
		struct str s = str_n((const char *)data + at, size - at < step ? size - at : step);
		while (s.n != 0 && got != SMTP_PARSE_BAD) {
			got = smtp_reply_feed(&p, &s);
			if (got == SMTP_PARSE_DONE && n < REPLIES)
				look(&p.reply, &out[n++]);
		}
	}
	must(caps.mail_max >= 0 && caps.rcpt_max >= 0);
	smtp_reply_release(&p);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole[REPLIES], cut[REPLIES];
	int n = read_all(data, size, size != 0 ? size : 1, whole);
	const size_t steps[] = {1, 2, 7};
	for (size_t i = 0; i < 3; i++) {
		must(read_all(data, size, steps[i], cut) == n);
		for (int k = 0; k < n; k++)
			must(whole[k].code == cut[k].code && whole[k].text == cut[k].text &&
				whole[k].sum == cut[k].sum &&
				strcmp(whole[k].enhanced, cut[k].enhanced) == 0);
	}
	return 0;
}
