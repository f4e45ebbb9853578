/* Bodies of tags and their code, which variables are the template's own, and where an error is. */
#include "templates/liquid_parser.h"

#include "src/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct str line_at(struct str src, const char *at, uint32_t *line, uint32_t *column)
{
	const char *start = src.p;
	*line = 1;
	for (const char *q = src.p; q < at && (q = memchr(q, '\n', (size_t)(at - q))) != NULL; q++) {
		++*line;
		start = q + 1;
	}
	*column = 1;
	for (const char *q = start; q < at; q++)
		*column += ((unsigned char)*q & 0xC0) != 0x80;
	return str_n(start, str_find(str_n(start, (size_t)(src.p + src.n - start)), '\n'));
}

struct pos lq_pos(const struct parser *p, const char *at)
{
	/* Places are kept as offsets and become lines only where an error is shown. */
	bool inside = at >= p->src.p && at <= p->src.p + p->src.n;
	return (struct pos){.file = p->file, .offset = inside ? (uint32_t)(at - p->src.p) : 0};
}

int lq_error_at(struct err *e, const struct liquid *l, struct pos at, const char *why)
{
	const struct source *f = &l->files[at.file];
	uint32_t line, column;
	struct str text = line_at(f->text, f->text.p + at.offset, &line, &column);
	err_set(e, ERR_DATA, "template", "%s", why);
	if (e == NULL)
		return -1;
	snprintf(e->file, sizeof e->file, "%.*s", STR_ARG(f->path));
	e->line = f->first_line + line - 1;
	e->column = column;
	struct buf shown = BUF_INIT(sizeof e->remedy * 4);
	utf8_safe(&shown, utf8_cut(str_trim(text), 100));
	if (shown.len != 0)
		err_remedy(e, "%ld | %s", e->line, buf_cstr(&shown));
	buf_release(&shown);
	return -1;
}

int lq_error(struct parser *p, const char *at, const char *fmt, ...)
{
	char raw[300];
	va_list ap;
	if (p == NULL || p->failed)
		return -1;
	p->failed = true;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	struct buf shown = BUF_INIT(4 * sizeof raw);
	utf8_safe(&shown, str_from(raw));
	if (p->l->nfiles != 0)
		lq_error_at(p->e, p->l, lq_pos(p, at), buf_cstr(&shown));
	if (p->e != NULL && (p->l->nfiles == 0 || strcmp(raw, "out of memory") == 0))
		err_set(p->e, ERR_INTERNAL, "template", "%s", raw);
	buf_release(&shown);
	return -1;
}

void *lq_vec_add(struct parser *p, struct vec *v)
{
	if (v->n == v->cap) {
		size_t cap = v->cap == 0 ? 16 : v->cap * 2;
		void *q = realloc(v->p, cap * v->size);
		if (q == NULL) {
			lq_error(p, p->here, "out of memory");
			return NULL;
		}
		v->p = q;
		v->cap = cap;
	}
	void *at = (char *)v->p + v->n++ * v->size;
	memset(at, 0, v->size);
	return at;
}

/* ---- which variables are assigned ---- */

uint32_t lq_local(struct parser *p, struct str name)
{
	uint32_t i = lq_intern(p->l->locals, name);
	if (i == NO_SLOT)
		lq_error(p, p->here, "out of memory");
	return i;
}

int lq_assigned(struct parser *p, uint32_t local)
{
	struct bits *b = &p->definite;
	if (local / 64 >= b->n) {
		size_t n = local / 64 + 8;
		uint64_t *w = realloc(b->w, n * sizeof *w);
		if (w == NULL)
			return lq_error(p, p->here, "out of memory");
		memset(w + b->n, 0, (n - b->n) * sizeof *w);
		b->w = w;
		b->n = n;
	}
	b->w[local / 64] |= UINT64_C(1) << local % 64;
	return 0;
}

bool lq_is_assigned(const struct parser *p, uint32_t local)
{
	return local / 64 < p->definite.n && (p->definite.w[local / 64] >> local % 64 & 1) != 0;
}

int lq_bits_copy(struct parser *p, const struct bits *from, struct bits *to)
{
	free(to->w);
	to->n = from->n;
	to->w = malloc(from->n * sizeof *to->w + 1);
	if (to->w == NULL)
		return lq_error(p, p->here, "out of memory");
	if (from->n != 0)
		memcpy(to->w, from->w, from->n * sizeof *to->w);
	return 0;
}

