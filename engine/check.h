/* The message composed for everybody of an audience, by as many threads as there are cores, and read as a
 * spam filter and a careful editor would: what fails, for how many, and who is the first of them.
 *
 * The caller's thread walks the audience and hands out batches, so memory does not grow with the audience.
 * For everyone: can it be composed, how large is it, has its subject or greeting lost a name. The whole lint
 * (templates/lint.h) and what `law` demands are read in the first messages, in the first of each combination
 * of missing values, and in each that is larger than all before it. */
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include "engine/launch.h"
#include "templates/lint.h"

struct check_finding {
	const char *id;
	enum lint_severity severity;
	struct str where, text;
	struct str remedy;
	int64_t recipients; /* for how many; 0: it is not about recipients, or was read in some messages only
			     */
	int64_t read,
		of; /* found in so many of the messages that were read closely; 0: not known from reading */
	struct str first; /* address of the first of them */
};

struct check_options {
	const struct token_keys *keys;
	int64_t most;  /* 0: the whole audience */
	bool findings; /* false: only whether it can be composed, and how large it is */
	int threads;   /* 0: one for each core */
	void (*progress)(void *ctx, int64_t checked); /* from the caller's thread; may be NULL */
	void *ctx;
};

struct check {
	int64_t checked, failed, skipped; /* skipped: by {% abort_message %} */
	int64_t bytes;                    /* of the largest message, signatures included */
	char address[320];                /* the first that failed */
	struct err first;
	int64_t read;                /* messages read closely */
	struct check_finding *found; /* by severity */
	size_t n;
	struct arena arena; /* of the findings */
};

/* -1 only if it could not be done. Release in either case. */
int check_run(struct launch *l, const struct check_options *o, struct check *out, struct err *e);
void check_release(struct check *c);

#endif
