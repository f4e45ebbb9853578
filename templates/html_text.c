#include "templates/html_text.h"

#include "src/base/utf8.h"
#include "templates/html_text_private.h"
#include "templates/html_token.h"

#include <stdio.h>

/* --- links --- */

static void link_begin(struct text_writer *w, struct str href)
{
	struct run r = RUN_INIT(w->o->a);
	html_decode(&r, href, HTML_IN_ATTR);
	w->href = str_trim(run_get(&r));
	w->in_link = w->href.n != 0 && w->href.p[0] != '#';
	text_word_end(w);
	w->link_from = w->out->n;
}

static size_t note_number(struct text_writer *w)
{
	for (size_t i = 0; i < w->nnotes; i++)
		if (str_eq(w->notes[i], w->href))
			return i + 1;
	if (w->nnotes == TEXT_NOTES)
		return 0;
	w->notes[w->nnotes] = w->href;
	return ++w->nnotes;
}

static void link_end(struct text_writer *w)
{
	if (!w->in_link)
		return;
	w->in_link = false;
	text_word_end(w);
	struct str shown = str_trim(str_n(w->out->p + w->link_from, w->out->n - w->link_from));
	struct str bare = w->href;
	if (str_starts(bare, STR("mailto:")) || str_starts(bare, STR("tel:")))
		bare = str_n(bare.p + str_find(bare, ':') + 1, bare.n - str_find(bare, ':') - 1);
	if (shown.n == 0 || str_eq(shown, w->href) || str_eq(shown, bare))
		return;
	w->space = true;
	size_t note = w->control == 0 ? note_number(w) : 0;
	if (note != 0) {
		char mark[32];
		snprintf(mark, sizeof mark, "[%zu]", note);
		text_string(w, str_from(mark));
	} else {
		text_unbroken(w, STR("<"));
		text_unbroken(w, w->href);
		text_unbroken(w, STR(">"));
	}
}

static void notes_end(struct text_writer *w)
{
	text_block(w);
	w->nlists = w->quotes = 0;
	for (size_t i = 0; i < w->nnotes; i++) {
		char mark[32];
		snprintf(mark, sizeof mark, "[%zu] ", i + 1);
		text_break_line(w);
		text_unbroken(w, str_from(mark));
		text_unbroken(w, w->notes[i]);
	}
	text_break_line(w);
}

/* --- elements --- */

static bool is(const struct html_token *t, const char *name)
{
	return str_is_nocase(t->name, name);
}

static bool is_one(const struct html_token *t, const char *const *names)
{
	for (; *names != NULL; names++)
		if (is(t, *names))
			return true;
	return false;
}

static const char *const blocks[] = {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "pre",
	"table", "form", "section", "article", "header", "footer", "figure", "address", "blockquote", "main",
	"aside", "nav", "center", "hr", NULL};
static const char *const lines[] = {
	"li", "tr", "td", "th", "dt", "dd", "br", "figcaption", "caption", "tbody", "thead", NULL};
static const char *const left_out[] = {
	"head", "style", "script", "title", "template", "object", "select", NULL};

static bool is_hidden(const struct text_writer *w, const struct html_token *t)
{
	struct html_attr a;
	if (is_one(t, left_out))
		return true;
	if (html_attr_find(w->html, t, "hidden", &a))
		return true;
	if (!html_attr_find(w->html, t, "style", &a))
		return false;
	const char *p = memmem(a.value.p, a.value.n, "display", 7);
	if (p == NULL)
		return false;
	size_t i = (size_t)(p - a.value.p) + 7;
	while (i < a.value.n && (a.value.p[i] == ' ' || a.value.p[i] == ':'))
		i++;
	return str_starts(str_n(a.value.p + i, a.value.n - i), STR("none"));
}

/* A table of data has a header cell and no table inside; any other is there for the layout. */
static bool is_data(const struct text_writer *w, const struct html_token *table)
{
	struct html_lexer x = {.s = w->html, .at = table->to};
	struct html_token t;
	bool header = false;
	while (html_next(&x, &t)) {
		if (t.kind == HTML_OPEN && is(&t, "table"))
			return false;
		header |= t.kind == HTML_OPEN && is(&t, "th");
		if (t.kind == HTML_CLOSE && is(&t, "table"))
			break;
	}
	return header;
}

