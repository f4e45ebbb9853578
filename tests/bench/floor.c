#include "tests/bench/floor.h"

#include "templates/mime_qp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum op_kind { OP_LITERAL, OP_PLAIN, OP_ESCAPED, OP_IF, OP_LOOP, OP_END };

struct op {
	enum op_kind kind;
	int slot;      /* of a value or a condition */
	size_t behind; /* a section: the op behind its OP_END */
	struct str text;
	struct qp_literal coded;
};

struct floor_program {
	struct op *ops;
	size_t n;
	bool coded;
};

/* Slots: columns, what is made of them, a row's fields. */
enum {
	LAST_NAME,
	EMAIL,
	CITY,
	PLAN,
	POINTS,
	MEMBER,
	ORDER,
	TOTAL,
	ISO_JOINED,
	ISO_DELIVERY,
	MONTH,
	SHOP,
	STREET,
	EDITOR,
	VIEW_URL,
	UNSUBSCRIBE_URL,
	FIRST_NAME,
	COLUMNS
};
static const char *const columns[COLUMNS] = {"last_name", "email", "city", "plan", "points", "member",
	"order", "total", "joined", "delivery", "month", "shop", "street", "editor", "view_url",
	"unsubscribe_url", "first_name"};
enum {
	GREETING = COLUMNS,
	READER,
	SUBJECT_NAME,
	JOINED,
	DELIVERY,
	MESSAGE_ID,
	UNIQUE,
	TITLE,
	AUTHOR,
	PRICE,
	LINK,
	SLOTS
};
static const char *const made[] = {"greeting", "reader", "subject_name", "joined", "delivery", "message_id",
	"unique", "title", "author", "price", "link"};
static const char *const sections[] = {"gold", "not_gold", "many_points", "has_city", "item"};
enum { GOLD, NOT_GOLD, MANY_POINTS, HAS_CITY, ITEM, SECTIONS };

struct floor_values {
	struct str slot[SLOTS];
	bool shown[SECTIONS];
	const struct book *books;
	size_t nbooks;
	char dates[2][40];
};

static int find(const char *const *names, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_is_nocase(name, names[i]))
			return (int)i;
	return -1;
}

/* ---- values ---- */

struct floor_values *floor_values_new(const struct recipients *r, size_t i, const struct floor_letter *l)
{
	struct floor_values *v = calloc(1, sizeof *v);
	if (v == NULL)
		abort();
	for (size_t k = 0; k < COLUMNS; k++)
		v->slot[k] = recipient_column(r, i, columns[k]);
	v->slot[MESSAGE_ID] = l->message_id;
	v->slot[UNIQUE] = l->unique;
	v->books = r->all[i].books;
	v->nbooks = r->all[i].nbooks;
	return v;
}

struct str floor_unique(const struct floor_values *v)
{
	return v->slot[UNIQUE];
}

static int two_digits(const char *p)
{
	return (p[0] - '0') * 10 + p[1] - '0';
}

static struct str long_date(struct str iso, char out[40])
{
	static const struct str months[] = {{"January", 7}, {"February", 8}, {"March", 5}, {"April", 5},
		{"May", 3}, {"June", 4}, {"July", 4}, {"August", 6}, {"September", 9}, {"October", 7},
		{"November", 8}, {"December", 8}};
	char *o = out;
	if (iso.p[8] != '0')
		*o++ = iso.p[8];
	*o++ = iso.p[9];
	*o++ = ' ';
	struct str m = months[two_digits(iso.p + 5) - 1];
	memcpy(o, m.p, m.n);
	o += m.n;
	*o++ = ' ';
	memcpy(o, iso.p, 4);
	return str_n(out, (size_t)(o + 4 - out));
}

static struct str short_date(struct str iso, char out[40])
{
	memcpy(out, iso.p + 8, 2);
	out[2] = out[5] = '.';
	memcpy(out + 3, iso.p + 5, 2);
	memcpy(out + 6, iso.p, 4);
	return str_n(out, 10);
}

