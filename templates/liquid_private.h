/* What the Liquid compiler, its virtual machine and its filters share. Nothing outside templates/liquid*.c
 * includes it.
 *
 * Values are 16 bytes and never own anything: what they point to lives in the render's arena, the template's
 * arena, the caller's slots or the caller's JSON. */
#ifndef TEMPLATES_LIQUID_PRIVATE_H
#define TEMPLATES_LIQUID_PRIVATE_H

#include "src/base/nearest.h"
#include "templates/liquid.h"

#include <stdint.h>

enum {
	LIQUID_MAX_DEPTH = 100,     /* nested blocks, partials in partials, brackets: as the reference */
	LIQUID_MAX_ARRAY = 1000000, /* elements a filter makes */
	LIQUID_MAX_SOURCE = 16 << 20,
};

/* ---- values ---- */

enum vtype {
	V_UNSET, /* no such variable here; never seen by filters */
	V_NIL,
	V_FALSE,
	V_TRUE,
	V_INT,
	V_BIG,
	V_FLOAT,
	V_STR,
	V_RANGE,
	V_ARRAY,
	V_JARRAY, /* a JSON array */
	V_HASH,   /* a JSON object */
	V_LOOP,   /* forloop, tablerowloop */
	V_BLANK,  /* the words blank and empty where a comparison may see them */
	V_EMPTY,
};

struct value {
	uint8_t type;
	bool safe;  /* V_STR in an HTML part: escaped already */
	uint32_t n; /* V_STR: bytes; V_ARRAY: elements */
	union {
		int64_t i;
		double f;
		const char *s;
		const struct value *items;
		const struct range *range;
		const struct big *big;
		const struct loop *loop;
		json_t *json;
	};
};

struct range {
	int64_t from, to;
};

struct loop {
	const struct loop *parent;
	struct str name;
	int64_t length, index;
	int64_t cols, row, col;
	bool table;
};

#define NIL ((struct value){.type = V_NIL})

static inline struct value v_bool(bool b)
{
	return (struct value){.type = b ? V_TRUE : V_FALSE};
}

static inline struct value v_int(int64_t i)
{
	return (struct value){.type = V_INT, .i = i};
}

static inline struct value v_float(double f)
{
	return (struct value){.type = V_FLOAT, .f = f};
}

static inline struct value v_str(struct str s)
{
	return (struct value){.type = V_STR, .n = (uint32_t)s.n, .s = s.p};
}

static inline struct value v_array(const struct value *items, size_t n)
{
	return (struct value){.type = V_ARRAY, .n = (uint32_t)n, .items = items};
}

static inline struct str v_bytes(const struct value *v)
{
	return (struct str){v->s, v->n};
}

static inline bool v_truthy(const struct value *v)
{
	return v->type > V_FALSE;
}

struct vm;

/* What is rare stands apart, so that what is done for each value needs no stack frame. */
#define APART __attribute__((noinline))
/* Room of which only what was filled is looked at: clearing it would take longer than filling it. */
#if __has_attribute(uninitialized)
#define UNCLEARED __attribute__((uninitialized))
#else
#define UNCLEARED
#endif

/* As the reference's to_s: nil is empty, lists and hashes are shown as Ruby shows them (written out, lists
 * are joined). */
struct str lq_to_s(struct vm *vm, const struct value *v);
bool lq_equal(struct vm *vm, const struct value *a, const struct value *b);
/* <=>: -1, 0, 1; 2 where the two cannot be compared. */
int lq_compare(struct vm *vm, const struct value *a, const struct value *b);
bool lq_is_empty(const struct value *v);
/* x.key, x[key]; `command`: size, first and last count where the value has no such key. nil if it is not
 * there. */
struct value lq_lookup(struct vm *vm, const struct value *v, const struct value *key, bool command);
struct value lq_from_json(json_t *j);
/* What for and the array filters go through. */
struct seq {
	enum { SEQ_NONE, SEQ_ITEMS, SEQ_JARRAY, SEQ_RANGE, SEQ_HASH, SEQ_ONE } kind;
	size_t n;
	const struct value *items;
	json_t *json;
	void *iter; /* SEQ_HASH: pairs come in order */
	int64_t from;
	struct value one;
};
void lq_seq(const struct value *v, struct seq *s);
struct value lq_seq_at(struct vm *vm, struct seq *s, size_t i);

