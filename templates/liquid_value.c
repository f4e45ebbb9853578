#include "templates/liquid_private.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>

void lq_text_init(struct text *t, struct arena *a, size_t expect)
{
	*t = (struct text){.a = a};
	if (expect != 0)
		lq_text_more(t, expect);
}

bool lq_text_more(struct text *t, size_t n)
{
	if (t->failed || n > (size_t)UINT32_MAX / 2 || t->len > (size_t)UINT32_MAX / 2) {
		t->failed = true;
		return false;
	}
	size_t cap = t->cap < 64 ? 64 : t->cap;
	if (t->p != NULL)
		cap *= 2;
	if (cap < t->len + n)
		cap = t->len + n;
	char *p = t->p == NULL ? arena_bytes(t->a, cap) : arena_grow(t->a, t->p, t->cap, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

/* What each byte becomes in HTML, with room to copy eight; empty: itself. */
static const struct str entities[256] = {
	['&'] = {"&amp;\0\0", 5},
	['<'] = {"&lt;\0\0\0", 4},
	['>'] = {"&gt;\0\0\0", 4},
	['"'] = {"&quot;\0", 6},
	['\''] = {"&#39;\0\0", 5},
};

/* The high bit of each of the eight bytes that is & ' < > or ": pairs that differ in one bit are looked for
 * together. Exact up to the lowest one. */
static inline uint64_t marks(uint64_t w)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t a = (w & ~each) ^ each * '&', b = (w & ~(each * 2)) ^ each * '<', c = w ^ each * '"';
	return ((a - each) | (b - each) | (c - each)) & ~w & each << 7;
}

static inline uint64_t eight(const char *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof w);
	return le64toh(w);
}

static inline size_t first_mark(uint64_t m)
{
	return (size_t)__builtin_ctzll(m) / 8;
}

/* Values are short and most have no marks: what is looked at is written at once, eight bytes at a time. */
void lq_escape(struct text *t, struct str s)
{
	const char *p = s.p, *end = s.p + s.n;
	while (p < end) {
		size_t room = (size_t)(end - p) + 8;
		if (room > t->cap - t->len && !lq_text_more(t, room))
			return;
		char *o = t->p + t->len;
		uint64_t m = 0;
		for (; end - p >= 8; p += 8, o += 8) {
			memcpy(o, p, 8);
			m = marks(eight(p));
			if (m != 0)
				break;
		}
		/* The rest, with as much before it as makes eight; that comes to where it is already. */
		if (m == 0 && s.n >= 8 && marks(eight(end - 8)) == 0) {
			o += end - p;
			p = end;
			memcpy(o - 8, p - 8, 8);
		}
		size_t n = m != 0 ? first_mark(m) : 0;
		p += n;
		o += n;
		while (p < end && entities[(unsigned char)*p].n == 0)
			*o++ = *p++;
		if (p < end) {
			const struct str *x = &entities[(unsigned char)*p++];
			memcpy(o, x->p, 8);
			o += x->n;
		}
		t->len = (size_t)(o - t->p);
	}
}

static void add_int(struct text *t, int64_t i)
{
	char b[24];
	char *p = b + sizeof b;
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (i < 0)
		*--p = '-';
	lq_text_add(t, p, (size_t)(b + sizeof b - p));
}

static void add_inspected(struct vm *vm, struct text *t, const struct value *v);

/* As Ruby shows a string in an array or a hash. */
static void add_inspected_str(struct text *t, struct str s)
{
	static const char in[] = "\a\b\t\n\v\f\r\x1b\"\\", out[] = "abtnvfre\"\\";
	lq_text_add(t, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *at = memchr(in, c, sizeof in - 1);
		char b[8];
		int n = 0;
		bool interpolation = c == '#' && i + 1 < s.n && memchr("{$@", s.p[i + 1], 3) != NULL;
		if (at != NULL || interpolation)
			n = snprintf(b, sizeof b, "\\%c", at != NULL ? out[at - in] : c);
		else if (c < 0x20)
			n = snprintf(b, sizeof b, "\\u%04X", c);
		else if (c == 0x7f)
			n = snprintf(b, sizeof b, "\\x7F");
		lq_text_add(t, n != 0 ? b : s.p + i, n != 0 ? (size_t)n : 1);
	}
	lq_text_add(t, "\"", 1);
}

