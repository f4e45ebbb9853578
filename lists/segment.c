#include "lists/segment.h"

#include "lists/address.h"
#include "lists/column.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX      50
#define TEXT_MAX       (64 << 10)
#define CONDITIONS_MAX 2000

enum token {
	T_END, T_NAME, T_ANY, /* ident; [any text] */ T_FIELD, /* $name */ T_TEXT, T_NUMBER, T_OPEN, T_CLOSE, T_COMMA,
	T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_IN, T_LIKE, T_IS, T_EMPTY, T_AND, T_OR, T_NOT,
};

struct parser {
	struct str text;
	size_t at;         /* behind the current token */
	enum token token;
	size_t start;      /* of the current token */
	struct str value;  /* of names, texts and numbers */
	double number;
	int depth, conditions;
	struct store *store;
	const struct zone *zone;
	struct arena *arena;
	struct err *err;
};

/* ---- Errors: the column, and the expression with a caret below it ---- */

#define SHOW_BEFORE 50 /* columns of the expression shown before the fault */
#define SHOW_AFTER  25

static void point_at(struct parser *p, size_t offset)
{
	struct buf before = BUF_INIT(TEXT_MAX * 6), after = BUF_INIT(TEXT_MAX * 6);
	utf8_safe(&before, str_n(p->text.p, offset));
	utf8_safe(&after, str_n(p->text.p + offset, p->text.n - offset));
	struct str head = buf_get(&before), tail = utf8_cut(buf_get(&after), SHOW_AFTER);
	while (utf8_width(head) > SHOW_BEFORE) {
		size_t skip = 0;
		utf8_next(head, &skip);
		head = str_n(head.p + skip, head.n - skip);
	}
	err_remedy(p->err, "%.*s%.*s\n%*s^", STR_ARG(head), STR_ARG(tail), (int)utf8_width(head), "");
	buf_release(&before);
	buf_release(&after);
}

static int fail_at(struct parser *p, size_t offset, const char *why, struct str detail, const char *hint)
{
	size_t column = 1;
	for (size_t at = 0; at < offset; column++)
		utf8_next(p->text, &at);
	struct buf shown = BUF_INIT(400);
	utf8_safe(&shown, str_n(detail.p, detail.n < 60 ? detail.n : 60));
	err_set(p->err, ERR_USAGE, "--where", "column %zu: %s%s%.*s%s%s%s", column, why, detail.n > 0 ? " \"" : "", (int)shown.len,
		buf_cstr(&shown), detail.n > 0 ? "\"" : "", hint[0] != '\0' ? "; " : "", hint);
	buf_release(&shown);
	if (p->err != NULL)
		point_at(p, offset);
	return -1;
}

static int fail(struct parser *p, const char *why)
{
	return fail_at(p, p->start, why, STR(""), "");
}

static int no_memory(struct parser *p)
{
	return err_set(p->err, ERR_INTERNAL, "--where", "out of memory");
}

/* ---- Tokens ---- */

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80 ||
	       (!first && c >= '0' && c <= '9');
}

static enum token keyword(struct str s)
{
	static const struct { const char *word; enum token token; } words[] = {
		{"and", T_AND}, {"or", T_OR}, {"not", T_NOT}, {"in", T_IN}, {"like", T_LIKE}, {"is", T_IS}, {"empty", T_EMPTY},
	};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_is_nocase(s, words[i].word))
			return words[i].token;
	return T_NAME;
}

/* "…" or '…'; the quote itself is written twice. */
static int scan_text(struct parser *p, char quote)
{
	char *out = arena_bytes(p->arena, p->text.n - p->at);
	size_t n = 0, i = p->at + 1;
	if (out == NULL)
		return no_memory(p);
	for (; i < p->text.n; i++) {
		if (p->text.p[i] == quote) {
			if (i + 1 >= p->text.n || p->text.p[i + 1] != quote)
				break;
			i++;
		}
		out[n++] = p->text.p[i];
	}
	if (i >= p->text.n)
		return fail_at(p, p->at, "this quote is not closed", STR(""), "");
	p->at = i + 1;
	p->value = str_n(out, n);
	p->token = T_TEXT;
	return 0;
}

