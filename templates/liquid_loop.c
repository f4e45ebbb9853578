/* Steps that repeat or call: for, tablerow, cycle, render, include. */
#include "templates/liquid_private.h"

#include <assert.h>

struct cycle_state {
	struct cycle_state *next;
	struct value key; /* V_UNSET: an unnamed group, by its text */
	struct str text;
	uint32_t at;
};

struct offset_state {
	struct offset_state *next;
	struct str name;
	int64_t at;
};

struct included { /* compiled while rendering, kept to its end */
	struct included *next;
	struct str name;
	struct liquid *l;
};

static int optional_integer(struct vm *vm, const struct expr *x, int64_t *out, bool *given)
{
	struct value v = NIL;
	*given = false;
	if (x == NULL)
		return 0;
	if (lq_eval(vm, x, &v) != 0)
		return -1;
	if (v.type == V_NIL)
		return 0;
	*given = true;
	return lq_to_integer(vm, &v, out);
}

static struct offset_state *offset_of(struct vm *vm, struct str name)
{
	struct offset_state *s = vm->r.offsets;
	while (s != NULL && !str_eq(s->name, name))
		s = s->next;
	if (s == NULL && (s = arena_zalloc(vm->a, sizeof *s)) != NULL) {
		s->name = name;
		s->next = vm->r.offsets;
		vm->r.offsets = s;
	}
	if (s == NULL)
		lq_nomem(vm);
	return s;
}

/* Pairs of an object need an order that can be walked both ways. */
static int flatten_hash(struct vm *vm, struct seq *s)
{
	if (s->kind != SEQ_HASH)
		return 0;
	struct value *items = arena_alloc(vm->a, s->n * sizeof *items + 1);
	if (items == NULL)
		return lq_nomem(vm);
	for (size_t i = 0; i < s->n; i++)
		items[i] = lq_seq_at(vm, s, i);
	s->kind = SEQ_ITEMS;
	s->items = items;
	return vm->a->failed ? lq_nomem(vm) : 0;
}

struct span {
	struct seq seq;
	size_t first, n;
};

static int64_t clamp_add(int64_t a, int64_t b)
{
	int64_t r;
	return __builtin_add_overflow(a, b, &r) ? (b > 0 ? INT64_MAX : INT64_MIN) : r;
}

/* The elements [from, to) of what there is; a string is one element whatever the bounds. */
static int take_span(struct vm *vm, const struct value *v, int64_t from, int64_t to, struct span *out)
{
	*out = (struct span){0};
	if (v->type == V_STR) {
		out->seq = (struct seq){.kind = SEQ_ONE, .n = v->n != 0, .one = *v};
		out->n = out->seq.n;
		return 0;
	}
	lq_seq(v, &out->seq);
	if (flatten_hash(vm, &out->seq) != 0)
		return -1;
	int64_t n = out->seq.n < INT64_MAX ? (int64_t)out->seq.n : INT64_MAX;
	if (from < 0)
		from = 0;
	if (to > n)
		to = n;
	out->first = (size_t)from;
	out->n = to > from ? (size_t)(to - from) : 0;
	return 0;
}

static int for_span(struct vm *vm, const struct for_loop *f, struct span *span)
{
	struct value v;
	int64_t from = 0, limit = 0;
	bool offset, limited;
	struct offset_state *s = offset_of(vm, f->name);
	if (s == NULL || optional_integer(vm, f->offset, &from, &offset) != 0)
		return -1;
	if (f->go_on)
		from = s->at;
	if (lq_eval(vm, f->in, &v) != 0 || optional_integer(vm, f->limit, &limit, &limited) != 0)
		return -1;
	if (take_span(vm, &v, from, limited ? clamp_add(from, limit) : INT64_MAX, span) != 0)
		return -1;
	s->at = clamp_add(from, (int64_t)span->n);
	return 0;
}

static struct loop *loop_new(struct vm *vm, struct str name, size_t length)
{
	struct loop *l = arena_alloc(vm->a, sizeof *l);
	if (l == NULL)
		lq_nomem(vm);
	else
		*l = (struct loop){.name = name, .length = (int64_t)length};
	return l;
}

/* The reference counts scopes: one to begin with, one for each loop and include, and those of the callers of
 * render. */
static int go_deeper(struct vm *vm)
{
	if (++vm->depth + vm->renders < LIQUID_MAX_DEPTH)
		return 0;
	vm->depth--;
	return lq_fail(vm, "Nesting too deep");
}