static void add_hash(struct vm *vm, struct text *t, json_t *j)
{
	const char *key;
	json_t *item;
	bool first = true;
	lq_text_add(t, "{", 1);
	json_object_foreach(j, key, item)
	{
		if (!first)
			lq_text_add(t, ", ", 2);
		first = false;
		add_inspected_str(t, str_from(key));
		lq_text_add(t, "=>", 2);
		struct value v = lq_from_json(item);
		add_inspected(vm, t, &v);
	}
	lq_text_add(t, "}", 1);
}

static void add_inspected(struct vm *vm, struct text *t, const struct value *v)
{
	struct seq s;
	switch (v->type) {
	case V_NIL:
		lq_text_add(t, "nil", 3);
		break;
	case V_STR:
		add_inspected_str(t, v_bytes(v));
		break;
	case V_ARRAY:
	case V_JARRAY:
		lq_seq(v, &s);
		lq_text_add(t, "[", 1);
		for (size_t i = 0; i < s.n && !t->failed; i++) {
			if (i != 0)
				lq_text_add(t, ", ", 2);
			struct value item = lq_seq_at(vm, &s, i);
			add_inspected(vm, t, &item);
		}
		lq_text_add(t, "]", 1);
		break;
	default:
		lq_text_value(vm, t, v);
	}
}

void lq_text_value(struct vm *vm, struct text *t, const struct value *v)
{
	char b[64];
	struct seq s;
	switch ((enum vtype)v->type) {
	case V_UNSET:
	case V_NIL:
	case V_BLANK:
	case V_EMPTY:
		break;
	case V_FALSE:
		lq_text_add(t, "false", 5);
		break;
	case V_TRUE:
		lq_text_add(t, "true", 4);
		break;
	case V_INT:
		add_int(t, v->i);
		break;
	case V_BIG:
		lq_text_str(t, lq_big_text(t->a, v->big));
		break;
	case V_FLOAT:
		lq_text_add(t, b, lq_float_text(v->f, b));
		break;
	case V_STR:
		lq_text_add(t, v->s, v->n);
		break;
	case V_RANGE:
		add_int(t, v->range->from);
		lq_text_add(t, "..", 2);
		add_int(t, v->range->to);
		break;
	case V_ARRAY:
	case V_JARRAY:
		lq_seq(v, &s);
		for (size_t i = 0; i < s.n && !t->failed; i++) {
			struct value item = lq_seq_at(vm, &s, i);
			lq_text_value(vm, t, &item);
		}
		break;
	case V_HASH:
		add_hash(vm, t, v->json);
		break;
	case V_LOOP:
		lq_text_str(t, v->loop->table ? STR("Liquid::TablerowloopDrop") : STR("Liquid::ForloopDrop"));
		break;
	}
}

struct str lq_to_s(struct vm *vm, const struct value *v)
{
	if (v->type == V_STR)
		return v_bytes(v);
	if (v->type <= V_NIL || v->type >= V_BLANK)
		return STR("");
	struct text t;
	lq_text_init(&t, vm->a, 0);
	add_inspected(vm, &t, v);
	if (t.failed)
		lq_nomem(vm);
	return t.p != NULL ? str_n(t.p, t.len) : STR("");
}

struct value lq_from_json(json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return (struct value){.type = V_HASH, .json = j};
	case JSON_ARRAY:
		return (struct value){.type = V_JARRAY, .json = j};
	case JSON_STRING:
		if (json_string_length(j) > UINT32_MAX / 2)
			return NIL;
		return v_str(str_n(json_string_value(j), json_string_length(j)));
	case JSON_INTEGER:
		return v_int(json_integer_value(j));
	case JSON_REAL:
		return v_float(json_real_value(j));
	case JSON_TRUE:
	case JSON_FALSE:
		return v_bool(json_is_true(j));
	default:
		return NIL;
	}
}

