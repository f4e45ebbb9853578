/* The lease: one process delivers for a database. */
#ifndef DB_LEASE_H
#define DB_LEASE_H

#include "src/db/store.h"

struct holder {
	char host[256], boot[64];
	int64_t pid, pid_start; /* pid_start: /proc/PID/stat field 22, so that a reused pid is not taken for
				   the holder */
	ms_t since, heartbeat;
	ms_t uptime; /* the heartbeat by the clock since boot (clock_mono()), which nobody sets; 0: unknown */
	int64_t epoch;
	char what[32]; /* "send", "serve", "resume" */
};

void holder_self(struct holder *h, const char *what);
/* Is that process alive? On this host and boot: by pid and start time. Elsewhere: heartbeat younger than 60
 * s. A live process here whose heartbeat is older than 60 s (stopped) counts as gone too, by the clock since
 * boot where that is known: the wall clock may be set. */
bool holder_alive(const struct holder *h, ms_t now);
/* The same of who holds up nobody by standing still: on this host the process is asked alone, whatever the
 * clocks say. */
bool holder_there(const struct holder *h, ms_t now);

/* 0: ours, *epoch is new. ERR_AGAIN: `other` holds it. */
int store_lease_take(struct store *s, const struct holder *self, ms_t now, int64_t *epoch,
	struct holder *other, struct err *e);
int store_lease_renew(struct store *s, int64_t epoch, ms_t now, struct err *e); /* ERR_AGAIN: lost it */
int store_lease_release(struct store *s, int64_t epoch, struct err *e);
/* 1: somebody alive holds it, 0: nobody. */
int store_lease_get(struct store *s, ms_t now, struct holder *out, struct err *e);

#endif
