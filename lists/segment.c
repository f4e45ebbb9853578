#include "lists/segment.h"

#include "lists/address.h"
#include "lists/column.h"
#include "lists/segment_lex.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"

#include <stdio.h>

#define DEPTH_MAX      50
#define CONDITIONS_MAX 2000

struct parser {
	struct lexer lex;
	int depth, conditions;
	struct store *store;
	const struct zone *zone;
};

/* ---- Names ---- */

static int unknown_attr(struct parser *p, struct str name)
{
	struct nearest near;
	nearest_init(&near, name);
	nearest_offer(&near, STR("email"));
	if (store_attrs_offer(p->store, &near, p->lex.err) != 0)
		return -1;
	char hint[NEAREST_MAX + 32] = "";
	if (near.best[0] != '\0')
		snprintf(hint, sizeof hint, "did you mean %s?", near.best);
	return lex_fail_at(&p->lex, p->lex.start, "no contact has an attribute", name, hint);
}

static int attr_field(struct parser *p, struct filter *f)
{
	f->field = FIELD_ATTR;
	if (p->store == NULL)
		return 0;
	int64_t id = store_attr_id(p->store, f->name, false, p->lex.err);
	if (id == 0) {
		struct str written = column_attr(f->name, p->lex.arena);
		if (written.n > 0)
			id = store_attr_id(p->store, written, false, p->lex.err);
	}
	if (id < 0)
		return -1;
	f->attr = (uint32_t)id;
	return id > 0 ? 0 : unknown_attr(p, f->name);
}

static int field(struct parser *p, struct filter *f)
{
	static const struct {
		const char *name;
		enum filter_field_kind kind;
	} own[] = {
		{"$email", FIELD_EMAIL},
		{"$domain", FIELD_DOMAIN},
		{"$source", FIELD_SOURCE},
		{"$added", FIELD_ADDED},
		{"$last_sent", FIELD_LAST_SENT},
	};
	f->name = p->lex.value;
	if (p->lex.token != T_FIELD) {
		if (p->lex.token == T_NAME && str_is_nocase(f->name, "email"))
			f->field = FIELD_EMAIL;
		else if (attr_field(p, f) != 0)
			return -1;
		return lex_next(&p->lex);
	}
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (str_is_nocase(f->name, own[i].name)) {
			f->field = own[i].kind;
			return lex_next(&p->lex);
		}
	}
	return lex_fail_at(&p->lex, p->lex.start, "there is no", f->name,
		"there are $added, $source, $domain, $last_sent and email");
}

/* ---- Values ---- */

static int date_value(struct parser *p, struct filter_value *v)
{
	if (lex_next(&p->lex) != 0)
		return -1;
	if (p->lex.token != T_TEXT)
		return lex_fail(&p->lex, "after date comes a text: date \"2026-01-31\"");
	struct err why = {0};
	struct str text = arena_str(p->lex.arena, p->lex.value);
	if (text.p == NULL)
		return lex_no_memory(&p->lex);
	char first = text.p[0];
	/* Without a year it would be read as a span from now, and there is no now here. */
	bool looks = first >= '0' && first <= '9' && str_find(text, '-') == 4 && strlen(text.p) == text.n;
	if (!looks || clock_parse(text.p, p->zone, 0, &v->date, &why) != 0)
		return lex_fail_at(&p->lex, p->lex.start, "this is not a date:", p->lex.value,
			why.why[0] != '\0' ? why.why : "write it as 2026-01-31 or 2026-01-31T09:00+09:00");
	v->kind = VALUE_DATE;
	v->zone = p->zone;
	return lex_next(&p->lex);
}

/* What the store compares addresses and domains by. */
static void canonical(struct parser *p, const struct filter *f, struct filter_value *v)
{
	struct address address;
	struct str domain;
	if (f->field == FIELD_EMAIL && f->op != FILTER_LIKE &&
		address_parse(v->text, p->lex.arena, &address, NULL) == 0)
		v->text = address.key;
	else if (f->field == FIELD_DOMAIN && f->op != FILTER_LIKE &&
		 address_domain(v->text, p->lex.arena, &domain, NULL) == 0)
		v->text = domain;
}

