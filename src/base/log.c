#include "src/base/log.h"

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

static _Atomic int level_max = LOG_LEVEL_INFO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int fd; /* -1: standard error */
	char path[PATH_MAX];
	bool json, terminal;
	long long max_bytes, written;
	void (*hook)(bool before, void *ctx);
	void *hook_ctx;
} out = {.fd = -1};

static const char *const names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level max)
{
	atomic_store_explicit(&level_max, (int)max, memory_order_relaxed);
}

enum log_level log_level(void)
{
	return (enum log_level)atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* The old file stays in use where the new one cannot be opened: a log is not worth a failed campaign. */
static int open_file(struct err *e)
{
	int fd = open(out.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	struct stat st;
	if (fd < 0)
		return err_sys(e, ERR_CREATE, "cannot open the log", out.path);
	if (out.fd >= 0)
		close(out.fd);
	out.fd = fd;
	out.written = fstat(fd, &st) == 0 ? st.st_size : 0;
	return 0;
}

int log_open(const char *path, bool json, long long max_bytes, struct err *e)
{
	int rc = 0;
	pthread_mutex_lock(&lock);
	out.json = json;
	out.max_bytes = max_bytes;
	if (path == NULL) {
		if (out.fd >= 0)
			close(out.fd);
		out.fd = -1;
		out.path[0] = '\0';
	} else if ((size_t)snprintf(out.path, sizeof out.path, "%s", path) >= sizeof out.path) {
		errno = ENAMETOOLONG;
		rc = err_sys(e, ERR_CREATE, "cannot open the log", path);
		out.path[0] = '\0';
	} else {
		rc = open_file(e);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void log_reopen(void)
{
	pthread_mutex_lock(&lock);
	if (out.path[0] != '\0')
		(void)open_file(NULL);
	pthread_mutex_unlock(&lock);
}

void log_set_hook(void (*hook)(bool before, void *ctx), void *ctx)
{
	pthread_mutex_lock(&lock);
	out.hook = hook;
	out.hook_ctx = ctx;
	out.terminal = isatty(STDERR_FILENO);
	pthread_mutex_unlock(&lock);
}

static void rotate(void)
{
	char old[PATH_MAX + 2];
	if (out.max_bytes <= 0 || out.written < out.max_bytes)
		return;
	snprintf(old, sizeof old, "%s.1", out.path);
	if (rename(out.path, old) == 0)
		(void)open_file(NULL);
}

static void add_json_text(struct buf *b, const struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		if (text->p[i] == '"' || text->p[i] == '\\')
			buf_putc(b, '\\');
		buf_putc(b, text->p[i]);
	}
}

/* On standard error a person or a journal reads, who need no time; in a file it is the first thing looked
 * for. */
static void format_line(struct buf *b, enum log_level level, const struct buf *text)
{
	char now[CLOCK_TEXT];
	if (out.json) {
		buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"text\":\"", clock_utc(clock_now(), now),
			names[level]);
		add_json_text(b, text);
		buf_puts(b, "\"}\n");
		return;
	}
	if (out.fd >= 0)
		buf_printf(b, "%s %-5s ", clock_utc(clock_now(), now), names[level]);
	else if (level == LOG_LEVEL_WARN)
		buf_puts(b, "postrider: warning: ");
	else
		buf_puts(b, "postrider: ");
	buf_add(b, text->p, text->len);
	buf_putc(b, '\n');
}

static void emit(enum log_level level, const struct buf *text)
{
	struct buf line = BUF_INIT(4 * LINE_MAX_BYTES);
	pthread_mutex_lock(&lock);
	format_line(&line, level, text);
	bool to_terminal = out.fd < 0 && out.hook != NULL && out.terminal;
	if (to_terminal)
		out.hook(true, out.hook_ctx);
	ssize_t n = write(out.fd >= 0 ? out.fd : STDERR_FILENO, buf_cstr(&line), line.len);
	if (to_terminal)
		out.hook(false, out.hook_ctx);
	if (out.fd >= 0 && n > 0) {
		out.written += n;
		rotate();
	}
	pthread_mutex_unlock(&lock);
	buf_release(&line);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	if (level > log_level())
		return;
	int saved = errno;
	char raw[LINE_MAX_BYTES / 2];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	struct buf text = BUF_INIT(2 * LINE_MAX_BYTES);
	utf8_safe(&text, str_from(raw));
	emit(level, &text);
	buf_release(&text);
	errno = saved;
}

void log_err(enum log_level level, const struct err *e)
{
	if (e->file[0] != '\0' && e->line > 0)
		log_write(level, "%s: %s (%s:%ld)", e->what, e->why, e->file, e->line);
	else if (e->file[0] != '\0')
		log_write(level, "%s: %s (%s)", e->what, e->why, e->file);
	else
		log_write(level, "%s: %s", e->what, e->why);
}
