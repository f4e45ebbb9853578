#include "templates/html_text.h"

#include "src/base/utf8.h"
#include "templates/html_token.h"

#include <stdio.h>

enum {
	COLUMNS = 74,
	VALUE_WIDTH = 10, /* a value's length is not known here */
	DEPTH = 32,
	NOTES = 1000,
};

struct list {
	bool ordered;
	int next;
	int control; /* depth of Liquid blocks where it began */
};

struct writer {
	struct opaque *o;
	struct str html;
	struct run *out;
	struct run word;
	size_t word_width;
	bool word_wide;      /* its last character is wide: the line may break behind it */
	size_t col;
	bool space;          /* a blank is due before the next word */
	bool blank;          /* an empty line is due before the next content */
	bool begun;          /* something was written */
	bool fresh;          /* nothing but Liquid since the last empty line */
	bool in_line;        /* this line has its prefix */
	char prefix[2 * DEPTH + 8];
	size_t prefix_n;
	const char *marker;  /* of a list item, for its first line */
	char marker_text[16];
	struct list lists[DEPTH];
	size_t nlists;
	size_t quotes;
	int control;         /* depth of Liquid blocks */
	int pre;
	struct str skip;     /* element that is left out, and its depth */
	int skip_depth;
	bool in_link;
	struct str href;
	size_t link_from;    /* where the link's text begins in `out` */
	struct str *notes;
	size_t nnotes;
	int tables;          /* depth of data tables: 1 in one */
	int cell;            /* cells so far in this row */
	size_t heading_from;
};

/* --- lines and words --- */

static void newline(struct writer *w)
{
	while (w->out->n != 0 && w->out->p[w->out->n - 1] == ' ')
		w->out->n--;
	run_putc(w->out, '\n');
	w->col = 0;
	w->in_line = false;
	w->space = false;
}

static void line_start(struct writer *w)
{
	if (w->in_line)
		return;
	w->in_line = true;
	for (size_t i = 0; i < w->quotes; i++)
		run_puts(w->out, "> ");
	w->col = 2 * w->quotes;
	size_t indent = w->nlists != 0 ? 2 * (w->nlists - 1) : 0;
	for (size_t i = 0; i < indent; i++)
		run_putc(w->out, ' ');
	w->col += indent;
	if (w->nlists == 0)
		return;
	const char *m = w->marker != NULL ? w->marker : "  ";
	run_puts(w->out, m);
	w->col += strlen(m);
	w->marker = NULL;
}

static void blank_line(struct writer *w)
{
	bool due = w->blank && w->begun;
	w->blank = false;
	if (!due)
		return;
	w->fresh = true;
	for (size_t i = 0; i < w->quotes; i++)
		run_putc(w->out, '>');
	run_putc(w->out, '\n');
}

static void word_end(struct writer *w)
{
	if (w->word.n == 0)
		return;
	bool fits = w->col + w->word_width + (w->space ? 1 : 0) <= COLUMNS;
	if (w->in_line && !fits && w->pre == 0)
		newline(w);
	if (!w->in_line) {
		blank_line(w);
		line_start(w);
	} else if (w->space) {
		run_putc(w->out, ' ');
		w->col++;
	}
	run_str(w->out, run_get(&w->word));
	w->col += w->word_width;
	w->begun = true;
	w->space = w->word_wide = w->fresh = false;
	w->word.n = w->word_width = 0;
}

/* Ends the line, if anything stands in it. */
static void break_line(struct writer *w)
{
	word_end(w);
	if (w->in_line)
		newline(w);
	w->space = false;
}

static void block(struct writer *w)
{
	break_line(w);
	w->blank = !w->fresh;
}

/* --- text --- */

/* Characters that must not begin a line, and those that must not end one (a small JIS X 4051). */
static bool no_start(uint32_t c)
{
	return c == 0x3001 || c == 0x3002 || c == 0x300D || c == 0x300F || c == 0x3009 || c == 0x300B || c == 0x3011 ||
	       c == 0x30FC || c == 0x30FB || c == 0x3005 || c == 0xFF01 || c == 0xFF09 || c == 0xFF0C || c == 0xFF0E ||
	       c == 0xFF1A || c == 0xFF1B || c == 0xFF1F || (c >= 0x3041 && c <= 0x3049 && (c & 1) != 0) || c == 0x3063 ||
	       c == 0x3083 || c == 0x3085 || c == 0x3087 || c == 0x30C3 || c == 0x30E3 || c == 0x30E5 || c == 0x30E7;
}

static bool no_end(uint32_t c)
{
	return c == 0x300C || c == 0x300E || c == 0x3008 || c == 0x300A || c == 0x3010 || c == 0xFF08;
}

