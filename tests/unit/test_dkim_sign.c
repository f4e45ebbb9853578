#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/dkim/canon.h"
#include "engine/dkim/sign.h"
#include "src/base/file.h"
#include "src/base/log.h"
#include "tests/unit/dkim_rfc8463.h"
#include "tests/unit/dkim_verify.h"

#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Canonical form ---- */

static void put(void *ctx, const char *p, size_t n)
{
	buf_add(ctx, p, n);
}

static void expect_body(struct str body, struct str want)
{
	struct buf out = BUF_INIT(1 << 20);
	dkim_canon_body(body, put, &out);
	assert_int_equal(out.len, want.n);
	assert_memory_equal(buf_cstr(&out), want.n != 0 ? want.p : "", want.n);
	buf_release(&out);
}

static void body__example_of_rfc_6376__is_canonical(void **state)
{
	(void)state;
	expect_body(STR(" C \r\nD \t E\r\n\r\n\r\n"), STR(" C\r\nD E\r\n"));
}

static void expect_split(struct str lines, struct str rest, struct str want)
{
	struct buf out = BUF_INIT(1 << 20);
	dkim_canon_lines(lines, put, &out);
	dkim_canon_body(rest, put, &out);
	assert_int_equal(out.len, want.n);
	assert_memory_equal(out.p, want.p, want.n);
	buf_release(&out);
}

static void lines__with_others_behind__keep_their_empty_ones(void **state)
{
	(void)state;
	expect_split(STR("a \t b \r\n"), STR("--x\r\n\r\n"), STR("a b\r\n--x\r\n"));
	expect_split(STR("a\r\n \r\n\r\n"), STR("--x"), STR("a\r\n\r\n\r\n--x\r\n"));
	expect_split(STR("\r\n"), STR("--x\r\n"), STR("\r\n--x\r\n"));
	expect_split(STR(" \t\r\n"), STR("--x\r\n"), STR("\r\n--x\r\n"));
	expect_split(STR(""), STR("--x\r\n"), STR("--x\r\n"));
}

static void body__edges(void **state)
{
	(void)state;
	expect_body(STR(""), STR(""));
	expect_body(STR("\r\n"), STR(""));
	expect_body(STR("\r\n\r\n \t\r\n"), STR(""));
	expect_body(STR(" "), STR(""));
	expect_body(STR("a"), STR("a\r\n"));
	expect_body(STR("a\r\n"), STR("a\r\n"));
	expect_body(STR("a\r\n \r\n\t\r\n"), STR("a\r\n"));
	expect_body(STR("\r\na"), STR("\r\na\r\n"));
	expect_body(STR(" \r\na \r\n"), STR("\r\na\r\n"));
	expect_body(STR("\ta\t\tb\t\r\n"), STR(" a b\r\n"));
	expect_body(STR("a \rb\r\n"), STR("a \rb\r\n"));
	expect_body(
		STR("0123456 \r\n01234567 \r\n012345678 \r\n"), STR("0123456\r\n01234567\r\n012345678\r\n"));
	expect_body(STR("0123456  0\r\n"), STR("0123456 0\r\n"));
}

static void body__at_random__as_the_plain_rules_say(void **state)
{
	static const char *const pieces[] = {" ", "  ", "\t", "\r\n", "\r\n\r\n", "word", "a",
		"longer-word-than-eight", "=20", ".", "\xc3\xa9", " \r\n", "\r", "!", "\n"};
	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		struct buf body = BUF_INIT(1 << 16), want = BUF_INIT(1 << 16);
		for (int n = rand() % 30; n > 0; n--)
			buf_puts(&body, pieces[rand() % (int)(sizeof pieces / sizeof pieces[0])]);
		v_body(&want, buf_get(&body));
		expect_body(buf_get(&body), buf_get(&want));
		buf_release(&body);
		buf_release(&want);
	}
}

static void expect_header(const char *header, const char *want)
{
	struct buf out = BUF_INIT(1 << 16);
	struct str rest = str_from(header);
	for (struct dkim_field f; dkim_field_next(&rest, &f);) {
		dkim_canon_field(&out, &f);
		buf_puts(&out, "\r\n");
	}
	assert_string_equal(buf_cstr(&out), want);
	buf_release(&out);
}