static int scan_number(struct parser *p)
{
	size_t i = p->at + (p->text.p[p->at] == '-' || p->text.p[p->at] == '+');
	size_t digits = i;
	while (i < p->text.n && ((p->text.p[i] >= '0' && p->text.p[i] <= '9') || p->text.p[i] == '.'))
		i++;
	char z[64];
	if (i - p->at >= sizeof z)
		return fail_at(p, p->at, "this number is too long", STR(""), "");
	snprintf(z, sizeof z, "%.*s", (int)(i - p->at), p->text.p + p->at);
	char *end;
	p->number = strtod(z, &end);
	if (i == digits || *end != '\0' || !isfinite(p->number))
		return fail_at(p, p->at, "this is not a number", STR(""), "");
	if (i < p->text.n && is_name_char(p->text.p[i], true))
		return fail_at(p, p->at, "a number ends here in letters", STR(""), "text is written in quotes");
	p->at = i;
	p->token = T_NUMBER;
	return 0;
}

static int scan_bracket(struct parser *p)
{
	size_t end = p->at + str_find(str_n(p->text.p + p->at, p->text.n - p->at), ']');
	if (end == p->text.n)
		return fail_at(p, p->at, "this [ has no ]", STR(""), "");
	p->value = str_trim(str_n(p->text.p + p->at + 1, end - p->at - 1));
	if (p->value.n == 0)
		return fail_at(p, p->at, "there is no name in these brackets", STR(""), "");
	p->at = end + 1;
	p->token = T_ANY;
	return 0;
}

static int scan_operator(struct parser *p)
{
	static const struct { const char *text; enum token token; } ops[] = {
		{"!=", T_NE}, {"<>", T_NE}, {"<=", T_LE}, {">=", T_GE}, {"==", T_EQ}, {"=", T_EQ}, {"<", T_LT}, {">", T_GT},
		{"(", T_OPEN}, {")", T_CLOSE}, {",", T_COMMA},
	};
	struct str rest = str_n(p->text.p + p->at, p->text.n - p->at);
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		if (str_starts(rest, str_from(ops[i].text))) {
			p->at += strlen(ops[i].text);
			p->token = ops[i].token;
			return 0;
		}
	}
	return fail_at(p, p->at, "this character means nothing here:", str_n(rest.p, 1), "");
}

static int next(struct parser *p)
{
	while (p->at < p->text.n && strchr(" \t\r\n", p->text.p[p->at]) != NULL && p->text.p[p->at] != '\0')
		p->at++;
	p->start = p->at;
	if (p->at == p->text.n) {
		p->token = T_END;
		return 0;
	}
	char c = p->text.p[p->at];
	if (c == '"' || c == '\'')
		return scan_text(p, c);
	if (c == '[')
		return scan_bracket(p);
	if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.')
		return scan_number(p);
	if (!is_name_char(c, true) && c != '$')
		return scan_operator(p);
	size_t i = p->at + 1;
	while (i < p->text.n && is_name_char(p->text.p[i], false))
		i++;
	p->value = str_n(p->text.p + p->at, i - p->at);
	p->token = c == '$' ? T_FIELD : keyword(p->value);
	p->at = i;
	return 0;
}

/* ---- Names ---- */

static int offer_attr(void *ctx, uint32_t id, struct str name)
{
	(void)id;
	nearest_offer(ctx, name);
	return 0;
}

