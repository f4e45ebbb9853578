/* The first part of the input, up to a NUL, is a user's rule file; the second a reply that is put to it. */
#include "engine/outcome.h"
#include "engine/rulefile.h"

#include <stdlib.h>

static struct rules *shipped;

static void put(const struct rules *r, struct str provider, int code, struct str text)
{
	static const char *const stages[] = {"connect", "auth", "mail", "rcpt", "end", "quit"};
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
		struct verdict v;
		rules_decide(r, provider, str_from(stages[i]), code, str_n(text.p, text.n < 8 ? text.n : 8),
			text, &v);
		if (v.action == ACTION_SUPPRESS && (code < 500 || (i != 3 && i != 4)))
			abort();
		if (v.reason.n == 0 || (v.action == ACTION_PAUSE) != (v.pause.n != 0))
			abort();
	}
}

/* Reading alone is quick; only what is a rule file is made into a set with the shipped rules. */
static bool is_rules(struct str file)
{
	struct arena a;
	struct rule_list l = {0};
	struct err e = {0};
	arena_init(&a, 4096, 16 << 20);
	bool ok = rulefile_parse(file, "fuzz", false, &a, &l, &e) == 0;
	if (!ok && (e.line < 1 || e.why[0] == '\0'))
		abort();
	bool some = l.n != 0;
	free(l.v);
	arena_release(&a);
	return ok && some;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str file = str_n((const char *)data, size), reply = str_n(NULL, 0);
	size_t nul = str_find(file, '\0');
	if (nul < size)
		reply = str_n(file.p + nul + 1, size - nul - 1);
	file.n = nul;
	if (shipped == NULL && (shipped = rules_load(NULL, NULL)) == NULL)
		abort();
	struct err e;
	struct rules *r = is_rules(file) ? rules_parse(file, &e) : NULL;
	int code = reply.n > 1 ? (int)((unsigned char)reply.p[0] * 4 % 700) : 550;
	put(shipped, STR("google"), code, reply);
	if (r != NULL)
		put(r, STR("relay/ses"), code, reply);
	rules_free(&r);
	return 0;
}