static void header__example_of_rfc_6376__is_canonical(void **state)
{
	(void)state;
	expect_header("A: X\r\nB : Y\t\r\n\tZ  \r\n", "a:X\r\nb:Y Z\r\n");
}

static void header__edges(void **state)
{
	(void)state;
	expect_header("", "");
	expect_header("\r\nnot: this", "");
	expect_header("Empty:\r\nBlanks:  \t \r\nFolded:\r\n x\r\n", "empty:\r\nblanks:\r\nfolded:x\r\n");
	expect_header("No-End: x", "no-end:x\r\n");
	expect_header("X: a  b\t c:d\r\n\t \r\n e\r\n", "x:a b c:d e\r\n");
	expect_header("no colon\r\nY:1\r\n", ":no colon\r\ny:1\r\n");
	expect_header("no colon\r\n \there: but here\r\nY:1\r\n", ":no colon here: but here\r\ny:1\r\n");
}

/* ---- The example of RFC 8463 ---- */

static EVP_PKEY *public_of(const char *base64, bool rsa)
{
	unsigned char raw[400];
	size_t n = decode_base64(str_from(base64), raw, sizeof raw);
	const unsigned char *at = raw;
	EVP_PKEY *k = rsa ? d2i_PUBKEY(NULL, &at, (long)n)
			  : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, n);
	assert_non_null(k);
	return k;
}

static void verifier__rfc_8463__both_signatures_hold(void **state)
{
	(void)state;
	EVP_PKEY *ed = public_of(rfc8463_ed25519_public, false), *rsa = public_of(rfc8463_rsa_public, true);
	struct str h = str_from(rfc8463_header), b = str_from(rfc8463_body);
	assert_true(v_verify(h, b, 0, ed));
	assert_true(v_verify(h, b, 1, rsa));
	assert_false(v_verify(h, STR("Hi.\r\n"), 1, rsa));
	EVP_PKEY_free(ed);
	EVP_PKEY_free(rsa);
}

/* Our canonical form of what it signs, signed with its keys, gives its b= to the byte. */
static void canon__rfc_8463__gives_its_signatures(void **state)
{
	(void)state;
	struct str rest = str_from(rfc8463_header);
	struct dkim_field f[8];
	struct buf bh = BUF_INIT(1000), canon = BUF_INIT(10000), want = BUF_INIT(1000);
	unsigned char hash[32], seed[48], sig[128];
	char b64[200];
	for (int i = 0; i < 7; i++)
		assert_true(dkim_field_next(&rest, &f[i]));
	dkim_canon_body(str_from(rfc8463_body), put, &bh);
	EVP_Digest(bh.p, bh.len, hash, NULL, EVP_sha256(), NULL);
	EVP_EncodeBlock((unsigned char *)b64, hash, 32);
	assert_string_equal(b64, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
	for (int i = 2; i < 7; i++) {
		dkim_canon_field(&canon, &f[i]);
		buf_puts(&canon, "\r\n");
	}
	f[0].value.n = (size_t)(strstr(f[0].value.p, " b=") + 3 - f[0].value.p);
	dkim_canon_field(&canon, &f[0]);
	EVP_Digest(canon.p, canon.len, hash, NULL, EVP_sha256(), NULL);
	EVP_DecodeBlock(seed, (const unsigned char *)rfc8463_ed25519_seed, (int)strlen(rfc8463_ed25519_seed));
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = sizeof sig;
	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, k), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, hash, 32), 1);
	EVP_EncodeBlock((unsigned char *)b64, sig, (int)n);
	assert_string_equal(b64,
		"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
	buf_release(&bh);
	buf_release(&canon);
	buf_release(&want);
}

/* ---- Signing ---- */

static char folder[] = "/tmp/postrider-dkim-XXXXXX";
static struct dkim_key *rsa_key, *ed_key, *other_rsa;
static char rsa_path[64], ed_path[64], other_path[64], small_path[64];

static void write_key(struct dkim_key *k, const char *path)
{
	struct err e = {0};
	struct buf pem = BUF_INIT(100000);
	assert_int_equal(dkim_key_pem(k, &pem, &e), 0);
	assert_int_equal(file_create(path, buf_get(&pem), 0600, &e), 0);
	buf_release(&pem);
}

