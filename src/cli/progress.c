#include "src/cli/progress.h"

#include "src/base/log.h"
#include "src/base/utf8.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BETWEEN 100 /* ms */

struct progress {
	bool live, shown;
	ms_t drawn;
	pthread_mutex_t lock;
	struct buf line;
};

static struct progress silent;

static void send(struct str s)
{
	/* A terminal that went away is no reason to stop. */
	ssize_t n = write(STDERR_FILENO, s.p, s.n);
	(void)n;
}

static void draw(struct progress *p)
{
	struct buf out = BUF_INIT(8192);
	buf_puts(&out, "\r");
	buf_str(&out, utf8_cut(buf_get(&p->line), terminal_columns(STDERR_FILENO) - 1));
	buf_puts(&out, "\x1b[K");
	send(buf_get(&out));
	buf_release(&out);
	p->shown = true;
}

static void wipe(struct progress *p)
{
	if (p->shown)
		send(STR("\r\x1b[K"));
	p->shown = false;
}

/* A log line takes the place of ours, which is drawn again below it. */
static void step_aside(bool before, void *ctx)
{
	struct progress *p = ctx;
	if (before) {
		pthread_mutex_lock(&p->lock);
		wipe(p);
	} else {
		if (p->line.len > 0)
			draw(p);
		pthread_mutex_unlock(&p->lock);
	}
}

struct progress *progress_new(const struct cli *c)
{
	const char *term = getenv("TERM");
	bool dumb = term == NULL || strcmp(term, "dumb") == 0;
	struct progress *p = c->err_terminal && !c->quiet && !dumb ? calloc(1, sizeof *p) : NULL;
	if (p == NULL)
		return &silent;
	p->live = true;
	p->drawn = -BETWEEN;
	pthread_mutex_init(&p->lock, NULL);
	buf_init(&p->line, 4096);
	log_set_hook(step_aside, p);
	return p;
}

bool progress_due(const struct progress *p)
{
	return p->live && clock_mono() - p->drawn >= BETWEEN;
}

void progress_set(struct progress *p, const char *fmt, ...)
{
	if (!progress_due(p))
		return;
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&p->lock);
	buf_clear(&p->line);
	utf8_safe(&p->line, str_from(text));
	p->drawn = clock_mono();
	draw(p);
	pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress **pp)
{
	struct progress *p = *pp;
	*pp = NULL;
	if (p == NULL || !p->live)
		return;
	log_set_hook(NULL, NULL);
	wipe(p);
	pthread_mutex_destroy(&p->lock);
	buf_release(&p->line);
	free(p);
}
