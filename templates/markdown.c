#include "templates/markdown.h"

#include "templates/markdown_lift.h"

#include <limits.h>
#include <md4c-html.h>

static void collect(const MD_CHAR *p, MD_SIZE n, void *ctx)
{
	run_add(ctx, p, n);
}

/* md4c writes links with %XX: a hidden span in one is four of them. */
static bool hidden_in_link(struct str s, size_t i, char out[OPAQUE_LEN])
{
	if (i + 3 * OPAQUE_LEN > s.n)
		return false;
	for (size_t k = 0; k < OPAQUE_LEN; k++) {
		const char *p = s.p + i + 3 * k;
		int high = str_hex_digit(p[1]), low = str_hex_digit(p[2]);
		if (p[0] != '%' || high < 0 || low < 0)
			return false;
		out[k] = (char)(high << 4 | low);
	}
	return true;
}

/* Length of "<p>", hidden tags that write no text of their own, "</p>"; 0: something else stands there. */
static size_t bare_paragraph(const struct opaque *o, struct str s, size_t i)
{
	size_t at = i + 3;
	bool any = false;
	while (at < s.n && s.p[at] != '<') {
		const struct opaque_span *span = opaque_at(o, s, at);
		if (span == NULL && s.p[at] != ' ' && s.p[at] != '\n')
			return 0;
		if (span != NULL && span->kind == OPAQUE_VALUE)
			return 0;
		any |= span != NULL;
		at += span != NULL ? OPAQUE_LEN : 1;
	}
	/* Empty: what stood in it was lifted out. */
	any |= at == i + 3;
	return any && str_starts(str_n(s.p + at, s.n - at), STR("</p>")) ? at + 4 - i : 0;
}

static void put_back(const struct opaque *o, struct str s, struct run *out)
{
	char c[OPAQUE_LEN];
	for (size_t i = 0; i < s.n;) {
		size_t n = 0;
		if (s.p[i] == '%' && hidden_in_link(s, i, c) &&
			opaque_at(o, str_n(c, OPAQUE_LEN), 0) != NULL) {
			run_add(out, c, OPAQUE_LEN);
			i += 3 * OPAQUE_LEN;
		} else if (s.p[i] == '<' && str_starts(str_n(s.p + i, s.n - i), STR("<p>")) &&
			   (n = bare_paragraph(o, s, i)) != 0) {
			run_add(out, s.p + i + 3, n - 7);
			i += n;
		} else {
			run_putc(out, s.p[i++]);
		}
	}
}

/* --- tags in lines of their own --- */

enum line_kind { LINE_TEXT, LINE_EMPTY, LINE_TAGS, LINE_FIXED };

struct lines {
	const struct opaque *o;
	struct run *out;
	struct run tags; /* opening tags that wait for the next line of text */
	size_t text_end; /* where closing tags go: behind the last line of text; 0: there is none */
	int depth;       /* blocks that are open */
	uint64_t parted; /* a bit each, by depth: it holds more than one paragraph */
	char fence;      /* in a fenced block: its mark */
	bool html;       /* in a block of HTML: up to an empty line */
};

/* Rules, underlines and the second line of a table: only these marks. */
static bool is_ruler(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("-=*_|: \t", s.p[i]) == NULL)
			return false;
	return true;
}

static bool only_tags(const struct opaque *o, struct str s)
{
	for (size_t i = 0; i < s.n;) {
		const struct opaque_span *span = opaque_at(o, s, i);
		if (span == NULL && s.p[i] != ' ' && s.p[i] != '\t')
			return false;
		if (span != NULL && (span->kind == OPAQUE_VALUE || span->kind == OPAQUE_OTHER))
			return false;
		i += span != NULL ? OPAQUE_LEN : 1;
	}
	return true;
}

