#include "lists/charset.h"

#include "src/base/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <uchardet/uchardet.h>

static void set(struct charset *c, enum charset_kind kind, const char *name, const char *iconv_name)
{
	*c = (struct charset){.kind = kind};
	snprintf(c->name, sizeof c->name, "%s", name);
	snprintf(c->iconv, sizeof c->iconv, "%s", iconv_name);
}

/* Names people use, compared without case, hyphens, underscores and blanks. */
static const struct known {
	const char *alias;
	enum charset_kind kind;
	const char *name, *iconv;
} known[] = {
	{"utf8", CHARSET_UTF8, "UTF-8", "UTF-8"},
	{"utf8bom", CHARSET_UTF8, "UTF-8", "UTF-8"},
	{"utf8sig", CHARSET_UTF8, "UTF-8", "UTF-8"},
	{"ascii", CHARSET_UTF8, "UTF-8", "UTF-8"},
	{"usascii", CHARSET_UTF8, "UTF-8", "UTF-8"},
	{"utf16le", CHARSET_ICONV, "UTF-16LE", "UTF-16LE"},
	{"utf16", CHARSET_ICONV, "UTF-16LE", "UTF-16LE"},
	{"unicode", CHARSET_ICONV, "UTF-16LE", "UTF-16LE"},
	{"utf16be", CHARSET_ICONV, "UTF-16BE", "UTF-16BE"},
	{"shiftjis", CHARSET_ICONV, "Shift_JIS", "CP932"},
	{"sjis", CHARSET_ICONV, "Shift_JIS", "CP932"},
	{"cp932", CHARSET_ICONV, "Shift_JIS", "CP932"},
	{"ms932", CHARSET_ICONV, "Shift_JIS", "CP932"},
	{"windows31j", CHARSET_ICONV, "Shift_JIS", "CP932"},
	{"eucjp", CHARSET_ICONV, "EUC-JP", "EUC-JP-MS"},
	{"eucjpms", CHARSET_ICONV, "EUC-JP", "EUC-JP-MS"},
	{"cp51932", CHARSET_ICONV, "EUC-JP", "EUC-JP-MS"},
	{"iso2022jp", CHARSET_JIS, "ISO-2022-JP", "EUC-JP-MS"},
	{"jis", CHARSET_JIS, "ISO-2022-JP", "EUC-JP-MS"},
	{"latin1", CHARSET_ICONV, "Windows-1252", "CP1252"},
	{"iso88591", CHARSET_ICONV, "Windows-1252", "CP1252"},
	{"cp1252", CHARSET_ICONV, "Windows-1252", "CP1252"},
	{"windows1252", CHARSET_ICONV, "Windows-1252", "CP1252"},
	{"ansi", CHARSET_ICONV, "Windows-1252", "CP1252"},
};

int charset_by_name(const char *name, struct charset *out, struct err *e)
{
	char folded[32];
	size_t n = 0;
	for (const char *p = name; *p != '\0' && n + 1 < sizeof folded; p++)
		if (*p != '-' && *p != '_' && *p != ' ')
			folded[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
	folded[n] = '\0';
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(folded, known[i].alias) == 0) {
			set(out, known[i].kind, known[i].name, known[i].iconv);
			return 0;
		}
	}
	iconv_t cd = name[0] != '\0' && strlen(name) < sizeof out->iconv && strchr(name, '/') == NULL
			     ? iconv_open("UTF-8", name)
			     : (iconv_t)-1;
	if (cd == (iconv_t)-1) {
		err_set(e, ERR_USAGE, "--encoding", "\"%.40s\" is not a charset", name);
		return err_remedy(
			e, "for example UTF-8, UTF-16LE, Shift_JIS, EUC-JP, ISO-2022-JP, Windows-1252");
	}
	iconv_close(cd);
	set(out, CHARSET_ICONV, name, name);
	return 0;
}

int charset_by_start(struct str s, struct charset *out)
{
	if (str_starts(s, STR("\xef\xbb\xbf"))) {
		set(out, CHARSET_UTF8, "UTF-8", "UTF-8");
		return 3;
	}
	if (str_starts(s, STR("\xff\xfe")) || str_starts(s, STR("\xfe\xff"))) {
		bool little = (unsigned char)s.p[0] == 0xff;
		set(out, CHARSET_ICONV, little ? "UTF-16LE" : "UTF-16BE", little ? "UTF-16LE" : "UTF-16BE");
		return 2;
	}
	/* Delimiters, line ends and addresses are ASCII whatever the language, so one byte of many pairs is
	 * NUL. */
	size_t pairs = (s.n < 4096 ? s.n : 4096) / 2, even = 0, odd = 0;
	for (size_t i = 0; i < pairs; i++) {
		even += s.p[2 * i] == '\0';
		odd += s.p[2 * i + 1] == '\0';
	}
	if (pairs >= 4 && odd * 5 >= pairs && even * 50 <= pairs) {
		set(out, CHARSET_ICONV, "UTF-16LE", "UTF-16LE");
		return 0;
	}
	if (pairs >= 4 && even * 5 >= pairs && odd * 50 <= pairs) {
		set(out, CHARSET_ICONV, "UTF-16BE", "UTF-16BE");
		return 0;
	}
	return -1;
}

