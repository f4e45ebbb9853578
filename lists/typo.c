#include "lists/typo.h"

#include "lists/provider.h"

#include <stdbool.h>

/* Only names of which a slip is more likely than a neighbour of the same look: short ones are left out. */
static const char *const known[] = {"gmail.com", "googlemail.com", "hotmail.com", "hotmail.co.uk",
	"hotmail.fr", "hotmail.de", "hotmail.it", "hotmail.es", "hotmail.co.jp", "outlook.com", "outlook.jp",
	"outlook.fr", "outlook.de", "windowslive.com", "yahoo.com", "yahoo.co.jp", "yahoo.co.uk", "yahoo.fr",
	"yahoo.de", "yahoo.es", "yahoo.it", "yahoo.ca", "yahoo.co.in", "yahoo.com.br", "ymail.com",
	"icloud.com", "protonmail.com", "comcast.net", "verizon.net", "sbcglobal.net", "bellsouth.net",
	"docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "i.softbank.jp", "ymobile.ne.jp", "t-online.de",
	"freenet.de", "orange.fr", "wanadoo.fr", "laposte.net", "libero.it", "yandex.ru", "naver.com"};
/* One edit away from one of them, and somebody's own. */
static const char *const real[] = {"email.com", "gail.com", "hotmail.co", "outlook.co", "range.fr",
	"yandex.ru", "yahoo.co.id", "yahoo.co.in", "yahoo.co.kr"};

/* Exactly one character more, less, other, or two neighbours swapped. */
static bool one_edit(struct str a, struct str b)
{
	size_t i = 0, end = 0;
	struct str shorter = a.n < b.n ? a : b, longer = a.n < b.n ? b : a;
	if (longer.n - shorter.n > 1)
		return false;
	while (i < shorter.n && shorter.p[i] == longer.p[i])
		i++;
	while (end < shorter.n - i && shorter.p[shorter.n - 1 - end] == longer.p[longer.n - 1 - end])
		end++;
	size_t left = shorter.n - i - end;
	if (longer.n != shorter.n)
		return left == 0;
	return left == 1 || (left == 2 && a.p[i] == b.p[i + 1] && a.p[i + 1] == b.p[i]);
}

const char *typo_of_domain(struct str domain)
{
	if (domain.n < 7 || provider_of_domain(domain)[0] != '\0')
		return NULL;
	for (size_t i = 0; i < sizeof real / sizeof *real; i++)
		if (str_is(domain, real[i]))
			return NULL;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (one_edit(domain, str_from(known[i])))
			return known[i];
	return NULL;
}
