/* Moving the write-ahead log into the database. */
#include "src/base/fault.h"
#include "src/base/log.h"
#include "src/db/sqlite.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Under steady writing a passive checkpoint never meets an empty log, so the log would grow for ever: where
 * much is left, a second one holds writers for the little that came in between and lets the log start over.
 */
int store_checkpoint(struct store *s, struct err *e)
{
	enum { MUCH = 8192 }; /* pages */
	int log = 0, done = 0;
	fault_point("checkpoint-before");
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
	fault_point("checkpoint-after");
	if (rc == SQLITE_OK && log > MUCH) {
		/* It keeps writers out while it waits for readers, so it may not wait long; there is a next
		 * time. */
		ms_t patience = s->busy;
		s->busy = 20;
		rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, &log, &done);
		s->busy = patience;
	}
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return db_error(s, "checkpoint", e);
	return 0;
}

struct checkpointer {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
};

static void *checkpoint_main(void *arg)
{
	enum { EVERY_MS = 250 };
	struct checkpointer *c = arg;
	struct err e = {0};
	char said[sizeof e.why] = ""; /* a full disk is told once, not four times a second */
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		pthread_mutex_unlock(&c->lock);
		if (store_checkpoint(c->store, &e) == 0)
			e.why[0] = '\0';
		else if (strcmp(said, e.why) != 0)
			log_err(LOG_LEVEL_WARN, &e);
		snprintf(said, sizeof said, "%s", e.why);
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += EVERY_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_mutex_lock(&c->lock);
		if (!c->stop)
			pthread_cond_timedwait(&c->stopped, &c->lock, &until);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void checkpointer_free(struct checkpointer *c)
{
	store_close(&c->store);
	pthread_cond_destroy(&c->stopped);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int checkpointer_start(struct checkpointer **out, const struct store_config *config, struct err *e)
{
	struct checkpointer *c = calloc(1, sizeof *c);
	pthread_condattr_t monotonic;
	sigset_t all, before;
	*out = NULL;
	if (c == NULL)
		return db_nomem(e);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->stopped, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int rc = store_open(&c->store, STORE_WRITE, config, e);
	if (rc == 0) {
		/* Signals are the caller's. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = pthread_create(&c->thread, NULL, checkpoint_main, c);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (rc != 0)
			rc = err_set(
				e, ERR_INTERNAL, "checkpoint", "cannot start a thread: %s", strerror(rc));
	}
	if (rc != 0) {
		checkpointer_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void checkpointer_stop(struct checkpointer **cp)
{
	struct checkpointer *c = *cp;
	if (c == NULL)
		return;
	*cp = NULL;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->stopped);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	checkpointer_free(c);
}