size_t charset_plain_prefix(struct str s)
{
	size_t i = 0;
	while (i + 8 <= s.n) {
		uint64_t w;
		memcpy(&w, s.p + i, 8);
		uint64_t x = w ^ UINT64_C(0x1b1b1b1b1b1b1b1b);
		if (((w | ((x - UINT64_C(0x0101010101010101)) & ~x)) & UINT64_C(0x8080808080808080)) != 0)
			break;
		i += 8;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80 && s.p[i] != 0x1b)
		i++;
	return i;
}

/* ---- Japanese or Western ---- */

struct tally {
	size_t errors, chars; /* impossible bytes; characters of two or more bytes */
	size_t kana, common;  /* frequent ones: kana, kanji of level 1 */
	size_t half;          /* half-width kana; in Shift_JIS only those beside other non-ASCII */
};

static bool is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static unsigned char at(struct str s, size_t i)
{
	return i < s.n ? (unsigned char)s.p[i] : 0;
}

static void count_sjis(struct tally *t, unsigned char lead, unsigned char trail, unsigned char before)
{
	t->chars++;
	if ((lead == 0x82 && trail >= 0x9f && trail <= 0xf1) || (lead == 0x83 && trail <= 0x96))
		t->kana++;
	else if (lead >= 0x88 && lead <= 0x98 &&
		 !(is_letter(before) && is_letter(trail))) /* "O'Brien" with CP1252's apostrophe */
		t->common++;
	else if (lead == 0x85 || lead == 0x86 || lead == 0xeb || lead == 0xec || lead == 0xef ||
		 (lead >= 0xf0 && lead <= 0xf9) || (lead == 0xfc && trail > 0x4b))
		t->errors++;
}

static struct tally scan_sjis(struct str s)
{
	struct tally t = {0};
	unsigned char before = 0; /* 0x80: a character of two bytes, whatever its second is */
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = at(s, i), trail = at(s, i + 1), last = before;
		before = c;
		if (c < 0x80)
			continue;
		if (c >= 0xa1 && c <= 0xdf) {
			t.half += trail >= 0x80 || last >= 0x80;
			continue;
		}
		if (i + 1 == s.n)
			break;
		if (c == 0x80 || c == 0xa0 || c >= 0xfd || trail < 0x40 || trail == 0x7f || trail > 0xfc) {
			t.errors++;
			continue;
		}
		count_sjis(&t, c, trail, last);
		before = 0x80;
		i++;
	}
	return t;
}

static struct tally scan_euc(struct str s)
{
	struct tally t = {0};
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = at(s, i);
		if (c < 0x80)
			continue;
		size_t more = c == 0x8f ? 2 : 1;
		if (i + more >= s.n)
			break;
		if ((c != 0x8e && c != 0x8f && c < 0xa1) || c == 0xff || at(s, i + 1) < 0xa1 ||
			at(s, i + more) < 0xa1 || (c >= 0xa9 && c <= 0xaf && c != 0xad) ||
			(c >= 0xf5 && c <= 0xf8)) {
			t.errors++;
			continue;
		}
		t.chars++;
		t.half += c == 0x8e;
		t.kana += c == 0xa4 || c == 0xa5;
		t.common += c >= 0xb0 && c <= 0xcf;
		i += more;
	}
	return t;
}

/* Single accented letters and typographic signs among ASCII. */
static size_t scan_western(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = at(s, i), before = i > 0 ? at(s, i - 1) : 0, after = at(s, i + 1);
		if (c < 0x80 || before >= 0x80 || after >= 0x80)
			continue;
		n += c >= 0xc0 ? is_letter(before) || is_letter(after)
			       : c < 0xa0 && is_letter(before) && is_letter(after);
	}
	return n;
}

/* Text that both could be. A row of half-width kana in Shift_JIS is anything in EUC-JP, seldom common kanji;
 * half-width kana in EUC-JP are kanji with one lead byte in Shift_JIS. */
