#include "src/base/file.h"
#include "src/base/log.h"
#include "src/base/utf8.h"
#include "src/serve/sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int sandbox_keep_prepare(const char *dir, struct err *e)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		char path[4096];
		int n = snprintf(path, sizeof path, "%s%s", dir, parts[i]);
		if (n < 0 || (size_t)n >= sizeof path - 64)
			return err_set(e, ERR_CREATE, "sandbox", "path too long: %.100s", dir);
		if (mkdir(path, 0777) != 0 && errno != EEXIST)
			return err_sys(e, ERR_CREATE, "sandbox", path);
	}
	return 0;
}

static int write_file(const char *path, struct str head, struct str message)
{
	struct iovec v[2] = {{(void *)(uintptr_t)head.p, head.n}, {(void *)(uintptr_t)message.p, message.n}};
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -1;
	int at = 0, rc = 0;
	while (at < 2 && rc == 0) {
		ssize_t n = writev(fd, v + at, 2 - at);
		if (n < 0)
			rc = errno == EINTR ? 0 : -1;
		for (; at < 2 && n >= (ssize_t)v[at].iov_len; at++)
			n -= (ssize_t)v[at].iov_len;
		if (at < 2 && n > 0)
			v[at] = (struct iovec){(char *)v[at].iov_base + n, v[at].iov_len - (size_t)n};
	}
	return close(fd) == 0 ? rc : -1;
}

int sandbox_keep(struct sandbox *s, struct str from, struct str rcpts, struct str message)
{
	char name[64], tmp[4096], to[4096];
	struct buf head = BUF_INIT(128 << 10);
	buf_printf(&head, "X-Envelope-From: <%.*s>\r\n", STR_ARG(from));
	while (rcpts.n != 0) {
		size_t n = str_find(rcpts, '\0');
		buf_printf(&head, "X-Envelope-To: <%.*s>\r\n", (int)n, rcpts.p);
		rcpts = str_n(rcpts.p + n + 1, rcpts.n - n - 1);
	}
	snprintf(name, sizeof name, "%lld.%08" PRIx64 "_%lu.sandbox", (long long)(clock_now() / 1000),
		s->run & 0xffffffff, ++s->next_file);
	snprintf(tmp, sizeof tmp, "%s/tmp/%s", s->keep, name);
	snprintf(to, sizeof to, "%s/new/%s", s->keep, name);
	int rc = head.failed ? -1 : write_file(tmp, buf_get(&head), message);
	if (rc == 0)
		rc = rename(tmp, to);
	if (rc != 0) {
		struct err e;
		err_sys(&e, ERR_CREATE, "sandbox", tmp);
		log_err(LOG_LEVEL_ERROR, &e);
		unlink(tmp);
	}
	buf_release(&head);
	return rc;
}

/* ---- the log ---- */

/* A JSON string. Bytes that are not UTF-8 become U+FFFD, so that a line is always read. */
static void put_json(struct buf *b, struct str s)
{
	buf_putc(b, '"');
	for (size_t at = 0; at < s.n;) {
		uint32_t c = utf8_next(s, &at);
		char utf8[4];
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", (char)c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(b, "\\u%04x", (unsigned)c);
		else
			buf_add(b, utf8, utf8_put(utf8, c));
	}
	buf_putc(b, '"');
}

static void put_field(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, ",\"%s\":", name);
	put_json(b, value);
}

static struct str message_id(struct str m)
{
	static const char name[] = "Message-ID:";
	while (m.n >= 2 && !(m.p[0] == '\r' && m.p[1] == '\n')) {
		size_t n = str_find(m, '\n');
		if (n > sizeof name - 1 && strncasecmp(m.p, name, sizeof name - 1) == 0)
			return str_trim(str_n(m.p + sizeof name - 1, n - (sizeof name - 1)));
		if (n == m.n)
			break;
		m = str_n(m.p + n + 1, m.n - n - 1);
	}
	return str_n(NULL, 0);
}

void sandbox_log(struct sandbox *s, const struct sandbox_receipt *r)
{
	char time[CLOCK_TEXT], code[24] = "";
	struct buf b = BUF_INIT(16 << 10), reply = BUF_INIT(2048);
	if (r->code != 0)
		snprintf(code, sizeof code, "%d%s%s ", r->code, r->enhanced != NULL ? " " : "",
			r->enhanced != NULL ? r->enhanced : "");
	buf_printf(&reply, "%s%s", code, r->text != NULL ? r->text : "");
	buf_printf(&b, "{\"time\":\"%s\",\"connection\":%lu", clock_utc(clock_now(), time), r->connection);
	put_field(&b, "from", r->from);
	put_field(&b, "rcpt", r->rcpt);
	put_field(&b, "message_id", message_id(r->message));
	buf_printf(&b, ",\"size\":%" PRIu64, r->size);
	put_field(&b, "reply", buf_get(&reply));
	buf_printf(&b, ",\"taken\":%s}\n", r->taken ? "true" : "false");
	if (!b.failed)
		fwrite(b.p, 1, b.len, s->log);
	buf_release(&reply);
	buf_release(&b);
}
