#include "engine/dkim/sign.h"

#include "engine/dkim/canon.h"
#include "src/base/hash.h"
#include "src/base/log.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LINE_COLUMNS = 78,
	SIGNATURE_MAX = DKIM_RSA_MAX / 8,
	HEADER_MAX = 4 << 20,
	FIELDS_MAX = 20000,
};

struct identity {
	const char *domain, *selector; /* lower case */
	struct dkim_key *key;
};

struct dkim_keys {
	struct identity *v;
	size_t n;
	struct arena arena;
};

/* ---- Keys ---- */

static const char *lower(struct arena *a, const char *text)
{
	char *s = arena_strdup(a, text);
	for (char *p = s; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static const struct identity *find_kind(const struct dkim_keys *k, const char *domain, enum dkim_type type)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->v[i].domain, domain) == 0 && dkim_key_type(k->v[i].key) == type)
			return &k->v[i];
	return NULL;
}

static int identity_load(struct dkim_keys *k, const struct config_dkim *c, struct err *e)
{
	struct identity id = {lower(&k->arena, c->domain), lower(&k->arena, c->selector), NULL};
	if (k->arena.failed)
		return err_set(e, ERR_INTERNAL, "DKIM key", "out of memory");
	if (dkim_key_read(c->key, &id.key, e) != 0)
		return -1;
	enum dkim_type type = dkim_key_type(id.key);
	int bits = dkim_key_bits(id.key);
	const struct identity *other = find_kind(k, id.domain, type);
	k->v[k->n++] = id;
	if (other != NULL) {
		err_set(e, ERR_CONFIG, "DKIM key",
			"%s has two %s keys, with the selectors %s and %s; one of a kind signs", id.domain,
			dkim_type_names[type], other->selector, id.selector);
		err_remedy(e, "leave the [dkim] section whose record is published");
		return err_at(e, c->at.file, c->at.line);
	}
	if (type == DKIM_RSA && bits < DKIM_RSA_GOOD)
		log_warn("[dkim %s]: the key has only %d bits, %d are usual; `postrider dkim keygen %s` "
			 "makes a new one",
			c->name, bits, DKIM_RSA_GOOD, id.domain);
	return 0;
}

int dkim_keys_load(const struct config *c, struct dkim_keys **out, struct err *e)
{
	*out = NULL;
	if (c->ndkim == 0)
		return 0;
	struct dkim_keys *k = calloc(1, sizeof *k);
	if (k != NULL)
		k->v = calloc(c->ndkim, sizeof *k->v);
	if (k == NULL || k->v == NULL) {
		free(k);
		return err_set(e, ERR_INTERNAL, "DKIM key", "out of memory");
	}
	arena_init(&k->arena, 1024, 1 << 20);
	for (size_t i = 0; i < c->ndkim; i++) {
		if (identity_load(k, &c->dkim[i], e) != 0) {
			dkim_keys_free(&k);
			return -1;
		}
	}
	*out = k;
	return 0;
}

void dkim_keys_free(struct dkim_keys **k)
{
	if (*k == NULL)
		return;
	for (size_t i = 0; i < (*k)->n; i++)
		dkim_key_free(&(*k)->v[i].key);
	arena_release(&(*k)->arena);
	free((*k)->v);
	free(*k);
	*k = NULL;
}

static bool same_or_below(struct str domain, struct str parent)
{
	if (domain.n < parent.n || strncasecmp(domain.p + domain.n - parent.n, parent.p, parent.n) != 0)
		return false;
	return domain.n == parent.n || domain.p[domain.n - parent.n - 1] == '.';
}

/* The configured domain that signs for mail from that one; NULL: none. */
static const char *signing_domain(const struct dkim_keys *k, struct str from)
{
	const char *best = NULL;
	size_t most = 0;
	for (size_t i = 0; k != NULL && i < k->n; i++) {
		struct str d = str_from(k->v[i].domain);
		if (d.n <= most || !same_or_below(from, d))
			continue;
		best = k->v[i].domain;
		most = d.n;
	}
	return best;
}

bool dkim_keys_serve(const struct dkim_keys *k, struct str from_domain)
{
	return signing_domain(k, from_domain) != NULL;
}

/* ---- The signer ---- */

/* What signs with one key, made when it is first used and kept: looking an algorithm up and preparing a key
 * cost more than a short hash. The copy of the key is the signer's own, as RSA's blinding has a lock in each
 * key. */