static bool rather_euc(const struct tally *sjis, const struct tally *euc)
{
	if (sjis->chars == 0)
		return (euc->common + euc->kana) * 10 >= euc->chars * 9;
	return euc->errors == 0 && (euc->half < euc->chars || euc->chars >= 3);
}

static bool few(size_t errors, size_t chars)
{
	return errors * 50 <= chars;
}

/* Other charsets that uchardet may be believed about: the first group always, the second in long text only,
 * because a few letters of theirs look like Windows-1252. */
static bool by_uchardet(struct str s, size_t high, struct charset *out)
{
	static const char *const sure[] = {
		"GB18030", "BIG5", "EUC-KR", "UHC", "EUC-TW", "WINDOWS-1251", "KOI8-R", "ISO-8859-5"};
	static const char *const maybe[] = {
		"ISO-8859-2",
		"WINDOWS-1250",
		"ISO-8859-7",
		"WINDOWS-1253",
		"ISO-8859-9",
		"WINDOWS-1254",
		"WINDOWS-1255",
		"WINDOWS-1256",
	};
	bool found = false;
	uchardet_t u = uchardet_new();
	if (u == NULL)
		return false;
	uchardet_handle_data(u, s.p, s.n);
	uchardet_data_end(u);
	const char *name = uchardet_get_charset(u);
	for (size_t i = 0; i < sizeof sure / sizeof sure[0]; i++)
		found = found || strcasecmp(name, sure[i]) == 0;
	for (size_t i = 0; i < sizeof maybe / sizeof maybe[0]; i++)
		found = found || (high >= 300 && strcasecmp(name, maybe[i]) == 0);
	iconv_t cd = found ? iconv_open("UTF-8", name) : (iconv_t)-1;
	found = cd != (iconv_t)-1;
	if (found) {
		iconv_close(cd);
		set(out, CHARSET_ICONV, name, name);
	}
	uchardet_delete(u);
	return found;
}

static bool looks_utf8(struct str s, bool cut)
{
	size_t bad = utf8_check(s);
	return bad == s.n || (cut && s.n - bad < 4);
}

void charset_guess(struct str s, bool cut, struct charset *out)
{
	size_t high = 0;
	for (size_t i = 0; i < s.n; i++)
		high += (unsigned char)s.p[i] >= 0x80;
	if (high == 0 && memmem(s.p, s.n, "\x1b$", 2) != NULL) {
		set(out, CHARSET_JIS, "ISO-2022-JP", "EUC-JP-MS");
		return;
	}
	set(out, CHARSET_UTF8, "UTF-8", "UTF-8");
	if (looks_utf8(s, cut))
		return;
	/* Damage here and there in UTF-8 is likelier than another charset, though nearly all of UTF-8 can be
	 * read as Shift_JIS: those rows are refused one by one. */
	size_t bad = 0;
	for (size_t i = 0; i < s.n;)
		bad += utf8_next(s, &i) == 0xfffd;
	if (bad * 20 < high && high >= 20)
		return;
	struct tally sjis = scan_sjis(s), euc = scan_euc(s);
	size_t western = scan_western(s);
	bool may_euc = euc.chars > 0 && few(euc.errors, euc.chars);
	bool may_sjis =
		few(sjis.errors, sjis.chars + sjis.half) && sjis.kana + sjis.common + sjis.half > western;
	if (may_euc && euc.kana == 0 && euc.chars >= 2000 && by_uchardet(s, high, out))
		return;
	if (may_euc && (!may_sjis || rather_euc(&sjis, &euc))) {
		set(out, CHARSET_ICONV, "EUC-JP", "EUC-JP-MS");
		return;
	}
	if (may_sjis) {
		set(out, CHARSET_ICONV, "Shift_JIS", "CP932");
		return;
	}
	if (!by_uchardet(s, high, out))
		set(out, CHARSET_ICONV, "Windows-1252", "CP1252");
}

/* ---- Decoding ---- */

int decoder_init(struct decoder *d, const struct charset *c, struct err *e)
{
	*d = (struct decoder){.charset = *c, .cd = (iconv_t)-1};
	if (c->kind == CHARSET_UTF8)
		return 0;
	d->cd = iconv_open("UTF-8", c->iconv);
	return d->cd != (iconv_t)-1
		       ? 0
		       : err_set(e, ERR_USAGE, "--encoding", "%s cannot be converted here", c->name);
}

void decoder_release(struct decoder *d)
{
	if (d->cd != (iconv_t)-1 && d->charset.kind != CHARSET_UTF8)
		iconv_close(d->cd);
	d->cd = (iconv_t)-1;
}

static int no_room(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "decoding", "out of memory");
}