static void item_begin(struct text_writer *w)
{
	text_item_end(w);
	struct list *l = w->nlists != 0 ? &w->lists[w->nlists - 1] : NULL;
	if (l != NULL && l->ordered && l->control == w->control) {
		snprintf(w->marker_text, sizeof w->marker_text, "%d. ", l->next++);
		w->marker = w->marker_text;
	} else {
		w->marker = "- ";
	}
}

static void list_begin(struct text_writer *w, const struct html_token *t)
{
	text_break_line(w);
	if (w->nlists == 0)
		text_block(w);
	struct html_attr start;
	long long first = 1;
	if (!is(t, "ol") || !html_attr_find(w->html, t, "start", &start) ||
		!str_int(str_trim(start.value), 0, 999999999, &first))
		first = 1;
	if (w->nlists < TEXT_DEPTH)
		w->lists[w->nlists++] = (struct list){
			.ordered = is(t, "ol"), .next = (int)first, .control = w->control, .width = 2};
}

static void list_end(struct text_writer *w)
{
	text_item_end(w);
	if (w->nlists > 0)
		w->nlists--;
	w->blank_quotes = w->quotes;
	w->blank |= w->nlists == 0;
}

/* Width of a cell's text that begins at *x, up to the next cell or row; false: it is more than plain text. */
static bool cell_width(struct text_writer *w, struct html_lexer *x, size_t *width)
{
	static const char *const plain[] = {"b", "strong", "i", "em", "code", "span", NULL};
	struct run text = RUN_INIT(w->o->a);
	struct html_token t;
	size_t at = x->at;
	bool blank = false, any = false;
	*width = 0;
	for (; html_next(x, &t); at = x->at) {
		struct str s = str_n(w->html.p + t.from, t.to - t.from);
		if (t.kind == HTML_TEXT && opaque_in(s))
			return false;
		if (t.kind == HTML_TEXT)
			html_decode(&text, s, HTML_IN_TEXT);
		else if (!is_one(&t, plain))
			break;
	}
	x->at = at;
	for (size_t i = 0; i < text.n;) {
		uint32_t c = utf8_next(run_get(&text), &i);
		bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == 0xA0;
		*width += !space && blank && any;
		*width += space ? 0 : (size_t)utf8_width_char(c);
		any |= !space;
		blank = space;
	}
	return true;
}

/* Columns are aligned where all cells are plain text and fit into a line. */
static void measure(struct text_writer *w, const struct html_token *table)
{
	static const char *const rows[] = {"tr", "thead", "tbody", "tfoot", NULL};
	struct html_lexer x = {.s = w->html, .at = table->to};
	struct html_token t;
	size_t total = 0;
	int column = 0;
	w->columns = 0;
	memset(w->widths, 0, sizeof w->widths);
	while (html_next(&x, &t) && !(t.kind == HTML_CLOSE && is(&t, "table"))) {
		if (t.kind == HTML_OPEN && is(&t, "tr"))
			column = 0;
		bool cell = is(&t, "td") || is(&t, "th");
		if (t.kind == HTML_OPEN && cell) {
			size_t width;
			if (column == TEXT_CELLS || !cell_width(w, &x, &width))
				return;
			if (width > w->widths[column])
				w->widths[column] = width;
			column++;
		} else if (t.kind == HTML_TEXT ? str_trim(str_n(w->html.p + t.from, t.to - t.from)).n != 0
					       : !cell && !is_one(&t, rows)) {
			return;
		}
	}
	for (int i = 0; i < TEXT_CELLS; i++)
		total += w->widths[i] + (w->widths[i] != 0 ? 2 : 0);
	for (int i = 0; i < TEXT_CELLS && total <= TEXT_COLUMNS; i++)
		if (w->widths[i] != 0)
			w->columns = i + 1;
}

static void pad(struct text_writer *w)
{
	text_word_end(w);
	if (!w->in_line)
		text_blank_line(w);
	text_line_start(w);
	size_t used = w->col - w->cell_from, width = w->widths[w->cell - 1] + 2;
	for (; used < width; used++) {
		run_putc(w->out, ' ');
		w->col++;
	}
	w->space = false;
	w->bare = true;
}