void floor_values_fill(struct floor_values *v)
{
	struct str first = v->slot[FIRST_NAME], points = v->slot[POINTS];
	v->slot[GREETING] = first.n != 0 ? first : STR("reader");
	v->slot[READER] = first.n != 0 ? first : STR("our reader");
	v->slot[SUBJECT_NAME] = first.n != 0 ? first : STR("Reader");
	v->slot[JOINED] = long_date(v->slot[ISO_JOINED], v->dates[0]);
	v->slot[DELIVERY] = short_date(v->slot[ISO_DELIVERY], v->dates[1]);
	v->shown[GOLD] = str_is(v->slot[PLAN], "gold");
	v->shown[NOT_GOLD] = !v->shown[GOLD];
	v->shown[HAS_CITY] = v->slot[CITY].n != 0;
	long n = 0;
	for (size_t i = 0; i < points.n; i++)
		n = n * 10 + points.p[i] - '0';
	v->shown[MANY_POINTS] = n >= 500;
}

/* ---- compiling ---- */

static void bad(struct str what)
{
	fprintf(stderr, "floor: what is {{%.*s}}?\n", STR_ARG(what));
	exit(1);
}

static struct op *add(struct floor_program *p, enum op_kind kind)
{
	p->ops[p->n] = (struct op){.kind = kind};
	return &p->ops[p->n++];
}

static void add_literal(struct floor_program *p, struct arena *a, struct str text)
{
	if (text.n == 0)
		return;
	struct op *op = add(p, OP_LITERAL);
	op->text = text;
	if (p->coded && !qp_literal_make(a, text, &op->coded))
		abort();
}

static void add_value(struct floor_program *p, struct str tag)
{
	bool escaped = str_ends(tag, STR(":h"));
	struct str name = str_n(tag.p, tag.n - (escaped ? 2 : 0));
	struct op *op = add(p, escaped ? OP_ESCAPED : OP_PLAIN);
	op->slot = find(made, SLOTS - COLUMNS, name);
	op->slot = op->slot >= 0 ? op->slot + COLUMNS : find(columns, COLUMNS, name);
	if (op->slot < 0)
		bad(tag);
}

struct floor_program *floor_compile(struct arena *a, struct str source, bool coded)
{
	struct floor_program *p = arena_zalloc(a, sizeof *p);
	size_t open = 0; /* sections do not nest here */
	p->ops = arena_zalloc(a, (source.n / 4 + 8) * sizeof *p->ops);
	p->coded = coded;
	while (source.n != 0) {
		const char *at = memmem(source.p, source.n, "{{", 2);
		size_t n = at != NULL ? (size_t)(at - source.p) : source.n;
		add_literal(p, a, str_n(source.p, n));
		if (at == NULL)
			break;
		struct str tag = str_n(at + 2, str_find(str_n(at + 2, source.n - n - 2), '}'));
		source = str_n(tag.p + tag.n + 2, source.n - n - tag.n - 4);
		if (tag.p[0] == '#') {
			struct op *op = add(p, OP_IF);
			open = p->n - 1;
			op->slot = find(sections, SECTIONS, str_n(tag.p + 1, tag.n - 1));
			if (op->slot < 0)
				bad(tag);
			op->kind = op->slot == ITEM ? OP_LOOP : OP_IF;
		} else if (tag.p[0] == '/') {
			add(p, OP_END);
			p->ops[open].behind = p->n;
		} else {
			add_value(p, tag);
		}
	}
	add(p, OP_END);
	return p;
}

/* ---- HTML as it is ---- */

static inline char *copy(char *o, struct str s)
{
	memcpy(o, s.p, s.n);
	return o + s.n;
}

static const struct str entity[256] = {
	['&'] = {"&amp;", 5},
	['<'] = {"&lt;", 4},
	['>'] = {"&gt;", 4},
	['"'] = {"&quot;", 6},
	['\''] = {"&#39;", 5},
};

