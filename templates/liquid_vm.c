/* The virtual machine: output, variables, and one step after the other. */
#include "templates/liquid_private.h"

#include <stdarg.h>
#include <stdio.h>

int lq_fail(struct vm *vm, const char *fmt, ...)
{
	if (vm->failed)
		return -1;
	vm->failed = true;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(vm->why, sizeof vm->why, fmt, ap);
	va_end(ap);
	return -1;
}

int lq_nomem(struct vm *vm)
{
	vm->exhausted = true;
	return lq_fail(vm, "it needs more memory than a message may use");
}

int lq_steps(struct vm *vm, size_t n)
{
	if (n <= vm->steps) {
		vm->steps -= n;
		return 0;
	}
	vm->steps = 0;
	vm->exhausted = true;
	return lq_fail(vm, "Memory limits exceeded: too many steps");
}

/* ---- output ---- */

APART static int output_failed(struct vm *vm)
{
	if (vm->out.failed)
		return lq_nomem(vm);
	vm->exhausted = true;
	return lq_fail(vm, "Memory limits exceeded: too much output");
}

static inline int check_output(struct vm *vm)
{
	size_t n = vm->sink != NULL ? vm->written : vm->out.len;
	return n <= vm->max_output && !vm->out.failed ? 0 : output_failed(vm);
}

static void put(struct vm *vm, struct str s)
{
	if (s.n == 0)
		return;
	if (vm->sink != NULL) {
		vm->written += s.n;
		vm->sink->value(vm->sink->ctx, s);
	} else {
		lq_text_add(&vm->out, s.p, s.n);
	}
}

int lq_emit_text(struct vm *vm, struct str s)
{
	put(vm, s);
	return check_output(vm);
}

/* What would end a header's line becomes a blank. */
APART static void put_header(struct vm *vm, struct str s)
{
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0')
			continue;
		put(vm, str_n(s.p + from, i - from));
		put(vm, STR(" "));
		from = i + 1;
	}
	put(vm, str_n(s.p + from, s.n - from));
}

/* With a sink, `out` is the room to escape in. */
static void put_html(struct vm *vm, struct str s)
{
	lq_escape(&vm->out, s);
	if (vm->sink != NULL && !vm->out.failed) {
		struct str escaped = str_n(vm->out.p, vm->out.len);
		vm->out.len = 0;
		put(vm, escaped);
	}
}

static inline int emit_str(struct vm *vm, struct str s, bool safe)
{
	enum liquid_escape how = vm->l->o.escape;
	if (how == LIQUID_HTML && !safe)
		put_html(vm, s);
	else if (how == LIQUID_HEADER)
		put_header(vm, s);
	else
		put(vm, s);
	return check_output(vm);
}

/* A list of values that are escaped already and others cannot be joined before. */
static int emit_list(struct vm *vm, const struct value *v)
{
	struct seq s;
	lq_seq(v, &s);
	for (size_t i = 0; i < s.n; i++) {
		struct value item = lq_seq_at(vm, &s, i);
		if (lq_emit(vm, &item) != 0)
			return -1;
	}
	return 0;
}

APART static int emit_other(struct vm *vm, const struct value *v)
{
	if (v->type <= V_NIL || v->type >= V_BLANK)
		return 0;
	if (v->type == V_ARRAY || v->type == V_JARRAY)
		return emit_list(vm, v);
	struct str s = lq_to_s(vm, v);
	return vm->failed ? -1 : emit_str(vm, s, false);
}

int lq_emit(struct vm *vm, const struct value *v)
{
	return v->type == V_STR ? emit_str(vm, v_bytes(v), v->safe) : emit_other(vm, v);
}

static int emit_literal(struct vm *vm, uint32_t i)
{
	struct str s = vm->l->literals[i];
	if (vm->sink != NULL && vm->l == vm->root) {
		vm->written += s.n;
		vm->sink->literal(vm->sink->ctx, i, s);
	} else {
		put(vm, s);
	}
	return check_output(vm);
}

/* ---- variables ---- */

int lq_frame_new(struct vm *vm, struct frame *f, uint32_t n)
{
	size_t each = 2 * sizeof(struct value) + sizeof(uint32_t);
	char *p = arena_zalloc(vm->a, (size_t)n * each + 1);
	if (p == NULL)
		return lq_nomem(vm);
	*f = (struct frame){.n = n, .vars = (struct value *)p};
	f->base = f->vars + n;
	f->hidden = (uint32_t *)(f->base + n);
	return 0;
}

void lq_hide(struct vm *vm, uint32_t local, struct value v, struct value *saved)
{
	struct frame *f = &vm->f;
	*saved = f->vars[local];
	if (f->hidden[local]++ == 0)
		f->base[local] = *saved;
	f->vars[local] = v;
}

void lq_unhide(struct vm *vm, uint32_t local, struct value saved)
{
	struct frame *f = &vm->f;
	f->vars[local] = --f->hidden[local] == 0 ? f->base[local] : saved;
}

static void assign(struct vm *vm, uint32_t local, struct value v)
{
	struct frame *f = &vm->f;
	*(f->hidden[local] != 0 ? &f->base[local] : &f->vars[local]) = v;
}