static void cell_begin(struct text_writer *w, bool header)
{
	if (w->tables == 0) {
		text_break_line(w);
		return;
	}
	text_word_end(w);
	w->header_row |= header;
	if (w->cell > 0 && w->columns != 0 && w->cell <= w->columns) {
		pad(w);
	} else if (w->cell > 0) {
		w->space = true;
		text_string(w, STR("|"));
		text_word_end(w);
		w->space = true;
	}
	w->cell++;
	w->cell_from = w->in_line ? w->col : 0;
}

static void row_end(struct text_writer *w)
{
	text_word_end(w);
	if (w->in_line)
		text_newline(w);
	if (w->header_row && w->columns != 0 && w->tables == 1) {
		text_line_start(w);
		for (int i = 0; i < w->columns; i++)
			for (size_t k = 0; k < w->widths[i] + (i + 1 < w->columns ? 2 : 0); k++)
				run_putc(w->out, k < w->widths[i] ? '-' : ' ');
		w->bare = false;
		text_newline(w);
	}
	w->header_row = false;
	w->cell = 0;
}

static void image(struct text_writer *w, const struct html_token *t)
{
	struct html_attr a;
	if (!html_attr_find(w->html, t, "alt", &a) || str_trim(a.value).n == 0)
		return;
	size_t from = (size_t)(a.value.p - w->html.p);
	text_string(w, STR("["));
	text_source(w, from, from + a.value.n, HTML_IN_ATTR);
	text_string(w, STR("]"));
}

static void rule(struct text_writer *w)
{
	text_block(w);
	text_string(w, STR("----------------------------------------"));
	text_block(w);
}

static void open_block(struct text_writer *w, const struct html_token *t)
{
	if (is(t, "ul") || is(t, "ol")) {
		list_begin(w, t);
		return;
	}
	/* The first block of a list item goes on behind its marker. */
	if (w->marker == NULL && !w->bare)
		text_block(w);
	if (is(t, "blockquote") && w->quotes < TEXT_DEPTH)
		w->quotes++;
	if (is(t, "pre"))
		w->pre++;
	if (is(t, "table") && (w->tables > 0 || is_data(w, t)))
		if (w->tables++ == 0)
			measure(w, t);
	if (is(t, "h1") || is(t, "h2"))
		w->heading_from = w->out->n;
	if (is(t, "hr"))
		rule(w);
}

static void underline(struct text_writer *w, char c)
{
	if (w->heading_from > w->out->n)
		return;
	struct str line = str_n(w->out->p + w->heading_from, w->out->n - w->heading_from);
	while (line.n != 0 && line.p[0] == '\n')
		line = str_n(line.p + 1, line.n - 1);
	size_t width = utf8_width(line);
	if (w->quotes != 0 || w->nlists != 0 || opaque_in(line) || width == 0 ||
		str_find(line, '\n') < line.n)
		return;
	text_newline(w);
	text_line_start(w);
	for (size_t i = 0; i < width; i++)
		run_putc(w->out, c);
	w->bare = false;
}

static void close_block(struct text_writer *w, const struct html_token *t)
{
	text_word_end(w);
	if (is(t, "h1") || is(t, "h2"))
		underline(w, is(t, "h1") ? '=' : '-');
	if (is(t, "ul") || is(t, "ol")) {
		list_end(w);
		return;
	}
	if (is(t, "pre") && w->pre > 0)
		w->pre--;
	text_block(w);
	if (is(t, "blockquote") && w->quotes > 0)
		w->quotes--;
	if (is(t, "table") && w->tables > 0)
		w->tables--;
}

static void open_tag(struct text_writer *w, const struct html_token *t)
{
	struct html_attr a;
	if (!html_is_void(t->name) && is_hidden(w, t)) {
		w->hidden[w->nhidden++] = t->name;
	} else if (is_one(t, blocks)) {
		open_block(w, t);
	} else if (is(t, "li")) {
		item_begin(w);
	} else if (is(t, "td") || is(t, "th")) {
		cell_begin(w, is(t, "th"));
	} else if (is(t, "br") && !w->in_line) {
		text_word_end(w);
		if (w->in_line)
			text_newline(w);
		else
			w->blank = true;
	} else if (is_one(t, lines)) {
		text_break_line(w);
		w->cell = 0;
	} else if (is(t, "img")) {
		image(w, t);
	} else if (is(t, "a") && html_attr_find(w->html, t, "href", &a)) {
		link_begin(w, a.value);
	}
}