static void put_char(struct writer *w, uint32_t c)
{
	char u[4];
	int width = utf8_width_char(c);
	if (width == 2 && w->word_wide && !no_start(c))
		word_end(w);
	run_add(&w->word, u, utf8_put(u, c));
	w->word_width += width > 0 ? (size_t)width : 0;
	w->word_wide = width == 2 && !no_end(c);
}

static void put_text_char(struct writer *w, uint32_t c)
{
	/* Soft hyphens, zero-width blanks, grapheme joiners: padding of preheaders, and nothing to see. */
	if (c == 0xAD || (c >= 0x200B && c <= 0x200D) || c == 0xFEFF || c == 0x34F || c == 0x2060)
		return;
	if (w->pre > 0 && c == '\n') {
		word_end(w);
		if (!w->in_line) {
			blank_line(w);
			line_start(w);
		}
		newline(w);
	} else if (w->pre > 0 && (c == ' ' || c == '\t')) {
		run_putc(&w->word, ' ');
		w->word_width++;
	} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0xA0) {
		word_end(w);
		w->space = w->in_line;
	} else if (c >= ' ') {
		put_char(w, c);
	}
}

static void put_string(struct writer *w, struct str s)
{
	for (size_t i = 0; i < s.n;)
		put_text_char(w, utf8_next(s, &i));
}

/* `| raw` would put markup into the text. */
static void put_value(struct writer *w, const struct opaque_span *s, struct str hidden)
{
	struct str t = s->text;
	const char *raw = memmem(t.p, t.n, "raw", 3);
	if (raw == NULL || memchr(t.p, '|', (size_t)(raw - t.p)) == NULL) {
		run_str(&w->word, hidden);
	} else {
		size_t end = t.n - 2;
		const char *tail = end > 0 && t.p[end - 1] == '-' ? "-}}" : "}}";
		end -= tail[0] == '-';
		struct run r = RUN_INIT(w->o->a);
		run_add(&r, t.p, end);
		run_puts(&r, " | strip_html ");
		run_puts(&r, tail);
		opaque_add(w->o, run_get(&r), &w->word);
	}
	w->word_width += VALUE_WIDTH;
	w->word_wide = false;
}

static void control(struct writer *w, const struct opaque_span *s, struct str hidden)
{
	word_end(w);
	if (w->space && w->in_line && w->skip.n == 0) {
		run_putc(w->out, ' ');
		w->col++;
		w->space = false;
	}
	if (s->kind != OPAQUE_SILENT && !w->in_line && w->skip.n == 0)
		blank_line(w);
	run_str(w->out, hidden);
	w->control += s->kind == OPAQUE_OPEN ? 1 : s->kind == OPAQUE_CLOSE ? -1 : 0;
}

static void put_hidden(struct writer *w, size_t i)
{
	const struct opaque_span *s = opaque_at(w->o, w->html, i);
	struct str hidden = str_n(w->html.p + i, OPAQUE_LEN);
	if (s->kind == OPAQUE_VALUE || s->kind == OPAQUE_OTHER) {
		if (w->skip.n == 0)
			put_value(w, s, hidden);
	} else {
		control(w, s, hidden);
	}
}

static void put_html(struct writer *w, size_t from, size_t to)
{
	struct str s = str_n(w->html.p, to);
	for (size_t i = from; i < to;) {
		uint32_t c = 0;
		if (opaque_at(w->o, s, i) != NULL) {
			put_hidden(w, i);
			i += OPAQUE_LEN;
			continue;
		}
		size_t n = s.p[i] == '&' ? html_reference(s, i, &c) : 0;
		if (n != 0)
			i += n;
		else
			c = utf8_next(s, &i);
		if (w->skip.n == 0)
			put_text_char(w, c);
	}
}

/* --- links --- */

static void put_raw_word(struct writer *w, struct str s)
{
	for (size_t i = 0; i < s.n;) {
		const struct opaque_span *span = opaque_at(w->o, s, i);
		if (span != NULL) {
			run_add(&w->word, s.p + i, OPAQUE_LEN);
			w->word_width += VALUE_WIDTH;
			i += OPAQUE_LEN;
		} else {
			run_putc(&w->word, s.p[i++]);
			w->word_width++;
		}
	}
	w->word_wide = false;
}

static void link_begin(struct writer *w, struct str href)
{
	struct run r = RUN_INIT(w->o->a);
	html_decode(&r, href);
	w->href = str_trim(run_get(&r));
	w->in_link = w->href.n != 0 && w->href.p[0] != '#';
	word_end(w);
	w->link_from = w->out->n;
}

static size_t note_number(struct writer *w)
{
	for (size_t i = 0; i < w->nnotes; i++)
		if (str_eq(w->notes[i], w->href))
			return i + 1;
	if (w->nnotes == NOTES)
		return 0;
	w->notes[w->nnotes] = w->href;
	return ++w->nnotes;
}

