/* Any bytes as body, header and DNS record: the canonical body is that of the plain rules, what is signed
 * verifies, and nothing but a key passes for one. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/dkim/canon.h"
#include "engine/dkim/record.h"
#include "engine/dkim/sign.h"
#include "src/base/file.h"
#include "tests/unit/dkim_verify.h"

static struct dkim_key *key;
static struct dkim_signer *signer;

static void must(int good)
{
	if (!good)
		abort();
}

static void open_signer(void)
{
	static struct dkim_keys *keys;
	char path[] = "/tmp/postrider-fuzz-dkim-XXXXXX";
	struct config_dkim one = {.name = "pr1", .domain = "books.example", .selector = "pr1", .key = path};
	struct config c = {.dkim = &one, .ndkim = 1};
	struct buf pem = BUF_INIT(10000);
	int fd = mkstemp(path);
	must(fd >= 0 && dkim_key_generate(DKIM_ED25519, 0, &key, NULL) == 0 &&
		dkim_key_pem(key, &pem, NULL) == 0);
	must(write(fd, pem.p, pem.len) == (ssize_t)pem.len && dkim_keys_load(&c, &keys, NULL) == 0);
	close(fd);
	unlink(path);
	buf_release(&pem);
	signer = dkim_signer_new(keys);
}

static void put(void *ctx, const char *p, size_t n)
{
	buf_add(ctx, p, n);
}

/* Split behind any line, the two pieces are canonical as the whole is, if the second is not all empty. */
static void check_split(struct str raw, const struct buf *plain)
{
	for (size_t i = 2; i < raw.n; i += 1 + i / 4) {
		struct str tail = str_n(raw.p + i, raw.n - i);
		struct buf ours = BUF_INIT(1 << 20), rest = BUF_INIT(1 << 20);
		dkim_canon_body(tail, put, &rest);
		if (rest.len != 0 && raw.p[i - 1] == '\n' && raw.p[i - 2] == '\r') {
			dkim_canon_lines(str_n(raw.p, i), put, &ours);
			buf_str(&ours, buf_get(&rest));
			must(ours.failed || str_eq(buf_get(&ours), buf_get(plain)));
		}
		buf_release(&ours);
		buf_release(&rest);
	}
}

static void check_body(struct str raw)
{
	struct buf ours = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
	dkim_canon_body(raw, put, &ours);
	v_body(&plain, raw);
	check_split(raw, &plain);
	must(ours.len == plain.len && (plain.len == 0 || memcmp(ours.p, plain.p, plain.len) == 0));
	buf_release(&ours);
	buf_release(&plain);
}

static void check_fields(struct str raw)
{
	struct buf out = BUF_INIT(1 << 20);
	for (struct dkim_field f; dkim_field_next(&raw, &f);) {
		size_t start = out.len;
		dkim_canon_field(&out, &f);
		must(memchr(out.p + start, '\n', out.len - start) == NULL);
	}
	buf_release(&out);
}

static void drop(void *ctx, const struct dkim_finding *f)
{
	(void)ctx;
	must(f->id != NULL && strlen(f->text) < sizeof f->text);
}

/* As a message that could be composed: lines end with CRLF, no other control characters but tabs, and there
 * is a From. */
static void check_signature(struct str raw)
{
	struct buf m = BUF_INIT(1 << 20);
	struct arena a;
	struct str out;
	buf_puts(&m, "From: news@books.example\r\n");
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '\n')
			buf_putc(&m, '\r');
		if ((unsigned char)raw.p[i] >= ' ' || raw.p[i] == '\t' || raw.p[i] == '\n')
			buf_putc(&m, raw.p[i]);
	}
	buf_puts(&m, "\r\n\r\n");
	size_t end = (size_t)(strstr(m.p, "\r\n\r\n") + 4 - m.p);
	struct dkim_message d = {.header = str_n(m.p, end),
		.body = str_n(m.p + end, m.len - end),
		.from_domain = STR("books.example"),
		.now = 1000};
	arena_init(&a, 4096, 16 << 20);
	must(dkim_sign(signer, &d, &a, &out, NULL) == 1);
	must(v_verify(out, d.body, 0, dkim_key_evp(key)));
	arena_release(&a);
	buf_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 8192)
		return 0;
	if (signer == NULL)
		open_signer();
	struct str raw = str_n((const char *)data, size), records[2] = {raw, str_n(raw.p, size / 2)};
	check_body(raw);
	check_fields(raw);
	check_signature(raw);
	must(dkim_record_check(key, records, 1, drop, NULL) == DKIM_FAIL);
	dkim_record_check(key, records, 2, drop, NULL);
	return 0;
}
