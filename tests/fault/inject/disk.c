/* SQLite's files: calls that fail, and a disk that forgets what was not synced. A layer over the system's own
 * (a VFS), the default from fault_disk_setup() on.
 *
 * With FAULT_POWER each file F has a companion F.durable, as it would be after a power cut in the worst case,
 * and a journal F.pending of what was written since its last sync: records of offset, length (-1: truncated
 * to the offset) and bytes. A sync brings F.durable up to date. Creation and removal of files are taken as
 * durable at once; a file that was there before counts as synced. */
#include "tests/fault/inject/inject.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum op { OPEN, READ, WRITE, TRUNCATE, SYNC, SIZE, LOCK, DELETE, ACCESS, SHM_MAP, SHM_LOCK, OPS };
static const char *const op_names[OPS] = {"open", "read", "write", "truncate", "sync", "size", "lock",
	"delete", "access", "shm-map", "shm-lock"};

struct file {
	sqlite3_file base;
	char *name; /* NULL: a temporary one */
	int durable, pending;
	sqlite3_file *real; /* behind this struct */
};

static struct {
	sqlite3_vfs vfs, *real;
	atomic_ulong calls[OPS], all, failed;
	int op; /* OPS: any */
	bool armed, full, half, power;
	struct fault_nth nth, cut;
	pthread_mutex_t lock; /* of the companions */
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fault_disk_report(int fd)
{
	dprintf(fd, "disk %lu\ndisk-failed %lu\n", atomic_load(&own.all), atomic_load(&own.failed));
	for (int i = 0; i < OPS; i++)
		dprintf(fd, "disk-%s %lu\n", op_names[i], atomic_load(&own.calls[i]));
}

static bool fails(enum op op)
{
	unsigned long n = atomic_fetch_add(&own.calls[op], 1) + 1, all = atomic_fetch_add(&own.all, 1) + 1;
	if (!own.armed || (own.op != OPS && own.op != (int)op) ||
		!fault_due(&own.nth, own.op == OPS ? all : n))
		return false;
	if (atomic_fetch_add(&own.failed, 1) == 0)
		fault_note_trace(op_names[op]);
	return true;
}

/* ---- What a power cut leaves ---- */

struct record {
	int64_t at, n;
};

static char *beside(const char *name, const char *suffix)
{
	char *out = NULL;
	if (asprintf(&out, "%s.%s", name, suffix) < 0)
		abort();
	return out;
}

static void all_of(ssize_t done, size_t n)
{
	if (done < 0 || (size_t)done != n) {
		perror("FAULT_POWER");
		_exit(99);
	}
}

static int companion(const struct file *f, const char *suffix)
{
	char *path = beside(f->name, suffix);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	all_of(fd < 0 ? -1 : 0, 0);
	return fd;
}

static void companions_open(struct file *f)
{
	char *durable = beside(f->name, "durable"), buffer[65536];
	bool fresh = access(durable, F_OK) != 0;
	free(durable);
	f->durable = companion(f, "durable");
	f->pending = companion(f, "pending");
	lseek(f->pending, 0, SEEK_END);
	int from = fresh ? open(f->name, O_RDONLY | O_CLOEXEC) : -1;
	for (ssize_t n; from >= 0 && (n = read(from, buffer, sizeof buffer)) > 0;)
		all_of(write(f->durable, buffer, (size_t)n), (size_t)n);
	if (from >= 0)
		close(from);
}

static void pending_add(struct file *f, int64_t at, const void *p, int64_t n)
{
	struct record r = {at, n};
	if (!own.power || f->name == NULL)
		return;
	pthread_mutex_lock(&own.lock);
	/* Several connections have the file open, each with its own descriptor of the journal. */
	lseek(f->pending, 0, SEEK_END);
	all_of(write(f->pending, &r, sizeof r), sizeof r);
	if (n > 0)
		all_of(write(f->pending, p, (size_t)n), (size_t)n);
	pthread_mutex_unlock(&own.lock);
}

static void pending_apply(struct file *f)
{
	struct record r;
	if (!own.power || f->name == NULL)
		return;
	pthread_mutex_lock(&own.lock);
	lseek(f->pending, 0, SEEK_SET);
	while (read(f->pending, &r, sizeof r) == sizeof r) {
		if (r.n < 0) {
			all_of(ftruncate(f->durable, r.at), 0);
			continue;
		}
		char *p = malloc((size_t)r.n + 1);
		if (p == NULL)
			abort();
		all_of(read(f->pending, p, (size_t)r.n), (size_t)r.n);
		all_of(pwrite(f->durable, p, (size_t)r.n, r.at), (size_t)r.n);
		free(p);
	}
	all_of(ftruncate(f->pending, 0), 0);
	pthread_mutex_unlock(&own.lock);
}

/* ---- A file ---- */

#define REAL(b) (((struct file *)(b))->real)

static int file_close(sqlite3_file *b)
{
	struct file *f = (struct file *)b;
	int rc = f->real->pMethods->xClose(f->real);
	if (own.power && f->name != NULL) {
		close(f->durable);
		close(f->pending);
	}
	free(f->name);
	return rc;
}

static int file_read(sqlite3_file *b, void *p, int n, sqlite3_int64 at)
{
	if (fails(READ))
		return own.half ? SQLITE_IOERR_SHORT_READ : SQLITE_IOERR_READ;
	return REAL(b)->pMethods->xRead(REAL(b), p, n, at);
}

static int file_write(sqlite3_file *b, const void *p, int n, sqlite3_int64 at)
{
	if (fails(WRITE)) {
		if (own.half && REAL(b)->pMethods->xWrite(REAL(b), p, n / 2, at) == SQLITE_OK)
			pending_add((struct file *)b, at, p, n / 2);
		return own.full || own.half ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	}
	int rc = REAL(b)->pMethods->xWrite(REAL(b), p, n, at);
	if (rc == SQLITE_OK)
		pending_add((struct file *)b, at, p, n);
	return rc;
}

static int file_truncate(sqlite3_file *b, sqlite3_int64 size)
{
	if (fails(TRUNCATE))
		return own.full ? SQLITE_FULL : SQLITE_IOERR_TRUNCATE;
	int rc = REAL(b)->pMethods->xTruncate(REAL(b), size);
	if (rc == SQLITE_OK)
		pending_add((struct file *)b, size, NULL, -1);
	return rc;
}

static int file_sync(sqlite3_file *b, int flags)
{
	bool fail = fails(SYNC);
	if (fault_due(&own.cut, atomic_load(&own.calls[SYNC])))
		fault_kill(SIGKILL);
	if (fail)
		return own.full ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
	int rc = own.power ? SQLITE_OK : REAL(b)->pMethods->xSync(REAL(b), flags);
	if (rc == SQLITE_OK)
		pending_apply((struct file *)b);
	return rc;
}

static int file_size(sqlite3_file *b, sqlite3_int64 *size)
{
	return fails(SIZE) ? SQLITE_IOERR_FSTAT : REAL(b)->pMethods->xFileSize(REAL(b), size);
}

static int file_lock(sqlite3_file *b, int level)
{
	return fails(LOCK) ? SQLITE_IOERR_LOCK : REAL(b)->pMethods->xLock(REAL(b), level);
}

static int file_unlock(sqlite3_file *b, int level)
{
	return REAL(b)->pMethods->xUnlock(REAL(b), level);
}

static int file_check_lock(sqlite3_file *b, int *out)
{
	return REAL(b)->pMethods->xCheckReservedLock(REAL(b), out);
}

static int file_control(sqlite3_file *b, int op, void *arg)
{
	return REAL(b)->pMethods->xFileControl(REAL(b), op, arg);
}

static int file_sector(sqlite3_file *b)
{
	return REAL(b)->pMethods->xSectorSize(REAL(b));
}

static int file_character(sqlite3_file *b)
{
	return REAL(b)->pMethods->xDeviceCharacteristics(REAL(b));
}

static int file_shm_map(sqlite3_file *b, int page, int size, int extend, void volatile **out)
{
	if (fails(SHM_MAP))
		return own.full ? SQLITE_FULL : SQLITE_IOERR_SHMMAP;
	return REAL(b)->pMethods->xShmMap(REAL(b), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *b, int at, int n, int flags)
{
	/* Giving back never fails. */
	if ((flags & SQLITE_SHM_LOCK) != 0 && fails(SHM_LOCK))
		return SQLITE_IOERR_SHMLOCK;
	return REAL(b)->pMethods->xShmLock(REAL(b), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *b)
{
	REAL(b)->pMethods->xShmBarrier(REAL(b));
}

static int file_shm_unmap(sqlite3_file *b, int drop)
{
	return REAL(b)->pMethods->xShmUnmap(REAL(b), drop);
}

static const sqlite3_io_methods methods = {2, file_close, file_read, file_write, file_truncate, file_sync,
	file_size, file_lock, file_unlock, file_check_lock, file_control, file_sector, file_character,
	file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap, NULL, NULL};

/* ---- The layer ---- */

static int layer_open(sqlite3_vfs *v, const char *name, sqlite3_file *b, int flags, int *out)
{
	struct file *f = (struct file *)b;
	(void)v;
	f->base.pMethods = NULL;
	if (fails(OPEN))
		return own.full ? SQLITE_FULL : SQLITE_CANTOPEN;
	f->real = (sqlite3_file *)(f + 1);
	int rc = own.real->xOpen(own.real, name, f->real, flags, out);
	if (rc != SQLITE_OK)
		return rc;
	f->name = name != NULL ? strdup(name) : NULL;
	f->base.pMethods = &methods;
	if (own.power && f->name != NULL) {
		pthread_mutex_lock(&own.lock);
		companions_open(f);
		pthread_mutex_unlock(&own.lock);
	}
	return SQLITE_OK;
}

static int layer_delete(sqlite3_vfs *v, const char *name, int sync)
{
	(void)v;
	if (fails(DELETE))
		return SQLITE_IOERR_DELETE;
	int rc = own.real->xDelete(own.real, name, sync);
	if (rc == SQLITE_OK && own.power) {
		char *durable = beside(name, "durable"), *pending = beside(name, "pending");
		unlink(durable);
		unlink(pending);
		free(durable);
		free(pending);
	}
	return rc;
}

static int layer_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)v;
	return fails(ACCESS) ? SQLITE_IOERR_ACCESS : own.real->xAccess(own.real, name, flags, out);
}

static void disk_read(const char *text)
{
	char op[16], kind[16], nth[24];
	if (sscanf(text, "%15[^:]:%23[^:]:%15s", op, nth, kind) != 3) {
		fprintf(stderr, "FAULT_DISK: %s\n", text);
		_exit(99);
	}
	own.nth = fault_nth(nth);
	if (strchr(kind, '+') != NULL)
		own.nth.on = true;
	own.full = strncmp(kind, "full", 4) == 0;
	own.half = strncmp(kind, "short", 5) == 0;
	for (own.op = 0; own.op < OPS && strcmp(op_names[own.op], op) != 0;)
		own.op++;
	own.armed = true;
}

void fault_disk_setup(void)
{
	const char *disk = getenv("FAULT_DISK"), *power = getenv("FAULT_POWER");
	if (disk != NULL)
		disk_read(disk);
	if (sqlite3_initialize() != SQLITE_OK)
		return; /* out of memory, as was asked for: opening fails as well */
	own.power = power != NULL;
	own.cut = fault_nth(power);
	own.real = sqlite3_vfs_find(NULL);
	own.vfs = *own.real;
	own.vfs.zName = "fault";
	own.vfs.szOsFile = (int)sizeof(struct file) + own.real->szOsFile;
	own.vfs.pNext = NULL;
	own.vfs.xOpen = layer_open;
	own.vfs.xDelete = layer_delete;
	own.vfs.xAccess = layer_access;
	sqlite3_vfs_register(&own.vfs, 1);
}
