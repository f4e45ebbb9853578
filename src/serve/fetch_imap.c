/* IMAP: the messages behind the last UID that was read. */
#include "src/base/log.h"
#include "src/base/utf8.h"
#include "src/serve/fetch_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1000, WINDOW_MOST = 30000 }; /* UIDs asked for at once; an answer is one line */

struct place { /* how far the folder was read */
	uint32_t validity, last, next;
};

/* Modified base64 of UTF-16, between & and -. */
static void put_utf16(struct buf *out, struct str s, size_t *at)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
	uint64_t bits = 0;
	int n = 0;
	buf_putc(out, '&');
	while (*at < s.n && (unsigned char)s.p[*at] >= 0x80) {
		uint32_t c = utf8_next(s, at);
		bool pair = c >= 0x10000;
		bits = pair ? bits << 32 | 0xd800dc00 | (c - 0x10000) >> 10 << 16 | (c & 0x3ff)
			    : bits << 16 | c;
		for (n += pair ? 32 : 16; n >= 6; n -= 6)
			buf_putc(out, digits[bits >> (n - 6) & 63]);
	}
	if (n > 0)
		buf_putc(out, digits[bits << (6 - n) & 63]);
	buf_putc(out, '-');
}

bool folder_name(const char *utf8, char *out, size_t n)
{
	struct str s = str_from(utf8);
	struct buf b = BUF_INIT(n - 1);
	bool ascii = utf8_ascii(s);
	for (size_t at = 0; at < s.n;)
		if ((unsigned char)s.p[at] >= 0x80)
			put_utf16(&b, s, &at);
		else if (s.p[at] == '&' && !ascii)
			at++, buf_puts(&b, "&-");
		else
			buf_putc(&b, s.p[at++]);
	bool fine = !b.failed && b.len > 0 && utf8_valid(s);
	snprintf(out, n, "%s", buf_cstr(&b));
	buf_release(&b);
	return fine;
}

static uint32_t number_behind(const char *text, const char *word)
{
	const char *p = strstr(text, word);
	return p != NULL ? (uint32_t)strtoul(p + strlen(word), NULL, 10) : 0;
}

static int load_place(struct session *s, struct place *p, struct err *e)
{
	char command[500], name[100], folder[400];
	struct buf b = BUF_INIT(1024);
	struct err none = {0};
	/* The URL has it encoded. */
	int n = 0;
	char *plain = curl_easy_unescape(s->curl, s->folder, 0, &n);
	snprintf(folder, sizeof folder, "%.*s", plain != NULL ? n : 0, plain != NULL ? plain : "");
	curl_free(plain);
	if (strpbrk(folder, "\"\\\r\n") != NULL)
		return err_set(e, ERR_CONFIG, "mailbox", "%s: no name for a folder", folder);
	snprintf(command, sizeof command, "STATUS \"%s\" (UIDVALIDITY UIDNEXT)", folder);
	if (session_ask(s, "", command, true, e) != 0)
		return -1;
	p->validity = number_behind(buf_cstr(&s->body), "UIDVALIDITY ");
	p->next = number_behind(buf_cstr(&s->body), "UIDNEXT ");
	if (p->validity == 0 || p->next == 0)
		return err_set(e, ERR_UNREACH, "mailbox", "%s: the server does not tell its UIDs",
			s->o->mailbox->name);
	session_place_name(s, name, sizeof name);
	uint32_t validity = 0, last = 0;
	if (store_meta_get(s->o->store, name, &b, &none) == 0 &&
		sscanf(buf_cstr(&b), "imap %" SCNu32 " %" SCNu32, &validity, &last) == 2 &&
		validity == p->validity)
		p->last = last;
	buf_release(&b);
	if (none.code != 0 && none.code != ERR_NOINPUT) {
		*e = none;
		return -1;
	}
	return 0;
}

static int save_place(struct session *s, const struct place *p, struct err *e)
{
	char name[100], value[60];
	if (s->o->dry_run)
		return 0;
	session_place_name(s, name, sizeof name);
	snprintf(value, sizeof value, "imap %" PRIu32 " %" PRIu32, p->validity, p->last);
	return store_meta_set(s->o->store, name, str_from(value), e);
}

/* The UIDs of "* SEARCH 3 5 8", at most `max`. */
static size_t search(struct session *s, const char *what, uint32_t from, uint32_t to, uint32_t *out,
	size_t max, struct err *e)
{
	char command[100];
	snprintf(command, sizeof command, "UID SEARCH %sUID %" PRIu32 ":%" PRIu32, what, from, to);
	if (session_ask(s, s->folder, command, true, e) != 0)
		return SIZE_MAX;
	size_t n = 0;
	const char *p = strstr(buf_cstr(&s->body), "SEARCH");
	for (char *end; p != NULL && n < max; p = end) {
		p += strcspn(p, "0123456789\r\n");
		uint32_t uid = (uint32_t)strtoul(p, &end, 10);
		if (end == p)
			break;
		/* "n:*" and liars name others as well. */
		if (uid >= from && uid <= to)
			out[n++] = uid;
	}
	return n;
}

