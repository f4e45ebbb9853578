#include "engine/dkim/record.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { STRING_MAX = 255, TAGS_MAX = 32, RECORD_MAX = 16 << 10 };

const char *const dkim_severity_names[] = {"pass", "info", "warn", "fail"};

/* ---- Writing ---- */

int dkim_record_text(const struct dkim_key *k, struct buf *out, struct err *e)
{
	buf_printf(out, "v=DKIM1; k=%s; p=", dkim_type_names[dkim_key_type(k)]);
	return dkim_key_public(k, out, e);
}

void dkim_record_zone(const char *name, struct str text, struct buf *out)
{
	bool one = text.n <= STRING_MAX;
	buf_printf(out, "%s. IN TXT %s", name, one ? "" : "( ");
	while (text.n > 0) {
		size_t n = text.n < STRING_MAX ? text.n : STRING_MAX;
		buf_printf(out, "\"%.*s\"", (int)n, text.p);
		text = str_n(text.p + n, text.n - n);
		if (text.n > 0)
			buf_puts(out, "\n\t");
	}
	buf_puts(out, one ? "\n" : " )\n");
}

/* ---- Reading ---- */

struct judge {
	const struct dkim_key *key;
	void (*found)(void *ctx, const struct dkim_finding *f);
	void *ctx;
	enum dkim_severity worst;
};

__attribute__((format(printf, 5, 6))) static void find(struct judge *j, enum dkim_severity severity,
	const char *id, const char *remedy, const char *fmt, ...)
{
	struct dkim_finding f = {.id = id, .severity = severity};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(f.text, sizeof f.text, fmt, ap);
	va_end(ap);
	snprintf(f.remedy, sizeof f.remedy, "%s", remedy);
	if (severity > j->worst)
		j->worst = severity;
	j->found(j->ctx, &f);
}

static const char *const PUBLISH = "publish the record that `postrider dkim show` prints";

struct tag {
	struct str name, value;
};

/* tag=value; tag=value (RFC 6376 3.2). -1: it is no such list. */
static int read_tags(struct str s, struct tag *tags)
{
	int n = 0;
	while (str_trim(s).n > 0) {
		size_t end = str_find(s, ';');
		struct str one = str_trim(str_n(s.p, end));
		size_t eq = str_find(one, '=');
		s = end < s.n ? str_n(s.p + end + 1, s.n - end - 1) : str_n(s.p, 0);
		struct tag t = {str_trim(str_n(one.p, eq)), {0}};
		if (eq == one.n || t.name.n == 0 || n == TAGS_MAX)
			return -1;
		for (size_t i = 0; i < t.name.n; i++)
			if (!isalnum((unsigned char)t.name.p[i]) && t.name.p[i] != '_')
				return -1;
		t.value = str_trim(str_n(one.p + eq + 1, one.n - eq - 1));
		for (int i = 0; i < n; i++)
			if (str_eq(tags[i].name, t.name))
				return -1;
		tags[n++] = t;
	}
	return n;
}

static const struct str *get(const struct tag *tags, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (str_is(tags[i].name, name))
			return &tags[i].value;
	return NULL;
}

/* Is `word` (or, if not NULL, `other`) in a list separated by colons? */
static bool lists(struct str list, const char *word, const char *other)
{
	for (;;) {
		size_t n = str_find(list, ':');
		struct str one = str_trim(str_n(list.p, n));
		if (str_is(one, word) || (other != NULL && str_is(one, other)))
			return true;
		if (n == list.n)
			return false;
		list = str_n(list.p + n + 1, list.n - n - 1);
	}
}

/* Blanks within are allowed. Bytes written to `out`, which has room for s.n; 0: not base64. */
static size_t decode(struct str s, unsigned char *out)
{
	struct buf clean = BUF_INIT(RECORD_MAX + 8);
	size_t pad = 0, n = 0;
	for (size_t i = 0; i < s.n; i++)
		if (!isspace((unsigned char)s.p[i]))
			buf_putc(&clean, s.p[i]);
	while (pad < 2 && pad < clean.len && clean.p[clean.len - 1 - pad] == '=')
		pad++;
	if (!clean.failed && clean.len > 0 && clean.len % 4 == 0) {
		int got = EVP_DecodeBlock(out, (const unsigned char *)clean.p, (int)clean.len);
		n = got > (int)pad ? (size_t)got - pad : 0;
	}
	buf_release(&clean);
	return n;
}

static void judge_key(struct judge *j, struct str p)
{
	unsigned char raw[RECORD_MAX];
	int bits;
	size_t n = decode(p, raw);
	if (n == 0) {
		find(j, DKIM_FAIL, "dkim-key-malformed", PUBLISH,
			"p= is not base64: it was cut or changed on the way into the DNS");
		return;
	}
	switch (dkim_key_compare(j->key, str_n((const char *)raw, n), &bits)) {
	case DKIM_NOT_A_KEY:
		find(j, DKIM_FAIL, "dkim-key-malformed", PUBLISH,
			"p= holds no %s key: it was cut or changed on the way into the DNS",
			dkim_type_names[dkim_key_type(j->key)]);
		return;
	case DKIM_OTHER_KEY:
		find(j, DKIM_FAIL, "dkim-key-other",
			"publish the record that `postrider dkim show` prints, or give this key a selector "
			"of its own",
			"p= belongs to another private key: no signature of ours would verify");
		return;
	case DKIM_MATCH:
		break;
	}
	if (dkim_key_type(j->key) == DKIM_RSA && bits < DKIM_RSA_GOOD)
		find(j, DKIM_WARN, "dkim-key-small", "`postrider dkim keygen` makes a key of 2048 bits",
			"the key has %d bits; %d are usual today", bits, DKIM_RSA_GOOD);
}