/* ---- growing text in the arena ---- */

struct text {
	struct arena *a;
	char *p;
	size_t len, cap;
	bool failed;
};

void lq_text_init(struct text *t, struct arena *a, size_t expect);
bool lq_text_more(struct text *t, size_t n); /* room for n more */
static inline void lq_text_add(struct text *t, const void *p, size_t n)
{
	if (n <= t->cap - t->len || lq_text_more(t, n)) {
		if (n != 0)
			memcpy(t->p + t->len, p, n);
		t->len += n;
	}
}
static inline void lq_text_str(struct text *t, struct str s)
{
	lq_text_add(t, s.p, s.n);
}
void lq_text_value(struct vm *vm, struct text *t, const struct value *v); /* lists joined */
void lq_escape(struct text *t, struct str s);                             /* & < > " ' */

/* ---- numbers ---- */

struct big { /* magnitude in base 10^9, lowest limb first, no leading zero limb */
	bool neg;
	uint32_t n;
	uint32_t limb[];
};

/* A decimal: coefficient * 10^exponent; integers have integer == true and exponent 0. */
struct number {
	bool integer;
	int32_t exp;
	const struct big *c;
};

size_t lq_float_text(double f, char out[40]); /* shortest that reads back, in Ruby's form */
struct str lq_big_text(struct arena *a, const struct big *b);
/* The reference's Utils.to_number: what is no number is 0. */
int lq_to_number(struct vm *vm, const struct value *v, struct number *out);
int lq_from_number(struct vm *vm, const struct number *n, struct value *out);
int lq_arith(struct vm *vm, char op, const struct number *a, const struct number *b, struct number *out);
int lq_number_compare(struct vm *vm, const struct number *a, const struct number *b);
enum rounding { ROUND_HALF_UP, ROUND_CEIL, ROUND_FLOOR };
int lq_number_round(
	struct vm *vm, const struct number *x, int64_t digits, enum rounding how, struct number *out);
/* The text with exactly `digits` (0..20) decimals, "-1234.50". */
struct str lq_number_fixed(struct vm *vm, const struct number *x, int digits);
/* The reference's Utils.to_integer: strict; "invalid integer" otherwise. Values beyond 64 bits are clamped.
 */
int lq_to_integer(struct vm *vm, const struct value *v, int64_t *out);
int64_t lq_to_i(struct vm *vm, const struct value *v); /* Ruby's to_i: leading digits, else 0 */
struct value lq_parse_integer(
	struct arena *a, struct str digits); /* [-]digits, underscores allowed: V_INT, V_BIG */
bool lq_looks_number(struct str s);          /* [-+]digits[.digits], blanks around it */

/* ---- expressions ---- */

struct pos {
	uint32_t file, offset;
};

enum etype { E_CONST, E_VAR, E_RANGE, E_CALL, E_FAIL, E_COMPARE, E_AND, E_OR };
enum cmp { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_CONTAINS };

struct step {
	struct value key; /* when dynamic is NULL */
	const struct expr *dynamic;
	bool command;
};

struct filter;

struct expr {
	uint8_t type, op;
	uint16_t nargs;
	struct pos at;
	union {
		struct value value; /* E_CONST; E_FAIL: why, `op`: an unknown filter */
		struct {            /* E_VAR */
			uint32_t local, slot;
			uint32_t nsteps;
			const struct expr *root; /* [expr] as root */
			const struct step *steps;
		} var;
		struct {
			const struct expr *a, *b;
		} pair; /* ranges, comparisons, logic */
		struct {
			const struct filter *filter;
			const struct expr *input;
			const struct expr *const *args; /* nargs, then the named ones */
			const struct named *named;
			uint16_t nnamed;
		} call;
	};
};

struct named {
	struct str name;
	const struct expr *value;
};

#define NO_SLOT  UINT32_MAX
#define MAX_ARGS 8

int lq_eval(struct vm *vm, const struct expr *x, struct value *out);
bool lq_condition_equal(struct vm *vm, struct value a, struct value b); /* ==, with blank and empty */
struct value lq_global(struct vm *vm, uint32_t slot, struct str name);  /* from outside, or a counter */
struct value lq_find(struct vm *vm, struct str name); /* a variable whose name is only known now */

