/* Rdata, names, addresses and MTA-STS texts: what is well formed, and what is not. */
#include "engine/dns/record.h"
#include "engine/dns/sts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define RD(literal) ((struct str){(literal), sizeof(literal) - 1})

static void test_names(void **state)
{
	(void)state;
	char out[DNS_NAME], longest[300];
	assert_true(dns_name(STR("MX1.Example.COM."), out));
	assert_string_equal(out, "mx1.example.com");
	assert_true(dns_name(STR("_25._tcp.x"), out));
	static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a/b", "ä.example", "a\n"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(dns_name(str_from(bad[i]), out));
	memset(longest, 'a', sizeof longest);
	assert_true(dns_name(str_n(longest, 63), out));
	assert_false(dns_name(str_n(longest, 64), out));
	for (size_t i = 50; i < sizeof longest; i += 50)
		longest[i] = '.';
	assert_true(dns_name(str_n(longest, 253), out));
	assert_false(dns_name(str_n(longest, 254), out));
}

static void test_mx(void **state)
{
	(void)state;
	char out[DNS_NAME];
	unsigned preference;
	assert_true(dns_mx(RD("\001\002\003Mx1\007example\000"), &preference, out));
	assert_int_equal(preference, 258);
	assert_string_equal(out, "mx1.example");
	assert_true(dns_mx(RD("\000\000\000"), &preference, out));
	assert_string_equal(out, "");
	static const struct str bad[] = {{"", 0}, {"\0\1", 2}, {"\0\1\3mx", 5}, {"\0\1\3mx1", 6},
		{"\0\1\3mx1\0x", 8}, {"\0\1\xc0\0", 4}, {"\0\1\3m x\0", 7}, {"\0\1\3m\0x\0", 7},
		{"\0\1\3m.x\0", 7}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(dns_mx(bad[i], &preference, out));
}

static void test_other_records(void **state)
{
	(void)state;
	struct sockaddr_storage a;
	struct tlsa t;
	char out[8];
	size_t n;
	assert_true(dns_address(DNS_A, RD("\005\000\000\001"), 25, &a));
	assert_int_equal(a.ss_family, AF_INET);
	assert_false(dns_address(DNS_A, RD("\005\000\000"), 25, &a));
	assert_false(dns_address(DNS_AAAA, RD("\005\000\000\001"), 25, &a));
	assert_true(dns_tlsa(RD("\003\001\001x"), &t));
	assert_int_equal(t.n, 1);
	assert_false(dns_tlsa(RD("\003\001\001"), &t));
	assert_true(dns_txt(RD("\003abc\002de\000"), out, sizeof out, &n));
	assert_memory_equal(out, "abcde", 5);
	assert_int_equal(n, 5);
	assert_false(dns_txt(RD("\004abc"), out, sizeof out, &n));
	assert_false(dns_txt(RD("\011abcdefghi"), out, sizeof out, &n));
}

static bool is_public(const char *text)
{
	struct sockaddr_storage a;
	char literal[80];
	snprintf(literal, sizeof literal, "[%s%s]", strchr(text, ':') != NULL ? "IPv6:" : "", text);
	if (!dns_literal(str_from(literal), 25, &a))
		fail_msg("%s", text);
	return dns_address_public(&a);
}

static void test_public_addresses(void **state)
{
	(void)state;
	static const char *const good[] = {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255",
		"100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1",
		"223.255.255.255", "2a00::1", "2001:4860::1", "64:ff9b::102:304", "2002:102:304::1"};
	static const char *const bad[] = {"0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1",
		"169.254.1.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
		"255.255.255.255", "::", "::1", "::ffff:1.1.1.1", "::1.1.1.1", "fe80::1", "fc00::1",
		"fd12::1", "ff02::1", "2001:db8::1", "2001::1", "3fff::1", "64:ff9b::7f00:1",
		"2002:7f00:1::1", "100::1", "5f00::1"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!is_public(good[i]))
			fail_msg("%s is public", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (is_public(bad[i]))
			fail_msg("%s is not public", bad[i]);
}

static bool record(const char *a, const char *b, char id[STS_ID])
{
	struct str texts[] = {str_from(a), str_from(b)};
	return sts_record(texts, b != NULL ? 2 : 1, id);
}

static void test_sts_record(void **state)
{
	(void)state;
	char id[STS_ID];
	assert_true(record("v=STSv1; id=20160831085700Z;", NULL, id));
	assert_string_equal(id, "20160831085700Z");
	assert_true(record("v=STSv1;other=1;  id=a", "v=spf1 -all", id));
	assert_string_equal(id, "a");
	assert_false(record("v=STSv1; id=a", "v=STSv1; id=b", id));
	static const char *const bad[] = {"", "v=STSv1", "v=STSv1;", "v=STSv1; id=", "v=STSv10; id=a",
		"v=STSv1; id=a b", "id=a; v=STSv1", "v=STSv1; id=123456789012345678901234567890123"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(record(bad[i], NULL, id));
}

static void test_sts_policy(void **state)
{
	(void)state;
	static struct sts_policy p;
	assert_true(sts_policy_parse(
		STR("mode: enforce\nversion: STSv1\nnew: thing\n\nmx: Mail.Example\r\nmx: *.b.example\n"
		    "max_age: 99999999\nmode: none"),
		&p));
	assert_int_equal(p.mode, STS_ENFORCE);
	assert_true(p.max_age == STS_AGE_MAX);
	assert_true(sts_allows(&p, "mail.example"));
	assert_true(sts_allows(&p, "x.b.example"));
	assert_false(sts_allows(&p, "b.example"));
	assert_false(sts_allows(&p, "y.x.b.example"));
	assert_false(sts_allows(&p, "evilmail.example"));
	assert_true(sts_policy_parse(STR("version:STSv1\nmode:none\nmax_age:1"), &p));
	assert_int_equal(p.max_age, 1000);
	static const char *const bad[] = {"", "version: STSv2\nmode: none\nmax_age: 1",
		"version: STSv1\nmode: none", "version: STSv1\nmax_age: 1",
		"version: STSv1\nmode: enforce\nmax_age: 1",
		"version: STSv1\nmode: strict\nmx: a.b\nmax_age: 1",
		"version: STSv1\nmode: none\nmax_age: -1", "version: STSv1\nmode: none\nmax_age: 99999999999",
		"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1",
		"version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1", "<html>"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (sts_policy_parse(str_from(bad[i]), &p))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_other_records),
		cmocka_unit_test(test_public_addresses),
		cmocka_unit_test(test_sts_record),
		cmocka_unit_test(test_sts_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
