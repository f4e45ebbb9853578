/* RFC 2047. */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>

enum { WORD_MAX = 75, WORD_LINE_MAX = 76 };

struct word {
	size_t from, to;
	struct str charset, text;
	char encoding; /* 'q' or 'b' */
};

struct words { /* one field being read */
	struct linter *l;
	const struct lint_header *h;
	enum lint_words where;
	struct str s;
	struct run decoded;
	struct run bytes;   /* of words that are not whole by themselves */
	struct str charset; /* of those */
	size_t end;         /* of the word before; 0: none */
	size_t n;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool token_char(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && strchr("()<>@,;:\\\"/[]?.=", c) == NULL;
}

enum looks { LOOKS_TEXT, LOOKS_BROKEN, LOOKS_WORD };

/* What stands at s.p[i], where there is "=?". */
static enum looks read_word(struct str s, size_t i, struct word *w)
{
	size_t at = i + 2, charset = at;
	while (at < s.n && (token_char(s.p[at]) || s.p[at] == '.' || s.p[at] == '*'))
		at++;
	if (at == charset || at + 2 >= s.n || s.p[at] != '?' || s.p[at + 2] != '?')
		return LOOKS_TEXT;
	*w = (struct word){.from = i,
		.charset = str_n(s.p + charset, at - charset),
		.encoding = (char)tolower((unsigned char)s.p[at + 1])};
	w->charset.n = str_find(w->charset, '*'); /* a language, RFC 2231 5 */
	size_t text = at + 3;
	for (at = text; at < s.n && s.p[at] != '?' && !blank(s.p[at]); at++)
		;
	w->text = str_n(s.p + text, at - text);
	w->to = at + 2;
	if (at + 1 >= s.n || s.p[at] != '?' || s.p[at + 1] != '=' ||
		(w->encoding != 'q' && w->encoding != 'b'))
		return LOOKS_BROKEN;
	return LOOKS_WORD;
}

static bool decode_q(struct words *p, const struct word *w, struct run *out)
{
	for (size_t i = 0; i < w->text.n; i++) {
		char c = w->text.p[i];
		if (c == '=') {
			if (i + 2 >= w->text.n || str_hex_digit(w->text.p[i + 1]) < 0 ||
				str_hex_digit(w->text.p[i + 2]) < 0)
				return false;
			run_putc(out, (char)(str_hex_digit(w->text.p[i + 1]) << 4 |
					      str_hex_digit(w->text.p[i + 2])));
			i += 2;
		} else if ((unsigned char)c >= 0x7f) {
			return false;
		} else {
			if (p->where == WORDS_ADDRESS && !isalnum((unsigned char)c) &&
				strchr("!*+-/_", c) == NULL)
				return false;
			run_putc(out, c == '_' ? ' ' : c);
		}
	}
	return true;
}

static bool decode_b(const struct word *w, struct run *out)
{
	struct str t = w->text;
	size_t pad = t.n > 1 && t.p[t.n - 1] == '=' ? 1 + (t.p[t.n - 2] == '=') : 0;
	unsigned bits = 0, have = 0;
	if (t.n % 4 != 0)
		return false;
	for (size_t i = 0; i < t.n - pad; i++) {
		int v = str_base64_digit(t.p[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8)
			run_putc(out, (char)(bits >> (have -= 8)));
	}
	return true;
}

/* ---- One word ---- */

static void complain(struct words *p, enum lint_rule r, const struct word *w, const char *what)
{
	size_t to = w->to < p->s.n ? w->to : p->s.n;
	lint_add(p->l, r, p->h->name, p->s.p + w->from, "%s: %s", what,
		lint_show(p->l, str_n(p->s.p + w->from, to - w->from)));
}

/* Bytes that are no text in their charset wait here: perhaps the next word completes a character. */
static void flush_pending(struct words *p)
{
	if (p->bytes.n != 0)
		lint_add(p->l, L_WORD_CHARSET, p->h->name, p->h->name.p,
			"an encoded-word holds bytes that are no %s", lint_show(p->l, p->charset));
	p->bytes.n = 0;
}

static void word_text(struct words *p, const struct word *w, struct str bytes)
{
	bool known = true;
	struct str utf8 = lint_charset(p->l, bytes, w->charset, &known);
	if (!known) {
		complain(p, L_WORD_CHARSET, w, "nobody knows this charset");
		return;
	}
	if (utf8.p != NULL) {
		flush_pending(p);
		run_str(&p->decoded, utf8);
		return;
	}
	if (p->bytes.n != 0 &&
		!(p->charset.n == w->charset.n && strncasecmp(p->charset.p, w->charset.p, w->charset.n) == 0))
		flush_pending(p);
	p->charset = w->charset;
	bool first = p->bytes.n == 0;
	run_str(&p->bytes, bytes);
	utf8 = lint_charset(p->l, run_get(&p->bytes), w->charset, &known);
	if (utf8.p == NULL || first)
		return;
	complain(p, L_WORD_SPLIT, w, "a character is split between this word and the one before");
	run_str(&p->decoded, utf8);
	p->bytes.n = 0;
}

static void line_length(struct words *p, const struct word *w)
{
	const char *begin = memrchr(p->s.p, '\n', w->from),
		   *end = memchr(p->s.p + w->from, '\n', p->s.n - w->from);
	const char *from = begin != NULL ? begin + 1 : p->h->name.p,
		   *to = end != NULL ? end : p->s.p + p->s.n;
	if (to > from && to[-1] == '\r')
		to--;
	if (to - from > WORD_LINE_MAX)
		complain(p, L_WORD_LINE, w, "the line of an encoded-word is too long");
}

static void one_word(struct words *p, const struct word *w)
{
	struct run bytes = RUN_INIT(p->l->a);
	p->n++;
	if (w->to - w->from > WORD_MAX)
		complain(p, L_WORD_LENGTH, w, "an encoded-word is too long");
	line_length(p, w);
	bool glued = (w->from > 0 && !blank(p->s.p[w->from - 1]) && p->s.p[w->from - 1] != '(') ||
		     (w->to < p->s.n && !blank(p->s.p[w->to]) && p->s.p[w->to] != ')');
	if (!(w->encoding == 'q' ? decode_q(p, w, &bytes) : decode_b(w, &bytes)))
		complain(p, L_WORD_FORM, w, "an encoded-word cannot be decoded");
	else if (glued)
		complain(p, L_WORD_FORM, w, "no blank separates the encoded-word from what stands beside it");
	else
		word_text(p, w, run_get(&bytes));
}

/* ---- The field ---- */

/* Plain text between words. White space between two words does not count. */
static void plain(struct words *p, size_t from, size_t to, bool word_follows)
{
	bool blanks = true;
	for (size_t i = from; i < to; i++)
		blanks = blanks && blank(p->s.p[i]);
	if (blanks && word_follows && p->end != 0)
		return;
	if (!blanks)
		flush_pending(p);
	for (size_t i = from; i < to; i++)
		if (p->s.p[i] != '\r' && p->s.p[i] != '\n')
			run_putc(&p->decoded, p->s.p[i]);
}

static bool misplaced(const struct words *p, size_t i, bool angle)
{
	size_t end = i;
	if (p->where == WORDS_NONE || angle)
		return true;
	while (p->where == WORDS_ADDRESS && end < p->s.n && !blank(p->s.p[end]))
		if (p->s.p[end++] == '@')
			return true;
	return false;
}

static void read_field(struct words *p)
{
	struct word w;
	size_t from = 0;
	bool quote = false, angle = false;
	for (size_t i = 0; i < p->s.n; i++) {
		char c = p->s.p[i];
		if (p->where == WORDS_ADDRESS && c == '\\' && quote)
			i++;
		else if (p->where == WORDS_ADDRESS && c == '"')
			quote = !quote;
		else if (p->where == WORDS_ADDRESS && !quote && (c == '<' || c == '>'))
			angle = c == '<';
		if (c != '=' || i + 1 >= p->s.n || p->s.p[i + 1] != '?')
			continue;
		enum looks looks = read_word(p->s, i, &w);
		if (looks == LOOKS_TEXT)
			continue;
		if (misplaced(p, i, angle))
			complain(p,
				str_is_nocase(p->h->name, "list-unsubscribe") ? L_UNSUB_ENCODED
									      : L_WORD_STRUCTURE,
				&w, "an encoded-word stands where none is decoded");
		else if (quote)
			complain(p, L_WORD_PLACE, &w, "an encoded-word stands in quotes");
		else if (looks == LOOKS_BROKEN)
			complain(p, L_WORD_FORM, &w, "this is no whole encoded-word");
		if (quote || looks == LOOKS_BROKEN || misplaced(p, i, angle))
			continue;
		plain(p, from, i, true);
		one_word(p, &w);
		from = p->end = w.to;
		i = w.to - 1;
	}
	plain(p, from, p->s.n, false);
	flush_pending(p);
}

static void needless(struct words *p)
{
	struct str s = run_get(&p->decoded);
	size_t longest = 0, run = 0;
	for (size_t i = 0; i < s.n; i++) {
		run = blank(s.p[i]) ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	if (p->n != 0 && s.n != 0 && s.n < 900 && utf8_ascii(s) && longest < 60 &&
		memmem(s.p, s.n, "=?", 2) == NULL)
		lint_add(p->l, L_WORD_NEEDLESS, p->h->name, p->h->name.p, "plain ASCII is encoded: \"%s\"",
			lint_show(p->l, s));
}

void lint_words(struct linter *l, const struct lint_header *h, enum lint_words where, struct str *decoded)
{
	struct words p = {.l = l,
		.h = h,
		.where = where,
		.s = h->value,
		.decoded = RUN_INIT(l->a),
		.bytes = RUN_INIT(l->a)};
	read_field(&p);
	if (where != WORDS_NONE)
		needless(&p);
	if (decoded != NULL)
		*decoded = run_get(&p.decoded);
}