static char *escaped(char *o, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const struct str *x = &entity[(unsigned char)s.p[i]];
		if (x->n != 0)
			o = copy(o, *x);
		else
			*o++ = s.p[i];
	}
	return o;
}

/* ---- and as quoted-printable ---- */

struct line {
	char *o;
	unsigned col;
	bool blank;
};

static inline void soft_break(struct line *l)
{
	memcpy(l->o, "=\r\n", 3);
	l->o += 3;
	l->col = 0;
}

static void coded_bytes(struct line *l, const char *p, size_t n)
{
	static const char hexdigit[] = "0123456789ABCDEF";
	if (l->col + 3 * n > 75)
		soft_break(l);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		l->o[0] = '=';
		l->o[1] = hexdigit[c >> 4];
		l->o[2] = hexdigit[c & 15];
		l->o += 3;
	}
	l->col += (unsigned)(3 * n);
}

static void coded_ascii(struct line *l, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (l->col >= 75)
			soft_break(l);
		if (p[i] == '=' || (l->col == 0 && p[i] == '.')) {
			coded_bytes(l, p + i, 1);
		} else {
			*l->o++ = p[i];
			l->col++;
		}
	}
}

static void coded_value(struct line *l, struct str s, bool escape)
{
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
		if (escape && entity[c].n != 0)
			coded_ascii(l, entity[c].p, entity[c].n);
		else if (n == 1)
			coded_ascii(l, s.p + i, 1);
		else
			coded_bytes(l, s.p + i, n);
		i += n;
	}
	if (s.n != 0)
		l->blank = s.p[s.n - 1] == ' ';
}

static void coded_literal(struct line *l, const struct qp_literal *x)
{
	if (x->break_first && l->blank) {
		l->o--;
		l->col--;
		coded_bytes(l, " ", 1);
	} else if (!x->break_first && l->col + x->first > 76) {
		soft_break(l);
	}
	l->o = copy(l->o, x->coded);
	l->col = x->single ? l->col + x->end_col : x->end_col;
	l->blank = x->end_blank;
}

/* ---- running ---- */

static void run(const struct floor_program *p, size_t i, const struct str *slot, const struct floor_values *v,
	struct line *l);

static void loop(const struct floor_program *p, size_t body, const struct floor_values *v, struct line *l)
{
	struct str slot[SLOTS];
	for (size_t i = 0; i < v->nbooks; i++) {
		slot[TITLE] = v->books[i].title;
		slot[AUTHOR] = v->books[i].author;
		slot[PRICE] = v->books[i].price;
		slot[LINK] = v->books[i].link;
		run(p, body, slot, v, l);
	}
}

static void run(const struct floor_program *p, size_t i, const struct str *slot, const struct floor_values *v,
	struct line *l)
{
	for (;; i++) {
		const struct op *op = &p->ops[i];
		switch (op->kind) {
		case OP_LITERAL:
			if (p->coded)
				coded_literal(l, &op->coded);
			else
				l->o = copy(l->o, op->text);
			break;
		case OP_PLAIN:
		case OP_ESCAPED:
			if (p->coded)
				coded_value(l, slot[op->slot], op->kind == OP_ESCAPED);
			else
				l->o = op->kind == OP_ESCAPED ? escaped(l->o, slot[op->slot])
							      : copy(l->o, slot[op->slot]);
			break;
		case OP_IF:
			if (v->shown[op->slot])
				run(p, i + 1, slot, v, l);
			i = op->behind - 1;
			break;
		case OP_LOOP:
			loop(p, i + 1, v, l);
			i = op->behind - 1;
			break;
		case OP_END:
			return;
		}
	}
}

char *floor_render(const struct floor_program *p, const struct floor_values *v, char *out)
{
	struct line l = {.o = out};
	run(p, 0, v->slot, v, &l);
	if (p->coded && l.col > 0) {
		memcpy(l.o, "\r\n", 2);
		l.o += 2;
	}
	return l.o;
}
