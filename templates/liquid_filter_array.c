/* Filters over lists. Whatever comes in is made a list first: nothing becomes none, a single value one
 * element, lists in lists are flattened. */
#include "templates/liquid_private.h"

struct list {
	struct value *items;
	size_t n;
};

static int no_room(struct vm *vm)
{
	vm->exhausted = true;
	return lq_fail(vm, "Memory limits exceeded: too many elements");
}

static int flat_size(struct vm *vm, const struct value *v, size_t *n)
{
	struct seq s;
	lq_seq(v, &s);
	if (s.n > LIQUID_MAX_ARRAY || *n > LIQUID_MAX_ARRAY)
		return no_room(vm);
	if (s.kind == SEQ_RANGE) {
		*n += s.n;
		return 0;
	}
	for (size_t i = 0; i < s.n; i++) {
		struct value item = lq_seq_at(vm, &s, i);
		if (item.type != V_ARRAY && item.type != V_JARRAY)
			++*n;
		else if (flat_size(vm, &item, n) != 0)
			return -1;
	}
	return *n <= LIQUID_MAX_ARRAY ? 0 : no_room(vm);
}

static void flatten(struct vm *vm, const struct value *v, struct list *l)
{
	struct seq s;
	lq_seq(v, &s);
	for (size_t i = 0; i < s.n; i++) {
		struct value item = lq_seq_at(vm, &s, i);
		if (item.type == V_ARRAY || item.type == V_JARRAY)
			flatten(vm, &item, l);
		else
			l->items[l->n++] = item;
	}
}

/* The list, with room for `more` elements. */
static int to_list(struct vm *vm, const struct value *v, size_t more, struct list *l)
{
	size_t n = 1;
	bool list = v->type == V_ARRAY || v->type == V_JARRAY || v->type == V_RANGE;
	if (list) {
		n = 0;
		if (flat_size(vm, v, &n) != 0)
			return -1;
	}
	*l = (struct list){.items = arena_alloc(vm->a, (n + more + 1) * sizeof *l->items)};
	if (l->items == NULL)
		return lq_nomem(vm);
	if (list)
		flatten(vm, v, l);
	else if (v->type != V_NIL)
		l->items[l->n++] = *v;
	return lq_steps(vm, l->n);
}

static int give(const struct list *l, struct value *out)
{
	*out = v_array(l->items, l->n);
	return 0;
}

/* ---- properties ---- */

enum got { GOT, NO_PROPERTIES, GOT_ERROR };

static int property_error(struct vm *vm, const struct value *key)
{
	struct str s = lq_to_s(vm, key);
	return lq_fail(vm, "cannot select the property '%.*s'", STR_ARG(s));
}

static struct value dotted(struct vm *vm, const struct value *item, struct str key)
{
	struct value v = *item;
	while (key.n != 0 && v.type == V_HASH) {
		struct value part = v_str(str_n(key.p, str_find(key, '.')));
		v = lq_lookup(vm, &v, &part, false);
		size_t skip = part.n + (part.n < key.n);
		key = str_n(key.p + skip, key.n - skip);
	}
	return key.n == 0 ? v : NIL;
}

static bool has_properties(const struct value *v)
{
	return v->type == V_HASH || v->type == V_LOOP || v->type == V_STR || v->type == V_INT ||
	       v->type == V_BIG;
}

/* item[key] as Ruby has it: also text in text, a character of text, a bit of an integer. */
static enum got property(struct vm *vm, const struct value *item, const struct value *key, struct value *out)
{
	*out = NIL;
	switch (item->type) {
	case V_HASH:
	case V_LOOP:
		*out = lq_lookup(vm, item, key, false);
		if (out->type == V_NIL && key->type == V_STR && memchr(key->s, '.', key->n) != NULL)
			*out = dotted(vm, item, v_bytes(key));
		return GOT;
	case V_STR:
		if (key->type == V_STR) {
			if (memmem(item->s, item->n, key->s, key->n) != NULL)
				*out = *key;
			return GOT;
		}
		if (key->type == V_INT || key->type == V_FLOAT) {
			*out = lq_char_at(v_bytes(item), lq_to_i(vm, key));
			return GOT;
		}
		if (key->type == V_NIL)
			return NO_PROPERTIES;
		break;
	case V_INT:
	case V_BIG:
		if (key->type == V_INT || key->type == V_FLOAT) {
			int64_t bit = lq_to_i(vm, key);
			*out = v_int(
				bit < 0 || item->type != V_INT ? 0 : item->i >> (bit > 63 ? 63 : bit) & 1);
			return GOT;
		}
		break;
	default:
		return NO_PROPERTIES;
	}
	property_error(vm, key);
	return GOT_ERROR;
}