/* ---- filters ---- */

struct call {
	const struct expr *site;
	struct value in;
	const struct value *arg;
	int n;
	const struct value *named; /* in the order of site->call.named */
};

typedef int filter_fn(struct vm *vm, const struct call *c, struct value *out);

enum {
	FILTER_PROFILE = 1, /* not of the bare language */
	FILTER_IMPURE = 2,  /* never folded */
	FILTER_NAMED = 4,   /* takes named arguments */
};

struct filter {
	const char *name;
	filter_fn *fn;
	uint8_t min, max;
	uint8_t flags;
};

const struct filter *lq_filter_find(struct str name, bool plain);
void lq_filter_near(struct str name, struct nearest *out); /* the profile's that was meant; "": none */
struct str lq_arg_str(struct vm *vm, const struct call *c, int i, struct str otherwise);
struct value lq_char_at(struct str s, int64_t i);              /* nil outside; negative: from the end */
int lq_give(struct vm *vm, struct text *t, struct value *out); /* the text as a string value */

extern const struct filter lq_filters_string[], lq_filters_html[], lq_filters_number[], lq_filters_array[],
	lq_filters_date[], lq_filters_mail[];

void lq_civil_utc(ms_t t, struct civil *c);

struct locale {
	char tag[3];
	const char *months[12], *months_short[12], *days[7], *days_short[7], *am, *pm;
	const char *group, *point; /* of numbers */
	bool symbol_first;         /* "€5" rather than "5 €" */
};
const struct locale *lq_locale(struct str tag); /* NULL: not known */

/* ---- programs ---- */

enum opcode {
	OP_NOP,
	OP_TEXT,    /* literal a */
	OP_OUT,     /* x */
	OP_UNLESS,  /* x false: go to a */
	OP_IF,      /* x true: go to a */
	OP_GOTO,    /* a */
	OP_ASSIGN,  /* local a = x */
	OP_CAPTURE, /* local a = body */
	OP_CASE,    /* local a: nothing matched yet */
	OP_WHEN,    /* body up to a, once for each value that matches */
	OP_ELSE,    /* something matched: go to a */
	OP_FOR,
	OP_TABLEROW,
	OP_BREAK,
	OP_CONTINUE,
	OP_CYCLE,
	OP_INCREMENT, /* name a */
	OP_DECREMENT,
	OP_IFCHANGED, /* body */
	OP_PARTIAL,
	OP_ABORT, /* x: reason */
};

struct op {
	uint16_t code;
	bool blank; /* errors leave no text */
	uint32_t a;
	uint32_t end; /* behind the whole construct: where rendering goes on after an inline error */
	struct pos at;
	const struct expr *x;
	const void *extra; /* struct for_loop, when, cycle, partial_call; elsif: struct pos of its if */
};

struct for_loop {
	const struct expr *in, *limit, *offset, *cols;
	struct str name;          /* "item-collection" */
	uint32_t var, drop;       /* locals: the item, forloop */
	uint32_t body, otherwise; /* code ranges: [body, otherwise) and [otherwise, op.end) */
	bool reversed, go_on;     /* offset: continue */
};

struct when {
	const struct expr *left;
	const struct expr *const *values;
	uint32_t n, matched; /* local of the case */
};

struct cycle {
	const struct expr *name; /* NULL: group is `key` */
	struct str key;
	const struct expr *const *values;
	uint32_t n;
};

struct partial_call {
	const struct expr *name; /* include with a computed name; else `program` */
	const struct expr *with;
	const struct named *named;
	const uint32_t *locals; /* of the named ones */
	uint32_t nnamed;
	uint32_t program;         /* index into liquid.partials, or NO_SLOT */
	uint32_t forloop, target; /* locals of render: forloop, and what `with` or `for` gives */
	struct str alias;         /* as NAME, or empty */
	bool include, loop;       /* loop: render … for */
	struct pos at;
};

struct partial {
	struct str name, key; /* the key tells calls with different arguments apart */
	const struct partial_call *call;
	uint32_t begin, end; /* code */
	const char *error;   /* plain: it cannot be used, which matters only if it is rendered */
	long error_line;     /* in it; 0: it is not there */
};

