#include "templates/liquid_private.h"

#include "src/base/utf8.h"

#include <stdlib.h>
#include <unicase.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str input(struct vm *vm, const struct call *c)
{
	return lq_to_s(vm, &c->in);
}

/* Offset of the character with number `n`, or the end. */
static size_t char_offset(struct str s, int64_t n)
{
	size_t i = 0;
	for (; n > 0 && i < s.n; n--) {
		i++;
		while (i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80)
			i++;
	}
	return i;
}

static int64_t char_count(struct str s)
{
	int64_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += i == 0 || ((unsigned char)s.p[i] & 0xC0) != 0x80;
	return n;
}

struct value lq_char_at(struct str s, int64_t i)
{
	int64_t n = char_count(s);
	if (i < 0)
		i += n;
	if (i < 0 || i >= n)
		return NIL;
	size_t from = char_offset(s, i);
	struct str rest = str_n(s.p + from, s.n - from);
	return v_str(str_n(rest.p, char_offset(rest, 1)));
}

/* ---- letters ---- */

typedef uint8_t *case_fn(
	const uint8_t *s, size_t n, const char *language, uninorm_t nf, uint8_t *out, size_t *length);

static int map_case(struct vm *vm, struct str s, case_fn *fn, bool upper, struct text *t)
{
	if (utf8_ascii(s) || !utf8_valid(s)) {
		if (!lq_text_more(t, s.n))
			return lq_nomem(vm);
		for (size_t i = 0; i < s.n; i++) {
			char c = s.p[i];
			if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z')
				c ^= 0x20;
			t->p[t->len++] = c;
		}
		return 0;
	}
	size_t room = s.n * 3 + 16;
	if (!lq_text_more(t, room))
		return lq_nomem(vm);
	uint8_t *at = (uint8_t *)t->p + t->len;
	uint8_t *r = fn((const uint8_t *)s.p, s.n, NULL, NULL, at, &room);
	if (r == NULL)
		return lq_nomem(vm);
	if (r == at) {
		t->len += room;
	} else {
		lq_text_add(t, r, room);
		free(r);
	}
	return 0;
}

static int filter_upcase(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	lq_text_init(&t, vm->a, 0);
	return map_case(vm, input(vm, c), u8_toupper, true, &t) == 0 ? lq_give(vm, &t, out) : -1;
}

static int filter_downcase(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	lq_text_init(&t, vm->a, 0);
	return map_case(vm, input(vm, c), u8_tolower, false, &t) == 0 ? lq_give(vm, &t, out) : -1;
}

static int filter_capitalize(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	struct str s = input(vm, c);
	size_t first = char_offset(s, 1);
	lq_text_init(&t, vm->a, s.n + 16);
	if (map_case(vm, str_n(s.p, first), u8_totitle, true, &t) != 0 ||
		map_case(vm, str_n(s.p + first, s.n - first), u8_tolower, false, &t) != 0)
		return -1;
	return lq_give(vm, &t, out);
}

/* ---- joining ---- */

/* Markup that is safe stays so: the other half is escaped before they meet. */
static int join_two(struct vm *vm, const struct value *a, const struct value *b, struct value *out)
{
	struct str x = lq_to_s(vm, a), y = lq_to_s(vm, b);
	bool sa = a->type == V_STR && a->safe, sb = b->type == V_STR && b->safe;
	struct text t;
	lq_text_init(&t, vm->a, x.n + y.n);
	if (sb && !sa)
		lq_escape(&t, x);
	else
		lq_text_str(&t, x);
	if (sa && !sb)
		lq_escape(&t, y);
	else
		lq_text_str(&t, y);
	if (lq_give(vm, &t, out) != 0)
		return -1;
	out->safe = sa || sb;
	return 0;
}

static int filter_append(struct vm *vm, const struct call *c, struct value *out)
{
	return join_two(vm, &c->in, &c->arg[0], out);
}

static int filter_prepend(struct vm *vm, const struct call *c, struct value *out)
{
	return join_two(vm, &c->arg[0], &c->in, out);
}

/* ---- replacing ---- */

enum which { ALL, FIRST, LAST };

