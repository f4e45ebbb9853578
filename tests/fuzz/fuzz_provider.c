/* Any bytes as events of mailing services or as a list of errors: an answer comes, nothing is verified
 * without a signature, and nobody is called bad who did not fail for good. */
#include "engine/bounce/provider.h"
#include "src/db/delivery.h"

#include <stdlib.h>

static unsigned touched;

static void touch(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		touched += (unsigned char)s.p[i];
}

static int look(void *ctx, const struct notice *n)
{
	const struct findings *f = &n->findings;
	if (n->verified || f->kind >= MAIL_NKINDS || f->nfailures > READER_FAILURES ||
		f->ncandidates > READER_CANDIDATES)
		abort();
	for (size_t i = 0; i < f->nfailures; i++) {
		const struct failure *x = &f->failures[i];
		touch(x->address);
		touch(x->diagnostic);
		if (x->verdict.class == CLASS_HARD && x->action != REPORT_FAILED)
			abort();
	}
	for (size_t i = 0; i < f->ncandidates; i++)
		touch(f->candidates[i].text);
	touch(f->relay_id);
	touch(f->message_id);
	touch(n->evidence);
	touch(n->id);
	(void)ctx;
	return 0;
}

/* A certificate that no input can have a signature for. */
static int certificate(void *ctx, const char *url, struct buf *pem, struct err *e)
{
	(void)ctx;
	(void)e;
	touch(str_from(url));
	buf_puts(pem, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reader *reader;
	if (reader == NULL) {
		struct rules *rules = rules_load(NULL, NULL);
		if (rules == NULL || (reader = reader_new(rules)) == NULL)
			abort();
	}
	struct str bytes = str_n((const char *)data, size);
	struct provider_keys keys = {.mailgun = STR("fuzz"), .certificate = certificate};
	struct err e = {0};
	if (provider_is_json(bytes)) {
		provider_read_json(reader, bytes, NULL, look, NULL, &e);
		provider_read_json(reader, bytes, &keys, look, NULL, &e);
	} else if (provider_is_csv(bytes) && provider_read_csv(reader, bytes, look, NULL, &e) != 0 &&
		   e.why[0] == '\0') {
		abort();
	}
	return 0;
}