static void close_tag(struct text_writer *w, const struct html_token *t)
{
	if (is_one(t, blocks))
		close_block(w, t);
	else if ((is(t, "td") || is(t, "th")) && w->tables > 0)
		text_word_end(w);
	else if (is(t, "tr") && w->tables > 0)
		row_end(w);
	else if (is_one(t, lines))
		text_break_line(w);
	else if (is(t, "a"))
		link_end(w);
	if (is(t, "li"))
		text_item_end(w);
}

static struct str hidden_name(const void *writer, size_t i)
{
	return ((const struct text_writer *)writer)->hidden[i];
}

static bool named(const struct html_token *t, struct str name)
{
	return t->name.n == name.n && strncasecmp(t->name.p, name.p, name.n) == 0;
}

/* The token's part in what is hidden. False: it stands behind that, which had no end tag.
 * Liquid within a tag that decides what is shown is lost here; blocks that begin and end inside one tag
 * balance. */
static bool skipped(struct text_writer *w, const struct html_token *t)
{
	bool block = is_one(t, blocks) || is_one(t, lines);
	if (t->kind == HTML_TEXT) {
		text_source(w, t->from, t->to, HTML_IN_TEXT);
	} else if (t->kind == HTML_OPEN) {
		w->nhidden = html_stay_open(t->name, w->nhidden, hidden_name, w);
		if (w->nhidden == 0)
			return false;
		if ((block || named(t, w->hidden[0])) && !html_is_void(t->name) && w->nhidden < TEXT_HIDDEN)
			w->hidden[w->nhidden++] = t->name;
	} else if (t->kind == HTML_CLOSE) {
		size_t i = w->nhidden;
		while (i > 0 && !named(t, w->hidden[i - 1]))
			i--;
		/* Of a block around it; </p> and </br> alone are elements of their own. */
		if (i == 0 && block && !is(t, "p") && !is(t, "br")) {
			w->nhidden = 0;
			return false;
		}
		w->nhidden = i > 0 ? i - 1 : w->nhidden;
	}
	return true;
}

/* One line end at the end, where the last one is: it may stand within blocks of Liquid that close there. */
static void trim_end(const struct text_writer *w, struct run *out)
{
	struct str s = run_get(out);
	struct run tail = RUN_INIT(w->o->a); /* the closing tags, the last one first */
	size_t end = s.n, behind = SIZE_MAX;
	for (;;) {
		const struct opaque_span *span =
			end >= OPAQUE_LEN ? opaque_at(w->o, s, end - OPAQUE_LEN) : NULL;
		if (end > 0 && (s.p[end - 1] == '\n' || s.p[end - 1] == ' ')) {
			if (s.p[--end] == '\n' && behind == SIZE_MAX)
				behind = tail.n;
		} else if (span != NULL && span->kind == OPAQUE_CLOSE) {
			run_add(&tail, s.p + (end -= OPAQUE_LEN), OPAQUE_LEN);
		} else {
			break;
		}
	}
	if (behind == SIZE_MAX)
		behind = 0;
	out->n = end;
	for (size_t i = tail.n; i > behind; i -= OPAQUE_LEN)
		run_add(out, tail.p + i - OPAQUE_LEN, OPAQUE_LEN);
	run_putc(out, '\n');
	for (size_t i = behind; i > 0; i -= OPAQUE_LEN)
		run_add(out, tail.p + i - OPAQUE_LEN, OPAQUE_LEN);
}

bool html_to_text(struct str html, struct opaque *o, struct run *out)
{
	struct text_writer *w = arena_zalloc(o->a, sizeof *w);
	struct str *notes = arena_alloc(o->a, TEXT_NOTES * sizeof *notes);
	if (w == NULL || notes == NULL)
		return false;
	*w = (struct text_writer){.o = o, .html = html, .out = out, .word = RUN_INIT(o->a), .notes = notes};
	struct html_lexer x = {.s = html};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (w->nhidden != 0 && skipped(w, &t))
			continue;
		if (t.kind == HTML_TEXT)
			text_source(w, t.from, t.to, HTML_IN_TEXT);
		else if (t.kind == HTML_OPEN)
			open_tag(w, &t);
		else if (t.kind == HTML_CLOSE)
			close_tag(w, &t);
	}
	link_end(w);
	notes_end(w);
	trim_end(w, out);
	return !out->failed && !w->word.failed && !o->a->failed;
}