static void replace_empty(struct text *t, struct str s, struct str with, enum which which)
{
	if (which != LAST)
		lq_text_str(t, with);
	for (size_t i = 0; i < s.n && which == ALL;) {
		size_t next = i;
		utf8_next(s, &next);
		lq_text_add(t, s.p + i, next - i);
		lq_text_str(t, with);
		i = next;
	}
	if (which != ALL)
		lq_text_str(t, s);
	if (which == LAST)
		lq_text_str(t, with);
}

static const char *find_last(struct vm *vm, struct str s, struct str what)
{
	for (size_t i = s.n - what.n + 1; i-- > 0;) {
		if (s.p[i] != what.p[0])
			continue;
		if (memcmp(s.p + i, what.p, what.n) == 0)
			return s.p + i;
		/* Text made for it takes the product of both lengths. */
		if (lq_steps(vm, what.n / 256) != 0)
			return NULL;
	}
	return NULL;
}

static int replace(
	struct vm *vm, struct str s, struct str what, struct str with, enum which which, struct value *out)
{
	struct text t;
	lq_text_init(&t, vm->a, s.n + 1);
	if (what.n == 0) {
		replace_empty(&t, s, with, which);
		return lq_give(vm, &t, out);
	}
	size_t from = 0;
	while (s.n - from >= what.n && !t.failed) {
		struct str rest = str_n(s.p + from, s.n - from);
		const char *q =
			which == LAST ? find_last(vm, rest, what) : memmem(rest.p, rest.n, what.p, what.n);
		if (q == NULL)
			break;
		lq_text_add(&t, rest.p, (size_t)(q - rest.p));
		lq_text_str(&t, with);
		from = (size_t)(q - s.p) + what.n;
		if (which != ALL)
			break;
	}
	lq_text_add(&t, s.p + from, s.n - from);
	return lq_give(vm, &t, out);
}

static int replace_which(struct vm *vm, const struct call *c, enum which which, struct value *out)
{
	return replace(
		vm, input(vm, c), lq_arg_str(vm, c, 0, STR("")), lq_arg_str(vm, c, 1, STR("")), which, out);
}

static int filter_replace(struct vm *vm, const struct call *c, struct value *out)
{
	return replace_which(vm, c, ALL, out);
}

static int filter_replace_first(struct vm *vm, const struct call *c, struct value *out)
{
	return replace_which(vm, c, FIRST, out);
}

static int filter_replace_last(struct vm *vm, const struct call *c, struct value *out)
{
	return replace_which(vm, c, LAST, out);
}

/* ---- cutting ---- */

static int slice_bounds(struct vm *vm, const struct call *c, int64_t n, int64_t *from, int64_t *count)
{
	*count = 1;
	if (lq_to_integer(vm, &c->arg[0], from) != 0)
		return -1;
	if (c->n > 1 && v_truthy(&c->arg[1]) && lq_to_integer(vm, &c->arg[1], count) != 0)
		return -1;
	if (*from < 0)
		*from += n;
	if (*from < 0 || *from > n || *count < 0)
		*from = *count = 0;
	if (*count > n - *from)
		*count = n - *from;
	return 0;
}

static int filter_slice(struct vm *vm, const struct call *c, struct value *out)
{
	int64_t from, n;
	struct seq q;
	if (c->in.type == V_ARRAY || c->in.type == V_JARRAY) {
		lq_seq(&c->in, &q);
		if (slice_bounds(vm, c, (int64_t)q.n, &from, &n) != 0)
			return -1;
		struct value *items = arena_alloc(vm->a, (size_t)n * sizeof *items + 1);
		if (items == NULL)
			return lq_nomem(vm);
		for (int64_t i = 0; i < n; i++)
			items[i] = lq_seq_at(vm, &q, (size_t)(from + i));
		*out = v_array(items, (size_t)n);
		return 0;
	}
	struct str s = input(vm, c);
	if (slice_bounds(vm, c, char_count(s), &from, &n) != 0)
		return -1;
	size_t a = char_offset(s, from);
	struct str rest = str_n(s.p + a, s.n - a);
	*out = v_str(str_n(rest.p, char_offset(rest, n)));
	return 0;
}

