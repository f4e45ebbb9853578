/* What the message says: greetings without a name, template code left over, text and HTML that differ. */
#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>
#include <stdlib.h>

enum { GREETING_BYTES = 4096, WORDS_MAX = 20000, WORDS_FEW = 12 };

/* ---- Greetings ---- */

static const struct {
	const char *words;
	bool needs_name; /* never stands alone before a comma */
} greetings[] = {
	{"dear", true},
	{"hi", false},
	{"hello", false},
	{"hey", false},
	{"good morning", false},
	{"hallo", false},
	{"liebe", true},
	{"lieber", true},
	{"sehr geehrte", true},
	{"sehr geehrter", true},
	{"guten tag", false},
	{"bonjour", false},
	{"cher", true},
	{"ch\xc3\xa8re", true},
	{"hola", false},
	{"estimado", true},
	{"estimada", true},
	{"querido", true},
	{"querida", true},
	{"ciao", false},
	{"gentile", true},
	{"buongiorno", false},
};

static struct str skip_blanks(struct str s)
{
	for (;;) {
		if (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
			s = str_n(s.p + 1, s.n - 1);
		else if (str_starts(s, STR("\xc2\xa0")))
			s = str_n(s.p + 2, s.n - 2);
		else if (str_starts(s, STR("\xe3\x80\x80")))
			s = str_n(s.p + 3, s.n - 3);
		else
			return s;
	}
}

static bool comma(struct str s)
{
	return str_starts(s, STR(",")) || str_starts(s, STR("、")) || str_starts(s, STR("，"));
}

/* A value that was printed though it was none. */
static bool no_name(struct str s)
{
	static const char *const nothing[] = {
		"null", "none", "undefined", "nil", "nan", "n/a", "[object object]"};
	for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
		size_t n = strlen(nothing[i]);
		if (s.n > n && strncasecmp(s.p, nothing[i], n) == 0 &&
			(comma(str_n(s.p + n, s.n - n)) || s.p[n] == '!' || s.p[n] == ':'))
			return true;
	}
	return false;
}

static bool nameless(struct str line)
{
	for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++) {
		size_t n = strlen(greetings[i].words);
		if (line.n <= n || strncasecmp(line.p, greetings[i].words, n) != 0)
			continue;
		struct str rest = str_n(line.p + n, line.n - n), after = skip_blanks(rest);
		if ((comma(after) && (after.n < rest.n || greetings[i].needs_name)) ||
			(after.n < rest.n && no_name(after)))
			return true;
	}
	static const char *const suffixes[] = {"様", "さま", "さん", "殿"};
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		size_t n = strlen(suffixes[i]);
		struct str rest = str_n(line.p + n, line.n >= n ? line.n - n : 0);
		if (line.n >= n && memcmp(line.p, suffixes[i], n) == 0 &&
			(skip_blanks(rest).n == 0 || comma(rest)))
			return true;
	}
	return false;
}

struct str lint_greeting(struct str text)
{
	if (text.n > GREETING_BYTES)
		text.n = GREETING_BYTES;
	for (size_t at = 0; at < text.n;) {
		size_t n = str_find(str_n(text.p + at, text.n - at), '\n');
		struct str line = skip_blanks(str_trim(str_n(text.p + at, n)));
		if (nameless(line))
			return line;
		at += n + 1;
	}
	return str_n(NULL, 0);
}

struct str lint_subject_gap(struct str s)
{
	s = skip_blanks(str_trim(s));
	bool begins = comma(s) || (s.n != 0 && strchr(";:!?", s.p[0]) != NULL && s.p[0] != '\0');
	bool inside = s.n != 0 && memmem(s.p, s.n, " ,", 2) != NULL;
	return begins || inside || nameless(s) ? s : str_n(NULL, 0);
}

/* ---- Comparing text and HTML by their words ---- */

struct bag {
	uint64_t *v;
	size_t n;
};

static bool ideograph(uint32_t c)
{
	return (c >= 0x3041 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7af) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff) || (c >= 0xff66 && c <= 0xff9d);
}

static bool letter(uint32_t c)
{
	return c < 0x80 ? isalnum((int)c) != 0
			: c >= 0xc0 && (c < 0x2000 || c > 0x206f) && (c < 0x3000 || c > 0x3020) &&
				  (c < 0xff00 || c > 0xff20) && c != 0xfffd && c != 0x034f && c != 0xfeff &&
				  (c < 0x2190 || c > 0x2bff);
}

static void bag_add(struct bag *b, uint64_t h, size_t chars, bool digits)
{
	if (b->n < WORDS_MAX && chars > 0 && !(digits && chars < 3))
		b->v[b->n++] = h;
}