void lq_seq(const struct value *v, struct seq *s)
{
	*s = (struct seq){.kind = SEQ_NONE};
	switch (v->type) {
	case V_ARRAY:
		s->kind = SEQ_ITEMS;
		s->items = v->items;
		s->n = v->n;
		break;
	case V_JARRAY:
		s->kind = SEQ_JARRAY;
		s->json = v->json;
		s->n = json_array_size(v->json);
		break;
	case V_RANGE:
		s->kind = SEQ_RANGE;
		s->from = v->range->from;
		if (v->range->to >= v->range->from) {
			uint64_t n = (uint64_t)v->range->to - (uint64_t)v->range->from;
			s->n = n < SIZE_MAX ? (size_t)n + 1 : SIZE_MAX;
		}
		break;
	case V_HASH:
		s->kind = SEQ_HASH;
		s->json = v->json;
		s->n = json_object_size(v->json);
		break;
	default:
		break;
	}
}

struct value lq_seq_at(struct vm *vm, struct seq *s, size_t i)
{
	switch (s->kind) {
	case SEQ_ITEMS:
		assert(s->items != NULL);
		return s->items[i];
	case SEQ_JARRAY:
		return lq_from_json(json_array_get(s->json, i));
	case SEQ_RANGE:
		return v_int((int64_t)((uint64_t)s->from + i));
	case SEQ_HASH: {
		s->iter = i == 0 ? json_object_iter(s->json) : json_object_iter_next(s->json, s->iter);
		struct value *pair = arena_alloc(vm->a, 2 * sizeof *pair);
		if (pair == NULL || s->iter == NULL)
			return NIL;
		pair[0] = v_str(str_from(json_object_iter_key(s->iter)));
		pair[1] = lq_from_json(json_object_iter_value(s->iter));
		return v_array(pair, 2);
	}
	case SEQ_ONE:
		return s->one;
	case SEQ_NONE:
		break;
	}
	return NIL;
}

static bool is_number(const struct value *v)
{
	return v->type >= V_INT && v->type <= V_FLOAT;
}

static int number_compare(struct vm *vm, const struct value *a, const struct value *b)
{
	if (a->type == V_INT && b->type == V_INT)
		return a->i < b->i ? -1 : a->i > b->i;
	if (a->type == V_FLOAT && b->type == V_FLOAT)
		return a->f < b->f ? -1 : a->f > b->f ? 1 : a->f == b->f ? 0 : 2;
	struct number x, y;
	if (lq_to_number(vm, a, &x) != 0 || lq_to_number(vm, b, &y) != 0)
		return 2;
	return lq_number_compare(vm, &x, &y);
}

int lq_compare(struct vm *vm, const struct value *a, const struct value *b)
{
	if (is_number(a) && is_number(b))
		return number_compare(vm, a, b);
	if (a->type == V_STR && b->type == V_STR) {
		size_t n = a->n < b->n ? a->n : b->n;
		int r = n != 0 ? memcmp(a->s, b->s, n) : 0;
		if (r == 0)
			r = a->n < b->n ? -1 : a->n > b->n;
		return r < 0 ? -1 : r > 0;
	}
	struct seq x, y;
	bool arrays =
		(a->type == V_ARRAY || a->type == V_JARRAY) && (b->type == V_ARRAY || b->type == V_JARRAY);
	if (arrays) {
		lq_seq(a, &x);
		lq_seq(b, &y);
		for (size_t i = 0; i < x.n && i < y.n; i++) {
			struct value p = lq_seq_at(vm, &x, i), q = lq_seq_at(vm, &y, i);
			int r = lq_compare(vm, &p, &q);
			if (r != 0)
				return r;
		}
		return x.n < y.n ? -1 : x.n > y.n;
	}
	return lq_equal(vm, a, b) ? 0 : 2;
}

bool lq_equal(struct vm *vm, const struct value *a, const struct value *b)
{
	if (a->type == V_STR && b->type == V_STR)
		return str_eq(v_bytes(a), v_bytes(b));
	if (is_number(a) && is_number(b))
		return number_compare(vm, a, b) == 0;
	bool arrays =
		(a->type == V_ARRAY || a->type == V_JARRAY) && (b->type == V_ARRAY || b->type == V_JARRAY);
	if (arrays) {
		struct seq x, y;
		lq_seq(a, &x);
		lq_seq(b, &y);
		if (x.n != y.n)
			return false;
		for (size_t i = 0; i < x.n; i++) {
			struct value p = lq_seq_at(vm, &x, i), q = lq_seq_at(vm, &y, i);
			if (!lq_equal(vm, &p, &q))
				return false;
		}
		return true;
	}
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case V_RANGE:
		return a->range->from == b->range->from && a->range->to == b->range->to;
	case V_HASH:
		return json_equal(a->json, b->json);
	case V_LOOP:
		return a->loop == b->loop;
	default:
		return true;
	}
}

