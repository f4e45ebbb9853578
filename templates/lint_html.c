/* What stands in the decoded HTML. */
#include "templates/lint_private.h"

#include "src/base/utf8.h"
#include "templates/html_css.h"
#include "templates/html_token.h"

#include <stdio.h>
#include <stdlib.h>

enum { STACK = 256, PREHEADER_MAX = 300, FEW_CHARACTERS = 100, SMALL_PX = 7 };

struct open { /* an element that is open */
	struct str name;
	bool hidden, small;
};

struct page {
	struct linter *l;
	struct str s, place;
	struct open stack[STACK];
	size_t depth;
	size_t deeper; /* open elements beyond the stack */
	struct run visible;
	size_t chars;        /* shown so far */
	size_t hidden_chars; /* of the hidden element being read */
	size_t images;
	bool hidden_responsive, media, title, lang, unsubscribe, unsubscribe_hidden;
	const char *line_at;
	long line;
	/* the link being read */
	bool in_link;
	long link_line;
	struct str href;
	size_t link_from; /* in `visible` */
	bool link_hidden, link_image;
	struct run link_text; /* hidden or not */
};

static long line_of(struct page *p, size_t at)
{
	for (; p->line_at < p->s.p + at; p->line_at++)
		p->line += *p->line_at == '\n';
	return p->line;
}

static struct str decoded(struct page *p, struct str value)
{
	struct run r = RUN_INIT(p->l->a);
	html_decode(&r, value, HTML_IN_ATTR);
	return str_trim(run_get(&r));
}

static bool one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_is_nocase(name, *names))
			return true;
	return false;
}

/* ---- What is hidden ---- */

/* A number that is zero, whatever its unit. */
static bool zero(struct str v)
{
	return v.n != 0 && strchr("0.", v.p[0]) != NULL && strtod(v.p, NULL) == 0;
}

struct looks {
	bool hidden, small;
};

static struct looks style_looks(struct page *p, struct str style)
{
	struct looks k = {false, false};
	struct css_declaration d;
	struct str color = {0}, background = {0}, rest = arena_str(p->l->a, style);
	bool no_height = false, cut = false;
	while (rest.p != NULL && css_declaration_next(&rest, &d)) {
		struct str v = arena_str(p->l->a, d.value);
		if (v.p == NULL)
			break;
		if (str_is_nocase(d.name, "display"))
			k.hidden = k.hidden || str_is_nocase(v, "none");
		else if (str_is_nocase(d.name, "visibility"))
			k.hidden = k.hidden || str_is_nocase(v, "hidden");
		else if (str_is_nocase(d.name, "opacity"))
			k.hidden = k.hidden || zero(v);
		else if (str_is_nocase(d.name, "font-size")) {
			/* Zero on a cell only closes gaps between its children, which have a size of their
			 * own. */
			k.small = (zero(v) || strtod(v.p, NULL) <= SMALL_PX) && v.n > 2 &&
				  (str_ends(v, STR("px")) || str_ends(v, STR("pt")));
		} else if (str_is_nocase(d.name, "max-height") || str_is_nocase(d.name, "height"))
			no_height = no_height || zero(v);
		else if (str_is_nocase(d.name, "overflow"))
			cut = str_is_nocase(v, "hidden");
		else if (str_is_nocase(d.name, "color"))
			color = v;
		else if (str_is_nocase(d.name, "background-color") || str_is_nocase(d.name, "background"))
			background = v;
	}
	k.hidden =
		k.hidden || (no_height && cut) ||
		(color.n != 0 && color.n == background.n && strncasecmp(color.p, background.p, color.n) == 0);
	return k;
}

static bool is_hidden(const struct page *p)
{
	return p->depth > 0 && p->stack[p->depth - 1].hidden;
}

/* The outermost hidden element ends: was there more in it than a preheader? */
static void hidden_end(struct page *p, size_t at)
{
	size_t allowed = p->chars == 0 ? PREHEADER_MAX : 2;
	if (p->hidden_chars > allowed && !p->hidden_responsive)
		lint_add_decoded(p->l, L_HIDDEN_TEXT, p->place, line_of(p, at),
			"%zu characters of text are hidden", p->hidden_chars);
}