static int make_keys(void **state)
{
	struct err e = {0};
	(void)state;
	assert_non_null(mkdtemp(folder));
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(rsa_path, sizeof rsa_path, "%s/rsa.key", folder);
	snprintf(ed_path, sizeof ed_path, "%s/ed.key", folder);
	snprintf(other_path, sizeof other_path, "%s/other.key", folder);
	snprintf(small_path, sizeof small_path, "%s/small.key", folder);
	assert_int_equal(dkim_key_generate(DKIM_RSA, 2048, &rsa_key, &e), 0);
	assert_int_equal(dkim_key_generate(DKIM_RSA, 2048, &other_rsa, &e), 0);
	assert_int_equal(dkim_key_generate(DKIM_ED25519, 0, &ed_key, &e), 0);
	write_key(rsa_key, rsa_path);
	write_key(ed_key, ed_path);
	write_key(other_rsa, other_path);
	return file_create(small_path, str_from(rfc8463_rsa), 0600, &e);
}

static int remove_keys(void **state)
{
	(void)state;
	dkim_key_free(&rsa_key);
	dkim_key_free(&ed_key);
	dkim_key_free(&other_rsa);
	unlink(rsa_path);
	unlink(ed_path);
	unlink(other_path);
	unlink(small_path);
	return rmdir(folder);
}

struct world {
	struct config_dkim dkim[4];
	struct config config;
	struct dkim_keys *keys;
	struct dkim_signer *signer;
	struct arena arena;
};

static void open_world(struct world *w, size_t n)
{
	struct err e = {0};
	w->config.dkim = w->dkim;
	w->config.ndkim = n;
	assert_int_equal(dkim_keys_load(&w->config, &w->keys, &e), 0);
	w->signer = dkim_signer_new(w->keys);
	assert_non_null(w->signer);
	arena_init(&w->arena, 4096, 64 << 20);
}

static void close_world(struct world *w)
{
	dkim_signer_free(&w->signer);
	dkim_keys_free(&w->keys);
	arena_release(&w->arena);
}

static void both_keys(struct world *w)
{
	*w = (struct world){0};
	w->dkim[0] = (struct config_dkim){
		.name = "pr1", .domain = "Books.Example", .key = rsa_path, .selector = "pr1"};
	w->dkim[1] = (struct config_dkim){
		.name = "pr2", .domain = "books.example", .key = ed_path, .selector = "pr2"};
	open_world(w, 2);
}

static struct str sign(struct world *w, struct str header, struct str body, const char *rewritten)
{
	struct err e = {0};
	struct str out;
	struct dkim_message m = {header, body, {0}, STR("books.example"), 1528637909123, rewritten};
	assert_int_equal(dkim_sign(w->signer, &m, &w->arena, &out, &e), 1);
	return out;
}

#define HEADER                                                                                               \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@books.example>\r\nMIME-Version: 1.0\r\n"    \
	"From: Books <news@books.example>\r\nTo: a@x.example\r\nSubject: =?utf-8?Q?J=C3=BCne?=\r\n list\r\n" \
	"List-Id: News <news.books.example>\r\nList-Unsubscribe: <https://books.example/u?t=abc>,\r\n"       \
	" <mailto:u-abc@bounces.books.example>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"     \
	"Feedback-ID: 1-june:booksexample\r\nPrecedence: bulk\r\nX-Own: 1\r\nContent-Type: text/plain; "     \
	"charset=utf-8\r\n"                                                                                  \
	"Content-Transfer-Encoding: 7bit\r\n\r\n"

static void tag_is(struct str signed_header, size_t at, const char *tag, const char *want)
{
	struct v_field f[100];
	struct buf out = BUF_INIT(10000);
	assert_true(v_split(signed_header, f, 100) > at);
	v_tag(f[at].whole, tag, &out);
	assert_string_equal(buf_cstr(&out), want);
	buf_release(&out);
}

