/* The delivery log: one line of JSON for each attempt, after it was recorded (docs/INTERFACE.md has the
 * fields).
 *
 * A thread of its own formats and writes, so that neither workers nor the ledger wait for that disk. A log
 * that cannot be written does not stop the sending: that is told once, and lines are lost until it can be;
 * the first line after them says how many. Only whole lines stand in the file. */
#ifndef ENGINE_DELIVERY_LOG_H
#define ENGINE_DELIVERY_LOG_H

#include "engine/pipeline.h"
#include "src/db/ledger.h"

struct delivery_log;

/* Mode 0600. A file larger than `size` (0: no limit) becomes FILE.1 and another is begun. ERR_CREATE: it
 * cannot be opened now. */
int delivery_log_open(struct delivery_log **log, const char *path, int64_t size, struct err *e);
/* Takes the batch over; its rows are recorded, and their strings live in it or as long as the log. Never
 * waits. */
void delivery_log_give(struct delivery_log *log, struct outcome_batch *b);
void delivery_log_reopen(struct delivery_log *log); /* after somebody has moved the file away */
void delivery_log_close(struct delivery_log **log); /* writes what was given before; NULL is fine */

/* One row as its line, with the line's end; nothing for what was no attempt. For tests. */
void delivery_log_line(const struct outcome_row *r, struct buf *out);

#endif