/* Converts; what is left unread at the end is the beginning of a character. */
static int convert(struct decoder *d, char **in, size_t *left, struct buf *out, struct err *e)
{
	while (*left > 0) {
		if (!buf_reserve(out, *left + 64))
			return no_room(e);
		char *to = out->p + out->len;
		size_t room = out->cap - out->len - 1;
		size_t rc = iconv(d->cd, in, left, &to, &room);
		out->len = (size_t)(to - out->p);
		out->p[out->len] = '\0';
		if (rc != (size_t)-1)
			continue;
		if (errno == EINVAL)
			return 0;
		if (errno == EILSEQ) {
			size_t skip = strncmp(d->charset.iconv, "UTF-16", 6) == 0 && *left >= 2 ? 2 : 1;
			*in += skip;
			*left -= skip;
			buf_putc(out, CHARSET_BAD);
		} else if (errno == E2BIG && !buf_reserve(out, out->cap - out->len + *left * 3)) {
			return no_room(e);
		}
	}
	return 0;
}

static int feed_iconv(struct decoder *d, struct str in, bool last, struct buf *out, struct err *e)
{
	char *p = (char *)in.p;
	size_t left = in.n;
	/* The carried character is finished byte by byte, so that nothing large is copied for its sake. */
	while (d->ncarry > 0 && left > 0 && d->ncarry < sizeof d->carry) {
		d->carry[d->ncarry++] = *p++;
		left--;
		char *c = d->carry;
		size_t n = d->ncarry;
		if (convert(d, &c, &n, out, e) != 0)
			return -1;
		memmove(d->carry, c, n);
		d->ncarry = n;
	}
	if (convert(d, &p, &left, out, e) != 0)
		return -1;
	if (left > 0 && left < sizeof d->carry) {
		memcpy(d->carry + d->ncarry, p, left);
		d->ncarry += left;
	}
	if (last && d->ncarry > 0) {
		buf_putc(out, CHARSET_BAD);
		d->ncarry = 0;
	}
	return out->failed ? no_room(e) : 0;
}

enum { JIS_ASCII, JIS_DOUBLE, JIS_KATAKANA };

/* The state an escape sequence (without its ESC) leads to; -1: none of ours; -2: it goes on. */
static int jis_escape(struct str seq)
{
	static const struct {
		const char *seq;
		int state;
	} escapes[] = {
		{"(B", JIS_ASCII},
		{"(J", JIS_ASCII},
		{"$@", JIS_DOUBLE},
		{"$B", JIS_DOUBLE},
		{"$(@", JIS_DOUBLE},
		{"$(B", JIS_DOUBLE},
		{"(I", JIS_KATAKANA},
	};
	int found = -1;
	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
		if (str_is(seq, escapes[i].seq))
			return escapes[i].state;
		if (str_starts(str_from(escapes[i].seq), seq))
			found = -2;
	}
	return found;
}

/* One byte of ISO-2022-JP as EUC-JP at `to`; returns how many were written (at most 2). */
static size_t jis_byte(struct decoder *d, char c, char *to)
{
	if (d->escape) {
		d->seq[d->nseq++] = c;
		int state = jis_escape(str_n(d->seq, d->nseq));
		if (state == -2)
			return 0;
		d->escape = false;
		if (state >= 0)
			d->jis = state;
		else
			*to = CHARSET_BAD;
		return state < 0;
	}
	if (c == 0x1b) {
		d->escape = true;
		d->nseq = 0;
		return 0;
	}
	if (c == '\n' || c == '\r')
		d->jis = JIS_ASCII;
	if (d->jis == JIS_ASCII || (unsigned char)c <= 0x20) {
		*to = c;
		return 1;
	}
	size_t n = 0;
	if (d->jis == JIS_KATAKANA)
		to[n++] = '\x8e';
	to[n++] = (char)(c | 0x80);
	return n;
}

/* By way of EUC-JP, whose converter knows the vendors' characters that iconv's ISO-2022-JP does not. */
static int feed_jis(struct decoder *d, struct str in, bool last, struct buf *out, struct err *e)
{
	char block[4096];
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		n += jis_byte(d, in.p[i], block + n);
		if (n + 2 > sizeof block) {
			if (feed_iconv(d, str_n(block, n), false, out, e) != 0)
				return -1;
			n = 0;
		}
	}
	return feed_iconv(d, str_n(block, n), last, out, e);
}

int decoder_feed(struct decoder *d, struct str in, bool last, struct buf *out, struct err *e)
{
	if (d->charset.kind == CHARSET_JIS)
		return feed_jis(d, in, last, out, e);
	if (d->charset.kind == CHARSET_ICONV)
		return feed_iconv(d, in, last, out, e);
	buf_str(out, in);
	return out->failed ? no_room(e) : 0;
}