enum flow lq_for(struct vm *vm, const struct op *op)
{
	const struct for_loop *f = op->extra;
	struct span span;
	struct value item, drop;
	if (for_span(vm, f, &span) != 0)
		return FLOW_FAIL;
	if (span.n == 0)
		return lq_run(vm, f->otherwise, op->end);
	struct loop *loop = loop_new(vm, f->name, span.n);
	if (loop == NULL || go_deeper(vm) != 0)
		return FLOW_FAIL;
	enum flow flow = FLOW_ON;
	loop->parent = vm->r.loop;
	vm->r.loop = loop;
	lq_hide(vm, f->drop, (struct value){.type = V_LOOP, .loop = loop}, &drop);
	lq_hide(vm, f->var, NIL, &item);
	for (size_t i = 0; i < span.n && flow != FLOW_BREAK && flow != FLOW_FAIL; i++) {
		size_t k = span.first + (f->reversed ? span.n - 1 - i : i);
		vm->f.vars[f->var] = lq_seq_at(vm, &span.seq, k);
		loop->index = (int64_t)i;
		flow = lq_steps(vm, 1) == 0 ? lq_run(vm, f->body, f->otherwise) : FLOW_FAIL;
	}
	if (flow != FLOW_BREAK)
		loop->index = (int64_t)span.n;
	lq_unhide(vm, f->var, item);
	lq_unhide(vm, f->drop, drop);
	vm->r.loop = loop->parent;
	vm->depth--;
	return flow == FLOW_FAIL ? FLOW_FAIL : FLOW_ON;
}

/* tablerow takes what Ruby's to_i takes. */
static int table_integer(struct vm *vm, const struct expr *x, int64_t *out)
{
	struct value v;
	if (lq_eval(vm, x, &v) != 0)
		return -1;
	if (v.type == V_FALSE || v.type == V_TRUE || v.type >= V_RANGE)
		return lq_fail(vm, "invalid integer");
	*out = lq_to_i(vm, &v);
	return 0;
}

static enum flow table_cells(struct vm *vm, const struct for_loop *f, struct span *span, struct loop *t)
{
	for (size_t i = 0; i < span->n; i++) {
		vm->f.vars[f->var] = lq_seq_at(vm, &span->seq, span->first + i);
		t->index = (int64_t)i;
		lq_emit_text(vm, arena_printf(vm->a, "<td class=\"col%lld\">", (long long)t->col));
		enum flow flow = lq_steps(vm, 1) == 0 ? lq_run(vm, f->body, f->otherwise) : FLOW_FAIL;
		if (flow == FLOW_FAIL || lq_emit_text(vm, STR("</td>")) != 0)
			return FLOW_FAIL;
		if (flow == FLOW_BREAK)
			break;
		bool last_col = t->col == t->cols;
		if (last_col && i + 1 < span->n)
			lq_emit_text(vm,
				arena_printf(vm->a, "</tr>\n<tr class=\"row%lld\">", (long long)t->row + 1));
		t->row += last_col;
		t->col = last_col ? 1 : t->col + 1;
	}
	return FLOW_ON;
}

enum flow lq_tablerow(struct vm *vm, const struct op *op)
{
	const struct for_loop *f = op->extra;
	struct span span;
	struct value v, item, drop;
	int64_t from = 0, limit = 0, cols = 0;
	if (lq_eval(vm, f->in, &v) != 0)
		return FLOW_FAIL;
	if (!v_truthy(&v))
		return FLOW_ON;
	if ((f->offset != NULL && table_integer(vm, f->offset, &from) != 0) ||
		(f->limit != NULL && table_integer(vm, f->limit, &limit) != 0) ||
		(f->cols != NULL && table_integer(vm, f->cols, &cols) != 0) ||
		take_span(vm, &v, from, f->limit != NULL ? clamp_add(from, limit) : INT64_MAX, &span) != 0)
		return FLOW_FAIL;
	struct loop *t = loop_new(vm, f->name, span.n);
	if (t == NULL || go_deeper(vm) != 0)
		return FLOW_FAIL;
	t->table = true;
	t->cols = f->cols != NULL ? cols : t->length;
	t->row = t->col = 1;
	lq_hide(vm, f->drop, (struct value){.type = V_LOOP, .loop = t}, &drop);
	lq_hide(vm, f->var, NIL, &item);
	lq_emit_text(vm, STR("<tr class=\"row1\">\n"));
	enum flow flow = table_cells(vm, f, &span, t);
	lq_unhide(vm, f->var, item);
	lq_unhide(vm, f->drop, drop);
	vm->depth--;
	return flow == FLOW_ON && lq_emit_text(vm, STR("</tr>\n")) == 0 ? FLOW_ON : FLOW_FAIL;
}

/* ---- cycle ---- */