static void add_one(struct value *v, int by)
{
	if (v->type == V_FLOAT)
		v->f += by;
	else
		v->i = (int64_t)((uint64_t)v->i + (uint64_t)by);
}

static int count(struct vm *vm, const struct op *op)
{
	struct str name = liquid_name(vm->l->locals, op->a);
	struct counter *c = vm->f.counters;
	while (c != NULL && !str_eq(c->name, name))
		c = c->next;
	if (c == NULL) {
		struct value outside = lq_global(vm, lq_interned(vm->l->names, name), name);
		bool number = outside.type == V_INT || outside.type == V_FLOAT;
		if (vm->l->o.plain && !number && outside.type != V_NIL)
			return lq_fail(vm, "internal");
		c = arena_alloc(vm->a, sizeof *c);
		if (c == NULL)
			return lq_nomem(vm);
		*c = (struct counter){
			.next = vm->f.counters, .name = name, .value = number ? outside : v_int(0)};
		vm->f.counters = c;
	}
	if (op->code == OP_DECREMENT)
		add_one(&c->value, -1);
	struct value v = c->value;
	if (op->code == OP_INCREMENT)
		add_one(&c->value, 1);
	return lq_emit(vm, &v);
}

/* ---- bodies that are collected ---- */

static enum flow collect(struct vm *vm, const struct op *op, uint32_t begin, struct value *out)
{
	struct text outer = vm->out;
	const struct liquid_sink *sink = vm->sink;
	size_t max = vm->max_output;
	lq_text_init(&vm->out, vm->a, 256);
	vm->sink = NULL;
	vm->max_output = (size_t)(vm->l->o.plain ? 64 : 4) << 20;
	enum flow flow = lq_run(vm, begin, op->end);
	*out = v_str(vm->out.p != NULL ? str_n(vm->out.p, vm->out.len) : STR(""));
	out->safe = vm->l->o.escape == LIQUID_HTML;
	if (vm->out.failed && !vm->failed)
		lq_nomem(vm);
	vm->out = outer;
	vm->sink = sink;
	vm->max_output = max;
	return vm->failed ? FLOW_FAIL : flow;
}

static enum flow run_ifchanged(struct vm *vm, const struct op *op, uint32_t body)
{
	struct value v;
	enum flow flow = collect(vm, op, body, &v);
	if (flow == FLOW_FAIL)
		return flow;
	bool same = vm->r.last_changed.type == V_STR && str_eq(v_bytes(&vm->r.last_changed), v_bytes(&v));
	vm->r.last_changed = v;
	if (!same && lq_emit_text(vm, v_bytes(&v)) != 0)
		return FLOW_FAIL;
	return flow;
}

static enum flow run_when(struct vm *vm, const struct op *op, uint32_t body)
{
	const struct when *w = op->extra;
	struct value left, right;
	for (uint32_t i = 0; i < w->n; i++) {
		if (lq_eval(vm, w->left, &left) != 0 || lq_eval(vm, w->values[i], &right) != 0)
			return FLOW_FAIL;
		if (!lq_condition_equal(vm, left, right))
			continue;
		vm->f.vars[w->matched] = v_bool(true);
		enum flow flow = lq_run(vm, body, op->end);
		if (flow != FLOW_ON)
			return flow;
	}
	return vm->failed ? FLOW_FAIL : FLOW_ON;
}

static int run_abort(struct vm *vm, const struct op *op)
{
	struct value v;
	if (lq_eval(vm, op->x, &v) != 0)
		return -1;
	struct str s = lq_to_s(vm, &v);
	vm->abort_reason = arena_str(vm->a, s.n != 0 ? s : STR("abort_message"));
	vm->aborted = true;
	return lq_fail(vm, "aborted");
}

static enum flow run_capture(struct vm *vm, const struct op *op, uint32_t body)
{
	struct value v;
	enum flow flow = collect(vm, op, body, &v);
	if (flow != FLOW_FAIL)
		assign(vm, op->a, v);
	return flow;
}

/* Rendering goes on behind what failed, with a note in its place, as the reference does. */
static bool note_error(struct vm *vm, const struct op *op)
{
	/* Finding the line takes time that a template could ask for again and again. */
	if (!vm->v->inline_errors || vm->exhausted || vm->aborted || vm->steps < op->at.offset / 64)
		return false;
	vm->steps -= op->at.offset / 64;
	struct err e;
	char text[600];
	bool elsif = op->code == OP_UNLESS && op->extra != NULL;
	lq_error_at(&e, vm->l, elsif ? *(const struct pos *)op->extra : op->at, "");
	bool partial = op->at.file != 0 || vm->l != vm->root;
	if (vm->syntax_line != 0)
		snprintf(text, sizeof text, "Liquid syntax error (line %ld): %s", vm->syntax_line, vm->why);
	else
		snprintf(text, sizeof text, "Liquid error (%s%sline %ld): %s", partial ? e.file : "",
			partial ? " " : "", e.line, vm->why);
	bool silent = op->blank || vm->unknown_filter;
	vm->failed = vm->placed = vm->unknown_filter = false;
	vm->syntax_line = 0;
	vm->failed_in = NULL;
	return silent || lq_emit_text(vm, arena_printf(vm->a, "%s", text)) == 0;
}

