/* The listener's second thread: what came in is read and acted on, one after the other. */
#include "engine/bounce/intake.h"
#include "src/base/file.h"
#include "src/base/log.h"
#include "src/db/delivery.h"
#include "src/db/store.h"
#include "src/serve/listener_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOGETHER = 64 }; /* messages in one transaction, and not longer than: */
static const ms_t TOGETHER_MS = 40;

struct office {
	struct listener *l;
	struct store *store;
	struct intake *intake;
	unsigned long letters;
	char host[256];
};

/* ---- Postmaster's Maildir ---- */

static int make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_sys(e, ERR_CREATE, "listener", path);
}

int intake_prepare(const struct config *c, struct err *e)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
	char path[4096];
	for (size_t i = 0; c->return_path.postmaster != NULL && i < sizeof parts / sizeof *parts; i++) {
		snprintf(path, sizeof path, "%s%s", c->return_path.postmaster, parts[i]);
		if (make_folder(path, e) != 0)
			return -1;
	}
	return 0;
}

static int write_letter(const char *path, const struct parcel *p, const char *to, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (f == NULL) {
		err_sys(e, ERR_CREATE, "listener", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	fprintf(f, "Return-Path: <%s>\nDelivered-To: %s\n", p->from, to);
	for (size_t i = 0; i < p->n; i++)
		if (p->text[i] != '\r')
			putc(p->text[i], f);
	bool bad = fflush(f) != 0 || fsync(fd) != 0;
	bad = fclose(f) != 0 || bad;
	if (!bad)
		return 0;
	err_sys(e, ERR_IO, "listener", path);
	unlink(path);
	return -1;
}

static int keep_letter(struct office *o, const struct parcel *p, struct recipient *r, struct err *e)
{
	const char *dir = o->l->o.config->return_path.postmaster;
	char name[400], tmp[4600], new[4600];
	snprintf(name, sizeof name, "%lld.P%dQ%lu.%s", (long long)(p->at / SECOND), (int)getpid(),
		++o->letters, o->host);
	snprintf(tmp, sizeof tmp, "%s/tmp/%s", dir, name);
	snprintf(new, sizeof new, "%s/new/%s", dir, name);
	if (write_letter(tmp, p, r->address, e) != 0)
		return -1;
	r->kept = rename(tmp, new) == 0;
	if (r->kept)
		return 0;
	err_sys(e, ERR_IO, "listener", new);
	unlink(tmp);
	return -1;
}

/* ---- What is returned ---- */

static int open_store(struct office *o, struct err *e)
{
	if (o->intake != NULL)
		return 0;
	const struct listener_options *lo = &o->l->o;
	if (o->store == NULL && store_open(&o->store, STORE_WRITE, lo->store, e) != 0)
		return -1;
	const struct intake_options io = {
		.config = lo->config, .keys = lo->keys, .rules = lo->rules, .store = o->store};
	return intake_new(&o->intake, &io, e);
}

static void tell(const struct intake_result *r)
{
	int hard = 0, others = 0;
	for (size_t i = 0; i < r->nevents; i++) {
		bool mine = r->events[i].who.trust != TRUST_NONE;
		hard += mine && r->events[i].class == CLASS_HARD;
		others += !mine;
	}
	log_info("listener: %s; %zu of ours, %d hard, %d unknown", mail_kind_names[r->found.kind],
		r->nevents - (size_t)others, hard, others);
}

static int read_message(struct office *o, const struct parcel *p, const struct recipient *to, struct err *e)
{
	static const struct intake_source source = {.name = "listener"};
	struct envelope env = {
		.recipient = str_from(to->address), .sender = str_from(p->from), .sender_known = true};
	struct intake_result r;
	if (open_store(o, e) != 0 ||
		intake_message(o->intake, str_n(p->text, p->n), &env, &source, p->at, &r, e) != 0)
		return -1;
	tell(&r);
	return 0;
}

static void answer(struct parcel *p, bool done)
{
	p->code = done ? 250 : 451;
	p->enhanced = done ? "2.0.0" : "4.3.0";
	p->words = done ? "Ok" : "Not now, come again later";
}

static int keep_letters(struct office *o, struct parcel *p, struct err *e)
{
	for (int i = 0; i < p->nto; i++)
		if (p->to[i].post == POST_MASTER && !p->to[i].kept && keep_letter(o, p, &p->to[i], e) != 0)
			return -1;
	return 0;
}

static int handle(struct office *o, struct parcel *p, struct err *e)
{
	for (int i = 0; i < p->nto; i++)
		if (p->to[i].post != POST_MASTER && read_message(o, p, &p->to[i], e) != 0)
			return -1;
	return 0;
}

/* Up to `most` of them as one transaction: one wait for the disk. Returns the first that was not looked at.
 */
static struct parcel *together(struct office *o, struct parcel *first, int most, bool *done, struct err *e)
{
	struct parcel *p = first;
	*done = open_store(o, e) == 0;
	/* Their disk is waited for while nobody waits for the database. */
	for (int n = 0; p != NULL && n < most && *done; n++) {
		*done = keep_letters(o, p, e) == 0;
		p = p->next;
	}
	if (!*done)
		return p == first ? first->next : p;
	*done = store_together(o->store, e) == 0;
	if (!*done)
		return first->next;
	ms_t began = clock_mono();
	p = first;
	for (int n = 0; p != NULL && n < most && clock_mono() - began < TOGETHER_MS && *done; n++) {
		*done = handle(o, p, e) == 0;
		p = p->next;
	}
	struct err none = {0};
	if (store_together_end(o->store, *done, *done ? e : &none) != 0)
		*done = false;
	return p;
}

/* One that cannot be recorded does not take the others with it: then each is tried alone. */
static struct parcel *handle_some(struct office *o, struct parcel *first)
{
	struct err e = {0};
	bool done;
	struct parcel *p = together(o, first, TOGETHER, &done, &e);
	if (!done && first->next != p) {
		e = (struct err){0};
		p = together(o, first, 1, &done, &e);
	}
	if (!done)
		log_err(LOG_LEVEL_WARN, &e);
	for (struct parcel *q = first; q != p; q = q->next)
		answer(q, done);
	return p;
}

void intake_give(struct listener *l, struct parcel *p)
{
	l->parcels++;
	pthread_mutex_lock(&l->lock);
	*l->inbox_end = p;
	l->inbox_end = &p->next;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

/* All that is there; waits for the first. */
static struct parcel *take(struct listener *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->inbox == NULL && !l->reading_over)
		pthread_cond_wait(&l->cond, &l->lock);
	struct parcel *p = l->inbox;
	l->inbox = NULL;
	l->inbox_end = &l->inbox;
	pthread_mutex_unlock(&l->lock);
	return p;
}

static void give_back(struct listener *l, struct parcel *first, struct parcel *end)
{
	pthread_mutex_lock(&l->lock);
	for (struct parcel *p = first, *next; p != end; p = next) {
		next = p->next;
		p->next = l->done;
		l->done = p;
	}
	pthread_mutex_unlock(&l->lock);
	ev_async_send(l->loop, &l->wake);
}

void *intake_main(void *listener)
{
	struct listener *l = listener;
	struct office o = {.l = l};
	struct parcel *p;
	if (gethostname(o.host, sizeof o.host - 1) != 0)
		snprintf(o.host, sizeof o.host, "localhost");
	while ((p = take(l)) != NULL)
		for (struct parcel *rest; p != NULL; p = rest) {
			rest = handle_some(&o, p);
			give_back(l, p, rest);
		}
	intake_free(&o.intake);
	store_close(&o.store);
	return NULL;
}