struct source {
	struct str path, text;
	long first_line;
};

struct liquid {
	struct arena arena; /* expressions, strings, code */
	struct liquid_options o;
	struct liquid_names *names, *own_names;
	struct op *code;
	uint32_t ncode, begin, end;
	struct str *literals;
	uint32_t nliterals;
	struct liquid_names *locals; /* variable names of all programs of this template */
	struct partial *partials;
	uint32_t npartials;
	struct source *files; /* of the template and its partials, for errors */
	uint32_t nfiles;
	size_t literal_bytes;
};

uint32_t lq_intern(struct liquid_names *n, struct str name);         /* NO_SLOT: out of memory */
uint32_t lq_interned(const struct liquid_names *n, struct str name); /* NO_SLOT: unknown */
void lq_name_used(struct liquid_names *n, uint32_t i);               /* a template takes it … */
void lq_name_defaulted(struct liquid_names *n, uint32_t i); /* … with a default where it is empty */

/* Says why, with the line and the file that it stands in. Returns -1. */
int lq_error_at(struct err *e, const struct liquid *l, struct pos at, const char *why);
struct str lq_base_name(struct str name); /* behind the last slash */
/* Compiles a partial whose name was computed; the result borrows everything of `base` but its own code. */
struct liquid *lq_compile_include(const struct liquid *base, struct str name, struct err *e);

/* ---- the virtual machine ---- */

struct frame {
	uint32_t n;
	struct value *vars; /* what is seen now */
	struct value *base; /* what assign set while a loop variable hides it */
	uint32_t *hidden;   /* how many loop variables hide it */
	struct counter *counters;
};

struct counter {
	struct counter *next;
	struct str name;
	struct value value; /* V_INT; V_FLOAT if that was there before */
};

struct registers { /* what tags remember; each rendered partial has its own */
	const struct loop *loop;
	struct cycle_state *cycles;
	struct offset_state *offsets;
	struct value last_changed;
};

struct vm {
	const struct liquid *l;
	const struct liquid_vars *v;
	const struct liquid_sink *sink; /* NULL: output goes to `out`, as what is captured always does */
	struct arena *a;
	struct frame f;
	struct text out;
	size_t written;    /* through the sink */
	size_t max_output; /* there, or through the sink */
	uint32_t depth;
	uint64_t steps;
	struct registers r;
	uint32_t renders; /* how many partials are being rendered */
	uint32_t nest;    /* of the machine itself */
	long syntax_line; /* the failure is one of a partial's syntax, there */
	const struct liquid *root, *failed_in;
	bool in_render;
	bool exhausted; /* a limit was passed: nothing may go on */
	bool isolated;  /* in render of the bare language: no globals */
	bool failed;
	bool aborted;
	struct str abort_reason;
	char why[320]; /* of the failure, without place */
	struct pos at; /* of the failure */
	bool placed;
	bool unknown_filter; /* is the failure */
	struct included *included;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL };

/* Records the first failure and returns -1. */
int lq_fail(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int lq_nomem(struct vm *vm);
int lq_steps(struct vm *vm, size_t n); /* counts work; -1 when it is too much */
enum flow lq_run(struct vm *vm, uint32_t begin, uint32_t end);
enum flow lq_for(struct vm *vm, const struct op *op);
enum flow lq_tablerow(struct vm *vm, const struct op *op);
enum flow lq_partial(struct vm *vm, const struct op *op);
int lq_cycle(struct vm *vm, const struct op *op);
int lq_emit(struct vm *vm, const struct value *v);
int lq_emit_text(struct vm *vm, struct str s); /* markup of our own, not escaped */
int lq_frame_new(struct vm *vm, struct frame *f, uint32_t n);
void lq_hide(struct vm *vm, uint32_t local, struct value v, struct value *saved);
void lq_unhide(struct vm *vm, uint32_t local, struct value saved);
/* A machine for constant folding: no variables, memory of `a`. */
void lq_vm_init(struct vm *vm, const struct liquid *l, const struct liquid_vars *v, struct arena *a);
void lq_included_free(struct vm *vm);

#endif