/* All but `depth` open elements end. */
static void leave(struct page *p, size_t depth, size_t at)
{
	bool was = is_hidden(p);
	p->depth = depth;
	if (was && !is_hidden(p))
		hidden_end(p, at);
}

static struct str open_name(const void *page, size_t i)
{
	return ((const struct page *)page)->stack[i].name;
}

static void push(struct page *p, const struct html_token *t)
{
	struct html_attr a;
	struct looks k = {false, false};
	if (p->depth == STACK) {
		p->deeper++;
		return;
	}
	leave(p, html_stay_open(t->name, p->depth, open_name, p), t->from);
	bool outer = is_hidden(p), small = p->depth > 0 && p->stack[p->depth - 1].small;
	bool sized = html_attr_find(p->s, t, "style", &a);
	if (sized)
		k = style_looks(p, decoded(p, a.value));
	k.hidden = k.hidden || html_attr_find(p->s, t, "hidden", &a);
	if (k.hidden && !outer) {
		p->hidden_chars = 0;
		p->hidden_responsive = p->media && html_attr_find(p->s, t, "class", &a);
	}
	p->stack[p->depth++] = (struct open){t->name, outer || k.hidden, k.small || (small && !sized)};
}

static void pop(struct page *p, const struct html_token *t)
{
	size_t i = p->depth;
	if (p->deeper > 0) {
		p->deeper--;
		return;
	}
	while (i > 0 && !(p->stack[i - 1].name.n == t->name.n &&
				strncasecmp(p->stack[i - 1].name.p, t->name.p, t->name.n) == 0))
		i--;
	if (i == 0)
		return;
	leave(p, i - 1, t->from);
}

/* ---- Text ---- */

static bool counts(uint32_t c)
{
	return c > ' ' && c != 0xa0 && c != 0xad && c != 0x034f && c != 0x3000 &&
	       (c < 0x2000 || c > 0x200f) && c != 0x2060 && c != 0xfeff && c != 0x2007 && c != 0x2800;
}

static void text(struct page *p, const struct html_token *t)
{
	struct str s = str_n(p->s.p + t->from, t->to - t->from);
	struct run r = RUN_INIT(p->l->a);
	html_decode(&r, s, HTML_IN_TEXT);
	struct str shown = run_get(&r);
	size_t n = 0;
	for (size_t at = 0; at < shown.n;)
		n += counts(utf8_next(shown, &at));
	if (p->in_link)
		run_str(&p->link_text, shown);
	if (is_hidden(p)) {
		p->hidden_chars += n;
		return;
	}
	p->chars += n;
	run_str(&p->visible, shown);
}

/* ---- Links and images ---- */

static void link_begin(struct page *p, const struct html_token *t)
{
	struct html_attr a;
	long line = line_of(p, t->from);
	if (!html_attr_find(p->s, t, "href", &a))
		return;
	p->href = decoded(p, a.value);
	lint_link(p->l, p->place, line, p->href);
	if (str_is_nocase(t->name, "area"))
		return;
	p->in_link = true;
	p->link_line = line;
	p->link_text.n = 0;
	p->link_hidden = is_hidden(p) || (p->depth > 0 && p->stack[p->depth - 1].small);
	p->link_image = false;
}

static void link_end(struct page *p)
{
	struct str shown = str_trim(run_get(&p->link_text));
	if (!p->in_link)
		return;
	p->in_link = false;
	lint_link_text(p->l, p->place, p->link_line, p->href, shown);
	if (!lint_is_unsubscribe(p->l, p->href, shown))
		return;
	if (p->link_hidden || (shown.n == 0 && !p->link_image))
		p->unsubscribe_hidden = true;
	else
		p->unsubscribe = true;
}