static int unknown_attr(struct parser *p, struct str name)
{
	struct nearest near;
	nearest_init(&near, name);
	nearest_offer(&near, STR("email"));
	if (store_attrs(p->store, offer_attr, &near, p->err) != 0)
		return -1;
	char hint[NEAREST_MAX + 32] = "";
	if (near.best[0] != '\0')
		snprintf(hint, sizeof hint, "did you mean %s?", near.best);
	return fail_at(p, p->start, "no contact has an attribute", name, hint);
}

static int attr_field(struct parser *p, struct filter *f)
{
	f->field = FIELD_ATTR;
	if (p->store == NULL)
		return 0;
	int64_t id = store_attr_id(p->store, f->name, false, p->err);
	if (id == 0) {
		struct str written = column_attr(f->name, p->arena);
		if (written.n > 0)
			id = store_attr_id(p->store, written, false, p->err);
	}
	if (id < 0)
		return -1;
	f->attr = (uint32_t)id;
	return id > 0 ? 0 : unknown_attr(p, f->name);
}

static int field(struct parser *p, struct filter *f)
{
	static const struct { const char *name; enum filter_field_kind kind; } own[] = {
		{"$email", FIELD_EMAIL}, {"$domain", FIELD_DOMAIN}, {"$source", FIELD_SOURCE}, {"$added", FIELD_ADDED},
		{"$last_sent", FIELD_LAST_SENT},
	};
	f->name = p->value;
	if (p->token != T_FIELD) {
		if (p->token == T_NAME && str_is_nocase(f->name, "email"))
			f->field = FIELD_EMAIL;
		else if (attr_field(p, f) != 0)
			return -1;
		return next(p);
	}
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (str_is_nocase(f->name, own[i].name)) {
			f->field = own[i].kind;
			return next(p);
		}
	}
	return fail_at(p, p->start, "there is no", f->name, "there are $added, $source, $domain, $last_sent and email");
}

/* ---- Values ---- */

static int date_value(struct parser *p, struct filter_value *v)
{
	if (next(p) != 0)
		return -1;
	if (p->token != T_TEXT)
		return fail(p, "after date comes a text: date \"2026-01-31\"");
	struct err why = {0};
	struct str text = arena_str(p->arena, p->value);
	if (text.p == NULL)
		return no_memory(p);
	char first = text.p[0];
	/* Without a year it would be read as a span from now, and there is no now here. */
	bool looks = first >= '0' && first <= '9' && str_find(text, '-') == 4 && strlen(text.p) == text.n;
	if (!looks || clock_parse(text.p, p->zone, 0, &v->date, &why) != 0)
		return fail_at(p, p->start, "this is not a date:", p->value,
			why.why[0] != '\0' ? why.why : "write it as 2026-01-31 or 2026-01-31T09:00+09:00");
	v->kind = VALUE_DATE;
	v->zone = p->zone;
	return next(p);
}

/* What the store compares addresses and domains by. */
static void canonical(struct parser *p, const struct filter *f, struct filter_value *v)
{
	struct address address;
	struct str domain;
	if (f->field == FIELD_EMAIL && f->op != FILTER_LIKE && address_parse(v->text, p->arena, &address, NULL) == 0)
		v->text = address.key;
	else if (f->field == FIELD_DOMAIN && f->op != FILTER_LIKE && address_domain(v->text, p->arena, &domain, NULL) == 0)
		v->text = domain;
}

static int value(struct parser *p, const struct filter *f, struct filter_value *v)
{
	bool instant = f->field == FIELD_ADDED || f->field == FIELD_LAST_SENT;
	if (p->token == T_NAME && str_is_nocase(p->value, "date"))
		return date_value(p, v);
	if (instant && (p->token == T_TEXT || p->token == T_NUMBER))
		return fail_at(p, p->start, "this is compared with a date:", f->name, "write date \"2026-01-31\"");
	if (p->token == T_TEXT) {
		v->kind = VALUE_TEXT;
		v->text = p->value;
		canonical(p, f, v);
		return next(p);
	}
	if (p->token == T_NUMBER) {
		v->kind = VALUE_NUMBER;
		v->number = p->number;
		return next(p);
	}
	if (p->token == T_NAME)
		return fail_at(p, p->start, "a value is missing; text is written in quotes:", p->value, "");
	return fail(p, "a value is missing here: \"text\", a number or date \"2026-01-31\"");
}

