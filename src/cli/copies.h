/* What is told about a database that was restored or adopted: its campaigns may have gone on elsewhere. */
#ifndef CLI_COPIES_H
#define CLI_COPIES_H

#include "src/cli/cli.h"
#include "src/db/copies.h"

/* store_adopt() with the words for the campaigns it pauses. as_of 0: as the copy itself says; path NULL: it
 * stays where it is. */
int copies_adopt(struct cli *c, struct store *s, const char *how, ms_t as_of, const char *path,
	struct adopted *done, struct err *e);
/* The rest of what must be said, and which campaigns are paused. 0, ERR_PAUSED where one is, -1. */
int copies_report(struct cli *c, struct store *s, const struct adopted *done, struct err *e);
/* ERR_PAUSED: this campaign does not go on without --past-restore. 0: nothing of that kind. */
int copies_refuse(const struct campaign_row *row, struct err *e);
/* Before a launch: whoever unsubscribed elsewhere in the last 30 days may be mailed. */
int copies_warn(struct cli *c, struct store *s, struct err *e);

#endif
