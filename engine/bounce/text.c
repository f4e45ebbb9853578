/* The text of a part: transfer encoding and charset taken off, HTML reduced to what is read. */
#include "engine/bounce/mail.h"
#include "lists/charset.h"
#include "src/base/utf8.h"
#include "templates/html_token.h"

#include <gmime/gmime.h>

/* ---- transfer encoding ---- */

static struct str decode_transfer(struct arena *a, struct str body, struct str encoding)
{
	GMimeContentEncoding kind;
	if (str_is_nocase(encoding, "base64"))
		kind = GMIME_CONTENT_ENCODING_BASE64;
	else if (str_is_nocase(encoding, "quoted-printable"))
		kind = GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
	else
		return body;
	GMimeEncoding state;
	g_mime_encoding_init_decode(&state, kind);
	char *out = arena_bytes(a, g_mime_encoding_outlen(&state, body.n) + 16);
	if (out == NULL)
		return str_n(NULL, 0);
	return str_n(out, g_mime_encoding_flush(&state, body.p, body.n, out));
}

/* ---- charset ---- */

static struct str convert(struct arena *a, struct str s, const struct charset *c)
{
	struct decoder d;
	if (decoder_init(&d, c, NULL) != 0)
		return s;
	struct buf b = BUF_INIT(4 * MAIL_TEXT_MAX);
	int rc = decoder_feed(&d, s, true, &b, NULL);
	decoder_release(&d);
	struct str out = rc == 0 && !b.failed ? arena_str(a, buf_get(&b)) : s;
	buf_release(&b);
	return out.p != NULL ? out : s;
}

static bool has_escape(struct str s)
{
	return str_find(s, 0x1b) < s.n;
}

static bool is_utf7(struct str name)
{
	return str_is_nocase(name, "utf-7") || str_is_nocase(name, "unicode-1-1-utf-7");
}

/* A charset that nobody knows ("uft-8", "unknown-8bit", "default_charset") is guessed from the bytes. */
static struct str to_utf8(struct arena *a, struct str s, struct str name)
{
	struct charset c;
	if (utf8_ascii(s) && !has_escape(s) && !is_utf7(name))
		return s;
	char z[32];
	bool known = false;
	if (name.n != 0 && name.n < sizeof z) {
		memcpy(z, name.p, name.n);
		z[name.n] = '\0';
		known = charset_by_name(z, &c, NULL) == 0;
	}
	if (has_escape(s) && (!known || c.kind != CHARSET_JIS) &&
		charset_by_name("ISO-2022-JP", &c, NULL) == 0)
		return convert(a, s, &c);
	if (!has_escape(s) && utf8_valid(s) && !is_utf7(name))
		return s;
	if (!known || c.kind == CHARSET_UTF8)
		charset_guess(str_n(s.p, s.n < 4096 ? s.n : 4096), s.n > 4096, &c);
	return c.kind == CHARSET_UTF8 ? s : convert(a, s, &c);
}

/* ---- HTML ---- */

static bool is_block(struct str name)
{
	static const char *const blocks[] = {"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "table",
		"pre", "blockquote", "ul", "ol", "hr", "dt", "dd", "title", "body"};
	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
		if (str_is_nocase(name, blocks[i]))
			return true;
	return false;
}

static bool is_hidden(struct str name)
{
	return str_is_nocase(name, "style") || str_is_nocase(name, "script") ||
	       str_is_nocase(name, "title") || str_is_nocase(name, "head");
}

static void add_text(struct run *out, struct str s, bool keep)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!keep && (c == '\n' || c == '\r' || c == '\t'))
			c = ' ';
		if (c != ' ' || keep ||
			(out->n != 0 && out->p[out->n - 1] != ' ' && out->p[out->n - 1] != '\n'))
			run_add(out, &c, 1);
	}
}

/* What an address in angle brackets looks like to a tag reader: "<user@example.com>". */
static bool is_address_tag(struct str source, const struct html_token *t)
{
	struct str s = str_n(source.p + t->from, t->to - t->from);
	return str_find(s, '@') < s.n && str_find(s, '=') == s.n && s.n < 300;
}

struct str html_strip(struct arena *a, struct str html)
{
	if (html.n == 0)
		return html;
	struct html_lexer x = {.s = html};
	struct html_token t;
	struct run out = {.a = a}, text = {.a = a};
	int pre = 0;
	bool hidden = false;
	while (html_next(&x, &t) && out.n < MAIL_TEXT_MAX) {
		if (t.kind == HTML_TEXT && !hidden) {
			text.n = 0;
			html_decode(&text, str_n(html.p + t.from, t.to - t.from), HTML_IN_TEXT);
			add_text(&out, str_n(text.p, text.n), pre > 0);
		} else if (t.kind == HTML_OPEN && is_address_tag(html, &t)) {
			add_text(&out, str_n(html.p + t.from, t.to - t.from), true);
		} else if (t.kind == HTML_OPEN || t.kind == HTML_CLOSE) {
			if (is_hidden(t.name) && !str_is_nocase(t.name, "head"))
				hidden = t.kind == HTML_OPEN;
			else if (str_is_nocase(t.name, "pre"))
				pre = t.kind == HTML_OPEN ? 1 : 0;
			if (is_block(t.name))
				run_add(&out, "\n", 1);
			else if (str_is_nocase(t.name, "td"))
				run_add(&out, " ", 1);
		}
	}
	return str_n(out.p, out.n);
}

/* CR is gone, NUL and other controls are blanks, so that lines can be compared. */
static struct str tidy(struct arena *a, struct str s)
{
	char *out = arena_bytes(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r')
			continue;
		if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] == 0xa0) {
			out[n++] = ' '; /* a blank that does not break */
			i++;
			continue;
		}
		out[n++] = c < ' ' && c != '\n' && c != '\t' ? ' ' : (char)c;
	}
	return str_n(out, n);
}

struct str part_text(struct arena *a, const struct part *p)
{
	struct str body = p->body;
	if (body.n > MAIL_TEXT_MAX)
		body.n = MAIL_TEXT_MAX;
	struct str encoding = field_find(a, p->header, "content-transfer-encoding");
	struct str s = decode_transfer(a, body, str_trim(str_n(encoding.p, str_find(encoding, ';'))));
	s = to_utf8(a, s, field_parameter(field_find(a, p->header, "content-type"), "charset"));
	return tidy(a, p->html ? html_strip(a, s) : s);
}
