/* What mailing services report in their own forms: events as JSON (Amazon SES, bare or by SNS; SendGrid,
 * Mailgun, Postmark, Mailjet, Brevo, SparkPost), and the lists of errors as CSV that Japanese services give
 * out. Each event becomes findings like those of a returned message (reader.h); the reply that the service
 * quotes is judged by the same rules, and where it quotes none its own word counts (rules.conf, provider
 * `notice`).
 *
 * `verified` says that a signature over the event was checked here. Without one the operator must vouch for
 * the source. Bytes in, findings out; only a certificate may be fetched, by the function that the caller
 * gives. */
#ifndef ENGINE_BOUNCE_PROVIDER_H
#define ENGINE_BOUNCE_PROVIDER_H

#include "engine/bounce/reader.h"
#include "src/base/buf.h"
#include "src/base/err.h"

#define PROVIDER_BYTES (64 << 20) /* of one file */

struct notice {
	struct findings findings; /* what it points to lives until the function that was given it returns */
	const char *provider; /* "ses", "sendgrid", "mailgun", "postmark", "mailjet", "brevo", "sparkpost",
				 "csv" */
	bool verified;
	ms_t at;             /* when it happened, as the event says; 0: it does not */
	struct str id;       /* the event's own, where it has one */
	struct str evidence; /* the event alone, as JSON, or the row below the names of its columns */
};

struct provider_keys {
	struct str mailgun; /* signing key; n == 0: signatures of Mailgun are not checked */
	/* The PEM certificate at an address of Amazon's; NULL: signatures of SNS are not checked. */
	int (*certificate)(void *ctx, const char *url, struct buf *pem, struct err *e);
	void *ctx;
};

/* By the first bytes: events as JSON, or a CSV with a column of addresses and one of reasons or codes. */
bool provider_is_json(struct str bytes);
bool provider_is_csv(struct str bytes);

/* Calls `each` for every event that speaks of somebody; others (opens, clicks …) are passed over. JSON: one
 * document, an array, or documents one after the other. -1: ERR_DATA where the bytes are no such thing or a
 * signature is false, and whatever `each` failed with. `keys` may be NULL. */
int provider_read_json(struct reader *r, struct str bytes, const struct provider_keys *keys,
	int (*each)(void *ctx, const struct notice *n), void *ctx, struct err *e);
int provider_read_csv(struct reader *r, struct str bytes, int (*each)(void *ctx, const struct notice *n),
	void *ctx, struct err *e);

/* Evidence that was kept of an event, read again; `source` is notice.provider. `each` is not called where it
 * cannot be read as such, which is no error. -1: what `each` failed with. */
bool provider_is_source(struct str source);
int provider_read_again(struct reader *r, struct str source, struct str evidence,
	int (*each)(void *ctx, const struct notice *n), void *ctx, struct err *e);

/* ---- SNS (docs.aws.amazon.com/sns: verifying the signatures of messages) ---- */

struct json_t;
/* Is that the address of one of SNS's certificates: https, sns.REGION.amazonaws.com, a .pem? */
bool sns_certificate_url(struct str url);
/* Over the envelope's own fields, SignatureVersion 1 (SHA-1) and 2 (SHA-256). ERR_DATA: false. */
int sns_verify(const struct json_t *envelope, struct str pem, struct err *e);

/* Fetches over https with libcurl and keeps what it got; for provider_keys.certificate. */
struct certificates;
struct certificates *certificates_new(void); /* NULL: out of memory */
void certificates_free(struct certificates **c);
int certificates_get(void *certificates, const char *url, struct buf *pem, struct err *e);

#endif