static bool attached(struct page *p, struct str cid)
{
	struct run r = RUN_INIT(p->l->a);
	for (size_t i = 0; i < cid.n; i++) {
		unsigned c = (unsigned char)cid.p[i];
		if (c == '%' && i + 2 < cid.n) {
			char z[3] = {cid.p[i + 1], cid.p[i + 2], 0};
			c = (unsigned)strtoul(z, NULL, 16);
			i += 2;
		}
		run_putc(&r, (char)c);
	}
	for (size_t i = 0; i < p->l->ncids; i++)
		if (str_eq(p->l->cids[i], run_get(&r)))
			return true;
	return false;
}

static void image_source(struct page *p, struct str src, long line)
{
	struct linter *l = p->l;
	if (src.n >= 5 && strncasecmp(src.p, "data:", 5) == 0)
		lint_add_decoded(l, L_DATA_URI, p->place, line, "an image is written into the HTML (data:)");
	else if (src.n >= 4 && strncasecmp(src.p, "cid:", 4) == 0 &&
		 !attached(p, str_n(src.p + 4, src.n - 4)))
		lint_add_decoded(l, L_CID_ABSENT, p->place, line,
			"no part has the Content-ID of this image: %s", lint_show(l, src));
	else if (src.n == 0)
		lint_add_decoded(l, L_CID_ABSENT, p->place, line, "an image has no address");
	else if (str_find(src, ':') == src.n)
		lint_add_decoded(
			l, L_CID_ABSENT, p->place, line, "an image is not there: \"%s\"", lint_show(l, src));
}

static void image(struct page *p, const struct html_token *t)
{
	struct html_attr a;
	long line = line_of(p, t->from);
	struct str src = html_attr_find(p->s, t, "src", &a) ? decoded(p, a.value) : str_n("", 0);
	p->images++;
	p->link_image = p->link_image || p->in_link;
	image_source(p, src, line);
	if (html_attr_find(p->s, t, "alt", &a)) {
		struct str alt = decoded(p, a.value);
		run_putc(&p->visible, ' ');
		run_str(&p->visible, alt);
	} else {
		lint_add_decoded(p->l, L_IMG_ALT, p->place, line, "an image has no alt text: %s",
			lint_show(p->l, src));
	}
	bool width = html_attr_find(p->s, t, "width", &a);
	if (!width && html_attr_find(p->s, t, "style", &a))
		width = memmem(a.value.p, a.value.n, "width", 5) != NULL;
	if (!width)
		lint_add_decoded(p->l, L_IMG_WIDTH, p->place, line, "an image does not say its width: %s",
			lint_show(p->l, src));
}

/* ---- Tags ---- */

static void scripts(struct page *p, const struct html_token *t, long line)
{
	struct html_attr a;
	if (str_is_nocase(t->name, "script") &&
		!(html_attr_find(p->s, t, "type", &a) && str_is_nocase(a.value, "application/ld+json")))
		lint_add_decoded(p->l, L_HTML_SCRIPT, p->place, line, "there is a script");
	for (size_t at = 0; html_attr_next(p->s, t, &at, &a);)
		if (a.name.n > 4 && a.has_value && strncasecmp(a.name.p, "on", 2) == 0)
			lint_add_decoded(p->l, L_HTML_SCRIPT, p->place, line,
				"there is a script in the attribute %s", lint_show(p->l, a.name));
}

static void opened(struct page *p, const struct html_token *t)
{
	static const char *const forms[] = {"form", "input", "select", "textarea", "button", NULL};
	static const char *const embeds[] = {"iframe", "frame", "object", "embed", "applet", NULL};
	struct html_attr a;
	long line = line_of(p, t->from);
	scripts(p, t, line);
	if (one_of(t->name, forms))
		lint_add_decoded(p->l, L_HTML_FORM, p->place, line, "there is a form (<%s>)",
			lint_show(p->l, t->name));
	else if (one_of(t->name, embeds))
		lint_add_decoded(
			p->l, L_HTML_EMBED, p->place, line, "there is a <%s>", lint_show(p->l, t->name));
	else if (str_is_nocase(t->name, "link") && html_attr_find(p->s, t, "rel", &a) &&
		 str_is_nocase(a.value, "stylesheet"))
		lint_add_decoded(p->l, L_CSS_EXTERNAL, p->place, line, "a style sheet is to be loaded");
	else if (str_is_nocase(t->name, "html"))
		p->lang = html_attr_find(p->s, t, "lang", &a) && str_trim(a.value).n != 0;
	else if (str_is_nocase(t->name, "img"))
		image(p, t);
	if (!html_is_void(t->name))
		push(p, t);
	if (str_is_nocase(t->name, "a") || str_is_nocase(t->name, "area"))
		link_begin(p, t);
}

