#include "templates/lint_private.h"

#include "src/base/utf8.h"

#include <ctype.h>

static void subject_words(struct linter *l, const struct lint_header *h, struct str s)
{
	const struct str place = STR("Subject");
	size_t upper = 0, lower = 0, marks = 0, chars = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		upper += isupper(c) != 0;
		lower += islower(c) != 0;
		marks += c == '!' || c == '?' || c == '$';
		chars += (c & 0xc0) != 0x80;
	}
	if ((upper >= 12 && lower * 4 < upper) || marks > 3)
		lint_add(l, L_SUBJECT_SHOUTS, place, h->name.p, "it shouts: \"%s\"", lint_show(l, s));
	if (chars > 150)
		lint_add(l, L_SUBJECT_LONG, place, h->name.p, "it has %zu characters", chars);
	static const char *const fakes[] = {"re:", "fwd:", "fw:", "aw:", "wg:"};
	for (size_t i = 0; i < sizeof fakes / sizeof fakes[0]; i++)
		if (s.n >= strlen(fakes[i]) && strncasecmp(s.p, fakes[i], strlen(fakes[i])) == 0)
			lint_add(l, L_SUBJECT_REPLY, place, h->name.p, "it claims to be a reply: \"%s\"",
				lint_show(l, s));
	struct str left = lint_left_over(s);
	if (left.n != 0)
		lint_add(l, L_LIQUID_LEFT, place, h->name.p, "template code is left in it: \"%s\"",
			lint_show(l, left));
	struct str gap = lint_subject_gap(s);
	if (gap.n != 0)
		lint_add(l, L_SUBJECT_GAP, place, h->name.p, "a value seems to be missing: \"%s\"",
			lint_show(l, s));
}

static bool only_blanks(struct str s)
{
	for (size_t at = 0; at < s.n;) {
		uint32_t c = utf8_next(s, &at);
		if (c > ' ' && c != 0xa0 && c != 0x3000 && (c < 0x2000 || c > 0x200f) && c != 0xfeff &&
			c != 0x2060)
			return false;
	}
	return true;
}

void lint_subject(struct linter *l, const struct lint_header *h)
{
	struct str s;
	if (h == NULL) {
		lint_add(l, L_SUBJECT_MISSING, STR("Subject"), NULL, "there is no Subject");
		return;
	}
	lint_words(l, h, WORDS_TEXT, &s);
	s = str_trim(s);
	if (s.n == 0)
		lint_add(l, L_SUBJECT_EMPTY, STR("Subject"), h->name.p, "the subject is empty");
	else if (only_blanks(s))
		lint_add(l, L_SUBJECT_EMPTY, STR("Subject"), h->name.p, "the subject is nothing but blanks");
	else
		subject_words(l, h, s);
}