static void sign__both_keys__both_verify(void **state)
{
	struct world w;
	(void)state;
	both_keys(&w);
	struct str h = sign(&w, STR(HEADER), STR("Hello\r\n\r\n"), NULL);
	assert_true(v_verify(h, STR("Hello\r\n\r\n"), 0, dkim_key_evp(rsa_key)));
	assert_true(v_verify(h, STR("Hello\r\n\r\n"), 1, dkim_key_evp(ed_key)));
	assert_false(v_verify(h, STR("Hello\r\n\r\n"), 0, dkim_key_evp(other_rsa)));
	assert_false(v_verify(h, STR("hello\r\n\r\n"), 1, dkim_key_evp(ed_key)));
	assert_true(str_ends(h, STR(HEADER)));
	tag_is(h, 0, "a", "rsa-sha256");
	tag_is(h, 1, "a", "ed25519-sha256");
	tag_is(h, 0, "c", "relaxed/relaxed");
	tag_is(h, 0, "d", "books.example");
	tag_is(h, 0, "s", "pr1");
	tag_is(h, 1, "s", "pr2");
	tag_is(h, 0, "t", "1528637909");
	tag_is(h, 0, "l", "");
	close_world(&w);
}

static void sign__a_tail__is_part_of_the_body(void **state)
{
	struct world w;
	struct str whole, split;
	struct err e = {0};
	(void)state;
	both_keys(&w);
	struct dkim_message m = {STR(HEADER), STR("a \t b \r\n\r\n--x\r\nc\r\n\r\n"), {0},
		STR("books.example"), 1528637909123, NULL};
	assert_int_equal(dkim_sign(w.signer, &m, &w.arena, &whole, &e), 1);
	m.body = STR("a \t b \r\n\r\n");
	m.tail = STR("--x\r\nc\r\n\r\n");
	assert_int_equal(dkim_sign(w.signer, &m, &w.arena, &split, &e), 1);
	assert_true(str_eq(whole, split));
	close_world(&w);
}

static void sign__names_in_h(void **state)
{
	struct world w;
	(void)state;
	both_keys(&w);
	struct str h = sign(&w, STR(HEADER), STR("x\r\n"), NULL);
	tag_is(h, 0, "h",
		"Content-Transfer-Encoding:Content-Type:Feedback-ID:List-Unsubscribe-Post:List-Unsubscribe:"
		"List-Id:Subject:To:From:"
		"MIME-Version:Message-ID:Date:List-Unsubscribe-Post:List-Unsubscribe:List-Id:"
		"From:To:Subject:Date:Reply-To:Content-Type");
	h = sign(&w, STR(HEADER), STR("x\r\n"), "Date:Message-ID:list-id:From");
	tag_is(h, 0, "h",
		"Content-Transfer-Encoding:Content-Type:Feedback-ID:List-Unsubscribe-Post:List-Unsubscribe:"
		"Subject:To:From:"
		"MIME-Version:List-Unsubscribe-Post:List-Unsubscribe:From:To:Subject:Reply-To:Content-Type");
	assert_true(v_verify(h, STR("x\r\n"), 0, dkim_key_evp(rsa_key)));
	close_world(&w);
}

static void sign__lines__are_short(void **state)
{
	struct world w;
	(void)state;
	both_keys(&w);
	struct str h = sign(&w, STR(HEADER), STR("x\r\n"), NULL);
	struct str rest = str_n(h.p, h.n - strlen(HEADER));
	assert_true(rest.n > 500);
	while (rest.n > 0) {
		size_t n = str_find(rest, '\n');
		assert_true(n >= 2 && n - 1 <= 78 && rest.p[n - 1] == '\r');
		rest = str_n(rest.p + n + 1, rest.n - n - 1);
	}
	close_world(&w);
}

