/* What DNS records hold (RFC 1035 3.3, 3596, 6698): rdata in, values out. No name in it may be compressed, as
 * libunbound gives it. Everything here comes from strangers: what is not well formed is false. */
#ifndef ENGINE_DNS_RECORD_H
#define ENGINE_DNS_RECORD_H

#include "engine/tls.h"
#include "src/base/str.h"

#include <sys/socket.h>

#define DNS_NAME 254 /* the longest name as text, with its NUL */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_DNSKEY = 48,
	DNS_TLSA = 52
};

/* A host or domain name as text: lower case, without the dot at the end. False: empty, too long, or with
 * other characters than letters, digits, - and _ in its labels. */
bool dns_name(struct str text, char out[DNS_NAME]);
/* out "": the root, as in a null MX. */
bool dns_mx(struct str rdata, unsigned *preference, char out[DNS_NAME]);
/* `out` gets the port too. */
bool dns_address(enum dns_type type, struct str rdata, int port, struct sockaddr_storage *out);
bool dns_tlsa(struct str rdata, struct tlsa *out); /* out->data points into rdata */
/* Its strings joined; false: more than `max` bytes. */
bool dns_txt(struct str rdata, char *out, size_t max, size_t *n);

/* An address literal, with its brackets. */
bool dns_literal(struct str text, int port, struct sockaddr_storage *out);
/* Can the address be a mail server in the open Internet? Not loopback, private, link-local, multicast,
 * documentation … (the IANA special-purpose registries, also inside IPv6 forms of IPv4 addresses). */
bool dns_address_public(const struct sockaddr_storage *a);

#endif
