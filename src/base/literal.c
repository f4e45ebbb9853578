#include "src/base/literal.h"

#include <arpa/inet.h>

int literal_read(struct str s, unsigned char ip[16])
{
	static const char tag[] = "[IPv6:";
	char text[INET6_ADDRSTRLEN];
	size_t skip = s.n > sizeof tag && strncasecmp(s.p, tag, sizeof tag - 1) == 0 ? sizeof tag - 1 : 1;
	int family = skip == 1 ? AF_INET : AF_INET6;
	if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']' || s.n - skip - 1 >= sizeof text)
		return 0;
	struct str inner = str_n(s.p + skip, s.n - skip - 1);
	memcpy(text, inner.p, inner.n);
	text[inner.n] = '\0';
	return strlen(text) == inner.n && inet_pton(family, text, ip) == 1 ? family : 0;
}

bool is_literal(struct str s)
{
	unsigned char ip[16];
	return literal_read(s, ip) != 0;
}

bool literal_place(struct str s, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	char text[INET6_ADDRSTRLEN];
	long long port;
	size_t n = s.n;
	while (n > 0 && s.p[n - 1] != ':')
		n--;
	if (n < 2 || !str_int(str_n(s.p + n, s.n - n), 1, 65535, &port))
		return false;
	struct str host = str_n(s.p, n - 1);
	bool brackets = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (brackets)
		host = str_n(host.p + 1, host.n - 2);
	else if (str_is(host, "*"))
		host = STR("0.0.0.0");
	if (host.n >= sizeof text)
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	memset(out, 0, sizeof *out);
	out->ss_family = brackets ? AF_INET6 : AF_INET;
	if (brackets)
		v6->sin6_port = htons((uint16_t)port);
	else
		v4->sin_port = htons((uint16_t)port);
	return inet_pton(out->ss_family, text, brackets ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr) ==
	       1;
}

socklen_t literal_place_size(const struct sockaddr_storage *place)
{
	return place->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}