static int value(struct parser *p, const struct filter *f, struct filter_value *v)
{
	bool instant = f->field == FIELD_ADDED || f->field == FIELD_LAST_SENT;
	if (p->lex.token == T_NAME && str_is_nocase(p->lex.value, "date"))
		return date_value(p, v);
	if (instant && (p->lex.token == T_TEXT || p->lex.token == T_NUMBER))
		return lex_fail_at(&p->lex, p->lex.start, "this is compared with a date:", f->name,
			"write date \"2026-01-31\"");
	if (p->lex.token == T_TEXT) {
		v->kind = VALUE_TEXT;
		v->text = p->lex.value;
		canonical(p, f, v);
		return lex_next(&p->lex);
	}
	if (p->lex.token == T_NUMBER) {
		v->kind = VALUE_NUMBER;
		v->number = p->lex.number;
		return lex_next(&p->lex);
	}
	if (p->lex.token == T_NAME)
		return lex_fail_at(&p->lex, p->lex.start,
			"a value is missing; text is written in quotes:", p->lex.value, "");
	return lex_fail(&p->lex, "a value is missing here: \"text\", a number or date \"2026-01-31\"");
}

#define IN_MAX 10000

static int in_list(struct parser *p, struct filter *f)
{
	size_t cap = 0;
	if (p->lex.token != T_OPEN)
		return lex_fail(&p->lex, "after in comes a list: in (\"a\", \"b\")");
	do {
		if (lex_next(&p->lex) != 0)
			return -1;
		if (f->nvalues == IN_MAX)
			return lex_fail(&p->lex, "this list is too long");
		if (f->nvalues == cap) {
			cap = cap == 0 ? 8 : cap * 2;
			struct filter_value *more = arena_alloc(p->lex.arena, cap * sizeof *more);
			if (more == NULL)
				return lex_no_memory(&p->lex);
			if (f->nvalues > 0)
				memcpy(more, f->values, f->nvalues * sizeof *more);
			f->values = more;
		}
		struct filter_value v = {0};
		if (value(p, f, &v) != 0)
			return -1;
		f->values[f->nvalues++] = v;
	} while (p->lex.token == T_COMMA);
	if (p->lex.token != T_CLOSE)
		return lex_fail(&p->lex, "this list needs a comma or a ) here");
	return lex_next(&p->lex);
}

/* ---- Conditions ---- */

static struct filter *node(struct parser *p, enum filter_op op)
{
	struct filter *f = arena_zalloc(p->lex.arena, sizeof *f);
	if (f == NULL)
		lex_no_memory(&p->lex);
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
	if (p->lex.token != T_TEXT)
		return lex_fail(&p->lex, "after like comes a text, with % for anything: like \"a%\"");
	if (f->field == FIELD_ADDED || f->field == FIELD_LAST_SENT)
		return lex_fail(&p->lex, "a time has no pattern; compare it with < and >");
	return value(p, f, &f->value);
}

static int is_empty(struct parser *p, bool *negate)
{
	if (p->lex.token == T_NOT) {
		*negate = true;
		if (lex_next(&p->lex) != 0)
			return -1;
	}
	if (p->lex.token != T_EMPTY)
		return lex_fail(&p->lex, "after is comes empty or not empty");
	return lex_next(&p->lex);
}

