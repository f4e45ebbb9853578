#include "src/cli/output.h"

#include "src/base/utf8.h"
#include "src/cli/cli.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define HELD     200
#define TEXT_MAX (16 << 20)
#define GAP      2
#define INDENT   4  /* of a row's further lines */
#define LEAST    32 /* columns of the screen; with less the last column goes on a line of its own */

struct cell {
	size_t at, n, width;
	enum style style;
};

struct table {
	const struct cli *c;
	FILE *f;
	size_t ncolumns, nrows, filled; /* filled: cells of the row that is being made */
	bool streaming;
	size_t screen;  /* columns of the terminal; 0: not on one */
	uint32_t folds; /* columns that begin a line, the first apart */
	size_t room;    /* of the last one no more than that is shown, 0: all */
	enum style next;
	const char *empty;  /* told where no row came; NULL: nothing */
	struct buf text;    /* of the cells held */
	struct cell *cells; /* HELD rows */
	size_t *widths;
	struct column columns[];
};

struct table *table_new(const struct cli *c, FILE *f, const struct column *columns, size_t n)
{
	struct table *t = calloc(1, sizeof *t + n * sizeof *columns);
	if (t == NULL)
		return NULL;
	t->cells = calloc(n * HELD, sizeof *t->cells);
	t->widths = calloc(n, sizeof *t->widths);
	if (t->cells == NULL || t->widths == NULL) {
		free(t->cells);
		free(t->widths);
		free(t);
		return NULL;
	}
	t->c = c;
	t->f = f;
	assert(n <= 32);
	t->ncolumns = n;
	t->screen = c->out_terminal && f == stdout ? terminal_columns(STDOUT_FILENO) : 0;
	buf_init(&t->text, TEXT_MAX);
	memcpy(t->columns, columns, n * sizeof *columns);
	return t;
}

/* Cells hold the safe text, so that widths are those of what is shown. */
void table_str(struct table *t, struct str s)
{
	assert(t->filled < t->ncolumns);
	struct cell *cell = &t->cells[t->nrows * t->ncolumns + t->filled];
	bool last = t->filled + 1 == t->ncolumns;
	size_t max = t->screen == 0 ? 0 : last ? t->screen : t->columns[t->filled].max;
	*cell = (struct cell){.at = t->text.len, .style = t->next};
	utf8_safe(&t->text, s);
	struct str shown = str_n(t->text.p + cell->at, t->text.len - cell->at);
	cell->width = utf8_width(shown);
	if (max != 0 && cell->width > max) {
		t->text.len = cell->at + utf8_cut(shown, max - 1).n;
		buf_puts(&t->text, "…");
		cell->width = utf8_width(str_n(t->text.p + cell->at, t->text.len - cell->at));
	}
	cell->n = t->text.len - cell->at;
	t->next = STYLE_NONE;
	t->filled++;
}

void table_printf(struct table *t, const char *fmt, ...)
{
	struct buf b = BUF_INIT(64 << 10);
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	table_str(t, buf_get(&b));
	buf_release(&b);
}

void table_count(struct table *t, int64_t n)
{
	char text[TEXT_NUMBER];
	table_str(t, str_from(text_count(n, text)));
}

void table_style(struct table *t, enum style s)
{
	t->next = s;
}

void table_empty(struct table *t, const char *text)
{
	t->empty = text;
}

/* Where the rows are wider than the screen, the last column is cut if enough of it stays; else the rows take
 * several lines. */
static void lay_out(struct table *t)
{
	size_t used = 0, last = t->ncolumns - 1;
	bool text = !t->columns[last].right;
	if (t->screen == 0)
		return;
	for (size_t i = 0; i < last; i++)
		used += t->widths[i] + GAP;
	if (used + t->widths[last] > t->screen && (!text || used + LEAST > t->screen)) {
		used = 0;
		for (size_t i = 0; i <= last; i++) {
			size_t least = t->folds == 0 ? LEAST : LEAST / 2;
			if (!text || i < last || t->widths[i] < least)
				least = t->widths[i];
			if (i > 0 && used + least > t->screen) {
				t->folds |= UINT32_C(1) << i;
				used = INDENT;
			}
			used += i < last ? t->widths[i] + GAP : 0;
		}
	}
	if (text && used < t->screen)
		t->room = t->screen - used;
}

