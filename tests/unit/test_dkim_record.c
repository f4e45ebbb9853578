#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/dkim/lookup.h"
#include "engine/dkim/record.h"
#include "src/config/config.h"
#include "tests/unit/dkim_rfc8463.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct dkim_key *rsa, *ed25519, *small;
static struct buf rsa_text, ed_text;

static int make_keys(void **state)
{
	struct err e = {0};
	unsigned char seed[48];
	char *pem;
	(void)state;
	EVP_DecodeBlock(seed, (const unsigned char *)rfc8463_ed25519_seed, (int)strlen(rfc8463_ed25519_seed));
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(bio, &pem);
	assert_int_equal(dkim_key_parse(str_n(pem, (size_t)n), NULL, &ed25519, &e), 0);
	BIO_free(bio);
	EVP_PKEY_free(k);
	assert_int_equal(dkim_key_parse(str_from(rfc8463_rsa), NULL, &small, &e), 0);
	assert_int_equal(dkim_key_generate(DKIM_RSA, 2048, &rsa, &e), 0);
	buf_init(&rsa_text, 10000);
	buf_init(&ed_text, 10000);
	assert_int_equal(dkim_record_text(rsa, &rsa_text, &e), 0);
	assert_int_equal(dkim_record_text(ed25519, &ed_text, &e), 0);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	dkim_key_free(&rsa);
	dkim_key_free(&ed25519);
	dkim_key_free(&small);
	buf_release(&rsa_text);
	buf_release(&ed_text);
	return 0;
}

/* ---- Writing ---- */

