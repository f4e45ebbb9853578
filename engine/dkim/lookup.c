#include "engine/dkim/lookup.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>

enum { ANSWER_MAX = 65535 };

int dkim_resolver_parse(const char *text, struct sockaddr_in *out, struct err *e)
{
	struct str s = str_from(text);
	size_t at = str_find(s, '@');
	long long port = 53;
	char host[INET_ADDRSTRLEN] = "";
	if (at < sizeof host)
		memcpy(host, text, at);
	*out = (struct sockaddr_in){.sin_family = AF_INET};
	if ((at < s.n && !str_int(str_n(s.p + at + 1, s.n - at - 1), 1, 65535, &port)) ||
		inet_pton(AF_INET, host, &out->sin_addr) != 1)
		return err_set(e, ERR_USAGE, "resolver",
			"\"%.60s\": expected an IPv4 address and port as 127.0.0.1@53", text);
	out->sin_port = htons((unsigned short)port);
	return 0;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "DNS", "out of memory");
}

/* RFC 1035 3.3.14: strings of a length octet and text. */
static bool join(const unsigned char *rd, size_t rdlen, struct arena *a, struct str *out)
{
	char *p = arena_bytes(a, rdlen + 1);
	size_t n = 0;
	for (size_t i = 0; p != NULL && i < rdlen;) {
		size_t len = rd[i++];
		if (len > rdlen - i)
			len = rdlen - i;
		memcpy(p + n, rd + i, len);
		n += len;
		i += len;
	}
	*out = str_n(p, n);
	return p != NULL;
}

static int read_answer(
	const unsigned char *msg, int len, struct arena *a, struct str **records, size_t *n, struct err *e)
{
	ns_msg m;
	if (ns_initparse(msg, len, &m) != 0)
		return err_set(e, ERR_UNREACH, "DNS", "the resolver's answer is malformed");
	int count = ns_msg_count(m, ns_s_an);
	*records = arena_alloc(a, ((size_t)count + 1) * sizeof **records);
	if (*records == NULL)
		return out_of_memory(e);
	for (int i = 0; i < count; i++) {
		ns_rr rr;
		if (ns_parserr(&m, ns_s_an, i, &rr) != 0)
			return err_set(e, ERR_UNREACH, "DNS", "the resolver's answer is malformed");
		if (ns_rr_type(rr) == ns_t_txt && ns_rr_class(rr) == ns_c_in &&
			!join(ns_rr_rdata(rr), ns_rr_rdlen(rr), a, &(*records)[(*n)++]))
			return out_of_memory(e);
	}
	return 0;
}

int dkim_lookup(const char *name, const struct sockaddr_in *resolver, struct arena *a, struct str **records,
	size_t *n, struct err *e)
{
	struct __res_state res = {0};
	unsigned char *answer = malloc(ANSWER_MAX);
	*n = 0;
	*records = NULL;
	if (answer == NULL)
		return out_of_memory(e);
	if (res_ninit(&res) != 0) {
		free(answer);
		return err_set(e, ERR_UNREACH, "DNS", "the system's resolver cannot be used");
	}
	if (resolver != NULL) {
		res.nscount = 1;
		res.nsaddr_list[0] = *resolver;
	}
	int len = res_nquery(&res, name, ns_c_in, ns_t_txt, answer, ANSWER_MAX), why = res.res_h_errno,
	    rc = 0;
	res_nclose(&res);
	if (len >= 0)
		rc = read_answer(answer, len < ANSWER_MAX ? len : ANSWER_MAX, a, records, n, e);
	else if (why != HOST_NOT_FOUND && why != NO_DATA)
		rc = err_set(e, ERR_UNREACH, "DNS", "no answer for %.200s: %s", name,
			why == TRY_AGAIN ? "the resolver does not answer, or the domain's name servers fail"
					 : "the resolver refuses");
	free(answer);
	return rc;
}
