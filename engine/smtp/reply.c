#include "engine/smtp/reply.h"

#define LINE_MAX_BYTES  8192
#define REPLY_MAX_BYTES 65536
#define REPLY_MAX_LINES 128
#define TEXT_MAX_BYTES  1000

void smtp_reply_init(struct smtp_reply_parser *p)
{
	*p = (struct smtp_reply_parser){0};
	buf_init(&p->line, LINE_MAX_BYTES);
	buf_init(&p->text, TEXT_MAX_BYTES);
}

void smtp_reply_release(struct smtp_reply_parser *p)
{
	buf_release(&p->line);
	buf_release(&p->text);
	smtp_reply_init(p);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of "5.1.1" at the start of `s`, or 0 (RFC 2034 section 4: class "." 1*3digit "." 1*3digit). */
static size_t enhanced_length(struct str s)
{
	if (s.n < 5 || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5') || s.p[1] != '.')
		return 0;
	size_t i = 2, start = 2;
	while (i < s.n && is_digit(s.p[i]))
		i++;
	if (i == start || i - start > 3 || i == s.n || s.p[i] != '.')
		return 0;
	start = ++i;
	while (i < s.n && is_digit(s.p[i]))
		i++;
	if (i == start || i - start > 3 || (i < s.n && s.p[i] != ' ' && s.p[i] != '\t'))
		return 0;
	return i;
}

/* qmail writes it behind the words: "sorry, no mailbox here by that name. (#5.1.1)". */
static struct str enhanced_behind(struct str s, int code)
{
	const char *at = code >= 400 ? memmem(s.p, s.n, "(#", 2) : NULL;
	if (at == NULL)
		return str_n(NULL, 0);
	struct str rest = str_n(at + 2, (size_t)(s.p + s.n - at - 2));
	rest.n = str_find(rest, ')');
	size_t n = enhanced_length(rest);
	return str_n(rest.p, n > 0 && rest.p[0] - '0' == code / 100 ? n : 0);
}

static bool add_text(struct smtp_reply_parser *p, struct str s)
{
	size_t room = TEXT_MAX_BYTES - p->text.len;
	if (s.n == 0 || room == 0)
		return true;
	if (p->text.len != 0 && room > 1) {
		buf_putc(&p->text, ' ');
		room--;
	}
	buf_add(&p->text, s.p, s.n < room ? s.n : room);
	return !p->text.failed;
}

/* One line without its end. Returns false where it is no reply line. */
static bool reply_line(struct smtp_reply_parser *p, struct str s, bool *last)
{
	if (s.n < 3 || s.p[0] < '2' || s.p[0] > '5' || !is_digit(s.p[1]) || !is_digit(s.p[2]))
		return false;
	if (s.n > 3 && is_digit(s.p[3]))
		return false;
	int code = (s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + (s.p[2] - '0');
	*last = s.n == 3 || s.p[3] != '-';
	size_t skip = s.n > 3 && (s.p[3] == '-' || s.p[3] == ' ' || s.p[3] == '\t') ? 4 : 3;
	s = str_n(s.p + skip, s.n - skip);
	if (code != p->reply.code)
		p->reply.enhanced[0] = '\0'; /* it belonged to the other code */
	p->reply.code = code;
	if (p->lines > 1 && p->line_cb != NULL)
		p->line_cb(p->ctx, s);
	/* "550 #5.1.0 Address rejected.": so do Cisco's gateways, and rules know their words by it. */
	bool marked = s.n > 0 && s.p[0] == '#';
	struct str enhanced = str_n(s.p + marked, s.n - marked);
	enhanced.n = enhanced_length(enhanced);
	size_t n = marked ? 0 : enhanced.n;
	if (enhanced.n == 0)
		enhanced = enhanced_behind(s, code);
	if (enhanced.n != 0) {
		memcpy(p->reply.enhanced, enhanced.p, enhanced.n);
		p->reply.enhanced[enhanced.n] = '\0';
	}
	while (n != 0 && n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
		n++;
	s = str_n(s.p + n, s.n - n);
	return add_text(p, s);
}

static void begin(struct smtp_reply_parser *p)
{
	buf_clear(&p->text);
	p->reply.code = 0;
	p->reply.enhanced[0] = '\0';
	p->total = 0;
}

/* Keeps the start of a line whose end has not come. */
static enum smtp_parse keep(struct smtp_reply_parser *p, struct str *s)
{
	buf_add(&p->line, s->p, s->n);
	*s = str_n(s->p + s->n, 0);
	return p->line.failed ? SMTP_PARSE_BAD : SMTP_PARSE_MORE;
}

enum smtp_parse smtp_reply_feed(struct smtp_reply_parser *p, struct str *s)
{
	while (s->n != 0) {
		if (p->lines == 0 && p->line.len == 0)
			begin(p);
		const char *nl = memchr(s->p, '\n', s->n);
		if (nl == NULL)
			return keep(p, s);
		struct str line = str_n(s->p, (size_t)(nl - s->p));
		*s = str_n(nl + 1, s->n - line.n - 1);
		if (p->line.len != 0) {
			buf_str(&p->line, line);
			if (p->line.failed)
				return SMTP_PARSE_BAD;
			line = buf_get(&p->line);
		}
		p->total += line.n;
		if (line.n > LINE_MAX_BYTES || p->total > REPLY_MAX_BYTES || ++p->lines > REPLY_MAX_LINES)
			return SMTP_PARSE_BAD;
		if (line.n != 0 && line.p[line.n - 1] == '\r')
			line.n--;
		bool last, good = reply_line(p, line, &last);
		p->line.len = 0;
		if (!good)
			return SMTP_PARSE_BAD;
		if (last) {
			p->lines = 0;
			p->reply.text = buf_get(&p->text);
			return SMTP_PARSE_DONE;
		}
	}
	return SMTP_PARSE_MORE;
}
