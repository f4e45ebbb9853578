#include "engine/bounce/mailbox.h"

#include "src/base/buf.h"
#include "src/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MS = 40, NAMES = MAILBOX_BATCH * 260 };

struct batch {
	const struct mailbox_reader *r;
	const char *dir;  /* the Maildir whose files are moved; NULL: none are */
	size_t n;         /* messages in it */
	struct buf moves; /* names of its files, a NUL behind each */
	ms_t began;
};

/* A name in `cur` has its flags behind ":2,"; S: it was seen. */
static int move_to_cur(const char *dir, const char *name, struct err *e)
{
	char from[4200], to[4200];
	snprintf(from, sizeof from, "%.3900s/new/%.255s", dir, name);
	snprintf(to, sizeof to, "%.3900s/cur/%.*s:2,S", dir, (int)str_find(str_from(name), ':'), name);
	return rename(from, to) == 0 || errno == ENOENT ? 0 : err_sys(e, ERR_IO, "move to cur", from);
}

/* What was processed is recorded, then moved. `rc` is what came before: a batch that failed moves nothing. */
static int batch_end(struct batch *b, int rc, struct err *e)
{
	if (rc == 0 && b->n != 0 && b->r->commit != NULL)
		rc = b->r->commit(b->r->ctx);
	for (size_t at = 0; at < b->moves.len && rc == 0; at += strlen(b->moves.p + at) + 1)
		rc = move_to_cur(b->dir, b->moves.p + at, e);
	buf_clear(&b->moves);
	b->n = 0;
	return rc;
}

/* One more was processed; `name`: its file in the Maildir, or NULL. */
static int batch_add(struct batch *b, const char *name, struct err *e)
{
	if (b->n++ == 0)
		b->began = clock_mono();
	if (name != NULL)
		buf_add(&b->moves, name, strlen(name) + 1);
	if (b->moves.failed)
		return err_set(e, ERR_INTERNAL, "returned mail", "out of memory");
	return b->n == MAILBOX_BATCH || clock_mono() - b->began >= BATCH_MS ? batch_end(b, 0, e) : 0;
}

struct splitter {
	struct buf text; /* of the message at hand */
	const char *name;
	bool many;
	long n; /* of the message, from 1 */
	ms_t file_at, at;
	struct batch *batch;
	struct err *e;
};

/* "From sender Mon Nov 22 09:00:00 2026", in UTC as far as anybody knows; 0: it says no time. */
static ms_t postmark_time(struct str line)
{
	char text[64];
	struct tm tm = {0};
	if (line.n < 24)
		return 0;
	snprintf(text, sizeof text, "%.*s", 24, line.p + line.n - 24);
	const char *end = strptime(text, "%a %b %d %H:%M:%S %Y", &tm);
	return end != NULL && *end == '\0' ? (ms_t)timegm(&tm) * SECOND : 0;
}

static int hand_over(struct splitter *s)
{
	char name[4200];
	if (s->text.len == 0)
		return 0;
	s->n++;
	if (s->many)
		snprintf(name, sizeof name, "%s#%ld", s->name, s->n);
	else
		snprintf(name, sizeof name, "%s", s->name);
	ms_t now = clock_now(), at = s->at != 0 ? s->at : s->file_at;
	const struct mailbox_message m = {name, buf_get(&s->text), at < now ? at : now};
	int rc = s->batch->r->message(s->batch->r->ctx, &m);
	buf_clear(&s->text);
	/* A Maildir's file counts when all of it was read. */
	return rc == 0 && s->batch->dir == NULL ? batch_add(s->batch, NULL, s->e) : rc;
}

/* What passes the ceiling is left out: a message is read from its beginning. */
static int keep_line(struct splitter *s, struct str line)
{
	size_t room = MAILBOX_MESSAGE - s->text.len;
	buf_str(&s->text, line.n < room ? line : str_n(line.p, room));
	return s->text.failed ? err_set(s->e, ERR_INTERNAL, "returned mail", "out of memory") : 0;
}

static bool is_postmark(struct str line)
{
	return str_starts(line, STR("From "));
}

static struct str unmark(struct str line)
{
	size_t marks = 0;
	while (marks < line.n && line.p[marks] == '>')
		marks++;
	if (marks == 0 || !is_postmark(str_n(line.p + marks, line.n - marks)))
		return line;
	return str_n(line.p + 1, line.n - 1);
}

/* A line, or as much of one as fits; n == 0: the end. */
static struct str read_piece(FILE *f, char *p, size_t max)
{
	size_t n = 0;
	int c;
	while (n < max && (c = getc_unlocked(f)) != EOF) {
		p[n++] = (char)c;
		if (c == '\n')
			break;
	}
	return str_n(p, n);
}