bool lq_is_empty(const struct value *v)
{
	switch (v->type) {
	case V_STR:
	case V_ARRAY:
		return v->n == 0;
	case V_JARRAY:
		return json_array_size(v->json) == 0;
	case V_HASH:
		return json_object_size(v->json) == 0;
	default:
		return false;
	}
}

static struct value loop_field(const struct loop *l, struct str key)
{
	struct {
		const char *name;
		int64_t value;
	} numbers[] =
		{
			{"index", l->index + 1},
			{"index0", l->index},
			{"rindex", l->length - l->index},
			{"rindex0", l->length - l->index - 1},
			{"length", l->length},
		},
	  table[] = {{"col", l->col}, {"col0", l->col - 1}, {"row", l->row}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (str_is(key, numbers[i].name))
			return v_int(numbers[i].value);
	if (str_is(key, "first"))
		return v_bool(l->index == 0);
	if (str_is(key, "last"))
		return v_bool(l->index == l->length - 1);
	if (!l->table) {
		if (str_is(key, "name"))
			return v_str(l->name);
		if (str_is(key, "parentloop") && l->parent != NULL)
			return (struct value){.type = V_LOOP, .loop = l->parent};
		return NIL;
	}
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (str_is(key, table[i].name))
			return v_int(table[i].value);
	if (str_is(key, "col_first"))
		return v_bool(l->col == 1);
	if (str_is(key, "col_last"))
		return v_bool(l->col == l->cols);
	return NIL;
}

static struct value at_index(struct vm *vm, struct seq *s, int64_t i)
{
	if (i < 0)
		i += (int64_t)(s->n < INT64_MAX ? s->n : INT64_MAX);
	if (i < 0 || (uint64_t)i >= s->n)
		return NIL;
	return lq_seq_at(vm, s, (size_t)i);
}

static size_t characters(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
	return n;
}

static struct value command_on(struct vm *vm, const struct value *v, struct str key)
{
	struct seq s;
	if (str_is(key, "size")) {
		if (v->type == V_STR)
			return v_int((int64_t)characters(v_bytes(v)));
		if (v->type == V_INT)
			return v_int(8); /* Integer#size: bytes of a machine word */
	}
	if (v->type == V_STR) {
		struct value c = lq_char_at(v_bytes(v), str_is(key, "first") ? 0 : -1);
		return c.type == V_STR ? c : v_str(STR(""));
	}
	lq_seq(v, &s);
	if (s.kind == SEQ_NONE)
		return NIL;
	if (str_is(key, "size"))
		return v_int(s.n < INT64_MAX ? (int64_t)s.n : INT64_MAX);
	if (str_is(key, "first")) {
		if (s.kind == SEQ_RANGE)
			return v_int(s.from);
		return s.n != 0 ? lq_seq_at(vm, &s, 0) : NIL;
	}
	if (s.kind == SEQ_RANGE)
		return v_int(v->range->to);
	return s.n != 0 && s.kind != SEQ_HASH ? lq_seq_at(vm, &s, s.n - 1) : NIL;
}

APART static struct value lookup_other(
	struct vm *vm, const struct value *v, const struct value *key, bool command)
{
	struct seq s;
	switch (v->type) {
	case V_HASH:
		if (key->type == V_STR) {
			json_t *j = json_object_getn(v->json, key->s, key->n);
			if (j != NULL)
				return lq_from_json(j);
		}
		break;
	case V_ARRAY:
	case V_JARRAY:
		if (key->type == V_INT) {
			lq_seq(v, &s);
			return at_index(vm, &s, key->i);
		}
		break;
	case V_LOOP:
		return key->type == V_STR ? loop_field(v->loop, v_bytes(key)) : NIL;
	default:
		break;
	}
	return command ? command_on(vm, v, v_bytes(key)) : NIL;
}

struct value lq_lookup(struct vm *vm, const struct value *v, const struct value *key, bool command)
{
	if (v->type == V_ARRAY && key->type == V_INT && key->i >= 0)
		return key->i < v->n ? v->items[key->i] : NIL;
	return lookup_other(vm, v, key, command);
}
