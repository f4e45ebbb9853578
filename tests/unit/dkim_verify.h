/* A plain verifier of DKIM signatures, written apart from the signer: every rule of RFC 6376 that the tests
 * need, one byte at a time. */
#ifndef TESTS_DKIM_VERIFY_H
#define TESTS_DKIM_VERIFY_H

#include "src/base/buf.h"
#include "tests/unit/decode.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>

static bool v_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 6376 3.4.4, line by line. */
static void v_body(struct buf *out, struct str body)
{
	size_t kept = 0;
	while (body.n > 0) {
		size_t n = 0;
		while (n < body.n && !(n + 1 < body.n && body.p[n] == '\r' && body.p[n + 1] == '\n'))
			n++;
		struct str line = str_n(body.p, n);
		size_t used = n + 2 < body.n ? n + 2 : body.n;
		body = str_n(body.p + used, body.n - used);
		while (line.n > 0 && v_blank(line.p[line.n - 1]))
			line.n--;
		for (size_t i = 0; i < line.n; i++)
			if (!v_blank(line.p[i]))
				buf_putc(out, line.p[i]);
			else if (!v_blank(line.p[i + 1]))
				buf_putc(out, ' ');
		buf_puts(out, "\r\n");
		if (line.n > 0)
			kept = out->len;
	}
	out->len = kept;
}

struct v_field {
	struct str whole; /* with its CRLF */
	bool used;
};

static size_t v_split(struct str header, struct v_field *out, size_t max)
{
	size_t n = 0;
	while (header.n > 0 && header.p[0] != '\r' && n < max) {
		size_t end = 0;
		do {
			while (header.p[end++] != '\n')
				;
		} while (end < header.n && v_blank(header.p[end]));
		out[n++] = (struct v_field){str_n(header.p, end), false};
		header = str_n(header.p + end, header.n - end);
	}
	return n;
}

static struct str v_name(struct str field)
{
	size_t n = str_find(field, ':');
	while (n > 0 && v_blank(field.p[n - 1]))
		n--;
	return str_n(field.p, n);
}

/* RFC 6376 3.4.2, with the CRLF. */
static void v_header(struct buf *out, struct str field)
{
	struct str name = v_name(field);
	bool gap = false;
	for (size_t i = 0; i < name.n; i++)
		buf_putc(out, (char)tolower((unsigned char)name.p[i]));
	buf_putc(out, ':');
	size_t start = out->len;
	for (size_t i = str_find(field, ':') + 1; i < field.n; i++) {
		if (isspace((unsigned char)field.p[i])) {
			gap = true;
			continue;
		}
		if (gap && out->len > start)
			buf_putc(out, ' ');
		gap = false;
		buf_putc(out, field.p[i]);
	}
	buf_puts(out, "\r\n");
}

/* The tag's value without any white space. */
static void v_tag(struct str field, const char *tag, struct buf *out)
{
	size_t colon = str_find(field, ':') + 1;
	struct str rest = str_n(field.p + colon, field.n - colon);
	while (rest.n > 0) {
		size_t n = str_find(rest, ';');
		struct str one = str_trim(str_n(rest.p, n));
		size_t eq = str_find(one, '=');
		if (eq < one.n && str_is(str_trim(str_n(one.p, eq)), tag))
			for (size_t i = eq + 1; i < one.n; i++)
				if (!isspace((unsigned char)one.p[i]))
					buf_putc(out, one.p[i]);
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	buf_cstr(out);
}

/* The signature itself, b= emptied, without the last CRLF. */
static void v_own(struct buf *out, struct str field)
{
	struct buf plain = BUF_INIT(1 << 20);
	size_t b = 0;
	for (size_t i = 1; i + 1 < field.n; i++)
		if (field.p[i] == 'b' && field.p[i + 1] == '=' &&
			(isspace((unsigned char)field.p[i - 1]) || field.p[i - 1] == ';'))
			b = i + 2;
	struct str tail = str_n(field.p + b, field.n - b);
	size_t end = str_find(tail, ';');
	buf_add(&plain, field.p, b);
	buf_add(&plain, tail.p + end, tail.n - end);
	v_header(out, buf_get(&plain));
	out->len -= 2;
	buf_release(&plain);
}

/* Verifies field `at` of the header, a DKIM-Signature, with the public key. */
static bool v_verify(struct str header, struct str body, size_t at, EVP_PKEY *key)
{
	static struct v_field f[4096];
	size_t n = v_split(header, f, 4096);
	struct buf canon = BUF_INIT(16 << 20), tag = BUF_INIT(1 << 20);
	unsigned char hash[32], want[64], sig[1100];
	bool ok = at < n;
	v_body(&canon, body);
	EVP_Digest(buf_cstr(&canon), canon.len, hash, NULL, EVP_sha256(), NULL);
	v_tag(f[at].whole, "bh", &tag);
	ok = ok && decode_base64(buf_get(&tag), want, sizeof want) == 32 && memcmp(want, hash, 32) == 0;
	buf_clear(&canon);
	buf_clear(&tag);
	v_tag(f[at].whole, "h", &tag);
	for (struct str rest = buf_get(&tag); rest.n > 0;) {
		size_t len = str_find(rest, ':');
		for (size_t i = n; i-- > 0;) {
			struct str name = v_name(f[i].whole);
			if (f[i].used || name.n != len || strncasecmp(name.p, rest.p, len) != 0)
				continue;
			f[i].used = true;
			v_header(&canon, f[i].whole);
			break;
		}
		rest = len < rest.n ? str_n(rest.p + len + 1, rest.n - len - 1) : str_n(rest.p, 0);
	}
	v_own(&canon, f[at].whole);
	buf_clear(&tag);
	v_tag(f[at].whole, "b", &tag);
	size_t sign = decode_base64(buf_get(&tag), sig, sizeof sig);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	if (EVP_PKEY_is_a(key, "ED25519")) {
		EVP_Digest(buf_cstr(&canon), canon.len, hash, NULL, EVP_sha256(), NULL);
		ok = ok && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
		     EVP_DigestVerify(c, sig, sign, hash, sizeof hash) == 1;
	} else {
		ok = ok && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
		     EVP_DigestVerify(c, sig, sign, (unsigned char *)canon.p, canon.len) == 1;
	}
	EVP_MD_CTX_free(c);
	buf_release(&canon);
	buf_release(&tag);
	return ok;
}

#endif
