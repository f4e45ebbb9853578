#include "templates/html_text_private.h"

#include "src/base/utf8.h"
#include "templates/html_token.h"

/* --- lines and words --- */

void text_newline(struct text_writer *w)
{
	while (w->out->n != 0 && w->out->p[w->out->n - 1] == ' ')
		w->out->n--;
	run_putc(w->out, '\n');
	w->col = 0;
	w->line++;
	w->in_line = false;
	w->space = false;
}

static void blanks(struct text_writer *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run_putc(w->out, ' ');
	w->col += n;
}

void text_line_start(struct text_writer *w)
{
	if (w->in_line)
		return;
	w->in_line = w->bare = true;
	for (size_t i = 0; i < w->quotes; i++)
		run_puts(w->out, "> ");
	w->col = 2 * w->quotes;
	for (size_t i = 0; i + 1 < w->nlists; i++)
		blanks(w, w->lists[i].width);
	if (w->nlists == 0)
		return;
	struct list *l = &w->lists[w->nlists - 1];
	if (w->marker != NULL) {
		l->width = strlen(w->marker);
		run_puts(w->out, w->marker);
		w->col += l->width;
	} else {
		blanks(w, l->width);
	}
	w->marker = NULL;
}

void text_blank_line(struct text_writer *w)
{
	bool due = w->blank && w->begun;
	w->blank = false;
	if (!due)
		return;
	w->fresh = true;
	size_t quotes = w->quotes < w->blank_quotes ? w->quotes : w->blank_quotes;
	for (size_t i = 0; i < quotes; i++)
		run_putc(w->out, '>');
	run_putc(w->out, '\n');
}

void text_word_end(struct text_writer *w)
{
	if (w->word.n == 0)
		return;
	bool fits = w->col + w->word_width + (w->space ? 1 : 0) <= TEXT_COLUMNS;
	if (w->in_line && !fits && w->pre == 0)
		text_newline(w);
	if (!w->in_line) {
		text_blank_line(w);
		text_line_start(w);
	} else if (w->space) {
		run_putc(w->out, ' ');
		w->col++;
	}
	run_str(w->out, run_get(&w->word));
	w->col += w->word_width;
	w->begun = true;
	w->space = w->word_wide = w->fresh = w->bare = false;
	w->word.n = w->word_width = 0;
}

void text_break_line(struct text_writer *w)
{
	text_word_end(w);
	if (w->in_line && !w->bare)
		text_newline(w);
	w->space = false;
}

void text_block(struct text_writer *w)
{
	text_break_line(w);
	/* The line between a paragraph and the quotation behind it belongs to neither. */
	if (!w->blank || w->quotes < w->blank_quotes)
		w->blank_quotes = w->quotes;
	w->blank = !w->fresh && !w->bare;
}

void text_item_end(struct text_writer *w)
{
	text_break_line(w);
	if (w->in_line)
		text_newline(w);
	w->marker = NULL;
}

/* --- text --- */

/* Characters that must not begin a line, and those that must not end one (a small JIS X 4051). */
static bool no_start(uint32_t c)
{
	return c == 0x3001 || c == 0x3002 || c == 0x300D || c == 0x300F || c == 0x3009 || c == 0x300B ||
	       c == 0x3011 || c == 0x30FC || c == 0x30FB || c == 0x3005 || c == 0xFF01 || c == 0xFF09 ||
	       c == 0xFF0C || c == 0xFF0E || c == 0xFF1A || c == 0xFF1B || c == 0xFF1F ||
	       (c >= 0x3041 && c <= 0x3049 && (c & 1) != 0) || c == 0x3063 || c == 0x3083 || c == 0x3085 ||
	       c == 0x3087 || c == 0x30C3 || c == 0x30E3 || c == 0x30E5 || c == 0x30E7;
}

static bool no_end(uint32_t c)
{
	return c == 0x300C || c == 0x300E || c == 0x3008 || c == 0x300A || c == 0x3010 || c == 0xFF08;
}

static void put_char(struct text_writer *w, uint32_t c)
{
	char u[4];
	size_t n = utf8_put(u, c);
	int width = utf8_width_char(c);
	if (width == 2 && w->word_wide && !no_start(c))
		text_word_end(w);
	run_add(&w->word, u, n);
	w->word_width += width > 0 ? (size_t)width : 0;
	w->word_wide = width == 2 && !no_end(c);
}