static void record__rfc_8463__is_its_record(void **state)
{
	(void)state;
	assert_string_equal(
		buf_cstr(&ed_text), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

static void zone__long_record__strings_of_255_that_join_again(void **state)
{
	struct buf zone = BUF_INIT(10000), joined = BUF_INIT(10000);
	(void)state;
	dkim_record_zone("pr1._domainkey.books.example", buf_get(&rsa_text), &zone);
	assert_true(str_starts(
		buf_get(&zone), STR("pr1._domainkey.books.example. IN TXT ( \"v=DKIM1; k=rsa; p=")));
	assert_true(str_ends(buf_get(&zone), STR("\" )\n")));
	int strings = 0;
	for (const char *p = strchr(zone.p, '"'); p != NULL; p = strchr(p + 1, '"'), strings++) {
		const char *end = strchr(p + 1, '"');
		assert_non_null(end);
		assert_true(end - p - 1 <= 255);
		buf_add(&joined, p + 1, (size_t)(end - p - 1));
		p = end;
	}
	assert_int_equal(strings, 2);
	assert_string_equal(buf_cstr(&joined), buf_cstr(&rsa_text));
	buf_clear(&zone);
	dkim_record_zone("x", STR("short"), &zone);
	assert_string_equal(buf_cstr(&zone), "x. IN TXT \"short\"\n");
	buf_release(&zone);
	buf_release(&joined);
}

/* ---- Reading ---- */

struct seen {
	char ids[400];
};

static void note(void *ctx, const struct dkim_finding *f)
{
	struct seen *s = ctx;
	size_t n = strlen(s->ids);
	snprintf(s->ids + n, sizeof s->ids - n, "%s%s=%s", n > 0 ? " " : "", f->id,
		dkim_severity_names[f->severity]);
	assert_true(f->text[0] != '\0');
	assert_true((f->remedy[0] != '\0') == (f->severity > DKIM_INFO));
}

static void expect_all(const struct dkim_key *k, const struct str *records, size_t n, const char *want)
{
	struct seen s = {""};
	dkim_record_check(k, records, n, note, &s);
	if (strcmp(s.ids, want) != 0)
		fail_msg("\"%.*s\": %s, not %s", n > 0 ? (int)records[0].n : 0, n > 0 ? records[0].p : "",
			s.ids, want);
}

/* One record: `form` with the text behind "p=" in place of %s. */
static void expect(const struct dkim_key *k, const char *form, const char *want)
{
	struct buf r = BUF_INIT(10000);
	const char *p = strstr(k == rsa ? rsa_text.p : ed_text.p, "p=") + 2;
	const char *at = strstr(form, "%s");
	buf_add(&r, form, at != NULL ? (size_t)(at - form) : strlen(form));
	if (at != NULL) {
		buf_puts(&r, k == small ? rfc8463_rsa_public : p);
		buf_puts(&r, at + 2);
	}
	struct str one = buf_get(&r);
	expect_all(k, &one, 1, want);
	buf_release(&r);
}

static void check__good_records(void **state)
{
	static const char *const good[] = {"v=DKIM1; k=rsa; p=%s", "p=%s", "v=DKIM1;p=%s;",
		" v = DKIM1 ; h=sha1 : sha256; s=email; n=a note; t=s; p=%s", "v=DKIM1; s=*; x_y=1; p=%s",
		"v=DKIM1; s=web:*; h=sha256;k=rsa;p = %s ; "};
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		expect(rsa, good[i], "dkim-record=pass");
	expect(ed25519, "v=DKIM1; k=ed25519; p=%s", "dkim-record=pass");
	expect(small, "v=DKIM1; p=%s", "dkim-key-small=warn dkim-record=pass");
}

static void check__blanks_within_the_key__are_ignored(void **state)
{
	struct buf r = BUF_INIT(10000);
	(void)state;
	for (size_t i = 0; i < rsa_text.len; i++) {
		buf_putc(&r, rsa_text.p[i]);
		if (i == 200 || i == 300)
			buf_puts(&r, " \t");
	}
	struct str one = buf_get(&r);
	expect_all(rsa, &one, 1, "dkim-record=pass");
	buf_release(&r);
}

static void check__rsa_public_key_without_its_envelope__matches(void **state)
{
	struct buf r = BUF_INIT(10000);
	unsigned char *der = NULL, b64[1000];
	(void)state;
	int n = i2d_PublicKey(dkim_key_evp(rsa), &der);
	EVP_EncodeBlock(b64, der, n);
	OPENSSL_free(der);
	buf_printf(&r, "v=DKIM1; p=%s", (char *)b64);
	struct str one = buf_get(&r);
	expect_all(rsa, &one, 1, "dkim-record=pass");
	buf_release(&r);
}

static void check__bad_records(void **state)
{
	(void)state;
	expect(rsa, "v=DKIM1; k=rsa; p=", "dkim-key-revoked=fail");
	expect(rsa, "v=DKIM1; k=rsa", "dkim-record-malformed=fail");
	expect(rsa, "v=DKIM2; p=%s", "dkim-record-version=fail");
	expect(rsa, "k=rsa; v=DKIM1; p=%s", "dkim-record-version=fail");
	expect(rsa, "v=DKIM1; k=ed25519; p=%s", "dkim-key-type=fail");
	expect(ed25519, "v=DKIM1; p=%s", "dkim-key-type=fail");
	expect(rsa, "v=DKIM1; h=sha1; p=%s", "dkim-record-hash=fail");
	expect(rsa, "v=DKIM1; s=web; p=%s", "dkim-record-service=fail");
	expect(rsa, "v=DKIM1; t=s:y; p=%s", "dkim-record-testing=warn dkim-record=pass");
	expect(rsa, "v=DKIM1; p=%s; p=%s", "dkim-record-malformed=fail");
	expect(rsa, "\"v=DKIM1; k=rsa; p=%s\"", "dkim-record-quotes=fail");
	expect(rsa, "v=DKIM1\\; k=rsa\\; p=%s", "dkim-record-quotes=fail");
	expect(rsa, "v=DKIM1 k=rsa p=%s", "dkim-record-version=fail dkim-record-malformed=fail");
	expect(rsa, "hello", "dkim-record-malformed=fail");
	expect(rsa, "", "dkim-record-malformed=fail");
	expect(rsa, "v=DKIM1; p=AAAA", "dkim-key-malformed=fail");
	expect(rsa, "v=DKIM1; p=?", "dkim-key-malformed=fail");
	expect(ed25519, "v=DKIM1; k=ed25519; p=AAAA", "dkim-key-malformed=fail");
	expect(ed25519,
		"v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "dkim-key-other=fail");
}

static void check__key_of_somebody_else(void **state)
{
	struct buf r = BUF_INIT(10000);
	(void)state;
	buf_printf(&r, "v=DKIM1; k=rsa; p=%s", rfc8463_rsa_public);
	struct str one = buf_get(&r);
	expect_all(rsa, &one, 1, "dkim-key-other=fail");
	one.n -= 9; /* cut on the way */
	expect_all(small, &one, 1, "dkim-key-malformed=fail");
	buf_release(&r);
}

static void check__number_of_records(void **state)
{
	(void)state;
	struct str good = buf_get(&rsa_text);
	struct str two[] = {good, good}, halves[] = {str_n(good.p, 200), str_n(good.p + 200, good.n - 200)},
		   spf[] = {STR("v=spf1 -all"), good};
	expect_all(rsa, NULL, 0, "dkim-record-missing=fail");
	expect_all(rsa, two, 2, "dkim-record-several=fail");
	expect_all(rsa, halves, 2, "dkim-record-several=fail");
	expect_all(rsa, spf, 2, "dkim-record-foreign=warn dkim-record=pass");
	expect_all(rsa, spf, 1, "dkim-record-foreign=warn dkim-record-missing=fail");
}

static void check__random_bytes__never_pass(void **state)
{
	static const char *const pieces[] = {"v=DKIM1", ";", "p=", "k=rsa", "=", " ", "AAAA", "MIGf", "\xff",
		"t=y", ":", "h=", "sha256", "\"", "s=*"};
	(void)state;
	srand(5);
	for (int i = 0; i < 5000; i++) {
		struct buf r = BUF_INIT(10000);
		struct seen s = {""};
		for (int n = rand() % 12; n > 0; n--)
			buf_puts(&r, pieces[rand() % 15]);
		struct str one = str_n(buf_cstr(&r), r.len);
		assert_int_equal(dkim_record_check(i % 2 == 0 ? rsa : ed25519, &one, 1, note, &s), DKIM_FAIL);
		buf_release(&r);
	}
}

/* ---- The lookup, against a name server of one answer ---- */

struct server {
	int fd;
	pthread_t thread;
	unsigned char tail[2000]; /* behind the question */
	size_t n;
	unsigned answers, rcode;
	bool mute;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	unsigned char q[4096];
	struct sockaddr_in from;
	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(s->fd, q, 512, 0, (struct sockaddr *)&from, &len);
		if (n < 12)
			return NULL;
		size_t end = 12;
		while (q[end] != 0)
			end += q[end] + 1u;
		end += 5;
		q[2] |= 0x80;
		q[3] = (unsigned char)(0x80 | s->rcode);
		q[6] = 0, q[7] = (unsigned char)s->answers;
		memset(q + 8, 0, 4);
		memcpy(q + end, s->tail, s->n);
		if (!s->mute)
			sendto(s->fd, q, end + s->n, 0, (struct sockaddr *)&from, len);
	}
}

static void server_start(struct server *s, struct sockaddr_in *at)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	char text[40];
	s->fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	snprintf(text, sizeof text, "127.0.0.1@%d", ntohs(a.sin_port));
	assert_int_equal(dkim_resolver_parse(text, at, NULL), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static void add_rr(struct server *s, unsigned type, const char *rdata, size_t n)
{
	const unsigned char head[] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, 0, 60,
		(unsigned char)(n >> 8), (unsigned char)n};
	memcpy(s->tail + s->n, head, sizeof head);
	memcpy(s->tail + s->n + sizeof head, rdata, n);
	s->n += sizeof head + n;
	s->answers++;
}

static int look(struct server *s, struct arena *a, struct str **records, size_t *n, struct err *e)
{
	struct sockaddr_in at;
	server_start(s, &at);
	int rc = dkim_lookup("pr1._domainkey.books.example", &at, a, records, n, e);
	server_stop(s);
	return rc;
}

static void lookup__strings__are_joined(void **state)
{
	struct server s = {0};
	struct arena a;
	struct str *records;
	struct err e = {0};
	size_t n;
	(void)state;
	arena_init(&a, 1024, 1 << 20);
	add_rr(&s, 16, "\x08v=DKIM1;\x00\x06 p=abc", 17);
	add_rr(&s, 1, "\x7f\x00\x00\x01", 4);
	add_rr(&s, 16, "\x03one", 4);
	assert_int_equal(look(&s, &a, &records, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_true(str_is(records[0], "v=DKIM1; p=abc"));
	assert_true(str_is(records[1], "one"));
	arena_release(&a);
}

static void lookup__string_longer_than_its_record__is_cut(void **state)
{
	struct server s = {0};
	struct arena a;
	struct str *records;
	struct err e = {0};
	size_t n;
	(void)state;
	arena_init(&a, 1024, 1 << 20);
	add_rr(&s, 16,
		"\xff"
		"abc",
		4);
	assert_int_equal(look(&s, &a, &records, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_true(str_is(records[0], "abc"));
	arena_release(&a);
}

static void lookup__no_such_name__is_no_record(void **state)
{
	struct server s = {.rcode = 3};
	struct arena a;
	struct str *records;
	struct err e = {0};
	size_t n = 7;
	(void)state;
	arena_init(&a, 1024, 1 << 20);
	assert_int_equal(look(&s, &a, &records, &n, &e), 0);
	assert_int_equal(n, 0);
	s = (struct server){0};
	assert_int_equal(look(&s, &a, &records, &n, &e), 0);
	assert_int_equal(n, 0);
	arena_release(&a);
}

static void lookup__failing_server__is_unreachable(void **state)
{
	struct server s = {.rcode = 2};
	struct arena a;
	struct str *records;
	struct err e = {0};
	size_t n;
	(void)state;
	arena_init(&a, 1024, 1 << 20);
	assert_int_equal(look(&s, &a, &records, &n, &e), -1);
	assert_int_equal(e.code, ERR_UNREACH);
	arena_release(&a);
}

static void resolver__forms(void **state)
{
	struct sockaddr_in at;
	static const char *const bad[] = {"", "@53", "localhost", "127.0.0.1@", "127.0.0.1@0",
		"127.0.0.1@65536", "127.0.0.1:53", "::1", "1111111111111111111111111@53"};
	(void)state;
	assert_int_equal(dkim_resolver_parse("127.0.0.1", &at, NULL), 0);
	assert_int_equal(ntohs(at.sin_port), 53);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(dkim_resolver_parse(bad[i], &at, NULL), -1);
}

static void selector__forms(void **state)
{
	static const char *const good[] = {"pr1", "june.2026", "a_b-c", "X"};
	static const char *const bad[] = {"", ".", "a..b", "a.", "-a", "a b", "a;b", "a/b", "\xc3\xa9",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm"};
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(config_selector_ok(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(config_selector_ok(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record__rfc_8463__is_its_record),
		cmocka_unit_test(zone__long_record__strings_of_255_that_join_again),
		cmocka_unit_test(check__good_records),
		cmocka_unit_test(check__blanks_within_the_key__are_ignored),
		cmocka_unit_test(check__rsa_public_key_without_its_envelope__matches),
		cmocka_unit_test(check__bad_records),
		cmocka_unit_test(check__key_of_somebody_else),
		cmocka_unit_test(check__number_of_records),
		cmocka_unit_test(check__random_bytes__never_pass),
		cmocka_unit_test(lookup__strings__are_joined),
		cmocka_unit_test(lookup__string_longer_than_its_record__is_cut),
		cmocka_unit_test(lookup__no_such_name__is_no_record),
		cmocka_unit_test(lookup__failing_server__is_unreachable),
		cmocka_unit_test(resolver__forms),
		cmocka_unit_test(selector__forms),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
