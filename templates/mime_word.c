#include "templates/mime_word.h"

#include "src/base/utf8.h"
#include "templates/mime_base64.h"

enum {
	FOLD = 76,    /* RFC 5322 2.1.1: at most 78; RFC 2047 2: 76, where an encoded-word is in the line */
	WORD = 75,    /* and a word this */
	LONGEST = 60, /* a longer display name, or atom of one, is encoded: those fold anywhere */
};

/* --- cleaning --- */

static bool is_clean(struct str s)
{
	if (s.n == 0)
		return true;
	if (s.p[0] == ' ' || s.p[s.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c >= 0x7f)
			return false;
	}
	return true;
}

struct str header_clean(struct arena *a, struct str s)
{
	if (is_clean(s))
		return s;
	struct run r = RUN_INIT(a);
	for (size_t i = 0; i < s.n;) {
		size_t from = i;
		uint32_t c = utf8_next(s, &i);
		if (c < ' ' || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029)
			run_putc(&r, ' ');
		else if (c == 0xFFFD)
			run_puts(&r, "\xEF\xBF\xBD");
		else
			run_add(&r, s.p + from, i - from);
	}
	if (r.failed)
		a->failed = true;
	return str_trim(run_get(&r));
}

bool header_fits(struct arena *a, struct str s, enum charset c)
{
	if (c == CHARSET_UTF8 || utf8_ascii(s))
		return true;
	struct run r = RUN_INIT(a);
	return iso2022jp_add(&r, s);
}

/* --- writing and folding --- */

static void put(struct header *h, const void *p, size_t n)
{
	run_add(h->out, p, n);
	h->col += (unsigned)n;
}

static void fold(struct header *h)
{
	run_add(h->out, "\r\n ", 3);
	h->col = 1;
}

/* A blank, or a fold where `need` more characters would pass `limit`. Right behind the header's name only
 * where the fold makes it fit: some readers dislike an empty first line. */
static void gap(struct header *h, size_t need, unsigned limit)
{
	bool first = h->out->n == h->text;
	if (h->col > 1 && need + h->col + 1 > limit && (!first || need + 1 <= limit))
		fold(h);
	else
		put(h, " ", 1);
}

void header_begin(struct header *h, const char *name)
{
	h->col = 0;
	put(h, name, strlen(name));
	put(h, ":", 1);
	h->text = h->out->n;
}

void header_end(struct header *h)
{
	run_add(h->out, "\r\n", 2);
	h->col = 0;
}

void header_token(struct header *h, struct str token, bool glue)
{
	if (!glue)
		gap(h, token.n, FOLD);
	put(h, token.p, token.n);
}

/* --- encoded-words --- */