static bool among(const uint32_t *v, size_t n, uint32_t uid)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == uid)
			return true;
	return false;
}

static int store_flag(struct session *s, uint32_t uid, const char *what, struct err *e)
{
	char command[100];
	snprintf(command, sizeof command, "UID STORE %" PRIu32 " %s", uid, what);
	return session_ask(s, s->folder, command, true, e);
}

static int expunge(struct session *s, uint32_t uid, struct err *e)
{
	char command[60];
	struct err none = {0};
	if (store_flag(s, uid, "+FLAGS.SILENT (\\Deleted)", e) != 0)
		return -1;
	/* A plain EXPUNGE would remove what others have marked: without UIDPLUS it stays marked. */
	snprintf(command, sizeof command, "UID EXPUNGE %" PRIu32, uid);
	if (session_ask(s, s->folder, command, true, &none) != 0 && none.code != ERR_DATA) {
		*e = none;
		return -1;
	}
	return 0;
}

static int move_by(struct session *s, const char *verb, uint32_t uid, const char *folder, struct err *e)
{
	char command[500];
	snprintf(command, sizeof command, "UID %s %" PRIu32 " \"%s\"", verb, uid, folder);
	return session_ask(s, s->folder, command, true, e);
}

/* MOVE (RFC 6851); else a copy, and the mark. The folder is made if it is not there. */
static int move(struct session *s, uint32_t uid, struct err *e)
{
	char command[500], folder[400];
	struct err none = {0};
	if (!folder_name(s->o->mailbox->folder, folder, sizeof folder))
		return err_set(
			e, ERR_CONFIG, "mailbox", "%.100s: no name for a folder", s->o->mailbox->folder);
	for (int i = 0; i < 2; i++) {
		none = (struct err){0};
		if (move_by(s, "MOVE", uid, folder, &none) == 0)
			return 0;
		if (none.code == ERR_DATA && move_by(s, "COPY", uid, folder, e) == 0)
			return expunge(s, uid, e);
		snprintf(command, sizeof command, "CREATE \"%s\"", folder);
		if (none.code != ERR_DATA || session_ask(s, "", command, true, &none) != 0)
			break;
	}
	*e = none;
	return -1;
}

static int one(struct session *s, uint32_t uid, bool unread, struct err *e)
{
	char path[500], id[20];
	bool matched;
	snprintf(path, sizeof path, "%s;UID=%" PRIu32, s->folder, uid);
	snprintf(id, sizeof id, "%" PRIu32, uid);
	if (session_ask(s, path, NULL, true, e) != 0) {
		/* Somebody else took it away in between. */
		return e->code == ERR_DATA ? 0 : -1;
	}
	if (session_message(s, id, &matched, e) != 0)
		return -1;
	if (matched && !s->o->dry_run && s->o->mailbox->after == MAILBOX_MOVE)
		return move(s, uid, e);
	if (matched && !s->o->dry_run && s->o->mailbox->after == MAILBOX_DELETE)
		return expunge(s, uid, e);
	return unread && (!matched || s->o->dry_run) ? store_flag(s, uid, "-FLAGS.SILENT (\\Seen)", e) : 0;
}

static int window(
	struct session *s, struct place *p, uint32_t to, uint32_t *uids, size_t *found, struct err *e)
{
	uint32_t *unread = uids + WINDOW_MOST;
	size_t n = search(s, "", p->last + 1, to, uids, WINDOW_MOST, e), nunread = 0;
	if (n != 0 && n != SIZE_MAX)
		nunread = search(s, "UNSEEN ", p->last + 1, to, unread, WINDOW_MOST, e);
	if (n == SIZE_MAX || nunread == SIZE_MAX)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (session_stopped(s))
			return 0;
		if (one(s, uids[i], among(unread, nunread, uids[i]), e) != 0)
			return -1;
		if (uids[i] > p->last)
			p->last = uids[i];
		if (save_place(s, p, e) != 0)
			return -1;
	}
	*found = n;
	p->last = to;
	return 0;
}

int fetch_imap(struct session *s, struct err *e)
{
	struct place p = {0};
	if (load_place(s, &p, e) != 0)
		return -1;
	uint32_t *uids = malloc(2 * WINDOW_MOST * sizeof *uids), size = WINDOW;
	int rc = uids != NULL ? 0 : err_set(e, ERR_INTERNAL, "mailbox", "out of memory");
	while (rc == 0 && p.last + 1 < p.next && !session_stopped(s)) {
		uint32_t to = p.next - 1 - p.last > size ? p.last + size : p.next - 1;
		size_t n = 0;
		rc = window(s, &p, to, uids, &n, e);
		size = n != 0 ? WINDOW : size * 2 < WINDOW_MOST ? size * 2 : WINDOW_MOST;
	}
	free(uids);
	return rc == 0 && !session_stopped(s) ? save_place(s, &p, e) : rc;
}
