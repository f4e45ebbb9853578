/* Memory that is refused. Only calls from the program's own objects come here (--wrap); SQLite's through its
 * own interface. */
#include "tests/fault/inject/inject.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong asked, sqlite_asked;
static struct fault_nth refuse, sqlite_refuse;
static bool ready;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **out, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_vasprintf(char **out, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int __wrap___vasprintf_chk(char **out, int flag, const char *format, va_list ap)
	__attribute__((format(printf, 3, 0)));

void fault_memory_setup(void)
{
	refuse = fault_nth(getenv("FAULT_MEMORY"));
	sqlite_refuse = fault_nth(getenv("FAULT_SQLITE_MEMORY"));
	ready = true;
}

static bool refused(void)
{
	if (!ready || !fault_due(&refuse, atomic_fetch_add(&asked, 1) + 1))
		return false;
	fault_note_trace("memory");
	errno = ENOMEM;
	return true;
}

void fault_memory_report(int fd)
{
	dprintf(fd, "memory %lu\nsqlite-memory %lu\n", atomic_load(&asked), atomic_load(&sqlite_asked));
}

void *__wrap_malloc(size_t n)
{
	return refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return refused() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return refused() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return refused() ? NULL : __real_strndup(s, n);
}

/* What *out is after a failure nobody may rely on. */
int __wrap_vasprintf(char **out, const char *format, va_list ap)
{
	if (!refused())
		return __real_vasprintf(out, format, ap);
	*out = (char *)1;
	return -1;
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = __wrap_vasprintf(out, format, ap);
	va_end(ap);
	return n;
}

int __wrap___vasprintf_chk(char **out, int flag, const char *format, va_list ap)
{
	(void)flag;
	return __wrap_vasprintf(out, format, ap);
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
	va_list ap;
	(void)flag;
	va_start(ap, format);
	int n = __wrap_vasprintf(out, format, ap);
	va_end(ap);
	return n;
}

/* ---- SQLite ---- */

static sqlite3_mem_methods plain;

static bool sqlite_refused(void)
{
	if (!fault_due(&sqlite_refuse, atomic_fetch_add(&sqlite_asked, 1) + 1))
		return false;
	fault_note_trace("SQLite's memory");
	return true;
}

static void *sqlite_malloc(int n)
{
	return sqlite_refused() ? NULL : plain.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
	return sqlite_refused() ? NULL : plain.xRealloc(p, n);
}

int __real_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs)
{
	static atomic_bool begun;
	if (!atomic_exchange(&begun, true)) { /* the first one is opened by the main thread alone */
		if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) == SQLITE_OK) {
			sqlite3_mem_methods m = plain;
			m.xMalloc = sqlite_malloc;
			m.xRealloc = sqlite_realloc;
			sqlite3_config(SQLITE_CONFIG_MALLOC, &m);
		}
		fault_disk_setup();
	}
	return __real_sqlite3_open_v2(name, db, flags, vfs);
}