/* What RFC 2047 5 (3) allows in a phrase; used everywhere. */
static bool q_plain(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '!' ||
	       c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t q_size(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += q_plain((unsigned char)s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return n;
}

static void write_q(struct header *h, struct str s)
{
	static const char hexdigit[] = "0123456789ABCDEF";
	put(h, "=?utf-8?Q?", 10);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char out[3] = {'=', hexdigit[c >> 4], hexdigit[c & 15]};
		if (q_plain(c))
			put(h, &s.p[i], 1);
		else if (c == ' ')
			put(h, "_", 1);
		else
			put(h, out, 3);
	}
	put(h, "?=", 2);
}

static void write_b(struct header *h, struct str bytes, const char *intro)
{
	char out[WORD + 8];
	put(h, intro, strlen(intro));
	put(h, out, base64_word(bytes.p, bytes.n, out));
	put(h, "?=", 2);
}

/* Bytes of the whole characters at the front that one word of `room` characters can take; at least one
 * character. */
static size_t take_utf8(struct str s, size_t room, bool q)
{
	size_t text = room - 12, used = 0, i = 0;
	while (i < s.n) {
		size_t next = i;
		utf8_next(s, &next);
		size_t size = q ? q_size(str_n(s.p + i, next - i)) : 0;
		size_t total = q ? used + size : (next + 2) / 3 * 4;
		if (total > text && i != 0)
			break;
		used += size;
		i = next;
	}
	return i;
}

/* ASCII, JIS X 0201 (only for these two) or JIS X 0208. */
static int jis_set(uint32_t c)
{
	return c < 0x80 ? 0 : c == 0xA5 || c == 0x203E ? 1 : 2;
}

static size_t take_jis(struct str s, size_t room)
{
	size_t bytes = (room - 18) / 4 * 3, used = 0, i = 0;
	int set = 0;
	while (i < s.n) {
		size_t next = i;
		int to = jis_set(utf8_next(s, &next));
		/* Each change of set costs an escape of three; a word that is not back in ASCII ends with
		 * one. */
		size_t size = (to == 2 ? 2u : 1u) + (to != set ? 3u : 0u);
		if (used + size + (to != 0 ? 3u : 0u) > bytes && i != 0)
			break;
		used += size;
		set = to;
		i = next;
	}
	return i;
}

static void write_jis(struct header *h, struct str s)
{
	char keep[512];
	struct run r = {.a = h->out->a, .p = keep, .cap = sizeof keep};
	if (!iso2022jp_add(&r, s)) {
		h->out->failed = true;
		return;
	}
	write_b(h, run_get(&r), "=?iso-2022-jp?B?");
}

static void encoded_words(struct header *h, struct str s)
{
	const bool jis = h->charset == CHARSET_ISO_2022_JP && !utf8_ascii(s);
	/* Q is readable as it stands, so it may be a little longer. */
	const size_t b_size = (s.n + 2) / 3 * 4;
	const bool q = q_size(s) <= b_size + b_size / 4 + 2;
	while (s.n != 0 && !h->out->failed) {
		/* The rest of this line if a fair piece fits there, else the next. */
		size_t room = h->col + 1 < FOLD ? FOLD - h->col - 1 : 0;
		if (room > WORD)
			room = WORD;
		size_t n = room < 40 ? 0 : jis ? take_jis(s, room) : take_utf8(s, room, q);
		if (n == 0) {
			fold(h);
			n = jis ? take_jis(s, WORD) : take_utf8(s, WORD, q);
		} else {
			put(h, " ", 1);
		}
		struct str piece = str_n(s.p, n);
		if (jis)
			write_jis(h, piece);
		else if (q)
			write_q(h, piece);
		else
			write_b(h, piece, "=?utf-8?B?");
		s = str_n(s.p + n, s.n - n);
	}
}

/* --- unstructured text --- */

static bool word_needs_coding(struct str w)
{
	if (w.n > 900)
		return true;
	for (size_t i = 0; i < w.n; i++)
		if ((unsigned char)w.p[i] < ' ' || (unsigned char)w.p[i] >= 0x7f)
			return true;
	for (size_t i = 0; i + 1 < w.n; i++)
		if (w.p[i] == '=' && w.p[i + 1] == '?')
			return true;
	return false;
}

/* The next word with the blanks before it. */
static struct str next_word(struct str *rest)
{
	size_t i = 0;
	while (i < rest->n && rest->p[i] == ' ')
		i++;
	while (i < rest->n && rest->p[i] != ' ')
		i++;
	struct str w = str_n(rest->p, i);
	*rest = str_n(rest->p + i, rest->n - i);
	return w;
}

static void plain_words(struct header *h, struct str s)
{
	while (s.n != 0) {
		struct str w = next_word(&s);
		if (w.p[0] == ' ')
			w = str_n(w.p + 1, w.n - 1);
		gap(h, w.n, FOLD);
		put(h, w.p, w.n);
	}
}

void header_text(struct header *h, struct str s)
{
	/* From the first word that needs it to the last one is encoded as a whole. */
	const char *from = NULL, *to = NULL;
	for (struct str rest = s; rest.n != 0;) {
		struct str w = next_word(&rest);
		if (!word_needs_coding(w))
			continue;
		if (from == NULL)
			from = w.p;
		to = w.p + w.n;
	}
	if (from == NULL) {
		plain_words(h, s);
		return;
	}
	plain_words(h, str_n(s.p, (size_t)(from - s.p)));
	/* One blank before the words is the separator; further ones belong to the text. */
	if (from < to && *from == ' ')
		from++;
	encoded_words(h, str_n(from, (size_t)(to - from)));
	plain_words(h, str_n(to, (size_t)(s.p + s.n - to)));
}

/* --- phrases --- */

static bool is_atext(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static void quoted(struct header *h, struct str s)
{
	char out[2 * LONGEST + 2];
	size_t n = 0;
	out[n++] = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			out[n++] = '\\';
		out[n++] = s.p[i];
	}
	out[n++] = '"';
	header_token(h, str_n(out, n), false);
}

void header_phrase(struct header *h, struct str s)
{
	bool atoms = true, coded = s.n > LONGEST;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x7f || c < ' ' || (c == '=' && i + 1 < s.n && s.p[i + 1] == '?'))
			coded = true;
		if (c == ' ' ? i + 1 < s.n && s.p[i + 1] == ' ' : !is_atext(c))
			atoms = false;
	}
	if (coded)
		encoded_words(h, s);
	else if (atoms)
		plain_words(h, s);
	else
		quoted(h, s);
}