static void sign__a_field_added_or_changed__breaks_it(void **state)
{
	static const char *const added[] = {"From: evil@books.example\r\n", "Subject: other\r\n",
		"To: b@x.example\r\n", "Reply-To: evil@x.example\r\n",
		"List-Unsubscribe: <https://evil.example/>\r\n", "List-Id: <evil.example>\r\n",
		"Content-Type: text/html\r\n"};
	struct world w;
	(void)state;
	both_keys(&w);
	struct str h = sign(&w, STR(HEADER), STR("x\r\n"), NULL);
	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
		for (int top = 0; top < 2; top++) {
			struct buf b = BUF_INIT(100000);
			buf_add(&b, h.p, h.n - 2);
			if (top)
				buf_clear(&b), buf_add(&b, h.p, h.n - strlen(HEADER));
			buf_puts(&b, added[i]);
			buf_puts(&b, top ? HEADER : "\r\n");
			assert_false(v_verify(buf_get(&b), STR("x\r\n"), 0, dkim_key_evp(rsa_key)));
			assert_false(v_verify(buf_get(&b), STR("x\r\n"), 1, dkim_key_evp(ed_key)));
			buf_release(&b);
		}
	}
	struct buf b = BUF_INIT(100000);
	buf_str(&b, h);
	b.len -= 2;
	buf_puts(&b, "X-Trace: added by a relay\r\n\r\n");
	assert_true(v_verify(buf_get(&b), STR("x\r\n"), 0, dkim_key_evp(rsa_key)));
	strstr(buf_cstr(&b), "One-Click")[0] = 'o';
	assert_false(v_verify(buf_get(&b), STR("x\r\n"), 0, dkim_key_evp(rsa_key)));
	buf_release(&b);
	close_world(&w);
}

static void sign__equal_inputs__equal_bytes(void **state)
{
	struct world a, b;
	(void)state;
	both_keys(&a);
	both_keys(&b);
	sign(&b, STR("From: other@books.example\r\n\r\n"), STR("something else\r\n"), "Date");
	struct str x = sign(&a, STR(HEADER), STR("x\r\n"), NULL),
		   y = sign(&b, STR(HEADER), STR("x\r\n"), NULL);
	assert_int_equal(x.n, y.n);
	assert_memory_equal(x.p, y.p, x.n);
	close_world(&a);
	close_world(&b);
}

static void random_field(struct buf *h)
{
	static const char *const names[] = {"Subject", "X-A", "List-Help", "List-Help", "Reply-To",
		"Content-Language", "content-type", "To", "MIME-Version", "Received", "Cc", "List-x;b"};
	static const char *const values[] = {"", " ", " x", " a  b\tc", "\r\n folded",
		" one\r\n\t two  \r\n   three", " \xe2\x82\xac", " a: b; c=d  ", " trailing \t"};
	buf_printf(h, "%s%s:%s\r\n", names[rand() % 12], rand() % 5 == 0 ? " \t" : "", values[rand() % 9]);
}

static void random_body(struct buf *b)
{
	static const char *const pieces[] = {" ", "  ", "\t", "\r\n", "\r\n\r\n", "word",
		"a longer piece of text", "=20", ".", "\xc3\xa9", " \r\n"};
	for (int n = rand() % 40; n > 0; n--)
		buf_puts(b, pieces[rand() % 11]);
}

static void sign__random_messages__all_verify(void **state)
{
	struct world w;
	(void)state;
	both_keys(&w);
	srand(11);
	for (int round = 0; round < 1000; round++) {
		struct buf h = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);
		for (int n = rand() % 6; n > 0; n--)
			random_field(&h);
		buf_puts(&h, "From: news@books.example\r\n");
		for (int n = rand() % 12; n > 0; n--)
			random_field(&h);
		buf_puts(&h, "\r\n");
		random_body(&b);
		struct str s = sign(&w, buf_get(&h), buf_get(&b), rand() % 4 == 0 ? "Subject:X-A:To" : NULL);
		assert_true(v_verify(s, buf_get(&b), 0, dkim_key_evp(rsa_key)));
		assert_true(v_verify(s, buf_get(&b), 1, dkim_key_evp(ed_key)));
		arena_reset(&w.arena);
		buf_release(&h);
		buf_release(&b);
	}
	close_world(&w);
}

struct hand {
	pthread_t thread;
	const struct dkim_keys *keys;
	struct str first;
	struct arena arena;
	bool good;
};

static void *sign_many(void *arg)
{
	struct hand *h = arg;
	struct dkim_signer *s = dkim_signer_new(h->keys);
	struct dkim_message m = {STR(HEADER), STR("x\r\n"), {0}, STR("books.example"), 1528637909123, NULL};
	struct str out;
	h->good = s != NULL;
	for (int i = 0; i < 200 && h->good; i++) {
		arena_reset(&h->arena);
		h->good = dkim_sign(s, &m, &h->arena, &out, NULL) == 1 && str_eq(out, h->first);
	}
	dkim_signer_free(&s);
	return NULL;
}

