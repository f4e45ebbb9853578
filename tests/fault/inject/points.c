/* Named points, the wall clock, and the report. */
#include "tests/fault/inject/inject.h"

#include "src/base/clock.h"
#include "src/base/fault.h"

#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { POINTS = 128, ORDERS = 16 };

struct order {
	char name[48];
	unsigned long n;
	int sig;
	long sleep_ms;
};

static struct {
	pthread_mutex_t lock;
	struct {
		const char *name;
		unsigned long n;
	} seen[POINTS];
	size_t nseen;
	struct order orders[ORDERS];
	size_t norders;
	int report;
	bool told;
	const struct {
		_Atomic int64_t wall, boot;
	} * clock;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER, .report = -1};

struct fault_nth fault_nth(const char *text)
{
	struct fault_nth f = {0};
	char *end;
	if (text == NULL)
		return f;
	f.n = strtoul(text, &end, 10);
	f.on = *end == '+';
	return f;
}

static void die(const char *what)
{
	perror(what);
	_exit(99);
}

static void order_read(const char *text)
{
	static const struct {
		const char *name;
		int sig;
	} actions[] = {{"kill", SIGKILL}, {"term", SIGTERM}, {"int", SIGINT}, {"stop", SIGSTOP}};
	struct order *o = &own.orders[own.norders++];
	char action[16];
	if (own.norders > ORDERS || sscanf(text, "%47[^:]:%lu:%15s", o->name, &o->n, action) != 3) {
		fprintf(stderr, "FAULT_POINT: %s\n", text);
		_exit(99);
	}
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(action, actions[i].name) == 0)
			o->sig = actions[i].sig;
	if (o->sig == 0)
		o->sleep_ms = atol(action);
}

__attribute__((constructor)) static void setup(void)
{
	const char *points = getenv("FAULT_POINT"), *report = getenv("FAULT_REPORT"),
		   *clock = getenv("FAULT_CLOCK");
	char *copy = points != NULL ? strdup(points) : NULL, *save = NULL;
	for (char *p = copy != NULL ? strtok_r(copy, ",", &save) : NULL; p != NULL;
		p = strtok_r(NULL, ",", &save))
		order_read(p);
	free(copy);
	if (report != NULL &&
		(own.report = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		die(report);
	if (clock != NULL) {
		int fd = open(clock, O_RDONLY | O_CLOEXEC);
		void *p = fd >= 0 ? mmap(NULL, sizeof *own.clock, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
		if (p == MAP_FAILED)
			die(clock);
		close(fd);
		own.clock = p;
	}
	void *frame[1];
	backtrace(frame, 1); /* loads what it needs, so that it can be asked where memory is refused */
	fault_memory_setup();
}

void fault_points_report(int fd)
{
	for (size_t i = 0; i < own.nseen; i++)
		dprintf(fd, "point %s %lu\n", own.seen[i].name, own.seen[i].n);
}

void fault_report(void)
{
	if (own.report < 0 || own.told)
		return;
	own.told = true;
	fault_points_report(own.report);
	fault_memory_report(own.report);
	fault_disk_report(own.report);
}

void fault_note_trace(const char *what)
{
	void *frames[16];
	if (own.report < 0)
		return;
	int n = backtrace(frames, 16);
	dprintf(own.report, "refused %s\n", what);
	backtrace_symbols_fd(frames + 2, n > 2 ? n - 2 : 0, own.report);
}

__attribute__((destructor)) static void at_end(void)
{
	fault_report();
}

void fault_kill(int sig)
{
	if (sig == SIGKILL)
		fault_report();
	kill(getpid(), sig);
	if (sig == SIGKILL)
		for (;;)
			pause();
}

static unsigned long passed(const char *name)
{
	for (size_t i = 0; i < own.nseen; i++)
		if (strcmp(own.seen[i].name, name) == 0)
			return ++own.seen[i].n;
	if (own.nseen == POINTS)
		die("too many points");
	own.seen[own.nseen].name = name;
	return own.seen[own.nseen++].n = 1;
}

void fault_listen(const char *name)
{
	pthread_mutex_lock(&own.lock);
	unsigned long n = passed(name);
	pthread_mutex_unlock(&own.lock);
	for (size_t i = 0; i < own.norders; i++) {
		const struct order *o = &own.orders[i];
		if (strcmp(o->name, name) != 0 || o->n != n)
			continue;
		if (o->sig != 0) {
			fault_kill(o->sig);
			continue;
		}
		if (own.report >= 0)
			dprintf(own.report, "sleeps at %s\n", name);
		nanosleep(&(struct timespec){o->sleep_ms / 1000, o->sleep_ms % 1000 * 1000000}, NULL);
	}
}

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = __real_clock_gettime(id, t);
	if (rc != 0 || id != CLOCK_REALTIME || own.clock == NULL)
		return rc;
	int64_t ms = own.clock->wall, ns = (int64_t)t->tv_nsec + ms % 1000 * 1000000;
	t->tv_sec += ms / 1000 + (ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0);
	t->tv_nsec = (ns + 1000000000) % 1000000000;
	return 0;
}

ms_t __real_clock_mono(void);
ms_t __wrap_clock_mono(void);
ms_t __wrap_clock_mono(void)
{
	return __real_clock_mono() + (own.clock != NULL ? own.clock->boot : 0);
}
