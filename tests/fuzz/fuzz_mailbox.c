/* Any bytes as an mbox: messages and their number are bounded by what was read, and no byte comes from
 * elsewhere. */
#include "engine/bounce/mailbox.h"

#include <stdint.h>
#include <stdlib.h>

struct seen {
	size_t messages, bytes, commits, since;
};

static int message(void *ctx, const struct mailbox_message *m)
{
	struct seen *s = ctx;
	if (m->text.n == 0 || m->text.n > MAILBOX_MESSAGE)
		abort();
	s->messages++;
	s->since++;
	s->bytes += m->text.n;
	return 0;
}

static int commit(void *ctx)
{
	struct seen *s = ctx;
	if (s->since == 0 || s->since > MAILBOX_BATCH)
		abort();
	s->since = 0;
	s->commits++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int many = 0; many < 2 && size != 0; many++) {
		struct seen s = {0};
		const struct mailbox_reader r = {message, commit, &s};
		FILE *f = fmemopen((void *)(uintptr_t)data, size, "r");
		if (f == NULL || mailbox_stream(f, "-", many, 1, &r, NULL) != 0)
			abort();
		fclose(f);
		if (s.bytes > size || s.since != 0 || (!many && s.messages > 1))
			abort();
	}
	return 0;
}
