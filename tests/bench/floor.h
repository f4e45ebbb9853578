/* The least that the newsletter can cost: a program written for nothing else. Values stand in numbered slots,
 * literals lie ready (for mail: encoded), and nothing is looked up, checked, limited or allocated while a
 * recipient is rendered.
 *
 * The template is the newsletter in ctemplate's form; its sections are known to this program. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "src/base/arena.h"
#include "tests/bench/recipients.h"

struct floor_program;

/* What a letter needs beside the columns. */
struct floor_letter {
	struct str message_id, unique;
};

struct floor_values; /* of one recipient: its columns by number, and what is made of them */
struct floor_values *floor_values_new(const struct recipients *r, size_t i, const struct floor_letter *l);
void floor_values_fill(struct floor_values *v); /* what belongs to a render: dates, defaults, conditions */
struct str floor_unique(const struct floor_values *v);

/* `coded`: written as quoted-printable. Lives in the arena. */
struct floor_program *floor_compile(struct arena *a, struct str source, bool coded);
/* Returns the end of what it wrote; `out` must have room for it. */
char *floor_render(const struct floor_program *p, const struct floor_values *v, char *out);

#endif