/* Where an address begins: the notes of a text part are not in the HTML's text. Returns its length. */
static size_t address_at(struct str s, size_t i)
{
	static const char *const schemes[] = {"http://", "https://", "mailto:", "www."};
	for (size_t k = 0; k < sizeof schemes / sizeof schemes[0]; k++) {
		size_t n = strlen(schemes[k]);
		if (s.n - i < n || strncasecmp(s.p + i, schemes[k], n) != 0)
			continue;
		while (i + n < s.n && (unsigned char)s.p[i + n] > ' ')
			n++;
		return n;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool bag_fill(struct linter *l, struct bag *b, struct str s)
{
	const uint64_t seed = 0xcbf29ce484222325;
	uint64_t h = seed;
	size_t chars = 0, unique = 0;
	bool digits = true;
	b->v = arena_alloc(l->a, WORDS_MAX * sizeof *b->v);
	if (b->v == NULL)
		return false;
	for (size_t at = 0; at < s.n;) {
		size_t skip = chars == 0 ? address_at(s, at) : 0;
		if (skip != 0) {
			at += skip;
			continue;
		}
		uint32_t c = utf8_next(s, &at);
		bool alone = ideograph(c);
		if (!letter(c) || alone) {
			bag_add(b, h, chars, digits);
			h = seed;
			chars = 0;
			digits = true;
		}
		if (!letter(c))
			continue;
		h = (h ^ (c < 0x80 ? (uint32_t)tolower((int)c) : c)) * 0x100000001b3;
		digits = digits && c < 0x80 && isdigit((int)c);
		chars++;
	}
	bag_add(b, h, chars, digits);
	qsort(b->v, b->n, sizeof *b->v, by_value);
	for (size_t i = 0; i < b->n; i++)
		if (unique == 0 || b->v[unique - 1] != b->v[i])
			b->v[unique++] = b->v[i];
	b->n = unique;
	return true;
}

static size_t shared(const struct bag *a, const struct bag *b)
{
	size_t n = 0;
	for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
		n += a->v[i] == b->v[j];
		if (a->v[i] < b->v[j])
			i++;
		else if (a->v[i] > b->v[j])
			j++;
		else
			i++, j++;
	}
	return n;
}

static void compare(struct linter *l, struct str visible)
{
	struct bag text = {0}, html = {0};
	if (str_trim(l->text).n == 0 && str_trim(visible).n != 0) {
		lint_add(l, L_TEXT_EMPTY, STR("text/plain"), NULL, "the text part is empty");
		return;
	}
	if (!bag_fill(l, &text, l->text) || !bag_fill(l, &html, visible) ||
		(text.n < WORDS_FEW && html.n < WORDS_FEW))
		return;
	size_t same = shared(&text, &html);
	if (4 * same < text.n + html.n)
		lint_add(l, L_TEXT_DIFFERS, STR("text/plain"), NULL,
			"of the words in text (%zu) and HTML (%zu) only %zu are the same", text.n, html.n,
			same);
}

/* ---- Both ---- */

static long line_of(struct str s, const char *at)
{
	long line = 1;
	for (const char *p = s.p; p < at; p++)
		line += *p == '\n';
	return line;
}

/* A name in upper case, as *|FNAME|*, %FIRST_NAME%; four letters that are not all hexadecimal, as a link may
 * hold %C3%A4. */
static bool shouted_name(struct str s)
{
	size_t letters = 0, beyond_f = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!isupper((unsigned char)c) && !isdigit((unsigned char)c) && c != '_' && c != ':')
			return false;
		letters += isupper((unsigned char)c) != 0;
		beyond_f += c > 'F' && c <= 'Z';
	}
	return letters > 3 && beyond_f > 0;
}

/* How many bytes of a placeholder of another service stand at the beginning of s; 0: none does. */
static size_t foreign_placeholder(struct str s)
{
	static const struct {
		const char *opens, *closes;
		bool shouted; /* in other letters it may be anything */
	} forms[] = {{"*|", "|*", false}, {"|", "|", true}, {"%%", "%%", false}, {"[[", "]]", false},
		{"%", "%", true}, {"{$", "}", false}, {"##", "##", false}, {"<%=", "%>", false}};
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		size_t o = strlen(forms[i].opens), c = strlen(forms[i].closes), n = o;
		if (!str_starts(s, str_from(forms[i].opens)))
			continue;
		while (n < s.n && n < 60 &&
			(isalnum((unsigned char)s.p[n]) || strchr("_.: ", s.p[n]) != NULL) && s.p[n] != '\0')
			n++;
		struct str name = str_n(s.p + o, n - o);
		if (forms[i].opens[0] == '<')
			name = str_trim(name);
		if (name.n > 0 && isalpha((unsigned char)name.p[0]) && n + c <= s.n &&
			memcmp(s.p + n, forms[i].closes, c) == 0 && (!forms[i].shouted || shouted_name(name)))
			return n + c;
	}
	return 0;
}

struct str lint_left_over(struct str s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		if (s.p[i] == '\0' || strchr("{*|%[#<", s.p[i]) == NULL)
			continue;
		if (s.p[i] == '{' && (s.p[i + 1] == '{' || s.p[i + 1] == '%'))
			return str_n(s.p + i, s.n - i < 40 ? s.n - i : 40);
		size_t n = foreign_placeholder(str_n(s.p + i, s.n - i));
		if (n > 0)
			return str_n(s.p + i, n);
	}
	return str_n(NULL, 0);
}

static void read_text(struct linter *l, struct str s, struct str place)
{
	struct str left = lint_left_over(s);
	if (left.n != 0)
		lint_add_decoded(l, L_LIQUID_LEFT, place, line_of(s, left.p),
			"template code is left in it: \"%s\"", lint_show(l, left));
	struct str g = lint_greeting(s);
	if (g.n != 0)
		lint_add_decoded(l, L_GREETING, place, line_of(s, g.p), "the greeting has no name: \"%s\"",
			lint_show(l, g));
}

void lint_texts(struct linter *l, struct str visible, bool told)
{
	if (l->text.p != NULL)
		read_text(l, l->text, STR("text/plain"));
	if (visible.p != NULL && l->text.p == NULL)
		read_text(l, visible, STR("text/html"));
	if (l->text.p != NULL && visible.p != NULL)
		compare(l, visible);
	bool said = lint_has_unsubscribe_word(l->text) ||
		    (l->unsubscribe.n != 0 && l->text.n != 0 &&
			    memmem(l->text.p, l->text.n, l->unsubscribe.p, l->unsubscribe.n) != NULL);
	if (!told && l->text.p != NULL && !said)
		lint_add(l, L_UNSUB_LINK, STR("text/plain"), NULL, "nothing in it says how to unsubscribe");
}
