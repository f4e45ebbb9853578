/* Tags that assign, write, or say nothing, and the list of all tags. */
#include "templates/liquid_parser.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-';
}

void *lq_keep(struct parser *p, const void *from, size_t n)
{
	void *to = arena_alloc(&p->l->arena, n + 1);
	if (to == NULL)
		lq_error(p, p->here, "out of memory");
	else if (n != 0)
		memcpy(to, from, n);
	return to;
}

bool lq_ends(const struct piece *end, const char *tag)
{
	return end->name.n == strlen(tag) + 3 && str_starts(end->name, STR("end")) &&
	       str_ends(end->name, str_from(tag));
}

/* ---- variables ---- */

static struct str variable_name(struct str markup)
{
	size_t i = 0;
	while (i < markup.n && !is_name_char(markup.p[i]) && markup.p[i] != '[' && markup.p[i] != '(')
		i++;
	size_t from = i;
	while (i < markup.n && (is_name_char(markup.p[i]) || memchr(".[]()", markup.p[i], 5) != NULL))
		i++;
	return str_n(markup.p + from, i - from);
}

static int tag_assign(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	*blank = true;
	struct str name = variable_name(t->markup);
	const char *end = t->markup.p + t->markup.n, *q = name.p + name.n;
	while (q < end && (*q == ' ' || (*q >= '\t' && *q <= '\r')))
		q++;
	if (name.n == 0 || q >= end || *q != '=')
		return lq_error(p, t->at, "Syntax Error in 'assign' - Valid syntax: assign [var] = [source]");
	const struct expr *x = lq_parse_filtered(p, str_n(q + 1, (size_t)(end - q - 1)));
	uint32_t local = x != NULL ? lq_local(p, name) : NO_SLOT;
	struct op *op = local != NO_SLOT ? lq_emit_op(p, OP_ASSIGN, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->a = local;
	op->x = x;
	op->blank = true;
	return lq_assigned(p, local);
}

static int tag_capture(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct body b;
	*blank = true;
	struct str name = variable_name(t->markup);
	if (name.n == 0)
		return lq_error(p, t->at, "Syntax Error in 'capture' - Valid syntax: capture [var]");
	uint32_t head = (uint32_t)p->code.n, local = lq_local(p, name);
	struct op *op = local != NO_SLOT ? lq_emit_op(p, OP_CAPTURE, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->a = local;
	op->blank = true;
	if (lq_parse_body(p, r, "capture", &b) != 0)
		return -1;
	if (!lq_ends(&b.end, "capture"))
		return lq_bad_end(p, "capture", &b.end);
	lq_op(p, head)->end = (uint32_t)p->code.n;
	return lq_assigned(p, local);
}

static int tag_counter(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct op *op = lq_emit_op(p, str_is(t->name, "increment") ? OP_INCREMENT : OP_DECREMENT, t->at);
	if (op == NULL)
		return -1;
	op->a = lq_local(p, str_trim(t->markup));
	return op->a != NO_SLOT ? lq_assigned(p, op->a) : -1;
}

static int tag_ifchanged(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct body b;
	struct bits before = {0};
	uint32_t head = (uint32_t)p->code.n;
	if (lq_emit_op(p, OP_IFCHANGED, t->at) == NULL || lq_bits_copy(p, &p->definite, &before) != 0)
		return -1;
	int rc = lq_parse_body(p, r, "ifchanged", &b);
	free(before.w);
	if (rc == 0 && !lq_ends(&b.end, "ifchanged"))
		rc = lq_bad_end(p, "ifchanged", &b.end);
	if (rc != 0)
		return -1;
	lq_op(p, head)->end = (uint32_t)p->code.n;
	*blank = b.blank;
	return 0;
}

/* ---- the others ---- */

static int tag_echo(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	const struct expr *x = lq_parse_filtered(p, t->markup);
	struct op *op = x != NULL ? lq_emit_op(p, OP_OUT, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->x = x;
	return 0;
}

static int tag_raw(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct str body;
	if (str_trim(t->markup).n != 0)
		return lq_error(p, t->at, "Syntax Error in 'raw' - Valid syntax: raw");
	if (lq_read_raw(p, r, "raw", &body) != 0)
		return -1;
	*blank = body.n == 0;
	return lq_emit_literal(p, t->at, body);
}

static struct str skip_space(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r'))) {
		s.p++;
		s.n--;
	}
	return s;
}

static int tag_doc(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	struct str body;
	*blank = true;
	if (str_trim(t->markup).n != 0)
		return lq_error(p, t->at, "Syntax Error in 'doc' - Valid syntax: {%% doc %%}{%% enddoc %%}");
	if (lq_read_raw(p, r, "doc", &body) != 0)
		return -1;
	for (size_t i = 0; i + 1 < body.n; i++) {
		struct str rest = str_n(body.p + i + 2, body.n - i - 2);
		if (body.p[i] != '{' || body.p[i + 1] != '%')
			continue;
		if (rest.n > 0 && rest.p[0] == '-')
			rest = str_n(rest.p + 1, rest.n - 1);
		rest = skip_space(rest);
		if (str_starts(rest, STR("doc")) && (rest.n == 3 || !is_name_char(rest.p[3])))
			return lq_error(p, t->at, "Syntax Error in 'doc' - Nested doc tags are not allowed");
	}
	return 0;
}

static int tag_comment(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)t;
	*blank = true;
	return lq_skip_comment(p, r);
}

static int tag_inline_comment(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	*blank = true;
	for (size_t i = 0; i < t->markup.n; i++) {
		if (t->markup.p[i] != '\n')
			continue;
		struct str line = skip_space(str_n(t->markup.p + i, t->markup.n - i));
		if (line.n != 0 && line.p[0] != '#')
			return lq_error(p, t->at,
				"Syntax error in tag '#' - Each line of comments must be prefixed by the '#' "
				"character");
	}
	return 0;
}

static int tag_liquid(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	struct reader lines = {.src = t->markup, .lines = true};
	struct body b;
	if (lq_parse_body(p, &lines, NULL, &b) != 0)
		return -1;
	/* Its tags count for what is around them: `liquid` itself neither writes nor keeps blank. */
	*blank = b.blank;
	if (b.end.kind == P_EOF)
		return 0;
	return lq_bad_end(p,
		str_is(b.end.name, "else") || str_starts(b.end.name, STR("end")) ? "liquid" : NULL, &b.end);
}

/* {% abort_message %}, {% abort_message "reason" %}, {% abort_message("reason") %} */
static int tag_abort(struct parser *p, struct reader *r, const struct piece *t, bool *blank)
{
	(void)r;
	(void)blank;
	struct str m = str_trim(t->markup);
	if (m.n >= 2 && m.p[0] == '(' && m.p[m.n - 1] == ')')
		m = str_trim(str_n(m.p + 1, m.n - 2));
	const struct expr *x = lq_parse_filtered(p, m);
	struct op *op = x != NULL ? lq_emit_op(p, OP_ABORT, t->at) : NULL;
	if (op == NULL)
		return -1;
	op->x = x;
	return 0;
}

static const struct tag tags[] = {
	{"if", lq_tag_if, false, false},
	{"unless", lq_tag_if, false, false},
	{"case", lq_tag_case, false, false},
	{"for", lq_tag_loop, false, false},
	{"tablerow", lq_tag_loop, false, false},
	{"break", lq_tag_interrupt, false, false},
	{"continue", lq_tag_interrupt, false, false},
	{"assign", tag_assign, false, false},
	{"capture", tag_capture, false, false},
	{"increment", tag_counter, false, false},
	{"decrement", tag_counter, false, false},
	{"ifchanged", tag_ifchanged, false, false},
	{"cycle", lq_tag_cycle, false, false},
	{"render", lq_tag_partial, false, false},
	{"include", lq_tag_partial, true, false},
	{"echo", tag_echo, false, false},
	{"raw", tag_raw, false, false},
	{"doc", tag_doc, false, false},
	{"comment", tag_comment, false, false},
	{"#", tag_inline_comment, false, false},
	{"liquid", tag_liquid, false, false},
	{"abort_message", tag_abort, false, true},
};

const struct tag *lq_tag_find(struct str name, bool plain)
{
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (str_is(name, tags[i].name) && !(plain ? tags[i].profile : tags[i].plain))
			return &tags[i];
	return NULL;
}

void lq_tag_near(struct str name, struct nearest *out)
{
	static const char *const parts[] = {
		"elsif", "else", "when", "endif", "endunless", "endcase", "endfor", "endcapture"};
	nearest_init(out, name);
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (!tags[i].plain)
			nearest_offer(out, str_from(tags[i].name));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		nearest_offer(out, str_from(parts[i]));
	if (str_is(name, "abort"))
		snprintf(out->best, sizeof out->best, "abort_message");
}