static enum line_kind line_kind(struct lines *l, struct str line)
{
	struct str s = str_trim(line);
	if (s.n >= 3 && (memcmp(s.p, "```", 3) == 0 || memcmp(s.p, "~~~", 3) == 0) &&
		(l->fence == 0 || l->fence == s.p[0])) {
		l->fence = l->fence == 0 ? s.p[0] : 0;
		return LINE_FIXED;
	}
	if (l->fence != 0)
		return LINE_FIXED;
	if (s.n == 0) {
		l->html = false;
		return LINE_EMPTY;
	}
	l->html |= s.p[0] == '<';
	if (l->html)
		return LINE_FIXED;
	if (only_tags(l->o, s))
		return LINE_TAGS;
	return is_ruler(s) ? LINE_FIXED : LINE_TEXT;
}

/* Behind what makes a line an item, a quotation, a heading or a row. */
static size_t text_start(struct str s)
{
	size_t i = 0;
	for (;;) {
		while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
			i++;
		size_t mark = i;
		while (i < s.n && i - mark < 9 && s.p[i] >= '0' && s.p[i] <= '9')
			i++;
		bool number = i > mark && i < s.n && (s.p[i] == '.' || s.p[i] == ')');
		if (!number)
			i = mark;
		if (number || (i < s.n && strchr("-*+", s.p[i]) != NULL)) {
			if (i + 1 >= s.n || s.p[i + 1] != ' ')
				return mark;
			i += 2;
		} else if (i < s.n && (s.p[i] == '>' || s.p[i] == '|')) {
			i++;
		} else if (i < s.n && s.p[i] == '#') {
			while (i < s.n && s.p[i] == '#')
				i++;
			if (i >= s.n || s.p[i] != ' ')
				return mark;
		} else {
			return i;
		}
	}
}

/* Before blanks and the bar that ends a row. */
static size_t text_stop(struct str s)
{
	size_t n = str_trim(s).n != 0 ? (size_t)(str_trim(s).p - s.p) + str_trim(s).n : s.n;
	if (n > 1 && s.p[n - 1] == '|' && s.p[n - 2] != '\\')
		for (n--; n > 0 && s.p[n - 1] == ' ';)
			n--;
	return n;
}

static void insert(struct run *r, size_t at, struct str s)
{
	if (!run_reserve(r, s.n))
		return;
	memmove(r->p + at + s.n, r->p + at, r->n - at);
	memcpy(r->p + at, s.p, s.n);
	r->n += s.n;
}

/* Tags that have no line of text to go to become a paragraph, which is unwrapped later. */
static void own_paragraph(struct lines *l, struct str tags)
{
	run_putc(l->out, '\n');
	run_str(l->out, tags);
	run_puts(l->out, "\n\n");
}

static uint64_t block_bit(int depth)
{
	return depth > 0 && depth < 64 ? UINT64_C(1) << depth : 0;
}

/* What follows a block of several paragraphs begins one, so that its end is not within one. */
static bool ends_parted(struct lines *l, enum opaque_kind kind)
{
	if (kind == OPAQUE_OPEN) {
		l->depth++;
		l->parted &= ~block_bit(l->depth);
	}
	if (kind != OPAQUE_CLOSE || l->depth == 0)
		return false;
	bool parted = (l->parted & block_bit(l->depth--)) != 0;
	if (parted)
		l->parted |= block_bit(l->depth);
	return parted;
}

static void put_tags(struct lines *l, struct str s)
{
	bool parted = false;
	for (size_t i = 0; i < s.n;) {
		const struct opaque_span *span = opaque_at(l->o, s, i);
		struct str c = str_n(s.p + i, span != NULL ? OPAQUE_LEN : 1);
		i += c.n;
		if (span == NULL)
			continue;
		parted |= ends_parted(l, span->kind);
		if (span->kind != OPAQUE_CLOSE) {
			run_str(&l->tags, c);
		} else if (l->tags.n != 0) {
			/* A block with nothing in it. */
			run_str(&l->tags, c);
		} else if (l->text_end != 0) {
			insert(l->out, l->text_end, c);
			l->text_end += c.n;
		} else {
			own_paragraph(l, c);
		}
	}
	if (parted)
		run_putc(l->out, '\n');
}

