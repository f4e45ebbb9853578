#include "lists/provider.h"

#include "lists/address.h"

#include <stdlib.h>

/* Consumer domains by operator. The carriers' own also cover the domains below them (a.t.vodafone.ne.jp,
 * biz.ezweb.ne.jp). In byte order, for bsearch; a test checks that. */
static const struct provider {
	const char *domain, *operator;
	bool carrier;
} providers[] = {
	{"126.com", "163", false},
	{"163.com", "163", false},
	{"aim.com", "yahoo", false},
	{"aol.co.uk", "yahoo", false},
	{"aol.com", "yahoo", false},
	{"aol.de", "yahoo", false},
	{"aol.fr", "yahoo", false},
	{"att.net", "yahoo", false},
	{"au.com", "au", true},
	{"bellsouth.net", "yahoo", false},
	{"bk.ru", "mailru", false},
	{"comcast.net", "comcast", false},
	{"disney.ne.jp", "softbank", true},
	{"disneymobile.ne.jp", "softbank", true},
	{"docomo.ne.jp", "docomo", true},
	{"emnet.ne.jp", "softbank", true},
	{"ezweb.ne.jp", "au", true},
	{"foxmail.com", "qq", false},
	{"gmail.com", "google", false},
	{"gmx.at", "gmx", false},
	{"gmx.ch", "gmx", false},
	{"gmx.com", "gmx", false},
	{"gmx.de", "gmx", false},
	{"gmx.net", "gmx", false},
	{"googlemail.com", "google", false},
	{"hotmail.be", "microsoft", false},
	{"hotmail.ca", "microsoft", false},
	{"hotmail.co.jp", "microsoft", false},
	{"hotmail.co.uk", "microsoft", false},
	{"hotmail.com", "microsoft", false},
	{"hotmail.com.ar", "microsoft", false},
	{"hotmail.com.br", "microsoft", false},
	{"hotmail.de", "microsoft", false},
	{"hotmail.es", "microsoft", false},
	{"hotmail.fr", "microsoft", false},
	{"hotmail.it", "microsoft", false},
	{"hotmail.nl", "microsoft", false},
	{"hotmail.se", "microsoft", false},
	{"i.softbank.jp", "softbank", true},
	{"icloud.com", "apple", false},
	{"inbox.ru", "mailru", false},
	{"jcom.home.ne.jp", "jcom", false},
	{"jcom.zaq.ne.jp", "jcom", false},
	{"jp-c.ne.jp", "softbank", true},
	{"jp-d.ne.jp", "softbank", true},
	{"jp-h.ne.jp", "softbank", true},
	{"jp-k.ne.jp", "softbank", true},
	{"jp-n.ne.jp", "softbank", true},
	{"jp-q.ne.jp", "softbank", true},
	{"jp-r.ne.jp", "softbank", true},
	{"jp-s.ne.jp", "softbank", true},
	{"jp-t.ne.jp", "softbank", true},
	{"list.ru", "mailru", false},
	{"live.be", "microsoft", false},
	{"live.ca", "microsoft", false},
	{"live.cn", "microsoft", false},
	{"live.co.uk", "microsoft", false},
	{"live.com", "microsoft", false},
	{"live.com.au", "microsoft", false},
	{"live.com.mx", "microsoft", false},
	{"live.de", "microsoft", false},
	{"live.dk", "microsoft", false},
	{"live.fr", "microsoft", false},
	{"live.it", "microsoft", false},
	{"live.jp", "microsoft", false},
	{"live.nl", "microsoft", false},
	{"live.no", "microsoft", false},
	{"live.se", "microsoft", false},
	{"mac.com", "apple", false},
	{"mail.ru", "mailru", false},
	{"me.com", "apple", false},
	{"msn.com", "microsoft", false},
	{"orange.fr", "orange", false},
	{"outlook.at", "microsoft", false},
	{"outlook.be", "microsoft", false},
	{"outlook.com", "microsoft", false},
	{"outlook.com.au", "microsoft", false},
	{"outlook.com.br", "microsoft", false},
	{"outlook.de", "microsoft", false},
	{"outlook.dk", "microsoft", false},
	{"outlook.es", "microsoft", false},
	{"outlook.fr", "microsoft", false},
	{"outlook.ie", "microsoft", false},
	{"outlook.in", "microsoft", false},
	{"outlook.it", "microsoft", false},
	{"outlook.jp", "microsoft", false},
	{"outlook.kr", "microsoft", false},
	{"outlook.pt", "microsoft", false},
	{"outlook.sa", "microsoft", false},
	{"pacbell.net", "yahoo", false},
	{"passport.com", "microsoft", false},
	{"pdx.ne.jp", "softbank", true},
	{"pm.me", "proton", false},
	{"proton.me", "proton", false},
	{"protonmail.com", "proton", false},
	{"qq.com", "qq", false},
	{"rakuten.jp", "rakuten", false},
	{"rocketmail.com", "yahoo", false},
	{"sbcglobal.net", "yahoo", false},
	{"softbank.ne.jp", "softbank", true},
	{"verizon.net", "yahoo", false},
	{"vodafone.ne.jp", "softbank", true},
	{"vtext.com", "verizon", false},
	{"wanadoo.fr", "orange", false},
	{"wcm.ne.jp", "softbank", true},
	{"web.de", "gmx", false},
	{"willcom.com", "softbank", true},
	{"windowslive.com", "microsoft", false},
	{"y-mobile.ne.jp", "softbank", true},
	{"ya.ru", "yandex", false},
	{"yahoo.at", "yahoo", false},
	{"yahoo.be", "yahoo", false},
	{"yahoo.ca", "yahoo", false},
	{"yahoo.ch", "yahoo", false},
	{"yahoo.co.id", "yahoo", false},
	{"yahoo.co.in", "yahoo", false},
	{"yahoo.co.jp", "yahoo-jp", false},
	{"yahoo.co.nz", "yahoo", false},
	{"yahoo.co.th", "yahoo", false},
	{"yahoo.co.uk", "yahoo", false},
	{"yahoo.com", "yahoo", false},
	{"yahoo.com.ar", "yahoo", false},
	{"yahoo.com.au", "yahoo", false},
	{"yahoo.com.br", "yahoo", false},
	{"yahoo.com.co", "yahoo", false},
	{"yahoo.com.hk", "yahoo", false},
	{"yahoo.com.mx", "yahoo", false},
	{"yahoo.com.my", "yahoo", false},
	{"yahoo.com.ph", "yahoo", false},
	{"yahoo.com.sg", "yahoo", false},
	{"yahoo.com.tr", "yahoo", false},
	{"yahoo.com.tw", "yahoo", false},
	{"yahoo.com.vn", "yahoo", false},
	{"yahoo.de", "yahoo", false},
	{"yahoo.dk", "yahoo", false},
	{"yahoo.es", "yahoo", false},
	{"yahoo.fr", "yahoo", false},
	{"yahoo.gr", "yahoo", false},
	{"yahoo.ie", "yahoo", false},
	{"yahoo.in", "yahoo", false},
	{"yahoo.it", "yahoo", false},
	{"yahoo.nl", "yahoo", false},
	{"yahoo.no", "yahoo", false},
	{"yahoo.pl", "yahoo", false},
	{"yahoo.ro", "yahoo", false},
	{"yahoo.se", "yahoo", false},
	{"yandex.com", "yandex", false},
	{"yandex.ru", "yandex", false},
	{"ybb.ne.jp", "yahoo-jp", false},
	{"yeah.net", "163", false},
	{"ymail.com", "yahoo", false},
	{"ymobile.ne.jp", "softbank", true},
	{"ymobile1.ne.jp", "softbank", true},
};