/* ---- filtering ---- */

static enum got matches(struct vm *vm, const struct call *c, const struct value *item, bool *yes)
{
	struct value v;
	enum got got = property(vm, item, &c->arg[0], &v);
	if (got != GOT)
		return got;
	*yes = c->n < 2 || c->arg[1].type == V_NIL ? v_truthy(&v) : lq_equal(vm, &v, &c->arg[1]);
	return GOT;
}

static int select_where(struct vm *vm, const struct call *c, bool wanted, struct value *out)
{
	struct list l, kept;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	kept = (struct list){.items = l.items};
	for (size_t i = 0; i < l.n; i++) {
		bool yes = false;
		enum got got = matches(vm, c, &l.items[i], &yes);
		if (got == NO_PROPERTIES) {
			*out = NIL;
			return 0;
		}
		if (got == GOT_ERROR)
			return -1;
		if (yes == wanted)
			kept.items[kept.n++] = l.items[i];
	}
	return give(&kept, out);
}

static int filter_where(struct vm *vm, const struct call *c, struct value *out)
{
	return select_where(vm, c, true, out);
}

static int filter_reject(struct vm *vm, const struct call *c, struct value *out)
{
	return select_where(vm, c, false, out);
}

static int search(struct vm *vm, const struct call *c, struct list *l, size_t *at, bool *nothing)
{
	*nothing = false;
	if (to_list(vm, &c->in, 0, l) != 0)
		return -1;
	for (*at = 0; *at < l->n; ++*at) {
		bool yes = false;
		enum got got = matches(vm, c, &l->items[*at], &yes);
		if (got == GOT_ERROR)
			return -1;
		*nothing = got == NO_PROPERTIES;
		if (*nothing || yes)
			return 0;
	}
	return 0;
}

static int filter_has(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	size_t at;
	bool nothing;
	if (search(vm, c, &l, &at, &nothing) != 0)
		return -1;
	*out = nothing ? NIL : v_bool(at < l.n);
	return 0;
}

static int filter_find(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	size_t at;
	bool nothing;
	if (search(vm, c, &l, &at, &nothing) != 0)
		return -1;
	*out = nothing || at == l.n ? NIL : l.items[at];
	return 0;
}

static int filter_find_index(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	size_t at;
	bool nothing;
	if (search(vm, c, &l, &at, &nothing) != 0)
		return -1;
	*out = nothing || at == l.n ? NIL : v_int((int64_t)at);
	return 0;
}

/* ---- order ---- */

typedef int order_fn(struct vm *vm, const struct value *a, const struct value *b);