static void raw_text(struct page *p, const struct html_token *t)
{
	struct str s = str_n(p->s.p + t->from, t->to - t->from);
	struct str name = p->depth > 0 ? p->stack[p->depth - 1].name : str_n("", 0);
	if (str_is_nocase(name, "title"))
		p->title = p->title || str_trim(s).n != 0;
	if (!str_is_nocase(name, "style"))
		return;
	p->media = p->media || memmem(s.p, s.n, "@media", 6) != NULL;
	if (memmem(s.p, s.n, "@import", 7) != NULL)
		lint_add_decoded(p->l, L_CSS_EXTERNAL, p->place, line_of(p, t->from),
			"a style sheet is to be loaded (@import)");
}

static bool is_inline(struct str name)
{
	static const char *const names[] = {"a", "b", "i", "em", "strong", "span", "font", "u", "s", "small",
		"code", "sup", "sub", "abbr", "mark", "wbr", "bdi", "bdo", NULL};
	return one_of(name, names);
}

static void read_page(struct page *p)
{
	struct html_lexer x = {.s = p->s};
	struct html_token t;
	while (html_next(&x, &t)) {
		if (t.kind == HTML_TEXT && t.raw)
			raw_text(p, &t);
		else if (t.kind == HTML_TEXT)
			text(p, &t);
		if ((t.kind == HTML_OPEN || t.kind == HTML_CLOSE) && !is_inline(t.name))
			run_putc(&p->visible, '\n');
		if (t.kind == HTML_OPEN)
			opened(p, &t);
		if (t.kind == HTML_CLOSE && str_is_nocase(t.name, "a"))
			link_end(p);
		if (t.kind == HTML_CLOSE)
			pop(p, &t);
	}
	link_end(p);
}

static void whole_page(struct page *p)
{
	struct linter *l = p->l;
	char kb[32];
	snprintf(kb, sizeof kb, "%zu", (p->s.n + 1023) / 1024);
	if (p->s.n > LINT_CLIP)
		lint_add(l, L_HTML_CLIPPED, p->place, NULL, "the HTML has %s KB", kb);
	else if (p->s.n > LINT_CLIP_NEAR)
		lint_add(l, L_HTML_NEAR, p->place, NULL, "the HTML has %s KB", kb);
	if (!p->lang)
		lint_add(l, L_HTML_LANG, p->place, NULL, "the HTML does not say its language");
	if (!p->title)
		lint_add(l, L_HTML_TITLE, p->place, NULL, "the HTML has no title");
	if (p->images != 0 && p->chars < FEW_CHARACTERS)
		lint_add(l, L_IMAGE_ONLY, p->place, NULL, "it is images, and %zu characters of text",
			p->chars);
	if (p->unsubscribe_hidden && !p->unsubscribe)
		lint_add(l, L_UNSUB_HIDDEN, p->place, NULL, "the unsubscribe link cannot be seen");
	else if (!p->unsubscribe)
		lint_add(l, L_UNSUB_LINK, p->place, NULL, "it has no unsubscribe link");
}

void lint_html(struct linter *l)
{
	struct page *p = l->html.p != NULL ? arena_zalloc(l->a, sizeof *p) : NULL;
	if (p == NULL) {
		lint_texts(l, str_n(NULL, 0), l->html.p != NULL);
		return;
	}
	p->l = l;
	p->s = l->html;
	p->place = STR("text/html");
	p->visible = p->link_text = RUN_INIT(l->a);
	p->line_at = p->s.p;
	p->line = 1;
	read_page(p);
	whole_page(p);
	if (l->text.p == NULL)
		lint_add(l, L_HTML_ONLY, p->place, NULL, "there is no text part");
	lint_texts(l, run_get(&p->visible), !p->unsubscribe);
}