static int filter_truncate(struct vm *vm, const struct call *c, struct value *out)
{
	int64_t length = 50;
	*out = NIL;
	if (c->in.type == V_NIL)
		return 0;
	if (c->n > 0 && lq_to_integer(vm, &c->arg[0], &length) != 0)
		return -1;
	struct str s = input(vm, c), more = lq_arg_str(vm, c, 1, STR("..."));
	*out = v_str(s);
	if (char_count(s) <= length)
		return 0;
	int64_t keep = length - char_count(more);
	struct text t;
	lq_text_init(&t, vm->a, s.n + more.n);
	lq_text_add(&t, s.p, char_offset(s, keep > 0 ? keep : 0));
	lq_text_str(&t, more);
	return lq_give(vm, &t, out);
}

static int filter_truncatewords(struct vm *vm, const struct call *c, struct value *out)
{
	int64_t words = 15;
	*out = NIL;
	if (c->in.type == V_NIL)
		return 0;
	if (c->n > 0 && lq_to_integer(vm, &c->arg[0], &words) != 0)
		return -1;
	struct str s = input(vm, c);
	struct text t;
	*out = v_str(s);
	if (words <= 0)
		words = 1;
	if (words >= INT32_MAX)
		return lq_fail(vm, "integer %lld too big for truncatewords", (long long)words);
	lq_text_init(&t, vm->a, s.n + 8);
	for (size_t i = 0; words > 0; words--) {
		while (i < s.n && is_space(s.p[i]))
			i++;
		size_t from = i;
		while (i < s.n && !is_space(s.p[i]))
			i++;
		if (i == s.n)
			return 0;
		if (t.len != 0)
			lq_text_add(&t, " ", 1);
		lq_text_add(&t, s.p + from, i - from);
	}
	lq_text_str(&t, lq_arg_str(vm, c, 1, STR("...")));
	return lq_give(vm, &t, out);
}

struct pieces {
	struct value *items;
	size_t n, cap;
	size_t counted; /* as steps */
};

static int count_pieces(struct vm *vm, struct pieces *p)
{
	size_t n = p->n - p->counted;
	p->counted = p->n;
	return lq_steps(vm, n);
}

static int more_pieces(struct vm *vm, struct pieces *p)
{
	size_t cap = p->cap == 0 ? 16 : p->cap > LIQUID_MAX_ARRAY / 2 ? LIQUID_MAX_ARRAY : p->cap * 2;
	if (count_pieces(vm, p) != 0)
		return -1;
	if (p->n == LIQUID_MAX_ARRAY)
		return lq_fail(vm, "Memory limits exceeded: too many elements");
	struct value *items = arena_alloc(vm->a, cap * sizeof *items);
	if (items == NULL) {
		lq_nomem(vm);
		return -1;
	}
	if (p->n != 0)
		memcpy(items, p->items, p->n * sizeof *items);
	p->items = items;
	p->cap = cap;
	return 0;
}

static inline int add_piece(struct vm *vm, struct pieces *p, struct str s)
{
	if (p->n == p->cap && more_pieces(vm, p) != 0)
		return -1;
	p->items[p->n++] = v_str(s);
	return 0;
}

static int split_words(struct vm *vm, struct str s, struct pieces *p)
{
	for (size_t i = 0; i < s.n;) {
		while (i < s.n && is_space(s.p[i]))
			i++;
		size_t from = i;
		while (i < s.n && !is_space(s.p[i]))
			i++;
		if (i > from && add_piece(vm, p, str_n(s.p + from, i - from)) != 0)
			return -1;
	}
	return 0;
}

/* Length of what stands before the next separator. */
static size_t piece_length(struct str s, struct str at)
{
	if (at.n == 1)
		return str_find(s, *at.p);
	if (at.n == 0)
		return char_offset(s, 1);
	const char *q = s.n >= at.n ? memmem(s.p, s.n, at.p, at.n) : NULL;
	return q != NULL ? (size_t)(q - s.p) : s.n;
}

static int split_at(struct vm *vm, struct str s, struct str at, struct pieces *p)
{
	for (;;) {
		size_t n = piece_length(s, at);
		if (add_piece(vm, p, str_n(s.p, n)) != 0)
			return -1;
		if (n == s.n)
			return 0;
		s = str_n(s.p + n + at.n, s.n - n - at.n);
	}
}

