/* The commands of a message (RFC 5321 4.1.1, 1870, 3030, 3461, 6531, 8689), and what the client itself has
 * against one. */
#include "engine/smtp/client_private.h"

#define PATH_MAX_BYTES  1000
#define ENVID_MAX_BYTES 100 /* RFC 3461 4.4 */
#define ORCPT_MAX_BYTES 500 /* RFC 3461 4.2 */

uint64_t smtp_message_size(const struct smtp_message *m)
{
	return (uint64_t)m->header.n + m->body.n + m->tail.n;
}

/* ---- Own refusals ---- */

/* Lists let no such address in; here it would become a command or a parameter. */
static bool path_is_clean(struct str s)
{
	bool quoted = false, escaped = false;
	if (s.n > PATH_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (ch < 0x20 || ch == 0x7f)
			return false;
		if (escaped)
			escaped = false;
		else if (ch == '"')
			quoted = !quoted;
		else if (quoted)
			escaped = ch == '\\';
		else if (ch == ' ' || ch == '<' || ch == '>')
			return false;
	}
	return !quoted && !escaped;
}

enum own_refusal smtp_look_at(const struct smtp_client *c, const struct smtp_message *m)
{
	if (!path_is_clean(m->from) || !path_is_clean(m->rcpt) || m->rcpt.n == 0)
		return OWN_BAD_ADDRESS;
	if (m->utf8 && !c->caps.smtputf8)
		return OWN_NO_UTF8;
	if (c->caps.size != 0 && smtp_message_size(m) > c->caps.size)
		return OWN_TOO_LARGE;
	return OWN_NONE;
}

/* ---- MAIL and RCPT ---- */

static void put_number(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;
	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	buf_add(b, digits + i, sizeof digits - i);
}

static bool xtext_as_it_is(unsigned char ch)
{
	return ch > 0x20 && ch < 0x7f && ch != '+' && ch != '=';
}

static size_t xtext_size(struct str s)
{
	size_t n = s.n;
	for (size_t i = 0; i < s.n; i++)
		n += xtext_as_it_is((unsigned char)s.p[i]) ? 0 : 2;
	return n;
}

/* RFC 3461 4: whatever could end a parameter becomes +XX. */
static void put_xtext(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (xtext_as_it_is(ch))
			continue;
		char out[3] = {'+', hex[ch >> 4], hex[ch & 15]};
		buf_add(b, s.p + from, i - from);
		buf_add(b, out, sizeof out);
		from = i + 1;
	}
	buf_add(b, s.p + from, s.n - from);
}

void smtp_put_mail(struct smtp_client *c)
{
	const struct smtp_message *m = c->put->m;
	buf_str(&c->out, STR("MAIL FROM:<"));
	buf_str(&c->out, m->from);
	buf_putc(&c->out, '>');
	if (c->caps.size_offered) {
		buf_str(&c->out, STR(" SIZE="));
		put_number(&c->out, smtp_message_size(m));
	}
	/* RFC 6531 3.6: header fields may hold UTF-8 then. */
	if (m->utf8)
		buf_str(&c->out, c->caps.eightbit ? STR(" BODY=8BITMIME SMTPUTF8") : STR(" SMTPUTF8"));
	if (c->o->require_tls)
		buf_str(&c->out, STR(" REQUIRETLS"));
	/* A bounce needs the header at most: it holds all that we know a delivery by. */
	if (c->caps.dsn)
		buf_str(&c->out, STR(" RET=HDRS"));
	if (c->caps.dsn && m->envid.n != 0 && xtext_size(m->envid) <= ENVID_MAX_BYTES) {
		buf_str(&c->out, STR(" ENVID="));
		put_xtext(&c->out, m->envid);
	}
	buf_str(&c->out, STR("\r\n"));
}

/* ORCPT only where RFC 3461 has a form for the address: UTF-8 would need another type of address (RFC 6533).
 */
void smtp_put_rcpt(struct smtp_client *c)
{
	const struct smtp_message *m = c->put->m;
	buf_str(&c->out, STR("RCPT TO:<"));
	buf_str(&c->out, m->rcpt);
	buf_putc(&c->out, '>');
	if (c->caps.dsn && !m->utf8 && 7 + xtext_size(m->rcpt) <= ORCPT_MAX_BYTES) {
		buf_str(&c->out, STR(" ORCPT=rfc822;"));
		put_xtext(&c->out, m->rcpt);
	}
	buf_str(&c->out, STR("\r\n"));
}

/* ---- The message ---- */

static bool ends_in_a_line(const struct smtp_message *m)
{
	const struct str parts[] = {m->tail, m->body, m->header};
	const char want[] = {'\n', '\r'};
	size_t k = 0;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		for (size_t at = parts[i].n; at > 0 && k < sizeof want;)
			if (parts[i].p[--at] != want[k++])
				return false;
	return true;
}

void smtp_put_data(struct smtp_client *c)
{
	buf_str(&c->out, STR("DATA\r\n"));
}

void smtp_put_end(struct smtp_client *c)
{
	const struct smtp_message *m = c->put->m;
	if (m != NULL)
		smtp_lend(c, m);
	buf_str(&c->out, m == NULL || ends_in_a_line(m) ? STR(".\r\n") : STR("\r\n.\r\n"));
}

void smtp_put_bdat(struct smtp_client *c)
{
	const struct smtp_message *m = c->put->m;
	bool whole = ends_in_a_line(m);
	buf_str(&c->out, STR("BDAT "));
	put_number(&c->out, smtp_message_size(m) + (whole ? 0 : 2));
	buf_str(&c->out, STR(" LAST\r\n"));
	smtp_lend(c, m);
	if (!whole)
		buf_str(&c->out, STR("\r\n"));
}
