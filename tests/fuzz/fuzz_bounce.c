/* Any bytes as returned mail: an answer comes, every text in it can be read, and nobody is called bad who did
 * not fail for good. */
#include "engine/bounce/reader.h"
#include "src/db/delivery.h"

#include <stdlib.h>

static struct reader *reader;

static unsigned touched;

static void touch(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		touched += (unsigned char)s.p[i];
}

static void check_failure(const struct findings *f, const struct failure *x)
{
	touch(x->address);
	touch(x->other);
	touch(x->enhanced);
	touch(x->diagnostic);
	touch(x->host);
	touch(x->command);
	if (x->code != 0 && (x->code < 200 || x->code > 599))
		abort();
	bool decided = f->kind == MAIL_BOUNCE || f->kind == MAIL_DELAYED;
	if (decided && x->verdict.reason.n == 0)
		abort();
	if (x->verdict.class == CLASS_HARD &&
		(x->action != REPORT_FAILED || x->verdict.scope != SCOPE_ADDRESS))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (reader == NULL) {
		struct rules *rules = rules_load(NULL, NULL);
		if (rules == NULL || (reader = reader_new(rules)) == NULL)
			abort();
	}
	struct envelope env = {.sender_known = true};
	struct findings f;
	if (reader_read(reader, str_n((const char *)data, size), size % 2 == 0 ? &env : NULL, &f) != 0)
		abort();
	if (f.kind >= MAIL_NKINDS || f.nfailures > READER_FAILURES || f.ncandidates > READER_CANDIDATES)
		abort();
	for (size_t i = 0; i < f.nfailures; i++)
		check_failure(&f, &f.failures[i]);
	for (size_t i = 0; i < f.ncandidates; i++)
		touch(f.candidates[i].text);
	touch(f.message_id);
	touch(f.return_path);
	touch(f.to);
	touch(f.relay_id);
	touch(f.from);
	touch(f.subject);
	touch(f.feedback.type);
	return 0;
}
