#include "lists/column.h"

#include "src/base/utf8.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

static struct str trim_wide(struct str s)
{
	for (;;) {
		struct str t = str_trim(s);
		if (str_starts(t, STR("\xe3\x80\x80")) || str_starts(t, STR("\xef\xbb\xbf")))
			t = str_n(t.p + 3, t.n - 3);
		if (str_ends(t, STR("\xe3\x80\x80")))
			t.n -= 3;
		if (t.n == s.n)
			return t;
		s = t;
	}
}

struct str column_attr(struct str header, struct arena *a)
{
	struct str s = trim_wide(header);
	if (!utf8_ascii(s))
		return arena_str(a, s);
	char *p = arena_bytes(a, s.n + 1);
	if (p == NULL)
		return str_n(NULL, 0);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (is_alnum(s.p[i]))
			p[n++] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
		else if (n > 0 && p[n - 1] != '_')
			p[n++] = '_';
	}
	while (n > 0 && p[n - 1] == '_')
		n--;
	p[n] = '\0';
	return str_n(p, n);
}

/* Compared without case, blanks, hyphens, underscores and dots; surest first. */
static const char *const email_names[] = {
	"email",
	"emailaddress",
	"mailaddress",
	"mail",
	"メールアドレス",
	"ｅメール",
	"eメール",
	"eメールアドレス",
	"電子メール",
	"電子メールアドレス",
	"メール",
	"pcメール",
	"pcメールアドレス",
	"携帯メール",
	"携帯メールアドレス",
	"emailaddr",
	"email1",
	"email1value",
	"subscriberemail",
	"recipientemail",
	"useremail",
	"contactemail",
	"primaryemail",
	"correo",
	"correoelectronico",
	"correoelectrónico",
	"courriel",
	"adresseemail",
	"adressemail",
	"emailadresse",
	"mailadresse",
	"epost",
	"emailaddress1",
	"アドレス",
	"address",
	"recipient",
};

int column_email_rank(struct str header)
{
	struct str s = trim_wide(header);
	char folded[64];
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ' ' || s.p[i] == '-' || s.p[i] == '_' || s.p[i] == '.')
			continue;
		if (n == sizeof folded)
			return 0;
		folded[n++] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
	}
	int count = (int)(sizeof email_names / sizeof email_names[0]);
	for (int i = 0; i < count; i++)
		if (str_is(str_n(folded, n), email_names[i]))
			return count - i;
	return 0;
}

bool column_is_own(struct str header)
{
	struct str s = trim_wide(header);
	return s.n > 3 && str_is_nocase(str_n(s.p, 3), "pr_");
}