static bool folds_at(const struct table *t, size_t column)
{
	return (t->folds >> column & 1) != 0;
}

/* `end`: nothing stands in the columns from there on. */
static void print_cell(
	const struct table *t, size_t column, size_t end, struct str s, size_t width, enum style style)
{
	size_t pad = t->widths[column] > width ? t->widths[column] - width : 0;
	bool color = t->f == stdout, last = column + 1 == end,
	     cut = column + 1 == t->ncolumns && t->room != 0 && width > t->room;
	if (folds_at(t, column))
		fprintf(t->f, "\n%*s", INDENT, "");
	if (t->columns[column].right)
		fprintf(t->f, "%*s", (int)pad, "");
	if (cut)
		s = utf8_cut(s, t->room - 1);
	fprintf(t->f, "%s%.*s%s%s", color ? style_on(t->c, style) : "", STR_ARG(s), cut ? "…" : "",
		color ? style_off(t->c, style) : "");
	if (!last && !folds_at(t, column + 1))
		fprintf(t->f, "%*s", (int)(GAP + (t->columns[column].right ? 0 : pad)), "");
}

static void print_row(const struct table *t, size_t row)
{
	const struct cell *cells = &t->cells[row * t->ncolumns];
	size_t end = t->ncolumns;
	while (end > 1 && cells[end - 1].n == 0)
		end--;
	for (size_t i = 0; i < end; i++)
		print_cell(t, i, end, str_n(t->text.p != NULL ? t->text.p + cells[i].at : "", cells[i].n),
			cells[i].width, cells[i].style);
	putc('\n', t->f);
}

static void print_held(struct table *t)
{
	bool heading = t->columns[0].title != NULL;
	for (size_t i = 0; i < t->ncolumns; i++) {
		t->widths[i] = heading ? utf8_width(str_from(t->columns[i].title)) : 0;
		for (size_t r = 0; r < t->nrows; r++)
			if (t->cells[r * t->ncolumns + i].width > t->widths[i])
				t->widths[i] = t->cells[r * t->ncolumns + i].width;
	}
	lay_out(t);
	for (size_t i = 0; heading && i < t->ncolumns; i++)
		print_cell(t, i, t->ncolumns, str_from(t->columns[i].title),
			utf8_width(str_from(t->columns[i].title)), STYLE_BOLD);
	if (heading)
		putc('\n', t->f);
	for (size_t r = 0; r < t->nrows; r++)
		print_row(t, r);
	t->nrows = 0;
	buf_clear(&t->text);
	t->streaming = true;
}

int table_row(struct table *t)
{
	while (t->filled < t->ncolumns)
		table_str(t, STR(""));
	t->filled = 0;
	t->nrows++;
	if (t->streaming) {
		print_row(t, 0);
		t->nrows = 0;
		buf_clear(&t->text);
	} else if (t->nrows == HELD) {
		print_held(t);
	}
	return ferror(t->f) ? -1 : 0;
}

int table_end(struct table **tp)
{
	struct table *t = *tp;
	if (t == NULL)
		return 0;
	if (!t->streaming && t->nrows > 0)
		print_held(t);
	else if (!t->streaming && t->empty != NULL && !t->c->quiet && !t->c->json)
		fprintf(stderr, "postrider: %s\n", t->empty);
	int rc = ferror(t->f) ? -1 : 0;
	buf_release(&t->text);
	free(t->cells);
	free(t->widths);
	free(t);
	*tp = NULL;
	return rc;
}
