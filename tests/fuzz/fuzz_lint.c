/* Any bytes as a finished message: the lint ends, within its memory, and each finding is whole. */
#include "src/base/utf8.h"
#include "templates/lint.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lint l;
	struct arena a;
	struct str message = str_n((const char *)data, size);
	arena_init(&a, 64 << 10, 64 << 20);
	lint_message(&l, &a, message);
	assert(l.n <= LINT_MAX);
	for (size_t i = 0; i < l.n; i++) {
		const struct lint_finding *f = &l.found[i];
		assert(f->id != NULL && f->remedy != NULL && f->times > 0 && f->line >= 0);
		assert(l.skipped || (f->text.n != 0 && memchr(f->text.p, '\n', f->text.n) == NULL));
		lint_where(f, &a);
	}
	lint_greeting(message);
	lint_subject_gap(message);
	arena_release(&a);
	return 0;
}