/* What follows a name; the operator is the current token. */
static int operation(struct parser *p, struct filter *f, bool *negate)
{
	static const enum filter_op compare[] = {
		[T_EQ] = FILTER_EQ,
		[T_NE] = FILTER_NE,
		[T_LT] = FILTER_LT,
		[T_LE] = FILTER_LE,
		[T_GT] = FILTER_GT,
		[T_GE] = FILTER_GE,
	};
	if (p->lex.token == T_NOT) {
		*negate = true;
		if (lex_next(&p->lex) != 0)
			return -1;
		if (p->lex.token != T_IN && p->lex.token != T_LIKE)
			return lex_fail(&p->lex, "after this not comes in or like");
	}
	enum token op = p->lex.token;
	if ((op < T_EQ || op > T_GE) && op != T_IN && op != T_LIKE && op != T_IS)
		return lex_fail_at(&p->lex, p->lex.start,
			"a comparison is missing here: = != < <= > >= in like is empty", STR(""),
			"like \"%tea%\" finds text with that in it");
	if (lex_next(&p->lex) != 0)
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
	if (p->lex.token == T_OPEN) {
		size_t open = p->lex.start;
		if (lex_next(&p->lex) != 0)
			return NULL;
		struct filter *inner = any_of(p);
		if (inner == NULL)
			return NULL;
		if (p->lex.token == T_CLOSE)
			return lex_next(&p->lex) == 0 ? inner : NULL;
		if (p->lex.token == T_END)
			lex_fail_at(&p->lex, open, "this ( has no )", STR(""), "");
		else
			lex_fail(&p->lex, "and, or or ) is missing here");
		return NULL;
	}
	if (p->lex.token != T_NAME && p->lex.token != T_ANY && p->lex.token != T_FIELD) {
		lex_fail(&p->lex, p->lex.token == T_TEXT
					  ? "a name is missing here; names stand without quotes, or in [ ]"
					  : "a name is missing here");
		return NULL;
	}
	if (++p->conditions > CONDITIONS_MAX) {
		lex_fail(&p->lex, "there are too many conditions");
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
	while (p->lex.token == T_NOT) {
		negate = !negate;
		if (lex_next(&p->lex) != 0)
			return NULL;
	}
	if (++p->depth > DEPTH_MAX) {
		lex_fail(&p->lex, "this is nested too deeply");
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

static struct filter *chain(
	struct parser *p, enum token between, enum filter_op op, struct filter *(*operand)(struct parser *))
{
	struct filter **v = NULL;
	size_t n = 0, cap = 0;
	for (;;) {
		struct filter *f = operand(p);
		if (f == NULL)
			return NULL;
		if (n == cap) {
			cap = cap == 0 ? 4 : cap * 2;
			struct filter **more = arena_alloc(p->lex.arena, cap * sizeof *more);
			if (more == NULL) {
				lex_no_memory(&p->lex);
				return NULL;
			}
			if (n > 0)
				memcpy(more, v, n * sizeof *v);
			v = more;
		}
		v[n++] = f;
		if (p->lex.token != between)
			return balance(p, op, v, n);
		if (lex_next(&p->lex) != 0)
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

int segment_parse(const char *text, struct store *s, const struct zone *z, struct arena *a,
	struct filter **out, struct err *e)
{
	struct parser p = {.lex = {.text = str_from(text), .arena = a, .err = e}, .store = s, .zone = z};
	*out = NULL;
	if (p.lex.text.n > SEGMENT_TEXT_MAX)
		return err_set(e, ERR_USAGE, "--where", "longer than %d bytes", SEGMENT_TEXT_MAX);
	if (!utf8_valid(p.lex.text))
		return err_set(e, ERR_USAGE, "--where", "not valid UTF-8");
	p.lex.text = arena_str(a, p.lex.text);
	if (p.lex.text.p == NULL)
		return lex_no_memory(&p.lex);
	if (lex_next(&p.lex) != 0)
		return -1;
	if (p.lex.token == T_END)
		return lex_fail(&p.lex, "the expression is empty");
	struct filter *f = any_of(&p);
	if (f == NULL)
		return -1;
	if (p.lex.token != T_END)
		return lex_fail(
			&p.lex, p.lex.token == T_CLOSE ? "this ) has no (" : "and or or is missing here");
	*out = f;
	return 0;
}
