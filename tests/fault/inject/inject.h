/* Faults on demand, for the program of the fault tests: linked before its own objects with --wrap, so that
 * what is tested is what ships. All of it is told by the environment:
 *
 * - FAULT_POINT=NAME:N:ACTION,…  at the N-th time that the named point is passed (src/base/fault.h): ACTION
 * is kill, term, int, stop (SIGSTOP to itself), or a number of milliseconds to sleep there.
 * - FAULT_MEMORY=N[+]  the N-th allocation of the program's own code fails; with + all from there on.
 * - FAULT_SQLITE_MEMORY=N[+]  the same for SQLite's.
 * - FAULT_DISK=OP:N:KIND[+]  the N-th call of SQLite to its files fails: OP any, open, read, write, truncate,
 *   sync, size, lock, delete, access, shm-map, shm-lock; KIND io, full, short.
 * - FAULT_POWER=N  SIGKILL in place of the N-th sync; everything written is kept beside the file as well, so
 *   that what was not synced can be taken away (tests/fault/power.py). 0: never, only keeps.
 * - FAULT_CLOCK=FILE  two signed 64-bit numbers of milliseconds, added to the wall clock and to the one since
 *   boot.
 * - FAULT_REPORT=FILE  at the end, or before a kill: what was counted, and where memory was refused. */
#ifndef FAULT_INJECT_H
#define FAULT_INJECT_H

#include <stdbool.h>
#include <stddef.h>

struct fault_nth { /* "N", "N+"; n == 0: never */
	unsigned long n;
	bool on;
};
struct fault_nth fault_nth(const char *text);
static inline bool fault_due(const struct fault_nth *f, unsigned long count)
{
	return f->n != 0 && (count == f->n || (f->on && count > f->n));
}

void fault_points_report(int fd);
void fault_memory_report(int fd);
void fault_disk_report(int fd);
/* Writes the report, once. Safe anywhere. */
void fault_report(void);
void fault_note_trace(const char *what); /* adds the caller's stack to the report */
void fault_kill(int sig);                /* the report, then the signal to ourselves */

void fault_memory_setup(void);
void fault_disk_setup(void); /* registers the files' layer; before the first database is opened */

#endif
