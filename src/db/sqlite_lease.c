#include "src/db/sqlite.h"

#include "src/base/machine.h"

#include "src/base/fault.h"
#include "src/db/lease.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GONE_AFTER = 60 * 1000 }; /* ms without heartbeat */

/* /proc/PID/stat: the name in brackets may hold anything, so fields are counted from the last bracket. 0: no
 * such process, or one that has ended and was not waited for. */
static int64_t process_start(int64_t pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return 0;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	char *p = strrchr(text, ')');
	if (p == NULL || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p++;
	for (int field = 2; field < 21 && p != NULL; field++)
		p = strchr(p + 1, ' ');
	return p != NULL ? strtoll(p, NULL, 10) : 0;
}

void holder_self(struct holder *h, const char *what)
{
	*h = (struct holder){.pid = getpid(), .uptime = clock_mono()};
	machine_name(h->host);
	machine_boot(h->boot);
	h->pid_start = process_start(h->pid);
	snprintf(h->what, sizeof h->what, "%s", what);
}

static bool is_here(const struct holder *h)
{
	char host[MACHINE_NAME_MAX];
	machine_name(host);
	return strcmp(host, h->host) == 0;
}

enum process { PROCESS_GONE, PROCESS_HIDDEN, PROCESS_THERE };

/* Another user's may be hidden from us (hidepid, ProtectProc=). */
static enum process find_process(const struct holder *h)
{
	char boot[MACHINE_BOOT_MAX];
	machine_boot(boot);
	if (strcmp(boot, h->boot) != 0 || h->pid <= 0)
		return PROCESS_GONE;
	int64_t start = process_start(h->pid);
	if (start != 0)
		return start == h->pid_start ? PROCESS_THERE : PROCESS_GONE;
	return kill((pid_t)h->pid, 0) != 0 && errno == EPERM ? PROCESS_HIDDEN : PROCESS_GONE;
}

bool holder_alive(const struct holder *h, ms_t now)
{
	bool fresh = now - h->heartbeat < GONE_AFTER;
	if (!is_here(h))
		return fresh;
	/* The wall clock may be set, and a machine that slept wakes up to another time; of the same boot
	 * there is a clock that knows neither. */
	if (h->uptime != 0)
		fresh = clock_mono() - h->uptime < GONE_AFTER;
	return fresh && find_process(h) != PROCESS_GONE;
}

bool holder_there(const struct holder *h, ms_t now)
{
	enum process p = is_here(h) ? find_process(h) : PROCESS_HIDDEN;
	return p == PROCESS_THERE || (p == PROCESS_HIDDEN && now - h->heartbeat < GONE_AFTER);
}

void holder_read(sqlite3_stmt *st, int column, struct holder *h)
{
	snprintf(h->host, sizeof h->host, "%.*s", STR_ARG(col_str(st, column)));
	snprintf(h->boot, sizeof h->boot, "%.*s", STR_ARG(col_str(st, column + 1)));
	h->pid = col_int(st, column + 2);
	h->pid_start = col_int(st, column + 3);
	h->heartbeat = col_int(st, column + 4);
}

/* 1 if the row says that somebody holds it, alive or not. */
static int read_lease(struct store *s, struct holder *h, struct err *e)
{
	*h = (struct holder){0};
	sqlite3_stmt *st = db_query(s, e,
		"SELECT epoch, " HOLDER_COLUMNS ", since, what, held,"
		" (SELECT value FROM meta WHERE name = 'uptime') FROM lease WHERE id = 1",
		"");
	int rc = db_step(s, st, e);
	if (rc <= 0)
		return rc;
	h->epoch = col_int(st, 0);
	holder_read(st, 1, h);
	h->since = col_int(st, 6);
	snprintf(h->what, sizeof h->what, "%.*s", STR_ARG(col_str(st, 7)));
	long long epoch, uptime;
	char beat[64];
	snprintf(beat, sizeof beat, "%.*s", STR_ARG(col_str(st, 9)));
	if (sscanf(beat, "%lld %lld", &epoch, &uptime) == 2 && epoch == h->epoch)
		h->uptime = uptime;
	rc = col_int(st, 8) != 0;
	db_done(st);
	return rc;
}

/* The heartbeat by the clock since boot; with the epoch, as a program that knows nothing of it may hold the
 * lease in between. */
static int beat(struct store *s, int64_t epoch, struct err *e)
{
	char text[64];
	snprintf(text, sizeof text, "%lld %lld", (long long)epoch, (long long)clock_mono());
	return db_run(s, e, "INSERT OR REPLACE INTO meta(name, value) VALUES('uptime', ?)", "z", text);
}

static int take(struct store *s, const struct holder *self, ms_t now, int64_t *epoch, struct holder *other,
	struct err *e)
{
	struct holder h;
	int rc = read_lease(s, &h, e);
	if (rc < 0)
		return -1;
	if (rc == 1 && holder_alive(&h, now)) {
		if (other != NULL)
			*other = h;
		return err_set(e, ERR_AGAIN, "delivery", "pid %lld on %s (%s) delivers for this database",
			(long long)h.pid, h.host, h.what);
	}
	*epoch = h.epoch + 1;
	/* No window of a rate is longer than a day. */
	if (db_run(s, e, "DELETE FROM usage WHERE minute < ?", "i", (now - 3 * DAY) / MINUTE) < 0)
		return -1;
	if (beat(s, *epoch, e) < 0)
		return -1;
	return db_run(s, e,
		"INSERT OR REPLACE INTO lease(id, epoch, held, host, boot, pid, pid_start, since, heartbeat, "
		"what) "
		"VALUES(1, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
		"izziiiiz", *epoch, self->host, self->boot, self->pid, self->pid_start, now, now, self->what);
}

int store_lease_take(struct store *s, const struct holder *self, ms_t now, int64_t *epoch,
	struct holder *other, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = take(s, self, now, epoch, other, e);
	if (rc == 0)
		fault_point("lease-before");
	if (db_end(s, rc, e) < 0)
		return -1;
	fault_point("lease-after");
	s->epoch = *epoch;
	/* Its own commits shall not stop for a checkpoint; another thread makes them, and this is the last
	 * resort. */
	return db_script(s, "PRAGMA wal_autocheckpoint = 32768", e);
}

int store_lease_renew(struct store *s, int64_t epoch, ms_t now, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "UPDATE lease SET heartbeat = ? WHERE id = 1 AND held = 1 AND epoch = ?", "ii",
		now, epoch);
	if (rc == 0 && sqlite3_changes64(s->db) == 0)
		rc = err_set(e, ERR_AGAIN, "delivery", "another process has taken over");
	if (rc == 0)
		rc = beat(s, epoch, e);
	fault_point("renewal-before");
	rc = db_end(s, rc, e);
	fault_point("renewal-after");
	return rc;
}

int store_lease_release(struct store *s, int64_t epoch, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "UPDATE lease SET held = 0 WHERE id = 1 AND epoch = ?", "i", epoch);
	fault_point("release-before");
	if (db_end(s, rc, e) < 0)
		return -1;
	fault_point("release-after");
	s->epoch = 0;
	return db_script(s, "PRAGMA wal_autocheckpoint = 1000", e);
}

int store_lease_get(struct store *s, ms_t now, struct holder *out, struct err *e)
{
	int rc = read_lease(s, out, e);
	return rc == 1 ? holder_alive(out, now) : rc;
}