#define IN_MAX 10000

static int in_list(struct parser *p, struct filter *f)
{
	size_t cap = 0;
	if (p->token != T_OPEN)
		return fail(p, "after in comes a list: in (\"a\", \"b\")");
	do {
		if (next(p) != 0)
			return -1;
		if (f->nvalues == IN_MAX)
			return fail(p, "this list is too long");
		if (f->nvalues == cap) {
			cap = cap == 0 ? 8 : cap * 2;
			struct filter_value *more = arena_alloc(p->arena, cap * sizeof *more);
			if (more == NULL)
				return no_memory(p);
			if (f->nvalues > 0)
				memcpy(more, f->values, f->nvalues * sizeof *more);
			f->values = more;
		}
		struct filter_value v = {0};
		if (value(p, f, &v) != 0)
			return -1;
		f->values[f->nvalues++] = v;
	} while (p->token == T_COMMA);
	if (p->token != T_CLOSE)
		return fail(p, "this list needs a comma or a ) here");
	return next(p);
}

/* ---- Conditions ---- */

static struct filter *node(struct parser *p, enum filter_op op)
{
	struct filter *f = arena_zalloc(p->arena, sizeof *f);
	if (f == NULL)
		no_memory(p);
	else
		f->op = op;
	return f;
}

static struct filter *negated(struct parser *p, struct filter *inner)
{
	struct filter *f = node(p, FILTER_NOT);
	if (f != NULL)
		f->a = inner;
	return f;
}

static int like_value(struct parser *p, struct filter *f)
{
	if (p->token != T_TEXT)
		return fail(p, "after like comes a text, with % for anything: like \"a%\"");
	if (f->field == FIELD_ADDED || f->field == FIELD_LAST_SENT)
		return fail(p, "a time has no pattern; compare it with < and >");
	return value(p, f, &f->value);
}

static int is_empty(struct parser *p, bool *negate)
{
	if (p->token == T_NOT) {
		*negate = true;
		if (next(p) != 0)
			return -1;
	}
	if (p->token != T_EMPTY)
		return fail(p, "after is comes empty or not empty");
	return next(p);
}

/* What follows a name; the operator is the current token. */
static int operation(struct parser *p, struct filter *f, bool *negate)
{
	static const enum filter_op compare[] = {
		[T_EQ] = FILTER_EQ, [T_NE] = FILTER_NE, [T_LT] = FILTER_LT, [T_LE] = FILTER_LE, [T_GT] = FILTER_GT, [T_GE] = FILTER_GE,
	};
	if (p->token == T_NOT) {
		*negate = true;
		if (next(p) != 0)
			return -1;
		if (p->token != T_IN && p->token != T_LIKE)
			return fail(p, "after this not comes in or like");
	}
	enum token op = p->token;
	if ((op < T_EQ || op > T_GE) && op != T_IN && op != T_LIKE && op != T_IS)
		return fail(p, "a comparison is missing here: = != < <= > >= in like is empty");
	if (next(p) != 0)
		return -1;
	switch (op) {
	case T_IN:
		f->op = FILTER_IN;
		return in_list(p, f);
	case T_LIKE:
		f->op = FILTER_LIKE;
		return like_value(p, f);
	case T_IS:
		f->op = FILTER_EMPTY;
		return is_empty(p, negate);
	default:
		f->op = compare[op];
		return value(p, f, &f->value);
	}
}

static struct filter *any_of(struct parser *p);