#define NPROVIDERS (sizeof providers / sizeof providers[0])

static int compare(const void *key, const void *row)
{
	const struct str *d = key;
	const char *domain = ((const struct provider *)row)->domain;
	size_t n = strlen(domain);
	int c = memcmp(d->p, domain, d->n < n ? d->n : n);
	return c != 0 ? c : (d->n > n) - (d->n < n);
}

static const struct provider *find(struct str d)
{
	return d.n != 0 ? bsearch(&d, providers, NPROVIDERS, sizeof providers[0], compare) : NULL;
}

static const struct provider *find_carrier(struct str d)
{
	static const struct str japan = {".jp", 3}, com = {".com", 4};
	if (!str_ends(d, japan) && !str_ends(d, com))
		return NULL;
	for (;;) {
		const struct provider *p = find(d);
		if (p != NULL && p->carrier)
			return p;
		size_t dot = str_find(d, '.');
		if (dot == d.n)
			return NULL;
		d = str_n(d.p + dot + 1, d.n - dot - 1);
	}
}

/* Names at or below which all MX hosts of an operator lie. Sources: Google's and Microsoft's own setup pages
 * for custom domains, KumoMTA's shipped and community shaping files (2026), and the operators' MX records. */
static const struct host {
	const char *suffix, *operator;
} hosts_of[] = {
	{".google.com", "google"},
	{".googlemail.com", "google"},
	{".olc.protection.outlook.com", "microsoft"},
	{".mail.protection.outlook.com", "m365"},
	{".mx.microsoft", "m365"},
	{".yahoodns.net", "yahoo"},
	{".icloud.com", "apple"},
	{".yahoo.co.jp", "yahoo-jp"},
	{".docomo.ne.jp", "docomo"},
	{".au.com", "au"},
	{".ezweb.ne.jp", "au"},
	{".softbank.ne.jp", "softbank"},
	{".softbank.jp", "softbank"},
	{".comcast.net", "comcast"},
	{".orange.fr", "orange"},
	{".gmx.net", "gmx"},
	{".web.de", "gmx"},
	{".qq.com", "qq"},
	{".netease.com", "163"},
	{".mimecast.com", "mimecast"},
	{".messagelabs.com", "messagelabs"},
	{".auone-net.jp", "au"},
	{".barracudanetworks.com", "barracuda"},
	{".mail.ru", "mailru"},
	{".yandex.ru", "yandex"},
	{".yandex.net", "yandex"},
	{".protonmail.ch", "proton"},
};