struct ready {
	EVP_PKEY *key;
	EVP_PKEY_CTX *rsa;
	EVP_MD_CTX *ed25519;
};

struct dkim_signer {
	const struct dkim_keys *keys;
	EVP_MD *sha256;
	EVP_MD_CTX *hash;
	struct ready *ready; /* of each key */
	struct dkim_field *fields;
	size_t nfields, cap;
	struct buf names; /* h= */
	struct buf canon; /* of the fields in h=, then of the signature that is being made */
	struct buf line;  /* the signatures, as they go out */
};

struct dkim_signer *dkim_signer_new(const struct dkim_keys *k)
{
	struct dkim_signer *s = calloc(1, sizeof *s);
	if (s == NULL || k == NULL)
		return s;
	s->keys = k;
	s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	s->hash = EVP_MD_CTX_new();
	s->ready = calloc(k->n + 1, sizeof *s->ready);
	buf_init(&s->names, HEADER_MAX);
	buf_init(&s->canon, HEADER_MAX);
	buf_init(&s->line, HEADER_MAX);
	if (s->sha256 == NULL || s->hash == NULL || s->ready == NULL)
		dkim_signer_free(&s);
	return s;
}

static void ready_free(struct ready *r)
{
	EVP_PKEY_CTX_free(r->rsa);
	EVP_MD_CTX_free(r->ed25519);
	EVP_PKEY_free(r->key);
	*r = (struct ready){0};
}

void dkim_signer_free(struct dkim_signer **sp)
{
	struct dkim_signer *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; s->ready != NULL && i < s->keys->n; i++)
		ready_free(&s->ready[i]);
	free(s->ready);
	EVP_MD_CTX_free(s->hash);
	EVP_MD_free(s->sha256);
	free(s->fields);
	buf_release(&s->names);
	buf_release(&s->canon);
	buf_release(&s->line);
	free(s);
	*sp = NULL;
}

static int failed(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "DKIM signature", "out of memory, or OpenSSL refused");
}

/* ---- Which fields ---- */

static const char *const oversigned[] = {"From", "To", "Subject", "Date", "Reply-To", "Content-Type", NULL};
static const char *const others[] = {"Sender", "Cc", "Message-ID", "In-Reply-To", "References", "Feedback-ID",
	"CFBL-Address", "CFBL-Feedback-ID", "Auto-Submitted", NULL};

static bool one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_is_nocase(name, *names))
			return true;
	return false;
}

static bool begins(struct str name, const char *prefix)
{
	size_t n = strlen(prefix);
	return name.n > n && strncasecmp(name.p, prefix, n) == 0;
}

/* Names that could end h= are left out, whoever invented them. */
static bool nameable(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) && name.p[i] != '-' && name.p[i] != '_')
			return false;
	return name.n > 0;
}