static void judge_tags(struct judge *j, const struct tag *tags, int n)
{
	const struct str *v = get(tags, n, "v"), *k = get(tags, n, "k"), *h = get(tags, n, "h"),
			 *s = get(tags, n, "s"), *t = get(tags, n, "t"), *p = get(tags, n, "p");
	const char *type = dkim_type_names[dkim_key_type(j->key)];
	if (v != NULL && (!str_is(*v, "DKIM1") || v != &tags[0].value))
		find(j, DKIM_FAIL, "dkim-record-version", PUBLISH,
			"v= must come first and be DKIM1, else the record is not used");
	if (k == NULL ? dkim_key_type(j->key) != DKIM_RSA : !str_is(*k, type))
		find(j, DKIM_FAIL, "dkim-key-type", PUBLISH, "k= says %.*s, and the private key is %s",
			k != NULL ? (int)(k->n < 40 ? k->n : 40) : 3, k != NULL ? k->p : "rsa", type);
	if (h != NULL && !lists(*h, "sha256", NULL))
		find(j, DKIM_FAIL, "dkim-record-hash", "leave h= out",
			"h= does not allow sha256, the only hash that is signed with");
	if (s != NULL && !lists(*s, "*", "email"))
		find(j, DKIM_FAIL, "dkim-record-service", "leave s= out",
			"s= does not allow the key for email");
	if (t != NULL && lists(*t, "y", NULL))
		find(j, DKIM_WARN, "dkim-record-testing", "leave t=y out when the signatures verify",
			"t=y says the domain is only testing: receivers treat its mail as unsigned");
	if (p == NULL)
		find(j, DKIM_FAIL, "dkim-record-malformed", PUBLISH, "there is no p=, the key itself");
	else if (p->n == 0)
		find(j, DKIM_FAIL, "dkim-key-revoked",
			"make a new key under another selector: `postrider dkim keygen`",
			"p= is empty: the key was revoked, and every signature by it fails");
	else if (k == NULL || str_is(*k, type))
		judge_key(j, *p);
}

static void judge_record(struct judge *j, struct str r)
{
	struct tag tags[TAGS_MAX];
	if (r.n > RECORD_MAX) {
		find(j, DKIM_FAIL, "dkim-record-malformed", PUBLISH, "the record has %zu octets", r.n);
		return;
	}
	if (str_find(r, '"') < r.n || str_find(r, '\\') < r.n) {
		find(j, DKIM_FAIL, "dkim-record-quotes",
			"enter the one-line form that `postrider dkim show` prints, as it stands",
			"the record has quotation marks or backslashes in its text");
		return;
	}
	int n = read_tags(r, tags);
	if (n <= 0)
		find(j, DKIM_FAIL, "dkim-record-malformed", PUBLISH,
			"the record is no list of tag=value; \"%.*s\"", (int)(r.n < 60 ? r.n : 60), r.p);
	else
		judge_tags(j, tags, n);
}

/* Something else may stand at the name too, by a wildcard say. Pieces of a key count as ours: they were
 * entered apart. */
static bool is_ours(struct str r)
{
	static const char *const foreign[] = {"v=spf1", "v=DMARC1", "google-site-verification", "MS="};
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
		if (str_starts(r, str_from(foreign[i])))
			return false;
	return true;
}

enum dkim_severity dkim_record_check(const struct dkim_key *k, const struct str *records, size_t n,
	void (*found)(void *ctx, const struct dkim_finding *f), void *ctx)
{
	struct judge j = {k, found, ctx, DKIM_PASS};
	size_t ours = 0, at = 0;
	for (size_t i = 0; i < n; i++) {
		if (!is_ours(records[i]))
			continue;
		ours++;
		at = i;
	}
	if (n > ours)
		find(&j, DKIM_WARN, "dkim-record-foreign",
			"remove what does not belong to DKIM from this name",
			"%zu other TXT records stand at the same name (a wildcard?)", n - ours);
	if (ours == 0)
		find(&j, DKIM_FAIL, "dkim-record-missing", PUBLISH, "there is no DKIM record");
	else if (ours > 1)
		find(&j, DKIM_FAIL, "dkim-record-several",
			"leave one TXT record; a long one is one record of several strings, not several "
			"records",
			"%zu DKIM records: which one a receiver takes is chance (RFC 6376 3.6.2.2)", ours);
	else
		judge_record(&j, records[at]);
	if (j.worst < DKIM_FAIL)
		find(&j, DKIM_PASS, "dkim-record", "", "the record belongs to the private key (%s, %d bits)",
			dkim_type_names[dkim_key_type(k)], dkim_key_bits(k));
	return j.worst;
}