static struct cycle_state *cycle_of(struct vm *vm, const struct cycle *c)
{
	struct value key = {.type = V_UNSET};
	if (c->name != NULL && lq_eval(vm, c->name, &key) != 0)
		return NULL;
	struct cycle_state *s = vm->r.cycles;
	for (; s != NULL; s = s->next) {
		if (s->key.type == V_UNSET || key.type == V_UNSET) {
			if (s->key.type == key.type && str_eq(s->text, c->key))
				return s;
		} else if (lq_equal(vm, &s->key, &key)) {
			return s;
		}
	}
	s = arena_zalloc(vm->a, sizeof *s);
	if (s == NULL) {
		lq_nomem(vm);
		return NULL;
	}
	*s = (struct cycle_state){.next = vm->r.cycles, .key = key, .text = c->key};
	vm->r.cycles = s;
	return s;
}

int lq_cycle(struct vm *vm, const struct op *op)
{
	const struct cycle *c = op->extra;
	struct cycle_state *s = cycle_of(vm, c);
	struct value v = NIL;
	if (s == NULL || (s->at < c->n && lq_eval(vm, c->values[s->at], &v) != 0))
		return -1;
	s->at = s->at + 1 >= c->n ? 0 : s->at + 1;
	return lq_emit(vm, &v);
}

/* ---- partials ---- */

static enum flow run_partial(struct vm *vm, const struct liquid *l, uint32_t begin, uint32_t end)
{
	const struct liquid *outer = vm->l;
	vm->l = l;
	enum flow flow = lq_run(vm, begin, end);
	if (flow == FLOW_FAIL && vm->failed_in == NULL)
		vm->failed_in = l;
	vm->l = outer;
	return flow;
}

static enum flow render_once(struct vm *vm, const struct partial_call *c, const struct partial *p,
	const struct value *with, const struct value *named, const struct loop *loop)
{
	struct frame outer = vm->f, f;
	struct registers registers = vm->r;
	bool isolated = vm->isolated, in_render = vm->in_render;
	uint32_t depth = vm->depth;
	if (lq_frame_new(vm, &f, outer.n) != 0)
		return FLOW_FAIL;
	if (loop != NULL)
		f.vars[c->forloop] = (struct value){.type = V_LOOP, .loop = loop};
	for (uint32_t i = 0; i < c->nnamed; i++)
		f.vars[c->locals[i]] = named[i];
	if (with->type != V_NIL)
		f.vars[c->target] = *with;
	vm->f = f;
	vm->r = (struct registers){0};
	vm->isolated = vm->l->o.plain;
	vm->in_render = true;
	vm->depth = 0;
	vm->renders++;
	assert(p != NULL); /* the caller found it */
	enum flow flow = run_partial(vm, vm->l, p->begin, p->end);
	vm->f = outer;
	vm->isolated = isolated;
	vm->in_render = in_render;
	vm->depth = depth;
	vm->renders--;
	vm->r = registers;
	return flow == FLOW_FAIL ? FLOW_FAIL : FLOW_ON;
}

static enum flow run_render(
	struct vm *vm, const struct partial_call *c, const struct partial *p, const struct value *named)
{
	struct value with = NIL;
	struct seq s;
	if (c->with != NULL && lq_eval(vm, c->with, &with) != 0)
		return FLOW_FAIL;
	lq_seq(&with, &s);
	if (!c->loop || s.kind == SEQ_NONE)
		return render_once(vm, c, p, &with, named, NULL);
	assert(p != NULL); /* the caller found it */
	struct loop *loop = loop_new(vm, p->name, s.n);
	if (loop == NULL || flatten_hash(vm, &s) != 0)
		return FLOW_FAIL;
	for (size_t i = 0; i < s.n; i++) {
		struct value item = lq_seq_at(vm, &s, i);
		loop->index = (int64_t)i;
		if (lq_steps(vm, 1) != 0 || render_once(vm, c, p, &item, named, loop) == FLOW_FAIL)
			return FLOW_FAIL;
	}
	return FLOW_ON;
}

static struct liquid *include_at_run_time(struct vm *vm, struct str name)
{
	struct err e = {0};
	for (struct included *i = vm->included; i != NULL; i = i->next)
		if (str_eq(i->name, name))
			return i->l;
	struct liquid *l = lq_compile_include(vm->l, name, &e);
	struct included *i = l != NULL ? arena_alloc(vm->a, sizeof *i) : NULL;
	if (i == NULL) {
		liquid_free(&l);
		lq_fail(vm, "%s", e.why[0] != '\0' ? e.why : "out of memory");
		return NULL;
	}
	*i = (struct included){.next = vm->included, .name = arena_str(vm->a, name), .l = l};
	vm->included = i;
	return l;
}

