/* A strict reading of a finished message, as a filter at a receiver and a careful editor would do it: line
 * rules (RFC 5321, 5322), header fields (5322, 2047, 2231, 2369, 8058), MIME structure and encodings (2045,
 * 2046), and what stands in the decoded HTML.
 *
 * Bytes in, findings out: no I/O, no clock; any bytes are welcome. Work is linear in the message's size but
 * for nested multiparts, whose depth is bounded; so is the number of findings. */
#ifndef TEMPLATES_LINT_H
#define TEMPLATES_LINT_H

#include "src/base/arena.h"

#include <stdint.h>

enum lint_severity { LINT_FAIL, LINT_WARN, LINT_INFO };
extern const char *const lint_severity_names[]; /* "fail", "warn", "info" */

struct lint_finding {
	const char *id; /* stable: "date-missing" */
	enum lint_severity severity;
	struct str place; /* header name or part ("text/html"), the same whatever the line; n == 0: the
			     message */
	long line;        /* of the message, or of the decoded text where `decoded`; 0: none */
	bool decoded;
	struct str text;    /* what is wrong */
	const char *remedy; /* what to do about it */
	int64_t times; /* found so often in that place (and line, where `decoded`); text and line are of the
			  first */
};

enum { LINT_MAX = 200 /* findings of one message */ };

struct lint {
	struct arena *a; /* of texts and of what is decoded; its ceiling bounds the memory */
	struct lint_finding found[LINT_MAX];
	size_t n;
	bool skipped; /* there was more than was looked at (findings, nesting, memory) */
};

void lint_message(struct lint *l, struct arena *a, struct str message);
/* "text/html, line 12"; in the arena. */
struct str lint_where(const struct lint_finding *f, struct arena *a);

/* For who checks many messages quickly: a greeting or a subject in which the name is missing ("Dear ,").
 * `text` is decoded; n == 0: all is well, else the words that show it. */
struct str lint_greeting(struct str text);
struct str lint_subject_gap(struct str subject);
/* Template code left in a finished text, ours or another service's: {{ name }}, *|FNAME|*, %%name%% … n == 0:
 * none. */
struct str lint_left_over(struct str text);
/* Gmail cuts off a message whose decoded HTML is larger. */
enum { LINT_CLIP = 102 << 10, LINT_CLIP_NEAR = 90 << 10 };

#endif
