/* What writing and reading a backup share. */
#ifndef SERVE_BACKUP_PRIVATE_H
#define SERVE_BACKUP_PRIVATE_H

#include "src/base/hash.h"
#include "src/base/tar.h"
#include "src/serve/backup.h"

#include <openssl/evp.h>

#define BACKUP_MANIFEST "backup.json"
#define BACKUP_SUMS     "SHA256SUMS"
#define BACKUP_OUTSIDE  "outside"
#define BACKUP_ABOUT    "a backup of Postrider; `postrider restore` brings it back"
#define BACKUP_FORMAT   1
#define BACKUP_SYNC     (8u << 20)

struct backup_sum {
	EVP_MD_CTX *md;
};

/* Without memory the sum stays empty, which fits nothing. */
static inline void backup_sum_begin(struct backup_sum *s)
{
	s->md = EVP_MD_CTX_new();
	if (s->md != NULL)
		EVP_DigestInit_ex(s->md, EVP_sha256(), NULL);
}

static inline void backup_sum_add(struct backup_sum *s, const void *p, size_t n)
{
	if (s->md != NULL)
		EVP_DigestUpdate(s->md, p, n);
}

static inline void backup_sum_end(struct backup_sum *s, char hex[2 * SHA256_LEN + 1])
{
	unsigned char sum[SHA256_LEN];
	hex[0] = '\0';
	if (s->md != NULL && EVP_DigestFinal_ex(s->md, sum, NULL) == 1)
		hex_encode(sum, sizeof sum, hex);
	EVP_MD_CTX_free(s->md);
	s->md = NULL;
}

static inline const char *backup_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text != NULL ? text : "";
}

static inline int backup_tell(
	const struct backup_watch *w, const char *what, int64_t done, int64_t of, struct err *e)
{
	if (w == NULL || w->progress == NULL || w->progress(w->ctx, what, done, of) == 0)
		return 0;
	return err_set(e, ERR_AGAIN, "interrupted", "nothing was changed");
}

#endif
