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