static struct filter *condition(struct parser *p)
{
	if (p->token == T_OPEN) {
		size_t open = p->start;
		if (next(p) != 0)
			return NULL;
		struct filter *inner = any_of(p);
		if (inner == NULL)
			return NULL;
		if (p->token == T_CLOSE)
			return next(p) == 0 ? inner : NULL;
		if (p->token == T_END)
			fail_at(p, open, "this ( has no )", STR(""), "");
		else
			fail(p, "and, or or ) is missing here");
		return NULL;
	}
	if (p->token != T_NAME && p->token != T_ANY && p->token != T_FIELD) {
		fail(p, p->token == T_TEXT ? "a name is missing here; names stand without quotes, or in [ ]" : "a name is missing here");
		return NULL;
	}
	if (++p->conditions > CONDITIONS_MAX) {
		fail(p, "there are too many conditions");
		return NULL;
	}
	bool negate = false;
	struct filter *f = node(p, FILTER_EQ);
	if (f == NULL || field(p, f) != 0 || operation(p, f, &negate) != 0)
		return NULL;
	return negate ? negated(p, f) : f;
}

static struct filter *maybe_not(struct parser *p)
{
	bool negate = false;
	while (p->token == T_NOT) {
		negate = !negate;
		if (next(p) != 0)
			return NULL;
	}
	if (++p->depth > DEPTH_MAX) {
		fail(p, "this is nested too deeply");
		return NULL;
	}
	struct filter *f = condition(p);
	p->depth--;
	return f != NULL && negate ? negated(p, f) : f;
}

/* A balanced tree: a chain of a thousand must not make a thousand levels for the store. */
static struct filter *balance(struct parser *p, enum filter_op op, struct filter **v, size_t n)
{
	if (n == 1)
		return v[0];
	struct filter *f = node(p, op);
	if (f == NULL)
		return NULL;
	f->a = balance(p, op, v, n / 2);
	f->b = balance(p, op, v + n / 2, n - n / 2);
	return f->a != NULL && f->b != NULL ? f : NULL;
}

static struct filter *chain(struct parser *p, enum token between, enum filter_op op, struct filter *(*operand)(struct parser *))
{
	struct filter **v = NULL;
	size_t n = 0, cap = 0;
	for (;;) {
		struct filter *f = operand(p);
		if (f == NULL)
			return NULL;
		if (n == cap) {
			cap = cap == 0 ? 4 : cap * 2;
			struct filter **more = arena_alloc(p->arena, cap * sizeof *more);
			if (more == NULL) {
				no_memory(p);
				return NULL;
			}
			if (n > 0)
				memcpy(more, v, n * sizeof *v);
			v = more;
		}
		v[n++] = f;
		if (p->token != between)
			return balance(p, op, v, n);
		if (next(p) != 0)
			return NULL;
	}
}

static struct filter *all_of(struct parser *p)
{
	return chain(p, T_AND, FILTER_AND, maybe_not);
}

static struct filter *any_of(struct parser *p)
{
	return chain(p, T_OR, FILTER_OR, all_of);
}

int segment_parse(const char *text, struct store *s, const struct zone *z, struct arena *a, struct filter **out, struct err *e)
{
	struct parser p = {.text = str_from(text), .store = s, .zone = z, .arena = a, .err = e};
	*out = NULL;
	if (p.text.n > TEXT_MAX)
		return err_set(e, ERR_USAGE, "--where", "longer than %d bytes", TEXT_MAX);
	if (!utf8_valid(p.text))
		return err_set(e, ERR_USAGE, "--where", "not valid UTF-8");
	p.text = arena_str(a, p.text);
	if (p.text.p == NULL)
		return no_memory(&p);
	if (next(&p) != 0)
		return -1;
	if (p.token == T_END)
		return fail(&p, "the expression is empty");
	struct filter *f = any_of(&p);
	if (f == NULL)
		return -1;
	if (p.token != T_END)
		return fail(&p, p.token == T_CLOSE ? "this ) has no (" : "and or or is missing here");
	*out = f;
	return 0;
}