static int order_plain(struct vm *vm, const struct value *a, const struct value *b)
{
	int r = lq_compare(vm, a, b);
	if (r != 2)
		return r;
	if (a->type == V_NIL)
		return 1;
	if (b->type == V_NIL)
		return -1;
	lq_fail(vm, "cannot sort values of incompatible types");
	return 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static int order_natural(struct vm *vm, const struct value *a, const struct value *b)
{
	if (a->type == V_NIL || b->type == V_NIL)
		return a->type == V_NIL ? b->type != V_NIL : -1;
	struct str x = lq_to_s(vm, a), y = lq_to_s(vm, b);
	for (size_t i = 0; i < x.n && i < y.n; i++)
		if (lower(x.p[i]) != lower(y.p[i]))
			return (unsigned char)lower(x.p[i]) < (unsigned char)lower(y.p[i]) ? -1 : 1;
	return x.n < y.n ? -1 : x.n > y.n;
}

/* Merges runs of `keys` and what belongs to them; stable, and unharmed by an order that contradicts itself.
 */
static void merge_sort(struct vm *vm, struct value *v[2], struct value *spare[2], size_t n, order_fn *order)
{
	for (size_t width = 1; width < n && !vm->failed; width *= 2) {
		for (size_t at = 0; at < n; at += 2 * width) {
			size_t i = at, mid = at + width < n ? at + width : n, j = mid,
			       end = mid + width < n ? mid + width : n;
			for (size_t k = at; k < end; k++) {
				bool left = j >= end || (i < mid && order(vm, &v[0][i], &v[0][j]) <= 0);
				size_t from = left ? i++ : j++;
				spare[0][k] = v[0][from];
				spare[1][k] = v[1][from];
			}
		}
		for (int s = 0; s < 2; s++) {
			struct value *t = v[s];
			v[s] = spare[s];
			spare[s] = t;
		}
		if (lq_steps(vm, n) != 0)
			return;
	}
}

static int sort_by(struct vm *vm, const struct call *c, order_fn *order, struct value *out)
{
	struct list l;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	struct value *more = arena_alloc(vm->a, 3 * l.n * sizeof *more + 1);
	if (more == NULL)
		return lq_nomem(vm);
	struct value *v[2] = {more, l.items}, *spare[2] = {more + l.n, more + 2 * l.n};
	bool keyed = c->n > 0 && c->arg[0].type != V_NIL;
	for (size_t i = 0; i < l.n; i++) {
		more[i] = l.items[i];
		if (keyed && !has_properties(&l.items[i])) {
			*out = NIL;
			return 0;
		}
	}
	for (size_t i = 0; i < l.n && keyed && l.n > 1; i++)
		if (property(vm, &l.items[i], &c->arg[0], &more[i]) == GOT_ERROR)
			return -1;
	merge_sort(vm, v, spare, l.n, order);
	*out = v_array(v[1], l.n);
	return vm->failed ? -1 : 0;
}

static int filter_sort(struct vm *vm, const struct call *c, struct value *out)
{
	return sort_by(vm, c, order_plain, out);
}

static int filter_sort_natural(struct vm *vm, const struct call *c, struct value *out)
{
	return sort_by(vm, c, order_natural, out);
}

static int filter_reverse(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	for (size_t i = 0; i < l.n / 2; i++) {
		struct value t = l.items[i];
		l.items[i] = l.items[l.n - 1 - i];
		l.items[l.n - 1 - i] = t;
	}
	return give(&l, out);
}

/* ---- what remains ---- */

/* Ruby's eql?: 1 and 1.0 are two things here. */
static bool same(struct vm *vm, const struct value *a, const struct value *b)
{
	bool numbers = a->type >= V_INT && a->type <= V_FLOAT;
	return (!numbers || a->type == b->type) && lq_equal(vm, a, b);
}

static int filter_uniq(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	struct value *keys = arena_alloc(vm->a, l.n * sizeof *keys + 1);
	if (keys == NULL)
		return lq_nomem(vm);
	/* One element is never compared, nor asked for its property. */
	bool keyed = c->n > 0 && c->arg[0].type != V_NIL && l.n > 1;
	size_t n = 0;
	for (size_t i = 0; i < l.n; i++) {
		struct value key = l.items[i];
		enum got got = keyed ? property(vm, &l.items[i], &c->arg[0], &key) : GOT;
		if (got == NO_PROPERTIES) {
			*out = NIL;
			return 0;
		}
		if (got == GOT_ERROR || lq_steps(vm, n / 8) != 0)
			return -1;
		size_t k = 0;
		while (k < n && !same(vm, &keys[k], &key))
			k++;
		if (k < n)
			continue;
		keys[n] = key;
		l.items[n++] = l.items[i];
	}
	l.n = n;
	return give(&l, out);
}

static int filter_compact(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	bool keyed = c->n > 0 && c->arg[0].type != V_NIL;
	size_t n = 0;
	for (size_t i = 0; i < l.n; i++) {
		struct value key = l.items[i];
		enum got got = keyed ? property(vm, &l.items[i], &c->arg[0], &key) : GOT;
		if (got == NO_PROPERTIES) {
			*out = NIL;
			return 0;
		}
		if (got == GOT_ERROR)
			return -1;
		if (key.type != V_NIL)
			l.items[n++] = l.items[i];
	}
	l.n = n;
	return give(&l, out);
}

static int filter_map(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		struct value item = l.items[i];
		if (c->arg[0].type == V_STR && str_is(v_bytes(&c->arg[0]), "to_liquid"))
			continue;
		if (property(vm, &item, &c->arg[0], &l.items[i]) == GOT_ERROR)
			return -1;
	}
	return give(&l, out);
}

