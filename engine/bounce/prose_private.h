/* Between the files that read prose. */
#ifndef ENGINE_BOUNCE_PROSE_PRIVATE_H
#define ENGINE_BOUNCE_PROSE_PRIVATE_H

#include "engine/bounce/reader_private.h"

#define FRAMES   400
#define AT_LEAST 2 /* points of the best one, where nobody has more */
#define ENOUGH   4 /* that make an address a failed recipient, where a mail system wrote */
#define CERTAIN  6 /* and where that is not known */

/* An address in the prose, and how much speaks for its being a recipient that failed. */
struct frame {
	struct str address;
	int line, points;
	size_t from, to; /* in the line */
	bool leading, reply;
};

/* ---- prose.c ---- */
bool is_blank(char c);
bool is_rule(char c); /* of which lines are drawn */
struct str trim_begin(struct str s);
bool is_quoted(const struct reading *q, struct str s);

/* ---- prose_frame.c ---- */
int frames_find(struct reading *q, struct frame *out);
/* What the lines around say: a statement of failure nearby is 2 points. */
int points_for_place(const struct prose *p, int line);

/* ---- prose_said.c ---- */
/* What is said of f[i] of n; those with `least` points bound its region. */
void frame_explain(struct reading *q, const struct frame *f, int n, int i, int least, struct diagnosis *d);

#endif
