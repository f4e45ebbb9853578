#include "engine/delivery_log.h"

#include "src/base/log.h"
#include "src/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WAITING_MAX = 256, /* batches that wait to be written: some tens of MB; what comes beyond is lost */
	TEXT_MAX = 1 << 20,
};

struct delivery_log {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct outcome_batch *first, **last; /* under lock, as all up to `lost` */
	int waiting;
	bool closing, reopen;
	unsigned long lost; /* lines */
	/* the thread's own: */
	char path[PATH_MAX];
	int fd; /* -1: could not be opened */
	int64_t size, written;
	bool told; /* that it cannot be written */
};

/* ---- A line ---- */

static void put_json_str(struct buf *out, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	buf_putc(out, '"');
	for (size_t at = 0, run = 0; at < s.n;) {
		unsigned char c = (unsigned char)s.p[at];
		if (c >= 0x20 && c < 0x7f && c != '"' &&
			c != '\\') { /* most of it, taken over in one piece */
			for (run = at; run < s.n && (unsigned char)s.p[run] >= 0x20 &&
				       (unsigned char)s.p[run] < 0x7f && s.p[run] != '"' && s.p[run] != '\\';)
				run++;
			buf_add(out, s.p + at, run - at);
			at = run;
		} else if (c == '"' || c == '\\') {
			const char escaped[] = {'\\', (char)c};
			buf_add(out, escaped, 2);
			at++;
		} else if (c < 0x20 || c == 0x7f) {
			const char escaped[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
			buf_add(out, escaped, 6);
			at++;
		} else {
			char one[4];
			buf_add(out, one, utf8_put(one, utf8_next(s, &at)));
		}
	}
	buf_putc(out, '"');
}

static void put_name(struct buf *out, const char *name)
{
	buf_putc(out, out->p[out->len - 1] == '{' ? '"' : ',');
	if (out->p[out->len - 1] == ',')
		buf_putc(out, '"');
	buf_puts(out, name);
	buf_str(out, STR("\":"));
}

static void put_str(struct buf *out, const char *name, struct str s)
{
	put_name(out, name);
	if (s.n == 0)
		buf_str(out, STR("null"));
	else
		put_json_str(out, s);
}

static void put_int(struct buf *out, const char *name, int64_t n)
{
	char digits[24];
	put_name(out, name);
	buf_add(out, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, n));
}

static void put_time(struct buf *out, const char *name, ms_t t)
{
	char text[CLOCK_TEXT];
	put_str(out, name, t != 0 ? str_from(clock_utc(t, text)) : STR(""));
}

static bool is_attempt(const struct outcome_row *r)
{
	if (r->kind == OUTCOME_RETURN)
		return false;
	/* Skipped when its turn came, or its time ran out while it waited: nobody was asked. */
	return r->kind != OUTCOME_FINAL ||
	       (r->state != DELIVERY_SKIPPED &&
		       !(r->state == DELIVERY_EXPIRED && r->code == 0 && r->reply.n == 0));
}

static const char *state_of(const struct outcome_row *r)
{
	switch (r->kind) {
	case OUTCOME_DEFER:
		return delivery_state_names[DELIVERY_DEFERRED];
	case OUTCOME_REQUEUE:
		return delivery_state_names[DELIVERY_QUEUED];
	case OUTCOME_DOUBT:
		return delivery_state_names[DELIVERY_DOUBT];
	default:
		return delivery_state_names[r->state];
	}
}

void delivery_log_line(const struct outcome_row *r, struct buf *out)
{
	if (!is_attempt(r))
		return;
	buf_putc(out, '{');
	put_time(out, "time", r->at);
	put_str(out, "campaign", r->campaign);
	put_int(out, "delivery", r->delivery);
	put_int(out, "attempt", r->attempt);
	put_str(out, "address", r->address);
	put_str(out, "domain", r->domain);
	put_str(out, "provider", r->provider);
	put_str(out, "route", r->route);
	put_str(out, "source", r->source);
	put_str(out, "site", r->site);
	put_str(out, "peer", r->peer);
	put_str(out, "tls", r->tls);
	put_str(out, "state", str_from(state_of(r)));
	if (r->code != 0)
		put_int(out, "code", r->code);
	else
		put_str(out, "code", STR(""));
	put_str(out, "enhanced", str_from(r->enhanced));
	put_str(out, "reply", r->reply);
	put_str(out, "class", str_from(reply_class_names[r->class]));
	put_str(out, "scope", r->class != CLASS_NONE ? str_from(reply_scope_names[r->scope]) : STR(""));
	put_str(out, "reason", r->reason);
	put_str(out, "action", str_from(r->action));
	put_time(out, "due", r->kind == OUTCOME_FINAL ? 0 : r->due);
	put_str(out, "relay_id", r->relay_id);
	put_int(out, "connect_ms", r->connect_ms);
	put_int(out, "tls_ms", r->tls_ms);
	put_int(out, "send_ms", r->send_ms);
	buf_str(out, STR("}\n"));
}

/* ---- The file: the thread's own ---- */

static int open_file(struct delivery_log *l, struct err *e)
{
	struct stat st;
	int fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, ERR_CREATE, "cannot open the delivery log", l->path);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->written = fstat(fd, &st) == 0 ? st.st_size : 0;
	return 0;
}

