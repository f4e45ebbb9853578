/* Walking an audience in slices of contacts: shared by sqlite_audience.c and sqlite_prepare.c. */
#ifndef DB_SQLITE_AUDIENCE_H
#define DB_SQLITE_AUDIENCE_H

#include "src/db/audience.h"
#include "src/db/sqlite.h"

struct person {
	struct contact_row c; /* strings only if they were asked for */
	int64_t domain;
};

/* A sample is everybody whose number, hashed with the seed, is small enough. For a share that bound is known;
 * for a count it is found by two walks: one counts by the upper 16 bits, one collects those of the bucket
 * that holds the bound. Whoever cannot be of them is passed over before anything but their number is read, so
 * only the first of these walks and the taking is as long as the audience: what there is to say of those who
 * are left out is counted in it alone. */
struct sample {
	enum { SAMPLE_COUNT, SAMPLE_COLLECT, SAMPLE_READY } phase;
	uint64_t seed, below; /* included */
	int64_t wanted, bucket, before;
	uint32_t *buckets;
	uint64_t *found;
	size_t nfound, cap;
};

struct walk {
	struct store *s;
	const struct audience *a;
	bool everyone, strings, sent;
	int standing; /* what an intent shows */
	sqlite3_stmt *st;
	int64_t after, upto;
	struct arena arena;
	struct person *v; /* who is selected in the slice */
	size_t n, cap;
	struct selection sel; /* of the slice */
	struct sample sample;
	struct stoplist stop;
	int64_t *of, *not_of; /* contacts of the slice, ascending */
	size_t nof, nnot_of, of_cap, not_of_cap;
	struct err *e;
};

int walk_init(struct walk *w, struct store *s, const struct audience *a, struct err *e);
void walk_release(struct walk *w);
/* The next slice, of about `budget` contacts: 1, or 0 behind the last one. */
int walk_slice(struct walk *w, int budget, struct err *e);
/* Are those who are left out counted in this walk? */
bool walk_counts_left_out(const struct walk *w);
void selection_add(struct selection *to, const struct selection *s);
/* After the last slice of a walk: has the sample all it needs? Else walk again from the start. */
int sample_next(struct sample *sm, struct err *e);

#endif
