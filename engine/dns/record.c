#include "engine/dns/record.h"

#include "src/base/literal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

static int name_char(int c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 'a';
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ? c : -1;
}

bool dns_name(struct str s, char out[DNS_NAME])
{
	if (s.n != 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n == 0 || s.n >= DNS_NAME)
		return false;
	size_t label = 0;
	for (size_t i = 0; i < s.n; i++) {
		int c = s.p[i] == '.' ? '.' : name_char((unsigned char)s.p[i]);
		label = c == '.' ? 0 : label + 1;
		if (c < 0 || label > 63 || (c == '.' && (i == 0 || s.p[i - 1] == '.')))
			return false;
		out[i] = (char)c;
	}
	out[s.n] = '\0';
	return true;
}

/* A name in wire form that ends where the rdata ends. */
static bool wire_name(struct str rd, size_t at, char out[DNS_NAME])
{
	size_t n = 0;
	while (at < rd.n) {
		size_t label = (unsigned char)rd.p[at++];
		if (label == 0) {
			out[n] = '\0';
			return at == rd.n;
		}
		if (label > 63 || label > rd.n - at || n + label + 1 >= DNS_NAME)
			return false;
		if (n != 0)
			out[n++] = '.';
		for (size_t i = 0; i < label; i++) {
			int c = name_char((unsigned char)rd.p[at++]);
			if (c < 0)
				return false;
			out[n++] = (char)c;
		}
	}
	return false;
}

bool dns_mx(struct str rd, unsigned *preference, char out[DNS_NAME])
{
	if (rd.n < 3)
		return false;
	*preference = (unsigned)((unsigned char)rd.p[0] << 8 | (unsigned char)rd.p[1]);
	return wire_name(rd, 2, out);
}

static void set_ipv4(struct sockaddr_storage *out, const void *address, int port)
{
	struct sockaddr_in *a = (struct sockaddr_in *)out;
	memset(out, 0, sizeof *out);
	a->sin_family = AF_INET;
	a->sin_port = htons((uint16_t)port);
	memcpy(&a->sin_addr, address, 4);
}

static void set_ipv6(struct sockaddr_storage *out, const void *address, int port)
{
	struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof *out);
	a->sin6_family = AF_INET6;
	a->sin6_port = htons((uint16_t)port);
	memcpy(&a->sin6_addr, address, 16);
}

bool dns_address(enum dns_type type, struct str rd, int port, struct sockaddr_storage *out)
{
	if (type == DNS_A && rd.n == 4)
		set_ipv4(out, rd.p, port);
	else if (type == DNS_AAAA && rd.n == 16)
		set_ipv6(out, rd.p, port);
	else
		return false;
	return true;
}

bool dns_tlsa(struct str rd, struct tlsa *out)
{
	const unsigned char *p = (const unsigned char *)rd.p;
	if (rd.n < 4)
		return false;
	*out = (struct tlsa){p[0], p[1], p[2], p + 3, rd.n - 3};
	return true;
}

bool dns_txt(struct str rd, char *out, size_t max, size_t *n)
{
	*n = 0;
	for (size_t at = 0; at < rd.n;) {
		size_t len = (unsigned char)rd.p[at++];
		if (len > rd.n - at || len > max - *n)
			return false;
		memcpy(out + *n, rd.p + at, len);
		*n += len;
		at += len;
	}
	return true;
}

bool dns_literal(struct str s, int port, struct sockaddr_storage *out)
{
	unsigned char ip[16];
	int family = literal_read(s, ip);
	if (family == AF_INET6)
		set_ipv6(out, ip, port);
	else if (family == AF_INET)
		set_ipv4(out, ip, port);
	return family != 0;
}

/* ---- Addresses that are no hosts of the Internet ---- */

struct range {
	unsigned char prefix[16];
	int bits;
};

static bool within(const unsigned char *address, const struct range *r)
{
	int whole = r->bits / 8, rest = r->bits % 8;
	if (memcmp(address, r->prefix, (size_t)whole) != 0)
		return false;
	return rest == 0 || (address[whole] ^ r->prefix[whole]) >> (8 - rest) == 0;
}

static bool public4(const unsigned char a[4])
{
	/* https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast (224/4). */
	static const struct range special[] = {{{0}, 8}, {{10}, 8}, {{100, 64}, 10}, {{127}, 8},
		{{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24}, {{192, 0, 2}, 24}, {{192, 88, 99}, 24},
		{{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24}, {{224}, 3}};
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (within(a, &special[i]))
			return false;
	return true;
}

static bool public6(const unsigned char a[16])
{
	/* https://www.iana.org/assignments/iana-ipv6-special-registry: of all that is handed out (2000::/3),
	 * 2001::/23 is for protocols, 2001:db8::/32 and 3fff::/20 are for documentation. */
	static const struct range unicast = {{0x20}, 3}, nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96},
				  to4 = {{0x20, 0x02}, 16};
	static const struct range special[] = {
		{{0x20, 0x01, 0x00}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x3f, 0xff, 0x00}, 20}};
	if (within(a, &nat64))
		return public4(a + 12);
	if (within(a, &to4))
		return public4(a + 2);
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (within(a, &special[i]))
			return false;
	return within(a, &unicast);
}

bool dns_address_public(const struct sockaddr_storage *s)
{
	unsigned char a[16];
	if (s->ss_family == AF_INET) {
		memcpy(a, &((const struct sockaddr_in *)s)->sin_addr, 4);
		return public4(a);
	}
	memcpy(a, &((const struct sockaddr_in6 *)s)->sin6_addr, 16);
	return s->ss_family == AF_INET6 && public6(a);
}