static bool is_rewritten(struct str name, const char *list)
{
	struct str rest = str_from(list);
	if (str_is_nocase(name, "From"))
		return false;
	while (rest.n > 0) {
		size_t n = str_find(rest, ':');
		struct str one = str_n(rest.p, n);
		if (one.n == name.n && strncasecmp(one.p, name.p, n) == 0)
			return true;
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	return false;
}

static bool is_signed(struct str name, const char *rewritten)
{
	if (!begins(name, "List-") && !begins(name, "Content-") && !begins(name, "MIME-") &&
		!one_of(name, oversigned) && !one_of(name, others))
		return false;
	return nameable(name) && !is_rewritten(name, rewritten);
}

static int read_fields(struct dkim_signer *s, struct str header)
{
	s->nfields = 0;
	for (struct dkim_field f; dkim_field_next(&header, &f);) {
		if (s->nfields == s->cap) {
			size_t cap = s->cap == 0 ? 64 : s->cap * 2;
			struct dkim_field *v =
				cap <= FIELDS_MAX * 2 ? realloc(s->fields, cap * sizeof *v) : NULL;
			if (v == NULL)
				return -1;
			s->fields = v;
			s->cap = cap;
		}
		s->fields[s->nfields++] = f;
	}
	return 0;
}

static void name_field(struct dkim_signer *s, struct str name)
{
	buf_puts(&s->names, s->names.len > 0 ? ":" : "h=");
	buf_str(&s->names, name);
}

/* From the last field to the first: of fields with one name h= counts from the bottom (RFC 6376 5.4.2). -1:
 * no From. */
static int choose_fields(struct dkim_signer *s, const char *rewritten)
{
	bool from = false;
	buf_clear(&s->names);
	buf_clear(&s->canon);
	for (size_t i = s->nfields; i-- > 0;) {
		const struct dkim_field *f = &s->fields[i];
		if (!is_signed(f->name, rewritten))
			continue;
		from = from || str_is_nocase(f->name, "From");
		name_field(s, f->name);
		dkim_canon_field(&s->canon, f);
		buf_puts(&s->canon, "\r\n");
	}
	/* Once more than there are: one added on the way breaks the signature (5.4, 8.15). */
	for (size_t i = s->nfields; i-- > 0;)
		if (begins(s->fields[i].name, "List-") && is_signed(s->fields[i].name, rewritten))
			name_field(s, s->fields[i].name);
	for (const char *const *o = oversigned; *o != NULL; o++)
		if (!is_rewritten(str_from(*o), rewritten))
			name_field(s, str_from(*o));
	buf_putc(&s->names, ';');
	return from ? 0 : -1;
}

/* ---- Hashes and signatures ---- */

struct hashing {
	EVP_MD_CTX *ctx;
	bool failed;
};

static void hash_piece(void *ctx, const char *p, size_t n)
{
	struct hashing *h = ctx;
	h->failed = h->failed || EVP_DigestUpdate(h->ctx, p, n) != 1;
}

static int hash_body(struct dkim_signer *s, const struct dkim_message *m, char bh[48])
{
	unsigned char out[SHA256_LEN];
	struct hashing h = {s->hash, EVP_DigestInit_ex2(s->hash, s->sha256, NULL) != 1};
	if (m->tail.n != 0)
		dkim_canon_lines(m->body, hash_piece, &h);
	dkim_canon_body(m->tail.n != 0 ? m->tail : m->body, hash_piece, &h);
	if (h.failed || EVP_DigestFinal_ex(s->hash, out, NULL) != 1)
		return -1;
	EVP_EncodeBlock((unsigned char *)bh, out, sizeof out);
	return 0;
}

static bool rsa_make(struct ready *r, const EVP_MD *md)
{
	r->rsa = EVP_PKEY_CTX_new_from_pkey(NULL, r->key, NULL);
	return r->rsa != NULL && EVP_PKEY_sign_init(r->rsa) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(r->rsa, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(r->rsa, md) == 1;
}

static bool ed25519_make(struct ready *r)
{
	r->ed25519 = EVP_MD_CTX_new();
	return r->ed25519 != NULL && EVP_DigestSignInit(r->ed25519, NULL, NULL, NULL, r->key) == 1;
}

static struct ready *ready_of(struct dkim_signer *s, size_t key)
{
	struct ready *r = &s->ready[key];
	const struct dkim_key *k = s->keys->v[key].key;
	if (r->key != NULL)
		return r;
	r->key = EVP_PKEY_dup(dkim_key_evp(k));
	if (r->key != NULL && (dkim_key_type(k) == DKIM_RSA ? rsa_make(r, s->sha256) : ed25519_make(r)))
		return r;
	ready_free(r);
	return NULL;
}

static int sign_hash(struct dkim_signer *s, size_t key, const unsigned char hash[SHA256_LEN],
	unsigned char *out, size_t *n)
{
	struct ready *r = ready_of(s, key);
	if (r == NULL)
		return -1;
	if (r->rsa != NULL)
		return EVP_PKEY_sign(r->rsa, out, n, hash, SHA256_LEN) == 1 ? 0 : -1;
	/* Ed25519 signs the hash as if it were the message (RFC 8463 3). Without a key: with the one it has.
	 */
	return EVP_DigestSignInit(r->ed25519, NULL, NULL, NULL, NULL) == 1 &&
			       EVP_DigestSign(r->ed25519, out, n, hash, SHA256_LEN) == 1
		       ? 0
		       : -1;
}

/* ---- The DKIM-Signature field ---- */

struct fold {
	struct buf *out;
	size_t col;
};

/* Something that must not be broken, behind a blank (`gap`) or on a line of its own. */
static void fold_add(struct fold *f, const char *p, size_t n, bool gap)
{
	if (f->col + gap + n > LINE_COLUMNS && f->col > 1) {
		buf_puts(f->out, "\r\n ");
		f->col = 1;
	} else if (gap) {
		buf_putc(f->out, ' ');
		f->col++;
	}
	buf_add(f->out, p, n);
	f->col += n;
}

static void fold_tag(struct fold *f, const char *name, const char *value)
{
	char text[300];
	int n = snprintf(text, sizeof text, "%s=%s;", name, value);
	fold_add(f, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, true);
}

/* "h=From:To:…;": it may be folded behind each colon. */
static void fold_names(struct fold *f, struct str names)
{
	for (bool first = true; names.n > 0; first = false) {
		size_t n = str_find(names, ':');
		n += n < names.n;
		fold_add(f, names.p, n, first);
		names = str_n(names.p + n, names.n - n);
	}
}

static void fold_base64(struct fold *f, const char *p, size_t n)
{
	while (n > 0) {
		if (f->col >= LINE_COLUMNS) {
			buf_puts(f->out, "\r\n ");
			f->col = 1;
		}
		size_t room = LINE_COLUMNS - f->col, take = n < room ? n : room;
		buf_add(f->out, p, take);
		f->col += take;
		p += take;
		n -= take;
	}
	buf_puts(f->out, "\r\n");
}

static int add_signature(struct dkim_signer *s, size_t key, const char *bh, ms_t now, struct err *e)
{
	static const char *const algorithms[] = {"rsa-sha256", "ed25519-sha256"};
	const struct identity *id = &s->keys->v[key];
	size_t start = s->line.len, kept = s->canon.len, n = SIGNATURE_MAX;
	unsigned char hash[SHA256_LEN], sig[SIGNATURE_MAX];
	char t[24], b[SIGNATURE_MAX / 3 * 4 + 8];
	struct fold f = {&s->line, 0};
	snprintf(t, sizeof t, "%lld", (long long)(now / 1000));
	fold_add(&f, "DKIM-Signature:", strlen("DKIM-Signature:"), false);
	fold_tag(&f, "v", "1");
	fold_tag(&f, "a", algorithms[dkim_key_type(id->key)]);
	fold_tag(&f, "c", "relaxed/relaxed");
	fold_tag(&f, "d", id->domain);
	fold_tag(&f, "s", id->selector);
	fold_tag(&f, "t", t);
	fold_tag(&f, "bh", bh);
	fold_names(&f, buf_get(&s->names));
	fold_add(&f, "b=", 2, true);
	if (s->line.failed)
		return failed(e);
	struct str own = str_n(s->line.p + start, s->line.len - start);
	struct dkim_field field;
	dkim_field_next(&own, &field);
	dkim_canon_field(&s->canon, &field);
	bool ok = !s->canon.failed && EVP_DigestInit_ex2(s->hash, s->sha256, NULL) == 1 &&
		  EVP_DigestUpdate(s->hash, s->canon.p, s->canon.len) == 1 &&
		  EVP_DigestFinal_ex(s->hash, hash, NULL) == 1 && sign_hash(s, key, hash, sig, &n) == 0;
	s->canon.len = kept;
	if (!ok)
		return failed(e);
	fold_base64(&f, b, (size_t)EVP_EncodeBlock((unsigned char *)b, sig, (int)n));
	return 0;
}

int dkim_sign(
	struct dkim_signer *s, const struct dkim_message *m, struct arena *a, struct str *out, struct err *e)
{
	char bh[48];
	const char *domain = signing_domain(s->keys, m->from_domain);
	*out = m->header;
	if (domain == NULL)
		return 0;
	if (read_fields(s, m->header) != 0)
		return failed(e);
	if (choose_fields(s, m->rewritten) != 0)
		return err_set(e, ERR_DATA, "DKIM signature", "the message has no From");
	if (s->names.failed || s->canon.failed || hash_body(s, m, bh) != 0)
		return failed(e);
	buf_clear(&s->line);
	for (size_t i = 0; i < s->keys->n; i++)
		if (strcmp(s->keys->v[i].domain, domain) == 0 && add_signature(s, i, bh, m->now, e) != 0)
			return -1;
	char *p = arena_bytes(a, s->line.len + m->header.n + 1);
	if (p == NULL || s->line.failed)
		return failed(e);
	memcpy(p, s->line.p, s->line.len);
	memcpy(p + s->line.len, m->header.p, m->header.n);
	*out = str_n(p, s->line.len + m->header.n);
	return 1;
}