static int filter_sum(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l, flat;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	bool keyed = c->n > 0 && c->arg[0].type != V_NIL;
	for (size_t i = 0; keyed && i < l.n; i++) {
		struct value item = l.items[i];
		enum got got = property(vm, &item, &c->arg[0], &l.items[i]);
		if (got == GOT_ERROR)
			return -1;
		if (got == NO_PROPERTIES)
			l.items[i] = v_int(0);
	}
	struct value all = v_array(l.items, l.n), zero = v_int(0);
	struct number sum, x;
	if (to_list(vm, &all, 0, &flat) != 0 || lq_to_number(vm, &zero, &sum) != 0)
		return -1;
	for (size_t i = 0; i < flat.n; i++) {
		struct number total;
		if (lq_to_number(vm, &flat.items[i], &x) != 0 || lq_arith(vm, '+', &sum, &x, &total) != 0)
			return -1;
		sum = total;
	}
	return lq_from_number(vm, &sum, out);
}

static int filter_concat(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	struct seq more;
	if (c->arg[0].type != V_ARRAY && c->arg[0].type != V_JARRAY)
		return lq_fail(vm, "concat filter requires an array argument");
	lq_seq(&c->arg[0], &more);
	if (more.n > LIQUID_MAX_ARRAY)
		return no_room(vm);
	if (to_list(vm, &c->in, more.n, &l) != 0 || lq_steps(vm, more.n) != 0)
		return -1;
	for (size_t i = 0; i < more.n; i++)
		l.items[l.n++] = lq_seq_at(vm, &more, i);
	return l.n <= LIQUID_MAX_ARRAY ? give(&l, out) : no_room(vm);
}

static int filter_join(struct vm *vm, const struct call *c, struct value *out)
{
	struct list l;
	struct str glue = lq_arg_str(vm, c, 0, STR(" "));
	struct text t;
	if (to_list(vm, &c->in, 0, &l) != 0)
		return -1;
	lq_text_init(&t, vm->a, 64);
	for (size_t i = 0; i < l.n && !t.failed; i++) {
		if (i != 0)
			lq_text_str(&t, glue);
		lq_text_value(vm, &t, &l.items[i]);
	}
	return lq_give(vm, &t, out);
}

static int filter_first(struct vm *vm, const struct call *c, struct value *out)
{
	struct value key = v_str(STR("first"));
	bool list = c->in.type >= V_STR && c->in.type <= V_HASH;
	*out = NIL;
	if (c->in.type == V_HASH) {
		struct seq s;
		lq_seq(&c->in, &s);
		if (s.n != 0)
			*out = lq_seq_at(vm, &s, 0);
	} else if (list) {
		*out = lq_lookup(vm, &c->in, &key, true);
	}
	return 0;
}

static int filter_last(struct vm *vm, const struct call *c, struct value *out)
{
	struct value key = v_str(STR("last"));
	bool list = c->in.type >= V_STR && c->in.type < V_HASH;
	*out = list ? lq_lookup(vm, &c->in, &key, true) : NIL;
	return 0;
}

const struct filter lq_filters_array[] = {
	{"join", filter_join, 0, 1, 0},
	{"first", filter_first, 0, 0, 0},
	{"last", filter_last, 0, 0, 0},
	{"map", filter_map, 1, 1, 0},
	{"where", filter_where, 1, 2, 0},
	{"reject", filter_reject, 1, 2, 0},
	{"find", filter_find, 1, 2, 0},
	{"find_index", filter_find_index, 1, 2, 0},
	{"has", filter_has, 1, 2, 0},
	{"sort", filter_sort, 0, 1, 0},
	{"sort_natural", filter_sort_natural, 0, 1, 0},
	{"reverse", filter_reverse, 0, 0, 0},
	{"uniq", filter_uniq, 0, 1, 0},
	{"compact", filter_compact, 0, 1, 0},
	{"concat", filter_concat, 1, 1, 0},
	{"sum", filter_sum, 0, 1, 0},
	{NULL, NULL, 0, 0, 0},
};