static void link_end(struct writer *w)
{
	if (!w->in_link)
		return;
	w->in_link = false;
	word_end(w);
	struct str shown = str_trim(str_n(w->out->p + w->link_from, w->out->n - w->link_from));
	struct str bare = w->href;
	if (str_starts(bare, STR("mailto:")) || str_starts(bare, STR("tel:")))
		bare = str_n(bare.p + str_find(bare, ':') + 1, bare.n - str_find(bare, ':') - 1);
	if (shown.n == 0 || str_eq(shown, w->href) || str_eq(shown, bare)) {
		if (shown.n == 0 && w->in_line && w->tables == 0)
			return;
		if (shown.n != 0)
			return;
	}
	if (shown.n == 0)
		return;
	w->space = true;
	size_t note = w->control == 0 ? note_number(w) : 0;
	if (note != 0) {
		char mark[32];
		snprintf(mark, sizeof mark, "[%zu]", note);
		put_string(w, str_from(mark));
	} else {
		put_raw_word(w, STR("<"));
		put_raw_word(w, w->href);
		put_raw_word(w, STR(">"));
	}
}

static void notes_end(struct writer *w)
{
	block(w);
	w->nlists = w->quotes = 0;
	for (size_t i = 0; i < w->nnotes; i++) {
		char mark[32];
		snprintf(mark, sizeof mark, "[%zu] ", i + 1);
		break_line(w);
		put_raw_word(w, str_from(mark));
		put_raw_word(w, w->notes[i]);
	}
	break_line(w);
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

static const char *const blocks[] = {"p",      "div",	 "h1",	    "h2",      "h3",	  "h4",	   "h5",     "h6",
				     "ul",     "ol",	 "dl",	    "pre",     "table",	  "form",  "section", "article",
				     "header", "footer", "figure",  "address", "blockquote", "main", "aside", "nav",
				     "center", "hr",	 NULL};
static const char *const lines[] = {"li", "tr", "td", "th", "dt", "dd", "br", "figcaption", "caption", "tbody", "thead", NULL};
static const char *const left_out[] = {"head", "style", "script", "title", "template", "object", "select", NULL};

static bool is_hidden(const struct writer *w, const struct html_token *t)
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
static bool is_data(const struct writer *w, const struct html_token *table)
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

static void item_begin(struct writer *w)
{
	break_line(w);
	struct list *l = w->nlists != 0 ? &w->lists[w->nlists - 1] : NULL;
	if (l != NULL && l->ordered && l->control == w->control) {
		snprintf(w->marker_text, sizeof w->marker_text, "%d. ", l->next++);
		w->marker = w->marker_text;
	} else {
		w->marker = "- ";
	}
}

static void list_begin(struct writer *w, const struct html_token *t)
{
	break_line(w);
	if (w->nlists == 0)
		block(w);
	if (w->nlists < DEPTH)
		w->lists[w->nlists++] = (struct list){.ordered = is(t, "ol"), .next = 1, .control = w->control};
}

static void list_end(struct writer *w)
{
	break_line(w);
	if (w->nlists > 0)
		w->nlists--;
	w->marker = NULL;
	w->blank |= w->nlists == 0;
}

static void cell_begin(struct writer *w)
{
	if (w->tables == 0) {
		break_line(w);
		return;
	}
	word_end(w);
	if (w->cell++ > 0) {
		w->space = true;
		put_string(w, STR("|"));
		word_end(w);
		w->space = true;
	}
}

static void image(struct writer *w, const struct html_token *t)
{
	struct html_attr a;
	if (!html_attr_find(w->html, t, "alt", &a))
		return;
	put_html(w, (size_t)(a.value.p - w->html.p), (size_t)(a.value.p - w->html.p) + a.value.n);
}

static void rule(struct writer *w)
{
	block(w);
	put_string(w, STR("----------------------------------------"));
	block(w);
}

static void open_block(struct writer *w, const struct html_token *t)
{
	if (is(t, "ul") || is(t, "ol")) {
		list_begin(w, t);
		return;
	}
	/* The first block of a list item goes on behind its marker. */
	if (w->marker == NULL)
		block(w);
	if (is(t, "blockquote") && w->quotes < DEPTH)
		w->quotes++;
	if (is(t, "pre"))
		w->pre++;
	if (is(t, "table") && (w->tables > 0 || is_data(w, t)))
		w->tables++;
	if (is(t, "h1") || is(t, "h2"))
		w->heading_from = w->out->n;
	if (is(t, "hr"))
		rule(w);
}

static void underline(struct writer *w, char c)
{
	if (w->heading_from > w->out->n)
		return;
	struct str line = str_n(w->out->p + w->heading_from, w->out->n - w->heading_from);
	while (line.n != 0 && line.p[0] == '\n')
		line = str_n(line.p + 1, line.n - 1);
	size_t width = utf8_width(line);
	if (w->quotes != 0 || w->nlists != 0 || opaque_in(line) || width == 0 || str_find(line, '\n') < line.n)
		return;
	newline(w);
	line_start(w);
	for (size_t i = 0; i < width; i++)
		run_putc(w->out, c);
}

static void close_block(struct writer *w, const struct html_token *t)
{
	word_end(w);
	if (is(t, "h1") || is(t, "h2"))
		underline(w, is(t, "h1") ? '=' : '-');
	if (is(t, "ul") || is(t, "ol")) {
		list_end(w);
		return;
	}
	if (is(t, "pre") && w->pre > 0)
		w->pre--;
	block(w);
	if (is(t, "blockquote") && w->quotes > 0)
		w->quotes--;
	if (is(t, "table") && w->tables > 0)
		w->tables--;
}

static void open_tag(struct writer *w, const struct html_token *t)
{
	struct html_attr a;
	if (!html_is_void(t->name) && is_hidden(w, t)) {
		w->skip = t->name;
		w->skip_depth = 1;
	} else if (is_one(t, blocks)) {
		open_block(w, t);
	} else if (is(t, "li")) {
		item_begin(w);
	} else if (is(t, "td") || is(t, "th")) {
		cell_begin(w);
	} else if (is(t, "br") && !w->in_line) {
		word_end(w);
		if (w->in_line)
			newline(w);
		else
			w->blank = true;
	} else if (is_one(t, lines)) {
		break_line(w);
		w->cell = 0;
	} else if (is(t, "img")) {
		image(w, t);
	} else if (is(t, "a") && html_attr_find(w->html, t, "href", &a)) {
		link_begin(w, a.value);
	}
}

static void close_tag(struct writer *w, const struct html_token *t)
{
	if (is_one(t, blocks))
		close_block(w, t);
	else if ((is(t, "td") || is(t, "th")) && w->tables > 0)
		word_end(w);
	else if (is_one(t, lines))
		break_line(w);
	else if (is(t, "a"))
		link_end(w);
	if (is(t, "li"))
		w->marker = NULL;
}

/* Liquid within a tag that decides what is shown is lost here; blocks that begin and end inside one tag balance. */
static void skipped(struct writer *w, const struct html_token *t)
{
	if (t->kind == HTML_TEXT)
		put_html(w, t->from, t->to);
	else if (t->kind == HTML_OPEN && str_is_nocase(t->name, "") == false && t->name.n == w->skip.n &&
		 strncasecmp(t->name.p, w->skip.p, t->name.n) == 0)
		w->skip_depth++;
	else if (t->kind == HTML_CLOSE && t->name.n == w->skip.n &&
		 strncasecmp(t->name.p, w->skip.p, t->name.n) == 0 && --w->skip_depth == 0)
		w->skip.n = 0;
}

/* One line end at the end: within the blocks of Liquid that close there, if lines end in them. */
static void trim_end(const struct writer *w, struct run *out)
{
	struct str s = run_get(out);
	struct run tail = RUN_INIT(w->o->a);
	size_t end = s.n;
	bool inside = false;
	for (;;) {
		const struct opaque_span *span = end >= OPAQUE_LEN ? opaque_at(w->o, s, end - OPAQUE_LEN) : NULL;
		if (end > 0 && (s.p[end - 1] == '\n' || s.p[end - 1] == ' '))
			inside |= s.p[--end] == '\n' && tail.n != 0;
		else if (span != NULL && span->kind == OPAQUE_CLOSE)
			run_add(&tail, s.p + (end -= OPAQUE_LEN), OPAQUE_LEN);
		else
			break;
	}
	out->n = end;
	if (inside)
		run_putc(out, '\n');
	for (size_t i = tail.n; i > 0; i -= OPAQUE_LEN)
		run_add(out, tail.p + i - OPAQUE_LEN, OPAQUE_LEN);
	if (!inside)
		run_putc(out, '\n');
}

bool html_to_text(struct str html, struct opaque *o, struct run *out)
{
	struct writer *w = arena_zalloc(o->a, sizeof *w);
	struct str *notes = arena_alloc(o->a, NOTES * sizeof *notes);
	if (w == NULL || notes == NULL)
		return false;
	*w = (struct writer){.o = o, .html = html, .out = out, .word = RUN_INIT(o->a), .notes = notes};
	struct html_lexer x = {.s = html};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (w->skip.n != 0)
			skipped(w, &t);
		else if (t.kind == HTML_TEXT)
			put_html(w, t.from, t.to);
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