static int filter_split(struct vm *vm, const struct call *c, struct value *out)
{
	struct str s = input(vm, c), at = lq_to_s(vm, &c->arg[0]);
	struct pieces p = {0};
	int rc = str_is(at, " ") ? split_words(vm, s, &p) : split_at(vm, s, at, &p);
	if (rc != 0 || count_pieces(vm, &p) != 0)
		return -1;
	while (p.n > 0 && p.items[p.n - 1].n == 0)
		p.n--;
	*out = v_array(p.items, p.n);
	return 0;
}

static struct str strip(struct str s, bool left, bool right)
{
	while (left && s.n > 0 && (is_space(s.p[0]) || s.p[0] == '\0')) {
		s.p++;
		s.n--;
	}
	while (right && s.n > 0 && (is_space(s.p[s.n - 1]) || s.p[s.n - 1] == '\0'))
		s.n--;
	return s;
}

static int strip_value(struct vm *vm, const struct call *c, bool left, bool right, struct value *out)
{
	*out = v_str(strip(input(vm, c), left, right));
	out->safe = c->in.type == V_STR && c->in.safe;
	return 0;
}

static int filter_strip(struct vm *vm, const struct call *c, struct value *out)
{
	return strip_value(vm, c, true, true, out);
}

static int filter_lstrip(struct vm *vm, const struct call *c, struct value *out)
{
	return strip_value(vm, c, true, false, out);
}

static int filter_rstrip(struct vm *vm, const struct call *c, struct value *out)
{
	return strip_value(vm, c, false, true, out);
}

static int filter_squish(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	if (c->in.type == V_NIL) {
		*out = NIL;
		return 0;
	}
	struct str s = strip(input(vm, c), true, true);
	lq_text_init(&t, vm->a, s.n);
	for (size_t i = 0; i < s.n; i++)
		if (!is_space(s.p[i]))
			lq_text_add(&t, s.p + i, 1);
		else if (!is_space(s.p[i + 1]))
			lq_text_add(&t, " ", 1);
	return lq_give(vm, &t, out);
}

static int filter_strip_newlines(struct vm *vm, const struct call *c, struct value *out)
{
	struct str s = input(vm, c);
	struct text t;
	lq_text_init(&t, vm->a, s.n);
	for (size_t i = 0; i < s.n; i++) {
		bool crlf = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
		if (s.p[i] != '\n' && !crlf)
			lq_text_add(&t, s.p + i, 1);
	}
	return lq_give(vm, &t, out);
}

static int filter_size(struct vm *vm, const struct call *c, struct value *out)
{
	struct value key = v_str(STR("size"));
	struct seq s;
	lq_seq(&c->in, &s);
	*out = s.kind != SEQ_NONE ? v_int(s.n < INT64_MAX ? (int64_t)s.n : INT64_MAX)
				  : lq_lookup(vm, &c->in, &key, true);
	if (out->type != V_INT)
		*out = v_int(0);
	return 0;
}

const struct filter lq_filters_string[] = {
	{"upcase", filter_upcase, 0, 0, 0},
	{"downcase", filter_downcase, 0, 0, 0},
	{"capitalize", filter_capitalize, 0, 0, 0},
	{"append", filter_append, 1, 1, 0},
	{"prepend", filter_prepend, 1, 1, 0},
	{"replace", filter_replace, 1, 2, 0},
	{"replace_first", filter_replace_first, 1, 2, 0},
	{"replace_last", filter_replace_last, 2, 2, 0},
	{"remove", filter_replace, 1, 1, 0},
	{"remove_first", filter_replace_first, 1, 1, 0},
	{"remove_last", filter_replace_last, 1, 1, 0},
	{"slice", filter_slice, 1, 2, 0},
	{"truncate", filter_truncate, 0, 2, 0},
	{"truncatewords", filter_truncatewords, 0, 2, 0},
	{"split", filter_split, 1, 1, 0},
	{"strip", filter_strip, 0, 0, 0},
	{"lstrip", filter_lstrip, 0, 0, 0},
	{"rstrip", filter_rstrip, 0, 0, 0},
	{"squish", filter_squish, 0, 0, 0},
	{"strip_newlines", filter_strip_newlines, 0, 0, 0},
	{"size", filter_size, 0, 0, 0},
	{NULL, NULL, 0, 0, 0},
};
