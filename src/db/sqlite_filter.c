/* Conditions as SQL. Nothing a user typed becomes SQL text: fields come from a fixed set, values are bound.
 */
#include "src/db/sqlite.h"

#include "src/base/utf8.h"
#include "src/db/attrs.h"

#include <math.h>
#include <stdlib.h>
#include <unicase.h>

/* SQLite's parser holds 100 open things, a level takes three of them; an expression is at most 1000 deep. */
enum { NODES_MAX = 900, DEPTH_MAX = 25, NVALUES_MAX = 20000 };

/* ---- Functions known to SQL ---- */

static struct str arg_str(sqlite3_value *v)
{
	const void *p = sqlite3_value_blob(v);
	int n = sqlite3_value_bytes(v);
	return (struct str){p != NULL ? p : "", p != NULL && n > 0 ? (size_t)n : 0};
}

static void fn_attr(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	struct str value = attrs_get(arg_str(v[0]), (uint32_t)sqlite3_value_int64(v[1]));
	sqlite3_result_text64(ctx, value.p, value.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static bool as_text(struct str s, char *out, size_t max)
{
	s = str_trim(s);
	if (s.n == 0 || s.n >= max || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* to_number(text): a decimal number, or NULL. No hexadecimal, no "nan". */
static void fn_number(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	char text[64], *end;
	if (!as_text(arg_str(v[0]), text, sizeof text) || strspn(text, "0123456789+-.eE") != strlen(text))
		return;
	double number = strtod(text, &end);
	if (*end == '\0' && isfinite(number))
		sqlite3_result_double(ctx, number);
}

/* to_date(text, zone): ms, or NULL. A bare span ("2h") is a time for clock_parse, but no date in a list. */
static void fn_date(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	char text[64];
	ms_t at;
	if (!as_text(arg_str(v[0]), text, sizeof text) || strlen(text) < 10 || text[4] != '-')
		return;
	const struct zone *zone = sqlite3_value_pointer(v[1], "zone");
	if (zone == NULL)
		zone = clock_zone("UTC", NULL);
	if (zone != NULL && clock_read(text, zone, &at))
		sqlite3_result_int64(ctx, at);
}

static int by_contact(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = ((const struct last_sent *)b)->contact;
	return (x > y) - (x < y);
}

/* last_sent(contact): from what was read for the slice at hand. */
static void fn_last_sent(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	struct store *s = sqlite3_user_data(ctx);
	int64_t contact = sqlite3_value_int64(v[0]);
	const struct last_sent *l =
		s->nlast_sent == 0 ? NULL
				   : bsearch(&contact, s->last_sent, s->nlast_sent, sizeof *l, by_contact);
	if (l != NULL)
		sqlite3_result_int64(ctx, l->at);
}

/* sampled(contact, seed, from, to): is its hash between these two, included? */
static void fn_sampled(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	uint64_t from = (uint64_t)sqlite3_value_int64(v[2]), to = (uint64_t)sqlite3_value_int64(v[3]);
	bool all = from == 0 && to == UINT64_MAX;
	uint64_t hash = all ? 0 : sample_hash((uint64_t)sqlite3_value_int64(v[1]), sqlite3_value_int64(v[0]));
	sqlite3_result_int(ctx, hash >= from && hash <= to);
}

static uint32_t folded(uint32_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c < 0x80 ? c : uc_tolower(c);
}

/* As LIKE, but that capitals are not only those of ASCII: % is anything, _ one character. */
static bool is_like(struct str s, struct str pattern)
{
	size_t i = 0, k = 0, behind = 0, again = 0; /* behind: the last %, 0: none; from there `again` */
	while (i < s.n || k < pattern.n) {
		size_t ni = i, nk = k;
		uint32_t c = i < s.n ? utf8_next(s, &ni) : 0, p = k < pattern.n ? utf8_next(pattern, &nk) : 0;
		if (k < pattern.n && p == '%') {
			behind = k = nk;
			again = i;
		} else if (i < s.n && k < pattern.n && (p == '_' || folded(c) == folded(p))) {
			i = ni;
			k = nk;
		} else if (behind != 0 && again < s.n) {
			utf8_next(s, &again);
			i = again;
			k = behind;
		} else {
			return false;
		}
	}
	return true;
}

/* is_like(text, pattern) */
static void fn_like(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	sqlite3_result_int(ctx, is_like(arg_str(v[0]), arg_str(v[1])));
}

/* provider_of(domain): by the domain's name alone, for one that no contact has. */
static void fn_provider(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	struct store *s = sqlite3_user_data(ctx);
	sqlite3_result_text(
		ctx, s->provider_of != NULL ? s->provider_of(arg_str(v[0])) : "", -1, SQLITE_TRANSIENT);
}

/* domain_of(key): what follows its last @, as quoted local parts may hold others. */
static void fn_domain(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	(void)n;
	struct str domain = str_after_last(arg_str(v[0]), '@');
	sqlite3_result_text64(ctx, domain.p, domain.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

int filter_functions(struct store *s)
{
	const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
	static const struct {
		const char *name;
		int args;
		void (*fn)(sqlite3_context *, int, sqlite3_value **);
	} functions[] = {{"attr", 2, fn_attr}, {"to_number", 1, fn_number}, {"to_date", 2, fn_date},
		{"last_sent", 1, fn_last_sent}, {"sampled", 4, fn_sampled}, {"provider_of", 1, fn_provider},
		{"domain_of", 1, fn_domain}, {"is_like", 2, fn_like}};
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (sqlite3_create_function(s->db, functions[i].name, functions[i].args, flags, s,
			    functions[i].fn, NULL, NULL) != SQLITE_OK)
			return -1;
	return 0;
}

/* ---- The expression ---- */

struct writer {
	struct buf *sql;
	int *nbind;
	int nodes;
	size_t values;
	/* When binding: the statement and the tree walked the same way, so that the numbers agree. */
	struct store *s;
	sqlite3_stmt *st;
};

static void put(struct writer *w, const char *text)
{
	if (w->st == NULL)
		buf_puts(w->sql, text);
}

static void put_int(struct writer *w, int64_t v)
{
	++*w->nbind;
	if (w->st == NULL)
		buf_printf(w->sql, "?%d", *w->nbind);
	else
		sqlite3_bind_int64(w->st, *w->nbind, v);
}

static void put_zone(struct writer *w, const struct zone *zone)
{
	++*w->nbind;
	if (w->st == NULL)
		buf_printf(w->sql, "?%d", *w->nbind);
	else
		sqlite3_bind_pointer(w->st, *w->nbind, (void *)(uintptr_t)zone, "zone", NULL);
}

static void put_text(struct writer *w, struct str v)
{
	++*w->nbind;
	if (w->st == NULL)
		buf_printf(w->sql, "?%d", *w->nbind);
	else
		sqlite3_bind_text64(
			w->st, *w->nbind, v.p != NULL ? v.p : "", v.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void put_double(struct writer *w, double v)
{
	++*w->nbind;
	if (w->st == NULL)
		buf_printf(w->sql, "?%d", *w->nbind);
	else
		sqlite3_bind_double(w->st, *w->nbind, v);
}

/* The field as text; a missing one is ''. */
static void field_text(struct writer *w, const struct filter *f)
{
	switch (f->field) {
	case FIELD_ATTR:
		put(w, "attr(c.attrs, ");
		put_int(w, f->attr);
		put(w, ")");
		break;
	case FIELD_EMAIL:
		put(w, "coalesce(c.key, c.address)");
		break;
	case FIELD_DOMAIN:
		put(w, "coalesce((SELECT name FROM domain WHERE id = c.domain), '')");
		break;
	case FIELD_SOURCE:
		put(w, "coalesce(ns.text, ni.text, '')");
		break;
	case FIELD_ADDED:
		put(w, "coalesce(cast(coalesce(c.added, ci.at) AS text), '')");
		break;
	case FIELD_LAST_SENT:
		put(w, "coalesce(cast(last_sent(c.id) AS text), '')");
		break;
	}
}

static void field_date(struct writer *w, const struct filter *f, const struct zone *zone)
{
	if (f->field == FIELD_ADDED) {
		put(w, "coalesce(c.added, ci.at)");
	} else if (f->field == FIELD_LAST_SENT) {
		put(w, "last_sent(c.id)");
	} else {
		put(w, "to_date(");
		field_text(w, f);
		put(w, ", ");
		put_zone(w, zone);
		put(w, ")");
	}
}

static void field_as(struct writer *w, const struct filter *f, const struct filter_value *v)
{
	if (v->kind == VALUE_DATE) {
		field_date(w, f, v->zone);
	} else if (v->kind == VALUE_NUMBER) {
		put(w, "to_number(");
		field_text(w, f);
		put(w, ")");
	} else {
		field_text(w, f);
	}
}

static void value(struct writer *w, const struct filter *f, const struct filter_value *v)
{
	if (v->kind == VALUE_DATE) {
		put_int(w, v->date);
	} else if (v->kind == VALUE_NUMBER) {
		put_double(w, v->number);
	} else {
		/* Keys and domains are in lower case. */
		bool folded = f->field == FIELD_EMAIL || f->field == FIELD_DOMAIN;
		put(w, folded ? "lower(" : "");
		put_text(w, v->text);
		put(w, folded ? ")" : "");
	}
}

static void compare(struct writer *w, const struct filter *f, const struct filter_value *v, const char *op)
{
	put(w, "coalesce(");
	field_as(w, f, v);
	put(w, op);
	value(w, f, v);
	put(w, ", 0)");
}

static void like(struct writer *w, const struct filter *f)
{
	put(w, "is_like(");
	field_text(w, f);
	put(w, ", ");
	value(w, f, &f->value);
	put(w, ")");
}

/* One IN for each kind of value: a chain of OR would be limited by SQLite's depth. */
static void one_of(struct writer *w, const struct filter *f)
{
	put(w, "(0");
	for (int kind = VALUE_TEXT; kind <= VALUE_DATE; kind++) {
		bool first = true;
		for (size_t i = 0; i < f->nvalues; i++) {
			if ((int)f->values[i].kind != kind)
				continue;
			if (first) {
				put(w, " OR coalesce(");
				field_as(w, f, &f->values[i]);
			}
			put(w, first ? " IN (" : ", ");
			value(w, f, &f->values[i]);
			first = false;
		}
		put(w, first ? "" : "), 0)");
	}
	put(w, ")");
}

static bool expression(struct writer *w, const struct filter *f, int depth);

/* a and b and c is one level, however it was nested. */
static bool chain(struct writer *w, const struct filter *f, enum filter_op op, int depth)
{
	if (f->op != op)
		return expression(w, f, depth + 1);
	if (++w->nodes > NODES_MAX || !chain(w, f->a, op, depth))
		return false;
	put(w, op == FILTER_AND ? " AND " : " OR ");
	return chain(w, f->b, op, depth);
}

static bool expression(struct writer *w, const struct filter *f, int depth)
{
	static const char *const ops[] = {[FILTER_EQ] = " = ",
		[FILTER_NE] = " IS NOT ",
		[FILTER_LT] = " < ",
		[FILTER_LE] = " <= ",
		[FILTER_GT] = " > ",
		[FILTER_GE] = " >= "};
	if (depth > DEPTH_MAX || ++w->nodes > NODES_MAX)
		return false;
	bool ok = true;
	switch (f->op) {
	case FILTER_AND:
	case FILTER_OR:
		put(w, "(");
		ok = chain(w, f, f->op, depth);
		put(w, ")");
		break;
	case FILTER_NOT:
		put(w, "(NOT ");
		ok = expression(w, f->a, depth + 1);
		put(w, ")");
		break;
	case FILTER_IN:
		w->values += f->nvalues;
		ok = w->values <= NVALUES_MAX;
		if (ok)
			one_of(w, f);
		break;
	case FILTER_EMPTY:
		put(w, "(");
		field_text(w, f);
		put(w, " = '')");
		break;
	case FILTER_EQ:
	case FILTER_NE:
	case FILTER_LT:
	case FILTER_LE:
	case FILTER_GT:
	case FILTER_GE:
		compare(w, f, &f->value, ops[f->op]);
		break;
	case FILTER_LIKE:
		like(w, f);
		break;
	}
	return ok;
}

int filter_sql(const struct filter *f, struct buf *sql, int *nbind, struct err *e)
{
	struct writer w = {.sql = sql, .nbind = nbind};
	if (!expression(&w, f, 0))
		return err_set(e, ERR_DATA, "condition", "it is too long");
	return sql->failed ? db_nomem(e) : 0;
}

int filter_bind(struct store *s, sqlite3_stmt *st, const struct filter *f, int *nbind, struct err *e)
{
	struct writer w = {.nbind = nbind, .s = s, .st = st};
	return expression(&w, f, 0) ? 0 : err_set(e, ERR_DATA, "condition", "it is too long");
}

static bool uses(const struct filter *f, enum filter_field_kind field, int *nodes)
{
	if (f == NULL || ++*nodes > NODES_MAX)
		return false;
	if (f->op == FILTER_AND || f->op == FILTER_OR || f->op == FILTER_NOT)
		return uses(f->a, field, nodes) || (f->op != FILTER_NOT && uses(f->b, field, nodes));
	return f->field == field;
}

bool filter_uses(const struct filter *f, enum filter_field_kind field)
{
	int nodes = 0;
	return uses(f, field, &nodes);
}