#define NHOSTS (sizeof hosts_of / sizeof hosts_of[0])

const char *provider_of_domain(struct str domain)
{
	const struct provider *p = find(domain);
	if (p == NULL)
		p = find_carrier(domain);
	return p != NULL ? p->operator: "";
}

bool address_is_carrier(struct str domain)
{
	return find_carrier(domain) != NULL;
}

bool provider_below(struct str host, struct str suffix)
{
	if (suffix.n > 0 && suffix.p[0] == '.')
		suffix = str_n(suffix.p + 1, suffix.n - 1);
	if (suffix.n == 0 || !str_ends(host, suffix))
		return false;
	return host.n == suffix.n || host.p[host.n - suffix.n - 1] == '.';
}

static const char *of_host(struct str host)
{
	for (size_t i = 0; i < NHOSTS; i++)
		if (provider_below(host, str_from(hosts_of[i].suffix)))
			return hosts_of[i].operator;
	return "";
}

const char *provider_of_mx(const char *const *hosts, size_t n)
{
	const char *all = n > 0 ? of_host(str_from(hosts[0])) : "";
	for (size_t i = 1; i < n && all[0] != '\0'; i++)
		if (strcmp(of_host(str_from(hosts[i])), all) != 0)
			return "";
	return all;
}

static const char *operator_at(size_t i)
{
	return i < NPROVIDERS ? providers[i].operator: hosts_of[i - NPROVIDERS].operator;
}

const char *provider_name(size_t n)
{
	for (size_t i = 0; i < NPROVIDERS + NHOSTS; i++) {
		size_t first = 0;
		while (strcmp(operator_at(first), operator_at(i)) != 0)
			first++;
		if (first == i && n-- == 0)
			return operator_at(i);
	}
	return NULL;
}
