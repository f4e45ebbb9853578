/* POP3: the messages whose UIDL was not met before. What was met is kept as a table of hashes, of those that
 * are still there. */
#include "src/base/hash.h"
#include "src/serve/fetch_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	long *number;
	uint64_t *hash;
	bool *met;
	size_t n, cap;
};

static int compare(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

static int grow(struct listing *l)
{
	size_t cap = l->cap * 2 + 256;
	long *number = realloc(l->number, cap * sizeof *number);
	if (number != NULL)
		l->number = number;
	uint64_t *hash = realloc(l->hash, cap * sizeof *hash);
	if (hash != NULL)
		l->hash = hash;
	bool *met = realloc(l->met, cap * sizeof *met);
	if (met != NULL)
		l->met = met;
	if (number == NULL || hash == NULL || met == NULL)
		return -1;
	l->cap = cap;
	return 0;
}

/* "17 whqtswO00WBw418f9t5JxYwZ" on each line. */
static int read_list(struct session *s, struct listing *l, struct err *e)
{
	if (session_ask(s, "", "UIDL", true, e) != 0)
		return -1;
	struct str rest = buf_get(&s->body);
	while (rest.n != 0) {
		size_t end = str_find(rest, '\n'), blank;
		struct str line = str_trim(str_n(rest.p, end));
		end += end < rest.n;
		rest = str_n(rest.p + end, rest.n - end);
		blank = str_find(line, ' ');
		long number = strtol(line.n != 0 ? line.p : "", NULL, 10);
		if (number <= 0 || blank >= line.n)
			continue;
		if (l->n == l->cap && grow(l) != 0)
			return err_set(e, ERR_INTERNAL, "mailbox", "out of memory");
		l->number[l->n] = number;
		l->hash[l->n] = hash64(str_n(line.p + blank + 1, line.n - blank - 1));
		l->met[l->n++] = false;
	}
	return 0;
}

static int mark_met(struct session *s, struct listing *l, struct err *e)
{
	char name[100];
	struct buf b = BUF_INIT(64 << 20);
	struct err none = {0};
	session_place_name(s, name, sizeof name);
	int rc = store_meta_get(s->o->store, name, &b, &none);
	struct str known = buf_get(&b);
	if (rc == 0 && known.n > 5 && memcmp(known.p, "pop3 ", 5) == 0)
		for (size_t i = 0; i < l->n; i++)
			l->met[i] = bsearch(&l->hash[i], known.p + 5, (known.n - 5) / 8, 8, compare) != NULL;
	buf_release(&b);
	if (rc == 0 || none.code == ERR_NOINPUT)
		return 0;
	*e = none;
	return -1;
}

static int save_met(struct session *s, const struct listing *l, struct err *e)
{
	char name[100];
	struct buf b = BUF_INIT(64 << 20);
	if (s->o->dry_run)
		return 0;
	session_place_name(s, name, sizeof name);
	buf_add(&b, "pop3 ", 5);
	for (size_t i = 0; i < l->n; i++)
		if (l->met[i])
			buf_add(&b, &l->hash[i], 8);
	int rc = err_set(e, ERR_INTERNAL, "mailbox", "out of memory");
	if (!b.failed) {
		qsort(b.p + 5, (b.len - 5) / 8, 8, compare);
		rc = store_meta_set(s->o->store, name, buf_get(&b), e);
	}
	buf_release(&b);
	return rc;
}

static int one(struct session *s, struct listing *l, size_t i, struct err *e)
{
	char id[30];
	bool matched;
	snprintf(id, sizeof id, "%ld", l->number[i]);
	if (session_ask(s, id, NULL, true, e) != 0 || session_message(s, id, &matched, e) != 0)
		return -1;
	l->met[i] = true;
	if (matched && !s->o->dry_run && s->o->mailbox->after == MAILBOX_DELETE)
		return session_ask(s, id, "DELE", false, e);
	return 0;
}

int fetch_pop3(struct session *s, struct err *e)
{
	struct listing l = {0};
	int rc = read_list(s, &l, e);
	if (rc == 0)
		rc = mark_met(s, &l, e);
	for (size_t i = 0; i < l.n && rc == 0 && !session_stopped(s); i++)
		if (!l.met[i])
			rc = one(s, &l, i, e);
	/* Also what was read before something went wrong. */
	struct err again = {0};
	if (l.n != 0 && save_met(s, &l, rc == 0 ? e : &again) != 0)
		rc = -1;
	free(l.number);
	free(l.hash);
	free(l.met);
	return rc;
}