void lq_bits_and(struct bits *a, const struct bits *b)
{
	for (size_t i = 0; i < a->n; i++)
		a->w[i] &= i < b->n ? b->w[i] : 0;
}

/* ---- code ---- */

struct op *lq_op(struct parser *p, uint32_t i)
{
	return (struct op *)p->code.p + i;
}

struct op *lq_emit_op(struct parser *p, enum opcode code, const char *at)
{
	struct op *op = lq_vec_add(p, &p->code);
	if (op != NULL) {
		op->code = (uint16_t)code;
		op->at = lq_pos(p, at);
		op->end = (uint32_t)p->code.n;
	}
	return op;
}

int lq_emit_literal(struct parser *p, const char *at, struct str text)
{
	if (text.n == 0)
		return 0;
	struct op *op = lq_emit_op(p, OP_TEXT, at);
	struct str *s = lq_vec_add(p, &p->literals);
	if (op == NULL || s == NULL)
		return -1;
	*s = text;
	op->a = (uint32_t)p->literals.n - 1;
	p->l->literal_bytes += text.n;
	return 0;
}

/* Text between tags that write nothing is not written either; nested bodies have seen to their own. */
void lq_remove_blank(struct parser *p, const struct body *b)
{
	for (uint32_t i = b->from; i < b->to;) {
		struct op *op = lq_op(p, i);
		uint32_t next = op->end > i ? op->end : i + 1;
		if (op->code == OP_TEXT) {
			p->l->literal_bytes -= ((struct str *)p->literals.p)[op->a].n;
			op->code = OP_NOP;
		}
		i = next;
	}
}

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

static int emit_value(struct parser *p, const struct piece *x)
{
	p->here = x->at;
	const struct expr *e = lq_parse_filtered(p, x->markup);
	struct op *op = e != NULL ? lq_emit_op(p, OP_OUT, x->at) : NULL;
	if (op == NULL)
		return -1;
	op->x = e;
	return 0;
}

int lq_bad_end(struct parser *p, const char *tag, const struct piece *end)
{
	if (end->kind == P_EOF)
		return lq_error(p, p->here, "'%s' tag was never closed", tag);
	if (tag == NULL && str_is(end->name, "else"))
		return lq_error(p, end->at, "Unexpected outer 'else' tag");
	if (tag != NULL && str_is(end->name, "else"))
		return lq_error(p, end->at, "%s tag does not expect 'else' tag", tag);
	if (tag != NULL && str_starts(end->name, STR("end")))
		return lq_error(p, end->at, "'%.*s' is not a valid delimiter for %s tags. use end%s",
			STR_ARG(end->name), tag, tag);
	struct nearest near = {.distance = 0};
	if (!p->l->o.plain)
		lq_tag_near(end->name, &near);
	const char *quote = near.best[0] != '\0' ? "; did you mean '" : "";
	return lq_error(p, end->at, "Unknown tag '%.*s'%s%s%s", STR_ARG(end->name), quote, near.best,
		*quote != '\0' ? "'?" : "");
}

static int parse_piece(struct parser *p, struct reader *r, const struct piece *x, struct body *b, bool *ended)
{
	bool blank = false;
	if (x->kind == P_TEXT) {
		blank = is_blank(x->text);
		if (lq_emit_literal(p, x->at, x->text) != 0)
			return -1;
	} else if (x->kind == P_VALUE) {
		if (emit_value(p, x) != 0)
			return -1;
	} else {
		const struct tag *t = x->kind == P_TAG ? lq_tag_find(x->name, p->l->o.plain) : NULL;
		if (t == NULL) {
			b->end = *x;
			*ended = true;
			return 0;
		}
		p->here = x->at;
		if (t->fn(p, r, x, &blank) != 0)
			return -1;
	}
	b->blank &= blank;
	return 0;
}

int lq_parse_body(struct parser *p, struct reader *r, const char *tag, struct body *b)
{
	*b = (struct body){.blank = true, .from = (uint32_t)p->code.n};
	if (p->depth >= LIQUID_MAX_DEPTH)
		return lq_error(p, p->here, "Nesting too deep");
	p->depth++;
	const char *opened = p->here;
	for (bool ended = false; !ended;) {
		struct piece x;
		if (lq_read_piece(p, r, &x) != 0 || parse_piece(p, r, &x, b, &ended) != 0)
			return -1;
	}
	p->depth--;
	p->here = opened;
	b->to = (uint32_t)p->code.n;
	if (b->end.kind == P_EOF && tag != NULL)
		return lq_bad_end(p, tag, &b->end);
	return 0;
}
