/* The self-check's own insides: sqlite_check.c (the frame, campaigns), _people.c, _rest.c. */
#ifndef DB_SQLITE_CHECK_H
#define DB_SQLITE_CHECK_H

#include "src/db/check.h"
#include "src/db/lease.h"
#include "src/db/sqlite.h"

enum { CHECK_WINDOW = 20000 };

struct check {
	struct store *s;
	const struct self_check *o;
	struct self_count *count;
	const char *id; /* of the check at hand */
	int found;      /* by it: failures, warnings, what was skipped */
	bool delivered; /* somebody delivers now: nothing may be held for long */
	struct holder holder;
	struct err *e;
};

#define REPORT_IT "keep a backup of it and report this: it is a defect, or the file was changed from outside"

/* One finding; `where` is a campaign, a list … or "". 0, -1: the caller ended it (c->e filled). */
int check_say(struct check *c, enum self_severity severity, struct str where, const char *remedy,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Between slices: tells how far it is. -1: to be ended. */
int check_step(struct check *c, const char *doing, int64_t done, int64_t of);

int check_campaigns(struct check *c);
int check_suppressed(struct check *c);
int check_contacts(struct check *c);
int check_lists(struct check *c);
int check_file(struct check *c);
int check_schema(struct check *c);
int check_home(struct check *c);
int check_lease(struct check *c);
int check_intents(struct check *c);
int check_relations(struct check *c);
int check_leftovers(struct check *c);

#endif
