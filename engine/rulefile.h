/* The reply rule file as written: lines of data to rules. What a rule decides is in outcome.h; this header is
 * for outcome.c and for tests. The syntax is described at the top of engine/rules.conf.
 *
 * A rule that could harm is an error of the file: suppressing on anything but a 5xx to RCPT or to the
 * message's end, ending a delivery for what is wrong with route or account, pausing without a reason. */
#ifndef ENGINE_RULEFILE_H
#define ENGINE_RULEFILE_H

#include "engine/outcome.h"
#include "engine/smtp/client.h"
#include "src/base/arena.h"

struct rule_code { /* a range; 0..0: no reply */
	uint16_t low, high;
};

#define RULE_ANY  (-1)
#define RULE_NONE (-2)
struct rule_enhanced {
	int16_t class, subject; /* RULE_ANY; class RULE_NONE: only where the reply has none */
	int16_t low, high;      /* detail */
};

struct rule_text {          /* all pieces must occur, in this order */
	struct str *pieces; /* lower case */
	size_t npieces;
};

struct rule {
	struct str *providers; /* n == 0 of each list: any */
	size_t nproviders;
	unsigned stages; /* 1 << enum smtp_stage or RULE_RETURNED */
	struct rule_code *codes;
	size_t ncodes;
	struct rule_enhanced *enhanced;
	size_t nenhanced;
	struct rule_text *texts;
	size_t ntexts;
	struct verdict verdict;
};

struct rule_list {
	struct rule *v;
	size_t n, cap;
};

#define RULES_MAX 4000

/* Appends the rules of `file` to the list; everything they point to lives in the arena, the list's array is
 * malloc'd. `name` is for errors and not kept. ERR_CONFIG. */
int rulefile_parse(struct str file, const char *name, bool builtin, struct arena *a, struct rule_list *out,
	struct err *e);
bool rule_enhanced_parse(struct str s, int16_t out[3]); /* "5.1.1"; false: not one */

#define RULE_RETURNED SMTP_NSTAGES /* the stage `returned`: in a returned message */
int rule_stage(struct str word);   /* enum smtp_stage, RULE_RETURNED, or -1 */

#endif