static void rotate(struct delivery_log *l)
{
	char old[PATH_MAX + 2];
	if (l->size <= 0 || l->written < l->size)
		return;
	snprintf(old, sizeof old, "%s.1", l->path);
	if (rename(l->path, old) == 0)
		(void)open_file(l, NULL);
}

static unsigned long count_lines(struct str s)
{
	unsigned long n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static void add_lost(struct delivery_log *l, unsigned long n)
{
	pthread_mutex_lock(&l->lock);
	l->lost += n;
	pthread_mutex_unlock(&l->lock);
}

/* All of it, or nothing stays in the file. */
static bool write_whole(struct delivery_log *l, struct str text)
{
	size_t done = 0;
	if (l->fd < 0 && open_file(l, NULL) != 0)
		return false;
	while (done < text.n) {
		ssize_t n = write(l->fd, text.p + done, text.n - done);
		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			int saved = errno;
			if (done > 0 && ftruncate(l->fd, l->written) != 0)
				log_warn("delivery log: %s: half a line stands at its end", l->path);
			errno = saved;
			return false;
		}
	}
	l->written += (int64_t)done;
	return true;
}

static void write_text(struct delivery_log *l, struct buf *text)
{
	struct buf note = BUF_INIT(256);
	char when[CLOCK_TEXT];
	if (text->len == 0)
		return;
	pthread_mutex_lock(&l->lock);
	unsigned long lost = l->lost;
	pthread_mutex_unlock(&l->lock);
	if (lost > 0)
		buf_printf(&note, "{\"time\":\"%s\",\"lost\":%lu}\n", clock_utc(clock_now(), when), lost);
	if ((lost == 0 || write_whole(l, buf_get(&note))) && write_whole(l, buf_get(text))) {
		pthread_mutex_lock(&l->lock);
		l->lost -= lost;
		pthread_mutex_unlock(&l->lock);
		if (lost > 0)
			log_warn("delivery log: %s is written again; %lu lines are missing", l->path, lost);
		l->told = false;
		rotate(l);
	} else {
		if (!l->told)
			log_error("delivery log: %s: %s; sending goes on, and its lines are lost", l->path,
				strerror(errno));
		l->told = true;
		add_lost(l, count_lines(buf_get(text)));
	}
	buf_release(&note);
}

static void *log_main(void *arg)
{
	struct delivery_log *l = arg;
	struct buf text = BUF_INIT(TEXT_MAX);
	for (;;) {
		pthread_mutex_lock(&l->lock);
		while (l->first == NULL && !l->reopen && !l->closing)
			pthread_cond_wait(&l->cond, &l->lock);
		struct outcome_batch *b = l->first;
		if (b != NULL && (l->first = b->next) == NULL)
			l->last = &l->first;
		l->waiting -= b != NULL;
		bool reopen = l->reopen, over = b == NULL && l->closing;
		l->reopen = false;
		pthread_mutex_unlock(&l->lock);
		if (reopen && open_file(l, NULL) != 0)
			log_error("delivery log: %s: %s; the old file is kept", l->path, strerror(errno));
		if (over)
			break;
		if (b == NULL)
			continue;
		buf_clear(&text);
		for (size_t i = 0; i < b->n; i++)
			delivery_log_line(&b->rows[i], &text);
		outcome_batch_free(b);
		write_text(l, &text);
	}
	buf_release(&text);
	return NULL;
}

/* ---- For others ---- */

int delivery_log_open(struct delivery_log **out, const char *path, int64_t size, struct err *e)
{
	struct delivery_log *l = calloc(1, sizeof *l);
	if (l == NULL)
		return err_set(e, ERR_INTERNAL, "delivery log", "out of memory");
	l->fd = -1;
	l->size = size;
	l->last = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	int rc = 0;
	if ((size_t)snprintf(l->path, sizeof l->path, "%s", path) >= sizeof l->path) {
		errno = ENAMETOOLONG;
		rc = err_sys(e, ERR_CREATE, "cannot open the delivery log", path);
	}
	if (rc == 0)
		rc = open_file(l, e);
	if (rc == 0 && pthread_create(&l->thread, NULL, log_main, l) != 0) {
		close(l->fd);
		rc = err_sys(e, ERR_INTERNAL, "delivery log", "thread");
	}
	if (rc == 0)
		*out = l;
	else
		free(l);
	return rc;
}

void delivery_log_give(struct delivery_log *l, struct outcome_batch *b)
{
	b->next = NULL;
	pthread_mutex_lock(&l->lock);
	bool taken = l->waiting < WAITING_MAX;
	if (taken) {
		*l->last = b;
		l->last = &b->next;
		l->waiting++;
		pthread_cond_signal(&l->cond);
	} else {
		for (size_t i = 0; i < b->n; i++)
			l->lost += is_attempt(&b->rows[i]);
	}
	pthread_mutex_unlock(&l->lock);
	if (!taken)
		outcome_batch_free(b);
}

void delivery_log_reopen(struct delivery_log *l)
{
	pthread_mutex_lock(&l->lock);
	l->reopen = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void delivery_log_close(struct delivery_log **lp)
{
	struct delivery_log *l = *lp;
	*lp = NULL;
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->cond);
	free(l);
}