void lq_included_free(struct vm *vm)
{
	for (struct included *i = vm->included; i != NULL; i = i->next)
		liquid_free(&i->l);
	vm->included = NULL;
}

/* A template compiled later may know more names. */
static int widen_frame(struct vm *vm, const struct liquid *l)
{
	struct frame old = vm->f;
	uint32_t n = (uint32_t)liquid_names_count(l->locals);
	if (n <= old.n)
		return 0;
	if (lq_frame_new(vm, &vm->f, n) != 0)
		return -1;
	memcpy(vm->f.vars, old.vars, old.n * sizeof *old.vars);
	memcpy(vm->f.base, old.base, old.n * sizeof *old.base);
	memcpy(vm->f.hidden, old.hidden, old.n * sizeof *old.hidden);
	vm->f.counters = old.counters;
	return 0;
}

static enum flow include_each(struct vm *vm, const struct liquid *l, uint32_t begin, uint32_t end,
	const struct value *with, uint32_t target)
{
	struct seq s = {.kind = SEQ_ONE, .n = 1, .one = *with};
	enum flow flow = FLOW_ON;
	if (with->type == V_ARRAY || with->type == V_JARRAY)
		lq_seq(with, &s);
	for (size_t i = 0; i < s.n && flow == FLOW_ON; i++) {
		if (target != NO_SLOT)
			vm->f.vars[target] = lq_seq_at(vm, &s, i);
		flow = lq_steps(vm, 1) == 0 ? run_partial(vm, l, begin, end) : FLOW_FAIL;
	}
	return flow;
}

static enum flow run_include(
	struct vm *vm, const struct partial_call *c, const struct partial *p, const struct value *named)
{
	struct value name, with, saved_target = NIL,
				 *saved = arena_alloc(vm->a, c->nnamed * sizeof *saved + 1);
	const struct liquid *l = vm->l;
	if (saved == NULL || lq_eval(vm, c->name, &name) != 0)
		return FLOW_FAIL;
	if (name.type != V_STR) {
		lq_fail(vm, "Argument error in tag 'include' - Illegal template name");
		return FLOW_FAIL;
	}
	if (p == NULL && ((l = include_at_run_time(vm, v_bytes(&name))) == NULL || widen_frame(vm, l) != 0))
		return FLOW_FAIL;
	if (c->with == NULL)
		with = lq_find(vm, v_bytes(&name));
	else if (lq_eval(vm, c->with, &with) != 0)
		return FLOW_FAIL;
	uint32_t target = lq_interned(l->locals, c->alias.n != 0 ? c->alias : lq_base_name(v_bytes(&name)));
	for (uint32_t i = 0; i < c->nnamed; i++)
		lq_hide(vm, c->locals[i], named[i], &saved[i]);
	if (target != NO_SLOT)
		lq_hide(vm, target, NIL, &saved_target);
	enum flow flow = include_each(
		vm, l, p != NULL ? p->begin : l->begin, p != NULL ? p->end : l->end, &with, target);
	if (target != NO_SLOT)
		lq_unhide(vm, target, saved_target);
	for (uint32_t i = c->nnamed; i-- > 0;)
		lq_unhide(vm, c->locals[i], saved[i]);
	return flow;
}

enum flow lq_partial(struct vm *vm, const struct op *op)
{
	const struct partial_call *c = op->extra;
	const struct partial *p = c->program != NO_SLOT ? &vm->l->partials[c->program] : NULL;
	struct value *named = arena_alloc(vm->a, c->nnamed * sizeof *named + 1);
	if (named == NULL) {
		lq_nomem(vm);
		return FLOW_FAIL;
	}
	if (c->include && vm->in_render)
		lq_fail(vm, "include usage is not allowed in this context");
	else if (p != NULL && p->error != NULL) {
		vm->syntax_line = p->error_line;
		lq_fail(vm, "%s", p->error);
	}
	for (uint32_t i = 0; i < c->nnamed && !vm->failed; i++)
		lq_eval(vm, c->named[i].value, &named[i]);
	if (vm->failed)
		return FLOW_FAIL;
	if (!c->include) {
		if (vm->depth + vm->renders < LIQUID_MAX_DEPTH)
			return run_render(vm, c, p, named);
		lq_fail(vm, "Nesting too deep");
		return FLOW_FAIL;
	}
	if (go_deeper(vm) != 0)
		return FLOW_FAIL;
	enum flow flow = run_include(vm, c, p, named);
	vm->depth--;
	return flow;
}
