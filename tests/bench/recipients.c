#include "tests/bench/recipients.h"

#include "src/base/file.h"

#include <stdio.h>
#include <stdlib.h>

static void *more(void *p, size_t n, size_t each)
{
	p = realloc(p, n * each);
	if (p == NULL)
		abort();
	return p;
}

struct str file_whole(const char *path)
{
	struct buf b = BUF_INIT((size_t)1 << 30);
	struct err e = {0};
	if (file_read(path, &b, &e) != 0) {
		fprintf(stderr, "%s: %s\n", path, e.why);
		exit(1);
	}
	return str_n(buf_cstr(&b), b.len);
}

/* Takes the text up to `at` off the front. */
static struct str take(struct str *s, char at)
{
	size_t n = str_find(*s, at), used = n < s->n ? n + 1 : n;
	struct str piece = str_n(s->p, n);
	*s = str_n(s->p + used, s->n - used);
	return piece;
}

static void read_books(struct recipient *r, struct str items)
{
	while (items.n != 0) {
		struct str row = take(&items, ';');
		struct book b = {.title = take(&row, '|')};
		b.author = take(&row, '|');
		b.price = take(&row, '|');
		b.link = take(&row, '|');
		r->books = more(r->books, r->nbooks + 1, sizeof *r->books);
		r->books[r->nbooks++] = b;
	}
}

void recipients_read(struct recipients *r, const char *path)
{
	struct str text = file_whole(path), line = take(&text, '\n');
	*r = (struct recipients){0};
	while (line.n != 0) {
		r->names = more(r->names, r->ncolumns + 1, sizeof *r->names);
		r->names[r->ncolumns++] = take(&line, '\t');
	}
	while (text.n != 0) {
		line = take(&text, '\n');
		struct recipient one = {.column = more(NULL, r->ncolumns, sizeof *one.column)};
		for (size_t i = 0; i < r->ncolumns; i++) {
			one.column[i] = take(&line, '\t');
			if (str_is(r->names[i], "items"))
				read_books(&one, one.column[i]);
		}
		r->all = more(r->all, r->n + 1, sizeof *r->all);
		r->all[r->n++] = one;
	}
}

struct str recipient_column(const struct recipients *r, size_t i, const char *name)
{
	for (size_t k = 0; k < r->ncolumns; k++)
		if (str_is(r->names[k], name))
			return r->all[i].column[k];
	return str_n(NULL, 0);
}
