/* What came of a returned message, for people and for scripts: `receive` and the other ways in. */
#ifndef CLI_BOUNCE_VIEW_H
#define CLI_BOUNCE_VIEW_H

#include "engine/bounce/intake.h"
#include "src/db/returned.h"

#include <jansson.h>

struct cli;

struct bounce_view {
	struct cli *c;
	struct store *store;
	const struct zone *zone;
	bool explain, dry_run;
};

/* One line (more with `explain`), or one JSON document. */
int bounce_view_result(
	const struct bounce_view *v, const char *file, const struct intake_result *r, struct err *e);
/* The finding that a message is read as, with where it was found and the rule: for `--explain`. */
int bounce_view_findings(const struct bounce_view *v, const struct findings *f, struct err *e);

/* What came back for a delivery, in the history of one person: `trace`, `contact show`. */
int bounce_view_line(const struct cli *c, const struct zone *z, const struct returned_row *r);
json_t *bounce_view_json(const struct returned_row *r);

#endif