void text_char(struct text_writer *w, uint32_t c)
{
	/* Soft hyphens, zero-width blanks, grapheme joiners: padding of preheaders, and nothing to see. */
	if (c == 0xAD || (c >= 0x200B && c <= 0x200D) || c == 0xFEFF || c == 0x34F || c == 0x2060)
		return;
	if (w->pre > 0 && c == '\n') {
		text_word_end(w);
		if (!w->in_line) {
			text_blank_line(w);
			text_line_start(w);
		}
		text_newline(w);
	} else if (w->pre > 0 && (c == ' ' || c == '\t')) {
		run_putc(&w->word, ' ');
		w->word_width++;
	} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0xA0) {
		text_word_end(w);
		w->space = w->in_line && !w->bare;
	} else if (c >= ' ') {
		put_char(w, c);
	}
}

void text_string(struct text_writer *w, struct str s)
{
	for (size_t i = 0; i < s.n;)
		text_char(w, utf8_next(s, &i));
}

/* --- Liquid --- */

/* `| raw` would put markup into the text. */
static void put_value(struct text_writer *w, const struct opaque_span *s, struct str hidden)
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
	w->word_width += TEXT_VALUE_WIDTH;
	w->word_wide = false;
}

/* Does a block end behind the tags that begin at i? */
static bool block_ends(const struct text_writer *w, size_t i)
{
	static const char *const ends[] = {
		"</p>", "</li>", "</td>", "</div>", "</h", "<p", "<ul", "<ol", "<table", "<br"};
	const struct str s = w->html;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\n' || opaque_at(w->o, s, i) != NULL)) {
		const struct opaque_span *span = opaque_at(w->o, s, i);
		if (span != NULL && span->kind != OPAQUE_CLOSE)
			return false;
		i += span != NULL ? OPAQUE_LEN : 1;
	}
	for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
		if (str_starts(str_n(s.p + i, s.n - i), str_from(ends[k])))
			return true;
	return i == s.n;
}

static void control(struct text_writer *w, const struct opaque_span *s, size_t i)
{
	text_word_end(w);
	if (w->nhidden == 0) {
		if (w->marker != NULL && s->kind == OPAQUE_OPEN) {
			if (!w->in_line)
				text_blank_line(w);
			text_line_start(w);
		}
		if (w->space && w->in_line && !block_ends(w, i)) {
			run_putc(w->out, ' ');
			w->col++;
		}
		w->space = false;
		if (s->kind != OPAQUE_SILENT && !w->in_line)
			text_blank_line(w);
	}
	run_add(w->out, w->html.p + i, OPAQUE_LEN);
	if (s->kind == OPAQUE_OPEN && w->control >= 0 && w->control < TEXT_DEPTH) {
		w->blocks[w->control].col = w->col;
		w->blocks[w->control].line = w->line;
	}
	int k = w->control - 1;
	if (s->kind == OPAQUE_MIDDLE && k >= 0 && k < TEXT_DEPTH && w->blocks[k].line == w->line)
		w->col = w->blocks[k].col;
	w->control += s->kind == OPAQUE_OPEN ? 1 : s->kind == OPAQUE_CLOSE ? -1 : 0;
}

static void put_hidden(struct text_writer *w, size_t i)
{
	const struct opaque_span *s = opaque_at(w->o, w->html, i);
	struct str hidden = str_n(w->html.p + i, OPAQUE_LEN);
	if (s->kind == OPAQUE_VALUE || s->kind == OPAQUE_OTHER) {
		if (w->nhidden == 0)
			put_value(w, s, hidden);
	} else {
		control(w, s, i);
	}
}

void text_source(struct text_writer *w, size_t from, size_t to, enum html_place where)
{
	struct str s = str_n(w->html.p, to);
	for (size_t i = from; i < to;) {
		uint32_t c = 0;
		if (opaque_at(w->o, s, i) != NULL) {
			put_hidden(w, i);
			i += OPAQUE_LEN;
			continue;
		}
		size_t n = s.p[i] == '&' ? html_reference(s, i, where, &c) : 0;
		if (n != 0)
			i += n;
		else
			c = utf8_next(s, &i);
		if (w->nhidden == 0)
			text_char(w, c);
	}
}

void text_unbroken(struct text_writer *w, struct str s)
{
	for (size_t i = 0; i < s.n;) {
		const struct opaque_span *span = opaque_at(w->o, s, i);
		if (span != NULL) {
			run_add(&w->word, s.p + i, OPAQUE_LEN);
			w->word_width += TEXT_VALUE_WIDTH;
			i += OPAQUE_LEN;
		} else {
			run_putc(&w->word, s.p[i++]);
			w->word_width++;
		}
	}
	w->word_wide = false;
}
