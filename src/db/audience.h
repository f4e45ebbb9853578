/* Audiences: who is selected. */
#ifndef DB_AUDIENCE_H
#define DB_AUDIENCE_H

#include "src/db/contacts.h"
#include "src/db/filter.h"
#include "src/db/store.h"

#define AUDIENCE_MAX 64

struct audience_ref {
	int64_t campaign;
	unsigned states; /* bit per enum delivery_state; 0: any */
};

struct audience {
	int64_t lists[AUDIENCE_MAX];
	size_t nlists; /* 0: everybody known */
	int64_t exclude[AUDIENCE_MAX];
	size_t nexclude;
	struct audience_ref of[AUDIENCE_MAX], not_of[AUDIENCE_MAX];
	size_t nof, nnot_of;
	const struct filter *where; /* NULL: all */
	int64_t sample_n;           /* 0: all */
	double sample_share;        /* 0..1; 0: all */
	uint64_t seed;              /* of the sample: the same each time for a campaign */
};

struct selection {        /* how an audience was made */
	int64_t selected; /* distinct people the lists, of and where name */
	int64_t suppressed, unsubscribed, excluded,
		duplicate; /* left out; duplicate: further memberships of people counted once */
	int64_t audience;  /* who remains */
};

/* Counts without recording. In slices. */
int store_audience_count(struct store *s, const struct audience *a, struct selection *out, struct err *e);
/* Walks an audience by ascending contact id; `everyone`: those who are suppressed as well. In slices. */
int store_audience_walk(struct store *s, const struct audience *a, bool everyone,
	int (*row)(void *ctx, const struct contact_row *c), void *ctx, struct err *e);

#endif