/* Tags in front of what makes a line an item, a heading or a row ("{% for b in books %}- {{ b }}") would hide
 * that: they count as if they stood in the line before. Any number but 1 begins a date as well as an item. */
static struct str take_tags(struct lines *l, struct str line)
{
	size_t i = 0, tags = 0, indent = 0;
	while (i < line.n) {
		const struct opaque_span *span = opaque_at(l->o, line, i);
		if (span == NULL ? line.p[i] != ' ' && line.p[i] != '\t'
				 : span->kind == OPAQUE_VALUE || span->kind == OPAQUE_OTHER)
			break;
		indent += span == NULL && tags == 0;
		i += span != NULL ? OPAQUE_LEN : 1;
		tags = span != NULL ? i : tags;
	}
	struct str rest = str_n(line.p + i, line.n - i);
	bool number = rest.n > 1 && rest.p[0] >= '0' && rest.p[0] <= '9';
	if (tags == 0 || text_start(rest) == 0 || is_ruler(rest) ||
		(number && (rest.p[0] != '1' || (rest.p[1] >= '0' && rest.p[1] <= '9'))))
		return line;
	put_tags(l, str_n(line.p, tags));
	return ARENA_JOIN(l->o->a, str_n(line.p, indent), rest);
}

static void put_line(struct lines *l, struct str line)
{
	enum line_kind kind = line_kind(l, line);
	if (kind == LINE_TAGS) {
		put_tags(l, line);
		return;
	}
	if (kind == LINE_TEXT)
		line = take_tags(l, line);
	if (kind == LINE_EMPTY || str_starts(str_trim(line), STR("#")))
		l->parted |= block_bit(l->depth);
	if (kind == LINE_TEXT) {
		size_t from = text_start(line), to = text_stop(line);
		if (to < from)
			to = from;
		run_add(l->out, line.p, from);
		run_str(l->out, run_get(&l->tags));
		run_add(l->out, line.p + from, to - from);
		l->text_end = l->out->n;
		run_add(l->out, line.p + to, line.n - to);
		l->tags.n = 0;
	} else {
		if (kind == LINE_FIXED) {
			if (l->tags.n != 0)
				own_paragraph(l, run_get(&l->tags));
			l->tags.n = 0;
			l->text_end = 0;
		}
		run_str(l->out, line);
	}
	run_putc(l->out, '\n');
}

static struct str tags_into_text(struct str md, const struct opaque *o, struct run *out)
{
	struct lines l = {.o = o, .out = out, .tags = RUN_INIT(o->a)};
	while (md.n != 0) {
		size_t n = str_find(md, '\n');
		put_line(&l, str_n(md.p, n));
		md = n < md.n ? str_n(md.p + n + 1, md.n - n - 1) : str_n(md.p, 0);
	}
	if (l.tags.n != 0)
		own_paragraph(&l, run_get(&l.tags));
	return run_get(out);
}

int markdown_to_html(struct str md, struct opaque *o, struct run *out, struct err *e)
{
	struct run html = RUN_INIT(o->a), lines = RUN_INIT(o->a), lifted = RUN_INIT(o->a);
	md = tags_into_text(md, o, &lines);
	if (md.n > INT_MAX / 2 ||
		md_html(md.p, (MD_SIZE)md.n, collect, &html,
			MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEAUTOLINKS, 0) != 0 ||
		html.failed || lines.failed || !markdown_lift(run_get(&html), o, &lifted))
		return err_set(e, ERR_INTERNAL, "Markdown", "out of memory");
	put_back(o, run_get(&lifted), out);
	return out->failed ? err_set(e, ERR_INTERNAL, "Markdown", "out of memory") : 0;
}