static void sign__many_threads_with_the_same_keys__same_bytes(void **state)
{
	struct world w;
	struct hand hands[4];
	(void)state;
	both_keys(&w);
	struct str first = sign(&w, STR(HEADER), STR("x\r\n"), NULL);
	for (int i = 0; i < 4; i++) {
		hands[i] = (struct hand){.keys = w.keys, .first = first};
		arena_init(&hands[i].arena, 4096, 1 << 20);
		assert_int_equal(pthread_create(&hands[i].thread, NULL, sign_many, &hands[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(hands[i].thread, NULL);
		arena_release(&hands[i].arena);
		assert_true(hands[i].good);
	}
	close_world(&w);
}

/* ---- Who signs ---- */

static int try(struct world *w, const char *from)
{
	struct str out;
	struct dkim_message m = {STR(HEADER), STR("x\r\n"), {0}, str_from(from), 0, NULL};
	int rc = dkim_sign(w->signer, &m, &w->arena, &out, NULL);
	assert_int_equal(rc == 1, dkim_keys_serve(w->keys, m.from_domain));
	if (rc == 0)
		assert_ptr_equal(out.p, m.header.p);
	return rc;
}

static void choice__exact_domain_then_nearest_parent(void **state)
{
	struct world w = {0};
	(void)state;
	w.dkim[0] = (struct config_dkim){
		.name = "a", .domain = "books.example", .key = rsa_path, .selector = "a"};
	w.dkim[1] = (struct config_dkim){
		.name = "b", .domain = "mail.books.example", .key = other_path, .selector = "b"};
	w.dkim[2] = (struct config_dkim){
		.name = "c", .domain = "mail.books.example", .key = ed_path, .selector = "c"};
	open_world(&w, 3);
	assert_int_equal(try(&w, "books.example"), 1);
	assert_int_equal(try(&w, "BOOKS.example"), 1);
	assert_int_equal(try(&w, "other.example"), 0);
	assert_int_equal(try(&w, "evilbooks.example"), 0);
	assert_int_equal(try(&w, "example"), 0);
	assert_int_equal(try(&w, ""), 0);
	struct dkim_message m = {STR(HEADER), STR("x\r\n"), {0}, STR("june.mail.books.example"), 0, NULL};
	struct str out;
	assert_int_equal(dkim_sign(w.signer, &m, &w.arena, &out, NULL), 1);
	tag_is(out, 0, "d", "mail.books.example");
	tag_is(out, 1, "s", "c");
	m.from_domain = STR("news.books.example");
	assert_int_equal(dkim_sign(w.signer, &m, &w.arena, &out, NULL), 1);
	tag_is(out, 0, "d", "books.example");
	tag_is(out, 1, "d", "");
	close_world(&w);
}

static void choice__no_dkim_section__nothing_happens(void **state)
{
	struct world w = {0};
	(void)state;
	open_world(&w, 0);
	assert_null(w.keys);
	assert_int_equal(try(&w, "books.example"), 0);
	close_world(&w);
}

static void sign__without_from__is_an_error(void **state)
{
	struct world w;
	struct err e = {0};
	struct str out;
	(void)state;
	both_keys(&w);
	struct dkim_message m = {STR("Subject: x\r\n\r\n"), STR(""), {0}, STR("books.example"), 0, NULL};
	assert_int_equal(dkim_sign(w.signer, &m, &w.arena, &out, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
	close_world(&w);
}

/* ---- Keys that cannot be used ---- */

static void refused(const char *path, const char *why)
{
	struct dkim_key *k;
	struct err e = {0};
	assert_int_equal(dkim_key_read(path, &k, &e), -1);
	assert_null(k);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_true(e.remedy[0] != '\0' || strstr(e.why, "No such file") != NULL);
	if (strstr(e.why, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.why, why);
}

static void refused_text(const char *text, const char *why)
{
	struct dkim_key *k;
	struct err e = {0};
	assert_int_equal(dkim_key_parse(str_from(text), "x.key", &k, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_string_equal(e.file, "x.key");
	if (strstr(e.why, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.why, why);
}

static void refused_made(EVP_PKEY *evp, const char *password, const char *why)
{
	char text[10000] = "";
	BIO *bio = BIO_new(BIO_s_mem());
	assert_non_null(evp);
	PEM_write_bio_PKCS8PrivateKey(bio, evp, password != NULL ? EVP_aes_128_cbc() : NULL, password,
		password != NULL ? 3 : 0, NULL, NULL);
	assert_true(BIO_read(bio, text, sizeof text - 1) > 0);
	refused_text(text, why);
	BIO_free(bio);
	EVP_PKEY_free(evp);
}

static void key__others_may_read_it__is_refused(void **state)
{
	struct dkim_key *k;
	struct err e = {0};
	static const mode_t modes[] = {0604, 0640, 0644, 0602, 0666};
	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod(rsa_path, modes[i]), 0);
		refused(rsa_path, "can be read or changed by others");
	}
	assert_int_equal(chmod(rsa_path, 0400), 0);
	assert_int_equal(dkim_key_read(rsa_path, &k, &e), 0);
	dkim_key_free(&k);
	assert_int_equal(chmod(rsa_path, 0600), 0);
	refused("/nonexistent/x.key", "No such file");
}

static void key__not_usable__says_why(void **state)
{
	(void)state;
	refused_made(EVP_RSA_gen(512), NULL, "has 512 bits");
	refused_made(EVP_EC_gen("P-256"), NULL, "neither an RSA nor an Ed25519");
	refused_made(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "abc", "passphrase");
	refused_text("", "no private key");
	refused_text("v=DKIM1; k=rsa; p=abc", "no private key");
	refused_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key");
}

static void key__1024_bits__signs_with_a_warning(void **state)
{
	struct dkim_key *k;
	struct err e = {0};
	(void)state;
	assert_int_equal(dkim_key_read(small_path, &k, &e), 0);
	assert_int_equal(dkim_key_bits(k), 1024);
	struct buf p = BUF_INIT(1000);
	assert_int_equal(dkim_key_public(k, &p, &e), 0);
	assert_string_equal(buf_cstr(&p), rfc8463_rsa_public);
	buf_release(&p);
	dkim_key_free(&k);
	assert_int_equal(dkim_key_generate(DKIM_RSA, 1024, &k, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
}

static void keys__two_of_a_kind__are_refused(void **state)
{
	struct world w = {0};
	struct err e = {0};
	(void)state;
	w.dkim[0] = (struct config_dkim){
		.name = "a", .domain = "books.example", .key = rsa_path, .selector = "a"};
	w.dkim[1] = (struct config_dkim){.name = "b",
		.domain = "Books.example",
		.key = other_path,
		.selector = "b",
		.at = {"x.conf", 7}};
	w.config = (struct config){.dkim = w.dkim, .ndkim = 2};
	assert_int_equal(dkim_keys_load(&w.config, &w.keys, &e), -1);
	assert_null(w.keys);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_int_equal(e.line, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body__example_of_rfc_6376__is_canonical),
		cmocka_unit_test(lines__with_others_behind__keep_their_empty_ones),
		cmocka_unit_test(body__edges),
		cmocka_unit_test(body__at_random__as_the_plain_rules_say),
		cmocka_unit_test(header__example_of_rfc_6376__is_canonical),
		cmocka_unit_test(header__edges),
		cmocka_unit_test(verifier__rfc_8463__both_signatures_hold),
		cmocka_unit_test(canon__rfc_8463__gives_its_signatures),
		cmocka_unit_test(sign__both_keys__both_verify),
		cmocka_unit_test(sign__a_tail__is_part_of_the_body),
		cmocka_unit_test(sign__names_in_h),
		cmocka_unit_test(sign__lines__are_short),
		cmocka_unit_test(sign__a_field_added_or_changed__breaks_it),
		cmocka_unit_test(sign__equal_inputs__equal_bytes),
		cmocka_unit_test(sign__random_messages__all_verify),
		cmocka_unit_test(sign__many_threads_with_the_same_keys__same_bytes),
		cmocka_unit_test(choice__exact_domain_then_nearest_parent),
		cmocka_unit_test(choice__no_dkim_section__nothing_happens),
		cmocka_unit_test(sign__without_from__is_an_error),
		cmocka_unit_test(key__others_may_read_it__is_refused),
		cmocka_unit_test(key__not_usable__says_why),
		cmocka_unit_test(key__1024_bits__signs_with_a_warning),
		cmocka_unit_test(keys__two_of_a_kind__are_refused),
	};
	return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
