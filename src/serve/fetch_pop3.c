/* POP3: the messages whose UIDL was not met before. What was met is kept as a table of hashes, of those that
 * are still there. */
#include "engine/bounce/mailbox.h"
#include "src/base/hash.h"
#include "src/serve/fetch_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	long *number;
	uint64_t *hash;
	bool *met, *deleted; /* deleted: marked so, which holds from QUIT on */
	size_t n, cap;
};

/* Messages that the server does not hand out, damaged ones mostly: they are passed by, in this round. With
 * more of them it is the server that is broken. */
struct refusals {
	uint64_t hash[20];
	size_t n;
	long first;
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
	bool *deleted = realloc(l->deleted, cap * sizeof *deleted);
	if (deleted != NULL)
		l->deleted = deleted;
	if (number == NULL || hash == NULL || met == NULL || deleted == NULL)
		return -1;
	l->cap = cap;
	return 0;
}

/* "17 whqtswO00WBw418f9t5JxYwZ" on each line. */
static int read_list(struct session *s, struct listing *l, struct err *e)
{
	s->most = MAILBOX_LISTING;
	int rc = session_ask(s, "", "UIDL", true, e);
	s->most = MAILBOX_MESSAGE;
	if (rc != 0)
		return -1;
	struct str rest = buf_get(&s->body);
	if (rest.n == MAILBOX_LISTING)
		return err_set(
			e, ERR_DATA, "mailbox", "%s: there are too many messages in it", s->o->mailbox->name);
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
		l->deleted[l->n] = l->met[l->n] = false;
		l->n++;
	}
	buf_release(&s->body); /* as large as the list was */
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

/* 1: the server refuses it. */
static int one(struct session *s, struct listing *l, size_t i, struct err *e)
{
	char id[30];
	bool matched;
	snprintf(id, sizeof id, "%ld", l->number[i]);
	if (session_ask(s, id, NULL, true, e) != 0)
		return s->refused ? 1 : -1;
	if (session_message(s, id, &matched, e) != 0)
		return -1;
	l->met[i] = true;
	if (!matched || s->o->dry_run || s->o->mailbox->after != MAILBOX_DELETE)
		return 0;
	l->deleted[i] = true;
	return session_ask(s, id, "DELE", false, e);
}

static bool refused_before(const struct refusals *r, uint64_t hash)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->hash[i] == hash)
			return true;
	return false;
}

/* What is new. 1: one was refused, which ends the session. */
static int read_new(struct session *s, struct listing *l, struct refusals *r, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; i < l->n && rc == 0 && !session_stopped(s); i++) {
		if (l->met[i] || refused_before(r, l->hash[i]))
			continue;
		rc = one(s, l, i, e);
		if (rc == 1 && r->n == sizeof r->hash / sizeof *r->hash)
			return -1;
		if (rc == 1 && r->n == 0)
			r->first = l->number[i];
		if (rc == 1)
			r->hash[r->n++] = l->hash[i];
	}
	return rc;
}

static int round_of(struct session *s, struct refusals *r, struct err *e)
{
	struct listing l = {0};
	int rc = read_list(s, &l, e);
	if (rc == 0)
		rc = mark_met(s, &l, e);
	if (rc == 0)
		rc = read_new(s, &l, r, e);
	/* A session that broke may have deleted nothing: they come again, and count once. */
	for (size_t i = 0; i < l.n && rc != 0; i++)
		l.met[i] = l.met[i] && !l.deleted[i];
	/* Also what was read before something went wrong. */
	struct err again = {0};
	if (l.n != 0 && save_met(s, &l, rc >= 0 ? e : &again) != 0)
		rc = -1;
	free(l.number);
	free(l.hash);
	free(l.met);
	free(l.deleted);
	return rc;
}

int fetch_pop3(struct session *s, struct err *e)
{
	struct refusals r = {.n = 0};
	char what[100];
	int rc;
	while ((rc = round_of(s, &r, e)) == 1)
		;
	if (rc != 0 || r.n == 0)
		return rc;
	snprintf(what, sizeof what, "mailbox %s", s->o->mailbox->name);
	return err_set(e, ERR_DATA, what, "the server does not hand out message %ld%s; all others were read",
		r.first, r.n > 1 ? " and others" : "");
}