static int read_lines(struct splitter *s, FILE *f)
{
	char p[8192];
	struct str line;
	int rc = 0;
	bool first = true, empty = true, whole = true; /* of the line before */
	while (rc == 0 && (line = read_piece(f, p, sizeof p)).n != 0) {
		bool mark = empty && whole && is_postmark(line) && (first || s->many);
		if (first)
			s->many = s->many && mark;
		if (mark && !first)
			rc = hand_over(s);
		if (mark)
			s->at = postmark_time(str_trim(line));
		else if (rc == 0)
			rc = keep_line(s, s->many && whole ? unmark(line) : line);
		whole = line.p[line.n - 1] == '\n';
		empty = whole && str_trim(line).n == 0;
		first = false;
	}
	if (rc == 0 && ferror(f))
		return err_sys(s->e, ERR_IO, "read", s->name);
	return rc != 0 ? rc : hand_over(s);
}

static int split(FILE *f, const char *name, bool many, ms_t at, struct batch *b, struct err *e)
{
	struct splitter s = {
		.name = name, .many = many, .file_at = at != 0 ? at : clock_now(), .batch = b, .e = e};
	buf_init(&s.text, MAILBOX_MESSAGE + 1);
	int rc = read_lines(&s, f);
	buf_release(&s.text);
	return rc;
}

int mailbox_stream(
	FILE *f, const char *name, bool many, ms_t at, const struct mailbox_reader *r, struct err *e)
{
	struct batch b = {.r = r, .moves = BUF_INIT(NAMES)};
	return batch_end(&b, split(f, name, many, at, &b, e), e);
}

static int walk_open_file(FILE *f, const char *path, bool many, struct batch *b, struct err *e)
{
	struct stat st;
	if (fstat(fileno(f), &st) != 0)
		st.st_mtim = (struct timespec){0};
	ms_t at = (ms_t)st.st_mtim.tv_sec * SECOND + st.st_mtim.tv_nsec / 1000000;
	int rc = split(f, path, many, at, b, e);
	fclose(f);
	return rc;
}

static int walk_file(const char *path, struct batch *b, struct err *e)
{
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return err_sys(e, err_unread(), "read", path);
	return walk_open_file(f, path, true, b, e);
}

/* ---- Folders ---- */

/* Others deliver into a Maildir: what is no file of its own there (a link to somebody's secrets, a pipe that
 * never ends) is no message. NULL with errno 0: such a one. */
static FILE *open_inside(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		errno = errno == ELOOP || errno == ENXIO ? 0 : errno;
		return NULL;
	}
	FILE *f = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
	if (f == NULL) {
		close(fd);
		errno = 0;
	}
	return f;
}

static int walk_inside(const char *path, const char *name, struct batch *b, struct err *e)
{
	FILE *f = open_inside(path);
	if (f == NULL && errno == 0) {
		log_warn("%s is no ordinary file, and was left out", path);
		return 0;
	}
	if (f == NULL)
		return err_sys(e, err_unread(), "read", path);
	int rc = walk_open_file(f, path, false, b, e);
	return rc == 0 && b->dir != NULL ? batch_add(b, name, e) : rc;
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static bool is_folder(const char *dir, const char *name)
{
	char path[4200];
	struct stat st;
	snprintf(path, sizeof path, "%.3900s/%.255s", dir, name);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* In the order of their names: in a Maildir that is the order of arrival. */
static int walk_folder(const char *dir, const char *below, struct batch *b, struct err *e)
{
	char folder[4200], path[4600];
	struct dirent **names;
	snprintf(folder, sizeof folder, "%s%s%s", dir, *below != '\0' ? "/" : "", below);
	int n = scandir(folder, &names, visible, alphasort), rc = 0;
	if (n < 0)
		return err_sys(e, err_unread(), "read", folder);
	for (int i = 0; i < n; i++) {
		if (rc == 0 && !is_folder(folder, names[i]->d_name)) {
			snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
			rc = walk_inside(path, names[i]->d_name, b, e);
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

int mailbox_walk(const char *path, bool keep, const struct mailbox_reader *r, struct err *e)
{
	struct stat st;
	struct batch b = {.r = r, .moves = BUF_INIT(NAMES)};
	int rc;
	if (stat(path, &st) != 0)
		return err_sys(e, err_unread(), "read", path);
	if (!S_ISDIR(st.st_mode)) {
		rc = walk_file(path, &b, e);
	} else if (is_folder(path, "new") && is_folder(path, "cur")) {
		b.dir = keep ? NULL : path;
		rc = walk_folder(path, "new", &b, e);
	} else {
		rc = walk_folder(path, "", &b, e);
	}
	rc = batch_end(&b, rc, e);
	buf_release(&b.moves);
	return rc;
}