enum flow lq_run(struct vm *vm, uint32_t begin, uint32_t end)
{
	struct value v;
	enum flow flow = FLOW_ON;
	if (++vm->nest > 4 * LIQUID_MAX_DEPTH) {
		vm->nest--;
		lq_fail(vm, "Nesting too deep");
		return FLOW_FAIL;
	}
	const struct op *code = vm->l->code;
	for (uint32_t pc = begin; pc < end;) {
		const struct op *op = &code[pc++];
		int rc = 0;
		if (vm->steps-- == 0) {
			vm->steps = 0;
			rc = lq_steps(vm, 1);
		} else
			switch ((enum opcode)op->code) {
			case OP_NOP:
				break;
			case OP_TEXT:
				rc = emit_literal(vm, op->a);
				break;
			case OP_OUT:
				rc = lq_eval(vm, op->x, &v);
				if (rc == 0)
					rc = lq_emit(vm, &v);
				break;
			case OP_UNLESS:
			case OP_IF:
				rc = lq_eval(vm, op->x, &v);
				if (rc == 0 && v_truthy(&v) == (op->code == OP_IF))
					pc = op->a;
				break;
			case OP_GOTO:
				pc = op->a;
				break;
			case OP_ASSIGN:
				rc = lq_eval(vm, op->x, &v);
				if (rc == 0)
					assign(vm, op->a, v);
				break;
			case OP_CAPTURE:
				flow = run_capture(vm, op, pc);
				pc = op->end;
				break;
			case OP_CASE:
				vm->f.vars[op->a] = v_bool(false);
				break;
			case OP_WHEN:
				flow = run_when(vm, op, pc);
				pc = op->end;
				break;
			case OP_ELSE:
				if (vm->f.vars[op->a].type == V_TRUE)
					pc = op->end;
				break;
			case OP_FOR:
			case OP_TABLEROW:
				flow = op->code == OP_FOR ? lq_for(vm, op) : lq_tablerow(vm, op);
				pc = op->end;
				break;
			case OP_BREAK:
				flow = FLOW_BREAK;
				break;
			case OP_CONTINUE:
				flow = FLOW_CONTINUE;
				break;
			case OP_CYCLE:
				rc = lq_cycle(vm, op);
				break;
			case OP_INCREMENT:
			case OP_DECREMENT:
				rc = count(vm, op);
				break;
			case OP_IFCHANGED:
				flow = run_ifchanged(vm, op, pc);
				pc = op->end;
				break;
			case OP_PARTIAL:
				flow = lq_partial(vm, op);
				break;
			case OP_ABORT:
				rc = run_abort(vm, op);
				break;
			}
		if (rc != 0 || flow == FLOW_FAIL || vm->failed) {
			if (!vm->placed)
				vm->at = op->at;
			vm->placed = true;
			flow = note_error(vm, op) ? FLOW_ON : FLOW_FAIL;
			pc = op->end;
		}
		if (flow != FLOW_ON)
			break;
	}
	vm->nest--;
	return flow;
}

/* ---- a whole render ---- */

void lq_vm_init(struct vm *vm, const struct liquid *l, const struct liquid_vars *v, struct arena *a)
{
	*vm = (struct vm){.l = l, .root = l, .v = v, .a = a};
	vm->steps = l->o.max_steps != 0 ? l->o.max_steps : l->o.plain ? 20000000 : 2000000;
	vm->max_output = (size_t)(l->o.plain ? 256 : 32) << 20;
}

static void set_error(const struct vm *vm, struct err *e)
{
	const struct liquid *l = vm->failed_in != NULL ? vm->failed_in : vm->l;
	lq_error_at(e, l, vm->at, vm->why);
	if (vm->exhausted && vm->a->failed && e != NULL)
		e->code = ERR_DATA;
}

int liquid_render(const struct liquid *l, const struct liquid_vars *v, const struct liquid_sink *sink,
	struct arena *a, struct liquid_result *r, struct err *e)
{
	struct vm vm;
	*r = (struct liquid_result){0};
	lq_vm_init(&vm, l, v, a);
	vm.sink = sink;
	int rc = lq_frame_new(&vm, &vm.f, (uint32_t)liquid_names_count(l->locals));
	if (sink == NULL)
		lq_text_init(&vm.out, a, l->literal_bytes + l->literal_bytes / 4 + 256);
	else
		lq_text_init(&vm.out, a, 0);
	if (rc == 0 && lq_run(&vm, l->begin, l->end) == FLOW_FAIL)
		rc = -1;
	if (rc == 0) {
		lq_text_add(&vm.out, "", 1);
		if (vm.out.failed)
			rc = lq_nomem(&vm);
		else
			r->text = str_n(vm.out.p, vm.out.len - 1);
	}
	if (rc != 0 && vm.aborted) {
		r->aborted = true;
		r->reason = vm.abort_reason;
		rc = 0;
	}
	if (rc != 0)
		set_error(&vm, e);
	lq_included_free(&vm);
	return rc;
}
